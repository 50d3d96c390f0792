"""The benchmark beside other people's receivers counts what it says it counts: with us and the loop, without peers."""

import sys
from dataclasses import replace

import pytest

from benchmarks import analysers, mllp
from benchmarks.analysers import ACK, Case, counted
from hardware.simulated.analyser import in_one_frame

CASE = Case("small", results=3, messages=2)
SENT = CASE.sent()


@pytest.mark.parametrize(
    ("acknowledged", "stored", "want"),
    [
        (6, SENT, (6, 0, 0, 0)),
        (6, SENT[:4], (4, 2, 0, 0)),
        (3, SENT[:3], (3, 0, 0, 0)),
        (6, [*SENT, SENT[0], SENT[0]], (6, 0, 2, 0)),
        (6, [("T000", "9.9"), *SENT[1:]], (5, 1, 0, 1)),
    ],
    ids=["all", "acknowledged and lost", "never acknowledged", "doubled", "another value"],
)
def test_what_is_lost_doubled_and_wrong_is_counted(acknowledged, stored, want):
    found = counted(CASE, acknowledged, stored)
    assert (found["stored"], found["lost"], found["doubled"], found["wrong"]) == want


def test_a_row_of_the_table_names_what_went_wrong(monkeypatch):
    figures = {"case": "c", "results": 6, "acknowledged": 6, "stored": 4, "lost": 2, "doubled": 1, "wrong": 0}
    good = {**figures, "who": "we", "stored": 6, "lost": 0, "doubled": 0}
    monkeypatch.setattr(analysers, "measured", lambda *_: [good, {**figures, "who": "they"}])
    first, last = analysers.run()
    assert first == {"case": "c", "results": 6, "we": "6 / 6", "they": "6 / 4, 2 LOST, 1 DOUBLED"}
    assert last == {**first, "case": "all cases"}


def test_no_two_results_of_a_case_are_alike():
    for case in analysers.CASES:
        assert len({value for _, value in case.sent()}) == case.messages * case.results


def test_a_case_of_26_kb_is_one_frame_of_that_size():
    (long,) = [case for case in analysers.CASES if "26 kB" in case.name]
    device = long.device()
    device.tick(0.0)
    device.tick(0.0)
    assert 25_000 < len(device.feed(ACK, 0.0)) < 27_000


def test_the_kit_keeps_once_what_the_loop_doubles_or_damages(tmp_path, monkeypatch, capsys):
    """Three short cases with real processes over TCP; the analyser waits for nothing in them."""
    monkeypatch.setenv("PEERS", "")
    monkeypatch.setattr(analysers, "EVERY_S", 0.1)
    monkeypatch.setattr(analysers, "SETTLE_S", 0.2)
    cases = [
        replace(CASE, divided=in_one_frame, faults=("lost-ack",)),
        replace(CASE, is_damaged=True),
        replace(CASE, killed_behind=8),
    ]
    rows = analysers.measured(str(tmp_path), cases)
    ours, loop = ([row for row in rows if row["who"].startswith(who)] for who in ("feldsher", "a loop"))
    assert [row["all once"] for row in ours] == [True] * 3
    assert [(row["doubled"], row["wrong"]) for row in loop[:2]] == [(3, 0), (0, 1)]
    assert "labmcp-astm-lis IS NOT HERE" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert analysers.receivers()[0].python == sys.executable


def test_a_digit_that_mllp_cannot_protect_is_wrong_for_everybody_and_counted(tmp_path, monkeypatch):
    monkeypatch.setenv("PEERS", "")
    monkeypatch.setattr(mllp, "EVERY_S", 0.1)
    monkeypatch.setattr(analysers, "SETTLE_S", 0.2)
    case = mllp.Hl7Case("small", results=3, messages=2, is_damaged=True)
    rows = analysers.measured(str(tmp_path), [case], mllp.receivers())
    assert [(row["lost"], row["doubled"], row["wrong"]) for row in rows] == [(1, 0, 1)] * 2
