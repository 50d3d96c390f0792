"""A simulated link between two nodes: slow, lossy, cut, and of either nature.

As datagrams it loses, duplicates, reorders and corrupts; as a stream it keeps order and loses nothing until the
connection dies, and then everything on its way is gone. Every frame is shown to the world's checkers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from tests.sim.world import World

MTU_BYTES = 1200
OVERHEAD_BYTES = 28


@dataclass(frozen=True, slots=True)
class LinkShape:
    """Rate in bit/s, delays in seconds, chances per frame."""

    rate_bps: float = 40_000
    delay_s: float = 0.3
    jitter_s: float = 0.05
    loss: float = 0.02
    duplicate: float = 0.01
    corrupt: float = 0.005
    queue_bytes: int = 16_384
    is_stream: bool = False
    is_message: bool = False
    mtu_bytes: int = MTU_BYTES
    overhead_bytes: int = OVERHEAD_BYTES


class End(Protocol):
    """What a node looks like to a link."""

    def bearer_up(self, bearer: "SimBearer", now: float) -> None: ...
    def bearer_down(self, bearer: "SimBearer", now: float) -> None: ...
    def receive(self, bearer: "SimBearer", frame: bytes, now: float) -> None: ...


class SimBearer:
    """One end of one connection over a `SimLink`; the seam `node.bearer.Bearer`."""

    def __init__(self, link: "SimLink", side: int, epoch: int) -> None:
        self._link, self.side, self.epoch = link, side, epoch
        self.mtu, self.overhead = link.shape.mtu_bytes, link.shape.overhead_bytes
        self.is_stream, self.is_message = link.shape.is_stream, link.shape.is_message
        self.closed = False

    @property
    def name(self) -> str:
        return f"sim{self.epoch}"

    def send(self, frame: bytes) -> None:
        self._link.carry(self, frame)

    def room(self) -> int:
        """Bytes the near end of the line takes now; a stream pushes back, datagrams do not."""
        return max(0, self._link.shape.queue_bytes - self._link.backlog(self.side)) if self.is_stream else 1 << 20

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._link.closed_by(self)


class SimLink:
    """The line between `ends[0]` (who calls) and `ends[1]` (who answers); cut and mended by the scenario."""

    def __init__(self, world: World, shape: LinkShape, watch: Callable[[bytes], None]) -> None:
        self.world, self.shape, self._watch = world, shape, watch
        self.ends: list[End | None] = [None, None]
        self._bearers: list[SimBearer | None] = [None, None]
        self._busy_until = [0.0, 0.0]
        self._last_arrival = [0.0, 0.0]
        self._epoch = 0
        self.is_up = False
        self.frames = 0
        self.bytes = 0

    def mend(self) -> None:
        """A new connection between the two ends, if both live."""
        if self.is_up or not all(self.ends):
            return
        self._epoch += 1
        self.is_up = True
        for side in (0, 1):
            self._bearers[side] = SimBearer(self, side, self._epoch)
        for side in (1, 0):
            end, bearer = self.ends[side], self._bearers[side]
            if end and bearer:
                end.bearer_up(bearer, self.world.now)

    def cut(self, tell: tuple[bool, bool] = (True, True)) -> None:
        """Everything on its way is gone. `tell` says which end notices that its bearer is down."""
        if not self.is_up:
            return
        self.is_up = False
        for side in (0, 1):
            end, bearer = self.ends[side], self._bearers[side]
            if end and bearer and tell[side]:
                bearer.closed = True
                end.bearer_down(bearer, self.world.now)

    def closed_by(self, bearer: SimBearer) -> None:
        """One end hung up: a stream dies for both, a datagram path does not care."""
        if self.shape.is_stream and self._bearers[bearer.side] is bearer:
            self.world.after(self.shape.delay_s, self.cut)

    def backlog(self, side: int) -> int:
        return int(max(0.0, self._busy_until[side] - self.world.now) * self.shape.rate_bps / 8)

    def carry(self, bearer: SimBearer, frame: bytes) -> None:
        self._watch(frame)
        self.frames += 1
        self.bytes += len(frame)
        rng, shape, side = self.world.rng, self.shape, bearer.side
        if not self.is_up or bearer.closed or bearer.epoch != self._epoch:
            return
        if not shape.is_stream and self.backlog(side) + len(frame) > shape.queue_bytes:
            return
        self._busy_until[side] = max(self.world.now, self._busy_until[side]) + len(frame) * 8 / shape.rate_bps
        arrival = self._busy_until[side] + shape.delay_s + rng.random() * shape.jitter_s
        if shape.is_stream:
            arrival = self._last_arrival[side] = max(arrival, self._last_arrival[side])
        elif rng.random() < shape.loss:
            return
        elif rng.random() < shape.corrupt:
            at = rng.randrange(len(frame))
            frame = frame[:at] + bytes((frame[at] ^ 1 << rng.randrange(8),)) + frame[at + 1 :]
        copies = 2 if not shape.is_stream and rng.random() < shape.duplicate else 1
        for n in range(copies):
            self.world.at(arrival + n * rng.random(), lambda: self._deliver(bearer, frame))

    def _deliver(self, bearer: SimBearer, frame: bytes) -> None:
        other = 1 - bearer.side
        end, far = self.ends[other], self._bearers[other]
        if self.is_up and bearer.epoch == self._epoch and end and far and not far.closed:
            end.receive(far, frame, self.world.now)
