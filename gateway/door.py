"""Who holds a place at the port for Iridium's ground station, and who gives it up for another.

The port is open to the internet where the owner names nobody in `allow=`, and there are CONNECTIONS_MAX places. So
nobody is given more than ADDRESS_MAX of them (a network of /64 counts as one address of IPv6); who has said nothing
for GRACE_S gives its place to the next who comes, the oldest first; and silence ends after FIRST_BYTES_S. Where
`allow=` names who may connect, they are trusted with all places.

Synchronous, no sockets: `leave` ends a guest's connection. What strangers do is told once a minute, with how often.
"""

import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

CONNECTIONS_MAX: Final = 64
ADDRESS_MAX: Final = 4
GRACE_S: Final = 1.0
FIRST_BYTES_S: Final = 5.0
COMPLAINT_S: Final = 60.0
IPV6_PREFIX: Final = 64

log = logging.getLogger("feldsher")


@dataclass(eq=False, slots=True)
class Guest:
    """One connection. `leave` ends it; `is_silent` until its first byte has come."""

    group: str
    since: float
    leave: Callable[[], object]
    is_silent: bool = True


class Door:
    """The places. `is_guarded`: only whom the owner named comes so far."""

    def __init__(self, *, is_guarded: bool) -> None:
        self._is_guarded = is_guarded
        self._guests: list[Guest] = []

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, address: str, now: float, leave: Callable[[], object]) -> Guest | None:
        """Give a place, if need be that of one who says nothing; None when there is none."""
        group = group_of(address)
        alike = [guest for guest in self._guests if guest.group == group]
        if not self._is_guarded and len(alike) >= ADDRESS_MAX and not self._evict(alike, now):
            return None
        if len(self._guests) >= CONNECTIONS_MAX and not self._evict(self._guests, now):
            return None
        guest = Guest(group, now, leave)
        self._guests.append(guest)
        return guest

    def left(self, guest: Guest) -> None:
        """The connection has ended. Harmless when repeated."""
        if guest in self._guests:
            self._guests.remove(guest)

    def close(self) -> None:
        """Everybody goes."""
        for guest in self._guests:
            guest.leave()
        self._guests.clear()

    def _evict(self, guests: list[Guest], now: float) -> bool:
        silent = next((one for one in guests if one.is_silent and now - one.since >= GRACE_S), None)
        if silent is None:
            return False
        self._guests.remove(silent)
        silent.leave()
        return True


def group_of(address: str) -> str:
    """Return what counts as one address: of IPv6 the network of one customer."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = getattr(found, "ipv4_mapped", None) or found
    if mapped.version == 4:
        return str(mapped)
    return str(ipaddress.ip_network((mapped, IPV6_PREFIX), strict=False))


class Complaints:
    """Warnings about connections that came to nothing: one at once, then one a minute with how many there were."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told_at = float("-inf")
        self._kept = 0

    def note(self, address: str, what: object, now: float) -> None:
        """Tell of it, now or with the next."""
        if now - self._told_at < COMPLAINT_S:
            self._kept += 1
            return
        more = f" ({self._kept} more since the last warning)" if self._kept else ""
        log.warning("%s from %s: %s%s", self._name, address, what, more)
        self._told_at, self._kept = now, 0
