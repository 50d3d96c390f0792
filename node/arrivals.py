"""What the parcels on a stick bring to a node: objects for its inbox, answers about what it had sent.

The same inbox as under a session (`node/seams.py`), and the same word on an object: it is given when the inbox gives
it, after its fsync. A parcel that is read again changes nothing. What was read is remembered by the names of the files
while they are there, and nothing of it needs to survive: the parcels are still on the stick, and the inbox knows.

Called by `node/carrying.py` only. Raises what the inbox and the outbox raise when the node's own disk fails.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from node.host import Grant
from node.seams import Inbox, NotOpen
from node.tally import Events
from wire.blocks import OFFERS_MAX, About, Block, read_block
from wire.errors import AuthError, FormatError, PeerError
from wire.noise import KeyPair
from wire.objects import SIZE_MAX, Answer, Custody, Damaged, Have, Offer, Receipt, Refusal
from wire.parcel import Parcel, open_parcel
from wire.ranges import RangeSet

OBJECTS_MAX: Final = 65_536
"""Objects that the parcels on one stick may name; what lies behind them waits until some are gone."""

EVERYTHING: Final = RangeSet([(0, SIZE_MAX)])

Brought = dict[About, list[tuple[int, bytes]]]
"""The pieces of each object that one parcel holds: (offset, bytes), in the order of the blocks."""
TakeWhole = Callable[[bytes, Offer, bytes], Custody | Receipt | Refusal | None]
"""A short cut for an inbox (peer, offer, all bytes): the word on the object, durable as that of `finish`.

