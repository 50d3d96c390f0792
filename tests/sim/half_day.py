"""`python -m tests.sim.half_day --seed N`: half a day of a van, 40 studies, three ways that come and go.

The real kit with its policy, budgets and drivers, the real gateway with its DirectIP, the real server, on simulated
disks, clocks and modems: GSM through a SIM800, Iridium through a 9602, and a stick that is carried twice
(`tests/sim/half_day_van.py`). The report is what a purse would say of each way: what the kit counted against its
budget, what the operators' meters and the modem's own say of it, and how long summaries took.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass, field

from edge.config import Policy
from edge.tariff import MICROS
from hardware.simulated.analyser import Analyser
from hardware.simulated.oximeter import Oximeter
from hardware.simulated.results import STYLES, message
from hardware.simulated.scanner import Scanner, patient_label
from node.spool import State
from tests.sim.checks import Checks, watch_nonces
from tests.sim.crew import GroundSlot
from tests.sim.devices import Cable
from tests.sim.fleet import GroundNode
from tests.sim.half_day_van import COVERAGE_S, POLICY, WAYS, Courier, HalfDayVan, RestingServer, traffic
from tests.sim.link import LinkShape, SimLink
from tests.sim.sky import Sky
from tests.sim.world import World
from wire import objects
from wire.noise import KeyPair
from wire.seal import ed25519_public

HALF_DAY_S = 43_200.0
PEACE_S = 86_400.0
MESSAGES, FINGERS, SITTINGS = 28, 4, 3
"""So many messages of the analyser; so many patients at the oximeter, one after the other, and so often."""
FINGER_S = 400.0
ACCRUED_S = 10.0
"""The energy of the last seconds may not have been counted yet."""
COMING_MESSAGES = 6
"""What a session has brought to the modem is billed, and counted when the kit has it: 270 bytes at most."""
ROUNDING = 1e-6
WATCH_S = 30.0
COLUMNS = {
    "kB": "kB", "kB_real": "metered", "EUR": "EUR", "EUR_real": "billed", "EUR_max": "of", "kJ": "kJ",
    "kJ_real": "used", "kJ_max": "of", "starts": "starts", "held": "held",
}  # fmt: skip
"""What the kit counted, what it really was, and the budget of the days that were begun; `held`: frames for which
nothing was left."""


@dataclass
class Report:
    """What half a day came to."""

    seed: int
    studies: int = 0
    crashes: int = 0
    objects: int = 0
    drained_after_s: float = 0.0
    summaries_s: list[float] = field(default_factory=list)
    ways: dict[str, dict[str, float]] = field(default_factory=dict)
    modems: list[str] = field(default_factory=list)

    def lines(self):
        yield f"seed {self.seed}: {self.studies} studies, {self.objects} objects, {self.crashes} power cuts of the kit"
        yield f"  all at the centre {self.drained_after_s / 3600:.1f} h after the beginning"
        yield (
            f"  summaries: half within {_span(percentile(self.summaries_s, 50))}, "
            f"95 % within {_span(percentile(self.summaries_s, 95))}"
        )
        yield "  " + f"{'way':<6}" + "".join(f"{name:>8}" for name in COLUMNS.values())
        for name, row in self.ways.items():
            yield "  " + f"{name:<6}" + "".join(f"{_cell(row.get(key)):>8}" for key in COLUMNS)
        yield from (f"  {line}" for line in self.modems)


def _cell(value):
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else 0.0


def _span(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class HalfDay:
    """Builds and runs one. The attributes are what `tests.sim.checks` looks at."""

    def __init__(self, seed, ways=WAYS, policy: Policy = POLICY, crashes=1):
        self.world = World(seed)
        rng = self.world.rng
        self.checks = Checks(self)
        self.server = RestingServer(self.world)
        self.gateway = GroundNode(self.world, self.server)
        self.sky = Sky(self.world, self.gateway, self.checks, ())
        kit = HalfDayVan(self.world, self.server, self.gateway, self.sky, self.checks, ways, policy)
        self.kit, self.kits = kit, [kit]
        self.far = SimLink(self.world, LinkShape(rate_bps=1_000_000, delay_s=0.05, loss=0.0), self.checks.saw_frame)
        self.gateway.links.append((self.far, 0))
        self.server.links.append((self.far, 1))
        self.gateway.to_server = self.far
        self.nodes = [kit, self.gateway, self.server]
        self.courier = Courier(
            self.world, [(kit.slots["stick"], kit.stick_is_busy)], GroundSlot(self.gateway), self.checks
        )
        self._enrol()
        self.labels = [patient_label(seed % 1000, at) for at in range(MESSAGES)]
        self.cables = self._plug_in(rng, seed)
        for _ in range(crashes):
            self.world.at(rng.uniform(600, HALF_DAY_S), lambda: kit.disk.fail("crash", rng.randint(1, 40)))
        self.is_peace = False

    def _enrol(self):
        self.server.start()
        kit, gateway, peers = self.kit, self.gateway, self.server.centre.peers
        peers.add_kit(kit.name, KeyPair.from_secret(kit.link_secret).public, kit.psk, ed25519_public(kit.sign_secret))
        peers.add_gateway("ground", gateway.identity.public, gateway.psk, ["udp://sim:1"])

    def _plug_in(self, rng, seed):
        messages = [message(rng.choice(sorted(STYLES)), seed, label, at=at) for at, label in enumerate(self.labels)]
        every_s = HALF_DAY_S * 0.9 / MESSAGES
        oximeter = Cable(self.world, self.kit, "oximeter", Oximeter(seed, FINGERS, FINGER_S, "8", []))
        for sitting in range(1, SITTINGS):
            self.world.at(HALF_DAY_S * sitting / SITTINGS, lambda sitting=sitting: self._sit_down(oximeter, sitting))
        return [
            Cable(self.world, self.kit, "analyser", Analyser(messages, [], every_s=every_s)),
            Cable(self.world, self.kit, "labels", Scanner(self.labels, every_s, [])),
            oximeter,
        ]

    def _sit_down(self, cable, sitting):
        cable.device = Oximeter(self.world.seed + sitting, FINGERS, FINGER_S, "8", [])
        cable.switch_on()

    def run(self):
        world = self.world
        with watch_nonces(self.checks):
            for node in reversed(self.nodes):
                node.start()
            for cable in self.cables:
                world.after(world.rng.uniform(0, 60), cable.switch_on)
            for name in COVERAGE_S:
                self._drive(name, is_covered=world.rng.random() < 0.5)
            self.courier.set_out()
            world.after(WATCH_S, self._watch)
            world.run(HALF_DAY_S)
            self.is_peace = True
            for name in COVERAGE_S:
                self.kit.cover(name, is_covered=True)
            world.run(HALF_DAY_S + PEACE_S, self.is_drained)
            self._look_at_budgets()
            self.checks.at_the_end()
        return self._report()

    def _drive(self, name, *, is_covered):
        """The van drives in and out of coverage."""
        if self.is_peace:
            return
        self.kit.cover(name, is_covered=is_covered)
        mean_s = COVERAGE_S[name][0 if is_covered else 1]
        self.world.after(self.world.rng.expovariate(1 / mean_s), lambda: self._drive(name, is_covered=not is_covered))

    def _watch(self):
        self._look_at_budgets()
        self.world.after(WATCH_S, self._watch)

    def _look_at_budgets(self):
        """Budgets hold, whatever the kit thinks of itself; and what it thinks is no less than what it was."""
        kit = self.kit
        for name, ledger in kit.ledgers.items():
            for fault in ledger.faults():
                self.checks.fail(fault)
            truth, counted = traffic(ledger.days.values()), kit.spent_on(name)
            late_j = ledger.way.energy.watts * ACCRUED_S
            coming = ledger.way.cost.per_message * COMING_MESSAGES
            told = counted.size, counted.micros / MICROS + coming, counted.millijoules / 1000 + late_j
            real = truth["sent"], truth["money"], truth["joules"]
            if kit.alive and any(one > other + ROUNDING for one, other in zip(real, told, strict=True)):
                self.checks.fail(f"{name}: bytes, money and joules were {real}, and the kit counted {told}")

    def is_drained(self):
        """Every device has said its piece, every study has its receipt."""
        alive = all(node.alive for node in self.nodes)
        if not (self.is_peace and alive and all(cable.device.is_done for cable in self.cables)):
            return False
        return not (self.kit.process.spool.pending() or self.kit.process.capture.capturing)

    def _report(self):
        kit = self.kit
        summaries = [
            kit.arrived[object_id] - at
            for object_id, (at, offer) in kit.created.items()
            if offer.kind == objects.SUMMARY and object_id in kit.arrived
        ]
        return Report(
            seed=self.world.seed,
            studies=len(self.checks.studies),
            crashes=kit.crashes,
            objects=len(kit.process.spool.objects(State.RECEIVED)),
            drained_after_s=self.world.now,
            summaries_s=summaries,
            ways={name: self._row(name, ledger) for name, ledger in kit.ledgers.items()},
            modems=list(self._modems()),
        )

    def _row(self, name, ledger):
        kit, truth, counted = self.kit, traffic(ledger.days.values()), self.kit.spent_on(name)
        if name in kit.slots:
            sizes = {one: offer.size for one, (_, offer) in kit.created.items()}
            return {"kB_real": sum(sizes.get(one, 0) for one in kit.carried) / 1000, "starts": self.courier.trips}
        budget, days = ledger.way.budget, kit.days()
        return {
            "kB": counted.size / 1000,
            "kB_real": (truth["sent"] + truth["received"]) / 1000,
            "EUR": counted.micros / MICROS,
            "EUR_real": truth["money"],
            "EUR_max": days * budget.money,
            "kJ": counted.millijoules / 1e6,
            "kJ_real": truth["joules"] / 1000,
            "kJ_max": days * budget.joules / 1000,
            "starts": ledger.starts,
            "held": kit.ways.ways[name].purse.traffic.frames_held,
        }

    def _modems(self):
        kit, courier = self.kit, self.courier
        meter = kit.lines["sbd"].sim.meter
        yield (
            f"the 9602 itself: {meter.sessions} sessions, {meter.failed_sessions} failed, {meter.credits} credits,"
            f" {meter.joules / 1000:.2f} kJ; the SIM800: {kit.lines['gsm'].sim.boots} boots"
        )
        yield (
            f"the stick: {courier.trips} times at the gateway, with {len(kit.carried)} objects;"
            f" {courier.pulled} times pulled too early, {courier.lost} lost, {courier.copied} old copies read again"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --seed on")
    parser.add_argument("--log", action="store_true", help="print what happened")
    args = parser.parse_args()
    for seed in range(args.seed, args.seed + args.seeds):
        half_day = HalfDay(seed)
        try:
            report = half_day.run()
        finally:
            if args.log:
                print("\n".join(half_day.kit.log))
        print("\n".join(report.lines()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
