"""`feldsher link` over a stick and over whatever road there is, as people run it: real processes and real folders."""

import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from feldsher.link_send import find_sticks, resolve
from node import linkkeys
from tests.feldsher.test_link_command import FELDSHER, ROOT, Server, free_port, run
from wire.errors import UsageError

BIG = random.Random(1).randbytes(3_000_000)
ARGS = ("--keys", "keys")
SOON = ("--timeout", "1.5")
"""On a stick that nobody reads, the answer is not waited for."""


@pytest.fixture
def folder(tmp_path):
    assert run(tmp_path, "keys", "keys").returncode == 0
    (tmp_path / "stick").mkdir()
    (tmp_path / "big").write_bytes(BIG)
    (tmp_path / "small").write_bytes(b"a record\n")
    return tmp_path


def on_stick(folder):
    """Return what is written there, and not what is being written."""
    return sorted((folder / "stick" / "feldsher").glob("*.parcel"))


def stick(folder):
    return f"dir://{folder}/stick"


def arrived(folder):
    return (folder / "in" / "big").read_bytes() == BIG and (folder / "in" / "small").read_bytes() == b"a record\n"


def test_a_stick_is_carried_there_and_back(folder):
    words = ("send", "big", "small", "--to", stick(folder), *ARGS, *SOON)
    done = run(folder, *words)
    assert done.returncode == 75
    assert f"2 files wait in {folder}/stick/feldsher; carry it to the far side, bring it back" in done.stderr
    there = on_stick(folder)
    written = [path.stat().st_mtime_ns for path in there]
    assert run(folder, *words).returncode == 75
    assert on_stick(folder) == there
    assert [path.stat().st_mtime_ns for path in there] == written, "nothing is written twice"
    with Server(folder, stick(folder)):
        until(lambda: len(on_stick(folder)) > len(there))
        assert arrived(folder)
    done = run(folder, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("confirmed on the disk") == 2
    with Server(folder, stick(folder)):
        until(lambda: not on_stick(folder))


def until(done, seconds=20):
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_both_ends_see_the_folder(folder):
    with Server(folder, stick(folder)) as server:
        done = run(folder, "send", "big", "small", "--to", stick(folder), *ARGS, "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert {item["result"] for item in report["files"]} == {"confirmed"}
        assert report["stick"]["safe_to_pull"]
        assert arrived(folder)
        until(lambda: not on_stick(folder))
        assert server.kill(signal.SIGTERM) == 0


def test_a_full_stick_and_a_missing_one_are_told(folder):
    done = run(folder, "send", "small", "--to", f"dir://{folder}/nowhere", *ARGS)
    assert done.returncode == 75
    assert "no stick is there" in done.stderr
    assert not (folder / "nowhere").exists()


@pytest.mark.root
def test_a_stick_that_is_too_small_takes_what_fits_and_the_rest_goes_on_the_next_trip(folder):
    if os.geteuid() != 0:
        pytest.skip("NOT ROOT: no small disk can be mounted")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "none", "stick"], cwd=folder, check=False)
    if mounted.returncode:
        pytest.skip("NO MOUNT: this machine lets nobody mount a tmpfs")
    try:
        words = ("send", "big", "small", "--to", stick(folder), *ARGS, *SOON)
        done = run(folder, *words)
        assert done.returncode == 75
        assert "the stick is full" in done.stderr
        for _ in range(2):
            with Server(folder, stick(folder)):
                time.sleep(1.5)
            done = run(folder, *words)
        assert done.returncode == 0, done.stderr
        assert arrived(folder)
    finally:
        subprocess.run(["umount", "stick"], cwd=folder, check=True)


def test_other_files_of_the_same_sender_on_the_same_stick_are_left_to_their_own_run(folder):
    first = ("send", "big", "--to", stick(folder), *ARGS, *SOON)
    second = ("send", "small", "--to", stick(folder), *ARGS, *SOON)
    assert run(folder, *first).returncode == run(folder, *second).returncode == 75
    with Server(folder, stick(folder)):
        until(lambda: (folder / "in" / "small").exists() and (folder / "in" / "big").exists())
        time.sleep(1)
    assert run(folder, *second).returncode == 0
    assert run(folder, *first).returncode == 0


@pytest.mark.parametrize("at", [0.05, 0.3])
def test_a_sender_that_is_killed_while_it_writes_the_stick_goes_on(folder, at):
    words = ["send", "big", "small", "--to", stick(folder), *ARGS, *SOON]
    process = subprocess.Popen(
        [*FELDSHER, *words], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL
    )
    until((folder / "stick" / "feldsher").exists)
    time.sleep(at / 10)
    process.kill()
    process.wait()
    assert run(folder, *words).returncode == 75
    assert not [path for path in on_stick(folder) if path.suffix == ".new"]
    with Server(folder, stick(folder)):
        until(lambda: (folder / "in" / "big").exists() and (folder / "in" / "small").exists())
        time.sleep(1)
    assert run(folder, *words).returncode == 0
    assert arrived(folder)


# Whatever there is


@pytest.mark.slow
def test_udp_is_silent_and_tcp_answers_and_is_remembered(folder):
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    udp = f"udp://127.0.0.1:{silent.getsockname()[1]}"
    try:
        with Server(folder, "tcp://127.0.0.1:0") as server:
            done = run(folder, "send", "small", "--to", udp, "--to", server.url, *ARGS, "--timeout", "40")
            assert done.returncode == 0, done.stderr
            lines = [line for line in done.stderr.splitlines() if not line.startswith("waiting")]
            assert lines == [f"trying {udp}", f"trying {server.url}", f"{server.url} answers"]
            assert linkkeys.load_addresses(folder / "keys") == [server.url]
            done = run(folder, "send", "big", "--to", "auto", *ARGS, "--timeout", "40")
            assert done.returncode == 0, done.stderr
    finally:
        silent.close()


