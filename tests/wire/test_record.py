"""Records: written and read back, unknown keys kept, everything that is not lawful named and refused."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import kinds
from wire.errors import FormatError, Misuse
from wire.maps import DEPTH_MAX, MAP_SIZE_MAX, decode_map, encode_map
from wire.record import (
    HEADLINE_COUNT_MAX,
    INTEGER_MAX,
    ITEM_COUNT_MAX,
    PICTURES_MAX,
    RECORDS,
    TEXT_SIZE_MAX,
    ClockMark,
    Correction,
    Device,
    Note,
    Observation,
    Partial,
    Patient,
    Picture,
    Place,
    Preview,
    Result,
    Summary,
)
from wire.tag import Tag

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
texts = st.lists(text, max_size=3).map(tuple)
count = st.integers(0, INTEGER_MAX)
observations = st.builds(
    Observation,
    **dict.fromkeys(("code", "name", "value", "unit", "range", "flags", "status", "time", "loinc", "ucum"), text),
    comments=texts,
)
difference = st.integers(-INTEGER_MAX, INTEGER_MAX)
records = st.one_of(
    st.builds(Device, **dict.fromkeys(("driver", "driver_version", "port", "model", "serial"), text)),
    st.builds(
        Result,
        st.booleans(),
        text,
        text,
        st.lists(st.tuples(text, text), max_size=3).map(tuple),
        text,
        st.lists(observations, max_size=3).map(tuple),
        texts,
    ),
    st.builds(Partial, text, text),
    st.builds(
        Place,
        *(text,) * 6,
        clock_offset_ms=difference,
        age_ms=count,
        port=text,
        sentences=texts,
    ),
    st.builds(
        ClockMark,
        text,
        count,
        count,
        st.binary(min_size=8, max_size=8),
        difference,
        count,
        count,
        difference,
        text,
        difference,
        difference,
    ),
    st.builds(Patient, text, text, st.booleans(), count),
    st.builds(Correction, count, text),
    st.builds(Note, text),
    st.builds(
        Summary,
        st.binary(min_size=16, max_size=16),
        text,
        text,
        count,
        count,
        *(text, text, st.booleans(), count, st.booleans(), st.booleans(), st.booleans()),
        headline=st.lists(st.tuples(text, text, text), max_size=HEADLINE_COUNT_MAX).map(tuple),
    ),
)


@settings(max_examples=300)
@given(records)
def test_what_is_written_is_read(record):
    assert type(record).from_tag(record.to_tag(5)) == record


@settings(max_examples=200)
@given(st.binary(max_size=300), st.sampled_from(sorted(RECORDS)))
def test_any_bytes_are_a_record_or_a_format_error(data, kind):
    try:
        RECORDS[kind].from_tag(Tag(*kind, data))
    except FormatError:
        return


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | text
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
maps = st.dictionaries(text, plain, max_size=5)


@settings(max_examples=200)
@given(maps, st.sampled_from(sorted(RECORDS)))
def test_any_map_is_a_record_or_a_format_error(values, kind):
    known = RECORDS[kind].CHECKS
    mixed = dict(zip(known, values.values(), strict=False)) | values
    try:
        record = RECORDS[kind].from_map(mixed)
    except FormatError:
        return
    assert RECORDS[kind].from_map(record.to_map() | {}) == record


@given(maps)
def test_maps_are_read_back(values):
    assert decode_map(encode_map(values), "test") == values


def test_keys_that_are_not_known_are_kept():
    tag = Tag(*Note.KIND, encode_map({"text": "a", "later": [1, {"x": b"y"}]}))
    note = Note.from_tag(tag)
    assert note.extra == {"later": [1, {"x": b"y"}]}
    assert note.to_tag() == tag


def test_empty_values_take_no_bytes():
    assert Result().to_tag().data == b"\xa0"
    assert Result.from_tag(Tag(*Result.KIND, b"\xa0")) == Result()
    assert Observation(code="WBC").to_map() == {"code": "WBC"}


def test_every_value_as_the_format_page_shows_it_is_read():
    one = {"code": "", "name": "", "value": "5", "comments": [], "ucum_value": ""}
    values = {"qc": False, "device_time": "", "patient_ids": [["P.3", "  113"]], "observations": [one], "notes": []}
    result = Result.from_tag(Tag(*Result.KIND, encode_map(values)))
    assert result.patient_ids == (("P.3", "  113"),)
    assert result.observations == (Observation(value="5"),)


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        (Result, {"qc": 1}, "qc is 1, want true or false"),
        (Result, {"device_time": b"1"}, "device_time"),
        (Result, {"patient_ids": [["P.3"]]}, "patient_ids"),
        (Result, {"observations": [1]}, "observations"),
        (Result, {"observations": [{"value": 5.5}]}, "Observation: value is 5.5, want text"),
        (Result, {"notes": "text"}, "notes"),
        (Patient, {"id": "1"}, "source is missing"),
        (Patient, {"id": "1", "source": "barcode", "time_ms": -1}, "time_ms"),
        (Patient, {"id": "1", "source": "barcode", "time_ms": True}, "time_ms"),
        (Correction, {"replaces": 1 << 48}, "replaces"),
        (Summary, {"study": bytes(15)}, "16 bytes"),
        (Summary, {"study": "x" * 16}, "16 bytes"),
        (Summary, {"study": bytes(16)}, "Summary: kit is missing"),
    ],
)
def test_what_is_wrong_is_named(kind, values, why):
    with pytest.raises(FormatError, match=why):
        kind.from_tag(Tag(*kind.KIND, encode_map(values)))


def test_the_limits_of_a_record():
    most = Result(notes=("n",) * ITEM_COUNT_MAX, device_time="t" * TEXT_SIZE_MAX)
    assert Result.from_tag(most.to_tag()) == most
    for over in (Result(notes=("n",) * (ITEM_COUNT_MAX + 1)), Result(device_time="t" * (TEXT_SIZE_MAX + 1))):
        with pytest.raises(FormatError, match="at most"):
            over.to_tag()
    summary = Summary(bytes(16), "k", "ecg", 0, 0, headline=(("a", "b", "c"),) * (HEADLINE_COUNT_MAX + 1))
    with pytest.raises(FormatError, match="headline"):
        summary.to_tag()


def test_a_tag_of_another_type_is_refused():
    with pytest.raises(FormatError, match="another type"):
        Note.from_tag(Tag(kinds.CAPTURE, kinds.RAW, b"\xa0"))


# Maps: what a hostile sender may try


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "premature"),
        ("80", "not a map"),
        ("a000", "1 bytes after"),
        ("bfff", "indefinite"),
        ("a16161c249010000000000000000", "semantic tag 2"),
        ("a16161c11a514b67b0", "semantic tag 1"),
        ("a16161d82363285b61", "semantic tag 35"),
        ("a16161d81c81d81d00", "semantic tag 29"),
        ("a16161d9012c00", "tag"),
        ("a16161f7", "Undefined"),
        ("a16161f0", "Simple"),
        ("a10000", "int"),
        ("a1416100", "bytes"),
        ("a2616100616100", "Duplicate"),
        ("a161619b0000000fffffffff", "premature"),
        ("a161615b0000000fffffffff", "premature"),
        ("a16161" + "81" * 50 + "00", "depth"),
    ],
)
def test_cbor_that_is_no_plain_map(data, why):
    with pytest.raises(FormatError, match=f"what.*{why}"):
        decode_map(bytes.fromhex(data), "what")


def nested(depth):
    values: dict = {}
    for _ in range(depth - 1):
        values = {"in": values}
    return values


def test_the_depth_of_a_map_is_bounded_on_both_sides():
    assert decode_map(encode_map(nested(DEPTH_MAX)), "test") == nested(DEPTH_MAX)
    with pytest.raises(Misuse, match="deeper"):
        encode_map(nested(DEPTH_MAX + 1))


def test_the_size_of_a_map_is_bounded_on_both_sides():
    most = {"a": bytes(MAP_SIZE_MAX - 8)}
    assert len(encode_map(most)) == MAP_SIZE_MAX
    assert decode_map(encode_map(most), "test") == most
    with pytest.raises(Misuse, match="at most"):
        encode_map({"a": bytes(MAP_SIZE_MAX - 7)})
    with pytest.raises(FormatError, match="at most"):
        decode_map(bytes(MAP_SIZE_MAX + 1), "test")


@pytest.mark.parametrize(
    "value", [{1: 2}, {"a": {3: 4}}, {"a": {1, 2}}, {"a": object()}, {"a": 1 << 64}, {"a": "\udc80"}]
)
def test_what_a_map_cannot_hold_is_misuse(value):
    with pytest.raises(Misuse, match="cannot be written"):
        encode_map(value)


# Pictures

PREVIEW = Preview(bytes(16), 3, 2, "image/webp", "left eye", 4000, 3000, b"RIFF")


def test_a_preview_keeps_what_it_is_of():
    assert Preview.from_tag(PREVIEW.to_tag()) == PREVIEW
    assert PREVIEW.to_tag().data.endswith(b"RIFF")


@pytest.mark.parametrize(
    "wrong",
    [
        {"study": bytes(15)},
        {"study": "0" * 16},
        {"number": -1},
        {"number": PICTURES_MAX},
        {"number": True},
        {"stage": 0},
        {"stage": 10},
        {"stage": 1.0},
        {"width": 0},
        {"height": 1 << 31},
        {"name": b"bytes"},
        {"media_type": None},
    ],
)
def test_a_preview_out_of_bounds_is_a_format_error(wrong):
    (name,) = wrong
    with pytest.raises(FormatError, match=f"Preview: {name}"):
        Preview.from_tag(replace(PREVIEW, **wrong).to_tag())


@given(st.binary(max_size=60))
def test_any_bytes_are_a_preview_or_a_format_error(data):
    with contextlib.suppress(FormatError):
        Preview.from_tag(Tag(*Preview.KIND, data))


@given(text, text, st.binary(max_size=200))
def test_a_picture_keeps_its_bytes(media_type, name, image):
    picture = Picture(media_type, name, image)
    tag = picture.to_tag(7)
    assert tag.data.endswith(image)
    assert Picture.from_tag(tag) == picture


@given(st.binary(max_size=60))
def test_any_bytes_are_a_picture_or_a_format_error(data):
    try:
        Picture.from_tag(Tag(*Picture.KIND, data))
    except FormatError:
        return


def test_a_picture_whose_head_is_cut_short_or_too_large():
    for data in (b"", b"\x00", b"\x00\x05\xa0"):
        with pytest.raises(FormatError, match="cut short"):
            Picture.from_tag(Tag(*Picture.KIND, data))
    with pytest.raises(Misuse):
        Picture("t" * TEXT_SIZE_MAX, "", b"").to_tag()
