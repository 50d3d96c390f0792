"""Iridium's ground station for short bursts: a queue for each modem, DirectIP to the owner's server, DirectIP from him.

What a modem sent in a finished session is delivered to one address over TCP, a message a connection, in order, again
and again until it was taken. What an owner sends waits in a queue of 50 for the modem's next session, and rings it.
Iridium SBD Developers Guide, DirectIP chapters. Nothing here survives the process.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final

from hardware.simulated.modems.coverage import EPOCH_TIME_S
from hardware.simulated.modems.directip import (
    FLUSH,
    MO_CONFIRMATION,
    RING_ONLY,
    MtRequest,
    NotDirectIp,
    Place,
    elements,
    mo_message,
    mt_confirmation,
    mt_request,
)
from hardware.simulated.modems.faults import Faults, Knob
from hardware.simulated.modems.network import TCP, Address, Network, Socket
from hardware.simulated.modems.timing import earliest

QUEUE_MAX: Final = 50
OUTGOING_MAX: Final = 4_096
CLIENTS_MAX: Final = 64
MT_SIZE_MAX: Final = 270
RING_S_MAX: Final = 5.0
RETRY_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
CONFIRMATION_S_MAX: Final = 30.0
LINGER_S: Final = 0.2
CLIENT_S_MAX: Final = 60.0
POLL_S: Final = 0.1
BAD_IMEI, UNKNOWN_IMEI, TOO_BIG, NO_PAYLOAD, QUEUE_FULL, NO_RESOURCES = -1, -2, -3, -4, -5, -6
PROTOCOL_ERROR, RINGS_OFF, NOT_ATTACHED, SOURCE_REFUSED = -7, -8, -9, -10

KNOBS: Final[Mapping[str, Knob]] = {
    "mo-twice": Knob("delivers the message twice; every message is an opportunity"),
    "mo-late": Knob("delivers so many seconds later than the session was", "60", "*", is_number=True),
    "mo-broken": Knob("the connection breaks in the middle of the message; it is delivered again"),
    "mo-in-pieces": Knob("sends a message byte by byte", when="*"),
    "mt-status": Knob("answers an MT message with this number, and does not queue it", "-6", is_status=True),
    "mt-silent": Knob("queues an MT message, and does not answer it"),
}


@dataclass(slots=True)
class Subscriber:
    """One modem, as the ground knows it."""

    waiting: deque[bytes] = field(default_factory=deque)
    mtmsn: int = 0
    has_rings: bool = True
    is_attached: bool = False
    rings_at: float | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a session brought down: a message or none, its number, and how many wait still."""

    payload: bytes | None
    mtmsn: int
    waiting: int


@dataclass(slots=True)
class _Delivery:
    """The connection that carries the message at the head of the queue."""

    socket: Socket
    since: float
    is_sent: bool = False
    is_broken: bool = False
    sent_at: float = 0.0
    answer: bytes = b""


@dataclass(slots=True)
class _Client:
    """An owner who has connected to send an MT message."""

    socket: Socket
    since: float
    heard: bytes = b""


