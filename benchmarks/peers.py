"""What others would use for the same road, over the same emulated links and the same payloads as ours.

curl (HTTP, resumes by range), rsync -z over ssh (resumes partial files), UUCP (Taylor, protocol i, restarts files) and
mosquitto (MQTT, QoS 1). Each is set up as its manual advises for bad links, is called again after every failure, and
is done when the bytes at the far end are the same. Only rsync encrypts. Needs the Debian packages curl, lighttpd,
rsync, openssh-server, uucp, socat, mosquitto and mosquitto-clients; a peer whose programs are missing is left out.

Called by `benchmarks/links.py` inside the emulator: KIT_NS, SRV_NS, KIT_IP and SRV_IP say where.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RETRY_S: Final = 1.0
STALLED_S: Final = 10
"""A transfer that has stood still for so long is ended and begun again; without it each of them hangs for minutes."""
LOGIN_S: Final = 40
"""What ssh needs for its seven round trips on the slowest of these links, before rsync has said a word."""
WEB_PORT, SSH_PORT, UUCP_PORT, MQTT_PORT = 8080, 2222, 5400, 1883
QUIET: Final = subprocess.DEVNULL


@dataclass(frozen=True)
class Stage:
    """Where one run happens: `out/` lies on the kit, `in/` at the far end."""

    folder: Path
    names: Sequence[str]

    def kit(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", os.environ["KIT_NS"], *command]

    def server(self, *command: str) -> list[str]:
        return ["ip", "netns", "exec", os.environ["SRV_NS"], *command]

    def text(self, name: str, lines: Sequence[str]) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    def is_done(self) -> bool:
        """Tell whether everything is there and the same."""
        there = [(self.folder / "in" / name, self.folder / "out" / name) for name in self.names]
        return all(new.exists() and new.read_bytes() == old.read_bytes() for new, old in there)


Start = Callable[[Stage], list[list[str]]]
"""Writes what the servers need and returns their commands."""
Attempt = Callable[[Stage], list[str]]
"""Returns the command that sends what is still missing."""


@dataclass(frozen=True)
class Peer:
    """One program of others."""

    name: str
    programs: tuple[str, ...]
    start: Start
    attempt: Attempt

    @property
    def is_here(self) -> bool:
        return all(shutil.which(program) for program in self.programs)


def _web_server(stage: Stage) -> list[list[str]]:
    lines = [f'server.document-root = "{stage.folder}/out"', f"server.port = {WEB_PORT}"]
    return [stage.kit("lighttpd", "-D", "-f", stage.text("web.conf", lines))]


def _curl(stage: Stage) -> list[str]:
    options = [
        "--speed-limit",
        "1",
        "--speed-time",
        str(STALLED_S),
        "--connect-timeout",
        "5",
        "-s",
        "-C",
        "-",
        "--parallel",
    ]
    missing = [name for name in stage.names if not _is_whole(stage, name)]
    urls = [part for name in missing for part in (f"http://{os.environ['KIT_IP']}:{WEB_PORT}/{name}", "-o", name)]
    return stage.server("curl", *options, "--output-dir", str(stage.folder / "in"), *urls)


def _is_whole(stage: Stage, name: str) -> bool:
    new = stage.folder / "in" / name
    return new.exists() and new.stat().st_size == (stage.folder / "out" / name).stat().st_size


def _ssh_server(stage: Stage) -> list[list[str]]:
    Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        key = str(stage.folder / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    shutil.copy(stage.folder / "user.pub", stage.folder / "allowed")
    lines = [
        f"Port {SSH_PORT}",
        f"HostKey {stage.folder}/host",
        f"AuthorizedKeysFile {stage.folder}/allowed",
        "PermitRootLogin yes",
        "StrictModes no",
        "UsePAM no",
        "UseDNS no",
        "ClientAliveInterval 5",
        "ClientAliveCountMax 3",
        f"PidFile {stage.folder}/sshd.pid",
    ]
    sshd = shutil.which("sshd") or "/usr/sbin/sshd"
    return [stage.server(sshd, "-D", "-e", "-f", stage.text("sshd.conf", lines))]


def _rsync(stage: Stage) -> list[str]:
    ssh = (
        f"ssh -p {SSH_PORT} -i {stage.folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
        " -o ConnectTimeout=40 -o ServerAliveInterval=5 -o ServerAliveCountMax=2"
    )
    options = ["-z", "--partial", "--append-verify", f"--timeout={LOGIN_S}", "-e", ssh]
    files = [str(stage.folder / "out" / name) for name in stage.names]
    return stage.kit("rsync", *options, *files, f"{os.environ['SRV_IP']}:{stage.folder}/in/")


def _uucp_config(stage: Stage, node: str) -> str:
    home = stage.folder / node
    for folder in ("spool", "public"):
        (home / folder).mkdir(parents=True, exist_ok=True)
    files = {"sysfile": "sys", "portfile": "port", "dialfile": "dial", "dialcodefile": "codes", "callfile": "call"}
    files |= {"passwdfile": "passwords", "logfile": "log", "statfile": "stats"}
    for name in files.values():
        (home / name).touch()
    lines = [f"{key} {home}/{name}" for key, name in files.items()]
    lines += [f"nodename {node}", f"spool {home}/spool", f"pubdir {home}/public", f"lockdir {home}/spool"]
    return stage.text(f"{node}/config", lines)


def _uucp_server(stage: Stage) -> list[list[str]]:
    near, far = _uucp_config(stage, "van"), _uucp_config(stage, "base")
    call = ["system base", "time any", "max-retries 0", f"address {os.environ['SRV_IP']}", "port tcp", "protocol i"]
    patience = ["protocol-parameter i timeout 10", "protocol-parameter i retries 2"]
    stage.text("van/sys", [*call, *patience, "local-send /", 'chat ""'])
    stage.text("van/port", ["port tcp", "type tcp", f"service {UUCP_PORT}"])
    stage.text(
        "base/sys", ["system van", "called-login uucp", "protocol i", *patience, f"remote-receive {stage.folder}/in"]
    )
    subprocess.run(["chmod", "-R", "a+rwX", str(stage.folder)], check=True)
    subprocess.run(["chown", "-R", "uucp:uucp", str(stage.folder)], check=True)
    for name in stage.names:
        queue = ["uucp", "-I", near, "-r", "-C", f"{stage.folder}/out/{name}", f"base!{stage.folder}/in/{name}"]
        subprocess.run(
            ["setpriv", "--reuid=uucp", "--regid=uucp", "--clear-groups", *queue],
            check=True,
            stdout=QUIET,
            stderr=QUIET,
        )
    listen = f"TCP-LISTEN:{UUCP_PORT},fork,reuseaddr"
    return [stage.server("socat", listen, f"EXEC:/usr/sbin/uucico -I {far},su=uucp")]


def _uucico(stage: Stage) -> list[str]:
    config = str(stage.folder / "van" / "config")
    as_uucp = ["setpriv", "--reuid=uucp", "--regid=uucp", "--clear-groups"]
    return stage.kit(*as_uucp, "/usr/sbin/uucico", "-D", "-I", config, "-f", "-S", "base")


def _broker(stage: Stage) -> list[list[str]]:
    config = stage.text("mqtt.conf", [f"listener {MQTT_PORT}", "allow_anonymous true", "user root"])
    take = [sys.executable, __file__, "--take", str(stage.folder / "in"), *stage.names]
    return [stage.server("mosquitto", "-c", config), stage.server(*take)]


def _publish(stage: Stage) -> list[str]:
    """Publish one file as it is; of several, which are lines of text, each as a line over one connection."""
    to = ["-h", os.environ["SRV_IP"], "-p", str(MQTT_PORT), "-q", "1", "-k", "10", "-t", "file"]
    if len(stage.names) == 1:
        return stage.kit("mosquitto_pub", *to, "-f", f"{stage.folder}/out/{stage.names[0]}")
    lines = " ".join(f"{stage.folder}/out/{name}" for name in stage.names)
    return stage.kit("sh", "-c", f"for f in {lines}; do cat $f; echo; done | mosquitto_pub {' '.join(to)} -l")


def take(folder: Path, names: Sequence[str]) -> int:
    """Subscribe at the far end and write what arrives; what comes again after a failure is taken once."""
    time.sleep(0.5)
    subscribe = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(MQTT_PORT), "-q", "1", "-t", "file"]
    if len(names) == 1:
        took = subprocess.run([*subscribe, "-C", "1", "-N"], capture_output=True, check=False)
        (folder / names[0]).write_bytes(took.stdout)
    else:
        lines = subprocess.Popen(subscribe, stdout=subprocess.PIPE).stdout
        seen = dict.fromkeys(line.removesuffix(b"\n") for line, _ in zip(lines or (), names, strict=False))
        for name, line in zip(names, seen, strict=False):
            (folder / name).write_bytes(line)
    while True:
        time.sleep(60)


PEERS: Final = (
    Peer("curl", ("curl", "lighttpd"), _web_server, _curl),
    Peer("rsync", ("rsync", "ssh", "ssh-keygen"), _ssh_server, _rsync),
    Peer("uucp", ("uucico", "uucp", "socat", "setpriv"), _uucp_server, _uucico),
    Peer("mosquitto", ("mosquitto", "mosquitto_pub", "mosquitto_sub"), _broker, _publish),
)


def find(name: str) -> Peer:
    """Return the peer called `name`."""
    return next(peer for peer in PEERS if peer.name == name)


def race(peer: Peer, folder: Path, names: Sequence[str], timeout_s: float) -> float | None:
    """Send everything and return the seconds, None when it was not done in time."""
    stage = Stage(folder, names)
    (folder / "in").mkdir()
    with open(folder / "peer.log", "w") as log:
        servers = [subprocess.Popen(command, stdout=log, stderr=log) for command in peer.start(stage)]
        time.sleep(2.0)
        begun = time.monotonic()
        try:
            while not stage.is_done():
                left = timeout_s - (time.monotonic() - begun)
                if left <= 0:
                    return None
                _attempt(peer.attempt(stage), left, log.fileno())
                if not stage.is_done():
                    time.sleep(RETRY_S)
            return time.monotonic() - begun
        finally:
            for server in servers:
                server.terminate()


def _attempt(command: Sequence[str], left: float, log: int) -> None:
    try:
        subprocess.run(command, timeout=left, check=False, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return


if __name__ == "__main__":
    if sys.argv[1] == "--take":
        sys.exit(take(Path(sys.argv[2]), sys.argv[3:]))
