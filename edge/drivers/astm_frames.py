"""ASTM E1381-95 / CLSI LIS01-A2, the lower half: cuts what an analyser sends into frames and line controls.

    frame: STX FN text (ETB | ETX) C1 C2 CR LF       C1 C2: sum of FN .. ETB/ETX modulo 256, two hex digits

A lexer only: it keeps no conversation (`astm.py` does) and judges nothing but the frame's own form and sum. Every byte
fed comes out again exactly once, in the `raw` of some piece, as long as the bounds below are kept to.

Seen on real instruments and allowed here: frames up to 64,000 bytes (LIS01-A2's own limit; the serial limit of 247 is
only noted), CR alone at the end, lower-case sums.

A damaged byte can look like a control, and an ACK for an ENQ that was none would be taken for the frame's. So ENQ and
EOT within a frame, and ENQ between frames, are taken at their word only when what follows agrees: nothing for a second
(`quiet`), or another control. Otherwise they are bytes of a bad frame. A frame whose STX was lost is reported as BAD
once its end is seen, so that it can be refused at once, not after a timeout.
"""

from dataclasses import dataclass
from typing import Final

STX, ETX, EOT, ENQ, ACK, LF, CR, NAK, ETB = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0A, 0x0D, 0x15, 0x17

FRAME_SIZE_MAX: Final = 64_000
"""A frame with its overhead, bytes (LIS01-A2)."""
SERIAL_FRAME_SIZE_MAX: Final = 247
NOISE_SIZE_MAX: Final = 4_096
"""Bytes between frames that are kept with the next piece; more are counted only."""

_CONTROLS: Final = frozenset((STX, ENQ, EOT))
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


@dataclass(frozen=True, slots=True)
class Piece:
    """What was found. `kind`: "ENQ", "EOT", "FRAME" (its sum holds) or "BAD"; `raw`: every byte since the last piece.

    Of a frame: `text` stands at raw[start:start + len(text)], `is_last` tells ETX from ETB, `notes` what was odd.
    """

    kind: str
    raw: bytes
    number: int = -1
    text: bytes = b""
    start: int = 0
    is_last: bool = False
    notes: tuple[str, ...] = ()


def checksum(body: bytes) -> bytes:
    """Return the two digits for FN .. ETB/ETX."""
    return b"%02X" % (sum(body) & 0xFF)


