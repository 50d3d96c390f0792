"""Devices that send results as HL7 v2 ORU or OUL messages in MLLP, over a serial line or TCP: analysers, monitors.

Written from HL7 v2.3.1, v2.5.1 and v2.6, chapters 2 (acknowledgements: 2.9.2, tables 0008, 0155, 0357) and 7, and
"Transport Specification: MLLP". Tried on the E-LAB ES-480 message of its manual; on no unit of our own. `hl7_frames`
cuts the line into messages, `hl7_message` reads one; here is the conversation.

    listening    messages come
    storing      a message, or the part of it about one person, is on its way to the disk; its answer waits

**AA is said only after the commit.** What is not kept gets AR, which in the standard is what a receiver says for
reasons that are not the message's (2.9.2.2), so that it is sent again; so does what is neither. AE is for what
cannot be read, and is kept nevertheless. Devices wait ten seconds for the answer; some (Mindray) then go on to the next
message without sending this one again, so answers are made at once. A device that asks for the enhanced mode (MSH-15,
16) gets CA, CE, CR, and AA, AE, AR where it wants them.

* One message is one study; where it is about several people (`hl7_persons`), each is a study of their own.
* A message that comes again, the same bytes, or the same but for MSH-7 within `AGAIN_S_MAX`, is answered as before and
  kept once. A control id alone proves nothing: many devices count from 1 after each start. After a restart of the kit
  a repetition is a study of its own.
* A message that breaks off is kept, with its study open for `RESUME_WINDOW_S`; when the same message (MSH-3, 4, 10)
  comes again it goes on in that study. It is not answered: nobody can know what is missing.

MLLP has no checksum. On a serial line a damaged value cannot be seen unless it damages the message's form.
"""

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import accumulate
from pathlib import Path
from typing import Final

from edge import charset, codes
from edge.device_time import from_stamp
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
from edge.drivers import hl7_message
from edge.drivers.hl7_frames import BEGIN, CR, END, Lexer, Piece
from edge.drivers.hl7_message import Header, Report
from edge.drivers.hl7_persons import parts_of
from edge.registry import read_options
from edge.signs import FRAME, Signs
from node import config
from wire.errors import Misuse
from wire.record import Partial

SILENCE_S: Final = 5.0
"""Within a message bytes follow one another; after this silence it is cut."""
END_SILENCE_S: Final = 1.0
"""The silence that ends a message of a device that never sends 1C."""
CR_S: Final = 0.2
RESUME_WINDOW_S: Final = 120.0
AGAIN_S_MAX: Final = 60.0
KEPT_COUNT_MAX: Final = 256
"""Messages that are remembered, so that they are kept once."""
INPUT_SIZE_MAX: Final = 1 << 18
"""Bytes kept while a commit is awaited."""
NOISE_ALARM_SIZE: Final = 1_024
TYPES: Final = {"ORU": ("", "R01", "R30", "R31", "R32"), "OUL": ("", "R21", "R22", "R23", "R24")}
"""MSH-9: what is kept, with its events."""

FACTS: Final = Facts(
    name="hl7",
    version="1",
    title="Analysers and monitors, HL7 v2 ORU and OUL in MLLP, serial or TCP",
    manual="HL7 v2.3.1, v2.5.1 and v2.6, chapters 2 and 7; HL7 Transport Specification MLLP, release 1",
    form="laboratory",
    lines=(Line(9600), Line(19200), Line(38400), Line(115200)),
    options=(
        Option("encoding", "auto", "character set, whatever MSH-18 says", ("auto", *charset.ENCODINGS)),
        Option("controls", "CTRL,CONTROL,QC", "specimen names of control material, separated by commas"),
        Option("codes", "", "file with the clinic's own table of codes and units, beside the kit's"),
        Option(
            "end",
            "1C",
            "what ends a message: the byte 1C, or silence for a device that never sends it",
            ("1C", "silence"),
        ),
        Option("form", "laboratory", "kind of study", ("laboratory", "oximetry", "blood-pressure", "ecg", "document")),
    ),
)

