"""Nonin pulse oximeters (Xpod, OEM III, 9560 over a serial line): saturation, pulse and the pulse wave, continuously.

Written from Nonin's "9560 Bluetooth Specification" and the OEM III module's manual, formats 1, 2, 7, 8 and 13, and the
lines of text of the 8500, 9600, 9847 and BT4000 (`nonin_formats.py` has the bytes). On no unit of our own; no capture
of a real one is public.

The oximeter speaks without being asked and waits for nothing; how a study is found in the stream is `edge.oximetry`.
It also ends when the line was silent for `SILENCE_S`, or the port vanished. The pulse wave comes at 75 Hz (formats 2,
7); a spot check (format 13) is a study by itself.

What the disk refuses is held and offered again (`edge.entries`). Bytes that were lost show as skipped bytes and broken
packets.
"""

from collections.abc import Callable, Mapping
from typing import Final

from edge.driver import Commit, Driver, Event, Facts, Fault, Line, Option, StudyBegins
from edge.drivers.nonin_formats import (
    FORMATS,
    HR_NONE,
    PACKET_FRAMES,
    RATE_HZ,
    SPO2_NONE,
    SYNC,
    TEXT,
    Framer,
    Packets,
    TextFramer,
    framer,
    from_format_1,
    from_format_8,
    from_format_13,
    from_text,
    heart_rate,
)
from edge.entries import EntryQueue
from edge.oximetry import Measurement, Numbers, Shape, Tally, conclude
from edge.registry import read_options
from edge.signs import CHECK, Signs

SILENCE_S: Final = 5.0
UNSURE_SIZE_MAX: Final = 4_096
"""Bytes to look at before the search for the format begins anew."""
READ_SIZE: Final = 256
PLAYED_BACK_COUNT: Final = 8
"""Triples of an oximeter's memory, and the panel says so."""
PACKETS_PER_S: Final = RATE_HZ // PACKET_FRAMES
BY_SECOND: Final[Mapping[str, Callable[[bytes], Numbers]]] = {"1": from_format_1, "8": from_format_8, TEXT: from_text}
"""The formats that say one set of numbers a second."""

FACTS: Final = Facts(
    name="nonin",
    version="1",
    title="Nonin pulse oximeters, serial formats 1, 2, 7, 8, 13 and ASCII",
    manual="Nonin 9560 Bluetooth Specification; Nonin OEM III module specification",
    form="oximetry",
    lines=(Line(9600),),
    options=(Option("format", "auto", "data format, as the oximeter is set", ("auto", *FORMATS, TEXT)),),
)


