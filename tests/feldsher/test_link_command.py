"""`feldsher link` as people run it: real processes, real sockets, kill -9, wrong keys, full disks."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

FELDSHER = [sys.executable, "-m", "feldsher", "link"]
ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *words: str, timeout: float = 60) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*FELDSHER, *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


class Server:
    """`link serve` as a process of its own."""

    def __init__(self, folder: Path, url: str, into: str = "in", keys: str = "keys", more: tuple = ()) -> None:
        words = ["serve", "--listen", url, "--into", into, "--keys", keys, *more]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [*FELDSHER, *words],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        found = None
        for line in self.process.stdout:  # what a kill left is unpacked, and told, before it listens
            found = re.search(r"listening on (\S+),", line)
            if found:
                break
        assert found, "it did not start"
        self.url = found[1]

    def kill(self, how: int = signal.SIGKILL) -> int:
        self.process.send_signal(how)
        code = self.process.wait(10)
        self.process.stdout.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


@pytest.fixture
def folder(tmp_path):
    assert run(tmp_path, "keys", "keys").returncode == 0
    return tmp_path


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.mark.parametrize("url", ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", "udp://[::1]:0", "tcp://[::1]:0"])
def test_files_arrive_and_the_report_tells_what_it_cost(folder, url):
    (folder / "big").write_bytes(random.Random(1).randbytes(200_000))
    (folder / "small.txt").write_bytes(b"a record\n" * 50)
    try:
        server = Server(folder, url)
    except AssertionError:
        if "::1" in url:
            pytest.skip("no IPv6 on this machine")
        raise
    with server:
        done = run(
            folder, "send", "big", "small.txt", "--to", server.url, "--keys", "keys", "--json", "--timeout", "40"
        )
        assert done.returncode == 0, done.stderr
        assert server.kill(signal.SIGTERM) == 0
    report = json.loads(done.stdout)
    assert report["payload_bytes"] == 200_450
    assert 200_000 < report["wire_bytes_sent"] < 230_000
    assert report["wire_bytes_received"] > 0
    assert report["segments_sent_twice"] == 0
    assert {item["result"] for item in report["files"]} == {"confirmed"}
    assert (folder / "in" / "big").read_bytes() == (folder / "big").read_bytes()
    assert (folder / "in" / "small.txt").read_bytes() == (folder / "small.txt").read_bytes()


def test_sending_again_is_confirmed_at_once_and_makes_no_copy(folder):
    (folder / "a").write_bytes(b"once")
    with Server(folder, "udp://127.0.0.1:0") as server:
        for _ in range(2):
            done = run(folder, "send", "a", "--to", server.url, "--keys", "keys", "--timeout", "20")
            assert (done.returncode, done.stderr) == (0, "")
            assert "confirmed on the disk" in done.stdout
    assert sorted(path.name for path in (folder / "in").iterdir()) == [".feldsher", "a"]


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_both_ends_are_killed_and_the_transfer_goes_on(folder, scheme):
    """kill -9 of either side, again and again: it ends with the file, and not from the beginning each time."""
    rng = random.Random(2)
    (folder / "big").write_bytes(rng.randbytes(30_000_000))
    port = free_port(socket.SOCK_STREAM if scheme == "tcp" else socket.SOCK_DGRAM)
    url = f"{scheme}://127.0.0.1:{port}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    words = [*FELDSHER, "send", "big", "--to", url, "--keys", "keys", "--no-compress", "--json"]
    server, kills, deadline = Server(folder, url), 0, time.monotonic() + 100
    sender = None
    try:
        while time.monotonic() < deadline:
            if sender is None or sender.poll() is not None:
                sender = subprocess.Popen(
                    words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            try:
                sender.wait(rng.uniform(0.5, 1.2) if kills < 6 else 60)
                break
            except subprocess.TimeoutExpired:
                kills += 1
                if rng.random() < 0.5:
                    sender.kill()
                    sender.wait()
                    sender.stdout.close()
                else:
                    server.kill()
                    server = Server(folder, url)
        out = sender.stdout.read()
        sender.stdout.close()
    finally:
        server.kill()
    assert sender.returncode == 0
    report = json.loads(out)
    # A busy machine that stalls the receiver for longer than the sender waits for an ACK costs a few.
    assert report["segments_sent_twice"] <= kills + 1 + 30_000_000 // 1400 // 100
    assert (folder / "in" / "big").read_bytes() == (folder / "big").read_bytes()


def test_wrong_keys_are_told_from_an_unreachable_host(folder):
    (folder / "a").write_bytes(b"1")
    assert run(folder, "keys", "others").returncode == 0
    with Server(folder, "udp://127.0.0.1:0") as server:
        done = run(folder, "send", "a", "--to", server.url, "--keys", "others", "--timeout", "30")
        assert done.returncode == 77
        assert "does not let us in" in done.stderr
    done = run(folder, "send", "a", "--to", f"udp://127.0.0.1:{free_port()}", "--keys", "keys", "--timeout", "2")
    assert done.returncode == 75
    assert "Connection refused" in done.stderr
    assert "unreachable" in done.stderr
    done = run(folder, "send", "a", "--to", f"tcp://127.0.0.1:{free_port()}", "--keys", "keys", "--timeout", "2")
    assert done.returncode == 75
    assert "Connection refused" in done.stderr


def test_a_name_that_nobody_knows_is_told(folder):
    (folder / "a").write_bytes(b"1")
    done = run(folder, "send", "a", "--to", "udp://gateway.invalid:7000", "--keys", "keys", "--timeout", "3")
    assert done.returncode == 75
    assert "gateway.invalid: " in done.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["send", "missing", "--to", "udp://127.0.0.1:9", "--keys", "keys"], 64, "missing"),
        (["send", ".", "--to", "udp://127.0.0.1:9", "--keys", "keys"], 64, "name of a file"),
        (["send", "a", "--to", "ftp://host", "--keys", "keys"], 64, "serial, tcp, udp"),
        (["send", "a", "--to", "udp://host", "--keys", "keys"], 64, "host and a port"),
        (["send", "a", "--to", "sbd:///dev/null", "--keys", "keys"], 64, "files do not go by satellite messages"),
        (["send", "a", "--to", "udp://host:0", "--keys", "keys"], 64, "nobody can be called at port 0"),
        (["send", "a", "--to", "modem:///dev/x?to=tcp://h:0", "--keys", "keys"], 64, "called at port 0"),
        (["send", "a", "--to", "serial:///dev/x?speed=9", "--keys", "keys"], 64, "there is no option 'speed'"),
        (["send", "a", "--to", "serial:///dev/null", "--keys", "keys", "--timeout", "1"], 75, "it is no serial line"),
        (["trace", "missing"], 64, "missing: No such file"),
        (["send", "a", "--to", "udp://host:99999", "--keys", "keys"], 64, "not an address"),
        (["send", "a", "--to", "udp://127.0.0.1:9", "--keys", "nowhere"], 78, "nowhere/send.toml"),
        (["send", "a", "--to", "udp://127.0.0.1:9", "--keys", "cut"], 78, "send.toml: far_public: want 64 hex"),
        (["serve", "--listen", "udp://127.0.0.1:0", "--into", "in", "--keys", "nowhere"], 78, "nowhere/serve.toml"),
        (["serve", "--listen", "udp://192.0.2.1:7", "--into", "in", "--keys", "keys"], 64, "cannot listen"),
        (["serve", "--listen", "udp://127.0.0.1:0", "--into", "a/b", "--keys", "keys"], 64, "cannot make the folder"),
        (["keys", "keys"], 64, "never written over"),
    ],
)
def test_mistakes_are_named_and_have_an_exit_code(folder, words, code, message):
    (folder / "a").write_bytes(b"1")
    (folder / "cut").mkdir()
    (folder / "cut" / "send.toml").write_text(
        (folder / "keys" / "send.toml").read_text().replace('far_public = "', 'far_public = "x')
    )
    done = run(folder, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_can_be_read_by_their_owner_only(folder):
    assert (folder / "keys").stat().st_mode & 0o077 == 0
    for name in ("serve.toml", "send.toml"):
        assert (folder / "keys" / name).stat().st_mode & 0o077 == 0


@pytest.mark.root
def test_a_full_disk_on_the_far_side_is_told(folder):
    if os.geteuid() != 0:
        pytest.skip("NOT ROOT: no small disk can be mounted")
    (folder / "in").mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "none", "in"], cwd=folder, check=False)
    if mounted.returncode:
        pytest.skip("NO MOUNT: this machine lets nobody mount a tmpfs")
    try:
        (folder / "big").write_bytes(random.Random(1).randbytes(3_000_000))
        with Server(folder, "udp://127.0.0.1:0") as server:
            done = run(folder, "send", "big", "--to", server.url, "--keys", "keys", "--timeout", "30")
            assert done.returncode == 73, done.stderr
            assert "disk is full" in done.stderr
    finally:
        subprocess.run(["umount", "in"], cwd=folder, check=True)


@pytest.mark.parametrize("seconds", ["0", "-5", "nan"])
def test_a_timeout_that_is_over_before_it_begins_is_wrong_use(folder, seconds):
    done = run(folder, "send", "a", "--to", "udp://127.0.0.1:1", "--keys", "keys", f"--timeout={seconds}")
    assert done.returncode == 64
    assert "--timeout" in done.stderr
