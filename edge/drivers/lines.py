"""Generic capture: keeps whatever a device says unasked, so that a device nobody wrote a driver for loses nothing.

For devices that send text lines (scales, printers, urine readers), blocks between two control characters (STX..ETX), or
bursts set apart by silence. Nothing is understood: the raw bytes are the study, and readable text is shown beside
them, one observation for each line. Written from device-independent practice; no manual.

A study is what comes until the line is silent for `quiet_s`; a longer one is cut at `STUDY_SIZE_MAX` or
`STUDY_S_MAX` and goes on in the next. Every whole line or block is committed as soon as it is there. With
`answer = "ack"` a block is answered by ACK after its commit, or by NAK when the disk has no room; without, the device
would not send again, and what the disk refuses is held (`edge.entries`).

Some devices ask first (ENQ, then a block, then EOT: bioMérieux VIDAS). With `enquiry` an ENQ between blocks is a unit
of its own, answered as a block is.

A block may be followed by check bytes that look like its end (a BCC equal to ETX): `trailer` says how many are its own.
"""

from collections.abc import Mapping
from typing import Final

from edge import charset
from edge.driver import (
    HEADLINE_LINES_MAX,
    Commit,
    Driver,
    Event,
    Facts,
    Line,
    Note,
    Option,
    Send,
    StudyBegins,
    StudyEnds,
)
from edge.entries import EntryQueue
from edge.registry import Options, read_options
from edge.signs import Signs
from wire.errors import ConfigError
from wire.record import FORMS, Observation, Result

UNIT_SIZE_MAX: Final = 8_192
"""A line, block or part of a burst, bytes. A longer one is committed in parts."""
STUDY_SIZE_MAX: Final = 1 << 20
STUDY_S_MAX: Final = 600.0
LINES_COUNT_MAX: Final = 256
"""Lines of one study that are shown as observations."""
LINE_TEXT_MAX: Final = 200
TRAILER_SIZE_MAX: Final = 16
ENQ: Final = 0x05
ACK, NAK = b"\x06", b"\x15"

FACTS: Final = Facts(
    name="lines",
    version="1",
    title="Any device that sends lines, blocks or bursts unasked",
    manual="none: bytes are kept, not understood",
    form="document",
    lines=(Line(9600), Line(2400), Line(4800), Line(19200), Line(115200), Line(1200)),
    options=(
        Option("mode", "lines", "what is a unit", ("lines", "blocks", "bursts")),
        Option("begin", "02", "blocks: first byte, two hex digits"),
        Option("end", "03", "blocks: last byte, two hex digits"),
        Option("trailer", 0, "blocks: bytes after the last one that belong to it (a checksum)"),
        Option("quiet_s", 2.0, "silence that ends a study, seconds"),
        Option("answer", "none", "blocks: what to answer after the commit", ("none", "ack")),
        Option("enquiry", False, "blocks: answer an ENQ between them, too"),
        Option("encoding", "auto", "character set of the text", ("auto", *charset.ENCODINGS)),
        Option("form", "document", "kind of study", FORMS),
        Option("model", "", "what to call the device"),
    ),
)


