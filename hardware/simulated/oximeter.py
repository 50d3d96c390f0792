"""A Nonin pulse oximeter: its serial formats, a finger that comes and goes, and a line that loses bytes.

Written from the "9560 Bluetooth Specification" and the OEM III module's manual. Formats 2 and 7: 75 frames a second, 25
frames to a packet, the first marked SYNC; the numbers lie in the DATA bytes of the packet. Formats 1 and 8: three and
four bytes a second; ASCII: a line a second. Format 13: one record for each spot check. The oximeter never waits for an
answer, so its report can only say that everything was sent.
"""

from collections.abc import Callable, Iterable, Mapping
from math import exp, sin
from random import Random
from typing import Final

from hardware.simulated.device import Report

FRAMES_HZ: Final = 75
PACKET_FRAMES: Final = 25
PULSE_NONE, SPO2_NONE = 511, 127
ALWAYS, SENSOR_OFF, SENSOR_ALARM, GREEN_PERFUSION, SYNC = 0x80, 0x40, 0x08, 0x02, 0x01
OUT_S: Final = 8.0
"""Between two fingers."""
CATCH_UP_S_MAX: Final = 5.0
"""A host that calls late gets no more than this at once."""

FAULTS: Final[Mapping[str, str]] = {
    "lost-bytes": "one byte in five hundred is lost",
    "flipped-bits": "one byte in five hundred has a flipped bit",
    "high-pulse": "a pulse over 127, whose upper bits lie in another byte",
    "unplugged": "the line goes silent in the middle of each finger",
}


