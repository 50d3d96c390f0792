"""`feldsher link send`: files over whatever road there is, and run again to go on after a cut.

The roads are tried in turn, and the session goes on over the next where it can, for the caller stays the same. What
cannot be called at all is put on a stick; its receipts come back with it, and the same command reads them. Thin: roads
are `node/dialling.py`, sticks `node/carrying.py`, files `node/filebox.py`.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from feldsher import link_progress
from feldsher.bars import Painter, terminal_size
from node import linkkeys
from node.carrying import Carrier, Far
from node.daemon import keep_flushed
from node.dialling import call_each, patience_s
from node.disk import RealDisk
from node.entropy import system
from node.filebox import FileOutbox, Parcel
from node.idle import NothingTaken
from node.link import Caller, Grant
from node.progress import Progress
from node.reactor import CallerShell
from node.roads import calling, check_calling
from node.stick import FOLDER
from node.tracing import NO_TRACE, Trace
from node.url import ADDRESSED, CARRIED, Url, parse_url
from wire import objects
from wire.bundle import check_name
from wire.errors import AuthError, DiskFull, FeldsherError, LinkDown, PeerError, UsageError
from wire.objects import Refusal

MESSAGES: Final = "sbd"
AUTO: Final = "auto"
DENIALS_MAX: Final = 2
ANSWER_S: Final = 5.0
"""How long the far side may take to answer on a stick, if it sees the same folder, before the stick has to travel."""
STICK_POLL_S: Final = 0.25
SHOW_TTY_S: Final = 0.3
SHOW_PLAIN_S: Final = 10.0
MOUNTED: Final = ("media/*/*", "media/*", "run/media/*/*", "mnt/*", "mnt")
"""Where systems mount sticks, below the root."""
_RANKS: Final = {"udp": 0, "tcp": 1}
_ERRORS: Final[dict[int, type[FeldsherError]]] = {
    objects.DISK_FULL: DiskFull,
    objects.NOT_ALLOWED: AuthError,
    objects.BAD_NAME: UsageError,
}


def run(args: argparse.Namespace, trace: Trace = NO_TRACE) -> int:
    """Send files and return when the far side has confirmed every one."""
    if args.timeout is not None and not args.timeout > 0:
        raise UsageError(f"--timeout {args.timeout:g}: more than 0 seconds are wanted")
    roads = resolve(args.to, args.keys)
    for url in roads:
        if url.scheme == MESSAGES:
            raise UsageError(f"{url}: files do not go by satellite messages, which carry a kit's summaries and alarms")
        if url.scheme != CARRIED:
            calling(url.scheme)
            check_calling(url)
    keys = linkkeys.load_send(args.keys)
    paths = list(dict.fromkeys(args.files))
    for path in paths:
        reason = check_name(path.name)
        if reason:
            raise UsageError(f"{path} cannot be sent: {reason}")
    outbox = FileOutbox(paths, compress=not args.no_compress, priority=args.priority)
    try:
        return asyncio.run(Sending(args, roads, keys, outbox, trace).run())
    finally:
        outbox.close()


def resolve(words: Sequence[str], keys: Path, root: Path = Path("/")) -> list[Url]:
    """Return the roads that `--to` names, in the order of trying. Raises UsageError."""
    named = [parse_url(word) for word in words if word != AUTO]
    if AUTO not in words:
        return _distinct(named)
    known = [parse_url(address) for address in linkkeys.load_addresses(keys)]
    sticks = [Url(CARRIED, path=str(path)) for path in find_sticks(root)]
    live = [url for url in named + known if url.scheme != CARRIED]
    carried = [url for url in named + known if url.scheme == CARRIED]
    roads = sorted(live, key=lambda url: _RANKS.get(url.scheme, len(_RANKS))) + carried + sticks
    if not roads:
        raise UsageError(
            f"--to auto: no address is known in {keys / linkkeys.ADDRESSES}, and no stick with a folder {FOLDER}/ is"
            " mounted; name an address once, it is remembered when it works"
        )
    return _distinct(roads)


def _distinct(urls: Sequence[Url]) -> list[Url]:
    return list({url.text: url for url in urls}.values())


def find_sticks(root: Path) -> list[Path]:
    """Return the mounted sticks that carry parcels."""
    found: list[Path] = []
    for pattern in MOUNTED:
        with contextlib.suppress(OSError):
            found += [path for path in sorted(root.glob(pattern)) if (path / FOLDER).is_dir()]
    return found


def device_of(path: str) -> int | None:
    """Return what is mounted there: below the mount point of a stick that was pulled lies the disk of the machine."""
    with contextlib.suppress(OSError):
        return Path(path).stat().st_dev
    return None


class Sending:
    """One run: the roads, what happens on them, and what is said at the end."""

    def __init__(
        self, args: argparse.Namespace, roads: list[Url], keys: linkkeys.SendKeys, outbox: FileOutbox, trace: Trace
    ) -> None:
        self._args, self._keys, self._outbox, self._trace = args, keys, outbox, trace
        self._live = [url for url in roads if url.scheme != CARRIED]
        self._sticks = [url for url in roads if url.scheme == CARRIED]
        self._is_choosing = len(roads) > 1
        self._painter = Painter(sys.stderr)
        self._caller = Caller(keys.identity, keys.far_public, keys.psk, outbox, NothingTaken(), system, trace=trace)
        self._done = asyncio.Event()
        self._url = roads[0]
        """The road that is used now."""
        self._shell: CallerShell | None = None
        self._heard_before: float | None = None
        self._denials_before = 0
        self._denying: set[str] = set()
        """The roads at whose ends we are not let in."""
        self._next = asyncio.Event()
        self._stick: Carrier | None = None
        self._is_pulled = False

    async def run(self) -> int:
        """Send, and say what came of it. Raises the error that stands for the worst of what happened."""
        started = time.monotonic()
        beside = [asyncio.ensure_future(self._show()), asyncio.ensure_future(keep_flushed(self._trace))]
        working = asyncio.ensure_future(self._work())
        try:
            await asyncio.wait({working}, timeout=self._args.timeout)
            if working.done():
                working.result()
        finally:
            for task in (working, *beside):
                task.cancel()
            await asyncio.gather(working, *beside, return_exceptions=True)
            if self._painter.painted:
                self._painter.paint(self._lines())
        return self._finish(time.monotonic() - started)

    async def _work(self) -> None:
        if self._live:
            await self._over_roads()
        for url in () if self._is_over else self._sticks:
            self._say(f"nothing heard; trying the stick at {url.path}" if self._live else "")
            await self._by_stick(url)
            if self._stick is not None and self._stick.status.is_there:
                return

    @property
    def _is_over(self) -> bool:
        return self._outbox.is_done or (not self._sticks and self._denying == set(map(str, self._live)))

    # Roads

    async def _over_roads(self) -> None:
        """Call at one road after the other until all is confirmed; once only when there is a stick to fall back on."""
        calling_on = asyncio.ensure_future(self._call_on())
        done = asyncio.ensure_future(self._done.wait())
        try:
            await asyncio.wait({calling_on, done}, return_when=asyncio.FIRST_COMPLETED)
            if calling_on.done():
                calling_on.result()
        finally:
            self._caller.close(asyncio.get_running_loop().time())
            for task in (calling_on, done):
                task.cancel()
            await asyncio.gather(calling_on, done, return_exceptions=True)

    async def _call_on(self) -> None:
        while True:
            for url in self._live:
                await self._call(url)
            if self._sticks:
                return

    async def _call(self, url: Url) -> None:
        """Call at one road until it has been silent for too long, or does not let us in."""
        self._url, self._denials_before, self._heard_before = url, self._caller.denials, self._caller.last_heard
        self._say(f"trying {url}" if self._is_choosing else "")
        self._next.clear()
        lonely = len(self._live) == 1 and not self._sticks
        works = (
            call_each(
                self._caller,
                lambda: self._caller,
                [url.text],
                self._started,
                self._changed,
                only=lonely,
                patience=patience_s,
            ),
            self._next.wait(),
        )
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _started(self, shell: CallerShell) -> None:
        self._shell = shell

    def _changed(self) -> None:
        if self._is_choosing and self._caller.last_heard != self._heard_before:
            self._say(f"{self._url} answers")
            self._is_choosing, self._denying = False, set()
        if self._caller.denials >= self._denials_before + DENIALS_MAX:
            self._denying.add(str(self._url))
            self._next.set()
        if self._is_over:
            self._done.set()

    # Sticks

    async def _by_stick(self, url: Url) -> None:
        """Put on the stick what waits, read what is answered there, and wait a little for an answer."""
        self._url, loop = url, asyncio.get_running_loop()
        grant = Grant(self._keys.psk, "serve")
        self._stick = carrier = Carrier(
            str(url),
            partial(RealDisk, url.path),
            self._keys.identity,
            lambda public: grant if public == self._keys.far_public else None,
            NothingTaken(),
            system,
            [Far(self._keys.far_public, self._outbox, self._outbox.is_settled)],
            makes=True,
            poll_s=STICK_POLL_S,
            trace=self._trace,
        )
        until, device = None, device_of(url.path)
        try:
            while until is None or loop.time() < until:
                self._is_pulled = device_of(url.path) != device
                if self._is_pulled:
                    return
                carrier.tick(loop.time())
                if carrier.deadline() > loop.time():
                    if self._outbox.is_done or not carrier.status.is_there:
                        return
                    until = until or loop.time() + ANSWER_S
                await asyncio.sleep(max(0.0, min(carrier.deadline() - loop.time(), STICK_POLL_S)))
        finally:
            carrier.close()

    # What is said

    def _say(self, text: str) -> None:
        if text:
            self._painter.say(text)

    def _finish(self, seconds: float) -> int:
        error = self._failure(seconds)
        if error is None and self._url in self._live:
            linkkeys.remember(self._args.keys, [self._url.text])
        if self._args.json:
            print(json.dumps(self._report(seconds, error), indent=1))
        if error is not None:
            raise error
        if not self._args.json:
            for parcel in self._outbox.parcels.values():
                for path, meta in parcel.files:
                    print(f"{path}: {meta.size} bytes, confirmed on the disk of {self._url}")
        return 0

    def _failure(self, seconds: float) -> FeldsherError | None:
        """Return the error that stands for the worst of what happened, None when everything is confirmed."""
        for parcel in self._outbox.parcels.values():
            if isinstance(parcel.verdict, Refusal):
                names = ", ".join(str(path) for path, _ in parcel.files[:3])
                kind = _ERRORS.get(parcel.verdict.reason, PeerError)
                return kind(f"{self._url} refused {names}: {parcel.verdict}")
        if self._outbox.is_done:
            return None
        if self._is_pulled:
            return LinkDown(
                f"{self._url.path}: the stick was pulled before everything was on it; put it in again, and run the same"
                " command again to go on"
            )
        if self._stick is not None and self._stick.status.is_there:
            return self._carried(self._stick)
        if self._live and self._denying == set(map(str, self._live)):
            return AuthError(
                f"{self._url} does not let us in: our key is not known there or was revoked, or it is another host"
            )
        if self._stick is not None:
            return self._carried(self._stick)
        if self._caller.last_heard is None:
            why = (self._shell.last_error if self._shell else "") or "no answer"
            silent = f"{self._url}: nothing heard in {seconds:.0f} s"
            if self._url.scheme not in ADDRESSED and why != "no answer":
                return LinkDown(f"{silent}: {why}")
            return LinkDown(
                f"{silent} ({why}): unreachable, or nobody listens there, or a key is wrong, not enrolled or revoked"
            )
        return LinkDown(f"{self._url}: not finished after {seconds:.0f} s; run the same command again to go on")

    def _carried(self, stick: Carrier) -> LinkDown:
        status = stick.status
        if not status.is_there:
            return LinkDown(f"{self._url.path}: {status.trouble or 'no such folder, or no stick is there'}")
        waiting = sum(len(parcel.files) for parcel in self._outbox.parcels.values() if parcel.verdict is None)
        place = Path(self._url.path) / FOLDER
        files = f"{waiting} file{' waits' if waiting == 1 else 's wait'}"
        if status.left or status.trouble:
            return LinkDown(f"{place}: {status.text()}; {files}; run the same command again to go on")
        return LinkDown(
            f"{files} in {place}; carry it to the far side, bring it"
            " back, and run the same command again for the receipts"
        )

    def _report(self, seconds: float, error: FeldsherError | None) -> dict[str, Any]:
        progress = self._caller.progress(asyncio.get_running_loop().time())
        counters = progress.counters
        files = [
            {"file": str(path), "size": meta.size, "result": _result(parcel)}
            for parcel in self._outbox.parcels.values()
            for path, meta in parcel.files
        ]
        return {
            "ok": error is None,
            "error": str(error) if error else None,
            "road": str(self._url),
            "payload_bytes": sum(item["size"] for item in files),
            "object_bytes": sum(parcel.offer.size for parcel in self._outbox.parcels.values()),
            "wire_bytes_sent": counters.wire_sent,
            "wire_bytes_received": counters.wire_received,
            "wire_bytes_counted": "frames with the IP and UDP or TCP header of one packet each (estimated on TCP)",
            "seconds": round(seconds, 3),
            "segments_sent": progress.segments_sent,
            "segments_resent": progress.segments_resent,
            "segments_sent_twice": progress.segments_twice,
            "handshakes": counters.handshakes,
            "rtt_s": None if progress.rtt_s is None else round(progress.rtt_s, 3),
            "stick": None if self._stick is None else self._stick.status.to_dict(),
            "files": files,
        }

    async def _show(self) -> None:
        """Show on stderr how far it is: bars on a terminal, else a line every ten seconds."""
        is_tty = sys.stderr.isatty()
        while True:
            await asyncio.sleep(SHOW_TTY_S if is_tty else SHOW_PLAIN_S)
            if is_tty:
                self._painter.paint(self._lines())
            else:
                self._say(self._plain_line())

    def _lines(self) -> list[str]:
        if self._stick is not None:
            return [self._stick.status.text()]
        columns, _ = terminal_size(sys.stderr)
        return link_progress.lines(self._outbox.parcels.values(), *self._seen(), columns)

    def _plain_line(self) -> str:
        if self._stick is not None:
            return self._stick.status.text()
        return link_progress.plain_line(self._outbox.parcels.values(), *self._seen())

    def _seen(self) -> tuple[Progress, str]:
        now = asyncio.get_running_loop().time()
        return self._caller.progress(now), self._shell.last_error if self._shell else ""


def _result(parcel: Parcel) -> str:
    if parcel.verdict is None:
        return "waiting"
    return str(parcel.verdict) if isinstance(parcel.verdict, Refusal) else "confirmed"
