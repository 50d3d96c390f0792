"""A bench for one driver: carries out its events in memory and holds it to the seam's rules on the way.

For tests, ours and those of packages that bring a driver of their own, and for `feldsher kit replay --expected`. Owns
nothing but what it was told; calls the driver and nobody else; nothing of it survives. A driver that breaks a rule of
`edge.driver` raises Misuse here, with the rule as its text.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge import registry
from edge.driver import (
    HEADLINE_LINES_MAX,
    RAW_SIZE_MAX,
    Asking,
    ClockRead,
    Commit,
    Event,
    Fault,
    Located,
    Note,
    OperatorScanned,
    OrdersWanted,
    PatientReleased,
    PatientScanned,
    Reserve,
    Send,
    StudyBegins,
    StudyEnds,
)
from wire.errors import Misuse
from wire.record import RECORDS, Observation, Result
from wire.tag import SIZE_MAX, Tag
from wire.waveform import Waveform
from wire.worklist import Order

TICKS_MAX: Final = 10_000
"""Deadlines within one wait. More is a driver whose deadline does not move on."""

NOT_ENDED: Final = StudyEnds(partial="the study has not ended")


@dataclass
class Seen:
    """One study as the bench saw it."""

    begins: StudyBegins
    raw: bytes = b""
    tags: list[Tag] = field(default_factory=list)
    waveforms: list[Waveform] = field(default_factory=list)
    ends: StudyEnds = NOT_ENDED

    @property
    def results(self) -> list[Result]:
        """What was read, entry by entry."""
        return [Result.from_tag(tag) for tag in self.tags if tag.kind == Result.KIND]

    @property
    def observations(self) -> list[Observation]:
        """Every value that was read."""
        return [one for result in self.results for one in result.observations]

    @property
    def notes(self) -> list[str]:
        """The notes of the results."""
        return [note for result in self.results for note in result.notes]


class Bench:
    """`refuse(token_number)` says whether the disk refuses the n-th question (0, 1, …)."""

    def __init__(
        self,
        name: str,
        options: Mapping[str, object] | None = None,
        refuse: Callable[[int], bool] = lambda number: False,
    ) -> None:
        self.driver = registry.create(name, options)
        self.refuse = refuse
        self.asked = 0
        self.now = 0.0
        self.sent = b""
        self.durable = b""
        self.studies: list[Seen] = []
        self.scans: list[PatientScanned | PatientReleased | OperatorScanned | Located] = []
        self.clock_readings: list[ClockRead] = []
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.open: Seen | None = None
        self.worklist: list[Order] = []
        """What is ordered, for a driver that asks."""

    def feed(self, data: bytes) -> bytes:
        """Let the device say `data`; return what the driver sends at once."""
        before = len(self.sent)
        self._carry_out(self.driver.feed(data, self.now))
        return self.sent[before:]

    def feed_in_pieces(self, data: bytes, size: int = 1) -> bytes:
        """Let it come in pieces."""
        return b"".join(self.feed(data[at : at + size]) for at in range(0, len(data), size))

    def wait(self, seconds: float) -> bytes:
        """Let time pass, tick by tick as the driver asks for it; return what it sends."""
        until, before = self.now + seconds, len(self.sent)
        for _ in range(TICKS_MAX):
            due = self.driver.deadline()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self._carry_out(self.driver.tick(self.now))
        else:
            raise Misuse("the driver's deadline does not move on")
        self.now = until
        self._carry_out(self.driver.tick(self.now))
        return self.sent[before:]

    def lose(self) -> None:
        """The port vanishes."""
        self._carry_out(self.driver.lost(self.now))

    def _carry_out(self, events: Iterable[Event]) -> None:
        todo = deque(events)
        while todo:
            event = todo.popleft()
            if isinstance(event, Commit | Reserve) and event.token is not None:
                _hold(not todo, "a question to the disk is the last event of its list")
            todo.extendleft(reversed(self._one(event)))

    def _one(self, event: Event) -> list[Event]:
        match event:
            case Send(data):
                self.sent += data
            case Reserve(token):
                return self._answer(token, None)
            case StudyBegins():
                _hold(self.open is None, "a study begins only when none is open")
                self.open = Seen(event)
            case Commit(token=token):
                return self._answer(token, event)
            case StudyEnds():
                _hold(len(event.headline) <= HEADLINE_LINES_MAX, f"a headline has {HEADLINE_LINES_MAX} lines at most")
                self._end(event)
            case PatientScanned() | PatientReleased() | OperatorScanned() | Located():
                self.scans.append(event)
            case ClockRead(at=at):
                _hold(at <= self.now, "a clock was read before it is told")
                self.clock_readings.append(event)
            case OrdersWanted(token, ids):
                return self._look_up(token, ids)
            case Fault():
                self.faults.append(event)
            case Note(text):
                self.notes.append(text)
        return []

    def _look_up(self, token: int, ids: tuple[str, ...]) -> list[Event]:
        if not isinstance(self.driver, Asking):
            raise Misuse("a driver that wants orders has `ordered`")
        found = [one for one in self.worklist if not ids or one.sample in ids or one.patient in ids]
        return self.driver.ordered(token, found, self.now)

    def _answer(self, token: int | None, commit: Commit | None) -> list[Event]:
        if token is not None:
            number, self.asked = self.asked, self.asked + 1
            if self.refuse(number):
                return self.driver.refused(token, self.now)
        if commit is not None:
            self._keep(commit)
        return [] if token is None else self.driver.committed(token, self.now)

    def _keep(self, commit: Commit) -> None:
        if self.open is None:
            raise Misuse("an entry belongs to a study")
        _hold(len(commit.raw) <= RAW_SIZE_MAX, f"an entry has at most {RAW_SIZE_MAX} raw bytes")
        _hold(bool(commit.raw or commit.tags or commit.waveforms), "an entry holds something")
        for tag in commit.tags:
            _hold(len(tag.data) < SIZE_MAX, f"a tag has less than {SIZE_MAX} bytes of data")
            if tag.kind in RECORDS:
                RECORDS[tag.kind].from_tag(tag)
        self.open.raw += commit.raw
        self.durable += commit.raw
        self.open.tags += commit.tags
        self.open.waveforms += [one.waveform for one in commit.waveforms]

    def _end(self, ends: StudyEnds) -> None:
        if self.open is None:
            raise Misuse("a study that ends has begun")
        self.open.ends = ends
        if self.open.raw or self.open.tags:
            self.studies.append(self.open)
        self.open = None


def _hold(is_held: bool, rule: str) -> None:
    if not is_held:
        raise Misuse(rule)
