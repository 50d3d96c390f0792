"""The sockets inside the simulated modems: every cell of their state tables, and every knob of a send."""

import pytest

from hardware.simulated.modems import quectel, sim800, sim7600
from hardware.simulated.modems.air import Air, Shape
from hardware.simulated.modems.inet import RECEIVE_SIZE_MAX, SEND_SIZE_MAX, port_of
from hardware.simulated.modems.network import VirtualNetwork
from hardware.simulated.modems.quectel import Quectel
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from tests.hardware.modem_bench import Bench, FarEnd, virtual

OK, ERROR, PROMPT = b"\r\nOK\r\n", b"\r\nERROR\r\n", b"\r\n> "
PREPARE = {
    Sim800: ("AT+CIPRXGET=1", "AT+CIPQSEND=1", 'AT+CSTT="x"', "AT+CIICR", "AT+CIFSR"),
    Sim7600: ("AT+CIPRXGET=1", "AT+NETOPEN"),
    Quectel: ("AT+QIACT=1",),
}
OPEN = {
    Sim800: 'AT+CIPSTART="{}","203.0.113.5",7000',
    Sim7600: 'AT+CIPOPEN=0,"{}","203.0.113.5",7000',
    Quectel: 'AT+QIOPEN=1,0,"{}","203.0.113.5",7000,0,0',
}
OPENED = {Sim800: b"\r\nCONNECT OK\r\n", Sim7600: b"\r\n+CIPOPEN: 0,0\r\n", Quectel: b"\r\n+QIOPEN: 0,0\r\n"}
SEND = {Sim800: "AT+CIPSEND={}", Sim7600: "AT+CIPSEND=0,{}", Quectel: "AT+QISEND=0,{}"}
SENT = {
    Sim800: b"\r\nDATA ACCEPT:%d\r\n",
    Sim7600: OK + b"\r\n+CIPSEND: 0,%d,%d\r\n",
    Quectel: b"\r\nSEND OK\r\n",
}
DATA = {Sim800: b"\r\n+CIPRXGET: 1\r\n", Sim7600: b"\r\n+CIPRXGET: 1,0\r\n", Quectel: b'\r\n+QIURC: "recv",0\r\n'}
READ = {Sim800: "AT+CIPRXGET=2,{}", Sim7600: "AT+CIPRXGET=2,0,{}", Quectel: "AT+QIRD=0,{}"}
GONE = {
    Sim800: b"\r\n+PDP: DEACT\r\n",
    Sim7600: b"\r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n",
    Quectel: b'\r\n+QIURC: "pdpdeact",1\r\n',
}
CLOSED = {Sim800: b"\r\nCLOSED\r\n", Sim7600: b"\r\n+IPCLOSE: 0,1\r\n", Quectel: b'\r\n+QIURC: "closed",0\r\n'}
EVERY = pytest.mark.parametrize("cls", [Sim800, Sim7600, Quectel])


def connected(cls, *faults, kind="TCP"):
    bench, far = virtual(cls, *faults, kind=kind)
    for command in PREPARE[cls]:
        bench.at(command, 3.0)
    assert bench.at(OPEN[cls].format(kind), 2.0) == OK + OPENED[cls]
    return bench, far


def send(bench, data):
    assert bench.at(SEND[type(bench.modem)].format(len(data))) == PROMPT
    return bench.say(data)


def sent(cls, size, accepted=None):
    accepted = size if accepted is None else accepted
    return {Sim800: SENT[cls] % accepted if cls is Sim800 else b""}.get(
        cls, SENT[cls] % (size, accepted) if cls is Sim7600 else SENT[cls]
    )


@EVERY
def test_bytes_of_every_value_arrive_both_ways(cls):
    bench, far = connected(cls)
    data = bytes(range(256)) * 4
    assert send(bench, data) == sent(cls, 1024)
    far.poll(bench.now)
    assert far.heard == data
    far.say(data, bench.now)
    assert bench.wait(1.0) == DATA[cls]
    assert data in bench.at(READ[cls].format(1460))


