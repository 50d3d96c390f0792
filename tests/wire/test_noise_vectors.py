"""The handshake and the first frames against a public test vector: cacophony's, as published with its source."""

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wire.noise import PROTOCOL_NAME, Initiator, KeyPair, Responder, nonce

VECTOR = {
    "name": "Noise_IKpsk1_25519_ChaChaPoly_BLAKE2s",
    "prologue": "4a6f686e2047616c74",
    "psk": "54686973206973206d7920417573747269616e20706572737065637469766521",
    "init_static": "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
    "init_ephemeral": "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
    "init_remote_static": "31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
    "resp_static": "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
    "resp_ephemeral": "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
}
MESSAGES = [
    (
        "4c756477696720766f6e204d69736573",
        (
            "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794498e192a0a94102bd8fa1a182979c012f4fa2558d899e2e58d4"
            "d4aba041a56b35297560de33bf7fe93f8e567791039539f59e76a00721ea7c1095fbccf10a13df79f3b5605bfb0617c309698737c73429"
        ),
    ),
    (
        "4d757272617920526f746862617264",
        (
            "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088434523a21bc9f1ce57af3dc28365e1e33c25f577fc4aa2149d5d"
            "6a2ab0911beb"
        ),
    ),
    ("462e20412e20486179656b", "dc15d1ceff592ff648bba38f9bc63c0049600307fba700ba2a0b2b"),
    ("4361726c204d656e676572", "85f1e8c573c0d9fd188080532a0ad1a6d457974c91f2ff0f21ecaf"),
    ("4a65616e2d426170746973746520536179", "11d83f8ff550ef18c1314540ade9c7b9e5fb5245889221856ea55b0b8e64bdf1bc"),
    (
        "457567656e2042f6686d20766f6e2042617765726b",
        "b7b3a985fe737290fb597224ccad3f9ad3caa3d396bf201233891db26172d267f4298d47c2",
    ),
]


def field(name: str) -> bytes:
    return bytes.fromhex(VECTOR[name])


def test_both_roles_make_the_published_messages_and_keys():
    assert VECTOR["name"].encode() == PROTOCOL_NAME
    caller, host = KeyPair.from_secret(field("init_static")), KeyPair.from_secret(field("resp_static"))
    assert host.public == field("init_remote_static")
    (first, first_raw), (second, second_raw), *transport = [(bytes.fromhex(p), bytes.fromhex(c)) for p, c in MESSAGES]
    initiator = Initiator(caller, host.public, field("init_ephemeral"), field("prologue"))
    responder = Responder(host, field("prologue"))
    assert initiator.write(field("psk"), first) == first_raw
    assert responder.read(first_raw, lambda _: field("psk")) == (caller.public, first)
    reply, host_sends, host_receives = responder.write(field("resp_ephemeral"), second)
    assert reply == second_raw
    assert initiator.read(second_raw) == (second, host_receives, host_sends)
    for number, (payload, raw) in enumerate(transport):
        key = (host_receives, host_sends)[number % 2]
        assert ChaCha20Poly1305(key).encrypt(nonce(number // 2), payload, b"") == raw
