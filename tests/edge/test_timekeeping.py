"""How well the kit knows the time: by satellites, the network, a battery or not at all, and carried on between."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from edge import device_time, machine_clock
from edge.driver import ClockRead, Commit, Located, Sampled, StudyBegins, StudyEnds
from edge.timekeeping import READING_S_MAX, MachineClock, Timekeeping, stepped, with_reading
from feldsher import kit
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk
from wire import kinds
from wire.record import ClockMark
from wire.waveform import Waveform


def local(*parts):
    """A time without its zone, as most devices say it."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)
BOOT = bytes(range(8))


class HandClock:
    """Both clocks are set by hand."""

    def __init__(self, time_ms=NOON_MS, now=100.0):
        self.at, self.wall_ms = now, time_ms

    def now(self):
        return self.at

    def time_ms(self):
        return self.wall_ms

    def pass_time(self, seconds):
        self.at += seconds
        self.wall_ms += round(seconds * 1000)


def made(clock, machine=None, zone=UTC):
    return Timekeeping(clock, (lambda: machine) if machine is not None else MachineClock, zone)


def test_who_tells_nothing_is_believed_nothing():
    mark = made(HandClock()).mark()
    assert (mark.source, mark.kit_ms, mark.uptime_ms, mark.error_ms) == ("none", NOON_MS, 100_000, 0)


def test_a_battery_is_worth_something_unless_its_clock_stands_in_the_past():
    machine = MachineClock(has_rtc=True, boot=BOOT)
    assert made(HandClock(), machine).mark().source == "rtc"
    assert made(HandClock(946_684_800_000), machine).mark().source == "none"


def test_satellites_tell_how_far_the_clock_is_off():
    clock = HandClock(NOON_MS + 7_000)
    keeping = made(clock)
    keeping.satellites_said(NOON, 100.0)
    mark = keeping.mark()
    assert (mark.source, mark.offset_ms, mark.error_ms, mark.age_ms) == ("gps", 7_000, 1_000, 0)


def test_between_two_looks_the_monotonic_clock_goes_on_and_grows_worse():
    clock = HandClock(NOON_MS + 7_000)
    keeping = made(clock)
    keeping.satellites_said(NOON, 100.0)
    clock.pass_time(3_600.0)
    mark = keeping.mark()
    assert (mark.source, mark.offset_ms, mark.error_ms, mark.age_ms) == ("gps", 7_000, 1_360, 3_600_000)


def test_a_clock_that_is_set_keeps_what_was_known():
    """A kit that starts in 1970, hears the satellites, and is set right or wrong afterwards."""
    clock = HandClock(5_000)
    keeping = made(clock)
    keeping.satellites_said(NOON, 100.0)
    assert keeping.mark().offset_ms == 5_000 - NOON_MS
    clock.wall_ms = NOON_MS + 40
    assert keeping.mark().offset_ms == 40


def test_the_better_of_two_counts():
    clock, machine = HandClock(), MachineClock(synchronised=True, error_ms=30)
    keeping = made(clock, machine)
    assert (keeping.mark().source, keeping.mark().error_ms) == ("network", 30)
    clock.pass_time(1.0)
    keeping.satellites_said(NOON + timedelta(seconds=2), 101.0)
    assert keeping.mark().source == "network"
    clock = HandClock()
    keeping = made(clock, replace(machine, error_ms=15_000))
    keeping.mark()
    keeping.satellites_said(NOON, 100.0)
    assert keeping.mark().source == "gps"


def test_a_network_that_is_gone_is_remembered():
    clock, states = HandClock(), [MachineClock(synchronised=True, error_ms=30), MachineClock()]
    keeping = Timekeeping(clock, lambda: states[0])
    keeping.mark()
    del states[0]
    clock.pass_time(1_000.0)
    mark = keeping.mark()
    assert (mark.source, mark.error_ms, mark.age_ms) == ("network", 130, 1_000_000)


