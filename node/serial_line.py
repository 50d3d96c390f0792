"""A serial line on asyncio, and the shell that drives a `Modem` on one for a road.

`SerialLine` owns one open descriptor: for us alone (a lock), 8N1, not blocking. What cannot be written at once waits in
a bounded queue; `unsent` tells how much, so that a bearer can say that it has no room. A line that goes away (a USB
plug pulled, the far end of a pty closed) shows itself as EIO, ENXIO or an empty read: all of them are "vanished".

`ModemShell` opens the line, feeds and ticks the modem (`node/modems/seam.py`), writes what it says, and opens the line
again when it has come back, by its name: `/dev/serial/by-path/…` may be another `ttyUSBn` each time. Nothing survives.
"""

import asyncio
import contextlib
import os
import termios
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import serial

from node.line_faults import why_not_opened
from node.modems.script import Controls
from node.modems.seam import Bearer, Ears, Modem, ModemState, ModemStatus
from node.roads import Shell
from wire.errors import DeviceError

READ_SIZE: Final = 4096
QUEUE_SIZE_MAX: Final = 1 << 16
"""More than that unsent is a line that takes nothing: it is given up."""
RETRY_S_MIN: Final = 0.25
RETRY_S_MAX: Final = 5.0
TICK_S_MIN: Final = 0.001
FAREWELL_S_MAX: Final = 12.0
"""A modem has so long to hang up when its road is closed."""
_FAULTS: Final = (serial.SerialException, OSError, termios.error)
"""What a line raises that goes away in the middle of a call; pyserial lets the last one, no OSError, through."""


class SerialLine:
    """One open line. Raises DeviceError, which says what is wrong with `path`, when it cannot be opened.

    `received` gets bytes, `vanished` the reason why the line is gone (once; it is closed by then), `drained` is called
    when everything unsent has gone out.
    """

    def __init__(
        self,
        path: str,
        baud: int,
        received: Callable[[bytes], None],
        vanished: Callable[[str], None],
        drained: Callable[[], None] = lambda: None,
        *,
        rtscts: bool = False,
    ) -> None:
        self.path = path
        self._received, self._vanished, self._drained = received, vanished, drained
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._is_writing = False
        self._port: serial.Serial | None = _open(path, baud, rtscts=rtscts)
        self._fd = self._port.fileno()
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._read)

    @property
    def is_open(self) -> bool:
        return self._port is not None

    def unsent(self) -> int:
        """Return how many bytes have not left yet, the kernel's among them where it tells."""
        try:
            return len(self._unsent) + (0 if self._port is None else self._port.out_waiting)
        except _FAULTS:
            return len(self._unsent)

    def write(self, data: bytes) -> None:
        """Send, as soon as the line takes it."""
        if self._port is None or not data:
            return
        if len(self._unsent) + len(data) > QUEUE_SIZE_MAX:
            self._vanish(f"{self.path}: the line takes nothing; is the modem there, and is its RTS/CTS wired?")
            return
        self._unsent += data
        if not self._is_writing:
            self._write()

    def set_baud(self, baud: int) -> None:
        """Change the speed, both ways; a line that has none (a pty) keeps its own."""
        if self._port is not None:
            with contextlib.suppress(*_FAULTS, ValueError):
                self._port.baudrate = baud

    def set_dtr(self, on: bool) -> None:
        """Raise or drop DTR, where the line has it."""
        if self._port is not None:
            with contextlib.suppress(*_FAULTS):
                self._port.dtr = on

    def has_carrier(self) -> bool | None:
        """Return whether DCD is raised; None where the line has none."""
        try:
            return None if self._port is None else bool(self._port.cd)
        except _FAULTS:
            return None

    def close(self) -> None:
        """Close it, with what is unsent. Harmless when repeated."""
        port, self._port = self._port, None
        if port is None:
            return
        self._loop.remove_reader(self._fd)
        self._stop_writing()
        self._unsent.clear()
        with contextlib.suppress(*_FAULTS, TypeError):
            port.close()

    def _read(self) -> None:
        try:
            data = os.read(self._fd, READ_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._vanish(f"{self.path}: the line has gone: {error.strerror}")
            return
        if data:
            self._received(data)
        else:
            self._vanish(f"{self.path}: the line has gone")

    def _write(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._fd, self._unsent)]
        except BlockingIOError:
            if not self._is_writing:
                self._is_writing = True
                self._loop.add_writer(self._fd, self._write)
            return
        except OSError as error:
            self._vanish(f"{self.path}: the line has gone: {error.strerror}")
            return
        if self._is_writing:
            self._stop_writing()
            self._drained()

    def _stop_writing(self) -> None:
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._fd)

    def _vanish(self, reason: str) -> None:
        self.close()
        self._vanished(reason)


def _open(path: str, baud: int, *, rtscts: bool) -> serial.Serial:
    if not Path(path).exists():
        raise DeviceError(f"{path}: there is no such line; is the modem plugged in and switched on?")
    try:
        return serial.Serial(path, baud, timeout=0, write_timeout=0, rtscts=rtscts, exclusive=True)
    except (*_FAULTS, ValueError) as error:
        raise DeviceError(f"{path}: cannot be opened: {why_not_opened(path, error)}") from error


def try_line(path: str, baud: int) -> None:
    """Open the line for us alone and close it again. Raises DeviceError as `SerialLine` does."""
    _open(path, baud, rtscts=False).close()


class Maker(Protocol):
    """Makes the modem of a line. `wake`: call it when `output` or `deadline` changed outside `feed` and `tick`."""

    def __call__(self, ears: Ears, controls: Controls, wake: Callable[[], None]) -> Modem: ...


