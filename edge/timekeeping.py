"""How well the kit knows the time, and how far the clocks of its devices are from its own.

Nothing here sets a clock and no time is corrected: each study gets marks (`wire.record.ClockMark`) by which its reader
can judge the times in it. The best of what is known counts, as it is now; between two looks it is carried on by the
monotonic clock, which nobody sets, and gets worse by DRIFT_PPM:

* gps: a receiver on one of the ports said what time it was (`edge.driver.Located`);
* network: the system's clock is being kept right, by NTP or whatever disciplines it, as the kernel says;
* rtc: nobody tells the time, and the system has a clock with a battery; how wrong that is, is not known;
* none: neither, or a clock that stands before this program was written.

Pure but for the clock and the machine that it is given. Both senses of the clock are read in one moment: the `now` of
capture is when a device was heard, and lies behind by as long as the card has stalled. Nothing survives a crash: the
boot and the time since then stand in every mark, so that what was written before the time was known can be dated by
what was written after.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from node.clock import Clock
from wire.record import CLOCKS_KNOWN, DRIFT_PPM, INTEGER_MAX, WRITTEN_MS, ClockMark

SERIAL_ERROR_MS: Final = 1_000
"""A receiver says its second some tenths of a second late, and takes its time to say it."""
READING_S_MAX: Final = 3_600.0
"""What a device said of its clock goes with the studies of the next hour."""
READING_SIZE_MAX: Final = 64
MINUTE_MS: Final = 60_000
SAME_MS: Final = 1_000
"""A reading that differs less from the one before says nothing new."""
STEP_MS: Final = 1_000
"""A clock that moved by more than this beside what really passed was set. NTP slews by half a second in 15 minutes."""


@dataclass(frozen=True, slots=True)
class MachineClock:
    """What the machine says of its clock. `boot`: 8 bytes that are others after the next start; b"": not known."""

    synchronised: bool = False
    error_ms: int = 0
    """With `synchronised`: at most so wrong."""
    has_rtc: bool = False
    boot: bytes = b""


def nothing_known() -> MachineClock:
    """Return what a machine says that knows nothing."""
    return MachineClock()


@dataclass(frozen=True, slots=True)
class _Known:
    """The true time, as milliseconds at monotonic 0."""

    source: str
    base_ms: float
    at: float
    error_ms: float

    def error_at(self, now: float) -> float:
        return self.error_ms + max(0.0, now - self.at) * DRIFT_PPM / 1000


@dataclass(frozen=True, slots=True)
class Reading:
    """What a device's clock said at `at`, and how far that was from the kit's."""

    text: str
    offset_ms: int
    at: float
    step_ms: int = 0
    """It may have been later by less than this: no seconds were shown."""


class Timekeeping:
    """See the module's text. `zone`: that of the kit's place, for devices that name none."""

    def __init__(self, clock: Clock, machine: Callable[[], MachineClock] = nothing_known, zone: tzinfo = UTC) -> None:
        self._clock, self._machine, self._zone = clock, machine, zone
        self._known: _Known | None = None

    def satellites_said(self, utc: datetime, at: float) -> None:
        """A receiver said `utc` at `at`."""
        self._take(_Known("gps", utc.timestamp() * 1000 - at * 1000, at, SERIAL_ERROR_MS), at)

    def mark(self) -> ClockMark:
        """Return what is known now."""
        machine, now, kit_ms = self._machine(), self._clock.now(), self._clock.time_ms()
        if machine.synchronised:
            self._take(_Known("network", kit_ms - now * 1000, now, machine.error_ms), now)
        source = "rtc" if machine.has_rtc and kit_ms >= WRITTEN_MS else "none"
        uptime_ms = max(0, round(now * 1000))
        mark = ClockMark(source, max(0, _bounded(kit_ms)), uptime_ms, machine.boot, zone_min=self._zone_min(kit_ms))
        known = self._known
        if known is None:
            return mark
        return replace(
            mark,
            source=known.source,
            offset_ms=_bounded(round(kit_ms - now * 1000 - known.base_ms)),
            error_ms=round(known.error_at(now)),
            age_ms=round(max(0.0, now - known.at) * 1000),
        )

    def status(self) -> dict[str, Any]:
        """Return what `kit status` says of the clock; offset and error only when the true time is known."""
        mark = self.mark()
        is_known = mark.source in CLOCKS_KNOWN
        said = {"offset_ms": mark.offset_ms, "error_ms": mark.error_ms, "age_ms": mark.age_ms} if is_known else {}
        return {"source": mark.source, **said}

    def reading(self, text: str, read: datetime, at: float) -> Reading:
        """Return how far a device's clock, which said `read` at `at`, was from the kit's: ahead is positive."""
        kit_ms = self.less_monotonic_ms() + round(at * 1000)
        aware = read if read.tzinfo is not None else read.replace(tzinfo=self._zone)
        offset_ms = _bounded((aware - _moment(0)) // timedelta(milliseconds=1) - kit_ms)
        return Reading(text[:READING_SIZE_MAX], offset_ms, at, 0 if read.second or read.microsecond else MINUTE_MS)

    def less_monotonic_ms(self) -> int:
        """Return the kit's clock less its monotonic one: it changes when the clock is set."""
        return self._clock.time_ms() - round(self._clock.now() * 1000)

    def _take(self, known: _Known, now: float) -> None:
        if self._known is None or known.error_ms <= self._known.error_at(now):
            self._known = known

    def _zone_min(self, kit_ms: int) -> int:
        offset = _moment(kit_ms).astimezone(self._zone).utcoffset()
        return 0 if offset is None else round(offset.total_seconds() / 60)


def with_reading(mark: ClockMark, reading: Reading) -> ClockMark:
    """Return the mark with what a device's clock said."""
    return replace(mark, device_time=reading.text, device_offset_ms=reading.offset_ms, device_step_ms=reading.step_ms)


def stepped(mark: ClockMark, by_ms: int) -> ClockMark:
    """Return the mark of a study while which the clock was set forward by so much."""
    return replace(mark, stepped_ms=_bounded(by_ms))


def _bounded(ms: int) -> int:
    return min(max(ms, -INTEGER_MAX), INTEGER_MAX)


def _moment(time_ms: int) -> datetime:
    # A card that was written by a clock gone mad may hold any number: the calendar ends in 9999.
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=min(max(time_ms, 0), 253_000_000_000_000))
