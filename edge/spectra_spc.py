"""What is read of a gamma spectrum in ORTEC's binary form .Spc: the same as of a .Spe, by `edge.spectra`. Owns nothing.

Written from ORTEC's "Software File Structure Manual for DOS and Windows Systems" (753800), chapter on the integer and
the real .Spc. Little-endian throughout; records of 128 bytes, pointed to by their number, from 1. In record 1:

    offset 0 u16: 1 | 2 u16: 1 counts are i32, 5 they are f32 | 8 u16: record of acquisition | 12 u16: of the detector
    60 u16: first record of the spectrum | 62 u16: how many | 64 u16: channels | 90 f32: real, 94 f32: live time, s
    acquisition: name 16 | date 12 | time 10 | live time 10 | real time 10, each as text

The texts of the acquisition are what is told, for they stand as they were written; the floats where those are no
numbers. Tried with files made from the manual only; becquerel reads the same of them.
"""

import math
import struct
from typing import Final

from edge.spectra_words import is_number, printable, result_of, total
from wire.record import Result

RECORD_SIZE: Final = 128
INTEGER, REAL = 1, 5
"""Kinds of file."""
_HEAD: Final = struct.Struct("<HH4xHHH46xHHH24xff")
"""Mark, kind, records of acquisition, sample and detector, the spectrum's three words, real and live time."""


def read_spc(data: bytes) -> Result | None:
    """Return what a .Spc file says; None for what is none. Never raises."""
    if len(data) < RECORD_SIZE:
        return None
    mark, kind, acquisition, sample, _, first, records, channels, real, live = _HEAD.unpack_from(data)
    if mark != 1 or kind not in {INTEGER, REAL} or not _are_times(live, real):
        return None
    at = (first - 1) * RECORD_SIZE
    is_within = first > 1 and 0 < channels * 4 <= records * RECORD_SIZE and at + 4 * channels <= len(data)
    if not is_within:
        return None
    counts = struct.unpack_from(f"<{channels}{'i' if kind == INTEGER else 'f'}", data, at)
    said = _record(data, acquisition)
    live_text, real_text = (_text(said[start : start + 10]) for start in (38, 48))
    date = " ".join(filter(None, (_text(said[16:28]), _text(said[28:38]))))
    times = (live_text if is_number(live_text) else f"{live:.7g}", real_text if is_number(real_text) else f"{real:.7g}")
    sum_text = total(counts)
    return result_of(*times, sum_text, channels, date, _text(_record(data, sample))) if sum_text else None


def _are_times(live: float, real: float) -> bool:
    return all(math.isfinite(one) and one >= 0 for one in (live, real))


def _record(data: bytes, number: int) -> bytes:
    return data[(number - 1) * RECORD_SIZE : number * RECORD_SIZE] if number else b""


def _text(raw: bytes) -> str:
    return printable(raw.partition(b"\0")[0].replace(b"\1", b" ").decode("latin-1").strip())
