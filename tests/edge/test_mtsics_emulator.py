"""The MT-SICS driver against somebody else's scale: the package mt-sics-emulator, where it is installed."""

import pytest

from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire

engine = pytest.importorskip("mtsics.protocol.engine", reason="EMULATOR ABSENT: pip install mt-sics-emulator")
simulator = pytest.importorskip("mtsics.core.simulator")
state = pytest.importorskip("mtsics.core.state")

STEP_S = 0.1
LOADS = ((3.0, 40.0), (15.0, 0.0), (20.0, 81.35), (40.0, 0.0))
"""When a load comes, and what: 0 takes it off."""


class Emulated:
    """The emulator as one of our devices: its physics in our time, its engine at our line."""

    def __init__(self):
        self._state = state.ScaleState()
        self._scale, self._engine = simulator.WeightSimulator(self._state), engine.MTSICSEngine(self._state)
        self._loads, self._steps = list(LOADS), 0
        self.commands = set()

    def feed(self, data, now):
        commands = data.decode().split("\r\n")[:-1]
        self.commands |= set(commands)
        return "".join(map(self._engine.handle, commands)).encode()

    def tick(self, now):
        while self._steps * STEP_S <= now + 1e-9:
            if self._loads and self._loads[0][0] <= self._steps * STEP_S + 1e-9:
                self._scale.set_target(self._loads.pop(0)[1])
            self._scale.tick(STEP_S)
            self._steps += 1
        return b""

    def deadline(self):
        return self._steps * STEP_S if self._steps * STEP_S < 50.0 else None


def test_two_loads_on_an_emulated_scale_are_two_studies():
    device, bench = Emulated(), Bench("mtsics")
    Wire(device, BenchHost(bench)).run(until=60.0)
    bench.wait(30)
    assert device.commands == {"SI", "I2", "I4"}
    weighed = [float(study.observations[-1].value) for study in bench.studies]
    assert weighed == pytest.approx([40.0, 81.35], abs=0.05)
    assert all(study.begins.serial for study in bench.studies)
