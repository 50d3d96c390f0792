"""A line that flips, loses and inserts bytes: what the analyser may forget is durable.

The protocol's own weakness is left out: an 8-bit sum lets one damage of 256 pass where several meet in a frame, so
here a frame seldom has more than one; and what goes to the analyser is lost or kept, never turned into another ACK.
"""

import random

import pytest

from hardware.simulated.analyser import ACK, Analyser
from hardware.simulated.results import message
from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire

SEEDS = range(40)
PER = {"xp100": 1500, "genexpert": 1500, "c111": 150, "blocks": 400}


class NoisyLine:
    """Damages one byte in `per` on the way to the kit, and loses one in ten on the way back, for a while."""

    def __init__(self, seed, per, quiet_after=12_000):
        self.chance, self.per, self.left = random.Random(seed), per, quiet_after

    def __call__(self, direction, data):
        if direction == ">":
            return bytes(byte for byte in data if self.left < 0 or self.chance.randrange(10))
        out = bytearray()
        for byte in data:
            self.left -= 1
            if self.left < 0 or self.chance.randrange(self.per):
                out.append(byte)
                continue
            how = self.chance.randrange(3)
            if how == 0:
                out.append(byte ^ 1 << self.chance.randrange(8))
            elif how == 1:
                out += bytes((byte, self.chance.randrange(256)))
        return bytes(out)


class Remembering(Analyser):
    """Notes each frame that it believes acknowledged, as it sent it."""

    def __init__(self, messages):
        super().__init__(messages, every_s=5.0)
        self.believed = []

    def _answered(self, byte, now):
        sent = self._frames[self._next]
        if byte == ACK:
            self.believed.append(sent)
        return super()._answered(byte, now)


@pytest.mark.parametrize("style", PER)
def test_what_the_analyser_believes_acknowledged_is_durable(style):
    for seed in SEEDS:
        device = Remembering([message(style, seed, f"77{at}", at=at) for at in range(2)])
        bench = Bench("astm")
        Wire(device, BenchHost(bench), NoisyLine(seed, PER[style]), piece=1 + seed % 7).run()
        texts = [sent[2:-5] for sent in device.believed]
        lost = [text for text in texts if text not in bench.durable]
        assert not lost, (seed, lost)
