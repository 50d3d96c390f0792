"""From what a device calls a test and its unit to LOINC and UCUM, where a table knows both. It only ever adds.

Value and unit stay as received. A LOINC code is given only when name *and* unit fit the table's entry, so that a count
is never labelled as a percentage. A value is repeated under its UCUM unit only when the two units are the same size
under another spelling (`um3` is `fL`): nothing is rescaled, here or anywhere.

The table is `codes.toml` beside this module; a clinic adds its own file of the same shape, whose lines come first.
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import msgspec

from wire.errors import ConfigError

_NUMBER: Final = re.compile(r"[+-]?\d{1,15}([.,]\d{1,15})?")
_POWER: Final = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
_RAISED: Final = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


class Code(msgspec.Struct, forbid_unknown_fields=True):
    """One kind of observation: the names that devices use, the code, and the units with which it is meant."""

    names: list[str]
    loinc: str
    title: str
    ucum: list[str]


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    unit: dict[str, str] = {}
    code: list[Code] = []


@dataclass(frozen=True, slots=True)
class Coding:
    """What the table knows of one observation; empty texts where it knows nothing."""

    loinc: str = ""
    ucum: str = ""
    value: str = ""


class Codes:
    """Look-up in one or more tables, the first that knows it wins."""

    def __init__(self, tables: Iterable[tuple[str, str]]) -> None:
        """Read `(name, TOML text)` pairs. Raises ConfigError that names the table, the key and the reason."""
        self._units: dict[str, str] = {}
        self._codes: dict[str, list[Code]] = {}
        for name, text in tables:
            table = _read(name, text)
            self._units = table.unit | self._units
            for code in table.code:
                for alias in code.names:
                    self._codes.setdefault(alias.casefold(), []).append(code)

    def unit(self, received: str) -> str:
        """Return the UCUM spelling of a unit, or "" when the table does not know it."""
        return self._units.get(received.strip(), "") or self._units.get(_spelt(received.strip()), "")

    def coding(self, names: Iterable[str], value: str, unit: str, said: str = "") -> Coding:
        """Return what is known of a test that the device calls by these names; `said`: the unit that it calls UCUM."""
        ucum = self.unit(unit) or said
        if not ucum:
            return Coding()
        found = (code for name in names for code in self._codes.get(name.casefold(), ()) if ucum in code.ucum)
        code = next(found, None)
        number = value.strip()
        same = number.replace(",", ".").lstrip("+") if _NUMBER.fullmatch(number) else ""
        return Coding(code.loinc if code is not None else "", ucum, same)


def _spelt(unit: str) -> str:
    """Return a unit with the sign for micro in place of the Greek letter, and ^3 in place of a raised 3."""
    return _POWER.sub(lambda found: "^" + found.group().translate(_RAISED), unit.replace("\u03bc", "\u00b5"))


def _read(name: str, text: str) -> _Table:
    try:
        return msgspec.convert(tomllib.loads(text), _Table)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{name}: {error}") from error


@cache
def built_in() -> Codes:
    """Return the table that comes with the kit."""
    return Codes([_built_in_text()])


def with_clinic(name: str, text: str) -> Codes:
    """Return the kit's table with a clinic's own before it."""
    return Codes([(name, text), _built_in_text()])


def _built_in_text() -> tuple[str, str]:
    return "codes.toml", resources.files("edge").joinpath("codes.toml").read_text(encoding="utf-8")
