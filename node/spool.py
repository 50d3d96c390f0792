"""The spool: objects that wait to travel, each until the other side has confirmed it (R11, R13, R14).

Owns the folders `spool`, `custody`, `received` and `refused` below the folder it is given, and nothing else. The state
of an object is where its file lies, and what is known of it is how the file is called, so that `ls` shows both:

    spool/5-0000000012-<object id>-<digest>.study              priority, number of arrival, ...: `ls` = sending order,
                                                               but within one priority summaries go first, then previews
    received/4-0000000009-<object id>-<digest>.summary         arrived; its receipt lies beside it
    received/4-0000000009-<object id>-<digest>.summary.receipt
    refused/….study.reason                                     why the other side does not take it

The kit has one `Spool` for its studies; a gateway has one for what goes up and one for each kit. It is the `Outbox` of
`node/seams.py`. *Committed*, here: `put`, `adopt` and every change of state return when the file and the folders that
changed are fsynced. After a crash at any instant an object is in its old state or its new one, once: opening a spool
finishes what was begun (a receipt without its object in `received` moves the object; a file under two names loses the
older). Names that are not ours are left alone and reported in `foreign`.

A full disk (or a full spool) refuses the new object by `DiskFull`; a change of state finds room: for its receipt or
reason the oldest received object goes, or else the file `reserve-spool`; only when that is used up too, the object
moves without. Only what was received is ever removed, oldest first, and only when room is wanted. After a `DiskError`
the spool refuses all calls until it is opened anew.
"""

import bisect
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from typing import Final

from node.disk import Disk, folder_of, join, make_durable_folder, put_file
from node.guard import GuardedDisk
from node.reserve import Reserve
from wire.errors import DiskError, DiskFull, Misuse, UsageError
from wire.objects import DIGEST_SIZE, ID_SIZE, KINDS, NOTE_SIZE_MAX, Offer, Refusal, urgency

OBJECTS_MAX: Final = 65_536
NUMBER_MAX: Final = 9_999_999_999
PRIORITY_MIN, PRIORITY_MAX = 1, 9
RECEIPT_SIZE_MAX: Final = 64 << 10
REASON_SIZE_MAX: Final = 1000
"""Characters."""
CHUNK_SIZE: Final = 256 << 10
RESERVE_SIZE: Final = 16 << 10
"""Kept for receipts when the disk is full: with one receipt stored there is one object more that may be pruned."""


class State(StrEnum):
    """Where an object is on its way; the value is the folder in which its file lies."""

    WAITING = "spool"
    CUSTODY = "custody"
    RECEIVED = "received"
    REFUSED = "refused"


class Heard(Enum):
    """What the other side (or the operator) said of an object."""

    CUSTODY = "custody"
    RECEIPT = "receipt"
    REFUSAL = "refusal"
    AGAIN = "again"


NEXT: Final = {
    (State.WAITING, Heard.CUSTODY): State.CUSTODY,
    (State.WAITING, Heard.RECEIPT): State.RECEIVED,
    (State.WAITING, Heard.REFUSAL): State.REFUSED,
    (State.WAITING, Heard.AGAIN): State.WAITING,
    (State.CUSTODY, Heard.CUSTODY): State.CUSTODY,
    (State.CUSTODY, Heard.RECEIPT): State.RECEIVED,
    (State.CUSTODY, Heard.REFUSAL): State.REFUSED,
    (State.CUSTODY, Heard.AGAIN): State.WAITING,
    (State.RECEIVED, Heard.CUSTODY): State.RECEIVED,
    (State.RECEIVED, Heard.RECEIPT): State.RECEIVED,
    (State.RECEIVED, Heard.REFUSAL): State.RECEIVED,
    (State.RECEIVED, Heard.AGAIN): State.RECEIVED,
    (State.REFUSED, Heard.CUSTODY): State.REFUSED,
    (State.REFUSED, Heard.RECEIPT): State.RECEIVED,
    (State.REFUSED, Heard.REFUSAL): State.REFUSED,
    (State.REFUSED, Heard.AGAIN): State.WAITING,
}
"""What is heard twice or late changes nothing; a receipt is proof, whatever was said before."""

