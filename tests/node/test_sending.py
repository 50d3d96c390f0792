"""What the sender offers again, when, and how little it sends then."""

from dataclasses import replace

import pytest

from node.sending import CUSTODY_PAUSE_S, EAGER_SIZE, OFFERED_MAX, REFUSED_PAUSE_S, Sender, SendingCounts, State
from tests.wire.air import SEGMENT_HEAD
from wire import objects
from wire.errors import DiskFull
from wire.objects import Custody, Have, Offer, Receipt, Refusal
from wire.ranges import RangeSet

DATA = bytes(range(256)) * 4


class Box:
    """An outbox with one object."""

    def __init__(self, *, again=False):
        self.offer = Offer(bytes(16), objects.STUDY, len(DATA), bytes(16), again=again)
        self.held = False
        self.done = []

    def pending(self):
        return (
            ()
            if self.done
            else (Offer(bytes(16), objects.STUDY, len(DATA), bytes(16), again=self.held or self.offer.again),)
        )

    def read(self, object_id, offset, size):
        return DATA[offset : offset + size]

    def in_custody(self, object_id):
        self.held = True

    def receipt(self, object_id, receipt):
        self.done.append(receipt)

    def refused(self, object_id, refusal):
        pass


def sender(box):
    one = Sender(box, SendingCounts())
    one.refresh(0.0)
    return one


def test_a_new_small_object_goes_along_with_its_offer():
    assert len(DATA) <= EAGER_SIZE
    assert sender(Box()).fitting_segment(SEGMENT_HEAD + 2000).data == DATA


def test_of_an_object_in_custody_no_byte_goes_in_a_new_session_unless_the_peer_lacks_it():
    one = sender(Box(again=True))
    assert one.fitting_segment(SEGMENT_HEAD + 2000) is None
    one.open_early()
    assert one.fitting_segment(SEGMENT_HEAD + 2000) is None
    one.heard(0, Have(RangeSet([(0, 1000)])), 1.0)
    assert one.fitting_segment(SEGMENT_HEAD + 2000).data == DATA[1000:]


def test_a_receipt_that_never_follows_is_asked_for_again_without_a_byte():
    one = sender(Box())
    one.fitting_segment(SEGMENT_HEAD + 2000)
    one.heard(0, Custody(), 10.0)
    assert one.wants_refresh_at() == 10.0 + CUSTODY_PAUSE_S
    assert one.refresh(CUSTODY_PAUSE_S) == []
    (again,) = one.refresh(10.0 + CUSTODY_PAUSE_S)
    assert (again.channel, again.state) == (1, State.OFFERED)
    assert list(one.sendings) == [1]
    assert one.fitting_segment(SEGMENT_HEAD + 2000) is None


def test_a_receipt_ends_the_asking():
    box = Box()
    one = sender(box)
    one.heard(0, Custody(), 10.0)
    one.heard(0, Receipt(b"word"), 20.0)
    assert box.done == [b"word"]
    assert one.wants_refresh_at() is None
    assert one.refresh(1e6) == []


@pytest.mark.parametrize("reason", sorted(objects.TEMPORARY))
def test_a_temporary_refusal_is_waited_out(reason):
    one = sender(Box())
    one.heard(0, Refusal(reason), 5.0)
    assert one.refresh(5.0 + REFUSED_PAUSE_S - 1) == []
    assert len(one.refresh(5.0 + REFUSED_PAUSE_S)) == 1


class Shelf:
    """An outbox with as many objects as are put on it, each of one byte."""

    def __init__(self, count):
        self.offers = {number.to_bytes(16, "big"): offer_of(number) for number in range(count)}

    def pending(self):
        return list(self.offers.values())

    def read(self, object_id, offset, size):
        return b"x"[offset : offset + size]

    def in_custody(self, object_id):
        pass

    def receipt(self, object_id, receipt):
        del self.offers[object_id]

    def refused(self, object_id, refusal):
        if not refusal.temporary:
            del self.offers[object_id]


class Keeper(Shelf):
    """An outbox whose objects are in custody, and stay."""

    def in_custody(self, object_id):
        self.offers[object_id] = replace(self.offers[object_id], again=True)


def offer_of(number):
    return Offer(number.to_bytes(16, "big"), objects.STUDY, 1, bytes(16))


