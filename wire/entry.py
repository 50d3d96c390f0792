"""An entry: the tags that one event of a driver made, packed and sealed as one commit, and opened again. R4, R6, R9.

The inner tags stand one after another in a container. The container is packed, sealed to the server's key and becomes
one SEALED tag; a container over PIECE_SIZE_MAX is cut into pieces that are packed and sealed each by itself, all but
the last marked CONTINUED. A piece carries the ordinal of its entry in `sequence` and, from the second piece on, its
own number in `target`. The header is associated data of the seal, and so is the stream's seed: an entry that was
changed, renumbered or brought from another study does not open, and a piece that is missing shows.

Losing a piece loses the entry, never its neighbours. Opening holds at most one entry, ENTRY_SIZE_MAX bytes, whatever a
sender claims. An inner tag whose codec is not known, or whose data do not unpack, is kept as it stands, with its fault
named: its neighbours, the device's raw bytes among them, are what matters then. A picture of codec 4 stays packed too,
and is no fault: whoever looks at it restores it then (`wire.picture` says why).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from wire import codec as codecs
from wire import kinds
from wire.errors import FormatError, Misuse
from wire.seal import KEY_SIZE, SEAL_OVERHEAD, Entropy, seal, unseal
from wire.tag import (
    CODEC_MASK,
    CONTINUED,
    HEADER_SIZE_MAX,
    SEALED,
    SIZE_MAX,
    TAGS,
    Tag,
    encode,
    parse_header,
)

INFO: Final = b"feldsher study 1"
PIECE_SIZE_MAX: Final = SIZE_MAX - HEADER_SIZE_MAX - SEAL_OVERHEAD
"""Container bytes in one SEALED tag."""
DATA_SIZE_MAX: Final = SIZE_MAX - HEADER_SIZE_MAX
"""Data bytes in one inner tag; longer data go on in the next."""
ENTRY_SIZE_MAX: Final = 32 << 20
"""Bytes of an entry's container, and of its inner data when unpacked."""
PIECE_COUNT_MAX: Final = ENTRY_SIZE_MAX // PIECE_SIZE_MAX + 2
TAG_COUNT_MAX: Final = 4096
"""Inner tags of one entry."""
ORDINAL_MAX: Final = (1 << 32) - 1

