"""One session on its bearer: when a frame goes out, when to probe, what the next deadline is.

`Caller` and `Host` (`node/link.py`) own lines. A line has no doubt of its own about the far side: while something
is under way and nothing is heard, it sends a probe at a bounded interval (a caller for ever), and the first answer sets
everything going again at the rate that was before. Nothing of a line survives the process.
"""

from typing import Final

from node.exchange import Exchange
from node.post import Post
from node.progress import Counters, Meter
from node.seams import Bearer, Clocked
from node.tracing import NO_TRACE, RECEIVED, SENT, Trace
from node.watch import Watch
from wire.errors import AuthError
from wire.flow import Composed, Manner
from wire.session import DATA_OVERHEAD, SHORT_OVERHEAD, SHORT_SPAN, Session

BURST_MAX: Final = 64
"""Frames sent in one go at most."""
CLOCKED_RTT_S: Final = 4.0
ANSWER_SIZE_MIN: Final = 64
PING_SIZE: Final = 24
"""A frame with a PING, its bearer's overhead aside."""
COMMAND_EXTRA: Final = 2048
"""Bytes beyond the window that commands may take, so that they never wait behind a file."""
REPEATED_SIZE_MAX: Final = 200
COPIED_LOSS: Final = 0.06
TAILS_MAX: Final = 32
HOST_PATIENCE_S: Final = 60.0
"""A host probes a silent caller for so long; then it waits to be called, for a caller that has gone never answers."""


