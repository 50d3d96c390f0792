"""The station's depot: custody only for what is durable, one object once, and every refusal says why."""

import pytest

from gateway.depot import Depot, FromKits, ToServer
from node import spool as spools
from node.seams import Custody, Damaged, Offer, Receipt, Refusal
from node.spool import State
from tests.gateway.ground import KIT, OTHER, RESERVE, hand_over, offer
from tests.sim.disk import Crash, SimDisk
from wire import objects
from wire.errors import DiskError

DATA = bytes(range(256)) * 40


class Station:
    """A depot with both its sides, opened on `disk`."""

    def __init__(self, disk):
        self.disk = disk
        self.depot = Depot(disk, RESERVE)
        self.kits, self.server = FromKits(self.depot), ToServer(self.depot)

    def bytes_of(self, given):
        return self.server.read(given.object_id, 0, given.size)


@pytest.fixture
def station():
    return Station(SimDisk())


def test_custody_survives_a_power_cut_right_behind_it():
    for seed in range(20):
        station = Station(SimDisk(seed))
        assert hand_over(station.kits, DATA) == Custody()
        after = Station(station.disk.crash())
        assert after.bytes_of(offer(DATA)) == DATA
        assert [one.object_id for one in after.server.pending()] == [offer(DATA).object_id]


def test_a_power_cut_at_any_call_loses_nothing_that_was_in_custody():
    calls = 0
    for at in range(1, 200):
        disk = SimDisk(at)
        station = Station(disk)
        disk.fail("crash", at)
        answer = None
        try:
            answer = hand_over(station.kits, DATA)
        except Crash:
            calls = at
        after = Station(disk.crash())
        if answer is not None:
            assert after.bytes_of(offer(DATA)) == DATA
            break
        assert hand_over(after.kits, DATA) == Custody(), "what the cut left stands in the way"
        assert after.bytes_of(offer(DATA)) == DATA
    assert calls > 10, "the whole way from the offer to the custody was cut"
    assert isinstance(answer, Custody)


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_a_disk_that_fails_or_is_full_at_any_call_gives_no_false_custody(fault):
    for at in range(1, 200):
        disk = SimDisk(at)
        station = Station(disk)
        disk.fail(fault, at)
        try:
            answer = hand_over(station.kits, DATA)
        except DiskError:
            answer = None
        if isinstance(answer, Refusal):
            assert answer.temporary, answer
            assert hand_over(station.kits, DATA) == Custody(), "after a full disk the same station goes on"
        met = disk.calls >= disk.fail_at
        after = Station(disk.crash() if fault == "EIO" else disk)
        assert hand_over(after.kits, DATA) == Custody()
        assert after.bytes_of(offer(DATA)) == DATA
        if not met:
            return
    raise AssertionError("the last call was never reached")


def test_what_was_whole_and_not_adopted_is_taken_over_at_the_next_start(station):
    given = offer(DATA)
    station.kits.offered(KIT.public, given)
    station.kits.write(KIT.public, given.object_id, 0, DATA)
    station.depot.landing.finish(KIT.public, given.object_id)
    after = Station(station.disk.crash())
    assert after.depot.drain() == (True, [])
    assert after.kits.offered(KIT.public, given) == Custody()
    assert after.bytes_of(given) == DATA
    assert after.disk.list("whole") == []


def test_an_offer_of_what_is_in_custody_is_answered_without_a_byte(station):
    hand_over(station.kits, DATA)
    assert station.kits.offered(KIT.public, offer(DATA)) == Custody()
    assert station.kits.offered(OTHER.public, offer(DATA)) == Custody()


def test_an_offer_of_what_the_server_has_is_answered_by_its_receipt(station):
    hand_over(station.kits, DATA)
    station.server.receipt(offer(DATA).object_id, b"the centre's word")
    assert station.kits.offered(KIT.public, offer(DATA)) == Receipt(b"the centre's word")
    after = Station(station.disk.crash())
    assert after.kits.offered(KIT.public, offer(DATA)) == Receipt(b"the centre's word")
    assert after.server.pending() == ()


def test_an_offer_of_what_the_server_refused_is_refused_with_its_reason(station):
    hand_over(station.kits, DATA)
    station.server.refused(offer(DATA).object_id, Refusal(objects.NOT_ALLOWED, "kit van-1 is revoked"))
    answer = station.kits.offered(KIT.public, offer(DATA))
    assert isinstance(answer, Refusal)
    assert not answer.temporary
    assert "kit van-1 is revoked" in answer.text


