"""The demo, as a stranger would run it: real processes, two cuts, three kills, and a judgement by bytes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feldsher import demo


@pytest.mark.slow
@pytest.mark.timeout(150)
def test_three_studies_survive_two_cuts_and_three_kills():
    words = [sys.executable, "-m", "feldsher", "demo", "--once", "--json"]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["captured"] == result["received"] == result["identical"] == 3
    assert (result["duplicates"], result["lost"]) == (0, 0)
    assert result["cuts"] >= 2
    assert result["kills"] == 3
    assert result["wire_bytes"] > 0
    assert result["seconds"] < 90


def folders(place: Path) -> list[Path]:
    return list(place.glob("feldsher-demo-*"))


def processes_in(place: Path) -> list[str]:
    """Return the command lines of the processes that name the folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        found += [words] if str(place) in words else []
    return found


@pytest.mark.parametrize("number", demo.ENDS)
def test_a_signal_never_comes_between_the_making_of_a_folder_and_the_noting_of_it(number):
    steps = []

    async def work():
        steps.append("folder made")
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        steps.append("noted")
        try:
            await asyncio.sleep(10)
        finally:
            steps.append("removed")

    before = [signal.getsignal(one) for one in demo.ENDS]
    try:
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(demo.until_ended(work()))
    finally:
        for one, handler in zip(demo.ENDS, before, strict=True):
            signal.signal(one, handler)
    assert steps == ["folder made", "noted", "removed"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("line", ["setting up", "study"], ids=["while it sets up", "while it runs"])
def test_however_the_demo_is_ended_it_leaves_no_process_and_no_folder(tmp_path, number, line):
    words = [sys.executable, "-m", "feldsher", "demo"]
    environ = os.environ | {"TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True, process_group=0)
    assert process.stdout is not None
    with process, process.stdout as shown:
        next(text for text in shown if line in text)
        os.killpg(process.pid, number)  # as a terminal does it: to the whole group
        time.sleep(0.05)
        process.send_signal(number)  # and once more
        assert process.wait(20) == 0
    assert folders(tmp_path) == []
    assert processes_in(tmp_path) == []