class Line:
    """One session, its exchange, and the bearer that last carried a good frame."""

    def __init__(
        self, session: Session, exchange: Exchange, counters: Counters, now: float, trace: Trace = NO_TRACE
    ) -> None:
        self.session, self.exchange, self.counters, self._trace = session, exchange, counters, trace
        self.bearer: Bearer | None = None
        self._clock: Clocked | None = None
        """The bearer again, when it has a clock of its own. Asked once: to ask a Protocol takes 8 to 25 us."""
        self.meter = Meter()
        self.last_heard = now
        self.last_sent = now
        self._watch = Watch(now)
        self._is_blocked = False
        self._tails: list[bytes] = []
        self._post: Post | None = None
        """How it goes on a message bearer; None on any other."""
        self._is_repeated = False
        """The tail has gone a second time, and nothing was heard since: a third would go into a silence."""
        self._fed_at_counter = 0
        """The number of our next frame when payload came last."""
        self.watches_peer = False
        """A caller also probes while it waits for a verdict: its address may have changed without its knowing."""

    def begin(self, bearer: Bearer, now: float) -> None:
        """Begin on the bearer that the handshake came over."""
        self._hold(bearer)
        self.meter.note(0, now)
        self.exchange.on_bearer(bearer)
        if bearer.is_message:
            self._post = self._make_post(bearer, now)
            self.exchange.flow.seen.behave(self._post.manner, now)
        elif self._clock is not None:
            self.exchange.flow.seen.behave(Manner.AT_ONCE, now)

    def _hold(self, bearer: Bearer | None) -> None:
        self.bearer = bearer
        self._clock = bearer if isinstance(bearer, Clocked) else None

    def bind(self, bearer: Bearer | None, now: float, *, is_new_way: bool = False) -> None:
        """Go on over another bearer. `is_new_way`: nothing that was measured before holds for it."""
        if bearer is self.bearer:
            return
        self._hold(bearer)
        if bearer is not None:
            self.exchange.on_bearer(bearer)
            self._change_manners(bearer, now)
            self.exchange.flow.path.begin(bearer.mtu + bearer.overhead)
        if self._post is not None:
            return
        if bearer is None or not (is_new_way or bearer.is_stream):
            return
        self.exchange.flow.ledger.forgive()
        self.exchange.flow.pace.on_bearer(bearer.mtu + bearer.overhead)
        if self._is_waiting():
            self._watch.at_once(now)

    def _change_manners(self, bearer: Bearer, now: float) -> None:
        if bearer.is_message:
            self._post = self._make_post(bearer, now)
            self.exchange.to_messages(self._post.manner, now)
            self._watch.heard_at = now
        elif self._post is not None:
            self._post = None
            self.exchange.flow.from_messages(now)
        if not bearer.is_message:
            manner = Manner.PROMPT if self._clock is None else Manner.AT_ONCE
            self.exchange.flow.seen.behave(manner, now)

    def _make_post(self, bearer: Bearer, now: float) -> Post:
        return Post(self.exchange, bearer, self._limit, self._send, is_caller=self.watches_peer, now=now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> int | None:
        """Take a DATA frame and return its counter, None when it is not new. Raises AuthError, PeerError."""
        try:
            opened = self.session.open(frame)
        except AuthError:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            raise
        if opened is None:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            return None
        self._trace.frame(RECEIVED, bearer, frame, *opened)
        self.take(*opened, now)
        return opened[0]

    def take(self, counter: int, payload: bytes, now: float) -> None:
        """Take what a frame held. Raises PeerError."""
        flow = self.exchange.flow
        if self._watch.on_heard(now):  # what was under way before the silence is gone or through
            flow.on_silence(now)
        self.last_heard, self._is_repeated = now, False
        before, oldest = self._payload_bytes(), flow.ledger.floor
        self.exchange.receive(counter, payload, now)
        if oldest is None or oldest != flow.ledger.floor:
            self._watch.on_resolved(now)
        if not (self.watches_peer or flow.ledger.is_empty or flow.owes):
            flow.ledger.drain()  # only questions are left, and whoever called may be gone
        fed = self._payload_bytes() - before
        if fed:
            self._fed_at_counter = self.session.next_counter
        self.meter.note(fed, now)
        if self._post is not None:
            self._post.heard(now)

    def waiting_since(self, now: float) -> float:
        """Since when an answer should have come; `now` when none is waited for."""
        quiet_since = self._watch.heard_at if self._post is None else self._post.waiting_since
        return quiet_since if self._is_waiting() else now

    def knows_tail(self, tail: bytes) -> bool:
        """Tell whether one of the last frames sent ends so: a hint about it is worth a look."""
        return tail in self._tails

    def pump(self, now: float) -> None:
        """Send what may be sent now."""
        if self.bearer is None or self.session.is_spent:
            return
        if self._post is not None:
            self._post.pump(now)
            return
        overdue_at = self.exchange.flow.ledger.overdue_at
        if overdue_at is not None and overdue_at <= now:
            self.exchange.overdue(now)
        self.exchange.refresh(now)
        for _ in range(BURST_MAX):
            composed = self._next(now)
            if composed is None or not composed.payload:
                break
            self._send(composed, now)
        tail_at, probe_at = self._tail_at(), self._probe_at()
        if probe_at is not None and probe_at <= now:
            self._probe(now)
        elif tail_at is not None and tail_at <= now:
            self._at_tail(now)

    def _at_tail(self, now: float) -> None:
        """Nothing later shows what is lost: ask, or where much is lost let it all go again, for the line is idle."""
        if self.exchange.flow.pace.overflow.usual_loss > COPIED_LOSS and not self._is_repeated:
            self._is_repeated = True
            self.exchange.repeat()
        if not self.exchange.sender.has_segments:
            self.exchange.flow.repeat_commands(REPEATED_SIZE_MAX)
            self._send(self.exchange.compose(self._limit(), now, segments=False, ping=True), now, is_tail=True)

    def answer(self, size_max: int, now: float) -> int:
        """Say what is due, in one frame of so many bytes at most, and return its size: the far side is not proved."""
        if size_max < ANSWER_SIZE_MIN or (self.exchange.flow.seen.due_at is None and not self.exchange.has_urgent):
            return 0
        return self._send(self.exchange.compose(min(self._limit(), size_max - DATA_OVERHEAD), now, segments=False), now)

    def keep_alive(self, now: float) -> None:
        """Let the far side and what lies between know that we are here."""
        self._send(self.exchange.compose(self._limit(), now, segments=False, ping=True), now)

    def deadline(self) -> float | None:
        """When `pump` wants to be called again."""
        if self.bearer is None or self.session.is_spent:
            return None
        if self._post is not None:
            return self._post.deadline()
        flow, times = self.exchange.flow, []
        ack_at = None if self._is_blocked else flow.seen.due_at  # it waits for the bearer, which will say so
        wishes = ack_at, flow.ledger.overdue_at, self._probe_at(), self._tail_at(), self.exchange.refresh_at()
        times += [at for at in wishes if at is not None]
        is_still = self._is_blocked or self._watch.is_silent
        if not is_still and self.exchange.sender.has_segments and self._window_open():
            times.append(self._next_at())
        return min(times, default=None)

    def _payload_bytes(self) -> int:
        return self.exchange.sender.counts.arrived_bytes + self.exchange.receiver.counts.payload_bytes

    def _is_waiting(self) -> bool:
        exchange = self.exchange
        if self._post is not None:
            return self._post.is_waiting
        if not exchange.flow.is_settled:
            return True
        return exchange.sender.is_waiting or bool(exchange.receiver.receivings)

    def _window_open(self) -> bool:
        flow = self.exchange.flow
        if flow.ledger.is_full or self._clock is not None:
            return not flow.ledger.is_full
        return flow.ledger.in_flight + self._frame_size() / 2 <= flow.pace.window

    def _frame_size(self) -> int:
        """Return the size of the next full frame on the wire."""
        assert self.bearer is not None  # noqa: S101 - asked only while there is a bearer
        pace, size_max = self.exchange.flow.pace, self.bearer.mtu + self.bearer.overhead
        if not self.bearer.is_stream:
            size_max = min(size_max, self.exchange.flow.path.next_size)
        if self._clock is not None:
            return min(pace.frame_size_at(self._clock.rate_bytes_s), size_max)
        return min(pace.frame_size, size_max)

    def _next_at(self) -> float:
        """When the pace lets the next segment go."""
        return self.exchange.flow.pace.next_at if self._clock is None else float("-inf")

    def _limit(self) -> int:
        assert self.bearer is not None  # noqa: S101 - as above
        if self._post is not None:
            return self.bearer.mtu - (SHORT_OVERHEAD if self._is_short else DATA_OVERHEAD)
        return self._frame_size() - self.bearer.overhead - DATA_OVERHEAD

    @property
    def _is_short(self) -> bool:
        is_near = self.session.next_counter <= self.exchange.flow.seen_by_peer + SHORT_SPAN
        return self._post is not None and is_near

    def _next(self, now: float) -> Composed | None:
        """Return what goes out now: segments when window and pace allow, else commands, else a due ACK."""
        assert self.bearer is not None  # noqa: S101 - as above
        flow, exchange = self.exchange.flow, self.exchange
        self._is_blocked = self.bearer.room() < self._frame_size()
        if self._is_blocked:
            return None
        has_segments = exchange.sender.has_segments and not self._watch.is_silent
        is_open = self._window_open()
        is_due = self._next_at() <= now
        if has_segments and not (is_open and is_due):
            flow.pace.note_limited()
        overtakes = has_segments and exchange.sender.has_overtaking  # it shares no frame with a file: that takes time
        if overtakes:
            flow.pace.note_urgent(now)
        if is_open and is_due and not overtakes and (has_segments or exchange.has_urgent):
            return exchange.compose(self._limit(), now, segments=True)
        if (overtakes or exchange.has_urgent) and flow.ledger.in_flight <= flow.pace.window + COMMAND_EXTRA:
            return exchange.compose(self._limit(), now, segments=False, overtaking=overtakes)
        if flow.seen.due_at is not None and flow.seen.due_at <= now:
            return exchange.compose(self._limit(), now, segments=False)
        return None

    def _send(self, composed: Composed, now: float, *, is_tail: bool = False) -> int:
        assert self.bearer is not None  # noqa: S101 - as above
        flow = self.exchange.flow
        counter, frame = self.session.seal(composed.payload, is_short=self._is_short)
        size = len(frame) + self.bearer.overhead
        if composed.asks:
            self._watch.on_asked(now, is_first=flow.ledger.is_empty, is_tail=is_tail or not composed.pieces)
        self.exchange.note_sent(counter, size, composed, now, is_message=self._post is not None)
        self.last_sent = now
        self._tails = [*self._tails[1 - TAILS_MAX :], frame[-8:]]
        self.counters.frames_sent += 1
        self.counters.wire_sent += size
        self._trace.frame(SENT, self.bearer, frame, counter, composed.payload)
        self.bearer.send(frame)
        return len(frame)

    def say_all(self, now: float) -> None:
        """Send the ACK that is due at once: the process is about to end."""
        if self.exchange.flow.seen.due_at is not None and self._post is None:
            self.exchange.flow.seen.due_at = now
            self.pump(now)

    def _probe_at(self) -> float | None:
        if not self._is_waiting():
            return None
        if not self.watches_peer and not self._is_patient():
            return None
        rtt_s = self.exchange.flow.ledger.rtt_s
        if self._clock is not None:  # nothing can be heard while it is our turn
            rtt_s = max(rtt_s, CLOCKED_RTT_S)
        return self._watch.probe_at(rtt_s, self._ping_s())

    def _is_patient(self) -> bool:
        """Tell whether a host asks. A caller that has heard us since it sent its last segment holds the next back."""
        if (self._watch.probed_at or 0.0) > self.last_heard + HOST_PATIENCE_S:
            return False
        is_held_back = self.exchange.flow.seen_by_peer >= self._fed_at_counter > 0
        return not is_held_back or self.exchange.sender.is_waiting or not self.exchange.flow.is_settled

    def _tail_at(self) -> float | None:
        flow = self.exchange.flow
        if flow.ledger.is_empty or self.exchange.sender.has_segments or self._watch.is_silent or self._is_blocked:
            return None
        bearer = self.bearer
        if bearer is None or bearer.is_stream or bearer.is_message or self._clock is not None:
            return None
        return self._watch.tail_at(flow.ledger.rtt_s)

    def _ping_s(self) -> float:
        """How long a PING takes on the line."""
        rate = self.exchange.flow.pace.rate_bytes_s
        return (PING_SIZE + self.bearer.overhead) / rate if self.bearer is not None and rate else 0.0

    def _probe(self, now: float) -> None:
        """Ask; a host that has nothing to ask shows that it is there, so that the end of an outage is heard sooner."""
        self._watch.on_probed(now)
        self.counters.probes += 1
        if self._is_blocked:
            return
        exchange = self.exchange
        if self.watches_peer or exchange.sender.is_waiting or not exchange.flow.is_settled:
            self.keep_alive(now)
        else:
            exchange.flow.seen.due_at = now
            self._send(exchange.compose(self._limit(), now, segments=False), now)
