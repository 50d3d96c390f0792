"""What a peer that breaks the rules can make the receiving half keep."""

import pytest

from node.receiving import ANSWERS_MAX, CHANNELS_MAX, Receiver, ReceivingCounts
from tests.wire.air import MemoryInbox
from wire import objects
from wire.errors import PeerError
from wire.objects import Have, Offer, Refusal


def offer(number):
    return Offer(number.to_bytes(16, "big"), objects.STUDY, 10, bytes(16))


def test_a_peer_that_offers_on_and_on_and_takes_no_answer_is_cut_off():
    """Its answers were kept without bound: 300 bytes of the host's memory for every 40 that it sent."""
    receiver = Receiver(b"p" * 32, MemoryInbox(), ReceivingCounts())
    for number in range(ANSWERS_MAX):
        receiver.offered(number, offer(number))
    with pytest.raises(PeerError, match="answers wait"):
        receiver.offered(ANSWERS_MAX, offer(ANSWERS_MAX))
    assert len(receiver.receivings) == CHANNELS_MAX
    assert isinstance(receiver.answers[0], Have)
    assert isinstance(receiver.answers[CHANNELS_MAX], Refusal)


def test_a_peer_that_takes_its_answers_may_offer_for_ever():
    receiver = Receiver(b"p" * 32, MemoryInbox(), ReceivingCounts())
    for number in range(2 * ANSWERS_MAX):
        receiver.offered(number, offer(number))
        receiver.answers.clear()
