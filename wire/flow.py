"""One session's records in both directions: what is acknowledged, what must be sent again, the command channel.

A `Flow` knows nothing of keys and objects. It turns opened payloads into tags and segments, and composes payloads
from what is due: ACK, FLOOR, command bytes, and whatever segments its owner fills the rest with. The command
channel is an ordered, reliable stream of tags of at most COMMAND_SIZE_MAX bytes each.
"""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from wire import records, tag
from wire.errors import FormatError, PeerError
from wire.letters import Letters
from wire.loss import Ledger, Piece, Sent
from wire.pathsize import PathSize
from wire.ranges import RangeSet
from wire.rate import Pace
from wire.records import Ack, Control, Floor, Ping, Record, Segment
from wire.tag import Tag

COMMAND_SIZE_MAX: Final = 4096
COMMAND_WINDOW: Final = 1 << 15
"""Command bytes that may be under way; a receiver keeps no more than this out of order."""
COMMAND_BACKLOG_MAX: Final = 1 << 18
SEEN_RUNS_MAX: Final = 64
ACK_EVERY: Final = 4
FLOOR_EVERY: Final = 32
ACK_DELAY_S_MAX: Final = 1.0
EARLY_FRAMES: Final = 10
"""The first frames are acknowledged one by one: their spacing tells the peer the rate of the line."""
PROBES_MAX: Final = 8


class CommandOut:
    """The command channel's sending half: bytes are kept until they are acknowledged."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self._base = 0
        self._acked = RangeSet()
        self._todo = RangeSet()

    @property
    def has_more(self) -> bool:
        return len(self._todo) > 0

    @property
    def pending(self) -> int:
        """How many bytes are to be sent."""
        return self._todo.total

    @property
    def owed(self) -> int:
        """How many bytes were said and are not acknowledged in order: the peer must have them before any other."""
        return len(self._kept)

    @property
    def room(self) -> int:
        """How many bytes may still be said before the peer must acknowledge some."""
        return COMMAND_BACKLOG_MAX - len(self._kept)

    def say(self, said: Tag) -> None:
        raw = tag.encode(said)
        end = self._base + len(self._kept)
        self._kept += raw
        self._todo.add(end, end + len(raw))

    def take(self, size: int) -> Control | None:
        """Return the next bytes that are due, at most `size` of them."""
        start, end = next(iter(self._todo), (0, 0))
        end = min(end, start + size, self._base + COMMAND_WINDOW)
        if end <= start:
            return None
        self._todo.remove(start, end)
        return Control(start, bytes(self._kept[start - self._base : end - self._base]))

    def arrived(self, piece: Piece) -> None:
        self._acked.add(piece.offset, piece.offset + piece.size)
        self._todo.remove(piece.offset, piece.offset + piece.size)  # it may have been taken for lost
        if self._acked.covers(self._base, self._base + 1):
            end = next(iter(self._acked))[1]
            del self._kept[: end - self._base]
            self._base = end

    def lost(self, piece: Piece) -> None:
        again = RangeSet([(piece.offset, piece.offset + piece.size)])
        for start, end in self._acked:
            again.remove(start, end)
        for start, end in again:
            self._todo.add(start, end)


class CommandIn:
    """The command channel's receiving half: puts bytes in order and cuts them into tags."""

    def __init__(self) -> None:
        self._window = bytearray()
        self._have = RangeSet()
        self._base = 0

    def take(self, record: Control) -> list[Tag]:
        """Return the tags that are whole now. Raises PeerError."""
        start, end = record.offset, record.offset + len(record.data)
        if end > self._base + COMMAND_WINDOW + COMMAND_SIZE_MAX:
            raise PeerError(
                f"command bytes up to {end}, while {self._base} is the next; at most {COMMAND_WINDOW} ahead"
            )
        if end <= self._base:
            return []
        skip = max(self._base - start, 0)
        start += skip
        if len(self._window) < end - self._base:
            self._window.extend(bytes(end - self._base - len(self._window)))
        self._window[start - self._base : end - self._base] = record.data[skip:]
        self._have.add(start, end)
        return list(self._cut())

    def _cut(self) -> Iterable[Tag]:
        ready = next(iter(self._have), (0, 0))[1] if self._have.covers(self._base, self._base + 1) else self._base
        try:
            while (header := tag.parse_header(self._window[: ready - self._base])) is not None:
                if header.total > COMMAND_SIZE_MAX:
                    raise PeerError(f"a command of {header.total} bytes; at most {COMMAND_SIZE_MAX}")
                if header.total > ready - self._base:
                    return
                yield tag.decode(self._window[: header.total])
                del self._window[: header.total]
                self._base += header.total
                self._have.add(0, self._base)
        except FormatError as error:
            raise PeerError(f"the command channel is not a stream of tags: {error}") from error


