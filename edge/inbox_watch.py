"""What waits in an inbox, and why: which files are whole, which were taken, which are left, and when to try again.

Looks at sizes and times of change as a survey finds them, and at nothing else; synchronous, and driven from
outside. A file is whole when nothing of it has changed for `settle_s` of the kit's own time: a device's clock may
stand anywhere, so a time of change is compared with itself only. What is called as a file is while it is written
(`.part`, `~`), and what is empty, is left until that changes.

A label counts for files that appear while the kit looks, and not for those that lie there at its first look: what
was made before belongs to whom nobody knows (`edge.driver.StudyBegins.is_earlier`).

Nothing survives and nothing needs to: which files were taken is in `edge.inbox_taken`.
"""

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge.importing import FILE_SIZE_MAX
from edge.inbox_place import Seen, Survey
from node.disk import folder_of
from wire.record import Patient

RETRY_S: Final = 20.0
RETRY_S_MAX: Final = 900.0
STALE_S: Final = 600.0
"""A file that is called as one being written, and has not changed for so long, holds up nothing any more."""
BATCH_FILES_MAX: Final = 512
BATCH_SIZE_MAX: Final = 256 << 20
"""What is looked into at one go."""
LISTED_COUNT: Final = 16
UNFINISHED: Final = (".part", ".partial", ".tmp", ".temp", ".crdownload", ".filepart", "~")
OFFICE_LOCK: Final = "~$"


