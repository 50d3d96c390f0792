"""A clinic's own table of codes and units, for what every driver reads.

A driver gives LOINC and UCUM from the kit's table; what the clinic's table says of a test goes before it. Value, unit
and name stay as received, and nothing is rescaled (`edge/codes.py`). Pure but for the file, which is read once.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edge import codes
from node import config
from wire.errors import FormatError, Misuse
from wire.record import Observation, Result
from wire.tag import Tag

Coder = Callable[[Tag], Tag]


def as_read(tag: Tag) -> Tag:
    """Return the tag: there is no table."""
    return tag


def coder(path: str) -> Coder:
    """Return what puts the clinic's codes to a tag of results. Raises ConfigError for a file that is no such table."""
    if not path:
        return as_read
    table = codes.with_clinic(path, config.read(Path(path)))

    def coded(tag: Tag) -> Tag:
        if tag.kind != Result.KIND:
            return tag
        try:
            result = Result.from_tag(tag)
        except FormatError:  # what a driver of another package may write: it is kept as it is
            return tag
        found = tuple(_coded(one, table) for one in result.observations)
        try:
            return tag if found == result.observations else replace(result, observations=found).to_tag(tag.time_ms)
        except Misuse:  # with the codes it would be larger than a tag of results may be: the values count more
            return tag

    return coded


def _coded(one: Observation, table: codes.Codes) -> Observation:
    coding = table.coding(filter(None, (one.code, one.name)), one.value, one.unit)
    if not coding.loinc:
        return replace(one, ucum=coding.ucum, ucum_value=coding.value) if coding.ucum and not one.ucum else one
    return replace(one, loinc=coding.loinc, ucum=coding.ucum, ucum_value=coding.value)
