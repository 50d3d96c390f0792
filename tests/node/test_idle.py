"""The two ends of an exchange that does not happen."""

import pytest

from node.idle import NothingTaken, NothingToSend
from node.seams import Offer, Refusal
from wire import objects
from wire.errors import Misuse


def test_there_is_nothing_to_send_whatever_the_peer_says():
    outbox = NothingToSend()
    outbox.in_custody(bytes(16))
    outbox.receipt(bytes(16), b"word")
    outbox.refused(bytes(16), Refusal(objects.BUSY))
    assert outbox.pending() == ()
    with pytest.raises(Misuse, match="never offered"):
        outbox.read(bytes(16), 0, 1)


@pytest.mark.parametrize("kind", objects.KINDS)
def test_no_kind_of_object_is_taken_and_the_refusal_is_for_good(kind):
    answer = NothingTaken().offered(bytes(32), Offer(bytes(16), kind, 1, bytes(16)))
    assert answer.reason == objects.NOT_WANTED
    assert not answer.temporary
    assert objects.KINDS[kind] in answer.text


def test_a_kind_that_is_not_known_is_named_by_its_number():
    assert "13" in NothingTaken().offered(bytes(32), Offer(bytes(16), 13, 1, bytes(16))).text


def test_bytes_of_what_was_refused_are_our_own_mistake():
    with pytest.raises(Misuse, match="was refused"):
        NothingTaken().write(bytes(32), bytes(16), 0, b"x")
    with pytest.raises(Misuse, match="was refused"):
        NothingTaken().finish(bytes(32), bytes(16))
