"""Tags where no CHECK helps: what may be believed of bytes by their headers alone. R8.

A header is believed when its magic is there, its length is lawful, its group is one of ours, and what follows at that
length is a believable header or the end. Once that fails, the next place is sought where a chain of three holds.
What is found here is never more than *unproven*.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from wire.errors import FormatError
from wire.kinds import GROUPS
from wire.tag import MAGIC_OFFSET, Header, parse_header

CHAIN: Final = 3
"""Believable headers in a row that a search asks for."""

_LOW: Final = b"[" + b"".join(re.escape(bytes((group & 0xFF,))) for group in sorted(GROUPS)) + b"]"
# Bytes between the magic (or LONG's length byte) and the low byte of the group, whatever optional fields there are.
_DISTANCES: Final = sorted({fields + time + wide for fields in (0, 4, 8, 12) for time in (0, 6) for wide in (0, 1)})
_GROUP: Final = b"(?=" + b"|".join(b"[\x00-\xff]{%d}%b" % (distance, _LOW) for distance in _DISTANCES) + b")"
_SHORT: Final = b"(?<=[\x00-\x7f][\x00-\xff]{2}\xa7)" + _GROUP
_LONG: Final = b"(?<=[\x80-\xff][\x00-\xff]{2}\xa7)(?=[\x00-\x10])(?=[\x00-\xff]" + _GROUP + b")"
# Begins with the magic so that the search runs in C, even over a run of nothing but magic numbers.
_PATTERN: Final = re.compile(b"\xa7(?:" + _LONG + b"|" + _SHORT + b")")


class Stretch(NamedTuple):
    """A whole tag (`is_tag`) or bytes that are none, from `at` to `end` in the buffer."""

    at: int
    end: int
    is_tag: bool
    note: str


def candidates(buffer: bytearray, start: int, end: int) -> Iterator[int]:
    """Yield, in order, each offset where the header of a tag of a known group might begin."""
    match = _PATTERN.search(buffer, start + MAGIC_OFFSET, end)
    while match:
        yield match.start() - MAGIC_OFFSET
        match = _PATTERN.search(buffer, match.start() + 1, end)


def believable(buffer: bytearray, at: int) -> Header | None:
    """Return the lawful header of a known group at `at`, or None."""
    try:
        header = parse_header(buffer, at)
    except FormatError:
        return None
    return header if header and header.tag.group in GROUPS else None


def chain_holds(buffer: bytearray, at: int, end: int, length: int = CHAIN) -> bool:
    """Return whether `length` believable tags follow one another at `at`, or fewer that end exactly at `end`."""
    for _ in range(length):
        if at == end:
            return True
        header = believable(buffer, at) if at < end else None
        if header is None:
            return False
        at += header.total
    return True


def walk(buffer: bytearray, start: int, limit: int, end: int, *, in_step: bool, ended: bool) -> Iterator[Stretch]:
    """Yield what stands from `start` on, without gaps, until `limit` is reached (a tag may go beyond it, up to `end`).

    `in_step`: a tag is known to begin at `start`. `ended`: at `end` the bytes before a sound tag or the stream end, so
    that a tag that would go beyond it is torn: what is left of it is lost, and nothing within it is searched.
    """
    at = start
    while at < limit:
        header = believable(buffer, at) if in_step else None
        if header and at + header.total <= end and chain_holds(buffer, at + header.total, end, 1):
            yield Stretch(at, at + header.total, True, "")
            at += header.total
            continue
        if header and ended and at + header.total > end:
            yield Stretch(at, end, False, f"torn: {end - at} of {header.total} bytes of a tag")
            return
        found = next((n for n in candidates(buffer, at + 1, limit) if n > at and chain_holds(buffer, n, end)), limit)
        yield Stretch(at, found, False, "")
        at, in_step = found, found < limit
