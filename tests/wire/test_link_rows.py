"""The table of links in virtual time, over several seeds: what must not get worse, and how long a command waits."""

import random
import statistics

import pytest

from tests.wire.air import Profile, World
from tests.wire.rows import COPIED_LOSS, CSD, G3, GPRS, IRIDIUM, KEPT, ROWS, WORST, Row, run_row
from wire.session import FrameKind

SEEDS = range(1, 6)
WORST_SEEDS = (38, 60, 32, 52, 55, 31, 44, 57, 67, 104, 108, 113)
"""Seeds that crawled once, at 10 or 20 % loss."""


SLOW = {"flaky-g3-5M", "cut-gprs-1M", "flaky-gprs-1M"}


def slow(cell, is_slow: bool):
    return pytest.param(cell, marks=pytest.mark.slow) if is_slow else cell


@pytest.mark.parametrize("row", [slow(row, row.name in SLOW) for row in ROWS], ids=lambda row: row.name)
def test_a_row_of_the_table_keeps_its_bound(row: Row):
    seeds = SEEDS if sum(row.sizes) < 1 << 21 else SEEDS[:2]
    runs = [run_row(row, seed) for seed in seeds]
    if row.seconds_max:
        assert statistics.median(run.seconds for run in runs) <= KEPT.get(row.name, row.seconds_max)
    if row.utilisation_min:
        assert statistics.median(run.utilisation for run in runs) >= KEPT.get(row.name, row.utilisation_min)
    if row.overhead_max:
        assert statistics.median(run.overhead for run in runs) <= row.overhead_max
    tail = 0 if row.line.get("loss", 0.0) < COPIED_LOSS else 12
    assert max(run.twice for run in runs) <= tail, "segments that had arrived went again"
    assert max(run.handshakes for run in runs) == 1


@pytest.mark.parametrize("name", WORST)
def test_no_run_of_a_row_crawls(name):
    row = next(row for row in ROWS if row.name == name)
    for seed in WORST_SEEDS if "%" in name else WORST_SEEDS[:6]:
        run = run_row(row, seed)
        if row.seconds_max:
            assert run.seconds <= WORST[name], f"seed {seed}"
        else:
            assert run.utilisation >= WORST[name], f"seed {seed}"


@pytest.mark.parametrize(
    ("line", "median_s", "most_s"),
    [
        (IRIDIUM, 3.5, 3.7),
        (CSD, 1.5, 1.75),
        (GPRS, 1.5, 3.25),
        pytest.param(G3, 0.3, 1.3, marks=pytest.mark.slow),
    ],
)
def test_a_command_gets_through_while_a_file_is_sent(line, median_s, most_s):
    world, rng = World(Profile(**line), 1, call=False), random.Random(1)
    world.up.add(rng.randbytes(int(line["rate"] / 8 * 250)), priority=8)
    world.start_caller()
    world.run(30)
    waits = []
    while world.now < 200:
        command = world.up.add(rng.randbytes(40), priority=1, object_id=rng.randbytes(16))
        since = world.now
        world.caller.nudge(since)
        world.run(since + 60, lambda: command in world.at_host.done)  # noqa: B023 - it runs before the next round
        waits.append(world.now - since)
        world.run(world.now + rng.uniform(2, 8))
    assert statistics.median(waits) < median_s
    assert sorted(waits)[int(0.95 * len(waits))] < most_s
    assert world.up.objects, "the file should still be on its way"


@pytest.mark.parametrize("line", [GPRS, CSD, slow(G3, True)], ids=["40k", "9.6k", "1M"])
def test_both_directions_run_at_once(line):
    size = int(line["rate"] / 8 * 50)
    world, rng = World(Profile(**line | {"loss": 0.005}), 1, call=False), random.Random(1)
    world.up.add(rng.randbytes(size))
    world.down.add(rng.randbytes(size))
    world.start_caller()
    assert world.run(600, world.all_received) < 70


@pytest.mark.parametrize("path_mtu", [1400, 1280, 1000, 600])
@pytest.mark.parametrize("line", [GPRS, G3], ids=["40k", "1M"])
def test_a_path_that_takes_less_than_the_interface_costs_little(path_mtu, line):
    for seed in (1, 2, 9):
        world = World(Profile(**line | {"path_mtu": path_mtu, "loss": 0.01}), seed, call=False)
        data = random.Random(1).randbytes(200_000)
        object_id = world.up.add(data)
        world.start_caller()
        seconds = world.run(900, world.all_received)
        assert world.at_host.done[object_id] == data
        assert seconds < (4 if line is G3 else 34) + 200_000 * 8 / line["rate"]


def test_a_hello_that_a_narrow_path_does_not_take_becomes_small():
    world = World(Profile(delay=0.1, path_mtu=700), 1, call=False)
    object_id = world.up.add(random.Random(1).randbytes(900))
    world.start_caller()
    world.run(60, world.all_received)
    assert object_id in world.at_host.done


@pytest.mark.parametrize("queue", [4096, 8192])
@pytest.mark.parametrize(("rate", "delay"), [(9600, 0.25), (40000, 0.75), (128000, 0.1), (1e6, 0.1)])
def test_a_small_queue_is_not_run_over(queue, rate, delay):
    world = World(Profile(rate=rate, delay=delay, jitter=0.01, queue=queue), 1, call=False)
    world.up.add(random.Random(1).randbytes(int(rate / 8 * 60)))
    world.start_caller()
    seconds = world.run(900, world.all_received)
    assert 60 / seconds > 0.78
    assert world.air.queue_drops[0] < 0.2 * world.air.packets[0]


def kinds_lost(kind: FrameKind, times: int):
    """Return a tap that loses the first frames of a kind, and the air's `offer` that heeds it."""
    left = [times]

    def is_lost(frame: bytes) -> bool:
        if frame[0] == kind and left[0]:
            left[0] -= 1
            return True
        return False

    return is_lost


@pytest.mark.parametrize("delay", [0.1, 0.5])
@pytest.mark.parametrize("kind", [FrameKind.HELLO, FrameKind.WELCOME, FrameKind.EARLY])
def test_a_handshake_frame_that_is_lost_costs_a_second_and_a_round_trip_and_no_second_handshake(kind, delay):
    world = World(Profile(delay=delay), 1, call=False)
    is_lost, offer = kinds_lost(kind, 1), world.air.offer
    world.air.offer = lambda way, frame, *more: None if is_lost(frame) else offer(way, frame, *more)
    world.up.add(random.Random(1).randbytes(50_000))
    world.start_caller()
    assert world.run(60, world.all_received) < 50_000 * 8 / 40000 / 0.95 + 3 + 5 * delay
    assert world.caller.tally.counters.handshakes == 1


def test_a_link_that_carried_little_for_a_minute_is_fast_when_there_is_much():
    world, rng = World(Profile(rate=10e6, delay=0.02), 1, call=False), random.Random(1)
    world.start_caller()
    for _ in range(60):
        world.up.add(rng.randbytes(600), object_id=rng.randbytes(16))
        world.caller.nudge(world.now)
        world.run(world.now + 1, world.all_received)
        world.run(world.now + 0.9)
    since, large = world.now, world.up.add(rng.randbytes(47445))
    world.caller.nudge(since)
    assert world.run(since + 60, lambda: large in world.at_host.done) < since + 1
