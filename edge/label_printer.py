"""Printing a label: ask the printer how it is, send, and ask until it has printed. Blocking, for a command line.

Owns the line for one label; nothing survives. What the printer says is believed only as its manual has it:

* ESC/POS: DLE EOT 1 to 4, each answered by a byte 0xx1xx10, and at the end GS r 1, answered when all is printed.
* ZPL: ~HS, answered by three lines between STX and ETX: 1.b paper out, 1.c paused, 1.e labels waiting, 1.k and 1.l
  temperature, 2.o head open, 2.p ribbon out, 2.u labels of this batch left (b is the second field of the first line).

A printer that cannot answer, because its line has one direction only, is printed to without a question (`asks=False`);
then nobody knows what came of it.
"""

import errno
import os
import select
import stat
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Final, Protocol

import serial

from edge import tcp_ports
from wire.errors import ConfigError, DeviceError

ANSWER_S: Final = 2.0
PRINT_S_MAX: Final = 20.0
"""Until a label is printed, or its bytes are taken."""
ASK_S: Final = 0.5
READ_S: Final = 0.05
HEARD_SIZE_MAX: Final = 4_096
STX, ETX = b"\x02", b"\x03"

PAPER: Final = 4
TROUBLES: Final[Mapping[int, tuple[tuple[int, str], ...]]] = {
    PAPER: ((0x60, "the paper is out"),),
    2: ((0x04, "the cover is open"), (0x20, "printing stopped: the paper is out"), (0x40, "it reports an error")),
    3: ((0x08, "the cutter is stuck"), (0x20, "it must be repaired"), (0x40, "its head is too hot, or alike")),
    1: ((0x08, "it is off line"),),
}
"""DLE EOT n: bits that tell of trouble, the most telling question first."""


class Line(Protocol):
    """A serial line, a connection or a printer's own device file."""

    def read(self, size: int = 1) -> bytes:
        """Return at most `size` bytes, none when nothing comes for a moment."""
        ...

    def write(self, data: bytes) -> object:
        """Write all of it. Raises OSError."""
        ...

    def close(self) -> None: ...


class FileLine:
    """/dev/usb/lp0: a device file that may not answer. Every failure is an OSError."""

    def __init__(self, path: str) -> None:
        if not stat.S_ISCHR(os.stat(path).st_mode):
            raise OSError(errno.ENODEV, "this is no device")
        self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def read(self, size: int = 1) -> bytes:
        if not select.select([self._file], [], [], READ_S)[0]:
            return b""
        with suppress(BlockingIOError):
            return os.read(self._file, size)
        return b""

    def write(self, data: bytes) -> object:
        while data:
            if not select.select([], [self._file], [], PRINT_S_MAX)[1]:
                raise TimeoutError(f"{len(data)} bytes were not taken")
            with suppress(BlockingIOError):
                data = data[os.write(self._file, data) :]
        return None

    def close(self) -> None:
        os.close(self._file)

    @classmethod
    def is_serial(cls, path: str) -> bool:
        """Return whether this is a terminal, with a speed."""
        with closing(cls(path)) as file:
            return os.isatty(file._file)


def open_line(path: str, baud: int) -> Line:
    """Open tcp://HOST:PORT, a serial line, or a printer's device file. Raises DeviceError, ConfigError."""
    check_address(path)
    check_address(path)
    opener = tcp_ports.opener_of(path) if tcp_ports.is_tcp(path) else None
    if isinstance(opener, tcp_ports.Caller):
        return opener()
    try:
        line = _open_serial(path, baud) if FileLine.is_serial(path) else FileLine(path)
    except (OSError, serial.SerialException) as error:
        raise DeviceError(f"{path}: {error.strerror or error}") from error
    return line


def _open_serial(path: str, baud: int) -> Line:
    opened: Line = serial.Serial(path, baud, timeout=READ_S, write_timeout=PRINT_S_MAX, exclusive=True)
    return opened


