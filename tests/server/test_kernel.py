"""The kernel: what is received is in the centre first, the roster reaches every gateway, and who is revoked is out."""

import contextlib
import sqlite3

import pytest

from node.disk import join
from node.entropy import seeded
from node.idle import NothingTaken
from node.link import Caller, CallerState
from node.seams import Damaged, Offer, Receipt, Refusal
from server import database as databases
from server.centre import Centre
from server.database import Database
from server.kernel import POLL_S, FromPeers, Kernel
from server.keys import make
from server.roster import VERSIONS_MAX, RosterOutbox, signed_roster
from tests.gateway.ground import hand_over
from tests.server.conftest import QUICK, TestClock
from tests.server.samples import Kit, offer, raw_tag
from tests.server.taker import open_centre
from tests.sim.disk import Crash, SimDisk
from tests.sim.roads import Roads
from tests.wire.air import MemoryInbox, MemoryOutbox
from wire import objects
from wire.errors import DiskError
from wire.noise import KeyPair
from wire.receipt import verify_receipt
from wire.roster import verify_roster

GROUND, NORTH = KeyPair.from_secret(b"g" * 32), KeyPair.from_secret(b"n" * 32)
PSK = b"u" * 32
RESERVE = 1 << 12
PEER = GROUND.public


@pytest.fixture(scope="module")
def keys():
    return make(seeded(b"keys"))


class World:
    """A centre on a simulated disk; its database stays what it is when the power goes, as SQLite promises."""

    def __init__(self, keys, disk=None, database=None):
        self.keys = keys
        self.disk, self.database = disk or SimDisk(), database or Database("sqlite://")
        self.centre = Centre.build(self.disk, self.database, keys, TestClock(), seeded(b"centre"), QUICK)
        self.inbox = FromPeers(self.centre, RESERVE)

    def after_a_cut(self):
        return World(self.keys, self.disk.crash(), self.database)

    def stored(self, given):
        files = {path.rpartition("/")[2]: data for path, data in self.disk.tree().items() if path.startswith("files/")}
        return [data for name, data in files.items() if given.digest.hex()[4:] in name]

    def is_receipt(self, answer, given):
        assert isinstance(answer, Receipt), answer
        verify_receipt(answer.data, self.keys.sign_public, given.object_id, given.digest)
        return True


@pytest.fixture
def world(keys):
    return World(keys)


@pytest.fixture
def study(world):
    """(offer, bytes) of a study by a kit that the centre knows."""
    kit = Kit("van-1", world.keys.seal_public, "van-1")
    kit.enrol(world.centre)
    object_id, data = kit.study([[raw_tag()]])
    return offer(object_id, objects.STUDY, data), data


def test_a_receipt_means_that_the_file_is_stored_and_entered_also_after_a_power_cut(world, study):
    given, data = study
    answer = hand_over(world.inbox, data, given, PEER)
    assert world.is_receipt(answer, given)
    after = world.after_a_cut()
    assert after.stored(given) == [data]
    assert after.inbox.offered(PEER, given) == answer, "the same receipt, without a byte"


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_any_call_gives_no_receipt_for_nothing(keys, fault):
    kit = Kit("van-1", keys.seal_public, "van-1")
    object_id, data = kit.study([[raw_tag()]])
    given = offer(object_id, objects.STUDY, data)
    template = World(keys)
    kit.enrol(template.centre)
    for at in range(1, 200, 3):
        world = World(keys, SimDisk(at), template.database)
        kit.link_secret = bytes(32)
        world.disk.fail(fault, at)
        answer = None
        with contextlib.suppress(Crash, DiskError):
            answer = hand_over(world.inbox, data, given, PEER)
        met = world.disk.calls >= world.disk.fail_at
        if isinstance(answer, Refusal):
            assert answer.temporary, answer
        after = world.after_a_cut()
        if isinstance(answer, Receipt):
            assert after.stored(given) == [data]
        assert world.is_receipt(hand_over(after.inbox, data, given, PEER), given)
        assert after.stored(given) == [data]
        forget(template.database)
        if not met:
            return
    raise AssertionError("the last call was never reached")


