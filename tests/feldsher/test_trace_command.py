"""`--trace` and `link trace` as a technician uses them: real processes, and not a byte of content in any trace."""

import json
import random
import signal
import time

import pytest

from feldsher import link_trace
from feldsher.main import main
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from hardware.simulated.scanner import patient_label
from node.disk import RealDisk
from node.entropy import seeded
from node.tracing import RECEIVED, SENT, TraceFile
from tests.feldsher.place import Bench, Place, feldsher
from tests.feldsher.test_link_command import Server, run

SECRET = b"SHEVCHENKO TARAS 1814-03-09"
NAME = "shevchenko-taras.dcm"
DATA = b"\x03\x00\x2f\x00\x01" + bytes(40)


class Clock:
    """Wall time that passes by a second a call, from a summer noon (UTC)."""

    def __init__(self):
        self.at_ms = 1_720_000_800_000

    def now(self):
        return 0.0

    def time_ms(self):
        self.at_ms += 1000
        return self.at_ms


class Bearer:
    mtu, overhead, is_stream, is_message = 1400, 28, False, False

    def __init__(self, name):
        self.name = name


@pytest.fixture
def trace(tmp_path):
    """Ten frames over a modem, two over UDP, one event; a second apart."""
    with RealDisk(tmp_path) as disk:
        file = TraceFile(disk, "trace", Clock(), seeded(b"1"))
        for counter in range(1, 11):
            file.frame(SENT, Bearer("modem:///dev/ttyUSB2"), DATA, counter, b"\x01")
        for counter in (1, 3):
            file.frame(RECEIVED, Bearer("udp://10.77.0.2:7000"), b"\x81" + DATA[1:], counter, b"\x01")
        file.event("silence", "nothing heard for 5 s")
        file.flush()
    return tmp_path / "trace"


def shown(capsys, *words):
    code = main(["link", "trace", *map(str, words)])
    told = capsys.readouterr()
    return code, told.out.splitlines(), told.err


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([], 13),
        (["--bearer", "udp"], 2),
        (["--bearer", "nowhere"], 0),
        (["--kind", "short"], 2),
        (["--kind", "DATA", "--kind", "silence"], 11),
        (["--since", "2s"], 3),
        (["--since", "1h"], 13),
        (["--since", "1h", "--kind", "DATA", "--bearer", "ttyUSB2"], 10),
        (["--since", "00:00"], 13),
    ],
)
def test_only_what_is_asked_for_is_shown(trace, capsys, words, count):
    code, lines, _ = shown(capsys, trace, *words)
    assert (code, len(lines)) == (0, count)


def test_the_summary_is_for_people_and_for_programs(trace, capsys):
    _, lines, _ = shown(capsys, trace, "--summary")
    assert lines[0] == "modem:///dev/ttyUSB2"
    assert "10 frames" in lines[1]
    assert "10 not yet acknowledged" in lines[1]
    assert "1 lost" in lines[3]
    assert lines[4] == "events: silence 1"
    _, lines, _ = shown(capsys, trace, "--summary", "--json")
    assert json.loads(lines[0])["bearers"]["udp://10.77.0.2:7000"]["received"]["lost"] == 1


@pytest.mark.parametrize("words", [["--since", "yesterday"], ["--since", "25:00"], ["--follow", "--summary"]])
def test_wrong_use_is_told(trace, capsys, words):
    code, lines, error = shown(capsys, trace, *words)
    assert (code, lines) == (64, [])
    assert words[0] in error


@pytest.mark.parametrize("words", [[], ["--summary"], ["--json"]])
def test_what_is_readable_of_a_damaged_trace_is_shown(trace, capsys, words):
    raw = bytearray(trace.read_bytes())
    raw[200:210] = bytes(10)
    trace.write_bytes(raw)
    code, lines, error = shown(capsys, trace, *words)
    assert code == 65
    assert lines
    assert "could not be read" in error


@pytest.mark.parametrize("content", [b"", b"no trace at all" * 100, bytes(5000)])
def test_what_is_no_trace_is_told(tmp_path, capsys, content):
    (tmp_path / "x").write_bytes(content)
    code, lines, error = shown(capsys, tmp_path / "x")
    assert (code, lines) == (65, [])
    assert "no trace" in error


@pytest.mark.parametrize("words", [["--trace", "nowhere/t"], ["--trace", "."], ["--trace", "t", "--trace-size", "0"]])
def test_a_trace_that_cannot_be_kept_is_wrong_use(tmp_path, words):
    assert run(tmp_path, "keys", "keys").returncode == 0
    (tmp_path / "a").write_bytes(b"1")
    done = run(tmp_path, "send", "a", "--to", "udp://127.0.0.1:9", "--keys", "keys", *words)
    assert done.returncode == 64
    assert "--trace" in done.stderr


