"""The caller: the end of a link that begins, keeps trying, and keeps its session across bearers (R13, R14, R17).

Synchronous: frames and the time go in, frames go out through a bearer; `docs/protocol.md` shows its states. What comes
from strangers is counted and dropped; only errors of our own disk come out of `receive`.
"""

import enum
from dataclasses import dataclass
from typing import Final

from node.admission import Admits, admits_usually
from node.entropy import Entropy
from node.exchange import Exchange
from node.line import Line
from node.post import BLOCKED_S, CHECKS_S, DOUBT_POST_S, OWED_MAX, hello_pause_s, look_into_mailbox
from node.progress import Progress
from node.seams import Bearer, Inbox, Outbox
from node.tally import Event, Events, Tally, note_verdicts, progress_of
from node.tracing import NO_TRACE, RECEIVED, SENT, Trace
from wire.early import EARLY_FRAMES_MAX, EarlyKey
from wire.errors import AuthError, PeerError
from wire.noise import KeyPair
from wire.objects import Offer, Receipt
from wire.pathsize import LEAST_SIZE, SAFE_SIZE
from wire.session import CARRYING, DATA_OVERHEAD, HELLO_OVERHEAD, Call, FrameKind, HintCode, peek, read_hint

HELLO_FIRST_S: Final = 2.4
HELLO_RATE: Final = 300
"""The first HELLO goes again after HELLO_FIRST_S and its own time at so many bytes a second: a satellite call."""
HELLO_AGAIN_S: Final = 2.5
HELLO_AGAIN_S_MAX: Final = 5.0
HELLO_GROWTH: Final = 1.25
HELLO_SOONER_S: Final = 0.5
"""When the host is heard without having welcomed us, the HELLO goes again, but not sooner than this."""
EARLY_SIZE: Final = 280
"""A HELLO is this large at most, unless all that there is to send fits into one frame."""
EARLY_FLIGHT: Final = 6400
"""What goes out before anything is known of the line, with all headers: a round trip of GPRS, a modem's queue."""
SMALLER_AFTER: Final = 3
"""After so many HELLOs without an answer they become small enough for any path."""
DOUBT_S: Final = 30.0
DOUBT_HELLO_S: Final = 5.0
STREAM_DEAD_S: Final = 9.0
"""A stream that is silent for so long while something is under way is given up and opened anew."""
STREAM_HELLOS_MAX: Final = 3
KEEP_ALIVE_S: Final = 25.0
PEER_ERROR_PAUSE_S: Final = 5.0


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


