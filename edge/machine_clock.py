"""Asks the kernel how good its clock is: adjtimex(2) of Linux, the clocks with a battery, the boot.

It reads only. Where the kernel does not answer (another system, a sandbox) nothing is known, which is no error.
"""

import ctypes
import functools
from pathlib import Path
from typing import ClassVar, Final
from uuid import UUID

from edge.timekeeping import MachineClock

STA_UNSYNC: Final = 0x0040
"""<linux/timex.h>: nobody disciplines the clock, or has not for hours."""
BOOT_SIZE: Final = 8
RTC: Final = Path("/sys/class/rtc")
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Timex(ctypes.Structure):
    """struct timex of 64-bit Linux (adjtimex(2)); `maxerror` is in microseconds."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    ]


def machine_clock() -> MachineClock:
    """Return what the machine says of its clock now."""
    synchronised, error_ms = _disciplined()
    return MachineClock(synchronised, error_ms, _has_rtc(), _boot())


def _disciplined() -> tuple[bool, int]:
    timex = Timex()  # modes 0: nothing is changed
    try:
        state = _libc().adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return False, 0
    if state < 0 or timex.status & STA_UNSYNC:
        return False, 0
    return True, -(-timex.maxerror // 1000)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


@functools.cache
def _has_rtc() -> bool:
    """Tell whether the system took its time from a clock with a battery when it started."""
    return any(_text(one) == "1" for one in RTC.glob("*/hctosys"))


@functools.cache
def _boot() -> bytes:
    try:
        return UUID(_text(BOOT_ID)).bytes[:BOOT_SIZE]
    except ValueError:
        return b""


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
