"""The station between kits and server, over roads that lose nothing; its disk is a simulated one."""

import pytest

from node.link import CallerState
from node.spool import State
from tests.gateway.ground import OTHER, Ground, kit_entry, offer, roster
from tests.sim.disk import SimDisk
from wire import objects
from wire.errors import DiskError
from wire.seal import sign_pair

DATA = bytes(range(256)) * 30


@pytest.fixture
def ground():
    return Ground(SimDisk(), kit_entry())


def test_an_object_goes_through_and_its_receipt_comes_back_to_the_kit_that_waits(ground):
    ground.call_server()
    _, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    assert ground.roads.run(20, lambda: given in outbox.receipts)
    assert ground.at_server.done[given] == DATA
    assert outbox.receipts[given] == b"the word on " + offer(DATA).digest
    assert ground.station.depot.spool.get(given).state is State.RECEIVED


def test_without_a_server_the_kit_hears_of_custody_and_later_of_the_receipt(ground):
    caller, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: given in outbox.custody)
    assert given not in outbox.receipts
    ground.call_server()
    assert ground.roads.run(20, lambda: given in outbox.receipts)


def test_a_kit_that_was_away_when_the_receipt_came_gets_it_when_it_calls_again(ground):
    caller, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    ground.roads.run(20, lambda: given in outbox.custody)
    ground.roads.cut(caller.road)
    ground.roads.nodes.remove(caller)
    ground.call_server()
    assert ground.roads.run(20, lambda: given in ground.at_server.done)
    later, again = ground.kit()
    again.objects.update(outbox.objects)
    later.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: given in again.receipts)
    assert ground.at_server.finishes == 1, "it went to the server once"


def test_a_receipt_is_given_over_a_power_cut_of_the_station(ground):
    ground.call_server()
    _, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    assert ground.roads.run(20, lambda: given in ground.at_server.done and given in outbox.receipts)
    after = Ground(ground.station.depot.landing._disk.crash())
    _, again = after.kit()
    after.put(again, DATA)
    assert after.roads.run(20, lambda: given in again.receipts)
    assert again.receipts[given] == outbox.receipts[given]


def test_a_roster_from_the_server_lets_a_kit_in():
    ground = Ground(SimDisk())
    ground.give_roster(roster(1, kit_entry()))
    caller, _ = ground.kit()
    ground.roads.run(3)
    assert caller.state is CallerState.CALLING
    assert caller.denials == 0, "a station without a roster knows nobody, and so nobody is a stranger"
    ground.call_server()
    assert ground.roads.run(30, lambda: caller.state is CallerState.UP)


def test_a_kit_that_is_not_on_the_roster_is_told_so_and_nobody_else_is_disturbed(ground):
    stranger, outbox = ground.kit(OTHER)
    ground.put(outbox, DATA)
    known, _ = ground.kit()
    assert ground.roads.run(20, lambda: stranger.denials > 0 and known.state is CallerState.UP)
    assert [event.kind for event in stranger.events()].count("denied") == stranger.denials
    assert "stranger" in {event.kind for event in ground.events}
    assert not ground.station.depot.spool.objects()


def test_a_revocation_drops_the_session_and_refuses_the_next_handshake(ground):
    ground.call_server()
    caller, outbox = ground.kit()
    ground.roads.run(5)
    assert caller.state is CallerState.UP
    ground.give_roster(roster(2, kit_entry(revoked=True)))
    assert ground.roads.run(20, lambda: ground.station.roster.version == 2)
    given = ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    assert ground.roads.run(120, lambda: caller.denials > 0), "the kit is told"
    assert caller.state is not CallerState.UP
    assert given not in outbox.custody
    assert not ground.station.depot.spool.objects()
    fresh, _ = ground.kit()
    ground.roads.run(20)
    assert fresh.state is CallerState.CALLING


def test_a_forged_roster_of_a_false_server_changes_nothing(ground):
    ground.call_server()
    ground.give_roster(roster(9, secret=sign_pair(b"z" * 32)[0]))
    ground.roads.run(20)
    assert ground.station.roster.version == 1
    assert ground.kit()[0] is not None
    assert len(ground.to_ground.refusals) == 1


