"""A label printer: takes ESC/POS or ZPL, makes the bars of Code 128 itself, and says how it is.

Written from Epson's ESC/POS command reference, Zebra's ZPL II programming guide (^BC, ~HS) and ISO/IEC 15417 (Code 128:
103 to 105 begin in code set A, B, C; the check symbol is the sum of the first and of each times its place, modulo 103).

What was printed is in `labels`: the dots of each code with ten thin lines of white on both sides, and lines of text.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from hardware.simulated.device import Report

_WIDTHS: Final = (
    "212222222122222221121223121322131222122213122312132212221213221312231212112232122132122231113222123122123221"
    "223211221132221231213212223112312131311222321122321221312212322112322211212123212321232121111323131123131321"
    "112313132113132311211313231113231311112133112331132131113123113321133121313121211331231131213113213311213131"
    "311123311321331121312113312311332111314111221411431111111224111422121124121421141122141221112214112412122114"
    "122411142112142211241211221114413111241112134111111242121142121241114212124112124211411212421112421211212141"
    "214121412121111143111341131141114113114311411113411311113141114131311141411131211412211214211232"
)
PATTERNS: Final = (*(_WIDTHS[at : at + 6] for at in range(0, len(_WIDTHS), 6)), "2331112")
"""Widths of bars and gaps of each symbol."""
START: Final = {"A": 103, "B": 104, "C": 105}
STOP: Final = 106
QUIET: Final = 10
LINGER_S: Final = 2.0
FAULTS: Final = {
    "paper-out": "there is no paper",
    "cover-open": "the cover (the head) is open",
    "paper-ends": "the paper ends within the first label",
    "paused": "ZPL: somebody has pressed the pause button; ESC/POS: off line",
    "silent": "a habit: answers no question, as if the line had one direction",
    "chatters": "a habit: sends XON before each answer",
}
COMMANDS: Final = re.compile(r"[\^~]([A-Z][A-Z0-9@])([^\^~]*)", re.DOTALL)
SIZES: Final = {b"@": 2, b"a": 3, b"t": 3, b"d": 3, b"H": 3, b"h": 3, b"w": 3, b"r": 3, b"V": 4}


@dataclass(slots=True)
class Printed:
    """One label."""

    codes: list[list[list[int]]] = field(default_factory=list)
    """Rows of dots, 1 is black."""
    texts: list[str] = field(default_factory=list)


def bars(letter: str, values: list[int], dots: int, height: int) -> list[list[int]]:
    """Return the dots of Code 128."""
    values = [START[letter], *values]
    check = (values[0] + sum(at * value for at, value in enumerate(values))) % 103
    widths = "".join(PATTERNS[value] for value in (*values, check, STOP))
    line = [int(at % 2 == 0) for at, width in enumerate(widths) for _ in range(int(width))]
    row = [dot for dot in [0] * QUIET + line + [0] * QUIET for _ in range(dots)]
    return [row] * height


def _symbols(letter: str, text: str) -> list[int]:
    if letter == "C":
        return [int(text[at : at + 2]) for at in range(0, len(text), 2)]
    return [ord(char) - 32 for char in text]


class LabelPrinter:
    """Prints `count` labels; when nobody has asked anything for a while after the last, it is done."""

    def __init__(self, count: int = 1, faults: Iterable[str] = ()) -> None:
        self._faults = set(faults)
        self._heard = b""
        self._is_zpl = False
        self._ends_at: float | None = None
        self._label = Printed()
        self._dots, self._height, self._encoding = 3, 162, "cp437"
        self.labels: list[Printed] = []
        self.is_done = False
        self.report = Report(messages=count)

    def feed(self, data: bytes, now: float) -> bytes:
        self._ends_at = now + LINGER_S if self.report.acknowledged >= self.report.messages else None
        if not self._heard and self._label == Printed():
            self._is_zpl = data[:1] in {b"^", b"~"}
        self._heard += data
        out = b""
        while (taken := self._zpl() if self._is_zpl else self._escpos()) is not None:
            out += taken
        return out + self._asked_off_line()

    def tick(self, now: float) -> bytes:
        if self._ends_at is not None and now >= self._ends_at:
            self.is_done = True
        elif self._ends_at is None and self.report.acknowledged >= self.report.messages:
            self._ends_at = now + LINGER_S
        return b""

    def deadline(self) -> float | None:
        return None if self.is_done else self._ends_at

    @property
    def _has_trouble(self) -> bool:
        return bool(self._faults & {"paper-out", "cover-open", "paused"})

    def _said(self, answer: bytes) -> bytes:
        if "silent" in self._faults:
            return b""
        return (b"\x11" if "chatters" in self._faults else b"") + answer

    def _finish(self) -> None:
        """A label is over."""
        if "paper-ends" in self._faults:
            self._faults = self._faults - {"paper-ends"} | {"paper-out"}
        else:
            self.labels.append(self._label)
            self.report.acknowledged += 1
        self._label = Printed()

    # ESC/POS

    def _asked_off_line(self) -> bytes:
        """DLE EOT is answered at once, whatever waits before it."""
        out = b""
        while self._has_trouble and not self._is_zpl and (found := re.search(rb"\x10\x04.", self._heard, re.DOTALL)):
            self._heard = self._heard[: found.start()] + self._heard[found.end() :]
            out += self._said(self._status(found[0][2]))
        return out

    def _escpos(self) -> bytes | None:
        """Take one command or one line of text; None when more is wanted."""
        heard = self._heard
        if heard[:1] == b"\x10":
            if len(heard) < 3:
                return None
            self._heard = heard[3:]
            return self._said(self._status(heard[2]))
        if self._has_trouble or not heard:
            return None  # off line: what comes waits in the buffer
        if heard[:1] not in {b"\x1b", b"\x1d"}:
            line, end, rest = heard.partition(b"\n")
            if not end:
                return None
            self._heard = rest
            self._label.texts += [line.decode(self._encoding)] if line else []
            return b""
        size = 4 + heard[3] if heard[1:2] == b"k" and len(heard) > 3 else SIZES.get(heard[1:2], 4)
        if len(heard) < size:
            return None
        self._heard = heard[size:]
        return self._command(heard[:size])

    def _command(self, data: bytes) -> bytes:
        name = data[1:2]
        if name == b"@":
            self._dots, self._height, self._encoding = 3, 162, "cp437"
        elif name == b"t":
            self._encoding = {17: "cp866", 46: "cp1251", 16: "cp1252", 18: "cp852"}.get(data[2], "cp437")
        elif name == b"h":
            self._height = data[2]
        elif name == b"w":
            self._dots = data[2]
        elif name == b"k":
            letter, text = chr(data[5]), data[6:]
            values = list(text) if letter == "C" else _symbols(letter, text.decode("ascii").replace("{{", "{"))
            self._label.codes.append(bars(letter, values, self._dots, self._height))
        elif name == b"V":
            self._finish()
        elif name == b"r":
            return self._said(b"\x00")
        return b""

    def _status(self, number: int) -> bytes:
        no_paper, is_open = "paper-out" in self._faults, "cover-open" in self._faults
        bits = {
            1: 0x08 if self._has_trouble else 0,
            2: (0x04 if is_open else 0) | (0x20 if no_paper else 0),
            4: 0x60 if no_paper else 0,
        }
        return bytes((0x12 | bits.get(number, 0),))

    # ZPL

    def _zpl(self) -> bytes | None:
        if self._heard[:1] in {b"\r", b"\n"}:
            self._heard = self._heard[1:]
            return b""
        if self._heard.startswith(b"~HS"):
            self._heard = self._heard[3:]
            return self._said(self._host_status())
        end = self._heard.find(b"^XZ")
        if end < 0 or self._has_trouble:
            return None
        format_, self._heard = self._heard[: end + 3].decode(), self._heard[end + 3 :]
        self._print(format_)
        return b""

    def _print(self, format_: str) -> None:
        copies, code, hexed = 1, "", ""
        for name, rest in COMMANDS.findall(format_):
            if name == "BY":
                self._dots = int(rest.split(",")[0])
            elif name == "BC":
                code = rest
            elif name == "FH":
                hexed = rest or "_"
            elif name == "PQ":
                copies = int(rest)
            elif name == "FD":
                text = re.sub(f"{hexed}([0-9A-F]{{2}})", lambda found: chr(int(found[1], 16)), rest) if hexed else rest
                if code:
                    letter = {">;": "C", ">:": "B", ">9": "A"}.get(text[:2], "B")
                    text = (text[2:] if text[:1] == ">" else text).replace(">0", ">")
                    self._label.codes.append(bars(letter, _symbols(letter, text), self._dots, int(code.split(",")[1])))
                else:
                    self._label.texts.append(text)
                code = hexed = ""
        label = self._label
        for _ in range(copies):
            self._label = label
            self._finish()

    def _host_status(self) -> bytes:
        no_paper, is_open, is_paused = (int(one in self._faults) for one in ("paper-out", "cover-open", "paused"))
        waiting = 1 if b"^XA" in self._heard else 0
        first = f"030,{no_paper},{is_paused},0406,{waiting:03d},0,0,0,000,0,0,0"
        second = f"001,0,{is_open},0,0,2,4,0,{waiting:08d},1,000"
        return b"".join(b"\x02" + line.encode() + b"\x03\r\n" for line in (first, second, "1234,0"))
