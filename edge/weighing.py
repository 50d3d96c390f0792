"""From a scale's readings to studies: one study for each load, its weight as it was when the scale had come to rest.

A scale sends a line when its key is pressed, or lines without end, or an answer to each question; in all three a load
is the same: it comes, moves, rests, and goes. What the drivers of scales share is the table `MOVES`:

    empty       nothing lies on the scale
    moving      something does, and has not come to rest
    weighed     a weight at rest is committed, the load still lies there
    left        it has lain there for `STUDY_S_MAX`: nobody stands on a scale so long

A weight at rest is committed at once. Another one under the same load (somebody took off a coat) is committed too, into
the same study, and the last stands in its summary. A load that never came to rest is a study without a weight when
the scale then falls silent (a key that was pressed too soon), and nothing at all when it was taken off again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edge.driver import Commit, Fault, StudyBegins
from edge.entries import EntryQueue
from edge.readings import Reading, damaged, observation, put_study

QUIET_S: Final = 3.0
"""A scale that sends without end pauses for less; after this silence the next line is another load."""
STUDY_S_MAX: Final = 300.0
LIGHT_SHARE: Final = 0.1
"""Less than this share of what was weighed: the load is gone."""
RAW_SIZE_MAX: Final = 8_192
"""Bytes of lines between two entries; what comes beyond them is moved out into an entry of its own."""
MOVING_SIZE_MAX: Final = 1_024
"""Bytes kept of a load that has not come to rest: the last ones."""

EMPTY, MOVING, WEIGHED, LEFT = "empty", "moving", "weighed", "left"
MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of Weighing)
    (EMPTY, "REST"): (WEIGHED, "begin"),
    (EMPTY, "MOTION"): (MOVING, "keep"),
    (EMPTY, "LIGHT"): (EMPTY, "forget"),
    (EMPTY, "OVER"): (EMPTY, "warn"),
    (EMPTY, "BUSY"): (EMPTY, "forget"),
    (EMPTY, "SILENCE"): (EMPTY, "forget"),
    (MOVING, "REST"): (WEIGHED, "begin"),
    (MOVING, "MOTION"): (MOVING, "keep"),
    (MOVING, "LIGHT"): (EMPTY, "forget"),
    (MOVING, "OVER"): (EMPTY, "warn"),
    (MOVING, "BUSY"): (MOVING, "keep"),
    (MOVING, "SILENCE"): (EMPTY, "unsettled"),
    (WEIGHED, "REST"): (WEIGHED, "weigh_again"),
    (WEIGHED, "MOTION"): (WEIGHED, "keep"),
    (WEIGHED, "LIGHT"): (EMPTY, "end"),
    (WEIGHED, "OVER"): (WEIGHED, "keep"),
    (WEIGHED, "BUSY"): (WEIGHED, "keep"),
    (WEIGHED, "SILENCE"): (EMPTY, "end"),
    (WEIGHED, "TOO_LONG"): (LEFT, "end"),
    (LEFT, "REST"): (LEFT, "forget"),
    (LEFT, "MOTION"): (LEFT, "forget"),
    (LEFT, "LIGHT"): (EMPTY, "forget"),
    (LEFT, "OVER"): (LEFT, "forget"),
    (LEFT, "BUSY"): (LEFT, "forget"),
    (LEFT, "SILENCE"): (EMPTY, "forget"),
}


@dataclass(frozen=True, slots=True)
class Weight:
    """One reading. `text`: the number as received without blanks; empty where the scale gives none (overload)."""

    raw: bytes
    text: str = ""
    unit: str = ""
    is_at_rest: bool = False
    manner: str = ""
    """What the scale says of it besides (net, gross)."""
    is_believed: bool = True
    """False: the line may have lost a digit."""

    @property
    def value(self) -> float:
        """The number, for comparing only."""
        return float(self.text.replace(",", "."))


class Widths:
    """Is a line as long as those before it? A line without a checksum that lost a digit is a smaller weight.

    The first is believed; after that a new length only when two in a row have it.
    """

    def __init__(self) -> None:
        self._known = self._last = 0

    def fits(self, size: int) -> bool:
        """Take the length of a line; return whether it can be believed."""
        if not self._known or size == self._last:
            self._known = size
        self._last = size
        return size == self._known


class Weighing:
    """The loads of one scale. `name`: what is weighed; `least`: a smaller weight is an empty scale."""

    def __init__(self, queue: EntryQueue, form: str, driver: str, name: str, least: float) -> None:
        self._queue, self._form, self._driver, self._name, self._least = queue, form, driver, name, least
        self.model = self.serial = ""
        self._state = EMPTY
        self._now = self._heard_at = self._began = 0.0
        self._raw = bytearray()
        self._taken: Weight | None = None
        self._reading = Reading()
        self._warned = False
        self._actions: Mapping[str, Callable[[Weight], None]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    def take(self, weight: Weight, now: float) -> None:
        """Take one reading."""
        self._hear(now)
        self._move(self._event(weight), weight)

    def busy(self, raw: bytes, now: float) -> None:
        """The scale answers, but gives no weight just now: what lies on it lies there still."""
        self._hear(now)
        self._move("BUSY", Weight(raw))

    def tick(self, now: float) -> None:
        """Let time pass."""
        if self._state != EMPTY and now >= self._heard_at + QUIET_S:
            self._now = now
            self._move("SILENCE", Weight(b""))

    def lost(self, now: float) -> None:
        """The port vanished: nobody knows what lies on the scale now."""
        self._now = now
        self._move("SILENCE", Weight(b""))

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        return None if self._state == EMPTY else self._heard_at + QUIET_S

    def _hear(self, now: float) -> None:
        self._now = self._heard_at = now
        if self._state == WEIGHED and now - self._began >= STUDY_S_MAX:
            self._move("TOO_LONG", Weight(b""))

    def _event(self, weight: Weight) -> str:
        if not weight.text:
            return "OVER"
        if not weight.is_believed:
            return "MOTION"
        taken = abs(self._taken.value) if self._taken is not None else 0.0
        if weight.value <= max(self._least, taken * LIGHT_SHARE):
            return "LIGHT"
        return "REST" if weight.is_at_rest else "MOTION"

    def _move(self, event: str, weight: Weight) -> None:
        self._state, action = MOVES[self._state, event]
        self._actions[action](weight)
        if self._state != WEIGHED and event in {"LIGHT", "SILENCE"}:
            self._taken, self._warned = None, False

    # Actions

    def _forget(self, weight: Weight) -> None:
        self._raw.clear()

    def _keep(self, weight: Weight) -> None:
        self._raw += weight.raw
        if self._state == MOVING:
            del self._raw[:-MOVING_SIZE_MAX]
        elif len(self._raw) >= RAW_SIZE_MAX:
            self._flush()

    def _warn(self, weight: Weight) -> None:
        self._raw.clear()
        if not self._warned:
            self._warned = True
            self._queue.put(Fault("measurement", "the scale says overload: nothing was weighed"))

    def _begin(self, weight: Weight) -> None:
        self._began, self._taken = self._now, weight
        self._queue.put(StudyBegins(self._form, self.model, self.serial))
        self._raw += weight.raw
        self._weigh(weight, ())

    def _weigh_again(self, weight: Weight) -> None:
        self._raw += weight.raw
        before = self._taken
        if before is not None and (weight.text, weight.unit) != (before.text, before.unit):
            self._taken = weight
            self._weigh(weight, (f"the weight changed under the same load: it was {before.text} {before.unit}",))
        elif len(self._raw) >= RAW_SIZE_MAX:
            self._flush()

    def _weigh(self, weight: Weight, notes: tuple[str, ...]) -> None:
        manner = (weight.manner,) if weight.manner else ()
        found = observation(self._name, weight.text, weight.unit, comments=manner)
        self._reading = Reading((found,), model=self.model, notes=notes)
        self._queue.put(self._reading.commit(bytes(self._raw), self._driver))
        self._raw.clear()

    def _flush(self) -> None:
        if self._raw:
            self._queue.put(Commit(bytes(self._raw)))
        self._raw.clear()

    def _end(self, weight: Weight) -> None:
        self._raw += weight.raw
        self._flush()
        self._queue.put(self._reading.ends())

    def _unsettled(self, weight: Weight) -> None:
        raw = bytes(self._raw)
        self._raw.clear()
        put_study(self._queue, self._form, self._driver, raw, damaged("the scale did not come to rest"))