@pytest.mark.parametrize(
    ("said", "zone", "offset_ms"),
    [
        (local(2026, 11, 22, 12, 0, 5), UTC, 5_000),
        (local(2026, 11, 22, 14, 0, 0), ZoneInfo("Europe/Kyiv"), 0),
        (datetime(2026, 11, 22, 14, 0, tzinfo=timezone(timedelta(hours=3))), ZoneInfo("Europe/Kyiv"), -3_600_000),
        (local(1970, 1, 1), UTC, -NOON_MS),
    ],
)
def test_a_device_says_its_time_in_the_zone_of_the_kit_or_its_own(said, zone, offset_ms):
    clock = HandClock()
    reading = made(clock, zone=zone).reading("as received", said, 99.0)
    assert reading.offset_ms == offset_ms + 1_000
    assert made(clock, zone=zone).mark().zone_min == (120 if zone is not UTC else 0)


@pytest.mark.parametrize(
    ("said", "step_ms"), [(local(2026, 11, 22, 12, 5), 60_000), (local(2026, 11, 22, 12, 5, 1), 0)]
)
def test_a_clock_without_seconds_is_known_to_the_minute(said, step_ms):
    """The page said that it was 42 s behind, which nobody knew."""
    keeping = made(HandClock(NOON_MS + 342_000))
    mark = with_reading(keeping.mark(), keeping.reading("12:05", said, 100.0))
    assert mark.device_step_ms == step_ms
    assert ClockMark.from_tag(mark.to_tag()) == mark


def test_a_clock_gone_mad_is_marked_and_breaks_nothing():
    for time_ms in (-5, 0, 1 << 47, 1 << 48):
        mark = made(HandClock(time_ms, now=-1.0), zone=ZoneInfo("Europe/Kyiv")).mark()
        assert mark.kit_ms == min(max(0, time_ms), (1 << 48) - 1)


@pytest.mark.parametrize("year", [1, 9999])
def test_any_reading_of_any_device_can_be_written(year):
    for time_ms in (-1 << 60, 0, NOON_MS, (1 << 48) - 1, 1 << 60):
        keeping = made(HandClock(time_ms))
        mark = with_reading(keeping.mark(), keeping.reading(" " * 100_000, local(year, 1, 1), 100.0))
        mark = stepped(mark, time_ms)
        assert ClockMark.from_tag(mark.to_tag()) == mark


# In a study


class Says:
    """A driver that says what it is told."""

    def __init__(self, *calls):
        self.calls = list(calls)

    def feed(self, data, now):
        return self.calls.pop(0)

    def tick(self, now):
        return []

    def committed(self, token, now):
        return []

    refused = committed

    def lost(self, now):
        return []

    def deadline(self):
        return None


def van_of(*calls, machine=None):
    van, clock = Van(SimDisk()), HandClock(now=0.0)
    van.hand = clock
    van.capture._timekeeping = made(clock, machine)
    van.capture._ports["lab"].driver = Says(*calls)
    return van


BEGINS, ENTRY, ENDS = StudyBegins("document"), Commit(b"raw"), StudyEnds()


def marks_of(van):
    (study,) = studies_in(van.stores)
    return study.all(ClockMark)


def read_at(van, seconds, at=0.0):
    """The device's clock shows so many seconds more than the kit's."""
    shown = datetime.fromtimestamp(van.hand.time_ms() / 1000 + seconds, UTC).replace(tzinfo=None)
    return ClockRead(f"{seconds} s", shown, at)


def test_each_study_says_how_good_the_clock_was():
    van = van_of([BEGINS, ENTRY, ENDS], machine=MachineClock(synchronised=True, error_ms=9, boot=BOOT))
    van.hand.pass_time(5.0)
    van.hear("lab", b"x", 5.0)
    (mark,) = marks_of(van)
    assert (mark.source, mark.error_ms, mark.boot, mark.uptime_ms, mark.device_time) == ("network", 9, BOOT, 5_000, "")


def test_the_satellites_on_another_port_count():
    van = van_of([BEGINS, ENTRY, ENDS])
    utc = datetime.fromtimestamp(van.hand.time_ms() / 1000, UTC)
    van.capture._ports["gps"] = replace(
        van.capture._ports["lab"], name="gps", driver=Says([Located("1", "2", 0.0, utc)])
    )
    van.hear("gps", b"x")
    van.hear("lab", b"x")
    (mark,) = marks_of(van)
    assert (mark.source, mark.offset_ms) == ("gps", 0)