@dataclass(slots=True)
class Printer:
    """A printer at the end of a line. `now` is monotonic seconds."""

    line: Line
    name: str
    language: str
    now: Callable[[], float]
    asks: bool = True

    def put(self, data: bytes) -> None:
        """Print. Raises DeviceError that says what is wrong, and whether the label may have been printed."""
        if self.asks:
            self._require_well("nothing was sent")
        self._write(data)
        if self.asks:
            self._wait()

    def _write(self, data: bytes) -> None:
        try:
            self.line.write(data)
        except OSError as error:
            raise DeviceError(f"{self.name}: the printer takes nothing more: {error}") from error

    def _require_well(self, what: str) -> None:
        trouble = self._trouble_escpos() if self.language == "escpos" else self._trouble_zpl()
        if trouble:
            raise DeviceError(f"{self.name}: {trouble}; {what}")

    def _ask(self, question: bytes, find: Callable[[bytes], bytes], within_s: float = ANSWER_S) -> bytes:
        """Return the answer that `find` finds in what comes; none when there is none in time."""
        while self._read():
            pass  # what nobody asked for
        self._write(question)
        heard, until = b"", self.now() + within_s
        while self.now() < until:
            heard = (heard + self._read())[-HEARD_SIZE_MAX:]
            if found := find(heard):
                return found
        return b""

    def _read(self) -> bytes:
        try:
            return self.line.read(256)
        except OSError as error:
            raise DeviceError(f"{self.name}: the printer went away: {error}") from error

    # ESC/POS

    def _trouble_escpos(self) -> str:
        for number, bits in TROUBLES.items():
            answer = self._ask(bytes((0x10, 0x04, number)), _status)
            if not answer and number != PAPER:
                continue  # small printers know only the question for the paper
            if not answer:
                return "the printer does not answer: is it on, and does its line go both ways (`ask = false`)?"
            for bit, trouble in bits:
                if answer[0] & bit:
                    return trouble
        return ""

    # ZPL

    def _trouble_zpl(self) -> str:
        fields = self._host_status()
        if not fields:
            return "the printer does not answer ~HS: is it on, and does its line go both ways (`ask = false`)?"
        said = (
            (fields[0][1], "the paper is out"),
            (fields[1][2], "the head is open"),
            (fields[1][3], "the ribbon is out"),
            (fields[0][2], "it is paused"),
            (fields[0][10], "its head is too cold"),
            (fields[0][11], "its head is too hot"),
        )
        return next((trouble for flag, trouble in said if flag == "1"), "")

    def _host_status(self) -> list[list[str]]:
        answer = self._ask(b"~HS", _three_lines)
        lines = [part.partition(ETX)[0].decode("ascii", "replace").split(",") for part in answer.split(STX)[1:4]]
        return lines if [len(line) for line in lines[:2]] == [12, 11] else []

    # Afterwards

    def _wait(self) -> None:
        """Return when the label is printed."""
        if self.language == "escpos":
            if not self._ask(b"\x1dr\x01", _sensors, PRINT_S_MAX):
                self._require_well("the label may not be whole")
                raise DeviceError(f"{self.name}: the printer does not say that it has printed; look at the label")
            self._require_well("the label may not be whole")
            return
        until = self.now() + PRINT_S_MAX
        while self.now() < until:
            self._require_well("the label may not be whole")
            fields = self._host_status()
            if fields and not (fields[0][4].strip("0") or fields[1][8].strip("0")):
                return
        raise DeviceError(f"{self.name}: the printer does not say that it has printed; look at the label")


def _status(heard: bytes) -> bytes:
    return next((bytes((byte,)) for byte in heard if byte & 0x93 == 0x12), b"")


def _sensors(heard: bytes) -> bytes:
    return next((bytes((byte,)) for byte in heard if byte & 0x90 == 0), b"")


def _three_lines(heard: bytes) -> bytes:
    return heard if heard.count(ETX) >= 3 else b""


def check_address(path: str) -> None:
    """Raise ConfigError for an address that no printer can have."""
    if not path.startswith(("/", "tcp://")):
        raise ConfigError(f"{path!r}: want /dev/… or tcp://HOST:PORT")
    if tcp_ports.is_tcp(path):
        tcp_ports.opener_of(path)
