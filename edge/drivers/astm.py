"""Laboratory analysers that speak ASTM E1381-95 / CLSI LIS01-A2 below and E1394 / LIS02-A2 above.

Blood counts, chemistry, hormones, GeneXpert. Written from CLSI LIS01-A2 section 6 (states, timers) and LIS02-A2
sections 4 to 14 (records). Tried on recorded bytes of Roche cobas c111, Siemens DCA Vantage, Cepheid GeneXpert and
Sysmex XP-100; on no unit of our own.

The conversation is the table `MOVES` over the states below, in which we are the receiver.

    neutral      nobody speaks
    asked        the analyser said ENQ; we ask the disk whether there is room
    receiving    frames come, each is answered
    storing      a frame is whole; its answer waits for the commit

Every good frame is committed, with every byte before it, *before* its ACK. The frame that ends the message (record L)
is committed together with the RESULT. So what the analyser may forget is on the disk, and what is not on the disk it
sends again. A frame that the disk refuses gets NAK: the sender tries six times, and the whole message again later.

Which frames make one study (`astm_message`):

* A message (H to L) of one patient is one study. It ends with EOT. Another P record, or under a P that names nobody
  another specimen in O, begins the next study; so does a control after a patient. A frame that holds several patients
  is divided at the record, each part going to its own study.
* A message that breaks off (30 s of silence, EOT before L, the port gone) waits `RESUME_WINDOW_S` with its study open.
  When the same sender, patient and specimen come again, they go on in it, and results that are there already are not
  taken twice. Otherwise it ends, marked partial.
* EOT that comes late after L means that our last ACK was lost: the message will be sent again, and is awaited likewise.

With the option `orders` an analyser that asks for its work orders (record Q) is answered from the kit's worklist. What
may be a question is acknowledged without a commit (`astm_orders.Held`), for it changes nothing and can be asked again.
The answer goes out by `astm_sender`, a machine of its own that has the line only while nobody else speaks: never
between an ENQ of the analyser and its EOT. Without the option we never send but answers to frames.

With `frames = "bare"` (`astm_bare`) frames have neither number nor checksum, and STX and EOT are answered, too.

Quirks, each seen in a recording or reported from the field: frame numbers that repeat for different frames (Yumizen
H500: `1,1,1`), so a duplicate is the same number *and* the same bytes, and a number out of order is accepted with a
note; ENQ and EOT with nothing between as a sign of life; ETB at the end of every record but the last (cobas c111); the
whole message in one frame of 26,652 bytes; CR without LF; delimiters of its own (GeneXpert).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from edge import charset, codes
from edge.driver import (
    Commit,
    Driver,
    Event,
    Facts,
    Fault,
    Line,
    Note,
    Option,
    OrdersWanted,
    Reserve,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.drivers import astm_records as lis
from edge.drivers.astm_bare import BareLexer
from edge.drivers.astm_frames import ACK, NAK, STX, Lexer, Piece
from edge.drivers.astm_message import Frame, Message, clock_of, cut, heir_of, merged
from edge.drivers.astm_orders import QUESTION, RESULTS, Held, Question, answer, matching, read_question
from edge.drivers.astm_sender import TEXT_SIZE_MAX, WAITING_MAX, Sender
from edge.registry import read_options
from edge.signs import CHECK, Signs, calls
from node import config
from wire.errors import ConfigError, Misuse
from wire.record import Partial
from wire.tag import Tag
from wire.worklist import Order

SILENCE_S: Final = 30.0
"""LIS01-A2 6.5.2.4: the receiver's timer."""
FRAME_SILENCE_S: Final = 5.0
"""Within a frame bytes follow one another; after this silence the frame is refused, so that it comes again soon."""
DOUBT_S: Final = 1.0
"""A control in an odd place is believed after this silence."""
LF_S: Final = 0.2
"""A frame without LF is whole after this silence; an ACK before the LF might come while the sender is not listening."""
RESUME_WINDOW_S: Final = 120.0
LATE_EOT_S: Final = 8.0
"""An EOT this long after L's ACK is the sender giving up on an ACK that it never got (its timer is 15 s)."""
MODEL_SIZE_MAX: Final = 200
NOISE_ALARM_SIZE: Final = 1_024
INPUT_SIZE_MAX: Final = 1 << 17
"""Bytes kept while a commit is awaited. A sender waits for its ACK, so more is no ASTM."""

