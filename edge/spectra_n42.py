"""What is read of gamma spectra in ANSI N42.42, both of 2006 and of 2012: the same as of a .Spe, for each spectrum.

Written from the schemas (NIST, ANSIN4242 2005 and N42 2011), their published examples, and files that programs and
portals wrote (InterSpec, SpecUtils, becquerel's samples). Names without prefix:

    2012: RadInstrumentData / RadMeasurement or DerivedData: MeasurementClassCode, StartDateTime, RealTimeDuration /
          Spectrum: LiveTimeDuration, ChannelData compressionCode="None" or "CountedZeroes"
    2006: N42InstrumentData / Measurement / DetectorData: StartTime, SampleRealTime / … /
          Spectrum: StartTime, RealTime, LiveTime, SourceType,
          ChannelData Compression="None" or "CountedZeroes": a zero is followed by how many zeros it stands for

The root may stand within another (an Event). Writers mix the names of the two, so each is taken where it stands: as a
child of the spectrum, else of what is around it, the nearest first. A name deeper down (of a dose, an analysis) is
another's. Durations are ISO 8601: PT60.5S is told as 60.5 seconds and so is PT1M0.5S, as .NET and Java write it; what
has years or months, or is none, stands as it is.

The file may be a stranger's: what declares a document type or an entity, nests or grows beyond the bounds, or is not
well-formed to its end, is no spectrum, and is kept as any other file. White space before the declaration, NULs behind
the end, and UTF-8 that calls itself UTF-16 (.NET writes it) are borne. Owns nothing; never raises.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final
from xml.parsers import expat

from edge.spectra_words import CHANNELS_MAX, printable, result_of, total
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
_DURATION: Final = re.compile(
    r"P(?:(\d{1,4})D)?T(?:(\d{1,6})H)?(?:(\d{1,8})M)?(?:(\d{1,12}(?:\.\d{1,18})?)S)?", re.ASCII
)
_LASTS: Final = (86_400, 3600, 60)
"""Seconds of a day, an hour, a minute."""
_COUNT: Final = re.compile(r"\d{1,15}(?:\.\d{0,15})?(?:[eE][+-]?\d{1,2})?")
_SCOPES: Final = frozenset({"RadMeasurement", "DerivedData", "Measurement", "DetectorData"})
LIVE: Final = ("LiveTimeDuration", "LiveTime")
REAL: Final = ("RealTimeDuration", "RealTime", "SampleRealTime")
BEGAN: Final = ("StartDateTime", "StartTime")
WHAT: Final = ("SourceType", "MeasurementClassCode")
_READ: Final = frozenset({*LIVE, *REAL, *BEGAN, *WHAT, "ChannelData"})
_DETECTORS: Final = ("Detector", "radDetectorInformationReference")
"""Attributes of a spectrum that say of which detector it is."""
SAYS_UTF_16: Final = 19
"""Expat's number for bytes that are not in the encoding that they declare."""


class _Unfit(Exception):
    """Why it is not read."""


@dataclass
class _Spectrum:
    """`around`: the texts of what it stands in, the nearest first; some of them may follow it."""

    around: tuple[dict[str, str], ...]
    detector: str
    is_derived: bool
    """Computed from others, and not measured."""
    texts: dict[str, str] = field(default_factory=dict)
    is_counted: bool = False
    """Its zeros are counted."""
    fault: str = ""

    def said(self, names: tuple[str, ...]) -> str:
        """Return the text that one of these names has, the nearest one."""
        return next((texts[name] for texts in (self.texts, *self.around) for name in names if texts.get(name)), "")


