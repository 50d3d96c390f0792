"""Budgets: never exceeded, never forgotten by a power cut, and exact when the kit ends in order."""

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.budget import FILE, NAME_SIZE_MAX, SLOT_SIZE, WAYS_MAX, Budget, parse_slot
from edge.tariff import NOTHING, UNBOUNDED, Amount
from tests.sim.disk import Crash, SimDisk
from wire.errors import DiskError, Misuse

START_MS = 1_780_000_000_000
LIMIT, TOTAL = Amount(1000, 500, 200), Amount(1500, 800, 300)
SMALL = Amount(10, 5, 2)


class Clock:
    def __init__(self):
        self.s = 0.0

    def now(self):
        return self.s

    def time_ms(self):
        return START_MS + int(self.s * 1000)


def make(disk, clock=None, limits=None, total=TOTAL):
    return Budget(disk, clock or Clock(), UTC, limits or {"gsm": LIMIT, "sbd": LIMIT}, total)


def test_what_is_reserved_may_be_spent_and_no_more():
    budget = make(SimDisk())
    assert not budget.charge("gsm", SMALL)
    assert budget.reserve("gsm", Amount(25, 25, 25))
    assert budget.charge("gsm", SMALL)
    assert budget.charge("gsm", SMALL)
    assert not budget.charge("gsm", SMALL)
    assert budget.spent("gsm") == Amount(20, 10, 4)
    assert budget.available("gsm") == Amount(5, 15, 21)


def test_the_last_that_does_not_fit_is_not_spent():
    budget = make(SimDisk())
    assert budget.reserve("gsm", LIMIT)
    assert budget.charge("gsm", Amount(995, 0, 0))
    assert not budget.reserve("gsm", Amount(6, 0, 0))
    assert budget.reserve("gsm", Amount(5, 0, 0))
    assert budget.left("gsm") == Amount(5, 500, 200)


def test_all_ways_together_have_a_limit_and_what_one_has_reserved_is_not_left_to_another():
    budget = make(SimDisk())
    assert budget.reserve("gsm", Amount(900, 0, 0))
    assert not budget.reserve("sbd", Amount(601, 0, 0))
    assert budget.reserve("sbd", Amount(600, 0, 0))
    budget.settle("gsm")
    assert budget.left("sbd") == Amount(1000, 500, 200)
    assert budget.total_spent() == NOTHING


def test_after_a_power_cut_what_was_reserved_counts_as_spent():
    disk, clock = SimDisk(), Clock()
    budget = make(disk, clock)
    budget.reserve("gsm", Amount(100, 0, 0))
    budget.charge("gsm", Amount(1, 0, 0))
    assert make(disk.crash(), clock).spent("gsm") == Amount(100, 0, 0)


def test_after_an_orderly_end_it_is_exact():
    disk, clock = SimDisk(), Clock()
    budget = make(disk, clock)
    budget.reserve("gsm", Amount(100, 0, 0))
    budget.charge("gsm", Amount(1, 0, 0))
    budget.settle()
    assert make(disk.crash(), clock).spent("gsm") == Amount(1, 0, 0)


def test_what_arrived_is_counted_although_nobody_asked():
    budget = make(SimDisk())
    budget.note("gsm", Amount(2000, 0, 0))
    assert budget.left("gsm").size < 0
    assert not budget.reserve("gsm", Amount(1, 0, 0))
    assert budget.is_behind("gsm")
    budget.catch_up()
    assert not budget.is_behind("gsm")
    assert budget.reserve("gsm", Amount(0, 1, 0)), "what costs no bytes still fits"


def test_at_midnight_all_is_free_again():
    clock = Clock()
    budget = make(SimDisk(), clock)
    budget.reserve("gsm", LIMIT)
    budget.charge("gsm", LIMIT)
    clock.s = budget.renews_in_s() - 1
    assert not budget.look()
    clock.s += 1
    assert budget.look()
    assert budget.left("gsm") == LIMIT
    assert not budget.charge("gsm", SMALL), "what was reserved yesterday is gone"


def test_a_way_that_is_no_longer_configured_still_counts_today():
    disk, clock = SimDisk(), Clock()
    make(disk, clock).reserve("gsm", Amount(900, 0, 0))
    budget = make(disk.crash(), clock, {"lte": LIMIT})
    assert budget.left("lte") == Amount(600, 500, 200)


def test_names_that_come_and_go_do_not_fill_the_slot():
    disk, clock = SimDisk(), Clock()
    for number in range(3 * WAYS_MAX):
        budget = make(disk, clock, {f"{number:x>{NAME_SIZE_MAX}}": UNBOUNDED}, UNBOUNDED)
        assert budget.reserve(f"{number:x>{NAME_SIZE_MAX}}", Amount(*[1 << 50] * 3))
    assert len(parse_slot(disk.read(FILE, SLOT_SIZE * (budget._write % 2), SLOT_SIZE)).spent) <= WAYS_MAX
    with pytest.raises(Misuse, match="at most 8"):
        make(SimDisk(), limits={str(n): LIMIT for n in range(9)})


