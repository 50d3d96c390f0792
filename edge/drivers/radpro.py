"""Geiger counters with the Rad Pro firmware (FS2011, Bosean, FNIRSI, GQ): rate and pulses, asked every few seconds.

Written from "Rad Pro USB communications protocol" (github Gissio/radpro, docs/comm.md, firmware 2.0 and 3.0). On no
unit of our own. 115200 8N1, lines of ASCII that end CR LF: `GET tubeRate`, `OK 142.857`; `ERROR` is an answer too, of
a counter that does not know the question. Only GET is ever sent: no SET, RESET or START stands here. The data log is
not read: while it is, the counter logs nothing.

The rate is the counter's own estimate; the maker says that the two pulse counts at the ends of a time tell more, so
the first and the last of a study stand in its RESULT. The sensitivity is kept as given, and nothing computed from it.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Final

from edge.driver import Driver, Facts, Line
from edge.drivers.radiation_meter import PACE, Meter, read_pace
from edge.drivers.radiation_poll import Question
from edge.drivers.radiation_study import FORM, Lead, Survey
from edge.signs import FRAME, Ask, Signs, lines
from wire.record import Observation

ANSWER_SIZE_MAX: Final = 256
GREETING: Final = ("deviceId", "deviceBatteryVoltage", "deviceTime", "tubeSensitivity")
ROUND: Final = ("tubePulseCount", "tubeRate")
RATE: Final = Lead("rate", "cpm", 3)
VALUE_MAX: Final = (1 << 31) - 1
_RATE: Final = re.compile(r"(\d{1,7})(?:\.(\d{1,3})\d*)?")

FACTS: Final = Facts(
    name="radpro",
    version="1",
    title="Geiger counters with Rad Pro firmware",
    manual="Rad Pro USB communications protocol (Gissio/radpro docs/comm.md)",
    form=FORM,
    lines=(Line(115_200),),
    options=PACE,
)


def line_size(heard: bytearray, _is_quiet: bool) -> int:
    """Return the length of the first line that answers; a longer one is no answer."""
    end = heard.find(b"\n", 0, ANSWER_SIZE_MAX)
    return end + 1 if heard.startswith((b"OK", b"ERROR")) else 0


def value_of(answer: bytes) -> str:
    """Return what stands after OK; nothing for ERROR."""
    text = answer.decode("ascii", "replace").strip()
    return "".join(char if char.isprintable() else "?" for char in text[2:].strip()) if text.startswith("OK") else ""


def thousandths(text: str) -> int | None:
    """Return a rate in thousandths; None for what is no rate."""
    found = _RATE.fullmatch(text)
    if found is None:
        return None
    value = int(found[1]) * 1000 + int((found[2] or "").ljust(3, "0"))
    return value if value <= VALUE_MAX else None


class _RadPro(Meter):
    """See the module's text."""

    def __init__(self, every_s: float, study_s: float) -> None:
        super().__init__((RATE,), every_s, study_s)
        self._meet()

    def _meet(self) -> None:
        self.model = self.serial = ""
        self._plan = deque(GREETING)
        self._said: dict[str, str] = {}
        self._pulses = ("", "")

    def question(self, now: float) -> Question | float:
        if now < self._next_at:
            return self._next_at
        name = self._plan[0]
        return Question(name, f"GET {name}\r\n".encode(), line_size, is_needed=name in {"deviceId", "tubeRate"})

    def answered(self, question: Question, answer: bytes, at: float) -> None:
        value = value_of(answer)
        if question.name == "deviceId" and not value:
            self._met_stranger(answer.decode("ascii", "replace").strip(), at)
            return
        self._said[question.name] = value
        self._plan.popleft()
        if question.name == "deviceId":
            # A release candidate of 2.0 ends its answer with a semicolon.
            self.model, _, self.serial = value.rstrip(";").rpartition(";")
        elif question.name == "tubeRate":
            self._measured(value, at)
        if not self._plan:
            self._plan = deque(ROUND)

    def _measured(self, value: str, at: float) -> None:
        self._plan_next(at)
        rate = thousandths(value)
        if rate is not None:
            self._take((rate,), at)
        pulses = self._said.get("tubePulseCount", "")
        self._pulses = (self._pulses[0] or pulses, pulses or self._pulses[1])

    def _result(self, survey: Survey) -> tuple[str, list[Observation]]:
        first, last = self._pulses
        self._pulses = (last, last)
        wanted = (
            ("pulse count, first", first, ""),
            ("pulse count, last", last, ""),
            ("sensitivity", self._said.get("tubeSensitivity", ""), "cpm/µSv/h"),
            ("battery", self._said.get("deviceBatteryVoltage", ""), "V"),
        )
        found = [Observation(name, name, value, unit) for name, value, unit in wanted if value]
        return self._said.get("deviceTime", ""), found


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one counter. Raises ConfigError."""
    _, every_s, study_s = read_pace(FACTS, options)
    return _RadPro(every_s, study_s)


_IDENTITY: Final = re.compile(rb"OK [ -~]{1,80};[ -~]{1,60};[0-9A-Fa-f]{8,32};?")
SIGNS: Final = Signs(
    FRAME,
    lambda data: sum(bool(_IDENTITY.fullmatch(line)) for line in lines(data)),
    1,
    (Ask(b"GET deviceId\r\n", "model, firmware and id"),),
)
