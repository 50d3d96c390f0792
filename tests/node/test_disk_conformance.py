"""What every disk must do, run by the real one and the simulated one."""

import os

import pytest

from node.disk import DEPTH_MAX, HANDLES_MAX, NAME_SIZE_MAX, RealDisk, make_durable_folder, put_file
from tests.sim.disk import SimDisk
from wire.errors import DiskError, Misuse, UsageError


@pytest.fixture(params=["real", "simulated"])
def disk(request, tmp_path):
    if request.param == "simulated":
        yield SimDisk()
        return
    with RealDisk(tmp_path) as real:
        yield real


def test_what_is_appended_is_read(disk):
    disk.append("a", b"one")
    disk.append("a", b"two")
    assert disk.read("a") == b"onetwo"
    assert disk.size("a") == 6
    disk.sync("a")
    disk.append("a", b"three")
    assert disk.read("a") == b"onetwothree"


def test_an_empty_append_makes_an_empty_file(disk):
    disk.append("a", b"")
    assert disk.exists("a")
    assert disk.read("a") == b""


@pytest.mark.parametrize(
    ("offset", "size", "want"), [(0, 2, b"ab"), (4, 9, b"ef"), (6, 1, b""), (9, 9, b""), (2, 0, b"")]
)
def test_a_part_is_read_and_less_at_the_end(disk, offset, size, want):
    disk.append("a", b"abcdef")
    assert disk.read("a", offset, size) == want


def test_writing_in_place_and_over_the_end(disk):
    disk.append("a", b"abcdef")
    disk.write_at("a", 1, b"BC")
    disk.write_at("a", 5, b"FG")
    disk.write_at("a", 9, b"J")
    assert disk.read("a") == b"aBCdeFG\0\0J"


def test_writing_in_place_makes_the_file(disk):
    disk.write_at("a", 3, b"x")
    assert disk.read("a") == b"\0\0\0x"


def test_a_negative_offset_is_a_mistake_of_ours(disk):
    with pytest.raises(Misuse, match="offset -1"):
        disk.write_at("a", -1, b"x")


def test_truncating_cuts_and_extends(disk):
    disk.append("a", b"abcdef")
    disk.truncate("a", 2)
    assert disk.read("a") == b"ab"
    disk.truncate("a", 4)
    assert disk.read("a") == b"ab\0\0"


@pytest.mark.parametrize("call", ["read", "size", "remove", "sync", "sync_folder"])
def test_a_missing_file_is_named(disk, call):
    with pytest.raises(UsageError, match="nothing/here"):
        getattr(disk, call)("nothing/here")


def test_truncating_a_missing_file_is_an_error_and_makes_none(disk):
    with pytest.raises(UsageError, match="absent"):
        disk.truncate("absent", 3)
    assert not disk.exists("absent")


def test_appending_into_a_missing_folder_is_an_error(disk):
    with pytest.raises(UsageError, match="absent"):
        disk.append("absent/a", b"x")


def test_folders_are_listed_in_order_and_missing_ones_are_empty(disk):
    disk.make_folder("f/g")
    disk.make_folder("f/g")
    for name in ("b", "a", "c"):
        disk.append(f"f/{name}", b"")
    assert disk.list("f") == ["a", "b", "c", "g"]
    assert disk.list("") == ["f"]
    assert disk.list("nowhere") == []
    assert disk.exists("f")
    assert disk.exists("")
    assert not disk.exists("nowhere/a")


def test_renaming_replaces_and_moves_between_folders(disk):
    disk.make_folder("f")
    disk.append("a", b"new")
    disk.append("f/b", b"old")
    disk.rename("a", "f/b")
    assert disk.read("f/b") == b"new"
    assert not disk.exists("a")
    disk.append("f/b", b"er")
    disk.sync("f/b")
    assert disk.read("f/b") == b"newer"


def test_renaming_to_itself_changes_nothing(disk):
    disk.append("a", b"x")
    disk.rename("a", "a")
    assert disk.read("a") == b"x"


def test_renaming_what_is_missing_is_an_error(disk):
    with pytest.raises(UsageError, match="absent"):
        disk.rename("absent", "b")


def test_a_folder_is_not_renamed(disk):
    disk.make_folder("f")
    with pytest.raises(UsageError, match="folder"):
        disk.rename("f", "g")


