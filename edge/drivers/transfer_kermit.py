"""Kermit, the receiver: printable packets, each acknowledged; long packets, repeat counts, three kinds of check.

Written from Frank da Cruz, "Kermit Protocol Manual", sixth edition (1986), chapters 6 to 8.

    packet: 01 LEN SEQ TYPE data CHECK CR          LEN counts what follows it, CR not; char(x) = x + 32
    long:   01 SP SEQ TYPE L1 L2 H data CHECK CR   L1 * 95 + L2 counts data and CHECK; H: a check, kind 1, of SP … L2
    check:  kind 1: the sum s, (s + (s & C0) / 64) & 3F; 2: twelve bits of the sum; 3: CRC-CCITT, 8408 from 0
    data:   `#c` is a control character (c ^ 40), `&c` has its eighth bit, `~nc` stands for n of c

    S  what the sender can do: MAXL TIME NPAD PADC EOL QCTL QBIN CHKT REPT CAPAS WINDO MAXLX1 MAXLX2; we answer in kind
    F  a file's name; A its attributes; D data; Z its end (`D`: it was broken off); B the end of all; E an error

    waiting      nothing is said before S comes
    heading      F or B may come
    receiving    A, D or Z may come
    storing      Z is acknowledged when the file is durable

Packets are numbered modulo 64. One that comes again gets its answer again; one that is damaged, out of turn or late
gets NAK. No windows: each waits for its answer. A file that is too large is refused by its attributes, or by E when
it grows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from edge.drivers.transfer_files import FILE_SIZE_MAX, INPUT_SIZE_MAX, Broken, File, Offer, Out, Say
from wire.errors import Misuse

SOH: Final = 0x01
SILENCE_S: Final = 8.0
GAP_S: Final = 2.0
"""Within a packet."""
ERRORS_MAX: Final = 10
NUMBERS: Final = 64
LENGTH_MAX: Final = 1_000
"""Data of a long packet that we take."""
PACKET_SIZE_MAX: Final = 9_100
"""What a long packet can say at most: L1 and L2 are under 95."""
ATTRIBUTES, LONG = 0x08, 0x02
"""Bits of CAPAS that we have."""
SHOWN_MAX: Final = 80

WAITING, HEADING, RECEIVING, STORING = "waiting", "heading", "receiving", "storing"

MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # state, event: next state, action (a method of KermitReceiver; it may choose another state)
    (WAITING, "S"): (HEADING, "begin"),
    (WAITING, "BAD"): (WAITING, "ignore"),
    (WAITING, "E"): (WAITING, "ignore"),
    (WAITING, "OTHER"): (WAITING, "decline"),
    (WAITING, "LOST"): (WAITING, "ignore"),
    (HEADING, "S"): (HEADING, "begin"),
    (HEADING, "F"): (RECEIVING, "head"),
    (HEADING, "X"): (RECEIVING, "head"),
    (HEADING, "B"): (WAITING, "finish"),
    (HEADING, "E"): (WAITING, "break_off"),
    (HEADING, "BAD"): (HEADING, "refuse"),
    (HEADING, "OTHER"): (HEADING, "refuse"),
    (HEADING, "SILENCE"): (HEADING, "refuse"),
    (HEADING, "LOST"): (WAITING, "ignore"),
    (RECEIVING, "S"): (HEADING, "begin_anew"),
    (RECEIVING, "A"): (RECEIVING, "attributes"),
    (RECEIVING, "D"): (RECEIVING, "take_data"),
    (RECEIVING, "Z"): (STORING, "end"),
    (RECEIVING, "E"): (WAITING, "break_off"),
    (RECEIVING, "BAD"): (RECEIVING, "refuse"),
    (RECEIVING, "OTHER"): (RECEIVING, "refuse"),
    (RECEIVING, "SILENCE"): (RECEIVING, "refuse"),
    (RECEIVING, "LOST"): (WAITING, "vanish"),
    (STORING, "STORED"): (HEADING, "confirm"),
    (STORING, "REFUSED"): (RECEIVING, "postpone"),
    (STORING, "LOST"): (WAITING, "vanish"),
}


def check_of(kind: int, data: bytes) -> bytes:
    """Return the check of a packet: LEN to the end of its data."""
    total = sum(data)
    if kind == 1:
        return bytes(((total + (total & 0xC0) // 64 & 0x3F) + 32,))
    if kind == 2:
        return bytes(((total >> 6 & 0x3F) + 32, (total & 0x3F) + 32))
    crc = _crc(data)
    return bytes(((crc >> 12) + 32, (crc >> 6 & 0x3F) + 32, (crc & 0x3F) + 32))


def _crc(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc = crc >> 8 ^ _CRCS[(crc ^ byte) & 0xFF]
    return crc


def _table() -> tuple[int, ...]:
    found = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
        found.append(crc)
    return tuple(found)


_CRCS: Final = _table()


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. `kind` "BAD": its check does not hold."""

    kind: str
    number: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Manner:
    """What S and its answer agreed on."""

    check: int = 1
    control: int = 0x23
    eighth: int = 0
    repeat: int = 0
    padding: bytes = b""
    end: bytes = b"\r"


