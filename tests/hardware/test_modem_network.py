"""What is behind the simulated modems: virtual sockets, the air, real sockets. One conformance suite for all."""

import socket
import time

import pytest

from hardware.simulated.modems.air import HEADER_BYTES, SEGMENT_BYTES, Air, Shape
from hardware.simulated.modems.network import TCP, UDP, WAITING_MAX, VirtualNetwork
from hardware.simulated.modems.sockets import UNSENT_MAX, RealNetwork
from tests.hardware.modem_bench import FarEnd

VIRTUAL = ("203.0.113.5", 7000)


class World:
    """A network with somebody listening, and time that passes."""

    def __init__(self, network, address, *, is_real=False):
        self.network, self.address, self.is_real, self.now = network, address, is_real, 0.0
        self.far = FarEnd(self, TCP, address)
        self.address = self.bound

    def listen(self, kind, host, port, listener):
        self.bound = self.network.listen(kind, host, port, listener)
        return self.bound

    def open(self, kind=TCP):
        return self.network.open(kind, *self.address, self.now)

    def wait(self, seconds=0.2):
        end = self.now + seconds
        while self.now < end:
            self.now += 0.02
            if self.is_real:
                time.sleep(0.005)
            self.network.tick(self.now)
            self.far.poll(self.now)


@pytest.fixture(params=["virtual", "air", "real", "air over real"])
def world(request):
    shape = Shape(rate_bps=1_000_000.0, delay_s=0.02)
    if "real" not in request.param:
        network = VirtualNetwork()
        yield World(Air(network, shape) if "air" in request.param else network, VIRTUAL)
        return
    real = RealNetwork()
    yield World(Air(real, shape) if "air" in request.param else real, ("127.0.0.1", 0), is_real=True)
    real.close()


def received(world, one, seconds=0.3):
    data = b""
    for _ in range(10):
        world.wait(seconds / 10)
        while (piece := one.receive(world.now)) is not None:
            data += piece
    return data


def test_a_connection_comes_about_and_carries_both_ways(world):
    one = world.open()
    world.wait()
    assert one.is_open
    assert not one.error
    one.send(b"hello", world.now)
    world.wait()
    assert world.far.heard == b"hello"
    world.far.say(b"answer", world.now)
    assert received(world, one) == b"answer"


def test_much_arrives_in_order(world):
    one = world.open()
    world.wait()
    data = bytes(range(256)) * 200
    for at in range(0, len(data), 1_000):
        one.send(data[at : at + 1_000], world.now)
        world.wait(0.02)
    world.wait(1.0)
    assert world.far.heard == data
    assert one.unacknowledged == 0


def test_the_far_end_closes_and_what_it_said_before_is_there(world):
    one = world.open()
    world.wait()
    world.far.say(b"goodbye", world.now)
    world.far.close(world.now)
    assert received(world, one) == b"goodbye"
    assert one.error
    assert not one.is_open
    one.send(b"too late", world.now)
    one.close(world.now)


def test_we_close_and_what_we_said_before_arrives(world):
    one = world.open()
    world.wait()
    one.send(b"goodbye", world.now)
    one.close(world.now)
    world.wait()
    assert world.far.heard == b"goodbye"
    assert world.far.is_left
    assert one.receive(world.now) is None


def test_nobody_is_there(world):
    world.address = (world.address[0], 1)
    one = world.open()
    world.wait()
    assert one.error == "refused"
    assert not one.is_open


def test_a_name_that_nobody_knows():
    assert RealNetwork().open(TCP, "no such name.invalid", 1, 0.0).error == "unknown host"


def test_a_datagram_to_nobody_is_lost(world):
    world.address = (world.address[0], 1)
    one = world.open(UDP)
    one.send(b"hello", world.now)
    world.wait()
    assert one.receive(world.now) is None
    assert one.is_open


def test_real_datagrams_go_both_ways():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(5.0)
        network = RealNetwork(instead=server.getsockname())
        one = network.open(UDP, "anywhere.example", 7, 0.0)
        one.send(b"hello", 0.0)
        data, peer = server.recvfrom(100)
        assert data == b"hello"
        server.sendto(b"one", peer)
        server.sendto(b"two", peer)
        time.sleep(0.05)
        assert [one.receive(0.1), one.receive(0.1), one.receive(0.1)] == [b"one", b"two", None]
        assert list(network.files) == [one.fileno()]
        network.close()


