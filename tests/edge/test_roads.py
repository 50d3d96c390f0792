"""Real roads of a kit's ways: sockets, an interface that somebody else keeps, commands, and what a modem tells."""

import asyncio
import errno
import fcntl
import logging
import os
import socket
import struct
import subprocess
import sys
import time
import tracemalloc
from functools import partial

import pytest

from edge import interface, roads
from edge.config import Energy, KitConfig, Way
from edge.interface import InterfaceRoad, addresses_of, run_command
from edge.kit import Kit
from edge.linking import Linking
from edge.modem_power import PRESS_S
from edge.panel import DarkLamps
from edge.roads import RoadShell, UrlRoad, told
from hardware.simulated import ptys
from node.clock import SystemClock
from node.disk import RealDisk
from node.entropy import system
from node.idle import NothingToSend
from node.link import Grant, Host
from node.modems.seam import ModemState, ModemStatus
from node.reactor import HostShell
from node.seams import Receipt
from node.spool import State
from node.url import Url, parse_url
from tests.edge.test_kit import ENROLMENT, GATEWAY, PSK, SERVER_SIGN
from tests.wire.air import MemoryInbox
from wire.errors import ConfigError, LinkDown
from wire.objects import STUDY
from wire.receipt import sign_receipt

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="makes a network interface: needs root")


class Place:
    """A kit with ways in a folder, and a gateway on this machine."""

    def __init__(self, tmp_path, ways, secrets=None):
        self.log = []
        self.disk = RealDisk(tmp_path)
        clock = SystemClock()
        self.kit = Kit(KitConfig(way=list(ways)), ENROLMENT, self.disk, clock, system, DarkLamps(), self.note)
        self.linking = Linking(self.kit, secrets or {}, tmp_path, self.disk, clock, lambda: None)

    def note(self, kind, text):
        self.log.append(f"{kind}: {text}")

    def put(self, size=3000):
        number = len(self.kit.spool.objects())
        return self.kit.spool.put(bytes([number]) * 16, STUDY, bytes(size)).object_id

    def has(self, object_id):
        return self.kit.spool.get(object_id).state

    def road(self, name):
        return self.linking.ways.ways[name].road


async def gateway(scheme="udp", host="127.0.0.1"):
    inbox = MemoryInbox(
        lambda given: Receipt(sign_receipt(given.object_id, given.digest + bytes(16), 0, SERVER_SIGN[0]))
    )
    grant = Grant(PSK, "van-1")
    shell = HostShell(Host(GATEWAY, lambda _: grant, lambda _: NothingToSend(), inbox, system), lambda: None)
    there = await shell.listen(Url(scheme, host, 0))
    return there, asyncio.ensure_future(shell.run())


async def until(done, seconds=20.0):
    async with asyncio.timeout(seconds):
        while not done():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.02)


