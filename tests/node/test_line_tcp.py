"""A TCP connection that stands for a call: bytes as a serial line would carry them, noise and all."""

import asyncio
import contextlib
import random

import pytest

from node.link import Caller, Grant, Host
from node.modems.bare import BareLine
from node.modems.script import NoControls
from node.reactor import CallerShell, HostShell
from node.roads import calling
from node.url import Url, parse_url
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.errors import UsageError

STEP_S = 0.01


def test_the_framing_stands_in_the_address():
    url = parse_url("tcp://192.0.2.1:7001?framing=line")
    assert url == Url("tcp", "192.0.2.1", 7001, "", {"framing": "line"})
    assert str(url) == "tcp://192.0.2.1:7001?framing=line"
    with pytest.raises(UsageError, match="no such options"):
        parse_url("udp://192.0.2.1:7001?framing=line")


def test_an_unknown_framing_is_refused():
    with pytest.raises(UsageError, match="framing=lines; want length or line"):
        asyncio.run(calling("tcp")(None, parse_url("tcp://127.0.0.1:1?framing=lines")))


class Gateway:
    """A host that listens as RUDICS wants it."""

    def __init__(self) -> None:
        self.inbox = MemoryInbox()
        entropy = random.Random(2).randbytes
        self.host = Host(GATEWAY, lambda _: Grant(PSK, "kit"), lambda _: MemoryOutbox(), self.inbox, entropy)
        self.shell = HostShell(self.host, lambda: None)

    async def listen(self) -> Url:
        return await self.shell.listen(parse_url("tcp://127.0.0.1:0?framing=line"))


def kit() -> tuple[Caller, MemoryOutbox]:
    outbox = MemoryOutbox()
    return Caller(KIT, GATEWAY.public, PSK, outbox, MemoryInbox(), random.Random(3).randbytes), outbox


async def ended(*tasks: asyncio.Future) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with contextlib.suppress(asyncio.CancelledError):
            await task


def test_two_ends_of_the_scheme_understand_each_other():
    async def run() -> None:
        gateway, (caller, outbox) = Gateway(), kit()
        outbox.add(random.Random(1).randbytes(50_000))
        changed = asyncio.Event()
        shell = CallerShell(caller, await gateway.listen(), changed.set)
        tasks = [asyncio.ensure_future(each.run()) for each in (gateway.shell, shell)]
        async with asyncio.timeout(20):
            while outbox.objects:
                await changed.wait()
                changed.clear()
        await ended(*tasks)

    asyncio.run(run())


def test_calls_that_end_and_come_again_as_other_connections_keep_their_session():
    """Iridium's part: bytes of a serial line on one side, a new connection for each call on the other."""

    async def run() -> tuple[int, int, int]:
        gateway, (caller, outbox) = Gateway(), kit()
        there = await gateway.listen()
        running = asyncio.ensure_future(gateway.shell.run())
        outbox.add(random.Random(1).randbytes(60_000))
        calls = 0
        async with asyncio.timeout(30):
            while outbox.objects:
                calls += 1
                await one_call(caller, there, outbox, 0.8)
        await ended(running)
        return calls, caller.tally.counters.handshakes, caller.tally.sent.twice

    calls, handshakes, twice = asyncio.run(run())
    assert calls >= 2
    assert handshakes == 1
    assert twice <= calls


async def one_call(caller: Caller, there: Url, outbox: MemoryOutbox, seconds: float) -> None:
    """Carry a bare line's bytes for a while, with a modem's words around them, at 240 kbit/s."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(there.host, there.port)
    writer.write(b"\r\nnoise before the call\r\n")
    line = BareLine(caller, NoControls(), "serial:///dev/ttyS0", 240_000)
    line.open(loop.time())
    until = loop.time() + seconds
    while loop.time() < until and outbox.objects:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STEP_S):
                line.feed(await reader.read(4096), loop.time())
        caller.tick(loop.time())
        line.tick(loop.time())
        writer.write(line.output())
    writer.transport.abort()
    line.lost(loop.time())
