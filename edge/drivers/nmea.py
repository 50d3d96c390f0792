"""A GPS receiver on a serial line: where the van is, and what time it is.

Written from gpsd's description of NMEA 0183 (`nmea_sentences.py`); tried with gpsd's recordings of a Telit HE910, a
BU-353S4 and a Quectel EG25-G. On no unit of our own. 4800 or 9600 baud 8N1, on USB any. A receiver is
never sent anything: it takes commands that change it.

Where gpsd runs it has the receiver, and a kit must not open it a second time: `path = "tcp://127.0.0.1:2947"`,
`gpsd = true`. gpsd is asked to pass on the sentences (`?WATCH`, its documentation "gpsd_json"), and asked again when
none came for `WATCH_S`; what else it says, lines of JSON, is no sentence.

No study comes of it. Every `every_s` seconds it says `Located`: capture keeps the last, and each study that begins
says where, and how far the kit's clock is from the satellites'. A place comes only from a fix (RMC, status A), never
from an estimate. Height and satellites are of the GGA with the same time. Many receivers (u-blox, Garmin) say it after
the RMC: then the place is said again, with them.

Receivers lose 1024 weeks when their firmware grows old, and say a date of twenty years ago, or none. A date before
`year_min` is not taken, nor corrected: the place is, and the panel says why there is no time.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from edge.driver import Driver, Event, Facts, Fault, Line, Located, Option, Send
from edge.drivers.nmea_sentences import Clock, Height, Lexer, Minimum, read
from edge.registry import read_options
from edge.signs import CHECK, Signs
from wire.errors import ConfigError

LOST_S: Final = 60.0
"""So long without a fix, and the panel says so."""
WATCH: Final = b'?WATCH={"enable":true,"nmea":true};\r\n'
WATCH_S: Final = 30.0
NOISE_SIZE: Final = 4_096
"""So many bytes without one sound sentence are of another speed, or of another device."""
EVERY_S_MAX: Final = 50.0
"""A place is good for a minute (`edge.capture`)."""

FACTS: Final = Facts(
    name="nmea",
    version="1",
    title="GPS receiver (NMEA 0183): place and time of each study",
    manual="NMEA 0183 as described by gpsd (NMEA Revealed)",
    form="unknown",
    lines=(Line(4_800), Line(9_600), Line(38_400), Line(115_200)),
    options=(
        Option("every_s", 5.0, "seconds between two places, 1 to 50"),
        Option("gpsd", False, "the port is gpsd's socket, not a receiver"),
        Option("year_min", 2024, "a date before this year is a receiver's mistake"),
    ),
)


class _Nmea:
    """See the module's text."""

    def __init__(self, every_s: float, year_min: int, *, is_gpsd: bool) -> None:
        self._every_s, self._year_min = every_s, year_min
        self._watch_at: float | None = 0.0 if is_gpsd else None
        self._told_codes: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        self._lexer = Lexer()
        self._height: tuple[Height, str] | None = None
        self._bare: tuple[Minimum, str, float] | None = None
        """The RMC of the last place, and when it came, where that place was said without its height."""
        self._year: datetime | None = None
        self._next_at = 0.0
        self._fix_at: float | None = None

    def feed(self, data: bytes, now: float) -> list[Event]:
        events: list[Event] = []
        for sentence, fields in self._lexer.feed(data):
            self._watch_at = None if self._watch_at is None else now + WATCH_S
            events += self._read(sentence, fields, now)
        if self._lexer.since_good >= NOISE_SIZE:
            events += self._say_once("no-sentence", "no sound sentence: is the speed of the line right?")
        return events

    def tick(self, now: float) -> list[Event]:
        events: list[Event] = []
        if self._watch_at is not None and now >= self._watch_at:
            self._watch_at = now + WATCH_S
            events.append(Send(WATCH))
        if self._fix_at is None or now < self._fix_at + LOST_S:
            return events
        self._fix_at = None
        return events + self._say_once(
            "no-fix", f"the GPS has had no fix for {LOST_S:g} s: studies begin without a place"
        )

    def committed(self, token: int, now: float) -> list[Event]:
        return []

    def refused(self, token: int, now: float) -> list[Event]:
        return []

    def lost(self, now: float) -> list[Event]:
        self._begin()
        self._watch_at = None if self._watch_at is None else now + 1.0
        return []

    def deadline(self) -> float | None:
        lost_at = None if self._fix_at is None else self._fix_at + LOST_S
        return min([at for at in (lost_at, self._watch_at) if at is not None], default=None)

    def _read(self, sentence: str, fields: list[str], now: float) -> list[Event]:
        match read(fields):
            case Height() as height:
                self._height = height, sentence
                if self._bare is not None and self._bare[0].is_of(height.time):
                    return self._locate(*self._bare)
            case Clock(utc):
                self._year = utc
            case Minimum() as minimum if minimum.position is not None:
                was_lost, self._fix_at = self._fix_at is None, now
                self._told_codes -= {"no-fix", "no-sentence"}
                if was_lost or now >= self._next_at:
                    self._next_at = now + self._every_s
                    return self._locate(minimum, sentence, now)
        return []

    def _locate(self, minimum: Minimum, sentence: str, at: float) -> list[Event]:
        """Say where the kit was at `at`, when the sentence came."""
        self._bare = minimum, sentence, at
        place = minimum.position
        if place is None:
            return []
        utc, events = self._believed(minimum.utc)
        sentences: tuple[str, ...] = (sentence,)
        altitude_m = satellites = hdop = ""
        if self._height is not None and minimum.is_of(self._height[0].time):
            height, text = self._height
            self._bare = None
            sentences = (sentence, text)
            altitude_m, satellites, hdop = height.altitude_m, height.satellites, height.hdop
        where = Located(place.latitude, place.longitude, at, utc, altitude_m, satellites, hdop, sentences)
        return [*events, where]

    def _believed(self, utc: datetime | None) -> tuple[datetime | None, list[Event]]:
        """Return the date if it can be true, and what to say if it cannot. ZDA says the century."""
        if utc is not None and self._year is not None and (utc.month, utc.day) == (self._year.month, self._year.day):
            utc = utc.replace(year=self._year.year)
        if utc is not None and utc.year >= self._year_min:
            self._told_codes.discard("no-date")
            return utc, []
        said = "no date" if utc is None else f"the date {utc:%Y-%m-%d}, before {self._year_min}"
        return None, self._say_once("no-date", f"the GPS gives {said}: its place is taken, its time is not")

    def _say_once(self, code: str, text: str) -> list[Event]:
        if code in self._told_codes:
            return []
        self._told_codes.add(code)
        return [Fault(code, text)]


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one receiver. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    every_s = float(chosen["every_s"])
    if not 1 <= every_s <= EVERY_S_MAX:
        raise ConfigError(f"driver 'nmea': option 'every_s' is {every_s:g}; it may be 1 to {EVERY_S_MAX:g}")
    return _Nmea(every_s, int(chosen["year_min"]), is_gpsd=bool(chosen["gpsd"]))


SIGNS: Final = Signs(CHECK, lambda data: len(Lexer().feed(data)), 2)
