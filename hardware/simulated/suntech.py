"""A SunTech Advantage module in a monitor: a nurse presses start, the cuff fills and empties, a result is remembered.

Written from the module's serial protocol as third parties restate it: 9600 8N1; the host's `3A ..`, the module's
`3E size ..`; the sum of each is 0 modulo 256. It never speaks unasked. The result of before stays until the
next one is there. Its report counts as acknowledged what a host has fetched.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated.device import Report

CUFF, RESULT, START = bytes.fromhex("3a79050048"), bytes.fromhex("3a7903004a"), bytes.fromhex("3a20a6")
FILL_S, EMPTY_S = 8.0, 26.0
"""The cuff is at its highest after the first, and empty after both."""
THINK_S: Final = 0.02
LINGER_S: Final = 20.0
REQUEST_SIZE_MAX: Final = 16

FAULTS: Final[Mapping[str, str]] = {
    "bad-check": "one answer in eight has a flipped bit",
    "noise": "a stray 3E stands before one answer in five",
    "error": "the first measurement ends with error 4",
    "unplugged": "no answer from the middle of the first measurement on, for a minute",
    "late": "a habit: every answer comes after 0.4 s",
}


def summed(body: bytes) -> bytes:
    """Return the bytes with the one that makes their sum 0 modulo 256."""
    return body + bytes((-sum(body) & 0xFF,))


def cuff_answer(mmhg: int) -> bytes:
    """Return the answer that tells the pressure in the cuff."""
    return summed(b"\x3e\x05" + mmhg.to_bytes(2, "little"))


def result_answer(systolic: int, diastolic: int, mean: int, pulse: int, error: int = 0, beats: int = 30) -> bytes:
    """Return the 24 bytes that tell the last result; the test codes are those of a printed example."""
    pressures = systolic.to_bytes(2, "little") + diastolic.to_bytes(2, "little")
    middle = bytes((beats, 1, 0, 0, 0, 0, 0, 0, 0x31, 0x07, pulse, 0))
    return summed(b"\x3e\x18" + pressures + middle + mean.to_bytes(2, "little") + bytes((error, 0, 0)))


class Suntech:
    """Measures `count` times, one every `every_s` seconds and never before the cuff is empty again."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 60.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"suntech/{seed}")  # noqa: S311  invented values
        self._faults = frozenset(faults)
        self._count, self._every_s = count, max(every_s, FILL_S + EMPTY_S + 10.0)
        self._began: float | None = None
        self._results = [self._invent(at) for at in range(-1, count)]
        """The first lies in the memory from before."""
        self._heard = bytearray()
        self._out: list[tuple[float, bytes]] = []
        self._fetched: set[int] = set()
        self.commands: list[bytes] = []
        self.is_done = False
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        self._heard += data
        while (at := self._heard.find(0x3A)) >= 0:
            request = next((one for one in (CUFF, RESULT, START) if self._heard[at:].startswith(one)), b"")
            if not request:
                break
            del self._heard[: at + len(request)]
            self.commands.append(request)
            self._answer(request, now)
        del self._heard[:-REQUEST_SIZE_MAX]
        return b""

    def tick(self, now: float) -> bytes:
        if self._began is None:
            self._began = now
        self.is_done = now >= self._off_at
        out = b"".join(data for at, data in self._out if at <= now)
        self._out = [one for one in self._out if one[0] > now]
        self.report.bytes_sent += len(out)
        return out

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        return 0.0 if self._began is None else min([*(at for at, _ in self._out), self._off_at])

    @property
    def _off_at(self) -> float:
        return (self._began or 0.0) + self._count * self._every_s + LINGER_S

    def _invent(self, at: int) -> bytes:
        diastolic = self._chance.randint(58, 92)
        systolic, pulse = diastolic + self._chance.randint(34, 58), self._chance.randint(55, 99)
        if "error" in self._faults and at == 0:
            return result_answer(0, 0, 0, 0, error=4, beats=3)
        return result_answer(systolic, diastolic, diastolic + (systolic - diastolic) // 3, pulse)

    def _answer(self, request: bytes, now: float) -> None:
        into = now - (self._began or 0.0)
        if self.is_done or request == START or self._is_unplugged(into):
            return
        turn, within = int(into // self._every_s), into % self._every_s
        cuff = pressure(within) if turn < self._count else 0
        ended = min(turn + (1 if within >= FILL_S + EMPTY_S else 0), self._count)
        if request == RESULT and ended and ended not in self._fetched and cuff == 0:
            self._fetched.add(ended)
            self.report.acknowledged += 1
        answer = cuff_answer(cuff) if request == CUFF else self._results[ended]
        self.report.frames += 1
        self._out.append((now + (0.4 if "late" in self._faults else THINK_S), self._spoilt(answer)))

    def _is_unplugged(self, into: float) -> bool:
        return "unplugged" in self._faults and FILL_S < into < FILL_S + 60.0

    def _spoilt(self, answer: bytes) -> bytes:
        if "bad-check" in self._faults and self._chance.randrange(8) == 0:
            at = self._chance.randrange(len(answer))
            return answer[:at] + bytes((answer[at] ^ 1 << self._chance.randrange(8),)) + answer[at + 1 :]
        return b"\x3e" + answer if "noise" in self._faults and self._chance.randrange(5) == 0 else answer


def pressure(within_s: float) -> int:
    """Return the pressure in the cuff, mmHg, so long after start was pressed: it is empty for the first seconds."""
    if not 2.0 <= within_s < FILL_S + EMPTY_S:
        return 0
    if within_s < FILL_S:
        return round(170 * (within_s - 2.0) / (FILL_S - 2.0))
    return round(170 - 130 * (within_s - FILL_S) / EMPTY_S)