def test_a_temporary_refusal_of_the_server_changes_nothing(station):
    hand_over(station.kits, DATA)
    station.server.refused(offer(DATA).object_id, Refusal(objects.DISK_FULL))
    assert len(station.server.pending()) == 1


def test_who_sent_it_is_told_of_the_receipt_once(station):
    hand_over(station.kits, DATA)
    assert station.depot.drain() == (True, [])
    for _ in range(3):
        station.server.receipt(offer(DATA).object_id, b"word")
    assert station.depot.drain() == (False, [(KIT.public, offer(DATA).object_id, Receipt(b"word"))])
    assert station.depot.drain() == (False, [])


def test_a_receipt_for_what_was_never_here_is_dropped(station):
    station.server.receipt(bytes(16), b"word")
    assert station.depot.drain() == (False, [])


def test_other_bytes_under_the_same_id_wait_until_the_server_has_spoken_on_the_first(station):
    """Refused for good, a study went into `refused` of its kit: who knew its id could keep it from the centre."""
    given, other = offer(DATA), offer(b"other", object_id=offer(DATA).object_id)
    hand_over(station.kits, DATA)
    answer = hand_over(station.kits, b"other", other, OTHER.public)
    assert isinstance(answer, Refusal)
    assert answer.temporary
    assert given.object_id.hex() in answer.text
    assert station.bytes_of(given) == DATA
    station.server.receipt(given.object_id, b"word")
    assert hand_over(station.kits, b"other", other, OTHER.public) == Custody()
    assert station.bytes_of(other) == b"other"


def test_other_bytes_under_an_id_that_the_server_refused_are_refused(station):
    hand_over(station.kits, DATA)
    station.server.refused(offer(DATA).object_id, Refusal(objects.NOT_ALLOWED))
    answer = hand_over(station.kits, b"other", offer(b"other", object_id=offer(DATA).object_id), OTHER.public)
    assert answer.reason == objects.NOT_WANTED


def test_a_kit_is_never_given_an_empty_receipt(station):
    """With no room to keep the receipt the station gave an empty one, which no kit believes, at every offer."""
    hand_over(station.kits, DATA)
    station.server.receipt(offer(DATA).object_id, b"")
    assert hand_over(station.kits, DATA) == Custody()
    assert len(station.server.pending()) == 1, "the server is asked again"
    station.server.receipt(offer(DATA).object_id, b"word")
    assert hand_over(station.kits, DATA) == Receipt(b"word")


def test_a_receipt_on_a_bad_sector_is_fetched_again_and_ends_no_process(station, monkeypatch):
    hand_over(station.kits, DATA)
    station.server.receipt(offer(DATA).object_id, b"word")

    def unreadable(object_id):
        raise DiskError("bad sector")

    monkeypatch.setattr(station.depot.spool, "receipt_of", unreadable)
    assert hand_over(station.kits, DATA) == Custody()


def test_an_offer_that_no_server_takes_prunes_nothing(station):
    """One offer of 2**40 bytes made the station forget every receipt that it held."""
    hand_over(station.kits, DATA)
    station.server.receipt(offer(DATA).object_id, b"word")
    huge = Offer(b"h" * 16, objects.STUDY, objects.SIZE_MAX, bytes(16))
    assert station.kits.offered(OTHER.public, huge).reason == objects.TOO_LARGE
    assert hand_over(station.kits, DATA) == Receipt(b"word")


def test_two_kits_bring_other_bytes_under_one_id_at_the_same_time(station):
    """The second was let in before the first had arrived: this once stopped the station, and every start after it."""
    first, second = offer(DATA), offer(b"other", object_id=offer(DATA).object_id)
    for peer, given, data in ((KIT.public, first, DATA), (OTHER.public, second, b"other")):
        station.kits.offered(peer, given)
        station.kits.write(peer, given.object_id, 0, data)
    assert station.kits.finish(KIT.public, first.object_id) == Custody()
    answer = station.kits.finish(OTHER.public, second.object_id)
    assert isinstance(answer, Refusal)
    assert answer.temporary
    after = Station(station.disk.crash())
    assert after.bytes_of(first) == DATA
    assert after.disk.list("whole") == []


def test_the_cut_that_left_both_of_them_whole_does_not_stop_the_next_start(station):
    for peer, data in ((KIT.public, DATA), (OTHER.public, b"other")):
        given = offer(data, object_id=bytes(16))
        station.kits.offered(peer, given)
        station.kits.write(peer, given.object_id, 0, data)
        station.depot.landing.finish(peer, given.object_id)
    after = Station(station.disk.crash())
    assert len(after.server.pending()) == 1


