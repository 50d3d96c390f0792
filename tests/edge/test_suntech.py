"""The SunTech Advantage driver: asks for the cuff, takes the result of a measurement that it saw, and nothing older."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers import suntech
from edge.drivers.suntech import GET_CUFF, GET_RESULT, Framer, read_result
from hardware.simulated.suntech import START, Suntech, cuff_answer, result_answer
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError

FULL, EMPTY = cuff_answer(140), cuff_answer(0)
GOOD = result_answer(121, 79, 93, 66)


def samples():
    return {one["name"]: one for one in json.loads(sample("nibp/suntech_advantage.json"))}


def measured(count=1, faults=(), options=None, piece=4096, **how):
    device, bench = Suntech(5, count, faults=faults, **how), Bench("suntech", options)
    Wire(device, BenchHost(bench), piece=piece).run(until=600.0)
    bench.wait(400)
    return device, bench


def heard(*steps, refuse=lambda number: False, options=None):
    bench = Bench("suntech", options, refuse)
    for data, wait in steps:
        bench.feed(data)
        bench.wait(wait)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


def test_the_samples_result_and_cuff_pressure():
    seen = samples()
    want = seen["BP result"]["expect"]
    found = {one.code: one.value for one in read_result(bytes.fromhex(seen["BP result"]["hex"])).observations}
    assert found == {
        "systolic": str(want["sys"]),
        "diastolic": str(want["dia"]),
        "mean pressure": str(want["map"]),
        "pulse": str(want["pulse"]),
        "beats": str(want["beats"]),
    }
    bench = heard((bytes.fromhex(seen["cuff pressure 258 mmHg"]["hex"]), 0.0))
    assert bench.open is not None


def test_the_only_bytes_ever_sent_are_the_samples_two_questions():
    seen = samples()
    assert bytes.fromhex(seen["get cuff pressure"]["hex"]) == GET_CUFF
    assert bytes.fromhex(seen["get BP data"]["hex"]) == GET_RESULT
    for faults in ((), ("bad-check",), ("noise",), ("error",), ("unplugged",)):
        device, bench = measured(2, faults)
        assert set(device.commands) == {GET_CUFF, GET_RESULT}
        assert not bench.sent.replace(GET_CUFF, b"").replace(GET_RESULT, b"")
        assert START not in bench.sent


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize("faults", [(), ("noise",), ("bad-check",), ("late",), ("noise", "bad-check", "late")])
def test_each_measurement_is_one_study_with_its_own_values(faults, piece):
    device, bench = measured(3, faults, piece=piece)
    assert device.report.is_good
    wanted = [{one.code: one.value for one in read_result(raw).observations} for raw in device._results[1:]]
    assert [values(study) for study in bench.studies] == wanted
    assert not any(study.ends.partial for study in bench.studies)


def test_what_the_module_remembers_from_before_is_not_taken():
    bench = heard((EMPTY, 1.0), (GOOD, 1.0), (EMPTY, 20.0))
    assert bench.studies == []
    assert GET_RESULT not in bench.sent


def test_two_measurements_with_equal_values_are_two_studies():
    one = ((FULL, 30.0), (EMPTY, 1.0), (EMPTY, 0.1), (GOOD, 5.0))
    assert len(heard(*one, *one).studies) == 2


def test_the_study_begins_with_the_cuff_so_that_the_label_of_then_counts():
    bench = heard((FULL, 0.0))
    assert bench.open is not None
    assert bench.open.begins.form == "blood-pressure"


def test_one_empty_reading_among_full_ones_does_not_end_a_measurement():
    bench = heard((FULL, 1.0), (EMPTY, 1.0), (FULL, 1.0), (EMPTY, 1.0))
    assert GET_RESULT not in bench.sent


def test_a_cuff_that_fills_once_more_is_the_same_measurement():
    bench = heard((FULL, 1.0), (EMPTY, 1.0), (EMPTY, 0.1), (FULL, 1.0), (EMPTY, 1.0), (EMPTY, 0.1), (GOOD, 1.0))
    assert len(bench.studies) == 1
    assert values(bench.studies[0])["systolic"] == "121"


def test_a_failed_measurement_has_its_error_and_no_pressures():
    _, bench = measured(2, ["error"])
    assert values(bench.studies[0]) == {"error": "4"}
    assert "error 4" in bench.faults[0].text
    assert values(bench.studies[1])["systolic"]


def test_a_cable_that_is_pulled_for_a_minute_costs_no_result():
    _, bench = measured(1, ["unplugged"], every_s=120.0)
    assert values(bench.studies[0])["systolic"]


def test_a_silence_in_the_middle_is_told_in_the_study():
    bench = heard((FULL, 60.0), (EMPTY, 1.0), (EMPTY, 0.1), (GOOD, 1.0))
    assert len(bench.studies) == 1
    assert any("did not answer for 60 s" in note for note in bench.notes)


def test_a_cuff_that_is_full_when_the_module_answers_again_may_be_of_somebody_else():
    """The study of the first began under another label: its values would have been the second patient's."""
    device, bench = measured(2, ["unplugged"])
    first, second = bench.studies
    assert first.ends.partial == "the module fell silent, and when it answered again a cuff was full"
    assert not first.observations
    wanted = {one.code: one.value for one in read_result(device._results[2]).observations}
    assert (values(second), second.ends.partial) == (wanted, "")


