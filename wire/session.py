"""The session: who may speak, and frames that may be lost, repeated and reordered. `docs/protocol.md`, "Frames".

    HELLO    01 | index u16 | first Noise message (payload: records)
    WELCOME  02 | receiver u16 | second Noise message (payload: index u16, records)
    DATA     03 | receiver u16 | counter u16 | records, sealed
    SHORT    80 + counter u7 | receiver u16 | records, sealed
    HINT     04 | receiver u16 | code u8 | echo 8 bytes
    EARLY    05 | index u16 | counter u16 | records, sealed (`wire/early.py`)

`index` is the number by which its sender wants to be addressed, `receiver` that of the one addressed: a session
is found by it, whatever the address is now. A counter is 64 bits; its low 16 travel and the rest follows from the
highest one seen. Counter 0 is the payload of the handshake message itself. Nothing here touches a clock: a session
lives as long as the process keeps it. SHORT is DATA where two bytes cost money: on bearers of messages, and only while
the counter is near to one that the peer is known to have seen.
"""

import enum
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from wire.errors import AuthError, Misuse, PeerError
from wire.noise import FIRST_OVERHEAD, SECOND_OVERHEAD, TAG_SIZE, Initiator, KeyPair, Responder, nonce

PROLOGUE: Final = b"feldsher link 1"
FRAME_SIZE_MAX: Final = 16384
HEADER_SIZE: Final = 5
DATA_OVERHEAD: Final = HEADER_SIZE + TAG_SIZE
HELLO_OVERHEAD: Final = 3 + FIRST_OVERHEAD
SHORT_HEADER_SIZE: Final = 3
SHORT_OVERHEAD: Final = SHORT_HEADER_SIZE + TAG_SIZE
SHORT_BIT: Final = 0x80
SHORT_SPAN: Final = 32
"""A SHORT frame is at most so many counters beyond the newest that the peer has seen; it can tell 64 either way."""
WELCOME_OVERHEAD: Final = 3 + SECOND_OVERHEAD + 2
WINDOW: Final = 2048
"""Frames that may come this much later than the newest; what is older still is dropped unread."""
COUNTER_MAX: Final = 1 << 48
"""A session seals no frame beyond this one: a new handshake must come first."""
ECHO_SIZE: Final = 8


class FrameKind(enum.IntEnum):
    """The first byte of a frame."""

    HELLO = 1
    WELCOME = 2
    DATA = 3
    HINT = 4
    EARLY = 5
    SHORT = SHORT_BIT
    """DATA; the counter's low 7 bits are in this very byte."""


CARRYING: Final = frozenset({FrameKind.DATA, FrameKind.SHORT})
"""Frames of a session."""


class HintCode(enum.IntEnum):
    """What a host may tell someone whom it cannot serve. Nobody signs it: it is a reason to look, not a proof."""

    NO_SESSION = 1
    """The frame belongs to a session that is gone (the host was started anew)."""
    NOT_LET_IN = 2
    """The HELLO does not open here, or its key is unknown or revoked."""


def peek(frame: bytes) -> tuple[FrameKind, int]:
    """Return (kind, the index in the header). Raises AuthError for what is no frame of ours: nobody vouches for it."""
    if not HEADER_SIZE <= len(frame) <= FRAME_SIZE_MAX:
        raise AuthError(f"a frame of {len(frame)} bytes; want {HEADER_SIZE} to {FRAME_SIZE_MAX}")
    try:
        kind = FrameKind.SHORT if frame[0] & SHORT_BIT else FrameKind(frame[0])
    except ValueError as error:
        raise AuthError(f"a frame of kind {frame[0]}") from error
    return kind, int.from_bytes(frame[1:3], "big")


def make_hint(index: int, code: HintCode, about: bytes) -> bytes:
    """Return the hint about the frame `about`; only one who has seen that frame can make it."""
    return struct.pack(">BHB", FrameKind.HINT, index, code) + about[-ECHO_SIZE:]


def read_hint(frame: bytes) -> tuple[HintCode, bytes]:
    """Return (code, echo). Raises AuthError."""
    if len(frame) != 4 + ECHO_SIZE:
        raise AuthError(f"a hint of {len(frame)} bytes; want {4 + ECHO_SIZE}")
    try:
        return HintCode(frame[3]), frame[4:]
    except ValueError as error:
        raise AuthError(f"a hint with code {frame[3]}") from error


class ReplayWindow:
    """Which of the last WINDOW counters were seen, as bits of one integer; bit 0 is `highest`."""

    def __init__(self) -> None:
        self.highest = 0
        self._seen = 1

    def expand(self, low: int, bits: int = 16) -> int:
        """Return the 64-bit counter nearest to the highest one whose low `bits` bits are `low`."""
        span = 1 << bits
        counter = (self.highest & ~(span - 1)) | low
        if counter > self.highest + span // 2 and counter >= span:
            return counter - span
        return counter + span if counter <= self.highest - span // 2 else counter

    def is_new(self, counter: int) -> bool:
        """Tell whether `counter` was not seen and is not too old to tell."""
        age = self.highest - counter
        return age < 0 or (age < WINDOW and not self._seen >> age & 1)

    def mark(self, counter: int) -> None:
        """Note that `counter` was seen; call it for authentic frames only."""
        age = self.highest - counter
        if age < 0:
            self._seen = ((self._seen << -age) | 1) & ((1 << WINDOW) - 1) if -age < WINDOW else 1
            self.highest = counter
        else:
            self._seen |= 1 << age


