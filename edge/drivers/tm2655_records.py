"""The records of an A&D TM-2655 or TM-2657: finds them in a stream of bytes that may break anywhere, and reads them.

    result      SYN SYN SOH '0' '0' STX TM2655 RS yymmddhhmm RS RB RS M RS E00 RS S102 RS "M 87" RS .. ETX BCC
    envelope    SYN SYN SOH '0' '0' STX TM2655 RS yymmddhhmm RS RP RS "N 28" RS "157, 13" RS .. ETX BCC
    request     SYN SYN SOH '0' '0' STX "RB" or "RP" ETX BCC
    answer      SYN SYN SOH '0' '0' ACK or NAK, where a request is not answered by a record
    BCC         exclusive or of SOH to ETX. It may be any byte, ETX among them: a record ends with the byte after ETX.

S systolic, M mean, D diastolic, P pulse, I inflation setting, L largest amplitude; `E00` good, any other a failed
measurement. Numbers are padded with blanks. A TM-2657 says more (RA where RB stands): i irregular heartbeats, m whether
the arm moved, t seconds that it took, as a reader of one names them; every other small letter that has a value is told
as it came. A hospital's monitor was seen to have another word where RB stands, so a
record with an E field is a result. Sources: see `tm2655.py`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from operator import xor
from typing import Final

from edge.readings import Reading, observation

SOH, STX, ETX, ACK, NAK, SYN, RS = 0x01, 0x02, 0x03, 0x06, 0x15, 0x16, "\x1e"
RECORD_SIZE_MAX: Final = 4_096
"""From SOH to the check byte. An envelope of 28 pulses has 257 bytes."""
SKIPPED_SIZE_MAX: Final = 64
"""Bytes that begin no record are handed on after so many."""
TEXT_CONTROLS: Final = frozenset((ETX, ord(RS)))
PULSES_MAX: Final = 256
VALUES: Final[Mapping[str, tuple[str, str]]] = {
    "S": ("systolic", "mmHg"),
    "M": ("mean pressure", "mmHg"),
    "D": ("diastolic", "mmHg"),
    "P": ("pulse", "/min"),
    "I": ("inflation setting", ""),
    "L": ("largest amplitude", ""),
}
_VALUE: Final = re.compile(r"([SMDPIL])\s*(\d+)")
MORE: Final[Mapping[str, tuple[str, str]]] = {
    "i": ("irregular heartbeats", ""),
    "m": ("movement", ""),
    "t": ("measuring time", "s"),
}
_MORE: Final = re.compile(r"([a-z])\s*(\S.{0,31})")
_ERROR: Final = re.compile(r"E\d\d")
_PULSE: Final = re.compile(r"\s*(\d+)\s*,\s*(\d+)\s*")
GOOD: Final = "E00"


@dataclass(frozen=True, slots=True)
class Record:
    """What came between two records' ends. Damaged: `text` is None, and `why` says how. Noise: there is neither."""

    raw: bytes
    text: str | None
    why: str = ""
    answer: int = 0
    """ACK or NAK, when that is all it is."""


def request(command: str) -> bytes:
    """Return a request with its check byte."""
    body = bytes((SOH, 0x30, 0x30, STX)) + command.encode("ascii") + bytes((ETX,))
    return bytes((SYN, SYN)) + body + bytes((reduce(xor, body),))