class _Units:
    """Cuts a stream of bytes into units; every byte comes out once. Holds at most one unit."""

    def __init__(self, mode: str, begin: int, end: int, trailer: int, *, enquiry: bool) -> None:
        self._mode, self._begin, self._end, self._trailer = mode, begin, end, trailer
        self._enquiry = enquiry
        self._buffer = bytearray()
        self._inside = False
        self._ends_at = -1

    def feed(self, data: bytes) -> list[tuple[bytes, bool]]:
        """Return (unit, is whole) pairs."""
        units = []
        for byte in data:
            self._buffer.append(byte)
            whole = self._is_whole(byte)
            if whole or len(self._buffer) >= UNIT_SIZE_MAX:
                units.append((self.rest(), whole))
        return units

    def rest(self) -> bytes:
        """Give up what is not whole and return it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._inside, self._ends_at = False, -1
        return rest

    def _is_whole(self, byte: int) -> bool:
        if self._mode == "lines":
            return byte == 0x0A
        if self._mode == "bursts":
            return False
        if self._ends_at >= 0:
            return len(self._buffer) - self._ends_at >= self._trailer
        if not self._inside:
            self._inside = byte == self._begin
            return self._enquiry and byte == ENQ and not self._inside
        if byte == self._end:
            self._ends_at = len(self._buffer)
            return self._trailer == 0
        return False


class _Lines:
    """See the module's text."""

    def __init__(self, units: _Units, quiet_s: float, encoding: str, begins: StudyBegins, *, answers: bool) -> None:
        self._units, self._quiet_s, self._encoding, self._begins = units, quiet_s, encoding, begins
        self._answers = answers
        self._queue = EntryQueue()
        self._is_open = False
        self._opened_at = self._heard_at = 0.0
        self._size = 0
        self._text = bytearray()

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        if not data:
            return []
        self._open(now)
        for unit, whole in self._units.feed(data):
            self._put(unit, now, whole=whole)
        return self._queue.release()

    def tick(self, now: float) -> list[Event]:
        if self._is_open and now >= self._heard_at + self._quiet_s:
            self._close("", self._units.rest())
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        if self._is_open:
            rest = self._units.rest()
            self._close("the port vanished in the middle" if rest else "", rest)
        return self._queue.release()

    def deadline(self) -> float | None:
        times = [self._heard_at + self._quiet_s] if self._is_open else []
        retry_at = self._queue.deadline()
        return min([*times, *([retry_at] if retry_at is not None else [])], default=None)

    def _open(self, now: float) -> None:
        if not self._is_open:
            self._is_open, self._opened_at, self._size = True, now, 0
            self._queue.put(self._begins)

    def _put(self, unit: bytes, now: float, *, whole: bool) -> None:
        if self._size + len(unit) > STUDY_SIZE_MAX or now - self._opened_at > STUDY_S_MAX:
            self._close("", b"")
            self._open(now)
            self._queue.put(Note("goes on from the study before"))
        self._size += len(unit)
        self._show(unit)
        if self._answers and whole:
            self._queue.put_answered(Commit(unit), Send(ACK), Send(NAK))
        else:
            self._queue.put(Commit(unit))

    def _show(self, unit: bytes) -> None:
        room = LINES_COUNT_MAX * LINE_TEXT_MAX - len(self._text)
        self._text += unit[:room]

    def _close(self, partial: str, rest: bytes) -> None:
        self._show(rest)
        encoding, lines = _readable(bytes(self._text), self._encoding)
        self._text.clear()
        tags = (_result(encoding, lines).to_tag(),) if lines else ()
        if rest or tags:
            self._queue.put(Commit(rest, tags))
        headline = tuple((f"line {number}", line[:40], "") for number, line in enumerate(lines[:HEADLINE_LINES_MAX], 1))
        self._queue.put(StudyEnds(partial=partial, headline=headline))
        self._is_open = False


def _readable(data: bytes, encoding: str) -> tuple[str, list[str]]:
    """Return the encoding and the lines of what is mostly text; no lines when it is not."""
    used = charset.detect(data) if encoding == "auto" else encoding
    text, used = charset.decode(data, used)
    shown = sum(1 for char in text if char.isalnum() or char in "\r\n\t" or (char.isascii() and char.isprintable()))
    if not text.strip() or shown < 0.7 * len(text):
        return used, []
    plain = "".join(char if char.isprintable() else " " if char not in "\r\n" else char for char in text)
    lines = [line.strip() for line in plain.splitlines()]
    return used, [line[:LINE_TEXT_MAX] for line in lines if line][:LINES_COUNT_MAX]


def _result(encoding: str, lines: list[str]) -> Result:
    found = tuple(Observation("line", f"line {number}", line) for number, line in enumerate(lines, 1))
    return Result(encoding=encoding, observations=found)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one device. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    trailer, quiet_s = int(chosen["trailer"]), float(chosen["quiet_s"])
    if not 0 <= trailer <= TRAILER_SIZE_MAX:
        raise ConfigError(f"driver 'lines': option 'trailer' is {trailer}; it may be 0 to {TRAILER_SIZE_MAX}")
    if not 0.05 <= quiet_s <= STUDY_S_MAX:
        raise ConfigError(f"driver 'lines': option 'quiet_s' is {quiet_s}; it may be 0.05 to {STUDY_S_MAX:g}")
    enquiry = bool(chosen["enquiry"])
    units = _Units(str(chosen["mode"]), _byte("begin", chosen), _byte("end", chosen), trailer, enquiry=enquiry)
    begins = StudyBegins(str(chosen["form"]), str(chosen["model"]))
    answers = chosen["answer"] == "ack"
    if answers and chosen["mode"] != "blocks":
        raise ConfigError("driver 'lines': option 'answer' is 'ack'; only mode 'blocks' has something to answer")
    if enquiry and not answers:
        raise ConfigError("driver 'lines': option 'enquiry' is true; it wants mode 'blocks' and answer 'ack'")
    return _Lines(units, quiet_s, str(chosen["encoding"]), begins, answers=answers)


def _byte(name: str, chosen: Options) -> int:
    text = str(chosen[name])
    try:
        (value,) = bytes.fromhex(text)
    except ValueError:
        raise ConfigError(f"driver 'lines': option {name!r} is {text!r}; it must be two hex digits") from None
    return value


SIGNS: Final = Signs(told_from="ports")
"""Whatever comes is kept, and the device may be one that another driver knows."""