class Session:
    """Seals and opens DATA frames with the two keys of one handshake."""

    def __init__(self, index: int, far_index: int, send_key: bytes, receive_key: bytes) -> None:
        self.index, self.far_index = index, far_index
        self._seal, self._open = ChaCha20Poly1305(send_key), ChaCha20Poly1305(receive_key)
        self.window = ReplayWindow()
        self.next_counter = 1

    @property
    def is_spent(self) -> bool:
        """No counter is left: only a new handshake goes on."""
        return self.next_counter >= COUNTER_MAX

    def seal(self, payload: bytes, *, is_short: bool = False) -> tuple[int, bytes]:
        """Return (counter, frame). Raises Misuse when the session is spent."""
        counter = self.next_counter
        if self.is_spent:
            raise Misuse(f"session {self.index:04x} is spent after {counter} frames")
        self.next_counter += 1
        if is_short:
            header = struct.pack(">BH", SHORT_BIT | counter & (SHORT_BIT - 1), self.far_index)
        else:
            header = struct.pack(">BHH", FrameKind.DATA, self.far_index, counter & 0xFFFF)
        return counter, header + self._seal.encrypt(nonce(counter), payload, header)

    def open(self, frame: bytes) -> tuple[int, bytes] | None:
        """Return (counter, payload); None for a frame that was seen before or is too old. Raises AuthError."""
        is_short = bool(frame[0] & SHORT_BIT)
        header_size = SHORT_HEADER_SIZE if is_short else HEADER_SIZE
        if len(frame) < header_size + TAG_SIZE:
            raise AuthError(f"a data frame of {len(frame)} bytes; at least {header_size + TAG_SIZE}")
        low, bits = (frame[0] & (SHORT_BIT - 1), 7) if is_short else (int.from_bytes(frame[3:HEADER_SIZE], "big"), 16)
        counter = self.window.expand(low, bits)
        if not self.window.is_new(counter):
            return None
        try:
            payload = self._open.decrypt(nonce(counter), frame[header_size:], frame[:header_size])
        except InvalidTag as error:
            raise AuthError(f"a frame of session {self.index:04x} does not open") from error
        self.window.mark(counter)
        return counter, payload


class Call:
    """The caller's handshake: one HELLO, which may be sent again byte for byte, and the WELCOME that answers it."""

    def __init__(
        self, identity: KeyPair, far_public: bytes, psk: bytes, index: int, ephemeral: bytes, payload: bytes
    ) -> None:
        self.index = index
        header = struct.pack(">BH", FrameKind.HELLO, index)
        self._noise = Initiator(identity, far_public, ephemeral, PROLOGUE + header)
        self.hello = header + self._noise.write(psk, payload)
        self.early_key = self._noise.early_key()

    def complete(self, welcome: bytes, next_counter: int = 1) -> tuple[Session, bytes]:
        """Return (session, early records of the host). Raises AuthError; the true WELCOME may still come.

        `next_counter` is the first that no EARLY frame has used.
        """
        payload, send_key, receive_key = self._noise.read(welcome[3:])
        if len(payload) < 2:
            raise PeerError("a WELCOME without an index")
        session = Session(self.index, int.from_bytes(payload[:2], "big"), send_key, receive_key)
        session.next_counter = next_counter
        return session, payload[2:]

    def is_echo(self, echo: bytes) -> bool:
        """Tell whether a hint is about our HELLO."""
        return echo == self.hello[-ECHO_SIZE:]


@dataclass
class Answering:
    """The host's handshake after a HELLO has been read: who calls, and what was said with it."""

    peer: bytes
    payload: bytes
    far_index: int
    early_key: bytes
    _noise: Responder

    def welcome(self, index: int, ephemeral: bytes, payload: bytes) -> tuple[Session, bytes]:
        """Return (session, the WELCOME frame)."""
        body, send_key, receive_key = self._noise.write(ephemeral, index.to_bytes(2, "big") + payload)
        frame = struct.pack(">BH", FrameKind.WELCOME, self.far_index) + body
        return Session(index, self.far_index, send_key, receive_key), frame


def read_hello(identity: KeyPair, frame: bytes, find_psk: Callable[[bytes], bytes | None]) -> Answering:
    """Open a HELLO. Raises AuthError when it is not for us, altered, or from one who is not let in."""
    noise = Responder(identity, PROLOGUE + frame[:3])
    peer, payload = noise.read(frame[3:], find_psk)
    return Answering(peer, payload, int.from_bytes(frame[1:3], "big"), noise.early_key(), noise)
