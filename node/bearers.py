"""Bearers over IP: UDP and TCP, both ends, on asyncio. They carry frames and know nothing of them.

A TCP stream carries each frame behind its length, u16. So little is left in the kernel's hands (NOT_SENT_SIZE) that
an urgent frame does not wait there behind a file; the pace of `wire/rate.py` bounds what is under way beyond.
"""

import asyncio
import contextlib
import errno
import socket
import struct
from collections.abc import Callable
from typing import Final, cast

from node.url import Url
from wire.session import FRAME_SIZE_MAX

ETHERNET_MTU: Final = 1500
UDP_OVERHEAD: Final = {socket.AF_INET: 28, socket.AF_INET6: 48}
UDP_MTU_HOST: Final = ETHERNET_MTU - UDP_OVERHEAD[socket.AF_INET]
"""The bound of what a host tries towards a caller (`wire/pathsize.py`); the caller's own end asks its socket."""
TCP_MTU: Final = 1446
"""One frame and its length in one segment of an Ethernet-sized path."""
TCP_OVERHEAD: Final = 2 + 52
NOT_SENT_SIZE: Final = 4096
SEND_BUFFER_SIZE: Final = 65536
UNSENT_SIZE_MAX: Final = 4 * FRAME_SIZE_MAX
"""Beyond the kernel's buffer. The link waits for room, but what it is asked for it answers: a peer that asks and never
reads is given up."""
ADDRESSES_MAX: Final = 4096
TCP_NOTSENT_LOWAT: Final = 25
IP_MTU: Final = 14
IPV6_MTU: Final = 24
IP_MTU_DISCOVER: Final = 10
IPV6_MTU_DISCOVER: Final = 23
PMTUDISC_PROBE: Final = 3
"""Never cut a datagram to pieces, and take no router's word on what is too large: `wire/pathsize.py` finds it."""

Address = tuple[str, int] | tuple[str, int, int, int]
Receive = Callable[["UdpBearer | TcpBearer", bytes], None]
Note = Callable[["UdpBearer | TcpBearer"], None]


class UdpBearer:
    """Datagrams to one address. `address` None: the socket is connected."""

    is_stream = is_message = False

    def __init__(self, transport: asyncio.DatagramTransport, name: str, mtu: int, address: Address | None) -> None:
        self._transport, self.name, self.mtu, self._address = transport, name, mtu, address
        self.overhead = UDP_OVERHEAD[transport.get_extra_info("socket").family]

    def room(self) -> int:
        return FRAME_SIZE_MAX  # the pace keeps the socket's buffer empty

    def send(self, frame: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(frame, self._address)

    def close(self) -> None:
        if self._address is None:
            self._transport.close()


class TcpBearer:
    """One connection."""

    is_stream, is_message = True, False
    mtu = TCP_MTU
    overhead = TCP_OVERHEAD

    def __init__(self, transport: asyncio.Transport, name: str) -> None:
        self._transport, self.name = transport, name

    def room(self) -> int:
        return FRAME_SIZE_MAX if self._transport.get_write_buffer_size() == 0 else 0

    def send(self, frame: bytes) -> None:
        self._write(struct.pack(">H", len(frame)) + frame)

    def _write(self, raw: bytes) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(raw)
        if self._transport.get_write_buffer_size() > UNSENT_SIZE_MAX:
            self.close()

    def close(self) -> None:
        """Give up the connection and what it has not sent: the kernel must not deliver later what went another way."""
        with contextlib.suppress(OSError):
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class UdpHost(asyncio.DatagramProtocol):
    """A listening socket: one bearer for each address that speaks, the oldest forgotten beyond ADDRESSES_MAX."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._bearers: dict[Address, UdpBearer] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        _never_fragment(transport.get_extra_info("socket"))

    def datagram_received(self, data: bytes, addr: Address) -> None:
        assert self._transport is not None  # noqa: S101 - connection_made came first
        bearer = self._bearers.get(addr)
        if bearer is None:
            if len(self._bearers) >= ADDRESSES_MAX:
                del self._bearers[next(iter(self._bearers))]
            name = str(Url("udp", addr[0], addr[1]))
            overhead = UDP_OVERHEAD[self._transport.get_extra_info("socket").family]
            bearer = self._bearers[addr] = UdpBearer(self._transport, name, ETHERNET_MTU - overhead, addr)
        self._receive(bearer, data)


class UdpCaller(asyncio.DatagramProtocol):
    """A connected socket. What the system says of the far side (no route, port closed) goes to `failed`."""

    def __init__(
        self, receive: Receive, failed: Callable[[Exception], None], closed: Callable[[], None], name: str
    ) -> None:
        self._receive, self._failed, self._closed, self._name = receive, failed, closed, name
        self.bearer: UdpBearer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        _never_fragment(transport.get_extra_info("socket"))
        mtu = _path_mtu(transport.get_extra_info("socket"))
        self.bearer = UdpBearer(cast("asyncio.DatagramTransport", transport), self._name, mtu, None)

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr
        if self.bearer is not None:
            self._receive(self.bearer, data)

    def error_received(self, exc: Exception) -> None:
        if not (isinstance(exc, OSError) and exc.errno == errno.EMSGSIZE):  # a frame that tried a larger size is lost
            self._failed(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._closed()


class TcpEnd(asyncio.Protocol):
    """Either end of a connection: cuts the stream into frames."""

    bearer_class: type[TcpBearer] = TcpBearer

    def __init__(self, receive: Receive, up: Note, down: Note, writable: Callable[[], None], name: str = "") -> None:
        self._receive, self._up, self._down, self._writable = receive, up, down, writable
        self._name = name
        self._buffer = bytearray()
        self.bearer: TcpBearer | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_SIZE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOT_SENT_SIZE)
        stream.set_write_buffer_limits(high=0)
        peer = transport.get_extra_info("peername")
        self.bearer = self.bearer_class(stream, self._name or str(Url("tcp", peer[0], peer[1])))
        self._up(self.bearer)

    def data_received(self, data: bytes) -> None:
        assert self.bearer is not None  # noqa: S101 - connection_made came first
        self._buffer += data
        while len(self._buffer) >= 2:
            size = int.from_bytes(self._buffer[:2], "big")
            if not 0 < size <= FRAME_SIZE_MAX:
                self.bearer.close()
                return
            if len(self._buffer) < 2 + size:
                return
            frame = bytes(self._buffer[2 : 2 + size])
            del self._buffer[: 2 + size]
            self._receive(self.bearer, frame)

    def resume_writing(self) -> None:
        self._writable()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self.bearer is not None:
            self._down(self.bearer)


def _never_fragment(sock: socket.socket) -> None:
    is_six = sock.family == socket.AF_INET6
    level, option = (socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER) if is_six else (socket.IPPROTO_IP, IP_MTU_DISCOVER)
    with contextlib.suppress(OSError):
        sock.setsockopt(level, option, PMTUDISC_PROBE)


def _path_mtu(sock: socket.socket) -> int:
    """Return the largest datagram for the path of a connected socket, as far as the system knows it."""
    is_six = sock.family == socket.AF_INET6
    level, option = (socket.IPPROTO_IPV6, IPV6_MTU) if is_six else (socket.IPPROTO_IP, IP_MTU)
    try:
        mtu = sock.getsockopt(level, option)
    except OSError:
        mtu = ETHERNET_MTU
    return int(min(max(mtu, 576), ETHERNET_MTU)) - UDP_OVERHEAD[sock.family]
