"""A queue of entries for drivers whose device waits for no acknowledgement and will not send again.

An analyser can be told NAK; an oximeter or a scale cannot. When the disk refuses an entry it is held here and offered
again every `RETRY_S`, in order, until there is room. What is held is bounded: when the queue is full the newest entry
is given up, counted, and said in the study; a study of which nothing was kept is not begun. A question to the device
waits for no disk (`put_now`), or hours of them would go out at once when there is room again. Nothing here survives a
power cut; only what was committed does.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

from edge.driver import ClockRead, Commit, Event, Fault, Note, StudyBegins, StudyEnds

HELD_SIZE_MAX: Final = 512 * 1024
"""Bytes of raw and tags that wait for the disk."""
HELD_COUNT_MAX: Final = 1024
"""Events that wait; the ends of studies that have begun come on top."""
URGENT_COUNT_MAX: Final = 64
RETRY_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Answered:
    """An entry whose device waits for a word after all: `no` makes it send again, so it is not held."""

    commit: Commit
    yes: Event
    no: Event


class EntryQueue:
    """Events in order; each Commit among them gets a token and is waited for."""

    def __init__(self) -> None:
        self._events: deque[Event | _Answered] = deque()
        self._urgent: deque[Event] = deque(maxlen=URGENT_COUNT_MAX)
        self._held = 0
        self._token = 0
        self._waiting: Commit | _Answered | None = None
        self._retry_at: float | None = None
        self._given_up = 0

    def put(self, event: Event) -> None:
        """Add an event at the end; a Commit that finds no place is given up."""
        if isinstance(event, Commit) and not self._has_place(event):
            self._given_up += 1
        elif isinstance(event, Note | Fault | ClockRead) and len(self._events) >= HELD_COUNT_MAX:
            return
        elif isinstance(event, StudyEnds) and self._events and isinstance(self._events[-1], StudyBegins):
            self._events.pop()
        else:
            self._events.append(event)

    def put_now(self, event: Event) -> None:
        """Add an event that waits for no entry before it: a question to the device."""
        self._urgent.append(event)

    def put_answered(self, commit: Commit, yes: Event, no: Event) -> None:
        """Add an entry that is followed by `yes` when it is durable, and given up with `no` when it is refused."""
        if self._has_place(commit):
            self._events.append(_Answered(commit, yes, no))
        else:
            self._events.append(no)

    def _has_place(self, commit: Commit) -> bool:
        if self._held + _size(commit) > HELD_SIZE_MAX or len(self._events) >= HELD_COUNT_MAX:
            return False
        self._held += _size(commit)
        return True

    def release(self) -> list[Event]:
        """Return what may be said now: everything up to the next entry, which carries a token."""
        released = self._at_once()
        while self._events and self._waiting is None:
            event = self._events.popleft()
            if isinstance(event, Commit | _Answered):
                self._waiting = event
                released.append(self._ask(_commit_of(event)))
            else:
                released.append(event)
        return released

    def committed(self, token: int) -> list[Event]:
        """The entry of this token is durable; return what follows."""
        if self._waiting is None or token != self._token:
            return []
        yes = [self._waiting.yes] if isinstance(self._waiting, _Answered) else []
        return [*self._settled(), *yes, *self.release()]

    def refused(self, token: int, now: float) -> list[Event]:
        """The disk did not take it; it is offered again later, or the device is told to send it again."""
        if self._waiting is None or token != self._token:
            return []
        if isinstance(self._waiting, _Answered):
            no = self._waiting.no
            return [*self._settled(), no, *self.release()]
        self._retry_at = now + RETRY_S
        return []

    def _settled(self) -> list[Event]:
        if self._waiting is not None:
            self._held -= _size(_commit_of(self._waiting))
        self._waiting = self._retry_at = None
        lost, self._given_up = self._given_up, 0
        if not lost:
            return []
        text = f"{lost} entries were lost: the disk had no room for too long"
        return [Fault("disk-full", text), Note(text)]

    def tick(self, now: float) -> list[Event]:
        """Offer again what was refused."""
        if self._waiting is None or self._retry_at is None or now < self._retry_at:
            return []
        self._retry_at = None
        return [*self._at_once(), self._ask(_commit_of(self._waiting))]

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        return self._retry_at

    def _at_once(self) -> list[Event]:
        said = list(self._urgent)
        self._urgent.clear()
        return said

    def _ask(self, commit: Commit) -> Commit:
        self._token += 1
        return replace(commit, token=self._token)


def _commit_of(waiting: Commit | _Answered) -> Commit:
    return waiting.commit if isinstance(waiting, _Answered) else waiting


def _size(commit: Commit) -> int:
    samples = sum(4 * one.waveform.count * len(one.waveform.names) for one in commit.waveforms)
    return len(commit.raw) + sum(len(tag.data) for tag in commit.tags) + samples
