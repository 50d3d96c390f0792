"""`feldsher server` as it is typed."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from feldsher.main import main
from node.enrolment import load_gateway, load_kit
from server.centre import Centre
from tests.server import samples

ROOT = Path(__file__).parents[2]


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def run(data, capsys):
    def call(*words):
        code = main(["server", *words, "--data", str(data)])
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


@pytest.fixture
def ask(run):
    def call(*words):
        code, out, _ = run(*words, "--json")
        assert code == 0
        return json.loads(out)

    return call


def test_enrolling_revoking_and_listing(ask, tmp_path):
    north = tmp_path / "north.toml"
    ask(
        "gateway",
        "add",
        "north",
        "--listen",
        "udp://0.0.0.0:7700",
        "--server",
        "tcp://c.example:1",
        "--out",
        str(north),
    )
    made = ask("kit", "add", "van-1", "--out", str(tmp_path / "van-1.toml"))
    assert load_kit(tmp_path / "van-1.toml").gateways[0].name == load_gateway(north).name == "north"
    assert made["file"] == str(tmp_path / "van-1.toml")
    assert ask("kit", "revoke", "van-1")["revoked"] is True
    assert [(one["name"], one["revoked"]) for one in ask("kit", "list")] == [("van-1", True)]
    assert ask("gateway", "revoke", "north")["revoked"]
    assert [one["revoked"] for one in ask("gateway", "list")] == [True]


def test_users(ask, run, monkeypatch):
    read, write = os.pipe()
    os.write(write, b"a good long password\nanother good password\n")
    os.close(write)
    with os.fdopen(read) as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        assert ask("user", "add", "olena", "--password-stdin", "--zone", "Europe/Kyiv")["zone"] == "Europe/Kyiv"
        assert ask("user", "passwd", "olena", "--password-stdin")["password"] == "changed"  # noqa: S105 - no password
    ask("user", "disable", "olena")
    assert [(one["name"], one["disabled"]) for one in ask("user", "list")] == [("olena", True)]
    assert "password" not in run("user", "list")[1]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("kit", "revoke", "nobody"), 64, "no kit is called 'nobody'"),
        (("kit", "add", "a/b"), 64, "not a name"),
        (("gateway", "add", "g", "--listen", "x", "--server", "tcp://c:1"), 78, "--listen"),
        (("user", "disable", "nobody"), 64, "no user is called"),
        (("study", "show", "ffff"), 64, "no study begins with ffff"),
        (("study", "show", "'; DROP TABLE studies"), 64, "not a study id"),
        (("study", "show", "%"), 64, "not a study id"),
        (("run", "--listen", "nonsense"), 64, "ADDR:PORT"),
        (("run", "--listen", "127.0.0.1:99999"), 64, "ADDR:PORT"),
        (("migrate", "--database", "nonsense"), 78, "database URL"),
    ],
)
def test_a_mistake_is_told_with_its_exit_code(run, words, code, told):
    got, _, err = run(*words)
    assert (got, told in err) == (code, True), err
    assert err.startswith("feldsher: ")
    assert "Traceback" not in err


def test_a_data_folder_that_cannot_be(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["server", "migrate", "--data", str(tmp_path / "file")]) == 78
    assert "no data folder" in capsys.readouterr().err


def test_studies_are_listed_shown_and_exported_whole(ask, run, data, tmp_path):
    with Centre.open(data) as centre:
        kit = samples.Kit("van-1", centre.keys.seal_public, "van-1")
        kit.enrol(centre)
        study_id, raw = samples.rich(kit)
        centre.ingest.accept(samples.offer(study_id, 2, raw), raw, "north")
    (line,) = ask("study", "list")
    assert (line["study"], line["patient"], line["flags"]) == (study_id.hex(), "4711", ["partial"])
    assert ask("study", "list", "--qc") == []
    tree = ask("study", "show", study_id.hex()[:8])
    assert [one["replaced"] for one in tree["results"]] == [True, False, False]
    into = tmp_path / "out"
    names = ask("study", "export", study_id.hex(), "--into", str(into))["files"]
    assert sorted(path.name for path in into.iterdir()) == sorted(names)
    assert (into / f"{study_id.hex()}.study").read_bytes() == raw
    assert (into / "entry-0000-001-raw.bin").read_bytes() == bytes(range(256)) * 20
    assert (into / "entry-0000-002-waveform.csv").read_text().startswith("time_s,I uV,II uV,V2 uV")
    assert all(path.stat().st_mode & 0o077 == 0 for path in (into, *into.iterdir()))
    code, _, err = run("study", "export", study_id.hex(), "--into", str(into))
    assert (code, "exists already" in err) == (64, True)
    with Centre.open(data) as centre:
        looks = [row for row in centre.library.events(study=study_id.hex()) if row.kind.startswith("look")]
    assert {row.kind for row in looks} == {"look show", "look export"}
    assert all(row.actor.startswith("shell:") for row in looks)


def test_a_rotted_file_is_found_by_check(ask, run, data):
    with Centre.open(data) as centre:
        samples.fill(centre)
        digest = centre.library.digests()[0]
    assert ask("study", "check")["damaged_files"] == []
    (data / "files" / digest[:2] / digest).write_bytes(b"rotten")
    code, out, _ = run("study", "check", "--json")
    assert (code, json.loads(out)["damaged_files"]) == (74, [digest])
    (data / "files" / digest[:2] / digest).unlink()
    assert run("study", "check")[0] == 74


def test_migrate_says_what_it_did(ask):
    assert ask("migrate") == ask("migrate") == {"schema": "0003", "wanted": "0003"}


def test_nothing_in_the_data_folder_can_be_read_by_others(ask, data):
    ask("migrate")
    readable = [path.name for path in (data, *data.rglob("*")) if path.stat().st_mode & 0o077]
    assert readable == []


def start(data, *words):
    command = [
        sys.executable,
        "-m",
        "feldsher",
        "server",
        "run",
        "--data",
        str(data),
        "--listen",
        "127.0.0.1:0",
        *words,
    ]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def address(process):
    for line in process.stderr:
        if "pages at " in line:
            return line.split("pages at ")[1].strip()
    raise AssertionError("it ended without saying where its pages are")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_centre_runs_and_stops_when_told(data, number):
    process = start(data)
    try:
        with urllib.request.urlopen(address(process) + "health", timeout=10) as answer:  # noqa: S310 - our own server
            assert json.load(answer)["ok"] is True
    finally:
        process.send_signal(number)
        rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_the_link_and_the_pages_run_side_by_side(data):
    process = start(data, "--link", "udp://127.0.0.1:0", "--link", "tcp://127.0.0.1:0")
    try:
        with urllib.request.urlopen(address(process) + "health", timeout=10) as answer:  # noqa: S310 - our own server
            assert answer.status == 200
    finally:
        process.terminate()
        rest = process.communicate(timeout=20)[1]
    assert process.returncode == 0, rest
    assert rest.count("listening for gateways and kits") == 2
    assert "Traceback" not in rest


def test_a_link_address_that_makes_no_sense(data):
    process = start(data, "--link", "carrier-pigeon://loft")
    told = process.communicate(timeout=30)[1]
    assert process.returncode in {64, 78}, told
    assert "carrier-pigeon" in told
    assert "Traceback" not in told


def test_an_address_that_is_taken(data, tmp_path):
    first = start(data)
    try:
        port = address(first).rstrip("/").rpartition(":")[2]
        second = start(tmp_path / "other", "--listen", f"127.0.0.1:{port}")
        told = second.communicate(timeout=30)[1]
        assert second.returncode == 64
        assert "cannot listen there" in told
        assert "Traceback" not in told
    finally:
        first.terminate()
        first.communicate(timeout=20)


@pytest.mark.parametrize(
    "words",
    ["", "run", "migrate"]
    + [f"user {one}" for one in ("add", "list", "passwd", "disable")]
    + [f"{node} {one}" for node in ("kit", "gateway") for one in ("add", "list", "revoke")]
    + [f"study {one}" for one in ("list", "show", "export", "check")],
)
def test_every_command_has_help_with_an_example(capsys, words):
    with pytest.raises(SystemExit) as ended:
        main(["server", *words.split(), "--help"])
    assert ended.value.code == 0
    assert f"example: feldsher server {words}" in " ".join(capsys.readouterr().out.split())


def test_systemd_hears_that_the_centre_is_there_and_that_it_lives(data, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        process = start(data)
        try:
            assert [systemd.recv(100), systemd.recv(100)] == [b"READY=1", b"WATCHDOG=1"]
        finally:
            process.terminate()
            process.communicate(timeout=20)
