"""The command channel and the acknowledgements of one session."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import kinds, records
from wire.errors import PeerError
from wire.flow import (
    ACK_DELAY_S_MAX,
    COMMAND_WINDOW,
    EARLY_FRAMES,
    SEEN_RUNS_MAX,
    CommandIn,
    CommandOut,
    Composed,
    Flow,
    Seen,
)
from wire.loss import Piece
from wire.ranges import RangeSet
from wire.records import Ack, Control, Segment, segment_room
from wire.tag import Tag, encode

tags = st.lists(
    st.builds(lambda n, data: Tag(kinds.NETWORK, n, data), st.integers(1, 9), st.binary(max_size=300)), max_size=20
)


@given(tags, st.integers(1, 200), st.randoms(use_true_random=False), st.floats(0, 0.6))
def test_commands_come_out_in_order_whatever_is_lost_repeated_and_mixed_up(said, size, rng, loss):
    out, into, heard = CommandOut(), CommandIn(), []
    for tag in said:
        out.say(tag)
    under_way: list[Control] = []
    for _ in range(100_000):
        while (record := out.take(size)) is not None:
            under_way.append(record)
        if not under_way:
            break
        record = under_way.pop(rng.randrange(len(under_way)))
        piece = Piece(None, record.offset, len(record.data))
        if rng.random() < loss:
            out.lost(piece)
            continue
        heard += into.take(record)
        if rng.random() < 0.2:
            heard += into.take(record)
            out.lost(piece)
        out.arrived(piece)
        out.lost(piece)
    assert heard == said
    assert not out.has_more
    assert out.room == CommandOut().room, "bytes are kept that have arrived"


def test_commands_wait_when_too_many_are_under_way():
    out = CommandOut()
    for _ in range(20):
        out.say(Tag(kinds.NETWORK, 1, bytes(4000)))
    sent = 0
    while (record := out.take(1000)) is not None:
        sent += len(record.data)
    assert sent == COMMAND_WINDOW
    out.arrived(Piece(None, 0, 1000))
    assert out.take(1000) is not None


def test_commands_too_far_ahead_are_a_breach_and_keep_no_memory():
    into = CommandIn()
    with pytest.raises(PeerError, match="ahead"):
        into.take(Control(COMMAND_WINDOW + 5000, b"x"))


def test_a_command_that_is_too_large_is_a_breach():
    with pytest.raises(PeerError, match="at most 4096"):
        CommandIn().take(Control(0, encode(Tag(kinds.NETWORK, 1, bytes(5000)))[:100]))


def test_the_first_frames_are_acknowledged_one_by_one_and_later_ones_together():
    seen = Seen()
    for counter in range(EARLY_FRAMES):
        seen.note(counter, asks=True, rtt_s=2.0, now=1.0)
        assert seen.due_at == 1.0
        seen.tell(1.0)
    waits = []
    for counter in range(EARLY_FRAMES, EARLY_FRAMES + 4):
        seen.note(counter, asks=True, rtt_s=2.0, now=2.0)
        waits.append(seen.due_at - 2.0)
    assert waits == pytest.approx([ACK_DELAY_S_MAX, ACK_DELAY_S_MAX, ACK_DELAY_S_MAX, 0.0])


def test_a_gap_is_told_at_once():
    seen = Seen()
    seen.frames.add(0, 100)
    seen.note(102, asks=True, rtt_s=2.0, now=5.0)
    assert seen.due_at == 5.0
    ack = seen.tell(5.5)
    assert list(ack.frames) == [(0, 100), (102, 103)]
    assert ack.delay_s == pytest.approx(0.5)


def test_what_asks_for_nothing_is_not_answered():
    seen = Seen()
    seen.note(0, asks=False, rtt_s=1.0, now=0.0)
    assert seen.due_at is None


def test_what_was_seen_is_bounded_and_forgotten_on_request():
    seen = Seen()
    for counter in range(0, 1000, 2):
        seen.note(counter, asks=False, rtt_s=1.0, now=0.0)
    assert len(seen.frames) <= SEEN_RUNS_MAX
    seen.forget_below(1 << 40)
    assert list(seen.frames) == [(998, 999)], "the newest is kept, or the order would be lost"


def test_an_ack_of_a_frame_never_sent_is_a_breach():
    with pytest.raises(PeerError, match="the last one sent is 0"):
        Flow(1500).take(records.encode([Ack(RangeSet([(0, 2)]))]), 0.0)


def test_a_frame_is_filled_with_what_is_due_and_no_more_than_the_limit():
    flow = Flow(1500)
    flow.command.say(Tag(kinds.NETWORK, 1, bytes(100)))
    flow.seen.note(0, asks=True, rtt_s=1.0, now=0.0)
    left = [700, 700, 700]

    def fill(room: int) -> Segment | None:
        if not left:
            return None
        size = min(segment_room(1, 0, room), left.pop())
        return Segment(1, 0, bytes(size))

    composed = flow.compose(1000, 0.0, fill)
    assert len(composed.payload) <= 1000
    kinds_found = [type(record) for record in records.decode(composed.payload)]
    assert kinds_found == [Ack, Control, Segment, Segment]
    assert composed.asks


def test_nothing_due_is_an_empty_payload():
    assert Flow(1500).compose(1000, 0.0, lambda room: None).payload == b""


def test_a_frame_that_asked_for_nothing_shows_what_was_lost_before_it():
    near = Flow(1400)
    near.begin(100, 0.1, 0.0)
    near.note_sent(1, 500, Composed(b"x", (Piece(0, 0, 400),), asks=True), 0.0)
    near.note_sent(2, 30, Composed(b"x", (), asks=False), 0.01)
    received = near.take(records.encode([Ack(RangeSet([(0, 1), (2, 3)]))]), 1.0)
    assert received.lost == [Piece(0, 0, 400)]
