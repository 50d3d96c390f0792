"""ASTM, between frames and records: which records of an analyser belong to one study.

Pure values and functions. A `Message` is what is committed of the study that is being received; `another_study` says
whether a record may go on in it; `merged` takes records in, and after a failure leaves out those that came before.
LIS02-A2 4.2: a sender that failed begins again with the last unsaved record, preceded by its parents.
"""

import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from edge.device_time import from_stamp
from edge.driver import ClockRead, Event
from edge.drivers import astm_records as lis
from edge.drivers.astm_frames import Piece

COMMENTS: Final = frozenset({"C", "M"})
MESSAGE_SIZE_MAX: Final = 192 * 1024
"""Records of one study that are read, bytes. Frames beyond it are committed and acknowledged, and stand in RAW only."""
_RECORD_END: Final = re.compile(rb"[\r\n]")


@dataclass(slots=True)
class Message:
    """The study that is being received: the records that are committed, and what they say about what may follow."""

    records: list[bytes] = field(default_factory=list)
    size: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    interrupted: str = ""
    """Why nothing comes at present; "" while it goes on."""
    broke: str = ""
    """Why it broke off, until it is known to be whole after all."""
    is_resumed: bool = False
    is_done: bool = False
    """Record L is there."""
    reported: int = 0
    """How many of the records are in a RESULT that is committed."""
    repeats: int = 0
    place: int = -1
    """Behind the record that was just repeated: here its comments belong. -1: at the end."""

    def last(self, kind: str, after: Sequence[bytes] = ()) -> bytes:
        """Return the latest record of a kind, among those here and those about to follow; empty when there is none."""
        for group in (after, self.records):
            for record in reversed(group):
                if lis.kind_of(record) == kind:
                    return record
        return b""

    def note(self, text: str) -> None:
        if len(self.notes) < lis.NOTES_COUNT_MAX:
            self.notes[text] = None

    def break_off(self, reason: str) -> None:
        """Nothing more comes for now."""
        self.interrupted = reason
        if not self.is_done:
            self.broke = reason

    def remarks(self) -> list[str]:
        """Return what the reader of the RESULT should know."""
        remarks = list(self.notes)
        if self.repeats:
            remarks.append(f"{self.repeats} records came again after a failure and were taken once")
        if self.broke and not self.is_done:
            remarks.append(f"the message broke off: {self.broke}")
        return remarks


@dataclass(slots=True)
class Frame:
    """A good frame on its way to the disk: the records that became whole with it, and where each begins in its text."""

    piece: Piece
    pending: deque[tuple[int, bytes]]
    carry: bytes
    """The beginning of a record that goes on in the next frame."""
    raw_from: int = 0
    """What comes before it in the piece's raw is committed."""
    raw_to: int = 0
    group: list[bytes] = field(default_factory=list)
    """The records in the commit that is awaited."""

    def is_same(self, piece: Piece) -> bool:
        mine = self.piece
        return (mine.number, mine.text, mine.is_last) == (piece.number, piece.text, piece.is_last)

    def take_group(self, message: Message, controls: frozenset[str]) -> bool:
        """Move the records of one study from `pending` to `group`; return whether the message ends with them."""
        self.group = []
        latest = {lis.kind_of(one): one for one in message.records}
        while self.pending and not another_study(message, self.group, latest, self.pending[0][1], controls):
            self.group.append(self.pending.popleft()[1])
            latest[lis.kind_of(self.group[-1])] = self.group[-1]
        self.raw_to = self.piece.start + self.pending[0][0] if self.pending else len(self.piece.raw)
        return bool(self.pending) or any(lis.kind_of(one) == "L" for one in self.group)

    def put_back(self) -> None:
        """The commit was refused."""
        at = max(0, self.raw_from - self.piece.start)
        self.pending.extendleft((at, one) for one in reversed(self.group))
        self.group = []

    def again(self, piece: Piece) -> "Frame":
        """Return this frame as it came again; it goes on where the disk gave up."""
        raw_from = piece.start + self.raw_from - self.piece.start if self.raw_from else 0
        return Frame(piece, self.pending, self.carry, raw_from)


def cut(carry: bytes, piece: Piece) -> Frame:
    """Divide a frame's text into records; the last goes on in the next frame, unless this one ends with ETX.

    A record ends with CR. Some senders write CR LF or LF, which LIS01-A2 forbids in a text: it can mean only this.
    """
    text = carry + piece.text
    pending: deque[tuple[int, bytes]] = deque()
    at = 0
    for end in _RECORD_END.finditer(text):
        pending.append((max(0, at - len(carry)), text[at : end.start()]))
        at = end.end()
    rest = text[at:]
    if piece.is_last:
        pending.append((max(0, at - len(carry)), rest))
    whole = deque((offset, record) for offset, record in pending if record.strip())
    return Frame(piece, whole, b"" if piece.is_last or len(rest) > MESSAGE_SIZE_MAX else rest)


