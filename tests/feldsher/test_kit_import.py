"""`feldsher kit import`: beside a kit that runs and without one; what it says and refuses; whose files they are."""

import subprocess
import sys
import threading

import pytest

from benchmarks.photographs import as_file, photograph
from edge.worklist import Worklist
from feldsher.main import main
from hardware.simulated.scanner import Scanner, patient_label
from node.check import check_store
from node.clock import SystemClock
from node.disk import RealDisk
from node.enrolment import load_kit
from node.spool import State, parse_name
from provisioning.enrolment import add_kit
from server.centre import Centre
from tests.edge.dicom_made import dicom
from tests.edge.samples import sample
from tests.feldsher.place import ROOT, Bench, Place, feldsher, pid_memory_bytes
from wire import objects
from wire.seal import KEY_SIZE
from wire.worklist import Order

PHOTO = as_file(photograph(1600, 1200), quality=90)


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "chest.jpg"
    path.write_bytes(PHOTO)
    return path


@pytest.fixture
def centre(tmp_path):
    with Centre.open(tmp_path / "centre") as made:
        yield made


@pytest.fixture
def kit(tmp_path, centre):
    """Return the data folder of an enrolled kit that does not run."""
    data = tmp_path / "kit"
    data.mkdir(mode=0o700)
    centre.peers.add_gateway("ground", bytes(range(KEY_SIZE)), bytes(KEY_SIZE), ["udp://127.0.0.1:1"])
    add_kit(centre, "van-1", data / "enrolment.toml")
    return data


def held(data, folder="spool"):
    return [one for path in (data / folder).glob("*") if (one := parse_name(path.name)) is not None]


def take_in(centre, data):
    """Hand all that the kit has to the centre, as a link would; return the studies."""
    for one in held(data):
        raw = (data / "spool" / one.name).read_bytes()
        offer = objects.Offer(one.object_id, one.kind, len(raw), one.digest, one.priority)
        assert isinstance(centre.ingest.accept(offer, raw), objects.Receipt)
    return centre.library.lines()


def test_without_a_kit_that_runs_the_study_lies_in_the_spool_when_the_command_ends(kit, photo, centre, capsys):
    assert main(["kit", "import", str(photo), "--data", str(kit), "--patient", "113"]) == 0
    said = capsys.readouterr().out
    assert "1 file, " in said
    assert "committed" in said
    assert "2 previews" in said
    assert "patient as given" in said
    assert "takes it up" not in said
    assert sorted(one.kind for one in held(kit)) == [objects.SUMMARY, objects.STUDY, objects.PREVIEW, objects.PREVIEW]
    (line,) = take_in(centre, kit)
    assert (line.patient, line.form, line.kit) == ("113", "document", "van-1")
    assert line.study in said
    assert photo.read_bytes() == PHOTO


def test_without_a_patient_and_without_a_kit_that_runs_it_is_nobodys(kit, photo, centre, capsys):
    assert main(["kit", "import", str(photo), str(photo), "--data", str(kit), "--priority", "1"]) == 0
    assert "no patient: no label is in force" in capsys.readouterr().out
    assert {one.priority for one in held(kit)} == {1}
    (line,) = take_in(centre, kit)
    assert line.patient == ""
    assert line.urgent


def test_what_a_file_says_stands_in_the_study_and_whose_it_is(kit, tmp_path, centre, capsys):
    for name, data in (("IM1", dicom()), ("a.scp", sample("ecg/ecgtoolkit-example.scp"))):
        (tmp_path / name).write_bytes(data)
        assert main(["kit", "import", str(tmp_path / name), "--data", str(kit)]) == 0
        assert "patient as the files say" in capsys.readouterr().out
    lines = take_in(centre, kit)
    assert {(line.form, bool(line.patient)) for line in lines} == {("document", True), ("ecg", True)}
    assert "113" in {line.patient for line in lines}


def test_whose_files_are_is_compared_with_the_worklist_on_the_card(kit, tmp_path, centre, capsys):
    """The ids begin with a letter that no study's id has: what is printed names no patient, by chance neither."""
    centre.worklists.put("van-1", "2099-06-01", [Order("K113", "Koval", sample="S1")], 4_083_912_000_000)
    ((_, _, data),) = centre.worklists.pending()
    with RealDisk(kit) as disk:
        Worklist(disk, SystemClock(), load_kit(kit / "enrolment.toml")).take(data)
    whose = {
        "IM1": ((), "K113"),
        "IM2": (("--patient", "S1"), "K113"),
        "IM3": ((), "K999"),
        "IM4": (("--patient", "S1"), "K114"),
    }
    said = {}
    for number, (name, (words, patient)) in enumerate(whose.items()):
        (tmp_path / name).write_bytes(dicom(patient=patient, number=number))
        assert main(["kit", "import", str(tmp_path / name), "--data", str(kit), *words]) == 0
        said[name] = capsys.readouterr().out
    assert ["not on the worklist" in text for text in said.values()] == [False, False, True, False]
    assert ["disagrees" in text for text in said.values()] == [False, False, False, True]
    assert not any(name in text for text in said.values() for name in ("K113", "K999", "Koval"))
    lines = {(line.patient, line.conflict, line.unlisted) for line in take_in(centre, kit)}
    assert lines == {("K113", False, False), ("K999", False, True), ("K113", True, False)}