@dataclass
class _Reader:
    """Takes what expat finds."""

    spectra: list[_Spectrum] = field(default_factory=list)
    count: int = 0
    """How many there are; the first of them are kept."""
    _stack: list[str] = field(default_factory=list)
    _elements: int = 0
    _scopes: list[dict[str, str]] = field(default_factory=list)
    _spectrum: _Spectrum | None = None
    _pieces: list[str] | None = None
    _size: int = 0

    def refuse(self, *_: object) -> None:
        """A document type, or an entity: nothing of ours has one."""
        raise _Unfit

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        self._elements += 1
        if self._elements > ELEMENTS_MAX or len(self._stack) >= DEPTH_MAX or len(attributes) > ATTRIBUTES_MAX:
            raise _Unfit
        parent = self._stack[-1] if self._stack else ""
        self._stack.append(local)
        is_asked = local in _READ and (parent == "Spectrum" or (parent in _SCOPES and self._spectrum is None))
        self._pieces, self._size = ([], 0) if is_asked else (None, 0)
        if local in _SCOPES:
            self._scopes.append({})
        elif local == "Spectrum" and self._spectrum is None and not ROOTS.isdisjoint(self._stack):
            detector = next((attributes[one] for one in _DETECTORS if one in attributes), "")
            self._spectrum = _Spectrum(tuple(reversed(self._scopes)), detector, "DerivedData" in self._stack)
        elif local == "ChannelData" and self._spectrum is not None:
            self._learn(attributes.get("compressionCode", attributes.get("Compression", "")))

    def _learn(self, how: str) -> None:
        if self._spectrum is not None and how not in {"", "None", "CountedZeroes"}:
            self._spectrum.fault, self._pieces = printable(f"its counts were not read: compression {how!r}"), None
        elif self._spectrum is not None:
            self._spectrum.is_counted = how == "CountedZeroes"

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
            texts = self._spectrum.texts if self._spectrum is not None else self._scopes[-1] if self._scopes else {}
            texts.setdefault(local, "".join(self._pieces).strip())
            self._pieces = None
        if local in _SCOPES:
            self._scopes.pop()
        elif local == "Spectrum" and self._spectrum is not None:
            self.count += 1
            if len(self.spectra) < SPECTRA_MAX:
                self.spectra.append(self._spectrum)
            self._spectrum = None


def is_n42(data: bytes) -> bool:
    """Tell whether a file begins as one of N42 does, in UTF-16, too."""
    head = data[:BEGIN_SIZE].replace(b"\0", b"")
    return any(root.encode() in head for root in ROOTS)


def read_n42(data: bytes) -> tuple[Result, ...]:
    """Return what the spectra of an N42 file say, in their order; none for what is no such file."""
    if not is_n42(data):
        return ()
    if b"\0" not in data[:4]:
        data = data.lstrip(b" \t\r\n").rstrip(b" \t\r\n\0")
    try:
        return _told(_parsed(data))
    except (expat.ExpatError, _Unfit, ValueError, LookupError):  # the last two: an encoding that is none
        return ()


def _parsed(data: bytes) -> _Reader:
    try:
        return _parsed_as(data, None)
    except expat.ExpatError as error:
        if error.code != SAYS_UTF_16:
            raise
        return _parsed_as(data, "utf-8")


def _parsed_as(data: bytes, encoding: str | None) -> _Reader:
    reader, parser = _Reader(), expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.Parse(data, True)
    return reader


def _told(reader: _Reader) -> tuple[Result, ...]:
    """Return a result for each spectrum that was kept; the first says how many there are beyond them."""
    are_several = len({spectrum.detector for spectrum in reader.spectra}) > 1
    left = [f"{reader.count} spectra are in the file; the first {SPECTRA_MAX} are told"]
    more = left if reader.count > SPECTRA_MAX else []
    return tuple(
        _result(spectrum, with_detector=are_several, more=() if at else more)
        for at, spectrum in enumerate(reader.spectra)
    )


def _result(spectrum: _Spectrum, *, with_detector: bool, more: Sequence[str]) -> Result:
    counts = _counts(spectrum.texts.get("ChannelData", "").split(), is_counted=spectrum.is_counted)
    counted = total(counts)
    fault = "" if counted else spectrum.fault or "its counts were not read: they are none"
    live, real = _seconds(spectrum.said(LIVE)), _seconds(spectrum.said(REAL))
    began, what = printable(spectrum.said(BEGAN)), printable(spectrum.said(WHAT))
    detector = printable(f"detector {spectrum.detector}") if with_detector and spectrum.detector else ""
    derived = "derived, not measured" if spectrum.is_derived else ""
    notes = tuple(filter(None, (what, derived, detector, fault, *more)))
    return replace(result_of(live, real, counted, len(counts) if counted else 0, began, ""), notes=notes)


def _seconds(duration: str) -> str:
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        return printable(duration)
    *longer, seconds = found.groups()
    if not any(longer):
        return seconds
    more = sum(int(part or 0) * lasts for part, lasts in zip(longer, _LASTS, strict=True))
    return f"{Decimal(seconds or 0) + more:f}"


def _counts(words: list[str], *, is_counted: bool) -> list[float]:
    """Return the counts of all channels; none when a word is no number, a zero is not counted, or they are too many."""
    if len(words) > 2 * CHANNELS_MAX or not all(map(_COUNT.fullmatch, words)):
        return []
    numbers = [int(word) if word.isdigit() else float(word) for word in words]
    try:
        return list(_expanded(numbers)) if is_counted else numbers if len(numbers) <= CHANNELS_MAX else []
    except _Unfit:
        return []


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
