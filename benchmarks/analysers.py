"""One analyser with the same faults calls us and what others run for it: what was acknowledged, and what is there.

The analyser (`hardware.simulated.analyser`, written from LIS01-A2) calls over TCP, for that is what all of them speak,
and keeps its real timers. Ours is `feldsher kit capture`; the others are programs of PyPI, each in the interpreter that
has it, set up as its own manual says, with a store on disk where it leaves that to the user; and the loop that is
written when there is no time. Every result has a value that no other has, so that what is lost, doubled or wrong can
be counted without knowing anybody's format.

`PEERS` in the environment names interpreters of virtual environments, divided by colons; a peer that none of them has
is left out, loudly. Owns one temporary folder below the current one; ends whatever it started.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from benchmarks.kit import ROOT, Row, Van
from hardware.simulated.analyser import Analyser, in_blocks, in_one_frame, in_records
from hardware.simulated.device import Device
from server.centre import Centre
from wire.record import Result
from wire.study import open_study

MESSAGES: Final = 3
RESULTS: Final = 8
LONG_RESULTS: Final = 530
"""Of one message in one frame: 26 kB, as a real analyser sends it."""
EVERY_S: Final = 1.0
RUN_S_MAX: Final = 150.0
SETTLE_S: Final = 1.0
START_S: Final = 20.0
AT_ONCE: Final = 4
DISK_SIZE: Final = 64 << 20
ACK: Final = b"\x06"
NAME: Final = "Smith^Anna"
Division = Callable[[Sequence[bytes]], list[tuple[bytes, bool]]]


@dataclass(frozen=True)
class Case:
    """What the analyser does. `killed_behind`: the receiver gets SIGKILL behind so many ACKs, and is started again."""

    name: str
    divided: Division = in_records
    faults: tuple[str, ...] = ()
    patient: str = NAME
    encoding: str = "ascii"
    results: int = RESULTS
    messages: int = MESSAGES
    killed_behind: int = 0
    full_s: float = 0.0
    """The disk of the store is full for so long; then SIGKILL, there is room, and the receiver is started again."""
    is_damaged: bool = False
    """A digit of the second result of the first message is another on its first way over the line."""

    def record(self, message: int, at: int) -> tuple[str, str]:
        """Return test and value of a result."""
        return f"T{at:03d}", f"{1000 * (message + 1) + at}.{(message + at) % 10}{at % 7 + 1}"

    def sent(self) -> list[tuple[str, str]]:
        """Return every result that there is."""
        return [self.record(message, at) for message in range(self.messages) for at in range(self.results)]

    answered_by: ClassVar[bytes] = ACK
    """The byte that every answer has, once."""

    def device(self) -> Device:
        """Return the analyser."""
        said = [self.divided(self._records(message)) for message in range(self.messages)]
        return Analyser(said, self.faults, EVERY_S)

    def _records(self, message: int) -> list[bytes]:
        rows = [self.record(message, at) for at in range(self.results)]
        lines = [
            "H|\\^&|||SIM^1.0|||||||P|1|20260801080000",
            f"P|1|PID{message}|||{self.patient}||19570412|F",
            f"O|1|S{message}||^^^CBC|R",
            *(f"R|{at}|^^^{test}|{value}|g/L||N||F||||20260801080000" for at, (test, value) in enumerate(rows, 1)),
            "L|1|N",
        ]
        return [line.encode(self.encoding) for line in lines]

    def on_line(self, said: bytes) -> bytes:
        """Return what arrives of what is said, when the line damages it."""
        test, value = self.record(0, 1)
        whole = f"{test}|{value}".encode()
        return said.replace(whole, whole.replace(value.encode(), b"9" + value[1:].encode()))


CASES: Final = (
    Case("nothing goes wrong"),
    Case("a name in Latin-1", patient="Müller^Jörg", encoding="latin-1"),
    Case("a name in cp1251", patient="Іваненко^Петро", encoding="cp1251"),
    Case("one frame of 26 kB", in_one_frame, results=LONG_RESULTS, messages=1),
    Case("frames of 240 characters", in_blocks, patient="X" * 600),
    Case("three frames numbered 1 (Yumizen)", faults=("frame-numbers",)),
    Case("frames end with CR alone", faults=("cr-only",)),
    Case("ENQ, EOT before each message", faults=("keep-alive",)),
    Case("noise before each frame", in_one_frame, faults=("noise",)),
    Case("an ACK is lost", in_one_frame, faults=("lost-ack",)),
    Case("the last ACK is lost", in_one_frame, faults=("lost-last-ack",)),
    Case("a wrong checksum", in_one_frame, faults=("bad-checksum",)),
    Case("a digit damaged on the line", is_damaged=True),
    Case("cut in the middle, all again", in_one_frame, faults=("cut",)),
    Case("kill -9 behind the ACK of a frame", killed_behind=6),
    Case("kill -9 behind a message's last ACK", killed_behind=1 + RESULTS + 4),
    Case("the disk is full, then kill -9", full_s=15.0),
)


@dataclass(frozen=True)
class Receiver:
    """One program. `python`: the interpreter that has it; `stored` reads (test, value) out of its folder."""

    name: str
    python: str
    command: Callable[[str, int, Path], list[str]]
    stored: Callable[[Path], Iterator[tuple[str, str]]]
    prepare: Callable[[Path], object] = lambda _: None


# Ours


def ours(driver: str) -> Receiver:
    """Return the kit with one driver."""

    def command(python: str, port: int, folder: Path) -> list[str]:
        words = ["--data", str(folder / "kit"), "--port", f"tcp-listen://127.0.0.1:{port}", "--driver", driver]
        return [python, "-m", "feldsher", "kit", "capture", *words]

    return Receiver("feldsher kit capture", sys.executable, command, in_studies, lambda folder: Van(folder, {}))


def in_studies(folder: Path) -> Iterator[tuple[str, str]]:
    """Open what the kit closed with the centre's key; the kit has been ended, so nothing is open any more."""
    with Centre.open(folder / "centre") as centre:
        secret = centre.keys.seal_secret
    for path in sorted((folder / "kit" / "spool").glob("*.study")):
        tags = [tag for entry in open_study(path.read_bytes(), secret).entries for tag in entry.tags]
        for result in (Result.from_tag(tag) for tag in tags if tag.kind == Result.KIND):
            yield from ((one.code.strip("^"), one.value) for one in result.observations)


