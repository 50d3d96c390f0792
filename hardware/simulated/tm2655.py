"""An A&D TM-2655: an arm goes in, the cuff inflates, and a result is sent or waits to be asked for.

Written from what is known of the monitor's line (2400 baud, 8N1): `SYN SYN SOH 0 0 STX text ETX BCC`, the fields of a
text apart by RS, BCC the exclusive or from SOH to ETX. RB asks for the last result, RP for its pulse envelope, ST
inflates, SP stops. The monitor keeps one result. It waits for no answer, so its report says what was sent whole.
"""

from collections.abc import Iterable, Mapping
from math import exp
from random import Random
from typing import Final

from hardware.simulated.device import Report

RS: Final = "\x1e"
MEASURE_S: Final = 35.0
"""From the arm to the result."""
THINK_S: Final = 0.15
"""Before an answer."""
WAIT_S: Final = 40.0
"""The monitor stays on after the last measurement; somebody may ask."""
TEXT_SIZE_MAX: Final = 16

FAULTS: Final[Mapping[str, str]] = {
    "bad-check": "the first sending of each result has a flipped bit",
    "cut": "the first sending of the first result breaks off",
    "error": "the first measurement fails with E43",
    "twice": "each result is sent twice",
    "asked-only": "a habit: says nothing by itself",
    "check-is-etx": "a habit: values with which the check byte equals ETX",
    "dead-clock": "the clock's battery is empty: every date is 1 January 2000",
}


def framed(text: str) -> bytes:
    """Return a text in its frame, with the check byte."""
    body = b"\x0100\x02" + text.encode("ascii") + b"\x03"
    check = 0
    for byte in body:
        check ^= byte
    return b"\x16\x16" + body + bytes((check,))


class Tm2655:
    """Measures `count` arms, one every `every_s` seconds and never faster than it can."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 60.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"tm2655/{seed}")  # noqa: S311  invented values
        self._faults = frozenset(faults)
        self._count, self._every_s = count, max(every_s, MEASURE_S)
        self._ready_at: float | None = None
        self._off_at: float | None = None
        self._measured = 0
        self._result = self._envelope = ""
        self._spoils = 0
        self._delivered = False
        self._out: list[tuple[float, bytes]] = []
        self._heard = bytearray()
        self.is_done = False
        self.commands: list[str] = []
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        if self.is_done:
            return b""
        self._heard += data
        while (end := self._heard.find(b"\x03")) >= 0 and len(self._heard) > end + 1:
            whole, self._heard = bytes(self._heard[: end + 2]), self._heard[end + 2 :]
            self._command(whole, now)
        del self._heard[:-TEXT_SIZE_MAX]
        return b""

    def tick(self, now: float) -> bytes:
        if self._ready_at is None:
            self._ready_at = now + MEASURE_S
        if self._measured < self._count and now >= self._ready_at:
            self._measure(now)
        self.is_done = self._off_at is not None and now >= self._off_at
        out = b"".join(data for at, data in self._out if at <= now)
        self._out = [one for one in self._out if one[0] > now]
        self.report.bytes_sent += len(out)
        return out

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        if self._ready_at is None:
            return 0.0
        next_at = self._ready_at if self._off_at is None else self._off_at
        return min([*(one[0] for one in self._out), next_at])

    def _measure(self, now: float) -> None:
        date = "0001010000" if "dead-clock" in self._faults else f"26080109{self._measured % 60:02d}"
        diastolic = self._chance.randint(58, 92)
        systolic = diastolic + self._chance.randint(34, 58)
        mean, pulse = diastolic + (systolic - diastolic) // 3, self._chance.randint(55, 99)
        failed = "error" in self._faults and self._measured == 0
        values = (0, 0, 0, 0) if failed else (systolic, mean, diastolic, pulse)
        self._result = result_text(date, "E43" if failed else "E00", *values)
        if "check-is-etx" in self._faults:
            self._result = with_check(self._result)
        self._envelope = envelope_text(date, mean, systolic)
        self._spoils = 1 if self._faults & {"bad-check"} or ("cut" in self._faults and self._measured == 0) else 0
        self._measured += 1
        self._delivered = False
        self._ready_at = (self._ready_at or now) + self._every_s
        self._off_at = now + WAIT_S if self._measured == self._count else None
        if "asked-only" not in self._faults:
            self._say_result(now)
        if "twice" in self._faults:
            self._say_result(now + 1.0)

    def _command(self, whole: bytes, now: float) -> None:
        at = whole.find(b"\x0100\x02")
        command = whole[at + 4 : -2].decode("ascii", "replace")
        self.commands.append(command)
        if at < 0 or framed(command)[2:] != whole[at:] or not self._result or command not in {"RB", "RP"}:
            self._out.append((now + THINK_S, b"\x16\x16\x0100\x15"))
            self.report.refused += 1
        elif command == "RB":
            self._say_result(now + THINK_S)
        else:
            self._out.append((now + THINK_S, framed(self._envelope)))

    def _say_result(self, at: float) -> None:
        data = framed(self._result)
        self.report.frames += 1
        if self._spoils:
            self._spoils = 0
            cut = "cut" in self._faults
            data = data[:40] if cut else data[:40] + bytes((data[40] ^ 0x04,)) + data[41:]
        elif not self._delivered:
            self._delivered = True
            self.report.acknowledged += 1
        self._out.append((at, data))


def result_text(date: str, error: str, systolic: int, mean: int, diastolic: int, pulse: int) -> str:
    """Return the text of a result: numbers are padded to three places, and every field but the last has its RS."""
    values = (f"S{systolic:3d}", f"M{mean:3d}", f"D{diastolic:3d}", f"P{pulse:3d}", "I17", "L139", "")
    return RS.join(("TM2655", date, "RB", "M", error, *values))


def with_check(text: str) -> str:
    """Return the text with another largest amplitude, so that its check byte is ETX."""
    tried = (text.replace("L139", f"L{one:{width}d}") for width in (0, 4) for one in range(10, 1000))
    return next((one for one in tried if framed(one)[-1] == 0x03), text)


def envelope_text(date: str, mean: int, systolic: int) -> str:
    """Return the text of a pulse envelope: pressures fall, and the largest pulse is at the mean."""
    pressures = range(systolic + 30, mean - 20, -4)
    pulses = [f"{at:3d},{round(12 + 95 * exp(-(((at - mean) / 18) ** 2))):3d}" for at in pressures]
    return RS.join(("TM2655", date, "RP", f"N{len(pulses):3d}", *pulses))