class Manner(enum.Enum):
    """When the peer is told which frames arrived."""

    PROMPT = "soon, alone if need be"
    AT_ONCE = "as soon as the bearer lets anything go, and so for all that has come by then"
    WHEN_ASKED = "with what is sent anyway; alone only for a PING"
    RIDING = "with what is sent anyway"


POSTED: Final = frozenset({Manner.WHEN_ASKED, Manner.RIDING})
"""On bearers of messages."""


@dataclass
class Seen:
    """Which frames of the peer arrived, and when it must be told."""

    frames: RangeSet = field(default_factory=RangeSet)
    due_at: float | None = None
    _newest_at: float = 0.0
    waiting: int = 0
    manner: Manner = Manner.PROMPT

    @property
    def rides(self) -> bool:
        """An ACK goes with whatever goes now."""
        return self.due_at is not None or (self.manner in POSTED and self.waiting > 0)

    def behave(self, manner: Manner, now: float) -> None:
        """Another bearer asks for other manners."""
        if manner is not self.manner:
            self.manner = manner
            self.due_at = now if manner not in POSTED and self.waiting else None

    def note(self, counter: int, asks: bool, rtt_s: float, now: float, *, pings: bool = False) -> None:
        in_order = counter == self.frames.end
        self._newest_at = now if counter >= self.frames.end else self._newest_at
        self.frames.add(counter, counter + 1)
        if len(self.frames) > SEEN_RUNS_MAX:
            start, end = next(iter(self.frames))
            self.frames.remove(start, end)
        if not asks:
            return
        self.waiting += 1
        if self.manner in POSTED:
            self.due_at = now if pings and self.manner is Manner.WHEN_ASKED else self.due_at
            return
        at_once = (
            self.manner is Manner.AT_ONCE
            or pings
            or not in_order
            or counter < EARLY_FRAMES
            or self.waiting >= ACK_EVERY
        )
        wait = 0.0 if at_once else min(ACK_DELAY_S_MAX, rtt_s / 2)
        self.due_at = now + wait if self.due_at is None else min(self.due_at, now + wait)

    def forget_below(self, counter: int) -> None:
        self.frames.remove(0, min(counter, self.frames.end - 1))

    def tell(self, now: float) -> Ack:
        self.due_at, self.waiting = None, 0
        arrived_at = self._newest_at if self.manner is Manner.PROMPT else None
        return Ack(self.frames, max(now - self._newest_at, 0.0), arrived_at)


@dataclass(slots=True)
class Received:
    """What one payload brought."""

    asks: bool
    pings: bool = False
    tags: list[Tag] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    arrived: list[Piece] = field(default_factory=list)
    lost: list[Piece] = field(default_factory=list)


_ASKING: Final = (Ping, Control, Segment)


@dataclass(slots=True)
class Composed:
    """A payload and what to remember of it."""

    payload: bytes
    pieces: tuple[Piece, ...]
    asks: bool