def test_two_kits_bring_the_same_object_and_it_is_here_once(station):
    given = offer(DATA)
    for peer in (KIT.public, OTHER.public):
        station.kits.offered(peer, given)
        station.kits.write(peer, given.object_id, 0, DATA)
    assert station.kits.finish(KIT.public, given.object_id) == Custody()
    station.server.receipt(given.object_id, b"word")
    assert station.kits.finish(OTHER.public, given.object_id) == Receipt(b"word")
    assert len(station.depot.spool.objects()) == 1


def test_a_full_spool_refuses_for_now_and_takes_the_object_without_its_bytes_when_there_is_room(monkeypatch):
    station = Station(SimDisk())
    station.depot.spool._objects_max = 1
    hand_over(station.kits, b"first")
    answer = hand_over(station.kits, DATA)
    assert isinstance(answer, Refusal)
    assert answer.temporary
    assert "its limit" in answer.text
    station.server.receipt(offer(b"first").object_id, b"word")
    assert station.kits.offered(KIT.public, offer(DATA)) == Custody(), "it lies here whole: no byte goes twice"
    assert station.bytes_of(offer(DATA)) == DATA


def test_a_start_with_a_full_spool_does_not_stop_the_station(monkeypatch):
    station = Station(SimDisk())
    hand_over(station.kits, b"first")
    given = offer(DATA)
    station.kits.offered(KIT.public, given)
    station.kits.write(KIT.public, given.object_id, 0, DATA)
    station.depot.landing.finish(KIT.public, given.object_id)
    monkeypatch.setattr(spools.Spool.__init__, "__kwdefaults__", {"objects_max": 1})
    after = Station(station.disk.crash())
    answer = after.kits.offered(KIT.public, given)
    assert isinstance(answer, Refusal)
    assert answer.temporary
    after.server.receipt(offer(b"first").object_id, b"word")
    assert after.kits.offered(KIT.public, given) == Custody()


@pytest.mark.parametrize("kind", [objects.RECEIPT, objects.ROSTER, objects.FILE])
def test_a_kit_offers_studies_summaries_and_commands_only(station, kind):
    answer = station.kits.offered(KIT.public, offer(DATA, kind))
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.NOT_ALLOWED
    assert objects.KINDS[kind] in answer.text


def test_bytes_that_do_not_match_their_digest_are_thrown_away(station):
    given = offer(DATA)
    assert hand_over(station.kits, DATA[:-1] + b"?", given) == Damaged()
    assert station.server.pending() == ()
    assert hand_over(station.kits, DATA) == Custody()


def test_an_object_that_does_not_fit_is_refused_for_now():
    station = Station(SimDisk(capacity=3 * len(DATA)))
    big = bytes(4 * len(DATA))
    answer = hand_over(station.kits, big)
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.DISK_FULL
    assert hand_over(station.kits, b"small") == Custody()


def test_what_the_server_has_is_pruned_for_what_is_new_and_the_rest_is_not():
    size = 100_000
    station = Station(SimDisk(capacity=RESERVE + 5 * size))
    given = [bytes((number,)) * size for number in range(4)]
    for data in given:
        assert hand_over(station.kits, data) == Custody()
    for data in given[:2]:
        station.server.receipt(offer(data).object_id, b"word")
    assert hand_over(station.kits, bytes(size)[1:]) == Custody()
    kept = {one.object_id: one.state for one in station.depot.spool.objects()}
    assert offer(given[0]).object_id not in kept
    assert all(kept[offer(data).object_id] is State.WAITING for data in (*given[2:], bytes(size)[1:]))


def test_a_transfer_goes_on_where_a_power_cut_left_it():
    station = Station(SimDisk(3))
    data = bytes(range(256)) * 400
    given = offer(data)
    station.kits.offered(KIT.public, given)
    station.kits.write(KIT.public, given.object_id, 0, data[:70_000])
    after = Station(station.disk.crash())
    have = after.kits.offered(KIT.public, given)
    assert have.total >= 32_768, "what was fsynced is not sent again"
    assert hand_over(after.kits, data) == Custody()
    assert after.bytes_of(given) == data


def test_the_other_node_has_it_in_custody_already_changes_nothing_for_the_kit(station):
    hand_over(station.kits, DATA)
    station.server.in_custody(offer(DATA).object_id)
    assert station.kits.offered(KIT.public, offer(DATA)) == Custody()
    assert len(station.server.pending()) == 1
