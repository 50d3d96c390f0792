"""At which speed does a device speak? With `baud = "auto"` the driver's settings are tried until one is proved.

Pure: bytes, time and what was sent come in; which setting to use comes out. `edge.kit` owns one for each such port, the
daemon sets the line. Nothing is guessed: a setting is right when a whole message of the driver's own device was read at
it (`edge.signs`). Until then the line turns to the next setting when

* bytes came that were no message, and then `QUIET_S` of silence, or none for `BABBLE_S` (what may be the device's
  although nothing proves it, as a short answer, is waited for as one that does not answer);
* the driver asked, and nobody gave a right answer for `ANSWER_S`.

What comes between the wish to turn the line and its turning (`tuned`) came at neither setting, and is nobody's.

A silent line of a device that speaks unasked is left as it is: nothing is to be learnt. **Once found it stays**, until
the port has vanished and come back; then it is the first to be tried, and left only for `DOUBT_SIZE` bytes that are no
message. What a device sent at a wrong speed cannot be read: one that waits for an answer sends it again, and of any
other the panel says that it is to be sent again.

What survives a crash: `Remembered`, a file with the setting of each port that was found. Losing it costs a search.
"""

import json
from collections.abc import Sequence
from typing import Final

from edge.driver import Line
from edge.signs import NOTHING, Signs
from node.disk import Disk
from wire.errors import DiskError, DiskFull

QUIET_S: Final = 1.0
BABBLE_S: Final = 10.0
"""A device that never pauses has said a whole message by then."""
ANSWER_S: Final = 10.0
SETTLE_S: Final = 4.0
"""A device that is asked may first complain of what it heard at the speed before; then its right answer comes."""
DOUBT_S: Final = 60.0
"""The same at a setting that was right before: the device may only be switched off."""
NOISE_SIZE: Final = 3
"""Fewer bytes are what a plug makes of itself."""
DOUBT_SIZE: Final = 256
"""So many bytes that are no message make a setting doubtful that was right before."""
WINDOW_SIZE: Final = 1 << 16
"""Bytes in which a whole message is looked for; the longest that has its check at the end."""
GROWTH: Final = 8
"""It is looked for again when an eighth has been added."""
FILE: Final = "speeds.json"
FILE_SIZE_MAX: Final = 16_384


def why_not(signs: Signs, lines: Sequence[Line], name: str) -> str:
    """Return why `baud = "auto"` is not to be had with a driver; "" when it is."""
    if signs.proof == NOTHING:
        return f"driver {name!r} takes anything for a message, so nothing tells a right speed from a wrong one"
    if signs.one_speed:
        return f"driver {name!r}: {signs.one_speed}"
    if len(lines) < 2:
        return f"driver {name!r} knows one speed only ({lines[0]}): leave baud out"
    return ""


class Search:
    """The search on one port. `known`: what was right when the kit ran last."""

    def __init__(self, lines: Sequence[Line], signs: Signs, known: Line | None = None) -> None:
        self._lines, self._signs = tuple(lines), signs
        self._is_known = known in self._lines
        self._at = self._lines.index(known) if known in self._lines else 0
        self.is_found = False
        self.is_turning = False
        """The line is about to be set to `line`, and is not yet."""
        self.turns = 0
        """How often the line was set otherwise since the port is open."""
        self.in_vain_size = 0
        """Bytes that came at the setting before this one."""
        self._window = bytearray()
        self._looked_size = self._added = 0
        """Bytes when it was looked last, and since then."""
        self._is_likely = False
        """They may be the device's, although nothing proves it."""
        self._began: float | None = None
        """When the first byte at this setting came."""
        self._heard_at = 0.0
        self._asked_at: float | None = None

    @property
    def is_trusted(self) -> bool:
        """It is right, or was when the port was open last."""
        return self.is_found or self._is_known

    @property
    def line(self) -> Line:
        """The setting that is tried, or that is right."""
        return self._lines[self._at]

    def appeared(self) -> None:
        """The port is open: is it still so?"""
        self._is_known = self._is_known or self.is_found
        self.is_found = self.is_turning = False
        self.turns = 0
        self._forget()

    def tuned(self) -> None:
        """The line is set to `line`: what comes now came at it."""
        self.is_turning = False

    def heard(self, data: bytes, now: float) -> bool:
        """Take what came at this setting; return whether it is proved by it, which it was not before."""
        if self.is_found or self.is_turning:
            return False
        self._window += data
        del self._window[:-WINDOW_SIZE]
        self._heard_at = now
        self._began = now if self._began is None else self._began
        self._added += len(data)
        return self._look(is_worth_it=self._added > self._looked_size // GROWTH)

    def _look(self, *, is_worth_it: bool) -> bool:
        if is_worth_it:
            self._looked_size, self._added = len(self._window), 0
            data = bytes(self._window)
            self.is_found = self._signs.are_in(data)
            self._is_likely = bool(self._signs.maybe(data))
            if self.is_found:
                self._forget()
        return self.is_found

    def sent(self, now: float) -> None:
        """The driver has asked or answered."""
        if not self.is_found and self._asked_at is None:
            self._asked_at = now

    def tick(self, now: float) -> bool:
        """Return whether the line is to be set to `line` now, which is another one."""
        at = self.deadline()
        if at is None or now < at or self._look(is_worth_it=self._added > 0):
            return False
        self.in_vain_size = len(self._window)
        self._at = (self._at + 1) % len(self._lines)
        self._is_known = False
        self.is_turning = True
        self.turns += 1
        self._forget()
        return True

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        times = []
        if self._began is not None and len(self._window) >= (DOUBT_SIZE if self._is_known else NOISE_SIZE):
            turns_at = min(self._heard_at + QUIET_S, self._began + BABBLE_S)
            turns_at = max(turns_at, self._began + ANSWER_S) if self._is_likely else turns_at
            times.append(turns_at if self._asked_at is None else max(turns_at, self._asked_at + SETTLE_S))
        if self._asked_at is not None:
            times.append(self._asked_at + (DOUBT_S if self._is_known else ANSWER_S))
        return None if self.is_found else min(times, default=None)

    def _forget(self) -> None:
        self._window.clear()
        self._is_likely = False
        self._looked_size = self._added = 0
        self._began = self._asked_at = None


class Remembered:
    """The settings that were found, in a file of the kit's disk. What cannot be read or written is not remembered.

    Without a disk nothing is: `kit capture` calls every line by the same name.
    """

    def __init__(self, disk: Disk | None) -> None:
        self._disk = disk
        self._found = _load(disk) if disk is not None else {}

    def line(self, port: str) -> Line | None:
        """Return what was right on a port."""
        return self._found.get(port)

    def keep(self, port: str, line: Line) -> None:
        """Write down what is right; the same again writes nothing."""
        if self._disk is None or self._found.get(port) == line:
            return
        self._found[port] = line
        rows = {name: [one.baud, one.data_bits, one.parity, one.stop_bits] for name, one in self._found.items()}
        fresh = f"{FILE}.new"
        try:
            if self._disk.exists(fresh):
                self._disk.remove(fresh)
            self._disk.append(fresh, json.dumps(rows).encode())
            self._disk.sync(fresh)
            self._disk.rename(fresh, FILE)
            self._disk.sync_folder("")
        except (DiskFull, DiskError):
            return  # a search at the next start


def _load(disk: Disk) -> dict[str, Line]:
    try:
        rows = json.loads(disk.read(FILE, 0, FILE_SIZE_MAX)) if disk.exists(FILE) else {}
        return {str(port): Line(*row) for port, row in rows.items()}
    except (DiskError, ValueError, TypeError, AttributeError):
        return {}
