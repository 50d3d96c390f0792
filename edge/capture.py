"""Capture: joins ports, drivers and journals, and keeps the one promise a device relies on.

**What a device was told is acknowledged has been committed.** `receive` hands bytes to the port's driver, carries out
what the driver says in order (open a study, commit an entry, close it), tells the driver when an entry is durable, and
returns the bytes to be sent. So an acknowledgement can only be in what `receive` returns after the fsync.

Synchronous, and driven from outside: no thread, no clock of its own, no port. The kit's daemon calls it with what the
port owners read; the simulation calls it in virtual time.

Whose study is it? Nothing is guessed (docs/devices.md, "Binding"):

* A scanned label names the patient of every study that *begins* afterwards, on every port with `bind = "scan"`, until
  the next label, the release label, or `binding_s_max` without a new study.
* A study that is open when a label is scanned keeps what it had.
* An id that the device gives is kept as received. If it disagrees with the label, the study is kept whole, keeps both
  and is marked `patient_conflict`.
* With a worklist in force, what was scanned or what the device gives is looked up in it (`edge.binding`): the number of
  a tube names its patient, and who is not on the list is kept and flagged (`unlisted`).
* A control is no patient's: no patient stands in its summary.

Whose hands? A badge names the operator of every study that begins afterwards, until another badge or `OPERATOR_S_MAX`.

Where and when? A GPS on one port (`Located`) says where each study begins within the next minute. How good the kit's
clock is stands in each study, and how far the device's was from it, where the device said (`edge.timekeeping`). No
clock is set.

After a crash nothing of this module is left and nothing is needed: open studies are recovered by `node.journal`, the
label is scanned again, the device sends again what was not acknowledged.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from edge import registry
from edge.binding import Bound, NoOrders, Orders, owner_of, whose
from edge.coding import Coder, as_read
from edge.driver import (
    HEADLINE_LINES_MAX,
    RAW_SIZE_MAX,
    Asking,
    ClockRead,
    Commit,
    Driver,
    Event,
    Facts,
    Fault,
    Located,
    Note,
    OperatorScanned,
    OrdersWanted,
    PatientReleased,
    PatientScanned,
    Reserve,
    Sampled,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.driver_failure import Unread, place_of
from edge.event_texts import writable
from edge.line_errors import Lost
from edge.open_study import OpenStudy, Studies, StudyJournal
from edge.timekeeping import READING_S_MAX, STEP_MS, Reading, Timekeeping, stepped, with_reading
from edge.whereabouts import Whereabouts
from node.clock import Clock
from wire import kinds, record
from wire.errors import DiskError, DiskFull, FormatError, Misuse
from wire.tag import Tag
from wire.waveform import Waveform

BINDING_S_MAX: Final = 600.0
"""A label is good for this long after the last study that began under it."""
OPERATOR_S_MAX: Final = 12 * 3600.0
"""A badge is good for a shift."""
CLOSE_RETRY_S: Final = 5.0
CLOSING_COUNT_MAX: Final = 64
"""Studies that wait for room on the disk to be closed; more are left to recovery."""
KEEPER: Final = "lines"
KEEPER_OPTIONS: Final[Mapping[str, object]] = {"mode": "bursts", "form": "unknown"}
"""The driver that keeps what comes on a port whose own driver must not read it: it understands and sends nothing."""
STEPS_MAX: Final = 100_000
"""Events of one call. More is a driver that talks to itself."""


@dataclass(frozen=True, slots=True)
class Happened:
    """Something for the log, the panel or the foreground command. `kind`: see KINDS.

    `text` names no patient and no result: a log lies on the card in the clear. Only `summary` does.
    """

    port: str
    kind: str
    text: str
    study_id: bytes = b""
    summary: Mapping[str, object] | None = None


KINDS: Final = ("opened", "committed", "closed", "refused", "fault", "note", "patient", "released", "operator")


@dataclass(slots=True)
class _Port:
    name: str
    driver_name: str
    options: Mapping[str, object]
    bind: str
    facts: Facts
    driver: Driver
    study: OpenStudy | None = None
    heard_ms: int = 0
    outgoing: bytearray = field(default_factory=bytearray)
    unread: Unread = field(default_factory=Unread)
    on_trial: bool = False
    """Nobody knows yet that the line is set right: nothing that is read is committed."""
    reading: Reading | None = None
    """What the device said of its own clock last."""
    aside: str = ""
    """Why what comes is kept as it comes, and is not given to the port's driver."""
    lost: Lost = field(default_factory=Lost)


