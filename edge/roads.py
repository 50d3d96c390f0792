"""The roads of a kit's ways on the real machine: asyncio tasks that keep bearers, and the shell that drives `Ways`.

`WaysShell` is to `edge.ways.Ways` what `node.reactor.Shell` is to a caller: it calls it at the right times. `UrlRoad`
runs the coroutine of a scheme (`node/roads.py`) while its way is open, again and again, and closes it by cancelling;
a modem then hangs up in its own time, and is not opened anew before it has. What a modem tells of itself comes by
`note_modem`. Nothing here survives but the note of a SIM's guard, one small file for each modem.

The network's time from a modem is logged when ours differs, and nothing is set by it: it comes from whoever runs the
cell. May call `node`, `edge`.
"""

import asyncio
import hashlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from edge.modem_power import PRESS_S, REST_S, KeyPower, modem_power
from edge.way import RoadStatus
from edge.ways import Ways
from node.clock import Clock
from node.modems.pin import Notes
from node.modems.seam import Ears, ModemState, ModemStatus, Power
from node.reactor import TICK_S_MIN
from node.roads import calling
from node.seams import Bearer
from node.url import Url
from wire.errors import LinkDown, UsageError

RECONNECT_S: Final = 1.0
KEY_MARGIN_S: Final = 0.1
DEFECT_S: Final = 60.0
"""After a defect of ours in a road, until it is tried again."""
TURNS_S: Final = 600.0
"""All addresses may be tried again after so long."""
THROUGH_MODEMS: Final = frozenset({"modem", "sbd", "serial"})
"""Schemes whose device tells how it stands; until it does, there is none that draws energy."""
CLOCK_DIFFERENCE_S: Final = 60.0
"""A network's time that differs from ours by more is told."""

log = logging.getLogger("feldsher")


class WaysShell:
    """Calls `Ways` at the right times. `changed` is called after every step."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._powers: dict[str, Power] = {}
        self.ways: Ways | None = None
        self.failed: asyncio.Future[None] = self._loop.create_future()

    def now(self) -> float:
        return self._loop.time()

    def modem_power(self, how: str) -> Power:
        """Return the power of the board's modem: the same for every start of a road, for it knows how things stand."""
        if how not in self._powers:
            self._powers[how] = modem_power(how, self._loop.call_later)
        return self._powers[how]

    async def powers_settled(self) -> None:
        """Return when every power key has been let go: after a press under way, and one that is owed."""
        keys = [power for power in self._powers.values() if isinstance(power, KeyPower)]
        for wait_s in (PRESS_S, REST_S + PRESS_S):
            if any(key.is_pressing for key in keys):
                await asyncio.sleep(wait_s + KEY_MARGIN_S)

    def tick(self) -> None:
        """Let time pass, and look what is new."""
        ways = self.ways
        if ways is not None:
            self.step(lambda: ways.tick(self.now()))

    def step(self, call: Callable[[], None]) -> None:
        """Make one call on the ways, and ask to be called again in time."""
        if self.ways is None or self.failed.done():
            return
        try:
            call()
            self._changed()
        except Exception as error:  # noqa: BLE001 - it is raised again by `run`
            if not self.failed.done():
                self.failed.set_exception(error)
            return
        if self._timer is not None:
            self._timer.cancel()
        at = self.ways.deadline()
        if at is not None:
            self._timer = self._loop.call_at(max(at, self.now() + TICK_S_MIN), self.tick)

    async def run(self) -> None:
        """Run until cancelled. Raises what is a defect of ours."""
        self.tick()
        try:
            await self.failed
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self.ways is not None:
                self.ways.stop(self.now())


class RoadShell:
    """What a road's coroutine sees (`node.roads.Shell`, `node.modems.modem_road.Keeper`); deaf once it is closed."""

    def __init__(self, road: "UrlRoad", shell: WaysShell, ears: Ears) -> None:
        self._road, self._shell, self._ears = road, shell, ears
        self.is_deaf = False

    def now(self) -> float:
        return self._shell.now()

    @property
    def works(self) -> bool:
        return not self._shell.failed.done()

    def up(self, bearer: Bearer) -> None:
        self.note_error("")
        self._call(lambda: self._ears.bearer_up(bearer, self.now()))

    def down(self, bearer: Bearer) -> None:
        self._call(lambda: self._ears.bearer_down(bearer, self.now()))

    def receive(self, bearer: Bearer, frame: bytes) -> None:
        self._call(lambda: self._ears.receive(bearer, frame, self.now()))

    def tick(self) -> None:
        self._call(lambda: self._ears.tick(self.now()))

    def note_error(self, error: Exception | str) -> None:
        if not self.is_deaf:
            self._road.trouble = told(error, self._road.url)

    def note_modem(self, status: ModemStatus) -> None:
        if not self.is_deaf:
            self._road.note_modem(status)

    def modem_power(self, how: str) -> Power:
        return self._shell.modem_power(how)

    def pin_notes(self, device: str) -> Notes:
        name = hashlib.blake2b(device.encode(), digest_size=8).hexdigest()
        from node.modems.modem_road import FileNotes  # most kits have no SIM that asks for one

        return FileNotes(self._road.folder / f"sim-{name}.note")

    def _call(self, call: Callable[[], None]) -> None:
        if not self.is_deaf:
            self._shell.step(call)


