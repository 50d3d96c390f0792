"""ZMODEM, its frames: headers and data packets out of a stream of bytes, and headers into bytes.

Written from Chuck Forsberg, "The ZMODEM Inter Application File Transfer Protocol" (1988), sections 7 and 11.

    header: 2A 18 'A' type p0..p3 crc16 | 2A 18 'C' type p0..p3 crc32 | 2A 2A 18 'B' hex of type p0..p3 crc16 CR LF XON
    data:   bytes, then 18 and how it goes on (h end, i more, j more and answer, k end and answer), then the crc
    18 x stands for x ^ 40, 18 6C for 7F, 18 6D for FF; XON and XOFF between are the modems', five 18 cancel

A decoder only. It never raises; what does not hold is `BAD`, after which it looks for the next header.
"""

import re
from binascii import crc_hqx
from dataclasses import dataclass
from typing import Final
from zlib import crc32

ZDLE: Final = 0x18
PACKET_SIZE_MAX: Final = 8_192
FLOW_CONTROL: Final = b"\x11\x13\x91\x93"
ENDS: Final = frozenset(b"hijk")
CANCELS: Final = b"\x18" * 5

RQINIT, RINIT, SINIT, ACK, FILE, SKIP, NAK, ABORT, FIN, RPOS, DATA, EOF, FERR = range(13)
COMMAND: Final = 18
BEFORE_DATA: Final = frozenset((SINIT, FILE, DATA, COMMAND))
"""Headers that a data packet follows."""

_BEGIN: Final = re.compile(rb"\*\x18([ABC])")
_SPECIAL: Final = {0x6C: 0x7F, 0x6D: 0xFF}


@dataclass(frozen=True, slots=True)
class Header:
    """`position` is p0..p3, p0 the lowest byte; flags stand in it with ZF0 on top."""

    type: int
    position: int = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """Data whose check holds. `end`: h, i, j or k."""

    data: bytes
    end: str


@dataclass(frozen=True, slots=True)
class Bad:
    """A check that does not hold, or what is too long to be anything."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Five CAN in a row."""


Item = Header | Packet | Bad | Cancel


def hex_header(kind: int, position: int = 0) -> bytes:
    """Return a header as a receiver sends it."""
    body = bytes((kind,)) + position.to_bytes(4, "little")
    line = b"**\x18B" + (body + crc_hqx(body, 0).to_bytes(2, "big")).hex().encode("ascii") + b"\r\x8a"
    return line if kind in {FIN, ACK} else line + b"\x11"


class Decoder:
    """Feed bytes, take items one by one. Holds at most one packet."""

    def __init__(self) -> None:
        self._raw = bytearray()
        """What was read and not yet understood."""
        self._data: bytearray | None = None
        """The packet that is being read; None between packets."""
        self._crc_size = 2
        self._crc: bytearray | None = None
        self._end = 0
        self._cancels = 0

    @property
    def in_data(self) -> bool:
        return self._data is not None

    def feed(self, data: bytes) -> None:
        self._raw += data.translate(None, FLOW_CONTROL)

    def abandon(self) -> None:
        """No data packet is wanted: look for a header."""
        self._data = self._crc = None

    def next(self) -> Item | None:
        """Return the next item; None when more bytes are needed."""
        return self._next_packet() if self._data is not None else self._next_header()

    # Headers

    def _next_header(self) -> Item | None:
        raw = bytes(self._raw)
        begin = _BEGIN.search(raw)
        cancel = raw.find(CANCELS)
        if cancel >= 0 and (begin is None or cancel < begin.start()):
            del self._raw[: cancel + len(CANCELS)]
            return Cancel()
        if begin is None:
            del self._raw[: -len(CANCELS) + 1]
            return None
        return self._hex(begin.end()) if begin[1] == b"B" else self._binary(begin.end(), 2 if begin[1] == b"A" else 4)

    def _hex(self, at: int) -> Item | None:
        """Read a hex header with its line end, which is not of the data that may follow it."""
        line = bytes(byte & 0x7F for byte in self._raw[at : at + 16])
        if len(line) < 16:
            return None
        del self._raw[: at + 14 + (2 if line[14:] == b"\r\n" else 0)]
        try:
            body = bytes.fromhex(line[:14].decode("ascii"))
        except ValueError:
            return Bad("a header that is no hex")
        return self._checked(body, 2) if len(body) == 7 else Bad("a header that is no hex")

    def _binary(self, at: int, crc_size: int) -> Item | None:
        body = bytearray()
        while len(body) < 5 + crc_size:
            if at + 1 >= len(self._raw) and (at >= len(self._raw) or self._raw[at] == ZDLE):
                return None
            byte = self._raw[at]
            if byte == ZDLE:
                at += 1
                byte = _unescaped(self._raw[at])
            body.append(byte)
            at += 1
        del self._raw[:at]
        return self._checked(bytes(body), crc_size)

    def _checked(self, body: bytes, crc_size: int) -> Item:
        if body[5:] != _crc_of(body[:5], crc_size):
            return Bad("a header whose CRC does not hold")
        if body[0] in BEFORE_DATA:
            self._data, self._crc, self._crc_size = bytearray(), None, crc_size
        return Header(body[0], int.from_bytes(body[1:5], "little"))

    # Data

    def _next_packet(self) -> Item | None:
        """Read up to the packet's end, escape by escape."""
        data = self._data if self._data is not None else bytearray()
        raw, at = bytes(self._raw), 0
        while at < len(raw):
            target = data if self._crc is None else self._crc
            stop = at if self._crc is not None else raw.find(ZDLE, at)
            stop = len(raw) if stop < 0 else stop
            target += raw[at:stop]
            at = stop
            if len(data) > PACKET_SIZE_MAX:
                self._cut(at)
                return Bad("a packet that does not end")
            if at == len(raw):
                break
            taken = self._one(raw, at, target)
            if taken == 0:
                break
            if taken < 0:
                self._cut(at + len(CANCELS))
                return Cancel()
            at += taken
            if self._crc is not None and len(self._crc) == self._crc_size:
                return self._ended(at, data)
        del self._raw[:at]
        return None

    def _one(self, raw: bytes, at: int, target: bytearray) -> int:
        """Take one byte, escaped or not; return how many bytes it was, 0 when more are needed, -1 for a cancel."""
        if raw[at] != ZDLE:
            target.append(raw[at])
            return 1
        if at + 1 >= len(raw):
            return 0
        if raw[at + 1] == ZDLE:
            return (-1 if raw[at : at + len(CANCELS)] == CANCELS else 2) if at + len(CANCELS) <= len(raw) else 0
        if raw[at + 1] in ENDS and self._crc is None:
            self._end, self._crc = raw[at + 1], bytearray()
        else:
            target.append(_unescaped(raw[at + 1]))
        return 2

    def _cut(self, at: int) -> None:
        del self._raw[:at]
        self.abandon()

    def _ended(self, at: int, data: bytearray) -> Item:
        crc, end = bytes(self._crc or b""), chr(self._end)
        self._cut(at)
        if crc != _crc_of(bytes(data) + end.encode("ascii"), self._crc_size):
            return Bad("a packet whose CRC does not hold")
        if end in "ij":
            self._data = bytearray()
        return Packet(bytes(data), end)


def _unescaped(byte: int) -> int:
    return _SPECIAL.get(byte, byte ^ 0x40)


def _crc_of(body: bytes, size: int) -> bytes:
    return crc_hqx(body, 0).to_bytes(2, "big") if size == 2 else crc32(body).to_bytes(4, "little")
