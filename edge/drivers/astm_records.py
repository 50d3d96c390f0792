"""ASTM E1394 / CLSI LIS02-A2, the upper half: from records to the RESULT of `docs/formats/study.md`.

Pure functions over the records of one study, bytes as they came, without their CR. The header says which delimiters
the rest uses; a record may leave out trailing fields; C and M belong to the record before; an escape stands for a
delimiter.
Nothing is trimmed or converted on the way into an observation: "  5.5" stays "  5.5".

What is a control and not a patient: H.12 = Q, O.12 = Q, or a specimen marked as control material. H.12 = T (training)
and D (debugging) are no patient's either. Mindray says there what the message is: PR a patient's results, QR a
control's, CR a calibration's, RQ a question.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge.charset import decode, detect
from edge.codes import Codes
from edge.driver import HEADLINE_LINES_MAX, Headline
from wire.record import Observation, Result

FIELD_COUNT_MAX: Final = 256
OBSERVATIONS_PER_RESULT_MAX: Final = 256
"""A message with more makes several RESULT tags of one entry."""
NOTES_COUNT_MAX: Final = 64
HEADLINE_TEXT_MAX: Final = 40
TEXT_SIZE_MAX: Final = 16_384
"""Characters of one field that are read; the rest stands in RAW only."""
PERSON_FIELDS: Final = {"P": (3, 4, 5, 6, 8, 9), "O": (3, 4)}
"""What is told of the person: ids, name, birth date, sex; specimen ids."""
ID_FIELDS: Final = ("P.3", "P.4", "P.5")
"""Where an analyser may put the id of the patient, beside the number of the tube (`tube_number`)."""
SYSMEX_ATTRIBUTES: Final = frozenset("MABC")
"""How the number came: typed, made by the analyser, read from a bar code, given by the host."""
ROCHE_SAMPLE_TYPES: Final = frozenset({"S0", "S1", "S2", "S3", "S4", "S5", "QC"})
MINDRAY_RESULTS: Final = frozenset({b"PR", b"QR", b"CR"})
"""H.12 of Mindray's BS and CL series (Host Interface Manual, as three readers restate it, two with real logs)."""
MINDRAY_QUESTION: Final = b"RQ"
NO_PATIENT: Final = frozenset({b"Q", b"T", b"D", b"QR", b"CR"})
RESULT_STATUSES: Final = frozenset("CPFXISMRNQVW")
"""LIS02-A2 9.9, R.9."""
CONTROL_WORDS: Final = frozenset({"CTRL", "CONTROL", "QC"})

