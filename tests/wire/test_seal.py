"""Sealing against the RFC's own vectors, against cryptography's HPKE, and against every kind of wrong key."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import seal as module
from wire.errors import AuthError, Misuse
from wire.seal import (
    KEY_ID_SIZE,
    SEAL_OVERHEAD,
    ed25519_public,
    key_id,
    require_signature,
    seal,
    seal_pair,
    sign,
    sign_pair,
    unseal,
    verify,
    x25519_public,
)

keys = st.binary(min_size=32, max_size=32)
SECRET, PUBLIC = seal_pair(bytes(range(32)))

# RFC 9180, appendix A.2.1 and A.2.1.1, sequence number 0.
RFC = {
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "pkEm": "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
    "skEm": "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600",
    "pkRm": "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
    "skRm": "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
    "shared_secret": "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7",
    "key": "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91",
    "base_nonce": "5c4d98150661b848853b547f",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
    "aad": "436f756e742d30",
    "ct": "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
}
V = {name: bytes.fromhex(value) for name, value in RFC.items()}


def test_the_rfc_vector_is_sealed_to_the_same_bytes():
    assert seal(V["pt"], V["pkRm"], V["info"], V["aad"], V["skEm"]) == V["pkEm"] + V["ct"]


def test_the_rfc_vector_is_opened():
    assert unseal(V["pkEm"] + V["ct"], V["skRm"], V["info"], V["aad"]) == V["pt"]


def test_the_rfc_vector_step_by_step():
    exchanged = module._exchange(V["skEm"], V["pkRm"])
    shared = module._shared_secret(exchanged, V["pkEm"], V["pkRm"])
    assert shared == V["shared_secret"]
    assert module._key_and_nonce(shared, V["info"]) == (V["key"], V["base_nonce"])


SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


@settings(max_examples=30)
@given(st.binary(max_size=2000), st.binary(max_size=40), keys)
def test_the_other_implementation_opens_ours(plaintext, info, ephemeral):
    sealed = seal(plaintext, PUBLIC, info, b"", ephemeral)
    assert SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(SECRET), info) == plaintext


@settings(max_examples=30)
@given(st.binary(max_size=2000), st.binary(max_size=40))
def test_we_open_what_the_other_implementation_sealed(plaintext, info):
    sealed = SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(PUBLIC), info)
    assert unseal(sealed, SECRET, info, b"") == plaintext


@given(st.binary(max_size=300), st.binary(max_size=40), st.binary(max_size=40), keys, keys)
def test_what_is_sealed_is_opened_by_its_recipient_only(plaintext, info, aad, secret, ephemeral):
    sealed = seal(plaintext, x25519_public(secret), info, aad, ephemeral)
    assert len(sealed) == len(plaintext) + SEAL_OVERHEAD
    assert unseal(sealed, secret, info, aad) == plaintext
    other = bytes((b ^ 0x55) for b in secret)
    with pytest.raises(AuthError):
        unseal(sealed, other, info, aad)


@given(st.integers(0, SEAL_OVERHEAD + 9), st.integers(0, 7))
def test_any_flipped_bit_breaks_the_seal(at, bit):
    # The top bit of an X25519 public key is ignored by the curve but not by the key schedule.
    sealed = bytearray(seal(b"0123456789", PUBLIC, b"info", b"aad", bytes(31) + b"\x09"))
    sealed[at] ^= 1 << bit
    with pytest.raises(AuthError):
        unseal(bytes(sealed), SECRET, b"info", b"aad")


@pytest.mark.parametrize(("info", "aad"), [(b"other", b"aad"), (b"info", b"other"), (b"infoa", b"ad")])
def test_another_context_breaks_the_seal(info, aad):
    sealed = seal(b"text", PUBLIC, b"info", b"aad", bytes(range(32, 64)))
    with pytest.raises(AuthError, match="does not hold"):
        unseal(sealed, SECRET, info, aad)


@pytest.mark.parametrize("size", [0, 1, 31, 32, SEAL_OVERHEAD - 1])
def test_too_short_to_be_sealed(size):
    with pytest.raises(AuthError, match=f"{size} bytes"):
        unseal(bytes(size), SECRET, b"", b"")


def test_a_point_of_small_order_is_refused_on_both_sides():
    with pytest.raises(AuthError, match="X25519"):
        seal(b"text", bytes(32), b"", b"", bytes(range(32)))
    with pytest.raises(AuthError, match="X25519"):
        unseal(bytes(SEAL_OVERHEAD), SECRET, b"", b"")


def test_a_key_of_the_wrong_size_is_refused():
    with pytest.raises(AuthError):
        seal(b"", bytes(31), b"", b"", bytes(32))
    for make in (seal_pair, sign_pair, x25519_public, ed25519_public):
        with pytest.raises(Misuse, match="31"):
            make(bytes(31))


@given(st.binary(max_size=200), keys, st.integers(0, 63), st.integers(0, 7))
def test_a_signature_holds_for_its_message_and_key_only(message, entropy, at, bit):
    secret, public = sign_pair(entropy)
    signature = sign(message, secret)
    assert verify(message, signature, public)
    assert not verify(message + b"\x00", signature, public)
    assert not verify(message, signature, sign_pair(bytes(b ^ 1 for b in entropy))[1])
    broken = bytearray(signature)
    broken[at] ^= 1 << bit
    assert not verify(message, bytes(broken), public)


def test_a_signature_of_the_wrong_size_or_under_no_key_does_not_hold():
    _, public = sign_pair(bytes(32))
    assert not verify(b"", b"", public)
    assert not verify(b"", bytes(64), b"short")


def test_a_broken_signature_names_what_was_signed():
    _, public = sign_pair(bytes(32))
    with pytest.raises(AuthError, match=f"roster 7 .*{key_id(public).hex()}"):
        require_signature(b"text", bytes(64), public, "roster 7")
    require_signature(b"text", sign(b"text", bytes(32)), public, "roster 7")


def test_key_ids_are_short_and_differ():
    ids = {key_id(sign_pair(bytes(31) + bytes((n,)))[1]) for n in range(50)}
    assert len(ids) == 50
    assert {len(i) for i in ids} == {KEY_ID_SIZE}
