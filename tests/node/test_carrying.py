"""A stick between a kit and a gateway: what is carried, what is asked for, what comes back, and what nobody touches."""

import random
from dataclasses import replace

import pytest

from node.carrying import ROOM_KEPT, Carrier, Far
from node.host import Grant
from node.stick import FOLDER
from tests.node.sticks import OTHER, Ground, Kit, marked, parcels
from tests.sim.disk import SimDisk
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.noise import KeyPair
from wire.objects import DISK_FULL, Custody, Receipt, Refusal
from wire.parcel import OPENING_SIZE, mailbox

SMALL, LARGE = b"a study\n" * 50, random.Random(1).randbytes(5_000_000)


@pytest.fixture
def stick():
    return marked()


def test_one_trip_there_and_one_back(stick):
    kit, ground = Kit(), Ground()
    ids = [kit.outbox.add(SMALL), kit.outbox.add(LARGE), kit.outbox.add(b"")]
    status = kit.visit(stick)
    assert status.text() == "carried: 3 objects, 5.0 MB; safe to pull"
    ground.visit(stick)
    assert ground.inbox.done == {ids[0]: SMALL, ids[1]: LARGE, ids[2]: b""}
    assert "received" in ground.kinds()
    kit.visit(stick)
    assert set(kit.outbox.receipts) == set(ids)
    assert "sent" in kit.kinds()
    ground.visit(stick)
    assert parcels(stick) == [], "each has removed its own"


def test_a_stick_that_comes_back_without_having_been_there_gets_nothing_twice(stick):
    kit = Kit()
    kit.outbox.add(SMALL)
    kit.visit(stick)
    there = parcels(stick)
    again = Kit(kit.outbox, seed=9)
    for end in (kit, again):
        end.visit(stick)
        assert parcels(stick) == there
    again.outbox.add(LARGE)
    again.visit(stick)
    assert set(there) < set(parcels(stick))


def test_custody_first_and_the_receipt_on_the_next_trip(stick):
    kit, ground = Kit(), Ground(MemoryInbox(lambda _: Custody()))
    one = kit.outbox.add(SMALL)
    kit.visit(stick)
    ground.visit(stick)
    ground.inbox.verdict = lambda _: Receipt(b"the word")
    kit.visit(stick)
    assert kit.outbox.custody == {one}
    assert one not in kit.outbox.receipts


def in_custody(outbox):
    """Offer what is in custody as a spool does: asked for, not sent."""
    for object_id in outbox.custody & set(outbox.objects):
        offer, data = outbox.objects[object_id]
        outbox.objects[object_id] = (replace(offer, again=True), data)


def test_an_object_in_custody_is_asked_for_and_not_sent_again(stick):
    kit, ground = Kit(), Ground(MemoryInbox(lambda _: Custody()))
    one = kit.outbox.add(LARGE)
    kit.visit(stick)
    ground.visit(stick)
    kit.visit(stick)
    in_custody(kit.outbox)
    status = kit.visit(stick)
    assert status.text() == "receipts of 1 object to come; safe to pull"
    assert sum(stick.size(f"{FOLDER}/{name}") for name in parcels(stick)) < 10_000
    there = parcels(stick)
    assert kit.visit(stick).text() == status.text()
    assert parcels(stick) == there, "it asks once"
    ground.inbox.verdict = lambda _: Receipt(b"the word")
    ground.visit(stick)
    kit.visit(stick)
    assert kit.outbox.receipts == {one: b"the word"}
    assert ground.inbox.finishes == 1


def test_receipts_that_come_while_the_stick_is_still_in_are_written_on_it(stick):
    kit, ground = Kit(), Ground(MemoryInbox(lambda _: Custody()))
    one = kit.outbox.add(SMALL)
    kit.visit(stick)
    ground.slot.disk = stick
    ground.settle()
    there = parcels(stick)
    ground.settle()
    assert parcels(stick) == there, "nothing new, nothing written"
    ground.inbox.verdict = lambda _: Receipt(b"the word")
    ground.carrier.nudge()
    ground.settle()
    assert len(parcels(stick)) == len(there), "the new answer stands in the place of the old one"
    kit.visit(stick)
    assert kit.outbox.receipts == {one: b"the word"}


