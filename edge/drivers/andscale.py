"""A&D scales: a line when the PRINT key is pressed, or lines without end.

Written from A&D's standard format as its scales' manuals give it; on no unit of our own. 2400 baud 7E1 as delivered,
often 9600 or 8N1; CR LF:

    ST,GS,+  4.876kg        ST at rest, US moving, OL overload; GS gross, NT net; sign, number, unit
    ST,+00012.34  g         balances leave the second field out
    ST,GS,   450.5,kg       others that follow it set a comma before the unit, or a blank before the sign

What a load is, and when it is a study: `edge.weighing`. The line has no checksum, so a line that is shorter than those
before it is not believed: it may have lost a digit. A tare (TR) is no load. Nothing is ever sent: A&D's scales can be
told to tare and to zero.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from edge.driver import Driver, Event, Facts, Line, Option
from edge.entries import EntryQueue
from edge.readings import SILENCE_S, Lines, Noise
from edge.registry import read_options
from edge.signs import FRAME, Signs, lines
from edge.weighing import Weighing, Weight, Widths
from wire.errors import ConfigError

LINE_SIZE_MAX: Final = 64
LEAST_MAX: Final = 1_000.0
NAMES: Final[Mapping[str, str]] = {"body": "body weight", "thing": "weight"}

FACTS: Final = Facts(
    name="andscale",
    version="1",
    title="A&D scales, standard format",
    manual="A&D standard data format, as in the manuals of its scales",
    form="body-measures",
    lines=(Line(2400, 7, "E"), Line(9600), Line(2400), Line(9600, 7, "E")),
    options=(
        Option("of", "body", "what is weighed", tuple(NAMES)),
        Option("least", 1.0, "a smaller weight is an empty scale, in the scale's own unit"),
    ),
)

_LINE: Final = re.compile(r"(ST|US),(?:(GS|NT),)? *([+-]?) *(\d+(?:[.,]\d+)?) *,? *([A-Za-z]{1,3})")
_OVER: Final = re.compile(r"OL,.*")


def read(line: bytes) -> Weight | None:
    """Return what a line says; None when it is none of the scale's."""
    text = line.decode("latin-1").strip("\r\n\x00 ")
    if _OVER.fullmatch(text):
        return Weight(line)
    match = _LINE.fullmatch(text)
    if match is None:
        return None
    number = ("-" if match[3] == "-" else "") + match[4]
    return Weight(line, number, match[5], match[1] == "ST", match[2] or "")


class _AndScale:
    """One scale on one port. See the module's text."""

    def __init__(self, name: str, least: float) -> None:
        self._queue, self._noise, self._widths = EntryQueue(), Noise(), Widths()
        self._lines = Lines((0x0A,), LINE_SIZE_MAX)
        self._weighing = Weighing(self._queue, FACTS.form, FACTS.name, name, least)
        self._heard_at = 0.0

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        for line in self._lines.feed(data):
            self._take(line, now)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        if self._lines.is_inside and now >= self._heard_at + SILENCE_S:
            self._take(self._lines.rest(), self._heard_at)
        self._weighing.tick(now)
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._take(self._lines.rest(), now)
        self._weighing.lost(now)
        return self._queue.release()

    def deadline(self) -> float | None:
        rest_at = self._heard_at + SILENCE_S if self._lines.is_inside else None
        times = (rest_at, self._weighing.deadline(), self._queue.deadline())
        return min((one for one in times if one is not None), default=None)

    def _take(self, line: bytes, now: float) -> None:
        weight = read(line) if line.strip() else None
        if weight is None:
            for event in self._noise.add(line):
                self._queue.put(event)
            return
        believed = not weight.text or self._widths.fits(len(line.strip()))
        self._weighing.take(replace(weight, raw=self._noise.take() + line, is_believed=believed), now)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one scale. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    least = float(chosen["least"])
    if not 0 <= least <= LEAST_MAX:
        raise ConfigError(f"driver 'andscale': option 'least' is {least:g}; it may be 0 to {LEAST_MAX:g}")
    return _AndScale(NAMES[str(chosen["of"])], least)


SIGNS: Final = Signs(FRAME, lambda data: sum(read(line) is not None for line in lines(data)))
