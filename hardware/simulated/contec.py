"""A Contec pulse oximeter of either generation: a finger that comes and goes, a memory, and a line that loses bytes.

Written from Contec's "Communication protocol of pulse oximeter V7.0" and the old protocol as its readers describe it. A
V7 oximeter streams sixty packets a second from A1 until A2, or until it has heard nothing for five seconds; it answers
questions about its memory, and refuses what it does not know with 0B and reason 05. An old one streams without end,
and interrupts itself to send its memory after F5 F5. The line delivers a tenth of a second at a time, as a USB adapter
does.
"""

from collections.abc import Iterable, Mapping
from math import exp
from random import Random
from typing import Final

from hardware.simulated.device import Report

RATE_HZ: Final = 60
BATCH: Final = 6
"""Packets that come together."""
OUT_S: Final = 7.0
"""Before each finger."""
PATIENCE_S: Final = 5.0
"""A V7 oximeter stops when it has heard nothing for so long."""
STORED_S: Final = (47, 95)
"""The segments in the memory."""
COMMAND_SIZE: Final = 9
CATCH_UP_S_MAX: Final = 5.0

FAULTS: Final[Mapping[str, str]] = {
    "lost-bytes": "one byte in five hundred is lost",
    "high-pulse": "a pulse over 127, whose upper bit lies in another byte",
    "unplugged": "the line goes silent in the middle of each finger",
    "recording": "questions about the memory are refused: it is recording (V7)",
    "breaks-off": "the last segment of the memory breaks off in the middle",
    "old": "a habit: speaks the old protocol",
    "pi": "a habit: stores the perfusion index too (V7)",
    "empty": "a habit: nothing in the memory",
}


def packet(kind: int, *data: int) -> bytes:
    """Return a V7 packet: the upper bits of the data in the second byte."""
    high = sum((one >> 7) << at for at, one in enumerate(data))
    return bytes((kind, 0x80 | high, *(one | 0x80 for one in data)))


def live(spo2: int, pulse: int, wave: float, *, is_in: bool, pi: int = 0xFFFF) -> bytes:
    """Return a live packet of V7; without a finger it is searching, and has no values."""
    flags, pleth = (0x07, int(wave * 100)) if is_in else (0x10, 0x80)
    bar = int(wave * 15) | (0x10 if pi == 0xFFFF else 0)
    values = (pulse, spo2, pi & 0xFF, pi >> 8) if is_in else (0xFF, 0x7F, 0xFF, 0xFF)
    return packet(0x01, flags, pleth, bar if is_in else 0x10, *values)


def old_live(spo2: int, pulse: int, wave: float, *, is_in: bool) -> bytes:
    """Return a live packet of the old protocol."""
    if not is_in:
        return bytes((0x90, 0, 0x20, 0, 0))
    return bytes((0x87, int(wave * 100), int(wave * 15) | (pulse >> 7) << 6, pulse & 0x7F, spo2))