class Lexer:
    """Feed bytes, get pieces. Holds at most one frame and the noise before it."""

    def __init__(self) -> None:
        self._raw = bytearray()
        self._frame_at = -1
        """Where STX stands in `_raw`; -1 outside a frame."""
        self._end_at = -1
        """Where ETB or ETX stands in `_raw`; -1 while in the text."""
        self._doubtful = -1
        """Where a control stands that may be genuine; -1 when there is none."""
        self._awaits_lf = False
        """All of a frame but its LF is there."""
        self._too_long = False
        self._answered = True
        """A BAD piece was given, and no frame has begun since: the rest of the same frame is not reported again."""
        self.dropped_bytes = 0
        self.in_transfer = False
        """Frames are expected: an ENQ is not, and is doubted between frames, too."""

    @property
    def in_frame(self) -> bool:
        """A frame has begun and is not whole."""
        return self._frame_at >= 0

    @property
    def awaits_lf(self) -> bool:
        """All of a frame but its LF is there: some analysers send none, and `quiet` settles it."""
        return self._awaits_lf

    @property
    def is_in_doubt(self) -> bool:
        """The last byte is a control in an odd place: `quiet` settles it."""
        return self._doubtful >= 0

    def feed(self, data: bytes, start: int = 0) -> tuple[Piece | None, int]:
        """Read on in `data` from `start`; return the first piece (None: more is wanted) and where to read on."""
        for at in range(start, len(data)):
            piece, consumed = self._byte(data[at])
            if piece is not None:
                return piece, at + consumed
        return None, len(data)

    def quiet(self) -> Piece | None:
        """Nothing has come for a while: settle what is in doubt, or report the frame that does not end."""
        if self._doubtful >= 0:
            return self._settle()[0]
        if self._awaits_lf:
            return self._whole()
        return self._bad("the frame did not end") if self.in_frame else None

    def rest(self) -> bytes:
        """Give up what is not a piece yet and return it."""
        rest = bytes(self._raw)
        self._restart()
        return rest

    def _byte(self, byte: int) -> tuple[Piece | None, int]:
        """Take one byte; return a piece or None, and 1, or 0 if the byte is to be fed again."""
        if self._doubtful >= 0:
            if byte in _CONTROLS:
                return self._settle()
            self._doubtful = -1
        if self._frame_at < 0:
            return self._outside(byte), 1
        if self._end_at < 0:
            return self._text(byte), 1
        return self._trailer(byte)

    def _outside(self, byte: int) -> Piece | None:
        self._keep(byte)
        if byte == ENQ and self.in_transfer:
            self._doubtful = len(self._raw) - 1
        elif byte in {ENQ, EOT}:
            return self._piece("ENQ" if byte == ENQ else "EOT")
        elif byte == STX:
            self._frame_at, self._answered = len(self._raw) - 1, False
        elif byte in {CR, LF} and self._ends_a_frame() and not self._answered:
            return self._bad("the frame's beginning is missing")
        return None

    def _ends_a_frame(self) -> bool:
        tail = self._raw[-4:]
        return len(tail) == 4 and tail[0] in {ETB, ETX} and tail[1] in _HEX and tail[2] in _HEX

    def _text(self, byte: int) -> Piece | None:
        size = len(self._raw) - self._frame_at
        if byte in {ENQ, EOT}:
            self._doubtful = len(self._raw)
        elif byte == STX:
            self._begin_again()
            return None
        elif byte in {ETB, ETX}:
            self._end_at = len(self._raw)
        if size >= FRAME_SIZE_MAX - 4:
            self._too_long = True
            if self._end_at < 0:
                self.dropped_bytes += 1
                self._doubtful = -1
                return None
        self._raw.append(byte)
        return None

    def _begin_again(self) -> None:
        """STX within a frame: what came before it was cut off."""
        self._raw.append(STX)
        excess = max(0, len(self._raw) - 1 - NOISE_SIZE_MAX)
        del self._raw[:excess]
        self.dropped_bytes += excess
        self._frame_at, self._too_long = len(self._raw) - 1, False

    def _trailer(self, byte: int) -> tuple[Piece | None, int]:
        """After ETB or ETX: two digits, CR, LF."""
        place = len(self._raw) - self._end_at
        if place <= 2 and byte in _HEX:
            self._raw.append(byte)
            return None, 1
        if place == 3 and byte == CR:
            self._raw.append(byte)
            self._awaits_lf = True
            return None, 1
        if place >= 3 and byte == LF:
            self._raw.append(byte)
            return self._whole(), 1
        if self._awaits_lf:
            return self._whole(), 0
        if byte == STX:
            self._end_at = -1
            self._begin_again()
            return None, 1
        if byte in _CONTROLS:
            self._doubtful = len(self._raw)
            self._raw.append(byte)
            return None, 1
        if place == 3:
            return self._bad("no CR LF"), 0
        self._raw.append(byte)
        return self._bad("no checksum"), 1

    def _whole(self) -> Piece:
        at, end = self._frame_at, self._end_at
        body = bytes(self._raw[at + 1 : end + 1])
        given = bytes(self._raw[end + 1 : end + 3])
        if self._too_long:
            return self._bad(f"longer than {FRAME_SIZE_MAX} bytes")
        if given.upper() != checksum(body):
            return self._bad(f"checksum {given.decode()}, the bytes give {checksum(body).decode()}")
        if len(body) < 2 or not 0x30 <= body[0] <= 0x37:
            return self._bad("no frame number")
        notes = self._oddities(body)
        is_last = self._raw[end] == ETX
        number, text, start = body[0] - 0x30, body[1:-1], at + 2
        return self._piece("FRAME", number=number, text=text, start=start, is_last=is_last, notes=notes)

    @staticmethod
    def _oddities(body: bytes) -> tuple[str, ...]:
        notes = []
        if len(body) + 5 > SERIAL_FRAME_SIZE_MAX:
            notes.append(f"a frame of {len(body) + 5} bytes; the serial limit is {SERIAL_FRAME_SIZE_MAX}")
        if any(byte < 0x20 and byte != CR for byte in body[1:-1]):
            notes.append("control characters in the text")
        return tuple(notes)

    def _settle(self) -> tuple[Piece, int]:
        """The control in doubt was genuine: the frame before it was cut off."""
        kind = "ENQ" if self._raw[self._doubtful] == ENQ else "EOT"
        return self._piece(kind, notes=("a frame was cut off",)), 0

    def _bad(self, reason: str) -> Piece:
        return self._piece("BAD", notes=(reason,))

    def _piece(
        self,
        kind: str,
        number: int = -1,
        text: bytes = b"",
        start: int = 0,
        is_last: bool = False,
        notes: tuple[str, ...] = (),
    ) -> Piece:
        raw = bytes(self._raw)
        self._restart()
        self._answered = kind == "BAD"
        return Piece(kind, raw, number, text, start, is_last, notes)

    def _restart(self) -> None:
        self._raw.clear()
        self._frame_at = self._end_at = self._doubtful = -1
        self._too_long = self._awaits_lf = False

    def _keep(self, byte: int) -> None:
        if len(self._raw) >= NOISE_SIZE_MAX and byte not in _CONTROLS:
            self.dropped_bytes += 1
            del self._raw[0]
        self._raw.append(byte)
