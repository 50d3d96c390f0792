"""EARLY frames: what follows a HELLO at once, before anybody has answered it. `docs/protocol.md`, "Frames".

    EARLY    05 | index u16 | counter u16 | records, sealed

`index` is the one of the HELLO. The key comes from the first Noise message alone, so what is true of the HELLO's own
records is true here: a listener can play them again, and who has the host's secret can read them. They hold what is
harmless then: offers and segments. The counter is the session's (the HELLO is 0), so the same ACK tells of them; and no
counter is sealed twice under one key, for DATA frames have other keys and go on behind the last EARLY one.
"""

import struct
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wire.errors import AuthError, Misuse
from wire.noise import nonce
from wire.session import HEADER_SIZE, FrameKind

EARLY_FRAMES_MAX: Final = 16
"""Counters beyond are refused: what is early is little."""


class EarlyKey:
    """Seals and opens the EARLY frames of one HELLO."""

    def __init__(self, key: bytes, index: int) -> None:
        self._cipher, self._index = ChaCha20Poly1305(key), index
        self._highest = 0

    def seal(self, counter: int, payload: bytes) -> bytes:
        """Return the frame with this counter, which must be the next."""
        if counter != self._highest + 1 or counter > EARLY_FRAMES_MAX:
            raise Misuse(f"EARLY frame {counter} after {self._highest}; at most {EARLY_FRAMES_MAX}")
        self._highest = counter
        header = struct.pack(">BHH", FrameKind.EARLY, self._index, counter)
        return header + self._cipher.encrypt(nonce(counter), payload, header)

    def open(self, frame: bytes) -> tuple[int, bytes]:
        """Return (counter, payload). Raises AuthError."""
        counter = int.from_bytes(frame[3:HEADER_SIZE], "big")
        if not 0 < counter <= EARLY_FRAMES_MAX:
            raise AuthError(f"an EARLY frame with counter {counter}; 1 to {EARLY_FRAMES_MAX}")
        try:
            return counter, self._cipher.decrypt(nonce(counter), frame[HEADER_SIZE:], frame[:HEADER_SIZE])
        except InvalidTag as error:
            raise AuthError("an EARLY frame does not open") from error
