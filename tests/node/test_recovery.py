"""What becomes of studies that were cut short or damaged: tails are cut, holes set aside, nothing sound is given up."""

import random

import pytest

from node.recovery import Outcome
from node.sealer import summary_id_of
from node.spool import Spool, State
from tests.node.stores import SEAL_SECRET, Kit, payloads_of, raw_tag, read_all, summary_of
from tests.sim.disk import SimDisk
from wire.errors import DiskError, DiskFull
from wire.objects import STUDY, SUMMARY
from wire.record import Summary
from wire.study import open_study


def begun(disk, entries=4, size=700):
    """Return (path, end of each commit) of a study that is being written."""
    journal = Kit(disk).studies.open()
    ends = [journal.size]
    for entry in range(entries):
        journal.append([raw_tag(b"%d" % entry * size)])
        ends.append(journal.size)
    return f"open/5-{journal.study_id.hex()}.study", ends


def recovered(disk, life=1):
    kit = Kit(disk, life)
    studies = [study for _, study in read_all(kit.spool, STUDY)]
    return kit, [payload[:1] for study in studies for payload in payloads_of(study)], studies


def test_an_unfinished_study_is_closed_signed_and_spooled():
    disk = SimDisk()
    begun(disk)
    kit, found, (study,) = recovered(disk)
    assert found == [b"0", b"1", b"2", b"3"]
    assert study.end.recovered
    assert study.end.entries == 5
    (report,) = kit.report.studies
    assert (report.outcome, report.entries, report.cut_bytes, report.hole) == (Outcome.RECOVERED, 4, 0, False)
    assert not kit.report.alarms


def test_the_summary_of_a_recovered_study_admits_what_it_does_not_know():
    disk = SimDisk()
    begun(disk)
    kit, _, (study,) = recovered(disk)
    ((_, stream),) = read_all(kit.spool, SUMMARY)
    summary = Summary.from_tag(stream.entries[0].tags[0])
    assert (summary.study, summary.kit, summary.form, summary.entries) == (study.study_id, "kit-7", "unknown", 4)
    assert (summary.recovered, summary.partial, summary.patient, summary.device) == (True, True, "", "")
    assert summary.opened_ms == study.opened_ms
    assert Summary.from_tag(study.entries[-1].tags[0]) == summary


def test_a_recovered_study_keeps_its_urgency():
    disk = SimDisk()
    journal = Kit(disk).studies.open(priority=1)
    journal.append([raw_tag(b"x")])
    assert Kit(disk, 1).spool.get(journal.study_id).priority == 1


@pytest.mark.parametrize("how", ["cut", "zeros", "flipped"])
def test_a_torn_tail_is_cut_at_every_byte_and_counted(how):
    disk = SimDisk()
    path, ends = begun(disk, entries=2, size=40)
    whole = disk.read(path)
    for at in range(ends[1], ends[2], 3):
        left = SimDisk(at)
        torn = {"cut": whole[:at], "zeros": whole[:at] + bytes(ends[2] - at), "flipped": bytearray(whole)}[how]
        if how == "flipped":
            torn[at] ^= 0x10
        left.make_folder("open")
        left.append(path, bytes(torn))
        kit, found, _ = recovered(left)
        (report,) = kit.report.studies
        assert found in ([b"0"], [b"0", b"1"])
        assert not report.hole
        assert left.list("broken") == []
        if how == "cut":
            assert found == [b"0"]
            assert report.cut_bytes == at - ends[1]


def test_a_hole_in_the_middle_costs_one_entry_and_raises_an_alarm():
    disk = SimDisk()
    path, ends = begun(disk)
    disk.damage(path, ends[1] + 20, bytes(60))
    damaged = disk.read(path)
    kit, found, (study,) = recovered(disk)
    assert found == [b"0", b"2", b"3"]
    assert [entry.ordinal for entry in study.entries] == [0, 2, 3, 4]
    (report,) = kit.report.alarms
    assert report.lost_bytes > 0
    name = path.removeprefix("open/")
    assert disk.list("broken") == [name]
    assert disk.read(f"broken/{name}") == damaged


@pytest.fixture(autouse=True)
def a_hole_shows_in_the_study(monkeypatch):
    """The checker of `stores` wants undamaged studies; here a missing ordinal is what must show."""

    def lenient(spool, kind):
        for one in spool.objects():
            if one.kind == kind:
                yield one.object_id, open_study(spool.read(one.object_id, 0, one.size), SEAL_SECRET)

    monkeypatch.setattr("tests.node.test_recovery.read_all", lenient)


def test_a_damaged_start_is_no_end():
    disk = SimDisk()
    path, _ = begun(disk)
    disk.damage(path, 0, bytes(10))
    kit, found, (study,) = recovered(disk)
    assert found == [b"0", b"1", b"2", b"3"]
    assert study.study_id.hex() in path
    assert kit.report.alarms


def test_a_damaged_check_in_the_middle_costs_no_entry():
    disk = SimDisk()
    path, ends = begun(disk)
    disk.damage(path, ends[2] - 3, b"\xff\xff\xff")
    _, found, _ = recovered(disk)
    assert found == [b"0", b"1", b"2", b"3"]


def test_a_study_without_an_entry_leaves_nothing():
    disk = SimDisk()
    begun(disk, entries=0)
    kit, found, _ = recovered(disk)
    assert found == []
    assert [study.outcome for study in kit.report.studies] == [Outcome.EMPTY]
    assert disk.list("open") == disk.list("spool") == disk.list("broken") == []


