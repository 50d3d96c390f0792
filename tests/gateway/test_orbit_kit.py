"""A study captured on a real kit reaches the centre's door by Iridium alone: summary, custody, receipt; bulk waits."""

import pytest

from node.seams import Receipt
from node.spool import State
from tests.edge.test_kit import SERVER_SIGN, Van
from tests.gateway.ground import Ground, kit_entry
from tests.gateway.orbit import Orbit
from tests.sim.disk import SimDisk
from wire import objects
from wire.receipt import sign_receipt

HOUR_S = 3600.0


class VanOrbit(Orbit):
    """The kit and the ground station with all their stores, and a server above that gives receipts."""

    def __init__(self, *faults, seed=1, **more):
        self.van, self.station_disk = Van(), SimDisk()
        super().__init__(*faults, seed=seed, **more)

    def start_kit(self):
        if self.is_open:
            self.van = Van(self.van.disk.crash(1))
        self.van.clock.roads = self
        self.kit = self.van.kit.link
        if self.is_open:
            self.driver = self._make_driver(self.ears, self)
            self.open()

    def start_gateway(self):
        self.ground_station = Ground(self.station_disk, kit_entry())
        self.ground_station.at_server.verdict = lambda given: Receipt(
            sign_receipt(given.object_id, given.digest + bytes(16), 0, SERVER_SIGN[0])
        )
        self.gateway = self.ground_station.station.kits

    @property
    def at_server(self):
        return self.ground_station.at_server.done

    def _roads(self):
        roads = self.ground_station.roads
        roads.now = max(roads.now, self.now)
        return roads

    def _next(self):
        roads = self._roads()
        times = [at for node in roads.nodes if (at := node.deadline()) is not None]
        times += [roads._under_way[0][0]] if roads._under_way else []
        return max(min(super()._next(), *times) if times else super()._next(), self.now + 0.0005)

    def _carry(self):
        super()._carry()
        self._roads()._step()

    def states(self, kind):
        return [one.state for one in self.van.spool() if one.kind == kind]


@pytest.fixture
def orbit():
    orbit = VanOrbit()
    orbit.ground_station.call_server()
    return orbit


def test_a_summary_reaches_the_server_and_its_receipt_the_kit_while_bulk_waits(orbit):
    assert orbit.van.measure().is_good
    orbit.open()
    assert orbit.run(HOUR_S, lambda: orbit.states(objects.SUMMARY) == [State.RECEIVED])
    assert orbit.states(objects.STUDY) == [State.WAITING]
    assert len(orbit.at_server) == 1
    cold = orbit.sim.meter.credits
    orbit.van.measure(at=60)
    orbit.kit.tick(orbit.now)
    began = orbit.now
    assert orbit.run(HOUR_S, lambda: orbit.states(objects.SUMMARY) == [State.RECEIVED] * 2)
    resumed = orbit.sim.meter.credits - cold
    assert len(orbit.at_server) == 2
    assert (cold, resumed) == (22, 18), "the figures of docs/decisions/0100"
    assert began < 150
    assert orbit.now - began < 90


def test_a_summary_is_in_custody_without_a_server_and_received_later():
    orbit = VanOrbit()
    orbit.van.measure()
    orbit.open()
    assert orbit.run(HOUR_S, lambda: orbit.states(objects.SUMMARY) == [State.CUSTODY])
    orbit.ground_station.call_server()
    assert orbit.run(12 * HOUR_S, lambda: len(orbit.at_server) == 1)
    assert orbit.run(HOUR_S, lambda: orbit.states(objects.SUMMARY) == [State.RECEIVED])


@pytest.mark.parametrize("seconds", [8, 20, 40, 60])
def test_a_kit_that_loses_its_power_in_between(orbit, seconds):
    orbit.van.measure()
    orbit.open()
    orbit.run(seconds)
    orbit.start_kit()
    assert orbit.run(12 * HOUR_S, lambda: orbit.states(objects.SUMMARY) == [State.RECEIVED])
    assert len(orbit.at_server) == 1
    assert orbit.ground_station.at_server.finishes == 1
