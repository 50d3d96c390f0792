"""What counts as a queue that ran over, and what as a line that loses."""

import random

import pytest

from wire.overflow import FLOOD_LOSS_MAX, MEMORY_ROUNDS, Overflow, Round

FRAME = 1500


def judged(*rounds: Round, rtt_s: float = 1.5, deviation_s: float = 0.03, is_loaded: bool = True) -> Overflow:
    overflow = Overflow()
    for seen in rounds:
        overflow.judge(seen, rtt_s, deviation_s, is_loaded=is_loaded)
    return overflow


def seen(frames: int, lost: int, wait_max_s: float = 0.5) -> Round:
    return Round(frames * FRAME, lost * FRAME, FRAME, wait_max_s)


@pytest.mark.parametrize("loss", [0.0, 0.03, 0.1, 0.2])
def test_what_a_line_loses_by_itself_is_hardly_ever_unusual_and_no_flood(loss):
    unusual = floods = 0
    for seed in range(50):
        rng, overflow = random.Random(seed), Overflow()
        for _ in range(40):
            frames = rng.randrange(3, 16)
            overflow.judge(seen(frames, sum(rng.random() < loss for _ in range(frames))), 1.5, 0.05, is_loaded=True)
            floods += overflow.is_flood
            unusual += overflow.is_unusual
    assert unusual < 0.02 * 50 * 40
    assert floods < 0.002 * 50 * 40


def test_a_round_of_few_frames_says_little():
    assert not judged(seen(3, 2)).is_unusual
    assert judged(seen(12, 8)).is_unusual


def test_a_queue_that_drops_most_of_a_burst_is_a_flood_and_its_length_is_known():
    overflow = judged(seen(20, 14, wait_max_s=0.8))
    assert overflow.is_flood
    assert overflow.room_s == 0.8


def test_a_flood_is_not_taken_for_usual():
    overflow = judged(seen(20, 0), seen(20, 14))
    assert overflow.usual_loss == 0.0
    assert overflow.part_lost == pytest.approx(0.7)


def test_when_nothing_arrives_it_is_no_queue():
    """A path that takes smaller frames only, or an outage: what a queue is full of would arrive."""
    assert not judged(seen(100, 91)).is_flood
    assert judged(seen(100, int(100 * FLOOD_LOSS_MAX) - 1)).is_flood


def test_jitter_is_not_the_length_of_a_queue():
    assert judged(seen(20, 14, wait_max_s=0.1), deviation_s=0.06).room_s == float("inf")


def test_a_queue_that_was_shared_may_be_longer_later():
    overflow = judged(seen(20, 14, wait_max_s=0.8), *[seen(20, 0)] * 50)
    assert 0.8 * 2 < overflow.room_s < 0.8 * 4


def test_usual_is_what_the_last_rounds_lost():
    overflow = judged(*[seen(20, 4)] * MEMORY_ROUNDS)
    assert overflow.usual_loss == pytest.approx(0.2)
    for _ in range(40):
        overflow.judge(seen(20, 0), 1.5, 0.03, is_loaded=True)
    assert overflow.usual_loss < 0.01


def test_another_bearer_has_other_queues():
    overflow = judged(seen(20, 14, wait_max_s=0.8))
    overflow.on_bearer()
    assert overflow.room_s == float("inf")


def test_a_round_of_nothing_is_judged():
    overflow = judged(Round(0, 0, FRAME, 0.0))
    assert not overflow.is_unusual
    assert not overflow.is_flood
