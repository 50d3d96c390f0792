"""The GMC driver: real answers, the heartbeat, short pages, the history, and that nothing is ever written."""

import json
import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers import gmc
from edge.drivers.gmc_answers import (
    NONE,
    RFC1201,
    RFC1801,
    SEGMENT_COUNT_MAX,
    History,
    calibration,
    counts_a_minute,
    moment,
    protocol_of,
    voltage,
)
from hardware.simulated.gmc import FLASH_SIZE, Gmc, history, remark, saved, stamp
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError

READS = {b"GETVER", b"GETSERIAL", b"GETCFG", b"GETVOLT", b"GETDATETIME", b"GETCPM", b"HEARTBEAT0"}
DAY = datetime(2023, 11, 10, 3, 0, 0, tzinfo=UTC)


class Recorded:
    """A counter that answers with the bytes of a real one, and to nothing else."""

    def __init__(self, name):
        self.card = json.loads(sample(f"gmc/{name}.json"))
        self.is_new, self.asked = True, []

    def feed(self, data, now):
        self.asked.append(data)
        return bytes.fromhex(self.card["responses_hex"].get(data.decode("latin-1"), ""))

    def tick(self, now):
        self.is_new = False
        return b""

    def deadline(self):
        return 0.0 if self.is_new else None


def measured(device, options=None, until=400.0, piece=4096):
    bench = Bench("gmc", options)
    wire = Wire(device, BenchHost(bench), piece=piece)
    wire.run(until=until)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


@pytest.mark.parametrize("name", ["gmc300s", "gmc500_plus"])
@pytest.mark.parametrize("piece", [1, 4096])
def test_a_real_counters_answers_are_read_as_its_owner_reads_them(name, piece):
    device = Recorded(name)
    bench = measured(device, {"study_s": 20.0}, until=60.0, piece=piece)
    wanted = device.card["expected"]
    study = bench.studies[0]
    assert (study.begins.model, study.begins.serial) == (wanted["get_version"], wanted["get_serial"])
    found = values(study)
    assert found["cpm"] == str(wanted["get_cpm"])
    assert float(found["dose rate"]) == pytest.approx(wanted["get_usv_h"], rel=1e-3)
    assert float(found["battery"]) == wanted["get_voltage"]
    date = datetime.fromisoformat(wanted["get_datetime"])
    assert study.results[0].device_time == f"{date:%Y%m%d%H%M%S}"
    assert bench.faults == []


@pytest.mark.parametrize(("name", "protocol"), [("gmc300s", RFC1201), ("gmc500_plus", RFC1801)])
def test_the_samples_calibration_is_in_each_protocols_byte_order(name, protocol):
    card = json.loads(sample(f"gmc/{name}.json"))
    found = calibration(bytes.fromhex(card["responses_hex"]["<GETCFG>>"]), protocol)
    wanted = card["expected"]["get_config"]
    assert found.cpm == wanted["CalibrationCPM_0"]
    assert found.usv_h == pytest.approx(wanted["Calibration_uSv_0"])


@pytest.mark.parametrize(
    "config", [b"", bytes(13), bytes(256), b"\xff" * 512, bytes(8) + b"\x00\x64" + b"\x00\x00\xc0\x7f"]
)
def test_a_configuration_without_a_sound_calibration_gives_no_dose(config):
    assert calibration(config, RFC1201) is None


@pytest.mark.parametrize(
    ("version", "protocol"),
    [
        ("GMC-280Re 4.20", RFC1201),
        ("GMC-320Re 4.22", RFC1201),
        ("GMC-500+Re 2.22", RFC1801),
        ("GMC-600Re 2.26", RFC1801),
        ("GMC-800Re1.10", RFC1801),
        ("GMC-SE Re 1.05", RFC1201),
        ("GMC-320+V5?RRe 5.73", RFC1201),
        ("Rad Pro 2.0/en", None),
    ],
)
def test_the_protocol_follows_from_the_model(version, protocol):
    assert protocol_of(version) is protocol


