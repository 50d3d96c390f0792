"""GQ GMC Geiger counters (GMC-280 to 800): counts a minute, live, and on request the history in their flash memory.

Written from GQ-RFC1201 and GQ-RFC1801 (`gmc_answers.py` has sizes and meanings). On no unit of our own; tried with the
bytes of a real GMC-300S and GMC-500+. 57600 or 115200 baud 8N1, as the counter is set; USB through a CH340
(1a86:7523), which Ubuntu's brltty grabs.

**Only what reads is ever sent**: GETVER, the names of `GREETING`, GETCPM, SPIR, and HEARTBEAT0, which stops the
second's count that a counter may send unasked and that would stand in every answer. There is no command here that
sets, saves or erases.

* After its greeting the counter is asked for its counts a minute every `every_s` seconds; a study is `study_s` long.
  The first count after a silence is not taken: a GMC-300 was seen to answer 280655.
* `history = "once"`: the flash memory is read first, page by page until one is erased, once for each serial number
  while the kit runs. It is a study of its own: the pages as they are, and each segment as a wave. Its time is the
  counter's own, brought to the kit's clock by what the counter says of "now".
* The dose rate in the RESULT is the median under the counter's own calibration, and says so; readings stay counts.
"""

import re
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from edge.driver import ClockRead, Commit, Driver, Facts, Line, Option, Sampled, StudyBegins, StudyEnds
from edge.drivers.gmc_answers import (
    ERASED,
    NONE,
    PROTOCOLS,
    RATES_HZ,
    RFC1201,
    Calibration,
    History,
    Protocol,
    Segment,
    calibration,
    counts_a_minute,
    moment,
    protocol_of,
    text_of,
    version_size,
    voltage,
)
from edge.drivers.radiation_meter import PACE, Meter, read_pace
from edge.drivers.radiation_poll import Question, exactly
from edge.drivers.radiation_study import FORM, Lead, Survey
from edge.signs import FRAME, Ask, Signs
from wire.record import Observation, Result
from wire.waveform import Waveform

HUSH: Final = b"<HEARTBEAT0>>"
GREETING: Final = ("GETSERIAL", "GETCFG", "GETVOLT", "GETDATETIME")
PAGE_SIZE: Final = 2_048
HISTORY_SIZE_MAX: Final = 1 << 20
SERIALS_COUNT_MAX: Final = 16
"""Counters whose history is known to have been read."""
BACKLOG_S: Final = 1.0
"""Between two looks whether the disk has taken what was read."""
CPM: Final = Lead("cpm", "CPM")

FACTS: Final = Facts(
    name="gmc",
    version="1",
    title="GQ GMC Geiger counters (GMC-280 to 800)",
    manual="GQ-RFC1201 Ver 1.40 (2015); GQ-RFC1801",
    form=FORM,
    lines=(Line(115_200), Line(57_600)),
    options=(
        Option("protocol", "auto", "which answers the counter gives", ("auto", *PROTOCOLS)),
        *PACE,
        Option("history", "none", "read the counter's flash memory, which erases nothing", ("none", "once")),
    ),
)


class _Counter:
    """What the counter said of itself."""

    def __init__(self) -> None:
        self.volts = self.time = ""
        self.calibration: Calibration | None = None
        self.clock: tuple[datetime, float] | None = None
        """The counter's date, and when it came."""


class _Flash:
    """The reading of the history, in the middle."""

    def __init__(self) -> None:
        self.history = History()
        self.size = self.segments = self.values = 0


