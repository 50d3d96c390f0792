"""Two devices in each other's sockets, as a van crew has them: processes, ptys, `kit status`, and back again."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.feldsher.test_devices_cli import ended, feldsher
from tests.node.stores import SEAL_PUBLIC, SIGN_PUBLIC, SIGN_SECRET
from wire.noise import KeyPair

PATIENCE_S = 30


@pytest.fixture
def data(tmp_path):
    """Return a data folder with an enrolment and two ports."""
    folder = tmp_path / "data"
    folder.mkdir()
    keys = {
        "link_secret": b"k" * 32,
        "psk": b"p" * 32,
        "sign_secret": SIGN_SECRET,
        "server_seal_public": SEAL_PUBLIC,
        "server_sign_public": SIGN_PUBLIC,
    }
    lines = ["version = 1", 'name = "van-3"', *(f'{key} = "{value.hex()}"' for key, value in keys.items())]
    gateway = KeyPair.from_secret(b"g" * 32).public.hex()
    lines += ["[[gateway]]", 'name = "ground"', f'public = "{gateway}"', 'urls = ["udp://127.0.0.1:9"]']
    (folder / "enrolment.toml").write_text("\n".join(lines) + "\n")
    (folder / "enrolment.toml").chmod(0o600)
    ports = [("finger", "nonin"), ("place", "nmea")]
    text = "".join(
        f'[[port]]\nname = "{name}"\npath = "{tmp_path}/{name}"\ndriver = "{driver}"\n' for name, driver in ports
    )
    (folder / "kit.toml").write_text(text)
    return folder


def status(data):
    out = subprocess.run(
        [sys.executable, "-m", "feldsher", "kit", "status", "--data", str(data), "--json"],
        capture_output=True,
        check=False,
    ).stdout
    return json.loads(out) if out.startswith(b"{") else {}


def until(data, states):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        seen = status(data)
        if {name: port["state"] for name, port in seen.get("devices", {}).items()} == states:
            return seen
        time.sleep(0.3)
    raise AssertionError(seen)


def plugged(tmp_path, **devices):
    processes = []
    for socket, device in devices.items():
        processes.append(
            feldsher("simulate", "device", device, "--pty-link", tmp_path / socket, "--repeat", "--every", 1)
        )
        processes[-1].stdout.readline()
    return processes


def unplug(processes):
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_S)


@pytest.mark.slow
def test_two_devices_in_each_others_sockets_are_shown_and_put_right(data, tmp_path):
    swapped = plugged(tmp_path, finger="gps", place="oximeter")
    kit = feldsher("kit", "run", "--data", data)
    seen = until(data, {"finger": "wrong-device", "place": "wrong-device"})
    assert seen["leds"]["device"][0] == "double"
    code, out, _ = ended(feldsher("kit", "devices", "--data", data, "--listen", "0.1", "--json"))
    closed = {row["name"]: row["closed"] for row in json.loads(out)["ports"] if row.get("name")}
    assert (code, closed["finger"]) == (0, "the running kit has it (port 'finger')")
    unplug(swapped)
    until(data, {"finger": "missing", "place": "missing"})
    right = plugged(tmp_path, finger="oximeter", place="gps")
    seen = until(data, {"finger": "heard", "place": "heard"})
    assert seen["leds"]["device"][0] != "double"
    assert [port["vanished"] for port in seen["devices"].values()] == [1, 1]
    kit.send_signal(signal.SIGTERM)
    code, _, err = ended(kit)
    unplug(right)
    assert code == 0, err
    assert "wrong device on port finger: it speaks as one of driver 'nmea' does, not 'nonin'" in err
