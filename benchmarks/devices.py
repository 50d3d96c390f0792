"""Six devices at once, two without end: CPU, memory, an analyser's wait; and a card that stalls at 115,200 baud.

The kit is `feldsher kit run`, the devices are `feldsher simulate device` on ptys, each a process of its own, and only
the kit's is measured. The stall is real: the data folder is an ext4 file system on a loop device, and the kernel
freezes it (FIFREEZE), so that every write and fsync waits. A device on a serial line does not wait: what the pty does
not take at its time counts as lost. Beside it is a loop that reads, appends and calls fsync.
"""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from benchmarks.kit import ROOT, Row, Van, cpu_s, plugged, resident_mb, row, say
from hardware.simulated import ptys
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from server.centre import Centre
from wire import kinds
from wire.study import open_study

WARM_S: Final = 5.0
MEASURED_S: Final = 40.0
IDLE_S: Final = 15.0
EVERY_S: Final = 5.0
DEVICES: Final = {
    "oximeter": ("nonin", ["oximeter", "--finger", "600"]),
    "finger": ("contec", ["contec", "--finger", "600"]),
    "arm": ("tm2655", ["tm2655", "--every", "10", "--repeat"]),
    "scale": ("andscale", ["andscale", "--every", "20", "--repeat"]),
    "gps": ("nmea", ["gps", "--every", "1", "--repeat"]),
}
"""Port: driver, and the arguments of the simulator. The sixth is an analyser whose wait is measured."""
PORTS: Final = {"analyser": "astm", **{name: driver for name, (driver, _) in DEVICES.items()}}
BAUD: Final = 115_200
BYTES_S: Final = BAUD // 10
STREAM_S: Final = 12.0
STALLS_S: Final = (2.0,)
STALL_AT_S: Final = 3.0
LINE_SIZE: Final = 64
TICK_S: Final = 0.01
IMAGE_SIZE: Final = 256 << 20
NAIVE: Final = """
import os, serial, sys
line = serial.Serial(sys.argv[1], 115200, timeout=0.2)
file = open(sys.argv[2], "ab", buffering=0)
print("ready", flush=True)
while True:
    data = line.read(max(1, line.in_waiting))
    if data:
        file.write(data)
        os.fsync(file.fileno())
"""


# Six at once


@contextlib.contextmanager
def _simulated(van: Van) -> Iterator[None]:
    """Let all devices but the analyser speak."""
    processes = []
    try:
        for name, (_, words) in DEVICES.items():
            command = [sys.executable, "-m", "feldsher", "simulate", "device", *words, "--pty-link", van.pty(name)]
            one = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            processes.append(one)
            assert one.stdout is not None
            assert one.stdout.readline().strip(), f"{name} does not start"
        yield
    finally:
        for one in processes:
            one.kill()
            one.wait()


def _idle(van: Van) -> float:
    """Return the CPU of a kit whose six devices are plugged in and silent, percent of a core."""
    with contextlib.ExitStack() as lines:
        for name in PORTS:
            lines.enter_context(ptys.open_pty(van.pty(name)))
        pid, _ = lines.enter_context(van.running())
        plugged(van)
        time.sleep(WARM_S)
        before = cpu_s(pid)
        time.sleep(IDLE_S)
        return 100 * (cpu_s(pid) - before) / IDLE_S


def _at_once(van: Van) -> list[Row]:
    with ptys.open_pty(van.pty("analyser")) as (line, _), _simulated(van), van.running() as (pid, _):
        plugged(van)
        time.sleep(WARM_S)
        before, began, waits, size, frames = cpu_s(pid), time.monotonic(), [], 0, 0
        while (now := time.monotonic()) - began < MEASURED_S:
            device = Analyser([list(message("blocks", 1, "10079192", at=len(waits)))], [], 1.0)
            waits.append(say(device, line))
            size, frames = device.report.bytes_sent, device.report.frames
            time.sleep(max(0.0, EVERY_S - (time.monotonic() - now)))
        passed = time.monotonic() - began
        cpu = 100 * (cpu_s(pid) - before) / passed
        memory, peak = resident_mb(pid, "VmRSS"), resident_mb(pid, "VmHWM")
    lost = (van.folder / "kit.log").read_text().count("bytes were lost")
    return [
        row("CPU of the kit, six devices at once", cpu, "% of a core", seconds=round(passed)),
        row("resident memory, six devices", memory, "MB"),
        row("highest resident memory", peak, "MB"),
        row(
            "analyser's wait, ENQ to last ACK, median", statistics.median(waits) * 1000, "ms", bytes=size, frames=frames
        ),
        row(f"analyser's wait, longest of {len(waits)}", max(waits) * 1000, "ms", bytes=size, frames=frames),
        row("studies closed in that time and at its end", van.studies(), "", lost=lost),
    ]


# A card that stalls


