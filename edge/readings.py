"""From one record of a device to one study: for devices that say a result once, unasked, and wait for nothing.

Blood pressure monitors, scales and stadiometers are alike in this: a record comes, it is whole or it is not, and it is
a study by itself. What differs is how a record is known and what it says; that is in their drivers. Here is the rest:

* A whole record is a study: the raw bytes and the RESULT in one entry.
* A record that began but is damaged is a study too, marked partial, without a value: what came is kept, and nothing
  is guessed.
* Bytes that are no record at all go with the next one; when there are many of them, the panel says that the speed of
  the line may be wrong.

What the disk refuses is held and offered again (`edge.entries`).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edge import codes
from edge.driver import (
    HEADLINE_LINES_MAX,
    ClockRead,
    Commit,
    Event,
    Fault,
    StudyBegins,
    StudyEnds,
)
from edge.entries import EntryQueue
from wire.record import Observation, Partial, Result

SKIPPED_SIZE_MAX: Final = 256
"""Bytes that belong to no record and are kept with the next one: the last ones before it."""
NOISE_ALARM_SIZE: Final = 1_024
"""After so many bytes that are no record a person is told."""
SILENCE_S: Final = 2.0
"""Within a record bytes follow one another; after this silence it is over, whole or not."""


def observation(
    name: str, value: str, unit: str = "", *, code: str = "", comments: tuple[str, ...] = (), time: str = ""
) -> Observation:
    """Return one value as received, with LOINC and UCUM where the kit's table knows both."""
    coding = codes.built_in().coding((name,), value, unit)
    return Observation(
        code=code or name,
        name=name,
        value=value,
        unit=unit,
        time=time,
        comments=comments,
        loinc=coding.loinc,
        ucum=coding.ucum,
        ucum_value=coding.value,
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from one record. `partial`: why it is not whole; then it has no values."""

    observations: tuple[Observation, ...] = ()
    model: str = ""
    serial: str = ""
    time: str = ""
    clock: datetime | None = None
    """What `time` says, where the device measured just now: so does its clock."""
    patient_ids: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    partial: str = ""
    fault: str = ""
    """What the person at the kit should do about it."""

    @property
    def result(self) -> Result:
        """The RESULT of this reading."""
        ids = tuple(("device", one) for one in self.patient_ids)
        return Result(device_time=self.time, patient_ids=ids, observations=self.observations, notes=self.notes)

    def commit(self, raw: bytes, driver: str) -> Commit:
        """Return the entry of this reading."""
        why = [Partial(self.partial, driver).to_tag()] if self.partial else []
        return Commit(raw, (self.result.to_tag(), *why), patient_id=next(iter(self.patient_ids), ""))

    def clock_read(self, at: float) -> list[Event]:
        """Return what is known of the device's clock, when this came at `at`."""
        return [] if self.clock is None else [ClockRead(self.time, self.clock, at)]

    def ends(self) -> StudyEnds:
        """Return the end of a study that is this reading."""
        shown = tuple((one.name, one.value, one.unit) for one in self.observations[:HEADLINE_LINES_MAX])
        return StudyEnds(partial=self.partial, patient_ids=self.patient_ids, headline=shown, model=self.model)


def damaged(reason: str) -> Reading:
    """Return the reading of a record that did not arrive whole."""
    return Reading(partial=reason, fault=f"a reading came damaged and has no values: {reason}. Measure again")


def put_study(queue: EntryQueue, form: str, driver: str, raw: bytes, reading: Reading, at: float = 0.0) -> None:
    """Put a whole study, which came at `at`: its one entry, and a word for the panel when something is to be done."""
    for read in reading.clock_read(at):
        queue.put(read)
    queue.put(StudyBegins(form, reading.model, reading.serial))
    queue.put(reading.commit(raw, driver))
    queue.put(reading.ends())
    if reading.fault:
        queue.put(Fault("measurement", reading.fault))


class Noise:
    """Bytes that belong to no record: counted, the last of them kept, and said aloud when there are many."""

    def __init__(self) -> None:
        self._last = bytearray()
        self._count = 0

    def add(self, data: bytes) -> list[Event]:
        """Take bytes; return what the panel should say."""
        self._last += data
        del self._last[:-SKIPPED_SIZE_MAX]
        before, self._count = self._count, self._count + len(data)
        if before // NOISE_ALARM_SIZE == self._count // NOISE_ALARM_SIZE:
            return []
        return [Fault("noise", f"{self._count} bytes that are no reading: are speed and parity of the line right?")]

    def take(self) -> bytes:
        """A record has come: return the bytes before it."""
        last = bytes(self._last)
        self._last.clear()
        self._count = 0
        return last


class Lines:
    """Cuts a stream into lines, each with its end. A line that grows too long is given up in pieces, as it is."""

    def __init__(self, ends: Iterable[int], size_max: int) -> None:
        self._ends, self._size_max = frozenset(ends), size_max
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the lines that are complete."""
        for byte in data:
            self._buffer.append(byte)
            if byte in self._ends or len(self._buffer) >= self._size_max:
                yield self.rest()

    def rest(self) -> bytes:
        """Give up what has no end yet and return it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    @property
    def is_inside(self) -> bool:
        """Something has come since the last end."""
        return bool(self._buffer)


class LineDriver:
    """A driver for a device that sends one line for each measurement. `read` returns None for what is no record."""

    def __init__(self, form: str, name: str, lines: Lines, read: Callable[[bytes], Reading | None]) -> None:
        self._form, self._name, self._lines, self._read = form, name, lines, read
        self._queue = EntryQueue()
        self._noise = Noise()
        self._heard_at = 0.0

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        for line in self._lines.feed(data):
            self._take(line)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        if self._lines.is_inside and now >= self._heard_at + SILENCE_S:
            self._take(self._lines.rest())
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._take(self._lines.rest())
        return self._queue.release()

    def deadline(self) -> float | None:
        times = [self._heard_at + SILENCE_S] if self._lines.is_inside else []
        retry_at = self._queue.deadline()
        return min([*times, *([retry_at] if retry_at is not None else [])], default=None)

    def _take(self, line: bytes) -> None:
        reading = self._read(line) if line.strip() else None
        if reading is not None:
            put_study(self._queue, self._form, self._name, self._noise.take() + line, reading, self._heard_at)
            return
        for event in self._noise.add(line):
            self._queue.put(event)