def forget(database):
    """Empty the tables of what was received, so that the next round begins anew."""
    from server import tables as t

    with database.write() as connection:
        for table in reversed(t.metadata.sorted_tables):
            if table.name not in {"kits", "gateways", "settings", "alembic_version", "events"}:
                connection.execute(table.delete())


def test_what_was_whole_and_not_yet_ingested_is_taken_in_at_the_next_start(world, study):
    given, data = study
    world.inbox.offered(PEER, given)
    world.inbox.write(PEER, given.object_id, 0, data)
    world.inbox._landing.finish(PEER, given.object_id)
    after = world.after_a_cut()
    assert world.is_receipt(after.inbox.offered(PEER, given), given)
    assert after.stored(given) == [data]
    assert after.disk.list(join("link", "whole")) == []


def test_a_full_disk_refuses_for_now_and_asks_for_no_byte_twice(world, study):
    given, data = study
    world.inbox.offered(PEER, given)
    world.inbox.write(PEER, given.object_id, 0, data)
    world.disk.append("full", bytes(world.disk.free() - 100))
    answer = world.inbox.finish(PEER, given.object_id)
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.DISK_FULL
    still = world.inbox.offered(PEER, given)
    assert isinstance(still, Refusal)
    assert still.temporary
    world.disk.remove("full")
    assert world.is_receipt(world.inbox.offered(PEER, given), given)
    assert world.stored(given) == [data]
    assert world.disk.list(join("link", "whole")) == []


def test_a_full_disk_at_the_start_does_not_stop_the_kernel(world, study):
    given, data = study
    world.inbox.offered(PEER, given)
    world.inbox.write(PEER, given.object_id, 0, data)
    world.inbox._landing.finish(PEER, given.object_id)
    world.disk.append("full", bytes(world.disk.free() - 100))
    again = World(world.keys, world.disk, world.database)
    assert isinstance(again.inbox.offered(PEER, given), Refusal)
    world.disk.remove("full")
    assert world.is_receipt(again.inbox.offered(PEER, given), given)


def test_other_bytes_under_the_same_id_are_refused_and_the_first_ones_stay(world, study):
    given, data = study
    hand_over(world.inbox, data, given, PEER)
    other = offer(given.object_id, objects.STUDY, b"other")
    answer = hand_over(world.inbox, b"other", other, PEER)
    assert isinstance(answer, Refusal)
    assert not answer.temporary
    assert world.is_receipt(world.inbox.offered(PEER, given), given)


def test_bytes_that_do_not_match_their_digest_start_again(world, study):
    given, data = study
    assert hand_over(world.inbox, bytes(len(data)), given, PEER) == Damaged()
    assert world.is_receipt(hand_over(world.inbox, data, given, PEER), given)


@pytest.mark.parametrize("kind", [objects.ROSTER, objects.RECEIPT])
def test_nobody_gives_the_centre_a_roster_or_a_receipt(world, kind):
    answer = world.inbox.offered(PEER, Offer(bytes(16), kind, 10, bytes(16)))
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.NOT_WANTED


