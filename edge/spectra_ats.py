"""What is read of a gamma spectrum in AtomTex's .ats: the same as of a .Spe, by `edge.spectra`. Owns nothing.

Written from two programs that read it, one of them AtomTex's own; text, most often UTF-16 without a mark:

    NAME = value                 TIME, REALTIME (live and real time in seconds), DATE, REMARK, BGNDSUBTRACTED, ENCRYPTED
    ECALIBRATION = n, SPECTR = n and n lines follow, of a number each; those of SPECTR are the counts

What says that it is encrypted is not read. No file of a real unit was at hand.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from edge.spectra_words import (
    CHANNELS_MAX,
    MADE,
    NUMBER_SIZE_MAX,
    is_count,
    is_number,
    made_of,
    printable,
    result_of,
    spoken,
    text_of,
    total,
)
from wire.record import Result

LINES_MAX: Final = 4 * CHANNELS_MAX
SAID: Final = ("TIME", "REALTIME", "DATE", "REMARK", "SPECTR", *MADE)


def read_ats(data: bytes) -> Result | None:
    """Return what an .ats file says, values as they stand there; None for what is none. Never raises."""
    lines = iter(text_of(data).splitlines()[:LINES_MAX])
    said, counts = _read(lines)
    live, real = said.get("TIME", ""), said.get("REALTIME", "")
    notes = made_of(said)
    if notes is None or not counts or not is_number(live) or not (real == "" or is_number(real)):
        return None
    remark, date = printable(spoken(said.get("REMARK", ""))), printable(said.get("DATE", ""))
    result = result_of(live, real, total(counts), len(counts), date, remark)
    return replace(result, notes=(*result.notes, *notes))


def _read(lines: Iterator[str]) -> tuple[dict[str, str], list[float]]:
    said: dict[str, str] = {}
    counts: list[float] = []
    for line in lines:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or name not in SAID or name in said:
            continue
        said[name] = value
        if name == "SPECTR":
            counts = _counts(lines, value)
    return said, counts


def _counts(lines: Iterator[str], size: str) -> list[float]:
    """Return as many counts as the line says; none when one is missing or is no number."""
    if not (size.isascii() and size.isdigit() and len(size) <= NUMBER_SIZE_MAX and int(size) <= CHANNELS_MAX):
        return []
    words = [line.strip() for line, _ in zip(lines, range(int(size)), strict=False)]
    are_counts = len(words) == int(size) and all(map(is_count, words))
    return [float(word) for word in words] if are_counts else []