def test_a_real_far_end_that_takes_nothing_is_left_in_the_end():
    with socket.create_server(("127.0.0.1", 0)) as server:
        network = RealNetwork()
        one = network.open(TCP, *server.getsockname(), 0.0)
        for _ in range(2 * UNSENT_MAX // 10_000 + 1_000):
            one.send(b"x" * 10_000, 0.0)
        assert one.error == "closed"
        network.close()


def test_a_descriptor_whose_bytes_nobody_takes_wakes_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        network = RealNetwork()
        one = network.open(TCP, *server.getsockname(), 0.0)
        peer, _ = server.accept()
        with peer:
            one.tick(0.1)
            peer.sendall(b"x" * 100)
            time.sleep(0.05)
            assert one.fileno() >= 0
            assert one.receive(0.2) == b"x" * 100
            assert one.fileno() == -1
            assert one.deadline() is not None
            assert one.receive(0.3) is None
            assert one.fileno() >= 0
        network.close()


def test_a_virtual_socket_holds_so_much_and_no_more():
    network = VirtualNetwork()
    far = FarEnd(network)
    one = network.open(TCP, *VIRTUAL, 0.0)
    for _ in range(WAITING_MAX + 1):
        one.send(b"x", 0.0)
    far.poll(0.0)
    assert len(far.heard) == WAITING_MAX
    assert one.error == "closed"


# The air


def shaped(kind=UDP, seed=1, **shape):
    network = VirtualNetwork()
    far = FarEnd(network, kind)
    air = Air(network, Shape(**shape), seed)
    return air, far, air.open(kind, *VIRTUAL, 0.0)


def arrivals(air, far, until, step=0.01):
    """Return (time, bytes) of what arrives."""
    found, now, before = [], 0.0, 0
    while now < until:
        now += step
        air.tick(now)
        far.poll(now)
        if len(far.heard) > before:
            found.append((now, len(far.heard) - before))
            before = len(far.heard)
    return found


def test_a_datagram_takes_its_time():
    air, far, one = shaped(rate_bps=8_000.0, delay_s=0.5)
    one.send(b"x" * (1_000 - HEADER_BYTES[UDP]), 0.0)
    ((at, _),) = arrivals(air, far, 5.0)
    assert at == pytest.approx(1.5, abs=0.02)
    assert air.deadline() is None


def test_a_stream_goes_at_the_rate():
    air, far, one = shaped(TCP, rate_bps=80_000.0)
    one.receive(0.0)
    one.send(b"x" * 10 * SEGMENT_BYTES, 0.0)
    assert one.unacknowledged == 10 * SEGMENT_BYTES
    found = arrivals(air, far, 5.0)
    assert found[-1][0] == pytest.approx(10 * (SEGMENT_BYTES + HEADER_BYTES[TCP]) * 8 / 80_000, abs=0.02)
    assert one.unacknowledged == 0


def test_a_lost_datagram_is_lost_and_a_lost_segment_is_late():
    air, far, one = shaped(loss=0.3)
    for _ in range(1_000):
        one.send(b"x", 0.0)
    arrivals(air, far, 1.0)
    assert 640 < len(far.heard) < 760
    air, far, one = shaped(TCP, loss=0.3)
    one.receive(0.0)
    for number in range(200):
        one.send(bytes([number]), 0.0)
    found = arrivals(air, far, 60.0)
    assert far.heard == bytes(range(200))
    assert found[-1][0] > 1.0


def test_the_queue_is_bounded():
    air, far, one = shaped(rate_bps=8_000.0, queue_bytes=2_000)
    for _ in range(10):
        one.send(b"x" * 972, 0.0)
    arrivals(air, far, 20.0)
    assert len(far.heard) == 2 * 972


def test_cut_and_mended():
    air, far, one = shaped(delay_s=0.1)
    one.send(b"gone", 0.0)
    air.cut()
    one.send(b"gone too", 0.0)
    arrivals(air, far, 1.0)
    assert far.heard == b""
    assert air.deadline() is None
    air.mend()
    one.send(b"there", 1.0)
    air.tick(2.0)
    far.poll(2.0)
    assert far.heard == b"there"


def test_a_stream_waits_through_a_cut():
    air, far, one = shaped(TCP, delay_s=0.1)
    air.tick(1.0)
    assert one.is_open
    one.send(b"patience", 1.0)
    air.cut()
    air.tick(50.0)
    far.poll(50.0)
    assert far.heard == b""
    air.mend()
    air.tick(51.0)
    far.poll(51.0)
    assert far.heard == b"patience"


def test_the_air_is_reshaped_in_flight():
    air, far, one = shaped(rate_bps=100.0)
    air.reshape(Shape())
    one.send(b"x" * 100, 0.0)
    air.tick(0.01)
    far.poll(0.01)
    assert len(far.heard) == 100
