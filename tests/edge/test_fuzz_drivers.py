"""The drivers' fuzz targets for a few hundred rounds; `sh tests/fuzz/run.sh` runs them for as long as one likes.

A target is a driver's when it uses the bench for drivers; a new one is in here by being in `tests/fuzz`.
"""

from importlib import import_module
from pathlib import Path

import pytest

from tests.fuzz.driver import rounds

ROUNDS = 300
FOLDER = Path(__file__).parents[1] / "fuzz"
TARGETS = sorted(path.stem for path in FOLDER.glob("fuzz_*.py") if "tests.edge.bench" in path.read_text())


@pytest.mark.parametrize("name", TARGETS)
def test_invariant_of_the_fuzz_target(name):
    target = import_module(f"tests.fuzz.{name}")
    rounds(target.check, target.SEEDS, ROUNDS, 1)
