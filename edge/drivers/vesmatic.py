"""Diesse VES-MATIC CUBE and Mini Cube: erythrocyte sedimentation rates, several tubes in one message.

Written from the VES-MATIC CUBE 30 instructions manual rev. 2.0, chapter 7, and the Mini Cube service manual rev. 1.2,
page 54 on. On no unit of our own. 9600 8N1.

    > 00 LEN 01 COM data CR CHK      numbers as two hex digits; LEN of data; CHK: XOR from > to CR

0x51 brings results: how many tubes, then for each its barcode, 10 (11: a code the host does not know), DDMMYY, hhmm,
four characters of value, and two hex digits of errors. Each tube is a person's, so each is a study. The answer is `06
01 CR`, a second later, because the instrument needs that second to listen; to what does not hold nothing is answered,
for the layout of the NACK is not public, and the instrument sends again.

0x50 asks which tubes it may work on. Who answers decides what is done in the instrument, so this driver does not; the
panel says so. 0x52 is a control: kept as one, not read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from edge.driver import Driver, Event, Facts, Fault, Line, Note, Option, Send
from edge.drivers.lab_answering import FORM, Answering, Report, observation
from edge.registry import read_options
from edge.signs import CHECK, Signs

START, CR = 0x3E, 0x0D
HEAD_SIZE: Final = 9
FRAME_SIZE_MAX: Final = HEAD_SIZE + 255 + 3
QUERY, RESULTS, CONTROL = b"50", b"51", b"52"
ANSWER: Final = b"\x0601\r"
ANSWER_S: Final = 1.0
REFUSED: Final = "the disk had no room for a result: it is not acknowledged, and comes again"
TUBE: Final = re.compile(rb"([\x20-\x7e]{0,15})([\x10\x11])(\d{6})(\d{4})([ \d]{3}\d|>\d{3})([0-9A-Fa-f]{2})")

FACTS: Final = Facts(
    name="vesmatic",
    version="1",
    title="Diesse VES-MATIC CUBE, Mini Cube (sedimentation rate)",
    manual="VES-MATIC CUBE 30 instructions manual rev. 2.0, chapter 7; Mini Cube service manual rev. 1.2",
    form=FORM,
    lines=(Line(9_600),),
    options=(Option("answer", "ack", "whether results are acknowledged", ("ack", "none")),),
)


def xor(data: bytes) -> bytes:
    """Return the two hex digits that follow CR."""
    value = 0
    for byte in data:
        value ^= byte
    return f"{value:02X}".encode()


class Frames:
    """Cuts frames by the length that they say; a frame without a sound length ends with its first CR."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def is_open(self) -> bool:
        """A frame has begun."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the frames that end in `data`; what stands between them is dropped."""
        for byte in data:
            if byte == START or self._buffer:
                self._buffer.append(byte)
            if self._buffer and len(self._buffer) >= self._wanted:
                yield self.rest()

    def rest(self) -> bytes:
        """Give up what is not whole."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    @property
    def _wanted(self) -> int:
        if len(self._buffer) < 5:
            return HEAD_SIZE
        try:
            return HEAD_SIZE + int(self._buffer[3:5], 16) + 3
        except ValueError:
            return FRAME_SIZE_MAX if CR not in self._buffer else self._buffer.index(CR) + 3


def is_sound(frame: bytes) -> bool:
    """Return whether the frame ends where its length says, and the check holds."""
    return len(frame) >= HEAD_SIZE + 3 and frame[-3] == CR and frame[-2:].upper() == xor(frame[:-2])


def tubes(data: bytes) -> list[re.Match[bytes]] | None:
    """Return the tubes of a message of results; None where they are not as many as it says, or of another form."""
    found, at = [], 2
    while (tube := TUBE.match(data, at)) is not None:
        found.append(tube)
        at = tube.end()
    is_whole = at == len(data) and data[:2].upper() == f"{len(found):02X}".encode()
    return found if found and is_whole else None


def read(tube: re.Match[bytes]) -> Report:
    """Return what is said of one tube."""
    code, mark, day, time, value, errors = (part.decode("ascii") for part in tube.groups())
    when = f"20{day[4:]}{day[2:4]}{day[:2]}{time}"
    flags = "error" if not value.strip(" 0") and errors == "00" else errors if errors != "00" else ""
    shown = observation("ESR", "ESR", value.strip(), "mm/h", flags)
    notes = ("the host does not know this code",) if mark == "\x11" else ()
    return Report((shown,), (("barcode", code),), time=when, notes=notes)


class _VesMatic(Answering):
    """See the module's text."""

    name = FACTS.name

    def __init__(self, *, answers: bool) -> None:
        super().__init__(Frames())
        self._answers = answers
        self._answer_at: float | None = None
        self._is_owed = self._has_told = False

    def tick(self, now: float) -> list[Event]:
        """Let time pass; answer a second late."""
        answers = self._answer_at is not None and now >= self._answer_at
        self._answer_at = None if answers else self._answer_at
        return [*([Send(ANSWER)] if answers else []), *super().tick(now)]

    def deadline(self) -> float | None:
        """When `tick` wants to be called."""
        due = super().deadline()
        return min([at for at in (due, self._answer_at) if at is not None], default=None)

    def _message(self, raw: bytes, now: float) -> None:
        command, data = raw[7:9], raw[HEAD_SIZE:-3]
        if not is_sound(raw):
            self._queue.put(Note("a frame whose check does not hold: not answered, so that it comes again"))
        elif command == QUERY:
            self._told_query()
        elif command == RESULTS:
            self._results(raw, data, now)
        else:
            self._owe(raw, raw, Report(qc=True, notes=(f"a message {command.decode('latin-1')}: kept, not read",)), now)

    def _told_query(self) -> None:
        if not self._has_told:
            self._queue.put(Fault("query", "the instrument asks which tubes it may work on: switch its query off"))
        self._has_told = True

    def _results(self, raw: bytes, data: bytes, now: float) -> None:
        """Each tube is a study. The frame's head goes with the first, its end with the last."""
        found = tubes(data)
        if found is None:
            self._owe(raw, raw, Report(notes=("results in a form that is not known: kept, not read",)), now)
            return
        for number, tube in enumerate(found):
            begin = 0 if number == 0 else HEAD_SIZE + tube.start()
            end = len(raw) if number == len(found) - 1 else HEAD_SIZE + tube.end()
            self._owe(tube.group(), raw[begin:end], read(tube), now)

    def _owe(self, key: bytes, raw: bytes, report: Report, now: float) -> None:
        """Put a study; the frame is answered when the last of its studies is durable."""
        self._is_owed = True
        self._answered_study(key, raw, report, Send(b""), Fault("disk-full", REFUSED), now)

    def _settle(self, events: list[Event], now: float) -> list[Event]:
        events = super()._settle(events, now)
        if any(isinstance(one, Fault) and one.text == REFUSED for one in events):
            self._is_owed = False
        if self._is_owed and not self._asked:
            self._is_owed = False
            self._answer_at = now + ANSWER_S if self._answers else None
        return [one for one in events if one != Send(b"")]


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one instrument. Raises ConfigError."""
    return _VesMatic(answers=read_options(FACTS, options)["answer"] == "ack")


SIGNS: Final = Signs(CHECK, lambda data: sum(map(is_sound, Frames().feed(data))))
