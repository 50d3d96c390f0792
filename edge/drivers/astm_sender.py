"""ASTM E1381-95 / CLSI LIS01-A2, the sending half: the kit as the computer system that has a message for an analyser.

A pure machine beside `astm.py`, which owns the line: it asks `wants_line` while nobody speaks, and while `is_speaking`
gives every byte to `feed`. LIS01-A2 section 6.3 (establishment), 6.4 (transfer), 6.5 (timers, recovery):

    resting    nothing to say, or it waits until it may be said
    calling    ENQ is out; 15 s for an answer. ACK: frames follow. NAK: not again for 10 s. Nothing: EOT
               ENQ: contention (6.5.2.7.2). The instrument has priority: we are silent for 20 s, so that it can ask
    sending    a frame is out; 15 s for its answer. ACK: the next one, or EOT. EOT: taken as ACK, and the receiver wants
               the line: EOT, and not again for 15 s. NAK or anything else: the same frame again, six times, then EOT

A message that was not taken whole is sent again whole, `TRIES_MAX` times; then people are told and it is given up: the
analyser asks again when it still wants to know. Nothing here survives a crash, and nothing needs to.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge.driver import Event, Fault, Note, Send
from edge.drivers.astm_frames import ACK, ENQ, EOT, ETB, ETX, NAK, STX, checksum
from wire.errors import Misuse

ANSWER_S: Final = 15.0
BUSY_S: Final = 10.0
"""6.3.2: after NAK to an ENQ. Also between an aborted transfer and the next try."""
YIELD_S: Final = 20.0
"""6.5.2.7.2: how long a computer system that met contention waits for the instrument's ENQ."""
INTERRUPT_S: Final = 15.0
"""6.5.4: after a receiver's interrupt request the sender leaves the line alone for this long."""
REFUSALS_MAX: Final = 6
TRIES_MAX: Final = 5
"""Of one message; contention costs no try, for the other was speaking then."""
CONTENTIONS_MAX: Final = 20
WAITING_MAX: Final = 64
"""Messages that wait for the line."""
TEXT_SIZE_MAX: Final = 240
"""6.3.1.2: characters of text in a frame on a serial line."""

RESTING, CALLING, SENDING = "resting", "calling", "sending"
MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of Sender; it may choose another state)
    (RESTING, "CALL"): (CALLING, "call"),
    (CALLING, "ACK"): (SENDING, "begin"),
    (CALLING, "NAK"): (RESTING, "put_off"),
    (CALLING, "ENQ"): (RESTING, "yield_line"),
    (CALLING, "EOT"): (CALLING, "ignore"),
    (CALLING, "OTHER"): (CALLING, "ignore"),
    (CALLING, "TIMEOUT"): (RESTING, "unanswered"),
    (SENDING, "ACK"): (SENDING, "acknowledged"),
    (SENDING, "EOT"): (SENDING, "interrupted"),
    (SENDING, "NAK"): (SENDING, "refused"),
    (SENDING, "ENQ"): (SENDING, "refused"),
    (SENDING, "OTHER"): (SENDING, "refused"),
    (SENDING, "TIMEOUT"): (RESTING, "fell_silent"),
    (CALLING, "LOST"): (RESTING, "cut_off"),
    (SENDING, "LOST"): (RESTING, "cut_off"),
    (RESTING, "LOST"): (RESTING, "ignore"),
}
_EVENTS: Final = {ACK: "ACK", NAK: "NAK", ENQ: "ENQ", EOT: "EOT"}


@dataclass(slots=True)
class _Message:
    """`key`: what it answers; another with the same key takes its place."""

    key: object
    frames: tuple[bytes, ...]
    tries: int = 0
    contentions: int = 0


def framed(records: Sequence[bytes], text_size: int) -> tuple[bytes, ...]:
    """Return the frames of a message: each record by itself, in pieces of at most `text_size` characters.

    6.3.1: ETB ends a piece that another follows, ETX the last; frames are numbered from 1, modulo 8.
    """
    frames: list[bytes] = []
    for record in records:
        text = record + b"\r"
        for at in range(0, len(text), text_size):
            end = ETX if at + text_size >= len(text) else ETB
            body = b"%d" % ((len(frames) + 1) % 8) + text[at : at + text_size] + bytes((end,))
            frames.append(bytes((STX,)) + body + checksum(body) + b"\r\n")
    return tuple(frames)