def test_damaged_blocks_are_asked_for_and_only_they_travel_again(stick):
    kit, ground = Kit(), Ground()
    one = kit.outbox.add(LARGE)
    kit.visit(stick)
    for name in parcels(stick)[:2]:
        stick.write_at(f"{FOLDER}/{name}", OPENING_SIZE + 20_000, b"\xff" * 10)
    ground.visit(stick)
    assert "peer-error" in ground.kinds()
    kit.visit(stick)
    carried = sum(stick.size(f"{FOLDER}/{name}") for name in parcels(stick))
    assert carried < 2 * 16384 + 6000
    ground.visit(stick)
    kit.visit(stick)
    assert one in kit.outbox.receipts
    assert ground.inbox.done[one] == LARGE


def test_a_bad_sector_costs_its_block(stick):
    kit, ground = Kit(), Ground()
    one = kit.outbox.add(LARGE)
    kit.visit(stick)
    inode = stick._inode(f"{FOLDER}/{parcels(stick)[0]}")
    inode.bad = range(600, 700)
    ground.visit(stick)
    inode.bad = range(0)
    kit.visit(stick)
    ground.visit(stick)
    kit.visit(stick)
    assert one in kit.outbox.receipts


def test_a_full_stick_takes_what_fits_most_urgent_first():
    stick = marked(capacity=ROOM_KEPT + (3 << 20))
    kit, ground = Kit(), Ground()
    bulk, urgent = kit.outbox.add(LARGE, priority=9), kit.outbox.add(SMALL, priority=1)
    status = kit.visit(stick)
    assert status.text() == "carried: 2 objects, 3.1 MB; 1 more do not fit; the stick is full; safe to pull"
    for _ in range(3):
        ground.visit(stick)
        kit.visit(stick)
    assert set(kit.outbox.receipts) == {bulk, urgent}
    assert ground.inbox.done[bulk] == LARGE


@pytest.mark.parametrize("room", [0, 5000, ROOM_KEPT, ROOM_KEPT + 20_000])
def test_a_stick_without_room_is_told_so_and_stays_as_it_was(room):
    kit = Kit()
    kit.outbox.add(LARGE)
    status = kit.visit(marked(capacity=room))
    assert status.left == 1
    assert "the stick is full" in status.text()


def test_a_stick_without_the_marker_is_somebody_elses():
    kit, disk = Kit(), SimDisk()
    disk.append("holiday.jpg", b"sand")
    kit.outbox.add(SMALL)
    assert kit.visit(disk).text() == "no stick"
    assert disk.list("") == ["holiday.jpg"]
    made = Kit(kit.outbox, makes=True)
    assert made.visit(disk).carried_bytes == len(SMALL)


def test_files_of_others_are_left_alone(stick):
    others = {"holiday.jpg": b"sand", "notes.parcel": b"x" * 5000, "a-b-c.parcel.new": b"", "~lock": b"1"}
    for name, data in others.items():
        stick.append(f"{FOLDER}/{name}", data)
    third = Kit(identity=OTHER)
    third.outbox.add(b"of another kit")
    third.visit(stick)
    before = set(parcels(stick))
    kit, ground = Kit(), Ground()
    kit.outbox.add(SMALL)
    for _ in range(2):
        kit.visit(stick)
        ground.visit(stick)
    kit.visit(stick)
    ground.visit(stick)
    assert set(parcels(stick)) == before
    assert {name: stick.read(f"{FOLDER}/{name}") for name in others} == others
    assert "stranger" in ground.kinds(), "a kit that is not on the roster: said once"
    assert len(ground.inbox.done) == 1


