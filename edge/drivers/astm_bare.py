"""ASTM records in an envelope without frame numbers and checksums, as Snibe's Maglumi analysers send them.

    ENQ, answered; STX, answered; records, each ended by CR; ETX, answered; EOT, answered         every answer is ACK

A lexer only, with the face of `astm_frames.Lexer`, which `astm.py` drives: it keeps no conversation. Every byte fed
comes out again exactly once, in the `raw` of some piece. Written from what four public programs for a Maglumi 800, 4000
and X3 do, and from one's notes of what an X3 sent on its bench; the maker's text was not at hand.

Nothing here shows a damaged digit. So it is never guessed: a port is told that its analyser speaks like this, and a
text that begins with a frame's number is refused. A control within a text ends it at once, for no text may hold one.
"""

from typing import Final

from edge.drivers.astm_frames import ENQ, EOT, ETX, FRAME_SIZE_MAX, NOISE_SIZE_MAX, STX, Piece

_OPENED: Final = Piece("STX", b"")
"""STX wants its own answer; the byte itself comes out with its frame."""


class BareLexer:
    """Feed bytes, get pieces: "ENQ", "STX", "FRAME", "BAD", "EOT". Holds at most one text and the noise before it."""

    awaits_lf = False
    is_in_doubt = False

    def __init__(self) -> None:
        self._raw = bytearray()
        self._text_at = -1
        """Where the text begins in `_raw`; -1 outside."""
        self.dropped_bytes = 0
        self.in_transfer = False
        """As `astm_frames.Lexer` has it; it makes no difference here."""

    @property
    def in_frame(self) -> bool:
        """STX was there, and no end yet."""
        return self._text_at >= 0

    def feed(self, data: bytes, start: int = 0) -> tuple[Piece | None, int]:
        """Read on in `data` from `start`; return the first piece (None: more is wanted) and where to read on."""
        for at in range(start, len(data)):
            if (piece := self._byte(data[at])) is not None:
                return piece, at + 1
        return None, len(data)

    def quiet(self) -> Piece | None:
        """Nothing has come for a while: a text does not end."""
        return self._piece("BAD", notes=("the text did not end",)) if self.in_frame else None

    def rest(self) -> bytes:
        """Give up what is not a piece yet and return it."""
        rest = bytes(self._raw)
        self._raw.clear()
        self._text_at = -1
        return rest

    def _byte(self, byte: int) -> Piece | None:
        self._keep(byte)
        if byte in {ENQ, EOT}:
            notes = ("a frame was cut off",) if self.in_frame else ()
            return self._piece("ENQ" if byte == ENQ else "EOT", notes=notes)
        if byte == STX:
            self._text_at = len(self._raw)
            return _OPENED
        if byte == ETX and self.in_frame:
            return self._whole()
        if self.in_frame and len(self._raw) - self._text_at > FRAME_SIZE_MAX:
            return self._piece("BAD", notes=(f"longer than {FRAME_SIZE_MAX} bytes",))
        return None

    def _whole(self) -> Piece:
        at = self._text_at
        text = bytes(self._raw[at:-1])
        if text[:1].isdigit():
            return self._piece("BAD", notes=("it has a frame number: the option 'frames' is to be 'checked'",))
        return self._piece("FRAME", text, at)

    def _piece(self, kind: str, text: bytes = b"", start: int = 0, notes: tuple[str, ...] = ()) -> Piece:
        return Piece(kind, self.rest(), 1, text, start, is_last=True, notes=notes)

    def _keep(self, byte: int) -> None:
        if not self.in_frame and len(self._raw) >= NOISE_SIZE_MAX and byte not in {STX, ENQ, EOT}:
            self.dropped_bytes += 1
            del self._raw[0]
        self._raw.append(byte)
