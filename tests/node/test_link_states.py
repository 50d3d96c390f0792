"""The tables of the link, cell by cell: what is not in a table is an error, and docs/protocol.md shows the same."""

from itertools import product
from pathlib import Path

import pytest

from node import link, sending
from node.link import CALLER_TRANSITIONS, CallerEvent, CallerState
from node.progress import Meter
from node.sending import Said, Sender, SendingCounts, State
from tests.wire.air import MemoryOutbox
from wire import rate
from wire.errors import PeerError
from wire.loss import Ledger, Piece, Sent
from wire.objects import Custody, Have, Receipt, Refusal
from wire.ranges import RangeSet
from wire.rate import Mode, Pace
from wire.records import Ack

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


@pytest.mark.parametrize(("state", "said"), list(product(State, Said)))
def test_every_cell_of_the_sending_table(state, said):
    if (state, said) in sending.TRANSITIONS:
        assert sending.next_state(state, said) is sending.TRANSITIONS[state, said]
    else:
        with pytest.raises(PeerError, match=said.value):
            sending.next_state(state, said)


@pytest.mark.parametrize(("state", "event"), list(product(CallerState, CallerEvent)))
def test_every_state_of_a_caller_is_left_when_the_session_breaks(state, event):
    assert CALLER_TRANSITIONS[state, CallerEvent.BROKEN] is CallerState.CALLING
    if event is CallerEvent.WELCOME and state is not CallerState.UP:
        assert CALLER_TRANSITIONS[state, event] is CallerState.UP


def test_the_protocol_page_names_every_state():
    page = PROTOCOL.read_text()
    for state in (*State, *CallerState, *Mode):
        assert state.name in page, f"{state.name} is missing in docs/protocol.md"
    for kind in link.EVENT_KINDS:
        assert f'"{kind}"' in page


def sender_with(data: bytes) -> tuple[Sender, MemoryOutbox, bytes]:
    outbox = MemoryOutbox()
    object_id = outbox.add(data)
    sender = Sender(outbox, SendingCounts())
    sender.refresh(0.0)
    return sender, outbox, object_id


def test_a_large_object_waits_for_the_gap_list_and_sends_only_the_gaps():
    sender, outbox, object_id = sender_with(bytes(100_000))
    assert sender.next_segment(1000) is None
    sender.heard(0, Have(RangeSet([(0, 40_000), (50_000, 99_500)])), 0.0)
    sent = []
    while (segment := sender.next_segment(4000)) is not None:
        sent.append((segment.offset, len(segment.data)))
        sender.arrived(Piece(0, segment.offset, len(segment.data)))
    assert sent == [(40_000, 4000), (44_000, 4000), (48_000, 2000), (99_500, 500)]
    assert sender.sendings[0].state is State.AWAITING
    sender.heard(0, Custody(), 0.0)
    assert outbox.custody == {object_id}
    sender.heard(0, Receipt(b"r"), 0.0)
    assert outbox.receipts == {object_id: b"r"}
    assert not sender.sendings


def test_a_small_object_goes_with_its_offer_and_what_was_lost_goes_again():
    sender, _, _ = sender_with(bytes(2000))
    first, second = sender.next_segment(1500), sender.next_segment(1500)
    assert (first.offset, second.offset) == (0, 1500)
    sender.lost(Piece(0, 0, 1500))
    again = sender.next_segment(1500)
    assert (again.offset, len(again.data)) == (0, 1500)
    assert sender.counts.resent == 1


def test_what_was_lost_and_arrived_all_the_same_is_not_sent_again():
    sender, _, _ = sender_with(bytes(2000))
    sender.next_segment(2000)
    sender.arrived(Piece(0, 0, 2000))
    sender.lost(Piece(0, 0, 2000))
    assert sender.next_segment(2000) is None


def test_a_temporary_refusal_is_waited_for():
    sender, outbox, _ = sender_with(bytes(10))
    sender.heard(0, Refusal(1), 100.0)
    assert len(outbox.refusals) == 1
    assert sender.refresh(110.0) == []
    assert sender.wants_refresh_at() == 100.0 + sending.REFUSED_PAUSE_S
    assert len(sender.refresh(131.0)) == 1


def test_offers_at_a_time_are_bounded_and_the_urgent_go_first():
    outbox = MemoryOutbox()
    for number in range(3 * sending.OFFERED_MAX):
        outbox.add(number.to_bytes(4, "big"), priority=1 + number % 9, object_id=number.to_bytes(16, "big"))
    sender = Sender(outbox, SendingCounts())
    offered = sender.refresh(0.0)
    assert len(offered) == sending.OFFERED_MAX
    assert max(s.offer.priority for s in offered) <= 4
    assert sender.refresh(0.0) == []


def note(ledger: Ledger, counter: int, at: float, piece: Piece | None = None) -> None:
    ledger.note(Sent(counter, 100, at, (piece,) if piece else ()))


