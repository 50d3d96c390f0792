"""The simulated 9602: its two messages, sessions, rings, bill and battery, and every knob of them."""

import pytest

from hardware.simulated.modems.iridium9602 import (
    EPOCH_S,
    IDLE_W,
    MO_SIZE_MAX,
    REFUSED_AT_ONCE,
    SESSION_W,
    TEXT_SIZE_MAX,
    TICK_S,
)
from tests.hardware.modem_bench import orbital

OK = b"\r\nOK\r\n"
READY = b"\r\nREADY\r\n"
STORED = b"\r\n0\r\n" + OK


def quiet(*faults, **more):
    bench, ground = orbital(*faults, **more)
    bench.at("ATE0")
    return bench, ground


def write(bench, data, check=None):
    bench.at(f"AT+SBDWB={len(data)}")
    check = sum(data) & 0xFFFF if check is None else check
    return bench.say(data + check.to_bytes(2, "big"))


def session(bench, command="AT+SBDIX"):
    """Return the six numbers."""
    said = bench.at(command, 60.0)
    assert said.endswith(OK), said
    _, _, tail = said.partition(b"+SBDIX:")
    return tuple(int(one) for one in tail.split(b"\r\n")[0].split(b","))


def flags(bench):
    return bench.at("AT+SBDSX").split(b"\r\n")[1]


# The two messages


def test_every_byte_value_and_the_largest_message():
    bench, ground = quiet()
    data = (bytes(range(256)) * 2)[:MO_SIZE_MAX]
    assert write(bench, data) == STORED
    assert session(bench) == (0, 0, 0, 0, 0, 0)
    assert list(ground.delivered) == [data]


@pytest.mark.parametrize("size", ["0", "341", "-1", "x", ""])
def test_a_length_that_is_none(size):
    assert quiet()[0].at(f"AT+SBDWB={size}") == b"\r\n3\r\n" + OK


def test_sums_wrap_and_wrong_ones_are_refused():
    bench, _ = quiet()
    assert write(bench, b"\xff" * 340) == STORED
    assert write(bench, b"hello", check=0) == b"\r\n2\r\n" + OK
    assert bench.at("AT+SBDTC") == b"\r\nSBDTC: Outbound SBD Copied to Inbound SBD: size = 340\r\n" + OK


def test_after_a_minute_the_write_is_given_up():
    bench, _ = quiet()
    bench.at("AT+SBDWB=5", 0.5)
    bench.say(b"hel", 0.5)
    assert bench.wait(58.0) == b""
    assert bench.wait(2.0) == b"\r\n1\r\n" + OK
    assert flags(bench).startswith(b"+SBDSX: 0,")


def test_text():
    bench, ground = quiet()
    assert bench.at("AT+SBDWT=" + "x" * TEXT_SIZE_MAX) == OK
    assert bench.at("AT+SBDWT=" + "x" * (TEXT_SIZE_MAX + 1)) == b"\r\nERROR\r\n"
    assert bench.at("AT+SBDWT") == READY
    assert bench.say("with; semicolon\r") == STORED
    session(bench)
    assert list(ground.delivered) == [b"with; semicolon"]
    ground.queue(bench.modem.imei, b"down", bench.now)
    session(bench)
    assert bench.at("AT+SBDRT") == b"\r\n+SBDRT:\r\ndown" + OK


def test_the_message_stays_and_goes_up_again():
    bench, ground = quiet()
    write(bench, b"hello")
    assert session(bench)[:2] == (0, 0)
    assert session(bench)[:2] == (0, 1)
    assert list(ground.delivered) == [b"hello"] * 2
    bench.at("AT+SBDD0")
    session(bench)
    assert len(ground.delivered) == 2


def test_a_message_down_that_was_not_read_is_overwritten():
    bench, ground = quiet()
    for text in (b"one", b"two", b"three"):
        ground.queue(bench.modem.imei, text, bench.now)
    assert session(bench)[2:] == (1, 1, 3, 2)
    assert session(bench)[2:] == (1, 2, 3, 1)
    assert bench.at("AT+SBDRB") == b"\x00\x03two" + sum(b"two").to_bytes(2, "big") + OK
    assert flags(bench) == b"+SBDSX: 0, 2, 1, 2, 0, 1"
    assert bench.at("AT+SBDS") == b"\r\n+SBDS: 0, 2, 1, 2\r\n" + OK


def test_neither_message_outlives_the_supply_but_the_number_does():
    bench, _ = quiet()
    write(bench, b"hello")
    session(bench)
    bench.modem.rail.set(False)
    bench.wait(3.0)
    bench.modem.rail.set(True)
    bench.wait(3.0)
    bench.at("ATE0")
    assert flags(bench) == b"+SBDSX: 0, 1, 0, -1, 0, 0"
    assert bench.at("AT+SBDC") == STORED
    assert flags(bench).startswith(b"+SBDSX: 0, 0,")


# Sessions


