"""The kit's catalog: number, state, size and times of each study, for the panel, `feldsher kit status` and the log.

TinyDB on a storage of our own. TinyDB's JSON storage rewrites the whole file in place for each change (1.3 MB at 10,000
documents) and a power cut in the middle leaves broken JSON; `LogStorage` appends the changed documents to a
`node.log.RecordLog`, so that a change is one append and one fsync.

The catalog proves nothing: where a file lies is the truth (`node.spool`), and `refresh` makes the catalog agree with
it, from nothing if need be. Only the running number of a study lives here alone. No name, no result, no patient: the
catalog is not sealed.
"""

from collections.abc import Mapping
from typing import Any, Final

import cbor2
from tinydb import TinyDB, where
from tinydb.storages import Storage
from tinydb.table import Document

from node.clock import Clock
from node.disk import Disk
from node.entropy import Entropy
from node.journal import StudyJournal
from node.log import RecordLog
from node.spool import Spool, SpoolObject, State
from wire.errors import UsageError
from wire.objects import STUDY

STUDIES_MAX: Final = 20_000
"""Studies that are listed; the oldest received ones go first."""
DEAD_BYTES_MAX: Final = 1 << 20
"""Bytes of records that no longer count before the log is written anew."""
PATH: Final = "catalog.log"
Tables = dict[str, dict[str, dict[str, Any]]]
_FLAT: Final = (str, int, float, bool, bytes, type(None))


def _flat(table: str, key: str, doc: dict[str, Any]) -> dict[str, Any]:
    if not all(isinstance(value, _FLAT) for value in doc.values()):
        raise UsageError(f"document {key} of {table} is not flat: a catalog keeps text, numbers, bytes or nothing")
    return doc


class LogStorage(Storage):
    """A TinyDB storage over a RecordLog. Documents are flat: their values are text, numbers, bytes or None."""

    def __init__(self, disk: Disk, path: str, clock: Clock, entropy: Entropy) -> None:
        self._log = RecordLog(disk, path, clock, entropy)
        self._tables: Tables = {}
        for record in self._log.records:
            self._apply(*cbor2.loads(record))
        self._live_bytes = 0
        self._compact()
        self._log.records.clear()

    @property
    def log(self) -> RecordLog:
        """The log, for those who want to know what its opening found."""
        return self._log

    def read(self) -> Tables | None:
        """Return all tables; the documents are copies."""
        if not self._tables:
            return None
        return {name: {key: dict(doc) for key, doc in table.items()} for name, table in self._tables.items()}

    def write(self, data: Mapping[str, Mapping[Any, Mapping[str, Any]]]) -> None:
        """Make `data` the content: a record for each document that differs is appended, all in one commit."""
        changes: list[tuple[str, str, dict[str, Any] | None]] = []
        for name in [*self._tables.keys() - data.keys(), *data]:
            old, new = self._tables.get(name, {}), {str(key): dict(doc) for key, doc in data.get(name, {}).items()}
            changes += [(name, key, None) for key in old.keys() - new.keys()]
            changes += [(name, key, _flat(name, key, doc)) for key, doc in new.items() if old.get(key) != doc]
        if changes:
            self._log.append(*map(cbor2.dumps, changes))
        for change in changes:
            self._apply(*change)
        if self._log.size > self._live_bytes + DEAD_BYTES_MAX:
            self._compact()

    def close(self) -> None:
        """Nothing is held back."""

    def _apply(self, table: str, key: str, doc: dict[str, Any] | None) -> None:
        if doc is None:
            self._tables.get(table, {}).pop(key, None)
            if not self._tables.get(table):
                self._tables.pop(table, None)
        else:
            self._tables.setdefault(table, {})[key] = doc

    def _compact(self) -> None:
        self._log.rewrite(
            cbor2.dumps([name, key, doc]) for name, table in self._tables.items() for key, doc in table.items()
        )
        self._live_bytes = self._log.size


class Catalog:
    """The studies of this kit, by number. See the module's text."""

    def __init__(self, disk: Disk, clock: Clock, entropy: Entropy, path: str = PATH) -> None:
        self._clock = clock
        self._db = TinyDB(disk, path, clock, entropy, storage=LogStorage)
        self._studies = self._db.table("studies")

    def studies(self, state: str | None = None) -> list[Document]:
        """Return the studies (in this state), oldest first."""
        found = self._studies.all() if state is None else self._studies.search(where("state") == state)
        return sorted(found, key=lambda doc: doc.doc_id)

    def refresh(self, spool: Spool, under_way: Mapping[bytes, StudyJournal] | None = None) -> int:
        """Make the catalog agree with what lies on the disk; return how many studies changed."""
        now = {journal.study_id.hex(): _open(journal) for journal in (under_way or {}).values()}
        now |= {one.object_id.hex(): _spooled(one) for one in spool.objects() if one.kind == STUDY}
        known = {doc["study"]: doc for doc in self._studies.all()}
        changed = [
            study for study, facts in now.items() if study not in known or not facts.items() <= known[study].items()
        ]
        gone = [study for study, doc in known.items() if study not in now and doc["state"] not in ("pruned", "gone")]
        stamp = {"since_ms": self._clock.time_ms()}
        self._studies.insert_multiple(
            {"study": study, **now[study], **stamp} for study in changed if study not in known
        )
        updates = {known[study].doc_id: now[study] for study in changed if study in known}
        updates |= {known[study].doc_id: {"state": _gone_as(known[study])} for study in gone}
        for number, facts in updates.items():
            self._studies.update({**facts, **stamp}, doc_ids=[number])
        self._forget_oldest()
        return len(changed) + len(gone)

    def _forget_oldest(self) -> None:
        over = len(self._studies) - STUDIES_MAX
        if over > 0:
            old = [doc.doc_id for doc in self.studies() if doc["state"] in ("pruned", "gone")]
            self._studies.remove(doc_ids=old[:over])


def _gone_as(known: Document) -> str:
    return "pruned" if known["state"] == State.RECEIVED else "gone"


def _open(journal: StudyJournal) -> dict[str, Any]:
    facts = {"state": "open", "size": journal.size, "entries": journal.entries}
    return {**facts, "opened_ms": journal.opened_ms, "priority": journal.priority}


def _spooled(one: SpoolObject) -> dict[str, Any]:
    return {"state": one.state.value, "size": one.size, "priority": one.priority}
