"""What a HELLO carries: whole offers before any byte of what they offer, whatever the room."""

import pytest

from node.exchange import Exchange
from node.receiving import ReceivingCounts
from node.sending import SendingCounts
from tests.wire.air import KIT, MemoryInbox, MemoryOutbox
from wire import records
from wire.records import Segment


def ends():
    outbox, inbox = MemoryOutbox(), MemoryInbox()
    made = [
        Exchange(KIT.public, box, inbox, 1228, SendingCounts(), ReceivingCounts()) for box in (outbox, MemoryOutbox())
    ]
    return outbox, *made


@pytest.mark.parametrize("count", [1, 3, 13])
def test_many_small_objects_and_a_hello_that_ends_within_an_offer(count):
    """The gateway fell over a segment whose offer was cut off: an ACK of nothing. Seed 1033 of a journey."""
    for room in range(40, 900):
        outbox, caller, host = ends()
        for number in range(count):
            outbox.add(bytes([number]) * (200 + number), 5)
        composed = caller.compose_early(room, room, 0.0)
        host.receive(0, composed.payload, 0.0)
        assert host.compose_welcome(900, 0.0, is_message=False).payload
        assert host.flow.seen.frames, f"{room} bytes: a segment came without its offer"


def test_a_hello_with_a_segment_of_nothing_is_answered():
    _, _, host = ends()
    host.receive(0, records.encode([Segment(7, 0, b"stray")]), 0.0)
    assert host.compose_welcome(900, 0.0, is_message=False).payload
