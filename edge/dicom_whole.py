"""Whether a DICOM file is as long as its elements say: a stick that is pulled out leaves files that end too soon.

Written from DICOM PS3.5, 7.1 (elements), 7.5 (items and sequences), A.4 (encapsulated pixels), A.5 (deflated), and
PS3.10, 7.1. Only tags and lengths are looked at, never a value, so it is as quick with a large picture as with a small
one. What cannot be followed (a VR that is none, an unknown sequence without a length) is not said to be cut. It also
says where a file's head ends, so that a library is never given more of a stranger's elements than are wanted. Pure;
owns nothing.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

META_AT: Final = 132
META_GROUP: Final = 0x0002
TRANSFER_SYNTAX: Final = (0x0002, 0x0010)
IMPLICIT, BIG_ENDIAN, DEFLATED = (b"1.2.840.10008.1.2" + tail for tail in (b"", b".2", b".1.99"))
ITEM, ITEM_ENDS, SEQUENCE_ENDS = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
LONG_VRS: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
UNDEFINED: Final = 0xFFFF_FFFF
ELEMENTS_MAX: Final = 200_000
PLAIN: Final = b"1.2.840.10008.1.2.1\0\0\0"
"""The transfer syntax of what was inflated, as long as DEFLATED."""
NO_END: Final = "what is deflated in it has no end"

Tag = tuple[int, int]


class _Unknown(Exception):
    """It cannot be followed."""


class TooMany(Exception):
    """It has more elements than a head has."""


@dataclass(frozen=True, slots=True)
class Plain:
    """A file's bytes, inflated where they were deflated, and then perhaps only the first of them."""

    data: bytes
    cut: str
    """How it ends too soon."""


def plain(data: bytes, size_max: int) -> Plain:
    """Return a file that begins as DICOM's does, inflated; at most `size_max` bytes come of what is deflated in it.

    Raises ValueError when that is damaged.
    """
    try:
        at, syntax = _meta(data)
    except (_Unknown, struct.error):
        return Plain(data, "")
    if syntax != DEFLATED:
        return Plain(data, why_cut(data))
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        elements = stream.decompress(memoryview(data)[at:], size_max)
    except zlib.error as error:
        raise ValueError("what is deflated in it is damaged") from error
    found = data[:at].replace(DEFLATED, PLAIN) + elements
    if stream.eof:
        return Plain(found, why_cut(found))
    return Plain(found, "" if len(elements) == size_max else NO_END)


def head_size(data: bytes, last_group: int, most: int) -> int | None:
    """Return how many bytes stand before the elements of later groups; None when they cannot be followed.

    Raises TooMany when there are more than `most` elements, those of sequences without a length counted.
    """
    try:
        at, syntax = _meta(data)
        order, depth = ">" if syntax == BIG_ENDIAN else "<", 0
        for _ in range(most):
            if not any(data[at : at + 8]):
                return at
            tag, size, begins = _element(data, at, order, is_implicit=syntax == IMPLICIT)
            if not depth and tag[0] > last_group:
                return at
            if tag in {ITEM_ENDS, SEQUENCE_ENDS}:
                depth, size = depth - 1, 0
            elif size == UNDEFINED:
                depth, size = depth + 1, 0
            at = begins + size
    except (_Unknown, struct.error):
        return None
    raise TooMany


def why_cut(data: bytes) -> str:
    """Return how a file that begins as DICOM's does ends too soon; "" where it does not, or that cannot be said."""
    try:
        at, syntax = _meta(data)
        if syntax == DEFLATED:
            return ""
        return _follow(data, at, ">" if syntax == BIG_ENDIAN else "<", is_implicit=syntax == IMPLICIT)
    except (_Unknown, struct.error):
        return ""


def _meta(data: bytes) -> tuple[int, bytes]:
    """Return where the data set begins, and its transfer syntax."""
    at, syntax = META_AT, b""
    while at + 8 <= len(data) and struct.unpack_from("<H", data, at)[0] == META_GROUP:
        tag, size, begins = _element(data, at, "<", is_implicit=False)
        if tag == TRANSFER_SYNTAX:
            syntax = data[begins : begins + size].rstrip(b"\0 ")
        at = begins + size
    if not syntax:
        raise _Unknown
    return at, syntax


def _element(data: bytes, at: int, order: str, *, is_implicit: bool) -> tuple[Tag, int, int]:
    """Return the tag, the length and where the value begins."""
    tag: Tag = struct.unpack_from(f"{order}HH", data, at)
    if is_implicit or tag[0] == ITEM[0]:
        return tag, struct.unpack_from(f"{order}I", data, at + 4)[0], at + 8
    vr = data[at + 4 : at + 6]
    if vr in LONG_VRS:
        size = struct.unpack_from(f"{order}I", data, at + 8)[0]
        if vr == b"UN" and size == UNDEFINED:
            raise _Unknown
        return tag, size, at + 12
    if not (vr.isalpha() and vr.isupper()):
        raise _Unknown
    return tag, struct.unpack_from(f"{order}H", data, at + 6)[0], at + 8


def _follow(data: bytes, at: int, order: str, *, is_implicit: bool) -> str:
    depth = 0
    for _ in range(ELEMENTS_MAX):
        if not any(data[at : at + 8]):  # the end, or a medium's padding
            return "a sequence has no end" if depth else ""
        try:
            tag, size, begins = _element(data, at, order, is_implicit=is_implicit)
        except struct.error:
            return f"it ends within an element, at byte {at}"
        if tag in {ITEM_ENDS, SEQUENCE_ENDS}:
            depth, size = depth - 1, 0
        elif size == UNDEFINED:
            depth, size = depth + 1, 0
        if begins + size > len(data):
            return f"element {tag[0]:04X},{tag[1]:04X} says {size} bytes, and {len(data) - begins} are there"
        at = begins + size
    raise _Unknown
