"""Who has a line: seen by a lock although the program's files are not to be seen, and by what diallers leave."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from node import line_faults

LOCKER = """
import fcntl, sys
file = open(sys.argv[1], "rb+", buffering=0)
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
HOLDER = "import sys; file = open(sys.argv[1], 'rb', buffering=0); print('open', flush=True); sys.stdin.read()"


@pytest.fixture
def locker():
    """Start a program that locks a file."""
    processes = []

    def lock(path):
        processes.append(
            subprocess.Popen([sys.executable, "-c", LOCKER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        )
        assert processes[-1].stdout.readline() == b"locked\n"
        return processes[-1].pid

    yield lock
    for process in processes:
        process.communicate()


def test_who_has_locked_a_line_is_named_although_its_files_cannot_be_seen(locker, tmp_path, monkeypatch):
    path = tmp_path / "line"
    path.touch()
    process = locker(str(path))
    monkeypatch.setattr(line_faults, "_has_open", lambda folder, target: False)  # as of another user's program
    locks = (line_faults.PROC / "locks").read_text()
    if f":{path.stat().st_ino} " not in locks:
        pytest.skip("this kernel shows no locks of other processes")
    if f"{os.major(path.stat().st_dev):02x}:{os.minor(path.stat().st_dev):02x}:{path.stat().st_ino} " not in locks:
        pytest.skip("this file system has another number in /proc/locks")
    assert f"(process {process})" in line_faults.holder_of(str(path))


@pytest.mark.parametrize(
    ("holder", "says"),
    [
        (
            "gpsd (process 7)",
            "gpsd (process 7) has it open: take the GPS from its socket, `feldsher kit devices --propose`",
        ),
        ("minicom (process 7)", "minicom (process 7) has it open"),
        ("", "another program (ModemManager?) has it open"),
    ],
)
def test_who_has_the_line_is_said_and_what_to_do_about_gpsd(monkeypatch, holder, says):
    monkeypatch.setattr(line_faults, "holder_of", lambda path: holder)
    assert line_faults.why_not_opened("/dev/ttyACM0", OSError(errno.EBUSY, "busy")) == says


def test_our_own_lock_is_nobodys(tmp_path):
    path = tmp_path / "line"
    with path.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert line_faults.holder_of(str(path)) == ""


def test_a_diallers_lock_file_names_it_while_it_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(line_faults, "LOCK_FOLDERS", (tmp_path,))
    line = tmp_path / "ttyUSB0"
    line.touch()
    lock = tmp_path / "LCK..ttyUSB0"
    lock.write_text(f"{os.getppid():10d} minicom\n")
    assert f"process {os.getppid()}" in line_faults.holder_of(str(line))
    for text in ("99999999\n", "", "nonsense", f"{os.getpid()}\n"):
        lock.write_text(text)
        assert line_faults.holder_of(str(line)) == ""


def test_the_device_behind_a_pty_does_not_hold_it():
    device = "import os, sys; a, b = os.openpty(); print(os.ttyname(b), flush=True); sys.stdin.read()"
    process = subprocess.Popen([sys.executable, "-c", device], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    path = process.stdout.readline().strip()
    assert line_faults.holder_of(path) == ""
    with open(path, "rb", buffering=0) as _:
        other = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert other.stdout.readline() == b"open\n"
        assert f"(process {other.pid})" in line_faults.holder_of(path)
        other.communicate()
    process.communicate()