def test_numbers_by_their_size():
    assert counts_a_minute(b"\x00\x17") == 23
    assert counts_a_minute(bytes.fromhex("000004ba")) == 1210
    assert counts_a_minute(b"\xff\xff\xff\xff") is None
    assert (voltage(b"\x2a"), voltage(b"4.0v\0")) == ("4.2", "4.0")
    assert moment(bytes.fromhex("170b0a0c0f05aa")) == datetime(2023, 11, 10, 12, 15, 5, tzinfo=UTC)
    assert moment(b"\x17\x02\x1f\x00\x00\x00\xaa") is None
    assert moment(b"\x17") is None


FAULTS = [[], ["heartbeat"], ["wide", "heartbeat"], ["deaf"], ["pause"], ["wide", "first-value"], ["bad-clock"]]


@pytest.mark.parametrize("faults", FAULTS, ids="-".join)
@pytest.mark.parametrize("piece", [1, 4096])
def test_no_fault_makes_a_false_reading(faults, piece):
    device = Gmc(3, 20, faults=faults)
    bench = measured(device, {"history": "once", "every_s": 1.0}, piece=piece)
    live = [study for study in bench.studies if "cpm" in values(study)]
    assert live
    for study in live:
        assert 17 <= int(values(study)["cpm lowest"]) <= int(values(study)["cpm highest"]) <= 31
    assert device.forbidden == []
    assert all(asked in READS or asked.startswith(b"SPIR") for asked in device.asked)


def test_a_heartbeat_that_was_left_on_is_hushed_before_anything_is_asked():
    device = Gmc(3, 5, faults=["heartbeat"])
    bench = measured(device)
    assert device.asked[:2] == [b"HEARTBEAT0", b"GETVER"]
    assert any("unasked" in note for note in bench.notes)


def test_a_heartbeat_that_begins_between_two_readings_spoils_none():
    device = Gmc(3, 30)
    bench = Bench("gmc", {"every_s": 2.0})
    wire = Wire(device, BenchHost(bench))
    wire.run(until=9.0)
    device._beats_at = 10.0
    wire.run(until=400.0)
    (study,) = bench.studies
    assert 17 <= int(values(study)["cpm lowest"]) <= int(values(study)["cpm highest"]) <= 31
    assert device.asked.count(b"HEARTBEAT0") == 1


def test_the_first_value_after_a_silence_is_not_taken():
    bench = measured(Gmc(3, 6, faults=["wide", "first-value"]))
    (study,) = bench.studies
    assert study.waveforms[0].count == 5
    assert int(values(study)["cpm highest"]) < 100


def test_a_counter_that_falls_silent_ends_its_study_and_is_greeted_again():
    bench = measured(Gmc(3, 20, faults=["pause"]), {"every_s": 1.0})
    assert [study.notes[0] for study in bench.studies] == ["the meter fell silent"] * 2
    assert all(study.begins.model == "GMC-300SRe 1.14" for study in bench.studies)


def test_what_is_no_gmc_is_told_once_and_asked_seldom():
    device = Gmc(3, 5, faults=["stranger"])
    bench = measured(device, until=100.0)
    assert [fault.code for fault in bench.faults] == ["stranger"]
    assert set(device.asked) == {b"GETVER"}
    assert len(device.asked) < 15
    assert bench.studies == []


def test_the_port_vanishes_in_the_middle():
    bench = Bench("gmc")
    Wire(Gmc(3, 50), BenchHost(bench)).run(until=30.0)
    bench.lose()
    (study,) = bench.studies
    assert study.notes == ["the port vanished"]
    assert values(study)["battery"] == "4.2"


def test_an_hour_is_a_study_and_the_next_follows_without_a_gap():
    device = Gmc(3, 800)
    bench = measured(device, until=4_000.0)
    assert bench.studies[0].waveforms[0].count == 60
    assert sum(wave.count for wave in bench.studies[0].waveforms) == 720
    assert bench.studies[0].notes == []


