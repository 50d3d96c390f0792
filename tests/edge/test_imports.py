"""Files that somebody brings: committed when the command ends, whatever is cut; taken up once; whose they are."""

from dataclasses import replace

import pytest

from benchmarks.photographs import as_file, photograph
from edge import imports
from edge.importing import FILE_SIZE_MAX, FILES_MAX, PATIENT_SIZE_MAX, Importer, media_type_of, patient_of, readable
from edge.imports import ASKED, Question, ready, take_up
from node.entropy import seeded
from node.spool import Spool, State
from tests.edge.test_kit import ENROLMENT, LABEL, SERVER_SEAL, Clock, Van
from tests.sim.disk import Crash, SimDisk
from wire import codec
from wire.errors import DiskError, DiskFull, UsageError
from wire.objects import KINDS, STUDY
from wire.record import Device, Patient, Picture, Preview, Summary
from wire.study import open_study
from wire.tag import Tag

PHOTO = as_file(photograph(1600, 1200), quality=90)
PNG = as_file(photograph(40, 30, 2), "PNG")
SIZE_MAX = 32 << 20


@pytest.fixture
def files(tmp_path):
    """Return the paths of a photograph, a small PNG and a text."""
    made = {"chest.jpg": PHOTO, "small.png": PNG, "report.txt": b"No fracture.\n" * 40}
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return [tmp_path / name for name in made]


def imported(disk, paths, patient=None, priority=5, life=0):
    return Importer(disk, Clock(), seeded(b"import %d" % life), ENROLMENT).make(paths, patient, priority)


def opened(spool, kind):
    return [
        open_study(spool.read(one.object_id, 0, one.size), SERVER_SEAL[0])
        for one in spool.objects()
        if KINDS[one.kind] == kind
    ]


def tags_of(study):
    return [tag for entry in study.entries for tag in entry.tags]


def images_of(study):
    tags = [tag for tag in tags_of(study) if tag.kind == Picture.KIND]
    plain = [codec.unpack(tag.data, tag.codec, SIZE_MAX) for tag in tags]
    return [Picture.from_tag(Tag(*Picture.KIND, data)) for data in plain]


def test_files_become_one_study_with_a_summary_and_previews(files):
    disk = SimDisk()
    made = imported(disk, files, patient_of(" 113 ", 7))
    spool = Spool(disk)
    taken = list(take_up(disk, spool))
    assert [KINDS[one.kind] for one in taken] == ["summary", "study", "preview", "preview"]
    assert [KINDS[one.kind] for one in spool.pending()] == ["summary", "preview", "preview", "study"]
    (study,) = opened(spool, "study")
    assert study.study_id == made.study_id
    assert not study.damaged
    assert [one.image for one in images_of(study)] == [path.read_bytes() for path in files]
    assert [one.name for one in images_of(study)] == ["chest.jpg", "small.png", "report.txt"]
    assert [one.media_type for one in images_of(study)] == ["image/jpeg", "image/png", "text/plain"]
    (patient,) = [Patient.from_tag(tag) for tag in tags_of(study) if tag.kind == Patient.KIND]
    assert (patient.id, patient.source) == ("113", "manual")
    (device,) = [Device.from_tag(tag) for tag in tags_of(study) if tag.kind == Device.KIND]
    assert device.driver == "import"
    (summary,) = [Summary.from_tag(tag) for one in opened(spool, "summary") for tag in tags_of(one)]
    assert (summary.study, summary.patient, summary.form, summary.entries) == (made.study_id, "113", "document", 3)
    assert summary.headline == (("Pictures", "2", ""), ("Documents", "1", ""))
    shown = [Preview.from_tag(tag) for one in opened(spool, "preview") for tag in tags_of(one)]
    assert [(one.study, one.number, one.stage) for one in shown] == [(made.study_id, 0, 1), (made.study_id, 0, 2)]


def test_a_jpeg_travels_a_fifth_smaller(files):
    made = imported(SimDisk(), files[:1])
    assert made.study_size < 0.85 * len(PHOTO)


def test_the_files_are_not_touched(files):
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in files]
    imported(SimDisk(), files)
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in files] == before


def test_nothing_of_a_picture_its_name_or_its_patient_lies_on_the_card_in_the_clear(files):
    disk = SimDisk()
    imported(disk, files, patient_of("KOVAL-113", 0))
    spool = Spool(disk)
    list(take_up(disk, spool))
    everything = b"".join(disk.tree().values())
    for secret in (b"KOVAL", b"chest.jpg", b"No fracture", PNG[40:80], PHOTO[1000:1040]):
        assert secret not in everything