class UrlRoad:
    """The seam `edge.way.Road` over addresses of one way, tried in turn."""

    def __init__(self, shell: WaysShell, ears: Ears, urls: Sequence[Url], folder: Path, clock: Clock) -> None:
        self._shell, self._ears, self._urls, self.folder, self._clock = shell, ears, urls, folder, clock
        self._at, self._turns, self._turned_at = 0, 0, float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._run: RoadShell | None = None
        self._modem: ModemStatus | None = None
        self.trouble = ""

    @property
    def url(self) -> Url:
        """The address that is tried now."""
        return self._urls[self._at]

    @property
    def is_open(self) -> bool:
        return self._run is not None

    def open(self) -> None:
        self.trouble = ""
        self._run = RoadShell(self, self._shell, self._ears)
        self._task = asyncio.ensure_future(self._keep(self._run, self._task))

    def close(self) -> None:
        if self._run is not None and self._task is not None:
            self._run.is_deaf = True
            self._run = None
            self._task.cancel()
        self._modem = None

    def turn(self) -> bool:
        now = self._shell.now()
        self._turns = 0 if now - self._turned_at > TURNS_S else self._turns
        if self._turns + 1 >= len(self._urls):
            return False
        self._turns, self._turned_at = self._turns + 1, now
        self._at = (self._at + 1) % len(self._urls)
        self.restart()
        return True

    def restart(self) -> None:
        """Give up the bearer, if there is one, and make another: what lies below has changed."""
        before = self._task
        if self._run is not None and before is not None:
            self._task = asyncio.ensure_future(self._keep(self._run, before))
            before.cancel()

    async def closed(self) -> None:
        """Return when nothing is open any more: a modem has hung up."""
        if self._task is not None:
            await asyncio.wait({self._task})

    def status(self) -> RoadStatus:
        modem = self._modem
        if modem is None:
            return RoadStatus(text=self.trouble, is_drawing=self.url.scheme not in THROUGH_MODEMS)
        return RoadStatus(
            needs_person=modem.state is ModemState.LOCKED,
            text=self.trouble or modem.trouble or modem.state.value,
            is_drawing=modem.state is not ModemState.OFF,
            model=modem.model,
            operator=modem.operator,
            signal_dbm=modem.signal_dbm,
            is_roaming=modem.is_roaming,
            network_time_ms=modem.network_time_ms,
        )

    def note_modem(self, status: ModemStatus) -> None:
        """Keep how the modem stands; its network's time is told once."""
        known = self._modem.network_time_ms if self._modem is not None else None
        self._modem = status
        if status.network_time_ms is None or known is not None:
            return
        ahead_s = (status.network_time_ms - self._clock.time_ms()) / 1000
        if abs(ahead_s) > CLOCK_DIFFERENCE_S:
            log.warning("clock: the network of %s is %+.0f s from our time; nothing was set", self.url.path, ahead_s)

    async def _keep(self, run: RoadShell, before: "asyncio.Task[None] | None") -> None:
        """Call the road again and again, when what was open before has been closed.

        A modem may say what our code for it never met: that costs its way, and no study that is being taken.
        """
        if before is not None:
            try:
                await asyncio.wait({before})
            finally:
                await asyncio.wait({before})  # told to go, it still stands before who comes next
        while not run.is_deaf:
            wait_s = RECONNECT_S
            try:
                await calling(self.url.scheme)(run, self.url)
            except (OSError, TimeoutError, LinkDown, UsageError) as error:
                run.note_error(error)
            except Exception as error:
                log.exception("%s", self.url)
                run.note_error(f"a defect of this program ({type(error).__name__}); its log tells more")
                wait_s = DEFECT_S
            await asyncio.sleep(wait_s)


def told(error: Exception | str, url: Url) -> str:
    """Return what went wrong in the system's words, without addresses that the reader knows."""
    if isinstance(error, str):
        return error
    if isinstance(error, socket.gaierror):
        return f"{url.host}: {error.strerror}"
    if isinstance(error, OSError) and not isinstance(error, TimeoutError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or "no connection"
