"""The record log: what was appended is there after any crash, in order, once; what is damaged costs itself only."""

import contextlib

import pytest

from node.entropy import seeded
from node.log import RECORD_SIZE_MAX, RecordLog
from tests.node.stores import FixedClock
from tests.sim.disk import Crash, SimDisk
from wire.errors import DiskError, DiskFull, Misuse

PATH = "store.log"


def opened(disk, life=0, **options):
    log = RecordLog(disk, PATH, FixedClock(), seeded(b"%d" % life), **options)
    return log, list(log.records)


def fresh(disk, life=0, **options):
    """Open and rewrite what still counts, as every owner does."""
    log, records = opened(disk, life, **options)
    log.rewrite(records)
    return log, records


def test_what_was_appended_is_there_in_order():
    disk = SimDisk()
    log, found = fresh(disk)
    assert found == []
    for number in range(300):
        log.append(b"%d" % number)
    again, found = opened(disk)
    assert found == [b"%d" % number for number in range(300)]
    assert (again.cut_bytes, again.hole) == (0, False)


def test_an_append_is_one_append_and_one_fsync():
    disk = SimDisk()
    log, _ = fresh(disk)
    del disk.log[:]
    log.append(b"x")
    assert [line.split()[0] for line in disk.log] == ["append", "sync"]


def test_many_records_are_one_commit_too():
    disk = SimDisk()
    log, _ = fresh(disk)
    del disk.log[:]
    log.append(*(b"%d" % number for number in range(500)))
    assert [line.split()[0] for line in disk.log] == ["append", "sync"]
    log.append(b"last")
    assert opened(disk)[1] == [*(b"%d" % number for number in range(500)), b"last"]


def test_it_is_rewritten_before_it_is_appended_to():
    disk = SimDisk()
    log, _ = opened(disk)
    with pytest.raises(Misuse, match="rewritten once"):
        log.append(b"x")


def test_a_record_at_the_limit_and_one_over_it():
    disk = SimDisk()
    log, _ = fresh(disk)
    log.append(bytes(RECORD_SIZE_MAX))
    with pytest.raises(Misuse, match="at most"):
        log.append(bytes(RECORD_SIZE_MAX + 1))
    log.append(b"after")
    assert [len(record) for record in opened(disk)[1]] == [RECORD_SIZE_MAX, 5]


def test_a_full_log_refuses_and_goes_on_after_a_rewrite():
    disk = SimDisk()
    log, _ = fresh(disk, size_max=500)
    count = 0
    with pytest.raises(DiskFull, match="is full"):  # noqa: PT012 - which append is refused is what is asked
        for count in range(100):
            log.append(b"%03d" % count)
    with pytest.raises(DiskFull, match="would have"):
        log.rewrite([bytes(600)])
    assert opened(disk)[1] == [b"%03d" % number for number in range(count)]
    log.rewrite([b"kept"])
    log.append(b"new")
    assert opened(disk)[1] == [b"kept", b"new"]


def test_a_full_disk_refuses_a_record_and_the_next_one_is_good():
    disk = SimDisk()
    log, _ = fresh(disk)
    log.append(b"one")
    disk.fail("ENOSPC")
    with pytest.raises(DiskFull):
        log.append(b"two")
    disk.fail("ENOSPC", 2)
    with pytest.raises(DiskFull):
        log.rewrite([])
    log.append(b"three")
    again, found = opened(disk)
    assert found == [b"one", b"three"]
    assert (again.cut_bytes, again.hole) == (0, False)
    assert disk.list("") == [PATH]


def test_after_a_failed_fsync_it_refuses_until_it_is_opened_anew():
    disk = SimDisk()
    log, _ = fresh(disk)
    disk.fail("EIO", 2)
    with pytest.raises(DiskError, match="as the test wants"):
        log.append(b"unsure")
    with pytest.raises(DiskError, match="anew"):
        log.append(b"more")


def test_a_hole_costs_its_record_and_the_old_file_is_kept():
    disk = SimDisk()
    log, _ = fresh(disk)
    sizes = []
    for number in range(5):
        log.append(b"%d" % number * 50)
        sizes.append(log.size)
    disk.damage(PATH, sizes[1] + 12, b"\0" * 20)
    damaged = disk.read(PATH)
    again, found = fresh(disk, 1)
    assert [record[:1] for record in found] == [b"0", b"1", b"3", b"4"]
    assert disk.read(PATH + ".broken") == damaged
    assert again.hole is False
    assert opened(disk, 2)[1] == found


def run(disk, acked):
    log, found = fresh(disk)
    for number in range(8):
        log.append(b"%d" % number * 100)
        acked.append(b"%d" % number * 100)
        if number == 4:
            log.rewrite(acked)
    return found


@pytest.mark.parametrize("fault", ["crash", "EIO"])
@pytest.mark.parametrize("seed", range(6))
def test_a_fault_at_every_call(seed, fault):
    disk = SimDisk()
    run(disk, [])
    for at in range(1, disk.calls + 1):
        broken, acked = SimDisk(seed * 1000 + at), []
        broken.fail(fault, at)
        with contextlib.suppress(Crash, DiskError):
            run(broken, acked)
        if fault == "EIO":
            _, found = fresh(broken, 1)
            assert found[: len(acked)] == acked
        left = broken.crash()
        _, found = opened(left, 2)
        assert found[: len(acked)] == acked
        assert len(found) <= len(acked) + 1
