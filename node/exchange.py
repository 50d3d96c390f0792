"""The exchange of objects over one session, in both directions: what to put into a frame, what to make of one.

Synchronous and without a clock of its own. It lives as long as its session; a new session begins a new exchange
from what outbox and inbox keep. It calls outbox and inbox, and is called by `node/line.py` only.
"""

from typing import Final

from node.admission import Admits, admits_usually
from node.receiving import Receiver, ReceivingCounts
from node.seams import Bearer, Inbox, Outbox
from node.sending import REFUSED_PAUSE_POST_S, REFUSED_PAUSE_S, Sender, SendingCounts
from wire.flow import COMMAND_SIZE_MAX, Composed, Flow, Manner
from wire.objects import Answer, Offer, decode_message, encode_message
from wire.records import Segment

BACKLOG_MIN: Final = 4 * COMMAND_SIZE_MAX


class Exchange:
    """Objects over one session."""

    def __init__(
        self,
        peer: bytes,
        outbox: Outbox,
        inbox: Inbox,
        mtu: int,
        sent: SendingCounts,
        received: ReceivingCounts,
        *,
        admits: Admits = admits_usually,
    ) -> None:
        self.peer = peer
        self.flow = Flow(mtu)
        self.sender = Sender(outbox, sent)
        self.receiver = Receiver(peer, inbox, received)
        self._admits = admits
        self._stale = True

    def on_bearer(self, bearer: Bearer) -> None:
        """Go on over `bearer`: what it does not admit waits for another."""
        self.sender.admits = lambda offer: self._admits(offer, bearer)
        self.receiver.admits = lambda offer: admits_usually(offer, bearer)
        self.sender.refused_pause_s = REFUSED_PAUSE_POST_S if bearer.is_message else REFUSED_PAUSE_S
        self._stale = True

    def nudge(self) -> None:
        """The outbox has something new, or something less."""
        self.sender.forget_settled()
        self._stale = True

    def answer(self, object_id: bytes, answer: Answer) -> None:
        """Say something about an object that this session brought earlier."""
        self.receiver.answer(object_id, answer)

    def refresh(self, now: float) -> None:
        """Offer what is new, and say what is due about what was offered."""
        self.offer(now)
        while self._has_room and (answer := self.receiver.next_answer()) is not None:
            self.flow.command.say(encode_message(*answer))

    def offer(self, now: float) -> None:
        """Offer what is new."""
        due = self.refresh_at()
        if (self._stale and self._has_room) or (due is not None and due <= now):
            self._stale = False
            for sending in self.sender.refresh(now):
                self.flow.command.say(encode_message(sending.channel, sending.offer))

    def refresh_at(self) -> float | None:
        """When `refresh` has something to do by time alone; None while what was said before leaves no room for more."""
        return self.sender.wants_refresh_at() if self._has_room else None

    @property
    def _has_room(self) -> bool:
        return self.flow.command.room > BACKLOG_MIN

    @property
    def has_urgent(self) -> bool:
        """Command bytes are due."""
        return self.flow.command.has_more or bool(self.receiver.answers)

    @property
    def has_message(self) -> bool:
        """There is something that is worth a message of its own."""
        flow = self.flow
        is_due = flow.command.has_more or self.receiver.has_verdicts or flow.seen.due_at is not None
        return is_due or self.sender.has_segments

    def to_messages(self, manner: Manner, now: float) -> None:
        """Go on over messages: what may go there goes again, for to ask what became of it takes minutes."""
        self.offer(now)
        for piece in self.flow.to_messages(manner, self.sender.may_go, now):
            self.sender.lost(piece)

    def note_sent(self, counter: int, size: int, composed: Composed, now: float, *, is_message: bool) -> None:
        """A composed payload went out as frame `counter`, with `size` bytes on the wire."""
        if not is_message:
            return self.flow.note_sent(counter, size, composed, now)
        for piece in self.flow.note_posted(counter, composed, now):
            self.sender.lost(piece)
        return None

    def compose(
        self, limit: int, now: float, segments: bool, ping: bool = False, *, overtaking: bool = False
    ) -> Composed:
        """Return the next payload; with `overtaking` only those segments that do not wait behind others."""
        self.refresh(now)
        fill = self.sender.fitting_segment if segments else None
        return self.flow.compose(limit, now, self.sender.overtaking_segment if overtaking else fill, ping)

    def compose_welcome(self, limit: int, now: float, *, is_message: bool) -> Composed:
        """Return the payload of a WELCOME. It says by itself that the HELLO has arrived, but not when."""
        is_seen = bool(self.flow.seen.frames)  # not when it had a segment of nothing that it offers
        self.flow.seen.due_at = now if is_seen and not is_message else None
        return self.compose(limit, now, segments=False, ping=True)

    def compose_early(self, limit: int, limit_if_more: int, now: float) -> Composed:
        """Return the payload of a HELLO: offers, and bytes that are harmless when they are replayed.

        It is small when it cannot hold everything, for the line may be slow and nothing is known of it yet.
        """
        self.refresh(now)
        self.sender.open_early()
        size = self.flow.command.pending + self.sender.pending_size
        return self.flow.compose(limit if size <= limit else min(limit, limit_if_more), now, self._early_segment)

    def compose_more_early(self, limit: int, now: float) -> Composed:
        """Return the payload of an EARLY frame: more of the same."""
        return self.flow.compose(limit, now, self._early_segment)

    def end_early(self) -> None:
        """What else there is waits for the peer's answer."""
        self.sender.close_early()

    def _early_segment(self, room: int) -> Segment | None:
        if self.flow.command.has_more:
            return None  # its offer is not in this frame, or not whole, and a HELLO is not sent again
        return self.sender.fitting_segment(room, last_first=True)

    def receive(self, counter: int, payload: bytes, now: float) -> None:
        """Take one payload. Raises PeerError; raises what the inbox raises when its disk fails."""
        received = self.flow.take(payload, now)
        for piece in received.arrived:
            self.sender.arrived(piece)
        for piece in received.lost:
            self.sender.lost(piece)
        for tag in received.tags:
            message = decode_message(tag)
            if message is not None:
                self._take_message(*message, now)
        if not all(self.receiver.knows(segment.channel) for segment in received.segments):
            return  # its offer was lost: without an acknowledgement the frame is sent again after the offer
        for segment in received.segments:
            self.receiver.take(segment)
        self.flow.accept(counter, received, now)

    def overdue(self, now: float) -> None:
        """Send again what time alone shows to be lost."""
        for piece in self.flow.overdue(now):
            self.sender.lost(piece)

    def repeat(self) -> None:
        """Let all segments go again that are under way."""
        for piece in list(self.flow.ledger.pieces()):
            if piece.channel is not None:
                self.sender.lost(piece)

    def settle(self, counter: int) -> None:
        """The frame of the handshake has arrived."""
        for piece in self.flow.settle(counter):
            self.sender.arrived(piece)

    def _take_message(self, channel: int, message: Offer | Answer, now: float) -> None:
        if isinstance(message, Offer):
            return self.receiver.offered(channel, message)
        for sending in self.sender.heard(channel, message, now):
            self.flow.command.say(encode_message(sending.channel, sending.offer))
        self._stale = True
        return None
