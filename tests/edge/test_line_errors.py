"""The kernel's counters of a line: read where there are any, told as a wrong speed or as lost bytes."""

import errno
import os
import struct
import termios

import pytest

from edge import ports, registry
from edge.config import Port
from edge.driver import Line
from edge.line_errors import GARBLED_COUNT, GARBLED_S, WRAP, WRONG_SPEED, LineErrors, Tally, read_errors
from edge.port_watch import Watch
from edge.ports import Appeared, Counted, Heard, PortOwner
from feldsher.port_lines import port_lines
from hardware.leds import SLOW
from hardware.simulated.ptys import open_pty
from hardware.simulated.scales import and_line
from node.clock import SystemClock
from tests.edge.plugs import Sockets, kept
from tests.edge.test_astm import transfer
from tests.edge.test_daemon import run, until
from tests.edge.test_ports import Gathered
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk

NONE = LineErrors()


class Kernel:
    """A line's counters as linux/serial.h lays them out; what a real port would be asked by ioctl."""

    def __init__(self, **counts):
        self.counts = (
            dict.fromkeys(
                ("cts", "dsr", "rng", "dcd", "rx", "tx", "frame", "overrun", "parity", "brk", "buf_overrun"), 0
            )
            | counts
        )
        self.asked = 0

    def __call__(self, descriptor, request, into):
        assert request == termios.TIOCGICOUNT
        assert len(into) == 80
        self.asked += 1
        into[:] = struct.pack("11I9i", *(one % WRAP for one in self.counts.values()), *range(9))
        return 0

    def __setitem__(self, name, count):
        self.counts[name] = count


def test_the_counters_stand_where_the_kernel_puts_them():
    kernel = Kernel(rx=1000, tx=9, frame=1, overrun=2, parity=3, brk=4, buf_overrun=5, dcd=77)
    assert read_errors(0, kernel) == LineErrors(framing=1, overruns=2, parity=3, breaks=4, buffer_overruns=5)


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.EINVAL, errno.EIO])
def test_a_line_without_counters_is_no_error(number):
    def none(descriptor, request, into):
        raise OSError(number, "no counters")

    assert read_errors(0, none) is None


def test_a_real_pty_has_none():
    with open_pty() as (device, _):
        assert read_errors(device) is None


def test_counters_that_wrap_have_grown_by_what_they_have_grown():
    before, now = LineErrors(framing=WRAP - 2, overruns=WRAP - 1), LineErrors(framing=3, overruns=0)
    assert now.less(before) == LineErrors(framing=5, overruns=1)


# What they mean


def test_garbled_characters_are_told_when_they_are_more_than_a_plug_makes():
    tally = Tally()
    tally.counted(LineErrors(framing=GARBLED_COUNT - 1), 1.0)
    assert tally.news(1.0) == ""
    assert tally.status(1.0)["means"] == ""
    tally.counted(LineErrors(framing=GARBLED_COUNT - 1, parity=1), 2.0)
    assert WRONG_SPEED in tally.news(2.0)
    assert tally.status(2.0)["means"] == WRONG_SPEED
    assert tally.news(2.1) == "", "once, and not with each piece"
    assert tally.status(2.1 + GARBLED_S)["means"] == "", "nothing new for so long"


def test_what_goes_on_is_told_again_after_a_minute_and_single_errors_far_apart_never_are():
    tally = Tally()
    told = []
    for second in range(200):
        tally.counted(LineErrors(framing=second), float(second))
        told += [second] if tally.news(float(second)) else []
    assert told == [3, 63, 123, 183]
    rare = Tally()
    for number in range(10):
        rare.counted(LineErrors(framing=number), number * (GARBLED_S + 1))
        assert rare.news(number * (GARBLED_S + 1)) == ""


def test_while_the_speed_is_looked_for_garbled_characters_are_counted_and_not_told():
    tally = Tally()
    tally.counted(LineErrors(framing=500), 1.0, is_tuning=True)
    assert tally.news(1.0) == ""
    assert tally.status(1.0)["framing"] == 500


def test_all_is_added_up_over_openings_and_a_line_without_counters_shows_none():
    tally = Tally()
    assert tally.status(0.0) is None
    for _ in range(2):
        tally.opened()
        tally.counted(NONE, 1.0)
        assert tally.counted(LineErrors(overruns=2, buffer_overruns=1), 1.0) == 3
    assert tally.status(2.0) == {
        "framing": 0,
        "overruns": 4,
        "parity": 0,
        "breaks": 0,
        "buffer_overruns": 2,
        "garbled_s": None,
        "lost_s": 1.0,
        "means": "",
    }
    assert tally.news(2.0) == "bytes were lost in this computer: 6"


def test_a_port_that_comes_back_has_lost_nothing_by_counting_anew():
    watch = Watch("andscale", registry.signs("andscale"), {})
    for lost in (2, 3):
        watch.appeared("/dev/ttyUSB0", 1.0)
        assert watch.counted(NONE, 1.0) == 0
        assert watch.counted(LineErrors(overruns=lost), 2.0) == lost
        watch.vanished("unplugged", 3.0)
    assert watch.status(4.0)["errors"]["overruns"] == 5


# The owner of the port


@pytest.fixture
def owned():
    owners = []

    def make(path, kernel):
        owners.append(PortOwner("port", path, Line(115200), SystemClock(), ioctl=kernel))
        owners[-1].start()
        return owners[-1]

    yield make
    for owner in owners:
        owner.stop()


