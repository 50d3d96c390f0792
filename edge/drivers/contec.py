"""Contec pulse oximeters (CMS50 and CMS-P): live saturation, pulse and pulse wave, and what lies in their memory.

Written from Contec's "Communication protocol of pulse oximeter V7.0" and from what independent readers of these
oximeters agree on (`contec_formats.py` has the bytes); on no unit of our own. Two generations, chosen by the option
`generation` because they speak at different speeds; `baud` and `parity` of the port must be set for the old one:

    v7      CMS50D+ 4.6, E, EW, F, IW: 115200 8N1. Silent until asked (A1), and again when it hears nothing for 5 s (AF)
    old     CMS50D+ up to 4.5: 19200 8O1; CMS-P: 4800 8O1. Speaks unasked

How a study is found in the live stream: `edge.oximetry`. With `stored = "once"` the memory is read first, each time the
port is opened: every segment is a study of its own (`contec_stored.py`).

**Only what reads is ever sent** (`contec_formats`): nothing is deleted, no clock is set. A conversation with a V7
oximeter is the table `MOVES`:

    counting    how many segments are there?
    measuring   how long is this one?
    dating      when did it begin?
    reading     its records come
    live        the live stream was asked for
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from edge.driver import Driver, Event, Facts, Fault, Line, Note, Option, Send
from edge.drivers import contec_formats as formats
from edge.drivers.contec_formats import RATE_HZ, Framer, command
from edge.drivers.contec_stored import Recording
from edge.entries import EntryQueue
from edge.oximetry import Measurement, Shape
from edge.registry import read_options
from edge.signs import FRAME, Ask, Signs

SILENCE_S: Final = 5.0
KEEP_ALIVE_S: Final = 4.0
ANSWER_S: Final = 2.0
ASK_SLOW_S: Final = 10.0
"""Between two questions when nobody answers."""
ASKS_MAX: Final = 3
SEGMENTS_MAX: Final = 32
TORN_SIZE_MAX: Final = 1_024
HEAD_SIZE_MAX: Final = 1_024
"""Bytes of the old protocol in which the beginning of stored data is looked for."""

FACTS: Final = Facts(
    name="contec",
    version="1",
    title="Contec pulse oximeters CMS50, CMS-P",
    manual="Contec, Communication protocol of pulse oximeter V7.0; the old protocol as independent readers agree on it",
    form="oximetry",
    lines=(Line(115200), Line(19200, 8, "O"), Line(4800, 8, "O")),
    options=(
        Option("generation", "v7", "which protocol the oximeter speaks", ("v7", "old")),
        Option("stored", "never", "read the oximeter's memory when the port is opened", ("never", "once")),
    ),
)

COUNTING, MEASURING, DATING, READING, LIVE = "counting", "measuring", "dating", "reading", "live"
EVENTS: Final = ("SEGMENTS", "LENGTH", "DATE", "TIME", "RECORDS", "LIVE", "REFUSED", "OTHER", "SILENCE")
MOVES: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    # What an oximeter says out of turn (the end of a stream that was stopped) is heard and not answered.
    **{(state, event): (state, "ignore") for state in (COUNTING, MEASURING, DATING, READING, LIVE) for event in EVENTS},
    # state, event: next state, action (a method of _V7; it may choose another state)
    (COUNTING, "SEGMENTS"): (MEASURING, "first_segment"),
    (COUNTING, "REFUSED"): (LIVE, "memory_refused"),
    (COUNTING, "SILENCE"): (COUNTING, "ask_again"),
    (MEASURING, "LENGTH"): (DATING, "ask_start"),
    (MEASURING, "REFUSED"): (MEASURING, "segment_refused"),
    (MEASURING, "SILENCE"): (MEASURING, "ask_again"),
    (DATING, "DATE"): (DATING, "date"),
    (DATING, "TIME"): (READING, "time"),
    (DATING, "REFUSED"): (READING, "read"),
    (DATING, "SILENCE"): (READING, "read"),
    (READING, "RECORDS"): (READING, "records"),
    (READING, "REFUSED"): (MEASURING, "end_segment"),
    (READING, "SILENCE"): (MEASURING, "end_segment"),
    (LIVE, "LIVE"): (LIVE, "live"),
    (LIVE, "SILENCE"): (LIVE, "go_live"),
}
KINDS: Final[Mapping[int, str]] = {
    formats.LIVE: "LIVE",
    formats.DATE: "DATE",
    formats.TIME: "TIME",
    formats.LENGTH: "LENGTH",
    formats.SEGMENTS: "SEGMENTS",
    formats.RECORDS: "RECORDS",
    formats.RECORD_PI: "RECORDS",
}


class _Contec:
    """What the two generations have in common."""

    def __init__(self, framer: Framer, shape: Shape) -> None:
        self.framer, self.shape = framer, shape
        self.queue = EntryQueue()
        self.measurement = Measurement(self.queue, shape)
        self.now = self.heard_at = 0.0
        self._lost = (0, 0)

    def committed(self, token: int, now: float) -> list[Event]:
        return self.queue.committed(token)

    def refused(self, token: int, now: float) -> list[Event]:
        return self.queue.refused(token, now)

    def keep(self, raw: bytes) -> None:
        """Take bytes of the live stream, and count those that were lost in it."""
        skipped, broken = self._lost
        self._lost = (self.framer.skipped_bytes, self.framer.broken)
        if self._lost != (skipped, broken):
            self.measurement.cut(self.now, self._lost[0] - skipped, self._lost[1] - broken)
        self.measurement.keep(raw, self.now)

    def end_live(self, reason: str) -> None:
        """The live stream stopped."""
        self.measurement.end(reason, self.now, self.framer.rest())

    def released(self) -> list[Event]:
        """Return what may be said now."""
        return [*self.queue.tick(self.now), *self.queue.release()]


class _V7(_Contec):
    """One oximeter of the new generation on one port."""

    def __init__(self, *, stored: bool) -> None:
        super().__init__(formats.v7_framer(), Shape(FACTS.form, float(RATE_HZ), has_pi=True))
        self._stored = stored
        self._state = COUNTING if stored else LIVE
        self._until = self._keep_at = 0.0
        self._asks = self._segment = self._segments = self._length = 0
        self._began = ""
        """When the segment began, as the oximeter says."""
        self._torn = b""
        """Bytes among the records that make no packet."""
        self._recording: Recording | None = None
        self._actions: Mapping[str, Callable[[bytes], None]] = {
            action: getattr(self, f"_{action}") for _, action in MOVES.values()
        }

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self.now = now
        for skipped, packet in self.framer.feed(data):
            if self._state == LIVE:
                self.keep(skipped + packet)
            elif self._state == READING:
                self._torn = (self._torn + skipped)[-TORN_SIZE_MAX:]
            if packet:
                self._move(self._event(packet), packet)
        return self.queue.release()

    def tick(self, now: float) -> list[Event]:
        self.now = now
        if now >= self._until:
            self._move("SILENCE", b"")
        elif self._state == LIVE and now >= self._keep_at:
            self.queue.put_now(Send(command(formats.KEEP_ALIVE)))
            self._keep_at = now + KEEP_ALIVE_S
        return self.released()

    def lost(self, now: float) -> list[Event]:
        self.now = now
        self.end_live("the port vanished")
        self._end_recording("the port vanished")
        self._state, self._asks = COUNTING if self._stored else LIVE, 0
        self._until = now + ANSWER_S
        return [one for one in self.queue.release() if not isinstance(one, Send)]

    def deadline(self) -> float | None:
        times = [self._until, *([self._keep_at] if self._state == LIVE else [])]
        retry_at = self.queue.deadline()
        return min([*times, *([retry_at] if retry_at is not None else [])])

    def _event(self, packet: bytes) -> str:
        if packet[0] == formats.ANSWER:
            return "REFUSED" if formats.unpacked(packet)[1] else "OTHER"
        return KINDS.get(packet[0], "OTHER")

    def _move(self, event: str, packet: bytes) -> None:
        self._state, action = MOVES[self._state, event]
        self._actions[action](packet)

    # Actions

    def _ignore(self, packet: bytes) -> None:
        """It says nothing that was asked."""

    def _ask(self, *codes: int, wait_s: float = ANSWER_S) -> None:
        for code in codes:
            self.queue.put_now(Send(command(code, segment=self._segment)))
        self._until = self.now + wait_s

    def _ask_again(self, packet: bytes) -> None:
        self._asks += 1
        if self._state == COUNTING:
            slow = self._asks > ASKS_MAX
            self._ask(formats.STOP_LIVE, formats.GET_SEGMENTS, wait_s=ASK_SLOW_S if slow else ANSWER_S)
        elif self._asks <= ASKS_MAX:
            self._ask(formats.GET_LENGTH)
        else:
            self.queue.put(Note("the oximeter does not say how long its recording is"))
            self._next_segment(packet)

    def _memory_refused(self, packet: bytes) -> None:
        why = "the oximeter does not give what it has stored (it may be recording)"
        self.queue.put(Fault("memory", f"{why}: it is asked again when it is plugged in anew"))
        self._go_live(packet)

    def _segment_refused(self, packet: bytes) -> None:
        self.queue.put(Fault("memory", f"the oximeter does not give its recording {self._segment + 1}"))
        self._next_segment(packet)

    def _first_segment(self, packet: bytes) -> None:
        self._segment, self._segments = -1, min(formats.unpacked(packet)[1], SEGMENTS_MAX)
        self._next_segment(packet)

    def _next_segment(self, packet: bytes) -> None:
        self._segment, self._asks = self._segment + 1, 0
        if self._segment < self._segments:
            self._ask(formats.GET_LENGTH)
        else:
            self._segment = 0
            self._state = LIVE
            self._go_live(packet)

    def _ask_start(self, packet: bytes) -> None:
        self._length, self._began = int.from_bytes(formats.unpacked(packet)[2:6], "little"), ""
        if self._length:
            self._ask(formats.GET_START)
        else:
            self._state = MEASURING
            self._next_segment(packet)

    def _date(self, packet: bytes) -> None:
        self._began = "".join(f"{one:02d}" for one in formats.unpacked(packet)[2:6])

    def _time(self, packet: bytes) -> None:
        self._began += "".join(f"{one:02d}" for one in formats.unpacked(packet)[2:5])
        self._read(packet)

    def _read(self, packet: bytes) -> None:
        self._torn = b""
        self._ask(formats.GET_RECORDS)

    def _records(self, packet: bytes) -> None:
        if self._recording is None:
            has_pi = packet[0] == formats.RECORD_PI
            shape, size = Shape(FACTS.form, has_pi=has_pi), 4 if has_pi else 2
            self._recording = Recording(self.queue, shape, self._length // size, self._began, self.now)
        if self._torn:
            self._recording.skip(self._torn)
            self._torn = b""
        self._recording.add(packet, formats.from_records(packet))
        self._until = self.now + ANSWER_S
        if self._recording.is_whole:
            self._state = MEASURING
            self._end_segment(packet)

    def _end_segment(self, packet: bytes) -> None:
        self._end_recording("the oximeter stopped in the middle of its recording")
        self._next_segment(packet)

    def _end_recording(self, reason: str) -> None:
        recording, self._recording = self._recording, None
        if recording is not None:
            recording.end(reason)

    def _go_live(self, packet: bytes) -> None:
        self.end_live("the oximeter fell silent")
        self._asks += 1
        self._ask(formats.START_LIVE, wait_s=ASK_SLOW_S if self._asks > ASKS_MAX else SILENCE_S)
        self._keep_at = self.now + KEEP_ALIVE_S

    def _live(self, packet: bytes) -> None:
        found, pleth = formats.from_live(packet)
        self._asks, self._until = 0, self.now + SILENCE_S
        self.measurement.sample(pleth)
        self.measurement.numbers(found, RATE_HZ, self.now)


class _Old(_Contec):
    """One oximeter of the old generation on one port."""

    def __init__(self, *, stored: bool) -> None:
        super().__init__(formats.old_framer(), Shape(FACTS.form, float(RATE_HZ)))
        self._wants = self._is_wanted = stored
        """The memory is to be read as soon as the oximeter is heard."""
        self._until: float | None = None
        """While stored data is awaited or comes: when it is given up."""
        self._buffer = bytearray()
        self._recording: Recording | None = None

    # The seam

    def feed(self, data: bytes, now: float) -> list[Event]:
        self.now = self.heard_at = now
        for at in range(len(data)):
            byte = data[at : at + 1]
            for skipped, packet in self.framer.feed(self._stored(byte) if self._until is not None else byte):
                self.keep(skipped + packet)
                if packet:
                    self._live(packet)
        return self.queue.release()

    def tick(self, now: float) -> list[Event]:
        self.now = now
        if self._until is not None and now >= self._until:
            self._give_up("the oximeter stopped in the middle of its recording")
            self._buffer.clear()
        if self.measurement.is_open and now >= self.heard_at + SILENCE_S:
            self.end_live("the oximeter fell silent")
        return self.released()

    def lost(self, now: float) -> list[Event]:
        self.now = now
        self.end_live("the port vanished")
        self._give_up("the port vanished")
        self._buffer.clear()
        self._is_wanted = self._wants
        return [one for one in self.queue.release() if not isinstance(one, Send)]

    def deadline(self) -> float | None:
        silence_at = self.heard_at + SILENCE_S if self.measurement.is_open else None
        times = (silence_at, self._until, self.queue.deadline())
        return min((one for one in times if one is not None), default=None)

    def _live(self, packet: bytes) -> None:
        found, pleth = formats.from_old(packet)
        if self._is_wanted and self._until is None:
            self._is_wanted = False
            self.queue.put_now(Send(formats.GET_OLD_RECORDS))
            self._until = self.now + SILENCE_S
        self.measurement.sample(pleth)
        self.measurement.numbers(found, RATE_HZ, self.now)

    # Stored data

    def _stored(self, data: bytes) -> bytes:
        """Take what comes after it was asked for; return what belongs to the live stream again."""
        self._buffer += data
        if self._recording is None and not self._begins():
            return b""
        while self._recording is not None and len(self._buffer) >= 3:
            record = bytes(self._buffer[:3])
            if not formats.is_old_record(record):
                self._give_up("the stored data lost bytes")
                break
            del self._buffer[:3]
            self._recording.add(record, [formats.from_old_record(record)])
            self._until = self.now + ANSWER_S
            if self._recording.is_whole:
                self._give_up("")
        return self._rest() if self._until is None else b""

    def _begins(self) -> bool:
        """Return whether the head of stored data is here, and take it."""
        at = self._buffer.find(formats.OLD_PREAMBLE)
        if at < 0:
            del self._buffer[:-HEAD_SIZE_MAX]
            return False
        begins = at + len(formats.OLD_PREAMBLE)
        if len(self._buffer) < begins + 3:
            return False
        high, middle, low = (one & 0x7F for one in self._buffer[begins : begins + 3])
        seconds = ((high << 14 | middle << 7 | low) + 1) // 3
        raw = bytes(self._buffer[at : begins + 3])
        del self._buffer[: begins + 3]
        if seconds:
            self._recording = Recording(self.queue, self.shape, seconds, "", self.now)
            self._recording.add(raw, [])
        else:
            self._until = None
        return True

    def _give_up(self, reason: str) -> None:
        recording, self._recording, self._until = self._recording, None, None
        if recording is not None:
            recording.end(reason)

    def _rest(self) -> bytes:
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one oximeter. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    make = _V7 if chosen["generation"] == "v7" else _Old
    return make(stored=chosen["stored"] == "once")


OLD_COUNT: Final = 60
"""Packets of the old generation in a row, a second of them."""


def _whole(data: bytes) -> int:
    """Return how many packets of V7 there are in the longest stretch without a gap."""
    return _in_a_row(formats.v7_framer(), data, _is_v7)


def _maybe(data: bytes) -> str:
    is_old = _in_a_row(formats.old_framer(), data, _is_old) >= OLD_COUNT
    return 'packets as of generation = "old", which have no checksum' if is_old else ""


def _in_a_row(framer: formats.Framer, data: bytes, fits: Callable[[bytes], bool]) -> int:
    longest = here = 0
    for skipped, packet in framer.feed(data):
        is_one = bool(packet) and fits(packet)
        here = (0 if skipped else here) + 1 if is_one else 0
        longest = max(longest, here)
    return longest


def _is_v7(packet: bytes) -> bool:
    """A kind that comes in streams, in which every byte but the first has bit 7."""
    return packet[0] in {formats.LIVE, formats.RECORDS, formats.RECORD_PI} and all(byte & 0x80 for byte in packet[1:])


def _is_old(packet: bytes) -> bool:
    """A pleth of at most 100, and a saturation as people have it, or none."""
    return packet[1] <= 100 and (20 <= packet[4] <= 100 or packet[4] in {0, 0x7F})


_ANSWER: Final = re.compile(rb"[\x0a\x0b][\x80-\xff]{3}")
"""How many segments, or that it does not say: the whole of what comes when an idle oximeter is asked."""
SEGMENTS: Final = Ask(
    command(formats.GET_SEGMENTS),
    "how many recordings it holds",
    lambda data: _ANSWER.fullmatch(data) is not None,
)
SIGNS: Final = Signs(
    FRAME,
    _whole,
    8,
    (SEGMENTS,),
    _maybe,
    one_speed="the speed goes with the generation: give both as they are",
    needs=re.compile(rb"[\x80-\xff]"),
)
