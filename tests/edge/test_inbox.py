"""Files that appear in a folder or on a stick: each whole one a study, once, whatever is pulled, cut or written."""

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.importing import FILE_SIZE_MAX, FILES_MAX
from edge.inbox_place import Seen, Survey
from edge.inbox_taken import FOLDER, SHARD_MAX, TAKEN, Taken, key_maker, mark_maker
from edge.inbox_watch import BATCH_FILES_MAX, BATCH_SIZE_MAX, RETRY_S_MAX, STALE_S, Fate, Outcome, Wanted, Watch
from edge.taking import STUDIES_MAX, Taker
from hardware.simulated.scp_ecg import record
from node.disk import put_file
from node.entropy import seeded
from node.spool import Spool
from tests.edge.dicom_made import DIRECTORY, dicom
from tests.edge.inbox_bench import SETTLE_S, InboxBench
from tests.edge.samples import sample
from tests.edge.spectra_files import N42_2012
from tests.edge.test_imports import PNG, images_of, tags_of
from tests.edge.test_kit import ENROLMENT, Clock
from tests.sim.disk import Crash, SimDisk
from wire.errors import DiskError, DiskFull
from wire.objects import STUDY
from wire.record import Device, Patient, Result
from wire.tag import Tag
from wire.waveform import Waveform

PDF = b"%PDF-1.4 a report"
STRIDE = 5
"""Calls of the card between two cuts; by hand with 1."""
CSV = b"name;value\r\nWBC;5,4\r\n"
SCP = record(1, "12345674", samples=100)


def test_a_file_that_appears_becomes_a_study_and_stays_where_it_is():
    bench = InboxBench(form="laboratory", priority=2)
    bench.place.write("out/result.csv", CSV)
    assert bench.settle() == {"taken": 1}
    (study,) = bench.studies()
    assert [(one.image, one.name, one.media_type) for one in images_of(study)] == [(CSV, "result.csv", "text/csv")]
    (device,) = [Device.from_tag(tag) for tag in tags_of(study) if tag.kind == Device.KIND]
    assert (device.driver, device.port) == ("inbox", "stick")
    (summary,) = bench.summaries()
    assert (summary.form, summary.patient, summary.headline) == ("laboratory", "", (("Documents", "1", ""),))
    assert {one.priority for one in bench.spool.objects() if one.kind == STUDY} == {2}
    assert bench.place.files["out/result.csv"][0] == CSV
    assert bench.waiting() == {}


def test_each_file_is_a_study_of_its_own():
    bench = InboxBench()
    for name, data in {"a.pdf": PDF, "b.csv": CSV, "c.png": PNG, "d.n42": N42_2012, "e.scp": SCP}.items():
        bench.place.write(name, data)
    assert bench.settle() == {"taken": 5}
    assert len(bench.studies()) == 5
    assert set(bench.contents().values()) == {1}


# Whole or not


def test_a_file_that_grows_is_left_until_nothing_of_it_changes():
    bench = InboxBench()
    for size in range(1, 9):
        bench.place.write("a.pdf", PDF * size)
        assert bench.look(SETTLE_S - 1) == []
        assert bench.waiting() == {"a.pdf": "is being written"}
    assert bench.look(SETTLE_S) != []
    assert bench.contents() == {PDF * 8: 1}


def test_a_file_of_its_whole_size_that_is_still_filled_is_left():
    """Windows and FTP servers give a file its size at once."""
    bench = InboxBench()
    bench.place.write("a.pdf", bytes(len(PDF)))
    bench.look(3)
    bench.place.write("a.pdf", PDF)
    bench.settle()
    assert bench.contents() == {PDF: 1}


