"""Odd texts of a driver's events stop no kit: each study is closed and kept, and the next one, on every port."""

from datetime import UTC, datetime

import pytest

from edge.driver import (
    ClockRead,
    Commit,
    Fault,
    Located,
    Note,
    OperatorScanned,
    PatientScanned,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.event_texts import TEXT_SIZE_MAX, writable
from node.journal import StudyJournal
from tests.edge.test_timekeeping import Says
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk
from wire.errors import DiskFull
from wire.record import Device, Patient

BEGINS, ENTRY, ENDS = StudyBegins("document"), Commit(b"raw"), StudyEnds()
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ODD = {"a lone surrogate": "\ud800", "huge": "\u20ac" * 70_000}


def scene(odd):
    """A driver's events, each with the odd text in another place."""
    return {
        "model": [StudyBegins("document", odd), ENTRY, ENDS],
        "form": [StudyBegins(odd), ENTRY, ENDS],
        "note": [BEGINS, Note(odd), ENTRY, ENDS],
        "fault": [BEGINS, Fault(odd, odd), ENTRY, ENDS],
        "patient of an entry": [BEGINS, Commit(b"raw", patient_id=odd), ENDS],
        "patients": [BEGINS, ENTRY, StudyEnds(patient_ids=(odd,))],
        "headline": [BEGINS, ENTRY, StudyEnds(headline=((odd, odd, odd),) * 8)],
        "model at the end": [BEGINS, ENTRY, StudyEnds(model=odd)],
        "why partial": [BEGINS, ENTRY, StudyEnds(partial=odd)],
        "label": [PatientScanned(odd, checked=True), BEGINS, ENTRY, ENDS],
        "badge": [OperatorScanned(odd, checked=True), BEGINS, ENTRY, ENDS],
        "clock": [ClockRead(odd, NOON, 0.0), BEGINS, ENTRY, ENDS],
        "place": [Located(odd, odd, 0.0, NOON, sentences=(odd,)), BEGINS, ENTRY, ENDS],
    }


def van_of(*calls):
    van = Van(SimDisk(), ports={"odd": ("lines", {}, "scan"), "lab": ("lines", {}, "scan")})
    van.capture._ports["odd"].driver = Says(*calls)
    van.capture._ports["lab"].driver = Says([BEGINS, ENTRY, ENDS])
    return van


@pytest.mark.parametrize("where", scene(""))
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_study_with_an_odd_text_is_kept_and_so_is_the_next_of_another_port(odd, where):
    """The exception ended the kit's step: what other ports had said was gone, and no study was closed any more."""
    van = van_of(scene(odd)[where])
    van.hear("odd", b"x")
    van.hear("lab", b"x")
    van.capture.tick(20.0)
    assert [study.raw for study in studies_in(van.stores)] == [b"raw", b"raw"]


def test_a_summary_that_cannot_be_written_holds_up_no_other():
    van = van_of([BEGINS, ENTRY, StudyEnds(headline=(("x" * TEXT_SIZE_MAX,) * 500,))])
    van.hear("odd", b"x")
    van.hear("lab", b"x")
    assert len(studies_in(van.stores)) == 1
    assert any("left to recovery" in text for text in van.told("fault"))


def test_an_entry_that_cannot_be_written_is_a_failure_of_its_driver():
    van = van_of([BEGINS, Commit(b"raw", patient_id=7), ENDS])
    van.hear("odd", b"x")
    assert any("failed and was started anew: FormatError" in text for text in van.told("fault"))


@pytest.mark.parametrize("said", [None, [7, None], 7], ids=str)
def test_what_is_no_event_stops_nothing(said):
    van = van_of(said)
    van.hear("odd", b"x")
    van.hear("lab", b"x")
    assert b"raw" in [study.raw for study in studies_in(van.stores)]


def test_what_can_be_written_is_the_same_event():
    for event in (
        Send(b"\xff"),
        Note("Gr\u00f6\u00dfe \U0001f600"),
        Commit(b"", (), 3),
        StudyEnds(headline=(("a", "b", "c"),)),
    ):
        assert writable(event) is event


def test_a_character_that_cannot_be_written_is_a_question_mark():
    assert writable(Note("a\udcffb")) == Note("a?b")
    assert len(writable(Note("x" * 5_000)).text) == TEXT_SIZE_MAX


def test_a_disk_that_is_full_at_the_first_entry_costs_neither_the_device_nor_the_label(monkeypatch):
    """The study was open already, so the entry that came again had no head: whose it was stood only in the summary."""
    van = van_of([PatientScanned("7", checked=True)], [BEGINS, ENTRY], [ENTRY, ENDS])
    append, failed = StudyJournal.append, []

    def full_once(self, tags):
        if not failed:
            failed.append(self)
            raise DiskFull("full")
        append(self, tags)

    monkeypatch.setattr(StudyJournal, "append", full_once)
    for _ in range(3):
        van.hear("odd", b"x")
    (study,) = studies_in(van.stores)
    assert failed
    assert len(study.all(Device)) == 1
    assert [one.id for one in study.all(Patient)] == ["7"]
