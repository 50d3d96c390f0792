"""Cuts what a host sends to a printer into text, controls and commands: how long is each, and nothing more.

Written from Epson's ESC/POS command reference (TM printers) and ESC/P reference manual (December 1997), as the
makers of compatible printers restate them. Lengths are needed for every command, also for those that do not matter
here: a parameter that is taken for text would stand in the result.

    DLE 10, ESC 1B, FS 1C, GS 1D begin a command; other bytes under 20 are controls; the rest is text
    numbers of two bytes are little-endian (nL nH); `( x pL pH` is followed by p bytes in both languages

Nothing is raised. A command that is in no table is given as it is, two bytes long and not known; one that claims more
than `COMMAND_SIZE_MAX` is no printer's: nothing behind it can be read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

COMMAND_SIZE_MAX: Final = 320 * 1024
"""A command with its data, bytes: a picture of 1,024 dots by 2,500."""
TEXT_END_SIZE_MAX: Final = 512
"""A command that ends with NUL, or with semicolons, bytes."""
DLE, ESC, FS, GS = 0x10, 0x1B, 0x1C, 0x1D

Sizing = Callable[[bytes], int]
"""From the beginning of a command, how many bytes it has, or have to be there before that is known; 0: not known."""
Sizes = Mapping[bytes, int | Sizing]


def u16(data: bytes, at: int) -> int:
    """Return the little-endian number at `at`."""
    return int.from_bytes(data[at : at + 2], "little")


def _when(size: int, of: Sizing) -> Sizing:
    """Return a sizing that wants `size` bytes before it asks `of`."""
    return lambda head: of(head) if len(head) >= size else size


def _until(end: int, count: int, begins: int = 2) -> Sizing:
    """Return the sizing of a command that lasts until the `count`-th byte `end`, looked for from `begins`."""

    def size(head: bytes) -> int:
        at = begins - 1
        for _ in range(count):
            at = head.find(end, at + 1)
            if at < 0:
                return len(head) + 1 if len(head) < TEXT_END_SIZE_MAX else 0
        return at + 1

    return size


def _of(table: Mapping[int, int], at: int) -> Sizing:
    return _when(at + 1, lambda head: table.get(head[at], 0))


def _characters(head: bytes) -> int:
    """ESC & y c1 c2 [x d1 … d(y*x)] for each character from c1 to c2."""
    at = 5
    for _ in range(head[4] - head[3] + 1):
        if at >= len(head):
            return at + 1
        at += 1 + head[2] * head[at]
    return at


def _stored_pictures(head: bytes) -> int:
    """FS q n [xL xH yL yH d1 … d(x*y*8)] n times."""
    at = 3
    for _ in range(head[2]):
        if at + 4 > len(head):
            return at + 4
        at += 4 + 8 * u16(head, at) * u16(head, at + 2)
        if at > COMMAND_SIZE_MAX:
            break
    return at


def _barcode(head: bytes) -> int:
    """GS k m: up to 6 text and NUL; from 65 a count and so many bytes."""
    if head[2] <= 6:
        return _until(0, 1, 3)(head)
    return _when(4, lambda longer: 4 + longer[3])(head) if 65 <= head[2] <= 79 else 0


def _columns(head: bytes) -> int:
    """ESC * m nL nH: n columns of 8 or of 24 pins."""
    return 5 + u16(head, 3) * (3 if head[2] >= 32 else 1)


def _with_letters(lead: int, sizes: Mapping[int, bytes]) -> dict[bytes, int | Sizing]:
    return {bytes((lead, letter)): size for size, letters in sizes.items() for letter in letters}


_BY_LENGTH: Final[Sizing] = _when(5, lambda head: 5 + u16(head, 3))

ESCPOS: Final[Sizes] = {
    **_with_letters(ESC, {2: b"\x0c2<@LSimov", 3: b" !%-3=?ACEFGJKMRTUVadertu{", 4: b"$\\cf", 5: b"p", 10: b"W"}),
    **_with_letters(GS, {2: b":c", 3: b"!/BEHITabfhjrw", 4: b"$LPW\\", 5: b"^z", 6: b"g"}),
    **_with_letters(FS, {2: b"&.", 3: b"!-CW", 4: b"S?p"}),
    b"\x10\x04": _when(3, lambda head: 4 if head[2] in {7, 8, 18} else 3),
    b"\x10\x05": 3,
    b"\x10\x14": _of({1: 5, 2: 5, 3: 8, 7: 4, 8: 10}, 2),
    b"\x1b&": _when(5, _characters),
    b"\x1b*": _when(5, _columns),
    b"\x1bD": _until(0, 1),
    **dict.fromkeys((b"\x1b(", b"\x1c(", b"\x1d("), _BY_LENGTH),
    b"\x1c2": 76,
    b"\x1cg": _when(10, lambda head: 10 + (u16(head, 8) if head[2] == 0x31 else 0)),
    b"\x1cq": _when(3, _stored_pictures),
    b"\x1d*": _when(4, lambda head: 4 + 8 * head[2] * head[3]),
    b"\x1d8": _when(7, lambda head: 7 + int.from_bytes(head[3:7], "little")),
    b"\x1dC": _when(
        3, lambda head: _until(0x3B, 6)(head) if head[2] == 0x3B else {0: 5, 1: 9, 2: 5}.get(head[2] & 15, 0)
    ),
    b"\x1dD": _when(15, lambda head: 9 + int.from_bytes(head[11:15], "little")),
    b"\x1dQ": _when(8, lambda head: 8 + u16(head, 4) * u16(head, 6)),
    b"\x1dV": _when(3, lambda head: 4 if head[2] in {65, 66, 97, 98, 103, 104} else 3),
    b"\x1dk": _when(3, _barcode),
    b"\x1dv": _when(8, lambda head: 8 + u16(head, 4) * u16(head, 6)),
}

ESCP: Final[Sizes] = {
    **_with_letters(ESC, {2: b"\x0a\x0c\x0e\x0f012456789<=>@#EFGHMOPTg", 4: b"$\\cef?", 5: b":X"}),
    **_with_letters(ESC, {3: b"\x19 !%+-/3AIJNQRSUWaijklpqrstwx"}),
    b"\x1b&": _when(5, _characters),
    b"\x1b(": _BY_LENGTH,
    b"\x1b*": _when(5, _columns),
    **dict.fromkeys((b"\x1bK", b"\x1bL", b"\x1bY", b"\x1bZ"), _when(4, lambda head: 4 + u16(head, 2))),
    b"\x1b^": _when(5, lambda head: 5 + 2 * u16(head, 3)),
    b"\x1bC": _when(3, lambda head: 3 if head[2] else 4),
    **dict.fromkeys((b"\x1bB", b"\x1bD"), _until(0, 1)),
    b"\x1bb": _until(0, 1, 3),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A run of text, one control, or one command with its data."""

    data: bytes
    is_known: bool = True
    is_credible: bool = True
    """False: it claims a length that no printer takes."""

    @property
    def is_text(self) -> bool:
        """Bytes for the paper."""
        return self.data[0] >= 0x20


