"""Devices at the bedside that speak POCT1-A: glucose meters, blood gas and cardiac analysers; over TCP or serial.

CLSI POCT1-A2, device messaging (DML), as makers' documents and independent hosts restate it: Nova StatStrip, Siemens
DCA Vantage, PixCell HemoScreen (HS-IL-00067), Quidel Sofia, Roche cobas h 232, Abbott i-STAT. The standard itself was
not at hand; what only one of them has is not used. On no unit of our own. `poct1a_documents` finds messages on the
line, `poct1a_message` reads them; here is the conversation, of which the kit is the observation reviewer:

    device                                kit
    HEL.R01 who I am                      ACK
    DST.R01 new_observations_qty          ACK; REQ.R01 (ROBS) when there are any, else what follows EOT
    ACK                                   -
    OBS.R01, OBS.R02 a result, a control  ACK, after the commit; one at a time
    EOT.R01 that was all                  ACK; END.R01, or with `continuous` DTV.R01 START_CONTINUOUS, once
    EVS.R01 events of the device          ACK, after the commit
    KPA.R01, END.R01                      ACK
    ESC.R01, ACK with AE                  shown to a person
    anything else                         ACK with AE: no list of patients or operators is kept here

**A result is acknowledged only when it is durable**, for then the device forgets that it is new. One that the disk
refuses is not answered: the device waits, hangs up, and has it still. What cannot be read is kept, and answered AE.

* A message about several people is divided; each part has its own bytes, so that nobody's study holds another's.
* What was asked for (ROBS) lay in the device's memory: neither the label nor the place of now counts for it. What comes
  after START_CONTINUOUS is of now.
* The same test event (all of SVC but its reason NEW or RES) is kept once and acknowledged again. After a restart of the
  kit a repetition is a study of its own.
* Our messages carry the device's own time: a driver has no clock.
* The same line without an end for `SILENCE_S` within a message: what came is kept as partial, and not answered.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Final

from edge import codes
from edge.device_time import from_iso
from edge.driver import (
    RAW_SIZE_MAX,
    ClockRead,
    Commit,
    Driver,
    Event,
    Facts,
    Fault,
    Line,
    Note,
    Option,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.drivers.poct1a_documents import Document, Element, Splitter, Unread, read
from edge.drivers.poct1a_message import SERVICES_MAX, Service, Voice, services
from edge.registry import read_options
from edge.signs import FRAME, Signs
from node import config
from wire.record import FORMS, Partial, Result

SILENCE_S: Final = 10.0
INPUT_SIZE_MAX: Final = 1 << 16
"""Bytes kept while the disk is busy; a device waits for each answer."""
PIECE_SIZE: Final = 4_096
KEPT_COUNT_MAX: Final = 512
"""Test events that are remembered."""
NOISE_ALARM_SIZE: Final = 4_096
SHOWN_MAX: Final = 80

FACTS: Final = Facts(
    name="poct1a",
    version="1",
    title="Bedside devices that speak POCT1-A (XML over TCP or serial)",
    manual="CLSI POCT1-A2, device messaging, as six makers' devices are documented to speak it",
    form="laboratory",
    lines=(Line(9600), Line(115200), Line(19200), Line(38400)),
    options=(
        Option("continuous", False, "after what was stored, have each result sent when there is one"),
        Option("ack", "ack_control_id", "how ACK names what it answers", ("ack_control_id", "control_id")),
        Option("form", "laboratory", "kind of study", FORMS),
        Option("codes", "", "the clinic's own table of codes and units"),
    ),
)


@dataclass(slots=True)
class _Step:
    """One entry on its way to the disk, and what is said around it."""

    before: tuple[Event, ...]
    commit: Commit
    after: tuple[Event, ...] = ()
    digest: bytes = b""


@dataclass(slots=True)
class _Work:
    """A message that is being kept, and its answer."""

    steps: deque[_Step] = field(default_factory=deque)
    answer: bytes = b""


class _Poct1a:
    """One device on one port. See the module's text."""

    def __init__(self, voice: Voice, form: str, table: codes.Codes, *, is_continuous: bool) -> None:
        self._voice, self._form, self._codes, self._is_continuous = voice, form, table, is_continuous
        self._splitter = Splitter()
        self._input = bytearray()
        self._work: _Work | None = None
        self._token = 0
        self._heard_at = 0.0
        self._model = self._serial = ""
        self._is_asked = self._has_started = self._is_noisy = False
        self._kept: OrderedDict[bytes, None] = OrderedDict()
        self._kinds: Mapping[str, Callable[[Element, Document, int], list[Event]]] = {
            "HEL.R01": self._hello,
            "DST.R01": self._status,
            "OBS.R01": self._observations,
            "OBS.R02": self._observations,
            "EVS.R01": self._events,
            "EOT.R01": self._topic_ends,
            "ACK.R01": self._acknowledged,
            "KPA.R01": self._well,
            "END.R01": self._ends,
            "ESC.R01": self._escaped,
        }

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        self._input += data[: max(0, INPUT_SIZE_MAX - len(self._input))] if self._work is not None else data
        return self._read_on()

    def tick(self, now: float) -> list[Event]:
        due = self.deadline()
        if due is None or now < due:
            return []
        rest = self._splitter.rest()
        return self._break_off(rest, "the message was not ended") if rest is not None else []

    def committed(self, token: int, now: float) -> list[Event]:
        work = self._work
        if work is None or token != self._token:
            return []
        step = work.steps.popleft()
        if step.digest:
            self._remember(step.digest)
        if work.steps:
            return [*step.after, *self._ask(work)]
        self._work = None
        return [*step.after, *([Send(work.answer)] if work.answer else []), *self._read_on()]

    def refused(self, token: int, now: float) -> list[Event]:
        """No answer: the device has it still, and sends it in its next conversation."""
        work = self._work
        if work is None or token != self._token:
            return []
        self._work = None
        return [StudyEnds(partial="the disk refused it"), *self._read_on()]

    def lost(self, now: float) -> list[Event]:
        work, self._work = self._work, None
        events: list[Event] = [StudyEnds(partial="the port vanished")] if work is not None else []
        self._input.clear()
        rest = self._splitter.rest()
        self._splitter = Splitter()
        self._is_asked = self._has_started = False
        return [*events, *(self._break_off(rest, "the port vanished within a message") if rest is not None else [])]

    def deadline(self) -> float | None:
        return self._heard_at + SILENCE_S if self._work is None and self._splitter.is_inside else None

    # From bytes to messages

    def _read_on(self) -> list[Event]:
        """Read messages until there are no more, or one waits for the disk."""
        events: list[Event] = []
        while self._work is None:
            document = self._splitter.next()
            if document is not None:
                events += self._take(document)
            elif self._input:
                self._splitter.push(bytes(self._input[:PIECE_SIZE]))
                del self._input[:PIECE_SIZE]
            else:
                break
        if self._splitter.skipped >= NOISE_ALARM_SIZE and not self._is_noisy:
            self._is_noisy = True
            events.append(Fault("noise", f"{self._splitter.skipped} bytes that are in no message: is it POCT1-A?"))
        return events

    def _take(self, document: Document) -> list[Event]:
        self._is_noisy = False
        if not document.is_whole:
            return self._break_off(document, f"the message is longer than {len(document.raw)} bytes")
        try:
            root, counted_from = read(document)
        except Unread as reason:
            return self._keep_unread(document, str(reason))
        self._voice.hear(root, is_framed=document.is_framed)
        kind = self._kinds.get(root.name)
        if kind is None:
            note = f"{root.name[:SHOWN_MAX]} is not supported"
            return [Note(note), *self._say(self._voice.ack(_id(root), note))]
        return kind(root, document, counted_from)

    # Messages

    def _hello(self, root: Element, _: Document, __: int) -> list[Event]:
        device = root.under("DEV") or root
        named = (device.value(name) for name in ("DEV.model_id", "DEV.device_name", "DEV.vendor_id"))
        self._model = next((one for one in named if one), "")[:SHOWN_MAX]
        self._serial = device.value("DEV.serial_id")[:SHOWN_MAX]
        self._is_asked = self._has_started = False
        text = root.value("HDR", "HDR.creation_dttm")
        read = from_iso(text)
        said: list[Event] = [] if read is None else [ClockRead(text, read, self._heard_at)]
        return [*said, *self._say(self._voice.ack(_id(root)))]

    def _status(self, root: Element, _: Document, __: int) -> list[Event]:
        answer = self._voice.ack(_id(root))
        if self._has_started:
            return self._say(answer)
        if (
            root.value("DST", "DST.new_observations_qty").lstrip("0")
            or root.under("DST", "DST.new_observations_qty") is None
        ):
            self._is_asked = True
            return self._say(answer + self._voice.request())
        return self._say(answer + self._go_on())

    def _topic_ends(self, root: Element, _: Document, __: int) -> list[Event]:
        was_asked, self._is_asked = self._is_asked, False
        return self._say(self._voice.ack(_id(root)) + (self._go_on() if was_asked else b""))

    def _go_on(self) -> bytes:
        """Return what is said when the device has nothing more that is stored."""
        if not self._is_continuous:
            return self._voice.end()
        if self._has_started:
            return b""
        self._has_started = True
        return self._voice.start_continuous()

    def _well(self, root: Element, _: Document, __: int) -> list[Event]:
        return self._say(self._voice.ack(_id(root)))

    def _ends(self, root: Element, _: Document, __: int) -> list[Event]:
        self._is_asked = self._has_started = False
        return self._say(self._voice.ack(_id(root)))

    def _acknowledged(self, root: Element, _: Document, __: int) -> list[Event]:
        said = root.value("ACK", "ACK.type_cd")
        if said in {"AA", ""}:
            return []
        note = root.value("ACK", "ACK.note_txt")[:SHOWN_MAX]
        return [Fault("device", f"the device does not do what it was asked ({said}): {note or 'no reason is given'}")]

    def _escaped(self, root: Element, _: Document, __: int) -> list[Event]:
        why = " ".join(filter(None, (root.value("ESC", one) for one in ("ESC.detail_cd", "ESC.note_txt"))))
        return [Fault("device", f"the device refused a message: {why[:SHOWN_MAX] or 'no reason is given'}")]

    # What is kept

    def _observations(self, root: Element, document: Document, counted_from: int) -> list[Event]:
        answer = self._voice.ack(_id(root))
        found = services(root, document.raw, counted_from, self._codes)
        if not found:
            return self._keep_unread(document, f"it has no test event (SVC), or more than {SERVICES_MAX}")
        work = _Work(answer=answer)
        for one in found:
            digest = blake2b(one.identity, digest_size=16).digest()
            if digest not in self._kept:
                work.steps += self._steps(one, digest)
        if not work.steps:
            return [Note("a result came again and is kept once: an answer was lost"), *self._say(answer)]
        return self._begin(work)

    def _steps(self, one: Service, digest: bytes) -> list[_Step]:
        patient_id = "" if one.result.qc else next(iter(one.patient_ids), "")
        ends = StudyEnds(one.result.qc, "", one.patient_ids, one.headline)
        return self._entries(one.raw, one.result, digest, ends, patient_id=patient_id)

    def _entries(
        self, raw: bytes, result: Result | Partial, digest: bytes, ends: StudyEnds, form: str = "", patient_id: str = ""
    ) -> list[_Step]:
        """Return the entries of one study."""
        chunks = [raw[at : at + RAW_SIZE_MAX] for at in range(0, len(raw), RAW_SIZE_MAX)]
        begins = StudyBegins(form or self._form, self._model, self._serial, is_earlier=self._is_asked)
        steps = [_Step((), Commit(chunk)) for chunk in chunks]
        steps[0].before = (begins,)
        last = Commit(chunks[-1], (result.to_tag(),), patient_id=patient_id)
        steps[-1].commit, steps[-1].after, steps[-1].digest = last, (ends,), digest
        return steps

    def _events(self, root: Element, document: Document, _: int) -> list[Event]:
        """Events of the device are kept as they came: acknowledged, the device forgets them."""
        answer = self._voice.ack(_id(root))
        result = Result(encoding="xml", notes=("events of the device stand in RAW",))
        digest = blake2b(document.raw, digest_size=16).digest()
        if digest in self._kept:
            return self._say(answer)
        steps = self._entries(document.raw, result, digest, StudyEnds(), "document")
        return self._begin(_Work(deque(steps), answer))

    def _keep_unread(self, document: Document, reason: str) -> list[Event]:
        """Keep what cannot be read, once, and say so to whom it names."""
        digest = blake2b(document.raw, digest_size=16).digest()
        control_id = _id_in(document.raw)
        answer = self._voice.ack(control_id, reason) if control_id else b""
        if digest in self._kept or document.kind == "ACK.R01":
            return self._say(answer) if answer and document.kind != "ACK.R01" else []
        steps = self._entries(document.raw, Partial(reason, FACTS.name), digest, StudyEnds(partial=reason))
        return self._begin(_Work(deque(steps), answer))

    def _break_off(self, document: Document, reason: str) -> list[Event]:
        """Keep what came of a result; it is not answered, and comes again. Of the rest nothing is worth keeping."""
        if not document.kind.startswith("OBS."):
            return [Note(f"{document.kind}: {reason}")]
        steps = self._entries(document.raw, Partial(reason, FACTS.name), b"", StudyEnds(partial=reason))
        return self._begin(_Work(deque(steps)))

    def _begin(self, work: _Work) -> list[Event]:
        self._work = work
        return self._ask(work)

    def _ask(self, work: _Work) -> list[Event]:
        step = work.steps[0]
        self._token += 1
        return [*step.before, Commit(step.commit.raw, step.commit.tags, self._token, (), step.commit.patient_id)]

    def _remember(self, digest: bytes) -> None:
        self._kept[digest] = None
        if len(self._kept) > KEPT_COUNT_MAX:
            self._kept.popitem(last=False)

    @staticmethod
    def _say(data: bytes) -> list[Event]:
        return [Send(data)] if data else []


def _id(root: Element) -> str:
    return root.value("HDR", "HDR.control_id")[:SHOWN_MAX]


def _id_in(raw: bytes) -> str:
    """Return the control id of a message that is no XML, where one can be seen."""
    _, found, rest = raw.partition(b"<HDR.control_id V=")
    value = rest[1:SHOWN_MAX].partition(rest[:1])[0] if found else b""
    return value.decode("ascii", "replace") if value.isalnum() else ""


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one device. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    path = str(chosen["codes"])
    table = codes.with_clinic(path, config.read(Path(path))) if path else codes.built_in()
    return _Poct1a(Voice(str(chosen["ack"])), str(chosen["form"]), table, is_continuous=bool(chosen["continuous"]))


def _whole(data: bytes) -> int:
    """Count documents that are read and have a header as the standard has it."""
    splitter, count = Splitter(), 0
    splitter.push(data)
    while (document := splitter.next()) is not None:
        try:
            root, _ = read(document)
        except Unread:
            continue
        count += root.value("HDR", "HDR.version_id") == "POCT1"
    return count


SIGNS: Final = Signs(FRAME, _whole)
