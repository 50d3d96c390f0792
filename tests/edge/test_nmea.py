"""The GPS driver: gpsd's own reading of real receivers as the oracle, faults, and the place of a study."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.driver import Located
from edge.drivers import nmea
from edge.drivers.nmea_sentences import SENTENCE_SIZE_MAX, Height, Lexer, Minimum, degrees, fields, moment, read
from edge.whereabouts import PLACE_S_MAX
from hardware.simulated.gps import BEGINS, Gps, sentence
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.van import Van, studies_in
from tests.edge.virtual import BenchHost, Wire
from tests.sim.disk import SimDisk
from wire.errors import ConfigError
from wire.record import Place

LOGS = ["april6_2019", "bu353s4", "quectel-eg25-g-2"]


def believed(name):
    """Return (sentence, the report that gpsd made of it) pairs."""
    said = None
    for line in sample(f"nmea/{name}.log.chk").decode().splitlines():
        if line.startswith("$"):
            said = line
        elif said is not None and json.loads(line)["class"] == "TPV":
            yield said, json.loads(line)
            said = None


@pytest.mark.parametrize("name", LOGS)
def test_gpsd_reads_the_same_place_height_and_time(name):
    compared = 0
    for said, tpv in believed(name):
        found = read(fields(said.encode())[1])
        if not isinstance(found, Minimum | Height):
            continue
        compared += 1
        if found.position is None:
            assert tpv["mode"] == 1
            continue
        assert float(found.position.latitude) == pytest.approx(tpv["lat"], abs=2e-9)
        assert float(found.position.longitude) == pytest.approx(tpv["lon"], abs=2e-9)
        if isinstance(found, Height):
            assert float(found.altitude_m) == tpv["altMSL"]
        else:
            assert found.utc == (datetime.fromisoformat(tpv["time"]) if "time" in tpv else None)
    assert compared >= 3


@pytest.mark.parametrize("name", LOGS)
@pytest.mark.parametrize("size", [1, 7, 4096])
def test_a_real_log_is_cut_into_the_sentences_that_gpsd_sees(name, size):
    raw = sample(f"nmea/{name}.log")
    lexer = Lexer()
    found = [one for at in range(0, len(raw), size) for one, _ in lexer.feed(raw[at : at + size])]
    chk = sample(f"nmea/{name}.log.chk").decode().splitlines()
    assert found == [line.strip() for line in chk if line.startswith("$")]


def heard(raw, **options):
    bench = Bench("nmea", options)
    bench.feed(raw)
    return bench


def test_the_log_of_a_receiver_after_its_rollover_gives_a_place_and_no_time():
    bench = heard(sample("nmea/april6_2019.log"))
    assert [(one.latitude, one.utc) for one in bench.scans] == [("48.483341667", None)]
    assert [fault.code for fault in bench.faults] == ["no-date"]


def test_a_real_log_of_2022_gives_place_time_and_height():
    (first, *_) = heard(sample("nmea/quectel-eg25-g-2.log"), year_min=2020).scans
    assert (first.latitude, first.longitude, first.altitude_m) == ("60.022279983", "30.236150133", "16.5")
    assert first.utc == datetime(2022, 9, 20, 5, 13, 47, tzinfo=UTC)
    assert len(first.sentences) == 2


RMC = "GPRMC,080000.00,A,5027.0,N,03031.4,E,0,0,221126,,,A"
GGA = "GPGGA,{},5027.0,N,03031.4,E,1,08,1.1,150.0,M,,M,,"


def test_a_receiver_that_says_its_height_after_its_place_is_heard_out():
    bench = Bench("nmea")
    bench.feed(sentence(RMC))
    bench.wait(0.25)
    bench.feed(sentence(GGA.format("075959.00")) + sentence(GGA.format("080000.00")) * 2)
    bare, whole = bench.scans
    assert (bare.altitude_m, whole.altitude_m, whole.satellites, whole.hdop) == ("", "150.0", "08", "1.1")
    assert (whole.latitude, whole.utc, whole.at) == (bare.latitude, bare.utc, bare.at)
    bench.wait(1.0)
    bench.feed(sentence(RMC.replace("080000", "080001")) + sentence(GGA.format("080001.00")))
    assert len(bench.scans) == 2  # not before every_s is over


@pytest.mark.parametrize("time", ["080000", "080000.0", "080000.000"])
def test_a_time_is_the_same_however_many_zeros_it_ends_with(time):
    (where,) = heard(sentence(GGA.format(time)) + sentence(RMC)).scans
    assert where.altitude_m == "150.0"


# Numbers


@given(st.integers(0, 89), st.integers(0, 59_999_999), st.booleans())
def test_degrees_are_exact_to_the_last_digit(whole, minutes, is_south):
    text = f"{whole:02d}{minutes // 1_000_000:02d}.{minutes % 1_000_000:06d}"
    found = degrees(text, "S" if is_south else "N", "N", "S", 90)
    wanted = round((whole * 60_000_000 + minutes) * 1000 / 60 + 1e-9)
    assert abs(abs(int(found.replace(".", ""))) - wanted) <= 1
    assert found.startswith("-") == (is_south and whole + minutes > 0)


@pytest.mark.parametrize(
    ("value", "half"),
    [("", "N"), ("4829.0005", ""), ("4860.0", "N"), ("9000.1", "N"), ("48x9.0", "N"), ("4829,0", "N")],
)
def test_what_is_no_angle_is_none(value, half):
    assert degrees(value, half, "N", "S", 90) is None


@pytest.mark.parametrize(
    ("time", "date", "wanted"),
    [
        ("235959.99", "311225", datetime(2025, 12, 31, 23, 59, 59, 990_000, tzinfo=UTC)),
        ("000000", "010180", datetime(1980, 1, 1, tzinfo=UTC)),
        ("000000", "010179", datetime(2079, 1, 1, tzinfo=UTC)),
        ("235960", "311225", None),
        ("000000", "310225", None),
        ("", "010125", None),
        ("000231.099", "2208-1", None),
    ],
)
def test_dates(time, date, wanted):
    assert moment(time, date[:2], date[2:4], date[4:]) == wanted


def test_zda_says_the_century():
    rmc = sentence("GPRMC,080000.00,A,5027.0,N,03031.4,E,0,0,221126,,,A")
    bench = heard(sentence("GPZDA,080000.00,22,11,2126,00,00") + rmc)
    assert bench.scans[0].utc.year == 2126


@pytest.mark.parametrize(
    "body",
    [
        "GPRMC,080000,V,5027.0,N,03031.4,E,0,0,221126,,,N",
        "GPRMC,080000,A,5027.0,N,03031.4,E,0,0,221126,,,E",
        "GPRMC,080000,A,5027.0,N,03031.4,E,0,0,221126,,,S",
        "GPRMC,080000,A,,,,,0,0,221126,,,A",
        "GPRMC,080000,A",
        "GPGGA,080000,5027.0,N,03031.4,E,1,08,1.1,150.0,M,,M,,",
    ],
)
def test_what_is_no_fix_is_no_place(body):
    assert heard(sentence(body)).scans == []


# The line


@pytest.mark.parametrize("piece", [1, 4096])
@pytest.mark.parametrize("fault", ["binary", "cut", "bad-sum", "duplicate"])
def test_damage_on_the_line_makes_no_false_place(fault, piece):
    bench = Bench("nmea", {"every_s": 1.0})
    Wire(Gps(3, 40, faults=[fault]), BenchHost(bench), piece=piece).run(until=60.0)
    assert len(bench.scans) > 25
    for one in bench.scans:
        second = (one.utc - BEGINS) / timedelta(seconds=1)
        assert float(one.latitude) == pytest.approx((50 * 60 + 27 + second / 100) / 60, abs=1e-6)
        assert one.at == pytest.approx(second)


@pytest.mark.parametrize(("fault", "codes"), [("rollover", ["no-date"]), ("bad-date", ["no-date"])])
def test_a_date_that_cannot_be_is_told_once_and_the_place_is_taken(fault, codes):
    bench = Bench("nmea")
    Wire(Gps(3, 60, faults=[fault]), BenchHost(bench)).run(until=60.0)
    assert [one.code for one in bench.faults] == codes
    assert {one.utc for one in bench.scans} == {None}
    assert len(bench.scans) == 12


def test_a_lost_fix_is_told_after_a_minute_and_a_new_one_at_once():
    bench = Bench("nmea")
    Wire(Gps(3, 20, faults=["lost-fix"]), BenchHost(bench)).run(until=70.0)
    bench.wait(100.0)
    assert [one.code for one in bench.faults] == ["no-fix"]
    before = len(bench.scans)
    bench.feed(sentence("GPRMC,090000.00,A,5027.0,N,03031.4,E,0,0,221126,,,A"))
    assert len(bench.scans) == before + 1


def test_the_wrong_speed_is_told_once():
    assert [one.code for one in heard(b"\xf8\x80$\x07" * 3_000).faults] == ["no-sentence"]


def test_an_endless_sentence_is_given_up_at_its_bound():
    lexer = Lexer()
    longest = sentence("GPTXT," + "x" * (SENTENCE_SIZE_MAX - 10))
    assert len(longest) == SENTENCE_SIZE_MAX + 2
    assert len(lexer.feed(longest)) == 1
    assert lexer.feed(sentence("GPTXT," + "x" * (SENTENCE_SIZE_MAX - 9))) == []


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_raise_nothing_and_pieces_do_not_matter(raw, size):
    raw = raw + sentence("GPRMC,080000.00,A,5027.0,N,03031.4,E,0,0,221126,,,A") + raw
    whole, parts = heard(raw), Bench("nmea")
    parts.feed_in_pieces(raw, size)
    assert whole.scans == parts.scans


@given(
    st.lists(st.text("0123456789.,ANSEWMV-", max_size=10), min_size=1, max_size=15),
    st.sampled_from(["RMC", "GGA", "ZDA"]),
)
def test_any_fields_raise_nothing(parts, kind):
    read([f"GP{kind}", *parts])


def test_nothing_is_ever_sent():
    bench = Bench("nmea")
    Wire(Gps(3, 40, faults=["no-fix"]), BenchHost(bench)).run(until=200.0)
    assert bench.sent == b""


@pytest.mark.parametrize("piece", [1, 4096])
def test_gpsd_is_asked_for_its_sentences_and_its_json_is_none(piece):
    bench = Bench("nmea", {"gpsd": True})
    Wire(Gps(3, 20, faults=["gpsd"]), BenchHost(bench), piece=piece).run(until=25.0)
    assert bench.sent == nmea.WATCH
    assert len(bench.scans) == 4
    assert bench.faults == []


def test_a_gpsd_that_says_nothing_is_asked_again_and_one_that_came_back_at_once():
    bench = Bench("nmea", {"gpsd": True})
    bench.wait(70.0)
    assert bench.sent == nmea.WATCH * 3
    bench.lose()
    bench.wait(1.1)
    assert bench.sent == nmea.WATCH * 4


@pytest.mark.parametrize("every_s", [0.5, 51.0])
def test_a_pace_out_of_bounds_is_named(every_s):
    with pytest.raises(ConfigError, match="option 'every_s'"):
        nmea.create({"every_s": every_s})


# The place of a study

PORTS = {"gps": ("nmea", {}, "scan"), "scale": ("lines", {}, "scan")}
FIX = sentence("GPRMC,080000.500,A,5027.0,N,03031.4,E,0,0,221126,,,A")


def weighed(fix_at, weighed_at, raw=FIX, stalled_s=0.0):
    """`stalled_s`: what the receiver said lay so long until the card let the kit go on."""
    van = Van(SimDisk(), ports=PORTS)
    began = van.clock.now() - stalled_s - fix_at
    van.hear("gps", raw, began + fix_at)
    kit_ms = van.clock.time_ms() - round(stalled_s * 1000)
    van.hear("scale", b"ST,GS,+  71.4kg\r\n", began + weighed_at)
    van.capture.stop(began + weighed_at)
    (study,) = studies_in(van.stores)
    return study.all(Place), kit_ms


@pytest.mark.parametrize("stalled_s", [0.0, 20.0])
def test_a_study_says_where_it_began_and_how_wrong_the_kits_clock_was(stalled_s):
    (place,), kit_ms = weighed(10.0, 14.0, stalled_s=stalled_s)
    assert (place.latitude, place.longitude) == ("50.450000000", "30.523333333")
    assert (place.age_ms, place.port) == (4_000, "gps")
    assert place.gps_time == "2026-11-22T08:00:00.500+00:00"
    wanted = kit_ms - round(datetime.fromisoformat(place.gps_time).timestamp() * 1000)
    assert abs(place.clock_offset_ms - wanted) < 10
    assert place.sentences == (FIX.decode().strip(),)


def test_a_place_is_good_for_a_minute():
    assert len(weighed(10.0, 10.0 + PLACE_S_MAX)[0]) == 1
    assert weighed(10.0, 10.1 + PLACE_S_MAX)[0] == []


def test_without_a_date_there_is_a_place_and_no_offset():
    (place,), _ = weighed(1.0, 2.0, sentence("GPRMC,080000,A,5027.0,N,03031.4,E,0,0,2208-1,,,A"))
    assert (place.gps_time, place.clock_offset_ms) == ("", 0)


def test_located_is_what_the_seam_says():
    assert heard(FIX).scans == [
        Located(
            "50.450000000",
            "30.523333333",
            0.0,
            datetime(2026, 11, 22, 8, 0, 0, 500_000, tzinfo=UTC),
            sentences=(FIX.decode().strip(),),
        )
    ]
