"""Addresses, and frames cut from a stream."""

import asyncio
import contextlib
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.bearers import TcpEnd
from node.line_tcp import LineTcpEnd
from node.url import Url, parse_url
from wire.errors import UsageError
from wire.framing import enclose
from wire.session import FRAME_SIZE_MAX


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("udp://10.77.0.2:7000", Url("udp", "10.77.0.2", 7000)),
        ("tcp://gateway.example:1", Url("tcp", "gateway.example", 1)),
        ("tcp://[2001:db8::1]:7000", Url("tcp", "2001:db8::1", 7000)),
        ("udp://127.0.0.1:0", Url("udp", "127.0.0.1", 0)),
    ],
)
def test_addresses_are_read_and_shown(text, url):
    assert parse_url(text) == url
    assert str(url) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "10.0.0.1:7000",
        "udp://",
        "udp://host",
        "udp://:7000",
        "http://host:1",
        "udp://host:70000",
        "udp://a:b",
        "udp://host:7000/path",
        "udp://user@host:7000",
        "udp://[::1:7000",
        "udp://host:7000?x=1",
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="for example udp://"):
        parse_url(text)


class FakeTransport(asyncio.Transport):
    """What an end asks of its transport, and what it wrote."""

    def __init__(self):
        super().__init__({"peername": ("192.0.2.1", 7), "socket": socket.socket()})
        self.written, self.closed = b"", False

    def write(self, data):
        self.written += data

    def abort(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def set_write_buffer_limits(self, high=None, low=None):
        assert high == 0

    def get_write_buffer_size(self):
        return 0


def end() -> tuple[TcpEnd, FakeTransport, list[bytes]]:
    frames: list[bytes] = []
    protocol = TcpEnd(lambda bearer, frame: frames.append(frame), lambda b: None, lambda b: None, lambda: None)
    transport = FakeTransport()
    protocol.connection_made(transport)
    transport.get_extra_info("socket").close()
    return protocol, transport, frames


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=10), st.integers(1, 97))
def test_frames_are_cut_from_a_stream_however_it_arrives(sent, size):
    protocol, transport, frames = end()
    for frame in sent:
        protocol.bearer.send(frame)
    for at in range(0, len(transport.written), size):
        protocol.data_received(transport.written[at : at + size])
    assert frames == sent


@pytest.mark.parametrize("size", [0, FRAME_SIZE_MAX + 1])
def test_a_stream_with_an_impossible_length_is_closed(size):
    protocol, transport, frames = end()
    protocol.data_received(size.to_bytes(2, "big") + b"x" * 10)
    assert transport.closed
    assert frames == []
    assert protocol.bearer.name == "tcp://192.0.2.1:7"


@pytest.mark.parametrize("end", [TcpEnd, LineTcpEnd])
def test_a_peer_that_asks_and_never_reads_is_given_up(end):
    """A HELLO that is played again draws a WELCOME each time, and they all waited in memory."""

    async def run():
        downs = []

        def answer(bearer, frame):
            bearer.send(bytes(1200))

        def made():
            return end(answer, lambda bearer: None, downs.append, lambda: None)

        server = await asyncio.get_running_loop().create_server(made, "127.0.0.1", 0)
        asking = await asyncio.open_connection(*server.sockets[0].getsockname())
        question = b"\0" + enclose(b"a question") if end is LineTcpEnd else b"\0\x0aa question"
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(10):
                while not downs:
                    asking[1].write(question * 100)
                    await asking[1].drain()
                    await asyncio.sleep(0)
        asking[1].close()
        server.close()
        return downs

    assert len(asyncio.run(run())) == 1


def test_strangers_that_open_connections_and_say_nothing_are_bounded():
    from node.link import Host
    from node.reactor import STREAMS_MAX, HostShell
    from tests.wire.air import GATEWAY, MemoryInbox, MemoryOutbox

    async def run() -> tuple[int, int]:
        host = Host(GATEWAY, lambda public: None, lambda peer: MemoryOutbox(), MemoryInbox(), bytes)
        shell = HostShell(host, lambda: None)
        ends = [TcpEnd(shell.receive, shell.up, shell.down, shell.tick) for _ in range(STREAMS_MAX + 20)]
        transports = [FakeTransport() for _ in ends]
        for protocol, transport in zip(ends, transports, strict=True):
            protocol.connection_made(transport)
            for older, closed in zip(ends, transports, strict=True):
                if closed.closed and older.bearer in shell._bearers:
                    older.connection_lost(None)
        count = len(shell._bearers)
        shell.stop()
        for transport in transports:
            transport.get_extra_info("socket").close()
        return count, sum(transport.closed for transport in transports)

    assert asyncio.run(run()) == (512, 20)


def test_strangers_are_bounded_beside_a_line_that_nothing_closes_and_end_no_call_that_speaks():
    from node.reactor import STREAMS_MAX, HostShell
    from tests.node.modems.test_turns import alone

    class Deaf:
        def bearer_up(self, bearer, now): ...
        def receive(self, bearer, frame, now): ...
        def deadline(self): ...

    async def run() -> tuple[int, int, bool]:
        shell = HostShell(Deaf(), lambda: None)
        shell.up(alone(leads=True)._bearer)  # a serial line, first of all and for ever
        transports = [FakeTransport() for _ in range(STREAMS_MAX + 20)]
        ends = [TcpEnd(shell.receive, shell.up, shell.down, shell.tick) for _ in transports]
        for protocol, transport in zip(ends, transports, strict=True):
            protocol.connection_made(transport)
            shell.receive(ends[0].bearer, b"a kit that speaks")
        count = len(shell._bearers)
        shell.stop()
        for transport in transports:
            transport.get_extra_info("socket").close()
        return count, sum(transport.closed for transport in transports), transports[0].closed

    assert asyncio.run(run()) == (STREAMS_MAX, 20, False)
