"""The serial line between a kit's modem driver and a simulated modem: `node/serial_line.py`'s part, in virtual time.

The modem stands in the van and outlives the kit's process; the driver belongs to the process and is made anew with each
opening of its way, as `ModemShell` does. Everything that a driver is called for goes through `KitNode.guard`, for its
ears end at the kit's disk. Every byte of the line is shown to the world's checkers.
"""

from edge.way import RoadStatus
from hardware.simulated.modems.timing import earliest
from node.disk import put_file
from node.modems.scripted import Hands, NoPower
from node.modems.seam import ModemState
from node.serial_line import FAREWELL_S_MAX, RETRY_S_MIN
from tests.sim.world import Alarm
from wire.errors import DiskError, DiskFull

ROUNDS_MAX = 64
"""Turns of bytes between driver and modem at one instant; more would be a quarrel."""
LATENCY_S = 0.01
"""Bytes that come within this time are read at once; a USB adapter waits 16 ms for more."""
SEAM = 64
"""So many bytes of what came before are looked at with what comes, so that nothing hides in between."""


class ModemLine:
    """One modem on one line of one kit; the seam `edge.way.Road`. `make_driver(ears, hands)` gives the driver.

    `ledger` is told when the road is open. `watch(data)` sees what goes over the line.
    """

    def __init__(self, world, kit, sim, make_driver, baud, ledger, watch, *, has_power=True):
        self.world, self.kit, self.sim, self.ledger = world, kit, sim, ledger
        self._make_driver, self._watch, self.has_power = make_driver, watch, has_power
        self.driver = self._ears = self._deaf = None
        self.is_wanted = self.is_open = False
        self._open_at = self._leave_by = None
        self._baud = sim.host_baud = baud
        self._seams = {"<": b"", ">": b""}
        self.alarm = Alarm(world, self.deadline, self.step, LATENCY_S)
        self.alarm.look()

    # The seam of roads

    def road(self, ears):
        """A process begins: these are its ears."""
        self._ears = ears
        return self

    def open(self):
        self.is_wanted = True
        self.ledger.opened()
        if self.driver is None:
            self._begin()
        self.alarm.look()

    def close(self):
        self.is_wanted = False
        self.ledger.closed()
        if self._deaf is not None:
            self._deaf.ears = None
        if self.driver is not None and self._leave_by is None:
            self._leave_by = self.world.now + FAREWELL_S_MAX
            if self.is_open:
                self.driver.hang_up(self.world.now)
        self.alarm.look()

    def turn(self):
        return False

    def status(self):
        if self.driver is None or not self.is_wanted:
            return RoadStatus()
        status = self.driver.status()
        return RoadStatus(
            needs_person=status.state is ModemState.LOCKED,
            text=status.trouble or status.state.value,
            model=status.model,
            operator=status.operator,
        )

    def process_ended(self, *, with_supply):
        """The kit's process is gone, and what it knew; perhaps the modem's supply with it."""
        if self._deaf is not None:
            self._deaf.ears = None
        self.ledger.closed()
        self.driver = self._deaf = self._open_at = self._leave_by = None
        self.is_wanted = self.is_open = False
        if with_supply:
            self.sim.rail.set(False)
            if not self.has_power:
                self.world.after(3.0, lambda: self.sim.rail.set(True))
        self.alarm.look()

    # What the driver holds in its hands

    def set_baud(self, baud):
        self._baud = self.sim.host_baud = baud

    def set_dtr(self, on):
        self.sim.set_dtr(on, self.world.now)

    def reopen(self):
        self._open_at = self.world.now

    def unsent(self):
        return 0

    def has_carrier(self):
        return self.sim.is_carrier

    # The shell's part

    def _begin(self):
        self._deaf = _Ears(self._ears)
        power = self.sim.rail if self.has_power else NoPower()
        hands = Hands(self.world.entropy, self, power, DiskNotes(self.kit), self.alarm.look)
        self.driver = self._make_driver(self._deaf, hands)
        self._open_at, self._leave_by = self.world.now, None

    def deadline(self):
        driver = self.driver.deadline() if self.driver is not None else None
        return earliest(driver, self.sim.deadline(), self._open_at, self._leave_by)

    def step(self):
        """Carry bytes both ways, and let both ends have their time."""
        now = self.world.now
        self.sim.tick(now)
        self._mind_the_line(now)
        for _ in range(ROUNDS_MAX):
            if not self._carry(now):
                break
        self._mind_the_farewell(now)
        self.alarm.look()

    def _carry(self, now):
        data = self.sim.output()
        self._show("<", data)
        if data and self.is_open:
            self._do(lambda: self.driver.feed(data, now))
        if self.driver is not None and (at := self.driver.deadline()) is not None and at <= now:
            self._do(lambda: self.driver.tick(now))
        said = self.driver.output() if self.driver is not None else b""
        self._show(">", said)
        if said and self.is_open:
            self.sim.feed(said, now)
        return bool(said)

    def _show(self, way, data):
        if data:
            self._watch(self._seams[way] + data)
            self._seams[way] = (self._seams[way] + data)[-SEAM:]

    def _do(self, call):
        """Call the driver; what that comes to in the kit may be the end of its process."""
        self.kit.guard(call)

    def _mind_the_line(self, now):
        if self.driver is None:
            return
        is_due = self._open_at is not None and self._open_at <= now
        if self.is_open and (is_due or not self.sim.is_present):
            self.is_open, self._open_at = False, now + RETRY_S_MIN
            self._do(lambda: self.driver.lost(now))
        elif not self.is_open and is_due and self._leave_by is None:
            if self.sim.is_present:
                self.is_open, self._open_at = True, None
                self._do(lambda: self.driver.open(now))
            else:
                self._open_at = now + RETRY_S_MIN

    def _mind_the_farewell(self, now):
        """A driver that has hung up is gone; the way may have been opened again meanwhile."""
        if self._leave_by is None or self.driver is None:
            return
        if self.is_open and now < self._leave_by and self.driver.status().state is not ModemState.OFF:
            return
        self.driver.lost(now)
        self.driver = self._leave_by = self._open_at = None
        self.is_open = False
        if self.is_wanted:
            self._begin()


class _Ears:
    """The ears of a way, until its road is closed."""

    def __init__(self, ears):
        self.ears = ears

    def bearer_up(self, bearer, now):
        if self.ears is not None:
            self.ears.bearer_up(bearer, now)

    def bearer_down(self, bearer, now):
        if self.ears is not None:
            self.ears.bearer_down(bearer, now)

    def receive(self, bearer, frame, now):
        if self.ears is not None:
            self.ears.receive(bearer, frame, now)

    def tick(self, now):
        if self.ears is not None:
            self.ears.tick(now)


class DiskNotes:
    """The note of a PIN's guard on the kit's own card (`node.modems.modem_road.FileNotes`)."""

    PATH = "sim.note"

    def __init__(self, kit):
        self._kit = kit

    def read(self):
        disk = self._kit.disk
        try:
            return disk.read(self.PATH).decode() if disk.exists(self.PATH) else ""
        except DiskError as error:
            raise OSError(str(error)) from error

    def write(self, text):
        try:
            put_file(self._kit.disk, self.PATH, text.encode())
        except (DiskError, DiskFull) as error:
            raise OSError(str(error)) from error