class Ground:
    """`directip`: where MO messages go; None: they are only kept in `delivered`."""

    def __init__(
        self,
        network: Network,
        directip: Address | None = None,
        faults: Iterable[str] = (),
        seed: int = 1,
        *,
        wants_confirmation: bool = False,
        place: Place | None = Place(50.4501, 30.5234),  # noqa: B008 - frozen
        allowed: frozenset[str] | None = None,
    ) -> None:
        self.network, self.directip = network, directip
        self.faults = Faults(faults, KNOBS, Random(f"ground {seed}"))  # noqa: S311 - no secret
        self.subscribers: dict[str, Subscriber] = {}
        self.delivered: deque[bytes] = deque(maxlen=OUTGOING_MAX)
        """Payloads that the owner's server has taken, oldest first."""
        self.place = place
        self.refused_deliveries = 0
        self.now = 0.0
        self._wants_confirmation, self._allowed = wants_confirmation, allowed
        self._outgoing: deque[tuple[float, bytes, bytes]] = deque()
        self._delivery: _Delivery | None = None
        self._retry_at, self._failures = 0.0, 0
        self._clients: list[_Client] = []
        self._reference = 1_894_516_585

    # The modem's side

    def subscribe(self, imei: str) -> Subscriber:
        """Return the modem's account; it is made when there is none."""
        return self.subscribers.setdefault(imei, Subscriber())

    def clock_s(self, now: float) -> float:
        """Return the network's Unix time."""
        return EPOCH_TIME_S + now

    def take_up(self, imei: str, momsn: int, payload: bytes, now: float, place: Place | None = None) -> None:
        """A session has brought this up. Beyond OUTGOING_MAX the oldest undelivered is lost."""
        account = self.subscribe(imei)
        account.is_attached = True
        if not payload:
            return
        self._reference += 1
        serials = momsn, account.mtmsn
        where = place or self.place
        raw = mo_message(self._reference, imei, 0, serials, int(self.clock_s(now)), payload, where)
        due = now + (self.faults.number("mo-late") or 0.0)
        for _ in range(2 if self.faults.strikes("mo-twice") else 1):
            self._outgoing.append((due, raw, payload))
        while len(self._outgoing) > OUTGOING_MAX:
            del self._outgoing[0 if self._delivery is None else 1]  # the first is what is being delivered

    def fetch(self, imei: str, *, keeps: bool = False) -> Fetched:
        """A session brings down what waits. `keeps`: the ground never hears that it arrived."""
        account = self.subscribe(imei)
        account.is_attached = True
        if not account.waiting:
            return Fetched(None, 0, 0)
        payload = account.waiting[0]
        if not keeps:
            account.waiting.popleft()
        account.mtmsn = (account.mtmsn + 1) % 65_536
        return Fetched(payload, account.mtmsn, len(account.waiting))

    def ring_at(self, imei: str) -> float | None:
        """Return since when the modem is being rung."""
        return self.subscribe(imei).rings_at

    def take_ring(self, imei: str, now: float) -> bool:
        """Return whether the modem is being rung now; it is told once."""
        account = self.subscribe(imei)
        at, account.rings_at = account.rings_at, None
        return at is not None and now - at <= RING_S_MAX

    # The owner's side: MT

    def listen(self, host: str, port: int) -> Address:
        """Take MT messages by DirectIP there. Raises OSError."""
        return self.network.listen(TCP, host, port, self)

    def accepted(self, socket: Socket, now: float) -> None:
        if len(self._clients) >= CLIENTS_MAX:
            socket.close(now)
        else:
            self._clients.append(_Client(socket, now))

    def queue(self, imei: str, payload: bytes, now: float) -> int:
        """Queue a message for a modem by hand; return the place in the queue, or a negative number."""
        return self._judge(MtRequest(b"hand", imei.encode(), 0, payload), now)

    def _judge(self, request: MtRequest, now: float) -> int:
        imei = request.imei.decode("latin-1")
        if not imei.isascii() or not imei.isdigit() or len(imei) != 15:
            return BAD_IMEI
        account = self.subscribers.get(imei)
        if account is None:
            return UNKNOWN_IMEI
        if (status := self.faults.pick("mt-status")) is not None:
            return int(status)
        if request.flags & RING_ONLY:
            return self._ring_only(account, now)
        if request.flags & FLUSH:
            account.waiting.clear()
        if not request.payload:
            return 0 if request.flags & FLUSH else NO_PAYLOAD
        return self._queue(account, request.payload, now)

    def _ring_only(self, account: Subscriber, now: float) -> int:
        if not account.has_rings:
            return RINGS_OFF
        if not account.is_attached:
            return NOT_ATTACHED
        account.rings_at = now
        return 0

    def _queue(self, account: Subscriber, payload: bytes, now: float) -> int:
        if len(payload) > MT_SIZE_MAX:
            return TOO_BIG
        if len(account.waiting) >= QUEUE_MAX:
            return QUEUE_FULL
        account.waiting.append(payload)
        if account.has_rings and account.is_attached:
            account.rings_at = now
        return len(account.waiting)

    def _serve(self, client: _Client, now: float) -> bool:
        """Go on with one owner; return whether he is still to be heard."""
        while (data := client.socket.receive(now)) is not None:
            client.heard += data
        try:
            found = elements(client.heard)
            if found is None:
                if client.socket.error or now - client.since > CLIENT_S_MAX:
                    client.socket.close(now)
                    return False
                return True
            request = mt_request(found)
            is_allowed = self._allowed is None or client.socket.peer[0] in self._allowed
            status = self._judge(request, now) if is_allowed else SOURCE_REFUSED
        except NotDirectIp:
            request, status = MtRequest(b"\0\0\0\0", b"0" * 15, 0, None), PROTOCOL_ERROR
        self._reference += 1
        if not self.faults.strikes("mt-silent"):
            number = self._reference if status >= 0 else 0
            client.socket.send(mt_confirmation(request.client_id, request.imei, number, status), now)
        client.socket.close(now)
        return False

    # The owner's side: MO

    def _deliver(self, now: float) -> None:
        if self._delivery is None:
            if self.directip is None:
                while self._outgoing and self._outgoing[0][0] <= now:
                    self.delivered.append(self._outgoing.popleft()[2])
            elif self._outgoing and self._outgoing[0][0] <= now and now >= self._retry_at:
                self._delivery = _Delivery(self.network.open(TCP, *self.directip, now), now)
        if self._delivery is not None:
            self._carry(self._delivery, now)

    def _carry(self, delivery: _Delivery, now: float) -> None:
        socket = delivery.socket
        while (data := socket.receive(now)) is not None:
            delivery.answer += data
        if not delivery.is_sent and socket.is_open:
            self._send(delivery, self._outgoing[0][1], now)
        if delivery.is_sent and not delivery.is_broken and self._is_taken(delivery, now):
            self.delivered.append(self._outgoing.popleft()[2])
            self._end(delivery, now)
            self._failures, self._retry_at = 0, now
        elif socket.error or delivery.is_broken or now - delivery.since > CONFIRMATION_S_MAX:
            self.refused_deliveries += 1
            self._end(delivery, now)
            self._retry_at = now + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
            self._failures += 1

    def _send(self, delivery: _Delivery, raw: bytes, now: float) -> None:
        delivery.is_sent, delivery.sent_at = True, now
        delivery.is_broken = self.faults.strikes("mo-broken")
        raw = raw[: len(raw) // 2] if delivery.is_broken else raw
        size = 1 if self.faults.is_set("mo-in-pieces") else len(raw)
        for at in range(0, len(raw), size):
            delivery.socket.send(raw[at : at + size], now)

    def _is_taken(self, delivery: _Delivery, now: float) -> bool:
        if self._wants_confirmation:
            try:
                found = elements(delivery.answer) or {}
            except NotDirectIp:
                return False
            return found.get(MO_CONFIRMATION) == b"\x01"
        is_over = delivery.socket.error == "closed" or now >= delivery.sent_at + LINGER_S
        return is_over and not delivery.socket.unacknowledged

    def _end(self, delivery: _Delivery, now: float) -> None:
        delivery.socket.close(now)
        self._delivery = None

    # Time

    @property
    def undelivered(self) -> int:
        """How many messages the owner's server has not taken yet."""
        return len(self._outgoing)

    def tick(self, now: float) -> None:
        """Let time pass: to be called at `deadline`, or earlier."""
        self.now = max(self.now, now)
        self.network.tick(now)
        self._clients = [client for client in self._clients if self._serve(client, now)]
        self._deliver(now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        busy = self.now + POLL_S if self._delivery is not None or self._clients else None
        next_one = None
        if self._outgoing and self._delivery is None:
            next_one = max(self._outgoing[0][0], self._retry_at)
        sockets = (client.socket.deadline() for client in self._clients)
        return earliest(self.network.deadline(), busy, next_one, *sockets)
