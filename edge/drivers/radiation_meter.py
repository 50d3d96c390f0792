"""A driver for a meter of radiation, but for what the meter is asked and what it answers: `gmc`, `radex`, `radpro`.

It joins the dialogue (`radiation_poll`) and the study (`radiation_study`). A study begins with the first reading, and
ends after `study_s`, when the meter falls silent, or when the port vanishes. What came on the line is kept as it came,
from the greeting on. A meter that falls silent is forgotten: what answers next may be another, and is asked who it is.

A meter's command that sets, saves or erases stands in none of these drivers; their tests hold them to a list.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from edge.driver import Event, Facts, Fault, Note, Option, Send
from edge.drivers.radiation_poll import PROBE_S, Poller, Question
from edge.drivers.radiation_study import Lead, Survey
from edge.entries import EntryQueue
from edge.registry import Options, read_options
from wire.errors import ConfigError
from wire.record import Observation

BEFORE_SIZE_MAX: Final = 2_048
"""Raw bytes before the first reading that go with it: the greeting."""
PACE: Final = (
    Option("every_s", 5.0, "seconds between two readings, 1 to 600"),
    Option("study_s", 3600.0, "length of a study, seconds, 10 to 86400"),
)
BOUNDS_S: Final[Mapping[str, tuple[float, float]]] = {"every_s": (1.0, 600.0), "study_s": (10.0, 86_400.0)}


def read_pace(facts: Facts, options: Mapping[str, object]) -> tuple[Options, float, float]:
    """Return the options, and of them `every_s` and `study_s`. Raises ConfigError."""
    chosen = read_options(facts, options)
    for name, (low, high) in BOUNDS_S.items():
        if not low <= float(chosen[name]) <= high:
            have = f"driver {facts.name!r}: option {name!r} is {chosen[name]}"
            raise ConfigError(f"{have}; it may be {low:g} to {high:g}")
    return chosen, float(chosen["every_s"]), float(chosen["study_s"])


class Meter:
    """See the module's text. A subclass has `question`, `answered`, `_meet` (forget the meter) and `_result`."""

    def __init__(self, leads: Sequence[Lead], every_s: float, study_s: float, hush: bytes = b"") -> None:
        self._leads, self._every_s, self._study_s = leads, every_s, study_s
        self._queue = EntryQueue()
        self._poller = Poller(self, hush)
        self._survey: Survey | None = None
        self._before = bytearray()
        self._told: list[Event] = []
        self._stranger = ""
        self._next_at = 0.0
        self.model = self.serial = ""

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what came."""
        self._keep(data)
        return self._events(self._poller.feed(data, now))

    def tick(self, now: float) -> list[Event]:
        """Let time pass."""
        asked = self._poller.tick(now)
        return self._events(asked, self._queue.tick(now))

    def committed(self, token: int, now: float) -> list[Event]:
        """An entry is durable."""
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        """An entry is not; it is offered again."""
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        """The port vanished."""
        self._end("the port vanished", now)
        self._poller.lost(now)
        return self._events(b"")

    def deadline(self) -> float | None:
        """When `tick` wants to be called: at once at the beginning, since nothing comes unless it is asked for."""
        retry_at = self._queue.deadline()
        asks_at = self._poller.deadline()
        return asks_at if retry_at is None else min(asks_at, retry_at)

    def _events(self, asked: bytes, offered: Sequence[Event] = ()) -> list[Event]:
        told, self._told = self._told, []
        return [*told, *([Send(asked)] if asked else []), *offered, *self._queue.release()]

    # What the meter's own part fills in

    def question(self, now: float) -> Question | float:
        """Return what to ask."""
        raise NotImplementedError

    def answered(self, question: Question, answer: bytes, at: float) -> None:
        """Take the answer."""
        raise NotImplementedError

    def _meet(self) -> None:
        """Forget who it is."""
        raise NotImplementedError

    def _result(self, survey: Survey) -> tuple[str, list[Observation]]:
        """Return the meter's own time, and what it said beside its readings."""
        raise NotImplementedError

    # What it tells the dialogue

    def silent(self, now: float) -> None:
        """Nobody answers."""
        self._end("the meter fell silent", now)
        self._before.clear()
        self._next_at = 0.0
        self._meet()

    def disturbed(self, now: float) -> None:
        """Something came that was not asked for."""
        self._told.append(Note("the meter spoke unasked: what was read meanwhile is asked again"))

    def _met_stranger(self, said: str, now: float) -> None:
        """What answers is not what was configured: it is asked nothing but who it is, and seldom."""
        self._next_at = now + PROBE_S
        if said != self._stranger:
            self._stranger = said
            self._told.append(Fault("stranger", f"what answers is another device: {said[:40]!r}"))

    # Readings

    def _keep(self, data: bytes) -> None:
        if self._survey is not None:
            self._survey.keep(data)
        else:
            self._before += data
            del self._before[:-BEFORE_SIZE_MAX]

    def _take(self, reading: Sequence[int], at: float) -> None:
        """Take one reading into the study, which it may begin or end."""
        if self._survey is not None and (self._survey.is_full or at - self._survey.began >= self._study_s):
            self._end("", at)
        if self._survey is None:
            self._survey = Survey.begin(self._queue, self._leads, self._every_s, at, (self.model, self.serial))
            self._survey.keep(bytes(self._before))
            self._before.clear()
        self._survey.add(reading, at)

    def _plan_next(self, at: float) -> None:
        """A round is over; the next begins `every_s` after this one began, or was to begin."""
        self._next_at += self._every_s
        if not at < self._next_at <= at + self._every_s:
            self._next_at = at + self._every_s

    def _end(self, reason: str, now: float) -> None:
        survey, self._survey = self._survey, None
        if survey is not None:
            time, more = self._result(survey)
            survey.end(time, more, [reason] if reason else [])