CHECKED, BARE = "checked", "bare"

FACTS: Final = Facts(
    name="astm",
    version="1",
    title="Laboratory analysers, ASTM E1381/E1394 (CLSI LIS01-A2, LIS02-A2)",
    manual="CLSI LIS01-A2 (2008) section 6; CLSI LIS02-A2 (2004) sections 4-14",
    form="laboratory",
    lines=(Line(9600), Line(19200), Line(38400), Line(4800), Line(2400), Line(1200)),
    options=(
        Option("encoding", "auto", "character set of names and comments", ("auto", *charset.ENCODINGS)),
        Option("controls", "CTRL,CONTROL,QC", "specimen names of control material, separated by commas"),
        Option("codes", "", "file with the clinic's own table of codes and units, beside the kit's"),
        Option("orders", False, "answer the analyser's questions for work orders from the kit's worklist"),
        Option("frames", CHECKED, "bare: without number and checksum, as a Snibe Maglumi sends them", (CHECKED, BARE)),
        Option("frame_size", TEXT_SIZE_MAX, "characters of text in a frame of such an answer, 64 to 63993"),
    ),
)
FRAME_TEXT_MIN, FRAME_TEXT_MAX = 64, 63_993

GIVEN_UP: Final = (b"\x04", b"\x05")
"""After an ENQ: it was given up before we read it. A late ACK would be taken for that of a frame."""
_HEADER: Final = re.compile(rb"\x02[0-7]?H\|[\\`~@!]\^&")
NOTHING: Final = Piece("", b"")
NEUTRAL, ASKED, RECEIVING, STORING = "neutral", "asked", "receiving", "storing"

MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of _Astm; it may choose another state)
    (NEUTRAL, "ENQ"): (ASKED, "ask"),
    (NEUTRAL, "EOT"): (NEUTRAL, "part"),
    (NEUTRAL, "STX"): (NEUTRAL, "ignore"),
    (NEUTRAL, "FRAME"): (NEUTRAL, "overhear"),
    (NEUTRAL, "BAD"): (NEUTRAL, "ignore"),
    (NEUTRAL, "SILENCE"): (NEUTRAL, "close"),
    (NEUTRAL, "LOST"): (NEUTRAL, "forget_line"),
    (ASKED, "STORED"): (RECEIVING, "greet"),
    (ASKED, "REFUSED"): (NEUTRAL, "decline"),
    (ASKED, "LOST"): (NEUTRAL, "forget_line"),
    (RECEIVING, "ENQ"): (ASKED, "ask_again"),
    (RECEIVING, "EOT"): (NEUTRAL, "finish"),
    (RECEIVING, "STX"): (RECEIVING, "greet"),
    (RECEIVING, "FRAME"): (STORING, "store"),
    (RECEIVING, "REPEAT"): (RECEIVING, "acknowledge"),
    (RECEIVING, "BAD"): (RECEIVING, "reject"),
    (RECEIVING, "SILENCE"): (NEUTRAL, "give_up"),
    (RECEIVING, "LOST"): (NEUTRAL, "give_up"),
    (STORING, "STORED"): (RECEIVING, "stored"),
    (STORING, "REFUSED"): (RECEIVING, "put_back"),
    (STORING, "LOST"): (NEUTRAL, "give_up"),
}


