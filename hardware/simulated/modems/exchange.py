"""A telephone exchange between simulated modems: numbers, calls that ring, carry bytes slowly, garble them, and drop.

A number is a modem's (`AnswerSide`), or that of a server beyond the exchange (`route`: Iridium's RUDICS, an ISDN
router), to which the bytes go over TCP unchanged. Each direction of a call is a serialiser of `rate_bps` with a delay;
what one end sends more than QUEUE_BYTES ahead of it is lost, unless `room` (RTS/CTS) held it.

    DIALLING ── ring ──► RINGING ── answered ──► UP ── either end, the network ──► OVER
        └── busy, no such number, refused ─────────────────────────────────────────┘
"""

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

from hardware.simulated.modems.network import TCP, Address, Network, Socket
from hardware.simulated.modems.timing import BITS_PER_BYTE, earliest
from wire.errors import Misuse

QUEUE_BYTES: Final = 1_024
CALLS_MAX: Final = 64
PIECE_BYTES: Final = 64
ROUTE_S_MAX: Final = 20.0


class CallState(enum.Enum):
    """How far a call is."""

    DIALLING = "dialling"
    RINGING = "ringing"
    UP = "up"
    OVER = "over"


STEPS: Final[Mapping[tuple[CallState, str], CallState]] = {
    (CallState.DIALLING, "ring"): CallState.RINGING,
    (CallState.DIALLING, "answer"): CallState.UP,
    (CallState.RINGING, "answer"): CallState.UP,
    (CallState.DIALLING, "end"): CallState.OVER,
    (CallState.RINGING, "end"): CallState.OVER,
    (CallState.UP, "end"): CallState.OVER,
    (CallState.OVER, "end"): CallState.OVER,
}


class AnswerSide(Protocol):
    """Who can be called."""

    def rung(self, call: "Call", now: float) -> bool:
        """Return whether it takes the call up (it may still not answer); False: busy."""


@dataclass(frozen=True, slots=True)
class Manner:
    """What calls are like. `garble` is the probability that a byte arrives changed, `drop_s` a call's mean life."""

    rate_bps: float = 9_600.0
    delay_s: float = 0.25
    setup_s: float = 4.0
    garble: float = 0.0
    drop_s: float = 0.0


