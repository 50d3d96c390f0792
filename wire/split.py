"""Data of any size over tags of at most 1 MiB: split on writing, joined on reading. R6.

All pieces are tags of the same type; all but the last have CONTINUED in their state. The first piece carries every
field of the datum, the others only type and state. Both sides hold one piece at a time, but for `join`, whose caller
names how much it is ready to hold. CHECKs may stand between pieces; any other tag may not. A piece that was lost shows
in the ordinals of the stream, not here: join what is sound and without a gap.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from wire import kinds
from wire.errors import FormatError, Misuse
from wire.tag import CONTINUED, SIZE_MAX, Tag

PIECE_DATA_SIZE_MAX: Final = SIZE_MAX - 512
"""Data bytes of one piece; what is left holds the largest header."""
JOINED_SIZE_MAX: Final = 256 << 20
"""Bytes of a joined datum, unless the caller names less."""


def split(tag: Tag, pieces: Iterable[bytes] | None = None) -> Iterator[Tag]:
    """Yield the tags that carry `tag`'s data, or those of `pieces` (any sizes), which may be larger than memory."""
    if tag.state & CONTINUED:
        raise Misuse("the datum to split is CONTINUED already")
    whole = pieces if pieces is not None else (tag.data,)
    head = replace(tag, data=b"")
    waiting: bytes | None = None
    for piece in _blocks(whole, JOINED_SIZE_MAX):
        if waiting is not None:
            yield replace(head, data=waiting, state=tag.state | CONTINUED)
            head = Tag(tag.group, tag.number, state=tag.state)
        waiting = piece
    yield replace(head, data=waiting or b"")


def _blocks(pieces: Iterable[bytes], size_max: int) -> Iterator[bytes]:
    buffer, total = bytearray(), 0
    for piece in pieces:
        total += len(piece)
        if total > size_max:
            raise Misuse(f"a datum of over {size_max} bytes cannot be joined again")
        at = 0
        while at < len(piece):
            size = PIECE_DATA_SIZE_MAX - len(buffer)
            buffer += piece[at : at + size]
            at += size
            if len(buffer) == PIECE_DATA_SIZE_MAX:
                yield bytes(buffer)
                buffer.clear()
    if buffer:
        yield bytes(buffer)


class Joiner:
    """Tags in, pieces of data out, each with whether it is the last: `(head, data, last)`. Holds no piece."""

    def __init__(self, size_max: int = JOINED_SIZE_MAX) -> None:
        self._size_max = size_max
        self._head: Tag | None = None
        self._size = 0

    @property
    def is_open(self) -> bool:
        """Whether a datum has begun and not ended."""
        return self._head is not None

    def feed(self, tag: Tag) -> tuple[Tag, bytes, bool] | None:
        """Return (first tag of the datum without its data, this piece, whether it is the last); None for a CHECK.

        Raises FormatError when a tag of another type stands between pieces, or the datum is too large.
        """
        if tag.kind == (kinds.SERVICE, kinds.CHECK):
            return None
        if self._head is not None and self._head.kind != tag.kind:
            have, want = f"{tag.group:04x}:{tag.number:04x}", f"{self._head.group:04x}:{self._head.number:04x}"
            raise FormatError(f"a datum of type {want} goes on, but a tag {have} follows")
        head = self._head or replace(tag, data=b"", state=tag.state & ~CONTINUED)
        self._size += len(tag.data)
        if self._size > self._size_max:
            raise FormatError(f"a datum of over {self._size_max} bytes")
        last = not tag.state & CONTINUED
        self._head = None if last else head
        self._size = 0 if last else self._size
        return head, tag.data, last


def join(tags: Iterable[Tag], size_max: int = JOINED_SIZE_MAX) -> Iterator[Tag]:
    """Yield each datum as one Tag with all of its data, CHECKs left out.

    Raises FormatError, also when the end is missing. A joined Tag may be over 1 MiB, and then `encode` refuses it.
    """
    joiner, parts = Joiner(size_max), []
    for tag in tags:
        piece = joiner.feed(tag)
        if piece is None:
            continue
        parts.append(piece[1])
        if piece[2]:
            yield replace(piece[0], data=b"".join(parts))
            parts.clear()
    if joiner.is_open:
        raise FormatError(f"the last datum has no end: {sum(map(len, parts))} bytes of it are there")
