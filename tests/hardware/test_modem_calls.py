"""Calls between simulated modems: dialling, ringing, answering, bytes at the call's pace, drops, garbling, servers."""

import pytest

from hardware.simulated.modems.dialup import MAKES, DialModem
from hardware.simulated.modems.exchange import CALLS_MAX, STEPS, Call, CallState, Exchange, Manner, digits_of
from hardware.simulated.modems.network import TCP, VirtualNetwork
from tests.hardware.modem_bench import NUMBER, Bench, FarEnd, dialled
from wire.errors import Misuse

OK, GONE = b"\r\nOK\r\n", b"\r\nNO CARRIER\r\n"
DIAL = f"ATD{NUMBER}"


def up(*faults, **more):
    bench, far = dialled(*faults, **more)
    said = bench.at(DIAL, 0.0)
    while b"CONNECT" not in said:
        said += bench.wait(0.1)
        assert bench.now < 60.0
    bench.wait(0.5)
    assert b"RING\r\n\r\nRING" in far.heard
    far.heard = b""
    return bench, far


@pytest.mark.parametrize(
    ("knob", "said", "within_s"),
    [
        ("busy", b"\r\nBUSY\r\n", 5),
        ("no-carrier", GONE, 10),
        ("no-answer", b"\r\nNO ANSWER\r\n", 62),
        ("no-dialtone", b"\r\nNO DIALTONE\r\n", 5),
        ("no-network", GONE, 5),
    ],
)
def test_a_call_that_does_not_come_about(knob, said, within_s):
    bench, _ = dialled(knob)
    assert bench.at(DIAL, within_s) == said
    if knob != "no-network":
        assert b"CONNECT" in bench.at(DIAL, 25.0)


def test_numbers_that_nobody_has():
    bench, _ = dialled()
    assert bench.at("ATD12345", 10.0) == GONE
    assert bench.at("ATD", 10.0) == GONE
    assert bench.at(DIAL + ";", 10.0) == GONE


def test_a_modem_that_does_not_answer_is_given_up_and_stops_ringing():
    bench, far = dialled()
    far.say(b"ATS0=0\r", bench.now)
    bench.at("ATS7=20")
    assert bench.at(DIAL, 30.0) == GONE
    rings = far.heard.count(b"RING")
    assert 5 <= rings <= 8
    bench.wait(30.0)
    assert far.heard.count(b"RING") == rings
    assert not far.modem.is_ringing


def test_answered_by_hand():
    bench, far = dialled()
    far.say(b"ATS0=0\r", bench.now)
    far.say(b"ATA\r", bench.now)
    assert bench.wait(1.0) == b""
    assert far.heard.endswith(GONE)
    bench.at(DIAL, 6.0)
    assert far.modem.is_ringing
    far.say(b"ATS1?\r", bench.now)
    bench.wait(0.1)
    assert far.heard.endswith(b"\r\n001\r\n" + OK)
    far.say(b"ATA\r", bench.now)
    assert bench.wait(5.0) == b"\r\nCONNECT 9600/RLP\r\n"
    assert far.heard.endswith(b"CONNECT 9600/ARQ\r\n")


def test_a_far_modem_that_says_no_rings_answers_all_the_same():
    bench, far = dialled(far_faults=["no-rings"])
    assert b"CONNECT" in bench.at(DIAL, 25.0)
    assert b"RING" not in far.heard


def test_a_modem_in_a_call_is_busy_to_others():
    bench, _ = up()
    third = Bench(DialModem(bench.modem.exchange, "", seed=9), *bench.others)
    third.now = bench.now
    third.wait(3.0)
    assert b"BUSY" in third.at(DIAL, 10.0)


@pytest.mark.parametrize("make", sorted(MAKES))
def test_each_make_connects_in_its_own_words(make):
    bench, _ = dialled(make=make)
    said = bench.at(DIAL, 30.0)
    assert (
        said
        == {
            "csd": b"\r\nCONNECT 9600/RLP\r\n",
            "iridium": b"\r\nCONNECT 19200\r\n",
            "landline": b"\r\nCONNECT 9600/ARQ\r\n",
        }[make]
    )
    assert bench.modem.baud == MAKES[make].baud
    assert (b"ERROR" in dialled(make=make)[0].at("AT+CREG?")) is (make == "landline")


@pytest.mark.parametrize("rate", [2_400, 9_600])
def test_bytes_go_at_the_pace_of_the_call(rate):
    bench, far = up(manner=Manner(rate_bps=rate, delay_s=0.5))
    begun, sent = bench.now, b""
    data = bytes(range(256)) * 16
    while len(far.heard) < len(data):
        room = bench.modem.room()
        piece = data[len(sent) : len(sent) + room]
        sent += piece
        assert bench.say(piece, 0.25) == b""
    assert far.heard == data
    assert bench.now - begun == pytest.approx(len(data) * 10 / rate + 0.5, abs=0.6)