_DAY: Final = re.compile(rb"(?:19|20)\d{6}(?:\d{4}(?:\d\d)?)?")
"""A date, perhaps with a time: R.14 is the number of the unit elsewhere."""
_HEX_ESCAPE: Final = re.compile(r"[0-9A-Fa-f]{2}(?:[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True)
class Delimiters:
    """The four characters that H declares, as bytes; `|\\^&` unless it says otherwise."""

    field: bytes = b"|"
    repeat: bytes = b"\\"
    component: bytes = b"^"
    escape: bytes = b"&"

    @classmethod
    def read(cls, header: bytes) -> "Delimiters":
        """Return what the H record declares; the usual ones when it is too short or declares one twice."""
        declared = [header[at : at + 1] for at in range(1, 5)]
        usable = header[:1] == b"H" and len(set(declared)) == 4 and all(one > b" " for one in declared)
        return cls(*declared) if usable else cls()

    def split(self, record: bytes) -> list[bytes]:
        """Return the fields; field 1 (the type) is at index 0. H.2, the delimiters themselves, is kept whole."""
        if record[:1] == b"H":
            rest = record[5:].split(self.field, FIELD_COUNT_MAX)
            return [b"H", record[2:5], *rest[1:]]
        return record.split(self.field, FIELD_COUNT_MAX)


def kind_of(record: bytes) -> str:
    """Return the record's type letter; "?" when it has none."""
    letter = record[:1].decode("latin-1").upper()
    return letter if letter.isalpha() else "?"


def content_of(record: bytes, marks: Delimiters) -> bytes:
    """Return the record without its sequence number: what a repetition after a failure has in common with the first."""
    fields = marks.split(record)
    return marks.field.join([fields[0], *fields[2:]])


def field_at(fields: Sequence[bytes], number: int) -> bytes:
    """Return field `number` (1-based, as the standard counts); empty when it was left out."""
    return fields[number - 1] if len(fields) >= number else b""


def sender_of(header: bytes) -> bytes:
    """Return H.5: who sends."""
    return field_at(Delimiters.read(header).split(header), 5)


def time_of(header: bytes) -> str:
    """Return H.14: when the message was made, by the analyser's clock."""
    return field_at(Delimiters.read(header).split(header), 14).decode("latin-1")


def specimen_of(order: bytes, marks: Delimiters) -> tuple[bytes, bytes]:
    """Return O.3 and O.4: which specimen."""
    fields = marks.split(order)
    return field_at(fields, 3).strip(), field_at(fields, 4).strip()


def tube_number(specimen: Sequence[str], place: Sequence[str], mode: bytes = b"") -> str:
    """Return the number of the tube that an order is about, or ""; given O.3 and O.4 in trimmed components, and H.12.

    It is the first component of O.3, or of O.4 where O.3 is empty: O.4 is the analyser's own name for it (E1394 9.4.4).
    Makers do otherwise, and what stands first with them is a counter or a place in a rack, which names nobody:

        sampler ^ position ^ number ^ M|A|B|C    Sysmex, O.4 or O.3; host interface of the XN-L, as readers restate it;
                                                 sampler and position are digits, or both empty
        counter ^ number ^ count ^ ^ counter     Roche c 311, Hitachi 7600, O.3; as three readers show real ones
        sequence ^ rack ^ position ^ ^ S1 ^ SC   Roche cobas, O.4: no number
        counter ^ rack ^ position                Mindray, O.3: no number; O.4 is the bar code
    """
    if mode in MINDRAY_RESULTS and len(specimen) == 3 and specimen[0].isdigit():
        specimen = ()
    return _number_in(specimen, next(filter(None, specimen), "")) or _number_in(place, next(iter(place), ""))


def _number_in(parts: Sequence[str], usual: str) -> str:
    """Return the number in a field of a maker's form; `usual` in any other."""
    first, second, third, fourth, fifth = [*parts, "", "", "", "", ""][:5]
    is_placed = (first.isdigit() and second.isdigit()) or not (first or second)
    if (fourth in SYSMEX_ATTRIBUTES and is_placed) or (third and not first and not second):
        return third
    if first.isdigit() and second and third.isdigit() and not fourth and fifth.isdigit():
        return second
    return "" if fifth in ROCHE_SAMPLE_TYPES else usual


def _places(result: Sequence[bytes], marks: Delimiters) -> tuple[int, int, int, int, int]:
    """Return which fields of an R record are end, beginning, range, flags and status.

    R.13, R.12, R.6, R.7 and R.9; all one later where R.10, which is a time, is a status, R.9 is none, R.6 is empty and
    R.7 is a range or empty: so Mindray's manual shows it. R.9 is then the word for a result without a number, which is
    a flag where R.8 is empty. A status in R.10 alone moves nothing else.
    """
    six, seven, eight, nine, ten, last = (field_at(result, number).strip() for number in (6, 7, 8, 9, 10, 14))
    if nine.decode("latin-1") in RESULT_STATUSES or ten.decode("latin-1") not in RESULT_STATUSES:
        return 13, 12, 6, 7, 9
    if six or (seven and marks.component not in seven and not re.search(rb"\d", seven)):
        return 13, 12, 6, 7, 9 if nine else 10
    return *((14, 13) if _DAY.fullmatch(last) else (13, 12)), 7, 8 if eight else 9, 10


def is_anonymous(patient: bytes, marks: Delimiters) -> bool:
    """Return whether a P record names nobody: neither an id nor a name."""
    fields = marks.split(patient)
    blank = marks.component + marks.repeat + b" "
    return not any(field_at(fields, number).strip(blank) for number in (3, 4, 5, 6))


def is_control(record: bytes, marks: Delimiters, words: frozenset[str] = CONTROL_WORDS) -> bool:
    """Return whether an H or O record says that what follows is no patient's."""
    fields = marks.split(record)
    twelve = field_at(fields, 12).strip().upper()
    if kind_of(record) == "H":
        return twelve in NO_PATIENT
    if twelve == b"Q":
        return True
    marked = b"^".join(field_at(fields, number) for number in (3, 4, 16)).replace(marks.component, b"^")
    parts = [part.strip().upper().decode("latin-1") for part in marked.split(b"^")]
    return any(part in words or part.startswith("CTRL") for part in parts)


@dataclass(frozen=True, slots=True)
class Report:
    """What was read from the records of one study."""

    results: tuple[Result, ...]
    patient_ids: tuple[str, ...]
    qc: bool
    headline: tuple[Headline, ...]


@dataclass(slots=True)
class _Group:
    """The observations of one specimen."""

    specimen_id: str = ""
    ids: dict[tuple[str, str], None] = field(default_factory=dict)
    observations: list[Observation] = field(default_factory=list)


class _Reader:
    """Walks over the records once. `last` is the letter of the record that a comment belongs to."""

    def __init__(self, encoding: str, marks: Delimiters, codes: Codes, words: frozenset[str]) -> None:
        self.encoding, self.marks, self.codes, self.words = encoding, marks, codes, words
        self.groups: dict[str, _Group] = {}
        self.group: _Group | None = None
        self.patient: dict[tuple[str, str], None] = {}
        self.tubes: dict[str, None] = {}
        self.device_time, self.last, self.qc = "", "", False
        self.mode = b""
        self.notes: list[str] = []

    def take(self, record: bytes) -> None:
        kind, fields = kind_of(record), self.marks.split(record)
        if kind in {"H", "O"} and is_control(record, self.marks, self.words):
            self.qc = True
        handler = {"H": self._header, "P": self._patient, "O": self._order, "R": self._result}.get(kind)
        if handler is not None:
            handler(fields)
        elif kind in {"C", "M", "S"}:
            self._attach(kind, fields)
        elif kind not in {"L", "Q"}:
            self._note(f"a record of unknown type {kind!r}")
        if kind not in {"C", "M"}:
            self.last = kind

    def _text(self, fields: Sequence[bytes], number: int) -> str:
        text, used = decode(self._unescape(field_at(fields, number)), self.encoding)
        if used != self.encoding and self.encoding != "ascii":
            self._note(f"field {number} is not {self.encoding}; it was read as {used}")
        if len(text) > TEXT_SIZE_MAX:
            self._note(f"field {number} of {len(text)} characters was cut; RAW has it whole")
        return text[:TEXT_SIZE_MAX]

    def _unescape(self, data: bytes) -> bytes:
        marks = self.marks
        if marks.escape not in data:
            return data
        parts = data.split(marks.escape)
        stands_for = {b"F": marks.field, b"S": marks.component, b"R": marks.repeat, b"E": marks.escape}
        out, at = bytearray(parts[0]), 1
        while at < len(parts):
            if at == len(parts) - 1:
                out += marks.escape + parts[at]
                break
            meant = stands_for.get(parts[at])
            if meant is None and parts[at][:1] == b"X" and _HEX_ESCAPE.fullmatch(parts[at][1:].decode("latin-1")):
                meant = bytes.fromhex(parts[at][1:].decode("ascii"))
            if meant is None:
                out += marks.escape + parts[at]
                at += 1
            else:
                out += meant + parts[at + 1]
                at += 2
        return bytes(out)

    def _header(self, fields: Sequence[bytes]) -> None:
        self.device_time = self._text(fields, 14)
        self.mode = field_at(fields, 12).strip().upper()
        if self.mode in {b"T", b"D"}:
            self._note(f"processing id {self.mode.decode('latin-1')}: no patient's result")

    def _patient(self, fields: Sequence[bytes]) -> None:
        self.patient = self._ids("P", fields)

    def _ids(self, kind: str, fields: Sequence[bytes]) -> dict[tuple[str, str], None]:
        texts = {f"{kind}.{number}": self._text(fields, number) for number in PERSON_FIELDS[kind]}
        return {(name, text): None for name, text in texts.items() if self._parts(text)}

    def _parts(self, text: str) -> list[str]:
        component, repeat = self.marks.component.decode("latin-1"), self.marks.repeat.decode("latin-1")
        return [part.strip() for part in text.replace(repeat, component).split(component) if part.strip()]

    def _components(self, text: str) -> list[str]:
        """Return the components of a field's first repetition, trimmed, each at its place."""
        first = text.split(self.marks.repeat.decode("latin-1"), maxsplit=1)[0]
        return [part.strip() for part in first.split(self.marks.component.decode("latin-1"))]

    def _order(self, fields: Sequence[bytes]) -> None:
        ids = self._ids("O", fields)
        key = "\n".join(text for _, text in ids)
        specimen, place = self._text(fields, 3), self._text(fields, 4)
        self.group = self.groups.setdefault(key, _Group(specimen))
        self.group.ids |= self.patient | ids
        if number := tube_number(self._components(specimen), self._components(place), self.mode):
            self.tubes[number] = None
        if self.mode in {b"QR", b"CR"}:
            self._note(f"control or calibration: {self._rest(fields)}")

    def _result(self, fields: Sequence[bytes]) -> None:
        if self.group is None:
            self.group = self.groups.setdefault("", _Group(ids=dict(self.patient)))
        code, value, unit = (self._text(fields, number) for number in (3, 4, 5))
        parts = self._parts(code)
        coding = self.codes.coding(parts, value.rstrip(self.marks.component.decode("latin-1")), unit)
        ended, begun, limits, flags, status = (self._text(fields, number) for number in _places(fields, self.marks))
        time = ended or begun
        known = (coding.loinc, coding.ucum, coding.value)
        one = Observation(code, _name(code, self.marks), value, unit, limits, flags, status, time, (), *known)
        self.group.observations.append(one)

    def _attach(self, kind: str, fields: Sequence[bytes]) -> None:
        text = self._comment(fields) if kind == "C" else f"{kind}: {self._rest(fields)}"
        if not text.strip():
            return
        if self.last == "R" and self.group is not None and self.group.observations:
            one = self.group.observations[-1]
            if len(one.comments) < NOTES_COUNT_MAX:
                self.group.observations[-1] = _with_comment(one, text)
        else:
            self._note(f"{self.last or 'message'}: {text}")

    def _comment(self, fields: Sequence[bytes]) -> str:
        """Return C.4; C.3 where that is empty and C.3 is no letter for the source (L, P, I)."""
        text, source = self._text(fields, 4), self._text(fields, 3)
        return text if text.strip() or len(source.strip()) < 2 else source

    def _rest(self, fields: Sequence[bytes]) -> str:
        return decode(self.marks.field.join(fields[2:]), self.encoding)[0][:TEXT_SIZE_MAX]

    def _note(self, text: str) -> None:
        if len(self.notes) < NOTES_COUNT_MAX:
            self.notes.append(text)

    def results(self, notes: Iterable[str]) -> tuple[Result, ...]:
        """Return one Result for each specimen, in parts when it is long; the notes stand in the first."""
        groups = list(self.groups.values()) or [_Group(ids=dict(self.patient))]
        found: list[Result] = []
        for group in groups:
            for at in range(0, max(len(group.observations), 1), OBSERVATIONS_PER_RESULT_MAX):
                part = tuple(group.observations[at : at + OBSERVATIONS_PER_RESULT_MAX])
                own = tuple(notes) + tuple(self.notes) if not found else ()
                ids = tuple(group.ids)
                found.append(
                    Result(
                        self.qc, self.device_time, group.specimen_id, ids, self.encoding, part, own[:NOTES_COUNT_MAX]
                    )
                )
        return tuple(found)

    def patient_ids(self) -> tuple[str, ...]:
        """Return each id that may mean the patient, trimmed: the first part of each of `ID_FIELDS`, then the tubes."""
        found = self.patient | {pair: None for group in self.groups.values() for pair in group.ids}
        ordered = sorted((pair for pair in found if pair[0] in ID_FIELDS), key=lambda pair: ID_FIELDS.index(pair[0]))
        own = (parts[0] for _, text in ordered if (parts := self._parts(text)))
        return tuple(dict.fromkeys((*own, *self.tubes)))


def _with_comment(one: Observation, text: str) -> Observation:
    fields = {name: getattr(one, name) for name in Observation.CHECKS}
    return Observation(**(fields | {"comments": (*one.comments, text)}))


def _name(code: str, marks: Delimiters) -> str:
    """Return what a person may call the test: the parts of its code, each once, without a trailing number."""
    parts = list(dict.fromkeys(part.strip() for part in code.split(marks.component.decode("latin-1")) if part.strip()))
    while len(parts) > 1 and parts[-1].isdigit():
        parts.pop()
    return " ".join(parts)


def _line(one: Observation, marks: Delimiters) -> Headline:
    """Return an observation as a line of the headline: short, without delimiters at its ends."""
    value = one.value.strip(marks.component.decode("latin-1") + " ")
    short = value if len(value) <= HEADLINE_TEXT_MAX else value[: HEADLINE_TEXT_MAX - 1] + "…"
    return one.name[:HEADLINE_TEXT_MAX], short, one.unit.strip()[:HEADLINE_TEXT_MAX]


def read(
    records: Sequence[bytes],
    codes: Codes,
    encoding: str = "auto",
    notes: Iterable[str] = (),
    words: frozenset[str] = CONTROL_WORDS,
) -> Report:
    """Return what the records of one study say. Never raises; what cannot be read is in the notes."""
    header = next((record for record in records if kind_of(record) == "H"), b"")
    guessed = encoding == "auto"
    used = detect(b"\r".join(records)) if guessed else encoding
    reader = _Reader(used, Delimiters.read(header), codes, words)
    for record in records:
        reader.take(record)
    if guessed and used not in {"ascii", "utf-8"}:
        notes = [*notes, f"the device does not say its character set; {used} was guessed from the text"]
    results = reader.results(notes)
    observations = [one for result in results for one in result.observations]
    headline = tuple(_line(one, reader.marks) for one in observations[:HEADLINE_LINES_MAX])
    return Report(results, reader.patient_ids(), reader.qc, headline)