_FURTHEST_FIRST: Final = (State.RECEIVED, State.REFUSED, State.CUSTODY, State.WAITING)
UNCONFIRMED: Final = frozenset({State.WAITING, State.CUSTODY})
BESIDE: Final = {State.RECEIVED: ".receipt", State.REFUSED: ".reason"}
"""What the name of the file beside an object in this state adds to the object's."""
_KIND_OF: Final = {name: kind for kind, name in KINDS.items()}
_NAME: Final = re.compile(
    rf"([1-9])-(\d{{10}})-([0-9a-f]{{{2 * ID_SIZE}}})-([0-9a-f]{{{2 * DIGEST_SIZE}}})"
    rf"(?:-((?:[0-9a-f]{{2}}){{1,{NOTE_SIZE_MAX}}}))?\.({'|'.join(KINDS.values())})"
)
UNFINISHED: Final = ".new"


def digest_of(data: bytes) -> bytes:
    """Return the digest by which an object is known on the link: 16 bytes of its BLAKE2b-256."""
    return hashlib.blake2b(data, digest_size=32).digest()[:DIGEST_SIZE]


@dataclass(frozen=True, slots=True)
class SpoolObject:
    """What is known of one object. `number`: order of arrival in this spool. `note`: for the application."""

    object_id: bytes
    kind: int
    priority: int
    digest: bytes
    number: int
    size: int
    state: State = State.WAITING
    note: bytes = b""

    @property
    def name(self) -> str:
        """The name of its file, the same in every folder."""
        fields = [str(self.priority), f"{self.number:010d}", self.object_id.hex(), self.digest.hex()]
        return "-".join(fields + ([self.note.hex()] if self.note else [])) + "." + KINDS[self.kind]

    @property
    def offer(self) -> Offer:
        """The object as it is offered to the other side."""
        again = self.state is State.CUSTODY
        return Offer(self.object_id, self.kind, self.size, self.digest, self.priority, self.note, again)

    @property
    def order(self) -> tuple[tuple[int, int], int]:
        """Sorts by urgency, then by age."""
        return urgency(self.priority, self.kind), self.number