def test_a_kit_that_is_let_in_later_is_read_then(stick):
    third, ground = Kit(identity=OTHER), Ground()
    third.outbox.add(SMALL)
    third.visit(stick)
    ground.slot.disk = stick
    ground.settle()
    assert [event.kind for event in ground.told if event.kind == "stranger"] == ["stranger"]
    ground.known.add(OTHER.public)
    ground.carrier.nudge(retry=True)
    ground.settle()
    assert len(ground.inbox.done) == 1


def test_one_stick_of_several_kits(stick):
    ground, kits = Ground(known=[]), []
    for number in range(4):
        identity = KeyPair.from_secret(bytes((50 + number,)) * 32)
        ground.known.add(identity.public)
        kits.append(Kit(identity=identity, seed=number))
        kits[-1].outbox.add(SMALL + bytes((number,)))
        kits[-1].visit(stick)
    ground.visit(stick)
    for kit in kits:
        kit.visit(stick)
        assert len(kit.outbox.receipts) == 1
    ground.visit(stick)
    assert parcels(stick) == []


def test_two_sticks_at_once_and_both_arrive_once():
    sticks, kit, ground = [marked(1), marked(2)], Kit(), Ground()
    second = Kit(kit.outbox, seed=7)
    one = kit.outbox.add(LARGE)
    kit.slot.disk, second.slot.disk = sticks
    while kit.step() | second.step():
        pass
    for stick in sticks:
        ground.visit(stick)
    assert ground.inbox.finishes == 1
    for stick in reversed(sticks):
        kit.visit(stick)
    assert one in kit.outbox.receipts
    for stick in sticks:
        ground.visit(stick)
        assert parcels(stick) == []


def test_an_old_copy_of_a_parcel_does_no_harm(stick):
    kit, ground = Kit(), Ground()
    one = kit.outbox.add(SMALL)
    kit.visit(stick)
    (name,) = parcels(stick)
    copy = stick.read(f"{FOLDER}/{name}")
    ground.visit(stick)
    kit.visit(stick)
    stick.append(f"{FOLDER}/{name}", copy)
    stick.append(f"{FOLDER}/{name.replace(name[-10:-7], 'abc')}", copy)
    ground.visit(stick)
    assert ground.inbox.finishes == 1
    kit.visit(stick)
    ground.visit(stick)
    assert one in kit.outbox.receipts
    assert not [left for left in parcels(stick) if left.startswith(mailbox(KIT.public).hex())]


def test_a_gateway_whose_disk_is_full_leaves_the_parcels_to_the_next_time(stick):
    kit, ground = Kit(), Ground()
    one = kit.outbox.add(SMALL)
    kit.visit(stick)
    ground.inbox.refuse = Refusal(DISK_FULL, "full")
    ground.visit(stick)
    kit.visit(stick)
    assert one in kit.outbox.objects
    ground.inbox.refuse = None
    ground.visit(stick)
    kit.visit(stick)
    assert one in kit.outbox.receipts


def test_a_gateway_that_lost_what_it_had_in_custody_gets_it_again(stick):
    kit, ground = Kit(), Ground(MemoryInbox(lambda _: Custody()))
    one = kit.outbox.add(SMALL)
    kit.visit(stick)
    ground.visit(stick)
    kit.visit(stick)
    in_custody(kit.outbox)
    kit.visit(stick)
    burnt = Ground(seed=5)
    for _ in range(2):
        burnt.visit(stick)
        kit.visit(stick)
    assert one in kit.outbox.receipts


def test_an_object_that_went_over_another_road_meanwhile_is_taken_from_the_stick(stick):
    kit, ground = Kit(), Ground()
    one, other = kit.outbox.add(LARGE), kit.outbox.add(SMALL)
    kit.visit(stick)
    for object_id in (one, other):
        kit.outbox.receipt(object_id, b"by radio")
    assert kit.visit(stick).text() == "nothing to carry; safe to pull"
    assert parcels(stick) == []
    ground.visit(stick)
    assert parcels(stick) == []


