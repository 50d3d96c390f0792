"""A device whose speed nobody has written down: found by whole messages, and nothing is lost once it is found."""

import asyncio
import os
import select

import pytest

from edge import ports, registry, speed
from edge.config import KitConfig, Port, check
from edge.driver import Line
from edge.speed import Remembered, Search
from hardware.simulated import ptys
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from hardware.simulated.scales import MtSics, and_line, tanita_line
from hardware.simulated.uart import heard_at
from node.disk import RealDisk
from tests.edge.plugs import Sockets, kept
from tests.edge.test_daemon import run, until
from wire.errors import ConfigError

FAST, SLOW = Line(9600), Line(4800)
PERSON = tanita_line(71.4, 170, 21.0)
LOUD = registry.signs("tanita")


@pytest.fixture
def sockets(tmp_path):
    made = Sockets(tmp_path)
    yield made
    made.pull()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ports, "RETRY_S_MIN", 0.05)
    monkeypatch.setattr(ports, "READ_S", 0.05)
    monkeypatch.setattr(speed, "QUIET_S", 0.2)
    monkeypatch.setattr(speed, "ANSWER_S", 2.5)
    monkeypatch.setattr(speed, "SETTLE_S", 1.5)


def say(line, data, baud):
    os.write(line, ptys.at_speed(line, data, baud))


async def play(device, line, baud, now):
    """Let a simulated device speak at its speed until it is done."""
    while not device.is_done:
        os.write(line, ptys.at_speed(line, device.tick(now()), baud))
        if select.select([line], [], [], 0)[0]:
            heard = ptys.at_speed(line, os.read(line, 4096), baud, is_heard=True)
            os.write(line, ptys.at_speed(line, device.feed(heard, now()), baud))
        await asyncio.sleep(0.02)


def status(made, name="one"):
    return made.status()["devices"][name]


def scene_of(tmp_path, sockets, driver, scene, options=None):
    port = Port(name="one", path=sockets.path("one"), driver=driver, baud="auto", options=options or {})

    async def whole(made):
        await scene(made)
        return "played"

    assert run(tmp_path, whole, [port]) == "played"
    return kept(tmp_path)


async def present(made):
    await until(lambda: made._ports["one"].is_present)


def persons(count, first=0):
    return [tanita_line(60.0 + at, 170, 21.0) for at in range(first, first + count)]


async def find(made, line, baud):
    """Speak until the line is set right, and once more."""
    await present(made)
    say(line, PERSON, baud)
    await until(lambda: ptys.speed_of(line) == baud)
    say(line, PERSON, baud)
    await until(lambda: status(made)["state"] == "heard")


def test_the_speed_is_found_and_no_message_is_lost_from_then_on(tmp_path, sockets):
    async def scene(made):
        line = sockets.plug("one")
        assert status(made)["line"] == str(FAST)
        await find(made, line, 4800)
        assert status(made)["line"] == str(SLOW)
        for one in persons(12):
            say(line, one, 4800)
            await asyncio.sleep(0.05)
        await until(lambda: made.kit.spool.counts() and len(kept(tmp_path)) == 13)

    studies = scene_of(tmp_path, sockets, "tanita", scene)
    assert [study.raw for study in studies] == [PERSON, *persons(12)]


def test_what_came_at_a_wrong_speed_is_no_study_and_the_panel_asks_for_it_again(tmp_path, sockets, caplog):
    async def scene(made):
        line = sockets.plug("one")
        await present(made)
        say(line, PERSON, 4800)
        await until(lambda: status(made)["line"] == str(SLOW))
        assert status(made)["state"] == "searching"
        assert made.status()["leds"]["alarm"][0] == "slow"

    assert scene_of(tmp_path, sockets, "tanita", scene) == []
    assert "A device that does not repeat by itself must send again" in caplog.text


def test_an_analyser_that_calls_again_loses_nothing_at_all(tmp_path, sockets):
    device = Analyser([message("blocks", 1, "24310077"), message("blocks", 2, "24310078")], [], every_s=0.1)

    async def scene(made):
        line = sockets.plug("one")
        await present(made)
        said = iter(range(1_000_000))
        await play(device, line, 38400, lambda: next(said) * 0.5)  # the analyser's clock goes faster than ours

    studies = scene_of(tmp_path, sockets, "astm", scene)
    assert device.report.is_good
    assert [bool(study.partial) for study in studies] == [False, False]


def test_a_scale_that_must_be_asked_is_asked_at_each_speed(tmp_path, sockets):
    device = MtSics(1, 1, 3.0)

    async def scene(made):
        line = sockets.plug("one")
        await present(made)
        playing = asyncio.ensure_future(play(device, line, 2400, made._clock.now))
        await until(lambda: status(made)["state"] == "heard")
        assert status(made)["line"] == str(Line(2400))
        playing.cancel()

    scene_of(tmp_path, sockets, "mtsics", scene)


def test_after_a_restart_the_speed_that_was_found_is_the_first(tmp_path, sockets):
    async def first(made):
        await find(made, sockets.plug("one"), 4800)

    scene_of(tmp_path, sockets, "tanita", first)
    sockets.pull()

    async def second(made):
        line = sockets.plug("one")
        assert status(made)["line"] == str(SLOW)
        await present(made)
        say(line, persons(1)[0], 4800)
        await until(lambda: len(kept(tmp_path)) == 2)

    assert [study.raw for study in scene_of(tmp_path, sockets, "tanita", second)] == [PERSON, *persons(1)]