class _Half:
    """One direction of a call."""

    def __init__(self, manner: Manner, rng: Random) -> None:
        self._manner, self._rng = manner, rng
        self._busy_until = 0.0
        self._waiting: deque[tuple[float, bytes]] = deque()

    def room(self, now: float) -> int:
        return QUEUE_BYTES - int(max(0.0, self._busy_until - now) * self._manner.rate_bps / BITS_PER_BYTE)

    def put(self, data: bytes, now: float) -> None:
        data = data[: max(0, self.room(now))]
        for at in range(0, len(data), PIECE_BYTES):
            piece = data[at : at + PIECE_BYTES]
            self._busy_until = max(now, self._busy_until) + len(piece) * BITS_PER_BYTE / self._manner.rate_bps
            self._waiting.append((self._busy_until + self._manner.delay_s, self._noisy(piece)))

    def _noisy(self, data: bytes) -> bytes:
        chance = self._manner.garble
        if not chance:
            return data
        return bytes(byte ^ (1 << self._rng.randrange(8)) if self._rng.random() < chance else byte for byte in data)

    def take(self, now: float) -> bytes:
        out = bytearray()
        while self._waiting and self._waiting[0][0] <= now:
            out += self._waiting.popleft()[1]
        return bytes(out)

    def next_at(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None


class Call:
    """One call. The end that dialled is 0, the one that was called is 1."""

    def __init__(self, manner: Manner, rng: Random, number: str) -> None:
        self.number = number
        self.state = CallState.DIALLING
        self.reason = ""
        """Why it is over: `busy`, `no answer`, `hung up`, `dropped`."""
        self.dropped_at: float | None = None
        self.answered_at: float | None = None
        self._halves = _Half(manner, rng), _Half(manner, rng)
        self._life_s = rng.expovariate(1 / manner.drop_s) if manner.drop_s else None

    def step(self, event: str) -> None:
        """Take a step. Raises Misuse for one that `STEPS` does not have."""
        if (self.state, event) not in STEPS:
            raise Misuse(f"a simulated call that is {self.state.value} cannot {event}")
        self.state = STEPS[self.state, event]

    def answer(self, now: float) -> None:
        if self.state is not CallState.OVER:
            self.step("answer")
            self.answered_at = now
            self.dropped_at = None if self._life_s is None else now + self._life_s

    def end(self, reason: str) -> None:
        if self.state is not CallState.OVER:
            self.reason = reason
            self.step("end")

    def room(self, end: int, now: float) -> int:
        """Return how many bytes this end may send without losing any."""
        return self._halves[end].room(now)

    def send(self, end: int, data: bytes, now: float) -> None:
        if self.state is CallState.UP:
            self._halves[end].put(data, now)

    def receive(self, end: int, now: float) -> bytes:
        """Return what has come to this end by now; after the end of the call what was on its way is gone."""
        return self._halves[1 - end].take(now) if self.state is CallState.UP else b""

    def deadline(self, end: int) -> float | None:
        if self.state is not CallState.UP:
            return None
        return earliest(self.dropped_at, self._halves[1 - end].next_at())

    def tick(self, now: float) -> None:
        if self.state is CallState.UP and self.dropped_at is not None and now >= self.dropped_at:
            self.end("dropped")


class _Bridge:
    """The far end of a call to a number that is routed to a server."""

    def __init__(self, call: Call, socket: Socket, now: float) -> None:
        self.call, self._socket, self._since = call, socket, now
        self._held = b""
        """What the server has sent and the call has no room for yet."""

    def tick(self, now: float) -> None:
        call, socket = self.call, self._socket
        if call.state is CallState.DIALLING and socket.is_open:
            call.answer(now)
        while (room := call.room(1, now)) > 0 and (data := self._held or socket.receive(now)) is not None:
            call.send(1, data[:room], now)
            self._held = data[room:]
        if data := call.receive(1, now):
            socket.send(data, now)
        is_late = call.state is CallState.DIALLING and now - self._since > ROUTE_S_MAX
        if socket.error or is_late:
            call.end("hung up" if call.state is CallState.UP else "no answer")
        if call.state is CallState.OVER:
            socket.close(now)

    def deadline(self, now: float) -> float | None:
        if self._socket.error:
            return now
        full = self.call.room(1, now) <= 0
        return earliest(self.call.deadline(1), now + 1.0 if full else self._socket.deadline())


class Exchange:
    """Where numbers are known."""

    def __init__(self, manner: Manner | None = None, network: Network | None = None, seed: int = 1) -> None:
        self.manner = manner or Manner()
        self.network = network
        self.is_down = False
        self.calls_made = self.calls_dropped = 0
        self._rng = Random(f"exchange {seed}")  # noqa: S311 - no secret
        self._sides: dict[str, AnswerSide] = {}
        self._routes: dict[str, Address] = {}
        self._calls: list[Call] = []
        self._bridges: list[_Bridge] = []
        self._now = 0.0

    def join(self, number: str, side: AnswerSide) -> None:
        """Let `side` be called by this number."""
        self._sides[digits_of(number)] = side

    def route(self, prefix: str, address: Address) -> None:
        """Let calls to numbers that begin so go to a server."""
        self._routes[digits_of(prefix)] = address

    def dial(self, number: str, now: float) -> Call:
        """Begin a call; it is known later what comes of it."""
        number = digits_of(number)
        call = Call(self.manner, self._rng, number)
        self.calls_made += 1
        if self.is_down or len(self._calls) >= CALLS_MAX:
            call.end("no carrier")
            return call
        self._calls.append(call)
        side, route = self._sides.get(number), self._routed(number)
        if side is not None:
            if side.rung(call, now):
                call.step("ring")
            else:
                call.end("busy")
        elif route is not None and self.network is not None:
            self._bridges.append(_Bridge(call, self.network.open(TCP, *route, now), now))
        else:
            call.end("no carrier")
        return call

    def _routed(self, number: str) -> Address | None:
        found = [prefix for prefix in self._routes if number.startswith(prefix)]
        return self._routes[max(found, key=len)] if found else None

    def cut(self) -> None:
        """Drop every call, and let none be made."""
        self.is_down = True
        for call in self._calls:
            call.end("dropped")

    def mend(self) -> None:
        self.is_down = False

    def tick(self, now: float) -> None:
        self._now = max(self._now, now)
        if self.network is not None:
            self.network.tick(now)
        for call in self._calls:
            call.tick(now)
        for bridge in self._bridges:
            bridge.tick(now)
        self.calls_dropped += sum(call.reason == "dropped" for call in self._calls)
        self._calls = [call for call in self._calls if call.state is not CallState.OVER]
        self._bridges = [bridge for bridge in self._bridges if bridge.call.state is not CallState.OVER]

    def deadline(self) -> float | None:
        network = self.network.deadline() if self.network is not None else None
        drops = (call.dropped_at for call in self._calls)
        return earliest(network, *drops, *(bridge.deadline(self._now) for bridge in self._bridges))


def digits_of(number: str) -> str:
    """Return a number as it is dialled, without spaces and prefixes of manner (T, P, +)."""
    return "".join(sign for sign in number if sign.isascii() and sign.isdigit())
