"""A line on which only one may speak at a time: nobody speaks into the other's turn, and a lost turn is no deadlock."""

import itertools
import random

import pytest

from node.modems.script import NoControls
from node.modems.turns import OVER, POLL_S, TURN_S, TURNS, WAIT_S, Event, Turn, TurnLine
from tests.node.modems.cable import Cable, CableWorld, Fault
from wire.framing import Deframer, enclose


class Air(Cable):
    """One frequency: two who speak at once are heard by nobody."""

    def __init__(self, *words) -> None:
        super().__init__(*words)
        self.collisions = 0
        self.turns = []

    def send(self, way, data, now):
        if OVER in Deframer().feed(b"\0" + data):
            self.turns.append((now, way))
        if self.busy_until[1 - way] > now:
            self.collisions += 1
            data = self.random.randbytes(len(data))
        super().send(way, data, now)


def radio(baud=9600, delay=0.05, fault=None, seed=1) -> CableWorld:
    def make(ears, is_caller):
        return TurnLine(ears, NoControls(), "radio", baud, leads=is_caller)

    world = CableWorld(make, baud=baud, delay=delay, fault=fault, seed=seed)
    world.cable = Air(baud, delay, fault or Fault(), seed)
    world.open()
    return world


@pytest.mark.parametrize(
    ("baud", "delay", "utilisation"), [(9600, 0.05, 0.8), (2400, 0.1, 0.75), (1200, 0.3, 0.65), (9600, 1.0, 0.45)]
)
def test_a_file_crosses_and_nobody_speaks_into_the_others_turn(baud, delay, utilisation):
    world = radio(baud, delay)
    object_id = world.up.add(random.Random(1).randbytes(20_000))
    seconds = world.run(900, world.all_received)
    assert object_id in world.at_host.done
    assert world.cable.collisions == 0
    assert 20_000 * 10 / baud / seconds > utilisation
    assert world.caller.tally.counters.handshakes == 1
    assert world.caller.tally.sent.twice == 0


def test_both_have_something_to_send():
    world = radio()
    world.up.add(random.Random(1).randbytes(10_000))
    world.down.add(random.Random(2).randbytes(10_000))
    world.run(120, world.all_received)
    assert world.all_received()
    assert world.cable.collisions == 0


@pytest.mark.parametrize("seed", range(6))
def test_turns_that_are_lost_in_noise_are_no_deadlock(seed):
    world = radio(fault=Fault(lost=1e-3, flipped=1e-3), seed=seed)
    world.up.add(random.Random(1).randbytes(8_000))
    world.down.add(random.Random(2).randbytes(3_000))
    world.run(900, world.all_received)
    assert world.all_received()
    assert world.caller.tally.counters.handshakes == 1


def test_a_radio_that_hears_nothing_for_a_while_goes_on():
    world = radio(fault=Fault(down=((4, 20),)))
    world.up.add(random.Random(1).randbytes(20_000))
    assert world.run(300, world.all_received) < 20 + WAIT_S + 30
    assert world.caller.tally.counters.handshakes == 1


def test_with_nothing_to_say_the_frequency_is_nearly_free():
    world = radio()
    world.run(30)
    before = sum(world.cable.bytes)
    world.run(630)
    assert sum(world.cable.bytes) - before < 10 * 60 / POLL_S * 40


def test_no_turn_is_longer_than_it_may_be():
    world = radio(1200)
    world.up.add(random.Random(1).randbytes(8_000))
    world.run(300, world.all_received)
    gaps = [after[0] - before[0] for before, after in itertools.pairwise(world.cable.turns)]
    assert max(gaps) < TURN_S + 1.5 * 500 * 10 / 1200


def test_what_the_other_end_wants_to_say_is_heard_within_a_poll():
    world = radio()
    world.run(30)
    world.down.add(b"command" * 10)
    world.host.nudge(None, world.now)
    assert world.run(60, world.all_received) < 30 + POLL_S + 2


def alone(leads: bool, wake=lambda: None) -> TurnLine:
    class Deaf:
        def bearer_up(self, bearer, now): ...
        def bearer_down(self, bearer, now): ...
        def receive(self, bearer, frame, now): ...
        def tick(self, now): ...

    line = TurnLine(Deaf(), NoControls(), "radio", 9600, wake, leads=leads)
    line.open(0.0)
    return line


def test_a_follower_says_nothing_unasked():
    line = alone(leads=False)
    line._bearer.send(b"x" * 30)
    assert line._bearer.room() == 0
    for second in range(60):
        line.tick(float(second))
        assert line.output() == b""
    assert line.deadline() is None
    line.feed(b"\0" + enclose(OVER), 60.0)
    assert Deframer().feed(line.output()) == [b"x" * 30]


def test_a_greeting_that_is_said_again_while_it_waits_stands_once():
    line = alone(leads=False)
    for _ in range(5):
        line._bearer.send(b"hello" * 20)
    line.feed(enclose(OVER), 1.0)
    assert Deframer().feed(line.output()) == [b"hello" * 20]


def test_what_a_resting_leader_has_to_say_does_not_wait_for_the_next_round():
    wakes = []
    line = alone(leads=True, wake=lambda: wakes.append(1))
    assert not wakes
    line._bearer.send(b"x" * 30)
    assert wakes, "nothing else asks for its output before the turn ends"
    assert Deframer().feed(line.output()) == [b"x" * 30]


@pytest.mark.parametrize(("turn", "event"), list(itertools.product(Turn, Event)))
def test_each_cell_of_the_table(turn, event):
    line = alone(leads=True)
    line.turn = turn
    if (turn, event) in TURNS:
        line._change(event, 1.0)
        assert line.turn is TURNS[turn, event]
        assert line._bearer.is_open == (line.turn is Turn.MINE) or line.turn is turn
    else:
        with pytest.raises(KeyError):
            line._change(event, 1.0)
