"""What is read of gamma spectra in ANSI N42.42, both of 2006 and of 2012: the same as of a .Spe, for each spectrum.

Written from the schemas (NIST, ANSIN4242 2005 and N42 2011) and their published examples. Names without prefix:

    2012: RadInstrumentData / RadMeasurement: MeasurementClassCode, StartDateTime, RealTimeDuration /
          Spectrum: LiveTimeDuration, ChannelData compressionCode="None" or "CountedZeroes"
    2006: N42InstrumentData / Measurement / … / Spectrum: StartTime, RealTime, LiveTime, SourceType,
          ChannelData Compression="None" or "CountedZeroes": a zero is followed by how many zeros it stands for

Durations are ISO 8601: PT60.5S is told as 60.5 seconds, any other form as it stands. The file may be a stranger's: what
declares a document type or an entity, nests or grows beyond the bounds, or is not well-formed to its end, is no
spectrum, and is kept as any other file. Owns nothing; never raises.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from xml.parsers import expat

from edge.spectra_words import CHANNELS_MAX, is_number, printable, result_of, total
from wire.record import Result

ROOTS: Final = frozenset({"RadInstrumentData", "N42InstrumentData"})
SPECTRA_MAX: Final = 64
"""Spectra of one file that are told; the file has them all."""
DEPTH_MAX: Final = 64
ELEMENTS_MAX: Final = 200_000
ATTRIBUTES_MAX: Final = 64
TEXT_SIZE_MAX: Final = 2 << 20
"""Characters of one element that is read: channels are at most CHANNELS_MAX numbers."""
BEGIN_SIZE: Final = 2048
"""One of the roots stands within the first bytes."""
_SECONDS: Final = re.compile(r"PT(\d{1,12}(?:\.\d{1,12})?)S")
_COUNT: Final = re.compile(r"\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?")
_OF_SPECTRUM: Final = frozenset({"LiveTimeDuration", "LiveTime", "RealTime", "StartTime", "SourceType", "ChannelData"})
_OF_MEASUREMENT: Final = frozenset({"MeasurementClassCode", "StartDateTime", "RealTimeDuration"})
_MEASUREMENTS: Final = frozenset({"RadMeasurement", "Measurement"})


class _Unfit(Exception):
    """Why it is not read."""


@dataclass
class _Spectrum:
    texts: dict[str, str] = field(default_factory=dict)
    is_counted: bool = False
    """Its zeros are counted."""


@dataclass
class _Reader:
    """Takes what expat finds."""

    spectra: list[tuple[_Spectrum, dict[str, str]]] = field(default_factory=list)
    """Each with the texts of its measurement, which may follow it."""
    _stack: list[str] = field(default_factory=list)
    _elements: int = 0
    _measurement: dict[str, str] = field(default_factory=dict)
    _spectrum: _Spectrum | None = None
    _pieces: list[str] | None = None
    _size: int = 0

    def refuse(self, *_: object) -> None:
        """A document type, or an entity: nothing of ours has one."""
        raise _Unfit

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        self._elements += 1
        is_first_wrong = not self._stack and local not in ROOTS
        is_too_much = self._elements > ELEMENTS_MAX or len(self._stack) >= DEPTH_MAX or len(attributes) > ATTRIBUTES_MAX
        if is_first_wrong or is_too_much:
            raise _Unfit
        self._stack.append(local)
        if local in _MEASUREMENTS:
            self._measurement = {}
        elif local == "Spectrum":
            self._spectrum = _Spectrum()
        wanted = _OF_SPECTRUM if self._spectrum is not None else _OF_MEASUREMENT
        self._pieces, self._size = ([], 0) if local in wanted else (None, 0)
        if local == "ChannelData" and self._spectrum is not None:
            how = attributes.get("compressionCode", attributes.get("Compression", ""))
            self._spectrum.is_counted = how == "CountedZeroes"
            if how not in {"", "None", "CountedZeroes"}:
                self._pieces = None

    def text(self, data: str) -> None:
        if self._pieces is None:
            return
        self._size += len(data)
        if self._size > TEXT_SIZE_MAX:
            raise _Unfit
        self._pieces.append(data)

    def end(self, name: str) -> None:
        local = self._stack.pop()
        if self._pieces is not None:
            texts = self._spectrum.texts if self._spectrum is not None else self._measurement
            texts.setdefault(local, "".join(self._pieces).strip())
            self._pieces = None
        if local == "Spectrum" and self._spectrum is not None:
            if len(self.spectra) < SPECTRA_MAX:
                self.spectra.append((self._spectrum, self._measurement))
            self._spectrum = None


def read_n42(data: bytes) -> tuple[Result, ...]:
    """Return what the spectra of an N42 file say, in their order; none for what is no such file."""
    if not any(root.encode() in data[:BEGIN_SIZE] for root in ROOTS):
        return ()
    reader, parser = _Reader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
        return tuple(_results(reader))
    except (expat.ExpatError, _Unfit, ValueError, LookupError):  # the last two: an encoding that is none
        return ()


def _results(reader: _Reader) -> Iterator[Result]:
    for spectrum, measurement in reader.spectra:
        texts = spectrum.texts
        counts = _counts(texts.get("ChannelData", "").split(), is_counted=spectrum.is_counted)
        counted = total(counts)
        if not counted:
            continue
        live = _seconds(texts.get("LiveTimeDuration", texts.get("LiveTime", "")))
        real = _seconds(texts.get("RealTime", measurement.get("RealTimeDuration", "")))
        date = printable(texts.get("StartTime", measurement.get("StartDateTime", "")))
        what = printable(texts.get("SourceType", measurement.get("MeasurementClassCode", "")))
        yield result_of(live, real, counted, len(counts), date, what)


def _seconds(duration: str) -> str:
    found = _SECONDS.fullmatch(duration)
    return found[1] if found and is_number(found[1]) else printable(duration)


def _counts(words: list[str], *, is_counted: bool) -> list[float]:
    """Return the counts of all channels; none when a word is no number, or they are too many. Raises _Unfit."""
    if len(words) > 2 * CHANNELS_MAX or not all(map(_COUNT.fullmatch, words)):
        return []
    numbers = [int(word) if word.isdigit() else float(word) for word in words]
    if is_counted:
        numbers = list(_expanded(numbers))
    return numbers if len(numbers) <= CHANNELS_MAX else []


def _expanded(numbers: list[float]) -> Iterator[float]:
    left = iter(numbers)
    made = 0
    for number in left:
        times = 1
        if number == 0:
            many = next(left, 0)
            if not 1 <= many <= CHANNELS_MAX or many != int(many):
                raise _Unfit
            times = int(many)
        made += times
        if made > CHANNELS_MAX:
            raise _Unfit
        yield from [number] * times
