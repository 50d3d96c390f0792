"""The kit as a process: real ports, real sockets, the real card, a log, a status file, the watchdog.

May call `edge`, `node`. One loop does everything but read the ports: each has a thread that only fills its queue, so a
card that stalls for seconds loses no byte. When the card fails, the stores are opened anew a few times; when that does
not help, the process ends with an error and systemd starts it again, and at last the watchdog the whole kit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from operator import itemgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from tinydb.table import Document

from edge import registry
from edge.catalog import Catalog
from edge.config import AUTO, KitConfig, Port
from edge.driver import Line
from edge.inboxes import Inboxes
from edge.kit import Kit
from edge.linking import Linking
from edge.machine_clock import machine_clock
from edge.panel import REFRESH_S, DarkLamps, GpioLamps, Lamps, rhythms
from edge.ports import Appeared, Counted, Dropped, Heard, Item, PortOwner, Tuned, Vanished
from edge.study_progress import StudyProgress
from hardware.leds import meaning
from node import daemon, entropy
from node.clock import SystemClock
from node.dialling import call_each
from node.disk import RealDisk
from node.enrolment import KitEnrolment
from node.reactor import CallerShell
from node.spool import State
from node.tracing import NO_TRACE, Trace
from wire.errors import DiskError, DiskFull

REOPEN_S: Final = 5.0
HOUSE_S: Final = 1.0
"""How often what `kit import` has made is looked for."""
LIST_S: Final = 2.0
"""How often the catalog is brought in step."""
LISTED_COUNT: Final = 10
REOPENS_MAX: Final = 3
"""Tries to go on with a failing card before the process gives up."""
QUIET_S: Final = 3600.0
"""A card that has worked for so long since it failed has all its tries again."""
LOUD: Final = {
    "alarm": logging.WARNING,
    "fault": logging.WARNING,
    "refused": logging.WARNING,
    "denied": logging.WARNING,
    "disk-failed": logging.ERROR,
    "committed": logging.DEBUG,
    "bearer": logging.DEBUG,
}

log = logging.getLogger("feldsher")


def note(kind: str, text: str) -> None:
    """Write one event to the log."""
    log.log(LOUD.get(kind, logging.INFO), "%s: %s", kind, text)


def lamps() -> Lamps:
    """Return the LEDs of this machine; a kit on a desk has none."""
    try:
        return GpioLamps()
    except (ImportError, RuntimeError, OSError):
        log.info("no GPIO here: the panel is dark; `feldsher kit status` shows it")
        return DarkLamps()


def line_of(port: Port) -> Line:
    """Return the settings that a port's line begins with: the configuration's, or else the driver's first."""
    if not port.baud or port.baud == AUTO:
        return registry.find(port.driver).FACTS.lines[0]
    return Line(port.baud, port.data_bits, port.parity, port.stop_bits)


