"""The oximeter driver: formats, the pulse above 127, fingers in and out, lost bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import oximetry
from edge.drivers.nonin_formats import (
    FORMATS,
    SKIPPED_SIZE_MAX,
    TEXT_SIZE_MAX,
    Framer,
    TextFramer,
    from_format_1,
    from_format_8,
    from_text,
    heart_rate,
)
from hardware.simulated.oximeter import Oximeter
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire

SECOND = 75


def measured(faults=(), data_format="2", options=None, piece=4096, **how):
    device = Oximeter(4, data_format=data_format, faults=faults, **how)
    bench = Bench("nonin", options)
    wire = Wire(device, BenchHost(bench), piece=piece)
    wire.run()
    return device, bench, wire


def values(study):
    return {one.code: one.value for one in study.observations}


def pleth(study):
    return [wave for wave in study.waveforms if wave.names == ("pleth",)]


@pytest.mark.parametrize("rate", [0, 1, 72, 127, 128, 133, 255, 256, 321, 510])
def test_a_pulse_over_127_is_read_from_two_bytes(rate):
    assert heart_rate(rate >> 7, rate & 0x7F) == rate


def looked_for_everywhere(name, data):
    """What a framer has to find: at each byte a frame, or that byte skipped."""
    one, at, skipped, found = FORMATS[name], 0, b"", []
    while at + one.size <= len(data):
        frame = data[at : at + one.size]
        if one.is_frame(frame):
            found.append((skipped, frame))
            at, skipped = at + one.size, b""
        else:
            at, skipped = at + 1, skipped + data[at : at + 1]
            if len(skipped) == SKIPPED_SIZE_MAX:
                found.append((skipped, b""))
                skipped = b""
    return found, skipped + data[at:]


FRAMES = st.sampled_from(
    [
        b"\x01\x80\x01\x61\xe3",
        b"\x80\x48\x61\x00",
        b"\x81\x05\x62",
        b"\x00\x02\x00\x0d\x00\x0e",
        b"A" * 300,
        b"\x01" * 9,
    ]
)


@pytest.mark.parametrize("name", FORMATS)
@given(parts=st.lists(st.one_of(FRAMES, st.binary(max_size=12)), max_size=30), size=st.integers(1, 50))
def test_frames_are_found_where_they_are_however_the_bytes_arrive(name, parts, size):
    data, framer = b"".join(parts), Framer(name)
    found = [one for at in range(0, len(data), size) for one in framer.feed(data[at : at + size])]
    skipped = sum(len(before) for before, _ in found)
    rest = framer.rest()
    assert (found, rest) == looked_for_everywhere(name, data)
    assert skipped <= framer.skipped_bytes <= skipped + len(rest)


def test_a_finger_that_is_out_ends_the_study_at_the_deadline_whatever_the_fractions_of_a_second():
    """11.67 s + 5 s - 11.67 s is less than 5 s for a computer: the deadline stood where it was, for ever."""
    _, bench, wire = measured()
    packets = b"".join(data for direction, _, data in wire.carried if direction == "<")[: 125 * 36]
    bench = Bench("nonin", {"format": "2"})
    for at in range(36):
        bench.wait(at / 3 - bench.now)
        bench.feed(packets[125 * at : 125 * (at + 1)])
    bench.wait(400)
    assert bench.studies
    assert bench.open is None


def test_the_samples_packet_is_pulse_72_saturation_97():
    bench = Bench("nonin")
    bench.feed(sample("nonin/df2-packet-hr72-spo2-97.bin") * 3 * 12)
    bench.wait(20)
    (study,) = bench.studies
    assert values(study) | {"SpO2": "97", "pulse": "72"} == values(study)


def test_the_samples_format_8_says_133_and_none():
    raw = sample("nonin/df8-stream.constructed.bin")
    seconds = [from_format_8(raw[at : at + 4]) for at in (0, 4, 8)]
    assert [(one.spo2, one.pulse) for one in seconds] == [(97, 72), (98, 133), (None, None)]
    assert not seconds[2].is_attached


def test_the_samples_spot_check_is_a_study_with_its_date():
    bench = Bench("nonin")
    bench.feed(sample("nonin/df13-spotcheck.constructed.bin"))
    (study,) = bench.studies
    assert values(study) == {"SpO2": "97", "pulse": "72"}
    assert study.results[0].device_time == "20261003094130"


@pytest.mark.parametrize("data_format", ["1", "2", "7", "8", "13", "ascii"])
@pytest.mark.parametrize("option", ["auto", "same"])
def test_two_fingers_are_two_studies(data_format, option):
    options = {} if option == "auto" else {"format": data_format}
    device, bench, _ = measured((), data_format, options, fingers=2)
    assert len(bench.studies) == 2
    spo2, pulse = device._values
    assert values(bench.studies[1])["SpO2"] == str(spo2)
    assert values(bench.studies[1])["pulse"] == str(pulse)
    assert not any(study.notes for study in bench.studies)


def test_the_samples_lines_of_text_are_numbers_and_dashes_are_none():
    lines = sample("nonin/ascii-avant9600.txt").splitlines(keepends=True)
    found = [from_text(line) for line in lines]
    assert [(one.spo2, one.pulse) for one in found] == [(98, 72), (98, 73), (None, None), (97, 71)]
    framer = TextFramer()
    assert [line for _, line in framer.feed(b"".join(lines))] == lines
    assert framer.is_sure


def test_three_bytes_a_second_have_a_pulse_over_127_and_a_sensor_that_is_off():
    assert from_format_1(b"\x81\x05\x61").pulse == 133
    assert not from_format_1(b"\xc3\x7f\x7f").is_attached


@pytest.mark.parametrize("more", [0, 1])
def test_a_line_of_text_has_at_most_64_bytes(more):
    line = b"SPO2=097 HR=071".ljust(TEXT_SIZE_MAX - 2 + more) + b"\r\n"
    assert len(list(TextFramer().feed(line))) == 1 + more


def test_an_entry_every_ten_seconds_with_750_samples():
    _, bench, _ = measured(fingers=1, finger_s=40.0)
    (study,) = bench.studies
    assert [wave.count for wave in pleth(study)][:4] == [750] * 4
    assert all(wave.rate_hz == SECOND for wave in pleth(study))


def test_the_raw_bytes_of_a_study_are_a_piece_of_what_was_sent():
    _, bench, wire = measured(fingers=1)
    sent = b"".join(data for direction, _, data in wire.carried if direction == "<")
    assert bench.studies[0].raw in sent


def test_a_high_pulse_is_not_halved():
    _, bench, _ = measured(["high-pulse"], fingers=1)
    assert int(values(bench.studies[0])["pulse"]) > 127


@pytest.mark.parametrize("fault", ["lost-bytes", "flipped-bits"])
@pytest.mark.parametrize("data_format", ["2", "7"])
def test_lost_bytes_are_counted_and_the_wave_is_cut_not_shifted(fault, data_format):
    device, bench, _ = measured([fault], data_format, fingers=1, finger_s=30.0)
    (study,) = bench.studies
    assert any("bytes skipped" in note for note in study.notes)
    assert len(pleth(study)) > 4
    assert values(study)["SpO2"] == str(device._values[0])


def test_a_line_that_goes_silent_ends_the_study_after_five_seconds():
    _, bench, _ = measured(["unplugged"], fingers=1)
    assert bench.studies[0].notes == ["the oximeter fell silent"]


def test_no_finger_is_no_study():
    _, bench, _ = measured(fingers=1, finger_s=0.5)
    assert bench.studies == []


def test_a_study_of_fifteen_minutes_goes_on_in_the_next():
    _, bench, _ = measured((), "8", fingers=1, finger_s=oximetry.STUDY_S_MAX + 30.0)
    first, second = bench.studies
    seconds = sum(wave.count for wave in first.waveforms)
    assert seconds == oximetry.STUDY_S_MAX
    assert "goes on from the study before" in bench.notes
    assert values(first)["SpO2"] == values(second)["SpO2"]


def test_seconds_without_a_value_stay_without_one():
    frames = b"\x80\x48\x61\x00" * 6 + b"\x83\x7f\x7f\x08" * 2 + b"\x80\x49\x60\x00" * 3
    bench = Bench("nonin", {"format": "8"})
    bench.feed(frames)
    bench.wait(20)
    (study,) = bench.studies
    assert [list(lead) for lead in study.waveforms[0].samples] == [
        [97, 97, 97, 97, 97, oximetry.NONE, oximetry.NONE, 96, 96, 96],
        [72, 72, 72, 72, 72, oximetry.NONE, oximetry.NONE, 73, 73, 73],
    ]


def test_the_port_vanishes_in_the_middle():
    bench = Bench("nonin")
    bench.feed(b"\x80\x48\x61\x00" * 20)
    bench.lose()
    (study,) = bench.studies
    assert study.notes == ["the port vanished"]


def test_another_format_after_the_oximeter_was_exchanged():
    bench = Bench("nonin")
    bench.feed(b"\x80\x48\x61\x00" * 20)
    bench.wait(20)
    bench.feed(sample("nonin/df2-packet-hr72-spo2-97.bin") * 60)
    bench.wait(20)
    assert len(bench.studies) == 2


def played_back(values):
    """Return what an 8500 sends of its memory."""
    return b"".join(bytes((rate, spo2, rate + spo2 & 0xFF)) for rate, spo2 in values)


MEMORY = [(72 + at % 7, 97 - at % 3) for at in range(300)]


@pytest.mark.parametrize("size", [1, 7, 4096])
@pytest.mark.parametrize("lost", [None, 301, 302])
def test_a_memory_that_is_played_back_is_no_live_study(size, lost):
    raw = b"\xfe\xfe\xfc" + played_back(MEMORY)
    raw = raw if lost is None else raw[:lost] + raw[lost + 1 :]
    bench = Bench("nonin")
    bench.feed_in_pieces(raw, size)
    bench.wait(60)
    assert bench.studies == []
    assert [fault.code for fault in bench.faults] == ["memory"]


def test_a_memory_that_is_played_back_behind_a_live_study_asks_the_disk_last():
    live = [bytes((0x80, 60, 97))] * 60
    bench = Bench("nonin")
    for frame in live:
        bench.feed(frame)
        bench.wait(1.0)
    bench.feed(played_back(MEMORY) + b"".join(live * 70))
    bench.wait(60)
    assert [fault.code for fault in bench.faults] == ["memory"]
    assert bench.studies


@pytest.mark.parametrize("pulse", [47, 160])
def test_a_pulse_that_fits_the_status_by_chance_is_read(pulse):
    status = (0x90 if pulse == 47 else 0x80) | pulse >> 7
    frames = [bytes((0x80, 60, 97))] * 4 + [bytes((status, pulse & 0x7F, 97))] * 60
    bench = Bench("nonin")
    for frame in frames:
        bench.feed(frame)
        bench.wait(1.0)
    bench.wait(60)
    (study,) = bench.studies
    assert {one.code: one.value for one in study.observations}["pulse"] == str(pulse)
    assert bench.faults == []


def test_a_pulse_that_no_oximeter_shows_is_none():
    assert from_format_1(bytes((0x82, 65, 97))).pulse == 321
    assert from_format_1(bytes((0x82, 66, 97))).pulse is None
