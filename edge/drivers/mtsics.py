"""Scales and balances that speak MT-SICS (Mettler Toledo, and others that follow it): asked for the weight, never told.

Written from the Mettler Toledo Standard Interface Command Set, level 0; on no unit of our own. 9600 8N1, CR LF.

    SI -> S S     100.00 g      at rest; S D moving, S I busy, S + overload, S - underload, ES ET EL not understood
    (some answer SI S .. where the standard has S S ..)
    I2 -> I2 A "model"          I4 -> I4 A "serial number", which a balance also says when it is switched on

**Only SI, I2 and I4 are ever sent: they read.** Tare (T), zero (Z), reset (@) and what sets anything are not in this
driver. What a load is, and when it is a study: `edge.weighing`. The answer has no checksum, so one that is shorter than
those before it is not believed: it may have lost a digit.
"""

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from edge.driver import Driver, Event, Facts, Line, Option, Send
from edge.entries import EntryQueue
from edge.readings import Lines, Noise
from edge.registry import read_options
from edge.signs import FRAME, Ask, Signs, lines
from edge.weighing import Weighing, Weight, Widths
from wire.errors import ConfigError

WEIGHT, MODEL, SERIAL = b"SI\r\n", b"I2\r\n", b"I4\r\n"
LINE_SIZE_MAX: Final = 128
LEAST_MAX: Final = 1_000.0
POLL_S_MIN, POLL_S_MAX = 0.2, 2.0
"""Slower than this, and two answers would be two loads (`edge.weighing.QUIET_S`)."""
POLL_SLOW_S: Final = 10.0
"""Between two questions when nobody answers."""
UNANSWERED_COUNT: Final = 3
NAMES: Final[Mapping[str, str]] = {"thing": "weight", "body": "body weight"}

FACTS: Final = Facts(
    name="mtsics",
    version="1",
    title="Scales and balances that speak MT-SICS",
    manual="Mettler Toledo Standard Interface Command Set (MT-SICS), level 0",
    form="body-measures",
    lines=(Line(9600), Line(2400), Line(19200), Line(4800)),
    options=(
        Option("of", "thing", "what is weighed", tuple(NAMES)),
        Option("least", 1.0, "a smaller weight is an empty scale, in the scale's own unit"),
        Option("poll_s", 1.0, "the weight is asked for this often, seconds"),
    ),
)

_WEIGHT: Final = re.compile(r"SI? ([SD]) +(-?) *(\d+(?:[.,]\d+)?) +(\S{1,5})")
_OTHER: Final = re.compile(r"SI? ([I+-])")
_ABOUT: Final = re.compile(r'(I2|I4) A "([^"]*)"')
NO_ANSWERS: Final = frozenset({"ES", "ET", "EL", "I2 I", "I4 I"})


class _MtSics:
    """One scale on one port. See the module's text."""

    def __init__(self, name: str, least: float, poll_s: float) -> None:
        self._poll_s = poll_s
        self._queue, self._noise, self._widths = EntryQueue(), Noise(), Widths()
        self._lines = Lines((0x0A,), LINE_SIZE_MAX)
        self._weighing = Weighing(self._queue, FACTS.form, FACTS.name, name, least)
        self._questions = deque((SERIAL, MODEL), maxlen=2)
        self._poll_at = 0.0
        self._unanswered = 0

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        for line in self._lines.feed(data):
            self._take(line, now)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        self._weighing.tick(now)
        if now >= self._poll_at:
            self._poll(now)
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._lines.rest()
        self._weighing.lost(now)
        self._forget_scale()
        return [one for one in self._queue.release() if not isinstance(one, Send)]

    def deadline(self) -> float | None:
        times = (self._poll_at, self._weighing.deadline(), self._queue.deadline())
        return min(one for one in times if one is not None)

    # Questions and answers

    def _poll(self, now: float) -> None:
        self._skip(self._lines.rest())
        self._queue.put_now(Send(self._questions.popleft() if self._questions else WEIGHT))
        self._unanswered += 1
        slow = self._unanswered > UNANSWERED_COUNT
        if self._unanswered == UNANSWERED_COUNT:
            self._forget_scale()
        self._poll_at = now + (POLL_SLOW_S if slow else self._poll_s)

    def _forget_scale(self) -> None:
        """It is gone, and what comes back may be another."""
        self._weighing.model = self._weighing.serial = ""
        self._questions.extend((SERIAL, MODEL))
        self._widths = Widths()

    def _take(self, line: bytes, now: float) -> None:
        text = line.decode("latin-1").strip("\r\n\x00 ")
        if (match := _WEIGHT.fullmatch(text)) is not None:
            weight = Weight(
                line, match[2] + match[3], match[4], match[1] == "S", is_believed=self._widths.fits(len(text))
            )
            self._weigh(weight, now)
        elif (match := _OTHER.fullmatch(text)) is not None:
            self._unanswered = 0
            if match[1] == "I":
                self._weighing.busy(self._noise.take() + line, now)
            else:
                self._weigh(Weight(line, "" if match[1] == "+" else "0"), now)
        elif (match := _ABOUT.fullmatch(text)) is not None:
            self._unanswered = 0
            setattr(self._weighing, "model" if match[1] == "I2" else "serial", match[2].strip())
        elif text in NO_ANSWERS:
            self._unanswered = 0
        else:
            self._skip(line)

    def _weigh(self, weight: Weight, now: float) -> None:
        self._unanswered = 0
        self._weighing.take(replace(weight, raw=self._noise.take() + weight.raw), now)

    def _skip(self, data: bytes) -> None:
        for event in self._noise.add(data):
            self._queue.put(event)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one scale. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    least, poll_s = float(chosen["least"]), float(chosen["poll_s"])
    if not 0 <= least <= LEAST_MAX:
        raise ConfigError(f"driver 'mtsics': option 'least' is {least:g}; it may be 0 to {LEAST_MAX:g}")
    if not POLL_S_MIN <= poll_s <= POLL_S_MAX:
        raise ConfigError(f"driver 'mtsics': option 'poll_s' is {poll_s:g}; it may be {POLL_S_MIN} to {POLL_S_MAX:g}")
    return _MtSics(NAMES[str(chosen["of"])], least, poll_s)


def _whole(data: bytes) -> int:
    said = (line.decode("latin-1").strip("\x00 ") for line in lines(data))
    return sum(bool(_WEIGHT.fullmatch(one) or _ABOUT.fullmatch(one)) for one in said)


def _maybe(data: bytes) -> str:
    said = [line.decode("latin-1").strip("\x00 ") for line in lines(data)]
    is_short = bool(said) and all(one in NO_ANSWERS or _OTHER.fullmatch(one) for one in said)
    return "short answers without a weight" if is_short else ""


ASKS: Final = (Ask(SERIAL, "its serial number"), Ask(WEIGHT, "the weight at this moment"))
SIGNS: Final = Signs(FRAME, _whole, 1, ASKS, _maybe)
