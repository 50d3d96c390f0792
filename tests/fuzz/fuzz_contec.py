"""Invariant: whatever a Contec oximeter's line carries, in either generation, with its memory wanted or not, the driver
raises nothing, ends what it begins, keeps each byte at most once, sends only what reads, and makes the same of it whole
and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_contec`, or `python -m tests.fuzz.fuzz_contec`.
"""

from hardware.simulated.contec import live, old_live, packet
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

READS = {0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xAF}
OPTIONS = [{"generation": one, "stored": two} for one in ("v7", "old") for two in ("never", "once")]
ASKED = packet(0x0A, 0, 1) + packet(0x08, 0, 0, 24, 0, 0, 0) + packet(0x07, 0, 0, 20, 26, 8, 1)
MEMORY = ASKED + packet(0x12, 0, 0, 22, 30, 5, 0) + packet(0x0F, 97, 66, 96, 67, 0x7F, 0xFF) * 4
LIVE = live(97, 66, 0.5, is_in=True, pi=590) * 90 + live(97, 66, 0.5, is_in=False) * 9
OLD_LIVE = old_live(97, 133, 0.5, is_in=True) * 90 + old_live(97, 66, 0.5, is_in=False) * 9
OLD_MEMORY = OLD_LIVE[:5] + b"\xf2\x80\x00" * 3 + b"\x80\x80\x1d" + b"\xf0\xc2\x61" * 10 + OLD_LIVE
SEEDS = [b"\x00" + LIVE, b"\x01" + MEMORY + LIVE, b"\x02" + OLD_LIVE, b"\x03" + OLD_MEMORY]


def heard(data: bytes, options: dict[str, object], size: int) -> Bench:
    bench = Bench("contec", options)
    bench.wait(0.1)
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
    if options["generation"] == "v7":
        assert set(whole.sent[2::9]) <= READS
    else:
        assert whole.sent in {b"", b"\xf5\xf5"}
    assert single.durable == whole.durable
    assert [study.waveforms for study in single.studies] == [study.waveforms for study in whole.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
