"""Vans with ways of every kind, and the draw of what each of them has: prices, budgets, hours, faults.

A `VanNode` runs the real supervisor (`edge.ways.Ways`) over plain links, cellular modems, a 9602 and a slot for sticks.
`appease` is what the person does who looks after the kit when trouble ends: budgets and bars are taken out of the
configuration, the right PIN is set, what hangs and has no switch in its supply is unplugged, and the kit starts anew.
"""

from dataclasses import dataclass, replace
from functools import partial

import msgspec

from edge.config import Cost, DayBudget, Energy, KitConfig, Policy, Way
from edge.policy import may_carry
from edge.ways import Ways
from hardware.simulated.modems.air import Shape
from hardware.simulated.modems.coverage import HOME
from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.sim import TRIES, SimCard
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from node.modems.gsm import Plan
from node.modems.sbd import SbdPlan
from tests.sim.cells import Cell
from tests.sim.crew import Slot, SlotRoad
from tests.sim.ledgers import Ledger
from tests.sim.link import LinkShape
from tests.sim.nodes import GatewayNode, KitNode
from tests.sim.sky import Antenna
from tests.sim.vans import WayLink, WayShape, WaysKitNode

LINK, CELL, SBD, STICK = "link", "cell", "sbd", "stick"
FITTINGS = (
    (LINK,),
    (LINK, LINK),
    (CELL,),
    (CELL,),
    (CELL, LINK),
    (CELL, SBD),
    (LINK, SBD),
    (STICK,),
    (STICK, SBD),
    (STICK, LINK),
    (CELL, SBD, STICK),
    (LINK, CELL, SBD, STICK),
)
"""What vans have, each as likely as it stands here. One of them at least can carry bulk."""
URLS = {
    LINK: "",
    CELL: "modem:///dev/gsm?to=udp://192.0.2.1:7000",
    SBD: "sbd:///dev/iridium",
    STICK: "dir:///stick",
}
LINKS = (
    LinkShape(),
    LinkShape(rate_bps=9600, delay_s=0.25, loss=0.005),
    LinkShape(rate_bps=2400, delay_s=0.9, loss=0.03),
    LinkShape(rate_bps=9600, delay_s=0.6, is_stream=True),
)
CELLS = (Sim800, Sim800, Sim7600, Quectel, Bg96)
AIRS = (
    Shape(),
    Shape(rate_bps=40_000, delay_s=0.3, loss=0.01),
    Shape(rate_bps=9_600, delay_s=0.8, loss=0.03),
    Shape(rate_bps=200_000, delay_s=0.1, loss=0.15),
)
LINE_FAULTS = (
    "no-echo", "echo", "one-byte", "urc-inside=7@20%", "urc-between@30%", "urc-in-data=3@30%", "lost-final@2%",
    "late-final=8@3%", "hang@1%", "restart@1%", "vanish=8@1%", "boot-garbage=40", "slow-boot=20", "lost-bytes=0.2",
)  # fmt: skip
BARS = ("sim-absent", "sim-puk", "denied", "roaming", "no-network")
"""With these a modem carries nothing until somebody comes."""
CELL_FAULTS = (
    "cme-error=100@3%", "sim-busy=12", "slow-search=45", "flaps=60:20", "no-signal", "clock-wrong", "attach-fails@50%",
    "pdp-deact@5%", "pdp-drops=60", "short-accept=100", "data-lost@5%", "send-fail@5%", "prompt-lost@2%",
    "connect-fails@50%", "far-close@2%", "silent-data@20%", "udp-merged", "autobaud", "baud=9600",
)  # fmt: skip
SBD_FAULTS = (
    "delivered-but=18@40%", "mo-status=18@30%", "mo-status=32@30%", "mo-status=36@20%", "traffic-management@20%",
    "ring-in-ready@50%", "mt-checksum@30%", "mt-repeated@20%", "mt-lost@30%", "slow-session=55", "no-view=120:60",
    "lost-final=SBDIX@10%", "lost-final=SBDWB@10%", "lost-final=SBDRB@10%", "hang=SBDIX@5%", "restart=SBDRB@10%",
    "vanish=SBDIX:20@5%", "dead-start", "cme-error=SBDD0@20%",
)  # fmt: skip
GROUND_FAULTS = ("mo-twice@20%", "mo-late=60", "mo-broken@20%", "mo-in-pieces", "mt-status=-5@20%", "mt-silent@20%")
PIN, PIN_SHARE = "1234", 0.3
PINS_SET = (PIN, PIN, "4321", "")
"""What people have put into the configuration where the SIM asks for PIN."""
POLICY_URGENT = (0, 2, 5, 9)


