"""The drivers' fuzz targets for a few hundred rounds; `sh tests/fuzz/run.sh` runs them for as long as one likes."""

import pytest

from tests.fuzz import fuzz_astm, fuzz_lines, fuzz_nonin, fuzz_suntech, fuzz_tm2655
from tests.fuzz.driver import rounds

ROUNDS = 300


@pytest.mark.parametrize("target", [fuzz_astm, fuzz_nonin, fuzz_lines, fuzz_suntech, fuzz_tm2655])
def test_invariant_of_the_fuzz_target(target):
    rounds(target.check, target.SEEDS, ROUNDS, 1)
