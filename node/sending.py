"""The sending half of an exchange: which objects are offered, which bytes go next, what the peer said about them.

    state      HAVE        all arrived   CUSTODY    RECEIPT   REFUSED
    OFFERED    SENDING     AWAITING      CUSTODY    gone      gone
    SENDING    again (1)   AWAITING      CUSTODY    gone      gone
    AWAITING   again (1)   -             CUSTODY    gone      gone
    CUSTODY    -           -             CUSTODY    gone      gone

(1) The peer found the whole damaged and threw it away: the object is offered anew on another channel, at most
OFFERS_OF_ONE_MAX times. An object whose refusal was temporary is offered again after REFUSED_PAUSE_S, and so is one
that the outbox still has behind a final word (a receipt that it does not believe, a full disk of its own); one in
custody after CUSTODY_PAUSE_S and in every new session; then not a byte of it goes before the peer has said that it
lacks it.
What the present bearer does not admit is neither offered nor sent over it; it goes on over the next.
Nothing here is durable: what must survive is in the outbox.
"""

import bisect
import contextlib
import enum
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.seams import Outbox
from wire import objects
from wire.errors import DiskFull, PeerError
from wire.loss import Piece
from wire.objects import Answer, Custody, Have, Offer, Receipt, Refusal
from wire.ranges import RangeSet
from wire.records import SEGMENT_OVERHEAD_MAX, Segment, segment_room

OFFERED_MAX: Final = 64
"""Objects offered at a time; the others wait in the outbox, unless fewer than so many go before them."""
EAGER_SIZE: Final = 16384
"""An object up to this size goes along with its offer; of a larger one the peer is first asked what it has."""
OFFERS_OF_ONE_MAX: Final = 4
REFUSED_PAUSE_S: Final = 30.0
REFUSED_PAUSE_POST_S: Final = 3600.0
"""Over billed messages."""
CUSTODY_PAUSE_S: Final = 3600.0
"""An object is offered again when its receipt has not followed its custody for so long: the peer may have forgotten."""
CHANNEL_MAX: Final = 1 << 30
OVERTAKING_SIZE_MAX: Final = 4096
"""An object up to this size does not wait behind a less urgent one: it goes out at once, in frames of its own."""
MOVING_MAX: Final = 2 * OFFERED_MAX
"""Objects without a verdict, with those that the present bearer does not admit: as many as a receiver opens."""


class State(enum.Enum):
    """Where an offered object stands."""

    OFFERED = "offered"
    SENDING = "sending"
    AWAITING = "awaiting"
    CUSTODY = "custody"
    GONE = "gone"


class Said(enum.Enum):
    """What can be learned about it."""

    HAVE = "have"
    ALL_ARRIVED = "all arrived"
    CUSTODY = "custody"
    RECEIPT = "receipt"
    REFUSED = "refused"


TRANSITIONS: Final = {
    (State.OFFERED, Said.HAVE): State.SENDING,
    (State.OFFERED, Said.ALL_ARRIVED): State.AWAITING,
    (State.OFFERED, Said.CUSTODY): State.CUSTODY,
    (State.OFFERED, Said.RECEIPT): State.GONE,
    (State.OFFERED, Said.REFUSED): State.GONE,
    (State.SENDING, Said.HAVE): State.GONE,
    (State.SENDING, Said.ALL_ARRIVED): State.AWAITING,
    (State.SENDING, Said.CUSTODY): State.CUSTODY,
    (State.SENDING, Said.RECEIPT): State.GONE,
    (State.SENDING, Said.REFUSED): State.GONE,
    (State.AWAITING, Said.HAVE): State.GONE,
    (State.AWAITING, Said.CUSTODY): State.CUSTODY,
    (State.AWAITING, Said.RECEIPT): State.GONE,
    (State.AWAITING, Said.REFUSED): State.GONE,
    (State.CUSTODY, Said.CUSTODY): State.CUSTODY,
    (State.CUSTODY, Said.RECEIPT): State.GONE,
    (State.CUSTODY, Said.REFUSED): State.GONE,
}


