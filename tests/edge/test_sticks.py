"""A stick that hangs: the kit goes on listening, answering and sending as if it were not there."""

import asyncio
import os
import threading

import pytest

from edge import daemon, sticks
from edge.config import KitConfig, Port, Way
from hardware.simulated import ptys
from node.carrying import Far
from node.disk import RealDisk
from node.host import Grant
from node.seams import Offer
from node.spool import digest_of
from tests.edge.test_daemon import NEAR, can_read, until
from tests.edge.test_kit import GATEWAY, SECOND, SERVER_SIGN
from tests.node.sticks import End, Slot
from tests.wire.air import MemoryInbox, MemoryOutbox
from wire import objects
from wire.objects import STUDY
from wire.seal import x25519_public
from wire.worklist import Day, Order, seal_day, sign_worklist, worklist_id

ENQ, ACK, EOT = b"\x05", b"\x06", b"\x04"
ANSWER_S_MAX = 0.5
"""Between a frame and its ACK there is an fsync of the kit's own disk, and this machine may be busy."""


class HungDisk(RealDisk):
    """A stick whose fsync does not return until it is let go."""

    hangs, mended = threading.Event(), threading.Event()

    def sync(self, path):
        self.hangs.set()
        self.mended.wait(20)
        super().sync(path)


@pytest.fixture
def hung(monkeypatch):
    HungDisk.hangs, HungDisk.mended = threading.Event(), threading.Event()
    monkeypatch.setattr(sticks, "RealDisk", HungDisk)
    yield HungDisk
    HungDisk.mended.set()


def frame(number, text):
    body = b"%d%b\r\x03" % (number % 8, text)
    return b"\x02" + body + b"%02X\r\n" % (sum(body) % 256)


class Van:
    """A daemon with an analyser on a line and a slot for sticks, running while its context lasts."""

    def __init__(self, tmp_path, link):
        self.stick = tmp_path / "stick"
        (self.stick / "feldsher").mkdir(parents=True)
        self.data = tmp_path / "data"
        self.data.mkdir()
        way, port = Way(name="stick", url=f"dir://{self.stick}"), Port(name="lab", path=link, driver="astm")
        self.daemon = daemon.Daemon(KitConfig(port=[port], way=[way]), NEAR, self.data)

    async def __aenter__(self):
        self.daemon.kit.spool.put(bytes(16), STUDY, bytes(3000))
        self.running = asyncio.ensure_future(self.daemon.run())
        return self

    async def __aexit__(self, *_):
        self.running.cancel()
        await asyncio.gather(self.running, return_exceptions=True)


async def answer(line):
    """Return what the kit answers, and after how many seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await until(lambda: can_read(line))
    return os.read(line, 10), loop.time() - began


async def talk(line, number):
    """Play one result of an analyser; return how long each answer took."""
    waits_s = []
    texts = [b"H|\\^&|||XP-100", b"P|1", b"O|1||^^%07d" % number, b"R|1|^^^^WBC^1|%d.5|10*3/uL" % number, b"L|1|N"]
    for said in (ENQ, *(frame(at, text) for at, text in enumerate(texts, 1))):
        os.write(line, said)
        said_back, wait_s = await answer(line)
        assert said_back == ACK
        waits_s.append(wait_s)
    os.write(line, EOT)
    return waits_s


def test_a_stick_that_hangs_delays_no_answer_to_a_device(hung, tmp_path):
    async def play():
        link = str(tmp_path / "tty")
        with ptys.open_pty(link) as (line, _):
            async with Van(tmp_path, link) as van:
                await until(lambda: van.daemon._ports["lab"].is_present)
                await until(hung.hangs.is_set)
                waits_s = [wait_s for number in range(5) for wait_s in await talk(line, number)]
                assert not list(van.stick.glob("feldsher/*.parcel"))
                hung.mended.set()
                await until(lambda: list(van.stick.glob("feldsher/*.parcel")))
        return waits_s

    assert max(asyncio.run(play())) < ANSWER_S_MAX


def test_the_end_of_the_process_does_not_wait_for_a_stick_that_hangs(hung, tmp_path, monkeypatch):
    monkeypatch.setattr(sticks, "CLOSE_S_MAX", 0.3)

    async def play():
        with ptys.open_pty(str(tmp_path / "tty")) as _:
            async with Van(tmp_path, str(tmp_path / "tty")):
                await until(hung.hangs.is_set)
                began = asyncio.get_running_loop().time()
            return asyncio.get_running_loop().time() - began

    assert asyncio.run(play()) < 2.0


def test_a_way_that_is_opened_anew_waits_for_the_call_that_hangs(hung, tmp_path):
    async def play():
        van = Van(tmp_path, str(tmp_path / "tty"))
        van.daemon.kit.spool.put(bytes(16), STUDY, bytes(3000))
        (road,) = van.daemon._linking._roads
        road.open()
        await until(hung.hangs.is_set)
        for _ in range(3):
            road.close()
            road.open()
        assert [thread.name for thread in threading.enumerate()].count(f"stick {van.stick}") == 1
        assert not road.status().text.startswith("carried")
        hung.mended.set()
        await until(lambda: road.status().text.startswith("carried: 1 study"))
        road.close()
        await road.closed()
        assert [name for name in os.listdir("/proc/self/fd") if points_to(name, van.stick)] == []

    asyncio.run(play())


def points_to(name, place):
    try:
        return os.readlink(f"/proc/self/fd/{name}").startswith(str(place))
    except OSError:
        return False


def listed(version, patient, secret=SERVER_SIGN[0]):
    kit = x25519_public(NEAR.link_secret)
    sealed = seal_day(Day("2099-06-01", (Order(patient),)), 4_083_912_000_000, kit, bytes([version]) * 32)
    return sign_worklist(version, kit, [sealed], secret)


def bring(place, identity, data):
    """Carry a list from a gateway to the stick that is in the kit."""
    outbox, grant = MemoryOutbox(), Grant(NEAR.psk, "van-1")
    given = Offer(worklist_id(data), objects.WORKLIST, len(data), digest_of(data), 2)
    outbox.objects[given.object_id] = given, data
    far = Far(x25519_public(NEAR.link_secret), outbox)
    with RealDisk(place) as disk:
        ground = End(identity, Slot(), MemoryInbox(), lambda _: grant, [far], seed=data[-1])
        ground.visit(disk)
    return outbox


def test_worklists_of_each_gateway_are_taken_from_the_stick_also_after_the_card_failed(tmp_path, caplog):
    caplog.set_level("INFO")

    async def play():
        van = Van(tmp_path, str(tmp_path / "tty"))
        async with van:
            kit = van.daemon.kit
            bring(van.stick, GATEWAY, listed(1, "113"))
            await until(lambda: kit.worklist.version == 1)
            kit.reopen()
            bring(van.stick, SECOND, listed(2, "114"))
            await until(lambda: kit.worklist.version == 2)
            assert [one.patient for one in kit.capture.orders.about(())] == ["114"]
            bring(van.stick, GATEWAY, listed(3, "115", b"x" * 32))
            await until(lambda: "is refused: not allowed" in caplog.text)
            bring(van.stick, GATEWAY, listed(1, "116"))
            await until(lambda: caplog.text.count("came in a parcel") == 3)
            assert kit.worklist.version == 2

    with ptys.open_pty(str(tmp_path / "tty")) as _:
        asyncio.run(play())
