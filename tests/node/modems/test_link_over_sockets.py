"""The whole link through the sockets of simulated modems, over a slow air, in virtual time: files arrive once."""

import random

import pytest

from hardware.simulated.modems.air import Air, Shape
from hardware.simulated.modems.network import VirtualNetwork
from hardware.simulated.modems.quectel import Quectel
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from node.link import Caller, Grant, Host
from tests.node.modems.conformance.entries import socket_driver
from tests.node.modems.conformance.rig import Ears, FarEnd, Rig
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox, Profile, World

GPRS = Shape(rate_bps=40_000, delay_s=0.5, loss=0.01)
MODEMS = {"sim800": Sim800, "sim7600": Sim7600, "quectel": Quectel}


class CallersEars(Ears):
    """Passes everything on to a caller."""

    caller = None

    def bearer_up(self, bearer, now):
        super().bearer_up(bearer, now)
        self.caller.bearer_up(bearer, now)

    def bearer_down(self, bearer, now):
        super().bearer_down(bearer, now)
        self.caller.bearer_down(bearer, now)

    def receive(self, bearer, frame, now):
        self.caller.receive(bearer, frame, now)

    def tick(self, now):
        self.caller.tick(now)


class SocketBearerOfHost:
    """One socket of the far end, as its host has it."""

    is_message = False
    mtu, overhead = 1400, 28

    def __init__(self, far, socket, kind):
        self._far, self._socket, self.is_stream = far, socket, kind == "TCP"
        self.name = f"{kind} {socket.peer}"

    def room(self):
        return 1 << 16

    def send(self, frame):
        self._far.send(frame, self._far.now, self._socket)

    def close(self):
        self._socket.close(self._far.now)


class HostsEnd(FarEnd):
    """The far end is a host."""

    def __init__(self, network, host):
        super().__init__(network)
        self.host, self.now, self.bearers = host, 0.0, {}

    def accepted(self, kind, socket):
        super().accepted(kind, socket)
        self.bearers[socket] = SocketBearerOfHost(self, socket, kind)

    def poll(self, now):
        self.now = now
        for socket in self.sockets:
            while (data := socket.receive(now)) is not None:
                for frame in self._frames(socket, data):
                    self.host.receive(self.bearers[socket], frame, now)


class LinkRig(Rig):
    """A caller, a modem, the air, and a host."""

    def __init__(self, modem, scheme, shape=GPRS, faults=(), seed=1):
        self.air = Air(VirtualNetwork(), shape, seed)
        super().__init__(
            MODEMS[modem], socket_driver("auto", scheme), faults, seed, network=self.air, ears=CallersEars()
        )
        entropy = random.Random(seed + 1000).randbytes
        self.up, self.down, self.at_host = MemoryOutbox(), MemoryOutbox(), MemoryInbox()
        self.ears.caller = self.caller = Caller(KIT, GATEWAY.public, PSK, self.up, MemoryInbox(), entropy)
        self.host = Host(GATEWAY, lambda _: Grant(PSK, "kit"), lambda _: self.down, self.at_host, entropy)
        self.far = HostsEnd(self.air, self.host)

    def _next(self):
        own = [at for at in (self.caller.deadline(), self.host.deadline()) if at is not None]
        return max(min([super()._next(), *own]), self.now + 0.0005)

    def _carry(self):
        super()._carry()
        for one in (self.caller, self.host):
            at = one.deadline()
            if at is not None and at <= self.now:
                one.tick(self.now)

    def give(self, data, **more):
        """Put a file before the caller."""
        object_id = self.up.add(data, **more)
        self.caller.nudge(self.now)
        return object_id

    def deliver(self, seconds):
        done = self.run(seconds, lambda: not self.up.objects)
        assert done, f"not there after {seconds} s: {self.driver.status()}\n{self.tail()}"
        return self.now


DATA = random.Random(1).randbytes(100_000)


@pytest.fixture(scope="module")
def plain_s():
    """How long the file takes without a modem, over a UDP socket of the kit's own."""
    world = World(Profile(rate=GPRS.rate_bps, delay=GPRS.delay_s))
    world.up.add(DATA)
    while world.up.objects:
        assert world.now < 100
        world.step(world.now + 1)
    return world.now


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
@pytest.mark.parametrize("modem", MODEMS)
def test_a_modem_costs_little_of_the_air(modem, scheme, plain_s):
    rig = LinkRig(modem, scheme, Shape(GPRS.rate_bps, GPRS.delay_s)).open().until_up(60)
    began = rig.now
    digest = rig.give(DATA)
    took_s = rig.deliver(120) - began
    assert rig.at_host.done[digest] == DATA
    assert took_s < 1.2 * plain_s, f"{took_s:.1f} s; without a modem {plain_s:.1f} s"


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_small_urgent_one_does_not_wait_behind_a_file(scheme):
    rig = LinkRig("sim800", scheme, Shape(rate_bps=40_000, delay_s=0.5)).open().until_up(60)
    rig.give(random.Random(1).randbytes(300_000))
    rig.run(30)
    assert rig.up.objects
    small = rig.give(b"a record" * 20, priority=1)
    began = rig.now
    assert rig.run(10, lambda: small in rig.at_host.done)
    assert rig.now - began < 3.0


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
@pytest.mark.parametrize("modem", MODEMS)
def test_a_file_arrives_once_through_everything_that_a_modem_does(modem, scheme, seed):
    chance = random.Random(seed)
    knobs = [
        "pdp-deact@20", "far-close@9", "send-fail@15", "prompt-lost@25", "silent-data@10%", "urc-inside=7@10%",
        "urc-between@10%", "lost-final@1%", "late-final=2@2%", "restart@150", "vanish=6@220", "hang@400",
    ]  # fmt: skip
    rig = LinkRig(modem, scheme, GPRS, chance.sample(knobs, 6), seed).open()
    data = chance.randbytes(40_000)
    digest = rig.up.add(data)
    rig.deliver(3_600)
    assert rig.at_host.done[digest] == data
    assert rig.ears.wrong == []
