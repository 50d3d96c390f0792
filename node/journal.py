"""Studies while they are written: one file each, one append and one fsync for each entry (R10, R29).

Owns the folders `open` and `broken` and two reserve files below the folder it is given; hands closed studies to a
`Spool`. *Committed* means: `append` has returned, so the entry's bytes and its CHECK are fsynced, in a file whose name
is durable since `open`. A committed entry is never lost by a crash at any instant, nor by one during recovery.

    open/5-<study>.study      START, then one sealed entry and its CHECK for each commit; 5 is its priority
    open/<study>.summary      only while a study is closed: what will travel ahead of it
    broken/5-<study>.study    a hole was found in its middle: all that was sound is in the spool, the original is here
    reserve-entries, reserve-closing   room for what is under way when the disk is full

Closing writes the summary as the study's last entry, END and the signature, and moves summary and study into the
spool, the summary first and at a higher priority. Last come previews of its pictures, which are sent between the two:
they are only for the eye, so they take no room from a study, and a crash or a full disk may cost them.
`Studies.recover` (`node/recovery.py`) finishes at the next start whatever a crash left in `open`.

A full disk refuses a *new* study while those under way still have the reserves. After a `DiskError` nothing is known of
what was written last: `Studies` and its journals refuse all calls; make a new `Studies` and let it recover.

The kit cannot open what it has sealed. What a summary says must therefore be told to `close`; a recovered study has a
summary that admits what it does not know.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from node.clock import Clock
from node.disk import Disk, folder_of, join, make_durable_folder, put_file
from node.entropy import Entropy, new_id
from node.guard import GuardedDisk
from node.recovery import BROKEN, OPEN, RecoveryReport, open_name, recover, summary_name
from node.reserve import Reserve
from node.sealer import (
    Sealer,
    chunks_of,
    preview_id_of,
    preview_priority,
    resume_point_of,
    summary_id_of,
    summary_priority,
    summary_tag,
)
from node.spool import PRIORITY_MAX, PRIORITY_MIN, Spool
from wire import objects
from wire.entry import ENTRY_SIZE_MAX
from wire.errors import DiskFull, Misuse
from wire.record import Preview
from wire.study import StudyWriter
from wire.tag import HEADER_SIZE_MAX, Tag

PRIORITY: Final = 5


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be written, bytes. `study_room`: free space that each study under way must find at its start."""

    entry_size_max: int = 8 << 20
    study_size_max: int = 256 << 20
    studies_open_max: int = 32
    study_room: int = 8 << 20
    entries_reserve: int = 4 << 20
    closing_reserve: int = 1 << 20

    def __post_init__(self) -> None:
        """Hold the bounds of the format."""
        if not 0 < self.entry_size_max <= ENTRY_SIZE_MAX:
            raise Misuse(f"entries of {self.entry_size_max} bytes; at most {ENTRY_SIZE_MAX}")


def lawful_priority(priority: int) -> int:
    """Return `priority`. Raises Misuse when it is none."""
    if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise Misuse(f"priority {priority}; {PRIORITY_MIN} (most urgent) to {PRIORITY_MAX}")
    return priority


class Studies:
    """The studies of one kit that are being written. `recover` comes first, once, then `open`.

    `folder` is where all the folders of a kit's data lie; `spool` is the Spool of the same disk and folder.
    """

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        seal_public: bytes,
        sign_secret: bytes,
        spool: Spool,
        *,
        kit: str,
        folder: str = "",
        limits: Limits | None = None,
    ) -> None:
        self.disk = GuardedDisk(disk)
        self.sealer = Sealer(clock, entropy, seal_public, sign_secret)
        self.spool = spool
        self.kit = kit
        self.limits = limits or Limits()
        self.folder = folder
        self.journals: dict[bytes, StudyJournal] = {}
        """The studies that are being written, by id."""
        self._recovered = False
        for name in (OPEN, BROKEN):
            make_durable_folder(self.disk, self.in_folder(name))
            self.disk.sync_folder(self.in_folder(name))
        self._entries_reserve = Reserve(self.disk, self.in_folder("reserve-entries"), self.limits.entries_reserve)
        self._closing_reserve = Reserve(self.disk, self.in_folder("reserve-closing"), self.limits.closing_reserve)

    def in_folder(self, path: str) -> str:
        """Return the disk's path of a path below our folder."""
        return join(self.folder, path)

    def recover(self) -> RecoveryReport:
        """Close, sign and spool what a crash left in `open`. Harmless when repeated, also while studies are open.

        A study for which there is no room stays where it is and is named in the report: call again when there is.
        """
        report = recover(self.disk, self.spool, self.sealer, self.kit, self.folder, under_way=self.journals.keys())
        self._recovered = True
        self.fill_reserves()
        return report

    def fill_reserves(self) -> bool:
        """Take back the room that was used in need; tell whether both reserves are whole."""
        closing = self._closing_reserve.fill()
        return self._entries_reserve.fill() and closing

    def has_room(self) -> bool:
        """Tell whether `open` would take a new study now. Frees what was received, where that is needed."""
        if len(self.journals) >= self.limits.studies_open_max:
            return False
        wanted = (len(self.journals) + 1) * self.limits.study_room
        if self.disk.free() < wanted:
            self.spool.prune(wanted)
        return self.fill_reserves() and self.disk.free() >= wanted and self.spool.has_room()

    def open(self, *, priority: int = PRIORITY) -> "StudyJournal":
        """Begin a study; its file and name are durable. Raises DiskFull when there is no room for a new one."""
        if not self._recovered:
            raise Misuse("studies are recovered before a new one is opened")
        lawful_priority(priority)
        if not self.has_room():
            raise DiskFull(f"no room for a new study: {self.disk.free()} bytes free, {len(self.journals)} under way")
        journal = StudyJournal(self, new_id(self.sealer.entropy), priority)
        self.journals[journal.study_id] = journal
        return journal

    def in_need(self, write: Callable[[], None], *, closing: bool = False) -> None:
        """Do `write`; on a full disk give up a reserve and do it again."""
        for reserve in (self._entries_reserve, *([self._closing_reserve] if closing else [])):
            try:
                return write()
            except DiskFull:
                reserve.release()
        return write()


