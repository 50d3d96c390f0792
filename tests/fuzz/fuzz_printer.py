"""Invariant: whatever a line carries, the printer driver raises nothing and ends what it begins; it keeps the bytes in
order, leaving out only what prints nothing; its pictures are PNG of the paper's width; it sends nothing but statuses.

`sh tests/fuzz/run.sh 60 fuzz_printer`, or `python -m tests.fuzz.fuzz_printer`.
"""

from edge.drivers.printer import FINE
from hardware.simulated.printing_device import STYLES, ticket
from tests.edge.bench import Bench
from tests.fuzz.driver import drive
from wire.record import Picture

LANGUAGES = ("escpos", "escp", "text")
STORED = b"\x1d(L\x0c\x00\x30\x70\x30\x01\x02\x31\x07\x00\x02\x00\xa0\x02\x1d(L\x02\x00\x30\x32"
SEEDS = [
    *(b"\x00" + ticket(style, 7, "24310077", 0) for style in STYLES[:2]),
    b"\x00"
    + STORED
    + b"\x1d*\x01\x01"
    + bytes(range(8))
    + b"\x1d/\x03\x1cq\x01\x01\x00\x01\x00"
    + bytes(8)
    + b"\x1dVB\x00",
    b"\x00\x1b@\x1dP\x00\x10\x1bJ\xff\x1b&\x03\x20\x21\x02abcdef\x00text\n\x1dk\x04ABC\x00\x10\x04\x01\x1dr\x01",
    b"\x01" + ticket("escp", 7, "24310077", 0),
    b"\x02" + ticket("plain", 7, "24310077", 0),
]
STATUSES = b"".join(FINE.values())


def heard(line: bytes, language: str, size: int) -> Bench:
    bench = Bench("printer", {"language": language})
    bench.feed_in_pieces(line, size)
    bench.wait(700)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says in which language."""
    if not data:
        return
    language, line = LANGUAGES[data[0] % 3], data[1:]
    whole, pieces = heard(line, language, max(1, len(line))), heard(line, language, 7)
    assert [one.raw for one in pieces.studies] == [one.raw for one in whole.studies]
    at = 0
    for byte in whole.durable:
        at = line.index(byte, at) + 1
    for study in whole.studies:
        for tag in study.tags:
            if tag.kind == Picture.KIND:
                image = Picture.from_tag(tag).image
                assert image[:8] == b"\x89PNG\r\n\x1a\n"
                assert int.from_bytes(image[16:20], "big") == 576
    assert set(pieces.sent) <= set(STATUSES)
    refused = Bench("printer", {"language": language}, refuse=lambda number: True)
    refused.feed(line)
    assert not refused.studies


if __name__ == "__main__":
    drive(check, SEEDS)
