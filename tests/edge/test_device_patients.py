"""Whose study is it, device by device: a real capture and journal, labels scanned before, between and after."""

import pytest

from hardware.simulated.contec import live, packet
from hardware.simulated.hbp9030 import line_of
from hardware.simulated.scales import and_line
from hardware.simulated.suntech import cuff_answer, result_answer
from hardware.simulated.tm2655 import framed, result_text
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk

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
