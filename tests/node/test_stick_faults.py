"""Everything that can happen to a stick, at every call to it: pulled out, power cut, full, read-only, hostile.

Whatever it is, nothing is lost, nothing arrives twice, and with a stick that works the next trips bring it all.
"""

import contextlib
import os
import random
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import stick as sticks
from node.arrivals import OBJECTS_MAX
from node.carrying import PARCELS_MAX
from node.disk import RealDisk
from node.spool import Spool, State
from node.stick import BAD_BLOCKS_MAX, FOLDER, NAMES_MAX, Stick, mark
from tests.node.sticks import OTHER, Ground, Kit, marked, parcels
from tests.sim.disk import Crash, SimDisk
from tests.wire.air import GATEWAY, KIT, MemoryInbox, MemoryOutbox
from wire.blocks import BLOCK_SIZE, OFFERS_MAX
from wire.errors import DiskError, DiskFull
from wire.objects import STUDY, Custody, Receipt
from wire.parcel import OPENING_SIZE, PARCEL_SIZE_MAX, ParcelName, mailbox

DATA = {n: random.Random(n).randbytes(n) for n in (0, 300, 40_000, 2_500_000)}


def loaded():
    """Return an outbox with all of DATA, and what must arrive."""
    outbox = MemoryOutbox()
    return outbox, {outbox.add(data): data for data in DATA.values()}


class Trips:
    """A stick that goes to and fro between a kit and a gateway, of which either may start anew."""

    def __init__(self, seed=0):
        self.stick = marked(seed)
        self.outbox, self.want = loaded()
        self.inbox = MemoryInbox()
        self.lives = 0

    def ends(self):
        """Yield the node at each stop of the trip, started anew each time."""
        for _ in range(4):
            self.lives += 2
            yield Kit(self.outbox, seed=self.lives)
            yield Ground(self.inbox, seed=self.lives + 1)

    def go_on(self):
        """Go to and fro until everything is confirmed; hold what must hold then."""
        for end in self.ends():
            end.visit(self.stick)
        assert set(self.outbox.receipts) == set(self.want)
        assert self.inbox.done == self.want
        assert self.inbox.finishes == len(self.want), "each came once"
        assert parcels(self.stick) == []


def calls_of_the_trips():
    trips = Trips()
    before = trips.stick.calls
    trips.go_on()
    return trips.stick.calls - before


CALLS = calls_of_the_trips()


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
@pytest.mark.parametrize("part", range(4))
def test_a_fault_at_every_call_to_the_stick(fault, part):
    for at in range(1 + part, CALLS + 1, 4):
        trips = Trips(at)
        trips.stick.fail(fault, at)
        with contextlib.suppress(Crash):
            for end in trips.ends():
                end.visit(trips.stick)
        if fault == "crash":
            trips.stick = trips.stick.crash()
            trips.stick.make_folder(FOLDER)
        assert all(data == trips.want[object_id] for object_id, data in trips.inbox.done.items())
        trips.go_on()


class Gone:
    """A stick after it was pulled out, while its mount is still there: each call fails."""

    def __init__(self, disk):
        self._disk = disk

    def __getattr__(self, name):
        def fail(*_, **__):
            raise DiskError(f"disk failed: {name}: No such device (errno 19)")

        return fail


class ReadOnly:
    """A stick with its little switch moved."""

    def __init__(self, disk):
        self._disk = disk

    def __getattr__(self, name):
        if name in ("read", "size", "exists", "list", "free"):
            return getattr(self._disk, name)

        def fail(*_, **__):
            raise DiskError(f"disk failed: {name}: Read-only file system (errno 30)")

        return fail


class Pulled:
    """A stick that is pulled out at the `at`th call."""

    def __init__(self, disk, at):
        self._disk, self._at = disk, at

    def __getattr__(self, name):
        self._at -= 1
        return getattr(self._disk if self._at > 0 else Gone(self._disk), name)