class Cutter:
    """See the module's text. Holds at most one command that is not whole."""

    def __init__(self, sizes: Sizes) -> None:
        self._sizes = sizes
        self._leads = frozenset(name[0] for name in sizes)
        self._command = bytearray()
        self._wanted = 0

    @property
    def inside(self) -> bytes:
        """What has come of a command that is not whole."""
        return bytes(self._command)

    @property
    def size(self) -> int:
        """How many bytes of it have come."""
        return len(self._command)

    @property
    def wanted(self) -> int:
        """How long that command is, as far as is known."""
        return self._wanted

    def feed(self, data: bytes) -> Iterator[tuple[Unit, int]]:
        """Give each unit that is whole, and where in `data` it ended."""
        at = 0
        while at < len(data):
            if self._command or data[at] in self._leads:
                at = self._take(data, at)
                unit = self._whole()
                if unit is not None:
                    yield unit, at
                continue
            end = self._end_of_run(data, at)
            yield Unit(data[at:end]), end
            at = end

    def drop(self) -> None:
        """Forget the command that is not whole."""
        self._command.clear()

    def _end_of_run(self, data: bytes, at: int) -> int:
        end = at + 1
        while data[at] >= 0x20 and end < len(data) and data[end] >= 0x20:
            end += 1
        return end

    def _take(self, data: bytes, at: int) -> int:
        self._wanted = max(self._wanted, 2) if self._command else 2
        piece = data[at : at + self._wanted - len(self._command)]
        self._command += piece
        return at + len(piece)

    def _whole(self) -> Unit | None:
        """Return the command when all of it is there; learn how much it wants when it is not."""
        if len(self._command) < self._wanted:
            return None
        head = bytes(self._command)
        sizing = self._sizes.get(head[:2], 0)
        size = sizing if isinstance(sizing, int) else sizing(head)
        if len(head) < size <= COMMAND_SIZE_MAX:
            self._wanted = size
            return None
        self._command.clear()
        return Unit(head, size > 0, size <= COMMAND_SIZE_MAX)
