"""The ground station: takes custody of what kits send and passes it to the server, without being able to read it.

Two links with a depot between them. Towards kits the station is a `Host`: it lets in who is on the roster. Towards the
server it is a `Caller`: it offers what lies in the depot, hears the receipts, and takes new rosters and the kits'
worklists, which it passes on to them (`gateway.lists`). A receipt is given to the kit at once when its session lives,
and otherwise when the kit offers the object again. Parcels on a stick are taken as what a session brings, and
answered on the stick (`node/carrying.py`), which also takes the worklists along.

Synchronous and driven from outside, like the links themselves: no socket, no thread, no clock of its own. May call
`node` and `wire`. What survives a crash at any instant: every object in custody, every receipt, every partial object up
to its last fsync, the roster and the worklists. What does not: sessions, which the callers begin anew.

After a failed disk the station raises DiskError, and whoever runs it opens it anew. An object that alone cannot be read
is given up: its kit, which keeps it until the receipt, is made to call again, offers it again and brings it again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from gateway.depot import RESERVE_BYTES, Depot, FromKits, ToServer
from gateway.lists import ByStick, Lists, ToKit
from gateway.roster import FromServer, Roster
from node.apart import Call
from node.carrying import Carrier, Far, Mount
from node.disk import Disk
from node.entropy import Entropy
from node.link import Caller, Event, Host
from node.rereading import UnreadableError
from node.seams import Bearer
from node.tracing import NO_TRACE, Trace
from wire.noise import KeyPair


@dataclass(frozen=True, slots=True)
class Upstream:
    """How to recognise the server: its link key, the psk of this gateway, the key that signs rosters."""

    link_public: bytes
    psk: bytes
    sign_public: bytes


class Station:
    """See the module's text. `on_event` gets every event of both links, for the log; `trace` is shown every frame."""

    def __init__(
        self,
        identity: KeyPair,
        upstream: Upstream,
        disk: Disk,
        entropy: Entropy,
        on_event: Callable[[Event], None] = lambda _: None,
        reserve_bytes: int = RESERVE_BYTES,
        trace: Trace = NO_TRACE,
    ) -> None:
        self._on_event = on_event
        self.depot = Depot(disk, reserve_bytes)
        self.roster = Roster(disk, upstream.sign_public)
        self.lists = Lists(disk, upstream.sign_public)
        inbox = FromKits(self.depot)
        self.host = Host(identity, self.roster.grant, lambda kit: ToKit(self.lists, kit), inbox, entropy, trace=trace)
        self.host.tells_strangers = self.roster.is_known
        self._call = partial(
            Caller,
            identity,
            upstream.link_public,
            upstream.psk,
            ToServer(self.depot),
            FromServer(disk, self.roster, self.lists),
            entropy,
            trace=trace,
        )
        self.caller = self._call()
        self.kits = Side(lambda: self.host, self._do)
        """The end of the bearers on which kits are heard."""
        self.server = Side(lambda: self.caller, self._do)
        """The end of the bearer to the server."""
        self._slots: list[Carrier] = []
        self._add = partial(
            Carrier, identity=identity, inbox=inbox, entropy=entropy, take_whole=inbox.take, trace=trace
        )
        self._roster_version = self.roster.version
        self._crossed = False

    def add_slot(self, place: str, mount: Mount) -> Carrier:
        """Take parcels from the sticks that are put in at `place`, write answers to them, and the kits' worklists."""
        self._slots.append(self._add(place, mount, authorize=self.roster.grant, is_alone=True))
        self._slots[-1].carry_to(self._far())
        return self._slots[-1]

    def _far(self) -> list[Far]:
        """Return an outbox of its own for each kit that has a list."""
        return [Far(kit, ByStick(self.lists, kit)) for kit in self.lists.kits]

    @property
    def slots(self) -> Sequence[Carrier]:
        """Where sticks are put in."""
        return self._slots

    def tick_slots(self, now: float) -> float | None:
        """Do the next step on each stick, at once; return when to call it again, None when there is no slot."""
        for slot in self._slots:
            if slot.deadline() <= now:
                self._do(partial(slot.tick, now), now)
        return min((slot.deadline() for slot in self._slots), default=None)

    def advance_slot(self, slot: Carrier, now: float) -> Call | None:
        """Go on with one stick; return the call to it that must be made before the next (`Carrier.settle`)."""
        calls: list[Call | None] = []
        self._do(lambda: calls.append(slot.advance(now)), now)
        return calls[0] if calls else None

    def tick(self, now: float) -> None:
        """Let time pass on both links; to be called at `deadline()`, or earlier."""
        self.kits.tick(now)
        self.server.tick(now)
        self.tick_slots(now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        times = (self.host.deadline(), self.caller.deadline(), *(slot.deadline() for slot in self._slots))
        return min((at for at in times if at is not None), default=None)

    def crossed(self) -> bool:
        """Tell whether one link has given the other something to do since the last call: both deadlines are new."""
        crossed, self._crossed = self._crossed, False
        return crossed

    def _do(self, call: Callable[[], None], now: float) -> None:
        """Make a call on one of the links and carry over what it brought; what cannot be read is given up."""
        todo = call
        while True:
            try:
                todo()
                return self._settle(now)
            except UnreadableError as error:
                todo = partial(self._lose, error, now)

    def _lose(self, error: UnreadableError, now: float) -> None:
        peer = self.depot.lose(error.object_id)
        self._on_event(Event("refused", peer, error.object_id, f"{error}; its kit is asked for it again"))
        self.host.drop(peer)
        self.caller = self._call()
        if self.server.bearer is not None:
            self.caller.bearer_up(self.server.bearer, now)

    def _settle(self, now: float) -> None:
        """Carry over from one link to the other what the last call brought."""
        self.host.tells_strangers = self.roster.is_known
        arrived, receipts = self.depot.drain()
        revoked = self.roster.drain_revoked()
        new_lists, taken = self.lists.drain()
        self._crossed = self._crossed or bool(arrived or receipts or revoked or new_lists or taken)
        for kit in new_lists:
            self.host.nudge(kit, now)
        for object_id, word in taken:
            self.caller.answer(object_id, word, now)
        for peer, object_id, receipt in receipts:
            self.host.answer(peer, object_id, receipt, now)
        for peer in revoked:
            self.host.drop(peer)
            self.lists.forget(peer)
        self._tell_slots(bool(receipts or taken), bool(new_lists or revoked))
        told = (self.host.events(), self.caller.events(), *(slot.events() for slot in self._slots))
        for event in chain.from_iterable(told):
            self._on_event(event)
        if arrived:
            self.caller.nudge(now)

    def _tell_slots(self, has_receipts: bool, has_lists: bool) -> None:
        """Receipts and lists are written on the sticks that are in; a new roster lets others in, or not any more."""
        is_new, self._roster_version = self.roster.version != self._roster_version, self.roster.version
        for slot in self._slots if has_lists else ():
            slot.carry_to(self._far())
        for slot in self._slots if has_receipts or is_new else ():
            slot.nudge(retry=is_new)


class Side:
    """One link of the station as its bearers see it: what a call brings is carried over before it returns."""

    def __init__(self, link: Callable[[], Caller | Host], do: Callable[[Callable[[], None], float], None]) -> None:
        self._link = link
        self._do = do
        self.bearer: Bearer | None = None
        """The newest bearer; the one there is, towards the server."""

    def tick(self, now: float) -> None:
        """Let time pass; to be called at `deadline()`, or earlier."""
        self._do(lambda: self._link().tick(now), now)

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""
        return self._link().deadline()

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """A bearer can carry frames from now on."""
        self.bearer = bearer
        self._do(lambda: self._link().bearer_up(bearer, now), now)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        """A bearer is gone."""
        self.bearer = None if bearer is self.bearer else self.bearer
        self._do(lambda: self._link().bearer_down(bearer, now), now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        """A frame has come. Never raises on hostile bytes; raises DiskError when the disk fails."""
        self._do(lambda: self._link().receive(bearer, frame, now), now)
