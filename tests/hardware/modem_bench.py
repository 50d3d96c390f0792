"""A host's end of a simulated modem's line, in virtual time; far ends; dialogues on record, replayed to the byte."""

import codecs
import re
from pathlib import Path

from hardware.simulated.modems.dialup import DialModem
from hardware.simulated.modems.exchange import Exchange
from hardware.simulated.modems.ground import Ground
from hardware.simulated.modems.iridium9602 import Iridium9602
from hardware.simulated.modems.network import VirtualNetwork
from hardware.simulated.modems.timing import earliest

RECORDINGS = Path(__file__).resolve().parent.parent / "recordings"
FAR = ("203.0.113.5", 7000)
STEPS_MAX = 200_000


class FarEnd:
    """Listens; keeps what it hears; speaks when it is told to."""

    def __init__(self, network, kind="TCP", address=FAR):
        self.sockets, self.heard, self.pieces = [], b"", []
        network.listen(kind, *address, self)

    def accepted(self, socket, now):
        self.sockets.append(socket)

    def poll(self, now):
        for socket in self.sockets:
            while (data := socket.receive(now)) is not None:
                self.heard += data
                self.pieces.append(data)

    def say(self, data, now):
        self.sockets[-1].send(data, now)

    def close(self, now):
        self.sockets[-1].close(now)

    @property
    def is_left(self):
        return bool(self.sockets[-1].error)


class Bench:
    """`say` and `wait` let time pass and return what the modem said."""

    def __init__(self, modem, *others):
        self.modem, self.others, self.now, self.steps = modem, others, 0.0, 0
        self.modem.tick(0.0)

    def wait(self, seconds):
        end, heard = self.now + seconds, b""
        while True:
            due = earliest(self.modem.deadline(), *(o.deadline() for o in self.others if hasattr(o, "deadline")))
            self.now = min(end, max(self.now, due if due is not None else end))
            for one in (*self.others, self.modem):
                one.tick(self.now) if hasattr(one, "tick") else one.poll(self.now)
            heard += self.modem.output()
            self.steps += 1
            assert self.steps < STEPS_MAX, "the modem wants to be called again and again"
            if self.now >= end:
                return heard

    def say(self, data, seconds=1.0):
        self.modem.feed(data.encode() if isinstance(data, str) else data, self.now)
        return self.wait(seconds)

    def at(self, command, seconds=1.0):
        return self.say(command + "\r", seconds)


def virtual(cls, *faults, kind="TCP", boots=True, seed=1, **more):
    """Return (bench, far end) for a modem with sockets, echo off, registered."""
    network = VirtualNetwork()
    far = FarEnd(network, kind)
    bench = Bench(cls(network, faults, seed, **more), far)
    if boots:
        bench.wait(20.0)
        assert bench.at("ATE0").endswith(b"\r\nOK\r\n")
    return bench, far


class GroundEnd:
    """The ground as a far end: it queues what the owner says, and delivers what was heard."""

    def __init__(self, ground, imei):
        self.ground, self.imei = ground, imei

    def tick(self, now):
        self.ground.tick(now)

    def deadline(self):
        return self.ground.deadline()

    def say(self, data, now):
        assert self.ground.queue(self.imei, data, now) > 0

    @property
    def heard(self):
        return b"".join(self.ground.delivered)

    def poll(self, now):
        self.ground.tick(now)


def orbital(*faults, seed=1, boots=True, **more):
    """Return (bench, ground) for a 9602 whose ground keeps what it is given."""
    ground = Ground(VirtualNetwork(), seed=seed)
    modem = Iridium9602(ground, faults, seed, **more)
    bench = Bench(modem, GroundEnd(ground, modem.imei))
    if boots:
        bench.wait(3.0)
    return bench, ground


class FarModem:
    """An answering modem as a far end, with a host that only listens and speaks."""

    def __init__(self, modem):
        self.modem, self.heard = modem, b""
        modem.tick(0.0)

    def tick(self, now):
        self.modem.tick(now)
        self.heard += self.modem.output()

    def deadline(self):
        return self.modem.deadline()

    def poll(self, now):
        self.tick(now)

    def say(self, data, now):
        self.modem.feed(data, now)

    def close(self, now):
        self.modem.set_dtr(False, now)


NUMBER = "+380441112233"


def dialled(*faults, seed=1, make="csd", manner=None, far_faults=(), boots=True):
    """Return (bench, far end): two modems on one exchange; the far one answers the second ring by itself."""
    exchange = Exchange(manner, seed=seed)
    far = FarModem(DialModem(exchange, NUMBER, far_faults, seed + 1, make="landline"))
    bench = Bench(DialModem(exchange, "", faults, seed, make=make), far)
    if boots:
        bench.wait(3.0)
        bench.at("ATE0")
        far.say(b"ATE0S0=2\r", bench.now)
        bench.wait(0.1)
        far.heard = b""
    return bench, far


# Dialogues on record


def unescaped(text):
    return codecs.escape_decode(text.encode())[0]


def load(name):
    """Return (name card, steps): see tests/recordings/modem-*.txt."""
    card, steps = {}, []
    for line in (RECORDINGS / name).read_text().splitlines():
        if match := re.fullmatch(r"# (\w+): (.*)", line):
            card[match[1]] = match[2]
        elif line and not line.startswith("#"):
            steps.append((line[0], line[2:]))
    return card, steps


def names():
    return sorted(path.name for path in RECORDINGS.glob("modem-*.txt"))


def replay(bench, far, steps):
    """Go through the steps; raise AssertionError where the modem says anything else than what is on record."""
    expected, heard = b"", b""

    def check(where):
        assert heard == expected, f"before {where}: {heard!r}, on record {expected!r}"

    for sign, text in [*steps, ("<", "")]:
        if sign == ">":
            expected += unescaped(text)
        elif sign == "~":
            heard += bench.wait(float(text))
        elif sign == "^":
            far.say(unescaped(text), bench.now)
            heard += bench.wait(1.0)
        elif sign == "!":
            far.close(bench.now)
            heard += bench.wait(1.0)
        elif sign == "v":
            far.poll(bench.now)
            assert far.heard.endswith(unescaped(text)), (far.heard, text)
        elif sign == "<":
            check(text)
            expected, heard = b"", bench.say(unescaped(text)) if text else b""
        else:
            raise AssertionError(f"no step begins with {sign!r}")
