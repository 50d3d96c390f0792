"""The worklist as staff and technicians type it, and the whole road with real processes."""

import json

import pytest

from feldsher.main import main
from hardware.simulated.asking_analyser import AskingAnalyser
from node.clock import SystemClock
from server.centre import Centre
from tests.feldsher.place import Bench, Place, feldsher

LIST = "patient,name,birth,sex,sample,tests\n24310077,Petrenko,19700101,F,S1,WBC HGB\n24310085,,,,S2,GLU\n"
DAY = "2099-06-01"


@pytest.fixture
def centre(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.csv").write_text(LIST)
    with Centre.open(tmp_path / "centre") as opened:
        opened.peers.add_gateway("ground", b"g" * 32, b"u" * 32, ["udp://x:1"])
    assert main(["server", "kit", "add", "van-1", "--data", "centre"]) == 0
    return tmp_path


@pytest.fixture
def run(centre, capsys):
    def call(*words, code=0):
        capsys.readouterr()
        assert main(["server", "worklist", *words, "--data", "centre"]) == code
        return capsys.readouterr()

    return call


def test_a_list_is_entered_shown_and_taken_back(run):
    said = json.loads(run("set", "van-1", "list.csv", "--day", DAY, "--zone", "Europe/Kyiv", "--json").out)
    assert (said["lines"], said["patients"], said["state"]) == (2, 2, "waiting")
    assert said["until"] == "2099-06-02T09:00:00+00:00", "midnight in Kyiv in summer, and twelve hours"
    shown = json.loads(run("show", "van-1", "--day", DAY, "--json").out)
    assert shown[0] == {
        "patient": "24310077",
        "name": "Petrenko",
        "birth": "19700101",
        "sex": "F",
        "sample": "S1",
        "tests": ["WBC", "HGB"],
    }
    assert "Petrenko" not in run("list").out
    run("withdraw", "van-1", "--day", DAY)
    assert run("list", "van-1").out.strip() == "none"


MISTAKES = [
    (("set", "nobody", "list.csv", "--day", DAY), "no kit is called 'nobody'"),
    (("set", "van-1", "none.csv", "--day", DAY), "none.csv: cannot be read"),
    (("set", "van-1", "list.csv", "--day", "1999-01-01"), "would have expired"),
    (("set", "van-1", "list.csv", "--day", "monday"), "--day monday"),
    (("set", "van-1", "list.csv", "--day", DAY, "--zone", "Mars/Base"), "--zone Mars/Base"),
    (("set", "van-1", "list.csv", "--day", DAY, "--keep-h", "1000"), "0 to 72"),
    (("set", "van-1", "bad.csv", "--day", DAY), "line 3: sample S1: it is patient 1's already"),
    (("set", "van-1", "latin.csv", "--day", DAY), "not UTF-8, from byte 9 on"),
    (("set", "van-1", "large.csv", "--day", DAY), "more than 1048576 bytes"),
    (("show", "van-1", "--day", DAY), "has no list"),
    (("withdraw", "van-1", "--day", DAY), "has no list"),
]


def test_a_mistake_is_named_and_changes_nothing(run, centre):
    (centre / "bad.csv").write_text("patient,sample\n1,S1\n2,S1\n")
    (centre / "latin.csv").write_bytes(b"patient\n1\xe9\n")
    (centre / "large.csv").write_bytes(b"patient\n" + b"1" * (1 << 20))
    for words, told in MISTAKES:
        assert told in run(*words, code=64).err
    assert run("list").out.strip() == "none"


def test_what_an_analyser_that_asks_cannot_be_is_named(capsys):
    for words, told in (
        (["--ask", "S1", "--fault", "cut"], "--ask knows the faults: collision"),
        (["--fault", "collision"], "only of an analyser that asks"),
    ):
        assert main(["simulate", "device", "analyser", *words]) == 64
        assert told in capsys.readouterr().err


def test_a_list_goes_to_the_kit_and_an_analyser_gets_its_orders(tmp_path):
    (tmp_path / "list.csv").write_text(LIST)
    with Place(tmp_path) as place:
        place.configure_kit({"lab": "astm"})
        with (place.data("kit") / "kit.toml").open("a") as config:
            config.write("[port.options]\norders = true\n")
        for node in ("centre", "gateway", "kit"):
            place.start(node)
        place.until(lambda: all(map(place.is_ready, ("centre", "gateway", "kit"))), "all are up")
        data = ("--data", place.data("centre"))
        made = feldsher("server", "worklist", "set", "van-1", tmp_path / "list.csv", "--day", DAY, *data)
        assert made.returncode == 0, made.stderr
        with Centre.open(place.data("centre")) as centre:
            place.until(lambda: centre.worklists.lists()[0].state == "on the kit", "the list is there", 30)
            shown = feldsher("kit", "worklist", "--data", place.data("kit"))
            assert "24310077" in shown.stdout
            assert "Petrenko" not in shown.stdout
            assert "Petrenko" in feldsher("kit", "worklist", "--data", place.data("kit"), "--names").stdout
            place.until(lambda: place.status("kit")["worklist"] == [[DAY, 2]], "the status says so")
            assert f"worklist of {DAY}: 2 lines" in feldsher("kit", "status", "--data", place.data("kit")).stdout
            device = AskingAnalyser(["S1", "S2"], ["collision"])
            Bench(place, "lab", device)
            place.until(lambda: device.is_done, "both tubes are measured", 30, alive=("kit",))
            place.until(lambda: len(centre.library.lines(qc=False, page=0)) == 2, "both studies are there", 30)
            patients = {line.patient for line in centre.library.lines(qc=False, page=0)}
            assert centre.worklists.lists()[0].until_ms > SystemClock().time_ms()
    assert patients == {"24310077", "24310085"}
    assert device.told == {"S1": ["WBC", "HGB"], "S2": ["GLU"]}
    assert "Petrenko" not in place.log("kit")
    assert "24310077" not in place.log("kit") + place.log("gateway")
