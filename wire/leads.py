"""Codec 3: a waveform's plain form, packed losslessly by what its leads tell of each other.

Six of an ECG's twelve leads are two in disguise (Einthoven: III = II - I; Goldberger: aVR, aVL, aVF are half sums), as
far as the device's rounding allows. So two leads are the *base*, and each other lead is packed as it is or as what is
left after a *foretelling* from the base: halves of small whole multiples of both, rounded one of three ways. Base and
multiples are found by trying, from how the leads vary together, and used only where the result is smaller. Names are
not asked: devices write them as they like, and a swapped electrode does not change the arithmetic. pcodec packs what
is left. Everything is exact modulo 2**32; a CRC of the plain form is checked on the way back.

numpy and pcodec are imported at the first use. Nothing larger than the plain form that the head announces, and the
caller allows, is allocated, whatever the packed data claim. `docs/formats/waveform.md` is normative.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from math import log2
from typing import TYPE_CHECKING, Any, Final

from crc32c import crc32c

from wire.errors import FormatError, UsageError
from wire.waveform import Head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.int32]
    Wide = NDArray[np.int64]
    Products = NDArray[np.float64]

FLOOR, CEILING, TOWARDS_ZERO = 0, 1, 2
MULTIPLE_MAX: Final = 8
"""Halves of a lead in a foretelling; from I and II all others need at most 2, from two augmented leads more."""
FORETOLD_LEAD_COUNT_MAX: Final = 16
"""Of more leads than this none is foretold: the search grows with the cube of their number."""
GAIN_MIN: Final = 4.0
"""By how many times a foretelling must shrink the variance of a lead's steps to be tried."""

ROUNDING_VARIANCE: Final = 0.25
"""Of the steps: what a device's rounding leaves in the best case."""
LEVEL: Final = 12
"""Of pcodec; above this it finds no more."""

_FORETOLD: Final = 0x01
_WIDE: Final = 0x02
_ROUNDING_SHIFT: Final = 2
_FORETELLING: Final = struct.Struct(">BBbb")
_LEAD: Final = struct.Struct(">BI")


@dataclass(frozen=True, slots=True)
class Foretelling:
    """(`first_halves` * lead `first` + `second_halves` * lead `second`) / 2, rounded."""

    first: int
    second: int
    first_halves: int
    second_halves: int
    rounding: int = FLOOR

    def apply(self, first: "Samples", second: "Samples") -> "Wide":
        """Return what this foretells from its two leads."""
        np, _ = _tools()
        twice: Wide = self.first_halves * first.astype(np.int64) + self.second_halves * second.astype(np.int64)
        if self.rounding == FLOOR:
            return twice >> 1
        if self.rounding == CEILING:
            return -(-twice >> 1)
        return (twice + (twice < 0)) >> 1

    def encode(self) -> bytes:
        """Return the four bytes that stand after the lead's flags (where the rounding is)."""
        return _FORETELLING.pack(self.first, self.second, self.first_halves, self.second_halves)


@cache
def _tools() -> tuple[Any, Any]:
    """Return (numpy, pcodec). Raises UsageError that names what to install."""
    try:
        import numpy as np
        import pcodec.standalone
    except ImportError as error:
        message = f"waveforms need numpy and pcodec: install feldsher[edge] or feldsher[server] ({error})"
        raise UsageError(message) from error
    return np, pcodec


def pack_plain(plain: bytes) -> bytes:
    """Return the plain form of a waveform packed. Raises FormatError when `plain` is none, or is of another make."""
    head, at = Head.decode(plain)
    if len(plain) != at + head.sample_size or head.encode() != plain[:at]:
        raise FormatError(f"waveform: {len(plain)} bytes; want {at + head.sample_size} in canonical form")
    packed = plain[:at] + crc32c(plain).to_bytes(4, "big")
    return packed + b"".join(_pack_leads(_read_leads(plain[at:], head))) if head.count else packed


