"""What the ledger of frames under way takes for a round trip and for a loss."""

import pytest

from wire.loss import REORDER_MAX, FarClock, Ledger, Piece, Sent
from wire.ranges import RangeSet
from wire.records import TICK_S, TICKS, Ack


def note(ledger: Ledger, counter: int, now: float, *pieces: Piece) -> None:
    ledger.note(Sent(counter, 100, now, pieces))


def ack(*frames: tuple[int, int], delay_s: float = 0.0) -> Ack:
    return Ack(RangeSet(frames), delay_s, None)


def test_a_guess_gives_way_to_the_first_shorter_sample():
    """The answer to a HELLO that was sent again looks like a long round trip."""
    ledger = Ledger()
    ledger.guess_rtt(4.6)
    note(ledger, 0, 10.0)
    ledger.acknowledge(ack((0, 1)), 10.2)
    assert ledger.rtt_s == pytest.approx(0.2)


def test_a_guess_that_a_longer_sample_follows_is_no_outlier():
    ledger = Ledger()
    ledger.guess_rtt(1.0)
    note(ledger, 0, 10.0)
    ledger.acknowledge(ack((0, 1)), 12.0)
    assert ledger.rtt_s == pytest.approx(0.875 + 0.25)
    note(ledger, 1, 12.0)
    ledger.acknowledge(ack((0, 2)), 12.1)
    assert ledger.rtt_s > 0.9, "one short sample later is smoothed as any"


def test_three_later_frames_show_that_one_is_lost():
    ledger = Ledger()
    for counter in range(REORDER_MAX + 1):
        note(ledger, counter, 0.0, Piece(0, counter, 1))
    assert [frame.counter for frame in ledger.acknowledge(ack((REORDER_MAX, REORDER_MAX + 1)), 0.1).lost] == [0]
    assert ledger.frames_lost == 1


def test_a_frame_that_is_overdue_is_lost_once_a_later_one_has_arrived():
    ledger = Ledger()
    note(ledger, 0, 0.0, Piece(0, 0, 1))
    note(ledger, 1, 0.1)
    assert not ledger.acknowledge(ack((1, 2)), 1.1).lost
    assert ledger.overdue_at == pytest.approx(1.125)
    assert [frame.counter for frame in ledger.overdue(ledger.overdue_at)] == [0]


def test_what_is_under_way_can_be_asked_for():
    ledger = Ledger()
    note(ledger, 0, 0.0, Piece(None, 0, 5), Piece(3, 7, 9))
    note(ledger, 1, 0.0)
    assert list(ledger.pieces()) == [Piece(None, 0, 5), Piece(3, 7, 9)]


def test_frames_that_are_forgiven_no_longer_count_as_under_way():
    ledger = Ledger()
    note(ledger, 0, 0.0, Piece(0, 0, 1))
    ledger.forgive()
    assert ledger.in_flight == 0
    assert [frame.counter for frame in ledger.acknowledge(ack((0, 1)), 1.0).arrived] == [0]
    assert ledger.in_flight == 0


def test_a_far_clock_goes_round_unseen():
    clock, span_s = FarClock(), TICKS * TICK_S
    assert clock.read(1.0, 100.0) == 1.0
    assert clock.read((1.0 + span_s * 1.25) % span_s, 100.0 + span_s * 1.25) == pytest.approx(1.0 + span_s * 1.25)
    assert clock.read(None, 101.0) - clock.read(None, 100.0) == pytest.approx(1.0)
