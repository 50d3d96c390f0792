"""The fuzz targets of files that somebody brings, a short seeded run of each; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_files, fuzz_spectra
from tests.fuzz.driver import rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_readers_of_spectra_hold_their_invariant(seed):
    rounds(fuzz_spectra.check, fuzz_spectra.SEEDS, 1500, seed)


def test_whatever_a_file_holds_it_is_told_what_it_is():
    rounds(fuzz_files.check, fuzz_files.SEEDS, 400, 1)
