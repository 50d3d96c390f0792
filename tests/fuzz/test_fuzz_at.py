"""The fuzz target of modems, a short seeded run; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_at
from tests.fuzz.driver import rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_modems_hold_their_invariant(seed):
    rounds(fuzz_at.check, fuzz_at.SEEDS, 60, seed)
