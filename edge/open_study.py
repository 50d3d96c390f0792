"""A study that a port has open: whose it is, where and when it began, and what is still to be noted in it.

Held by `edge.capture`, one for each port, while the driver says it lasts. Nothing of it survives a crash: what counts
stands in the journal's entries, the head among the first of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.driver import Facts, OperatorScanned, PatientScanned, StudyBegins
from edge.timekeeping import SAME_MS
from wire import record
from wire.tag import Tag

NOTES_COUNT_MAX: Final = 64
"""Notes kept for one entry of a study; the rest are counted."""


class StudyJournal(Protocol):
    """What capture needs of an open study (`node.journal`)."""

    @property
    def study_id(self) -> bytes: ...
    def append(self, tags: Sequence[Tag]) -> None: ...
    def close(self, summary: Mapping[str, object]) -> object: ...


class Studies(Protocol):
    """What capture needs of the store of studies (`node.journal`)."""

    def open(self) -> StudyJournal: ...
    def has_room(self) -> bool: ...


@dataclass(slots=True)
class OpenStudy:
    """A study that is being written. `flaw`: why it is partial, whatever the driver says at its end."""

    begins: StudyBegins
    patient: PatientScanned | None
    place: record.Place | None
    opened_ms: int
    clock: record.ClockMark
    """How good the kit's clock was when it began, with what the device had said of its own."""
    set_by_ms: int
    """The kit's clock less the monotonic one."""
    operator: OperatorScanned | None = None
    owner: str = ""
    """The patient whom the worklist means by the label, at the beginning; "": nobody."""
    journal: StudyJournal | None = None
    entries: int = 0
    notes: list[str] = field(default_factory=list)
    notes_dropped: int = 0
    mark: record.ClockMark | None = None
    """What has been learnt of a clock since, and waits for an entry."""
    flaw: str = ""

    def head(self, facts: Facts, port: str) -> list[Tag]:
        """Return what stands first in a study: the device, the clocks, the place, and the label that was scanned."""
        begins = self.begins
        tags = [record.Device(facts.name, facts.version, port, begins.model, begins.serial).to_tag()]
        tags.append(self.clock.to_tag())
        tags += [self.place.to_tag()] if self.place is not None else []
        if self.operator is not None:
            tags.append(record.Operator(self.operator.id, self.operator.checked, self.opened_ms).to_tag())
        if self.patient is not None:
            patient = self.owner or self.patient.id
            source = "barcode" if patient == self.patient.id else "worklist"
            tags.append(record.Patient(patient, source, self.patient.checked, self.opened_ms).to_tag())
        return tags

    def note(self, text: str) -> None:
        """Keep a note for the next entry; of too many, how many they were."""
        if len(self.notes) < NOTES_COUNT_MAX:
            self.notes.append(text)
        else:
            self.notes_dropped += 1

    def read(self, clock: record.ClockMark) -> None:
        """Keep what the device's clock said: for the head, or for the next entry when it says something new."""
        if not self.entries:
            self.clock = clock
        elif self.mark is not None or not self.clock.device_time or self._differs(clock):
            self.mark = clock

    def _differs(self, clock: record.ClockMark) -> bool:
        same_ms = max(SAME_MS, clock.device_step_ms, self.clock.device_step_ms)
        return abs(clock.device_offset_ms - self.clock.device_offset_ms) > same_ms

    def remarks(self) -> list[Tag]:
        """Return what waits to be said, for an entry: a mark, and notes."""
        texts = list(self.notes)
        if self.notes_dropped:
            texts.append(f"{self.notes_dropped} more notes were not kept")
        marks = [] if self.mark is None else [self.mark.to_tag()]
        return [*marks, *(record.Note(text).to_tag() for text in texts)]

    def noted(self) -> None:
        """What waited is durable."""
        self.notes.clear()
        self.notes_dropped = 0
        self.clock, self.mark = self.mark or self.clock, None
