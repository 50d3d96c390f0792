"""START and CHECK, the two tags that make loose tags a stream: built, read and found. R7.

A CHECK proves two things: itself (its last four bytes are a CRC over the rest of it) and, by length and CRC, every
tag it lists. All CRCs are CRC-32C that begin with the stream's *seed*, so that a CHECK of another stream, however
whole, proves nothing here. Lengths are listed beside the CRCs because they tell where each tag must stand: a tag
between two damaged neighbours is found without trusting any header. `docs/formats/tag.md` is normative.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from crc32c import crc32c

from wire import kinds
from wire.errors import Misuse
from wire.tag import MAGIC, MAGIC_OFFSET, SEQUENCE, SIZE_MAX, SIZE_MIN, SOURCE, Buffer, Tag, encode

STREAM_ID_SIZE: Final = 16
SEED_SIZE: Final = 4
VERSION: Final = 1

STUDY, SUMMARY, FILE, ROSTER, RECEIPT, COMMAND, LOG, TRACE = 1, 2, 3, 4, 5, 6, 7, 8
"""Stream kinds, the second byte of START's data."""
PREVIEW: Final = 9
"""Stream kind too."""

ENTRY_SIZE: Final = 7
ENTRIES_MAX: Final = 1024
"""Tags that one CHECK may list."""
CHECK_HEADER_SIZE: Final = 14
CHECK_SIZE_MIN: Final = CHECK_HEADER_SIZE + 4
CHECK_SIZE_MAX: Final = CHECK_SIZE_MIN + ENTRY_SIZE * ENTRIES_MAX
CHECK_PRESENCE: Final = SOURCE | SEQUENCE
ORDINAL_MAX: Final = (1 << 32) - 1


class Entry(NamedTuple):
    """What a CHECK says of one tag: its size with header, bytes, and its CRC-32C seeded with the stream's seed."""

    size: int
    crc: int


class Check(NamedTuple):
    """An intact CHECK: `entries` are those of the ordinals from `first` to `ordinal` - 1."""

    seed: int
    ordinal: int
    entries: tuple[Entry, ...]
    size: int

    @property
    def first(self) -> int:
        """The ordinal of the oldest tag listed."""
        return self.ordinal - len(self.entries)


@dataclass(frozen=True, slots=True)
class Start:
    """What a START says: which stream this is."""

    version: int
    kind: int
    stream_id: bytes


def seed_of(stream_id: bytes) -> int:
    """Return the seed of a stream: the first four bytes of its id."""
    if len(stream_id) != STREAM_ID_SIZE:
        raise Misuse(f"stream id of {len(stream_id)} bytes; it has {STREAM_ID_SIZE}")
    return int.from_bytes(stream_id[:SEED_SIZE], "big")


def entry_of(raw: Buffer, seed: int) -> Entry:
    """Return what a CHECK says of the tag whose bytes are `raw`."""
    return Entry(len(raw), crc32c(raw, seed))


def build_start(stream_id: bytes, kind: int, time_ms: int) -> Tag:
    """Return the first tag of a stream."""
    seed_of(stream_id)
    return Tag(kinds.SERVICE, kinds.START, bytes((VERSION, kind)) + stream_id, time_ms=time_ms)


def parse_start(tag: Tag) -> Start | None:
    """Return what `tag` says of its stream, or None when it is no START that we know."""
    if tag.kind != (kinds.SERVICE, kinds.START) or len(tag.data) != 2 + STREAM_ID_SIZE or tag.data[0] != VERSION:
        return None
    return Start(tag.data[0], tag.data[1], tag.data[2:])


def build_check(seed: int, ordinal: int, entries: Sequence[Entry]) -> bytes:
    """Return the bytes of the CHECK with this ordinal that lists `entries`, the tags right before it, oldest first."""
    if len(entries) > min(ENTRIES_MAX, ordinal):
        raise Misuse(f"CHECK {ordinal} cannot list {len(entries)} tags")
    listed = b"".join(size.to_bytes(3, "big") + crc.to_bytes(4, "big") for size, crc in entries)
    raw = encode(Tag(kinds.SERVICE, kinds.CHECK, listed + bytes(4), source=seed, sequence=ordinal))[:-4]
    return raw + crc32c(raw, seed).to_bytes(4, "big")


def parse_check(buffer: Buffer, offset: int) -> Check | None:
    """Return the intact CHECK that begins at `offset`, or None when there is none or not all of it."""
    if len(buffer) - offset < CHECK_SIZE_MIN:
        return None
    presence, size, magic, seed, ordinal, group, number = struct.unpack_from(">BHBIIBB", buffer, offset)
    count, odd = divmod(size - CHECK_SIZE_MIN, ENTRY_SIZE)
    if (presence, magic, group, number, odd) != (CHECK_PRESENCE, MAGIC, kinds.SERVICE, kinds.CHECK, 0):
        return None
    if not 0 <= count <= min(ENTRIES_MAX, ordinal) or len(buffer) - offset < size:
        return None
    end = offset + size - 4
    with memoryview(buffer) as view, view[offset:end] as body:
        if crc32c(body, seed) != int.from_bytes(view[end : end + 4], "big"):
            return None
    listed = struct.iter_unpack(">BHI", bytes(buffer[offset + CHECK_HEADER_SIZE : end]))
    entries = tuple(Entry(high << 16 | low, crc) for high, low, crc in listed)
    if any(not SIZE_MIN <= entry.size <= SIZE_MAX for entry in entries):
        return None
    return Check(seed, ordinal, entries, size)


class CheckFinder:
    """Finds where CHECKs may begin, of one stream or (seed None) of any: a search in C, never a walk over bytes."""

    def __init__(self, seed: int | None) -> None:
        wanted = b"[\\x00-\\xff]{4}" if seed is None else re.escape(seed.to_bytes(SEED_SIZE, "big"))
        self._pattern = re.compile(b"\\xA7" + wanted + b"[\\x00-\\xff]{4}\\xFF\\x02")

    def find(self, buffer: bytes | bytearray, start: int) -> int:
        """Return the first offset from `start` where the fixed bytes of a CHECK's header stand, or -1."""
        match = self._pattern.search(buffer, start + MAGIC_OFFSET)
        while match:
            at = match.start() - MAGIC_OFFSET
            if buffer[at] == CHECK_PRESENCE:
                return at
            match = self._pattern.search(buffer, match.start() + 1)
        return -1


def claimed_size(buffer: Buffer, offset: int) -> int:
    """Return the size that the CHECK at `offset` claims, or 0 when no CHECK has that size."""
    size = buffer[offset + 1] << 8 | buffer[offset + 2]
    return size if CHECK_SIZE_MIN <= size <= CHECK_SIZE_MAX else 0