# Cuts


def test_a_power_cut_at_every_call_leaves_all_of_it_or_nothing(files):
    disk = SimDisk()
    imported(disk, files[1:])
    calls = disk.calls
    outcomes = set()
    for at in range(1, calls + 1):
        disk = SimDisk(at)
        disk.fail("crash", at)
        with pytest.raises(Crash):
            imported(disk, files[1:])
        after = disk.crash()
        spool = Spool(after)
        list(take_up(after, spool))
        outcomes.add(tuple(KINDS[one.kind] for one in spool.objects()))
        again = imported(after, files[1:], life=1)
        list(take_up(after, spool))
        assert spool.get(again.study_id) is not None
        for study in opened(spool, "study"):
            assert not study.damaged
            assert not study.end.recovered
            assert [one.image for one in images_of(study)] == [path.read_bytes() for path in files[1:]]
        assert len(opened(spool, "summary")) == len(opened(spool, "study"))
        assert not after.list("import/open")
        assert not after.list("import/spool")
    assert outcomes == {(), ("summary", "study")}


def test_a_power_cut_at_every_call_while_it_is_taken_up(files):
    made = SimDisk()
    imported(made, files[:1])
    disk = made.crash(0)
    list(take_up(disk, Spool(disk)))
    for at in range(1, disk.calls + 1):
        disk = made.crash(at)
        disk.fail("crash", at)
        with pytest.raises(Crash):
            list(take_up(disk, Spool(disk)))
        after = disk.crash()
        spool = Spool(after)
        list(take_up(after, spool))
        assert sorted(KINDS[one.kind] for one in spool.objects()) == ["preview", "preview", "study", "summary"]
        assert not after.list("import/spool")
        assert not spool.foreign


def test_a_disk_error_is_told_and_the_next_import_works(files):
    disk = SimDisk()
    disk.fail("EIO", 30)
    with pytest.raises(DiskError):
        imported(disk, files)
    made = imported(disk.crash(), files, life=1)
    assert made.files == 3


def test_a_full_disk_takes_nothing(files):
    disk = SimDisk(capacity=100_000)
    with pytest.raises(DiskFull):
        imported(disk, files)
    assert ready(disk) == []


# What the command may be given


def test_files_that_cannot_be_imported_are_named(tmp_path, files):
    empty, large = tmp_path / "empty.jpg", tmp_path / "large.bin"
    empty.write_bytes(b"")
    with large.open("wb") as file:
        file.truncate(FILE_SIZE_MAX + 1)
    for path, why in (
        (tmp_path / "missing.jpg", "no such file"),
        (empty, "0 bytes"),
        (tmp_path, "not a file"),
        (large, f"{FILE_SIZE_MAX + 1} bytes"),
    ):
        with pytest.raises(UsageError, match=why) as told:
            readable([files[0], path])
        assert str(path) in str(told.value)
    with large.open("wb") as file:
        file.truncate(FILE_SIZE_MAX)
    assert readable([large]) == [large]
    with pytest.raises(UsageError, match="bring fewer"):
        readable([large] * 6)


def test_as_many_files_as_the_limit(files):
    assert len(readable([files[2]] * FILES_MAX)) == FILES_MAX
    for wrong in ([], [files[2]] * (FILES_MAX + 1)):
        with pytest.raises(UsageError, match=f"1 to {FILES_MAX}"):
            readable(wrong)


def test_a_file_that_vanishes_meanwhile_leaves_no_study(files):
    disk = SimDisk()
    with pytest.raises(UsageError, match="cannot be read"):
        imported(disk, [*files, files[0].with_name("gone.jpg")])
    assert ready(disk) == []
    assert imported(disk, files, life=1).files == 3
    assert len([one for one in ready(disk) if one.kind == STUDY]) == 1


@pytest.mark.parametrize("text", ["", "  ", "a\nb", "x" * (PATIENT_SIZE_MAX + 1)])
def test_a_patient_id_that_is_none(text):
    with pytest.raises(UsageError, match="patient"):
        patient_of(text, 0)
    assert patient_of("x" * PATIENT_SIZE_MAX, 0).id == "x" * PATIENT_SIZE_MAX


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a", PHOTO[:20], "image/jpeg"),
        ("a.txt", PNG[:20], "image/png"),
        ("a.gif", b"GIF89a", "image/gif"),
        ("a", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ("a.doc", b"%PDF-1.4", "application/pdf"),
        ("a.csv", b"1;2", "text/csv"),
        ("a.jpg", b"no JPEG", "application/octet-stream"),
        ("a.svg", b"<svg onload=alert(1)>", "application/octet-stream"),
        ("a", b"\x00", "application/octet-stream"),
    ],
)
def test_a_file_is_what_its_bytes_say(name, data, said):
    assert media_type_of(name, data) == said