@dataclass(slots=True)
class _Closing:
    port: str
    journal: StudyJournal
    summary: dict[str, object]


class Capture:
    """See the module's text. Every port has one driver; every driver at most one open study."""

    def __init__(
        self,
        studies: Studies,
        clock: Clock,
        kit: str,
        on_event: Callable[[Happened], None] | None = None,
        binding_s_max: float = BINDING_S_MAX,
        orders: Orders | None = None,
        timekeeping: Timekeeping | None = None,
        coded: Coder = as_read,
    ) -> None:
        self.orders: Orders = orders or NoOrders()
        """The worklist, which the kit's owner may replace."""
        self._studies = studies
        self._clock = clock
        self._kit = kit
        self._on_event = on_event or (lambda _: None)
        self._binding_s_max = binding_s_max
        self._ports: dict[str, _Port] = {}
        self._patient: PatientScanned | None = None
        self._patient_until = 0.0
        self._operator: tuple[OperatorScanned, float] | None = None
        self._whereabouts = Whereabouts(clock)
        self._timekeeping = timekeeping or Timekeeping(clock)
        self._coded = coded
        self._closing: deque[_Closing] = deque()
        self._close_at = 0.0
        self._failed = False

    # What the daemon and the panel ask

    @property
    def ports(self) -> list[str]:
        """The names of the attached ports."""
        return list(self._ports)

    @property
    def capturing(self) -> int:
        """How many studies are being written."""
        return sum(1 for port in self._ports.values() if port.study is not None and port.study.journal is not None)

    @property
    def disk_failed(self) -> bool:
        """The store must be opened anew (`reopen`); until then every device is told to wait."""
        return self._failed

    def patient(self, now: float) -> PatientScanned | None:
        """Return whose label counts now."""
        return self._patient if now < self._patient_until else None

    def label(self, now: float) -> PatientScanned | None:
        """Return whose label counts for a study that begins now; it then counts for `binding_s_max` more."""
        patient = self.patient(now)
        if patient is not None:
            self._patient_until = now + self._binding_s_max
        return patient

    # What the daemon does

    def attach(self, port: str, driver: str, options: Mapping[str, object] | None = None, bind: str = "scan") -> Facts:
        """Give `port` a driver by name. Raises ConfigError for an unknown driver or option."""
        if port in self._ports:
            raise Misuse(f"port {port!r} is attached already")
        if bind not in {"scan", "device"}:
            raise Misuse(f"port {port!r}: bind is {bind!r}; it may be 'scan' or 'device'")
        facts = registry.find(driver).FACTS
        made = registry.create(driver, options)
        self._ports[port] = _Port(port, driver, dict(options or {}), bind, facts, made)
        return facts

    def receive(self, port: str, data: bytes, now: float) -> bytes:
        """Take what a device sent; return what to send it. Everything acknowledged in it is committed."""
        line = self._ports[port]
        line.heard_ms = self._clock.time_ms()
        line.unread.heard(data)
        return self._drive(line, lambda driver: driver.feed(data, now), now)

    def tick(self, now: float) -> dict[str, bytes]:
        """Let time pass; return what to send, by port. To be called at `deadline()`, and may be called at any time."""
        self._retry_closing(now)
        sends: dict[str, bytes] = {}
        for line in self._ports.values():
            due = self._due(line, now)
            if due is not None and due <= now:
                line.heard_ms = self._clock.time_ms()
                sends[line.name] = self._drive(line, lambda driver: driver.tick(now), now)
        return {name: data for name, data in sends.items() if data}

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        now = self._clock.now()
        times = [at for line in self._ports.values() if (at := self._due(line, now)) is not None]
        if self._closing and not self._failed:
            times.append(self._close_at)
        return min(times, default=None)

    def lost(self, port: str, now: float) -> None:
        """The port vanished. Its driver decides what becomes of its study; nothing can be sent."""
        line = self._ports[port]
        line.heard_ms = self._clock.time_ms()
        self._drive(line, lambda driver: driver.lost(now), now)

    def dropped(self, port: str, count: int, now: float) -> None:
        """So many bytes of the line are lost: nothing is joined over the gap, and an open study is flagged."""
        line = self._ports[port]
        text = f"{count} bytes of the line were lost: the kit was busy for too long"
        self._tell(line, "fault", f"lost-bytes: {text}")
        self._flaw(line, text)
        self.lost(port, now)

    def overrun(self, port: str, count: int, now: float) -> None:
        """This computer has lost so many bytes of the line, at least, before what comes next; which, nobody knows.

        Noted in the study that is open, with its next entry, and in one that begins soon. It may be whole all the same:
        a device that repeats what was damaged has sent it again.
        """
        self._ports[port].lost.more(count, now)

    def trial(self, port: str, *, on: bool) -> None:
        """Nothing that is read on the port is committed while this is on."""
        self._ports[port].on_trial = on

    def begin_anew(self, port: str, now: float) -> None:
        """The line is set otherwise: what was heard of a message belongs to no other."""
        line = self._ports[port]
        if line.study is not None:
            self._end(line, StudyEnds(partial="the line was set to another speed"), now)
        self._start_anew(line)

    def set_aside(self, port: str, reason: str, data: bytes, now: float) -> None:
        """Another device speaks: keep what comes, `data` first, raw and flagged, and send nothing until `take_back`."""
        line = self._ports[port]
        self._tell(line, "fault", f"wrong-device: {reason}")
        self._leave(line, reason, now)
        line.aside = reason
        self._start_anew(line)
        if data:
            self.receive(port, data, now)

    def take_back(self, port: str, data: bytes, now: float) -> bytes:
        """The port's own device speaks again, `data` first; return what to send it."""
        line = self._ports[port]
        self._leave(line, line.aside, now)
        line.aside = ""
        self._start_anew(line)
        return self.receive(port, data, now) if data else b""

    def _leave(self, line: _Port, reason: str, now: float) -> None:
        """The driver hears no more of this device; a study that is open ends as what it is."""
        self._drive(line, lambda driver: driver.lost(now), now)
        if line.study is not None:
            self._end(line, StudyEnds(partial=reason), now)

    def _flaw(self, line: _Port, text: str) -> None:
        """Flag the study that is open, with a note in it."""
        if line.study is not None:
            line.study.flaw = line.study.flaw or text
            self._note(line, text)

    def detach(self, port: str, now: float) -> None:
        """Give the port up; a study that is open on it ends as partial."""
        self.lost(port, now)
        line = self._ports[port]
        if line.study is not None:
            self._end(line, StudyEnds(partial="capture was stopped"), now)
        del self._ports[port]

    def stop(self, now: float) -> None:
        """Orderly end: every open study is closed. What cannot be closed is recovered at the next start."""
        for port in list(self._ports):
            self.detach(port, now)
        self._retry_closing(now, force=True)

    def reopen(self, studies: Studies) -> None:
        """Go on with a store that was recovered after a disk error. What was open belongs to the recovery."""
        self._studies = studies
        self._failed = False
        self._closing.clear()
        for line in self._ports.values():
            self._start_anew(line)

    # Driving one driver

    def _drive(self, line: _Port, call: Callable[[Driver], list[Event]], now: float) -> bytes:
        todo = deque(self._ask(line, call, now))
        for _ in range(STEPS_MAX):
            if not todo:
                break
            todo.extendleft(reversed(self._carried_out(line, todo.popleft(), now)))
        else:
            self._driver_failed(line, f"more than {STEPS_MAX} events in one call", now)
        data = bytes(line.outgoing)
        line.outgoing.clear()
        return data

    def _ask(self, line: _Port, call: Callable[[Driver], list[Event]], now: float) -> list[Event]:
        """Return the driver's events; a driver that raises is started anew and stops no other device."""
        try:
            return [*call(line.driver)]
        except Exception as error:  # noqa: BLE001  whatever a third party's driver does
            self._driver_failed(line, place_of(error), now)
            return []

    def _due(self, line: _Port, now: float) -> float | None:
        try:
            return line.driver.deadline()
        except Exception as error:  # noqa: BLE001  as above
            self._driver_failed(line, place_of(error), now)
            return None

    def _carried_out(self, line: _Port, event: Event, now: float) -> list[Event]:
        """Carry out what can be written; an event of which no record can be made is a failure of its driver."""
        try:
            return self._carry_out(line, writable(event), now)
        except (FormatError, Misuse) as error:
            self._driver_failed(line, place_of(error), now)
            return []

    def _carry_out(self, line: _Port, event: Event, now: float) -> list[Event]:
        """Do what one event says; return the events that follow from it."""
        match event:
            case Send(data):
                line.outgoing += data
            case Reserve(token):
                return self._reserve(line, token, now)
            case StudyBegins():
                self._begin(line, event, now)
            case Commit(token=token):
                return self._answer(line, token, now, committed=self._commit(line, event, now))
            case StudyEnds():
                self._end(line, event, now)
            case PatientScanned() | PatientReleased():
                self._bind(line, event, now)
            case OperatorScanned():
                self._operator = event, now + OPERATOR_S_MAX
                self._tell(line, "operator", "a badge was read" + (", its check digit holds" if event.checked else ""))
            case OrdersWanted(token, ids):
                return self._look_up(line, token, ids, now)
            case Located() | ClockRead():
                self._place_and_time(line, event, now)
            case Fault(code, text):
                self._tell(line, "fault", f"{code}: {text}")
            case Note(text):
                self._note(line, text)
        return []

    def _place_and_time(self, line: _Port, event: Located | ClockRead, now: float) -> None:
        if isinstance(event, Located):
            self._whereabouts.heard(line.name, event)
            if event.utc is not None:
                self._timekeeping.satellites_said(event.utc, event.at)
            return
        line.reading = self._timekeeping.reading(event.text, event.reading, event.at)
        if line.study is not None:
            line.study.read(with_reading(self._timekeeping.mark(), line.reading))

    def _answer(self, line: _Port, token: int | None, now: float, *, committed: bool) -> list[Event]:
        if token is None:
            return []
        events = self._ask(line, lambda driver: (driver.committed if committed else driver.refused)(token, now), now)
        if self._failed:
            line.outgoing += b"".join(event.data for event in events if isinstance(event, Send))
            self._start_anew(line)
            return []
        return events

    def _look_up(self, line: _Port, token: int, ids: tuple[str, ...], now: float) -> list[Event]:
        if not isinstance(line.driver, Asking):
            self._tell(line, "fault", f"driver: {line.driver_name} asks for orders and takes none")
            return []
        asking, found = line.driver, self.orders.about(ids)
        return self._ask(line, lambda _: asking.ordered(token, found, now), now)

    def _reserve(self, line: _Port, token: int, now: float) -> list[Event]:
        try:
            room = not self._failed and self._studies.has_room()
        except DiskError:  # the link may have met it first, with the same stores
            room, self._failed = False, True
        if not room:
            why = "failed" if self._failed else "has no room"
            self._tell(line, "refused", f"the disk {why}: the device is told to wait")
        return self._answer(line, token, now, committed=room)

    def _start_anew(self, line: _Port) -> None:
        name, options = (KEEPER, KEEPER_OPTIONS) if line.aside else (line.driver_name, line.options)
        line.study, line.driver, line.facts = None, registry.create(name, options), registry.find(name).FACTS

    def _driver_failed(self, line: _Port, reason: str, now: float) -> None:
        self._tell(line, "fault", f"driver: {line.driver_name} failed and was started anew: {reason}")
        if line.study is not None:
            self._end(line, StudyEnds(partial=f"the driver failed: {reason}"[:200]), now)
        self._start_anew(line)
        if data := line.unread.take(now):
            self._begin(line, StudyBegins("unknown"), now)
            self._commit(line, Commit(data), now)
            self._end(line, StudyEnds(partial=f"the driver failed on these bytes: {reason}"[:200]), now)

    # One study

    def _begin(self, line: _Port, begins: StudyBegins, now: float) -> None:
        if line.study is not None:
            self._end(line, StudyEnds(partial="the driver began another study"), now)
        is_now = not begins.is_earlier
        patient = self.label(now) if is_now and line.bind == "scan" and not line.aside else None
        place = self._whereabouts.at(now) if is_now else None
        operator = self._operator[0] if is_now and self._operator and now < self._operator[1] else None
        owner = owner_of(patient.id, self.orders) if patient is not None else ""
        clock, set_by_ms = self._timekeeping.mark(), self._timekeeping.less_monotonic_ms()
        if line.reading is not None and now - line.reading.at <= READING_S_MAX:
            clock = with_reading(clock, line.reading)
        line.study = OpenStudy(begins, patient, place, line.heard_ms, clock, set_by_ms, operator, owner)
        line.lost.study_begins(now)
        if line.aside:
            self._flaw(line, line.aside)

    def _commit(self, line: _Port, commit: Commit, now: float) -> bool:
        """Append one entry; True when it is durable. A study's file is made by its first entry."""
        study = line.study
        if line.on_trial and not line.aside:
            return False
        if study is None:
            self._tell(line, "fault", "driver: an entry outside a study was dropped")
            return False
        if len(commit.raw) > RAW_SIZE_MAX:
            self._tell(line, "fault", f"driver: an entry of {len(commit.raw)} bytes; at most {RAW_SIZE_MAX}")
            return False
        raw = [Tag(kinds.CAPTURE, kinds.RAW, commit.raw, time_ms=line.heard_ms)] if commit.raw else []
        waves = [self._dated(one).to_tag() for one in commit.waveforms]
        named = self._named_by_device(study, commit.patient_id)
        self._note_loss(line, study)
        read = [self._coded(tag) for tag in commit.tags]
        return self._append(line, study, [*raw, *read, *named, *waves, *study.remarks()])

    def _dated(self, sampled: Sampled) -> Waveform:
        age_ms = round((self._clock.now() - sampled.began) * 1000)
        return replace(sampled.waveform, start_ms=max(0, self._clock.time_ms() - age_ms))

    @staticmethod
    def _note_loss(line: _Port, study: OpenStudy) -> None:
        if count := line.lost.take():
            study.note(f"bytes were lost in this computer: {count}")

    def _append(self, line: _Port, study: OpenStudy, tags: list[Tag]) -> bool:
        if self._failed:
            return False
        head = [] if study.entries else study.head(line.facts, line.name)
        try:
            if study.journal is None:
                study.journal = self._studies.open()
                self._tell(line, "opened", study.begins.form)
            study.journal.append([*head, *tags])
        except DiskFull as error:
            self._tell(line, "refused", f"disk-full: {error}")
            return False
        except DiskError as error:
            self._failed = True
            self._tell(line, "refused", f"disk-failed: {error}")
            return False
        study.entries += 1
        study.noted()
        line.unread.committed()
        self._tell(line, "committed", f"entry {study.entries}")
        return True

    def _named_by_device(self, study: OpenStudy, patient_id: str) -> list[Tag]:
        """Return the patient as the device names them; a label that was scanned stands alone."""
        if study.patient is not None or not patient_id:
            return []
        bound = whose("", (patient_id,), self.orders)
        return [record.Patient(bound.patient, bound.source, time_ms=study.opened_ms).to_tag()]

    def _end(self, line: _Port, ends: StudyEnds, now: float) -> None:
        study, line_name = line.study, line.name
        if study is None:
            return
        bound = Bound() if ends.qc or study.journal is None else self._bound(study, ends)
        if bound.remark:
            study.notes.append(bound.remark)  # not into the log, which lies on the card in the clear
        if bound.conflict:
            self._tell(line, "fault", "patient: what was scanned and what the device says disagree; both are kept")
        self._note_loss(line, study)
        why = [record.Partial(study.flaw, line.facts.name).to_tag()] if study.flaw else []
        stepped_ms = self._timekeeping.less_monotonic_ms() - study.set_by_ms
        if abs(stepped_ms) > STEP_MS:
            study.mark = stepped(study.mark or self._timekeeping.mark(), stepped_ms)
        if study.journal is not None and (said := [*why, *study.remarks()]):
            self._append(line, study, said)
        line.study = None
        if study.journal is None:
            return
        if len(self._closing) >= CLOSING_COUNT_MAX:
            self._tell(line, "fault", "disk-full: too many studies wait to be closed; this one is left to recovery")
            return
        summary = self._summary(line, study, ends)
        self._closing.append(_Closing(line_name, study.journal, summary))
        self._retry_closing(now, force=True)

    def _retry_closing(self, now: float, *, force: bool = False) -> None:
        if not force and now < self._close_at:
            return
        while self._closing and not self._failed:
            closing = self._closing[0]
            try:
                closing.journal.close(closing.summary)
            except DiskFull:
                self._close_at = now + CLOSE_RETRY_S
                return
            except DiskError as error:
                self._failed = True
                self._on_event(Happened(closing.port, "refused", f"disk-failed: {error}"))
                return
            except (FormatError, Misuse) as error:
                self._closing.popleft()
                text = f"driver: no summary can be written ({place_of(error)}); the study is left to recovery"
                self._on_event(Happened(closing.port, "fault", text, closing.journal.study_id))
                continue
            self._closing.popleft()
            text = str(closing.summary["form"])
            self._on_event(Happened(closing.port, "closed", text, closing.journal.study_id, closing.summary))

    def _summary(self, line: _Port, study: OpenStudy, ends: StudyEnds) -> dict[str, object]:
        """Return the SUMMARY map of `docs/formats/study.md`."""
        bound = Bound() if ends.qc else self._bound(study, ends)
        return {
            "study": study.journal.study_id if study.journal is not None else b"",
            "kit": self._kit,
            "form": study.begins.form,
            "opened_ms": study.opened_ms,
            "closed_ms": self._clock.time_ms(),
            "device": ends.model or study.begins.model or line.facts.name,
            "patient": bound.patient,
            "patient_conflict": bound.conflict,
            "unlisted": bound.unlisted,
            "operator": study.operator.id if study.operator is not None else "",
            "entries": study.entries,
            "qc": ends.qc,
            "partial": bool(ends.partial or study.flaw),
            "recovered": False,
            "headline": [list(item) for item in ends.headline[:HEADLINE_LINES_MAX]],
        }

    def _bound(self, study: OpenStudy, ends: StudyEnds) -> Bound:
        return whose(study.patient.id if study.patient is not None else "", ends.patient_ids, self.orders)

    # Patients, notes, and telling

    def _bind(self, line: _Port, event: PatientScanned | PatientReleased, now: float) -> None:
        if isinstance(event, PatientReleased):
            self._patient = None
            self._tell(line, "released", "no patient")
            return
        self._patient, self._patient_until = event, now + self._binding_s_max
        self._tell(line, "patient", "a label was read" + (", its check digit holds" if event.checked else ""))
        for other in self._ports.values():
            if other.study is not None and other.bind == "scan" and other.study.patient != event:
                self._note(other, "a label was scanned while this study was open; it was not tied to it")

    def _note(self, line: _Port, text: str) -> None:
        self._tell(line, "note", text)
        if line.study is not None:
            line.study.note(text)

    def _tell(self, line: _Port, kind: str, text: str) -> None:
        journal = line.study.journal if line.study is not None else None
        self._on_event(Happened(line.name, kind, text, journal.study_id if journal is not None else b""))
