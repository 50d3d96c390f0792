"""MYDEVICE: say here which device this is, which models, and on what line settings.

Say here what it was written from: the manual, its revision and section; what was seen on which unit and is in no
manual. Show the bytes as the device sends them:

    MD,0001234,0817,36.6,C,7B<CR><LF>
    head, id, time, value, unit, sum of all characters before the last comma modulo 256 as two hex digits

This beginning is for a device that says one line for each measurement and waits for no answer (`edge.readings`). One
that waits is told only when `committed` says that the entry is durable; see `docs/add-a-driver.md`.
"""

import re
from collections.abc import Mapping
from typing import Final

from edge.driver import Driver, Facts, Line, Option
from edge.readings import LineDriver, Lines, Reading, damaged, observation
from edge.registry import read_options
from edge.signs import CHECK, Signs

LINE_SIZE_MAX: Final = 128
"""A longer line is cut, and is no record."""
HEAD: Final = "MD,"

FACTS: Final = Facts(
    name="mydevice",
    version="1",
    title="what it is, as `feldsher kit devices` shows it",
    manual="the document, revision and section that this was written from",
    form="observation",
    lines=(Line(9600),),
    options=(Option("id", "patient", "what the id on the device names", ("patient", "nobody")),),
)

_RECORD: Final = re.compile(
    r"MD,(?P<id>[0-9A-Z]{0,16}),(?P<time>\d{4}),(?P<value>\d{1,4}\.\d),(?P<unit>[A-Z]),(?P<sum>[0-9A-F]{2})"
)


def read(line: bytes, *, names_patient: bool = True) -> Reading | None:
    """Return what a line says; None when it was never meant to be a record. What is damaged has no value."""
    text = line.decode("latin-1").strip("\r\n")
    if not text.startswith(HEAD):
        return None
    match = _RECORD.fullmatch(text)
    if match is None or sum(text.rpartition(",")[0].encode("latin-1")) % 256 != int(match["sum"], 16):
        return damaged("a line that is cut, or whose sum does not hold")
    ids = (match["id"],) if names_patient and match["id"] else ()
    return Reading((observation("temperature", match["value"], match["unit"]),), time=match["time"], patient_ids=ids)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one device. Raises ConfigError."""
    names_patient = read_options(FACTS, options)["id"] == "patient"
    lines = Lines(b"\r\n", LINE_SIZE_MAX)
    return LineDriver(FACTS.form, FACTS.name, lines, lambda line: read(line, names_patient=names_patient))


def _whole(data: bytes) -> int:
    """Count the messages in these bytes that are whole beyond doubt, with the reader above."""
    readings = (read(line) for line in Lines(b"\r\n", LINE_SIZE_MAX).feed(data))
    return sum(reading is not None and not reading.partial for reading in readings)


SIGNS: Final = Signs(CHECK, _whole)
"""By what the kit finds this device, its speed and a swapped cable (`edge/signs.py`). `FRAME`: without a checksum."""
