"""Plays recordings through real ptys into the real daemon of the kit, on a clock that jumps over what nobody waits for.

Real are `edge.daemon` with all that it drives, the threads that own the ports, ptys, pyserial, the journal and the
spool with their files. Not real is the clock: it stands still while bytes are under way, and then jumps to whatever
comes next, the device's next byte or the kit's next deadline. So a silence of two minutes costs nothing, a slow
machine changes nothing, and each run gives the same times.

A `Run` is what happens on one line: the device speaks, vanishes, returns. A batch is up to sixteen of them, each on a
port of one kit, as a van may have. `play` returns what each came to.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
import tty
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from unittest import mock

from edge import daemon, ports
from edge.config import PORTS_MAX, KitConfig, Port
from edge.driver import Located, PatientReleased, PatientScanned
from edge.recording import picture_outcome, plain
from node import daemon as node_daemon
from node.spool import State
from tests.edge.test_kit import ENROLMENT, SERVER_SEAL
from wire import codec, kinds
from wire.objects import STUDY
from wire.record import Device, Partial, Picture, Result, Summary
from wire.study import open_study
from wire.waveform import Waveform

BEGIN_S = -1.0
"""The clock stands here until every port is open: a driver that asks at once asks at 0."""
AFTER_S = 400.0
PATIENCE_S = 300.0
"""Real seconds for a batch; more is a hang."""
WRITE_SIZE_MAX = 2_048
"""A pty holds 4 KiB that nobody has read yet."""
TICKS_MAX = 50_000
NEAR = replace(
    ENROLMENT, gateways=tuple(replace(contact, urls=("udp://127.0.0.1:9",)) for contact in ENROLMENT.gateways[:1])
)
"""A gateway on this machine that does not answer."""
STUDY_ID = re.compile(r" [0-9a-f]{32}$")
SAY, VANISH, RETURN = "say", "vanish", "return"


@dataclass
class Run:
    """What happens on one line: (seconds, what, bytes), in order. What has one time happens one after the other."""

    driver: str
    options: dict
    events: list
    label: str = ""


@dataclass
class Came:
    """What the kit made of it."""

    studies: list = field(default_factory=list)
    scans: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    answered: bytes = b""


class Clock:
    """Stands still until it is moved."""

    def __init__(self):
        self.at = BEGIN_S

    def now(self):
        return self.at

    def time_ms(self):
        return 1_780_000_000_000 + round(self.at * 1000)


class Loop(asyncio.SelectorEventLoop):
    """An asyncio loop on that clock. Sixteen threads that wake it at once wake it once: a step takes what all have."""

    clock: Clock

    def __init__(self):
        super().__init__()
        self._woken = set()

    def time(self):
        return self.clock.now()

    def call_soon_threadsafe(self, callback, *args, context=None):
        if not args and callback not in self._woken:
            self._woken.add(callback)
            return super().call_soon_threadsafe(self._once, callback, context=context)
        return super().call_soon_threadsafe(callback, *args, context=context) if args else None

    def _once(self, callback):
        self._woken.discard(callback)
        callback()


class Cable:
    """Our end of one line."""

    def __init__(self, path):
        self.path, self.answered = path, b""
        self.plug()

    def plug(self):
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        os.symlink(os.ttyname(self._theirs), self.path)

    def pull(self):
        self.hear()
        os.unlink(self.path)
        os.close(self._ours)
        os.close(self._theirs)

    def say(self, data):
        written = os.write(self._ours, data)
        assert written == len(data), "the pty takes no more"

    def hear(self):
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._ours, 1 << 16):
                self.answered += data
        return self.answered


class Lines:
    """The lines of one batch, and what the kit has had of them so far."""

    def __init__(self, made, clock, cables):
        self.made, self.clock, self.cables = made, clock, cables
        self.kit = made.kit
        self.came = {name: Came() for name in cables}
        self.written, self.heard = dict.fromkeys(cables, 0), dict.fromkeys(cables, 0)
        self._there = dict.fromkeys(cables, False)
        self._moved = asyncio.Event()
        for name in ("heard", "present", "lost"):
            setattr(self.kit, name, self._spied(name, getattr(self.kit, name)))
        carry_out = self.kit.capture._carry_out
        self.kit.capture._carry_out = lambda line, event, now: carry_out(line, self._seen(line, event), now)

    def _spied(self, name, call):
        def spy(port, *rest):
            answer = call(port, *rest)
            if name == "heard":
                self.heard[port] += len(rest[0])
            else:
                self._there[port] = name == "present"
            self._moved.set()
            return answer

        return spy

    def _seen(self, line, event):
        """Note labels and places: they are in no study by themselves."""
        if isinstance(event, PatientScanned | PatientReleased | Located):
            self.came[line.name].scans.append(str(event))
        return event

    async def until(self, done):
        while not done():
            self._moved.clear()
            await self._moved.wait()
        await asyncio.sleep(0)

    async def play(self, runs):
        await self.until(lambda: all(self._there.values()))
        await self.pass_time(0.0)
        events = sorted(
            (at, order, name, what, data) for name, run in runs.items() for at, order, what, data in ordered(run.events)
        )
        for (at, _), group in groupby(events, key=lambda event: event[:2]):
            await self.pass_time(at)
            await self._happen(list(group))
        last = max((event[0] for event in events), default=0.0)
        await self.pass_time(last + AFTER_S)

    async def _happen(self, group):
        for _, _, name, what, data in group:
            if what == SAY:
                await self._say(name, data)
            elif what == VANISH:
                self.cables[name].pull()
            else:
                self.cables[name].plug()
        await self.until(self._is_settled)
        gone = {name for _, _, name, what, _ in group if what == VANISH}
        back = {name for _, _, name, what, _ in group if what == RETURN}
        await self.until(lambda: not any(self._there[name] for name in gone) and all(self._there[n] for n in back))

    async def _say(self, name, data):
        for at in range(0, len(data), WRITE_SIZE_MAX):
            if at:
                await self.until(self._is_settled)
            piece = data[at : at + WRITE_SIZE_MAX]
            self.written[name] += len(piece)
            self.cables[name].say(piece)

    def _is_settled(self):
        return self.heard == self.written

    async def pass_time(self, until):
        for _ in range(TICKS_MAX):
            due = self.kit.deadline()
            if due is None or due > until:
                break
            self.clock.at = max(self.clock.at, due)
            await asyncio.sleep(0)  # the loop sees the time
            await asyncio.sleep(0)  # and does what is due
        else:
            raise AssertionError("the kit's deadline does not move on")
        self.clock.at = max(self.clock.at, until)

    def outcome(self):
        for tags in studies_of(self.kit):
            (device,) = [Device.from_tag(tag) for tag in tags if tag.kind == Device.KIND]
            self.came[device.port].studies.append(outcome_of(device, tags))
        return self.came


def ordered(events):
    """Number the events that have one time."""
    for at, group in groupby(events, key=lambda event: event[0]):
        for order, (_, what, data) in enumerate(group):
            yield at, order, what, data


def studies_of(kit):
    """Return the tags of each study, in the order in which they were closed, and its SUMMARY's."""
    assert not kit.capture.capturing, "a study is open for ever"
    for one in sorted(kit.spool.objects(State.WAITING), key=lambda one: one.number):
        if one.kind == STUDY:
            study = open_study(kit.spool.read(one.object_id, 0, one.size), SERVER_SEAL[0])
            assert not study.damaged
            yield [tag for entry in study.entries for tag in entry.tags]


