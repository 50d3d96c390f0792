"""A power cut below the file system: the writes and flushes that ext4 sends to its device, replayed up to a cut.

The script of `stores` runs on ext4 on a loop device over `fuse_block`. For each cut the image is built from what was
flushed before it and any part, in any order and torn at blocks, of what was not; it is mounted (after e2fsck where that
is needed, as a kit's boot does), recovered and held against what the script had been told at the moment of the cut.
FELDSHER_CUTS=300 for more cut points.

Tearing is by blocks of the file system, because ext4 relies on one block being written whole: torn within its
superblock, an image does not mount. What tears within a block is the matter of `tests/sim/disk.py`.
"""

import contextlib
import copy
import itertools
import os
import random
import shutil
import subprocess
from dataclasses import dataclass, field

import pytest

from node.disk import RealDisk
from tests.node.fuse_block import FuseBlock
from tests.node.stores import Kit, Ledger, check, script

CUTS = int(os.environ.get("FELDSHER_CUTS", "90"))
IMAGE_SIZE = 8 << 20
BLOCK_SIZE = 1024

COPIES = itertools.count()

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("power-cut")]


def why_not():
    if os.geteuid() != 0:
        return "needs root for mounts"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs /dev/fuse"
    missing = [tool for tool in ("mkfs.ext4", "losetup", "mount", "umount") if not shutil.which(tool)]
    return f"needs {', '.join(missing)}" if missing else ""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextlib.contextmanager
def mounted(image, mountpoint):
    loop = run("losetup", "--find", "--show", str(image))
    try:
        try:
            run("mount", "-t", "ext4", loop, str(mountpoint))
        except OSError:
            subprocess.run(["e2fsck", "-fy", loop], capture_output=True, check=False)
            run("mount", "-t", "ext4", loop, str(mountpoint))
        try:
            yield mountpoint / "data"
        finally:
            run("sync", "--file-system", str(mountpoint))
            run("umount", str(mountpoint))
    finally:
        run("losetup", "--detach", loop)


@contextlib.contextmanager
def mounted_copy(image, mountpoint):
    """Mount a copy of `image`, and put what became of it back.

    A mount namespace that another process makes meanwhile (`ip netns exec` does) keeps our mount beyond our umount:
    its file system would go on writing to a file that we fill with the next image.
    """
    copied = image.with_name(f"{image.name}.{next(COPIES)}")
    shutil.copyfile(image, copied)
    try:
        with mounted(copied, mountpoint) as data:
            yield data
        shutil.copyfile(copied, image)
    finally:
        copied.unlink()


@dataclass
class TimedLedger(Ledger):
    """Puts a copy of itself among the events of the medium at each acknowledgement."""

    events: list = field(default_factory=list)

    def tell(self):
        self.events.append(("told", {k: copy.copy(getattr(self, k)) for k in ("acked", "closed", "marks")}))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The blank image, the events of the medium with the acknowledgements among them, and the ledger at the end."""
    if why_not():
        pytest.skip(f"POWER CUT TEST NOT RUN: {why_not()}")
    folder = tmp_path_factory.mktemp("power-cut")
    for name in ("fuse", "mount"):
        (folder / name).mkdir()
    blank = folder / "blank.img"
    blank.write_bytes(bytes(IMAGE_SIZE))
    run("mkfs.ext4", "-q", "-b", str(BLOCK_SIZE), "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", str(blank))
    try:
        with mounted(blank, folder / "mount") as data:
            data.mkdir()
        block = FuseBlock(folder / "fuse", blank.read_bytes())
    except OSError as error:
        pytest.skip(f"POWER CUT TEST NOT RUN: {error}")
    try:
        ledger = TimedLedger(events=block.events)
        with mounted(block.path, folder / "mount") as data, RealDisk(data) as disk:
            script(disk, ledger, studies=3, entries=4)
            del disk
    finally:
        block.close()
    return folder, blank.read_bytes(), list(block.events), ledger


def torn(data, chance):
    blocks = [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]
    return [(number, block) for number, block in enumerate(blocks) if chance.random() < 0.7]


def image_at(blank, events, cut, chance):
    """Return the medium after a power cut at event `cut`."""
    image = bytearray(blank)
    flushed = max((at for at in range(cut) if events[at][0] == "flush"), default=0)
    for _, offset, data in (event for event in events[:flushed] if event[0] == "write"):
        image[offset : offset + len(data)] = data
    loose = [event for event in events[flushed:cut] if event[0] == "write"]
    way = chance.randrange(3)
    kept = loose if way == 0 else [one for one in loose if chance.random() < 0.6]
    if way == 2:
        chance.shuffle(kept)
    for number, (_, offset, data) in enumerate(kept):
        if way and number == len(kept) - 1:
            for block, piece in torn(data, chance):
                image[offset + block * BLOCK_SIZE : offset + block * BLOCK_SIZE + len(piece)] = piece
        else:
            image[offset : offset + len(data)] = data
    return bytes(image)


def ledger_at(events, cut, ledger):
    told = [event[1] for event in events[:cut] if event[0] == "told"]
    return Ledger(tried=ledger.tried, **(told[-1] if told else {}))


def test_the_medium_was_written_and_flushed(recorded):
    _, _, events, ledger = recorded
    names = [event[0] for event in events]
    assert names.count("flush") > len(ledger.acked) == 12
    assert names.count("write") > 50
    # Every acknowledgement comes after a flush that came after the write it stands for.
    assert names.index("told") > names.index("flush")


@pytest.mark.parametrize("part", range(6))
def test_what_was_acknowledged_before_the_cut_is_there_after_it(recorded, part):
    folder, blank, events, ledger = recorded
    chance = random.Random(part)
    image = folder / "cut.img"
    for number in range(part, CUTS, 6):
        cut = len(events) - number * len(events) // CUTS
        image.write_bytes(image_at(blank, events, cut, chance))
        for life in range(2):
            with mounted_copy(image, folder / "mount") as data, RealDisk(data) as disk:
                kit = Kit(disk, 100 + life)
                check(kit, ledger_at(events, cut, ledger))
                assert not life or not kit.report.studies


@pytest.mark.parametrize("first", range(4))
def test_a_second_cut_during_the_recovery(recorded, first):
    folder, blank, events, ledger = recorded
    chance = random.Random(100 + first)
    cut = len(events) * (first + 4) // 9
    once = image_at(blank, events, cut, chance)
    block = FuseBlock(folder / "fuse", once)
    try:
        with mounted(block.path, folder / "mount") as data, RealDisk(data) as disk:
            check(Kit(disk, 100), ledger_at(events, cut, ledger))
    finally:
        block.close()
    image = folder / "cut.img"
    for number in range(CUTS // 9):
        second = len(block.events) - number * len(block.events) // (CUTS // 9)
        image.write_bytes(image_at(once, block.events, second, chance))
        with mounted_copy(image, folder / "mount") as data, RealDisk(data) as disk:
            check(Kit(disk, 200), ledger_at(events, cut, ledger))