@EVERY
def test_data_are_told_of_once_until_all_is_read(cls):
    bench, far = connected(cls)
    far.say(b"one", bench.now)
    assert bench.wait(1.0) == DATA[cls]
    assert b"one" in bench.at(READ[cls].format(100))
    far.say(b"two", bench.now)
    assert bench.wait(1.0) == DATA[cls]


@EVERY
def test_what_comes_while_data_wait_is_not_told(cls):
    """Quectel's manual says so; who does not read until nothing is left waits for ever."""
    for knobs, times in (((), 1), (("told-each",), 2)):
        bench, far = connected(cls, *knobs)
        said = b""
        for text in (b"one", b"two"):
            far.say(text, bench.now)
            said += bench.wait(1.0)
        assert said == DATA[cls] * times


@EVERY
def test_silent_data(cls):
    bench, far = connected(cls, "silent-data@1")
    far.say(b"one", bench.now)
    assert bench.wait(10.0) == b""
    assert b"one" in bench.at(READ[cls].format(100))


@EVERY
def test_what_the_far_end_said_before_it_closed_can_be_read(cls):
    bench, far = connected(cls)
    far.say(b"goodbye", bench.now)
    far.close(bench.now)
    assert bench.wait(1.0) == DATA[cls] + CLOSED[cls]
    assert b"goodbye" in bench.at(READ[cls].format(100))


@EVERY
def test_datagrams_keep_their_edges_unless_they_are_merged(cls):
    for knob, expected in (((), b"one"), (("udp-merged",), b"onetwo")):
        bench, far = connected(cls, *knob, kind="UDP")
        send(bench, b"hello")
        far.poll(bench.now)
        assert far.pieces == [b"hello"]
        far.say(b"one", bench.now)
        far.say(b"two", bench.now)
        bench.wait(1.0)
        assert expected + OK in bench.at(READ[cls].format(1460))


@EVERY
def test_connect_fails(cls):
    bench, _ = virtual(cls, "connect-fails@1")
    for command in PREPARE[cls]:
        bench.at(command, 3.0)
    failed = {Sim800: b"\r\nCONNECT FAIL\r\n", Sim7600: b"\r\n+CIPOPEN: 0,10\r\n", Quectel: b"\r\n+QIOPEN: 0,566\r\n"}
    assert bench.at(OPEN[cls].format("TCP"), 3.0) == OK + failed[cls]
    bench.at("AT+QICLOSE=0")
    assert bench.at(OPEN[cls].format("TCP"), 3.0) == OK + OPENED[cls]


@EVERY
def test_pdp_deact_in_the_middle_of_a_send(cls):
    bench, far = connected(cls, "pdp-deact@2")
    assert send(bench, b"hello") == sent(cls, 5)
    said = send(bench, b"0123456789")
    assert GONE[cls] in said
    assert b"SEND OK" not in said
    assert b"ACCEPT" not in said
    far.poll(bench.now)
    assert far.heard == b"hello01234"
    assert far.is_left
    assert bench.at(SEND[cls].format(5)) != PROMPT


@EVERY
def test_half_a_datagram_never_arrives(cls):
    bench, far = connected(cls, "pdp-deact@1", kind="UDP")
    assert GONE[cls] in send(bench, b"0123456789")
    far.poll(bench.now)
    assert far.heard == b""


@EVERY
def test_the_network_drops_it_every_so_often(cls):
    bench, _ = connected(cls, "pdp-drops=100")
    assert bench.wait(100.0).count(GONE[cls]) == 1


@EVERY
def test_fewer_bytes_are_accepted(cls):
    bench, far = connected(cls, "short-accept=100@*")
    said = send(bench, b"x" * 300)
    far.poll(bench.now)
    if cls is Quectel:
        assert said == b"\r\nSEND FAIL\r\n"
        assert far.heard == b""
    else:
        assert said == sent(cls, 300, 100)
        assert far.heard == b"x" * 100


