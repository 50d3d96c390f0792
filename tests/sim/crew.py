"""Sticks and who carries them: from van to van, to the gateway and back, with all people do to them.

Real: `node/carrying.py` at both ends. A stick is a disk of its own. It is pulled out in the middle of a write, it
fails, it is lost on the way, and a copy that somebody made of it once is read at the gateway once more.
"""

import contextlib
import copy

from edge.sticks import StickRoad, carrier_of
from edge.way import RoadStatus
from node.apart import attempt
from node.stick import mark
from tests.sim.disk import SimDisk
from tests.sim.world import Alarm
from wire.errors import DiskError, UsageError

STEP_S = 0.02
"""One step of a visit: a block is read, a quarter of a megabyte written, one fsync."""
STICK_SIZE = 64 << 20
STAY_S = (20.0, 90.0)
DRIVE_S = (30.0, 240.0)
PATIENCE_S = 180.0
"""So long a careful person waits for the word that the stick may be pulled out."""
HASTE_S = (0.005, 2.0)
"""After so long a careless person pulls the stick out."""


class Plugged:
    """A stick in its slot (`node.disk.Disk`), until it is pulled out."""

    def __init__(self, disk):
        self._disk = disk
        self.is_in = True

    def __getattr__(self, name):
        if not self.is_in:
            raise DiskError(f"disk failed: {name}: No such device (errno 19)")
        return getattr(self._disk, name)


class Slot:
    """Where a stick may be put in; what a `Carrier` is given to mount."""

    def __init__(self):
        self.plugged = None

    def __call__(self):
        if self.plugged is None:
            raise UsageError("no such folder")
        return contextlib.nullcontext(self.plugged)

    def put_in(self, disk):
        self.plugged = Plugged(disk)

    def pull(self):
        self.plugged.is_in = False
        self.plugged = None


class SlotRoad(StickRoad):
    """The road of a `dir://` way on a simulated slot: `edge.sticks.StickRoad`, stepped by the world, not by asyncio."""

    def __init__(self, world, node, slot, may_carry, ledger):
        self._world, self._node, self._slot, self._ledger = world, node, slot, ledger
        super().__init__(node.process_in_making, "dir:///stick", may_carry, self._note_carried)
        self._last = float("-inf")
        self.alarm = Alarm(world, self.deadline, self.step)

    def open(self):
        kit = self._kit
        self._peer = kit.gateway.public
        self._carrier = carrier_of(kit, "dir:///stick", self._slot, self._outbox, self._world.entropy)
        self._ledger.opened()
        self.alarm.look()

    def close(self):
        if self._carrier is not None:
            self._carrier.close()
        self._carrier = None
        self._ledger.closed()

    def status(self):
        return super().status() if self._carrier is not None else RoadStatus()

    @property
    def is_busy(self):
        """Whether a careful person would wait."""
        return self._carrier is not None and (self._carrier.status.is_busy or not self._carrier.status.is_there)

    def deadline(self):
        if self._carrier is None or self._node.process is not self._kit:
            return None
        return max(self._carrier.deadline(), self._last + STEP_S)

    def step(self):
        self._last = self._world.now
        if self._carrier is not None and self._node.process is self._kit:
            self._node.guard(self._step_at_once)

    def _step_at_once(self):
        """The world has no threads: a call to the stick is made here."""
        carrier = self._carrier
        call = self._step(carrier, self._peer, self._world.now)
        if call is not None:
            carrier.settle(attempt(call))

    def nudge(self):
        """Something may be new: real ones look each second."""
        self.alarm.look()

    def _note_carried(self, object_ids):
        self._node.ways.carried(object_ids, self._ledger.way.name, self._world.now)


class Crew:
    """People who carry one stick. `slots`: of the vans, in the order in which they are visited; `road_of(slot)`."""

    def __init__(self, world, vans, ground, checks):
        self.world, self.vans, self.ground, self.checks = world, vans, ground, checks
        self.stick = self._new()
        self.is_peace = False
        self.trips = self.pulled = self.lost = self.copied = 0
        self._copy = None
        self._stop, self._patience_ends = 0, 0.0

    def _new(self):
        disk = SimDisk(self.world.rng.randrange(2**32), capacity=STICK_SIZE)
        mark(disk)
        return disk

    def set_out(self):
        """Begin, and go on for ever."""
        self._drive()

    def _drive(self):
        low, high = DRIVE_S
        self.world.after(self.world.rng.uniform(low, high if not self.is_peace else low), self._arrive)

    def _arrive(self):
        """The next stop: each van in turn, and then the gateway."""
        rng, at = self.world.rng, self._stop % (len(self.vans) + 1)
        if self._has_mishap(0.05):
            self.lost += 1
            self.stick = self._new()
        slot, is_busy = (self.ground.slot, self.ground.is_busy) if at == len(self.vans) else self.vans[at]
        if self._has_mishap(0.2):
            self.stick.fail(rng.choice(("EIO", "ENOSPC")), rng.randint(1, 200))
        slot.put_in(self.stick)
        self._patience_ends = self.world.now + PATIENCE_S
        is_hasty = self._has_mishap(0.3)
        stay_s = rng.uniform(*(HASTE_S if is_hasty else STAY_S))
        self.world.after(stay_s, lambda: self._leave(slot, is_busy, is_hasty=is_hasty, is_ground=at == len(self.vans)))

    def _has_mishap(self, chance):
        return not self.is_peace and self.world.rng.random() < chance

    def _leave(self, slot, is_busy, *, is_hasty, is_ground):
        if not is_hasty and is_busy():
            self.world.after(
                5.0, lambda: self._leave(slot, is_busy, is_hasty=self._has_mishap(0.1), is_ground=is_ground)
            )
            return
        slot.pull()
        self.look_at(self.stick)
        self.stick.fail_at = None
        if is_hasty:
            self.pulled += 1
            self.stick = self.stick.crash()
            if not self.stick.exists("feldsher"):
                mark(self.stick)
        if is_ground:
            self.trips += 1
        if is_ground and self._has_mishap(0.25):
            self._read_again(slot)
        else:
            self._stop += 1
            self._drive()

    def _read_again(self, slot):
        """The stick, or a copy of it as it once was, is put in at the gateway once more."""
        rng = self.world.rng
        before, self._copy = self._copy, copy.deepcopy(self.stick)
        again = before if before is not None and rng.random() < 0.5 else self.stick
        self.copied += again is before
        slot.put_in(again)

        def done():
            slot.pull()
            self._stop += 1
            self._drive()

        self.world.after(rng.uniform(*STAY_S), done)

    def look_at(self, stick):
        """No stick shows anything."""
        for path, data in stick.tree().items():
            self.checks.saw_carried(path, data)


class GroundSlot:
    """The gateway's slot."""

    def __init__(self, gateway):
        self.slot = Slot()
        self._gateway = gateway
        gateway.slots.append(self.slot)

    def is_busy(self):
        """Whether a careful person would wait."""
        if not self._gateway.alive:
            return True
        status = [one.status for one in self._gateway.process.slots]
        return any(one.is_busy or not one.is_there for one in status)
