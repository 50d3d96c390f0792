"""Noise_IKpsk1_25519_ChaChaPoly_BLAKE2s: who is there, and two keys that only the two of us know.

    <- s                            the caller knows the host's static key beforehand
    -> e, es, s, ss, psk            96 bytes + payload
    <- e, ee, se                    48 bytes + payload

And where no answer can come in time, its first message alone: Noise_Xpsk1_25519_ChaChaPoly_BLAKE2s, one key.

The Noise Protocol Framework, revision 34, sections 5, 7.4 and 9. Ephemeral secrets come in from outside, each for
one handshake. A payload of the first message can be replayed by a listener and has no forward secrecy: only
what is harmless then goes there (`docs/protocol.md`).
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wire.errors import AuthError, Misuse

PROTOCOL_NAME: Final = b"Noise_IKpsk1_25519_ChaChaPoly_BLAKE2s"
ONE_WAY_NAME: Final = b"Noise_Xpsk1_25519_ChaChaPoly_BLAKE2s"
EARLY_LABEL: Final = b"feldsher early"
KEY_SIZE: Final = 32
TAG_SIZE: Final = 16
FIRST_OVERHEAD: Final = KEY_SIZE + KEY_SIZE + TAG_SIZE + TAG_SIZE
SECOND_OVERHEAD: Final = KEY_SIZE + TAG_SIZE


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An X25519 key pair. `repr` shows no secret."""

    secret: bytes
    public: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> "KeyPair":
        """Return the pair of a 32-byte secret."""
        if len(secret) != KEY_SIZE:
            raise Misuse(f"a secret of {len(secret)} bytes; want {KEY_SIZE}")
        return cls(secret, X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw())

    def agree(self, public: bytes) -> bytes:
        """Return the shared secret with the holder of `public`. Raises AuthError for a key that is none."""
        try:
            return X25519PrivateKey.from_private_bytes(self.secret).exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError as error:
            raise AuthError("the other side's public key is not a usable X25519 key") from error

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public.hex()})"


def nonce(counter: int) -> bytes:
    """Return the 12 bytes that ChaCha20-Poly1305 takes for `counter`."""
    return b"\0\0\0\0" + counter.to_bytes(8, "little")


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.blake2s).digest()


def _hkdf(chaining_key: bytes, material: bytes, outputs: int) -> list[bytes]:
    secret, found = _hmac(chaining_key, material), [b""]
    for number in range(1, outputs + 1):
        found.append(_hmac(secret, found[-1] + bytes((number,))))
    return found[1:]


class _Symmetric:
    """The SymmetricState of section 5.2: a hash of all that was said, a key from all secrets."""

    def __init__(self, name: bytes, prologue: bytes, responder_public: bytes) -> None:
        self.hash = self.chaining_key = hashlib.blake2s(name).digest()  # both names are longer than a hash
        self.key: bytes | None = None
        self.counter = 0
        self.mix_hash(prologue)
        self.mix_hash(responder_public)

    def mix_hash(self, data: bytes) -> None:
        self.hash = hashlib.blake2s(self.hash + data).digest()

    def mix_key(self, material: bytes) -> None:
        self.chaining_key, self.key = _hkdf(self.chaining_key, material, 2)
        self.counter = 0

    def mix_ephemeral(self, public: bytes) -> None:
        self.mix_hash(public)
        self.mix_key(public)  # section 9.2: with a psk, an ephemeral key is mixed into the key as well

    def mix_psk(self, psk: bytes) -> None:
        self.chaining_key, hashed, self.key = _hkdf(self.chaining_key, psk, 3)
        self.mix_hash(hashed)
        self.counter = 0

    def seal(self, plaintext: bytes) -> bytes:
        sealed = self._cipher().encrypt(nonce(self.counter), plaintext, self.hash)
        self.counter += 1
        self.mix_hash(sealed)
        return sealed

    def open(self, sealed: bytes) -> bytes:
        try:
            plaintext = self._cipher().decrypt(nonce(self.counter), sealed, self.hash)
        except InvalidTag as error:
            raise AuthError("a handshake message does not open: another key, or altered on the way") from error
        self.counter += 1
        self.mix_hash(sealed)
        return plaintext

    def early_key(self) -> bytes:
        """Return a key that only the two of us know once the first message is through; not part of Noise."""
        return _hkdf(self.chaining_key, EARLY_LABEL + self.hash, 1)[0]

    def split(self) -> tuple[bytes, bytes]:
        first, second = _hkdf(self.chaining_key, b"", 2)
        return first, second

    def _cipher(self) -> ChaCha20Poly1305:
        if self.key is None:
            raise Misuse("nothing is sealed before the first key is mixed")
        return ChaCha20Poly1305(self.key)