def test_a_folder_is_not_a_file(disk):
    disk.make_folder("f")
    with pytest.raises(DiskError):
        disk.append("f", b"x")
    with pytest.raises(DiskError):
        disk.read("f")


def test_a_removed_file_is_gone_and_may_come_again(disk):
    disk.append("a", b"first")
    disk.remove("a")
    assert not disk.exists("a")
    disk.append("a", b"second")
    assert disk.read("a") == b"second"


BAD = [
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "../a",
    "a\0b",
    "x" * (NAME_SIZE_MAX + 1),
    "/".join("a" * (DEPTH_MAX + 1)),
]


@pytest.mark.parametrize("path", BAD)
@pytest.mark.parametrize("call", ["read", "size", "remove", "exists", "list", "make_folder", "sync_folder"])
def test_a_path_that_leads_elsewhere_is_refused(disk, call, path):
    with pytest.raises(UsageError, match="not a path"):
        getattr(disk, call)(path)


@pytest.mark.parametrize("path", BAD)
def test_nothing_is_written_to_a_path_that_leads_elsewhere(disk, path):
    disk.append("a.file", b"x")
    for act in (
        lambda: disk.append(path, b"x"),
        lambda: disk.write_at(path, 0, b"x"),
        lambda: disk.truncate(path, 0),
        lambda: disk.sync(path),
        lambda: disk.rename("a.file", path),
        lambda: disk.rename(path, "a.file"),
    ):
        with pytest.raises(UsageError, match="not a path"):
            act()
    assert disk.list("") == ["a.file"]


def test_names_at_the_limit_are_lawful(disk):
    name = "x" * NAME_SIZE_MAX
    disk.append(name, b"x")
    disk.make_folder("/".join("a" * DEPTH_MAX))
    assert disk.exists("/".join("a" * DEPTH_MAX))


def test_more_files_wait_for_their_sync_than_handles_are_kept(disk):
    for number in range(HANDLES_MAX + 5):
        disk.append(f"{number}", b"x")
    for number in range(HANDLES_MAX + 5):
        disk.append(f"{number}", b"y")
        disk.sync(f"{number}")
        assert disk.read(f"{number}") == b"xy"


def test_putting_a_file_replaces_it_whole(disk):
    make_durable_folder(disk, "f/g")
    put_file(disk, "f/g/a", b"one")
    disk.append("f/g/a.new", b"left behind by a cut")
    put_file(disk, "f/g/a", b"two")
    assert disk.read("f/g/a") == b"two"
    assert disk.list("f/g") == ["a"]


def test_free_space_is_a_number(disk):
    assert disk.free() > 0


def test_a_link_is_not_followed_out_of_the_root(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_bytes(b"s")
    (tmp_path / "root").mkdir()
    os.symlink("../outside", tmp_path / "root" / "folder")
    os.symlink("../outside/secret", tmp_path / "root" / "file")
    with RealDisk(tmp_path / "root") as disk:
        for act in (
            lambda: disk.read("file"),
            lambda: disk.append("file", b"x"),
            lambda: disk.read("folder/secret"),
            lambda: disk.append("folder/new", b"x"),
            lambda: disk.make_folder("folder/new"),
            lambda: disk.list("folder"),
        ):
            with pytest.raises(DiskError):
                act()
    assert sorted(os.listdir(tmp_path / "outside")) == ["secret"]
    assert (tmp_path / "outside" / "secret").read_bytes() == b"s"


def test_a_pipe_in_the_folder_does_not_hang_the_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with RealDisk(tmp_path) as disk, pytest.raises(DiskError, match="not a regular file"):
        disk.read("pipe")


def test_a_closed_disk_refuses(tmp_path):
    disk = RealDisk(tmp_path)
    disk.append("a", b"x")
    disk.close()
    disk.close()
    with pytest.raises(Misuse, match="closed"):
        disk.read("a")


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(UsageError, match="absent"):
        RealDisk(tmp_path / "absent")


def test_no_file_stays_open_after_its_sync(tmp_path):
    with RealDisk(tmp_path) as disk:
        before = len(os.listdir("/proc/self/fd"))
        for number in range(20):
            disk.append(f"{number}", b"x")
            disk.sync(f"{number}")
            disk.append(f"{number}", b"x")
            disk.remove(f"{number}")
        assert len(os.listdir("/proc/self/fd")) == before
