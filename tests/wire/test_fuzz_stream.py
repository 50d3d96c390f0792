"""The fuzz target's own invariant over random recipes, so that it never rots between runs of the fuzzer."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.driver import rounds
from tests.fuzz.fuzz_stream import SEEDS, WRITTEN, check, edited


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60))
def test_the_invariant_holds_for_recipes(recipe):
    check(recipe)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_invariant_holds_for_mutations(seed):
    rounds(check, SEEDS, 60, seed)


def test_recipes_make_damages_of_every_kind():
    dice = random.Random(1)
    sizes = {len(edited(bytes((what,)) + dice.randbytes(5))) - len(WRITTEN.whole) for what in range(256)}
    assert min(sizes) < -1000 < 0 in sizes
    assert max(sizes) > 1000
