"""Objects and what the two sides say about them on the command channel: tags of group 0x0007 (R12, R14).

An object is a file that must arrive whole, once. `docs/protocol.md` is normative. Everything said here is
harmless when said twice: an offer that is repeated gets the same answer.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from wire import kinds, varint
from wire.errors import Misuse, PeerError
from wire.ranges import RangeSet
from wire.tag import Tag

ID_SIZE: Final = 16
DIGEST_SIZE: Final = 16
"""BLAKE2b-256 cut to 16 bytes: against accidents; forgery is the concern of session and seal."""
SIZE_MAX: Final = 1 << 40
NOTE_SIZE_MAX: Final = 64
RECEIPT_SIZE_MAX: Final = 512
TEXT_SIZE_MAX: Final = 200
HAVE_RUNS_MAX: Final = 128
"""Runs of a gap list that are told; what lies behind them counts as missing and is sent again."""

SUMMARY, STUDY, COMMAND, RECEIPT, ROSTER, FILE, PREVIEW, WORKLIST = range(1, 9)
KINDS: Final = {
    SUMMARY: "summary",
    STUDY: "study",
    COMMAND: "command",
    RECEIPT: "receipt",
    ROSTER: "roster",
    FILE: "file",
    PREVIEW: "preview",
    WORKLIST: "worklist",
}
_FIRST_LOOK: Final = {SUMMARY: 0, PREVIEW: 1}

DISK_FULL, NOT_ALLOWED, TOO_LARGE, BAD_NAME, BROKEN, BUSY, NOT_WANTED = range(1, 8)
REASONS: Final = {
    DISK_FULL: "the disk is full",
    NOT_ALLOWED: "not allowed",
    TOO_LARGE: "too large",
    BAD_NAME: "a name that cannot be used",
    BROKEN: "it does not match its digest",
    BUSY: "too much at once",
    NOT_WANTED: "not wanted",
}
TEMPORARY: Final = frozenset({DISK_FULL, BUSY})
"""Refused for now: the sender keeps the object and offers it again later."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One object that its sender wants to hand over.

    `digest` is the first 16 bytes of the BLAKE2b-256 of its bytes. `note` is for the application (for example the
    kit that an object on a gateway is for); the link does not look into it. `again` is not on the wire: the peer has
    had the object, so it is asked before a byte is sent.
    """

    object_id: bytes
    kind: int
    size: int
    digest: bytes
    priority: int = 5
    note: bytes = b""
    again: bool = field(default=False, compare=False)

    def __post_init__(self) -> None:
        """Hold the bounds, for our own offers as for those that arrive."""
        for name, good in (
            ("object_id", len(self.object_id) == ID_SIZE),
            ("kind", 0 < self.kind < 16),
            ("size", 0 <= self.size <= SIZE_MAX),
            ("digest", len(self.digest) == DIGEST_SIZE),
            ("priority", 1 <= self.priority <= 9),
            ("note", len(self.note) <= NOTE_SIZE_MAX),
        ):
            if not good:
                raise Misuse(f"an offer's {name} is out of bounds: {getattr(self, name)!r}")

    @property
    def urgency(self) -> tuple[int, int]:
        """What sorts by it goes out in order: by priority, and within one a first look before what is looked at."""
        return urgency(self.priority, self.kind)


def urgency(priority: int, kind: int) -> tuple[int, int]:
    """Return what an object of this priority and kind is sorted by: summaries, previews, then all else."""
    return priority, _FIRST_LOOK.get(kind, len(_FIRST_LOOK))


@dataclass(frozen=True, slots=True)
class Have:
    """What of the object is already there, bytes."""

    ranges: RangeSet


@dataclass(frozen=True, slots=True)
class Custody:
    """The whole object is on a disk of the other side, verified and fsynced. Its final receipt is still to come.

    `twice` counts the segments of this session that had already been there whole; the link fills it in.
    """

    twice: int = 0


@dataclass(frozen=True, slots=True)
class Receipt:
    """The object has arrived where it was going. `data` (at most 512 bytes) may be a signature."""

    data: bytes = b""
    twice: int = 0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The other side does not take the object: a number of REASONS and a text that names what and where."""

    reason: int
    text: str = ""

    @property
    def temporary(self) -> bool:
        return self.reason in TEMPORARY

    def __str__(self) -> str:
        return f"{REASONS.get(self.reason, f'reason {self.reason}')}{': ' if self.text else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class Damaged:
    """The whole did not match its digest and was thrown away. The sender is the authority: it starts again."""


