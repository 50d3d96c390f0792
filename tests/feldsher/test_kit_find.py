"""`kit devices --listen`, `--ask`, `--propose`: who is on which port, what is never opened, and what is never sent."""

import argparse
import contextlib
import copy
import json
import os
import random
import threading
from collections import deque
from collections.abc import Mapping

import pytest

from edge import config, ports, registry, usb_ids
from edge.driver import Line
from edge.ports import open_line
from feldsher import kit_find, simulate
from feldsher.main import main
from feldsher.simulated_devices import KINDS
from hardware.simulated import ptys
from hardware.simulated.gmc import Gmc
from hardware.simulated.radpro import RadPro
from hardware.simulated.scales import tanita_line
from hardware.simulated.suntech import Suntech
from node.clock import SystemClock
from node.daemon import STATUS_FILE

STREAM = [tanita_line(60.0 + at, 170, 21.0) for at in range(200)]


class Babbler:
    """Says a line twenty times a second."""

    is_done = False

    def __init__(self, words, every_s=0.05):
        self._words, self._every_s, self._next_at = iter(words), every_s, None
        self.heard = b""

    def feed(self, data, now):
        self.heard += data
        return b""

    def tick(self, now):
        if self._next_at is None or now >= self._next_at:
            self._next_at = now + self._every_s
            return next(self._words, b"")
        return b""

    def deadline(self):
        return self._next_at


@pytest.fixture
def plugged(tmp_path):
    """Plug a simulated device in; return its path."""
    stop = threading.Event()
    with contextlib.ExitStack() as held:

        def plug(name, device, baud=0):
            line, path = held.enter_context(ptys.open_pty(str(tmp_path / name)))
            thread = threading.Thread(target=ptys.run, args=(device, line, SystemClock().now, stop.is_set, baud))
            held.callback(thread.join)
            thread.start()
            return path

        held.callback(lambda: None)
        yield plug
        stop.set()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(ports, "READ_S", 0.03)
    monkeypatch.setattr(kit_find, "SILENCE_S", 0.5)
    monkeypatch.setattr(kit_find, "ANSWER_S", 0.15)
    monkeypatch.setattr(kit_find, "END_S", 0.05)


def found(*paths, listen=0.15, ask=False, data=None):
    args = argparse.Namespace(listen=listen, ask=ask, propose=False, port=list(paths), data=data, json=False)
    return kit_find.find(args, [])


def test_a_device_that_speaks_is_known_with_its_speed_and_nothing_is_sent_to_it(plugged):
    device = Babbler(STREAM)
    path = plugged("scale", device, 4800)
    one = found(path, ask=True)[path]
    assert (one.guess.driver, one.guess.line, one.guess.confidence) == ("tanita", Line(4800), "sure")
    assert one.would.startswith("a study: body-measures (body weight")
    assert not one.asked
    assert device.heard == b""


def test_what_lay_in_the_line_before_it_was_set_proves_no_speed(tmp_path):
    with ptys.open_pty(str(tmp_path / "one")) as (line, path):
        os.write(line, STREAM[0])
        assert found(path)[path].guess is None


def test_a_silent_device_is_asked_only_when_that_is_wanted(plugged):
    path = plugged("counter", RadPro(1, 4, 5.0))
    plain = found(path, listen=0.1)[path]
    assert plain.guess is None
    assert not plain.asked
    asked = found(path, listen=0.05, ask=True)[path]
    assert asked.guess.driver == "radpro"
    assert asked.answer_to


def test_a_geiger_counter_at_its_slower_speed_answers_who_it_is(plugged):
    path = plugged("counter", Gmc(1, 4, 5.0), 57600)
    one = found(path, listen=0.05, ask=True)[path]
    assert (one.guess.driver, one.guess.line) == ("gmc", Line(57600))


def test_a_blood_pressure_module_tells_its_last_result_and_nothing_else_is_asked_of_it(plugged):
    device = Suntech(1)
    path = plugged("cuff", device)
    one = found(path, listen=0.05, ask=True)[path]
    assert (one.guess.driver, one.guess.line, one.guess.confidence) == ("suntech", Line(9600), "sure")
    assert one.answer_to == "the last result, which it keeps"
    assert device.commands == [bytes.fromhex("3a7903004a")]
    shown = " ".join(kit_find.lines_of(one))
    assert "systolic" not in shown, "whose result it is nobody knows, so it is not shown"