def test_an_urgent_import_is_urgent(files):
    disk = SimDisk()
    imported(disk, files, priority=1)
    assert {one.priority for one in ready(disk)} == {1}


# The kit that runs


def scan(van, label=LABEL):
    van.kit.heard("labels", label.encode() + b"\r\n", van.roads.now)


def asked(van):
    question = Question(van.disk, seeded(b"question"))
    assert not question.is_answered()
    van.kit.take_imports(van.roads.now)
    assert question.is_answered()
    try:
        return question.label()
    finally:
        question.forget()


def test_a_kit_that_runs_takes_up_the_study_and_sends_it(files):
    van = Van()
    made = imported(van.disk, files)
    van.kit.take_imports(0.0)
    assert van.told("imported") == [made.study_id.hex()]
    assert van.kit.crossed()
    van.call()
    assert van.roads.run(60, van.is_drained)
    assert made.study_id in van.inbox.done
    van.kit.take_imports(1.0)
    assert van.told("imported") == [made.study_id.hex()]


def test_the_label_that_was_scanned_last_names_the_patient():
    van = Van()
    assert asked(van) is None
    scan(van)
    label = asked(van)
    assert label.source == "barcode"
    assert label.id
    assert label.id in LABEL
    assert not van.disk.list(ASKED)


def test_a_question_prolongs_a_label_as_a_study_does_and_a_label_that_is_too_old_is_not_told():
    van = Van()
    scan(van)
    van.roads.now = 590.0
    assert asked(van) is not None
    van.roads.now = 1180.0
    assert asked(van) is not None
    van.roads.now = 1800.0
    assert asked(van) is None


def test_the_label_lies_on_the_card_sealed_to_who_asked():
    van = Van()
    scan(van)
    question = Question(van.disk, seeded(b"question"))
    van.kit.take_imports(0.0)
    code = question.label().id.encode()
    assert code not in b"".join(van.disk.tree().values())


@pytest.mark.parametrize("public", [b"", b"short", bytes(32), bytes(33)])
def test_a_question_that_is_none_is_answered_with_nothing(public):
    van = Van()
    van.disk.make_folder("import")
    van.disk.make_folder(ASKED)
    van.disk.append(f"{ASKED}/{'0' * 32}.ask", public)
    scan(van)
    van.kit.take_imports(0.0)
    assert not van.disk.read(f"{ASKED}/{'0' * 32}.label") or len(public) == 33


def test_questions_are_answered_a_few_at_a_time():
    van = Van()
    questions = [Question(van.disk, seeded(b"question %d" % n)) for n in range(imports.ASKS_MAX + 1)]
    van.kit.take_imports(0.0)
    assert sum(one.is_answered() for one in questions) == imports.ASKS_MAX
    van.kit.take_imports(1.0)
    assert all(one.is_answered() for one in questions)


def test_what_a_full_spool_does_not_take_waits_and_is_said_once(files):
    van = Van()
    made = imported(van.disk, files)
    van.kit.spool._objects_max = 1
    for second in range(3):
        van.kit.take_imports(float(second))
    assert len([text for text in van.told("alarm") if "waits in import/" in text]) == 1
    van.kit.spool._objects_max = 100
    van.kit.take_imports(3.0)
    assert van.told("imported") == [made.study_id.hex()]


def test_a_file_below_import_that_cannot_be_taken_up_stops_no_capture_and_is_said_once(files):
    van = Van()
    imported(van.disk, files)
    van.kit.take_imports(0.0)
    study = next(one for one in van.kit.spool.objects() if one.kind == STUDY)
    other = replace(study, digest=bytes(16))
    van.disk.append(f"import/spool/{other.name}", b"the same id over other bytes")
    for second in range(3):
        van.kit.take_imports(float(second))
    assert not van.kit.disk_failed
    (said,) = [text for text in van.told("alarm") if "waits in import/" in text]
    assert study.object_id.hex() in said


def test_a_card_that_fails_under_an_import_stops_the_kit_until_it_is_opened_anew(files):
    van = Van()
    made = imported(van.disk, files)
    van.disk.fail("EIO", 2)
    van.kit.take_imports(0.0)
    assert van.kit.disk_failed
    van.kit.take_imports(1.0)
    van.kit.reopen()
    van.kit.take_imports(2.0)
    assert van.kit.spool.get(made.study_id).state is State.WAITING