@pytest.mark.parametrize("name", ["a.pdf.part", "a.PDF.TMP", "a.pdf~", "~$a.docx", "a.crdownload"])
def test_what_is_called_as_being_written_is_left_until_it_has_its_name(name):
    bench = InboxBench(kinds=("pdf", "other"))
    bench.place.write("out/" + name, PDF)
    assert bench.settle(120) == {}
    assert bench.waiting() == {"out/" + name: "its name says that it is being written"}
    bench.place.files["out/a.pdf"] = bench.place.files.pop("out/" + name)
    assert bench.settle() == {"taken": 1}


def test_an_empty_file_and_one_that_is_too_large_wait_and_say_why():
    bench = InboxBench()
    bench.place.write("empty.pdf", b"")
    bench.place.files["large.pdf"] = (b"%PDF-" + bytes(FILE_SIZE_MAX - 4), 1)
    assert bench.settle() == {}
    assert bench.waiting() == {
        "empty.pdf": "is empty",
        "large.pdf": f"is too large: {FILE_SIZE_MAX + 1} bytes; at most {FILE_SIZE_MAX}",
    }


def test_a_file_that_changes_while_it_is_read_is_looked_at_again():
    bench = InboxBench()
    bench.place.write("a.pdf", PDF)
    seen = bench.place.survey().files
    bench.place.write("a.pdf", PDF + b" and more")
    bench.watch.look(Survey(seen), 0.0, lambda: None)
    bench.watch.look(Survey(seen), 10.0, lambda: None)
    assert [one.fate for one in bench._take(bench.watch.wanted(10.0))] == [Fate.LATER]
    bench.settle()
    assert bench.contents() == {PDF + b" and more": 1}


# Once


def test_the_same_file_again_is_no_second_study_whatever_it_is_called_and_however_often_the_kit_begins_anew():
    bench = InboxBench()
    bench.place.write("a.pdf", PDF)
    bench.settle()
    bench.place.write("copy/b.pdf", PDF)
    bench.place.write("a.pdf", PDF)
    assert bench.settle() == {"known": 2}
    bench.restart(bench.disk.crash())
    assert bench.settle() == {"known": 2}
    assert bench.contents() == {PDF: 1}
    bench.place.write("a.pdf", PDF + b"!")
    assert bench.settle() == {"taken": 1}


def test_two_copies_at_once_are_one_study():
    bench = InboxBench()
    for name in ("a.pdf", "b.pdf"):
        bench.place.write(name, PDF)
        bench.place.write(name + ".dcm", dicom())
    assert bench.settle() == {"taken": 2, "known": 2}
    assert set(bench.contents().values()) == {1}


def test_a_stick_that_comes_back_brings_only_what_is_new():
    bench = InboxBench()
    bench.place.write("a.pdf", PDF)
    bench.settle()
    bench.place.is_in = False
    bench.settle(5)
    assert not bench.watch.status(bench.now, str)["there"]
    bench.place.is_in = True
    bench.place.write("b.csv", CSV)
    assert bench.settle() == {"taken": 1, "known": 1}
    assert bench.contents() == {PDF: 1, CSV: 1}


@pytest.mark.parametrize("reads", range(9))
def test_a_stick_that_is_pulled_out_in_the_middle_loses_nothing(reads):
    bench = InboxBench()
    bench.place.write("a.pdf", PDF)
    for number in range(1, 4):
        bench.place.write(f"IM{number}", dicom(number=number))
    bench.place.reads_left = reads
    bench.settle(8)
    bench.place.is_in, bench.place.reads_left = True, None
    bench.settle()
    assert set(bench.contents().values()) == {1}
    assert sum(bench.contents().values()) == 4
    assert len(bench.studies()) == 2


