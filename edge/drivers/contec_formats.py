"""Contec's two protocols: finds the packets in a stream of bytes that may begin and break anywhere, and reads them.

Old (CMS-P 4800 8O1; CMS50D+ up to 4.5, 19200 8O1): five bytes sixty times a second, only the first with bit 7. "V7"
(CMS50D+ 4.6, E, EW, F, IW; 115200 8N1): packets of a size by type; the first byte, the type, is the only one without
bit 7, and the second holds the upper bits of those that follow, lowest first. Neither has a checksum: a lost byte shows
in the framing, a changed one does not show.

Written from Contec's "Communication protocol of pulse oximeter V7.0" and from what independent readers of both agree
on.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from edge.oximetry import Numbers

RATE_HZ: Final = 60
"""Live packets, and samples of the pleth, in a second."""
SKIPPED_SIZE_MAX: Final = 256

LIVE, DATE, LENGTH, RECORD_PI, SEGMENTS, ANSWER, BYE, RECORDS, TIME = (
    0x01,
    0x07,
    0x08,
    0x09,
    0x0A,
    0x0B,
    0x0D,
    0x0F,
    0x12,
)
SIZES: Final[Mapping[int, int]] = {
    **dict.fromkeys((LIVE, 0x02, 0x03, 0x04, 0x05, 0x11, 0x15), 9),
    **dict.fromkeys((DATE, LENGTH, RECORDS, TIME), 8),
    RECORD_PI: 6,
    **dict.fromkeys((SEGMENTS, ANSWER), 4),
    **dict.fromkeys((BYE, 0x0E, 0x10), 3),
    0x0C: 2,
}
"""Bytes of a V7 packet by its type."""
OLD_SIZE: Final = 5

START_LIVE, STOP_LIVE, GET_SEGMENTS, GET_LENGTH, GET_START, GET_RECORDS, STOP_RECORDS, KEEP_ALIVE = (
    *range(0xA1, 0xA8),
    0xAF,
)
"""Commands that read. Those that delete (AE) and set the clock (B1, B2) are not in this program."""
GET_OLD_RECORDS: Final = b"\xf5\xf5"
OLD_PREAMBLE: Final = b"\xf2\x80\x00" * 3


def command(code: int, user: int = 0, segment: int = 0) -> bytes:
    """Return a V7 command: nine bytes, the second with the upper bit of the code."""
    return bytes((0x7D, 0x81, code, 0x80 | user, 0x80 | segment, 0x80, 0x80, 0x80, 0x80))


class Framer:
    """Feed bytes, get packets. Holds less than one. `size_of(byte)` is 0 for what begins no packet."""

    def __init__(self, size_of: Callable[[int], int], head_bit: int) -> None:
        self._size_of, self._head_bit = size_of, head_bit
        self._packet, self._skipped = bytearray(), bytearray()
        self.skipped_bytes = self.broken = 0

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give (bytes skipped before it, packet) pairs; what is skipped without end is given with an empty packet."""
        for byte in data:
            if byte & 0x80 == self._head_bit:
                self._begin(byte)
            elif self._packet:
                self._packet.append(byte)
            else:
                self._skip(bytes((byte,)))
            if self._packet and len(self._packet) == self._size_of(self._packet[0]):
                packet = bytes(self._packet)
                self._packet.clear()
                yield self._take_skipped(), packet
            elif len(self._skipped) >= SKIPPED_SIZE_MAX:
                yield self._take_skipped(), b""

    def rest(self) -> bytes:
        """Give up what is no packet yet and return it."""
        rest = self._take_skipped() + bytes(self._packet)
        self._packet.clear()
        return rest

    def _begin(self, byte: int) -> None:
        if self._packet:
            self.broken += 1
            self._skip(bytes(self._packet))
            self._packet.clear()
        if self._size_of(byte):
            self._packet.append(byte)
        else:
            self._skip(bytes((byte,)))

    def _skip(self, data: bytes) -> None:
        self.skipped_bytes += len(data)
        self._skipped += data

    def _take_skipped(self) -> bytes:
        skipped = bytes(self._skipped)
        self._skipped.clear()
        return skipped


def v7_framer() -> Framer:
    """Return a framer for V7."""
    return Framer(lambda byte: SIZES.get(byte, 0), 0)


def old_framer() -> Framer:
    """Return a framer for the old protocol."""
    return Framer(lambda byte: OLD_SIZE, 0x80)


def unpacked(packet: bytes) -> bytes:
    """Return the data of a V7 packet, its upper bits in place."""
    return bytes(byte & 0x7F | (packet[1] >> at & 1) << 7 for at, byte in enumerate(packet[2:]))


def numbers(spo2: int, pulse: int, pi: int | None = None, *, is_attached: bool = True) -> Numbers:
    """Return a set of values, with None for those that mean none."""
    return Numbers(
        spo2 if 0 < spo2 <= 100 else None,
        pulse if 0 < pulse < 0xFF else None,
        is_attached,
        pi=pi if pi is not None and 0 < pi < 0xFFFF else None,
    )


def from_live(packet: bytes) -> tuple[Numbers, int]:
    """Return the numbers and the pleth of a live packet of V7."""
    flags, pleth, bar, pulse, spo2, low, high = unpacked(packet)
    is_attached = not flags & 0x90 and not pleth & 0x80
    pi = None if bar & 0x10 else low | high << 8
    return numbers(spo2, pulse, pi, is_attached=is_attached), pleth & 0x7F


def from_old(packet: bytes) -> tuple[Numbers, int]:
    """Return the numbers and the pleth of a packet of the old protocol."""
    flags, pleth, bar, pulse, spo2 = packet
    is_attached = not flags & 0x10 and not bar & 0x30
    return numbers(spo2, (bar & 0x40) << 1 | pulse, is_attached=is_attached), pleth


def from_records(packet: bytes) -> list[Numbers]:
    """Return the seconds in a packet of stored data, with or without PI."""
    data = unpacked(packet)
    if packet[0] == RECORD_PI:
        return [numbers(data[0], data[1], data[2] | data[3] << 8)]
    return [numbers(data[at], data[at + 1]) for at in (0, 2, 4)]


def from_old_record(record: bytes) -> Numbers:
    """Return one stored second of the old protocol: `F0 | PR7`, `80 | PR`, SpO2."""
    return numbers(record[2] & 0x7F, (record[0] & 1) << 7 | record[1] & 0x7F)


def is_old_record(record: bytes) -> bool:
    """Return whether these three bytes are framed as a stored second."""
    return record[0] & 0xFE == 0xF0 and record[1] & 0x80 != 0 and record[2] & 0x80 == 0
