"""What goes over a way is charged before it goes, and never more than was reserved."""

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.budget import Budget
from edge.metered import ANSWER_SIZE_MAX, MeteredMailbox, Purse, metered
from edge.tariff import MESSAGE_BYTES, NOTHING, Amount, Tariff
from edge.terms import Terms
from edge.way import RoadStatus, Way
from node.modems.sbd import SbdBearer
from node.seams import Mailbox
from tests.edge.test_budget import Clock
from tests.sim.disk import SimDisk

SBD = Tariff(micros_per_message=120_000)
LIMIT = Amount(1 << 40, 5_000_000, 1 << 40)


class Below:
    """A bearer that remembers."""

    name, mtu, overhead, is_stream, is_message = "below", 340, 0, False, True

    def __init__(self):
        self.sent, self.fetched, self.closed = [], 0, False

    def room(self):
        return 340

    def send(self, frame):
        self.sent.append(frame)

    def close(self):
        self.closed = True


class BelowWithMailbox(Below):
    def fetch(self):
        self.fetched += 1


def make(tariff=SBD, limit=LIMIT, below=None):
    budget = Budget(SimDisk(), Clock(), UTC, {"sbd": limit})
    purse = Purse("sbd", tariff, budget)
    return metered(below or Below(), purse), budget


@pytest.mark.parametrize(("size", "messages"), [(1, 1), (MESSAGE_BYTES, 1), (MESSAGE_BYTES + 1, 2), (340, 7), (0, 0)])
def test_each_started_fifty_bytes_are_a_message(size, messages):
    assert SBD.frame(size) == Amount(size, messages * 120_000)


def test_part_of_a_unit_is_a_whole_one():
    assert Tariff(micros_per_mb=1).frame(1).micros == 1
    assert Tariff(power_mw=1500).open_for(0.0001).millijoules == 1
    assert Tariff(power_mw=1500).open_for(2).millijoules == 3000


def test_nothing_goes_that_was_not_reserved():
    bearer, budget = make()
    bearer.send(b"x" * 50)
    assert bearer.inner.sent == []
    assert bearer.room() == 0
    assert bearer.purse.want_more
    budget.reserve("sbd", SBD.frame(340) + SBD.frame(ANSWER_SIZE_MAX))
    assert bearer.room() == 340
    bearer.send(b"x" * 340)
    assert len(bearer.inner.sent) == 1
    assert budget.spent("sbd") == SBD.frame(340)
    bearer.purse.count(340)
    assert budget.available("sbd").micros == 0, "the answer was kept back for"


def test_room_is_what_still_fits_with_its_answer():
    bearer, budget = make()
    budget.reserve("sbd", Amount(10_000, 9 * 120_000))
    assert bearer.room() == 2 * MESSAGE_BYTES, "an answer of 340 bytes is seven messages"
    bearer.send(b"x" * (2 * MESSAGE_BYTES + 1))
    bearer.send(b"x" * 2 * MESSAGE_BYTES)
    assert [len(frame) for frame in bearer.inner.sent] == [2 * MESSAGE_BYTES]
    assert bearer.purse.traffic.frames_held == 1


def test_a_look_into_the_mailbox_is_paid_for():
    bearer, budget = make(below=BelowWithMailbox())
    assert isinstance(bearer, MeteredMailbox)
    assert isinstance(bearer, Mailbox)
    bearer.fetch()
    assert bearer.inner.fetched == 0
    budget.reserve("sbd", Amount(400, 8 * 120_000))
    bearer.fetch()
    assert (bearer.inner.fetched, budget.spent("sbd").micros) == (1, 120_000)
    assert not isinstance(make()[0], Mailbox)


def test_it_is_the_bearer_below_in_everything_else():
    bearer, _ = make()
    assert (bearer.mtu, bearer.overhead, bearer.is_stream, bearer.is_message) == (340, 0, False, True)
    assert bearer.name == "sbd (below)"
    bearer.close()
    assert bearer.inner.closed


tariffs = st.builds(Tariff, *[st.sampled_from([0, 1, 40_000, 2_000_000])] * 4, st.sampled_from([0, 1500]))
moves = st.lists(st.tuples(st.sampled_from(["send", "receive", "tick", "wait"]), st.integers(1, 340)), max_size=80)


class NoRoad:
    """A road that gives nothing by itself."""

    def open(self):
        pass

    def close(self):
        pass

    def status(self):
        return RoadStatus()


@settings(deadline=None)
@given(tariffs, moves, st.builds(Amount, st.integers(0, 5000), st.integers(0, 3_000_000), st.integers(0, 200_000)))
def test_no_sequence_of_frames_and_answers_exceeds_a_budget(tariff, moves, limit):
    """An answer comes only to what was sent; time passes between ticks of a second."""
    clock = Clock()
    budget = Budget(SimDisk(), clock, UTC, {"sbd": limit})
    way = Way(Terms("sbd", tariff=tariff, limit=limit), Purse("sbd", tariff, budget), NoRoad(), 0.0)
    below, owed = Below(), 0
    if way.open(clock.s):
        way.up(below, clock.s)
    for what, size in moves:
        if what == "send" and way.bearer is not None:
            before = len(below.sent)
            way.bearer.send(b"x" * size)
            owed = size if len(below.sent) > before else owed
        elif what == "receive" and owed:
            way.purse.count(min(size, owed))
            owed = 0
        elif what in {"tick", "wait"} and way.is_open:
            clock.s += 0.2 if what == "tick" else 1.0
            way.accrue(clock.s)
            if not way.top_up(clock.s):
                way.close(clock.s)
        assert budget.spent("sbd").fits(limit), "exceeded"
    if not way.is_open:
        assert budget.available("sbd").most(NOTHING) == NOTHING or way.starts == 0


# Sessions of messages that the bearer begins by itself

CENTS = 10_000


def with_cents(cents):
    budget = Budget(SimDisk(), Clock(), UTC, {"sbd": Amount(1 << 20, cents * CENTS)})
    budget.reserve("sbd", Amount(1 << 20, cents * CENTS))
    return Purse("sbd", Tariff(micros_per_message=4 * CENTS), budget)


def test_a_session_that_repeats_a_message_is_charged_and_what_may_come_is_kept_back():
    purse, bearer = with_cents(80), SbdBearer("sbd", lambda: None)
    assert isinstance(metered(bearer, purse), MeteredMailbox)
    assert bearer.pays(340, 270)
    assert purse.budget.spent("sbd").micros == 28 * CENTS
    assert bearer.pays(340, 270)
    assert not bearer.pays(340, 270), "24 cents are left, and 28 and 24 are wanted"
    assert purse.want_more
    assert bearer.pays(0, 0)
    assert purse.budget.spent("sbd").micros == 60 * CENTS, "a look into an empty mailbox costs one message"


def test_a_small_message_may_bring_a_large_one_back():
    assert not with_cents(31).pay(10), "a session brings up to 340 bytes, which nobody can refuse"
    assert with_cents(32).pay(10)
