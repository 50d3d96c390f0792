"""What the kernel counts of a serial line: bytes that came garbled, and bytes that it lost before we read them.

`read_errors` asks for the counters (ioctl TIOCGICOUNT, linux/serial.h `serial_icounter_struct`): of a UART and of most
USB adapters; a pty and some adapters have none. `Tally` adds up what one port has counted since the kit's start and
says what it means: framing and parity errors while a device speaks are a wrong speed or a bad cable, overruns are bytes
that this computer has lost. It is pure, and held by `edge.port_watch`; the owner of the port (`edge.ports`) reads.
`Lost`, held by `edge.capture`, is what a study is still to say of that.
Nothing survives a crash.
"""

import fcntl
import struct
import termios
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

COUNTERS: Final = struct.Struct("@11I9I")
"""cts, dsr, rng, dcd, rx, tx, frame, overrun, parity, brk, buf_overrun, 9 reserved; each an int that wraps."""
FIRST_ERROR, LAST_ERROR = 6, 11
WRAP: Final = 1 << 32
GARBLED_COUNT: Final = 3
"""So many framing and parity errors are told: a plug makes one or two of itself."""
GARBLED_S: Final = 60.0
"""Errors that are older than this are forgotten, and the same is told again after so long."""
LOST_S: Final = 2.0
"""Bytes that were lost so shortly before a study began may have been its first."""
WRONG_SPEED: Final = "wrong speed or a bad cable"

Ioctl = Callable[[int, int, bytearray], object]
"""`fcntl.ioctl`: descriptor, request, what is filled."""


@dataclass(frozen=True, slots=True)
class LineErrors:
    """Counters: of characters, but for `buffer_overruns` and `overruns`, which count at least one byte each."""

    framing: int = 0
    overruns: int = 0
    """The UART had no room."""
    parity: int = 0
    breaks: int = 0
    buffer_overruns: int = 0
    """The kernel had no room."""

    def less(self, other: "LineErrors") -> "LineErrors":
        """Return how much they have grown since `other`."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return LineErrors(*((mine - before) % WRAP for mine, before in pairs))

    def plus(self, other: "LineErrors") -> "LineErrors":
        """Return both together."""
        pairs = zip(asdict(self).values(), asdict(other).values(), strict=True)
        return LineErrors(*(mine + more for mine, more in pairs))

    @property
    def garbled(self) -> int:
        """How many characters came otherwise than the line is set."""
        return self.framing + self.parity

    @property
    def lost(self) -> int:
        """How many bytes this computer has lost, at least."""
        return self.overruns + self.buffer_overruns


def read_errors(descriptor: int, ioctl: Ioctl = fcntl.ioctl) -> LineErrors | None:
    """Return the counters of an open line; None where it has none. No error of this is one of the line's."""
    counters = bytearray(COUNTERS.size)
    try:
        ioctl(descriptor, termios.TIOCGICOUNT, counters)
    except OSError:
        return None
    return LineErrors(*COUNTERS.unpack(counters)[FIRST_ERROR:LAST_ERROR])


class Lost:
    """The bytes of one port that this computer has lost, until a study says so."""

    def __init__(self) -> None:
        self._recent = self._unsaid = 0
        self._at = float("-inf")

    def more(self, count: int, now: float) -> None:
        """So many more are lost."""
        self._recent = count + (self._recent if now - self._at <= LOST_S else 0)
        self._at = now
        self._unsaid += count

    def study_begins(self, now: float) -> None:
        """Of what was lost before, only the latest may have been of this study."""
        self._unsaid = self._recent if now - self._at <= LOST_S else 0

    def take(self) -> int:
        """Return how many no study says yet; now one does."""
        count, self._unsaid = self._unsaid, 0
        return count


class Tally:
    """One port. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._is_counted = False
        self._total = self._seen = LineErrors()
        """Since the kit's start, and since the port is open."""
        self._garbled = 0
        """In one stretch, with less than GARBLED_S between two."""
        self._garbled_at = self._garbled_told_at = self._lost_at = self._lost_told_at = float("-inf")

    def opened(self) -> None:
        """The port is open: its counters begin anew."""
        self._seen = LineErrors()

    def counted(self, errors: LineErrors, now: float, *, is_tuning: bool = False) -> int:
        """Take the counters since the port is open; return how many bytes were lost since the last time.

        `is_tuning`: the speed is looked for, and garbled characters are what is to be expected.
        """
        grown = errors.less(self._seen)
        self._is_counted, self._seen, self._total = True, errors, self._total.plus(grown)
        if grown.garbled and not is_tuning:
            self._garbled = grown.garbled + (self._garbled if now - self._garbled_at <= GARBLED_S else 0)
            self._garbled_at = now
        if grown.lost:
            self._lost_at = now
        return grown.lost

    def news(self, now: float) -> str:
        """Return what a person is to be told now that the device speaks; "" for nothing. Each at most once a minute."""
        said = []
        if self._lost_at > self._lost_told_at and now - self._lost_told_at >= GARBLED_S:
            said.append(f"bytes were lost in this computer: {self._total.lost}")
            self._lost_told_at = now
        is_new = self._garbled_at > self._garbled_told_at and now - self._garbled_told_at >= GARBLED_S
        if self._is_garbled(now) and is_new:
            said.append(f"{self._garbled} framing and parity errors while its device speaks: {WRONG_SPEED}")
            self._garbled_told_at = now
        return "; ".join(said)

    def _is_garbled(self, now: float) -> bool:
        return self._garbled >= GARBLED_COUNT and now - self._garbled_at <= GARBLED_S

    def status(self, now: float) -> dict[str, Any] | None:
        """Return what `kit status` shows; None for a line without counters."""
        if not self._is_counted:
            return None
        return {
            **asdict(self._total),
            "garbled_s": _age(self._garbled_at, now),
            "lost_s": _age(self._lost_at, now),
            "means": WRONG_SPEED if self._is_garbled(now) else "",
        }


def _age(at: float, now: float) -> float | None:
    return None if at == float("-inf") else round(now - at, 1)
