"""What a study file says, opened with the centre's key and checked against the kits that we know.

Owns no state. May call: `wire.study` and the record types. A reading never guesses and never fails:
bytes that are no study at all give a reading that says so, because what arrived is kept and shown as what it is.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeVar

from server.peers import Kit
from wire.checks import parse_start
from wire.errors import FeldsherError, FormatError
from wire.record import (
    ClockMark,
    Correction,
    Device,
    Note,
    Observation,
    Operator,
    Partial,
    Patient,
    Picture,
    Place,
    Preview,
    Result,
    Summary,
)
from wire.study import Entry, SignedDigest, Study, open_study
from wire.tag import HEADER_SIZE_MAX, Tag, decode, parse_header

STUDY_SIZE_MAX: Final = 256 << 20
"""A larger file is kept but not opened here, bytes."""

PROBLEMS_MAX: Final = 50
"""Problems of each sort that are told one by one."""

KitOf = Callable[[bytes], Kit | None]
"""Finds the kit by the id of its sign key."""
Record = TypeVar(
    "Record", ClockMark, Correction, Device, Note, Operator, Partial, Patient, Picture, Place, Preview, Result, Summary
)


class Signature(IntEnum):
    """Who vouches for a study. Only GOOD is a kit of ours whose signature covers every byte."""

    NONE = 0
    GOOD = 1
    UNKNOWN_KIT = 2
    BROKEN = 3


@dataclass(frozen=True)
class Reading:
    """A study or a summary, as far as it can be read. `entries` hold what could be opened, in order."""

    study: str = ""
    kind: int = 0
    signature: Signature = Signature.NONE
    kit: Kit | None = None
    opened_ms: int | None = None
    closed_ms: int | None = None
    damaged: bool = False
    recovered: bool = False
    bytes_lost: int = 0
    problems: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = field(default=(), repr=False)

    def tags(self, kind: tuple[int, int]) -> Iterator[tuple[Entry, Tag]]:
        """Yield each inner tag of this kind with its entry."""
        for entry in self.entries:
            for tag in entry.tags:
                if tag.kind == kind:
                    yield entry, tag

    def records(self, shape: type[Record]) -> Iterator[tuple[Entry, Record]]:
        """Yield each record of this type with its entry; what does not parse is left to the raw view."""
        for entry, tag in self.tags(shape.KIND):
            try:
                yield entry, shape.from_tag(tag)
            except FormatError:
                continue

    @property
    def summary(self) -> Summary | None:
        """The last summary that the study holds."""
        found = [summary for _, summary in self.records(Summary)]
        return found[-1] if found else None

    @property
    def replaced(self) -> dict[int, Correction]:
        """The entries that a correction says no longer hold, by ordinal."""
        return {correction.replaces: correction for _, correction in self.records(Correction)}

    @property
    def patient_codes(self) -> list[str]:
        """The different patient ids that the study holds, in the order in which they came."""
        return list(dict.fromkeys(patient.id for _, patient in self.records(Patient)))

    def observations(self) -> Iterator[tuple[Entry, Result, Observation]]:
        """Yield every observation that no correction replaces."""
        replaced = self.replaced
        for entry, result in self.records(Result):
            if entry.ordinal not in replaced:
                for observation in result.observations:
                    yield entry, result, observation


def read_study(raw: bytes, seal_secret: bytes, kit_of: KitOf, study_id: bytes | None = None) -> Reading:
    """Return the reading of the study or summary whose file is `raw`.

    `study_id`: what it is believed to be, for a file that has lost its own first tag.
    """
    if len(raw) > STUDY_SIZE_MAX:
        return Reading(problems=(f"{len(raw)} bytes: larger than {STUDY_SIZE_MAX}, not opened",))
    signer = _signer(raw)
    kit = kit_of(signer) if signer else None
    known = {} if kit is None or signer is None else {signer: kit.sign_public}
    try:
        study = _open(raw, seal_secret, known, study_id)
    except FeldsherError as error:
        return Reading(_claimed_id(raw), damaged=True, problems=(str(error),))
    return Reading(
        study="" if study.study_id is None else study.study_id.hex(),
        kind=study.kind or 0,
        signature=_signature(signer, kit, holds=study.signature_ok),
        kit=kit if study.signature_ok else None,
        opened_ms=study.opened_ms,
        closed_ms=study.end.closed_ms if study.end is not None else None,
        damaged=study.damaged,
        recovered=study.end is not None and study.end.recovered,
        bytes_lost=sum(loss.size for loss in study.lost),
        problems=tuple(_problems(study)),
        entries=study.entries,
    )


def _open(raw: bytes, seal_secret: bytes, known: Mapping[bytes, bytes], study_id: bytes | None) -> Study:
    try:
        study = open_study(raw, seal_secret, known)
    except FormatError:
        if study_id is None:
            raise
        return open_study(raw, seal_secret, known, study_id)
    if study.study_id is None and not study.entries and study_id is not None:
        return open_study(raw, seal_secret, known, study_id)
    return study


def _signer(raw: bytes) -> bytes | None:
    digest = SignedDigest()
    digest.update(raw)
    return digest.signer


def _signature(signer: bytes | None, kit: Kit | None, *, holds: bool) -> Signature:
    if signer is None:
        return Signature.NONE
    if kit is None:
        return Signature.UNKNOWN_KIT
    return Signature.GOOD if holds else Signature.BROKEN


def _problems(study: Study) -> Iterator[str]:
    """Say in words what is wrong with the file."""
    for loss in study.lost[:PROBLEMS_MAX]:
        entry = "" if loss.ordinal is None else f", entry {loss.ordinal}"
        yield f"{loss.size} bytes at offset {loss.offset}{entry}: {loss.reason}"
    if len(study.lost) > PROBLEMS_MAX:
        yield f"and {len(study.lost) - PROBLEMS_MAX} more losses"
    for gap in study.missing[:PROBLEMS_MAX]:
        yield f"entries {gap.start} to {gap.stop - 1} are missing" if len(gap) > 1 else f"entry {gap.start} is missing"
    if study.end is None:
        yield "the file breaks off: it has no end"
    for opened in study.entries[:PROBLEMS_MAX]:
        yield from (f"entry {opened.ordinal}: {fault}" for fault in opened.faults)


def _claimed_id(raw: bytes) -> str:
    """Return the study id that the first tag names, proven or not: a file that cannot be opened needs some name."""
    try:
        header = parse_header(raw[:HEADER_SIZE_MAX])
        start = parse_start(decode(raw[: header.total])) if header is not None else None
    except FormatError:
        return ""
    return "" if start is None else start.stream_id.hex()
