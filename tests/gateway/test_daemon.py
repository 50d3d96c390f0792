"""The station as a process has it: real sockets on loopback, the real disk, its status; kit and server in memory."""

import asyncio
import contextlib
import socket

import pytest

from gateway import daemon
from node.daemon import read_status
from node.disk import RealDisk
from node.entropy import seeded
from node.idle import NothingTaken
from node.link import Caller, Grant, Host
from node.reactor import CallerShell, HostShell
from node.seams import Receipt
from node.stick import mark
from node.url import parse_url
from tests.gateway.ground import (
    GROUND,
    KIT,
    PSK,
    SERVER,
    UP_PSK,
    enrolment,
    kit_entry,
    offer,
    roster,
    roster_offer,
)
from tests.gateway.van import Van
from tests.wire.air import MemoryInbox, MemoryOutbox
from wire.errors import UsageError

DATA = bytes(range(256)) * 100


def free_url(scheme):
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return f"{scheme}://127.0.0.1:{probe.getsockname()[1]}"


async def until(done):
    async with asyncio.timeout(15):
        while not done():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_study_goes_through_and_its_receipt_comes_back_and_the_status_tells_of_both_links(tmp_path, scheme):
    listen, outbox, inbox = free_url(scheme), MemoryOutbox(), MemoryInbox(lambda given: Receipt(b"the word"))
    given, first = offer(DATA), roster(1, kit_entry())
    outbox.objects[given.object_id] = (given, DATA)
    rosters = MemoryOutbox()
    rosters.objects[roster_offer(first).object_id] = (roster_offer(first), first)

    async def play():
        host = Host(SERVER, lambda _: Grant(UP_PSK, "ground"), lambda _: rosters, inbox, seeded(b"server"))
        serving = HostShell(host, lambda: None)
        server_url = str(await serving.listen(parse_url("udp://127.0.0.1:0")))
        caller = Caller(KIT, GROUND.public, PSK, outbox, NothingTaken(), seeded(b"kit"))
        made = enrolment(server_url, listen)
        works = [
            asyncio.ensure_future(work)
            for work in (
                serving.run(),
                daemon.run(made, tmp_path, [listen]),
                CallerShell(caller, parse_url(listen), lambda: None).run(),
            )
        ]
        try:
            await until(lambda: given.object_id in outbox.receipts)
            await until(lambda: read_status(tmp_path).get("objects", {}).get("received") == 1)
            return read_status(tmp_path)
        finally:
            for work in works:
                work.cancel()
            for work in works:
                with contextlib.suppress(asyncio.CancelledError):
                    await work

    status = asyncio.run(play())
    assert inbox.done == {given.object_id: DATA}
    assert outbox.receipts[given.object_id] == b"the word"
    assert (status["name"], status["roster_version"]) == ("ground", 1)
    assert status["server"]["connected"]
    assert status["kits"]["van-1"]["payload_received"] == len(DATA)


def test_an_address_that_is_taken_ends_the_daemon_with_its_name(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"udp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UsageError, match="cannot listen on"):
            asyncio.run(daemon.run(enrolment("udp://127.0.0.1:9", url), tmp_path, [url]))


def test_a_stick_is_put_in_while_the_gateway_runs_and_goes_out_with_the_receipt(tmp_path):
    inbox, first = MemoryInbox(lambda given: Receipt(b"the word")), roster(1, kit_entry())
    rosters = MemoryOutbox()
    rosters.objects[roster_offer(first).object_id] = (roster_offer(first), first)
    data, place = tmp_path / "data", tmp_path / "media"
    for folder in (data, place):
        folder.mkdir()
    van = Van()
    given = van.put(DATA)

    async def play():
        host = Host(SERVER, lambda _: Grant(UP_PSK, "ground"), lambda _: rosters, inbox, seeded(b"server"))
        serving = HostShell(host, lambda: None)
        server_url = str(await serving.listen(parse_url("udp://127.0.0.1:0")))
        listen = f"dir://{place}/stick"
        works = [
            asyncio.ensure_future(work)
            for work in (serving.run(), daemon.run(enrolment(server_url, listen), data, [listen]))
        ]
        try:
            await until(lambda: read_status(data).get("roster_version") == 1)
            assert read_status(data)["sticks"][0]["present"] is False
            (place / "stick").mkdir()
            with RealDisk(place / "stick") as disk:
                mark(disk)
                van.visit(disk)
                await until(lambda: given in inbox.done)
                await until(lambda: van.visit(disk) and van.outbox.receipts)
            await until(lambda: not list((place / "stick/feldsher").iterdir()))
            return read_status(data)
        finally:
            for work in works:
                work.cancel()
            for work in works:
                with contextlib.suppress(asyncio.CancelledError):
                    await work

    status = asyncio.run(play())
    assert status["sticks"][0]["place"].endswith("media/stick")
    assert van.outbox.receipts == {given: b"the word"}
