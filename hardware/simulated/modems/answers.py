"""What a command of a simulated modem comes to: an answer, a prompt for raw bytes, a call, or a wait.

The numbers of `+CME ERROR` are those of 3GPP TS 27.007 clause 9.2; their texts are given with AT+CMEE=2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Union

from hardware.simulated.modems.commands import Request

ANSWER_S: Final = 0.02
PROMPT_S_MAX: Final = 60.0
OK: Final = b"OK"
ERROR: Final = b"ERROR"
NUMERIC: Final[Mapping[bytes, bytes]] = {
    b"OK": b"0",
    b"CONNECT": b"1",
    b"RING": b"2",
    b"NO CARRIER": b"3",
    b"ERROR": b"4",
    b"NO DIALTONE": b"6",
    b"BUSY": b"7",
    b"NO ANSWER": b"8",
}
"""Result codes after ATV0: V.250 table 1."""
CME_TEXTS: Final[Mapping[int, str]] = {
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "SIM wrong",
    16: "incorrect password",
    30: "no network service",
    31: "network timeout",
    32: "network not allowed - emergency calls only",
    50: "incorrect parameters",
    100: "unknown",
    148: "unspecified GPRS error",
    149: "PDP authentication failure",
}
BAD_PARAMETER: Final = 50


@dataclass(frozen=True, slots=True)
class Answer:
    """Lines, perhaps counted raw bytes, and a final result code; b"" for none (SIM800's AT+CIFSR).

    `then` happens when all of it has been said: a fact that comes after its result code.
    """

    lines: tuple[bytes, ...] = ()
    final: bytes = OK
    after_s: float = ANSWER_S
    raw: bytes | None = None
    then: Callable[[float], None] | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A prompt, after which raw bytes are awaited: `size` of them, or up to one of `ends`.

    ESC gives up where `escapes`. `late` is what comes of it after `wait_s` without the rest.
    """

    prompt: bytes
    take: Callable[[bytes, float], "Outcome"]
    size: int | None = None
    ends: bytes = b""
    escapes: bool = False
    wait_s: float = PROMPT_S_MAX
    late: Answer = Answer(final=ERROR)
    after_s: float = ANSWER_S


@dataclass(frozen=True, slots=True)
class Online:
    """A call, or a transparent socket: from here on the line carries the far end's bytes."""

    text: bytes = b"CONNECT"
    lines: tuple[bytes, ...] = ()
    after_s: float = ANSWER_S


@dataclass(frozen=True, slots=True)
class Pending:
    """It takes time; `complete` is called later. Any byte from the host breaks it off where `abort` is given."""

    abort: Callable[[float], Answer] | None = None


Outcome = Union[Answer, Ask, Online, Pending]  # noqa: UP007 - Ask names Outcome before it exists
Handler = Callable[[Request, float], Outcome]


class Refuse(Exception):
    """A command is answered with `+CME ERROR: code`, or ERROR as long as AT+CMEE=0."""

    def __init__(self, code: int = BAD_PARAMETER) -> None:
        super().__init__(f"+CME ERROR: {code}")
        self.code = code