def test_it_stays_when_the_device_was_unplugged_and_a_plug_made_noise(tmp_path, sockets):
    async def scene(made):
        await find(made, sockets.plug("one"), 4800)
        sockets.pull()
        await until(lambda: status(made)["state"] == "missing")
        line = sockets.plug("one")
        await present(made)
        os.write(line, b"\x00\xff\x00\xfe\x00")
        await asyncio.sleep(0.4)
        say(line, persons(1)[0], 4800)
        await until(lambda: len(kept(tmp_path)) == 2)

    assert scene_of(tmp_path, sockets, "tanita", scene)[1].raw.endswith(persons(1)[0])


# The search by itself


def test_a_silent_line_is_left_as_it_is():
    search = Search((FAST, SLOW), LOUD)
    assert search.deadline() is None
    assert not search.tick(10_000.0)
    assert search.line == FAST


def test_a_babbling_device_does_not_keep_the_search_where_it_is():
    search, now = Search((FAST, SLOW), LOUD), 0.0
    while search.line == FAST:
        now += 0.1
        assert not search.heard(heard_at(PERSON, 4800, 9600), now)
        search.tick(now)
        assert now < speed.BABBLE_S + 1


def test_what_comes_before_the_line_has_turned_is_of_no_setting():
    search = Search((FAST, SLOW), LOUD)
    search.heard(b"garbage", 0.0)
    assert search.tick(speed.QUIET_S + 0.1)
    assert not search.heard(PERSON, 0.4)
    assert search.deadline() is None
    search.tuned()
    assert search.heard(PERSON, 0.5)


def test_a_speed_that_was_right_is_left_late_when_a_device_that_is_asked_says_nothing():
    known, fresh = Search((FAST, SLOW), LOUD, SLOW), Search((FAST, SLOW), LOUD)
    for one in (known, fresh):
        one.sent(0.0)
    assert fresh.tick(speed.ANSWER_S)
    assert not known.tick(speed.ANSWER_S)
    assert known.tick(speed.DOUBT_S)
    assert not known.is_trusted


def test_a_short_answer_of_the_right_device_is_no_reason_to_turn_away():
    search = Search((FAST, SLOW), registry.signs("mtsics"))
    search.sent(0.0)
    assert not search.heard(b"ES\r\n", 0.1)
    assert not search.tick(speed.SETTLE_S + 0.2)
    assert search.heard(b"S S     71.40 kg\r\n", 1.8)


def test_a_message_longer_than_a_line_is_awaited_to_its_end():
    search, data = Search((FAST, SLOW), LOUD), b"x" * 5000 + b"\r\n" + PERSON
    found = [search.heard(data[at : at + 64], at / 960) for at in range(0, len(data), 64)]
    assert not search.tick(len(data) / 960)
    assert any(found) or search.tick(len(data) / 960 + speed.QUIET_S) is False
    assert search.is_found


def test_the_window_is_bounded():
    search = Search((FAST, SLOW), LOUD)
    for at in range(40):
        search.heard(b"y" * 4096, float(at) / 100)
    assert len(search._window) <= speed.WINDOW_SIZE


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"one": 5}', b'{"one": ["a"]}', b'{"one": [1,2,3,4,5]}', b"\xff" * 50]
)
def test_a_damaged_file_of_speeds_is_a_search(tmp_path, content):
    (tmp_path / speed.FILE).write_bytes(content)
    remembered = Remembered(RealDisk(tmp_path))
    assert remembered.line("two") is None
    remembered.keep("two", SLOW)
    assert Remembered(RealDisk(tmp_path)).line("two") == SLOW


def test_what_is_remembered_and_is_none_of_the_drivers_settings_is_not_believed():
    assert Search((FAST, SLOW), LOUD, Line(300)).line == FAST


@pytest.mark.parametrize(
    ("port", "reason"),
    [
        (Port("a", "/dev/x", "lines", baud="auto"), "takes anything for a message"),
        (Port("a", "/dev/x", "barcode", baud="auto"), "takes anything for a message"),
        (Port("a", "/dev/x", "contec", baud="auto"), "the speed goes with the generation"),
        (Port("a", "/dev/x", "nonin", baud="auto"), "knows one speed only"),
        (Port("a", "tcp://10.0.0.1:4001", "astm", baud="auto"), "a TCP connection has no speed"),
        (Port("a", "/dev/x", "astm", baud="auto", parity="E"), "leave those out"),
    ],
)
def test_where_a_speed_cannot_be_found_the_configuration_says_why(port, reason):
    with pytest.raises(ConfigError, match=reason):
        check(KitConfig(port=[port]), "kit.toml")


def test_the_drivers_whose_speed_can_be_found():
    found = {
        name
        for name in registry.BUILT_IN
        if not speed.why_not(registry.signs(name), registry.find(name).FACTS.lines, name)
    }
    assert found >= {
        "abacus",
        "andscale",
        "astm",
        "bc2800",
        "gmc",
        "hl7",
        "kx21",
        "mtsics",
        "nmea",
        "tanita",
        "tm2655",
        "transfer",
    }


def test_at_its_own_speed_an_a_and_d_scale_is_known():
    assert registry.signs("andscale").are_in(and_line(71.4))
