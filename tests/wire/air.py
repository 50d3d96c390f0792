"""An emulated link in virtual time and the smallest outbox and inbox, for tests of the whole stack.

The model per direction is that of a modem line: a queue with a bound feeds a serialiser; a packet then meets loss,
a copy, a flipped bit, jitter (order is kept, but for what `reorder` picks). An outage takes what is queued, and with
`takes_air` what is on the air; with `is_cut` the kit comes back with another address. One seed, one run.
"""

import heapq
import random
from dataclasses import dataclass, field
from hashlib import blake2b

from node.link import Caller, Grant, Host
from wire.noise import KeyPair
from wire.objects import FILE, Damaged, Offer, Receipt, Refusal
from wire.ranges import RangeSet

KIT, GATEWAY = KeyPair.from_secret(b"k" * 32), KeyPair.from_secret(b"g" * 32)
PSK = b"p" * 32
OVERHEAD = 28
SEGMENT_HEAD = 3  # of a segment at the beginning of an object, on one of the first channels


@dataclass
class Profile:
    """Rate in bit/s, times in seconds, chances 0 to 1, queue in bytes; outages as (start, end)."""

    rate: float = 40000
    delay: float = 0.75
    jitter: float = 0.0
    loss: float = 0.0
    copies: float = 0.0
    reorder: float = 0.0
    flips: float = 0.0
    queue: int = 16384
    mtu: int = 1472
    """The largest frame that the end's own interface takes."""
    path_mtu: int = 0
    """Above so many bytes, with headers, a packet vanishes on the way; 0: no such bound."""
    outages: list = field(default_factory=list)
    up_s: float = 0.0
    down_s: float = 0.0
    is_cut: bool = False
    takes_air: bool = False

    def is_up(self, t: float) -> bool:
        if self.up_s and t % (self.up_s + self.down_s) >= self.up_s:
            return False
        return not any(start <= t < end for start, end in self.outages)

    def cuts(self, t: float) -> int:
        """How many outages have begun."""
        if self.up_s:
            n, phase = divmod(t, self.up_s + self.down_s)
            return int(n) + (phase >= self.up_s)
        return sum(1 for start, _ in self.outages if start <= t)

    def up_seconds(self, t: float) -> float:
        if self.up_s:
            n, phase = divmod(t, self.up_s + self.down_s)
            return n * self.up_s + min(phase, self.up_s)
        return t - sum(max(0.0, min(t, end) - start) for start, end in self.outages)


class Wire:
    """A bearer's end: what is sent goes into the air."""

    def __init__(self, air: "Air", way: int, name: str = "wire", epoch: int | None = None) -> None:
        self.air, self.way, self.name, self.epoch = air, way, name, epoch
        self.mtu, self.overhead = air.profile.mtu, OVERHEAD
        self.is_stream = self.is_message = False

    def room(self) -> int:
        return 1 << 20

    def send(self, frame: bytes) -> None:
        assert len(frame) <= self.mtu
        self.air.offer(self.way, frame, self.epoch)

    def close(self) -> None:
        pass


class Air:
    """Both directions, and the clock."""

    def __init__(self, profile: Profile, seed: int = 1) -> None:
        self.profile, self.random, self.now = profile, random.Random(seed), 0.0
        self.busy_until, self.last_arrival = [0.0, 0.0], [0.0, 0.0]
        self.flying, self.serial = [], 0
        self.bytes, self.packets = [0, 0], [0, 0]
        self.queue_drops, self.busy_s = [0, 0], [0.0, 0.0]
        self.queue_delay_max = 0.0
        self.tap = None

    def offer(self, way: int, frame: bytes, to_epoch: int | None = None) -> None:
        p, size = self.profile, len(frame) + OVERHEAD
        self.bytes[way] += size
        self.packets[way] += 1
        if self.tap:
            self.tap(way, frame, self.now)
        epoch = p.cuts(self.now) if p.is_cut else 0
        if not p.is_up(self.now) or (way == 1 and p.is_cut and to_epoch != epoch) or 0 < p.path_mtu < size:
            return
        start = max(self.now, self.busy_until[way])
        if (start - self.now) * p.rate / 8 + size > p.queue:
            self.queue_drops[way] += 1
            return
        self.queue_delay_max = max(self.queue_delay_max, start - self.now)
        end = start + size * 8 / p.rate
        if not p.is_up(end):
            return
        self.busy_until[way] = end
        self.busy_s[way] += end - start
        if self.random.random() < p.loss:
            return
        for _ in range(2 if self.random.random() < p.copies else 1):
            arrival = end + p.delay + self.random.uniform(-p.jitter, p.jitter)
            if self.random.random() < p.reorder:
                arrival += self.random.uniform(0, p.delay)
            else:
                arrival = self.last_arrival[way] = max(arrival, self.last_arrival[way])
            if self.random.random() < p.flips:
                at = self.random.randrange(len(frame))
                frame = frame[:at] + bytes((frame[at] ^ 1 << self.random.randrange(8),)) + frame[at + 1 :]
            self.serial += 1
            heapq.heappush(self.flying, (arrival, self.serial, way, frame, epoch))


