"""`feldsher demo`: the whole road on one machine, for people to watch and for programs to judge.

For people it runs until Ctrl-C: devices measure, the radio is cut now and then, and the terminal shows what the LEDs
would show and each study's way. With `--once` three studies go through two cuts of the radio and one kill -9 each of
kit, gateway and centre, and what came of them is judged by comparing files byte by byte.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import Any, Final, TypeVar

from feldsher import demo_view
from feldsher.demo_stage import PORTS, Stage, StageError, label
from node.spool import SpoolObject, State, parse_name
from wire import objects

LOOK_S: Final = 0.2
CUT_S: Final = 4.0
CUT_EVERY_S: Final = 25.0
ONCE_S_MAX: Final = 85.0
ONCE_STUDIES: Final = 3
ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_Result = TypeVar("_Result")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--once", action="store_true", help="three studies, two cuts, three kills; ends by itself")
    parser.add_argument("--json", action="store_true", help="with --once: print one JSON object and nothing else")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="use this new folder and keep it")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    say: Callable[[str], None] = (lambda text: print(text, file=sys.stderr)) if args.json else print
    try:
        if not args.once:
            asyncio.run(until_ended(_show(args.keep)))
            return 0
        result = asyncio.run(until_ended(_once(args.keep, say)))
    except asyncio.CancelledError:
        return 0
    print(json.dumps(result) if args.json else _sentence(result))
    good = result["identical"] == result["captured"] == ONCE_STUDIES and not result["duplicates"] + result["lost"]
    return 0 if good else StageError.exit_code


async def until_ended(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do the work; however it is asked to end, the stage is cleared away, and asking twice does not disturb that.

    A signal takes effect where the work waits, and so never between the making of a folder and the noting of it.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine of `asyncio.run` is a task

    def end(_number: int, _frame: FrameType | None) -> None:
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        with contextlib.suppress(RuntimeError):  # the work is done, and its loop closed
            loop.call_soon_threadsafe(task.cancel)

    for number in ENDS:
        signal.signal(number, end)
    return await work


def _sentence(result: dict[str, Any]) -> str:
    return (
        f"{result['captured']} studies captured, {result['received']} at the centre, {result['identical']} identical, "
        f"{result['duplicates']} twice, {result['lost']} lost; {result['cuts']} cuts of the radio, {result['kills']} "
        f"processes killed, {result['wire_bytes']} bytes over the air, {result['seconds']} s"
    )


# For people


async def _show(folder: Path | None) -> None:
    print("setting up a centre, a gateway, a kit and three devices …", flush=True)
    with await Stage.build(folder) as stage:
        stage.start("centre")
        await asyncio.to_thread(stage.wait_for_web)
        stage.start("gateway")
        await _until(
            stage, lambda: stage.status("gateway").get("roster_version", -1) >= 0, "the gateway's roster", 30.0
        )
        stage.start("kit")
        await _until(stage, lambda: bool(stage.status("kit")), "the kit's first word", 30.0)
        _devices_for_ever(stage)
        view, next_cut, mend_at = demo_view.View(stage), time.monotonic() + CUT_EVERY_S, 0.0
        while True:
            stage.check()
            now = time.monotonic()
            if stage.radio.is_cut and now >= mend_at:
                stage.radio.mend()
            elif now >= next_cut:
                stage.radio.cut()
                mend_at, next_cut = now + 2 * CUT_S, now + CUT_EVERY_S + 2 * CUT_S
            view.show(captured(stage))
            await asyncio.sleep(demo_view.REFRESH_S)


def _start_all(stage: Stage) -> None:
    for node in ("centre", "gateway", "kit"):
        stage.start(node)


def _devices_for_ever(stage: Stage) -> None:
    stage.speak("scanner", "--count", "4", "--every", "40", "--repeat")
    stage.speak("analyser", "--count", "50", "--every", "40", "--repeat")
    stage.speak("oximeter", "--count", "50", "--finger", "15", "--repeat")


# For programs


async def _once(folder: Path | None, say: Callable[[str], None]) -> dict[str, Any]:
    begin = time.monotonic()
    with await Stage.build(folder) as stage:
        try:
            async with asyncio.timeout(ONCE_S_MAX):
                await _play(stage, say)
        except TimeoutError:
            say(f"not done within {ONCE_S_MAX:.0f} s; what has come so far is judged")
        return judge(stage) | {"seconds": round(time.monotonic() - begin, 1)}


async def _play(stage: Stage, say: Callable[[str], None]) -> None:
    """Three studies through two cuts and three kills, each at a moment when something is under way."""
    say("starting centre, gateway and kit")
    _start_all(stage)
    stage.speak("scanner", "--count", "2", "--every", "300", "--patient", label(0))
    await asyncio.to_thread(stage.wait_for_web)
    await _until(stage, lambda: bool(stage.status("kit").get("label_scanned")), "the label is scanned", 30.0)
    say("1: the analyser measures")
    stage.speak("analyser", "--count", "2", "--every", "12", "--patient", label(0))
    await _captured(stage, 1)
    say("the radio is cut; the gateway is killed")
    stage.radio.cut()
    stage.kill("gateway")
    await asyncio.sleep(CUT_S)
    stage.start("gateway")
    stage.radio.mend()
    say("2: a finger is in the oximeter; the analyser measures again")
    stage.speak("oximeter", "--count", "1", "--finger", "6")
    await _captured(stage, ONCE_STUDIES)
    say("the radio is cut; the kit is killed with studies in its spool")
    stage.radio.cut()
    stage.kill("kit")
    await asyncio.sleep(CUT_S / 2)
    stage.start("kit")
    await asyncio.sleep(CUT_S / 2)
    stage.radio.mend()
    await _until(stage, lambda: _moved(stage) > 0, "something has left the kit", 60.0)
    say("the centre is killed")
    stage.kill("centre")
    await asyncio.sleep(1.0)
    stage.start("centre")
    await asyncio.to_thread(stage.wait_for_web)
    await _until(stage, lambda: all(one.state is State.RECEIVED for one in held(stage)), "every receipt", 60.0)
    say("every study has its receipt")


async def _captured(stage: Stage, count: int) -> None:
    await _until(stage, lambda: len(captured(stage)) >= count, f"study {count}", 60.0)


def _moved(stage: Stage) -> int:
    return sum(one.state is not State.WAITING for one in held(stage))


async def _until(stage: Stage, done: Callable[[], bool], what: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not done():
        stage.check()
        if time.monotonic() > until:
            raise StageError(f"waited {seconds:.0f} s for: {what}\n{stage.log('kit')}\n{stage.log('gateway')}")
        await asyncio.sleep(LOOK_S)


# Judging: what lies on the two disks, asked of nobody


def held(stage: Stage) -> list[SpoolObject]:
    """Return every object of the kit, by number; read off the names of its files."""
    found: dict[bytes, SpoolObject] = {}
    for state in State:
        for path in (stage.data("kit") / state.value).glob("*"):
            with contextlib.suppress(FileNotFoundError):  # moved on meanwhile: it is met again in its next folder
                if (one := parse_name(path.name, path.stat().st_size, state)) is not None:
                    found[one.object_id] = one
    return sorted(found.values(), key=lambda one: one.number)


def captured(stage: Stage) -> list[SpoolObject]:
    """Return the kit's closed studies."""
    return [one for one in held(stage) if one.kind == objects.STUDY]


