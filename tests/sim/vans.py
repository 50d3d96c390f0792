"""A kit with ways in the simulated world: roads that come and go, and a ledger that our code cannot see.

A `WayLink` is a `SimLink` that exists while its road is open and there is coverage; it counts by itself what was sent
over it on which local day. Any shape of a `SimLink` will do, that of billed messages, too.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC

from edge.config import DayBudget, KitConfig, Policy, Way
from edge.day import local_date
from edge.tariff import NOTHING
from edge.terms import terms_of
from edge.way import RoadStatus
from edge.ways import Ways
from tests.sim.link import LinkShape, SimLink
from tests.sim.nodes import KitNode
from wire.errors import DiskError


@dataclass(frozen=True, slots=True)
class WayShape:
    """A configured way, the link below it, and how it comes and goes: mean seconds with and without coverage."""

    way: Way
    link: LinkShape
    open_s: float = 5.0
    covered_s: float = 1800.0
    uncovered_s: float = 900.0
    vanishes: bool = False
    """Without coverage the road is not there at all, as a network at the base; else it only finds no bearer."""


class WayLink(SimLink):
    """The link of one way."""

    def __init__(self, world, shape: WayShape, watch, clock):
        super().__init__(world, shape.link, watch)
        self.way, self.way_shape = shape.way, shape
        self.terms = terms_of(shape.way)
        self._clock = clock
        self.is_open = self.is_covered = False
        self._opening = 0
        self.truth = {}
        """What really went, by local day of the kit: the cost of what it sent."""
        self.received = NOTHING
        self.counts = Counter()
        self.open_since, self.open_s = 0.0, 0.0

    def road(self, ears):
        return SimRoad(self)

    def mend(self):
        if self.is_open and self.is_covered:
            super().mend()

    def carry(self, bearer, frame):
        size = len(frame) + bearer.overhead
        if bearer.side == 0:
            day = local_date(self._clock.time_ms(), UTC)
            self.truth[day] = self.truth.get(day, NOTHING) + self.terms.tariff.frame(size)
            self.counts["sent"] += 1
        else:
            self.received += self.terms.tariff.frame(size)
            self.counts["received"] += 1
        super().carry(bearer, frame)

    def cover(self, is_covered):
        """Coverage comes or goes."""
        self.is_covered = is_covered
        if is_covered:
            self.world.after(self.way_shape.open_s, self.mend)
        else:
            self.cut()

    def open(self):
        self.is_open = True
        self.counts["starts"] += 1
        self.open_since = self.world.now
        self._opening += 1
        opening = self._opening
        self.world.after(
            self.way_shape.open_s * self.world.rng.uniform(0.7, 1.5), lambda: opening == self._opening and self.mend()
        )

    def close(self):
        if self.is_open:
            self.open_s += self.world.now - self.open_since
        self.is_open = False
        self._opening += 1
        self.cut()


class SimRoad:
    """The seam `edge.way.Road` on a `WayLink`."""

    def __init__(self, link):
        self._link = link

    def open(self):
        self._link.open()

    def close(self):
        self._link.close()

    def turn(self):
        return False

    def status(self):
        link = self._link
        return RoadStatus(
            is_there=link.is_covered or not link.way_shape.vanishes, text="" if link.is_covered else "no coverage"
        )


class WaysKitNode(KitNode):
    """A van whose kit has ways."""

    def __init__(self, world, server, gateway, ports, name, shapes, watch, policy=None):
        super().__init__(world, server, gateway, ports, name)
        self.way_links = {shape.way.name: WayLink(world, shape, watch, self.clock) for shape in shapes}
        self.config = KitConfig(port=list(ports), way=[shape.way for shape in shapes], policy=policy or Policy())
        for link in self.way_links.values():
            self.links.append((link, 0))
            gateway.links.append((link, 1))
        self.ways = None
        self.ears = {}
        self.created, self.arrived = {}, {}
        self._pending = ()
        self.counted = {}

    def build(self):
        kit = super().build()
        self.ways = Ways(kit, self._road, self.disk, self.clock)
        return kit

    def _road(self, terms, ears):
        self.ears[terms.name] = ears
        return SimRoad(self.way_links[terms.name])

    def side(self, link):
        return self.ears[link.way.name]

    def deadline(self):
        times = (self.process.deadline(), self.ways.deadline())
        return min((at for at in times if at is not None), default=None)

    def tick(self):
        self.ways.tick(self.world.now)
        for port, data in self.process.tick(self.world.now).items():
            self.devices[port].answered(data)
        if self.process.disk_failed:
            raise DiskError("the stores are closed")

    def guard(self, action):
        result = super().guard(action)
        if self.alive and not self.process.disk_failed and not self.disk.crashed:
            self._remember_pending()
        return result

    def _remember_pending(self):
        pending = self.process.outbox.pending()
        if pending is not self._pending:
            self._pending = pending
            for offer in pending:
                self.created.setdefault(offer.object_id.hex(), (self.world.now, offer))

    def events(self, kind, text):
        if kind == "sent":
            self.arrived.setdefault(text.split()[0], self.world.now)
        super().events(kind, text)

    def _stop(self):
        for link in self.way_links.values():
            link.close()
        super()._stop()


def way(name, url, budget=None, **more):
    """Return a way's configuration in one line."""
    return Way(name=name, url=url, budget=DayBudget(**(budget or {})), **more)
