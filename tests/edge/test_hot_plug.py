"""Devices that come and go under the real kit: what is kept and flagged, and what panel and `kit status` say."""

import os
import re
import time

import pytest

from edge import ports
from edge.config import Port
from feldsher.port_lines import port_lines
from hardware.leds import DOUBLE, SLOW
from hardware.simulated import ptys
from hardware.simulated.scales import and_line, tanita_line
from hardware.simulated.tm2655 import framed
from node.daemon import read_status
from tests.edge.plugs import Sockets, kept, said
from tests.edge.test_daemon import run, until
from tests.recordings import replay

LOAD = and_line(71.4)
PERSON = tanita_line(71.4, 170, 21.0)


def arm(minute=0):
    """Return a result of a TM-2655."""
    fields = ("TM2655", f"26080109{minute:02d}", "RB", "M", "E00", "S121", "M 91", "D 79", "P 66", "I17", "L139")
    return framed("\x1e".join(fields))


ARM = arm()


@pytest.fixture
def sockets(tmp_path):
    made = Sockets(tmp_path)
    yield made
    made.pull()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ports, "RETRY_S_MIN", 0.05)
    monkeypatch.setattr(ports, "RETRY_S_MAX", 0.1)
    monkeypatch.setattr(ports, "READ_S", 0.05)


def present(made, *names):
    return until(lambda: all(made._ports[name].is_present for name in names))


def state(made, name):
    return made.status()["devices"][name]["state"]


def shown(made):
    status = made.status()
    return port_lines(status["ports"], status["devices"])


def led(made):
    return made.status()["leds"]["device"][0]


def scene_of(tmp_path, sockets, drivers, play):
    """Run a kit with a port for each of `drivers`; return what it kept."""
    made_ports = [Port(name=name, path=sockets.path(name), driver=driver) for name, driver in drivers.items()]

    async def scene(made):
        await play(made)
        return "played"

    assert run(tmp_path, scene, made_ports) == "played"
    return kept(tmp_path)


def test_a_device_that_vanished_returns_under_another_name_and_is_captured(tmp_path, sockets):
    async def play(made):
        line = sockets.plug("scale")
        await present(made, "scale")
        first = sockets.name("scale")
        os.write(line, LOAD)
        await until(lambda: made.kit.capture.capturing)
        sockets.pull("scale")
        await until(lambda: state(made, "scale") == "missing")
        assert led(made) == SLOW
        await until(lambda: "there is no such port" in made.status()["devices"]["scale"]["text"])
        with ptys.open_pty():  # somebody else has the old name meanwhile
            line = sockets.plug("scale")
            assert sockets.name("scale") != first
            await present(made, "scale")
            os.write(line, and_line(64.2))
            await until(lambda: made.kit.capture.capturing)
        assert "was gone once" in shown(made)[0]

    studies = scene_of(tmp_path, sockets, {"scale": "andscale"}, play)
    assert [study.values["body weight"] for study in studies] == ["71.4", "64.2"]


