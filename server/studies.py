"""The rows of a study: how what was read becomes what can be searched (R19, R21).

Called by `server.ingest` within its transaction and nowhere else; a crash leaves the rows of an object all there or not
at all. One study has one row, whatever arrives for it: the summary announces it, the file completes it, and when two
files claim to be the same study, the one that is better proven stands (a kit's signature, then wholeness, then the
one that came first) and two that are equally signed are marked as a conflict. No file is ever removed.
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from server import clocks
from server import tables as t
from server.database import Event, record
from server.reading import Reading, Signature
from wire.record import Device, Observation, Operator, Partial, Result, Summary

ANNOUNCED, RECEIVED = 0, 1
PRIORITY: Final = 5
"""Of a study that says nothing else."""
URGENT_SUMMARY: Final = 1
OBSERVATIONS_MAX: Final = 10_000
"""Searchable observations of one study; further ones are in its file only."""
CODE_SIZE_MAX: Final = 128
FORM_SIZE_MAX: Final = 64
OPERATOR_SIZE_MAX: Final = 64
TEXT_SIZE_MAX: Final = 255
SCALE: Final = 1_000_000
"""Values are searched as integers: millionths of the unit."""
INTEGER_MAX: Final = (1 << 63) - 1
COUNT_MAX: Final = (1 << 31) - 1
LABORATORY_PAGE: Final = 1
FLAGS: Final = {"LL": -2, "L": -1, "N": 0, "": 0, "H": 1, "HH": 2, "A": 3, "AA": 3}
ABNORMAL: Final = 3
PAGE_1: Final = (
    "f01 analyte (alias of the LOINC code, or of the code as received); f02 value in millionths of f03, normalised "
    "where the table knows how; f03 unit (alias); f04 flag: -2 LL, -1 L, 0 none, 1 H, 2 HH, 3 other; f05 code as "
    "received (alias); f06, f07 lower and upper limit of the range as received, in millionths; f08 value as "
    "received, in millionths; f09 unit as received (alias); f10 1 for quality control; text: the observation, as JSON"
)
_NUMBER: Final = re.compile(r"[-+]?[0-9]{1,18}(?:[.][0-9]{1,18})?")
_RANGE: Final = re.compile(r"\s*([-+]?[0-9.]+)\s*(?:-|\u2013|\.\.|to)\s*([-+]?[0-9.]+)\s*")


@dataclass(frozen=True, slots=True)
class Copy:
    """The object in which a study or its summary came."""

    study: str
    digest: str
    size: int
    priority: int
    received_ms: int


def announce(connection: Connection, copy: Copy, reading: Reading) -> None:
    """Show the study as on its way. A study that is here already, or announced by better proof, stays as it is."""
    # A summary travels ahead of its study, at a better priority: only the best one says that the study is urgent.
    copy = replace(copy, priority=copy.priority if copy.priority == URGENT_SUMMARY else PRIORITY)
    row = _row(connection, copy.study)
    if row is None:
        values = _values(connection, copy, reading) | {"state": ANNOUNCED, "announced_ms": copy.received_ms}
        connection.execute(insert(t.studies).values(study=copy.study, **values))
    elif row.state == ANNOUNCED and _rank(reading) > _row_rank(row):
        values = _values(connection, copy, reading)
        connection.execute(update(t.studies).where(t.studies.c.id == row.id).values(**values))


def receive(connection: Connection, copy: Copy, reading: Reading) -> None:
    """Enter the study file: complete the announced study, or settle which of two files stands."""
    row = _row(connection, copy.study)
    values = _values(connection, copy, reading)
    values |= {"state": RECEIVED, "received_ms": copy.received_ms, "digest": copy.digest, "size": copy.size}
    clocks.enter(connection, reading, copy.received_ms)
    if row is None:
        number = connection.execute(insert(t.studies).values(study=copy.study, **values)).inserted_primary_key
        _enter_page(connection, number[0] if number else 0, copy, reading)
        return
    if row.state == RECEIVED:
        detail = f"{copy.digest} beside {row.digest}"
        record(connection, copy.received_ms, Event("second file of a study", study=copy.study, detail=detail))
        both_signed = row.signature == reading.signature == Signature.GOOD
        conflict = both_signed and row.digest != copy.digest
        values["conflict"] = int(bool(row.conflict or conflict or values["conflict"]))
        if _rank(reading) <= _row_rank(row):
            values = {"conflict": int(bool(row.conflict or conflict)), "updated_ms": copy.received_ms}
            connection.execute(update(t.studies).where(t.studies.c.id == row.id).values(**values))
            return
    connection.execute(update(t.studies).where(t.studies.c.id == row.id).values(**values))
    _enter_page(connection, row.id, copy, reading)


def _row(connection: Connection, study: str) -> Row[Any] | None:
    return connection.execute(select(t.studies).where(t.studies.c.study == study)).one_or_none()


def _rank(reading: Reading) -> tuple[bool, bool]:
    return reading.signature == Signature.GOOD, not reading.damaged


def _row_rank(row: Row[Any]) -> tuple[bool, bool]:
    return row.signature == Signature.GOOD, not row.damaged


def _values(connection: Connection, copy: Copy, reading: Reading) -> dict[str, Any]:
    """Return the columns that a summary and a study have in common."""
    summary = reading.summary
    codes = reading.patient_codes or ([summary.patient] if summary is not None and summary.patient else [])
    qc = _is_qc(reading, summary)
    partial = any(True for _ in reading.records(Partial))
    values = {
        "kit_id": reading.kit.number if reading.kit is not None else None,
        "patient_id": _patient(connection, codes[0], copy) if codes and not qc else None,
        "patient_code": _text(codes[0], CODE_SIZE_MAX) if codes else "",
        "form": "unknown",
        "device": _device(reading),
        "opened_ms": reading.opened_ms,
        "closed_ms": reading.closed_ms,
        "updated_ms": copy.received_ms,
        "priority": copy.priority,
        "entries": len(reading.entries),
        "signature": int(reading.signature),
        "qc": int(qc),
        "partial": int(partial),
        "damaged": int(reading.damaged),
        "recovered": int(reading.recovered),
        "conflict": int(len(codes) > 1),
        "unlisted": 0,
        "clock": int(clocks.is_wrong(reading)),
        "operator": next((_text(one.id, OPERATOR_SIZE_MAX) for _, one in reading.records(Operator)), ""),
        "bytes_lost": reading.bytes_lost,
    }
    return values | ({} if summary is None else _from_summary(summary, values))


def _from_summary(summary: Summary, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "form": _text(summary.form, FORM_SIZE_MAX) or "unknown",
        "device": _text(summary.device, TEXT_SIZE_MAX) or values["device"],
        "headline": json.dumps([list(line) for line in summary.headline], ensure_ascii=False),
        "opened_ms": summary.opened_ms,
        "closed_ms": summary.closed_ms,
        "entries": min(summary.entries, COUNT_MAX),
        "partial": int(summary.partial),
        "recovered": int(bool(values["recovered"] or summary.recovered)),
        "conflict": int(bool(values["conflict"] or summary.patient_conflict)),
        "unlisted": int(summary.unlisted),
        "operator": _text(summary.operator, OPERATOR_SIZE_MAX) or values["operator"],
    }


def _is_qc(reading: Reading, summary: Summary | None) -> bool:
    """A study is quality control when its summary says so, or when all of its results are."""
    results = [result.qc for _, result in reading.records(Result)]
    return bool(summary is not None and summary.qc) or (bool(results) and all(results))


def _device(reading: Reading) -> str:
    devices = [" ".join(filter(None, (device.model, device.serial))) for _, device in reading.records(Device)]
    return _text(devices[0], TEXT_SIZE_MAX) if devices else ""


def _patient(connection: Connection, code: str, copy: Copy) -> int:
    code = _text(code, CODE_SIZE_MAX)
    return _number_of(connection, t.patients, {"code": code}, {"updated_ms": copy.received_ms})


def _alias(connection: Connection, text: str, copy: Copy) -> int | None:
    """Return the number that stands for a frequent text (R19)."""
    text = _text(text, TEXT_SIZE_MAX)
    return _number_of(connection, t.aliases, {"text": text}, {"updated_ms": copy.received_ms}) if text else None


def _number_of(connection: Connection, table: Table, key: dict[str, str], rest: dict[str, Any]) -> int:
    ((name, value),) = key.items()
    number = connection.execute(select(table.c.id).where(table.c[name] == value)).scalar()
    if number is None:
        made = connection.execute(insert(table).values(**key, **rest)).inserted_primary_key
        number = made[0] if made else 0
    return int(number)


def _enter_page(connection: Connection, number: int, copy: Copy, reading: Reading) -> None:
    """Write the observations into form page 1, in place of those of a file that no longer stands."""
    page = t.pages[LABORATORY_PAGE - 1]
    connection.execute(delete(page).where(page.c.study_id == number))
    rows: list[dict[str, Any]] = []
    for _, result, observation in reading.observations():
        if len(rows) == OBSERVATIONS_MAX:
            detail = f"more than {OBSERVATIONS_MAX} observations: the rest is in the file only"
            record(connection, copy.received_ms, Event("not all searchable", study=copy.study, detail=detail))
            break
        fields = _fields(connection, copy, result, observation)
        rows.append({"study_id": number, "ordinal": len(rows), "updated_ms": copy.received_ms, **fields})
    if rows:
        _number_of(connection, t.forms, {"name": "laboratory"}, _form(copy))
        connection.execute(insert(page), rows)


def _form(copy: Copy) -> dict[str, Any]:
    return {"page": LABORATORY_PAGE, "description": PAGE_1, "updated_ms": copy.received_ms}


def _fields(connection: Connection, copy: Copy, result: Result, observation: Observation) -> dict[str, Any]:
    low, high = _limits(observation.range)
    text = {name: value for name, value in asdict(observation).items() if value and name != "extra"}
    unit = _alias(connection, observation.unit, copy)
    return {
        "f01": _alias(connection, observation.loinc or observation.code, copy),
        "f02": scaled(observation.ucum_value or observation.value),
        "f03": _alias(connection, observation.ucum, copy) or unit,
        "f04": FLAGS.get(observation.flags.strip().upper(), ABNORMAL),
        "f05": _alias(connection, observation.code, copy),
        "f06": low,
        "f07": high,
        "f08": scaled(observation.value),
        "f09": unit,
        "f10": int(result.qc),
        "text": json.dumps(text, ensure_ascii=False),
    }


def _text(text: str, size_max: int) -> str:
    """Return what of a text fits in its column. PostgreSQL holds no NUL; the study file still does."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")[:size_max]


def scaled(text: str) -> int | None:
    """Return a number as millionths, or None when `text` is not a plain number that fits."""
    if not _NUMBER.fullmatch(text.strip()):
        return None
    value = int((Decimal(text.strip()) * SCALE).to_integral_value())
    return value if abs(value) <= INTEGER_MAX else None


def _limits(text: str) -> tuple[int | None, int | None]:
    found = _RANGE.fullmatch(text)
    return (scaled(found[1]), scaled(found[2])) if found else (None, None)
