"""ASTM E1394 / CLSI LIS02-A2: an analyser's question for orders (record Q), and the message that answers it.

Pure values and functions. LIS02-A2 section 12 (Q): Q.3 is `patient^specimen`, repeated, or ALL; Q.4 the end of a range;
Q.5 the tests that are asked for; Q.13 = A cancels the question before. Section 6 (H), 7 (P), 8.4 (O: O.12 = N, new
requests; O.26 = Q, response to a query), 15 (L.3: F, the last request for information is processed; I, no information
from the last query; Q, error in the last query). Seen in no recording of ours: written from the standard.

What is not certain is not answered with orders: a range, a number that is one person's id and another's sample, a
sample that is asked for under another patient than the worklist's. The answer then says I or Q, and people are told.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge.drivers import astm_records as lis
from edge.drivers.astm_frames import Piece
from wire.worklist import Order

HELD_SIZE_MAX: Final = 8_192
"""Bytes of a message that may be a question before it is known to be one; a longer one is taken as results."""
ASKED_MAX: Final = 128
"""Specimens in one question, and lines of the worklist in one answer."""
MAY_BEGIN: Final = frozenset({"H", "C", "M"})
"""Records that a question and a message of results begin with alike."""
MAY_FOLLOW: Final = frozenset({"Q", "C", "M", "L"})
ALL: Final = "ALL"

UNDECIDED, QUESTION, RESULTS = "undecided", "question", "results"


@dataclass(slots=True)
class Held:
    """The frames of a message that may be a question: acknowledged and not committed, for it can be asked again.

    It is a question when the first record behind H is Q and nothing but Q, C, M and L follows. As soon as it is not,
    `records` go on as the beginning of a study: nothing of them is lost but by a crash before that, and H alone need
    not be stored (LIS02-A2 4.2).
    """

    records: list[bytes] = field(default_factory=list)
    size: int = 0
    verdict: str = UNDECIDED
    is_done: bool = False

    def judge(self, records: Iterable[bytes], piece: Piece) -> str:
        """Return what the message is with these records of a new frame, which are taken in unless it is RESULTS."""
        new, verdict = list(records), self.verdict
        for one in new:
            verdict = _next(verdict, lis.kind_of(one), is_first=not self.records and one is new[0])
        if verdict == RESULTS or self.size + len(piece.raw) > HELD_SIZE_MAX:
            return RESULTS
        self.records += new
        self.size += len(piece.raw)
        self.verdict = verdict
        self.is_done = bool(self.records) and lis.kind_of(self.records[-1]) == "L"
        return verdict


def _next(verdict: str, kind: str, *, is_first: bool) -> str:
    if is_first:
        return UNDECIDED if kind == "H" else RESULTS
    if verdict == UNDECIDED:
        return QUESTION if kind == "Q" else UNDECIDED if kind in MAY_BEGIN - {"H"} else RESULTS
    return verdict if verdict == QUESTION and kind in MAY_FOLLOW else RESULTS


@dataclass(frozen=True, slots=True)
class Asked:
    """One specimen of a question. `patient` and `sample` as the device gives them; one of them may be empty."""

    patient: str
    sample: str


@dataclass(frozen=True, slots=True)
class Question:
    """What an analyser wants to know. `wrong`: why it cannot be answered; `cancels`: it takes its last one back."""

    marks: lis.Delimiters
    sender: bytes
    mode: bytes
    version: bytes
    asked: tuple[Asked, ...] = ()
    tests: frozenset[str] = frozenset()
    is_all: bool = False
    cancels: bool = False
    wrong: str = ""

    @property
    def ids(self) -> tuple[str, ...]:
        """What to look up; nothing: all."""
        found = (text for one in self.asked for text in (one.patient, one.sample) if text)
        return () if self.is_all else tuple(dict.fromkeys(found))


def read_question(records: Sequence[bytes], encoding: str) -> Question:
    """Return what the records of a question (H first) say. Never raises."""
    marks = lis.Delimiters.read(records[0])
    head = marks.split(records[0])
    sender, mode, version = (lis.field_at(head, number) for number in (5, 12, 13))
    asked: list[Asked] = []
    tests: set[str] = set()
    is_all = cancels = False
    wrong = "its maker wants an answer in a form of its own" if mode.strip().upper() == lis.MINDRAY_QUESTION else ""
    for record in records:
        if lis.kind_of(record) != "Q":
            continue
        fields = [one.decode(encoding, "replace").strip() for one in marks.split(record)]
        start, end, codes, status = (_text(fields, number) for number in (3, 4, 5, 13))
        cancels = cancels or status.upper() == "A"
        wrong = wrong or ("a range is asked for" if end and end != start and end.upper() != ALL else "")
        if start.upper().strip(marks.component.decode("latin-1")) == ALL:
            is_all = True
        else:
            asked += _asked(start, marks)
            wrong = wrong or ("it names a specimen in its maker's own form" if _is_own_form(start, marks) else "")
        tests |= _tests(codes, marks)
    if not wrong and not is_all and not cancels and not asked:
        wrong = "it names no specimen"
    if len(asked) > ASKED_MAX:
        wrong = f"it names {len(asked)} specimens; at most {ASKED_MAX}"
    return Question(marks, sender, mode, version, tuple(asked), frozenset(tests), is_all, cancels, wrong)


def _text(fields: Sequence[str], number: int) -> str:
    return fields[number - 1] if len(fields) >= number else ""


def _asked(text: str, marks: lis.Delimiters) -> list[Asked]:
    found = []
    for one in text.split(marks.repeat.decode("latin-1")):
        patient, _, rest = one.partition(marks.component.decode("latin-1"))
        sample = rest.partition(marks.component.decode("latin-1"))[0]
        if patient.strip() or sample.strip():
            found.append(Asked(patient.strip(), sample.strip()))
    return found


def _is_own_form(text: str, marks: lis.Delimiters) -> bool:
    """Return whether Q.3 has more than `patient^specimen`: Sysmex and Roche write sampler, rack and position there."""
    component, repeat = marks.component.decode("latin-1"), marks.repeat.decode("latin-1")
    return any(any(part.strip() for part in one.split(component)[2:]) for one in text.split(repeat))


def _tests(text: str, marks: lis.Delimiters) -> set[str]:
    """Return the codes of Q.5: the last part of each; none when it asks for ALL."""
    codes = set()
    for one in text.split(marks.repeat.decode("latin-1")):
        parts = [part.strip() for part in one.split(marks.component.decode("latin-1")) if part.strip()]
        if parts and parts[-1].upper() != ALL:
            codes.add(parts[-1])
    return codes


def matching(question: Question, found: Sequence[Order]) -> tuple[list[Order], list[str]]:
    """Return the orders that answer the question, and why others do not; the reasons name nobody, for a log keeps them.

    Each order stands for one sample with its tests.
    """
    lines = [one for one in found if one.tests and _is_sayable(one)]
    doubts = (
        ["an order has letters in its ids that this line does not carry"]
        if any(one.tests and not _is_sayable(one) for one in found)
        else []
    )
    if question.is_all:
        return _asked_for(question, lines)[:ASKED_MAX], doubts
    chosen: list[Order] = []
    for one in question.asked:
        of_sample = [line for line in lines if line.sample and line.sample == (one.sample or one.patient)]
        of_patient = [] if one.sample else [line for line in lines if line.patient == one.patient]
        owners = {line.patient for line in (*of_sample, *of_patient)}
        if one.sample and one.patient and owners - {one.patient}:
            doubts.append("a sample is asked for under another patient than the worklist's")
        elif len(owners) > 1:
            doubts.append("what is asked for is one patient's id and another's sample")
        else:
            chosen += of_sample or of_patient
    return _asked_for(question, list(dict.fromkeys(chosen))), doubts


def _is_sayable(order: Order) -> bool:
    """Ids are never changed or left out: who has others than ASCII is not told of here."""
    return all(text.isascii() for text in (order.patient, order.sample, *order.tests))


def _asked_for(question: Question, lines: Iterable[Order]) -> list[Order]:
    """Leave of each order the tests that are asked for."""
    kept = []
    for one in lines:
        tests = tuple(test for test in one.tests if not question.tests or test in question.tests)
        if tests:
            kept.append(Order(one.patient, one.name, one.birth, one.sex, one.sample, tests))
    return kept


def answer(question: Question, orders: Sequence[Order], encoding: str) -> list[bytes]:
    """Return the records of the message that answers: H, then P and O for each order, L. Nothing found: H and L."""
    marks = question.marks
    ended = b"Q" if question.wrong else b"F" if orders else b"I"
    records = [_header(question)]
    patient = ""
    persons = tubes = 0
    for one in orders:
        if one.patient != patient:
            patient, persons, tubes = one.patient, persons + 1, 0
            fields = {3: one.patient, 6: one.name, 8: one.birth, 9: one.sex}
            records.append(
                _record(marks, b"P", persons, {at: _escaped(text, marks, encoding) for at, text in fields.items()})
            )
        tubes += 1
        codes = (marks.component * 3 + _escaped(test, marks, encoding) for test in one.tests)
        fields_o = {3: _escaped(one.sample, marks, encoding), 5: marks.repeat.join(codes), 6: b"R", 12: b"N", 26: b"Q"}
        records.append(_record(marks, b"O", tubes, fields_o))
    return [*records, _record(marks, b"L", 1, {3: ended})]


def _header(question: Question) -> bytes:
    """Return H as the analyser would write it: its delimiters, version and mode; it is the receiver (H.10)."""
    marks = question.marks
    fields = [b""] * 13
    fields[4], fields[9] = b"feldsher", question.sender
    fields[11], fields[12] = question.mode or b"P", question.version or b"E1394-97"
    declared = b"H" + marks.field + marks.repeat + marks.component + marks.escape
    return declared + marks.field + marks.field.join(fields[2:])


def _record(marks: lis.Delimiters, kind: bytes, number: int, fields: dict[int, bytes]) -> bytes:
    values = [kind, b"%d" % number, *(fields.get(at, b"") for at in range(3, max(fields) + 1))]
    return marks.field.join(values).rstrip(marks.field)


def _escaped(text: str, marks: lis.Delimiters, encoding: str) -> bytes:
    """Return a text as bytes of the analyser's character set; nothing of one that it does not hold: an id stands alone.

    LIS02-A2 5.4.6: a delimiter within a text is written as escape, letter, escape.
    """
    try:
        raw = text.encode(encoding)
    except UnicodeEncodeError:
        return b""
    if any(byte < 0x20 or byte == 0x7F for byte in raw):
        return b""
    letters = {marks.field: b"F", marks.component: b"S", marks.repeat: b"R", marks.escape: b"E"}
    out = b""
    for byte in (raw[at : at + 1] for at in range(len(raw))):
        out += marks.escape + letters[byte] + marks.escape if byte in letters else byte
    return out
