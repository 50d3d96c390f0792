"""The roster as the kernel gives it out: made from the database, signed, offered to each gateway until it confirms.

Owns nothing durable: after a restart it is made anew and offered again. Its object id follows from its bytes, so a
gateway that has this very version answers without a transfer. A version that is under way while a newer one is made
can be read to its end, for a session does not forget what it has begun to send.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from node.seams import Offer, Refusal
from node.spool import digest_of
from server.centre import Centre
from wire import objects
from wire.roster import RosterEntry, sign_roster

PRIORITY: Final = 1
"""A revocation overtakes everything."""
VERSIONS_MAX: Final = 8
"""Rosters that one peer may be in the middle of; of an older one zeros are sent, and its digest shows it."""


def signed_roster(centre: Centre) -> bytes:
    """Return the roster of every kit, revoked ones too, signed by the centre."""
    entries = [
        RosterEntry(kit.name, kit.link_public, kit.psk, kit.sign_public, kit.revoked) for kit in centre.peers.kits()
    ]
    return sign_roster(centre.peers.version(), entries, centre.keys.sign_secret)


class RosterOutbox:
    """The outbox for one peer (`node.seams.Outbox`): the newest roster, until it is confirmed."""

    def __init__(self) -> None:
        self._roster = b""
        self._confirmed = True
        self._under_way: OrderedDict[bytes, bytes] = OrderedDict()

    def offer(self, roster: bytes) -> None:
        """Give the peer this roster from now on."""
        if roster == self._roster:
            return
        self._roster, self._confirmed = roster, False
        self._under_way[self._object_id] = roster
        while len(self._under_way) > VERSIONS_MAX:
            self._under_way.popitem(last=False)

    def pending(self) -> Sequence[Offer]:
        if self._confirmed:
            return ()
        return (Offer(self._object_id, objects.ROSTER, len(self._roster), digest_of(self._roster), PRIORITY),)

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        return self._under_way.get(object_id, b"")[offset : offset + size].ljust(size, b"\0")

    def in_custody(self, object_id: bytes) -> None:
        self.receipt(object_id, b"")

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        self._confirmed = self._confirmed or object_id == self._object_id
        self._under_way.pop(object_id, None)

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        if not refusal.temporary:
            self.receipt(object_id, b"")

    @property
    def _object_id(self) -> bytes:
        return hashlib.blake2b(self._roster, digest_size=objects.ID_SIZE, person=b"feldsher roster").digest()
