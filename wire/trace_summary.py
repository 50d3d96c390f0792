"""What a trace of a link amounts to, by bearer and direction: frames, bytes, losses, round trips.

Fed one entry after the other, in order; pure, and bounded whatever the trace holds. A session is known by two numbers:
each side addresses the other by its own (`wire/session.py`), so a HELLO with number A says how the frames the other way
will be addressed, and the first frame with an unknown number completes the pair. Frames that went out are *lost* when
no ACK named them and one named a later frame, *open* when they were the last; frames that came are lost where their
counters leave gaps. A round trip ends with the first ACK that names a frame as its newest, less the delay it admits.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

from wire.records import Number
from wire.session import CARRYING, FrameKind
from wire.trace import SENT, EventSeen, FrameSeen, Shape, kind_name

BEARERS_MAX: Final = 256
OTHERS: Final = "others"
"""What came over bearers beyond BEARERS_MAX: a host hears from whoever knows its address."""
OPEN_MAX: Final = 4096
"""Frames of one session that wait for an ACK, as many as a link has under way; the oldest beyond are lost."""
RTTS_MAX: Final = 10_000
EVENT_KINDS_MAX: Final = 64
_OPENING: Final = frozenset({FrameKind.HELLO, FrameKind.WELCOME})
_ASKING: Final = frozenset({Number.PING, Number.CONTROL, Number.SEGMENT})


@dataclass
class Way:
    """What went over one bearer in one direction. Bytes are frames with their bearer's overhead."""

    frames: int = 0
    bytes: int = 0
    payload_bytes: int = 0
    """Of objects; the rest is overhead."""
    handshakes: int = 0
    ack_only: int = 0
    unread: int = 0
    """Frames of a session that did not open, came twice, or belong to a session that is gone."""
    lost: int = 0
    open: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    rtts_ms: deque[int] = field(default_factory=lambda: deque(maxlen=RTTS_MAX))
    first_ms: int = 0
    last_ms: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        rtts = sorted(self.rtts_ms)
        return {
            "frames": self.frames,
            "bytes": self.bytes,
            "payload_bytes": self.payload_bytes,
            "overhead_bytes": self.bytes - self.payload_bytes,
            "handshakes": self.handshakes,
            "ack_only": self.ack_only,
            "unread": self.unread,
            "lost": self.lost,
            "open": self.open,
            "kinds": dict(self.kinds),
            "rtt_s": {"least": rtts[0] / 1000, "median": median(rtts) / 1000, "most": rtts[-1] / 1000}
            if rtts
            else None,
            "seconds": (self.last_ms - self.first_ms) / 1000,
        }


@dataclass
class _Session:
    """How one session is addressed, by direction, and what of it is not yet accounted for."""

    names: dict[int, int] = field(default_factory=dict)
    waiting: dict[int, tuple[int, Way]] = field(default_factory=dict)
    """Of the frames that went out and ask for an ACK: when, and over what."""
    acked: int = -1
    heard: int = 0


