"""What a printer would have put on paper: the text of a ticket line by line, and its dots at their places.

Written from the manuals named in `printer`. A pure object: units in, a ticket out; settings (code page, spacing,
margins) stay from one ticket to the next as they do in a printer, until ESC @.

* **Letters are not drawn.** Their shapes are in the printer's memory, not on the line: a drawn letter would be ours.
  Text takes the room that it takes on paper (12 by 24 dots, 9 by 17 in font B, times its size), and is given as text.
* **Dots are drawn as sent** (ESC *, GS v 0, GS *, GS /, GS Q, GS ( L and GS 8 L functions 112, 113 and 50), doubled
  where the command says so. Eight pins are three dots apart, as the manual gives their density. Pictures that lie in
  the printer's own memory (FS p, GS ( L 69 and 85) were never on the line; a note says where one stood.
* One unit of a feed is one dot, until GS P sets another. In page mode (ESC L) what is sent stands in the order in
  which it came, and a note says so.
* In ESC/P, where the dots of a row may be any distance apart, each band of pins is drawn as sent, one dot for each
  pin, bands under one another, and text takes no room.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from edge.drivers.printer_commands import COMMAND_SIZE_MAX, ESC, FS, GS, Unit, u16
from edge.drivers.printer_paper import Dots, Paper, from_columns, from_rows

LINES_COUNT_MAX: Final = 256
LINE_SIZE_MAX: Final = 200
"""Bytes of a line that are shown; the rest is in RAW."""
NOTES_COUNT_MAX: Final = 16
BANDS_COUNT_MAX: Final = 256
"""Bands of dots in one line."""
COLUMN_SIZE_MAX: Final = 512
"""Bytes of one column of dots: half a metre."""
DOTS_PER_INCH: Final = 203
SPACING: Final = 30
"""Dots from line to line after ESC @ and ESC 2."""
FONT_A, FONT_B = (12, 24), (9, 17)
PINS_APART: Final = 3
"""Dots between two of eight pins."""
HT, LF, FF, CR = 0x09, 0x0A, 0x0C, 0x0D
PAGES: Final[Mapping[int, str]] = {
    0: "cp437",
    2: "cp850",
    3: "cp860",
    4: "cp863",
    5: "cp865",
    13: "cp857",
    14: "cp737",
    15: "iso8859-7",
    16: "cp1252",
    17: "cp866",
    18: "cp852",
    19: "cp858",
    32: "cp720",
    33: "cp775",
    34: "cp855",
    35: "cp861",
    36: "cp862",
    37: "cp864",
    38: "cp869",
    39: "iso8859-2",
    40: "iso8859-15",
    44: "cp1125",
    45: "cp1250",
    46: "cp1251",
    47: "cp1253",
    48: "cp1254",
    49: "cp1255",
    50: "cp1256",
    51: "cp1257",
    52: "cp1258",
    53: "kz1048",
}
"""ESC t n, as Epson numbers them. Others number differently: the option `encoding` goes first."""
BARCODES: Final[Mapping[int, str]] = {
    **dict(enumerate(("UPC-A", "UPC-E", "EAN13", "EAN8", "CODE39", "ITF", "CODABAR"))),
    **dict(enumerate(("UPC-A", "UPC-E", "EAN13", "EAN8", "CODE39", "ITF", "CODABAR", "CODE93", "CODE128"), 65)),
}


@dataclass(slots=True)
class TextLine:
    """A line of text: runs of bytes, each with the code page it came under ("" when the host set none)."""

    runs: list[tuple[str, bytes]] = field(default_factory=list)
    size: int = 0
    is_cut: bool = False
    """It is longer than what is shown."""

    def add(self, page: str, data: bytes) -> None:
        """Take bytes as far as they are shown."""
        self.is_cut |= len(data) > LINE_SIZE_MAX - self.size
        data = data[: LINE_SIZE_MAX - self.size]
        self.size += len(data)
        if self.runs and self.runs[-1][0] == page:
            self.runs[-1] = (page, self.runs[-1][1] + data)
        elif data:
            self.runs.append((page, data))


@dataclass(slots=True)
class Settings:
    """What stays from line to line, as ESC @ leaves it."""

    page: str = ""
    spacing: int = SPACING
    unit: tuple[int, int] = (1, 1)
    """Dots down for each unit of a feed, as numerator and denominator."""
    aside: int = 0
    """0 left, 1 in the middle, 2 right."""
    margin: int = 0
    area: int = 0
    """Width of the printing area, 0: all that is there."""
    font: tuple[int, int] = FONT_A
    size: tuple[int, int] = (1, 1)
    gap: int = 0
    barcode_rows: int = 162
    """Height of a bar code: the manual's value after power on."""


