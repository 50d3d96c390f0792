"""The station takes what a stick brings: custody after its fsync, receipts of the server back on the stick."""

import random

import pytest

from node.disk import RealDisk
from node.spool import State
from tests.gateway.ground import KIT, OTHER, RESERVE, Ground, enrolment, kit_entry, roster
from tests.gateway.van import Van
from tests.node.sticks import Slot, marked, parcels
from tests.sim.disk import Crash, SimDisk
from wire import objects
from wire.errors import DiskError

DATA = random.Random(4).randbytes(300_000)


class Base(Ground):
    """A station with one slot."""

    def __init__(self, disk=None, *entries):
        super().__init__(disk or SimDisk(), *entries)
        self.slot = Slot()
        self.carrier = self.station.add_slot("dir:///stick", self.slot)
        self.roads.nodes.append(self.station)

    def take(self, stick, seconds=10.0):
        self.slot.disk = stick
        self.roads.run(seconds)
        status = self.carrier.status
        self.slot.disk = None
        self.roads.run(5)
        return status


@pytest.fixture
def base():
    return Base(None, kit_entry())


def test_from_the_kit_by_stick_to_the_server_and_its_receipt_back_on_the_stick(base):
    stick, van = marked(), Van()
    ids = [van.put(DATA), van.put(b"first look", objects.SUMMARY, 1)]
    van.visit(stick)
    status = base.take(stick)
    assert status.text() == "2 that it brought without a receipt yet; safe to pull"
    assert base.station.depot.spool.counts() == {State.WAITING: 2}
    van.visit(stick)
    assert van.outbox.custody == set(ids)
    assert not van.outbox.receipts
    base.call_server()
    base.roads.run(20, lambda: len(base.at_server.done) == 2)
    base.take(stick)
    van.visit(stick)
    assert van.outbox.receipts == {one: b"the word on " + given.digest for one, given in found(van, base).items()}
    base.take(stick)
    assert parcels(stick) == []
    assert base.at_server.finishes == 2


def found(van, base):
    return {one.object_id: one.offer for one in base.station.depot.spool.objects(State.RECEIVED)}


def test_while_the_stick_is_in_the_servers_receipt_is_written_at_once(base):
    stick, van = marked(), Van()
    one = van.put(DATA)
    van.visit(stick)
    base.call_server()
    base.take(stick, 30)
    van.visit(stick)
    assert set(van.outbox.receipts) == {one}


def test_a_kit_that_is_revoked_or_unknown_is_not_taken_and_a_line_is_in_the_log():
    base = Base(None, kit_entry(revoked=True))
    stick = marked()
    for van in (Van(), Van(identity=OTHER)):
        van.put(DATA)
        van.visit(stick)
    base.take(stick)
    assert not base.station.depot.spool.objects()
    told = [event.text for event in base.events if event.kind == "stranger"]
    assert len(told) == 2
    assert any(KIT.public.hex() in text for text in told)
    assert len(parcels(stick)) == 2, "the parcels are left alone"


def test_a_kit_is_read_when_a_new_roster_lets_it_in():
    base = Base()
    stick, van = marked(), Van()
    van.put(DATA)
    van.visit(stick)
    base.slot.disk = stick
    base.roads.run(5)
    base.give_roster(roster(1, kit_entry()))
    base.call_server()
    assert base.roads.run(30, lambda: base.at_server.done)


def test_by_stick_and_by_radio_the_server_gets_it_once(base):
    stick, van = marked(), Van()
    one = van.put(DATA)
    van.visit(stick)
    _, outbox = base.kit()
    outbox.objects.update(van.outbox.objects)
    base.call_server()
    base.slot.disk = stick
    assert base.roads.run(60, lambda: one in outbox.receipts)
    base.take(stick)
    van.visit(stick)
    assert one in van.outbox.receipts
    assert base.at_server.finishes == 1


def run_into(disk, fault, at, stick):
    """Take a stick at a station whose own disk meets a fault; tell whether it came."""
    try:
        base = Base(disk, kit_entry())
        base.call_server()
        disk.fail(fault, at)
        base.take(stick)
    except (Crash, DiskError):
        return True
    return False


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_every_call_to_the_stations_own_disk_loses_nothing(fault):
    met = 0
    for at in range(1, 140, 3):
        stick, van, disk = marked(at), Van(seed=at), SimDisk(at)
        ids = {van.put(DATA[: 40_000 + at]), van.put(b"first look", objects.SUMMARY, 1)}
        van.visit(stick)
        met += run_into(disk, fault, at, stick)
        disk.fail_at = None
        base = Base(disk.crash() if fault == "crash" else disk, kit_entry())
        base.call_server()
        for _ in range(3):
            van.visit(stick)
            assert van.outbox.custody | set(van.outbox.receipts) <= held(base), "custody is said after the fsync"
            base.take(stick)
        van.visit(stick)
        assert set(van.outbox.receipts) == ids
    assert met or fault == "ENOSPC"


def held(base):
    return {one.object_id for one in base.station.depot.spool.objects()}


def test_a_station_without_room_takes_it_later(base):
    full = Base(SimDisk(capacity=RESERVE + 100_000), kit_entry())
    stick, van = marked(), Van()
    one = van.put(DATA)
    van.visit(stick)
    full.take(stick)
    van.visit(stick)
    assert one in van.outbox.objects
    base.call_server()
    base.take(stick, 30)
    van.visit(stick)
    assert one in van.outbox.receipts


def test_the_stick_of_a_technician_without_a_daemon(tmp_path):
    from pathlib import Path

    from gateway import daemon
    from node.clock import SystemClock
    from node.stick import mark
    from wire.errors import DeviceError

    data, place = tmp_path / "data", tmp_path / "stick"
    for folder in (data, place):
        folder.mkdir()
    made = enrolment("udp://127.0.0.1:9", "udp://127.0.0.1:0")
    with pytest.raises(DeviceError, match="stick init"):
        daemon.carry(made, data, place, SystemClock())
    with pytest.raises(DeviceError, match="stick init"):
        daemon.carry(made, data, Path("/nowhere/at/all"), SystemClock())
    with RealDisk(data) as disk:
        Base(disk, kit_entry())
    van = Van()
    one = van.put(DATA)
    with RealDisk(place) as disk:
        mark(disk)
        van.visit(disk)
        status, brought = daemon.carry(made, data, place, SystemClock())
        assert brought == 1
        assert status.text() == "1 that it brought without a receipt yet; safe to pull"
        van.visit(disk)
    assert van.outbox.custody == {one}