class _Gmc(Meter):
    """See the module's text."""

    def __init__(self, protocol: Protocol | None, every_s: float, study_s: float, *, reads_history: bool) -> None:
        super().__init__((CPM,), every_s, study_s, HUSH)
        self._wanted_protocol, self._reads_history = protocol, reads_history
        self._read_serials: deque[str] = deque(maxlen=SERIALS_COUNT_MAX)
        self._flash: _Flash | None = None
        self._meet()

    def _meet(self) -> None:
        self.model = self.serial = ""
        self._counter = _Counter()
        self._protocol: Protocol | None = None
        self._is_warm = False
        self._plan = deque(GREETING)

    # What to ask

    def question(self, now: float) -> Question | float:
        if self._protocol is None:
            return self._next_at if now < self._next_at else Question("GETVER", b"<GETVER>>", version_size, True)
        if self._plan:
            return Question(self._plan[0], f"<{self._plan[0]}>>".encode(), exactly(self._size(self._plan[0])))
        if self._wants_history():
            return now + BACKLOG_S if self._queue.deadline() is not None else self._page()
        if now < self._next_at:
            return self._next_at
        return Question("GETCPM", b"<GETCPM>>", exactly(self._size("GETCPM")), is_needed=True)

    def _size(self, name: str) -> int:
        protocol = self._protocol or RFC1201
        sizes = {"GETCFG": protocol.config_size, "GETVOLT": protocol.voltage_size, "GETCPM": protocol.count_size}
        return sizes.get(name, 7)

    def _wants_history(self) -> bool:
        return self._reads_history and self.serial not in self._read_serials

    def _page(self) -> Question:
        at = self._flash.size if self._flash is not None else 0
        request = b"<SPIR" + at.to_bytes(3, "big") + PAGE_SIZE.to_bytes(2, "big") + b">>"
        return Question("SPIR", request, exactly(PAGE_SIZE))

    # What came

    def answered(self, question: Question, answer: bytes, at: float) -> None:
        match question.name:
            case "GETVER":
                self._met(text_of(answer), at)
            case "SPIR":
                self._read(answer)
            case "GETCPM":
                self._measured(answer, at)
            case _:
                self._plan.popleft()
                self._learnt(question.name, answer, at)

    def _met(self, version: str, at: float) -> None:
        kind = protocol_of(version)
        if kind is None:
            self._met_stranger(version, at)
            return
        self.model, self._protocol = version, self._wanted_protocol or kind

    def _learnt(self, name: str, answer: bytes, at: float) -> None:
        if not answer or self._protocol is None:
            return
        match name:
            case "GETSERIAL":
                self.serial = answer.hex()
            case "GETCFG":
                self._counter.calibration = calibration(answer, self._protocol)
            case "GETVOLT":
                self._counter.volts = voltage(answer)
            case _:
                date = moment(answer)
                if date is not None:
                    self._counter.clock = date, at
                    self._counter.time = f"{date:%Y%m%d%H%M%S}"
                    self._queue.put(ClockRead(self._counter.time, date.replace(tzinfo=None), at))

    def _measured(self, answer: bytes, at: float) -> None:
        self._plan_next(at)
        cpm = counts_a_minute(answer)
        if self._is_warm and cpm is not None:
            self._take((cpm,), at)
        self._is_warm = True

    def _result(self, survey: Survey) -> tuple[str, list[Observation]]:
        found = []
        known, cpm = self._counter.calibration, survey.median(0)
        if known is not None and cpm is not None:
            how = f"of the median, by the counter's own calibration: {known.cpm} CPM are {known.usv_h:g} µSv/h"
            found.append(Observation("dose rate", "dose rate", known.dose_rate(cpm), "µSv/h", comments=(how,)))
        if self._counter.volts:
            found.append(Observation("battery", "battery", self._counter.volts, "V"))
        return self._counter.time, found

    # History

    def _keep(self, data: bytes) -> None:
        """Pages of the history are kept as entries of their own."""
        if self._flash is None:
            super()._keep(data)

    def _read(self, page: bytes) -> None:
        """Take a page; an empty one is where the counter answered nothing."""
        if self._flash is None:
            self._before.clear()
            self._flash = _Flash()
            self._queue.put(StudyBegins(FORM, self.model, self.serial, is_earlier=True))
        flash = self._flash
        is_end = page.count(ERASED) == len(page)
        if not is_end:
            segments = list(flash.history.feed(page))
            flash.size += len(page)
            self._queue.put(Commit(page, waveforms=self._waves(flash, segments)))
        if is_end or flash.size >= HISTORY_SIZE_MAX:
            self._read_serials.append(self.serial)
            self._end_history("" if page else f"no answer at byte {flash.size} of the history")

    def _end(self, reason: str, now: float) -> None:
        self._end_history(reason)
        super()._end(reason, now)

    def _end_history(self, partial: str) -> None:
        flash, self._flash = self._flash, None
        if flash is None:
            return
        waves = self._waves(flash, list(flash.history.finish()))
        counts = {"history values": flash.values, "history segments": flash.segments, "history bytes": flash.size}
        found = tuple(Observation(name, name, str(value)) for name, value in counts.items())
        notes = [f"note in the history: {text}" for text in flash.history.notes]
        notes += [f"{flash.history.unknown} marks of unknown kinds"] if flash.history.unknown else []
        undated = flash.history.undated
        notes += (
            [f"{undated} values without times: before any date, or saved above a threshold only"] if undated else []
        )
        result = Result(device_time=self._counter.time, observations=found, notes=tuple(notes))
        self._queue.put(Commit(tags=(result.to_tag(),), waveforms=waves))
        self._queue.put(StudyEnds(partial=partial, headline=tuple((one.name, one.value, one.unit) for one in found)))

    def _waves(self, flash: _Flash, segments: list[Segment]) -> tuple[Sampled, ...]:
        waves = []
        for segment in segments:
            flash.segments += 1
            flash.values += len(segment.values)
            name, rate_hz = RATES_HZ[segment.mode]
            wave = Waveform((name,), rate_hz, "", 1.0, 0.0, 0, (segment.values,), missing=NONE)
            if (began := self._kit_time(segment)) is not None:
                waves.append(Sampled(began, wave))
        return tuple(waves)

    def _kit_time(self, segment: Segment) -> float | None:
        """Return when a segment began, on the kit's clock; None where the counter's dates do not say."""
        if self._counter.clock is None or segment.began is None:
            return None
        date, at = self._counter.clock
        age_s = (date - segment.began).total_seconds()
        return at - age_s if age_s >= 0 else None


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one counter. Raises ConfigError."""
    chosen, every_s, study_s = read_pace(FACTS, options)
    protocol = PROTOCOLS.get(str(chosen["protocol"]))
    return _Gmc(protocol, every_s, study_s, reads_history=chosen["history"] == "once")


_VERSION: Final = re.compile(rb"GMC-(?:\d{3}|SE)[ -~\0]{3,57}")
SIGNS: Final = Signs(FRAME, lambda data: len(_VERSION.findall(data)), 1, (Ask(b"<GETVER>>", "model and version"),))
