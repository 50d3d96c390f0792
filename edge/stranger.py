"""Is it the right device that speaks on a port? Two identical adapters may be swapped, and nobody sees it.

Pure: bytes and time in, a verdict out. `edge.kit` owns one for each port. The port's driver is asked whether the bytes
are its device's, and where they are not, the other drivers (`edge.signs`): whole messages with a checksum or a strict
form, never a resemblance. Where the port's own driver knows its device's messages one by one, a single one of them
clears the port.

* The verdict falls at once on a port whose own device was not heard since it is open: no label is read out of a
  scale's line.
* Where the own device was heard, a cable was moved between two adapters, or a message holds another's: three foreign
  messages are wanted, and `OWN_S` without one of ours. A device that sends files (`Signs.carries`) is believed while
  the port is open.
* A driver that takes anything (`lines`) may have been chosen for the very device that another driver knows. There only
  the drivers of the kit's other ports count.

Nothing here survives a crash.
"""

from collections.abc import Mapping
from typing import Final

from edge.signs import NOTHING, Signs

WINDOW_SIZE: Final = 4_096
OWN_S: Final = 10.0
FOREIGN_COUNT: Final = 3
QUIET_S: Final = 0.5
GROWTH: Final = 4
"""It is looked again when a quarter has been added."""
ASK_SIZE: Final = 512
"""The others are asked when so much came that is not ours, or the line is quiet: that is twenty readers' work."""
ASK_S: Final = 1.0
"""On a line that is never quiet they are asked no more often."""


class Suspicion:
    """What one port hears. `others`: signs by driver."""

    def __init__(self, own: Signs, others: Mapping[str, Signs]) -> None:
        self._own = own
        self._others = {name: one for name, one in others.items() if one.proof != NOTHING}
        self.wrong = ""
        """The driver whose device speaks here; "" for the right one, or for nobody knows whose."""
        self.own_at: float | None = None
        """When the own device was heard last, since the port is open."""
        self._window = bytearray()
        self._looked_size = self._added = 0
        """Bytes when it was looked last, and since then."""
        self._unasked = False
        """The others have not been asked about all that came."""
        self._heard_at = 0.0
        self._asked_at = float("-inf")

    def appeared(self) -> None:
        """The port is open: whoever was there may be another now."""
        self.wrong, self.own_at = "", None
        self._forget()

    def heard(self, data: bytes, now: float) -> bytes:
        """Take what came. Where `wrong` is another than before, return the bytes that are no more the other's."""
        self._window += data
        del self._window[:-WINDOW_SIZE]
        self._heard_at, self._unasked = now, True
        self._added += len(data)
        if self._added <= self._looked_size // GROWTH:
            return b""
        return self._judge(now, is_quiet=False)

    def tick(self, now: float) -> bytes:
        """The line may be quiet: see `heard`."""
        at = self.deadline()
        return self._judge(now, is_quiet=True) if at is not None and now >= at else b""

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        return self._heard_at + QUIET_S if self._unasked else None

    def _judge(self, now: float, *, is_quiet: bool) -> bytes:
        data = bytes(self._window)
        self._looked_size, self._added = len(data), 0
        if self._own.are_in(data):
            self.own_at = now
            return self._settle("", data)
        if self._own.maybe(data) and not self.wrong:
            self._forget()
            return b""
        is_first = is_quiet or (self._own.proof == NOTHING and len(data) < ASK_SIZE)
        if not is_first and (len(data) < ASK_SIZE or now - self._asked_at < ASK_S):
            return b""
        self._unasked, self._asked_at = False, now
        found = self._foreign(data, now)
        return self._settle(found, data) if found else b""

    def _foreign(self, data: bytes, now: float) -> str:
        wanted = 1
        if self.own_at is not None:
            if self._own.carries or now - self.own_at < OWN_S:
                return ""
            wanted = FOREIGN_COUNT
        return next((name for name, one in self._others.items() if one.are_in(data, wanted)), "")

    def _settle(self, who: str, data: bytes) -> bytes:
        before, self.wrong = self.wrong, who
        self._forget()
        return data if before != who else b""

    def _forget(self) -> None:
        self._unasked = False
        self._window.clear()
        self._looked_size = self._added = 0
