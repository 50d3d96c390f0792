"""Vans with ways of every kind in the simulated world: some seeds in every run; and every checker can fail."""

from datetime import date
from unittest import mock

import pytest

from edge import imports as taking
from edge.config import Cost, DayBudget, Energy, Way
from edge.metered import Purse
from edge.way import Way as KitWay
from hardware.simulated.modems.iridium9602 import MO_SIZE_MAX
from node import carrying
from node.modems.pin import PinGuard
from node.modems.scripted import ScriptedModem
from node.stick import FOLDER
from tests.sim import fleet, scenario
from tests.sim import journey as journeys
from tests.sim.checks import Checks
from tests.sim.crew import Crew
from tests.sim.fleet import CELL, LINK, SBD, STICK
from tests.sim.journey import Journey
from tests.sim.ledgers import Ledger
from tests.sim.world import Alarm, SimClock, World
from wire.errors import DiskError

SEEDS = 6


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, 3))
def test_nothing_is_lost_doubled_shown_or_overspent_on_any_way(first):
    for seed in range(first, first + 3):
        Journey(seed).run()


def fitted(*kinds):
    """Let every van have just these ways."""
    return mock.patch.object(fleet, "FITTINGS", (kinds,))


def every_way(**terms):
    """Let every way have these terms."""
    return mock.patch.object(fleet, "draw_way", lambda rng, kind, name: Way(name, **{"url": "", **terms}))


@pytest.mark.slow
def test_a_journey_replays_exactly_and_every_way_has_its_part():
    with fitted(LINK, CELL, SBD, STICK):
        journey = Journey(5)
        outcome = journey.run()
        assert Journey(5).run() == outcome
    assert min(outcome.modem_boots, outcome.sessions, outcome.trips) > 0
    checks = journey.checks
    assert min(checks.frames, checks.line_bytes, checks.carried_bytes) > 0, "the checkers have seen all of it"


# Checkers that never fail prove nothing: each defect below is planted, and must be found.


def found(*defects, seeds=8):
    """Return what the checkers say of the first seed that meets the planted defects."""
    one_van = mock.patch.object(scenario, "KITS", (1,))
    for seed in range(seeds):
        for defect in (*defects, one_van):
            defect.start()
        try:
            Journey(seed).run()
        except AssertionError as error:
            return str(error)
        finally:
            mock.patch.stopall()
    return ""


@pytest.mark.slow
def test_a_kit_that_pays_nothing_is_found():
    generous = mock.patch.object(Purse, "pay", return_value=True)
    rich = mock.patch.object(KitWay, "top_up", return_value=True)
    roomy = mock.patch.object(Purse, "room", return_value=1 << 20)
    scarce = every_way(cost=Cost(per_mb=8.0), budget=DayBudget(money=0.04))
    assert "money" in found(generous, rich, roomy, scarce, fitted(LINK), seeds=3)


@pytest.mark.slow
def test_a_modem_that_is_never_switched_off_is_found_by_what_it_takes():
    """The way believes that it is closed, and its road goes on."""
    restless = mock.patch.object(KitWay, "can_start", return_value=True)
    tireless = mock.patch.object(KitWay, "accrue")
    thirsty = every_way(energy=Energy(watts=5.0), budget=DayBudget(joules=400.0), keep=True)
    assert "joules" in found(restless, tireless, thirsty, fitted(LINK), seeds=3)


@pytest.mark.slow
def test_a_pin_that_is_tried_again_and_again_is_found():
    stubborn = mock.patch.object(PinGuard, "permit", return_value="4321")
    wrong = mock.patch.object(fleet, "PINS_SET", ("4321",))
    asked = mock.patch.object(fleet, "PIN_SHARE", 1.0)
    mended = mock.patch.object(fleet.VanNode, "_mend")
    assert "wrong PINs" in found(stubborn, wrong, asked, mended, fitted(LINK, CELL))


@pytest.mark.slow
def test_a_kit_that_loses_an_import_is_found():
    def careless(disk, spool, _folder):
        for one in taking.ready(disk):
            disk.remove(f"{taking.FOLDER}/spool/{one.name}")
        return iter(())

    brought = mock.patch.object(journeys, "IMPORTS", (1,))
    assert "imported study" in found(mock.patch.object(taking, "take_up", careless), brought, fitted(LINK), seeds=2)


@pytest.mark.slow
def test_parcels_under_one_key_are_found():
    real = carrying.seal

    def lazy(identity, peer, psk, secret, parcel_id, blocks, slip):
        return real(identity, peer, psk, bytes(32), parcel_id, blocks, slip)

    assert "used twice under one key" in found(mock.patch.object(carrying, "seal", lazy), fitted(STICK))


