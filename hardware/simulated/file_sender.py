"""A device that sends files over a serial line: XMODEM, XMODEM-1K, YMODEM, ZMODEM or Kermit, with the faults of lines.

Written from Forsberg's "XMODEM/YMODEM Protocol Reference" and "The ZMODEM Inter Application File Transfer Protocol".
What was damaged or lost is sent again as these say; a transfer that failed is begun again after `AGAIN_S`.

`FAULTS` names what can go wrong; each happens once, in the first file, unless it is a habit of the device.
"""

import re
import struct
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final
from zlib import crc32

from hardware.simulated.device import Report
from hardware.simulated.kermit_sender import KermitTransfer

SOH, STX, EOT, ACK, NAK, CAN, CRC = b"\x01", b"\x02", b"\x04", b"\x06", b"\x15", b"\x18", b"C"
ANSWER_S: Final = 12.7
"""Longer than a receiver waits, whose part it is to ask again (ten seconds)."""
AGAIN_S: Final = 31.3
TRIES_MAX: Final = 10
PROTOCOLS: Final = ("zmodem", "xmodem", "xmodem-1k", "ymodem", "kermit")
ZRQINIT, ZRINIT, ZFILE, ZSKIP, ZFIN, ZRPOS, ZDATA, ZEOF = 0, 1, 4, 5, 8, 9, 10, 11

FAULTS: Final[Mapping[str, str]] = {
    "bad-crc": "the second block or packet is damaged the first time",
    "lost-ack": "the answer to the second block, or to the file's end, is lost: it is sent again",
    "cut": "silence in the middle of the first file, and all of it again later",
    "cancel": "the operator cancels in the middle of the first file, and sends it again later",
    "chatter": "a habit: prints a line of text before a transfer",
    "by-sum": "a habit: an old XMODEM or Kermit that knows sums only",
    "seven-bit": "a habit: a Kermit whose line has seven bits",
}

_HEX: Final = re.compile(rb"\*\*\x18B([0-9a-fA-F]{14})")
_ESCAPED: Final = frozenset((0x18, 0x10, 0x11, 0x13, 0x90, 0x91, 0x93, 0x0D, 0x8D))