def next_state(state: State, said: Said) -> State:
    """Return the next state; what the peer may not say now is a PeerError."""
    try:
        return TRANSITIONS[state, said]
    except KeyError:
        raise PeerError(f"the peer said {said.value} about an object in state {state.value}") from None


@dataclass
class Sending:
    """One offered object. `todo` is what to send next, `arrived` what the peer has."""

    channel: int
    offer: Offer
    state: State = State.OFFERED
    todo: RangeSet = field(default_factory=RangeSet)
    arrived: RangeSet = field(default_factory=RangeSet)
    under_way: RangeSet = field(default_factory=RangeSet)
    is_admitted: bool = True
    """May go over the present bearer."""

    @property
    def is_whole(self) -> bool:
        return self.arrived.covers(0, self.offer.size)

    def learn(self, have: RangeSet) -> None:
        """The peer told what it has."""
        for start, end in have:
            self.arrived.add(start, min(end, self.offer.size))
        self.todo = RangeSet(self.arrived.gaps(self.offer.size))
        for start, end in self.under_way:
            self.todo.remove(start, end)


@dataclass
class SendingCounts:
    """What one link sent, over all its sessions."""

    payload_bytes: int = 0
    segments: int = 0
    resent: int = 0
    twice: int = 0
    arrived_bytes: int = 0


