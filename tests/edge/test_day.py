"""When a new day's budget begins, on clocks that lie: a wrong clock neither frees nor locks more than it may."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.day import Calendar, Day, local_date, minute_of_day, parse_quiet, quiet_for, to_midnight_s

DAY_MS, DAY_S = 86_400_000, 86_400.0
START = 1_780_000_000_000 // DAY_MS * DAY_MS
TODAY = local_date(START, UTC)
KYIV = ZoneInfo("Europe/Kyiv")


class Life:
    """One run of the process: its two clocks, and how many budgets it has freed."""

    def __init__(self, day=None, time_ms=START):
        self.calendar, self.time_ms, self.now, self.freed = Calendar(day), time_ms, 0.0, 0
        self.look()

    def look(self):
        self.freed += self.calendar.look(self.time_ms, self.now, UTC)
        return self

    def run(self, hours):
        for _ in range(int(hours * 60)):
            self.now += 60
            self.time_ms += 60_000
            self.look()
        return self

    def jump(self, days):
        self.time_ms += int(days * DAY_MS)
        return self.look()

    def restart(self, days=0.0):
        return Life(self.calendar.day, self.time_ms + int(days * DAY_MS))


def test_the_first_day_begins_at_once_and_the_next_at_midnight():
    life = Life(time_ms=START + DAY_MS // 2)
    assert life.freed == 1
    assert life.run(11.9).freed == 1
    assert life.run(0.2).freed == 2
    assert life.run(24 * 3).freed == 5


def test_a_restart_on_the_same_day_frees_nothing_and_on_the_next_one_all():
    life = Life(time_ms=START)
    assert life.restart(0.3).freed == 0
    assert life.restart(0.3).restart(1).freed == 1


def test_a_kit_that_starts_in_the_past_and_is_put_right_a_minute_later_frees_nothing_however_often():
    life = Life()
    for _ in range(10):
        wrong = Life(life.calendar.day, time_ms=0)
        assert wrong.run(0.02).freed == 0
        wrong.time_ms = life.time_ms + 60_000
        assert wrong.look().freed == 0
        life = wrong
    assert life.restart(1.0).freed == 1


def test_a_clock_that_was_once_in_2038_locks_the_budget_until_the_next_midnight_only():
    life = Life()
    life.jump(4000)
    assert life.freed == 2
    life.jump(-4000)
    assert life.freed == 2
    assert life.run(25).freed == 3
    assert life.calendar.day == Day(TODAY + 1, TODAY + 1)


def test_it_is_not_locked_either_when_the_kit_is_off_at_midnight():
    life = Life().jump(4000).jump(-4000)
    assert life.restart(0.9).restart(0.2).freed == 1


def test_a_clock_that_swings_to_and_fro_frees_one_budget_for_each_start():
    life = Life()
    for days in range(1, 50):
        life.jump(days * 10)
        life.jump(-days * 10)
    assert life.freed == 2


@given(st.lists(st.tuples(st.sampled_from(["run", "jump", "restart"]), st.floats(-400, 400)), max_size=30))
def test_freed_are_at_most_one_for_each_start_and_one_for_each_smooth_midnight(steps):
    life, freed, starts, midnights = Life(), 0, 1, 0
    for what, amount in steps:
        if what == "run":
            before = local_date(life.time_ms, UTC)
            life.run(abs(amount) % 30)
            midnights += local_date(life.time_ms, UTC) - before
        elif what == "jump":
            life.jump(amount)
        else:
            freed, starts = freed + life.freed, starts + 1
            life = life.restart(amount)
    assert freed + life.freed <= 1 + starts + midnights


@given(st.integers(-(10**18), 10**18))
def test_a_clock_beyond_the_calendar_is_no_error(time_ms):
    assert local_date(time_ms, KYIV) > 0
    assert 0 < to_midnight_s(time_ms, KYIV) <= 90_000
    assert 0 <= minute_of_day(time_ms, KYIV) < 1440


def test_midnight_is_the_local_one_also_when_the_clocks_change():
    before_change = 1_774_735_200_000  # 2026-03-29 00:00 in Kyiv, a day of 23 hours
    assert local_date(before_change, KYIV) == local_date(before_change - 1, KYIV) + 1
    assert to_midnight_s(before_change, KYIV) == 23 * 3600


@pytest.mark.parametrize(
    ("spans", "minute", "left"),
    [
        ("22:00-06:00", 23 * 60, 7 * 60),
        ("22:00-06:00", 5 * 60 + 59, 1),
        ("22:00-06:00", 6 * 60, 0),
        ("13:00-14:00", 13 * 60 + 30, 30),
        ("13:00-14:00 14:00-15:00", 13 * 60 + 30, 90),
        ("00:00-24:00", 77, 1440),
        ("", 77, 0),
    ],
)
def test_quiet_hours(spans, minute, left):
    assert quiet_for(tuple(map(parse_quiet, spans.split())), minute) == left


@pytest.mark.parametrize(
    "text", ["22-6", "22:00", "25:00-01:00", "24:01-01:00", "10:60-11:00", "10:00-10:00", "a:b-c:d"]
)
def test_what_is_no_span_of_hours_is_said(text):
    with pytest.raises(ValueError, match=":"):
        parse_quiet(text)


@given(st.lists(st.tuples(st.integers(0, 1439), st.integers(0, 1439)).filter(lambda s: s[0] != s[1]), max_size=4))
def test_quiet_for_agrees_with_looking_at_each_minute(spans):
    def is_quiet(minute):
        return any((minute - begin) % 1440 < (end - begin) % 1440 for begin, end in spans)

    for start in range(0, 1440, 61):
        left = 0
        while left < 1440 and is_quiet((start + left) % 1440):
            left += 1
        assert quiet_for(tuple(spans), start) == left
