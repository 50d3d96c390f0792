"""Host queries against python-astm as the analyser: its receiver and its decoder take what we send.

Runs where `astm-2025` 1.0.0, the fork of python-astm for Python 3.11, is installed; it is imported as `astm`.
(`astm` 0.5.0 does not build there, and `astmio` 1.0.0a3 cannot be imported: its modules `protocol` and `asynclib` are
not in its wheel.)
"""

import pytest

from tests.edge.bench import Bench
from tests.edge.test_astm_orders import ORDERS

codec = pytest.importorskip("astm.codec")
ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"
EXPECTED = [
    ["P", "1", "24310077", None, None, "Petrenko", None, "19700101", "F"],
    ["O", "1", "S1", None, [[None, None, None, "WBC"], [None, None, None, "HGB"]], "R"],
    ["L", "1", "F"],
]


def encoded(records):
    """Return a message in one frame with python-astm's checksum. (Its encoder does not end on repeated components.)"""
    body = b"1" + b"".join(one.encode() + b"\r" for one in records) + b"\x03"
    return b"\x02" + body + codec.make_checksum(body) + b"\r\n"


def asked(sample):
    bench = Bench("astm", {"orders": True})
    bench.worklist = ORDERS
    said = bench.feed(ENQ + encoded(["H|\\^&|||PY^1|||||||P|E1394-97", f"Q|1|^{sample}||ALL", "L|1|N"]) + EOT)
    assert said + bench.wait(0) == ACK * 2 + ENQ
    return bench


def shortened(records):
    return [record[:9] if record[0] == "P" else record[:6] if record[0] == "O" else record for record in records]


@pytest.mark.parametrize(("sample", "expected"), [("S1", EXPECTED), ("S9", [["L", "1", "I"]])])
def test_its_decoder_reads_every_frame(sample, expected):
    bench, records, number = asked(sample), [], 1
    said = bench.feed(ACK)
    while said != EOT:
        sequence, found, _ = codec.decode_message(said, "latin-1")
        assert sequence == number
        records, number = records + found, number + 1
        said = bench.feed(ACK)
    assert records[0][0] == "H"
    assert shortened(records[1:]) == expected


def test_its_receiver_takes_the_whole_transfer():
    server = pytest.importorskip("astm.server")
    taken, answers = [], []

    class Taker(server.RequestHandler):
        def push(self, data):
            answers.append(data)

    bench = asked("S1")
    receiver = Taker(None, lambda message: taken.extend(codec.decode_message(message, "latin-1")[1]))
    said = ENQ
    while said != EOT:
        receiver.dispatch(said)
        said = bench.feed(answers.pop())
    receiver.dispatch(EOT)
    assert not receiver._is_transfer_state
    assert shortened(taken[1:]) == EXPECTED
