"""A recording that speaks: at its times, behind the answers that it waits for, and on without them."""

from hardware.simulated.player import PATIENCE_S, Player

PIECES = [("<", 0.0, b"\x05"), (">", 0.1, b"\x06"), ("<", 0.3, b"text"), ("<", 5.3, b"more"), (">", 5.4, b"ab")]


def test_it_waits_for_the_answer_and_then_as_long_as_it_did():
    device = Player(PIECES)
    assert device.tick(10.0) == b"\x05"
    assert device.tick(12.0) == b""
    device.feed(b"\x06", 13.0)
    assert device.tick(13.0) == b""
    assert device.deadline() == 13.2
    assert device.tick(13.2) == b"text"
    assert device.deadline() == 18.2
    assert device.tick(18.2) == b"more"
    device.feed(b"a", 18.3)
    assert not device.is_done
    device.feed(b"b", 18.4)
    assert device.tick(18.4) == b""
    assert device.is_done
    assert device.deadline() is None
    assert device.report.is_good
    assert (device.report.messages, device.report.frames, device.report.bytes_sent) == (2, 3, 9)


def test_an_answer_that_does_not_come_is_given_up_and_counted():
    device = Player(PIECES[:3])
    device.tick(0.0)
    at = device.deadline()
    assert at == 0.1 + PATIENCE_S
    device.tick(at)
    assert device.tick(device.deadline()) == b"text"
    assert (device.report.failed, device.report.is_good) == (1, False)


def test_in_a_hurry_there_are_no_pauses_but_answers_are_awaited():
    device = Player(PIECES, in_a_hurry=True)
    assert device.tick(0.0) == b"\x05"
    device.feed(b"\x06", 0.5)
    assert device.tick(0.5) == b"textmore"


def test_answers_in_one_piece_are_answers_all_the_same():
    device = Player([("<", 0.0, b"1"), (">", 0.0, b"a"), (">", 0.0, b"b"), ("<", 0.0, b"2")])
    device.tick(0.0)
    device.feed(b"ab", 0.0)
    assert device.tick(0.0) == b"2"
    assert device.is_done
