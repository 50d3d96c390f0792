"""Check and repair of a node's stores: looks at everything, changes nothing, and repairs into new files only.

`check_store` reads the folders of `node.spool` and `node.journal` without opening (and so recovering) them, and
compares what the names say with what the files hold. `repair_store` writes, for each damaged study or summary, a new
file with every entry that is sound; nobody's signature is on it, and the damaged file stays where it is.

May run beside a living node: a file that is moved meanwhile is reported as gone, not as lost.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Final

from node.disk import Disk, join, make_durable_folder
from node.recovery import BROKEN, OPEN, Survey, founds_of, study_in_open
from node.sealer import chunks_of
from node.spool import BESIDE, UNFINISHED, SpoolObject, State, parse_name
from wire import checks
from wire.errors import DiskError, UsageError
from wire.objects import DIGEST_SIZE, PREVIEW, STUDY, SUMMARY
from wire.study import StudyWriter, verify_signature

PROBLEMS_MAX: Final = 10_000
_STREAMS: Final = frozenset({STUDY, SUMMARY, PREVIEW})


class Severity(StrEnum):
    """How bad it is. Only an ALARM makes a check fail."""

    NOTE = "note"
    """Normal after a power cut, or none of our business; recovery or a person deals with it."""
    ALARM = "alarm"
    """Something that was kept is damaged or missing."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be."""

    path: str
    severity: Severity
    text: str
    lost_bytes: int = 0


