"""Invariant: generic capture keeps every byte exactly once and in order, whatever comes, however it is cut into units.

`sh tests/fuzz/run.sh 60 fuzz_lines`, or `python -m tests.fuzz.fuzz_lines`.
"""

from tests.edge.bench import Bench
from tests.fuzz.driver import drive

MODES = ({"mode": "lines"}, {"mode": "blocks", "trailer": 1}, {"mode": "bursts"}, {"mode": "blocks", "answer": "ack"})
SEEDS = [
    b"\x00ST,GS,+  71.4kg\r\nUS,GS,+ 0.0kg\r\n",
    b"\x01\x02R1,113,131,090,069\x03\x03",
    b"\x02" + bytes(range(256)),
    b"\x03noise\x02one\x03\x02two\x03",
]


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which mode."""
    if not data:
        return
    options, line = MODES[data[0] % len(MODES)], data[1:]
    for size in (max(1, len(line)), 1):
        bench = Bench("lines", options)
        bench.feed_in_pieces(line, size)
        bench.wait(20)
        assert bench.open is None
        assert bench.durable == line
        assert b"".join(study.raw for study in bench.studies) == line


if __name__ == "__main__":
    drive(check, SEEDS)
