"""The port owner on real ptys: opens alone, reads at once, loses nothing while the disk is slow, comes back."""

import errno
import io
import os
import termios
import time

import pytest
from serial import serialposix

from edge import ports
from edge.driver import Line
from edge.line_errors import LineErrors
from edge.ports import Appeared, Counted, Dropped, Heard, PortOwner, Recorder, Tuned, Vanished, open_line
from hardware.simulated.ptys import open_pty, speed_of
from node.clock import SystemClock
from wire.errors import DeviceError

PATIENCE_S = 10.0


class Gathered:
    """Everything that was taken from an owner, until something is true."""

    def __init__(self, owner):
        self.owner, self.items = owner, []

    def until(self, holds):
        deadline = time.monotonic() + PATIENCE_S
        while not holds(self) and time.monotonic() < deadline:
            self.items += self.owner.take()
            time.sleep(0.002)
        assert holds(self), self.items
        return self

    @property
    def data(self):
        return b"".join(item.data for item in self.items if isinstance(item, Heard))

    def count(self, kind):
        return sum(isinstance(item, kind) for item in self.items)


@pytest.fixture
def owned():
    """Return a maker of owners that are stopped at the end."""
    owners = []

    def make(path, **how):
        owners.append(PortOwner("port", str(path), Line(115200), SystemClock(), **how))
        owners[-1].start()
        return owners[-1]

    yield make
    for owner in owners:
        owner.stop()


def test_bytes_go_both_ways_and_wake_the_kit(owned):
    woken = []
    with open_pty() as (device, path):
        owner = owned(path, wake=lambda: woken.append(1))
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        os.write(device, bytes(range(256)))
        gathered.until(lambda g: len(g.data) == 256)
        assert gathered.data == bytes(range(256))
        assert owner.write(b"\x06")
        assert os.read(device, 10) == b"\x06"
        assert woken


