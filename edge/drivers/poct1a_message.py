"""What a POCT1-A message says, and what is said back. See `poct1a` for the sources.

    HDR.control_id, HDR.creation_dttm          of each message
    HEL: DEV.vendor_id, model_id, device_name, serial_id
    DST: DST.new_observations_qty
    OBS.R01: SVC.role_cd, observation_dttm; in SVC: PT with PT.patient_id and OBS, ORD.order_id, RGT.name, lot_number
    OBS.R02: the same with SVC/CTC (control or calibration material) in place of PT
    OBS: OBS.observation_id (V code, DN name, SN system), value or qualitative_value (V, U), normal_lo-hi_limit,
         critical_lo-hi_limit (a comment), interpretation_cd, status_cd, NTE/NTE.text
    ACK: ACK.type_cd (AA, AE), ACK.ack_control_id, ACK.note_txt

Text stays as it came; only white space around it goes. A value or an id is never cut: too long, it is not given.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from edge.codes import Codes
from edge.driver import HEADLINE_LINES_MAX, Headline
from edge.drivers.poct1a_documents import Element
from wire.record import Observation, Result

OBSERVATIONS_MAX: Final = 1_000
TEXT_MAX: Final = 400
NOTES_MAX: Final = 16
SERVICES_MAX: Final = 512
"""Test events of one message."""
_LOINC: Final = re.compile(r"\d{1,5}-\d")
_AGAIN: Final = re.compile(rb"<SVC\.reason_cd\b[^>]*>")
"""NEW the first time and RES when it is sent again: the only part that may differ."""


@dataclass(frozen=True, slots=True)
class Service:
    """The test events of one message that belong to one person."""

    result: Result
    patient_ids: tuple[str, ...]
    headline: tuple[Headline, ...]
    raw: bytes
    identity: bytes
    """The same when it is sent again."""


def services(root: Element, raw: bytes, counted_from: int, codes: Codes) -> list[Service]:
    """Return what an OBS message says, divided by person; the bytes of all of them, joined, are `raw`.

    A test event that names nobody, or is of control material, stands alone: the one before it may be somebody else's.
    """
    found = root.all("SVC")
    is_control = root.name != "OBS.R01"
    if len(found) > SERVICES_MAX:
        return []
    groups: list[list[Element]] = []
    for one in found:
        whose = "" if is_control or _is_control(one) else _patient(one)
        if groups and whose and not _is_control(groups[-1][0]) and _patient(groups[-1][0]) == whose:
            groups[-1].append(one)
        else:
            groups.append([one])
    cuts = [0, *(counted_from + group[0].begins for group in groups[1:]), len(raw)]
    body = raw[counted_from:]
    return (
        [
            _service(group, raw[begin:end], body, codes, is_control=is_control)
            for group, (begin, end) in zip(groups, pairwise(cuts), strict=True)
        ]
        if groups
        else []
    )


def _service(group: Sequence[Element], raw: bytes, body: bytes, codes: Codes, *, is_control: bool) -> Service:
    is_control |= any(map(_is_control, group))
    read = [_observation(one, svc, codes) for svc in group for one in _observed(svc)]
    ids = tuple(
        dict.fromkeys((place, value) for svc in group for place, value in _ids(svc) if 0 < len(value) <= TEXT_MAX)
    )
    notes = [note for svc in group for note in _notes(svc)]
    if len(read) > OBSERVATIONS_MAX:
        notes.append("the message has too many observations to be read; RAW has it whole")
    result = Result(
        qc=is_control,
        device_time=group[0].value("SVC.observation_dttm")[:TEXT_MAX],
        specimen_id=group[0].value("CTC", "CTC.lot_number")[:TEXT_MAX] if is_control else "",
        patient_ids=ids,
        encoding="xml",
        observations=tuple(read[:OBSERVATIONS_MAX]),
        notes=tuple(dict.fromkeys(notes))[:NOTES_MAX],
    )
    shown = tuple((one.name, one.value, one.unit) for one in read[:HEADLINE_LINES_MAX])
    identity = b"".join(_AGAIN.sub(b"", body[svc.begins : svc.ends]) for svc in group)
    people = () if is_control else tuple(dict.fromkeys(value for _, value in ids))
    return Service(result, people, shown, raw, identity)


def _is_control(svc: Element) -> bool:
    return svc.value("SVC.role_cd") not in {"", "OBS"} or bool(svc.all("CTC"))


def _patient(svc: Element) -> str:
    """Return the patient of a test event; "" when it names none, or more than one."""
    named = [value for one in svc.all("PT") if (value := one.value("PT.patient_id"))]
    return named[0] if len(named) == 1 else ""


def _ids(svc: Element) -> Iterator[tuple[str, str]]:
    for one in svc.all("PT"):
        yield "PT.patient_id", one.value("PT.patient_id")
    yield "ORD.order_id", svc.value("ORD", "ORD.order_id")


def _observed(svc: Element) -> Iterator[Element]:
    for holder in (*svc.all("PT"), *svc.all("CTC"), svc):
        yield from holder.all("OBS")


def _observation(one: Element, svc: Element, codes: Codes) -> Observation:
    code, name = one.value("OBS.observation_id"), one.value("OBS.observation_id", attribute="DN")
    value = one.value("OBS.value") or one.value("OBS.qualitative_value")
    unit = one.value("OBS.value", attribute="U")
    comments = [text[:TEXT_MAX] for text in _texts(one)][: NOTES_MAX - 1]
    if critical := one.value("OBS.critical_lo-hi_limit"):
        comments.append(f"critical {critical}"[:TEXT_MAX])
    if len(value) > TEXT_MAX:
        value, comments = "", [*comments, f"its value has {len(value)} characters; it stands in RAW"]
    is_loinc = one.value("OBS.observation_id", attribute="SN") == "LN" and _LOINC.fullmatch(code) is not None
    coding = codes.coding([name, code], value, unit)
    return Observation(
        code=code[:TEXT_MAX],
        name=(name or code)[:TEXT_MAX],
        value=value,
        unit=unit[:TEXT_MAX],
        range=one.value("OBS.normal_lo-hi_limit")[:TEXT_MAX],
        flags=one.value("OBS.interpretation_cd")[:TEXT_MAX],
        status=one.value("OBS.status_cd")[:TEXT_MAX],
        time=(one.value("OBS.observation_dttm") or svc.value("SVC.observation_dttm"))[:TEXT_MAX],
        comments=tuple(comments),
        loinc=code if is_loinc else coding.loinc,
        ucum=coding.ucum,
        ucum_value=coding.value,
    )


def _notes(svc: Element) -> Iterator[str]:
    for one in svc.all("CTC"):
        words = (one.value(name) for name in ("CTC.name", "CTC.lot_number", "CTC.level_cd"))
        yield "control " + ", ".join(word[:TEXT_MAX] for word in words if word)
    for one in svc.all("RGT"):
        words = (one.value(name) for name in ("RGT.name", "RGT.lot_number", "RGT.expiration_date"))
        yield "reagent " + ", ".join(word[:TEXT_MAX] for word in words if word)
    yield from (text[:TEXT_MAX] for text in _texts(svc))


def _texts(of: Element) -> Iterator[str]:
    return (text for one in of.all("NTE") if (text := one.value("NTE.text")))


@dataclass(slots=True)
class Voice:
    """Makes our messages in the manner of the device: its time, its frames, its kind of header."""

    ack_name: str = "ack_control_id"
    is_framed: bool = False
    names_itself: bool = False
    """HDR has HDR.message_type."""
    time: str = ""
    _number: int = 0

    def hear(self, root: Element, *, is_framed: bool) -> None:
        """Take the manner of a message of the device."""
        self.is_framed = is_framed
        self.time = root.value("HDR", "HDR.creation_dttm") or self.time
        self.names_itself = root.under("HDR", "HDR.message_type") is not None

    def ack(self, control_id: str, note: str = "") -> bytes:
        """Return ACK.R01: AA, or AE with the reason."""
        said = [("ACK.type_cd", "AE" if note else "AA"), (f"ACK.{self.ack_name}", control_id)]
        return self._message("ACK.R01", "ACK", [*said, *([("ACK.note_txt", note)] if note else [])])

    def request(self) -> bytes:
        """Return REQ.R01: the new observations, please."""
        return self._message("REQ.R01", "REQ", [("REQ.request_cd", "ROBS")])

    def end(self) -> bytes:
        """Return END.R01: that is all, in good order."""
        return self._message("END.R01", "TRM", [("TRM.reason_cd", "NRM")])

    def start_continuous(self) -> bytes:
        """Return DTV.R01: from now on send each result when there is one."""
        return self._message("DTV.R01", "DTV", [("DTV.command_cd", "START_CONTINUOUS")])

    def _message(self, kind: str, group: str, values: Sequence[tuple[str, str]]) -> bytes:
        self._number += 1
        head = [("HDR.message_type", kind)] if self.names_itself else []
        head += [("HDR.control_id", str(self._number)), ("HDR.version_id", "POCT1")]
        head += [("HDR.creation_dttm", self.time)] if self.time else []
        parts = (("HDR", head), (group, values))
        body = "".join(f"<{name}>{''.join(_valued(*one) for one in them)}</{name}>" for name, them in parts)
        data = f"<{kind}>{body}</{kind}>".encode()
        return b"\x0b" + data + b"\x1c\r" if self.is_framed else data + b"\n"


def _valued(name: str, value: str) -> str:
    escaped = "".join(_ESCAPES.get(char, char if char.isprintable() else " ") for char in value[:TEXT_MAX])
    return f'<{name} V="{escaped}"/>'


_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