class Sender:
    """Offers what the outbox has, in the order of priority, and answers with segments."""

    def __init__(self, outbox: Outbox, counts: SendingCounts) -> None:
        self._outbox = outbox
        self.counts = counts
        self.admits: Callable[[Offer], bool] = lambda offer: True
        """What may go over the present bearer; `refresh` asks it."""
        self.refused_pause_s = REFUSED_PAUSE_S
        self.sendings: dict[int, Sending] = {}
        self._moving: dict[int, Sending] = {}
        """Those not in custody, MOVING_MAX and a few: every frame asks for them, and thousands may be in custody."""
        self._offers_made: dict[bytes, int] = {}
        """Of each object that has no verdict; one in custody that is offered again counts anew."""
        self._not_before: dict[bytes, float] = {}
        """Of each object that pauses; a pause that is over is forgotten by `refresh`."""
        self._settled: dict[bytes, float] = {}
        """Of each object that had a verdict of late: should the outbox still have it, it pauses until then."""
        self._next_channel = 0
        self.verdicts: list[tuple[bytes, Answer]] = []

    def refresh(self, now: float) -> list[Sending]:
        """Return what is newly offered, after a look into the outbox."""
        self._not_before = {object_id: at for object_id, at in self._not_before.items() if at > now}
        self._settled = {object_id: at for object_id, at in self._settled.items() if at > now}
        pending = sorted(self._outbox.pending(), key=lambda offer: offer.urgency)
        offered = {sending.offer.object_id for sending in self.sendings.values()} - self._forget_overdue(pending)
        for sending in self._moving.values():
            sending.is_admitted = self.admits(sending.offer)
        ahead = sorted(sending.offer.urgency for sending in self._moving.values() if sending.is_admitted)
        new: list[Sending] = []
        for offer in pending:
            if bisect.bisect_right(ahead, offer.urgency) + len(new) >= OFFERED_MAX or len(self._moving) >= MOVING_MAX:
                break
            if self._next_channel >= CHANNEL_MAX:
                break
            if offer.object_id in self._settled:
                self._not_before[offer.object_id] = self._settled.pop(offer.object_id)
            is_new = offer.object_id not in offered and offer.object_id not in self._not_before
            if is_new and self.admits(offer):
                new.append(self._open(offer))
        return new

    def _forget_overdue(self, pending: Sequence[Offer]) -> set[bytes]:
        """Let go of objects whose receipt is overdue and that may be offered again; return them.

        One that must wait for another bearer still hears its receipt on the old channel.
        """
        overdue = {
            sending.offer.object_id: channel
            for channel, sending in self.sendings.items()
            if sending.state is State.CUSTODY and sending.offer.object_id not in self._not_before
        }
        for offer in pending if overdue else ():
            if offer.object_id in overdue and not self.admits(offer):
                del overdue[offer.object_id]
        for channel in overdue.values():
            del self.sendings[channel]
        return set(overdue)

    def forget_settled(self) -> None:
        """Let go of objects that the outbox does not hold any more: another road has brought their receipts."""
        pending = {offer.object_id for offer in self._outbox.pending()}
        for channel, sending in list(self.sendings.items()):
            if sending.offer.object_id not in pending:
                del self.sendings[channel]
                self._moving.pop(channel, None)
                self._offers_made.pop(sending.offer.object_id, None)

    def may_go(self, piece: Piece) -> bool:
        """Tell whether what a frame carried may go over the present bearer, and is still wanted."""
        sending = self._moving.get(-1 if piece.channel is None else piece.channel)
        return piece.channel is None or (sending is not None and sending.is_admitted)

    def wants_refresh_at(self) -> float | None:
        """When the next pause of an object is over: a refusal waited out, a receipt to be asked for."""
        return min(self._not_before.values(), default=None)

    def fitting_segment(self, room: int, last_first: bool = False) -> Segment | None:
        """Return the next segment that takes at most `room` bytes of a frame, as its last record.

        The most urgent object goes first. `last_first`: of a large one the end.
        """
        return self._fitting(self._next_of(self._admitted()), room, last_first)

    def overtaking_segment(self, room: int) -> Segment | None:
        """Return the next segment of an object that is small and more urgent than another."""
        return self._fitting(self._next_of(self._overtaking()), room)

    @property
    def has_overtaking(self) -> bool:
        return bool(self._overtaking())

    def _overtaking(self) -> list[Sending]:
        ready = [sending for sending in self._admitted() if sending.todo]
        last = max((sending.offer.urgency for sending in ready), default=(0, 0))
        return [s for s in ready if s.offer.urgency < last and s.offer.size <= OVERTAKING_SIZE_MAX]

    def _next_of(self, sendings: Iterable[Sending]) -> Sending | None:
        ready = (sending for sending in sendings if sending.todo)
        return min(ready, key=lambda sending: (sending.offer.urgency, sending.channel), default=None)

    def _fitting(self, sending: Sending | None, room: int, last_first: bool = False) -> Segment | None:
        if sending is None:
            return None
        if last_first and sending.offer.size > EAGER_SIZE:
            start, end = list(sending.todo)[-1]
            return self._take(sending, max(end - room + SEGMENT_OVERHEAD_MAX, start), end)
        start, end = next(iter(sending.todo))
        return self._take(sending, start, min(end, start + segment_room(sending.channel, start, room)))

    def _take(self, sending: Sending, start: int, end: int) -> Segment | None:
        if end <= start:
            return None
        sending.todo.remove(start, end)
        sending.under_way.add(start, end)
        data = self._outbox.read(sending.offer.object_id, start, end - start)
        self.counts.segments += 1
        self.counts.payload_bytes += end - start
        return Segment(sending.channel, start, data)

    @property
    def pending_size(self) -> int:
        """How many bytes are to be sent, with the heads of their segments."""
        return sum(SEGMENT_OVERHEAD_MAX + sending.todo.total for sending in self._admitted())

    @property
    def has_segments(self) -> bool:
        return any(sending.todo for sending in self._admitted())

    @property
    def is_waiting(self) -> bool:
        """Something is offered, may go now, and is not yet answered for good."""
        return any(True for _ in self._admitted())

    def open_early(self) -> None:
        """Nothing is known of what the peer has: let the end of the first large object go with the HELLO.

        After a cut the peer lacks the end far more often than the beginning.
        """
        for sending in self.sendings.values():
            if not sending.todo and sending.state is State.OFFERED and not sending.offer.again:
                sending.todo.add(0, sending.offer.size)

    def close_early(self) -> None:
        """The HELLO is composed: what else there is waits for the peer's answer."""
        for sending in self.sendings.values():
            if sending.offer.size > EAGER_SIZE and sending.state is State.OFFERED:
                sending.todo = RangeSet()

    def arrived(self, piece: Piece) -> None:
        """The peer acknowledged a segment."""
        sending = self.sendings.get(-1 if piece.channel is None else piece.channel)
        if sending is None:
            return
        start, end = piece.offset, piece.offset + piece.size
        sending.under_way.remove(start, end)
        sending.todo.remove(start, end)
        self.counts.arrived_bytes += sending.arrived.add(start, end)
        if sending.is_whole and (sending.state, Said.ALL_ARRIVED) in TRANSITIONS:
            sending.state = next_state(sending.state, Said.ALL_ARRIVED)

    def lost(self, piece: Piece) -> None:
        """A segment was lost: it goes again."""
        sending = self.sendings.get(-1 if piece.channel is None else piece.channel)
        if sending is None or sending.state is State.CUSTODY:
            return
        start, end = piece.offset, piece.offset + piece.size
        sending.under_way.remove(start, end)
        again = RangeSet([(start, end)])
        for low, high in sending.arrived:
            again.remove(low, high)
        for low, high in again:
            sending.todo.add(low, high)
            self.counts.resent += 1

    def heard(self, channel: int, answer: Answer, now: float) -> list[Sending]:
        """Take in what the peer said; returns what is offered again because of it."""
        sending = self.sendings.get(channel)
        if sending is None:
            return []
        said = _SAID[type(answer)]
        before, sending.state = sending.state, next_state(sending.state, said)
        if sending.state in {State.CUSTODY, State.GONE}:
            self._moving.pop(channel, None)
        if sending.state is State.GONE:
            del self.sendings[channel]
        if isinstance(answer, Have):
            return self._heard_have(sending, before, answer)
        self._heard_verdict(sending, before, answer, now)
        return []

    def _admitted(self) -> Iterator[Sending]:
        return (sending for sending in self._moving.values() if sending.is_admitted)

    def _open(self, offer: Offer) -> Sending:
        sending = Sending(self._next_channel, offer)
        self._next_channel += 1
        self._offers_made[offer.object_id] = self._offers_made.get(offer.object_id, 0) + 1
        if offer.size <= EAGER_SIZE and not offer.again:
            sending.todo.add(0, offer.size)
        self.sendings[sending.channel] = self._moving[sending.channel] = sending
        return sending

    def _heard_have(self, sending: Sending, before: State, have: Have) -> list[Sending]:
        if before is State.OFFERED:
            sending.learn(have.ranges)
            return []
        if self._offers_made[sending.offer.object_id] < OFFERS_OF_ONE_MAX:
            return [self._open(sending.offer)]
        refusal = Refusal(objects.BROKEN, f"damaged on arrival {OFFERS_OF_ONE_MAX} times")
        del self._offers_made[sending.offer.object_id]
        with contextlib.suppress(DiskFull):
            self._outbox.refused(sending.offer.object_id, refusal)
        self.verdicts.append((sending.offer.object_id, refusal))
        return []

    def _heard_verdict(self, sending: Sending, before: State, answer: Answer, now: float) -> None:
        object_id = sending.offer.object_id
        sending.todo, sending.under_way = RangeSet(), RangeSet()
        self._offers_made.pop(object_id, None)
        self._not_before.pop(object_id, None)
        if isinstance(answer, Custody):
            self._not_before[object_id] = now + CUSTODY_PAUSE_S
        else:
            self._settled[object_id] = now + self.refused_pause_s
        with contextlib.suppress(DiskFull):
            tell(self._outbox, object_id, answer)
        if isinstance(answer, Custody | Receipt):
            sending.arrived = RangeSet([(0, sending.offer.size)])
            self.counts.twice += answer.twice if before is not State.CUSTODY else 0
        self.verdicts.append((object_id, answer))


def tell(outbox: Outbox, object_id: bytes, answer: Answer) -> None:
    """Tell the outbox what the far end said of an object; what that end has of it is no news to an outbox."""
    if isinstance(answer, Custody):
        outbox.in_custody(object_id)
    elif isinstance(answer, Receipt):
        outbox.receipt(object_id, answer.data)
    elif isinstance(answer, Refusal):
        outbox.refused(object_id, answer)


_SAID: Final[dict[type, Said]] = {
    Have: Said.HAVE,
    Custody: Said.CUSTODY,
    Receipt: Said.RECEIPT,
    Refusal: Said.REFUSED,
}
