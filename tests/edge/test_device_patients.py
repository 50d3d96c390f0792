"""Whose study is it, device by device: a real capture and journal, labels scanned before, between and after."""

import pytest

from edge.binding import NoOrders, whose
from hardware.simulated.asking_analyser import AskingAnalyser
from hardware.simulated.contec import live, packet
from hardware.simulated.hbp9030 import line_of
from hardware.simulated.scales import and_line
from hardware.simulated.suntech import cuff_answer, result_answer
from hardware.simulated.tm2655 import framed, result_text
from tests.edge.test_astm import transfer
from tests.edge.van import Van, studies_in
from tests.edge.virtual import CaptureHost, Wire
from tests.sim.disk import SimDisk
from wire.errors import ConfigError
from wire.record import Operator
from wire.worklist import Order

FIRST, SECOND = "24310077", "24310085"


def van_with(driver, **options):
    return Van(SimDisk(), ports={"device": (driver, options, "scan"), "labels": ("barcode", {}, "scan")})


def scan(van, label, now):
    van.hear("labels", label.encode() + b"\r", now)


def settle(van, until):
    while (due := van.capture.deadline()) is not None and due <= until:
        van.capture.tick(due)


def summaries(van, until=400.0):
    settle(van, until)
    van.capture.stop(until)
    return [study.summary for study in studies_in(van.stores)]


def test_the_label_at_the_cuffs_filling_counts_not_the_one_at_its_result():
    van = van_with("suntech")
    scan(van, FIRST, 0.0)
    van.hear("device", cuff_answer(140), 1.0)
    scan(van, SECOND, 20.0)
    for now, data in ((30.0, cuff_answer(0)), (31.0, cuff_answer(0)), (32.0, result_answer(121, 79, 93, 66))):
        van.hear("device", data, now)
    (summary,) = summaries(van)
    assert summary.patient == FIRST
    assert ("systolic", "121", "mmHg") in summary.headline


@pytest.mark.parametrize(("typed", "conflict"), [(FIRST, False), (SECOND, True), ("", False)])
def test_an_id_typed_at_the_monitor_is_compared_with_the_label(typed, conflict):
    van = van_with("hbp9030")
    scan(van, FIRST, 0.0)
    van.hear("device", line_of("2026,08,01,09,00", typed, (121, 79, 66)) + b"\r", 1.0)
    (summary,) = summaries(van)
    assert summary.patient == FIRST
    assert summary.patient_conflict == conflict
    assert any(text.startswith("patient: ") for text in van.told("fault")) == conflict


def test_an_id_typed_at_the_monitor_names_the_patient_when_no_label_was_scanned():
    van = van_with("hbp9030")
    van.hear("device", line_of("2026,08,01,09,00", SECOND, (121, 79, 66)) + b"\r", 1.0)
    (summary,) = summaries(van)
    assert summary.patient == SECOND


def test_two_persons_on_a_scale_are_two_patients():
    van = van_with("andscale")
    for at, label in enumerate((FIRST, SECOND)):
        scan(van, label, at * 60.0)
        van.hear("device", and_line(71.4 + at), at * 60.0 + 5.0)
        settle(van, at * 60.0 + 50.0)
    assert [one.patient for one in summaries(van)] == [FIRST, SECOND]


def test_what_lies_in_an_oximeters_memory_is_not_given_to_the_label_of_now():
    van = van_with("contec", stored="once")
    scan(van, FIRST, 0.0)
    settle(van, 0.5)
    start = packet(0x07, 0, 0, 20, 26, 8, 1) + packet(0x12, 0, 0, 22, 30, 5, 0)
    for data in (packet(0x0A, 0, 1), packet(0x08, 0, 0, 6, 0, 0, 0), start, packet(0x0F, 97, 66, 97, 67, 96, 66)):
        van.hear("device", data, 1.0)
    for second in range(3, 9):
        van.hear("device", live(97, 66, 0.5, is_in=True) * 60, float(second))
    memory, finger = summaries(van)
    assert (memory.patient, finger.patient) == ("", FIRST)


def test_a_monitors_result_belongs_to_the_label_before_it():
    van = van_with("tm2655")
    for at, label in enumerate((FIRST, SECOND)):
        scan(van, label, at * 60.0)
        van.hear("device", framed(result_text(f"260801090{at}", "E00", 121 + at, 93, 79, 66)), at * 60.0 + 35.0)
        settle(van, at * 60.0 + 59.0)
    assert [one.patient for one in summaries(van)] == [FIRST, SECOND]


# The worklist, badges, and what disagrees

LISTED = [
    Order(FIRST, "Petrenko", sample="S1", tests=("WBC",)),
    Order(FIRST, "Petrenko", sample="S2", tests=("GLU",)),
    Order(SECOND, "Bondar", sample="S3", tests=("WBC",)),
]


class Listed:
    """A worklist that is in force."""

    is_in_force = True

    def about(self, ids):
        return [one for one in LISTED if not ids or one.patient in ids or one.sample in ids]