@dataclass
class Fitting:
    """One way of one van: its configuration, and what kind it is."""

    kind: str
    way: Way


def draw_fittings(rng):
    """Return the ways of one van."""
    return [Fitting(kind, draw_way(rng, kind, f"{kind}{at}")) for at, kind in enumerate(rng.choice(FITTINGS))]


def draw_way(rng, kind, name):
    """Return a way with prices, budgets and hours by chance; budgets are small, so that they bind."""
    is_priced = rng.random() < (0.9 if kind == SBD else 0.5)
    cost = Cost(per_message=0.04) if kind == SBD else Cost(per_mb=rng.choice((0.05, 8.0)))
    energy = Energy(watts=rng.choice((0.6, 1.5)), joules_per_start=rng.choice((20, 40)))
    money = rng.uniform(0.7, 2.5) if kind == SBD else cost.per_mb * rng.randint(4_000, 40_000) / 1e6
    budget = DayBudget(
        bytes=rng.randint(4_000, 40_000) if rng.random() < 0.4 else None,
        money=money if is_priced and rng.random() < 0.7 else None,
        joules=rng.uniform(150, 1000) if is_priced and rng.random() < 0.3 else None,
    )
    if kind == STICK or rng.random() < 0.2:
        cost, energy, budget, is_priced = Cost(), Energy(), DayBudget(), False
    return Way(
        name=name,
        url=URLS[kind],
        rank=rng.choice((1, 5, 5, 5, 9)),
        carries=rng.choice((None, None, None, None, "summaries", "urgent")),
        quiet=[rng.choice(("20:30-20:35", "20:27-20:31"))] if rng.random() < 0.2 else [],
        cost=cost if is_priced else Cost(),
        energy=energy if is_priced else Energy(),
        budget=budget,
        delay_min=rng.uniform(1, 20) if kind == STICK else None,
    )


def draw_policy(rng):
    return Policy(urgent=rng.choice(POLICY_URGENT), patience_min=rng.choice((0.0, 1.0, 3.0, 60.0)))


def draw_faults(rng, known, share):
    return [one for one in known if rng.random() < share]


class TolledLink(WayLink):
    """A plain link whose frames are on a bill."""

    def __init__(self, world, shape, watch, clock, ledger):
        super().__init__(world, shape, watch, clock)
        self._ledger = ledger

    def carry(self, bearer, frame):
        count = self._ledger.sent if bearer.side == 0 else self._ledger.received
        count(len(frame) + bearer.overhead)
        super().carry(bearer, frame)

    def open(self):
        self._ledger.opened()
        super().open()

    def close(self):
        self._ledger.closed()
        super().close()


