"""The size of a path is found by trying: what it takes is found, what it no longer takes is noticed."""

import random

import pytest

from wire.pathsize import BLACK_HOLE_FRAMES, LADDER, LEAST_SIZE, SAFE_SIZE, TRIES_MAX, PathSize, State


def run(path: PathSize, takes: int, frames: int, loss: float = 0.0, seed: int = 1) -> int:
    """Send frames over a path that takes so much; return how many were too large for it."""
    rng, too_large = random.Random(seed), 0
    for _ in range(frames):
        size = path.next_size
        path.on_sent(size)
        too_large += size > takes
        if size > takes or rng.random() < loss:
            path.on_lost(size)
        else:
            path.on_arrived(size)
    return too_large


def test_nothing_larger_than_safe_goes_out_but_one_frame_that_tries():
    path = PathSize(1500)
    assert path.next_size == 1500
    path.on_sent(1500)
    assert path.next_size == SAFE_SIZE
    path.on_arrived(1500)
    assert (path.size, path.next_size, path.state) == (1500, 1500, State.FOUND)


@pytest.mark.parametrize("takes", [*LADDER, SAFE_SIZE, 1290, 1499])
def test_the_largest_size_of_the_ladder_that_the_path_takes_is_found(takes):
    path = PathSize(1500)
    too_large = run(path, takes, 60)
    assert path.size == max(size for size in (*LADDER, SAFE_SIZE) if size <= takes)
    assert too_large <= TRIES_MAX * len(LADDER)
    assert path.state is State.FOUND


@pytest.mark.parametrize("seed", range(20))
def test_loss_alone_rules_hardly_anything_out(seed):
    path = PathSize(1500)
    run(path, 1500, 400, loss=0.1, seed=seed)
    assert path.size >= 1400


@pytest.mark.parametrize("takes", [1280, 1000, LEAST_SIZE])
def test_a_path_that_becomes_narrower_is_noticed(takes):
    path = PathSize(1500)
    run(path, 1500, 10)
    assert path.size == 1500
    run(path, takes, 3 * BLACK_HOLE_FRAMES + 60)
    assert path.size <= takes
    assert path.size >= min(takes, SAFE_SIZE) or path.size == LEAST_SIZE


def test_an_interface_that_takes_less_is_the_bound():
    path = PathSize(1024)
    assert path.next_size == 1024
    assert path.state is State.FOUND


def test_another_bearer_begins_anew():
    path = PathSize(1500)
    run(path, 1500, 10)
    path.begin(1500)
    assert path.size == SAFE_SIZE


def test_silences_with_nothing_large_between_them_are_a_black_hole_and_outages_are_not():
    path = PathSize(1500)
    run(path, 1500, 10)
    for _ in range(5):
        path.on_silence()
        path.on_arrived(1500)
    assert path.size == 1500
    for _ in range(3):
        path.on_silence()
    assert path.size == SAFE_SIZE