_BULKY: Final = frozenset({(kinds.CAPTURE, kinds.WAVEFORM), (kinds.IMAGE, kinds.PICTURE)})


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, opened. `faults` says which inner tags could not be unpacked; those are in `tags` as they stand."""

    ordinal: int
    tags: tuple[Tag, ...]
    faults: tuple[str, ...] = ()


def seal_entry(
    ordinal: int, tags: Sequence[Tag], seed: bytes, recipient_public: bytes, entropy: Entropy
) -> tuple[Tag, ...]:
    """Return the SEALED tags of an entry, one as a rule. Raises Misuse for an entry that is empty or too large."""
    _check_lawful(tags)
    pieces = _pack_container(tags)
    last = len(pieces) - 1
    return tuple(
        _seal_piece(_outer(ordinal, number, last, codec), packed, seed, recipient_public, entropy)
        for number, (codec, packed) in enumerate(pieces)
    )


def _check_lawful(tags: Sequence[Tag]) -> None:
    if not 0 < len(tags) <= TAG_COUNT_MAX:
        raise Misuse(f"an entry of {len(tags)} tags; 1 to {TAG_COUNT_MAX}")
    size = sum(len(tag.data) + HEADER_SIZE_MAX for tag in tags)
    if size > ENTRY_SIZE_MAX:
        raise Misuse(f"an entry of {size} bytes with headers; at most {ENTRY_SIZE_MAX}")
    if any(tag.state & CONTINUED for tag in tags):
        raise Misuse("an inner tag is given whole; splitting it is done here")


def _outer(ordinal: int, number: int, last: int, codec: int) -> Tag:
    state = SEALED | TAGS | codec | (CONTINUED if number < last else 0)
    return Tag(kinds.SERVICE, kinds.SEALED, b"", None, number or None, None, ordinal, state)


def _seal_piece(outer: Tag, packed: bytes, seed: bytes, recipient_public: bytes, entropy: Entropy) -> Tag:
    size = len(packed) + SEAL_OVERHEAD
    header = encode(replace(outer, data=bytes(size)))[:-size]
    return replace(outer, data=seal(packed, recipient_public, INFO, seed + header, entropy(KEY_SIZE)))


def _pack_container(tags: Sequence[Tag]) -> list[tuple[int, bytes]]:
    """Return (codec, packed piece) for each piece, by the way that comes out smaller.

    Packing the container as a whole wins where text repeats from tag to tag; packing each tag by itself where small
    records stand beside much that no text codec can pack.
    """
    whole = [_packed_tag(tag) if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM) else tag for tag in tags]
    ways = [_pack_pieces(whole)]
    if sum(len(tag.data) for tag in tags) > codecs.DICTIONARY_GAIN_SIZE_MAX or not _BULKY.isdisjoint(
        tag.kind for tag in tags
    ):
        ways.append(_pack_pieces([_packed_tag(tag) for tag in tags]))
    return min(ways, key=lambda pieces: sum(len(packed) for _, packed in pieces))


def _packed_tag(tag: Tag) -> Tag:
    if tag.state & (CODEC_MASK | SEALED):  # the caller's own choice
        return tag
    codec, packed = codecs.pack_best(tag.kind, tag.data)
    return replace(tag, data=packed, state=tag.state | codec)


def _pack_pieces(tags: Iterable[Tag]) -> list[tuple[int, bytes]]:
    container = b"".join(encode(part) for tag in tags for part in _split(tag))
    pieces = [container[at : at + PIECE_SIZE_MAX] for at in range(0, len(container), PIECE_SIZE_MAX)]
    return [codecs.pack_best((kinds.SERVICE, kinds.SEALED), piece) for piece in pieces]


def _split(tag: Tag) -> Iterator[Tag]:
    at = 0
    while len(tag.data) - at > DATA_SIZE_MAX:
        yield replace(tag, data=tag.data[at : at + DATA_SIZE_MAX], state=tag.state | CONTINUED)
        at += DATA_SIZE_MAX
    yield replace(tag, data=tag.data[at:]) if at else tag


def open_piece(sealed: Tag, seed: bytes, seal_secret: bytes) -> bytes:
    """Return the container bytes of one SEALED tag. Raises AuthError when the seal does not hold, FormatError after."""
    header = encode(sealed)[: -len(sealed.data)] if sealed.data else encode(sealed)
    packed = unseal(sealed.data, seal_secret, INFO, seed + header)
    return codecs.unpack(packed, sealed.codec, PIECE_SIZE_MAX)


def open_entry(pieces: Sequence[Tag], seed: bytes, seal_secret: bytes) -> Entry:
    """Return the entry whose SEALED tags are `pieces`, in order and all there.

    Raises AuthError when the seal of one does not hold, FormatError when one is missing or what is inside is no entry.
    """
    assembly = Assembly()
    for piece in pieces:
        entry = assembly.add(piece, open_piece(piece, seed, seal_secret))
    if not pieces or entry is None:
        raise FormatError(f"{len(pieces)} pieces do not end an entry")
    return entry


class Assembly:
    """Puts the opened pieces of one entry after another together. Holds at most one entry.

    Every piece that comes here is authentic, but its place in the file is not: a piece that does not belong here
    changes nothing, only the first piece of another entry begins anew.
    """

    def __init__(self) -> None:
        self.ordinal: int | None = None
        """Of the entry that is not yet whole; None between entries."""
        self._parts: list[bytes] = []

    def add(self, piece: Tag, container: bytes) -> Entry | None:
        """Take the next piece, a SEALED tag and what `open_piece` gave; return the entry when this was its last.

        Raises FormatError when another piece belongs here, or when what is inside is no entry.
        """
        number, ordinal = piece.target or 0, piece.sequence
        if ordinal is None:
            raise FormatError("a SEALED tag without the ordinal of its entry")
        if number == 0 and ordinal != self.ordinal:
            self.ordinal, self._parts = ordinal, []
        if ordinal != self.ordinal or number != len(self._parts) or number >= PIECE_COUNT_MAX:
            expected = f"piece {len(self._parts)} of {self.ordinal}"
            raise FormatError(f"piece {number} of entry {ordinal} stands where {expected} belongs")
        self._parts.append(container)
        if piece.state & CONTINUED:
            return None
        parts = self._parts
        self.drop()
        return parse_entry(ordinal, b"".join(parts))

    def drop(self) -> int | None:
        """Give up what is not whole; return the ordinal of the entry that is lost by it."""
        ordinal, self.ordinal, self._parts = self.ordinal, None, []
        return ordinal


def parse_entry(ordinal: int, container: bytes) -> Entry:
    """Return the entry whose inner tags are in `container`. Raises FormatError."""
    tags, faults = [], []
    room = ENTRY_SIZE_MAX
    for tag in _joined(_parse_tags(container)):
        plain, fault = _unpacked(tag, room)
        room -= len(plain.data)
        if fault:  # it may have cost all the room to find out: what faults cost is bounded too
            room //= 2
        tags.append(plain)
        faults += [fault] if fault else []
    return Entry(ordinal, tuple(tags), tuple(faults))


def _parse_tags(container: bytes) -> Iterator[Tag]:
    at, count = 0, 0
    while at < len(container):
        header = parse_header(container, at)
        if header is None or at + header.total > len(container) or count == TAG_COUNT_MAX + PIECE_COUNT_MAX:
            raise FormatError(f"an entry's container of {len(container)} bytes breaks off at {at}")
        yield replace(header.tag, data=container[at + header.size : at + header.total])
        at, count = at + header.total, count + 1


def _joined(tags: Iterable[Tag]) -> Iterator[Tag]:
    parts: list[Tag] = []
    for tag in tags:
        if parts and (parts[0].kind, parts[0].codec) != (tag.kind, tag.codec):
            raise FormatError(f"tag {parts[0].group:02x}:{parts[0].number:02x} is continued by another type")
        parts.append(tag)
        if not tag.state & CONTINUED:
            yield replace(tag, data=b"".join(part.data for part in parts)) if len(parts) > 1 else tag
            parts.clear()
    if parts:
        raise FormatError(f"tag {parts[0].group:02x}:{parts[0].number:02x} is continued by nothing")


def _unpacked(tag: Tag, room: int) -> tuple[Tag, str]:
    if not tag.codec or tag.codec == codecs.IMAGE or tag.state & SEALED:
        return tag, ""
    try:
        data = codecs.unpack(tag.data, tag.codec, room)
    except FormatError as error:
        return tag, f"tag {tag.group:02x}:{tag.number:02x} stays packed: {error}"
    return replace(tag, data=data, state=tag.state & ~CODEC_MASK), ""
