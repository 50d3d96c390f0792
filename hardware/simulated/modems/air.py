"""A radio link between a modem and the network: slow, late, lossy, cut; around any `network.Network`, in virtual time.

Model, per direction and for all sockets together: a tail-drop queue feeds a serialiser of `rate_bps`, and what has left
it arrives `delay_s` later. A datagram is lost with probability `loss`; a piece of a stream is then late by a
retransmission instead, and everything behind it with it. While the link is cut datagrams are gone, and streams wait.
"""

from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Final

from hardware.simulated.modems.network import TCP, Address, Listener, Network, Socket
from hardware.simulated.modems.timing import earliest

HEADER_BYTES: Final = {"TCP": 40, "UDP": 28}
SEGMENT_BYTES: Final = 1_360
RETRANSMISSION_S: Final = 1.0
"""The least wait of a TCP for a piece that was lost."""
CUT_WAIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Shape:
    """What the air is like, the same both ways. `rate_bps` 0: no limit. `loss` is a probability."""

    rate_bps: float = 0.0
    delay_s: float = 0.0
    loss: float = 0.0
    queue_bytes: int = 65_536


class _Way:
    """One direction."""

    def __init__(self, shape: Shape, rng: Random) -> None:
        self._shape, self._rng = shape, rng
        self._busy_until = 0.0

    def queued_bytes(self, now: float) -> float:
        return max(0.0, self._busy_until - now) * self._shape.rate_bps / 8

    def arrival(self, size: int, kind: str, now: float) -> float | None:
        """Return when what is offered now arrives, or None when it is lost."""
        shape, size = self._shape, size + HEADER_BYTES[kind]
        if kind != TCP and self.queued_bytes(now) + size > shape.queue_bytes:
            return None
        self._busy_until = max(now, self._busy_until) + (size * 8 / shape.rate_bps if shape.rate_bps else 0.0)
        late_s = 0.0
        while self._rng.random() < shape.loss:
            if kind != TCP:
                return None
            late_s += RETRANSMISSION_S + 2 * shape.delay_s
        return self._busy_until + shape.delay_s + late_s


@dataclass(slots=True)
class _Lane:
    """What is on its way in one direction of one socket, in order."""

    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    bytes_waiting: int = 0

    def put(self, at: float, data: bytes, *, is_ordered: bool) -> None:
        if is_ordered and self.waiting:
            at = max(at, self.waiting[-1][0])
        self.waiting.append((at, data))
        self.bytes_waiting += len(data)

    def take(self, now: float) -> bytes | None:
        if not self.waiting or self.waiting[0][0] > now:
            return None
        data = self.waiting.popleft()[1]
        self.bytes_waiting -= len(data)
        return data

    def next_at(self) -> float | None:
        return self.waiting[0][0] if self.waiting else None


class AirSocket:
    """A socket whose bytes are on their way for a while."""

    def __init__(self, air: "Air", kind: str, inner: Socket, opened_at: float) -> None:
        self.peer = inner.peer
        self._air, self._kind, self._inner = air, kind, inner
        self._opened_at, self._now = opened_at, 0.0
        self._up, self._down = _Lane(), _Lane()
        self._is_closing = False

    @property
    def is_open(self) -> bool:
        return self._now >= self._opened_at and not self._is_closing and not self.error

    @property
    def error(self) -> str:
        if self._now < self._opened_at or self._down.waiting:
            return ""
        return self._inner.error

    @property
    def unacknowledged(self) -> int:
        return self._up.bytes_waiting + self._inner.unacknowledged if self._kind == TCP else 0

    @property
    def is_finished(self) -> bool:
        return self._is_closing and not self._up.waiting

    def send(self, data: bytes, now: float) -> None:
        self.tick(now)
        if self.is_open:
            for piece in _pieces(data, self._kind):
                self._put(self._air.up, self._up, piece, now)

    def receive(self, now: float) -> bytes | None:
        self.tick(now)
        return self._down.take(now)

    def close(self, now: float) -> None:
        self._is_closing = True
        self.tick(now)

    def deadline(self) -> float | None:
        return earliest(self.carries_at(), self._down.next_at())

    def carries_at(self) -> float | None:
        """Return when `tick` has something to do."""
        if self._air.is_cut:
            return None
        opening = self._opened_at if self._now < self._opened_at else None
        return earliest(opening, self._up.next_at(), self._inner.deadline())

    def tick(self, now: float) -> None:
        """Carry what is due, and take up what the far end has sent."""
        self._now = max(self._now, now)
        if self._air.is_cut:
            return
        while (data := self._up.take(now)) is not None:
            self._inner.send(data, now)
        if self.is_finished:
            self._inner.close(now)
        while (data := self._inner.receive(now)) is not None:
            for piece in _pieces(data, self._kind):
                self._put(self._air.down, self._down, piece, now)

    def drop(self) -> None:
        """The link was cut: datagrams on their way are gone."""
        if self._kind != TCP:
            self._up, self._down = _Lane(), _Lane()

    def _put(self, way: _Way, lane: _Lane, data: bytes, now: float) -> None:
        at = way.arrival(len(data), self._kind, now)
        if self._air.is_cut:
            at = None if self._kind != TCP else now + CUT_WAIT_S
        if at is not None:
            lane.put(at, data, is_ordered=self._kind == TCP)


class Air:
    """The link. `cut` and `mend` at will; a number for `rate_bps` can be had anew with `reshape`."""

    def __init__(self, network: Network, shape: Shape, seed: int = 1) -> None:
        self._network = network
        self._rngs = Random(f"{seed} up"), Random(f"{seed} down")  # noqa: S311 - no secret
        self._sockets: list[AirSocket] = []
        self.is_cut = False
        self.reshape(shape)

    def reshape(self, shape: Shape) -> None:
        """Be like this from here on."""
        self.shape = shape
        self.up, self.down = _Way(shape, self._rngs[0]), _Way(shape, self._rngs[1])

    def open(self, kind: str, host: str, port: int, now: float) -> Socket:
        trip_s = 2 * self.shape.delay_s if kind == TCP else 0.0
        socket = AirSocket(self, kind, self._network.open(kind, host, port, now), now + trip_s)
        self._sockets = [one for one in self._sockets if not one.is_finished and not one.error] + [socket]
        return socket

    def listen(self, kind: str, host: str, port: int, listener: Listener) -> Address:
        return self._network.listen(kind, host, port, listener)

    def cut(self) -> None:
        """Nothing gets through any more."""
        self.is_cut = True
        for socket in self._sockets:
            socket.drop()

    def mend(self) -> None:
        self.is_cut = False

    def tick(self, now: float) -> None:
        self._network.tick(now)
        for socket in self._sockets:
            socket.tick(now)

    def deadline(self) -> float | None:
        return earliest(self._network.deadline(), *(socket.carries_at() for socket in self._sockets))


def _pieces(data: bytes, kind: str) -> list[bytes]:
    if kind != TCP:
        return [data]
    return [data[at : at + SEGMENT_BYTES] for at in range(0, len(data), SEGMENT_BYTES)]