class _Astm:
    """One analyser on one port. See the module's text."""

    def __init__(
        self,
        encoding: str,
        controls: frozenset[str],
        table: codes.Codes,
        frame_size: int,
        *,
        orders: bool,
        is_bare: bool,
    ) -> None:
        self._encoding, self._controls, self._table = encoding, controls, table
        self._tongue = "ascii" if encoding == "auto" else encoding
        """In which names are written to the analyser: one of a set that nobody has named is left out."""
        self._answers_questions = orders
        self._sender = Sender(frame_size)
        self._held: Held | None = None
        """The frames of a message that may be a question."""
        self._questions: dict[int, Question] = {}
        """Those whose orders are looked up, by token: several may come in one reading of the port."""
        self._state = NEUTRAL
        self._is_bare = is_bare
        self._lexer = BareLexer() if is_bare else Lexer()
        self._input = bytearray()
        self._token = 0
        self._now = self._heard_at = self._answered_at = self._close_at = 0.0
        self._message: Message | None = None
        self._frame: Frame | None = None
        """The frame whose commit is awaited."""
        self._refused: Frame | None = None
        """The frame that the disk did not take; it will come again."""
        self._last: Frame | None = None
        """The frame that was acknowledged last."""
        self._noise = 0
        """Bytes since the last conversation."""
        self._carry = b""
        self._rest = b""
        """Raw bytes that are in no commit yet: refused frames, controls."""
        self._actions: Mapping[str, Callable[[Piece], list[Event]]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._now = self._heard_at = now
        room = INPUT_SIZE_MAX - len(self._input)
        self._input += data[:room]
        if len(data) > room:
            self._note(f"{len(data) - room} bytes came while a commit was awaited, and were dropped")
        return [*self._read_on(), *self._hear_noise(len(data))]

    def _hear_noise(self, size: int) -> list[Event]:
        """Count what is no ASTM; say it once, before the next ENQ."""
        before = self._noise
        self._noise = before + size if self._state == NEUTRAL else 0
        if before < NOISE_ALARM_SIZE <= self._noise:
            return [Fault("noise", f"{self._noise} bytes that are no ASTM: wrong line settings, or another device?")]
        return []

    def tick(self, now: float) -> list[Event]:
        self._now = now
        if self._sender.is_speaking:
            return self._sender.tick(now)
        due = self.deadline()
        if due is None or now < due:
            return []
        if (calls_at := self._calls_at()) is not None and now >= calls_at:
            if self._lexer.in_frame:
                self._lexer.rest()  # it did not end, and an ENQ behind it is to be heard at once
            return self._sender.call(now)
        if self._lexer.is_in_doubt or (self._lexer.in_frame and (self._state == RECEIVING or self._lexer.awaits_lf)):
            piece = self._lexer.quiet()
            return [*self._piece(piece), *self._read_on()] if piece is not None else []
        return self._move("SILENCE")

    def committed(self, token: int, now: float) -> list[Event]:
        return self._settle(token, "STORED", now)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._settle(token, "REFUSED", now)

    def lost(self, now: float) -> list[Event]:
        self._now = now
        self._token += 1
        return [*self._sender.lost(now), *self._move("LOST")]

    def ordered(self, token: int, orders: Sequence[Order], now: float) -> list[Event]:
        """These lines of the worklist are about what the analyser asks for."""
        self._now = now
        question = self._questions.pop(token, None)
        if question is None:
            return []
        found, doubts = matching(question, orders)
        faults = [Fault("orders", f"the worklist does not settle a question of the analyser: {one}") for one in doubts]
        return [*faults, *self._reply(question, found)]

    def deadline(self) -> float | None:
        if self._sender.is_speaking:
            return self._sender.deadline()
        times = [at for at in (self._listens_until(), self._calls_at()) if at is not None]
        return min(times, default=None)

    def _calls_at(self) -> float | None:
        """When we may ask for the line, which nobody has now; None while there is nothing to say."""
        at = self._sender.calls_at if self._state == NEUTRAL else None
        if at is None or self._lexer.awaits_lf or self._lexer.is_in_doubt:
            return None
        return max(at, self._heard_at + FRAME_SILENCE_S) if self._lexer.in_frame else at

    def _listens_until(self) -> float | None:
        if self._state in {ASKED, STORING}:
            return None
        if self._lexer.is_in_doubt or self._lexer.awaits_lf:
            return self._heard_at + (LF_S if self._lexer.awaits_lf else DOUBT_S)
        if self._state == RECEIVING:
            return self._heard_at + (FRAME_SILENCE_S if self._lexer.in_frame else SILENCE_S)
        return self._close_at if self._message is not None else None

    # From bytes to moves

    def _settle(self, token: int, event: str, now: float) -> list[Event]:
        self._now = now
        if token != self._token or self._state not in {ASKED, STORING}:
            return []
        return [*self._move(event), *self._read_on()]

    def _read_on(self) -> list[Event]:
        """Read pieces until there are no more, or one waits for the disk."""
        events: list[Event] = []
        data, at = bytes(self._input), 0
        while at < len(data) and self._state not in {ASKED, STORING}:
            if self._sender.is_speaking:
                events += self._sender.feed(data[at], self._now)
                at += 1
                continue
            piece, at = self._lexer.feed(data, at)
            if piece is not None and not (piece.kind == "ENQ" and data[at : at + 1] in GIVEN_UP):
                events += self._piece(piece)
        del self._input[:at]
        return events

    def _piece(self, piece: Piece) -> list[Event]:
        is_repeat = piece.kind == "FRAME" and self._last is not None and self._last.is_same(piece)
        return self._move("REPEAT" if is_repeat and self._state == RECEIVING else piece.kind, piece)

    def _move(self, event: str, piece: Piece = NOTHING) -> list[Event]:
        try:
            self._state, action = MOVES[self._state, event]
        except KeyError:
            raise Misuse(f"astm: {event} in state {self._state}") from None
        events = self._actions[action](piece)
        self._lexer.in_transfer = self._state in {RECEIVING, STORING}
        return events

    # Actions: controls

    def _ignore(self, _: Piece) -> list[Event]:
        return []

    def _part(self, _: Piece) -> list[Event]:
        """EOT once more: with bare frames it wants its answer, or what is kept already would come again."""
        return self._say(ACK) if self._is_bare and (self._message is None or self._message.is_done) else []

    def _forget_line(self, _: Piece) -> list[Event]:
        self._lexer.rest()
        self._input.clear()
        return []

    def _ask(self, piece: Piece) -> list[Event]:
        self._begin_transfer(piece.raw)
        self._token += 1
        return [Reserve(self._token)]

    def _ask_again(self, piece: Piece) -> list[Event]:
        return [*self._interrupt("the analyser began anew with ENQ", b""), *self._ask(piece)]

    def _begin_transfer(self, raw: bytes) -> None:
        self._rest, self._carry = raw, b""
        self._last = self._refused = self._held = None

    def _greet(self, _: Piece) -> list[Event]:
        return self._say(ACK)

    def _decline(self, _: Piece) -> list[Event]:
        return self._say(NAK)

    def _acknowledge(self, piece: Piece) -> list[Event]:
        self._keep(piece.raw)
        self._note("a frame came twice: an acknowledgement was lost")
        return self._say(ACK)

    def _reject(self, piece: Piece) -> list[Event]:
        self._keep(piece.raw)
        self._note(f"a frame was refused: {'; '.join(piece.notes)}")
        return self._say(NAK)

    def _say(self, byte: int) -> list[Event]:
        self._answered_at = self._heard_at = self._now
        return [Send(bytes((byte,)))]

    def _keep(self, raw: bytes) -> None:
        self._rest = (self._rest + raw)[-INPUT_SIZE_MAX:]

    def _note(self, text: str) -> None:
        if self._message is not None:
            self._message.note(text)

    # Actions: frames

    def _overhear(self, piece: Piece) -> list[Event]:
        """A frame without ENQ. The first of a message is taken: we were restarted after we had answered the ENQ."""
        if piece.number != 1 or lis.kind_of(piece.text) != "H":
            return []
        self._begin_transfer(b"")
        self._state = STORING
        return self._store(piece)

    def _store(self, piece: Piece) -> list[Event]:
        refused, self._refused = self._refused, None
        is_again = refused is not None and refused.is_same(piece)
        self._frame = refused.again(piece) if refused is not None and is_again else cut(self._carry, piece)
        if self._answers_questions and not is_again and self._is_held(self._frame):
            return self._hold(self._frame)
        return self._next_part(self._frame)

    # Actions: questions

    def _is_held(self, frame: Frame) -> bool:
        """Take in a frame of what may be a question; when it is none, what was held becomes part of this frame."""
        message = self._message
        is_between = message is None or bool(message.interrupted) or message.is_done
        held = self._held or (Held() if is_between and not self._carry else None)
        if held is None:
            return False
        if held.judge([record for _, record in frame.pending], frame.piece) == RESULTS:
            frame.pending.extendleft((0, record) for record in reversed(held.records))
            self._held = None
            return False
        self._held = held
        return True

    def _hold(self, frame: Frame) -> list[Event]:
        self._state = RECEIVING
        self._keep(frame.piece.raw)
        self._carry, self._last, self._frame = frame.carry, frame, None
        return self._say(ACK)

    def _settle_held(self) -> list[Event]:
        """The transfer is over: a whole question is looked up, and one that broke off will be asked again."""
        held, self._held = self._held, None
        if held is None or held.verdict != QUESTION:
            return []
        self._rest = b""
        if not held.is_done:
            return [Note("a question of the analyser broke off; it must ask again")]
        question = read_question(held.records, self._tongue)
        if question.cancels:
            self._sender.cancel()
            return [Note("the analyser took its question back")]
        if question.wrong:
            text = f"a question of the analyser was not answered with orders: {question.wrong}"
            return [Fault("orders", text), *self._reply(question, [])]
        self._token += 1
        self._questions[self._token] = question
        while len(self._questions) > WAITING_MAX:
            del self._questions[next(iter(self._questions))]
        return [OrdersWanted(self._token, question.ids)]

    def _reply(self, question: Question, orders: Sequence[Order]) -> list[Event]:
        key = question.asked or question.is_all
        events = self._sender.put(key, answer(question, orders, self._tongue))
        return [*events, Note(f"the analyser asked for orders: it is told of {len(orders)} in the worklist")]

    def _next_part(self, frame: Frame) -> list[Event]:
        """Commit as much of the frame as belongs to one study; record L's frame together with the RESULT."""
        events: list[Event] = []
        if self._message is None:
            self._message = Message()
            events.append(_begins(next((one for _, one in frame.pending), b"")))
        message = self._message
        events += clock_of(frame, self._now)
        self._note_oddities(frame.piece)
        is_end = frame.take_group(message, self._controls)
        raw = (self._rest if frame.raw_from == 0 else b"") + frame.piece.raw[frame.raw_from : frame.raw_to]
        self._token += 1
        whole = merged(message, frame.group) if is_end else None
        return [*events, self._entry(raw, whole, self._token)]

    def _note_oddities(self, piece: Piece) -> None:
        for text in piece.notes:
            self._note(text)
        if self._last is not None and not self._is_bare and piece.number != (self._last.piece.number + 1) % 8:
            self._note(f"frame number {piece.number} after {self._last.piece.number}; its sum holds")
        if self._lexer.dropped_bytes:
            self._note(f"{self._lexer.dropped_bytes} bytes between frames were dropped")
            self._lexer.dropped_bytes = 0

    def _stored(self, _: Piece) -> list[Event]:
        frame, message = self._frame, self._message
        if frame is None or message is None:
            raise Misuse("astm: a commit without a frame")
        self._rest = b""
        self._message = message = self._reported(merged(message, frame.group), frame)
        frame.raw_from = frame.raw_to
        if frame.pending:
            return self._divide(message, frame)
        self._carry, self._last, self._frame = frame.carry, frame, None
        return self._say(ACK)

    @staticmethod
    def _reported(message: Message, frame: Frame) -> Message:
        if frame.pending or message.is_done:
            message.reported = len(message.records)
        return message

    def _divide(self, message: Message, frame: Frame) -> list[Event]:
        """The rest of the frame belongs to the next study."""
        self._state = STORING
        first = frame.pending[0][1]
        self._message = heir_of(message, first)
        begins = _begins(first if lis.kind_of(first) == "H" else message.last("H"))
        follows = [Note("this message began in the study before")] if self._message.records else []
        return [self._ends(message), begins, *follows, *self._next_part(frame)]

    def _put_back(self, _: Piece) -> list[Event]:
        if self._frame is not None:
            self._frame.put_back()
        self._refused, self._frame = self._frame, None
        return self._say(NAK)

    # Actions: ends

    def _finish(self, piece: Piece) -> list[Event]:
        self._sender.free(self._now)
        is_undecided = self._held is not None and self._held.verdict != QUESTION
        asked = self._settle_held()
        is_unread = self._is_bare and STX in (self._rest + piece.raw).rpartition(b"")[2]
        if (is_undecided or is_unread) and self._message is None:
            return self._interrupt("EOT before the end of the message", piece.raw)
        is_over = self._message is None or self._message.is_done
        return [*asked, *self._finish_study(piece), *(self._say(ACK) if self._is_bare and is_over else [])]

    def _finish_study(self, piece: Piece) -> list[Event]:
        message = self._message
        if message is None:
            return []
        if not message.is_done:
            return self._interrupt("EOT before the end of the message", piece.raw)
        if self._now - self._answered_at >= LATE_EOT_S:
            return self._interrupt("the analyser did not see our last answer", piece.raw)
        self._keep(piece.raw)
        raw, self._rest = self._rest, b""
        return [self._entry(raw, message), *self._end(message)]

    def _give_up(self, _: Piece) -> list[Event]:
        rest = self._lexer.rest() + bytes(self._input)
        self._input.clear()
        frame, self._frame = self._frame, None
        if frame is not None:
            rest = frame.piece.raw[frame.raw_from :] + rest
        return self._interrupt("the analyser fell silent", rest)

    def _interrupt(self, reason: str, raw: bytes) -> list[Event]:
        """Keep what came, and the study open for a while: it may go on."""
        if self._held is not None and self._held.is_done:
            self._held.is_done = False  # without its EOT a question is not over: it comes again
        self._settle_held()
        self._keep(raw)
        begins: list[Event] = []
        if self._message is None and STX in self._rest:
            self._message = Message()
            begins = [_begins(b"")]
        message = self._message
        if message is None or message.interrupted:
            return []
        message.break_off(reason)
        self._close_at = self._now + RESUME_WINDOW_S
        if message.is_done:
            return [self._flush(())] if self._rest else []
        return [*begins, self._flush((Partial(reason, FACTS.name).to_tag(),))]

    def _flush(self, tags: tuple[Tag, ...]) -> Event:
        raw, self._rest = self._rest, b""
        return Commit(raw, tags)

    def _close(self, _: Piece) -> list[Event]:
        """Nothing came within the window: the study ends as it is."""
        message = self._message
        if message is None:
            return []
        entry = self._entry(b"", message)
        return [*([entry] if entry.tags else []), *self._end(message)]

    def _end(self, message: Message) -> list[Event]:
        self._message = None
        return [self._ends(message)]

    def _ends(self, message: Message) -> StudyEnds:
        report = self._report(message)
        partial = "" if message.is_done else message.broke
        return StudyEnds(report.qc, partial, report.patient_ids, report.headline, _model_of(message.last("H")))

    def _entry(self, raw: bytes, message: Message | None, token: int | None = None) -> Commit:
        """Return the entry with what is to be reported of `message`, unless all of it is committed already."""
        if message is None or (message.reported and message.reported == len(message.records)):
            return Commit(raw, token=token)
        report = self._report(message)
        patient_id = "" if report.qc else next(iter(report.patient_ids), "")
        return Commit(raw, tuple(one.to_tag() for one in report.results), token, patient_id=patient_id)

    def _report(self, message: Message) -> lis.Report:
        return lis.read(message.records, self._table, self._encoding, message.remarks(), self._controls)


def _begins(header: bytes) -> StudyBegins:
    """Return the beginning of a study whose header this is; the sender's text is the model."""
    return StudyBegins(FACTS.form, _model_of(header))


def _model_of(header: bytes) -> str:
    sender = lis.sender_of(header) if lis.kind_of(header) == "H" else b""
    return charset.decode(sender.strip()[:MODEL_SIZE_MAX], "utf-8")[0]


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one analyser. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    controls = frozenset(word.strip().upper() for word in str(chosen["controls"]).split(",") if word.strip())
    path = str(chosen["codes"])
    table = codes.with_clinic(path, config.read(Path(path))) if path else codes.built_in()
    size = int(chosen["frame_size"])
    if not FRAME_TEXT_MIN <= size <= FRAME_TEXT_MAX:
        raise ConfigError(
            f"driver {FACTS.name!r}: option 'frame_size' is {size}; it may be {FRAME_TEXT_MIN} to {FRAME_TEXT_MAX}"
        )
    orders, is_bare = bool(chosen["orders"]), chosen["frames"] == BARE
    if orders and is_bare:
        raise ConfigError(f"driver {FACTS.name!r}: option 'orders' is true; with frames = 'bare' nothing is asked for")
    return _Astm(str(chosen["encoding"]), controls, table, size, orders=orders, is_bare=is_bare)


def _whole(data: bytes) -> int:
    """Return how many frames hold their sum; a frame of kilobytes is known by its header, before its end is here."""
    lexer, at, found = Lexer(), 0, len(_HEADER.findall(data))
    while at < len(data):
        piece, at = lexer.feed(data, at)
        found += piece is not None and piece.kind == "FRAME"
    return found


SIGNS: Final = Signs(CHECK, _whole, maybe=calls)
