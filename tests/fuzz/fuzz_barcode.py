"""Invariant: whatever a scanner's line carries, its driver raises nothing, opens no study, answers each label once, and
believes no label whose check digit does not hold; it makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_barcode`, or `python -m tests.fuzz.fuzz_barcode`.
"""

from edge.driver import OperatorScanned, PatientScanned
from edge.drivers.barcode import LABEL_SIZE_MAX, SCHEMES
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

NAMES = sorted(SCHEMES)
OPTIONS = {"prefix": "P", "release": "END", "badge": "OP-", "badge_scheme": "mod10", "answer": "ack"}
LABELS = (
    b"P79927398713",
    b"P4006381333931",
    b"P24310077",
    b"PA+B/C$",
    b"END",
    b"OP-18",
    b"\x02]C0P79927398713\x03",
    "ПАЦІЄНТ".encode(),
)
SEEDS = [bytes((number,)) + b"\r\n".join(LABELS) + b"\r" for number in range(len(NAMES))]


def heard(line: bytes, scheme: str, size: int) -> Bench:
    bench = Bench("barcode", {"scheme": scheme, **OPTIONS})
    bench.feed_in_pieces(line, size)
    bench.wait(5)
    assert not bench.studies
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which check digit."""
    if not data:
        return
    scheme, line = NAMES[data[0] % len(NAMES)], data[1:]
    whole, single = heard(line, scheme, max(1, len(line))), heard(line, scheme, 1)
    assert (whole.scans, whole.faults, whole.sent) == (single.scans, single.faults, single.sent)
    assert set(whole.sent) <= {0x06, 0x15}
    assert whole.sent.count(0x06) == len(whole.scans)
    for one in whole.scans:
        if isinstance(one, PatientScanned | OperatorScanned):
            verify = SCHEMES[scheme if isinstance(one, PatientScanned) else "mod10"]
            assert one.checked
            assert len(one.id) <= LABEL_SIZE_MAX
            assert verify(one.id)


if __name__ == "__main__":
    drive(check, SEEDS)
