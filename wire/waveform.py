"""Integer samples of several leads over time: the plain form that is stored and read everywhere.

`docs/formats/waveform.md` is normative. A sample's value in `unit` is `sample * scale + offset`; what is stored are the
integers, as the device gave them. Leads that are sampled at different rates are different waveforms. The lossless
packing of the plain form (codec 3) is `wire.leads`, which alone needs numpy: a kit starts, and a waveform is
built, passed on and drawn, without it.
"""

import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Self

from wire import kinds
from wire.errors import FeldsherError, FormatError, Misuse
from wire.tag import Tag

VERSION: Final = 1
LEAD_COUNT_MAX: Final = 255
NAME_SIZE_MAX: Final = 255
"""Bytes of a lead's name, or of the unit, in UTF-8."""
TIME_MS_MAX: Final = (1 << 48) - 1
COUNT_MAX: Final = (1 << 32) - 1
PLAIN_SIZE_MAX: Final = 32 << 20
"""Bytes of a waveform in plain form. A longer recording is several waveforms, one after the other."""

HAS_MISSING: Final = 0x80
"""In the byte that holds the width: the value that stands for a sample which is not there follows the count."""

_FIXED: Final = struct.Struct(">BBB6sdddI")
_MISSING: Final = struct.Struct(">i")


@dataclass(frozen=True)
class Waveform:
    """Leads sampled together. `samples`: for each lead the integers in time, all leads of the same length.

    They may be given as any sequences of integers, and are held as arrays of int32 (`numpy.asarray` takes such an
    array without copying). `missing`: the integer that stands for a sample which is not there (None: all are there);
    it is no value, and whoever draws or computes leaves it out.
    """

    names: tuple[str, ...]
    rate_hz: float
    unit: str
    scale: float
    offset: float
    start_ms: int
    samples: tuple[Sequence[int], ...]
    missing: int | None = None

    def __post_init__(self) -> None:
        """Hold the names as a tuple and each lead as an array. Raises Misuse for samples that are no int32."""
        try:
            leads = tuple(
                lead if isinstance(lead, array) and lead.typecode == "i" else array("i", lead) for lead in self.samples
            )
        except (OverflowError, TypeError) as error:
            raise Misuse(f"samples are integers of 32 bits: {error}") from error
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "samples", leads)

    @property
    def count(self) -> int:
        """Samples of each lead."""
        return len(self.samples[0]) if self.samples else 0

    def to_plain(self) -> bytes:
        """Return the plain form, the same bytes for the same waveform. Raises Misuse when something does not fit."""
        if len(self.samples) != len(self.names) or any(len(lead) != self.count for lead in self.samples):
            sizes = [len(lead) for lead in self.samples]
            raise Misuse(f"{len(self.names)} names for leads of {sizes} samples; want one name each, and one length")
        width = 2 if all(_fits_16_bits(lead) for lead in self.samples) else 4
        plain = Head.of(self, width).encode() + b"".join(_big_endian(lead, width) for lead in self.samples)
        if len(plain) > PLAIN_SIZE_MAX:
            raise Misuse(f"a waveform of {len(plain)} bytes; at most {PLAIN_SIZE_MAX}: cut it in time")
        return plain

    @classmethod
    def from_plain(cls, plain: bytes) -> Self:
        """Return the waveform whose plain form is exactly `plain`. Raises FormatError."""
        head, at = Head.decode(plain)
        if len(plain) != at + head.sample_size:
            raise FormatError(f"waveform: {len(plain) - at} bytes of samples, want {head.sample_size}")
        size = head.width * head.count
        samples = tuple(_from_big_endian(plain[n : n + size], head.width) for n in range(at, len(plain), size or 1))
        if not size:
            samples = tuple(array("i") for _ in head.names)
        numbers = (head.rate_hz, head.unit, head.scale, head.offset, head.start_ms)
        return cls(head.names, *numbers, samples, head.missing)

    def to_tag(self) -> Tag:
        """Return the WAVEFORM tag, in plain form: the packing is chosen where the entry is sealed."""
        return Tag(kinds.CAPTURE, kinds.WAVEFORM, self.to_plain(), time_ms=self.start_ms)

    @classmethod
    def from_tag(cls, tag: Tag) -> Self:
        """Return the waveform in `tag` (unsealed, unpacked). Raises FormatError."""
        if tag.kind != (kinds.CAPTURE, kinds.WAVEFORM) or tag.codec:
            raise FormatError(f"waveform: tag {tag.group:02x}:{tag.number:02x} with codec {tag.codec}")
        return cls.from_plain(tag.data)


