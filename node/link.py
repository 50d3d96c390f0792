"""The two ends of a link: a `Caller` that begins and keeps trying, and a `Host` that serves many.

Both are synchronous objects, driven by a shell (`node/reactor.py`) or by a simulation: frames and the time go in,
frames go out through bearers. Nothing here survives the process, and nothing needs to: after a restart a new
handshake is made and the gap lists say what is still to come (`docs/protocol.md`). What arrives from strangers is
counted and dropped; only errors of our own disk come out of `receive`.
"""

import enum
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from node.exchange import Exchange
from node.line import Line
from node.progress import Counters, ObjectProgress, Progress
from node.receiving import ReceivingCounts
from node.seams import Bearer, Inbox, Outbox
from node.sending import SendingCounts
from wire import objects
from wire.errors import AuthError, PeerError
from wire.noise import KeyPair
from wire.objects import Answer, Custody, Receipt, Refusal
from wire.session import (
    HELLO_OVERHEAD,
    WELCOME_OVERHEAD,
    Call,
    FrameKind,
    HintCode,
    Session,
    make_hint,
    peek,
    read_hello,
    read_hint,
)

Entropy = Callable[[int], bytes]

EVENTS_MAX: Final = 1024
"""Events kept until they are fetched; then the oldest go."""
HELLO_FIRST_S: Final = 4.5
HELLO_AGAIN_S: Final = 2.5
EARLY_SIZE: Final = 600
"""A HELLO is this large at most, unless all that there is to send fits into one frame."""
DOUBT_S: Final = 30.0
DOUBT_HELLO_S: Final = 5.0
STREAM_DEAD_S: Final = 9.0
"""A stream that is silent for so long while something is under way is given up and opened anew."""
KEEP_ALIVE_S: Final = 25.0
PEER_ERROR_PAUSE_S: Final = 5.0
HALF_OPEN_MAX: Final = 64
HALF_OPEN_S: Final = 60.0
SESSIONS_MAX: Final = 4096
WELCOME_FACTOR: Final = 3
"""A WELCOME is at most so many times larger than the HELLO that asked for it."""
HINTS_PER_S: Final = 20.0
HELLOS_KEPT_MAX: Final = 1024


class Event(NamedTuple):
    """One thing that happened, for a log. `kind` is a key of EVENT_KINDS."""

    kind: str
    peer: bytes
    object_id: bytes
    text: str


EVENT_KINDS: Final = {
    "session": "a session was made",
    "bearer": "a bearer came or went",
    "silence": "nothing is heard",
    "sent": "an object has arrived at the peer",
    "received": "an object of the peer is here",
    "refused": "an object was refused",
    "stranger": "someone who is not let in",
    "denied": "the far side does not let us in",
    "peer-error": "the peer broke the protocol",
}


class _Events:
    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)

    def note(self, kind: str, peer: bytes, text: str, object_id: bytes = b"") -> None:
        self._events.append(Event(kind, peer, object_id, text))

    def fetch(self) -> list[Event]:
        found = list(self._events)
        self._events.clear()
        return found


@dataclass
class Tally:
    """Counts of one peer over all its sessions."""

    sent: SendingCounts = field(default_factory=SendingCounts)
    received: ReceivingCounts = field(default_factory=ReceivingCounts)
    counters: Counters = field(default_factory=Counters)


def _note_verdicts(events: _Events, line: Line) -> None:
    exchange = line.exchange
    for object_id, answer in exchange.sender.verdicts:
        kind = "refused" if isinstance(answer, Refusal) else "sent"
        events.note(kind, exchange.peer, f"{object_id.hex()} {_verdict_text(answer)}", object_id)
    for object_id, answer in exchange.receiver.finished:
        kind = "refused" if isinstance(answer, Refusal) else "received"
        events.note(kind, exchange.peer, f"{object_id.hex()} {_verdict_text(answer)}", object_id)
    exchange.sender.verdicts.clear()
    exchange.receiver.finished.clear()


