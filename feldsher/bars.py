"""Bars and lines on a terminal of any width, painted over again and again; the cursor stays below them.

Owns nothing but how many lines it has painted. What does not fit is left out from the right, never wrapped: a wrapped
line would be painted over by one too few.
"""

import os
from collections.abc import Sequence
from typing import Final, TextIO

COLUMNS_DEFAULT: Final = 80
COLUMNS_MIN: Final = 10
ROWS_DEFAULT: Final = 24
FULL, EMPTY = "█", "░"


def bar(done: float, size: float, width: int) -> str:
    """Return a bar and its share; full only when all is done."""
    part = min(max(done / size, 0.0), 1.0) if size else 1.0
    filled = int(part * width)
    return f"{FULL * filled}{EMPTY * (width - filled)} {int(part * 100):3d}%"


def fit(parts: Sequence[str], columns: int) -> str:
    """Return as many of the parts, from the left, as have room; the first is cut if need be."""
    found, *rest = list(filter(None, parts)) or [""]
    for part in rest:
        if len(found) + 2 + len(part) > columns:
            break
        found += "  " + part
    return found[:columns]


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Return (columns, rows) that may be written to, one column less than there are: the last one wraps."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return COLUMNS_DEFAULT - 1, ROWS_DEFAULT
    return max(size.columns or COLUMNS_DEFAULT, COLUMNS_MIN) - 1, size.lines or ROWS_DEFAULT


class Painter:
    """Paints lines over those it painted before."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.painted = 0

    def paint(self, lines: Sequence[str]) -> None:
        """Show these lines instead; the last ones where the terminal is not high enough."""
        columns, rows = terminal_size(self._stream)
        shown = lines[-max(rows - 1, 1) :]
        self._write("".join(f"{line[:columns]}\x1b[K\n" for line in shown))
        self.painted = len(shown)

    def say(self, text: str) -> None:
        """Print a line that stays; what is painted next stands below it."""
        self._write(f"{text}\n" if not self.painted else f"{text}\x1b[K\n")
        self.painted = 0

    def _write(self, text: str) -> None:
        up = f"\x1b[{self.painted}A\r\x1b[J" if self.painted else ""
        self._stream.write(up + text)
        self._stream.flush()