class Initiator:
    """The caller's side: `write`, then `read`, each once."""

    def __init__(
        self,
        static: KeyPair,
        far_public: bytes,
        ephemeral_secret: bytes,
        prologue: bytes = b"",
        name: bytes = PROTOCOL_NAME,
    ) -> None:
        self._static, self._far_public = static, far_public
        self._ephemeral = KeyPair.from_secret(ephemeral_secret)
        self._state: _Symmetric | None = _Symmetric(name, prologue, far_public)
        self._written = False

    def write(self, psk: bytes, payload: bytes = b"") -> bytes:
        """Return the first message."""
        state = self._state
        if state is None or self._written:
            raise Misuse("the first message is written once")
        self._written = True
        state.mix_ephemeral(self._ephemeral.public)
        state.mix_key(self._ephemeral.agree(self._far_public))
        static = state.seal(self._static.public)
        state.mix_key(self._static.agree(self._far_public))
        state.mix_psk(psk)
        return self._ephemeral.public + static + state.seal(payload)

    def key(self) -> bytes:
        """Return the key to send with when the first message is the only one."""
        if self._state is None or not self._written:
            raise Misuse("the key is there once the first message was written")
        state, self._state = self._state, None
        return state.split()[0]

    def early_key(self) -> bytes:
        """Return the key for what follows the first message before it is answered."""
        if self._state is None or not self._written:
            raise Misuse("the early key is there between the two messages")
        return self._state.early_key()

    def read(self, message: bytes) -> tuple[bytes, bytes, bytes]:
        """Return (payload, key to send with, key to receive with). After an AuthError it may be tried again."""
        if self._state is None or not self._written:
            raise Misuse("the second message is read once, after the first was written")
        if len(message) < SECOND_OVERHEAD:
            raise AuthError(f"a second message of {len(message)} bytes; at least {SECOND_OVERHEAD}")
        state = _Symmetric.__new__(_Symmetric)
        state.__dict__.update(self._state.__dict__)  # a forged message must not spoil the true one that follows
        far_ephemeral = message[:KEY_SIZE]
        state.mix_ephemeral(far_ephemeral)
        state.mix_key(self._ephemeral.agree(far_ephemeral))
        state.mix_key(self._static.agree(far_ephemeral))
        payload = state.open(message[KEY_SIZE:])
        self._state = None
        send, receive = state.split()
        return payload, send, receive


class Responder:
    """The host's side: `read`, then `write`, each once."""

    def __init__(self, static: KeyPair, prologue: bytes = b"", name: bytes = PROTOCOL_NAME) -> None:
        self._static = static
        self._state = _Symmetric(name, prologue, static.public)
        self._far_ephemeral: bytes | None = None
        self._far_public = b""
        self._done = False

    def read(self, message: bytes, find_psk: Callable[[bytes], bytes | None]) -> tuple[bytes, bytes]:
        """Return (the caller's public key, payload). `find_psk` answers None for a caller that is not let in."""
        if self._far_ephemeral is not None:
            raise Misuse("the first message is read once")
        if len(message) < FIRST_OVERHEAD:
            raise AuthError(f"a first message of {len(message)} bytes; at least {FIRST_OVERHEAD}")
        state, end = self._state, 2 * KEY_SIZE + TAG_SIZE
        self._far_ephemeral = message[:KEY_SIZE]
        state.mix_ephemeral(self._far_ephemeral)
        state.mix_key(self._static.agree(self._far_ephemeral))
        self._far_public = state.open(message[KEY_SIZE:end])
        state.mix_key(self._static.agree(self._far_public))
        psk = find_psk(self._far_public)
        if psk is None:
            raise AuthError(f"the key {self._far_public.hex()} is not known here")
        state.mix_psk(psk)
        return self._far_public, state.open(message[end:])

    def key(self) -> bytes:
        """Return the key to receive with when the first message was the only one, after a `read` that opened it."""
        if self._far_ephemeral is None or self._done:
            raise Misuse("the key is there once the first message was read")
        self._done = True
        return self._state.split()[0]

    def early_key(self) -> bytes:
        """Return the key for what follows the first message before it is answered."""
        if self._far_ephemeral is None or self._done:
            raise Misuse("the early key is there between the two messages")
        return self._state.early_key()

    def write(self, ephemeral_secret: bytes, payload: bytes = b"") -> tuple[bytes, bytes, bytes]:
        """Return (the second message, key to send with, key to receive with)."""
        if self._far_ephemeral is None or self._done:
            raise Misuse("the second message is written once, after the first was read")
        self._done = True
        state, ephemeral = self._state, KeyPair.from_secret(ephemeral_secret)
        state.mix_ephemeral(ephemeral.public)
        state.mix_key(ephemeral.agree(self._far_ephemeral))
        state.mix_key(ephemeral.agree(self._far_public))
        sealed = state.seal(payload)
        receive, send = state.split()
        return ephemeral.public + sealed, send, receive
