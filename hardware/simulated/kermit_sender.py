"""One file by Kermit: packets, each until its answer. Written from da Cruz, "Kermit Protocol Manual" (1986), 6 to 8.

It asks for checks of kind 3, repeat counts, attributes and long packets, and does what the receiver's answer to S
leaves of them. `by-sum` is an old sender with checks of kind 1 and nothing more; `seven-bit` quotes every eighth bit.
"""

from typing import Final

from hardware.simulated.device import Report

ANSWER_S: Final = 12.7
"""Longer than a receiver waits, whose part it is to ask again."""
TRIES_MAX: Final = 10
CONTROL, EIGHTH, REPEAT = b"#", b"&", b"~"


def check(kind: int, data: bytes) -> bytes:
    """Return the check of `data`: one, two or three printable characters."""
    total = sum(data)
    if kind == 1:
        return _char((total + ((total >> 6) & 3)) & 63)
    if kind == 2:
        return _char(total >> 6 & 63) + _char(total & 63)
    crc = 0
    for byte in data:
        quotient = (crc ^ byte) & 15
        crc = (crc >> 4) ^ (quotient * 4225)
        quotient = (crc ^ (byte >> 4)) & 15
        crc = (crc >> 4) ^ (quotient * 4225)
    return _char(crc >> 12) + _char(crc >> 6 & 63) + _char(crc & 63)


def _char(value: int) -> bytes:
    return bytes((value + 32,))


