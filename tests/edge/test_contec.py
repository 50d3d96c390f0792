"""The Contec driver: both generations, live and stored, fingers in and out, and what is never sent."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import oximetry
from edge.drivers import contec, contec_formats, contec_stored
from edge.drivers.contec_formats import command, from_live, from_old, from_old_record, from_records, unpacked
from hardware.simulated.contec import STORED_S, Contec, live, old_live, packet
from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire

V7, OLD = {}, {"generation": "old"}
READS = {command(code)[2] for code in (0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xAF)}
SEGMENTS, LENGTH = packet(0x0A, 0, 1), packet(0x08, 0, 0, 12, 0, 0, 0)
START = packet(0x07, 0, 0, 20, 26, 8, 1) + packet(0x12, 0, 0, 22, 30, 5, 0)
SIX = packet(0x0F, 97, 66, 97, 67, 0x7F, 0xFF) + packet(0x0F, 96, 150, 95, 66, 97, 66)


def measured(faults=(), options=None, fingers=1, finger_s=12.0, piece=4096, seed=5):
    device, bench = Contec(seed, fingers, finger_s, faults), Bench("contec", options)
    wire = Wire(device, BenchHost(bench), piece=piece)
    wire.run(until=fingers * (finger_s + 7.0) + 120.0)
    bench.wait(60)
    return device, bench, wire


def heard(*steps, options=None, refuse=lambda number: False):
    bench = Bench("contec", options, refuse)
    bench.wait(0.1)
    for data, wait in steps:
        bench.feed(data)
        bench.wait(wait)
    bench.wait(30)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


def seconds(study):
    """The numbers once a second: saturation and pulse."""
    waves = [wave for wave in study.waveforms if wave.names[0] == "SpO2 %"]
    return [pair for wave in waves for pair in zip(*wave.samples[:2], strict=True)]


def remembered(device):
    return [[(-1, -1) if spo2 == 0x7F else (spo2, pulse) for spo2, pulse in one] for one in device._stored]


# Bytes that were seen


def test_a_real_live_packet_is_pulse_60_saturation_99_and_no_index():
    found, pleth = from_live(bytes.fromhex("01e0849392bce3ffff"))
    assert (found.spo2, found.pulse, found.pi, found.is_attached, pleth) == (99, 60, None, True, 0x13)


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        ("0f80dec2dec2dec2", [94, 66] * 3),
        ("07808080948e8892", [0, 0, 20, 14, 8, 18]),
        ("08808080a4818080", [0, 0, 0x24, 1, 0, 0]),
        ("0a808081", [0, 1]),
        ("0980e1c4ce82", [97, 68, 0x4E, 2]),
    ],
)
def test_packets_of_other_readers_say_what_they_say(raw, data):
    packed = bytes.fromhex(raw)
    assert list(unpacked(packed)) == data
    assert packet(packed[0], *data) == packed
    assert contec_formats.SIZES[packed[0]] == len(packed)


def test_an_index_of_5_90_percent_is_590():
    (one,) = from_records(bytes.fromhex("0980e1c4ce82"))
    assert (one.spo2, one.pulse, one.pi) == (97, 68, 590)


@pytest.mark.parametrize("rate", [1, 60, 127, 128, 200, 254])
def test_a_pulse_over_127_is_read_from_two_bytes(rate):
    assert from_old(old_live(97, rate, 0.5, is_in=True))[0].pulse == rate
    assert from_live(live(97, rate, 0.5, is_in=True))[0].pulse == rate
    assert from_old_record(bytes((0xF0 | rate >> 7, 0x80 | rate & 0x7F, 97))).pulse == rate


@pytest.mark.parametrize("raw", [live(97, 60, 0.5, is_in=False), packet(1, 0x80, 9, 9, 60, 97, 1, 0)])
def test_searching_and_a_probe_that_is_out_count_as_no_finger(raw):
    assert not from_live(raw)[0].is_attached


@pytest.mark.parametrize("bit", [0x10, 0x20])
def test_a_probe_error_and_searching_of_the_old_protocol_count_as_no_finger(bit):
    assert not from_old(bytes((0x87, 50, bit, 60, 97)))[0].is_attached


# What is sent


@pytest.mark.parametrize("stored", ["never", "once"])
@pytest.mark.parametrize(
    "faults", [(), ("recording",), ("breaks-off",), ("lost-bytes",), ("empty", "unplugged"), ("pi",)]
)
def test_nothing_that_deletes_or_sets_is_ever_sent(faults, stored):
    device, bench, _ = measured(faults, {"stored": stored})
    assert {one[2] for one in device.commands} <= READS
    assert all(one[:2] == b"\x7d\x81" for one in device.commands)
    assert len(bench.sent) % 9 == 0
    device, bench, _ = measured((*faults, "old"), {"stored": stored, **OLD})
    assert bench.sent in {b"", contec_formats.GET_OLD_RECORDS}


def test_a_v7_oximeter_is_kept_alive_and_asked_again_when_it_was_switched_off():
    _, bench, _ = measured(finger_s=40.0)
    assert bench.sent.count(command(contec_formats.KEEP_ALIVE)) >= 10
    silent = heard((b"", 300.0))
    assert 20 < silent.sent.count(command(contec_formats.START_LIVE)) < 60


# Live


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize(("faults", "options"), [((), V7), (("old",), OLD), (("old", "high-pulse"), OLD)])
def test_two_fingers_are_two_studies_with_their_values(faults, options, piece):
    device, bench, _ = measured(faults, options, fingers=2, piece=piece)
    assert device.report.is_good
    found = [(values(study)["SpO2"], values(study)["pulse"]) for study in bench.studies]
    assert found == [(str(spo2), str(pulse)) for spo2, pulse in device._values]


def test_an_entry_every_ten_seconds_with_600_samples():
    _, bench, _ = measured(finger_s=40.0)
    pleth = [wave for wave in bench.studies[0].waveforms if wave.names == ("pleth",)]
    assert [wave.count for wave in pleth][:3] == [600] * 3
    assert all(wave.rate_hz == contec.RATE_HZ for wave in pleth)


def test_the_raw_bytes_of_a_study_are_a_piece_of_what_was_sent():
    _, bench, wire = measured()
    sent = b"".join(data for direction, _, data in wire.carried if direction == "<")
    assert bench.studies[0].raw in sent


@pytest.mark.parametrize(("faults", "options"), [(("lost-bytes",), V7), (("lost-bytes", "old"), OLD)])
def test_lost_bytes_are_counted_and_the_wave_is_cut_not_shifted(faults, options):
    device, bench, _ = measured(faults, options, finger_s=30.0)
    (study,) = bench.studies
    assert any("bytes skipped" in note for note in study.notes)
    assert sum(wave.names == ("pleth",) for wave in study.waveforms) > 4
    assert values(study)["SpO2"] == str(device._values[0][0])


@pytest.mark.parametrize(("faults", "options"), [(("unplugged",), V7), (("unplugged", "old"), OLD)])
def test_a_line_that_goes_silent_ends_the_study_after_five_seconds(faults, options):
    _, bench, _ = measured(faults, options)
    assert bench.studies[0].notes == ["the oximeter fell silent"]


@pytest.mark.parametrize(
    ("one", "options"), [(live(97, 66, 0.5, is_in=True), V7), (old_live(97, 66, 0.5, is_in=True), OLD)]
)
def test_the_port_vanishes_in_the_middle(one, options):
    bench = Bench("contec", options)
    bench.feed(one * 300)
    bench.lose()
    assert bench.studies[0].notes == ["the port vanished"]


def test_a_study_of_fifteen_minutes_goes_on_in_the_next():
    bench = Bench("contec", OLD)
    for _ in range(oximetry.STUDY_S_MAX + 20):
        bench.feed(old_live(97, 66, 0.5, is_in=True) * 60)
        bench.wait(1.0)
    bench.wait(20)
    assert len(bench.studies) == 2
    assert len(seconds(bench.studies[0])) == oximetry.STUDY_S_MAX


# Stored


@pytest.mark.parametrize("piece", [1, 7, 4096])
@pytest.mark.parametrize("faults", [(), ("pi",)])
def test_each_segment_of_the_memory_is_a_study_with_its_own_date(faults, piece):
    device, bench, _ = measured(faults, {"stored": "once"}, piece=piece)
    first, second, live_one = bench.studies
    assert [seconds(one) for one in (first, second)] == remembered(device)
    assert [one.results[0].device_time for one in (first, second)] == ["20260801223005", "20260802223005"]
    assert not first.ends.partial
    assert ("PI" in values(first)) == bool(faults)
    assert "only the oximeter knows its time" in first.notes[0]
    assert values(live_one)["SpO2"] == str(device._values[0][0])


@pytest.mark.parametrize("piece", [1, 4096])
def test_the_old_protocols_memory_is_read_and_the_live_stream_goes_on(piece):
    device, bench, _ = measured(("old",), {"stored": "once", **OLD}, piece=piece)
    stored, live_one = bench.studies
    assert seconds(stored) == remembered(device)[-1]
    assert stored.raw.startswith(contec_formats.OLD_PREAMBLE)
    assert values(live_one)["SpO2"] == str(device._values[0][0])


@pytest.mark.parametrize(("faults", "options"), [(("breaks-off",), V7), (("breaks-off", "old"), OLD)])
def test_a_recording_that_breaks_off_is_partial_and_keeps_what_came(faults, options):
    device, bench, _ = measured(faults, {"stored": "once", **options})
    broken = next(study for study in bench.studies if study.ends.partial)
    assert seconds(broken) == remembered(device)[-1][: len(seconds(broken))]
    assert f"of {STORED_S[-1]} seconds; the oximeter still has them all" in broken.notes[-1]


def test_the_port_vanishes_while_the_memory_is_read_and_it_is_read_again():
    bench = Bench("contec", {"stored": "once"})
    bench.wait(0.1)
    for data in (SEGMENTS, LENGTH, START, SIX[:8]):
        bench.feed(data)
    bench.lose()
    assert bench.studies[0].ends.partial == "the port vanished"
    bench.wait(5)
    for data in (SEGMENTS, LENGTH, START, SIX):
        bench.feed(data)
    assert seconds(bench.studies[1]) == [(97, 66), (97, 67), (-1, -1), (96, 150), (95, 66), (97, 66)]


def test_padding_after_the_announced_length_is_no_second():
    bench = heard(
        (SEGMENTS, 0.0), (packet(0x08, 0, 0, 8, 0, 0, 0), 0.0), (START, 0.0), (SIX, 0.0), options={"stored": "once"}
    )
    assert len(seconds(bench.studies[0])) == 4


def test_bytes_lost_in_the_memory_are_said_with_their_consequence():
    bench = heard((SEGMENTS + LENGTH + START, 0.0), (SIX[:5] + SIX[6:] + SIX, 0.0), options={"stored": "once"})
    assert any("stand too early" in note for note in bench.studies[0].notes)


def test_of_bytes_among_the_records_that_make_no_packet_a_kilobyte_is_kept():
    bench = heard((SEGMENTS + LENGTH + START, 0.0), (b"\x80" * 3_000 + SIX, 0.0), options={"stored": "once"})
    assert bench.studies[0].raw == b"\x80" * contec.TORN_SIZE_MAX + SIX


def test_a_memory_without_a_date_is_read_without_one():
    bench = heard((SEGMENTS + LENGTH, 3.0), (SIX, 0.0), options={"stored": "once"})
    assert len(seconds(bench.studies[0])) == 6
    assert bench.studies[0].results[0].device_time == ""


@pytest.mark.parametrize(("faults", "told"), [(("recording",), ["it may be recording"]), (("empty",), [])])
def test_without_a_memory_the_live_stream_is_asked_for(faults, told):
    _, bench, _ = measured(faults, {"stored": "once"})
    assert len(bench.studies) == 1
    assert len(bench.faults) == len(told)
    assert all(word in fault.text for word, fault in zip(told, bench.faults, strict=True))


def test_an_oximeter_that_answers_nothing_about_its_memory_still_goes_live():
    bench = heard((SEGMENTS, 30.0), options={"stored": "once"})
    assert command(contec_formats.START_LIVE) in bench.sent
    assert "does not say how long" in bench.notes[0]


def test_an_old_oximeter_that_ignores_the_question_goes_on_live():
    one = old_live(97, 66, 0.5, is_in=True)
    bench = heard(*[(one * 60, 1.0)] * 20, options={"stored": "once", **OLD})
    assert bench.sent == contec_formats.GET_OLD_RECORDS
    assert values(bench.studies[0])["pulse"] == "66"


@pytest.mark.parametrize("more", [0, 1])
def test_a_segment_has_at_most_a_day(more):
    count = contec_stored.SECONDS_MAX + more
    length = packet(0x08, 0, 0, *(2 * count).to_bytes(4, "little"))
    bench = Bench("contec", {"stored": "once"})
    bench.wait(0.1)
    bench.feed(SEGMENTS + length + START)
    for _ in range(count // 3 // 60 + 1):
        bench.feed(SIX[:8] * 60)
    bench.wait(30)
    assert len(seconds(bench.studies[0])) == contec_stored.SECONDS_MAX
    assert any("announced" in note for note in bench.studies[0].notes) == bool(more)


def test_segments_that_are_announced_beyond_reason_are_bounded():
    bench = heard((packet(0x0A, 0, 0xFF), 0.0), options={"stored": "once"})
    bench.wait(2_000)
    asked = {
        bench.sent[at + 4] for at in range(0, len(bench.sent), 9) if bench.sent[at + 2] == contec_formats.GET_LENGTH
    }
    assert len(asked) == contec.SEGMENTS_MAX


def test_what_the_disk_refuses_of_a_recording_is_held():
    bench = heard(
        (SEGMENTS + LENGTH + START, 0.0), (SIX, 20.0), options={"stored": "once"}, refuse=lambda number: number < 4
    )
    assert len(seconds(bench.studies[0])) == 6


@given(st.binary(max_size=60), st.integers(1, 20))
def test_packets_are_found_after_any_noise(noise, size):
    framer, found = contec_formats.v7_framer(), []
    line = noise + START + SIX
    for at in range(0, len(line), size):
        found += [one for _, one in framer.feed(line[at : at + size]) if one]
    assert found[-2:] == [SIX[:8], SIX[8:]]


@pytest.mark.parametrize(("state", "event"), sorted(contec.MOVES))
def test_every_move_has_its_action(state, event):
    following, action = contec.MOVES[state, event]
    assert following in {contec.COUNTING, contec.MEASURING, contec.DATING, contec.READING, contec.LIVE}
    assert callable(getattr(contec.create({}), f"_{action}"))
    assert event in contec.EVENTS


def test_a_day_of_seconds_has_the_median_of_its_list():
    spread, numbers = oximetry.Spread(), [97, 95, 97, 99, 90, 96]
    for one in (*numbers, None):
        spread.add(one)
    assert (spread.median, spread.lowest, spread.highest, spread.count) == (96, 90, 99, 6)
