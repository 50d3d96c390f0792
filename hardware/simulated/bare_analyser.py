"""An immunoassay analyser that sends ASTM records without frame numbers and checksums: a Snibe Maglumi.

Written from what public notes of its bench and of its settings say: ENQ, STX, the records with ETX, and EOT, each
answered by ACK within three seconds (Communicate Timeout), each sent three times at most (Resend Times), one result in
one message. Sent again after a rest, for its operator does so.

    idle ── something to send ──► ENQ ── ACK ──► STX ── ACK ──► records, ETX ── ACK ──► EOT ── ACK ──► idle
      ▲                            three times nothing, or anything but ACK
      └──────── pause over ────────────┘
"""

from collections import deque
from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated.device import Report
from hardware.simulated.results import stamp
from hardware.simulated.scanner import patient_label

ENQ, STX, ETX, EOT, ACK = b"\x05", b"\x02", b"\x03", b"\x04", b"\x06"
ANSWER_S: Final = 3.0
SENDS_MAX: Final = 3
PAUSE_S: Final = 30.0
ATTEMPTS_MAX: Final = 10
FAULTS: Final[Mapping[str, str]] = {
    "lost-ack": "the answer to the first records never arrives: they are sent again",
    "lost-last-ack": "the answer to the first EOT never arrives: it is sent again",
    "cut": "silence in the middle of the first records, and all again later",
    "split": "a habit: ETX comes a moment after the records",
}
ASSAYS: Final = (
    ("TSH II", "uIU/mL", 2.1, "0.3 - 4.5"),
    ("FT4 II", "pmol/L", 16.2, "11.5 - 22.7"),
    ("FT3", "pmol/L", 4.9, "3.08 - 6.468"),
)


def message(seed: int, at: int) -> bytes:
    """Return the records of the `at`-th result."""
    chance = Random(f"bare/{seed}/{at}")  # noqa: S311  invented values
    code, unit, mean, limits = ASSAYS[at % len(ASSAYS)]
    records = (
        f"H|\\^&||PSWD|Maglumi X3|||||Lis||P|E1394-97|{stamp(at)[:8]}",
        "P|1",
        f"O|1|{patient_label(seed, at)}||^^^{code}",
        f"R|1|^^^{code}|{chance.gauss(mean, mean / 5):.3f}|{unit}|{limits}|N||||||{stamp(at)}",
        "L|1|N",
    )
    return "".join(f"{one}\r" for one in records).encode()


class BareAnalyser:
    """Sends `count` results, one every `every_s` seconds."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 5.0, faults: Iterable[str] = ()) -> None:
        self._queue = deque(message(seed, at) for at in range(count))
        self._every_s, self._faults = every_s, set(faults)
        self.report = Report(messages=count)
        self._at: float | None = 0.0
        self._step = -1
        """Which of the four pieces waits for its answer; -1: none."""
        self._sends = self._attempts = 0
        self._late = b""

    def feed(self, data: bytes, now: float) -> bytes:
        out = b""
        for byte in data:
            if self._step >= 0 and bytes((byte,)) == ACK and not self._is_lost():
                out += self._forward(now)
        return self._said(out)

    def tick(self, now: float) -> bytes:
        if self._at is None or now < self._at:
            return b""
        if self._late:
            late, self._late, self._at = self._late, b"", now + ANSWER_S
            return self._said(late)
        if self._step < 0:
            self._attempts += 1
            self.report.attempts += 1
            if self._attempts > ATTEMPTS_MAX:
                self._queue.popleft()
                self.report.failed += 1
                self._rest(now, self._every_s)
                return b""
            self._step, self._sends = 0, 0
        if self._sends >= SENDS_MAX:
            self._rest(now, PAUSE_S)
            return b""
        return self._said(self._send(now))

    def deadline(self) -> float | None:
        return self._at

    @property
    def is_done(self) -> bool:
        return not self._queue

    def _said(self, out: bytes) -> bytes:
        self.report.bytes_sent += len(out)
        return out

    def _is_lost(self) -> bool:
        fault = {2: "lost-ack", 3: "lost-last-ack"}.get(self._step, "")
        was_there = fault in self._faults
        self._faults.discard(fault)
        return was_there

    def _send(self, now: float) -> bytes:
        self._sends += 1
        self.report.frames += 1
        self._at = now + ANSWER_S
        if self._step != 2:
            return {0: ENQ, 1: STX, 3: EOT}[self._step]
        records = self._queue[0]
        if "cut" in self._faults:
            self._faults.discard("cut")
            self._rest(now, PAUSE_S)
            return records[: len(records) // 2]
        if "split" in self._faults:
            self._late, self._at = ETX, now + 0.1
            return records
        return records + ETX

    def _forward(self, now: float) -> bytes:
        if self._late:
            return b""
        self._step, self._sends = self._step + 1, 0
        if self._step <= 3:
            return self._send(now)
        self._queue.popleft()
        self.report.acknowledged += 1
        self._attempts = 0
        self._rest(now, self._every_s)
        return b""

    def _rest(self, now: float, seconds: float) -> None:
        self._step = -1
        self._at = now + seconds if self._queue else None