class Contec:
    """Measures `fingers` patients for `finger_s` seconds each; then it is done."""

    def __init__(self, seed: int, fingers: int = 1, finger_s: float = 15.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"contec/{seed}")  # noqa: S311  invented values
        self._faults = frozenset(faults)
        self._fingers, self._finger_s = fingers, finger_s
        self._cycle_s = finger_s + OUT_S
        self._values = [self._invent() for _ in range(fingers)]
        self._stored = [] if "empty" in self._faults else [self._remember(count) for count in STORED_S]
        self._heard = bytearray()
        self._out = bytearray()
        self._began: float | None = None
        self._spoken_to = 0.0
        self._batches = 0
        self._is_live = "old" in self._faults
        self.commands: list[bytes] = []
        self.report = Report(messages=fingers)

    def feed(self, data: bytes, now: float) -> bytes:
        if self.is_done:
            return b""
        self._heard += data
        self._spoken_to = now
        if "old" in self._faults:
            self._old_command()
        else:
            while len(self._heard) >= COMMAND_SIZE:
                whole, self._heard = bytes(self._heard[:COMMAND_SIZE]), self._heard[COMMAND_SIZE:]
                self._command(whole, now)
        return self._take()

    def tick(self, now: float) -> bytes:
        if "old" in self._faults and self._began is None:
            self._began = now
        if "old" not in self._faults and now - self._spoken_to > PATIENCE_S:
            self._is_live = False
        if self._began is not None:
            due = int((now - self._began) * RATE_HZ / BATCH + 1e-6) + 1
            self._batches = max(self._batches, due - int(CATCH_UP_S_MAX * RATE_HZ / BATCH))
            while self._batches < due and not self.is_done:
                self._stream(self._batches)
                self._batches += 1
        self.report.acknowledged = min(self._fingers, int(self._batches * BATCH / RATE_HZ / self._cycle_s + 1e-6))
        return self._take()

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        if self._began is None:
            return 0.0 if "old" in self._faults else None
        return self._began + self._batches * BATCH / RATE_HZ

    @property
    def is_done(self) -> bool:
        return self._batches * BATCH / RATE_HZ >= self._fingers * self._cycle_s

    def _take(self) -> bytes:
        out, self._out = bytes(self._out), bytearray()
        self.report.bytes_sent += len(out)
        if "lost-bytes" not in self._faults:
            return out
        return bytes(one for one in out if self._chance.randrange(500))

    def _invent(self) -> tuple[int, int]:
        pulse = self._chance.randint(132, 168) if "high-pulse" in self._faults else self._chance.randint(58, 98)
        return self._chance.randint(93, 99), pulse

    def _remember(self, count: int) -> list[tuple[int, int]]:
        spo2, pulse = self._chance.randint(93, 98), self._chance.randint(55, 150)
        return [(spo2 + at % 2, pulse + at % 5) if at % 40 != 39 else (0x7F, 0xFF) for at in range(count)]

    def _stream(self, batch: int) -> None:
        second = batch * BATCH / RATE_HZ
        finger, within = int(second // self._cycle_s), second % self._cycle_s - OUT_S
        if not self._is_live or ("unplugged" in self._faults and within > self._finger_s / 2):
            return
        spo2, pulse = self._values[finger]
        make = old_live if "old" in self._faults else live
        for at in range(BATCH):
            wave = exp(-((((within + at / RATE_HZ) * pulse / 60) % 1.0 - 0.2) ** 2) / 0.02) * 0.9
            self._out += make(spo2, pulse, wave, is_in=within >= 0)
            self.report.frames += 1

    # The memory

    def _command(self, whole: bytes, now: float) -> None:
        self.commands.append(whole)
        code, segment = whole[2], whole[4] & 0x7F
        if code == 0xA1:
            self._is_live = True
            self._began = now if self._began is None else self._began
        elif code in {0xA2, 0xA7}:
            self._is_live = self._is_live and code == 0xA7
            self._out += b"\x0c\x80"
        elif code != 0xAF:
            self._out += self._answer(code, segment)

    def _answer(self, code: int, segment: int) -> bytes:
        known = 0xA3 <= code <= 0xA6
        if not known or "recording" in self._faults:
            self.report.refused += 1
            return packet(0x0B, code, 0x03 if known else 0x05)
        if code == 0xA3:
            return packet(0x0A, 0, len(self._stored))
        if segment >= len(self._stored):
            return packet(0x0B, code, 0xFF)
        if code == 0xA4:
            size = len(self._stored[segment]) * (4 if "pi" in self._faults else 2)
            return packet(0x08, 0, segment, *size.to_bytes(4, "little"))
        if code == 0xA5:
            return packet(0x07, 0, segment, 20, 26, 8, 1 + segment) + packet(0x12, 0, segment, 22, 30, 5, 0)
        return self._records(segment)

    def _records(self, segment: int) -> bytes:
        seconds = self._stored[segment]
        if "breaks-off" in self._faults and segment == len(self._stored) - 1:
            seconds = seconds[: len(seconds) // 2 // 3 * 3]
        if "pi" in self._faults:
            return b"".join(packet(0x09, spo2, pulse, 0x4E, 0x02) for spo2, pulse in seconds)
        padded = seconds + [(0, 0)] * (-len(seconds) % 3)
        rows = [padded[at : at + 3] for at in range(0, len(padded), 3)]
        return b"".join(packet(0x0F, *(one for pair in row for one in pair)) for row in rows)

    def _old_command(self) -> None:
        if b"\xf5\xf5" not in self._heard:
            return
        self.commands.append(bytes(self._heard))
        self._heard.clear()
        seconds = self._stored[-1] if self._stored else []
        size = len(seconds) * 3 - 1
        if not seconds:
            return
        head = b"\xf2\x80\x00" * 3 + bytes((0x80 | size >> 14, 0x80 | size >> 7 & 0x7F, size & 0x7F))
        sent = seconds[: len(seconds) // 2] if "breaks-off" in self._faults else seconds
        self._out += head + b"".join(bytes((0xF0 | pulse >> 7, 0x80 | pulse & 0x7F, spo2)) for spo2, pulse in sent)
