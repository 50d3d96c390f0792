"""Invariant: whatever a scale's line carries, its driver raises nothing, ends what it begins, keeps each byte at most
once, sends nothing but questions, and makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_scales`, or `python -m tests.fuzz.fuzz_scales`.
"""

from hardware.simulated.scales import and_line, sics_line
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

QUESTIONS = {b"SI", b"I2", b"I4", b""}
DRIVERS = ("andscale", "mtsics")
AND = and_line(0.0) + and_line(60.2, is_at_rest=False) + and_line(71.4) * 3 + b"OL,GS,+9999999kg\r\n" + and_line(0.0)
SICS = b'I4 A "7"\r\nES\r\n' + sics_line("D", 40) + sics_line("S", 71.4) * 2 + sics_line("+") + sics_line("S")
SEEDS = [b"\x00" + AND, b"\x01" + SICS, b"\x00" + and_line(71.4)[:-3] + AND]


def heard(data: bytes, name: str, size: int) -> Bench:
    bench = Bench(name)
    bench.feed_in_pieces(data, size)
    bench.wait(20)
    assert bench.open is None
    assert set(bench.sent.split(b"\r\n")) <= QUESTIONS
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which driver."""
    if not data:
        return
    name, line = DRIVERS[data[0] % len(DRIVERS)], data[1:]
    whole, single = heard(line, name, max(1, len(line))), heard(line, name, 1)
    assert len(whole.durable) <= len(line)
    assert single.durable == whole.durable
    assert [one.observations for one in single.studies] == [one.observations for one in whole.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
