"""Makes studies of files in an inbox, in a process of its own: reading, decoding and sealing disturb no device.

One file is one study, as with drivers; the DICOM files of one study (PS3.3: StudyInstanceUID) and one patient are
one, split where they are more than one study takes, and wait while anything in their folder is being written. A
DICOMDIR is the index of a medium and no study: all that it names is found by itself. The files are only read,
unless the inbox moves what was taken.

`Taker` makes a study with `edge.importing` in `inbox/`, and says in `edge.inbox_taken` what is in it; see there
what a crash leaves. The kit takes up what lies in `inbox/spool` after this process has ended with 0, and never
while it runs. The process holds `node.claim` on `inbox/`. What it is given stands on its standard input, for keys,
labels and the worklist are secret: one JSON map; what it has to say are lines of JSON on its standard output, one for
each file. Of the worklist it is given which sample is whose, and no name.

Errors of the place are told of the file that met them; DiskFull and DiskError of the kit's own card end it.
"""

import json
import os
import resource
import sys
import traceback
from collections import defaultdict
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from edge.binding import HandedOrders, NoOrders, Orders
from edge.file_contents import USUAL, Contents, contents_of, kind_of_head
from edge.importing import FILES_MAX, TOTAL_SIZE_MAX, Importer, Origin, Signs
from edge.inbox_place import Place, RealPlace, Seen
from edge.inbox_taken import FOLDER, Taken, key_maker
from edge.inbox_watch import Fate, Outcome, Wanted
from node import entropy
from node.claim import claim
from node.clock import Clock, SystemClock
from node.disk import Disk, RealDisk, make_durable_folder
from node.entropy import Entropy
from wire.errors import DiskError, FeldsherError, UsageError
from wire.record import Patient
from wire.worklist import Order

DRIVER: Final = "inbox"
NICE: Final = 10
STUDIES_MAX: Final = 32
"""Studies that are made at one go, about; the kit takes them up before the next."""
MEMORY_SIZE_MAX: Final = 2 << 30
"""Of the process's address space: a large JPEG takes 400 MB, and the libraries reserve more than they use."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How an inbox takes files (`edge.config.Inbox`)."""

    name: str
    form: str = "document"
    priority: int = 5
    patient: str = "file"
    after: str = "leave"
    kinds: tuple[str, ...] = USUAL


@dataclass(frozen=True, slots=True)
class _Piece:
    """A file that is to be part of a study. `read` returns its bytes, as they were when its key was made."""

    seen: Seen
    key: bytes
    read: Callable[[], bytes]
    label: Patient | None

    @property
    def name(self) -> str:
        return self.seen.path.rpartition("/")[2]

    def read_bytes(self) -> bytes:
        return self.read()

    def __str__(self) -> str:
        return "the file"  # its name may name a patient


class _Changed(UsageError):
    """A file is not any more as it was seen."""


