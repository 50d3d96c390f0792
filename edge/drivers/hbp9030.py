"""Omron HBP-9030 and HBP-9020, arm-in blood pressure monitors, set to output format 5: a line for each measurement.

Written from the layout of format 5 as one public source gives it; on no unit of our own. 9600 8N1, CR or CR LF:

    2026,10,03,09,41,CHN-0001234         ,0,128,082,071,0
    year month day hour minute, id (20 characters), error, systolic, diastolic, pulse, mark (meaning not documented)

An error other than 0 leaves the pressures blank: a failed measurement, a study with its code. The line has no checksum;
so it is taken only when every field has its width and its kind, and the date exists; otherwise it is kept as damaged.
The id is what was typed or scanned at the monitor: it is compared with the label (docs/devices.md, "Binding").
"""

import re
from collections.abc import Mapping
from typing import Final

from edge.device_time import from_form
from edge.driver import Driver, Facts, Line, Option
from edge.readings import LineDriver, Lines, Reading, damaged, observation
from edge.registry import read_options
from edge.signs import FRAME, Signs

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
DATE: Final = "%Y,%m,%d,%H,%M"
VALUES: Final = (("sys", "systolic", "mmHg"), ("dia", "diastolic", "mmHg"), ("pulse", "pulse", "/min"))


def read(line: bytes, *, names_patient: bool = True) -> Reading | None:
    """Return what a line says; None when it was never meant to be a record."""
    text = line.decode("latin-1").strip("\r\n\x00")
    match = _RECORD.fullmatch(text)
    clock = from_form(match["date"], DATE) if match is not None else None
    if match is None or clock is None:
        why = f"{len(text)} characters that are no line of format 5 ({LINE_SIZE})"
        return damaged(why) if text.count(",") >= COMMAS_MIN else None
    ids = tuple({match["id"].strip()} - {""}) if names_patient else ()
    if match["error"] != GOOD:
        failed = (observation("error", match["error"]),)
        fault = f"the monitor could not measure (error {match['error']})"
        return Reading(failed, time=match["date"], clock=clock, patient_ids=ids, fault=fault)
    if " " in match["sys"] + match["dia"]:
        return damaged("no error, and no pressure either")
    found = tuple(observation(name, match[key], unit) for key, name, unit in VALUES if match[key].strip())
    mark = (observation("mark", match["mark"]),) if match["mark"].strip() else ()
    return Reading((*found, *mark), time=match["date"], clock=clock, patient_ids=ids)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one monitor. Raises ConfigError."""
    names_patient = read_options(FACTS, options)["id"] == "patient"
    lines = Lines((0x0D, 0x0A), LINE_SIZE_MAX)
    return LineDriver(FACTS.form, FACTS.name, lines, lambda line: read(line, names_patient=names_patient))


def _whole(data: bytes) -> int:
    """Return how many lines are of format 5, the date among what is checked."""
    return sum(from_form(found["date"], DATE) is not None for found in _RECORD.finditer(data.decode("latin-1")))


SIGNS: Final = Signs(FRAME, _whole)