@dataclass(frozen=True, slots=True)
class StoreReport:
    """What a check found. `files` and `size_bytes` count what was looked at."""

    files: int
    size_bytes: int
    problems: tuple[Problem, ...]

    def __add__(self, other: "StoreReport") -> "StoreReport":
        return StoreReport(self.files + other.files, self.size_bytes + other.size_bytes, self.problems + other.problems)

    @property
    def sound(self) -> bool:
        """Nothing that was kept is damaged or missing."""
        return not any(problem.severity is Severity.ALARM for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Repaired:
    """One new file: where it lies, what it was made from, and how many entries are in it."""

    path: str
    source: str
    entries: int
    lost_bytes: int


def check_store(disk: Disk, folder: str = "", sign_publics: Mapping[bytes, bytes] | None = None) -> StoreReport:
    """Look at every file of the stores below `folder`. `sign_publics` (key id -> key): then signatures are checked too.

    Raises DiskError only when a folder cannot be listed; a file that cannot be read is a problem in the report.
    """
    return _Check(disk, folder, sign_publics or {}).run()


def repair_store(disk: Disk, folder: str, into: str, now_ms: int) -> list[Repaired]:
    """Write what is sound of each damaged study and summary as a new file below `into`. Raises DiskFull."""
    repaired = []
    for path, stream_id in _streams(disk, folder):
        survey = _survey(disk, path, stream_id)
        if survey.hole or survey.cut_bytes or not survey.ended:
            make_durable_folder(disk, into)
            repaired.append(_repair(disk, path, stream_id, into, now_ms))
    return repaired


class _Check:
    """One pass over all folders."""

    def __init__(self, disk: Disk, folder: str, sign_publics: Mapping[bytes, bytes]) -> None:
        self._disk = disk
        self._folder = folder
        self._sign_publics = sign_publics
        self._problems: list[Problem] = []
        self._objects: dict[bytes, str] = {}
        self._files = self._size = 0

    def run(self) -> StoreReport:
        for state in reversed(State):
            names = self._disk.list(join(self._folder, state))
            for name in names:
                self._guarded(join(join(self._folder, state), name), partial(self._spooled, state))
            self._beside(state, names)
        for name in self._disk.list(join(self._folder, OPEN)):
            self._guarded(join(join(self._folder, OPEN), name), self._opened)
        for name in self._disk.list(join(self._folder, BROKEN)):
            self._tell(join(join(self._folder, BROKEN), name), Severity.NOTE, "set aside by a recovery")
        return StoreReport(self._files, self._size, tuple(self._problems))

    def _tell(self, path: str, severity: Severity, text: str, lost_bytes: int = 0) -> None:
        if len(self._problems) < PROBLEMS_MAX:
            self._problems.append(Problem(path, severity, text, lost_bytes))

    def _guarded(self, path: str, look: Callable[[str], None]) -> None:
        try:
            self._files, self._size = self._files + 1, self._size + self._disk.size(path)
            look(path)
        except UsageError:
            self._tell(path, Severity.NOTE, "moved or removed while it was looked at")
        except DiskError as error:
            self._tell(path, Severity.ALARM, str(error))

    def _spooled(self, state: State, path: str) -> None:
        name = path.rpartition("/")[2]
        one = parse_name(name, state=state)
        if one is not None:
            self._object(one, path)
        elif name.endswith(UNFINISHED):
            self._tell(path, Severity.NOTE, "left unfinished by a crash; the next start removes it")
        elif parse_name(name.removesuffix(BESIDE.get(state, UNFINISHED))) is None:
            self._tell(path, Severity.NOTE, "not one of ours")

    def _object(self, one: SpoolObject, path: str) -> None:
        if (other := self._objects.setdefault(one.object_id, path)) != path:
            self._tell(path, Severity.NOTE, f"the same object lies at {other}")
        whole = hashlib.blake2b(digest_size=32)
        for chunk in chunks_of(self._disk, path):
            whole.update(chunk)
        if whole.digest()[:DIGEST_SIZE] != one.digest:
            survey = self._survey_of(one, path)
            lost = survey.lost_bytes + survey.cut_bytes if survey else 0
            what = f"; {survey.entries} entries in it are sound" if survey else ""
            self._tell(
                path, Severity.ALARM, f"its digest is {whole.hexdigest()[:32]}, not the one it is named by{what}", lost
            )
        elif one.kind in _STREAMS and self._sign_publics and not self._signed(path):
            self._tell(path, Severity.ALARM, "signed by nobody whose key is known here")

    def _survey_of(self, one: SpoolObject, path: str) -> Survey | None:
        return _survey(self._disk, path, one.object_id) if one.kind in _STREAMS else None

    def _signed(self, path: str) -> bool:
        return any(verify_signature(chunks_of(self._disk, path), public) for public in self._sign_publics.values())

    def _beside(self, state: State, names: Sequence[str]) -> None:
        end = BESIDE.get(state)
        objects = {name for name in names if parse_name(name)}
        there = {name.removesuffix(end) for name in names if name.endswith(end)} if end else objects
        for name in objects - there:
            self._tell(join(join(self._folder, state), name), Severity.NOTE, f"has no {(end or '')[1:]} beside it")

    def _opened(self, path: str) -> None:
        name = path.rpartition("/")[2]
        study_id = study_in_open(name)
        if study_id is None:
            ours = re.fullmatch(r"(\d-)?[0-9a-f]{32}\.(study|summary)(\.new)?", name)
            self._tell(path, Severity.NOTE, "left by a crash; the next start clears it" if ours else "not one of ours")
            return
        survey = _survey(self._disk, path, study_id)
        if survey.hole:
            text = f"a hole in the middle; {survey.entries} entries are sound"
            self._tell(path, Severity.ALARM, text, survey.lost_bytes)
        elif survey.cut_bytes:
            text = f"a torn tail, or an entry being written, after {survey.entries} entries"
            self._tell(path, Severity.NOTE, text, survey.cut_bytes)


def _streams(disk: Disk, folder: str) -> Iterator[tuple[str, bytes]]:
    for state in State:
        for name in disk.list(join(folder, state)):
            one = parse_name(name)
            if one is not None and one.kind in _STREAMS:
                yield join(join(folder, state), name), one.object_id
    for place in (OPEN, BROKEN):
        for name in disk.list(join(folder, place)):
            if (study_id := study_in_open(name)) is not None:
                yield join(join(folder, place), name), study_id


def _survey(disk: Disk, path: str, stream_id: bytes) -> Survey:
    survey = Survey()
    for found in founds_of(disk, path, stream_id):
        survey.take(found)
    return survey


def _repair(disk: Disk, path: str, stream_id: bytes, into: str, now_ms: int) -> Repaired:
    first, survey = _survey(disk, path, stream_id), Survey()
    new = _free_name(disk, into, path.rpartition("/")[2])
    writer = StudyWriter(stream_id, first.opened_ms or 0, b"", _kind_of(path))
    disk.append(new, writer.start())
    for found in founds_of(disk, path, stream_id):
        if pieces := survey.take(found):
            disk.append(new, writer.adopt(pieces))
    disk.append(new, writer.end(now_ms, recovered=True))
    disk.sync(new)
    disk.sync_folder(into)
    return Repaired(new, path, survey.entries, survey.lost_bytes + survey.cut_bytes)


def _kind_of(path: str) -> int:
    ends = {".summary": checks.SUMMARY, ".preview": checks.PREVIEW}
    return next((kind for end, kind in ends.items() if path.endswith(end)), checks.STUDY)


def _free_name(disk: Disk, into: str, name: str) -> str:
    there, number = set(disk.list(into)), 1
    while (free := f"{name}.{number}") in there:
        number += 1
    return join(into, free)
