"""Whom the station lets in: the newest roster that the server has signed, kept over restarts; what the server sends.

Owns the file `roster` of its disk and the folder `roster-intake`. A roster that is older than the one held, or not
signed by the server, changes nothing. Until the first one has come, no kit is let in: its studies wait in the kit. A
file that the disk has damaged, or cannot read, counts as none; the server gives the roster again.
"""

import contextlib
from typing import Final

from gateway.lists import Lists
from node.disk import Disk, put_file
from node.landing import Landing, Whole
from node.link import Grant
from node.seams import Custody, Damaged, NotOpen, Offer, RangeSet, Receipt, Refusal
from node.spool import digest_of
from wire import objects
from wire.errors import AuthError, DiskError, DiskFull, FormatError
from wire.roster import RosterEntry, verify_roster
from wire.seal import SIGNATURE_SIZE
from wire.worklist import WORKLIST_SIZE_MAX

FILE: Final = "roster"
SIZE_MAX: Final = 4 << 20
SIZES_MAX: Final = {objects.ROSTER: SIZE_MAX, objects.WORKLIST: SIGNATURE_SIZE + WORKLIST_SIZE_MAX}
"""What the server may send."""


class Roster:
    """See the module's text."""

    def __init__(self, disk: Disk, server_sign_public: bytes) -> None:
        self._disk = disk
        self._server_sign_public = server_sign_public
        self.version = -1
        self._digest = b""
        self._entries: dict[bytes, RosterEntry] = {}
        self._revoked: list[bytes] = []
        if disk.exists(FILE):
            with contextlib.suppress(AuthError, FormatError, DiskError):
                self._enter(disk.read(FILE))

    @property
    def is_known(self) -> bool:
        """A roster has come: until then nobody can be called a stranger."""
        return self.version >= 0

    @property
    def kits(self) -> list[RosterEntry]:
        """Everybody on the roster, revoked ones too, by name."""
        return sorted(self._entries.values(), key=lambda entry: entry.name)

    def grant(self, link_public: bytes) -> Grant | None:
        """Return the rights of the kit with this link key; None for a stranger and for one who is revoked."""
        entry = self._entries.get(link_public)
        return Grant(entry.psk, entry.name) if entry and not entry.revoked else None

    def name_of(self, link_public: bytes) -> str:
        """Return what to call this kit in a message."""
        entry = self._entries.get(link_public)
        return entry.name if entry else link_public.hex()[:16]

    def holds(self, digest: bytes) -> bool:
        """Tell whether the roster with this digest is the one in force."""
        return digest == self._digest

    def take(self, data: bytes) -> None:
        """Put a newer roster in force, durably. Raises AuthError, FormatError; an older one changes nothing."""
        if verify_roster(data, self._server_sign_public).version > self.version:
            put_file(self._disk, FILE, data)
            self._enter(data)

    def drain_revoked(self) -> list[bytes]:
        """Return the link keys that have lost their rights since the last call."""
        drained, self._revoked = self._revoked, []
        return drained

    def _enter(self, data: bytes) -> None:
        roster = verify_roster(data, self._server_sign_public)
        entries = {entry.link_public: entry for entry in roster.entries}
        granted = {key for key, entry in self._entries.items() if not entry.revoked}
        self._revoked += [key for key in granted if key not in entries or entries[key].revoked]
        self._entries, self.version, self._digest = entries, roster.version, digest_of(data)


class FromServer:
    """The inbox of the link to the server (`node.seams.Inbox`): rosters and the kits' worklists, and nothing else."""

    def __init__(self, disk: Disk, roster: Roster, lists: Lists) -> None:
        self._disk = disk
        self._roster = roster
        self._lists = lists
        self._landing = Landing(disk, "roster-intake", 0)
        for whole in self._landing.waiting:
            self._landing.taken(whole)

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        kind = objects.KINDS.get(offer.kind, str(offer.kind))
        size_max = SIZES_MAX.get(offer.kind)
        if size_max is None:
            return Refusal(objects.NOT_WANTED, f"a gateway takes no {kind}")
        if offer.size > size_max:
            return Refusal(objects.TOO_LARGE, f"a {kind} of {offer.size} bytes; at most {size_max}")
        if offer.kind == objects.WORKLIST:
            return self._lists.known(offer) or self._landing.open(peer, offer)
        return Receipt() if self._roster.holds(offer.digest) else self._landing.open(peer, offer)

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        return self._landing.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        whole = self._landing.finish(peer, object_id)
        if not isinstance(whole, Whole):
            return whole
        kind = objects.KINDS[whole.offer.kind]
        try:
            if whole.offer.kind == objects.WORKLIST:
                return self._lists.take(self._disk.read(whole.path))
            self._roster.take(self._disk.read(whole.path))
        except (AuthError, FormatError) as error:
            return Refusal(objects.NOT_ALLOWED, f"{kind}: {error}")
        except DiskFull as error:
            return Refusal(objects.DISK_FULL, f"{kind}: {error}")
        finally:
            self._landing.taken(whole)
        return Receipt()