def unpack_plain(packed: bytes, size_max: int) -> bytes:
    """Return the plain form. Raises FormatError for damage and for more than `size_max` bytes."""
    head, at = Head.decode(packed)
    if at + head.sample_size > size_max:
        raise FormatError(f"waveform: {at + head.sample_size} bytes when unpacked; at most {size_max}")
    check, body = packed[at : at + 4], packed[at + 4 :]
    if head.count:
        plain = packed[:at] + _write_leads(_unpack_leads(body, head), head)
    elif body:
        raise FormatError(f"waveform: {len(body)} bytes of samples, and there are none")
    else:
        plain = packed[:at]
    if crc32c(plain).to_bytes(4, "big") != check:
        raise FormatError("waveform: the packed samples are damaged: their CRC does not hold")
    return plain


def _read_leads(data: bytes, head: Head) -> "list[Samples]":
    np, _ = _tools()
    rows = np.frombuffer(data, f">i{head.width}").reshape(len(head.names), head.count)
    return [row.astype(np.int32) for row in rows]


def _write_leads(leads: "Iterable[Samples]", head: Head) -> bytes:
    return b"".join(lead.astype(f">i{head.width}").tobytes() for lead in leads)


def _pack_leads(leads: "Sequence[Samples]") -> list[bytes]:
    best = [_pack_lead(0, b"", lead) for lead in leads]
    for target, foretellings in _foretellings(leads, [len(one) for one in best]).items():
        ways = [_pack_foretold(leads, target, foretelling) for foretelling in foretellings]
        best[target] = min(best[target], *ways, key=len)
    return best


def _pack_foretold(leads: "Sequence[Samples]", target: int, foretelling: Foretelling) -> bytes:
    flags = _FORETOLD | foretelling.rounding << _ROUNDING_SHIFT
    rest = leads[target] - foretelling.apply(leads[foretelling.first], leads[foretelling.second])
    return _pack_lead(flags, foretelling.encode(), _wrapped(rest))


