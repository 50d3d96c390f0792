"""Invariant: whatever a line carries, a deframer raises nothing, holds no more than one frame, accounts for every byte,
gives the same frames whole and byte by byte, and finds the frame that comes after two marks.

`sh tests/fuzz/run.sh 60 fuzz_framing`, or `python -m tests.fuzz.fuzz_framing`.
"""

from tests.fuzz.driver import drive
from wire.framing import Deframer, enclose, overhead_max

SIZE_MAX = 700
AFTER = b"the frame after it"
CALL = b"\r\nRING\r\n\r\nCONNECT 9600\r\n\0" + enclose(bytes(40)) + enclose(bytes(range(256))) + b"\r\nNO CARRIER\r\n"
SEEDS = [CALL, enclose(b"x" * SIZE_MAX), enclose(b"x" * 254) * 3, b"\xff" * 600 + CALL, b"\0\1\0\2\0\3\0"]


def check(data: bytes) -> None:
    """Raise AssertionError when the invariant does not hold."""
    whole, single = Deframer(SIZE_MAX), Deframer(SIZE_MAX)
    frames = whole.feed(data)
    assert [frame for byte in data for frame in single.feed(bytes((byte,)))] == frames
    assert whole.pending_size <= SIZE_MAX + overhead_max(SIZE_MAX)
    assert all(0 < len(frame) <= SIZE_MAX for frame in frames)
    assert whole.lost_bytes == single.lost_bytes
    assert whole.lost_bytes + whole.pending_size + sum(map(len, frames)) <= len(data)
    whole.feed(b"\0")
    assert whole.feed(enclose(AFTER)) == [AFTER]


if __name__ == "__main__":
    drive(check, SEEDS)
