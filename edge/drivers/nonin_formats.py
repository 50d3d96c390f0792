"""Nonin's serial data formats 1, 2, 7, 8, 13 and ASCII: finds the frames in bytes that may begin and break anywhere.

Written from Nonin's "9560 Bluetooth Specification" and the OEM III module's manual. A format is a row of `FORMATS`: its
frame's size, and how a frame is known. A byte that begins no frame is skipped and counted: that is the whole of
resynchronising, and a checksum that does not hold looks the same.

What an 8500 plays back of its memory looks like format 1, and is none: heart rate, saturation and their sum, three
bytes without end, as a reader of one says. Read as format 1 a pulse of 72 would be 200. So a frame whose status is the
sum of what stood before it is no frame.

Heart rate: 9 bits, the upper two in one byte, the lower seven in another: `(MSB & 3) << 7 | (LSB & 7F)`. A
widely copied driver shifts by 8 and is right only up to 127 beats a minute.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from edge.oximetry import Numbers

RATE_HZ: Final = 75
"""Frames, and samples of the pleth, in a second (formats 2 and 7)."""
PACKET_FRAMES: Final = 25
"""Frames that carry one set of numbers (formats 2 and 7)."""
HR_NONE: Final = 511
HR_MAX: Final = 321
"""Beats a minute that a Nonin can show."""
PLAYED_BACK_FROM: Final = 0x84
"""The sum of any pulse and saturation; below stand the statuses of format 1 that have no flag."""
SPO2_NONE: Final = 127
SKIPPED_SIZE_MAX: Final = 256

SENSOR_OFF, OUT_OF_TRACK, SENSOR_ALARM, SYNC = 0x40, 0x10, 0x08, 0x01
_SPOT_HEAD: Final = bytes((0x00, 0x02, 0x00, 0x0D, 0x00, 0x0E))


def heart_rate(msb: int, lsb: int) -> int:
    """Return beats a minute from the two bytes of formats 2, 7 and 8."""
    return (msb & 3) << 7 | (lsb & 0x7F)


def numbers(rate: int, spo2: int, *, is_attached: bool, time: str = "") -> Numbers:
    """Return the set, with None for the values that mean none."""
    return Numbers(
        spo2 if spo2 <= 100 else None,
        rate if 0 < rate <= HR_MAX else None,
        is_attached,
        time,
    )


def _is_2(frame: bytes) -> bool:
    return frame[0] == 0x01 and frame[1] & 0x80 != 0 and sum(frame[:4]) & 0xFF == frame[4]


def _is_7(frame: bytes) -> bool:
    return frame[0] & 0x80 != 0 and sum(frame[:4]) & 0xFF == frame[4]


def _is_8(frame: bytes) -> bool:
    return frame[0] & 0x80 != 0 and not any(byte & 0x80 for byte in frame[1:])


def _is_1(frame: bytes) -> bool:
    return _is_8(frame)


def _is_13(frame: bytes) -> bool:
    return frame[:6] == _SPOT_HEAD and sum(frame[6:20]) & 0xFF == frame[20] and frame[21] == 0x03


@dataclass(frozen=True, slots=True)
class Format:
    """How a frame is known. `sure_after`: so many in a row settle the question which format this is.

    `begin`: what every frame begins with; where it does not match, no frame is looked for.
    """

    size: int
    is_frame: Callable[[bytes], bool]
    sure_after: int
    begin: re.Pattern[bytes]


FORMATS: Final[Mapping[str, Format]] = {
    "2": Format(5, _is_2, 5, re.compile(rb"\x01[\x80-\xff]")),
    "7": Format(5, _is_7, 10, re.compile(rb"[\x80-\xff]")),
    "8": Format(4, _is_8, 4, re.compile(rb"[\x80-\xff][\x00-\x7f]{3}")),
    "13": Format(22, _is_13, 1, re.compile(re.escape(_SPOT_HEAD))),
    "1": Format(3, _is_1, 4, re.compile(rb"[\x80-\xff][\x00-\x7f]{2}")),
}
TEXT: Final = "ascii"
TEXT_SIZE_MAX: Final = 64
"""A line of text: `SPO2=097 HR=071` and marks."""
TEXT_SURE_AFTER: Final = 2
_TEXT: Final = re.compile(rb"SPO2=(\d{3}|---) HR=(\d{3}|---)[ *A-Z]{0,16}\r?\n")


class Framer:
    """Feed bytes, get frames. Holds less than one frame. `skipped_bytes` counts what belonged to none."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.skipped_bytes = self.skipped_in_a_row = 0
        self.in_a_row = 0
        """Frames that followed one another without a gap."""
        self.played_back = 0
        """Triples of a memory that was played back."""
        self._last = b""
        self._format = FORMATS[name]
        self._buffer = bytearray()
        self._skipped = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give (bytes skipped before it, frame) pairs; what is skipped without end is given with an empty frame."""
        self._buffer += data
        at, size = 0, self._format.size
        while (last := len(self._buffer) - size) >= at:
            begin = self._format.begin.search(self._buffer, at)
            here = min(begin.start(), last + 1) if begin is not None else last + 1
            frame = bytes(self._buffer[here : here + size])
            if here == at and not self._is_one(frame):
                here += 1
            if here > at:
                yield from self._skip(bytes(self._buffer[at:here]))
                at = here
            else:
                self.in_a_row += 1
                self.skipped_in_a_row = 0
                at += size
                yield self._take_skipped(), frame
        del self._buffer[:at]

    def _is_one(self, frame: bytes) -> bool:
        if not self._format.is_frame(frame):
            return False
        before, self._last = self._last, frame
        if self.name != "1" or not before or frame[0] < PLAYED_BACK_FROM or frame[0] != sum(before[1:]) & 0xFF:
            return True
        # A flag may stay, and a pulse happen to fit it: once the format is sure, only a status that moves counts.
        if self.is_sure and frame[0] == before[0]:
            return True
        self.played_back += 1
        return False

    def rest(self) -> bytes:
        """Give up what is no frame yet and return it."""
        rest = self._take_skipped() + bytes(self._buffer)
        self._buffer.clear()
        self.in_a_row = 0
        return rest

    def _skip(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        self.skipped_bytes += len(data)
        self.skipped_in_a_row += len(data)
        self.in_a_row = 0
        while data:
            room = SKIPPED_SIZE_MAX - len(self._skipped)
            self._skipped += data[:room]
            data = data[room:]
            if len(self._skipped) >= SKIPPED_SIZE_MAX:
                yield self._take_skipped(), b""

    def _take_skipped(self) -> bytes:
        skipped = bytes(self._skipped)
        self._skipped.clear()
        return skipped

    @property
    def is_sure(self) -> bool:
        """Enough frames came in a row that it can be no other format."""
        return self.in_a_row >= self._format.sure_after


class TextFramer:
    """The same for lines of text. Holds less than one line."""

    def __init__(self) -> None:
        self.name = TEXT
        self.skipped_bytes = self.skipped_in_a_row = self.in_a_row = 0
        self._line = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give (bytes skipped, line) pairs; one of the two is empty."""
        for byte in data:
            self._line.append(byte)
            if byte == 0x0A or len(self._line) >= TEXT_SIZE_MAX:
                yield self._whole(self.rest())

    def rest(self) -> bytes:
        """Give up what is no line yet and return it."""
        rest = bytes(self._line)
        self._line.clear()
        return rest

    def _whole(self, line: bytes) -> tuple[bytes, bytes]:
        if _TEXT.fullmatch(line) is not None:
            self.in_a_row, self.skipped_in_a_row = self.in_a_row + 1, 0
            return b"", line
        self.skipped_bytes += len(line)
        self.skipped_in_a_row += len(line)
        self.in_a_row = 0
        return line, b""

    @property
    def is_sure(self) -> bool:
        """Enough lines came in a row that it can be no other format."""
        return self.in_a_row >= TEXT_SURE_AFTER


