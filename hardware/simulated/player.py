"""A device that says what a recording holds: for `feldsher kit replay --port`, and wherever a transcript should speak.

It knows no protocol. What stands in the recording behind an answer waits for that answer, as long as `PATIENCE_S`, and
then for as long as it did when it was recorded; so a host that is slower than the recorded one is waited for. What the
host says is counted and not understood. Pure, like every simulated device.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from hardware.simulated.device import Report

PATIENCE_S: Final = 20.0
"""An answer that does not come for so long is given up, and the recording goes on."""

Piece = tuple[str, float, bytes]
"""`<` what the device says or `>` what it is sent, seconds from the beginning, bytes."""


class Player:
    """See the module's text. `in_a_hurry`: no pauses; what only a silence tells apart then runs together."""

    def __init__(self, pieces: Iterable[Piece], *, in_a_hurry: bool = False) -> None:
        self._pieces = deque(pieces)
        self._in_a_hurry = in_a_hurry
        self._heard = self._wanted = 0
        self._before = 0.0
        self._free_at: float | None = None
        """When the piece before this one was said or heard; None: not switched on."""
        said = [piece for piece in self._pieces if piece[0] == "<"]
        self.report = Report(messages=len(self._pieces) - len(said), frames=len(said))

    @property
    def is_done(self) -> bool:
        """Nothing is left to say, and nothing is awaited."""
        return not self._pieces

    def feed(self, data: bytes, now: float) -> bytes:
        """Count what the host said."""
        self._heard += len(data)
        return b""

    def tick(self, now: float) -> bytes:
        """Return what is due."""
        self._free_at = now if self._free_at is None else self._free_at
        said = b""
        while self._pieces and (self._is_answered() or now >= self._due()):
            said += self._next(now)
        self.report.bytes_sent += len(said)
        return said

    def deadline(self) -> float | None:
        """When the next piece is due, or the answer before it is given up."""
        if not self._pieces:
            return None
        return 0.0 if self._free_at is None or self._is_answered() else self._due()

    def _is_answered(self) -> bool:
        """The next piece is an answer, and it is there."""
        direction, _, data = self._pieces[0]
        return direction == ">" and self._heard >= self._wanted + len(data)

    def _due(self) -> float:
        direction, at, _ = self._pieces[0]
        pause_s = 0.0 if self._in_a_hurry else max(0.0, at - self._before)
        return (self._free_at or 0.0) + pause_s + (PATIENCE_S if direction == ">" else 0.0)

    def _next(self, now: float) -> bytes:
        is_answered = self._is_answered()
        due = self._due()
        direction, self._before, data = self._pieces.popleft()
        self._free_at = now if direction == ">" or self._in_a_hurry else due
        if direction == "<":
            return data
        self._wanted += len(data)
        self.report.acknowledged += is_answered
        self.report.failed += not is_answered
        return b""
