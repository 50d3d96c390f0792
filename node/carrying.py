"""Objects that are carried by hand: one folder on a stick, looked at again and again, and what is done on a visit.

    kit, `link send`:  answers are read and told to the outbox, what waits is written, what has been taken is removed
    gateway, `serve`:  parcels are read into the inbox, and what the inbox says of their objects is written back

Both are the same code; a node may do both, as a gateway with worklists for kits does. `Carrier` is synchronous: `tick`
does one small step (a parcel read, an object taken, a quarter of a megabyte written, one fsync), so that a kit goes on
listening to its devices; `deadline` says when it wants the next. Between visits nothing of the stick is kept open, so
that it can be pulled out.

A call to a stick that breaks may hang for half a minute. So a visit makes none itself: it yields each as a `Call`, and
goes on with what came of it. `tick` makes them at once (`link send`, the simulation); who cannot wait takes them by
`advance`, has them made elsewhere (`node/apart.py`), one at a time, and brings what came of each by `settle`.

What survives a crash: nothing of this, and nothing needs to. What is on the stick says itself what it is
(`node/departures.py`), what has arrived is in the inbox, what waits is in the outbox until its receipt. A `StickError`
ends a visit and is told by `status`; the errors of the node's own disk are raised.

May call `node.arrivals`, `node.departures`, `node.stick`, `wire`. The caller gives the stick as a function that opens
it (`functools.partial(RealDisk, path)`), and raises UsageError or DiskError when there is none.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from node.apart import Call, Outcome, attempt
from node.arrivals import Arrivals, TakeWhole
from node.carried import CarryStatus
from node.departures import Departures, Manifest, is_of_answers, pack_answers, read_manifest
from node.disk import Disk
from node.entropy import Entropy
from node.host import Grant
from node.seams import Inbox, Outbox
from node.stick import NAMES_MAX, Stick, StickError, StickFull, mark
from node.tally import Event, Events
from node.tracing import NO_TRACE, Trace
from wire import objects
from wire.blocks import BLOCK_SIZE, PARCEL_ID_SIZE, TAKEN_MAX, About
from wire.errors import DiskError, DiskFull, PeerError, UsageError
from wire.noise import KEY_SIZE, KeyPair
from wire.parcel import ParcelName, mailbox, seal

POLL_S: Final = 2.0
"""How often a look is taken whether something has come or gone."""
PARCELS_MAX: Final = NAMES_MAX // 2
"""Parcels on one stick that are ours."""
ROOM_KEPT: Final = 1 << 20
"""Left free on a stick for the answers."""
FAILURE_PAUSE_S: Final = 10.0
"""After a fault of the stick, or of the node's own disk."""

Mount = Callable[[], AbstractContextManager[Disk]]
Visit = Generator[Call | None, Any, None]
_T = TypeVar("_T")
_OVER: Final = object()


@dataclass(frozen=True)
class Far:
    """A far side to which objects are carried: its key, and what the outbox says of them.

    `is_settled` tells of an object that is not pending whether this outbox has had it: a kit's outbox is the only one
    under its key, one of `link send` is not.
    """

    public: bytes
    outbox: Outbox
    is_settled: Callable[[bytes], bool] = lambda _: True


