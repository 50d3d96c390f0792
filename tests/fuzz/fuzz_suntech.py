"""Invariant: whatever a SunTech module's line carries, the driver raises nothing, ends what it begins, keeps each byte
at most once, sends its two questions and nothing else, and makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_suntech`, or `python -m tests.fuzz.fuzz_suntech`.
"""

from edge.drivers.suntech import GET_CUFF, GET_RESULT
from hardware.simulated.suntech import cuff_answer, result_answer
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

FULL, EMPTY, RESULT = cuff_answer(140), cuff_answer(0), result_answer(121, 79, 93, 66)
SEEDS = [
    FULL * 3 + EMPTY * 2 + RESULT,
    FULL + RESULT + EMPTY * 3 + result_answer(0, 0, 0, 0, 4),
    b"\x3e\x18" + FULL * 9,
]


def heard(data: bytes, size: int) -> Bench:
    bench = Bench("suntech")
    bench.wait(0.1)
    bench.feed_in_pieces(data, size)
    bench.wait(400)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line."""
    whole, single = heard(data, max(1, len(data))), heard(data, 1)
    assert len(whole.durable) <= len(data)
    assert not whole.sent.replace(GET_CUFF, b"").replace(GET_RESULT, b"")
    assert single.durable == whole.durable
    assert [one.observations for one in single.studies] == [one.observations for one in whole.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
