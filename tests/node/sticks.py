"""A stick that is carried between a kit and a gateway whose stores are in memory; the stick itself is a whole disk."""

import contextlib
import random

from node.carrying import Carrier, Far
from node.host import Grant
from node.idle import NothingTaken
from node.stick import mark
from tests.sim.disk import SimDisk
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.errors import UsageError
from wire.noise import KeyPair

OTHER = KeyPair.from_secret(b"o" * 32)
STEPS_MAX = 100_000


class Slot:
    """Where a stick may be put in; what a carrier is given to mount."""

    def __init__(self, disk=None):
        self.disk = disk

    def __call__(self):
        if self.disk is None:
            raise UsageError("no such folder")
        return contextlib.nullcontext(self.disk)


def marked(seed=0, capacity=1 << 30):
    disk = SimDisk(seed, capacity=capacity)
    mark(disk)
    return disk


class End:
    """One node's carrier with its slot; a new one is a node that was started anew."""

    def __init__(self, identity, slot, inbox, grants, far=(), seed=1, **options):
        self.slot = slot
        self.now = 0.0
        entropy = random.Random(seed).randbytes
        self.carrier = Carrier("dir:///stick", slot, identity, grants, inbox, entropy, far, **options)
        self.told = []

    def step(self):
        """Let the carrier do one step; tell whether it has more to do."""
        self.carrier.tick(self.now)
        self.told += self.carrier.events()
        return self.carrier.deadline() <= self.now

    def visit(self, disk=None):
        """Put the stick in, let the node do all that it wants, take the stick out."""
        self.slot.disk = disk if disk is not None else self.slot.disk
        self.settle()
        status = self.carrier.status
        self.slot.disk = None
        self.settle()
        return status

    def settle(self):
        """Let the node do all that it wants, looking at the stick twice."""
        for _ in range(2):
            self.now += 20
            for _ in range(STEPS_MAX):
                if not self.step():
                    break
            else:
                raise AssertionError("it does not come to an end")

    def kinds(self):
        return {event.kind for event in self.told}


class Kit(End):
    """A kit, or another one: `identity`."""

    def __init__(self, outbox=None, identity=KIT, seed=1, inbox=None, **options):
        self.outbox = outbox or MemoryOutbox()
        far = [Far(GATEWAY.public, self.outbox, self.is_settled)]
        grant = Grant(PSK, "gateway")
        super().__init__(
            identity,
            Slot(),
            inbox or NothingTaken(),
            lambda public: grant if public == GATEWAY.public else None,
            far,
            seed,
            **options,
        )

    def is_settled(self, object_id):
        """A spool is the only one under its key; an outbox in memory knows its own objects."""
        return object_id in getattr(self.outbox, "receipts", [object_id])


class Ground(End):
    """A gateway that lets in whom `known` names."""

    def __init__(self, inbox=None, known=(KIT.public,), seed=2, **options):
        self.inbox = inbox or MemoryInbox()
        self.known = set(known)
        grant = Grant(PSK, "kit")
        super().__init__(
            GATEWAY, Slot(), self.inbox, lambda public: grant if public in self.known else None, (), seed, **options
        )


def parcels(disk):
    """Return the names of the files on a stick."""
    return disk.list("feldsher")