def test_no_fsync_for_a_frame():
    disk = SimDisk()
    budget = make(disk)
    budget.reserve("gsm", LIMIT)
    before = disk.calls
    for _ in range(50):
        budget.charge("gsm", SMALL)
        budget.look()
    assert disk.calls == before


def test_a_full_card_is_said_and_stops_nothing():
    disk = SimDisk(capacity=100)
    budget = make(disk)
    assert not budget.is_noted
    assert budget.reserve("gsm", SMALL)
    disk.capacity = 1 << 20
    assert budget.reserve("gsm", LIMIT)
    assert budget.is_noted


def test_a_second_start_on_the_same_day_raises_no_alarm_over_room():
    disk = SimDisk()
    make(disk).reserve("gsm", SMALL)
    assert make(disk).is_noted


def test_a_card_that_is_full_later_has_room_for_the_sums():
    disk = SimDisk()
    budget = make(disk)
    disk.capacity = 2 * SLOT_SIZE
    assert budget.reserve("gsm", LIMIT)
    assert budget.is_noted


@pytest.mark.parametrize("spoil", [b"\0" * 64, b"x" * SLOT_SIZE])
def test_a_damaged_slot_costs_only_itself_and_two_are_said(spoil):
    disk, clock = SimDisk(), Clock()
    budget = make(disk, clock)
    for size in (10, 20, 30):
        budget.reserve("gsm", Amount(size, 0, 0))
    disk.write_at(FILE, budget._write % 2 * SLOT_SIZE, spoil)
    again = make(disk, clock)
    assert again.spent("gsm") == Amount(20, 0, 0)
    assert not again.damaged
    disk.write_at(FILE, 0, b"x" * 2 * SLOT_SIZE)
    assert make(disk, clock).damaged


@pytest.mark.parametrize(
    "content",
    [b"{}", b"[]", b'{"write":0,"counted":1,"seen":1,"spent":{}}', b'{"write":1,"counted":-4,"seen":1,"spent":{}}',
     b'{"write":1,"counted":1,"seen":1,"spent":{"a":[-1,0,0]}}', b"\xff"],
)  # fmt: skip
def test_a_slot_that_was_made_by_somebody_else_is_none(content):
    import zlib

    head = b"FBG1" + len(content).to_bytes(4, "big") + zlib.crc32(content).to_bytes(4, "big")
    assert parse_slot((head + content).ljust(SLOT_SIZE, b"\0")) is None


# The N-loop


def spend(disk, clock, truth):
    """Spend for a day and more; `truth` holds what was really spent on the day, whatever the card knows."""
    budget = make(disk, clock)
    for step in range(12):
        clock.s += 1
        if step == 7:
            clock.s += 5 * 3600
            truth.clear()  # midnight has passed
        assert budget.look() == (step == 7)
        for way in ("gsm", "sbd"):
            if budget.reserve(way, Amount(40, 20, 8)):
                while budget.charge(way, SMALL):
                    truth[way] = truth.get(way, NOTHING) + SMALL
    budget.settle()


def calls_of_spending():
    disk = SimDisk()
    spend(disk, Clock(), {})
    return disk.calls


@pytest.mark.parametrize("fault", ["crash", "EIO"])
@pytest.mark.parametrize("seed", range(3))
def test_a_power_cut_or_a_failed_card_at_every_call_never_makes_the_budget_larger(fault, seed):
    for at in range(1, calls_of_spending() + 1):
        disk, clock, truth = SimDisk(seed * 1000 + at), Clock(), {}
        disk.fail(fault, at)
        with pytest.raises((Crash, DiskError)):
            spend(disk, clock, truth)
        disk.fail_at = None
        again = make(disk.crash() if fault == "crash" else disk, clock)
        assert not again.damaged
        for way, spent in truth.items():
            assert spent.fits(again.spent(way)), f"call {at}: {way} spent {spent}, after it {again.spent(way)}"
            assert again.spent(way).fits(spent + Amount(40, 20, 8)), "at most one step more"
        at_last = make(disk.crash() if fault == "EIO" else again._disk.crash(), clock)
        assert all(spent.fits(at_last.spent(way)) for way, spent in truth.items())


amounts = st.builds(Amount, st.integers(0, 400), st.integers(0, 200), st.integers(0, 90))
steps = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "charge", "settle", "restart", "crash"]), st.sampled_from(["gsm", "sbd"]), amounts
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps, st.integers(0, 1000))
def test_a_budget_is_never_exceeded_whatever_is_asked(steps, seed):
    disk, clock = SimDisk(seed), Clock()
    budget, truth = make(disk, clock), {"gsm": NOTHING, "sbd": NOTHING}
    for what, way, amount in steps:
        if what == "reserve":
            budget.reserve(way, amount)
        elif what == "charge":
            truth[way] += amount if budget.charge(way, amount) else NOTHING
        elif what == "settle":
            budget.settle()
        else:
            if what == "restart":
                budget.settle()
            disk = disk.crash()
            budget = make(disk, clock)
        assert all(spent.fits(LIMIT) for spent in truth.values())
        assert (truth["gsm"] + truth["sbd"]).fits(TOTAL)
        assert all(spent.fits(budget.spent(name)) for name, spent in truth.items())
