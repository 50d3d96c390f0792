"""Studies while they are written: what a commit costs, what is refused, and that refusing harms nothing."""

import pytest

from node.journal import Limits
from node.sealer import summary_id_of
from node.spool import State
from tests.node.stores import SMALL, Kit, payloads_of, raw_tag, read_all, summary_of
from tests.sim.disk import SimDisk
from wire.errors import DiskError, DiskFull, Misuse
from wire.objects import STUDY, SUMMARY
from wire.tag import HEADER_SIZE_MAX


@pytest.fixture
def disk():
    return SimDisk()


def test_a_commit_is_one_append_and_one_fsync(disk):
    journal = Kit(disk).studies.open()
    for entry in range(5):
        del disk.log[:]
        journal.append([raw_tag(b"%d" % entry)])
        assert [line.split()[0] for line in disk.log] == ["append", "sync"]


def test_an_entry_of_several_tags_over_a_mebibyte_is_one_commit(disk):
    kit = Kit(disk)
    journal = kit.studies.open()
    large = bytes(range(256)) * 6000
    del disk.log[:]
    journal.append([raw_tag(large[at:]) for at in range(3)])
    assert [line.split()[0] for line in disk.log] == ["append", "sync"]
    journal.close(summary_of(journal, 1))
    ((_, study),) = read_all(kit.spool, STUDY)
    assert payloads_of(study) == [large, large[1:], large[2:]]


def test_no_plaintext_lies_on_the_disk(disk):
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.append([raw_tag(b"NAME OF A PATIENT" * 3)])
    journal.close(summary_of(journal, 1) | {"patient": "NAME OF A PATIENT"})
    assert not [path for path, content in disk.tree().items() if b"PATIENT" in content]


def test_the_summary_goes_first_and_is_more_urgent(disk):
    kit = Kit(disk)
    for priority in (5, 1, 9):
        journal = kit.studies.open(priority=priority)
        journal.append([raw_tag(b"x")])
        journal.close(summary_of(journal, 1))
    order = [(offer.kind, offer.priority) for offer in kit.spool.pending()]
    assert order == [(SUMMARY, 1), (STUDY, 1), (SUMMARY, 2), (STUDY, 5), (SUMMARY, 6), (STUDY, 9)]


def test_the_priority_may_change_when_it_is_known_what_is_in_it(disk):
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.close(summary_of(journal, 0), priority=1)
    assert kit.spool.get(journal.study_id).priority == 1


def test_the_file_in_open_is_called_by_priority_and_study(disk):
    journal = Kit(disk).studies.open(priority=3)
    assert disk.list("open") == [f"3-{journal.study_id.hex()}.study"]


def test_studies_are_recovered_before_one_is_opened(disk):
    kit = Kit(disk)
    kit.studies._recovered = False
    with pytest.raises(Misuse, match="recovered"):
        kit.studies.open()


@pytest.mark.parametrize("priority", [0, 10])
def test_a_priority_out_of_bounds_is_refused(disk, priority):
    with pytest.raises(Misuse, match="priority"):
        Kit(disk).studies.open(priority=priority)


def test_a_closed_study_takes_nothing_more(disk):
    journal = Kit(disk).studies.open()
    journal.close(summary_of(journal, 0))
    with pytest.raises(Misuse, match="spooled"):
        journal.append([raw_tag(b"x")])
    with pytest.raises(Misuse, match="spooled"):
        journal.close(summary_of(journal, 0))


def test_as_many_studies_as_the_limit_and_not_one_more(disk):
    studies = Kit(disk, limits=Limits(1 << 14, 1 << 20, 3, 1 << 10, 1 << 12, 1 << 12)).studies
    journals = [studies.open() for _ in range(3)]
    assert not studies.has_room()
    with pytest.raises(DiskFull, match="3 under way"):
        studies.open()
    journals[0].close(summary_of(journals[0], 0))
    assert studies.open()


def test_an_entry_at_the_limit_and_one_over_it(disk):
    limits = Limits(entry_size_max=5000, study_room=1 << 12, entries_reserve=1 << 12, closing_reserve=1 << 12)
    journal = Kit(disk, limits=limits).studies.open()
    with pytest.raises(Misuse, match="at most 5000"):
        journal.append([raw_tag(bytes(5001 - HEADER_SIZE_MAX))])
    journal.append([raw_tag(bytes(5000 - HEADER_SIZE_MAX))])
    assert journal.entries == 1