@pytest.mark.parametrize("order", ["before", "within"])
def test_what_the_device_said_of_its_clock_stands_in_the_head(order):
    van = van_of()
    read = read_at(van, -90)
    van.capture._ports["lab"].driver = Says(
        [read, BEGINS, ENTRY, ENDS] if order == "before" else [BEGINS, read, ENTRY, ENDS]
    )
    van.hear("lab", b"x")
    (mark,) = marks_of(van)
    assert (mark.device_time, mark.device_offset_ms) == ("-90 s", -90_000)


def test_a_reading_of_hours_ago_says_nothing_of_this_study():
    van = van_of()
    van.capture._ports["lab"].driver = Says([read_at(van, 5)], [BEGINS, ENTRY, ENDS])
    van.hear("lab", b"x")
    van.hear("lab", b"x", READING_S_MAX + 1)
    assert [mark.device_time for mark in marks_of(van)] == [""]


def test_a_later_reading_is_told_when_it_says_something_new():
    van = van_of()
    calls = [[BEGINS, ENTRY], [read_at(van, 5)], [ENTRY], [read_at(van, 5.9), ENTRY], [read_at(van, 61), ENTRY, ENDS]]
    van.capture._ports["lab"].driver = Says(*calls)
    for _ in calls:
        van.hear("lab", b"x")
    assert [mark.device_offset_ms for mark in marks_of(van)] == [0, 5_000, 61_000]


def test_readings_to_the_minute_that_differ_by_less_say_nothing_new():
    van = van_of()
    read = [ClockRead("12:00", NOON.replace(tzinfo=None), 0.0)]
    van.capture._ports["lab"].driver = Says([*read, BEGINS, ENTRY], *[[*read, ENTRY]] * 8, [ENDS])
    for at in range(10):
        van.hear("lab", b"x")
        van.hand.wall_ms += 7_000 if at < 8 else 0
    assert len([mark for mark in marks_of(van) if mark.device_time]) == 1


def test_a_reading_that_no_entry_took_stands_at_the_end():
    van = van_of()
    van.capture._ports["lab"].driver = Says([BEGINS, ENTRY], [read_at(van, 5), ENDS])
    van.hear("lab", b"x")
    van.hear("lab", b"x")
    assert [mark.device_time for mark in marks_of(van)] == ["", "5 s"]


def test_a_clock_that_is_set_while_a_study_is_open_is_told_in_it():
    van = van_of([BEGINS, ENTRY], [ENDS])
    van.hear("lab", b"x")
    van.hand.wall_ms += 50_000
    van.hear("lab", b"x")
    assert [mark.stepped_ms for mark in marks_of(van)] == [0, 50_000]


@pytest.mark.parametrize("machine", [MachineClock(synchronised=True, error_ms=9, boot=BOOT), MachineClock()])
def test_what_was_heard_while_the_card_stalled_says_nothing_false_of_a_clock_that_is_right(machine):
    """What waited for an fsync of ten seconds had a clock ten seconds ahead, and one that was set meanwhile."""
    van = van_of(machine=machine)
    utc = datetime.fromtimestamp(van.hand.time_ms() / 1000, UTC)
    gps = Located("1", "2", 0.0, utc)
    calls = [[gps], [BEGINS, ENTRY], [read_at(van, 0), ENTRY, ENDS]]
    van.capture._ports["lab"].driver = Says(*calls)
    van.hear("lab", b"x", 0.0)
    van.hear("lab", b"x", 0.0)
    van.hand.pass_time(10.0)  # the card
    van.hear("lab", b"x", 0.0)
    marks = marks_of(van)
    assert [(mark.offset_ms, mark.device_offset_ms, mark.stepped_ms) for mark in marks] == [(0, 0, 0)] * 2
    assert marks[-1].uptime_ms == 10_000


