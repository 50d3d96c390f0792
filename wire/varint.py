"""Integers of 1, 2, 4 or 8 bytes: the first two bits tell the width, the rest is the value, big-endian.

One form for one value: a longer form than needed is refused, so that equal records are equal bytes.
"""

from typing import Final

from wire.errors import Misuse, PeerError

VALUE_MAX: Final = (1 << 62) - 1
_LIMITS: Final = ((1, 1 << 6), (2, 1 << 14), (4, 1 << 30), (8, 1 << 62))


def size(value: int) -> int:
    """Return how many bytes `value` takes."""
    for width, limit in _LIMITS:
        if 0 <= value < limit:
            return width
    raise Misuse(f"{value} does not fit a varint (0 to {VALUE_MAX})")


def encode(value: int) -> bytes:
    """Return the bytes of `value`."""
    width = size(value)
    return (value | (width.bit_length() - 1) << (8 * width - 2)).to_bytes(width, "big")


def decode(data: bytes, at: int) -> tuple[int, int]:
    """Return (value, offset behind it). Raises PeerError when it is cut short or longer than needed."""
    if at >= len(data):
        raise PeerError("a number is missing at the end of a record")
    power = data[at] >> 6
    width = 1 << power
    if at + width > len(data):
        raise PeerError(f"a number of {width} bytes is cut short")
    value = int.from_bytes(data[at : at + width], "big") & ((1 << (8 * width - 2)) - 1)
    if power and value < _LIMITS[power - 1][1]:
        raise PeerError(f"the number {value} is written in {width} bytes")
    return value, at + width
