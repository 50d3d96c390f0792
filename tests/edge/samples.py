"""Where the third-party samples lie: FELDSHER_SAMPLES, or `../shared/device-samples` beside the repository."""

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("FELDSHER_SAMPLES", Path(__file__).parents[2].parent / "shared" / "device-samples"))


def sample(name):
    """Return the bytes of a sample, or skip loudly."""
    path = FOLDER / name
    if not path.exists():
        pytest.skip(f"SAMPLES ABSENT: {path}; set FELDSHER_SAMPLES to the folder of device samples")
    return path.read_bytes()
