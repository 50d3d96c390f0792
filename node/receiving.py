"""The receiving half of an exchange: offers are answered, segments go to the inbox, a whole object to its verdict.

A lying peer can cost no more than this: CHANNELS_MAX objects open at a time, nothing written outside an offered
size, no message but to answers of its own offers. What is durable is the inbox's affair; a channel lives as long as
its session.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from node.seams import Inbox, NotOpen
from node.sending import EAGER_SIZE
from wire import objects
from wire.errors import PeerError
from wire.objects import Answer, Custody, Damaged, Have, Offer, Receipt, Refusal
from wire.ranges import RangeSet
from wire.records import Segment

CHANNELS_MAX: Final = 128
"""Objects that one session may have open; an offer beyond is refused as BUSY."""
CLOSED_MAX: Final = 4096
"""Channels with a verdict that are remembered, so that late segments of theirs are known to be nothing new."""


ANSWERS_MAX: Final = 4096
"""Answers that wait because the peer acknowledges none; one who offers on and on without listening is cut off."""


@dataclass
class Receiving:
    """One object on its way in."""

    offer: Offer
    have: RangeSet = field(default_factory=RangeSet)
    twice: int = 0

    @property
    def is_whole(self) -> bool:
        return self.have.covers(0, self.offer.size)


@dataclass
class ReceivingCounts:
    """What one link received, over all its sessions."""

    payload_bytes: int = 0
    segments: int = 0
    twice: int = 0


class Receiver:
    """Answers offers and takes segments for one session."""

    def __init__(self, peer: bytes, inbox: Inbox, counts: ReceivingCounts) -> None:
        self._peer, self._inbox, self.counts = peer, inbox, counts
        self.receivings: dict[int, Receiving] = {}
        self.admits: Callable[[Offer], bool] = lambda offer: True
        """Of which objects the present bearer is worth an answer."""
        self._closed: OrderedDict[int, Offer] = OrderedDict()
        self.answers: dict[int, Answer] = {}
        self.finished: list[tuple[bytes, Answer]] = []

    def offered(self, channel: int, offer: Offer) -> None:
        """Answer an offer. A channel stands for one object for as long as the session lives."""
        if self.knows(channel):
            raise PeerError(f"channel {channel} is offered a second time")
        if len(self.answers) >= ANSWERS_MAX:
            raise PeerError(f"{ANSWERS_MAX} answers wait to be taken, and more is offered")
        if len(self.receivings) >= CHANNELS_MAX:
            return self._close(channel, offer, Refusal(objects.BUSY, f"{CHANNELS_MAX} objects are open"))
        answer = self._inbox.offered(self._peer, offer)
        if not isinstance(answer, RangeSet):
            return self._close(channel, offer, answer)
        receiving = Receiving(offer, answer.copy())
        self.receivings[channel] = receiving
        self.answers[channel] = Have(receiving.have.copy())
        return self._finish(channel, receiving) if receiving.is_whole else None

    def knows(self, channel: int) -> bool:
        """Tell whether `channel` was ever offered here."""
        return channel in self.receivings or channel in self._closed

    @property
    def has_verdicts(self) -> bool:
        """An answer waits that the sender cannot do without; a small object comes whole without its gap list."""
        return any(self.may_say(channel) and not self._is_needless(channel) for channel in self.answers)

    def next_answer(self) -> tuple[int, Answer] | None:
        """Take the next answer that may be said now."""
        channel = next((channel for channel in self.answers if self.may_say(channel)), None)
        return None if channel is None else (channel, self.answers.pop(channel))

    def may_say(self, channel: int) -> bool:
        """Tell whether the present bearer admits the object on `channel`."""
        receiving = self.receivings.get(channel)
        offer = receiving.offer if receiving is not None else self._closed.get(channel)
        return offer is None or self.admits(offer)

    def _is_needless(self, channel: int) -> bool:
        receiving = self.receivings.get(channel)
        is_coming = receiving is not None and receiving.offer.size <= EAGER_SIZE and receiving.have.total > 0
        return isinstance(self.answers[channel], Have) and is_coming

    def take(self, segment: Segment) -> None:
        """Write one segment of a channel that `knows` was asked about."""
        receiving = self.receivings.get(segment.channel)
        self.counts.segments += 1
        if receiving is None:
            self.counts.twice += 1
            return None
        start, end = segment.offset, segment.offset + len(segment.data)
        if end > receiving.offer.size:
            raise PeerError(f"channel {segment.channel}: a segment up to {end} of an object of {receiving.offer.size}")
        if receiving.have.covers(start, end):
            receiving.twice += 1
            self.counts.twice += 1
            return None
        answer = self._inbox.write(self._peer, receiving.offer.object_id, start, segment.data)
        if isinstance(answer, NotOpen):
            return self._ask_again(segment.channel, receiving)
        if answer is not None:
            return self._close(segment.channel, receiving.offer, answer)
        self.counts.payload_bytes += receiving.have.add(start, end)
        return self._finish(segment.channel, receiving) if receiving.is_whole else None

    def answer(self, object_id: bytes, answer: Answer) -> None:
        """A receipt that came later, for an object that this session brought or offered."""
        for channel, closed in self._closed.items():
            if closed.object_id == object_id:
                self.answers[channel] = answer

    def _finish(self, channel: int, receiving: Receiving) -> None:
        verdict = self._inbox.finish(self._peer, receiving.offer.object_id)
        if isinstance(verdict, NotOpen):
            return self._ask_again(channel, receiving)
        if isinstance(verdict, Damaged):
            return self._start_over(channel, receiving)
        if isinstance(verdict, Custody | Receipt):
            verdict = replace(verdict, twice=receiving.twice)
        return self._close(channel, receiving.offer, verdict)

    def _ask_again(self, channel: int, receiving: Receiving) -> None:
        """Another session of this peer has been here: what does the inbox say of the object now?"""
        answer = self._inbox.offered(self._peer, receiving.offer)
        if isinstance(answer, RangeSet):
            return self._start_over(channel, receiving)
        return self._close(channel, receiving.offer, answer)

    def _start_over(self, channel: int, receiving: Receiving) -> None:
        """What was written is gone: the sender offers the object anew, on another channel."""
        del self.receivings[channel]
        self._remember(channel, receiving.offer)
        self.answers[channel] = Have(RangeSet())

    def _close(self, channel: int, offer: Offer, answer: Answer) -> None:
        self.receivings.pop(channel, None)
        self._remember(channel, offer)
        self.answers[channel] = answer
        self.finished.append((offer.object_id, answer))

    def _remember(self, channel: int, offer: Offer) -> None:
        self._closed[channel] = offer
        if len(self._closed) > CLOSED_MAX:
            self._closed.popitem(last=False)
