"""A kit and a gateway with nothing but Iridium between them, in virtual time: driver, simulated 9602, ground, DirectIP.

All that is ours is real: the driver, the link's two ends, the gateway's side of DirectIP. Simulated are the modem, the
ground station and the network between it and the gateway. The same knobs and seed, the same run.
"""

import random

from gateway.iridium import CONNECTION_S_MAX, Inlet, Iridium, Outbound, Outlet
from hardware.simulated.modems.ground import Ground
from hardware.simulated.modems.iridium9602 import Iridium9602
from hardware.simulated.modems.network import TCP, VirtualNetwork
from node.link import Caller, Grant, Host
from node.modems.sbd import BAUD, SbdModem, SbdPlan
from tests.node.modems.conformance.rig import Ears, Rig
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox
from wire.errors import FormatError
from wire.objects import SUMMARY, Offer

OWNER = ("192.0.2.10", 10800)
MT = ("192.0.2.20", 10800)


class KitEars(Ears):
    """Hands everything on to the kit's end of the link."""

    def __init__(self, orbit):
        super().__init__()
        self._orbit = orbit

    def bearer_up(self, bearer, now):
        super().bearer_up(bearer, now)
        self._orbit.kit.bearer_up(bearer, now)

    def bearer_down(self, bearer, now):
        super().bearer_down(bearer, now)
        self._orbit.kit.bearer_down(bearer, now)

    def receive(self, bearer, frame, now):
        super().receive(bearer, frame, now)
        self._orbit.kit.receive(bearer, frame, now)

    def tick(self, now):
        super().tick(now)
        self._orbit.kit.tick(now)


class GatewayEnd:
    """The sockets of `gateway/iridium_road.py`, on the simulated network."""

    def __init__(self, orbit):
        self._orbit = orbit
        self.outbound = Outbound(room=lambda: orbit.gateway.tick(orbit.now))
        self.iridium = Iridium(self._receive, self.outbound)
        self._inlets, self._call, self._since = [], None, 0.0
        self.is_open = True
        orbit.internet.listen(TCP, *OWNER, self)

    def _receive(self, bearer, frame):
        self._orbit.gateway.receive(bearer, frame, self._orbit.now)
        return True

    def accepted(self, socket, now):
        if self.is_open:
            self._inlets.append((socket, Inlet(self.iridium)))
        else:
            socket.close(now)

    def deadline(self):
        return self._orbit.now + 0.1 if self._call or self._inlets else self.outbound.deadline()

    def poll(self, now):
        self._inlets = [(socket, inlet) for socket, inlet in self._inlets if self._hear(socket, inlet, now)]
        message = self.outbound.next(now)
        if self._call is None and message is not None:
            outlet = Outlet(self.outbound, message)
            self._call, self._since = (self._orbit.internet.open(TCP, *MT, now), outlet), now
            self._call[0].send(outlet.hello, now)
        elif self._call is not None:
            self._go_on(*self._call, now)

    def _hear(self, socket, inlet, now):
        while (data := socket.receive(now)) is not None:
            try:
                socket.send(inlet.feed(data), now)
            except FormatError:
                socket.close(now)
        return not socket.error

    def _go_on(self, socket, outlet, now):
        while (data := socket.receive(now)) is not None:
            outlet.feed(data, now)
        if socket.error or now - self._since > CONNECTION_S_MAX:
            outlet.ended(socket.error or "it did not answer", now)
        if outlet.is_over:
            socket.close(now)
            self._call = None


class Orbit(Rig):
    """`kit` and `gateway` are the ends of the link; by default a caller and a host with everything in memory."""

    def __init__(self, *faults, ground=(), seed=1, rings=True, has_power=True):
        self.internet = VirtualNetwork()
        self.ground = Ground(self.internet, OWNER, ground, seed, wants_confirmation=True)
        self.ground.listen(*MT)
        self.up, self.at_host, self.down, self.at_caller = MemoryOutbox(), MemoryInbox(), MemoryOutbox(), MemoryInbox()
        self.plan = SbdPlan(rings=rings, sessions_per_hour=60)
        super().__init__(self._make_sim, self._make_driver, faults, seed, has_power=has_power)
        self.sim.host_baud = BAUD
        self.bytes_of = random.Random(seed + 7).randbytes
        self.start_gateway()
        self.start_kit()
        self.end = GatewayEnd(self)

    def _make_sim(self, network, faults, seed):
        return Iridium9602(self.ground, faults, seed)

    def _make_driver(self, ears, hands):
        self.ears = KitEars(self)
        return SbdModem(self.ears, self.plan, hands, "sbd:///dev/ttyUSB0")

    def start_kit(self):
        """A new process on the kit: link and driver begin anew."""
        self.kit = Caller(KIT, GATEWAY.public, PSK, self.up, self.at_caller, self.bytes_of)
        if self.is_open:
            self.driver = self._make_driver(self.ears, self)
            self.open()

    def start_gateway(self):
        grant = Grant(PSK, "kit")
        self.gateway = Host(
            GATEWAY, lambda public: grant if public == KIT.public else None, lambda _: self.down, self.at_host,
            self.bytes_of,
        )  # fmt: skip

    def summary(self, data):
        object_id = self.up.add(data, 1)
        offer, _ = self.up.objects[object_id]
        self.up.objects[object_id] = (Offer(object_id, SUMMARY, offer.size, offer.digest, 1), data)
        self.kit.nudge(self.now)
        return object_id

    @property
    def is_done(self):
        return not self.up.objects

    def _next(self):
        ends = (self.ground, self.kit, self.gateway, self.end)
        times = [at for one in ends if (at := one.deadline()) is not None]
        return max(min(super()._next(), *times) if times else super()._next(), self.now + 0.0005)

    def _carry(self):
        super()._carry()
        self.ground.tick(self.now)
        self.end.poll(self.now)
        for end in (self.kit, self.gateway):
            at = end.deadline()
            if at is not None and at <= self.now:
                end.tick(self.now)
