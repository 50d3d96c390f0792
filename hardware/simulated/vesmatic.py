"""A Diesse VES-MATIC CUBE: sedimentation rates of several tubes in one message, and the question what to work on.

Written from the instructions manual of the VES-MATIC CUBE 30, chapter 7, and the service manual of the Mini Cube. It
waits two seconds for `06 01 CR`, and for the first of them it is not yet listening.
"""

from collections.abc import Iterable, Mapping
from functools import reduce
from operator import xor
from random import Random
from typing import Final

from hardware.simulated import lab_sender
from hardware.simulated.lab_sender import Sender
from hardware.simulated.scanner import patient_label

DEAF_S: Final = 1.0
TUBES: Final = 3
FAULTS: Final[Mapping[str, str]] = lab_sender.FAULTS | {
    "query": "it asks first which tubes it may work on, and waits for no answer",
    "unknown-form": "a habit: results in another form than is documented",
    "over-140": "the first rate is over 140",
    "control": "a control comes before the results",
}


def frame(command: str, data: bytes) -> bytes:
    """Return a frame with its length and check."""
    body = f">00{len(data):02X}01{command}".encode() + data + b"\r"
    return body + f"{reduce(xor, body):02X}".encode()


def tube(seed: int, at: int, value: str) -> bytes:
    """Return the result of one tube: barcode, end, date, time, value, errors."""
    return f"{patient_label(seed, at)}\x10221126{9:02d}{at % 60:02d}{value:>4}00".encode()


def results(seed: int, first: int, count: int, *, is_over: bool = False) -> bytes:
    """Return the data of a message of results."""
    chance = Random(f"vesmatic/{seed}/{first}")  # noqa: S311  invented values
    values = [str(chance.randint(2, 60)) for _ in range(count)]
    if is_over:
        values[0] = ">140"
    return f"{count:02X}".encode() + b"".join(tube(seed, first + at, value) for at, value in enumerate(values))


class VesMatic(Sender):
    """Sends `count` messages of three tubes."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 5.0, faults: Iterable[str] = ()) -> None:
        faults = set(faults)
        steps = [[frame("51", results(seed, at * TUBES, TUBES, is_over="over-140" in faults))] for at in range(count)]
        if "unknown-form" in faults:
            steps = [[frame("51", b"01rack 1 place 7")] for _ in range(count)]
        if "control" in faults:
            steps.insert(0, [frame("52", b"BATCH1311227" + b"0A14")])
        self._query = frame("50", b"0120586743\x10") if "query" in faults else b""
        self._sent_at = 0.0
        super().__init__(steps, every_s, faults, 2.0, 5)

    def feed(self, data: bytes, now: float) -> bytes:
        return super().feed(data, now) if now >= self._sent_at + DEAF_S else b""

    def _send(self, now: float) -> bytes:
        self._sent_at = now
        query, self._query = self._query, b""
        return query + super()._send(now)
