"""The station as a process: real sockets, the real disk, a log, a status file.

May call `gateway`, `node`. Ends with an error when the disk fails; whoever supervises it starts it again, and opening
the station recovers.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.station import Station, Upstream
from node import daemon, entropy
from node.dialling import call_each
from node.disk import RealDisk
from node.enrolment import GatewayEnrolment
from node.reactor import CallerShell, HostShell
from node.spool import State
from node.url import parse_url
from wire.noise import KeyPair

log = logging.getLogger("feldsher")


def open_station(enrolment: GatewayEnrolment, disk: RealDisk) -> Station:
    """Return the station whose data lie on `disk`; opening recovers."""
    upstream = Upstream(enrolment.server.public, enrolment.psk, enrolment.server_sign_public)
    return Station(KeyPair.from_secret(enrolment.link_secret), upstream, disk, entropy.system, daemon.log_event)


def status(station: Station, enrolment: GatewayEnrolment, now: float) -> dict[str, Any]:
    """Return what `gateway status` shows: both links, and how many objects are where."""
    number = station.depot.spool.counts()
    return {
        "name": enrolment.name,
        "roster_version": station.roster.version,
        "objects": {state.value: number[state] for state in State},
        "server": station.caller.progress(now).to_dict(),
        "kits": {
            station.roster.name_of(peer): progress.to_dict() for peer, progress in station.host.progress(now).items()
        },
    }


async def run(enrolment: GatewayEnrolment, folder: Path, listen: Sequence[str]) -> None:
    """Run until a signal. Raises UsageError when an address is taken, DiskError when the disk fails."""
    station = open_station(enrolment, RealDisk(folder))
    shells: deque[CallerShell] = deque(maxlen=1)
    loop = asyncio.get_running_loop()

    def on_host() -> None:
        if station.crossed() and shells:
            shells[-1].tick()

    def on_caller() -> None:
        if station.crossed():
            host.tick()

    host = HostShell(station.kits, on_host)

    async def call() -> None:
        while True:
            await call_each(station.server, lambda: station.caller, enrolment.server.urls, shells.append, on_caller)

    for url in listen:
        log.info("listening on %s", await host.listen(parse_url(url)))
    await daemon.run_until_signal(
        host.run(), call(), status=lambda: status(station, enrolment, loop.time()), folder=folder
    )