def test_two_answers_lost_at_the_slowest_pace_are_no_silence():
    steps = [(FULL, 30.0), (FULL, 1.0), (EMPTY, 1.0), (EMPTY, 0.1), (GOOD, 1.0)]
    bench = heard(*steps, options={"poll_s": 10.0})
    assert [study.ends.partial for study in bench.studies] == [""]


@pytest.mark.parametrize("cuff", [suntech.CUFF_FULL_MMHG - 1, suntech.CUFF_FULL_MMHG])
def test_a_cuff_counts_as_full_from_20_mmhg(cuff):
    assert (heard((cuff_answer(cuff), 0.0)).open is not None) == (cuff >= suntech.CUFF_FULL_MMHG)


@pytest.mark.parametrize(
    "steps",
    [[(FULL, suntech.MEASURING_S_MAX + 1)], [(FULL, 1.0), (EMPTY, 0.1), (EMPTY, suntech.ASKING_S_MAX + 1)]],
)
def test_a_measurement_without_result_is_partial_and_keeps_its_bytes(steps):
    bench = heard(*steps)
    (study,) = bench.studies
    assert study.ends.partial == "the cuff was seen to fill, and no result came"
    assert study.raw == b"".join(data for data, _ in steps)
    assert "measure again" in bench.faults[0].text


def test_the_port_vanishes_in_the_middle():
    bench = heard((FULL, 5.0))
    bench.lose()
    assert bench.studies[0].ends.partial


def test_a_study_keeps_16_kib_and_says_what_it_dropped():
    bench = heard((FULL * (suntech.RAW_SIZE_MAX // len(FULL) + 40), 0.0), (EMPTY * 2, 0.0), (GOOD, 0.0))
    assert len(bench.studies[0].raw) == suntech.RAW_SIZE_MAX
    assert "are not kept" in bench.notes[0]


def test_a_module_that_is_switched_off_is_asked_less_often():
    bench = heard((b"", 600.0))
    assert len(bench.sent) // len(GET_CUFF) < 70


@given(st.binary(max_size=60), st.integers(1, 30))
def test_answers_are_found_after_any_noise(noise, size):
    framer, found = Framer(), []
    line = noise + EMPTY * 6 + GOOD
    for at in range(0, len(line), size):
        found += [answer for _, answer in framer.feed(line[at : at + size])]
    assert GOOD in found


@pytest.mark.parametrize("poll_s", [0.1, 60.0])
def test_a_pace_that_could_miss_a_measurement_is_refused(poll_s):
    with pytest.raises(ConfigError, match="'poll_s' is"):
        Bench("suntech", {"poll_s": poll_s})


def test_a_result_that_the_disk_refuses_is_held():
    bench = heard((FULL, 1.0), (EMPTY * 2, 0.1), (GOOD, 20.0), refuse=lambda number: number < 4)
    assert values(bench.studies[0])["systolic"] == "121"