def test_both_ways_at_once():
    bench, far = up()
    bench.modem.feed(b"a" * 600, bench.now)
    far.say(b"b" * 600, bench.now)
    assert bench.wait(1.5) == b"b" * 600
    assert far.heard == b"a" * 600


def test_noise_changes_bytes_but_not_their_number():
    bench, far = up(manner=Manner(garble=0.05))
    bench.say(b"\0" * 1000, 3.0)
    assert len(far.heard) == 1000
    assert 20 < 1000 - far.heard.count(b"\0") < 90


def test_a_call_drops_on_both_sides():
    bench, far = up("drop=10")
    assert bench.wait(12.0) == GONE
    assert far.heard == GONE
    assert bench.at("ATO") == GONE


def test_calls_live_as_long_as_the_manner_says():
    lives = []
    for seed in range(20):
        bench, _ = up(manner=Manner(drop_s=60.0), seed=seed)
        begun = bench.now
        while bench.modem.has_call():
            bench.wait(1.0)
        lives.append(bench.now - begun)
    assert 25 < sum(lives) / len(lives) < 110


def test_the_exchange_is_cut_and_mended():
    bench, _ = up()
    bench.modem.exchange.cut()
    assert bench.wait(1.0) == GONE
    assert bench.at(DIAL, 25.0) == GONE
    bench.modem.exchange.mend()
    assert b"CONNECT" in bench.at(DIAL, 25.0)


def test_a_supply_that_goes_ends_the_call():
    bench, far = up()
    bench.modem.rail.set(False)
    bench.wait(1.0)
    assert far.heard == GONE
    assert not bench.modem.is_carrier


def test_hung_up_while_commands_are_taken_it_is_told():
    bench, far = up()
    bench.wait(1.1)
    assert bench.say("+++", 1.1) == OK
    far.modem.set_dtr(False, bench.now)
    assert bench.wait(1.0) == GONE


def test_what_arrives_while_commands_are_taken_waits():
    bench, far = up()
    bench.wait(1.1)
    bench.say("+++", 1.1)
    far.say(b"patience", bench.now)
    assert bench.wait(3.0) == b""
    assert bench.at("ATO") == b"\r\nCONNECT 9600/RLP\r\npatience"


@pytest.mark.parametrize("state", CallState)
@pytest.mark.parametrize("event", ["ring", "answer", "end"])
def test_every_step_of_a_call(state, event):
    call = Call(Manner(), None, "1")
    call.state = state
    if (state, event) in STEPS:
        call.step(event)
        assert call.state is STEPS[state, event]
    else:
        with pytest.raises(Misuse):
            call.step(event)


def rudics(prefix="00881600005", listens=True):
    network = VirtualNetwork()
    far = FarEnd(network, TCP, ("192.0.2.5", 7700)) if listens else None
    exchange = Exchange(Manner(rate_bps=2_400.0), network)
    exchange.route(prefix, ("192.0.2.5", 7700))
    bench = Bench(DialModem(exchange, make="iridium"), *filter(None, [far]))
    bench.wait(3.0)
    bench.at("ATE0")
    return bench, far


def test_a_rudics_number_leads_to_a_server_byte_for_byte():
    bench, far = rudics()
    assert bench.at("ATDT00881600005123", 25.0) == b"\r\nCONNECT 19200\r\n"
    data = bytes(range(256))
    bench.say(data, 3.0)
    assert far.heard == data
    far.say(data, bench.now)
    assert bench.wait(3.0) == data
    far.close(bench.now)
    assert bench.wait(1.0) == GONE
    assert bench.at("ATDT00881600004123", 25.0) == GONE


def test_hanging_up_closes_the_servers_connection():
    bench, far = rudics(prefix="")
    bench.at("ATDT5", 25.0)
    bench.modem.set_dtr(False, bench.now)
    bench.wait(1.0)
    assert far.is_left


def test_a_server_that_is_not_there():
    bench, _ = rudics(listens=False)
    assert bench.at("ATDT00881600005123", 40.0) == b"\r\nNO ANSWER\r\n"


def test_so_many_calls_and_no_more():
    exchange = Exchange(network=VirtualNetwork())
    exchange.route("1", ("192.0.2.9", 1))
    calls = [exchange.dial("1", 0.0) for _ in range(CALLS_MAX + 1)]
    assert calls[-1].state is CallState.OVER
    assert calls[-2].state is not CallState.OVER


def test_digits():
    assert digits_of("T+380 (44) 111-22-33") == "380441112233"