def test_a_database_held_by_another_process_refuses_for_now_and_asks_for_no_byte_twice(tmp_path, monkeypatch):
    """`database is locked` ended the kernel, and the pages with it."""
    monkeypatch.setattr(databases, "BUSY_TIMEOUT_MS", 20)
    with open_centre(tmp_path) as centre:
        kit = Kit("van-1", centre.keys.seal_public, "van-1")
        kit.enrol(centre)
        object_id, data = kit.study([[raw_tag()]])
        inbox, given = FromPeers(centre, RESERVE), offer(object_id, objects.STUDY, data)
        other = sqlite3.connect(tmp_path / "centre.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        for answer in (hand_over(inbox, data, given, PEER), inbox.offered(PEER, given)):
            assert answer.reason == objects.BUSY
            assert "locked" in answer.text
        other.execute("COMMIT")
        other.close()
        assert isinstance(inbox.offered(PEER, given), Receipt)
        assert centre.disk.list("link/whole") == []


# The kernel on roads


class Region:
    """A kernel with gateways that call it."""

    def __init__(self, world):
        self.world, self.events, self.calls = world, [], 0
        world.centre.peers.add_gateway("ground", GROUND.public, PSK, ["udp://g:1"])
        self.kernel = Kernel(world.centre, self.events.append, RESERVE)
        self.roads = Roads(self.kernel)

    def call(self, pair=GROUND, psk=PSK):
        self.calls += 1
        entropy = seeded(pair.public + bytes((self.calls,)))
        caller = Caller(pair, self.world.keys.link_public, psk, MemoryOutbox(), MemoryInbox(), entropy)
        caller.rosters, caller.outbox = caller._inbox.done, caller._outbox
        self.roads.nodes.append(caller)
        caller.road = self.roads.join(caller, self.kernel)
        return caller

    def versions(self, caller):
        sign_public = self.world.keys.sign_public
        return sorted(verify_roster(data, sign_public).version for data in caller.rosters.values())


@pytest.fixture
def region(world):
    return Region(world)


def test_a_gateway_gets_the_roster_when_it_calls_and_each_new_one_within_a_second_or_two(region, world):
    caller = region.call()
    assert region.roads.run(5, lambda: len(caller.rosters) == 1)
    Kit("van-1", world.keys.seal_public, "van-1").enrol(world.centre)
    assert region.roads.run(POLL_S + 1, lambda: len(caller.rosters) == 2)
    newest = max(
        (verify_roster(data, world.keys.sign_public) for data in caller.rosters.values()), key=lambda r: r.version
    )
    assert [entry.name for entry in newest.entries] == ["van-1"]


def test_a_roster_that_is_confirmed_is_not_offered_again_while_the_kernel_runs(region):
    caller = region.call()
    region.roads.run(5)
    assert len(caller.rosters) == 1
    region.roads.cut(caller.road)
    region.roads.nodes.remove(caller)
    again = region.call()
    region.roads.run(5)
    assert again.state is CallerState.UP
    assert not again.rosters


def test_a_change_between_the_handshakes_two_halves_reaches_the_gateway(region, world):
    """The nudge went only to sessions that were proved, and the old version could not be read: the kernel ended."""
    caller = region.call()
    assert region.roads.run(5, lambda: bool(region.kernel.host._half_open))
    Kit("van-1", world.keys.seal_public, "van-1").enrol(world.centre)
    region.kernel._poll_at = 0.0
    region.kernel.tick(region.roads.now)
    assert region.roads.run(20, lambda: max(region.versions(caller), default=0) == world.centre.peers.version())


def test_kits_are_enrolled_one_after_the_other_while_a_roster_is_on_its_way(region, world):
    caller = region.call()
    region.roads.run(5)
    for number in range(2 * VERSIONS_MAX):
        Kit(f"van-{number}", world.keys.seal_public, f"van-{number}").enrol(world.centre)
        region.kernel._poll_at = 0.0
        region.kernel.tick(region.roads.now)
        region.roads.run(0.005)
    assert region.roads.run(60, lambda: max(region.versions(caller)) == world.centre.peers.version())


def test_a_revoked_gateway_is_dropped_and_told_so_at_its_next_call(region, world):
    caller = region.call()
    region.roads.run(5)
    assert caller.state is CallerState.UP
    world.centre.peers.revoke_gateway("ground")
    region.roads.run(POLL_S + 1)
    caller.outbox.add(b"data")
    caller.nudge(region.roads.now)
    assert region.roads.run(120, lambda: caller.denials > 0)
    assert caller.state is not CallerState.UP
    assert not caller.outbox.receipts


def test_a_gateway_with_another_psk_or_key_is_not_let_in(region):
    wrong_psk, wrong_key = region.call(psk=b"x" * 32), region.call(NORTH)
    region.roads.run(30)
    assert {wrong_psk.state, wrong_key.state} == {CallerState.CALLING}
    assert not wrong_psk.rosters
    assert not wrong_key.rosters
    assert "stranger" in {event.kind for event in region.events}


def test_a_kit_that_calls_the_centre_itself_is_served_and_gets_no_roster(region, world):
    kit = Kit("van-1", world.keys.seal_public, "van-1")
    kit.enrol(world.centre)
    object_id, data = kit.study([[raw_tag()]])
    given = offer(object_id, objects.STUDY, data)
    outbox = MemoryOutbox()
    outbox.objects[object_id] = (given, data)
    caller = Caller(
        KeyPair.from_secret(kit.link_secret), world.keys.link_public, kit.psk, outbox, NothingTaken(), seeded(b"kit")
    )
    region.roads.nodes.append(caller)
    region.roads.join(caller, region.kernel)
    assert region.roads.run(20, lambda: object_id in outbox.receipts)
    assert world.is_receipt(Receipt(outbox.receipts[object_id]), given)
    assert not outbox.refusals


def test_the_kernel_asks_to_be_called_once_a_second_with_nobody_there(region):
    region.roads.run(3)
    assert region.kernel.deadline() <= region.roads.now + POLL_S


# The roster's outbox


def test_an_outbox_offers_the_newest_roster_until_it_is_confirmed(world):
    outbox = RosterOutbox()
    assert outbox.pending() == ()
    roster = signed_roster(world.centre)
    outbox.offer(roster)
    (given,) = outbox.pending()
    assert (given.kind, given.size, given.priority) == (objects.ROSTER, len(roster), 1)
    assert outbox.read(given.object_id, 3, 5) == roster[3:8]
    outbox.receipt(bytes(16), b"")
    assert outbox.pending() == (given,)
    outbox.receipt(given.object_id, b"")
    assert outbox.pending() == ()
    outbox.offer(roster)
    assert outbox.pending() == (), "the same roster is confirmed already"


def test_an_outbox_drops_an_old_roster_for_a_new_one(world):
    outbox = RosterOutbox()
    outbox.offer(b"first")
    (first,) = outbox.pending()
    outbox.offer(b"second")
    (second,) = outbox.pending()
    assert first.object_id != second.object_id
    assert outbox.read(first.object_id, 0, 5) == b"first", "a session may be in the middle of it"
    outbox.receipt(first.object_id, b"")
    assert outbox.pending() == (second,)


def test_a_roster_that_was_overtaken_too_often_is_no_more_than_zeros():
    outbox = RosterOutbox()
    outbox.offer(b"version 0")
    (first,) = outbox.pending()
    for number in range(1, VERSIONS_MAX):
        outbox.offer(b"version %d" % number)
    assert outbox.read(first.object_id, 0, first.size) == b"version 0"
    outbox.offer(b"one more")
    assert outbox.read(first.object_id, 4, 5) == bytes(5), "of the size that was offered, and wrong by its digest"


def test_a_refusal_for_now_keeps_the_offer_and_one_for_good_ends_it():
    outbox = RosterOutbox()
    outbox.offer(b"roster")
    (given,) = outbox.pending()
    outbox.refused(given.object_id, Refusal(objects.DISK_FULL))
    assert outbox.pending() == (given,)
    outbox.refused(given.object_id, Refusal(objects.NOT_ALLOWED))
    assert outbox.pending() == ()
    outbox.offer(b"other")
    outbox.in_custody(outbox.pending()[0].object_id)
    assert outbox.pending() == ()


def test_a_database_that_is_away_for_a_minute_ends_nothing_and_what_changed_meanwhile_is_followed(
    region, world, monkeypatch
):
    caller = region.call()
    assert region.roads.run(5, lambda: len(caller.rosters) == 1)
    Kit("van-1", world.keys.seal_public, "van-1").enrol(world.centre)

    def away():
        raise databases.UnavailableError("database: connection refused")

    with monkeypatch.context() as patch:
        patch.setattr(world.database, "read", away)
        late = region.call(NORTH)
        caller.outbox.add(bytes(100))
        caller.nudge(region.roads.now)
        region.roads.run(60)
        assert late.state is CallerState.CALLING
        assert not caller.outbox.receipts
    assert region.roads.run(120, lambda: len(caller.rosters) == 2 and len(caller.outbox.receipts) == 1)