@EVERY
def test_send_ok_but_the_data_are_lost(cls):
    bench, far = connected(cls, "data-lost@1")
    assert send(bench, b"gone") == sent(cls, 4)
    assert send(bench, b"there") == sent(cls, 5)
    far.poll(bench.now)
    assert far.heard == b"there"
    counters = {Sim800: "AT+CIPACK", Sim7600: "AT+CIPACK=0", Quectel: "AT+QISEND=0,0"}
    assert b": 9,5,4\r\n" in bench.at(counters[cls])


@EVERY
def test_a_send_is_refused(cls):
    bench, _ = connected(cls, "send-fail@1")
    refused = {Sim800: b"\r\nSEND FAIL\r\n", Sim7600: OK + b"\r\n+CIPSEND: 0,5,0\r\n", Quectel: b"\r\nSEND FAIL\r\n"}
    assert send(bench, b"hello") == refused[cls]
    assert send(bench, b"hello") == sent(cls, 5)


@EVERY
def test_the_prompt_is_lost(cls):
    bench, _ = connected(cls, "prompt-lost@1")
    assert bench.at(SEND[cls].format(5)) == b""
    assert bench.say(b"hello") == sent(cls, 5)
    assert bench.at(SEND[cls].format(5)) == PROMPT
    assert bench.wait(61.0) == ERROR


@EVERY
def test_the_far_end_closes_after_a_send(cls):
    bench, far = connected(cls, "far-close@1")
    assert send(bench, b"hello") == sent(cls, 5)
    assert bench.wait(2.0) == CLOSED[cls]
    far.poll(bench.now)
    assert far.is_left


@EVERY
def test_an_unsolicited_line_inside_counted_bytes(cls):
    bench, far = connected(cls, "urc-in-data=3@1")
    far.say(b"0123456789", bench.now)
    bench.wait(1.0)
    said = bench.at(READ[cls].format(100))
    assert b"012\r\n" + bench.modem.SOME_URC + b"\r\n3456789" in said


@EVERY
def test_a_prompt_can_be_left(cls):
    bench, far = connected(cls)
    command = {Sim800: "AT+CIPSEND", Sim7600: "AT+CIPSEND=0,", Quectel: "AT+QISEND=0"}[cls]
    assert bench.at(command) == PROMPT
    assert bench.say(b"half\x1b") == OK
    assert bench.at(command) == PROMPT
    bench.say(b"whole\x1a")
    far.poll(bench.now)
    assert far.heard == b"whole"


@EVERY
def test_the_network_goes_and_with_it_the_connection(cls):
    bench, far = connected(cls)
    bench.modem.lose_network(bench.now)
    assert bench.wait(1.0) == GONE[cls]
    assert far.is_left


@EVERY
def test_a_power_cut_leaves_the_far_end_alone(cls):
    bench, far = connected(cls)
    bench.modem.rail.set(False)
    assert bench.wait(1.0) == b""
    assert far.is_left


@EVERY
def test_what_nobody_reads_is_not_taken_from_the_network(cls):
    bench, far = connected(cls)
    for _ in range(40):
        far.say(b"x" * 1000, bench.now)
    bench.wait(5.0)
    assert bench.modem.links[0].waiting <= RECEIVE_SIZE_MAX + 1000
    total = 0
    while (data := bench.at(READ[cls].format(1400))).count(b"x") > 10:
        total += data.count(b"x")
        assert total <= 40_000
    assert total == 40_000


def slow(cls):
    network = VirtualNetwork()
    far = FarEnd(network)
    air = Air(network, Shape(rate_bps=300.0, delay_s=0.5))
    bench = Bench(cls(air), far)
    bench.wait(20.0)
    bench.at("ATE0")
    for command in PREPARE[cls]:
        bench.at(command, 3.0)
    assert OPENED[cls] in bench.at(OPEN[cls].format("TCP"), 9.0)
    return bench, far


