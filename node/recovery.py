"""What is done at the start with the studies that a crash left in `open`: close, sign, spool (R10, R29).

For each study: what is sound is read; the committed entries are copied, as they were sealed, into a *new* file (what is
read after a failed fsync may be on no medium, so nothing old is relied on); a summary and END, marked `recovered`,
and the signature follow; the new file and its summary go to the spool; last the old file goes. A study that was closed
already and not yet spooled is copied as it is, with the summary that was prepared for it.

A *torn tail*, that is damage after which no committed entry follows, is what a power cut leaves: it is cut off and its
bytes are counted. A *hole* (damage, or a bad sector) with sound entries behind it is an alarm: all entries around it
are kept, and the old file goes to `broken` instead of being removed.

Every step may be the last: whatever a crash during recovery leaves is recovered the same way again. A study that
is in the spool already is never spooled twice; only its old file is cleared away.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from node.disk import Disk, folder_of, join
from node.sealer import Sealer, chunks_of, salvaged, summary_id_of, summary_priority
from node.spool import Spool
from wire import kinds, objects
from wire.errors import DiskFull
from wire.record import Summary
from wire.stream import Found, StreamReader, Verdict
from wire.study import StudyWriter, verify_signature
from wire.tag import CONTINUED, Tag

OPEN: Final = "open"
BROKEN: Final = "broken"
BROKEN_COPIES_MAX: Final = 1000
STUDIES_MAX: Final = 10_000
"""Files of `open` that one recovery looks at; the rest wait for the next."""
START_SIZE_MAX: Final = 128
"""More than START and its CHECK take."""
_STUDY: Final = re.compile(r"([1-9])-([0-9a-f]{32})\.study")
_SUMMARY: Final = re.compile(r"([0-9a-f]{32})\.summary")
_NEW: Final = ".new"


class Outcome(StrEnum):
    """What became of a file in `open`."""

    CLOSED = "closed"
    """It was whole and signed: spooled as it is."""
    RECOVERED = "recovered"
    """What was committed is closed by us and spooled."""
    SPOOLED = "spooled"
    """It lay in the spool already; only the old file was cleared away."""
    EMPTY = "empty"
    """Nothing had been committed: removed."""
    BROKEN = "broken"
    """Nothing in it could be read: the file is in `broken`, nothing is in the spool."""
    POSTPONED = "postponed"
    """No room for the new file: it stays in `open` for the next recovery."""


@dataclass(frozen=True, slots=True)
class RecoveredStudy:
    """The report on one study. `lost_bytes` were in a hole (an alarm), `cut_bytes` in a torn tail (normal)."""

    study_id: bytes
    outcome: Outcome
    entries: int = 0
    cut_bytes: int = 0
    lost_bytes: int = 0
    hole: bool = False


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What one recovery did. `foreign`: names in `open` that are not ours, left alone."""

    studies: tuple[RecoveredStudy, ...] = ()
    foreign: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[RecoveredStudy, ...]:
        """The studies in which a hole was found."""
        return tuple(study for study in self.studies if study.hole)


def open_name(priority: int, study_id: bytes) -> str:
    """Return the name in `open` of a study."""
    return f"{priority}-{study_id.hex()}.study"


def summary_name(study_id: bytes) -> str:
    """Return the name in `open` of the summary that is prepared for a study."""
    return f"{study_id.hex()}.summary"


@dataclass
class Survey:
    """What a pass over a damaged or unfinished study tells, found by found."""

    opened_ms: int | None = None
    """None while no sound START was met."""
    ended: bool = False
    entries: int = 0
    hole: bool = False
    lost_bytes: int = 0
    cut_bytes: int = 0
    """Worthless bytes since the last committed entry: the torn tail, as long as no other entry follows."""
    _doubtful: bool = False
    _pieces: list[Tag] = field(default_factory=list)
    _next_ordinal: int = 0

    def take(self, found: Found) -> list[Tag]:
        """Take what comes next in the file; return the pieces of the entry that is whole and proven with it, if any."""
        tag = found.tag if found.verdict is Verdict.SOUND else None
        if tag is None:
            self._doubt(0 if self.ended and _is_signature(found) else found.size)
        elif tag.kind == (kinds.SERVICE, kinds.SEALED):
            return self._take_sealed(tag, found.size)
        elif tag.kind == (kinds.SERVICE, kinds.START):
            self.opened_ms = tag.time_ms
        elif tag.kind == (kinds.SERVICE, kinds.END):
            self.ended = True
            self._settle()
        return []

    def _take_sealed(self, tag: Tag, size: int) -> list[Tag]:
        first = tag if not self._pieces else self._pieces[0]
        fits = (tag.target or 0) == len(self._pieces) and tag.sequence == first.sequence
        if not fits or tag.sequence is None or tag.sequence < self._next_ordinal:
            self._doubt(size)
            return []
        self._pieces.append(tag)
        if tag.state & CONTINUED:
            return []
        pieces, self._pieces = self._pieces, []
        self.entries, self._next_ordinal = self.entries + 1, tag.sequence + 1
        self._settle()
        return pieces

    def _doubt(self, size: int) -> None:
        self.cut_bytes += size + sum(len(piece.data) for piece in self._pieces)
        self._doubtful, self._pieces = True, []

    def _settle(self) -> None:
        """Something committed stands here: doubtful bytes before it were no torn tail but a hole."""
        self.hole |= self._doubtful
        self.lost_bytes += self.cut_bytes
        self.cut_bytes, self._doubtful = 0, False


