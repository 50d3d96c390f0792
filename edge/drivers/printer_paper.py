"""The paper of a printer that is not there: dots at their places, and pages of it as PNG.

A row is an integer whose highest bit is the leftmost dot; rows without a dot are not held. A page is at most
`PAGE_ROWS_MAX` rows, so that its PNG is a little more than `DOTS_MAX / 8 * PAGE_ROWS_MAX` bytes, whatever is drawn.
Dots beyond the right edge are cut off, as by a print head that has none there.

PNG: ISO/IEC 15948, grey, one bit for each dot, 0 is black. No resolution is written: the printer's is not known.
"""

import struct
import zlib
from dataclasses import dataclass
from typing import Final

DOTS_MAX: Final = 1_024
PAGE_ROWS_MAX: Final = 2_048
"""A quarter of a metre at 8 dots a millimetre."""


@dataclass(frozen=True, slots=True)
class Dots:
    """A picture: rows from the top, each an integer of `width` bits."""

    width: int
    rows: tuple[int, ...]

    def scaled(self, across: int, down: int) -> "Dots":
        """Return it with each dot `across` wide and `down` high."""
        wide = self.rows if across == 1 else tuple(_widened(row, self.width, across) for row in self.rows)
        return Dots(self.width * across, tuple(row for row in wide for _ in range(down)))


def _widened(row: int, width: int, across: int) -> int:
    return int("".join(bit * across for bit in f"{row:0{width}b}"), 2) if width else 0


def from_rows(data: bytes, row_size: int, width: int = 0) -> Dots:
    """Return a picture that came row by row, `row_size` bytes each, the leftmost dot in the highest bit."""
    width = width or 8 * row_size
    spare = 8 * row_size - width
    ends = range(row_size, len(data) + 1, row_size) if row_size else ()
    return Dots(width, tuple(int.from_bytes(data[end - row_size : end], "big") >> spare for end in ends))


def from_columns(data: bytes, column_size: int) -> Dots:
    """Return a picture that came column by column, `column_size` bytes each, the topmost dot in the highest bit."""
    width = len(data) // column_size if column_size else 0
    rows = [0] * (8 * column_size)
    for column in range(width):
        bits = int.from_bytes(data[column * column_size : (column + 1) * column_size], "big")
        place = 1 << (width - 1 - column)
        while bits:
            lowest = bits & -bits
            rows[8 * column_size - lowest.bit_length()] |= place
            bits ^= lowest
    return Dots(width, tuple(rows))


class Paper:
    """Endless paper of `width` dots; `pages` are those that are full."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.pages: list[Dots] = []
        self.is_cut_off = False
        """Dots were beyond the right edge."""
        self._rows: dict[int, int] = {}
        self._at = 0

    @property
    def has_dots(self) -> bool:
        """Something is drawn on the page that is not full."""
        return bool(self._rows)

    def draw(self, dots: Dots, left: int, below: int = 0) -> None:
        """Draw a picture `left` dots from the edge, `below` rows under the current one; the paper stays."""
        shift = self.width - left - dots.width
        mask = (1 << max(0, self.width - max(left, 0))) - 1
        for number, row in enumerate(dots.rows):
            placed = row << shift if shift >= 0 else row >> -shift
            self.is_cut_off |= shift < 0 and bool(row & ((1 << -shift) - 1))
            if placed & mask:
                at = self._at + below + number
                self._rows[at] = self._rows.get(at, 0) | placed & mask

    def advance(self, rows: int) -> None:
        """Feed the paper; what is above belongs to its pages."""
        self._at += rows
        while self._at >= PAGE_ROWS_MAX:
            self._turn()

    def finish(self) -> None:
        """End the page, and with it the ticket."""
        while self._rows:
            self._turn()
        self._at = 0

    def _turn(self) -> None:
        """Give up a page, cut behind its last dot. Pages without a dot are none."""
        page = {at: row for at, row in self._rows.items() if at < PAGE_ROWS_MAX}
        if page:
            self.pages.append(Dots(self.width, tuple(page.get(at, 0) for at in range(max(page) + 1))))
        self._rows = {at - PAGE_ROWS_MAX: row for at, row in self._rows.items() if at >= PAGE_ROWS_MAX}
        skipped = 1 if self._rows else self._at // PAGE_ROWS_MAX
        self._at = max(0, self._at - skipped * PAGE_ROWS_MAX)


def png(dots: Dots) -> bytes:
    """Return the picture as PNG, a dot black on white."""
    size = (dots.width + 7) // 8
    spare = 8 * size - dots.width
    white = (1 << dots.width) - 1
    lines = b"".join(b"\0" + ((row ^ white) << spare).to_bytes(size, "big") for row in dots.rows)
    head = struct.pack(">IIBBBBB", dots.width, len(dots.rows), 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines, 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
