"""What the simulated laboratory instruments share that wait for a word: send, wait, send again, give up.

A message is a row of steps, each answered with ACK or NAK (an answer may have more bytes). A step that is refused or
not answered is sent again; after `attempts_max` silences or `REFUSALS_MAX` refusals the message is given up.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from hardware.simulated.device import Report

ACK, NAK = 0x06, 0x15
REFUSALS_MAX: Final = 6
CUT_S: Final = 3.0
"""After half a message, before it comes again."""

FAULTS: Final = {
    "damaged": "the first message comes damaged once",
    "cut": "the first message breaks off once, and comes again three seconds later",
    "lost-answer": "the first answer to a result is lost on the way",
}


class Sender:
    """Sends its messages, `every_s` seconds apart."""

    def __init__(
        self,
        messages: Iterable[Sequence[bytes]],
        every_s: float,
        faults: Iterable[str],
        answer_s: float,
        attempts_max: int,
        *,
        waits: bool = True,
    ) -> None:
        self._messages = [list(steps) for steps in messages]
        self._every_s, self._answer_s, self._attempts_max, self._waits = every_s, answer_s, attempts_max, waits
        self._faults = set(faults)
        self._message = self._step = self._attempts = self._refusals = 0
        self._is_waiting = False
        self._at: float | None = 0.0
        self.report = Report(messages=len(self._messages))

    def feed(self, data: bytes, now: float) -> bytes:
        if not self._is_waiting:
            return b""
        if ACK in data:
            if self._is_last and "lost-answer" in self._faults:
                self._faults.discard("lost-answer")
                return b""
            self._next_step(now)
        elif NAK in data:
            self.report.refused += 1
            self._refusals += 1
            self._attempts = 0 if self._refusals < REFUSALS_MAX else self._attempts_max
            return self._send(now)
        return b""

    def tick(self, now: float) -> bytes:
        return b"" if self._at is None or now < self._at or self.is_done else self._send(now)

    def deadline(self) -> float | None:
        return None if self.is_done else self._at

    @property
    def is_done(self) -> bool:
        return self._message >= len(self._messages)

    @property
    def _is_last(self) -> bool:
        return self._step == len(self._messages[self._message]) - 1

    def _send(self, now: float) -> bytes:
        if self._attempts >= self._attempts_max:
            self._give_up(now)
            return b""
        self._attempts += 1
        self.report.attempts += 1
        self._is_waiting, self._at = True, now + self._answer_s
        data = self._spoilt(self._messages[self._message][self._step], now)
        self.report.frames += 1
        self.report.bytes_sent += len(data)
        if not self._waits:
            self._next_step(now)
        return data

    def _spoilt(self, data: bytes, now: float) -> bytes:
        if self._is_last and "damaged" in self._faults:
            self._faults.discard("damaged")
            return data[: len(data) // 2] + bytes((data[len(data) // 2] ^ 0x01,)) + data[len(data) // 2 + 1 :]
        if self._is_last and "cut" in self._faults:
            self._faults.discard("cut")
            self._at = now + CUT_S
            return data[: len(data) // 2]
        return data

    def _next_step(self, now: float) -> None:
        self._attempts, self._refusals, self._is_waiting = 0, 0, False
        self._step += 1
        self._at = now
        if self._step == len(self._messages[self._message]):
            self.report.acknowledged += 1
            self._next_message(now)

    def _next_message(self, now: float) -> None:
        self._message, self._step, self._at = self._message + 1, 0, now + self._every_s

    def _give_up(self, now: float) -> None:
        self.report.failed += 1
        self._attempts, self._refusals, self._is_waiting = 0, 0, False
        self._next_message(now)
