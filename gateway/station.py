"""The ground station: takes custody of what kits send and passes it to the server, without being able to read it.

Two links with a depot between them. Towards kits the station is a `Host`: it lets in who is on the roster. Towards the
server it is a `Caller`: it offers what lies in the depot, hears the receipts, and takes new rosters. A receipt is given
to the kit at once when its session lives, and otherwise when the kit offers the object again.

Synchronous and driven from outside, like the links themselves: no socket, no thread, no clock of its own. May call
`node` and `wire`. What survives a crash at any instant: every object in custody, every receipt, every partial object up
to its last fsync, and the roster. What does not: sessions, which the callers begin anew.

After a failed disk the station raises DiskError, and whoever runs it opens it anew.
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.depot import RESERVE_BYTES, Depot, FromKits, ToServer
from gateway.roster import FromServer, Roster
from node.disk import Disk
from node.entropy import Entropy
from node.idle import NothingToSend
from node.link import Caller, Event, Host
from node.seams import Bearer
from wire.noise import KeyPair


@dataclass(frozen=True, slots=True)
class Upstream:
    """How to recognise the server: its link key, the psk of this gateway, the key that signs rosters."""

    link_public: bytes
    psk: bytes
    sign_public: bytes


class Station:
    """See the module's text. `on_event` gets every event of both links, for the log."""

    def __init__(
        self,
        identity: KeyPair,
        upstream: Upstream,
        disk: Disk,
        entropy: Entropy,
        on_event: Callable[[Event], None] = lambda _: None,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._on_event = on_event
        self.depot = Depot(disk, reserve_bytes)
        self.roster = Roster(disk, upstream.sign_public)
        self.host = Host(
            identity, self.roster.grant, lambda _: NothingToSend(), FromKits(self.depot), entropy, tell_strangers=True
        )
        inbox = FromServer(disk, self.roster)
        self.caller = Caller(identity, upstream.link_public, upstream.psk, ToServer(self.depot), inbox, entropy)
        self.kits = Side(self.host, self._settle)
        """The end of the bearers on which kits are heard."""
        self.server = Side(self.caller, self._settle)
        """The end of the bearer to the server."""
        self._crossed = False

    def tick(self, now: float) -> None:
        """Let time pass on both links; to be called at `deadline()`, or earlier."""
        self.host.tick(now)
        self.caller.tick(now)
        self._settle(now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        return min((at for at in (self.host.deadline(), self.caller.deadline()) if at is not None), default=None)

    def crossed(self) -> bool:
        """Tell whether one link has given the other something to do since the last call: both deadlines are new."""
        crossed, self._crossed = self._crossed, False
        return crossed

    def _settle(self, now: float) -> None:
        """Carry over from one link to the other what the last call brought."""
        arrived, receipts = self.depot.drain()
        revoked = self.roster.drain_revoked()
        self._crossed = self._crossed or bool(arrived or receipts or revoked)
        if arrived:
            self.caller.nudge(now)
        for peer, object_id, receipt in receipts:
            self.host.answer(peer, object_id, receipt, now)
        for peer in revoked:
            self.host.drop(peer)
        for event in (*self.host.events(), *self.caller.events()):
            self._on_event(event)


class Side:
    """One link of the station as its bearers see it: what a call brings is carried over before it returns."""

    def __init__(self, link: Caller | Host, settle: Callable[[float], None]) -> None:
        self._link = link
        self._settle = settle

    def tick(self, now: float) -> None:
        """Let time pass; to be called at `deadline()`, or earlier."""
        self._link.tick(now)
        self._settle(now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        return self._link.deadline()

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """A bearer can carry frames from now on."""
        self._link.bearer_up(bearer, now)
        self._settle(now)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        """A bearer is gone."""
        self._link.bearer_down(bearer, now)
        self._settle(now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        """A frame has come. Never raises on hostile bytes; raises DiskError when the disk fails."""
        self._link.receive(bearer, frame, now)
        self._settle(now)
