"""Invariant: whatever an analyser's line carries, the ASTM driver raises nothing, keeps the seam's rules, holds little,
and gives the same answers, studies and durable bytes whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_astm`, or `python -m tests.fuzz.fuzz_astm`.
"""

from edge.drivers.astm_frames import checksum
from tests.edge.bench import Bench
from tests.fuzz.driver import drive


def frame(number: int, text: bytes) -> bytes:
    body = b"%d" % number + text + b"\x03"
    return b"\x02" + body + checksum(body) + b"\r\n"


RECORDS = (b"H|\\^&|||SIM\r", b"P|1|7\r", b"O|1|S\r", b"R|1|^^^A|1|g/L\r", b"C|1|I|note|G\r", b"L|1|N\r")
SESSION = b"\x05" + b"".join(frame(number, text) for number, text in enumerate(RECORDS, 1)) + b"\x04"
SEVERAL = b"\x05" + frame(1, b"".join(RECORDS[:4]) + b"P|2|8\rO|1|T\rR|1|^^^A|2\r" + RECORDS[5]) + b"\x04"
SEEDS = [SESSION, SEVERAL, SESSION[:60] + SESSION, b"\x05\x04" * 3, SESSION.replace(b"\r\n", b"\r")]


QUESTION = b"\x05" + frame(1, RECORDS[0]) + frame(2, b"Q|1|^S||ALL\r") + frame(3, RECORDS[5]) + b"\x04"
SEEDS += [
    QUESTION,
    QUESTION[:20] + SESSION,
    b"\x05" + frame(1, RECORDS[0] + b"Q|1|^S\r" + b"".join(RECORDS[1:])) + b"\x04",
]


def heard(data: bytes, size: int, *, orders: bool = False) -> Bench:
    bench = Bench("astm", {"orders": orders})
    bench.feed_in_pieces(data, size)
    bench.wait(400)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; an analyser that may ask loses no value by that."""
    plain = heard(data, max(1, len(data)))
    agree(data, plain, heard(data, 1))
    asking = heard(data, max(1, len(data)), orders=True)
    agree(data, asking, heard(data, 1, orders=True))
    if b"Q" not in data.upper():
        values = [{one.value for study in bench.studies for one in study.observations} for bench in (plain, asking)]
        assert values[0] == values[1]


def agree(data: bytes, whole: Bench, single: Bench) -> None:
    """Compare what came at once with what came byte by byte."""
    if b"\x05\x05" not in data and b"\x05\x04" not in data:  # an ENQ that was given up is not answered, nor kept
        assert whole.sent == single.sent
        assert whole.durable == single.durable
    assert [study.ends for study in whole.studies] == [study.ends for study in single.studies]
    assert [study.tags for study in whole.studies] == [study.tags for study in single.studies]


if __name__ == "__main__":
    drive(check, SEEDS)
