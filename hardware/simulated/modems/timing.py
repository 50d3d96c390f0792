"""What is to happen later, and bytes that leave at the pace of a line. Both in virtual time, both bounded."""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Final

from wire.errors import Misuse

EVENTS_MAX: Final = 4_096
PIECE_SIZE_MAX: Final = 256
BITS_PER_BYTE: Final = 10
"""8N1: a start bit, eight of data, a stop bit."""

Event = Callable[[float], None]


class Agenda:
    """Events in the order of their times; those of one time in the order in which they were put down."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Event]] = []
        self._count = 0

    def put(self, at: float, event: Event) -> int:
        """Put down an event; the number returned crosses it out."""
        if len(self._heap) >= EVENTS_MAX:
            raise Misuse(f"a simulated modem has {EVENTS_MAX} events put down: something puts them down for ever")
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, event))
        return self._count

    def cross_out(self, number: int) -> None:
        """Forget one event, when it has not happened yet."""
        self._heap = [entry for entry in self._heap if entry[1] != number]
        heapq.heapify(self._heap)

    def clear(self) -> None:
        self._heap.clear()

    def next_at(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> tuple[float, Event] | None:
        """Return the next event that is due with its own time, and forget it."""
        if not self._heap or self._heap[0][0] > now:
            return None
        at, _, event = heapq.heappop(self._heap)
        return at, event


class Outlet:
    """Bytes on their way out of the modem, in order, each piece when its last bit has left."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._busy_until = 0.0

    def put(self, data: bytes, now: float, baud: int, gap_s: float | None = None) -> None:
        """Send `data` after what is already on its way. With a gap, every byte goes by itself, that much later."""
        size = PIECE_SIZE_MAX if gap_s is None else 1
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self._busy_until = max(self._busy_until, now) + len(piece) * BITS_PER_BYTE / baud + (gap_s or 0.0)
            self._pieces.append((self._busy_until, piece))

    def take(self, now: float) -> bytes:
        """Return what has left by now."""
        out = bytearray()
        while self._pieces and self._pieces[0][0] <= now:
            out += self._pieces.popleft()[1]
        return bytes(out)

    def cut(self, now: float) -> None:
        """Nothing leaves any more; what has left by now has left."""
        while self._pieces and self._pieces[-1][0] > now:
            self._pieces.pop()
        self._busy_until = now

    def next_at(self) -> float | None:
        return self._pieces[0][0] if self._pieces else None

    @property
    def busy_until(self) -> float:
        return self._busy_until


def earliest(*times: float | None) -> float | None:
    """Return the first of several times, any of which may be missing."""
    return min((at for at in times if at is not None), default=None)
