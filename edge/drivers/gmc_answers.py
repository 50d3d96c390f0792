"""What GQ GMC counters answer: sizes and meanings by protocol, the calibration in the configuration, and the history.

Written from GQ-RFC1201 (GMC-280, 300, 320) and GQ-RFC1801 (GMC-500, 600, 800). No answer has a terminator or a
checksum; the length of GETVER is nowhere fixed. Seen in recordings of a GMC-300S, a GMC-500+ and a GMC-800 and in no
document: the place of the calibration in the configuration, that its floats are little-endian on the first and
big-endian on the others, and that a GMC-800 has six points of it at another place. A GMC-SE answers as a GMC-300 does.

The history is flash memory: one byte a value, and marks that begin with 55 AA and a kind: 0 date and mode, 1, 3 and 4
a value of two, three or four bytes, 2 a note, 5 the tube, whose number a GMC-500+ sometimes leaves out. A mark of any
other kind ends the reading until the next date: what follows it cannot be told from values. FF is erased flash. What
is saved above a threshold only (modes 4, 5) has no pace, so its values have no times; they are counted.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from typing import Final

VERSION_SIZE_MIN, VERSION_SIZE_MAX = 10, 64
"""The shortest that was seen is GMC-800Re1.08."""
ERASED: Final = 0xFF
ERASED_COUNT_MAX: Final = 16
"""So much erased flash in a row ends a segment; less is readings that are not there."""
SEGMENT_COUNT_MAX: Final = 4_096
"""Values of one segment; a longer one goes on in the next."""
NOTES_COUNT_MAX: Final = 32
NONE: Final = -1
MARK: Final = b"\x55\xaa"
STAMP_SIZE: Final = 12
TUBE: Final = 5
WIDE: Final[Mapping[int, int]] = {1: 5, 3: 6, 4: 7}
"""Marks of values that do not fit one byte, and their sizes."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """Sizes of the answers, bytes."""

    name: str
    count_size: int
    config_size: int
    voltage_size: int
    floats: str
    """How `struct` reads the calibration's floats."""


RFC1201: Final = Protocol("rfc1201", 2, 256, 1, "<f")
RFC1801: Final = Protocol("rfc1801", 4, 512, 5, ">f")
PROTOCOLS: Final[Mapping[str, Protocol]] = {one.name: one for one in (RFC1201, RFC1801)}
_MODEL: Final = re.compile(r"GMC-(\d{3}|SE)")


def version_size(heard: bytearray, is_quiet: bool) -> int:
    """Return the length of GETVER's answer: what came until the line was quiet."""
    return len(heard) if is_quiet and VERSION_SIZE_MIN <= len(heard) <= VERSION_SIZE_MAX else 0


def protocol_of(version: str) -> Protocol | None:
    """Return which protocol the model speaks; None for what is no GMC."""
    found = _MODEL.match(version)
    if found is None:
        return None
    return RFC1801 if found[1] != "SE" and int(found[1]) >= 500 else RFC1201


def text_of(answer: bytes) -> str:
    """Return an answer that is text, without what cannot be shown."""
    text = answer.rstrip(b"\0 \r\n").decode("latin-1")
    return "".join(char if char.isprintable() else "?" for char in text)


def counts_a_minute(answer: bytes) -> int | None:
    """Return counts a minute: all 16 bits, or all 32; None for what no tube can give."""
    value = int.from_bytes(answer, "big")
    return value if value < 1 << 31 else None


def voltage(answer: bytes) -> str:
    """Return the battery's volts as the counter gives them: tenths in a byte, or text."""
    if len(answer) == 1:
        return f"{answer[0] // 10}.{answer[0] % 10}"
    return text_of(answer).rstrip("vV ")


def moment(answer: bytes) -> datetime | None:
    """Return a date of six bytes, year first; None for what is none. UTC stands for the zone that no counter knows."""
    if len(answer) < 6:
        return None
    year, month, day, hour, minute, second = answer[:6]
    try:
        return datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


