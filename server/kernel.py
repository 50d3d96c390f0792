"""The kernel: the centre's end of the link. Accepts gateways and kits, takes in what they bring, gives out the roster.

Synchronous and driven from outside, like every link: `node.reactor` gives it sockets and time, the simulation virtual
ones. May call the centre's stores and `node`. One rule orders everything: the receipt goes out only after `Ingest` has
committed. What a crash leaves whole in the landing but not yet ingested is ingested at the next start, before the first
bearer is opened.

The roster is offered to every gateway that has not confirmed the newest version in this run of the kernel; who has it
answers at once. So are the worklists of the kits that have not taken theirs (`server.outbox`). `POLL_S` after a
revocation at the latest, the revoked node's sessions are dropped.
"""

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Final

from node.daemon import log_event
from node.landing import Landing, Whole
from node.link import Event, Grant, Host
from node.reactor import HostShell
from node.sealer import chunks_of
from node.seams import Bearer, Custody, Damaged, NotOpen, Offer, RangeSet, Receipt, Refusal
from node.tracing import NO_TRACE, Trace
from node.url import parse_url
from server.centre import Centre
from server.database import UnavailableError
from server.outbox import PeerOutbox, Waiting
from server.peers import Gateway
from server.roster import signed_roster
from wire import objects
from wire.noise import KeyPair

POLL_S: Final = 1.0
"""How often the database is asked whether kits or gateways have changed."""
RESERVE_BYTES: Final = 256 << 20
"""Kept free on the centre's disk for the database and for what is under way."""

log = logging.getLogger("feldsher")


class FromPeers:
    """The inbox of the centre (`node.seams.Inbox`): the landing, and behind it the ingest."""

    def __init__(self, centre: Centre, reserve_bytes: int) -> None:
        self._centre = centre
        centre.files.sweep()
        self._landing = Landing(centre.disk, "link", reserve_bytes)
        self._held: dict[bytes, Whole] = {}
        """What is whole and found no room in the stores: tried again when it is offered again."""
        for whole in self._landing.waiting:
            self._ingest(whole)

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        try:
            answer: Receipt | Refusal | None = self._centre.ingest.known(offer)
        except UnavailableError as error:
            return Refusal(objects.BUSY, str(error))
        if answer is None and (held := self._held.get(offer.object_id)) and held.offer.digest == offer.digest:
            answer = self._ingest(held)
        return answer or self._landing.open(peer, offer)

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        return self._landing.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        whole = self._landing.finish(peer, object_id)
        return self._ingest(whole) if isinstance(whole, Whole) else whole

    def _ingest(self, whole: Whole) -> Receipt | Refusal:
        answer: Receipt | Refusal
        try:
            sender = self._centre.peers.by_link_key(whole.peer)
            name = sender.name if sender else whole.peer.hex()[:16]
            answer = self._centre.ingest.accept(whole.offer, chunks_of(self._centre.disk, whole.path), name)
        except UnavailableError as error:
            answer = Refusal(objects.BUSY, str(error))
        if isinstance(answer, Refusal) and answer.temporary:
            self._held[whole.offer.object_id] = whole
        else:
            self._held.pop(whole.offer.object_id, None)
            self._landing.taken(whole)
        return answer


class Kernel:
    """See the module's text. `on_event` gets every event of the link, for the log."""

    def __init__(
        self,
        centre: Centre,
        on_event: Callable[[Event], None] = lambda _: None,
        reserve_bytes: int = RESERVE_BYTES,
        trace: Trace = NO_TRACE,
    ) -> None:
        self._centre = centre
        self._on_event = on_event
        self._outboxes: dict[bytes, PeerOutbox] = {}
        self._waiting = Waiting(centre.worklists)
        self._version = centre.peers.version()
        self._roster = signed_roster(centre)
        self._poll_at = 0.0
        identity = KeyPair.from_secret(centre.keys.link_secret)
        inbox = FromPeers(centre, reserve_bytes)
        self.host = Host(
            identity, self._authorize, self._outbox_for, inbox, centre.entropy, tell_strangers=True, trace=trace
        )

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        """A bearer can carry frames from now on."""
        self.host.bearer_up(bearer, now)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        """A bearer is gone."""
        self.host.bearer_down(bearer, now)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        """A frame has come. Never raises on hostile bytes; raises DiskError when a disk fails.

        Who calls while the database does not answer is not heard, and calls again.
        """
        with contextlib.suppress(UnavailableError):
            self.host.receive(bearer, frame, now)
        self._report(now)

    def tick(self, now: float) -> None:
        """Let time pass; to be called at `deadline()`, or earlier."""
        if now >= self._poll_at:
            self._poll_at = now + POLL_S
            with contextlib.suppress(UnavailableError):
                self._follow_peers(now)
                if self._waiting.look():
                    self.host.nudge(None, now)
        self.host.tick(now)
        self._report(now)

    def deadline(self) -> float:
        """Return when `tick` wants to be called."""
        at = self.host.deadline()
        return self._poll_at if at is None else min(at, self._poll_at)

    def _authorize(self, link_public: bytes) -> Grant | None:
        peer = self._centre.peers.by_link_key(link_public)
        return None if peer is None else Grant(peer.psk, peer.name)

    def _outbox_for(self, link_public: bytes) -> PeerOutbox:
        peer = self._centre.peers.by_link_key(link_public)
        kit = None if isinstance(peer, Gateway) else link_public
        outbox = self._outboxes.setdefault(link_public, PeerOutbox(self._waiting, kit))
        if isinstance(peer, Gateway):
            outbox.roster.offer(self._roster)
        return outbox

    def _follow_peers(self, now: float) -> None:
        """Drop who was revoked and offer the new roster to every gateway, when anything has changed."""
        version = self._centre.peers.version()
        if version == self._version:
            return
        self._roster = signed_roster(self._centre)
        for link_public in list(self._outboxes):
            if self._centre.peers.by_link_key(link_public) is None:
                self.host.drop(link_public)
                del self._outboxes[link_public]
            else:
                self._outbox_for(link_public)
        self._version = version
        self.host.nudge(None, now)

    def _report(self, now: float) -> None:
        for event in self.host.events():
            self._on_event(event)
            if event.kind == "session":  # what changed while it was half open was not said to it
                self.host.nudge(event.peer, now)


async def start(centre: Centre, urls: Sequence[str], trace: Trace = NO_TRACE) -> None:
    """Run a kernel on these addresses until cancelled. Raises UsageError, DiskError."""
    kernel = Kernel(centre, log_event, trace=trace)
    shell = HostShell(kernel, lambda: None)
    for url in urls:
        log.info("listening for gateways and kits on %s", await shell.listen(parse_url(url)))
    shell.tick()
    await shell.run()
