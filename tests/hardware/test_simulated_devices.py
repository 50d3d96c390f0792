"""The simulators themselves, against what the standards say and not against our drivers."""

import pytest

from hardware.simulated.analyser import ANSWER_S, ATTEMPTS_MAX, BUSY_S, REFUSALS_MAX, Analyser, frame, in_blocks
from hardware.simulated.contec import Contec, old_live, packet
from hardware.simulated.oximeter import Oximeter, packet_frame
from hardware.simulated.results import STYLES, message
from hardware.simulated.scales import MtSics, and_line, sics_line, tanita_line
from hardware.simulated.scanner import Scanner, luhn
from hardware.simulated.suntech import Suntech, cuff_answer, result_answer
from hardware.simulated.tm2655 import MEASURE_S, Tm2655, framed

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"


def one(*texts, faults=()):
    device = Analyser([[(text, True) for text in texts]], faults)
    device.tick(0.0)
    assert device.tick(0.0) == ENQ
    return device


def test_the_standards_own_checksum():
    assert frame(1, b"H|\\^&|||X\r", is_last=True) == b"\x021H|\\^&|||X\r\x03B1\r\n"


def test_enq_ack_frame_ack_eot():
    device = one(b"H\r", b"L\r")
    assert device.feed(ACK, 1.0) == frame(1, b"H\r", is_last=True)
    assert device.feed(ACK, 1.0) == frame(2, b"L\r", is_last=True)
    assert device.feed(ACK, 1.0) == EOT
    assert device.report.is_good
    assert device.is_done


def test_nak_to_enq_waits_ten_seconds():
    device = one(b"H\r")
    assert device.feed(NAK, 1.0) == b""
    assert device.tick(1.0 + BUSY_S - 0.1) == b""
    assert device.tick(1.0 + BUSY_S) == ENQ


def test_silence_for_fifteen_seconds_is_eot_and_all_again():
    device = one(b"H\r")
    device.feed(ACK, 1.0)
    assert device.tick(1.0 + ANSWER_S) == EOT
    assert device.tick(2.0 + ANSWER_S + BUSY_S) == ENQ


def test_six_refusals_abort():
    device = one(b"H\r")
    device.feed(ACK, 1.0)
    answers = [device.feed(NAK, 1.0) for _ in range(REFUSALS_MAX)]
    assert answers[:-1] == [frame(1, b"H\r", is_last=True)] * (REFUSALS_MAX - 1)
    assert answers[-1] == EOT


def test_eot_instead_of_ack_counts_as_ack():
    device = one(b"H\r")
    device.feed(ACK, 1.0)
    assert device.feed(EOT, 1.0) == EOT


def test_contention_the_analyser_asks_again_after_a_second():
    device = one(b"H\r")
    assert device.feed(ENQ, 1.0) == b""
    assert device.tick(2.0) == ENQ


def test_a_host_that_is_not_there_is_given_up_in_the_end():
    device, now = one(b"H\r"), 0.0
    while not device.is_done:
        now = max(now, device.deadline())
        device.tick(now)
    assert device.report.failed == 1
    assert device.report.attempts == ATTEMPTS_MAX + 1


def test_blocks_are_at_most_240_characters():
    frames = in_blocks([b"M|" + b"x" * 700])
    assert [len(text) for text, _ in frames] == [240, 240, 223]
    assert [last for _, last in frames] == [False, False, True]


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_gives_the_same_message(style):
    assert message(style, 1, "7") == message(style, 1, "7")
    assert message(style, 1, "7") != message(style, 2, "7")


