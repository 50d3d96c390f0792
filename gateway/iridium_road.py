"""The road of `sbd://` on a gateway: a port for Iridium's ground station, and a client that hands it messages.

    sbd://0.0.0.0:10800?mt=directip.example.net:10800&allow=192.0.2.0/24,198.51.100.7

`mt` is where messages for modems are handed over; without it kits are heard and get no answer. `allow` names who may
connect, `confirm=no` is for accounts that ask for no confirmation. Owns the sockets; the rest is `gateway/iridium.py`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from gateway.door import FIRST_BYTES_S, Complaints, Door, Guest
from gateway.iridium import CONNECTION_S_MAX, Inlet, Iridium, Outbound, Outlet
from node.roads import Shell
from node.seams import Bearer
from node.url import Url, is_host
from wire.directip import MtMessage
from wire.errors import FormatError, UsageError

READ_SIZE: Final = 4096
OPTIONS: Final = frozenset({"mt", "allow", "confirm"})
IDLE_S: Final = 3600.0

log = logging.getLogger("feldsher")


async def listen_sbd(shell: Shell, url: Url) -> tuple[Url, Callable[[], None]]:
    """Listen for the ground station, and serve it messages, until closed. Raises OSError, UsageError."""
    unknown = set(url.options) - OPTIONS
    if unknown or not url.host:
        raise UsageError(f"{url}: want sbd://HOST:PORT with options of {', '.join(sorted(OPTIONS))}")
    road = _Road(shell, url)
    server = await asyncio.start_server(road.serve, url.host, url.port, limit=READ_SIZE)
    sending = asyncio.ensure_future(road.send_all())
    sending.add_done_callback(_raise_fault)

    def close() -> None:
        server.close()
        sending.cancel()
        road.close()

    return Url("sbd", url.host, server.sockets[0].getsockname()[1], "", url.options), close


class _Road:
    """One listening port and one client."""

    def __init__(self, shell: Shell, url: Url) -> None:
        self._shell = shell
        self._news = asyncio.Event()
        self._target = target_of(url)
        self._confirms = _flag(url, "confirm", usually=True)
        allowed = [text for text in url.options.get("allow", "").split(",") if text]
        if self._target and not allowed:
            log.warning("%s: without allow= anybody who reaches this port can have messages sent on the account", url)
        self._door, self._complaints = Door(is_guarded=bool(allowed)), Complaints("DirectIP")
        self.iridium = Iridium(self._receive, Outbound(self._news.set, shell.tick), allowed)

    def _receive(self, bearer: Bearer, frame: bytes) -> bool:
        self._shell.receive(bearer, frame)
        return self._shell.works

    def close(self) -> None:
        self._door.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hear one connection to its end."""
        now = asyncio.get_running_loop().time()
        peer = writer.get_extra_info("peername")
        address = peer[0] if peer else ""
        leave = writer.transport.abort
        guest = self._door.enter(address, now, leave) if self.iridium.lets_in(address) else None
        if guest is None:
            writer.close()
            return
        try:
            await self._hear(guest, Inlet(self.iridium, confirms=self._confirms), reader, writer)
        except (FormatError, OSError) as error:  # a message that stops in the middle is a TimeoutError
            self._complaints.note(address, error, asyncio.get_running_loop().time())
        finally:
            self._door.left(guest)
            writer.close()

    async def _hear(
        self, guest: Guest, inlet: Inlet, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer what comes. Raises TimeoutError when a message stops in the middle, FormatError, OSError."""
        try:
            async with asyncio.timeout(CONNECTION_S_MAX):
                data = await self._first(reader)
                guest.is_silent = False
                while data:
                    answer = inlet.feed(data)
                    if answer:
                        writer.write(answer)
                        await writer.drain()
                    data = await reader.read(READ_SIZE)
        except TimeoutError:
            if not inlet.is_between:
                raise TimeoutError("a message stops in the middle") from None

    async def _first(self, reader: asyncio.StreamReader) -> bytes:
        """Return the first bytes; none when the far side says nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_BYTES_S):
                return await reader.read(READ_SIZE)
        return b""

    async def send_all(self) -> None:
        """Hand over what waits, one message at a time, for ever."""
        outbound, loop = self.iridium.outbound, asyncio.get_running_loop()
        while True:
            self._news.clear()
            message = outbound.next(loop.time()) if self._target else None
            if message is not None:
                await self._send(message)
                continue
            due = outbound.deadline() if self._target else None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S if due is None else max(due - loop.time(), 0.0)):
                    await self._news.wait()

    async def _send(self, message: MtMessage) -> None:
        outlet, loop = Outlet(self.iridium.outbound, message), asyncio.get_running_loop()
        reason = "the ground station closed the connection without an answer"
        try:
            async with asyncio.timeout(CONNECTION_S_MAX):
                await self._exchange(outlet)
        except TimeoutError:
            reason = f"the ground station did not answer in {CONNECTION_S_MAX:.0f} s"
        except OSError as error:
            reason = f"the ground station cannot be reached: {error.strerror or error}"
        outlet.ended(reason, loop.time())

    async def _exchange(self, outlet: Outlet) -> None:
        assert self._target is not None  # noqa: S101 - asked before
        reader, writer = await asyncio.open_connection(*self._target, limit=READ_SIZE)
        try:
            writer.write(outlet.hello)
            await writer.drain()
            while not outlet.is_over and (data := await reader.read(READ_SIZE)):
                outlet.feed(data, asyncio.get_running_loop().time())
        finally:
            writer.close()


def target_of(url: Url) -> tuple[str, int] | None:
    """Return where messages for modems are handed over, None when they are not. Raises UsageError."""
    text = url.options.get("mt", "")
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if (
        not colon
        or not host
        or not is_host(host.strip("[]"))
        or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536)
    ):
        raise UsageError(f"{url}: mt={text}: want HOST:PORT")
    return host.strip("[]"), int(port)


def _flag(url: Url, name: str, *, usually: bool) -> bool:
    text = url.options.get(name, "yes" if usually else "no")
    if text not in ("yes", "no"):
        raise UsageError(f"{url}: {name}={text}: want yes or no")
    return text == "yes"


def _raise_fault(sending: "asyncio.Future[None]") -> None:
    """Let a defect be seen: nobody waits for this task."""
    if not sending.cancelled():
        sending.result()


__all__ = ["listen_sbd", "target_of"]