def test_traces_of_both_ends_of_a_send_show_all_frames_and_no_content(tmp_path, capsys):
    assert run(tmp_path, "keys", "keys").returncode == 0
    (tmp_path / NAME).write_bytes(SECRET + random.Random(1).randbytes(60_000))
    with Server(tmp_path, "udp://127.0.0.1:0", more=("--trace", "far")) as server:
        done = run(tmp_path, "send", NAME, "--to", server.url, "--keys", "keys", "--json", "--trace", "near")
        assert done.returncode == 0, done.stderr
        assert server.kill(signal.SIGTERM) == 0
    report = json.loads(done.stdout)
    for path in (tmp_path / "near", tmp_path / "far"):
        raw = path.read_bytes().lower()
        assert SECRET.lower() not in raw
        assert NAME.partition(".")[0].encode() not in raw
    near = summary(capsys, tmp_path / "near", server.url)
    assert near["sent"]["bytes"] == report["wire_bytes_sent"]
    assert near["received"]["bytes"] == report["wire_bytes_received"]
    assert report["object_bytes"] <= near["sent"]["payload_bytes"] < report["object_bytes"] * 1.1
    assert near["sent"]["lost"] == near["received"]["lost"] == near["sent"]["unread"] == 0
    assert near["sent"]["rtt_s"]["least"] < 1
    (far,) = (
        ways for ways in json.loads(shown(capsys, tmp_path / "far", "--summary", "--json")[1][0])["bearers"].values()
    )
    assert far["received"]["frames"] == near["sent"]["frames"]
    assert far["received"]["payload_bytes"] == near["sent"]["payload_bytes"]


def summary(capsys, path, bearer):
    code, lines, _ = shown(capsys, path, "--summary", "--json")
    assert code == 0
    bearers = json.loads(lines[0])["bearers"]
    return bearers[bearer] if bearer in bearers else next(iter(bearers.values()))


def test_a_trace_can_be_read_while_it_grows(tmp_path):
    assert run(tmp_path, "keys", "keys").returncode == 0
    (tmp_path / "a").write_bytes(SECRET)
    with Server(tmp_path, "udp://127.0.0.1:0", more=("--trace", "far")) as server:
        assert run(tmp_path, "send", "a", "--to", server.url, "--keys", "keys").returncode == 0
        for _ in range(50):
            try:
                if any(getattr(one, "kind", "") == "received" for one in link_trace.read(tmp_path / "far")):
                    return
            except link_trace.FormatError:
                pass
            time.sleep(0.1)
    raise AssertionError("nothing was flushed in five seconds")


@pytest.mark.slow
def test_traces_of_a_study_on_its_whole_way_hold_nothing_of_it(tmp_path, capsys):
    with Place(tmp_path) as place:
        place.configure_kit({"lab": "astm"})
        Bench(place, "lab", Analyser([message("xp100", 1, patient_label(1, 0), at=0)], [], every_s=1.0))
        for node in ("centre", "gateway", "kit"):
            place.start(node, "--trace", str(tmp_path / f"{node}.trace"), "--trace-size", "1")
        place.until(lambda: place.held() and place.is_drained(), "the study is at the centre", alive=("kit",))
        listed = feldsher("server", "study", "list", "--data", place.data("centre"), "--json").stdout
        for node in ("kit", "gateway", "centre"):
            place.stop(node)
    label = patient_label(1, 0)
    assert json.loads(listed)
    for node in ("kit", "gateway", "centre"):
        path = tmp_path / f"{node}.trace"
        assert label.encode() not in path.read_bytes() if isinstance(label, str) else label not in path.read_bytes()
        code, lines, _ = shown(capsys, path)
        assert code == 0
        assert any("WELCOME" in line for line in lines)
        assert any("SEGMENT" in line for line in lines)


@pytest.mark.parametrize("words", [[], ["--summary"], ["--json"], ["--since", "1h"]])
def test_a_trace_in_which_nothing_was_heard_is_one_all_the_same(tmp_path, capsys, words):
    with RealDisk(tmp_path) as disk:
        TraceFile(disk, "trace", Clock(), seeded(b"1")).flush()
    assert main(["link", "trace", str(tmp_path / "trace"), *words]) == 0
    assert "trace: nothing in it yet" in capsys.readouterr().err