class Press:
    """See the module's text."""

    def __init__(self, width: int, *, is_escp: bool = False, cr_feeds: bool = False) -> None:
        self.paper = Paper(width)
        self.lines: list[tuple[str, TextLine]] = []
        """("line" or "barcode", text), in order."""
        self.notes: list[str] = []
        self.is_over = False
        """The ticket was cut, or ejected."""
        self._is_escp, self._cr_feeds = is_escp, cr_feeds
        self._set = Settings()
        self._line = TextLine()
        self._dots: list[tuple[int, Dots]] = []
        self._across = self._height = 0
        self._lines_dropped = 0
        self._is_page_mode = False
        self._downloaded: Dots | None = None
        self._stored: list[tuple[Dots, int, int]] = []
        """What GS ( L stored: dots, times wide, times high."""
        self._commands: Mapping[bytes, Callable[[bytes], None]] = self._escp() if is_escp else self._escpos()

    @property
    def has_content(self) -> bool:
        """Something is on the paper, or should be."""
        printed = bool(self.lines or self._line.runs or self.notes)
        return printed or bool(self._dots) or self.paper.has_dots or bool(self.paper.pages)

    def take(self, unit: Unit) -> None:
        """Print one unit."""
        if unit.is_text:
            self._text(unit.data)
        elif len(unit.data) == 1:
            self._control(unit.data[0])
        elif not unit.is_known:
            self.note(f"command {unit.data[:2].hex(' ').upper()} is not known: what stands behind it may be its own")
        else:
            command = self._commands.get(unit.data[:2])
            if command is not None:
                command(unit.data)

    def note(self, text: str) -> None:
        """Say something once of this ticket."""
        if text not in self.notes and len(self.notes) < NOTES_COUNT_MAX:
            self.notes.append(text)

    def finish(self) -> None:
        """End line and page; afterwards `lines`, `notes` and `paper.pages` are whole."""
        if self._line.runs or self._dots:
            self._feed(0)
        self.paper.finish()
        if self.paper.is_cut_off:
            self.note(f"dots right of the {self.paper.width} that the paper is wide are not shown")
        if self._lines_dropped:
            self.note(f"{self._lines_dropped} more lines are in RAW only")

    def begin(self) -> None:
        """Forget the ticket; settings stay."""
        self.paper = Paper(self.paper.width)
        self.lines, self.notes, self._line = [], [], TextLine()
        self._dots, self._across, self._height, self._lines_dropped = [], 0, 0, 0
        self._is_page_mode = self.is_over = False

    # Text and feeds

    def _text(self, data: bytes) -> None:
        self._line.add(self._set.page, data)
        (wide, high), (times, tall) = self._set.font, self._set.size
        self._across += len(data) * times * (wide + self._set.gap)
        self._height = max(self._height, high * tall)

    def _control(self, byte: int) -> None:
        if byte == LF or (byte == CR and self._cr_feeds):
            self._feed(self._set.spacing)
        elif byte == CR and self._is_escp:
            self._feed(0)
        elif byte == FF and self._is_page_mode:
            self._feed(0)
            self._is_page_mode = False
        elif byte == FF:
            self.is_over = True
        elif byte == HT:
            self._text(b"\t")

    def _feed(self, rows: int) -> None:
        """Put the line on paper and feed at least `rows`."""
        if self._line.runs:
            self._keep("line", self._line)
            self._line = TextLine()
        area = self._set.area or self.paper.width - self._set.margin
        shift = self._set.margin + (0, (area - self._across) // 2, area - self._across)[self._set.aside]
        for left, dots in self._dots:
            self.paper.draw(dots, max(self._set.margin, shift) + left)
        tallest = max((len(dots.rows) for _, dots in self._dots), default=0)
        least = 0 if self._is_escp else max(rows, self._height)
        self.paper.advance(max(least, tallest))
        self._dots, self._across, self._height = [], 0, 0

    def _keep(self, kind: str, line: TextLine) -> None:
        if line.is_cut:
            self.note(f"a line is longer than {LINE_SIZE_MAX} bytes; RAW has it whole")
        if len(self.lines) < LINES_COUNT_MAX:
            self.lines.append((kind, line))
        else:
            self._lines_dropped += 1

    def _units(self, count: int) -> int:
        return count * self._set.unit[0] // self._set.unit[1]

    # Dots

    def _band(self, dots: Dots) -> None:
        """Put dots into the line that is being built."""
        if self._across >= self.paper.width or len(self._dots) >= BANDS_COUNT_MAX:
            self.paper.is_cut_off |= any(dots.rows)
            return
        self._dots.append((self._across, dots))
        self._across += dots.width

    def _picture(self, dots: Dots) -> None:
        """Put a picture on paper at once, with a line of its own."""
        if self._line.runs or self._dots:
            self._feed(0)
        self._band(dots)
        self._feed(0)

    def _bit_image(self, data: bytes) -> None:
        """ESC * m nL nH d: columns of 8 or 24 pins; m even: half as dense."""
        pins = 3 if data[2] >= 32 else 1
        dots = from_columns(data[5:], pins)
        self._band(dots if self._is_escp else dots.scaled(1 if data[2] & 1 else 2, 1 if pins == 3 else PINS_APART))

    def _raster(self, data: bytes) -> None:
        """GS v 0 m xL xH yL yH d: x bytes a row, y rows."""
        self._picture(from_rows(data[8:], u16(data, 4)).scaled(*_doubled(data[3])))

    def _vertical(self, data: bytes) -> None:
        """GS Q 0 m xL xH yL yH d: x columns of y bytes."""
        self._columns(data[8:], u16(data, 6), *_doubled(data[3]))

    def _columns(self, data: bytes, size: int, across: int, down: int) -> None:
        if size > COLUMN_SIZE_MAX:
            self.note(f"a picture {8 * size} dots high is not shown")
        else:
            self._picture(from_columns(data, size).scaled(across, down))

    def _download(self, data: bytes) -> None:
        """GS * x y d: 8x columns of y bytes, kept for GS /."""
        self._downloaded = from_columns(data[4:], data[3])

    def _print_downloaded(self, data: bytes) -> None:
        if self._downloaded is not None:
            self._picture(self._downloaded.scaled(*_doubled(data[2])))
        else:
            self.note("a picture from the printer's own memory stood here")

    def _graphics(self, data: bytes) -> None:
        """GS ( L and GS 8 L: m fn, where m is 48."""
        body = data[5:] if data[1] == 0x28 else data[7:]
        function = body[1] if len(body) > 1 and body[0] == 48 else -1
        if function in {112, 113} and len(body) >= 10:
            self._store(function, body)
        elif function in {2, 50}:
            stored, self._stored = self._stored, []
            for dots, across, down in stored:
                self._picture(dots.scaled(across, down))
        elif function in {69, 85}:
            self.note("a picture from the printer's own memory stood here")

    def _store(self, function: int, body: bytes) -> None:
        """48 fn a bx by c xL xH yL yH d: x by y dots, row by row (112) or column by column (113)."""
        across, down = (2 if scale == 2 else 1 for scale in body[3:5])
        width, height = u16(body, 6), u16(body, 8)
        if function == 113 and height > 8 * COLUMN_SIZE_MAX:
            self.note(f"a picture {height} dots high is not shown")
            return
        by_row = function == 112
        dots = from_rows(body[10:], (width + 7) // 8, width) if by_row else from_columns(body[10:], (height + 7) // 8)
        self._stored.append((Dots(dots.width, dots.rows[:height]), across, down))
        while sum(one.width * len(one.rows) for one, _, _ in self._stored) > 8 * COMMAND_SIZE_MAX:
            self._stored.pop(0)
            self.note("pictures were stored that are not shown")

    # Bar codes, whose bars the printer makes itself

    def _barcode(self, data: bytes) -> None:
        text = data[4:] if data[2] > 6 else data[3:-1]
        if self._line.runs or self._dots:
            self._feed(0)
        line = TextLine()
        line.add("latin-1", BARCODES.get(data[2], "code").encode() + b": " + text)
        self._keep("barcode", line)
        self.paper.advance(self._set.barcode_rows)

    def _symbol(self, data: bytes) -> None:
        """GS ( k pL pH cn fn m d: function 80 stores the data of a PDF417 (48), a QR code (49) or another."""
        if len(data) > 8 and data[6] == 80:
            line = TextLine()
            line.add("latin-1", {48: b"PDF417: ", 49: b"QR: "}.get(data[5], b"symbol: ") + data[8:])
            self._keep("barcode", line)

    # Settings

    def _reset(self, _: bytes) -> None:
        self._set = Settings()
        self._is_page_mode = False

    def _page(self, data: bytes) -> None:
        self._set.page = PAGES.get(data[2], "")
        if data[2] not in PAGES:
            self.note(f"code page {data[2]} is not known")

    def _country(self, data: bytes) -> None:
        """ESC R n: another country's signs for # $ @ [ \\ ] ^ ` { | } ~; 0 is as in ASCII."""
        if data[2]:
            self.note(f"the device chose the signs of a country (ESC R {data[2]}): brackets and the like may be others")

    def _style(self, data: bytes) -> None:
        """ESC ! n: 01 font B, 10 double height, 20 double width."""
        self._set.font = FONT_B if data[2] & 1 else FONT_A
        self._set.size = (2 if data[2] & 0x20 else 1, 2 if data[2] & 0x10 else 1)

    def _size(self, data: bytes) -> None:
        """GS ! n: times wide less one in bits 4 to 6, times high in 0 to 2."""
        self._set.size = ((data[2] >> 4 & 7) + 1, (data[2] & 7) + 1)

    def _motion(self, data: bytes) -> None:
        """GS P x y: a unit of a feed is 1/y inch; 0: as after power on."""
        self._set.unit = (DOTS_PER_INCH, data[3]) if data[3] else (1, 1)

    def _set_to(self, name: str, value: int) -> None:
        setattr(self._set, name, value)

    def _page_mode(self, _: bytes) -> None:
        self._is_page_mode = True
        self.note("page mode: what stands beside one another on paper stands under one another here")

    def _own_memory(self, _: bytes) -> None:
        self.note("a picture from the printer's own memory stood here")

    def _over(self, _: bytes) -> None:
        self.is_over = True

    def _escpos(self) -> dict[bytes, Callable[[bytes], None]]:
        esc, fs, gs = bytes((ESC,)), bytes((FS,)), bytes((GS,))
        return {
            esc + b"@": self._reset,
            esc + b"!": self._style,
            esc + b" ": lambda data: self._set_to("gap", data[2]),
            esc + b"M": lambda data: setattr(self._set, "font", FONT_B if data[2] & 1 else FONT_A),
            esc + b"a": lambda data: self._set_to("aside", data[2] % 48 if data[2] % 48 < 3 else 0),
            esc + b"t": self._page,
            esc + b"R": self._country,
            esc + b"2": lambda data: self._set_to("spacing", SPACING),
            esc + b"3": lambda data: self._set_to("spacing", self._units(data[2])),
            esc + b"d": lambda data: self._feed(data[2] * self._set.spacing),
            esc + b"J": lambda data: self._feed(self._units(data[2])),
            esc + b"$": lambda data: setattr(self, "_across", min(u16(data, 2), self.paper.width)),
            esc + b"*": self._bit_image,
            esc + b"L": self._page_mode,
            esc + b"i": self._over,
            esc + b"m": self._over,
            fs + b"p": self._own_memory,
            gs + b"!": self._size,
            gs + b"L": lambda data: self._set_to("margin", min(u16(data, 2), self.paper.width)),
            gs + b"W": lambda data: self._set_to("area", min(u16(data, 2), self.paper.width)),
            gs + b"P": self._motion,
            gs + b"h": lambda data: self._set_to("barcode_rows", data[2]),
            gs + b"k": self._barcode,
            gs + b"(": lambda data: (
                (self._graphics if data[2] == 0x4C else self._symbol)(data) if data[2] in b"Lk" else None
            ),
            gs + b"8": lambda data: self._graphics(data) if data[2] == 0x4C else None,
            gs + b"v": self._raster,
            gs + b"Q": self._vertical,
            gs + b"*": self._download,
            gs + b"/": self._print_downloaded,
            gs + b"V": self._over,
        }

    def _escp(self) -> dict[bytes, Callable[[bytes], None]]:
        esc = bytes((ESC,))
        bands = dict.fromkeys((esc + b"K", esc + b"L", esc + b"Y", esc + b"Z"), self._pins)
        return {
            **bands,
            esc + b"@": self._reset,
            esc + b"*": self._bit_image,
            esc + b"J": lambda data: self._feed(data[2]),
        }

    def _pins(self, data: bytes) -> None:
        """ESC K, L, Y, Z nL nH d: columns of eight pins in four densities."""
        self._band(from_columns(data[4:], 1))


def _doubled(mode: int) -> tuple[int, int]:
    """Return how often across and down: m 1 (or 49) double width, 2 double height, 3 both."""
    return (2 if mode & 1 else 1, 2 if mode & 2 else 1)