class StudyJournal:
    """One study that is being written. Made by `Studies.open`."""

    def __init__(self, studies: Studies, study_id: bytes, priority: int) -> None:
        self.study_id = study_id
        self.priority = priority
        self.opened_ms = studies.sealer.clock.time_ms()
        self.size = 0
        """Bytes committed."""
        self.entries = 0
        """Entries committed."""
        self._studies = studies
        self._sealer = studies.sealer
        self._disk = studies.disk
        self._writer = StudyWriter(study_id, self.opened_ms, self._sealer.seal_public)
        self._path = studies.in_folder(f"{OPEN}/{open_name(priority, study_id)}")
        self._state = "open"
        self._begin()

    def _begin(self) -> None:
        try:
            self._write(self._writer.start())
        except DiskFull:
            if self._disk.exists(self._path):
                self._disk.remove(self._path)
            raise
        self._disk.sync_folder(folder_of(self._path))

    @property
    def room(self) -> int:
        """Bytes that this study may still take."""
        return self._studies.limits.study_size_max - self.size

    def append(self, tags: Sequence[Tag]) -> None:
        """Commit `tags` as one entry: returns when it is durable, by one append and one fsync.

        Raises DiskFull when there is no room (nothing of it is kept; it may be tried again), Misuse for too large an
        entry. After DiskError it is not known whether the entry is kept.
        """
        self._require("open")
        size = sum(len(tag.data) + HEADER_SIZE_MAX for tag in tags)
        if size > self._studies.limits.entry_size_max:
            raise Misuse(f"an entry of {size} bytes; at most {self._studies.limits.entry_size_max}")
        if size > self.room:
            raise DiskFull(f"study {self.study_id.hex()} is full: {self.size} bytes, {size} more wanted")
        self._commit(lambda: self._writer.entry(tags, self._sealer.entropy))

    def close(
        self, summary: Mapping[str, Any], *, priority: int | None = None, previews: Sequence[Preview] = ()
    ) -> None:
        """End and sign the study, and hand it with its summary to the spool: returns when both lie there durably.

        `priority`: another than it was opened with, now that it is known what is in it. `previews`: of its pictures.
        Raises DiskFull when there is no room; then it may be tried again, with the same summary.
        """
        self.priority = self.priority if priority is None else lawful_priority(priority)
        if self._state == "open":
            tag = summary_tag(summary)
            ahead = self._sealer.summary(self.study_id, self.opened_ms, tag)
            self._studies.in_need(lambda: put_file(self._disk, self._summary_path, ahead), closing=True)
            self._commit(lambda: self._ending(tag), closing=True)
            self._state = "ended"
        self._require("ended")
        self._studies.in_need(lambda: self._hand_over(previews), closing=True)
        self._state = "spooled"
        del self._studies.journals[self.study_id]

    @property
    def _summary_path(self) -> str:
        return self._studies.in_folder(f"{OPEN}/{summary_name(self.study_id)}")

    def _ending(self, tag: Tag) -> bytes:
        return self._writer.entry([tag], self._sealer.entropy) + self._sealer.closing(self._writer)

    def _hand_over(self, previews: Sequence[Preview]) -> None:
        spool, lead = self._studies.spool, summary_priority(self.priority)
        summary_id = summary_id_of(self.study_id)
        if spool.get(summary_id) is None:
            spool.adopt(self._summary_path, summary_id, objects.SUMMARY, priority=lead)
        spool.adopt(self._path, self.study_id, objects.STUDY, priority=self.priority)
        for preview in previews:
            self._put_preview(preview)

    def _put_preview(self, preview: Preview) -> None:
        """Spool one preview. Where there is no room for it, the study has what there is."""
        preview_id = preview_id_of(self.study_id, preview.number, preview.stage)
        if preview.study != self.study_id:
            raise Misuse(f"a preview of study {preview.study.hex()} for study {self.study_id.hex()}")
        if self._studies.spool.get(preview_id) is None:
            lead, sealed = preview_priority(self.priority, preview.stage), self._sealer.preview(preview, self.opened_ms)
            with contextlib.suppress(DiskFull):
                self._studies.spool.put(preview_id, objects.PREVIEW, sealed, priority=lead)

    def _require(self, state: str) -> None:
        if self._state != state:
            raise Misuse(f"study {self.study_id.hex()} is {self._state}, not {state}")

    def _commit(self, make: Callable[[], bytes], *, closing: bool = False) -> None:
        raw = make()
        try:
            self._studies.in_need(lambda: self._write(raw), closing=closing)
        except DiskFull:
            self._rewind()
            raise
        self.entries = self._writer.entries

    def _write(self, raw: bytes) -> None:
        """The one append and the one fsync of a commit."""
        self._disk.append(self._path, raw)
        self._disk.sync(self._path)
        self.size += len(raw)

    def _rewind(self) -> None:
        """Bring the writer back to what the file holds, after bytes that found no room."""
        point = resume_point_of(self.study_id, chunks_of(self._disk, self._path, self.size))
        before = chunks_of(self._disk, self._path, point.offset)
        self._writer = StudyWriter.resume(self.study_id, self._sealer.seal_public, point, self.entries, before)
