"""HL7 v2, within one message: its header, whose it is, what it says as a RESULT, and the answer to it.

Pure functions over bytes as they came. Written from HL7 v2.3.1 and v2.6, chapter 2 (delimiters, escapes, character
sets, acknowledgements) and chapter 7 (ORU: PID, OBR, OBX, NTE), and from how makers use them: Mindray (OBX-4 holds the
test's name, OBX-13 an edited value, MSH-16 what kind of result: 1 calibration, 2 control), IHE PCD-01 (OBX-4 is a place
in the device, OBX-6 a unit of three components).

Values, units, ranges and flags stay as received, but for escapes. `""`, which means "delete", is read as nothing. An
empty field stays empty. Binary values (ED) are not repeated in the RESULT; those that are pictures become PICTUREs.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge import charset
from edge.codes import Codes
from edge.driver import HEADLINE_LINES_MAX, Headline
from edge.drivers.hl7_persons import NO_PATIENTS as NO_PATIENTS_ROLES
from edge.drivers.hl7_persons import is_specimen_first
from wire.record import Observation, Picture, Result

SEGMENTS_COUNT_MAX: Final = 8_192
OBSERVATIONS_PER_RESULT_MAX: Final = 256
RESULT_TEXT_MAX: Final = 48 * 1024
"""A message with more observations, or more characters in them, makes several RESULT tags of one entry."""
OBSERVATIONS_COUNT_MAX: Final = 4_096
ORDERS_COUNT_MAX: Final = 256
ORDER_IDS_MAX: Final = 64
"""Numbers of one order, its specimens' among them."""
PICTURES_COUNT_MAX: Final = 64
NOTES_COUNT_MAX: Final = 64
COMMENTS_COUNT_MAX: Final = 16
TEXT_SIZE_MAX: Final = 4_096
"""Characters of one field that are read; the rest stands in RAW only."""
PERSON_TEXT_MAX: Final = 512
COMMENT_TEXT_MAX: Final = 1_024
NOTE_TEXT_MAX: Final = 200
TIME_TEXT_MAX: Final = 64
SHORT_TEXT_MAX: Final = 40
"""Characters of a headline's part."""
FIELDS_COUNT_MAX: Final = 256
ANSWER_FIELD_SIZE_MAX: Final = 200
"""Characters of a field that an answer repeats."""

