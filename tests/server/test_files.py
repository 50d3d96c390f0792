"""The file store: once under its digest, checked when read, and whole or not there after any crash."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.disk import RealDisk
from node.entropy import seeded
from server.centre import Centre
from server.files import CHUNK_SIZE, NEW, Files
from tests.server.faults import Broken, FailingDisk
from wire.errors import DiskError, DiskFull, FormatError, UsageError


@pytest.fixture
def disk(tmp_path):
    with RealDisk(tmp_path) as real:
        yield real


@pytest.fixture
def files(disk):
    return Files(disk, seeded(b"files"))


def digest(raw):
    return hashlib.blake2b(raw, digest_size=32).hexdigest()


@pytest.mark.parametrize("size", [0, 1, CHUNK_SIZE - 1, CHUNK_SIZE, 2 * CHUNK_SIZE + 7])
def test_what_was_put_is_read_back(files, size):
    raw = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stored = files.put(raw)
    assert (stored.digest, stored.size) == (digest(raw), size)
    assert files.read(stored.digest) == raw
    assert files.has(stored.digest)
    assert files.size(stored.digest) == size


@settings(max_examples=25, deadline=None)
@given(parts=st.lists(st.binary(max_size=40), max_size=6))
def test_chunks_in_any_cut_are_one_file(tmp_path_factory, parts):
    with RealDisk(tmp_path_factory.mktemp("files")) as disk:
        files = Files(disk, seeded(b"x"))
        assert files.put(iter(parts)) == files.put(b"".join(parts))
        assert len(list(files.check())) == 1


def test_the_same_bytes_are_kept_once(files, disk):
    assert files.put(b"same") == files.put(b"same")
    assert [name for name, _ in files.check()] == [digest(b"same")]
    assert disk.list(NEW) == []


def test_bytes_that_are_not_those_announced_leave_nothing(files, disk):
    with pytest.raises(FormatError, match="was announced"):
        files.put(b"other", bytes.fromhex(digest(b"this"))[:16])
    assert disk.list(NEW) == []
    assert list(files.check()) == []


def test_a_file_that_rots_is_noticed_and_healed_by_the_next_put(files, disk, tmp_path):
    stored = files.put(b"precious" * 100)
    path = tmp_path / "files" / stored.digest[:2] / stored.digest
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with pytest.raises(FormatError, match="have changed"):
        files.read(stored.digest)
    assert list(files.check()) == [(stored.digest, False)]
    files.put(b"precious" * 100)
    assert files.read(stored.digest) == b"precious" * 100


@pytest.mark.parametrize("name", ["", "..", "../../etc/passwd", "AB" * 32, "ab" * 31, "ab" * 32 + "/", "\0" * 64])
def test_a_name_that_is_no_digest_opens_nothing(files, name):
    for call in (files.read, files.has, files.size):
        with pytest.raises(UsageError, match="not a digest"):
            call(name)


def test_a_full_disk_leaves_no_half_file(tmp_path):
    with RealDisk(tmp_path) as real:
        disk = FailingDisk(real, fail_at=None)
        files = Files(disk, seeded(b"x"))
        disk.fail("append", DiskFull("no room"), skip=1)
        with pytest.raises(DiskFull):
            files.put(b"large")
        assert real.list(NEW) == []


def test_crash_at_every_call_of_a_put_leaves_the_file_whole_or_absent(tmp_path_factory):
    for number in range(1, 40):
        with RealDisk(tmp_path_factory.mktemp("crash")) as real:
            disk = FailingDisk(real, fail_at=None)
            files = Files(disk, seeded(b"x"))
            disk.fail_at = disk.calls + number
            try:
                files.put(b"study" * 1000)
                finished = True
            except Broken:
                finished = False
            again = Files(real, seeded(b"y"))
            again.sweep()
            assert real.list(NEW) == []
            assert all(sound for _, sound in again.check())
            assert again.read(again.put(b"study" * 1000).digest) == b"study" * 1000
            if finished:
                return
    pytest.fail("a put takes more calls than this test counts")


def test_a_failed_sync_is_not_taken_for_stored(tmp_path):
    with RealDisk(tmp_path) as real:
        disk = FailingDisk(real, fail_at=None)
        files = Files(disk, seeded(b"x"))
        disk.fail("sync", DiskError("bad sector"))
        with pytest.raises(DiskError):
            files.put(b"bytes")
        assert not files.has(digest(b"bytes"))


def test_a_command_beside_the_running_centre_sweeps_nothing_away(tmp_path):
    with Centre.open(tmp_path) as running:
        running.disk.append("files/new/half", b"half of a file that is coming in")
        with Centre.open(tmp_path):
            assert running.disk.exists("files/new/half")
        running.files.sweep()
        assert not running.disk.exists("files/new/half")
