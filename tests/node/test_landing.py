"""The landing: whole objects lie there until somebody has taken them over, whatever the power does in between."""

import pytest

from node.landing import WHOLE, Landing, Whole
from node.seams import Damaged, Offer, RangeSet, Refusal
from node.spool import digest_of
from tests.sim.disk import Crash, SimDisk
from wire import objects
from wire.errors import DiskError

PEER, OTHER = b"p" * 32, b"o" * 32
DATA = bytes(range(256)) * 40


def offer(data=DATA, **more):
    return Offer(**{"object_id": bytes(16), "kind": objects.STUDY, "size": len(data), "digest": digest_of(data)} | more)


def bring(landing, data=DATA, peer=PEER, given=None):
    given = given or offer(data)
    answer = landing.open(peer, given)
    if isinstance(answer, Refusal):
        return answer
    for start, end in answer.gaps(given.size):
        refusal = landing.write(peer, given.object_id, start, data[start:end])
        if refusal is not None:
            return refusal
    return landing.finish(peer, given.object_id)


@pytest.mark.parametrize("folder", ["", "link"])
def test_what_is_whole_is_found_after_a_power_cut_with_all_that_was_offered(folder):
    disk = SimDisk()
    given = offer(priority=2, kind=objects.SUMMARY)
    whole = bring(Landing(disk, folder, 0), given=given)
    assert whole == Whole(PEER, given, whole.path)
    after = disk.crash()
    assert Landing(after, folder, 0).waiting == [whole]
    assert after.read(whole.path) == DATA


def test_what_was_taken_is_gone_after_a_power_cut_and_taken_twice_is_harmless():
    disk = SimDisk()
    landing = Landing(disk, "", 0)
    whole = bring(landing)
    landing.taken(whole)
    landing.taken(whole)
    assert Landing(disk.crash(), "", 0).waiting == []


def test_an_empty_object_is_an_object():
    whole = bring(Landing(SimDisk(), "", 0), b"")
    assert isinstance(whole, Whole)


def test_the_note_of_an_offer_is_not_kept_and_its_peer_is():
    disk = SimDisk()
    bring(Landing(disk, "", 0), given=offer(note=b"a note"))
    (left,) = Landing(disk.crash(), "", 0).waiting
    assert (left.peer, left.offer.note) == (PEER, b"")


def test_two_peers_may_bring_one_id_with_different_bytes():
    disk = SimDisk()
    landing = Landing(disk, "", 0)
    first, second = bring(landing), bring(landing, b"other", OTHER)
    assert first.path != second.path
    assert {whole.peer for whole in Landing(disk, "", 0).waiting} == {PEER, OTHER}


def test_wrong_bytes_are_damaged_and_begin_again_from_nothing():
    landing = Landing(SimDisk(), "", 0)
    assert bring(landing, bytes(len(DATA)), given=offer()) == Damaged()
    assert landing.open(PEER, offer()) == RangeSet()
    assert isinstance(bring(landing), Whole)


def test_names_that_are_not_ours_are_left_alone():
    disk = SimDisk()
    Landing(disk, "", 0)
    disk.append(f"{WHOLE}/readme.txt", b"put here by hand")
    assert Landing(disk, "", 0).waiting == []
    assert disk.exists(f"{WHOLE}/readme.txt")


def test_an_object_that_does_not_fit_beside_the_reserve_is_refused_for_now():
    landing = Landing(SimDisk(capacity=1 << 20), "", 1 << 20)
    answer = landing.open(PEER, offer())
    assert isinstance(answer, Refusal)
    assert answer.temporary


def test_a_full_folder_at_the_last_rename_is_a_refusal_for_now(monkeypatch):
    """A rename needs room for a name; the error ended the node in the middle of a frame."""
    from wire.errors import DiskFull

    disk = SimDisk()
    landing = Landing(disk, "", 0)
    real = disk.rename

    def rename(old, new):
        raise DiskFull(f"no room to rename {old}")

    monkeypatch.setattr(disk, "rename", rename)
    answer = bring(landing)
    assert isinstance(answer, Refusal)
    assert answer.temporary
    monkeypatch.setattr(disk, "rename", real)
    assert isinstance(bring(landing), Whole), "and no byte of it was lost"


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_any_call_leaves_it_whole_or_to_be_sent(fault):
    for at in range(1, 100):
        disk = SimDisk(at)
        landing = Landing(disk, "", 0)
        disk.fail(fault, at)
        try:
            answer = bring(landing)
        except (Crash, DiskError):
            answer = None
        met = disk.calls >= disk.fail_at
        after = Landing(disk.crash(), "", 0)
        if isinstance(answer, Whole):
            assert [whole.offer.digest for whole in after.waiting] == [digest_of(DATA)]
        whole = bring(after)
        assert isinstance(whole, Whole)
        after.taken(whole)
        if not met:
            return
    raise AssertionError("the last call was never reached")