def test_an_analyser_that_calls_is_likely_and_gets_no_answer(plugged):
    device = Babbler([b"\x05"] * 100)
    path = plugged("lab", device)
    one = found(path, ask=True)[path]
    assert (one.guess.driver, one.guess.confidence) == ("astm", "likely")
    assert one.guess.why.endswith("; so does the device of bc2800")
    assert device.heard == b""


def test_a_stranger_is_said_to_be_one_and_left_in_peace(plugged):
    device = Babbler([b"hello\r\n"] * 200)
    path = plugged("who", device)
    one = found(path, ask=True)[path]
    assert one.guess is None
    assert device.heard == b""
    assert "no driver understood it" in kit_find.lines_of(one)[0]


def test_what_is_proposed_is_read_by_the_kit(plugged, tmp_path):
    paths = [
        plugged("one", Babbler(STREAM), 4800),
        plugged("two", Babbler(STREAM), 9600),
        plugged("lab", Babbler([b"\x05"] * 99)),
    ]
    text = kit_find.proposal([*found(*paths, listen=0.15).values()], {})
    (tmp_path / "kit.toml").write_text(text)
    found_ports = config.load(tmp_path / "kit.toml").port
    assert [(port.name, port.path, port.driver, port.baud) for port in found_ports] == [
        ("tanita", paths[0], "tanita", 4800),
        ("tanita-2", paths[1], "tanita", 0),
    ]
    assert '# driver = "astm"' in text
    assert "likely: it calls (ENQ)" in text


def test_a_port_that_is_configured_is_not_proposed_again(plugged):
    path = plugged("one", Babbler(STREAM))
    assert "is port 'scale' already" in kit_find.proposal([*found(path).values()], {path: ("scale", "tanita")})


def test_a_port_that_another_program_has_is_not_opened(plugged, tmp_path):
    path = plugged("one", Babbler(STREAM))
    other = open_line(path, Line())
    one = found(path)[path]
    other.close()
    assert "has it open" in one.closed


def test_the_running_kits_ports_and_the_lines_of_its_ways_are_named_and_left_alone(tmp_path):
    line, modem = tmp_path / "a", tmp_path / "b"
    (tmp_path / "kit.toml").write_text(
        f'[[port]]\nname = "lab"\npath = "{line}"\ndriver = "astm"\n'
        f'[[way]]\nname = "gsm"\nurl = "modem://{modem}?apn=internet&to=udp://gw.example.org:7700"\n'
    )
    line.touch()
    modem.touch()
    (tmp_path / STATUS_FILE).write_text(json.dumps({"ports": {"lab": True}}))
    held = found(str(line), str(modem), data=tmp_path)
    assert held[str(line)].closed == "the running kit has it (port 'lab')"
    assert held[str(modem)].closed == "it is the line of way 'gsm'"


def test_a_port_that_is_not_there_is_said_to_be_missing(tmp_path):
    path = str(tmp_path / "one")
    assert "there is no such port" in found(path)[path].closed


def row(vid, pid, description="n/a", device=__file__):
    return {
        "path": device,
        "device": device,
        "usb": f"{vid:04x}:{pid:04x}" if vid else "",
        "description": description,
        "driver": "",
    }


@pytest.mark.parametrize(
    ("vid", "pid", "names", "reason"),
    [
        (0x0403, 0x6001, "FT232R USB UART", ""),
        (0x1A86, 0x7523, "USB2.0-Ser!", ""),
        (0x0C2E, 0x0901, "Xenon 1900 USB COM", ""),
        (0x1546, 0x01A7, "u-blox 7 GPS/GNSS", ""),
        (0x12D1, 0x1001, "HUAWEI Mobile", "is a modem"),
        (0x0403, 0x6001, "GSM Modem FTDI", "it calls itself"),
        (0x067B, 0x2303, "Smart UPS", "it calls itself"),
        (0x1366, 0x0105, "J-Link", "it calls itself"),
        (0x0483, 0x5740, "Virtual COM Port", "none of the adapters that are known"),
        (0, 0, "ttyAMA0", "not on USB"),
    ],
)
def test_only_adapters_that_are_known_are_opened(vid, pid, names, reason):
    said = kit_find._why_not(row(vid, pid, names), {}, is_named=False)
    assert (reason in said) if reason else not said


