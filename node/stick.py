"""The folder `feldsher/` of a disk that is carried by hand: what of it is ours is read and written, and nothing else.

A stick is a `Disk` of its own (`node/disk.py`), and anything may be wrong with it: it is pulled out in the middle,
full, read-only, worn, shared with holiday pictures and with other kits. So every fault of it is a `StickError`, which
ends a visit and is no fault of this node; a file that cannot be read costs that file, a bad sector its block.

*Written* means: under its own name, whole, fsynced with its folder. Before that the file has the name of a parcel with
`.new` behind it. Nothing is removed but parcels whose name says that they are ours and what a cut left of one. Used by
`node/carrying.py`; nothing here is remembered.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, TypeVar

from node.disk import Disk, join, make_durable_folder
from wire.blocks import BLOCK_SIZE
from wire.errors import AuthError, DeviceError, DiskError, DiskFull, FormatError, UsageError
from wire.noise import KeyPair
from wire.parcel import OPENING_SIZE, PARCEL_SIZE_MAX, ParcelName, open_slip, parse_name, read_opening

FOLDER: Final = "feldsher"
"""The marker: a disk without this folder is somebody else's."""
UNFINISHED: Final = ".new"
NAMES_MAX: Final = 4096
"""Parcels on one stick that are looked at; the first ones by name."""
WRITE_SIZE: Final = 256 << 10
BAD_BLOCKS_MAX: Final = 16
"""After so many unreadable blocks a file is given up: each may take the disk seconds."""

T = TypeVar("T")


class StickError(DeviceError):
    """The stick fails: it was pulled out, cannot be written, or is broken."""


class StickFull(StickError):
    """No room is left on the stick."""


def mark(disk: Disk) -> None:
    """Make a disk one that kits and gateways use. Raises what the disk raises."""
    make_durable_folder(disk, FOLDER)


class Stick:
    """See the module's text. It lives as long as one look at the stick."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    @property
    def is_marked(self) -> bool:
        """It carries parcels."""
        return self._ask(lambda: self._disk.exists(FOLDER))

    def names(self, mailbox: bytes) -> dict[str, ParcelName]:
        """Return the parcels to and from a mailbox, by the names of their files, at most NAMES_MAX.

        What a cut has left of parcels from there is removed.
        """
        found: dict[str, ParcelName] = {}
        for name in self._ask(lambda: self._disk.list(FOLDER)):
            parsed = parse_name(name.removesuffix(UNFINISHED))
            if parsed is None or mailbox not in (parsed.to, parsed.sender):
                continue
            if not name.endswith(UNFINISHED):
                found.setdefault(name, parsed)
            elif parsed.sender == mailbox:
                self.remove(name)
        return dict(list(found.items())[:NAMES_MAX])

    def free(self) -> int:
        """Return how many bytes may still be written, about."""
        return self._ask(self._disk.free)

    def read(self, name: str) -> bytes | None:
        """Return a parcel's bytes, zeros where the stick cannot read; None for what cannot be a parcel."""
        path = join(FOLDER, name)
        try:
            size = self._disk.size(path)
            if not OPENING_SIZE <= size <= PARCEL_SIZE_MAX:
                return None
            try:
                return self._disk.read(path)
            except DiskError:
                return self._salvage(path, size)
        except (DiskError, UsageError):
            self._stay()
            return None

    def read_slip(self, name: str, identity: KeyPair, checked: Callable[[bytes], bool]) -> bytes | None:
        """Return the note in the slip of a parcel of our own; None for a parcel that is damaged and of no use there.

        That is one without a sound opening, for nobody can read it; and, when `checked` says so of the note, one whose
        body is not sound.
        """
        path = join(FOLDER, name)
        with contextlib.suppress(DiskError, UsageError):
            for at in (0, max(self._disk.size(path) - OPENING_SIZE, 0)):
                note = self._note(path, at, identity, checked)
                if note is not None:
                    return note
        self._stay()
        return None

    def _note(self, path: str, at: int, identity: KeyPair, checked: Callable[[bytes], bool]) -> bytes | None:
        try:
            raw = self._disk.read(path, at, OPENING_SIZE)
            opening = read_opening(raw)
            slip = open_slip(identity, opening, self._disk.read(path, opening.slip_at, opening.slip_size))
            sound = slip.is_opening(raw)
            if sound and checked(slip.note):
                sound = slip.is_body(self._disk.read(path, OPENING_SIZE, opening.body_size))
        except (DiskError, FormatError, AuthError):
            return None
        return slip.note if sound else None

    def write(self, name: ParcelName, raw: bytes) -> Iterator[None]:
        """Write a parcel, a piece at each step. Raises StickFull and leaves nothing then; StickError."""
        path = join(FOLDER, str(name))
        unfinished = path + UNFINISHED
        try:
            for at in range(0, len(raw), WRITE_SIZE):
                piece = raw[at : at + WRITE_SIZE]
                self._ask(lambda piece=piece: self._disk.append(unfinished, piece))  # type: ignore[misc]  # mypy does not infer a lambda with a default
                yield
            self._ask(lambda: self._disk.sync(unfinished))
            yield
            self._ask(lambda: self._disk.rename(unfinished, path))
        except StickFull:
            with contextlib.suppress(DiskError, UsageError):
                self._disk.remove(unfinished)
            raise
        self._ask(lambda: self._disk.sync_folder(FOLDER))

    def remove(self, name: str) -> None:
        """Remove a parcel of ours. That a cut may bring it back does no harm."""
        self._ask(lambda: self._disk.remove(join(FOLDER, name)))

    def discard(self, name: str) -> bool:
        """Remove what is called as a parcel of ours and is none; tell whether it went."""
        try:
            self.remove(name)
        except StickError:
            self._stay()
            return False
        return True

    def _salvage(self, path: str, size: int) -> bytes | None:
        """Read what can be read of a file with bad places in it: zeros stand for a block that cannot be."""
        ends = [0, *range(OPENING_SIZE, size, BLOCK_SIZE), size]
        pieces = []
        for at, end in pairwise(ends):
            pieces.append(self._piece(path, at, end - at))
            if pieces.count(None) > BAD_BLOCKS_MAX:
                break
        self._stay()
        if len(pieces) < len(ends) - 1:
            return None
        return b"".join(piece or bytes(end - at) for piece, (at, end) in zip(pieces, pairwise(ends), strict=True))

    def _piece(self, path: str, at: int, size: int) -> bytes | None:
        try:
            return self._disk.read(path, at, size)
        except DiskError:
            return None

    def _stay(self) -> None:
        """Tell a file that cannot be read from a stick that is gone. Raises StickError."""
        if not self.is_marked:
            raise StickError("the stick was pulled out")

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except DiskFull as error:
            raise StickFull(f"the stick is full: {error}") from error
        except (DiskError, UsageError) as error:
            is_locked = os.strerror(errno.EROFS) in str(error)
            raise StickError(
                "the stick is read-only; is its switch on LOCK?" if is_locked else f"the stick fails: {error}"
            ) from error
