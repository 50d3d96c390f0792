"""`gateway run --listen sbd://…`: a summary comes in by DirectIP alone, its receipt goes out by it."""

import asyncio
import contextlib

from gateway import daemon
from node.entropy import seeded
from node.idle import NothingTaken
from node.link import Caller, Grant, Host
from node.reactor import HostShell
from node.seams import Receipt
from node.url import parse_url
from tests.gateway.ground import GROUND, KIT, PSK, SERVER, UP_PSK, enrolment, kit_entry, offer, roster, roster_offer
from tests.gateway.test_daemon import free_url, until
from tests.gateway.test_iridium_road import TAKEN, GroundStation, mo
from tests.wire.air import MemoryInbox, MemoryOutbox
from wire import objects
from wire.directip import encode

DATA = bytes(range(120))


class Pigeon:
    """A message bearer that keeps what it is given."""

    name, mtu, overhead, is_stream, is_message = "pigeon", 340, 0, False, True

    def __init__(self):
        self.frames = []

    def room(self):
        return self.mtu

    def send(self, frame):
        self.frames.append(frame)

    def close(self):
        """Nothing is open."""


async def deliver(port, raw):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    answer = await asyncio.wait_for(reader.readexactly(len(TAKEN)), 5)
    writer.close()
    return answer


def test_a_summary_comes_in_by_directip_and_its_receipt_goes_out_by_it(tmp_path):
    outbox, inbox = MemoryOutbox(), MemoryInbox(lambda given: Receipt(b"the word"))
    given, first = offer(DATA, objects.SUMMARY), roster(1, kit_entry())
    outbox.objects[given.object_id] = (given, DATA)
    rosters = MemoryOutbox()
    rosters.objects[roster_offer(first).object_id] = (roster_offer(first), first)
    pigeon = Pigeon()
    caller = Caller(KIT, GROUND.public, PSK, outbox, NothingTaken(), seeded(b"kit"))
    caller.bearer_up(pigeon, 0.0)

    async def play():
        station = GroundStation()
        ground = await asyncio.start_server(station.serve, "127.0.0.1", 0)
        mt = ground.sockets[0].getsockname()[1]
        listen = f"{free_url('sbd')}?mt=127.0.0.1:{mt}"
        host = Host(SERVER, lambda _: Grant(UP_PSK, "ground"), lambda _: rosters, inbox, seeded(b"server"))
        serving = HostShell(host, lambda: None)
        server_url = str(await serving.listen(parse_url("udp://127.0.0.1:0")))
        running = [
            asyncio.ensure_future(work)
            for work in (serving.run(), daemon.run(enrolment(server_url, listen), tmp_path, [listen]))
        ]
        try:
            await until(lambda: not rosters.objects)
            assert await deliver(parse_url(listen).port, encode(mo(pigeon.frames[0]))) == TAKEN
            await until(lambda: station.frames)
            caller.receive(pigeon, station.frames[0], 60.0)
            await until(lambda: given.object_id in inbox.done)
        finally:
            for work in running:
                work.cancel()
            for work in running:
                with contextlib.suppress(asyncio.CancelledError):
                    await work
            ground.close()

    asyncio.run(play())
    assert inbox.done == {given.object_id: DATA}
    assert outbox.custody | set(outbox.receipts) == {given.object_id}
    assert len(pigeon.frames) == 1
