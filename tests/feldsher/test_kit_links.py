"""`kit links` of a kit whose ways are real: a network that is there, one whose interface is not, a stick."""

import json

import pytest

from feldsher.kit_links import brief, lines
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from hardware.simulated.scanner import patient_label
from tests.feldsher.place import Bench, Place, feldsher

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
    assert "21 objects wait; all through in - at the present rates" in shown
    assert "5 study    abababab    2.9 KiB  goes by gsm; through in 1 min 15 s" in shown
    assert "… and 6 more" in shown
    assert brief(LINKS).startswith("links: gsm, 4 held back (`kit links`); today 2.0 KiB")
