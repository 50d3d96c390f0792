"""Omron HBP-9030 and HBP-9020, arm-in blood pressure monitors, set to output format 5: a line for each measurement.

Written from the layout of format 5 as one public source gives it, and from one line of an HBP-9020 (mode 5, F3) that
another prints; on no unit of our own. 9600 8N1, CR or CR LF:

    2026,10,03,09,41,CHN-0001234         ,0,128,082,071,0
    year month day hour minute, id (20 characters), error, systolic, diastolic, pulse, mark (meaning not documented)

    bp,CHN-0001234         ,2026/10/03,09:41,128,097,082,071,0
    id, date, time, systolic, mean, diastolic, pulse, mark: what a failed measurement looks like is not known

An error other than 0 leaves the pressures blank: a failed measurement, a study with its code. The line has no checksum;
so it is taken only when every field has its width and its kind, the date exists, and a mean lies between the pressures;
otherwise it is kept as damaged.
The id is what was typed or scanned at the monitor: it is compared with the label (docs/devices.md, "Binding").
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from edge.device_time import from_form
from edge.driver import Driver, Facts, Line, Option
from edge.readings import LineDriver, Lines, Reading, damaged, observation
from edge.registry import read_options
from edge.signs import FRAME, Signs
from wire.record import Observation

LINE_SIZE_MAX: Final = 128
"""A line of format 5 has 53 characters; a longer one is cut and is no record."""
LINE_SIZE: Final = 53
COMMAS_MIN: Final = 5
"""With so many commas it was meant to be a record."""
GOOD: Final = "0"

FACTS: Final = Facts(
    name="hbp9030",
    version="1",
    title="Omron HBP-9030, HBP-9020 blood pressure monitors, output format 5",
    manual="layout of output format 5, from one public source",
    form="blood-pressure",
    lines=(Line(9600),),
    options=(Option("id", "patient", "what the id on the monitor names", ("patient", "nobody")),),
)

_RECORD: Final = re.compile(
    r"(?P<date>\d{4},\d\d,\d\d,\d\d,\d\d),(?P<id>[ -~]{20}),(?P<error>[0-9A-Za-z]),"
    r"(?P<sys>\d{3}| {3}),(?P<dia>\d{3}| {3}),(?P<pulse>\d{3}| {3}),(?P<mark>[0-9A-Za-z ])"
)
_MEAN_RECORD: Final = re.compile(
    r"bp,(?P<id>[ -~]{20}),(?P<date>\d{4}/\d\d/\d\d,\d\d:\d\d),"
    r"(?P<sys>\d{3}),(?P<mean>\d{3}),(?P<dia>\d{3}),(?P<pulse>\d{3}| {3}),(?P<mark>[0-9A-Za-z ])"
)
DATE: Final = "%Y,%m,%d,%H,%M"
MEAN_DATE: Final = "%Y/%m/%d,%H:%M"
VALUES: Final = (("sys", "systolic", "mmHg"), ("dia", "diastolic", "mmHg"), ("pulse", "pulse", "/min"))
MEAN: Final = ("mean", "mean pressure", "mmHg")


def read(line: bytes, *, names_patient: bool = True) -> Reading | None:
    """Return what a line says; None when it was never meant to be a record."""
    text = line.decode("latin-1").strip("\r\n\x00")
    if (other := _MEAN_RECORD.fullmatch(text)) is not None:
        return _with_mean(other, names_patient=names_patient)
    match = _RECORD.fullmatch(text)
    clock = from_form(match["date"], DATE) if match is not None else None
    if match is None or clock is None:
        why = f"{len(text)} characters that are no line of format 5 ({LINE_SIZE})"
        return damaged(why) if text.count(",") >= COMMAS_MIN else None
    ids = _ids(match, names_patient=names_patient)
    if match["error"] != GOOD:
        failed = (observation("error", match["error"]),)
        fault = f"the monitor could not measure (error {match['error']})"
        return Reading(failed, time=match["date"], clock=clock, patient_ids=ids, fault=fault)
    if " " in match["sys"] + match["dia"]:
        return damaged("no error, and no pressure either")
    return Reading(_values(match, VALUES), time=match["date"], clock=clock, patient_ids=ids)


def _with_mean(match: re.Match[str], *, names_patient: bool) -> Reading:
    clock = from_form(match["date"], MEAN_DATE)
    if clock is None or not int(match["dia"]) <= int(match["mean"]) <= int(match["sys"]):
        return damaged("its date or its pressures cannot be")
    found = _values(match, (*VALUES[:2], MEAN, *VALUES[2:]))
    ids = _ids(match, names_patient=names_patient)
    return Reading(found, time=match["date"], clock=clock, patient_ids=ids)


def _ids(match: re.Match[str], *, names_patient: bool) -> tuple[str, ...]:
    return tuple({match["id"].strip()} - {""}) if names_patient else ()


def _values(match: re.Match[str], wanted: Iterable[tuple[str, str, str]]) -> tuple[Observation, ...]:
    found = [observation(name, match[key], unit) for key, name, unit in wanted if match[key].strip()]
    mark = [observation("mark", match["mark"])] if match["mark"].strip() else []
    return (*found, *mark)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one monitor. Raises ConfigError."""
    names_patient = read_options(FACTS, options)["id"] == "patient"
    lines = Lines((0x0D, 0x0A), LINE_SIZE_MAX)
    return LineDriver(FACTS.form, FACTS.name, lines, lambda line: read(line, names_patient=names_patient))


def _whole(data: bytes) -> int:
    """Return how many lines are of format 5, the date among what is checked."""
    text = data.decode("latin-1")
    return sum(
        from_form(found["date"], form) is not None
        for record, form in ((_RECORD, DATE), (_MEAN_RECORD, MEAN_DATE))
        for found in record.finditer(text)
    )


SIGNS: Final = Signs(FRAME, _whole)