@EVERY
def test_over_a_slow_air_it_takes_only_what_it_can_hold(cls):
    bench, far = slow(cls)
    for _ in range(4):
        send(bench, b"x" * 1400)
    last = send(bench, b"y" * 1400)
    held = bench.modem.links[0].unacknowledged
    assert SEND_SIZE_MAX - 1400 < held <= SEND_SIZE_MAX
    assert last != sent(cls, 1400)
    bench.wait(300.0)
    assert bench.modem.links[0].unacknowledged == 0
    assert len(far.heard) >= 5600


# SIM800


def in_state(state):
    bench, _ = virtual(Sim800)
    bench.modem.state = state
    if state in {sim800.CONNECTED, sim800.CONNECTING}:
        bench.modem.open_link(0, "TCP", "203.0.113.5", 7000, bench.now).state = "up"
    return bench


@pytest.mark.parametrize("state", sim800.STATES)
@pytest.mark.parametrize(
    ("command", "good"),
    [
        ('+CSTT="x"', OK),
        ("+CIICR", OK),
        ("+CIFSR", b"\r\n10.65.1.7\r\n"),
        ('+CIPSTART="TCP","203.0.113.5",7000', OK),
        ("+CIPSEND=5", PROMPT),
        ("+CIPCLOSE", b"\r\nCLOSE OK\r\n"),
        ("+CIPSHUT", b"\r\nSHUT OK\r\n"),
        ("+CIPMUX=1", OK),
        ("+CIPMODE=1", OK),
        ("+CIPQSEND=1", OK),
        ("+CIPHEAD=1", OK),
    ],
)
def test_every_cell_of_the_sim800s_states(state, command, good):
    name = command.partition("=")[0]
    bench = in_state(state)
    after = sim800.STEPS.get((state, name))
    needs_link = name in {"+CIPSEND", "+CIPCLOSE"}
    lawful = after is not None and (not needs_link or 0 in bench.modem.links)
    if name == "+CIPSTART" and 0 in bench.modem.links:
        assert bench.at("AT" + command, 0.01) + bench.wait(3.0) == OK + b"\r\nALREADY CONNECT\r\n"
        return
    said = bench.at("AT" + command, 0.03)
    assert bench.modem.state == (after if lawful else state)
    said += bench.wait(3.0)
    assert said.startswith(good) if lawful else said == ERROR


def test_six_links_at_once():
    bench, far = virtual(Sim800)
    for command in ("AT+CIPMUX=1", *PREPARE[Sim800]):
        bench.at(command, 3.0)
    for number in range(6):
        said = bench.at(f'AT+CIPSTART={number},"TCP","203.0.113.5",7000')
        assert said == OK + b"\r\n%d, CONNECT OK\r\n" % number
    assert bench.at('AT+CIPSTART=6,"TCP","203.0.113.5",7000') == ERROR
    assert bench.at('AT+CIPSTART=0,"TCP","203.0.113.5",7000') == OK + b"\r\n0, ALREADY CONNECT\r\n"
    assert bench.at("AT+CIPSEND=3,5") == PROMPT
    assert bench.say("hello") == b"\r\nDATA ACCEPT:3,5\r\n"
    far.sockets[4].send(b"four", bench.now)
    assert bench.wait(1.0) == b"\r\n+CIPRXGET: 1,4\r\n"
    assert bench.at("AT+CIPRXGET=4,4") == b"\r\n+CIPRXGET: 4,4,4\r\n" + OK
    assert bench.at("AT+CIPRXGET=2,4,100") == b"\r\n+CIPRXGET: 2,4,4,0\r\nfour" + OK
    assert bench.at("AT+CIPRXGET=3,4,100") == b"\r\n+CIPRXGET: 3,4,0,0\r\n" + OK
    far.sockets[2].close(bench.now)
    assert bench.wait(1.0) == b"\r\n2, CLOSED\r\n"
    assert bench.at("AT+CIPCLOSE=1") == b"\r\n1, CLOSE OK\r\n"
    rows = bench.at("AT+CIPSTATUS")
    assert b"STATE: IP PROCESSING" in rows
    assert rows.count(b'"CONNECTED"') == 4
    assert rows.count(b'"CLOSED"') == 2


