"""What is read of a gamma spectrum that comes as a file: when, how long, how many counts. The file is kept whole.

Written from the ASCII form that ORTEC's software calls .Spe: blocks that begin with `$NAME:`; `$MEAS_TIM` has live and
real time in seconds, `$DATA` the first and last channel and then a count a line. Tried with a spectrum of a real D3S
detector (becquerel's samples). Whole-body and thyroid counters write it; what they say of a person is in no form that
is public, so nothing else is read, and nothing is computed but the sum.

A file that does not fit is no spectrum: None, and it is kept as any other file. `read_spectra` asks the readers of the
other forms, too: ANSI N42.42 (`edge.spectra_n42`) and ORTEC's binary .Spc (`edge.spectra_spc`).
"""

from typing import Final

from edge.spectra_n42 import read_n42
from edge.spectra_spc import read_spc
from edge.spectra_words import CHANNELS_MAX, NUMBER_SIZE_MAX, is_number, printable, result_of
from wire.record import Result

BLOCKS_MAX: Final = 256
ENDINGS: Final = (".spe", ".spc", ".n42", ".xml")


def read_spectra(name: str, data: bytes) -> tuple[Result, ...]:
    """Return what the spectra in a file say, one RESULT each; none when it is no file of spectra. Never raises."""
    match name.lower()[-4:]:
        case ".spe":
            found = read_spe(data)
        case ".spc":
            found = read_spc(data)
        case ".n42" | ".xml":
            return read_n42(data)
        case _:
            found = None
    return (found,) if found is not None else ()


def read_spe(data: bytes) -> Result | None:
    """Return what a .Spe file says, values as they stand there; None for what is none."""
    if not data.lstrip().startswith(b"$"):
        return None
    blocks = _blocks(data.decode("latin-1").splitlines())
    times, channels = _words(blocks.get("MEAS_TIM", [])), blocks.get("DATA", [])
    counts = _counts(channels)
    if counts is None or len(times) < 2 or not all(map(is_number, times[:2])):
        return None
    said = printable(" ".join(line.strip() for line in blocks.get("SPEC_ID", []) if line.strip()))
    date = next((line.strip() for line in blocks.get("DATE_MEA", []) if line.strip()), "")
    return result_of(times[0], times[1], str(sum(counts)), len(counts), date, said)


def _blocks(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each block; the first of a name counts."""
    blocks: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("$") and line.rstrip().endswith(":"):
            current = []
            if len(blocks) < BLOCKS_MAX:
                blocks.setdefault(line.strip()[1:-1], current)
        else:
            current.append(line)
    return blocks


def _counts(lines: list[str]) -> list[int] | None:
    """Return the counts, as many as the block says; None for anything else."""
    words = _words(lines)
    if len(words) < 3 or not all(word.isascii() and word.isdigit() and len(word) <= NUMBER_SIZE_MAX for word in words):
        return None
    first, last, *counts = map(int, words)
    return counts if len(counts) == last - first + 1 else None


def _words(lines: list[str]) -> list[str]:
    words: list[str] = []
    for line in lines:
        words += line.split()
        if len(words) > CHANNELS_MAX + 2:
            return []
    return words
