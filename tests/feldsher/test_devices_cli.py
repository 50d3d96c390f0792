"""`feldsher simulate device`, `kit capture` and `kit devices` as a user runs them: processes, a pty, exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from feldsher.main import main
from tests.node.stores import SEAL_PUBLIC, SEAL_SECRET, SIGN_PUBLIC, SIGN_SECRET
from wire.seal import key_id
from wire.study import open_study

PATIENCE_S = 60


def feldsher(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "feldsher", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def data(tmp_path):
    """Return a data folder with an enrolment."""
    folder = tmp_path / "data"
    folder.mkdir()
    keys = {
        "link_secret": bytes(32),
        "psk": bytes(32),
        "sign_secret": SIGN_SECRET,
        "server_seal_public": SEAL_PUBLIC,
        "server_sign_public": SIGN_PUBLIC,
    }
    lines = ["version = 1", 'name = "van-3"', *(f'{key} = "{value.hex()}"' for key, value in keys.items())]
    lines += ["[[gateway]]", 'name = "ground"', f'public = "{bytes(32).hex()}"', 'urls = ["udp://127.0.0.1:9"]']
    (folder / "enrolment.toml").write_text("\n".join(lines) + "\n")
    (folder / "enrolment.toml").chmod(0o600)
    return folder


def ended(process):
    out, err = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out, err


def test_a_simulated_analyser_is_captured_and_both_end_with_0(data, tmp_path):
    link = tmp_path / "analyser"
    device = feldsher(
        *("simulate", "device", "analyser", "--pty-link", link, "--count", 2, "--every", 0.1),
        *("--fault", "bad-checksum", "--json"),
    )
    assert device.stdout.readline().strip() == str(link)
    kit = feldsher(
        *("kit", "capture", "--data", data, "--port", link, "--driver", "astm", "--count", 2, "--json"),
        *("--option", "encoding=utf-8", "--record", tmp_path / "line.txt"),
    )
    code, out, err = ended(kit)
    assert code == 0, err
    summaries = [json.loads(line) for line in out.splitlines()]
    assert [summary["form"] for summary in summaries] == ["laboratory", "laboratory"]
    code, out, _ = ended(device)
    assert code == 0
    report = json.loads(out)
    assert (report["good"], report["acknowledged"], report["refused"]) == (True, 2, 1)
    for summary in summaries:
        (path,) = (data / "spool").glob(f"*{summary['study']}*.study")
        study = open_study(path.read_bytes(), SEAL_SECRET, {key_id(SIGN_PUBLIC): SIGN_PUBLIC})
        assert study.signature_ok
        assert not study.damaged
    assert (tmp_path / "line.txt").read_text().startswith("< ")


@pytest.mark.slow
def test_a_device_that_nobody_answers_does_not_end_with_0(tmp_path):
    device = feldsher("simulate", "device", "scanner", "--answer", "--json")
    code, out, _ = ended(device)
    assert code == 79
    assert json.loads(out.splitlines()[1])["failed"] == 1


@pytest.mark.slow
def test_capture_stops_in_order_on_a_signal_and_keeps_the_study(data, tmp_path):
    link = tmp_path / "oximeter"
    device = feldsher("simulate", "device", "oximeter", "--pty-link", link, "--repeat")
    device.stdout.readline()
    kit = feldsher("kit", "capture", "--data", data, "--port", link, "--driver", "nonin")
    deadline = time.monotonic() + PATIENCE_S
    while not list(Path(data).glob("open/*.study")) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(kit.pid, signal.SIGTERM)
    code, out, err = ended(kit)
    os.kill(device.pid, signal.SIGTERM)
    device.communicate(timeout=PATIENCE_S)
    assert code == 0, err
    assert "oximetry" in out
    assert list(data.glob("spool/*.study"))


def test_another_device_than_the_drivers_is_noticed_and_kept_apart(data, tmp_path):
    """As by a kit that runs: what it says is no study of the driver's, and is not lost."""
    link = tmp_path / "socket"
    device = feldsher("simulate", "device", "gps", "--pty-link", link, "--repeat", "--every", 1)
    assert device.stdout.readline().strip() == str(link)
    kit = feldsher("kit", "capture", "--data", data, "--port", link, "--driver", "nonin", "--json")
    said = read_until(kit, "wrong-device")
    assert "it speaks as one of driver 'nmea' does, not 'nonin'" in said
    kit.send_signal(signal.SIGINT)
    code, out, _ = ended(kit)
    device.terminate()
    device.communicate(timeout=PATIENCE_S)
    assert code == 0
    studies = [json.loads(line) for line in out.splitlines()]
    assert {(one["form"], one["partial"], one["patient"]) for one in studies} == {("unknown", True, "")}
    assert studies