def test_two_identical_adapters_swapped_are_told_apart_and_nothing_is_mixed(tmp_path, sockets):
    async def play(made):
        lines = {name: sockets.plug(name) for name in ("scale", "arm")}
        await present(made, "scale", "arm")
        os.write(lines["scale"], LOAD)
        os.write(lines["arm"], ARM)
        await until(lambda: made.kit.capture.capturing == 2)
        sockets.pull("scale", "arm")
        await until(lambda: led(made) == SLOW)
        lines = {name: sockets.plug(name) for name in ("scale", "arm")}
        await present(made, "scale", "arm")
        os.write(lines["scale"], ARM)  # they are in each other's sockets now
        os.write(lines["arm"], and_line(64.2))
        await until(lambda: state(made, "scale") == state(made, "arm") == "wrong-device")
        assert led(made) == DOUBLE
        assert made.status()["leds"]["alarm"][0] == SLOW
        assert "another device" in made.status()["leds"]["device"][1]
        first, _ = shown(made)
        assert "wrong device: a device of the driver 'tm2655' speaks here, not 'andscale'" in first
        sockets.pull("scale", "arm")
        await until(lambda: led(made) == SLOW)
        lines = {name: sockets.plug(name) for name in ("scale", "arm")}
        await present(made, "scale", "arm")
        os.write(lines["scale"], and_line(58.0))
        await until(lambda: state(made, "scale") == "heard")
        assert state(made, "arm") == "silent"
        assert led(made) != DOUBLE

    studies = scene_of(tmp_path, sockets, {"scale": "andscale", "arm": "tm2655"}, play)
    whole = [study for study in studies if not study.partial]
    assert sorted(study.device.port for study in whole) == ["arm", "scale", "scale"]
    assert {study.values.get("systolic", "") for study in whole if study.device.port == "arm"} == {"121"}
    flagged = {study.device.port: study for study in studies if study.partial}
    assert flagged["scale"].raw == ARM
    assert flagged["arm"].raw == and_line(64.2)
    for port, study in flagged.items():
        assert study.device.driver == "lines"
        assert not {"systolic", "body weight"} & study.values.keys()
        assert study.partial[0].startswith(f"wrong device on port {port}: it speaks as one of driver")


def test_a_scales_line_on_the_scanners_port_is_no_label(tmp_path, sockets):
    async def play(made):
        line = sockets.plug("labels")
        await present(made, "labels")
        os.write(line, LOAD)
        await until(lambda: state(made, "labels") == "wrong-device")
        assert made.kit.capture.patient(made._clock.now()) is None

    (study,) = scene_of(tmp_path, sockets, {"labels": "barcode"}, play)
    assert study.raw == LOAD
    assert not study.patients


def test_a_cable_moved_between_adapters_that_stay_plugged_is_noticed_and_its_return_too(tmp_path, sockets, monkeypatch):
    from edge import stranger

    monkeypatch.setattr(stranger, "OWN_S", 0.2)

    async def play(made):
        line = sockets.plug("scale")
        await present(made, "scale")
        os.write(line, LOAD)
        await until(lambda: state(made, "scale") == "heard")
        for _ in range(8):
            os.write(line, PERSON)
            await until(lambda: not made._ports["scale"].take())
            await pause()
        await until(lambda: state(made, "scale") == "wrong-device")
        os.write(line, and_line(64.2))
        await until(lambda: state(made, "scale") == "heard")
        await until(lambda: made.kit.capture.capturing)

    studies = scene_of(tmp_path, sockets, {"scale": "andscale"}, play)
    assert [study.values["body weight"] for study in studies if not study.partial] == ["71.4", "64.2"]


async def pause():
    import asyncio

    await asyncio.sleep(0.06)


def test_no_label_names_the_patient_of_a_device_on_the_wrong_port(tmp_path, sockets):
    async def play(made):
        lines = {name: sockets.plug(name) for name in ("labels", "arm")}
        await present(made, "labels", "arm")
        os.write(lines["labels"], b"24310077\r\n")
        await until(lambda: made.status()["label_scanned"])
        os.write(lines["arm"], LOAD)
        await until(lambda: state(made, "arm") == "wrong-device")

    (study,) = scene_of(tmp_path, sockets, {"labels": "barcode", "arm": "tm2655"}, play)
    assert study.raw == LOAD
    assert not study.patients


def test_an_analyser_on_the_wrong_port_is_not_answered_and_keeps_its_results(tmp_path, sockets):
    frame = next(data for _, data in replay.load("astm-xp100").heard if data.startswith(b"\x02"))

    async def play(made):
        line = sockets.plug("lab")
        await present(made, "lab")
        os.write(line, b"\x05")
        await until(lambda: state(made, "lab") != "silent")
        said(line)
        os.write(line, frame)
        await until(lambda: state(made, "lab") == "wrong-device")
        os.write(line, frame)
        await pause()
        assert said(line) == b""

    (study,) = scene_of(tmp_path, sockets, {"lab": "kx21"}, play)
    assert study.raw == b"\x05" + frame + frame


