"""Makes a study of files that somebody brings: pictures and documents, untouched, with previews of the pictures.

What a file says (`edge.file_contents`) stands beside it: the leads of an ECG, the times of a spectrum, whose an
image is. Whose the study is, is compared with the worklist as it is for a device (`edge.binding`).

Works beside a kit that runs and without one, in a process of its own: it has a journal and a spool below `import`
(`edge.imports`), or below `inbox` (`edge.taking`), and the kit takes up what lies there. *Committed* is what `make`
has returned for: the study is closed, signed and fsynced there. Of a study that a crash interrupted nothing is
kept, for whoever brought the files was not told that it was taken: `Importer` clears what such a one left. One
importer at a time (`node.claim` on the folder).

The files themselves are only read.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

from edge.binding import Bound, NoOrders, Orders, owner_of, whose_files
from edge.driver import Headline
from edge.file_contents import Contents, contents_of, media_type_of
from edge.imports import ASKED, FOLDER
from edge.previews import previews_of
from node.clock import Clock
from node.disk import Disk, join
from node.entropy import Entropy
from node.journal import Limits, Studies, StudyJournal
from node.recovery import OPEN
from node.sealer import summary_id_of
from node.spool import Spool
from wire.errors import UsageError
from wire.objects import STUDY, SUMMARY
from wire.record import HEADLINE_COUNT_MAX, Device, Note, Patient, Picture, Preview, Result, Summary
from wire.tag import Tag

FILES_MAX: Final = 64
FILE_SIZE_MAX: Final = 24 << 20
TOTAL_SIZE_MAX: Final = 128 << 20
PATIENT_SIZE_MAX: Final = 128
"""Characters of a patient's id; the centre keeps so many."""
FORM: Final = "document"
DRIVER: Final = "import"
VERSION: Final = "1"
LIMITS: Final = Limits(
    entry_size_max=FILE_SIZE_MAX + (1 << 20),
    study_size_max=TOTAL_SIZE_MAX + (8 << 20),
    entries_reserve=4096,
    closing_reserve=4096,
)


class Signs(Protocol):
    """What is needed of a kit's enrolment (`node.enrolment.KitEnrolment`)."""

    @property
    def name(self) -> str: ...
    @property
    def server_seal_public(self) -> bytes: ...
    @property
    def sign_secret(self) -> bytes: ...


class File(Protocol):
    """A file that is read once, whole (`pathlib.Path`)."""

    @property
    def name(self) -> str: ...
    def read_bytes(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the files come from, as the study says it. `form`: where no file says which kind of study it is."""

    driver: str = DRIVER
    port: str = ""
    form: str = FORM


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
    bound: Bound
    """Whose it is: as told, or else as the files themselves say, both by the worklist."""


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


IMPORTED: Final = Origin()


class Importer:
    """See the module's text. Opening one clears what an interrupted one left."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        entropy: Entropy,
        enrolment: Signs,
        folder: str = FOLDER,
        origin: Origin = IMPORTED,
        orders: Orders | None = None,
    ) -> None:
        self._clock = clock
        self._orders: Orders = orders or NoOrders()
        self._kit = enrolment.name
        self._origin = origin
        _clear(disk, folder)
        self.spool = Spool(disk, folder)
        """Where the studies lie that were made."""
        self._studies = Studies(
            disk,
            clock,
            entropy,
            enrolment.server_seal_public,
            enrolment.sign_secret,
            self.spool,
            kit=enrolment.name,
            folder=folder,
            limits=LIMITS,
        )
        self._studies.recover()

    def make(
        self,
        paths: Iterable[File],
        patient: Patient | None,
        priority: int,
        closing: Callable[[bytes], None] = lambda study_id: None,
    ) -> Made:
        """Return when the study of these files is committed. `closing` is told its id right before.

        Without `patient` it is whose the files say, when they name one and the same. Raises DiskFull, UsageError for a
        file that is gone; then this importer is not used any more.
        """
        journal = self._studies.open(priority=priority)
        said, previews = _Said(), list[Preview]()
        for number, path in enumerate(paths):
            picture, contents = _read(path)
            said.take(picture, contents)
            head = self._head(contents, patient) if not number else []
            results = [one.to_tag() for one in contents.results]
            journal.append([*head, picture.to_tag(self._clock.time_ms()), *results, *contents.waves])
            previews += previews_of(journal.study_id, number, picture)
        bound = whose_files(patient.id if patient else "", sorted(said.ids), self._orders)
        named = [Patient(bound.patient, bound.source, time_ms=journal.opened_ms).to_tag()] if bound.patient else []
        remarks = [Note(bound.remark).to_tag()] if bound.remark else []
        if tags := [*(named if patient is None else []), *remarks]:
            journal.append(tags)
        closing(journal.study_id)
        journal.close(self._summary(journal, bound, said), previews=sorted(previews, key=lambda one: one.stage))
        study = self.spool.get(journal.study_id)
        return Made(journal.study_id, said.files, said.size, study.size if study else 0, len(previews), bound)

    def _head(self, contents: Contents, patient: Patient | None) -> list[Tag]:
        device = Device(self._origin.driver, VERSION, self._origin.port, contents.model)
        if patient is None:
            return [device.to_tag()]
        owner = owner_of(patient.id, self._orders)
        meant = replace(patient, id=owner, source="worklist") if owner not in {"", patient.id} else patient
        return [device.to_tag(), meant.to_tag()]

    def _summary(self, journal: StudyJournal, bound: Bound, said: "_Said") -> dict[str, Any]:
        return Summary(
            journal.study_id,
            self._kit,
            said.form or self._origin.form,
            journal.opened_ms,
            self._clock.time_ms(),
            device=said.model or self._origin.driver,
            patient=bound.patient,
            patient_conflict=bound.conflict,
            unlisted=bound.unlisted,
            entries=journal.entries,
            partial=said.is_partial,
            headline=said.headline(),
        ).to_map()


