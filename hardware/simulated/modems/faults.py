"""The knobs by which a simulated modem is made to fail: how one is written, when it strikes, and that it is known.

    NAME[=ARGUMENT][@WHEN]      WHEN: 3 the third opportunity, 3+ from the third on, 25% each with that chance, * each

What an opportunity is stands in the knob's meaning. A knob of commands takes `COMMAND` or `COMMAND:VALUE` as its
argument, and then only that command is an opportunity: `cme-error=CIPSTART:3@2`. Several knobs, also of one name, may
be turned at once; chances are drawn from the modem's seed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final

from wire.errors import UsageError

KNOBS_MAX: Final = 64
PERIOD_S_MIN: Final = 0.1
NUMBER_MAX: Final = 1e9
_SPEC: Final = re.compile(r"([a-z0-9-]+)(?:=([^@]*))?(?:@(\*|\d{1,6}\+?|\d{1,3}(?:\.\d+)?%))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Knob:
    """What a knob does, the argument it has when none is given, and when it strikes when nothing is said."""

    meaning: str
    argument: str = ""
    when: str = "1"
    is_number: bool = False
    """The argument (after `COMMAND:` when `of_commands`) is a number."""
    of_commands: bool = False
    is_pair: bool = False
    """The argument is UP:DOWN, in seconds."""
    is_status: bool = False
    """The argument is a whole number that may be negative."""

    def takes(self, argument: str) -> bool:
        """Return whether the argument is of the form that it must have."""
        if self.is_pair:
            up, _, down = argument.partition(":")
            return all(_is_number(one) and float(one) >= PERIOD_S_MIN for one in (up, down))
        if self.is_status:
            return re.fullmatch(r"-?\d{1,4}", argument, re.ASCII) is not None
        return not self.is_number or _is_number(argument)


class _Turned:
    """One knob that somebody has turned."""

    def __init__(self, knob: Knob, argument: str, when: str) -> None:
        self.command, self.argument = "", argument
        if knob.of_commands and not (knob.is_number and _is_number(argument)):
            command, _, value = argument.partition(":")
            self.command, self.argument = command.upper().lstrip("+"), value or knob.argument
        self._when = when
        self._opportunities = 0

    def strikes(self, rng: Random) -> bool:
        self._opportunities += 1
        if self._when == "*":
            return True
        if self._when.endswith("%"):
            return rng.random() * 100 < float(self._when[:-1])
        if self._when.endswith("+"):
            return self._opportunities >= int(self._when[:-1])
        return self._opportunities == int(self._when)


class Faults:
    """The knobs turned on one modem."""

    def __init__(self, wanted: Iterable[str], knobs: Mapping[str, Knob], rng: Random) -> None:
        self._knobs, self._rng = knobs, rng
        self._turned: dict[str, list[_Turned]] = {}
        for spec in wanted:
            self.turn(spec)

    def turn(self, spec: str) -> None:
        """Turn one more knob, also later. Raises UsageError for one that is not known or not well written."""
        match = _SPEC.fullmatch(spec)
        knob = self._knobs.get(match[1]) if match else None
        if match is None or knob is None:
            raise UsageError(f"fault {spec}: known here: {', '.join(self._knobs)}; written NAME[=ARGUMENT][@WHEN]")
        if sum(map(len, self._turned.values())) >= KNOBS_MAX:
            raise UsageError(f"fault {spec}: {KNOBS_MAX} are the most at once")
        turned = _Turned(knob, match[2] if match[2] is not None else knob.argument, match[3] or knob.when)
        if not knob.takes(turned.argument):
            raise UsageError(f"fault {spec}: {turned.argument!r} will not do; {match[1]}: {knob.meaning}")
        self._turned.setdefault(match[1], []).append(turned)

    def turn_back(self, name: str) -> None:
        """Take every knob of this name out."""
        self._turned.pop(name, None)

    def pick(self, name: str, command: str = "") -> str | None:
        """Count one opportunity; return the argument when the fault strikes now."""
        struck = None
        for turned in self._turned.get(name, ()):
            if turned.command in {"", command.upper().lstrip("+")} and turned.strikes(self._rng):
                struck = turned.argument
        return struck

    def strikes(self, name: str, command: str = "") -> bool:
        """Count one opportunity; return whether the fault strikes now."""
        return self.pick(name, command) is not None

    def number(self, name: str) -> float | None:
        """Return the argument of a habit as a number, or None when it was not turned. Counts no opportunity."""
        turned = self._turned.get(name)
        return float(turned[-1].argument) if turned else None

    def pair(self, name: str) -> tuple[float, float] | None:
        """Return the two periods of a habit, or None when it was not turned. Counts no opportunity."""
        turned = self._turned.get(name)
        if not turned:
            return None
        up, _, down = turned[-1].argument.partition(":")
        return float(up), float(down)

    def is_set(self, name: str) -> bool:
        """Return whether a habit was turned. Counts no opportunity."""
        return name in self._turned


def _is_number(text: str) -> bool:
    try:
        return 0 <= float(text) <= NUMBER_MAX
    except ValueError:
        return False