@pytest.mark.parametrize(
    ("label", "ids", "patient", "source", "conflict", "unlisted"),
    [
        ("", (), "", "", False, False),
        (FIRST, (), FIRST, "barcode", False, False),
        ("S1", (), FIRST, "worklist", False, False),
        ("99", (), "99", "barcode", False, True),
        ("", ("S3",), SECOND, "worklist", False, False),
        ("", (SECOND,), SECOND, "device", False, False),
        ("", (SECOND, "S3"), SECOND, "device", False, False),
        ("", ("S1", "S3"), FIRST, "worklist", True, False),
        ("", ("99", "S1"), FIRST, "worklist", True, False),
        ("", ("99",), "99", "device", False, True),
        (FIRST, ("S2",), FIRST, "barcode", False, False),
        (FIRST, (FIRST, "7"), FIRST, "barcode", False, False),
        (FIRST, ("S3",), FIRST, "barcode", True, False),
        (FIRST, ("99",), FIRST, "barcode", True, False),
        (FIRST, ("99", "S1"), FIRST, "barcode", True, False),
        (FIRST, (SECOND,), FIRST, "barcode", True, False),
        ("S1", ("S2",), FIRST, "worklist", False, False),
        ("99", ("S1",), "99", "barcode", True, True),
        ("99", ("99",), "99", "barcode", False, True),
    ],
)
def test_label_worklist_and_device_are_compared_and_nothing_is_guessed(label, ids, patient, source, conflict, unlisted):
    bound = whose(label, ids, Listed())
    assert (bound.patient, bound.source, bound.conflict, bound.unlisted) == (patient, source, conflict, unlisted)


@pytest.mark.parametrize(("label", "ids"), [("", ()), ("1", ()), ("1", ("1",)), ("1", ("2",)), ("", ("2", "3"))])
def test_without_a_worklist_nobody_is_unlisted(label, ids):
    bound = whose(label, ids, NoOrders())
    assert not bound.unlisted
    assert bound.patient == (label or next(iter(ids), ""))
    assert bound.conflict == bool(label and ids and label not in ids)


def test_a_tube_that_the_analyser_reports_is_its_patients_by_the_worklist():
    van = van_with("astm")
    van.capture.orders = Listed()
    van.hear("device", transfer(b"H|\\^&|||X\r", b"P|1\r", b"O|1|S3||^^^WBC\r", b"R|1|^^^WBC|5.5\r", b"L|1|N\r"), 1.0)
    van.capture.stop(400.0)
    (study,) = studies_in(van.stores)
    assert study.summary.patient == SECOND
    assert not study.summary.unlisted
    assert [(one.id, one.source) for one in study.patients] == [(SECOND, "worklist")]


def test_a_label_that_is_not_on_the_list_keeps_its_study_and_flags_it():
    van = van_with("hbp9030")
    van.capture.orders = Listed()
    scan(van, "99", 0.0)
    van.hear("device", line_of("2026,08,01,09,00", "", (121, 79, 66)) + b"\r", 1.0)
    van.capture.stop(400.0)
    (study,) = studies_in(van.stores)
    assert study.summary.patient == "99"
    assert study.summary.unlisted
    assert "99 is not on the worklist" in study.notes
    assert not any("99" in text for text in van.told("note"))


def test_the_number_of_a_tube_as_label_names_the_patient():
    van = van_with("hbp9030")
    van.capture.orders = Listed()
    scan(van, "S1", 0.0)
    van.hear("device", line_of("2026,08,01,09,00", "", (121, 79, 66)) + b"\r", 1.0)
    van.capture.stop(400.0)
    (study,) = studies_in(van.stores)
    assert study.summary.patient == FIRST
    assert [(one.id, one.source) for one in study.patients] == [(FIRST, "worklist")]


def test_a_badge_goes_with_the_studies_that_begin_after_it_for_a_shift():
    van = Van(
        SimDisk(),
        ports={
            "device": ("hbp9030", {}, "scan"),
            "labels": ("barcode", {"prefix": "P", "badge": "OP-", "badge_scheme": "mod10"}, "scan"),
        },
    )
    measured = line_of("2026,08,01,09,00", "", (121, 79, 66)) + b"\r"
    van.hear("device", measured, 0.0)
    scan(van, "OP-18", 1.0)
    scan(van, "OP-19", 2.0)  # its check digit does not hold
    van.hear("device", measured, 3.0)
    van.hear("device", measured, 13 * 3600.0)
    van.capture.stop(14 * 3600.0)
    studies = studies_in(van.stores)
    assert [study.summary.operator for study in studies] == ["", "18", ""]
    assert [one.checked for one in studies[1].all(Operator)] == [True]
    assert not studies[1].patients


def test_a_badge_that_looks_like_a_label_is_a_fault_of_the_configuration():
    with pytest.raises(ConfigError, match="cannot be told apart"):
        van_with("barcode", prefix="P", badge="PX")


def test_an_analyser_asks_through_capture():
    van = van_with("astm", orders=True)
    van.capture.orders = Listed()
    device = AskingAnalyser(["S3"])
    Wire(device, CaptureHost(van.capture, "device")).run()
    assert device.told == {"S3": ["WBC"]}
    (summary,) = summaries(van, 1000.0)
    assert summary.patient == SECOND
