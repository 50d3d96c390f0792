"""The ground side of Iridium SBD: messages of kits come in by DirectIP, messages for them go out (R31).

Iridium's ground station connects to us with each message of a modem, and we connect to it with each for one
(`wire/directip.py`). What a message carries is one frame of the link; its modem's IMEI is its address, and stands for
one bearer. Anybody may know an IMEI and reach our port, so nothing rests on either: the session inside proves who
speaks, and a list of addresses that may connect keeps the rest of the internet out.

Synchronous: `Inlet` is one connection to us, `Outbound` all that goes out; the sockets are in `iridium_road.py`. A
message is confirmed only after its frame was taken. Nothing survives the process: what was queued belongs to sessions
that do not survive it either, and a kit that misses an answer asks.
"""

import ipaddress
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from node.seams import Bearer
from wire import directip
from wire.directip import MT_STATUSES, MT_TEMPORARY, MoConfirmation, MoMessage, MtConfirmation, MtFlag, MtMessage
from wire.errors import FormatError, UsageError

MT_SIZE_MAX: Final = 270
"""What a 9602 takes; all else is larger."""
BEARERS_MAX: Final = 4096
"""Modems that are remembered; the one heard longest ago goes first."""
QUEUE_OF_ONE_MAX: Final = 8
"""Frames for one modem that wait here; then its link has no room, and says later what it then has to say."""
DELIVERIES_MAX: Final = 2048
"""Frames for all modems together: an IMEI is only a word that whoever connects has said."""
SEEN_MAX: Final = 8192
TRIES_MAX: Final = 12
RETRY_S_MIN: Final = 15.0
RETRY_S_MAX: Final = 3600.0
QUEUE_FULL: Final = -5
CONNECTION_S_MAX: Final = 30.0

log = logging.getLogger("feldsher")


class GroundBearer:
    """One modem as the gateway's link sees it (`node.seams.Bearer`)."""

    mtu, overhead = MT_SIZE_MAX, 0
    is_stream, is_message = False, True

    def __init__(self, imei: str, outbound: "Outbound") -> None:
        self.imei, self.name, self._outbound = imei, f"sbd:{imei}", outbound

    def room(self) -> int:
        return self.mtu if self._outbound.has_room(self.imei) else 0

    def send(self, frame: bytes) -> None:
        self._outbound.send(self.imei, frame)

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class _Delivery:
    """One frame on its way to the ground station."""

    message: MtMessage
    tries: int = 0
    not_before: float = float("-inf")


class Outbound:
    """What goes to modems: one message at a time, tried again while that can help.

    `wake` is called when there is something new to send, `room` when a queue that was full has room again.
    """

    def __init__(self, wake: Callable[[], None] = lambda: None, room: Callable[[], None] = lambda: None) -> None:
        self.wake, self._room = wake, room
        self._deliveries: deque[_Delivery] = deque()
        self._waiting: dict[str, int] = {}
        self._next_id = 1
        self.sent = self.refused = 0
        self.trouble = ""
        """Why the last message did not get there, for people; "" when it did."""

    def waiting_for(self, imei: str) -> int:
        """Return how many frames wait for one modem."""
        return self._waiting.get(imei, 0)

    def has_room(self, imei: str) -> bool:
        """Tell whether one more frame for this modem may wait."""
        return self.waiting_for(imei) < QUEUE_OF_ONE_MAX and len(self._deliveries) < DELIVERIES_MAX

    def send(self, imei: str, frame: bytes) -> None:
        """Queue a frame, or lose it when there is no room."""
        if not self.has_room(imei) or not 0 < len(frame) <= MT_SIZE_MAX:
            return
        self._waiting[imei] = self.waiting_for(imei) + 1
        self._deliveries.append(_Delivery(MtMessage(self._next_id.to_bytes(4, "big"), imei, frame)))
        self._next_id = self._next_id % 0xFFFF_FFFF + 1
        self.wake()

    def next(self, now: float) -> MtMessage | None:
        """Return the message to send now: the first that is due. It stays until `confirmed` or `failed`."""
        return next((delivery.message for delivery in self._first_ones() if delivery.not_before <= now), None)

    def deadline(self) -> float | None:
        """When `next` has something, None while nothing waits."""
        return min((delivery.not_before for delivery in self._first_ones()), default=None)

    def _first_ones(self) -> list[_Delivery]:
        """Return the oldest delivery for each modem: what one modem is sent goes in order."""
        first: dict[str, _Delivery] = {}
        for delivery in self._deliveries:
            first.setdefault(delivery.message.imei, delivery)
        return list(first.values())

    def confirmed(self, message: MtMessage, answer: MtConfirmation, now: float) -> None:
        """The ground station has judged `message`."""
        delivery = self._find(message)
        if delivery is None:
            return
        if answer.client_id != message.client_id:
            self.failed(message, "the confirmation is for another message", now)
        elif answer.status >= 0:
            self.sent += 1
            self.trouble = ""
            self._end(delivery)
        else:
            self._refused(delivery, answer.status, now)

    def failed(self, message: MtMessage, reason: str, now: float) -> None:
        """It could not be handed over, or nobody knows whether it was: then it may arrive twice, which is harmless."""
        delivery = self._find(message)
        if delivery is not None:
            self._again(delivery, reason, now)

    def _refused(self, delivery: _Delivery, status: int, now: float) -> None:
        reason = MT_STATUSES.get(status, f"status {status}")
        if status == QUEUE_FULL and not delivery.message.flags & MtFlag.FLUSH_QUEUE:
            delivery.message = replace(delivery.message, flags=delivery.message.flags | MtFlag.FLUSH_QUEUE)
            delivery.tries += 1  # what waits there is older than this, and its session asks for what it misses
        elif status in MT_TEMPORARY:
            self._again(delivery, reason, now)
        else:
            self.trouble = f"{delivery.message.imei}: {reason}"
            log.warning("SBD to %s is refused: %s (%d)", delivery.message.imei, reason, status)
            self.refused += 1
            self._end(delivery)

    def _again(self, delivery: _Delivery, reason: str, now: float) -> None:
        delivery.tries += 1
        self.trouble = f"{delivery.message.imei}: {reason}"
        if delivery.tries >= TRIES_MAX:
            log.warning("SBD to %s is given up after %d tries: %s", delivery.message.imei, delivery.tries, reason)
            self.refused += 1
            self._end(delivery)
        else:
            delivery.not_before = now + min(RETRY_S_MIN * 2.0 ** (delivery.tries - 1), RETRY_S_MAX)

    def _find(self, message: MtMessage) -> _Delivery | None:
        return next((one for one in self._deliveries if one.message.client_id == message.client_id), None)

    def _end(self, delivery: _Delivery) -> None:
        imei = delivery.message.imei
        was_full = not self.has_room(imei)
        self._deliveries.remove(delivery)
        self._waiting[imei] -= 1
        if not self._waiting[imei]:
            del self._waiting[imei]
        if was_full:
            self._room()


