"""The shell around a caller or a host: sockets, the loop's clock, and nothing else.

It feeds frames and time to the synchronous object, wakes it at its deadline, and opens bearers. An error of our
own disk that comes out of the object ends the run: the node stops, is opened anew, and recovers.
"""

import asyncio
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from node.roads import Listening, calling, listening
from node.seams import Bearer
from node.url import Url
from wire.errors import LinkDown, UsageError

RECONNECT_S: Final = 1.0
STREAMS_MAX: Final = 512
TICK_S_MIN: Final = 0.001


async def ended(task: "asyncio.Future[None]") -> None:
    """Cancel it, and return when it is over. Raises what it raised. An end of the caller meanwhile goes through."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()


class Node(Protocol):
    """What a shell drives: a caller, a host, or what a node has put around one."""

    def bearer_up(self, bearer: Bearer, now: float) -> None: ...
    def bearer_down(self, bearer: Bearer, now: float) -> None: ...
    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None: ...
    def tick(self, now: float) -> None: ...
    def deadline(self) -> float | None: ...


class Shell:
    """Calls one synchronous node at the right times. `changed` is called after every step."""

    def __init__(self, node: Node, changed: Callable[[], None]) -> None:
        self._node, self._changed = node, changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.failed: asyncio.Future[None] = self._loop.create_future()

    def now(self) -> float:
        return self._loop.time()

    @property
    def works(self) -> bool:
        return not self.failed.done()

    def up(self, bearer: Bearer) -> None:
        self._step(lambda: self._node.bearer_up(bearer, self.now()))

    def down(self, bearer: Bearer) -> None:
        self._step(lambda: self._node.bearer_down(bearer, self.now()))

    def receive(self, bearer: Bearer, frame: bytes) -> None:
        self._step(lambda: self._node.receive(bearer, frame, self.now()))

    def tick(self) -> None:
        self._step(lambda: self._node.tick(self.now()))

    def stop(self) -> None:
        """Call the node no more."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.failed.done():
            self.failed.cancel()

    def _step(self, call: Callable[[], None]) -> None:
        if self.failed.done():
            return
        try:
            call()
            self._changed()
        except Exception as error:  # noqa: BLE001 - it is raised again by whoever runs the shell
            if not self.failed.done():
                self.failed.set_exception(error)
            return
        if self._timer is not None:
            self._timer.cancel()
        at = self._node.deadline()
        if at is not None:
            self._timer = self._loop.call_at(max(at, self.now() + TICK_S_MIN), self.tick)


class CallerShell(Shell):
    """Keeps a bearer to `url` open for a caller, for ever: a new one whenever the last one is gone."""

    def __init__(self, caller: Node, url: Url, changed: Callable[[], None]) -> None:
        super().__init__(caller, changed)
        self._url = url
        self.last_error = ""

    async def run(self) -> None:
        """Run until cancelled. Raises what the caller's own disk raises."""
        tending = asyncio.ensure_future(self._tend())
        try:
            await asyncio.wait({tending, self.failed}, return_when=asyncio.FIRST_COMPLETED)
            await (tending if tending.done() else self.failed)
        finally:
            try:
                await ended(tending)
            finally:
                self.stop()

    async def _tend(self) -> None:
        road = calling(self._url.scheme)
        while True:
            try:
                await road(self, self._url)
            except (OSError, TimeoutError, LinkDown) as error:
                self.note_error(error)
            await asyncio.sleep(RECONNECT_S)

    def note_error(self, error: Exception | str) -> None:
        """Keep what the system says, in its words and without addresses that the reader knows."""
        number = error.errno if isinstance(error, OSError) else None
        if isinstance(error, str | LinkDown):
            self.last_error = str(error)
        elif isinstance(error, socket.gaierror):
            self.last_error = f"{self._url.host}: {error.strerror}"
        else:
            self.last_error = os.strerror(number) if number else "no connection"


class HostShell(Shell):
    """Listens on every address for one host. `roads`: those that only this host's program has."""

    def __init__(
        self, host: Node, changed: Callable[[], None], roads: Mapping[str, Listening] = MappingProxyType({})
    ) -> None:
        super().__init__(host, changed)
        self._roads = roads
        self._closing: list[Callable[[], None]] = []
        self._bearers: OrderedDict[Bearer, None] = OrderedDict()
        """Those that came and went by `up` and `down`, the one silent for longest first."""

    def up(self, bearer: Bearer) -> None:
        """Take a bearer; beyond STREAMS_MAX the one silent for longest is given up: strangers may open many."""
        self._bearers[bearer] = None
        if len(self._bearers) > STREAMS_MAX:
            silent, _ = self._bearers.popitem(last=False)  # counted no more, whether or not it can be closed
            silent.close()
        super().up(bearer)

    def down(self, bearer: Bearer) -> None:
        self._bearers.pop(bearer, None)
        super().down(bearer)

    def receive(self, bearer: Bearer, frame: bytes) -> None:
        if bearer in self._bearers:
            self._bearers.move_to_end(bearer)
        super().receive(bearer, frame)

    async def listen(self, url: Url) -> Url:
        """Listen on `url` and return the address with the port that was given. Raises UsageError."""
        road = self._roads.get(url.scheme) or listening(url.scheme)
        try:
            there, close = await road(self, url)
        except (OSError, OverflowError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            raise UsageError(f"cannot listen on {url}: {reason}") from error
        self._closing.append(close)
        return there

    async def run(self) -> None:
        """Run until cancelled. Raises what the host's own disk raises."""
        try:
            await self.failed
        finally:
            for close in self._closing:
                close()
            self.stop()

    def note_error(self, error: Exception | str) -> None:
        """Keep nothing: what a listening end cannot do is said by the modem's own state."""


__all__ = ["CallerShell", "HostShell", "Node", "Shell"]