Answer = Have | Custody | Receipt | Refusal
Message = tuple[int, "Offer | Answer"]
"""(channel, what is said about it)."""


def encode_message(channel: int, message: Offer | Answer) -> Tag:
    """Return the tag that says `message` about `channel`."""
    head = varint.encode(channel)
    if isinstance(message, Offer):
        body = bytes(((message.priority - 1) << 4 | message.kind,)) + message.object_id + message.digest
        return Tag(kinds.NETWORK, kinds.OFFER, head + body + varint.encode(message.size) + message.note)
    if isinstance(message, Have):
        return Tag(kinds.NETWORK, kinds.HAVE, head + _encode_runs(message.ranges))
    if isinstance(message, Custody):
        return Tag(kinds.NETWORK, kinds.CUSTODY, head + varint.encode(message.twice))
    if isinstance(message, Receipt):
        if len(message.data) > RECEIPT_SIZE_MAX:
            raise Misuse(f"a receipt of {len(message.data)} bytes; at most {RECEIPT_SIZE_MAX}")
        return Tag(kinds.NETWORK, kinds.RECEIPT, head + varint.encode(message.twice) + message.data)
    text = message.text.encode()[:TEXT_SIZE_MAX].decode(errors="ignore").encode()
    return Tag(kinds.NETWORK, kinds.REFUSED, head + bytes((message.reason,)) + text)


def decode_message(tag: Tag) -> Message | None:
    """Return (channel, message), or None for a tag of a kind that we do not know. Raises PeerError."""
    reader = _READERS.get(tag.number) if tag.group == kinds.NETWORK else None
    if reader is None:
        return None
    channel, at = varint.decode(tag.data, 0)
    try:
        return channel, reader(tag.data[at:])
    except (Misuse, IndexError, struct.error, UnicodeDecodeError) as error:
        raise PeerError(f"a message about channel {channel} makes no sense: {error}") from error


def _encode_runs(ranges: RangeSet) -> bytes:
    parts, at = [], 0
    for start, end in list(ranges)[:HAVE_RUNS_MAX]:
        parts += [varint.encode(start - at), varint.encode(end - start)]
        at = end
    return b"".join(parts)


def _read_have(data: bytes) -> Have:
    ranges, at, edge, runs = RangeSet(), 0, 0, 0
    while at < len(data):
        skip, at = varint.decode(data, at)
        width, at = varint.decode(data, at)
        runs += 1
        if not width or (runs > 1 and not skip) or runs > HAVE_RUNS_MAX or edge + skip + width > SIZE_MAX:
            raise PeerError(f"run {runs} of a gap list is out of bounds: {edge} + {skip} + {width}")
        ranges.add(edge + skip, edge + skip + width)
        edge += skip + width
    return Have(ranges)


def _read_offer(data: bytes) -> Offer:
    head = 1 + ID_SIZE
    size, at = varint.decode(data, head + DIGEST_SIZE)
    priority, kind = (data[0] >> 4) + 1, data[0] & 15
    return Offer(data[1:head], kind, size, data[head : head + DIGEST_SIZE], priority, data[at:])


def _read_custody(data: bytes) -> Custody:
    twice, at = varint.decode(data, 0)
    if at < len(data):
        raise PeerError(f"{len(data) - at} bytes behind a custody")
    return Custody(twice)


def _read_receipt(data: bytes) -> Receipt:
    twice, at = varint.decode(data, 0)
    if len(data) - at > RECEIPT_SIZE_MAX:
        raise PeerError(f"a receipt of {len(data) - at} bytes; at most {RECEIPT_SIZE_MAX}")
    return Receipt(data[at:], twice)


def _read_refusal(data: bytes) -> Refusal:
    return Refusal(data[0], data[1 : 1 + TEXT_SIZE_MAX].decode())


_READERS: Final[dict[int, Callable[[bytes], Offer | Answer]]] = {
    kinds.OFFER: _read_offer,
    kinds.HAVE: _read_have,
    kinds.CUSTODY: _read_custody,
    kinds.RECEIPT: _read_receipt,
    kinds.REFUSED: _read_refusal,
}
