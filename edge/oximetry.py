"""From an oximeter's stream to studies: what the drivers of oximeters share once a frame is understood.

An oximeter speaks without end and waits for nothing, so a study is found in the stream:

* It begins when `FINGER_IN_S` of numbers were valid: a finger is in.
* It ends when there was none for `FINGER_OUT_S`, when the driver says so (silence, the port gone), or after
  `STUDY_S_MAX`; then the next begins at once.
* Every `CHUNK_S` one entry is committed: the raw bytes, the pulse wave, and the numbers once a second as a wave, where
  -1 stands for none: no gap is ever filled. The last entry holds the RESULT: median, lowest and highest.

Time within a study is counted in the oximeter's own samples. Bytes that were lost cut the waves, which then begin anew,
so that their times stay right; they are counted, and said in the RESULT.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.driver import Commit, Note, Sampled, StudyBegins, StudyEnds
from edge.entries import EntryQueue
from edge.readings import observation
from wire.record import Observation, Result
from wire.waveform import Waveform

FINGER_IN_S: Final = 1.0
FINGER_OUT_S: Final = 5.0
CHUNK_S: Final = 10
STUDY_S_MAX: Final = 900
CHUNK_SIZE_MAX: Final = 16_384
"""Raw bytes of one entry; ten seconds are 3,750 to 5,400."""
BEFORE_SIZE_MAX: Final = 1_024
"""Raw bytes before a study that go with it, so that its first packet is whole."""
PI_MAX: Final = 0xFFFE
NONE: Final = -1


@dataclass(frozen=True, slots=True)
class Numbers:
    """One set of values; None where the oximeter says that it has none. `pi`: the perfusion index in 0.01 %."""

    spo2: int | None
    pulse: int | None
    is_attached: bool
    time: str = ""
    """A spot check's own date, as given."""
    pi: int | None = None


