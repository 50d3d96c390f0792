"""Diatron Abacus and Arcus haematology analysers: serial protocols 1.0, 1.7 and 2.x.

Written from "Abacus/Arcus Serial Communication Protocol", release 1.7, and the Abacus+ service manual, rev. 1.09,
section 10.2. On no unit of our own; the checksum of the manual's only example is of a text that is printed cut. 8N1,
the speed as set in the analyser's menu.

    package:  SOH MID CMD STX text ETX c c EOT       cc: low byte of the sum SOH..ETX, two hex digits
    answer:   ACK next MID                           next: the package wanted, a space for none; NAK: again

INIT says who it is, DATA has a line for each value: name, HT, value, HT, flag, LF. The analyser waits a second, tries
three times, and then is silent for ever, until it hears ENQ: so ENQ is sent when nothing was heard for `WAKE_S`. It
changes nothing.

P01 to P23 are named in the order that the service manual gives for protocol 3.0; in the 2.x example WBC, RBC, HGB and
the two times fit it. Units are not on the wire, so none is given. Histograms are not asked for. A package of protocol
3.0 (X, F: a binary record) is kept whole and not read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from edge import charset
from edge.driver import Driver, Event, Facts, Line, Option, Send
from edge.drivers.lab_answering import FORM, Answering, Report, observation
from edge.registry import read_options
from edge.signs import CHECK, Signs

SOH, STX, ETX, EOT, ENQ, ACK, NAK = 0x01, 0x02, 0x03, 0x04, 0x05, b"\x06", b"\x15"
PACKAGE_SIZE_MAX: Final = 1 << 16
HEAD_SIZE, TAIL_SIZE = 4, 4
BINARY: Final = frozenset(b"XF")
WAKE_S: Final = 30.0
ROWS_COUNT_MAX: Final = 256
PARAMETERS: Final = (
    *("WBC", "RBC", "HGB", "HCT", "MCV", "MCH", "MCHC", "PLT", "PCT", "MPV", "PDW-SD", "PDW-CV", "RDW-SD", "RDW-CV"),
    *("LYM", "MON", "GRA", "LYM%", "MON%", "GRA%", "RBC time", "WBC time", "WBC time 2"),
)

FACTS: Final = Facts(
    name="abacus",
    version="1",
    title="Diatron Abacus, Arcus haematology analysers",
    manual="Abacus/Arcus Serial Communication Protocol 1.7; Abacus+ service manual rev. 1.09, 10.2",
    form=FORM,
    lines=(Line(9_600), Line(19_200), Line(38_400), Line(57_600), Line(115_200)),
    options=(
        Option("after_init", "space", "what is answered to INIT as the package wanted next", ("space", "D")),
        Option("encoding", "auto", "character set of names", ("auto", *charset.ENCODINGS)),
    ),
)


def check(package: bytes) -> bytes:
    """Return the two hex digits that follow `package`, which ends with ETX."""
    return f"{sum(package) & 0xFF:02X}".encode()


class Packages:
    """Cuts packages. A package of protocol 3.0 has its length in front, since its text is binary."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_open(self) -> bool:
        """A package has begun."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the packages that end in `data`; what stands between them is dropped."""
        for byte in data:
            if byte == SOH and not self._is_binary:
                self._buffer.clear()
            if byte == SOH or self._buffer:
                self._buffer.append(byte)
            if self._is_whole or len(self._buffer) >= PACKAGE_SIZE_MAX:
                yield self.rest()

    def rest(self) -> bytes:
        """Give up what is not whole."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    @property
    def _is_binary(self) -> bool:
        return len(self._buffer) >= HEAD_SIZE and self._buffer[2] in BINARY and self._buffer[3] == STX

    @property
    def _is_whole(self) -> bool:
        size = len(self._buffer)
        if self._is_binary:
            return size >= 6 and size >= 6 + int.from_bytes(self._buffer[4:6], "big") + TAIL_SIZE
        return size > HEAD_SIZE + TAIL_SIZE - 1 and self._buffer[-1] == EOT and self._buffer[-TAIL_SIZE] == ETX


def is_sound(package: bytes) -> bool:
    """Return whether the frame and the checksum hold."""
    if len(package) < HEAD_SIZE + TAIL_SIZE or package[3] != STX or package[-TAIL_SIZE] != ETX or package[-1] != EOT:
        return False
    return package[-3:-1].upper() == check(package[:-3])


def rows(text: str) -> list[list[str]]:
    """Return the lines of DATA, each cut at HT."""
    return [line.split("\t") for line in text.split("\n")[:ROWS_COUNT_MAX] if line.strip()]


class _Abacus(Answering):
    """See the module's text."""

    name = FACTS.name

    def __init__(self, after_init: bytes, encoding: str) -> None:
        super().__init__(Packages())
        self._after_init, self._encoding = after_init, encoding
        self._model = ""
        self._wake_at = 0.0

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what came."""
        self._wake_at = now + WAKE_S
        return super().feed(data, now)

    def tick(self, now: float) -> list[Event]:
        """Let time pass; wake an analyser that gave up speaking to nobody."""
        wakes = [Send(bytes((ENQ,)))] if now >= self._wake_at else []
        self._wake_at = now + WAKE_S if wakes else self._wake_at
        return [*wakes, *super().tick(now)]

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        due = super().deadline()
        return self._wake_at if due is None else min(due, self._wake_at)

    def _message(self, raw: bytes, now: float) -> None:
        if not is_sound(raw):
            self._queue.put(Send(NAK))
            return
        wanted = self._after_init if raw[2:3] == b"I" else b" "
        yes = Send(ACK + wanted + raw[1:2])
        if raw[2:3] == b"I":
            self._model = " ".join(self._text(raw)[0].split("\t")[:2]).strip()
        if raw[2:3] in {b"D", b"F"}:
            self._answered_study(raw[2:-3], raw, self._read(raw), yes, Send(NAK), now)
        else:
            self._queue.put(yes)

    def _text(self, raw: bytes) -> tuple[str, str]:
        body = raw[HEAD_SIZE:-TAIL_SIZE]
        return charset.decode(body, charset.detect(body) if self._encoding == "auto" else self._encoding)

    def _read(self, raw: bytes) -> Report:
        if raw[2:3] == b"F":
            return Report(model=self._model, notes=("a record of protocol 3.0: kept, not read",))
        text, encoding = self._text(raw)
        said = {row[0].strip(): row[1:] for row in rows(text)}
        first = {name: row[0].strip() for name, row in said.items() if row}
        found = tuple(
            observation(name, named(name), row[0].strip(), flags="" if row[1:2] in ([], ["0"]) else row[1].strip())
            for name, row in said.items()
            if row and row[0].strip() and is_parameter(name)
        )
        ids = tuple((name, said[name][0]) for name in ("PID", "SID") if first.get(name))
        warned = first.get("WRN", first.get("WARN", "0"))
        notes = (f"warnings {warned}",) if warned.strip("0") else ()
        time = first.get("DATE", "") + first.get("TIME", "")
        return Report(found, ids, first.get("SID", ""), time, self._model, notes, encoding)


def is_parameter(name: str) -> bool:
    """Return whether this row is a measured value."""
    return len(name) == 3 and name[0] == "P" and name[1:].isascii() and name[1:].isdigit()


def named(name: str) -> str:
    """Return what P01, P02 … measure; the name itself where that is not known."""
    number = int(name[1:])
    return PARAMETERS[number - 1] if 0 < number <= len(PARAMETERS) else name


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one analyser. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    return _Abacus(b"D" if chosen["after_init"] == "D" else b" ", str(chosen["encoding"]))


SIGNS: Final = Signs(
    CHECK, lambda data: sum(map(is_sound, Packages().feed(data))), needs=re.compile(rb"\x01..\x02", re.DOTALL)
)
