"""Makes a study of files that somebody brings: pictures and documents, untouched, with previews of the pictures.

Works beside a kit that runs and without one, in a process of its own: it has a journal and a spool below `import`
(`edge.imports`), and the kit takes up what lies there. *Committed* is what `make` has returned for: the study is
closed, signed and fsynced there. Of a study that a crash interrupted nothing is kept, for whoever brought the files was
not told that it was taken: `Importer` clears what such a one left. One importer at a time (`node.claim` on the folder).

The files themselves are only read.
"""

import mimetypes
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge.driver import Headline
from edge.imports import ASKED, FOLDER
from edge.previews import previews_of
from edge.spectra import read_spectra
from node.clock import Clock
from node.disk import Disk, join
from node.enrolment import KitEnrolment
from node.entropy import Entropy
from node.journal import Limits, Studies, StudyJournal
from node.recovery import OPEN
from node.sealer import summary_id_of
from node.spool import Spool
from wire.errors import UsageError
from wire.objects import STUDY, SUMMARY
from wire.record import HEADLINE_COUNT_MAX, Device, Patient, Picture, Preview, Result, Summary

FILES_MAX: Final = 64
FILE_SIZE_MAX: Final = 24 << 20
TOTAL_SIZE_MAX: Final = 128 << 20
PATIENT_SIZE_MAX: Final = 128
"""Characters of a patient's id; the centre keeps so many."""
FORM: Final = "document"
DRIVER: Final = "import"
VERSION: Final = "1"
OCTETS: Final = "application/octet-stream"
LIMITS: Final = Limits(
    entry_size_max=FILE_SIZE_MAX + (1 << 20),
    study_size_max=TOTAL_SIZE_MAX + (8 << 20),
    entries_reserve=4096,
    closing_reserve=4096,
)
_BEGINNINGS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


@dataclass(frozen=True, slots=True)
class Made:
    """What became of the files."""

    study_id: bytes
    files: int
    size: int
    """Of the files, bytes."""
    study_size: int
    """Of the study as it travels, bytes."""
    previews: int


def readable(paths: Sequence[Path]) -> list[Path]:
    """Return `paths` when all of them can be imported. Raises UsageError that names the one that cannot, and why."""
    if not 0 < len(paths) <= FILES_MAX:
        raise UsageError(f"{len(paths)} files for one study; 1 to {FILES_MAX}")
    total = sum(_size_of(path) for path in paths)
    if total > TOTAL_SIZE_MAX:
        raise UsageError(f"the files have {total} bytes; a study takes {TOTAL_SIZE_MAX} at most: bring fewer at a time")
    return list(paths)


def _size_of(path: Path) -> int:
    try:
        if not path.is_file():
            raise UsageError(f"{path}: {'not a file' if path.exists() else 'no such file'}")
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not 0 < size <= FILE_SIZE_MAX:
        raise UsageError(f"{path}: {size} bytes; a file to be imported has 1 to {FILE_SIZE_MAX}")
    return size


def patient_of(text: str, time_ms: int) -> Patient:
    """Return the patient whose id somebody typed. Raises UsageError."""
    code = text.strip()
    if not (0 < len(code) <= PATIENT_SIZE_MAX and code.isprintable()):
        raise UsageError(f"a patient's id has 1 to {PATIENT_SIZE_MAX} printable characters, not {text[:40]!r}")
    return Patient(code, "manual", time_ms=time_ms)


def media_type_of(name: str, data: bytes) -> str:
    """Return what a file is: by how it begins, else by its name."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    known = next((media for beginning, media in _BEGINNINGS if data.startswith(beginning)), None)
    guessed = mimetypes.guess_type(name)[0] or OCTETS
    # A name that says picture over bytes that are none: a browser must not be told so.
    return known or (OCTETS if guessed.startswith("image/") else guessed)


class Importer:
    """See the module's text. Opening one clears what an interrupted one left."""

    def __init__(self, disk: Disk, clock: Clock, entropy: Entropy, enrolment: KitEnrolment) -> None:
        self._clock = clock
        self._kit = enrolment.name
        _clear(disk)
        self._spool = Spool(disk, FOLDER)
        self._studies = Studies(
            disk,
            clock,
            entropy,
            enrolment.server_seal_public,
            enrolment.sign_secret,
            self._spool,
            kit=enrolment.name,
            folder=FOLDER,
            limits=LIMITS,
        )
        self._studies.recover()

    def make(self, paths: Iterable[Path], patient: Patient | None, priority: int) -> Made:
        """Return when the study of these files is committed. Raises DiskFull, UsageError for a file that is gone."""
        journal = self._studies.open(priority=priority)
        device, said = Device(DRIVER, VERSION).to_tag(), [patient.to_tag()] if patient else []
        pictures, previews, results, size = 0, list[Preview](), list[Result](), 0
        for number, path in enumerate(paths):
            picture = _read(path)
            found = read_spectra(picture.name, picture.image)
            head = [device, *said] if not number else []
            journal.append([*head, picture.to_tag(self._clock.time_ms()), *(one.to_tag() for one in found)])
            results += found
            previews += previews_of(journal.study_id, number, picture)
            pictures += picture.media_type.startswith("image/")
            size += len(picture.image)
        files, entries = number + 1, journal.entries
        summary = self._summary(journal, patient, entries, _headline(pictures, files - pictures, results))
        journal.close(summary, previews=sorted(previews, key=lambda one: one.stage))
        study = self._spool.get(journal.study_id)
        return Made(journal.study_id, files, size, study.size if study else 0, len(previews))

    def _summary(
        self, journal: StudyJournal, patient: Patient | None, entries: int, headline: tuple[Headline, ...]
    ) -> dict[str, Any]:
        return Summary(
            journal.study_id,
            self._kit,
            FORM,
            journal.opened_ms,
            self._clock.time_ms(),
            device=DRIVER,
            patient=patient.id if patient else "",
            entries=entries,
            headline=headline,
        ).to_map()


def _headline(pictures: int, documents: int, results: Sequence[Result]) -> tuple[Headline, ...]:
    """Return how many files there are, and what was read in them."""
    counted = (("Pictures", pictures), ("Documents", documents))
    counts = [(name, str(count), "") for name, count in counted if count]
    read = [(one.name, one.value, one.unit) for result in results for one in result.observations]
    return (*counts, *read)[:HEADLINE_COUNT_MAX]


def _read(path: Path) -> Picture:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not 0 < len(data) <= FILE_SIZE_MAX:
        raise UsageError(f"{path}: has changed meanwhile: {len(data)} bytes; 1 to {FILE_SIZE_MAX}")
    return Picture(media_type_of(path.name, data), path.name, data)


def _clear(disk: Disk) -> None:
    """Remove what an interrupted import left: studies that were not closed, summaries without one, old questions."""
    left = [join(join(FOLDER, OPEN), name) for name in disk.list(join(FOLDER, OPEN))]
    left += [join(ASKED, name) for name in disk.list(ASKED)]
    for path in left:
        disk.remove(path)
    spool = Spool(disk, FOLDER)
    told = {summary_id_of(one.object_id) for one in spool.objects() if one.kind == STUDY}
    for one in spool.objects():
        if one.kind == SUMMARY and one.object_id not in told:
            disk.remove(spool.path(one.object_id))
