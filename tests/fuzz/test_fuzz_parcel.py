"""The fuzz target of parcels, a short seeded run; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_parcel
from tests.fuzz.driver import rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_sticks_hold_their_invariant(seed):
    rounds(fuzz_parcel.check, fuzz_parcel.SEEDS, 250, seed)
