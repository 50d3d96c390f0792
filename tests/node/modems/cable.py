"""A serial cable in virtual time between two modem objects, with a caller on one and a host on the other.

The cable sends at its speed, in pieces, after a delay; it may lose bytes, flip bits, and add noise. One seed, one run.
"""

import heapq
import random
from dataclasses import dataclass

from node.link import Caller, Grant, Host
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, MemoryOutbox

PIECE = 32
STUCK_MAX = 2000


@dataclass
class Fault:
    """Chances for each byte, and what noise stands for."""

    lost: float = 0.0
    flipped: float = 0.0
    noise: float = 0.0
    down: tuple = ()
    """Spans of seconds in which nothing passes."""


class Cable:
    """Bytes from either end to the other."""

    def __init__(self, baud: float, delay: float, fault: Fault, seed: int) -> None:
        self.byte_s, self.delay, self.fault = 10 / baud, delay, fault
        self.random = random.Random(seed)
        self.busy_until = [0.0, 0.0]
        self.flying, self.serial = [], 0
        self.bytes = [0, 0]
        self.wait_max = 0.0

    def send(self, way: int, data: bytes, now: float) -> None:
        self.bytes[way] += len(data)
        self.wait_max = max(self.wait_max, self.busy_until[way] - now)
        for at in range(0, len(data), PIECE):
            piece = data[at : at + PIECE]
            end = self.busy_until[way] = max(now, self.busy_until[way]) + len(piece) * self.byte_s
            if not any(start <= end < stop for start, stop in self.fault.down):
                self.serial += 1
                heapq.heappush(self.flying, (end + self.delay, self.serial, way, self._harm(piece)))

    def _harm(self, piece: bytes) -> bytes:
        out, chance, fault = bytearray(), self.random.random, self.fault
        for byte in piece:
            if chance() < fault.noise:
                out += self.random.randbytes(self.random.randrange(1, 9))
            if chance() >= fault.lost:
                out.append(byte ^ (1 << self.random.randrange(8) if chance() < fault.flipped else 0))
        return bytes(out)


class CableWorld:
    """A caller and a host, each with a modem object (made by `make(ears, is_caller)`) at one end of the cable."""

    def __init__(self, make, *, baud=9600, delay=0.002, fault=None, seed=1) -> None:
        self.cable, self.now = Cable(baud, delay, fault or Fault(), seed), 0.0
        entropy = random.Random(seed + 1000).randbytes
        self.up, self.down = MemoryOutbox(), MemoryOutbox()
        self.at_host, self.at_caller = MemoryInbox(), MemoryInbox()
        self.caller = Caller(KIT, GATEWAY.public, PSK, self.up, self.at_caller, entropy)
        self.host = Host(GATEWAY, lambda _: Grant(PSK, "kit"), lambda _: self.down, self.at_host, entropy)
        self.modems = make(self.caller, True), make(self.host, False)
        self.actors = (*self.modems, self.caller, self.host)

    def open(self) -> None:
        for modem in self.modems:
            modem.open(self.now)

    def carry(self) -> None:
        for way, modem in enumerate(self.modems):
            data = modem.output()
            if data:
                self.cable.send(way, data, self.now)

    def step(self, until: float) -> bool:
        self.carry()
        times = [at for actor in self.actors if (at := actor.deadline()) is not None]
        times += [self.cable.flying[0][0]] if self.cable.flying else []
        if not times or min(times) > until:
            self.now = until
            return False
        self.now = max(min(times), self.now)
        while self.cable.flying and self.cable.flying[0][0] <= self.now:
            _, _, way, data = heapq.heappop(self.cable.flying)
            self.modems[1 - way].feed(data, self.now)
        for actor in self.actors:
            actor.tick(self.now)
        return True

    def run(self, until: float, done=None) -> float:
        stuck = 0
        while self.now < until and not (done and done()):
            before = self.now
            if not self.step(until):
                break
            stuck = stuck + 1 if self.now == before else 0
            assert stuck < STUCK_MAX, f"the clock stands still at {self.now}"
        return self.now

    def all_received(self) -> bool:
        return not self.up.objects and not self.down.objects
