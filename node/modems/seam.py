"""The seam of modems: bytes of a serial line and time go in, bytes for the line come out, bearers come and go.

A modem object does no I/O: a shell (`node/serial_line.py`) or the simulation owns the line, feeds what comes, sends
what `output` returns, and calls `tick` at `deadline`. None of it survives the process; what must (wrong PIN tries,
money spent) is handed in and out. One conformance suite runs over every modem here (`tests/node/modems`).
"""

import enum
from dataclasses import dataclass
from typing import Protocol

from node.seams import Bearer

__all__ = ["Bearer", "Ears", "Modem", "ModemState", "ModemStatus", "Power"]


class Ears(Protocol):
    """Who gets bearers and frames: a caller, a host, or what a node has put around one."""

    def bearer_up(self, bearer: Bearer, now: float) -> None: ...
    def bearer_down(self, bearer: Bearer, now: float) -> None: ...
    def receive(self, bearer: Bearer, frame: bytes, now: float) -> None: ...
    def tick(self, now: float) -> None:
        """A bearer that had no room has some again."""


class Power(Protocol):
    """The supply or the power key of a modem. A modem without one in our hands gets `NoPower`."""

    def set(self, on: bool) -> None: ...


class ModemState(enum.Enum):
    """How far a modem is, for people and for the policy."""

    OFF = "off"
    STARTING = "starting"
    SEARCHING = "searching for a network"
    READY = "ready"
    CALLING = "calling"
    UP = "up"
    RESTING = "resting"
    """It failed, and is tried again later."""
    LOCKED = "locked"
    """It needs a person: SIM PIN or PUK, no SIM, a plan that bars it."""


@dataclass(frozen=True)
class ModemStatus:
    """What `kit links` shows of a modem. `trouble` says in one line what is wrong, and what to do about it."""

    state: ModemState
    model: str = ""
    operator: str = ""
    signal_dbm: int | None = None
    is_roaming: bool = False
    trouble: str = ""
    network_time_ms: int | None = None
    """Unix time that the network gave, when it is plausible."""


class Modem(Protocol):
    """One modem on one line."""

    def open(self, now: float) -> None:
        """The line is there: begin, and give a bearer as soon as one can be had."""

    def lost(self, now: float) -> None:
        """The line vanished (unplugged); `open` may come again."""

    def missing(self, now: float) -> None:
        """The line is wanted and not there: a modem on USB has none while it is off. To be called every few seconds."""

    def hang_up(self, now: float) -> None:
        """No bearer is wanted any more: end the call, and spare energy."""

    def feed(self, data: bytes, now: float) -> None:
        """Take what came on the line."""

    def tick(self, now: float) -> None:
        """Let time pass; to be called at `deadline()`, or earlier."""

    def deadline(self) -> float | None:
        """Return when `tick` wants to be called."""

    def output(self) -> bytes:
        """Return what is to be sent on the line, and forget it."""

    def status(self) -> ModemStatus:
        """Return how it stands."""