NOTHING: Final = Piece("", b"")
LISTENING, STORING = "listening", "storing"

MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of _Hl7; it may choose another state)
    (LISTENING, "MESSAGE"): (LISTENING, "take"),
    (LISTENING, "CUT"): (LISTENING, "break_off"),
    (LISTENING, "LONG"): (LISTENING, "take_long"),
    (LISTENING, "SILENCE"): (LISTENING, "close"),
    (LISTENING, "LOST"): (LISTENING, "vanish"),
    (STORING, "STORED"): (STORING, "go_on"),
    (STORING, "REFUSED"): (LISTENING, "refuse"),
    (STORING, "LOST"): (LISTENING, "vanish"),
}


@dataclass(slots=True)
class _Step:
    """One entry of a study on its way to the disk, with what is said before and after it."""

    commit: Commit
    before: tuple[Event, ...] = ()
    after: tuple[Event, ...] = ()
    digest: bytes = b""
    """Of the part of which this is the last entry."""


@dataclass(slots=True)
class _Work:
    """A message that is being stored: what is left of it, and what is said at the end."""

    steps: deque[_Step]
    yes: tuple[Event, ...]
    no: tuple[Event, ...]
    whole: bytes = b""
    is_open: bool = False
    """A study has begun on the disk."""


@dataclass(slots=True)
class _Broken:
    """A study whose message broke off, and which waits for it to come again."""

    key: bytes
    reason: str
    close_at: float
    report: Report | None = None


