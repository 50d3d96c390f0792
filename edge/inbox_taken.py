"""Which files were taken: one that is seen again, after a restart or on a stick that comes back, is no second study.

A file is known by its content alone: BLAKE2b-128 of its bytes under a key made of the kit's own secret, so that who
finds the card cannot ask it whether it has seen some document. Names and times say nothing: cameras and ultrasound
scanners call every picture the same, in the same size, and their clocks start in 1980.

    inbox/taken/00 … ff    keys by their first byte: 16 bytes and CRC-32C of each, the one used longest ago first
    inbox/closing          what is closed now: a study's id, and the keys of its files

*Taken* is a file whose study lies closed in `inbox/spool` (`edge.importing`). `closing` is written before that, the
keys are filed after it; `settle` files the keys of a study that a crash left between the two. So a crash at any
instant makes of a file one study: nothing was closed, and it is taken again; or all is told here before the kit
takes the study up. The kit takes up nothing while keys may be unfiled (`edge.inboxes`).

Bounded: of 65,536 keys those that were seen least lately go. A damaged key is left out: that file would be taken
again. Raises DiskFull and DiskError.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

import crc32c

from node.disk import Disk, join, make_durable_folder, put_file
from node.spool import State, parse_name
from wire.errors import DiskFull
from wire.objects import STUDY

FOLDER: Final = "inbox"
TAKEN: Final = join(FOLDER, "taken")
CLOSING: Final = join(FOLDER, "closing")
KEY_SIZE: Final = 16
RECORD_SIZE: Final = KEY_SIZE + 4
SHARD_MAX: Final = 256
"""Keys in one file."""
CLOSING_SIZE_MAX: Final = 1 << 16


def key_maker(secret: bytes) -> Callable[[bytes], bytes]:
    """Return what makes the key of a file of its bytes. `secret`: of this kit."""
    own = hashlib.blake2b(secret, digest_size=32, person=b"feldsher inbox").digest()
    return lambda data: hashlib.blake2b(data, digest_size=KEY_SIZE, key=own).digest()


def mark_maker(secret: bytes) -> Callable[[str], str]:
    """Return what makes the mark by which a file is called where its name may not stand: names name patients."""
    own = hashlib.blake2b(secret, digest_size=32, person=b"feldsher marks").digest()
    return lambda path: hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=4, key=own).hexdigest()


class Taken:
    """See the module's text. Opening it settles what a crash left."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._shards: dict[int, list[bytes]] = {}
        make_durable_folder(disk, TAKEN)
        self.settle()

    def knows(self, key: bytes) -> bool:
        """Tell whether a file with this key was taken. What is asked for often is not forgotten."""
        shard = self._shard(key[0])
        if key not in shard:
            return False
        if len(shard) > SHARD_MAX // 2 and shard.index(key) < len(shard) // 2:
            shard.remove(key)
            shard.append(key)
            with suppress(DiskFull):
                self._write(key[0])
        return True

    def closing(self, study_id: bytes, keys: Sequence[bytes]) -> None:
        """Say that a study is going to be closed, with files of these keys."""
        put_file(self._disk, CLOSING, _sealed(study_id + b"".join(keys)))

    def closed(self) -> None:
        """Say that it is: file its keys."""
        self.settle()

    def settle(self) -> None:
        """File the keys of the study that was closed last, when it was."""
        if not self._disk.exists(CLOSING):
            return
        raw = _opened(self._disk.read(CLOSING, 0, CLOSING_SIZE_MAX))
        study_id, keys = raw[:KEY_SIZE], [raw[at : at + KEY_SIZE] for at in range(KEY_SIZE, len(raw), KEY_SIZE)]
        waiting = (parse_name(name) for name in self._disk.list(join(FOLDER, State.WAITING)))
        if any(one is not None and one.kind == STUDY and one.object_id == study_id for one in waiting):
            for number in sorted({key[0] for key in keys}):
                shard = self._shard(number)
                new = [key for key in keys if key[0] == number and key not in shard]
                if new:
                    self._shards[number] = [*shard, *new][-SHARD_MAX:]
                    self._write(number)

    def _shard(self, number: int) -> list[bytes]:
        if number not in self._shards:
            path = join(TAKEN, f"{number:02x}")
            raw = self._disk.read(path, 0, SHARD_MAX * RECORD_SIZE) if self._disk.exists(path) else b""
            records = (raw[at : at + RECORD_SIZE] for at in range(0, len(raw), RECORD_SIZE))
            self._shards[number] = [key for key in map(_opened, records) if len(key) == KEY_SIZE]
        return self._shards[number]

    def _write(self, number: int) -> None:
        try:
            put_file(self._disk, join(TAKEN, f"{number:02x}"), b"".join(map(_sealed, self._shards[number])))
        except Exception:
            del self._shards[number]
            raise


def _sealed(data: bytes) -> bytes:
    return data + crc32c.crc32c(data).to_bytes(4, "big")


def _opened(raw: bytes) -> bytes:
    """Return what `_sealed` sealed; nothing when it is damaged."""
    return raw[:-4] if len(raw) > 4 and crc32c.crc32c(raw[:-4]).to_bytes(4, "big") == raw[-4:] else b""
