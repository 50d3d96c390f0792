"""The owner of a serial line: one thread that opens it, reads it at once, and opens it again when it comes back.

Bytes wait in memory, not in the kernel's 4 KiB, while the disk is busy: at 115,200 baud `QUEUE_SIZE_MAX` lasts 22 s.
Who drives the kit takes them with `take`, in the order in which they came, with the appearing and vanishing of the
port among them. Nothing here survives a crash; a device that expects answers sends again what was not acknowledged.

A port is named by where it is plugged in (`/dev/serial/by-path/…`): cheap adapters have no serial number, and
`ttyUSB0` is whichever was found first. The name is resolved anew at each opening, so a device may return as another
`ttyUSBn`. The line is opened for us alone (`TIOCEXCL` and a lock), and left alone when somebody else has it.

A path may also be an address (`edge.tcp_ports`); the rest of the kit knows no difference.

Where the line has counters of its errors (`edge.line_errors`), they are read before each piece is handed over, and
every COUNT_S while nothing comes; when they have grown, `Counted` stands before the piece that came with it.

Unplugging is many things to pyserial: `SerialException` ("device reports readiness to read but returned no data"),
`OSError` (EIO, ENXIO), `TypeError` when the descriptor went in the middle of a call. All of them are "vanished".
"""

import errno
import fcntl
import termios
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

import serial

from edge import tcp_ports
from edge.driver import Line
from edge.line_errors import Ioctl, LineErrors, read_errors
from node.clock import Clock
from node.line_faults import why_not_opened
from wire.errors import DeviceError

QUEUE_SIZE_MAX: Final = 1 << 18
QUEUE_COUNT_MAX: Final = 1 << 16
CHANGES_COUNT_MAX: Final = 1_024
"""Comings and goings of the port that are kept beyond that."""
READ_S: Final = 0.2
"""A read comes back at least this often, to see whether we are to stop."""
RETRY_S_MIN: Final = 0.25
RETRY_S_MAX: Final = 5.0
COUNT_S: Final = 3.0
"""How often the counters of a silent line are read."""
WAIT_S: Final = 0.01
"""How long what can wait is not read while the queue is filled."""
WRITE_S_MAX: Final = 1.0
STALE_S: Final = 2.0
READ_SIZE: Final = 4_096
RECORD_SIZE_MAX: Final = 64 << 20
"""A recording ends here, bytes."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes, and when they came (`Clock.now`)."""

    data: bytes
    now: float


@dataclass(frozen=True, slots=True)
class Appeared:
    """The port is open; `device` is what its name stands for at present."""

    device: str
    now: float


@dataclass(frozen=True, slots=True)
class Vanished:
    """The port cannot be opened or has gone; said once for each reason until it is back."""

    reason: str
    now: float


@dataclass(frozen=True, slots=True)
class Dropped:
    """The queue was full: so many bytes were lost."""

    bytes_count: int
    now: float


@dataclass(frozen=True, slots=True)
class Tuned:
    """The line is set to this: what comes after it came at it."""

    line: Line
    now: float


@dataclass(frozen=True, slots=True)
class Counted:
    """What the kernel has counted of the line since it is open. Said at first, and when it has grown."""

    errors: LineErrors
    now: float


Item = Heard | Appeared | Vanished | Dropped | Tuned | Counted


class Recorder:
    """Writes a transcript: a line for each piece, `<` from the device, `>` to it, seconds and hex. Bounded.

    Seconds count from the first piece. `edge.recording` reads what is written here.
    """

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._room = RECORD_SIZE_MAX
        self._began: float | None = None
        self._last = 0.0
        self.bytes_count = 0
        """How many bytes of both directions are in it."""
        self.is_full = False
        """Something was not written any more."""
        self.fault = ""
        """Why the file takes no more, in the system's words."""
        self._lock = threading.Lock()

    def __call__(self, direction: str, data: bytes, now: float) -> None:
        """Add one piece."""
        with self._lock:
            self._began = now if self._began is None else self._began
            self._last = max(self._last, now - self._began)  # a write and a read may cross on their way here
            line = f"{direction} {self._last:.3f} {data.hex()}\n"
            self.is_full = self.is_full or len(line) > self._room
            if not self.is_full:
                self._write(line, len(data))

    def _write(self, line: str, size: int) -> None:
        """A recording that cannot go on is no reason for a port to stop."""
        try:
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self.is_full, self.fault = True, error.strerror or str(error)
        else:
            self._room -= len(line)
            self.bytes_count += size


