"""How things are put before a doctor: times, flags, sizes, raw bytes. No page decides this for itself.

Pure: values in, texts and small structures out. What a device said stays as it said it; a flag is always a word and a
sign, never a colour alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from server.library import Line
from server.reading import Reading, Signature
from wire import kinds
from wire.errors import FormatError
from wire.record import Correction, Observation, Result
from wire.study import Entry
from wire.tag import Tag
from wire.waveform import Waveform

DEVICE_IDS_MAX: Final = 12
PREVIEW_SIZE: Final = 64
OBSERVATIONS_MAX: Final = 500
"""Shown on a study's page; the files for download have them all."""
JOIN_MS: Final = 500.0
"""The clock of a kit and the beat of a device differ; a longer break is shown as one."""
HEX_PAGE_SIZE: Final = 2048
HEX_ROW_SIZE: Final = 16
MS_MAX: Final = 253_402_300_799_000
"""The end of the year 9999."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as it is shown, with its machine-readable form."""

    text: str
    iso: str


@dataclass(frozen=True, slots=True)
class Badge:
    """A word about a study; `tone` chooses its look: plain, warn or alarm."""

    word: str
    tone: str
    why: str


@dataclass(frozen=True, slots=True)
class Flag:
    """An abnormality as the device flagged it, with a sign and a word."""

    sign: str
    word: str
    tone: str


@dataclass(frozen=True, slots=True)
class Group:
    """One message of results."""

    entry: int
    result: Result
    observations: tuple[Observation, ...]
    correction: Correction | None


@dataclass(frozen=True, slots=True)
class RawPart:
    """Bytes of the device: which tag of which entry."""

    entry: int
    tag: int
    size: int
    time_ms: int | None
    preview: str


@dataclass(frozen=True, slots=True)
class WavePart:
    """A waveform, or why it cannot be drawn."""

    entry: int
    tag: int
    wave: Waveform | None
    problem: str


@dataclass(frozen=True, slots=True)
class HexRow:
    """Sixteen bytes."""

    offset: str
    hex: str
    text: str


_WHY: Final = {
    "urgent": ("alarm", "Sent before everything else."),
    "damaged": ("alarm", "Part of the file was lost. What is shown was proven sound; what is missing is listed."),
    "not verified": ("alarm", "No signature of a kit that we know covers this file."),
    "conflict": ("alarm", "More than one patient id, or two different files of one study."),
    "not on the list": ("warn", "The kit had a worklist, and what was scanned or sent as the patient is not on it."),
    "partial": ("warn", "The device broke off before it had sent everything."),
    "clock wrong": ("warn", "The kit's clock was wrong or never set: the study's page says what is known of the time."),
    "recovered": ("warn", "The kit lost power during the study and rebuilt it afterwards."),
    "quality control": ("plain", "Control material, not a patient."),
}
_FLAGS: Final = {
    "H": Flag("▲", "high", "warn"),
    "HH": Flag("▲▲", "critically high", "alarm"),
    "L": Flag("▼", "low", "warn"),
    "LL": Flag("▼▼", "critically low", "alarm"),
    "A": Flag("●", "abnormal", "warn"),
    "AA": Flag("●●", "critically abnormal", "alarm"),
    ">": Flag("▲", "above what the device measures", "warn"),
    "<": Flag("▼", "below what the device measures", "warn"),
}
_CONTROLS: Final = dict(enumerate(("<NUL>", "<SOH>", "<STX>", "<ETX>", "<EOT>", "<ENQ>", "<ACK>"))) | {
    0x09: "<TAB>",
    0x0A: "<LF>",
    0x0B: "<VT>",
    0x0D: "<CR>",
    0x15: "<NAK>",
    0x17: "<ETB>",
    0x1C: "<FS>",
}
SIGNATURES: Final = {
    Signature.GOOD: "holds: written by the kit, unchanged",
    Signature.NONE: "none: nobody vouches for this file",
    Signature.UNKNOWN_KIT: "made by a kit that is not enrolled here",
    Signature.BROKEN: "does not hold: the file was changed or damaged after it was signed",
}


def moment(time_ms: int | None, zone: str) -> Moment | None:
    """Return `time_ms` as the clock on the wall in `zone` shows it."""
    if time_ms is None or not 0 <= time_ms <= MS_MAX:
        return None
    try:
        at = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    except OverflowError:  # the last hours of the year 9999, east of Greenwich
        return None
    return Moment(at.strftime("%Y-%m-%d %H:%M:%S"), at.isoformat(timespec="seconds"))


def zone_name(time_ms: int, zone: str) -> str:
    """Return what to call `zone`, with its distance from UTC at that moment."""
    at = datetime.fromtimestamp(min(max(time_ms, 0), MS_MAX) / 1000, UTC).astimezone(ZoneInfo(zone))
    offset = at.strftime("%z")
    return zone if zone == "UTC" else f"{zone} (UTC{offset[:3]}:{offset[3:5]})"


def badges(words: list[str]) -> list[Badge]:
    """Return the badges for the words of `export.flags`."""
    return [Badge(word, *_WHY[word]) for word in words]


