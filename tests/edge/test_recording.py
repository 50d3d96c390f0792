"""Recordings as text: what is written is read again, and what a crash left is not thrown away."""

import tomllib

import pytest

from edge import recording
from wire.errors import FormatError, UsageError

CARD = {"driver": "lines", "device": 'A "B" \\ Ї', "firmware": "1", "date": "2026-11-22", "what": "nothing"}


@pytest.mark.parametrize(
    ("torn", "pieces"),
    [
        ("", 1),
        ("<", 1),
        ("< 1.2", 1),
        ("< 1.25 ", 2),
        ("< 1.25 4", 2),
        ("< 1.25 41", 2),
        ("< 1.25 414", 2),
    ],
)
def test_a_line_that_breaks_off_counts_as_far_as_it_goes(torn, pieces):
    found = recording.parse("< 0.000 05\n" + torn)
    assert len(found) == pieces
    assert b"".join(data for _, _, data in found) == b"\x05" + b"A" * ("41" in torn)


def test_in_the_middle_nothing_may_be_missing():
    with pytest.raises(FormatError, match=r"line\.txt:2: a line is"):
        recording.parse("< 0.000 05\n< 1.25 414\n< 2 05\n", "line.txt")


@pytest.mark.parametrize(
    "options",
    [{}, {"encoding": "cp866", "poll_s": 0.5, "leads": False, "trailer": 2, "a b": "x"}],
    ids=["none", "some"],
)
def test_a_card_is_read_as_it_was_written(options):
    text = recording.card_text(CARD | {"options": options}, ["9600 8N1,\nand more"])
    found = tomllib.loads(text)
    assert text.startswith("# 9600 8N1, and more\n")
    assert found.get("options", {}) == options
    assert {key: str(found[key]) for key in CARD} == CARD


@pytest.mark.parametrize("key", ["device", "what"])
def test_a_card_takes_no_control_characters(key):
    with pytest.raises(UsageError, match=f"{key}: .* holds a control character"):
        recording.card_text(CARD | {key: "a\nb"})


def test_a_transcript_has_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "TEXT_SIZE_MAX", 10)
    (tmp_path / "one.txt").write_text("< 0.000 0505\n")
    with pytest.raises(UsageError, match="13 bytes; a transcript has at most 10"):
        recording.load(tmp_path / "one")