def test_without_pull_data_are_pushed():
    bench, far = virtual(Sim800)
    for command in ('AT+CSTT="x"', "AT+CIICR", "AT+CIFSR", OPEN[Sim800].format("TCP")):
        bench.at(command, 3.0)
    far.say(b"hello", bench.now)
    assert bench.wait(1.0) == b"hello"
    bench.at("AT+CIPHEAD=1")
    far.say(b"hello", bench.now)
    assert bench.wait(1.0) == b"\r\n+IPD,5:hello"
    assert bench.at("AT+CIPRXGET=2,100") == ERROR


def test_without_quick_sending_the_answer_is_the_far_ends_word():
    network = VirtualNetwork()
    far = FarEnd(network)
    bench = Bench(Sim800(Air(network, Shape(delay_s=2.0))), far)
    bench.wait(20.0)
    bench.at("ATE0")
    for command in ('AT+CSTT="x"', "AT+CIICR", "AT+CIFSR", OPEN[Sim800].format("TCP")):
        bench.at(command, 6.0)
    bench.at("AT+CIPSEND=5")
    assert bench.say(b"hello", 1.5) == b""
    assert bench.wait(2.0) == b"\r\nSEND OK\r\n"


def test_without_a_network_the_context_fails():
    bench, _ = virtual(Sim800, "no-network")
    bench.at('AT+CSTT="x"')
    assert bench.at("AT+CIICR", 3.0) == ERROR
    assert b"PDP DEACT" in bench.at("AT+CIPSTATUS")


def test_transparent_the_far_end_closes():
    bench, far = virtual(Sim800)
    for command in ("AT+CIPMODE=1", 'AT+CSTT="x"', "AT+CIICR", "AT+CIFSR"):
        bench.at(command, 2.0)
    assert bench.at("AT+CIPMUX=1") == ERROR
    assert bench.at(OPEN[Sim800].format("TCP")) == OK + b"\r\nCONNECT\r\n"
    far.say(b"\x00bytes\xff", bench.now)
    far.close(bench.now)
    assert bench.wait(1.0) == b"\x00bytes\xff\r\nCLOSED\r\n"
    assert bench.at("ATO") == b"\r\nNO CARRIER\r\n"


def test_a_brown_out_in_a_send_and_only_a_cut_supply_helps():
    bench, _ = connected(Sim800, "brown-out@2")
    assert send(bench, b"hello") == sent(Sim800, 5)
    said = send(bench, b"hello")
    assert b"\r\nUNDER-VOLTAGE WARNNING\r\n" in said
    assert bench.at("AT", 60.0) == b""
    bench.modem.rail.set(False)
    bench.wait(1.0)
    bench.modem.rail.set(True)
    assert b"RDY" in bench.wait(10.0)


# SIM7600


