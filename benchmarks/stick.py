"""How long a stick takes: 1,000 studies with their summaries are written, read at a gateway, answered and heard.

Real folders on this machine's disk, with every fsync; a stick of USB 2 writes 5 to 20 MB/s and is then what counts. The
kit's spool and the gateway's depot are the real ones, the server is left out. Beside it the same files as one would
carry them without this: copied one by one, or as one tar, unencrypted, with nothing verified and nobody's receipt.
"""

import os
import random
import shutil
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from gateway.station import Station, Upstream
from node.carrying import Carrier, Far
from node.disk import RealDisk
from node.entropy import system
from node.idle import NothingTaken
from node.link import Grant
from node.spool import Spool, State
from node.stick import FOLDER, mark
from wire import objects
from wire.noise import KeyPair
from wire.roster import RosterEntry, sign_roster
from wire.seal import sign_pair

STUDIES: Final = 1000
STUDY_SIZE, SUMMARY_SIZE = 50_000, 600
KIT, GATEWAY = KeyPair.from_secret(b"k" * 32), KeyPair.from_secret(b"g" * 32)
PSK: Final = b"p" * 32
SIGN_SECRET, SIGN_PUBLIC = sign_pair(b"r" * 32)

Row = dict[str, object]


def run() -> list[Row]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        places = {name: Path(folder) / name for name in ("kit", "ground", "stick", "plain")}
        for place in places.values():
            place.mkdir()
        with RealDisk(places["stick"]) as stick:
            mark(stick)
        return [*carried(places), *copied(places)]


def carried(places: dict[str, Path]) -> list[Row]:
    """Carry everything by parcels."""
    mount, grant = partial(RealDisk, places["stick"]), Grant(PSK, "ground")
    spool = Spool(RealDisk(places["kit"]))
    fill(spool)
    payload = sum(one.size for one in spool.objects())
    kit, again = (
        Carrier("stick", mount, KIT, lambda _: grant, NothingTaken(), system, [Far(GATEWAY.public, spool)])
        for _ in range(2)
    )
    station = Station(GATEWAY, Upstream(b"s" * 32, b"u" * 32, SIGN_PUBLIC), RealDisk(places["ground"]), system)
    station.roster.take(sign_roster(1, [RosterEntry("van", KIT.public, PSK, bytes(32), False)], SIGN_SECRET))
    slot = station.add_slot("stick", mount)
    rows = [timed("written by the kit", payload, lambda: visit(kit))]
    written = size_of(places["stick"])
    rows[0] |= {"on the stick, bytes": written, "overhead_percent": round(100 * (written / payload - 1), 2)}
    rows.append(timed("looked at again by a kit that was started anew", payload, lambda: visit(again)))
    rows.append(timed("taken by the gateway, custody answered", payload, lambda: visit(slot, station.tick_slots)))
    rows[-1]["on the stick, bytes"] = size_of(places["stick"]) - written
    for one in station.depot.spool.objects():
        station.depot.heard(one.object_id, bytes(120))
    rows.append(timed("receipts written by the gateway", payload, lambda: visit(slot, station.tick_slots)))
    rows.append(timed("receipts heard by the kit, stick tidied up", payload, lambda: visit(kit)))
    if spool.counts() != {State.RECEIVED: 2 * STUDIES}:
        raise AssertionError(f"not all has arrived: {spool.counts()}")
    return rows


def copied(places: dict[str, Path]) -> list[Row]:
    """Carry the same files without this."""
    files = sorted(path for path in (places["kit"] / State.RECEIVED.value).iterdir() if path.suffix != ".receipt")
    payload = sum(path.stat().st_size for path in files)

    def one_by_one() -> None:
        for path in files:
            shutil.copyfile(path, places["plain"] / path.name)
            sync(places["plain"] / path.name)
        sync(places["plain"])

    def as_tar() -> None:
        with tarfile.open(places["plain"] / "all.tar", "w") as tar:
            for path in files:
                tar.add(path, path.name)
        sync(places["plain"] / "all.tar")

    return [
        timed("beside it: cp of each file, each fsynced", payload, one_by_one),
        timed("beside it: one tar, one fsync", payload, as_tar),
    ]


def sync(path: Path) -> None:
    """Fsync a file or a folder."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def size_of(stick: Path) -> int:
    """Return the bytes of all parcels."""
    return sum(path.stat().st_size for path in (stick / FOLDER).iterdir())


def timed(what: str, payload: int, work: Callable[[], object]) -> Row:
    """Return a row that tells how long the work took."""
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    return {"what": what, "seconds": round(seconds, 2), "MB/s": round(payload / 1e6 / seconds, 1)}


def visit(carrier: Carrier, step: Callable[[float], object] | None = None) -> None:
    """Let a carrier do all that it wants."""
    visits = carrier.visits
    carrier.nudge()
    while carrier.visits == visits:
        (step or carrier.tick)(time.monotonic())


def fill(spool: Spool) -> None:
    """Put the studies, each with its summary, into the spool."""
    chance = random.Random(1)
    for _ in range(STUDIES):
        spool.put(chance.randbytes(16), objects.SUMMARY, chance.randbytes(SUMMARY_SIZE), priority=1)
        size = chance.randrange(STUDY_SIZE // 2, 3 * STUDY_SIZE // 2)
        spool.put(chance.randbytes(16), objects.STUDY, chance.randbytes(size))
