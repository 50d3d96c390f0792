"""What every simulated device is: a pure object between a host and time, and a report of how it went.

Simulators are written from the makers' and standards' texts, never from our drivers, and import nothing of `edge`: what
both got wrong in the same way would otherwise never be seen. The same object runs in virtual time, on a pty and on a
real line (`ptys.py`).
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Report:
    """What was meant to be sent, and what the host answered. `failed`: given up."""

    messages: int = 0
    acknowledged: int = 0
    failed: int = 0
    frames: int = 0
    refused: int = 0
    attempts: int = 0
    bytes_sent: int = 0

    @property
    def is_good(self) -> bool:
        """Everything arrived, as far as this kind of device can know."""
        return self.failed == 0 and self.acknowledged == self.messages


class Device(Protocol):
    """`now` is in seconds and never goes back. What is returned goes on the line."""

    report: Report

    def feed(self, data: bytes, now: float) -> bytes:
        """Take what the host sent."""
        ...

    def tick(self, now: float) -> bytes:
        """Let time pass. The first call switches the device on."""
        ...

    def deadline(self) -> float | None:
        """When `tick` wants to be called; None when there is nothing more to do."""
        ...

    @property
    def is_done(self) -> bool:
        """Nothing is left to send, and nothing is awaited."""
        ...
