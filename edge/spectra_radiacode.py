"""What is read of gamma spectra as RadiaCode's program, BecqMoni and AtomSpectra write them: the same as of a .Spe.

Written from how third parties' programs read and write it; SpecUtils reads the same:

    ResultDataFile / ResultDataList / ResultData: StartTime, SampleInfo / Name, DeviceConfigReference / Name,
        EnergySpectrum, BackgroundEnergySpectrum: SpectrumName, SerialNumber, NumberOfChannels, MeasurementTime (real,
            in seconds), LiveTime (seconds; 0 where it was not recorded), Spectrum / DataPoint, a count each

StartTime is that of the spectrum that follows it; a background without one of its own has none. The file may be a
stranger's: what declares a document type or an entity, or grows beyond the bounds, is no spectrum, as in
`edge.spectra_n42`. Owns nothing; never raises.
"""

from dataclasses import dataclass, field, replace
from typing import Final
from xml.parsers import expat

from edge.spectra_words import CHANNELS_MAX, is_count, printable, result_of, total
from wire.record import Result

ROOT: Final = "ResultDataFile"
BEGIN_SIZE: Final = 2048
SPECTRA_MAX: Final = 64
DEPTH_MAX: Final = 32
ELEMENTS_MAX: Final = 4 * CHANNELS_MAX
TEXT_SIZE_MAX: Final = 4096
SPECTRA: Final = frozenset({"EnergySpectrum", "BackgroundEnergySpectrum"})
_ABOUT: Final = {("SampleInfo", "Name"), ("DeviceConfigReference", "Name")}
_READ: Final = frozenset({"SpectrumName", "SerialNumber", "NumberOfChannels", "MeasurementTime", "LiveTime"})


class _Unfit(Exception):
    """Why it is not read."""


@dataclass
class _Spectrum:
    about: dict[str, str]
    """What its ResultData says; some of it may follow."""
    is_background: bool
    began: str
    texts: dict[str, str] = field(default_factory=dict)
    points: list[str] = field(default_factory=list)


@dataclass
class _Reader:
    spectra: list[_Spectrum] = field(default_factory=list)
    _stack: list[str] = field(default_factory=list)
    _about: dict[str, str] = field(default_factory=dict)
    _began: str = ""
    """The StartTime that no spectrum has followed yet."""
    _elements: int = 0
    _text: str = ""

    def refuse(self, *_: object) -> None:
        raise _Unfit

    def start(self, name: str, _: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > ELEMENTS_MAX or len(self._stack) >= DEPTH_MAX:
            raise _Unfit
        if name == "ResultData":
            self._about, self._began = {}, ""
        elif name in SPECTRA:
            if len(self.spectra) == SPECTRA_MAX:
                raise _Unfit
            self.spectra.append(_Spectrum(self._about, name != "EnergySpectrum", self._began))
            self._began = ""
        self._stack.append(name)
        self._text = ""

    def text(self, data: str) -> None:
        if len(self._text) < TEXT_SIZE_MAX:
            self._text += data

    def end(self, name: str) -> None:
        self._stack.pop()
        parent, text = self._stack[-1] if self._stack else "", self._text.strip()
        self._text = ""
        if (parent, name) == ("ResultData", "StartTime"):
            self._began = text
        elif (parent, name) in _ABOUT:
            self._about.setdefault(f"{parent} {name}", text)
        elif parent in SPECTRA and name in _READ:
            self.spectra[-1].texts.setdefault(name, text)
        elif name == "DataPoint" and self._stack[-2:-1] and self._stack[-2] in SPECTRA:
            self.spectra[-1].points.append(text)


def is_radiacode(data: bytes) -> bool:
    """Tell whether a file begins as these do, in UTF-16, too."""
    return b"<" + ROOT.encode() in data[:BEGIN_SIZE].replace(b"\0", b"")


def read_radiacode(data: bytes) -> tuple[Result, ...]:
    """Return what the spectra of such a file say, in their order; none for what is no such file."""
    reader, parser = _Reader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data.strip(b" \t\r\n") if b"\0" not in data[:4] else data, True)
    except (expat.ExpatError, _Unfit, ValueError, LookupError):  # the last two: an encoding that is none
        return ()
    return tuple(map(_result, reader.spectra))


def _result(spectrum: _Spectrum) -> Result:
    texts, about, points = spectrum.texts, spectrum.about, spectrum.points
    are_counts = len(points) <= CHANNELS_MAX and all(map(is_count, points))
    counted = total([int(one) if one.isdigit() else float(one) for one in points]) if are_counts else ""
    said, real = texts.get("NumberOfChannels", ""), texts.get("MeasurementTime", "")
    live = texts.get("LiveTime", "")
    name = texts.get("SpectrumName") or ("" if spectrum.is_background else about.get("SampleInfo Name", ""))
    device = " ".join(filter(None, (about.get("DeviceConfigReference Name", ""), texts.get("SerialNumber", ""))))
    notes = (
        "Background" if spectrum.is_background else "",
        name,
        f"detector {device}" if device else "",
        "" if counted else "its counts were not read: they are none",
        f"it says {said} channels, and {len(points)} are there" if said not in {"", str(len(points))} else "",
    )
    was_live = printable(live) if live.strip("0.") else ""
    result = result_of(was_live, printable(real), counted, len(points), printable(spectrum.began), "")
    return replace(result, notes=tuple(printable(note) for note in notes if note))
