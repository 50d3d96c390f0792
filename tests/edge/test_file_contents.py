"""What a file is and says: real DICOM and SCP-ECG files, damaged ones, and names that lie."""

import logging
import tracemalloc
import zlib

import pytest
from pydicom.data import get_testdata_file

from edge import dicom_files
from edge.dicom_files import HEAD_SIZE_MAX
from edge.file_contents import KINDS, contents_of
from tests.edge.dicom_made import DIRECTORY, dicom
from tests.edge.samples import sample
from tests.edge.spectra_files import N42_2012, spc
from tests.edge.test_imports import PHOTO, PNG


def real(name):
    with open(get_testdata_file(name, download=False), "rb") as file:
        return file.read()


def named(contents):
    return {one.name: one.value for result in contents.results for one in result.observations}


@pytest.mark.parametrize(
    ("name", "patient", "modality"),
    [
        ("CT_small.dcm", "1CT1", "CT"),
        ("MR_small.dcm", "4MR1", "MR"),
        ("examples_rgb_color.dcm", "13US1", "US"),
        ("ExplVR_BigEnd.dcm", "", "US"),
        ("waveform_ecg.dcm", "642341", "ECG"),
    ],
)
def test_real_dicom_files_say_whose_they_are_and_what(name, patient, modality):
    contents = contents_of("IM1", real(name))
    assert (contents.kind, contents.media_type) == ("dicom", "application/dicom")
    assert named(contents)["Modality"] == modality
    assert all(named(contents)[uid] for uid in ("SOPInstanceUID", "StudyInstanceUID"))
    if patient:
        assert contents.ids == (patient,)


def test_a_name_in_another_alphabet_is_read_in_the_files_own_character_set():
    raw = dicom(SpecificCharacterSet="ISO_IR 144", PatientName="Коваль^Олена")
    (result,) = contents_of("a.dcm", raw).results
    assert ("0010,0010", "Коваль^Олена") in result.patient_ids
    assert result.encoding == "ISO_IR 144"


def test_a_dicomdir_is_an_index_and_not_by_its_name():
    assert contents_of("x", dicom(sop_class=DIRECTORY)).is_index
    assert not contents_of("DICOMDIR", dicom()).is_index


@pytest.mark.parametrize("name", ["DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-implicit", "DICOMDIR-nopatient"])
def test_a_real_dicomdir_is_an_index_though_it_names_no_study_of_its_own(name):
    assert contents_of("x", real(name)).is_index


def test_a_dicom_file_without_its_mark_is_one_by_its_name_and_is_kept():
    contents = contents_of("a.DCM", real("no_meta.dcm"))
    assert (contents.kind, contents.media_type) == ("dicom", "application/dicom")
    assert contents.results[0].notes == ("its DICOM elements were not read: it does not begin with the mark DICM",)
    assert contents_of("a.dcm", b"%PDF-1.4").kind == "pdf"


@pytest.mark.parametrize(
    ("name", "modality"),
    [("rtstruct.dcm", "RTSTRUCT"), ("ExplVR_LitEndNoMeta.dcm", "RTPLAN"), ("ExplVR_BigEndNoMeta.dcm", "RTPLAN")],
)
def test_a_dicom_file_that_has_only_its_elements_is_read(name, modality):
    contents = contents_of(name, real(name))
    assert (named(contents)["Modality"], contents.partial) == (modality, "")
    assert contents.study_uid.startswith("1.2.")
    assert contents.results[0].notes == ("it does not begin with the mark DICM",)
    assert contents_of(name, b"\x08\0" + bytes(99)).results[0].notes[0].startswith("its DICOM elements were not read")


@pytest.mark.parametrize("name", ["MR_truncated.dcm", "rtplan_truncated.dcm"])
def test_a_dicom_file_that_is_cut_short_is_partial_and_says_so(name):
    contents = contents_of("a", real(name))
    assert contents.partial.startswith("the file is cut short: element ")
    assert contents.results[0].notes == (contents.partial,)
    assert contents.ids


def test_what_part_of_the_body_a_picture_is_of_and_which_side_is_told():
    raw = dicom(BodyPartExamined="CHEST", ViewPosition="PA", Laterality="L", ImageLaterality="R")
    found = named(contents_of("a", raw))
    assert [found[name] for name in ("BodyPartExamined", "ViewPosition", "Laterality", "ImageLaterality")] == [
        "CHEST",
        "PA",
        "L",
        "R",
    ]


def test_several_values_are_told_as_they_stand_in_the_file():
    raw = dicom(patient=["113", "B"], SpecificCharacterSet=["", "ISO 2022 IR 87"])
    contents = contents_of("a", raw)
    assert contents.ids == ("113\\B",)
    assert contents.results[0].encoding == "\\ISO 2022 IR 87"


