"""What a link says of its rate and of the time left: never a guess, never nothing while bytes move."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.progress import ETA_S_MAX, METER_S, METER_S_MAX, METER_STEPS_MAX, Meter, eta_s


def metered(steps):
    meter = Meter()
    for at, size in steps:
        meter.note(size, at)
    return meter


@pytest.mark.parametrize(
    ("rate_bytes_s", "every_s"),
    [(300, 4.0), (300, 9.0), (5000, 3.0), (5000, 11.0), (7, 60.0), (125_000, 0.05)],
    ids=["2.4 kbit/s", "2.4 kbit/s, rare ACKs", "40 kbit/s, bursts", "40 kbit/s, long bursts", "messages", "1 Mbit/s"],
)
def test_bytes_that_move_are_never_shown_as_a_rate_of_nothing(rate_bytes_s, every_s):
    meter = Meter()
    meter.note(0, 0.0)  # the WELCOME
    for number in range(1, 400):
        at = number * every_s
        meter.note(round(rate_bytes_s * every_s), at)
        for asked in (at + every_s / 9, at + every_s * 0.99):
            if asked > 1:
                assert 0.45 * rate_bytes_s <= meter.rate(asked) <= 1.1 * rate_bytes_s, (number, asked)


def test_the_first_bytes_already_tell_a_rate():
    assert metered([(0.0, 0), (4.0, 1200)]).rate(4.0) == 300
    assert metered([(4.0, 1200)]).rate(4.0) == 0.0  # since when they were under way nobody knows


def test_a_burst_after_an_outage_is_no_rate():
    """100 KB that were on the way are acknowledged within a millisecond."""
    meter = metered([*((float(second), 1000) for second in range(10)), (40.0, 50_000), (40.001, 50_000)])
    assert meter.rate(40.002) < 5000


def test_two_steps_at_one_time_divide_by_nothing_small():
    assert metered([(1.0, 0), (1.0, 99_999)]).rate(1.0) == 0.0
    assert metered([(1.0, 99_999), (1.0, 99_999)]).rate(1.1) == 0.0


def test_a_link_that_stopped_has_no_rate_and_its_past_does_not_count_when_it_goes_on():
    meter = metered([(float(second), 1000) for second in range(30)])
    assert meter.rate(29.0 + METER_S) > 0
    assert meter.rate(29.0 + METER_S + 4) == 0.0
    meter.note(100, 7200.0)
    assert meter.rate(7200.0) == 0.0
    meter.note(100, 7201.0)
    assert meter.rate(7201.0) == pytest.approx(100)


def test_messages_too_far_apart_are_no_rate():
    meter = metered([(0.0, 300), (METER_S_MAX + 1, 300)])
    assert meter.rate(METER_S_MAX + 2) == 0.0


@given(st.lists(st.tuples(st.floats(0, 600), st.integers(0, 1 << 30)), max_size=200), st.floats(0, 1000))
def test_any_course_of_a_link_gives_a_rate_that_the_bytes_can_bear_and_a_time_that_can_be_shown(gaps, wait_s):
    meter, now, total = Meter(), 0.0, 0
    for gap, size in gaps:
        now += gap
        total += size
        meter.note(size, now)
        assert len(meter._steps) <= METER_STEPS_MAX
    rate = meter.rate(now + wait_s)
    assert 0 <= rate <= total / 0.2
    for left in (0, 1, 100_000, 1 << 40):
        seconds = eta_s(left, rate)
        assert seconds is None or (seconds >= 1 if left else seconds == 0)
        assert seconds is None or seconds <= ETA_S_MAX


@pytest.mark.parametrize(
    ("left", "rate", "seconds"),
    [
        (0, 0.0, 0.0),
        (100_000, 0.0, None),
        (100_000, 1e-300, None),
        (100_000, 1e12, 1.0),
        (3000, 300, 10.0),
        (round(ETA_S_MAX), 1.0, ETA_S_MAX),
        (round(ETA_S_MAX) + 1, 1.0, None),
        (5, math.inf, 1.0),
    ],
)
def test_the_time_left(left, rate, seconds):
    assert eta_s(left, rate) == seconds
