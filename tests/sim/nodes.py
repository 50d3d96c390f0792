"""The real kit, gateway and server on simulated disks, links and clocks, each of which may lose its power at any call.

A node that crashes leaves its disk as the disk's own seed decides, forgets everything else, and is started anew a while
later. A node whose disk fails is started anew too, as its supervisor would do.
"""

from collections.abc import Callable

from argon2 import PasswordHasher

from edge.config import KitConfig, Port
from edge.kit import Kit
from edge.panel import DarkLamps
from gateway.station import Station, Upstream
from node.enrolment import Contact, KitEnrolment
from server.centre import Centre
from server.database import Database
from server.kernel import Kernel
from server.keys import make
from tests.sim.disk import Crash, SimDisk
from tests.sim.link import SimLink
from tests.sim.world import SimClock, World
from wire.errors import DiskError, DiskFull
from wire.noise import KeyPair

RESTART_S = (2.0, 20.0)
RESERVE_BYTES = 1 << 16
QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Node:
    """One machine: its disk, its clock, its process. `alive` says whether the process runs."""

    name = ""

    def __init__(self, world: World, capacity: int = 64 << 20):
        self.world = world
        self.disk = SimDisk(world.rng.randrange(2**32), capacity=capacity)
        self.clock = SimClock(world, offset_ms=world.rng.choice((0, 0, -3_600_000, 86_400_000 * 400)))
        self.links: list[tuple[SimLink, int]] = []
        self.process = None
        self.crashes = 0
        self.disk_failures = 0
        self.log: list[str] = []
        self._lives = 0
        self._tick_at = None

    def build(self):
        """Open the process on the disk; raises what the disk raises."""
        raise NotImplementedError

    def side(self, link):
        """Return what the link calls on this node."""
        raise NotImplementedError

    @property
    def alive(self):
        return self.process is not None

    @property
    def life(self):
        """The number of the process that runs, or ran last."""
        return self._lives

    def start(self):
        if self.alive:
            return
        self._lives += 1
        self.guard(self._open)

    def _open(self):
        self.process = self.build()
        for link, end in self.links:
            link.ends[end] = _Guarded(self, link)
            link.mend()
        self.wake()

    def guard(self, action: Callable[[], object]):
        """Run one call of the process; a crash or a failed disk ends the process and plans the next."""
        try:
            result = action()
        except Crash:
            self.power_cut()
        except (DiskError, DiskFull) as error:
            self.disk_failures += 1
            self.log.append(f"{self.world.now:.1f} {self.name}: {error}")
            self._stop()
            self.world.after(5.0, self.start)
        else:
            self.wake()
            return result
        return None

    def power_cut(self):
        """The power goes; it comes back within RESTART_S."""
        self.crashes += 1
        self.log.append(f"{self.world.now:.1f} {self.name}: power cut")
        self.disk = self.disk.crash(self.world.rng.randrange(2**32))
        self._stop()
        self.world.after(self.world.rng.uniform(*RESTART_S), self.start)

    def _stop(self):
        self.process = self._tick_at = None
        for link, end in self.links:
            link.ends[end] = None
            link.cut((end != 0, end != 1))

    def wake(self):
        """Ask the world for a tick at the process's deadline."""
        at = self.deadline() if self.alive else None
        planned = None if at is None else max(at, self.world.now)
        if planned is None or (self._tick_at is not None and self._tick_at <= planned):
            return
        self._tick_at = planned
        life = self._lives
        self.world.at(planned, lambda: self._tick(life, planned))

    def _tick(self, life, planned):
        if life != self._lives or planned != self._tick_at:
            return  # an earlier one was asked for since: each of these would ask for another
        self._tick_at = None
        if self.alive:
            self.guard(self.tick)

    def deadline(self):
        return self.process.deadline()

    def tick(self):
        self.process.tick(self.world.now)