@pytest.mark.slow
def test_the_speed_of_a_device_is_found_and_not_written_down(data, tmp_path):
    link = tmp_path / "receiver"
    device = feldsher("simulate", "device", "gps", "--pty-link", link, "--repeat", "--every", 1, "--baud", 9600)
    assert device.stdout.readline().strip() == str(link)
    kit = feldsher("kit", "capture", "--data", data, "--port", link, "--driver", "nmea", "--baud", "auto")
    assert "speaks at 9600 8N1" in read_until(kit, "its device speaks")
    kit.send_signal(signal.SIGINT)
    code, _, err = ended(kit)
    device.terminate()
    device.communicate(timeout=PATIENCE_S)
    assert code == 0, err
    assert not (data / "speeds.json").exists(), "every line has the same name here"


def read_until(process, word):
    """Return the first line that says so. A process that never does is ended, and what it said is the error's."""
    patience = threading.Timer(PATIENCE_S, process.kill)
    patience.start()
    said = []
    for line in process.stderr:
        said.append(line)
        if word in line:
            break
    patience.cancel()
    assert word in said[-1], said
    return said[-1]


def test_two_captures_in_one_folder_are_refused(data, tmp_path):
    kit = feldsher("kit", "capture", "--data", data, "--port", tmp_path / "none", "--driver", "lines")
    assert "is there no such port" in kit.stderr.readline().replace("there is no", "is there no")
    code, _, err = ended(feldsher("kit", "capture", "--data", data, "--port", "/dev/null", "--driver", "lines"))
    kit.terminate()
    kit.communicate(timeout=PATIENCE_S)
    assert code == 64
    assert "another process uses this data folder" in err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["--driver", "sysmex"], 78, "driver 'sysmex' is unknown; there are: "),
        (["--driver", "astm", "--option", "encoding=ebcdic"], 78, "option 'encoding' is 'ebcdic'"),
        (["--driver", "lines", "--option", "trailer=many"], 64, "--option trailer=many"),
        (["--driver", "lines", "--option", "trailer"], 64, "must be KEY=VALUE"),
        (["--driver", "lines", "--baud", "auto"], 78, "takes anything for a message"),
        (["--driver", "nonin", "--baud", "auto"], 78, 'baud = "auto": '),
    ],
)
def test_mistakes_of_capture_are_named(data, capsys, words, code, reason):
    assert main(["kit", "capture", "--data", str(data), "--port", "/dev/null", *words]) == code
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("baud", ["0", "-9600", "fast"])
def test_a_speed_that_is_none_is_refused(data, capsys, baud):
    with pytest.raises(SystemExit):
        main(["kit", "capture", "--data", str(data), "--port", "/dev/null", "--driver", "lines", f"--baud={baud}"])
    assert "--baud" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["analyser", "--fault", "fire"], 64, "--fault fire: the analyser knows: bad-checksum"),
        (["analyser", "--style", "blocks", "--encoding", "ebcdic-9"], 64, "--encoding ebcdic-9"),
        (["oximeter", "--port", "/dev/nonesuch"], 79, "/dev/nonesuch: No such file"),
        (["scanner", "--count", "0"], 64, "--count 0"),
    ],
)
def test_mistakes_of_simulate_are_named(capsys, words, code, reason):
    assert main(["simulate", "device", *words]) == code
    assert reason in capsys.readouterr().err


def test_devices_lists_drivers_and_configured_ports(data, capsys):
    (data / "kit.toml").write_text('[[port]]\nname = "lab"\npath = "/dev/nonesuch"\ndriver = "astm"\n')
    assert main(["kit", "devices", "--data", str(data), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"astm", "barcode", "lines", "nonin"} <= {driver["name"] for driver in found["drivers"]}
    (ours,) = [port for port in found["ports"] if port["path"] == "/dev/nonesuch"]
    assert (ours["name"], ours["driver"], ours["description"]) == ("lab", "astm", "missing")
    assert main(["kit", "devices", "--data", str(data)]) == 0
    assert "driver astm (lab)" in capsys.readouterr().out
