"""Whose are the files that somebody brings, when a label, the worklist and the files each have a word?"""

import pytest

from edge.binding import HandedOrders, NoOrders, whose_files
from edge.importing import Importer, patient_of
from hardware.simulated.scp_ecg import record
from node.entropy import seeded
from tests.edge.dicom_made import dicom
from tests.edge.inbox_bench import InboxBench
from tests.edge.test_device_patients import FIRST, LISTED, SECOND, Listed
from tests.edge.test_imports import PNG, opened, tags_of
from tests.edge.test_kit import ENROLMENT, Clock
from tests.sim.disk import SimDisk
from wire.record import Note, Patient, Summary

LABEL = Patient("S1", "barcode", checked=True, time_ms=7)


@pytest.mark.parametrize(
    ("label", "ids", "patient", "source", "conflict", "unlisted"),
    [
        ("", (), "", "", False, False),
        ("", (FIRST,), FIRST, "device", False, False),
        ("", ("S3",), SECOND, "worklist", False, False),
        ("", (FIRST, "S1"), FIRST, "device", False, False),
        ("", ("S1", "S2"), FIRST, "worklist", False, False),
        ("", ("99",), "99", "device", False, True),
        ("", (FIRST, SECOND), "", "", True, False),
        ("", (FIRST, "99"), "", "", True, False),
        ("", ("98", "99"), "", "", True, True),
        ("S1", (), FIRST, "worklist", False, False),
        ("S1", (FIRST, "S2"), FIRST, "worklist", False, False),
        (FIRST, ("S3",), FIRST, "barcode", True, False),
        (FIRST, (FIRST, "99"), FIRST, "barcode", True, False),
        ("99", (FIRST,), "99", "barcode", True, True),
    ],
)
def test_each_file_names_a_patient_by_itself(label, ids, patient, source, conflict, unlisted):
    bound = whose_files(label, ids, Listed())
    assert (bound.patient, bound.source, bound.conflict, bound.unlisted) == (patient, source, conflict, unlisted)


@pytest.mark.parametrize(("ids", "patient"), [((), ""), (("1",), "1"), (("1", "2"), "")])
def test_without_a_worklist_files_are_whose_they_say(ids, patient):
    bound = whose_files("", ids, NoOrders())
    assert (bound.patient, bound.conflict, bound.unlisted) == (patient, len(ids) > 1, False)


def test_a_worklist_that_was_handed_over_says_the_same():
    handed, listed = HandedOrders([*LISTED, *LISTED]), Listed()
    assert handed.is_in_force
    assert not HandedOrders([]).is_in_force
    for ids in ((), ("S1",), (FIRST,), ("S3", FIRST), ("99",), ("",)):
        assert sorted(map(repr, handed.about(ids))) == sorted(map(repr, listed.about(ids)))


def told(bench):
    """Return of each study its summary, its patients and its notes."""
    notes = [[Note.from_tag(tag).text for tag in tags_of(one) if tag.kind == Note.KIND] for one in bench.studies()]
    return bench.summaries(), [patients_of(one) for one in bench.studies()], notes


def patients_of(study):
    found = [Patient.from_tag(tag) for tag in tags_of(study) if tag.kind == Patient.KIND]
    return [(one.id, one.source) for one in found]


def test_the_number_of_a_sample_in_a_file_means_its_patient_and_the_file_stays_as_it_is():
    bench, data = InboxBench(orders=Listed()), dicom(patient="S3")
    bench.place.write("IM1", data)
    bench.settle()
    (summary,), (patients,), _ = told(bench)
    assert (summary.patient, summary.patient_conflict, summary.unlisted) == (SECOND, False, False)
    assert patients == [(SECOND, "worklist")]
    assert bench.contents() == {data: 1}
    assert not any(one.is_disputed for one in bench.said)


def test_who_is_not_on_the_list_is_kept_and_flagged():
    bench = InboxBench(orders=Listed())
    bench.place.write("e.scp", record(1, "99", samples=100))
    bench.place.write("a.png", PNG)
    bench.settle()
    summaries, patients, notes = told(bench)
    assert sorted((one.patient, one.unlisted, one.patient_conflict) for one in summaries) == [
        ("", False, False),
        ("99", True, False),
    ]
    assert sorted(map(str, patients)) == ["[('99', 'device')]", "[]"]
    assert sorted(notes) == [[], ["99 is not on the worklist"]]


def test_a_tube_as_label_and_another_patient_in_the_file_is_a_conflict_that_is_told():
    bench = InboxBench(orders=Listed(), patient="label")
    bench.look()
    bench.label = LABEL
    bench.place.write("e.scp", record(1, SECOND, samples=100))
    bench.settle()
    (summary,), (patients,), _ = told(bench)
    assert (summary.patient, summary.patient_conflict, summary.unlisted) == (FIRST, True, False)
    assert patients == [(FIRST, "worklist")]
    assert [one.is_disputed for one in bench.said] == [True]


def test_a_tube_as_label_and_its_patient_in_the_file_agree():
    bench = InboxBench(orders=Listed(), patient="label")
    bench.look()
    bench.label = LABEL
    bench.place.write("e.scp", record(1, FIRST, samples=100))
    bench.settle()
    (summary,), (patients,), (notes,) = told(bench)
    assert (summary.patient, summary.patient_conflict, summary.unlisted) == (FIRST, False, False)
    assert patients == [(FIRST, "worklist")]
    assert notes == [f"S1 is the number of a sample; by the worklist it is patient {FIRST}'s"]


def test_the_number_of_a_sample_that_somebody_types_means_its_patient(tmp_path):
    path, disk = tmp_path / "a.png", SimDisk()
    path.write_bytes(PNG)
    importer = Importer(disk, Clock(), seeded(b"typed"), ENROLMENT, orders=Listed())
    made = importer.make([path], patient_of("S1", 7), 5)
    assert (made.bound.patient, made.bound.conflict) == (FIRST, False)
    (study,) = opened(importer.spool, "study")
    assert patients_of(study) == [(FIRST, "worklist")]
    (summary,) = [Summary.from_tag(tag) for one in opened(importer.spool, "summary") for tag in tags_of(one)]
    assert summary.patient == FIRST