def _verdict_text(answer: Answer) -> str:
    if isinstance(answer, Refusal):
        return f"is refused: {answer}"
    return "is in custody" if isinstance(answer, Custody) else "is received"


def _progress(line: Line | None, tally: Tally, now: float) -> Progress:
    sending: list[ObjectProgress] = []
    receiving: list[ObjectProgress] = []
    rate = 0.0
    if line is not None:
        rate, ahead = line.meter.rate(now), 0
        for s in sorted(line.exchange.sender.sendings.values(), key=lambda s: (s.offer.priority, s.channel)):
            ahead += s.offer.size - s.arrived.total
            sending.append(_object(s.offer, s.state.value, s.arrived.total, ahead / rate if rate else None))
        for r in line.exchange.receiver.receivings.values():
            left = r.offer.size - r.have.total
            receiving.append(_object(r.offer, "receiving", r.have.total, left / rate if rate else None))
        tally.counters.frames_lost = line.exchange.flow.ledger.frames_lost
    return Progress(
        connected=line is not None and line.bearer is not None,
        bearer=line.bearer.name if line is not None and line.bearer is not None else "",
        silence_s=now - line.last_heard if line is not None else 0.0,
        rtt_s=line.exchange.flow.ledger.srtt_s if line is not None else None,
        rate_bps=rate * 8,
        sending=sending,
        receiving=receiving,
        payload_sent=tally.sent.payload_bytes,
        payload_received=tally.received.payload_bytes,
        segments_sent=tally.sent.segments,
        segments_resent=tally.sent.resent,
        segments_twice=tally.sent.twice + tally.received.twice,
        counters=tally.counters,
    )


def _object(offer: objects.Offer, state: str, done: int, eta_s: float | None) -> ObjectProgress:
    kind = objects.KINDS.get(offer.kind, str(offer.kind))
    return ObjectProgress(offer.object_id.hex(), kind, offer.priority, state, offer.size, done, eta_s)


class CallerState(enum.Enum):
    """How a caller stands to its host."""

    CALLING = "calling"
    UP = "up"
    DOUBTING = "doubting"
    TOLD = "told that the session is gone"


class CallerEvent(enum.Enum):
    """What changes that."""

    WELCOME = "welcome"
    HEARD = "heard"
    SILENCE = "silence"
    HINT = "hint"
    BROKEN = "broken"


CALLER_TRANSITIONS: Final = {
    (CallerState.CALLING, CallerEvent.WELCOME): CallerState.UP,
    (CallerState.CALLING, CallerEvent.BROKEN): CallerState.CALLING,
    (CallerState.UP, CallerEvent.HEARD): CallerState.UP,
    (CallerState.UP, CallerEvent.SILENCE): CallerState.DOUBTING,
    (CallerState.UP, CallerEvent.HINT): CallerState.TOLD,
    (CallerState.UP, CallerEvent.BROKEN): CallerState.CALLING,
    (CallerState.DOUBTING, CallerEvent.HEARD): CallerState.UP,
    (CallerState.DOUBTING, CallerEvent.HINT): CallerState.TOLD,
    (CallerState.DOUBTING, CallerEvent.WELCOME): CallerState.UP,
    (CallerState.DOUBTING, CallerEvent.BROKEN): CallerState.CALLING,
    (CallerState.TOLD, CallerEvent.HEARD): CallerState.TOLD,  # sent before the host was started anew
    (CallerState.TOLD, CallerEvent.WELCOME): CallerState.UP,
    (CallerState.TOLD, CallerEvent.BROKEN): CallerState.CALLING,
}
HINTED: Final = frozenset({CallerState.UP, CallerState.DOUBTING})
"""Where a hint is heeded. A forged one costs a handshake, and nothing else."""


