"""What a node puts on a stick for one far side: what its outbox holds that is neither there nor on its way there.

Nothing is remembered but what the stick itself says: the slips of our parcels tell what is on its way, the answers of
the far side what it has. So a stick that comes back without having been there gets nothing twice, two sticks are filled
each by itself, and a node that was killed goes on as if it had not been. An object is on a stick and at the same time
in the outbox, waiting, until its receipt; another road may take it meanwhile.

Called by `node/carrying.py` only. Raises what the outbox raises when the node's own disk fails.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from node.seams import Outbox
from node.sending import tell
from wire.blocks import About, Packer, read_slip
from wire.errors import DiskFull
from wire.objects import Answer, Offer
from wire.ranges import RangeSet

OFFERS: Final = b"\1"
ANSWERS: Final = b"\2"
"""What a slip begins with: whether its parcel holds objects of ours, or answers."""
PARCEL_BLOCKS: Final = 128
"""2 MiB: written and fsynced in a second or two, so that little is lost when the stick is pulled out."""


@dataclass(frozen=True)
class Manifest:
    """What is in a parcel of ours on the stick, as its slip tells. `digest`: of a parcel with answers."""

    objects: dict[bytes, tuple[Offer, RangeSet]]
    digest: bytes = b""


def read_manifest(raw: bytes) -> Manifest:
    """Return what a slip tells."""
    return Manifest({}, raw[1:]) if is_of_answers(raw) else Manifest(read_slip(raw[1:]))


def is_of_answers(raw: bytes) -> bool:
    """Tell whether a slip is that of answers: damage to these shows to nobody else, so they are looked at whole."""
    return raw[:1] == ANSWERS


def pack_answers(answers: list[tuple[About, Answer]], taken: list[list[bytes]]) -> Iterator[tuple[list[bytes], bytes]]:
    """Yield (blocks, slip) of as many parcels as the answers need. The same answers make the same slips."""
    todo: list[Callable[[Packer], bool]] = [lambda packer, ids=ids: packer.taken(ids) for ids in taken]  # type: ignore[misc]  # mypy does not infer a lambda with a default
    todo += [lambda packer, one=one: packer.answer(*one) for one in answers]  # type: ignore[misc]
    packer = Packer(PARCEL_BLOCKS)
    for say in todo:
        if not say(packer):
            yield _with_digest(packer)
            packer = Packer(PARCEL_BLOCKS)
            say(packer)
    if not packer.is_empty:
        yield _with_digest(packer)


def _with_digest(packer: Packer) -> tuple[list[bytes], bytes]:
    blocks = packer.finish()
    return blocks, ANSWERS + hashlib.blake2b(b"".join(blocks), digest_size=16).digest()


class Departures:
    """See the module's text. `is_settled` tells of an object that is not pending whether its outbox knows it."""

    def __init__(self, outbox: Outbox, is_settled: Callable[[bytes], bool]) -> None:
        self._outbox, self._is_settled = outbox, is_settled
        self._pending: dict[bytes, Offer] = {}

    def look(self) -> None:
        """See what the outbox holds now; to be called before a stick is read."""
        self._pending = {offer.object_id: offer for offer in self._outbox.pending()}

    def heard(self, about: About, answer: Answer) -> bool:
        """Take in what the far side says of an object; tells whether it waits here. A stranger's object is nothing."""
        offer = self._pending.get(about.object_id)
        if offer is None or offer.digest != about.digest:
            return False
        with contextlib.suppress(DiskFull):  # it is heard again: the object still waits, and so does its parcel
            tell(self._outbox, about.object_id, answer)
        return True

    def is_over(self, manifest: Manifest, taken: bool) -> bool:
        """Tell whether a parcel of ours need not be carried any more. To be called after a `look`.

        One that the far side has read has brought what it holds. One that holds no bytes asks for receipts, until they
        are all there. And one with something of another outbox under the same key (`link send` of other files) is left
        to that.
        """
        here = [object_id in self._pending for object_id in manifest.objects]
        known = all(
            is_here or self._is_settled(object_id) for is_here, object_id in zip(here, manifest.objects, strict=True)
        )
        brings = any(ranges for _, ranges in manifest.objects.values())
        return known and (not any(here) or (taken and brings))

    def waiting(self, manifests: list[Manifest], have: dict[About, RangeSet]) -> list[tuple[Offer, RangeSet]]:
        """Return what is to be put on the stick, most urgent first: objects, and which bytes of each.

        No bytes: the far side has it all, and is asked for its receipt. To be called after a `look`.
        """
        under_way: dict[bytes, RangeSet] = {}
        for manifest in manifests:
            for object_id, (_, ranges) in manifest.objects.items():
                there = under_way.setdefault(object_id, RangeSet())
                for start, end in ranges:
                    there.add(start, end)
        found: list[tuple[Offer, RangeSet]] = []
        for offer in sorted(self._pending.values(), key=lambda offer: offer.priority):
            is_there = offer.again and About(offer.object_id, offer.digest) not in have
            todo = RangeSet() if is_there else _missing(offer, under_way, have)
            if todo or offer.object_id not in under_way:
                found.append((offer, todo))
        return found

    def pack(self, waiting: list[tuple[Offer, RangeSet]], blocks_max: int) -> tuple[list[bytes], bytes]:
        """Return blocks and slip of one parcel from the beginning of `waiting`; what is in it is taken out there."""
        packer = Packer(min(blocks_max, PARCEL_BLOCKS))
        while waiting:
            offer, todo = waiting[0]
            if not packer.offer(offer):
                break
            self._fill(packer, offer, todo)
            if todo:
                break
            waiting.pop(0)
        slip = OFFERS + packer.slip()
        return packer.finish(), slip

    def _fill(self, packer: Packer, offer: Offer, todo: RangeSet) -> None:
        """Pack what fits of the bytes of one object, and take them out of `todo`."""
        while todo and (room := packer.segment_room(offer)):
            start, end = next(iter(todo))
            end = min(end, start + room)
            packer.segment(offer, start, self._outbox.read(offer.object_id, start, end - start))
            todo.remove(start, end)


def _missing(offer: Offer, under_way: dict[bytes, RangeSet], have: dict[About, RangeSet]) -> RangeSet:
    todo = RangeSet([(0, offer.size)])
    for there in (under_way.get(offer.object_id), have.get(About(offer.object_id, offer.digest))):
        for start, end in there or ():
            todo.remove(start, end)
    return todo
