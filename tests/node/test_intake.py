"""The partial store: kill -9, power cuts at every call, full disks, bounds."""

import random
from hashlib import blake2b

import pytest

from node.disk import RealDisk
from node.intake import LOG_SIZE_MAX, STALE_USES, SYNC_SIZE, Intake
from node.seams import NotOpen
from tests.sim.disk import Crash, SimDisk
from wire import objects
from wire.errors import DiskError
from wire.objects import Damaged, Offer, Refusal
from wire.ranges import RangeSet

KEY = b"k" * 32
SEGMENT = 1400


def offer_of(data: bytes, number: int = 1) -> Offer:
    return Offer(bytes((number,)) * 16, objects.FILE, len(data), blake2b(data, digest_size=32).digest()[:16])


def send(intake: Intake, offer: Offer, data: bytes, have: RangeSet, rng: random.Random) -> None:
    """Send what is missing, in any order."""
    segments = [
        (at, min(at + SEGMENT, end)) for start, end in have.gaps(len(data)) for at in range(start, end, SEGMENT)
    ]
    rng.shuffle(segments)
    for start, end in segments:
        refusal = intake.write(KEY, offer.object_id, start, data[start:end])
        assert refusal is None


def content(disk, path: str) -> bytes:
    return disk.read(path)


@pytest.fixture(params=["sim", "real"])
def disk(request, tmp_path):
    if request.param == "sim":
        yield SimDisk(1)
    else:
        with RealDisk(tmp_path) as real:
            yield real


@pytest.mark.parametrize("size", [0, 1, SEGMENT, 100_000])
def test_an_object_arrives_in_any_order_and_becomes_a_file(disk, size):
    data, rng = random.Random(size).randbytes(size), random.Random(1)
    intake, offer = Intake(disk, "in"), offer_of(random.Random(size).randbytes(size))
    have = intake.open(KEY, offer)
    assert have == RangeSet()
    send(intake, offer, data, have, rng)
    assert intake.finish(KEY, offer.object_id, "whole") is None
    assert content(disk, "whole") == data
    assert disk.list("in") == []
    assert intake.used == 0


def test_kill_9_loses_nothing_that_was_written(disk):
    data = random.Random(1).randbytes(300_000)
    offer, rng = offer_of(data), random.Random(2)
    intake = Intake(disk, "in")
    intake.open(KEY, offer)
    written = RangeSet()
    for at in rng.sample(range(0, len(data), SEGMENT), 150):
        intake.write(KEY, offer.object_id, at, data[at : at + SEGMENT])
        written.add(at, min(at + SEGMENT, len(data)))
        if rng.random() < 0.05:
            intake = Intake(disk, "in")
            assert intake.open(KEY, offer) == written
    have = intake.open(KEY, offer)
    send(intake, offer, data, have, rng)
    assert intake.finish(KEY, offer.object_id, "whole") is None
    assert content(disk, "whole") == data


def power_cut_at(call: int, seed: int) -> bool:
    """Cut the power at one call, recover, go on to the end. False when the run was over before."""
    data = random.Random(9).randbytes(SYNC_SIZE * 2 + 5000)
    offer, rng = offer_of(data), random.Random(seed)
    disk = SimDisk(seed)
    disk.fail("crash", call)
    was_cut = False
    try:
        intake = Intake(disk, "in")
        have = intake.open(KEY, offer)
        send(intake, offer, data, have, rng)
        intake.finish(KEY, offer.object_id, "whole")
    except Crash:
        was_cut = True
        disk = disk.crash()
    disk.fail_at = None
    if disk.exists("whole"):
        assert content(disk, "whole") == data, "the file got its name before it was durable"
        return was_cut
    intake = Intake(disk, "in")
    have = intake.open(KEY, offer)
    assert isinstance(have, RangeSet)
    part = next(name for name in disk.list("in") if name.endswith(".part"))
    for start, end in have:
        assert disk.read(f"in/{part}", start, end - start) == data[start:end], "it claims what the cut took"
    disk.fail("crash", rng.randrange(1, 40))
    try:
        send(intake, offer, data, have, rng)
        finished = intake.finish(KEY, offer.object_id, "whole")
    except Crash:
        disk = disk.crash()
        intake = Intake(disk, "in")
        if disk.exists("whole"):
            assert content(disk, "whole") == data
            return was_cut
        have = intake.open(KEY, offer)
        send(intake, offer, data, have, rng)
        finished = intake.finish(KEY, offer.object_id, "whole")
    disk.fail_at = None
    assert finished is None, "after a cut the copy was damaged"
    assert content(disk, "whole") == data
    return was_cut


