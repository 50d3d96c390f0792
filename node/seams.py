"""The seams of a link: what a node must bring so that objects travel over it. Signatures and promises only.

A link (`node/link.py`: `Caller`, `Host`) asks an `Outbox` what to send to one peer, and hands to an `Inbox` what
arrives. It speaks through a `Bearer`. None of these calls may block for long or call back into the link: they
are called in the middle of a frame. What must survive a crash is said at each method. `peer` is always the far
side's link public key (32 bytes).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from wire.objects import Answer, Custody, Damaged, Offer, Receipt, Refusal
from wire.ranges import RangeSet

__all__ = [
    "Answer",
    "Bearer",
    "Clocked",
    "Custody",
    "Damaged",
    "Inbox",
    "Mailbox",
    "NotOpen",
    "Offer",
    "Outbox",
    "RangeSet",
    "Receipt",
    "Refusal",
    "Repeating",
]


@dataclass(frozen=True, slots=True)
class NotOpen:
    """The object is not open here any more: another session of the same peer has finished it, or thrown it away."""


class Bearer(Protocol):
    """One way to reach a peer. It carries whole frames; it may lose, repeat and reorder them."""

    @property
    def name(self) -> str:
        """What to call it in messages: `udp://10.77.0.2:7000`."""

    @property
    def mtu(self) -> int:
        """The largest frame, bytes."""

    @property
    def overhead(self) -> int:
        """Bytes that one frame costs on the wire beside its own (28 for UDP over IPv4); for counting only."""

    @property
    def is_stream(self) -> bool:
        """Frames arrive in order or not at all."""

    @property
    def is_message(self) -> bool:
        """Each frame is a message of its own: billed, minutes long; answers wait until they are fetched."""

    def room(self) -> int:
        """Return how many bytes it would take now without queueing them for long."""

    def send(self, frame: bytes) -> None:
        """Send one frame, or lose it. Never raises: a bearer that is gone reports it by `bearer_down`."""

    def close(self) -> None:
        """Give it up."""


@runtime_checkable
class Mailbox(Protocol):
    """What a message bearer has at the end that must ask the network for what waits there."""

    def fetch(self) -> None:
        """Look whether messages wait, soon. It costs about as much as a short message, and sending one does it too."""


@runtime_checkable
class Clocked(Protocol):
    """A bearer whose slowest hop is its own: `room` alone says when the next frame may go, and no pace is kept."""

    @property
    def rate_bytes_s(self) -> float:
        """What it carries in a second."""


@runtime_checkable
class Repeating(Protocol):
    """A bearer that costs more than its frames: a message again that may have gone, mail that rings, a frame in pieces.

    It asks `pays(up, down)` before each of them: bytes that go, and bytes that may come. False: not now.
    """

    pays: Callable[[int, int], bool]


class Outbox(Protocol):
    """The objects for one peer. It keeps every object until `receipt` (or a `refused` that is not temporary)."""

    def pending(self) -> Sequence[Offer]:
        """Return what is still without a receipt, in the order in which it should go within one priority.

        An object in custody belongs here too: it is offered once in a session, so that a receipt which was missed is
        given again. The bytes, size and digest of an object id never change.
        """

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        """Return exactly these bytes of the object."""

    def in_custody(self, object_id: bytes) -> None:
        """The peer has it verified on its disk. May come more than once."""

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        """The object has arrived. From here on it may be forgotten. May come more than once."""

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        """The peer will not take it. When `refusal.temporary`, keep it in `pending`: it is offered again later."""


class Inbox(Protocol):
    """Where arriving objects go. One inbox may serve many peers, and one object may come over several sessions."""

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        """Answer an offer: what is already there (empty when new), or that it is done, or that it is not taken.

        Must be harmless when repeated, also by a replayed first message: an object that was finished earlier gets its
        custody or receipt again.
        """

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        """Take one segment. It need not be durable, but must be in the answer of `offered` from now on.

        Called only after `offered` (that returned a RangeSet), within the offered size. A Refusal (disk full) stops the
        object. Two sessions of one peer may bring the same object; what one has finished is NotOpen for the other.
        """

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        """All bytes were written: verify the digest, make it durable, take it over.

        Custody or Receipt may be returned only after the fsync of the file and its folder. Damaged: the copy is thrown
        away, `offered` would now return an empty RangeSet, and the sender starts again.
        """
