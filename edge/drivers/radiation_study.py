"""A study of radiation in the making: readings at a steady pace become waves, entries and at the end a RESULT.

What the drivers of radiation meters share. A reading is integers as the meter counts them, one for each `Lead`, with
the scale that makes its unit. A second in which the meter gave none is marked `NONE`: no gap is filled. After a gap
that is longer than `GAP_COUNT_MAX` readings the wave is cut and begins anew, so that its times stay right.

An entry is committed every `CHUNK_COUNT` readings; what the disk refuses is held (`edge.entries`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from edge.driver import HEADLINE_LINES_MAX, Commit, Sampled, StudyBegins, StudyEnds
from edge.entries import EntryQueue
from wire.record import Observation, Result
from wire.waveform import Waveform

CHUNK_COUNT: Final = 60
GAP_COUNT_MAX: Final = 60
READINGS_COUNT_MAX: Final = 20_000
"""Readings of one study; then the next begins."""
RAW_SIZE_MAX: Final = 16_384
"""Raw bytes of one entry."""
NONE: Final = -1
FORM: Final = "radiation"


@dataclass(frozen=True, slots=True)
class Lead:
    """One value of a reading: `value * scale` in `unit`, written with so many decimals."""

    name: str
    unit: str
    decimals: int = 0

    @property
    def scale(self) -> float:
        """What makes a reading's integer its unit."""
        return 1.0 if self.decimals == 0 else float(f"1e-{self.decimals}")

    def text(self, value: int) -> str:
        """Return the value as the meter would show it, without a float in between."""
        whole, part = divmod(value, 10**self.decimals)
        return f"{whole}.{part:0{self.decimals}d}" if self.decimals else str(value)


class _Stretch:
    """Readings without a long gap."""

    def __init__(self, began: float, leads: int) -> None:
        self.began = began
        self.values: list[list[int]] = [[] for _ in range(leads)]

    @property
    def count(self) -> int:
        return len(self.values[0])

    def add(self, reading: Sequence[int]) -> None:
        for values, value in zip(self.values, reading, strict=True):
            values.append(value)


class Survey:
    """One study. `begin` has been said when it exists; `end` must be called once."""

    def __init__(self, queue: EntryQueue, leads: Sequence[Lead], every_s: float, began: float) -> None:
        self.began = began
        self._queue, self._leads, self._every_s = queue, tuple(leads), every_s
        self._values: list[list[int]] = [[] for _ in leads]
        self._stretch = _Stretch(began, len(leads))
        self._raw = bytearray()
        self._missed = 0

    @classmethod
    def begin(
        cls, queue: EntryQueue, leads: Sequence[Lead], every_s: float, began: float, who: tuple[str, str]
    ) -> "Survey":
        """Begin a study; `who` is the meter's model and serial number."""
        queue.put(StudyBegins(FORM, *who))
        return cls(queue, leads, every_s, began)

    @property
    def count(self) -> int:
        """Readings so far."""
        return len(self._values[0])

    @property
    def is_full(self) -> bool:
        """A study holds no more."""
        return self.count >= READINGS_COUNT_MAX

    def keep(self, raw: bytes) -> None:
        """Keep bytes as they came."""
        self._raw += raw
        while len(self._raw) >= RAW_SIZE_MAX:
            self._queue.put(Commit(bytes(self._raw[:RAW_SIZE_MAX])))
            del self._raw[:RAW_SIZE_MAX]

    def add(self, reading: Sequence[int], at: float) -> None:
        """Take one reading of the moment `at`."""
        gap = round((at - self._stretch.began) / self._every_s) - self._stretch.count
        self._missed += max(0, gap)
        if gap > GAP_COUNT_MAX or self._stretch.count >= CHUNK_COUNT:
            self._commit()
            self._stretch = _Stretch(at, len(self._leads))
        else:
            for _ in range(gap):
                self._stretch.add([NONE] * len(self._leads))
        self._stretch.add(reading)
        for values, value in zip(self._values, reading, strict=True):
            values.append(value)

    def end(self, device_time: str = "", more: Sequence[Observation] = (), notes: Sequence[str] = ()) -> None:
        """Commit what is left and the RESULT, and end the study."""
        self._commit()
        found = (*self._observations(), *more)
        missed = [f"{self._missed} readings were missed"] if self._missed else []
        result = Result(device_time=device_time, observations=found, notes=(*notes, *missed))
        self._queue.put(Commit(tags=(result.to_tag(),)))
        shown = tuple((one.name, one.value, one.unit) for one in found[:HEADLINE_LINES_MAX])
        self._queue.put(StudyEnds(headline=shown))

    def median(self, lead: int) -> int | None:
        """Return the middle of a lead's readings."""
        return median_low(self._values[lead]) if self._values[lead] else None

    def _observations(self) -> list[Observation]:
        found = []
        for lead, values in zip(self._leads, self._values, strict=True):
            for name, pick in (("", median_low), (" lowest", min), (" highest", max)):
                if values and (len(values) > 1 or not name):
                    text = lead.text(pick(values))
                    found.append(Observation(lead.name + name, lead.name + name, text, lead.unit))
        return found

    def _commit(self) -> None:
        stretch, self._stretch = self._stretch, _Stretch(self._stretch.began, len(self._leads))
        waves = tuple(
            Sampled(
                stretch.began, Waveform((lead.name,), 1 / self._every_s, lead.unit, lead.scale, 0.0, 0, (one,), NONE)
            )
            for lead, one in zip(self._leads, stretch.values, strict=True)
            if one
        )
        if self._raw or waves:
            self._queue.put(Commit(bytes(self._raw), waveforms=waves))
        self._raw.clear()
