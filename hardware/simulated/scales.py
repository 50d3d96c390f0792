"""Scales on a serial line: an A&D scale, an MT-SICS balance and a Tanita body composition scale, with people on them.

Written from the makers' data formats. Each weighs `count` loads, one every `every_s` seconds. A load comes, swings for
`SWING_S`, rests, and goes. None of them waits for an answer; a report counts what was said, or asked for, of each load.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, sin
from random import Random
from typing import Final

from hardware.simulated.device import Report

SWING_S: Final = 4.0
LOAD_S: Final = 12.0
"""From stepping on to stepping off."""
STREAM_HZ: Final = 5.0
SWITCH_OFF_S: Final = 5.0
"""After the last load."""
REQUEST_SIZE_MAX: Final = 16

AND_FAULTS: Final[Mapping[str, str]] = {
    "too-soon": "the key is pressed for the first load while it still swings",
    "overload": "the first load is too heavy",
    "lost-bytes": "one byte in two hundred is lost",
    "stream": "a habit: lines without end instead of one for each key",
    "comma": "a habit: a comma in the number",
    "pounds": "a habit: weighs in lb",
}
MTSICS_FAULTS: Final[Mapping[str, str]] = {
    "busy": "one question in four is answered by S I",
    "overload": "the first load is too heavy",
    "lost-bytes": "one byte in two hundred is lost",
    "no-identity": "a habit: I2 and I4 are answered by ES",
}
TANITA_FAULTS: Final[Mapping[str, str]] = {
    "bad-sum": "the first line has a flipped bit",
    "cut": "the first line breaks off",
    "pulse": "a habit: a stray byte 0.1 s after each line",
}


@dataclass(frozen=True, slots=True)
class Moment:
    """What lies on the scale. `load`: its number, -1 for nothing."""

    load: int
    weight: float
    is_at_rest: bool


class Loads:
    """Who stands on a scale when."""

    def __init__(self, chance: Random, count: int, every_s: float) -> None:
        self.weights = [round(chance.uniform(48.0, 97.0), 1) for _ in range(count)]
        self.every_s = max(every_s, LOAD_S + 4.0)
        self.off_s = count * self.every_s + SWITCH_OFF_S

    def at(self, second: float) -> Moment:
        """Return what lies on the scale so long after it was switched on; the first load comes after two seconds."""
        load, within = int((second - 2.0) // self.every_s), (second - 2.0) % self.every_s
        if second < 2.0 or load >= len(self.weights) or within >= LOAD_S:
            return Moment(-1, 0.0, is_at_rest=True)
        if within < SWING_S:
            swing = exp(-within) * sin(9 * within)
            return Moment(load, self.weights[load] * (1 - 0.3 * abs(swing)), is_at_rest=False)
        return Moment(load, self.weights[load], is_at_rest=True)


def and_line(weight: float, *, is_at_rest: bool = True, unit: str = "kg", comma: bool = False) -> bytes:
    """Return a line of A&D's standard format: the number has its sign and seven places."""
    number = f"{abs(weight):7.1f}".replace(".", "," if comma else ".")
    return f"{'ST' if is_at_rest else 'US'},GS,{'-' if weight < 0 else '+'}{number}{unit}\r\n".encode("ascii")


def sics_line(status: str, weight: float = 0.0) -> bytes:
    """Return the answer to SI: a number of ten places where there is one."""
    return (f"S {status} {weight:10.2f} kg\r\n" if status in {"S", "D"} else f"S {status}\r\n").encode("ascii")


def tanita_line(weight: float, height_cm: int, fat_percent: float, number: int = 1) -> bytes:
    """Return the line of a body composition scale with its checksum."""
    fat = round(weight * fat_percent / 100, 1)
    water = round((weight - fat) * 0.72, 1)
    text = (
        f'{{0,16,~0,1,~1,1,~2,1,MO,"SC-240",SN,"{number:08d}",Bt,0,GE,1,AG,47,Hm,{height_cm},Pt,0.0,Wk,{weight:.1f},'
        f"FW,{fat_percent:.1f},fW,{fat:.1f},MW,{weight - fat:.1f},wW,{water:.1f},ww,{100 * water / weight:.1f},"
        f"MI,{weight / (height_cm / 100) ** 2:.1f},IF,6,ZF,512.4,"
    )
    return f"{text}CS,{sum(text.encode('ascii')) & 0xFF:02X}\r\n".encode("ascii")


class _Scale:
    """What the three have in common."""

    def __init__(self, name: str, seed: int, count: int, every_s: float, faults: Iterable[str]) -> None:
        self.chance = Random(f"{name}/{seed}")  # noqa: S311  invented values
        self.faults = frozenset(faults)
        self.loads = Loads(self.chance, count, every_s)
        self.began: float | None = None
        self.report = Report(messages=count)
        self._said: set[int] = set()
        self.is_done = False

    def feed(self, data: bytes, now: float) -> bytes:
        return b""

    def passed(self, now: float) -> float:
        """Return the seconds since it was switched on."""
        if self.began is None:
            self.began = now
        self.is_done = now - self.began >= self.loads.off_s
        return now - self.began

    def says(self, load: int) -> None:
        """A load's weight was sent."""
        self._said.add(load)
        self.report.acknowledged = len(self._said)

    def on_line(self, data: bytes) -> bytes:
        """Return what arrives of it."""
        self.report.bytes_sent += len(data)
        self.report.frames += 1 if data else 0
        if "lost-bytes" not in self.faults:
            return data
        return bytes(one for one in data if self.chance.randrange(200))


