"""Ports that are TCP connections: who may call, who takes whose place, and that nothing is acknowledged too early."""

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge import tcp_ports
from edge.config import KitConfig, Port, check
from edge.daemon import Daemon
from edge.driver import Line
from edge.ports import Appeared, Dropped, Vanished, try_open
from edge.tcp_ports import Caller, Listener, is_tcp, opener_of
from hardware.simulated.hl7_results import message
from tests.edge.test_daemon import NEAR
from tests.edge.test_ports import Gathered, owned  # noqa: F401 - a fixture
from wire.errors import ConfigError, DeviceError

HERE = "127.0.0.1"


def free_port():
    with socket.create_server((HERE, 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def listener():
    made = Listener(HERE, 0)
    yield made
    made.close()


def call(port, host=HERE):
    return socket.create_connection((HERE, port), 10, source_address=(host, 0))


def read_on(opened):
    while True:
        opened.read()


@pytest.mark.parametrize(
    "path",
    [
        "tcp://",
        "tcp://host",
        "tcp://host:70000",
        "tcp://host:1/path",
        "tcp://host:1?from=10.0.0.1",
        "tcp-listen://host:6661",
        "tcp-listen://0.0.0.0:6661?to=1",
        "tcp-listen://0.0.0.0:6661?from=analyser",
        "tcp-listen://:6661",
    ],
)
def test_an_address_that_is_none_is_refused_when_the_configuration_is_read(path):
    with pytest.raises(ConfigError, match="for example tcp-listen://"):
        check(KitConfig(port=[Port("a", path, "hl7")]), "kit.toml")


def test_an_address_is_told_from_a_device_file():
    assert is_tcp("tcp://a:1")
    assert is_tcp("tcp-listen://0.0.0.0:1")
    assert not is_tcp("/dev/serial/by-path/usb-tcp://port0")
    assert isinstance(opener_of("tcp://[2001:db8::1]:4001"), Caller)


def test_nobody_calls_and_the_reason_says_so(listener):
    with pytest.raises(DeviceError, match="the device has not called yet"):
        listener()


def test_an_address_that_is_taken_is_named(listener):
    port = listener.listen()
    with pytest.raises(DeviceError, match=f"tcp-listen://{HERE}:{port}: cannot listen: Address already in use"):
        try_open(f"tcp-listen://{HERE}:{port}", Line())


def test_only_the_device_that_was_named_may_call():
    listening = Listener(HERE, 0, "127.0.0.2")
    port = listening.listen()
    with call(port) as stranger:
        with pytest.raises(DeviceError):
            listening()
        assert stranger.recv(1) == b""
    with call(port, "127.0.0.2"):
        opened = listening()
        assert opened.device.endswith("from 127.0.0.2")
        opened.close()
    listening.close()


def test_a_device_that_calls_again_takes_the_place_of_its_dead_connection(listener):
    port = listener.listen()
    with call(port), call(port) as again:
        opened = listener()
        with pytest.raises(ConnectionResetError, match="called again"):
            opened.read()
        opened.close()
        opened = listener()
        again.sendall(b"x")
        assert opened.read() == b"x"
        opened.close()


def test_a_stranger_is_hung_up_on_while_the_device_speaks(listener):
    port = listener.listen()
    with call(port) as device, call(port, "127.0.0.2") as stranger:
        opened = listener()
        assert opened.read() == b""
        assert stranger.recv(1) == b""
        device.sendall(b"still here")
        assert opened.read() + opened.read(opened.in_waiting) == b"still here"
        opened.close()


def test_we_call_a_serial_device_server_and_it_hangs_up():
    with socket.create_server((HERE, 0)) as server:
        opened = Caller(HERE, server.getsockname()[1])()
        far, _ = server.accept()
        assert opened.write(b"\x05") == 1
        assert far.recv(1) == b"\x05"
        assert opened.read() == b""
        far.close()
        with pytest.raises(ConnectionResetError, match="hung up"):
            read_on(opened)
        opened.close()


def test_a_device_that_has_said_all_still_gets_its_answer(owned):  # noqa: F811 - a fixture
    """It closes its own half, as `nc -N` does, and listens."""
    port = free_port()
    owner = owned(f"tcp-listen://{HERE}:{port}")
    gathered = Gathered(owner).until(lambda g: g.count(Vanished))
    with call(port) as device:
        device.sendall(b"result")
        device.shutdown(socket.SHUT_WR)
        gathered.until(lambda g: g.data == b"result")
        assert owner.write(b"\x06")
        assert device.recv(1) == b"\x06"
    gathered.until(lambda g: g.count(Vanished) == 2)


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(DeviceError, match="Connection refused"):
        try_open(f"tcp://{HERE}:{free_port()}", Line())


def test_a_port_comes_back_when_the_device_calls_again(owned, monkeypatch):  # noqa: F811 - a fixture
    monkeypatch.setattr(tcp_ports, "ACCEPT_S", 0.05)
    port = free_port()
    owner = owned(f"tcp-listen://{HERE}:{port}")
    gathered = Gathered(owner).until(lambda g: g.count(Vanished) == 1)
    for times in (1, 2):
        with call(port) as device:
            gathered.until(lambda g, times=times: g.count(Appeared) == times)
            device.sendall(b"one")
            gathered.until(lambda g, times=times: g.data == b"one" * times)
            assert owner.write(b"\x06")
            assert device.recv(1) == b"\x06"
        gathered.until(lambda g, times=times: g.count(Vanished) >= 2 * times)
    assert not owner.write(b"nobody")


def test_a_sender_faster_than_the_kit_waits_and_loses_nothing(owned):  # noqa: F811 - a fixture
    port = free_port()
    owner = owned(f"tcp-listen://{HERE}:{port}")
    data = bytes(range(256)) * 8_192
    with ThreadPoolExecutor(1) as pool:
        gathered = Gathered(owner).until(lambda g: g.count(Vanished))
        with call(port) as device:
            sent = pool.submit(device.sendall, data)
            time.sleep(0.4)
            gathered.until(lambda g: len(g.data) == len(data))
            sent.result(5)
    assert gathered.data == data
    assert gathered.count(Dropped) == 0


def test_an_analyser_on_the_network_is_acknowledged_by_the_kits_daemon(tmp_path):
    """The whole way: socket, port owner, driver, journal on the disk, and only then AA."""
    port = free_port()
    raw = b"\x0b" + message("bc5380", 1, "12345674") + b"\x1c\r"

    def analyse():
        for _ in range(100):
            try:
                with call(port) as device:
                    device.sendall(raw[:100])
                    time.sleep(0.05)
                    device.sendall(raw[100:])
                    return device.recv(4096)
            except ConnectionRefusedError:
                time.sleep(0.05)
        return b""

    async def play():
        config = KitConfig(port=[Port("analyser", f"tcp-listen://{HERE}:{port}", "hl7")])
        running = asyncio.ensure_future(Daemon(config, NEAR, tmp_path).run())
        try:
            return await asyncio.wait_for(asyncio.to_thread(analyse), 25)
        finally:
            running.cancel()
            await asyncio.wait({running})

    assert b"MSA|AA|1|" in asyncio.run(play())
    assert len(list((tmp_path / "spool").rglob("*"))) > 1