def test_what_has_grown_stands_before_the_piece_that_came_with_it(owned):
    kernel = Kernel(frame=40, overrun=7)
    with open_pty() as (device, path):
        gathered = Gathered(owned(path, kernel)).until(lambda g: g.count(Counted))
        kernel["overrun"] = 9
        os.write(device, b"after a gap")
        gathered.until(lambda g: len(g.data) == 11)
        kinds = [type(item) for item in gathered.items]
        assert kinds[:2] == [Appeared, Counted]
        assert [item.errors for item in gathered.items if isinstance(item, Counted)] == [NONE, LineErrors(overruns=2)]
        assert kinds.index(Heard) > max(at for at, kind in enumerate(kinds) if kind is Counted)
        times = [item.now for item in gathered.items]
        assert times == sorted(times), "the kit takes what its ports have by time"


def test_a_silent_line_is_counted_every_few_seconds_and_no_oftener(owned, monkeypatch):
    monkeypatch.setattr(ports, "READ_S", 0.02)
    monkeypatch.setattr(ports, "COUNT_S", 0.3)
    kernel = Kernel()
    with open_pty() as (_, path):
        gathered = Gathered(owned(path, kernel)).until(lambda g: g.count(Counted))
        kernel["brk"] = 1
        gathered.until(lambda g: g.count(Counted) == 2)
        asked, began = kernel.asked, SystemClock().now()
        Gathered(gathered.owner).until(lambda g: SystemClock().now() - began > 0.7)
        assert kernel.asked - asked <= 3


def test_counters_that_cannot_be_read_any_more_close_no_port(owned):
    kernel = Kernel()

    def fails_later(*how):
        if kernel.asked:
            raise OSError(errno.EIO, "gone")
        return kernel(*how)

    with open_pty() as (device, path):
        gathered = Gathered(owned(path, fails_later)).until(lambda g: g.count(Counted))
        os.write(device, b"on it goes")
        gathered.until(lambda g: len(g.data) == 10)


# Studies

MESSAGE = transfer(b"H|\\^&|||X\r", b"P|1||113\r", b"O|1|S1||^^^WBC\r", b"R|1|^^^WBC|5.5\r", b"L|1|N\r")
LOST = "bytes were lost in this computer: 3"


def notes(van):
    van.capture.stop(400.0)
    return [study.notes for study in studies_in(van.stores)]


def test_a_study_that_is_open_says_that_bytes_were_lost_and_stays_whole():
    """The analyser sends a damaged frame again, so nothing of its result is missing."""
    van = Van(SimDisk())
    head, tail = MESSAGE[:40], MESSAGE[40:]
    van.hear("lab", head, 1.0)
    van.capture.overrun("lab", 3, 1.1)
    van.hear("lab", tail, 1.2)
    van.capture.stop(400.0)
    (study,) = studies_in(van.stores)
    assert study.notes.count(LOST) == 1
    assert not study.summary.partial


def test_a_study_that_begins_with_what_was_lost_before_it_says_so_and_a_later_one_does_not():
    van = Van(SimDisk(), ports={"scale": ("andscale", {}, "scan")})
    for at in (1.0, 100.0):
        if at == 1.0:
            van.capture.overrun("scale", 3, at)
        van.hear("scale", and_line(71.4 + at), at)
        while (due := van.capture.deadline()) is not None and due <= at + 60:
            van.capture.tick(due)
    assert notes(van) == [[LOST], []]


def test_what_was_lost_long_before_a_study_is_no_study_s():
    van = Van(SimDisk(), ports={"scale": ("andscale", {}, "scan")})
    van.capture.overrun("scale", 3, 1.0)
    van.hear("scale", and_line(71.4), 10.0)
    assert notes(van) == [[]]


# The kit


def test_the_daemon_tells_lost_bytes_and_a_wrong_speed_on_panel_and_status(tmp_path, monkeypatch):
    kernel, sockets = Kernel(frame=5), Sockets(tmp_path)
    monkeypatch.setattr(PortOwner.__init__, "__defaults__", (*PortOwner.__init__.__defaults__[:-1], kernel))

    async def scene(made):
        line = sockets.plug("scale")
        await until(lambda: made.status()["devices"]["scale"]["errors"])
        assert made.status()["devices"]["scale"]["errors"]["framing"] == 0, "what was before the opening is nobody's"
        assert made.status()["leds"]["alarm"][0] != SLOW
        kernel["overrun"], kernel["parity"] = 3, 4
        os.write(line, and_line(71.4))
        await until(lambda: made.kit.capture.capturing)
        await until(lambda: made.status()["leds"]["alarm"][0] == SLOW)
        said = port_lines(made.status()["ports"], made.status()["devices"])[0]
        assert "BYTES WERE LOST IN THIS COMPUTER: 3, the last" in said
        assert "0 framing and 4 parity errors, the last" in said
        assert WRONG_SPEED.upper() in said
        return made.status()["devices"]["scale"]["errors"]

    errors = run(tmp_path, scene, [Port(name="scale", path=sockets.path("scale"), driver="andscale")])
    sockets.pull()
    assert (errors["overruns"], errors["parity"], errors["means"]) == (3, 4, WRONG_SPEED)
    (study,) = kept(tmp_path)
    assert LOST in study.notes
