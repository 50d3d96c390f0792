"""The demo's stage: a centre, a gateway, a kit and three devices as processes of their own, with a radio between.

Everything is real but the radio and the devices: the commands that a user would start, their data folders, ptys and
loopback sockets. Owns a folder that it makes and removes. A process that ends although nobody killed it is an error,
told with the last lines of its log.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hardware.simulated.radio import Radio, Shape
from hardware.simulated.scanner import patient_label
from node.daemon import read_status
from wire.errors import FeldsherError, UsageError

USER: Final = "doctor"
PASSWORD_SIZE: Final = 9
SHAPE: Final = Shape(rate_bps=9_600, delay_s=0.25, loss=0.02)
PORTS: Final = {"analyser": "astm", "labels": "barcode", "oximeter": "nonin"}
START_S_MAX: Final = 30.0
SEED: Final = 7
LOG_LINES: Final = 12

KIT_TOML: Final = """\
[[port]]
name = "{name}"
path = "{path}"
driver = "{driver}"

"""


class StageError(FeldsherError):
    """A part of the demo did not start, or ended by itself."""


def free_port(kind: socket.SocketKind) -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stage:
    """Made by `Stage.build`, used as a context manager: leaving it ends every process and removes the folder."""

    def __init__(self, folder: Path, *, keep: bool) -> None:
        self.folder = folder
        self._keep = keep
        self.password = os.urandom(PASSWORD_SIZE).hex()
        self.web_port = free_port(socket.SOCK_STREAM)
        self._link_port = free_port(socket.SOCK_DGRAM)
        self._gateway_port = free_port(socket.SOCK_DGRAM)
        self.radio = Radio(("127.0.0.1", self._gateway_port), SHAPE, SEED)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    @classmethod
    async def build(cls, folder: Path | None) -> Self:
        """Make the folder, enrol kit and gateway at a new centre, open the radio. Starts nothing yet."""
        stage = cls(folder or Path(tempfile.mkdtemp(prefix="feldsher-demo-")), keep=folder is not None)
        try:
            await stage.radio.open()
            stage._enrol()
        except BaseException:  # Ctrl-C too leaves no folder
            stage.close()
            raise
        return stage

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process, kindly at first, and remove the folder."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.radio.close()
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def address(self) -> str:
        """The web page."""
        return f"http://127.0.0.1:{self.web_port}/"

    def data(self, node: str) -> Path:
        """Return the data folder of `centre`, `gateway` or `kit`."""
        return self.folder / node

    def status(self, node: str) -> dict[str, Any]:
        """Return what the node's daemon said last; {} before its first word."""
        return read_status(self.data(node))

    def _enrol(self) -> None:
        from node.enrolment import load_gateway, load_kit
        from provisioning.enrolment import add_gateway, add_kit
        from server.centre import Centre

        for node in ("gateway", "kit"):
            try:
                self.data(node).mkdir(mode=0o700, parents=True)
            except OSError as error:
                raise UsageError(f"--keep {self.folder}: a new folder is wanted: {error.strerror}") from error
        with Centre.open(self.data("centre")) as centre:
            centre.people.add(USER, self.password)
            host, port = self.radio.address
            link = f"udp://127.0.0.1:{self._link_port}"
            gateway_file, kit_file = (self.data(node) / "enrolment.toml" for node in ("gateway", "kit"))
            listen = f"udp://127.0.0.1:{self._gateway_port}"
            add_gateway(centre, "ground", gateway_file, [listen], [link], [f"udp://{host}:{port}"])
            add_kit(centre, "van-1", kit_file)
        load_gateway(gateway_file)
        load_kit(kit_file)
        ports = [KIT_TOML.format(name=name, path=self.pty(name), driver=driver) for name, driver in PORTS.items()]
        (self.data("kit") / "kit.toml").write_text("".join(ports))

    # Processes

    def start(self, node: str) -> None:
        """Start a daemon; returns at once."""
        data, link = str(self.data(node)), f"udp://127.0.0.1:{self._link_port}"
        words = {
            "centre": ["server", "run", "--listen", f"127.0.0.1:{self.web_port}", "--link", link],
            "gateway": ["gateway", "run"],
            "kit": ["kit", "run"],
        }[node]
        self._spawn(node, [*words, "--data", data])

    def speak(self, device: str, *words: str) -> None:
        """Let a simulated device speak on its pty; one at a time on each."""
        name = {"analyser": "analyser", "scanner": "labels", "oximeter": "oximeter"}[device]
        self._spawn(name, ["simulate", "device", device, "--pty-link", self.pty(name), "--seed", str(SEED), *words])

    def exit_code(self, name: str) -> int | None:
        """Return how the process ended; None while it runs."""
        return self._processes[name].poll()

    def kill(self, node: str) -> None:
        """Pull the plug: SIGKILL, in the middle of whatever it does."""
        self._processes[node].send_signal(signal.SIGKILL)
        self._processes[node].wait()
        self.kills += 1

    def check(self) -> None:
        """Raise StageError when a daemon has ended by itself."""
        for name in ("centre", "gateway", "kit"):
            process = self._processes.get(name)
            if process is not None and process.poll() not in (None, -signal.SIGKILL):
                raise StageError(f"{name} ended with exit code {process.poll()}:\n{self.log(name)}")

    def wait_for_web(self) -> None:
        """Return when the centre answers. Raises StageError."""
        until = time.monotonic() + START_S_MAX
        while time.monotonic() < until:
            self.check()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.web_port)) == 0:
                    return
            time.sleep(0.1)
        raise StageError(f"the centre does not answer:\n{self.log('centre')}")

    def log(self, name: str) -> str:
        """Return the last lines that the process wrote."""
        path = self.folder / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:]) if path.exists() else ""

    def pty(self, name: str) -> str:
        """Return the path under which the device's line appears."""
        return str(self.folder / f"tty-{name}")

    def _spawn(self, name: str, words: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "feldsher", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is for the demo, which then ends them in order
            )


def label(at: int) -> str:
    """Return the label of the demo's `at`-th patient."""
    return patient_label(SEED, at)