@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_at_every_call_and_again_during_recovery(seed):
    call = 1
    while power_cut_at(call, 1000 * seed + call):
        call += 1
    assert call > 100


def test_a_power_cut_costs_at_most_what_was_written_since_the_last_sync():
    data = random.Random(3).randbytes(SYNC_SIZE * 5)
    for seed in range(20):
        disk, offer = SimDisk(seed), offer_of(data)
        intake = Intake(disk, "in")
        intake.open(KEY, offer)
        for at in range(0, len(data) - SEGMENT, SEGMENT):
            intake.write(KEY, offer.object_id, at, data[at : at + SEGMENT])
        had = (len(data) - SEGMENT) // SEGMENT * SEGMENT
        have = Intake(disk.crash(), "in").open(KEY, offer)
        assert have.total >= had - SYNC_SIZE - SEGMENT


def test_a_damaged_object_is_thrown_away_and_begins_anew(disk):
    data = random.Random(1).randbytes(5000)
    intake, offer = Intake(disk, "in"), offer_of(data)
    intake.open(KEY, offer)
    intake.write(KEY, offer.object_id, 0, bytes(5000))
    assert intake.finish(KEY, offer.object_id, "whole") == Damaged()
    assert not disk.exists("whole")
    assert intake.open(KEY, offer) == RangeSet()


def test_the_sender_is_the_authority_when_the_same_id_is_offered_with_another_content(disk):
    intake = Intake(disk, "in")
    intake.open(KEY, offer_of(b"old" * 100))
    intake.write(KEY, bytes((1,)) * 16, 0, b"old")
    assert intake.open(KEY, offer_of(b"new" * 100)) == RangeSet()


def test_bytes_that_are_there_are_never_written_over(disk):
    intake, offer = Intake(disk, "in"), offer_of(b"abcdefgh")
    intake.open(KEY, offer)
    intake.write(KEY, offer.object_id, 2, b"cdef")
    intake.write(KEY, offer.object_id, 0, b"abXXXXgh")
    assert intake.finish(KEY, offer.object_id, "whole") is None
    assert content(disk, "whole") == b"abcdefgh"


def test_two_peers_may_send_the_same_id(disk):
    intake, offer = Intake(disk, "in"), offer_of(b"abcd")
    intake.open(KEY, offer)
    intake.open(b"other", offer)
    intake.write(KEY, offer.object_id, 0, b"abcd")
    assert intake.open(b"other", offer) == RangeSet()


def test_a_full_disk_refuses_a_new_object_and_loses_nothing():
    disk = SimDisk(1, capacity=200_000)
    intake = Intake(disk, "in", reserve=50_000)
    small, big = bytes(100_000), bytes(180_000)
    assert intake.open(KEY, offer_of(small)) == RangeSet()
    refusal = intake.open(KEY, offer_of(big, 2))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == objects.DISK_FULL
    intake.write(KEY, offer_of(small).object_id, 0, small[:1000])
    disk.fail("ENOSPC")
    refusal = intake.write(KEY, offer_of(small).object_id, 1000, small[:1000])
    assert isinstance(refusal, Refusal)
    assert Intake(disk, "in").open(KEY, offer_of(small)).total >= 1000


def test_objects_and_bytes_are_bounded_and_the_idle_give_way():
    disk = SimDisk(1)
    intake = Intake(disk, "in", objects_max=3, size_max=10_000)
    assert isinstance(intake.open(KEY, offer_of(bytes(10_001))), Refusal)
    for number in range(1, 4):
        assert isinstance(intake.open(KEY, offer_of(bytes(1000), number)), RangeSet)
    refusal = intake.open(KEY, offer_of(bytes(1000), 4))
    assert isinstance(refusal, Refusal)
    assert refusal.reason == objects.BUSY
    again = Intake(disk, "in", objects_max=3, size_max=10_000)
    assert isinstance(again.open(KEY, offer_of(bytes(1000), 4)), RangeSet), "an object of an earlier life gives way"
    assert len(disk.list("in")) == 6


