"""The A&D TM-2655 driver: results, failed measurements, damaged ones that are asked for again, envelopes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers import tm2655, tm2655_records
from edge.drivers.tm2655_records import request
from hardware.simulated.tm2655 import Tm2655, envelope_text, framed, result_text
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire

GOOD = framed(result_text("2608010900", "E00", 121, 93, 79, 66))
NEXT = framed(result_text("2608010905", "E00", 131, 99, 84, 71))
FAILED = framed(result_text("2608010900", "E43", 0, 0, 0, 0))
BAD = GOOD[:-1] + bytes((GOOD[-1] ^ 1,))
ENVELOPE = framed(envelope_text("2608010900", 93, 121))
RB, RP = request("RB"), request("RP")
MONITOR_NAK = b"\x16\x16\x0100\x15"


def samples():
    return {one["name"]: one for one in json.loads(sample("nibp/and_tm2655.json"))}


def measured(count=1, faults=(), **options):
    device = Tm2655(5, count, faults=faults)
    bench = Bench("tm2655", options)
    Wire(device, BenchHost(bench)).run(until=600.0)
    bench.wait(60)
    return device, bench


def heard(*steps, refuse=lambda number: False, **options):
    bench = Bench("tm2655", options, refuse)
    for data, wait in steps:
        bench.feed(data)
        bench.wait(wait)
    bench.wait(30)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


# The third-party samples


@pytest.mark.parametrize("name", ["dev: RB result, Malawi kiosk", "dev: RB result, Thai kiosk"])
def test_a_kiosks_result_is_read_as_its_owner_reads_it(name):
    one = samples()[name]
    bench = heard((bytes.fromhex(one["hex"]), 0.0))
    (study,) = bench.studies
    want = one["expect"]
    assert values(study) | {"S": str(want["sys"]), "D": str(want["dia"]), "P": str(want["pulse"])} == values(study)
    assert values(study)["M"] == str(want["map"])
    assert study.results[0].device_time == want["time"][2:].replace("-", "").replace("T", "").replace(":", "")
    assert study.raw == bytes.fromhex(one["hex"])
    assert study.begins.model == "TM2655"
    assert not study.ends.partial


def test_a_kiosks_envelope_alone_is_a_study_with_28_pulses():
    one = samples()["dev: RP pulse envelope, Malawi kiosk"]
    (study,) = heard((bytes.fromhex(one["hex"]), 0.0)).studies
    pulses = values(study)["RP"].split(" ")
    assert len(pulses) == one["expect"]["pulses"]
    assert [pulses[0], pulses[-1]] == ["157,13", "84,98"]
    assert study.notes == []


def test_requests_are_those_that_were_seen_and_never_one_that_moves_the_cuff():
    seen = samples()
    assert bytes.fromhex(seen["host: request BP result RB"]["hex"]) == RB
    assert bytes.fromhex(seen["host: request pulse envelope RP"]["hex"]) == RP
    for faults in ((), ("bad-check",), ("asked-only",), ("cut", "twice"), ("error",)):
        for ask in ("never", "damaged", "always"):
            device, _ = measured(3, faults, ask=ask, envelope=True)
            assert set(device.commands) <= {"RB", "RP"}


# The stream


def test_a_check_byte_that_equals_etx_belongs_to_the_record():
    _, bench = measured(2, ["check-is-etx"])
    assert [study.raw[-2:] for study in bench.studies] == [b"\x03\x03", b"\x03\x03"]
    assert bench.sent == b""


@given(st.binary(max_size=40).filter(lambda data: 0x01 not in data), st.integers(1, 70))
def test_noise_before_and_cuts_within_lose_no_result(noise, size):
    bench = Bench("tm2655")
    bench.feed_in_pieces(noise + GOOD, size)
    bench.wait(10)
    assert values(bench.studies[-1])["S"] == "121"
    assert bench.studies[-1].raw.endswith(GOOD)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_single_damage_makes_another_value(at, flip):
    wrong = GOOD[:at] + bytes((GOOD[at] ^ flip,)) + GOOD[at + 1 :]
    bench = heard((wrong, 30.0), ask="never")
    for study in bench.studies:
        assert study.ends.partial or values(study) == values(heard((GOOD, 0.0)).studies[0])


def test_a_failed_measurement_is_a_study_without_pressures():
    bench = heard((FAILED, 0.0))
    (study,) = bench.studies
    assert values(study) == {"E": "E43"}
    assert not study.ends.partial
    assert "could not measure (E43)" in bench.faults[0].text


@pytest.mark.parametrize(
    ("more", "partial"), [("\x1eAB\x1eM\x1eE00\x1eS116\x1eD 60", ""), ("\x1eXX\x1eS116", "a record of an unknown kind")]
)
def test_a_result_is_known_by_its_error_field_and_anything_else_is_kept_unread(more, partial):
    bench = heard((framed("TM2655\x1e2606041532" + more), 0.0))
    assert bench.studies[0].ends.partial == partial
    assert values(bench.studies[0]) == ({} if partial else {"S": "116", "D": "60"})


def test_what_a_tm_2657_says_beside_the_pressures_is_told():
    text = "TM2657 2608010900 RA M E00 S131 M~99 D~84 P~71 I00 L~88 p170 i~2 m1 r0 t~38 l~~ d w~~~~~ "
    (study,) = heard((framed(text.replace(" ", "\x1e").replace("~", " ")), 0.0)).studies
    assert study.begins.model == "TM2657"
    assert {one.code: (one.name, one.value, one.unit) for one in study.observations if one.code.islower()} == {
        "p": ("p", "170", ""),
        "i": ("irregular heartbeats", "2", ""),
        "m": ("movement", "1", ""),
        "r": ("r", "0", ""),
        "t": ("measuring time", "38", "s"),
    }
    assert study.ends.headline[:3] == (
        ("systolic", "131", "mmHg"),
        ("mean pressure", "99", "mmHg"),
        ("diastolic", "84", "mmHg"),
    )


def test_an_envelope_has_at_most_256_pulses():
    many = tm2655_records.PULSES_MAX + 1
    text = "TM2655\x1e1\x1eRP\x1eN" + str(many) + "\x1e100, 1" * many
    (study,) = heard((framed(text), 0.0)).studies
    assert values(study)["RP"].count(",") == tm2655_records.PULSES_MAX
    assert "257 pulses announced, 256 read" in study.notes[0]


def test_the_pulse_is_among_the_values():
    """A kiosk lost every pulse for a year to a key that was mistyped."""
    assert values(heard((GOOD, 0.0)).studies[0])["P"] == "66"


def test_the_same_result_sent_twice_is_one_study_and_a_minute_later_two():
    assert len(heard((GOOD, 1.0), (GOOD, 1.0)).studies) == 1
    assert len(heard((GOOD, tm2655.REPEAT_S + 1), (GOOD, 1.0)).studies) == 2


def test_a_record_without_end_is_over_after_two_seconds():
    bench = heard((GOOD[:50], 0.0), ask="never")
    assert bench.studies[0].ends.partial == "it broke off"
    assert bench.studies[0].raw == GOOD[:50]


@pytest.mark.parametrize("more", [0, 1])
def test_the_longest_record_has_4096_bytes(more):
    size = tm2655_records.RECORD_SIZE_MAX - len(framed("")) + 2 + more
    bench = heard((framed("TM2655\x1e1\x1eRB\x1e".ljust(size, " ")), 0.0), ask="never")
    assert bool("longer than" in bench.studies[0].ends.partial) == bool(more)


def test_noise_at_the_wrong_speed_is_said_once_a_kilobyte():
    bench = heard((b"\xf8\x00" * 1_100, 0.0))
    assert [fault.code for fault in bench.faults] == ["noise", "noise"]
    assert bench.studies == []


@pytest.mark.parametrize("noise", [b"\x01", b"\x01\x30\x30", b"\x0100\x02", b"\x0100\x02\xf8\x00\x9c\xfe\xfc\x81"])
def test_noise_that_looks_like_a_beginning_is_no_study(noise):
    bench = heard((noise * 300, 0.0))
    assert bench.studies == []
    assert bench.sent == b""


# Damaged, asked again


def test_a_damaged_result_is_asked_for_again_and_its_bytes_are_kept():
    bench = heard((BAD, 0.2), (GOOD, 0.0))
    assert bench.sent == RB
    (study,) = bench.studies
    assert study.raw == BAD + GOOD
    assert values(study)["S"] == "121"
    assert "asked for again" in study.notes[0]


def test_a_damaged_result_that_nobody_repeats_is_a_partial_study_without_values():
    bench = heard((BAD, 0.0))
    (study,) = bench.studies
    assert bench.sent == RB
    assert study.ends.partial.startswith("its check byte is")
    assert study.observations == []
    assert "Measure again" in bench.faults[0].text


def test_a_monitor_that_only_sends_damaged_results_is_asked_twice():
    bench = heard(*[(BAD, 0.2)] * 3)
    assert bench.sent == RB * tm2655.ASKS_MAX
    assert bench.studies[0].raw == BAD * 3


def test_an_answer_that_is_the_result_before_does_not_stand_in_for_the_damaged_one():
    bench = heard((GOOD, 300.0), (NEXT[:-1] + b"\x00", 0.2), (GOOD, 0.0))
    assert [bool(study.ends.partial) for study in bench.studies] == [False, True]


def test_the_port_vanishes_while_the_repetition_is_awaited():
    bench = Bench("tm2655")
    bench.feed(BAD)
    bench.lose()
    assert bench.studies[0].ends.partial


# Asked only


def test_a_silent_monitor_is_asked_and_each_result_taken_once():
    device, bench = measured(3, ["asked-only"], ask="always")
    assert device.report.is_good
    assert len(bench.studies) == 3


def test_what_the_monitor_remembered_from_before_is_nobodys():
    bench = Bench("tm2655", {"ask": "always"})
    bench.wait(0.1)
    assert bench.sent == RB
    bench.feed(GOOD)
    assert bench.studies == []
    assert "nobody knows whose" in bench.faults[0].text
    bench.feed(NEXT)
    bench.wait(10)
    assert values(bench.studies[0])["S"] == "131"


def test_the_first_result_of_a_monitor_that_remembered_nothing_is_taken():
    bench = heard((MONITOR_NAK, 1.0), (GOOD, 1.0), ask="always")
    assert len(bench.studies) == 1


def test_a_monitor_that_is_switched_off_is_asked_less_often():
    bench = heard(ask="always")
    bench.wait(600)
    assert len(bench.sent) // len(RB) < 30


# The envelope


def test_an_envelope_goes_into_the_study_of_its_result():
    device, bench = measured(1, envelope=True)
    (study,) = bench.studies
    assert device.commands == ["RP"]
    assert values(study)["S"]
    assert values(study)["RP"].count(",") > 10


def test_a_damaged_envelope_leaves_the_result_whole():
    bench = heard((GOOD, 0.5), (ENVELOPE[:-1] + b"\x00", 0.0), envelope=True)
    (study,) = bench.studies
    assert not study.ends.partial
    assert study.raw == GOOD + ENVELOPE[:-1] + b"\x00"
    assert any("damaged" in note for note in study.notes)


def test_pulses_that_are_missing_are_said():
    text = envelope_text("2608010900", 93, 121).rsplit("\x1e", 1)[0]
    (study,) = heard((framed(text), 0.0)).studies
    assert "announced" in study.notes[0]


# The disk


def test_a_result_that_the_disk_refuses_is_held():
    bench = heard((GOOD, 10.0), refuse=lambda number: number < 4)
    assert values(bench.studies[0])["S"] == "121"


@pytest.mark.parametrize(("state", "event"), sorted(tm2655.MOVES))
def test_every_move_has_its_action(state, event):
    following, action = tm2655.MOVES[state, event]
    assert following in {tm2655.IDLE, tm2655.AGAIN, tm2655.FOLLOW}
    assert callable(getattr(tm2655.create({}), f"_{action}"))
