"""The tag: header and data, packed and unpacked. `docs/formats/tag.md` is normative; R2, R3, R5, R6.

All integers are big-endian. The encoding is canonical: a tag has exactly one form (LONG only where the length
needs it, WIDE only where the type needs it), so that decoding and encoding give the same bytes back.
"""

import struct
from dataclasses import dataclass
from typing import Final, NamedTuple

from wire.errors import FormatError, Misuse

Buffer = bytes | bytearray | memoryview

MAGIC: Final = 0xA7
MAGIC_OFFSET: Final = 3
SIZE_MIN: Final = 6
SIZE_MAX: Final = 1 << 20
"""A tag with its header, bytes (R6)."""
HEADER_SIZE_MAX: Final = 4 + 1 + 4 + 4 + 6 + 4 + 4 + 1 + 1 + 255

LONG, SOURCE, TARGET, TIME = 0x80, 0x40, 0x20, 0x10
SEQUENCE, WIDE, STATE, EXTENSION = 0x08, 0x04, 0x02, 0x01

CONTINUED: Final = 0x80
"""State: the data go on in the next tag of the same type."""
TAGS: Final = 0x40
"""State: the data (unsealed, unpacked) are themselves tags (R4)."""
SEALED: Final = 0x20
"""State: the data are sealed; `wire.seal` opens them."""
CODEC_MASK: Final = 0x0F
"""State: the codec of the data, a number of `wire.codec`."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag. Fields that are None (or a `state` of 0) take no bytes on the wire.

    `source`, `target`, `sequence`: u32. `time_ms`: u48, Unix milliseconds. `group`, `number`: u16 at most.
    """

    group: int
    number: int
    data: bytes = b""
    source: int | None = None
    target: int | None = None
    time_ms: int | None = None
    sequence: int | None = None
    state: int = 0
    extension: bytes | None = None

    @property
    def kind(self) -> tuple[int, int]:
        """The data type, (group, number), as in DICOM."""
        return self.group, self.number

    @property
    def codec(self) -> int:
        """The number of the codec of the data."""
        return self.state & CODEC_MASK


@dataclass(frozen=True, slots=True)
class Header:
    """A parsed header: `tag` carries everything but the data. `size` of the header, `total` of the tag, in bytes."""

    tag: Tag
    size: int
    total: int


_OPTIONAL: Final = ((SOURCE, 4), (TARGET, 4), (TIME, 6), (SEQUENCE, 4))


def _presence(tag: Tag) -> int:
    return (
        (SOURCE if tag.source is not None else 0)
        | (TARGET if tag.target is not None else 0)
        | (TIME if tag.time_ms is not None else 0)
        | (SEQUENCE if tag.sequence is not None else 0)
        | (WIDE if tag.group > 0xFF or tag.number > 0xFF else 0)
        | (STATE if tag.state else 0)
        | (EXTENSION if tag.extension is not None else 0)
    )


def header_size(presence: int, extension_size: int = 0) -> int:
    """Return the size of the header that `presence` announces, bytes."""
    size = 4 + (1 if presence & LONG else 0)
    size += sum(width for bit, width in _OPTIONAL if presence & bit)
    size += 4 if presence & WIDE else 2
    size += 1 if presence & STATE else 0
    return size + (1 + extension_size if presence & EXTENSION else 0)


def encode(tag: Tag) -> bytes:
    """Return the bytes of `tag`. Raises Misuse when a field does not fit or the tag is over 1 MiB."""
    presence = _presence(tag)
    total = header_size(presence, len(tag.extension or b"")) + len(tag.data)
    if total > 0xFFFF:
        presence |= LONG
        total += 1
    if total > SIZE_MAX:
        raise Misuse(f"tag {tag.group:04x}:{tag.number:04x} would be {total} bytes; at most {SIZE_MAX}: split it")
    parts = [struct.pack(">BHB", presence, total & 0xFFFF, MAGIC)]
    if presence & LONG:
        parts.append(bytes((total >> 16,)))
    try:
        fields = (tag.source, tag.target, tag.time_ms, tag.sequence)
        parts += [v.to_bytes(width, "big") for v, (_, width) in zip(fields, _OPTIONAL, strict=True) if v is not None]
        parts.append(struct.pack(">HH" if presence & WIDE else ">BB", tag.group, tag.number))
        if tag.state:
            parts.append(bytes((tag.state,)))
        if tag.extension is not None:
            parts += (bytes((len(tag.extension),)), tag.extension)
    except (struct.error, OverflowError, ValueError) as error:
        raise Misuse(f"a field of tag {tag.group:04x}:{tag.number:04x} is out of range: {error}") from error
    parts.append(tag.data)
    return b"".join(parts)