async def end(*tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
@pytest.mark.parametrize("bound", ["", "lo"])
def test_a_study_goes_by_a_real_socket_also_one_that_is_bound_to_an_interface(tmp_path, scheme, bound):
    async def play():
        there, serving = await gateway(scheme)
        place = Place(tmp_path, [Way(name="net", url=str(there), interface=bound)])
        one = place.put()
        running = asyncio.ensure_future(place.linking.run())
        await until(lambda: place.has(one) is State.RECEIVED)
        told = place.linking.status()["ways"][0]
        await end(running, serving)
        assert told["state"] == "in use"
        assert told["today"]["bytes"] > 3000
        assert place.road("net").status().is_there

    asyncio.run(play())


def test_a_silent_address_gives_way_to_the_next_of_the_same_way(tmp_path, monkeypatch):
    monkeypatch.setattr("edge.ways.SILENCE_S", 1.0)

    async def play():
        there, serving = await gateway()
        place = Place(tmp_path, [Way(name="net", url="udp://127.0.0.1:9")])
        place.road("net")._urls = [parse_url("udp://127.0.0.1:9"), there]
        one = place.put()
        running = asyncio.ensure_future(place.linking.run())
        await until(lambda: place.has(one) is State.RECEIVED)
        assert place.road("net").url == there
        assert not place.road("net").turn(), "all have been tried"
        await end(running, serving)

    asyncio.run(play())


def test_a_road_that_is_closed_is_deaf_and_leaves_nothing_open(tmp_path):
    async def play():
        there, serving = await gateway()
        place = Place(tmp_path, [Way(name="net", url=str(there))])
        running = asyncio.ensure_future(place.linking.run())
        await until(lambda: place.linking.ways.using is not None)
        road = place.road("net")
        run = road._run
        await end(running, serving)
        assert run.is_deaf
        assert not road.is_open
        run.up(None)
        run.note_error("late")
        assert road.trouble == ""

    asyncio.run(play())


def test_a_gateway_that_the_enrolment_does_not_name_is_refused(tmp_path):
    async def play():
        Place(tmp_path, [Way(name="a", gateway="nowhere")])

    with pytest.raises(ConfigError, match="gateway 'nowhere' is not in the enrolment; there are: ground, second"):
        asyncio.run(play())


def test_secrets_are_in_the_options_and_nowhere_else(tmp_path):
    async def play():
        url = "modem:///dev/gsm?apn=x&pin={pin}&to=udp://h:1"
        place = Place(tmp_path, [Way(name="gsm", url=url)], {"pin": "4711&5"})
        road = place.road("gsm")
        assert road.url.options["pin"] == "4711&5"
        assert "4711" not in str(place.linking.status())

    asyncio.run(play())


def test_a_stick_takes_what_may_go_by_hand(tmp_path):
    stick = tmp_path / "stick"
    (stick / "feldsher").mkdir(parents=True)
    (tmp_path / "kit").mkdir()

    async def play():
        place = Place(tmp_path / "kit", [Way(name="stick", url=f"dir://{stick}", object_size_max=5000)])
        small, large = place.put(3000), place.put(6000)
        running = asyncio.ensure_future(place.linking.run())
        await until(lambda: place.linking.ways._carried)
        status = place.linking.status()
        await end(running)
        assert set(place.linking.ways._carried) == {small}
        assert large not in place.linking.ways._carried
        assert status["ways"][0]["state"] == "there"
        assert list(stick.glob("feldsher/*"))

    asyncio.run(play())


# What a modem tells


def test_a_modem_that_vanishes_says_so_draws_nothing_and_costs_no_energy(tmp_path):
    """Its last word was "off" or "up" until the way was given up, and the energy ran on."""
    gsm = Way(
        name="gsm", url=f"modem://{tmp_path}/gsm?to=udp://192.0.2.1:1", energy=Energy(watts=2, joules_per_start=9)
    )
    (tmp_path / "kit").mkdir()

    async def play():
        place = Place(tmp_path / "kit", [gsm])
        place.put()
        running = asyncio.ensure_future(place.linking.run())
        way = place.linking.ways.ways["gsm"]
        with ptys.open_pty(str(tmp_path / "gsm")):
            await until(lambda: way.road.status().is_drawing)
            await until(lambda: way.purse.budget.spent("gsm").millijoules > 9000)
        await until(lambda: "there is no such line" in way.road.status().text)
        told = place.linking.status()["ways"][0]
        assert not way.road.status().is_drawing
        place.linking.tick()
        spent = way.purse.budget.spent("gsm")
        await asyncio.sleep(2.5)  # energy is counted by the second
        assert way.purse.budget.spent("gsm") == spent
        await end(running)
        assert "there is no such line" in told["does"]
        assert told["state"] == "opening"

    asyncio.run(play())


def test_a_way_that_only_fails_to_open_costs_no_energy(tmp_path):
    """`power=key` where there are no pins: nothing was ever switched on."""
    gsm = Way(name="gsm", url="modem:///dev/null?power=key&to=udp://h:1", energy=Energy(watts=2, joules_per_start=40))

    async def play():
        place = Place(tmp_path, [gsm])
        place.put()
        running = asyncio.ensure_future(place.linking.run())
        way = place.linking.ways.ways["gsm"]
        await until(lambda: "has no pins" in way.road.status().text)
        await asyncio.sleep(1.5)  # energy is counted by the second
        assert way.is_open
        assert way.purse.budget.spent("gsm").millijoules == 0
        await end(running)

    asyncio.run(play())


def test_what_a_modem_tells_is_shown_and_its_clock_is_only_logged(tmp_path, caplog):
    async def play():
        place = Place(tmp_path, [Way(name="gsm", url="modem:///dev/gsm?to=udp://h:1")])
        road = place.road("gsm")
        assert isinstance(road, UrlRoad)
        run = RoadShell(road, None, None)
        later = SystemClock().time_ms() + 3_600_000
        run.note_modem(ModemStatus(ModemState.READY, "SIM800", "Kyivstar", -85, network_time_ms=later))
        run.note_modem(ModemStatus(ModemState.LOCKED, "SIM800", trouble="the SIM wants its PUK", network_time_ms=later))
        assert (road.status().needs_person, road.status().text) == (True, "the SIM wants its PUK")
        notes = run.pin_notes("/dev/gsm")
        notes.write("tried")
        assert run.pin_notes("/dev/gsm").read() == "tried"

    with caplog.at_level(logging.WARNING):
        asyncio.run(play())
    assert [record.getMessage() for record in caplog.records if "network" in record.getMessage()] == [
        "clock: the network of /dev/gsm is +3600 s from our time; nothing was set"
    ]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(101, "x"), "Network is unreachable"),
        (TimeoutError(), "no connection"),
        (LinkDown("busy"), "busy"),
        ("text", "text"),
    ],
)
def test_what_went_wrong_is_told_in_the_systems_words(error, says):
    assert told(error, Url("udp", "h", 1)) == says