def flag(text: str) -> Flag | None:
    """Return how a flag of the device is shown; one that we do not know is shown as it came."""
    text = text.strip()
    if text in ("", "N"):
        return None
    return _FLAGS.get(text.upper(), Flag("◆", text[:40], "warn"))


def size(count: int) -> str:
    """Return a number of bytes for people."""
    if count < 1000:
        return f"{count} bytes"
    return f"{count / 1000:.1f} kB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def groups(reading: Reading, *, qc: bool) -> tuple[list[Group], int]:
    """Return the results, and how many observations were left out because there are too many to show."""
    shown, left_out, room = [], 0, OBSERVATIONS_MAX
    replaced = reading.replaced
    for entry, result in reading.records(Result):
        if result.qc == qc:
            part = result.observations[:room]
            room -= len(part)
            left_out += len(result.observations) - len(part)
            if part or not result.observations:
                shown.append(Group(entry.ordinal, result, part, replaced.get(entry.ordinal)))
    return shown[:OBSERVATIONS_MAX], left_out


def device_ids(reading: Reading) -> list[tuple[str, str]]:
    """Return the patient ids that the device itself sent, each once, as they came."""
    ids = (pair for _, result in reading.records(Result) for pair in result.patient_ids)
    return list(dict.fromkeys(ids))[:DEVICE_IDS_MAX]


def raw_parts(reading: Reading) -> list[RawPart]:
    """Return what the device sent, piece by piece."""
    found = []
    for entry in reading.entries:
        for number, tag in enumerate(entry.tags):
            if tag.kind == (kinds.CAPTURE, kinds.RAW):
                preview = spoken(tag.data[:PREVIEW_SIZE])
                found.append(RawPart(entry.ordinal, number, len(tag.data), tag.time_ms, preview))
    return found


def wave_parts(reading: Reading) -> list[WavePart]:
    """Return the waveforms of the study."""
    found = []
    for entry in reading.entries:
        for number, tag in enumerate(entry.tags):
            if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM):
                found.append(_wave_part(entry, number, tag))
    return found


def joined_waves(parts: Sequence[WavePart]) -> list[WavePart]:
    """Return the waveforms with those made one that a driver committed piece by piece.

    Two pieces are one recording when leads, rate and scale are the same and the second begins where the first ends,
    give or take JOIN_MS; a joined recording goes by the place of its first piece.
    """
    joined: list[WavePart] = []
    for part in parts:
        at = next((n for n in reversed(range(len(joined))) if _follows(joined[n], part)), None)
        if at is None:
            joined.append(part)
        else:
            joined[at] = replace(joined[at], wave=_join(joined[at].wave, part.wave))
    return joined


def _follows(before: WavePart, after: WavePart) -> bool:
    one, two = before.wave, after.wave
    if one is None or two is None or _manner(one) != _manner(two):
        return False
    end_ms = one.start_ms + 1000 * one.count / one.rate_hz
    return abs(two.start_ms - end_ms) <= JOIN_MS


def _manner(wave: Waveform) -> tuple[object, ...]:
    return wave.names, wave.rate_hz, wave.unit, wave.scale, wave.offset, wave.missing


def _join(one: Waveform | None, two: Waveform | None) -> Waveform | None:
    if one is None or two is None:
        return one or two
    return replace(one, samples=tuple([*a, *b] for a, b in zip(one.samples, two.samples, strict=True)))


def _wave_part(entry: Entry, number: int, tag: Tag) -> WavePart:
    try:
        return WavePart(entry.ordinal, number, Waveform.from_tag(tag), "")
    except FormatError as error:
        return WavePart(entry.ordinal, number, None, str(error))


def find_tag(reading: Reading, entry: int, number: int, kind: tuple[int, int]) -> Tag | None:
    """Return tag `number` of entry `entry` when it is of this kind."""
    for one in reading.entries:
        if one.ordinal == entry and number < len(one.tags) and one.tags[number].kind == kind:
            return one.tags[number]
    return None


def hex_rows(data: bytes, page: int) -> Iterator[HexRow]:
    """Yield one page of bytes, sixteen to the row."""
    begin = page * HEX_PAGE_SIZE
    for offset in range(begin, min(len(data), begin + HEX_PAGE_SIZE), HEX_ROW_SIZE):
        row = data[offset : offset + HEX_ROW_SIZE]
        yield HexRow(f"{offset:08x}", row.hex(" "), printable(row))


def printable(data: bytes) -> str:
    """Return one character for each byte: ASCII as it is, dots for the rest."""
    return "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in data)


def spoken(data: bytes) -> str:
    """Return bytes as text in which the control characters of device protocols are named: <STX>, <CR>."""
    return "".join(_CONTROLS.get(byte, chr(byte) if 0x20 <= byte < 0x7F else "·") for byte in data)


def captured_ms(line: Line) -> int | None:
    """Return when the study was captured: its end, or its begin while the end is not known."""
    return line.closed_ms if line.closed_ms is not None else line.opened_ms
