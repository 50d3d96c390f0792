"""The whole way of Iridium on the real machine: a pty, the simulated modem as a process of its own, real sockets."""

import asyncio
import contextlib
import random
import socket
import subprocess
import sys

import pytest

from gateway.iridium_road import listen_sbd
from node.link import Caller, Grant, Host
from node.reactor import CallerShell, HostShell
from node.url import Url, parse_url
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.objects import SUMMARY, Offer

SPEED = 20
WITHIN_S = 60


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextlib.contextmanager
def simulated(link, directip, mt, *faults):
    """`feldsher simulate modem iridium9602` with its ground station."""
    options = ["--pty-link", link, "--directip", f"127.0.0.1:{directip}", "--mt-listen", f"127.0.0.1:{mt}", "--confirm"]
    knobs = [word for fault in faults for word in ("--fault", fault)]
    command = [sys.executable, "-m", "feldsher.main", "simulate", "modem", "iridium9602", *options, *knobs]
    process = subprocess.Popen([*command, "--speed", str(SPEED)], stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(10)


def summary(outbox, data):
    object_id = outbox.add(data, 1)
    offer, _ = outbox.objects[object_id]
    outbox.objects[object_id] = (Offer(object_id, SUMMARY, offer.size, offer.digest, 1), data)


async def bring(link, host_shell, caller_shell, outbox):
    """Run both ends until everything has its receipt."""
    hosting, calling = asyncio.ensure_future(host_shell.run()), asyncio.ensure_future(caller_shell.run())
    try:
        async with asyncio.timeout(WITHIN_S):
            while outbox.objects:
                done, _ = await asyncio.wait({hosting, calling}, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    one.result()
    finally:
        for one in (calling, hosting):
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one


@pytest.mark.slow
@pytest.mark.parametrize("faults", [(), ("delivered-but", "ring-in-ready", "mt-checksum")], ids=["clean", "faulty"])
def test_a_summary_and_its_receipt_over_a_pty_and_directip(tmp_path, faults):
    link, mt = str(tmp_path / "iridium"), free_port()
    entropy = random.Random(1).randbytes
    inbox, outbox = MemoryInbox(), MemoryOutbox()
    data = random.Random(2).randbytes(150)
    summary(outbox, data)

    async def scenario():
        host = Host(GATEWAY, {KIT.public: Grant(PSK, "kit")}.get, lambda _: MemoryOutbox(), inbox, entropy)
        host_shell = HostShell(host, lambda: None, {"sbd": listen_sbd})
        there = await host_shell.listen(parse_url(f"sbd://127.0.0.1:0?mt=127.0.0.1:{mt}&allow=127.0.0.1"))
        caller = Caller(KIT, GATEWAY.public, PSK, outbox, MemoryInbox(), entropy)
        caller_shell = CallerShell(caller, Url("sbd", path=link), lambda: None)
        with simulated(link, there.port, mt, *faults):
            await bring(link, host_shell, caller_shell, outbox)

    asyncio.run(scenario())
    assert list(inbox.done.values()) == [data]
    assert inbox.finishes == 1
