"""Invariant: whatever a line carries, the transfer driver raises nothing, ends what it begins, keeps a file only if its
protocol's checks held, confirms nothing that is not durable, and makes the same of ZMODEM and Kermit whole and byte by
byte.

`sh tests/fuzz/run.sh 60 fuzz_transfer`, or `python -m tests.fuzz.fuzz_transfer`.
"""

from binascii import crc_hqx
from contextlib import suppress

from edge.drivers import transfer_leads, transfer_scp
from edge.drivers import transfer_zframes as z
from hardware.simulated.file_sender import FileSender, binary_header, packet
from hardware.simulated.scp_ecg import record
from tests.edge.bench import Bench
from tests.fuzz.driver import drive

ECG = record(1, "12345674", samples=20)
HEAD = b"a.scp\0%d 0 100644\0" % len(ECG)
SESSION = (
    z.hex_header(z.RQINIT)
    + binary_header(z.FILE)
    + packet(HEAD, b"k")
    + binary_header(z.DATA)
    + packet(ECG[:500], b"i")
    + packet(ECG[500:], b"h")
    + z.hex_header(z.EOF, len(ECG))
    + z.hex_header(z.FIN)
    + b"OO"
)
BODY = ECG[:128]
BLOCK = b"\x01\x01\xfe" + BODY + crc_hqx(BODY, 0).to_bytes(2, "big")
WHOLE = transfer_scp.read(ECG)
SECTIONS = {**(WHOLE.sections if WHOLE is not None else {}), 2: b"\x1f\x4e"}


def kermit(*faults: str) -> bytes:
    """Return what a sender says to a receiver that answers."""
    sender, bench, line = FileSender([("a.scp", ECG)], "kermit", faults), Bench("transfer", {"protocol": "kermit"}), b""
    said = sender.tick(0.0)
    while said:
        line += said
        said = sender.feed(bench.feed(said), 0.0)
    return line


KERMIT = (kermit(), kermit("seven-bit"), kermit("by-sum"))
SEEDS = [b"\x00" + SESSION, b"\x00" + SESSION[:300] + SESSION, b"\x01" + BLOCK + b"\x04", b"\x02" + ECG]
SEEDS += [b"\x03" + line for line in KERMIT]
SEEDS += [b"\x02" + section for section in SECTIONS.values()]


def heard(line: bytes, protocol: str, size: int) -> Bench:
    bench = Bench("transfer", {"protocol": protocol})
    bench.wait(0.1)
    bench.feed_in_pieces(line, size)
    bench.wait(1_000)
    assert bench.open is None
    return bench


def check(data: bytes) -> None:
    """Hold the invariant for one line; the first byte says which protocol it is, or that it is a record."""
    if not data:
        return
    line = data[1:]
    if data[0] % 4 == 2:
        transfer_scp.read(line)
        for number in (2, 3, 6):
            with suppress(transfer_leads.Unread):
                transfer_leads.read({**SECTIONS, number: line})
        return
    protocol = {0: "zmodem", 1: "xmodem", 3: "kermit"}[data[0] % 4]
    whole, single = heard(line, protocol, max(1, len(line))), heard(line, protocol, 1)
    if protocol != "xmodem":
        assert [one.tags for one in single.studies] == [one.tags for one in whole.studies]
    refused = Bench("transfer", {"protocol": protocol}, refuse=lambda number: True)
    refused.feed(line)
    refused.wait(1)
    assert all(one.ends is not None and one.ends.partial for one in refused.studies)


if __name__ == "__main__":
    drive(check, SEEDS)