def test_a_frame_is_lost_when_three_later_ones_have_arrived():
    ledger = Ledger()
    for counter in range(6):
        note(ledger, counter, 0.1 * counter, Piece(0, counter, 1))
    outcome = ledger.acknowledge(Ack(RangeSet([(1, 4)])), 1.0)
    assert [frame.counter for frame in outcome.arrived] == [1, 2, 3]
    assert [frame.counter for frame in outcome.lost] == [0]
    assert ledger.in_flight == 200


def test_a_frame_is_lost_when_it_is_overdue_and_something_later_has_arrived():
    ledger = Ledger()
    note(ledger, 0, 0.0, Piece(0, 0, 1))
    note(ledger, 1, 0.1, Piece(0, 1, 1))
    assert ledger.acknowledge(Ack(RangeSet([(1, 2)])), 1.0).lost == []
    assert ledger.overdue_at is not None
    assert [frame.counter for frame in ledger.overdue(ledger.overdue_at)] == [0]


def test_silence_alone_declares_nothing_lost():
    ledger = Ledger()
    note(ledger, 0, 0.0, Piece(0, 0, 1))
    assert ledger.overdue(1e9) == []


def test_empty_probes_do_not_pile_up():
    ledger = Ledger()
    note(ledger, 0, 0.0, Piece(0, 0, 1))
    for counter in range(1, 100):
        note(ledger, counter, 0.0)
        ledger.forget_probes(8)
    assert ledger.in_flight == 900


def line_of(bytes_s: float, delay_s: float, frames: int, *, lose=lambda n: False) -> tuple[Pace, float, float]:
    """Send frames through an ideal line with `pace`; returns it, the time taken and the longest queue in seconds."""
    pace, now, busy, worst = Pace(1500), 0.0, 0.0, 0.0
    pace.begin(600, 2 * delay_s + 600 / bytes_s, now)
    under_way, sent = [], 0
    while sent < frames or under_way:
        flight = sum(size for _, _, size, _ in under_way)
        size = pace.frame_size
        if sent < frames and flight + size / 2 <= pace.window and pace.next_at <= now:
            busy = max(busy, now) + size / bytes_s
            worst = max(worst, busy - now)
            under_way.append((busy + 2 * delay_s, now, size, sent))
            pace.on_sent(size, now, sent)
            pace.note_limited()
            sent += 1
            continue
        times = [under_way[0][0]] if under_way else []
        times += [pace.next_at] if sent < frames and flight + size / 2 <= pace.window else []
        now = max(now, min(times))
        while under_way and under_way[0][0] <= now:
            _, at, size, counter = under_way.pop(0)
            pace.note_limited()
            pace.on_resolved(size, None if lose(counter) else (now - at, size), counter, sent - 1, now)
    return pace, now, worst


@pytest.mark.parametrize("bytes_s", [300, 1200, 5000, 125_000])
@pytest.mark.parametrize("delay_s", [0.1, 0.75])
def test_the_pace_finds_the_rate_of_the_line_and_keeps_its_queue_short(bytes_s, delay_s):
    pace, seconds, worst = line_of(bytes_s, delay_s, 300)
    assert pace.mode is Mode.STEADY
    assert pace.rate_bytes_s == pytest.approx(bytes_s, rel=0.15)
    assert seconds * bytes_s < 300 * 1500 * 1.1 + 10 * bytes_s
    assert worst < 1.2 * delay_s + rate.FIRST_WINDOW_FAST / bytes_s


def test_loss_does_not_slow_it_down():
    clean, lossy = line_of(5000, 0.75, 300)[1], line_of(5000, 0.75, 300, lose=lambda n: n % 4 == 0)[1]
    assert lossy < 1.1 * clean


def test_frames_are_small_enough_for_a_command_to_get_through():
    pace, _, _ = line_of(300, 0.9, 100)
    assert 600 <= pace.frame_size <= 1000


def test_a_way_that_became_longer_does_not_starve_it():
    """A satellite hands over, the way is longer now: it looks like a queue that no slowing down can drain."""
    pace, now = Pace(1500), 0.0
    pace.begin(600, 0.6, now)
    pace.mode, pace.rate_bytes_s = Mode.STEADY, 5000.0
    for counter in range(400):
        now += 1500 / min(5000.0, pace.rate_bytes_s * pace._gain)
        pace.on_sent(1500, now, counter)
        pace.note_limited()
        pace.on_resolved(1500, (1.8 if counter > 20 else 0.8, 1500), counter, counter + 6, now)
    assert pace.rate_bytes_s > 1500
    assert pace.base_rtt_s > 1.0


def test_the_meter_forgets():
    meter = Meter()
    for second in range(10):
        meter.note(1000, float(second))
    assert meter.rate(9.0) == pytest.approx(1000, rel=0.01)
    assert meter.rate(100.0) == 0.0