class Spread:
    """How often each value came: the median, lowest and highest of a day of seconds in a few hundred bytes."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, value: int | None) -> None:
        """Take one value; None is no value."""
        if value is not None and 0 <= value <= PI_MAX:
            self._counts[value] = self._counts.get(value, 0) + 1

    @property
    def count(self) -> int:
        """How many values came."""
        return sum(self._counts.values())

    @property
    def lowest(self) -> int:
        """The lowest value."""
        return min(self._counts)

    @property
    def highest(self) -> int:
        """The highest value."""
        return max(self._counts)

    @property
    def median(self) -> int:
        """The lower median."""
        left = (self.count - 1) // 2
        for value in sorted(self._counts):
            left -= self._counts[value]
            if left < 0:
                return value
        return self.highest


LEADS: Final = ("SpO2 %", "pulse /min", "PI 0.01 %")


@dataclass(frozen=True, slots=True)
class Shape:
    """What a kind of oximeter measures: samples of the pulse wave a second (0: none), and whether it knows a PI."""

    form: str
    pleth_hz: float = 0.0
    has_pi: bool = False


class Stretch:
    """A piece of the measurement without a gap."""

    def __init__(self, shape: Shape, began: float) -> None:
        self.began = began
        self.pleth: list[int] = []
        self.seconds: list[tuple[int, int, int]] = []
        self._shape = shape

    def waveforms(self) -> list[Sampled]:
        """Return its waves."""
        waves = []
        if self.pleth:
            waves.append(Waveform(("pleth",), self._shape.pleth_hz, "", 1.0, 0.0, 0, (self.pleth,)))
        if self.seconds:
            count = 3 if self._shape.has_pi else 2
            leads = tuple(zip(*self.seconds, strict=True))[:count]
            waves.append(Waveform(LEADS[:count], 1.0, "", 1.0, 0.0, 0, leads, missing=NONE))
        return [Sampled(self.began, wave) for wave in waves]


class Chunk:
    """What was heard since the last entry."""

    def __init__(self, shape: Shape, began: float) -> None:
        self.raw = bytearray()
        self.stretches = [Stretch(shape, began)]
        self.seconds = 0
        self._shape = shape

    @property
    def last(self) -> Stretch:
        """Where samples go."""
        return self.stretches[-1]

    def cut(self, now: float) -> None:
        """Samples are missing: what follows begins anew."""
        if self.last.pleth or self.last.seconds:
            self.stretches.append(Stretch(self._shape, now))
        else:
            self.last.began = now

    def commit(self) -> Commit:
        """Return the entry."""
        return Commit(bytes(self.raw), waveforms=tuple(wave for one in self.stretches for wave in one.waveforms()))


class Tally:
    """What the RESULT of a measurement is made of."""

    def __init__(self) -> None:
        self.spo2, self.pulse, self.pi = Spread(), Spread(), Spread()

    def second(self, seen: Sequence[Numbers]) -> tuple[int, int, int]:
        """Return and keep what counts for one second: the last valid values in it."""
        spo2 = next((one.spo2 for one in reversed(seen) if one.spo2 is not None), None)
        pulse = next((one.pulse for one in reversed(seen) if one.pulse is not None), None)
        pi = next((one.pi for one in reversed(seen) if one.pi is not None), None)
        self.spo2.add(spo2)
        self.pulse.add(pulse)
        self.pi.add(pi)
        return (NONE if spo2 is None else spo2), (NONE if pulse is None else pulse), (NONE if pi is None else pi)

    def observations(self, time: str = "") -> tuple[Observation, ...]:
        """Return the values of the RESULT: medians, and the extremes where there was more than one value."""
        spo2, pulse, pi = self.spo2, self.pulse, self.pi
        found = [
            (name, one.median, unit) for name, one, unit in (("SpO2", spo2, "%"), ("pulse", pulse, "/min")) if one.count
        ]
        found += [("SpO2 lowest", spo2.lowest, "%")] if spo2.count > 1 else []
        found += [("pulse lowest", pulse.lowest, "/min")] if pulse.count > 1 else []
        found += [("pulse highest", pulse.highest, "/min")] if pulse.count > 1 else []
        plain = [observation(name, str(value), unit, time=time) for name, value, unit in found]
        index = [observation("PI", f"{pi.median / 100:.2f}", "%", time=time)] if pi.count else []
        return (*plain, *index)


def conclude(queue: EntryQueue, tally: Tally, notes: Sequence[str] = (), time: str = "", partial: str = "") -> None:
    """Put the last entry of a study, and its end."""
    found = tally.observations(time)
    queue.put(Commit(tags=(Result(device_time=time, observations=found, notes=tuple(notes)).to_tag(),)))
    queue.put(StudyEnds(partial=partial, headline=tuple((one.name, one.value, one.unit) for one in found)))


class Measurement:
    """Finds the studies in one oximeter's stream; see the module's text. `model` goes into those that begin."""

    def __init__(self, queue: EntryQueue, shape: Shape) -> None:
        self.model = self.serial = ""
        self._queue, self._shape = queue, shape
        self._before = bytearray()
        self._tally: Tally | None = None
        self._chunk = Chunk(shape, 0.0)
        self._second: list[Numbers] = []
        self._valid_s = self._empty_s = 0.0
        self._seconds = 0
        self._lost = (0, 0)

    @property
    def is_open(self) -> bool:
        """A study is being written."""
        return self._tally is not None

    def keep(self, raw: bytes, now: float) -> None:
        """Take bytes as they came, whatever they mean."""
        if self._tally is None:
            self._before += raw
            del self._before[:-BEFORE_SIZE_MAX]
            return
        self._chunk.raw += raw
        if len(self._chunk.raw) >= CHUNK_SIZE_MAX:
            self._commit(now)

    def sample(self, value: int) -> None:
        """Take one sample of the pulse wave."""
        if self._tally is not None:
            self._chunk.last.pleth.append(value)

    def cut(self, now: float, skipped: int = 0, broken: int = 0) -> None:
        """So many bytes were skipped and packets broken, and samples lost with them."""
        self._lost = (self._lost[0] + skipped, self._lost[1] + broken)
        self._second.clear()
        self._chunk.cut(now)

    def reset(self) -> None:
        """What comes now may be another oximeter."""
        self._valid_s = 0.0

    def take_before(self) -> bytes:
        """Return the bytes that belong to no study yet."""
        before = bytes(self._before)
        self._before.clear()
        return before

    def numbers(self, found: Numbers, per_s: int, now: float) -> None:
        """Take one set of numbers, of which there are `per_s` in a second."""
        is_valid = found.is_attached and (found.spo2 is not None or found.pulse is not None)
        self._valid_s = self._valid_s + 1 / per_s if is_valid else 0.0
        if self._tally is None:
            if self._valid_s >= FINGER_IN_S - 1e-9:
                self._begin(now)
            return
        self._empty_s = 0.0 if is_valid else self._empty_s + 1 / per_s
        self._second.append(found)
        if len(self._second) == per_s:
            self._end_second(self._tally, now)

    def end(self, reason: str, now: float, rest: bytes = b"") -> None:
        """End the study that is open; `rest`: bytes that are no packet yet."""
        tally, self._tally = self._tally, None
        if tally is None:
            return
        self._chunk.raw += rest
        self._commit(now)
        self._valid_s = 0.0
        skipped, broken = self._lost
        lost = [f"{skipped} bytes skipped, {broken} packets broken"] if skipped or broken else []
        conclude(self._queue, tally, [*([reason] if reason else []), *lost])

    def _begin(self, now: float) -> None:
        self._queue.put(StudyBegins(self._shape.form, self.model, self.serial))
        self._tally, self._chunk = Tally(), Chunk(self._shape, now)
        self._chunk.raw += self.take_before()
        self._second = []
        self._seconds, self._empty_s, self._lost = 0, 0.0, (0, 0)

    def _end_second(self, tally: Tally, now: float) -> None:
        self._chunk.last.seconds.append(tally.second(self._second))
        self._second = []
        self._chunk.seconds += 1
        self._seconds += 1
        if self._empty_s >= FINGER_OUT_S - 1e-9:
            self.end("", now)
        elif self._seconds >= STUDY_S_MAX:
            self.end("", now)
            self._begin(now)
            self._queue.put(Note("goes on from the study before"))
        elif self._chunk.seconds >= CHUNK_S:
            self._commit(now)

    def _commit(self, now: float) -> None:
        chunk, self._chunk = self._chunk, Chunk(self._shape, now)
        commit = chunk.commit()
        if commit.raw or commit.waveforms:
            self._queue.put(commit)
