"""The simulated disk must be cruel enough, and never crueller than its head says."""

import pytest

from node.disk import make_durable_folder
from tests.sim.disk import Crash, SimDisk
from wire.errors import DiskError, DiskFull

SEEDS = range(400)


def after_cut(make, path="a"):
    """Return every content of `path` that a power cut may leave, None for no file."""
    found = set()
    for seed in SEEDS:
        disk = SimDisk(seed)
        make(disk)
        left = disk.crash()
        found.add(left.read(path) if left.exists(path) else None)
    return found


def synced(disk, path="a", data=b"old"):
    disk.append(path, data)
    disk.sync(path)
    disk.sync_folder(path.rpartition("/")[0])


def test_what_was_synced_with_its_folder_always_survives():
    assert after_cut(synced) == {b"old"}


def test_a_file_whose_folder_was_not_synced_may_be_gone():
    def make(disk):
        disk.append("a", b"data")
        disk.sync("a")

    assert after_cut(make) == {None, b"data"}


def test_unsynced_bytes_may_be_lost_torn_or_zeros():
    def make(disk):
        synced(disk)
        disk.append("a", b"NEW")

    found = after_cut(make)
    assert {b"old", b"oldNEW", b"oldN", b"old\0\0\0", b"oldN\0\0"} <= found
    assert all(content.startswith(b"old") for content in found)


def test_writes_may_change_places():
    def make(disk):
        synced(disk)
        disk.append("a", b"12")
        disk.append("a", b"34")

    found = after_cut(make)
    assert b"old\0\x0034" in found
    assert b"old12" in found


def test_sectors_of_a_large_write_survive_one_by_one():
    def make(disk):
        synced(disk)
        disk.append("a", b"x" * 2048)

    found = after_cut(make)
    assert any(content[3:515] == bytes(512) and content[515:1027] == b"x" * 512 for content in found)


def test_a_replacing_rename_leaves_the_old_or_the_new():
    def make(disk):
        synced(disk)
        disk.append("b", b"new")
        disk.sync("b")
        disk.rename("b", "a")

    assert after_cut(make) == {b"old", b"new"}


@pytest.mark.parametrize(
    ("order", "want"), [(("t", "s"), {"t"}), (("t",), {"t", "st"}), ((), {"s", "t", "st"}), (("s",), {"", "t"})]
)
def test_a_move_between_folders_needs_the_new_folder_first(order, want):
    found = set()
    for seed in SEEDS:
        disk = SimDisk(seed)
        make_durable_folder(disk, "s")
        make_durable_folder(disk, "t")
        synced(disk, "s/a")
        disk.rename("s/a", "t/a")
        for folder in order:
            disk.sync_folder(folder)
        left = disk.crash()
        found.add("".join(folder for folder in "st" if left.exists(f"{folder}/a")))
    assert found == want


def test_a_removed_file_may_come_back_until_the_folder_is_synced():
    def make(disk):
        synced(disk)
        disk.remove("a")

    assert after_cut(make) == {None, b"old"}


def test_a_failed_sync_is_forgotten_though_it_can_be_read():
    lost = 0
    for seed in SEEDS:
        disk = SimDisk(seed)
        synced(disk)
        disk.append("a", b"NEW")
        disk.fail("EIO")
        with pytest.raises(DiskError):
            disk.sync("a")
        assert disk.read("a") == b"oldNEW"
        disk.sync("a")
        lost += disk.crash().read("a") != b"oldNEW"
    assert lost > len(SEEDS) // 3


def test_the_same_seed_gives_the_same_disk():
    def one():
        disk = SimDisk(7)
        synced(disk)
        for number in range(20):
            disk.append("a", b"%d" % number * 40)
        return disk.crash().read("a")

    assert one() == one()


def test_a_crash_at_a_call_ends_everything():
    disk = SimDisk()
    disk.fail("crash", 2)
    disk.append("a", b"x")
    with pytest.raises(Crash):
        disk.append("a", b"y")
    with pytest.raises(Crash):
        disk.read("a")


def test_a_full_disk_refuses_and_changes_nothing():
    disk = SimDisk(capacity=10)
    disk.append("a", b"12345678")
    with pytest.raises(DiskFull):
        disk.append("a", b"901")
    with pytest.raises(DiskFull):
        disk.write_at("b", 5, b"x")
    assert disk.read("a") == b"12345678"
    disk.write_at("a", 0, b"ab")
    assert disk.free() == 2


def test_a_stall_is_told_of_every_call():
    seen = []
    disk = SimDisk(stall=lambda what, number: seen.append((number, what)))
    disk.append("a", b"x")
    disk.sync("a")
    assert seen == [(1, "append a"), (2, "sync a")]


def test_a_bad_sector_cannot_be_read():
    disk = SimDisk()
    disk.append("a", b"0123456789")
    disk.spoil("a", 4, 2)
    assert disk.read("a", 0, 4) == b"0123"
    assert disk.read("a", 6) == b"6789"
    with pytest.raises(DiskError, match="bad sector"):
        disk.read("a")