def framer(name: str) -> Framer | TextFramer:
    """Return a framer for the format `name`."""
    return TextFramer() if name == TEXT else Framer(name)


class Packets:
    """Formats 2 and 7: 25 frames, the first marked by SYNC, carry one set of numbers in their DATA bytes."""

    def __init__(self) -> None:
        self._data: list[int] = []
        self._status = 0
        self.broken = 0
        """Packets that lost a frame."""

    def feed(self, status: int, data: int) -> Numbers | None:
        """Take one frame; return the numbers when it completes a packet."""
        if status & SYNC:
            self.broken += 1 if self._data else 0
            self._data, self._status = [data], status
        elif self._data:
            self._data.append(data)
            self._status |= status
        if len(self._data) < PACKET_FRAMES:
            return None
        msb, lsb, spo2 = self._data[:3]
        self._data = []
        attached = not self._status & (SENSOR_OFF | SENSOR_ALARM)
        return numbers(heart_rate(msb, lsb), spo2, is_attached=attached)


def from_format_8(frame: bytes) -> Numbers:
    """Return the numbers of one second."""
    status, rate, spo2, more = frame
    attached = not (status & SENSOR_OFF or more & SENSOR_ALARM)
    return numbers(heart_rate(status, rate), spo2, is_attached=attached)


def from_format_1(frame: bytes) -> Numbers:
    """Return the numbers of one second."""
    status, rate, spo2 = frame
    return numbers(heart_rate(status, rate), spo2, is_attached=not status & SENSOR_OFF)


def from_text(line: bytes) -> Numbers:
    """Return the numbers of one second; dashes are none."""
    match = _TEXT.fullmatch(line)
    spo2, rate = (int(one) if one.isdigit() else 0 for one in match.groups()) if match is not None else (0, 0)
    return numbers(rate, spo2 or SPO2_NONE, is_attached=spo2 > 0)


def from_format_13(frame: bytes) -> Numbers:
    """Return a spot check; its date is binary-coded decimal, century first."""
    rate = (frame[16] & 3) << 8 | frame[17]
    return numbers(rate, frame[19], is_attached=True, time=frame[6:13].hex())
