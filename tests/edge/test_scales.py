"""Scales: what a load is (A&D, MT-SICS), lines that lost a digit, and Tanita's one line for each person."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import weighing
from edge.drivers import mtsics, tanita
from edge.weighing import Widths
from hardware.simulated.scales import AndScale, MtSics, Tanita, and_line, sics_line, tanita_line
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError

REST, MOVING, NOTHING = and_line(71.4), and_line(60.2, is_at_rest=False), and_line(0.0)


def run(device, name, options=None, piece=4096):
    bench = Bench(name, options)
    Wire(device, BenchHost(bench), piece=piece).run(until=400.0)
    bench.wait(30)
    return bench


def heard(name, *steps, options=None, refuse=lambda number: False):
    bench = Bench(name, options, refuse)
    for data, wait in steps:
        bench.feed(data)
        bench.wait(wait)
    bench.wait(10)
    return bench


def weights(bench):
    return [study.observations[-1].value for study in bench.studies]


def wanted(device):
    return [f"{one:.1f}" for one in device.loads.weights]


# What a load is


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize("faults", [(), ("stream",)])
def test_each_load_is_one_study_with_its_weight_at_rest(faults, piece):
    device = AndScale(3, 3, faults=faults)
    bench = run(device, "andscale", piece=piece)
    assert device.report.is_good
    assert weights(bench) == wanted(device)
    assert not any(study.ends.partial for study in bench.studies)
    (one,) = bench.studies[0].observations
    assert (one.name, one.unit, one.loinc, one.ucum) == ("body weight", "kg", "29463-7", "kg")


def test_the_weight_of_the_manuals_line():
    bench = heard("andscale", (b"ST,GS,+  4.876kg\r\n", 0.0))
    (study,) = bench.studies
    assert weights(bench) == ["4.876"]
    assert study.raw == b"ST,GS,+  4.876kg\r\n"


@pytest.mark.parametrize(
    ("line", "value", "unit", "ucum"),
    [
        (b"ST,GS,+   71,4kg\r\n", "71,4", "kg", "71.4"),
        (b"ST,GS,+  157.4lb\r\n", "157.4", "lb", "157.4"),
        (b"ST,+00123.45  g\r\n", "00123.45", "g", "00123.45"),
        (b"ST,NT,+   71.4kg", "71.4", "kg", "71.4"),
        (b"ST,GS,    71.4,kg\r\n", "71.4", "kg", "71.4"),
        (b"ST,GS, + 00071.40 kg\r\n", "00071.40", "kg", "00071.40"),
    ],
)
def test_values_and_units_are_as_received(line, value, unit, ucum):
    (one,) = heard("andscale", (line, 0.0)).studies[0].observations
    assert (one.value, one.unit, one.ucum_value) == (value, unit, ucum)


def test_an_endless_stream_under_one_load_is_one_study_and_one_weight():
    bench = heard("andscale", *[(NOTHING, 0.2), (MOVING, 0.2), *[(REST, 0.2)] * 100, (NOTHING, 0.2)])
    (study,) = bench.studies
    assert len(study.observations) == 1
    assert study.raw == MOVING + REST * 100 + NOTHING


def test_a_coat_taken_off_is_a_second_weight_of_the_same_study():
    bench = heard("andscale", (REST, 0.2), (and_line(70.1), 0.2), (NOTHING, 0.2))
    (study,) = bench.studies
    assert [one.value for one in study.observations] == ["71.4", "70.1"]
    assert study.ends.headline == (("body weight", "70.1", "kg"),)
    assert "it was 71.4 kg" in study.notes[0]


def test_two_keys_pressed_apart_are_two_studies_even_without_a_line_between():
    assert len(heard("andscale", (REST, 5.0), (REST, 5.0)).studies) == 2


def test_a_load_that_never_rests_is_no_study_when_it_is_taken_off():
    assert heard("andscale", (MOVING, 0.5), (MOVING, 0.5), (NOTHING, 0.5)).studies == []


def test_a_key_pressed_too_soon_is_a_study_without_a_weight():
    device = AndScale(3, 2, faults=["too-soon"])
    bench = run(device, "andscale")
    soon, good = bench.studies
    assert soon.ends.partial == "the scale did not come to rest"
    assert soon.observations == []
    assert good.observations[0].value == wanted(device)[1]
    assert "Measure again" in bench.faults[0].text


@pytest.mark.parametrize("faults", [["overload"], ["overload", "stream"]])
def test_an_overload_is_said_once_and_is_no_study(faults):
    bench = run(AndScale(3, 2, faults=faults), "andscale")
    assert [fault.text for fault in bench.faults] == ["the scale says overload: nothing was weighed"]
    assert len(bench.studies) == 1


def test_a_box_left_on_the_scale_is_one_study_not_one_every_five_minutes():
    bench = heard("andscale", *[(REST, 1.0)] * int(2 * weighing.STUDY_S_MAX + 10), (NOTHING, 1.0), (REST, 1.0))
    assert len(bench.studies) == 2


def test_a_long_load_is_committed_in_entries_of_8_kib():
    bench = heard("andscale", (REST * 1000, 0.2), (NOTHING, 0.2))
    assert bench.studies[0].raw == REST * 1000 + NOTHING


def test_of_a_load_that_does_not_come_to_rest_the_last_kilobyte_is_kept():
    count = weighing.MOVING_SIZE_MAX // len(MOVING) + 1
    (study,) = heard("andscale", (MOVING * count, 0.0)).studies
    assert study.raw == (MOVING * count)[-weighing.MOVING_SIZE_MAX :]


def test_of_noise_before_a_line_the_last_256_bytes_are_kept():
    noise = b"?" * 63 + b"\n"
    (study,) = heard("andscale", (noise * 5 + REST, 0.0)).studies
    assert study.raw == noise * 4 + REST


def test_the_port_vanishes_while_somebody_stands_there():
    bench = Bench("andscale")
    bench.feed(REST)
    bench.lose()
    assert weights(bench) == ["71.4"]
    assert not bench.studies[0].ends.partial


@pytest.mark.parametrize(("state", "event"), sorted(weighing.MOVES))
def test_every_move_has_its_action(state, event):
    following, action = weighing.MOVES[state, event]
    assert following in {weighing.EMPTY, weighing.MOVING, weighing.WEIGHED, weighing.LEFT}
    assert callable(getattr(weighing.Weighing, f"_{action}"))


# A line that lost a digit


@given(st.integers(0, len(REST) - 3))
def test_in_a_stream_a_line_that_lost_a_byte_is_never_a_weight(at):
    bench = heard("andscale", (NOTHING + NOTHING, 0.2), (REST[:at] + REST[at + 1 :], 0.2), (REST, 0.2), (NOTHING, 0.2))
    assert weights(bench) == ["71.4"]


@pytest.mark.parametrize("seed", range(5))
def test_a_line_that_loses_bytes_gives_no_wrong_weight(seed):
    device = AndScale(seed, 3, faults=["stream", "lost-bytes"])
    bench = run(device, "andscale")
    assert {one.value for study in bench.studies for one in study.observations} == set(wanted(device))


def test_a_new_width_is_believed_when_two_in_a_row_have_it():
    widths = Widths()
    assert [widths.fits(size) for size in (16, 16, 15, 16, 17, 17, 17)] == [True, True, False, True, False, True, True]


# MT-SICS


@pytest.mark.parametrize("before", [sics_line("D", 81.0), sics_line("S", 81.1)], ids=["moving", "at rest"])
def test_a_scale_that_is_busy_for_some_seconds_still_has_the_same_load(before):
    """Seen with two answers `S I` in a row, a second apart each: one person was three studies."""
    busy = sics_line("I")
    steps = [(before, 1.0), *[(busy, 1.0)] * 5, (sics_line("S", 81.1), 1.0), (sics_line("S", 0.0), 1.0)]
    bench = heard("mtsics", *steps)
    assert [(study.ends.partial, study.observations[-1].value) for study in bench.studies] == [("", "81.10")]
    assert bench.studies[0].raw.count(busy) == 5


def test_a_scale_that_stays_busy_keeps_no_study_open():
    bench = heard("mtsics", (sics_line("S", 81.1), 1.0), *[(sics_line("I"), 1.0)] * 310)
    assert len(bench.studies) == 1
    assert bench.open is None


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize("faults", [(), ("busy",), ("no-identity",)])
def test_a_balance_is_asked_and_each_load_taken_once(faults, piece):
    device = MtSics(3, 3, faults=faults)
    bench = run(device, "mtsics", {"of": "body"}, piece)
    assert device.report.acknowledged == 3
    assert weights(bench) == [f"{one:.2f}" for one in device.loads.weights]
    about = ("", "B021002593") if faults == ("no-identity",) else ("ICS425 150.00 kg", "B021002593")
    assert {(study.begins.model, study.begins.serial) for study in bench.studies} == {about}


@pytest.mark.parametrize("faults", [(), ("busy",), ("no-identity",), ("overload",), ("lost-bytes",)])
def test_a_balance_is_only_ever_asked_what_reads(faults):
    device = MtSics(3, 2, faults=faults)
    bench = run(device, "mtsics")
    bench.lose()
    bench.wait(100)
    assert set(device.commands) == {"SI", "I2", "I4"}
    assert set(bench.sent.split(b"\r\n")) == {b"SI", b"I2", b"I4", b""}


def test_the_standards_own_answer():
    bench = heard("mtsics", (b"S S     100.00 g\r\n", 0.0), (b"S S       0.00 g\r\n", 0.0))
    assert [(one.value, one.unit) for one in bench.studies[0].observations] == [("100.00", "g")]


def test_an_overloaded_balance_says_so():
    bench = run(MtSics(3, 1, faults=["overload"]), "mtsics")
    assert bench.studies == []
    assert len(bench.faults) == 1


def test_a_balance_that_lost_bytes_gives_no_wrong_weight():
    device = MtSics(4, 4, faults=["lost-bytes"])
    bench = run(device, "mtsics")
    assert {one.value for study in bench.studies for one in study.observations} <= {
        f"{one:.2f}" for one in device.loads.weights
    }


def test_a_balance_that_is_switched_off_is_asked_less_often_and_then_who_it_is():
    bench = heard("mtsics", (b"", 600.0))
    assert bench.sent.count(b"\r\n") < 80
    assert bench.sent.count(mtsics.MODEL) == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [({"poll_s": 3.0}, "'poll_s' is 3"), ({"poll_s": 0.1}, "'poll_s'"), ({"least": -1.0}, "'least' is -1")],
)
def test_options_that_cannot_be(options, reason):
    with pytest.raises(ConfigError, match=reason):
        Bench("mtsics", options)


def test_what_is_less_than_least_is_an_empty_scale():
    light = sics_line("S", 0.9)
    assert heard("mtsics", (light, 1.0)).studies == []
    assert len(heard("mtsics", (light, 1.0), options={"least": 0.1}).studies) == 1
    with pytest.raises(ConfigError, match="'least' is 2000"):
        Bench("andscale", {"least": 2000.0})


def test_a_tare_is_no_weight():
    bench = heard("andscale", (b"ST,TR,+    2.5kg\r\n", 0.2), (REST, 0.2))
    assert weights(bench) == ["71.4"]
    assert bench.studies[0].raw == b"ST,TR,+    2.5kg\r\n" + REST


# Tanita


def tanita_said(pairs, end=b"\r\n"):
    text = b"{0,16,~0,1," + pairs + b","
    return text + b"CS,%02X" % (sum(text) & 0xFF) + end


@pytest.mark.parametrize(
    ("pairs", "ids", "time"),
    [
        (b'MO,"SC-330",ID,"0000000000",Da,"22/11/2026",TI,"08:30",Wk,82.7', (), "22/11/2026 08:30"),
        (
            b'MO,"MC-780",ID,"0000000012345674",DT,"2026/11/22",TI,"08:30",Wk,82.7',
            ("0000000012345674",),
            "2026/11/22 08:30",
        ),
        (b'MO,"DC-320",ID,112,DA,"26/11/22",Wk,82.7', ("112",), "26/11/22"),
        (b'MO,"BC-601",Ti,"08:30:02",Wk,82.7', (), "08:30:02"),
    ],
)
def test_whose_it_is_and_when_are_told_as_they_stand(pairs, ids, time):
    (study,) = heard("tanita", (tanita_said(pairs), 0.0)).studies
    assert (study.ends.patient_ids, study.results[0].device_time) == (ids, time)
    assert [one.code for one in study.observations] == ["Wk"]
    (study,) = heard("tanita", (tanita_said(pairs), 0.0), options={"id": "nobody"}).studies
    assert study.ends.patient_ids == ()


def test_a_brace_behind_the_checksum_is_no_damage_and_muscle_and_bone_are_kilograms():
    (study,) = heard("tanita", (tanita_said(b"MW,72.4,mW,68.8,bW,3.6", b"}\r\n"), 0.0)).studies
    assert not study.ends.partial
    assert [(one.name, one.value, one.unit) for one in study.observations][1:] == [
        ("muscle mass", "68.8", "kg"),
        ("bone mass", "3.6", "kg"),
    ]


@pytest.mark.parametrize("size", [1, 50, 4096])
def test_the_manuals_line_is_82_7_kg(size):
    raw = sample("scales/tanita_sc240.txt")
    bench = Bench("tanita")
    bench.feed_in_pieces(raw, size)
    (study,) = bench.studies
    assert study.raw == raw
    assert (study.begins.model, study.begins.serial) == ("SC-240", "00000002")
    found = {one.code: (one.value, one.unit) for one in study.observations}
    assert found["Wk"] == ("82.7", "kg")
    assert found["Hm"] == ("170", "cm")
    assert found["MI"] == ("28.6", "kg/m2")
    assert found["ZF"] == ("369.4", "")
    assert study.ends.headline[0] == ("body weight", "82.7", "kg")


def test_only_named_keys_when_it_is_so_configured():
    bench = heard("tanita", (tanita_line(82.7, 170, 18.6), 0.0), options={"show": "named"})
    assert {one.code for one in bench.studies[0].observations} <= set(tanita.KEYS)


@pytest.mark.parametrize("faults", [(), ("pulse",)])
def test_each_person_is_a_study_whatever_follows_the_line(faults):
    device = Tanita(3, 3, faults=faults)
    bench = run(device, "tanita")
    assert device.report.is_good
    assert [study.observations[0].value for study in bench.studies] == wanted(device)
    assert bench.faults == []


@pytest.mark.parametrize(("fault", "why"), [("bad-sum", "its checksum is"), ("cut", "no checksum")])
def test_a_damaged_line_is_kept_without_values(fault, why):
    bench = run(Tanita(3, 2, faults=[fault]), "tanita")
    assert why in bench.studies[0].ends.partial
    assert bench.studies[0].observations == []
    assert bench.studies[1].observations
    assert "Measure again" in bench.faults[0].text


def test_a_line_without_its_beginning_is_kept_as_damaged():
    assert "beginning" in heard("tanita", (tanita_line(82.7, 170, 18.6)[30:], 0.0)).studies[0].ends.partial


@given(st.integers(0, 150), st.integers(1, 255))
def test_no_single_damage_makes_another_value(at, flip):
    line = tanita_line(82.7, 170, 18.6)
    bench = heard("tanita", (line[:at] + bytes((line[at] ^ flip,)) + line[at + 1 :], 0.0))
    assert all(study.ends.partial for study in bench.studies)


@pytest.mark.parametrize("more", [0, 3])
def test_the_longest_line_has_2048_bytes(more):
    text = b"{0,16," + b"A1,2," * 500
    text = text[: tanita.LINE_SIZE_MAX - 7 + more - 1] + b","
    line = text + b"CS,%02X\r\n" % (sum(text) & 0xFF)
    assert bool(heard("tanita", (line, 0.0)).studies[0].ends.partial) == bool(more)


@pytest.mark.parametrize("name", ["andscale", "tanita"])
def test_noise_at_the_wrong_speed_is_no_study_and_is_said(name):
    bench = heard(name, (b"\xf8\x00\x9c" * 700, 0.0))
    assert bench.studies == []
    assert bench.faults[0].code == "noise"


@pytest.mark.parametrize(("name", "line"), [("andscale", REST), ("tanita", tanita_line(82.7, 170, 18.6))])
def test_what_the_disk_refuses_is_held(name, line):
    assert heard(name, (line, 10.0), refuse=lambda number: number < 3).studies[0].observations
