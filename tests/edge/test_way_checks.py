"""What a way needs of the machine is said before the van drives off: one line for each, with what to do."""

import subprocess
import sys

import pytest

from edge import interface, way_checks
from edge.config import KitConfig, Way
from hardware.simulated import ptys
from node.line_faults import holder_of, why_not_opened
from node.serial_line import try_line
from wire.errors import DeviceError, FeldsherError

HOLDER = """
import serial, sys
held = serial.Serial(sys.argv[1], exclusive=True)
print("held", flush=True)
sys.stdin.read()
"""


def said(way, secrets=()):
    """Return what the check of this one way says, "" when all is well."""
    ((_, test),) = way_checks.way_checks(KitConfig(way=[way]), dict(secrets), ["north"])
    try:
        test()
    except FeldsherError as error:
        return str(error)
    return ""


@pytest.fixture
def line():
    with ptys.open_pty() as (_, path):
        yield path


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (Way(name="gsm", url="modem:///dev/no-such?to=udp://h:1"), "there is no such line; is the modem plugged in"),
        (Way(name="sbd", url="sbd:///dev/null"), "it is no serial line; `feldsher kit devices` lists"),
        (Way(name="sbd", url="sbd:///dev"), "is no serial line"),
        (Way(name="lte", interface="wwan9"), "there is no interface wwan9; there are: "),
        (Way(name="lte", interface="lo", up="no-such-program -x"), "up: there is no program 'no-such-program'"),
        (Way(name="lte", interface="lo", down="/no/such down"), "down: there is no program '/no/such'"),
        (Way(name="stick", url="dir:///no/such/stick"), "/no/such is missing; make it"),
        (Way(name="stick", url="dir:///etc/passwd"), "is no folder"),
        (Way(name="lan", gateway="south"), "gateway 'south' is not in the enrolment; there are: north"),
    ],
)
def test_what_is_missing_is_said(way, words):
    found = said(way)
    assert words in found
    assert not found.startswith("/dev"), "the place stands in front of it already"


def test_power_without_pins_and_a_missing_line_are_both_said():
    found = said(Way(name="gsm", url="modem:///dev/no-such?power=rail&to=udp://h:1"))
    assert "power=: this machine has no pins" in found
    assert "; there is no such line" in found


def test_pins_are_looked_for_and_not_touched(monkeypatch):
    monkeypatch.setitem(sys.modules, "RPi", type(sys)("RPi"))
    monkeypatch.setitem(sys.modules, "RPi.GPIO", type(sys)("RPi.GPIO"))
    assert "no pins" not in said(Way(name="gsm", url="modem:///dev/no-such?power=rail&to=udp://h:1"))


@pytest.mark.parametrize(
    "way",
    [
        Way(name="lan"),
        Way(name="lan", url="udp://gw.example.org:7700"),
        Way(name="lan", interface="lo"),
        Way(name="lte", interface="ppp9", up="true on", down="true off"),
        Way(name="stick", url="dir:///tmp/stick-that-is-not-in"),
    ],
)
def test_what_is_well_is_not_complained_of(way):
    assert said(way) == ""


def test_a_line_that_is_there_is_opened_and_given_back(line):
    for _ in range(2):
        assert said(Way(name="gsm", url=f"modem://{line}?to=udp://h:1&pin={{pin}}"), {"pin": "1234"}) == ""


def test_who_has_the_line_open_is_named(line):
    other = subprocess.Popen([sys.executable, "-c", HOLDER, line], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            DeviceError, match=rf"{line}: cannot be opened: python.* \(process {other.pid}\) has it open"
        ):
            try_line(line, 9600)
        other.stdin.close()
    assert holder_of(line) == ""
    try_line(line, 9600)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "this user may not open it; on Raspberry Pi OS the group `dialout`"),
        (OSError(16, "Device or resource busy"), "another program (ModemManager?) has it open"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_what_the_kernel_says_is_said_with_what_to_do(error, words):
    assert words in why_not_opened("/dev/no-such", error)


def test_the_check_looks_where_the_road_looks():
    assert way_checks.SYSTEM is interface.SYSTEM
