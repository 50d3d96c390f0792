"""What is read of a gamma spectrum in ORTEC's binary form .Chn: the same as of a .Spe, by `edge.spectra`. Owns nothing.

Written from ORTEC's "Software File Structure Manual for DOS and Windows Systems" (753800), chapter on the integer .Chn.
Little-endian:

    0 i16: -1 | 6 seconds, two digits | 8 u32: real, 12 u32: live time, in 20 ms | 16 date, DDMMMYY and 1 from 2000 on
    24 hour and minute, four digits | 28 u16: first channel | 30 u16: channels | 32 u32 of each channel
    behind them: i16 -101 or -102 | 320 u8: size of the sample's description, then the text

Of the date a text is made as .Spc has it, but with all digits of the year. Tried with what SpecUtils writes.
"""

import re
import struct
from typing import Final

from edge.spectra_words import printable, result_of, total
from wire.record import Result

_HEAD: Final = struct.Struct("<h4x2sII8s4sHH")
"""Mark, seconds, real and live time, date, hour and minute, first channel, channels."""
TICKS_PER_S: Final = 50
SAMPLE_AT: Final = 320
SAMPLE_SIZE_MAX: Final = 63
_DATE: Final = re.compile(rb"(\d\d)([A-Za-z]{3})(\d\d)(.)", re.DOTALL)


def read_chn(data: bytes) -> Result | None:
    """Return what a .Chn file says; None for what is none. Never raises."""
    if len(data) < _HEAD.size:
        return None
    mark, second, real, live, date, clock, _, channels = _HEAD.unpack_from(data)
    behind = _HEAD.size + 4 * channels
    if mark != -1 or not channels or behind > len(data):
        return None
    counts = struct.unpack_from(f"<{channels}I", data, _HEAD.size)
    return result_of(
        _time(live), _time(real), total(counts), channels, _date(date, clock, second), _sample(data[behind:])
    )


def _time(ticks: int) -> str:
    return f"{ticks // TICKS_PER_S}.{ticks % TICKS_PER_S * 2:02d}"


def _date(date: bytes, clock: bytes, second: bytes) -> str:
    found = _DATE.fullmatch(date)
    if found is None or not (clock + second).isdigit():
        return ""
    day, month, year = (found[at].decode("ascii") for at in (1, 2, 3))
    century = {b"0": "19", b"1": "20"}.get(found[4], "")
    time = (clock + second).decode("ascii")
    return f"{day}-{month}-{century}{year} {time[:2]}:{time[2:4]}:{time[4:]}"


def _sample(tail: bytes) -> str:
    if len(tail) <= SAMPLE_AT or tail[SAMPLE_AT] > SAMPLE_SIZE_MAX:
        return ""
    return printable(tail[SAMPLE_AT + 1 :][: tail[SAMPLE_AT]].partition(b"\0")[0].decode("latin-1").strip())
