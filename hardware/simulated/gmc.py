"""A GQ GMC Geiger counter that is asked: GQ-RFC1201 (GMC-300) or GQ-RFC1801 (GMC-500), with history in flash memory.

Written from the two documents. A command is `<NAME>>`, SPIR with five bytes of address and length before the `>>`. It
answers at once and without a terminator, and knows no more than is here: a command that would set or erase something
is counted in `forbidden` and changes nothing. After `count` readings it is switched off.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from struct import pack
from typing import Final

from hardware.simulated.device import Report

BEGINS: Final = datetime(2023, 11, 10, 12, 15, 5, tzinfo=UTC)
"""What its clock says when it is switched on."""
HEARTBEAT_S: Final = 1.0
FLASH_SIZE: Final = 1 << 16
COMMAND_SIZE_MAX: Final = 64
FIRST_VALUE: Final = 280_655

FAULTS: Final[Mapping[str, str]] = {
    "wide": "a habit: a GMC-500, which speaks RFC1801",
    "heartbeat": "its heartbeat was left on: counts come unasked each second",
    "first-value": "with wide: the first reading is 280655",
    "short-read": "every second page of the history lacks its end",
    "deaf": "every fifth question is not answered",
    "pause": "it answers nothing for 30 s in the middle",
    "stranger": "it says that it is something else",
    "bad-clock": "its clock says the 31st of February",
}


def stamp(date: datetime, mode: int) -> bytes:
    """Return the mark of a date in the history, and of what is saved after it."""
    day = bytes((date.year % 100, date.month, date.day, date.hour, date.minute, date.second))
    return b"\x55\xaa\x00" + day + b"\x55\xaa" + bytes((mode,))


def saved(value: int) -> bytes:
    """Return one value of the history."""
    return bytes((value,)) if value < 255 else b"\x55\xaa\x01" + value.to_bytes(2, "big")


def remark(text: str) -> bytes:
    """Return a note of the user in the history."""
    return b"\x55\xaa\x02" + bytes((len(text),)) + text.encode()


def history(sessions: Sequence[tuple[datetime, int, Sequence[int]]]) -> bytes:
    """Return flash memory that holds these sessions: (date, mode, values)."""
    return b"".join(stamp(date, mode) + b"".join(map(saved, values)) for date, mode, values in sessions)


class Gmc:
    """Answers until `count` readings were given; then it is switched off."""

    def __init__(
        self, seed: int, count: int = 12, every_s: float = 0.0, faults: Iterable[str] = (), flash: bytes | None = None
    ) -> None:
        self._chance = Random(f"gmc/{seed}")  # noqa: S311  invented values
        self._count, self._faults = count, frozenset(faults)
        self._is_wide = "wide" in self._faults
        self._flash = self._invented() if flash is None else flash
        self._buffer = bytearray()
        self._began: float | None = None
        self._beats_at: float | None = None
        self._pages = self._questions = self._readings = 0
        self._deaf_until = -1.0
        self.forbidden: list[bytes] = []
        self.asked: list[bytes] = []
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        if self.is_done:
            return b""
        self._buffer += data
        out = b"".join(self._answer(command, now) for command in self._commands())
        self.report.bytes_sent += len(out)
        return out

    def tick(self, now: float) -> bytes:
        if self._began is None:
            self._began = now
            self._beats_at = now if "heartbeat" in self._faults else None
        out = b""
        while self._beats_at is not None and self._beats_at <= now and not self.is_done:
            out += self._number(self._chance.randint(0, 3))
            self._beats_at += HEARTBEAT_S
        return out

    def deadline(self) -> float | None:
        if self._began is None:
            return 0.0
        return None if self.is_done else self._beats_at

    @property
    def is_done(self) -> bool:
        return self._readings >= self._count

    def _commands(self) -> Iterable[bytes]:
        while (at := self._buffer.find(b"<")) >= 0:
            del self._buffer[:at]
            end = 10 if self._buffer.startswith(b"<SPIR") else self._buffer.find(b">>")
            if end < 0 or len(self._buffer) < end + 2:
                break
            yield bytes(self._buffer[1:end])
            del self._buffer[: end + 2]
        del self._buffer[:-COMMAND_SIZE_MAX]

    def _answer(self, command: bytes, now: float) -> bytes:
        self.asked.append(command)
        self._questions += 1
        self.report.frames += 1
        if command == b"HEARTBEAT0":
            self._beats_at = None
            return b""
        if now < self._deaf_until or ("deaf" in self._faults and self._questions % 5 == 0):
            return b""
        if command.startswith(b"SPIR"):
            return self._page(int.from_bytes(command[4:7], "big"), int.from_bytes(command[7:9], "big"))
        if command == b"GETCPM":
            return self._reading(now)
        known = {
            b"GETVER": self._version,
            b"GETSERIAL": bytes.fromhex("303021572157f6" if self._is_wide else "f7f4c578139d08"),
            b"GETVOLT": b"4.0v\0" if self._is_wide else b"\x2a",
            b"GETCFG": self._config,
            b"GETDATETIME": self._date(now),
        }
        if command not in known:
            self.forbidden.append(command)
        return known.get(command, b"")

    @property
    def _version(self) -> bytes:
        if "stranger" in self._faults:
            return b"Bosean FS-600 v1"
        return b"GMC-500+Re 2.22" if self._is_wide else b"GMC-300SRe 1.14"

    @property
    def _config(self) -> bytes:
        """Return the configuration: 100 CPM are 0.65 µSv/h, from the eighth byte on."""
        size, number = (512, ">Hf") if self._is_wide else (256, "<f")
        point = pack(number, 100, 0.65) if self._is_wide else b"\x00\x64" + pack(number, 0.65)
        return (bytes(8) + point).ljust(size, b"\xff")

    def _date(self, now: float) -> bytes:
        date = BEGINS + timedelta(seconds=now - (self._began or 0.0))
        day = 31 if "bad-clock" in self._faults else date.day
        month = 2 if "bad-clock" in self._faults else date.month
        return bytes((date.year % 100, month, day, date.hour, date.minute, date.second, 0xAA))

    def _number(self, value: int) -> bytes:
        return value.to_bytes(4 if self._is_wide else 2, "big")

    def _reading(self, now: float) -> bytes:
        self._readings += 1
        self.report.acknowledged = self._readings
        if "pause" in self._faults and self._readings == self._count // 2:
            self._deaf_until = now + 30.0
        is_first = self._readings == 1 and "first-value" in self._faults and self._is_wide
        return self._number(FIRST_VALUE if is_first else self._chance.randint(17, 31))

    def _page(self, at: int, size: int) -> bytes:
        self._pages += 1
        page = self._flash[at : at + size].ljust(size, b"\xff") if at < FLASH_SIZE else b""
        return page[: size // 2] if "short-read" in self._faults and self._pages % 2 == 0 else page

    def _invented(self) -> bytes:
        """Return three sessions: seconds, with a burst that needs two bytes; minutes; and a note."""
        day = BEGINS - timedelta(hours=9)
        seconds = [self._chance.randint(0, 3) for _ in range(600)]
        seconds[300:303] = [254, 255, 700]
        minutes = [self._chance.randint(15, 33) for _ in range(240)]
        first = history([(day, 1, seconds), (day + timedelta(minutes=20), 2, minutes)])
        return first + remark("van at the school") + history([(day + timedelta(hours=6), 1, seconds[:120])])
