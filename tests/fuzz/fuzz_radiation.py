"""Invariant: whatever answers on the line of a radiation meter, the drivers raise nothing, send only what reads, end
what they begin, keep each byte at most once, and make the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_radiation`, or `python -m tests.fuzz.fuzz_radiation`. The first byte says which driver,
the second how many bytes come at once; half a second passes between.
"""

from datetime import UTC, datetime

from hardware.simulated.gmc import history
from hardware.simulated.radex import answer
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

DRIVERS = (
    ("gmc", {"history": "once", "every_s": 1.0}),
    ("gmc", {"protocol": "rfc1801", "every_s": 1.0}),
    ("radex", {"every_s": 1.0}),
    ("radpro", {"every_s": 1.0}),
)
SENT_MAY_HOLD = {"gmc": b"<GET|<SPIR|<HEARTBEAT0", "radex": b"\x7b\xff\x20\x00", "radpro": b"GET "}
GMC = b"GMC-300SRe 1.14" + bytes(7) + bytes(256) + b"\x2a" + b"\x17\x0b\x0a\x0c\x0f\x05\xaa"
FLASH = history([(datetime(2023, 11, 10, tzinfo=UTC), 1, list(range(80)) * 3)])
RADEX = answer(0, (1, 0, 0x14, 0, 0xA411, 0, 0x2098, 0, 0x14, 0x1206, 0x0801, 840, 8, 0))
RADEX += b"".join(answer(number, (0x0800, 0, 12, 0, 18, 0, 18, 0, 21, 0)) for number in range(1, 8))
RADPRO = b"OK FS2011;Rad Pro 2.0;b570\r\nOK 1.421\r\nOK 1690000000\r\nOK 153.800\r\nOK 1500\r\nOK 142.857\r\nERROR\r\n"
SEEDS = [
    b"\x00\x0f" + GMC + FLASH,
    b"\x01\x10" + b"GMC-500+Re 2.22" + bytes(7) + bytes(512) + b"4.0v\0" + bytes(7) + bytes(40),
    b"\x02\x22" + RADEX,
    b"\x03\x0a" + RADPRO,
]


def heard(name: str, options: dict[str, object], pieces: list[bytes], size: int) -> Bench:
    bench = Bench(name, options)
    bench.wait(1.5)
    for piece in pieces:
        bench.feed_in_pieces(piece, size or max(1, len(piece)))
        bench.wait(0.5)
    bench.wait(60.0)
    assert bench.open is None, "a study is open for ever"
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line."""
    if len(data) < 2:
        return
    name, options = DRIVERS[data[0] % len(DRIVERS)]
    size = max(4, data[1] % 64)
    line = data[2 : 2 + 64 * size]
    pieces = [line[at : at + size] for at in range(0, len(line), size)]
    whole, single = heard(name, options, pieces, 0), heard(name, options, pieces, 1)
    assert len(whole.durable) <= len(line)
    assert whole.sent == single.sent
    assert whole.durable == single.durable
    assert [study.waveforms for study in whole.studies] == [study.waveforms for study in single.studies]
    assert whole.sent.startswith(tuple(SENT_MAY_HOLD[name].split(b"|")))


if __name__ == "__main__":
    drive(check, SEEDS)