@pytest.mark.slow
def test_auto_uses_what_keys_were_made_with_and_falls_back_on_a_stick(folder):
    dead = f"udp://127.0.0.1:{free_port()}"
    assert run(folder, "keys", "others", "--at", dead, "--at", "tcp://127.0.0.1:9").returncode == 0
    assert linkkeys.load_addresses(folder / "others") == [dead, "tcp://127.0.0.1:9"]
    (folder / "others" / "addresses").write_text(f"{dead}\n")
    done = run(folder, "send", "small", "--to", "auto", "--to", stick(folder), "--keys", "others", timeout=90)
    assert done.returncode == 75
    assert f"trying {dead}" in done.stderr
    assert f"nothing heard; trying the stick at {folder}/stick" in done.stderr
    assert "1 file waits in" in done.stderr


@pytest.mark.slow
def test_an_old_address_at_which_somebody_else_listens_now_gives_way(folder):
    assert run(folder, "keys", "others").returncode == 0
    with Server(folder, "udp://127.0.0.1:0", keys="others", into="theirs") as other:
        with Server(folder, "tcp://127.0.0.1:0") as server:
            done = run(folder, "send", "small", "--to", other.url, "--to", server.url, *ARGS, "--timeout", "60")
            assert done.returncode == 0, done.stderr
        with Server(folder, "udp://127.0.0.1:0", keys="others", into="thirds") as third:
            done = run(folder, "send", "small", "--to", other.url, "--to", third.url, *ARGS, "--timeout", "60")
            assert done.returncode == 77, done.stderr
        done = run(folder, "send", "small", "--to", other.url, "--to", stick(folder), *ARGS, "--timeout", "60")
        assert done.returncode == 75
        assert "1 file waits in" in done.stderr


class Pipe:
    """UDP between a sender and a server, until it is cut."""

    def __init__(self, server_port):
        self.near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.near.bind(("127.0.0.1", 0))
        self.port = self.near.getsockname()[1]
        self.near.settimeout(0.05)
        self.server = ("127.0.0.1", server_port)
        self.sender = None
        self.bytes, self.is_open = 0, True
        threading.Thread(target=self.pump, daemon=True).start()

    def pump(self):
        while self.is_open:
            try:
                data, source = self.near.recvfrom(65536)
            except TimeoutError:
                continue
            if source != self.server:
                self.sender = source
                self.bytes += len(data)
            if self.bytes < 1_000_000:
                self.near.sendto(data, self.server if source != self.server else self.sender)
        self.near.close()


@pytest.mark.slow
def test_the_session_goes_on_over_tcp_when_udp_dies_in_the_middle(folder):
    udp, tcp = free_port(), free_port(socket.SOCK_STREAM)
    with Server(folder, f"udp://127.0.0.1:{udp}", more=("--listen", f"tcp://127.0.0.1:{tcp}")):
        pipe = Pipe(udp)
        try:
            roads = ("--to", f"udp://127.0.0.1:{pipe.port}", "--to", f"tcp://127.0.0.1:{tcp}")
            done = run(folder, "send", "big", *roads, *ARGS, "--json", "--timeout", "100", timeout=120)
        finally:
            pipe.is_open = False
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["road"] == f"tcp://127.0.0.1:{tcp}"
    assert report["handshakes"] == 1, "no new session"
    assert (folder / "in" / "big").read_bytes() == BIG


def test_auto_knows_the_order(tmp_path):
    (tmp_path / "media" / "pi" / "KINGSTON" / "feldsher").mkdir(parents=True)
    (tmp_path / "media" / "pi" / "PHOTOS").mkdir()
    keys = tmp_path / "keys"
    keys.mkdir()
    linkkeys.remember(keys, ["tcp://a:1", "dir:///mnt/x", "udp://a:1"])
    roads = [str(url) for url in resolve(["auto", "serial:///dev/ttyUSB0?dial=1"], keys, tmp_path)]
    found = f"dir://{tmp_path}/media/pi/KINGSTON"
    assert roads == ["udp://a:1", "tcp://a:1", "serial:///dev/ttyUSB0?dial=1", "dir:///mnt/x", found]
    assert find_sticks(tmp_path) == [tmp_path / "media" / "pi" / "KINGSTON"]
    with pytest.raises(UsageError, match="no address is known"):
        resolve(["auto"], tmp_path / "none", Path("/nonexistent"))


def test_a_trace_is_kept_and_shown(folder):
    with Server(folder, "udp://127.0.0.1:0") as server:
        done = run(folder, "send", "small", "--to", server.url, *ARGS, "--trace", "seen", "--timeout", "30")
        assert done.returncode == 0, done.stderr
    shown = run(folder, "trace", "seen")
    assert shown.returncode == 0, shown.stderr
    assert "udp://127.0.0.1" in shown.stdout
    assert "a record" not in shown.stdout


def test_addresses_are_bounded_and_a_folder_that_cannot_be_written_is_left(tmp_path):
    for n in range(40):
        linkkeys.remember(tmp_path, [f"udp://h:{n + 1}"])
    assert linkkeys.load_addresses(tmp_path)[0] == "udp://h:40"
    assert len(linkkeys.load_addresses(tmp_path)) == linkkeys.ADDRESSES_MAX
    linkkeys.remember(tmp_path / "nowhere", ["udp://h:1"])
    assert linkkeys.load_addresses(tmp_path / "nowhere") == []
