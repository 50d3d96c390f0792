"""How much may be sent to somebody who does not answer: an hour out of coverage must not cost the day's summaries.

A link asks again and again while it hears nothing (`node/watch.py`, `node/caller.py`), 50 to 75 bytes a second. That
makes it quick when it is back, and an operator bills it. So a way whose bytes are bounded, by a budget of bytes or of
money for bytes, has an allowance from UNANSWERED_S on: SILENT_SIZE at once, and then part of what its budget allows
evenly through a day. What does not fit is lost, as a bearer may lose frames; the first frame that comes ends it.

A frame goes while nothing is owed, whatever its size, and what it took beyond is waited for: so a HELLO has its turn
among small probes. Pure but for the clock it is handed; nothing survives, for a new process may have a new place.
"""

from collections.abc import Callable, Iterable
from typing import Final

from edge.tariff import MB, UNBOUNDED, Amount, Tariff

UNANSWERED_S: Final = 30.0
SILENT_SIZE: Final = 2048
"""Three HELLOs, or one with what is early behind it."""
SILENT_PART: Final = 0.25
SILENT_RATE_MIN: Final = 1.0
"""Bytes a second: four probes for each try of a way that rests three minutes in between."""
DAY_S: Final = 86_400.0


class Unanswered:
    """The allowance of one way. `rate_bytes_s`: at which it comes back; None where nothing is bounded."""

    def __init__(self, rate_bytes_s: float | None, clock: Callable[[], float]) -> None:
        self._rate, self._clock = rate_bytes_s, clock
        self.since: float | None = None
        """When the first frame went that nothing has come for; None when something came since."""
        self._left, self._looked_at = float(SILENT_SIZE), 0.0

    def begin_try(self) -> None:
        """The way is opened: what cannot ask once need not be opened."""
        self._left = max(self._left, 0.0)

    def heard(self) -> None:
        """Something has come."""
        self.since = None

    def lets_through(self, size: int) -> bool:
        """Tell whether a frame of `size` bytes may go, and count it."""
        now = self._clock()
        if self.since is None:
            self.since, self._left = now, float(SILENT_SIZE)
        if self._rate is None or now - self.since <= UNANSWERED_S:
            self._looked_at = now
            return True
        self._left = min(self._left + (now - self._looked_at) * self._rate, float(SILENT_SIZE))
        self._looked_at = now
        if self._left < 0:
            return False
        self._left -= size
        return True


def silent_rate(tariff: Tariff, limits: Iterable[Amount]) -> float | None:
    """Return the bytes a second that may go unanswered under these budgets of a day; None where they bound no bytes."""
    sizes = [limit.size for limit in limits if limit.size < UNBOUNDED.size]
    if tariff.micros_per_mb:
        sizes += [limit.micros * MB // tariff.micros_per_mb for limit in limits if limit.micros < UNBOUNDED.micros]
    return max(SILENT_PART * min(sizes) / DAY_S, SILENT_RATE_MIN) if sizes else None
