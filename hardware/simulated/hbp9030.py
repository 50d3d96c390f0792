"""An Omron HBP-9030 that is set to output format 5: after each measurement a line of 53 characters, unasked, once.

Written from the layout of that format. It waits for no answer, so its report says what was sent whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

from hardware.simulated.device import Report

MEASURE_S: Final = 30.0

FAULTS: Final[Mapping[str, str]] = {
    "error": "the first measurement fails with error 2",
    "cut": "the first line breaks off",
    "lost-bytes": "a byte of the first line is lost",
    "nul": "a habit: NULs stand before each line, as from an idle adapter",
    "cr-only": "a habit: CR without LF",
    "no-id": "a habit: nobody types an id",
    "dead-clock": "the clock's battery is empty: every date is 1 January 2000",
}


def line_of(date: str, patient: str, values: tuple[int, int, int] | None, error: int = 0, mark: int = 0) -> bytes:
    """Return a line without its end; `values`: systolic, diastolic, pulse, or blanks."""
    shown = ",".join("   " if values is None else f"{one:03d}" for one in values or (0, 0, 0))
    return f"{date},{patient[:20]:20},{error},{shown},{mark}".encode("ascii", "replace")


class Hbp9030:
    """Measures one arm for each patient, one every `every_s` seconds and never faster than it can."""

    def __init__(self, seed: int, patients: Sequence[str], every_s: float = 60.0, faults: Iterable[str] = ()) -> None:
        self._chance = Random(f"hbp9030/{seed}")  # noqa: S311  invented values
        self._faults = frozenset(faults)
        self._patients, self._every_s = list(patients), max(every_s, MEASURE_S)
        self._at: float | None = None
        self._sent = 0
        self.report = Report(messages=len(self._patients))

    def feed(self, data: bytes, now: float) -> bytes:
        return b""

    def tick(self, now: float) -> bytes:
        if self._at is None:
            self._at = now + MEASURE_S
        out = b""
        while not self.is_done and now >= self._at:
            out += self._line()
            self._at += self._every_s
        self.report.bytes_sent += len(out)
        return out

    def deadline(self) -> float | None:
        return None if self.is_done else self._at or 0.0

    @property
    def is_done(self) -> bool:
        return self._sent >= len(self._patients)

    def _line(self) -> bytes:
        at, self._sent = self._sent, self._sent + 1
        diastolic = self._chance.randint(58, 92)
        values = (diastolic + self._chance.randint(34, 58), diastolic, self._chance.randint(55, 99))
        failed = at == 0 and "error" in self._faults
        date = "2000,01,01,00,00" if "dead-clock" in self._faults else f"2026,08,01,09,{at % 60:02d}"
        patient = "" if "no-id" in self._faults else self._patients[at]
        line = line_of(date, patient, None if failed else values, error=2 if failed else 0)
        self.report.frames += 1
        self.report.acknowledged += 1
        end = b"\r" if "cr-only" in self._faults else b"\r\n"
        before = b"\x00\x00" if "nul" in self._faults else b""
        if at == 0 and "cut" in self._faults:
            return before + line[:30]
        return before + (line[:40] + line[41:] if at == 0 and "lost-bytes" in self._faults else line) + end