class _Fields(NamedTuple):
    """A header's fields as they stand; `size` is the header's, `total` the tag's."""

    size: int
    total: int
    source: int | None
    target: int | None
    time_ms: int | None
    sequence: int | None
    group: int
    number: int
    state: int
    extension: bytes | None

    def tag(self, data: bytes) -> Tag:
        source, target, time_ms, sequence = self.source, self.target, self.time_ms, self.sequence
        return Tag(self.group, self.number, data, source, target, time_ms, sequence, self.state, self.extension)


def _layout(presence: int) -> struct.Struct:
    """All of a header that has a fixed size, in one unpacking; the time comes as two numbers."""
    parts = (LONG, "B"), (SOURCE, "I"), (TARGET, "I"), (TIME, "HI"), (SEQUENCE, "I")
    middle = "".join(code for bit, code in parts if presence & bit)
    kind = "HH" if presence & WIDE else "BB"
    return struct.Struct(
        ">BHB" + middle + kind + ("B" if presence & STATE else "") + ("B" if presence & EXTENSION else "")
    )


_LAYOUTS: Final = tuple(_layout(presence) for presence in range(256))


def _fields(buffer: Buffer, offset: int) -> _Fields | None:
    have = len(buffer) - offset
    if have < SIZE_MIN:
        _check_magic_if_there(buffer, offset, have)
        return None
    presence, magic = buffer[offset], buffer[offset + MAGIC_OFFSET]
    if magic != MAGIC:
        raise FormatError(f"no tag at offset {offset}: magic {magic:#04x} instead of {MAGIC:#04x}")
    layout = _LAYOUTS[presence]
    if have < layout.size:
        return None
    values = iter(layout.unpack_from(buffer, offset)[1:])
    total, _ = next(values), next(values)
    if presence & LONG:
        total |= next(values) << 16
    source = next(values) if presence & SOURCE else None
    target = next(values) if presence & TARGET else None
    time_ms = next(values) << 32 | next(values) if presence & TIME else None
    sequence = next(values) if presence & SEQUENCE else None
    group, number = next(values), next(values)
    state = next(values) if presence & STATE else 0
    size, extension = layout.size, None
    if presence & EXTENSION:
        size += next(values)
        if have < size:
            return None
        extension = bytes(buffer[offset + layout.size : offset + size])
    _check_lawful(presence, total, size, (group, number, state), offset)
    return _Fields(size, total, source, target, time_ms, sequence, group, number, state, extension)


def parse_header(buffer: Buffer, offset: int = 0) -> Header | None:
    """Return the header that begins at `offset`, or None when more bytes are wanted to tell.

    Raises FormatError when no lawful header begins there: no magic, a length that is not possible, or a form
    that is not canonical.
    """
    fields = _fields(buffer, offset)
    return Header(fields.tag(b""), fields.size, fields.total) if fields else None


def tag_size(buffer: Buffer, offset: int = 0) -> int | None:
    """Return the size of the tag whose header begins at `offset`; None and FormatError as `parse_header`."""
    fields = _fields(buffer, offset)
    return fields.total if fields else None


def decode_at(buffer: Buffer, offset: int) -> tuple[Tag, int] | None:
    """Return the tag that begins at `offset` and where it ends; None while not whole. Raises FormatError."""
    fields = _fields(buffer, offset)
    if fields is None or offset + fields.total > len(buffer):
        return None
    end = offset + fields.total
    return fields.tag(bytes(buffer[offset + fields.size : end])), end


def _check_magic_if_there(buffer: Buffer, offset: int, have: int) -> None:
    if have > MAGIC_OFFSET and buffer[offset + MAGIC_OFFSET] != MAGIC:
        raise FormatError(f"no tag at offset {offset}: magic {buffer[offset + MAGIC_OFFSET]:#04x}")


def _check_lawful(presence: int, total: int, size: int, kind: tuple[int, int, int], offset: int) -> None:
    group, number, state = kind
    if total < size or total > SIZE_MAX:
        raise FormatError(f"no tag at offset {offset}: length {total}, header {size}, at most {SIZE_MAX}")
    if bool(presence & LONG) != (total > 0xFFFF):
        raise FormatError(f"no tag at offset {offset}: LONG does not fit the length {total}")
    if bool(presence & WIDE) != (group > 0xFF or number > 0xFF):
        raise FormatError(f"no tag at offset {offset}: WIDE does not fit the type {group:04x}:{number:04x}")
    if presence & STATE and not state:
        raise FormatError(f"no tag at offset {offset}: STATE announced and zero")


def decode(raw: Buffer) -> Tag:
    """Return the tag whose bytes are exactly `raw`. Raises FormatError."""
    fields = _fields(raw, 0)
    if fields is None or fields.total != len(raw):
        want = fields.total if fields else f"at least {SIZE_MIN}"
        raise FormatError(f"not one whole tag: {len(raw)} bytes, want {want}")
    return fields.tag(bytes(raw[fields.size :]))
