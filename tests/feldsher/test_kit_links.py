"""`kit links` of a kit whose ways are real: a network that is there, one whose interface is not, a stick."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from feldsher.kit_links import brief, lines
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from hardware.simulated.scanner import patient_label
from node.spool import State
from tests.feldsher.place import ROOT, Bench, Place, feldsher, free_port
from wire.objects import STUDY, SUMMARY

WAYS = """
[policy]
zone = "Europe/Kyiv"

[[way]]
name = "lan"
rank = 1
[way.cost]
per_mb = 0.5
[way.budget]
bytes = 5000000
money = 1.0

[[way]]
name = "lte"
url = "udp://127.0.0.1:9"
interface = "wwan77"

[[way]]
name = "stick"
url = "dir://{stick}"
delay_min = 0
"""


@pytest.mark.slow
def test_studies_go_by_the_way_that_is_there_and_are_paid_for(tmp_path):
    with Place(tmp_path) as place:
        (tmp_path / "stick" / "feldsher").mkdir(parents=True)
        place.configure_kit({"lab": "astm"})
        config = place.data("kit") / "kit.toml"
        config.write_text(config.read_text() + WAYS.format(stick=tmp_path / "stick"))
        Bench(place, "lab", Analyser([message("xp100", 1, patient_label(1, 0), at=0)], [], every_s=1.0))
        for node in ("centre", "gateway", "kit"):
            place.start(node)
        place.until(lambda: place.held() and place.is_drained(), "the study is at the centre", alive=("kit",))
        place.until(lambda: place.status("kit")["links"]["ways"][0]["today"]["bytes"], "it was paid for")
        place.until(lambda: not place.status("kit")["links"]["waiting"], "the status knows it")
        shown = feldsher("kit", "links", "--data", place.data("kit"))
        told = json.loads(feldsher("kit", "links", "--data", place.data("kit"), "--json").stdout)
        status = feldsher("kit", "status", "--data", place.data("kit")).stdout
        place.stop("kit")
    ways = {way["name"]: way for way in told["ways"]}
    assert 0 < ways["lan"]["today"]["money"] < 0.05
    assert ways["lan"]["today"]["bytes"] > 500
    assert "wwan77 is down" in ways["lte"]["barred"]
    assert ways["stick"]["state"] == "there"
    assert told["waiting"] == []
    assert "EUR of 1.00 EUR" in shown.stdout
    assert "nothing waits" in shown.stdout
    assert "links: lan" in status or "links: none in use" in status


MODEMS = """
[policy]
secrets = "secrets.toml"

[[way]]
name = "gsm"
url = "modem://{gsm}?apn=internet&pin={{pin}}&to=udp://gw.example.org:7700"
carries = "all"
object_size_max = {size_max}
[way.cost]
per_mb = 0.5
[way.energy]
watts = 1.5
joules_per_start = 40

[[way]]
name = "sbd"
url = "sbd://{sbd}"
[way.cost]
per_message = 0.04
[way.budget]
money = 3.0
"""


class Modems:
    """Simulated modems on ptys of a place; they reach its gateway."""

    def __init__(self, place):
        self.place, self.processes = place, []

    def start(self, kind, name, *words):
        link = self.place.pty(name)
        command = [sys.executable, "-m", "feldsher", "simulate", "modem", kind, "--pty-link", link, *words]
        with (self.place.folder / f"{name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log))
        self.place.until(lambda: Path(link).exists(), f"the modem {name} is there")
        return link

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()


def with_modems(place, modems, size_max, *sbd_words):
    """Configure the kit with both modems; a modem's PIN is in the file of secrets."""
    place.configure_kit({"lab": "astm"})
    gsm = modems.start("sim800", "gsm", "--gateway", f"127.0.0.1:{place.ports['gateway']}", "--pin", "1234")
    sbd = modems.start("iridium9602", "sbd", "--speed", "5", *sbd_words)
    config = place.data("kit") / "kit.toml"
    config.write_text(config.read_text() + MODEMS.format(gsm=gsm, sbd=sbd, size_max=size_max))
    secrets = place.data("kit") / "secrets.toml"
    secrets.write_text('pin = "1234"\n')
    secrets.chmod(0o600)


def ways_of(place):
    links = place.status("kit").get("links") or {"ways": []}
    return {way["name"]: way for way in links["ways"]}


@pytest.mark.slow
def test_studies_go_through_a_modem_whose_pin_is_a_secret_and_its_energy_is_counted(tmp_path):
    with Place(tmp_path) as place, Modems(place) as modems:
        with_modems(place, modems, 0)
        Bench(place, "lab", Analyser([message("xp100", 1, patient_label(1, 0), at=0)], [], every_s=1.0))
        for node in ("centre", "gateway", "kit"):
            place.start(node)
        place.until(lambda: place.held() and place.is_drained(), "the study is at the centre", alive=("kit",))
        place.until(lambda: ways_of(place)["gsm"]["today"]["joules"] > 40, "energy is counted")
        gsm, sbd = ways_of(place)["gsm"], ways_of(place)["sbd"]
        place.stop("kit")
    assert gsm["operator"] == "Feldsher Mobile"
    assert gsm["signal_dbm"] < -50
    assert gsm["today"]["money"] > 0
    assert sbd["starts"] == 0
    assert "1234" not in place.log("kit")


