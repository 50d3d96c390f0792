"""The parcel: what would be said in a session, as one file that is carried by hand. `docs/formats/parcel.md`.

    opening, 512 bytes     mark, parcel id, size of the body, size of the slip, one Noise message that is never answered
    body                   blocks of 16,384 bytes, the last one shorter: the records of a session, sealed
    slip                   for its writer alone: what is in this parcel, and by what damage is told
    the opening again

A parcel proves who wrote it and opens for one reader. Each block stands by itself: it names the objects of which it
holds bytes, so what is damaged costs its block and no more. A parcel may be lost, read twice, read late and read in any
order: it holds offers, segments and answers, and outbox and inbox take all of these again without harm. Which of them
are in one parcel is decided in `node/carrying.py`; nothing here touches a file.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wire.blocks import BLOCK_ROOM, BLOCK_SIZE, BLOCKS_MAX, PARCEL_ID_SIZE
from wire.errors import AuthError, FormatError, Misuse
from wire.noise import FIRST_OVERHEAD, KEY_SIZE, ONE_WAY_NAME, TAG_SIZE, Initiator, KeyPair, Responder, nonce

MARK: Final = b"\xabPARCEL\x01"
PROLOGUE: Final = b"feldsher parcel 1"
HEAD_SIZE: Final = len(MARK) + PARCEL_ID_SIZE + 4 + 4
OPENING_SIZE: Final = 512
"""A sector: the blocks behind it begin at sectors too, and a bad one costs one block."""
BODY_SIZE_MAX: Final = BLOCKS_MAX * BLOCK_SIZE
SLIP_SIZE_MAX: Final = 512 << 10
PARCEL_SIZE_MAX: Final = 2 * OPENING_SIZE + BODY_SIZE_MAX + SLIP_SIZE_MAX
MAILBOX_SIZE: Final = 8
CHECK_SIZE: Final = 16
"""BLAKE2b, of the opening and of the body, in the slip."""
SLIP_SIZE_MIN: Final = 2 * CHECK_SIZE + TAG_SIZE
_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{32})\.parcel")


def mailbox(public: bytes) -> bytes:
    """Return what stands for the holder of a key in the names of files: enough to sort them, proof of nothing."""
    return hashlib.blake2s(b"feldsher parcel" + public).digest()[:MAILBOX_SIZE]


@dataclass(frozen=True, slots=True)
class ParcelName:
    """The name of a parcel's file: for whom, from whom, which one."""

    to: bytes
    sender: bytes
    parcel_id: bytes

    def __str__(self) -> str:
        return f"{self.to.hex()}-{self.sender.hex()}-{self.parcel_id.hex()}.parcel"


def parse_name(name: str) -> ParcelName | None:
    """Return what a file's name says, None when it is not that of a parcel. FAT may have changed its case."""
    match = _NAME.fullmatch(name.lower())
    return None if match is None else ParcelName(*map(bytes.fromhex, match.groups()))


@dataclass(frozen=True, slots=True)
class Opening:
    """What stands in an opening before anything is opened."""

    parcel_id: bytes
    body_size: int
    slip_size: int

    @property
    def head(self) -> bytes:
        return MARK + self.parcel_id + self.body_size.to_bytes(4, "big") + self.slip_size.to_bytes(4, "big")

    @property
    def slip_at(self) -> int:
        """Where the slip begins in the file."""
        return OPENING_SIZE + self.body_size


@dataclass(frozen=True, slots=True)
class Slip:
    """A slip that has been opened: what its writer noted, and by what it tells damage."""

    note: bytes
    opening_check: bytes
    body_check: bytes

    def is_opening(self, raw: bytes) -> bool:
        """Tell whether this is the parcel's opening, undamaged: without one of the two nobody can read it."""
        return _check(raw) == self.opening_check

    def is_body(self, raw: bytes) -> bool:
        """Tell whether this is the parcel's body, undamaged."""
        return _check(raw) == self.body_check


@dataclass(frozen=True, slots=True)
class Parcel:
    """A parcel that has been opened: who wrote it, and its blocks; None stands for one that is damaged or missing."""

    peer: bytes
    parcel_id: bytes
    blocks: list[bytes | None]