class _Queue:
    """What was read and not yet taken; bounded in bytes and in items. That the port came or went is never dropped."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._size = 0
        self._dropped = 0
        self._dropped_at = 0.0
        self._counted: Counted | None = None
        """The newest counters of a line whose bytes are being dropped: they stand where the dropping ends."""
        self._lock = threading.Lock()

    def put(self, item: Item) -> None:
        with self._lock:
            if isinstance(item, Heard):
                size = len(item.data)
                if self._size + size > QUEUE_SIZE_MAX or len(self._items) >= QUEUE_COUNT_MAX:
                    self._dropped, self._dropped_at = self._dropped + size, item.now
                    return
                self._size += size
            elif isinstance(item, Counted) and self._dropped:
                self._counted = item
                return
            self._own_up()
            while len(self._items) >= QUEUE_COUNT_MAX + CHANGES_COUNT_MAX and self._forget_a_change():
                pass
            self._items.append(item)

    def _own_up(self) -> None:
        """Say what was dropped, where it was."""
        if self._dropped:
            self._items.append(Dropped(self._dropped, self._dropped_at))
            self._dropped = 0
        if self._counted is not None:
            self._items.append(self._counted)
            self._counted = None

    def _forget_a_change(self) -> bool:
        """A port that comes and goes all the time while nobody takes: how often it did is forgotten, not how it is.

        Counters go first, for the next say the same; a setting that was made stays, for somebody waits for it. What
        was dropped before and after is added up. False when there is nothing to forget.
        """
        for shape in (Counted, Appeared | Vanished):
            old = next((at for at, item in enumerate(self._items) if isinstance(item, shape)), None)
            if old is not None:
                del self._items[old]
                self._add_up(old)
                return True
        return False

    def _add_up(self, at: int) -> None:
        """Two neighbours that say what was dropped say it together."""
        before, after = (self._items[one] if 0 <= one < len(self._items) else None for one in (at - 1, at))
        if isinstance(before, Dropped) and isinstance(after, Dropped):
            self._items[at] = Dropped(before.bytes_count + after.bytes_count, after.now)
            del self._items[at - 1]

    @property
    def is_half_full(self) -> bool:
        with self._lock:
            return self._size > QUEUE_SIZE_MAX // 2 or len(self._items) > QUEUE_COUNT_MAX // 2

    def take(self) -> list[Item]:
        with self._lock:
            self._own_up()
            items = list(self._items)
            self._items.clear()
            self._size = 0
        return items


class SerialLine(serial.Serial):
    """A line that is not emptied when it is opened: some devices speak at once."""

    can_wait = False

    @property
    def device(self) -> str:
        return str(Path(self.name or "").resolve())

    def tune(self, line: Line) -> None:
        """Set the open line otherwise, all at once. What a line does not know stays (a pty has no parity)."""
        self._baudrate, self._bytesize, self._parity, self._stopbits = (
            line.baud,
            line.data_bits,
            line.parity,
            line.stop_bits,
        )
        try:
            self._reconfigure_port(force_update=True)  # type: ignore[attr-defined]  # pyserial has no types
        except termios.error as error:
            if error.args[0] != errno.EINVAL:
                raise
        termios.tcflush(self, termios.TCIFLUSH)  # what lies there was heard at the setting before

    def _reset_input_buffer(self) -> None:
        """Keep what is there when it is opened."""


class PortOwner:
    """See the module's text. `wake` is called from the thread whenever there is something to take."""

    def __init__(
        self,
        name: str,
        path: str,
        line: Line,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
        record: Recorder | None = None,
        ioctl: Ioctl = fcntl.ioctl,
    ) -> None:
        self.name, self.path, self.line, self._ioctl = name, path, line, ioctl
        self._clock, self._wake, self._record = clock, wake, record
        self._queue = _Queue()
        self._open = opener_of(path, line)
        self._serial: Opened | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"port {name}", daemon=True)
        self._reason = ""
        self._last_heard_at = 0.0
        self._wanted: Line | None = None
        """Another setting, that the thread is to make."""
        self._counted: LineErrors | None = None
        """The line's counters as they were read last; None: it has none."""
        self._began_with = LineErrors()
        self._count_at = 0.0

    def start(self) -> None:
        """Begin to open and read."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port; returns when the thread is gone."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def is_present(self) -> bool:
        """The port is open."""
        return self._serial is not None

    def take(self) -> list[Item]:
        """Return what came since the last call, oldest first."""
        return self._queue.take()

    def retune(self, line: Line) -> None:
        """Set the line otherwise, without closing it; `Tuned` stands among what is taken where it came into force."""
        self._wanted = line

    def write(self, data: bytes, heard_at: float | None = None) -> bool:
        """Send to the device; False when the port is gone or takes nothing: the device will ask again.

        `heard_at`: when that came which is answered. An answer is not sent when the device has spoken again
        `STALE_S` later: it has given up waiting, and would take a late ACK for that of something else.
        """
        port = self._serial
        if port is None or not data or (heard_at is not None and self._last_heard_at - heard_at > STALE_S):
            return False
        try:
            port.write(data)
        except (serial.SerialException, OSError, TypeError):
            return False
        self._note(">", data)
        return True

    # The thread

    def _run(self) -> None:
        retry_s = RETRY_S_MIN
        while not self._stopping.is_set():
            try:
                port = self._open()
            except DeviceError as error:
                self._say_vanished(str(error))
                self._stopping.wait(retry_s)
                retry_s = min(retry_s * 2, self._open.retry_s_max)
                continue
            retry_s = RETRY_S_MIN
            self._serve(port)
        self._open.close()

    def _serve(self, port: "Opened") -> None:
        self._serial, self._reason = port, ""
        self._put(Appeared(port.device, self._clock.now()))
        try:
            self._begin_counting(port)
            while not self._stopping.is_set():
                if port.can_wait and self._queue.is_half_full:
                    self._stopping.wait(WAIT_S)
                    continue
                if self._wanted is not None:
                    self._tune(port)
                data = port.read(1)
                if data:
                    data += port.read(min(port.in_waiting, READ_SIZE))
                    self._note("<", data)
                    self._last_heard_at = self._clock.now()
                    self._count(port, self._last_heard_at)
                    self._put(Heard(data, self._last_heard_at))
                elif (now := self._clock.now()) >= self._count_at:
                    self._count(port, now)
        except (serial.SerialException, OSError, TypeError, termios.error) as error:
            self._serial = None
            self._say_vanished(f"{self.path}: the port vanished: {error}")
        finally:
            self._serial = None
            _close(port)
        self._stopping.wait(RETRY_S_MIN)

    def _tune(self, port: "Opened") -> None:
        """One that cannot be made, for the port vanishes, is made when it is back: nobody asks for it twice."""
        line = self._wanted
        if line is not None and isinstance(port, SerialLine):
            port.tune(line)
            self.line, self._open = line, opener_of(self.path, line)
            self._put(Tuned(line, self._clock.now()))
        if self._wanted is line:
            self._wanted = None

    def _begin_counting(self, port: "Opened") -> None:
        """What was counted before the line was opened is nobody's."""
        self._counted = read_errors(port.fileno(), self._ioctl) if isinstance(port, SerialLine) else None
        if self._counted is not None:
            self._began_with = self._counted
            self._put(Counted(LineErrors(), self._clock.now()))

    def _count(self, port: "Opened", now: float) -> None:
        self._count_at = now + COUNT_S
        if self._counted is None or not isinstance(port, SerialLine):
            return
        errors = read_errors(port.fileno(), self._ioctl)
        if errors is not None and errors != self._counted:
            self._counted = errors
            self._put(Counted(errors.less(self._began_with), now))

    def _say_vanished(self, reason: str) -> None:
        if reason != self._reason:
            self._reason = reason
            self._put(Vanished(reason, self._clock.now()))

    def _put(self, item: Item) -> None:
        self._queue.put(item)
        self._wake()

    def _note(self, direction: str, data: bytes) -> None:
        if self._record is not None:
            self._record(direction, data, self._clock.now())


