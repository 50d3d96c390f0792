"""The SIM800's dialogues as they are on record: each script says what the manual wants, and takes what units answer."""

import pytest

from node.modems.faults import CallFailed, CmeError, CommandFailed, NetworkLost
from node.modems.gsm import Plan
from node.modems.sim800 import Sim800Stack
from tests.node.modems.dialogue import Played

OK = b"\r\nOK\r\n"
STACK = Sim800Stack()


def play(script, *dialogue, size=None):
    return Played(script, dialogue, STACK.urcs, size=size)


START = [
    (b"AT+CIPSHUT\r", b"\r\nSHUT OK\r\n"),
    (b"AT+CIPMODE=0\r", OK),
    (b"AT+CIPMUX=0\r", OK),
    (b"AT+CIPQSEND=1\r", OK),
    (b"AT+CIPRXGET=1\r", OK),
    (b'AT+CSTT="internet","u","p"\r', OK),
    (b"AT+CIICR\r", OK),
    (b"AT+CIFSR\r", b"\r\n10.1.2.3\r\n"),
]
PLAN = Plan(apn="internet", user="u", password="p")  # noqa: S106 - a plan of a test


@pytest.mark.parametrize("size", [None, 1])
def test_the_context_is_brought_up(size):
    assert play(STACK.start(PLAN), *START, size=size).fault is None


def test_a_network_that_gives_no_address_is_told_with_a_hint():
    dialogue = [*START[:6], (b"AT+CIICR\r", b"\r\nERROR\r\n"), (b"AT+CIICR\r", b"\r\nERROR\r\n")]
    played = play(STACK.start(PLAN), *dialogue, (b"AT+CIICR\r", b"\r\nERROR\r\n"))
    assert isinstance(played.fault, NetworkLost)
    assert "APN" in str(played.fault)


OPEN = b'AT+CIPSTART="TCP","gw.example.org",7700\r'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (OK + b"\r\nCONNECT OK\r\n", type(None)),
        (OK + b"\r\n+CREG: 1\r\n\r\nCONNECT OK\r\n", type(None)),
        (OK + b"\r\nCONNECT FAIL\r\n", CallFailed),
        (OK + b"\r\nALREADY CONNECT\r\n", CallFailed),
        (OK + b"\r\nSTATE: TCP CLOSED\r\n\r\nCONNECT FAIL\r\n", CallFailed),
        (b"\r\nERROR\r\n", CommandFailed),
        (b"\r\n+CME ERROR: 3\r\n", CmeError),
    ],
)
def test_a_connection_is_opened_after_its_ok(answer, kind):
    assert isinstance(play(STACK.connect("TCP", "gw.example.org", 7700), (OPEN, answer)).fault, kind)


@pytest.mark.parametrize(
    ("answer", "taken"),
    [
        (b"\r\nDATA ACCEPT:5\r\n", 5),
        (b"\r\nDATA ACCEPT: 3\r\n", 3),
        (b"\r\nDATA ACCEPT:0\r\n", 0),
        (b"\r\nDATA ACCEPT:9999\r\n", 5),
        (b"\r\nSEND OK\r\n", 5),
        (b"\r\n+CIPRXGET: 1\r\n\r\nDATA ACCEPT:5\r\n", 5),
    ],
)
def test_what_the_modem_took_is_believed_and_no_more(answer, taken):
    played = play(STACK.send(b"hello"), (b"AT+CIPSEND=5\r", b"\r\n> "), (b"hello", answer))
    assert (played.result, played.fault) == (taken, None)


@pytest.mark.parametrize("answer", [b"\r\nSEND FAIL\r\n", b"\r\nERROR\r\n", b"\r\n+CME ERROR: 3\r\n"])
def test_a_send_that_fails_says_so(answer):
    played = play(STACK.send(b"hello"), (b"AT+CIPSEND=5\r", b"\r\n> "), (b"hello", answer))
    assert isinstance(played.fault, CommandFailed | CmeError)


@pytest.mark.parametrize("size", [None, 1])
def test_what_waits_is_fetched(size):
    said = b"AT+CIPRXGET=2,1460\r"
    assert play(STACK.receive(), (said, b"\r\n+CIPRXGET: 2,3,0\r\n\r\n>\r\nOK\r\n"), size=size).result == b"\r\n>"
    assert play(STACK.receive(), (said, b"\r\n+CIPRXGET: 2,0,0\r\n\r\nOK\r\n"), size=size).result == b""
    told = b"\r\n+CIPRXGET: 1\r\n\r\n+CIPRXGET: 2,1,0\r\nx\r\nOK\r\n"
    assert play(STACK.receive(), (said, told), size=size).result == b"x"
    assert isinstance(play(STACK.receive(), (said, b"\r\nERROR\r\n")).fault, CallFailed)


HEADER = b"+CIPRXGET: 2,14,0"


@pytest.mark.parametrize("at", range(1, len(HEADER)))
def test_what_is_fetched_is_whole_though_a_ring_has_torn_the_line_before_it(at):
    torn = b"\r\n" + HEADER[:at] + b"\r\nRING\r\n" + HEADER[at:] + b"\r\nfourteen bytes\r\nOK\r\n"
    played = play(STACK.receive(), (b"AT+CIPRXGET=2,1460\r", torn))
    assert (played.result, played.fault) == (b"fourteen bytes", None)


@pytest.mark.parametrize(
    ("state", "is_up"),
    [("CONNECT OK", True), ("TCP CLOSED", False), ("PDP DEACT", False), ("IP INITIAL", False), ("IP STATUS", False)],
)
def test_a_look_tells_whether_it_is_still_up(state, is_up):
    answer = OK + b"\r\nSTATE: " + state.encode() + b"\r\n"
    assert play(STACK.look(), (b"AT+CIPSTATUS\r", answer)).result is is_up


def test_closing_what_is_closed_is_no_fault():
    said = b"AT+CIPCLOSE=1\r"
    assert play(STACK.disconnect(), (said, b"\r\nCLOSE OK\r\n")).fault is None
    assert play(STACK.disconnect(), (said, b"\r\nERROR\r\n"), (said, b"\r\nERROR\r\n")).fault is None


@pytest.mark.parametrize(
    ("urc", "has_data", "ends"),
    [
        ("+CIPRXGET: 1", True, type(None)),
        ("CLOSED", False, CallFailed),
        ("+PDP: DEACT", False, NetworkLost),
        ('+CMTI: "SM",3', False, type(None)),
        ("UNDER-VOLTAGE WARNNING", False, type(None)),
    ],
)
def test_what_unsolicited_lines_mean(urc, has_data, ends):
    assert STACK.has_data(urc) is has_data
    assert isinstance(STACK.ends(urc), ends)
