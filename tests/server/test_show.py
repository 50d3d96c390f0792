"""How things are shown: times, flags, bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import show
from server.studies import scaled
from wire.waveform import Waveform

MS = 1_795_000_000_000


@pytest.mark.parametrize(
    ("zone", "text", "iso"),
    [
        ("UTC", "2026-11-18 11:06:40", "2026-11-18T11:06:40+00:00"),
        ("Europe/Kyiv", "2026-11-18 13:06:40", "2026-11-18T13:06:40+02:00"),
        ("Asia/Kathmandu", "2026-11-18 16:51:40", "2026-11-18T16:51:40+05:45"),
    ],
)
def test_a_moment_in_a_zone(zone, text, iso):
    assert show.moment(MS, zone) == show.Moment(text, iso)


@pytest.mark.parametrize("time_ms", [None, -1, show.MS_MAX + 1, 1 << 62])
def test_a_time_that_no_clock_shows(time_ms):
    assert show.moment(time_ms, "UTC") is None


def test_the_limits_of_time():
    assert show.moment(0, "UTC").text == "1970-01-01 00:00:00"
    assert show.moment(show.MS_MAX, "UTC").text == "9999-12-31 23:59:59"


def test_the_limits_of_time_in_a_zone_ahead_of_utc():
    assert show.moment(show.MS_MAX, "Asia/Tokyo") is None
    assert show.moment(show.MS_MAX - 86_400_000, "Asia/Tokyo") is not None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("H", "high"),
        ("ll", "critically low"),
        (" L ", "low"),
        ("", None),
        ("N", None),
        ("odd~1", "odd~1"),
        (">", "above what the device measures"),
    ],
)
def test_a_flag_is_a_word_and_a_sign(text, word):
    found = show.flag(text)
    assert (found.word if found else None) == word
    assert found is None or found.sign


def test_an_endless_flag_is_cut():
    assert len(show.flag("x" * 9999).word) == 40


@given(st.binary(max_size=200))
def test_one_character_for_each_byte(data):
    assert len(show.printable(data)) == len(data)
    assert "<" not in show.spoken(data.replace(b"<", b"")) or any(byte < 0x20 for byte in data)


def test_device_protocols_are_readable():
    assert show.spoken(b"\x05\x021H|\r\x03") == "<ENQ><STX>1H|<CR><ETX>"


@given(st.binary(max_size=5000))
def test_the_pages_of_bytes_are_all_the_bytes(data):
    pages = range(len(data) // show.HEX_PAGE_SIZE + 1)
    assert b"".join(bytes.fromhex(row.hex) for page in pages for row in show.hex_rows(data, page)) == data


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_500_000, "2.5 MB")]
)
def test_sizes(count, text):
    assert show.size(count) == text


@given(st.text())
def test_any_text_is_a_searchable_integer_or_not(text):
    value = scaled(text)
    assert value is None or -(1 << 63) <= value < 1 << 63


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("6.4", 6_400_000),
        ("-0.000001", -1),
        ("9223372036854", 9223372036854 * 10**6),
        ("9223372036855", None),
        ("0.0000004", 0),
    ],
)
def test_millionths(text, value):
    assert scaled(text) == value


def piece(start_ms, *samples, entry=0, rate_hz=10.0, name="pleth"):
    wave = Waveform((name,), rate_hz, "", 1.0, 0.0, start_ms, (list(samples),))
    return show.WavePart(entry, 1, wave, "")


def test_a_recording_committed_in_pieces_is_drawn_as_one():
    parts = [piece(1000, *range(10)), piece(1000, 98, rate_hz=1.0), piece(2100, *range(10, 20), entry=1)]
    pleth, spo2 = show.joined_waves(parts)
    assert list(pleth.wave.samples[0]) == list(range(20))
    assert (pleth.entry, pleth.wave.start_ms) == (0, 1000)
    assert spo2.wave.count == 1


def test_a_break_or_another_manner_is_not_joined():
    begin = piece(1000, *range(10))
    others = [piece(2600, 1), piece(1400, 1), piece(2000, 1, name="ECG"), show.WavePart(1, 0, None, "damaged")]
    for other in others:
        assert show.joined_waves([begin, other]) == [begin, other]
