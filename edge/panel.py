"""The panel: from the kit's condition to its four LEDs.

Owns no hardware: `rhythms` is a pure table look-up, `Panel.refresh` writes lit or dark to the `Lamps` it was given
(GPIO on a kit, lines of text in the demo, a recorder in tests). Nothing here survives a crash or needs to: the daemon
sets the condition anew at each start.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from hardware.leds import DOUBLE, FAST, OFF, ON, SLOW, lit
from hardware.pins import LEDS


@dataclass(frozen=True, slots=True)
class Condition:
    """What the panel must know of the kit; counts are of studies and devices."""

    recovering: bool = False
    devices_present: int = 0
    devices_missing: int = 0
    devices_wrong: int = 0
    capturing: int = 0
    link_up: bool = False
    waiting: int = 0
    unconfirmed: int = 0
    held_back: bool = False
    attention: bool = False
    refused: bool = False
    disk_failed: bool = False
    stick_busy: bool = False
    stick_ready: bool = False
    stopped: bool = False


REFRESH_S: Final = 0.08
"""How often the lamps are brought in step: the shortest flash of the table lasts 0.16 s."""


class Lamps(Protocol):
    """Where LEDs are."""

    def set(self, led: str, lit: bool) -> None:
        """Light or darken one of `hardware.pins.LEDS`."""


def rhythms(condition: Condition) -> dict[str, str]:
    """Return the rhythm of each LED. The first line that fits decides, worst first."""
    c = condition
    rules: dict[str, tuple[tuple[bool, str], ...]] = {
        "power": ((c.recovering, SLOW), (c.stick_busy, FAST), (c.stick_ready, DOUBLE), (True, ON)),
        "device": (
            (c.devices_wrong > 0, DOUBLE),
            (c.capturing > 0, FAST),
            (c.devices_missing > 0, SLOW),
            (c.devices_present > 0, ON),
            (True, OFF),
        ),
        "link": (
            (c.held_back and c.waiting > 0, DOUBLE),
            (c.link_up and c.waiting > 0, FAST),
            (c.waiting + c.unconfirmed == 0, ON),
            (not c.link_up, OFF),
            (True, SLOW),
        ),
        "alarm": (
            (c.stopped, ON),
            (c.disk_failed, FAST),
            (c.refused, DOUBLE),
            (c.attention, SLOW),
            (True, OFF),
        ),
    }
    return {led: next(rhythm for fits, rhythm in rules[led] if fits) for led in LEDS}


class Panel:
    """Keeps the lamps in step with the condition; writes only what changed."""

    def __init__(self, lamps: Lamps) -> None:
        self._lamps = lamps
        self._shown: dict[str, bool] = {}
        self.condition = Condition()

    def refresh(self, now: float) -> None:
        """Bring the lamps to what the condition asks for at `now`, seconds."""
        for led, rhythm in rhythms(self.condition).items():
            want = lit(rhythm, now)
            if self._shown.get(led) is not want:
                self._lamps.set(led, want)
                self._shown[led] = want


class GpioLamps:
    """The LEDs on the Pi's pins, through RPi.GPIO or its drop-in rpi-lgpio; only importable on a Pi."""

    def __init__(self) -> None:
        from RPi import GPIO

        self._gpio = GPIO
        GPIO.setmode(GPIO.BCM)
        for pin in LEDS.values():
            GPIO.setup(pin, GPIO.OUT, initial=GPIO.LOW)

    def set(self, led: str, lit: bool) -> None:
        self._gpio.output(LEDS[led], self._gpio.HIGH if lit else self._gpio.LOW)


class DarkLamps:
    """No LEDs: a kit on a desk."""

    def set(self, led: str, lit: bool) -> None:
        """Light nothing."""
