"""What a commit costs: fsyncs for each entry, and entries a second beside SQLite WAL with synchronous=FULL.

Both commit the same sealed bytes to the same folder in the same run, in turns, so that the disk's mood meets both. The
fsyncs are counted at the disk seam; `tests/node/test_kill.py` sees them by strace.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.records import container, entries
from node.clock import SystemClock
from node.disk import RealDisk
from node.entropy import system
from node.journal import Limits, Studies
from node.spool import Spool
from wire.seal import seal_pair, sign_pair
from wire.study import StudyWriter

UNSEEN_SEED = 20261122
COUNT = 400
ROUNDS = 4
SECRET, PUBLIC = seal_pair(bytes(range(32)))
SIGN_SECRET, _ = sign_pair(bytes(range(32)))
Row = dict[str, object]


class CountingDisk(RealDisk):
    """A real disk that counts what is asked of it."""

    appends = syncs = 0

    def append(self, path: str, data: bytes) -> None:
        self.appends += 1
        super().append(path, data)

    def sync(self, path: str) -> None:
        self.syncs += 1
        super().sync(path)


def _row(name: str, value: float, unit: str, **beside: object) -> Row:
    return {"benchmark": "journal", "name": name, "value": round(value, 2), "unit": unit, **beside}


def _studies(disk: RealDisk) -> Studies:
    limits = Limits(entries_reserve=1 << 16, closing_reserve=1 << 16)
    studies = Studies(disk, SystemClock(), system, PUBLIC, SIGN_SECRET, Spool(disk), kit="bench", limits=limits)
    studies.recover()
    return studies


def _timed(call: Callable[[], None]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _sqlite(folder: Path) -> sqlite3.Connection:
    base = sqlite3.connect(folder / "beside.db", isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE entry (ordinal INTEGER PRIMARY KEY, data BLOB)")
    return base


def _bare(folder: Path, blocks: list[bytes]) -> None:
    """The least that can be asked: the same bytes, appended and fsynced one by one."""
    fd = os.open(folder / "bare", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for block in blocks:
        os.write(fd, block)
        os.fsync(fd)
    os.close(fd)


def whole_entries(folder: Path) -> list[Row]:
    """Return what an entry costs through the journal: packed, sealed, appended, fsynced."""
    work = entries(UNSEEN_SEED, COUNT)
    mean = round(sum(len(container(tags)) for tags in work) / COUNT)
    with CountingDisk(folder) as disk:
        journal = _studies(disk).open()
        before = disk.appends, disk.syncs

        def append_all() -> None:
            for tags in work:
                journal.append(tags)

        seconds = _timed(append_all)
        appends, syncs = disk.appends - before[0], disk.syncs - before[1]
        size = journal.size
    return [
        _row("fsyncs for each entry", syncs / COUNT, "", want=1, appends=appends / COUNT),
        _row("entries packed, sealed and committed", COUNT / seconds, "/s", plain_bytes=mean),
        _row("bytes on the disk for each entry", size / COUNT, "B", plain_bytes=mean),
    ]


def commits(folder: Path) -> list[Row]:
    """Return commits a second of the same sealed entries: as the journal makes them, SQLite's, and the bare calls."""
    writer = StudyWriter(bytes(16), 0, PUBLIC)
    writer.start()
    blocks = [writer.entry(tags, system) for tags in entries(UNSEEN_SEED, COUNT)]
    share, base = COUNT // ROUNDS, _sqlite(folder)
    seconds = dict.fromkeys(("journal", "sqlite", "bare"), 0.0)
    with RealDisk(folder) as disk:
        disk.make_folder("open")

        def journal(part: list[bytes]) -> None:
            for block in part:
                disk.append("open/beside.study", block)
                disk.sync("open/beside.study")

        def sqlite(part: list[bytes]) -> None:
            for block in part:
                base.execute("INSERT INTO entry (data) VALUES (?)", (block,))

        for at in range(0, COUNT, share):
            for name, call in (("journal", journal), ("sqlite", sqlite), ("bare", lambda part: _bare(folder, part))):
                seconds[name] += _timed(lambda call=call, at=at: call(blocks[at : at + share]))  # type: ignore[misc]  # mypy cannot infer the defaults of a lambda
    base.close()
    rate = {name: COUNT / passed for name, passed in seconds.items()}
    return [
        _row("commits of sealed entries", rate["journal"], "/s", bytes=sum(map(len, blocks)) / COUNT),
        _row("SQLite WAL, synchronous=FULL, the same bytes", rate["sqlite"], "/s"),
        _row("bare write and fsync, the same bytes", rate["bare"], "/s"),
    ]


def run(folder: str | None = None) -> list[Row]:
    """Return the rows. `folder`: where to measure (a new one below it); the current folder by default."""
    with tempfile.TemporaryDirectory(dir=folder or ".") as below:
        return whole_entries(Path(below)) + commits(Path(below))


if __name__ == "__main__":
    for row in run():
        print(row)