@dataclass
class _Said:
    """What the files of one study say, together."""

    files: int = 0
    size: int = 0
    pictures: int = 0
    forms: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    model: str = ""
    is_partial: bool = False
    results: list[Result] = field(default_factory=list)

    def take(self, picture: Picture, contents: Contents) -> None:
        """Take in one file more."""
        self.files += 1
        self.size += len(picture.image)
        self.pictures += picture.media_type.startswith("image/")
        self.forms.add(contents.form)
        self.ids.update(contents.ids)
        self.model = self.model or contents.model
        self.is_partial |= bool(contents.partial)
        self.results += contents.results

    @property
    def form(self) -> str:
        """Which kind of study it is, when all files say the same."""
        return next(iter(self.forms)) if len(self.forms) == 1 else ""

    def headline(self) -> tuple[Headline, ...]:
        """Return how many files there are, and what was read in them."""
        counted = (("Pictures", self.pictures), ("Documents", self.files - self.pictures))
        counts = [(name, str(count), "") for name, count in counted if count]
        read = [(one.name, one.value, one.unit) for result in self.results for one in result.observations]
        return (*counts, *dict.fromkeys(read))[:HEADLINE_COUNT_MAX]


def _read(path: File) -> tuple[Picture, Contents]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    if not 0 < len(data) <= FILE_SIZE_MAX:
        raise UsageError(f"{path}: has changed meanwhile: {len(data)} bytes; 1 to {FILE_SIZE_MAX}")
    contents = contents_of(path.name, data)
    # A name may hold bytes that are no text.
    name = path.name.encode("utf-8", "replace").decode()
    return Picture(contents.media_type, name, data), contents


def _clear(disk: Disk, folder: str) -> None:
    """Remove what an interrupted import left: studies that were not closed, summaries without one, old questions."""
    opened = join(folder, OPEN)
    left = [join(opened, name) for name in disk.list(opened)]
    left += [join(ASKED, name) for name in disk.list(ASKED)] if folder == FOLDER else []
    for path in left:
        disk.remove(path)
    spool = Spool(disk, folder)
    told = {summary_id_of(one.object_id) for one in spool.objects() if one.kind == STUDY}
    for one in spool.objects():
        if one.kind == SUMMARY and one.object_id not in told:
            disk.remove(spool.path(one.object_id))


__all__ = ["Importer", "Made", "Origin", "media_type_of", "patient_of", "readable"]