class _Guarded:
    """A link's end whose calls end in a crash of the node when its disk says so."""

    def __init__(self, node, link):
        self._node, self._link = node, link

    def bearer_up(self, bearer, now):
        self._node.guard(lambda: self._node.side(self._link).bearer_up(bearer, now))

    def bearer_down(self, bearer, now):
        self._node.guard(lambda: self._node.side(self._link).bearer_down(bearer, now))

    def receive(self, bearer, frame, now):
        if self._node.alive:
            self._node.guard(lambda: self._node.side(self._link).receive(bearer, frame, now))


class ServerNode(Node):
    """The centre. Its database commits durably: what SQLite promises is not simulated, what we do around it is."""

    name = "server"

    def __init__(self, world):
        super().__init__(world, capacity=512 << 20)
        self.database = Database("sqlite://")
        self.keys = make(world.entropy)
        self.centre = None
        self.received = []

    def build(self):
        self.centre = Centre.build(self.disk, self.database, self.keys, self.clock, self.world.entropy, QUICK_HASHER)
        return Kernel(self.centre, self.events, reserve_bytes=RESERVE_BYTES)

    def events(self, event):
        self.log.append(f"{self.world.now:.1f} server: {event.kind} {event.text}")

    def side(self, link):
        return self.process


class GatewayNode(Node):
    """The ground station between `to_kits` and `to_server`."""

    name = "gateway"

    def __init__(self, world, server):
        super().__init__(world)
        self.identity = KeyPair.from_secret(world.entropy(32))
        self.psk = world.entropy(32)
        self.upstream = Upstream(server.keys.link_public, self.psk, server.keys.sign_public)
        self.to_server = None

    def build(self):
        return Station(
            self.identity, self.upstream, self.disk, self.world.entropy, self.events, reserve_bytes=RESERVE_BYTES
        )

    def events(self, event):
        self.log.append(f"{self.world.now:.1f} gateway: {event.kind} {event.text}")

    def side(self, link):
        return self.process.server if link is self.to_server else self.process.kits


class KitNode(Node):
    """The van: ports by name, each with a simulated device on it (`plug`)."""

    def __init__(self, world, server, gateway, ports: list[Port], name):
        super().__init__(world)
        self.name = name
        self.link_secret, self.psk, self.sign_secret = (world.entropy(32) for _ in range(3))
        self.config = KitConfig(port=ports)
        self.enrolment = KitEnrolment(
            name,
            self.link_secret,
            self.psk,
            self.sign_secret,
            server.keys.seal_public,
            server.keys.sign_public,
            (Contact("ground", gateway.identity.public, ("udp://sim:1",)),),
        )
        self.devices = {}
        self.held = {}
        """Every object that the kit ever had, by id: what has its receipt may be pruned."""

    def build(self):
        kit = Kit(
            self.config, self.enrolment, self.disk, self.clock, self.world.entropy, DarkLamps(), on_event=self.events
        )
        for port in self.config.port:
            kit.present(port.name)
        return kit

    def events(self, kind, text):
        if kind == "sent":
            self._remember()
        self.log.append(f"{self.world.now:.1f} {self.name}: {kind} {text}")

    def _remember(self):
        if self.alive:
            self.held.update((one.object_id.hex(), one) for one in self.process.spool.objects())

    def side(self, link):
        return self.process.link

    def deadline(self):
        times = (self.process.deadline(), self.process.link.deadline())
        return min((at for at in times if at is not None), default=None)

    def tick(self):
        self.process.link.tick(self.world.now)
        for port, data in self.process.tick(self.world.now).items():
            self.devices[port].answered(data)
        if self.process.disk_failed:
            raise DiskError("the stores are closed")

    def heard(self, port, data):
        """A device's bytes arrive at the kit's port: lost when the kit has no power."""
        if not self.alive:
            return
        answer = self.guard(lambda: self.process.heard(port, data, self.world.now))
        if answer:
            self.devices[port].answered(answer)
        if self.alive and self.process.disk_failed:
            self.guard(self.tick)
