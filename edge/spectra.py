"""What is read of a gamma spectrum that comes as a file: when, how long, how many counts. The file is kept whole.

Written from the ASCII form that ORTEC's software calls .Spe: blocks that begin with `$NAME:`; `$MEAS_TIM` has live and
real time in seconds, `$DATA` the first and last channel and then a count a line. Tried with a spectrum of a real D3S
detector (becquerel's samples). Whole-body and thyroid counters write it; what they say of a person is in no form that
is public, so nothing else is read, and nothing is computed but the sum.

A file that does not fit is no spectrum: None, and it is kept as any other file.
"""

from typing import Final

from wire.record import Observation, Result

CHANNELS_MAX: Final = 1 << 17
BLOCKS_MAX: Final = 256
TEXT_MAX: Final = 200
NUMBER_SIZE_MAX: Final = 15


def read_spe(data: bytes) -> Result | None:
    """Return what a .Spe file says, values as they stand there; None for what is none."""
    if not data.lstrip().startswith(b"$"):
        return None
    blocks = _blocks(data.decode("latin-1").splitlines())
    times, channels = _words(blocks.get("MEAS_TIM", [])), blocks.get("DATA", [])
    counts = _counts(channels)
    if counts is None or len(times) < 2 or not all(map(_is_number, times[:2])):
        return None
    found = (
        Observation("live time", "live time", times[0], "s"),
        Observation("real time", "real time", times[1], "s"),
        Observation("counts", "counts, all channels", str(sum(counts))),
        Observation("channels", "channels", str(len(counts))),
    )
    said = " ".join(line.strip() for line in blocks.get("SPEC_ID", []) if line.strip())
    notes = ("".join(char if char.isprintable() else "?" for char in said)[:TEXT_MAX],) if said else ()
    date = next((line.strip() for line in blocks.get("DATE_MEA", []) if line.strip()), "")
    return Result(device_time=date[:TEXT_MAX], observations=found, notes=notes)


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


def _is_number(word: str) -> bool:
    whole, _, part = word.partition(".")
    return word.isascii() and len(word) <= NUMBER_SIZE_MAX and whole.isdigit() and (not part or part.isdigit())
