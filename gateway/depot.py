"""What the station holds for others: objects of kits on their way to the server, and the server's receipts for them.

`FromKits` is the inbox of the link to the kits, `ToServer` the outbox of the link to the server; both work on one
`Depot`. *Custody* is said after the object is whole, verified, fsynced and in the spool `up/`. A receipt is kept beside
its object before the kit hears of it. Owns the folders `up`, `intake` and `whole` of its disk; everything in them
survives a crash at any instant.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from node.disk import Disk
from node.landing import Landing, Whole
from node.rereading import UnreadableError, read_object
from node.seams import Custody, Damaged, NotOpen, Offer, RangeSet, Receipt, Refusal
from node.spool import CHUNK_SIZE, Spool, SpoolObject, State, digest_of
from wire import objects
from wire.errors import DiskError, DiskFull, UsageError

FROM_KITS: Final = frozenset({objects.SUMMARY, objects.PREVIEW, objects.STUDY, objects.COMMAND})
RESERVE_BYTES: Final = 64 << 20
"""Kept free on the disk; received objects are pruned, oldest first, to keep it."""

OBJECT_SIZE_MAX: Final = 1 << 30
"""What the server takes; nothing is pruned for a larger offer."""

Heard = tuple[bytes, bytes, Receipt]
"""(link key of the kit, object id, receipt)."""


class Depot:
    """The spool and the landing. Opening one recovers both and takes over what a crash left between them."""

    def __init__(self, disk: Disk, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.spool = Spool(disk, "up")
        self._landing = Landing(disk, "", reserve_bytes)
        self._disk, self._reserve_bytes = disk, reserve_bytes
        self._receipts: list[Heard] = []
        self._arrived = False
        self._held: dict[tuple[bytes, bytes], Whole] = {}
        """What is whole and found no room in the spool: tried again when it is offered again."""
        for whole in self._landing.waiting:
            self.adopt(whole)

    @property
    def landing(self) -> Landing:
        """Where objects of kits come down."""
        return self._landing

    def adopt(self, whole: Whole) -> Custody | Receipt | Refusal:
        """Move a whole object into the spool for the server. After a Custody the station answers for it."""
        offer, key = whole.offer, (whole.peer, whole.offer.object_id)
        try:
            held = self.spool.adopt(
                whole.path, offer.object_id, offer.kind, priority=offer.priority, digest=offer.digest, note=whole.peer
            )
        except DiskFull as error:
            self._held[key] = whole
            return Refusal(objects.DISK_FULL, str(error))
        except UsageError:  # two came at the same time, under one id and with different bytes: one after the other
            self._landing.taken(whole)
            return other_bytes(offer, self.spool.get(offer.object_id))
        self._held.pop(key, None)
        self._arrived = True
        return self.word_on(held)

    def put(self, peer: bytes, offer: Offer, data: bytes) -> Custody | Receipt | Refusal:
        """Take an object that is here whole at once. After a Custody the station answers for it."""
        if self._disk.free() < offer.size + self._reserve_bytes:
            return Refusal(objects.DISK_FULL, f"{offer.size} bytes do not fit; {self._disk.free()} are free")
        try:
            held = self.spool.put(offer.object_id, offer.kind, data, priority=offer.priority, note=peer)
        except DiskFull as error:
            return Refusal(objects.DISK_FULL, str(error))
        self._landing.discard(peer, offer.object_id)
        self._arrived = True
        return self.word_on(held)

    def held_back(self, peer: bytes, offer: Offer) -> Whole | None:
        """Return the object that is here whole, from this peer, and is not yet in the spool."""
        whole = self._held.get((peer, offer.object_id))
        return whole if whole is not None and whole.offer.digest == offer.digest else None

    def make_room(self, size: int) -> None:
        """Prune what the server has, so that `size` bytes fit beside the reserve."""
        self.spool.prune(self._reserve_bytes + size)

    def word_on(self, held: SpoolObject) -> Custody | Receipt | Refusal:
        """Return what a kit is told about an object that the station has or had."""
        if held.state is State.RECEIVED:
            return Receipt(self.receipt_of(held))
        if held.state is State.REFUSED:
            return Refusal(objects.NOT_ALLOWED, self.spool.reason_of(held.object_id))
        return Custody()

    def receipt_of(self, held: SpoolObject) -> bytes:
        """Return the receipt of a received object; b"" when there was no room to keep it, or it cannot be read."""
        try:
            return self.spool.receipt_of(held.object_id)
        except DiskError:
            return b""

    def settled(self, held: SpoolObject, offer: Offer) -> Custody | Receipt | Refusal | None:
        """Return what is said to an offer under the id of `held`; None: it is forgotten, and the offer is taken.

        Of two objects with one id the server decides which it believes: each must get there, one after the other. And
        without its receipt a received object is worth nothing to its kit: brought again, it gets the receipt again.
        """
        is_same = held.digest == offer.digest
        if held.state is State.RECEIVED and not (is_same and self.receipt_of(held)):
            self.spool.forget(held.object_id)
            return None
        return self.word_on(held) if is_same else other_bytes(offer, held)

    def heard(self, object_id: bytes, receipt: bytes) -> None:
        """Keep the server's receipt, and remember whom to tell."""
        held = self.spool.get(object_id)
        self.spool.receipt(object_id, receipt)
        if held is not None and held.state is not State.RECEIVED:
            self._receipts.append((held.note, object_id, Receipt(receipt)))

    def is_intact(self, object_id: bytes) -> bool:
        """Tell whether our copy is still what the kit sent."""
        held = self.spool.get(object_id)
        if held is None:
            return True
        digest = hashlib.blake2b(digest_size=32)
        try:
            for at in range(0, held.size, CHUNK_SIZE):
                digest.update(self.spool.read(object_id, at, min(CHUNK_SIZE, held.size - at)))
        except DiskError:
            return False
        return digest.digest().startswith(held.digest)

    def lose(self, object_id: bytes) -> bytes:
        """Give up a copy that cannot be read; return whose it is. Its kit keeps its own until the receipt."""
        held = self.spool.get(object_id)
        self.spool.in_custody(object_id)
        self.spool.forget(object_id)
        return held.note if held is not None else b""

    def drain(self) -> tuple[bool, list[Heard]]:
        """Return whether something new waits for the server, and the receipts to tell; both since the last call."""
        drained = self._arrived, self._receipts
        self._arrived, self._receipts = False, []
        return drained


