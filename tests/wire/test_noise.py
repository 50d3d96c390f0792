"""The handshake: against an independent implementation in both roles, and against wrong keys and forgeries."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from wire.errors import AuthError, Misuse
from wire.noise import (
    FIRST_OVERHEAD,
    ONE_WAY_NAME,
    PROTOCOL_NAME,
    SECOND_OVERHEAD,
    Initiator,
    KeyPair,
    Responder,
    nonce,
)

secrets = st.binary(min_size=32, max_size=32)
payloads = st.binary(max_size=300)


def other(
    initiator: bool, static: KeyPair, psk: bytes, far_public: bytes | None, prologue: bytes, name: bytes = PROTOCOL_NAME
) -> NoiseConnection:
    """The second opinion: the noiseprotocol package."""
    connection = NoiseConnection.from_name(name)
    (connection.set_as_initiator if initiator else connection.set_as_responder)()
    connection.set_prologue(prologue)
    connection.set_psks(psk)
    connection.set_keypair_from_private_bytes(Keypair.STATIC, static.secret)
    if far_public is not None:
        connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, far_public)
    connection.start_handshake()
    return connection


@settings(max_examples=60, deadline=None)
@given(secrets, secrets, secrets, secrets, payloads, payloads, st.binary(max_size=20))
def test_our_caller_speaks_with_another_implementations_host(a, b, e1, psk, first, second, prologue):
    kit, gateway = KeyPair.from_secret(a), KeyPair.from_secret(b)
    ours, theirs = Initiator(kit, gateway.public, e1, prologue), other(False, gateway, psk, None, prologue)
    message = ours.write(psk, first)
    assert len(message) == FIRST_OVERHEAD + len(first)
    assert theirs.read_message(message) == first
    reply = theirs.write_message(second)
    assert len(reply) == SECOND_OVERHEAD + len(second)
    payload, send, receive = ours.read(bytes(reply))
    assert payload == second
    assert (send, receive) == (
        theirs.noise_protocol.cipher_state_decrypt.k,
        theirs.noise_protocol.cipher_state_encrypt.k,
    )


@settings(max_examples=60, deadline=None)
@given(secrets, secrets, secrets, secrets, payloads, payloads, st.binary(max_size=20))
def test_our_host_speaks_with_another_implementations_caller(a, b, e2, psk, first, second, prologue):
    kit, gateway = KeyPair.from_secret(a), KeyPair.from_secret(b)
    theirs, ours = other(True, kit, psk, gateway.public, prologue), Responder(gateway, prologue)
    who, payload = ours.read(bytes(theirs.write_message(first)), lambda _: psk)
    assert (who, payload) == (kit.public, first)
    reply, send, receive = ours.write(e2, second)
    assert theirs.read_message(reply) == second
    assert (send, receive) == (
        theirs.noise_protocol.cipher_state_decrypt.k,
        theirs.noise_protocol.cipher_state_encrypt.k,
    )


KIT, GATEWAY, STRANGER = (KeyPair.from_secret(bytes((n,)) * 32) for n in (1, 2, 3))
PSK = b"p" * 32


def first_message(static: KeyPair = KIT, far: bytes = GATEWAY.public, psk: bytes = PSK) -> bytes:
    return Initiator(static, far, b"e" * 32).write(psk, b"early")


def test_unknown_caller_is_not_let_in():
    with pytest.raises(AuthError, match="not known"):
        Responder(GATEWAY).read(first_message(STRANGER), {KIT.public: PSK}.get)


@pytest.mark.parametrize("message", [first_message(psk=b"q" * 32), first_message(far=STRANGER.public)])
def test_wrong_psk_and_wrong_host_key_do_not_open(message):
    with pytest.raises(AuthError, match="does not open"):
        Responder(GATEWAY).read(message, lambda _: PSK)


@pytest.mark.parametrize("at", range(0, FIRST_OVERHEAD + 5, 7))
def test_a_flipped_bit_anywhere_in_the_first_message_is_seen(at):
    message = bytearray(first_message())
    message[at] ^= 1
    with pytest.raises(AuthError):
        Responder(GATEWAY).read(bytes(message), lambda _: PSK)


@pytest.mark.parametrize("cut", [0, 31, 95])
def test_a_short_first_message_is_refused(cut):
    with pytest.raises(AuthError, match="at least 96"):
        Responder(GATEWAY).read(first_message()[:cut], lambda _: PSK)


def test_an_all_zero_ephemeral_key_is_refused():
    with pytest.raises(AuthError, match="usable"):
        Responder(GATEWAY).read(bytes(32) + first_message()[32:], lambda _: PSK)


def test_a_forged_second_message_does_not_spoil_the_true_one():
    caller, host = Initiator(KIT, GATEWAY.public, b"e" * 32), Responder(GATEWAY)
    host.read(caller.write(PSK), lambda _: PSK)
    reply, send, receive = host.write(b"f" * 32, b"welcome")
    for forged in (reply[:-1] + bytes((reply[-1] ^ 1,)), reply[:20], bytes(len(reply))):
        with pytest.raises(AuthError):
            caller.read(forged)
    assert caller.read(reply) == (b"welcome", receive, send)


def test_steps_out_of_order_are_our_own_defect():
    caller, host = Initiator(KIT, GATEWAY.public, b"e" * 32), Responder(GATEWAY)
    with pytest.raises(Misuse):
        caller.read(bytes(60))
    with pytest.raises(Misuse):
        host.write(b"f" * 32)
    message = caller.write(PSK)
    with pytest.raises(Misuse):
        caller.write(PSK)
    host.read(message, lambda _: PSK)
    with pytest.raises(Misuse):
        host.read(message, lambda _: PSK)


def test_a_key_pair_shows_no_secret():
    assert KIT.secret.hex() not in repr(KIT)
    with pytest.raises(Misuse, match="31 bytes"):
        KeyPair.from_secret(bytes(31))


@settings(max_examples=40, deadline=None)
@given(secrets, secrets, secrets, secrets, payloads, payloads, st.binary(max_size=20))
def test_a_message_that_is_never_answered_opens_in_another_implementation(a, b, e1, psk, first, more, prologue):
    kit, gateway = KeyPair.from_secret(a), KeyPair.from_secret(b)
    ours = Initiator(kit, gateway.public, e1, prologue, ONE_WAY_NAME)
    theirs = other(False, gateway, psk, None, prologue, ONE_WAY_NAME)
    assert theirs.read_message(ours.write(psk, first)) == first
    sealed = ChaCha20Poly1305(ours.key()).encrypt(nonce(0), more, b"")
    assert theirs.decrypt(sealed) == more


@settings(max_examples=40, deadline=None)
@given(secrets, secrets, secrets, secrets, payloads, payloads, st.binary(max_size=20))
def test_another_implementations_message_that_is_never_answered_opens_here(a, b, e2, psk, first, more, prologue):
    kit, gateway = KeyPair.from_secret(a), KeyPair.from_secret(b)
    theirs = other(True, kit, psk, gateway.public, prologue, ONE_WAY_NAME)
    ours = Responder(gateway, prologue, ONE_WAY_NAME)
    assert ours.read(bytes(theirs.write_message(first)), lambda _: psk) == (kit.public, first)
    assert ChaCha20Poly1305(ours.key()).decrypt(nonce(0), bytes(theirs.encrypt(more)), b"") == more


def test_the_key_of_a_single_message_is_given_once_and_not_before():
    caller = Initiator(KIT, GATEWAY.public, bytes(range(32)), b"", ONE_WAY_NAME)
    host = Responder(GATEWAY, b"", ONE_WAY_NAME)
    for side in (caller, host):
        with pytest.raises(Misuse):
            side.key()
    host.read(caller.write(PSK), lambda _: PSK)
    assert caller.key() == host.key()
    for side in (caller, host):
        with pytest.raises(Misuse):
            side.key()
