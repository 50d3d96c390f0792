"""An address that is not for this modem is told with the one that is, not with the modem's bare ERROR."""

import pytest

from hardware.simulated.modems.ground import Ground
from hardware.simulated.modems.iridium9602 import Iridium9602
from hardware.simulated.modems.quectel import Quectel
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from node.modems.sbd import SbdModem, SbdPlan
from node.modems.seam import ModemState
from tests.node.modems.conformance.entries import socket_driver
from tests.node.modems.conformance.rig import Rig


def sbd_driver(ears, hands):
    return SbdModem(ears, SbdPlan(), hands, "sbd")


def iridium(network, faults, seed):
    return Iridium9602(Ground(network), faults, seed)


def said(sim, driver, seconds=180.0, words=""):
    """Return the driver's status when it says `words`, or after so long."""
    rig = Rig(sim, driver).open()
    rig.run(seconds, lambda: words in (text := rig.driver.status().trouble) and bool(text))
    return rig.driver.status()


@pytest.mark.parametrize(
    ("sim", "kind", "words"),
    [
        (Sim800, "quectel", "kind=quectel is not for SIMCOM_SIM800"),
        (Sim800, "simcom", "kind=simcom is not for SIMCOM_SIM800"),
        (Quectel, "sim800", "kind=sim800 is not for EC25"),
        (Sim7600, "quectel", "kind=quectel is not for SIM"),
    ],
)
def test_a_wrong_kind_is_told_from_the_modem(sim, kind, words):
    status = said(sim, socket_driver(kind, "udp"), words=words)
    assert words in status.trouble
    assert "kind=auto asks the modem" in status.trouble


def test_a_satellite_modem_behind_modem_wants_sbd():
    status = said(iridium, socket_driver("auto", "udp"))
    assert status.state is ModemState.LOCKED
    assert status.trouble.startswith("IRIDIUM 9600 Family SBD Transceiver is a modem for satellite messages")
    assert "write sbd:// in place of modem://" in status.trouble


@pytest.mark.parametrize("sim", [Sim800, Quectel])
def test_a_cellular_modem_behind_sbd_wants_modem(sim):
    status = said(sim, sbd_driver)
    assert status.state is ModemState.LOCKED
    assert "is a cellular modem; write modem:// in place of sbd://" in status.trouble


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_line_that_loses_bytes_is_said_to(scheme):
    """The words of docs/modems.md, whose table says what to do about it."""
    rig = Rig(lambda network, _, seed: Sim800(network, ("lost-bytes=0.3",), seed), socket_driver("auto", scheme)).open()
    heard = set()

    def told():
        if rig.ears.bearer is not None and rig.ears.bearer.room():
            rig.send(bytes(300))
        heard.add(rig.driver.status().trouble)
        return any("bytes of the line were lost" in text for text in heard)

    assert rig.run(1200, told), heard


def test_a_modem_that_takes_datagrams_in_part_wants_tcp():
    """What it leaves of a datagram is lost with all of it, for half a frame is none; a stream only goes on."""
    rig = Rig(lambda network, _, seed: Sim800(network, ("short-accept=100@*",), seed), socket_driver("auto", "udp"))
    rig.open().run(60, lambda: rig.ears.bearer is not None)
    rig.send(bytes(90))
    rig.run(10)
    assert rig.driver.status().trouble == ""
    rig.send(bytes(300))
    rig.run(10)
    assert rig.driver.status().trouble == (
        "the modem takes 100 bytes of a datagram of 300, the rest is lost; to=tcp:// loses nothing"
    )
