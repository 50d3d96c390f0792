"""Invariant: whatever a laboratory instrument's line carries, the drivers raise nothing, end what they begin, keep each
byte at most once, answer nothing but what their instrument knows, and keep the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_lab`, or `python -m tests.fuzz.fuzz_lab`. The first byte says which driver.
"""

import re

from hardware.simulated.abacus import data_text, package
from hardware.simulated.bc2800 import text as bc_text
from hardware.simulated.kx21 import text as kx_text
from hardware.simulated.vesmatic import frame, results
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

DRIVERS = ("abacus", "kx21", "bc2800", "vesmatic")
ANSWERS = {
    "abacus": re.compile(rb"(?s)(\x05|\x15|\x06[ D].)*"),
    "kx21": re.compile(rb"[\x06\x15]*"),
    "bc2800": re.compile(rb"[\x06\x15]*"),
    "vesmatic": re.compile(rb"(\x0601\r)*"),
}
SEEDS = [
    b"\x00" + package("A", "I", b"Abacus\t2.66") + package("B", "D", data_text(1, 0)),
    b"\x00" + package("B", "F", b"\x00\x05abcde"),
    b"\x01" + kx_text(1, 0) + kx_text(1, 1, is_control=True),
    b"\x02\x05" + bc_text(1, 0) + b"\x04\x03\x02" + bc_text(1, 1) + b"\x1a",
    b"\x03" + frame("50", b"0120586743\x10") + frame("51", results(1, 0, 3)),
]


def heard(name: str, line: bytes, size: int) -> Bench:
    bench = Bench(name)
    bench.feed_in_pieces(line, size)
    bench.wait(20)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line."""
    if not data:
        return
    name, line = DRIVERS[data[0] % len(DRIVERS)], data[1:]
    whole, single = heard(name, line, max(1, len(line))), heard(name, line, 1)
    assert len(whole.durable) <= len(line)
    assert all(study.raw in line for study in whole.studies)
    assert whole.durable == single.durable
    assert len(whole.sent) <= len(single.sent), "the same message twice at once is answered once"
    assert ANSWERS[name].fullmatch(single.sent)
    assert ANSWERS[name].fullmatch(whole.sent)


if __name__ == "__main__":
    drive(check, SEEDS)
