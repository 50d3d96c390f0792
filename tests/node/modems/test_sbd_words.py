"""What an SBD modem says, to the byte: sessions, checksums, binary answers, the network's clock, waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.modems.faults import Garbled
from node.modems.sbd import Allowance, SbdBearer, SbdPlan
from node.modems.sbd_road import plan_of
from node.modems.sbd_words import (
    MO_SIZE_MAX,
    RETRIES_S,
    STATUSES,
    Fate,
    Session,
    credits_of,
    has_unread,
    network_time_ms,
    parse_session,
    read_message,
    retry_wait_s,
    size_of_answer,
    with_checksum,
)
from node.url import parse_url
from wire.errors import UsageError


@pytest.mark.parametrize(
    ("line", "session"),
    [
        ("+SBDIX: 0, 23, 1, 7, 5, 2", Session(0, 23, 1, 7, 5, 2)),
        ("+SBDIX:0,23,0,0,0,0", Session(0, 23, 0, 0, 0, 0)),
        ("+SBDIX: 32,  4,2 ,0, 0,0", Session(32, 4, 2, 0, 0, 0)),
        ("+SBDIX: 18, 65535, 2, -1, 0, 0", Session(18, 65535, 2, -1, 0, 0)),
    ],
)
def test_sessions_however_they_are_spaced(line, session):
    assert parse_session(line) == session


@pytest.mark.parametrize(
    "line", ["", "+SBDIX:", "+SBDIX: 0, 1, 2", "+SBDIX: 0, 1, 0, 0, 0, x", "+SBDSX: 0, 0, 0, 0, 0, 0"]
)
def test_what_is_no_session_is_garbled(line):
    with pytest.raises(Garbled):
        parse_session(line)


def test_a_message_that_lies_in_the_modem():
    assert has_unread("+SBDSX: 0, 5, 1, 3, 0, 0")
    assert not has_unread("+SBDSX: 1, 5, 0, -1, 1, 2")


def test_the_checksum_of_the_manual():
    assert with_checksum(b"hello") == bytes.fromhex("68656c6c6f0214")
    assert with_checksum(b"\xff" * 340)[-2:] == bytes.fromhex("52ac"), "340 times 255 is more than 16 bits"
    assert read_message(bytes.fromhex("000568656c6c6f0214")) == b"hello"
    assert read_message(bytes(4)) == b""
    with pytest.raises(Garbled, match="checksum 0214, not 0215"):
        read_message(bytes.fromhex("000568656c6c6f0215"))


@given(st.binary(max_size=1960))
def test_whatever_is_written_is_read(message):
    raw = len(message).to_bytes(2, "big") + with_checksum(message)
    assert size_of_answer(raw[:64]) == len(raw)
    assert read_message(raw) == message


@pytest.mark.parametrize(
    ("begin", "size"),
    [
        (b"", None),
        (b"\x00", None),
        (b"\x00\x05", 9),
        (b"\x07\xa8", 1964),
        (b"\x07\xa9", 0),
        (b"\r\nSBDRING\r\n\x00\x05", 0),
        (b"AT+SBDRB\r", 0),
        (b"\n", 0),
    ],
)
def test_an_answer_without_a_line_is_told_from_a_line(begin, size):
    assert size_of_answer(begin) == size


def test_the_network_says_the_time_and_its_count_begins_anew():
    assert network_time_ms("-MSSTM: no network service") is None
    assert network_time_ms("-MSSTM: 05ea9740") == pytest.approx(1_795_298_711_000, abs=1000), "2014's count, once round"
    ticks = round((1_795_298_711 - 1_739_556_857) / 0.09)
    assert network_time_ms(f"-MSSTM: {ticks:08x}") == pytest.approx(1_795_298_711_000, abs=1000), "2025's count"
    assert network_time_ms("-MSSTM: xyz") is None


def test_every_status_has_a_fate_and_words_where_something_is_wrong():
    assert {status for status, (fate, _) in STATUSES.items() if fate is Fate.GONE} == set(range(5))
    assert {status for status, (fate, _) in STATUSES.items() if fate in (Fate.BAD, Fate.BARRED)} == {12, 14, 15, 16}
    assert all(words for status, (_, words) in STATUSES.items() if status > 4)
    assert Session(36, 0, 2, 0, 0, 0).fate is Fate.WAIT
    assert Session(99, 0, 2, 0, 0, 0).fate is Fate.AGAIN
    assert "99" in Session(99, 0, 2, 0, 0, 0).trouble


@given(st.integers(0, 100), st.binary(min_size=2, max_size=2))
def test_waits_are_drawn_within_their_bounds(failures, drawn):
    low, high = RETRIES_S[min(max(failures, 1), len(RETRIES_S)) - 1]
    assert low <= retry_wait_s(failures, lambda size: drawn) <= high


def test_a_credit_is_each_started_50_bytes():
    assert [credits_of(size) for size in (1, 50, 51, 340)] == [1, 1, 2, 7]


def test_sessions_in_an_hour_are_bounded():
    allowance = Allowance(3)
    for at in (0.0, 10.0, 20.0):
        assert allowance.free_at() <= at
        allowance.note(at)
    assert allowance.free_at() == 3600.0
    allowance.note(3600.0)
    assert allowance.free_at() == 3610.0


def test_a_bearer_holds_one_frame():
    pokes = []
    bearer = SbdBearer("sbd:///dev/x", lambda: pokes.append(1))
    assert bearer.room() == MO_SIZE_MAX
    bearer.send(b"")
    bearer.send(bytes(MO_SIZE_MAX + 1))
    assert not pokes
    bearer.send(b"first")
    bearer.send(b"second")
    assert (bearer.frame, bearer.room(), pokes) == (b"first", 0, [1])
    bearer.fetch()
    assert bearer.wants_mail
    bearer.close()
    assert bearer.room() == 0


def test_the_options_of_the_road():
    assert plan_of(parse_url("sbd:///dev/ttyUSB0")) == SbdPlan()
    url = parse_url("sbd:///dev/ttyUSB0?baud=9600&rings=no&rtscts=yes&hourly=6")
    assert plan_of(url) == SbdPlan(9600, rings=False, rtscts=True, sessions_per_hour=6)


@pytest.mark.parametrize(
    "options", ["baud=0", "baud=x", "hourly=0", "hourly=241", "hourly=٣", "rings=1", "rtscts=x", "apn=x"]
)
def test_an_option_that_cannot_be_is_refused_in_words(options):
    with pytest.raises(UsageError, match="sbd"):
        plan_of(parse_url(f"sbd:///dev/ttyUSB0?{options}"))


def test_a_kit_calls_no_host_and_port():
    with pytest.raises(UsageError, match="on a kit"):
        plan_of(parse_url("sbd://192.0.2.1:10800"))
