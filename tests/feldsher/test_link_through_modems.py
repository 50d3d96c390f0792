"""`feldsher link send` through the sockets of a simulated modem on a pty, to a real `link serve`: real processes."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Bench:
    """A folder with keys, `link serve`, and `simulate modem`; each a process of its own."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state")}
        assert self.run("link", "keys", "keys").returncode == 0
        self.urls = {}
        serve = self.start("link", "serve", "--listen", "udp://127.0.0.1:0", "--listen", "tcp://127.0.0.1:0",
                           "--into", "in", "--keys", "keys")  # fmt: skip
        while len(self.urls) < 2:
            line = serve.stdout.readline()
            assert line, "link serve did not start"
            if "listening on " in line:
                url = line.split("listening on ")[1].split(",")[0]
                self.urls[url[:3]] = url

    def command(self, *words):
        return [sys.executable, "-m", "feldsher", *words]

    def run(self, *words, timeout=110):
        return subprocess.run(self.command(*words), cwd=self.folder, env=self.environment, capture_output=True,
                              text=True, timeout=timeout, check=False)  # fmt: skip

    def start(self, *words):
        process = subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def modem(self, kind, *words):
        """Plug a modem in; return when its pty is there."""
        self.start("simulate", "modem", kind, "--pty-link", str(self.folder / "tty"), *words)
        end = time.monotonic() + 15
        while not (self.folder / "tty").exists():
            assert time.monotonic() < end, "the simulated modem did not start"
            time.sleep(0.05)

    def send(self, name, options, *words):
        to = f"modem://{self.folder}/tty?apn=internet&{options}"
        return self.run("link", "send", name, "--to", to, "--keys", "keys", *words)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


@pytest.fixture
def bench(tmp_path):
    with Bench(tmp_path) as bench:
        yield bench


def arrives(bench, scheme, options="", size=20_000):
    (bench.folder / "big").write_bytes(random.Random(size).randbytes(size))
    done = bench.send("big", f"{options}to={bench.urls[scheme]}", "--timeout", "100", "--json")
    assert done.returncode == 0, done.stderr
    assert (bench.folder / "in" / "big").read_bytes() == (bench.folder / "big").read_bytes()
    return json.loads(done.stdout)


@pytest.mark.slow
def test_a_file_goes_through_a_sim800_with_a_pin_over_udp(bench):
    bench.modem("sim800", "--pin", "4321")
    report = arrives(bench, "udp", "pin=4321&")
    assert report["segments_sent_twice"] == 0
    (note,) = (bench.folder / "state" / "feldsher").iterdir()
    assert note.read_text() == "", "the PIN was right: nothing is left to guard"
    assert note.stat().st_mode & 0o077 == 0


@pytest.mark.slow
def test_a_file_goes_through_a_sim800_over_tcp_to_an_ordinary_listener(bench):
    bench.modem("sim800")
    arrives(bench, "tcp")


@pytest.mark.slow
def test_a_file_goes_through_a_sim800_with_faults_of_the_field(bench):
    knobs = ("urc-inside=7@20%", "pdp-deact@4", "late-final=1@5%", "boot-garbage", "echo")
    bench.modem("sim800", *(word for knob in knobs for word in ("--fault", knob)))
    arrives(bench, "udp", size=8_000)


@pytest.mark.slow
def test_a_wrong_pin_is_told_and_tried_once_by_two_runs(bench):
    (bench.folder / "big").write_bytes(b"1")
    bench.modem("sim800", "--pin", "4321", "--verbose")
    for _ in range(2):
        done = bench.send("big", f"pin=1111&to={bench.urls['udp']}", "--timeout", "8")
        assert done.returncode == 75
        assert "PIN" in done.stderr
        assert "1111" not in done.stderr
    (note,) = (bench.folder / "state" / "feldsher").iterdir()
    assert note.read_text().split()[1:] == ["1", "1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("", "to= is missing"),
        ("to=dir:///tmp", "udp:// and tcp:// only"),
        ("to=udp://h:1&kind=nokia", "kind='nokia'"),
        ("to=udp://h:1&pin=12", "4 to 8 digits"),
        ("to=udp://h:1&baud=fast", "baud=fast"),
        ("to=udp://h:1&roaming=perhaps", "roaming=perhaps"),
        ("to=udp://h:1&power=key", "power=key"),
        ("to=udp://h:1&colour=red", "'colour'"),
        ('to=udp://h:1&user=%22%0DATD112', "user="),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_address_of_a_modem_is_said(tmp_path, options, message):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    (tmp_path / "a").write_bytes(b"1")
    words = [sys.executable, "-m", "feldsher", "link"]
    subprocess.run([*words, "keys", "keys"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    words += ["send", "a", "--to", f"modem:///dev/nonesuch?{options}", "--keys", "keys", "--timeout", "5"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 64, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
