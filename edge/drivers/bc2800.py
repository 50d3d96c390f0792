"""Mindray BC-2800, BC-3000 Plus and BC-3200 haematology analysers, in their own serial format (not HL7).

Written from the BC-3000 Plus operator's manual, appendix D.3 (handshake, the text called A), and a description of what
a BC-2800 sends. On no unit of our own. 8N1, the speed as set in the analyser.

With handshake: ENQ, answered ACK; the text; EOT (04) or 1A; ETX, answered ACK, or NAK to have it again. Without: STX,
the text, EOT. Text A has fixed columns: version 2, length of the id 3, two counts 3 and 2, the id, mode 1, MM DD YYYY
hh mm ss, then eighteen values with the point in its place; stars stand for none. Every column is checked for its form:
a text that does not fit, such as those with ids of fifteen digits, of which only that they exist is known, is kept
whole and not read.

The BC-2800's text A has an id of eight digits, mode, MM DD YYYY hh mm, and the same values without points, which stand
where the manual of the BC-2800Vet, D.3, has them, as one published text of such a unit shows. Digits alone fit
anywhere, so they are read only where they agree: HCT with RBC and MCV, MCH with HGB and RBC, WBC with its parts.
Texts B and C of that manual are controls: known by their beginning, kept, not read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from edge.driver import Driver, Event, Facts, Line, Option, Send
from edge.drivers.lab_answering import FORM, Answering, Report, observation
from edge.registry import read_options
from edge.signs import FRAME, Signs, calls
from wire.record import Observation

STX, ETX, EOT, ENQ, SUB, ACK, NAK = 0x02, 0x03, 0x04, 0x05, 0x1A, b"\x06", b"\x15"
TEXT_SIZE_MAX: Final = 1 << 14
ETX_S: Final = 0.5
"""So long after EOT an ETX may still come; without handshake none does."""
HEAD: Final = re.compile(r"A(\d{2})(\d{3})(\d{3})(\d{2})")
WHEN: Final = re.compile(r"(\d)(\d{2})(\d{2})(\d{4})(\d{2})(\d{2})(\d{2})")
ETX_AGAIN_S: Final = 10.0
QUESTIONS_COUNT_MAX: Final = 4
VALUES: Final = (
    ("WBC", "10^9/L", "###.#"),
    ("Lymph#", "10^9/L", "###.#"),
    ("Mid#", "10^9/L", "###.#"),
    ("Gran#", "10^9/L", "###.#"),
    ("Lymph%", "%", "##.#"),
    ("Mid%", "%", "##.#"),
    ("Gran%", "%", "##.#"),
    ("RBC", "10^12/L", "##.#"),
    ("HGB", "g/L", "###"),
    ("MCHC", "g/L", "####"),
    ("MCV", "fL", "###.#"),
    ("MCH", "pg", "###.#"),
    ("RDW-CV", "%", "##.#"),
    ("HCT", "%", "##.#"),
    ("PLT", "10^9/L", "####"),
    ("MPV", "fL", "##.#"),
    ("PDW", "", "##.#"),
    ("PCT", "%", ".###"),
)
"""In their order: name, unit and form, as the manual prints them."""

OLD_HEAD: Final = re.compile(r"A(\d{8})(\d)(\d{2})(\d{2})(\d{4})(\d{2})(\d{2})")
OLD_VALUES: Final = tuple((name, unit, "##.##" if name == "RBC" else form) for name, unit, form in VALUES)
DEDUCED: Final = "the text has no points: they stand where one published text has them, and the values agree with it"
CONTROL: Final = re.compile(r"(B.{7}|C)(0[1-9]|1[0-2])[0-3]\d20\d{2}[\d.* ]")
"""Texts B (file, lot, date: what is expected) and C (date: what was found) of quality control."""

FACTS: Final = Facts(
    name="bc2800",
    version="1",
    title="Mindray BC-2800, BC-3000 Plus, BC-3200 haematology analysers, own format",
    manual="BC-3000 Plus Operator's Manual, appendix D.3; BC-2800Vet Operator's Manual, appendix D.3",
    form=FORM,
    lines=(Line(9_600), Line(19_200), Line(38_400), Line(57_600), Line(115_200)),
    options=(Option("answer", "ack", "with handshake the analyser waits for ACK", ("ack", "none")),),
)


class Texts:
    """Cuts texts: from STX, or from what follows an answered ENQ, to EOT or 1A and an ETX behind it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.has_ended = False
        self.questions: list[int] = []
        """ENQ and ETX that were heard outside a text and wait for an answer."""

    @property
    def is_open(self) -> bool:
        """A text has begun."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the texts that end in `data`."""
        for byte in data:
            if self.has_ended:
                if byte == ETX:
                    self._buffer.append(byte)
                    yield self.rest()
                    continue
                if byte not in {EOT, SUB}:
                    yield self.rest()
            yield from self._add(byte)

    def _add(self, byte: int) -> Iterator[bytes]:
        if byte in {ENQ, ETX} and not self._buffer:
            self.questions = [*self.questions, byte][-QUESTIONS_COUNT_MAX:]
        elif byte == STX:
            self._buffer[:] = bytes((byte,))
        elif self._buffer or 0x20 <= byte < 0x7F:
            self._buffer.append(byte)
            self.has_ended = byte in {EOT, SUB} and self.is_known
            if len(self._buffer) >= TEXT_SIZE_MAX:
                yield self.rest()

    @property
    def is_known(self) -> bool:
        """It is a text A or a control's; others may hold EOT in their middle, and end with silence."""
        begun = bytes(self._buffer[:32]).lstrip(bytes((STX,)))
        return begun[:1] == b"A" or CONTROL.match(begun.decode("latin-1")) is not None

    @property
    def is_without_handshake(self) -> bool:
        """It began with STX: no ETX comes behind its end."""
        return self._buffer[:1] == bytes((STX,))

    def rest(self) -> bytes:
        """Give up what is not whole."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self.has_ended = False
        return rest


def read(raw: bytes) -> Report:
    """Return what a text says."""
    text = raw.strip(bytes((STX, ETX, EOT, SUB))).decode("latin-1")
    head = HEAD.match(text)
    size = int(head[2]) if head is not None else 0
    when = WHEN.match(text, head.end() + size) if head is not None and 0 < size <= 20 else None
    found = _values(text, when.end()) if when is not None else None
    if head is None or when is None or found is None:
        old = _read_old(text)
        if old is not None:
            return old
        if CONTROL.match(text) is not None:
            return Report(notes=("a control: kept, not read",), qc=True)
        return Report(notes=(f"a text {text[:1]!r} in a form that is not known: kept, not read",))
    _, month, day, year, hour, minute, second = when.groups()
    ids = (("ID", text[head.end() : head.end() + size]),)
    return Report(found, ids, time=f"{year}{month}{day}{hour}{minute}{second}")


def _values(text: str, at: int) -> tuple[Observation, ...] | None:
    """Return the values from `at` on; None where one has not its form."""
    found = []
    for name, unit, form in VALUES:
        value = text[at : at + len(form)]
        at += len(form)
        if len(value) == len(form) and set(value) <= {"*"}:
            continue
        if not fits(value, form):
            return None
        found.append(observation(name, name, value.strip(), unit))
    return tuple(found)


def _read_old(text: str) -> Report | None:
    """Return what a text A with an id of eight digits says; None where it is none, or contradicts itself."""
    head = OLD_HEAD.match(text)
    found: dict[str, str] = {}
    at = head.end() if head is not None else 0
    for name, _, form in OLD_VALUES:
        size = form.count("#")
        digits, at = text[at : at + size], at + size
        if set(digits) <= {"*"} and len(digits) == size:
            continue
        if len(digits) != size or not (digits.isascii() and digits.isdigit()):
            return None
        found[name] = pointed(digits, form)
    if head is None or not agrees({name: float(value) for name, value in found.items()}):
        return None
    sample, _, month, day, year, hour, minute = head.groups()
    read_ones = tuple(observation(name, name, found[name], unit) for name, unit, _ in OLD_VALUES if name in found)
    return Report(read_ones, (("ID", sample),), time=f"{year}{month}{day}{hour}{minute}", notes=(DEDUCED,))


def pointed(digits: str, form: str) -> str:
    """Return digits with the point where the form has it, without zeros in front."""
    places = len(form.partition(".")[2])
    whole = digits[: len(digits) - places].lstrip("0") or "0"
    return f"{whole}.{digits[-places:]}" if places else whole


def agrees(of: Mapping[str, float]) -> bool:
    """Return whether values that follow from one another do: one check at least, and all of them; they are rounded."""
    checks = []
    if {"RBC", "MCV", "HCT"} <= of.keys():
        checks.append(abs(of["RBC"] * of["MCV"] / 10 - of["HCT"]) <= 0.3)
    if {"RBC", "HGB", "MCH"} <= of.keys():
        checks.append(abs(of["HGB"] - of["MCH"] * of["RBC"]) <= 2.0)
    if {"WBC", "Lymph#", "Mid#", "Gran#"} <= of.keys():
        checks.append(abs(of["Lymph#"] + of["Mid#"] + of["Gran#"] - of["WBC"]) <= 0.25)
    return bool(checks) and all(checks)


def fits(value: str, form: str) -> bool:
    """Return whether a value has its form: the point in its place, blanks only in front, a digit at the end."""
    digits = value.lstrip(" ").replace(".", "", 1)
    shape = len(value) == len(form) and value.find(".") == form.find(".")
    return shape and digits.isascii() and digits.isdigit() and value[-1] != " "


class _Bc2800(Answering):
    """See the module's text."""

    name = FACTS.name

    def __init__(self, *, answers: bool) -> None:
        self._texts = Texts()
        super().__init__(self._texts)
        self._answers = answers

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what came; an ENQ is answered at once, as is the ETX of a text that was taken."""
        events = super().feed(data, now)
        questions, self._texts.questions = self._texts.questions, []
        return [*(Send(self._answer(one, now)) for one in questions if self._answers), *events]

    def _answer(self, question: int, now: float) -> bytes:
        """An ETX alone asks for the answer that was lost; where nothing was taken, the text itself is wanted again."""
        was_taken = bool(self._taken) and now - self._taken[-1][1] <= ETX_AGAIN_S and not self._asked
        return ACK if question == ENQ or was_taken else NAK

    def tick(self, now: float) -> list[Event]:
        """Let time pass; a text after which no ETX comes is whole."""
        if self._texts.has_ended and now >= self._heard_at + ETX_S:
            self._message(self._texts.rest(), now)
        return super().tick(now)

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        due = super().deadline()
        ends_at = self._heard_at + ETX_S if self._texts.has_ended else None
        return min([at for at in (due, ends_at) if at is not None], default=None)

    def lost(self, now: float) -> list[Event]:
        """The port vanished. A text from STX to EOT was whole; one with handshake was not answered, and comes again."""
        if self._texts.has_ended and self._texts.is_without_handshake:
            self._message(self._texts.rest(), now)
        elif self._texts.is_open:
            super()._broken("the port vanished in the middle of the message", now)
        return super().lost(now)

    def _broken(self, reason: str, now: float) -> None:
        """A text of another form ends with silence; only a text A can break off."""
        if self._texts.is_known:
            super()._broken(reason, now)
        else:
            self._message(self._texts.rest(), now)

    def _message(self, raw: bytes, now: float) -> None:
        if raw[-1:] != bytes((ETX,)) or not self._answers:
            self._study(raw, read(raw))
        else:
            self._answered_study(raw, raw, read(raw), Send(ACK), Send(NAK), now)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one analyser. Raises ConfigError."""
    return _Bc2800(answers=read_options(FACTS, options)["answer"] == "ack")


SIGNS: Final = Signs(
    FRAME,
    lambda data: sum(bool(read(text).observations) for text in Texts().feed(data)),
    maybe=calls,
    needs=re.compile(rb"[\x04\x1a]"),
)
