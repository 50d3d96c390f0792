"""gpsd itself beside the kit: it is found by its greeting, proposed, and its sentences become places."""

import contextlib
import shutil
import socket
import subprocess
import threading
import time

import pytest

from edge import config
from feldsher import gpsd_socket, kit_find
from hardware.simulated import ptys
from hardware.simulated.gps import Gps
from node.clock import SystemClock
from tests.edge.bench import Bench


@pytest.fixture
def said():
    """Return the port of a server that says this to who comes, and hangs up."""
    with contextlib.ExitStack() as held:

        def serve(lines):
            server = held.enter_context(socket.create_server(("127.0.0.1", 0)))
            speaker = threading.Thread(target=speak, args=(server, lines))
            held.callback(speaker.join)
            speaker.start()
            return server.getsockname()[1]

        yield serve


def speak(server, lines):
    line, _ = server.accept()
    with line, contextlib.suppress(ConnectionError):
        line.sendall(b"".join(lines))


@pytest.mark.parametrize(
    ("lines", "release"),
    [
        ([b'{"class":"VERSION","release":"3.25","rev":"3.25"}\r\n'], "3.25"),
        ([b'{"class":"VERSION"}\r\n'], "of unknown release"),
        ([b"220 smtp\r\n"], ""),
        ([b'["VERSION"]\r\n'], ""),
        ([b'{"class":"VERSION","release":"3.25"'], ""),
        ([], ""),
        ([b"x" * 100_000], ""),
        ([b"[" * 4_000 + b"\n"], ""),
        ([b'{"class":"VERSION","release":"3\\n[[port]]\\ud800"}\n'], "3[[port]]"),
    ],
)
def test_a_gpsd_is_known_by_its_greeting(said, lines, release):
    assert gpsd_socket.release(port=said(lines)) == release


def test_where_nobody_listens_there_is_none():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert gpsd_socket.release(port=port) == ""


def test_what_is_proposed_is_read_by_the_kit_and_not_proposed_twice(tmp_path):
    path = tmp_path / "kit.toml"
    path.write_text(kit_find.proposal([], {}, "3.25"))
    (port,) = config.load(path).port
    assert (port.path, port.driver, port.options) == ("tcp://127.0.0.1:2947", "nmea", {"gpsd": True})
    assert kit_find.proposal([], {port.path: (port.name, port.driver)}, "3.25") == ""


@pytest.fixture
def gpsd(tmp_path):
    """The real gpsd with a simulated receiver on a pty; its port."""
    if shutil.which("gpsd") is None:
        pytest.skip("GPSD ABSENT: apt install gpsd")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    stop = threading.Event()
    with ptys.open_pty(str(tmp_path / "gps")) as (line, path):
        receiver = threading.Thread(target=ptys.run, args=(Gps(3, 600), line, SystemClock().now, stop.is_set))
        receiver.start()
        words = ["gpsd", "-N", "-n", "-b", "-S", str(port), path]
        with subprocess.Popen(words, stderr=subprocess.DEVNULL) as running:
            try:
                yield port
            finally:
                running.kill()
                stop.set()
                receiver.join()


@pytest.mark.slow
def test_the_real_gpsd_is_found_and_its_sentences_are_places(gpsd):
    until = time.monotonic() + 10.0
    while not (release := gpsd_socket.release(port=gpsd)) and time.monotonic() < until:
        time.sleep(0.1)
    assert release
    bench, began = Bench("nmea", {"gpsd": True}), time.monotonic()
    with socket.create_connection(("127.0.0.1", gpsd), 5.0) as line:
        line.settimeout(0.2)
        line.sendall(bench.wait(0.1))
        while len(bench.scans) < 2 and time.monotonic() < began + 20.0:
            try:
                answer = bench.feed(line.recv(4096))
            except TimeoutError:
                answer = b""
            line.sendall(answer + bench.wait(max(0.0, time.monotonic() - began - bench.now)))
    assert len(bench.scans) >= 2, bench.faults
    assert bench.scans[0].latitude.startswith("50.")
    assert bench.scans[0].utc is not None
