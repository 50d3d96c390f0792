"""`[[inbox]]` and `feldsher kit inbox`: a kit that runs, a real folder, kill -9, and what a person is told."""

import json

import pytest

from feldsher.main import main
from hardware.simulated.scp_ecg import record
from node.check import check_store
from node.disk import RealDisk
from server.centre import Centre
from tests.edge.dicom_made import dicom
from tests.feldsher.place import Place, feldsher
from wire import objects

INBOX = '[[inbox]]\nname = "stick"\npath = "{path}"\nsettle_s = 1\n'
SCP = record(1, "12345674", samples=100)


@pytest.fixture
def place(tmp_path):
    with Place(tmp_path) as made:
        (tmp_path / "stick").mkdir()
        (made.data("kit") / "kit.toml").write_text(INBOX.format(path=tmp_path / "stick"))
        yield made


def studies(place):
    return [one for one, _ in place.held().values() if one.kind == objects.STUDY]


def said(place):
    """Return what the kit says of its inbox; {} before it has said anything."""
    return next(iter(place.status("kit").get("inboxes", [])), {})


def is_done(inbox):
    here = inbox.get("here", {})
    return inbox.get("files") == 5 and here["left"] == 1 and here["known"] + here["taken"] == 4


@pytest.mark.slow
def test_files_of_a_stick_become_studies_at_the_centre_once_whatever_is_killed(place, tmp_path):
    stick = tmp_path / "stick"
    (stick / "IM1").write_bytes(dicom(number=1))
    (stick / "IM2").write_bytes(dicom(number=2))
    (stick / "ecg.scp").write_bytes(SCP)
    place.start("kit")
    place.until(lambda: len(studies(place)) >= 1, "the first study", alive=("kit",))
    place.kill("kit")
    place.start("kit")
    place.until(lambda: len(studies(place)) == 2, "both studies", alive=("kit",))
    (stick / "KOVAL.exe").write_bytes(b"MZ")
    (stick / "again.scp").write_bytes(SCP)
    place.until(lambda: is_done(said(place)), "all is looked at", alive=("kit",))
    told = feldsher("kit", "inbox", "--data", place.data("kit")).stdout
    assert "KOVAL.exe" in told
    assert "is of a kind that is not known" in told
    brief = feldsher("kit", "status", "--data", place.data("kit")).stdout
    assert "inbox stick: 5 files" in brief
    assert "1 left (`kit inbox`)" in brief
    everything = place.log("kit") + json.dumps(place.status("kit"))
    assert "KOVAL" not in everything
    assert "Koval" not in everything
    place.stop("kit")
    assert len(studies(place)) == 2
    with RealDisk(place.data("kit")) as disk:
        assert check_store(disk).sound
        assert check_store(disk, "inbox").sound
    with Centre.open(place.data("centre")) as centre:
        for one, path in place.held().values():
            offer = objects.Offer(one.object_id, one.kind, path.stat().st_size, one.digest, one.priority)
            assert isinstance(centre.ingest.accept(offer, path.read_bytes()), objects.Receipt)
        lines = centre.library.lines()
    assert {(line.form, line.patient) for line in lines} >= {("document", "113")}
    assert {line.form for line in lines} == {"document", "ecg"}


def test_a_kit_without_an_inbox_says_so(tmp_path, capsys):
    (tmp_path / "status.json").write_text(json.dumps({"name": "van-1", "inboxes": []}))
    assert main(["kit", "inbox", "--data", str(tmp_path)]) == 64
    assert "no [[inbox]]" in capsys.readouterr().err


def test_the_selftest_has_a_line_for_each_inbox(place, tmp_path):
    assert (
        f"ok      inbox stick ({tmp_path / 'stick'})" in feldsher("kit", "selftest", "--data", place.data("kit")).stdout
    )
    (place.data("kit") / "kit.toml").write_text(INBOX.format(path=tmp_path / "none" / "stick"))
    assert "FAILED  inbox stick" in feldsher("kit", "selftest", "--data", place.data("kit")).stdout
