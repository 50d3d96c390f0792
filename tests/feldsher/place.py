"""A centre, a gateway and a kit as real processes on this machine, joined by loopback UDP without a radio between.

Made for tests that kill, starve or insult them. Every process is a command that a technician would start.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from hardware.simulated import ptys
from node.daemon import STATUS_FILE, read_status
from node.enrolment import load_kit
from node.spool import State, parse_name
from provisioning.enrolment import add_gateway, add_kit
from server.centre import Centre

ROOT = Path(__file__).resolve().parent.parent.parent
ENQ, ACK, STX = b"\x05", b"\x06", b"\x02"
PORT_TOML = '[[port]]\nname = "{name}"\npath = "{path}"\ndriver = "{driver}"\n\n'


def free_port(kind=socket.SOCK_DGRAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def feldsher(*words, timeout=60, **more):
    """Run one command to its end, as a technician does."""
    command = [sys.executable, "-m", "feldsher", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False, **more)


class Place:
    """The three data folders and the processes on them. Leaving it ends every process."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = {}
        self.benches = []
        self.ports = {"web": free_port(socket.SOCK_STREAM), "link": free_port(), "gateway": free_port()}
        for node in ("gateway", "kit"):
            self.data(node).mkdir(mode=0o700)
        with Centre.open(self.data("centre")) as centre:
            listen, link = (f"udp://127.0.0.1:{self.ports[name]}" for name in ("gateway", "link"))
            add_gateway(centre, "ground", self.data("gateway") / "enrolment.toml", [listen], [link])
            add_kit(centre, "van-1", self.data("kit") / "enrolment.toml")
        self.configure_kit({})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            process.kill()
            process.wait()
        for bench in self.benches:
            bench.stop()

    def data(self, node):
        return self.folder / node

    def pty(self, name):
        return str(self.folder / f"tty-{name}")

    def configure_kit(self, ports):
        """`ports`: driver by name; each is a pty link of this place."""
        text = "".join(PORT_TOML.format(name=name, path=self.pty(name), driver=ports[name]) for name in ports)
        (self.data("kit") / "kit.toml").write_text(text)

    @property
    def enrolment(self):
        return load_kit(self.data("kit") / "enrolment.toml")

    def start(self, node, *words):
        (self.data(node) / STATUS_FILE).unlink(missing_ok=True)
        link = f"udp://127.0.0.1:{self.ports['link']}"
        command = {
            "centre": ["server", "run", "--listen", f"127.0.0.1:{self.ports['web']}", "--link", link],
            "gateway": ["gateway", "run"],
            "kit": ["kit", "run"],
        }[node]
        command = [sys.executable, "-m", "feldsher", *command, "--data", str(self.data(node)), *words]
        with (self.folder / f"{node}.log").open("ab") as log:
            self.processes[node] = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill(self, node):
        """Pull the plug; the process must have been alive until now."""
        process = self.processes[node]
        assert process.poll() is None, f"{node} ended by itself with {process.poll()}:\n{self.log(node)[-3000:]}"
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self, node, code=0):
        """End it in order."""
        process = self.processes[node]
        self.until(lambda: self.is_ready(node), f"{node} is ready", alive=(node,))
        process.send_signal(signal.SIGTERM)
        ended = process.wait(20)
        assert ended == code, f"{node} ended with {ended}:\n{self.log(node)[-3000:]}"

    def is_ready(self, node):
        if node != "centre":
            return bool(self.status(node))
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.ports["web"])) == 0

    def log(self, node):
        path = self.folder / f"{node}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def status(self, node):
        return read_status(self.data(node))

    def until(self, done, what, seconds=60.0, alive=()):
        end = time.monotonic() + seconds
        while not done():
            for node in alive:
                assert self.processes[node].poll() is None, f"{node} has ended:\n{self.log(node)[-3000:]}"
            assert time.monotonic() < end, f"waited {seconds:.0f} s for: {what}\n{self.log('kit')[-1500:]}"
            time.sleep(0.05)

    def held(self):
        """Return every object on the kit's card, by the names of the files."""
        found = {}
        for state in State:
            for path in (self.data("kit") / state.value).glob("*"):
                one = parse_name(path.name, state=state)
                if one is not None:
                    found[one.object_id] = (one, path)
        return found

    def is_drained(self):
        return all(one.state is State.RECEIVED for one, _ in self.held().values())


class Bench:
    """A simulated device that speaks on a pty of the place, in a thread, on a clock that runs `speed` times as fast."""

    def __init__(self, place, name, device, speed=1.0):
        self.device, self.speed = device, speed
        self.acknowledged = []
        self._said = b""
        self._stopping = threading.Event()
        self._ready = threading.Event()
        place.benches.append(self)
        self._thread = threading.Thread(target=self._run, args=(place.pty(name),), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self, link):
        with ptys.open_pty(link) as (line, _):
            self._ready.set()
            ptys.run(self, line, lambda: time.monotonic() * self.speed, self._stopping.is_set)
            self._stopping.wait()  # a device that has nothing more to say is still plugged in

    def stop(self):
        self._stopping.set()
        self._thread.join(30)

    # What the pty calls: the device, and a note of every frame that the kit said is its own from now on

    def tick(self, now):
        return self._note(self.device.tick(now))

    def feed(self, data, now):
        if data[:1] == ACK and self._said.startswith(STX):
            self.acknowledged.append(self._said)
            self._said = b""
        return self._note(self.device.feed(data, now))

    def _note(self, said):
        self._said = said or self._said
        return said

    def deadline(self):
        return self.device.deadline()

    @property
    def is_done(self):
        return self.device.is_done


def pid_memory_bytes(pid):
    """Return the resident memory of a process."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