def test_a_long_log_is_written_anew():
    disk, data = SimDisk(1), random.Random(1).randbytes(400_000)
    intake, offer = Intake(disk, "in"), offer_of(data)
    intake.open(KEY, offer)
    for at in range(0, len(data), 100):
        intake.write(KEY, offer.object_id, at, data[at : at + 100])
    log = next(name for name in disk.list("in") if name.endswith(".log"))
    assert disk.size(f"in/{log}") < LOG_SIZE_MAX + SYNC_SIZE
    assert Intake(disk, "in").open(KEY, offer).total == len(data)


def test_what_is_left_without_its_other_half_is_removed(disk):
    disk.make_folder("in")
    disk.append("in/aa.part", b"x")
    disk.append("in/bb.log", b"x")
    disk.append("in/cc.log", bytes(100))
    disk.append("in/cc.part", bytes(100))
    Intake(disk, "in")
    assert disk.list("in") == []


def test_discard_leaves_nothing(disk):
    intake = Intake(disk, "in")
    intake.open(KEY, offer_of(b"abc"))
    intake.discard(KEY, bytes((1,)) * 16)
    assert disk.list("in") == []


def test_a_failed_sync_is_not_swallowed():
    disk, data = SimDisk(1), bytes(SYNC_SIZE)
    intake, offer = Intake(disk, "in"), offer_of(data)
    intake.open(KEY, offer)
    intake.write(KEY, offer.object_id, 0, data[:-SEGMENT])
    disk.fail("EIO", 3)
    with pytest.raises(DiskError, match="sync"):
        intake.write(KEY, offer.object_id, SYNC_SIZE - SEGMENT, data[:SEGMENT])


def test_what_is_not_open_or_not_whole_is_said_to_be_not_open():
    intake, offer = Intake(SimDisk(1), "in"), offer_of(b"abc")
    assert intake.write(KEY, offer.object_id, 0, b"a") == NotOpen()
    intake.open(KEY, offer)
    assert intake.finish(KEY, offer.object_id, "whole") == NotOpen()


OTHER = b"o" * 32


@pytest.mark.parametrize("size", [0, 1000])
def test_one_peer_that_finishes_nothing_does_not_shut_out_the_others(size):
    """256 objects offered and never sent had every other kit refused, until the gateway was started anew."""
    intake = Intake(SimDisk(1), "in", objects_max=8, size_max=8_000)
    offers = [offer_of(bytes(size), number) for number in range(1, 9)]
    for offer in offers:
        intake.open(KEY, offer)
    for number in range(20, 24):
        assert isinstance(intake.open(OTHER, offer_of(bytes(1000), number)), RangeSet)
    assert isinstance(intake.open(KEY, offer_of(bytes(1000), 30)), Refusal)
    assert sum(intake.offer(OTHER, bytes((number,)) * 16) is not None for number in range(20, 24)) == 4


def test_one_large_object_that_never_comes_gives_way_to_those_of_others():
    intake = Intake(SimDisk(1), "in", size_max=10_000)
    intake.open(KEY, offer_of(bytes(10_000)))
    assert isinstance(intake.open(OTHER, offer_of(bytes(1000), 2)), RangeSet)
    assert isinstance(intake.open(KEY, offer_of(bytes(10_000))), Refusal), "and does not drive them out"


def test_what_a_peer_has_given_up_long_ago_gives_way_to_its_next():
    intake = Intake(SimDisk(1), "in", objects_max=2)
    for number in (1, 2):
        intake.open(KEY, offer_of(bytes(1000), number))
    assert isinstance(intake.open(KEY, offer_of(bytes(10), 3)), Refusal)
    for _ in range(STALE_USES + 1):
        intake.write(KEY, offer_of(bytes(1000), 2).object_id, 0, b"\0")
    assert isinstance(intake.open(KEY, offer_of(bytes(10), 3)), RangeSet)
    assert intake.offer(KEY, bytes((1,)) * 16) is None
    assert intake.write(KEY, bytes((1,)) * 16, 0, b"\0") == NotOpen()


def test_an_object_that_another_session_begins_anew_as_a_smaller_one_ends_no_process():
    """`Misuse` went through the receiver and ended the gateway: any enrolled kit could do it."""
    intake = Intake(SimDisk(1), "in")
    intake.open(KEY, offer_of(bytes(10)))
    intake.open(KEY, offer_of(bytes(5)))
    assert intake.write(KEY, offer_of(b"").object_id, 5, b"12345") == NotOpen()