def test_packets_have_75_frames_a_second_and_a_checksum():
    device = Oximeter(1, 1, 2.0)
    data = b"".join(device.tick(at / 10) for at in range(20))
    assert len(data) == 5 * (1 + 19 * 75 // 10)
    assert all(sum(data[at : at + 4]) & 0xFF == data[at + 4] for at in range(0, len(data), 5))
    syncs = [at // 5 for at in range(0, len(data), 5) if data[at + 1] & 1]
    assert syncs == list(range(0, len(data) // 5, 25))
    assert packet_frame("2", 0, 97, 72, 0.0, is_in=True)[:2] == b"\x01\x83"


def test_a_scanner_gives_up_a_label_after_three_beeps():
    device = Scanner([luhn("123")], waits=True)
    for second in range(0, 6, 2):
        assert device.tick(float(second)) == luhn("123").encode() + b"\r"
        device.feed(NAK, float(second))
    assert device.is_done
    assert device.report.failed == 1


def test_a_blood_pressure_monitors_own_example_and_its_requests():
    """RB has the check byte 10 and RP 02, as seen on the line; what was published for RP is wrong."""
    assert framed("RB")[-1] == 0x10
    assert framed("RP")[-1] == 0x02
    device = Tm2655(1, faults=["asked-only"])
    device.tick(0.0)
    device.feed(framed("RB"), 1.0)
    assert device.tick(2.0) == b"\x16\x16\x0100\x15"
    device.tick(MEASURE_S)
    device.feed(framed("RB"), 40.0)
    assert device.tick(41.0).startswith(b"\x16\x16\x0100\x02TM2655\x1e2608010900\x1eRB\x1eM\x1eE00\x1eS")
    assert device.commands == ["RB", "RB"]


def test_a_suntech_module_answers_as_printed_and_never_unasked():
    assert cuff_answer(258) == bytes.fromhex("3e050201ba")
    assert result_answer(115, 74, 88, 85) == bytes.fromhex("3e1873004a001e01000000000000310755005800000000e9")
    device = Suntech(1)
    assert b"".join(device.tick(float(at)) for at in range(30)) == b""
    device.feed(bytes.fromhex("3a79050048"), 30.0)
    assert device.tick(31.0)[:2] == b"\x3e\x05"


def test_scales_say_what_their_manuals_print():
    assert and_line(4.8) == b"ST,GS,+    4.8kg\r\n"
    assert sics_line("S", 100.0) == b"S S     100.00 kg\r\n"
    line = tanita_line(82.7, 170, 18.6)
    assert line.startswith(b'{0,16,~0,1,~1,1,~2,1,MO,"SC-240",SN,"00000001",Bt,0,GE,1,AG,47,Hm,170,Pt,0.0,Wk,82.7,')
    assert b"MI,28.6," in line
    body, check = line.rstrip().split(b"CS,")
    assert sum(body) & 0xFF == int(check, 16)


def test_a_balance_refuses_what_would_change_it_and_a_host_never_learns_it_from_us():
    device = MtSics(1)
    device.tick(0.0)
    device.feed(b"Z\r\n", 1.0)
    assert device.tick(2.0) == b"ES\r\n"
    assert device.report.refused == 1


def test_a_contec_oximeter_streams_60_packets_a_second_until_nobody_speaks_to_it():
    device = Contec(1, finger_s=60.0)
    assert device.tick(0.0) == b""
    device.feed(b"\x7d\x81\xa1\x80\x80\x80\x80\x80\x80", 0.0)
    heard = b"".join(device.tick(at / 10) for at in range(10))
    assert len(heard) == 9 * 60
    assert all(one & 0x80 == 0 for one in heard[0::9])
    assert all(one & 0x80 for at in range(1, 9) for one in heard[at::9])
    device.tick(5.5)
    assert device.tick(6.5) == b""


def test_a_contec_oximeters_packets_are_those_that_were_seen():
    assert packet(0x07, 0, 0, 20, 14, 8, 18) == bytes.fromhex("07808080948e8892")
    assert packet(0x01, 4, 0x13, 0x12, 60, 99, 0xFF, 0xFF) == bytes.fromhex("01e0849392bce3ffff")
    assert old_live(97, 133, 0.5, is_in=True) == bytes((0x87, 50, 0x47, 5, 97))
