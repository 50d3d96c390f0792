"""A driver that fails loses nothing of what it had been given: it is kept as it came, once a minute, and flagged."""

import pytest

from edge.capture import Capture
from edge.driver import Commit, StudyBegins, StudyEnds
from edge.driver_failure import KEEP_S, UNREAD_SIZE_MAX, Unread
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk


class Fails:
    """Fails when it is given a `!`; commits at each `;`."""

    def __init__(self):
        self.held = b""

    def feed(self, data, now):
        self.held += data
        if b"!" in data:
            raise ZeroDivisionError
        *whole, self.held = self.held.split(b";")
        return [event for one in whole for event in (StudyBegins("document"), Commit(one + b";"), StudyEnds())]

    def tick(self, now):
        return []

    def deadline(self):
        return None

    def lost(self, now):
        return []


@pytest.fixture
def van(monkeypatch):
    disk = SimDisk()
    van = Van(disk, ports={"lab": ("lines", {}, "scan")})
    van.disk = disk
    monkeypatch.setattr(Capture, "_start_anew", lambda self, line: setattr(line, "driver", Fails()))
    van.capture._ports["lab"].driver = Fails()
    return van


def raws(van):
    return [(study.raw, study.summary.partial, study.summary.form) for study in studies_in(van.stores)]


def test_what_it_had_taken_and_not_committed_is_kept(van):
    for at, piece in enumerate((b"one;tw", b"o", b"th!ree", b"four;")):
        van.hear("lab", piece, float(at))
    assert raws(van) == [
        (b"one;", False, "document"),
        (b"one;twoth!ree", True, "unknown"),
        (b"four;", False, "document"),
    ]


def test_what_was_committed_before_is_not_kept_again(van):
    van.hear("lab", b"one;")
    van.hear("lab", b"two;")
    van.hear("lab", b"!")
    assert raws(van)[-1] == (b"two;!", True, "unknown")


def test_a_driver_that_fails_at_each_reading_makes_no_flood(van):
    for at in range(600):
        van.hear("lab", b"!", at / 4)
    assert len(raws(van)) == 1 + int(150 // KEEP_S)


def test_it_is_bounded():
    unread = Unread()
    for _ in range(10):
        unread.heard(b"x" * 20_000)
    unread.heard(b"y" * 100_000)
    assert unread.take(0.0) == b"y" * UNREAD_SIZE_MAX
    assert unread.take(KEEP_S) == b""


def test_a_full_disk_takes_nothing_and_stops_nothing(van):
    roomy, van.disk.capacity = van.disk.capacity, 0
    van.hear("lab", b"!")
    assert any("disk-full" in text for text in van.told("refused"))
    van.disk.capacity = roomy
    van.hear("lab", b"ok;", KEEP_S)
    assert raws(van) == [(b"ok;", False, "document")]


def test_a_driver_that_cannot_say_when_is_started_anew_and_stops_nobody(van, monkeypatch):
    def broken():
        raise ArithmeticError

    van.hear("lab", b"half")
    monkeypatch.setattr(van.capture._ports["lab"].driver, "deadline", broken)
    assert van.capture.deadline() is None
    assert van.capture.tick(1.0) == {}
    assert any("ArithmeticError" in text for text in van.told("fault"))
    van.hear("lab", b"one;")
    assert raws(van) == [(b"half", True, "unknown"), (b"one;", False, "document")]
