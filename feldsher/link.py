"""`feldsher link keys|serve|send`: files between any two machines over a link that breaks.

Thin: the keys are in `node/linkkeys.py`, the files in `node/filebox.py`, everything else in the link itself.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from node import linkkeys
from node.disk import RealDisk
from node.entropy import system
from node.filebox import FileInbox, FileOutbox, Parcel
from node.link import Caller, Event, Grant, Host
from node.progress import Progress
from node.reactor import CallerShell, HostShell
from node.url import Url, parse_url
from wire import objects
from wire.bundle import FileMeta, check_name
from wire.errors import AuthError, DiskFull, FeldsherError, LinkDown, PeerError, UsageError
from wire.objects import Refusal

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

DENIALS_MAX: Final = 2
SHOW_TTY_S: Final = 0.3
SHOW_PLAIN_S: Final = 10.0
_ERRORS: Final[dict[int, type[FeldsherError]]] = {
    objects.DISK_FULL: DiskFull,
    objects.NOT_ALLOWED: AuthError,
    objects.BAD_NAME: UsageError,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    commands = parser.add_subparsers(dest="link_command", metavar="COMMAND", required=True)
    keys = _add(commands, "keys", "make the keys of both ends", "feldsher link keys KEYS")
    keys.add_argument("folder", type=Path, metavar="DIR", help="a folder to make; copy it to both machines")
    keys.set_defaults(run=run_keys)
    example = "feldsher link serve --listen udp://0.0.0.0:7000 --listen tcp://0.0.0.0:7000 --into ARRIVED --keys KEYS"
    serve = _add(commands, "serve", "receive files into a folder", example)
    serve.add_argument("--listen", action="append", required=True, metavar="URL", help="udp://ADDR:PORT or tcp://…")
    serve.add_argument("--into", type=Path, required=True, metavar="DIR", help="where files appear, whole and verified")
    serve.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the folder that `link keys` made")
    serve.set_defaults(run=run_serve)
    example = "feldsher link send ecg.dcm --to udp://10.77.0.2:7000 --keys KEYS"
    send = _add(commands, "send", "send files; run again to go on after a cut", example)
    send.add_argument("files", nargs="+", type=Path, metavar="FILE")
    send.add_argument("--to", required=True, metavar="URL", help="udp://HOST:PORT or tcp://HOST:PORT")
    send.add_argument("--keys", type=Path, required=True, metavar="DIR", help="the folder that `link keys` made")
    send.add_argument("--timeout", type=float, metavar="SECONDS", help="give up after so long (default: never)")
    send.add_argument("--no-compress", action="store_true", help="send the bytes as they are")
    send.add_argument("--priority", type=int, default=5, choices=range(1, 10), metavar="1..9", help="1 goes first")
    send.add_argument("--json", action="store_true", help="print one JSON object with the result")
    send.set_defaults(run=run_send)


def _add(commands: "_Commands", name: str, summary: str, example: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=summary, description=summary, epilog=f"example: {example}")


def run_keys(args: argparse.Namespace) -> int:
    """Make both key files."""
    linkkeys.make_keys(args.folder, system)
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
    with RealDisk(args.into) as disk:
        asyncio.run(_serve(keys, urls, disk, args.into))
    return 0


async def _serve(keys: linkkeys.ServeKeys, urls: list[Url], disk: RealDisk, into: Path) -> None:
    def set_time(path: str, mtime_ns: int) -> None:
        os.utime(into / path, ns=(mtime_ns, mtime_ns))

    def arrived(name: str, meta: FileMeta) -> None:
        print(f"received {into / name} ({meta.size} bytes)", flush=True)

    def authorize(public: bytes) -> Grant | None:
        known = keys.callers.get(public)
        return None if known is None else Grant(known[1], known[0])

    inbox = FileInbox(disk, set_time, arrived)
    host = Host(keys.identity, authorize, lambda _: NothingToSend(), inbox, system, tell_strangers=True)
    shell = HostShell(host, lambda: _log(host.events()))
    for url in urls:
        print(f"listening on {await shell.listen(url)}, into {into}", flush=True)
    running = asyncio.ensure_future(shell.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        return


class NothingToSend(FileOutbox):
    """The outbox of a server that only receives."""

    def __init__(self) -> None:
        super().__init__([], compress=False, priority=5)


def _log(events: list[Event]) -> None:
    for event in events:
        if event.kind in ("session", "stranger", "peer-error", "refused"):
            print(f"{event.kind}: {event.text}", file=sys.stderr, flush=True)


def run_send(args: argparse.Namespace) -> int:
    """Send files and return when the far side has confirmed every one."""
    if args.timeout is not None and not args.timeout > 0:
        raise UsageError(f"--timeout {args.timeout:g}: more than 0 seconds are wanted")
    url, paths = parse_url(args.to), list(dict.fromkeys(args.files))
    keys = linkkeys.load_send(args.keys)
    for path in paths:
        reason = check_name(path.name)
        if reason:
            raise UsageError(f"{path} cannot be sent: {reason}")
    outbox = FileOutbox(paths, compress=not args.no_compress, priority=args.priority)
    try:
        return asyncio.run(_send(args, url, keys, outbox))
    finally:
        outbox.close()


async def _send(args: argparse.Namespace, url: Url, keys: linkkeys.SendKeys, outbox: FileOutbox) -> int:
    caller = Caller(keys.identity, keys.far_public, keys.psk, outbox, NothingToReceive(), system)
    done = asyncio.Event()

    def changed() -> None:
        if outbox.is_done or caller.denials >= DENIALS_MAX:
            done.set()

    started = time.monotonic()
    shell = CallerShell(caller, url, changed)
    running = asyncio.ensure_future(shell.run())
    showing = asyncio.ensure_future(_show(caller, shell, outbox))
    waiting = asyncio.ensure_future(done.wait())
    try:
        await asyncio.wait({running, waiting}, timeout=args.timeout, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running
    finally:
        caller.close(shell.now())
        for task in (running, showing, waiting):
            task.cancel()
        await asyncio.gather(running, showing, waiting, return_exceptions=True)
    seconds = time.monotonic() - started
    error = _failure(caller, shell, outbox, url, seconds)
    progress = caller.progress(asyncio.get_running_loop().time())
    if args.json:
        print(json.dumps(_report(progress, outbox, seconds, error), indent=1))
    if error is not None:
        raise error
    if not args.json:
        for parcel in outbox.parcels.values():
            for path, meta in parcel.files:
                print(f"{path}: {meta.size} bytes, confirmed on the disk of {url}")
    return 0


class NothingToReceive:
    """The inbox of a sender that only sends."""

    def offered(self, peer: bytes, offer: objects.Offer) -> Refusal:
        return Refusal(objects.NOT_WANTED, "this end only sends")

    def write(self, peer: bytes, object_id: bytes, offset: int, data: bytes) -> Refusal:
        return Refusal(objects.NOT_WANTED)

    def finish(self, peer: bytes, object_id: bytes) -> Refusal:
        return Refusal(objects.NOT_WANTED)


def _failure(caller: Caller, shell: CallerShell, outbox: FileOutbox, url: Url, seconds: float) -> FeldsherError | None:
    """Return the error that stands for the worst of what happened, None when everything is confirmed."""
    for parcel in outbox.parcels.values():
        if isinstance(parcel.verdict, Refusal):
            names = ", ".join(str(path) for path, _ in parcel.files[:3])
            kind = _ERRORS.get(parcel.verdict.reason, PeerError)
            return kind(f"{url} refused {names}: {parcel.verdict}")
    if outbox.is_done:
        return None
    if caller.denials >= DENIALS_MAX:
        return AuthError(f"{url} does not let us in: our key is not known there or was revoked, or it is another host")
    if caller.last_heard is None:
        why = shell.last_error or "no answer"
        return LinkDown(
            f"{url}: nothing heard in {seconds:.0f} s ({why}): unreachable, or nobody listens there, or a key is"
            " wrong, not enrolled or revoked"
        )
    return LinkDown(f"{url}: not finished after {seconds:.0f} s; run the same command again to go on")


def _report(progress: Progress, outbox: FileOutbox, seconds: float, error: FeldsherError | None) -> dict[str, Any]:
    counters = progress.counters
    files = [
        {"file": str(path), "size": meta.size, "result": _result(parcel)}
        for parcel in outbox.parcels.values()
        for path, meta in parcel.files
    ]
    return {
        "ok": error is None,
        "error": str(error) if error else None,
        "payload_bytes": sum(item["size"] for item in files),
        "object_bytes": sum(parcel.offer.size for parcel in outbox.parcels.values()),
        "wire_bytes_sent": counters.wire_sent,
        "wire_bytes_received": counters.wire_received,
        "wire_bytes_counted": "frames with the IP and UDP or TCP header of one packet each (estimated on TCP)",
        "seconds": round(seconds, 3),
        "segments_sent": progress.segments_sent,
        "segments_resent": progress.segments_resent,
        "segments_sent_twice": progress.segments_twice,
        "handshakes": counters.handshakes,
        "rtt_s": None if progress.rtt_s is None else round(progress.rtt_s, 3),
        "files": files,
    }


def _result(parcel: Parcel) -> str:
    if parcel.verdict is None:
        return "waiting"
    return str(parcel.verdict) if isinstance(parcel.verdict, Refusal) else "confirmed"


async def _show(caller: Caller, shell: CallerShell, outbox: FileOutbox) -> None:
    """Show on stderr how far it is: one line that is written over on a terminal, else one every ten seconds."""
    is_tty = sys.stderr.isatty()
    total = sum(parcel.offer.size for parcel in outbox.parcels.values())
    while True:
        await asyncio.sleep(SHOW_TTY_S if is_tty else SHOW_PLAIN_S)
        line = progress_line(caller.progress(asyncio.get_running_loop().time()), total, shell.last_error)
        print(f"\r{line:<79}" if is_tty else line, end="" if is_tty else "\n", file=sys.stderr, flush=True)


def progress_line(progress: Progress, total: int, last_error: str) -> str:
    """Return one line for people: bytes, rate, time left, and what is wrong if something is."""
    if not progress.connected:
        return f"waiting for the link{': ' if last_error else ''}{last_error}"[:79]
    left = sum(item.size - item.done for item in progress.sending)
    rate = progress.rate_bps / 8
    text = f"{max(total - left, 0)} of {total} bytes"
    if progress.silence_s > 5 and left:
        return f"{text}, nothing heard for {progress.silence_s:.0f} s"
    eta = f", {left / rate:.0f} s left" if rate else ""
    return f"{text}, {rate / 1000:.2f} kB/s{eta}"