def test_while_the_disk_refuses_the_readings_wait_and_none_is_lost():
    bench = Bench("gmc", {"every_s": 1.0}, refuse=lambda number: number < 100)
    Wire(Gmc(3, 300), BenchHost(bench)).run(until=500.0)
    (study,) = bench.studies
    assert sum(wave.count for wave in study.waveforms) == 299


# History


def test_the_history_is_a_study_of_its_own_with_waves_on_the_kits_clock():
    device = Gmc(3, 3)
    driver_bench = Bench("gmc", {"history": "once"})
    began = []
    keep = driver_bench._keep
    driver_bench._keep = lambda commit: (began.extend(one.began for one in commit.waveforms), keep(commit))
    Wire(device, BenchHost(driver_bench)).run(until=60.0)
    study = driver_bench.studies[0]
    assert [(*wave.names, wave.count) for wave in study.waveforms] == [("cps", 600), ("cpm", 240), ("cps", 120)]
    assert list(study.waveforms[0].samples[0])[300:303] == [254, 255, 700]
    assert began[0] == pytest.approx(-9 * 3600, abs=2)
    assert study.notes == ["note in the history: van at the school"]
    assert [one.begins.is_earlier for one in driver_bench.studies] == [True, False]
    assert study.raw == device._flash.ljust(2048, b"\xff")


def test_a_page_that_comes_short_is_read_again():
    flash = history([(DAY, 1, [value % 50 for value in range(6_000)])])
    device = Gmc(3, 3, faults=["short-read"], flash=flash)
    bench = measured(device, {"history": "once"})
    assert bench.studies[0].raw.rstrip(b"\xff") == flash
    assert values(bench.studies[0])["history values"] == "6000"


def test_the_history_is_read_once_for_a_counter():
    bench = measured(Gmc(3, 20, faults=["pause"]), {"history": "once", "every_s": 1.0})
    assert ["history values" in values(study) for study in bench.studies] == [True, False, False]


def test_a_full_memory_ends_where_the_counter_answers_no_more():
    flash = history([(DAY, 1, [1] * FLASH_SIZE)])[:FLASH_SIZE]
    bench = measured(Gmc(3, 3, flash=flash), {"history": "once"})
    assert len(bench.studies[0].raw) == FLASH_SIZE
    assert bench.studies[0].ends.partial == f"no answer at byte {FLASH_SIZE} of the history"


def test_a_history_of_a_counter_without_a_date_has_no_waves_but_its_bytes():
    bench = measured(Gmc(3, 3, faults=["bad-clock"]), {"history": "once"})
    study = bench.studies[0]
    assert study.waveforms == []
    assert values(study)["history values"] == "960"


sessions = st.lists(
    st.tuples(
        st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)),  # noqa: DTZ001  the zone is put on below
        st.sampled_from([1, 2, 3]),
        st.lists(st.integers(0, 0xFFFE).filter(lambda value: value not in {0x55, 0xFF}), min_size=1, max_size=300),
    ),
    max_size=5,
)