@pytest.mark.parametrize("state", [sim7600.CLOSED, sim7600.OPENING, sim7600.OPEN, sim7600.BROKEN])
@pytest.mark.parametrize("command", ["+NETOPEN", "+NETCLOSE"])
def test_every_cell_of_the_sim7600s_network(state, command):
    bench, _ = virtual(Sim7600)
    bench.modem.state = state
    refusals = {
        "+NETOPEN": b"\r\n+IP ERROR: Network is already opened\r\n" + ERROR,
        "+NETCLOSE": b"\r\n+NETCLOSE: 2\r\n" + ERROR,
    }
    said = bench.at("AT" + command, 0.1)
    after = sim7600.STEPS.get((state, command))
    assert said == (OK if after else refusals[command])
    assert bench.modem.state == (after or state)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('AT+CIPOPEN=10,"TCP","203.0.113.5",7000', b"\r\n+CIPOPEN: 10,3\r\n" + ERROR),
        ('AT+CIPOPEN=0,"TCP","203.0.113.5",99999', b"\r\n+CIPOPEN: 0,3\r\n" + ERROR),
        ('AT+CIPOPEN=0,"TCP"', b"\r\n+CIPOPEN: 0,3\r\n" + ERROR),
        ('AT+CIPOPEN=0,"TCP","203.0.113.5",7000', b"\r\n+CIPOPEN: 0,4\r\n" + ERROR),
        ("AT+CIPSEND=3,5", b"\r\n+CIPERROR: 4\r\n" + ERROR),
        ("AT+CIPSEND=0,1501", ERROR),
        ("AT+CIPRXGET=2,0,100", b"\r\n+IP ERROR: No data\r\n" + ERROR),
        ("AT+CIPRXGET=2,5,100", b"\r\n+IP ERROR: Connection not established\r\n" + ERROR),
        ("AT+CIPCLOSE=3", b"\r\n+CIPCLOSE: 3,4\r\n" + ERROR),
        ("AT+CIPCLOSE=0", OK + b"\r\n+CIPCLOSE: 0,0\r\n"),
        ("AT+CIPMODE=1", ERROR),
        ("AT+IPADDR", b"\r\n+IPADDR: 10.65.1.7\r\n" + OK),
        ("AT+CIPRXGET=4,0", b"\r\n+CIPRXGET: 4,0,0\r\n" + OK),
    ],
)
def test_what_a_sim7600_answers_while_link_0_is_up(command, said):
    bench, _ = connected(Sim7600)
    assert bench.at(command) == said


def test_udp_without_a_far_end_names_it_in_every_send():
    bench, far = virtual(Sim7600, kind="UDP")
    for command in PREPARE[Sim7600]:
        bench.at(command, 3.0)
    assert bench.at('AT+CIPOPEN=1,"UDP",,,5000') == OK + b"\r\n+CIPOPEN: 1,0\r\n"
    for _ in range(2):
        assert bench.at('AT+CIPSEND=1,5,"203.0.113.5",7000') == PROMPT
        assert bench.say(b"hello") == OK + b"\r\n+CIPSEND: 1,5,5\r\n"
    far.poll(bench.now)
    assert far.pieces == [b"hello", b"hello"]
    far.say(b"answer", bench.now)
    assert bench.wait(1.0) == b"\r\n+CIPRXGET: 1,1\r\n"


def test_push_names_where_it_is_from():
    bench, far = virtual(Sim7600)
    bench.at("AT+NETOPEN", 3.0)
    bench.at(OPEN[Sim7600].format("TCP"), 2.0)
    far.say(b"hello", bench.now)
    assert bench.wait(1.0) == b"\r\nRECV FROM:203.0.113.5:7000\r\n+IPD5\r\nhello"


def test_transparent_sim7600():
    bench, far = virtual(Sim7600)
    bench.at("AT+CIPMODE=1")
    bench.at("AT+NETOPEN", 3.0)
    assert bench.at('AT+CIPOPEN=0,"TCP","203.0.113.5",7000') == b"\r\nCONNECT 115200\r\n"
    far.say(b"bytes", bench.now)
    assert bench.wait(1.1) == b"bytes"
    assert bench.say("+++", 1.1) == OK
    assert bench.at("ATO") == b"\r\nCONNECT 115200\r\n"
    far.close(bench.now)
    assert bench.wait(1.0) == b"\r\nCLOSED\r\n"


def test_a_network_that_is_not_there():
    bench, _ = virtual(Sim7600, "no-network")
    assert bench.at("AT+NETOPEN", 3.0) == OK + b"\r\n+NETOPEN: 1\r\n"
    assert bench.at("AT+NETOPEN?") == b"\r\n+NETOPEN: 0\r\n" + OK


