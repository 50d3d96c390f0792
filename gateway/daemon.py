"""The station as a process: real sockets, the real disk, a log, a status file.

May call `gateway`, `node`. Ends with an error when the disk fails; whoever supervises it starts it again, and opening
the station recovers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from gateway.iridium_road import listen_sbd
from gateway.station import Station, Upstream
from node import daemon, entropy
from node.apart import Apart
from node.carried import CarryStatus
from node.carrying import Carrier
from node.clock import Clock
from node.dialling import call_each
from node.disk import RealDisk
from node.enrolment import GatewayEnrolment
from node.link import Event
from node.reactor import CallerShell, HostShell
from node.spool import State
from node.tracing import NO_TRACE, Trace
from node.url import CARRIED, parse_url
from wire.errors import DeviceError
from wire.noise import KeyPair

SLOT_S: Final = 0.5
NO_STICK: Final = "no stick that carries parcels is here; `feldsher kit stick init` makes one of any"

log = logging.getLogger("feldsher")


def open_station(
    enrolment: GatewayEnrolment,
    disk: RealDisk,
    on_event: Callable[[Event], None] = daemon.log_event,
    trace: Trace = NO_TRACE,
) -> Station:
    """Return the station whose data lie on `disk`; opening recovers."""
    upstream = Upstream(enrolment.server.public, enrolment.psk, enrolment.server_sign_public)
    return Station(KeyPair.from_secret(enrolment.link_secret), upstream, disk, entropy.system, on_event, trace=trace)


def status(station: Station, enrolment: GatewayEnrolment, now: float) -> dict[str, Any]:
    """Return what `gateway status` shows: both links, and how many objects are where."""
    number = station.depot.spool.counts()
    return {
        "name": enrolment.name,
        "roster_version": station.roster.version,
        "objects": {state.value: number[state] for state in State},
        "server": station.caller.progress(now).to_dict(),
        "sticks": [slot.status.to_dict() for slot in station.slots],
        "kits": {
            station.roster.name_of(peer): progress.to_dict() for peer, progress in station.host.progress(now).items()
        },
    }


async def run(enrolment: GatewayEnrolment, folder: Path, listen: Sequence[str], trace: Trace = NO_TRACE) -> None:
    """Run until a signal. Raises UsageError when an address is taken, DiskError when the disk fails."""
    station = open_station(enrolment, RealDisk(folder), trace=trace)
    shells: deque[CallerShell] = deque(maxlen=1)
    loop = asyncio.get_running_loop()

    def on_host() -> None:
        if station.crossed() and shells:
            shells[-1].tick()

    def on_caller() -> None:
        if station.crossed():
            host.tick()

    host = HostShell(station.kits, on_host, {"sbd": listen_sbd})

    async def call() -> None:
        while True:
            await call_each(station.server, lambda: station.caller, enrolment.server.urls, shells.append, on_caller)

    for url in map(parse_url, listen):
        if url.scheme == CARRIED:
            station.add_slot(str(url), partial(RealDisk, url.path))
            log.info("watching for sticks at %s", url.path)
        else:
            log.info("listening on %s", await host.listen(url))
    await daemon.run_until_signal(
        host.run(),
        call(),
        *(_tend_slot(station, slot, host, shells) for slot in station.slots),
        daemon.keep_flushed(trace),
        status=lambda: status(station, enrolment, loop.time()),
        folder=folder,
    )


async def _tend_slot(station: Station, slot: Carrier, host: HostShell, shells: Sequence[CallerShell]) -> None:
    """Take and give parcels. A stick that hangs holds up no session: calls to it are made apart."""
    loop, apart = asyncio.get_running_loop(), Apart("stick")
    while True:
        call = station.advance_slot(slot, loop.time())
        if station.crossed():
            for shell in (host, *shells):
                shell.tick()
        if call is not None:
            slot.settle(await apart.make(call))
        await asyncio.sleep(max(0.0, min(slot.deadline() - loop.time(), SLOT_S)))


def carry(enrolment: GatewayEnrolment, folder: Path, stick: Path, clock: Clock) -> tuple[CarryStatus, int]:
    """Do what there is to do on a stick, without a daemon. Return how it is now, and how many objects it brought."""
    with RealDisk(folder) as disk:
        told: list[Event] = []
        station = open_station(enrolment, disk, told.append)
        slot = station.add_slot(str(stick), partial(RealDisk, stick))
        while not slot.visits and not slot.status.trouble:
            station.tick_slots(clock.now())
    for event in told:
        daemon.log_event(event)
    if not slot.status.is_there:
        raise DeviceError(f"{stick}: {slot.status.trouble or NO_STICK}")
    return slot.status, sum(event.kind == "received" for event in told)
