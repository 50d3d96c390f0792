"""The ladder of recovery: which rung comes next, and how long it waits."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.modems.ladder import RUNGS, WAIT_S_MAX, WAIT_S_MIN, Failing, Ladder, Rung


def ladder(seed=1):
    return Ladder(random.Random(seed).randbytes)


@pytest.mark.parametrize("failing", Failing)
def test_each_fault_climbs_one_rung_and_the_last_stays(failing):
    one = ladder()
    rungs = [one.fault(failing)[0] for _ in range(12)]
    known = RUNGS[failing]
    assert rungs[: len(known)] == list(known)
    assert set(rungs[len(known) :]) <= {known[-1]}


def test_a_deaf_modem_is_never_told_to_switch_its_radio():
    assert Rung.RADIO not in RUNGS[Failing.MODEM]
    assert RUNGS[Failing.MODEM][-1] is Rung.POWER


def test_a_gateway_that_is_down_never_costs_the_modem_its_power():
    assert Rung.POWER not in RUNGS[Failing.FAR] + RUNGS[Failing.PERSON]


def test_waits_double_up_to_a_bound_and_begin_anew_after_success():
    one = ladder()
    waits = [one.fault(Failing.NETWORK)[1] for _ in range(30)]
    for number, wait_s in enumerate(waits):
        middle = min(WAIT_S_MIN * 2**number, WAIT_S_MAX)
        assert 0.74 * middle <= wait_s <= 1.26 * middle
    assert len(set(waits[-10:])) > 1, "a car park of vans would call in step"
    one.success()
    assert one.failures == 0
    rung, wait_s = one.fault(Failing.NETWORK)
    assert rung is RUNGS[Failing.NETWORK][0]
    assert wait_s <= 1.26 * WAIT_S_MIN


@given(st.lists(st.one_of(st.sampled_from(Failing), st.none()), max_size=300), st.integers())
def test_no_history_leaves_its_bounds(history, seed):
    one = ladder(seed)
    for failing in history:
        if failing is None:
            one.success()
            continue
        rung, wait_s = one.fault(failing)
        assert rung in RUNGS[failing]
        assert 0 < wait_s <= 1.26 * WAIT_S_MAX
