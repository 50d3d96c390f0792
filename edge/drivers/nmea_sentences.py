"""NMEA 0183: sentences out of a stream of bytes, and what RMC, GGA and ZDA say.

Written from gpsd's description of the sentences; its recorded receivers are the oracle of the tests. A sentence is
`$`, talker and type, fields between commas, `*`, the XOR of the bytes between in two hex digits, CR LF. What has no
checksum or a wrong one is nothing. Between sentences anything may stand: binary protocols, lines that were cut, the
beginning of a sentence in the middle of another.

Degrees are computed in integers: 4829.0005 is 48.483341667, and no float has seen it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

SENTENCE_SIZE_MAX: Final = 120
"""The standard says 82; receivers with more digits send more."""
DEGREE_DIGITS: Final = 9
CENTURY_FROM: Final = 80
"""Two digits of a year from here on are of the last century."""
_ANGLE: Final = re.compile(r"(\d{1,3})(\d\d)(?:\.(\d{1,9}))?")
_TIME: Final = re.compile(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)(?:\.(\d{1,6})\d*)?")
_FIX_MODES: Final = frozenset({"", "A", "D", "F", "R", "P"})
"""Of RMC's mode: found by satellites. Estimated, manual, simulated and none are no place."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where, in degrees, south and west negative."""

    latitude: str
    longitude: str


@dataclass(frozen=True, slots=True)
class Minimum:
    """RMC. `position` is None without a fix; `utc` is None where time or date are not to be had."""

    time: str
    position: Position | None
    utc: datetime | None

    def is_of(self, time: str) -> bool:
        """Tell whether another sentence's time is this one's; 080000 and 080000.00 are."""
        return bool(self.time) and _significant(time) == _significant(self.time)


@dataclass(frozen=True, slots=True)
class Height:
    """GGA: what goes with the position of the same time; numbers as received."""

    time: str
    position: Position
    altitude_m: str
    satellites: str
    hdop: str


@dataclass(frozen=True, slots=True)
class Clock:
    """ZDA: the date with all four digits of the year."""

    utc: datetime


class Lexer:
    """Feed bytes, get (text, fields) of sentences whose checksum holds. Holds less than one sentence."""

    def __init__(self) -> None:
        self.since_good = 0
        """Bytes after the last sound sentence."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[str, list[str]]]:
        """Return the sentences that end in `data`."""
        found = []
        for byte in data:
            self.since_good += 1
            if byte == 0x24:
                self._buffer[:] = b"$"
            elif self._buffer and byte in b"\r\n":
                sentence = fields(bytes(self._buffer))
                self._buffer.clear()
                if sentence is not None:
                    self.since_good = 0
                    found.append(sentence)
            elif self._buffer and len(self._buffer) < SENTENCE_SIZE_MAX and 0x20 <= byte < 0x7F:
                self._buffer.append(byte)
            else:
                self._buffer.clear()
        return found


def checksum(body: bytes) -> int:
    """Return the XOR of the bytes between `$` and `*`."""
    value = 0
    for byte in body:
        value ^= byte
    return value


def fields(sentence: bytes) -> tuple[str, list[str]] | None:
    """Return a sentence and its fields, the first being talker and type; None where the checksum does not hold."""
    body, star, given = sentence[1:].partition(b"*")
    if not star or not re.fullmatch(rb"[0-9A-Fa-f]{2}", given) or int(given, 16) != checksum(body):
        return None
    return sentence.decode("ascii"), body.decode("ascii").split(",")


def _significant(time: str) -> str:
    whole, _, fraction = time.partition(".")
    return f"{whole}.{fraction.rstrip('0')}"


def degrees(value: str, half: str, positive: str, negative: str, limit: int) -> str | None:
    """Return `dddmm.mmmm` and its hemisphere as degrees; None for what is no angle."""
    found = _ANGLE.fullmatch(value)
    if found is None or half not in {positive, negative}:
        return None
    fraction = found[3] or ""
    parts = 60 * 10 ** len(fraction)
    minutes = int(found[2] + fraction)
    scaled = int(found[1]) * 10**DEGREE_DIGITS + (minutes * 10**DEGREE_DIGITS + parts // 2) // parts
    if minutes >= parts or scaled > limit * 10**DEGREE_DIGITS:
        return None
    whole, rest = divmod(scaled, 10**DEGREE_DIGITS)
    return f"{'-' if half == negative and scaled else ''}{whole}.{rest:0{DEGREE_DIGITS}d}"


def position(part: list[str]) -> Position | None:
    """Return the place that four fields say."""
    latitude = degrees(part[0], part[1], "N", "S", 90)
    longitude = degrees(part[2], part[3], "E", "W", 180)
    return None if latitude is None or longitude is None else Position(latitude, longitude)


def moment(time: str, day: str, month: str, year: str) -> datetime | None:
    """Return date and time; None for what is none, such as the year -1 of a receiver after a rollover."""
    found = _TIME.fullmatch(time)
    if found is None or not all(text.isascii() and text.isdigit() for text in (day, month, year)):
        return None
    if len(year) == 2:
        year = ("19" if int(year) >= CENTURY_FROM else "20") + year
    hour, minute, second = (int(found[place]) for place in (1, 2, 3))
    try:
        date = datetime(int(year), int(month), int(day), hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    return date.replace(microsecond=int((found[4] or "").ljust(6, "0")))


def read(part: list[str]) -> Minimum | Height | Clock | None:
    """Return what the fields of a sentence say; None for the many that are not needed here."""
    kind, count = part[0][2:], len(part)
    if kind == "RMC" and count >= 10:
        is_fix = part[2] == "A" and (part[12] if count > 12 else "") in _FIX_MODES
        date = part[9]
        utc = moment(part[1], date[:2], date[2:4], date[4:]) if len(date) == 6 else None
        return Minimum(part[1], position(part[3:7]) if is_fix else None, utc)
    if kind == "GGA" and count >= 11:
        place = position(part[2:6]) if part[6] in {"1", "2", "3", "4", "5"} else None
        height = part[9] if part[10] == "M" else ""
        return None if place is None else Height(part[1], place, height, part[7], part[8])
    if kind == "ZDA" and count >= 5 and len(part[4]) == 4:
        utc = moment(*part[1:5])
        return None if utc is None else Clock(utc)
    return None
