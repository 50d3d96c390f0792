"""Simulated devices on simulated cables: slow, pulled out now and then, and with a memory of what was acknowledged."""

BITS_PER_BYTE = 10
ACK = 0x06


class Cable:
    """A serial line between one simulated device and one port of the kit.

    `acknowledged` holds every frame for which the kit's ACK was sent, whether or not it reached the device: from then
    on the kit answers for it.
    """

    def __init__(self, world, kit, port, device, baud=9600):
        self.world, self.kit, self.port, self.device = world, kit, port, device
        self._byte_s = BITS_PER_BYTE / baud
        self._free_at = 0.0
        self._said = b""
        self._tick_at = None
        self.is_plugged = True
        self.acknowledged = []
        kit.devices[port] = self

    def switch_on(self):
        self._wake(self.world.now)

    def pull(self, seconds):
        """The cable is out for a while; the kit notices that the port has vanished."""
        if not self.is_plugged:
            return
        self.is_plugged = False
        if self.kit.alive:
            self.kit.guard(lambda: self.kit.process.lost(self.port, self.world.now))
        self.world.after(seconds, self._plug)

    def _plug(self):
        self.is_plugged = True
        if self.kit.alive:
            self.kit.process.present(self.port)

    def answered(self, data):
        """The kit sends `data` to the device."""
        if data and data[0] == ACK and self._said.startswith(b"\x02"):
            self.acknowledged.append(self._said)
        if self.is_plugged:
            self.world.after(len(data) * self._byte_s, lambda: self._feed(data))

    def _feed(self, data):
        self._say(self.device.feed(data, self.world.now))
        self._wake()

    def _say(self, data):
        if not data:
            return
        self._said = data
        begin = max(self.world.now, self._free_at)
        self._free_at = begin + len(data) * self._byte_s
        at = 0
        while at < len(data):
            size = self.world.rng.choice((1, 16, 64, 4096))
            piece = data[at : at + size]
            at += len(piece)
            self.world.at(begin + at * self._byte_s, lambda piece=piece: self._arrive(piece))

    def _arrive(self, piece):
        if self.is_plugged:
            self.kit.heard(self.port, piece)

    def _wake(self, at=None):
        at = self.device.deadline() if at is None else at
        if at is None or (self._tick_at is not None and self._tick_at <= at):
            return
        self._tick_at = at
        self.world.at(at, self._tick)

    def _tick(self):
        self._tick_at = None
        self._say(self.device.tick(self.world.now))
        self._wake()