def test_a_stick_that_is_pulled_out_at_any_call_is_told_and_costs_nothing():
    trips = Trips()
    before = trips.stick.calls
    kit = Kit(trips.outbox)
    kit.slot.disk = trips.stick
    kit.settle()
    for at in range(1, trips.stick.calls - before):
        trips = Trips(at)
        kit = Kit(trips.outbox, seed=1000 + at)
        kit.slot.disk = Pulled(trips.stick, at)
        kit.settle()
        assert not kit.carrier.status.is_there
        assert "stick" in kit.carrier.status.text()
        trips.go_on()


def test_a_read_only_stick_is_read_and_what_cannot_be_written_is_said():
    trips = Trips()
    Kit(trips.outbox, seed=1).visit(trips.stick)
    ground = Ground(trips.inbox, seed=2)
    status = ground.visit(ReadOnly(trips.stick))
    assert "the stick is read-only" in status.text()
    assert "safe to pull" in status.text()
    assert trips.inbox.done == trips.want
    trips.go_on()


def test_a_failure_of_the_nodes_own_disk_is_raised_and_the_carrier_can_be_used_again():
    trips = Trips()
    kit = Kit(trips.outbox)
    read, failing = trips.outbox.read, iter([True])

    def fail_once(object_id, offset, size):
        if next(failing, False):
            raise DiskError("the card is gone")
        return read(object_id, offset, size)

    trips.outbox.read = fail_once
    kit.slot.disk = trips.stick
    with pytest.raises(DiskError, match="the card is gone"):
        kit.settle()
    assert kit.carrier.deadline() > kit.now, "it does not try again at once"
    kit.settle()
    assert kit.carrier.status.left == 0
    trips.go_on()


def spooled(disk):
    """Return a kit's spool with all of DATA."""
    spool = Spool(disk)
    for size, data in DATA.items():
        spool.put(size.to_bytes(16, "big"), STUDY, data)
    return spool


def carry(disk, stick, inbox, lives):
    """Let a kit with this card and the gateway have the stick once each, and the kit again."""
    for life in lives:
        kit, ground = Kit(Spool(disk), seed=life), Ground(inbox, seed=life + 50)
        for end in (kit, ground, kit):
            end.visit(stick)


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_every_call_to_the_kits_own_card_loses_nothing(fault):
    clean = SimDisk()
    spooled(clean)
    before = clean.calls
    carry(clean, marked(), MemoryInbox(), [1])
    for at in range(1, clean.calls - before + 1, 2):
        disk, stick, inbox = SimDisk(at), marked(at), MemoryInbox()
        spooled(disk)
        disk.fail(fault, at)
        with contextlib.suppress(Crash, DiskError, DiskFull):
            carry(disk, stick, inbox, [100 + at])
        disk.fail_at = None
        disk = disk.crash() if fault == "crash" else disk
        carry(disk, stick, inbox, [2000 + at, 4000 + at])
        assert Spool(disk).counts() == {State.RECEIVED: len(DATA)}
        assert sorted(inbox.done.values()) == sorted(DATA.values())
        assert inbox.finishes == len(DATA)


def test_a_receipt_for_which_the_card_has_no_room_is_heard_again():
    trips = Trips()
    receipt, full = trips.outbox.receipt, [True]

    def without_room(object_id, data):
        if full:
            raise DiskFull("no room for a receipt")
        receipt(object_id, data)

    trips.outbox.receipt = without_room
    for end in list(trips.ends())[:3]:
        end.visit(trips.stick)
    assert not trips.outbox.receipts
    full.clear()
    trips.go_on()


# Hostile sticks


def name_for(number, sender=KIT):
    return str(ParcelName(mailbox(GATEWAY.public), mailbox(sender.public), number.to_bytes(16, "big")))


