"""The fuzz targets of codecs and studies, a short seeded run of each; longer ones by hand."""

import pytest

from tests.fuzz import fuzz_codec, fuzz_study
from tests.fuzz.driver import give_seeds, rounds


def test_a_guided_fuzzer_begins_with_the_seeds(tmp_path):
    """It began with nothing, and after five minutes had seen 52 branches of the readers of spectra."""
    give_seeds([tmp_path], [b"one", b"two"])
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"one", b"two"]
    give_seeds([], [b"one"])
    give_seeds([tmp_path / "finding"], [b"one"])


@pytest.mark.parametrize("seed", [1, 2])
def test_codecs_hold_their_invariant(seed):
    rounds(fuzz_codec.check, fuzz_codec.SEEDS, 150, seed)


@pytest.mark.parametrize("seed", [1, 2])
def test_studies_hold_their_invariant(seed):
    rounds(fuzz_study.check, [fuzz_study.RAW], 40, seed)