class Flow:
    """Reliability of one session. `compose` and `note_sent` to send, `take` and `accept` to receive."""

    def __init__(self, mtu: int) -> None:
        self.ledger = Ledger()
        self.letters = Letters()
        self.pace = Pace(mtu)
        self.path = PathSize(mtu)
        self.seen = Seen()
        self.command = CommandOut()
        self._command_in = CommandIn()
        self._floor_told = 0
        self.last_counter = 0
        self.seen_by_peer = 0
        """The newest frame of ours that the peer is known to have."""

    @property
    def is_settled(self) -> bool:
        """Nothing of ours waits for an ACK."""
        return self.ledger.is_empty and self.letters.is_empty

    @property
    def rtt_s(self) -> float | None:
        """The round trip without what waits in queues, as far as is known; None before anything is."""
        return self.ledger.srtt_s and (self.pace.base_rtt_s or self.ledger.srtt_s)

    @property
    def owes(self) -> bool:
        """The peer still has to show that it has something of ours; a question alone is not that."""
        return self.command.owed > 0 or any(piece.channel is not None for piece in self.ledger.pieces())

    def begin(self, size: int, rtt_s: float, now: float) -> None:
        """The handshake told the first round trip."""
        self.ledger.guess_rtt(rtt_s)
        self.pace.begin(size, rtt_s, now)

    def take(self, payload: bytes, now: float) -> Received:
        """Read one payload. Raises PeerError. The frame counts as arrived only once `accept` is called."""
        found = records.decode(payload)
        received = Received(any(isinstance(record, _ASKING) for record in found))
        for record in found:
            match record:
                case Ping():
                    received.pings = True
                case Ack():
                    self._take_ack(record, received, now)
                case Floor(counter):
                    self.seen.forget_below(counter)
                case Control():
                    received.tags += self._command_in.take(record)
                case Segment():
                    received.segments.append(record)
        return received

    def accept(self, counter: int, received: Received, now: float) -> None:
        """The frame `counter` was taken in: it will be acknowledged."""
        self.seen.note(counter, received.asks, self.ledger.rtt_s, now, pings=received.pings)

    def settle(self, counter: int) -> list[Piece]:
        """The handshake's own frame arrived, as its answer shows; that says nothing about the round trip."""
        frame = self.ledger.settle(counter) or self.letters.settle(counter)
        return self._route_arrived([frame] if frame else [])

    def overdue(self, now: float) -> list[Piece]:
        """Return the pieces that time alone shows to be lost."""
        lost = self.ledger.overdue(now)
        self.pace.on_resolved(lost, None, self.last_counter, now)
        return self._route_lost(lost)

    def repeat_commands(self, size_max: int) -> None:
        """Let the command bytes go again that are under way, if they are few."""
        pieces = [piece for piece in self.ledger.pieces() if piece.channel is None]
        if sum(piece.size for piece in pieces) <= size_max:
            for piece in pieces:
                self.command.lost(piece)

    def on_silence(self, now: float) -> None:
        """Something is heard after a silence: nothing of what went before it is under way any more."""
        self.ledger.forgive()
        self.pace.on_silence(now)
        self.path.on_silence()

    def compose(
        self, limit: int, now: float, fill: Callable[[int], Segment | None] | None, ping: bool = False
    ) -> Composed:
        """Return the next payload of at most `limit` bytes; its `payload` is empty when there is nothing to say.

        `fill(room)` returns segments that take at most `room` bytes each as the last record, until it returns None.
        """
        out: list[Record] = []
        room = self._put(out, self.seen.tell(now), limit) if self.seen.rides else limit
        pieces = self._compose_commands(out, room)
        room = self._put_floor(out, limit - sum(map(records.encoded_size, out)))
        while fill is not None and room > 0:
            segment = fill(room)
            if segment is None:
                break
            out.append(segment)
            room -= records.encoded_size(segment)  # below zero: only the last record does without its length
            pieces.append(Piece(segment.channel, segment.offset, len(segment.data)))
        if ping and not pieces:
            room = self._put(out, Ping(), room)
        return Composed(records.encode(out), tuple(pieces), bool(pieces) or ping)

    def note_sent(self, counter: int, size: int, composed: Composed, now: float) -> None:
        """A composed payload went out as frame `counter`, with `size` bytes on the wire."""
        self.last_counter = counter
        if composed.asks:
            frame = Sent(counter, size, now, composed.pieces)
            self.ledger.note(frame)
            self.ledger.forget_probes(PROBES_MAX)
            self.pace.on_sent(frame, now)
            self.path.on_sent(size)

    def note_posted(self, counter: int, composed: Composed, now: float) -> list[Piece]:
        """A composed payload went out as a message. Returns pieces that are waited for no more."""
        self.last_counter = counter
        excess = self.letters.note(Sent(counter, 0, now, composed.pieces)) if composed.asks else []
        return self._route_lost(excess)

    def to_messages(self, manner: Manner, is_wanted: Callable[[Piece], bool], now: float) -> list[Piece]:
        """A message bearer carries on. Returns what shall go again over it, for to ask takes minutes."""
        self.seen.behave(manner, now)
        excess = self.letters.adopt(self.ledger.drain())
        return self._route_lost(excess + self.letters.give_up(is_wanted))

    def from_messages(self, now: float) -> None:
        """A bearer that answers at once carries on."""
        self.seen.behave(Manner.PROMPT, now)

    @property
    def _floor(self) -> int | None:
        return min((at for at in (self.ledger.floor, self.letters.floor) if at is not None), default=None)

    def _put_floor(self, out: list[Record], room: int) -> int:
        """Now and then let the peer forget what it need not tell again; without loss there is nothing to forget."""
        floor = self._floor
        if floor is None or floor < self._floor_told + FLOOR_EVERY or not self.ledger.frames_lost:
            return room
        self._floor_told = floor
        return self._put(out, Floor(floor), room)

    def _put(self, out: list[Record], record: Record, room: int) -> int:
        size = records.encoded_size(record)
        if size > room:
            return room
        out.append(record)
        return room - size

    def _compose_commands(self, out: list[Record], room: int) -> list[Piece]:
        control = self.command.take(room - 12) if room > 32 else None
        if control is None:
            return []
        out.append(control)
        return [Piece(None, control.offset, len(control.data))]

    def _take_ack(self, ack: Ack, received: Received, now: float) -> None:
        if ack.frames.end > self.last_counter + 1:
            raise PeerError(f"an ACK of frame {ack.frames.end - 1}; the last one sent is {self.last_counter}")
        self.seen_by_peer = max(self.seen_by_peer, ack.frames.end - 1)
        posted = self.letters.acknowledge(ack)
        received.arrived += self._route_arrived(posted.arrived)
        received.lost += self._route_lost(posted.lost)
        outcome = self.ledger.acknowledge(ack, now)
        self.pace.on_resolved(outcome.lost, outcome.echo, self.last_counter, now)
        received.arrived += self._route_arrived(outcome.arrived)
        received.lost += self._route_lost(outcome.lost)

    def _route_arrived(self, frames: list[Sent]) -> list[Piece]:
        for frame in frames:
            self.path.on_arrived(frame.size)
        pieces = [piece for frame in frames for piece in frame.pieces]
        for piece in pieces:
            if piece.channel is None:
                self.command.arrived(piece)
        return [piece for piece in pieces if piece.channel is not None]

    def _route_lost(self, frames: list[Sent]) -> list[Piece]:
        for frame in frames:
            self.path.on_lost(frame.size)
        pieces = [piece for frame in frames for piece in frame.pieces]
        for piece in pieces:
            if piece.channel is None:
                self.command.lost(piece)
        return [piece for piece in pieces if piece.channel is not None]
