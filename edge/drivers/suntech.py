"""SunTech Advantage, the blood pressure module in many makers' monitors: says nothing unasked, and is asked gently.

Written from the SunTech Advantage OEM serial protocol as third parties restate it, and tried on their exchanges; on no
unit of our own. 9600 8N1. A request is `3A ..`, an answer `3E size ..`; the last byte makes the sum zero modulo 256.

    cuff pressure   3A 79 05 00 48  ->  3E 05 02 01 BA                   258 mmHg, low byte first
    last result     3A 79 03 00 4A  ->  3E 18 and 22 bytes: systolic (2 bytes), diastolic (2), beats, status,
                                        8 test codes, pulse, spare, mean (2), error, two spare, check byte

**Only these two are ever sent.** The module can be told to inflate (3A 20) and to move its valves (3A 0C); who
measures is the person at the monitor. The module remembers its last result for ever and does not say when it was
made; so the result is read only after the cuff was seen to fill and to empty, and what it remembered from before is
nobody's.

    idle        the cuff is empty
    measuring   the cuff has filled: a study has begun
    asking      the cuff is empty again: the result is asked for

A measurement that gave an error is a study with the error and without pressures.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from edge.driver import Driver, Event, Facts, Fault, Line, Note, Option, Send, StudyBegins
from edge.entries import EntryQueue
from edge.readings import Reading, observation
from edge.registry import read_options
from edge.signs import CHECK, Ask, Signs
from wire.errors import ConfigError

GET_CUFF, GET_RESULT = bytes.fromhex("3a79050048"), bytes.fromhex("3a7903004a")
HEAD: Final = 0x3E
CUFF_SIZE, RESULT_SIZE = 5, 24
"""Of the answers, whole."""
SKIPPED_SIZE_MAX: Final = 64
"""Bytes that are no answer are handed on after so many."""
CUFF_FULL_MMHG: Final = 20
EMPTY_COUNT: Final = 2
"""Readings of an empty cuff in a row after which a measurement is over."""
POLL_S_MIN, POLL_S_MAX = 0.5, 10.0
"""A cuff is full for half a minute; slower than this a measurement could be missed."""
POLL_SLOW_S: Final = 10.0
"""Between two questions when nobody answers."""
UNANSWERED_COUNT: Final = 3
MEASURING_S_MAX: Final = 300.0
ASKING_S_MAX: Final = 10.0
SILENT_S: Final = 20.0
"""In so short a silence nobody is freed, and the next one measured. After a longer one a full cuff may be another's."""
SILENT_POLLS: Final = 3
"""The same in questions, at a slow pace."""
RAW_SIZE_MAX: Final = 16_384
"""Bytes of one study: at two readings a second, three thousand."""

FACTS: Final = Facts(
    name="suntech",
    version="1",
    title="SunTech Advantage blood pressure modules",
    manual="SunTech Advantage OEM serial protocol, as third parties restate it",
    form="blood-pressure",
    lines=(Line(9600),),
    options=(Option("poll_s", 1.0, "the cuff's pressure is asked for this often, seconds"),),
)

IDLE, MEASURING, ASKING = "idle", "measuring", "asking"
MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of _Suntech)
    (IDLE, "FULL"): (MEASURING, "begin"),
    (IDLE, "EMPTY"): (IDLE, "ignore"),
    (IDLE, "RESULT"): (IDLE, "ignore"),
    (IDLE, "LOST"): (IDLE, "ignore"),
    (MEASURING, "FULL"): (MEASURING, "ignore"),
    (MEASURING, "EMPTY"): (ASKING, "ask"),
    (MEASURING, "RESULT"): (MEASURING, "ignore"),
    (MEASURING, "AGAIN"): (MEASURING, "begin_anew"),
    (MEASURING, "TOO_LONG"): (IDLE, "give_up"),
    (MEASURING, "LOST"): (IDLE, "give_up"),
    (ASKING, "FULL"): (MEASURING, "go_on"),
    (ASKING, "EMPTY"): (ASKING, "ignore"),
    (ASKING, "RESULT"): (IDLE, "conclude"),
    (ASKING, "AGAIN"): (MEASURING, "begin_anew"),
    (ASKING, "TOO_LONG"): (IDLE, "give_up"),
    (ASKING, "LOST"): (IDLE, "give_up"),
}


class Framer:
    """Finds answers in what comes; a byte that begins none is skipped and goes with the next. Holds at most one."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipped = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give (bytes skipped before it, answer) pairs; what is skipped without end is given with no answer."""
        self._buffer += data
        while len(self._buffer) > 1:
            size = self._buffer[1]
            fits = self._buffer[0] == HEAD and size in {CUFF_SIZE, RESULT_SIZE}
            if fits and len(self._buffer) < size:
                return
            if fits and not sum(self._buffer[:size]) & 0xFF:
                answer = bytes(self._buffer[:size])
                del self._buffer[:size]
                yield self._take_skipped(), answer
            else:
                self._skipped += self._buffer[:1]
                del self._buffer[:1]
                if len(self._skipped) >= SKIPPED_SIZE_MAX:
                    yield self._take_skipped(), b""

    def rest(self) -> bytes:
        """Give up what is no answer yet and return it."""
        rest = self._take_skipped() + bytes(self._buffer)
        self._buffer.clear()
        return rest

    def _take_skipped(self) -> bytes:
        skipped = bytes(self._skipped)
        self._skipped.clear()
        return skipped