def another_study(
    message: Message, group: Sequence[bytes], latest: Mapping[str, bytes], record: bytes, controls: frozenset[str]
) -> bool:
    """Return whether `record` belongs to another study than the message and the records of `group` before it.

    `latest`: of each kind the last of those.
    """
    kind = lis.kind_of(record)
    mine = latest.get(kind, b"")
    if kind == "H":
        return _other_header(message, group, mine, record)
    if kind == "P":
        return bool(mine) and mine.rstrip() != record.rstrip()
    return kind == "O" and bool(mine) and _other_order(latest, record, controls)


def _other_header(message: Message, group: Sequence[bytes], mine: bytes, record: bytes) -> bool:
    """A message goes on after a new header only when it broke off and the same analyser speaks."""
    is_awaited = bool(message.interrupted) and not group
    return bool(mine) and not (is_awaited and lis.sender_of(mine) == lis.sender_of(record))


def _other_order(latest: Mapping[str, bytes], record: bytes, controls: frozenset[str]) -> bool:
    marks, mine = lis.Delimiters.read(latest.get("H", b"")), latest["O"]
    if lis.is_control(mine, marks, controls) != lis.is_control(record, marks, controls):
        return True
    same = lis.specimen_of(mine, marks) == lis.specimen_of(record, marks)
    return lis.is_anonymous(latest.get("P", b""), marks) and not same


def heir_of(message: Message, first: bytes) -> Message:
    """Return the next study of the same transmission, which begins with `first`: it inherits the parents of `first`."""
    parents = {"H": (), "P": ("H",)}.get(lis.kind_of(first), ("H", "P"))
    records = [record for kind in parents if (record := message.last(kind))]
    return Message(records, sum(map(len, records)))


def merged(message: Message, group: Sequence[bytes]) -> Message:
    """Return the message with `group` taken in: after a failure, what is there already is left out."""
    grown = replace(message, records=list(message.records), notes=dict(message.notes))
    if message.interrupted and any(lis.kind_of(one) == "H" for one in group):
        grown.is_resumed, grown.interrupted = True, ""
        grown.note(f"sent again after: {message.interrupted}")
    marks = lis.Delimiters.read(message.last("H", group))
    for record in group:
        _take(grown, record, marks)
    return grown


def _take(message: Message, record: bytes, marks: lis.Delimiters) -> None:
    kind = lis.kind_of(record)
    if kind == "L":
        message.is_done, message.interrupted = True, ""
    if kind == "R":
        message.broke = ""
    if message.is_resumed and _is_repetition(message, record, kind, marks):
        message.repeats += 1
    elif message.size + len(record) > MESSAGE_SIZE_MAX:
        message.note("the message is too long to be read; RAW has it whole")
    else:
        _insert(message, record)


def _insert(message: Message, record: bytes) -> None:
    """Add a record at the end, or a comment behind the repeated record that it belongs to."""
    message.size += len(record)
    if message.place < 0:
        message.records.append(record)
    else:
        message.records.insert(message.place, record)
        message.place += 1


def _is_repetition(message: Message, record: bytes, kind: str, marks: lis.Delimiters) -> bool:
    """Return whether the record is there already; moves `place` behind it."""
    if kind in COMMENTS:
        return message.place >= 0 and _is_comment_there(message, record)
    if kind == "O":
        is_last = message.last("O") == record
        found = _index(message.records, lambda one: one == record) if is_last else -1
    elif kind in {"H", "L"}:
        found = _index(message.records, lambda one: lis.kind_of(one) == kind)
    else:
        content = lis.content_of(record, marks)
        found = _index(message.records, lambda one: lis.content_of(one, marks) == content)
    message.place = found + 1 if found >= 0 else -1
    return found >= 0


def _is_comment_there(message: Message, record: bytes) -> bool:
    """Look for a comment among those behind the repeated record; `place` ends behind it, or behind all of them."""
    while message.place < len(message.records) and lis.kind_of(message.records[message.place]) in COMMENTS:
        message.place += 1
        if message.records[message.place - 1] == record:
            return True
    return False


def _index(records: Sequence[bytes], fits: Callable[[bytes], bool]) -> int:
    """Return where the latest record that fits stands, or -1."""
    return next((at for at in range(len(records) - 1, -1, -1) if fits(records[at])), -1)


def clock_of(frame: Frame, at: float) -> list[Event]:
    """Return what the analyser's clock says: H.14, when the message was made."""
    header = next((one for _, one in frame.pending if lis.kind_of(one) == "H"), None)
    text = lis.time_of(header) if header is not None else ""
    read = from_stamp(text)
    return [] if read is None else [ClockRead(text, read, at)]
