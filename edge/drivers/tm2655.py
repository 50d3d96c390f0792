"""A&D TM-2655 and TM-2657, the blood pressure monitors that a patient puts an arm into: a result for each measurement.

No manual of the serial line is public. Written from what four sites that read this monitor agree on (a kiosk in Malawi,
a paramedic station, a kiosk in Thailand, a hospital in Korea), and tried on the text of their results; on no unit of
our own. 2400 baud as delivered, often set to 9600, 8N1.

`tm2655_records.py` has the bytes. A failed measurement is a study too, with its code and without pressures.

The monitor can also be told to inflate (ST) and to stop (SP). **This driver never sends these.** What it may send are
the two requests, which read what the monitor remembers and change nothing:

* `ask = "damaged"` (the default): a result that came damaged is asked for again, at most `ASKS_MAX` times;
* `ask = "always"`: for a monitor that is set to say nothing by itself. The first answer is what the monitor had
  remembered from before; whose that is nobody knows, so it is not taken;
* `envelope = true`: after each good result, the pressures and amplitudes from which it was made.

The conversation is the table `MOVES`:

    idle        nothing is open
    again       a damaged result was asked for again; its bytes wait
    follow      a result is committed; an envelope may follow into the same study
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from edge.device_time import from_form
from edge.driver import Driver, Event, Facts, Fault, Line, Option, Send, StudyBegins
from edge.drivers.tm2655_records import Framer, Record, is_envelope, read, request
from edge.entries import EntryQueue
from edge.readings import SILENCE_S, Noise, Reading, damaged, put_study
from edge.registry import read_options
from edge.signs import CHECK, Ask, Signs

NAK: Final = 0x15
ASKS_MAX: Final = 2
ANSWER_S: Final = 4.0
"""An envelope takes a second at 2400 baud."""
FOLLOW_S: Final = 5.0
POLL_S: Final = 5.0
POLL_SLOW_S: Final = 30.0
"""Between two requests when nobody answers."""
REPEAT_S: Final = 60.0
"""The same record within this time is the same measurement, sent again."""

FACTS: Final = Facts(
    name="tm2655",
    version="1",
    title="A&D TM-2655, TM-2657 blood pressure monitors",
    manual="none is public: agreement of four independent readers of this monitor",
    form="blood-pressure",
    lines=(Line(2400), Line(9600)),
    options=(
        Option("ask", "damaged", "when to ask for the last result", ("never", "damaged", "always")),
        Option("envelope", False, "ask for the pulse envelope after each good result"),
    ),
)

DATE: Final = "%y%m%d%H%M"
"""When it was measured; said unasked, that is now."""
IDLE, AGAIN, FOLLOW = "idle", "again", "follow"
MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of _Tm2655; it may choose another state)
    (IDLE, "RESULT"): (FOLLOW, "begin"),
    (IDLE, "SAME"): (IDLE, "ignore"),
    (IDLE, "OLD"): (IDLE, "pass_over"),
    (IDLE, "ENVELOPE"): (IDLE, "alone"),
    (IDLE, "BROKEN"): (AGAIN, "ask_again"),
    (IDLE, "LOST"): (IDLE, "ignore"),
    (AGAIN, "RESULT"): (FOLLOW, "begin"),
    (AGAIN, "SAME"): (IDLE, "give_up"),
    (AGAIN, "OLD"): (IDLE, "pass_over"),
    (AGAIN, "ENVELOPE"): (IDLE, "alone"),
    (AGAIN, "BROKEN"): (AGAIN, "ask_again"),
    (AGAIN, "SILENCE"): (IDLE, "give_up"),
    (AGAIN, "LOST"): (IDLE, "give_up"),
    (FOLLOW, "RESULT"): (FOLLOW, "begin_next"),
    (FOLLOW, "SAME"): (FOLLOW, "ignore"),
    (FOLLOW, "ENVELOPE"): (IDLE, "follow"),
    (FOLLOW, "BROKEN"): (IDLE, "follow"),
    (FOLLOW, "SILENCE"): (IDLE, "end"),
    (FOLLOW, "LOST"): (IDLE, "end"),
}


class _Tm2655:
    """One monitor on one port. See the module's text."""

    def __init__(self, ask: str, *, envelope: bool) -> None:
        self._ask, self._wants_envelope = ask, envelope
        self._framer, self._noise, self._queue = Framer(), Noise(), EntryQueue()
        self._state = IDLE
        self._now = self._heard_at = self._last_at = 0.0
        self._until: float | None = None
        """When the state's silence is over."""
        self._poll_at: float | None = 0.0 if ask == "always" else None
        self._unanswered = 0
        self._last: str | None = None
        """The text of the last result."""
        self._damaged: list[Record] = []
        self._reading = Reading()
        self._actions: Mapping[str, Callable[[Record], None]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._now = self._heard_at = now
        for record in self._framer.feed(data):
            self._take(record)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        self._now = now
        if self._framer.holds and now >= self._heard_at + SILENCE_S:
            for record in self._framer.rest():
                self._take(record)
        if self._until is not None and now >= self._until:
            self._move("SILENCE", Record(b"", None))
        if self._poll_at is not None and now >= self._poll_at:
            self._poll()
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._now = now
        for record in self._framer.rest():
            self._take(record)
        self._move("LOST", Record(b"", None))
        return [one for one in self._queue.release() if not isinstance(one, Send)]

    def deadline(self) -> float | None:
        rest_at = self._heard_at + SILENCE_S if self._framer.holds else None
        times = (rest_at, self._until, self._poll_at, self._queue.deadline())
        return min((one for one in times if one is not None), default=None)

    # What came

    def _take(self, record: Record) -> None:
        if record.text is None and not record.why:
            self._skip(record)
            return
        self._unanswered = 0
        record = replace(record, raw=self._noise.take() + record.raw)
        if record.text is None:
            self._move("BROKEN", record)
        elif is_envelope(record.text):
            self._move("ENVELOPE", record)
        elif self._ask == "always" and self._last is None:
            self._move("OLD", record)
        else:
            self._move("SAME" if self._is_same(record.text) else "RESULT", record)

    def _skip(self, record: Record) -> None:
        if record.answer:
            self._unanswered = 0
            self._last = "" if self._last is None and record.answer == NAK else self._last
            return
        for event in self._noise.add(record.raw):
            self._queue.put(event)

    def _is_same(self, text: str) -> bool:
        recent = self._ask == "always" or self._state == AGAIN or self._now - self._last_at < REPEAT_S
        return recent and text == self._last

    def _move(self, event: str, record: Record) -> None:
        self._state, action = MOVES[self._state, event]
        self._actions[action](record)
        if self._state == IDLE:
            self._until = None

    # Actions

    def _ignore(self, record: Record) -> None:
        """Nothing is open, or the same was said again."""

    def _pass_over(self, record: Record) -> None:
        self._last, self._last_at = record.text or "", self._now
        self._damaged.clear()
        text = "what the monitor remembered from before was not taken: nobody knows whose it is"
        self._queue.put(Fault("measurement", text))

    def _begin(self, record: Record) -> None:
        text = record.text or ""
        self._last, self._last_at = text, self._now
        reading = read(text)
        clock = None if self._damaged or self._ask == "always" else from_form(reading.time, DATE)
        again = ("it came damaged at first and was asked for again",) if self._damaged else ()
        self._reading = replace(reading, clock=clock, notes=(*again, *reading.notes))
        raw = b"".join(one.raw for one in self._damaged) + record.raw
        self._damaged.clear()
        for one in self._reading.clock_read(self._now):
            self._queue.put(one)
        self._queue.put(StudyBegins(FACTS.form, reading.model))
        self._queue.put(self._reading.commit(raw, FACTS.name))
        if reading.fault:
            self._queue.put(Fault("measurement", reading.fault))
        elif self._wants_envelope:
            self._queue.put_now(Send(request("RP")))
        self._until = self._now + FOLLOW_S

    def _begin_next(self, record: Record) -> None:
        self._end(record)
        self._begin(record)

    def _follow(self, record: Record) -> None:
        """The envelope, or what is left of it, goes with its result."""
        reading = read(record.text) if record.text is not None else Reading(notes=(f"damaged: {record.why}",))
        self._queue.put(reading.commit(record.raw, FACTS.name))
        self._end(record)

    def _alone(self, record: Record) -> None:
        if self._damaged:
            self._give_up(record)
        put_study(self._queue, FACTS.form, FACTS.name, record.raw, read(record.text or ""))

    def _end(self, record: Record) -> None:
        self._queue.put(self._reading.ends())

    def _ask_again(self, record: Record) -> None:
        self._damaged.append(record)
        if self._ask == "never" or len(self._damaged) > ASKS_MAX:
            self._state = IDLE
            self._give_up(record)
            return
        self._queue.put_now(Send(request("RB")))
        self._until = self._now + ANSWER_S

    def _give_up(self, record: Record) -> None:
        """Nothing better came: what there is becomes a study without values."""
        raw, why = b"".join(one.raw for one in self._damaged), self._damaged[-1].why
        self._damaged.clear()
        put_study(self._queue, FACTS.form, FACTS.name, raw, damaged(why))

    def _poll(self) -> None:
        if self._state == IDLE and not self._framer.is_inside:
            self._queue.put_now(Send(request("RB")))
            self._unanswered += 1
        self._poll_at = self._now + (POLL_S if self._unanswered < 3 else POLL_SLOW_S)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one monitor. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    return _Tm2655(str(chosen["ask"]), envelope=bool(chosen["envelope"]))


def _whole(data: bytes) -> int:
    """Return how many records hold their check, and answers that say that there is none."""
    records = sum(bool(_HEAD.match(record.text or "")) for record in Framer().feed(data))
    return records + data.count(b"\x16\x16\x0100\x06") + data.count(b"\x16\x16\x0100\x15")


_HEAD: Final = re.compile(r"[ -~]{1,16}\x1e\d{10}\x1e")
SIGNS: Final = Signs(
    CHECK, _whole, 1, (Ask(request("RB"), "the last result, which it keeps"),), needs=re.compile(rb"\x16\x16\x01")
)
