"""A kit's modem, an exchange and a gateway's bank of modems, all simulated, with a caller and a host at the ends.

Real drivers, virtual time. `bank` modems answer at numbers 101, 102, …; number 200 is routed to a server (RUDICS).
"""

import random

from hardware.simulated.modems.dialup import DialModem
from hardware.simulated.modems.exchange import Exchange, Manner
from hardware.simulated.modems.network import TCP, VirtualNetwork
from node.link import Caller, Grant, Host
from node.modems.call import PROFILES, CallPlan, DataCall
from node.modems.gsm import Plan
from node.modems.scripted import Hands
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox

STEP_S_MIN = 0.0005
STEPS_MAX = 1_000_000
SERVER = ("192.0.2.1", 7001)
MAKES = {"csd": "csd", "rudics": "iridium", "iridium": "iridium", "pstn": "landline"}


class Noted:
    """Passes everything on to the ears, and notes it."""

    def __init__(self, ears) -> None:
        self.ears, self.bearer, self.ups, self.wrong = ears, None, [], []

    def bearer_up(self, bearer, now):
        if self.bearer is not None:
            self.wrong.append(f"{now}: a second bearer")
        self.bearer = bearer
        self.ups.append(now)
        self.ears.bearer_up(bearer, now)

    def bearer_down(self, bearer, now):
        if bearer is not self.bearer:
            self.wrong.append(f"{now}: another bearer goes down")
        self.bearer = None
        self.ears.bearer_down(bearer, now)

    def receive(self, bearer, frame, now):
        self.ears.receive(bearer, frame, now)

    def tick(self, now):
        self.ears.tick(now)


class Desk:
    """One modem on its line: driver and simulation, and what the driver holds in its hands."""

    def __init__(self, world, ears, plan, sim, seed) -> None:
        self.world, self.sim, self.ears = world, sim, Noted(ears)
        self.has_dcd = False
        self.talk = []
        hands = Hands(random.Random(seed).randbytes, controls=self)
        self.driver = DataCall(self.ears, plan, hands, "modem")

    def set_baud(self, baud):
        self.sim.host_baud = baud

    def set_dtr(self, on):
        self.sim.set_dtr(on, self.world.now)

    def reopen(self):
        """The line of a simulation has nothing that reopening would mend."""

    def unsent(self):
        return 0

    def has_carrier(self):
        return self.sim.is_carrier if self.has_dcd else None

    def carry(self, now):
        self.sim.tick(now)
        if data := self.sim.output():
            self.talk.append((now, "<", data))
            self.driver.feed(data, now)
        deadline = self.driver.deadline()
        if deadline is not None and deadline <= now:
            self.driver.tick(now)
        if data := self.driver.output():
            self.talk.append((now, ">", data))
            self.sim.feed(data, now)

    def deadlines(self):
        return self.driver.deadline(), self.sim.deadline()

    def said(self, way=">"):
        return b"".join(data for _, which, data in self.talk if which == way)

    def tail(self, count=30):
        return "\n".join(f"{at:9.3f} {way} {data[:80]!r}" for at, way, data in self.talk[-count:])


class Telephones:
    """The whole. `profile` of the kit's modem and of the bank's; `dial` what the kit calls."""

    def __init__(self, *, profile="csd", dial="101", bank=1, manner=None, faults=(), far_faults=(), seed=1) -> None:
        self.now, self.network = 0.0, VirtualNetwork()
        self.exchange = Exchange(manner or Manner(setup_s=4.0), self.network, seed)
        entropy = random.Random(seed + 1000).randbytes
        self.up, self.down = MemoryOutbox(), MemoryOutbox()
        self.at_host, self.at_caller = MemoryInbox(), MemoryInbox()
        self.caller = Caller(KIT, GATEWAY.public, PSK, self.up, self.at_caller, entropy)
        self.host = Host(GATEWAY, lambda _: Grant(PSK, "kit"), lambda _: self.down, self.at_host, entropy)
        kind = PROFILES[profile]
        self.kit = self._desk(self.caller, kind, "", dial, faults, profile, seed)
        far = "csd" if kind.service else "pstn"
        self.bank = [
            self._desk(self.host, PROFILES[far], f"10{number}", "", far_faults, far, seed + number)
            for number in range(1, bank + 1)
        ]
        self.bank_at = None

    def _desk(self, ears, kind, number, dial, faults, profile, seed):
        sim = DialModem(self.exchange, number, faults, seed, make=MAKES[profile])
        sim.host_baud = sim.make.baud
        plan = CallPlan(kind, dial, kind.service, Plan(baud=sim.make.baud))
        return Desk(self, ears, plan, sim, seed)

    def open(self):
        for desk in (self.kit, *self.bank):
            desk.driver.open(self.now)
        return self

    @property
    def desks(self):
        return self.kit, *self.bank

    def run(self, until, done=lambda: False):
        for _ in range(STEPS_MAX):
            self._carry()
            if done():
                return self.now
            times = [at for desk in self.desks for at in desk.deadlines()]
            times += [self.caller.deadline(), self.host.deadline(), self.exchange.deadline()]
            at = min((at for at in times if at is not None), default=float("inf"))
            if at > until:
                self.now = until
                self._carry()
                return self.now
            self.now = max(at, self.now + STEP_S_MIN)
        raise AssertionError(f"{STEPS_MAX} steps by {self.now:.3f} s: it spins")

    def _carry(self):
        self.exchange.tick(self.now)
        for desk in self.desks:
            desk.carry(self.now)
        for node in (self.caller, self.host):
            if (at := node.deadline()) is not None and at <= self.now:
                node.tick(self.now)

    def all_received(self):
        return not self.up.objects and not self.down.objects

    def route_to(self, listener):
        """Let number 200 go to a server, as RUDICS does."""
        self.network.listen(TCP, *SERVER, listener)
        self.exchange.route("200", SERVER)
