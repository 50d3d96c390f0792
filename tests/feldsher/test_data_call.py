"""A file over a data call, with real processes: `link send` dials, a modem of `link serve` answers, both on ptys."""

import json
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.feldsher.test_link_command import Server, run

ROOT = Path(__file__).resolve().parents[2]
NUMBER = "00881612345678"


@contextmanager
def telephones(folder: Path, *words: str):
    """Two modems and an exchange; gives a function that ends them and returns what they counted."""
    command = [sys.executable, "-m", "feldsher", "simulate", "modem", "dialup", "--json", "--number", NUMBER]
    process = subprocess.Popen(
        [*command, "--pty-link", "kit-modem", "--answer-link", "bank-modem", *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def counted() -> dict:
        process.terminate()
        return json.loads(process.communicate(timeout=10)[0].splitlines()[-1])

    try:
        for _ in range(3):
            assert process.stdout.readline()
        yield counted
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


@pytest.mark.slow
def test_a_call_that_drops_in_the_middle_is_made_again_and_the_session_goes_on(tmp_path):
    assert run(tmp_path, "keys", "keys").returncode == 0
    (tmp_path / "study").write_bytes(random.Random(1).randbytes(9_000))
    with telephones(tmp_path, "--rate", "9600", "--delay", "0.3", "--fault", "drop=6@1") as counted:
        bank = f"serial://{tmp_path}/bank-modem?answer=yes"
        with Server(tmp_path, bank):
            to = f"serial://{tmp_path}/kit-modem?dial={NUMBER}&profile=csd&baud=19200"
            done = run(
                tmp_path, "send", "study", "--to", to, "--keys", "keys", "--json", "--timeout", "100", timeout=120
            )
        facts = counted()
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "in" / "study").read_bytes() == (tmp_path / "study").read_bytes()
    assert (facts["calls"], facts["dropped"]) == (2, 1)
    assert report["handshakes"] == 1
    assert report["segments_sent_twice"] <= 1