class VanNode(WaysKitNode):
    """See the module's text. `lines`: its modems by the name of their way; `slots`: where sticks go in."""

    def __init__(self, world, server, gateway, ports, name, sky, checks):
        super().__init__(world, server, gateway, ports, name, (), checks.saw_frame, draw_policy(world.rng))
        self.checks = checks
        self.fittings = draw_fittings(world.rng)
        self.config = KitConfig(port=list(ports), way=[one.way for one in self.fittings], policy=self.config.policy)
        self.ledgers = {one.way.name: Ledger(world, self.clock, one.way) for one in self.fittings}
        self.lines, self.slots, self.slot_roads = {}, {}, {}
        self.card = None
        self.process_in_making = None
        for one in self.fittings:
            self._fit(one, gateway, sky)

    def _fit(self, one, gateway, sky):
        name, rng = one.way.name, self.world.rng
        if one.kind == LINK:
            self._fit_link(one.way, gateway)
        elif one.kind == CELL:
            self.lines[name] = self._cell(self.ledgers[name], gateway)
        elif one.kind == SBD:
            faults = draw_faults(rng, LINE_FAULTS, 0.1) + draw_faults(rng, SBD_FAULTS, 0.15)
            plan = SbdPlan(rings=rng.random() < 0.7, sessions_per_hour=rng.choice((20, 60)))
            has_power = rng.random() < 0.8
            self.lines[name] = Antenna(
                self.world, self, sky, faults, plan, self.ledgers[name], self.checks, has_power=has_power
            )
        else:
            self.slots[name] = Slot()

    def _fit_link(self, way, gateway):
        shape = WayShape(way, self.world.rng.choice(LINKS), open_s=self.world.rng.uniform(0.5, 5.0))
        link = TolledLink(self.world, shape, self.checks.saw_frame, self.clock, self.ledgers[way.name])
        self.way_links[way.name] = link
        self.links.append((link, 0))
        gateway.links.append((link, 1))

    def _cell(self, ledger, gateway):
        rng = self.world.rng
        model, seed = rng.choice(CELLS), rng.randrange(2**32)
        faults = (
            draw_faults(rng, LINE_FAULTS, 0.07) + draw_faults(rng, CELL_FAULTS, 0.07) + draw_faults(rng, BARS, 0.02)
        )
        has_power, wants_pin = rng.random() < 0.8, rng.random() < PIN_SHARE
        self.card = SimCard(PIN if wants_pin else "")
        said = rng.choice(PINS_SET) if wants_pin else ""
        plan = Plan(apn="internet", roaming=rng.random() < 0.5, pin=said)
        scheme = rng.choice(("udp", "udp", "tcp"))

        def make_sim(network):
            return model(network, faults, seed, card=self.card, is_powered=not has_power)

        return Cell(
            self.world,
            self,
            gateway,
            make_sim,
            scheme,
            plan,
            rng.choice(AIRS),
            ledger,
            self.checks,
            has_power=has_power,
        )

    # The process

    def build(self):
        kit = self.process_in_making = KitNode.build(self)
        self.ways = Ways(kit, self._road, self.disk, self.clock)
        return kit

    def _road(self, terms, ears):
        name = terms.name
        self.ears[name] = ears
        if name in self.lines:
            return self.lines[name].road(ears)
        if name not in self.slots:
            return super()._road(terms, ears)
        carries = partial(may_carry, terms=terms, rules=Ways.rules_of(self.config))
        self.slot_roads[name] = SlotRoad(self.world, self, self.slots[name], carries, self.ledgers[name])
        return self.slot_roads[name]

    def power_cut(self):
        self._is_dark = self.world.rng.random() < 0.5
        super().power_cut()
        self._is_dark = False

    _is_dark = False

    def _stop(self):
        for line in self.lines.values():
            line.process_ended(with_supply=self._is_dark)
        for road in self.slot_roads.values():
            road.close()
        super()._stop()

    def carry_on(self):
        """End the process in order and start it again at once, as systemd does after `restart`."""
        if self.alive:
            self.guard(self._end)
        if self.alive:
            self._stop()
        self.start()

    def _end(self):
        self.ways.stop(self.world.now)
        self.process.stop(self.world.now)

    # What happens to it

    def cover(self, name, *, is_covered):
        """The way's coverage comes or goes."""
        if name in self.lines:
            self.lines[name].cover(is_covered)
        elif name in self.way_links:
            self.way_links[name].cover(is_covered)

    def appease(self):
        """See the module's text."""
        free = [msgspec.structs.replace(one, budget=DayBudget(), quiet=[], carries=None) for one in self.config.way]
        self.config = msgspec.structs.replace(self.config, way=free)
        for ledger in self.ledgers.values():
            ledger.settle()
            ledger.is_bounded = False
        for line in self.lines.values():
            self._mend(line)
        for name in self.ledgers:
            self.cover(name, is_covered=True)
        self.carry_on()

    def _mend(self, line):
        sim = line.sim
        for knob in sim.KNOBS:
            sim.faults.turn_back(knob)
        if isinstance(line, Cell):
            self.card.is_there, self.card.tries = True, TRIES
            sim.coverage.stat, sim.coverage.signal = HOME, 17
            line.plan = replace(line.plan, pin=PIN)
        if not line.has_power:
            sim.rail.set(False)
            self.world.after(5.0, lambda: (sim.rail.set(True), line.alarm.look()))
        line.alarm.look()


class GroundNode(GatewayNode):
    """A gateway with slots for sticks."""

    SLOT_STEP_S = 0.02

    def __init__(self, world, server):
        super().__init__(world, server)
        self.slots = []

    def build(self):
        station = super().build()
        for at, slot in enumerate(self.slots):
            station.add_slot(f"dir:///slot{at}", slot)
        return station

    def deadline(self):
        at = super().deadline()
        return at if at is None or at > self.world.now else self.world.now + self.SLOT_STEP_S
