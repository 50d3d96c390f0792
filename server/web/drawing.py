"""Waveforms as SVG paths: what is drawn is what was measured, thinned so that no peak is lost.

Pure: numbers in, numbers and text out. A lead with more samples than the drawing has columns is shown by the lowest
and the highest sample of each column, so that a QRS complex of three samples stays in a drawing of ten hours.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from wire.waveform import Waveform

WIDTH: Final = 960
"""Columns of the drawing itself, and units of its view box."""
MARGIN_LEFT: Final = 56
MARGIN_RIGHT: Final = 24
LEAD_HEIGHT: Final = 140
LABEL_HEIGHT: Final = 20
"""Kept free for the name of a lead, so that it covers nothing of the trace."""
AXIS_HEIGHT: Final = 26
LEADS_MAX: Final = 24
"""Leads that are drawn; the others are named only."""
TICKS: Final = 8
SPAN_S_MIN: Final = 0.05
"""The closest zoom, seconds."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: where it stands and what is written beside it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Lead:
    """One lead: its path, and the lines of its value axis."""

    name: str
    top: float
    path: str
    ticks: tuple[Tick, ...]
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A waveform between two moments, ready to be written as SVG."""

    width: int
    height: int
    left: int
    leads: tuple[Lead, ...]
    times: tuple[Tick, ...]
    unit: str
    begin_s: float
    end_s: float
    length_s: float
    left_out: int

    @property
    def span_s(self) -> float:
        return self.end_s - self.begin_s


def draw(wave: Waveform, begin_s: float = 0.0, end_s: float = math.inf) -> Drawing:
    """Return the drawing of `wave` from `begin_s` to `end_s` seconds after its start; any numbers are put in bounds."""
    length_s = wave.count / wave.rate_hz if wave.rate_hz > 0 else 0.0
    begin_s, end_s = _bounds(begin_s, end_s, length_s)
    first = max(0, math.floor(begin_s * wave.rate_hz))
    last = min(wave.count, math.ceil(end_s * wave.rate_hz) + 1)
    names = wave.names[:LEADS_MAX]
    leads = [
        _lead(name, samples[first:last], number * LEAD_HEIGHT, wave)
        for number, (name, samples) in enumerate(zip(names, wave.samples, strict=False))
    ]
    times = [
        Tick(_x((value - begin_s) / max(end_s - begin_s, SPAN_S_MIN)), label)
        for value, label in _ticks(begin_s, end_s, TICKS)
    ]
    height = len(leads) * LEAD_HEIGHT + AXIS_HEIGHT
    return Drawing(
        width=MARGIN_LEFT + WIDTH + MARGIN_RIGHT,
        height=height,
        left=MARGIN_LEFT,
        leads=tuple(leads),
        times=tuple(times),
        unit=wave.unit,
        begin_s=begin_s,
        end_s=end_s,
        length_s=length_s,
        left_out=max(0, len(wave.names) - LEADS_MAX),
    )


def _bounds(begin_s: float, end_s: float, length_s: float) -> tuple[float, float]:
    begin_s = 0.0 if math.isnan(begin_s) else min(max(begin_s, 0.0), max(0.0, length_s - SPAN_S_MIN))
    end_s = length_s if math.isnan(end_s) else min(end_s, length_s)
    return begin_s, max(end_s, min(length_s, begin_s + SPAN_S_MIN))


def _lead(name: str, samples: Sequence[int], top: float, wave: Waveform) -> Lead:
    there = [sample for sample in samples if sample != wave.missing]
    if not there:
        return Lead(name, top, "", (), "", "")
    low, high = min(there), max(there)
    room = (high - low) * 0.08 or 1
    floor, ceiling = low - room, high + room

    def y(sample: float) -> float:
        return round(top + LABEL_HEIGHT + (LEAD_HEIGHT - LABEL_HEIGHT) * (ceiling - sample) / (ceiling - floor), 1)

    def value(sample: float) -> float:
        return sample * wave.scale + wave.offset

    scale = wave.scale or 1.0
    lowest, highest = sorted((value(floor), value(ceiling)))
    ticks = [Tick(y((tick - wave.offset) / scale), label) for tick, label in _ticks(lowest, highest, 3)]
    path = "".join(
        "M" + "L".join(f"{_x(at)},{y(sample)}" for at, sample in stretch)
        for stretch in _stretches(_thinned(samples), wave.missing)
    )
    return Lead(name, top, path, tuple(ticks), f"{value(low):.6g}", f"{value(high):.6g}")


def _stretches(points: Sequence[tuple[float, int]], missing: int | None) -> Iterator[list[tuple[float, int]]]:
    """Yield the runs of points between missing samples: over a gap no line is drawn."""
    stretch: list[tuple[float, int]] = []
    for point in points:
        if point[1] != missing:
            stretch.append(point)
        elif stretch:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


def _thinned(samples: Sequence[int]) -> list[tuple[float, int]]:
    """Return (place from 0 to 1, sample): all samples, or the lowest and highest of each column in their order."""
    count = len(samples)
    end = max(1, count - 1)
    if count <= 2 * WIDTH:
        return [(index / end, sample) for index, sample in enumerate(samples)]
    points = []
    for column in range(WIDTH):
        first, last = count * column // WIDTH, count * (column + 1) // WIDTH
        part = samples[first:last]
        low, high = min(part), max(part)
        pair = sorted({part.index(low) + first: low, part.index(high) + first: high}.items())
        points += [(index / end, sample) for index, sample in pair]
    return points


def _x(place: float) -> float:
    return round(MARGIN_LEFT + WIDTH * place, 1)


def _ticks(low: float, high: float, count: int) -> list[tuple[float, str]]:
    """Return round values between `low` and `high`, about `count` of them, with what to write beside each."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [(low, f"{low:.6g}")] if math.isfinite(low) else []
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= count)
    digits = max(0, -math.floor(math.log10(step)))
    first = math.ceil(low / step)
    return [(index * step, f"{index * step:.{digits}f}") for index in range(first, math.floor(high / step) + 1)]