def seal(
    identity: KeyPair,
    far_public: bytes,
    psk: bytes,
    ephemeral_secret: bytes,
    parcel_id: bytes,
    blocks: Sequence[bytes],
    slip: bytes = b"",
) -> bytes:
    """Return the bytes of a parcel. `parcel_id` and `ephemeral_secret` are random and for this parcel only."""
    if len(blocks) > BLOCKS_MAX or any(len(block) != BLOCK_ROOM for block in blocks[:-1]):
        raise Misuse(f"{len(blocks)} blocks: at most {BLOCKS_MAX}, and all but the last of {BLOCK_ROOM} bytes")
    body_size = sum(len(block) + TAG_SIZE for block in blocks)
    opening = Opening(parcel_id, body_size, 2 * CHECK_SIZE + len(slip) + TAG_SIZE)
    noise = Initiator(identity, far_public, ephemeral_secret, PROLOGUE + opening.head, ONE_WAY_NAME)
    raw = (opening.head + noise.write(psk)).ljust(OPENING_SIZE, b"\0")
    cipher = ChaCha20Poly1305(noise.key())
    body = b"".join(cipher.encrypt(nonce(number), block, b"") for number, block in enumerate(blocks))
    own = _slip_cipher(identity, parcel_id).encrypt(nonce(0), _check(raw) + _check(body) + slip, opening.head)
    return b"".join((raw, body, own, raw))


def read_opening(raw: bytes) -> Opening:
    """Return what the first bytes of a file say. Raises FormatError for what is no parcel."""
    if len(raw) < HEAD_SIZE + FIRST_OVERHEAD or not raw.startswith(MARK):
        raise FormatError("not a parcel: no mark at its beginning")
    at = len(MARK) + PARCEL_ID_SIZE
    opening = Opening(
        raw[len(MARK) : at], int.from_bytes(raw[at : at + 4], "big"), int.from_bytes(raw[at + 4 : at + 8], "big")
    )
    if opening.body_size > BODY_SIZE_MAX or not SLIP_SIZE_MIN <= opening.slip_size <= SLIP_SIZE_MAX:
        raise FormatError(f"not a parcel: a body of {opening.body_size} bytes, a slip of {opening.slip_size}")
    return opening


def open_parcel(identity: KeyPair, raw: bytes, find_psk: Callable[[bytes], bytes | None]) -> Parcel:
    """Open a parcel, by its second opening when the first is damaged. Raises FormatError, AuthError.

    The AuthError says whose parcel it is when that one is not let in; what is damaged or for somebody else just does
    not open.
    """
    failures: list[FormatError | AuthError] = []
    for start in (raw[:OPENING_SIZE], raw[-OPENING_SIZE:]):
        try:
            opening = read_opening(start)
            noise = Responder(identity, PROLOGUE + opening.head, ONE_WAY_NAME)
            peer, _ = noise.read(start[HEAD_SIZE : HEAD_SIZE + FIRST_OVERHEAD], find_psk)
        except (FormatError, AuthError) as error:
            failures.append(error)
            continue
        return Parcel(peer, opening.parcel_id, _open_blocks(noise.key(), raw, opening))
    raise next((failure for failure in failures if isinstance(failure, AuthError)), failures[0])


def _open_blocks(key: bytes, raw: bytes, opening: Opening) -> list[bytes | None]:
    cipher, blocks = ChaCha20Poly1305(key), list[bytes | None]()
    for number, at in enumerate(range(OPENING_SIZE, opening.slip_at, BLOCK_SIZE)):
        sealed = raw[at : min(at + BLOCK_SIZE, opening.slip_at)]
        try:
            blocks.append(cipher.decrypt(nonce(number), sealed, b""))
        except InvalidTag:
            blocks.append(None)
    return blocks


def open_slip(identity: KeyPair, opening: Opening, sealed: bytes) -> Slip:
    """Open the slip of a parcel of our own. Raises AuthError for one that is damaged or another's."""
    try:
        plain = _slip_cipher(identity, opening.parcel_id).decrypt(nonce(0), sealed, opening.head)
    except InvalidTag as error:
        raise AuthError(f"the slip of parcel {opening.parcel_id.hex()} does not open") from error
    return Slip(plain[2 * CHECK_SIZE :], plain[:CHECK_SIZE], plain[CHECK_SIZE : 2 * CHECK_SIZE])


def _check(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=CHECK_SIZE).digest()


def _slip_cipher(identity: KeyPair, parcel_id: bytes) -> ChaCha20Poly1305:
    key = hashlib.blake2s(b"feldsher parcel slip" + parcel_id, key=identity.secret, digest_size=KEY_SIZE).digest()
    return ChaCha20Poly1305(key)
