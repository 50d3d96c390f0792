"""Iridium out of a purse: what the network bills is never more than what the kit counted, nor than its budget."""

from datetime import UTC
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.budget import Budget
from edge.metered import Purse, metered
from edge.tariff import Amount, Tariff
from tests.edge.test_budget import Clock
from tests.gateway.orbit import KitEars, Orbit
from tests.gateway.test_orbit import ALONE, GROUND, HOUR_S, payload
from tests.sim.disk import SimDisk

CREDIT = 40_000
PLENTY = 2000


class PaidEars(KitEars):
    """Puts the purse around the bearer, as `edge.ways.Ways` does."""

    def bearer_up(self, bearer, now):
        self.around = metered(bearer, self._orbit.purse)
        super().bearer_up(self.around, now)

    def bearer_down(self, bearer, now):
        assert bearer is self.around.inner
        super().bearer_down(self.around, now)

    def receive(self, bearer, frame, now):
        self._orbit.purse.count(len(frame))
        super().receive(self.around, frame, now)


class PaidOrbit(Orbit):
    """A kit that may spend so many credits, all of them reserved."""

    def __init__(self, *faults, allowed=PLENTY, **more):
        limit = Amount(1 << 40, allowed * CREDIT)
        self.budget = Budget(SimDisk(), Clock(), UTC, {"sbd": limit})
        assert self.budget.reserve("sbd", limit)
        self.purse = Purse("sbd", Tariff(micros_per_message=CREDIT), self.budget)
        self.limit = allowed
        super().__init__(*faults, **more)

    def _make_driver(self, ears, hands):
        driver = super()._make_driver(ears, hands)
        self.ears = driver._ears = PaidEars(self)
        return driver

    @property
    def spent(self):
        return self.budget.spent("sbd").micros // CREDIT

    def check(self):
        billed, shown = self.sim.meter.credits, self.driver.status().credits
        assert billed <= self.spent <= self.limit, f"billed {billed}, counted {self.spent}, allowed {self.limit}"
        assert billed <= shown, f"billed {billed}, shown {shown}"
        assert self.ears.wrong == []


@pytest.mark.parametrize("allowed", [20, 45])
@pytest.mark.parametrize("knob", ["delivered-but=18@*", "lost-final=SBDIX@*", "mt-checksum@*", "mo-status=13@*"])
def test_a_message_that_is_billed_each_time_ends_with_the_budget(knob, allowed):
    orbit = PaidOrbit(knob, allowed=allowed)
    orbit.summary(payload(600))
    orbit.open()
    orbit.run(8 * HOUR_S)
    orbit.check()


def test_a_roof_over_a_message_that_may_have_gone_costs_no_more():
    """The session that may have delivered is paid, and the next one; those that reach nobody are not."""
    orbit = PaidOrbit("delivered-but=18@1")
    orbit.open()
    orbit.until_up(60)
    orbit.ears.bearer.send(bytes(340))
    assert orbit.run(HOUR_S, lambda: orbit.sim.meter.failed_sessions == 1)
    orbit.sim.set_signal(0, orbit.now)
    orbit.run(12 * HOUR_S)
    assert orbit.sim.meter.failed_sessions > 10
    assert (orbit.sim.meter.credits, orbit.spent, orbit.driver.status().credits) == (7, 14, 7)
    orbit.sim.set_signal(4, orbit.now)
    assert orbit.run(HOUR_S, lambda: orbit.ears.bearer.room() > 0)
    assert (orbit.sim.meter.credits, orbit.spent, orbit.driver.status().credits) == (14, 14, 14)


def test_a_look_into_the_mailbox_is_paid_as_often_as_it_is_billed():
    orbit = PaidOrbit("delivered-but=18@*")
    orbit.open()
    orbit.until_up(60)
    orbit.ears.bearer.fetch()
    orbit.run(6 * HOUR_S)
    assert orbit.sim.meter.credits > 10
    orbit.check()


def test_a_purse_that_is_empty_is_asked_now_and_then_and_holds_up_nothing_that_is_paid():
    orbit = PaidOrbit("delivered-but=18@1").open()
    orbit.until_up(60)
    bearer, asked = orbit.ears.bearer.inner, []
    bearer.pays = lambda up, down: bool(asked.append((orbit.now, up, down)))
    bearer.send(bytes(60))
    orbit.run(HOUR_S)
    times = [at for at, _, _ in asked]
    assert 300 < len(times) <= 361
    assert min(b - a for a, b in pairwise(times)) >= 9.9
    assert asked[0][1:] == (60, 270)
    assert orbit.sim.meter.sessions == 1
    assert "budget" in orbit.driver.status().trouble
    bearer.pays = lambda up, down: True
    assert orbit.run(60, lambda: bearer.frame is None)


def test_rings_for_nothing_are_paid_for():
    orbit = PaidOrbit("urc-between@*")
    orbit.summary(payload(150))
    orbit.open()
    orbit.run(6 * HOUR_S)
    assert orbit.is_done
    orbit.check()


@pytest.mark.parametrize("seed", range(3))
def test_a_ring_that_comes_while_the_modem_is_made_ready_is_paid_for(seed):
    orbit = PaidOrbit("urc-inside=1@50%", seed=seed)
    orbit.open()
    assert orbit.run(HOUR_S, lambda: orbit.sim.meter.credits > 0)
    orbit.check()


@pytest.mark.slow
@pytest.mark.parametrize("knob", [knob for knob in ALONE if "RB" in knob or "IX" in knob or knob.startswith("m")])
def test_one_fault_of_the_modem_and_the_budget_agrees_with_the_bill(knob):
    orbit = PaidOrbit(knob)
    orbit.summary(payload(400))
    orbit.open()
    orbit.run(6 * HOUR_S, lambda: orbit.is_done)
    orbit.check()


faults = st.lists(st.sampled_from(ALONE), max_size=3, unique_by=lambda knob: knob.partition("=")[0].partition("@")[0])


@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(faults, st.lists(st.sampled_from(GROUND), max_size=1), st.integers(10, 80), st.integers(0, 1 << 16))
def test_whatever_fails_the_bill_is_within_the_budget(faults, ground, allowed, seed):
    orbit = PaidOrbit(*faults, ground=ground, seed=seed, allowed=allowed, rings=bool(seed % 2))
    orbit.summary(payload(700, seed))
    orbit.open()
    for step in range(4):
        orbit.sim.set_signal(4 * (step % 3 > 0), orbit.now)
        orbit.run(HOUR_S)
        orbit.check()
