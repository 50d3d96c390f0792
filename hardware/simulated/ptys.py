"""Runs a simulated device in real time on a pty, or on a real serial line.

The pty's far end is what a kit opens; `link` gives it a name that stays the same, like `/dev/serial/by-path`. Our end
keeps the far one open, so that a kit may come and go without the pty hanging up, as a cable would.
"""

import os
import select
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hardware.simulated.device import Device
from hardware.simulated.uart import heard_at
from wire.errors import DeviceError

WAIT_S_MAX: Final = 0.25
READ_SIZE: Final = 4_096
SPEEDS: Final = {
    getattr(termios, f"B{baud}"): baud
    for baud in (300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400)
}
LINGER_S: Final = 0.3
"""After the last byte, so that the far end has read it."""


@contextmanager
def open_pty(link: str = "") -> Iterator[tuple[int, str]]:
    """Give (descriptor, path of the far end); the path is the link when one is wanted."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    path = os.ttyname(theirs)
    if link:
        _point(link, path)
    try:
        yield ours, link or path
    finally:
        if link and Path(link).is_symlink():
            Path(link).unlink()
        os.close(ours)
        os.close(theirs)


def _point(link: str, path: str) -> None:
    fresh = Path(f"{link}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(path)
    fresh.replace(link)


@contextmanager
def open_line(path: str, baud: int) -> Iterator[tuple[int, str]]:
    """Give (descriptor, path) of a real serial line, raw, at `baud` 8N1. Raises DeviceError, OSError."""
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise DeviceError(f"{path}: there is no such speed as {baud} baud")
    line = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        if not os.isatty(line):
            raise DeviceError(f"{path}: this is no serial line")
        tty.setraw(line)
        settings = termios.tcgetattr(line)
        settings[4] = settings[5] = speed
        termios.tcsetattr(line, termios.TCSANOW, settings)
        yield line, path
    finally:
        os.close(line)


def run(
    device: Device, line: int, now: Callable[[], float], stopped: Callable[[], bool] = lambda: False, baud: int = 0
) -> bool:
    """Let the device speak on `line` until it is done or `stopped`; return whether it is done.

    `baud`: on a pty, which has no speed of its own, who has set it to another one hears what a UART would.
    """
    while not stopped():
        _write(line, at_speed(line, device.tick(now()), baud))
        if device.is_done:
            select.select([], [], [], LINGER_S)
            return True
        _write(line, at_speed(line, _hear(device, line, now, baud), baud))
    return device.is_done


def speed_of(line: int) -> int:
    """Return the speed that the far end of a pty is set to, baud; 0 where it is none of the usual."""
    return SPEEDS.get(termios.tcgetattr(line)[5], 0)


def at_speed(line: int, data: bytes, baud: int, *, is_heard: bool = False) -> bytes:
    """Return what arrives at the far end of what is sent at `baud`, or (`is_heard`) here of what it has sent."""
    other = speed_of(line) if baud and data else 0
    if not other or other == baud:
        return data
    return heard_at(data, other, baud) if is_heard else heard_at(data, baud, other)


def _hear(device: Device, line: int, now: Callable[[], float], baud: int) -> bytes:
    due = device.deadline()
    wait_s = WAIT_S_MAX if due is None else min(max(0.0, due - now()), WAIT_S_MAX)
    readable, _, _ = select.select([line], [], [], wait_s)
    if not readable:
        return b""
    try:
        return device.feed(at_speed(line, os.read(line, READ_SIZE), baud, is_heard=True), now())
    except (BlockingIOError, OSError):
        return b""


def _write(line: int, data: bytes) -> None:
    """Write all of it; a far end that does not read for a second loses the rest, as on a real line."""
    while data:
        _, writable, _ = select.select([], [line], [], 1.0)
        if not writable:
            return
        try:
            data = data[os.write(line, data) :]
        except BlockingIOError:
            continue