class _ShellEars:
    """A road's shell, as a modem sees it."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def bearer_up(self, bearer: Bearer, now: float) -> None:
        self._shell.up(bearer)

    def bearer_down(self, bearer: Bearer, now: float) -> None:
        self._shell.down(bearer)

    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None:
        self._shell.receive(bearer, frame)

    def tick(self, now: float) -> None:
        self._shell.tick()


class ModemShell:
    """Drives the modem that `make` makes, on the line at `path`, for a road's `shell`. `run` returns only cancelled.

    `note` hears how the modem stands whenever that has changed.
    """

    def __init__(
        self,
        shell: Shell,
        make: Maker,
        path: str,
        baud: int,
        *,
        rtscts: bool = False,
        note: Callable[[ModemStatus], None] | None = None,
    ) -> None:
        self._shell, self._path, self._baud, self._rtscts = shell, path, baud, rtscts
        self._note_modem, self._noted = note, ModemStatus(ModemState.OFF)
        self._loop = asyncio.get_running_loop()
        self._line: SerialLine | None = None
        self._timer: asyncio.Handle | None = None
        self._changed = asyncio.Event()
        self._reason = self._said = ""
        self._fault: Exception | None = None
        self._is_leaving = False
        self.modem = make(_ShellEars(shell), self, self.wake)

    # Controls of the modem

    def set_baud(self, baud: int) -> None:
        self._baud = baud
        if self._line is not None:
            self._line.set_baud(baud)

    def set_dtr(self, on: bool) -> None:
        if self._line is not None:
            self._line.set_dtr(on)

    def reopen(self) -> None:
        self._loop.call_soon(self._vanished, f"{self._path}: opened anew")

    def unsent(self) -> int:
        return 0 if self._line is None else self._line.unsent()

    def has_carrier(self) -> bool | None:
        return None if self._line is None else self._line.has_carrier()

    def wake(self) -> None:
        """Look at the modem soon."""
        self._arm(self._shell.now())

    # The run

    async def run(self) -> None:
        """Keep the modem going until cancelled; then hang up. Raises what is a defect of ours."""
        retry_s = RETRY_S_MIN
        try:
            while True:
                try:
                    await self._serve()
                    retry_s = RETRY_S_MIN
                except DeviceError as error:
                    self._note(str(error))
                    self._look_for_modem()
                    retry_s = min(retry_s * 2, RETRY_S_MAX)
                await asyncio.sleep(retry_s)
        finally:
            await self._leave()

    async def _serve(self) -> None:
        """Open the line, and return when it has gone."""
        self._open()
        await self._changed.wait()
        if self._fault is not None:
            raise self._fault
        self._note(self._reason)

    def _open(self) -> None:
        self._changed.clear()
        self._line = SerialLine(self._path, self._baud, self._received, self._vanished, self._tick, rtscts=self._rtscts)
        self._step(lambda: self.modem.open(self._shell.now()))

    def _look_for_modem(self) -> None:
        """A line that another program has is there; one that is not may come when its modem is switched on."""
        if not Path(self._path).exists():
            self._step(lambda: self.modem.missing(self._shell.now()))
        if self._fault is not None:
            raise self._fault

    async def _leave(self) -> None:
        """Let the modem hang up, for a bounded time, and close the line."""
        self._is_leaving = True
        try:
            if self._line is None:
                self._step(lambda: self.modem.hang_up(self._shell.now()))
            if self._line is not None and self._fault is None:
                self._changed.clear()
                self._step(lambda: self.modem.hang_up(self._shell.now()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL_S_MAX):
                        await self._changed.wait()
        finally:
            self._vanished("")
            if self._timer is not None:
                self._timer.cancel()

    def _received(self, data: bytes) -> None:
        self._step(lambda: self.modem.feed(data, self._shell.now()))

    def _tick(self) -> None:
        self._step(lambda: self.modem.tick(self._shell.now()))

    def _vanished(self, reason: str) -> None:
        line, self._line = self._line, None
        if line is None:
            return
        line.close()
        self._reason = reason
        if self._fault is not None:
            with contextlib.suppress(Exception):  # its bearer must go down all the same; the first fault is raised
                self.modem.lost(self._shell.now())
        self._step(lambda: self.modem.lost(self._shell.now()))
        self._changed.set()

    def _step(self, call: Callable[[], None]) -> None:
        if self._fault is not None:
            return
        try:
            call()
            self._write()
        except Exception as error:  # noqa: BLE001 - it is raised again by `run`
            self._fault = error
            self._changed.set()
            return
        at = self.modem.deadline()
        if at is not None:
            self._arm(at)
        self._note_status(self.modem.status())

    def _write(self) -> None:
        data = self.modem.output()
        if data and self._line is not None:
            self._line.write(data)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._fault is None:
            self._timer = self._loop.call_at(max(at, self._shell.now() + TICK_S_MIN), self._tick)

    def _note_status(self, status: ModemStatus) -> None:
        known = replace(status, network_time_ms=self._noted.network_time_ms)
        is_new = known != self._noted or (status.network_time_ms is None) != (known.network_time_ms is None)
        if self._note_modem is not None and is_new:
            self._noted = status
            self._note_modem(status)
        if self._is_leaving:
            if status.state is ModemState.OFF:
                self._changed.set()
        elif self._line is not None:
            self._note("" if status.state is ModemState.UP else status.trouble or status.state.value)

    def _note(self, text: str) -> None:
        if text != self._said and not self._is_leaving:
            self._said = text
            self._shell.note_error(text)


__all__ = ["FAREWELL_S_MAX", "Maker", "ModemShell", "SerialLine", "try_line"]
