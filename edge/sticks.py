"""The road of a `dir://` way: what may go by hand is written onto the stick while one is in (`node/carrying.py`).

It gives no bearer and costs nobody's session. While its way is open a `Carrier` looks for the stick; what lies on it is
told to the ways, for a copy that is under way saves money. Receipts that come back on it go to the kit's outbox, a
worklist that comes with it goes where a session's does, from each gateway of the enrolment.
Calls to the stick are made apart (`node/apart.py`): one that hangs holds up neither devices nor links, nor the end of
the process for more than CLOSE_S_MAX. Nothing survives but what is on the stick and in the kit's stores.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from edge.kit import Kit
from edge.way import RoadStatus
from node import entropy
from node.apart import Apart, Call
from node.carried import CarryStatus
from node.carrying import Carrier, Far, Mount
from node.disk import RealDisk
from node.entropy import Entropy
from node.host import Grant
from node.rereading import UnreadableError
from node.seams import Custody, Damaged, NotOpen, Offer, Outbox, RangeSet, Receipt, Refusal
from wire.errors import DiskError, DiskFull
from wire.noise import KeyPair

STEP_S: Final = 0.001
"""Between two steps of a visit the devices have their turn."""
STEP_S_MAX: Final = 1.0
CLOSE_S_MAX: Final = 3.0
"""So long the end of the process waits for a stick that hangs; then it is left as it is."""

log = logging.getLogger("feldsher")


class ForStick:
    """The kit's outbox, of which only what the way may carry is pending (`node.seams.Outbox`)."""

    def __init__(self, kit: Kit, may_carry: Callable[[Offer], bool]) -> None:
        self._kit, self._may_carry = kit, may_carry

    @property
    def _outbox(self) -> Outbox:
        return self._kit.outbox

    def pending(self) -> Sequence[Offer]:
        return [offer for offer in self._outbox.pending() if self._may_carry(offer)]

    def read(self, object_id: bytes, offset: int, size: int) -> bytes:
        return self._outbox.read(object_id, offset, size)

    def in_custody(self, object_id: bytes) -> None:
        self._outbox.in_custody(object_id)

    def receipt(self, object_id: bytes, receipt: bytes) -> None:
        self._outbox.receipt(object_id, receipt)

    def refused(self, object_id: bytes, refusal: Refusal) -> None:
        self._outbox.refused(object_id, refusal)


class FromStick:
    """The kit's inbox as it is now: it is made anew after a failed disk (`node.seams.Inbox`)."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    def offered(self, peer: bytes, offer: Offer) -> RangeSet | Custody | Receipt | Refusal:
        return self._kit.inbox.offered(peer, offer)

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal | NotOpen | None:
        return self._kit.inbox.write(peer, object_id, offset, data)

    def finish(self, peer: bytes, object_id: bytes) -> Custody | Receipt | Refusal | Damaged | NotOpen:
        return self._kit.inbox.finish(peer, object_id)


def carrier_of(kit: Kit, place: str, mount: Mount, outbox: Outbox, entropy: Entropy) -> Carrier:
    """Return what reads and writes the kit's parcels on the sticks at a place."""
    enrolment = kit.enrolment
    grants = {one.public: Grant(enrolment.psk, one.name) for one in enrolment.gateways}
    identity, far = KeyPair.from_secret(enrolment.link_secret), [Far(kit.gateway.public, outbox)]
    return Carrier(place, mount, identity, grants.get, FromStick(kit), entropy, far, trace=kit.trace)


class StickRoad:
    """The seam `edge.way.Road` for one place where sticks are put in. `carried` hears what lies on the present one."""

    def __init__(
        self, kit: Kit, place: Path, may_carry: Callable[[Offer], bool], carried: Callable[[Sequence[bytes]], None]
    ) -> None:
        self._kit, self._place, self._carried = kit, place, carried
        self._outbox = ForStick(kit, may_carry)
        self._carrier: Carrier | None = None
        self._task: asyncio.Task[None] | None = None
        self._apart = Apart(f"stick {place}")
        self._turn = asyncio.Lock()
        """One visitor at a time: who was told to go may still wait for a call that hangs."""
        self._pending: Sequence[Offer] = ()

    def open(self) -> None:
        kit, peer = self._kit, self._kit.gateway.public
        mount = partial(RealDisk, self._place)
        self._carrier = carrier_of(kit, str(self._place), mount, self._outbox, entropy.system)
        self._task = asyncio.ensure_future(self._run(self._carrier, peer))

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self._carrier = self._task = None
        self._kit.stick_busy = self._kit.stick_ready = False

    def turn(self) -> bool:
        return False

    def status(self) -> RoadStatus:
        carrier = self._carrier
        if carrier is None:
            return RoadStatus()
        status = carrier.status
        return RoadStatus(is_there=True, text=status.text(), model="stick" if status.is_there else "")

    async def closed(self) -> None:
        """Return when nothing is open any more, or the stick has hung for too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S_MAX), self._turn:
                return

    async def _run(self, carrier: Carrier, peer: bytes) -> None:
        async with self._turn:
            try:
                await self._visit(carrier, peer)
            except Exception:
                log.exception("%s", self._place)
                raise
            finally:
                await self._apart.make(carrier.leave())

    async def _visit(self, carrier: Carrier, peer: bytes) -> None:
        loop = asyncio.get_running_loop()
        while True:
            call = self._step(carrier, peer, loop.time())
            if call is not None:
                carrier.settle(await self._apart.make(call))
            await asyncio.sleep(min(max(carrier.deadline() - loop.time(), STEP_S), STEP_S_MAX))

    def _step(self, carrier: Carrier, peer: bytes, now: float) -> Call | None:
        """Go on, and return the call to the stick that is to be made before the next step."""
        kit, call = self._kit, None
        if kit.disk_failed:
            return None
        if (pending := kit.outbox.pending()) is not self._pending:
            self._pending = pending
            carrier.nudge()
        try:
            call = carrier.advance(now)
        except UnreadableError as error:
            kit.set_aside(error, now)
        except DiskFull as error:
            kit.alarm(str(error))
        except DiskError as error:
            kit.fail(error)
        for event in carrier.events():
            kit.note(event.kind, event.text)
        self._show(carrier.status, now)
        if not carrier.status.is_busy:
            self._carried(carrier.carried(peer))
        return call

    def _show(self, status: CarryStatus, now: float) -> None:
        """Tell the panel whether the stick may go, and the session what needs not be sent any more."""
        kit, is_ready = self._kit, status.is_there and not status.is_busy
        is_new = (kit.stick_busy, kit.stick_ready) != (status.is_busy, is_ready)
        kit.stick_busy, kit.stick_ready = status.is_busy, is_ready
        if kit.outbox.changed:
            kit.link.nudge(now)
        elif is_new:
            kit.settle(now)


__all__ = ["ForStick", "FromStick", "StickRoad", "carrier_of"]