class KermitReceiver:
    """See the module's text. Holds at most one file and one packet."""

    def __init__(self) -> None:
        self._state = WAITING
        self._input = bytearray()
        self._now = self._heard_at = 0.0
        self._errors = 0
        self._manner = Manner()
        self._awaited = 0
        """Number of the next packet."""
        self._answer = b""
        """What was said to the last one."""
        self._name = b""
        self._declared = -1
        self._is_text = False
        self._reason = ""
        self._data = bytearray()
        self._actions: Mapping[str, Callable[[Packet], list[Out]]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    def feed(self, data: bytes, now: float) -> list[Out]:
        self._now = self._heard_at = now
        out: list[Out] = []
        for at in range(0, len(data), INPUT_SIZE_MAX // 2):
            if self._state == STORING:
                break  # the sender repeats itself
            self._input += data[at : at + INPUT_SIZE_MAX // 2]
            out += self._read_on()
        return out

    def tick(self, now: float) -> list[Out]:
        self._now = now
        due = self.deadline()
        if due is None or now < due:
            return []
        self._heard_at = now
        if self._input:
            self._input.clear()
            return self._move("BAD")
        return self._move("SILENCE")

    def stored(self, now: float) -> list[Out]:
        self._now = self._heard_at = now
        return self._move("STORED")

    def refused(self, now: float) -> list[Out]:
        self._now = self._heard_at = now
        return self._move("REFUSED")

    def lost(self, now: float) -> list[Out]:
        self._now = now
        self._input.clear()
        return self._move("LOST")

    def deadline(self) -> float | None:
        if self._state == STORING:
            return None
        if self._input:
            return self._heard_at + GAP_S
        return None if self._state == WAITING else self._heard_at + SILENCE_S

    # From bytes to moves

    def _read_on(self) -> list[Out]:
        out: list[Out] = []
        while self._state != STORING and (packet := self._next()) is not None:
            out += self._take(packet)
        if self._state == STORING:
            self._input.clear()
        return out

    def _next(self) -> Packet | None:
        """Return the next packet; None when more is wanted. What is between packets is dropped."""
        begins = self._input.find(SOH)
        del self._input[: begins if begins >= 0 else len(self._input)]
        while (again := self._input.find(SOH, 1)) >= 0 and (size := _size_of(self._input)) is not None and again < size:
            del self._input[:again]  # within a packet there is no SOH: the one before it was cut
        size = _size_of(self._input)
        if size is None or len(self._input) < size:
            return None
        raw = bytes(self._input[1:size])
        del self._input[:size]
        return self._packet(raw)

    def _packet(self, raw: bytes) -> Packet:
        """Return the packet in `raw`, LEN to CHECK."""
        if len(raw) < 4:
            return Packet("BAD")
        kind, number = chr(raw[2]), raw[1] - 32
        check = 1 if kind in {"S", "I"} else self._manner.check
        body, said = raw[:-check], raw[-check:]
        head = 6 if raw[0] == 32 else 3
        if len(body) < head or check_of(check, body) != said or not 0 <= number < NUMBERS:
            return Packet("BAD")
        return Packet(kind, number, body[head:])

    def _take(self, packet: Packet) -> list[Out]:
        if packet.kind == "BAD":
            return self._move("BAD")
        if packet.kind == "S":
            is_again = self._state == HEADING and packet.number == (self._awaited - 1) % NUMBERS and not self._name
            return [Say(self._answer)] if is_again and self._answer else self._move("S", packet)
        if packet.kind == "E":
            return self._move("E", packet)
        if packet.kind in {"Y", "N"}:
            return []  # our own, come back as an echo
        if packet.number == (self._awaited - 1) % NUMBERS and self._answer:
            return [Say(self._answer)]
        is_awaited = packet.number == self._awaited and (self._state, packet.kind) in MOVES
        return self._move(packet.kind if is_awaited else "OTHER", packet)

    def _move(self, event: str, packet: Packet | None = None) -> list[Out]:
        try:
            self._state, action = MOVES[self._state, event]
        except KeyError:
            raise Misuse(f"kermit: {event} in state {self._state}") from None
        return self._actions[action](packet or Packet(event))

    # What is said

    def _said(self, kind: str, number: int, data: bytes = b"", check: int = 0) -> bytes:
        body = bytes((len(data) + 2 + (check or self._manner.check) + 32, number + 32, ord(kind))) + data
        return self._manner.padding + b"\x01" + body + check_of(check or self._manner.check, body) + self._manner.end

    def _yes(self, packet: Packet, data: bytes = b"", check: int = 0) -> list[Out]:
        """Acknowledge, and go on to the next number."""
        self._answer = self._said("Y", packet.number, data, check)
        self._awaited = (packet.number + 1) % NUMBERS
        self._errors = 0
        return [Say(self._answer)]

    # Actions

    def _ignore(self, _: Packet) -> list[Out]:
        return []

    def _decline(self, packet: Packet) -> list[Out]:
        """A command for a server: files are received here, and nothing else. A stray packet of a file is let be."""
        if packet.kind in {"D", "Z", "F", "A", "B", "X"}:
            return []
        return [Say(self._said("E", packet.number, b"only files are received here", check=1))]

    def _begin(self, packet: Packet) -> list[Out]:
        self._manner = Manner()
        manner, answer = _agreed(packet.data)
        self._forget()
        said = self._yes(packet, answer, check=1)
        self._manner = manner
        return said

    def _begin_anew(self, packet: Packet) -> list[Out]:
        return [*self._broken("the sender began anew"), *self._begin(packet)]

    def _head(self, packet: Packet) -> list[Out]:
        self._forget()
        self._name = self._decoded(packet.data)[:255] if packet.kind == "F" else b""
        return self._yes(packet)

    def _attributes(self, packet: Packet) -> list[Out]:
        """Letter, char(length), value, one after another: `1` the size in bytes, `"` the type (A: text)."""
        data, at = packet.data, 0
        while at + 2 <= len(data):
            letter, size = data[at : at + 1], max(0, data[at + 1] - 32)
            value = data[at + 2 : at + 2 + size]
            at += 2 + size
            if letter == b"1" and value.strip().isdigit() and len(value) <= 12:
                self._declared = int(value)
            elif letter == b'"':
                self._is_text = value[:1] == b"A"
        if self._declared > FILE_SIZE_MAX:
            self._reason = f"a file of {self._declared} bytes; at most {FILE_SIZE_MAX} are taken"
            return self._yes(packet, b"N1")
        return self._yes(packet)

    def _take_data(self, packet: Packet) -> list[Out]:
        data = self._decoded(packet.data)
        if len(self._data) + len(data) > FILE_SIZE_MAX:
            return self._give_up(f"a file of more than {FILE_SIZE_MAX} bytes")
        self._data += data
        return self._yes(packet)

    def _end(self, packet: Packet) -> list[Out]:
        if packet.data[:1] == b"D":
            self._state = HEADING
            broken = self._broken(self._reason or "the sender broke it off")
            return [*self._yes(packet), *broken]
        return [Offer(self._received())]

    def _confirm(self, _: Packet) -> list[Out]:
        """The file is durable: its end is acknowledged."""
        self._forget()
        return self._yes(Packet("Z", self._awaited))

    def _postpone(self, _: Packet) -> list[Out]:
        """The disk has no room: the end is not acknowledged, and asked for again after a silence."""
        self._errors += 1
        return self._give_up(f"{ERRORS_MAX} tries; the disk has no room") if self._errors > ERRORS_MAX else []

    def _finish(self, packet: Packet) -> list[Out]:
        return self._yes(packet)

    def _refuse(self, _: Packet) -> list[Out]:
        self._errors += 1
        if self._errors > ERRORS_MAX:
            return self._give_up(f"{ERRORS_MAX} errors in a row")
        return [Say(self._said("N", self._awaited))]

    def _vanish(self, _: Packet) -> list[Out]:
        return self._broken("the port vanished")

    def _break_off(self, packet: Packet) -> list[Out]:
        words = packet.data[:SHOWN_MAX].decode("latin-1")
        return self._broken(f"the sender says: {words}")

    def _give_up(self, reason: str) -> list[Out]:
        self._state = WAITING
        return [Say(self._said("E", self._awaited, reason.encode("ascii")[:SHOWN_MAX])), *self._broken(reason)]

    def _broken(self, reason: str) -> list[Out]:
        file = self._received()
        self._forget()
        return [Broken(file, reason)]

    def _received(self) -> File:
        data = bytes(self._data)
        # A text may change its length on the way, by its line ends; a declared length counts for other files only.
        size = max(self._declared, len(data)) if not self._is_text else len(data)
        notes = ("it was sent as text: its line ends are CR LF",) if self._is_text else ()
        return File(self._name, data, size, notes)

    def _forget(self) -> None:
        self._name, self._declared, self._is_text, self._reason = b"", -1, False, ""
        self._data.clear()
        self._errors = 0

    def _decoded(self, data: bytes) -> bytes:
        """Return data without their prefixes."""
        out, at, manner = bytearray(), 0, self._manner
        while at < len(data):
            times, high = 1, 0
            if manner.repeat and data[at] == manner.repeat and at + 2 < len(data):
                times, at = max(0, data[at + 1] - 32), at + 2
            if manner.eighth and data[at] == manner.eighth and at + 1 < len(data):
                high, at = 0x80, at + 1
            byte = data[at]
            if byte == manner.control and at + 1 < len(data):
                at += 1
                byte = data[at] ^ 0x40 if 0x3F <= data[at] & 0x7F <= 0x5F else data[at]
            out += bytes((byte | high,)) * times
            at += 1
        return bytes(out)


def _size_of(data: bytes | bytearray) -> int | None:
    """Return how many bytes the packet at the beginning has; None when that is not known yet."""
    if len(data) < 2:
        return None
    length = data[1] - 32
    if length >= 3:
        return 2 + length
    if length != 0:
        return 2  # no packet: its check cannot hold
    if len(data) < 7:
        return None
    more = (data[4] - 32) * 95 + data[5] - 32
    holds = check_of(1, bytes(data[1:6])) == data[6:7]
    return 7 + more if holds and 0 < more <= PACKET_SIZE_MAX else 2


def _agreed(said: bytes) -> tuple[Manner, bytes]:
    """Return what a sender's S and our answer to it agree on, and that answer."""
    fields = said.ljust(9)
    padding = bytes((fields[3] ^ 0x40,)) * max(0, min(fields[2] - 32, 94)) if len(said) > 3 else b""
    end = bytes((fields[4] - 32,)) if len(said) > 4 and 0 < fields[4] - 32 < 32 else b"\r"
    control = fields[5] if _is_prefix(fields[5]) else 0x23
    eighth = fields[6] if _is_prefix(fields[6]) and fields[6] not in b"YN" else 0
    check = fields[7] - 0x30 if fields[7] in b"123" else 1
    repeat = fields[8] if _is_prefix(fields[8]) and fields[8] not in {control, eighth} else 0
    answer = bytes((94 + 32, 10 + 32, 32, 0x40, 13 + 32, 0x23, ord("Y" if eighth else "N"), check + 0x30, repeat or 32))
    if len(said) > 9:
        capable = (said[9] - 32) & (ATTRIBUTES | LONG)
        answer += bytes((capable + 32, 1 + 32, LENGTH_MAX // 95 + 32, LENGTH_MAX % 95 + 32))
    return Manner(check, control, eighth, repeat, padding, end), answer


def _is_prefix(byte: int) -> bool:
    return 33 <= byte <= 62 or 96 <= byte <= 126


def whole_packets(data: bytes) -> int:
    """Count packets whose check is of kind 3 and holds: no other check proves anything."""
    return sum(_holds(data[at : at + PACKET_SIZE_MAX]) for at, byte in enumerate(data) if byte == SOH)


def _holds(data: bytes) -> bool:
    size = _size_of(data)
    return size is not None and 8 <= size <= len(data) and check_of(3, data[1 : size - 3]) == data[size - 3 : size]
