"""`link serve` and `link send` over the emulated line of the benchmark: real kernel, real time, real loss."""

import os
from pathlib import Path

import pytest

from benchmarks.links import CASES, LINKEM, Case, measure


def need_line() -> None:
    if os.geteuid() != 0 or not Path("/dev/net/tun").exists():
        pytest.skip("NO LINE: root and /dev/net/tun are wanted for network namespaces")
    if not LINKEM.exists():
        pytest.skip(f"NO LINE: there is no link emulator at {LINKEM}; FELDSHER_LINKEM names one")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "utilisation"),
    [
        (Case("g3-1M-tcp", ("--profile", "g3"), (1 << 20,), "tcp"), 0.5),
        (Case("cut", ("--profile", "g3", "--up", "4", "--down", "3", "--outage-mode", "cut"), (1 << 20,)), 0.6),
        (Case("shadow-tcp", ("--profile", "g3", "--up", "5", "--down", "2"), (600_000,), "tcp"), 0.2),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else "",
)
def test_files_go_over_a_line_that_loses_and_breaks(case, utilisation):
    need_line()
    row = measure(case, 1)
    assert "error" not in row, row
    assert row["identical"]
    assert row["utilisation"] > utilisation, row
    assert row["handshakes"] == 1, "a cut cost a handshake"
    assert row["twice"] <= 1 + int(row["seconds"] / 7), row


@pytest.mark.root
def test_one_record_needs_little_more_than_a_round_trip():
    need_line()
    row = measure(next(case for case in CASES if case.name == "gprs-2K"), 1)
    assert row["seconds"] < 2.2, row
