"""A way over a network interface that somebody else keeps: ModemManager, pppd, the system's own network.

The call is theirs. We watch whether the interface is up and which addresses it has (the kernel tells by netlink when to
look; a look every POLL_S is the fallback), bind our sockets to it, and begin a new bearer when an address changes. With
`up` and `down` commands of the configuration they are asked to make the call and to end it. The commands run without a
shell, with a time limit, one at a time; what they say is shown without the secrets that stood in them.

Linux only: /sys/class/net, /proc/net/if_inet6, SIOCGIFADDR (netdevice(7)), rtnetlink(7). Nothing survives.
"""

import asyncio
import contextlib
import fcntl
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.roads import UrlRoad
from edge.way import RoadStatus

POLL_S: Final = 5.0
COMMAND_S_MAX: Final = 90.0
"""`mmcli --simple-connect` waits for the network by itself, half a minute and more."""
KILL_S: Final = 2.0
SAID_SIZE_MAX: Final = 200
HEARD_SIZE_MAX: Final = 4096
"""Of what a command says, the end; secrets are looked for in it before it is cut to what is shown."""
PIPE_SIZE: Final = 1 << 16
"""What waits in a pipe at most."""
SIOCGIFADDR: Final = 0x8915
RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR = 0x1, 0x10, 0x100
NETLINK_READ_SIZE: Final = 65536
SYSTEM: Final = Path("/sys/class/net")
INET6: Final = Path("/proc/net/if_inet6")


def addresses_of(name: str) -> frozenset[str]:
    """Return the addresses of an interface that is up, but link-local ones; none when it is down or missing."""
    try:
        state = (SYSTEM / name / "operstate").read_text().strip()
    except OSError:
        return frozenset()
    if state not in {"up", "unknown"}:  # a point-to-point interface does not know
        return frozenset()
    found = _inet(name) | _inet6(name)
    return frozenset(text for text in found if not ipaddress.ip_address(text).is_link_local)


def _inet(name: str) -> frozenset[str]:
    request = struct.pack("256s", name.encode()[:15])
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return frozenset({socket.inet_ntoa(fcntl.ioctl(probe.fileno(), SIOCGIFADDR, request)[20:24])})
    return frozenset()


def _inet6(name: str) -> frozenset[str]:
    try:
        lines = INET6.read_text().splitlines()
    except OSError:
        return frozenset()
    rows = [line.split() for line in lines]
    return frozenset(str(ipaddress.IPv6Address(bytes.fromhex(row[0]))) for row in rows if row[-1] == name)


class InterfaceRoad:
    """The seam `edge.way.Road` over one interface; `road` has addresses that are bound to it."""

    def __init__(
        self, road: UrlRoad, name: str, up: Sequence[str], down: Sequence[str], secrets: Sequence[str]
    ) -> None:
        self._road, self.name, self._up, self._down = road, name, tuple(up), tuple(down)
        self._secrets = tuple(secrets)
        self._addresses = addresses_of(name)
        self._commands: asyncio.Task[None] | None = None
        self._trouble = ""

    def open(self) -> None:
        self._road.open()
        if self._up and not self._addresses:
            self._ask(self._up)

    def close(self) -> None:
        self._road.close()
        if self._down:
            self._ask(self._down)

    def turn(self) -> bool:
        return self._road.turn()

    def status(self) -> RoadStatus:
        is_there = bool(self._addresses) or bool(self._up)
        text = self._trouble or ("" if self._addresses else f"{self.name} is down")
        below = self._road.status()
        return replace(below, is_there=is_there, text=text or below.text)

    def look(self) -> None:
        """See whether the interface has changed; with another address begins another bearer."""
        addresses = addresses_of(self.name)
        if addresses != self._addresses:
            self._addresses = addresses
            self._trouble = "" if addresses else self._trouble
            self._road.restart()

    async def closed(self) -> None:
        """Return when nothing is open any more and the last command has ended."""
        await self._road.closed()
        if self._commands is not None:
            await asyncio.wait({self._commands})

    def _ask(self, words: Sequence[str]) -> None:
        self._commands = asyncio.ensure_future(self._run(words, self._commands))

    async def _run(self, words: Sequence[str], before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait({before})
        self._trouble = await run_command(words, secrets=self._secrets)


async def run_command(words: Sequence[str], seconds_max: float = COMMAND_S_MAX, secrets: Sequence[str] = ()) -> str:
    """Run a command; return what went wrong in one line without the secrets, "" when nothing did.

    It is done when it has ended, whatever it leaves running: pppd, for example, goes on in the background.
    """
    heard = _LastWords()
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=heard.pipe
        )
        try:
            async with asyncio.timeout(seconds_max):
                await process.wait()
        finally:
            await _end(process)
    except TimeoutError:
        return f"{words[0]}: not done within {seconds_max:.0f} s"
    except OSError as error:
        return f"{words[0]}: {error.strerror}"
    finally:
        said = heard.end()
    if process.returncode == 0:
        return ""
    last = said.decode(errors="replace").strip().rpartition("\n")[2]
    for secret in filter(None, secrets):
        last = last.replace(secret, "…")
    return f"{words[0]} failed ({process.returncode}): {last}"[:SAID_SIZE_MAX]


class _LastWords:
    """The end of what a command says. A pipe of our own, for what the command leaves running may hold it open."""

    def __init__(self) -> None:
        self._from, self.pipe = os.pipe()
        os.set_blocking(self._from, False)
        self._last = b""
        asyncio.get_running_loop().add_reader(self._from, self._hear)

    def _hear(self) -> None:
        try:
            data = os.read(self._from, PIPE_SIZE)
        except BlockingIOError:
            return
        self._last = (self._last + data)[-HEARD_SIZE_MAX:]
        if not data:
            asyncio.get_running_loop().remove_reader(self._from)

    def end(self) -> bytes:
        """Return it, and hear no more."""
        os.close(self.pipe)
        self._hear()
        asyncio.get_running_loop().remove_reader(self._from)
        os.close(self._from)
        return self._last


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(KILL_S):
            await process.wait()


async def watch(roads: Sequence[InterfaceRoad]) -> None:
    """Look at every interface whenever the kernel says that one has changed. Runs until cancelled."""
    changed = asyncio.Event()
    with _kernel_news(changed):
        while True:
            for road in roads:
                road.look()
            changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await changed.wait()


@contextlib.contextmanager
def _kernel_news(changed: asyncio.Event) -> Iterator[None]:
    """Set `changed` when the kernel tells of an interface; where a sandbox keeps netlink from us, never."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            family, kind = socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK
            kernel = stack.enter_context(socket.socket(family, kind, socket.NETLINK_ROUTE))
            kernel.bind((0, RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR))
            loop = asyncio.get_running_loop()
            loop.add_reader(kernel.fileno(), _drain, kernel, changed)
            stack.callback(loop.remove_reader, kernel.fileno())
        yield


def _drain(kernel: socket.socket, changed: asyncio.Event) -> None:
    """Forget what the kernel says: that it says something is enough. A full queue (ENOBUFS) is a change, too."""
    with contextlib.suppress(OSError):
        while kernel.recv(NETLINK_READ_SIZE):
            continue
    changed.set()
