"""The pin map of the kit's board: BCM numbers on the Raspberry Pi's 40-pin header.

Not used: 14 and 15 (console UART), 2 and 3 (I2C, the clock module), 0 and 1 (board identification).
"""

from typing import Final

LED_POWER: Final = 17
LED_DEVICE: Final = 27
LED_LINK: Final = 22
LED_ALARM: Final = 23
BUTTON_END_STUDY: Final = 5
BUTTON_SELFTEST: Final = 6
MODEM_POWER: Final = 24
WATCHDOG_KICK: Final = 25

LEDS: Final = {"power": LED_POWER, "device": LED_DEVICE, "link": LED_LINK, "alarm": LED_ALARM}
"""All LEDs are driven high through 330 ohm."""
