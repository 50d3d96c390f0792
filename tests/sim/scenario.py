"""One run of the simulated world: a van's morning with everything that can go wrong, and then peace.

Until `TROUBLE_S` devices speak, links are cut, power fails in the middle of disk calls, disks refuse an fsync, cables
are pulled and clocks jump. After that nothing goes wrong any more, and everything must drain within `PEACE_S`. The
checkers (`tests/sim/checks.py`) look at every frame on the way and at what every node has at the end.
"""

from dataclasses import dataclass, field

from edge.config import Port
from hardware.simulated.analyser import FAULTS as ANALYSER_FAULTS
from hardware.simulated.analyser import Analyser
from hardware.simulated.oximeter import Oximeter
from hardware.simulated.results import STYLES, message
from hardware.simulated.scanner import Scanner, patient_label
from server.peers import Peers
from tests.sim.checks import Checks, watch_nonces
from tests.sim.devices import Cable
from tests.sim.link import LinkShape, SimLink
from tests.sim.nodes import GatewayNode, KitNode, ServerNode
from tests.sim.world import World
from wire.noise import KeyPair
from wire.seal import ed25519_public

TROUBLE_S = 900.0
PEACE_S = 7200.0
SHAPES = (
    LinkShape(),
    LinkShape(rate_bps=9600, delay_s=0.25, loss=0.005),
    LinkShape(rate_bps=2400, delay_s=0.9, loss=0.03),
    LinkShape(rate_bps=1_000_000, delay_s=0.1, loss=0.1, duplicate=0.1, corrupt=0.05),
    LinkShape(is_stream=True),
    LinkShape(rate_bps=9600, delay_s=0.6, is_stream=True),
)
KITS = (1, 1, 1, 2, 3)
"""How many vans are on the road, each as likely as it stands here."""
PORTS = [
    Port(name="analyser", path="/dev/a", driver="astm"),
    Port(name="labels", path="/dev/b", driver="barcode"),
    Port(name="oximeter", path="/dev/c", driver="nonin"),
]


@dataclass
class Outcome:
    """What a run came to, for the log and for people."""

    seed: int
    studies: int = 0
    acknowledged_frames: int = 0
    crashes: int = 0
    disk_failures: int = 0
    cuts: int = 0
    imported: int = 0
    modem_boots: int = 0
    sessions: int = 0
    trips: int = 0
    mishaps: int = 0
    simulated_s: float = 0.0
    log: list[str] = field(default_factory=list)