class _Nonin:
    """See the module's text. Time within a study is counted in the oximeter's own packets; the clock tells silence."""

    def __init__(self, name: str) -> None:
        self._names = (*FORMATS, TEXT) if name == "auto" else (name,)
        self._framers: list[Framer | TextFramer] = []
        self._packets = Packets()
        self._queue = EntryQueue()
        self._measurement = Measurement(self._queue, Shape(FACTS.form, float(RATE_HZ)))
        self._heard_at = 0.0
        self._skipped = self._broken = 0
        self._is_told = False
        self._search()

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        for at in range(0, len(data), READ_SIZE):
            self._take(data[at : at + READ_SIZE], now)
        return [*self._played_back(), *self._queue.release()]  # a question to the disk comes last

    def tick(self, now: float) -> list[Event]:
        if self._measurement.is_open and now >= self._heard_at + SILENCE_S:  # as `deadline` reckons
            self._measurement.end("the oximeter fell silent", now, self._framers[0].rest())
        return [*self._queue.tick(now), *self._queue.release()]

    def committed(self, token: int, now: float) -> list[Event]:
        return self._queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self._queue.refused(token, now)

    def lost(self, now: float) -> list[Event]:
        self._measurement.end("the port vanished", now, self._framers[0].rest())
        self._is_told = False
        self._search()
        return self._queue.release()

    def deadline(self) -> float | None:
        times = [at for at in (self._queue.deadline(),) if at is not None]
        return min([*times, *([self._heard_at + SILENCE_S] if self._measurement.is_open else [])], default=None)

    def _played_back(self) -> list[Event]:
        """Return what the panel should say when the memory is played back: once for each time the port is opened."""
        count = sum(one.played_back for one in self._framers if isinstance(one, Framer))
        if self._is_told or count < PLAYED_BACK_COUNT:
            return []
        self._is_told = True
        return [Fault("memory", "the oximeter plays back its memory, which is not read: only live values are")]

    # From bytes to numbers

    def _search(self) -> None:
        """Forget which format it is."""
        self._framers = [framer(name) for name in self._names]
        self._packets = Packets()
        self._skipped = self._broken = 0
        self._measurement.reset()

    def _take(self, data: bytes, now: float) -> None:
        for one in list(self._framers):
            for skipped, frame in one.feed(data):
                if self._is_chosen(one):
                    self._measurement.keep(skipped + frame, now)
                    self._read(one, frame, now)
        if all(one.skipped_in_a_row > UNSURE_SIZE_MAX for one in self._framers):
            self._search()

    def _is_chosen(self, one: Framer | TextFramer) -> bool:
        """Return whether this is the oximeter's format; the first that is sure is chosen."""
        if len(self._framers) > 1 and one in self._framers and one.is_sure:
            self._framers = [one]
        return self._framers == [one]

    def _read(self, one: Framer | TextFramer, frame: bytes, now: float) -> None:
        if one.skipped_bytes > self._skipped:
            self._measurement.cut(now, skipped=one.skipped_bytes - self._skipped)
            self._skipped = one.skipped_bytes
        if frame:
            self._frame(one.name, frame, now)
        if self._packets.broken > self._broken:
            self._measurement.cut(now, broken=self._packets.broken - self._broken)
            self._broken = self._packets.broken

    def _frame(self, name: str, frame: bytes, now: float) -> None:
        if name == "13":
            self._spot(from_format_13(frame))
        elif name in BY_SECOND:
            self._measurement.numbers(BY_SECOND[name](frame), 1, now)
        else:
            wide = name == "7"
            found = self._packets.feed(frame[0] if wide else frame[1], frame[3])
            self._measurement.sample(frame[1] << 8 | frame[2] if wide else frame[2])
            if found is not None:
                self._measurement.numbers(found, PACKETS_PER_S, now)

    def _spot(self, found: Numbers) -> None:
        """A spot check is a study by itself."""
        tally = Tally()
        tally.second([found])
        self._queue.put(StudyBegins(FACTS.form))
        self._queue.put(Commit(self._measurement.take_before()))
        conclude(self._queue, tally, time=found.time)


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one oximeter. Raises ConfigError."""
    return _Nonin(str(read_options(FACTS, options)["format"]))


COUNTS: Final[Mapping[str, int]] = {"13": 1, TEXT: 2, "8": 8, "1": 12}
"""Frames in a row that are the oximeter's."""
UNPROVEN: Final = frozenset(("8", "1"))
"""Formats without a sum: a text at another speed was seen to look like them."""
KNOWN_BITS: Final = 0x29
"""Of the last byte of format 8: smart point, sensor alarm, low battery; all others are reserved, and 0."""


def _whole(data: bytes) -> int:
    """Return the packets of formats 2 and 7, spot checks, and pairs of lines."""
    others = (_in_a_row(name, data) // COUNTS[name] for name in COUNTS if name not in UNPROVEN)
    packets = () if data.isascii() else (_packets("2", data), _packets("7", data))  # their status has bit 7
    return max(*packets, *others)


def _maybe(data: bytes) -> str:
    found = next((name for name in UNPROVEN if _in_a_row(name, data) >= COUNTS[name]), "")
    return f"frames as of format {found}, which has no checksum" if found else ""


def _packets(name: str, data: bytes) -> int:
    """Return how many times 25 frames stand between one SYNC and the next."""
    one, since, found = Framer(name), 0, 0
    for skipped, frame in one.feed(data):
        if skipped or not frame:
            since = 0
        elif (frame[0] if name == "7" else frame[1]) & SYNC:
            found += since == PACKET_FRAMES
            since = 1
        else:
            since += since > 0
    return found


def _in_a_row(name: str, data: bytes) -> int:
    one, here, longest = framer(name), 0, 0
    for skipped, frame in one.feed(data):
        is_one = bool(frame) and (name not in UNPROVEN or _is_likely(frame))
        here = (0 if skipped and name != TEXT else here) + 1 if is_one else 0
        longest = max(longest, here)
    return longest


def _is_likely(frame: bytes) -> bool:
    """Return whether a frame without a sum holds a pulse and a saturation as people have them, or neither."""
    rate, spo2 = heart_rate(frame[0], frame[1]), frame[2]
    has_values = (18 <= rate <= 321 and 20 <= spo2 <= 100) or (rate == HR_NONE and spo2 == SPO2_NONE)
    return has_values and not any(byte & ~KNOWN_BITS for byte in frame[3:])


SIGNS: Final = Signs(CHECK, _whole, maybe=_maybe)
