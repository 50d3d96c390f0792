"""The van of the half day: a SIM800, an Iridium 9602 and a slot for a stick, as `tests/sim/half_day.py` drives it.

What it has is fixed, unlike the vans of `tests/sim/fleet.py`. Prices and budgets are those of a small clinic, so tight
that they bind: a day of GSM does not carry a day's curves, and an hour of Iridium would empty its purse.
"""

from collections import Counter
from functools import partial

from edge.config import Cost, DayBudget, Energy, KitConfig, Policy, Port, Way
from edge.policy import may_carry
from edge.tariff import NOTHING
from edge.ways import Ways
from hardware.simulated.modems.air import Shape
from hardware.simulated.modems.sim import SimCard
from hardware.simulated.modems.sim800 import Sim800
from node.modems.gsm import Plan
from node.modems.sbd import SbdPlan
from tests.sim.cells import Cell
from tests.sim.crew import Crew, Slot, SlotRoad
from tests.sim.fleet import VanNode
from tests.sim.ledgers import Ledger
from tests.sim.nodes import ServerNode
from tests.sim.sky import Antenna
from tests.sim.vans import WaysKitNode

HOUR_S = 3600.0
OFFSET_MS = -32_200_000
"""The half day begins at 11:30: the budgets of one day must do for it, and the next day's drain what they left."""
PORTS = [
    Port(name="analyser", path="/dev/a", driver="astm"),
    Port(name="labels", path="/dev/b", driver="barcode"),
    Port(name="oximeter", path="/dev/c", driver="nonin"),
]
GSM = Way(
    name="gsm",
    url="modem:///dev/gsm?to=udp://192.0.2.1:7000",
    cost=Cost(per_mb=0.5),
    energy=Energy(watts=1.5, joules_per_start=40),
    budget=DayBudget(bytes=400_000, money=0.16, joules=30_000),
)
SBD = Way(
    name="sbd",
    url="sbd:///dev/iridium",
    cost=Cost(per_message=0.04),
    energy=Energy(watts=0.8, joules_per_start=30),
    budget=DayBudget(money=5.0, joules=10_000),
    quiet=["13:00-14:00"],
)
STICK = Way(name="stick", url="dir:///stick", delay_min=240.0)
WAYS = (GSM, SBD, STICK)
COVERAGE_S = {"gsm": (1500.0, 1800.0), "sbd": (7200.0, 600.0)}
"""Mean seconds with and without."""
POLICY = Policy(patience_min=90.0)
GSM_AIR = Shape(rate_bps=9600, delay_s=0.6, loss=0.02)
STOPS_S = (2.5 * HOUR_S, 4.0 * HOUR_S, 8.0 * HOUR_S, 10.0 * HOUR_S)
"""When the stick is at the van, at the gateway, and once more at both."""


class HalfDayVan(VanNode):
    """See the module's text. `spent`: what the kit counted, by day and way; `carried`: what a stick has taken."""

    def __init__(self, world, server, gateway, sky, checks, ways=WAYS, policy=POLICY):
        WaysKitNode.__init__(self, world, server, gateway, PORTS, "van-1", (), checks.saw_frame, policy)
        self.clock.offset_ms = OFFSET_MS
        self.checks = checks
        self.config = KitConfig(port=PORTS, way=list(ways), policy=policy)
        self.ledgers = {way.name: Ledger(world, self.clock, way) for way in ways}
        self.spent, self.carried = {}, set()
        self.card, self.process_in_making = SimCard(""), None
        seed = world.rng.randrange(2**32)

        def make_sim(network):
            return Sim800(network, (), seed, card=self.card, is_powered=False)

        gsm, sbd = self.ledgers["gsm"], self.ledgers["sbd"]
        plan = Plan(apn="internet")
        self.lines = {
            "gsm": Cell(world, self, gateway, make_sim, "udp", plan, GSM_AIR, gsm, checks),
            "sbd": Antenna(world, self, sky, (), SbdPlan(), sbd, checks),
        }
        self.slots, self.slot_roads = {"stick": Slot()}, {}

    def guard(self, action):
        result = super().guard(action)
        if self.alive and not self.process.disk_failed and not self.disk.crashed and self.ways is not None:
            budget = self.ways.budget
            for name in self.ledgers:
                self.spent[budget._calendar.day.counted, name] = budget.spent(name)
        return result

    def spent_on(self, name):
        """Return what the kit counted for this way on all days."""
        return sum((amount for (_, one), amount in self.spent.items() if one == name), NOTHING)

    def days(self):
        return len({day for day, _ in self.spent})

    def stick_is_busy(self):
        return "stick" in self.slot_roads and self.slot_roads["stick"].is_busy

    def _road(self, terms, ears):
        if terms.name not in self.slots:
            return super()._road(terms, ears)
        carries = partial(may_carry, terms=terms, rules=Ways.rules_of(self.config))
        road = NotedSlotRoad(self.world, self, self.slots[terms.name], carries, self.ledgers[terms.name])
        self.slot_roads[terms.name] = road
        return road


class NotedSlotRoad(SlotRoad):
    """One that remembers which objects a stick has taken."""

    def _note_carried(self, object_ids):
        self._node.carried.update(one.hex() for one in object_ids)
        super()._note_carried(object_ids)


class Courier(Crew):
    """Takes one stick twice to the van and on to the gateway, with all that happens to sticks."""

    def _drive(self):
        if self._stop < len(STOPS_S):
            self.world.at(STOPS_S[self._stop], self._arrive)


class RestingServer(ServerNode):
    """A centre that looks at its database when something happens, and not each second of a day without a revocation."""

    def deadline(self):
        return self.process.host.deadline()


def traffic(bills):
    """Return bytes, money and joules of a ledger's days."""
    total = Counter()
    for bill in bills:
        total.update(sent=bill.sent, received=bill.received, money=bill.money, joules=bill.joules)
    return total