class Oximeter:
    """Measures `fingers` patients for `finger_s` seconds each, `OUT_S` apart; then it is done."""

    def __init__(
        self, seed: int, fingers: int = 1, finger_s: float = 20.0, data_format: str = "2", faults: Iterable[str] = ()
    ) -> None:
        self._chance = Random(f"oximeter/{seed}")  # noqa: S311  invented values
        self._faults = frozenset(faults)
        self._format = data_format
        self._cycle_s = finger_s + OUT_S
        self._finger_s = finger_s
        self._fingers = fingers
        self._began: float | None = None
        self._sent = 0
        """Frames, seconds or spot checks, by the format."""
        self._values = (97, 72)
        self._finger = -1
        self.report = Report(messages=fingers)

    def feed(self, data: bytes, now: float) -> bytes:
        return b""

    def tick(self, now: float) -> bytes:
        if self._began is None:
            self._began = now
        due = int((now - self._began) * self._rate_hz + 1e-6) + 1
        self._sent = max(self._sent, due - round(CATCH_UP_S_MAX * self._rate_hz) - 1)
        out = bytearray()
        while self._sent < due and not self.is_done:
            out += self._unit(self._sent)
            self._sent += 1
            self.report.acknowledged = min(self._fingers, int(self._sent / (self._rate_hz * self._cycle_s) + 1e-6))
        self.report.bytes_sent += len(out)
        return self._spoilt(bytes(out))

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        return 0.0 if self._began is None else self._began + self._sent / self._rate_hz

    @property
    def is_done(self) -> bool:
        return self._sent + 1e-6 >= self._fingers * self._cycle_s * self._rate_hz

    @property
    def _rate_hz(self) -> float:
        return {"1": 1.0, "8": 1.0, "ascii": 1.0, "13": 1 / self._cycle_s}.get(self._format, float(FRAMES_HZ))

    def _unit(self, at: int) -> bytes:
        """Return the `at`-th frame, second or spot check."""
        second = at / self._rate_hz + 1e-6
        finger, within = int(second // self._cycle_s), second % self._cycle_s
        if finger != self._finger:
            self._finger = finger
            pulse = self._chance.randint(132, 168) if "high-pulse" in self._faults else self._chance.randint(58, 98)
            self._values = (self._chance.randint(93, 99), pulse)
        is_in = within < self._finger_s
        if is_in and "unplugged" in self._faults and within > self._finger_s / 2:
            return b""
        spo2, pulse = self._values if is_in else (SPO2_NONE, PULSE_NONE)
        self.report.frames += 1
        if self._format == "13":
            return spot_check(*self._values, at)
        if self._format in SECONDS:
            return SECONDS[self._format](spo2, pulse, is_in)
        wave = self._wave(within) if is_in else 0.0
        return packet_frame(self._format, at % PACKET_FRAMES, spo2, pulse, wave, is_in=is_in)

    def _wave(self, second: float) -> float:
        """Return the pulse wave, 0 to 1: a steep rise, a slow fall, and a notch."""
        phase = second * self._values[1] / 60 % 1.0
        return min(1.0, 0.1 + 0.85 * exp(-((phase - 0.18) ** 2) / 0.012) + 0.25 * exp(-((phase - 0.5) ** 2) / 0.02)) * (
            0.95 + 0.05 * sin(second)
        )

    def _spoilt(self, data: bytes) -> bytes:
        if not self._faults & {"lost-bytes", "flipped-bits"}:
            return data
        out = bytearray()
        for byte in data:
            unlucky = self._chance.randrange(500) == 0
            if unlucky and "lost-bytes" in self._faults:
                continue
            out.append(byte ^ 1 << self._chance.randrange(8) if unlucky else byte)
        return bytes(out)


def packet_frame(data_format: str, place: int, spo2: int, pulse: int, wave: float, *, is_in: bool) -> bytes:
    """Return frame `place` (0 to 24) of a packet of format 2 or 7."""
    status = ALWAYS | (SYNC if place == 0 else 0) | (GREEN_PERFUSION if is_in else SENSOR_ALARM)
    msb, lsb = pulse >> 7 & 3, pulse & 0x7F
    rows = {0: msb, 1: lsb, 2: spo2, 3: 48, 8: spo2, 9: spo2, 10: spo2, 13: msb, 14: lsb, 15: spo2, 16: spo2}
    data = rows.get(place, {19: msb, 20: lsb, 21: msb, 22: lsb}.get(place, 0))
    if data_format == "7":
        sample = int(wave * 65_535)
        body = bytes((status, sample >> 8, sample & 0xFF, data))
    else:
        body = bytes((1, status, int(wave * 255), data))
    return body + bytes((sum(body) & 0xFF,))


def three_bytes(spo2: int, pulse: int, *, is_in: bool) -> bytes:
    """Return one second of format 1; without a sensor SNSD is set."""
    return bytes((ALWAYS | pulse >> 7 & 3 | (0 if is_in else SENSOR_OFF), pulse & 0x7F, spo2))


def text_of(spo2: int, pulse: int, *, is_in: bool) -> bytes:
    """Return one second as a line of text."""
    return f"SPO2={spo2:03d} HR={pulse:03d}\r\n".encode("ascii") if is_in else b"SPO2=--- HR=---\r\n"


def second_of(spo2: int, pulse: int, *, is_in: bool) -> bytes:
    """Return one second of format 8."""
    return bytes((ALWAYS | pulse >> 7 & 3, pulse & 0x7F, spo2, 0 if is_in else SENSOR_ALARM))


def spot_check(spo2: int, pulse: int, at: int) -> bytes:
    """Return the record of format 13 of the `at`-th spot check of an invented day."""
    date = bytes((0x20, 0x26, 0x08, 0x01, 0x09, int(f"{at % 60:02d}", 16), 0x00, 0x00))
    body = date + bytes((0x02, 0x00, pulse >> 8, pulse & 0xFF, 0x00, spo2))
    return bytes((0x00, 0x02, 0x00, 0x0D, 0x00, 0x0E)) + body + bytes((sum(body) & 0xFF, 0x03))


SECONDS: Final[Mapping[str, Callable[[int, int, bool], bytes]]] = {
    "1": lambda spo2, pulse, is_in: three_bytes(spo2, pulse, is_in=is_in),
    "8": lambda spo2, pulse, is_in: second_of(spo2, pulse, is_in=is_in),
    "ascii": lambda spo2, pulse, is_in: text_of(spo2, pulse, is_in=is_in),
}
"""The formats that say one set of numbers a second."""
