"""A device that sends HL7 v2 in MLLP: one message, its acknowledgement, the next. Faults as reported from the field.

Written from HL7 v2.3.1 chapter 2 (original and enhanced acknowledgement), the MLLP transport specification and the LIS
manuals of Mindray (waits 10 s for an answer) and E-LAB (ES-480, serial, 9600 baud).

    idle ── something to send ──► waiting ── AA of this control id ──► idle
      ▲                              │ AE, AR, nothing for 10 s
      └──── pause over, same again ──┘   SENDS_MAX times at most

`FAULTS` names what can go wrong; each happens once, in the first message, unless it is a habit of the device.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from hardware.simulated.device import Report

BEGIN, END = b"\x0b", b"\x1c\r"
ANSWER_S: Final = 10.0
PAUSE_S: Final = 5.0
CUT_S: Final = 20.0
"""How long a device that was cut off in the middle stays silent."""
SENDS_MAX: Final = 20
ANSWERED_SIZE_MAX: Final = 1 << 16

FAULTS: Final[Mapping[str, str]] = {
    "lost-ack": "the answer to the first message never arrives: it is sent again",
    "fresh-time": "a habit: a message that is sent again has a new time in MSH-7",
    "cut": "silence in the middle of the first message, and all of it again later",
    "no-end": "a habit: nothing follows the last segment, neither 1C nor 0D",
    "no-cr": "a habit: 1C without 0D",
    "line-feeds": "a habit: segments end with CR LF",
    "padding": "a habit: NULs and line ends between messages",
    "together": "all messages are sent in one piece, before the first answer",
    "query": "a query for work orders comes before the first message, and is to be refused",
    "at-once": "speaks the moment it is switched on, in the middle of a message",
}


class Hl7Sender:
    """Sends its messages, each the bytes of segments ended by CR, one every `every_s` seconds."""

    def __init__(self, messages: Iterable[bytes], faults: Iterable[str] = (), every_s: float = 0.0) -> None:
        self._queue = deque(messages)
        self._faults = set(faults)
        self._every_s = every_s
        self.report = Report(messages=len(self._queue))
        self._state = "off"
        self._at: float | None = 0.0
        self._sends = 0
        self._is_together = False
        """All have been sent; only answers are awaited."""
        self._heard = bytearray()
        if "query" in self._faults:
            self._queue.appendleft(query_like(self._queue[0]))

    def feed(self, data: bytes, now: float) -> bytes:
        self._heard = bytearray((self._heard + data)[-ANSWERED_SIZE_MAX:])
        while (end := self._heard.find(b"\x1c")) >= 0:
            answer = bytes(self._heard[self._heard.find(b"\x0b") + 1 : end])
            del self._heard[: end + 1]
            self._answered(answer, now)
        return b""

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
        return not self._queue

    # What happens

    def _time_is_up(self, now: float) -> bytes:
        before = b""
        if self._state == "off" and self._happens("at-once"):
            before = b"|7|NM|PLT^Platelets||248|10*9/L\r" + END
        if self._state == "waiting":
            self.report.refused += 1
            self._pause(now, PAUSE_S)
            return b""
        return before + self._send(now)

    def _send(self, now: float) -> bytes:
        self._sends += 1
        self.report.attempts += 1
        if self._sends > SENDS_MAX:
            self._next(now, is_good=False)
            return b""
        self._state, self._at = "waiting", now + ANSWER_S
        self.report.frames += 1
        whole = self._enveloped(self._queue[0])
        if self._happens("cut"):
            self._at = now + CUT_S
            return whole[: len(whole) * 2 // 3]
        if self._happens("together"):
            self._is_together = True
            return b"".join(self._enveloped(one) for one in self._queue)
        return whole

    def _enveloped(self, message: bytes) -> bytes:
        if "fresh-time" in self._faults and self._sends > 1:
            fields = message.split(b"|", 7)
            fields[6] = b"%014d" % (int(fields[6]) + self._sends)
            message = b"|".join(fields)
        if "line-feeds" in self._faults:
            message = message.replace(b"\r", b"\r\n")
        end = b"" if "no-end" in self._faults else END[:1] if "no-cr" in self._faults else END
        return (b"\x00\r\n" if "padding" in self._faults else b"") + BEGIN + message + end

    def _answered(self, answer: bytes, now: float) -> None:
        """Take an answer; only that to the message that waits counts."""
        found = [line.split(b"|") for line in answer.split(b"\r") if line.startswith(b"MSA|")]
        if self._state != "waiting" or not found or len(found[0]) < 3:
            return
        code, control_id = found[0][1], found[0][2]
        if control_id != self._queue[0].split(b"|", 10)[9] or (code == b"AA" and self._happens("lost-ack")):
            return
        if code in {b"AA", b"CA"} or self._is_query():
            self._next(now, is_good=True)
        else:
            self.report.refused += 1
            self._pause(now, PAUSE_S)

    def _is_query(self) -> bool:
        return b"|QRY^" in self._queue[0].partition(b"\r")[0]

    def _next(self, now: float, *, is_good: bool) -> None:
        if not self._is_query():
            self.report.acknowledged += 1 if is_good else 0
            self.report.failed += 0 if is_good else 1
        self._queue.popleft()
        self._sends = 0
        self._state = "waiting" if self._is_together else "idle"
        self._at = now + (ANSWER_S if self._is_together else self._every_s) if self._queue else None

    def _pause(self, now: float, seconds: float) -> None:
        self._state, self._at, self._is_together = "pausing", now + seconds, False

    def _happens(self, fault: str) -> bool:
        """Return whether a fault that happens once happens now."""
        if fault not in self._faults:
            return False
        self._faults.discard(fault)
        return True


def query_like(message: bytes) -> bytes:
    """Return a query for the orders of a specimen, in the header of a message."""
    fields = message.partition(b"\r")[0].split(b"|")
    fields[8], fields[9] = b"QRY^Q02", fields[9] + b"Q"
    return b"|".join(fields) + b"\rQRD|20260801080000|R|D|1|||RD|12345674|OTH|||T|\r"
