"""Devices that only print: the kit stands in the place of their printer, and the ticket becomes a study.

ESC/POS (thermal printers on a serial line), ESC/P, or plain lines. Manuals: Epson's ESC/POS command reference, ESC/P
reference manual (December 1997); statuses as Citizen's and Samsung's manuals give their bits. On no unit of our own.

Owns one ticket at a time: every byte of it as RAW, committed while it comes; its text (RESULT, one observation for each
line) and its dots (PICTURE, PNG) when it has ended. What is drawn, and what is not, `printer_press` says. A ticket ends
with a cut, a form feed, or a silence of `quiet_s`; one longer than `STUDY_SIZE_MAX`, `STUDY_S_MAX` or `PICTURES_MAX`
goes on in the next study. What prints nothing (settings, feeds) belongs to the ticket that follows, the last 64 KiB of
it. A power cut costs what was not committed yet, 4 KiB or half a second: such a device prints once, and never learns
what arrived.

A host may ask the printer how it is, and wait: DLE EOT, GS a, GS r, ESC v and ESC u are answered as by a printer that
is well, **only after all that came before is durable**. A host that prints until GS r is answered may believe it.
While the disk refuses, the printer is silent. Nothing else is sent; `answer = "none"` sends nothing at all, for a kit
that listens beside a real printer. A question within the data of a picture is data.

Damage: a command that no printer takes, or one that breaks off, ends what is read; the bytes are kept, the study is
partial, and what was printed before stands in it.
"""

from collections.abc import Mapping
from typing import Final