def test_the_server_refuses_for_good_and_the_kit_hears_it_at_its_next_call(ground):
    ground.at_server.refuse = objects.Refusal(objects.NOT_ALLOWED, "kit van-1 is revoked")
    ground.call_server()
    caller, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: ground.station.depot.spool.objects(State.REFUSED))
    ground.roads.cut(caller.road)
    later, again = ground.kit()
    again.objects.update(outbox.objects)
    later.nudge(ground.roads.now)
    ground.roads.run(20, lambda: again.refusals)
    assert again.refusals[0][0] == given
    assert "revoked" in again.refusals[0][1].text


def test_garbage_from_anybody_is_counted_and_dropped(ground):
    ground.kit()
    stranger = ground.roads.join(Silent(), ground.station.kits)
    for size in (0, 1, 2, 3, 35, 200, 1200):
        for first in range(256):
            ground.station.kits.receive(stranger.far, bytes((first,)) * size, ground.roads.now)
    assert ground.roads.run(20, lambda: ground.station.host.frames_refused > 0)
    assert ground.roads.run(20, lambda: any(event.kind == "session" for event in ground.events))


def test_a_failing_disk_is_the_daemons_affair_and_costs_nothing():
    disk = SimDisk()
    ground = Ground(disk, kit_entry())
    caller, outbox = ground.kit()
    ground.roads.run(10, lambda: caller.state is CallerState.UP)
    given = ground.put(outbox, DATA)
    disk.fail("EIO", 8)
    caller.nudge(ground.roads.now)
    with pytest.raises(DiskError):
        ground.roads.run(20)
    assert given not in outbox.custody
    after = Ground(disk.crash(), kit_entry())
    _, again = after.kit()
    after.put(again, DATA)
    assert after.roads.run(20, lambda: given in again.custody)


def test_an_object_on_a_bad_sector_is_brought_again_by_its_kit_and_the_others_go_on():
    """One bad sector ended the station in the middle of a frame, and every start met it again."""
    disk = SimDisk()
    ground = Ground(disk, kit_entry())
    caller, outbox = ground.kit()
    bad, good = ground.put(outbox, DATA), ground.put(outbox, DATA[1:])
    caller.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: {bad, good} <= outbox.custody)
    disk.spoil(ground.station.depot.spool.path(bad), 5000, 10)
    ground.call_server()
    assert ground.roads.run(10, lambda: good in ground.at_server.done), "nothing stands behind it"
    assert any("cannot be read" in event.text for event in ground.events)
    assert ground.roads.run(120, lambda: {bad, good} <= outbox.receipts.keys()), "the kit was made to call again"
    assert ground.at_server.done[bad] == DATA


def test_an_object_that_rots_on_the_stations_disk_is_brought_again_by_its_kit():
    """The server refused it as broken, the station told the kit so, and a sound study was set aside for good."""
    disk = SimDisk()
    ground = Ground(disk, kit_entry())
    caller, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: given in outbox.custody)
    disk.damage(ground.station.depot.spool.path(given), 5000, b"?")
    ground.call_server()
    assert ground.roads.run(200, lambda: given in outbox.receipts)
    assert ground.at_server.done[given] == DATA
    assert not outbox.refusals


def test_what_the_server_calls_broken_and_is_whole_here_is_set_aside_for_a_person(ground):
    ground.at_server.refuse = objects.Refusal(objects.BROKEN, "its digest is another")
    ground.call_server()
    caller, outbox = ground.kit()
    ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: ground.station.depot.spool.objects(State.REFUSED))


def test_a_full_disk_delays_the_kit_and_loses_nothing():
    disk = SimDisk(capacity=1 << 20)
    ground = Ground(disk, kit_entry())
    disk.append("full", bytes(disk.free() - 6000))
    caller, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    caller.nudge(ground.roads.now)
    assert ground.roads.run(20, lambda: outbox.refusals)
    assert outbox.refusals[0][1].temporary
    disk.remove("full")
    assert ground.roads.run(120, lambda: given in outbox.custody)


def test_a_crossing_is_told_once_so_that_the_other_links_timer_is_set_anew(ground):
    ground.call_server()
    _, outbox = ground.kit()
    given = ground.put(outbox, DATA)
    ground.station.crossed()
    assert ground.roads.run(20, lambda: given in outbox.custody)
    assert ground.station.crossed()
    assert not ground.station.crossed()


class Silent:
    """Somebody who only has an address."""

    def bearer_up(self, bearer, now):
        pass

    def bearer_down(self, bearer, now):
        pass

    def receive(self, bearer, frame, now):
        pass