def test_a_disk_that_stalls_for_two_seconds_at_115200_baud_loses_no_byte(owned):
    sent = b""
    with open_pty() as (device, path):
        owner = owned(path)
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        for second in range(4):
            for part in range(25):
                piece = bytes(((second * 25 + part) % 251,)) * (11_520 // 50)
                sent += piece
                os.write(device, piece)
                time.sleep(0.02)
        gathered.until(lambda g: len(g.data) == len(sent))
        assert gathered.data == sent
        assert not gathered.count(Dropped)


def test_the_queue_is_bounded_and_says_what_it_dropped(owned, monkeypatch):
    monkeypatch.setattr(ports, "QUEUE_SIZE_MAX", 1000)
    with open_pty() as (device, path):
        owner = owned(path)
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        for _ in range(5):
            os.write(device, b"x" * 400)
            time.sleep(0.1)
        gathered.until(lambda g: g.data)
        os.write(device, b"after")
        gathered.until(lambda g: g.data.endswith(b"after"))
        dropped = sum(item.bytes_count for item in gathered.items if isinstance(item, Dropped))
        assert dropped + len(gathered.data) == 2005
        assert dropped >= 1000


def test_what_was_dropped_at_the_end_of_a_burst_is_said_although_nothing_follows():
    queue = ports._Queue()
    queue.put(Heard(b"x" * ports.QUEUE_SIZE_MAX, 1.0))
    queue.put(Heard(b"y" * 100, 2.0))
    assert [type(item) for item in queue.take()] == [Heard, Dropped]
    assert queue.take() == []


def test_that_a_port_came_or_went_is_never_dropped_from_a_full_queue(monkeypatch):
    monkeypatch.setattr(ports, "QUEUE_COUNT_MAX", 4)
    queue = ports._Queue()
    for at in range(6):
        queue.put(Heard(b"x", float(at)))
    queue.put(Vanished("gone", 7.0))
    queue.put(Appeared("/dev/x", 8.0))
    items = queue.take()
    assert items[-3:] == [Dropped(2, 5.0), Vanished("gone", 7.0), Appeared("/dev/x", 8.0)]


def test_a_port_that_comes_and_goes_while_nobody_takes_fills_no_memory(monkeypatch):
    monkeypatch.setattr(ports, "QUEUE_COUNT_MAX", 4)
    monkeypatch.setattr(ports, "CHANGES_COUNT_MAX", 10)
    queue = ports._Queue()
    for at in range(1000):
        queue.put(Vanished(str(at), float(at)))
    items = queue.take()
    assert len(items) == 14
    assert items[-1] == Vanished("999", 999.0)


def test_a_noisy_line_while_nobody_takes_fills_no_memory_and_forgets_neither_the_port_nor_its_setting(monkeypatch):
    """Each piece that was dropped left its counters and a word of itself, without end, in the place of `Appeared`."""
    monkeypatch.setattr(ports, "QUEUE_SIZE_MAX", 4)
    monkeypatch.setattr(ports, "QUEUE_COUNT_MAX", 4)
    monkeypatch.setattr(ports, "CHANGES_COUNT_MAX", 10)
    queue = ports._Queue()
    first = [Vanished("gone", 0.0), Appeared("/dev/x", 0.0), Tuned(Line(), 0.0)]
    for item in first:
        queue.put(item)
    for at in range(1, 1001):
        queue.put(Counted(LineErrors(framing=at), float(at)))
        queue.put(Heard(b"xyz", float(at)))
    items = queue.take()
    assert len(items) <= 14
    assert [item for item in items if item in first] == first
    assert items[-1] == Counted(LineErrors(framing=1000), 1000.0)
    assert sum(item.bytes_count for item in items if isinstance(item, Dropped)) == 3 * 1000


def test_a_port_that_flaps_and_drops_while_nobody_takes_fills_no_memory(monkeypatch):
    monkeypatch.setattr(ports, "QUEUE_COUNT_MAX", 4)
    monkeypatch.setattr(ports, "CHANGES_COUNT_MAX", 10)
    queue = ports._Queue()
    for at in range(1000):
        queue.put(Appeared("/dev/x", float(at)))
        for _ in range(5):
            queue.put(Heard(b"x", float(at)))
        queue.put(Vanished("gone", float(at)))
    items = queue.take()
    assert len(items) <= 15
    assert items[-1] == Vanished("gone", 999.0)
    counted = sum(item.bytes_count if isinstance(item, Dropped) else isinstance(item, Heard) for item in items)
    assert counted == 5000


def test_a_line_is_set_otherwise_without_being_closed_and_stays_so_when_it_comes_back(owned, tmp_path):
    link = tmp_path / "by-path"
    with open_pty(str(link)) as (device, _):
        owner = owned(link)
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        assert speed_of(device) == 115_200
        owner.retune(Line(4800))
        gathered.until(lambda g: g.count(Tuned))
        assert speed_of(device) == 4800
        assert gathered.count(Vanished) == 0
    gathered.until(lambda g: g.count(Vanished))
    with open_pty(str(link)) as (device, _):
        gathered.until(lambda g: g.count(Appeared) == 2)
        assert speed_of(device) == 4800


def test_a_setting_that_was_asked_for_when_the_port_vanished_is_made_when_it_is_back(owned, tmp_path, monkeypatch):
    """The search took the old setting for the new one, and remembered it."""
    tune, failed = ports.SerialLine.tune, []

    def gone_once(self, line):
        if not failed:
            failed.append(line)
            raise termios.error(errno.EIO, "Input/output error")
        tune(self, line)

    monkeypatch.setattr(ports.SerialLine, "tune", gone_once)
    with open_pty(str(tmp_path / "flaps")) as (device, _):
        owner = owned(tmp_path / "flaps")
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        owner.retune(Line(4800))
        gathered.until(lambda g: g.count(Appeared) == 2 and g.count(Tuned))
        assert speed_of(device) == 4800
    assert failed == [Line(4800)]
    assert owner.line == Line(4800)


def test_a_setting_that_a_line_does_not_know_leaves_it_as_it_is(owned):
    with open_pty() as (device, path):
        line = open_line(path, Line(9600))
        line.tune(Line(9600, 7, "E"))  # a pty has no parity
        os.write(device, b"still here")
        assert line.read(10) == b"still here"
        line.close()


def test_unplugged_and_plugged_in_again_under_another_name(owned, tmp_path):
    link = tmp_path / "by-path"
    with open_pty(str(link)) as (device, _):
        owner = owned(link)
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        os.write(device, b"one")
        gathered.until(lambda g: g.data == b"one")
        first = os.readlink(link)
    gathered.until(lambda g: g.count(Vanished))
    assert not owner.is_present
    assert not owner.write(b"\x06")
    with open_pty() as (_, taken), open_pty(str(link)) as (device, _):
        gathered.until(lambda g: g.count(Appeared) == 2)
        os.write(device, b"two")
        gathered.until(lambda g: g.data == b"onetwo")
        assert taken
        assert first
    kinds = [type(item) for item in gathered.items]
    assert kinds.index(Vanished) > kinds.index(Heard)


def test_a_missing_port_is_said_once_and_waited_for(owned, tmp_path):
    link = tmp_path / "later"
    owner = owned(link)
    gathered = Gathered(owner).until(lambda g: g.count(Vanished))
    assert "is the device plugged in" in gathered.items[0].reason
    time.sleep(1.0)  # the owner tries in vain meanwhile, and waits longer each time
    with open_pty(str(link)):
        gathered.until(lambda g: g.count(Appeared))
    assert gathered.count(Vanished) == 1


def test_a_port_that_another_program_has_is_left_alone():
    with open_pty() as (_, path):
        other = open_line(path, Line())
        with pytest.raises(DeviceError, match=f"{path}: cannot be opened at 9600 8N1: another program.* has it open"):
            open_line(path, Line())
        other.close()


def test_a_port_that_vanishes_while_its_line_is_set_is_waited_for(owned, tmp_path, monkeypatch):
    """`termios.error` is no OSError: the thread of the port ended, and the port was missing until the next start."""
    failed, tcsetattr = [], serialposix.termios.tcsetattr

    def gone_once(*said):
        if not failed:
            failed.append(said)
            raise termios.error(errno.EIO, "Input/output error")
        tcsetattr(*said)

    monkeypatch.setattr(serialposix.termios, "tcsetattr", gone_once)
    link = tmp_path / "flaps"
    with open_pty(str(link)):
        gathered = Gathered(owned(link)).until(lambda g: g.count(Appeared))
    assert failed
    assert "cannot be opened at" in gathered.items[0].reason


def test_what_is_no_serial_line_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_line(str(file), Line())


def test_a_device_that_spoke_before_the_port_was_open_is_heard(owned):
    with open_pty() as (device, path):
        os.write(device, b"\x05")
        Gathered(owned(path)).until(lambda g: g.data == b"\x05")


def test_a_late_answer_to_a_device_that_has_spoken_again_is_not_sent(owned, monkeypatch):
    monkeypatch.setattr(ports, "STALE_S", 0.2)
    with open_pty() as (device, path):
        owner = owned(path)
        os.write(device, b"\x05")
        gathered = Gathered(owner).until(lambda g: g.data == b"\x05")
        time.sleep(0.4)
        os.write(device, b"\x05")
        gathered.until(lambda g: g.data == b"\x05\x05")
        first, second = (item for item in gathered.items if isinstance(item, Heard))
        assert not owner.write(b"stale", first.now)
        assert owner.write(b"\x06", second.now)
        assert os.read(device, 10) == b"\x06"


def test_everything_on_the_line_is_recorded(owned):
    file = io.StringIO()
    with open_pty() as (device, path):
        owner = owned(path, record=Recorder(file))
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        os.write(device, b"\x05")
        gathered.until(lambda g: g.data == b"\x05")
        owner.write(b"\x06")
    rows = [line.split() for line in file.getvalue().splitlines()]
    assert [(direction, data) for direction, _, data in rows] == [("<", "05"), (">", "06")]


def test_a_recording_ends_at_its_limit(monkeypatch):
    monkeypatch.setattr(ports, "RECORD_SIZE_MAX", 30)
    file = io.StringIO()
    record = Recorder(file)
    for _ in range(10):
        record("<", b"12345", 1.0)
    assert len(file.getvalue()) <= 30
    assert record.is_full


def test_a_full_disk_ends_the_recording_and_not_the_port(owned):
    full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails once more
    with open_pty() as (device, path):
        record = Recorder(full)
        owner = owned(path, record=record)
        gathered = Gathered(owner).until(lambda g: g.count(Appeared))
        os.write(device, b"\x05")
        gathered.until(lambda g: g.data == b"\x05")
        assert owner.write(b"\x06")
        assert os.read(device, 1) == b"\x06"
        assert gathered.count(Vanished) == 0
        assert (record.is_full, record.fault) == (True, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        full.close()


def test_a_recording_counts_from_its_first_piece_and_not_from_the_start_of_the_machine():
    file = io.StringIO()
    record = Recorder(file)
    record(">", b"\x01", 81_234.5)
    record("<", b"\x02", 81_235.75)
    assert file.getvalue() == "> 0.000 01\n< 1.250 02\n"
    assert not record.is_full
