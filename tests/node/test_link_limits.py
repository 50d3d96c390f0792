"""What one session holds at most, whatever the peer and the line do: each named maximum at its limit."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.exchange import BACKLOG_MIN, Exchange
from node.progress import METER_S, METER_STEPS_MAX, Meter
from node.receiving import CHANNELS_MAX, CLOSED_MAX, Receiver, ReceivingCounts
from node.sending import SendingCounts
from tests.wire.air import MemoryOutbox
from wire import objects
from wire.errors import PeerError
from wire.flow import COMMAND_BACKLOG_MAX, COMMAND_SIZE_MAX
from wire.loss import FRAMES_MAX, Ledger, Sent
from wire.objects import HAVE_RUNS_MAX, Have, Offer, Receipt, Refusal
from wire.ranges import RangeSet

PEER = bytes(32)
SCATTERED = RangeSet([(1000 * run, 1000 * run + 500) for run in range(HAVE_RUNS_MAX)])


@dataclass
class Box:
    """An inbox that has some of everything, or all of it."""

    answer: object

    def offered(self, peer, offer):
        return self.answer

    def write(self, peer, object_id, offset, data):
        return None

    def finish(self, peer, object_id):
        return Receipt(b"word")


def offer(number, size=1_000_000):
    return Offer(number.to_bytes(16, "big"), objects.STUDY, size, bytes(16))


def receiver(answer):
    return Receiver(PEER, Box(answer), ReceivingCounts())


def test_the_object_after_the_last_that_may_be_open_is_told_to_wait():
    one = receiver(RangeSet())
    for channel in range(CHANNELS_MAX):
        one.offered(channel, offer(channel))
    assert len(one.receivings) == CHANNELS_MAX
    one.offered(CHANNELS_MAX, offer(CHANNELS_MAX))
    assert len(one.receivings) == CHANNELS_MAX
    answer = one.answers[CHANNELS_MAX]
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.BUSY
    assert answer.temporary


def test_of_the_channels_with_a_verdict_only_the_newest_are_remembered():
    one = receiver(Receipt(b"word"))
    for channel in range(CLOSED_MAX + 1):
        one.offered(channel, offer(channel))
        one.answers.clear()
        one.finished.clear()
    assert not one.knows(0)
    assert all(one.knows(channel) for channel in range(1, CLOSED_MAX + 1))


def test_a_channel_that_is_offered_again_is_a_breach():
    one = receiver(RangeSet())
    one.offered(0, offer(0))
    with pytest.raises(PeerError, match="channel 0 is offered a second time"):
        one.offered(0, offer(1))


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 40))
def test_answers_wait_while_the_peer_acknowledges_no_command(rounds):
    """A peer that offers and never acknowledges costs one backlog, and no answer is lost by the waiting."""
    exchange = Exchange(PEER, MemoryOutbox(), Box(SCATTERED), 1500, SendingCounts(), ReceivingCounts())
    said = 0
    for number in range(rounds * CHANNELS_MAX):
        exchange.receiver.offered(number, offer(number))
        before = len(exchange.receiver.answers)
        exchange.refresh(0.0)
        said += before - len(exchange.receiver.answers)
        assert exchange.flow.command.room > BACKLOG_MIN - COMMAND_SIZE_MAX
    assert said + len(exchange.receiver.answers) == rounds * CHANNELS_MAX
    assert isinstance(next(iter(exchange.receiver.answers.values()), Have(RangeSet())), Have | Refusal)
    assert exchange.flow.command.pending <= COMMAND_BACKLOG_MAX


def test_no_time_is_waited_for_while_nothing_more_can_be_said():
    """The deadline of an offer that cannot be made would wake the node again and again."""
    outbox = MemoryOutbox()
    outbox.add(b"data")
    exchange = Exchange(PEER, outbox, Box(SCATTERED), 1500, SendingCounts(), ReceivingCounts())
    exchange.refresh(0.0)
    exchange.sender.heard(0, Refusal(objects.DISK_FULL), 1.0)
    exchange.nudge()
    exchange.refresh(1.0)
    assert exchange.refresh_at() is not None
    number = 0
    while exchange.flow.command.room > BACKLOG_MIN:
        exchange.receiver.answers[number] = Have(SCATTERED)
        exchange.refresh(1.0)
        number += 1
    assert exchange.refresh_at() is None


def test_a_ledger_is_full_at_its_limit_and_not_before():
    ledger = Ledger()
    for counter in range(FRAMES_MAX - 1):
        ledger.note(Sent(counter, 100, 0.0, ()))
    assert not ledger.is_full
    ledger.note(Sent(FRAMES_MAX - 1, 100, 0.0, ()))
    assert ledger.is_full


def test_a_meter_holds_a_bounded_number_of_steps_and_still_knows_the_rate():
    meter = Meter()
    step_s = METER_S / METER_STEPS_MAX / 10
    for number in range(METER_STEPS_MAX * 100):
        meter.note(10, number * step_s)
    assert len(meter._steps) <= METER_STEPS_MAX
    assert abs(meter.rate(METER_STEPS_MAX * 100 * step_s) * step_s / 10 - 1) < 0.1
