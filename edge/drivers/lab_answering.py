"""What the drivers of laboratory instruments share that send a message, wait for a word, and send it again without one.

A message is cut by the driver's own framer, read by the driver into a `Report`, and becomes a study of one entry: its
bytes and its RESULT. The word is said when the entry is durable; when the disk refuses it, the driver's other word is
said, or none, so that the instrument sends again. The same message again within `REPEAT_S` is not a second result: it
is answered and dropped.

A message that breaks off is kept as a partial study without values: nothing is guessed.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from edge import codes
from edge.driver import HEADLINE_LINES_MAX, Commit, Event, Fault, StudyBegins, StudyEnds
from edge.entries import EntryQueue
from wire.record import Observation, Partial, Result

FORM: Final = "laboratory"
SILENCE_S: Final = 2.0
"""Within a message bytes follow one another."""
REPEAT_S: Final = 120.0
REPEATS_COUNT_MAX: Final = 64
ASKED_COUNT_MAX: Final = 64


class Framer(Protocol):
    """Cuts a stream into messages; every message comes out once."""

    @property
    def is_open(self) -> bool:
        """A message has begun and not ended."""
        ...

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Give the messages that end in `data`."""
        ...

    def rest(self) -> bytes:
        """Give up what is not whole and return it."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a message says. `ids`: the fields in which the instrument may name a patient or a tube, as received, and the
    likeliest first."""

    observations: tuple[Observation, ...] = ()
    ids: tuple[tuple[str, str], ...] = ()
    specimen: str = ""
    """Where it is another than the first of the ids."""
    time: str = ""
    model: str = ""
    notes: tuple[str, ...] = ()
    encoding: str = ""
    partial: str = ""
    qc: bool = False

    @property
    def patient_ids(self) -> tuple[str, ...]:
        """The ids without padding, but for those of zeros only; of a control none is a patient's."""
        return () if self.qc else tuple(dict.fromkeys(value.strip() for _, value in self.ids if value.strip(" 0")))

    def result(self) -> Result:
        """Return the RESULT."""
        return Result(
            qc=self.qc,
            device_time=self.time,
            specimen_id=self.specimen or next((value for _, value in self.ids), ""),
            patient_ids=self.ids,
            encoding=self.encoding,
            observations=self.observations,
            notes=self.notes,
        )


def observation(code: str, name: str, value: str, unit: str = "", flags: str = "") -> Observation:
    """Return one value as received, with LOINC and UCUM where the table knows both name and unit."""
    coding = codes.built_in().coding((name,), value, unit)
    return Observation(
        code, name, value, unit, flags=flags, loinc=coding.loinc, ucum=coding.ucum, ucum_value=coding.value
    )


class Answering:
    """See the module's text. A subclass has `_message`, and its name."""

    name = ""

    def __init__(self, framer: Framer) -> None:
        self._framer = framer
        self._queue = EntryQueue()
        self._taken: deque[tuple[bytes, float]] = deque(maxlen=REPEATS_COUNT_MAX)
        self._asked: deque[tuple[Event, Event, bytes]] = deque()
        """Studies whose answer depends on the disk: the words for yes and no, and the key."""
        self._heard_at = 0.0

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what came."""
        self._heard_at = now
        for message in self._framer.feed(data):
            self._message(message, now)
        return self._settle(self._queue.release(), now)

    def tick(self, now: float) -> list[Event]:
        """Let time pass."""
        if self._framer.is_open and now >= self._heard_at + SILENCE_S:
            self._broken("the message broke off", now)
        return [*self._queue.tick(now), *self._settle(self._queue.release(), now)]

    def committed(self, token: int, now: float) -> list[Event]:
        """An entry is durable."""
        return self._settle(self._queue.committed(token), now)

    def refused(self, token: int, now: float) -> list[Event]:
        """An entry is not."""
        return self._settle(self._queue.refused(token, now), now)

    def lost(self, now: float) -> list[Event]:
        """The port vanished."""
        if self._framer.is_open:
            self._broken("the port vanished in the middle of the message", now)
        return self._settle(self._queue.release(), now)

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = [self._heard_at + SILENCE_S] if self._framer.is_open else []
        retry_at = self._queue.deadline()
        return min([*times, *([retry_at] if retry_at is not None else [])], default=None)

    # For subclasses

    def _message(self, raw: bytes, now: float) -> None:
        raise NotImplementedError

    def _broken(self, reason: str, now: float) -> None:
        """Keep what came of a message that is not whole."""
        rest = self._framer.rest()
        if rest:
            self._study(rest, Report(partial=reason))

    def _answered_study(self, key: bytes, raw: bytes, report: Report, yes: Event, no: Event, now: float) -> None:
        """Put a study unless it was taken a moment ago; `key` is what makes a message the same."""
        if any(key == one for _, _, one in self._asked):
            return
        if any(key == one and now - at <= REPEAT_S for one, at in self._taken):
            self._queue.put(yes)
            return
        if len(self._asked) < ASKED_COUNT_MAX:
            self._asked.append((yes, no, key))
            self._study(raw, report, yes, no)

    def _settle(self, events: list[Event], now: float) -> list[Event]:
        """Remember what became durable: only that may be answered without being kept again."""
        while self._asked and any(one is word for one in events for word in self._asked[0][:2]):
            yes, _, key = self._asked.popleft()
            if any(one is yes for one in events):
                self._taken.append((key, now))
        return events

    def _study(self, raw: bytes, report: Report, yes: Event | None = None, no: Event | None = None) -> None:
        """Put a whole study, with an answer or without."""
        why = [Partial(report.partial, self.name).to_tag()] if report.partial else []
        patient = next(iter(report.patient_ids), "")
        commit = Commit(raw, (report.result().to_tag(), *why), patient_id=patient)
        self._queue.put(StudyBegins(FORM, report.model))
        if yes is None or no is None:
            self._queue.put(commit)
        else:
            self._queue.put_answered(commit, yes, no)
        shown = tuple((one.name, one.value, one.unit) for one in report.observations[:HEADLINE_LINES_MAX])
        ids = report.patient_ids
        self._queue.put(StudyEnds(report.qc, report.partial, ids, shown, report.model))
        if report.partial:
            self._queue.put(Fault("message", f"a message was not whole and has no values: {report.partial}"))