def _wrapped(values: "Wide") -> "Samples":
    np, _ = _tools()
    wrapped: Samples = (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return wrapped


def _pack_lead(flags: int, foretelling: bytes, rest: "Samples") -> bytes:
    np, pcodec = _tools()
    narrow = rest.astype(np.int16)
    if not np.array_equal(narrow, rest):
        flags, narrow = flags | _WIDE, rest
    ways = (pcodec.DeltaSpec.auto(), pcodec.DeltaSpec.try_consecutive(2))
    configs = [pcodec.ChunkConfig(compression_level=LEVEL, delta_spec=way) for way in ways]
    data = min((bytes(pcodec.standalone.simple_compress(narrow, config)) for config in configs), key=len)
    return _LEAD.pack(flags, len(data)) + foretelling + data


def _foretellings(leads: "Sequence[Samples]", sizes: Sequence[int]) -> dict[int, list[Foretelling]]:
    """Return what to try: lead -> foretellings, all from the base that seems to save most.

    `sizes`: bytes of each lead packed as it is. No base saves more than what the leads that it tells cost.
    """
    if not 3 <= len(leads) <= FORETOLD_LEAD_COUNT_MAX or len(leads[0]) < 3:
        return {}
    np, _ = _tools()
    steps = np.diff(np.stack(leads).astype(np.float64))
    products = steps @ steps.T / len(leads[0])
    count = len(leads[0])

    def saved(pair: tuple[int, int]) -> float:
        return sum(min(bits * count / 8, sizes[target]) for target, (bits, _) in _told_by(pair, products).items())

    base = max(combinations(range(len(leads)), 2), key=saved)
    return {
        target: [Foretelling(*base, *halves, rounding) for rounding in (FLOOR, CEILING, TOWARDS_ZERO)]
        for target, (_, halves) in _told_by(base, products).items()
    }


Told = dict[int, tuple[float, tuple[int, int]]]


def _told_by(base: tuple[int, int], products: "Products") -> Told:
    """Return lead -> (bits saved of each sample, halves) where the steps' products say that `base` foretells it."""
    own, cross, other = products[base[0], base[0]], products[base[0], base[1]], products[base[1], base[1]]
    determinant = own * other - cross * cross
    if determinant <= own * other * 1e-9:  # one of them says nothing, or both say the same
        return {}
    found: Told = {}
    for target in set(range(len(products))) - set(base):
        by_first, by_second = products[target, base[0]], products[target, base[1]]
        one = round(2 * (by_first * other - by_second * cross) / determinant)
        two = round(2 * (by_second * own - by_first * cross) / determinant)
        rest = products[target, target] - (one * by_first + two * by_second)
        rest += (one * one * own + 2 * one * two * cross + two * two * other) / 4
        ratio = products[target, target] / max(rest, ROUNDING_VARIANCE)
        if ratio > GAIN_MIN and max(abs(one), abs(two)) <= MULTIPLE_MAX:
            found[target] = log2(ratio) / 2, (one, two)
    return found


@dataclass(frozen=True, slots=True)
class _PackedLead:
    foretelling: Foretelling | None
    wide: bool
    data: bytes


def _unpack_leads(body: bytes, head: Head) -> "list[Samples]":
    packed = _parse_leads(body, len(head.names))
    rests = [_unpack_rest(lead, head.count) for lead in packed]
    return [_restored(number, packed, rests) for number in range(len(packed))]


def _restored(number: int, packed: list[_PackedLead], rests: "list[Samples]") -> "Samples":
    told = packed[number].foretelling
    if told is None:
        return rests[number]
    if any(base >= len(packed) or packed[base].foretelling for base in (told.first, told.second)):
        raise FormatError(f"waveform: lead {number} is foretold by {told.first} and {told.second}; want packed leads")
    return _wrapped(rests[number] + told.apply(rests[told.first], rests[told.second]))


def _parse_leads(body: bytes, count: int) -> list[_PackedLead]:
    leads, at = [], 0
    try:
        for _ in range(count):
            flags, size = _LEAD.unpack_from(body, at)
            at += _LEAD.size
            told, at = _parse_foretelling(body, at, flags)
            leads.append(_PackedLead(told, bool(flags & _WIDE), body[at : at + size]))
            at += size
    except struct.error as error:
        raise FormatError(f"waveform: the packed samples break off at {len(body)}: {error}") from error
    if at != len(body):
        raise FormatError(f"waveform: {len(body)} bytes of packed samples, want {at}")
    return leads


def _parse_foretelling(body: bytes, at: int, flags: int) -> tuple[Foretelling | None, int]:
    rounding = flags >> _ROUNDING_SHIFT
    if rounding > TOWARDS_ZERO or (rounding and not flags & _FORETOLD):
        raise FormatError(f"waveform: lead flags {flags:#04x} are not known")
    if not flags & _FORETOLD:
        return None, at
    first, second, first_halves, second_halves = _FORETELLING.unpack_from(body, at)
    return Foretelling(first, second, first_halves, second_halves, rounding), at + _FORETELLING.size


def _unpack_rest(lead: _PackedLead, count: int) -> "Samples":
    np, pcodec = _tools()
    rest = np.empty(count, np.int32 if lead.wide else np.int16)
    try:
        progress = pcodec.standalone.simple_decompress_into(lead.data, rest)
    except (RuntimeError, TypeError, ValueError) as error:
        raise FormatError(f"waveform: a packed lead of {len(lead.data)} bytes is damaged: {error}") from error
    except BaseException as error:
        # A Rust panic arrives as a class of its own that is no Exception and has no importable name.
        if type(error).__name__ != "PanicException":
            raise
        raise FormatError(f"waveform: a packed lead of {len(lead.data)} bytes is damaged: {error}") from error
    if progress.n_processed != count or not progress.finished:
        raise FormatError(f"waveform: a packed lead holds {progress.n_processed} samples or more, want {count}")
    wide: Samples = rest.astype(np.int32)
    return wide
