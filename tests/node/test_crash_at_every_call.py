"""The N-loop: the Nth call to the disk fails, for every N, by a power cut, an error and a full disk (R10, R29)."""

import random

import pytest

from node.journal import Limits
from tests.node.stores import Kit, Ledger, check, recover_and_check, script
from tests.sim.disk import Crash, SimDisk
from wire.errors import DiskError, DiskFull

SEEDS = range(3)


def calls_of_the_script():
    disk = SimDisk()
    script(disk, Ledger())
    return disk.calls


CALLS = calls_of_the_script()


def run_into(disk, ledger, fault, at):
    """Run the script until the fault ends it; tell whether it came."""
    disk.fail(fault, at)
    try:
        script(disk, ledger)
    except (Crash, DiskError):
        return True
    except DiskFull:
        assert fault == "ENOSPC"
        return True
    return False


def test_without_faults_nothing_is_lost():
    disk, ledger = SimDisk(), Ledger()
    script(disk, ledger)
    assert len(ledger.acked) == 6
    assert len(ledger.closed) == 2
    recover_and_check(disk, ledger)
    recover_and_check(disk.crash(), ledger)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_at_every_call(seed):
    for at in range(1, CALLS + 1):
        disk, ledger = SimDisk(seed * 10_000 + at), Ledger()
        assert run_into(disk, ledger, "crash", at)
        recover_and_check(disk.crash(), ledger)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_power_cut_at_every_call_and_again_during_recovery(seed):
    chance = random.Random(seed)
    for at in range(1, CALLS + 1):
        disk, ledger = SimDisk(seed * 20_000 + at), Ledger()
        assert run_into(disk, ledger, "crash", at)
        for life in range(3):
            disk = disk.crash()
            disk.fail("crash", chance.randrange(1, 60))
            try:
                Kit(disk, 10 + life)
            except Crash:
                continue
            break
        recover_and_check(disk.crash(), ledger)


@pytest.mark.slow
@pytest.mark.parametrize("at", range(CALLS // 3, CALLS, 23))
def test_a_power_cut_at_every_call_of_the_recovery(at):
    for inner in range(1, 200):
        disk, ledger = SimDisk(at), Ledger()
        assert run_into(disk, ledger, "crash", at)
        disk = disk.crash(at)
        disk.fail("crash", inner)
        try:
            Kit(disk, 10)
        except Crash:
            recover_and_check(disk.crash(), ledger)
        else:
            return
    pytest.fail("the recovery did not end within 200 calls")


@pytest.mark.parametrize("seed", SEEDS)
def test_an_error_at_every_call_then_a_new_process_then_a_power_cut(seed):
    for at in range(1, CALLS + 1):
        disk, ledger = SimDisk(seed * 30_000 + at), Ledger()
        run_into(disk, ledger, "EIO", at)
        recover_and_check(disk, ledger)
        recover_and_check(disk.crash(), ledger)


def test_a_full_disk_at_every_call_loses_nothing_and_keeps_nothing_refused():
    for at in range(1, CALLS + 1):
        disk, ledger = SimDisk(at), Ledger(was_full=True)
        run_into(disk, ledger, "ENOSPC", at)
        recover_and_check(disk.crash(), ledger)


@pytest.mark.parametrize("entries", [1, 4])
def test_a_disk_of_every_size_loses_nothing(entries):
    refused = 0
    for capacity in range(0, 60_000, 1499):
        disk, ledger = SimDisk(capacity, capacity=capacity), Ledger(was_full=True)
        try:
            script(disk, ledger, entries=entries, limits=Limits(1 << 14, 1 << 15, 4, 1 << 11, 1 << 12, 1 << 12))
        except DiskFull:
            pytest.fail("a full disk reached somebody who cannot refuse a study for it")
        refused += not ledger.acked
        left = disk.crash()
        left.capacity += 1 << 16
        recover_and_check(left, ledger)
    assert 5 < refused < 30


def test_an_error_during_recovery_then_a_new_process():
    for at in range(5, CALLS, 11):
        for inner in range(1, 60, 4):
            disk, ledger = SimDisk(at), Ledger()
            assert run_into(disk, ledger, "crash", at)
            disk = disk.crash()
            disk.fail("EIO", inner)
            try:
                Kit(disk, 10)
            except DiskError:
                recover_and_check(disk, ledger)
            recover_and_check(disk.crash(), ledger)


def test_the_checker_sees_a_lost_entry():
    disk, ledger = SimDisk(), Ledger()
    script(disk, ledger)
    ledger.acked[b"never written"] = b"x"
    with pytest.raises(AssertionError, match="lost"):
        check(Kit(disk, 9), ledger)
