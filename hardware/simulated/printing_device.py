"""Devices that only print, as their printer hears them: tickets of text and dots.

Written from Epson's ESC/POS command reference and ESC/P reference manual; what a ticket says is invented.

* `escpos`: a urine analyser. Asks how the printer is (DLE EOT 1 and 4), prints in CP866 (ESC t 17), a trace as raster
  (GS v 0), asks until the printer has done (GS r 1), and cuts (GS V 66). What is not answered within two seconds is
  asked again; after `ASKS_MAX` the ticket is given up.
* `column`: an electrocardiograph that prints its trace in bands of 24 pins (ESC * 33), has no cutter and asks nothing.
* `escp`: a printer port of the nineties: ESC/P, bands of eight pins (ESC L), form feed.
* `plain`: lines with CR LF, form feed.
"""

from collections.abc import Iterable, Sequence
from math import sin
from typing import Final

from hardware.simulated.device import Report

STYLES: Final = ("escpos", "column", "escp", "plain")
ANSWER_S: Final = 2.0
ASKS_MAX: Final = 10
PIECE_SIZE: Final = 960
PIECE_S: Final = 0.25
"""A ticket comes in pieces, as fast as at 38,400 baud."""
CUT: Final = b"\x1dVB\x00"
WIDTH, HEIGHT = 384, 72
"""Dots of a trace."""

FAULTS: Final = {
    "breaks-off": "the first ticket breaks off within its trace",
    "no-page": "a habit: sets no code page, and prints in CP1251",
    "absurd": "a byte of the first trace's size is damaged: a megabyte is announced",
    "polls": "a habit: asks the printer four times before each ticket",
    "unknown": "a habit: uses a command that is in no manual",
}
FAULTS_OF: Final = {style: FAULTS if style == "escpos" else {"breaks-off": FAULTS["breaks-off"]} for style in STYLES}
"""The others have neither a code page to set, nor a raster, nor questions."""

Rows = Sequence[Sequence[int]]
"""Dots from the top, from the left: 1 is black."""


def trace(seed: int, at: int) -> Rows:
    """Return the dots of an invented curve."""
    middle, beat = HEIGHT // 2, 60 + (seed * 7 + at * 13) % 40
    heights = [middle + round(20 * sin(x / 9 + seed) + (14 if x % beat < 3 else 0)) for x in range(WIDTH)]
    return [[1 if y in {heights[x], HEIGHT - 1} else 0 for x in range(WIDTH)] for y in range(HEIGHT)]


