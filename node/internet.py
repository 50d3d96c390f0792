"""The roads over IP: a connected UDP socket, a TCP connection, and both listening ends, on asyncio.

Owns sockets while they are open; nothing survives. Called by shells through `node/roads.py` only.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from node.bearers import TcpBearer, TcpEnd, UdpBearer, UdpCaller, UdpHost
from node.line_tcp import LineTcpEnd
from node.roads import Shell
from node.url import Url
from wire.errors import UsageError

CONNECT_S_MAX: Final = 4.0
"""A connection that is not made by then is tried anew: the kernel's own waits grow across an outage."""

FRAMINGS: Final = {"length": TcpEnd, "line": LineTcpEnd}
"""`line`: the connection stands for a serial line (Iridium RUDICS, a terminal server)."""


async def call_udp(shell: Shell, url: Url) -> None:
    """Keep a connected socket until it breaks."""
    closed = asyncio.Event()

    def receive(bearer: UdpBearer | TcpBearer, frame: bytes) -> None:
        shell.note_error("")
        shell.receive(bearer, frame)

    interface = url.options.get("interface", "")
    where: dict[str, Any] = {"remote_addr": (url.host, url.port)}
    if interface:
        where = {"sock": await _bound(interface, url, socket.SOCK_DGRAM)}
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpCaller(receive, shell.note_error, closed.set, str(url)), **where
    )
    bearer = protocol.bearer
    assert bearer is not None  # noqa: S101 - connection_made was called
    try:
        shell.up(bearer)
        await closed.wait()
    finally:
        transport.close()
        shell.down(bearer)


async def call_tcp(shell: Shell, url: Url) -> None:
    """Keep a connection until it breaks."""
    end, closed = _end_of(url), asyncio.Event()

    def down(bearer: UdpBearer | TcpBearer) -> None:
        shell.down(bearer)
        closed.set()

    interface = url.options.get("interface", "")
    async with asyncio.timeout(CONNECT_S_MAX):
        where: dict[str, Any] = {"host": url.host, "port": url.port}
        if interface:
            where = {"sock": await _bound(interface, url, socket.SOCK_STREAM)}
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: end(shell.receive, shell.up, down, shell.tick, str(url)), **where
        )
    shell.note_error("")
    try:
        await closed.wait()
    finally:
        transport.abort()


async def _bound(interface: str, url: Url, kind: socket.SocketKind) -> socket.socket:
    """Return a socket that is connected through one interface only, whatever the routes prefer. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, url.port, type=kind)
    family, _, _, _, address = found[0]
    made = socket.socket(family, kind)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        await loop.sock_connect(made, address)
    except BaseException:
        made.close()
        raise
    return made


async def listen_udp(shell: Shell, url: Url) -> tuple[Url, Callable[[], None]]:
    """Listen on a datagram socket."""
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: UdpHost(shell.receive), local_addr=(url.host, url.port)
    )
    return Url("udp", url.host, transport.get_extra_info("sockname")[1]), transport.close


async def listen_tcp(shell: Shell, url: Url) -> tuple[Url, Callable[[], None]]:
    """Listen for connections."""
    end = _end_of(url)
    server = await asyncio.get_running_loop().create_server(
        lambda: end(shell.receive, shell.up, shell.down, shell.tick), url.host, url.port, family=_family(url.host)
    )
    return replace(url, port=server.sockets[0].getsockname()[1]), server.close


def _end_of(url: Url) -> type[TcpEnd]:
    """Return what cuts the stream into frames. Raises UsageError."""
    framing = url.options.get("framing", "length")
    if framing not in FRAMINGS:
        raise UsageError(f"{url}: framing={framing}; want {' or '.join(FRAMINGS)}")
    return FRAMINGS[framing]


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_UNSPEC
