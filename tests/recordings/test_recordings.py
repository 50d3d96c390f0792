"""Every recording gives exactly the expected outcome: whole, byte by byte, cut anywhere, and through a real pty."""

import os
import random
import time

import pytest

from edge.driver import Line
from edge.ports import Heard, PortOwner
from hardware.simulated.ptys import open_pty
from node.clock import SystemClock
from tests.edge.van import Van, studies_in
from tests.recordings.make import make
from tests.recordings.replay import AFTER_S, FOLDER, load, names, outcome, replay
from tests.sim.disk import SimDisk

CUTS = 60
REAL_TIME_S = 20.0


@pytest.mark.parametrize("name", names())
def test_whole(name):
    recording = load(name)
    bench = replay(recording)
    assert outcome(bench) == recording.expected
    assert bench.sent == recording.answered


@pytest.mark.parametrize("name", names())
def test_byte_by_byte(name):
    recording = load(name)
    assert outcome(replay(recording, lambda data: [data[at : at + 1] for at in range(len(data))])) == recording.expected


@pytest.mark.parametrize("name", names())
def test_cut_anywhere(name):
    recording = load(name)
    chance = random.Random(name)
    for _ in range(CUTS):
        assert outcome(replay(recording, lambda data: cut(chance, data))) == recording.expected


def cut(chance, data):
    at = chance.randrange(len(data) + 1)
    return [part for part in (data[:at], data[at:]) if part]


@pytest.mark.parametrize("name", names())
def test_through_a_pty_the_port_owner_and_capture(name):
    """The bytes take the real way; the clock is the recording's, so that nobody waits for minutes."""
    recording = load(name)
    van = Van(SimDisk(), ports={"line": (recording.card["driver"], recording.card.get("options", {}), "scan")})
    answered = b""
    with open_pty() as (device, path):
        owner = PortOwner("line", path, Line(), SystemClock())
        owner.start()
        try:
            for now, data in recording.heard:
                answered += let_time_pass(van, now)
                os.write(device, data)
                for piece in taken(owner, len(data)):
                    answered += van.capture.receive("line", piece, now)
            answered += let_time_pass(van, recording.heard[-1][0] + AFTER_S)
            assert owner.write(b"!")
            assert os.read(device, 1) == b"!"
        finally:
            owner.stop()
    assert answered == recording.answered
    studies = studies_in(van.stores)
    wanted = recording.expected["studies"]
    assert sorted(len(study.raw) for study in studies) == sorted(study["raw_bytes"] for study in wanted)
    assert sorted(study.summary.qc for study in studies) == sorted(study["qc"] for study in wanted)
    found = sorted([one.code, one.value] for study in studies for one in study.observations)
    results = [result for study in wanted for result in study["results"]]
    assert found == sorted(
        [one["code"], one.get("value", "")] for result in results for one in result.get("observations", ())
    )


def let_time_pass(van, until):
    answered = b""
    while (due := van.capture.deadline()) is not None and due <= until:
        answered += van.capture.tick(due).get("line", b"")
    return answered


def taken(owner, size):
    """Return pieces that hold `size` bytes, as soon as the port owner has them."""
    pieces, deadline = [], time.monotonic() + REAL_TIME_S
    while sum(map(len, pieces)) < size and time.monotonic() < deadline:
        pieces += [item.data for item in owner.take() if isinstance(item, Heard)]
        time.sleep(0.001)
    return pieces


def test_the_recordings_are_what_the_simulators_say(tmp_path, monkeypatch):
    """The dialogues of modems, which have no card, are compared in `tests/hardware`."""
    before = {
        path.name: path.read_text()
        for path in FOLDER.iterdir()
        if path.suffix in {".txt", ".json"} and not path.name.startswith("modem-")
    }
    for name in names():
        (tmp_path / f"{name}.toml").write_text((FOLDER / f"{name}.toml").read_text())
    monkeypatch.setattr("tests.recordings.make.FOLDER", tmp_path)
    monkeypatch.setattr("tests.recordings.replay.FOLDER", tmp_path)
    for name in names():
        make(name)
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.suffix != ".toml"} == before


def test_every_name_card_says_what_happens_where():
    for name in names():
        card = load(name).card
        assert all(card[key] for key in ("driver", "device", "firmware", "date", "what"))
