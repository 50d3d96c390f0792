"""HL7 v2: which segments of a message are about one person. Pure; called by `hl7`, owns nothing, nothing survives.

A study belongs to one person, so a message is divided

* at each PID that names somebody else than the one before (2.5.1, 7.3.1: PATIENT_RESULT repeats);
* while nobody is named, where another specimen begins: SPM-2, SAC-3, or the numbers of OBR where neither is;
* where control material begins or ends (SPM-11, table 0369), so that no patient's result is taken for a control's.

In OUL^R21 to R23 a specimen stands before its orders; in ORU and OUL^R24 it stands within one, and divides nothing.
"""

import re
from dataclasses import dataclass, replace
from typing import Final, Protocol

NAMES: Final = (2, 3, 4, 5)
"""PID: ids and name."""
NO_PATIENTS: Final = {
    "B": "blind sample",
    "C": "calibration",
    "E": "control",
    "F": "proficiency test",
    "O": "proficiency test",
    "Q": "control",
    "V": "calibration",
}
"""HL7 table 0369, specimen role: all but P (patient), R (replicate), G (group) and L (pool)."""
SPECIMEN_FIRST: Final = frozenset({"R21", "R22", "R23"})
_SEGMENT: Final = re.compile(rb"[^\r\n]+")
_SPECIMEN: Final = re.compile(rb"[\r\n]SPM")
_WITHIN: Final = frozenset({b"OBX", b"NTE", b"TCD"})
"""What follows an order and belongs to it."""
_SPECIMENS: Final = frozenset({b"SPM", b"SAC"})


class Head(Protocol):
    """What is needed of MSH."""

    @property
    def kind(self) -> str: ...
    @property
    def event(self) -> str: ...
    @property
    def marks(self) -> str: ...


def is_specimen_first(header: Head) -> bool:
    """Return whether SPM and SAC of such a message are about the orders after them."""
    return header.kind == "OUL" and (header.event in SPECIMEN_FIRST or not header.event)


def parts_of(body: bytes, header: Head) -> list[bytes]:
    """Divide a message; its header stays with the first part. The parts, joined, are the message."""
    walk = _Walk(header, has_specimens=_SPECIMEN.search(body) is not None)
    for found in _SEGMENT.finditer(body):
        walk.take(found.group(), found.start())
    cuts = sorted({0, *walk.cuts})
    return [body[at:end] for at, end in zip(cuts, [*cuts[1:], len(body)], strict=True)]


@dataclass(slots=True)
class _Tube:
    """What is known of the specimen that the next orders are about."""

    specimen: bytes = b""
    container: bytes = b""
    is_control: bool = False
    order: bytes = b""

    @property
    def number(self) -> bytes:
        return self.specimen or self.container or self.order


class _Walk:
    """Goes over the segments once; `cuts`: where another person begins."""

    def __init__(self, header: Head, *, has_specimens: bool) -> None:
        self._mark = header.marks[0].encode("latin-1")
        self._component = header.marks[1].encode("latin-1")
        self._blank = header.marks[1:].encode("latin-1") + b' "?'
        self._leads = is_specimen_first(header)
        self._has_numbers = self._leads or not has_specimens
        """Without SPM, what OBR-2 and OBR-3 name is taken for the specimen; beside it they name orders."""
        self.cuts: list[int] = []
        self._begins = 0
        """Where the segments begin that stand before the next order."""
        self._was_observed = True
        self._is_ordered = True
        """What is observed now belongs to an order, and not to a specimen that stands before its orders."""
        self._had_order = False
        """This person has one."""
        self._person, self._is_named = b"", False
        self._tube, self._last = _Tube(), _Tube()

    def take(self, segment: bytes, at: int) -> None:
        """Take the next segment, which begins at `at`."""
        kind, fields = segment[:3], segment.split(self._mark)
        if kind in _WITHIN or (kind in _SPECIMENS and not self._leads):
            self._was_observed |= self._is_ordered
            return
        if kind in _SPECIMENS:
            self._is_ordered = False
        if self._was_observed:
            self._begins, self._was_observed = at, False
        if kind == b"PID":
            self._patient(fields, at)
        elif kind == b"SPM" and self._leads:
            role = _field(fields, 11).split(self._component)[0].strip().upper().decode("latin-1")
            self._tube = _Tube(_field(fields, 2).strip(), is_control=role in NO_PATIENTS)
        elif kind == b"SAC" and self._leads:
            self._tube.container = _field(fields, 3).strip()
        elif kind == b"OBR":
            self._order(fields)

    def _patient(self, fields: list[bytes], at: int) -> None:
        person = self._mark.join(fields[2:]).rstrip()
        if self._person and person != self._person:
            self.cuts.append(at)
            self._last, self._had_order = _Tube(), False
        self._person = person
        self._is_named = any(_field(fields, number).strip(self._blank) for number in NAMES)

    def _order(self, fields: list[bytes]) -> None:
        own = (_field(fields, 3).strip() or _field(fields, 2).strip()) if self._has_numbers else b""
        tube, last = replace(self._tube, order=own), self._last
        is_other = bool(last.number and tube.number) and tube.number != last.number and not self._is_named
        if is_other or (self._had_order and tube.is_control != last.is_control):
            self.cuts.append(self._begins)
        self._last, self._had_order, self._is_ordered = tube, True, True
        self._was_observed = True  # an order may have no result: what comes now stands before the next one


def _field(fields: list[bytes], number: int) -> bytes:
    return fields[number] if number < len(fields) else b""