# The others. Each appends what it was given to a file and flushes it before it answers, in its own way if it has one


LOOP: Final = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    line, _ = server.accept()
    with open(sys.argv[2], "ab", buffering=0) as file:
        while data := line.recv(65536):
            file.write(data)
            for byte in data:
                if byte in b"\\x05\\n":
                    line.sendall(b"\\x06")
"""
PYTHON_ASTM: Final = """
import builtins, sys
builtins.buffer = lambda data, at, size: data[at:at + size]
from astm.server import BaseRecordsDispatcher, Server
def keep(self, record):
    with open(sys.argv[2], "a", encoding="utf-8") as file:
        file.write("|".join("^".join(map(str, f)) if isinstance(f, list) else str(f or "") for f in record) + "\\n")
class Keep(BaseRecordsDispatcher):
    _default_handler = keep
Server("127.0.0.1", int(sys.argv[1]), dispatcher=Keep).serve_forever()
"""
"""As it is, it ends a connection at the first ENQ: it calls `buffer`, which Python 3 has not. So it is given one."""
LABMCP: Final = """
import sys, time
from labmcp_astm_lis.driver import ASTMReceiver, ListenTransport, ResultStore
store = ResultStore(store_path=sys.argv[2], redacted=False)
port = int(sys.argv[1])
ASTMReceiver(lambda: ListenTransport("127.0.0.1", port), mode="tcp-listen", where="", store=store, redact=False)
while True:
    time.sleep(60)
"""


def program(text: str) -> Callable[[str, int, Path], list[str]]:
    """Return how a program is called: with the port, and the file that it keeps."""
    return lambda python, port, folder: [python, "-c", text, str(port), str(folder / "kept")]


def _in_lines(folder: Path) -> Iterator[tuple[str, str]]:
    """Read R records wherever a line begins with one; a frame's head may stand before it."""
    path = folder / "kept"
    text = path.read_bytes().decode("latin-1") if path.exists() else ""
    for line in text.replace("\r", "\n").split("\n"):
        fields = line.rpartition("\x02")[2].lstrip("01234567").split("|")
        if fields[0] == "R" and len(fields) > 3:
            yield fields[2].strip("^").replace("None", "").strip("^"), fields[3]


def _in_json(folder: Path) -> Iterator[tuple[str, str]]:
    path = folder / "kept"
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        for fields in (record.split("|") for record in json.loads(line)["records"]):
            if fields[0] == "R":
                yield fields[2].strip("^"), fields[3]


PEERS: Final[Mapping[str, tuple[str, Callable[[Path], Iterator[tuple[str, str]]]]]] = {
    "labmcp-astm-lis": (LABMCP, _in_json),
    "astm-2025": (PYTHON_ASTM, _in_lines),
}
"""Package: the program, and who reads its store.

Not here: python-astm 0.5 of 2013 (builds on no Python of today), astmio 1.0.0a3 (its wheel lacks a module that it
imports), senaite.astm (is not on PyPI).
"""
VERSION: Final = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