@contextlib.contextmanager
def _card() -> Iterator[Path]:
    """Give a file system that can be frozen. Raises OSError, CalledProcessError where there is none to be had."""
    below = Path(tempfile.mkdtemp())
    image, mounted = below / "card", below / "mnt"
    mounted.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate(IMAGE_SIZE)
        subprocess.run(["mkfs.ext4", "-q", str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True, capture_output=True)
        try:
            yield mounted
        finally:
            subprocess.run(["umount", str(mounted)], check=True)
    finally:
        shutil.rmtree(below, ignore_errors=True)


def _stalled(card: Path, stall_s: float) -> None:
    subprocess.run(["fsfreeze", "-f", str(card)], check=True)
    try:
        time.sleep(stall_s)
    finally:
        subprocess.run(["fsfreeze", "-u", str(card)], check=True)


def _text(at: int) -> bytes:
    return f"{at:08d} ".encode().ljust(LINE_SIZE - 2, b".") + b"\r\n"


def _stream(line: int) -> bytes:
    """Say bytes at the pace of the line; what is not taken at its time is lost. Return what was said."""
    whole = b"".join(_text(at) for at in range(int(STREAM_S * BYTES_S / LINE_SIZE)))
    began, said = time.monotonic(), 0
    while said < len(whole):
        due = min(len(whole), int((time.monotonic() - began) * BYTES_S))
        with contextlib.suppress(BlockingIOError):
            os.write(line, whole[said:due])
        said = due
        time.sleep(TICK_S)
    return whole


def _with_a_stall(line: int, card: Path, stall_s: float) -> bytes:
    stall = threading.Timer(STALL_AT_S, _stalled, (card, stall_s))
    stall.start()
    said = _stream(line)
    stall.join()
    return said


def _kit_through(stall_s: float) -> Row:
    """The kit, whose card stalls; what its studies hold is opened with the centre's key."""
    with _card() as card:
        van = Van(card, {"stream": "lines"})
        with ptys.open_pty(van.pty("stream")) as (line, _), van.running() as (pid, _):
            plugged(van)
            whole = _with_a_stall(line, card, stall_s)
            van.wait_for(1)
            peak = resident_mb(pid, "VmHWM")
        held = _raw(van)
    assert len(held) < len(whole) or held == whole, "what is held is not what was said"
    return _stall_row("feldsher kit run", stall_s, whole, len(whole) - len(held), highest_mb=round(peak, 1))


def _raw(van: Van) -> bytes:
    with Centre.open(van.folder / "centre") as centre:
        studies = [
            open_study(path.read_bytes(), centre.keys.seal_secret)
            for path in sorted((van.data / "spool").glob("*.study"))
        ]
    tags = [tag for study in studies for entry in study.entries for tag in entry.tags]
    return b"".join(tag.data for tag in tags if tag.kind == (kinds.CAPTURE, kinds.RAW))


def _naive_through(stall_s: float) -> Row:
    with _card() as card, ptys.open_pty() as (line, path):
        command = [sys.executable, "-c", NAIVE, path, str(card / "file")]
        loop = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            assert loop.stdout is not None
            assert loop.stdout.readline() == b"ready\n"
            whole = _with_a_stall(line, card, stall_s)
            time.sleep(1.0)
        finally:
            loop.kill()
            loop.wait()
        held = (card / "file").stat().st_size
    return _stall_row("read, append, fsync in one loop", stall_s, whole, len(whole) - held)


def _stall_row(who: str, stall_s: float, whole: bytes, lost: int, **beside: object) -> Row:
    sent = {"bytes": len(whole), "seconds": round(STREAM_S)}
    return row(f"bytes lost at 115,200 baud, card stalls for {stall_s:g} s: {who}", lost, "bytes", **sent, **beside)


def _stalls() -> list[Row]:
    try:
        with _card():
            pass
    except (OSError, subprocess.CalledProcessError) as error:
        print(
            f"devices: a card that stalls was left out: it takes root, ext4 and a loop device ({error})",
            file=sys.stderr,
        )
        return []
    return [measure(stall_s) for stall_s in STALLS_S for measure in (_kit_through, _naive_through)]


def run(folder: str | None = None) -> Sequence[Row]:
    """Return the rows. `folder`: where the six are measured (a new one below it); the current folder by default."""
    load = os.getloadavg()[0]
    below = Path(tempfile.mkdtemp(dir=folder or "."))
    try:
        van = Van(below.resolve(), PORTS)
        idle = row("CPU of the kit, six devices that are silent", _idle(van), "% of a core", seconds=round(IDLE_S))
        rows = [idle, *_at_once(van)]
    finally:
        shutil.rmtree(below, ignore_errors=True)
    busy = row("load of the machine before (1 minute)", load, "")
    return [*rows, *_stalls(), busy]


if __name__ == "__main__":
    for one in run():
        print(one)
