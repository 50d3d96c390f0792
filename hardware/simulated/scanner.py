"""A barcode scanner: one label at a time, then a suffix. Written from the Honeywell 3310g and Zebra LS2208 guides.

With ACK/NAK switched on it waits two seconds for an answer to each label; NAK is a beep and the nurse scans again.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from hardware.simulated.device import Report

ACK, NAK = b"\x06", b"\x15"
ANSWER_S: Final = 2.0
SCANS_MAX: Final = 3
"""So often a nurse scans a label before she gives up."""

FAULTS: Final[Mapping[str, str]] = {
    "bad-digit": "the first label is misread: its last character is wrong",
    "aim": "a habit: the AIM prefix stands before every label",
    "cyrillic": "a habit: works as a keyboard under a Cyrillic layout",
    "no-suffix": "a habit: nothing follows the label",
}

_LAYOUT: Final = str.maketrans("QWERTYUIOPASDFGHJKLZXCVBNM", "ЙЦУКЕНГШЩЗФЫВАПРОЛДЯЧСМИТЬ")


def luhn(digits: str) -> str:
    """Return `digits` with their check digit (ISO/IEC 7812)."""
    total = 0
    for at, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 if at % 2 else 2)
        total += value - 9 if value > 9 else value
    return digits + str(-total % 10)


def patient_label(seed: int, at: int) -> str:
    """Return the label of the `at`-th invented patient: seven digits and a check digit."""
    return luhn(f"{1_000_000 + (seed * 7_919 + at * 104_729) % 9_000_000}")


class Scanner:
    """Scans its labels, one every `every_s` seconds."""

    def __init__(
        self,
        labels: Iterable[str],
        every_s: float = 0.0,
        faults: Iterable[str] = (),
        suffix: bytes = b"\r",
        *,
        waits: bool = False,
    ) -> None:
        self._labels = deque(labels)
        self._every_s, self._faults, self._suffix, self._waits = every_s, set(faults), suffix, waits
        self._at: float | None = 0.0
        self._is_waiting = False
        self._scans = 0
        self.report = Report(messages=len(self._labels))

    def feed(self, data: bytes, now: float) -> bytes:
        for at in range(len(data)):
            if self._is_waiting and data[at : at + 1] in {ACK, NAK}:
                self._answered(data[at : at + 1] == ACK, now)
        return b""

    def tick(self, now: float) -> bytes:
        if self._at is None or now < self._at or not self._labels:
            return b""
        if self._is_waiting:
            self._answered(False, now)
            return b""
        out = self._scan()
        self._scans += 1
        self.report.frames += 1
        self.report.bytes_sent += len(out)
        if self._waits:
            self._is_waiting, self._at = True, now + ANSWER_S
        else:
            self._next(now, is_good=True)
        return out

    def deadline(self) -> float | None:
        return self._at

    @property
    def is_done(self) -> bool:
        return not self._labels

    def _answered(self, is_good: bool, now: float) -> None:
        self._is_waiting = False
        self.report.refused += 0 if is_good else 1
        if is_good or self._scans >= SCANS_MAX:
            self._next(now, is_good=is_good)
        else:
            self._at = now + 1.0

    def _next(self, now: float, *, is_good: bool) -> None:
        self._labels.popleft()
        self._scans = 0
        self.report.acknowledged += 1 if is_good else 0
        self.report.failed += 0 if is_good else 1
        self._at = now + self._every_s if self._labels else None

    def _scan(self) -> bytes:
        label = self._labels[0]
        if "bad-digit" in self._faults:
            self._faults.discard("bad-digit")
            label = label[:-1] + ("1" if label[-1] != "1" else "2")
        if "aim" in self._faults:
            label = "]C0" + label
        if "cyrillic" in self._faults:
            label = label.upper().translate(_LAYOUT)
        return label.encode("utf-8") + (b"" if "no-suffix" in self._faults else self._suffix)
