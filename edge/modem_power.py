"""The supply or the power key of the kit's modem, on the board's pin for it (`hardware/pins.py`).

    rail   a switch in the modem's supply: the pin is high while it is on. Preferred: it also ends a hang.
    key    a transistor on PWRKEY: a press of `PRESS_S` switches the modem on or off, whichever it was not.

A key says nothing of how things stand, and nothing else does while a modem is deaf. Each cycle of the ladder
(`node/modems/ladder.py`) is `set(False)`, `set(True)`; every second one leaves the first press out. So whether the
modem was on or off when the first cycle began, it is on after the second. `set(True)` again means that it answers, and
begins the count anew.

Nothing here survives the process but the level of the pin. A rail that is high is taken over as it stands, for a modem
that lives has more to put away than a cut would leave it time for; a key that is down is let go.
"""

from collections.abc import Callable
from typing import Final

from hardware.pins import MODEM_POWER
from node.modems.seam import Power
from wire.errors import UsageError

PRESS_S: Final = 1.5
"""SIM800 wants 1 s and more; Quectel 0.5 s to go on, 0.65 s off. SIM7600 wants 2.5 s to go off: give it a rail."""

REST_S: Final = 2.5
"""A 9602 whose supply comes back within 2 s may stay dead (9602 Developers Guide), and a way may open again at once."""

Pin = Callable[[bool], None]
"""Drives a pin high or low."""
TakePin = Callable[[int], tuple[Pin, bool]]
"""Takes a BCM pin over without changing its level; returns what drives it, and whether it is high."""
Later = Callable[[float, Callable[[], None]], object]
"""Calls something after so many seconds: `loop.call_later`."""


class RailPower:
    """A switch in the supply. What was off, since we know not when, is on again after REST_S at the earliest."""

    def __init__(self, pin: Pin, later: Later, *, is_on: bool = False) -> None:
        self._pin, self._later = pin, later
        self._is_wanted = is_on
        self._rests = 0
        if not is_on:
            self._rest()

    def set(self, on: bool) -> None:
        was_wanted, self._is_wanted = self._is_wanted, on
        if not on:
            self._pin(False)
            if was_wanted:
                self._rest()
        elif not self._rests:
            self._pin(True)

    def _rest(self) -> None:
        self._rests += 1
        self._later(REST_S, self._rested)

    def _rested(self) -> None:
        self._rests -= 1
        if self._is_wanted and not self._rests:
            self._pin(True)


class KeyPower:
    """A press for each change, but for every second cycle. At first the modem is believed to be on.

    Two presses that ran into one another would be one: a change that comes too soon is made up for later, and two of
    them are none.
    """

    def __init__(self, pin: Pin, later: Later) -> None:
        self._pin, self._later = pin, later
        self._is_on = True
        self._cycles = 0
        self._is_down = self._is_busy = self._is_owed = False
        pin(False)

    @property
    def is_pressing(self) -> bool:
        """The key is down, or a press is owed: a process that ended now would hold it for ever, or leave it out."""
        return self._is_down or self._is_owed

    def set(self, on: bool) -> None:
        if on is self._is_on:
            self._cycles = 0
            return
        self._is_on = on
        self._cycles += not on
        if on or self._cycles % 2:
            self._press()

    def _press(self) -> None:
        if self._is_busy:
            self._is_owed = not self._is_owed
            return
        self._is_busy = self._is_down = True
        self._pin(True)
        self._later(PRESS_S, self._release)

    def _release(self) -> None:
        self._is_down = False
        self._pin(False)
        self._later(REST_S, self._rested)

    def _rested(self) -> None:
        self._is_busy = False
        if self._is_owed:
            self._is_owed = False
            self._press()


def check_pins() -> None:
    """Raise UsageError where this machine has no pins; none is touched."""
    try:
        import RPi.GPIO  # noqa: F401 - to import it is the question
    except (ImportError, RuntimeError, OSError) as error:
        raise _no_pins(error) from error


def _no_pins(error: Exception) -> UsageError:
    return UsageError(f"power=: this machine has no pins ({error}); install python3-rpi-lgpio, or leave the option out")


def gpio_pin(number: int) -> tuple[Pin, bool]:
    """Take a pin of this machine over (`TakePin`). Raises UsageError where there are none."""
    try:
        from RPi import GPIO

        GPIO.setmode(GPIO.BCM)
        GPIO.setup(number, GPIO.OUT)  # with `initial` it would be set at once, whatever it was before
        is_high = bool(GPIO.input(number))
    except (ImportError, RuntimeError, OSError) as error:
        raise _no_pins(error) from error
    return lambda high: GPIO.output(number, GPIO.HIGH if high else GPIO.LOW), is_high


def modem_power(how: str, later: Later, take: TakePin = gpio_pin) -> Power:
    """Return the power of the kit's modem: `rail` or `key`. Raises UsageError."""
    if how not in ("rail", "key"):
        raise UsageError(f"power={how}: want rail or key")
    pin, is_high = take(MODEM_POWER)
    return RailPower(pin, later, is_on=is_high) if how == "rail" else KeyPower(pin, later)


__all__ = ["PRESS_S", "REST_S", "KeyPower", "RailPower", "check_pins", "modem_power"]