class Iridium:
    """All modems of one ground station. `receive` takes one frame and tells whether its node has taken it."""

    def __init__(
        self, receive: Callable[[Bearer, bytes], bool], outbound: Outbound, allowed: Sequence[str] = ()
    ) -> None:
        self._receive, self.outbound = receive, outbound
        self._allowed = networks(allowed)
        self._bearers: OrderedDict[str, GroundBearer] = OrderedDict()
        self._seen: OrderedDict[tuple[str, int, int, int], None] = OrderedDict()
        self.received = self.repeated = 0

    def lets_in(self, address: str) -> bool:
        """Tell whether this address may connect; without a list, any may."""
        if not self._allowed:
            return True
        try:
            found = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(found, "ipv4_mapped", None) or found
        return any(mapped in network for network in self._allowed)

    def take(self, message: MoMessage) -> bool:
        """Take one message of a modem; False: it must come again. What came before is taken, and not looked into."""
        key = message.imei, message.momsn, message.time_s, message.record
        if message.payload is None or message.status not in directip.MO_DONE:
            return True
        if key in self._seen:
            self.repeated += 1
            return True
        if not self._receive(self._bearer(message.imei), message.payload):
            return False
        self.received += 1
        self._seen[key] = None
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return True

    def _bearer(self, imei: str) -> GroundBearer:
        bearer = self._bearers.get(imei)
        if bearer is None:
            bearer = self._bearers[imei] = GroundBearer(imei, self.outbound)
        self._bearers.move_to_end(imei)
        while len(self._bearers) > BEARERS_MAX:
            self._bearers.popitem(last=False)
        return bearer


class Inlet:
    """One connection of the ground station to us: messages in, a confirmation for each out."""

    def __init__(self, iridium: Iridium, *, confirms: bool = True) -> None:
        self._iridium, self._confirms = iridium, confirms
        self._reader = directip.Reader()

    @property
    def is_between(self) -> bool:
        """No message is here in part: the far end may close, or be left."""
        return self._reader.is_between

    def feed(self, data: bytes) -> bytes:
        """Return what to answer. Raises FormatError: the connection is of no use."""
        answers = b""
        for message in self._reader.feed(data):
            if not isinstance(message, MoMessage):
                raise FormatError(f"a {type(message).__name__} where a message of a modem is expected")
            is_taken = self._iridium.take(message)
            answers += directip.encode(MoConfirmation(is_taken)) if self._confirms else b""
        return answers


class Outlet:
    """One connection of ours to the ground station, for one message."""

    def __init__(self, outbound: Outbound, message: MtMessage) -> None:
        self._outbound, self._message = outbound, message
        self._reader = directip.Reader()
        self.hello = directip.encode(message)
        self.is_over = False

    def feed(self, data: bytes, now: float) -> None:
        """Take the confirmation."""
        try:
            answers = self._reader.feed(data)
        except FormatError as error:
            return self.ended(str(error), now)
        if answers and not self.is_over:
            answer = answers[0]
            if not isinstance(answer, MtConfirmation):
                return self.ended(f"a {type(answer).__name__} where a confirmation is expected", now)
            self.is_over = True
            self._outbound.confirmed(self._message, answer, now)
        return None

    def ended(self, reason: str, now: float) -> None:
        """The connection is gone."""
        if not self.is_over:
            self.is_over = True
            self._outbound.failed(self._message, reason, now)


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(texts: Sequence[str]) -> list[Network]:
    """Return the networks that `texts` name (`192.0.2.7`, `198.51.100.0/24`). Raises UsageError."""
    try:
        return [ipaddress.ip_network(text) for text in texts]
    except ValueError as error:
        raise UsageError(f"allow: {error}; want addresses such as 192.0.2.7 or 198.51.100.0/24") from error


__all__ = ["GroundBearer", "Inlet", "Iridium", "Outbound", "Outlet"]