def test_a_stick_with_a_hundred_thousand_files_of_others_is_used_all_the_same():
    trips = Trips()
    folder = trips.stick._folders[FOLDER]
    trips.stick.append(f"{FOLDER}/DSC_0000.jpg", b"sand")
    photo = folder.cached["DSC_0000.jpg"]
    folder.cached.update({f"DSC_{n:06}.jpg": photo for n in range(50_000)})
    folder.cached.update({name_for(n, OTHER).replace("-", "-0", 1): photo for n in range(50_000)})
    for end in list(trips.ends())[:3]:
        end.visit(trips.stick)
    assert set(trips.outbox.receipts) == set(trips.want)
    assert len(folder.cached) > 50_000


def test_thousands_of_false_parcels_cost_a_bounded_look_and_no_object(monkeypatch):
    monkeypatch.setattr(sticks, "NAMES_MAX", 64)
    trips = Trips()
    Kit(trips.outbox, seed=3).visit(trips.stick)
    for n in range(200):
        trips.stick.append(f"{FOLDER}/{name_for(0xFF << 120 | n)}", b"false" * 200)
    ground = Ground(trips.inbox, seed=4)
    ground.visit(trips.stick)
    assert len([one for one in ground.told if one.kind == "stranger"]) <= 64
    assert trips.inbox.done == trips.want


@pytest.mark.parametrize("size", [0, 1, OPENING_SIZE - 1, PARCEL_SIZE_MAX + 1])
def test_a_file_of_the_wrong_size_is_not_read(size):
    disk = marked()
    disk.append(f"{FOLDER}/{name_for(1)}", bytes(size))
    ground = Ground()
    ground.visit(disk)
    assert not any(line.startswith("read ") for line in disk.log)
    assert ground.kinds() == {"bearer", "peer-error"}


def test_a_folder_or_a_device_called_as_a_parcel_is_passed_over():
    trips = Trips()
    trips.stick.make_folder(f"{FOLDER}/{name_for(1)}")
    trips.stick.make_folder(f"{FOLDER}/{ParcelName(mailbox(KIT.public), mailbox(GATEWAY.public), bytes(16))}")
    for end in trips.ends():
        end.visit(trips.stick)
    assert set(trips.outbox.receipts) == set(trips.want)


def test_a_file_that_is_all_bad_sectors_is_given_up_after_a_while():
    disk = marked()
    path = f"{FOLDER}/{name_for(1)}"
    disk.append(path, bytes(100 * BLOCK_SIZE))
    disk._inode(path).bad = range(100 * BLOCK_SIZE)
    before = disk.calls
    assert Stick(disk).read(name_for(1)) is None
    assert disk.calls - before < BAD_BLOCKS_MAX + 10


def test_more_objects_than_are_taken_at_a_time_wait_for_the_next_visit(monkeypatch):
    from node import arrivals

    monkeypatch.setattr(arrivals, "OBJECTS_MAX", 1000)
    outbox = MemoryOutbox()
    for n in range(2 * OFFERS_MAX + 10):
        outbox.add(n.to_bytes(4, "big"))
    disk, inbox = marked(), MemoryInbox()
    for life in range(4):
        Kit(outbox, seed=10 + life).visit(disk)
        ground = Ground(inbox, seed=20 + life)
        ground.visit(disk)
    Kit(outbox, seed=30).visit(disk)
    assert len(outbox.receipts) == 2 * OFFERS_MAX + 10
    assert OBJECTS_MAX < 1 << 17


def test_no_more_parcels_are_written_than_will_be_read(monkeypatch):
    from node import carrying

    assert PARCELS_MAX < NAMES_MAX
    monkeypatch.setattr(carrying, "PARCELS_MAX", 1)
    outbox, _ = loaded()
    outbox.add(bytes(5_000_000))
    kit = Kit(outbox)
    status = kit.visit(marked())
    assert status.left == 2
    assert status.carried_bytes > 1 << 20


