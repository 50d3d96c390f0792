"""The simulated sender of files against an independent receiver, lrzsz; and the commands that start it."""

import os
import pty
import select
import shutil
import subprocess
import time
import tty

import pytest

from feldsher import main
from hardware.simulated.file_sender import FileSender
from hardware.simulated.scp_ecg import record

PATIENCE_S = 20.0
ANSWER_S = 0.01
"""A receiver empties its line after it has called; a device that answered at once would not be heard."""
ECG = record(1, "12345674", samples=400)


def received_by(words, device, folder):
    """Run a receiver on a pty in real time; return its exit code."""
    if shutil.which(words[0]) is None:
        pytest.skip(f"LRZSZ ABSENT: no {words[0]} here; Debian: apt install lrzsz")
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    with subprocess.Popen(words, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, cwd=folder) as receiver:
        try:
            began = time.monotonic()
            while receiver.poll() is None and time.monotonic() < began + PATIENCE_S:
                now = time.monotonic() - began
                os.write(ours, device.tick(now))
                if select.select([ours], [], [], 0.02)[0]:
                    time.sleep(ANSWER_S)
                    os.write(ours, device.feed(os.read(ours, 4096), now))
            if select.select([ours], [], [], 0.1)[0]:
                device.feed(os.read(ours, 4096), time.monotonic() - began)
            return receiver.poll()
        finally:
            receiver.kill()
            os.close(ours)
            os.close(theirs)


@pytest.mark.parametrize(
    ("words", "protocol", "faults"),
    [
        (["rz"], "zmodem", []),
        (["rz"], "zmodem", ["bad-crc"]),
        (["rb"], "ymodem", []),
        (["rx", "--with-crc", "0001.SCP"], "xmodem-1k", []),
        (["rx", "0001.SCP"], "xmodem", ["by-sum"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else value,
)
def test_an_independent_receiver_takes_what_the_simulator_sends(tmp_path, words, protocol, faults):
    device = FileSender([("0001.SCP", ECG)], protocol, faults)
    assert received_by(words, device, tmp_path) == 0
    found = (tmp_path / "0001.SCP").read_bytes()
    assert found[: len(ECG)] == ECG
    assert not found[len(ECG) :].strip(b"\x1a")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["hl7", "--style", "xp100"], 64, "--style xp100: the hl7 knows: es480, bc5380, pcd01"),
        (["ecg", "--style", "es480"], 64, "--style es480: the ecg knows: zmodem, xmodem, xmodem-1k, ymodem"),
        (["ecg", "--fault", "no-end"], 64, "--fault no-end: the ecg knows: bad-crc"),
        (["hl7", "--style", "bc5380", "--encoding", "ebcdic-9"], 64, "--encoding ebcdic-9"),
    ],
)
def test_what_cannot_be_simulated_is_said_before_a_line_is_opened(capsys, words, code, says):
    assert main.main(["simulate", "device", *words]) == code
    assert says in capsys.readouterr().err