class AndScale(_Scale):
    """An A&D scale: its key is pressed when a load has come to rest."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 20.0, faults: Iterable[str] = ()) -> None:
        super().__init__("andscale", seed, count, every_s, faults)
        self._step = 1 / STREAM_HZ if "stream" in self.faults else 1.0
        self._next = 0
        """Steps of `_step` seconds since it was switched on."""

    def tick(self, now: float) -> bytes:
        passed, out = self.passed(now), b""
        while self._next * self._step <= passed + 1e-6 and self._next * self._step < self.loads.off_s:
            out += self._at(self._next * self._step)
            self._next += 1
        return self.on_line(out)

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        return 0.0 if self.began is None else self.began + min(self._next * self._step, self.loads.off_s)

    def _at(self, second: float) -> bytes:
        moment = self.loads.at(second)
        if "overload" in self.faults and moment.load == 0:
            self.says(0)
            return b"OL,GS,+9999999kg\r\n" if "stream" in self.faults or 5.5 <= second < 6.5 else b""
        if "stream" not in self.faults and not self._is_pressed(moment, second):
            return b""
        if moment.is_at_rest and moment.load >= 0:
            self.says(moment.load)
        pounds = "pounds" in self.faults
        weight = moment.weight * 2.2046 if pounds else moment.weight
        unit = "lb" if pounds else "kg"
        return and_line(weight, is_at_rest=moment.is_at_rest, unit=unit, comma="comma" in self.faults)

    def _is_pressed(self, moment: Moment, second: float) -> bool:
        within = (second - 2.0) % self.loads.every_s
        soon = moment.load == 0 and "too-soon" in self.faults
        return moment.load >= 0 and abs(within - (2.0 if soon else 7.0)) < 0.5


class MtSics(_Scale):
    """A balance that speaks when asked, and says its serial number when it is switched on."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 20.0, faults: Iterable[str] = ()) -> None:
        super().__init__("mtsics", seed, count, every_s, faults)
        self._heard = b""
        self._out: list[tuple[float, bytes]] = []
        self.commands: list[str] = []

    def feed(self, data: bytes, now: float) -> bytes:
        *whole, self._heard = (self._heard + data)[-REQUEST_SIZE_MAX * 4 :].split(b"\r\n")
        for one in whole:
            command = one.decode("ascii", "replace")
            self.commands.append(command)
            if not self.is_done:
                self._out.append((now + 0.05, self.on_line(self._answer(command, self.passed(now)))))
        return b""

    def tick(self, now: float) -> bytes:
        is_first = self.began is None
        self.passed(now)
        out = b"".join(data for at, data in self._out if at <= now)
        self._out = [one for one in self._out if one[0] > now]
        return (self.on_line(b'I4 A "B021002593"\r\n') if is_first else b"") + out

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        return 0.0 if self.began is None else min([*(at for at, _ in self._out), self.began + self.loads.off_s])

    def _answer(self, command: str, passed: float) -> bytes:
        if command in {"I2", "I4"} and "no-identity" not in self.faults:
            return {"I2": b'I2 A "ICS425 150.00 kg"\r\n', "I4": b'I4 A "B021002593"\r\n'}[command]
        if command not in {"SI", "S"}:
            self.report.refused += 1
            return b"ES\r\n"
        if "busy" in self.faults and self.chance.randrange(4) == 0:
            return sics_line("I")
        moment = self.loads.at(passed)
        if moment.is_at_rest and moment.load >= 0:
            self.says(moment.load)
        if "overload" in self.faults and moment.load == 0:
            return sics_line("+")
        return sics_line("S" if moment.is_at_rest else "D", moment.weight)


class Tanita(_Scale):
    """A body composition scale: a line for each person, once, when everything is measured."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 30.0, faults: Iterable[str] = ()) -> None:
        super().__init__("tanita", seed, count, every_s, faults)
        self._lines = [self._invent(at) for at in range(count)]
        """When, and what."""
        if "pulse" in self.faults:
            self._lines += [(at + 0.1, b"\xff") for at, _ in self._lines]

    def tick(self, now: float) -> bytes:
        passed = self.passed(now)
        out = b"".join(data for at, data in self._lines if at <= passed + 1e-6)
        self._lines = [one for one in self._lines if one[0] > passed + 1e-6]
        self.report.acknowledged = self.report.messages - sum(len(line) > 1 for _, line in self._lines)
        return self.on_line(out)

    def deadline(self) -> float | None:
        if self.is_done:
            return None
        if self.began is None:
            return 0.0
        return self.began + min([*(at for at, _ in self._lines), self.loads.off_s])

    def _invent(self, at: int) -> tuple[float, bytes]:
        height, fat = self.chance.randint(152, 189), round(self.chance.uniform(12.0, 34.0), 1)
        line = tanita_line(self.loads.weights[at], height, fat)
        if at == 0 and "bad-sum" in self.faults:
            line = line[:70] + bytes((line[70] ^ 0x02,)) + line[71:]
        if at == 0 and "cut" in self.faults:
            line = line[:120]
        return 2.0 + at * self.loads.every_s + LOAD_S, line
