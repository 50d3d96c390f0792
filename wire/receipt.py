"""The receipt: the server's signed word that an object is stored for good. Only it lets a kit forget (R11, R14).

```
offset 0  version u8 = 1 · result u8 · object id 16 · digest 32 · time u48 (ms) · Ed25519 signature 64      120 bytes
```

All integers are big-endian. The signature is over `b"feldsher receipt 1"` and everything before it; the prefix keeps
what the server signs as a receipt from ever being a roster or a study. The digest is BLAKE2b-256 of the object's bytes
as the server has them on its disk, so a receipt for other bytes under the same id proves nothing here.
"""

import struct
from dataclasses import dataclass
from typing import Final

from wire.errors import AuthError, FormatError, Misuse
from wire.seal import DIGEST_SIZE, SIGNATURE_SIZE, require_signature, sign

VERSION: Final = 1
WHOLE, DAMAGED = 0, 1
"""Results: read and entered; or kept as it came, but not read whole, so that somebody should look."""
OBJECT_ID_SIZE: Final = 16
DIGEST_SIZE_MIN: Final = 16
"""Bytes of a digest that a comparison needs: offers carry BLAKE2b-256 cut to this."""
CONTEXT: Final = b"feldsher receipt 1"

_BODY: Final = struct.Struct(f">BB{OBJECT_ID_SIZE}s{DIGEST_SIZE}s6s")
RECEIPT_SIZE: Final = _BODY.size + SIGNATURE_SIZE


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says. `digest`: BLAKE2b-256 of the object's bytes."""

    object_id: bytes
    digest: bytes
    time_ms: int
    result: int = WHOLE


def sign_receipt(object_id: bytes, digest: bytes, time_ms: int, sign_secret: bytes, result: int = WHOLE) -> bytes:
    """Return the bytes of a signed receipt."""
    if len(object_id) != OBJECT_ID_SIZE or len(digest) != DIGEST_SIZE:
        raise Misuse(f"a receipt for an id of {len(object_id)} bytes and a digest of {len(digest)}; want 16 and 32")
    body = _BODY.pack(VERSION, result, object_id, digest, time_ms.to_bytes(6, "big"))
    return body + sign(CONTEXT + body, sign_secret)


def parse_receipt(data: bytes) -> Receipt:
    """Return what a receipt says, whoever signed it. Raises FormatError."""
    if len(data) != RECEIPT_SIZE:
        raise FormatError(f"a receipt of {len(data)} bytes; want {RECEIPT_SIZE}")
    version, result, object_id, digest, time_ms = _BODY.unpack_from(data)
    if version != VERSION:
        raise FormatError(f"a receipt of version {version}; have {VERSION}")
    return Receipt(object_id, digest, int.from_bytes(time_ms, "big"), result)


def verify_receipt(data: bytes, sign_public: bytes, object_id: bytes, digest: bytes) -> Receipt:
    """Return the receipt when it is the server's, for these very bytes.

    `digest`: BLAKE2b-256 of the object, or its first 16 bytes or more. Raises FormatError for what is no receipt,
    AuthError for one of somebody else, or for another object.
    """
    receipt = parse_receipt(data)
    require_signature(CONTEXT + data[:-SIGNATURE_SIZE], data[-SIGNATURE_SIZE:], sign_public, "the receipt")
    if receipt.object_id != object_id:
        raise AuthError(f"the receipt is for object {receipt.object_id.hex()}, not {object_id.hex()}")
    if len(digest) < DIGEST_SIZE_MIN or not receipt.digest.startswith(digest):
        raise AuthError(f"the receipt is for other bytes: digest {receipt.digest.hex()}, ours {digest.hex()}")
    return receipt