@given(sessions=sessions, sizes=st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_any_history_is_read_as_it_was_saved_however_it_is_paged(sessions, sizes):
    sessions = [(date.replace(microsecond=0, tzinfo=UTC), mode, values) for date, mode, values in sessions]
    flash, reader, found, at = history(sessions), History(), [], 0
    while at < len(flash):
        size = sizes[len(found) % len(sizes)]
        found += reader.feed(flash[at : at + size])
        at += size
    found += reader.finish()
    assert [(one.began, one.mode, one.values) for one in found] == sessions


def test_marks_in_the_history_one_by_one():
    reader = History()
    page = saved(9) + stamp(DAY, 1) + saved(1) + b"\x55" + saved(2) + remark("hello") + b"\xff" + saved(3)
    page += b"\x55\xaa\x77" + saved(4) + stamp(DAY, 0) + saved(5) + stamp(DAY, 2) + saved(6) + b"\xff\xff\x55"
    found = [*reader.feed(page), *reader.finish()]
    assert [one.values for one in found] == [[1, 0x55, 2, NONE, 3], [6, NONE, NONE, 0x55]]
    assert (reader.notes, reader.unknown) == (["hello"], 1)


def test_wide_values_and_tubes_in_the_history():
    reader = History()
    page = stamp(DAY, 1) + saved(700) + b"\x55\xaa\x03\x01\x00\x02" + b"\x55\xaa\x04\x01\x00\x00\x02" + saved(1)
    page += b"\x55\xaa\x05\x02" + saved(2) + b"\x55\xaa\x05" + stamp(DAY, 2) + saved(3)
    found = [*reader.feed(page), *reader.finish()]
    assert [one.values for one in found] == [[700, 65_538, 16_777_218, 1, 2], [3]]
    assert (reader.unknown, reader.undated) == (0, 0)


def test_values_without_a_date_or_a_pace_are_counted_and_have_no_times():
    reader = History()
    page = saved(9) + stamp(DAY, 5) + saved(1) + saved(700) + b"\xff" + stamp(DAY, 2) + saved(6)
    found = [*reader.feed(page), *reader.finish()]
    assert [one.values for one in found] == [[6]]
    assert reader.undated == 3
    flash = history([(DAY, 4, [1, 2, 3]), (DAY, 2, [4])])
    study = measured(Gmc(3, 3, flash=flash), {"history": "once"}).studies[0]
    assert study.notes == ["3 values without times: before any date, or saved above a threshold only"]


@pytest.mark.parametrize("cut", [b"\x55\xaa", b"\x55\xaa\x01\x02", b"\x55\xaa\x05", b"\x55\xaa\x02\x09hel"])
def test_a_mark_that_the_end_of_the_memory_cuts_is_no_value(cut):
    reader = History()
    found = [*reader.feed(stamp(DAY, 1) + saved(1) + cut), *reader.finish()]
    assert [one.values for one in found] == [[1]]


@pytest.mark.parametrize("version", [b"GMC-800Re1.08", b"GMC-SE Re 1.05", b"GMC-320+V5\0RRe 5.73", b"GMC-600+Re 2.52"])
def test_counters_whose_version_has_another_length_are_met_and_found(version):
    class Named(Gmc):
        _version = version

    (study,) = measured(Named(3, 5, faults=["wide"] if b"00" in version else [])).studies
    assert study.begins.model == version.decode().replace("\0", "?")
    assert gmc.SIGNS.count(version) == 1


def test_a_gmc_800_has_its_calibration_at_a_place_of_its_own():
    config = bytearray(b"\xff" * 512)
    struct.pack_into(">6I6f", config, 73, 1538, 15_380, 30_760, 76_900, 153_800, 307_600, 10, 100, 200, 500, 1000, 2000)
    found = calibration(bytes(config), RFC1801)
    assert (found.cpm, found.usv_h) == (1538, 10.0)
    assert found.dose_rate(2495) == "16.22"


def test_a_long_segment_is_cut_and_its_second_part_has_its_own_time():
    reader = History()
    found = [*reader.feed(history([(DAY, 2, [7] * (SEGMENT_COUNT_MAX + 5))])), *reader.finish()]
    assert [len(one.values) for one in found] == [SEGMENT_COUNT_MAX, 5]
    assert found[1].began == DAY + timedelta(minutes=SEGMENT_COUNT_MAX)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_any_flash_raises_nothing_and_pages_do_not_matter(flash, size):
    whole, paged = History(), History()
    once = [*whole.feed(flash), *whole.finish()]
    parts = [one for at in range(0, len(flash), size) for one in paged.feed(flash[at : at + size])]
    assert once == [*parts, *paged.finish()]


@pytest.mark.parametrize(("name", "value"), [("every_s", 0.5), ("every_s", 601.0), ("study_s", 9.0), ("study_s", 1e9)])
def test_a_pace_out_of_bounds_is_named(name, value):
    with pytest.raises(ConfigError, match=f"option '{name}' is .*; it may be"):
        gmc.create({name: value})
