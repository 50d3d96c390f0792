"""`feldsher kit record`, `kit replay` and `kit new-driver` as a person uses them who writes a driver."""

import io
import json
import os
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest

from edge import recording
from feldsher.main import main
from hardware.simulated import ptys
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from tests.feldsher.test_devices_cli import PATIENCE_S, data, ended, feldsher
from tests.recordings.replay import FOLDER

__all__ = ["data"]

ABOUT = ("--device", "A&D UC-321", "--firmware", "1.2", "--what", "two loads")


class Heard(threading.Thread):
    """Lets `say(line)` speak on a pty named `link` as soon as somebody has opened it."""

    def __init__(self, link, say):
        super().__init__(daemon=True)
        self._link, self._say = link, say
        self.is_ready = threading.Event()
        self.stopping = threading.Event()
        self.start()
        assert self.is_ready.wait(PATIENCE_S)

    def run(self):
        with ptys.open_pty(str(self._link)) as (line, _):
            self.is_ready.set()
            self._say(line, self.stopping)
            self.stopping.wait(PATIENCE_S)


def loads(line, stopping):
    for _ in range(2):
        time.sleep(0.4)
        os.write(line, b"ST,GS,+  71.4kg\r\n")


def test_a_line_is_recorded_without_a_driver_and_its_card_has_the_form_of_ours(tmp_path, capsys):
    scale = Heard(tmp_path / "scale", loads)
    stem = tmp_path / "scale-first"
    assert main(["kit", "record", str(tmp_path / "scale"), "--into", str(stem), "--seconds", "1.6", *ABOUT]) == 0
    scale.stopping.set()
    told = capsys.readouterr()
    assert "may hold patients' data" in told.err
    assert "34 bytes" in told.out
    one = recording.load(stem)
    assert {key: one.card[key] for key in ("driver", "device", "firmware", "what")} == {
        "driver": "",
        "device": "A&D UC-321",
        "firmware": "1.2",
        "what": "two loads",
    }
    assert set(one.card) == {"driver", "device", "firmware", "date", "what"}
    assert b"".join(said for _, said in one.heard) == b"ST,GS,+  71.4kg\r\n" * 2
    assert one.heard[0][0] == 0.0
    assert 0.3 < one.heard[-1][0] < 1.5
    assert one.answered == b""
    assert [Path(f"{stem}.{end}").stat().st_mode & 0o777 for end in ("txt", "toml")] == [0o600, 0o600]

    assert main(["kit", "replay", str(stem)]) == 64
    assert "no driver is on its name card" in capsys.readouterr().err
    assert main(["kit", "replay", f"{stem}.txt", "--driver", "andscale", "--option", "of=body", "--json"]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert study["values"][0][1:3] == ["71.4", "kg"]
    assert study["raw_bytes"] == 34
    assert study["device_clock"] == []


def test_what_the_device_says_of_its_clock_is_shown(capsys):
    assert main(["kit", "replay", str(FOLDER / "gmc-live")]) == 0
    assert "  its clock said 20231110121507\n" in capsys.readouterr().out


def test_with_a_driver_the_studies_are_kept_and_the_recording_replays_as_it_was(data, tmp_path, capsys):
    device = Analyser([message("c111", 7, "10554335", at=0)], [], 1.0)
    analyser = Heard(tmp_path / "lab", lambda line, stopping: ptys.run(device, line, time.monotonic, stopping.is_set))
    stem = tmp_path / "c111"
    words = ["--driver", "astm", "--data", str(data), "--option", "encoding=utf-8", "--seconds", "3"]
    assert main(["kit", "record", str(tmp_path / "lab"), "--into", str(stem), *words, *ABOUT]) == 0
    analyser.stopping.set()
    assert list(data.glob("spool/*.study")), "what was acknowledged is in the kit's own store"
    assert device.report.is_good
    one = recording.load(stem)
    assert (one.card["driver"], one.card["options"]) == ("astm", {"encoding": "utf-8"})
    capsys.readouterr()
    assert main(["kit", "replay", str(stem)]) == 0
    out = capsys.readouterr().out
    assert "1 study" in out
    assert "patient 10554335" in out
    assert "answered as recorded: 8 bytes" in out
    assert main(["kit", "replay", str(stem), "--expected"]) == 0
    (study,) = json.loads(capsys.readouterr().out)["studies"]
    assert study["patient_ids"] == ["10554335"]


def test_a_recording_that_broke_off_has_its_card_all_the_same(tmp_path):
    with ptys.open_pty(str(tmp_path / "tty")) as (line, link):
        record = feldsher("kit", "record", link, "--into", tmp_path / "half", "--device", "x", "--firmware", "y")
        while "open" not in record.stderr.readline():
            assert record.poll() is None
        os.write(line, b"half a li")
        deadline = time.monotonic() + PATIENCE_S
        while not (tmp_path / "half.txt").read_text() and time.monotonic() < deadline:
            time.sleep(0.05)
        record.kill()
        record.communicate(timeout=PATIENCE_S)
    one = recording.load(tmp_path / "half")
    assert one.heard == [(0.0, b"half a li")]
    assert one.card["what"] == "not told"


def test_our_expected_files_are_what_replay_prints(capsys):
    name = "hbp9030-results"
    assert main(["kit", "replay", str(FOLDER / name), "--expected"]) == 0
    assert capsys.readouterr().out == (FOLDER / f"{name}.expected.json").read_text()


@pytest.mark.slow
def test_a_recording_speaks_to_a_kit_through_a_pty(data, tmp_path):
    link = tmp_path / "analyser"
    player = feldsher("kit", "replay", FOLDER / "astm-c111", "--port", link, "--json")
    assert player.stdout.readline().strip() == str(link)
    kit = feldsher("kit", "capture", "--data", data, "--port", link, "--driver", "astm", "--count", 2, "--json")
    code, out, err = ended(kit)
    assert code == 0, err
    assert [json.loads(line)["patient"] for line in out.splitlines()] == ["10554335", "11601622"]
    code, out, _ = ended(player)
    report = json.loads(out)
    assert (code, report["good"], report["failed"]) == (0, True, 0)


@pytest.mark.parametrize(
    ("text", "card", "words", "code", "reason"),
    [
        (None, None, [], 64, "one.txt: cannot be read: No such file"),
        ("", "driver = 'lines'", [], 64, "the device says nothing"),
        ("< 0.0 0g", None, [], 65, "one.txt:1: a line is `< SECONDS HEX`"),
        ("< 0.0 00\n? 0.0 00", None, [], 65, "one.txt:2: `? 0.0`: a direction is < or >"),
        ("< 5.0 00\n< 4.0 00", None, [], 65, "one.txt:2: `< 4.0`: a direction is < or >, and time does not go back"),
        ("< nan 00", None, [], 65, "time does not go back"),
        ("< 0.0 00", "driver = ", [], 65, "one.toml: "),
        ("< 0.0 00", "driver = 7", [], 65, "driver is a name"),
        ("< 0.0 00", "driver = 'sysmex'", [], 78, "driver 'sysmex' is unknown"),
        ("< 0.0 00", "driver = 'lines'\noptions = {mode = 'x'}", [], 78, "option 'mode' is 'x'"),
        ("< 0.0 00", None, ["--driver", "lines", "--option", "mode"], 64, "must be KEY=VALUE"),
    ],
)
def test_mistakes_of_replay_are_named(tmp_path, capsys, text, card, words, code, reason):
    for end, content in (("txt", text), ("toml", card)):
        if content is not None:
            (tmp_path / f"one.{end}").write_text(f"{content}\n" if content else "")
    assert main(["kit", "replay", str(tmp_path / "one"), *words]) == code
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["/dev/nonesuch", *ABOUT], 79, "/dev/nonesuch: there is no such port"),
        (["/dev/null", "--driver", "astm", *ABOUT], 64, "--driver and --data belong together"),
        (["/dev/null", "--device", "x"], 64, "--firmware is missing, and nobody can be asked"),
        (["/dev/null", *ABOUT[:4], "--what", "a\nb"], 79, "/dev/null"),
        (["tcp-listen://127.0.0.1:1", "--driver", "lines", "--option", "mode=x", "--data", "D", *ABOUT], 78, "mode"),
        (["tcp-listen://127.0.0.1:1", "--driver", "lines", "--data", "D", *ABOUT], 78, "feldsher kit enrol"),
    ],
)
def test_mistakes_of_record_are_named_and_nothing_is_left(tmp_path, capsys, monkeypatch, words, code, reason):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(["kit", "record", *words]) == code
    assert reason in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_who_sits_at_the_terminal_is_asked(tmp_path, capsys, monkeypatch):
    typed = io.StringIO("A&D UC-321\n\nnothing happened\n")
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", typed)
    with ptys.open_pty() as (_, link):
        assert main(["kit", "record", link, "--into", str(tmp_path / "one"), "--seconds", "0.2"]) == 0
    assert "what device is it (maker, model)? " in capsys.readouterr().err
    card = recording.load(tmp_path / "one").card
    assert (card["device"], card["firmware"], card["what"]) == ("A&D UC-321", "not told", "nothing happened")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.toml", "one.txt"]


