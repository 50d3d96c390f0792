"""What may go over which bearer: objects that are not admitted wait as they are, and go on over the next one."""

import random

from node.admission import MESSAGE_OBJECT_SIZE_MAX, admits_usually
from node.sending import CUSTODY_PAUSE_S, MOVING_MAX, OFFERED_MAX, Sender, SendingCounts
from tests.wire.air import SEGMENT_HEAD, MemoryOutbox, Profile, World
from wire import objects
from wire.objects import Custody, Have, Offer, Receipt
from wire.ranges import RangeSet


class Post:
    is_message = True


class Road:
    is_message = False


def offer(kind=objects.SUMMARY, size=300, again=False):
    return Offer(b"i" * 16, kind, size, b"d" * 16, again=again)


def test_over_messages_go_small_summaries_and_commands_that_are_not_there_yet():
    assert admits_usually(offer(), Post())
    assert admits_usually(offer(objects.COMMAND, MESSAGE_OBJECT_SIZE_MAX), Post())
    assert not admits_usually(offer(size=MESSAGE_OBJECT_SIZE_MAX + 1), Post())
    assert not admits_usually(offer(objects.STUDY), Post())
    assert not admits_usually(offer(again=True), Post())
    assert admits_usually(offer(objects.STUDY, 1 << 30, again=True), Road())


def sender_of(*sizes):
    outbox = MemoryOutbox()
    ids = [outbox.add(bytes(size) + bytes((n & 255, n >> 8))) for n, size in enumerate(sizes)]
    return Sender(outbox, SendingCounts()), ids


def test_what_is_not_admitted_is_not_offered():
    sender, (small, _) = sender_of(100, 5000)
    sender.admits = lambda offer: offer.size < 1000
    assert [sending.offer.object_id for sending in sender.refresh(0.0)] == [small]


def test_an_object_in_the_middle_waits_and_goes_on():
    sender, _ = sender_of(5000)
    sender.refresh(0.0)
    sender.heard(0, Have(RangeSet()), 0.0)
    assert sender.fitting_segment(SEGMENT_HEAD + 1000).offset == 0
    sender.admits = lambda offer: False
    sender.refresh(1.0)
    assert not sender.has_segments
    assert not sender.is_waiting
    assert sender.pending_size == 0
    assert sender.fitting_segment(SEGMENT_HEAD + 1000) is None
    sender.admits = lambda offer: True
    sender.refresh(2.0)
    assert sender.is_waiting
    assert sender.fitting_segment(SEGMENT_HEAD + 1000).offset == 1000


def test_bulk_that_waits_for_another_bearer_takes_no_place_from_what_is_admitted():
    sender, _ = sender_of(*[5000] * OFFERED_MAX, *[100] * (OFFERED_MAX + 10))
    assert len(sender.refresh(0.0)) == OFFERED_MAX
    sender.admits = lambda offer: offer.size < 1000
    assert len(sender.refresh(1.0)) == MOVING_MAX - OFFERED_MAX
    assert sender.refresh(2.0) == []


def test_a_policy_that_changes_its_mind_is_heard_at_the_next_nudge():
    world = World(Profile(), call=False)
    world.up.add(random.Random(1).randbytes(3000))
    allowed = []
    world.start_caller(admits=lambda offer, bearer: bool(allowed))
    world.run(120)
    assert not world.at_host.done
    assert not world.at_host.partial
    allowed.append(True)
    world.caller.nudge(world.now)
    world.run(240, world.all_received)
    assert len(world.at_host.done) == 1


def test_a_call_with_nothing_that_may_go_is_still_made_and_answered():
    world = World(Profile(), call=False)
    world.up.add(bytes(3000))
    world.start_caller(admits=lambda offer, bearer: False)
    world.run(30)
    assert world.caller.progress(world.now).connected
    assert world.caller.progress(world.now).sending == []


def test_a_receipt_that_comes_late_is_heard_where_the_object_may_not_be_offered_again():
    sender, (object_id,) = sender_of(100)
    sender.refresh(0.0)
    sender.heard(0, Custody(), 0.0)
    sender.admits = lambda offer: False
    assert sender.refresh(2 * CUSTODY_PAUSE_S) == []
    sender.heard(0, Receipt(b"late"), 3 * CUSTODY_PAUSE_S)
    assert sender.verdicts[-1] == (object_id, Receipt(b"late"))


def test_what_the_outbox_no_longer_has_is_let_go():
    sender, (object_id,) = sender_of(100)
    outbox = sender._outbox
    sender.refresh(0.0)
    sender.heard(0, Custody(), 0.0)
    del outbox.objects[object_id]
    sender.admits = lambda offer: False
    sender.refresh(2 * CUSTODY_PAUSE_S)
    assert sender.sendings == {}
