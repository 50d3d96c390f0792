"""Whose device speaks: what a verdict needs, what it costs, and what it never says."""

import random
import time

import pytest

from edge import registry, stranger
from edge.config import Port
from edge.signs import UNKNOWN
from edge.stranger import Suspicion
from edge.watched_ports import others_of as others
from hardware.simulated.scales import and_line, tanita_line
from tests.recordings import replay

LOAD, PERSON = and_line(71.4), tanita_line(71.4, 170, 21.0)


def suspicion(driver, *other_ports):
    ports = [Port(f"p{at}", f"/dev/{at}", name) for at, name in enumerate((driver, *other_ports))]
    return Suspicion(registry.signs(driver), others(ports[0], registry.signs(driver), ports))


def heard(one, data, now=0.0, chunk=16):
    """Feed bytes in pieces and let the line be quiet; return what was handed out."""
    given = b"".join(one.heard(data[at : at + chunk], now) for at in range(0, len(data), chunk))
    return given + one.tick(now + stranger.QUIET_S)


@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_a_strangers_first_message_is_handed_out_whole(chunk):
    one = suspicion("tm2655")
    assert heard(one, PERSON, chunk=chunk) == PERSON
    assert one.wrong == "tanita"


def test_its_own_device_clears_a_port_with_one_message():
    one = suspicion("andscale")
    heard(one, PERSON)
    assert one.wrong == "tanita"
    assert heard(one, LOAD, 1.0) == LOAD
    assert one.wrong == ""


def test_where_the_own_device_was_heard_one_foreign_message_is_no_proof():
    one = suspicion("andscale")
    heard(one, LOAD)
    heard(one, PERSON, stranger.OWN_S + 1)
    assert one.wrong == ""
    heard(one, PERSON * 3, stranger.OWN_S + 2)
    assert one.wrong == "tanita"


def test_a_file_that_holds_another_devices_messages_is_a_file():
    one = suspicion("transfer")
    heard(one, b"".join(data for _, data in replay.load("transfer-zmodem").heard))
    heard(one, b"".join(data for _, data in replay.load("nmea-drive").heard), 100.0)
    assert one.wrong == ""


def test_generic_capture_is_only_told_from_the_kits_other_devices():
    assert heard(suspicion("lines"), PERSON) == b""
    assert heard(suspicion("lines", "tanita"), PERSON) == PERSON
    assert others(Port("a", "/dev/a", "astm"), UNKNOWN, []) == {}


def test_a_port_that_was_closed_is_judged_anew():
    one = suspicion("andscale")
    heard(one, PERSON)
    one.appeared()
    assert one.wrong == ""
    assert one.deadline() is None


def test_no_recording_makes_its_own_port_suspicious():
    for name in replay.names():
        recording = replay.load(name)
        one = suspicion(recording.card["driver"])
        for now, data in recording.heard[:100]:
            for at in range(0, len(data), 1024):
                one.heard(data[at : at + 1024], now)
            one.tick(now + 10.0)
        assert one.wrong == "", name


def test_endless_noise_is_bounded_in_memory_and_work():
    one, noise = suspicion("barcode"), random.Random(1).randbytes(115_200)
    began = time.process_time()
    for at in range(0, len(noise), 32):  # ten seconds of a full line
        one.heard(noise[at : at + 32], at / 11_520)
        assert len(one._window) <= stranger.WINDOW_SIZE
    assert time.process_time() - began < 3.0
    assert one.wrong == ""