@pytest.mark.slow
def test_a_summary_goes_by_satellite_and_its_study_waits(tmp_path):
    directip, mt = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_STREAM)
    with Place(tmp_path) as place, Modems(place) as modems:
        sbd_words = ("--directip", f"127.0.0.1:{directip}", "--mt-listen", f"127.0.0.1:{mt}")
        with_modems(place, modems, 100, *sbd_words)  # nothing of ours is so small: the satellite is all there is
        Bench(place, "lab", Analyser([message("xp100", 1, patient_label(1, 0), at=0)], [], every_s=1.0))
        place.start("centre")
        place.start("gateway", "--listen", f"sbd://127.0.0.1:{directip}?mt=127.0.0.1:{mt}")
        place.until(lambda: "is received" in place.log("gateway"), "the gateway has its roster")
        place.start("kit")  # a stranger's HELLO by satellite goes again after a quarter of an hour
        kinds = lambda: {one.kind: one.state for one, _ in place.held().values()}  # noqa: E731 - asked again and again
        done = (State.CUSTODY, State.RECEIVED)
        place.until(lambda: kinds().get(SUMMARY) in done, "the summary is on the ground", 120, alive=("kit",))
        place.until(lambda: ways_of(place)["sbd"]["today"]["money"], "it was paid for")
        sbd, waiting = ways_of(place)["sbd"], place.status("kit")["links"]["waiting"]
        link_led = place.status("kit")["leds"]["link"][0]
        assert kinds()[STUDY] is State.WAITING
        place.stop("kit")
    assert 0 < sbd["today"]["money"] <= 3.0
    assert sbd["today"]["bytes"] < 2000
    assert [one["says"] for one in waiting if one["kind"] == "study"] == [
        "has no way: no way's terms let it carry this object"
    ]
    assert link_led in {"double", "fast"}


def test_a_kit_without_ways_says_so(tmp_path):
    (tmp_path / "status.json").write_text('{"name": "van-1", "links": null}')
    told = feldsher("kit", "links", "--data", tmp_path)
    assert told.returncode == 64
    assert "has no [[way]]" in told.stderr


WAY = {
    "name": "gsm", "state": "in use", "barred": "", "until": "", "does": "", "trouble": "", "model": "SIM800",
    "operator": "Kyivstar", "is_roaming": True, "signal_dbm": -97, "rate_bps": 9000, "rtt_s": 1.25, "frames_lost": 3,
    "starts": 2, "traffic": {},
    "today": {"bytes": 2048, "bytes_max": 4096, "money": 0.5, "money_max": 2.0, "joules": 12_000, "joules_max": None},
}  # fmt: skip
BARRED = WAY | {"name": "sbd", "state": "closed", "barred": "budget of today spent", "until": "00:00", "trouble": "old"}
WAITING = {
    "object_id": "ab" * 16, "kind": "study", "priority": 5, "size": 3000, "waiting_s": 7, "way": "gsm",
    "says": "goes by gsm", "eta_s": 75.0,
}  # fmt: skip
LINKS = {
    "currency": "EUR", "ways": [WAY, BARRED], "waiting": [WAITING] * 20, "waiting_count": 21, "held_back": 4,
    "eta_s": None, "budget": WAY["today"], "renews_in_s": 9, "name": "van-1",
}  # fmt: skip


def test_the_lines_say_what_a_person_wants_to_know():
    shown = "\n".join(lines(LINKS))
    assert "gsm        in use" in shown
    assert "SIM800 Kyivstar roaming, -97 dBm, 9.0 kbit/s, RTT 1250 ms, 3 frames lost" in shown
    assert "today 2.0 KiB of 4.0 KiB, 0.50 EUR of 2.00 EUR, 12.0 kJ" in shown
    assert "sbd        closed: budget of today spent, until 00:00" in shown
    assert "trouble: old" in shown
    assert "21 objects wait; nothing goes: no way is up" in shown
    assert "5 study    abababab    2.9 KiB  goes by gsm; through in 1 min 15 s" in shown
    assert "… and 6 more" in shown
    assert brief(LINKS).startswith("links: gsm, 4 held back (`kit links`); today 2.0 KiB")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"eta_s": 75.0, "in_use": ["gsm"]}, "all through in 1 min 15 s at the present rates"),
        ({"eta_s": None, "in_use": ["gsm"]}, "when all will be through is not known"),
        ({"eta_s": None, "in_use": [], "being_tried": ["gsm"]}, "nothing goes yet: gsm is being tried"),
        ({"eta_s": None, "in_use": [], "being_tried": []}, "nothing goes: no way is up"),
    ],
)
def test_nothing_is_promised_that_nobody_knows(how, says):
    assert f"21 objects wait; {says}" in lines(LINKS | how)
