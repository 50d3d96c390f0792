"""What the kit costs as a running process: memory, time from exec to ready, CPU for a study, how long a device waits.

Everything is real but the devices: the command `feldsher kit run`, its data folder on this disk, ptys at full speed.
The device's wait is beside what the same frames cost as commits of SQLite, which would have to come before their ACKs.
"""

import os
import select
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

from hardware.simulated import ptys
from hardware.simulated.analyser import Analyser
from hardware.simulated.oximeter import Oximeter
from hardware.simulated.results import message
from node.daemon import read_status
from node.disk import RealDisk
from node.spool import Spool
from provisioning.enrolment import add_gateway, add_kit
from server.centre import Centre
from wire import objects

ROOT: Final = Path(__file__).resolve().parent.parent
STARTS: Final = 5
STUDIES: Final = 20
MESSAGES: Final = 100
MESSAGE_BYTES: Final = 1500
RECEIVED: Final = 100
STUDY_BYTES: Final = 4000
FINGER_S: Final = 10.0
PORTS: Final = {"analyser": "astm", "oximeter": "nonin"}
MEMORY_MB_MAX, START_S_MAX = 60, 1.0
TICKS: Final = os.sysconf("SC_CLK_TCK")
Row = dict[str, object]


class Van:
    """The data folder of a kit that is enrolled, and its process. `ports`: driver by name, each on a pty of that name.

    `options`: lines of TOML for a port, by its name.
    """

    def __init__(
        self, folder: Path, ports: Mapping[str, str] = PORTS, options: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.folder, self.data = folder, folder / "kit"
        self.data.mkdir(mode=0o700)
        with Centre.open(folder / "centre") as centre:
            add_gateway(centre, "ground", folder / "gateway.toml", ["udp://127.0.0.1:9"], ["udp://127.0.0.1:9"])
            add_kit(centre, "van-1", self.data / "enrolment.toml")
        lines = [
            f'[[port]]\nname = "{name}"\npath = "{self.pty(name)}"\ndriver = "{driver}"\n{options.get(name, "")}\n'
            for name, driver in ports.items()
        ]
        (self.data / "kit.toml").write_text("".join(lines))

    def pty(self, name: str) -> str:
        return str(self.folder / name)

    def fill(self) -> None:
        """Put in what a day has left: studies and summaries that the centre has confirmed."""
        with RealDisk(self.data) as disk:
            spool = Spool(disk)
            for at in range(2 * RECEIVED):
                object_id, kind = at.to_bytes(16, "big"), (objects.SUMMARY, objects.STUDY)[at % 2]
                spool.put(object_id, kind, os.urandom(STUDY_BYTES))
                spool.receipt(object_id, bytes(120))

    @contextmanager
    def running(self) -> Iterator[tuple[int, float]]:
        """Give (pid, seconds from exec to READY=1)."""
        address = self.folder / "notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(str(address))
            notify.settimeout(30)
            began = time.perf_counter()
            command = [sys.executable, "-m", "feldsher", "kit", "run", "--data", str(self.data)]
            with (self.folder / "kit.log").open("ab") as log:
                process = subprocess.Popen(
                    command, cwd=ROOT, stderr=log, env=os.environ | {"NOTIFY_SOCKET": str(address)}
                )
            try:
                assert notify.recv(100) == b"READY=1", (self.folder / "kit.log").read_text()[-2000:]
                yield process.pid, time.perf_counter() - began
            finally:
                process.terminate()
                process.wait(30)
        address.unlink()

    def studies(self) -> int:
        return len(list((self.data / "spool").glob("*.study")))

    def wait_for(self, studies: int) -> None:
        until = time.monotonic() + 60
        while self.studies() < studies:
            assert time.monotonic() < until, f"{self.studies()} studies of {studies}"
            time.sleep(0.02)


def _starts(van: Van) -> list[float]:
    seconds = []
    for _ in range(STARTS):
        with van.running() as (_, passed):
            seconds.append(passed)
    return seconds


def resident_mb(pid: int, field: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) / 1024


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _oximetry(line: int) -> None:
    """A finger in the oximeter for FINGER_S."""
    ptys.run(Oximeter(1, 1, FINGER_S, "2", []), line, time.monotonic)


def say(device: Analyser, line: int) -> float:
    """Let the device say one message; return the seconds from its ENQ to the last ACK."""
    device.tick(0.0)
    said, began, now = device.tick(0.0), time.perf_counter(), 0.0
    while not device.is_done:
        os.write(line, said)
        readable, _, _ = select.select([line], [], [], 10)
        assert readable, "the kit does not answer"
        now = time.perf_counter()
        said = device.feed(os.read(line, 64), now)
    os.write(line, said)
    return now - began


def _message(at: int) -> list[tuple[bytes, bool]]:
    """Return a blood count with a histogram: 17 records, each in a frame of its own, about MESSAGE_BYTES in all."""
    return list(message("blocks", 1, "10079192", at=at))


def plugged(van: Van) -> None:
    until = time.monotonic() + 30
    while not all(read_status(van.data).get("ports", {"": False}).values()):
        assert time.monotonic() < until, "the kit does not open its ports"
        time.sleep(0.05)


def _at_work(van: Van) -> list[Row]:
    with (
        ptys.open_pty(van.pty("analyser")) as (analyser, _),
        ptys.open_pty(van.pty("oximeter")) as (oximeter, _),
        van.running() as (pid, _),
    ):
        plugged(van)
        before, began = cpu_s(pid), time.monotonic()
        for at in range(STUDIES - 1):
            say(Analyser([_message(at)], [], 1.0), analyser)
        _oximetry(oximeter)
        van.wait_for(STUDIES)
        wall_s = time.monotonic() - began
        cpu, memory, peak = cpu_s(pid) - before, resident_mb(pid, "VmRSS"), resident_mb(pid, "VmHWM")
        waits, frames, size = [], [], 0
        for at in range(MESSAGES):
            device = Analyser([_message(STUDIES + at)], [], 1.0)
            waits.append(say(device, analyser))
            frames.append(device.report.frames)
            size = device.report.bytes_sent
        van.wait_for(STUDIES + MESSAGES)
    count = round(statistics.mean(frames))
    return [
        row(f"resident memory after {STUDIES} studies, one with a waveform", memory, "MB", want=f"< {MEMORY_MB_MAX}"),
        row("highest resident memory until then", peak, "MB"),
        row("CPU for each of them, the kit's whole work in that time", cpu / STUDIES, "s", wall_s=round(wall_s, 1)),
        row("device's wait, ENQ to last ACK, median", statistics.median(waits) * 1000, "ms", bytes=size, frames=count),
        row("device's wait, ENQ to last ACK, longest of 100", max(waits) * 1000, "ms", bytes=size, frames=count),
        row("the same frames as SQLite commits (WAL, FULL), median", _sqlite_ms(van.folder, count), "ms", bytes=size),
    ]


def _sqlite_ms(folder: Path, frames: int) -> float:
    base = sqlite3.connect(folder / "beside.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE entry (ordinal INTEGER PRIMARY KEY, data BLOB)")
    times = []
    for _ in range(MESSAGES):
        began = time.perf_counter()
        for _ in range(frames):
            base.execute("INSERT INTO entry (data) VALUES (?)", (os.urandom(MESSAGE_BYTES // frames),))
        times.append(time.perf_counter() - began)
    base.close()
    return statistics.median(times) * 1000


def row(name: str, value: float, unit: str, **beside: object) -> Row:
    return {"what": name, "value": round(value, 3), "unit": unit, **beside}


def run(folder: str | None = None) -> list[Row]:
    """Return the rows. `folder`: where to measure (a new one below it); the current folder by default."""
    below = Path(tempfile.mkdtemp(dir=folder or "."))
    try:
        van = Van(below.resolve())
        empty = _starts(van)
        van.fill()
        full = _starts(van)
        shutil.rmtree(van.data / "received")
        rows = [
            row("exec to ready, nothing in the folder, median of 5", statistics.median(empty), "s", want="< 1"),
            row(f"exec to ready, {RECEIVED} received studies, median of 5", statistics.median(full), "s", want="< 1"),
            row(f"exec to ready, {RECEIVED} received studies, longest of 5", max(full), "s", want="< 1"),
        ]
        return rows + _at_work(van)
    finally:
        shutil.rmtree(below, ignore_errors=True)


if __name__ == "__main__":
    for row in run():
        print(row)