class Carrier:
    """See the module's text. `makes` marks a folder that is not yet one (`link`); kits and gateways leave it alone.

    `is_alone`: nobody else carries under this key, so that what was written to somebody who is no far side is removed.
    """

    def __init__(
        self,
        place: str,
        mount: Mount,
        identity: KeyPair,
        authorize: Callable[[bytes], Grant | None],
        inbox: Inbox,
        entropy: Entropy,
        far: Sequence[Far] = (),
        *,
        makes: bool = False,
        is_alone: bool = False,
        poll_s: float = POLL_S,
        take_whole: TakeWhole | None = None,
        trace: Trace = NO_TRACE,
    ) -> None:
        self._mount, self._identity, self._authorize, self._entropy = mount, identity, authorize, entropy
        self._makes, self._is_alone, self._poll_s = makes, is_alone, poll_s
        self._mailbox = mailbox(identity.public)
        self._trace = trace
        self._events = Events(trace)
        self._far = tuple(far)
        self._departures: dict[bytes, Departures] = {}
        self._left: dict[bytes, int] = {}
        self._meet()
        self._arrivals = Arrivals(identity, authorize, inbox, self._heard, self._events, take_whole)
        self._manifests: dict[str, Manifest] = {}
        """Of our parcels on the stick, by name of file."""
        self._stuck: set[str] = set()
        """What is called as a parcel of ours, is none, and cannot be removed."""
        self._names: dict[str, ParcelName] = {}
        self._seen: set[str] | None = None
        self._stale = False
        """There may be something to write though nothing on the stick has changed."""
        self._visit: Visit | None = None
        self._outcome: Outcome | None = None
        self._opened: AbstractContextManager[Disk] | None = None
        """The stick while a visit lasts; touched by calls to the stick only."""
        self._next_at = float("-inf")
        self._status = CarryStatus(place)
        self.visits = 0
        """Looks at the stick that were ended in order."""

    # Driving

    def tick(self, now: float) -> None:
        """Do the next step, when it is time. Raises what the node's own disk raises."""
        try:
            call = self.advance(now)
        except BaseException:
            attempt(self._let_go)
            raise
        if call is None and self._visit is None:
            call = self._let_go
        if call is not None:
            self.settle(attempt(call))

    def advance(self, now: float) -> Call | None:
        """Go on to the next call to the stick and return it, to be made before this is called again; None: no call now.

        Raises what the node's own disk raises.
        """
        if self._visit is None:
            if self._opened is not None:
                return self._let_go
            if now < self._next_at:
                return None
            self._visit = self._look()
        outcome, self._outcome = self._outcome, None
        try:
            return self._visit.send(None) if outcome is None else outcome.bring(self._visit)
        except StopIteration:
            self._visit, self._next_at = None, now + (0.0 if self._stale else self._poll_s)
            self.visits += 1
        except StickError as error:
            self._fail(str(error), now)
        except BaseException:
            self._visit, self._next_at, self._seen = None, now + FAILURE_PAUSE_S, None
            raise
        return None

    def settle(self, outcome: Outcome) -> None:
        """Take in what came of the call that `advance` returned."""
        if self._visit is not None:
            self._outcome = outcome

    def deadline(self) -> float:
        """Return when `tick` wants to be called; in the past while there is something to do."""
        is_visiting = self._visit is not None or self._opened is not None
        return float("-inf") if is_visiting else self._next_at

    def nudge(self, *, retry: bool = False) -> None:
        """The outbox has something new, or the inbox another word on an object. `retry`: others are let in now."""
        if retry:
            self._arrivals.retry()
        self._stale, self._next_at = True, float("-inf")

    def carry_to(self, far: Sequence[Far]) -> None:
        """Carry to these far sides from the next visit on; one that stays keeps the outbox that it has."""
        self._far = tuple(far)
        self.nudge()

    def close(self) -> None:
        """Let go of the stick, also in the middle."""
        attempt(self.leave())

    def leave(self) -> Call:
        """End the visit; the call that is returned lets go of the stick, after whatever call is still being made."""
        if self._visit is not None:
            self._visit.close()
        self._visit = self._outcome = None
        return self._let_go

    def events(self) -> list[Event]:
        """Return what has happened since the last call, for the log."""
        return self._events.fetch()

    @property
    def status(self) -> CarryStatus:
        """What there is to say of the stick now."""
        return self._status

    def carried(self, peer: bytes) -> list[bytes]:
        """Return the objects of which the stick that is in now holds something for this far side."""
        found = [one for manifest in self._on_stick(peer) for one in manifest.objects.items()]
        return list(dict.fromkeys(object_id for object_id, (_, ranges) in found if ranges))

    def _fail(self, trouble: str, now: float) -> None:
        self._visit, self._next_at, self._seen = None, now + FAILURE_PAUSE_S, None
        self._events.note("bearer", b"", f"{self._status.place}: {trouble}")
        self._status = CarryStatus(self._status.place, trouble=trouble)

    def _meet(self) -> None:
        known = self._departures
        self._departures = {
            one.public: known.get(one.public) or Departures(one.outbox, one.is_settled) for one in self._far
        }
        self._left = {peer: left for peer, left in self._left.items() if peer in self._departures}

    # A visit

    def _look(self) -> Visit:
        """Open the stick, and do what there is to do when something of it has changed."""
        try:
            disk = yield from _made(self._open)
        except (UsageError, DiskError):
            return self._gone()
        stick = Stick(disk)
        found = yield from _made(partial(self._survey, disk, stick))
        if found is None:
            return self._gone()
        names = {name: one for name, one in found.items() if name not in self._stuck}
        if self._stale or set(names) != self._seen:
            yield from self._work(stick, names)
        return None

    def _open(self) -> Disk:
        self._opened = self._mount()
        return self._opened.__enter__()

    def _let_go(self) -> None:
        """Close the stick. What it says to that is nothing to us: all that counts was synced."""
        opened, self._opened = self._opened, None
        if opened is not None:
            with contextlib.suppress(OSError, DiskError):
                opened.__exit__(None, None, None)

    def _survey(self, disk: Disk, stick: Stick) -> dict[str, ParcelName] | None:
        """Return the parcels on it that are ours, None when it is somebody else's."""
        if self._makes:
            try:
                mark(disk)
            except (DiskError, DiskFull) as error:
                raise StickError(f"cannot make a folder there: {error}") from error
        return stick.names(self._mailbox) if stick.is_marked else None

    def _gone(self) -> None:
        self._stale = False
        if self._status.is_there:
            self._events.note("bearer", b"", f"{self._status.place}: the stick is gone")
        self._status = CarryStatus(self._status.place)
        self._seen, self._names = None, {}
        self._manifests.clear()
        self._stuck.clear()
        self._arrivals.forget(())

    def _work(self, stick: Stick, names: dict[str, ParcelName]) -> Visit:
        if not self._status.is_there:
            self._events.note("bearer", b"", f"{self._status.place}: a stick is here")
        self._names, self._stale = names, False
        self._meet()
        self._show(is_busy=True)
        yield None
        self._arrivals.forget(names)
        yield from self._read_manifests(stick)
        yield from self._read(stick)
        trouble = ""
        try:
            for peer in sorted(self._arrivals.peers()):
                yield from self._answer(stick, peer)
            yield from self._clear_answers(stick)
            yield from self._clear_astray(stick)
            for peer in self._departures:
                yield from self._depart(stick, peer)
                yield None
        except StickError as error:
            if not (yield from _made(lambda: stick.is_marked)):
                raise StickError("the stick was pulled out; nothing is lost") from error
            trouble = str(error)
        self._seen = set(self._names)
        self._show(is_busy=False, trouble=trouble)

    def _show(self, *, is_busy: bool, trouble: str = "") -> None:
        there: dict[bytes, tuple[objects.Offer, int]] = {}
        for manifest in self._manifests.values():
            for object_id, (offer, ranges) in manifest.objects.items():
                there[object_id] = offer, ranges.total + there.get(object_id, (offer, 0))[1]
        carried = Counter(offer.kind for offer, size in there.values() if size or not offer.size)
        asked = Counter(offer.kind for offer, size in there.values() if offer.size and not size)
        self._status = CarryStatus(
            place=self._status.place,
            is_there=True,
            is_busy=is_busy,
            carried=carried,
            carried_bytes=sum(size for _, size in there.values()),
            asked=asked,
            unsettled=self._arrivals.unsettled,
            left=sum(self._left.values()),
            trouble=trouble,
        )

    def _read_manifests(self, stick: Stick) -> Visit:
        own = {name: parsed for name, parsed in self._names.items() if parsed.sender == self._mailbox}
        self._manifests = {name: manifest for name, manifest in self._manifests.items() if name in own}
        for name in own:
            if name in self._manifests:
                continue
            manifest = yield from self._own_manifest(stick, name)
            if manifest is None:
                self._events.note("bearer", b"", f"{self._status.place}: {name} is damaged; it is written anew")
                del self._names[name]
                if not (yield from _made(partial(stick.discard, name))):
                    self._stuck.add(name)
            else:
                self._manifests[name] = manifest
        self._arrivals.own = {parsed.parcel_id for parsed in own.values()}

    def _own_manifest(self, stick: Stick, name: str) -> Generator[Call | None, Any, Manifest | None]:
        """Return what a parcel of ours holds; None for one that is damaged, or of a later version of this program."""
        raw = yield from _made(partial(stick.read_slip, name, self._identity, is_of_answers))
        try:
            return None if raw is None else read_manifest(raw)
        except PeerError:
            return None

    def _read(self, stick: Stick) -> Visit:
        for departures in self._departures.values():
            departures.look()
        for name, parsed in self._names.items():
            if parsed.to != self._mailbox or self._arrivals.has_read(name):
                continue
            if self._arrivals.is_full:
                self._events.note("refused", b"", f"{self._status.place}: too many objects at once; some wait")
                return
            raw = yield from _made(partial(stick.read, name))
            self._trace.event("parcel", f"read {name}, {len(raw or b'')} bytes")
            yield from self._arrivals.read(name, raw)

    def _heard(self, peer: bytes, about: About, answer: objects.Answer) -> bool:
        departures = self._departures.get(peer)
        if departures is None or not departures.heard(about, answer):
            return False
        if isinstance(answer, objects.Receipt):
            self._events.note("sent", peer, f"{about.object_id.hex()}: its receipt came on a stick", about.object_id)
        elif isinstance(answer, objects.Refusal):
            text = f"{about.object_id.hex()} is refused, a stick says: "
            plain = text + str(objects.Refusal(answer.reason))
            self._events.note("refused", peer, text + str(answer), about.object_id, plain)
        return True

    # Answers to what has come

    def _answer(self, stick: Stick, peer: bytes) -> Visit:
        """Bring what the stick says to a peer in step with what there is to say; the new stands before the old goes."""
        grant = self._authorize(peer)
        if grant is None:
            return
        ids = self._arrivals.answered(peer)
        taken = [ids[at : at + TAKEN_MAX] for at in range(0, len(ids), TAKEN_MAX)]
        there = {manifest.digest: name for name, manifest in self._ours(peer) if manifest.digest}
        said: set[bytes] = set()
        for blocks, raw in pack_answers(self._arrivals.answers(peer), taken):
            digest = read_manifest(raw).digest
            said.add(digest)
            if digest not in there:
                yield from self._put(stick, peer, grant.psk, blocks, raw)
        for digest, name in there.items():
            if digest not in said:
                yield from self._remove(stick, name)

    def _clear_answers(self, stick: Stick) -> Visit:
        """Remove answers to parcels that are not there any more: they have been read."""
        asking = {parsed.sender for parsed in self._names.values() if parsed.to == self._mailbox}
        for name, manifest in list(self._manifests.items()):
            if manifest.digest and self._names[name].to not in asking:
                yield from self._remove(stick, name)

    def _clear_astray(self, stick: Stick) -> Visit:
        """Remove what was written to somebody who is no far side any more, as a kit that was revoked."""
        known = {mailbox(peer) for peer in self._departures if self._authorize(peer) is not None}
        for name, manifest in list(self._manifests.items()) if self._is_alone else ():
            if not manifest.digest and self._names[name].to not in known:
                yield from self._remove(stick, name)

    # What is to be carried

    def _depart(self, stick: Stick, peer: bytes) -> Visit:
        """Remove what was read at the far side, and write what is not on the stick yet."""
        grant, departures = self._authorize(peer), self._departures[peer]
        if grant is None:
            return
        departures.look()
        taken = self._arrivals.taken(peer)
        for name, manifest in self._ours(peer):
            is_taken = self._names[name].parcel_id in taken
            if not manifest.digest and departures.is_over(manifest, is_taken):
                yield from self._remove(stick, name)
        waiting = departures.waiting(self._on_stick(peer), self._arrivals.have(peer))
        try:
            while waiting:
                room = yield from self._room(stick)
                blocks, raw = departures.pack(waiting, room)
                yield from self._put(stick, peer, grant.psk, blocks, raw)
        finally:
            self._left[peer] = len(departures.waiting(self._on_stick(peer), self._arrivals.have(peer)))

    def _room(self, stick: Stick) -> Generator[Call | None, Any, int]:
        """Return how many blocks may still be written. Raises StickFull."""
        free = yield from _made(stick.free)
        room = (free - ROOM_KEPT) // BLOCK_SIZE
        if room < 1 or len(self._manifests) >= PARCELS_MAX:
            raise StickFull("the stick is full")
        return room

    def _ours(self, peer: bytes) -> list[tuple[str, Manifest]]:
        to = mailbox(peer)
        return [(name, manifest) for name, manifest in self._manifests.items() if self._names[name].to == to]

    def _on_stick(self, peer: bytes) -> list[Manifest]:
        return [manifest for _, manifest in self._ours(peer)]

    def _put(self, stick: Stick, peer: bytes, psk: bytes, blocks: list[bytes], slip: bytes) -> Visit:
        parcel_id = self._entropy(PARCEL_ID_SIZE)
        name = ParcelName(mailbox(peer), self._mailbox, parcel_id)
        raw = seal(self._identity, peer, psk, self._entropy(KEY_SIZE), parcel_id, blocks, slip)
        yield None
        pieces = stick.write(name, raw)
        while (yield from _made(partial(next, pieces, _OVER))) is not _OVER:
            pass
        self._trace.event("parcel", f"wrote {name}, {len(raw)} bytes in {len(blocks)} blocks")
        self._names[str(name)], self._manifests[str(name)] = name, read_manifest(slip)

    def _remove(self, stick: Stick, name: str) -> Visit:
        yield from _made(partial(stick.remove, name))
        del self._names[name], self._manifests[name]


def _made(call: Callable[[], _T]) -> Generator[Call, Any, _T]:
    """Have a call to the stick made; return what it returned. Raises what it raised."""
    result: _T = yield call
    return result
