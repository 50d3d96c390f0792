"""Invariant: whatever an MLLP line carries, the HL7 driver raises nothing, ends what it begins, keeps each byte at most
once, acknowledges (AA, CA) nothing that is not durable, and makes the same of it whole and byte by byte.

`sh tests/fuzz/run.sh 60 fuzz_hl7`, or `python -m tests.fuzz.fuzz_hl7`.
"""

from hardware.simulated.hl7_results import STYLES, message
from hardware.simulated.hl7_sender import BEGIN, END, query_like
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

OPTIONS = ({}, {"end": "silence"}, {"encoding": "cp866"})
WHOLE = [BEGIN + message(style, 1, "12345674", encoding="cp1251") + END for style in STYLES]
SPECIMENS = (
    b"MSH|^~\\&|A|B|||20260801080000||OUL^R22|7|P|2.5.1\rSPM|1|T1|||||||||P\rOBX|1|NM|HEM||1\rSAC|1||T1\rOBR|1|||GLU\rORC|OK\r"
    b"OBX|1|NM|GLU||5.0\rSPM|2|||||||||Q\rOBR|1|||LQC\rOBX|1|SN|GLU||>^6\rPID|1||8\rOBR|1||9|A^B\rSAC|1||T3\rNTE|1||x\r"
)
SEEDS = [
    *(bytes((at,)) + one for at, one in enumerate(WHOLE)),
    b"\x00" + WHOLE[0] + b"\x00\r\n" + WHOLE[0],
    b"\x01" + WHOLE[0][:-2],
    b"\x00" + BEGIN + SPECIMENS + END,
    b"\x00" + BEGIN + query_like(message("es480", 1, "1")) + END + WHOLE[2][:200] + WHOLE[2],
]
ACCEPTS = (b"MSA|AA|", b"MSA|CA|")


def heard(data: bytes, options: dict[str, object], size: int) -> Bench:
    bench = Bench("hl7", options)
    bench.feed_in_pieces(data, size)
    bench.wait(200)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which options the driver is given."""
    if not data:
        return
    options, line = OPTIONS[data[0] % len(OPTIONS)], data[1:]
    whole, single = heard(line, options, max(1, len(line))), heard(line, options, 1)
    assert len(whole.durable) <= len(line)
    assert single.durable == whole.durable
    assert single.sent == whole.sent
    assert [one.observations for one in single.studies] == [one.observations for one in whole.studies]
    refused = Bench("hl7", options, refuse=lambda number: True)
    refused.feed(line)
    assert not any(word in refused.sent for word in ACCEPTS)


if __name__ == "__main__":
    drive(check, SEEDS)