def test_a_recording_is_never_written_over(tmp_path, capsys):
    (tmp_path / "one.toml").write_text("mine")
    with ptys.open_pty() as (_, link):
        assert main(["kit", "record", link, "--into", str(tmp_path / "one"), *ABOUT]) == 64
    assert "one.toml: cannot be written: File exists" in capsys.readouterr().err
    assert (tmp_path / "one.toml").read_text() == "mine"


# A driver in a package of its own


def laid_out(folder, site):
    """Put a package where an installer would, from what its pyproject.toml says; building one needs the network."""
    about = tomllib.loads((folder / "pyproject.toml").read_text())
    info = site / f"{about['project']['name'].replace('-', '_')}-{about['project']['version']}.dist-info"
    info.mkdir(parents=True)
    for module in about["tool"]["setuptools"]["py-modules"]:
        (site / f"{module}.py").write_text((folder / f"{module}.py").read_text())
    points = about["project"]["entry-points"]
    lines = [line for group in points for line in (f"[{group}]", *(f"{k} = {v}" for k, v in points[group].items()))]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    head = f"Metadata-Version: 2.1\nName: {about['project']['name']}\nVersion: {about['project']['version']}\n"
    (info / "METADATA").write_text(head)


@pytest.mark.slow
def test_a_new_driver_installs_as_a_package_is_found_and_passes_its_tests(tmp_path):
    folder, site = tmp_path / "thermo", tmp_path / "site"
    assert main(["kit", "new-driver", "thermo", str(folder)]) == 0
    assert not [path for path in folder.iterdir() if "mydevice" in path.name + path.read_text().lower()]
    laid_out(folder, site)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(Path(__file__).parents[2])])}
    words = ["kit", "replay", str(folder / "thermo-example")]
    told = subprocess.run(
        [sys.executable, "-m", "feldsher", *words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert "36.6 C" in told.stdout, told.stderr
    tests = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert tests.returncode == 0, tests.stdout[-3000:]
    assert "passed" in tests.stdout


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Thermo-Scan", "2 to 32 small letters"),
        ("astm", "there is such a driver already"),
        ("thermo", "cannot be made"),
        ("serial", "Python has a module of that name"),
        ("json", "Python has a module of that name"),
    ],
)
def test_mistakes_of_new_driver_are_named(tmp_path, capsys, name, reason):
    (tmp_path / "there").mkdir()
    assert main(["kit", "new-driver", name, str(tmp_path / "there")]) == 64
    assert reason in capsys.readouterr().err
    assert not list((tmp_path / "there").iterdir())
