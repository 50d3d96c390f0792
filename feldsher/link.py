"""`feldsher link keys|serve|send|trace`: files between any two machines over a link that breaks.

Thin: the keys are in `node/linkkeys.py`, the files in `node/filebox.py`, everything else in the link itself. Sending is
in `feldsher/link_send.py`, the trace in `feldsher/link_trace.py`.
"""

import argparse
import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feldsher import link_send, link_trace
from feldsher.tracing import add_options, tracing
from node import linkkeys
from node.apart import Apart
from node.carrying import Carrier
from node.daemon import keep_flushed
from node.disk import RealDisk
from node.entropy import system
from node.filebox import FileInbox
from node.idle import NothingToSend
from node.link import Event, Grant, Host
from node.reactor import HostShell
from node.tracing import Trace
from node.url import CARRIED, Url, parse_url
from wire.bundle import FileMeta
from wire.errors import UsageError

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

LISTEN_HELP: Final = "udp://ADDR:PORT, tcp://ADDR:PORT, serial:///dev/…, dir:///folder"
TO_HELP: Final = (
    "udp://HOST:PORT, tcp://HOST:PORT, serial:///dev/…, modem:///dev/…, dir:///folder, or auto: what has"
    " worked before, then a stick; may be given more than once"
)
STICK_POLL_S: Final = 0.25


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(dest="link_command", metavar="COMMAND", required=True)
    keys = _add(commands, "keys", "make the keys of both ends", "feldsher link keys KEYS")
    keys.add_argument("folder", type=Path, metavar="DIR", help="a folder to make; copy it to both machines")
    keys.add_argument(
        "--at", action="append", default=[], metavar="URL", help="where the far end will be: for --to auto"
    )
    keys.set_defaults(run=run_keys)
    example = "feldsher link serve --listen udp://0.0.0.0:7000 --listen tcp://0.0.0.0:7000 --into ARRIVED --keys KEYS"
    serve = _add(commands, "serve", "receive files into a folder", example)
    serve.add_argument("--listen", action="append", required=True, metavar="URL", help=LISTEN_HELP)
    serve.add_argument("--into", type=Path, required=True, metavar="DIR", help="where files appear, whole and verified")
    serve.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the folder that `link keys` made")
    serve.set_defaults(run=run_serve)
    example = "feldsher link send ecg.dcm --to udp://10.77.0.2:7000 --keys KEYS"
    send = _add(commands, "send", "send files; run again to go on after a cut", example)
    send.add_argument("files", nargs="+", type=Path, metavar="FILE")
    send.add_argument("--to", action="append", required=True, metavar="URL", help=TO_HELP)
    send.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the folder that `link keys` made")
    send.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    send.add_argument("--no-compress", action="store_true", help="send the bytes as they are")
    send.add_argument("--priority", type=int, default=5, choices=range(1, 10), metavar="1..9", help="1 goes first")
    send.add_argument("--json", action="store_true", help="print one JSON object with the result")
    send.set_defaults(run=run_send)
    for one in (serve, send):
        add_options(one)
    link_trace.configure(_add(commands, "trace", "show what --trace kept", "feldsher link trace FILE"))


def _add(commands: "_Commands", name: str, summary: str, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}")


def run_keys(args: argparse.Namespace) -> int:
    """Make both key files."""
    addresses = [str(parse_url(text)) for text in args.at]
    linkkeys.make_keys(args.folder, system)
    linkkeys.remember(args.folder, addresses)
    print(f"{args.folder}: {linkkeys.SERVE} is for `link serve`, {linkkeys.SEND} for `link send`. Both are secret.")
    return 0


def run_serve(args: argparse.Namespace) -> int:
    """Receive until interrupted."""
    keys = linkkeys.load_serve(args.keys)
    urls = [parse_url(text) for text in args.listen]
    try:
        args.into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {args.into}: {error.strerror}") from error
    with RealDisk(args.into) as disk, tracing(args) as trace:
        asyncio.run(_serve(keys, urls, disk, args.into, trace))
    return 0


async def _serve(keys: linkkeys.ServeKeys, urls: list[Url], disk: RealDisk, into: Path, trace: Trace) -> None:
    def set_time(path: str, mtime_ns: int) -> None:
        os.utime(into / path, ns=(mtime_ns, mtime_ns))

    def arrived(name: str, meta: FileMeta) -> None:
        print(f"received {into / name} ({meta.size} bytes)", flush=True)

    def authorize(public: bytes) -> Grant | None:
        known = keys.callers.get(public)
        return None if known is None else Grant(known[1], known[0])

    inbox = FileInbox(disk, set_time, arrived)
    host = Host(keys.identity, authorize, lambda _: NothingToSend(), inbox, system, tell_strangers=True, trace=trace)
    shell = HostShell(host, lambda: _log(host.events()))
    sticks = [url for url in urls if url.scheme == CARRIED]
    slots = [
        Carrier(
            str(url),
            partial(RealDisk, url.path),
            keys.identity,
            authorize,
            inbox,
            system,
            makes=True,
            poll_s=STICK_POLL_S,
            trace=trace,
        )
        for url in sticks
    ]
    for url in urls:
        there = url if url in sticks else await shell.listen(url)
        print(f"listening on {there}, into {into}", flush=True)
    running = asyncio.gather(shell.run(), *map(_tend, slots), keep_flushed(trace))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return


async def _tend(slot: Carrier) -> None:
    """Look into a folder in which sticks are put; one that hangs holds up nothing else."""
    loop, apart = asyncio.get_running_loop(), Apart("stick")
    while True:
        call = slot.advance(loop.time())
        if call is not None:
            slot.settle(await apart.make(call))
        _log(slot.events())
        await asyncio.sleep(max(0.0, min(slot.deadline() - loop.time(), STICK_POLL_S)))


def _log(events: list[Event]) -> None:
    for event in events:
        if event.kind in ("session", "stranger", "peer-error", "refused"):
            print(f"{event.kind}: {event.text}", file=sys.stderr, flush=True)


def run_send(args: argparse.Namespace) -> int:
    """Send files and return when the far side has confirmed every one."""
    with tracing(args) as trace:
        return link_send.run(args, trace)