def test_a_study_at_its_limit_refuses_and_can_still_be_closed(disk):
    kit = Kit(disk, limits=Limits(1 << 12, 6000, 4, 1 << 12, 1 << 12, 1 << 12))
    journal = kit.studies.open()
    payload, count = bytes(range(256)) * 4, 0
    while journal.room > len(payload) + HEADER_SIZE_MAX:
        journal.append([raw_tag(payload)])
        count += 1
    with pytest.raises(DiskFull, match="is full"):
        journal.append([raw_tag(payload)])
    assert journal.size <= 6000
    journal.close(summary_of(journal, count))
    ((_, study),) = read_all(kit.spool, STUDY)
    assert len(payloads_of(study)) == count > 0


def test_a_full_disk_refuses_a_new_study_and_finishes_the_old_one(disk):
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.append([raw_tag(b"before")])
    disk.capacity = disk.capacity - disk.free()
    assert not kit.studies.has_room()
    with pytest.raises(DiskFull):
        kit.studies.open()
    journal.append([raw_tag(b"from the reserve")])
    journal.close(summary_of(journal, 2))
    ((_, study),) = read_all(kit.spool, STUDY)
    assert payloads_of(study) == [b"before", b"from the reserve"]
    disk.capacity += 1 << 20
    assert kit.studies.has_room()
    assert disk.list("")[-4:] == [
        "received",
        "refused",
        "reserve-closing",
        "reserve-entries",
    ] or "reserve-entries" in disk.list("")


def test_an_entry_that_found_no_room_leaves_the_study_as_it_was(disk):
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.append([raw_tag(b"one")])
    kit.studies._entries_reserve.release()
    capacity, disk.capacity = disk.capacity, disk.capacity - disk.free()
    for _ in range(3):
        with pytest.raises(DiskFull):
            journal.append([raw_tag(bytes(range(256)) * 20)])
    disk.capacity = capacity
    journal.append([raw_tag(b"two")])
    journal.close(summary_of(journal, 2))
    ((_, study),) = read_all(kit.spool, STUDY)
    assert payloads_of(study) == [b"one", b"two"]


def test_room_is_made_from_what_was_received(disk):
    kit = Kit(disk)
    for number in range(4):
        kit.spool.put(bytes([number]) * 16, STUDY, bytes(50_000))
        kit.spool.receipt(bytes([number]) * 16, b"r")
    disk.capacity = disk.capacity - disk.free() + 40_000
    assert kit.studies.has_room()
    assert [one.object_id[0] for one in kit.spool.objects(State.RECEIVED)] == [1, 2, 3]


@pytest.mark.parametrize("call", ["append", "open", "close", "has_room"])
def test_after_a_failed_fsync_everything_is_refused_until_the_store_is_opened_anew(disk, call):
    kit = Kit(disk)
    journal, other = kit.studies.open(), kit.studies.open()
    other.append([raw_tag(b"kept")])
    disk.fail("EIO", 2)
    with pytest.raises(DiskError, match="as the test wants"):
        journal.append([raw_tag(b"unsure")])
    calls = {
        "append": lambda: other.append([raw_tag(b"more")]),
        "open": kit.studies.open,
        "close": lambda: other.close(summary_of(other, 1)),
        "has_room": kit.studies.has_room,
    }
    syncs = disk.syncs()
    with pytest.raises(DiskError, match="open the store anew"):
        calls[call]()
    assert disk.syncs() == syncs
    again = Kit(disk, 1)
    found = [payloads_of(study) for _, study in read_all(again.spool, STUDY)]
    assert [b"kept"] in found


def test_closing_may_be_tried_again_when_the_spool_was_full(disk):
    kit = Kit(disk)
    kit.spool._objects_max = 1
    journal = kit.studies.open()
    journal.append([raw_tag(b"x")])
    with pytest.raises(DiskFull, match="limit"):
        journal.close(summary_of(journal, 1))
    with pytest.raises(Misuse, match="ended"):
        journal.append([raw_tag(b"y")])
    kit.spool._objects_max = 10
    journal.close(summary_of(journal, 1))
    assert {one.object_id for one in kit.spool.objects()} == {journal.study_id, summary_id_of(journal.study_id)}
    assert disk.list("open") == []


def test_limits_beyond_the_format_are_a_mistake_of_ours():
    with pytest.raises(Misuse, match="entries of"):
        Limits(entry_size_max=1 << 30)
    assert SMALL.entry_size_max > 0
