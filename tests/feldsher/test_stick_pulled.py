"""A stick that is pulled, or cannot be written, while `link send` writes it: nothing lands below its mount point."""

import os
import random
import subprocess
import time

import pytest

from feldsher import link_send
from tests.feldsher.test_link_command import FELDSHER, ROOT, run

pytestmark = pytest.mark.root
SIZE = 60_000_000


@pytest.fixture
def folder(tmp_path):
    """A folder with keys, a large file, and a stick that is mounted."""
    if os.geteuid() != 0:
        pytest.skip("NOT ROOT: no stick can be mounted")
    (tmp_path / "stick").mkdir()
    assert run(tmp_path, "keys", "keys").returncode == 0
    with (tmp_path / "big").open("wb") as file:
        file.write(random.Random(1).randbytes(SIZE))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "none", "stick"], cwd=tmp_path, check=False)
    if mounted.returncode:
        pytest.skip("NO MOUNT: this machine lets nobody mount a tmpfs")
    (tmp_path / "stick" / "feldsher").mkdir()
    yield tmp_path
    subprocess.run(["umount", "-l", "stick"], cwd=tmp_path, check=False, capture_output=True)


def words(folder):
    return ["send", "big", "--to", f"dir://{folder}/stick", "--keys", "keys", "--no-compress"]


def test_a_stick_that_is_pulled_in_the_middle_is_told_and_the_disk_below_it_is_left_alone(folder):
    sending = subprocess.Popen(
        [*FELDSHER, *words(folder)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with sending:
        until = time.monotonic() + 20
        while len(list((folder / "stick" / "feldsher").glob("*.parcel"))) < 2:
            assert time.monotonic() < until
            time.sleep(0.01)
        subprocess.run(["umount", "-l", "stick"], cwd=folder, check=True)
        said = sending.stderr.read()
    assert sending.returncode == 75
    assert "the stick was pulled before everything was on it; put it in again" in said
    below = [path for path in (folder / "stick").rglob("*") if path.is_file()]
    assert len(below) <= 1, "what was being written when it was pulled"


def test_a_stick_that_is_read_only_is_told(folder):
    subprocess.run(["mount", "-o", "remount,ro", "stick"], cwd=folder, check=True)
    done = run(folder, *words(folder), "--timeout", "3")
    assert done.returncode == 75
    assert "the stick is read-only; is its switch on LOCK?" in done.stderr
    assert "; 1 file waits; run the same command again" in done.stderr


def test_what_is_mounted_at_a_place_is_told_apart(folder):
    assert link_send.device_of(str(folder / "stick")) != link_send.device_of(str(folder))
    assert link_send.device_of(str(folder / "nowhere")) is None