class Taker:
    """See the module's text. Opening one settles what a crash left. `alive` is called for each file that was read."""

    def __init__(
        self,
        disk: Disk,
        clock: Clock,
        random: Entropy,
        enrolment: Signs,
        place: Place | None,
        rule: Rule,
        alive: Callable[[], None] = lambda: None,
        orders: Orders | None = None,
    ) -> None:
        self._alive = alive
        self._orders: Orders = orders or NoOrders()
        self._disk, self._clock, self._entropy, self._enrolment = disk, clock, random, enrolment
        self._place, self._rule = place, rule
        make_durable_folder(disk, FOLDER)
        self._key = key_maker(enrolment.sign_secret)
        self._importer: Importer | None = None
        self._taken = Taken(disk)
        self._studies = 0

    def take(self, wanted: Iterable[Wanted], busy: Collection[str] = ()) -> Iterator[Outcome]:
        """Take the files, and tell of each. `busy`: folders in which something is being written."""
        images: dict[tuple[str, ...], list[tuple[tuple[int, int], _Piece]]] = defaultdict(list)
        for one in wanted:
            if self._studies >= STUDIES_MAX:
                break
            try:
                found = self._look(one, busy)
            except (UsageError, DiskError) as error:
                yield Outcome(one.seen.path, Fate.FAILED, f"cannot be read: {error}")
                continue
            if isinstance(found, Outcome):
                yield found
                continue
            piece, contents = found
            if contents.kind == "dicom":
                uid = contents.study_uid or one.seen.path
                images[uid, one.label.id if one.label else "", *contents.ids].append((contents.order, piece))
            else:
                yield from self._make([piece])
        for group in images.values():
            ordered = [piece for _, piece in sorted(group, key=lambda item: (item[0], item[1].seen.path))]
            for part in _parts(ordered):
                yield from self._make(part)

    def _look(self, wanted: Wanted, busy: Collection[str]) -> Outcome | tuple[_Piece, Contents]:
        """Read a file; return what is to become of it."""
        seen, place, name = wanted.seen, self._there, wanted.seen.path.rpartition("/")[2]
        kind = kind_of_head(name, place.head(seen))
        if kind not in self._rule.kinds and (kind != "spectrum" or "other" not in self._rule.kinds):
            return self._left(seen, kind)
        data = place.read(seen)
        self._alive()
        if data is None:
            return Outcome(seen.path, Fate.LATER, "has changed meanwhile")
        key = self._key(data)
        if self._taken.knows(key):
            return self._done(Outcome(seen.path, Fate.KNOWN, "was taken before"), seen)
        contents = contents_of(name, data)
        if contents.is_index:
            return Outcome(
                seen.path, Fate.LEFT, "is the index of a medium (DICOMDIR); what it names is taken by itself"
            )
        if contents.kind not in self._rule.kinds:
            return self._left(seen, contents.kind)
        if contents.kind != "dicom":
            return _Piece(seen, key, lambda: data, wanted.label), contents
        if seen.path.rpartition("/")[0] in busy:
            return Outcome(seen.path, Fate.LATER, "waits: something in its folder is being written")
        return _Piece(seen, key, lambda: self._again(seen, key), wanted.label), contents

    def _left(self, seen: Seen, kind: str) -> Outcome:
        what = "of a kind that is not known" if kind == "other" else f"of the kind {kind}"
        return Outcome(seen.path, Fate.LEFT, f"is {what}, and this inbox does not take it")

    def _again(self, seen: Seen, key: bytes) -> bytes:
        try:
            data = self._there.read(seen)
        except DiskError as error:  # of the place, not of our card
            raise UsageError(str(error)) from error
        self._alive()
        if data is None or self._key(data) != key:
            raise _Changed("it has changed meanwhile")
        return data

    def _make(self, pieces: Sequence[_Piece]) -> Iterator[Outcome]:
        """Make one study of these files."""
        first = {piece.key: piece for piece in reversed(pieces)}
        left = [one for one in pieces if first[one.key] is one and not self._taken.knows(one.key)]
        if left and not (yield from self._made(left)):
            return
        copies = [one for one in pieces if one not in left]
        yield from (self._done(Outcome(one.seen.path, Fate.KNOWN, "was taken before"), one.seen) for one in copies)

    def _made(self, left: Sequence[_Piece]) -> Generator[Outcome, None, bool]:
        label = left[0].label if self._rule.patient == "label" else None
        keys = [piece.key for piece in left]
        try:
            importer = self._opened()
            made = importer.make(left, label, self._rule.priority, lambda study: self._taken.closing(study, keys))
        except UsageError as error:  # a file is gone or has changed: what was begun is cleared by the next importer
            self._importer = None
            fate = Fate.LATER if isinstance(error, _Changed) else Fate.FAILED
            yield from (Outcome(one.seen.path, fate, f"cannot be taken: {error}") for one in left)
            return False
        self._taken.closed()
        self._studies += 1
        for one in left:
            told = Outcome(one.seen.path, Fate.TAKEN, "", made.study_id.hex(), is_disputed=made.bound.conflict)
            yield self._done(told, one.seen)
        return True

    def _opened(self) -> Importer:
        if self._importer is None:
            origin = Origin(DRIVER, self._rule.name, self._rule.form)
            self._importer = Importer(
                self._disk, self._clock, self._entropy, self._enrolment, FOLDER, origin, self._orders
            )
        return self._importer

    def _done(self, outcome: Outcome, seen: Seen) -> Outcome:
        """Move what is taken, where that is wanted; it is taken in any case."""
        if self._rule.after != "move":
            return outcome
        try:
            self._there.move(seen)
        except (UsageError, DiskError) as error:
            return replace(outcome, says=f"could not be moved: {error}")
        return outcome

    @property
    def _there(self) -> Place:
        if self._place is None:
            raise UsageError("there is no place to take anything from")
        return self._place


