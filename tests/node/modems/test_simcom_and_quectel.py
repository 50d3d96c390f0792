"""What only these makers' sockets do: results that overtake their OK, short sends, counters that prove, ladders."""

import random

import pytest

from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from node.modems.seam import ModemState
from node.modems.simcom import number_of
from tests.node.modems.conformance.entries import socket_driver
from tests.node.modems.conformance.rig import Rig


def rig_of(sim, scheme, *faults):
    return Rig(sim, socket_driver("auto", scheme), faults)


def said(rig, since=0):
    """Return the commands that were given, in order."""
    text = b"".join(data for _, way, data in rig.talk[since:] if way == ">")
    return [line for line in text.decode("latin-1").split("\r") if line.startswith("AT")]


@pytest.mark.parametrize(
    ("line", "at", "number"),
    [("+CIPOPEN: 0,10", 1, 10), ("+CIPSEND: 0,15,-1", 2, -1), ("+NETOPEN: 0", 0, 0), ("+QIRD: 5", 1, -1), ("x", 0, -1)],
)
def test_numbers_are_read_from_answers(line, at, number):
    assert number_of(line, at) == number


def test_sim7600_names_the_far_end_of_udp_with_each_send_and_of_tcp_never():
    for scheme, opened, sent in (
        ("udp", 'AT+CIPOPEN=0,"UDP",,,50000', 'AT+CIPSEND=0,5,"192.0.2.1",7000'),
        ("tcp", 'AT+CIPOPEN=0,"TCP","192.0.2.1",7000', "AT+CIPSEND=0,7"),
    ):
        rig = rig_of(Sim7600, scheme).open().until_up(60)
        rig.send(b"hello")
        rig.run(5)
        assert rig.far.frames == [b"hello"]
        assert opened in said(rig)
        assert any(sent in command for command in said(rig))


@pytest.mark.parametrize("sim", [Sim7600, Quectel])
@pytest.mark.parametrize("fault", ["short-accept=100@*", "send-fail@2", "late-final=3@30%"])
def test_a_modem_that_takes_less_than_it_is_given_gets_the_rest_later(sim, fault):
    rig = rig_of(sim, "tcp", fault).open().until_up(120)
    frames = [random.Random(number).randbytes(900) for number in range(4)]
    for frame in frames:
        assert rig.run(120, lambda: rig.ears.bearer.room() > 0)
        rig.send(frame)
    rig.run(120)
    assert rig.far.frames == frames
    assert rig.ears.ups == 1


@pytest.mark.parametrize("sim", [Sim800, Sim7600, Quectel])
def test_a_datagram_that_may_have_gone_does_not_go_again(sim):
    send = "QISEND" if sim is Quectel else "CIPSEND"
    rig = rig_of(sim, "udp", f"lost-final={send}@2").open().until_up(120)
    frames = [b"%d" % number * 300 for number in range(5)]
    for frame in frames:
        assert rig.run(120, lambda: rig.ears.bearer.room() > 0)
        rig.send(frame)
    rig.run(120)
    assert len(rig.far.frames) == len(set(rig.far.frames))
    assert rig.far.frames[-1] == frames[-1]


@pytest.mark.parametrize("allowance", [0, 3, 100])
def test_what_goes_in_pieces_is_paid_for_piece_by_piece_and_waits_for_its_money(allowance):
    rig = rig_of(Sim7600, "tcp", "short-accept=100@*").open().until_up(120)
    asked = []

    def pays(up, down):
        asked.append((up, down))
        return len(asked) <= allowance

    rig.ears.bearer.pays = pays
    frame = random.Random(1).randbytes(900)
    rig.send(frame)
    rig.run(60)
    sends = b"".join(data for _, way, data in rig.talk if way == ">").count(b"AT+CIPSEND=0,")
    assert sends == 1 + min(allowance, 9)  # 902 bytes by 100
    assert rig.far.frames == ([frame] if allowance == 100 else [])
    assert set(asked) == {(54, 54)}
    rig.hang_up()
    assert rig.run(60, lambda: rig.driver.status().state is ModemState.OFF), rig.tail()


@pytest.mark.parametrize(
    ("sim", "ladder"), [(Sim7600, ["AT+NETCLOSE", "AT+NETOPEN"]), (Quectel, ["AT+QIDEACT=1", "AT+QIACT=1"])]
)
def test_a_context_that_the_network_took_is_let_go_before_it_is_asked_for_again(sim, ladder):
    rig = rig_of(sim, "udp").open().until_up(60)
    began = len(rig.talk)
    rig.sim.drop_pdp(rig.now)
    assert rig.run(60, lambda: rig.ears.ups == 2), rig.tail()
    commands = [command for command in said(rig, began) if command in ladder]
    assert commands == ladder
    assert "AT+CFUN=0" not in said(rig), "the radio was switched off for that"


def test_a_context_that_is_refused_is_asked_for_three_times():
    rig = rig_of(Quectel, "udp")
    rig.sim.commands["+QIACT"] = lambda request, now: rig.sim._fail(561)
    rig.open()
    rig.run(30, lambda: "is the APN right?" in rig.driver.status().trouble)
    assert said(rig).count("AT+QIACT=1") == 3
    assert "is the APN right?" in rig.driver.status().trouble


def test_a_connection_on_which_nothing_is_acknowledged_any_more_is_given_up():
    rig = rig_of(Quectel, "tcp", "data-lost@2+").open().until_up(60)
    rig.send(b"arrives")
    rig.run(5)
    rig.send(b"is lost")
    assert rig.run(200, lambda: rig.ears.downs == 1), "SEND OK was taken for a proof"
    assert "AT+QISEND=0,0" in said(rig)


def test_bg96_is_never_told_what_makes_it_hang():
    rig = rig_of(Bg96, "udp", "pdp-drops=30").open()
    rig.run(100)
    assert rig.sim.boots == 1
    assert not [command for command in said(rig) if command.startswith("AT+CGACT")]


@pytest.mark.parametrize(("sim", "command"), [(Sim7600, "+CIPOPEN"), (Quectel, "+QIOPEN")])
def test_who_is_not_there_is_told_in_words(sim, command):
    rig = rig_of(sim, "tcp", "connect-fails@1+").open()
    rig.run(60, lambda: "nobody answers" in rig.driver.status().trouble)
    assert "nobody answers" in rig.driver.status().trouble
    assert "tcp://192.0.2.1:7000" in rig.driver.status().trouble
