"""Room that is taken before it is needed, and a store's guard after a failed write."""

import pytest

from node.guard import GuardedDisk
from node.reserve import CHUNK_SIZE, Reserve
from tests.sim.disk import Crash, SimDisk
from wire.errors import DiskError, DiskFull

SIZE = 3 * CHUNK_SIZE + 5


def test_it_takes_the_room_and_gives_it_back():
    disk = SimDisk(capacity=2 * SIZE)
    reserve = Reserve(disk, "reserve", SIZE)
    assert not reserve.filled
    assert reserve.fill()
    assert disk.free() == SIZE
    assert Reserve(disk.crash(), "reserve", SIZE).filled


def test_it_gives_back_what_it_took():
    disk = SimDisk(capacity=2 * SIZE)
    reserve = Reserve(disk, "reserve", SIZE)
    reserve.fill()
    assert reserve.release()
    assert not reserve.release()
    assert disk.free() == 2 * SIZE
    assert reserve.fill()


def test_where_there_is_no_room_it_takes_none():
    disk = SimDisk(capacity=SIZE - 1)
    reserve = Reserve(disk, "reserve", SIZE)
    assert not reserve.fill()
    assert disk.free() == SIZE - 1
    disk.capacity = SIZE
    assert reserve.fill()


@pytest.mark.parametrize("seed", range(10))
def test_a_power_cut_while_it_is_filled(seed):
    for at in range(1, 12):
        disk = SimDisk(seed * 100 + at)
        disk.fail("crash", at)
        try:
            Reserve(disk, "reserve", SIZE).fill()
        except Crash:
            disk = disk.crash()
        disk.fail_at = None
        reserve = Reserve(disk, "reserve", SIZE)
        assert reserve.fill()
        assert disk.size("reserve") == SIZE


def test_another_size_after_an_update_of_the_configuration():
    disk = SimDisk()
    Reserve(disk, "reserve", SIZE).fill()
    assert Reserve(disk, "reserve", SIZE // 2).fill()
    assert disk.size("reserve") == SIZE // 2


@pytest.mark.parametrize(
    "call", ["append", "sync", "sync_folder", "rename", "remove", "truncate", "write_at", "make_folder"]
)
def test_a_failed_change_closes_the_guard(call):
    disk = SimDisk()
    disk.append("a", b"x")
    guard = GuardedDisk(disk)
    values = {"append": ("a", b"x"), "rename": ("a", "b"), "truncate": ("a", 0), "write_at": ("a", 0, b"x")}
    values |= {"sync_folder": ("",), "make_folder": ("f",)}
    disk.fail("EIO")
    with pytest.raises(DiskError, match="as the test wants"):
        getattr(guard, call)(*values.get(call, ("a",)))
    calls = disk.calls
    for use in (lambda: guard.read("a"), guard.free, lambda: guard.append("a", b"y"), lambda: guard.sync("a")):
        with pytest.raises(DiskError, match="open the store anew"):
            use()
    assert disk.calls == calls


def test_a_failed_read_and_a_full_disk_do_not():
    disk = SimDisk()
    disk.append("a", b"x")
    guard = GuardedDisk(disk)
    disk.fail("EIO")
    with pytest.raises(DiskError):
        guard.read("a")
    disk.fail("ENOSPC")
    with pytest.raises(DiskFull):
        guard.append("a", b"y")
    assert guard.read("a") == b"x"
