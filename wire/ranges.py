"""The gap list: which bytes of an object (or which frames of a session) are there. Used by both ends (R14).

Ranges are half-open, [start, end), sorted, never touching. Every operation keeps that; the tests hold it
against a plain set of integers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class RangeSet:
    """A set of non-negative integers that come in runs."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(list(self._starts), list(self._ends), strict=True)

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"

    @property
    def total(self) -> int:
        """How many integers are in the set."""
        return sum(self._ends) - sum(self._starts)

    @property
    def end(self) -> int:
        """One past the largest, 0 when empty."""
        return self._ends[-1] if self._ends else 0

    def add(self, start: int, end: int) -> int:
        """Add [start, end) and return how many of these were new."""
        if start >= end:
            return 0
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first == last:
            self._starts.insert(first, start)
            self._ends.insert(first, end)
            return end - start
        low, high = min(start, self._starts[first]), max(end, self._ends[last - 1])
        had = sum(self._ends[first:last]) - sum(self._starts[first:last])
        self._starts[first:last], self._ends[first:last] = [low], [high]
        return high - low - had

    def remove(self, start: int, end: int) -> None:
        """Take [start, end) out."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        kept = []
        for low, high in zip(self._starts[first:last], self._ends[first:last], strict=True):
            kept += [(a, b) for a, b in ((low, min(high, start)), (max(low, end), high)) if a < b]
        self._starts[first:last] = [a for a, _ in kept]
        self._ends[first:last] = [b for _, b in kept]

    def covers(self, start: int, end: int) -> bool:
        """Tell whether all of [start, end) is in the set."""
        at = bisect_right(self._starts, start) - 1
        return start >= end or (at >= 0 and self._ends[at] >= end)

    def gaps(self, end: int) -> Iterator[tuple[int, int]]:
        """Yield the runs of [0, end) that are not in the set, in order."""
        at = 0
        for low, high in self:
            if low >= end:
                break
            if at < low:
                yield at, low
            at = high
        if at < end:
            yield at, end

    def copy(self) -> "RangeSet":
        """Return an independent copy."""
        other = RangeSet()
        other._starts, other._ends = list(self._starts), list(self._ends)
        return other
