"""Whose bytes are these? The drivers' own readers, and the drivers themselves, on what was heard on a line.

Pure: bytes with their times go in, a guess comes out. `feldsher/kit_find.py` listens and asks; `edge.signs` are what a
driver says of its device. A driver that is tried here speaks to nobody: what it would send is dropped, and it is told
that all of it is committed, so that it reads on.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from edge import registry
from edge.driver import Commit, Driver, Event, Line, Located, PatientScanned, Reserve, StudyBegins, StudyEnds
from edge.signs import CHECK, NOTHING
from wire.record import Result

SURE, LIKELY = "sure", "likely"
AFTER_S: Final = 4.0
"""Time that a driver is given after the last byte: lines without an end, and breaks."""
STEPS_MAX: Final = 20_000
NAMES_MAX: Final = 6

Piece = tuple[bytes, float]
"""Bytes, and when they came, seconds."""


@dataclass(frozen=True, slots=True)
class Guess:
    """A driver, at a setting of the line, and how well that is known."""

    driver: str
    line: Line
    confidence: str
    why: str


def settings() -> list[Line]:
    """Return every setting of every driver, once; first those that most drivers name."""
    count: dict[Line, int] = {}
    for name in registry.names():
        if registry.signs(name).proof != NOTHING:
            for line in registry.find(name).FACTS.lines:
                count[line] = count.get(line, 0) + 1
    return sorted(count, key=lambda line: -count[line])


def judge(data: bytes, line: Line) -> Guess | None:
    """Return whose bytes these are; None when no driver knows them. A driver counts only at settings of its own."""
    guesses = [guess for name in registry.names() if (guess := _of(name, data, line)) is not None]
    sure = next((guess for guess in guesses if guess.confidence == SURE), None)
    if sure is not None or not guesses:
        return sure
    first, *others = guesses
    alike = ", ".join(guess.driver for guess in others if guess.why == first.why)
    return replace(first, why=f"{first.why}; so does the device of {alike}") if alike else first


def _of(name: str, data: bytes, line: Line) -> Guess | None:
    signs = registry.signs(name)
    if not data or signs.proof == NOTHING or line not in registry.find(name).FACTS.lines:
        return None
    if signs.are_in(data):
        how = "a checksum that holds" if signs.proof == CHECK else "its own strict form"
        count = signs.count(data)
        return Guess(name, line, SURE, f"{count} whole message{'' if count == 1 else 's'} with {how}")
    why = signs.maybe(data)
    return Guess(name, line, LIKELY, why) if why else None


# What the driver would make of it


@dataclass(slots=True)
class Rehearsed:
    """A study that would come of it. `names` of its values; a listing shows no value of a person."""

    form: str
    names: list[str] = field(default_factory=list)
    partial: str = ""

    def __str__(self) -> str:
        named = ", ".join(self.names[:NAMES_MAX]) + (", …" if len(self.names) > NAMES_MAX else "")
        return self.form + (f" ({named})" if named else "") + (", partial" if self.partial else "")


class Rehearsal:
    """One driver on its own, with nobody behind it."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self.studies: list[Rehearsed] = []
        self.labels = self.places = 0
        self._steps = 0

    def play(self, pieces: Iterable[Piece]) -> None:
        """Feed what was heard, at its times."""
        now = 0.0
        for data, at in pieces:
            self._wait(now, at)
            now = max(now, at)
            self._carry_out(self._driver.feed(data, now), now)
        self._wait(now, now + AFTER_S)

    def _wait(self, now: float, until: float) -> None:
        due = self._driver.deadline()
        while due is not None and due <= until and self._steps < STEPS_MAX:
            self._steps += 1
            now = max(now, due)
            self._carry_out(self._driver.tick(now), now)
            due = self._driver.deadline()

    def _carry_out(self, events: Iterable[Event], now: float) -> None:
        todo = deque(events)
        while todo and self._steps < STEPS_MAX:
            self._steps += 1
            event = todo.popleft()
            self._note(event)
            if isinstance(event, Commit | Reserve) and event.token is not None:
                todo.extendleft(reversed(self._driver.committed(event.token, now)))

    def _note(self, event: Event) -> None:
        match event:
            case StudyBegins(form=form):
                self.studies.append(Rehearsed(form))
            case Commit(tags=tags) if self.studies:
                results = (Result.from_tag(tag) for tag in tags if tag.kind == Result.KIND)
                names = [one.name for result in results for one in result.observations]
                self.studies[-1].names += [name for name in names if name not in self.studies[-1].names]
            case StudyEnds(partial=partial) if self.studies:
                self.studies[-1].partial = partial
            case PatientScanned():
                self.labels += 1
            case Located():
                self.places += 1


def rehearse(driver: str, pieces: Sequence[Piece], options: Mapping[str, object] | None = None) -> str:
    """Return in words what the driver would make of it."""
    rehearsal = Rehearsal(registry.create(driver, options))
    try:
        rehearsal.play(pieces)
    except Exception as error:  # noqa: BLE001  whatever a third party's driver does
        return f"nothing: the driver failed ({type(error).__name__})"
    said = [f"a study: {study}" for study in rehearsal.studies[:3]]
    said += [f"and {len(rehearsal.studies) - 3} more"] if len(rehearsal.studies) > 3 else []
    said += ["places and times, for each study that begins"] if rehearsal.places else []
    return "; ".join(said) or "no study yet: a device that waits for an answer says more when it gets one"
