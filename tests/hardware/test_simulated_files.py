"""The simulated sender of files and its ECGs, against what the protocols' texts say and not against our driver."""

import struct

import pytest

from hardware.simulated.file_sender import ANSWER_S, FileSender, binary_header, crc16, packet
from hardware.simulated.scp_ecg import crc, record

C, ACK, NAK, CAN = b"C", b"\x06", b"\x15", b"\x18"


def on(protocol, data=b"data", faults=()):
    device = FileSender([("a.bin", data)], protocol, faults)
    return device, device.tick(0.0)


def test_forsbergs_check_value():
    """The usual test of both CRCs."""
    assert crc16(b"123456789") == 0x31C3
    assert crc(b"123456789") == 0x29B1


def test_xmodem_says_nothing_before_it_is_called():
    device, first = on("xmodem")
    assert first == b""
    block = device.feed(C, 1.0)
    assert block[:3] == b"\x01\x01\xfe"
    assert block[3:131] == b"data".ljust(128, b"\x1a")
    assert crc16(block[3:]) == 0
    assert device.feed(NAK, 2.0) == block
    assert device.feed(ACK, 3.0) == b"\x04"
    assert device.feed(ACK, 4.0) == b""
    assert device.report.is_good


def test_an_old_one_sends_a_sum_and_wants_nak():
    device, _ = on("xmodem", faults=["by-sum"])
    assert device.feed(C, 1.0) == b""
    block = device.feed(NAK, 1.0)
    assert len(block) == 132
    assert block[-1] == sum(block[3:131]) % 256


def test_ymodem_begins_with_a_name_and_ends_with_none():
    device, _ = on("ymodem")
    head = device.feed(C, 1.0)
    assert head[:3] == b"\x01\x00\xff"
    assert head[3:].startswith(b"a.bin\x004 0 100644\0")
    assert device.feed(ACK, 1.0) == b""
    assert device.feed(C, 1.0)[:3] == b"\x01\x01\xfe"
    assert device.feed(ACK, 1.0) == b"\x04"
    assert device.feed(ACK, 1.0) == b""
    assert device.feed(C, 1.0)[:4] == b"\x01\x00\xff\x00"
    device.feed(ACK, 1.0)
    assert device.report.is_good


def test_no_answer_and_the_block_comes_again():
    device, _ = on("xmodem")
    block = device.feed(C, 1.0)
    assert device.tick(1.0 + ANSWER_S - 0.1) == b""
    assert device.tick(1.0 + ANSWER_S) == block


@pytest.mark.parametrize("protocol", ["xmodem", "ymodem"])
def test_a_cancel_ends_the_transfer(protocol):
    device, _ = on(protocol)
    device.feed(C, 1.0)
    device.feed(CAN * 2, 1.0)
    assert not device.is_done
    assert device.report.acknowledged == 0


def test_zmodem_speaks_first_and_escapes_what_a_line_may_eat():
    device, first = on("zmodem", b"\x11\x13\x18\x90")
    assert first == b"rz\r**\x18B00000000000000\r\x8a\x11"
    head = device.feed(b"**\x18B0100000023be50\r\x8a\x11", 1.0)
    assert head.startswith(binary_header(4))
    data = device.feed(b"**\x18B0900000000a87c\r\x8a\x11", 1.0)
    assert packet(b"\x11\x13\x18\x90", b"h").startswith(b"\x18Q\x18S\x18X\x18\xd0\x18h")
    assert packet(b"\x11\x13\x18\x90", b"h") in data


def test_an_ecg_has_two_sums_that_hold_and_its_places_are_counted_from_one():
    raw = record(3, "12345674", samples=50)
    assert struct.unpack_from("<HI", raw) == (crc(raw[2:]), len(raw))
    assert raw[16:22] == b"SCPECG"
    for number in (0, 1, 3, 6):
        found, size, place = struct.unpack_from("<HII", raw, 22 + 10 * number)
        assert found == number
        section = raw[place - 1 : place - 1 + size]
        assert struct.unpack_from("<HHI", section) == (crc(section[2:]), number, size)
    assert record(3, "12345674", samples=50) == raw
