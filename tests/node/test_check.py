"""Check and repair: every damage is found, nothing is changed, and what is sound is written to a new file."""

import pytest

from node.check import PROBLEMS_MAX, Severity, check_store, repair_store
from node.spool import State, parse_name
from tests.node.stores import SEAL_SECRET, SIGN_PUBLIC, Kit, payloads_of, raw_tag, summary_of
from tests.sim.disk import SimDisk
from wire.objects import COMMAND, STUDY
from wire.seal import key_id, sign_pair
from wire.study import open_study

KEYS = {key_id(SIGN_PUBLIC): SIGN_PUBLIC}


def stored(folder_count=2):
    """A kit with a closed study in each of some states, one under way, and a command."""
    disk = SimDisk()
    kit = Kit(disk)
    for study in range(folder_count):
        journal = kit.studies.open()
        for entry in range(4):
            journal.append([raw_tag(b"%d" % entry * 300)])
        journal.close(summary_of(journal, 4))
        if study:
            kit.spool.receipt(journal.study_id, b"r")
    kit.studies.open().append([raw_tag(b"under way")])
    kit.spool.put(bytes(16), COMMAND, b"a command")
    return disk, kit


def waiting_study(kit):
    return next(one for one in kit.spool.objects(State.WAITING) if one.kind == STUDY)


def test_a_store_without_damage_is_sound_and_unchanged():
    disk, _ = stored()
    before = disk.tree()
    report = check_store(disk, sign_publics=KEYS)
    assert report.sound
    assert report.problems == ()
    assert report.files == len(before) - 3  # the reserves are not looked at
    assert disk.tree() == before
    assert not [line for line in disk.log[-200:] if line.startswith("sync ") and "repaired" in line]


@pytest.mark.parametrize("state", [State.WAITING, State.RECEIVED])
def test_a_changed_byte_is_an_alarm_and_says_what_is_left(state):
    disk, kit = stored()
    one = next(one for one in kit.spool.objects(state) if one.kind == STUDY)
    disk.damage(kit.spool.path(one.object_id), 100, b"\xff\x00")
    report = check_store(disk)
    (problem,) = report.problems
    assert not report.sound
    assert problem.path == kit.spool.path(one.object_id)
    assert "4 entries in it are sound" in problem.text  # three results and the summary
    assert problem.lost_bytes > 50


def test_a_changed_command_is_an_alarm_too():
    disk, kit = stored()
    disk.damage(kit.spool.path(bytes(16)), 0, b"X")
    assert [problem.severity for problem in check_store(disk).problems] == [Severity.ALARM]


def test_a_strangers_signature_is_an_alarm():
    disk, _ = stored()
    _, other = sign_pair(bytes(32))
    report = check_store(disk, sign_publics={key_id(other): other})
    assert len(report.problems) == 4
    assert {problem.text for problem in report.problems} == {"signed by nobody whose key is known here"}


def test_a_file_that_cannot_be_read_is_a_problem_and_not_the_end():
    disk, _ = stored()
    check_store(disk)
    reads = [at for at, line in enumerate(disk.log) if line.startswith("read spool")]
    again = stored()[0]
    again.fail("EIO", reads[-1] + 1 - again.calls)
    report = check_store(again)
    assert [problem.severity for problem in report.problems] == [Severity.ALARM]
    assert "errno 5" in report.problems[0].text


def test_what_a_crash_left_is_a_note():
    disk, kit = stored()
    (under_way,) = disk.list("open")
    disk.append(f"open/{under_way}", b"\0" * 40)
    name = waiting_study(kit).name
    disk.append(f"spool/{name}.new", b"half")
    disk.append("spool/notes.txt", b"mine")
    disk.append("open/notes.txt", b"mine")
    disk.append(f"open/{'ab' * 16}.summary", b"s")
    (receipt,) = [name for name in disk.list("received") if name.endswith(".receipt")]
    disk.remove(f"received/{receipt}")
    report = check_store(disk)
    assert report.sound
    texts = sorted(problem.text.split(";")[0].split(",")[0] for problem in report.problems)
    assert texts == [
        "a torn tail",
        "has no receipt beside it",
        "left by a crash",
        "left unfinished by a crash",
        "not one of ours",
        "not one of ours",
    ]


def test_a_hole_in_a_study_under_way_is_an_alarm():
    disk = SimDisk()
    journal = Kit(disk).studies.open()
    for entry in range(3):
        journal.append([raw_tag(b"%d" % entry * 300)])
    (name,) = disk.list("open")
    disk.damage(f"open/{name}", 120, bytes(30))
    (problem,) = check_store(disk).problems
    assert (problem.severity, problem.path) == (Severity.ALARM, f"open/{name}")


def test_one_object_under_two_names_is_noted():
    disk, kit = stored()
    one = waiting_study(kit)
    disk.append(f"custody/{one.name}", kit.spool.read(one.object_id, 0, one.size))
    (problem,) = check_store(disk).problems
    assert "the same object lies at" in problem.text


def test_repair_writes_new_files_of_what_is_sound_and_changes_nothing_else():
    disk, kit = stored()
    one = waiting_study(kit)
    disk.damage(kit.spool.path(one.object_id), 100, b"\xff\x00")
    before = disk.tree()
    repaired = {fixed.source: fixed for fixed in repair_store(disk, "", "repaired", 1)}
    fixed = repaired[kit.spool.path(one.object_id)]
    assert len(repaired) == 2  # and the one under way, which has no end
    assert fixed.entries == 4
    study = open_study(disk.read(fixed.path), SEAL_SECRET)
    assert study.study_id == one.object_id
    assert [payload[:1] for payload in payloads_of(study)] == [b"1", b"2", b"3"]
    assert study.signer is None
    assert [loss.reason for loss in study.lost] == ["no SIGNATURE ends the file"]
    assert study.missing == (range(1),)
    assert before.items() <= disk.tree().items()
    assert {fixed.path for fixed in repair_store(disk, "", "repaired", 1)}.isdisjoint(before)
    assert parse_name(fixed.source.rpartition("/")[2]) is not None


def test_repair_of_a_sound_store_writes_nothing():
    disk = SimDisk()
    kit = Kit(disk)
    journal = kit.studies.open()
    journal.close(summary_of(journal, 0))
    before = disk.tree()
    assert repair_store(disk, "", "repaired", 1) == []
    assert disk.tree() == before


def test_the_report_is_bounded(monkeypatch):
    assert PROBLEMS_MAX == 10_000
    monkeypatch.setattr("node.check.PROBLEMS_MAX", 3)
    disk, _ = stored()
    for number in range(10):
        disk.append(f"spool/{number}.txt", b"")
    assert len(check_store(disk).problems) == 3
