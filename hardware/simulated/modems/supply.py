"""A modem's supply and its power key, as the host has them in its hands: levels now, effects at the modem's next tick.

`Rail` and `Key` can be given to a driver as its power: they have `set(on)`, and no time, as a GPIO pin has none.
"""

from typing import Final

KEY_S: Final = 1.0
"""How long the key is held before the modem goes on or off (SIM800: a second or more)."""


class Rail:
    """The supply."""

    def __init__(self, *, is_on: bool) -> None:
        self.is_on = is_on
        self.is_changed = is_on
        self._off_at = float("-inf")
        self.cuts = 0

    def set(self, on: bool) -> None:
        """Switch it. Twice within one tick is as if nothing had been."""
        if on != self.is_on:
            self.is_on = on
            self.is_changed = not self.is_changed
            self.cuts += not on

    def take_change(self, now: float) -> float | None:
        """Return for how long there was no supply (0.0 when it has just gone), or None when nothing has changed."""
        if not self.is_changed:
            return None
        self.is_changed = False
        if not self.is_on:
            self._off_at = now
            return 0.0
        return now - self._off_at


class Key:
    """The power key of a SIM800 or a Quectel. `is_needed`: the supply alone does not start the modem."""

    def __init__(self) -> None:
        self.is_needed = False
        self.is_down = False
        self.is_changed = False
        self._acts_at: float | None = None

    def set(self, on: bool) -> None:
        """Press it or let it go."""
        self.is_changed |= on != self.is_down
        self.is_down = on

    def acts_at(self) -> float | None:
        """Return when it will have been held long enough."""
        return self._acts_at

    def toggles(self, now: float) -> bool:
        """Return whether the modem goes on or off now: once for each time that the key is held."""
        if self.is_changed:
            self.is_changed = False
            self._acts_at = now + KEY_S if self.is_down else None
        if self._acts_at is None or now < self._acts_at:
            return False
        self._acts_at = None
        return True
