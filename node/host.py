"""The host: the end of a link that is called, by many; it finds a session by its index, not its address (R16, R17).

Synchronous, as the caller. A session takes over from the one before only when its first good frame has arrived, so that
a first message that a listener plays again disturbs nothing. What strangers send is counted and dropped.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.entropy import Entropy
from node.exchange import Exchange
from node.line import Line
from node.post import HALF_OPEN_POST_S, OWED_MAX
from node.progress import Progress
from node.seams import Bearer, Inbox, Outbox
from node.tally import Event, Events, Tally, note_verdicts, progress_of
from node.tracing import NO_TRACE, RECEIVED, SENT, Trace
from wire.early import EarlyKey
from wire.errors import AuthError, PeerError
from wire.noise import KeyPair
from wire.objects import Receipt
from wire.session import CARRYING, WELCOME_OVERHEAD, FrameKind, HintCode, make_hint, peek, read_hello

HALF_OPEN_MAX: Final = 64
HALF_OPEN_OF_ONE_MAX: Final = 4
"""Of one caller: who begins a session after another drives out its own, not those of others."""
HALF_OPEN_S: Final = 60.0
SESSIONS_MAX: Final = 4096
WELCOME_FACTOR: Final = 3
"""A WELCOME is at most so many times larger than the HELLO that asked for it."""
HINTS_PER_S: Final = 20.0
HINT_MESSAGES_MAX: Final = 32
HINT_MESSAGES_PER_S: Final = 1 / 300
"""Over messages each hint is billed, and whoever forges a message has one sent. A fleet that comes back has enough."""
WELCOME_MESSAGES_MAX: Final = 8
WELCOME_MESSAGES_PER_S: Final = 1 / 900
"""To one caller: each is billed, and a HELLO that somebody has heard can be played again. A caller asks no more often
(`node.post.HELLO_POST_S`)."""
HELLOS_KEPT_MAX: Final = 1024
OPENING: Final = frozenset({FrameKind.HELLO, FrameKind.EARLY})
"""Frames that a trace is shown once they are opened."""


class _Allowance:
    """So many at once at most, and so many a second in the long run."""

    def __init__(self, most: float, per_s: float) -> None:
        self._most, self._per_s = most, per_s
        self._left, self._at = most, 0.0

    def take(self, now: float) -> bool:
        """Take one; False when there is none."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


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
    early: EarlyKey
    far_index: int
    heard: int
    """Bytes that came from there; at most WELCOME_FACTOR times as many go back before it has proved itself."""
    sent: int

    @property
    def ends_at(self) -> float:
        """Until when the first good frame is waited for."""
        return self.since + (HALF_OPEN_POST_S if self.is_message else HALF_OPEN_S)

    @property
    def is_message(self) -> bool:
        return self.line.bearer is not None and self.line.bearer.is_message


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
        trace: Trace = NO_TRACE,
    ) -> None:
        self._identity, self._authorize, self._outbox_for = identity, authorize, outbox_for
        self._inbox, self._entropy = inbox, entropy
        self.tells_strangers = tell_strangers
        """Whether who is not let in is told so, or met with silence."""
        self._lines: dict[int, Line] = {}
        self._peers: OrderedDict[bytes, Line] = OrderedDict()
        self._half_open: OrderedDict[int, _HalfOpen] = OrderedDict()
        self._proved: OrderedDict[bytes, None] = OrderedDict()
        self.tallies: dict[bytes, Tally] = {}
        self._trace = trace
        self._events = Events(trace)
        self._hints = _Allowance(HINTS_PER_S, HINTS_PER_S)
        self._hint_messages = _Allowance(HINT_MESSAGES_MAX, HINT_MESSAGES_PER_S)
        self._welcome_messages: dict[bytes, _Allowance] = {}
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
            if kind not in CARRYING and kind not in OPENING:
                self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            if kind is FrameKind.HELLO:
                self._on_hello(bearer, index, frame, now)
            elif kind is FrameKind.EARLY:
                self._on_early(bearer, index, frame, now)
            elif kind in CARRYING:
                self._on_data(bearer, index, frame, now)
        except (AuthError, PeerError):
            self.frames_refused += 1

    def tick(self, now: float) -> None:
        """Do what is due."""
        for index in [i for i, half in self._half_open.items() if half.ends_at <= now]:
            self._drop_half_open(index)
        for line in list(self._lines.values()):
            if line.session.index not in self._half_open:
                line.pump(now)
                note_verdicts(self._events, line)

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = [half.ends_at for half in self._half_open.values()]
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
        self._welcome_messages.pop(peer, None)

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._events.fetch()

    def progress(self, now: float) -> dict[bytes, Progress]:
        """Return how far everything is, by peer."""
        return {peer: progress_of(self._peers.get(peer), tally, now) for peer, tally in self.tallies.items()}

    def _on_hello(self, bearer: Bearer, far_index: int, frame: bytes, now: float) -> None:
        for half in self._half_open.values():
            if half.hello == frame:
                self._trace.frame(RECEIVED, bearer, frame, 0, b"")
                self._admit(half.line.exchange.peer, bearer, now)
                self._trace.frame(SENT, bearer, half.welcome, 0, b"")
                bearer.send(half.welcome)
                return
        if frame[3:35] in self._proved:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            return
        try:
            answering = read_hello(self._identity, frame, self._find_psk)
        except AuthError as error:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            self._events.note("stranger", b"", f"{bearer.name}: {error}")
            if self.tells_strangers:
                self._hint(bearer, far_index, HintCode.NOT_LET_IN, frame, now)
            raise
        self._trace.frame(RECEIVED, bearer, frame, 0, answering.payload)
        self._admit(answering.peer, bearer, now)
        tally = self._tally(answering.peer)
        size = bearer.mtu + bearer.overhead
        outbox = self._outbox_for(answering.peer)
        exchange = Exchange(answering.peer, outbox, self._inbox, size, tally.sent, tally.received)
        exchange.on_bearer(bearer)
        exchange.receive(0, answering.payload, now)
        room = min(bearer.mtu, WELCOME_FACTOR * len(frame)) - WELCOME_OVERHEAD
        composed = exchange.compose_welcome(room, now, is_message=bearer.is_message)
        session, welcome = answering.welcome(self._free_index(), self._entropy(32), composed.payload)
        exchange.note_sent(0, len(welcome) + bearer.overhead, composed, now, is_message=bearer.is_message)
        line = Line(session, exchange, tally.counters, now, self._trace)
        line.begin(bearer, now)
        early = EarlyKey(answering.early_key, far_index)
        self._add_half_open(_HalfOpen(line, frame, welcome, now, early, far_index, len(frame), len(welcome)))
        tally.counters.frames_sent += 1
        tally.counters.wire_sent += len(welcome) + bearer.overhead
        self._trace.frame(SENT, bearer, welcome, 0, composed.payload)
        bearer.send(welcome)

    def _on_early(self, bearer: Bearer, far_index: int, frame: bytes, now: float) -> None:
        """What follows a HELLO: whose it is, its seal tells."""
        for half in [half for half in self._half_open.values() if half.far_index == far_index]:
            try:
                counter, payload = half.early.open(frame)
            except AuthError:
                continue
            window = half.line.session.window
            if window.is_new(counter):
                window.mark(counter)
                self._trace.frame(RECEIVED, bearer, frame, counter, payload)
                self._take_early(half, counter, payload, len(frame), now)
            else:
                self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            return
        self._trace.frame(RECEIVED, bearer, frame, 0, b"")
        self._hint(bearer, far_index, HintCode.NO_SESSION, frame, now)

    def _take_early(self, half: _HalfOpen, counter: int, payload: bytes, size: int, now: float) -> None:
        try:
            half.line.take(counter, payload, now)
        except PeerError:
            self._drop_half_open(half.line.session.index)
            raise
        half.heard += size
        half.line.counters.frames_received += 1
        half.line.counters.wire_received += size + (half.line.bearer.overhead if half.line.bearer else 0)
        half.sent += half.line.answer(WELCOME_FACTOR * half.heard - half.sent, now)
        note_verdicts(self._events, half.line)

    def _on_data(self, bearer: Bearer, index: int, frame: bytes, now: float) -> None:
        line = self._lines.get(index)
        if line is None:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            self._hint(bearer, 0, HintCode.NO_SESSION, frame, now)
            return
        try:
            counter = line.receive(bearer, frame, now)
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
        before = line.bearer
        if bearer.is_message and bearer is not before and line.exchange.flow.command.owed > OWED_MAX:
            self._end(line)  # what it says in a new session is less than what it owes in this one
            self._hint(bearer, 0, HintCode.NO_SESSION, frame, now)
            return
        if counter == line.session.window.highest and bearer is not before:
            line.bind(bearer, now)
            if before is not None and before.is_stream:
                before.close()
        self._peers.move_to_end(line.exchange.peer)
        line.pump(now)
        note_verdicts(self._events, line)

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
        if half.line.exchange.flow.ledger.srtt_s is None and not bearer.is_message and not half.is_message:
            half.line.exchange.flow.begin(len(half.welcome) + bearer.overhead, now - half.since, now)
        self._events.note("session", peer, f"session {index:04x} over {bearer.name}")

    def _end(self, line: Line) -> None:
        self._lines.pop(line.session.index, None)
        self._half_open.pop(line.session.index, None)
        if self._peers.get(line.exchange.peer) is line:
            del self._peers[line.exchange.peer]

    def _add_half_open(self, half: _HalfOpen) -> None:
        of_this = [
            index for index, there in self._half_open.items() if there.line.exchange.peer == half.line.exchange.peer
        ]
        if len(of_this) >= HALF_OPEN_OF_ONE_MAX:
            self._drop_half_open(of_this[0])
        if len(self._half_open) >= HALF_OPEN_MAX:
            self._drop_half_open(next(iter(self._half_open)))
        self._half_open[half.line.session.index] = half
        self._lines[half.line.session.index] = half.line

    def _drop_half_open(self, index: int) -> None:
        del self._half_open[index]
        del self._lines[index]

    def _admit(self, peer: bytes, bearer: Bearer, now: float) -> None:
        """Let a HELLO be answered. Raises PeerError when more come over messages than a caller sends."""
        if bearer.is_message:
            fresh = _Allowance(WELCOME_MESSAGES_MAX, WELCOME_MESSAGES_PER_S)
            if not self._welcome_messages.setdefault(peer, fresh).take(now):
                raise PeerError("its HELLOs come over messages faster than it sends them: they are played again")

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
        if (self._hint_messages if bearer.is_message else self._hints).take(now):
            hint = make_hint(index, code, frame)
            self._trace.frame(SENT, bearer, hint, 0, b"")
            bearer.send(hint)
