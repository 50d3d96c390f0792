"""The worklists of the kits on their way down: the newest of each kit, kept over restarts, which nobody here can read.

Owns the folder `down` of the station's disk: one file for each kit, called as its link key, replaced as a whole by a
newer version that the server has signed. *Custody*, here: the file is fsynced with its folder. In each session a kit is
offered its list until it has spoken: one that has it says so without a transfer, and one whose card has lost it gets
it again. Onto a stick goes what its kit has not spoken of since the start, to be carried where no link reaches it
(`node/carrying.py`). The kit's signed receipt is handed to the server's link; it is not kept, for the kit gives it
again.

A file that the disk has damaged counts as none and is removed; the server gives it again unless the kit has taken it.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.disk import Disk, join, make_durable_folder, put_file
from node.seams import Custody, Offer, Receipt, Refusal
from node.spool import digest_of
from wire import objects
from wire.errors import AuthError, DiskError, FormatError, UsageError
from wire.worklist import verify_worklist, worklist_id

FOLDER: Final = "down"
PRIORITY: Final = 2
"""After a revocation, before studies."""


@dataclass(frozen=True, slots=True)
class _Held:
    version: int
    offer: Offer


class Lists:
    """See the module's text."""

    def __init__(self, disk: Disk, server_sign_public: bytes) -> None:
        self._disk = disk
        self._sign_public = server_sign_public
        self._held: dict[bytes, _Held] = {}
        self._receipts: dict[bytes, Receipt] = {}
        self._new: list[bytes] = []
        self._taken: list[tuple[bytes, Receipt]] = []
        make_durable_folder(disk, FOLDER)
        for name in disk.list(FOLDER):
            self._load(name)

    def known(self, offer: Offer) -> Custody | Receipt | None:
        """Return what the server is told of a list that is here already; None: it is to be sent."""
        if any(one.offer.object_id == offer.object_id for one in self._held.values()):
            return self._receipts.get(offer.object_id) or Custody()
        return None

    def take(self, data: bytes) -> Custody:
        """Keep a newer list, durably; an older one changes nothing. Raises AuthError, FormatError, DiskFull."""
        worklist = verify_worklist(data, self._sign_public)
        held = self._held.get(worklist.kit)
        if held is not None and held.version >= worklist.version:
            return Custody()
        put_file(self._disk, self._path(worklist.kit), data)
        if held is not None:
            self._receipts.pop(held.offer.object_id, None)
        self._held[worklist.kit] = _Held(worklist.version, _offer_of(data))
        self._new.append(worklist.kit)
        return Custody()

    def offer(self, kit: bytes) -> Offer | None:
        """Return the offer of the kit's newest list."""
        held = self._held.get(kit)
        return held.offer if held is not None else None

    @property
    def kits(self) -> list[bytes]:
        """The kits that have a list here."""
        return sorted(self._held)

    def is_taken(self, kit: bytes) -> bool:
        """Tell whether the kit has said since the start that it holds its newest list."""
        offer = self.offer(kit)
        return offer is None or offer.object_id in self._receipts

    def read(self, kit: bytes, object_id: bytes, offset: int, size: int) -> bytes:
        """Return bytes of the kit's list; zeros of one that a newer has replaced: its digest shows it."""
        offer = self.offer(kit)
        if offer is None or offer.object_id != object_id:
            return bytes(size)
        return self._disk.read(self._path(kit), offset, size).ljust(size, b"\0")

    def heard(self, kit: bytes, object_id: bytes, receipt: bytes) -> None:
        """The kit holds this list, by its own word: the server is to know."""
        offer = self.offer(kit)
        if offer is not None and offer.object_id == object_id and object_id not in self._receipts and receipt:
            self._receipts[object_id] = Receipt(receipt)
            self._taken.append((object_id, self._receipts[object_id]))

    def forget(self, kit: bytes) -> None:
        """The kit is revoked: its list is nobody's."""
        if self._held.pop(kit, None) is not None:
            self._remove(kit.hex())

    def drain(self) -> tuple[list[bytes], list[tuple[bytes, Receipt]]]:
        """Return the kits with a new list, and the receipts to pass on; both since the last call."""
        drained = self._new, self._taken
        self._new, self._taken = [], []
        return drained

    def _load(self, name: str) -> None:
        if name.endswith(".new"):
            return
        try:
            data = self._disk.read(join(FOLDER, name))
            worklist = verify_worklist(data, self._sign_public)
        except (AuthError, FormatError, DiskError, UsageError):
            self._remove(name)
            return
        self._held[worklist.kit] = _Held(worklist.version, _offer_of(data))

    def _remove(self, name: str) -> None:
        with contextlib.suppress(UsageError):
            self._disk.remove(join(FOLDER, name))
            self._disk.sync_folder(FOLDER)

    @staticmethod
    def _path(kit: bytes) -> str:
        return join(FOLDER, kit.hex())


def _offer_of(data: bytes) -> Offer:
    return Offer(worklist_id(data), objects.WORKLIST, len(data), digest_of(data), PRIORITY)


class ToKit:
    """The outbox of one session with a kit (`node.seams.Outbox`): its newest list, until it has spoken of it."""

    def __init__(self, lists: Lists, kit: bytes) -> None:
        self._lists, self._kit = lists, kit
        self._settled = b""
        """The list of which the last word of this session was said."""

    def pending(self) -> Sequence[Offer]:
        offer = self._lists.offer(self._kit)
        return (offer,) if offer is not None and offer.object_id != self._settled else ()

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        return self._lists.read(self._kit, object_id, offset, size)

    def in_custody(self, object_id: bytes) -> None:
        """A kit gives receipts at once; custody says nothing to us."""

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        self._settled = object_id
        self._lists.heard(self._kit, object_id, receipt)

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        if not refusal.temporary:
            self._settled = object_id


class ByStick(ToKit):
    """The outbox of one slot for a kit: its newest list, until it has spoken of it here or anywhere else."""

    def pending(self) -> Sequence[Offer]:
        return () if self._lists.is_taken(self._kit) else super().pending()
