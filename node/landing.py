"""Where arriving objects come down: partial ones in an intake, whole ones in a folder until somebody takes them over.

Between "whole, verified and fsynced" and "taken over" (adopted by a spool, entered in a database) the power may fail.
So a whole object lies in `whole/` under a name that says all that was offered and who offered it; opening a landing
lists what was left there, and the node takes it over before it opens a bearer. Nothing is then transferred twice
because of a crash in between.

Owns the folders `intake` and `whole` below its own. *Committed*: what `finish` returns is fsynced with its folder.
"""

from dataclasses import dataclass
from typing import Final

from node.disk import Disk, join, make_durable_folder
from node.intake import Intake
from node.seams import Damaged, NotOpen, Offer, RangeSet, Refusal
from node.spool import SpoolObject, parse_name
from wire import objects
from wire.errors import DiskFull

WHOLE: Final = "whole"


@dataclass(frozen=True, slots=True)
class Whole:
    """One object that is here from end to end, and the link key of the peer that sent it."""

    peer: bytes
    offer: Offer
    path: str


class Landing:
    """See the module's text. `waiting` holds what a crash left between two hands."""

    def __init__(self, disk: Disk, folder: str, reserve: int) -> None:
        self._disk = disk
        self._folder = join(folder, WHOLE)
        make_durable_folder(disk, self._folder)
        self._intake = Intake(disk, join(folder, "intake"), reserve=reserve)
        self.waiting = [whole for name in disk.list(self._folder) if (whole := self._parse(name))]

    def open(self, peer: bytes, offer: Offer) -> RangeSet | Refusal:
        """Return what of the object is here already, or why it cannot be taken."""
        return self._intake.open(peer, offer)

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        """Take one segment. A refusal stops the object."""
        return self._intake.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Whole | Damaged | Refusal | NotOpen:
        """Verify the object and make it durable. The caller takes it over and then calls `taken`."""
        offer = self._intake.offer(peer, object_id)
        if offer is None:
            return NotOpen()
        path = join(self._folder, _name(peer, offer))
        try:
            failure = self._intake.finish(peer, object_id, path)
        except DiskFull as error:
            return Refusal(objects.DISK_FULL, str(error))
        return failure or Whole(peer, offer, path)

    def discard(self, peer: bytes, object_id: bytes) -> None:
        """Throw away what is here of an object that has come whole by another road."""
        if self._intake.offer(peer, object_id) is not None:
            self._intake.discard(peer, object_id)

    def taken(self, whole: Whole) -> None:
        """The object is held elsewhere now, durably."""
        if self._disk.exists(whole.path):
            self._disk.remove(whole.path)
            self._disk.sync_folder(self._folder)

    def _parse(self, name: str) -> Whole | None:
        path = join(self._folder, name)
        found = parse_name(name, self._disk.size(path))
        if found is None:
            return None
        offer = Offer(found.object_id, found.kind, found.size, found.digest, found.priority)
        return Whole(found.note, offer, path)


def _name(peer: bytes, offer: Offer) -> str:
    return SpoolObject(offer.object_id, offer.kind, offer.priority, offer.digest, 0, offer.size, note=peer).name