@pytest.mark.parametrize("after", ["leave", "move"])
def test_a_power_cut_at_every_call_makes_neither_two_studies_nor_none(after):
    def begun(at):
        bench = InboxBench(SimDisk(at), after=after)
        for name, data in FILES.items():
            bench.place.write(name, data)
        return bench

    first = begun(0)
    before = first.disk.calls
    first.settle(7)
    for at in range(1, first.disk.calls - before + 1, STRIDE):
        bench = begun(at)
        bench.disk.fail("crash", at)
        with pytest.raises(Crash):
            bench.settle(7)
        for _ in range(2):
            try:
                bench.restart(bench.disk.crash() if bench.disk.crashed else bench.disk)
                bench.disk.fail("crash", at % 50 + 1)
                bench.settle(7)
                break
            except Crash:
                continue
        bench.restart(bench.disk.crash())
        bench.settle(30)
        assert bench.contents() == dict.fromkeys(FILES.values(), 1), at
        assert not bench.disk.list("inbox/spool")
        assert not bench.spool.foreign


FILES = {"a.pdf": PDF, "IM1": dicom(number=1), "IM2": dicom(number=2)}


@pytest.mark.parametrize("fault", ["EIO", "ENOSPC"])
def test_a_card_that_fails_or_is_full_takes_nothing_twice(fault):
    first = InboxBench()
    first.place.write("a.pdf", PDF)
    before = first.disk.calls
    first.settle(7)
    for at in range(1, first.disk.calls - before + 1, 2):
        bench = InboxBench(SimDisk(at))
        bench.place.write("a.pdf", PDF)
        bench.disk.fail(fault, at)
        try:
            bench.settle(7)
        except (DiskError, DiskFull):
            bench.restart(bench.disk.crash())
        bench.settle(30)
        assert bench.contents() == {PDF: 1}, at


# What waits, and is tried again


def test_what_cannot_be_read_is_tried_again_less_and_less_often_and_holds_up_nothing():
    bench = InboxBench()
    bench.place.write("bad.pdf", PDF)
    bench.place.write("good.csv", CSV)
    bench.place.broken.add("bad.pdf")
    fates = bench.settle(4000)
    assert fates["taken"] == 1
    assert 5 < fates["failed"] < 14
    assert bench.waiting() == {"bad.pdf": "cannot be read: the file: Input/output error"}
    bench.place.broken.clear()
    assert bench.settle(int(RETRY_S_MAX) + 60)["taken"] == 1


def test_a_kind_that_is_not_taken_is_left_and_looked_at_once():
    bench = InboxBench(kinds=("pdf",))
    bench.place.write("a.exe", b"MZ")
    bench.place.write("b.csv", CSV)
    assert bench.settle(200) == {"left": 2}
    assert bench.waiting() == {
        "a.exe": "is of a kind that is not known, and this inbox does not take it",
        "b.csv": "is of the kind csv, and this inbox does not take it",
    }
    bench.place.write("b.csv", PDF)
    assert bench.settle() == {"taken": 1}


def test_what_is_not_taken_is_not_even_read_to_its_end():
    bench = InboxBench()
    bench.place.write("film.mp4", bytes(5000))
    bench.place.reads_left = 0
    assert bench.settle() == {"left": 1}
    assert bench.place.is_in


def test_of_many_studies_some_are_made_at_one_go_and_the_others_next():
    bench = InboxBench()
    for number in range(STUDIES_MAX + 3):
        bench.place.write(f"{number:02d}.pdf", PDF + b"%d" % number)
    bench.look()
    assert len(bench.look(SETTLE_S)) == STUDIES_MAX
    assert len(bench.look()) == 3


def test_it_is_alive_with_each_file_that_it_reads_though_a_series_is_told_of_at_its_end():
    """The daemon gives up a process that says nothing for three minutes."""
    bench, beats = InboxBench(), []
    for number in range(3):
        bench.place.write(f"IM{number}", dicom(number=number))
    wanted = [Wanted(seen) for seen in bench.place.survey().files]
    alive = partial(beats.append, 1)
    taker = Taker(bench.disk, Clock(), seeded(b"x"), ENROLMENT, bench.place, bench.rule, alive)
    first = next(taker.take(wanted))
    assert first.fate is Fate.TAKEN
    assert len(beats) == 6