from edge import charset
from edge.driver import (
    HEADLINE_LINES_MAX,
    RAW_SIZE_MAX,
    Commit,
    Driver,
    Event,
    Facts,
    Headline,
    Line,
    Note,
    Option,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.drivers.printer_commands import ESCP, ESCPOS, Cutter, Unit
from edge.drivers.printer_paper import DOTS_MAX, png
from edge.drivers.printer_press import Press, TextLine
from edge.entries import EntryQueue
from edge.registry import read_options
from edge.signs import Signs
from wire.errors import ConfigError
from wire.record import FORMS, Observation, Partial, Picture, Result
from wire.tag import Tag

PIECE_SIZE: Final = 4_096
"""Bytes after which a part of a ticket is committed."""
PAUSE_S: Final = 0.5
"""After so long a silence, too."""
STUDY_SIZE_MAX: Final = 1 << 20
STUDY_S_MAX: Final = 600.0
PICTURES_MAX: Final = 16
IDLE_SIZE_MAX: Final = 1 << 16
"""Settings and feeds before a ticket that are kept with it."""
QUIET_S_MAX: Final = 600.0
DRAWING: Final = frozenset({b"\x1dv", b"\x1dQ", b"\x1d(", b"\x1d8", b"\x1b*"})
"""Commands with a picture for the paper: what comes of one is committed before it is whole."""
QUESTIONS_MAX: Final = 16
"""Questions that wait for the disk; a host asks again."""
HEADLINE_TEXT_MAX: Final = 40

FINE: Final[Mapping[bytes, bytes]] = {
    **{b"\x10\x04" + bytes((n,)): b"\x12" for n in (1, 2, 3, 4)},
    **{b"\x1dr" + bytes((n,)): b"\x00" for n in (1, 2, 49, 50)},
    **{b"\x1da" + bytes((n,)): b"\x10\x00\x00\x00" for n in range(1, 256)},
    **{b"\x1bu" + bytes((n,)): b"\x00" for n in (0, 48)},
    b"\x1bv": b"\x00",
}
"""What a printer says that is well: DLE EOT 0xx1xx10; GS a 0xx1xx00 and three of 0xx0xxxx; the others 0xx0xxxx."""

FACTS: Final = Facts(
    name="printer",
    version="1",
    title="Devices that only print: ESC/POS, ESC/P or plain text, caught in place of the printer",
    manual="Epson, ESC/POS command reference; Epson, ESC/P reference manual (December 1997)",
    form="document",
    lines=(Line(9600), Line(19200), Line(38400), Line(115200)),
    options=(
        Option("language", "escpos", "what the device takes its printer for", ("escpos", "escp", "text")),
        Option("encoding", "printer", "of text: as ESC t says, else guessed", ("printer", "auto", *charset.ENCODINGS)),
        Option("width", 576, "dots across the paper: 576 for 80 mm, 384 for 58 mm"),
        Option("cr", "ignore", "CR alone ends no line, or does (a printer set to feed by itself)", ("ignore", "feed")),
        Option("quiet_s", 3.0, "silence that ends a ticket without a cut, seconds"),
        Option("answer", "status", "answer how the printer is, or never anything", ("status", "none")),
        Option("form", "document", "kind of study", FORMS),
        Option("model", "", "what to call the device"),
    ),
)


def _maybe(data: bytes) -> str:
    """Text has no sign of its own; what sets up a printer has."""
    found = [name for name, one in (("ESC @", b"\x1b@"), ("GS v 0", b"\x1dv0"), ("GS V", b"\x1dV")) if one in data]
    return f"it says {', '.join(found)}, as to a printer" if found else ""


SIGNS: Final = Signs(maybe=_maybe)


class _Printer:
    """See the module's text."""

    def __init__(self, press: Press, cutter: Cutter, encoding: str, quiet_s: float, begins: StudyBegins) -> None:
        self._press, self._cutter = press, cutter
        self._encoding, self._quiet_s, self._begins = encoding, quiet_s, begins
        self.answers = True
        self._queue = EntryQueue()
        self._questions = 0
        self._raw = bytearray()
        """Of this ticket, not committed yet."""
        self._is_open = False
        self._is_lost = False
        """Nothing more of this ticket can be read."""
        self._size = self._pictures = 0
        self._heard_at = self._opened_at = 0.0
        self._printed_at = self._unit_at = 0.0
        """When something came that is no question, and when the last of it was whole."""

    def feed(self, data: bytes, now: float) -> list[Event]:
        read = 0
        for unit, end in self._cutter.feed(data) if not self._is_lost else ():
            self._hear(data[read:end], now)
            read = end
            self._take(unit)
            if self._is_lost:
                break
        if read < len(data):
            self._hear(data[read:], now)
            self._commit_pieces(PIECE_SIZE)
        if self._is_lost and self._is_long:
            self._go_on("a command that no printer takes stands before it")
            self._is_lost = True
        return self._released(self._queue.release())

    def tick(self, now: float) -> list[Event]:
        if self._is_unfinished and now >= self._printed_at + self._quiet_s:
            self._end(self._broken_off())
        elif self._is_unfinished and now >= self._heard_at + PAUSE_S:
            self._commit_pieces(1)
        return self._released([*self._queue.tick(now), *self._queue.release()])

    def committed(self, token: int, now: float) -> list[Event]:
        return self._released(self._queue.committed(token))

    def refused(self, token: int, now: float) -> list[Event]:
        return self._released(self._queue.refused(token, now))

    def lost(self, now: float) -> list[Event]:
        if self._is_unfinished:
            self._end(self._broken_off())
        return self._released(self._queue.release())

    def deadline(self) -> float | None:
        times = [at] if (at := self._queue.deadline()) is not None else []
        if self._is_unfinished:
            times.append(self._printed_at + self._quiet_s)
            times += [self._heard_at + PAUSE_S] if self._is_readable and self._raw else []
        return min(times, default=None)

    @property
    def _is_readable(self) -> bool:
        """There is something to commit at a pause."""
        is_large = self._cutter.size >= PIECE_SIZE and self._cutter.inside[:2] in DRAWING
        return self._is_open or self._press.has_content or self._is_lost or is_large

    @property
    def _is_long(self) -> bool:
        is_late = self._is_open and self._heard_at > self._opened_at + STUDY_S_MAX
        return is_late or self._size >= STUDY_SIZE_MAX or self._pictures >= PICTURES_MAX

    @property
    def _is_unfinished(self) -> bool:
        return self._is_open or self._press.has_content or self._is_lost or self._cutter.size > 0

    def _hear(self, data: bytes, now: float) -> None:
        self._raw += data
        self._size += len(data)
        self._heard_at = self._printed_at = now

    def _take(self, unit: Unit) -> None:
        answer = FINE.get(unit.data)
        if answer is not None:
            self._printed_at = self._unit_at  # who only asks does not keep a ticket open
            self._answer(unit.data, answer)
            return
        self._unit_at = self._printed_at
        if not unit.is_credible:
            self._is_lost = True
            return
        self._press.take(unit)
        self._keep_pages()
        if self._press.is_over:
            self._end("")
        elif self._is_long:
            self._go_on("")
        else:
            self._commit_pieces(PIECE_SIZE)

    # Questions

    def _answer(self, question: bytes, answer: bytes) -> None:
        if self._is_open or self._press.has_content:
            self._commit_pieces(1)
        else:
            del self._raw[-len(question) :]  # nothing is printed: a host that only asks makes no study
        if self.answers and self._questions < QUESTIONS_MAX:
            self._questions += 1
            self._queue.put(Send(answer))

    def _released(self, events: list[Event]) -> list[Event]:
        self._questions -= sum(isinstance(one, Send) for one in events)
        return events

    # Tickets to studies

    def _go_on(self, partial: str) -> None:
        """End the study of a ticket that is too long for one, and begin the next."""
        self._end(partial)
        self._open()
        self._queue.put(Note("goes on from the study before"))

    def _open(self) -> None:
        if not self._is_open:
            self._is_open, self._opened_at = True, self._heard_at
            self._size, self._pictures = len(self._raw), 0
            self._queue.put(self._begins)

    def _commit_pieces(self, least: int) -> None:
        """Commit what came, when there are `least` bytes, and the ticket has begun."""
        if not self._is_readable:
            del self._raw[:-IDLE_SIZE_MAX]
            return
        if len(self._raw) >= least:
            self._open()
            self._commit_raw(())

    def _commit_raw(self, tags: tuple[Tag, ...]) -> None:
        chunks = [bytes(self._raw[at : at + RAW_SIZE_MAX]) for at in range(0, len(self._raw), RAW_SIZE_MAX)] or [b""]
        self._raw.clear()
        for chunk in chunks[:-1]:
            self._queue.put(Commit(chunk))
        if chunks[-1] or tags:
            self._queue.put(Commit(chunks[-1], tags))

    def _keep_pages(self) -> None:
        """Commit pages of dots that are full."""
        pages, self._press.paper.pages = self._press.paper.pages, []
        for page in pages:
            self._open()
            self._pictures += 1
            self._commit_raw((Picture("image/png", f"ticket-{self._pictures}.png", png(page)).to_tag(),))

    def _broken_off(self) -> str:
        """Return why a ticket that ends now is partial; "" when it is not."""
        if self._is_lost:
            return "a command that no printer takes: what stands behind it was not read"
        inside = self._cutter.inside
        if not inside:
            return ""
        name, size = inside[:2].hex(" ").upper(), self._cutter.wanted
        if inside[:2] == b"\x1dv" and len(inside) > 8:
            self._press.take(Unit(inside))  # the rows that are whole
        return f"it breaks off in the command {name}: {len(inside)} of {size} bytes"

    def _end(self, partial: str) -> None:
        """End the ticket, when there is one."""
        self._cutter.drop()
        self._press.finish()
        if not (self._is_open or self._press.has_content or partial):
            self._press.begin()
            return
        self._keep_pages()
        self._open()
        lines, encoding = self._read()
        seen = tuple(Observation(kind, f"{kind} {number}", text) for number, (kind, text) in enumerate(lines, 1))
        result = Result(encoding=encoding, observations=seen, notes=tuple(self._press.notes))
        why = (Partial(partial, FACTS.name).to_tag(),) if partial else ()
        self._commit_raw((*((result.to_tag(),) if seen or result.notes else ()), *why))
        self._queue.put(StudyEnds(partial=partial, headline=self._headline(lines)))
        self._is_open = self._is_lost = False
        self._size = self._pictures = 0
        self._press.begin()

    def _headline(self, lines: list[tuple[str, str]]) -> tuple[Headline, ...]:
        drawn = [("pictures", str(self._pictures), "")] if self._pictures else []
        room = HEADLINE_LINES_MAX - len(drawn)
        shown = [(f"line {number}", text[:HEADLINE_TEXT_MAX], "") for number, (_, text) in enumerate(lines, 1)]
        return (*drawn, *shown[:room])

    def _read(self) -> tuple[list[tuple[str, str]], str]:
        """Return the lines as text, and in which character sets they came."""
        runs = [run for _, line in self._press.lines for run in line.runs]
        open_page = b"\n".join(data for page, data in runs if self._set_for(page) == "auto")
        guess = charset.detect(open_page)
        found = [(kind, self._line(line, guess)) for kind, line in self._press.lines]
        used = {guess if self._set_for(page) == "auto" else self._set_for(page) for page, _ in runs}
        return [(kind, text) for kind, text in found if text], ", ".join(sorted(used))

    def _set_for(self, page: str) -> str:
        return (page or "auto") if self._encoding == "printer" else self._encoding

    def _line(self, line: TextLine, guess: str) -> str:
        sets = [(guess if self._set_for(page) == "auto" else self._set_for(page), data) for page, data in line.runs]
        text = "".join(charset.decode(data, one)[0] for one, data in sets)
        return "".join(char if char.isprintable() else " " for char in text).rstrip()


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one device. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    width, quiet_s = int(chosen["width"]), float(chosen["quiet_s"])
    if not 8 <= width <= DOTS_MAX:
        raise ConfigError(f"driver 'printer': option 'width' is {width}; it may be 8 to {DOTS_MAX}")
    if not 2 * PAUSE_S <= quiet_s <= QUIET_S_MAX:
        raise ConfigError(f"driver 'printer': option 'quiet_s' is {quiet_s}; it may be 1 to {QUIET_S_MAX:g}")
    language = chosen["language"]
    cutter = Cutter({"escpos": ESCPOS, "escp": ESCP, "text": {}}[str(language)])
    begins = StudyBegins(str(chosen["form"]), str(chosen["model"]))
    press = Press(width, is_escp=language != "escpos", cr_feeds=chosen["cr"] == "feed")
    driver = _Printer(press, cutter, str(chosen["encoding"]), quiet_s, begins)
    driver.answers = chosen["answer"] == "status"
    return driver
