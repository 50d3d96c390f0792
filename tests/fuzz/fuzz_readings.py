"""Invariant: whatever the line of a device carries that sends one line for each measurement, its driver raises nothing,
sends nothing, keeps each byte at most once and in order, and makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_readings`, or `python -m tests.fuzz.fuzz_readings`.
"""

from hardware.simulated.hbp9030 import line_of
from hardware.simulated.scales import tanita_line
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

PRESSURE = line_of("2026,08,01,09,00", "PAT-7", (121, 79, 66)) + b"\r\n"
DRIVERS = ("hbp9030", "tanita")
SEEDS = [
    b"\x00" + PRESSURE + line_of("2026,08,01,09,05", "", None, 2) + b"\r",
    b"\x01" + tanita_line(71.4, 170, 22.0) * 2,
]


def heard(data: bytes, name: str, size: int) -> Bench:
    bench = Bench(name)
    bench.feed_in_pieces(data, size)
    bench.wait(20)
    assert bench.open is None
    assert bench.sent == b""
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which driver."""
    if not data:
        return
    name, line = DRIVERS[data[0] % len(DRIVERS)], data[1:]
    whole, single = heard(line, name, max(1, len(line))), heard(line, name, 1)
    at = 0
    for study in whole.studies:
        at = line.index(study.raw, at) + len(study.raw)
    assert single.durable == whole.durable
    assert [one.observations for one in single.studies] == [one.observations for one in whole.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
