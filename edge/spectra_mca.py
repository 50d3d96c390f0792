"""What is read of a gamma spectrum in Amptek's .mca: the same as of a .Spe, by `edge.spectra`. Owns nothing.

Written from the files that Amptek's DppMCA writes, as third parties print them; text, lines end with CR LF:

    <<PMCA SPECTRUM>>            TAG, DESCRIPTION, LIVE_TIME, REAL_TIME, START_TIME, SERIAL_NUMBER: name, " - ", value
    <<DATA>> counts <<END>>      a count a line; whatever follows is how the processor was set

No file says how many channels it should have, so only <<END>> tells that it is whole. SpecUtils reads the same.
"""

from typing import Final

from edge.spectra_words import CHANNELS_MAX, NUMBER_SIZE_MAX, printable, result_of, total
from wire.record import Result

MARK: Final = b"<<PMCA SPECTRUM>>"
HEAD_LINES_MAX: Final = 64


def read_mca(data: bytes) -> Result | None:
    """Return what an .mca file says, values as they stand there; None for what is none. Never raises."""
    head, data_mark, rest = data.partition(b"<<DATA>>")
    body, end_mark, _ = rest.partition(b"<<END>>")
    if not head.startswith(MARK) or not data_mark or not end_mark:
        return None
    counts = _counts(body.split(maxsplit=CHANNELS_MAX + 1))
    if not counts:
        return None
    said = _said(head.decode("latin-1").splitlines()[:HEAD_LINES_MAX])
    what = printable(" ".join(filter(None, (said.get("TAG", ""), said.get("DESCRIPTION", "")))))
    live, real, began = (printable(said.get(name, "")) for name in ("LIVE_TIME", "REAL_TIME", "START_TIME"))
    return result_of(live, real, total(counts), len(counts), began, what)


def _said(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        name, dash, value = line.partition(" -")
        if dash:
            found.setdefault(name.strip(), value.strip())
    return found


def _counts(words: list[bytes]) -> list[int]:
    are_counts = all(word.isdigit() and len(word) <= NUMBER_SIZE_MAX for word in words)
    return [int(word) for word in words] if are_counts and len(words) <= CHANNELS_MAX else []
