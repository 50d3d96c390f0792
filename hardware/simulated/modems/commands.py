"""A command line of V.250, taken apart: `AT+CIFSR;E0` is two commands, `ATS0=1&D2` too, `ATDT123` one.

V.250 clause 5.2 and 5.3: basic commands (a letter, or & and a letter, and a number), S-registers, extended commands
(+NAME, +NAME=..., +NAME?, +NAME=?) that end at a semicolon or with the line. Makers put other signs for the plus.
Names are read without regard to case; what is in quotes is left as it is.
"""

import enum
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

COMMANDS_MAX: Final = 40
"""In one line."""
_BASIC: Final = re.compile(r"(&?[A-Z])(\d{0,5})", re.IGNORECASE | re.ASCII)
_REGISTER: Final = re.compile(r"S(\d{1,3})(?:(\?)|=(\d{0,5}))?", re.IGNORECASE | re.ASCII)
_EXTENDED: Final = re.compile(r"([+\-%^$#*][A-Z][A-Z0-9]*)", re.IGNORECASE | re.ASCII)


class Kind(enum.Enum):
    """How a command was written."""

    RUN = "run"
    SET = "="
    READ = "?"
    TEST = "=?"


@dataclass(frozen=True, slots=True)
class Request:
    """One command. `name` is in capitals; `text` is what follows the equals sign, or the number of a basic one."""

    name: str
    kind: Kind
    text: str = ""

    @property
    def arguments(self) -> list[str]:
        """What stands between the commas, without spaces around it and without quotes."""
        found, quoted = [""], False
        for sign in self.text:
            if sign == '"':
                quoted = not quoted
            elif sign == "," and not quoted:
                found.append("")
            else:
                found[-1] += sign
        return [one.strip() for one in found]

    def argument(self, at: int, default: str = "") -> str:
        """Return one of the arguments, or the default where it is missing or empty."""
        found = self.arguments
        return found[at] if at < len(found) and found[at] else default

    def number(self, at: int = 0, default: int = -1) -> int:
        """Return one of the arguments as a number, or the default where it is none."""
        text = self.argument(at)
        return int(text) if re.fullmatch(r"-?\d{1,9}", text, re.ASCII) else default


class NoCommand(Exception):
    """The line cannot be read as commands."""


def parse(line: str, whole_lines: Collection[str] = ()) -> list[Request]:
    """Take apart what follows AT. Commands of `whole_lines` reach to the end of the line. Raises NoCommand."""
    found: list[Request] = []
    at = 0
    while at < len(line):
        if line[at] in " ;":
            at += 1
            continue
        request, at = _one(line, at, whole_lines)
        found.append(request)
        if len(found) > COMMANDS_MAX:
            raise NoCommand(f"more than {COMMANDS_MAX} commands in a line")
    return found


def _one(line: str, at: int, whole_lines: Collection[str]) -> tuple[Request, int]:
    if match := _EXTENDED.match(line, at):
        return _extended(line, match, whole_lines)
    if match := _REGISTER.match(line, at):
        kind = Kind.READ if match[2] else Kind.SET if match[3] is not None else Kind.RUN
        return Request(f"S{int(match[1])}", kind, match[3] or ""), match.end()
    match = _BASIC.match(line, at)
    if match is None:
        raise NoCommand(f"no command begins with {line[at]!r}")
    if match[1].upper() == "D":
        return Request("D", Kind.RUN, line[at + 1 :].strip()), len(line)
    return Request(match[1].upper(), Kind.RUN, match[2]), match.end()


def _extended(line: str, match: re.Match[str], whole_lines: Collection[str]) -> tuple[Request, int]:
    name, at = match[1].upper(), match.end()
    end = len(line) if name in whole_lines else _end(line, at)
    tail = line[at:end]
    if tail.strip() == "?":
        return Request(name, Kind.READ), end
    if tail.strip() == "=?":
        return Request(name, Kind.TEST), end
    if tail.startswith("="):
        return Request(name, Kind.SET, tail[1:]), end
    if tail.strip():
        raise NoCommand(f"{tail!r} after {name}")
    return Request(name, Kind.RUN), end


def _end(line: str, at: int) -> int:
    """Return where the command ends: at a semicolon that is not in quotes."""
    quoted = False
    while at < len(line) and (quoted or line[at] != ";"):
        quoted ^= line[at] == '"'
        at += 1
    return at
