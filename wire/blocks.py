"""What stands in the blocks of a parcel: the records of a session, packed so that each block can be read alone.

The sender's half is `Packer`, the reader's `read_block`. `docs/formats/parcel.md`, "Blocks", is normative.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from wire import kinds, objects, records, tag, varint
from wire.errors import FormatError, Misuse, PeerError
from wire.noise import TAG_SIZE
from wire.objects import Answer, Have, Offer, decode_message, encode_message
from wire.ranges import RangeSet
from wire.records import SEGMENT_OVERHEAD_MAX, Control, Segment
from wire.tag import Tag

PARCEL_ID_SIZE: Final = 16
BLOCK_SIZE: Final = 16384
BLOCK_ROOM: Final = BLOCK_SIZE - TAG_SIZE
BLOCKS_MAX: Final = 256
OFFERS_MAX: Final = 2048
"""Objects of which one parcel holds something."""
SLIP_RUNS_MAX: Final = 8
"""Runs of one object that a slip tells; what lies behind them may be carried twice."""
TAKEN_MAX: Final = 64
"""Parcel ids in one TAKEN."""
SEGMENT_SIZE_MIN: Final = 256
"""Less room than this at the end of a block is left empty."""
_CONTROL_OVERHEAD: Final = 1 + 1 + 4
_CHANNEL_OVERHEAD: Final = 3
"""What the number of a channel may take more than the smallest one, each time it is told."""


@dataclass(frozen=True, slots=True)
class About:
    """An object of the other side: an answer is about these bytes under this id and no others."""

    object_id: bytes
    digest: bytes


@dataclass
class Block:
    """What one block says."""

    offers: dict[int, Offer] = field(default_factory=dict)
    segments: list[tuple[Offer, int, bytes]] = field(default_factory=list)
    answers: list[tuple[About, Answer]] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)


class Packer:
    """Fills the blocks of one parcel. A channel stands for one object within one block."""

    def __init__(self, blocks_max: int = BLOCKS_MAX) -> None:
        self._blocks_max = min(blocks_max, BLOCKS_MAX)
        self._closed: list[bytes] = []
        self.offers: dict[bytes, tuple[Offer, RangeSet]] = {}
        """What of which object is in the parcel: the slip."""
        self._begin()

    @property
    def is_empty(self) -> bool:
        return not self._closed and not self._tags

    def offer(self, offer: Offer) -> bool:
        """Name an object; False when the parcel is full."""
        if not self._has_slip_room(offer):
            return False
        if offer.object_id not in self._channels and not self._make_room(_offer_size(offer)):
            return False
        self._open(offer)
        return True

    def segment_room(self, offer: Offer) -> int:
        """Return how many bytes of the object go into one segment now; 0 when the parcel is full."""
        if not self._has_slip_room(offer):
            return 0
        head = SEGMENT_OVERHEAD_MAX + (0 if offer.object_id in self._channels else _offer_size(offer))
        left = self._room - head
        if left >= SEGMENT_SIZE_MIN or left >= offer.size:
            return left
        head = SEGMENT_OVERHEAD_MAX + _offer_size(offer)
        return max(0, self._make_room(BLOCK_ROOM - _CONTROL_OVERHEAD) - head)

    def segment(self, offer: Offer, start: int, data: bytes) -> None:
        """Take bytes of an object, as many as `segment_room` has said at most."""
        self._open(offer)
        segment = Segment(self._channels[offer.object_id], start, data)
        self._segments.append(segment)
        self._room -= records.encoded_size(segment)
        self.offers[offer.object_id][1].add(start, start + len(data))

    def answer(self, about: About, answer: Answer) -> bool:
        """Say something about an object of the other side; False when the parcel is full."""
        if not self._make_room(len(_answer_tags(0, about, answer)) + 2 * _CHANNEL_OVERHEAD):
            return False
        self._say(_answer_tags(self._take_channel(), about, answer))
        return True

    def taken(self, parcel_ids: Sequence[bytes]) -> bool:
        """Say that these parcels of the other side need not be carried any more; False when the parcel is full."""
        if len(parcel_ids) > TAKEN_MAX:
            raise Misuse(f"{len(parcel_ids)} parcels in one TAKEN; at most {TAKEN_MAX}")
        raw = tag.encode(Tag(kinds.NETWORK, kinds.TAKEN, b"".join(parcel_ids)))
        if not self._make_room(len(raw)):
            return False
        self._say(raw)
        return True

    def finish(self) -> list[bytes]:
        """Return the blocks."""
        if self._tags:
            self._closed.append(self._encode())
            self._begin()
        return self._closed

    def slip(self) -> bytes:
        """Return what the writer will want to know of this parcel."""
        tags: list[Tag] = []
        for offer, ranges in self.offers.values():
            told = RangeSet(list(ranges)[:SLIP_RUNS_MAX])
            tags += [encode_message(0, offer), encode_message(0, Have(told))]
        return b"".join(map(tag.encode, tags))

    def _begin(self) -> None:
        self._tags: list[bytes] = []
        self._segments: list[Segment] = []
        self._channels: dict[bytes, int] = {}
        self._next_channel = 0
        self._room = BLOCK_ROOM - _CONTROL_OVERHEAD

    def _has_slip_room(self, offer: Offer) -> bool:
        return offer.object_id in self.offers or len(self.offers) < OFFERS_MAX

    def _make_room(self, size: int) -> int:
        """Return the room in the block that can take `size` bytes, which may be a new one; 0 when there is none."""
        if self._room < size:
            if len(self._closed) + 1 >= self._blocks_max:
                return 0
            self._closed.append(self._encode().rjust(BLOCK_ROOM, b"\0"))
            self._begin()
        return self._room

    def _take_channel(self) -> int:
        self._next_channel += 1
        return self._next_channel - 1

    def _open(self, offer: Offer) -> None:
        self.offers.setdefault(offer.object_id, (offer, RangeSet()))
        if offer.object_id not in self._channels:
            channel = self._channels[offer.object_id] = self._take_channel()
            self._say(_offer_tag(channel, offer))

    def _say(self, raw: bytes) -> None:
        self._tags.append(raw)
        self._room -= len(raw)

    def _encode(self) -> bytes:
        return records.encode([Control(0, b"".join(self._tags)), *self._segments])


def _offer_tag(channel: int, offer: Offer) -> bytes:
    return tag.encode(encode_message(channel, offer))


def _offer_size(offer: Offer) -> int:
    return len(_offer_tag(0, offer)) + _CHANNEL_OVERHEAD


def _answer_tags(channel: int, about: About, answer: Answer) -> bytes:
    body = varint.encode(channel) + about.object_id + about.digest
    return tag.encode(Tag(kinds.NETWORK, kinds.ABOUT, body)) + tag.encode(encode_message(channel, answer))


def read_block(payload: bytes) -> Block:
    """Return what a block says. Raises PeerError: a block counts whole or not at all."""
    block, abouts = Block(), dict[int, About]()
    for record in records.decode(payload):
        if isinstance(record, Control) and not record.offset and not block.offers and not abouts:
            for one in _read_tags(record.data):
                _read_message(block, abouts, one)
        elif isinstance(record, Segment) and record.channel in block.offers:
            offer = block.offers[record.channel]
            if record.offset + len(record.data) > offer.size:
                raise PeerError(f"a segment up to {record.offset + len(record.data)} of an object of {offer.size}")
            block.segments.append((offer, record.offset, record.data))
        else:
            raise PeerError(f"a {type(record).__name__.lower()} that has no place in a block")
    return block


def _read_tags(raw: bytes) -> Iterator[Tag]:
    at = 0
    while at < len(raw):
        try:
            header = tag.parse_header(raw, at)
        except FormatError as error:
            raise PeerError(f"what a block says makes no sense: {error}") from error
        if header is None or at + header.total > len(raw):
            raise PeerError(f"what a block says is cut short at byte {at} of {len(raw)}")
        yield Tag(header.tag.group, header.tag.number, raw[at + header.size : at + header.total])
        at += header.total


def _read_message(block: Block, abouts: dict[int, About], one: Tag) -> None:
    if one.kind == (kinds.NETWORK, kinds.TAKEN):
        if len(one.data) % PARCEL_ID_SIZE or len(one.data) > TAKEN_MAX * PARCEL_ID_SIZE:
            raise PeerError(f"a list of parcels of {len(one.data)} bytes")
        block.taken += [one.data[at : at + PARCEL_ID_SIZE] for at in range(0, len(one.data), PARCEL_ID_SIZE)]
        return
    if one.kind == (kinds.NETWORK, kinds.ABOUT):
        channel, at = varint.decode(one.data, 0)
        if len(one.data) != at + objects.ID_SIZE + objects.DIGEST_SIZE:
            raise PeerError(f"channel {channel} is about {len(one.data) - at} bytes that are no object")
        abouts[channel] = About(one.data[at : at + objects.ID_SIZE], one.data[at + objects.ID_SIZE :])
        return
    found = decode_message(one)
    if found is None:
        return  # said by a later version
    channel, message = found
    if isinstance(message, Offer):
        block.offers[channel] = message
    elif channel in abouts:
        block.answers.append((abouts[channel], message))
    else:
        raise PeerError(f"an answer on channel {channel}, which is about nothing")


def read_slip(raw: bytes) -> dict[bytes, tuple[Offer, RangeSet]]:
    """Return what a slip tells: the objects of its parcel, and which bytes of them. Raises PeerError."""
    found: dict[bytes, tuple[Offer, RangeSet]] = {}
    last: Offer | None = None
    for one in _read_tags(raw):
        message = decode_message(one)
        if message is not None and isinstance(message[1], Offer):
            last = message[1]
        elif message is not None and isinstance(message[1], Have) and last is not None:
            found[last.object_id] = last, message[1].ranges
    return found