def judge(stage: Stage) -> dict[str, Any]:
    """Compare the kit's files with the centre's, byte by byte, and count."""
    from sqlalchemy import select

    from server import tables
    from server.database import Database

    database = Database(f"sqlite:///{stage.data('centre') / 'centre.db'}")
    with database.read() as connection:
        table = tables.objects
        rows = connection.execute(select(table.c.object_id, table.c.digest).where(table.c.kind == objects.STUDY)).all()
        studies = connection.execute(
            select(tables.studies.c.study).where(tables.studies.c.received_ms.is_not(None))
        ).all()
    database.close()
    mine = {one.object_id.hex(): _file(stage, one).read_bytes() for one in captured(stage)}
    theirs: dict[str, list[bytes]] = {}
    for row in rows:
        theirs.setdefault(row.object_id, []).append(_stored(stage, row.digest))
    shown = [row.study for row in studies]
    twice = sum(len(copies) - 1 for copies in theirs.values()) + len(shown) - len(set(shown))
    return {
        "captured": len(mine),
        "received": len(theirs),
        "identical": sum(theirs.get(study, []) == [data] for study, data in mine.items()),
        "duplicates": twice + len(theirs.keys() - mine.keys()),
        "lost": len(mine.keys() - theirs.keys()),
        "cuts": stage.radio.cuts,
        "kills": stage.kills,
        "wire_bytes": stage.radio.bytes_carried,
    }


def _file(stage: Stage, one: SpoolObject) -> Path:
    return stage.data("kit") / one.state.value / one.name


def _stored(stage: Stage, digest: str) -> bytes:
    found = [path for path in (stage.data("centre") / "files").rglob(f"*{digest[4:]}") if path.is_file()]
    return found[0].read_bytes() if found else b""


__all__ = ["PORTS", "captured", "configure", "held", "judge"]
