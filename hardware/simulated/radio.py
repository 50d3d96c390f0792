"""A simulated radio link: a UDP relay that is slow, lossy and cut, for the demo and for training.

Stands between two programs on one machine, needs no root and no network namespace. Model, per direction: a
tail-drop queue feeds a serialiser of `rate_bps`; a datagram is then lost with probability `loss`, or arrives `delay_s`
later. While the link is cut, everything offered or on its way is gone, and after a cut the near side comes back from
another address, as a modem does after a new call.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

IP_UDP_HEADER_BYTES: Final = 28
SIDES_MAX: Final = 16
"""Near-side addresses kept at once."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the link is like, the same in both directions. `loss` is a probability, `queue_bytes` a bound."""

    rate_bps: float = 40_000.0
    delay_s: float = 0.3
    loss: float = 0.01
    queue_bytes: int = 16_384


class _Way:
    """One direction: when does what is offered now arrive, if at all?"""

    def __init__(self, shape: Shape, rng: Random) -> None:
        self._shape, self._rng = shape, rng
        self._busy_until = 0.0
        self.bytes_carried = 0

    def admit(self, size: int, now: float) -> float | None:
        """Return the arrival time of a datagram of `size` bytes, or None when it is lost."""
        shape, size = self._shape, size + IP_UDP_HEADER_BYTES
        begin = max(now, self._busy_until)
        if (begin - now) * shape.rate_bps / 8 + size > shape.queue_bytes:
            return None
        self._busy_until = begin + size * 8 / shape.rate_bps
        self.bytes_carried += size
        return None if self._rng.random() < shape.loss else self._busy_until + shape.delay_s


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Address], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        """A refused port on loopback is a far side that is being restarted: the link carries on."""


class Radio:
    """The relay. `await open()`, then point the near side at `address`; `cut()` and `mend()` at will."""

    def __init__(self, far: Address, shape: Shape, seed: int = 1) -> None:
        self._far, self._shape = far, shape
        self._up, self._down = _Way(shape, Random(f"{seed}u")), _Way(shape, Random(f"{seed}d"))  # noqa: S311 - no secret
        self._far_sockets: dict[Address, asyncio.DatagramTransport] = {}
        self._near: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._epoch = 0
        self.is_cut = False
        self.cuts = 0

    @property
    def address(self) -> Address:
        """Where the near side sends."""
        if self._near is None:
            raise RuntimeError("the radio is not open")
        host, port = self._near.get_extra_info("sockname")[:2]
        return host, port

    @property
    def bytes_carried(self) -> int:
        """Bytes that went over the air both ways, IP and UDP headers included."""
        return self._up.bytes_carried + self._down.bytes_carried

    async def open(self) -> None:
        """Begin to listen on a free port of the loopback interface."""
        loop = asyncio.get_running_loop()
        self._near, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self._from_near), local_addr=("127.0.0.1", 0)
        )

    def cut(self) -> None:
        """Drop the call: what is on its way is gone."""
        if not self.is_cut:
            self.is_cut = True
            self.cuts += 1

    def mend(self) -> None:
        """A new call: the near side appears to the far side under another address."""
        if self.is_cut:
            self.is_cut = False
            self._epoch += 1
            self._drop_far_sockets()

    def close(self) -> None:
        """Stop relaying."""
        self._drop_far_sockets()
        if self._near:
            self._near.close()

    def _drop_far_sockets(self) -> None:
        for transport in self._far_sockets.values():
            transport.close()
        self._far_sockets.clear()

    def _carry(self, way: _Way, data: bytes, deliver: Callable[[bytes], None]) -> None:
        loop = asyncio.get_running_loop()
        arrival = None if self.is_cut else way.admit(len(data), loop.time())
        if arrival is not None:
            epoch = self._epoch
            loop.call_at(arrival, lambda: None if self.is_cut or epoch != self._epoch else deliver(data))

    def _from_near(self, data: bytes, near: Address) -> None:
        def hand_over(packet: bytes) -> None:
            task = asyncio.ensure_future(self._to_far(packet, near))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._carry(self._up, data, hand_over)

    async def _to_far(self, data: bytes, near: Address) -> None:
        transport = self._far_sockets.get(near)
        if transport is None:
            if len(self._far_sockets) >= SIDES_MAX:
                self._drop_far_sockets()
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Receiver(lambda packet, _: self._carry(self._down, packet, lambda p: self._to_near(p, near))),
                remote_addr=self._far,
            )
            self._far_sockets[near] = transport
        transport.sendto(data)

    def _to_near(self, data: bytes, near: Address) -> None:
        if self._near and not self._near.is_closing():
            self._near.sendto(data, near)
