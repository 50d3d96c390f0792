"""A sample of what `python -m tests.replay` does in full, and that it sees what it is there to see."""

import pytest

from tests.edge.samples import FOLDER as SAMPLES
from tests.recordings.replay import names
from tests.replay import corpus, runs
from tests.replay.line import SAY, Run, play

ONE_IN = 40
"""Of the batches of the full run this many are left out for each that is done here."""
SAMPLED_SIZE_MAX = 3_000
SIZE_MAX = 700
"""Recordings over this many bytes take their time at the speed of a line."""


def tasks(kind):
    """Return each ONE_IN-th batch of a kind, others for each recording."""
    some = [name for name in corpus.every() if corpus.case(name).size <= SAMPLED_SIZE_MAX]
    every = [(name, cuts) for name in some for one, cuts in runs.tasks(name) if one == kind]
    return every[len(kind) % ONE_IN :: ONE_IN]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["divided", "unplugged", "repeated"])
def test_cut_at_a_byte_the_kit_has_the_same_study(kind):
    """Sixteen neighbouring bytes of some recordings, through ptys and the real daemon."""
    chosen = tasks(kind)
    assert chosen
    assert not [wrong for name, cuts in chosen for wrong in runs.perform(name, kind, cuts)]


@pytest.mark.slow
def test_sixteen_different_devices_at_once_at_the_speed_of_their_lines():
    cases = [case for case in map(corpus.case, names()) if case.size <= SIZE_MAX]
    wrong = []
    for begin in range(0, len(cases), runs.RUNS_MAX):
        some = cases[begin : begin + runs.RUNS_MAX]
        made = [Run(case.driver, case.options, runs.paced(case, 0), case.name) for case in some]
        for case, run, came in zip(some, made, play(made), strict=True):
            wrong += [f"{case.name}: {one}" for one in runs.as_expected_in_time(case, run, came)]
    assert not wrong


def test_each_sample_is_replayed_or_is_no_line_and_gives_what_it_gave():
    if not corpus.samples():
        pytest.skip(f"SAMPLES ABSENT: {SAMPLES}; set FELDSHER_SAMPLES to the folder of device samples")
    there = {path.relative_to(SAMPLES).as_posix() for path in SAMPLES.rglob("*") if path.is_file()}
    no_session = {name for name in there if name.endswith((".frames.bin", ".log.chk"))}  # no ENQ; what gpsd reads
    assert there - no_session == (corpus.BY_NAME.keys() | corpus.NO_LINE.keys()) & there
    assert {name: corpus.digest(corpus.case(name)) for name in corpus.samples()} == {
        name: digest for name, digest in corpus.digests().items() if name in corpus.samples()
    }
    assert set(corpus.digests()) == set(corpus.BY_NAME)


# What it sees


def played(name, events):
    case = corpus.case(name)
    run = Run(case.driver, case.options, events, name)
    (came,) = play([run])
    return case, run, came


def test_a_byte_that_is_lost_on_the_way_is_seen():
    events = runs.divided(corpus.case("hl7-cp1251"), 40)
    at, what, data = events[5]
    case, run, came = played("hl7-cp1251", [*events[:5], (at, what, data[:20] + data[21:]), *events[6:]])
    assert [wrong for wrong in runs.as_expected(case, run, came) if "not those 1 that were expected" in wrong]


def test_a_study_that_is_there_twice_is_seen():
    events = runs.unplugged(corpus.case("tanita-persons"), 200)
    case, run, came = played("tanita-persons", events)
    assert not list(runs.as_the_driver_says(case, run, came))
    came.studies.append(came.studies[0])
    wrong = " ".join(runs.as_the_driver_says(case, run, came))
    assert "not what the driver alone makes of it" in wrong
    assert "are there twice" in wrong
    assert "values that the device did not send, or not so often" in wrong


def test_a_message_that_comes_again_after_an_interruption_and_is_kept_twice_is_seen():
    case = corpus.case("hl7-es480")
    events = [(at, SAY, data) for at, data in case.heard]
    again = [(at + 10.0, what, data.replace(b"|10554335", b"|10554336")) for at, what, data in events]
    case, run, came = played("hl7-es480", [*events, *again])
    assert [wrong for wrong in runs.whole_again(case, run, came) if "whole studies; expected 2" in wrong]
    assert not list(runs.whole_again(*played("hl7-es480", runs.repeated(case, 50))))
