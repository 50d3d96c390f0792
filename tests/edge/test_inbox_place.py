"""The folder or stick itself: what is looked at, read and moved there, and that nothing leads out of it."""

import os

import pytest

from edge import inbox_place
from edge.inbox_place import DEPTH_MAX, RealPlace, Seen
from wire.errors import DiskError, UsageError


def paths(place):
    return [seen.path for seen in place.survey().files]


def seen_of(place, path):
    return next(seen for seen in place.survey().files if seen.path == path)


def test_the_files_below_it_are_seen_with_size_and_time_of_change(tmp_path):
    (tmp_path / "DICOM" / "ST1").mkdir(parents=True)
    (tmp_path / "DICOM" / "ST1" / "IM1").write_bytes(b"12345")
    os.utime(tmp_path / "DICOM" / "ST1" / "IM1", ns=(5, 7_000))
    assert RealPlace(tmp_path).survey().files == (Seen("DICOM/ST1/IM1", 5, 7_000),)


@pytest.mark.parametrize(
    "path",
    [
        ".hidden.pdf",
        ".Trash-1000/a.pdf",
        "System Volume Information/a.pdf",
        "$RECYCLE.BIN/a.pdf",
        "lost+found/a.pdf",
        "taken/a.pdf",
        "feldsher/a.parcel",
    ],
)
def test_what_is_the_systems_or_ours_is_not_looked_at(tmp_path, path):
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_bytes(b"1")
    (tmp_path / "below" / "taken").mkdir(parents=True)
    (tmp_path / "below" / "taken" / "a.pdf").write_bytes(b"1")
    assert paths(RealPlace(tmp_path)) == ["below/taken/a.pdf"]


def test_nothing_is_followed_out_of_it(tmp_path):
    place, outside = tmp_path / "place", tmp_path / "outside"
    for folder in (place, outside):
        folder.mkdir()
    (outside / "secret.pdf").write_bytes(b"1")
    (place / "link.pdf").symlink_to(outside / "secret.pdf")
    (place / "folder").symlink_to(outside)
    os.mkfifo(place / "pipe.pdf")
    assert paths(RealPlace(place)) == []
    for path in ("link.pdf", "folder/secret.pdf"):
        with pytest.raises(DiskError):
            RealPlace(place).read(Seen(path, 1, 0))
    assert RealPlace(place).read(Seen("pipe.pdf", 0, 0)) is None


def test_a_place_that_is_not_there_or_too_deep_or_too_full(tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="is not there"):
        RealPlace(tmp_path / "none").survey()
    (tmp_path / "file").write_bytes(b"1")
    with pytest.raises(DiskError):
        RealPlace(tmp_path / "file").survey()
    deep = tmp_path / "/".join("d" * (DEPTH_MAX + 1))
    deep.mkdir(parents=True)
    (deep / "a.pdf").write_bytes(b"1")
    survey = RealPlace(tmp_path).survey()
    assert [seen.path for seen in survey.files] == ["file"]
    assert len(survey.closed) == 1
    monkeypatch.setattr(inbox_place, "FILES_MAX", 2)
    for number in range(3):
        (tmp_path / f"{number}.pdf").write_bytes(b"1")
    survey = RealPlace(tmp_path).survey()
    assert (len(survey.files), survey.is_cut) == (2, True)


def test_a_file_is_read_as_it_was_seen_or_not_at_all(tmp_path):
    place, path = RealPlace(tmp_path), tmp_path / "a.pdf"
    path.write_bytes(b"12345")
    seen = seen_of(place, "a.pdf")
    assert place.read(seen) == b"12345"
    path.write_bytes(b"123456")
    assert place.read(seen) is None
    path.write_bytes(b"54321")
    os.utime(path, ns=(5, seen.stamp + 1))
    assert place.read(seen) is None
    path.unlink()
    with pytest.raises(UsageError):
        place.read(seen)


def test_a_name_that_is_no_text_is_a_name(tmp_path):
    (tmp_path / os.fsdecode(b"\xcf\xee\xf0.pdf")).write_bytes(b"1")
    place = RealPlace(tmp_path)
    (seen,) = place.survey().files
    assert place.read(seen) == b"1"
    assert place.move(seen) == f"taken/{seen.path}"


@pytest.mark.parametrize("has_links", [True, False])
def test_what_is_moved_overwrites_nothing_and_keeps_its_folder(tmp_path, has_links, monkeypatch):
    if not has_links:  # as FAT

        def refuse(*_, **__):
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    place = RealPlace(tmp_path)
    for number in range(3):
        (tmp_path / "S").mkdir(exist_ok=True)
        (tmp_path / "S" / "a.pdf").write_bytes(b"%d" % number)
        place.move(seen_of(place, "S/a.pdf"))
    found = {path.name: path.read_bytes() for path in (tmp_path / "taken" / "S").iterdir()}
    assert found == {"a.pdf": b"0", "a.1.pdf": b"1", "a.2.pdf": b"2"}
    assert paths(place) == []


def test_a_file_that_has_changed_since_it_was_taken_stays(tmp_path):
    place = RealPlace(tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"old")
    seen = seen_of(place, "a.pdf")
    (tmp_path / "a.pdf").write_bytes(b"newer")
    assert place.move(seen) == ""
    assert paths(place) == ["a.pdf"]


def test_an_error_names_no_file(tmp_path):
    (tmp_path / "KOVAL").symlink_to("/nowhere")
    with pytest.raises(DiskError) as caught:
        RealPlace(tmp_path).read(Seen("KOVAL", 1, 0))
    assert "KOVAL" not in str(caught.value)
