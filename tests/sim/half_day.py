"""`python -m tests.sim.half_day --seed N`: half a day of a van, 40 studies, three ways that come and go.

The real kit with its policy and budgets, the real gateway and server, on simulated disks, links and clocks. The report
is what a purse would say: bytes, money and joules of each way against its budget, and how long summaries took.
`SHAPES` is where ways are plugged in.
"""

import argparse
import statistics
import sys
from dataclasses import dataclass, field

from edge.config import Cost, Energy, Policy, Port
from edge.tariff import MICROS, NOTHING
from hardware.simulated.analyser import Analyser
from hardware.simulated.oximeter import Oximeter
from hardware.simulated.results import STYLES, message
from hardware.simulated.scanner import Scanner, patient_label
from node.spool import State
from tests.sim.checks import Checks, watch_nonces
from tests.sim.devices import Cable
from tests.sim.link import LinkShape, SimLink
from tests.sim.nodes import GatewayNode, ServerNode
from tests.sim.vans import WayShape, WaysKitNode, way
from tests.sim.world import World
from wire import objects
from wire.noise import KeyPair
from wire.seal import ed25519_public

HALF_DAY_S = 43_200.0
PEACE_S = 86_400.0
MESSAGES, FINGERS, SITTINGS = 28, 4, 3
"""So many messages of the analyser; so many patients at the oximeter, one after the other, and so often."""
FINGER_S = 800.0
PORTS = [
    Port(name="analyser", path="/dev/a", driver="astm"),
    Port(name="labels", path="/dev/b", driver="barcode"),
    Port(name="oximeter", path="/dev/c", driver="nonin"),
]
GSM = WayShape(
    way(
        "gsm",
        "modem:///dev/gsm?to=udp://sim:1",
        {"bytes": 400_000, "money": 0.12, "joules": 30_000},
        cost=Cost(per_mb=0.5),
        energy=Energy(watts=1.5, joules_per_start=40),
    ),
    LinkShape(rate_bps=9600, delay_s=0.6, loss=0.02),
    open_s=12.0,
    covered_s=1500.0,
    uncovered_s=1800.0,
)
ROAMING = WayShape(
    way(
        "roaming",
        "modem:///dev/roaming?to=udp://sim:1",
        {"money": 0.3, "joules": 15_000},
        cost=Cost(per_mb=8.0),
        energy=Energy(watts=1.5, joules_per_start=40),
    ),
    LinkShape(rate_bps=40_000, delay_s=0.4, loss=0.02),
    open_s=15.0,
    covered_s=900.0,
    uncovered_s=3600.0,
)
SBD = WayShape(
    way(
        "sbd",
        "sbd:///dev/iridium",
        {"money": 5.0, "joules": 10_000},
        cost=Cost(per_message=0.04),
        energy=Energy(watts=0.8, joules_per_start=30),
        quiet=["02:00-03:00"],
    ),
    LinkShape(
        rate_bps=400,
        delay_s=12.0,
        jitter_s=8.0,
        loss=0.03,
        duplicate=0.0,
        corrupt=0.0,
        queue_bytes=1020,
        is_message=True,
        mtu_bytes=340,
        overhead_bytes=0,
    ),
    open_s=20.0,
    covered_s=7200.0,
    uncovered_s=600.0,
)
SHAPES = (GSM, ROAMING, SBD)
POLICY = Policy(patience_min=90.0)


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

    def lines(self):
        yield f"seed {self.seed}: {self.studies} studies, {self.objects} objects, {self.crashes} power cuts of the kit"
        yield f"  all at the centre {self.drained_after_s / 3600:.1f} h after the beginning"
        yield (
            f"  summaries: half within {_span(percentile(self.summaries_s, 50))}, "
            f"95 % within {_span(percentile(self.summaries_s, 95))}"
        )
        head = ("way", "frames", "kB", "EUR", "of", "kJ", "of", "starts", "open h", "held")
        yield "  " + f"{head[0]:<9}" + "".join(f"{name:>8}" for name in head[1:])
        for name, row in self.ways.items():
            cells = (
                f"{row['frames']:.0f}", f"{row['kB']:.1f}", f"{row['money']:.2f}", f"{row['money_max']:.2f}",
                f"{row['kJ']:.1f}", f"{row['kJ_max']:.1f}", f"{row['starts']:.0f}", f"{row['open_h']:.1f}",
                f"{row['held']:.0f}",
            )  # fmt: skip
            yield "  " + f"{name:<9}" + "".join(f"{cell:>8}" for cell in cells)


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else 0.0


