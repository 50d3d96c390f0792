"""Iridium over the vans: one ground station, its DirectIP to and from the gateway, and a 9602 in each van that has one.

Real: the driver, the gateway's side of DirectIP (`gateway/iridium.py`). Simulated: modem, ground, the internet between.
The bill is the modem's own meter of credits, which counts what the network has done and not what anybody believes.
"""

from gateway.iridium import (
    CONNECTION_S_MAX,
    MT_SIZE_MAX,
    QUEUE_OF_ONE_MAX,
    Inlet,
    Iridium,
    Outbound,
    Outlet,
)
from hardware.simulated.modems.ground import QUEUE_MAX, Ground
from hardware.simulated.modems.iridium9602 import MO_SIZE_MAX, Iridium9602
from hardware.simulated.modems.network import TCP, VirtualNetwork
from hardware.simulated.modems.timing import earliest
from node.modems.sbd import BAUD, SbdModem
from tests.sim.lines import ModemLine
from tests.sim.world import Alarm
from wire.errors import FormatError

OWNER = ("192.0.2.10", 10800)
MT = ("192.0.2.20", 10800)
IMEI = 300_234_063_904_190
BUSY_S = 0.1
LOOK_S = 30.0


class Sky:
    """The ground station and the gateway's end of DirectIP."""

    def __init__(self, world, gateway, checks, faults):
        self.world, self.gateway, self.checks = world, gateway, checks
        self.internet = VirtualNetwork()
        self.ground = _Ground(self, OWNER, faults, world.rng.randrange(2**32), wants_confirmation=True)
        self.ground.listen(*MT)
        self.internet.listen(TCP, *OWNER, self)
        self.antennas = []
        self._inlets, self._call, self._since = [], None, 0.0
        self._life, self.outbound, self.iridium = None, None, None
        self.alarm = Alarm(world, self.deadline, self.step)

    # The gateway's process

    def follow(self):
        """With each process of the gateway begins another end of DirectIP; the connections of the one before break."""
        gateway = self.gateway
        if gateway.alive and self._life == gateway.life:
            return
        now = self.world.now
        for socket in (*(socket for socket, _ in self._inlets), *([self._call[0]] if self._call else [])):
            socket.close(now)
        self._inlets, self._call, self.outbound = [], None, None
        if gateway.alive:
            self._life = gateway.life
            self.outbound = Outbound(self.alarm.look, self._room)
            self.iridium = Iridium(self._receive, self.outbound)

    def _receive(self, bearer, frame):
        self.checks.saw_frame_of(frame, MO_SIZE_MAX, "DirectIP")
        gateway, life = self.gateway, self.gateway.life
        gateway.guard(lambda: gateway.process.kits.receive(bearer, frame, self.world.now))
        return gateway.alive and gateway.life == life

    def _room(self):
        if self.gateway.alive:
            self.gateway.guard(lambda: self.gateway.process.kits.tick(self.world.now))

    # Sockets of `gateway/iridium_road.py`

    def accepted(self, socket, now):
        self.follow()
        if self.outbound is None:
            socket.close(now)
        else:
            self._inlets.append((socket, Inlet(self.iridium)))

    def deadline(self):
        own = self.world.now + BUSY_S if self._call or self._inlets else None
        waiting = self.outbound.deadline() if self.outbound is not None and self._call is None else None
        return earliest(own, waiting, self.ground.deadline(), self.world.now + LOOK_S)

    def step(self):
        now = self.world.now
        self.follow()
        self.ground.tick(now)
        for socket, inlet in list(self._inlets):
            if not self._hear(socket, inlet, now) and (socket, inlet) in self._inlets:
                self._inlets.remove((socket, inlet))
        self._post_next(now)
        self._look_at_bounds()
        for antenna in self.antennas:
            antenna.alarm.look()

    def _hear(self, socket, inlet, now):
        while (data := socket.receive(now)) is not None:
            self.checks.saw_line(data)
            try:
                answer = inlet.feed(data)
            except FormatError:
                socket.close(now)
                return False
            self.follow()
            socket.send(answer, now)
        return not socket.error

    def _post_next(self, now):
        if self.outbound is None:
            return
        message = self.outbound.next(now)
        if self._call is None and message is not None:
            outlet = Outlet(self.outbound, message)
            self.checks.saw_frame_of(message.payload, MT_SIZE_MAX, "DirectIP")
            self._call, self._since = (self.internet.open(TCP, *MT, now), outlet), now
            self._call[0].send(outlet.hello, now)
        elif self._call is not None:
            self._go_on(*self._call, now)

    def _go_on(self, socket, outlet, now):
        while (data := socket.receive(now)) is not None:
            outlet.feed(data, now)
        if not outlet.is_over and (socket.error or now - self._since > CONNECTION_S_MAX):
            outlet.ended(socket.error or "it did not answer", now)
        if outlet.is_over and self._call is not None and self._call[0] is socket:
            socket.close(now)
            self._call = None

    def _look_at_bounds(self):
        for antenna in self.antennas:
            imei = antenna.sim.imei
            if len(self.ground.subscribe(imei).waiting) > QUEUE_MAX:
                self.checks.fail("the ground's queue for one modem is over its bound")
            if self.outbound is not None and self.outbound.waiting_for(imei) > QUEUE_OF_ONE_MAX:
                self.checks.fail(f"{self.outbound.waiting_for(imei)} frames wait for one modem in the gateway")


class _Ground(Ground):
    """A ground station whose log of what came up is looked at."""

    def __init__(self, sky, *more, **options):
        super().__init__(sky.internet, *more, **options)
        self._sky = sky

    def take_up(self, imei, momsn, payload, now, place=None):
        for antenna in self._sky.antennas:
            if antenna.sim.imei == imei:
                antenna.ledger.sent(len(payload))
        super().take_up(imei, momsn, payload, now, place)


class Antenna(ModemLine):
    """A 9602 in a van, under a sky that may be hidden."""

    def __init__(self, world, kit, sky, faults, plan, ledger, checks, *, has_power=True):
        imei = str(IMEI + len(sky.antennas))
        sim = Iridium9602(sky.ground, faults, world.rng.randrange(2**32), imei=imei, is_powered=not has_power)
        self.sky, self._seen_credits = sky, 0

        def make_driver(ears, hands):
            return SbdModem(ears, plan, hands, "sbd")

        super().__init__(world, kit, sim, make_driver, BAUD, ledger, checks.saw_line, has_power=has_power)
        sky.antennas.append(self)

    def step(self):
        super().step()
        fresh = self.sim.meter.credits - self._seen_credits
        if fresh:
            self._seen_credits += fresh
            self.ledger.billed(fresh)
        self.sky.alarm.look()

    def cover(self, is_covered):
        """A roof comes over the van, or goes."""
        self.sim.set_signal(4 if is_covered else 0, self.world.now)
        self.alarm.look()
