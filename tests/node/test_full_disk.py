"""A real file system that is full: a small tmpfs, filled to the last byte."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from node.disk import RealDisk
from node.journal import Limits
from tests.node.stores import Kit, Ledger, check, raw_tag, recover_and_check, script, summary_of
from wire.errors import DiskFull

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path):
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("FULL DISK TEST NOT RUN: needs root for mounts")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(tmp_path)], check=False)
    if done.returncode:
        pytest.skip("FULL DISK TEST NOT RUN: tmpfs cannot be mounted here")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


class Listed(RealDisk):
    """A real disk that can be compared with itself."""

    def tree(self):
        root = Path(self._root)
        return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def fill_up(disk):
    for size in (65536, 4096, 1):
        try:
            while True:
                disk.append("ballast", bytes(size))
        except DiskFull:
            continue


def test_an_append_that_finds_no_room_leaves_the_file_as_it_was(small):
    with RealDisk(small) as disk:
        disk.append("a", b"before")
        fill_up(disk)
        size = disk.size("ballast")
        with pytest.raises(DiskFull, match="no room to append to a"):
            disk.append("a", bytes(8192))
        with pytest.raises(DiskFull, match="no room"):
            disk.write_at("a", 3, bytes(100_000))
        assert disk.size("a") == 6
        assert disk.size("ballast") == size
        assert disk.free() < 4096


def test_a_study_under_way_is_finished_on_a_full_disk_and_a_new_one_refused(small):
    limits = Limits(study_room=1 << 13, entries_reserve=1 << 14, closing_reserve=1 << 14)
    with RealDisk(small) as disk:
        kit = Kit(disk, limits=limits)
        journal = kit.studies.open()
        journal.append([raw_tag(b"one")])
        fill_up(disk)
        with pytest.raises(DiskFull):
            kit.studies.open()
        payloads = [b"one", *(bytes(range(256)) * 4 + b"%d" % entry for entry in range(4))]
        for payload in payloads[1:]:
            journal.append([raw_tag(payload)])
        journal.close(summary_of(journal, 5))
        told = dict.fromkeys(payloads, journal.study_id)
        check(Kit(disk, 1, limits), Ledger(tried=told, acked=told, closed={journal.study_id}))


def test_the_script_on_a_disk_that_fills_up_at_any_point(small):
    for ballast in range(0, 240_000, 12_000):
        for name in os.listdir(small):
            path = small / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        with RealDisk(small) as disk:
            disk.append("ballast", bytes(ballast))
            ledger = Ledger(was_full=True)
            limits = Limits(1 << 14, 1 << 16, 4, 1 << 11, 1 << 12, 1 << 12)
            try:
                script(disk, ledger, entries=4, limits=limits)
            except DiskFull:
                assert ballast > 150_000, "a full disk reached somebody who cannot refuse a study for it"
            disk.remove("ballast")
        with Listed(small) as disk:
            recover_and_check(disk, ledger)
