"""A GPS receiver: GGA, GSA and RMC once a second, of a van that drives slowly north-east.

Written from the standard's sentences as gpsd describes them, and from the faults that its recordings show. It hears
nothing, so its report can only say that everything was sent. As gpsd it passes sentences on when it is asked to.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor
from random import Random
from typing import Final

from hardware.simulated.device import Report

BEGINS: Final = datetime(2026, 11, 22, 8, 0, 0, tzinfo=UTC)
ROLLOVER: Final = timedelta(weeks=1024)
SIRF: Final = bytes.fromhex("a0a2001209242a244747520d0a47504747412c0102b0b3")
"""A binary message with the bytes of `$`, `*` and line ends in it."""
COMMAND_SIZE_MAX: Final = 256
CATCH_UP_S_MAX: Final = 5
"""A host that calls late gets no more than this at once."""

WATCHING: Final = (
    b'{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}\r\n'
    b'{"class":"DEVICES","devices":[]}\r\n{"class":"WATCH","enable":true,"nmea":true}\r\n'
)
"""What gpsd says before the first sentence."""

FAULTS: Final[Mapping[str, str]] = {
    "gpsd": "a habit: it is gpsd, and passes sentences on when it is asked to",
    "no-fix": "no satellites for the first ten seconds",
    "lost-fix": "no satellites from the middle on",
    "rollover": "its date is 1024 weeks early",
    "bad-date": "its year is -1",
    "binary": "binary messages between the sentences",
    "cut": "every seventh sentence lacks a piece",
    "bad-sum": "every fifth sentence has a flipped bit",
    "duplicate": "every sentence comes twice",
    "estimated": "it only estimates: RMC's mode is E",
}


def sentence(body: str) -> bytes:
    """Return a sentence with its checksum."""
    return f"${body}*{reduce(xor, body.encode()):02X}\r\n".encode()


def angle(minutes: float, width: int) -> str:
    """Return an angle as the standard writes it, degrees and minutes in one number."""
    whole = int(minutes // 60)
    return f"{whole:0{width}d}{minutes - whole * 60:07.4f}"


class Gps:
    """Speaks for `count` seconds."""

    def __init__(self, seed: int, count: int = 20, every_s: float = 0.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"gps/{seed}")  # noqa: S311  invented values
        self._count, self._faults = count, frozenset(faults)
        self._began: float | None = None
        self._sent = self._sentences = 0
        self._is_watched = "gpsd" not in self._faults
        self._asked = b""
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        self._asked = (self._asked + data)[-COMMAND_SIZE_MAX:]
        if self._is_watched or b'"nmea":true' not in self._asked or b";" not in self._asked:
            return b""
        self._is_watched = True
        return WATCHING

    def tick(self, now: float) -> bytes:
        if not self._is_watched:
            return b""
        self._began = now if self._began is None else self._began
        due = min(int(now - self._began + 1e-6) + 1, self._count)
        self._sent = max(self._sent, due - CATCH_UP_S_MAX)
        out = b"".join(self._second(at) for at in range(self._sent, due))
        self._sent = max(self._sent, due)
        self.report.acknowledged = self._sent
        self.report.bytes_sent += len(out)
        return out

    def deadline(self) -> float | None:
        if self._began is None:
            return 0.0 if self._is_watched else None
        return None if self.is_done else self._began + self._sent

    @property
    def is_done(self) -> bool:
        return self._sent >= self._count

    def _second(self, at: int) -> bytes:
        date = BEGINS + timedelta(seconds=at) - (ROLLOVER if "rollover" in self._faults else timedelta())
        is_fix = not (("no-fix" in self._faults and at < 10) or ("lost-fix" in self._faults and at >= self._count // 2))
        time = f"{date:%H%M%S}.000"
        place = f"{angle(50 * 60 + 27.0 + at / 100, 2)},N,{angle(30 * 60 + 31.4 + at / 80, 3)},E"
        mode = "E" if "estimated" in self._faults else "A"
        day = "2208-1" if "bad-date" in self._faults else f"{date:%d%m%y}"
        if is_fix:
            height = 150 + self._chance.random() * 4
            bodies = [
                f"GPGGA,{time},{place},1,08,1.1,{height:.1f},M,23.7,M,,0000",
                "GPGSA,A,3,17,28,06,01,30,20,26,13,,,,,1.8,1.1,1.5",
                f"GPRMC,{time},A,{place},4.15,38.10,{day},,,{mode}",
            ]
        else:
            bodies = ["GPGGA,,,,,,0,00,,,M,,M,,", f"GPRMC,{time},V,,,,,,,{day},,,N"]
        blob = SIRF if "binary" in self._faults else b""
        return b"".join(blob + self._spoilt(sentence(body)) for body in bodies)

    def _spoilt(self, data: bytes) -> bytes:
        self._sentences += 1
        if "cut" in self._faults and self._sentences % 7 == 0:
            return data[:12] + data[20:]
        if "bad-sum" in self._faults and self._sentences % 5 == 0:
            return data[:25] + bytes((data[25] ^ 1,)) + data[26:]
        return data * 2 if "duplicate" in self._faults else data
