"""DICOM files that end too soon: pydicom's own samples whole and cut, in each transfer syntax, and any bytes."""

from pathlib import Path

import pydicom.data
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dicom_whole import why_cut
from tests.edge.dicom_made import dicom

SAMPLES = Path(pydicom.data.__file__).parent
TRUNCATED = {"MR_truncated.dcm", "rtplan_truncated.dcm"}


def samples():
    for path in sorted(SAMPLES.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        if data[128:132] == b"DICM":
            yield path.name, data


def test_of_all_that_pydicom_ships_only_what_was_cut_is_cut():
    found = {name: why_cut(data) for name, data in samples()}
    assert len(found) > 100
    assert {name for name, why in found.items() if why} == TRUNCATED


@pytest.mark.parametrize(
    "name",
    [
        "CT_small.dcm",
        "MR_small_implicit.dcm",
        "MR_small_bigendian.dcm",
        "JPEG2000.dcm",
        "SC_rgb_rle_2frame.dcm",
        "rtplan.dcm",
    ],
)
def test_each_syntax_is_followed_to_its_end(name):
    data = dict(samples())[name]
    assert why_cut(data) == ""
    for less in (1, 2, 7, 100):
        assert why_cut(data[:-less])


def test_a_file_that_ends_between_two_elements_says_nothing_and_padding_is_no_element():
    raw = dicom()
    assert why_cut(raw + bytes(600)) == ""
    assert why_cut(raw[: raw.index(b"\xe0\x7f\x10\x00")]) == ""
    assert why_cut(raw[: raw.index(b"\xe0\x7f\x10\x00") + 5]).startswith("it ends within an element")
    assert why_cut(raw[:-1]) == "element 7FE0,0010 says 64 bytes, and 63 are there"


def test_what_cannot_be_followed_is_not_said_to_be_cut():
    raw = dicom()
    assert why_cut((SAMPLES / "test_files" / "image_dfl.dcm").read_bytes()[:-5]) == ""
    assert why_cut(raw.replace(b"LO", b"??")[:-1]) == ""
    assert why_cut(bytes(128) + b"DICM" + b"\1" * 40) == ""


@given(st.binary(max_size=200), st.integers(128, 700))
def test_any_bytes_are_followed_or_not(noise, at):
    raw = dicom()
    assert isinstance(why_cut(raw[:at] + noise + raw[at:]), str)
    assert isinstance(why_cut(raw[:at] + noise), str)
