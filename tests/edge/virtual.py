"""A simulated device and whatever hears it, in virtual time: a minute passes in a millisecond."""

STEPS_MAX = 200_000


class Wire:
    """Joins a device to a host with `hear(data, now) -> bytes`, `tick(now) -> bytes` and `deadline()`.

    `spoil(direction, data) -> data` may damage what passes; `piece` is how many bytes arrive at once.
    """

    def __init__(self, device, host, spoil=lambda direction, data: data, piece=4096):
        self.device, self.host, self.spoil, self.piece = device, host, spoil, piece
        self.now = 0.0
        self.carried = []

    def run(self, until=100_000.0):
        """Let both speak until the device is done and the host wants nothing more."""
        for _ in range(STEPS_MAX):
            self._to_host(self.device.tick(self.now))
            self._to_device(self.host.tick(self.now))
            due = [at for at in (self.device.deadline(), self.host.deadline()) if at is not None]
            if not due or min(due) > until:
                return self
            self.now = max(self.now, min(due))
        raise AssertionError("the conversation does not end")

    def _to_host(self, data):
        data = self._pass("<", data)
        for at in range(0, len(data), self.piece):
            self._to_device(self.host.hear(data[at : at + self.piece], self.now))

    def _to_device(self, data):
        data = self._pass(">", data)
        if data:
            self._to_host(self.device.feed(data, self.now))

    def _pass(self, direction, data):
        data = self.spoil(direction, data) if data else data
        if data:
            self.carried.append((direction, self.now, data))
        return data


class BenchHost:
    """A `Bench` as a host."""

    def __init__(self, bench):
        self.bench = bench

    def hear(self, data, now):
        self.bench.now = now
        return self.bench.feed(data)

    def tick(self, now):
        due = self.deadline()
        return self.bench.wait(max(0.0, now - self.bench.now)) if due is not None and due <= now else b""

    def deadline(self):
        return self.bench.driver.deadline()


class CaptureHost:
    """A port of a real `Capture` as a host."""

    def __init__(self, capture, port):
        self.capture, self.port = capture, port

    def hear(self, data, now):
        return self.capture.receive(self.port, data, now)

    def tick(self, now):
        return self.capture.tick(now).get(self.port, b"")

    def deadline(self):
        return self.capture.deadline()
