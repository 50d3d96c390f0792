"""Sealing for one reader, and signing: what keeps a study secret on a stolen card and proves who wrote it.

Sealing is HPKE (RFC 9180) in base mode, single shot, with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
ChaCha20-Poly1305. It is written out here rather than taken from `cryptography`'s own Suite because that one takes no
associated data and draws the ephemeral key itself, while `wire` draws no randomness: a simulated world must replay
to the byte. The tests hold this module against the RFC's vectors and against that Suite.

Sealed bytes are `enc 32 | ciphertext | tag 16`. The key, and so the nonce, is fresh for each call as long as
`ephemeral_secret` is: the caller gives 32 bytes of entropy that are used once.

Signatures are Ed25519. A key is known by its `key_id`, the first 8 bytes of BLAKE2b-256 of the public key.
Nothing here touches a disk; secrets are plain bytes whose owner is the caller.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wire.errors import AuthError, Misuse

Entropy = Callable[[int], bytes]
"""Gives that many fresh random bytes. Handed in by the caller, never reached for."""

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
KEY_ID_SIZE: Final = 8
DIGEST_SIZE: Final = 32
SEAL_OVERHEAD: Final = KEY_SIZE + 16
"""Bytes that sealing adds: the ephemeral public key and the authenticator."""

_KEM_SUITE: Final = b"KEM\x00\x20"
_HPKE_SUITE: Final = b"HPKE\x00\x20\x00\x01\x00\x03"
_MODE_BASE: Final = b"\x00"
_NONCE_SIZE: Final = 12


def _extract(suite: bytes, salt: bytes, label: bytes, secret: bytes) -> bytes:
    return hmac.digest(salt, b"HPKE-v1" + suite + label + secret, "sha256")


def _expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    # Nothing here asks for more than one block of HKDF-Expand.
    labelled = size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(secret, labelled + b"\x01", "sha256")[:size]


def _shared_secret(exchanged: bytes, enc: bytes, recipient_public: bytes) -> bytes:
    pseudorandom = _extract(_KEM_SUITE, b"", b"eae_prk", exchanged)
    return _expand(_KEM_SUITE, pseudorandom, b"shared_secret", enc + recipient_public, KEY_SIZE)


def _key_and_nonce(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    psk_id_hash = _extract(_HPKE_SUITE, b"", b"psk_id_hash", b"")
    context = _MODE_BASE + psk_id_hash + _extract(_HPKE_SUITE, b"", b"info_hash", info)
    secret = _extract(_HPKE_SUITE, shared, b"secret", b"")
    key = _expand(_HPKE_SUITE, secret, b"key", context, KEY_SIZE)
    return key, _expand(_HPKE_SUITE, secret, b"base_nonce", context, _NONCE_SIZE)


def _exchange(secret: bytes, public: bytes) -> bytes:
    try:
        return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError as error:  # a wrong size, or a point of small order
        raise AuthError(f"not a usable X25519 key: {error}") from error


def seal(plaintext: bytes, recipient_public: bytes, info: bytes, aad: bytes, ephemeral_secret: bytes) -> bytes:
    """Return `plaintext` sealed so that only the holder of the recipient's secret opens it.

    `ephemeral_secret`: 32 random bytes, used for this call and never again.
    """
    enc = x25519_public(ephemeral_secret)
    shared = _shared_secret(_exchange(ephemeral_secret, recipient_public), enc, recipient_public)
    key, nonce = _key_and_nonce(shared, info)
    return enc + ChaCha20Poly1305(key).encrypt(nonce, plaintext, aad)


def unseal(sealed: bytes, recipient_secret: bytes, info: bytes, aad: bytes) -> bytes:
    """Return the plaintext. Raises AuthError when the key is another one, or a byte of anything was changed."""
    if len(sealed) < SEAL_OVERHEAD:
        raise AuthError(f"too short to be sealed: {len(sealed)} bytes, at least {SEAL_OVERHEAD}")
    enc = sealed[:KEY_SIZE]
    shared = _shared_secret(_exchange(recipient_secret, enc), enc, x25519_public(recipient_secret))
    key, nonce = _key_and_nonce(shared, info)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed[KEY_SIZE:], aad)
    except InvalidTag as error:
        raise AuthError(f"the seal over {len(sealed)} bytes does not hold: another key, or changed bytes") from error


def x25519_public(secret: bytes) -> bytes:
    """Return the public key of an X25519 secret (any 32 bytes of entropy are one)."""
    return X25519PrivateKey.from_private_bytes(_sized(secret)).public_key().public_bytes_raw()


def ed25519_public(secret: bytes) -> bytes:
    """Return the public key of an Ed25519 secret (any 32 bytes of entropy are one)."""
    return Ed25519PrivateKey.from_private_bytes(_sized(secret)).public_key().public_bytes_raw()


def seal_pair(entropy: bytes) -> tuple[bytes, bytes]:
    """Return (secret, public) of an X25519 key made from 32 bytes of entropy."""
    return _sized(entropy), x25519_public(entropy)


def sign_pair(entropy: bytes) -> tuple[bytes, bytes]:
    """Return (secret, public) of an Ed25519 key made from 32 bytes of entropy."""
    return _sized(entropy), ed25519_public(entropy)


def _sized(secret: bytes) -> bytes:
    if len(secret) != KEY_SIZE:
        raise Misuse(f"a key is {KEY_SIZE} bytes, not {len(secret)}")
    return secret


def key_id(public: bytes) -> bytes:
    """Return the short name of a public key: 8 bytes, for looking it up. Not a proof of anything by itself."""
    return hashlib.blake2b(public, digest_size=DIGEST_SIZE).digest()[:KEY_ID_SIZE]


def sign(message: bytes, sign_secret: bytes) -> bytes:
    """Return the Ed25519 signature of `message`, 64 bytes. Deterministic: no entropy is needed."""
    return Ed25519PrivateKey.from_private_bytes(_sized(sign_secret)).sign(message)


def verify(message: bytes, signature: bytes, sign_public: bytes) -> bool:
    """Tell whether `signature` is that of `message` by the holder of `sign_public`'s secret."""
    try:
        Ed25519PublicKey.from_public_bytes(sign_public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def require_signature(message: bytes, signature: bytes, sign_public: bytes, what: str) -> None:
    """Raise AuthError, naming `what` was signed, unless the signature holds."""
    if not verify(message, signature, sign_public):
        raise AuthError(f"the signature of {what} does not hold under key {key_id(sign_public).hex()}")
