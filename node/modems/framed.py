"""The bearer on a line of bytes: a serial line, a data call, a TCP connection that stands for one (`wire/framing.py`).

It keeps frames until its owner takes them for the line, and says that it has room only when the line is about to run
dry: what waits is with the link, which may still put something urgent before it, and not in a buffer of a kernel or a
modem. How long the line is busy follows from its rate; where something else holds it up (RTS/CTS), `below` tells what
is still unsent. Owned by one modem or line object, synchronous, never survives its line.

It is no stream (`is_stream`): a line loses what noise touches, and a call that is silent for a while is most often a
fade, which is over before another call is made. What ends a call is its owner's to know.
"""

from collections.abc import Callable
from typing import Final

from wire.framing import MARK, Deframer, enclose, overhead_max
from wire.session import FRAME_SIZE_MAX, FrameKind

MTU: Final = 1400
"""2 % of such a frame are not its records; noise costs no more than one of them. The pace makes them smaller yet."""
OVERHEAD: Final = overhead_max(1000)
BITS_OF_BYTE: Final = 10
"""8N1: a start bit, eight of data, a stop bit."""
QUEUE_SIZE_MAX: Final = 4 * MTU
"""What was sent without asking for room (greetings, probes) waits up to so many bytes; then it is lost."""
LEAD_S: Final = 0.02
"""So long before the line is dry there is room again: as long as a busy machine may take to answer."""


def _nothing() -> int:
    return 0


class FramedBearer:
    """Frames in, bytes for the line out, at most `bytes_s` a second.

    `below` tells how much of what was taken is still unsent; `closed` is called when the link gives the bearer up,
    `sent` when there is something to take: the link sends when it likes, not only when it hears something.
    """

    is_stream = is_message = False
    mtu = MTU
    overhead = OVERHEAD

    def __init__(
        self,
        name: str,
        bytes_s: float,
        below: Callable[[], int] = _nothing,
        closed: Callable[[], None] = lambda: None,
        sent: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self._byte_s = 1 / bytes_s
        self._below, self._closed, self._sent = below, closed, sent
        self._deframer = Deframer()
        self._queue = bytearray()
        self._is_busy = False
        self._busy_until = float("-inf")
        self.frames_dropped = 0
        self.has_answered = False
        """Whether more than hints was sent: to strangers a host says nothing else."""
        self.is_open = True
        """Whether it may have room at all: not while the far end has its turn (`turns.py`)."""

    @property
    def unsent(self) -> int:
        """Bytes that nobody has taken for the line yet."""
        return len(self._queue)

    @property
    def dry_at(self) -> float:
        """When the line will have sent what was taken."""
        return self._busy_until

    @property
    def lost_bytes(self) -> int:
        """What came on the line and was part of no frame."""
        return self._deframer.lost_bytes

    def room(self) -> int:
        return FRAME_SIZE_MAX if self.is_open and not self._is_busy else 0

    def send(self, frame: bytes) -> None:
        raw = enclose(frame)
        if not self.is_open and raw in self._queue:
            return  # a greeting that is said again while it waits
        if len(self._queue) + len(raw) > QUEUE_SIZE_MAX or not 0 < len(frame) <= MTU:
            self.frames_dropped += 1
            return
        self.has_answered = self.has_answered or frame[0] != FrameKind.HINT
        self._queue += raw
        self._is_busy = True
        self._sent()

    def close(self) -> None:
        self._queue.clear()
        self._closed()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` of the line completes."""
        return self._deframer.feed(data)

    def take(self, now: float) -> bytes:
        """Return what is to go on the line, and forget it. After a pause a mark stands before it."""
        if not self._queue or self._is_held_up(now):
            return b""
        data = (MARK if now >= self._busy_until else b"") + bytes(self._queue)
        self._queue.clear()
        self._busy_until = max(now, self._busy_until) + len(data) * self._byte_s
        return data

    def tick(self, now: float) -> bool:
        """Tell whether there is room now that was none before."""
        at = self.deadline()
        if at is None or at > now or self._is_held_up(now) or self._queue:
            return False
        self._is_busy = False
        return True

    def deadline(self) -> float | None:
        """When there will be room, or something can be taken; None while nothing waits."""
        return self._busy_until - LEAD_S if self._is_busy else None

    def _is_held_up(self, now: float) -> bool:
        """Tell whether the line is slower than its rate: more is unsent than it takes in a moment. Ask again later."""
        if now < self._busy_until - LEAD_S:
            return bool(self._queue) and self._below() > LEAD_S / self._byte_s
        late_s = self._below() * self._byte_s
        if late_s > LEAD_S:
            self._busy_until = now + late_s
        return late_s > LEAD_S


__all__ = ["BITS_OF_BYTE", "LEAD_S", "MTU", "OVERHEAD", "QUEUE_SIZE_MAX", "FramedBearer"]
