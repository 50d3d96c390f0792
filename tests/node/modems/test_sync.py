"""Getting a stuck modem to listen, whatever state somebody else has left it in."""

import pytest

from hardware.simulated.modems.machine import Mode
from hardware.simulated.modems.sim800 import Sim800
from tests.node.modems.conformance.entries import socket_driver
from tests.node.modems.conformance.rig import HOST, PORT, Rig


def rig_after(*said, faults=()):
    """Return a rig whose modem has been told all this by somebody else before we come."""
    rig = Rig(Sim800, socket_driver("auto", "udp"), faults)
    rig._is_done = True  # the line stays shut for now
    rig.run(10)
    for text in said:
        rig.sim.feed(text, rig.now)
        rig.run(4)
    rig._is_done = False
    rig.sim.output()
    return rig


def sent(rig):
    return b"".join(data for _, way, data in rig.talk if way == ">")


@pytest.mark.parametrize(
    "said",
    [
        [b"ATV0\r"],
        [b"ATQ1\r"],
        [b"ATQ1V0E1\r"],
        [b"ATE1\r", b"AT+CMEE=2\r"],
        [b"AT+CMEE=0\r"],
        [b"garbage without an end"],
        [b"\xff\x00\r\n\r\n"],
        [b"AT+CFUN=4\r"],
        [b"AT+CFUN=0\r"],
        [b"AT+CREG=2\r", b"AT+CIPMUX=1\r"],
        [b'AT+CSTT="other"\r', b"AT+CIICR\r"],
    ],
    ids=repr,
)
def test_whatever_it_was_told_before_it_is_brought_round(said):
    rig = rig_after(*said).open().until_up(90)
    assert rig.sim.rail.cuts == 0
    rig.far.is_echoing = True
    rig.send(b"x")
    assert rig.run(5, lambda: rig.ears.frames == [b"x"])


def test_a_text_message_that_waits_for_its_end_is_never_sent():
    rig = rig_after(b"AT+CMGF=1\r", b'AT+CMGS="112"\r', b"half a text")
    assert rig.sim.mode is Mode.COLLECTING
    rig.open().until_up(120)
    assert rig.sim.texts == []
    assert b"\x1a" not in sent(rig)


def test_a_send_that_waits_for_its_bytes_is_given_up():
    start = b'AT+CIPSTART="UDP","%b",%d\r' % (HOST.encode(), PORT)
    rig = rig_after(b'AT+CSTT="a"\r', b"AT+CIICR\r", b"AT+CIFSR\r", start, b"AT+CIPSEND=30\r")
    assert rig.sim.mode is Mode.COLLECTING
    rig.open().until_up(120)


def test_a_transparent_connection_is_left():
    start = b'AT+CIPSTART="TCP","%b",%d\r' % (HOST.encode(), PORT)
    rig = rig_after(b"AT+CIPMODE=1\r", b'AT+CSTT="a"\r', b"AT+CIICR\r", b"AT+CIFSR\r", start)
    assert rig.sim.mode is Mode.ONLINE
    rig.open().until_up(120)
    assert rig.sim.rail.cuts == 0


@pytest.mark.parametrize("boot", ["slow-boot=20", "slow-boot=45"])
@pytest.mark.parametrize("baud", ["baud=115200", "baud=19200"])
def test_a_modem_that_starts_slowly_is_not_switched_off_while_it_starts(boot, baud):
    rig = Rig(Sim800, socket_driver("auto", "udp"), [boot, baud, "hang@9"]).open()
    rig.run(900, lambda: rig.ears.bearer is not None)
    assert rig.ears.bearer is not None, rig.driver.status()
    assert rig.sim.rail.cuts <= 3


def test_a_line_that_vanishes_with_the_supply_gets_its_supply_back():
    """A USB modem is powered from the rail that the ladder cuts: the script ends with the line, the cycle does not."""
    rig = Rig(Sim800, socket_driver("auto", "udp")).open().until_up(60)
    rig.sim.hang(rig.now)
    assert rig.run(200, lambda: not rig.sim.rail.is_on), "it was never power-cycled"
    rig.unplug()
    rig._is_done = True
    assert rig.run(30, lambda: rig.sim.rail.is_on), "the supply stays off for ever"
    rig._is_done = False
    rig.until_up(120)
