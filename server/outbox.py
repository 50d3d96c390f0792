"""What the kernel has for one peer: for a gateway the roster and every kit's worklist, for a kit its own worklist.

Owns nothing durable. `Waiting` is the view of the worklists that all outboxes share: read from the database when it has
changed, not for every frame, so that a database that does not answer stops no session in its middle. A list stays
pending until its kit has taken it; one in custody is offered again in each session, so that a receipt which was missed,
or could not be entered, is given again.
"""

import contextlib
from collections.abc import Sequence

from node.seams import Offer, Refusal
from server.database import UnavailableError
from server.roster import RosterOutbox
from server.worklists import Worklists


class Waiting:
    """The worklists that no kit has taken yet. See the module's text."""

    def __init__(self, worklists: Worklists) -> None:
        self.worklists = worklists
        self._changes = -1
        self.offers: list[tuple[bytes, Offer]] = []
        self._data: dict[bytes, bytes] = {}

    def look(self) -> bool:
        """Look whether anything has changed; return whether it has. Raises UnavailableError."""
        changes = self.worklists.changes()
        is_new = changes != self._changes
        if is_new:
            pending = self.worklists.pending()
            self.offers, self._changes = [(kit, offer) for kit, offer, _ in pending], changes
            self._data = {offer.object_id: data for _, offer, data in pending}
        return is_new

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        """Return bytes of a worklist that waits."""
        return self._data[object_id][offset : offset + size].ljust(size, b"\0")

    def has(self, object_id: bytes) -> bool:
        """Tell whether this object is a worklist that waits."""
        return object_id in self._data

    def taken(self, object_id: bytes, receipt: bytes) -> None:
        """The kit's word has come; what is not the kit's word changes nothing."""
        if self.worklists.taken(object_id, receipt):
            self.offers = [pair for pair in self.offers if pair[1].object_id != object_id]
            self._data.pop(object_id, None)


class PeerOutbox:
    """The outbox for one peer (`node.seams.Outbox`). `kit`: the link key of a kit that calls us itself."""

    def __init__(self, waiting: Waiting, kit: bytes | None) -> None:
        self.roster = RosterOutbox()
        self._waiting, self._kit = waiting, kit
        self._refused: set[bytes] = set()

    def pending(self) -> Sequence[Offer]:
        lists = (offer for kit, offer in self._waiting.offers if self._kit in {None, kit})
        return [*self.roster.pending(), *(one for one in lists if one.object_id not in self._refused)]

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        is_list = self._waiting.has(object_id)
        return (self._waiting if is_list else self.roster).read(object_id, offset, size)

    def in_custody(self, object_id: bytes) -> None:
        if self._waiting.has(object_id):
            with contextlib.suppress(UnavailableError):
                self._waiting.worklists.in_custody(object_id)
        else:
            self.roster.in_custody(object_id)

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        if self._waiting.has(object_id):
            with contextlib.suppress(UnavailableError):
                self._waiting.taken(object_id, receipt)
        else:
            self.roster.receipt(object_id, receipt)

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        if not self._waiting.has(object_id):
            self.roster.refused(object_id, refusal)
        elif not refusal.temporary:
            self._refused = (self._refused & {offer.object_id for _, offer in self._waiting.offers}) | {object_id}
