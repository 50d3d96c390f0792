"""A Quarta Radex One dosimeter that is asked over its USB serial line: values and serial number.

Written from the published notes on its protocol (github mwwhited/BinaryDataDecoders, Quarta.RadexOne): a head of
twelve bytes with a sum over five words, a body with a sum of its own, the answer with the question's number. A
question that would change a setting is counted in `forbidden`. After `count` readings it is switched off.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated.device import Report

HEAD_SIZE: Final = 12
FAULTS: Final[Mapping[str, str]] = {
    "bad-sum": "every fourth answer has a flipped bit",
    "cut": "every fifth answer lacks its end",
    "late-answer": "when it is switched on, the answer to somebody else's question comes",
    "old-number": "every sixth answer repeats the number of the question before",
    "pause": "it answers nothing for 30 s in the middle",
}


def with_sum(words: Iterable[int]) -> bytes:
    """Return little-endian words and the word that completes them: all of them together are 0 modulo FFFF."""
    listed = list(words)
    listed.append(0xFFFF - sum(listed) % 0xFFFF)
    return b"".join(word.to_bytes(2, "little") for word in listed)


def answer(number: int, words: Iterable[int]) -> bytes:
    """Return an answer to question `number`."""
    body = with_sum(words)
    return with_sum((0xFF7A, 0x8020, len(body), number, 0)) + body


class Radex:
    """Answers until `count` readings were given."""

    def __init__(self, seed: int, count: int = 12, every_s: float = 0.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"radex/{seed}")  # noqa: S311  invented values
        self._count, self._faults = count, frozenset(faults)
        self._buffer = bytearray()
        self._began = False
        self._answers = self._readings = 0
        self._accumulated = 12
        self._deaf_until = -1.0
        self.forbidden: list[bytes] = []
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        if self.is_done:
            return b""
        self._buffer += data
        out = bytearray()
        while len(self._buffer) >= HEAD_SIZE + 6 and not self.is_done:
            size = HEAD_SIZE + self._buffer[4]
            asked = bytes(self._buffer[:size])
            del self._buffer[:size]
            out += self._spoilt(self._answer(asked, now)) if now >= self._deaf_until else b""
        self.report.bytes_sent += len(out)
        return bytes(out)

    def tick(self, now: float) -> bytes:
        is_first, self._began = not self._began, True
        return answer(7, self._values()) if is_first and "late-answer" in self._faults else b""

    def deadline(self) -> float | None:
        return None if self._began else 0.0

    @property
    def is_done(self) -> bool:
        return self._readings >= self._count

    def _answer(self, asked: bytes, now: float) -> bytes:
        self.report.frames += 1
        number, what = int.from_bytes(asked[6:8], "little"), int.from_bytes(asked[12:14], "little")
        if self._sum_of(asked[:12]) or self._sum_of(asked[12:]):
            self.report.refused += 1
            return b""
        if what == 0x0001:
            return answer(number, (1, 0, 0x14, 0, 0xA411, 0, 0x2098, 0, 0x14, 0x1206, 0x0801, 840, 8, 0))
        if what != 0x0800:
            self.forbidden.append(asked)
            return b""
        return answer(self._number(number), self._values(now))

    @staticmethod
    def _sum_of(part: bytes) -> int:
        return sum(int.from_bytes(part[at : at + 2], "little") for at in range(0, len(part), 2)) % 0xFFFF

    def _values(self, now: float = 0.0) -> tuple[int, ...]:
        self._readings += 1
        self.report.acknowledged = self._readings
        if "pause" in self._faults and self._readings == self._count // 2:
            self._deaf_until = now + 30.0
        cpm = self._chance.randint(15, 27)
        self._accumulated += self._readings % 2
        return (0x0800, 0, 12, 0, cpm * 6 // 10, 0, self._accumulated, 0, cpm, 0)

    def _number(self, number: int) -> int:
        return number - 1 & 0xFFFF if "old-number" in self._faults and self._readings % 6 == 5 else number

    def _spoilt(self, data: bytes) -> bytes:
        self._answers += 1
        if "bad-sum" in self._faults and self._answers % 4 == 0 and data:
            return data[:-4] + bytes((data[-4] ^ 0x10,)) + data[-3:]
        return data[:-5] if "cut" in self._faults and self._answers % 5 == 0 else data