CHARACTER_SETS: Final = {
    # HL7 table 0211, and what devices write there beside it
    "ASCII": "ascii",
    **{f"8859/{number}": f"iso8859-{number}" for number in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "GB 18030-2000": "gb18030",
    "GBK": "gb18030",
    "GB2312": "gb18030",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "WINDOWS-1251": "cp1251",
    "CP1251": "cp1251",
    "KOI8-R": "koi8-r",
    "KOI8-U": "koi8-u",
    "CP866": "cp866",
}
WIDE_SETS: Final = frozenset(("utf-8", "gb18030", "iso2022_jp", "iso2022_jp_1", "euc_kr", "big5"))
"""They hold ASCII, too, so the last of them that MSH-18 names is what the text is in. Of others the first is
(2.15.9.18): each reads every byte, and those after it are only for what stands between escapes."""
WANTS: Final = frozenset(("AL", "NE", "ER", "SU"))
"""HL7 table 0155. Whatever else a device writes into MSH-15 and 16 is no request for the enhanced mode."""
NO_PATIENTS: Final = {"Q": "control", "T": "training", "D": "debugging"}
"""MSH-11."""
NO_PATIENTS_EITHER: Final = {"1": "calibration", "2": "control"}
"""MSH-16, as Mindray and E-LAB use it."""
ROLES: Final = {
    "LQC": "control",
    "EQC": "control",
    "PRF": "proficiency test",
    "CVR": "calibration",
    "CAL": "calibration",
}
"""OBR-4 of bedside devices (HemoScreen), in the words of POCT1-A: all but OBS, a patient's observation. Alone: with a
name behind it, it is a test (CAL^Calcium)."""
PERSON_FIELDS: Final = {"PID": (2, 3, 4, 5, 7, 8), "OBR": (2, 3), "SPM": (2,), "SAC": (3,)}
ID_FIELDS: Final = ("PID.3", "PID.2", "PID.4", "SPM.2", "SAC.3", "OBR.2", "OBR.3")
"""Where a device may put the id of the patient; where many send the tube's label, SPM, SAC or OBR."""
TUBE_FIELDS: Final = frozenset({"SPM.2", "SAC.3"})
ORDER_FIELDS: Final = frozenset({"OBR.2", "OBR.3"})
MEDIA_TYPES: Final = {"BMP": "image/bmp", "PNG": "image/png", "JPEG": "image/jpeg", "JPG": "image/jpeg"}

_SEGMENT: Final = re.compile(rb"[^\r\n]+")
_PLACE: Final = re.compile(r"[\d.]*")
"""OBX-4 that is a number or a place (1.13.1.1), and no name."""
_STRUCTURED: Final = re.compile(r"([<>=]{0,2})\^([+-]?\d+(?:\.\d+)?)(?:\^([-+/.:])\^(\d+(?:\.\d+)?))?")
"""HL7's SN: comparator ^ number ^ separator ^ number."""


@dataclass(frozen=True, slots=True)
class Header:
    """MSH: `fields[n]` is MSH-n, read byte for byte (latin-1), so that it can be sent back as it came."""

    fields: tuple[str, ...]

    def __getitem__(self, number: int) -> str:
        return self.fields[number] if number < len(self.fields) else ""

    @property
    def marks(self) -> str:
        """Field, component, repetition, escape and subcomponent delimiters."""
        return self[1] + (self[2][:4].ljust(4, "\0") if len(self[2]) >= 2 else "^~\\&")

    @property
    def kind(self) -> str:
        return self[9].split(self.marks[1])[0].strip().upper()

    @property
    def event(self) -> str:
        return next(iter(self[9].split(self.marks[1])[1:2]), "").strip().upper()

    @property
    def key(self) -> tuple[str, str, str]:
        """Who sends, and how they call this message."""
        return self[3], self[4], self[10]

    @property
    def model(self) -> str:
        words = (self[number].replace(self.marks[1], " ").strip() for number in (3, 4))
        name = " ".join(word for word in words if word).encode("latin-1")
        return charset.decode(name, "utf-8")[0][:NOTE_TEXT_MAX]

    @property
    def time(self) -> str:
        return self[7][:TIME_TEXT_MAX]


def read_header(body: bytes) -> Header | None:
    """Return the header of a message; None when it does not begin with one."""
    first = _SEGMENT.search(body.lstrip(b"\x00 \r\n"))
    text = first.group().decode("latin-1") if first is not None else ""
    mark = text[3:4]
    if text[:3] != "MSH" or not mark or mark.isalnum() or not mark.isprintable():
        return None
    fields = text.split(mark, FIELDS_COUNT_MAX)
    return Header(("MSH", mark, *fields[1:]))


def without_time(body: bytes) -> bytes:
    """Return the message without MSH-7, which some devices write anew when they send a message again."""
    mark = body.lstrip(b"\x00 \r\n")[3:4]
    head, end, rest = body.partition(b"\r")
    fields = head.split(mark) if mark else [head]
    return mark.join([*fields[:6], *fields[7:]]) + end + rest


def answer(header: Header, code: str, text: str, error: str = "0") -> bytes:
    """Return the message that acknowledges one: MSH and MSA, in the sender's own delimiters and version.

    A driver reads no clock: MSH-7 repeats the sender's time. The control id is the one that is acknowledged.
    """
    mark, component = header.marks[0], header.marks[1]
    parts = header[9][:ANSWER_FIELD_SIZE_MAX].split(component)
    kind = component.join(["ACK", *parts[1:2], *(["ACK"] if len(parts) > 2 else [])])
    echo = {number: header[number][:ANSWER_FIELD_SIZE_MAX] for number in range(len(header.fields))}.get
    fields = [
        *("MSH", header[2][:5], echo(5) or "FELDSHER", echo(6, ""), echo(3, ""), echo(4, ""), echo(7, ""), ""),
        *(kind, echo(10, ""), echo(11, ""), echo(12, ""), "", "", "", "", "", echo(18, "")),
    ]
    lines = (fields, ["MSA", code, echo(10, ""), text, "", "", error])
    return "".join(mark.join(one).rstrip(mark) + "\r" for one in lines).encode("latin-1")


def text_of(body: bytes, header: Header, encoding: str) -> tuple[str, str, list[str]]:
    """Return the message as text, the character set it was read in, and what is to be said about that."""
    words = [word for one in header[18].split(header.marks[2]) if (word := one.strip().upper())]
    declared = header.marks[2].join(words)
    sets = [CHARACTER_SETS[word] for word in words if word in CHARACTER_SETS]
    wide = [one for one in sets if one in WIDE_SETS]
    own = next((one for one in sets if one != "ascii"), next(iter(sets), ""))
    known = encoding if encoding != "auto" else next(reversed(wide), own)
    if known:
        text, used = _decoded(body, known)
        if used:
            return text, used, []
        notes = [f"the text is not {known}, as {'MSH-18' if encoding == 'auto' else 'the configuration'} has it"]
    else:
        notes = [f"MSH-18 is {declared!r}, which is not known"] if declared else []
    guessed = charset.detect(body)
    if guessed not in {"ascii", "utf-8"}:
        notes.append(f"the device does not say its character set; {guessed} was guessed from the text")
    return *charset.decode(body, guessed), notes


def _decoded(body: bytes, encoding: str) -> tuple[str, str]:
    try:
        return body.decode(encoding), encoding
    except UnicodeDecodeError:
        return "", ""


@dataclass(frozen=True, slots=True)
class Report:
    """What was read from the part of a message that is about one person."""

    results: tuple[Result, ...]
    pictures: tuple[Picture, ...]
    patient_ids: tuple[str, ...]
    qc: bool
    headline: tuple[Headline, ...]


@dataclass(slots=True)
class _Order:
    """The observations of one OBR."""

    specimen_id: str = ""
    time: str = ""
    ids: dict[tuple[str, str], None] = field(default_factory=dict)
    is_chemistry: bool = False
    """OBR-4 names the maker and the model: OBR-2 is the bar code, OBR-3 a place, PID-4 a bed (BS-200 and its like)."""
    observations: list[Observation] = field(default_factory=list)

    @property
    def no_ids(self) -> frozenset[str]:
        """Fields that name something else than a patient or a tube."""
        names = {name for name, _ in self.ids}
        of_beds = {"PID.4", *({"OBR.3"} if "OBR.2" in names else ())} if self.is_chemistry else set()
        return frozenset(of_beds | (ORDER_FIELDS if names & TUBE_FIELDS else frozenset()))


class _Reader:
    """Walks over the segments once."""

    def __init__(self, header: Header, codes: Codes) -> None:
        self.field_mark, self.component, self.repeat, self.escape, self.sub = tuple(header.marks)
        self.codes = codes
        self.sender = (header[3].strip(), header[4].strip())
        self.specimen_leads = is_specimen_first(header)
        self.specimen: dict[tuple[str, str], None] = {}
        """SPM and SAC that the next orders are about."""
        self.is_between = False
        """A specimen is there whose orders come: what is observed now is of itself (OUL^R22: SPM, OBX, SAC, OBR)."""
        self.no_patients: dict[str, None] = {}
        """Why it is no patient's, as specimens and orders say."""
        self.patient: dict[tuple[str, str], None] = {}
        self.orders: list[_Order] = []
        self.pictures: list[Picture] = []
        self.notes: list[str] = []
        self.count = 0

    def take(self, segment: str) -> None:
        fields = segment.split(self.field_mark, FIELDS_COUNT_MAX)
        handlers: dict[str, Callable[[Sequence[str]], None]] = {
            "PID": self._patient,
            "SPM": self._specimen,
            "SAC": self._container,
            "OBR": self._order,
            "OBX": self._observation,
            "NTE": self._comment,
        }
        handlers.get(fields[0], self._other)(fields)

    def _other(self, fields: Sequence[str]) -> None:
        if not re.fullmatch(r"[A-Z][A-Z0-9]{2}", fields[0]):
            self.note("a segment that is no HL7: bytes may have been lost or damaged on the line")

    def note(self, text: str) -> None:
        if len(self.notes) < NOTES_COUNT_MAX and text[:NOTE_TEXT_MAX] not in self.notes:
            self.notes.append(text[:NOTE_TEXT_MAX])

    # Fields

    def text(self, fields: Sequence[str], number: int, size_max: int = TEXT_SIZE_MAX) -> str:
        raw = fields[number] if number < len(fields) else ""
        if len(raw) > size_max:
            self.note(f"{fields[0]}-{number} of {len(raw)} characters was cut; RAW has it whole")
        return "" if raw == '""' else self._unescaped(raw[:size_max])

    def _unescaped(self, text: str) -> str:
        """Undo \\F\\ \\S\\ \\T\\ \\R\\ \\E\\ \\Xhh\\ \\.br\\; every other escape stays as it came."""
        if self.escape not in text:
            return text
        meant = {"F": self.field_mark, "S": self.component, "T": self.sub, "R": self.repeat, "E": self.escape}
        parts = text.split(self.escape)
        out, at = parts[0], 1
        while at < len(parts):
            stands_for = meant.get(parts[at], _char_of(parts[at])) if at + 1 < len(parts) else None
            if stands_for is None:
                out, at = out + self.escape + parts[at], at + 1
            else:
                out, at = out + stands_for + parts[at + 1], at + 2
        return out

    def _components(self, fields: Sequence[str], number: int) -> list[str]:
        raw = fields[number] if number < len(fields) else ""
        return [self._unescaped(part).strip() for part in raw[:TEXT_SIZE_MAX].split(self.component)]

    # Segments

    def _ids(self, kind: str, fields: Sequence[str]) -> dict[tuple[str, str], None]:
        texts = {f"{kind}.{number}": self.text(fields, number, PERSON_TEXT_MAX) for number in PERSON_FIELDS[kind]}
        return {(name, text): None for name, text in texts.items() if text.strip(self.component + self.repeat + " ")}

    def _patient(self, fields: Sequence[str]) -> None:
        self.patient = self._ids("PID", fields)

    def _specimen(self, fields: Sequence[str]) -> None:
        if (role := self._components(fields, 11)[0].upper()) in NO_PATIENTS_ROLES:
            self.no_patients[NO_PATIENTS_ROLES[role]] = None
        self._place(self._ids("SPM", fields), replaces=True)

    def _container(self, fields: Sequence[str]) -> None:
        self._place(self._ids("SAC", fields), replaces=False)

    def _place(self, ids: dict[tuple[str, str], None], *, replaces: bool) -> None:
        """Give a specimen to the orders after it, or to the one that it stands in."""
        if self.specimen_leads or not self.orders:
            self.is_between = self.specimen_leads
            kept = {} if replaces else {pair: None for pair in self.specimen if pair[0] == "SPM.2"}
            self.specimen = kept | ids
        else:
            order = self.orders[-1]
            if len(order.ids) + len(ids) > ORDER_IDS_MAX:
                self.note("an order has too many specimens for all to be named; RAW has them")
                return
            order.ids |= ids
            order.specimen_id = next((text for _, text in ids), order.specimen_id)

    def _order(self, fields: Sequence[str]) -> None:
        ids = self._ids("OBR", fields) | self.specimen
        self.is_between = False
        asked = self._components(fields, 4)
        if (role := asked[0].upper()) in ROLES and not any(asked[1:]):
            self.no_patients[ROLES[role]] = None
        if len(self.orders) >= ORDERS_COUNT_MAX:
            self.note("the message has too many orders to be read apart; RAW has it whole")
            return
        is_chemistry = all(self.sender) and tuple([*asked, ""][:2]) == self.sender
        numbers = [self.text(fields, number, PERSON_TEXT_MAX) for number in ((2, 3) if is_chemistry else (3, 2))]
        specimen = next((text for text in (*(text for _, text in self.specimen), *numbers) if text), "")
        self.orders.append(_Order(specimen, self.text(fields, 7, TIME_TEXT_MAX), ids, is_chemistry))

    def _observation(self, fields: Sequence[str]) -> None:
        self.count += 1
        if self.count > OBSERVATIONS_COUNT_MAX:
            self.note("the message has too many observations to be read; RAW has it whole")
            return
        order = self._last_order()
        code, parts = self.text(fields, 3), self._components(fields, 3)
        place = self.text(fields, 4).strip()
        name = self._name(parts, place)
        value, comments = self._value(fields, name)
        unit = self.text(fields, 6)
        comments += self._remarks(fields, place if _PLACE.fullmatch(place) else "")
        plain = _shown_value(value, self.component)
        coding = self.codes.coding([*filter(None, parts), name], plain, *self._unit_words(fields))
        own = next((one for one, system in _codings(parts) if system == "LN"), "")
        one = Observation(
            code=code,
            name=name,
            value=value,
            unit=unit,
            range=self.text(fields, 7),
            flags=self.text(fields, 8),
            status=self.text(fields, 11),
            time=next(filter(None, (self.text(fields, number, TIME_TEXT_MAX) for number in (14, 19))), order.time),
            comments=tuple(comments),
            loinc=own or coding.loinc,
            ucum=coding.ucum,
            ucum_value=coding.value,
        )
        order.observations.append(one)

    def _last_order(self) -> _Order:
        if not self.orders or (self.is_between and len(self.orders) < ORDERS_COUNT_MAX):
            self.orders.append(_Order(next((text for _, text in self.specimen), ""), ids=dict(self.specimen)))
            self.is_between = False
        return self.orders[-1]

    @staticmethod
    def _name(parts: Sequence[str], place: str) -> str:
        texts = [part for part in (*parts[1:2], *parts[4:5]) if part]
        return next(iter(texts), "") or ("" if _PLACE.fullmatch(place) else place) or next(filter(None, parts), "")

    def _unit_words(self, fields: Sequence[str]) -> tuple[str, str]:
        """Return the spelling of the unit that the table knows, of those that OBX-6 gives, and the one called UCUM.

        The first is OBX-6 as a whole: 10^3/uL, with the mark of components as it is, is sent by some (Zybio).
        """
        words = self._components(fields, 6)
        spellings = (self.text(fields, 6), *words)
        known = next((word for word in spellings if self.codes.unit(word)), "")
        said = (one for one, system in _codings(words) if system == "UCUM" and one.isascii())
        return known, next((one for one in said if len(one) <= SHORT_TEXT_MAX), "")

    def _value(self, fields: Sequence[str], name: str) -> tuple[str, list[str]]:
        if next(iter(fields[2:3]), "").strip().upper() != "ED":
            return self.text(fields, 5), []
        raw = fields[5] if len(fields) > 5 else ""
        parts = raw.split(self.component, 4)
        kind = " ".join(part for part in parts[1:4] if part)[:SHORT_TEXT_MAX]
        return self._picture(parts, kind, name), [f"{kind}: {len(parts[-1])} characters of data stand in RAW"]

    def _picture(self, parts: Sequence[str], kind: str, name: str) -> str:
        """Keep a picture that is one; return what to show in place of the data."""
        if len(parts) < 5 or parts[1].upper() != "IMAGE" or len(self.pictures) >= PICTURES_COUNT_MAX:
            return kind
        media_type = MEDIA_TYPES.get(parts[2].strip().upper(), "")
        try:
            image = base64.b64decode(parts[4], validate=True) if parts[3].strip().upper() == "BASE64" else b""
        except (binascii.Error, ValueError):
            self.note("the data of a picture are no base64; RAW has them")
            return kind
        if media_type and image:
            self.pictures.append(Picture(media_type, name[:SHORT_TEXT_MAX], image))
        return kind

    def _remarks(self, fields: Sequence[str], place: str) -> list[str]:
        edited = self.text(fields, 13, COMMENT_TEXT_MAX)
        return [*([f"OBX-4: {place[:TIME_TEXT_MAX]}"] if place else []), *([f"OBX-13: {edited}"] if edited else [])]

    def _comment(self, fields: Sequence[str]) -> None:
        text = self.text(fields, 3, COMMENT_TEXT_MAX)
        order = self.orders[-1] if self.orders and not self.is_between else None
        if not text.strip():
            return
        if order is None or not order.observations:
            self.note(f"NTE: {text}")
        elif len(order.observations[-1].comments) < COMMENTS_COUNT_MAX:
            one = order.observations[-1]
            fields_of = {name: getattr(one, name) for name in Observation.CHECKS}
            order.observations[-1] = Observation(**(fields_of | {"comments": (*one.comments, text)}))

    # Results

    def patient_ids(self) -> tuple[str, ...]:
        """Return each id that may mean the patient, trimmed: of each repetition the first component."""
        orders = self.orders or [_Order()]
        others = frozenset().union(*(order.no_ids for order in orders))
        pairs = self.patient | {pair: None for order in orders for pair in order.ids}
        found = [pair for pair in pairs if pair[0] in ID_FIELDS and pair[0] not in others]
        found.sort(key=lambda pair: ID_FIELDS.index(pair[0]))
        firsts = (self._number(name, one) for name, text in found for one in text.split(self.repeat))
        return tuple(dict.fromkeys(one for one in firsts if any(map(str.isalnum, one))))

    def _number(self, name: str, text: str) -> str:
        """Return the id itself: the first component; of SPM-2 (placer, filler) the first that is there."""
        parts = [part.split(self.sub)[0].strip() for part in text.split(self.component)]
        return next(filter(None, parts), "") if name == "SPM.2" else parts[0]


def _char_of(escape: str) -> str | None:
    if escape == ".br":
        return "\n"
    if re.fullmatch(r"X(?:[0-9A-Fa-f]{2})+", escape):
        return bytes.fromhex(escape[1:]).decode("latin-1")
    return None


def _codings(parts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (code, coding system) of OBX-3 or OBX-6: its first and its alternate."""
    for at in (0, 3):
        if len(parts) > at + 2:
            yield parts[at], parts[at + 2].upper()


def reason_of_no_patient(header: Header, specimens: Sequence[str], words: frozenset[str], said: Sequence[str]) -> str:
    """Return why a message is no patient's, "" when it is one's. `said`: what its specimens and orders say of it."""
    mode = header[11].split(header.marks[1])[0].strip().upper()
    controls = [one for one in specimens if one.strip().upper() in words]
    return (
        NO_PATIENTS.get(mode)
        or NO_PATIENTS_EITHER.get(header[16].strip(), "")
        or ("control" if controls else next(iter(said), ""))
    )


def read(
    part: bytes, header: Header, codes: Codes, encoding: str, notes: Sequence[str], words: frozenset[str]
) -> Report:
    """Return what a message, or the part of it that is about one person, says. Never raises."""
    text, used, remarks = text_of(part, header, encoding)
    reader = _Reader(header, codes)
    for remark in (*notes, *remarks):
        reader.note(remark)
    segments = [line for line in re.split(r"[\r\n]+", text) if line.strip("\0 ")]
    for segment in segments[:SEGMENTS_COUNT_MAX]:
        reader.take(segment)
    if len(segments) > SEGMENTS_COUNT_MAX:
        reader.note(f"{len(segments)} segments, of which {SEGMENTS_COUNT_MAX} were read; RAW has all")
    return _report(reader, header, used, words)


def _report(reader: _Reader, header: Header, used: str, words: frozenset[str]) -> Report:
    why = reason_of_no_patient(header, [one.specimen_id for one in reader.orders], words, list(reader.no_patients))
    if why:
        reader.note(f"a {why}: no patient's result")
    if not reader.count:
        reader.note("no OBX, so nothing was read as a result; RAW has what the message says")
    orders = reader.orders or [_Order()]
    results: list[Result] = []
    for order in orders:
        ids = tuple(reader.patient | order.ids)
        for part in _portions(order.observations):
            notes = tuple(reader.notes) if not results else ()
            results.append(Result(bool(why), header.time, order.specimen_id, ids, used, part, notes))
    headline = _headline([one for order in orders for one in order.observations], header.marks[1])
    return Report(tuple(results), tuple(reader.pictures), reader.patient_ids(), bool(why), headline)


def _headline(observations: Sequence[Observation], component: str) -> tuple[Headline, ...]:
    """Return the first values, numbers before words."""
    told = sorted((one for one in observations if one.value), key=lambda one: not one.value[:1].isdigit())
    values = (_shown_value(one.value, component) for one in told)
    units = (_shown_unit(one.unit, component) for one in told)
    lines = zip(told[:HEADLINE_LINES_MAX], values, units, strict=False)
    return tuple((one.name[:SHORT_TEXT_MAX], _short(value), unit[:SHORT_TEXT_MAX]) for one, value, unit in lines)


def _shown_value(value: str, component: str) -> str:
    """Return a structured number as people write it, of code ^ text ^ system the text, every other value as it is."""
    if found := _STRUCTURED.fullmatch(value.replace(component, "^")):
        return "".join(filter(None, found.groups()))
    code, text, system, *_ = [*value.split(component, 3), "", "", ""]
    return text if code and system and text[:1].isalpha() else value


def _shown_unit(unit: str, component: str) -> str:
    """Return the name of a unit of several components; a power is no component: 10^3/uL is shown whole."""
    name = unit.split(component)[:2][-1].strip()
    return unit if name[:1].isdigit() else name


def _portions(observations: Sequence[Observation]) -> Iterator[tuple[Observation, ...]]:
    """Divide what is too much for one RESULT; there is at least one portion."""
    portion: list[Observation] = []
    size = 0
    for one in observations:
        if len(portion) >= OBSERVATIONS_PER_RESULT_MAX or size > RESULT_TEXT_MAX:
            yield tuple(portion)
            portion, size = [], 0
        portion.append(one)
        size += sum(map(len, (one.code, one.name, one.value, one.unit, one.range, one.flags, *one.comments)))
    yield tuple(portion)


def _short(value: str) -> str:
    return value if len(value) <= SHORT_TEXT_MAX else value[: SHORT_TEXT_MAX - 1] + "…"
