"""A laboratory analyser that reads the number of a tube, asks the host what is ordered, and measures that.

Written from LIS01-A2 section 6 and LIS02-A2 sections 8, 12 and 15, as the instrument: it asks in a transfer of its own
(H, Q, L), then listens. As a receiver it answers ENQ with ACK, each frame with ACK when sum and number are right and
with NAK otherwise, and forgets a message in which nothing came for 30 s. Orders (O) are measured and reported; an
answer without any ends the tube. Without an answer it asks again after `WAIT_S`, `ASKS_MAX` times.

    next tube ──► asking (an `Analyser`) ──► listening ── answer with orders ──► reporting (an `Analyser`) ──► next tube
                     ▲                          │ nothing                └─ without: next tube
                     └──────────────────────────┘

`FAULTS`: what an instrument does to a host that has something to say; each happens once.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import Final

from hardware.simulated.analyser import (
    ACK,
    CONTENTION_S,
    ENQ,
    EOT,
    ETX,
    NAK,
    STX,
    Analyser,
    in_records,
)
from hardware.simulated.device import Report

WAIT_S: Final = 120.0
ASKS_MAX: Final = 3
RECEIVE_S: Final = 30.0
FRAME_SIZE_MAX: Final = 64_000
INTERRUPT_S: Final = 2.0

FAULTS: Final[Mapping[str, str]] = {
    "collision": "calls at the moment the host does (contention), then again after a second, and has nothing to say",
    "busy": "answers the host's first ENQ with NAK",
    "deaf": "does not answer the host's first ENQ",
    "refuses-frame": "answers the second frame of the first answer with NAK, twice",
    "refuses-all": "answers every frame of the first answer with NAK",
    "interrupts": "answers the first frame with EOT: it wants the line, and uses it after two seconds",
    "silent-middle": "does not answer the second frame of the first answer",
}


class _Receiver:
    """The receiving half: bytes of the host in, answers out, whole messages in `messages`."""

    def __init__(self, faults: set[str]) -> None:
        self._faults = faults
        self.state = "neutral"
        self.at: float | None = None
        self.messages: deque[list[str]] = deque()
        self._frame = b""
        self._text = b""
        self._number = 0
        self._frames_seen = 0
        self._refuse = 0

    def feed(self, byte: bytes, now: float) -> bytes:
        if self.state == "calling":
            return self._called(byte)
        if self._frame:
            return self._in_frame(byte, now)
        if byte == ENQ:
            return self._greet(now)
        if self.state == "receiving" and byte == EOT:
            self.state, self.at = "neutral", None
            return b""
        if self.state == "receiving" and byte == STX:
            self._frame = byte
        return b""

    def tick(self, now: float) -> bytes:
        if self.at is None or now < self.at:
            return b""
        if self.state == "wants line":
            self.state, self.at = "calling", now + 15.0
            return ENQ
        self.state, self.at, self._frame = "neutral", None, b""
        return b""

    def _called(self, byte: bytes) -> bytes:
        """Our ENQ was answered; there is nothing to say after all."""
        if byte not in {ACK, NAK}:
            return b""
        self.state, self.at = "neutral", None
        return EOT if byte == ACK else b""

    def _greet(self, now: float) -> bytes:
        if self._happens("collision"):
            self.state, self.at = "wants line", now + CONTENTION_S
            return ENQ
        if self._happens("busy"):
            return NAK
        if self._happens("deaf"):
            return b""
        if self._happens("refuses-frame"):
            self._refuse = 2
        self.state, self.at = "receiving", now + RECEIVE_S
        self._text, self._number, self._frames_seen = b"", 0, 0
        return ACK

    def _in_frame(self, byte: bytes, now: float) -> bytes:
        self._frame += byte
        if len(self._frame) > FRAME_SIZE_MAX:
            self._frame = b""
            return NAK
        if not self._frame.endswith(b"\r\n"):
            return b""
        frame, self._frame = self._frame, b""
        self.at = now + RECEIVE_S
        self._frames_seen += 1
        return self._judge(frame, now)

    def _judge(self, frame: bytes, now: float) -> bytes:
        if "refuses-all" in self._faults:
            if self._frames_seen == 6:
                self._faults.discard("refuses-all")
            return NAK
        if self._frames_seen >= 2 and self._refuse:
            self._refuse -= 1
            return NAK
        if self._frames_seen == 2 and self._happens("silent-middle"):
            return b""
        body, sum_given = frame[1:-4], frame[-4:-2]
        number = (self._number + 1) % 8
        if b"%02X" % (sum(body) % 256) != sum_given or body[:1] != b"%d" % number:
            return NAK
        if self._happens("interrupts"):
            self.state, self.at = "wants line", now + INTERRUPT_S
            return EOT
        self._number = number
        self._take(body[1:-1], is_last=body[-1:] == ETX)
        return ACK

    def _take(self, text: bytes, *, is_last: bool) -> None:
        self._text += text
        records = [one.decode("latin-1") for one in self._text.split(b"\r") if one]
        if is_last and records and records[-1].startswith("L"):
            self.messages.append(records)
            self._text = b""

    def _happens(self, fault: str) -> bool:
        if fault not in self._faults:
            return False
        self._faults.discard(fault)
        return True


class AskingAnalyser:
    """Works through `samples`. `told` keeps, for each of them, what the host ordered."""

    def __init__(self, samples: Iterable[str], faults: Iterable[str] = (), every_s: float = 0.0, seed: int = 1) -> None:
        self._samples = deque(samples)
        self._faults = set(faults)
        self._every_s = every_s
        self._chance = Random(f"asking/{seed}")  # noqa: S311  invented values
        self.report = Report(messages=len(self._samples))
        self.told: dict[str, list[str]] = {}
        self.patients: dict[str, str] = {}
        self._receiver = _Receiver(self._faults)
        self._sender: Analyser | None = None
        self._phase = "next"
        self._at: float | None = 0.0
        self._asks = 0

    # The line

    def feed(self, data: bytes, now: float) -> bytes:
        out = b""
        for at in range(len(data)):
            byte = data[at : at + 1]
            if self._sender is not None and self._sender.has_line:
                out += self._sender.feed(byte, now)
            else:
                out += self._receiver.feed(byte, now)
            self._after_step(now)
        return out

    def tick(self, now: float) -> bytes:
        out = self._receiver.tick(now)
        if self._sender is not None and self._receiver.state == "neutral":
            out += self._sender.tick(now)
        self._after_step(now)
        if self._at is not None and now >= self._at and self._sender is None:
            self._at = None
            self._go_on(now)
        return out

    def deadline(self) -> float | None:
        times = [self._receiver.at, self._at if self._sender is None else None]
        if self._sender is not None and self._receiver.state == "neutral":
            times.append(self._sender.deadline())
        return min((at for at in times if at is not None), default=None)

    @property
    def is_done(self) -> bool:
        return not self._samples and self._sender is None and self._receiver.state == "neutral"

    # What happens

    def _go_on(self, now: float) -> None:
        """Time is up: the next tube, or the same question once more."""
        if self._phase == "listening" and self._asks >= ASKS_MAX:
            self.report.failed += 1
            self._next_tube(now)
            return
        if self._samples:
            self._asks += 1
            self._phase = "asking"
            self._send([f"Q|1|^{self._samples[0]}||ALL||||||||O"], now)

    def _send(self, lines: Sequence[str], now: float) -> None:
        records = ["H|\\^&|||SIM-ASKS^1.0|||||LIS||P|1394-97", *lines, "L|1|N"]
        self._sender = Analyser([in_records([one.encode("latin-1") for one in records])])
        self._sender.tick(now)
        self._at = None

    def _after_step(self, now: float) -> None:
        if self._sender is not None and self._sender.is_done and self._sender.report.attempts:
            report = self._sender.report
            self.report.frames += report.frames
            self.report.attempts += report.attempts
            self.report.refused += report.refused
            self.report.bytes_sent += report.bytes_sent
            self._sender = None
            self._said(now, is_good=report.is_good)
        while self._receiver.messages and self._phase == "listening":
            self._answered(self._receiver.messages.popleft(), now)

    def _said(self, now: float, *, is_good: bool) -> None:
        if self._phase == "asking":
            self._phase, self._at = "listening", now + WAIT_S
        else:
            self.report.acknowledged += is_good
            self.report.failed += not is_good
            self._next_tube(now)

    def _answered(self, records: list[str], now: float) -> None:
        sample = self._samples[0]
        marks = records[0][1:5]
        field, repeat, component = marks[0], marks[1], marks[2]
        rows = [one.split(field) for one in records]
        patient = ""
        tests: list[str] = []
        for row in rows:
            if row[0] == "P":
                patient = row[2] if len(row) > 2 else ""
            if row[0] == "O" and row[2] == sample:
                tests += [code.split(component)[3] for code in row[4].split(repeat)]
                self.patients[sample] = patient
        self.told[sample] = tests
        if not tests:
            self.report.acknowledged += 1
            self._next_tube(now)
            return
        self._phase = "reporting"
        codes = repeat.join(f"^^^{one}" for one in tests)
        values = [f"R|{at}|^^^{one}|{self._chance.uniform(1, 20):.1f}|||N||F" for at, one in enumerate(tests, 1)]
        self._send(["P|1", f"O|1|{sample}||{codes}|R", *values], now)

    def _next_tube(self, now: float) -> None:
        self._samples.popleft()
        self._phase, self._asks = "next", 0
        self._at = now + self._every_s if self._samples else None
