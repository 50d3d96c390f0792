"""The gap list against a plain set of integers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from wire.ranges import RangeSet

spans = st.tuples(st.integers(0, 60), st.integers(0, 60)).map(lambda pair: (min(pair), max(pair)))
steps = st.lists(st.tuples(st.sampled_from(["add", "remove"]), spans), max_size=30)


def as_set(ranges):
    return {n for start, end in ranges for n in range(start, end)}


@given(steps, spans, st.integers(0, 70))
def test_it_is_a_set_of_integers(done, asked, end):
    ranges, model = RangeSet(), set()
    for what, (low, high) in done:
        span = set(range(low, high))
        if what == "add":
            assert ranges.add(low, high) == len(span - model)
            model |= span
        else:
            ranges.remove(low, high)
            model -= span
        assert as_set(ranges) == model
        runs = list(ranges)
        assert all(a < b for a, b in runs)
        assert all(b < c for (_, b), (c, _) in pairwise(runs)), "runs touch"
    assert ranges.total == len(model)
    assert ranges.end == max(model, default=-1) + 1
    assert ranges.covers(*asked) == set(range(*asked)).issubset(model)
    assert as_set(ranges.gaps(end)) == set(range(end)) - model
    assert bool(len(ranges)) == bool(model)


def test_touching_runs_become_one():
    ranges = RangeSet([(0, 3), (5, 8)])
    assert ranges.add(3, 5) == 2
    assert list(ranges) == [(0, 8)]


def test_adding_what_is_there_adds_nothing():
    ranges = RangeSet([(2, 9)])
    assert ranges.add(3, 8) == 0
    assert ranges.add(8, 12) == 3


def test_a_copy_is_independent():
    ranges = RangeSet([(0, 4)])
    copy = ranges.copy()
    copy.add(6, 7)
    assert list(ranges) == [(0, 4)]
    assert copy != ranges


def test_removing_from_the_middle_splits():
    ranges = RangeSet([(0, 10)])
    ranges.remove(3, 4)
    assert list(ranges) == [(0, 3), (4, 10)]
    assert repr(ranges) == "RangeSet([(0, 3), (4, 10)])"


def test_nothing_is_added_or_removed_by_an_empty_span():
    ranges = RangeSet([(1, 2)])
    assert ranges.add(5, 5) == 0
    ranges.remove(1, 1)
    assert list(ranges) == [(1, 2)]