class _Hl7:
    """One device on one port. See the module's text."""

    def __init__(self, encoding: str, controls: frozenset[str], table: codes.Codes, form: str, lexer: Lexer) -> None:
        self._encoding, self._controls, self._table, self._form = encoding, controls, table, form
        self._lexer = lexer
        self._state = LISTENING
        self._input = bytearray()
        self._token = 0
        self._now = self._heard_at = 0.0
        self._work: _Work | None = None
        self._broken: _Broken | None = None
        self._is_noisy = False
        self._kept: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        """Of each part that is kept, without MSH-7: the digest of the whole message, and when."""
        self._actions: Mapping[str, Callable[[Piece], list[Event]]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._now = self._heard_at = now
        events: list[Event] = []
        at = 0
        while at < len(data) and self._state != STORING:
            self._input += data[at : at + INPUT_SIZE_MAX]
            at += INPUT_SIZE_MAX
            events += self._read_on()
        self._hold(data[at:])
        return events if self._state == STORING else [*events, *self._hear_noise()]

    def _hold(self, data: bytes) -> None:
        """Keep what comes while the disk is busy."""
        room = INPUT_SIZE_MAX - len(self._input)
        if len(data) > room > 0:
            # What is dropped must not be joined over: the message that it was in is cut here.
            data = data[: room - 1] + BEGIN
        self._input += data[: max(room, 0)]

    def tick(self, now: float) -> list[Event]:
        self._now = now
        due = self.deadline()
        if due is None or now < due:
            return []
        if not self._lexer.in_message:
            return self._move("SILENCE")
        piece = self._lexer.quiet()
        return [*self._move(piece.kind, piece), *self._read_on()] if piece is not None else []

    def committed(self, token: int, now: float) -> list[Event]:
        return self._settle(token, "STORED", now)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._settle(token, "REFUSED", now)

    def lost(self, now: float) -> list[Event]:
        self._now = now
        self._token += 1
        return self._move("LOST")

    def deadline(self) -> float | None:
        if self._state == STORING:
            return None
        if self._lexer.in_message:
            return self._heard_at + (CR_S if self._lexer.awaits_cr else self._lexer.silence_s(END_SILENCE_S, SILENCE_S))
        return self._broken.close_at if self._broken is not None else None

    # From bytes to moves

    def _settle(self, token: int, event: str, now: float) -> list[Event]:
        self._now = now
        if token != self._token or self._state != STORING:
            return []
        return [*self._move(event), *self._read_on()]

    def _read_on(self) -> list[Event]:
        """Read messages until there are no more, or one waits for the disk."""
        events: list[Event] = []
        data, at = bytes(self._input), 0
        while at < len(data) and self._state != STORING:
            piece, at = self._lexer.feed(data, at)
            if piece is not None:
                events += self._move(piece.kind, piece)
        del self._input[:at]
        return events

    def _move(self, event: str, piece: Piece = NOTHING) -> list[Event]:
        try:
            self._state, action = MOVES[self._state, event]
        except KeyError:
            raise Misuse(f"hl7: {event} in state {self._state}") from None
        return self._actions[action](piece)

    def _hear_noise(self) -> list[Event]:
        """Say once that what comes is no MLLP, until a message comes."""
        if self._is_noisy or self._lexer.dropped_bytes < NOISE_ALARM_SIZE:
            return []
        self._is_noisy = True
        size = self._lexer.dropped_bytes
        return [Fault("noise", f"{size} bytes that are in no message: wrong line settings, or no MLLP?")]

    # Actions: a message

    def _take(self, piece: Piece) -> list[Event]:
        self._is_noisy, self._lexer.dropped_bytes = False, 0
        header = hl7_message.read_header(piece.body)
        if header is None:
            return self._keep_unread(piece, "it is no HL7: it does not begin with MSH")
        events = TYPES.get(header.kind)
        if events is None or header.event not in events:
            code, text = ("201", "unsupported event code") if events else ("200", "unsupported message type")
            return [
                Note(f"{header.kind}^{header.event}"[:40] + " was refused: only results are kept"),
                *_say(header, "R", text, code),
            ]
        return self._store(piece, header)

    def _store(self, piece: Piece, header: Header) -> list[Event]:
        whole = _digest(piece.body)
        yes, no = _say(header, "A", "message accepted"), _say(header, "R", "not stored, send again", "207")
        steps: deque[_Step] = deque()
        parts = parts_of(piece.body, header)
        head = hl7_message.without_time(parts[0])
        # What is kept already has a study of its own; a repetition of it that broke off does not go on in another.
        ends_broken, resumed = self._settle_broken(None if self._is_kept(_digest(head), whole) else header)
        for number, (part, raw) in enumerate(zip(parts, raws_of(piece.raw, parts), strict=True)):
            digest = _digest(head if number == 0 else head.partition(CR)[0] + b"%d" % number + part)
            if not self._is_kept(digest, whole):
                first = number == 0
                goes_on = resumed if first else ""
                steps += self._steps(raw, part, header, digest, piece.notes if first else (), goes_on)
        if not steps:
            return [*ends_broken, Note("a message came again and is kept once: an answer was lost"), *yes]
        said = self._clock_of(header)
        return [*ends_broken, *said, *self._begin_work(_Work(steps, yes, no, whole, bool(resumed)))]

    def _clock_of(self, header: Header) -> list[Event]:
        """Return what the device's clock says: MSH-7, when the message was made."""
        text = header.time.split(header.marks[1])[0].strip()
        read = from_stamp(text)
        return [] if read is None else [ClockRead(text, read, self._heard_at)]

    def _steps(
        self, raw: bytes, part: bytes, header: Header, digest: bytes, notes: Sequence[str], resumed: str
    ) -> list[_Step]:
        """Return the entries of one study."""
        notes = [*notes, *([f"sent again after: {resumed}"] if resumed else [])]
        report = hl7_message.read(part, header, self._table, self._encoding, notes, self._controls)
        patient_id = "" if report.qc else next(iter(report.patient_ids), "")
        tags = (*(one.to_tag() for one in report.results), *(one.to_tag() for one in report.pictures))
        steps = [_Step(Commit(chunk)) for chunk in _chunks(raw)]
        steps[-1].commit = Commit(steps[-1].commit.raw, tags, patient_id=patient_id)
        steps[-1].after = (_ends(report, header.model),)
        steps[-1].digest = digest
        if not resumed:
            steps[0].before = (StudyBegins(self._form, header.model),)
        return steps

    def _keep_unread(self, piece: Piece, reason: str, code: str = "E") -> list[Event]:
        """Keep what cannot be read, once, and say so; to whom, the header says when there is one."""
        header = hl7_message.read_header(piece.body) or Header(("MSH", "|", "^~\\&"))
        says = _say(header, code, reason, "207" if code == "R" else "100")
        digest = _digest(piece.raw)
        ends_broken, _ = self._settle_broken(None)
        if not piece.body.strip(b"\x00\r\n ") or self._is_kept(digest, digest):
            return [*ends_broken, *says]
        steps = deque(_Step(Commit(chunk)) for chunk in _chunks(piece.raw))
        steps[0].before = (StudyBegins(self._form, header.model),)
        steps[-1].commit = Commit(steps[-1].commit.raw, (Partial(reason, FACTS.name).to_tag(),))
        steps[-1].after, steps[-1].digest = (StudyEnds(partial=reason),), digest
        no = _say(header, "R", "not stored, send again", "207")
        return [*ends_broken, *self._begin_work(_Work(steps, says, no, digest))]

    def _take_long(self, piece: Piece) -> list[Event]:
        return self._keep_unread(piece, f"the message is longer than {len(piece.raw)} bytes", "R")

    # Actions: storing

    def _begin_work(self, work: _Work) -> list[Event]:
        self._work, self._state = work, STORING
        return self._ask()

    def _ask(self) -> list[Event]:
        work = self._current()
        step = work.steps[0]
        self._token += 1
        commit = Commit(step.commit.raw, step.commit.tags, self._token, (), step.commit.patient_id)
        return [*step.before, commit]

    def _go_on(self, _: Piece) -> list[Event]:
        work = self._current()
        step = work.steps.popleft()
        work.is_open = not step.after
        if step.digest:
            self._remember(step.digest, work.whole)
        if work.steps:
            return [*step.after, *self._ask()]
        self._work, self._state = None, LISTENING
        return [*step.after, *work.yes]

    def _refuse(self, _: Piece) -> list[Event]:
        """The disk did not take it: the device is told so, and a study that had begun ends."""
        work, self._work = self._current(), None
        ends = [StudyEnds(partial="the disk refused the rest")] if work.is_open or work.steps[0].before else []
        return [*ends, *work.no]

    def _current(self) -> _Work:
        if self._work is None:
            raise Misuse("hl7: an answer of the disk without a message")
        return self._work

    def _is_kept(self, digest: bytes, whole: bytes) -> bool:
        kept, at = self._kept.get(digest, (b"", 0.0))
        return bool(kept) and (kept == whole or self._now - at <= AGAIN_S_MAX)

    def _remember(self, digest: bytes, whole: bytes) -> None:
        self._kept[digest] = (whole, self._now)
        self._kept.move_to_end(digest)
        if len(self._kept) > KEPT_COUNT_MAX:
            self._kept.popitem(last=False)

    # Actions: what broke off

    def _break_off(self, piece: Piece, reason: str = "the message was not ended") -> list[Event]:
        """Keep what came, and the study open for a while: the message may come again."""
        header = hl7_message.read_header(piece.body)
        if header is None and not piece.body.strip(b"\x00\r\n "):
            return []
        key = _key(header) if header is not None else b""
        events: list[Event] = []
        if self._broken is None or not key or self._broken.key != key:
            events = [*self._close(NOTHING), StudyBegins(self._form, header.model if header is not None else "")]
        whole, _, _ = piece.body.rpartition(CR)
        report = None
        if header is not None and whole:
            notes = [*piece.notes, f"the message broke off: {reason}"]
            report = hl7_message.read(whole, header, self._table, self._encoding, notes, self._controls)
        self._broken = _Broken(key, reason, self._now + RESUME_WINDOW_S, report)
        chunks = [Commit(chunk) for chunk in _chunks(piece.raw)]
        chunks[-1] = Commit(chunks[-1].raw, (Partial(reason, FACTS.name).to_tag(),))
        return [*events, *chunks]

    def _settle_broken(self, header: Header | None) -> tuple[list[Event], str]:
        """A message has come: return what ends the one that broke off, or why it broke off when this is the same."""
        broken = self._broken
        if broken is None:
            return [], ""
        if header is not None and broken.key == _key(header):
            self._broken = None
            return [], broken.reason
        return self._close(NOTHING), ""

    def _close(self, _: Piece) -> list[Event]:
        """Nothing came within the window: the study ends as it is."""
        broken, self._broken = self._broken, None
        if broken is None:
            return []
        report = broken.report
        if report is None:
            return [StudyEnds(partial=broken.reason)]
        patient_id = "" if report.qc else next(iter(report.patient_ids), "")
        entry = Commit(b"", tuple(one.to_tag() for one in report.results), patient_id=patient_id)
        return [entry, StudyEnds(report.qc, broken.reason, report.patient_ids, report.headline)]

    def _vanish(self, _: Piece) -> list[Event]:
        """The port went: what was not stored was not answered, and will come again."""
        work, self._work = self._work, None
        begun = work is not None and (work.is_open or bool(work.steps[0].before))
        ends: list[Event] = [StudyEnds(partial="the port vanished")] if begun else []
        piece = Piece("CUT", self._lexer.rest())
        self._input.clear()
        return [*ends, *(self._break_off(piece, "the port vanished") if piece.raw else [])]


def _ends(report: Report, model: str) -> StudyEnds:
    return StudyEnds(report.qc, "", report.patient_ids, report.headline, model)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


def _key(header: Header) -> bytes:
    return _digest(repr(header.key).encode())


def _chunks(raw: bytes) -> list[bytes]:
    return [raw[at : at + RAW_SIZE_MAX] for at in range(0, len(raw), RAW_SIZE_MAX)]


def raws_of(raw: bytes, parts: Sequence[bytes]) -> list[bytes]:
    """Return the bytes of each part; the envelope's beginning goes with the first, its end with the last."""
    ends = [len(BEGIN) + size for size in accumulate(map(len, parts))]
    return [raw[begin:end] for begin, end in zip([0, *ends[:-1]], [*ends[:-1], len(raw)], strict=True)]


def _say(header: Header, code: str, text: str, error: str = "0") -> tuple[Event, ...]:
    """Return the answers that the device wants. `code`: A (accept), E (error) or R (reject)."""
    accept, application = (header[number].strip().upper() for number in (15, 16))
    if not {accept, application} & hl7_message.WANTS:
        wanted = ["A"]
    else:
        fits = {"AL", "SU" if code == "A" else "ER"}
        wanted = [letter for letter, want in (("C", accept), ("A", application)) if want in fits]
    return tuple(Send(BEGIN + hl7_message.answer(header, letter + code, text, error) + END + CR) for letter in wanted)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one device. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    controls = frozenset(word.strip().upper() for word in str(chosen["controls"]).split(",") if word.strip())
    path = str(chosen["codes"])
    table = codes.with_clinic(path, config.read(Path(path))) if path else codes.built_in()
    lexer = Lexer(is_ended_by_silence=chosen["end"] == "silence")
    return _Hl7(str(chosen["encoding"]), controls, table, str(chosen["form"]), lexer)


_HEAD: Final = re.compile(rb"\x0bMSH[|^~\\&#!$%*]{5}")
"""MLLP's first byte and a header with five separators."""
SIGNS: Final = Signs(FRAME, lambda data: len(_HEAD.findall(data)))