@dataclass(frozen=True, slots=True)
class Head:
    """The plain form's head: everything but the samples. `width`: bytes of a sample, 2 or 4."""

    width: int
    names: tuple[str, ...]
    rate_hz: float
    unit: str
    scale: float
    offset: float
    start_ms: int
    count: int
    missing: int | None = None

    @classmethod
    def of(cls, waveform: Waveform, width: int) -> Self:
        """Return the head of `waveform`."""
        one = waveform
        numbers = (one.rate_hz, one.unit, one.scale, one.offset, one.start_ms, one.count)
        return cls(width, one.names, *numbers, one.missing)

    @property
    def sample_size(self) -> int:
        """Bytes of all samples."""
        return self.width * self.count * len(self.names)

    def encode(self) -> bytes:
        """Return the bytes of the head. Raises Misuse for what `decode` would not read back."""
        self._check(Misuse)
        texts = b"".join(_short_text(text) for text in (self.unit, *self.names))
        start = self.start_ms.to_bytes(6, "big")
        numbers = (self.rate_hz, self.scale, self.offset, self.count)
        width = self.width | (0 if self.missing is None else HAS_MISSING)
        missing = b"" if self.missing is None else _MISSING.pack(self.missing)
        return _FIXED.pack(VERSION, width, len(self.names), start, *numbers) + missing + texts

    @classmethod
    def decode(cls, plain: bytes) -> tuple[Self, int]:
        """Return (head, offset of what follows it). Raises FormatError."""
        if len(plain) < _FIXED.size:
            raise FormatError(f"waveform: {len(plain)} bytes; the head alone has {_FIXED.size}")
        version, width, leads, start, rate_hz, scale, offset, count = _FIXED.unpack_from(plain)
        if version != VERSION:
            raise FormatError(f"waveform: version {version}; have {VERSION}")
        at, missing = _FIXED.size, None
        if width & HAS_MISSING:
            if len(plain) < at + _MISSING.size:
                raise FormatError(f"waveform: the head breaks off at {at}")
            (missing,) = _MISSING.unpack_from(plain, at)
            at += _MISSING.size
        unit, at = _read_short_text(plain, at)
        names = []
        for _ in range(leads):
            name, at = _read_short_text(plain, at)
            names.append(name)
        width &= ~HAS_MISSING
        start_ms = int.from_bytes(start, "big")
        head = cls(width, tuple(names), rate_hz, unit, scale, offset, start_ms, count, missing)
        head._check(FormatError)
        return head, at

    def _check(self, error: type[FeldsherError]) -> None:
        if self.width not in {2, 4} or len(self.names) > LEAD_COUNT_MAX:
            raise error(f"waveform: {len(self.names)} leads of {self.width} bytes a sample; at most {LEAD_COUNT_MAX}")
        if not (isfinite(self.rate_hz) and self.rate_hz > 0 and isfinite(self.scale) and isfinite(self.offset)):
            raise error(f"waveform: rate {self.rate_hz} Hz, scale {self.scale}, offset {self.offset}")
        if not 0 <= self.start_ms <= TIME_MS_MAX or not 0 <= self.count <= COUNT_MAX:
            raise error(f"waveform: start {self.start_ms} ms, {self.count} samples; at most {TIME_MS_MAX}, {COUNT_MAX}")
        if self.count and not self.names:
            raise error(f"waveform: {self.count} samples of no lead")
        if self.missing is not None and not -(1 << 31) <= self.missing < 1 << 31:
            raise error(f"waveform: {self.missing} stands for a missing sample; want an integer of 32 bits")


def _short_text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > NAME_SIZE_MAX or not text.isprintable():
        raise Misuse(f"waveform: a unit or name of {len(data)} bytes; at most {NAME_SIZE_MAX}, printable")
    return bytes((len(data),)) + data


def _read_short_text(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at] if at < len(data) else len(data) + 1
    if end > len(data):
        raise FormatError(f"waveform: the head breaks off at {at}")
    try:
        text = data[at + 1 : end].decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"waveform: a unit or name is not UTF-8: {error}") from error
    if not text.isprintable():
        raise FormatError("waveform: a unit or name is not printable")
    return text, end


def _fits_16_bits(lead: Sequence[int]) -> bool:
    return not lead or (min(lead) >= -(1 << 15) and max(lead) < 1 << 15)


def _big_endian(lead: Sequence[int], width: int) -> bytes:
    values = array("h" if width == 2 else "i", lead)
    if sys.byteorder == "little":
        values.byteswap()
    return values.tobytes()


def _from_big_endian(data: bytes, width: int) -> "array[int]":
    values = array("h" if width == 2 else "i", data)
    if sys.byteorder == "little":
        values.byteswap()
    return array("i", values)