def test_a_process_without_a_descriptor_left_goes_on_watching_interfaces(monkeypatch):
    """The error came out of the watch, which nobody awaits: the way would never have been up again."""

    def none_left(*_):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", none_left)
    assert addresses_of("lo") <= {"::1"}


def test_what_a_power_key_knows_outlives_the_road_that_used_it(tmp_path, monkeypatch):
    async def play():
        place = Place(tmp_path, [Way(name="gsm", url="modem:///dev/gsm?to=udp://h:1")])
        road = place.road("gsm")
        powers = [RoadShell(road, place.linking._shell, None).modem_power("key") for _ in range(2)]
        assert powers[0] is powers[1], "else a modem that was switched off at the end is believed to be on"

    monkeypatch.setattr(roads, "modem_power", lambda how, later: object())
    asyncio.run(play())


def test_a_modem_is_not_opened_anew_before_it_has_hung_up_however_often_its_way_is_opened(tmp_path, monkeypatch):
    at_once, most = [], []

    async def slow_to_go(shell, url):
        at_once.append(shell)
        most.append(len(at_once))
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            at_once.remove(shell)

    async def play():
        place = Place(tmp_path, [Way(name="gsm", url="modem:///dev/gsm?to=udp://h:1")])
        road = place.road("gsm")
        for _ in range(4):
            road.open()
            await asyncio.sleep(0.02)
            road.close()
        road.open()
        await until(lambda: len(most) == 2)
        road.close()
        await road.closed()
        assert at_once == []

    monkeypatch.setattr(roads, "calling", lambda scheme: slow_to_go)
    asyncio.run(play())
    assert max(most) == 1


def test_the_last_press_of_a_power_key_ends_before_the_process_does(tmp_path, monkeypatch):
    levels = []

    async def hung_up(shell, url):
        power = shell.modem_power("key")
        try:
            await asyncio.Event().wait()
        finally:
            power.set(False)

    async def play():
        place = Place(tmp_path, [Way(name="gsm", url="modem:///dev/gsm?to=udp://h:1")])
        running = asyncio.ensure_future(place.linking.run())
        await until(lambda: bool(levels))
        began = asyncio.get_running_loop().time()
        await end(running)
        assert asyncio.get_running_loop().time() - began < PRESS_S + 1

    take = partial(roads.modem_power, take=lambda number: (levels.append, False))
    monkeypatch.setattr(roads, "modem_power", take)
    monkeypatch.setattr(roads, "calling", lambda scheme: hung_up)
    asyncio.run(play())
    assert levels == [False, True, False]


def test_a_defect_in_the_code_of_a_way_costs_the_way_a_minute_and_the_kit_nothing(tmp_path, caplog, monkeypatch):
    calls = []

    async def broken(shell, url):
        calls.append(shell)
        raise ZeroDivisionError("a defect")

    async def play():
        place = Place(tmp_path, [Way(name="gsm", url="modem:///dev/gsm?to=udp://h:1")])
        running = asyncio.ensure_future(place.linking.run())
        await until(lambda: len(calls) > 2)
        assert place.road("gsm").status().text == "a defect of this program (ZeroDivisionError); its log tells more"
        await end(running)

    monkeypatch.setattr(roads, "calling", lambda scheme: broken)
    monkeypatch.setattr(roads, "DEFECT_S", 0.02)
    asyncio.run(play())
    assert "broken" in caplog.text, "where it happened is in the log"


# Interfaces and commands


def test_the_addresses_of_an_interface():
    assert "127.0.0.1" in addresses_of("lo")
    assert addresses_of("wwan77") == frozenset()


