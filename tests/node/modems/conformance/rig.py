"""A driver and a simulated modem on one line, in virtual time, with a far end behind the simulated network.

It is all that a suite for every modem needs: a shell's part (open, feed, lost, the supply, the speed), ears that
remember, and a far end that takes frames, answers them, closes, or falls silent. The same calls and seeds, the same
run.
"""

import random
from collections.abc import Callable

from hardware.simulated.modems.network import VirtualNetwork
from node.modems.seam import ModemState
from wire.framing import Deframer, enclose

HOST, PORT = "192.0.2.1", 7000
STEPS_MAX = 400_000
STEP_S_MIN = 0.0005
REOPEN_S = 0.5


class Ears:
    """Remembers bearers and frames, and what was wrong with their order."""

    def __init__(self) -> None:
        self.bearer, self.ups, self.downs, self.frames, self.ticks = None, 0, 0, [], 0
        self.wrong = []

    def bearer_up(self, bearer, now):
        if self.bearer is not None:
            self.wrong.append(f"{now}: a second bearer")
        self.bearer, self.ups = bearer, self.ups + 1

    def bearer_down(self, bearer, now):
        if bearer is not self.bearer:
            self.wrong.append(f"{now}: another bearer goes down")
        self.bearer, self.downs = None, self.downs + 1

    def receive(self, bearer, frame, now):
        if bearer is not self.bearer:
            self.wrong.append(f"{now}: a frame of a bearer that is down")
        self.frames.append(frame)

    def tick(self, now):
        self.ticks += 1


class FarEnd:
    """Listens for UDP and TCP at HOST:PORT; TCP carries frames behind their length."""

    def __init__(self, network) -> None:
        self.frames, self.sockets, self.streams, self.wrong = [], [], {}, []
        self.is_echoing = False
        self.is_line = False
        """Whether a connection stands for a line, as RUDICS gives it, and carries frames of `wire.framing`."""
        self.deframers = {}
        for kind in ("UDP", "TCP"):
            network.listen(kind, HOST, PORT, _Door(self, kind))

    def accepted(self, kind, socket):
        self.sockets.append(socket)
        self.streams[socket] = bytearray() if kind == "TCP" else None

    def poll(self, now):
        for socket in self.sockets:
            while (data := socket.receive(now)) is not None:
                for frame in self._frames(socket, data):
                    self.frames.append(frame)
                    if self.is_echoing:
                        self.send(frame, now, socket)

    def _frames(self, socket, data):
        stream = self.streams[socket]
        if stream is None:
            return [data]
        if self.is_line:
            return self.deframers.setdefault(socket, Deframer()).feed(data)
        stream += data
        found = []
        while len(stream) >= 2 and len(stream) >= 2 + int.from_bytes(stream[:2], "big"):
            size = int.from_bytes(stream[:2], "big")
            found.append(bytes(stream[2 : 2 + size]))
            del stream[: 2 + size]
        return found

    def send(self, frame, now, socket=None):
        socket = socket or self.sockets[-1]
        if self.is_line:
            socket.send(enclose(frame), now)
            return
        is_stream = self.streams[socket] is not None
        socket.send(len(frame).to_bytes(2, "big") + frame if is_stream else frame, now)

    def close(self, now):
        for socket in self.sockets:
            socket.close(now)


class _Door:
    def __init__(self, far, kind):
        self._far, self._kind = far, kind

    def accepted(self, socket, now):
        self._far.accepted(self._kind, socket)


class Rig:
    """`make_sim(network, faults, seed)` gives the simulated modem; `make_driver(ears, hands, to)` the driver.

    `hands` are the rig itself: `entropy`, `controls`, `power`, `pin_notes`, `wake`.
    """

    def __init__(
        self, make_sim: Callable, make_driver: Callable, faults=(), seed=1, *, has_power=True, network=None, ears=None
    ) -> None:
        self.now, self.ears, self.network = 0.0, ears or Ears(), network or VirtualNetwork()
        self.far = FarEnd(self.network)
        self.sim = make_sim(self.network, faults, seed)
        self.sim.host_baud = 115_200
        self.entropy = random.Random(seed).randbytes
        self.notes = Notes()
        self.has_power = has_power
        self.is_open = False
        self._reopen_at = None
        self.talk = []
        self.driver = make_driver(self.ears, self)

    # What the driver holds in its hands

    @property
    def controls(self):
        return self

    @property
    def power(self):
        return self.sim.rail if self.has_power else _NoRail()

    @property
    def pin_notes(self):
        return self.notes

    def wake(self):
        """The rig asks for the deadline at each step."""

    def set_baud(self, baud):
        self.sim.host_baud = baud

    def set_dtr(self, on):
        self.sim.set_dtr(on, self.now)

    def reopen(self):
        self._reopen_at = self.now

    def unsent(self):
        return 0

    def has_carrier(self):
        return None

    # The shell's part

    def open(self):
        self.is_open, self._is_done = True, False
        self.driver.open(self.now)
        return self

    def unplug(self):
        self.is_open = False
        self.driver.lost(self.now)
        return self

    def run(self, seconds, until=lambda: False):
        """Let so much time pass, or less when `until` holds; return whether it does."""
        end = self.now + seconds
        for _ in range(STEPS_MAX):
            self._carry()
            if until():
                return True
            at = self._next()
            if at > end:
                self.now = end
                self._carry()
                return until()
            self.now = max(at, self.now)
        raise AssertionError(f"{STEPS_MAX} steps by {self.now:.3f} s: it spins")

    def _next(self):
        times = [self.driver.deadline(), self.sim.deadline(), self.network.deadline(), self._reopen_at]
        times = [at for at in times if at is not None]
        return max(min(times, default=float("inf")), self.now + STEP_S_MIN)

    def _carry(self):
        self.network.tick(self.now)
        self.sim.tick(self.now)
        self._mind_the_line()
        data = self.sim.output()
        if data and self.is_open:
            self.talk.append((self.now, "<", data))
            self.driver.feed(data, self.now)
        deadline = self.driver.deadline()
        if deadline is not None and deadline <= self.now:
            self.driver.tick(self.now)
        data = self.driver.output()
        if data and self.is_open:
            self.talk.append((self.now, ">", data))
            self.sim.feed(data, self.now)
        self.far.poll(self.now)

    def _mind_the_line(self):
        if self._reopen_at is not None and self._reopen_at <= self.now:
            if self.is_open:
                self.unplug()
                self._reopen_at = self.now + REOPEN_S
            else:
                self._reopen_at = None
        is_there = self.sim.is_present and self._reopen_at is None
        if self.is_open and not is_there:
            self.unplug()
        elif not self.is_open and is_there and self.ears.wrong is not None and self._wants_line:
            self.open()

    @property
    def _wants_line(self):
        return self.driver.status().state is ModemState.OFF and not self._is_done

    _is_done = False

    def hang_up(self):
        self._is_done = True
        self.driver.hang_up(self.now)
        return self

    # What tests say

    def until_up(self, seconds=240):
        is_up = self.run(seconds, lambda: self.ears.bearer is not None)
        assert is_up, f"no bearer in {seconds} s: {self.driver.status()}\n{self.tail()}"
        return self

    def send(self, frame):
        self.ears.bearer.send(frame)

    def tail(self, count=40):
        return "\n".join(f"{at:9.3f} {way} {data[:90]!r}" for at, way, data in self.talk[-count:])


class Notes:
    """Where the guard of a PIN notes."""

    def __init__(self) -> None:
        self.text = ""

    def read(self):
        return self.text

    def write(self, text):
        self.text = text


class _NoRail:
    def set(self, on):
        """Nothing."""
