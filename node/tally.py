"""What a caller and a host tell of themselves: events for a log, counters, and how far each object is.

Called by `node.caller` and `node.host` only. Nothing here is durable: the counts of a peer live as long as the process,
over all its sessions, and events until somebody fetches them.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from node.line import Line
from node.progress import Counters, ObjectProgress, Progress, eta_s
from node.receiving import ReceivingCounts
from node.sending import SendingCounts
from node.tracing import NO_TRACE, Trace
from wire import objects
from wire.objects import Answer, Custody, Refusal

EVENTS_MAX: Final = 1024
"""Events kept until they are fetched; then the oldest go."""


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


class Events:
    """Events until somebody fetches them."""

    def __init__(self, trace: Trace = NO_TRACE) -> None:
        self._events: deque[Event] = deque(maxlen=EVENTS_MAX)
        self._trace = trace

    def note(self, kind: str, peer: bytes, text: str, object_id: bytes = b"", plain: str | None = None) -> None:
        """Keep one. `plain` is what a trace is told instead where the text quotes the far side, or names a file."""
        self._events.append(Event(kind, peer, object_id, text))
        self._trace.event(kind, text if plain is None else plain)

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


def note_verdicts(events: Events, line: Line) -> None:
    """Move the verdicts that the last call brought into `events`."""
    exchange = line.exchange
    told = [("sent", *verdict) for verdict in exchange.sender.verdicts]
    told += [("received", *verdict) for verdict in exchange.receiver.finished]
    for done, object_id, answer in told:
        kind = "refused" if isinstance(answer, Refusal) else done
        bare = Refusal(answer.reason) if isinstance(answer, Refusal) else answer
        text, plain = (f"{object_id.hex()} {_verdict_text(one)}" for one in (answer, bare))
        events.note(kind, exchange.peer, text, object_id, plain)
    exchange.sender.verdicts.clear()
    exchange.receiver.finished.clear()


def _verdict_text(answer: Answer) -> str:
    if isinstance(answer, Refusal):
        return f"is refused: {answer}"
    return "is in custody" if isinstance(answer, Custody) else "is received"


def progress_of(line: Line | None, tally: Tally, now: float) -> Progress:
    """Return how far everything is on this line; without one, what the sessions before it counted."""
    sending: list[ObjectProgress] = []
    receiving: list[ObjectProgress] = []
    rate = 0.0
    if line is not None:
        rate, ahead = line.meter.rate(now), 0
        for s in sorted(line.exchange.sender.sendings.values(), key=lambda s: (s.offer.urgency, s.channel)):
            ahead += s.offer.size - s.arrived.total
            sending.append(_object(s.offer, s.state.value, s.arrived.total, eta_s(ahead, rate)))
        for r in line.exchange.receiver.receivings.values():
            left = r.offer.size - r.have.total
            receiving.append(_object(r.offer, "receiving", r.have.total, eta_s(left, rate)))
        tally.counters.frames_lost = line.exchange.flow.ledger.frames_lost
    return Progress(
        connected=line is not None and line.bearer is not None,
        bearer=line.bearer.name if line is not None and line.bearer is not None else "",
        silence_s=now - line.last_heard if line is not None else 0.0,
        rtt_s=line.exchange.flow.rtt_s if line is not None else None,
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