def outcome_of(device, tags):
    """Return a study in the form of an expected one (`edge.recording.study_outcome`), its raw bytes beside it."""
    (summary,) = [Summary.from_tag(tag) for tag in tags if tag.kind == Summary.KIND]
    partial = [Partial.from_tag(tag) for tag in tags if tag.kind == Partial.KIND]
    raw = b"".join(tag.data for tag in tags if tag.kind == (kinds.CAPTURE, kinds.RAW))
    waves = [Waveform.from_tag(tag) for tag in tags if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM)]
    pictures = [picture_outcome(Picture.from_tag(tag)) for tag in tags if tag.kind == Picture.KIND]
    return {
        "form": summary.form,
        "model": device.model,
        "qc": summary.qc,
        "partial": summary.partial,
        "why_partial": [one.reason for one in partial],
        "headline": [list(line) for line in summary.headline],
        "raw": raw,
        "raw_bytes": len(raw),
        "results": [plain(Result.from_tag(tag).to_map()) for tag in tags if tag.kind == Result.KIND],
        "waveforms": [
            [list(one.names), one.rate_hz, [[lead[0], lead[-1], sum(lead)] for lead in one.samples], one.count]
            for one in waves
        ],
        "pictures": json.loads(json.dumps(pictures)),
    }


def play(runs: Iterable[Run]) -> list[Came]:
    """Play up to sixteen runs at once, each on a port of one kit; return what each came to."""
    runs = {f"p{at}": run for at, run in enumerate(runs)}
    assert len(runs) <= PORTS_MAX
    clock, loop = Clock(), Loop()
    loop.clock = clock
    folder = Path(tempfile.mkdtemp(prefix="replay-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        with fast(), mock.patch.object(daemon, "SystemClock", return_value=clock):
            return loop.run_until_complete(_play(folder, clock, runs))
    finally:
        loop.close()
        shutil.rmtree(folder)


@contextlib.contextmanager
def fast():
    """What costs time and is not looked at here: pauses in real time before a port is opened again, tight packing, the
    status file and the catalog of studies.
    """
    with (
        mock.patch.object(daemon, "LIST_S", 3_600.0),
        mock.patch.object(node_daemon, "STATUS_S", 3_600.0),
        mock.patch.object(ports, "RETRY_S_MIN", 0.002),
        mock.patch.object(ports._SerialOpener, "retry_s_max", 0.01),
        mock.patch.object(codec, "LEVEL", 1),
    ):
        yield


async def _play(folder, clock, runs):
    cables = {name: Cable(str(folder / name)) for name in runs}
    told = []
    (folder / "data").mkdir()
    config = KitConfig(
        port=[
            Port(name=name, path=cables[name].path, driver=run.driver, options=run.options, bind="device")
            for name, run in runs.items()
        ]
    )
    with mock.patch.object(daemon, "note", lambda kind, text: told.append((kind, text))):
        made = daemon.Daemon(config, NEAR, folder / "data")
    lines = Lines(made, clock, cables)
    running = asyncio.ensure_future(made.run())
    playing = asyncio.ensure_future(lines.play(runs))
    loop = asyncio.get_running_loop()
    late = threading.Timer(PATIENCE_S, lambda: loop.call_soon_threadsafe(playing.cancel))
    late.daemon = True
    late.start()
    try:
        await asyncio.wait({running, playing}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            await running  # it has failed, and says how
        assert not playing.cancelled(), f"nothing moves any more: written {lines.written}, heard {lines.heard}"
        playing.result()
        came = lines.outcome()
    finally:
        late.cancel()
        for name, cable in cables.items():
            lines.came[name].answered = cable.hear()
            cable.pull()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    for kind, text in told:
        port, _, said = text.partition(": ")
        if kind == "fault":
            lines.came[port].faults.append(STUDY_ID.sub("", said))
    return list(came.values())
