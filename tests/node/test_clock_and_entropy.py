"""Time and chance: the real ones are sane, the seeded one repeats itself."""

import time

from hypothesis import given
from hypothesis import strategies as st

from node.clock import Clock, SystemClock
from node.entropy import new_id, seeded, system


def test_the_system_clock_goes_on_and_knows_the_date():
    clock: Clock = SystemClock()
    before, at_ms = clock.now(), clock.time_ms()
    time.sleep(0.01)
    assert 0.005 < clock.now() - before < 5
    assert 5 <= clock.time_ms() - at_ms < 5000
    assert at_ms > 1_700_000_000_000


def test_the_kernel_gives_as_many_fresh_bytes_as_asked():
    assert len(system(33)) == 33
    assert len({new_id(system) for _ in range(100)}) == 100
    assert len(new_id(system)) == 16


@given(st.binary(max_size=100), st.lists(st.integers(0, 200), max_size=20))
def test_the_same_seed_gives_the_same_bytes_however_they_are_asked_for(seed, sizes):
    draw = seeded(seed)
    pieces = b"".join(draw(size) for size in sizes)
    assert pieces == seeded(seed)(sum(sizes))


def test_another_seed_gives_other_bytes():
    assert seeded(b"a")(32) != seeded(b"b")(32)
