"""The dialogue with a meter that speaks when asked: one question at a time, and no reading out of other bytes.

What the GQ GMC, Radex One and Rad Pro drivers share. Their answers have no frame or a weak one, so what tells an
answer from noise is silence around it: nothing is asked before the line was quiet for `LISTEN_S` (a program that asked
before us may have left an answer, a meter its heartbeat), and an answer is believed only when nothing followed it for
`REST_S`. Whatever comes unasked makes the answer void: the meter is hushed, the line drained, the question asked again.

`NEXT` is the whole machine. The times are eighths of a second, which text with three decimals keeps exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

LISTEN_S: Final = 1.5
"""Longer than the second between two heartbeats."""
DRAIN_S: Final = 1.5
ANSWER_S: Final = 1.5
QUIET_S: Final = 0.25
"""So long a silence ends an answer whose length is not fixed."""
REST_S: Final = 0.125
PROBE_S: Final = 8.0
"""Between two questions to a meter that does not answer."""
HUSH_S: Final = 4.0
TRIES_MAX: Final = 3
ANSWER_SIZE_MAX: Final = 1 << 17

NEW, LISTENING, ASKING, RESTING, DRAINING, SILENT = "new", "listening", "asking", "resting", "draining", "silent"
HEARD, DUE, WHOLE, LATE, GIVEN_UP = "heard", "due", "whole", "late", "given up"

NEXT: Final[Mapping[tuple[str, str], str]] = {
    (NEW, HEARD): DRAINING,
    (NEW, DUE): LISTENING,
    (LISTENING, HEARD): DRAINING,
    (LISTENING, DUE): ASKING,
    (ASKING, WHOLE): RESTING,
    (ASKING, LATE): DRAINING,
    (ASKING, GIVEN_UP): SILENT,
    (RESTING, HEARD): DRAINING,
    (RESTING, DUE): ASKING,
    (DRAINING, HEARD): DRAINING,
    (DRAINING, DUE): ASKING,
    (SILENT, HEARD): DRAINING,
    (SILENT, DUE): ASKING,
}
"""(state, event) to state. HEARD is bytes that nobody asked for; DUE the state's own time."""

WAITS_S: Final[Mapping[str, float]] = {LISTENING: LISTEN_S, RESTING: REST_S, DRAINING: DRAIN_S, SILENT: PROBE_S}


@dataclass(frozen=True, slots=True)
class Question:
    """`size(heard, is_quiet)`: how many of the bytes heard so far are the answer; 0 while it is not whole.

    `is_needed`: a meter that does not answer it is silent; any other question is given up with an empty answer.
    """

    name: str
    request: bytes
    size: Callable[[bytearray, bool], int]
    is_needed: bool = False


class Asker(Protocol):
    """Who knows what to ask. `question` says the same until it was answered."""

    def question(self, now: float) -> Question | float:
        """Return what to ask now, or when to call again."""
        ...

    def answered(self, question: Question, answer: bytes, at: float) -> None:
        """`answer` came at `at`; it is empty where the meter gave none."""
        ...

    def silent(self, now: float) -> None:
        """The meter does not answer."""
        ...

    def disturbed(self, now: float) -> None:
        """The meter spoke unasked."""
        ...


class Poller:
    """See the module's text. `feed` and `tick` return what to send. Holds at most one answer."""

    def __init__(self, asker: Asker, hush: bytes = b"") -> None:
        self._asker, self._hush = asker, hush
        self._state = NEW
        self._due = 0.0
        self._question: Question | None = None
        self._heard = bytearray()
        self._answer: tuple[bytes, float] | None = None
        self._asked_at = self._heard_at = 0.0
        self._hush_at = 0.0
        self._failures = 0

    def feed(self, data: bytes, now: float) -> bytes:
        """Take what came."""
        if not data:
            return b""
        self._heard_at = now
        if self._state != ASKING or self._question is None:
            return self._on(HEARD, now)
        self._heard += data
        size = self._question.size(self._heard, False)
        if size:
            return self._whole(size, now)
        if len(self._heard) > ANSWER_SIZE_MAX:
            return self._failed(now)
        self._due = min(self._asked_at + ANSWER_S, now + QUIET_S)
        return b""

    def tick(self, now: float) -> bytes:
        """Let time pass."""
        if now < self._due:
            return b""
        return self._wait_ended(now) if self._state == ASKING else self._on(DUE, now)

    def lost(self, now: float) -> None:
        """The line is gone; ask again in a while."""
        self._state, self._due = SILENT, now + PROBE_S
        self._answer = None
        self._asker.silent(now)

    def deadline(self) -> float:
        """When `tick` wants to be called; at once for a line on which nothing happened yet."""
        return self._due

    def _wait_ended(self, now: float) -> bytes:
        """No more came for a moment: the answer is whole, or late, or not to be had."""
        size = self._question.size(self._heard, True) if self._question is not None and self._heard else 0
        if size:
            return self._whole(size, self._heard_at)
        latest = (self._heard_at if self._heard else self._asked_at) + ANSWER_S
        if now < latest:
            self._due = latest
            return b""
        return self._failed(now)

    def _whole(self, size: int, at: float) -> bytes:
        self._answer = bytes(self._heard[:size]), at
        self._on(WHOLE, at)
        return self._on(HEARD, at) if len(self._heard) > size else b""

    def _failed(self, now: float) -> bytes:
        self._failures += 1
        if self._failures < TRIES_MAX:
            return self._on(LATE, now)
        self._failures = 0
        if self._question is None or self._question.is_needed:
            return self._on(GIVEN_UP, now)
        self._answer = b"", now
        return self._on(WHOLE, now)

    def _on(self, event: str, now: float) -> bytes:
        self._state = NEXT[self._state, event]
        if self._state == ASKING:
            return self._ask(now)
        if self._state == DRAINING:
            return self._drain(event, now)
        if self._state == SILENT:
            self._asker.silent(now)
        self._due = now + WAITS_S[self._state]
        return b""

    def _drain(self, event: str, now: float) -> bytes:
        self._due = now + WAITS_S[DRAINING]
        self._answer = None
        if event != HEARD or now < self._hush_at:
            return b""
        self._hush_at = now + HUSH_S
        self._asker.disturbed(now)
        return self._hush

    def _ask(self, now: float) -> bytes:
        if self._answer is not None and self._question is not None:
            self._failures = 0
            (answer, at), self._answer = self._answer, None
            self._asker.answered(self._question, answer, at)
        wanted = self._asker.question(now)
        if not isinstance(wanted, Question):
            self._state, self._due = RESTING, wanted
            return b""
        self._question, self._asked_at, self._due = wanted, now, now + ANSWER_S
        self._heard.clear()
        return wanted.request


def exactly(size: int) -> Callable[[bytearray, bool], int]:
    """Return the rule for an answer of a fixed size."""
    return lambda heard, is_quiet: size if len(heard) >= size else 0
