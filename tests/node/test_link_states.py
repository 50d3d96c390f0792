"""The tables of the link, cell by cell: what is not in a table is an error, and docs/protocol.md shows the same."""

from itertools import product
from pathlib import Path

import pytest

from node import link, sending
from node.link import CALLER_TRANSITIONS, CallerEvent, CallerState
from node.progress import Meter
from node.sending import Said, Sender, SendingCounts, State
from tests.wire.air import SEGMENT_HEAD, MemoryOutbox
from wire.errors import PeerError
from wire.loss import Echo, Ledger, Piece, Sent
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
    assert sender.fitting_segment(SEGMENT_HEAD + 1000) is None
    sender.heard(0, Have(RangeSet([(0, 40_000), (50_000, 99_500)])), 0.0)
    sent = []
    while (segment := sender.fitting_segment(SEGMENT_HEAD + 4000)) is not None:
        sent.append((segment.offset, len(segment.data)))
        sender.arrived(Piece(0, segment.offset, len(segment.data)))
    assert RangeSet((at, at + size) for at, size in sent) == RangeSet([(40_000, 50_000), (99_500, 100_000)])
    assert sent == sorted(sent)
    assert [size for _, size in sent[:2]] == [3997, 3997]  # an offset takes more room than that of the first segment
    assert sender.sendings[0].state is State.AWAITING
    sender.heard(0, Custody(), 0.0)
    assert outbox.custody == {object_id}
    sender.heard(0, Receipt(b"r"), 0.0)
    assert outbox.receipts == {object_id: b"r"}
    assert not sender.sendings


def test_a_small_object_goes_with_its_offer_and_what_was_lost_goes_again():
    sender, _, _ = sender_with(bytes(2000))
    first, second = sender.fitting_segment(SEGMENT_HEAD + 1500), sender.fitting_segment(SEGMENT_HEAD + 1500)
    assert (first.offset, second.offset) == (0, 1500)
    sender.lost(Piece(0, 0, 1500))
    again = sender.fitting_segment(SEGMENT_HEAD + 1500)
    assert (again.offset, len(again.data)) == (0, 1500)
    assert sender.counts.resent == 1


def test_what_was_lost_and_arrived_all_the_same_is_not_sent_again():
    sender, _, _ = sender_with(bytes(2000))
    sender.fitting_segment(SEGMENT_HEAD + 2000)
    sender.arrived(Piece(0, 0, 2000))
    sender.lost(Piece(0, 0, 2000))
    assert sender.fitting_segment(SEGMENT_HEAD + 2000) is None


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


class IdealLine:
    """A line without jitter, with `pace` on its sending side; ACKs come for each frame."""

    def __init__(self, bytes_s: float, way_s: float) -> None:
        self.bytes_s, self.way_s = bytes_s, way_s
        self.pace, self.now, self.busy_until, self.queue_s_max = Pace(1500), 0.0, 0.0, 0.0
        self.under_way: list[tuple[float, Sent]] = []
        self.counter = 0
        self.pace.begin(600, 2 * way_s + 600 / bytes_s, 0.0)

    def send(self) -> None:
        frame = Sent(self.counter, self.pace.frame_size, self.now, ())
        self.counter += 1
        self.busy_until = max(self.busy_until, self.now) + frame.size / self.bytes_s
        self.queue_s_max = max(self.queue_s_max, self.busy_until - self.now)
        self.under_way.append((self.busy_until + self.way_s, frame))
        self.pace.on_sent(frame, self.now)
        self.pace.note_limited()

    def run(self, frames: int, lose=lambda counter: False) -> None:
        sent, back_s = 0, self.way_s
        while sent < frames or self.under_way:
            flight = sum(frame.size for _, frame in self.under_way)
            is_open = sent < frames and flight + self.pace.frame_size / 2 <= self.pace.window
            if is_open and self.pace.next_at <= self.now:
                sent += 1
                self.send()
                continue
            times = [self.under_way[0][0] + back_s] if self.under_way else []
            self.now = max(self.now, min(times + ([self.pace.next_at] if is_open else [])))
            while self.under_way and self.under_way[0][0] + back_s <= self.now:
                arrived_at, frame = self.under_way.pop(0)
                lost = [frame] if lose(frame.counter) else []
                echo = None if lost else Echo(frame, self.now - frame.sent_at, arrived_at + 1000)
                self.pace.note_limited()
                self.pace.on_resolved(lost, echo, self.counter - 1, self.now)


@pytest.mark.parametrize("bytes_s", [150, 300, 1200, 5000, 125_000, 1_250_000])
@pytest.mark.parametrize("way_s", [0.01, 0.1, 0.75, 1.5])
def test_the_pace_finds_the_rate_of_the_line_and_keeps_its_queue_short(bytes_s, way_s):
    line = IdealLine(bytes_s, way_s)
    frames = max(300, int(20 * bytes_s * way_s / 1500))
    line.run(frames)
    assert line.pace.mode is Mode.STEADY
    assert line.pace.rate_bytes_s == pytest.approx(bytes_s, rel=0.05)
    assert line.pace.base_rtt_s == pytest.approx(2 * way_s, rel=0.1, abs=0.1)
    line.queue_s_max, began_at = 0.0, line.now
    line.run(frames)
    bytes_sent = frames * line.pace.frame_size
    assert line.now - began_at - 2 * way_s < 1.06 * bytes_sent / bytes_s, "the line was idle"
    own_s = line.pace.frame_size / bytes_s
    assert line.queue_s_max < own_s + 0.3 * (2 * way_s + own_s) + 0.05, "more waits than a loaded round needs"


def test_loss_does_not_slow_it_down():
    clean, lossy = IdealLine(5000, 0.75), IdealLine(5000, 0.75)
    clean.run(300)
    lossy.run(300, lose=lambda counter: counter % 4 == 0)
    assert lossy.now < 1.05 * clean.now


def test_frames_are_small_enough_for_a_command_to_get_through():
    line = IdealLine(300, 0.9)
    line.run(100)
    assert 600 <= line.pace.frame_size <= 1100


@pytest.mark.parametrize("factor", [0.25, 0.5, 2, 5])
def test_a_line_that_becomes_faster_or_slower_is_followed(factor):
    line = IdealLine(5000, 0.5)
    line.run(100)
    line.bytes_s *= factor
    line.run(300)
    assert line.pace.rate_bytes_s == pytest.approx(5000 * factor, rel=0.1)


def test_a_way_that_became_longer_does_not_starve_it():
    """A satellite hands over, the way is longer now: it looks like a queue that no slowing down can drain."""
    line = IdealLine(5000, 0.3)
    line.run(50)
    line.way_s = 0.9
    line.run(300)
    assert line.pace.rate_bytes_s == pytest.approx(5000, rel=0.1)
    assert line.pace.base_rtt_s > 1.5


def test_the_meter_forgets():
    meter = Meter()
    for second in range(10):
        meter.note(1000, float(second))
    assert meter.rate(9.0) == pytest.approx(1000, rel=0.01)
    assert meter.rate(100.0) == 0.0