class Sender:
    """See the module's text. Every call returns what to do; `now` is monotonic seconds."""

    def __init__(self, text_size: int = TEXT_SIZE_MAX) -> None:
        self._text_size = text_size
        self._waiting: deque[_Message] = deque()
        self._state = RESTING
        self._due = 0.0
        """When an answer is overdue."""
        self._not_before = 0.0
        self._waits_for_it = False
        """Until `_not_before` the line is the analyser's, which wants it."""
        self._next = self._refusals = 0
        self._now = 0.0
        self._actions: Mapping[str, Callable[[], list[Event]]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    @property
    def is_speaking(self) -> bool:
        """The line is ours: every byte that comes is an answer to us."""
        return self._state != RESTING

    @property
    def calls_at(self) -> float | None:
        """When the line is wanted, if nobody else speaks on it then; None while there is nothing to say."""
        return self._not_before if self._waiting and not self.is_speaking else None

    def deadline(self) -> float | None:
        """When `tick` is due because an answer is."""
        return self._due if self.is_speaking else None

    def put(self, key: object, records: Sequence[bytes]) -> list[Event]:
        """Take a message. What waits under the same key is forgotten, unless it is being sent."""
        frames = framed(records, self._text_size)
        under_way = self._waiting[0] if self.is_speaking else None
        self._waiting = deque(one for one in self._waiting if one is under_way or one.key != key)
        if len(self._waiting) >= WAITING_MAX:
            return [Fault("orders", f"{WAITING_MAX} answers wait for the analyser already; this one was dropped")]
        self._waiting.append(_Message(key, frames))
        return []

    def cancel(self) -> None:
        """The analyser does not want to know any more: forget what is not under way."""
        while len(self._waiting) > int(self.is_speaking):
            self._waiting.pop()

    def call(self, now: float) -> list[Event]:
        """The line is free: ask for it."""
        return self._move("CALL", now)

    def feed(self, byte: int, now: float) -> list[Event]:
        """Take one byte while `is_speaking`."""
        return self._move(_EVENTS.get(byte, "OTHER"), now)

    def tick(self, now: float) -> list[Event]:
        """Let time pass."""
        return self._move("TIMEOUT", now) if self.is_speaking and now >= self._due else []

    def free(self, now: float) -> None:
        """The analyser has had the line: if that is what was waited for, the wait is over."""
        if self._waits_for_it:
            self._waits_for_it, self._not_before = False, now

    def lost(self, now: float) -> list[Event]:
        """The port vanished: what was under way begins anew when it is back."""
        return self._move("LOST", now)

    def _move(self, event: str, now: float) -> list[Event]:
        self._now = now
        try:
            self._state, action = MOVES[self._state, event]
        except KeyError:
            raise Misuse(f"astm: {event} while {self._state}") from None
        return self._actions[action]()

    # Actions

    def _ignore(self) -> list[Event]:
        return []

    def _call(self) -> list[Event]:
        self._waiting[0].tries += 1
        return self._say(bytes((ENQ,)))

    def _begin(self) -> list[Event]:
        self._next = self._refusals = 0
        return self._say(self._waiting[0].frames[0])

    def _acknowledged(self) -> list[Event]:
        self._next, self._refusals = self._next + 1, 0
        frames = self._waiting[0].frames
        if self._next < len(frames):
            return self._say(frames[self._next])
        self._waiting.popleft()
        self._state, self._not_before, self._waits_for_it = RESTING, self._now, False
        return [Send(bytes((EOT,))), Note("the analyser has taken the answer to its question")]

    def _interrupted(self) -> list[Event]:
        """6.5.4: EOT for an ACK. What was its last frame has arrived; else the whole message goes again."""
        if self._next + 1 >= len(self._waiting[0].frames):
            events = self._acknowledged()
        else:
            events = [*self._end(), *self._again("it asked for the line in the middle")]
        self._not_before, self._waits_for_it = self._now + INTERRUPT_S, True
        return events

    def _refused(self) -> list[Event]:
        self._refusals += 1
        if self._refusals < REFUSALS_MAX:
            return self._say(self._waiting[0].frames[self._next])
        return [*self._end(), *self._again(f"it refused frame {self._next + 1} {self._refusals} times")]

    def _put_off(self) -> list[Event]:
        self._not_before = self._now + BUSY_S
        return self._again("it is busy")

    def _yield_line(self) -> list[Event]:
        message = self._waiting[0]
        message.tries, message.contentions = message.tries - 1, message.contentions + 1
        self._not_before, self._waits_for_it = self._now + YIELD_S, True
        return self._again("it calls at the same time, again and again") if self._is_hopeless(message) else []

    @staticmethod
    def _is_hopeless(message: _Message) -> bool:
        return message.contentions > CONTENTIONS_MAX

    def _unanswered(self) -> list[Event]:
        return [*self._end(), *self._again("it does not answer")]

    def _fell_silent(self) -> list[Event]:
        return [*self._end(), *self._again("it fell silent in the middle")]

    def _cut_off(self) -> list[Event]:
        self._not_before = self._now + BUSY_S
        return self._again("the port vanished")

    def _end(self) -> list[Event]:
        self._state, self._not_before, self._waits_for_it = RESTING, self._now + BUSY_S, False
        return [Send(bytes((EOT,)))]

    def _again(self, reason: str) -> list[Event]:
        """Leave the message for another try, or give it up and tell people."""
        message = self._waiting[0]
        if message.tries < TRIES_MAX and not self._is_hopeless(message):
            return [Note(f"the orders did not reach the analyser: {reason}; they are sent again")]
        self._waiting.popleft()
        return [Fault("orders", f"the orders did not reach the analyser: {reason}; it must ask again")]

    def _say(self, data: bytes) -> list[Event]:
        self._due = self._now + ANSWER_S
        return [Send(data)]
