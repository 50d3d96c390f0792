"""What is read of a gamma spectrum that comes as a file: when, how long, how many counts. The file is kept whole.

Written from the ASCII form that ORTEC's software calls .Spe: blocks that begin with `$NAME:`; `$MEAS_TIM` has live and
real time in seconds, `$DATA` the first and last channel and then a count a line. Tried with a spectrum of a real D3S
detector (becquerel's samples) and what SpecUtils writes; an editor may have put a mark of UTF-8 or UTF-16 before it.
Whole-body and thyroid counters write it; what they say of a person is in no form that is public, so nothing else is
read, and nothing is computed but the sum.

A file that does not fit is no spectrum: None, and it is kept as any other file. `read_spectra` asks the readers of the
other forms, too: ANSI N42.42 (`edge.spectra_n42`), ORTEC's binary .Spc (`edge.spectra_spc`) and .Chn
(`edge.spectra_chn`), Amptek's .mca (`edge.spectra_mca`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from edge import charset
from edge.spectra_chn import read_chn
from edge.spectra_mca import read_mca
from edge.spectra_n42 import is_n42, read_n42
from edge.spectra_spc import read_spc
from edge.spectra_words import CHANNELS_MAX, NUMBER_SIZE_MAX, is_number, printable, result_of, total
from wire.record import Result

BLOCKS_MAX: Final = 256
CUT: Final = "the file ends within a line: its last number may be cut"
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
ENDINGS: Final = (".spe", ".spc", ".chn", ".mca", ".n42", ".cnf")
"""What is called so is taken for a spectrum; .cnf, Canberra's, is kept and not read."""


def read_spectra(name: str, data: bytes) -> tuple[Result, ...]:
    """Return what the spectra in a file say, one RESULT each; none when it is no file of spectra. Never raises."""
    if is_n42(data):
        return read_n42(data)
    reader = _READERS.get(name.lower()[-4:])
    found = reader(data) if reader is not None else None
    return (found,) if found is not None else ()


def read_spe(data: bytes) -> Result | None:
    """Return what a .Spe file says, values as they stand there; None for what is none."""
    text = _text(data)
    if not text.lstrip().startswith("$"):
        return None
    blocks = _blocks(text.splitlines())
    times, channels = _words(blocks.get("MEAS_TIM", [])), blocks.get("DATA", [])
    counts = _counts(channels)
    if counts is None or len(times) < 2 or not all(map(is_number, times[:2])):
        return None
    said = printable(_spoken(" ".join(line.strip() for line in blocks.get("SPEC_ID", []) if line.strip())))
    date = next((line.strip() for line in blocks.get("DATE_MEA", []) if line.strip()), "")
    result = result_of(times[0], times[1], total(counts), len(counts), date, said)
    return result if text.endswith(("\n", "\r")) else replace(result, notes=(*result.notes, CUT))


def _text(data: bytes) -> str:
    """Return the text as its mark says; without one each byte is a character."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "latin-1")
    return data.decode(encoding, "replace")


def _spoken(text: str) -> str:
    """Return words in the character set in which their bytes make the most sense (`edge.charset`)."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:  # the file's mark said which it is
        return text
    return charset.decode(raw, charset.detect(raw))[0]


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
    if len(first_and_last) != 2 or not all(map(_is_count, [*first_and_last, *words])):
        return None
    if not all(map(str.isdigit, first_and_last)):
        return None
    first, last = map(int, first_and_last)
    return [float(word) if "." in word else int(word) for word in words] if len(words) == last - first + 1 else None


def _is_count(word: str) -> bool:
    return len(word) <= NUMBER_SIZE_MAX and is_number(word)


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
}
