"""What every daemon needs around its synchronous object: signals, a log, a status file, systemd's watchdog.

Owns nothing durable: `status.json` in the data folder is a view for `… status`, written often and never fsynced. A
daemon ends by SIGTERM or SIGINT in order, and by an error with the exit code of its class; systemd starts it again, and
opening the stores recovers.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from node.clock import SystemClock
from node.link import Event
from node.tracing import Trace

STATUS_FILE: Final = "status.json"
STATUS_S: Final = 1.0
FLUSH_S: Final = 1.0
END_S: Final = 8.0
ENDS: Final = 3
"""So often a work is told to end, END_S apart; systemd waits for 90 s."""
STATUS_SIZE_MAX: Final = 1 << 20
QUIET: Final = frozenset({"bearer", "silence"})
"""Events of a link that come all day long: in the log only when it is asked to say everything."""

log = logging.getLogger("feldsher")


def start_log(*, verbose: bool) -> None:
    """Write the log to standard error, where systemd's journal takes it."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(message)s", force=True
    )


def log_event(event: Event) -> None:
    """Write one event of a link to the log."""
    log.log(logging.DEBUG if event.kind in QUIET else logging.INFO, "%s: %s", event.kind, event.text)


def write_status(folder: Path, status: Mapping[str, Any]) -> None:
    """Replace the status file, or on a full disk its content; no fault may stop the daemon for a view of it."""
    beside, text = folder / f".{STATUS_FILE}.new", json.dumps(status)
    try:
        beside.write_text(text)
        beside.rename(folder / STATUS_FILE)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
            _write_over(folder / STATUS_FILE, text.encode())


def _write_over(path: Path, data: bytes) -> None:
    """Write into the file's own blocks, in one call; what is left of a longer text becomes blanks."""
    with path.open("r+b", buffering=0) as file:
        file.write(data.ljust(os.fstat(file.fileno()).st_size))


def read_status(folder: Path) -> dict[str, Any]:
    """Return what the daemon said last, and how long ago (`age_s`); {} when it never ran or nothing can be read."""
    try:
        with (folder / STATUS_FILE).open() as file:
            status = json.loads(file.read(STATUS_SIZE_MAX))
            written_s = os.fstat(file.fileno()).st_mtime
    except (OSError, ValueError):
        return {}
    age_s = max(0.0, SystemClock().time_ms() / 1000 - written_s)
    return status | {"age_s": round(age_s, 1)} if isinstance(status, dict) else {}


def tell_systemd(message: str) -> None:
    """Send `READY=1`, `WATCHDOG=1` and the like, when systemd has given a socket (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    name = "\0" + address[1:] if address.startswith("@") else address
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.setblocking(False)  # who does not read must not stop the kit
        notify.sendto(message.encode(), name)


async def run_until_signal(*works: Awaitable[None], status: Callable[[], Mapping[str, Any]], folder: Path) -> None:
    """Run all of `works` until one ends or raises, or SIGTERM or SIGINT comes; keep the status file meanwhile."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tasks = [asyncio.ensure_future(work) for work in (*works, stop.wait(), _keep_status(status, folder))]
    tell_systemd("READY=1")
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        tell_systemd("STOPPING=1")
        await _end(tasks)


async def _end(tasks: Iterable["asyncio.Future[Any]"]) -> None:
    """End them all. One that takes long is named, so that it can be mended, and told again; it holds up nobody."""
    left = set(tasks)
    for _ in range(ENDS):
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=END_S)
        for task in done:
            if not task.cancelled():
                task.exception()  # it was asked for: asyncio does not print it as one that nobody has seen
        if not left:
            return
        log.warning("does not end: %s", ", ".join(sorted(map(repr, left))))


async def keep_flushed(trace: Trace) -> None:
    """Let a trace be read while it grows; a crash costs it the last second."""
    while True:
        trace.flush()
        await asyncio.sleep(FLUSH_S)


async def _keep_status(status: Callable[[], Mapping[str, Any]], folder: Path) -> None:
    while True:
        write_status(folder, status())
        tell_systemd("WATCHDOG=1")
        await asyncio.sleep(STATUS_S)
