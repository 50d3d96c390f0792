"""A trace of a link on a disk: for the day on which somebody must know what really went over the line.

Owns two files, `NAME` and the one before it, `NAME.1`, each at most half of `size_max` bytes; the older one goes when
the newer is full. Nothing is fsynced: a trace proves nothing and must not wear the card. A disk that is full or fails
ends the trace and nothing else. Called for every frame by `node.line`, `node.caller` and `node.host`.
"""

from collections.abc import Callable
from typing import Final, Protocol

from node.clock import Clock
from node.disk import Disk
from node.entropy import Entropy, new_id
from node.seams import Bearer
from wire import trace
from wire.checks import TRACE
from wire.errors import AuthError, DiskError, DiskFull, PeerError
from wire.session import peek
from wire.stream import StreamWriter
from wire.trace import RECEIVED, SENT, EventSeen, FrameSeen

__all__ = ["NO_TRACE", "RECEIVED", "SENT", "Trace", "TraceFile"]

SIZE_MAX: Final = 16 << 20
SIZE_MIN: Final = 8192
BUFFER_SIZE: Final = 4096
"""Bytes that wait in memory; a crash takes them along."""


class Trace(Protocol):
    """Who is shown every frame. Calls never raise and never keep what a frame carries."""

    def frame(self, direction: int, bearer: Bearer, frame: bytes, counter: int, payload: bytes) -> None: ...
    def event(self, kind: str, text: str) -> None: ...
    def flush(self) -> None: ...


class _NoTrace:
    """Sees nothing."""

    def frame(self, direction: int, bearer: Bearer, frame: bytes, counter: int, payload: bytes) -> None: ...
    def event(self, kind: str, text: str) -> None: ...
    def flush(self) -> None: ...


NO_TRACE: Final = _NoTrace()


class TraceFile:
    """Writes a trace. `ended` says why it goes on no more, "" while it does."""

    def __init__(self, disk: Disk, name: str, clock: Clock, entropy: Entropy, size_max: int = SIZE_MAX) -> None:
        self._disk, self._name, self._clock, self._entropy = disk, name, clock, entropy
        self._half = max(size_max, SIZE_MIN) // 2
        self._buffer = bytearray()
        self._size = 0
        self.ended = ""
        self._guarded(self._begin)

    def frame(self, direction: int, bearer: Bearer, frame: bytes, counter: int, payload: bytes) -> None:
        """Note one frame; of `payload`, the opened records, only their heads are kept."""
        if self.ended:
            return
        kind, index = _head(frame)
        size = len(frame) + bearer.overhead
        shapes = trace.shapes(payload)
        self._note(FrameSeen(self._clock.time_ms(), direction, bearer.name, kind, index, counter, size, shapes))

    def event(self, kind: str, text: str) -> None:
        """Note one event."""
        if not self.ended:
            self._note(EventSeen(self._clock.time_ms(), kind, text))

    def flush(self) -> None:
        """Hand what is new to the system, behind a CHECK."""
        if not self.ended and self._buffer:
            self._buffer += self._writer.check()
            self._guarded(self._write)

    def _begin(self) -> None:
        if self._disk.exists(self._name):
            self._disk.rename(self._name, f"{self._name}.1")
        self._writer = StreamWriter(new_id(self._entropy), TRACE, self._clock.time_ms())
        self._buffer += self._writer.start()
        self._size = 0

    def _note(self, seen: FrameSeen | EventSeen) -> None:
        self._buffer += self._writer.put(trace.encode(seen))
        if len(self._buffer) >= BUFFER_SIZE:
            self.flush()
            if self._size >= self._half:
                self._guarded(self._begin)

    def _write(self) -> None:
        self._disk.append(self._name, bytes(self._buffer))
        self._size += len(self._buffer)
        self._buffer.clear()

    def _guarded(self, do: Callable[[], None]) -> None:
        try:
            do()
        except (DiskError, DiskFull) as error:
            self.ended = str(error)
            self._buffer.clear()


def _head(frame: bytes) -> tuple[int, int]:
    try:
        return peek(frame)
    except (AuthError, PeerError):
        return 0, 0