def _span(seconds):
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class HalfDay:
    """Builds and runs one. The attributes are what `tests.sim.checks` looks at."""

    def __init__(self, seed, shapes=SHAPES, policy=POLICY, crashes=1):
        self.world = World(seed)
        rng = self.world.rng
        self.checks = Checks(self)
        self.server = ServerNode(self.world)
        self.gateway = GatewayNode(self.world, self.server)
        kit = WaysKitNode(self.world, self.server, self.gateway, PORTS, "van-1", shapes, self.checks.saw_frame, policy)
        kit.clock.offset_ms = 0
        self.kit, self.kits = kit, [kit]
        self.far = SimLink(self.world, LinkShape(rate_bps=1_000_000, delay_s=0.05, loss=0.0), self.checks.saw_frame)
        self.gateway.links.append((self.far, 0))
        self.server.links.append((self.far, 1))
        self.gateway.to_server = self.far
        self.nodes = [kit, self.gateway, self.server]
        self._enrol()
        self.labels = [patient_label(seed % 1000, at) for at in range(MESSAGES)]
        self.cables = self._plug_in(rng, seed)
        for _ in range(crashes):
            self.world.at(rng.uniform(600, HALF_DAY_S), lambda: kit.disk.fail("crash", rng.randint(1, 40)))
        self.is_peace = False
        self.spent_by_day = {}

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
            for link in self.kit.way_links.values():
                self._drive(link, world.rng.random() < 0.5)
            world.after(30.0, self._watch)
            world.run(HALF_DAY_S)
            self.is_peace = True
            for link in self.kit.way_links.values():
                link.cover(True)
            world.run(HALF_DAY_S + PEACE_S, self.is_drained)
            self._look_at_budgets()
            self.checks.at_the_end()
        return self._report()

    def _drive(self, link, is_covered):
        """The van drives in and out of coverage."""
        if self.is_peace:
            return
        link.cover(is_covered)
        mean_s = link.way_shape.covered_s if is_covered else link.way_shape.uncovered_s
        self.world.after(self.world.rng.expovariate(1 / mean_s), lambda: self._drive(link, not is_covered))

    def _watch(self):
        """Every half minute: budgets hold, whatever the kit thinks of itself."""
        self._look_at_budgets()
        self.world.after(30.0, self._watch)

    def _look_at_budgets(self):
        for name, link in self.kit.way_links.items():
            limit = link.terms.limit
            for day, sent in link.truth.items():
                if not sent.fits(limit):
                    self.checks.fail(f"{name}: sent {sent} on day {day}, more than {limit}")
            if self.kit.alive and not self.kit.process.disk_failed:
                budget = self.kit.ways.budget
                counted = budget.spent(name)
                truth = link.truth.get(budget.counted_day, NOTHING)
                if not truth.fits(counted):
                    self.checks.fail(f"{name}: sent {truth} today, and the kit counted {counted}")
                if not counted.fits(limit):
                    self.checks.fail(f"{name}: counted {counted}, more than {limit}")
                self.spent_by_day[budget.counted_day, name] = counted

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
            ways={name: self._row(name, link) for name, link in kit.way_links.items()},
        )

    def _row(self, name, link):
        days = [amount for (_, one), amount in self.spent_by_day.items() if one == name]
        spent = sum(days, NOTHING)
        return {
            "frames": link.counts["sent"] + link.counts["received"],
            "kB": spent.size / 1000,
            "money": spent.micros / MICROS,
            "money_max": len(days) * link.terms.limit.micros / MICROS,
            "kJ": spent.millijoules / 1e6,
            "kJ_max": len(days) * link.terms.limit.millijoules / 1e6,
            "starts": link.counts["starts"],
            "open_h": link.open_s / 3600,
            "held": self.kit.ways.ways[name].purse.traffic.frames_held,
        }


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
