"""What a receiver makes of an inbox in which another session of the same peer has been at work."""

import pytest

from node.disk import RealDisk
from node.landing import Landing, Whole
from node.receiving import Receiver, ReceivingCounts
from node.seams import NotOpen, Receipt
from node.spool import digest_of
from wire import objects
from wire.objects import Have, Offer
from wire.ranges import RangeSet
from wire.records import Segment

PEER = bytes(32)
DATA = bytes(range(256)) * 8
OFFER = Offer(bytes(16), objects.STUDY, len(DATA), digest_of(DATA))


class Box:
    """An inbox over a landing, as gateway and server have it; what is done is answered by its receipt."""

    def __init__(self, disk):
        self.landing = Landing(disk, "", 0)
        self.done = False

    def offered(self, peer, offer):
        return Receipt(b"word") if self.done else self.landing.open(peer, offer)

    def write(self, peer, object_id, offset, data):
        return self.landing.write(peer, object_id, offset, data)

    def finish(self, peer, object_id):
        whole = self.landing.finish(peer, object_id)
        if not isinstance(whole, Whole):
            return whole
        self.done = True
        return Receipt(b"word")


@pytest.fixture
def box(tmp_path):
    with RealDisk(tmp_path) as disk:
        yield Box(disk)


def session(box):
    one = Receiver(PEER, box, ReceivingCounts())
    one.offered(0, OFFER)
    return one


def test_what_another_session_has_finished_is_answered_by_its_receipt(box):
    old, new = session(box), session(box)
    old.take(Segment(0, 0, DATA[:1000]))
    new.take(Segment(0, 0, DATA[:1000]))
    new.take(Segment(0, 1000, DATA[1000:]))
    assert new.answers[0].data == b"word"
    old.take(Segment(0, 1000, DATA[1000:]))
    assert old.answers[0] == Receipt(b"word")
    assert not old.receivings


def test_what_another_session_has_thrown_away_is_begun_anew(box):
    old, new = session(box), session(box)
    old.take(Segment(0, 0, DATA[:1000]))
    new.take(Segment(0, 1000, bytes(len(DATA) - 1000)))
    new.take(Segment(0, 0, DATA[:1000]))
    assert new.answers[0] == Have(RangeSet())
    old.take(Segment(0, 1000, DATA[1000:]))
    assert old.answers[0] == Have(RangeSet())
    old.offered(1, OFFER)
    old.take(Segment(1, 0, DATA))
    assert old.answers[1].data == b"word"


def test_a_landing_says_so_when_nothing_is_open(box):
    assert box.landing.write(PEER, bytes(16), 0, b"x") == NotOpen()
    assert box.landing.finish(PEER, bytes(16)) == NotOpen()