def read_result(answer: bytes) -> Reading:
    """Return what the 24 bytes of a result say; a failed measurement has its error and nothing else."""
    error = answer[20]
    systolic, diastolic, mean = (int.from_bytes(answer[at : at + 2], "little") for at in (2, 4, 18))
    if error or not systolic:
        found = (observation("error", str(error)),)
        return Reading(found, fault=f"the module could not measure (error {error})")
    values = (("systolic", systolic, "mmHg"), ("diastolic", diastolic, "mmHg"), ("mean pressure", mean, "mmHg"))
    more = (("pulse", answer[16], "/min"), ("beats", answer[6], ""))
    return Reading(tuple(observation(name, str(value), unit) for name, value, unit in (*values, *more) if value))


class _Suntech:
    """One module on one port. See the module's text."""

    def __init__(self, poll_s: float) -> None:
        self._poll_s = poll_s
        self._framer, self._queue = Framer(), EntryQueue()
        self._state = IDLE
        self._now = self._poll_at = self._until = self._answered_at = 0.0
        self._unanswered = self._empty = 0
        self._raw = bytearray()
        self._dropped = 0
        self._actions: Mapping[str, Callable[[bytes], None]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._now = now
        for skipped, answer in self._framer.feed(data):
            self._keep(skipped + answer)
            self._take(answer)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        self._now = now
        if self._state != IDLE and now >= self._until:
            self._move("TOO_LONG", b"")
        if now >= self._poll_at:
            self._poll()
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._now = now
        self._move("LOST", b"")
        return [one for one in self._queue.release() if not isinstance(one, Send)]

    def deadline(self) -> float | None:
        times = [self._poll_at, *([self._until] if self._state != IDLE else [])]
        retry_at = self._queue.deadline()
        return min([*times, *([retry_at] if retry_at is not None else [])])

    # Questions and answers

    def _poll(self) -> None:
        self._keep(self._framer.rest())
        self._queue.put_now(Send(GET_RESULT if self._state == ASKING else GET_CUFF))
        self._unanswered += 1
        slow = self._state == IDLE and self._unanswered > UNANSWERED_COUNT
        self._poll_at = self._now + (POLL_SLOW_S if slow else self._poll_s)

    def _take(self, answer: bytes) -> None:
        if not answer:
            return
        silent_s, self._answered_at, self._unanswered = self._now - self._answered_at, self._now, 0
        was_silent = self._state != IDLE and silent_s > max(SILENT_S, SILENT_POLLS * self._poll_s)
        if was_silent:
            self._queue.put(Note(f"the module did not answer for {silent_s:.0f} s in the middle of a measurement"))
        if len(answer) == RESULT_SIZE:
            self._move("RESULT", answer)
            return
        full = int.from_bytes(answer[2:4], "little") >= CUFF_FULL_MMHG
        self._empty = 0 if full else self._empty + 1
        if full:
            self._move("AGAIN" if was_silent else "FULL", answer)
        elif self._empty >= EMPTY_COUNT:
            self._move("EMPTY", answer)

    def _keep(self, data: bytes) -> None:
        if self._state != IDLE:
            room = RAW_SIZE_MAX - len(self._raw)
            self._raw += data[:room]
            self._dropped += max(0, len(data) - room)

    def _move(self, event: str, answer: bytes) -> None:
        self._state, action = MOVES[self._state, event]
        self._actions[action](answer)

    # Actions

    def _ignore(self, answer: bytes) -> None:
        """It says nothing new."""

    def _begin(self, answer: bytes) -> None:
        self._raw, self._dropped = bytearray(answer), 0
        self._until = self._now + MEASURING_S_MAX
        self._queue.put(StudyBegins(FACTS.form))

    def _go_on(self, answer: bytes) -> None:
        """The module inflates once more in the same measurement."""
        self._until = self._now + MEASURING_S_MAX

    def _ask(self, answer: bytes) -> None:
        self._until = self._now + ASKING_S_MAX
        self._poll_at = self._now

    def _conclude(self, answer: bytes) -> None:
        self._end(read_result(answer))

    def _begin_anew(self, answer: bytes) -> None:
        if self._raw.endswith(answer):
            del self._raw[-len(answer) :]
        self._end_without_result("the module fell silent, and when it answered again a cuff was full")
        self._begin(answer)

    def _give_up(self, answer: bytes) -> None:
        self._end_without_result("the cuff was seen to fill, and no result came")

    def _end_without_result(self, why: str) -> None:
        self._end(Reading(partial=why, fault=f"{why}: measure again"))

    def _end(self, reading: Reading) -> None:
        if self._dropped:
            self._queue.put(Note(f"{self._dropped} bytes were too many and are not kept"))
        self._queue.put(reading.commit(bytes(self._raw), FACTS.name))
        self._queue.put(reading.ends())
        if reading.fault:
            self._queue.put(Fault("measurement", reading.fault))
        self._raw.clear()
        self._empty = 0


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one module. Raises ConfigError."""
    poll_s = float(read_options(FACTS, options)["poll_s"])
    if not POLL_S_MIN <= poll_s <= POLL_S_MAX:
        raise ConfigError(f"driver 'suntech': option 'poll_s' is {poll_s:g}; it may be {POLL_S_MIN} to {POLL_S_MAX:g}")
    return _Suntech(poll_s)


SIGNS: Final = Signs(
    CHECK,
    lambda data: sum(bool(answer) for _, answer in Framer().feed(data)),
    asks=(Ask(GET_RESULT, "the last result, which it keeps"),),
    needs=re.compile(rb">[\x05\x18]"),
)
"""Who nobody knows is asked the second question and not the first: 05 in that is ENQ, which wakes an analyser."""
