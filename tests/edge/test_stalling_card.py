"""A card that takes two seconds for one fsync, while a device speaks at 115,200 baud and waits for nobody.

The card here is a call that sleeps in the place of the kernel;
`python -m benchmarks devices` freezes a real file system.
"""

import asyncio
import contextlib
import os
import time

import pytest

from edge.config import Port
from hardware.simulated import ptys
from node.disk import RealDisk
from node.spool import State
from tests.edge.test_daemon import run, until
from tests.edge.test_kit import SERVER_SEAL
from wire import kinds
from wire.objects import STUDY
from wire.study import open_study

BYTES_S = 11_520
STREAM_S = 3.5
STALL_AT_S, STALL_S = 0.5, 2.0


def stream(line):
    """Say numbered lines at the pace of the line. The pty's own 4 KiB are not what is tried here: it is waited for."""
    whole = b"".join(b"%08d ......................................................\r\n" % at for at in range(620))
    began, said = time.monotonic(), 0
    while said < len(whole):
        due = min(len(whole), int((time.monotonic() - began) * BYTES_S))
        with contextlib.suppress(BlockingIOError):
            said += os.write(line, whole[said:due])
        time.sleep(0.01)
    return whole


@pytest.mark.slow
def test_a_card_that_stalls_for_two_seconds_costs_no_byte_at_115200_baud(tmp_path, monkeypatch):
    link, began, stalled = str(tmp_path / "tty"), time.monotonic(), []
    sync = RealDisk.sync

    def stalling(self, path):
        if line_at and time.monotonic() > line_at[0] + STALL_AT_S and not stalled:
            stalled.append(time.monotonic() - began)
            time.sleep(STALL_S)  # what an fsync does on a card that cleans up
        sync(self, path)

    line_at = []
    monkeypatch.setattr(RealDisk, "sync", stalling)

    async def scene(made):
        with ptys.open_pty(link) as (line, _):
            await until(lambda: made._ports["stream"].is_present)
            line_at.append(time.monotonic())
            whole = await asyncio.to_thread(stream, line)
            await until(lambda: made.kit.spool.counts()[State.WAITING])
            held = [one for one in made.kit.spool.objects(State.WAITING) if one.kind == STUDY]
            studies = [open_study(made.kit.spool.read(one.object_id, 0, one.size), SERVER_SEAL[0]) for one in held]
        tags = [tag for study in studies for entry in study.entries for tag in entry.tags]
        return whole, b"".join(tag.data for tag in tags if tag.kind == (kinds.CAPTURE, kinds.RAW))

    whole, held = run(tmp_path, scene, [Port(name="stream", path=link, driver="lines", baud=115_200)])
    assert stalled
    assert len(whole) > STREAM_S * BYTES_S * 0.98
    assert len(held) == len(whole)
    assert held == whole
