"""Invariant: whatever an oximeter's line carries, in each format and with the format to be found, the Nonin driver
raises nothing, ends what it begins, keeps each byte at most once, and makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_nonin`, or `python -m tests.fuzz.fuzz_nonin`.
"""

from hardware.simulated.oximeter import packet_frame, second_of, spot_check, text_of, three_bytes
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

PACKETS = b"".join(packet_frame("2", at % 25, 97, 72, 0.5, is_in=True) for at in range(200))
WIDE = b"".join(packet_frame("7", at % 25, 97, 150, 0.5, is_in=True) for at in range(200))
SECONDS = second_of(97, 133, is_in=True) * 12 + second_of(127, 511, is_in=False) * 6
THREE = three_bytes(97, 133, is_in=True) * 12 + three_bytes(127, 511, is_in=False) * 6
TEXT = text_of(97, 71, is_in=True) * 12 + text_of(0, 0, is_in=False) * 6
SEEDS = [
    b"\x00" + PACKETS,
    b"\x01" + WIDE,
    b"\x02" + SECONDS,
    b"\x03" + spot_check(97, 72, 1) * 2,
    b"\x04" + PACKETS,
    b"\x05" + THREE,
    b"\x06" + TEXT,
]
FORMATS = ("2", "7", "8", "13", "auto", "1", "ascii")


def heard(data: bytes, option: str, size: int) -> Bench:
    bench = Bench("nonin", {"format": option})
    bench.feed_in_pieces(data, size)
    bench.wait(20)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which format the driver is told."""
    if not data:
        return
    option, line = FORMATS[data[0] % len(FORMATS)], data[1:]
    whole = heard(line, option, max(1, len(line)))
    assert len(whole.durable) <= len(line)
    assert all(study.raw in line for study in whole.studies)
    if option != "auto":
        single = heard(line, option, 1)
        assert single.durable == whole.durable
        assert [study.waveforms for study in single.studies] == [study.waveforms for study in whole.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