def receivers() -> list[Receiver]:
    """Return ours, the loop, and each peer that is there; say which is not."""
    found = [
        ours("astm"),
        Receiver("a loop that appends and ACKs", sys.executable, program(LOOP), _in_lines),
    ]
    return found + [peer for name, (text, stored) in PEERS.items() for peer in peers(name, text, stored)]


def peers(package: str, text: str, stored: Callable[[Path], Iterator[tuple[str, str]]]) -> list[Receiver]:
    """Return the receiver that is this program in the first interpreter that has the package; none, loudly, if none."""
    pythons = [sys.executable, *filter(None, os.environ.get("PEERS", "").split(":"))]
    has = next(((python, version) for python in pythons if (version := _version(python, package))), None)
    if has is None:
        print(f"benchmarks: {package} IS NOT HERE and is left out: PEERS names no Python that has it", file=sys.stderr)
        return []
    return [Receiver(f"{package} {has[1]}", has[0], program(text), stored)]


def _version(python: str, package: str) -> str:
    """Return which version of a package an interpreter has, "" for none."""
    told = subprocess.run([python, "-c", VERSION, package], capture_output=True, text=True, check=False)
    return "" if told.returncode else told.stdout.strip()


# A run


class _Process:
    """A receiver's process, which can be killed and started again on the same port and folder."""

    def __init__(self, receiver: Receiver, folder: Path) -> None:
        self._receiver, self._folder = receiver, folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = self._receiver.command(self._receiver.python, self.port, self._folder)
        with self._folder.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)

    def end(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)
        self._process.wait(30)


class Gone(Exception):
    """The receiver does not listen any more."""


def _call(port: int) -> socket.socket:
    until = time.monotonic() + START_S
    while True:
        try:
            line = socket.create_connection(("127.0.0.1", port), 1.0)
        except OSError:
            if time.monotonic() > until:
                raise Gone from None
            time.sleep(0.05)
        else:
            line.setblocking(False)
            return line


@contextmanager
def _running(receiver: Receiver, folder: Path) -> Iterator[_Process]:
    """Let it run; in the end SIGTERM, as a system that shuts down in order."""
    process = _Process(receiver, folder)
    process.start()
    try:
        yield process
    finally:
        process.end(signal.SIGTERM)


def _speak(case: Case, device: Device, process: _Process) -> None:
    """Let it say everything. Where the receiver goes away it calls again, as a converter does. Raises Gone."""
    line, acks, damages = _call(process.port), 0, [case.on_line] if case.is_damaged else []
    until = time.monotonic() + RUN_S_MAX

    def arriving(said: bytes) -> bytes:
        damaged = damages[0](said) if damages else said
        if damaged != said:
            damages.clear()
        return damaged

    while time.monotonic() < until:
        said = arriving(device.tick(time.monotonic()))
        line, heard = _exchange(line, process.port, said)
        for byte in (heard[at : at + 1] for at in range(len(heard))):
            acks += byte == case.answered_by
            said = device.feed(byte, time.monotonic())
            if byte == case.answered_by and acks == case.killed_behind:
                process.end(signal.SIGKILL)
                process.start()
            line, _ = _exchange(line, process.port, arriving(said), 0.0)
        if device.is_done:
            break
    time.sleep(SETTLE_S)
    line.close()


def _exchange(line: socket.socket, port: int, said: bytes, wait_s: float = 0.05) -> tuple[socket.socket, bytes]:
    """Send, and return the line (another one when the far end went away) and what is heard."""
    try:
        while said:
            select.select([], [line], [], 1.0)
            said = said[line.send(said) :]
        if wait_s and select.select([line], [], [], wait_s)[0]:
            if heard := line.recv(4_096):
                return line, heard
            raise ConnectionResetError
    except BlockingIOError:
        return line, b""
    except OSError:
        line.close()
        return _call(port), b""
    return line, b""


def told(device: Device, case: Case) -> int:
    """Return how many results the analyser may forget: those of the messages whose frames were all acknowledged."""
    return device.report.acknowledged * case.results