class MemoryOutbox:
    def __init__(self) -> None:
        self.objects: dict[bytes, tuple[Offer, bytes]] = {}
        self.receipts: dict[bytes, bytes] = {}
        self.custody: set[bytes] = set()
        self.refusals: list[tuple[bytes, Refusal]] = []

    def add(self, data: bytes, priority: int = 5, object_id: bytes | None = None, note: bytes = b"") -> bytes:
        digest = blake2b(data, digest_size=32).digest()[:16]
        object_id = object_id or blake2b(data + bytes((len(self.objects) % 256,)), digest_size=16).digest()
        self.objects[object_id] = (Offer(object_id, FILE, len(data), digest, priority, note), data)
        return object_id

    def pending(self):
        return [offer for offer, _ in self.objects.values()]

    def read(self, object_id, offset, size):
        return self.objects[object_id][1][offset : offset + size]

    def in_custody(self, object_id):
        self.custody.add(object_id)

    def receipt(self, object_id, receipt):
        self.receipts[object_id] = receipt
        self.objects.pop(object_id, None)

    def refused(self, object_id, refusal):
        self.refusals.append((object_id, refusal))
        if not refusal.temporary:
            self.objects.pop(object_id, None)


class MemoryInbox:
    """Keeps partial objects like a disk: they outlive sessions."""

    def __init__(self, verdict=None) -> None:
        self.partial: dict[tuple[bytes, bytes], tuple[Offer, bytearray, RangeSet]] = {}
        self.done: dict[bytes, bytes] = {}
        self.writes = 0
        self.finishes = 0
        self.verdict = verdict or (lambda offer: Receipt(b"ok"))
        self.refuse = None

    def offered(self, peer, offer):
        if self.refuse is not None:
            return self.refuse
        if offer.object_id in self.done:
            return self.verdict(offer)
        key = (peer, offer.object_id)
        self.partial.setdefault(key, (offer, bytearray(offer.size), RangeSet()))
        return self.partial[key][2]

    def write(self, peer, object_id, offset, data):
        if (peer, object_id) not in self.partial:
            return
        _, buffer, have = self.partial[peer, object_id]
        self.writes += 1
        buffer[offset : offset + len(data)] = data
        have.add(offset, offset + len(data))

    def finish(self, peer, object_id):
        if object_id in self.done:
            return Receipt(b"ok")
        offer, buffer, have = self.partial.pop((peer, object_id))
        assert have.covers(0, offer.size)
        if blake2b(bytes(buffer), digest_size=32).digest()[:16] != offer.digest:
            return Damaged()
        self.finishes += 1
        self.done[object_id] = bytes(buffer)
        return self.verdict(offer)


class World:
    """One caller and one host on one link; each can be killed and started anew."""

    def __init__(self, profile: Profile, seed: int = 1, *, call: bool = True) -> None:
        self.air = Air(profile, seed)
        self.entropy = random.Random(seed + 1000).randbytes
        self.up, self.down = MemoryOutbox(), MemoryOutbox()
        self.at_host, self.at_caller = MemoryInbox(), MemoryInbox()
        self.address = 0
        self.start_host()
        if call:
            self.start_caller()
        self.failures: list[str] = []

    @property
    def now(self) -> float:
        return self.air.now

    def start_host(self, authorize=None) -> None:
        grant = Grant(PSK, "kit")
        authorize = authorize or (lambda public: grant if public == KIT.public else None)
        self.host = Host(GATEWAY, authorize, lambda _: self.down, self.at_host, self.entropy, tell_strangers=True)
        self.host_wires: dict[tuple[int, int], Wire] = {}

    def start_caller(self, **keys) -> None:
        words = {"identity": KIT, "far_public": GATEWAY.public, "psk": PSK} | keys
        self.caller = Caller(outbox=self.up, inbox=self.at_caller, entropy=self.entropy, **words)
        self.wire = Wire(self.air, 0)
        self.caller.bearer_up(self.wire, self.now)

    def step(self, until: float) -> bool:
        """Go to the next thing that happens; False when nothing more happens before `until`."""
        air = self.air
        times = [t for t in (self.caller.deadline(), self.host.deadline()) if t is not None]
        times += [air.flying[0][0]] if air.flying else []
        if not times or min(times) > until:
            air.now = until
            return False
        due = max(min(times), air.now)
        assert due >= air.now
        air.now = due
        while air.flying and air.flying[0][0] <= air.now:
            _, _, way, frame, epoch = heapq.heappop(air.flying)
            if air.profile.takes_air and not air.profile.is_up(air.now):
                continue
            if way == 0:
                self.host.receive(self.host_wire(epoch), frame, air.now)
            else:
                self.caller.receive(self.wire, frame, air.now)
        for node in (self.caller, self.host):  # a shell calls at a deadline, and not because something else happens
            at = node.deadline()
            if at is not None and at <= air.now:
                node.tick(air.now)
        return True

    def host_wire(self, epoch: int = 0) -> Wire:
        name = f"address {self.address}.{epoch}"
        return self.host_wires.setdefault((self.address, epoch), Wire(self.air, 1, name, epoch))

    def run(self, until: float, done=None) -> float:
        """Run to `until` or until `done()`; returns the time."""
        stuck = 0
        while self.now < until and not (done and done()):
            before = self.now
            if not self.step(until):
                break
            stuck = stuck + 1 if self.now == before else 0
            assert stuck < 1000, f"the clock stands still at {self.now}"
        return self.now

    def all_received(self) -> bool:
        return not self.up.objects and not self.down.objects
