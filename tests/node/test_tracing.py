"""A trace file is bounded, readable while it grows, and never the reason why a link stops."""

import pytest

from node.disk import RealDisk
from node.entropy import seeded
from node.tracing import BUFFER_SIZE, RECEIVED, SENT, SIZE_MIN, TraceFile
from wire import trace
from wire.errors import DiskError, DiskFull
from wire.stream import StreamReader, Verdict


class Clock:
    def now(self):
        return 0.0

    def time_ms(self):
        return 1000


class Bearer:
    name, mtu, overhead, is_stream, is_message = "test", 1400, 28, False, False


FRAME = b"\x03\x00\x2f\x00\x01" + bytes(40)


@pytest.fixture
def disk(tmp_path):
    with RealDisk(tmp_path) as real:
        yield real


def entries(disk, name="trace"):
    reader = StreamReader()
    found = reader.feed(disk.read(name)) + reader.finish()
    assert all(one.verdict is Verdict.SOUND for one in found)
    return [entry for one in found if (entry := trace.decode(one.tag)) is not None]


def test_frames_and_events_are_there_after_a_flush(disk):
    file = TraceFile(disk, "trace", Clock(), seeded(b"1"))
    file.frame(SENT, Bearer(), FRAME, 70000, b"\x01")
    file.frame(RECEIVED, Bearer(), b"\xff", 0, b"")
    file.event("bearer", "test is up")
    file.flush()
    assert [trace.text(entry) for entry in entries(disk)] == [
        "> test DATA 002f #70000 73 B, PING",
        "< test kind 0 0000 29 B",
        "--- bearer: test is up",
    ]


def test_a_trace_never_takes_more_than_it_may(disk):
    file = TraceFile(disk, "trace", Clock(), seeded(b"1"), size_max=4 * SIZE_MIN)
    for number in range(3000):
        file.frame(SENT, Bearer(), FRAME, number, b"\x01")
    file.flush()
    sizes = disk.size("trace"), disk.size("trace.1")
    assert sum(sizes) <= 4 * SIZE_MIN + 4 * BUFFER_SIZE
    newest = entries(disk)[-1]
    assert newest.counter == 2999
    assert entries(disk, "trace.1")


def test_what_was_there_before_is_kept_beside_it(disk):
    for number in (1, 2):
        file = TraceFile(disk, "trace", Clock(), seeded(b"1"))
        file.event("session", str(number))
        file.flush()
    assert [entry.text for entry in entries(disk, "trace.1")] == ["1"]


@pytest.mark.parametrize("error", [DiskFull("full"), DiskError("broken")])
def test_a_disk_that_fails_ends_the_trace_and_nothing_else(disk, monkeypatch, error):
    file = TraceFile(disk, "trace", Clock(), seeded(b"1"))

    def fail(*_):
        raise error

    monkeypatch.setattr(disk, "append", fail)
    for _ in range(500):
        file.frame(SENT, Bearer(), FRAME, 1, b"\x01")
    assert file.ended == str(error)
    file.flush()
    file.event("session", "goes on")
