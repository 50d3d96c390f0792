"""A laboratory analyser: the sender of ASTM E1381-95 / CLSI LIS01-A2 with its timers, and faults seen in the field.

Written from LIS01-A2 section 6: ENQ and 15 s for an answer; NAK to ENQ: 10 s, then again; a frame and 15 s for its
answer; ACK or EOT: next; anything else: the same frame again, six times at most, then EOT; nothing: EOT, and the whole
message again later. ENQ answered by ENQ: the analyser waits a second and asks again.

    idle ── something to send ──► asking ── ACK ──► sending ── last frame answered ──► idle (EOT)
      ▲                             │ NAK, nothing      │ six refusals, nothing (EOT)
      └──────── pause over ─────── pausing ◄────────────┘

`FAULTS` names what can go wrong; each happens once, in the first message, unless it is a habit of the device.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from hardware.simulated.device import Report

STX, ETX, EOT, ENQ, ACK, NAK, ETB = b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x15", b"\x17"
ANSWER_S: Final = 15.0
BUSY_S: Final = 10.0
CONTENTION_S: Final = 1.0
REST_S: Final = 10.0
"""After an abort, before the whole message is sent again."""
CUT_S: Final = 40.0
"""How long a device that was cut off in the middle stays silent."""
REFUSALS_MAX: Final = 6
ATTEMPTS_MAX: Final = 20
TEXT_SIZE_MAX: Final = 240

FAULTS: Final[Mapping[str, str]] = {
    "bad-checksum": "the second frame (or the only one) has a wrong checksum the first time",
    "lost-ack": "the answer to the second frame (or the only one) arrives garbled: the frame is sent again",
    "lost-last-ack": "the answer to the last frame never arrives: EOT after 15 s, and all again",
    "cut": "silence in the middle of the second frame (or the only one), and all again later",
    "frame-numbers": "a habit: the first three frames are all numbered 1",
    "cr-only": "a habit: frames end with CR, without LF",
    "noise": "a habit: bytes of noise before every frame",
    "at-once": "speaks the moment it is switched on, in the middle of a frame",
    "keep-alive": "a habit: ENQ and EOT with nothing between, before every message",
    "contention": "a habit: answers the host's first word to ENQ as if it had been ENQ, too",
}


def frame(number: int, text: bytes, *, is_last: bool, line_end: bytes = b"\r\n") -> bytes:
    """Return STX number text ETB/ETX checksum CR LF."""
    body = b"%d" % (number % 8) + text + (ETX if is_last else ETB)
    return STX + body + b"%02X" % (sum(body) % 256) + line_end


def in_one_frame(records: Sequence[bytes]) -> list[tuple[bytes, bool]]:
    """Divide a message as many analysers do: not at all."""
    return [(b"".join(record + b"\r" for record in records), True)]


def in_records(records: Sequence[bytes]) -> list[tuple[bytes, bool]]:
    """Divide a message as the cobas c111 does: a frame for each record, ETB but for the last."""
    return [(record + b"\r", at == len(records) - 1) for at, record in enumerate(records)]


def in_blocks(records: Sequence[bytes]) -> list[tuple[bytes, bool]]:
    """Divide a message as the standard has it: each record by itself, in pieces of 240 characters."""
    frames = []
    for record in records:
        text = record + b"\r"
        pieces = [text[at : at + TEXT_SIZE_MAX] for at in range(0, len(text), TEXT_SIZE_MAX)]
        frames += [(piece, at == len(pieces) - 1) for at, piece in enumerate(pieces)]
    return frames


class Analyser:
    """Sends its messages, each a list of (text, is last) frames, one every `every_s` seconds."""

    def __init__(
        self, messages: Iterable[Sequence[tuple[bytes, bool]]], faults: Iterable[str] = (), every_s: float = 0.0
    ) -> None:
        self._queue = deque(messages)
        self._faults = set(faults)
        self._every_s = every_s
        self.report = Report(messages=len(self._queue))
        self._state = "off"
        self._at: float | None = 0.0
        self._frames: list[bytes] = []
        self._next = 0
        self._refusals = 0
        self._attempts = 0
        self._said_alive = False

    # The line

    def feed(self, data: bytes, now: float) -> bytes:
        out = b""
        for at in range(len(data)):
            out += self._answer(data[at : at + 1], now)
        self.report.bytes_sent += len(out)
        return out

    def tick(self, now: float) -> bytes:
        if self._at is None or now < self._at:
            return b""
        out = self._time_is_up(now)
        self.report.bytes_sent += len(out)
        return out

    def deadline(self) -> float | None:
        return self._at

    @property
    def is_done(self) -> bool:
        return not self._queue and self._state in {"idle", "off"}

    @property
    def has_line(self) -> bool:
        """It has called or is sending: what comes is an answer."""
        return self._state in {"asking", "sending"}

    # What happens

    def _time_is_up(self, now: float) -> bytes:
        if self._state == "off":
            self._state = "idle"
            self._at = now if self._queue else None
            return b"W^1|  5.5|10*3\r\x03C4\r\n" if self._happens("at-once") else b""
        if self._state == "idle" or self._state == "pausing":
            return self._ask(now)
        return self._abort(now, CUT_S if self._state == "cut" else REST_S)

    def _ask(self, now: float) -> bytes:
        if not self._queue:
            self._state, self._at = "idle", None
            return b""
        self._attempts += 1
        self.report.attempts += 1
        if self._attempts > ATTEMPTS_MAX:
            return self._give_up(now)
        self._state, self._at = "asking", now + ANSWER_S
        return ENQ

    def _answer(self, byte: bytes, now: float) -> bytes:
        if self._state == "asking":
            return self._greeted(byte, now)
        return self._answered(byte, now) if self._state == "sending" else b""

    def _greeted(self, byte: bytes, now: float) -> bytes:
        if byte == ENQ or (byte == ACK and self._happens("contention")):
            self._pause(now, CONTENTION_S)
            return b""
        if byte == ACK and "keep-alive" in self._faults and not self._said_alive:
            self._said_alive = True
            self._pause(now, CONTENTION_S)
            return EOT
        if byte == ACK:
            self._frames, self._next, self._refusals = self._numbered(self._queue[0]), 0, 0
            return self._send(now)
        if byte == NAK:
            self._pause(now, BUSY_S)
        return b""

    def _answered(self, byte: bytes, now: float) -> bytes:
        is_last = self._next == len(self._frames) - 1
        is_second = self._next == min(1, len(self._frames) - 1)
        if is_last and byte == ACK and self._happens("lost-last-ack"):
            return b""
        if is_second and byte == ACK and self._happens("lost-ack"):
            byte = b"\x86"
        if byte not in {ACK, EOT}:
            return self._refused(now)
        self._next, self._refusals = self._next + 1, 0
        return self._finish(now) if is_last else self._send(now)

    def _refused(self, now: float) -> bytes:
        self._refusals += 1
        self.report.refused += 1
        return self._abort(now, REST_S) if self._refusals >= REFUSALS_MAX else self._send(now)

    def _send(self, now: float) -> bytes:
        self.report.frames += 1
        self._state, self._at = "sending", now + ANSWER_S
        whole = self._frames[self._next]
        if self._next == min(1, len(self._frames) - 1):
            if self._happens("bad-checksum"):
                at = whole.index(b"\r", len(whole) - 4) - 1
                return whole[:at] + (b"0" if whole[at : at + 1] != b"0" else b"1") + whole[at + 1 :]
            if self._happens("cut"):
                self._state, self._at = "cut", now + CUT_S
                return whole[: len(whole) // 2]
        return (b"\x00\xff~" if "noise" in self._faults else b"") + whole

    def _finish(self, now: float) -> bytes:
        self._queue.popleft()
        self.report.acknowledged += 1
        self._attempts, self._said_alive = 0, False
        self._rest(now)
        return EOT

    def _abort(self, now: float, rest_s: float) -> bytes:
        was_cut = self._state == "cut"
        self._pause(now, 0.0 if was_cut else rest_s)
        return b"" if was_cut else EOT

    def _give_up(self, now: float) -> bytes:
        self._queue.popleft()
        self.report.failed += 1
        self._attempts = 0
        self._rest(now)
        return b""

    def _rest(self, now: float) -> None:
        self._state = "idle"
        self._at = now + self._every_s if self._queue else None

    def _pause(self, now: float, seconds: float) -> None:
        self._state, self._at = "pausing", now + seconds

    def _happens(self, fault: str) -> bool:
        """Return whether a fault that happens once happens now."""
        if fault not in self._faults:
            return False
        self._faults.discard(fault)
        return True

    def _numbered(self, message: Sequence[tuple[bytes, bool]]) -> list[bytes]:
        end = b"\r" if "cr-only" in self._faults else b"\r\n"
        quirk = (1, 1, 1) if "frame-numbers" in self._faults else (1, 2, 3)
        numbers = [*quirk, *range(quirk[-1] + 1, quirk[-1] + 1 + len(message))]
        return [frame(n, text, is_last=last, line_end=end) for n, (text, last) in zip(numbers, message, strict=False)]
