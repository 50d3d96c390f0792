"""MLLP, the envelope of HL7 v2: cuts what a device sends into messages.

    frame: 0B message 1C 0D        (HL7 "Transport Specification: MLLP", Release 1: <SB> dddd <EB><CR>)

A lexer only: it keeps no conversation (`hl7.py` does) and looks into no message. Every byte fed comes out again exactly
once, in the `raw` of some piece or in `dropped_bytes`, as long as the bounds below are kept to.

MLLP has no checksum and no length. What it can tell is whether a message was ended. Reported from the field and allowed
here: NULs, blanks and line ends between messages; two messages in one read; 1C without 0D (whole after `CR_S` of
silence, or with the next byte). A message that a new 0B or a silence ends is CUT, for nobody can know what is missing
from it; only for a device that is known never to send 1C (`is_ended_by_silence`) a silence after CR ends a message.
"""

from dataclasses import dataclass
from typing import Final

BEGIN, END, CR = b"\x0b", b"\x1c", b"\x0d"
MESSAGE_SIZE_MAX: Final = 1 << 20
"""A message with its envelope, bytes. Blood counts with their pictures are some hundred kilobytes."""
PADDING: Final = b"\x00\r\n \t"
"""What may stand between messages without being counted as noise."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`kind`: "MESSAGE" (it was ended), "CUT" (it was not) or "LONG" (cut at the bound); `raw` with the envelope."""

    kind: str
    raw: bytes
    notes: tuple[str, ...] = ()

    @property
    def body(self) -> bytes:
        """The message without its envelope."""
        return self.raw[1:].removesuffix(CR).removesuffix(END) if self.kind == "MESSAGE" else self.raw[1:]


class Lexer:
    """Feed bytes, get pieces. Holds at most one message."""

    def __init__(self, *, is_ended_by_silence: bool = False) -> None:
        self._is_ended_by_silence = is_ended_by_silence
        self._raw = bytearray()
        self.dropped_bytes = 0
        """Bytes outside messages that are no padding."""

    @property
    def in_message(self) -> bool:
        return bool(self._raw)

    @property
    def awaits_cr(self) -> bool:
        """1C was the last byte."""
        return self._raw.endswith(END)

    def silence_s(self, at_an_end: float, elsewhere: float) -> float:
        """Return how long a silence ends the message: it may be at its end, or in the middle."""
        return at_an_end if self._is_ended_by_silence and self._is_at_an_end() else elsewhere

    def _is_at_an_end(self) -> bool:
        return self._raw.endswith((CR, CR + b"\n"))

    def feed(self, data: bytes, at: int) -> tuple[Piece | None, int]:
        """Read from `data[at:]` until a piece is whole; return it and where to go on."""
        if not self._raw:
            at = self._skip(data, at)
            if at == len(data):
                return None, at
            self._raw += BEGIN
            at += 1
        if self.awaits_cr:
            return self._after_end(data, at)
        return self._inside(data, at)

    def quiet(self) -> Piece | None:
        """The line fell silent: return what that ends."""
        if not self._raw:
            return None
        if self.awaits_cr:
            return self._piece("MESSAGE", "1C without 0D")
        if self._is_ended_by_silence and self._is_at_an_end():
            return self._piece("MESSAGE", "ended by silence")
        return self._piece("CUT")

    def rest(self) -> bytes:
        """Give up what is not whole and return it."""
        rest = bytes(self._raw)
        self._raw.clear()
        return rest

    def _skip(self, data: bytes, at: int) -> int:
        """Return where the next message begins, or the end."""
        begin = data.find(BEGIN, at)
        end = begin if begin >= 0 else len(data)
        self.dropped_bytes += len(data[at:end].translate(None, PADDING))
        return end

    def _after_end(self, data: bytes, at: int) -> tuple[Piece | None, int]:
        if at == len(data):
            return None, at
        if data[at : at + 1] == CR:
            self._raw += CR
            return self._piece("MESSAGE"), at + 1
        return self._piece("MESSAGE", "1C without 0D"), at

    def _inside(self, data: bytes, at: int) -> tuple[Piece | None, int]:
        stops = [stop for stop in (data.find(END, at), data.find(BEGIN, at)) if stop >= 0]
        stop = min(stops, default=len(data))
        room = MESSAGE_SIZE_MAX - len(self._raw)
        if stop - at >= room:
            self._raw += data[at : at + room]
            return self._piece("LONG"), at + room
        self._raw += data[at:stop]
        if stop == len(data):
            return None, stop
        if data[stop : stop + 1] == BEGIN:
            return self._piece("CUT"), stop
        self._raw += END
        return self._after_end(data, stop + 1)

    def _piece(self, kind: str, *notes: str) -> Piece:
        return Piece(kind, self.rest(), notes)