def other_bytes(offer: Offer, held: SpoolObject | None) -> Refusal:
    """Return what is said to an id that is here with other bytes: wait, until the server has spoken on those."""
    reason = objects.NOT_WANTED if held is not None and held.state is State.REFUSED else objects.BUSY
    return Refusal(reason, f"object {offer.object_id.hex()} is here with other bytes")


class FromKits:
    """The inbox of the link to the kits (`node.seams.Inbox`)."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        answer = self._known(offer)
        if answer is not None:
            return answer
        self._depot.make_room(offer.size)
        whole = self._depot.held_back(peer, offer)
        return self._depot.adopt(whole) if whole is not None else self._depot.landing.open(peer, offer)

    def take(self, peer: bytes, offer: Offer, data: bytes) -> Custody | Receipt | Refusal | None:
        """Take an object that came whole, with two fsyncs instead of seven; None when it is not what was offered."""
        answer = self._known(offer)
        if answer is not None or digest_of(data) != offer.digest or self._depot.held_back(peer, offer) is not None:
            return answer
        self._depot.make_room(offer.size)
        return self._depot.put(peer, offer, data)

    def _known(self, offer: Offer) -> Custody | Receipt | Refusal | None:
        """Return what is said to an offer of what is here, or not wanted here."""
        if offer.kind not in FROM_KITS:
            return Refusal(objects.NOT_ALLOWED, f"a kit offers no {objects.KINDS.get(offer.kind, offer.kind)}")
        if offer.size > OBJECT_SIZE_MAX:
            return Refusal(objects.TOO_LARGE, f"{offer.size} bytes; at most {OBJECT_SIZE_MAX}")
        held = self._depot.spool.get(offer.object_id)
        return self._depot.settled(held, offer) if held is not None else None

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        return self._depot.landing.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        whole = self._depot.landing.finish(peer, object_id)
        return self._depot.adopt(whole) if isinstance(whole, Whole) else whole


class ToServer:
    """The outbox of the link to the server (`node.seams.Outbox`)."""

    def __init__(self, depot: Depot) -> None:
        self._depot = depot

    def pending(self) -> Sequence[Offer]:
        return self._depot.spool.pending()

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        return read_object(self._depot.spool, object_id, offset, size)

    def in_custody(self, object_id: bytes) -> None:
        self._depot.spool.in_custody(object_id)

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        self._depot.heard(object_id, receipt)

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        if refusal.reason == objects.BROKEN and not self._depot.is_intact(object_id):
            raise UnreadableError(object_id, "its bytes have changed on our disk")
        self._depot.spool.refused(object_id, refusal)
