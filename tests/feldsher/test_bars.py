"""Bars fit any terminal, tell no nonsense, and leave the cursor below them."""

import io
import os
import pty
import random
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feldsher import link_progress
from feldsher.bars import EMPTY, FULL, Painter, bar, fit
from feldsher.link_progress import FILES_MAX
from node.filebox import Parcel
from node.progress import ObjectProgress, Progress
from tests.feldsher.test_link_command import FELDSHER, ROOT, Server, run
from wire.bundle import FileMeta
from wire.objects import BUSY, FILE, Offer, Receipt, Refusal


def parcel(number, size=100_000, verdict=None, name="ecg"):
    files = [(Path(f"{name}-{number}.dcm"), FileMeta(f"{name}-{number}.dcm", size, bytes(32), 0))]
    return Parcel(Offer(bytes([number]) * 16, FILE, size, bytes(16)), files, io.BytesIO(), verdict)


def progress(done=None, rate_bps=40_000.0, **changes):
    sending = [
        ObjectProgress((bytes([number]) * 16).hex(), "file", 5, "sending", 100_000, size, None)
        for number, size in (done or {}).items()
    ]
    facts = {"connected": True, "bearer": "udp://10.77.0.2:7000", "silence_s": 0.1, "rtt_s": 0.6, "rate_bps": rate_bps}
    facts |= {"sending": sending, "receiving": []}
    facts |= dict.fromkeys(
        ("payload_sent", "payload_received", "segments_sent", "segments_resent", "segments_twice"), 0
    )
    return Progress(**facts | changes)


def test_a_file_alone_is_one_line():
    assert link_progress.lines([parcel(1)], progress({1: 50_000}), "", 120) == [
        f"{FULL * 8}{EMPTY * 8}  50%  48.8 KiB of 97.7 KiB  5.00 kB/s  10 s left  by udp://10.77.0.2:7000"
    ]


def test_many_files_have_a_bar_each_up_to_a_bound_those_under_way_first():
    parcels = [parcel(number) for number in range(1, 30)]
    lines = link_progress.lines(parcels, progress({5: 1000, 20: 90_000}), "", 100)
    assert len(lines) == FILES_MAX + 2
    assert [line.split()[0] for line in lines[:2]] == ["ecg-5.dcm", "ecg-20.dcm"]
    assert lines[-2] == "… and 21 more"
    assert "0 of 29 files" in lines[-1]


def test_what_was_not_offered_yet_is_not_counted_as_done():
    assert "  1%" in link_progress.plain_line([parcel(number) for number in range(1, 51)], progress({1: 60_000}), "")


def test_confirmed_files_have_no_bar_and_count_as_done():
    parcels = [parcel(1, verdict=Receipt()), parcel(2, verdict=Refusal(BUSY)), parcel(3)]
    lines = link_progress.lines(parcels, progress(), "", 100)
    assert [line.split()[0] for line in lines[:-1]] == ["ecg-3.dcm"]
    assert " 33%" in lines[-1]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (progress({1: 10}, connected=False), "waiting for the link: Connection refused"),
        (progress({1: 10}, silence_s=75.0), "nothing heard for 1 min 15 s"),
        (progress({1: 100_000}), "all there, waiting for the confirmation"),
        (progress({1: 10}, rate_bps=0.0), "by udp"),
        (progress({1: 10}, rate_bps=2400.0), "300 B/s"),
    ],
)
def test_what_is_the_matter_is_said(seen, text):
    line = link_progress.plain_line([parcel(1)], seen, "Connection refused")
    assert text in line
    assert not re.search(r"inf|nan|\b0 s left|0\.00 kB/s", line)


@given(
    columns=st.integers(1, 200),
    count=st.integers(1, 12),
    done=st.dictionaries(st.integers(1, 12), st.integers(0, 100_000), max_size=12),
    rate_bps=st.floats(0, 1e12),
    name=st.text(min_size=1, max_size=60).filter(lambda text: "/" not in text and "\0" not in text),
)
def test_no_line_is_longer_than_the_terminal(columns, count, done, rate_bps, name):
    parcels = [parcel(number, name=name) for number in range(1, count + 1)]
    for line in link_progress.lines(parcels, progress(done, rate_bps), "", columns):
        assert len(line) <= columns
        assert line.isprintable()


def test_a_bar_is_full_only_when_all_is_done():
    assert bar(99_999, 100_000, 10) == f"{FULL * 9}{EMPTY}  99%"
    assert bar(100_000, 100_000, 10) == f"{FULL * 10} 100%"
    assert bar(0, 0, 10) == f"{FULL * 10} 100%"
    assert fit(["abc", "de", "", "fghi"], 7) == "abc  de"
    assert fit(["abcdef"], 3) == "abc"


class Screen:
    """What a terminal shows of what was written: lines, cursor up, clear to the end of the line and of the screen."""

    def __init__(self):
        self.lines, self.row, self.column = [""], 0, 0

    def take(self, text):
        for part in re.findall(r"\x1b\[\d*[A-Z]|\r|\n|[^\x1b\r\n]+", text):
            self._take(part)

    def _take(self, part):
        if part == "\n":
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        elif part == "\r":
            self.column = 0
        elif part.endswith("A") and part.startswith("\x1b"):
            self.row -= int(part[2:-1])
        elif part == "\x1b[K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif part == "\x1b[J":
            self.lines[self.row :] = [self.lines[self.row][: self.column]]
        else:
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + part + line[self.column + len(part) :]
            self.column += len(part)


def test_what_is_painted_is_painted_over_and_what_is_said_stays():
    stream, screen = io.StringIO(), Screen()
    painter = Painter(stream)
    painter.paint(["a 1", "b 1", "all 1"])
    painter.say("trying tcp://h:7")
    painter.paint(["a longer 2", "all 2"])
    painter.paint(["all 3"])
    screen.take(stream.getvalue())
    assert screen.lines == ["trying tcp://h:7", "all 3", ""]
    assert (screen.row, screen.column) == (2, 0)


def on_a_terminal(folder, words, columns, rows=24):
    """Run `link` with its standard error on a terminal of this size; return (exit code, output)."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (rows, columns))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [*FELDSHER, *words], cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                data = os.read(ours, 4096)
            except OSError:  # the far end is closed
                break
            if not data:
                break
            seen += data
        os.close(ours)
        process.wait(60)
    return process.returncode, seen.decode()


@pytest.mark.skipif(sys.platform != "linux", reason="NO PTY of this kind here")
@pytest.mark.parametrize(("columns", "rows"), [(100, 24), (24, 3)])
def test_a_send_on_a_terminal_paints_bars_and_leaves_the_cursor_below(tmp_path, columns, rows):
    assert run(tmp_path, "keys", "keys").returncode == 0
    for number in range(3):
        (tmp_path / f"picture-{number}").write_bytes(random.Random(number).randbytes(4_000_000))
    names = [f"picture-{number}" for number in range(3)]
    with Server(tmp_path, "udp://127.0.0.1:0") as server:
        code, text = on_a_terminal(
            tmp_path, ["send", *names, "--to", server.url, "--keys", "keys", "--no-compress"], columns, rows
        )
    assert code == 0, text
    assert text.count(EMPTY) > 0, "it was over before a bar was painted"
    screen = Screen()
    screen.take(text.replace("\r\n", "\n"))
    assert screen.column == 0
    assert screen.lines[-1] == ""
    assert len(screen.lines) == 2
    assert "100%" in screen.lines[0]
    assert all(len(line) < columns for line in re.sub(r"\x1b\[\d*[A-Z]", "", text).splitlines())