def parse_name(name: str, size: int = 0, state: State = State.WAITING) -> SpoolObject | None:
    """Return the object whose file is called `name`, or None when the name is not one of ours."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    priority, number, object_id, digest, note, kind = match.groups()
    note_bytes = bytes.fromhex(note or "")
    ids = bytes.fromhex(object_id), bytes.fromhex(digest)
    return SpoolObject(ids[0], _KIND_OF[kind], int(priority), ids[1], int(number), size, state, note_bytes)


class Spool:
    """See the module's text. Opening one recovers it."""

    def __init__(self, disk: Disk, folder: str = "", *, objects_max: int = OBJECTS_MAX) -> None:
        self._disk = GuardedDisk(disk)
        self._folder = folder
        self._objects_max = objects_max
        self._objects: dict[bytes, SpoolObject] = {}
        self._number: Counter[State] = Counter()
        """Of objects in each state: asked after each entry of a study, and there may be thousands."""
        self._next_number = 1
        self._queue: list[tuple[tuple[int, int], int, bytes]] = []
        """Order and id of what is without a receipt, sorted: every answer of the peer asks for all of them."""
        self._offers: dict[bytes, Offer] = {}
        """Of what stands in the queue."""
        self._pending: tuple[Offer, ...] | None = None
        self.foreign: list[str] = []
        """Paths in our folders that are not ours: left alone."""
        self._recover()
        self._reserve = Reserve(self._disk, join(folder, "reserve-spool"), RESERVE_SIZE)
        self._reserve.fill()

    # Asking

    def get(self, object_id: bytes) -> SpoolObject | None:
        """Return what is known of the object, or None."""
        return self._objects.get(object_id)

    def objects(self, *states: State) -> list[SpoolObject]:
        """Return the objects in these states (none named: in all), most urgent and oldest first."""
        wanted = [one for one in self._objects.values() if not states or one.state in states]
        return sorted(wanted, key=lambda one: one.order)

    def counts(self) -> Counter[State]:
        """Return how many objects are in each state."""
        return self._number.copy()

    def pending(self) -> Sequence[Offer]:
        """Return what is still without a receipt, in custody or not, most urgent and oldest first."""
        if self._pending is None:
            self._pending = tuple(self._offers[object_id] for _, _, object_id in self._queue)
        return self._pending

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        """Return exactly these bytes of the object."""
        one = self._known(object_id)
        data = self._disk.read(self._path(one), offset, size)
        if len(data) != size:
            raise DiskError(f"{self._path(one)}: {len(data)} bytes at {offset}, want {size}")
        return data

    def path(self, object_id: bytes) -> str:
        """Return where the object's file lies now."""
        return self._path(self._known(object_id))

    def receipt_of(self, object_id: bytes) -> bytes:
        """Return the receipt of a received object; b"" when there was no room to keep it."""
        return self._read_beside(object_id, State.RECEIVED)

    def reason_of(self, object_id: bytes) -> str:
        """Return why the object was refused."""
        return self._read_beside(object_id, State.REFUSED).decode(errors="replace")

    def _read_beside(self, object_id: bytes, state: State) -> bytes:
        path = self._beside(self._known(object_id), state)
        return self._disk.read(path) if self._disk.exists(path) else b""

    def has_room(self, size: int = 0) -> bool:
        """Tell whether an object of `size` bytes would be taken now."""
        is_full = len(self._objects) >= self._objects_max and not self._number[State.RECEIVED]
        return self._reserve.fill() and not is_full and self._disk.free() > size

    # Taking objects

    def put(self, object_id: bytes, kind: int, data: bytes, *, priority: int = 5, note: bytes = b"") -> SpoolObject:
        """Take `data` as an object; returns when it is durable. The same object twice is one.

        Raises DiskFull, and UsageError when the id is there with another content.
        """
        digest = digest_of(data)
        if (there := self._same(object_id, digest)) is not None:
            return there
        one = self._new(object_id, kind, digest, len(data), priority, note)
        unfinished = self._path(one) + UNFINISHED
        self._remove_if_there(unfinished)
        try:
            self._disk.append(unfinished, data)
        except DiskFull:
            self._remove_if_there(unfinished)
            raise
        self._disk.sync(unfinished)
        return self._enter(one, unfinished)

    def adopt(
        self, path: str, object_id: bytes, kind: int, *, priority: int = 5, digest: bytes = b"", note: bytes = b""
    ) -> SpoolObject:
        """Take the file at `path` of the same disk, which its owner has fsynced, as an object: moved, not copied.

        Without `digest` the file is read to find it. When the object is here already, the file is only removed.
        """
        digest = digest or self._digest_of_file(path)
        if (there := self._same(object_id, digest)) is not None:
            self._disk.remove(path)
            self._disk.sync_folder(folder_of(path))
            return there
        one = self._new(object_id, kind, digest, self._disk.size(path), priority, note)
        return self._enter(one, path)

    def _same(self, object_id: bytes, digest: bytes) -> SpoolObject | None:
        there = self._objects.get(object_id)
        if there is not None and there.digest != digest:
            have, want = there.digest.hex(), digest.hex()
            raise UsageError(f"object {object_id.hex()} is in the spool with digest {have}; not taken with {want}")
        return there

    def _new(self, object_id: bytes, kind: int, digest: bytes, size: int, priority: int, note: bytes) -> SpoolObject:
        Offer(object_id, kind, size, digest, priority, note)  # holds the bounds
        if kind not in KINDS:
            raise Misuse(f"no object has the kind {kind}")
        if len(self._objects) >= self._objects_max and not self._prune_one():
            raise DiskFull(f"the spool {self._folder or '.'} holds {self._objects_max} objects, its limit")
        if self._next_number > NUMBER_MAX:
            raise DiskFull(f"the spool {self._folder or '.'} has numbered {NUMBER_MAX} objects, its limit")
        return SpoolObject(object_id, kind, priority, digest, self._next_number, size, note=note)

    def _enter(self, one: SpoolObject, path: str) -> SpoolObject:
        self._rename(path, self._path(one))
        self._keep(one)
        self._reserve.fill()
        return one

    # What the other side said (the `Outbox` of node/seams.py); unknown ids are what was pruned: nothing happens

    def in_custody(self, object_id: bytes) -> None:
        """The peer has it verified on its disk."""
        self._hear(object_id, Heard.CUSTODY)

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        """It has arrived. The first receipt is kept beside the object."""
        if len(receipt) > RECEIPT_SIZE_MAX:
            raise Misuse(f"a receipt of {len(receipt)} bytes; at most {RECEIPT_SIZE_MAX}")
        self._hear(object_id, Heard.RECEIPT, receipt)

    def refused(self, object_id: bytes, refusal: Refusal | str) -> None:
        """The peer will not take it: it is set aside with the reason, unless the refusal is temporary."""
        if isinstance(refusal, Refusal) and refusal.temporary:
            return
        self._hear(object_id, Heard.REFUSAL, str(refusal)[:REASON_SIZE_MAX].encode())

    def again(self, object_id: bytes) -> None:
        """The operator (or a gateway that lost its disk) wants it sent again, from the beginning."""
        self._hear(object_id, Heard.AGAIN)

    def _hear(self, object_id: bytes, heard: Heard, beside: bytes = b"") -> None:
        one = self._objects.get(object_id)
        if one is None or (state := NEXT[one.state, heard]) is one.state:
            return
        if one.state is State.REFUSED and state is State.WAITING:
            self._remove_if_there(self._beside(one, State.REFUSED))
            self._disk.sync_folder(self._in(State.REFUSED))
        if state in BESIDE:
            self._put_beside(self._beside(one, state), beside)
        self._move(one, state)
        if one.state is State.REFUSED and state is State.RECEIVED:
            self._remove_if_there(self._beside(one, State.REFUSED))

    def _put_beside(self, path: str, data: bytes) -> None:
        try:
            put_file(self._disk, path, data)
        except DiskFull:
            self._remove_if_there(path + UNFINISHED)
            if self._prune_one() or self._reserve.release():
                self._put_beside(path, data)

    def _move(self, one: SpoolObject, state: State) -> None:
        moved = replace(one, state=state)
        self._rename(self._path(one), self._path(moved))
        self._keep(moved)

    # Making room

    def prune(self, wanted: int) -> list[bytes]:
        """Remove received objects, oldest first, until the disk has `wanted` bytes free. Returns their ids."""
        pruned: list[bytes] = []
        for one in sorted(self.objects(State.RECEIVED), key=lambda one: one.number):
            if self._disk.free() >= wanted:
                break
            self.forget(one.object_id)
            pruned.append(one.object_id)
        return pruned

    def forget(self, object_id: bytes) -> None:
        """Remove an object that the other side holds (received or in custody), with its receipt."""
        one = self._known(object_id)
        if one.state not in (State.RECEIVED, State.CUSTODY):
            raise Misuse(f"object {object_id.hex()} is not confirmed: it lies in {one.state}")
        self._disk.remove(self._path(one))
        self._disk.sync_folder(self._in(one.state))
        if one.state is State.RECEIVED:
            self._remove_if_there(self._beside(one, State.RECEIVED))
        self._unqueue(one)
        self._number[one.state] -= 1
        del self._objects[object_id]

    def _prune_one(self) -> bool:
        received = [one for one in self._objects.values() if one.state is State.RECEIVED]
        if not received:
            return False
        self.forget(min(received, key=lambda one: one.number).object_id)
        return True

    # Recovery

    def _recover(self) -> None:
        for state in State:
            make_durable_folder(self._disk, self._in(state))
            self._disk.sync_folder(self._in(state))
        beside: list[tuple[State, str]] = []
        for state in _FURTHEST_FIRST:
            for name in self._disk.list(self._in(state)):
                self._meet(state, name, beside)
        for state, name in beside:
            self._meet_beside(state, name)
        self.foreign.sort()

    def _meet(self, state: State, name: str, beside: list[tuple[State, str]]) -> None:
        """Take one name that was found: an object, what was left unfinished, what lies beside an object, or foreign."""
        path, finished = join(self._in(state), name), name.removesuffix(UNFINISHED)
        base = finished.removesuffix(BESIDE.get(state, ""))
        one = parse_name(base, 0, state)
        if one is None:
            self.foreign.append(path)
        elif finished != name:
            self._disk.remove(path)
        elif base != name:
            beside.append((state, base))
        else:
            self._meet_object(replace(one, size=self._disk.size(path)))

    def _meet_object(self, one: SpoolObject) -> None:
        self._next_number = max(self._next_number, one.number + 1)
        further = self._objects.get(one.object_id)
        if further is None:
            self._keep(one)
        elif further.name == one.name:
            self._disk.remove(self._path(one))
            self._disk.sync_folder(self._in(one.state))
        else:
            self.foreign.append(self._path(one))

    def _meet_beside(self, state: State, name: str) -> None:
        """Finish a move that had written its receipt or reason, or a removal that had not come to it."""
        named = parse_name(name)
        one = self._objects.get(named.object_id) if named else None
        over = one is None or one.name != name or (one.state is State.RECEIVED and state is State.REFUSED)
        if one is None or over:
            self._disk.remove(join(self._in(state), name + BESIDE[state]))
        elif one.state is not state:
            self._move(one, state)

    # Small things

    def _known(self, object_id: bytes) -> SpoolObject:
        one = self._objects.get(object_id)
        if one is None:
            raise UsageError(f"no object {object_id.hex()} in the spool {self._folder or '.'}")
        return one

    def _keep(self, one: SpoolObject) -> None:
        before = self._objects.get(one.object_id)
        if before is not None:
            self._unqueue(before)
            self._number[before.state] -= 1
        self._number[one.state] += 1
        self._objects[one.object_id] = one
        self._next_number = max(self._next_number, one.number + 1)
        if one.state in UNCONFIRMED:
            bisect.insort(self._queue, (*one.order, one.object_id))
            self._offers[one.object_id] = one.offer
            self._pending = None

    def _unqueue(self, one: SpoolObject) -> None:
        if self._offers.pop(one.object_id, None) is not None:
            del self._queue[bisect.bisect_left(self._queue, (*one.order, one.object_id))]
            self._pending = None

    def _in(self, state: State) -> str:
        return join(self._folder, state.value)

    def _path(self, one: SpoolObject) -> str:
        return join(self._in(one.state), one.name)

    def _beside(self, one: SpoolObject, state: State) -> str:
        return join(self._in(state), one.name + BESIDE[state])

    def _rename(self, old: str, new: str) -> None:
        self._disk.rename(old, new)
        self._disk.sync_folder(folder_of(new))
        if folder_of(old) != folder_of(new):
            self._disk.sync_folder(folder_of(old))

    def _remove_if_there(self, path: str) -> None:
        if self._disk.exists(path):
            self._disk.remove(path)

    def _digest_of_file(self, path: str) -> bytes:
        size, digest = self._disk.size(path), hashlib.blake2b(digest_size=32)
        for offset in range(0, size, CHUNK_SIZE):
            digest.update(self._disk.read(path, offset, CHUNK_SIZE))
        return digest.digest()[:DIGEST_SIZE]
