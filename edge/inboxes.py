"""The inboxes of a kit that runs: looks at each place, has taken what is whole, and says what waits and why.

A look at a place is made by a thread of its own (`node.apart`), for a stick may hang; taking is done by a process
(`edge.taking`), one at a time for all inboxes, which is given up when it says nothing for SILENCE_S_MAX. Neither
holds up a device, a link or the end of the kit. What was made is taken up by the kit as an import is
(`edge.imports`), after the process has ended with 0: then every file in it is known as taken (`edge.inbox_taken`).
At the start, and after a process that ended otherwise, one that only settles goes first.

The panel asks for a look only when label, worklist and files disagree on whose a study is; a stick whose files are
unreadable is told by the log, `kit status` and `kit inbox`. No file is named there, for names name patients: each has a
mark, and `kit inbox` says whose. Nothing of this survives.
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from edge.file_contents import USUAL
from edge.imports import ready
from edge.inbox_config import Inbox
from edge.inbox_place import RealPlace, Survey
from edge.inbox_taken import FOLDER, mark_maker
from edge.inbox_watch import Fate, Outcome, Wanted, Watch
from edge.kit import Kit
from edge.taking import Rule, outcome_of, request
from node.apart import Apart
from node.clock import Clock
from node.disk import Disk
from wire.errors import ConfigError, DiskError, Misuse, UsageError
from wire.record import Patient

LOOK_S: Final = 2.0
LOOK_SHARE: Final = 20.0
"""A look that takes long is followed by a pause of so many times that."""
LOOK_S_MAX: Final = 60.0
FAILURE_S: Final = 10.0
HANG_S: Final = 30.0
"""After so long a look at a place is said to hang; it is waited for all the same."""
SILENCE_S_MAX: Final = 180.0
HANGS: Final = "the place does not answer; if it is a stick, pull it out and put it in"
KILL_S: Final = 2.0
ROOM_KEPT: Final = 16 << 20
"""Free on the card beside what is taken: studies that were received are let go for it."""
LAST_COUNT: Final = 10
LOGGED_COUNT: Final = 5
"""Lines of the log on files that cannot be taken, of one go."""
COMMAND: Final = ("-m", "edge.taking")
"""What Python is given to run it."""
SAID_SIZE_MAX: Final = 300
LINE_SIZE_MAX: Final = 1 << 16

log = logging.getLogger("feldsher")


class Inboxes:
    """See the module's text. `folder` is the kit's data folder, `disk` the same as a disk."""

    def __init__(
        self, kit: Kit, inboxes: Sequence[Inbox], folder: Path, disk: Disk, clock: Clock, follow: Callable[[], None]
    ) -> None:
        self._kit, self._folder, self._disk, self._clock, self._follow = kit, folder, disk, clock, follow
        self._mark = mark_maker(kit.enrolment.sign_secret)
        self._slots = [_Slot(one, Path(one.path)) for one in inboxes]
        self._turn = asyncio.Lock()
        self._is_settled = self._is_left = False
        """All that lies in `inbox/spool` is known as taken; some of it found no room in the kit's spool."""
        for slot in self._slots:
            own, place = folder.resolve(), slot.path.resolve()
            if own == place or own in place.parents or place in own.parents:
                raise ConfigError(f"inbox {slot.name}: {slot.path} and the data folder {folder} lie within each other")

    async def run(self) -> None:
        """Run until cancelled."""
        if not self._slots:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            for slot in self._slots:
                group.create_task(self._tend(slot))

    def status(self) -> list[dict[str, Any]]:
        """Return what `kit status` shows."""
        now = self._clock.now()
        return [
            {
                "name": slot.name,
                "path": str(slot.path),
                "trouble": slot.place_trouble or slot.take_trouble,
                "last": slot.last,
                **slot.watch.status(now, self._mark),
            }
            for slot in self._slots
        ]

    async def _tend(self, slot: "_Slot") -> None:
        while True:
            try:
                pause_s = await self._look(slot)
            except Exception as error:  # noqa: BLE001  no fault here may end the capture of devices; names are not told
                log.error("inbox %s: %s", slot.name, type(error).__name__)  # noqa: TRY400 - nor is the traceback
                pause_s = FAILURE_S
            await asyncio.sleep(pause_s)

    async def _look(self, slot: "_Slot") -> float:
        """Look, take what is whole, and return after how many seconds to do so again."""
        began = self._clock.now()
        survey = await self._survey(slot)
        rest_s = max(LOOK_S, min((self._clock.now() - began) * LOOK_SHARE, LOOK_S_MAX))
        wanted = slot.watch.wanted(self._clock.now()) if survey is not None else []
        if self._kit.disk_failed:
            return rest_s
        async with self._turn:
            if wanted or not self._is_settled:
                if not await self._take(slot, wanted):
                    return FAILURE_S
                rest_s = 0.0 if wanted else rest_s
            if self._is_settled and self._is_left:
                await self._take_up()
        return rest_s

    async def _survey(self, slot: "_Slot") -> Survey | None:
        """Look at the place; None when there is none now."""
        look = asyncio.ensure_future(slot.apart.make(slot.place.survey))
        try:
            if not (await asyncio.wait({look}, timeout=HANG_S))[0]:
                slot.say(HANGS)
            made = await look
        finally:
            look.cancel()
        if made.error is None:
            survey: Survey = made.value
            slot.watch.look(survey, self._clock.now(), partial(self._label, slot))
            slot.say("")
            return survey
        if not isinstance(made.error, UsageError | DiskError):
            raise made.error
        slot.watch.gone()
        slot.say(f"it cannot be read: {made.error}" if isinstance(made.error, DiskError) else "")
        return None

    def _label(self, slot: "_Slot") -> Patient | None:
        return self._kit.label(self._clock.now()) if slot.rule.patient == "label" else None

    # Taking

    async def _take(self, slot: "_Slot", wanted: Sequence[Wanted]) -> bool:
        """Have the files taken, and take up what was made of them. False when that did not go well."""
        now = self._clock.now()
        place, busy, orders = slot.path if wanted else None, slot.watch.busy(now), self._kit.worklist
        asked = request(self._folder, self._kit.enrolment, place, slot.rule, wanted, busy, orders)
        seen = {one.seen.path: one.seen for one in wanted}
        heard: list[Outcome] = []
        self._is_settled = False
        self._kit.make_room(ROOM_KEPT + sum(one.seen.size for one in wanted))
        try:
            trouble = await self._run(asked, heard)
        finally:
            for outcome in heard:
                if outcome.path in seen:
                    slot.watch.heard(seen.pop(outcome.path), outcome, self._clock.now())
        slot.take_trouble = trouble
        if trouble:
            log.warning("inbox %s: %s", slot.name, trouble)
            for one in seen.values():
                slot.watch.heard(one, Outcome(one.path, Fate.FAILED, trouble), self._clock.now())
            return False
        if not heard:  # what is left otherwise is for the next go
            for one in seen.values():
                slot.watch.heard(one, Outcome(one.path, Fate.LATER, "was not looked at"), self._clock.now())
        self._is_settled = True
        self._tell(slot, heard)
        await self._take_up()
        return True

    async def _take_up(self) -> None:
        """Let the kit have what was made. Only while no process runs, and when the last one has ended with 0.

        One object at a time: between two of them the devices have their turn.
        """
        before = -1
        while not self._kit.disk_failed:
            try:
                left = len(ready(self._disk, FOLDER))
            except DiskError as error:
                self._kit.fail(error)
                self._follow()
                return
            self._is_left = left > 0
            if not left or left == before:
                return
            before = left
            self._kit.take_imports(self._clock.now(), FOLDER, 1)
            self._follow()
            await asyncio.sleep(0)

    async def _run(self, asked: bytes, heard: list[Outcome]) -> str:
        """Run the process; return what went wrong."""
        # The child finds our packages where we have found them, and nothing else of our environment.
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "LC_ALL": "C.UTF-8"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *COMMAND,
            stdin=pipe,
            stdout=pipe,
            stderr=asyncio.subprocess.DEVNULL,  # what a library prints may show a file's content
            env=environment,
            limit=LINE_SIZE_MAX,
        )
        try:
            return await _talk(process, asked, heard)
        except TimeoutError:
            return HANGS
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(KILL_S):  # what hangs in the kernel is left behind
                        await process.wait()

    def _tell(self, slot: "_Slot", heard: Sequence[Outcome]) -> None:
        """Write to the log what became of the files, without their names."""
        studies = Counter(outcome.study for outcome in heard if outcome.fate is Fate.TAKEN)
        left = sum(outcome.fate is Fate.LEFT for outcome in heard)
        wrong = [outcome for outcome in heard if outcome.says and outcome.fate in {Fate.FAILED, Fate.TAKEN}]
        for outcome in wrong[:LOGGED_COUNT]:
            log.warning("inbox %s: file %s %s", slot.name, self._mark(outcome.path), outcome.says)
        if len(wrong) > LOGGED_COUNT:
            log.warning("inbox %s: the same or the like of %d more", slot.name, len(wrong) - LOGGED_COUNT)
        if left:
            log.info("inbox %s: %d of what is there is left, for it is not taken here", slot.name, left)
        for study in dict.fromkeys(outcome.study for outcome in heard if outcome.is_disputed):
            self._kit.alarm(f"inbox {slot.name}: study {study}: whose it is, is disputed; all that was said is kept")
        for study, count in studies.items():
            log.info("inbox %s: study %s of %d file%s", slot.name, study, count, "s" if count > 1 else "")
            slot.last = [*slot.last, [study, count]][-LAST_COUNT:]


