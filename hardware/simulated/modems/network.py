"""The network behind a simulated modem: sockets that are polled, and a whole internet of objects in virtual time.

A modem opens a `Socket` and polls it; a far end listens and gets sockets of its own. Whether it is this process'
objects (`VirtualNetwork`), the real loopback (`sockets.py`), or either behind a bad radio link (`air.py`), the calls
are the same. Delivery here is immediate and perfect: delay, rate and loss are the air's.
"""

from collections import deque
from typing import Final, Protocol

Address = tuple[str, int]
TCP: Final = "TCP"
UDP: Final = "UDP"
WAITING_MAX: Final = 4_096
"""Pieces that wait in one socket to be received; a datagram more is lost, a stream's writer is cut off."""
EPHEMERAL_PORT: Final = 40_000


class Socket(Protocol):
    """One end of a connection, or of a flow of datagrams."""

    peer: Address

    @property
    def is_open(self) -> bool:
        """The far end can be reached; of a datagram socket always, until it is closed."""

    @property
    def error(self) -> str:
        """Why it is not open: "" while it is being opened or is open, else `refused`, `closed`, `unknown host`, ..."""

    @property
    def unacknowledged(self) -> int:
        """Bytes sent of which the far end has not said that they arrived."""

    def send(self, data: bytes, now: float) -> None:
        """Send. Of a socket that is not open nothing is sent."""

    def receive(self, now: float) -> bytes | None:
        """Return one datagram, or some bytes of the stream; None when nothing is there."""

    def close(self, now: float) -> None:
        """End it; what was sent before still arrives."""

    def deadline(self) -> float | None:
        """Return when `receive` may have something that it has not now, as far as that is known."""


class Listener(Protocol):
    """A far end: it is given each new socket, and polls it."""

    def accepted(self, socket: Socket, now: float) -> None: ...


class Network(Protocol):
    """Where sockets come from."""

    def open(self, kind: str, host: str, port: int, now: float) -> Socket: ...
    def listen(self, kind: str, host: str, port: int, listener: Listener) -> Address:
        """Let `listener` have what is opened to this address; return it with a port for 0. Raises OSError."""

    def tick(self, now: float) -> None: ...
    def deadline(self) -> float | None: ...


class Pipe:
    """One end of a virtual connection. `VirtualNetwork` joins two."""

    def __init__(self, peer: Address, kind: str) -> None:
        self.peer = peer
        self._kind = kind
        self._other: Pipe | None = None
        self._waiting: deque[bytes] = deque()
        self._error = ""

    @classmethod
    def refused(cls, peer: Address, why: str) -> "Pipe":
        """Return an end that never had another."""
        pipe = cls(peer, TCP)
        pipe._error = why
        return pipe

    def join(self, other: "Pipe") -> None:
        self._other, other._other = other, self

    @property
    def is_open(self) -> bool:
        return not self._error and (self._other is not None or self._kind == UDP)

    @property
    def error(self) -> str:
        return "" if self._waiting else self._error

    @property
    def unacknowledged(self) -> int:
        return 0

    def send(self, data: bytes, now: float) -> None:
        if self._other is not None and not self._error and data:
            self._other.take(data, now)

    def take(self, data: bytes, now: float) -> None:
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append(data)
        elif self._kind == TCP:
            self.close(now)

    def receive(self, now: float) -> bytes | None:
        return self._waiting.popleft() if self._waiting else None

    def close(self, now: float) -> None:
        other, self._other = self._other, None
        self._error = self._error or "closed"
        if other is not None and self._kind == TCP:
            other._error, other._other = "closed", None

    def deadline(self) -> float | None:
        return 0.0 if self._waiting else None


class VirtualNetwork:
    """An internet of objects. Whoever opens a socket has an address of its own: `near`, with a new port each time."""

    def __init__(self, near: str = "10.64.0.7") -> None:
        self.near = near
        self._listeners: dict[tuple[str, str, int], Listener] = {}
        self._opened = 0

    def listen(self, kind: str, host: str, port: int, listener: Listener) -> Address:
        port = port or EPHEMERAL_PORT + len(self._listeners)
        self._listeners[kind, host, port] = listener
        return host, port

    def open(self, kind: str, host: str, port: int, now: float) -> Socket:
        listener = self._listeners.get((kind, host, port))
        if listener is None:
            return Pipe((host, port), UDP) if kind == UDP else Pipe.refused((host, port), "refused")
        self._opened += 1
        ours = Pipe((host, port), kind)
        theirs = Pipe((self.near, EPHEMERAL_PORT + self._opened % 20_000), kind)
        ours.join(theirs)
        listener.accepted(theirs, now)
        return ours

    def tick(self, now: float) -> None:
        """Nothing waits here."""

    def deadline(self) -> float | None:
        return None