def test_a_line_that_is_named_is_opened_whatever_it_is():
    assert kit_find._why_not(row(0x12D1, 0x1001) | {"driver": "gmc"}, {}, is_named=False) == ""
    assert kit_find._why_not(row(0x12D1, 0x1001), {}, is_named=True) == ""
    assert kit_find._why_not(row(0x12D1, 0x1001), {__file__: "it is the line of way 'gsm'"}, is_named=True)


def test_a_tcp_connection_is_left_to_the_kit():
    assert "TCP" in kit_find._why_not(row(0, 0, device="tcp://10.0.0.1:4001"), {}, is_named=True)


def test_every_adapter_has_a_name():
    assert all(usb_ids.known_as(vid, pid) for vid, pid in usb_ids.ADAPTERS)
    assert not usb_ids.known_as(None, None)


@pytest.mark.parametrize("seconds", ["0", "-1", "601", "nan"])
def test_a_time_that_is_none_is_refused(seconds, capsys):
    assert main(["kit", "devices", f"--listen={seconds}", "--port", "/dev/null"]) == 64
    assert "--listen" in capsys.readouterr().err


def test_the_command_prints_json_and_toml(plugged, capsys):
    path = plugged("one", Babbler(STREAM), 4800)
    assert main(["kit", "devices", "--port", path, "--listen", "0.15", "--json", "--propose"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ports"][0]["driver"] == "tanita"
    assert 'driver = "tanita"' in shown["proposal"]
    assert main(["kit", "devices", "--port", path, "--listen", "0.15"]) == 0
    assert "sure: driver tanita at 4800 8N1" in capsys.readouterr().out


# What may be asked


ASKS = [(name, ask) for name in registry.BUILT_IN for ask in registry.signs(name).asks]
READS = {
    "report",
    "commands",
    "forbidden",
    "heard",
    "_heard",
    "_buffer",
    "_asked",
    "asked",
    "_questions",
    "_answers",
    "_requests",
    "_out",
    "_spoken_to",
}
"""What a device may well have afterwards: what it was asked, and what it will answer."""
SILENT_S = 25.0


def state(value, depth=0):
    """Return everything that a simulated device holds, as plain values, but for what it was asked."""
    if isinstance(value, random.Random):
        return None  # what it will invent is no state of a device
    if depth > 6 or value is None or isinstance(value, int | float | str | bytes | bool):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, Mapping):
        return {str(key): state(one, depth + 1) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple | deque):
        return [state(one, depth + 1) for one in value]
    names = [*getattr(value, "__dict__", {}), *getattr(type(value), "__slots__", ())]
    return {name: state(getattr(value, name, None), depth + 1) for name in names if name not in READS}


def silent(kind):
    """Return a device that has said nothing for as long as one is listened to, and when; None for one that speaks."""
    parser = argparse.ArgumentParser()
    simulate.configure(parser)
    device = simulate.build(parser.parse_args(["device", kind, "--count", "2", "--every", "120"]))
    quiet_since = now = 0.0
    while now < 400.0 and not device.is_done:
        if device.tick(now):
            quiet_since = now
        if now - quiet_since >= SILENT_S:
            return device, now
        now += 0.25
    return None


ASKED = sorted(kind for kind in KINDS if kind != "label-printer" and silent(kind) is not None)
"""A printer of labels prints what it is sent, whatever that is: its USB id keeps it from being asked."""


def test_many_devices_are_silent_long_enough_to_be_asked():
    assert {"mtsics", "gmc", "radpro", "suntech", "contec", "tm2655", "scanner"} <= set(ASKED)


@pytest.mark.parametrize("kind", ASKED)
def test_no_question_changes_a_simulated_device(kind):
    """Every driver's questions to every device: nobody knows who is on the line when they are put."""
    device, now = silent(kind)
    for name, ask in ASKS:
        asked, left = copy.deepcopy(device), copy.deepcopy(device)
        asked.feed(ask.data, now)
        for later in (0.25, 0.5, 1.0):
            asked.tick(now + later)
            left.tick(now + later)
        assert state(asked) == state(left), (name, ask.what)


def test_no_question_holds_a_word_of_a_conversation():
    """Radex' hold ACK, one of SunTech's ENQ: a KX-21 took its result for delivered, an Abacus woke."""
    assert {name for name, _ in ASKS} == {"contec", "gmc", "mtsics", "radpro", "suntech", "tm2655"}
    assert not [name for name, ask in ASKS if set(ask.data) & {0x04, 0x05, 0x06, 0x15, 0x18}]