def deflated(elements):
    """Return a file whose elements are these, deflated."""
    raw = real("image_dfl.dcm")
    at = 132 + 12 + int.from_bytes(raw[140:144], "little")
    return raw[:at] + zlib.compress(elements, wbits=-15)


def test_what_is_deflated_is_read_and_told_when_it_is_damaged_or_cut():
    raw = real("image_dfl.dcm")
    whole = contents_of("a.dcm", raw)
    assert (named(whole)["Modality"], whole.study_uid, whole.partial) == (
        "OT",
        "1.3.6.1.4.1.5962.1.2.0.977067310.6001.0",
        "",
    )
    cut = contents_of("a.dcm", raw[:-100])
    assert cut.partial == "the file is cut short: what is deflated in it has no end"
    assert cut.study_uid == whole.study_uid
    damaged = contents_of("a.dcm", raw[:400] + b"\xff" * 8 + raw[408:])
    assert damaged.results[0].notes == ("its DICOM elements were not read: what is deflated in it is damaged",)


def test_no_more_is_inflated_than_is_looked_at():
    bomb = deflated(bytes(64 << 20))
    tracemalloc.start()
    contents_of("a.dcm", bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert HEAD_SIZE_MAX < peak < 6 * HEAD_SIZE_MAX


@pytest.mark.parametrize(
    "elements",
    [
        b"\x08\0\x05\0CS\0\0" * 60_000,
        b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\0\0\0\0" * 60_000 + b"\xfe\xff\xdd\xe0\0\0\0\0",
    ],
)
def test_a_file_of_more_elements_than_a_head_has_is_not_read(elements):
    raw = dicom()
    at = 132 + 12 + int.from_bytes(raw[140:144], "little")
    for made in (raw[:at] + elements, deflated(elements)):
        contents = contents_of("a.dcm", made)
        assert contents.results[0].notes == ("its DICOM elements were not read: they are more than 50000",)


def test_pixels_are_not_read_and_a_large_file_no_further_than_its_head():
    contents = contents_of("a.dcm", dicom(pixels=bytes(HEAD_SIZE_MAX + 100)))
    assert contents.ids == ("113",)


def test_a_library_that_is_not_there_or_stumbles_costs_the_elements_and_tells_no_value(monkeypatch, caplog):
    raw = dicom(patient="KOVAL-113")
    with caplog.at_level(logging.DEBUG):
        for at in range(132, len(raw), 7):
            contents_of("a.dcm", raw[:at] + b"\xff" + raw[at + 1 :])
    assert "KOVAL" not in caplog.text
    monkeypatch.setattr(dicom_files, "_read", lambda head: 1 // 0)
    assert "not read: ZeroDivisionError" in contents_of("a.dcm", raw).results[0].notes[0]


def test_an_ecg_is_one_whatever_it_is_called():
    contents = contents_of("a.dat", sample("ecg/ecgtoolkit-example.scp"))
    assert (contents.kind, contents.form, contents.media_type) == ("ecg", "ecg", "application/x-scp-ecg")
    assert len(contents.waves) == 1
    assert not contents.partial


def test_an_ecg_that_is_cut_short_is_partial():
    raw = sample("ecg/ecgtoolkit-example.scp")
    contents = contents_of("a.scp", raw[:-100])
    assert "bytes, and" in contents.partial


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.pdf", b"%PDF-1.4", "pdf"),
        ("a", b"%PDF-1.4", "pdf"),
        ("a.dat", PHOTO, "picture"),
        ("a.png", PNG, "picture"),
        ("a.tif", b"II*\0" + bytes(9), "picture"),
        ("A.CSV", b"1;2", "csv"),
        ("a.tsv", b"1\t2", "csv"),
        ("a.n42", N42_2012, "spectrum"),
        ("a.xml", N42_2012, "spectrum"),
        ("a.spc", spc(), "spectrum"),
        ("a.spc", b"not one that is known", "spectrum"),
        ("a.CNF", b"Canberra's", "spectrum"),
        ("a.SCP", b"not one that is known", "ecg"),
        ("a.xml", b"<letter/>", "other"),
        ("a.jpg", b"MZ", "other"),
        ("a.exe", b"MZ", "other"),
    ],
)
def test_a_file_is_of_the_kind_that_its_bytes_or_else_its_name_say(name, data, kind):
    assert contents_of(name, data).kind == kind
    assert kind in KINDS


@pytest.mark.parametrize(("name", "kind"), [("a.cnf", "spectrum"), ("a.spe", "spectrum"), ("a.scp", "ecg")])
def test_a_file_that_its_name_alone_calls_a_spectrum_or_an_ecg_says_that_it_was_not_read(name, kind):
    contents = contents_of(name, b"not one that is known")
    assert contents.kind == kind
    assert "was not read" in contents.results[0].notes[0]