@pytest.mark.parametrize("size", [0, 1, 60])
def test_a_file_younger_than_its_first_fsync_is_removed(size):
    disk = SimDisk()
    disk.make_folder("open")
    disk.append(f"open/5-{'ab' * 16}.study", bytes(size))
    kit, _, _ = recovered(disk)
    assert [study.outcome for study in kit.report.studies] == [Outcome.EMPTY]
    assert disk.list("open") == []


def test_a_file_of_which_nothing_can_be_read_is_set_aside():
    disk = SimDisk()
    disk.make_folder("open")
    name = f"5-{'ab' * 16}.study"
    for life in range(1, 4):
        disk.append(f"open/{name}", b"\x55" * 5000)
        kit, _, _ = recovered(disk, life)
        assert [study.outcome for study in kit.report.studies] == [Outcome.BROKEN]
    assert disk.list("broken") == [name, f"{name}.2", f"{name}.3"]


def test_names_that_are_not_ours_are_reported_and_left_alone():
    disk = SimDisk()
    disk.make_folder("open")
    for name in ("notes.txt", "5-abc.study", f"0-{'ab' * 16}.study", f"{'cd' * 16}.summary"):
        disk.append(f"open/{name}", b"mine")
    kit, _, _ = recovered(disk)
    assert len(kit.report.foreign) == 4
    assert len(disk.list("open")) == 4


def closed_and_stopped_before_the_spool(disk):
    """Close a study with a spool that has no room for either file."""
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.append([raw_tag(b"0")])
    kit.spool._objects_max = 0
    with pytest.raises(DiskFull):
        journal.close(summary_of(journal, 1))
    return journal


def test_a_study_that_was_closed_but_not_spooled_is_spooled_as_it_is_with_its_own_summary():
    disk = SimDisk()
    journal = closed_and_stopped_before_the_spool(disk)
    written = disk.read(f"open/5-{journal.study_id.hex()}.study")
    kit, _, (study,) = recovered(disk)
    assert kit.spool.read(journal.study_id, 0, len(written)) == written
    assert not study.end.recovered
    ((_, stream),) = read_all(kit.spool, SUMMARY)
    assert Summary.from_tag(stream.entries[0].tags[0]).patient == "113"


def test_a_damaged_summary_is_replaced_by_an_admission():
    disk = SimDisk()
    journal = closed_and_stopped_before_the_spool(disk)
    disk.damage(f"open/{journal.study_id.hex()}.summary", 100, b"\0\0\0\0")
    kit, _, _ = recovered(disk)
    ((_, stream),) = read_all(kit.spool, SUMMARY)
    assert Summary.from_tag(stream.entries[0].tags[0]).form == "unknown"


def test_what_lies_in_the_spool_already_is_not_spooled_again():
    disk = SimDisk()
    path, _ = begun(disk)
    left = disk.read(path)
    kit, _, _ = recovered(disk)
    study_id = bytes.fromhex(path[7:39])
    kit.spool.receipt(study_id, b"r")
    disk.append(path, left)
    again, _, _ = recovered(disk, 2)
    assert [study.outcome for study in again.report.studies] == [Outcome.SPOOLED]
    assert again.spool.get(study_id).state is State.RECEIVED
    assert len(again.spool.objects()) == 2
    assert disk.list("open") == []


def test_without_room_the_study_waits_for_the_next_recovery():
    disk = SimDisk()
    path, _ = begun(disk)
    disk.remove("reserve-entries")
    disk.remove("reserve-closing")
    capacity, disk.capacity = disk.capacity, disk.capacity - disk.free()
    kit = Kit(disk, 1)
    assert [study.outcome for study in kit.report.studies] == [Outcome.POSTPONED]
    assert disk.list("open") == [path.removeprefix("open/")]
    disk.capacity = capacity
    report = kit.studies.recover()
    assert [study.outcome for study in report.studies] == [Outcome.RECOVERED]
    assert summary_id_of(bytes.fromhex(path[7:39])) in {one.object_id for one in kit.spool.objects()}


def test_recovery_leaves_studies_alone_that_are_being_written():
    disk = SimDisk()
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.append([raw_tag(b"0")])
    assert kit.studies.recover().studies == ()
    journal.append([raw_tag(b"1")])
    journal.close(summary_of(journal, 2))
    ((_, study),) = read_all(Spool(disk), STUDY)
    assert payloads_of(study) == [b"0", b"1"]


def test_a_bad_sector_costs_what_was_on_it_and_the_kit_starts():
    disk = SimDisk()
    kit = Kit(disk)
    journal, other = kit.studies.open(), kit.studies.open()
    other.append([raw_tag(b"9")])
    for entry in range(5):
        journal.append([raw_tag(b"%d" % entry + random.Random(entry).randbytes(9000))])
    path = f"open/5-{journal.study_id.hex()}.study"
    disk.spoil(path, journal.size // 2, 1)
    kit, found, _ = recovered(disk)
    assert {b"0", b"1", b"3", b"4", b"9"} <= set(found)
    assert len(found) == 5
    assert [study.study_id for study in kit.report.alarms] == [journal.study_id]
    assert disk.list("broken") == [path.removeprefix("open/")]


def test_a_read_that_fails_once_costs_nothing():
    for at in range(1, 60):
        again = SimDisk()
        begun(again)
        again.fail("EIO", at)
        try:
            kit, found, _ = recovered(again)
        except DiskError:
            kit, found, _ = recovered(again, 2)
        again.fail_at = None
        assert found == [b"0", b"1", b"2", b"3"]
        assert not kit.report.alarms
        assert again.list("broken") == []