class Caller:
    """The side that begins. It calls for as long as it has a bearer, and keeps its session across bearers."""

    def __init__(
        self,
        identity: KeyPair,
        far_public: bytes,
        psk: bytes,
        outbox: Outbox,
        inbox: Inbox,
        entropy: Entropy,
        *,
        keep_alive_s: float | None = KEEP_ALIVE_S,
    ) -> None:
        self._identity, self._far_public, self._psk = identity, far_public, psk
        self._outbox, self._inbox, self._entropy = outbox, inbox, entropy
        self._keep_alive_s = keep_alive_s
        self.state = CallerState.CALLING
        self.tally = Tally()
        self._events = _Events()
        self._bearer: Bearer | None = None
        self._line: Line | None = None
        self._call: tuple[Call, Exchange] | None = None
        self._hello_at = float("-inf")
        self._hellos = 0
        self._hello_sent_at = 0.0
        self._dead_from = float("-inf")
        self.denials = 0
        self.last_heard: float | None = None

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """Go on over `bearer`; the one before is forgotten."""
        self._bearer, self._dead_from = bearer, now
        self._events.note("bearer", self._far_public, f"{bearer.name} is up")
        self._hello_at = now
        if self._line is not None:
            self._line.bind(bearer, now, is_new_way=True)
        else:
            self._call = None
        self.tick(now)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        """`bearer` is gone. The session stays."""
        if bearer is not self._bearer:
            return
        self._bearer = None
        self._events.note("bearer", self._far_public, f"{bearer.name} is down")
        if self._line is not None:
            self._line.bind(None, now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        """Take one frame."""
        counters = self.tally.counters
        counters.frames_received += 1
        counters.wire_received += len(frame) + bearer.overhead
        try:
            kind, index = peek(frame)
            if kind is FrameKind.WELCOME:
                self._on_welcome(index, frame, now)
            elif kind is FrameKind.DATA:
                self._on_data(index, frame, now)
            elif kind is FrameKind.HINT:
                self._on_hint(frame, now)
        except AuthError:
            counters.frames_refused += 1
        except PeerError as error:
            counters.frames_refused += 1
            self._break(error, now)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Do what is due."""
        bearer = self._bearer
        if bearer is None:
            return
        line = self._line
        if line is not None:
            if line.session.is_spent:
                self._change(CallerEvent.BROKEN)
                self._line = line = None
            else:
                self._watch(line, bearer, now)
                line.pump(now)
                _note_verdicts(self._events, line)
        if self.state is not CallerState.UP and self._hello_at <= now and self._bearer is bearer:
            self._hello(bearer, now)

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        if self._bearer is None:
            return None
        times = [] if self.state is CallerState.UP else [self._hello_at]
        if self._line is not None:
            at = self._line.deadline()
            times += [] if at is None else [at]
            if self._keep_alive_s is not None:
                times.append(self._line.last_sent + self._keep_alive_s)
        return min(times, default=None)

    def nudge(self, now: float) -> None:
        """The outbox has something new."""
        if self._line is not None:
            self._line.exchange.nudge()
        self.tick(now)

    def answer(self, object_id: bytes, answer: Receipt, now: float) -> None:
        """Give a receipt that came later, for an object that the host sent in this session."""
        if self._line is not None:
            self._line.exchange.answer(object_id, answer)
        self.tick(now)

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._events.fetch()

    def progress(self, now: float) -> Progress:
        """Return how far everything is."""
        return _progress(self._line, self.tally, now)

    def _change(self, event: CallerEvent) -> None:
        self.state = CALLER_TRANSITIONS[self.state, event]

    def _watch(self, line: Line, bearer: Bearer, now: float) -> None:
        """Doubt a session, and a stream, that should have been heard of."""
        waiting_since = max(line.waiting_since(now), self._dead_from)
        patience = max(DOUBT_S, 3 * line.exchange.flow.ledger.rtt_s)
        if self.state is CallerState.UP and now - waiting_since > patience:
            self._change(CallerEvent.SILENCE)
            self._hello_at = now
            self._events.note("silence", self._far_public, f"nothing heard for {now - line.last_heard:.0f} s")
        if bearer.is_stream and now - waiting_since > STREAM_DEAD_S:
            self._dead_from = now
            bearer.close()
        if self._keep_alive_s is not None and line.last_sent + self._keep_alive_s <= now:
            line.keep_alive(now)

    def _hello(self, bearer: Bearer, now: float) -> None:
        """Send the HELLO, the same one until it is answered."""
        if self._call is None or len(self._call[0].hello) > bearer.mtu:
            self._call = self._make_call(bearer, now)
            self._hellos = 0
        self._hellos += 1
        if self._hellos != 2:  # the second is most often too early: the answer is to the first then
            self._hello_sent_at = now
        first = HELLO_FIRST_S if self._hellos == 1 else HELLO_AGAIN_S
        self._hello_at = now + (DOUBT_HELLO_S if self._line is not None else first)
        if bearer.is_stream and self._line is None and self._hellos > 3:
            self._hellos = 0
            bearer.close()
            return
        counters = self.tally.counters
        counters.frames_sent += 1
        counters.wire_sent += len(self._call[0].hello) + bearer.overhead
        bearer.send(self._call[0].hello)

    def _make_call(self, bearer: Bearer, now: float) -> tuple[Call, Exchange]:
        size = bearer.mtu + bearer.overhead
        exchange = Exchange(self._far_public, self._outbox, self._inbox, size, self.tally.sent, self.tally.received)
        if self._line is None:
            composed = exchange.compose_early(bearer.mtu - HELLO_OVERHEAD, EARLY_SIZE - HELLO_OVERHEAD, now)
        else:  # the session may be sound: nothing goes twice on a doubt
            composed = exchange.compose(EARLY_SIZE - HELLO_OVERHEAD, now, segments=False)
        index = int.from_bytes(self._entropy(2), "big")
        call = Call(self._identity, self._far_public, self._psk, index, self._entropy(32), composed.payload)
        exchange.flow.note_sent(0, len(call.hello) + bearer.overhead, composed, now)
        return call, exchange

    def _on_welcome(self, index: int, frame: bytes, now: float) -> None:
        if self._call is None or self._call[0].index != index or self._bearer is None:
            return
        call, exchange = self._call
        session, payload = call.complete(frame)
        self._call = None
        line = Line(session, exchange, self.tally.counters, now)
        line.watches_peer = True
        exchange.flow.begin(len(call.hello) + self._bearer.overhead, now - self._hello_sent_at, now)
        exchange.settle(0)
        exchange.receive(0, payload, now)
        exchange.nudge()
        exchange.flow.seen.due_at = now  # the first frame of ours proves to the host that this is no replay
        self._line = line
        line.bearer = self._bearer
        self._change(CallerEvent.WELCOME)
        self.tally.counters.handshakes += 1
        self.denials, self.last_heard = 0, now
        self._events.note("session", self._far_public, f"session {session.index:04x} over {self._bearer.name}")

    def _on_data(self, index: int, frame: bytes, now: float) -> None:
        line = self._line
        if line is None or index != line.session.index or line.receive(frame, now) is None:
            return
        self.last_heard = now
        self._change(CallerEvent.HEARD)
        if self.state is CallerState.UP:
            self._call = None

    def _on_hint(self, frame: bytes, now: float) -> None:
        code, echo = read_hint(frame)
        if code is HintCode.NOT_LET_IN and self._call is not None and self._call[0].is_echo(echo):
            self.denials += 1
            self._events.note("denied", self._far_public, "the far side does not know our key, or not for this key")
        line = self._line if self.state in HINTED else None
        if code is HintCode.NO_SESSION and line is not None and line.knows_tail(echo):
            self._change(CallerEvent.HINT)
            self._hello_at = now

    def _break(self, error: PeerError, now: float) -> None:
        self._events.note("peer-error", self._far_public, str(error))
        self._line = self._call = None
        self._change(CallerEvent.BROKEN)
        self._hello_at = now + PEER_ERROR_PAUSE_S


@dataclass(frozen=True)
class Grant:
    """What a host knows of a caller that it lets in."""

    psk: bytes
    name: str


@dataclass
class _HalfOpen:
    """A session that was welcomed and has not yet proved that its HELLO was no replay."""

    line: Line
    hello: bytes
    welcome: bytes
    since: float


class Host:
    """The side that is called: one session for each caller, found by its index whatever its address."""

    def __init__(
        self,
        identity: KeyPair,
        authorize: Callable[[bytes], Grant | None],
        outbox_for: Callable[[bytes], Outbox],
        inbox: Inbox,
        entropy: Entropy,
        *,
        tell_strangers: bool = False,
    ) -> None:
        self._identity, self._authorize, self._outbox_for = identity, authorize, outbox_for
        self._inbox, self._entropy, self._tell_strangers = inbox, entropy, tell_strangers
        self._lines: dict[int, Line] = {}
        self._peers: OrderedDict[bytes, Line] = OrderedDict()
        self._half_open: OrderedDict[int, _HalfOpen] = OrderedDict()
        self._proved: OrderedDict[bytes, None] = OrderedDict()
        self.tallies: dict[bytes, Tally] = {}
        self._events = _Events()
        self._hints, self._hints_at = HINTS_PER_S, 0.0
        self.frames_refused = 0

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """Nothing is known of who is there until a frame comes."""

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        """Sessions over `bearer` wait for their caller to come back another way."""
        for line in self._lines.values():
            if line.bearer is bearer:
                line.bind(None, now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        """Take one frame from wherever."""
        try:
            kind, index = peek(frame)
            if kind is FrameKind.HELLO:
                self._on_hello(bearer, index, frame, now)
            elif kind is FrameKind.DATA:
                self._on_data(bearer, index, frame, now)
        except (AuthError, PeerError):
            self.frames_refused += 1

    def tick(self, now: float) -> None:
        """Do what is due."""
        for index in [i for i, half in self._half_open.items() if half.since + HALF_OPEN_S <= now]:
            self._drop_half_open(index)
        for line in list(self._lines.values()):
            if line.session.index not in self._half_open:
                line.pump(now)
                _note_verdicts(self._events, line)

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = [half.since + HALF_OPEN_S for half in self._half_open.values()]
        for index, line in self._lines.items():
            at = None if index in self._half_open else line.deadline()
            times += [] if at is None else [at]
        return min(times, default=None)

    def nudge(self, peer: bytes | None, now: float) -> None:
        """The outbox of `peer` (None: of any) has something new."""
        for public, line in self._peers.items():
            if peer is None or peer == public:
                line.exchange.nudge()
        self.tick(now)

    def answer(self, peer: bytes, object_id: bytes, answer: Receipt, now: float) -> None:
        """Give a receipt that came later, for an object that `peer` sent or offered in its session."""
        for index, line in list(self._lines.items()):
            if line.exchange.peer == peer:
                line.exchange.answer(object_id, answer)
                if index not in self._half_open:
                    line.pump(now)

    def drop(self, peer: bytes) -> None:
        """`peer` is not let in any more: its sessions end now."""
        for index in [i for i, line in self._lines.items() if line.exchange.peer == peer]:
            self._half_open.pop(index, None)
            del self._lines[index]
        self._peers.pop(peer, None)

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._events.fetch()

    def progress(self, now: float) -> dict[bytes, Progress]:
        """Return how far everything is, by peer."""
        return {peer: _progress(self._peers.get(peer), tally, now) for peer, tally in self.tallies.items()}

    def _on_hello(self, bearer: Bearer, far_index: int, frame: bytes, now: float) -> None:
        for half in self._half_open.values():
            if half.hello == frame:
                bearer.send(half.welcome)
                return
        if frame[3:35] in self._proved:
            return
        try:
            answering = read_hello(self._identity, frame, self._find_psk)
        except AuthError as error:
            self._events.note("stranger", b"", f"{bearer.name}: {error}")
            if self._tell_strangers:
                self._hint(bearer, far_index, HintCode.NOT_LET_IN, frame, now)
            raise
        tally = self._tally(answering.peer)
        size = bearer.mtu + bearer.overhead
        outbox = self._outbox_for(answering.peer)
        exchange = Exchange(answering.peer, outbox, self._inbox, size, tally.sent, tally.received)
        exchange.receive(0, answering.payload, now)
        room = min(bearer.mtu, WELCOME_FACTOR * len(frame)) - WELCOME_OVERHEAD
        composed = exchange.compose_welcome(room, now)
        session, welcome = answering.welcome(self._free_index(), self._entropy(32), composed.payload)
        exchange.flow.note_sent(0, len(welcome) + bearer.overhead, composed, now)
        line = Line(session, exchange, tally.counters, now)
        line.bearer = bearer
        self._add_half_open(_HalfOpen(line, frame, welcome, now))
        tally.counters.frames_sent += 1
        tally.counters.wire_sent += len(welcome) + bearer.overhead
        bearer.send(welcome)

    def _on_data(self, bearer: Bearer, index: int, frame: bytes, now: float) -> None:
        line = self._lines.get(index)
        if line is None:
            self._hint(bearer, 0, HintCode.NO_SESSION, frame, now)
            return
        try:
            counter = line.receive(frame, now)
        except PeerError as error:
            self._events.note("peer-error", line.exchange.peer, str(error))
            self._end(line)
            raise
        if counter is None:
            return
        line.counters.frames_received += 1
        line.counters.wire_received += len(frame) + bearer.overhead
        if index in self._half_open:
            self._prove(index, bearer, now)
        if counter == line.session.window.highest:
            line.bind(bearer, now)
        self._peers.move_to_end(line.exchange.peer)
        line.pump(now)
        _note_verdicts(self._events, line)

    def _prove(self, index: int, bearer: Bearer, now: float) -> None:
        """The first good frame: now, and not before, the session takes over from the one before."""
        half = self._half_open.pop(index)
        peer = half.line.exchange.peer
        before = self._peers.get(peer)
        if before is not None:
            self._lines.pop(before.session.index, None)
        self._peers[peer] = half.line
        self._proved[half.hello[3:35]] = None  # its ephemeral key: no two handshakes share one
        while len(self._proved) > HELLOS_KEPT_MAX:
            self._proved.popitem(last=False)
        while len(self._peers) > SESSIONS_MAX:
            self._end(next(iter(self._peers.values())))
        half.line.counters.handshakes += 1
        if half.line.exchange.flow.ledger.srtt_s is None:
            half.line.exchange.flow.begin(len(half.welcome) + bearer.overhead, now - half.since, now)
        self._events.note("session", peer, f"session {index:04x} over {bearer.name}")

    def _end(self, line: Line) -> None:
        self._lines.pop(line.session.index, None)
        self._half_open.pop(line.session.index, None)
        if self._peers.get(line.exchange.peer) is line:
            del self._peers[line.exchange.peer]

    def _add_half_open(self, half: _HalfOpen) -> None:
        if len(self._half_open) >= HALF_OPEN_MAX:
            self._drop_half_open(next(iter(self._half_open)))
        self._half_open[half.line.session.index] = half
        self._lines[half.line.session.index] = half.line

    def _drop_half_open(self, index: int) -> None:
        del self._half_open[index]
        del self._lines[index]

    def _find_psk(self, public: bytes) -> bytes | None:
        grant = self._authorize(public)
        return None if grant is None else grant.psk

    def _free_index(self) -> int:
        while (index := int.from_bytes(self._entropy(2), "big")) in self._lines:
            pass
        return index

    def _tally(self, peer: bytes) -> Tally:
        return self.tallies.setdefault(peer, Tally())

    def _hint(self, bearer: Bearer, index: int, code: HintCode, frame: bytes, now: float) -> None:
        self._hints = min(HINTS_PER_S, self._hints + (now - self._hints_at) * HINTS_PER_S)
        self._hints_at = now
        if self._hints >= 1.0:
            self._hints -= 1.0
            bearer.send(make_hint(index, code, frame))


__all__ = ["Caller", "CallerState", "Entropy", "Event", "Grant", "Host", "KeyPair", "Progress", "Session", "Tally"]