class Scenario:
    """Builds the world of one seed and runs it: every kit on one plain link."""

    trouble_s, peace_s = TROUBLE_S, PEACE_S

    def __init__(self, seed: int):
        self.world = World(seed)
        rng = self.world.rng
        self.checks = Checks(self)
        self.server = ServerNode(self.world)
        self.gateway = self._make_gateway()
        self.kits = [self._make_kit(f"van-{number}") for number in range(1, rng.choice(KITS) + 1)]
        self.far = self._link(self.gateway, self.server)
        self.gateway.to_server = self.far
        self.links = [self.far, *self._links_of_kits()]
        self.nodes = [*self.kits, self.gateway, self.server]
        self.cuts = 0
        self._enrol()
        self.labels = [patient_label(seed % 1000, at) for at in range(rng.randint(1, 4))]
        self.cables = [
            cable for number, kit in enumerate(self.kits) for cable in self._plug_in(kit, rng, seed + number)
        ]

    def _make_gateway(self):
        return GatewayNode(self.world, self.server)

    def _make_kit(self, name):
        return KitNode(self.world, self.server, self.gateway, PORTS, name)

    def _links_of_kits(self):
        return [self._link(kit, self.gateway) for kit in self.kits]

    def _link(self, near, far):
        link = SimLink(self.world, self.world.rng.choice(SHAPES), self.checks.saw_frame)
        near.links.append((link, 0))
        far.links.append((link, 1))
        return link

    def _enrol(self):
        self.server.start()
        peers: Peers = self.server.centre.peers
        gateway = self.gateway
        for kit in self.kits:
            public = KeyPair.from_secret(kit.link_secret).public
            peers.add_kit(kit.name, public, kit.psk, ed25519_public(kit.sign_secret))
        peers.add_gateway("ground", gateway.identity.public, gateway.psk, ["udp://sim:1"])

    def _plug_in(self, kit, rng, seed):
        messages = [
            message(rng.choice(sorted(STYLES)), seed, label, at=at, is_control=rng.random() < 0.1)
            for at, label in enumerate(rng.choices(self.labels, k=rng.randint(1, 5)))
        ]
        faults = [name for name in ANALYSER_FAULTS if rng.random() < 0.1]
        return [
            Cable(self.world, kit, "analyser", Analyser(messages, faults, every_s=rng.uniform(10, 120))),
            Cable(self.world, kit, "labels", Scanner(self.labels, rng.uniform(60, 200), [])),
            Cable(self.world, kit, "oximeter", Oximeter(seed, rng.randint(1, 2), rng.uniform(5, 40), "2", [])),
        ]

    def run(self) -> Outcome:
        world = self.world
        with watch_nonces(self.checks):
            for node in reversed(self.nodes):
                node.start()
            for cable in self.cables:
                world.after(world.rng.uniform(0, 60), cable.switch_on)
            self._plan_trouble()
            world.run(self.trouble_s)
            self._make_peace()
            world.run(self.trouble_s + self.peace_s, self.is_drained)
            self.checks.at_the_end()
        return self._outcome()

    def _plan_trouble(self):
        rng, world = self.world.rng, self.world
        for link in self.links:
            at = 0.0
            for _ in range(rng.randint(0, 6)):
                at += rng.expovariate(1 / 150)
                world.at(at, lambda link=link: self._cut(link))
        for node in (*self.kits, *self.nodes):
            for _ in range(rng.randint(0, 2)):
                fault = rng.choice(("crash", "crash", "cut", "EIO", "ENOSPC"))
                world.at(rng.uniform(5, self.trouble_s), lambda node=node, fault=fault: self._hurt(node, fault))
        for _ in range(rng.randint(0, 3)):
            cable = rng.choice(self.cables)
            world.at(rng.uniform(5, self.trouble_s), lambda cable=cable: cable.pull(rng.uniform(1, 60)))
            node = rng.choice(self.nodes)
            jump = rng.choice((-86_400_000 * 3650, 3_600_000, 86_400_000 * 365))
            world.at(rng.uniform(5, self.trouble_s), lambda node=node, jump=jump: self._jump(node, jump))

    def _cut(self, link):
        self.cuts += link.is_up
        rng = self.world.rng
        link.cut((rng.random() < 0.5 or link.shape.is_stream, rng.random() < 0.5 or link.shape.is_stream))
        self.world.after(rng.uniform(1, 90), link.mend)

    def _hurt(self, node, fault):
        if not node.alive:
            return
        if fault == "cut":
            node.power_cut()
        else:
            node.disk.fail(fault, self.world.rng.randint(1, 40))

    def _jump(self, node, milliseconds):
        node.clock.offset_ms += milliseconds

    def _make_peace(self):
        for node in self.nodes:
            node.disk.fail_at = None
        for link in self.links:
            self.world.after(1.0, link.mend)

    def is_drained(self):
        """Every device has said its piece, every study has its receipt."""
        world_at_peace = self.world.now > self.trouble_s + 120.0
        alive = all(node.alive for node in self.nodes)
        if not (world_at_peace and alive and all(cable.device.is_done for cable in self.cables)):
            return False
        return not any(kit.process.spool.pending() or kit.process.capture.capturing for kit in self.kits)

    def _outcome(self) -> Outcome:
        nodes = self.nodes
        return Outcome(
            seed=self.world.seed,
            studies=len(self.checks.studies),
            acknowledged_frames=sum(len(cable.acknowledged) for cable in self.cables),
            crashes=sum(node.crashes for node in nodes),
            disk_failures=sum(node.disk_failures for node in nodes),
            cuts=self.cuts,
            simulated_s=self.world.now,
            log=sorted((line for node in nodes for line in node.log), key=lambda line: float(line.split()[0])),
        )
