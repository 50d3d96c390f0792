"""A sky of messages in virtual time, beside the air of `tests/wire/air.py`: one slot in a modem, a mailbox below.

Bare messages, no modem: a session takes seconds, carries what is in the slot, and brings one message of the mailbox. It
may fail, it may tell of failure after it has delivered, and the ground may lose a message. One seed, one run.
"""

import heapq
import itertools
import random
from dataclasses import dataclass

from node.link import Caller
from tests.wire.air import GATEWAY, KIT, PSK, Profile, Wire, World
from wire.objects import SUMMARY, Offer

MO_SIZE_MAX, MT_SIZE_MAX, CREDIT_SIZE, QUEUE_MAX = 340, 270, 50, 50


@dataclass
class SkyShape:
    """Times in seconds, chances 0 to 1. `rings`: the modem is told of what waits and fetches it by itself."""

    session_s: tuple[float, float] = (8.0, 25.0)
    retry_s: float = 30.0
    fails: float = 0.0
    fails_delivered: float = 0.0
    loses_up: float = 0.0
    loses_down: float = 0.0
    ground_s: tuple[float, float] = (2.0, 10.0)
    rings: bool = False


class Kitside:
    """The modem's end: the seams `Bearer` and `Mailbox`."""

    name, mtu, overhead, is_stream, is_message = "sbd://kit", MO_SIZE_MAX, 0, False, True

    def __init__(self, sky):
        self.sky = sky

    def room(self):
        return MO_SIZE_MAX if self.sky.slot is None else 0

    def send(self, frame):
        assert 0 < len(frame) <= MO_SIZE_MAX
        assert self.sky.slot is None, "a frame is in the modem"
        self.sky.slot = frame
        self.sky.wake()

    def fetch(self):
        self.sky.wants_fetch = True
        self.sky.wake()

    def close(self):
        pass


class Groundside:
    """The gateway's end for one modem."""

    name, mtu, overhead, is_stream, is_message = "sbd:300234010030450", MT_SIZE_MAX, 0, False, True

    def __init__(self, sky):
        self.sky = sky

    def room(self):
        return MT_SIZE_MAX if len(self.sky.mailbox) < QUEUE_MAX else 0

    def send(self, frame):
        assert 0 < len(frame) <= MT_SIZE_MAX
        self.sky.put(frame)

    def close(self):
        pass


class Sky:
    """What lies between, and what it cost."""

    def __init__(self, world, shape):
        self.world, self.shape = world, shape
        self.random = random.Random(world.air.random.random())
        self.kitside, self.groundside = Kitside(self), Groundside(self)
        self.slot, self.mailbox, self.wants_fetch, self.is_busy = None, [], False, False
        self.events, self._order = [], itertools.count()
        self.sent, self.fetched, self.empty_checks = [], [], 0

    @property
    def credits(self):
        return sum(-(-len(frame) // CREDIT_SIZE) for frame in self.sent + self.fetched) + self.empty_checks

    def at(self, delay, do):
        heapq.heappush(self.events, (self.world.now + delay, next(self._order), do))

    def put(self, frame):
        if self.random.random() >= self.shape.loses_down:
            self.mailbox.append(frame)
            if self.shape.rings:
                self.wants_fetch = True
                self.wake()

    def wake(self):
        if not self.is_busy and (self.slot is not None or self.wants_fetch):
            self.is_busy = True
            self.at(self.random.uniform(*self.shape.session_s), self._end)

    def _end(self):
        self.is_busy = False
        chance = self.random.random()
        fails = chance < self.shape.fails
        tells_failure = fails or chance < self.shape.fails + self.shape.fails_delivered
        frame = self.slot
        if not tells_failure:
            self.slot = None
        if not fails:
            self._carry(frame)
        if tells_failure:
            self.at(self.shape.retry_s, self.wake)
            return
        self.wants_fetch = self.wants_fetch and bool(self.mailbox)
        self.wake()
        self.world.caller.tick(self.world.now)

    def _carry(self, frame):
        if frame is not None:
            self.sent.append(frame)
            if self.random.random() >= self.shape.loses_up:
                self.at(self.random.uniform(*self.shape.ground_s), lambda: self._arrive(frame))
        elif not self.mailbox:
            self.empty_checks += 1
        if self.mailbox:
            answer = self.mailbox.pop(0)
            self.fetched.append(answer)
            self.wants_fetch = bool(self.mailbox)
            self.world.caller.receive(self.kitside, answer, self.world.now)

    def _arrive(self, frame):
        self.world.host.receive(self.groundside, frame, self.world.now)


class SkyWorld(World):
    """A caller and a host with an air and a sky between them."""

    def __init__(self, shape=None, profile=None, seed=1):
        super().__init__(profile or Profile(loss=0.01), seed, call=False)
        self.sky = Sky(self, shape or SkyShape())

    def add_summary(self, data, priority=1):
        object_id = self.up.add(data, priority)
        offer, _ = self.up.objects[object_id]
        self.up.objects[object_id] = (Offer(object_id, SUMMARY, offer.size, offer.digest, priority), data)
        return object_id

    def start_in_sky(self, **keys):
        words = {"identity": KIT, "far_public": GATEWAY.public, "psk": PSK} | keys
        self.caller = Caller(outbox=self.up, inbox=self.at_caller, entropy=self.entropy, **words)
        self.to_sky()

    def to_sky(self):
        self.caller.bearer_up(self.sky.kitside, self.now)

    def to_air(self):
        self.wire = Wire(self.air, 0)
        self.caller.bearer_up(self.wire, self.now)

    def step(self, until):
        sky_at = self.sky.events[0][0] if self.sky.events else float("inf")
        others = [at for at in (self.caller.deadline(), self.host.deadline()) if at is not None]
        others += [self.air.flying[0][0]] if self.air.flying else []
        if sky_at > until or sky_at > min(others, default=float("inf")):
            return super().step(until)
        self.air.now = max(self.air.now, sky_at)
        heapq.heappop(self.sky.events)[2]()
        return True
