"""Which of the intact CHECKs in a window are the stream's own, in their own places. R8.

A piece of the stream may have been copied to another place within it, CHECKs and all. What is proven already rules
out a copy of an earlier piece (its ordinals have been seen); a copy of a later piece shows only when the tags that
should stand there come after it. So CHECKs that do not join what is proven wait until the window is full, and then
the best line of increasing ordinals is taken: the most tags proven, the fewest ordinals passed over.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

from wire.checks import Check


class Mark(NamedTuple):
    """An intact CHECK that waits. `support`: 1, and the tags proven right before it, back to the CHECK before.

    `joined_at`: where that CHECK stands, or -1 when something in between does not hold.
    """

    at: int
    check: Check
    support: int
    joined_at: int


def best_line(marks: Sequence[Mark], next_ordinal: int) -> list[int]:
    """Return the positions in `marks` of the best line; only ordinals from `next_ordinal` on count."""
    ordinals: list[int] = []
    ends: list[int] = []
    weights: list[int] = []
    before: list[int] = [-1] * len(marks)
    for number, mark in enumerate(marks):
        if mark.check.ordinal < next_ordinal:
            continue
        place = bisect_left(ordinals, mark.check.ordinal)
        weight = mark.support + (weights[place - 1] if place else 0)
        before[number] = ends[place - 1] if place else -1
        if place < len(ordinals) and ordinals[place] == mark.check.ordinal and weights[place] > weight:
            continue
        stop = place
        while stop < len(ordinals) and (weights[stop] <= weight):
            stop += 1
        ordinals[place:stop], ends[place:stop], weights[place:stop] = [mark.check.ordinal], [number], [weight]
    if not ends:
        return []
    _, last = max((2 * weight - ordinal, end) for weight, ordinal, end in zip(weights, ordinals, ends, strict=True))
    return _follow(marks, before, last)


def _follow(marks: Sequence[Mark], before: Sequence[int], last: int) -> list[int]:
    line = [last]
    numbers = {mark.at: number for number, mark in enumerate(marks)}
    while (previous := before[line[-1]]) >= 0:
        joined = numbers.get(marks[line[-1]].joined_at, -1)
        # Of two equal CHECKs the one that joins what follows is the original, the other a copy.
        if joined >= 0 and marks[joined].check.ordinal == marks[previous].check.ordinal:
            previous = joined
        line.append(previous)
    return line[::-1]


def reaches(line: Sequence[Check]) -> list[Check]:
    """Return, for each CHECK of a line, the one among it and its successors that lists the oldest tag."""
    reached: list[Check] = []
    for check in reversed(line):
        oldest = reached[-1] if reached and reached[-1].first < check.first else check
        reached.append(oldest)
    return reached[::-1]


def extended(check: Check, later: Check) -> Check:
    """Return `check` with its list carried on towards older tags by the list of a later CHECK of the same line."""
    older = later.entries[: max(0, check.first - later.first)]
    return check._replace(entries=older + check.entries) if older else check
