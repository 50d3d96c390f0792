"""Whether a simulated cellular modem has a network: searching, registered, lost again; its operator, signal and clock.

    ABSENT ── radio on, SIM ready ──► SEARCHING ── found ──► REGISTERED
      ▲                                   ▲                     │ flap, outage
      └── radio off, SIM gone ────────────┴─────────────────────┘

Registration numbers are those of `+CREG`, 3GPP TS 27.007 clause 7.2.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

IDLE, HOME, SEARCHING, DENIED, UNKNOWN, ROAMING = 0, 1, 2, 3, 4, 5
EPOCH_TIME_S: Final = 1_795_298_707.0
"""The network's Unix time when the modem's `now` is 0, unless another is given: 2026-11-21 22:05:07 UTC."""


class Reach(enum.Enum):
    """How far the search is."""

    ABSENT = "absent"
    SEARCHING = "searching"
    REGISTERED = "registered"


STEPS: Final[Mapping[tuple[Reach, str], Reach]] = {
    (Reach.ABSENT, "begin"): Reach.SEARCHING,
    (Reach.SEARCHING, "begin"): Reach.SEARCHING,
    (Reach.REGISTERED, "begin"): Reach.REGISTERED,
    (Reach.SEARCHING, "found"): Reach.REGISTERED,
    (Reach.REGISTERED, "found"): Reach.REGISTERED,
    (Reach.ABSENT, "found"): Reach.ABSENT,
    (Reach.REGISTERED, "lost"): Reach.SEARCHING,
    (Reach.SEARCHING, "lost"): Reach.SEARCHING,
    (Reach.ABSENT, "lost"): Reach.ABSENT,
    (Reach.ABSENT, "end"): Reach.ABSENT,
    (Reach.SEARCHING, "end"): Reach.ABSENT,
    (Reach.REGISTERED, "end"): Reach.ABSENT,
}


@dataclass(slots=True)
class Coverage:
    """What the place where the modem stands is like. All of it may be changed at any time."""

    search_s: float = 4.0
    stat: int = HOME
    """What it is registered as once it has found the network: HOME, ROAMING, DENIED."""
    signal: int = 17
    """`+CSQ`: 0 to 31, 99 unknown."""
    operator: str = "Feldsher Mobile"
    number: str = "25501"
    zone_quarters: int = 8
    time_at_zero_s: float = EPOCH_TIME_S
    reach: Reach = Reach.ABSENT

    def step(self, event: str) -> bool:
        """Take a step; return whether anything has changed."""
        before, self.reach = self.reach, STEPS[self.reach, event]
        return self.reach is not before

    @property
    def registration(self) -> int:
        """The number of `+CREG`."""
        return {Reach.ABSENT: IDLE, Reach.SEARCHING: SEARCHING, Reach.REGISTERED: self.stat}[self.reach]

    @property
    def is_usable(self) -> bool:
        return self.registration in {HOME, ROAMING}

    def utc(self, now: float) -> datetime:
        return datetime.fromtimestamp(self.time_at_zero_s + now, UTC)

    def clock(self, now: float, *, is_utc: bool) -> str:
        """Return what `+CCLK?` says: local time with quarter hours, or UTC with the same quarter hours (BG96)."""
        zone = timezone(timedelta(0) if is_utc else timedelta(minutes=15 * self.zone_quarters))
        local = self.utc(now).astimezone(zone)
        return f"{local:%y/%m/%d,%H:%M:%S}{self.zone_quarters:+03d}"