def test_a_session_takes_six_to_twenty_two_seconds():
    bench, _ = quiet()
    durations = []
    for _ in range(40):
        begun = bench.now
        bench.modem.feed(b"AT+SBDIX\r", bench.now)
        while b"OK" not in bench.wait(0.1):
            pass
        durations.append(bench.now - begun)
    assert 5.9 < min(durations) < 9 < 18 < max(durations) < 22.3


def test_a_status_that_is_false():
    """RockBLOCK-9704#27: it says failed, and arrives anyway."""
    bench, ground = quiet("delivered-but=18@1")
    write(bench, b"hello")
    assert session(bench)[:3] == (18, 0, 2)
    assert list(ground.delivered) == [b"hello"]
    assert session(bench)[:2] == (0, 0)
    assert list(ground.delivered) == [b"hello"] * 2


@pytest.mark.parametrize("status", [10, 12, 13, 17, 18, 19, 32, 36, 38, 65])
def test_a_session_fails(status):
    bench, ground = quiet(f"mo-status={status}@1")
    write(bench, b"hello")
    begun = bench.now
    assert session(bench)[:3] == (status, 0, 2)
    assert not ground.delivered
    assert bench.modem.meter.credits == 0
    assert begun + 60.0 == bench.now
    assert session(bench)[0] == 0
    assert (bench.modem.meter.sessions, bench.modem.meter.failed_sessions) == (2, 1)


def test_what_is_refused_at_once_is_refused_at_once():
    bench, _ = quiet("traffic-management@*")
    assert b"+SBDIX: 38, 0, 2, 0, 0, 0" in bench.at("AT+SBDIX", 3.5)
    assert 38 in REFUSED_AT_ONCE


def test_a_supply_that_goes_after_the_ground_has_it():
    bench, ground = quiet("slow-session=20")
    write(bench, b"hello")
    bench.at("AT+SBDIX", 17.0)
    bench.modem.rail.set(False)
    bench.wait(5.0)
    assert list(ground.delivered) == [b"hello"]
    assert bench.modem.momsn == 0


def test_without_a_view_there_is_no_network():
    bench, _ = quiet(signal=0)
    write(bench, b"hello")
    assert session(bench)[0] == 32
    assert bench.at("AT-MSSTM") == b"\r\n-MSSTM: no network service\r\n" + OK
    assert bench.at("AT+CREG?") == b"\r\n+CREG:002,002\r\n" + OK
    bench.modem.set_signal(3, bench.now)
    assert session(bench)[0] == 0
    assert bench.at("AT+CSQ", 5.0) == b"\r\n+CSQ:3\r\n" + OK


def test_a_view_that_is_lost_in_the_middle():
    bench, _ = quiet("slow-session=20")
    write(bench, b"hello")
    bench.at("AT+SBDIX", 5.0)
    bench.modem.set_signal(0, bench.now)
    assert b"+SBDIX: 18," in bench.wait(20.0)


def test_a_view_that_comes_and_goes_is_told():
    bench, _ = quiet("no-view=60:30")
    assert bench.at("AT+CIER=1,1,1") == OK + b"\r\n+CIEV:0,4\r\n\r\n+CIEV:1,1\r\n"
    said = bench.wait(180.0)
    assert said.count(b"+CIEV:1,0") == said.count(b"+CIEV:1,1") == 2
    assert bench.at("AT+CIER?").startswith(b"\r\n+CIER:1,1,1")
    assert bench.at("AT+CIER=2,1") == b"\r\nERROR\r\n"


def test_with_the_radio_off():
    bench, _ = quiet()
    bench.at("AT*R0")
    assert session(bench)[0] == 34
    bench.at("AT*R1")
    assert session(bench)[0] == 0


@pytest.mark.parametrize("place", ["=5027.006,+03031.404", "=-3330.000,-07045.000"])
def test_a_place_is_told_to_the_ground(place):
    bench, _ = quiet()
    write(bench, b"hello")
    assert session(bench, "AT+SBDIX" + place)[0] == 0


@pytest.mark.parametrize("place", ["=x", "=9999.9,1", "=,"])
def test_a_place_that_is_none(place):
    assert quiet()[0].at("AT+SBDIX" + place, 60.0) == b"\r\nERROR\r\n"


def test_a_message_that_comes_twice_and_one_that_never_comes():
    bench, ground = quiet("mt-repeated@1")
    ground.queue(bench.modem.imei, b"hello", bench.now)
    assert session(bench)[2:5] == (1, 1, 5)
    assert session(bench)[2:5] == (1, 2, 5)
    assert session(bench)[2] == 0
    bench, ground = quiet("mo-status=18@1", "mt-lost@1")
    ground.queue(bench.modem.imei, b"hello", bench.now)
    assert session(bench)[0] == 18
    assert session(bench)[2] == 0


def test_a_wrong_checksum_the_first_time():
    bench, ground = quiet("mt-checksum@1")
    ground.queue(bench.modem.imei, b"hello", bench.now)
    session(bench)
    assert bench.at("AT+SBDRB") == b"\x00\x05hello\x03\x14" + OK
    assert bench.at("AT+SBDRB") == b"\x00\x05hello\x02\x14" + OK