def counted(case: Case, acknowledged: int, stored: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return how many results were acknowledged, stored, lost (acknowledged, not stored), doubled, and never said."""
    sent, kept = case.sent(), Counter(stored)
    there = sum(one in kept for one in sent)
    return {
        "acknowledged": acknowledged,
        "stored": there,
        "lost": max(0, sum(one not in kept for one in sent[:acknowledged])),
        "doubled": sum(kept[one] - 1 for one in sent if one in kept),
        "wrong": sum(count for one, count in kept.items() if one not in set(sent)),
    }


@dataclass(frozen=True)
class Job:
    """One case with one receiver in a folder of its own."""

    receiver: Receiver
    case: Case
    folder: Path

    def prepare(self) -> None:
        """Make the folder, on a small disk of its own if the disk is to be full, and what the receiver needs in it."""
        self.folder.mkdir()
        if self.case.full_s:
            options = ["-t", "tmpfs", "-o", f"size={DISK_SIZE}", "tmpfs"]
            subprocess.run(["mount", *options, str(self.folder)], check=True, capture_output=True)
        self.receiver.prepare(self.folder)

    def clear(self) -> None:
        """Take the disk away."""
        if self.folder.is_mount():
            subprocess.run(["umount", str(self.folder)], check=True)

    def run(self) -> tuple[Device, Row]:
        """Let the analyser speak; return it, and what there is to say besides."""
        began, device, note = time.monotonic(), self.case.device(), dict[str, object]()
        with _running(self.receiver, self.folder) as process, self._full(process):
            try:
                _speak(self.case, device, process)
            except Gone:
                note = {"note": "it went away and did not come back"}
        return device, {"refused": device.report.refused, "seconds": round(time.monotonic() - began), **note}

    @contextmanager
    def _full(self, process: _Process) -> Iterator[None]:
        """Fill the disk now, and make room again when it is time."""
        if not self.case.full_s:
            yield
            return
        filler = self.folder / "filler"
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1 << 12)):
                pass

        def again() -> None:
            process.end(signal.SIGKILL)
            filler.unlink()
            process.start()

        timer = threading.Timer(self.case.full_s, again)
        timer.start()
        try:
            yield
        finally:
            timer.join()

    def row(self, device: Device, beside: Row) -> Row:
        """Return what came of it."""
        sent = len(self.case.sent())
        figures = counted(self.case, told(device, self.case), list(self.receiver.stored(self.folder)))
        is_good = figures == {"acknowledged": sent, "stored": sent, "lost": 0, "doubled": 0, "wrong": 0}
        head: Row = {"case": self.case.name, "who": self.receiver.name, "results": sent}
        return {**head, **figures, "all once": is_good, **beside}


def run(folder: str | None = None, cases: Sequence[Case] = CASES) -> Sequence[Row]:
    """Return a row for each case with a column for each receiver, and their sums. `folder`: as `measured` has it."""
    return tabled(measured(folder, cases))


def tabled(rows: Sequence[Row]) -> Sequence[Row]:
    """Return a row for each case and the sums."""
    whos = list(dict.fromkeys(str(row["who"]) for row in rows))
    table: list[Row] = []
    for case in dict.fromkeys(row["case"] for row in rows):
        of = {row["who"]: row for row in rows if row["case"] == case}
        table.append({"case": case, "results": of[whos[0]]["results"], **{who: shown(of[who]) for who in whos}})
    sums = {who: _sum([row for row in rows if row["who"] == who]) for who in whos}
    return [
        *table,
        {"case": "all cases", "results": sums[whos[0]]["results"], **{who: shown(sums[who]) for who in whos}},
    ]


def _sum(rows: Sequence[Row]) -> dict[str, int]:
    names = ("results", "acknowledged", "stored", "lost", "doubled", "wrong")
    return {name: sum(int(str(row[name])) for row in rows) for name in names}


def shown(row: Mapping[str, object]) -> str:
    """Return acknowledged and stored results, and what is wrong with them."""
    faults = [f"{row[name]} {name.upper()}" for name in ("lost", "doubled", "wrong") if row[name]]
    return ", ".join([f"{row['acknowledged']} / {row['stored']}", *faults])


def measured(folder: str | None = None, cases: Sequence[Case] = CASES, found: Sequence[Receiver] = ()) -> Sequence[Row]:
    """Return a row for each case and receiver. `folder`: where their stores are; the current folder by default."""
    below, there = Path(tempfile.mkdtemp(dir=folder or ".")).resolve(), found or receivers()
    pairs = [(receiver, case) for case in _possible(cases) for receiver in there]
    jobs = [Job(receiver, case, below / str(at)) for at, (receiver, case) in enumerate(pairs)]
    try:
        for job in jobs:
            job.prepare()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            spoken = list(pool.map(Job.run, jobs))
        return [job.row(*one) for job, one in zip(jobs, spoken, strict=True)]
    finally:
        for job in jobs:
            job.clear()
        shutil.rmtree(below, ignore_errors=True)


def _possible(cases: Sequence[Case]) -> list[Case]:
    """Return the cases that can be run by this user; say which can not."""
    for case in cases if os.geteuid() else ():
        if case.full_s:
            print(f"analysers: {case.name!r} IS LEFT OUT: it takes root, who may mount", file=sys.stderr)
    return [case for case in cases if not (case.full_s and os.geteuid())]


if __name__ == "__main__":
    for row in run():
        print(row)