class Fate(StrEnum):
    """What became of a file."""

    TAKEN = "taken"
    KNOWN = "known"
    """Its bytes were taken before."""
    LEFT = "left"
    """Not what this inbox takes; looked at again when it changes."""
    LATER = "later"
    """It is not the time yet."""
    FAILED = "failed"
    """To be tried again, less and less often."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file, and why. `study`: in which it is, where it was taken now.

    `is_disputed`: label, worklist and files disagree on whose that is.
    """

    path: str
    fate: Fate
    says: str = ""
    study: str = ""
    is_disputed: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is whole. `label`: whose, by the label that was in force when it appeared."""

    seen: Seen
    label: Patient | None = None


@dataclass(slots=True)
class _File:
    seen: Seen
    since: float
    label: Patient | None
    outcome: Outcome | None = None
    tries: int = 0
    due: float = 0.0


class Watch:
    """See the module's text. One for each inbox."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._files: dict[str, _File] = {}
        self._is_there = False
        self._device = 0
        self._survey: Survey | None = None
        self._open: set[str] = set()
        """Files that are not dealt with; the others wait for nothing but their own change."""
        self._said: dict[str, Any] | None = None
        """What `status` said last, while it holds: it is asked for each second."""
        self._notes: tuple[str, ...] = ()
        self.taken = Counter[Fate]()
        """How many files met which fate since the start."""

    def look(self, survey: Survey, now: float, label: Callable[[], Patient | None]) -> None:
        """Take in what is there now. `label` is asked once, when there is something new."""
        if survey == self._survey:
            return
        if survey.device != self._device:  # another stick: or the first, in a folder that was empty until now
            self.gone()
        is_first, self._is_there, self._device = not self._is_there, True, survey.device
        is_new = any(self._begins(seen) for seen in survey.files)
        whose = label() if is_new and not is_first else None
        files: dict[str, _File] = {}
        for seen in survey.files:
            known = self._files.get(seen.path)
            if known is None or known.seen != seen:
                known = _File(seen, now, whose if known is None or self._begins(seen) else known.label)
            files[seen.path] = known
        self._files, self._survey, self._said = files, survey, None
        self._open = {path for path, file in files.items() if self._is_open(file)}
        cut = "there are more files than are looked at: take some away" if survey.is_cut else ""
        closed = [f"{len(survey.closed)} folders cannot be looked into"] if survey.closed else []
        self._notes = tuple(filter(None, (cut, *closed)))

    def _begins(self, seen: Seen) -> bool:
        """Tell whether a file is new, or written anew after it was dealt with; not whether it grows."""
        known = self._files.get(seen.path)
        return known is None or (known.seen != seen and known.outcome is not None)

    def gone(self) -> None:
        """There is no such place now: a stick was pulled out. When it is back all of it is looked at anew."""
        self._files.clear()
        self._open.clear()
        self._notes, self._survey, self._said = (), None, None
        self._is_there = False

    def wanted(self, now: float) -> list[Wanted]:
        """Return the files that are to be taken now, as many as one go takes, neighbours together."""
        found: list[Wanted] = []
        size, busy = 0, self.busy(now)
        due = {path for path in self._open if self._is_due(self._files[path], now, busy)}
        folders = {folder_of(path) for path in due} - busy
        for path in sorted(self._open) if due else ():
            file = self._files[path]
            # What waited for its neighbours goes with them: they may be one study.
            is_neighbour = file.outcome is not None and file.outcome.fate is Fate.LATER and folder_of(path) in folders
            if path not in due and not is_neighbour:
                continue
            if len(found) >= BATCH_FILES_MAX or (found and size + file.seen.size > BATCH_SIZE_MAX):
                break
            found.append(Wanted(file.seen, file.label))
            size += file.seen.size
        return found

    def busy(self, now: float) -> frozenset[str]:
        """Return the folders in which something is being written."""
        growing = (file for path in self._open if self._is_growing(file := self._files[path], now))
        return frozenset(folder_of(file.seen.path) for file in growing)

    def heard(self, seen: Seen, outcome: Outcome, now: float) -> None:
        """Keep what became of a file, unless it has changed meanwhile."""
        self.taken[outcome.fate] += 1
        file = self._files.get(seen.path)
        if file is None or file.seen != seen:
            return
        file.tries = file.tries + 1 if outcome.fate is Fate.FAILED else 0
        wait_s = min(RETRY_S * 2 ** min(file.tries - 1, 9), RETRY_S_MAX) if file.tries else self._settle_s
        file.outcome, file.due, self._said = outcome, now + wait_s, None
        if not self._is_open(file):
            self._open.discard(seen.path)

    def status(self, now: float, mark: Callable[[str], str]) -> dict[str, Any]:
        """Return what there is to say, without a name: files are called by their marks."""
        if self._said is not None and not self._open:
            return self._said
        waiting = [(file, says) for file in self._files.values() if (says := self._says(file, now))]
        fates = Counter(file.outcome.fate for file in self._files.values() if file.outcome is not None)
        self._said = {
            "there": self._is_there,
            "files": len(self._files),
            "here": {fate.value: fates[fate] for fate in Fate},
            "since_start": {fate.value: self.taken[fate] for fate in (Fate.TAKEN, Fate.KNOWN)},
            "waiting_count": len(waiting),
            "waiting": [
                {"mark": mark(file.seen.path), "size": file.seen.size, "says": says}
                for file, says in waiting[:LISTED_COUNT]
            ],
            "notes": list(self._notes),
        }
        return self._said

    def _says(self, file: _File, now: float) -> str:
        """Return why a file waits; "" when it does not."""
        if reason := self._waits(file, now):
            return reason
        if file.outcome is None:
            return "is whole, and is taken next"
        return file.outcome.says if file.outcome.fate not in {Fate.TAKEN, Fate.KNOWN} else ""

    def _waits(self, file: _File, now: float) -> str:
        seen = file.seen
        if _is_unfinished(seen.path):
            return "its name says that it is being written"
        if not seen.size:
            return "is empty"
        if seen.size > FILE_SIZE_MAX:
            return f"is too large: {seen.size} bytes; at most {FILE_SIZE_MAX}"
        return "is being written" if now < file.since + self._settle_s else ""

    def _is_growing(self, file: _File, now: float) -> bool:
        if _is_unfinished(file.seen.path) or not file.seen.size:
            return now < file.since + max(STALE_S, self._settle_s)
        return now < file.since + self._settle_s

    def _is_open(self, file: _File) -> bool:
        return file.outcome is None or self._tries_again(file)

    def _tries_again(self, file: _File) -> bool:
        return file.outcome is not None and file.outcome.fate in {Fate.LATER, Fate.FAILED}

    def _is_due(self, file: _File, now: float, busy: Collection[str]) -> bool:
        if self._waits(file, now):
            return False
        if file.outcome is None:
            return True
        is_held = file.outcome.fate is Fate.LATER and folder_of(file.seen.path) in busy
        return self._tries_again(file) and now >= file.due and not is_held


def _is_unfinished(path: str) -> bool:
    name = path.rpartition("/")[2].lower()
    return name.endswith(UNFINISHED) or name.startswith(OFFICE_LOCK)
