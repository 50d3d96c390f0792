"""Lets simulated modems speak on ptys in real time, and their network with real sockets.

A pty stands for the cable: its speed is the host's end's, so that a wrong speed garbles; a modem that has vanished from
the bus takes its pty with it, and comes back on another behind the same link. What the modem does not take (CTS) stays
in the pty. DTR, DCD and RI a pty does not have.
"""

import os
import select
import termios
import tty
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

from hardware.simulated.modems.machine import Machine
from hardware.simulated.modems.sockets import RealNetwork
from hardware.simulated.modems.timing import earliest

WAIT_S_MAX: Final = 0.25
READ_SIZE: Final = 2_048
UNWRITTEN_MAX: Final = 65_536
"""What a host that does not read leaves lying; more is lost."""
SPEEDS: Final = {
    getattr(termios, f"B{baud}"): baud
    for baud in (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
    if hasattr(termios, f"B{baud}")
}


class Timed(Protocol):
    """What is not on a line and has its own time: an air, a ground, an exchange."""

    def tick(self, now: float) -> None: ...
    def deadline(self) -> float | None: ...


class PtyLine:
    """One modem on one pty. `link` is a name that stays the same; raises OSError when it cannot be made."""

    def __init__(self, modem: Machine, link: str = "") -> None:
        self.modem, self._link = modem, link
        self._master = self._slave = -1
        self._path = ""
        self._unwritten = b""
        self._plug()

    @property
    def path(self) -> str:
        return self._link or self._path

    @property
    def file(self) -> int:
        """The descriptor to wait on: -1 while nothing is to be read from it."""
        return self._master if self.modem.room() else -1

    def run(self, now: float) -> None:
        """Carry what is there, both ways."""
        if self.modem.is_present and self._master < 0:
            self._plug()
        data = self._read() if self._master >= 0 else b""
        if data:
            self.modem.host_baud = self._baud()
            self.modem.feed(data, now)
        else:
            self.modem.tick(now)
        if not self.modem.is_present and self._master >= 0:
            self.unplug()
        self._write(self.modem.output())

    def unplug(self) -> None:
        """Take the pty away, as a cable that is pulled."""
        for one in (self._master, self._slave):
            if one >= 0:
                os.close(one)
        if self._link and Path(self._link).is_symlink():
            Path(self._link).unlink()
        self._master = self._slave = -1
        self._unwritten = b""

    def _plug(self) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._path = os.ttyname(self._slave)
        if self._link:
            fresh = Path(f"{self._link}.new")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self._path)
            fresh.replace(self._link)

    def _baud(self) -> int | None:
        """Return what the host has set; None for the speed that a fresh pty has."""
        speed = termios.tcgetattr(self._master)[5]
        return None if speed == termios.B38400 else SPEEDS.get(speed)

    def _read(self) -> bytes:
        room = min(READ_SIZE, self.modem.room())
        try:
            return os.read(self._master, room) if room else b""
        except OSError:
            return b""

    def _write(self, data: bytes) -> None:
        data = (self._unwritten + data)[:UNWRITTEN_MAX]
        if data and self._master >= 0:
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                pass
            except OSError:
                data = b""
        self._unwritten = data

    def deadline(self, now: float) -> float | None:
        return now + 0.02 if self._unwritten else self.modem.deadline()


def run(
    lines: Sequence[PtyLine],
    around: Sequence[Timed],
    network: RealNetwork,
    clock: Callable[[], float],
    stopped: Callable[[float], bool],
    speed: float = 1.0,
) -> float:
    """Go on until `stopped(seconds since the start)`; return how long it was. `speed`: the modems' seconds in one."""
    start, now = clock(), 0.0
    while not stopped(now):
        now = (clock() - start) * speed
        for one in (network, *around):
            one.tick(now)
        for line in lines:
            line.run(now)
        due = earliest(*(line.deadline(now) for line in lines), *(one.deadline() for one in (network, *around)))
        wait_s = WAIT_S_MAX if due is None else min(max(0.0, due - now) / speed, WAIT_S_MAX)
        files = [line.file for line in lines if line.file >= 0] + [*network.files]
        select.select(files, [], [], wait_s)
    return now
