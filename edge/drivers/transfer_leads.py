"""SCP-ECG, the leads: from sections 2, 3 and 6 of a record to samples.

Written from EN 1064:2005+A1:2007, clauses 5.6 (Huffman tables, annex C for the default one), 5.7 (leads) and 5.9
(rhythm). Checked against libbiosig on a real record.

    section 3: leads u8 | flags u8 (bit 0: a reference beat was subtracted) | of each: first u32, last u32, lead u8
    section 6: nanovolts a step u16 | microseconds a sample u16 | differences u8 | bimodal u8 | sizes u16 | data
    section 2: tables u16 (19999: the default) | of each table: codes u16
               of each code: prefix bits u8 | all bits u8 | mode u8 | value i16 | code u32

Read are uncompressed leads, and those of one Huffman table, with first or second differences: what today's devices
write. Where a reference beat was subtracted, the sampling is bimodal or the tables are switched, nothing is read and
the reason is given: half an ECG is none. The file has it all.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

LEADS_COUNT_MAX: Final = 64
SAMPLES_COUNT_MAX: Final = 250_000
"""Of all leads together; they fit one tag. Twelve leads of ten seconds at 1,000 Hz are 120,000."""
CODES_COUNT_MAX: Final = 1_024
PREFIX_BITS_MAX: Final = 32
DEFAULT_TABLE: Final = 19_999
LEAD_NAMES: Final = {
    **dict(
        enumerate(("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "V7", "V2R", "V3R", "V4R", "V5R", "V6R", "V7R"), 1)
    ),
    61: "III",
    62: "aVR",
    63: "aVL",
    64: "aVF",
}

Codes = Mapping[str, tuple[int, int]]
"""Of each prefix, as a text of 0 and 1: the value, and how many bits follow that are the value instead."""


@dataclass(frozen=True, slots=True)
class Leads:
    """Leads that were sampled together. A step is `microvolts`."""

    names: tuple[str, ...]
    rate_hz: float
    microvolts: float
    samples: tuple[Sequence[int], ...]


class Unread(Exception):
    """Why the leads are not read."""


def default_codes() -> Codes:
    """Return the table of annex C: 0, then 100 and 101 for 1 and -1, each further value a bit longer, to 8."""
    codes = {"0": (0, 0), "1111111110": (0, 8), "1111111111": (0, 16)}
    for value in range(1, 9):
        codes["1" * value + "00"] = (value, 0)
        codes["1" * value + "01"] = (-value, 0)
    return codes


def read(sections: Mapping[int, bytes]) -> Leads:
    """Return the rhythm leads. Raises Unread that says why there are none."""
    try:
        return _read(sections)
    except (struct.error, IndexError) as error:
        raise Unread("a section is shorter than it should be") from error


def _read(sections: Mapping[int, bytes]) -> Leads:
    if 3 not in sections or 6 not in sections:
        raise Unread("it has no rhythm data")
    spans, names = _leads(sections[3])
    rhythm = sections[6]
    nanovolts, micros, differences, bimodal = struct.unpack_from("<HHBB", rhythm)
    if bimodal or differences > 2 or not micros or not nanovolts:
        raise Unread("its sampling is bimodal" if bimodal else "its sampling is not told")
    first, last = spans[0]
    count = last - first + 1
    if len(set(spans)) != 1 or not 0 < count * len(spans) <= SAMPLES_COUNT_MAX:
        raise Unread("its leads are not of one length, or too long")
    codes = _codes(sections[2]) if 2 in sections else None
    samples = tuple(_samples(data, codes, count, differences) for data in _data_of(rhythm, len(spans)))
    return Leads(names, 1e6 / micros, nanovolts / 1000, samples)


def _leads(section: bytes) -> tuple[list[tuple[int, int]], tuple[str, ...]]:
    count, flags = section[0], section[1]
    if flags & 1:
        raise Unread("a reference beat was subtracted from its leads")
    if not 0 < count <= LEADS_COUNT_MAX:
        raise Unread(f"it has {count} leads")
    rows = [struct.unpack_from("<IIB", section, 2 + 9 * at) for at in range(count)]
    return [(first, last) for first, last, _ in rows], tuple(LEAD_NAMES.get(row[2], f"lead {row[2]}") for row in rows)


def _data_of(rhythm: bytes, count: int) -> Iterator[bytes]:
    at = 6 + 2 * count
    for size in struct.unpack_from(f"<{count}H", rhythm, 6):
        if at + size > len(rhythm):
            raise Unread("its rhythm data are cut short")
        yield rhythm[at : at + size]
        at += size


def _codes(section: bytes) -> Codes:
    (tables,) = struct.unpack_from("<H", section)
    if tables == DEFAULT_TABLE:
        return default_codes()
    if tables != 1:
        raise Unread(f"it has {tables} Huffman tables")
    (count,) = struct.unpack_from("<H", section, 2)
    if count > CODES_COUNT_MAX:
        raise Unread(f"its Huffman table has {count} codes")
    codes: dict[str, tuple[int, int]] = {}
    for at in range(4, 4 + 9 * count, 9):
        prefix, bits, mode, value, code = struct.unpack_from("<BBBhI", section, at)
        if mode != 1 or not 0 < prefix <= min(bits, PREFIX_BITS_MAX) or bits - prefix > PREFIX_BITS_MAX:
            raise Unread("its Huffman table is switched, or is none")
        # The code stands with its first bit lowest.
        codes["".join(str(code >> place & 1) for place in range(prefix))] = (value, bits - prefix)
    return codes


def _samples(data: bytes, codes: Codes | None, count: int, differences: int) -> list[int]:
    steps = list(struct.unpack_from(f"<{count}h", data)) if codes is None else _decoded(data, codes, count)
    if differences == 0:
        return steps
    values = accumulate(steps) if differences == 1 else _summed_twice(steps)
    # A sample has 16 bits, and so had the differences of a step too large for them when the device took them.
    return [(value + 0x8000 & 0xFFFF) - 0x8000 for value in values]


def _summed_twice(steps: Sequence[int]) -> list[int]:
    """Undo second differences: the first two samples stand as they are."""
    values = list(steps[:2])
    for step in steps[2:]:
        values.append(step + 2 * values[-1] - values[-2])
    return values


def _decoded(data: bytes, codes: Codes, count: int) -> list[int]:
    bits = bin(int.from_bytes(b"\1" + data, "big"))[3:]
    longest = max(map(len, codes), default=0)
    values, at = [], 0
    for _ in range(count):
        end = at + 1
        while bits[at:end] not in codes:
            end += 1
            if end - at > longest or end > len(bits):
                raise Unread("its Huffman codes do not fit its table")
        value, more = codes[bits[at:end]]
        at = end + more
        if at > len(bits):
            raise Unread("its rhythm data are cut short")
        values.append(_signed(bits[end:at]) if more else value)
    return values


def _signed(bits: str) -> int:
    return int(bits, 2) - (int(bits[0]) << len(bits))
