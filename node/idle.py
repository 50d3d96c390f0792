"""The two ends of an exchange that does not happen: an outbox with nothing in it and an inbox that takes nothing."""

from collections.abc import Sequence

from node.seams import Offer, Refusal
from wire import objects
from wire.errors import Misuse


class NothingToSend:
    """The outbox for peers to whom we only answer (`node.seams.Outbox`)."""

    def pending(self) -> Sequence[Offer]:
        return ()

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        raise Misuse(f"object {object_id.hex()} was never offered")

    def in_custody(self, object_id: bytes) -> None: ...
    def receipt(self, object_id: bytes, receipt: bytes) -> None: ...
    def refused(self, object_id: bytes, refusal: Refusal) -> None: ...


class NothingTaken:
    """The inbox of a node that nobody sends to (`node.seams.Inbox`)."""

    def offered(self, peer: bytes, offer: Offer) -> Refusal:
        return Refusal(objects.NOT_WANTED, f"no {objects.KINDS.get(offer.kind, offer.kind)} is taken here")

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal:
        raise Misuse(f"object {object_id.hex()} was refused")

    def finish(self, peer: bytes, object_id: bytes) -> Refusal:
        raise Misuse(f"object {object_id.hex()} was refused")
