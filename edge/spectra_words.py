"""What the readers of spectra have in common: their text, which words are numbers, the RESULT that is made. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Final

from edge import charset
from wire.record import Observation, Result

CHANNELS_MAX: Final = 1 << 17
TEXT_MAX: Final = 200
NUMBER_SIZE_MAX: Final = 15
TIME_SIZE_MAX: Final = 32
"""Characters of a time; programs write them with all the digits of a float."""
DONE: Final = {"SPECTRUMPROCESSED": "the spectrum was processed", "BGNDSUBTRACTED": "the background was subtracted"}
MADE: Final = (*DONE, "ENCRYPTED")
"""Where AtomTex's files say what was done to the counts; 0 is nothing."""

_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def text_of(data: bytes) -> str:
    """Return the text as its mark says. Without one each byte is a character, or each two, as AtomTex writes."""
    plain = "utf-16-le" if data[1:2] == b"\0" else "latin-1"
    return data.decode(next((name for mark, name in _MARKS if data.startswith(mark)), plain), "replace")


def spoken(text: str) -> str:
    """Return words in the character set in which their bytes make the most sense (`edge.charset`)."""
    try:
        raw = text.encode("latin-1")
    except UnicodeEncodeError:  # the file's mark said which it is
        return text
    return charset.decode(raw, charset.detect(raw))[0]


def made_of(said: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return what AtomTex's marks say was done to the counts; None when they are encrypted."""
    done = [name for name in MADE if said.get(name, "0").strip("0.") != ""]
    return None if "ENCRYPTED" in done else tuple(DONE[name] for name in done)


def is_number(word: str) -> bool:
    """Tell whether it is a plain decimal number without a sign."""
    whole, _, part = word.partition(".")
    return word.isascii() and len(word) <= TIME_SIZE_MAX and whole.isdigit() and (not part or part.isdigit())


def is_count(word: str) -> bool:
    """Tell whether it may be what one channel counted."""
    return len(word) <= NUMBER_SIZE_MAX and is_number(word)


def printable(text: str) -> str:
    """Return a text from a file as it may stand in a note."""
    return "".join(char if char.isprintable() else "?" for char in text)[:TEXT_MAX]


def total(counts: Sequence[float]) -> str:
    """Return the sum of the counts; "" when they are none: negative, not finite, or not one."""
    if not counts or any(not math.isfinite(count) or count < 0 for count in counts):
        return ""
    if all(count == int(count) for count in counts):
        return str(sum(map(int, counts)))
    return repr(math.fsum(counts))


def result_of(live: str, real: str, counts: str, channels: int, date: str, said: str) -> Result:
    """Return what is told of one spectrum; what is "" is not told. Times are seconds where they are plain numbers."""
    found = (
        Observation("live time", "live time", live, "s" if is_number(live) else ""),
        Observation("real time", "real time", real, "s" if is_number(real) else ""),
        Observation("counts", "counts, all channels", counts),
        Observation("channels", "channels", str(channels) if counts else ""),
    )
    told = tuple(one for one in found if one.value)
    return Result(device_time=date[:TEXT_MAX], observations=told, notes=(said,) if said else ())