def test_creset_boots():
    bench, _ = virtual(Sim7600)
    said = bench.at("AT+CRESET", 20.0)
    assert said.startswith(OK)
    assert b"RDY" in said


# Quectel


@pytest.mark.parametrize("state", [quectel.INACTIVE, quectel.ACTIVE, quectel.BROKEN])
@pytest.mark.parametrize("command", ["+QIACT", "+QIDEACT"])
def test_every_cell_of_the_quectels_context(state, command):
    bench, _ = virtual(Quectel)
    bench.modem.context = state
    after = quectel.STEPS.get((state, command))
    assert bench.at(f"AT{command}=1", 3.0) == (OK if after else ERROR)
    assert bench.modem.context == (after or state)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ('AT+QIOPEN=2,1,"TCP","203.0.113.5",7000,0,0', ERROR),
        ('AT+QIOPEN=1,12,"TCP","203.0.113.5",7000,0,0', ERROR),
        ('AT+QIOPEN=1,1,"SCTP","203.0.113.5",7000,0,0', ERROR),
        ('AT+QIOPEN=1,1,"TCP","203.0.113.5",0,0,0', ERROR),
        ('AT+QIOPEN=1,1,"TCP","203.0.113.5",7000,0,3', ERROR),
        ('AT+QIOPEN=1,0,"TCP","203.0.113.5",7000,0,0', OK + b"\r\n+QIOPEN: 0,563\r\n"),
        ('AT+QIOPEN=1,1,"TCP","203.0.113.9",7000,0,2', ERROR),
        ("AT+QISEND=1,5", ERROR),
        ("AT+QISEND=0,1461", ERROR),
        ("AT+QIRD=1,100", ERROR),
        ("AT+QIRD=0,100", b"\r\n+QIRD: 0\r\n" + OK),
        ("AT+QICLOSE=11", OK),
        ("AT+QICLOSE=12", ERROR),
        ("AT+QISTATE=1,5", OK),
        ("AT+QICSGP=1", b'\r\n+QICSGP: 1,"","","",0\r\n' + OK),
        ('AT+QICSGP=9,1,"x"', ERROR),
        ("AT+QPINC?", b'\r\n+QPINC: "SC",3,10\r\n' + OK),
    ],
)
def test_what_a_quectel_answers_while_link_0_is_up(command, said):
    bench, _ = connected(Quectel)
    assert bench.at(command) == said


def test_push_and_the_change_to_transparent():
    bench, far = virtual(Quectel)
    bench.at("AT+QIACT=1", 3.0)
    bench.at('AT+QIOPEN=1,3,"TCP","203.0.113.5",7000,0,1')
    far.say(b"hello", bench.now)
    assert bench.wait(1.0) == b'\r\n+QIURC: "recv",3,5\r\nhello\r\n'
    assert bench.at("AT+QIRD=3,100") == ERROR
    assert bench.at("AT+QISWTMD=3,2") == b"\r\nCONNECT\r\n"
    bench.say(b"bytes")
    far.poll(bench.now)
    assert far.heard == b"bytes"
    bench.wait(1.0)
    assert bench.say(b"+++", 1.1) == OK
    assert bench.at("AT+QISWTMD=3,0") == OK
    far.say(b"hello", bench.now)
    assert bench.wait(1.0) == b'\r\n+QIURC: "recv",3\r\n'


def test_a_quectel_that_has_no_network():
    bench, _ = virtual(Quectel, "no-network")
    assert bench.at("AT+QIACT=1", 3.0) == ERROR
    assert b"561" in bench.at("AT+QIGETERROR")


@pytest.mark.parametrize(
    ("text", "port"), [("7000", 7000), ("0", 0), ("65536", 0), ("-1", 0), ("7x", 0), ("", 0), ("٣", 0)]
)
def test_ports(text, port):
    assert port_of(text) == port