@pytest.mark.slow
def test_a_gateway_that_answers_a_stick_without_reading_it_is_found():
    from gateway.depot import FromKits
    from node.seams import Custody

    liar = mock.patch.object(FromKits, "offered", return_value=Custody())
    hour = mock.patch.object(Journey, "peace_s", 3600.0)
    assert "not drained" in found(liar, hour, fitted(STICK), seeds=3)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["delivered-but=18@*", "lost-final=SBDIX@50%"])
def test_messages_that_are_billed_again_and_again_stay_in_the_budget(fault):
    """The network bills what it has taken, though the modem says that the session failed; so the kit pays it again."""
    priced = every_way(url=fleet.URLS[SBD], cost=Cost(per_message=0.04), budget=DayBudget(money=1.5))
    broken = mock.patch.object(fleet, "draw_faults", lambda rng, known, share: [fault] * (known is fleet.SBD_FAULTS))
    calm = mock.patch.object(Journey, "_turn_a_knob")
    brief = mock.patch.object(Journey, "is_drained", return_value=True)  # nothing but messages: bulk stays
    blind = mock.patch.object(Checks, "at_the_end")
    alone = mock.patch.object(journeys, "IMPORTS", (0,))
    long = mock.patch.object(Journey, "trouble_s", 3600.0)
    assert found(alone, priced, broken, calm, brief, blind, long, fitted(SBD), seeds=1) == ""


@pytest.mark.slow
def test_a_driver_that_never_hangs_up_is_no_harm():
    """The shell waits for a bounded time, and takes the line away."""
    deaf = mock.patch.object(ScriptedModem, "hang_up")
    assert found(deaf, fitted(LINK, CELL), seeds=1) == ""


# The parts of the harness


class Bill:
    def __init__(self, **budget):
        self.world = World(1)
        self.clock = SimClock(self.world)
        cost, energy = Cost(per_mb=1.0, per_message=0.5), Energy(watts=2.0, joules_per_start=10.0)
        way = Way("gsm", "", cost=cost, energy=energy, budget=DayBudget(**budget))
        self.ledger = Ledger(self.world, self.clock, way)

    @property
    def faults(self):
        return list(self.ledger.faults())


def test_a_ledger_counts_bytes_money_and_joules_of_each_day():
    bill = Bill(bytes=1000, money=1.0, joules=50.0)
    bill.ledger.sent(1000)
    bill.ledger.received(5000)
    bill.ledger.billed(1)
    bill.ledger.opened()
    bill.world.run(20.0)
    assert bill.faults == [], "10 J to start and 40 J of 20 s: all that it may have"
    bill.world.run(21.0)
    assert bill.faults == ["gsm: 52 joules on 2026-05-28, more than 50"]
    bill.ledger.sent(1)
    bill.ledger.billed(2)
    assert len(bill.faults) == 3
    bill.clock.offset_ms = 86_400_000
    assert len(bill.faults) == 3
    bill.ledger.sent(7)
    assert bill.ledger.days[date(2026, 5, 29)].sent == 7
    bill.ledger.is_bounded = False
    assert bill.faults == []


@pytest.mark.parametrize("show", ["saw_line", "saw_frame", "saw_carried"])
def test_what_lies_open_is_found_wherever_it_is(show):
    journey = Journey(3)
    label = journey.labels[0].encode()
    more = ("x.parcel",) if show == "saw_carried" else ()
    with pytest.raises(AssertionError, match="lies open"):
        getattr(journey.checks, show)(*more, b"..." + label + b"...")


def test_a_message_that_is_too_long_for_its_bearer_is_found():
    journey = Journey(3)
    journey.checks.saw_frame_of(bytes(MO_SIZE_MAX), MO_SIZE_MAX, "DirectIP")
    with pytest.raises(AssertionError, match="341 bytes on a bearer of 340"):
        journey.checks.saw_frame_of(bytes(MO_SIZE_MAX + 1), MO_SIZE_MAX, "DirectIP")


def test_an_alarm_rings_when_it_is_due_and_never_faster_than_its_step():
    world, rung, due = World(1), [], [1.0]
    alarm = Alarm(world, lambda: due[0], lambda: rung.append(world.now), 0.25)
    alarm.look()
    due[0] = 0.5
    alarm.look()
    world.run(1.3)
    assert rung == [0.5, 0.75, 1.0, 1.25], "it stays due, and is held to its step"
    due[0] = None
    world.run(9.0)
    assert rung[5:] == []


def test_a_stick_that_is_pulled_in_haste_is_gone_for_who_was_writing_it():
    journey = Journey(4)
    crew: Crew = journey.crew
    slot = crew.ground.slot
    slot.put_in(crew.stick)
    plugged = slot.plugged
    assert plugged.exists(FOLDER)
    crew._leave(slot, lambda: False, is_hasty=True, is_ground=False)
    with pytest.raises(DiskError):
        plugged.exists(FOLDER)
    assert crew.stick.exists(FOLDER)
    assert crew.pulled == 1
