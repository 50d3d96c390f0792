"""The receipt: small, the server's own, for these very bytes and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import AuthError, FormatError, Misuse
from wire.receipt import DAMAGED, RECEIPT_SIZE, WHOLE, Receipt, parse_receipt, sign_receipt, verify_receipt
from wire.seal import sign_pair

SECRET, PUBLIC = sign_pair(bytes(range(32)))
OBJECT_ID, DIGEST = bytes(range(16)), bytes(range(32, 64))
DATA = sign_receipt(OBJECT_ID, DIGEST, 1_700_000_000_000, SECRET)


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=32, max_size=32),
    st.integers(0, 2**48 - 1),
    st.sampled_from([WHOLE, DAMAGED, 200]),
)
def test_what_is_signed_is_verified(object_id, digest, time_ms, result):
    data = sign_receipt(object_id, digest, time_ms, SECRET, result)
    assert len(data) == RECEIPT_SIZE <= 150
    assert verify_receipt(data, PUBLIC, object_id, digest) == Receipt(object_id, digest, time_ms, result)


def test_the_cut_digest_of_an_offer_is_enough():
    assert verify_receipt(DATA, PUBLIC, OBJECT_ID, DIGEST[:16]).digest == DIGEST


@given(st.integers(0, RECEIPT_SIZE - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(at, change):
    raw = bytearray(DATA)
    raw[at] ^= change
    with pytest.raises((AuthError, FormatError)):
        verify_receipt(bytes(raw), PUBLIC, OBJECT_ID, DIGEST)


@pytest.mark.parametrize(
    ("public", "object_id", "digest", "why"),
    [
        (sign_pair(bytes(32))[1], OBJECT_ID, DIGEST, "signature"),
        (PUBLIC, bytes(16), DIGEST, "for object"),
        (PUBLIC, OBJECT_ID, bytes(32), "other bytes"),
        (PUBLIC, OBJECT_ID, DIGEST[:15], "other bytes"),
        (PUBLIC, OBJECT_ID, b"", "other bytes"),
    ],
)
def test_a_receipt_of_somebody_else_or_for_something_else(public, object_id, digest, why):
    with pytest.raises(AuthError, match=why):
        verify_receipt(DATA, public, object_id, digest)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_receipt_or_a_format_error(data):
    if len(data) != RECEIPT_SIZE or data[0] != 1:
        with pytest.raises(FormatError):
            parse_receipt(data)


def test_a_later_version_is_told():
    with pytest.raises(FormatError, match="version 2"):
        parse_receipt(b"\x02" + DATA[1:])


@pytest.mark.parametrize(("object_id", "digest"), [(bytes(15), DIGEST), (OBJECT_ID, bytes(16))])
def test_ids_of_the_wrong_size_are_misuse(object_id, digest):
    with pytest.raises(Misuse, match="want 16 and 32"):
        sign_receipt(object_id, digest, 0, SECRET)
