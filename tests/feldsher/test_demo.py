"""The demo, as a stranger would run it: real processes, two cuts, three kills, and a judgement by bytes."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_three_studies_survive_two_cuts_and_three_kills():
    words = [sys.executable, "-m", "feldsher", "demo", "--once", "--json"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["captured"] == result["received"] == result["identical"] == 3
    assert (result["duplicates"], result["lost"]) == (0, 0)
    assert result["cuts"] >= 2
    assert result["kills"] == 3
    assert result["wire_bytes"] > 0
    assert result["seconds"] < 90
