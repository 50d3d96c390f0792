"""The fuzz targets of codecs and studies, a short seeded run of each; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_codec, fuzz_study
from tests.fuzz.driver import rounds


@pytest.mark.parametrize("seed", [1, 2])
def test_codecs_hold_their_invariant(seed):
    rounds(fuzz_codec.check, fuzz_codec.SEEDS, 150, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_studies_hold_their_invariant(seed):
    rounds(fuzz_study.check, [fuzz_study.RAW], 40, seed)
