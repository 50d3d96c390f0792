"""The fuzz target of frames, a short seeded run; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_frames
from tests.fuzz.driver import rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_frames_hold_their_invariant(seed):
    rounds(fuzz_frames.check, fuzz_frames.SEEDS, 400, seed)