def _packed(bits: Iterable[int]) -> bytes:
    text = "".join(map(str, bits))
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def raster(rows: Rows) -> bytes:
    """Return GS v 0 with these dots."""
    wide = (len(rows[0]) // 8).to_bytes(2, "little")
    return b"\x1dv0\x00" + wide + len(rows).to_bytes(2, "little") + b"".join(map(_packed, rows))


def bands(rows: Rows, lead: bytes, pins: int) -> bytes:
    """Return the dots in bands of `pins`, each with its command `lead`, its number of columns and a line feed."""
    count = len(rows[0]).to_bytes(2, "little")
    out = b""
    for top in range(0, len(rows), pins):
        band = rows[top : top + pins]
        out += lead + count + b"".join(_packed(row[x] for row in band) for x in range(len(rows[0]))) + b"\n"
    return out


def ticket(style: str, seed: int, patient: str, at: int, faults: Iterable[str] = ()) -> bytes:
    """Return the bytes of one ticket."""
    seen = seed * 31 + at
    lines = (
        f"№ {patient}  {at + 1:03d}",
        "АНАЛИЗ МОЧИ",
        f"Лейкоциты   {seen % 7} /мкл",
        f"pH          {5 + seen % 30 / 10:.1f}",
    )
    if style == "plain":
        return "".join(f"{line}\r\n" for line in lines).encode("cp1251") + b"\x0c"
    if style == "escp":
        text = "".join(f"{line}\r\n" for line in lines).replace("№", "N").encode("cp866")
        return b"\x1b@\x1bx\x01\x1bE" + text + b"\x1bF\x1bA\x08" + bands(trace(seed, at), b"\x1bL", 8) + b"\x0c"
    if style == "column":
        text = f"ECG {patient}\n25 mm/s  10 mm/mV\n".encode("ascii")
        return b"\x1b@" + text + b"\x1b3\x18" + bands(trace(seed, at), b"\x1b*\x21", 24) + b"\x1b2\n\n"
    page, encoding = (b"", "cp1251") if "no-page" in faults else (b"\x1bt\x11", "cp866")
    odd = b"\x1b\x7f" if "unknown" in faults else b""
    head, *rest = (f"{line}\n".encode(encoding) for line in lines)
    picture = raster(trace(seed, at))
    if "absurd" in faults:
        picture = picture[:5] + b"\x70" + picture[6:]
    return (
        b"\x1b@"
        + page
        + b"\x1ba\x01\x1d!\x11"
        + head
        + b"\x1d!\x00\x1ba\x00"
        + odd
        + b"".join(rest)
        + picture
        + b"\x1bd\x03\x1dVB\x00"
    )


class PrintingDevice:
    """Prints its tickets, `every_s` seconds apart. `acknowledged`: as far as it asks, else as soon as it is said."""

    def __init__(
        self, style: str, seed: int, patients: Sequence[str], every_s: float = 5.0, faults: Iterable[str] = ()
    ) -> None:
        self._style, self._every_s, self._faults = style, every_s, set(faults)
        self._seed, self._patients = seed, list(patients)
        self._at: float | None = 0.0
        self._number = -1
        self._steps: list[tuple[bytes, bool]] = []
        """What is to be said, and whether an answer is waited for."""
        self._is_waiting = False
        self._asks = 0
        self.report = Report(messages=len(self._patients))

    def feed(self, data: bytes, now: float) -> bytes:
        if self._is_waiting and data:
            self._is_waiting = False
            if any(self._is_bad(byte) for byte in data):
                self.report.refused += 1
                self._give_up(now)
            else:
                self._go_on(now)
        return b""

    def tick(self, now: float) -> bytes:
        if self._at is None or now < self._at:
            return b""
        if not self._steps and not self._begin():
            self._at = None
            return b""
        data, waits = self._steps[0]
        if not waits:
            self._go_on(now)
        elif self._asks >= ASKS_MAX:
            self._give_up(now)
            return b""
        else:
            self._asks += 1
            self._is_waiting, self._at = True, now + ANSWER_S
        self.report.attempts += 1
        self.report.bytes_sent += len(data)
        return data

    def deadline(self) -> float | None:
        return self._at

    @property
    def is_done(self) -> bool:
        return self._at is None

    def _begin(self) -> bool:
        """Make the next ticket; return whether there is one."""
        self._number += 1
        if self._number >= len(self._patients):
            return False
        faults = self._faults if self._number == 0 else self._faults - {"absurd"}
        data = ticket(self._style, self._seed, self._patients[self._number], self._number, faults)
        if "breaks-off" in self._faults and self._number == 0:
            data = data[: len(data) * 2 // 3]
        asks, is_whole = self._style == "escpos", data.endswith(CUT)
        body = data.removesuffix(CUT)
        pieces = [(body[at : at + PIECE_SIZE], False) for at in range(0, len(body), PIECE_SIZE)]
        first = [(b"\x10\x04" + bytes((n,)), True) for n in (1, 4)] * (4 if "polls" in self._faults else 1)
        last = [(b"\x1dr\x01", True), (CUT, False)] if asks and is_whole else []
        self._steps = [*(first if asks else []), *pieces, *last]
        self.report.frames += 1
        return True

    def _go_on(self, now: float) -> None:
        """One step is done."""
        self._steps.pop(0)
        self._asks, self._at = 0, now + (PIECE_S if self._steps else self._every_s)
        if not self._steps:
            self.report.acknowledged += 1

    def _give_up(self, now: float) -> None:
        self._steps, self._asks, self._is_waiting = [], 0, False
        self.report.failed += 1
        self._at = now + self._every_s

    def _is_bad(self, answer: int) -> bool:
        """DLE EOT: bits 1 and 4 stand, 0 and 7 do not; 3, 5, 6 tell of trouble. GS r: 2 and 3 tell of no paper."""
        if self._steps[0][0][:1] == b"\x10":
            return answer & 0b1001_0011 != 0b0001_0010 or bool(answer & 0b0110_1000)
        return bool(answer & 0b1001_1100)