def test_a_pause_that_is_over_while_no_more_may_be_offered_does_not_keep_the_node_awake():
    shelf = Shelf(1)
    one = sender(shelf)
    one.heard(0, Refusal(objects.DISK_FULL), 5.0)
    shelf.offers |= Shelf(OFFERED_MAX + 1).offers  # as many others as may be offered at a time
    assert len(one.refresh(6.0)) == OFFERED_MAX
    assert one.refresh(5.0 + REFUSED_PAUSE_S) == []
    assert one.wants_refresh_at() is None


def test_an_object_refused_for_good_after_its_custody_is_not_waited_for():
    one = sender(Shelf(1))
    one.heard(0, Custody(), 10.0)
    one.heard(0, Refusal(objects.NOT_ALLOWED), 20.0)
    assert one.wants_refresh_at() is None


def test_an_object_that_is_taken_away_while_it_pauses_is_forgotten():
    shelf = Shelf(1)
    one = sender(shelf)
    one.heard(0, Refusal(objects.BUSY), 5.0)
    shelf.offers.clear()
    assert one.refresh(5.0 + REFUSED_PAUSE_S) == []
    assert one.wants_refresh_at() is None


def test_of_an_object_whose_receipt_came_by_another_road_not_a_byte_more_is_read():
    shelf = Shelf(2)
    one = sender(shelf)
    gone = one.fitting_segment(SEGMENT_HEAD + 100)
    del shelf.offers[one.sendings[gone.channel].offer.object_id]
    one.forget_settled()
    assert one.fitting_segment(SEGMENT_HEAD + 100).channel != gone.channel
    assert one.heard(gone.channel, Have(RangeSet()), 1.0) == [], "what is still said of it is about nothing"
    assert list(one.sendings) == [1]


@pytest.mark.parametrize("verdict", [Receipt(b"word"), Refusal(objects.NOT_ALLOWED)])
def test_a_session_of_a_thousand_objects_remembers_only_what_is_under_way(verdict):
    one = sender(Shelf(1000))
    channel = 0
    while one.sendings:
        one.heard(channel, verdict, 1.0)
        one.refresh(1.0)
        assert len(one._offers_made) <= OFFERED_MAX
        channel += 1
    assert channel == 1000
    assert not one._offers_made


class Doubter(Box):
    """An outbox that lets go of nothing: it does not believe the receipt, or its disk has no room to note a word."""

    def __init__(self, error=None):
        super().__init__()
        self.error, self.heard = error, 0

    def receipt(self, object_id, word=None):
        self.heard += 1
        if self.error:
            raise self.error

    in_custody = refused = receipt


@pytest.mark.parametrize("error", [None, DiskFull("no room")])
@pytest.mark.parametrize("word", [Receipt(b"false"), Refusal(objects.NOT_ALLOWED)])
def test_an_object_that_the_outbox_keeps_in_spite_of_the_verdict_is_not_offered_with_every_round_trip(word, error):
    """A false receipt, or none at all in a receipt, kept the link of a kit as busy as it would go, for ever."""
    box = Doubter(error)
    one = sender(box)
    one.heard(0, word, 5.0)
    assert one.refresh(5.1) == []
    assert one.wants_refresh_at() == 5.0 + REFUSED_PAUSE_S
    assert len(one.refresh(5.0 + REFUSED_PAUSE_S)) == 1
    assert box.heard == 1


def test_a_full_disk_of_our_own_at_custody_stops_nothing():
    """It left the frame's other answers unread for the rest of the session: their objects waited for ever."""
    one = sender(Doubter(DiskFull("no room")))
    one.heard(0, Custody(), 5.0)
    assert one.sendings[0].state is State.CUSTODY


def test_what_is_in_custody_is_not_looked_at_for_every_frame():
    """With 3,000 objects in custody a frame cost 9 ms, of which nearly all went by those that had nothing to send."""
    one = Sender(Keeper(1000), SendingCounts())
    channel = 0
    while one.refresh(1.0):
        while one.is_waiting:
            one.heard(channel, Custody(), 1.0)
            channel += 1
    assert len(one.sendings) == 1000
    assert not one._moving
    assert not one.has_segments
    assert one.pending_size == 0


def test_an_object_in_custody_that_the_peer_lacks_after_all_is_sent():
    one = sender(Keeper(1))
    one.heard(0, Custody(), 1.0)
    assert not one.is_waiting
    one.refresh(1.0 + CUSTODY_PAUSE_S)
    assert one.is_waiting
    one.heard(1, Have(RangeSet()), 2.0 + CUSTODY_PAUSE_S)
    assert one.has_segments
    assert one.fitting_segment(SEGMENT_HEAD + 100).data == b"x"