# Damage


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 2_200_000), st.integers(1, 40_000)), max_size=8))
def test_damage_anywhere_on_the_stick_is_made_good_on_the_next_trips(places):
    trips = Trips()
    Kit(trips.outbox, seed=50).visit(trips.stick)
    damage(trips.stick, places)
    Ground(trips.inbox, seed=51).visit(trips.stick)
    damage(trips.stick, places)
    assert all(data == trips.want[object_id] for object_id, data in trips.inbox.done.items())
    for _ in range(2):
        for end in trips.ends():
            end.visit(trips.stick)
    assert set(trips.outbox.receipts) == set(trips.want)
    assert trips.inbox.finishes == len(trips.want)


def damage(disk, places):
    names = parcels(disk)
    for which, at, size in places:
        path = f"{FOLDER}/{names[which % len(names)]}"
        start = at % max(disk.size(path), 1)
        held = disk.read(path, start, size)
        disk.write_at(path, start, bytes(byte ^ 0x5A for byte in held))


# Conservation: a stick and a radio at the same time


@pytest.mark.parametrize("seed", range(30))
def test_by_stick_and_by_radio_at_the_same_time_everything_arrives_once(seed):
    from tests.wire.air import Profile, World

    rng = random.Random(seed)
    world = World(Profile(loss=0.02, rate=200_000), seed)
    world.at_host.verdict = lambda _: Custody() if rng.random() < 0.3 else Receipt(b"ok")
    want = {world.up.add(rng.randbytes(rng.randrange(60_000))) for _ in range(12)}
    world.caller.nudge(0.0)
    kit, ground = Kit(world.up, seed=seed + 100), Ground(world.at_host, seed=seed + 200)
    stick = marked(seed)
    for _ in range(12):
        world.run(world.now + rng.random() * 2)
        rng.choice([kit, ground]).visit(stick)
        world.caller.nudge(world.now)
    world.at_host.verdict = lambda _: Receipt(b"ok")
    for end in (kit, ground, kit, ground, kit):
        world.run(world.now + 5)
        end.visit(stick)
        world.caller.nudge(world.now)
    assert set(world.up.receipts) == want
    assert world.at_host.finishes == len(want)
    assert not world.failures


# A real file system


def test_what_is_no_file_on_a_real_stick_costs_nothing_but_itself(tmp_path):
    """Links, pipes and folders called as parcels; a link in the place of the folder is no marker to follow."""
    trips = Trips()
    folder = tmp_path / "stick" / FOLDER
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(5000))
    (folder / name_for(1)).symlink_to(tmp_path / "secret")
    os.mkfifo(folder / name_for(2))
    (folder / name_for(3)).mkdir()
    own = str(ParcelName(mailbox(KIT.public), mailbox(GATEWAY.public), bytes(16)))
    (folder / own).symlink_to(tmp_path / "secret")
    with RealDisk(tmp_path / "stick") as disk:
        for end in trips.ends():
            end.visit(disk)
        assert trips.inbox.done == trips.want
        assert set(trips.outbox.receipts) == set(trips.want)
    assert (tmp_path / "secret").read_bytes() == bytes(5000)
    left = sorted(folder.iterdir())
    assert not [path for path in left if path.is_symlink() or path.is_fifo()], "what is called as ours and is none"
    assert folder / name_for(3) in left
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / FOLDER).symlink_to(folder)
    with RealDisk(tmp_path / "other") as disk:
        status = Kit(trips.outbox, seed=77).visit(disk)
    assert not status.is_there


def test_between_visits_nothing_of_a_real_stick_is_open(tmp_path):
    place = tmp_path / "stick"
    place.mkdir()
    with RealDisk(place) as disk:
        mark(disk)
    outbox, _ = loaded()
    kit = Kit(outbox)
    kit.carrier._mount = partial(RealDisk, place)
    kit.settle()
    assert kit.carrier.status.is_there
    held = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.exists()]
    assert not [path for path in held if path.startswith(str(place))]
    place.rename(tmp_path / "gone")
    kit.settle()
    assert not kit.carrier.status.is_there
