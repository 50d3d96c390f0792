"""Objects over a bare serial line in virtual time: how full it is, what noise costs, what waits for what."""

import random

import pytest

from node.modems.bare import BareLine
from node.modems.framed import LEAD_S, MTU, QUEUE_SIZE_MAX, FramedBearer
from node.modems.script import NoControls
from node.modems.seam import ModemState
from tests.node.modems.cable import CableWorld, Fault

DATA = random.Random(5).randbytes(40_000)


def line(baud=9600, **words) -> CableWorld:
    world = CableWorld(
        lambda ears, is_caller: BareLine(ears, NoControls(), "serial:///dev/ttyS0", baud), baud=baud, **words
    )
    world.open()
    return world


@pytest.mark.parametrize(("baud", "size"), [(2400, 20_000), (9600, 40_000), (115200, 400_000)])
def test_a_file_fills_a_clean_line(baud, size):
    """At 2,400 bit/s frames are short, so that none takes longer than a second."""
    world = line(baud)
    object_id = world.up.add(random.Random(1).randbytes(size))
    seconds = world.run(600, world.all_received)
    assert object_id in world.at_host.done
    assert size * 10 / baud / seconds > (0.85 if baud == 2400 else 0.95)
    assert world.host.tallies[next(iter(world.host.tallies))].received.twice == 0


def test_both_directions_run_at_once():
    world = line()
    world.up.add(DATA)
    world.down.add(DATA[::-1])
    assert world.run(600, world.all_received) < 2 * 40_000 * 10 / 9600 * 0.7


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "fault",
    [Fault(lost=2e-4), Fault(flipped=2e-4), Fault(noise=2e-4), Fault(lost=3e-4, flipped=3e-4, noise=3e-4)],
    ids=["lost", "flipped", "noise", "all"],
)
def test_noise_costs_frames_and_never_the_line(fault, seed):
    world = line(fault=fault, seed=seed)
    object_id = world.up.add(DATA)
    world.down.add(DATA[:5000])
    world.run(600, world.all_received)
    assert world.at_host.done[object_id] == DATA
    assert world.caller.tally.counters.handshakes == 1, "noise cost a handshake"


def test_a_line_that_is_dead_for_a_while_goes_on_without_a_handshake():
    world = line(fault=Fault(down=((5, 30), (33, 120))))
    world.up.add(DATA)
    seconds = world.run(600, world.all_received)
    assert not world.up.objects
    assert seconds < 120 + 45
    assert world.caller.tally.counters.handshakes == 1
    assert world.caller.tally.sent.twice <= 2


def test_who_is_there_first_calls_until_somebody_answers():
    world = CableWorld(lambda ears, is_caller: BareLine(ears, NoControls(), "line", 9600))
    world.modems[0].open(0.0)
    world.up.add(b"x" * 100)
    world.run(60)
    world.modems[1].open(world.now)
    assert world.run(90, world.all_received) < 65


def test_an_urgent_object_passes_a_file_within_two_frames():
    world = line(2400)
    world.up.add(random.Random(2).randbytes(30_000), priority=8)
    world.run(40)
    world.up.add(b"alarm" * 20, priority=1)
    world.caller.nudge(world.now)
    arrived = world.run(100, lambda: any(len(data) == 100 for data in world.at_host.done.values()))
    assert arrived - 40 < 2 * (MTU + 40) * 10 / 2400
    assert world.cable.wait_max <= 0.05 + QUEUE_SIZE_MAX * 10 / 2400


def test_there_is_room_again_just_before_the_line_runs_dry():
    bearer = FramedBearer("line", 100)
    assert bearer.room()
    bearer.send(b"x" * 95)
    assert (bearer.room(), bearer.unsent) == (0, 99)
    assert len(bearer.take(10.0)) == 100  # with the mark that opens a burst
    assert bearer.deadline() == pytest.approx(11.0 - LEAD_S)
    assert not bearer.tick(10.9)
    assert bearer.tick(10.99)
    assert bearer.room()
    bearer.send(b"y" * 96)
    assert len(bearer.take(10.99)) == 100  # none within one
    assert bearer.deadline() == pytest.approx(12.0 - LEAD_S)


def test_a_line_that_is_held_up_by_its_far_end_takes_nothing_more():
    below = [0]
    bearer = FramedBearer("line", 100, lambda: below[0])
    bearer.send(b"x" * 95)
    assert len(bearer.take(0.0)) == 100
    below[0] = 50  # RTS/CTS stopped it half way
    assert not bearer.tick(1.0)
    assert bearer.room() == 0
    assert bearer.deadline() == pytest.approx(1.5 - LEAD_S)
    bearer.send(b"probe")
    assert bearer.take(1.1) == b""
    assert bearer.unsent > 0
    below[0] = 0
    assert len(bearer.take(1.5)) == 10
    assert bearer.tick(1.6)
    assert bearer.room()


def test_what_nobody_takes_is_bounded():
    bearer = FramedBearer("line", 100)
    for _ in range(100):
        bearer.send(b"x" * 1000)
    assert bearer.unsent <= QUEUE_SIZE_MAX
    assert bearer.frames_dropped == 95
    bearer.send(b"z" * (MTU + 1))
    assert bearer.frames_dropped == 96
    bearer.close()
    assert bearer.unsent == 0


def test_a_line_that_is_unplugged_comes_back():
    world = line()
    modem = world.modems[0]
    assert modem.status().state is ModemState.UP
    modem.lost(1.0)
    assert (modem.status().state, modem.output(), modem.deadline()) == (ModemState.OFF, b"", None)
    modem.lost(2.0)
    modem.feed(b"\0\1\2\0", 2.0)
    modem.open(3.0)
    world.now = 3.0
    world.up.add(b"x" * 50)
    world.caller.nudge(3.0)
    world.run(60, world.all_received)
    assert not world.up.objects