class Road:
    """Counts what an interface asks of it."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        return lambda: self.calls.append(name)


def test_another_address_begins_another_bearer(monkeypatch):
    seen = [frozenset({"10.0.0.1"}), frozenset({"10.0.0.1"}), frozenset({"10.0.0.2"}), frozenset()]
    monkeypatch.setattr(interface, "addresses_of", lambda name: seen.pop(0))
    road = Road()
    watched = InterfaceRoad(road, "wwan0", [], [], [])
    watched.look()
    assert road.calls == []
    watched.look()
    watched.look()
    assert road.calls == ["restart", "restart"]


def test_a_command_makes_the_call_and_ends_it_and_its_secrets_are_not_shown(tmp_path):
    marks = tmp_path / "marks"

    async def play():
        up = [sys.executable, "-c", f"open({str(marks)!r}, 'a').write('up ')"]
        down = [
            sys.executable,
            "-c",
            f"import sys; open({str(marks)!r}, 'a').write('down '); sys.exit('bad apn s3cret')",
        ]
        there, serving = await gateway()
        place = Place(tmp_path, [Way(name="net", url=str(there))])
        road = InterfaceRoad(place.road("net"), "wwan77", up, down, ["s3cret"])
        assert road.status().is_there, "it can be brought up"
        road.open()
        road.close()
        await road.closed()
        await end(serving)
        assert marks.read_text() == "up down "
        assert road.status().text.endswith("failed (1): bad apn …")

    asyncio.run(play())


def test_a_command_that_hangs_is_ended_and_one_that_is_missing_is_told():
    async def play():
        slow = [sys.executable, "-c", "import time; time.sleep(60)"]
        assert "not done within 0 s" in await run_command(slow, 0.3)
        assert await run_command(["no-such-command-here"]) == "no-such-command-here: No such file or directory"
        assert await run_command([sys.executable, "-c", ""]) == ""

    asyncio.run(play())


def test_a_command_that_leaves_a_program_behind_is_done_when_it_has_ended():
    async def play():
        assert await run_command(["sh", "-c", "sleep 20 & exit 0"], 5.0) == ""
        assert await run_command(["sh", "-c", "sleep 20 & echo no modem >&2; exit 3"], 5.0) == "sh failed (3): no modem"

    began = time.monotonic()
    asyncio.run(play())
    assert time.monotonic() - began < 4


def test_a_command_that_talks_without_end_costs_no_memory():
    async def play():
        talk = "import sys; [sys.stderr.write('x' * 99 + chr(10)) for _ in range(100_000)]; sys.exit(1)"
        loud = [sys.executable, "-c", talk]
        tracemalloc.start()
        said = await run_command(loud)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert said.endswith("x" * 99)
        assert peak < 2_000_000

    asyncio.run(play())


def test_no_part_of_a_secret_is_shown_where_what_was_said_is_cut():
    async def play():
        up = ["sh", "-c", f"echo {'x' * 170}s3cret-and-long >&2; exit 1"]
        road = InterfaceRoad(Road(), "wwan77", up, [], ["s3cret-and-long"])
        road.open()
        await asyncio.wait({road._commands})
        return road._trouble

    said = asyncio.run(play())
    assert "s3c" not in said
    assert len(said) <= interface.SAID_SIZE_MAX


def test_where_netlink_is_barred_interfaces_are_looked_at_all_the_same(monkeypatch):
    def barred(*words):
        raise PermissionError(13, "RestrictAddressFamilies")

    async def play():
        road = Road()
        monkeypatch.setattr(interface.socket, "socket", barred)
        monkeypatch.setattr(interface, "addresses_of", lambda name: frozenset({str(time.monotonic())}))
        watching = asyncio.ensure_future(interface.watch([InterfaceRoad(road, "wwan0", [], [], [])]))
        await asyncio.sleep(0.3)
        assert not watching.done()
        watching.cancel()
        await asyncio.wait({watching})
        return len(road.calls)

    monkeypatch.setattr(interface, "POLL_S", 0.05)
    assert asyncio.run(play()) > 2


@pytest.fixture
def tunnel():
    """A network interface of our own; it is gone when it is closed."""
    try:
        with open("/dev/net/tun", "r+b", buffering=0) as device:
            fcntl.ioctl(device, 0x400454CA, struct.pack("16sH", b"fslink0", 0x1001))  # TUNSETIFF, without headers
            yield "fslink0"
    except OSError as error:
        pytest.skip(f"this machine makes no tunnels: {error}")


@pytest.mark.root
@needs_root
def test_the_kernel_tells_when_an_interface_gets_an_address(tunnel):
    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    async def play():
        road = Road()
        watched = InterfaceRoad(road, tunnel, [], [], [])
        watching = asyncio.ensure_future(interface.watch([watched]))
        await asyncio.sleep(0.1)
        ip("addr", "add", "192.0.2.7/32", "dev", tunnel)
        ip("link", "set", tunnel, "up")
        await until(lambda: road.calls == ["restart"], 2.0)
        assert watched._addresses == {"192.0.2.7"}
        ip("link", "set", tunnel, "down")
        await until(lambda: len(road.calls) == 2, 2.0)
        await end(watching)

    asyncio.run(play())
