"""Letters: what is lost when nothing is measured."""

import pytest

from wire.flow import Flow, Manner
from wire.letters import LETTERS_MAX, Letters
from wire.loss import Piece, Sent
from wire.ranges import RangeSet
from wire.records import Ack, Ping, Segment, decode, encode, segment_room


def letter(counter: int, *channels: int) -> Sent:
    return Sent(counter, 0, 0.0, tuple(Piece(channel, 0, 10) for channel in channels))


def numbers(found: list[Sent]) -> list[int]:
    return [one.counter for one in found]


def test_a_letter_is_lost_when_a_later_frame_has_arrived_and_it_has_not():
    letters = Letters()
    for counter in (3, 4, 9, 12):
        letters.note(letter(counter))
    outcome = letters.acknowledge(Ack(RangeSet([(4, 5), (10, 12)])))
    assert numbers(outcome.arrived) == [4]
    assert numbers(outcome.lost) == [3, 9]
    assert letters.floor == 12
    assert numbers(letters.acknowledge(Ack(RangeSet([(0, 13)]))).arrived) == [12]
    assert letters.is_empty


def test_frames_of_a_bearer_that_was_left_are_judged_by_their_counters():
    letters = Letters()
    letters.note(letter(7))
    letters.adopt([letter(5), letter(6)])
    assert letters.floor == 5
    assert numbers(letters.acknowledge(Ack(RangeSet([(6, 7)]))).lost) == [5]


def test_letters_are_bounded_and_the_oldest_count_as_lost():
    letters = Letters()
    for counter in range(LETTERS_MAX):
        assert letters.note(letter(counter)) == []
    assert numbers(letters.note(letter(LETTERS_MAX))) == [0]


def test_what_shall_go_again_is_given_up_with_its_whole_frame():
    letters = Letters()
    letters.adopt([letter(1, 10), letter(2, 10, 11), letter(3, 12)])
    assert numbers(letters.give_up(lambda piece: piece.channel == 11)) == [2]
    assert numbers(letters.acknowledge(Ack(RangeSet([(0, 4)]))).arrived) == [1, 3]


def one_segment(channel: int = 1, size: int = 100):
    left = [Segment(channel, 0, bytes(size))]
    return lambda room: left.pop() if left else None


def send(flow: Flow, counter: int, now: float, fill=None, *, posted: bool, ping: bool = False):
    composed = flow.compose(300, now, fill, ping)
    if posted:
        flow.note_posted(counter, composed, now)
    else:
        flow.note_sent(counter, 140, composed, now)
    return composed


def ack(*runs: tuple[int, int], delay_s: float = 0.0) -> bytes:
    return encode([Ack(RangeSet(runs), delay_s)])


def test_hours_in_a_mailbox_are_no_round_trip():
    flow = Flow(1400)
    send(flow, 1, 0.0, one_segment(), posted=False)
    flow.take(ack((0, 2)), 1.5)
    assert flow.ledger.rtt_s == 1.5
    window, rate = flow.pace.window, flow.pace.rate_bytes_s
    send(flow, 2, 2.0, one_segment(2), posted=False)
    assert flow.to_messages(Manner.RIDING, lambda piece: piece.channel == 2, 10.0) == [Piece(2, 0, 100)]
    send(flow, 3, 10.0, one_segment(2), posted=True)
    received = flow.take(ack((0, 2), (3, 4)), 4000.0)
    assert received.arrived == [Piece(2, 0, 100)]
    assert (flow.ledger.rtt_s, flow.pace.window, flow.pace.rate_bytes_s) == (1.5, window, rate)
    assert flow.letters.is_empty
    assert flow.seen_by_peer == 3


def test_bulk_under_way_when_the_bearer_changed_is_judged_by_the_first_answer():
    flow = Flow(1400)
    send(flow, 1, 0.0, one_segment(7), posted=False)
    send(flow, 2, 0.0, one_segment(8), posted=False)
    assert flow.to_messages(Manner.RIDING, lambda piece: False, 5.0) == []
    send(flow, 3, 5.0, one_segment(9), posted=True)
    received = flow.take(ack((0, 1), (2, 4)), 100.0)
    assert [piece.channel for piece in received.arrived] == [8, 9]
    assert [piece.channel for piece in received.lost] == [7]


def test_a_letter_still_under_way_is_lost_when_a_later_frame_over_another_bearer_arrived():
    flow = Flow(340)
    flow.to_messages(Manner.RIDING, lambda piece: False, 0.0)
    send(flow, 1, 0.0, one_segment(7), posted=True)
    flow.from_messages(60.0)
    send(flow, 2, 60.0, posted=False, ping=True)
    assert [piece.channel for piece in flow.take(ack((2, 3)), 61.0).lost] == [7]


@pytest.mark.parametrize(
    ("manner", "after_segment", "after_ping"),
    [(Manner.PROMPT, True, True), (Manner.WHEN_ASKED, False, True), (Manner.RIDING, False, False)],
)
def test_an_acknowledgement_goes_alone_only_where_it_is_worth_it(manner, after_segment, after_ping):
    flow = Flow(340)
    flow.seen.behave(manner, 0.0)
    flow.accept(1, flow.take(encode([Segment(1, 0, b"x")]), 1.0), 1.0)
    assert (flow.seen.due_at is not None) is after_segment
    flow.accept(2, flow.take(encode([Ping()]), 2.0), 2.0)
    assert (flow.seen.due_at is not None) is after_ping
    assert isinstance(decode(flow.compose(300, 3.0, one_segment()).payload)[0], Ack), "it rides along"
    assert not flow.seen.rides


def test_what_waited_to_ride_is_told_at_once_over_a_bearer_that_answers():
    flow = Flow(340)
    flow.seen.behave(Manner.RIDING, 0.0)
    flow.accept(1, flow.take(encode([Segment(1, 0, b"x")]), 1.0), 1.0)
    flow.from_messages(50.0)
    assert flow.seen.due_at == 50.0


@pytest.mark.parametrize(("channel", "offset"), [(0, 0), (63, 63), (64, 64), (16383, 16383), (16384, 1 << 30)])
def test_a_segment_fills_its_frame_to_the_last_byte(channel, offset):
    size = segment_room(channel, offset, 321)
    assert len(encode([Segment(channel, offset, bytes(size))])) == 321