def test_a_device_that_talks_at_once_on_open_loses_no_byte(tmp_path, sockets):
    async def play(made):
        line = sockets.plug("person")
        os.write(line, PERSON)
        await present(made, "person")
        await until(lambda: state(made, "person") == "heard")

    (study,) = scene_of(tmp_path, sockets, {"person": "tanita"}, play)
    assert study.raw == PERSON


def test_a_hub_that_resets_takes_all_ports_at_once_and_gives_them_back(tmp_path, sockets):
    drivers = {"scale": "andscale", "person": "tanita", "arm": "tm2655", "labels": "barcode"}
    words = {"scale": LOAD, "person": PERSON, "labels": b"24310077\r\n"}

    async def play(made):
        for life in range(2):
            lines = {name: sockets.plug(name) for name in drivers}
            await present(made, *drivers)
            for name, line in lines.items():
                os.write(line, arm(life) if name == "arm" else words[name])
            await until(lambda: {state(made, name) for name in drivers} == {"heard"})
            sockets.pull(*drivers)
            await until(lambda: {state(made, name) for name in drivers} == {"missing"})
        assert [port["vanished"] for port in made.status()["devices"].values()] == [2, 2, 2, 2]

    studies = scene_of(tmp_path, sockets, drivers, play)
    assert sorted(study.device.port for study in studies) == ["arm", "arm", "person", "person", "scale", "scale"]
    assert not any(study.partial for study in studies)


def test_a_device_that_goes_in_the_middle_of_a_message_leaves_a_flagged_study_and_the_next_is_whole(tmp_path, sockets):
    async def play(made):
        line = sockets.plug("person")
        await present(made, "person")
        os.write(line, PERSON[:60])
        await until(lambda: made.status()["devices"]["person"]["silence_s"] is not None)
        sockets.pull("person")
        await until(lambda: state(made, "person") == "missing")
        line = sockets.plug("person")
        await present(made, "person")
        os.write(line, PERSON[60:])  # the rest of another life: joined to nothing
        os.write(line, PERSON)
        await until(lambda: state(made, "person") == "heard")

    studies = scene_of(tmp_path, sockets, {"person": "tanita"}, play)
    assert [study.raw for study in studies if not study.partial] == [PERSON]
    assert studies[0].raw == PERSON[:60]
    assert studies[0].partial
    assert not studies[0].values


def test_lost_bytes_are_said_in_the_status_and_flagged_in_the_study_that_was_open(tmp_path, sockets, monkeypatch):
    monkeypatch.setattr(ports, "QUEUE_SIZE_MAX", 600)

    async def play(made):
        line = sockets.plug("scale")
        await present(made, "scale")
        os.write(line, LOAD)
        await until(lambda: made.kit.capture.capturing)
        for _ in range(20):
            os.write(line, LOAD * 10)
            time.sleep(0.02)  # noqa: ASYNC251  the kit is busy, and only the port's thread goes on
        await until(lambda: (read_status(tmp_path) or {}).get("devices", {}).get("scale", {}).get("lost_bytes"))
        lost = made.status()["devices"]["scale"]["lost_bytes"]
        assert 0 < lost < 20 * 10 * len(LOAD)
        assert f"{lost} BYTES WERE LOST" in shown(made)[0]
        assert made.status()["leds"]["alarm"][0] == SLOW

    studies = scene_of(tmp_path, sockets, {"scale": "andscale"}, play)
    assert re.fullmatch(r"\d+ bytes of the line were lost: the kit was busy for too long", studies[0].partial[0])
    assert {study.values["body weight"] for study in studies if study.values} == {"71.4"}