def test_two_commands_make_two_studies_and_the_store_is_sound(kit, photo, capsys):
    for _ in range(2):
        assert main(["kit", "import", str(photo), "--data", str(kit)]) == 0
    assert sum(one.kind == objects.STUDY for one in held(kit)) == 2
    with RealDisk(kit) as disk:
        assert check_store(disk).sound
        assert check_store(disk, "import").sound


def test_what_cannot_be_imported_is_named_and_nothing_is_taken(kit, tmp_path, photo, capsys):
    empty = tmp_path / "empty.jpg"
    empty.touch()
    hidden = tmp_path / "hidden.jpg"
    hidden.write_bytes(b"x")
    for path, why in ((tmp_path / "none.jpg", "no such file"), (empty, "0 bytes"), (tmp_path, "not a file")):
        assert main(["kit", "import", str(photo), str(path), "--data", str(kit)]) == 64
        told = capsys.readouterr().err
        assert str(path) in told
        assert why in told
    assert main(["kit", "import", str(photo), "--data", str(kit), "--patient", "  "]) == 64
    assert "patient's id" in capsys.readouterr().err
    assert not held(kit)


def test_another_user_than_the_kits_is_refused(kit, photo, monkeypatch, capsys):
    """Root's files in the data folder are closed to the daemon."""
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    assert main(["kit", "import", str(photo), "--data", str(kit)]) == 64
    assert "belongs to" in capsys.readouterr().err
    assert not (kit / "import").exists()


def test_a_folder_that_is_no_kits_is_named(tmp_path, photo, capsys):
    assert main(["kit", "import", str(photo), "--data", str(tmp_path / "none")]) != 0
    assert "none" in capsys.readouterr().err


def test_a_wrong_priority_is_refused_by_the_command_line(kit, photo, capsys):
    with pytest.raises(SystemExit):
        main(["kit", "import", str(photo), "--data", str(kit), "--priority", "10"])
    assert "priority" in capsys.readouterr().err


def test_only_one_import_at_a_time(kit, photo):
    outcomes = [feldsher("kit", "import", photo, "--data", kit) for _ in range(1)]
    assert [one.returncode for one in outcomes] == [0]
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "feldsher", "kit", "import", str(photo), "--data", str(kit)],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    codes = sorted(one.wait(60) for one in both)
    for one in both:
        one.stderr.close()
    assert codes in ([0, 0], [0, 64])
    assert sum(one.kind == objects.STUDY for one in held(kit)) == 1 + codes.count(0)


@pytest.mark.slow
def test_beside_a_kit_that_runs_with_a_label_scanned_and_without_memory_for_pictures(tmp_path, photo):
    """From the command line to the centre's page, through real processes."""
    label = patient_label(1, 0)
    with Place(tmp_path) as place:
        place.configure_kit({"labels": "barcode"})
        Bench(place, "labels", Scanner([label], 1.0, []))
        for node in ("centre", "gateway", "kit"):
            place.start(node)
        place.until(lambda: (place.status("kit") or {}).get("label_scanned"), "the label")
        before = pid_memory_bytes(place.processes["kit"].pid)
        done = feldsher("kit", "import", photo, "--data", place.data("kit"))
        assert done.returncode == 0, done.stderr
        assert "patient by the label that was scanned last" in done.stdout
        assert "takes it up" not in done.stdout
        assert not list((place.data("kit") / "import" / "asked").iterdir())
        place.until(place.is_drained, "all of it at the centre", alive=("centre", "gateway", "kit"))
        grown = pid_memory_bytes(place.processes["kit"].pid) - before
        assert grown < 4 << 20, f"the kit's process has grown by {grown} bytes"
        assert photo.read_bytes() == PHOTO
        for node in ("kit", "gateway", "centre"):
            place.stop(node)
        with Centre.open(place.data("centre")) as centre:
            (line,) = centre.library.lines()
            assert line.received
            assert line.patient
            assert line.patient in label
            came = [one.kind for one in centre.library.arrivals(line.study)]
    assert sorted(came) == [objects.SUMMARY, objects.STUDY, objects.PREVIEW, objects.PREVIEW]
    assert came[0] == objects.SUMMARY


@pytest.mark.slow
def test_killed_at_any_moment_all_of_it_is_taken_or_nothing(kit, photo, centre):
    """SIGKILL of the command; then another import, which must find the folder usable."""
    command = [sys.executable, "-m", "feldsher", "kit", "import", str(photo), "--data", str(kit)]
    for tenth in range(2, 12):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        killer = threading.Timer(tenth / 10, process.kill)
        killer.start()
        process.wait()
        killer.cancel()
    assert main(["kit", "import", str(photo), "--data", str(kit)]) == 0
    lines = take_in(centre, kit)
    assert lines
    assert all(line.received and not line.damaged and not line.recovered for line in lines)
    summaries = [one for one in held(kit) if one.kind == objects.SUMMARY]
    assert len(summaries) == len(lines)
    assert not list((kit / "import" / "open").iterdir())
    assert not held(kit / "import", State.WAITING.value)
