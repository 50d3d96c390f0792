"""A bench for one driver: carries out its events in memory and holds it to the seam's rules on the way."""

from collections import deque
from dataclasses import dataclass, field

from edge import registry
from edge.driver import (
    HEADLINE_LINES_MAX,
    RAW_SIZE_MAX,
    Commit,
    Fault,
    Located,
    Note,
    PatientReleased,
    PatientScanned,
    Reserve,
    Send,
    StudyBegins,
    StudyEnds,
)
from wire.record import RECORDS, Result
from wire.tag import SIZE_MAX


@dataclass
class Seen:
    """One study as the bench saw it."""

    begins: StudyBegins
    raw: bytes = b""
    tags: list = field(default_factory=list)
    waveforms: list = field(default_factory=list)
    ends: StudyEnds | None = None

    @property
    def results(self):
        return [Result.from_tag(tag) for tag in self.tags if tag.kind == Result.KIND]

    @property
    def observations(self):
        return [one for result in self.results for one in result.observations]

    @property
    def notes(self):
        return [note for result in self.results for note in result.notes]


class Bench:
    """`refuse(token_number)` says whether the disk refuses the n-th question (0, 1, …)."""

    def __init__(self, name, options=None, refuse=lambda number: False):
        self.driver = registry.create(name, options)
        self.refuse = refuse
        self.asked = 0
        self.now = 0.0
        self.sent = b""
        self.durable = b""
        self.studies: list[Seen] = []
        self.scans: list = []
        self.faults: list[Fault] = []
        self.notes: list[str] = []
        self.open: Seen | None = None

    def feed(self, data):
        before = len(self.sent)
        self._carry_out(self.driver.feed(data, self.now))
        return self.sent[before:]

    def feed_in_pieces(self, data, size=1):
        return b"".join(self.feed(data[at : at + size]) for at in range(0, len(data), size))

    def wait(self, seconds):
        """Let time pass, tick by tick as the driver asks for it."""
        until, before = self.now + seconds, len(self.sent)
        for _ in range(10_000):
            due = self.driver.deadline()
            if due is None or due > until:
                break
            self.now = max(self.now, due)
            self._carry_out(self.driver.tick(self.now))
        else:
            raise AssertionError("the driver's deadline does not move on")
        self.now = until
        self._carry_out(self.driver.tick(self.now))
        return self.sent[before:]

    def lose(self):
        self._carry_out(self.driver.lost(self.now))

    def _carry_out(self, events):
        todo = deque(events)
        while todo:
            event = todo.popleft()
            if isinstance(event, Commit | Reserve) and event.token is not None:
                assert not todo, "a question to the disk is the last event of its list"
            todo.extendleft(reversed(self._one(event)))

    def _one(self, event):
        match event:
            case Send(data):
                self.sent += data
            case Reserve(token):
                return self._answer(token, None)
            case StudyBegins():
                assert self.open is None, "a study begins while another is open"
                self.open = Seen(event)
            case Commit(token=token):
                return self._answer(token, event)
            case StudyEnds():
                assert len(event.headline) <= HEADLINE_LINES_MAX
                self._end(event)
            case PatientScanned() | PatientReleased() | Located():
                self.scans.append(event)
            case Fault():
                self.faults.append(event)
            case Note(text):
                self.notes.append(text)
        return []

    def _answer(self, token, commit):
        if token is not None:
            number, self.asked = self.asked, self.asked + 1
            if self.refuse(number):
                return self.driver.refused(token, self.now)
        if commit is not None:
            self._keep(commit)
        return [] if token is None else self.driver.committed(token, self.now)

    def _keep(self, commit):
        assert self.open is not None, "an entry outside a study"
        assert len(commit.raw) <= RAW_SIZE_MAX
        assert commit.raw or commit.tags or commit.waveforms
        for tag in commit.tags:
            assert len(tag.data) < SIZE_MAX
            if tag.kind in RECORDS:
                RECORDS[tag.kind].from_tag(tag)
        self.open.raw += commit.raw
        self.durable += commit.raw
        self.open.tags += commit.tags
        self.open.waveforms += [one.waveform for one in commit.waveforms]

    def _end(self, ends):
        assert self.open is not None, "a study ends that never began"
        self.open.ends = ends
        if self.open.raw or self.open.tags:
            self.studies.append(self.open)
        self.open = None
