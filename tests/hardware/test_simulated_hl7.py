"""The simulated HL7 devices, against what the standard and the makers say and not against our driver."""

from random import Random

import pytest

from hardware.simulated.hl7_results import STYLES, message, picture
from hardware.simulated.hl7_sender import ANSWER_S, FAULTS, PAUSE_S, SENDS_MAX, Hl7Sender

ORU = b"MSH|^~\\&|A|B|||20260801080000||ORU^R01|7|P|2.3.1\rOBX|1|NM|WBC||5\r"


def acknowledged(code, control_id=b"7"):
    return b"\x0bMSH|^~\\&|||||||ACK^R01|1|P|2.3.1\rMSA|" + code + b"|" + control_id + b"\r\x1c\r"


def switched_on(*faults, messages=(ORU,)):
    device = Hl7Sender(messages, faults)
    return device, device.tick(0.0)


def test_a_message_stands_between_vt_and_fs_cr():
    assert switched_on()[1] == b"\x0b" + ORU + b"\x1c\r"


def test_aa_of_its_control_id_is_the_end():
    device, _ = switched_on()
    device.feed(acknowledged(b"AA", b"8"), 1.0)
    assert not device.is_done
    device.feed(acknowledged(b"AA"), 1.0)
    assert device.is_done
    assert device.report.is_good


@pytest.mark.parametrize("code", [b"AE", b"AR", b"CR"])
def test_a_refused_message_is_sent_again_after_a_pause(code):
    device, first = switched_on()
    device.feed(acknowledged(code), 1.0)
    assert device.tick(1.0 + PAUSE_S - 0.1) == b""
    assert device.tick(1.0 + PAUSE_S) == first


def test_ten_seconds_without_an_answer_and_it_is_sent_again_but_not_for_ever():
    device, first = switched_on()
    assert device.tick(ANSWER_S - 0.1) == b""
    sent = [first]
    while (due := device.deadline()) is not None:
        sent += [out] if (out := device.tick(due)) else []
    assert sent == [first] * SENDS_MAX
    assert device.report.failed == 1


def test_a_fresh_time_changes_msh_7_and_nothing_else():
    device, first = switched_on("fresh-time")
    device.tick(ANSWER_S)
    again = device.tick(ANSWER_S + PAUSE_S)
    assert again != first
    assert again.replace(b"20260801080002", b"20260801080000") == first


def test_a_query_comes_first_and_its_refusal_is_no_failure():
    device, first = switched_on("query")
    assert b"|QRY^Q02|7Q|" in first
    device.feed(acknowledged(b"AR", b"7Q"), 1.0)
    assert b"ORU^R01" in device.tick(1.0)


def test_together_is_everything_in_one_piece():
    other = ORU.replace(b"|7|", b"|8|")
    device, out = switched_on("together", messages=(ORU, other))
    assert out.count(b"\x0b") == 2
    device.feed(acknowledged(b"AA") + acknowledged(b"AA", b"8"), 1.0)
    assert device.report.is_good


@pytest.mark.parametrize(
    ("fault", "shape"),
    [("no-end", b"5\r"), ("no-cr", b"5\r\x1c"), ("line-feeds", b"5\r\n\x1c\r"), ("cut", ORU[:20])],
)
def test_habits_of_the_envelope(fault, shape):
    assert shape in switched_on(fault)[1]
    assert fault in FAULTS


@pytest.mark.parametrize("style", STYLES)
def test_the_same_seed_says_the_same_and_a_control_is_told_apart(style):
    assert message(style, 1, "113", at=2) == message(style, 1, "113", at=2)
    assert message(style, 1, "113", is_control=True) != message(style, 1, "113")
    assert b"113" in message(style, 1, "113")


def test_the_picture_is_a_bmp_of_its_size():
    image = picture(Random(1))
    assert image[:2] == b"BM"
    assert int.from_bytes(image[2:6], "little") == len(image)
