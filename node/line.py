"""One session on its bearer: when a frame goes out, when to probe, what the next deadline is.

`Caller` and `Host` (`node/link.py`) own lines. A line has no doubt of its own about the far side: while something
is under way and nothing is heard, it sends a probe at a bounded interval (a caller for ever), and the first answer sets
everything going again at the rate that was before. Nothing of a line survives the process.
"""

from typing import Final

from node.exchange import Exchange
from node.post import Post
from node.progress import Counters, Meter
from node.seams import Bearer
from node.tracing import NO_TRACE, RECEIVED, SENT, Trace
from wire.flow import Composed
from wire.session import DATA_OVERHEAD, SHORT_OVERHEAD, SHORT_SPAN, Session

BURST_MAX: Final = 64
"""Frames sent in one go at most."""
PROBE_S_MIN: Final = 0.25
PROBE_S_MAX: Final = 2.5
FIRST_PROBE_S_MAX: Final = 8.0
PROBE_WINDOW_FRAMES: Final = 8
"""Probes carry new bytes until so many frames beyond the window are under way; then they are empty."""
COMMAND_EXTRA: Final = 2048
"""Bytes beyond the window that commands may take, so that they never wait behind a file."""
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
        self.meter = Meter()
        self.last_heard = now
        self.last_sent = now
        self._quiet_since = now
        self._stalled_since = now
        """Since when nothing of what is under way was resolved, whatever else was heard."""
        self._probed_at: float | None = None
        self._is_blocked = False
        self._tails: list[bytes] = []
        self._post: Post | None = None
        """How it goes on a message bearer; None on any other."""
        self.watches_peer = False
        """A caller also probes while it waits for a verdict: its address may have changed without its knowing."""

    def begin(self, bearer: Bearer, now: float) -> None:
        """Begin on the bearer that the handshake came over."""
        self.bearer = bearer
        self.exchange.on_bearer(bearer)
        if bearer.is_message:
            self._post = self._make_post(bearer, now)
            self.exchange.flow.seen.behave(self._post.manner, now)

    def bind(self, bearer: Bearer | None, now: float, *, is_new_way: bool = False) -> None:
        """Go on over another bearer. `is_new_way`: nothing that was measured before holds for it."""
        if bearer is self.bearer:
            return
        self.bearer = bearer
        if bearer is not None:
            self.exchange.on_bearer(bearer)
            self._change_manners(bearer, now)
        if self._post is not None:
            return
        if bearer is None or not (is_new_way or bearer.is_stream):
            return
        self.exchange.flow.ledger.forgive()
        self.exchange.flow.pace.on_bearer(bearer.mtu + bearer.overhead)
        if self._is_waiting():
            self._quiet_since = self._stalled_since = now - FIRST_PROBE_S_MAX
            self._probed_at = None

    def _change_manners(self, bearer: Bearer, now: float) -> None:
        if bearer.is_message:
            self._post = self._make_post(bearer, now)
            self.exchange.to_messages(self._post.manner, now)
            self._quiet_since = now
        elif self._post is not None:
            self._post = None
            self.exchange.flow.from_messages(now)

    def _make_post(self, bearer: Bearer, now: float) -> Post:
        return Post(self.exchange, bearer, self._limit, self._send, is_caller=self.watches_peer, now=now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> int | None:
        """Take a DATA frame and return its counter, None when it is not new. Raises AuthError, PeerError."""
        opened = self.session.open(frame)
        if opened is None:
            return None
        counter, payload = opened
        self._trace.frame(RECEIVED, bearer, frame, counter, payload)
        self.last_heard = self._quiet_since = now
        before, oldest = self._payload_bytes(), self.exchange.flow.ledger.floor
        self.exchange.receive(counter, payload, now)
        if oldest is None or oldest != self.exchange.flow.ledger.floor:
            self._stalled_since, self._probed_at = now, None
        self.meter.note(self._payload_bytes() - before, now)
        if self._post is not None:
            self._post.heard(now)
        return counter

    def waiting_since(self, now: float) -> float:
        """Since when an answer should have come; `now` when none is waited for."""
        quiet_since = self._quiet_since if self._post is None else self._post.waiting_since
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
        probe_at = self._probe_at()
        if probe_at is not None and probe_at <= now:
            self._probe(now)

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
        wishes = ack_at, flow.ledger.overdue_at, self._probe_at(), self.exchange.refresh_at()
        times += [at for at in wishes if at is not None]
        if not self._is_blocked and self.exchange.sender.has_segments and self._window_open():
            times.append(flow.pace.next_at)
        return min(times, default=None)

    def _payload_bytes(self) -> int:
        return self.exchange.sender.counts.arrived_bytes + self.exchange.receiver.counts.payload_bytes

    def _is_waiting(self) -> bool:
        exchange = self.exchange
        if self._post is not None:
            return self._post.is_waiting
        if not exchange.flow.ledger.is_empty or not exchange.flow.letters.is_empty:
            return True
        return self.watches_peer and (exchange.sender.is_waiting or bool(exchange.receiver.receivings))

    def _window_open(self) -> bool:
        flow = self.exchange.flow
        if flow.ledger.is_full:
            return False
        return flow.ledger.in_flight + self._frame_size() / 2 <= flow.pace.window

    def _frame_size(self) -> int:
        """Return the size of the next full frame on the wire."""
        assert self.bearer is not None  # noqa: S101 - asked only while there is a bearer
        return min(self.exchange.flow.pace.frame_size, self.bearer.mtu + self.bearer.overhead)

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
        has_segments = exchange.sender.has_segments
        is_open = self._window_open()
        if has_segments and (not is_open or flow.pace.next_at > now):
            flow.pace.note_limited()
        if is_open and flow.pace.next_at <= now and (has_segments or exchange.has_urgent):
            return exchange.compose(self._limit(), now, segments=True)
        if exchange.has_urgent and flow.ledger.in_flight <= flow.pace.window + COMMAND_EXTRA:
            return exchange.compose(self._limit(), now, segments=False)
        if flow.seen.due_at is not None and flow.seen.due_at <= now:
            return exchange.compose(self._limit(), now, segments=False)
        return None

    def _send(self, composed: Composed, now: float) -> None:
        assert self.bearer is not None  # noqa: S101 - as above
        flow = self.exchange.flow
        counter, frame = self.session.seal(composed.payload, is_short=self._is_short)
        size = len(frame) + self.bearer.overhead
        if composed.asks and flow.ledger.is_empty:
            self._quiet_since, self._stalled_since, self._probed_at = now, now, None
        self.exchange.note_sent(counter, size, composed, now, is_message=self._post is not None)
        self.last_sent = now
        self._tails = [*self._tails[1 - TAILS_MAX :], frame[-8:]]
        self.counters.frames_sent += 1
        self.counters.wire_sent += size
        self._trace.frame(SENT, self.bearer, frame, counter, composed.payload)
        self.bearer.send(frame)

    def say_all(self, now: float) -> None:
        """Send the ACK that is due at once: the process is about to end."""
        if self.exchange.flow.seen.due_at is not None and self._post is None:
            self.exchange.flow.seen.due_at = now
            self.pump(now)

    def _probe_at(self) -> float | None:
        if not self._is_waiting():
            return None
        if not self.watches_peer and (self._probed_at or 0.0) > self.last_heard + HOST_PATIENCE_S:
            return None
        rtt_s = self.exchange.flow.ledger.rtt_s
        if self._probed_at is None:
            return self._stalled_since + min(1.5 * rtt_s + PROBE_S_MIN, FIRST_PROBE_S_MAX)
        return self._probed_at + min(max(rtt_s, PROBE_S_MIN), PROBE_S_MAX)

    def _probe(self, now: float) -> None:
        flow = self.exchange.flow
        self._probed_at = now
        self.counters.probes += 1
        if self._is_blocked:
            return
        roomy = flow.ledger.in_flight < flow.pace.window + PROBE_WINDOW_FRAMES * self._frame_size()
        self._send(
            self.exchange.compose(self._limit(), now, segments=roomy and not flow.ledger.is_full, ping=True), now
        )
