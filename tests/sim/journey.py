"""One run of the simulated world with every bearer: plain links, cellular modems, Iridium and sticks, all at once.

As `tests/sim/scenario.py`, and besides: each van has ways by chance (`tests/sim/fleet.py`) with small budgets and quiet
hours; modems, the ground station and sticks have their faults, more of them while it lasts; coverage comes and goes;
a crew carries a stick; people import files. The ledgers (`tests/sim/ledgers.py`) hold the kits to their budgets.
"""

from dataclasses import replace

from tests.sim.crew import Crew, GroundSlot
from tests.sim.fleet import CELL_FAULTS, GROUND_FAULTS, LINE_FAULTS, SBD_FAULTS, GroundNode, VanNode, draw_faults
from tests.sim.imports import Person, check, draw_file
from tests.sim.scenario import PORTS, Scenario
from tests.sim.sky import Antenna, Sky

WATCH_S = 30.0
LOST_S = 60.0
IMPORTS = (0, 0, 1, 2)
"""How often somebody comes with files to one kit."""


class Journey(Scenario):
    """Builds the world of one seed and runs it: vans with ways of every kind."""

    trouble_s, peace_s = 900.0, 6 * 3600.0

    def _make_gateway(self):
        gateway = GroundNode(self.world, self.server)
        self.sky = Sky(self.world, gateway, self.checks, draw_faults(self.world.rng, GROUND_FAULTS, 0.15))
        return gateway

    def _make_kit(self, name):
        return VanNode(self.world, self.server, self.gateway, PORTS, name, self.sky, self.checks)

    def _links_of_kits(self):
        return [link for kit in self.kits for link in kit.way_links.values()]

    def __init__(self, seed):
        super().__init__(seed)
        rng = self.world.rng
        slots = [(slot, self._busy(kit, name)) for kit in self.kits for name, slot in kit.slots.items()]
        self.crew = Crew(self.world, slots, GroundSlot(self.gateway), self.checks) if slots else None
        self.people = [
            Person(self.world, kit, [draw_file(rng) for _ in range(rng.randint(1, 3))], rng.choice(self.labels))
            for kit in self.kits
            for _ in range(rng.choice(IMPORTS))
        ]
        self.is_peace = False

    def _busy(self, kit, name):
        return lambda: name in kit.slot_roads and kit.slot_roads[name].is_busy

    def _plan_trouble(self):
        super()._plan_trouble()
        rng, world = self.world.rng, self.world
        for kit in self.kits:
            for name in kit.ledgers:
                self._drive(kit, name, is_covered=rng.random() < 0.7)
            for line in kit.lines.values():
                for _ in range(rng.randint(0, 3)):
                    world.at(rng.uniform(5, self.trouble_s), lambda line=line: self._turn_a_knob(line))
        for person in self.people:
            person.come(rng.uniform(1, self.trouble_s))
        if self.crew is not None:
            world.at(rng.uniform(0, self.trouble_s / 2), self.crew.set_out)
        self._watch()

    def _drive(self, kit, name, *, is_covered):
        """The van drives into coverage and out of it."""
        if self.is_peace:
            return
        kit.cover(name, is_covered=is_covered)
        mean_s = 240.0 if is_covered else LOST_S
        self.world.after(
            self.world.rng.expovariate(1 / mean_s), lambda: self._drive(kit, name, is_covered=not is_covered)
        )

    def _turn_a_knob(self, line):
        """A fault begins in the middle of everything."""
        if not self.is_peace:
            known = LINE_FAULTS + (SBD_FAULTS if isinstance(line, Antenna) else CELL_FAULTS)
            line.sim.faults.turn(self.world.rng.choice(known))

    def _watch(self):
        """Budgets hold at every moment; after trouble they are gone."""
        self.look_at_budgets()
        if not self.is_peace:
            self.world.after(WATCH_S, self._watch)

    def look_at_budgets(self):
        for kit in self.kits:
            for ledger in kit.ledgers.values():
                for fault in ledger.faults():
                    self.checks.fail(f"{kit.name}: {fault}")

    def _make_peace(self):
        super()._make_peace()
        self.look_at_budgets()
        self.is_peace = True
        for spec in GROUND_FAULTS:
            self.sky.ground.faults.turn_back(spec.partition("=")[0].partition("@")[0])
        for kit in self.kits:
            kit.appease()
        if self.crew is not None:
            self.crew.is_peace = True

    def is_drained(self):
        return self.is_peace and all(person.is_done for person in self.people) and super().is_drained()

    def run(self):
        outcome = super().run()
        for person in self.people:
            check(person, self.checks)
        for kit in self.kits:
            if kit.card is not None and kit.card.wrong_tries > 2:
                self.checks.fail(f"{kit.name}: {kit.card.wrong_tries} wrong PINs")
        return outcome

    def _outcome(self):
        sims = [line.sim for kit in self.kits for line in kit.lines.values()]
        crew = self.crew
        return replace(
            super()._outcome(),
            imported=sum(len(person.taken) for person in self.people),
            modem_boots=sum(sim.boots for sim in sims),
            sessions=sum(antenna.sim.meter.sessions for antenna in self.sky.antennas),
            trips=crew.trips if crew else 0,
            mishaps=crew.pulled + crew.lost + crew.copied if crew else 0,
        )