class _Slot:
    """One inbox: its place, its rule, and what is known of it."""

    def __init__(self, inbox: Inbox, path: Path) -> None:
        self.name, self.path = inbox.name, path
        kinds = tuple(inbox.kinds) or USUAL
        self.rule = Rule(inbox.name, inbox.form, inbox.priority, inbox.patient, inbox.after, kinds)
        self.place = RealPlace(path)
        self.watch = Watch(inbox.settle_s)
        self.apart = Apart(f"inbox {inbox.name}")
        self.place_trouble = self.take_trouble = ""
        self.last: list[list[Any]] = []
        """The last studies, each with how many files it has."""

    def say(self, trouble: str) -> None:
        """Keep what is wrong with the place, and write it to the log when it is new."""
        if trouble and trouble != self.place_trouble:
            log.warning("inbox %s: %s: %s", self.name, self.path, trouble)
        self.place_trouble = trouble


async def _talk(process: asyncio.subprocess.Process, asked: bytes, heard: list[Outcome]) -> str:
    """Give the process its work and hear it out. Raises TimeoutError when it is silent for too long."""
    if process.stdin is None or process.stdout is None:
        raise Misuse("a process without pipes")
    process.stdin.write(asked)
    with contextlib.suppress(ConnectionError):
        await process.stdin.drain()
    process.stdin.close()
    trouble = ""
    while True:
        async with asyncio.timeout(SILENCE_S_MAX):
            line = await process.stdout.readline()
        if not line:
            break
        said = json.loads(line)
        if "error" in said:
            trouble = str(said["error"])[:SAID_SIZE_MAX]
        elif said:
            heard.append(outcome_of(said))
    async with asyncio.timeout(SILENCE_S_MAX):
        code = await process.wait()
    return "" if not code else trouble or f"taking its files ended with {code}"


__all__ = ["Inboxes"]