def _parts(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Yield them in order, as many at a time as one study takes."""
    part: list[_Piece] = []
    for piece in pieces:
        size = sum(one.seen.size for one in part) + piece.seen.size
        if part and (len(part) >= FILES_MAX or size > TOTAL_SIZE_MAX):
            yield part
            part = []
        part.append(piece)
    if part:
        yield part


# The process


@dataclass(frozen=True, slots=True)
class _Kit:
    """What is needed of the enrolment."""

    name: str
    server_seal_public: bytes
    sign_secret: bytes


def request(
    data: Path,
    enrolment: Signs,
    path: Path | None,
    rule: Rule,
    wanted: Sequence[Wanted],
    busy: Collection[str],
    orders: Orders,
) -> bytes:
    """Return what is to stand on the standard input of the process. Without `path` it only settles."""
    said = {
        "data": str(data),
        "kit": [enrolment.name, enrolment.server_seal_public.hex(), enrolment.sign_secret.hex()],
        "path": None if path is None else str(path),
        "rule": asdict(rule),
        "wanted": [_told(one) for one in wanted],
        "busy": sorted(busy),
        "orders": [[one.patient, one.sample] for one in orders.about(())] if wanted else [],
    }
    return json.dumps(said).encode()


def _told(one: Wanted) -> list[Any]:
    label = [one.label.id, one.label.source, one.label.checked, one.label.time_ms] if one.label else None
    return [one.seen.path, one.seen.size, one.seen.stamp, label]


def outcome_of(said: Mapping[str, Any]) -> Outcome:
    """Return what a line of the standard output says of a file."""
    return Outcome(said["path"], Fate(said["fate"]), said["says"], said["study"], said["is_disputed"])


def main() -> int:
    """Do what stands on the standard input."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_SIZE_MAX, MEMORY_SIZE_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # what is read here is a patient's
    said = json.loads(sys.stdin.buffer.read())
    name, seal_public, sign_secret = said["kit"]
    kit = _Kit(name, bytes.fromhex(seal_public), bytes.fromhex(sign_secret))
    rule = Rule(**(said["rule"] | {"kinds": tuple(said["rule"]["kinds"])}))
    place = RealPlace(Path(said["path"])) if said["path"] is not None else None
    wanted = [
        Wanted(Seen(path, size, stamp), Patient(*label) if label else None)
        for path, size, stamp, label in said["wanted"]
    ]
    orders = HandedOrders(Order(patient, sample=sample) for patient, sample in said["orders"])
    try:
        with RealDisk(said["data"]) as disk:
            make_durable_folder(disk, FOLDER)
            with claim(Path(said["data"]) / FOLDER):
                taker = Taker(disk, SystemClock(), entropy.system, kit, place, rule, lambda: _say({}), orders)
                for outcome in taker.take(wanted, said["busy"]):
                    _say(asdict(outcome))
    except FeldsherError as error:
        _say({"error": str(error)})
        return error.exit_code
    except Exception as error:  # noqa: BLE001  its text may show a file's content, so only its place is told
        at = traceback.extract_tb(error.__traceback__)[-1]
        _say({"error": f"{type(error).__name__} in {Path(at.filename).name}, line {at.lineno}"})
        return FeldsherError.exit_code
    return 0


def _say(line: Mapping[str, Any]) -> None:
    """Write a line; an empty map says that the process is still at work."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