ERASED_POINT: Final = b"\xff" * 6
POINTS_AT: Final = 73
"""Where a GMC-800 has its calibration: six u32 of CPM, then six floats of µSv/h."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """So many counts a minute are so many µSv/h."""

    cpm: int
    usv_h: float

    def dose_rate(self, cpm: int) -> str:
        """Return the dose rate in µSv/h."""
        return f"{cpm * self.usv_h / self.cpm:.4g}"


def calibration(config: bytes, protocol: Protocol) -> Calibration | None:
    """Return the first point of the calibration; None for what cannot be one."""
    if len(config) < 14:
        return None
    cpm = int.from_bytes(config[8:10], "big")
    (usv_h,) = struct.unpack_from(protocol.floats, config, 10)
    if protocol is RFC1801 and config[8:14] == ERASED_POINT and len(config) >= POINTS_AT + 28:
        cpm, usv_h = struct.unpack_from(">I20xf", config, POINTS_AT)
    if not cpm or not isfinite(usv_h) or not 1e-4 <= usv_h / cpm * 1000 <= 1e3:
        return None
    return Calibration(cpm, float(f"{usv_h:.6g}"))


# The history

RATES_HZ: Final[Mapping[int, tuple[str, float]]] = {1: ("cps", 1.0), 2: ("cpm", 1 / 60), 3: ("cpm", 1 / 3600)}
"""By mode: what a value counts, and how many values an hour, a minute or a second brings. Mode 0 saves nothing."""


@dataclass(slots=True)
class Segment:
    """Values that follow one another without a gap. `stamp`: the counter's own date of the first."""

    stamp: datetime | None
    mode: int
    skipped: int = 0
    """Values of the same stamp before these."""
    values: list[int] = field(default_factory=list)

    @property
    def began(self) -> datetime | None:
        """Return the counter's date of the first value."""
        if self.stamp is None or self.mode not in RATES_HZ:
            return None
        seconds = self.skipped / RATES_HZ[self.mode][1]
        return datetime.fromtimestamp(self.stamp.timestamp() + seconds, UTC)


class History:
    """Reads flash memory from its beginning, page by page. Holds at most one segment and a mark that is not whole."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.unknown = 0
        """Marks of kinds that are not documented."""
        self.undated = 0
        """Values that belong to no date, or to a mode without a pace."""
        self._buffer = bytearray()
        self._segment: Segment | None = None
        self._erased = 0

    def feed(self, page: bytes) -> Iterator[Segment]:
        """Take the next page; give the segments that it ends."""
        self._buffer += page
        at = 0
        while (size := self._size(at)) and at + size <= len(self._buffer):
            part = bytes(self._buffer[at : at + size])
            at += size
            yield from self._take(part)
        del self._buffer[:at]

    def finish(self) -> Iterator[Segment]:
        """There is no more."""
        if not self._buffer.startswith(MARK):  # a mark that was cut is no value
            for byte in bytes(self._buffer):
                yield from self._take(bytes((byte,)))
        self._buffer.clear()
        yield from self._end()

    def _size(self, at: int) -> int:
        """Return the size of the value or mark that begins here; one that is not whole is larger than what there is."""
        head = bytes(self._buffer[at : at + 4])
        if head[:1] != MARK[:1]:
            return len(head[:1])
        if len(head) == 1:
            return 2
        if head[:2] != MARK:
            return 1
        if len(head) == 2:
            return 3
        kind = head[2]
        if kind == 2:
            return 4 if len(head) == 3 else 4 + head[3]
        if kind == TUBE and head[3:] == MARK[:1]:
            return 3
        return {0: STAMP_SIZE, TUBE: 4, **WIDE}.get(kind, 3)

    def _take(self, part: bytes) -> Iterator[Segment]:
        if len(part) == 1:
            yield from self._value(NONE if part[0] == ERASED else part[0])
        elif part[2] == 0:
            yield from self._end()
            self._begin(part)
        elif part[2] in WIDE:
            yield from self._value(int.from_bytes(part[3:], "big"))
        elif part[2] == 2:
            self._remark(part[4:])
        elif part[2] != TUBE:
            self.unknown += 1
            yield from self._end()

    def _begin(self, part: bytes) -> None:
        mode = part[11]
        is_read = part[9:11] == MARK and mode in RATES_HZ
        self._segment = Segment(moment(part[3:9]), mode) if is_read else None

    def _value(self, value: int) -> Iterator[Segment]:
        if self._segment is None:
            self.undated += value != NONE
            return
        self._erased = self._erased + 1 if value == NONE else 0
        self._segment.values.append(value)
        if self._erased > ERASED_COUNT_MAX:
            yield from self._end()
        elif len(self._segment.values) >= SEGMENT_COUNT_MAX:
            whole = self._segment
            self._segment = Segment(whole.stamp, whole.mode, whole.skipped + len(whole.values))
            yield whole

    def _end(self) -> Iterator[Segment]:
        segment, self._segment, self._erased = self._segment, None, 0
        if segment is None:
            return
        while segment.values and segment.values[-1] == NONE:
            segment.values.pop()
        if segment.values:
            yield segment

    def _remark(self, text: bytes) -> None:
        if len(self.notes) < NOTES_COUNT_MAX:
            self.notes.append(text_of(text))