# Rings


def test_it_rings_only_when_it_is_attached_lit_and_asked_to():
    bench, ground = quiet()
    ground.queue(bench.modem.imei, b"one", bench.now)
    assert bench.wait(30.0) == b""
    session(bench)
    ground.queue(bench.modem.imei, b"two", bench.now)
    assert bench.wait(1.0) == b"\r\nSBDRING\r\n"
    assert bench.modem.is_ringing
    assert flags(bench).endswith(b", 1, 0")
    bench.wait(5.0)
    assert not bench.modem.is_ringing
    assert session(bench, "AT+SBDIXA")[2] == 1
    assert flags(bench).endswith(b", 0, 0")
    bench.at("AT+SBDMTA=0")
    assert bench.at("AT+SBDMTA?") == b"\r\n+SBDMTA:0\r\n" + OK
    ground.queue(bench.modem.imei, b"three", bench.now)
    assert bench.wait(30.0) == b""


def test_a_ring_while_it_is_off_is_lost():
    bench, ground = quiet()
    session(bench)
    bench.modem.rail.set(False)
    bench.wait(1.0)
    ground.queue(bench.modem.imei, b"one", bench.now)
    bench.wait(10.0)
    bench.modem.rail.set(True)
    assert bench.wait(10.0) == b""


def test_a_ring_in_the_ready_window_and_inside_a_reply():
    bench, _ = quiet("ring-in-ready@1")
    assert bench.at("AT+SBDWB=5") == READY + b"\r\nSBDRING\r\n"
    assert bench.say(b"hello\x02\x14") == STORED
    bench, ground = quiet("urc-in-data=4@1")
    ground.queue(bench.modem.imei, b"hello", bench.now)
    session(bench)
    assert bench.at("AT+SBDRB") == b"\x00\x05he\r\nSBDRING\r\nllo\x02\x14" + OK


# Supply, bill, battery


def test_a_supply_that_rests_too_short_may_bring_it_up_dead():
    dead = 0
    for seed in range(30):
        bench, _ = quiet(seed=seed)
        bench.modem.rail.set(False)
        bench.wait(1.0)
        bench.modem.rail.set(True)
        bench.wait(3.0)
        dead += bench.at("AT") == b""
        bench.modem.rail.set(False)
        bench.wait(2.5)
        bench.modem.rail.set(True)
        bench.wait(3.0)
        assert bench.at("AT") != b""
    assert 5 < dead < 25


def test_a_dead_start_on_request():
    bench, _ = orbital("dead-start@1", boots=False)
    bench.wait(5.0)
    assert bench.at("AT") == b""


def test_put_away_it_says_nothing_more():
    bench, _ = quiet()
    assert bench.at("AT*F") == OK
    assert bench.at("AT", 10.0) == b""


def test_the_time_of_the_network():
    """Its 32 bits are full after 12.2 years: since August 2026 they count anew."""
    bench, _ = quiet()
    said = bench.at("AT-MSSTM")
    ticks = int(said.split(b": ")[1].split(b"\r")[0], 16)
    era_s = 2**32 * TICK_S
    assert abs(EPOCH_S + ticks * TICK_S + era_s - 1_795_298_707.0 - bench.now) < 2.0


@pytest.mark.parametrize(
    ("up", "down", "price"),
    [(0, 0, 1), (1, 0, 1), (50, 0, 1), (51, 0, 2), (340, 0, 7), (50, 270, 7), (0, 60, 2)],
)
def test_credits(up, down, price):
    bench, ground = quiet()
    if up:
        write(bench, b"x" * up)
    if down:
        ground.queue(bench.modem.imei, b"y" * down, bench.now)
    session(bench)
    assert bench.modem.meter.credits == price


def test_joules():
    bench, _ = quiet("slow-session=20")
    bench.wait(100.0 - bench.now)
    meter = bench.modem.meter
    meter.draw(IDLE_W, bench.now)
    assert meter.joules == pytest.approx(100.0 * IDLE_W, abs=0.1)
    before = meter.joules
    bench.at("AT+SBDIX", 25.0)
    meter.draw(IDLE_W, bench.now)
    assert meter.joules - before == pytest.approx(20.0 * SESSION_W + 5.0 * IDLE_W, abs=0.1)
    bench.modem.rail.set(False)
    bench.wait(1.0)
    after = meter.joules
    bench.wait(1000.0)
    assert meter.joules == after


def test_registration_on_request():
    bench, ground = quiet()
    assert bench.at("AT+SBDREG?").startswith(b"\r\n+SBDREG:0")
    assert bench.at("AT+SBDREG", 30.0).startswith(b"\r\n+SBDREG:2,0")
    ground.queue(bench.modem.imei, b"one", bench.now)
    assert bench.wait(1.0) == b"\r\nSBDRING\r\n"
