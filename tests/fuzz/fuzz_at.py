"""Invariant: whatever a modem says, a driver raises nothing, says where it stands, holds bounded memory, and ends soon.

The first byte chooses the modem and how its line is cut; then the bytes come, with time between them, after a start
that the simulated modem answers as it should; then the driver is told to hang up.

`sh tests/fuzz/run.sh 60 fuzz_at`, or `python -m tests.fuzz.fuzz_at`.
"""

from node.modems.seam import ModemState
from tests.fuzz.driver import drive
from tests.node.modems.conformance.entries import ENTRIES
from tests.node.modems.conformance.rig import Rig

LEAVE_S_MAX = 90.0
HELD_SIZE_MAX = 1 << 18
SEEDS = [
    b"\x00\r\n+CIPRXGET: 2,5,0\r\nhello\r\nOK\r\n",
    b"\x01\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CPIN: READY\r\n\r\nSMS Ready\r\n",
    b'\x02\r\n+CMTI: "SM",3\r\n\r\n+PDP: DEACT\r\n\r\nCLOSED\r\n',
    b"\x03\r\n> \r\nDATA ACCEPT:5\r\n\r\nSEND FAIL\r\n\r\n+CME ERROR: 14\r\n",
    b"\x04\r\nNO CARRIER\r\n\r\nCONNECT 9600\r\n\x00\xff\xfe~}\r\nBUSY\r\n",
    b'\x05\r\n+QIURC: "closed",0\r\n\r\n+QIURC: "pdpdeact",1\r\n+IPCLOSE: 0,1\r\n+CIPEVENT: NETWORK CLOSED UNEX\r\n',
    b"\x06\r\n+CREG: 5\r\n\r\n+CGREG: 3\r\n\r\nUNDER-VOLTAGE WARNNING\r\n\r\nNORMAL POWER DOWN\r\n",
]


def check(data: bytes) -> None:
    """Hold the invariant for one line of noise."""
    if not data:
        return
    entry, size = ENTRIES[data[0] % len(ENTRIES)], 1 + data[0] // len(ENTRIES) * 3
    rig = Rig(entry.make_sim, entry.make_driver, seed=data[0])
    rig.open().run(data[0] % 17)
    for at in range(1, len(data), size):
        rig.driver.feed(data[at : at + size], rig.now)
        rig.run(0.05)
        assert isinstance(rig.driver.status().state, ModemState)
    if rig.ears.bearer is not None:
        rig.ears.bearer.send(b"a frame")
    rig.run(3.0)
    assert len(rig.driver.engine._buffer) < HELD_SIZE_MAX
    rig.hang_up()
    assert rig.run(LEAVE_S_MAX, lambda: rig.driver.status().state is ModemState.OFF), rig.driver.status()
    assert rig.ears.wrong == []
    assert rig.driver.deadline() is None


if __name__ == "__main__":
    drive(check, SEEDS)
