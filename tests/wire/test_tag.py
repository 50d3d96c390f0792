"""The tag's header: every combination of fields, canonical form, limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import FormatError, Misuse
from wire.tag import MAGIC, SIZE_MAX, Tag, decode, decode_at, encode, parse_header, tag_size

u32 = st.integers(0, 2**32 - 1)
tags = st.builds(
    Tag,
    group=st.integers(0, 0xFFFF),
    number=st.integers(0, 0xFFFF),
    data=st.binary(max_size=300),
    source=st.none() | u32,
    target=st.none() | u32,
    time_ms=st.none() | st.integers(0, 2**48 - 1),
    sequence=st.none() | u32,
    state=st.integers(0, 255),
    extension=st.none() | st.binary(max_size=255),
)


@given(tags)
def test_what_is_encoded_is_decoded(tag):
    raw = encode(tag)
    assert decode(raw) == tag
    assert raw[3] == MAGIC


@given(tags, st.data())
def test_a_header_cut_short_wants_more_bytes(tag, data):
    raw = encode(tag)
    header = parse_header(raw)
    cut = data.draw(st.integers(0, header.size - 1))
    assert parse_header(raw[:cut]) is None


def test_the_smallest_tag_is_six_bytes():
    assert encode(Tag(0x09, 0x01)) == bytes.fromhex("00 0006 a7 09 01")


@pytest.mark.parametrize("size", [0xFFFF - 6, 0xFFFF - 5, 0x10000, SIZE_MAX - 7])
def test_lengths_around_the_limits(size):
    tag = Tag(1, 2, bytes(size))
    assert decode(encode(tag)) == tag


def test_a_tag_over_one_mebibyte_is_refused():
    with pytest.raises(Misuse, match="split it"):
        encode(Tag(1, 2, bytes(SIZE_MAX - 6)))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ("00 0006 a6 09 01", "magic"),
        ("00 0005 a7 09 01", "length"),
        ("80 0007 a7 00 09 01", "LONG"),
        ("04 0008 a7 0009 0001", "WIDE"),
        ("02 0007 a7 09 01 00", "STATE"),
    ],
)
def test_forms_that_are_not_canonical_are_refused(raw, why):
    with pytest.raises(FormatError, match=why):
        decode(bytes.fromhex(raw))


@pytest.mark.parametrize("field", [{"source": -1}, {"target": 2**32}, {"time_ms": 2**48}, {"extension": bytes(256)}])
def test_a_field_out_of_range_is_our_own_misuse(field):
    with pytest.raises(Misuse):
        encode(Tag(1, 2, **field))


@given(tags, st.binary(max_size=9), st.binary(max_size=9))
def test_a_tag_is_decoded_where_it_stands(tag, before, after):
    raw = encode(tag)
    buffer = before + raw + after
    assert tag_size(buffer, len(before)) == len(raw)
    assert decode_at(buffer, len(before)) == (tag, len(before) + len(raw))
    assert decode_at(raw[:-1], 0) is None


@given(st.binary(min_size=6, max_size=40))
def test_any_bytes_are_a_tag_in_canonical_form_or_refused(raw):
    try:
        found = decode_at(raw[:3] + bytes((MAGIC,)) + raw[4:], 0)
    except FormatError:
        return
    if found:
        assert encode(found[0]) == raw[:3] + bytes((MAGIC,)) + raw[4 : found[1]]
