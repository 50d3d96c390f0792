"""A Geiger counter with Rad Pro firmware that is asked in lines of text.

Written from Rad Pro's "USB communications protocol". A request ends CR LF; the answer is `OK value` or `ERROR`. What
would set, reset or start something is counted in `forbidden`. After `count` readings it is switched off.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated.device import Report

LINE_SIZE_MAX: Final = 256
COUNTER_MAX: Final = 1 << 32
FAULTS: Final[Mapping[str, str]] = {
    "old-firmware": "a habit: it knows no sensitivity and answers ERROR",
    "overflow": "its count of pulses passes 4294967295",
    "half-line": "every fifth answer lacks its end",
    "echo": "when it is switched on, it greets with a line",
    "pause": "it answers nothing for 30 s in the middle",
}


class RadPro:
    """Answers until `count` rates were given."""

    def __init__(self, seed: int, count: int = 12, every_s: float = 0.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"radpro/{seed}")  # noqa: S311  invented values
        self._count, self._faults = count, frozenset(faults)
        self._buffer = bytearray()
        self._began: float | None = None
        self._answers = self._rates = 0
        self._pulses = COUNTER_MAX - 40 if "overflow" in self._faults else 1_500
        self._deaf_until = -1.0
        self.forbidden: list[bytes] = []
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        if self.is_done:
            return b""
        self._buffer += data
        out = b""
        while b"\r\n" in self._buffer and not self.is_done:
            asked, _, rest = bytes(self._buffer).partition(b"\r\n")
            self._buffer[:] = rest
            self.report.frames += 1
            out += self._spoilt(self._answer(asked, now) + b"\r\n") if now >= self._deaf_until else b""
        del self._buffer[:-LINE_SIZE_MAX]
        self.report.bytes_sent += len(out)
        return out

    def tick(self, now: float) -> bytes:
        is_first = self._began is None
        self._began = now if self._began is None else self._began
        return b"Rad Pro 2.0\r\n" if is_first and "echo" in self._faults else b""

    def deadline(self) -> float | None:
        return 0.0 if self._began is None else None

    @property
    def is_done(self) -> bool:
        return self._rates >= self._count

    def _answer(self, asked: bytes, now: float) -> bytes:
        if not asked.startswith(b"GET "):
            self.forbidden.append(asked)
            return b"ERROR"
        match asked[4:]:
            case b"deviceId":
                return b"OK FS2011 (STM32F051C8);Rad Pro 2.0/en;b5706d937087f975b5812810"
            case b"deviceBatteryVoltage":
                return b"OK 1.421"
            case b"deviceTime":
                return f"OK {1_690_000_000 + int(now)}".encode()
            case b"tubeSensitivity" if "old-firmware" not in self._faults:
                return b"OK 153.800"
            case b"tubePulseCount":
                self._pulses = (self._pulses + self._chance.randint(5, 15)) % COUNTER_MAX
                return f"OK {self._pulses}".encode()
            case b"tubeRate":
                return self._rate(now)
        return b"ERROR"

    def _rate(self, now: float) -> bytes:
        self._rates += 1
        self.report.acknowledged = self._rates
        if "pause" in self._faults and self._rates == self._count // 2:
            self._deaf_until = now + 30.0
        return f"OK {self._chance.randint(110_000, 180_000) / 1000:.3f}".encode()

    def _spoilt(self, data: bytes) -> bytes:
        self._answers += 1
        return data[:-4] if "half-line" in self._faults and self._answers % 5 == 0 else data
