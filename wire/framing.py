"""Frames on a line of bytes that also carries noise and a modem's own words, and that loses bytes.

A TCP stream gives each frame its length; on a serial line one lost byte would shift every length after it. Here a frame
is rewritten without zeros (COBS: Cheshire and Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on
Networking 7(2), 1999) and a zero stands between frames, so that whatever happened, the next zero is a boundary. Each
run of non-zero bytes stands behind its length plus one; the zero after it is implied. A length byte of 255 means 254
bytes and no zero. `docs/protocol.md`, "Frames on a line of bytes", has examples.

Before that it gets a CRC of two bytes (CRC-16/IBM-3740: polynomial 1021, from ffff). The session authenticates every
frame, but hints and greetings are answered unproved: without it noise in an index drew "no such session", and a
handshake, and noise in a HELLO "not let in" (docs/decisions/0095).

Texts such as `CONNECT 9600` hold no zero, so they join the piece before them or the one after; a sender therefore opens
each burst with a zero of its own. Since a frame ends with a zero, what we send never ends with `+++` and a silence, at
which a modem would leave its call. The line must pass all 256 values: no XON/XOFF.

Pure. Nothing survives; a receiver that begins in the middle of a frame loses that frame.
"""

from binascii import crc_hqx
from typing import Final

from wire.session import FRAME_SIZE_MAX

MARK: Final = b"\0"
"""Between frames; and before the first one after a pause."""
RUN_SIZE_MAX: Final = 254
CRC_SIZE: Final = 2


def overhead_max(size: int) -> int:
    """Return how many bytes at most a frame of `size` takes beside its own, the mark included."""
    return CRC_SIZE + (size + CRC_SIZE) // RUN_SIZE_MAX + 2


def enclose(frame: bytes) -> bytes:
    """Return `frame` and its CRC as they stand on a line, with the mark that ends them."""
    return stuff(frame + _crc(frame)) + MARK


def disclose(piece: bytes) -> bytes | None:
    """Return the frame that stands between two marks; None when it is none, or not what was sent."""
    whole = unstuff(piece)
    if whole is None or len(whole) <= CRC_SIZE or whole[-CRC_SIZE:] != _crc(whole[:-CRC_SIZE]):
        return None
    return whole[:-CRC_SIZE]


def _crc(frame: bytes) -> bytes:
    return crc_hqx(frame, 0xFFFF).to_bytes(CRC_SIZE, "big")


def stuff(data: bytes) -> bytes:
    """Return `data` without zeros."""
    out = bytearray()
    *ended, last = data.split(MARK)
    for run in ended:
        full = len(run) // RUN_SIZE_MAX * RUN_SIZE_MAX
        _put_full(out, run[:full])
        out.append(len(run) - full + 1)
        out += run[full:]
    full = (len(last) - 1) // RUN_SIZE_MAX * RUN_SIZE_MAX if last else 0
    _put_full(out, last[:full])
    out.append(len(last) - full + 1)  # 255 for a last run of 254: no zero follows the last one anyway
    return bytes(out + last[full:])


def _put_full(out: bytearray, run: bytes) -> None:
    for at in range(0, len(run), RUN_SIZE_MAX):
        out.append(RUN_SIZE_MAX + 1)
        out += run[at : at + RUN_SIZE_MAX]


def unstuff(piece: bytes) -> bytes | None:
    """Return what `stuff` was given; None when a length points beyond the end."""
    out, at = bytearray(), 0
    while at < len(piece):
        end = at + piece[at]
        if end > len(piece):
            return None
        out += piece[at + 1 : end]
        if piece[at] <= RUN_SIZE_MAX and end < len(piece):
            out += MARK
        at = end
    return bytes(out)


class Deframer:
    """The receiving end of one line: bytes in, in any pieces, and frames out. Any bytes are lawful."""

    def __init__(self, size_max: int = FRAME_SIZE_MAX) -> None:
        self._piece_size_max = size_max + overhead_max(size_max) - len(MARK)
        self._size_max = size_max
        self._buffer = bytearray()
        self._is_skipping = False
        self.lost_bytes = 0
        """Bytes that were part of no frame: noise, a modem's words, what is left of broken frames."""

    @property
    def pending_size(self) -> int:
        """Bytes since the last mark that are kept: at most those of the largest frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the frames that `data` completes."""
        *ended, rest = data.split(MARK)
        frames = []
        for piece in ended:
            self._keep(piece)
            frame = self._finish()
            frames += [] if frame is None else [frame]
        self._keep(rest)
        return frames

    def reset(self) -> None:
        """Forget what was begun: the line is another one now."""
        self.lost_bytes += len(self._buffer)
        self._buffer.clear()
        self._is_skipping = False

    def _keep(self, piece: bytes) -> None:
        self._buffer += piece
        if self._is_skipping or len(self._buffer) > self._piece_size_max:
            self.lost_bytes += len(self._buffer)
            self._buffer.clear()
            self._is_skipping = True

    def _finish(self) -> bytes | None:
        """Return the frame that a mark has ended, None when there is none."""
        piece = bytes(self._buffer)
        self._buffer.clear()
        self._is_skipping = False
        if not piece:
            return None
        frame = disclose(piece)
        if frame is None or len(frame) > self._size_max:
            self.lost_bytes += len(piece)
            return None
        return frame


__all__ = [
    "CRC_SIZE",
    "MARK",
    "RUN_SIZE_MAX",
    "Deframer",
    "disclose",
    "enclose",
    "overhead_max",
    "stuff",
    "unstuff",
]
