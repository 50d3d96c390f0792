"""A study's results for other programs: JSON and CSV, each value as it was received beside what it was normalised to.

Pure: a reading in, text out. Used by the pages and by `feldsher server study`. In CSV a text that a spreadsheet would
run as a formula gets an apostrophe before it; JSON carries every text untouched.
"""

import csv
import io
import json
import re
from typing import Any, Final

from server.library import Line
from server.reading import Reading
from wire.record import ClockMark, Device, Note, Operator, Partial, Patient, Place, Result

COLUMNS: Final = (
    "entry",
    "qc",
    "replaced",
    "device_time",
    "specimen_id",
    "code",
    "name",
    "value",
    "unit",
    "range",
    "flags",
    "status",
    "time",
    "comments",
    "loinc",
    "ucum_value",
    "ucum",
)
_FORMULA: Final = re.compile(r"[=+\-@\t\r]")
_NUMBER: Final = re.compile(r"[-+]?[\d.,]+(?:[eE][-+]?\d+)?")


def study_tree(line: Line, reading: Reading) -> dict[str, Any]:
    """Return the study as plain values: what the row says and every record of the file."""
    return {
        "study": line.study,
        "kit": line.kit,
        "form": line.form,
        "patient": line.patient,
        "device": line.device,
        "opened_ms": line.opened_ms,
        "closed_ms": line.closed_ms,
        "announced_ms": line.announced_ms,
        "received_ms": line.received_ms,
        "state": "received" if line.received else "announced",
        "signature": reading.signature.name.lower(),
        "flags": flags(line),
        "headline": [list(one) for one in line.headline],
        "problems": list(reading.problems),
        "digest": line.digest,
        "size": line.size,
        "devices": [record.to_map() for _, record in reading.records(Device)],
        "patients": [record.to_map() for _, record in reading.records(Patient)],
        "operators": [record.to_map() for _, record in reading.records(Operator)],
        "places": [record.to_map() for _, record in reading.records(Place)],
        "clocks": [_clock(record) for _, record in reading.records(ClockMark)],
        "partials": [record.to_map() for _, record in reading.records(Partial)],
        "notes": [record.text for _, record in reading.records(Note)],
        "corrections": [record.to_map() for record in reading.replaced.values()],
        "results": [
            {"entry": entry.ordinal, "replaced": entry.ordinal in reading.replaced} | result.to_map()
            for entry, result in reading.records(Result)
        ],
    }


def _clock(mark: ClockMark) -> dict[str, Any]:
    return mark.to_map() | {"boot": mark.boot.hex()}


def flags(line: Line) -> list[str]:
    """Return the words for what a reader must know before he trusts the study."""
    told = {
        "urgent": line.urgent,
        "partial": line.partial,
        "damaged": line.damaged,
        "quality control": line.qc,
        "conflict": line.conflict,
        "not on the list": line.unlisted,
        "clock wrong": line.clock,
        "recovered": line.recovered,
        "not verified": line.signature != line.signature.GOOD,
    }
    return [word for word, holds in told.items() if holds]


def to_json(line: Line, reading: Reading) -> str:
    """Return the study as one JSON object."""
    return json.dumps(study_tree(line, reading), ensure_ascii=False, indent=2, default=_as_text) + "\n"


def to_csv(reading: Reading) -> str:
    """Return every observation as a line of CSV, with a heading."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    replaced = reading.replaced
    for entry, result in reading.records(Result):
        for one in result.observations:
            row = (
                str(entry.ordinal),
                str(int(result.qc)),
                str(int(entry.ordinal in replaced)),
                result.device_time,
                result.specimen_id,
                *(one.code, one.name, one.value, one.unit, one.range, one.flags, one.status, one.time),
                " | ".join(one.comments),
                *(one.loinc, one.ucum_value, one.ucum),
            )
            writer.writerow([_harmless(text) for text in row])
    return out.getvalue()


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def _as_text(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