None when these are not the bytes that were offered, or the inbox wants them as from a session.
"""


@dataclass
class Reading:
    """What a parcel said, kept as long as its file is there. One that did not open says nothing."""

    peer: bytes = b""
    parcel_id: bytes = b""
    offers: dict[About, Offer] = field(default_factory=dict)
    have: dict[About, RangeSet] = field(default_factory=dict)
    taken: set[bytes] = field(default_factory=set)


class Arrivals:
    """See the module's text. `heard` takes an answer and tells whether it is about an object of ours that waits."""

    def __init__(
        self,
        identity: KeyPair,
        authorize: Callable[[bytes], Grant | None],
        inbox: Inbox,
        heard: Callable[[bytes, About, Answer], bool],
        events: Events,
        take_whole: TakeWhole | None = None,
    ) -> None:
        self._identity, self._authorize, self._inbox, self._heard = identity, authorize, inbox, heard
        self._events, self._take_whole = events, take_whole
        self.own: set[bytes] = set()
        """The ids of our own parcels on the stick."""
        self._readings: dict[str, Reading] = {}
        self._words: dict[tuple[bytes, About], RangeSet | Answer] = {}
        """The word on each object that a reading names: what is there of it, or the verdict."""

    def forget(self, names: Collection[str]) -> None:
        """Keep only what the files of these names said."""
        self._readings = {name: reading for name, reading in self._readings.items() if name in names}
        named = {(reading.peer, about) for reading in self._readings.values() for about in reading.offers}
        self._words = {key: word for key, word in self._words.items() if key in named}

    def retry(self) -> None:
        """Read again what did not open: others are let in now."""
        self._readings = {name: reading for name, reading in self._readings.items() if reading.peer}

    def has_read(self, name: str) -> bool:
        """Tell whether this file was read while it has been there."""
        return name in self._readings

    @property
    def is_full(self) -> bool:
        """More objects are named than are taken at a time."""
        return len(self._words) >= OBJECTS_MAX

    @property
    def unsettled(self) -> int:
        """How many of the objects that the readings name have no final word yet."""
        return sum(not _is_final(word) for word in self._words.values())

    # Reading

    def read(self, name: str, raw: bytes | None) -> Iterator[None]:
        """Take in one parcel, a piece at each step. `raw` is None when its file cannot be read."""
        parcel = self._open(name, raw)
        if parcel is None:
            self._readings[name] = Reading()
            return
        reading = Reading(parcel.peer, parcel.parcel_id)
        brought, said, lost = self._unpack(name, parcel, reading)
        yield
        for about, answer in said:
            if self._heard(reading.peer, about, answer) and isinstance(answer, Have | Custody):
                reading.have[about] = answer.ranges if isinstance(answer, Have) else EVERYTHING
            yield
        for about, pieces in brought.items():
            yield from self._give(reading.peer, about, reading.offers[about], pieces)
        if lost:
            text = f"parcel {name}: {lost} of {len(parcel.blocks)} blocks are damaged; what was in them is asked for"
            self._events.note("peer-error", parcel.peer, text)
        self._readings[name] = reading

    def _unpack(self, name: str, parcel: Parcel, reading: Reading) -> tuple[Brought, list[tuple[About, Answer]], int]:
        """Return what a parcel brings of objects, what it answers, and how many of its blocks are of no use."""
        brought: Brought = {}
        said: list[tuple[About, Answer]] = []
        lost = parcel.blocks.count(None)
        for payload in filter(None, parcel.blocks):
            try:
                block = read_block(payload)
                self._gather(reading, block, brought)
                said += block.answers
            except PeerError as error:
                lost += 1
                self._events.note("peer-error", parcel.peer, f"parcel {name}: {error}")
        return brought, said, lost

    def _open(self, name: str, raw: bytes | None) -> Parcel | None:
        peers: list[bytes] = []

        def find_psk(peer: bytes) -> bytes | None:
            peers.append(peer)
            grant = self._authorize(peer)
            return None if grant is None else grant.psk

        if raw is None:
            self._events.note("peer-error", b"", f"parcel {name} cannot be read, or has the size of none")
            return None
        try:
            return open_parcel(self._identity, raw, find_psk)
        except (FormatError, AuthError) as error:
            self._events.note("stranger", (*peers, b"")[0], f"parcel {name} is not taken: {error}")
            return None

    def _gather(self, reading: Reading, block: Block, brought: Brought) -> None:
        """Take in what a block names; what it brings of objects is gathered in `brought`."""
        for offer in block.offers.values():
            about = About(offer.object_id, offer.digest)
            if about not in reading.offers and len(reading.offers) >= OFFERS_MAX:
                raise PeerError(f"more than {OFFERS_MAX} objects")
            reading.offers.setdefault(about, offer)
            brought.setdefault(about, [])
        for offer, start, data in block.segments:
            brought[About(offer.object_id, offer.digest)].append((start, data))
        reading.taken.update(self.own.intersection(block.taken))

    def _give(self, peer: bytes, about: About, offer: Offer, pieces: list[tuple[int, bytes]]) -> Iterator[None]:
        """Hand to the inbox what a parcel brought of one object; at once, when that is all of it."""
        whole = _joined(offer, pieces) if self._take_whole is not None else None
        verdict = self._take_whole(peer, offer, whole) if self._take_whole is not None and whole is not None else None
        if verdict is not None:
            self._settle(peer, about, verdict)
            yield
            return
        self._ask(peer, about, offer)
        yield
        for start, data in pieces:
            self._write(peer, offer, start, data)
            yield

    def _ask(self, peer: bytes, about: About, offer: Offer) -> None:
        word = self._inbox.offered(peer, offer)
        self._words[peer, about] = word.copy() if isinstance(word, RangeSet) else word
        self._finish_if_whole(peer, about, offer)

    def _write(self, peer: bytes, offer: Offer, start: int, data: bytes) -> None:
        about = About(offer.object_id, offer.digest)
        have = self._words[peer, about]
        if not isinstance(have, RangeSet) or have.covers(start, start + len(data)):
            return
        failure = self._inbox.write(peer, offer.object_id, start, data)
        if isinstance(failure, NotOpen):
            self._ask(peer, about, offer)
        elif failure is not None:
            self._settle(peer, about, failure)
        else:
            have.add(start, start + len(data))
            self._finish_if_whole(peer, about, offer)

    def _finish_if_whole(self, peer: bytes, about: About, offer: Offer) -> None:
        have = self._words[peer, about]
        if not isinstance(have, RangeSet) or not have.covers(0, offer.size):
            return None
        verdict = self._inbox.finish(peer, offer.object_id)
        if not isinstance(verdict, NotOpen | Damaged):
            return self._settle(peer, about, verdict)
        again = self._inbox.offered(peer, offer)
        return self._settle(peer, about, RangeSet() if isinstance(again, RangeSet) else again)

    def _settle(self, peer: bytes, about: About, verdict: RangeSet | Answer) -> None:
        self._words[peer, about] = verdict
        if isinstance(verdict, Refusal):
            self._events.note(
                "refused",
                peer,
                f"{about.object_id.hex()} is refused: {verdict}",
                about.object_id,
                plain=f"{about.object_id.hex()} is refused: {Refusal(verdict.reason)}",
            )
        elif isinstance(verdict, Custody | Receipt):
            self._events.note("received", peer, f"{about.object_id.hex()} came in a parcel", about.object_id)

    # What to say of it

    def peers(self) -> set[bytes]:
        """Return who has written the readings that are there."""
        return {reading.peer for reading in self._readings.values() if reading.peer}

    def answers(self, peer: bytes) -> list[tuple[About, Answer]]:
        """Return what is to be said to a peer about every object that its readings name: as the inbox sees it now."""
        found: list[tuple[About, Answer]] = []
        for about, offer in sorted(self._offers(peer).items(), key=lambda item: item[0].object_id + item[0].digest):
            if not _is_final(self._words[peer, about]):
                self._ask(peer, about, offer)
            word = self._words[peer, about]
            found.append((about, Have(word) if isinstance(word, RangeSet) else word))
        return found

    def answered(self, peer: bytes) -> list[bytes]:
        """Return the parcels that need not be carried any more: nothing in them is wanted later."""
        done: set[bytes] = set()
        for reading in self._readings.values():
            words = (self._words[peer, about] for about in reading.offers if reading.peer == peer)
            if reading.peer == peer and reading.offers and not any(_is_put_off(word) for word in words):
                done.add(reading.parcel_id)
        return sorted(done)

    def _offers(self, peer: bytes) -> dict[About, Offer]:
        readings = [reading for reading in self._readings.values() if reading.peer == peer]
        return {about: offer for reading in readings for about, offer in reading.offers.items()}

    # What was said to us

    def taken(self, peer: bytes) -> set[bytes]:
        """Return which of our parcels the peer says it has read."""
        return {one for reading in self._readings.values() if reading.peer == peer for one in reading.taken}

    def have(self, peer: bytes) -> dict[About, RangeSet]:
        """Return what the peer says it has of objects of ours; of two words that differ, what both say."""
        found: dict[About, RangeSet] = {}
        for reading in self._readings.values():
            for about, ranges in reading.have.items() if reading.peer == peer else ():
                found[about] = _common(found[about], ranges) if about in found else ranges
        return found


def _joined(offer: Offer, pieces: list[tuple[int, bytes]]) -> bytes | None:
    """Return all bytes of an object when the pieces have them in order, else None."""
    at = 0
    for start, data in pieces:
        if start != at:
            return None
        at += len(data)
    return b"".join(data for _, data in pieces) if at == offer.size else None


def _is_final(word: RangeSet | Answer) -> bool:
    return isinstance(word, Receipt) or (isinstance(word, Refusal) and not word.temporary)


def _is_put_off(word: RangeSet | Answer) -> bool:
    return isinstance(word, Refusal) and word.temporary


def _common(one: RangeSet, other: RangeSet) -> RangeSet:
    found = one.copy()
    for start, end in other.gaps(one.end):
        found.remove(start, end)
    return found
