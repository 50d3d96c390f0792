"""Where the kit is, as a GPS on one of its ports said last, and how far its clock is from the satellites'.

Pure but for the clock it is given, which it does not set. Nothing survives a crash: the next fix says it anew.
"""

from dataclasses import replace
from typing import Final

from edge.driver import Located
from node.clock import Clock
from wire import record

PLACE_S_MAX: Final = 60.0
"""A place is good for this long; a study that begins later has none."""


class Whereabouts:
    """See the module's text."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._place: tuple[record.Place, float] | None = None

    def heard(self, port: str, event: Located) -> None:
        """Keep where the kit is, and what its clock said when the satellites' said `utc`."""
        gps_time, offset_ms = "", 0
        if event.utc is not None:
            heard_ms = self._clock.time_ms() - round((self._clock.now() - event.at) * 1000)
            gps_time = event.utc.isoformat(timespec="milliseconds")
            offset_ms = heard_ms - round(event.utc.timestamp() * 1000)
        place = record.Place(
            event.latitude,
            event.longitude,
            event.altitude_m,
            event.satellites,
            event.hdop,
            gps_time,
            offset_ms,
            port=port,
            sentences=event.sentences,
        )
        self._place = place, event.at

    def at(self, now: float) -> record.Place | None:
        """Return where a study begins, as far as that was known within the last minute."""
        if self._place is None or now - self._place[1] > PLACE_S_MAX:
            return None
        place, at = self._place
        return replace(place, age_ms=round((now - at) * 1000))