def test_one_go_takes_so_many_files_and_bytes_and_the_rest_follows():
    watch = Watch(1.0)
    many = tuple(Seen(f"{number:04d}", 1, 0) for number in range(BATCH_FILES_MAX + 1))
    large = tuple(Seen(f"{number:04d}", FILE_SIZE_MAX, 0) for number in range(BATCH_SIZE_MAX // FILE_SIZE_MAX + 1))
    for files, count in ((many, BATCH_FILES_MAX), (large, BATCH_SIZE_MAX // FILE_SIZE_MAX)):
        watch.look(Survey(files), 0.0, lambda: None)
        assert len(watch.wanted(5.0)) == count
        for one in watch.wanted(5.0):
            watch.heard(one.seen, Outcome(one.seen.path, Fate.TAKEN), 5.0)
        assert len(watch.wanted(5.0)) == 1
        watch.gone()


def test_a_place_with_too_many_files_or_closed_folders_says_so():
    watch = Watch(1.0)
    watch.look(Survey((Seen("a", 1, 0),), is_cut=True, closed=("x",)), 0.0, lambda: None)
    assert len(watch.status(0.0, str)["notes"]) == 2
    watch.look(Survey(()), 0.0, lambda: None)
    assert watch.status(0.0, str)["notes"] == []


# Whose it is


def named(study):
    return [
        (one.id, one.source) for tag in tags_of(study) if tag.kind == Patient.KIND for one in [Patient.from_tag(tag)]
    ]


def test_a_file_is_whose_it_says_or_nobodys():
    bench = InboxBench()
    bench.label = Patient("777", "barcode", True, 1)
    bench.look()
    bench.place.write("a.pdf", PDF)
    bench.place.write("IM1", dicom(patient="113"))
    bench.settle()
    assert sorted(named(study) for study in bench.studies()) == [[], [("113", "device")]]


def test_by_the_label_what_appears_is_whose_label_was_in_force_then_and_a_file_that_says_another_is_marked():
    bench = InboxBench(patient="label")
    bench.place.write("before.pdf", PDF)
    bench.label = Patient("777", "barcode", True, 1)
    bench.look()
    bench.place.write("a.csv", CSV)
    bench.place.write("IM1", dicom(patient="113"))
    bench.look()
    bench.label = Patient("888", "barcode", True, 1)
    bench.settle()
    found = {images_of(study)[0].name: named(study) for study in bench.studies()}
    assert found == {"before.pdf": [], "a.csv": [("777", "barcode")], "IM1": [("777", "barcode")]}
    assert sorted((one.patient, one.patient_conflict) for one in bench.summaries()) == [
        ("", False),
        ("777", False),
        ("777", True),
    ]


def test_a_file_that_is_written_anew_is_whose_label_is_in_force_then_and_one_that_grows_keeps_its_own():
    """Some devices write every result into the same file."""
    bench = InboxBench(patient="label")
    bench.look()
    for label in ("111", "222"):
        bench.label = Patient(label, "barcode", True, 1)
        bench.place.write("result.csv", CSV + label.encode())
        bench.look()
        bench.label = Patient("999", "barcode", True, 1)
        bench.place.write("result.csv", CSV + label.encode() + b"\r\n")
        bench.settle()
    assert sorted(one.patient for one in bench.summaries()) == ["111", "222"]


def test_a_label_counts_for_nothing_on_a_stick_that_was_put_into_a_folder_that_was_empty():
    """A mount point is there before the stick is, and what is on a stick was made before."""
    watch, label = Watch(1.0), Patient("777", "barcode", True, 1)
    watch.look(Survey((), device=1), 0.0, lambda: label)
    watch.look(Survey((Seen("a.pdf", 1, 0),), device=2), 1.0, lambda: label)
    assert [one.label for one in watch.wanted(5.0)] == [None]
    watch.look(Survey((Seen("a.pdf", 1, 0), Seen("b.pdf", 1, 0)), device=2), 5.0, lambda: label)
    assert [one.label for one in watch.wanted(9.0)] == [None, label]


# DICOM, ECG


def test_the_images_of_one_dicom_study_are_one_study_in_their_order_untouched():
    bench = InboxBench()
    images = {f"DICOM/ST1/IM{9 - number}": dicom(number=number) for number in range(1, 5)}
    for path, data in images.items():
        bench.place.write(path, data)
    bench.place.write("DICOM/ST2/IM1", dicom(study="1.2.4"))
    bench.place.write("DICOM/ST2/IM2", dicom(study="1.2.4", number=2, patient="114"))
    bench.place.write("DICOMDIR", dicom(study="9", sop_class=DIRECTORY))
    assert bench.settle() == {"taken": 6, "left": 1}
    by_size = sorted(bench.studies(), key=lambda study: -len(images_of(study)))
    assert [len(images_of(study)) for study in by_size] == [4, 1, 1]
    assert [one.image for one in images_of(by_size[0])] == [dicom(number=number) for number in range(1, 5)]
    assert {one.media_type for one in images_of(by_size[0])} == {"application/dicom"}
    (result, *_) = [Result.from_tag(tag) for tag in tags_of(by_size[0]) if tag.kind == Result.KIND]
    assert result.device_time == "20261122 083000"
    assert result.patient_ids == (("0010,0020", "113"), ("0010,0010", "Koval^Olena"))
    assert {one.name: one.value for one in result.observations} == {
        "Modality": "US",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1",
        "SOPInstanceUID": "1.2.3.1.1",
        "SeriesNumber": "1",
        "InstanceNumber": "1",
    }
    assert sorted(one.patient for one in bench.summaries()) == ["113", "113", "114"]
    assert {one.device for one in bench.summaries()} == {"Made for tests none"}
    assert bench.waiting()["DICOMDIR"].startswith("is the index of a medium")


def test_a_series_waits_while_anything_in_its_folder_is_written():
    bench = InboxBench()
    for number in range(1, 4):
        bench.place.write(f"S/IM{number}", dicom(number=number))
        bench.look(SETTLE_S - 1)
    bench.place.write("S/IM4.part", b"half")
    bench.place.write("T/a.pdf", PDF)
    assert "taken" not in bench.settle(4)
    assert bench.settle(30)["taken"] == 1
    assert bench.waiting()["S/IM1"] == "waits: something in its folder is being written"
    bench.place.files["S/IM4"] = bench.place.files.pop("S/IM4.part")
    bench.place.write("S/IM4", dicom(number=4))
    assert bench.settle()["taken"] == 4
    assert len(bench.studies()) == 2


def test_a_series_that_waits_is_not_read_again_and_again_and_goes_together_when_its_folder_is_quiet():
    bench = InboxBench()
    bench.place.write("S/IM3.part", b"half")
    bench.place.write("S/IM1", dicom(number=1))
    bench.settle(100)
    bench.place.write("S/IM2", dicom(number=2))
    bench.settle(7)
    assert bench.place.reads < 6
    del bench.place.files["S/IM3.part"]  # somebody has given it up
    assert bench.settle(3) == {"taken": 2}
    assert len(bench.studies()) == 1


def test_an_image_that_was_exchanged_within_the_clocks_grain_is_not_taken_for_another():
    """FAT counts two seconds."""
    bench = InboxBench()
    for number in (1, 2):
        bench.place.write(f"IM{number}", dicom(number=number))
    bench.place.after_reads = {2: lambda files: files.update(IM2=(dicom(number=3), files["IM2"][1]))}
    bench.settle()
    bench.restart(bench.disk.crash())
    bench.place.write("again", dicom(number=2))
    bench.settle()
    assert bench.contents() == {dicom(number=number): 1 for number in (1, 2, 3)}


def test_a_file_that_was_never_finished_holds_up_its_neighbours_only_so_long():
    bench = InboxBench()
    bench.place.write("S/IM1", dicom())
    bench.place.write("S/IM2.part", b"half")
    assert bench.settle(int(STALE_S) - 10)["taken"] == 0
    assert bench.settle(60)["taken"] == 1


def test_more_images_than_one_study_takes_are_several():
    bench = InboxBench()
    for number in range(FILES_MAX + 1):
        bench.place.write(f"IM{number}", dicom(number=number))
    assert bench.settle()["taken"] == FILES_MAX + 1
    assert sorted(len(images_of(study)) for study in bench.studies()) == [1, FILES_MAX]


def test_a_dicom_file_that_cannot_be_read_travels_as_it_is():
    bench = InboxBench()
    bench.place.write("IM1", bytes(128) + b"DICM" + b"\xff" * 300)
    assert bench.settle() == {"taken": 1}
    (study,) = bench.studies()
    (result,) = [Result.from_tag(tag) for tag in tags_of(study) if tag.kind == Result.KIND]
    assert result.notes[0].startswith("its DICOM elements were not read")


def test_an_ecg_on_a_stick_has_its_leads_and_its_file():
    bench, whole = InboxBench(), sample("ecg/ecgtoolkit-example.scp")
    bench.place.write("ECG/1.SCP", whole)
    bench.settle()
    (study,) = bench.studies()
    (image,) = images_of(study)
    assert (image.image, image.media_type) == (whole, "application/x-scp-ecg")
    (wave,) = [tag for tag in tags_of(study) if tag.kind == Tag(0x0B, 4).kind]
    found = Waveform.from_tag(wave)
    assert (len(found.names), found.rate_hz, len(found.samples[0])) == (12, 500.0, 5000)
    assert {one.form for one in bench.summaries()} == {"ecg"}


# Moving


def test_what_was_taken_is_moved_where_that_is_wanted_also_what_was_taken_before_a_crash():
    bench = InboxBench(after="move")
    bench.place.write("a.pdf", PDF)
    bench.place.write("b.exe", b"MZ")
    bench.settle()
    assert list(bench.place.files) == ["b.exe"]
    bench.place.write("again.pdf", PDF)
    assert bench.settle() == {"known": 1}
    assert list(bench.place.files) == ["b.exe"]


def test_a_stick_that_cannot_be_written_is_read_all_the_same():
    bench = InboxBench(after="move")
    bench.place.write("a.pdf", PDF)
    bench.place.is_writable = False
    (outcome,) = [one for _ in range(9) for one in bench.look()]
    assert (outcome.fate, outcome.says) == (Fate.TAKEN, "could not be moved: the file: Read-only file system")
    assert bench.settle() == {}
    assert bench.contents() == {PDF: 1}


# Which files were taken


def closed_study(disk, name):
    """Put what looks like a closed study of this id where studies wait."""
    Spool(disk, FOLDER).put(name, STUDY, bytes(10))


def test_keys_are_kept_once_the_study_is_closed_and_not_before():
    disk, key = SimDisk(), key_maker(b"secret")
    keys = [key(b"%d" % number) for number in range(60)]
    taken = Taken(disk)
    taken.closing(b"s" * 16, keys)
    taken.closed()
    assert not any(map(taken.knows, keys))
    closed_study(disk, b"s" * 16)
    assert all(map(Taken(disk).knows, keys))
    assert all(map(Taken(disk.crash()).knows, keys))


def test_of_too_many_keys_the_ones_that_were_not_seen_for_longest_go():
    disk = SimDisk()
    closed_study(disk, b"s" * 16)
    keys = [b"\0" + number.to_bytes(15, "big") for number in range(SHARD_MAX + 10)]
    for number, key in enumerate(keys):
        taken = Taken(disk)
        taken.closing(b"s" * 16, [key])
        taken.closed()
        assert not number or taken.knows(keys[0])
    assert [key for key in keys if not Taken(disk).knows(key)] == keys[1:11]
    assert disk.size(f"{TAKEN}/00") == 20 * SHARD_MAX


def test_a_damaged_key_is_forgotten_and_no_other():
    disk = SimDisk()
    closed_study(disk, b"s" * 16)
    keys = [bytes(15) + bytes([number]) for number in range(5)]
    taken = Taken(disk)
    taken.closing(b"s" * 16, keys)
    taken.closed()
    disk.damage(f"{TAKEN}/00", 45, b"\xff")
    put_file(disk, "inbox/closing", b"damaged")
    assert [Taken(disk).knows(key) for key in keys] == [True, True, False, True, True]


def test_the_card_tells_nobody_which_documents_it_has_seen_nor_any_name():
    bench = InboxBench()
    bench.place.write("KOVAL-113.pdf", PDF)
    bench.place.broken.add("KOVAL-113.pdf")
    bench.settle(30)
    bench.place.broken.clear()
    bench.settle(60)
    assert b"KOVAL" not in b"".join(bench.disk.tree().values())
    assert key_maker(b"a")(PDF) != key_maker(b"b")(PDF)
    mark = mark_maker(b"secret")
    assert "KOVAL" not in str(bench.watch.status(bench.now, mark)) + str(bench.said[-1].says)


# Any order of events

NAMES = ["a.pdf", "b.csv", "S/IM1", "S/IM2"]
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.sampled_from(NAMES), st.integers(1, 4)),
        st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("copy"), st.sampled_from(NAMES), st.sampled_from(["c1.pdf", "c2.pdf"])),
        st.tuples(st.just("pull"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("return"), st.just(0), st.just(0)),
        st.tuples(st.just("cut"), st.integers(1, 200), st.just(0)),
        st.tuples(st.just("wait"), st.integers(1, 12), st.just(0)),
    ),
    max_size=14,
)


class Story:
    """Files that grow by a piece at each look, and what becomes of them."""

    def __init__(self):
        self.bench, self.number = InboxBench(), 0
        self.growing = {}
        self.whole = set()

    def begin(self, name, pieces):
        self.number += 1
        data = dicom(number=self.number) if "IM" in name else (PDF if "pdf" in name else CSV) + b"%d" % self.number
        self.growing[name] = [data[: len(data) * part // pieces] for part in range(1, pieces + 1)]

    def rename(self, name, to):
        if name in self.bench.place.files and name not in self.growing and to not in self.bench.place.files:
            self.bench.place.files[to] = self.bench.place.files.pop(name)

    def copy(self, name, to):
        if name in self.bench.place.files and name not in self.growing:
            self.bench.place.write(to, self.bench.place.files[name][0])

    def pull(self, reads, _):
        self.bench.place.reads_left = reads

    def do_return(self, *_):
        self.bench.place.is_in, self.bench.place.reads_left = True, None

    def cut(self, at, _):
        self.bench.disk.fail("crash", at)

    def wait(self, looks, _=0):
        for _ in range(looks):
            for name, pieces in list(self.growing.items()):
                if not self.bench.place.is_in:
                    continue
                self.bench.place.write(name, pieces.pop(0))
                if not pieces:
                    del self.growing[name]
            try:
                self.bench.look()
                taken = [one.path for one in self.bench.said if one.fate in {Fate.TAKEN, Fate.KNOWN}]
                assert not set(taken) & {name for name in self.growing if name not in self.whole}
            except Crash:
                self.bench.restart(self.bench.disk.crash())
            self.whole |= {name for name in self.bench.place.files if name not in self.growing}


@settings(max_examples=30, deadline=None)
@given(EVENTS)
def test_whatever_happens_each_whole_file_is_there_once_and_no_half_one(events):
    story = Story()
    for what, one, two in events:
        getattr(story, {"return": "do_return"}.get(what, what))(one, two)
        story.wait(1)
    story.do_return()
    story.bench.disk.fail_at = None
    story.wait(80)
    there = {data for data, _ in story.bench.place.files.values()}
    contents = story.bench.contents()
    assert there <= set(contents)
    assert set(contents.values()) <= {1}
