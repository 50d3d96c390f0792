"""The kit's loop around a card that fails: opened anew a few times, and then given up so that systemd begins anew."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from edge import daemon
from edge.config import KitConfig, Port
from edge.driver import Line
from hardware.simulated import ptys
from node.daemon import read_status
from tests.edge.test_kit import ENROLMENT
from wire.errors import DiskError

NEAR = replace(
    ENROLMENT, gateways=tuple(replace(contact, urls=("udp://127.0.0.1:9",)) for contact in ENROLMENT.gateways)
)
"""Gateways on this machine that do not answer."""


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(daemon, "REOPEN_S", 0.05)


def run(tmp_path, scene, ports=()):
    """Run a kit while `scene(daemon)` plays; return what the scene returns. The kit's own end is raised."""

    async def play():
        made = daemon.Daemon(KitConfig(port=list(ports)), NEAR, tmp_path)
        running = asyncio.ensure_future(made.run())
        scene_task = asyncio.ensure_future(scene(made))
        await asyncio.wait({running, scene_task}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        ended = running.done()
        for task in (running, scene_task):
            if not task.done():
                task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        with contextlib.suppress(asyncio.CancelledError):
            return None if ended else await scene_task
        return None

    return asyncio.run(play())


async def until(done):
    async with asyncio.timeout(10):
        while not done():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


def test_a_card_that_fails_under_the_link_is_opened_anew_although_no_device_speaks(quick, tmp_path):
    async def scene(made):
        await until(lambda: made._shells)
        made.kit.fail(DiskError("the card does not answer"))
        made._shells[-1].tick()
        await until(lambda: not made.kit.disk_failed)
        await until(lambda: made.kit.caller.deadline() is not None)
        return "goes on"

    assert run(tmp_path, scene) == "goes on"


def test_a_card_that_fails_again_and_again_ends_the_process_with_the_disks_error(quick, tmp_path, monkeypatch):
    tries = []

    async def scene(made):
        def reopen():
            tries.append(made)
            raise DiskError("still broken")

        await until(lambda: made._shells)
        monkeypatch.setattr(made.kit, "reopen", reopen)
        made.kit.fail(DiskError("broken"))
        made._shells[-1].tick()
        await asyncio.sleep(15)  # the daemon gives up long before

    with pytest.raises(DiskError, match="has failed 4 times"):
        run(tmp_path, scene)
    assert len(tries) == daemon.REOPENS_MAX


@pytest.mark.parametrize("where", ["tick", "deadline"])
def test_a_kit_that_does_not_know_what_it_does_ends_and_is_started_again(tmp_path, monkeypatch, where):
    """It went on with what had come gone, and with no timer, until a device next spoke."""

    async def scene(made):
        def defect(*_):
            raise LookupError("a defect of ours")

        await until(lambda: made._shells)
        monkeypatch.setattr(made.kit, where, defect)
        asyncio.get_running_loop().call_soon(made._step)  # as a port does
        await asyncio.sleep(15)  # the daemon gives up long before

    with pytest.raises(LookupError, match="of ours"):
        run(tmp_path, scene)


def test_a_card_that_was_good_for_an_hour_has_all_its_tries_again(quick, tmp_path, monkeypatch):
    monkeypatch.setattr(daemon, "QUIET_S", 0.0)

    async def scene(made):
        await until(lambda: made._shells)
        for _ in range(2 * daemon.REOPENS_MAX):
            made.kit.fail(DiskError("now and then"))
            made._shells[-1].tick()
            await until(lambda: not made.kit.disk_failed)
        return "goes on"

    assert run(tmp_path, scene) == "goes on"


def test_the_status_says_what_the_kit_sees(tmp_path):
    async def scene(made):
        await until(lambda: read_status(tmp_path))
        return read_status(tmp_path)

    status = run(tmp_path, scene, [Port(name="lab", path=str(tmp_path / "nothing"), driver="astm")])
    assert status["name"] == "van-1"
    assert status["ports"] == {"lab": False}
    assert (status["denied"], status["disk_failed"]) == (False, False)
    assert status["leds"]["device"][0] == "slow"
    assert status["gateway"] == "ground"


def test_a_silent_gateway_gives_way_to_the_next_one(tmp_path, monkeypatch):
    from node import dialling

    monkeypatch.setattr(dialling, "SILENCE_S_MAX", 0.1)
    seen = []

    async def scene(made):
        for name in ("second", "ground", "second"):
            await until(lambda name=name: made.kit.gateway.name == name)
            seen.append(name)

    monkeypatch.setattr(daemon.CallerShell, "_tend", silent)
    run(tmp_path, scene)
    assert seen == ["second", "ground", "second"]


async def silent(self):
    await asyncio.Event().wait()


def test_a_line_is_as_the_configuration_says_or_else_as_the_driver_does():
    assert daemon.line_of(Port(name="a", path="x", driver="astm", baud=19200, parity="E")) == Line(19200, 8, "E", 1)
    assert daemon.line_of(Port(name="a", path="x", driver="astm")).baud == 9600


def test_a_device_is_heard_and_answered_through_the_loop(tmp_path):
    import os

    link = str(tmp_path / "tty")

    async def scene(made):
        with ptys.open_pty(link) as (line, _):
            await until(lambda: made._ports["lab"].is_present)
            os.write(line, b"\x05")
            await until(lambda: can_read(line))
            return os.read(line, 10)

    assert run(tmp_path, scene, [Port(name="lab", path=link, driver="astm")]) == b"\x06"


def can_read(line):
    import select

    return bool(select.select([line], [], [], 0)[0])


def test_the_daemon_itself_erases_what_is_over_of_the_worklist(quick, tmp_path, monkeypatch):
    expired = []

    async def scene(made):
        monkeypatch.setattr(made.kit.worklist, "expire", lambda: expired.append(made))
        await until(lambda: expired)
        return "erased"

    assert run(tmp_path, scene) == "erased"