def test_parcels_of_another_run_under_the_same_key_are_left_to_it(stick):
    """`link send a`, then `link send b`: the second knows nothing of a."""
    first, second, ground = Kit(), Kit(seed=8), Ground()
    one, other = first.outbox.add(LARGE), second.outbox.add(SMALL)
    first.visit(stick)
    second.visit(stick)
    ground.visit(stick)
    second.visit(stick)
    assert set(second.outbox.receipts) == {other}
    assert first.visit(stick).text() == "nothing to carry; safe to pull"
    assert set(first.outbox.receipts) == {one}


def test_both_ends_see_the_folder_at_the_same_time(stick):
    kit, ground = Kit(), Ground()
    kit.slot.disk = ground.slot.disk = stick
    ids = {kit.outbox.add(LARGE), kit.outbox.add(SMALL)}
    rng = random.Random(3)
    for _ in range(5000):
        end = rng.choice([kit, ground])
        end.now += rng.random()
        end.step()
        if not parcels(stick) and set(kit.outbox.receipts) == ids:
            break
    assert set(kit.outbox.receipts) == ids
    assert parcels(stick) == []
    assert ground.inbox.finishes == 2


def test_a_refusal_for_good_comes_back(stick):
    kit, ground = Kit(), Ground()
    kit.outbox.add(SMALL)
    ground.inbox.refuse = Refusal(2, "not allowed here")
    for end in (kit, ground, kit):
        end.visit(stick)
    assert [refusal.text for _, refusal in kit.outbox.refusals] == ["not allowed here"]


def test_a_gateway_offers_to_a_kit_too(stick):
    inbox = MemoryInbox()
    kit, ground = Kit(inbox=inbox), Ground()
    down = MemoryOutbox()
    one = down.add(b"settings")
    ground.carrier = Carrier(
        "dir:///stick",
        ground.slot,
        GATEWAY,
        lambda _: Grant(PSK, "kit"),
        ground.inbox,
        random.Random(1).randbytes,
        [Far(KIT.public, down, lambda object_id: object_id in down.receipts)],
    )
    for end in (ground, kit, ground, kit):
        end.visit(stick)
    assert inbox.done == {one: b"settings"}
    assert one in down.receipts
    assert parcels(stick) == []


def test_no_step_does_more_than_one_object_or_one_answer(stick):
    """A kit listens to its devices between two steps: each may wait for the fsyncs of one object, and no more."""

    class Counting(MemoryInbox):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def finish(self, peer, object_id):
            self.calls += 1
            return super().finish(peer, object_id)

    class Hearing(MemoryOutbox):
        calls = 0

        def receipt(self, object_id, receipt):
            self.calls += 1
            super().receipt(object_id, receipt)

    kit, ground = Kit(Hearing()), Ground(Counting())
    for n in range(300):
        kit.outbox.add(n.to_bytes(2, "big") * 100)
    kit.visit(stick)
    for end, counted in ((ground, ground.inbox), (kit, kit.outbox)):
        end.slot.disk, end.now, before, most = stick, end.now + 20, 0, 0
        while end.step():
            before, most = counted.calls, max(most, counted.calls - before)
        assert counted.calls == 300
        assert most == 1


def test_an_object_that_a_parcel_brings_whole_takes_the_short_cut_and_any_other_does_not(stick):
    taken = []

    def take(peer, offer, data):
        taken.append(offer.object_id)
        ground.inbox.done[offer.object_id] = data
        return Receipt(b"ok")

    kit, ground = Kit(), Ground()
    ground.carrier = Carrier(
        "x",
        ground.slot,
        GATEWAY,
        lambda _: Grant(PSK, "kit"),
        ground.inbox,
        random.Random(5).randbytes,
        take_whole=take,
    )
    small, large = kit.outbox.add(SMALL), kit.outbox.add(LARGE)
    kit.visit(stick)
    ground.visit(stick)
    assert taken == [small]
    assert ground.inbox.done == {small: SMALL, large: LARGE}
    kit.visit(stick)
    assert set(kit.outbox.receipts) == {small, large}