class KermitTransfer:
    """Sends S, F, A, D …, Z and B. `outcome`: "" while it goes on, then "good" or "bad"."""

    def __init__(self, name: str, data: bytes, protocol: str, faults: set[str], report: Report) -> None:
        self._name, self._data, self._faults, self._report = name, data, faults, report
        self._number = 0
        self._rest = data
        self._check = 1
        self._is_repeating = self._is_quoting = False
        self._room = 80
        self._capable = 0
        self._sent_data = 0
        self._step = "S"
        self._last = b""
        self._heard = bytearray()
        self._tries = 0
        self.outcome = ""
        self.at: float | None = 0.0

    def tick(self, now: float) -> bytes:
        self._tries += 1
        if self._tries > TRIES_MAX or "cut-now" in self._faults:
            self._faults.discard("cut-now")
            self.outcome = "bad"
            return b""
        return self._say(now) if not self._last else self._again(now)

    def feed(self, data: bytes, now: float) -> bytes:
        self._heard += data
        out = b""
        while not self.outcome and "cut-now" not in self._faults and (end := self._heard.find(b"\r")) >= 0:
            line = bytes(self._heard[:end])
            del self._heard[: end + 1]
            out += self._told(line[line.rfind(b"\x01") + 1 :], now)
        return out

    def _told(self, body: bytes, now: float) -> bytes:
        """Take an answer; one that is damaged, or to another packet, is none."""
        kinds = {1} if self._step == "S" else {self._check}
        if len(body) < 4 or not any(check(kind, body[:-kind]) == body[-kind:] for kind in kinds):
            return b""
        number, kind, data = body[1] - 32, body[2:3], body[3 : -next(iter(kinds))]
        if kind == b"E":
            self.outcome = "bad"
        elif kind == b"N" and number == self._number:
            self._report.refused += 1
            return self._again(now)
        elif kind == b"Y" and number == self._number:
            is_second = (self._step == "D" and self._sent_data == 2) or self._step == "Z"
            if is_second and self._happens("lost-ack"):
                return b""
            return self._acknowledged(data, now)
        return b""

    def _acknowledged(self, data: bytes, now: float) -> bytes:
        self._tries = 0
        if self._step == "B":
            self.outcome = "bad" if "cancelled-now" in self._faults else "good"
            self._faults.discard("cancelled-now")
            return b""
        if self._step == "S":
            self._agree(data)
        if self._step == "A" and data[:1] == b"N":
            self._faults.add("cancelled-now")
        self._number = (self._number + 1) % 64
        self._step = self._after(self._step)
        return self._say(now)

    def _after(self, step: str) -> str:
        if step in {"S", "Z"}:
            return {"S": "F", "Z": "B"}[step]
        if step == "F" and self._capable & 8:
            return "A"
        return "D" if self._rest and "cancelled-now" not in self._faults else "Z"

    def _agree(self, data: bytes) -> None:
        data = data.ljust(13)
        if "by-sum" not in self._faults:
            self._check = int(data[7:8])
            self._is_repeating = data[8:9] == REPEAT
            self._capable = data[9] - 32 & 10
        self._is_quoting = "seven-bit" in self._faults and data[6:7] in {b"Y", EIGHTH}
        long = (data[11] - 32) * 95 + data[12] - 32
        self._room = long - self._check if self._capable & 2 and long > 94 else data[0] - 32 - 2 - self._check

    def _say(self, now: float) -> bytes:
        """Send the next packet."""
        self._last = self._packet(self._step.encode(), self._body())
        self._report.frames += 1
        self.at = now + ANSWER_S
        return self._spoilt(self._last)

    def _body(self) -> bytes:
        size = str(len(self._data)).encode()
        match self._step:
            case "S":
                return self._init()
            case "F":
                return self._encoded(self._name.upper().encode("ascii"))[0]
            case "A":
                return b'"' + _char(2) + b"B8" + b"1" + _char(len(size)) + size
            case "D":
                return self._next_data()
        return b"D" if self._step == "Z" and "cancelled-now" in self._faults else b""

    def _again(self, now: float) -> bytes:
        self.at = now + ANSWER_S
        return self._last

    def _init(self) -> bytes:
        if "by-sum" in self._faults:
            return b"~% @-#Y1"
        return b"~% @-#" + (EIGHTH if "seven-bit" in self._faults else b"Y") + b"3" + REPEAT + _char(10) + b"!*~"

    def _spoilt(self, data: bytes) -> bytes:
        if self._step != "D" or self._sent_data < min(2, 1 + len(self._rest)):
            return data
        if self._happens("bad-crc"):
            return data[:8] + bytes((data[8] ^ 0x02,)) + data[9:]
        if self._happens("cut"):
            self._faults.add("cut-now")
            return data[: len(data) // 2]
        if self._happens("cancel"):
            self._faults.add("cancelled-now")
        return data

    def _next_data(self) -> bytes:
        self._sent_data += 1
        data, taken = self._encoded(self._rest)
        self._rest = self._rest[taken:]
        return data

    def _encoded(self, data: bytes) -> tuple[bytes, int]:
        """Return as much of `data` with its prefixes as a packet has room for, and how much that is."""
        out, at = b"", 0
        while at < len(data):
            times = 1
            while self._is_repeating and times < 94 and data[at : at + 1] == data[at + times : at + times + 1]:
                times += 1
            one = self._prefixed(data[at])
            if times > 3:
                one = REPEAT + _char(times) + one
            else:
                times = 1
            if len(out) + len(one) > self._room:
                break
            out, at = out + one, at + times
        return out, at

    def _prefixed(self, byte: int) -> bytes:
        before = b""
        if byte & 0x80 and self._is_quoting:
            before, byte = EIGHTH, byte & 0x7F
        low = byte & 0x7F
        if low < 32 or low == 127:
            return before + CONTROL + bytes((byte ^ 64,))
        prefixes = CONTROL + (REPEAT if self._is_repeating else b"") + (EIGHTH if self._is_quoting else b"")
        return before + (CONTROL if low in prefixes else b"") + bytes((byte,))

    def _packet(self, kind: bytes, data: bytes) -> bytes:
        of = 1 if kind == b"S" else self._check
        size = len(data) + 2 + of
        if size <= 94:
            body = _char(size) + _char(self._number) + kind + data
        else:
            long = len(data) + of
            head = b" " + _char(self._number) + kind + _char(long // 95) + _char(long % 95)
            body = head + check(1, head) + data
        return b"\x01" + body + check(of, body) + b"\r"

    def _happens(self, fault: str) -> bool:
        if fault not in self._faults:
            return False
        self._faults.discard(fault)
        return True