@dataclass
class _Calling:
    """A handshake that waits for its WELCOME, and the exchange that has begun with it."""

    call: Call
    exchange: Exchange
    early: list[bytes]
    """What goes out behind the HELLO, once."""
    payloads: list[bytes]
    """What the HELLO and those hold, for the trace."""
    next_counter: int
    is_message: bool
    """It was made for a message bearer: it offers what may go there, and nothing follows it."""

    def knows_tail(self, tail: bytes) -> bool:
        """Tell whether a hint is about one of our EARLY frames."""
        return any(frame.endswith(tail) for frame in self.early)


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
        admits: Admits = admits_usually,
        trace: Trace = NO_TRACE,
    ) -> None:
        self._identity, self._far_public, self._psk = identity, far_public, psk
        self._outbox, self._inbox, self._entropy = outbox, inbox, entropy
        self._keep_alive_s = keep_alive_s
        self.admits = admits
        """Which objects may go over which bearer; asked at each bearer and each nudge."""
        self.state = CallerState.CALLING
        self.tally = Tally()
        self._trace = trace
        self._events = Events(trace)
        self._bearer: Bearer | None = None
        self._line: Line | None = None
        self._call: _Calling | None = None
        self._hello_at = float("-inf")
        self._hellos = 0
        self._checks, self._check_at = 0, float("inf")
        """Looks into the mailbox of a message bearer for the answer to a HELLO, and when the next is due."""
        self._hello_sent_at = 0.0
        self._answer_s_max = float("inf")
        """An answer came so long after the first HELLO: the round trip takes no longer."""
        self._dead_from = float("-inf")
        self.denials = 0
        self.last_heard: float | None = None

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """Go on over `bearer`; the one before is forgotten."""
        self._bearer, self._dead_from = bearer, now
        self._events.note("bearer", self._far_public, f"{bearer.name} is up")
        self._hello_at, self._check_at = now, float("inf")
        if bearer.is_message and self._line is not None and self._line.exchange.flow.command.owed > OWED_MAX:
            self._events.note("session", self._far_public, "the session owes too much to go on over messages")
            self._line = self._call = None
            self._change(CallerEvent.BROKEN)
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
            if kind not in CARRYING and kind is not FrameKind.WELCOME:
                self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            if kind is FrameKind.WELCOME:
                self._on_welcome(bearer, index, frame, now)
            elif kind in CARRYING:
                self._on_data(bearer, index, frame, now)
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
                if self._trusts(bearer):
                    line.pump(now)
                note_verdicts(self._events, line)
        if self.state is CallerState.UP or self._bearer is not bearer:
            return
        if bearer.is_message:
            self._post_hello(bearer, now)
        elif self._hello_at <= now:
            self._hello(bearer, now)

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        if self._bearer is None:
            return None
        times = [] if self.state is CallerState.UP else [self._hello_at, self._check_at]
        if self._line is not None:
            at = self._line.deadline() if self._trusts(self._bearer) else None
            times += [] if at is None else [at]
            if not self._bearer.is_message and self._keep_alive_s is not None:
                times.append(self._line.last_sent + self._keep_alive_s)
            elif self._bearer.is_message and self.state is CallerState.UP:
                times.append(max(self._line.waiting_since(float("inf")), self._dead_from) + DOUBT_POST_S)
        return min((at for at in times if at != float("inf")), default=None)

    def nudge(self, now: float) -> None:
        """The outbox has something new."""
        if self._line is not None:
            self._line.exchange.nudge()
        if self._hello_at == float("inf"):
            self._hello_at = now
        self.tick(now)

    def answer(self, object_id: bytes, answer: Receipt, now: float) -> None:
        """Give a receipt that came later, for an object that the host sent in this session."""
        if self._line is not None:
            self._line.exchange.answer(object_id, answer)
        self.tick(now)

    def close(self, now: float) -> None:
        """Say what is due, so that the host need not ask for it; then the caller may be forgotten."""
        if self._line is not None:
            self._line.say_all(now)

    def events(self) -> list[Event]:
        """Return what happened since the last call."""
        return self._events.fetch()

    def progress(self, now: float) -> Progress:
        """Return how far everything is."""
        return progress_of(self._line, self.tally, now)

    def _may_go(self, offer: Offer, bearer: Bearer) -> bool:
        return self.admits(offer, bearer)

    def _trusts(self, bearer: Bearer) -> bool:
        """Tell whether the old session may go on speaking: over messages only while nothing speaks against it."""
        return self.state is CallerState.UP or not bearer.is_message

    def _change(self, event: CallerEvent) -> None:
        self.state = CALLER_TRANSITIONS[self.state, event]

    def _watch(self, line: Line, bearer: Bearer, now: float) -> None:
        """Doubt a session, and a stream, that should have been heard of."""
        waiting_since = max(line.waiting_since(now), self._dead_from)
        patience = DOUBT_POST_S if bearer.is_message else max(DOUBT_S, 3 * line.exchange.flow.ledger.rtt_s)
        if self.state is CallerState.UP and now >= waiting_since + patience:
            self._change(CallerEvent.SILENCE)
            self._hello_at = now
            self._events.note("silence", self._far_public, f"nothing heard for {now - line.last_heard:.0f} s")
        if bearer.is_stream and now - waiting_since > STREAM_DEAD_S:
            self._dead_from = now
            bearer.close()
        if self._keep_alive_s is not None and not bearer.is_message and line.last_sent + self._keep_alive_s <= now:
            line.keep_alive(now)

    def _post_hello(self, bearer: Bearer, now: float) -> None:
        """Send the HELLO as a message, when there is anything to say; look for its answer now and then."""
        if self._check_at <= now:
            self._checks += 1
            self._check_at = now + CHECKS_S[self._checks] if self._checks < len(CHECKS_S) else float("inf")
            look_into_mailbox(bearer)
        if self._hello_at > now:
            return
        if not any(self.admits(offer, bearer) for offer in self._outbox.pending()):
            self._hello_at = float("inf")  # a nudge brings it back
        elif bearer.room() < bearer.mtu:
            self._hello_at = now + BLOCKED_S
        else:
            self._hello(bearer, now)
            self._hello_at = now + hello_pause_s(self._hellos)
            self._checks, self._check_at = 0, now + CHECKS_S[0]

    def _hello(self, bearer: Bearer, now: float) -> None:
        """Send the HELLO, the same one until it is answered."""
        is_new = self._call is None or not self._suits(self._call, bearer) or self._is_too_large()
        if self._call is None or is_new:
            self._call = self._make_call(bearer, now)
            self._hellos, self._hello_sent_at, self._answer_s_max = 0, now, float("inf")
        self._hellos += 1
        self._hello_at = now + (DOUBT_HELLO_S if self._line is not None else self._hello_pause_s(bearer))
        if bearer.is_stream and self._line is None and self._hellos > STREAM_HELLOS_MAX:
            self._hellos = 0
            bearer.close()
            return
        for counter, frame in enumerate((self._call.call.hello, *(self._call.early if is_new else ()))):
            self.tally.counters.frames_sent += 1
            self.tally.counters.wire_sent += len(frame) + bearer.overhead
            self._trace.frame(SENT, bearer, frame, counter, self._call.payloads[counter])
            bearer.send(frame)

    def _suits(self, calling: _Calling, bearer: Bearer) -> bool:
        """Tell whether a HELLO that was made for one bearer may go over this one."""
        return calling.is_message == bearer.is_message and len(calling.call.hello) <= bearer.mtu

    def _hello_pause_s(self, bearer: Bearer) -> float:
        """How long an answer is waited for: the line may be slow, and HELLOs that go again must not fill it."""
        assert self._call is not None  # noqa: S101 - there is a HELLO
        if self._hellos == 1:
            return HELLO_FIRST_S + (len(self._call.call.hello) + bearer.overhead) / HELLO_RATE
        return min(HELLO_AGAIN_S * HELLO_GROWTH ** (self._hellos - 2), HELLO_AGAIN_S_MAX)

    def _is_too_large(self) -> bool:
        """Tell whether HELLOs go unanswered that a narrow path would not take."""
        return self._hellos == SMALLER_AFTER and self._call is not None and len(self._call.call.hello) > EARLY_SIZE

    def _make_call(self, bearer: Bearer, now: float) -> _Calling:
        size = bearer.mtu + bearer.overhead
        exchange = Exchange(
            self._far_public,
            self._outbox,
            self._inbox,
            size,
            self.tally.sent,
            self.tally.received,
            admits=self._may_go,
        )
        exchange.on_bearer(bearer)
        safe = min(bearer.mtu, (SAFE_SIZE if self._hellos < SMALLER_AFTER else LEAST_SIZE) - bearer.overhead)
        if self._line is None or bearer.is_message:
            size_if_more = bearer.mtu if bearer.is_message else EARLY_SIZE  # nothing follows it over messages
            composed = exchange.compose_early(safe - HELLO_OVERHEAD, size_if_more - HELLO_OVERHEAD, now)
        else:  # the session may be sound: nothing goes twice on a doubt
            composed = exchange.compose(EARLY_SIZE - HELLO_OVERHEAD, now, segments=False)
        index = int.from_bytes(self._entropy(2), "big")
        call = Call(self._identity, self._far_public, self._psk, index, self._entropy(32), composed.payload)
        exchange.note_sent(0, len(call.hello) + bearer.overhead, composed, now, is_message=bearer.is_message)
        calling = _Calling(call, exchange, [], [composed.payload], 1, bearer.is_message)
        if self._line is None and not bearer.is_message:
            self._add_early(calling, bearer, safe, now)
        exchange.end_early()
        return calling

    def _add_early(self, calling: _Calling, bearer: Bearer, safe: int, now: float) -> None:
        """Let more than the HELLO go before the answer, a flight that hurts no line."""
        key, left = EarlyKey(calling.call.early_key, calling.call.index), EARLY_FLIGHT
        left -= len(calling.call.hello) + bearer.overhead
        while left > SAFE_SIZE // 2 and calling.next_counter <= EARLY_FRAMES_MAX:
            limit = min(safe, left - bearer.overhead) - DATA_OVERHEAD
            composed = calling.exchange.compose_more_early(limit, now)
            if not composed.payload:
                break
            calling.early.append(key.seal(calling.next_counter, composed.payload))
            calling.payloads.append(composed.payload)
            size = len(calling.early[-1]) + bearer.overhead
            calling.exchange.flow.note_sent(calling.next_counter, size, composed, now)
            calling.next_counter, left = calling.next_counter + 1, left - size

    def _on_welcome(self, bearer: Bearer, index: int, frame: bytes, now: float) -> None:
        if self._call is None or self._call.call.index != index or self._bearer is None:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            return
        call, exchange = self._call.call, self._call.exchange
        try:
            session, payload = call.complete(frame, self._call.next_counter)
        except AuthError:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            raise
        self._trace.frame(RECEIVED, bearer, frame, 0, payload)
        self._call = None
        line = Line(session, exchange, self.tally.counters, now, self._trace)
        line.watches_peer = True
        if not self._bearer.is_message:
            rtt_s = min(now - self._hello_sent_at, self._answer_s_max)
            exchange.flow.begin(len(call.hello) + self._bearer.overhead, rtt_s, now)
        if self._hellos > 1:  # it is not known which of them was answered, so the times of that flight tell nothing
            exchange.flow.ledger.forgive()
            exchange.settle(0)
        exchange.receive(0, payload, now)
        exchange.settle(0)
        exchange.nudge()
        exchange.flow.seen.due_at = now  # the first frame of ours proves to the host that this is no replay
        self._line = line
        line.begin(self._bearer, now)
        self._change(CallerEvent.WELCOME)
        self.tally.counters.handshakes += 1
        self.denials, self.last_heard = 0, now
        self._events.note("session", self._far_public, f"session {session.index:04x} over {self._bearer.name}")

    def _on_data(self, bearer: Bearer, index: int, frame: bytes, now: float) -> None:
        line = self._line
        if line is None and self._call is not None and index == self._call.call.index:
            self._hello_sooner(now)  # the host answers what was early: its WELCOME is lost
        if line is None or index != line.session.index:
            self._trace.frame(RECEIVED, bearer, frame, 0, b"")
            return
        if line.receive(bearer, frame, now) is None:
            return
        self.last_heard = now
        self._change(CallerEvent.HEARD)
        if self.state is CallerState.UP:
            self._call = None

    def _hello_sooner(self, now: float) -> None:
        """The host is there and has not heard the HELLO, or we have not heard the WELCOME."""
        self._answer_s_max = min(self._answer_s_max, now - self._hello_sent_at)
        if self._hellos < 2:
            self._hello_at = max(now, self._hello_sent_at + HELLO_SOONER_S)

    def _on_hint(self, frame: bytes, now: float) -> None:
        code, echo = read_hint(frame)
        if code is HintCode.NO_SESSION and self._line is None and self._call is not None:
            if self._call.knows_tail(echo):
                self._hello_sooner(now)
            return
        if code is HintCode.NOT_LET_IN and self._call is not None and self._call.call.is_echo(echo):
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
