"""The steps of which scripts for the AT engine are made, and what a script may do to its line. Words only.

A script is a generator: it yields a step, and is resumed with a `Reply` or has an `AtFault` thrown into it
(`node/modems/at.py` tells how, with examples).
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar


@dataclass(frozen=True, slots=True)
class Command:
    """One command and how its answer is known. Patterns are regular expressions, matched at a line's start."""

    text: str
    """Without its CR; "" sends nothing and only waits."""
    timeout_s: float = 5.0
    claims: str = ""
    """Lines that belong to the answer, even if they look unsolicited. One at least must come, unless `is_optional`."""
    finals: str = "OK$"
    failures: str = ""
    """Final results that mean no, beside the common ones."""
    is_optional: bool = False
    is_free: bool = False
    """Every line that is not unsolicited belongs to the answer (`AT+CGMM`)."""
    payload: bytes | None = None
    """Sent when the prompt comes: `>`, or a line that is `prompt`."""
    prompt: str = ">"
    raw: Callable[[str], int] | None = None
    """How many bytes follow a claimed line; 0: none."""
    binary: Callable[[bytes], int | None] | None = None
    """The answer begins without a line (`AT+SBDRB`): from its first bytes its size; None: more are needed; 0: no, this
    is a line."""
    connects: bool = False
    """The final result begins TRANSPARENT."""
    call_end: bytes = b"\r\nNO CARRIER\r\n"
    """Then silence: the call has ended."""
    ending: bytes = b"\r"
    is_secret: bool = False
    """What stands behind the `=` is shown to nobody (a PIN, a password)."""

    @property
    def label(self) -> str:
        """What to call it in messages."""
        if not self.text:
            return f"waiting for {self.finals}"
        return self.text.partition("=")[0] if self.is_secret else self.text


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing but time."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Idle:
    """Until there is something to do: `poke`, an unsolicited line, or so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes for the line; nothing is awaited."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a step brought."""

    lines: tuple[str, ...] = ()
    final: str = ""
    raw: bytes = b""

    @property
    def line(self) -> str:
        """Return the first line of the answer, "" without one."""
        return self.lines[0] if self.lines else ""


Step = Command | Pause | Idle | Say
_Result = TypeVar("_Result")
Script = Generator[Step, Reply, _Result]


class Controls(Protocol):
    """What a modem may do to its line beside sending bytes."""

    def set_baud(self, baud: int) -> None: ...
    def set_dtr(self, on: bool) -> None: ...
    def reopen(self) -> None:
        """Close the line and open it again: `lost` and `open` of the modem follow, later."""

    def unsent(self) -> int:
        """Return how many bytes of `output` have not left yet."""

    def has_carrier(self) -> bool | None:
        """Return whether DCD is raised; None where the line has none."""


class NoControls:
    """A line without anything to control (a pty, a simulation)."""

    def set_baud(self, baud: int) -> None: ...
    def set_dtr(self, on: bool) -> None: ...
    def reopen(self) -> None: ...
    def unsent(self) -> int:
        return 0

    def has_carrier(self) -> bool | None:
        return None