class Daemon:
    """The loop around one `Kit`."""

    def __init__(
        self,
        config: KitConfig,
        enrolment: KitEnrolment,
        folder: Path,
        secrets: Mapping[str, str] = MappingProxyType({}),
        trace: Trace = NO_TRACE,
    ) -> None:
        self._folder = folder
        self._loop = asyncio.get_running_loop()
        self._clock = SystemClock()
        self._disk = RealDisk(folder)
        self.kit = Kit(config, enrolment, self._disk, self._clock, entropy.system, lamps(), note, trace, machine_clock)
        self._catalog = Catalog(self._disk, self._clock, entropy.system)
        self._listed: list[dict[str, Any]] = []
        self._studies = StudyProgress()
        for recovered in self.kit.recovered.studies:
            log.warning("recovered: %s", recovered)
        self._ports = {port.name: self._own(port) for port in config.port}
        self._timer: asyncio.TimerHandle | None = None
        self._told = float("-inf")
        """The time up to which the kit knows what its devices said."""
        self._failed: asyncio.Future[None] = self._loop.create_future()
        self._reopens, self._reopened_at = 0, float("-inf")
        self._reopening: asyncio.TimerHandle | None = None
        self._shells: deque[CallerShell] = deque(maxlen=1)
        self._inboxes = Inboxes(self.kit, config.inbox, folder, self._disk, self._clock, self._follow)
        self._linking = (
            Linking(self.kit, secrets, folder, self._disk, self._clock, self._plan_reopen) if config.way else None
        )

    async def run(self) -> None:
        """Run until a signal. Raises DiskError when the card stays broken."""
        for owner in self._ports.values():
            owner.start()
        self._step()
        try:
            await daemon.run_until_signal(
                self._linking.run() if self._linking else self._call(),
                self._fail(),
                self._blink(),
                self._list(),
                self._keep_house(),
                self._inboxes.run(),
                daemon.keep_flushed(self.kit.trace),
                status=self.status,
                folder=self._folder,
            )
        finally:
            for owner in self._ports.values():
                owner.stop()
            self.kit.stop(self._clock.now())

    def status(self) -> Mapping[str, Any]:
        """Return what `kit status` shows."""
        kit, now, number = self.kit, self._clock.now(), self.kit.spool.counts()
        link = kit.caller.progress(now)
        ways = self._linking.way_of() if self._linking else {}
        return {
            "name": kit.enrolment.name,
            "leds": {led: [rhythm, meaning(led, rhythm)] for led, rhythm in rhythms(kit.panel.condition).items()},
            "label_scanned": kit.capture.patient(now) is not None,
            "ports": {name: owner.is_present for name, owner in self._ports.items()},
            "devices": kit.ports.status(now),
            "clock": kit.timekeeping.status(),
            "worklist": [[day.day, len(day.orders)] for day in kit.worklist.days()],
            "capturing": kit.capture.capturing,
            "objects": {state.value: number[state] for state in State},
            "inboxes": self._inboxes.status(),
            "studies": self._studies.describe(kit.spool, self._listed, link.sending, link.rate_bps, ways),
            "gateway": kit.gateway.name,
            "denied": kit.denied,
            "disk_failed": kit.disk_failed,
            "link": link.to_dict(),
            "links": self._linking.status() if self._linking else None,
        }

    def _own(self, port: Port) -> PortOwner:
        wake = _quiet(lambda: self._loop.call_soon_threadsafe(self._step))
        line = self.kit.ports.line(port.name) or line_of(port)
        return PortOwner(port.name, port.path, line, self._clock, wake)

    async def _call(self) -> None:
        """Call one gateway after the other, each for as long as it answers."""
        only = len(self.kit.enrolment.gateways) == 1
        while True:
            await call_each(
                self.kit.link,
                lambda: self.kit.caller,
                self.kit.gateway.urls,
                self._shells.append,
                self._plan_reopen,
                only=only,
            )
            log.warning("gateway %s is silent: calling %s", self.kit.gateway.name, self.kit.next_gateway().name)

    async def _fail(self) -> None:
        await self._failed

    async def _blink(self) -> None:
        while True:
            self.kit.panel.refresh(self._clock.now())
            await asyncio.sleep(REFRESH_S)

    async def _list(self) -> None:
        """Keep the catalog in step with the folders. It proves nothing, so a failing card ends only the listing."""
        try:
            while True:
                if self._catalog.refresh(self.kit.spool, self.kit.studies.journals) or not self._listed:
                    self._listed = [
                        {
                            "number": study.doc_id,
                            "study": study["study"],
                            "size": study["size"],
                            "state": study["state"],
                        }
                        for study in self._to_list()
                    ]
                await asyncio.sleep(LIST_S)
        except (DiskError, DiskFull) as error:
            log.warning("the catalog is not kept any more until the next start: %s", error)
        await self._failed

    def _to_list(self) -> list[Document]:
        """Return the newest studies, and the oldest of those that wait: they go first."""
        found = [*self._catalog.studies(State.WAITING)[:LISTED_COUNT], *self._catalog.studies()[-LISTED_COUNT:]]
        return sorted({study.doc_id: study for study in found}.values(), key=lambda study: study.doc_id)

    async def _keep_house(self) -> None:
        """Erase what is over, and take up what somebody has brought."""
        while True:
            self.kit.expire_worklist(self._clock.now())
            self.kit.take_imports(self._clock.now())
            self._follow()
            await asyncio.sleep(HOUSE_S)

    def _step(self) -> None:
        """Take what the ports have, let time pass, and ask to be called again in time."""
        if self._failed.done():
            return
        now = self._clock.now()
        came = [(item.now, name, item) for name, owner in self._ports.items() for item in owner.take()]
        try:
            for at, name, item in sorted(came, key=itemgetter(0)):
                self._told = max(self._told, at)
                self._take(name, self._ports[name], item)
            # Not later: while the card stalls devices speak on, and what waits to be taken is no silence.
            self._told = max(self._told, now)
            for name, data in self.kit.tick(self._told).items():
                self._ports[name].write(data)
            self._retune()
            self._follow()
            self._arm()
        except Exception as error:  # noqa: BLE001  a kit that does not know what it does ends, and recovers when started
            if not self._failed.done():
                self._failed.set_exception(error)

    def _follow(self) -> None:
        """After capture or an import: the link may have something to send, or the card may have failed."""
        if self.kit.crossed():
            self._tick_link()
        self._plan_reopen()

    def _tick_link(self) -> None:
        if self._linking is not None:
            self._linking.tick()
        elif self._shells:
            self._shells[-1].tick()

    def _take(self, name: str, owner: PortOwner, item: Item) -> None:
        now = self._told
        match item:
            case Heard(data, heard_at):
                owner.write(self.kit.heard(name, data, now), heard_at)
            case Appeared(device):
                log.info("port %s: open (%s)", name, device)
                self.kit.present(name, device)
            case Vanished(reason):
                log.warning("port %s: %s", name, reason)
                self.kit.lost(name, now, reason)
            case Dropped(bytes_count):
                self.kit.dropped(name, bytes_count, now)
            case Counted(errors):
                self.kit.counted(name, errors, now)
            case Tuned(line):
                log.debug("port %s: set to %s", name, line)
                self.kit.ports.tuned(name)

    def _retune(self) -> None:
        for name, line in self.kit.ports.take_retunes():
            self._ports[name].retune(line)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        at = self.kit.deadline()
        self._timer = None if at is None else self._loop.call_at(at, self._step)

    def _plan_reopen(self) -> None:
        """When the card has failed, under the devices or under the link: try again in a while."""
        if self.kit.disk_failed and self._reopening is None:
            self._reopening = self._loop.call_later(REOPEN_S, self._reopen)

    def _reopen(self) -> None:
        self._reopening = None
        if self._failed.done():
            return
        now = self._clock.now()
        self._reopens = 1 if now - self._reopened_at > QUIET_S else self._reopens + 1
        self._reopened_at = now
        if self._reopens > REOPENS_MAX:
            self._failed.set_exception(DiskError(f"{self._folder}: the card has failed {self._reopens} times"))
            return
        try:
            self.kit.reopen()
        except DiskError as error:
            log.error("the card still fails: %s", error)  # noqa: TRY400 - the text says all
            self._plan_reopen()
        else:
            log.warning("the stores were opened anew after the card failed")
            if self._linking is not None:
                self._linking.reopen()
            self._step()


def _quiet(wake: Callable[[], object]) -> Callable[[], None]:
    """Return `wake` for a thread that may outlive the loop by a moment."""

    def call() -> None:
        try:
            wake()
        except RuntimeError:
            return

    return call


async def run(
    config: KitConfig,
    enrolment: KitEnrolment,
    folder: Path,
    secrets: Mapping[str, str] = MappingProxyType({}),
    trace: Trace = NO_TRACE,
) -> None:
    """Run a kit until a signal. `secrets`: those of its ways."""
    await Daemon(config, enrolment, folder, secrets, trace).run()
