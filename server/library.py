"""What the pages show: rows of studies from the database, and study files opened on demand.

Owns a small cache of opened studies (plain text in memory only, never on a disk). May call: the database, the file
store, `server.reading`. Nothing here changes a study; whoever looks is written to the record by `look`.
"""

import contextlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, Select, func, select

from node.clock import Clock
from server import tables as t
from server.clocks import ClockLine
from server.clocks import lines as clock_lines
from server.database import Database, Event, record
from server.files import Files
from server.keys import Keys
from server.peers import Peers
from server.pictures import PREVIEW_SIZE_MAX, PREVIEWS_MAX, Look, looks
from server.reading import Reading, Signature, read_study
from server.studies import RECEIVED
from wire.errors import FormatError, UsageError
from wire.objects import PREVIEW

PAGE_SIZE: Final = 50
READINGS_MAX: Final = 16
READINGS_SIZE_MAX: Final = 256 << 20
"""Bytes of files whose readings are kept; the newest one is always kept."""
EVENTS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """A study as the list of arrivals shows it."""

    number: int
    study: str
    kit: str
    form: str
    patient: str
    device: str
    headline: tuple[tuple[str, str, str], ...]
    opened_ms: int | None
    closed_ms: int | None
    announced_ms: int | None
    received_ms: int | None
    updated_ms: int
    received: bool
    urgent: bool
    entries: int
    signature: Signature
    qc: bool
    partial: bool
    damaged: bool
    recovered: bool
    conflict: bool
    unlisted: bool
    clock: bool
    """The kit's clock was wrong, by what it knew itself."""
    operator: str
    bytes_lost: int
    digest: str | None
    size: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object that brought something of a study."""

    object_id: str
    kind: int
    digest: str
    size: int
    sender: str
    received_ms: int
    receipt: bytes


URGENT_PRIORITY: Final = 2
"""Priorities up to this one are urgent."""


class Library:
    """Reads; may be called from any thread."""

    def __init__(self, files: Files, keys: Keys, peers: Peers, database: Database) -> None:
        self._files = files
        self._keys = keys
        self._peers = peers
        self._database = database
        self._lock = threading.Lock()
        self._readings: OrderedDict[str, tuple[int, Reading]] = OrderedDict()

    def lines(self, *, qc: bool = False, page: int = 0, patient: str = "") -> list[Line]:
        """Return one page of studies, the newest change first, and one more line when there is a next page."""
        wanted = _lines().where(t.studies.c.qc == int(qc))
        if patient:
            wanted = wanted.where(t.studies.c.patient_code == patient)
        wanted = wanted.order_by(t.studies.c.updated_ms.desc(), t.studies.c.id.desc())
        with self._database.read() as connection:
            rows = connection.execute(wanted.offset(page * PAGE_SIZE).limit(PAGE_SIZE + 1)).all()
        return [_line(row) for row in rows]

    def line(self, study: str) -> Line | None:
        """Return the study, or None."""
        with self._database.read() as connection:
            row = connection.execute(_lines().where(t.studies.c.study == study)).one_or_none()
        return None if row is None else _line(row)

    def find(self, prefix: str) -> Line:
        """Return the one study whose id begins with `prefix`. Raises UsageError when none or several do."""
        if not prefix or set(prefix) - set("0123456789abcdef"):
            raise UsageError(f"not a study id, nor the beginning of one: {prefix[:80]!r}")
        wanted = _lines().where(t.studies.c.study.startswith(prefix)).limit(2)
        with self._database.read() as connection:
            rows = connection.execute(wanted).all()
        if len(rows) != 1:
            raise UsageError(f"{'several studies begin' if rows else 'no study begins'} with {prefix}")
        return _line(rows[0])

    def digests(self) -> list[str]:
        """Return the digests of all files that the database points at."""
        with self._database.read() as connection:
            return list(connection.execute(select(t.objects.c.digest).distinct()).scalars())

    def newest(self) -> int:
        """Return a number that changes whenever a study came or changed."""
        with self._database.read() as connection:
            return int(connection.execute(select(func.max(t.objects.c.id))).scalar() or 0)

    def arrivals(self, study: str) -> list[Arrival]:
        """Return the objects in which the study came, oldest first."""
        o = t.objects.c
        found = select(o.object_id, o.kind, o.digest, o.size, o.sender, o.received_ms, o.receipt)
        with self._database.read() as connection:
            rows = connection.execute(found.where(o.study == study).order_by(o.id)).all()
        return [Arrival(*row) for row in rows]

    def reading(self, line: Line) -> Reading:
        """Return the opened study file, or the opened summary while the file is on its way. Raises FormatError."""
        digest = line.digest
        if digest is None:
            told = [arrival.digest for arrival in self.arrivals(line.study) if arrival.kind != PREVIEW]
            if not told:
                return Reading()
            digest = told[-1]
        return self._opened(digest, bytes.fromhex(line.study))

    def clocks(self, reading: Reading) -> list[ClockLine]:
        """Return what is known of the clocks of a study."""
        with self._database.read() as connection:
            return clock_lines(connection, reading)

    def looks(self, line: Line) -> list[Look]:
        """Return the previews of a study that is on its way; none of one that is here."""
        if line.received:
            return []
        arrivals = [one for one in self.arrivals(line.study) if one.kind == PREVIEW and one.size <= PREVIEW_SIZE_MAX]
        return looks(self._previews(arrivals[:PREVIEWS_MAX]), line.study, line.kit)

    def _previews(self, arrivals: list[Arrival]) -> Iterator[tuple[str, Reading]]:
        for one in arrivals:
            with contextlib.suppress(FormatError):
                raw, object_id = self._files.read(one.digest), bytes.fromhex(one.object_id)
                yield one.object_id, read_study(raw, self._keys.seal_secret, self._peers.kit_by_signer, object_id)

    def look(self, clock: Clock, event: Event) -> None:
        """Write down who looked at what."""
        with self._database.write() as connection:
            record(connection, clock.time_ms(), event)

    def events(self, page: int = 0, study: str = "") -> list[Row[Any]]:
        """Return one page of the record of events, newest first."""
        wanted = select(t.events).order_by(t.events.c.id.desc()).offset(page * EVENTS_MAX).limit(EVENTS_MAX)
        with self._database.read() as connection:
            return list(connection.execute(wanted.where(t.events.c.study == study) if study else wanted))

    def refused(self) -> list[Row[Any]]:
        """Return what was set aside, newest first."""
        with self._database.read() as connection:
            return list(connection.execute(select(t.refused).order_by(t.refused.c.id.desc()).limit(EVENTS_MAX)))

    def _opened(self, digest: str, study_id: bytes) -> Reading:
        with self._lock:
            if digest in self._readings:
                self._readings.move_to_end(digest)
                return self._readings[digest][1]
        raw = self._files.read(digest)
        reading = read_study(raw, self._keys.seal_secret, self._peers.kit_by_signer, study_id)
        with self._lock:
            self._readings[digest] = (len(raw), reading)
            while len(self._readings) > 1 and (
                len(self._readings) > READINGS_MAX or sum(s for s, _ in self._readings.values()) > READINGS_SIZE_MAX
            ):
                self._readings.popitem(last=False)
        return reading


def _lines() -> Select[Any]:
    kit = t.kits.c.name.label("kit")
    return select(t.studies, kit).join(t.kits, t.kits.c.id == t.studies.c.kit_id, isouter=True)


def _line(row: Row[Any]) -> Line:
    return Line(
        number=row.id,
        study=row.study,
        kit=row.kit or "",
        form=row.form,
        patient=row.patient_code,
        device=row.device,
        headline=tuple((str(a), str(b), str(c)) for a, b, c in json.loads(row.headline)),
        opened_ms=row.opened_ms,
        closed_ms=row.closed_ms,
        announced_ms=row.announced_ms,
        received_ms=row.received_ms,
        updated_ms=row.updated_ms,
        received=row.state == RECEIVED,
        urgent=row.priority <= URGENT_PRIORITY,
        entries=row.entries,
        signature=Signature(row.signature),
        qc=bool(row.qc),
        partial=bool(row.partial),
        damaged=bool(row.damaged),
        recovered=bool(row.recovered),
        conflict=bool(row.conflict),
        unlisted=bool(row.unlisted),
        clock=bool(row.clock),
        operator=row.operator,
        bytes_lost=row.bytes_lost,
        digest=row.digest,
        size=row.size,
    )
