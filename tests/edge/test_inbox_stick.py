"""A stick that is really mounted, pulled out while its files are taken, and put in again, read-only."""

import asyncio
import os
import subprocess
import time
from collections import Counter

import pytest

from edge import inboxes
from node.spool import State
from tests.edge.test_daemon import until
from tests.edge.test_imports import images_of
from tests.edge.test_inboxes import Van
from tests.edge.test_kit import SERVER_SEAL
from wire.objects import STUDY
from wire.study import open_study

pytestmark = pytest.mark.root
FILES = {f"{number:02d}.pdf": b"%PDF-" + bytes([number]) * 200_000 for number in range(12)}


@pytest.fixture
def stick(tmp_path):
    """Return the commands that put a stick with FILES in, and pull it out."""
    if os.geteuid() != 0:
        pytest.skip("NOT ROOT: no stick can be mounted")
    image, place = tmp_path / "image", tmp_path / "stick"
    image.mkdir()
    place.mkdir()

    def put_in(options="rw"):
        subprocess.run(["mount", "--bind", image, place], check=True)
        subprocess.run(["mount", "-o", f"remount,bind,{options}", place], check=True)

    def pull():
        subprocess.run(["umount", "-l", place], check=False, capture_output=True)

    if subprocess.run(["mount", "-t", "tmpfs", "none", image], check=False).returncode:
        pytest.skip("NO MOUNT: this machine lets nobody mount a tmpfs")
    for name, data in FILES.items():
        (image / name).write_bytes(data)
    yield put_in, pull
    pull()
    subprocess.run(["umount", "-l", image], check=False, capture_output=True)


@pytest.mark.parametrize("after", ["leave", "move"])
def test_a_stick_that_is_pulled_while_it_is_read_is_taken_whole_in_the_end_and_once(
    stick, tmp_path, monkeypatch, after
):
    put_in, pull = stick
    monkeypatch.setattr(inboxes, "LOOK_S", 0.1)
    monkeypatch.setattr(inboxes, "FAILURE_S", 0.2)

    async def play():
        async with Van(tmp_path, after=after) as van:
            put_in()
            heard = van.daemon._inboxes._slots[0].watch.taken
            store = van.data / "inbox" / "spool"
            await until(lambda: store.exists() and len(list(store.glob("*.study"))) >= 2)
            pull()
            await until(lambda: not van.said()["files"])
            assert heard
            put_in("ro")
            await until(lambda: sum(van.said()["here"][fate] for fate in ("taken", "known")) == left(tmp_path))
            await until(lambda: len(studies(van)) == len(FILES))
            return [
                open_study(van.daemon.kit.spool.read(one.object_id, 0, one.size), SERVER_SEAL[0])
                for one in studies(van)
            ]

    began = time.monotonic()
    found = Counter(images_of(study)[0].image for study in asyncio.run(play()))
    assert found == dict.fromkeys(FILES.values(), 1)
    assert time.monotonic() - began < 30
    pull()
    assert not list((tmp_path / "stick").iterdir()), "nothing was written below the stick"


def studies(van):
    return [one for one in van.daemon.kit.spool.objects(State.WAITING) if one.kind == STUDY]


def left(tmp_path):
    """Return how many files lie on the stick that were not moved."""
    return len(list((tmp_path / "image").glob("*.pdf")))