class Opened(Protocol):
    """A line that is open. `device`: what its name stands for at present.

    `can_wait`: its sender waits while we do not read, and loses nothing. A serial line's does not know of us.
    """

    @property
    def can_wait(self) -> bool: ...
    @property
    def device(self) -> str: ...
    @property
    def in_waiting(self) -> int: ...
    def read(self, size: int = 1, /) -> bytes: ...
    def write(self, data: bytes, /) -> int | None: ...
    def close(self) -> None: ...


class Opener(Protocol):
    """Opens a line as often as is needed. Raises DeviceError that says which and why."""

    @property
    def retry_s_max(self) -> float:
        """How long to wait between two tries."""
        ...

    def __call__(self) -> Opened: ...
    def close(self) -> None:
        """No line will be wanted any more."""
        ...


class _SerialOpener:
    retry_s_max = RETRY_S_MAX

    def __init__(self, path: str, line: Line) -> None:
        self._path, self._line = path, line

    def __call__(self) -> "SerialLine":
        return open_line(self._path, self._line)

    def close(self) -> None:
        """Nothing is kept between two openings."""


def opener_of(path: str, line: Line) -> Opener:
    """Return what opens the line at a path. Raises ConfigError for an address that is none."""
    return tcp_ports.opener_of(path) if tcp_ports.is_tcp(path) else _SerialOpener(path, line)


def try_open(path: str, line: Line) -> None:
    """Open a line and close it again; one that is called from outside is only listened on. Raises DeviceError."""
    opener = opener_of(path, line)
    try:
        if isinstance(opener, tcp_ports.Listener):
            opener.listen()
        else:
            opener().close()
    finally:
        opener.close()


def _close(port: Opened) -> None:
    try:
        port.close()
    except (serial.SerialException, OSError, TypeError):
        return


def open_line(path: str, line: Line) -> "SerialLine":
    """Open a line for us alone. Raises DeviceError that says which and why: missing, busy, forbidden."""
    if not Path(path).exists():
        raise DeviceError(f"{path}: there is no such port; is the device plugged in and switched on?")
    try:
        return SerialLine(
            path,
            baudrate=line.baud,
            bytesize=line.data_bits,
            parity=line.parity,
            stopbits=line.stop_bits,
            timeout=READ_S,
            write_timeout=WRITE_S_MAX,
            exclusive=True,
        )
    except (serial.SerialException, OSError, ValueError, termios.error) as error:
        raise DeviceError(f"{path}: cannot be opened at {line}: {why_not_opened(path, error)}") from error