class Summary:
    """See the module's text. `add` each entry; then `to_dict`."""

    def __init__(self) -> None:
        self._ways: dict[tuple[str, int], Way] = {}
        self._bearers: dict[str, None] = {}
        self._sessions: dict[tuple[int, int], _Session] = {}
        self._newest: dict[str, _Session] = {}
        self._events: Counter[str] = Counter()

    def add(self, seen: FrameSeen | EventSeen) -> None:
        """Take the next entry."""
        if isinstance(seen, EventSeen):
            if seen.kind in self._events or len(self._events) < EVENT_KINDS_MAX:
                self._events[seen.kind] += 1
            return
        bearer = self._bearer(seen.bearer)
        way = self._ways.setdefault((bearer, seen.direction), Way(first_ms=seen.time_ms))
        _count(way, seen)
        session = self._session(bearer, seen)
        if session is None:
            return
        if seen.direction == SENT:
            _note_sent(session, way, seen)
        else:
            _note_heard(session, way, seen)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON: {"bearers": {name: {"sent": …, "received": …}}, "events": {kind: count}}."""
        lost, still = self._unanswered()
        bearers: dict[str, dict[str, Any]] = {bearer: {} for bearer in self._bearers}
        for (bearer, direction), way in self._ways.items():
            told = way.to_dict()
            told["lost"] += lost[id(way)]
            told["open"] += still[id(way)]
            bearers[bearer]["sent" if direction == SENT else "received"] = told
        return {"bearers": bearers, "events": dict(self._events)}

    def _unanswered(self) -> tuple[Counter[int], Counter[int]]:
        lost, still = Counter[int](), Counter[int]()
        for session in {id(one): one for one in self._sessions.values()}.values():
            for counter, (_, way) in session.waiting.items():
                (lost if counter < session.acked else still)[id(way)] += 1
        return lost, still

    def _bearer(self, name: str) -> str:
        if name not in self._bearers and len(self._bearers) >= BEARERS_MAX:
            name = OTHERS
        self._bearers[name] = None
        return name

    def _session(self, bearer: str, seen: FrameSeen) -> _Session | None:
        """Return the session of a frame; None where it has none."""
        if seen.kind in _OPENING or seen.kind == FrameKind.EARLY:
            is_answer = seen.kind == FrameKind.WELCOME
            return self._named(bearer, seen.direction if is_answer else 1 - seen.direction, seen.index, is_new=True)
        if seen.kind not in CARRYING or not seen.counter:
            return None
        return self._named(bearer, seen.direction, seen.index)

    def _named(self, bearer: str, direction: int, index: int, *, is_new: bool = False) -> _Session:
        known = self._sessions.get((direction, index))
        if known is not None:
            return known
        session = self._newest.get(bearer)
        if session is None or is_new or direction in session.names:
            session = _Session()
        session.names[direction] = index
        self._sessions[direction, index] = self._newest[bearer] = session
        return session


def _count(way: Way, seen: FrameSeen) -> None:
    way.frames += 1
    way.bytes += seen.size
    way.last_ms = seen.time_ms
    way.kinds[kind_name(seen.kind) if seen.kind in set(FrameKind) else "other"] += 1
    way.payload_bytes += sum(record[-1] for record in seen.records if record[0] == Number.SEGMENT and record[-1] >= 0)
    way.handshakes += seen.kind in _OPENING
    way.unread += not seen.counter and seen.kind not in _OPENING and seen.kind != FrameKind.HINT
    numbers = {record[0] for record in seen.records}
    way.ack_only += Number.ACK in numbers and not numbers & _ASKING and seen.kind in CARRYING


def _note_sent(session: _Session, way: Way, seen: FrameSeen) -> None:
    if seen.kind in _OPENING or not any(record[0] in _ASKING for record in seen.records):
        return
    session.waiting[seen.counter] = seen.time_ms, way
    if len(session.waiting) > OPEN_MAX:
        _, oldest = session.waiting.pop(next(iter(session.waiting)))
        oldest.lost += 1


def _note_heard(session: _Session, way: Way, seen: FrameSeen) -> None:
    if seen.counter > session.heard:
        way.lost += seen.counter - session.heard - 1 if session.heard else 0
        session.heard = seen.counter
    elif seen.counter and way.lost:
        way.lost -= 1  # it was only late
    for record in seen.records:
        if record[0] == Number.ACK:
            _note_ack(session, record, seen.time_ms)


def _note_ack(session: _Session, ack: Shape, now_ms: int) -> None:
    _, delay_ms, *edges = ack if len(ack) >= 2 else (*ack, 0)
    for number, (start, end) in enumerate(zip(edges[::2], edges[1::2], strict=False)):
        newest = session.waiting.get(end - 1)
        if number == 0 and newest is not None:
            sent_ms, way = newest
            way.rtts_ms.append(max(now_ms - sent_ms - delay_ms, 0))
        session.acked = max(session.acked, end - 1)
        for counter in [counter for counter in session.waiting if start <= counter < end]:
            del session.waiting[counter]
