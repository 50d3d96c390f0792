"""What is read of a gamma spectrum that comes as a file: when, how long, how many counts. The file is kept whole.

Written from the ASCII form that ORTEC's software calls .Spe: blocks that begin with `$NAME:`; `$MEAS_TIM` has live and
real time in seconds, `$DATA` the first and last channel and then a count a line. Tried with a spectrum of a real D3S
detector (becquerel's samples) and what SpecUtils writes; an editor may have put a mark of UTF-8 or UTF-16 before it.
Whole-body and thyroid counters write it; what they say of a person is in no form that is public, so nothing else is
read, and nothing is computed but the sum.

A file that does not fit is no spectrum: None, and it is kept as any other file. `read_spectra` asks the readers of the
other forms, too: ANSI N42.42 (`edge.spectra_n42`), ORTEC's binary .Spc (`edge.spectra_spc`) and .Chn
(`edge.spectra_chn`), Amptek's .mca (`edge.spectra_mca`), AtomTex's .ats (`edge.spectra_ats`), the XML of RadiaCode
and others (`edge.spectra_radiacode`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from edge.spectra_ats import read_ats
from edge.spectra_chn import read_chn
from edge.spectra_mca import read_mca
from edge.spectra_n42 import is_n42, read_n42
from edge.spectra_radiacode import is_radiacode, read_radiacode
from edge.spectra_spc import read_spc
from edge.spectra_words import (
    CHANNELS_MAX,
    MADE,
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

BLOCKS_MAX: Final = 256
FILE_SIZE_MAX: Final = 8 << 20
"""Bytes of a file that is read and is no XML; the most channels, in UTF-16 and with blanks, are five million."""
CUT: Final = "the file ends within a line: its last number may be cut"
ENDINGS: Final = (".spe", ".spc", ".chn", ".mca", ".ats", ".n42", ".cnf")
"""What is called so is taken for a spectrum; .cnf, Canberra's, is kept and not read."""


def is_spectra(data: bytes) -> bool:
    """Tell whether a file begins as one of those that are known by their beginning, whatever they are called."""
    return is_n42(data) or is_radiacode(data)


def read_spectra(name: str, data: bytes) -> tuple[Result, ...]:
    """Return what the spectra in a file say, one RESULT each; none when it is no file of spectra. Never raises."""
    if is_n42(data):
        return read_n42(data)
    if is_radiacode(data):
        return read_radiacode(data)
    reader = _READERS.get(name.lower()[-4:]) if len(data) <= FILE_SIZE_MAX else None
    found = reader(data) if reader is not None else None
    return (found,) if found is not None else ()


def read_spe(data: bytes) -> Result | None:
    """Return what a .Spe file says, values as they stand there; None for what is none."""
    text = text_of(data)
    if not text.lstrip().startswith("$"):
        return None
    blocks = _blocks(text.splitlines())
    times, channels = _words(blocks.get("MEAS_TIM", [])), blocks.get("DATA", [])
    counts = _counts(channels)
    done = made_of({name: _line(blocks.get(name, [])) for name in MADE})
    if counts is None or done is None or len(times) < 2 or not all(map(is_number, times[:2])):
        return None
    said = spoken(_line(blocks.get("SPEC_ID", [])) or _line(blocks.get("SPEC_REM", [])))
    date = next((line.strip() for line in blocks.get("DATE_MEA", []) if line.strip()), "")
    result = result_of(times[0], times[1], total(counts), len(counts), date, printable(said))
    cut = () if text.endswith(("\n", "\r")) else (CUT,)
    return replace(result, notes=(*result.notes, *done, *cut))


def _line(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines if line.strip())


def _blocks(lines: list[str]) -> dict[str, list[str]]:
    """Return the lines of each block; the first of a name counts."""
    blocks: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if line.startswith("$") and line.rstrip().endswith(":"):
            current = []
            if len(blocks) < BLOCKS_MAX:
                blocks.setdefault(line.strip()[1:-1].upper(), current)
        else:
            current.append(line)
    return blocks


def _counts(lines: list[str]) -> list[float] | None:
    """Return the counts, as many as the block says; None for anything else."""
    first_line, *rest = [line for line in lines if line.strip()] or [""]
    first_and_last, words = first_line.split(), _words(rest)
    if len(first_and_last) != 2 or not all(map(is_count, [*first_and_last, *words])):
        return None
    if not all(map(str.isdigit, first_and_last)):
        return None
    first, last = map(int, first_and_last)
    return [float(word) if "." in word else int(word) for word in words] if len(words) == last - first + 1 else None


def _words(lines: list[str]) -> list[str]:
    words: list[str] = []
    for line in lines:
        words += line.split()
        if len(words) > CHANNELS_MAX:
            return []
    return words


_READERS: Final[Mapping[str, Callable[[bytes], Result | None]]] = {
    ".spe": read_spe,
    ".spc": read_spc,
    ".chn": read_chn,
    ".mca": read_mca,
    ".ats": read_ats,
}