class Framer:
    """Finds records in a stream that may begin and break anywhere. Holds at most one record."""

    def __init__(self) -> None:
        self._raw = bytearray()
        """What came since the last record, with what was skipped before this one."""
        self._begins = -1
        """Where SOH is in it."""
        self._ended = False

    def feed(self, data: bytes) -> Iterator[Record]:
        """Give the records that end in `data`."""
        for byte in data:
            if self.is_inside and self._is_torn(byte):
                yield self._broken("another began before its end")
            self._raw.append(byte)
            if not self.is_inside:
                self._begins = len(self._raw) - 1 if byte == SOH else -1
                if len(self._raw) >= SKIPPED_SIZE_MAX and byte not in {SOH, SYN}:
                    yield Record(self._take(), None)
            elif (found := self._whole(byte)) is not None:
                yield found

    def rest(self) -> Iterator[Record]:
        """Give up what has not ended."""
        if self.is_inside:
            yield self._broken("it broke off")
        elif self._raw:
            yield Record(self._take(), None)

    @property
    def is_inside(self) -> bool:
        """A record has begun."""
        return self._begins >= 0

    @property
    def holds(self) -> bool:
        """Bytes wait for what follows."""
        return bool(self._raw)

    def _is_torn(self, byte: int) -> bool:
        return byte in {SYN, SOH} and not self._ended

    def _whole(self, byte: int) -> Record | None:
        size = len(self._raw) - self._begins
        if self._ended:
            return self._checked()
        if size == 4 and byte != STX:
            return Record(self._take(), None, answer=byte if byte in {ACK, NAK} else 0)
        if size > 4 and byte == ETX:
            self._ended = True
        if size >= RECORD_SIZE_MAX:
            return self._broken(f"longer than {RECORD_SIZE_MAX} bytes")
        return None

    def _checked(self) -> Record:
        body, check = self._raw[self._begins : -1], self._raw[-1]
        if reduce(xor, body) != check:
            return self._broken(f"its check byte is {check:02X}, want {reduce(xor, body):02X}")
        return Record(self._take(), bytes(body[4:-1]).decode("latin-1"))

    def _broken(self, why: str) -> Record:
        """Return a damaged record; what has no text, or hardly any, was never one."""
        text = self._raw[self._begins + 4 :]
        foreign = sum(1 for byte in text if not (0x20 <= byte < 0x7F or byte in TEXT_CONTROLS))
        return Record(self._take(), None, why if foreign < len(text) / 4 else "")

    def _take(self) -> bytes:
        raw = bytes(self._raw)
        self._raw.clear()
        self._begins, self._ended = -1, False
        return raw


def is_envelope(text: str) -> bool:
    """Return whether this is an envelope."""
    return "RP" in text.split(RS)[2:4]


def read(text: str) -> Reading:
    """Return what a result or an envelope says; a record of neither kind is kept and said to be unknown."""
    fields = text.split(RS)
    model, time = fields[0].strip(), fields[1].strip() if len(fields) > 1 else ""
    if is_envelope(text):
        return _envelope(fields[3:], Reading(model=model, time=time))
    if any(_ERROR.fullmatch(one.strip()) for one in fields[2:]):
        return _result(fields[2:], Reading(model=model, time=time))
    return Reading(model=model, time=time, partial="a record of an unknown kind")


def _result(fields: list[str], reading: Reading) -> Reading:
    error = next(one.strip() for one in fields if _ERROR.fullmatch(one.strip()))
    if error != GOOD:
        found = (observation("error", error, code="E"),)
        return replace(reading, observations=found, fault=f"the monitor could not measure ({error})")
    matches = [match for one in fields if (match := _VALUE.fullmatch(one.strip()))]
    values = [observation(VALUES[one[1]][0], one[2], VALUES[one[1]][1], code=one[1]) for one in matches]
    others = [match for one in fields if (match := _MORE.fullmatch(one.strip()))]
    more = [observation(*_named(one[1], one[2]), code=one[1]) for one in others]
    return replace(reading, observations=(*values, *more))


def _named(letter: str, value: str) -> tuple[str, str, str]:
    name, unit = MORE.get(letter, (letter, ""))
    return name, value, unit


def _envelope(fields: list[str], reading: Reading) -> Reading:
    pulses = [match for one in fields if (match := _PULSE.fullmatch(one))][:PULSES_MAX]
    said = next((one.strip()[1:].strip() for one in fields if one.strip().startswith("N")), "")
    text = " ".join(f"{one[1]},{one[2]}" for one in pulses)
    missing = () if said == str(len(pulses)) else (f"{said or 'no'} pulses announced, {len(pulses)} read",)
    return replace(reading, observations=(observation("pulse envelope", text, code="RP"),), notes=missing)