def founds_of(disk: Disk, path: str, stream_id: bytes) -> Iterator[Found]:
    """Yield what is found in the stream of tags at `path`; what the disk cannot read is lost, the rest is not."""
    reader = StreamReader(stream_id)
    for chunk in salvaged(disk, path):
        yield from reader.feed(chunk)
    yield from reader.finish()


def study_in_open(name: str) -> bytes | None:
    """Return the study whose file in `open` or `broken` is called `name`, or None when it is no study's."""
    match = _STUDY.fullmatch(re.sub(r"\.study\.\d+$", ".study", name))
    return bytes.fromhex(match[2]) if match else None


def recover(
    disk: Disk, spool: Spool, sealer: Sealer, kit: str, folder: str, under_way: Collection[bytes] = ()
) -> RecoveryReport:
    """Recover every study in `open` but those that are `under_way` in this process. See the module's text."""
    return _Recovery(disk, spool, sealer, kit, folder).run(under_way)


class _Recovery:
    def __init__(self, disk: Disk, spool: Spool, sealer: Sealer, kit: str, folder: str) -> None:
        self._disk = disk
        self._spool = spool
        self._sealer = sealer
        self._kit = kit
        self._open = join(folder, OPEN)
        self._broken = join(folder, BROKEN)

    def run(self, under_way: Collection[bytes]) -> RecoveryReport:
        self._clear_unfinished(under_way)
        studies, foreign = [], []
        for name in self._disk.list(self._open)[:STUDIES_MAX]:
            path, study_id, match = join(self._open, name), _id_in(name), _STUDY.fullmatch(name)
            if study_id is None:
                foreign.append(path)
            elif match and study_id not in under_way:
                studies.append(self._study(int(match[1]), study_id, path))
        foreign += self._clear_summaries(under_way, {study.study_id for study in studies})
        return RecoveryReport(tuple(studies), tuple(foreign))

    def _clear_unfinished(self, under_way: Collection[bytes]) -> None:
        for name in self._disk.list(self._open):
            study_id = _id_in(name.removesuffix(_NEW))
            if name.endswith(_NEW) and study_id is not None and study_id not in under_way:
                self._remove(join(self._open, name))

    def _clear_summaries(self, under_way: Collection[bytes], met: Collection[bytes]) -> list[str]:
        """Remove the prepared summaries of studies that are spooled; return those whose study is nowhere."""
        orphans = []
        for name in self._disk.list(self._open):
            study_id = _id_in(name)
            if not _SUMMARY.fullmatch(name) or study_id is None or study_id in under_way:
                continue
            path = join(self._open, name)
            if self._spool.get(study_id) is not None:
                self._remove(path)
            elif study_id not in met:
                orphans.append(path)
        return orphans

    def _study(self, priority: int, study_id: bytes, path: str) -> RecoveredStudy:
        survey = Survey()
        for found in founds_of(self._disk, path, study_id):
            survey.take(found)
        try:
            outcome = self._settle(priority, study_id, path, survey)
        except DiskFull:
            self._remove_if_there(path + _NEW)
            outcome = Outcome.POSTPONED
        return RecoveredStudy(study_id, outcome, survey.entries, survey.cut_bytes, survey.lost_bytes, survey.hole)

    def _settle(self, priority: int, study_id: bytes, path: str, survey: Survey) -> Outcome:
        outcome = self._outcome(study_id, path, survey)
        if outcome in (Outcome.CLOSED, Outcome.RECOVERED):
            opened_ms = survey.opened_ms or 0
            told = self._told(study_id, survey)
            admission = None if told else self._admission(study_id, survey)
            if outcome is Outcome.CLOSED:
                self._copy(path)
            else:
                self._rewrite(study_id, path, opened_ms, admission)
            if admission is not None:
                told = self._sealer.summary(study_id, opened_ms, admission)
            self._spool_both(priority, study_id, path, told)
        if survey.hole or outcome is Outcome.BROKEN:
            self._set_aside(path)
        else:
            self._remove(path)
        return outcome

    def _outcome(self, study_id: bytes, path: str, survey: Survey) -> Outcome:
        if self._spool.get(study_id) is not None:
            return Outcome.SPOOLED
        if not survey.hole and verify_signature(salvaged(self._disk, path), self._sealer.sign_public):
            return Outcome.CLOSED
        if survey.entries:
            return Outcome.RECOVERED
        # Without a sound START the file is either younger than its first fsync, or it has rotted.
        young = survey.opened_ms is not None or self._disk.size(path) <= START_SIZE_MAX
        return Outcome.EMPTY if young else Outcome.BROKEN

    def _told(self, study_id: bytes, survey: Survey) -> bytes:
        """Return the summary that was spooled already, or prepared when the study was closed; b"" without either."""
        summary_id = summary_id_of(study_id)
        if (there := self._spool.get(summary_id)) is not None:
            return self._spool.read(summary_id, 0, there.size)
        path = join(self._open, summary_name(study_id))
        if survey.hole or not self._disk.exists(path):
            return b""
        raw = self._disk.read(path)
        return raw if verify_signature([raw], self._sealer.sign_public) else b""

    def _admission(self, study_id: bytes, survey: Survey) -> Tag:
        """Return a summary that says what is known without opening anything, which is not much."""
        opened_ms, now_ms = survey.opened_ms or 0, self._sealer.clock.time_ms()
        return Summary(
            study_id, self._kit, "unknown", opened_ms, now_ms, entries=survey.entries, partial=True, recovered=True
        ).to_tag()

    def _copy(self, path: str) -> None:
        for chunk in chunks_of(self._disk, path):
            self._disk.append(path + _NEW, chunk)
        self._disk.sync(path + _NEW)

    def _rewrite(self, study_id: bytes, path: str, opened_ms: int, summary: Tag | None) -> None:
        writer, new, survey = StudyWriter(study_id, opened_ms, self._sealer.seal_public), path + _NEW, Survey()
        self._disk.append(new, writer.start())
        for found in founds_of(self._disk, path, study_id):
            if pieces := survey.take(found):
                self._disk.append(new, writer.adopt(pieces))
        if summary is not None:
            self._disk.append(new, writer.entry([summary], self._sealer.entropy))
        self._disk.append(new, self._sealer.closing(writer, recovered=True))
        self._disk.sync(new)

    def _spool_both(self, priority: int, study_id: bytes, path: str, summary: bytes) -> None:
        lead = summary_priority(priority)
        self._spool.put(summary_id_of(study_id), objects.SUMMARY, summary, priority=lead)
        self._spool.adopt(path + _NEW, study_id, objects.STUDY, priority=priority)

    def _set_aside(self, path: str) -> None:
        name = path.rpartition("/")[2]
        names = [name, *(f"{name}.{copy}" for copy in range(2, BROKEN_COPIES_MAX))]
        there = set(self._disk.list(self._broken))
        free = next((one for one in names if one not in there), names[-1])
        self._disk.rename(path, join(self._broken, free))
        self._disk.sync_folder(self._broken)
        self._disk.sync_folder(self._open)

    def _remove(self, path: str) -> None:
        self._disk.remove(path)
        self._disk.sync_folder(folder_of(path))

    def _remove_if_there(self, path: str) -> None:
        if self._disk.exists(path):
            self._remove(path)


def _is_signature(found: Found) -> bool:
    """No CHECK proves a signature: it stands after the last one."""
    return found.tag is not None and found.tag.kind == (kinds.SERVICE, kinds.SIGNATURE)


def _id_in(name: str) -> bytes | None:
    """Return the study whose name in `open` this is, or None for a name that is not ours."""
    match = _STUDY.fullmatch(name)
    digits = match[2] if match else summary[1] if (summary := _SUMMARY.fullmatch(name)) else None
    return bytes.fromhex(digits) if digits else None
