"""Invariant: whatever a TM-2655's line carries, the driver raises nothing, ends what it begins, keeps each byte at most
once, asks for nothing but results and envelopes, and makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_tm2655`, or `python -m tests.fuzz.fuzz_tm2655`.
"""

from edge.drivers.tm2655_records import request
from hardware.simulated.tm2655 import envelope_text, framed, result_text
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

OPTIONS = ({"ask": "never"}, {}, {"ask": "always"}, {"envelope": True})
RESULT, FAILED = (framed(result_text("2608010900", code, 121, 93, 79, 66)) for code in ("E00", "E43"))
ENVELOPE = framed(envelope_text("2608010900", 93, 121))
SEEDS = [b"\x00" + RESULT + ENVELOPE, b"\x01" + FAILED + RESULT, b"\x02\x16\x16\x0100\x15" + RESULT, b"\x03" + RESULT]


def heard(data: bytes, options: dict[str, object], size: int) -> Bench:
    bench = Bench("tm2655", options)
    bench.feed_in_pieces(data, size)
    bench.wait(20)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which options the driver is given."""
    if not data:
        return
    options, line = OPTIONS[data[0] % len(OPTIONS)], data[1:]
    whole, single = heard(line, options, max(1, len(line))), heard(line, options, 1)
    assert len(whole.durable) <= len(line)
    assert not whole.sent.replace(request("RB"), b"").replace(request("RP"), b"")
    assert single.durable == whole.durable
    assert [one.observations for one in single.studies] == [one.observations for one in whole.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
