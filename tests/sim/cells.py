"""A cellular modem in the van, its air, and the socket of the gateway where its connections end.

Real: the driver and the gateway. Simulated: modem, air and internet (`hardware/simulated/modems`). The bill is made
where the operator makes it: at what the modem hands to the network.
"""

from hardware.simulated.modems.air import HEADER_BYTES, Air
from hardware.simulated.modems.network import TCP, UDP, VirtualNetwork
from hardware.simulated.modems.timing import earliest
from node.bearers import TCP_MTU, TCP_OVERHEAD, UDP_MTU_HOST
from node.modems.sockets import UDP_OVERHEAD, SocketModem
from node.modems.stacks import stack_of
from node.url import Url
from tests.sim.lines import ModemLine
from wire.session import FRAME_SIZE_MAX

HOST, PORT = "192.0.2.1", 7000


class Cell(ModemLine):
    """The line of a modem with sockets, and all behind it. `make_sim(network)` gives the modem."""

    def __init__(self, world, kit, gateway, make_sim, scheme, plan, shape, ledger, checks, *, has_power=True):
        self.internet = VirtualNetwork()
        self.air = Air(self.internet, shape, world.rng.randrange(2**32))
        self.mast = Mast(self, gateway, checks)
        self.is_covered = True
        self.plan = plan
        to = Url(scheme, HOST, PORT)

        def make_driver(ears, hands):
            return SocketModem(ears, self.plan, hands, to, stack_of("auto"), f"modem to {to}")

        sim = make_sim(Billed(self.air, ledger))
        super().__init__(world, kit, sim, make_driver, plan.baud, ledger, checks.saw_line, has_power=has_power)

    def deadline(self):
        return earliest(super().deadline(), self.air.deadline(), self.mast.deadline())

    def step(self):
        self.air.tick(self.world.now)
        self.mast.poll(self.world.now)
        super().step()

    def cover(self, is_covered):
        """The van comes into the cell's reach, or out of it."""
        self.is_covered = is_covered
        self.air.mend() if is_covered else self.air.cut()
        self.alarm.look()


class Billed:
    """The operator's meter between modem and air; a `hardware.simulated.modems.network.Network`."""

    def __init__(self, network, ledger):
        self._network, self._ledger = network, ledger
        self.listen, self.tick, self.deadline = network.listen, network.tick, network.deadline

    def open(self, kind, host, port, now):
        return _BilledSocket(self._network.open(kind, host, port, now), HEADER_BYTES[kind], self._ledger)


class _BilledSocket:
    def __init__(self, inner, overhead, ledger):
        self._inner, self._overhead, self._ledger = inner, overhead, ledger

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def send(self, data, now):
        self._ledger.sent(len(data) + self._overhead)
        self._inner.send(data, now)

    def receive(self, now):
        data = self._inner.receive(now)
        if data:
            self._ledger.received(len(data) + self._overhead)
        return data


class Mast:
    """The gateway's socket for one cell: what `node/bearers.py` is to it on the real internet."""

    def __init__(self, cell, gateway, checks):
        self.cell, self.gateway, self.checks = cell, gateway, checks
        self._flows = []
        for kind in (UDP, TCP):
            cell.internet.listen(kind, HOST, PORT, _Door(self, kind))

    def accepted(self, socket, kind, now):
        if kind == TCP and not self.gateway.alive:
            socket.close(now)
            return
        self._flows = [flow for flow in self._flows if not flow.socket.error]
        self._flows.append(Flow(self, socket, is_stream=kind == TCP))

    def deadline(self):
        return 0.0 if any(flow.socket.deadline() is not None for flow in self._flows) else None

    def poll(self, now):
        """Take what has come: of a flow whose process has gone, a stream ends, and datagrams begin anew."""
        for flow in list(self._flows):
            flow.follow(now)
            while (data := flow.socket.receive(now)) is not None:
                for frame in flow.frames(data):
                    flow.arrived(frame, now)
            flow.mind_the_end(now)


class _Door:
    def __init__(self, mast, kind):
        self._mast, self._kind = mast, kind

    def accepted(self, socket, now):
        self._mast.accepted(socket, self._kind, now)


class Flow:
    """The gateway's end of one connection or flow of datagrams; the seam `node.seams.Bearer`."""

    is_message = False

    def __init__(self, mast, socket, *, is_stream):
        self._mast, self.socket, self.is_stream = mast, socket, is_stream
        self.mtu = TCP_MTU if is_stream else UDP_MTU_HOST
        self.overhead = TCP_OVERHEAD if is_stream else UDP_OVERHEAD
        self._buffer = bytearray()
        self._life = None
        self._bearer = None

    name = "mast"

    def follow(self, now):
        """See which process of the gateway this flow belongs to."""
        gateway = self._mast.gateway
        if gateway.alive and self._life == gateway.life:
            return
        if self.is_stream and self._life is not None:
            self.socket.close(now)
        elif gateway.alive:
            self._life, self._bearer = gateway.life, _End(self)
            if self.is_stream:
                gateway.guard(lambda: gateway.process.kits.bearer_up(self._bearer, now))

    def frames(self, data):
        if not self.is_stream:
            return [data]
        self._buffer += data
        found = []
        while len(self._buffer) >= 2:
            size = int.from_bytes(self._buffer[:2], "big")
            if not 0 < size <= FRAME_SIZE_MAX:
                self.socket.close(self._mast.cell.world.now)
                break
            if len(self._buffer) < 2 + size:
                break
            found.append(bytes(self._buffer[2 : 2 + size]))
            del self._buffer[: 2 + size]
        return found

    def arrived(self, frame, now):
        gateway, bearer = self._mast.gateway, self._bearer
        self._mast.checks.saw_frame_of(frame, self.mtu, "a modem's connection")
        if gateway.alive and self._life == gateway.life:
            gateway.guard(lambda: gateway.process.kits.receive(bearer, frame, now))

    def mind_the_end(self, now):
        """A stream has ended: its process is told."""
        gateway, bearer = self._mast.gateway, self._bearer
        if self.is_stream and self.socket.error and bearer is not None:
            self._bearer = None
            if gateway.alive and self._life == gateway.life:
                gateway.guard(lambda: gateway.process.kits.bearer_down(bearer, now))

    def send(self, frame, bearer):
        if bearer is not self._bearer:
            return
        world = self._mast.cell.world
        self._mast.checks.saw_frame_of(frame, self.mtu, "a modem's connection")
        self.socket.send(len(frame).to_bytes(2, "big") + frame if self.is_stream else frame, world.now)
        self._mast.cell.alarm.look()

    def close(self, bearer):
        if bearer is self._bearer and self.is_stream:
            self.socket.close(self._mast.cell.world.now)
            self._mast.cell.alarm.look()


class _End:
    """What one process of the gateway holds of a flow."""

    is_message = False
    name = "mast"

    def __init__(self, flow):
        self._flow = flow
        self.mtu, self.overhead, self.is_stream = flow.mtu, flow.overhead, flow.is_stream

    def room(self):
        return FRAME_SIZE_MAX

    def send(self, frame):
        self._flow.send(frame, self)

    def close(self):
        self._flow.close(self)