def test_a_waveform_that_waited_for_the_card_is_dated_by_when_it_came():
    wave = Waveform(("x",), 10.0, "mV", 1.0, 0.0, 0, ((1, 2, 3),))
    van = van_of([BEGINS, Commit(b"raw", waveforms=(Sampled(0.0, wave),)), ENDS])
    van.capture._clock = van.hand
    van.hand.pass_time(10.0)  # the card
    van.hear("lab", b"x", 0.0)
    (study,) = studies_in(van.stores)
    (found,) = [Waveform.from_tag(tag) for tag in study.tags if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM)]
    assert found.start_ms == NOON_MS


# What devices write


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("20261122120501", local(2026, 11, 22, 12, 5, 1)),
        ("202611221205", local(2026, 11, 22, 12, 5)),
        ("20261122120501.25", local(2026, 11, 22, 12, 5, 1)),
        ("20261122120501+0200", datetime(2026, 11, 22, 12, 5, 1, tzinfo=timezone(timedelta(hours=2)))),
        ("20261122120501-0430", datetime(2026, 11, 22, 12, 5, 1, tzinfo=timezone(-timedelta(hours=4, minutes=30)))),
        *((text, None) for text in ("", "20261122", "2026112212", "20261322120501", "20261122250000", "261122120501")),
        *((text, None) for text in ("20261122120501+9999", "00000000000000", "20261122120501Z", "٢٠٢٦١١٢٢١٢٠٥")),
    ],
)
def test_stamps_of_astm_and_hl7(text, said):
    assert device_time.from_stamp(text) == said
    assert said is None or (device_time.from_stamp(text).tzinfo is None) == (said.tzinfo is None)


def test_iso_and_forms():
    assert device_time.from_iso("2026-11-22T12:05:01+02:00").utcoffset() == timedelta(hours=2)
    assert device_time.from_iso("2026-11-22") is None
    assert device_time.from_iso("2026-22-11T00:00") is None
    assert device_time.from_form("2611221205", "%y%m%d%H%M") == local(2026, 11, 22, 12, 5)
    assert device_time.from_form("2613221205", "%y%m%d%H%M") is None


# The machine


def test_the_machine_is_asked_and_changes_nothing(monkeypatch, tmp_path):
    found = machine_clock.machine_clock()
    assert found.error_ms >= 0
    assert len(found.boot) in {0, 8}
    machine_clock._has_rtc.cache_clear()
    monkeypatch.setattr(machine_clock, "RTC", tmp_path)
    assert not machine_clock._has_rtc()
    machine_clock._has_rtc.cache_clear()
    (tmp_path / "rtc0").mkdir()
    (tmp_path / "rtc0" / "hctosys").write_text("1\n")
    assert machine_clock._has_rtc()
    machine_clock._has_rtc.cache_clear()


@pytest.mark.parametrize(
    ("state", "status", "maxerror_us", "wanted"),
    [(0, 0, 20_500, (True, 21)), (5, 0x40, 16_000_000, (False, 0)), (-1, 0, 0, (False, 0))],
)
def test_what_the_kernel_says_of_its_clock(monkeypatch, state, status, maxerror_us, wanted):
    class Libc:
        def adjtimex(self, at):
            at._obj.status, at._obj.maxerror = status, maxerror_us
            assert at._obj.modes == 0
            return state

    monkeypatch.setattr(machine_clock, "_libc", Libc)
    assert machine_clock._disciplined() == wanted


# What a technician sees


@pytest.mark.parametrize(
    ("machine", "fix", "says"),
    [
        (MachineClock(), None, "nobody tells the kit the time"),
        (MachineClock(has_rtc=True), None, "from its battery; nobody tells the kit the time"),
        (MachineClock(synchronised=True, error_ms=40), None, "+0.0 s from the network, within 0.0 s"),
        (MachineClock(), NOON + timedelta(seconds=90), "-90.0 s from GPS, within 1.0 s"),
    ],
)
def test_the_status_says_who_tells_the_time(machine, fix, says):
    keeping = made(HandClock(), machine)
    if fix is not None:
        keeping.satellites_said(fix, 100.0)
    assert kit._clock(keeping.status()) == says
