"""When a day's budget ends and the next begins, on a machine whose clock may be wrong by years and jump either way.

A kit without a battery for its clock starts in the past and is put right a minute later, every morning; a clock can be
put wrong by hand and right again. Nothing here decides which time is right. It bounds the harm:

* A midnight that passes while the clock runs smoothly begins a new day, whatever the date says.
* A jump, or the start of the process, begins a new day when the date is later than the one seen last and is not the
  day that is being counted: at most once in the life of a process. A kit that starts each time in the past and jumps
  to today therefore goes on with today's budget, however often it starts.
* A date that goes back begins nothing.

So a wrong clock frees at most one budget for each start of the kit, and locks one until the next midnight or the next
start on a later date, never until the year that it once showed. Pure; `edge/budget.py` keeps the `Day` on the card.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

SMOOTH_MS_MAX: Final = 60_000
"""A clock that moved by more than this, beside what really passed, has jumped."""


@dataclass(frozen=True, slots=True)
class Day:
    """`counted`: the date whose budget is being spent; `seen`: the date that the clock showed last (ordinals)."""

    counted: int
    seen: int


def local_date(time_ms: int, zone: tzinfo) -> int:
    """Return the ordinal of the local date. A clock beyond the calendar shows its first or last day."""
    return _local(time_ms, zone).toordinal()


def minute_of_day(time_ms: int, zone: tzinfo) -> int:
    """Return how many minutes of the local day have passed."""
    local = _local(time_ms, zone)
    return local.hour * 60 + local.minute


def to_midnight_s(time_ms: int, zone: tzinfo) -> float:
    """Return the seconds until the next local date begins."""
    now = _local(time_ms, zone)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max((midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds(), 1.0)


def _local(time_ms: int, zone: tzinfo) -> datetime:
    least, most = -62_000_000_000_000, 253_000_000_000_000  # within the years 5 to 9987, two days from either end
    seconds, rest_ms = divmod(min(max(time_ms, least), most), 1000)
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, milliseconds=rest_ms)).astimezone(zone)


class Calendar:
    """Follows the clock of one process. `day` None: nothing was counted yet."""

    def __init__(self, day: Day | None) -> None:
        self.day = day
        self._looked: tuple[int, float] | None = None
        self._may_jump = True

    def look(self, time_ms: int, now: float, zone: tzinfo) -> bool:
        """Take in the time; tell whether a new day begins."""
        today = local_date(time_ms, zone)
        is_smooth = self._is_smooth(time_ms, now)
        self._looked = (time_ms, now)
        if self.day is None:
            self.day = Day(today, today)
            return True
        day, self.day = self.day, replace(self.day, seen=today)
        if today <= day.seen or (today == day.counted and not is_smooth):
            return False
        if not is_smooth and not self._may_jump:
            return False
        self._may_jump = self._may_jump and is_smooth
        self.day = Day(today, today)
        return True

    def _is_smooth(self, time_ms: int, now: float) -> bool:
        if self._looked is None:
            return False
        before_ms, before = self._looked
        return abs(time_ms - before_ms - (now - before) * 1000) <= SMOOTH_MS_MAX


def parse_quiet(text: str) -> tuple[int, int]:
    """Return the minutes of the day in "22:00-06:30". Raises ValueError."""
    begin, dash, end = text.partition("-")
    if not dash:
        raise ValueError(f"{text!r}: want HH:MM-HH:MM")
    span = _minutes(begin), _minutes(end)
    if span[0] == span[1]:
        raise ValueError(f"{text!r}: begins when it ends; leave `quiet` out, or the way")
    return span


def _minutes(text: str) -> int:
    hours, colon, minutes = text.strip().partition(":")
    good = colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2
    if not good or int(hours) > 24 or int(minutes) > 59 or int(hours) * 60 + int(minutes) > 1440:
        raise ValueError(f"{text!r}: want HH:MM")
    return int(hours) * 60 + int(minutes)


def quiet_left_s(spans: tuple[tuple[int, int], ...], time_ms: int, zone: tzinfo) -> float:
    """Return for how many seconds it is still quiet; 0 when it is not."""
    local = _local(time_ms, zone)
    minutes = quiet_for(spans, local.hour * 60 + local.minute)
    return minutes * 60.0 - local.second - local.microsecond / 1e6 if minutes else 0.0


def quiet_for(spans: tuple[tuple[int, int], ...], minute: int) -> int:
    """Return for how many minutes from `minute` of the day on it is quiet; 0 when it is not."""
    left = 0
    for _ in range(len(spans) + 1):  # one span may begin where another ends
        at = (minute + left) % 1440
        more = max((_left_of(begin, end, at) for begin, end in spans), default=0)
        if not more or left >= 1440:
            break
        left += more
    return min(left, 1440)


def _left_of(begin: int, end: int, minute: int) -> int:
    length = (end - begin) % 1440 or 1440
    passed = (minute - begin) % 1440
    return max(length - passed, 0)
