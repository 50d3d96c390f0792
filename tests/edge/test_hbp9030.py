"""The Omron HBP-9030 driver: lines of format 5, failed measurements, ids, lines that are not whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers import hbp9030
from hardware.simulated.hbp9030 import Hbp9030, line_of
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire

GOOD = line_of("2026,08,01,09,00", "PAT-7", (121, 79, 66)) + b"\r\n"


def measured(*faults, patients=("PAT-7", "PAT-8"), **options):
    device, bench = Hbp9030(5, patients, faults=faults), Bench("hbp9030", options)
    Wire(device, BenchHost(bench)).run(until=300.0)
    bench.wait(10)
    return device, bench


def heard(data, size=4096, **options):
    bench = Bench("hbp9030", options)
    bench.feed_in_pieces(data, size)
    bench.wait(10)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_the_samples_two_lines_are_a_result_and_a_failure(size):
    raw = sample("nibp/omron_hbp9030_format5.constructed.txt")
    good, failed = heard(raw, size).studies
    assert values(good) == {"systolic": "128", "diastolic": "082", "pulse": "071", "mark": "0"}
    assert good.results[0].device_time == "2026,10,03,09,41"
    assert good.ends.patient_ids == failed.ends.patient_ids == ("CHN-0001234",)
    assert values(failed) == {"error": "2"}
    assert not failed.ends.partial


WITH_MEAN = b"bp,CHN-0001234         ,2026/10/03,09:41,128,097,082,071,3\r\n"


@pytest.mark.parametrize("size", [1, 4096])
def test_a_line_with_the_mean_pressure(size):
    (study,) = heard(WITH_MEAN, size).studies
    found = {"systolic": "128", "diastolic": "082", "mean pressure": "097", "pulse": "071", "mark": "3"}
    assert values(study) == found
    assert (study.results[0].device_time, study.ends.patient_ids) == ("2026/10/03,09:41", ("CHN-0001234",))
    assert hbp9030.SIGNS.count(WITH_MEAN) == 1
    assert heard(WITH_MEAN, id="nobody").studies[0].ends.patient_ids == ()


@pytest.mark.parametrize(("old", "new"), [(b"097", b"197"), (b"097", b"007"), (b"/10/", b"/13/"), (b",071", b",71")])
def test_a_line_with_the_mean_pressure_that_cannot_be_has_no_values(old, new):
    (study,) = heard(WITH_MEAN.replace(old, new)).studies
    assert study.ends.partial
    assert study.observations == []


@pytest.mark.parametrize("fault", ["", "nul", "cr-only", "dead-clock"])
def test_each_measurement_is_a_study_whatever_the_habits(fault):
    device, bench = measured(*([fault] if fault else []))
    assert device.report.is_good
    assert [study.ends.patient_ids for study in bench.studies] == [("PAT-7",), ("PAT-8",)]
    assert all(values(study)["systolic"] for study in bench.studies)
    assert bench.faults == []


def test_a_line_without_its_end_is_taken_after_two_seconds():
    bench = heard(GOOD.strip())
    assert values(bench.studies[0])["systolic"] == "121"


@pytest.mark.parametrize("fault", ["cut", "lost-bytes"])
def test_a_line_that_is_not_whole_is_kept_without_values(fault):
    _, bench = measured(fault)
    damaged, good = bench.studies
    assert damaged.ends.partial
    assert damaged.observations == []
    assert len(damaged.raw) > 20
    assert values(good)["systolic"]
    assert "Measure again" in bench.faults[0].text


def test_a_failed_measurement_has_its_code_and_no_pressures():
    _, bench = measured("error")
    assert values(bench.studies[0]) == {"error": "2"}
    assert "error 2" in bench.faults[0].text


def test_without_an_id_the_label_alone_says_whose_it_is():
    assert measured("no-id")[1].studies[0].ends.patient_ids == ()
    assert measured(id="nobody")[1].studies[0].ends.patient_ids == ()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (GOOD.replace(b"2026,08,01", b"2026,13,01"), "no line of format 5"),
        (GOOD.replace(b",121,", b",1?1,"), "no line of format 5"),
        (GOOD.replace(b",121,", b",   ,"), "no pressure either"),
        (GOOD.replace(b"PAT-7 ", b"PAT-7"), "52 characters"),
    ],
)
def test_a_field_of_the_wrong_kind_is_never_a_value(wrong, why):
    (study,) = heard(wrong).studies
    assert why in study.ends.partial
    assert study.observations == []
    assert study.raw == wrong.rstrip(b"\n")


@given(st.integers(0, len(GOOD) - 3))
def test_a_lost_byte_never_makes_another_value(at):
    (study,) = heard(GOOD[:at] + GOOD[at + 1 :]).studies
    assert study.ends.partial


@given(st.binary(max_size=200).filter(lambda data: data.count(b",") < hbp9030.COMMAS_MIN))
def test_after_any_noise_the_next_line_is_read(noise):
    assert values(heard(noise + b"\r" + GOOD).studies[-1])["systolic"] == "121"


def test_noise_at_the_wrong_speed_is_no_study_and_is_said():
    bench = heard(b"\xf8\x00\x9c" * 700)
    assert bench.studies == []
    assert bench.faults[0].code == "noise"


@pytest.mark.parametrize("more", [0, 1])
def test_the_longest_line_has_128_bytes(more):
    line = (b"1,2,3,4,5,6" + b"x" * 200)[: hbp9030.LINE_SIZE_MAX - 1 + more] + b"\r"
    assert len(heard(line).studies[0].raw) == hbp9030.LINE_SIZE_MAX


def test_a_line_that_the_disk_refuses_is_held():
    bench = Bench("hbp9030", refuse=lambda number: number < 3)
    bench.feed(GOOD)
    bench.wait(10)
    assert values(bench.studies[0])["systolic"] == "121"


def test_the_port_vanishes_in_the_middle_of_a_line():
    bench = Bench("hbp9030")
    bench.feed(GOOD[:30])
    bench.lose()
    assert bench.studies[0].ends.partial