def crc16(data: bytes) -> int:
    """Return the CRC of XMODEM and ZMODEM: polynomial 1021, from 0."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


class FileSender:
    """Sends its files, (name, bytes), one transfer for each, `every_s` seconds apart."""

    def __init__(
        self,
        files: Iterable[tuple[str, bytes]],
        protocol: str = "zmodem",
        faults: Iterable[str] = (),
        every_s: float = 0.0,
    ) -> None:
        self._queue = deque(files)
        self._faults, self._every_s, self._protocol = set(faults), every_s, protocol
        self.report = Report(messages=len(self._queue))
        self._at: float | None = 0.0
        self._transfer: _Xmodem | _Zmodem | KermitTransfer | None = None

    def feed(self, data: bytes, now: float) -> bytes:
        return self._sent(self._transfer.feed(data, now), now) if self._transfer is not None else b""

    def tick(self, now: float) -> bytes:
        due = self.deadline()
        if due is None or now < due:
            return b""
        if self._transfer is not None:
            return self._sent(self._transfer.tick(now), now)
        self.report.attempts += 1
        make: type[_Xmodem | _Zmodem | KermitTransfer] = _Zmodem if self._protocol == "zmodem" else _Xmodem
        make = KermitTransfer if self._protocol == "kermit" else make
        self._transfer = make(*self._queue[0], self._protocol, self._faults, self.report)
        greeting = b"sending a record\r\n" if "chatter" in self._faults else b""
        return self._sent(greeting + self._transfer.tick(now), now)

    def deadline(self) -> float | None:
        return self._transfer.at if self._transfer is not None else self._at

    @property
    def is_done(self) -> bool:
        return not self._queue

    def _sent(self, out: bytes, now: float) -> bytes:
        self.report.bytes_sent += len(out)
        transfer = self._transfer
        if transfer is not None and transfer.outcome:
            self._transfer = None
            good = transfer.outcome == "good"
            if good or self.report.attempts >= TRIES_MAX:
                self._queue.popleft()
                self.report.acknowledged += 1 if good else 0
                self.report.failed += 0 if good else 1
            self._at = (now + (self._every_s if good else AGAIN_S)) if self._queue else None
        return out


class _Xmodem:
    """One file by XMODEM or YMODEM: blocks, each until its ACK."""

    def __init__(self, name: str, data: bytes, protocol: str, faults: set[str], report: Report) -> None:
        self._faults, self._report = faults, report
        self._is_ymodem = protocol == "ymodem"
        size = 128 if protocol == "xmodem" else 1024
        chunks = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        head = name.encode() + b"\0%d 0 100644" % len(data)
        self._blocks = [(number % 256, chunk) for number, chunk in enumerate(chunks, 1)]
        if self._is_ymodem:
            self._blocks = [(0, head), *self._blocks]
        self._size = size
        self._next = -1
        """Which block waits for its answer; -1: waits to be called. Behind the last: EOT; then the empty head."""
        self._by_sum = False
        self._tries = 0
        self._ended = False
        self.outcome = ""
        self.at: float | None = 0.0

    def tick(self, now: float) -> bytes:
        self.at = now + ANSWER_S
        if self.outcome or self._next < 0:
            return b""
        self._tries += 1
        if self._tries > TRIES_MAX or "cut-now" in self._faults:
            self._faults.discard("cut-now")
            self.outcome = "bad"
            return b""
        return self._say(now)

    def feed(self, data: bytes, now: float) -> bytes:
        out = b""
        for at in range(len(data)):
            out += self._answer(data[at : at + 1], now)
        return out

    def _answer(self, byte: bytes, now: float) -> bytes:
        if byte == CAN:
            self.outcome = "bad"
        if self.outcome or "cut-now" in self._faults:
            return b""
        if self._next < 0:
            return self._called(byte, now)
        if byte == ACK and not (self._next == 1 and self._happens("lost-ack")):
            return self._acknowledged(now)
        if byte == NAK:
            self._report.refused += 1
            return self._say(now)
        return b""

    def _called(self, byte: bytes, now: float) -> bytes:
        wanted = NAK if "by-sum" in self._faults else CRC
        if byte != wanted:
            return b""
        self._by_sum, self._next = byte == NAK, 0
        if self._ended:
            self._blocks, self._ended = [(0, b"")], False
        return self._say(now)

    def _acknowledged(self, now: float) -> bytes:
        self._tries = 0
        self._next += 1
        is_head = self._is_ymodem and self._blocks[0][0] == 0
        if self._blocks == [(0, b"")]:
            self.outcome = "good"
            return b""
        if is_head and self._next == 1:
            self._blocks, self._next = self._blocks[1:], -1
            return b""
        if self._next > len(self._blocks):
            if not self._is_ymodem:
                self.outcome = "good"
                return b""
            self._next, self._ended = -1, True
            return b""
        return self._say(now)

    def _say(self, now: float) -> bytes:
        self.at = now + ANSWER_S
        if self._next == len(self._blocks):
            return EOT
        self._report.frames += 1
        block = self._block(*self._blocks[self._next])
        if self._next == 1 or len(self._blocks) == 1 < len(self._blocks[0][1]):
            if self._happens("bad-crc"):
                return block[:20] + bytes((block[20] ^ 0xFF,)) + block[21:]
            if self._happens("cut"):
                self._faults.add("cut-now")
                return block[: len(block) // 2]
            if self._happens("cancel"):
                self.outcome = "bad"
                return CAN * 8
        return block

    def _block(self, number: int, body: bytes) -> bytes:
        size = 1024 if self._size == 1024 and len(body) > 128 else 128
        body = body.ljust(size, b"\x1a" if number or body[:1] == b"\x1a" or not self._is_ymodem else b"\0")
        check = bytes((sum(body) & 0xFF,)) if self._by_sum else crc16(body).to_bytes(2, "big")
        return (STX if size == 1024 else SOH) + bytes((number, 255 - number)) + body + check

    def _happens(self, fault: str) -> bool:
        if fault not in self._faults:
            return False
        self._faults.discard(fault)
        return True


class _Zmodem:
    """One file by ZMODEM: it streams, and goes back to where it is asked to."""

    def __init__(self, name: str, data: bytes, protocol: str, faults: set[str], report: Report) -> None:
        self._name, self._data, self._faults, self._report = name.encode(), data, faults, report
        self._heard = bytearray()
        self._last = b"rz\r" + _hex(ZRQINIT)
        self._state = "init"
        self._tries = 0
        self.outcome = ""
        self.at: float | None = 0.0

    def tick(self, now: float) -> bytes:
        self.at = now + ANSWER_S
        self._tries += 1
        if self._tries > TRIES_MAX or "cut-now" in self._faults:
            self._faults.discard("cut-now")
            self.outcome = "bad"
            return b""
        return self._last

    def feed(self, data: bytes, now: float) -> bytes:
        self._heard += data
        out = b""
        if CAN * 5 in self._heard:
            self.outcome = "bad"
        while not self.outcome and "cut-now" not in self._faults and (found := _HEX.search(self._heard)) is not None:
            body = bytes.fromhex(found[1].decode("ascii"))
            del self._heard[: found.end()]
            if crc16(body[:5]) == int.from_bytes(body[5:], "big"):
                out += self._told(body[0], int.from_bytes(body[1:5], "little"), now)
        return out

    def _told(self, kind: int, position: int, now: float) -> bytes:
        self.at, self._tries = now + ANSWER_S, 0
        if kind == ZRINIT and self._state in {"init", "file"}:
            self._state = "file"
            head = self._name + b"\0%d 0 100644 0 1 %d\0" % (len(self._data), len(self._data))
            self._last = binary_header(ZFILE) + packet(head, b"k") + b"\x11"
        elif kind == ZRPOS and self._state in {"file", "data"}:
            return self._stream(position)
        elif kind == ZRINIT and self._state == "data":
            if self._happens("lost-ack"):
                return b""
            self._state, self._last = "end", _hex(ZFIN)
        elif kind == ZSKIP:
            self._state, self._last = "skipped", _hex(ZFIN)
        elif kind == ZFIN:
            self.outcome = "good" if self._state == "end" else "bad"
            return b"OO"
        else:
            return b""
        return self._last

    def _stream(self, position: int) -> bytes:
        """Everything from there on, and the end."""
        self._state, self._last = "data", _hex(ZEOF, len(self._data))
        rest = self._data[position:]
        chunks = [rest[at : at + 1024] for at in range(0, len(rest), 1024)] or [b""]
        ends = [b"i"] * (len(chunks) - 1) + [b"h"]
        packets = [packet(chunk, end) for chunk, end in zip(chunks, ends, strict=True)]
        self._report.frames += len(packets)
        place = min(1, len(packets) - 1)
        if self._happens("bad-crc"):
            self._report.refused += 1
            packets[place] = packets[place][:40] + bytes((packets[place][40] ^ 0x01,)) + packets[place][41:]
        before = binary_header(ZDATA, position) + b"".join(packets[:place])
        if self._happens("cut"):
            self._faults.add("cut-now")
            return before + packets[place][: len(packets[place]) // 2]
        if self._happens("cancel"):
            self.outcome = "bad"
            return before + CAN * 8 + b"\b" * 8
        return before + b"".join(packets[place:]) + self._last

    def _happens(self, fault: str) -> bool:
        if fault not in self._faults:
            return False
        self._faults.discard(fault)
        return True


def _hex(kind: int, position: int = 0) -> bytes:
    body = bytes((kind,)) + struct.pack("<I", position)
    return (
        b"**\x18B"
        + (body + crc16(body).to_bytes(2, "big")).hex().encode()
        + b"\r\x8a"
        + (b"" if kind == ZFIN else b"\x11")
    )


def binary_header(kind: int, position: int = 0) -> bytes:
    """Return a header with CRC-32."""
    body = bytes((kind,)) + struct.pack("<I", position)
    return b"*\x18C" + _escaped(body + struct.pack("<I", crc32(body)))


def packet(data: bytes, end: bytes) -> bytes:
    """Return a data packet with CRC-32; `end`: h, i, j or k."""
    return _escaped(data) + CAN + end + _escaped(struct.pack("<I", crc32(data + end)))


def _escaped(data: bytes) -> bytes:
    return b"".join(bytes((0x18, byte ^ 0x40)) if byte in _ESCAPED else bytes((byte,)) for byte in data)
