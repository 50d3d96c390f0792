"""The fuzz target of modems, a short seeded run; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_modems
from tests.fuzz.driver import rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_modems_hold_their_invariant(seed):
    rounds(fuzz_modems.check, fuzz_modems.SEEDS, 150, seed)
