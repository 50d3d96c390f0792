"""Records: what a frame holds once it is opened. `docs/protocol.md`, "Records", is normative.

    00 padding       01 PING         02 ACK      03 FLOOR
    04 CONTROL       05 CONTROL to the end of the frame
    06 SEGMENT       07 SEGMENT to the end of the frame
    08 TIMED ACK

A frame is read whole or not at all: one unlawful record and nothing of the frame counts.
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from wire import varint
from wire.errors import Misuse, PeerError
from wire.ranges import RangeSet

ACK_RUNS_MAX: Final = 32
CONTROL_END_MAX: Final = 1 << 40
OFFSET_MAX: Final = 1 << 40
SEGMENT_OVERHEAD_MAX: Final = 1 + 4 + 8 + 2
DELAY_UNIT_S: Final = 0.004
DELAY_S_MAX: Final = ((1 << 14) - 1) * DELAY_UNIT_S
TICK_S: Final = 0.002
TICKS: Final = 1 << 14
"""The clock of TIMED ACK goes round after so many ticks, 32.8 s."""


class Number(enum.IntEnum):
    """The first byte of a record."""

    PADDING = 0
    PING = 1
    ACK = 2
    FLOOR = 3
    CONTROL = 4
    CONTROL_LAST = 5
    SEGMENT = 6
    SEGMENT_LAST = 7
    ACK_TIMED = 8


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for an ACK, and nothing else."""


@dataclass(frozen=True, slots=True)
class Ack:
    """Which frames arrived: at most 32 runs of counters, the newest ones, and how long the newest waited for this.

    `arrived_at` is when the newest arrived, by any clock of who says it, in whole ticks and modulo TICKS of them.
    """

    frames: RangeSet
    delay_s: float = 0.0
    arrived_at: float | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """The sender no longer asks about frames below `counter`: they need not be acknowledged again."""

    counter: int


@dataclass(frozen=True, slots=True)
class Control:
    """Bytes of the command channel's tag stream."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """Bytes of the object on `channel`."""

    channel: int
    offset: int
    data: bytes


Record = Ping | Ack | Floor | Control | Segment


def encode(records: list[Record]) -> bytes:
    """Return the payload of one frame; the last record, when it carries bytes, takes no length."""
    last = len(records) - 1
    return b"".join(_encode(record, at == last) for at, record in enumerate(records))


def encoded_size(record: Record) -> int:
    """Return how many bytes `record` takes when it is not the last one."""
    return len(_encode(record, last=False))


def segment_room(channel: int, offset: int, room: int) -> int:
    """Return how many data bytes of a SEGMENT fit into `room` bytes when it is the last record; may be below 1."""
    return room - 1 - len(varint.encode(channel)) - len(varint.encode(offset))


def _encode(record: Record, last: bool) -> bytes:
    match record:
        case Segment(channel, offset, data):
            head = bytes((Number.SEGMENT + last,)) + varint.encode(channel) + varint.encode(offset)
            return head + (b"" if last else varint.encode(len(data))) + data
        case Control(offset, data):
            head = bytes((Number.CONTROL + last,)) + varint.encode(offset)
            return head + (b"" if last else varint.encode(len(data))) + data
        case Ack():
            return _encode_ack(record)
        case Floor(counter):
            return bytes((Number.FLOOR,)) + varint.encode(counter)
        case Ping():
            return bytes((Number.PING,))


def _encode_ack(ack: Ack) -> bytes:
    runs = list(ack.frames)[: -ACK_RUNS_MAX - 1 : -1]
    if not runs:
        raise Misuse("an ACK of nothing")
    units = int(min(ack.delay_s, DELAY_S_MAX) / DELAY_UNIT_S)
    head = bytes((Number.ACK,))
    if ack.arrived_at is not None:
        head = bytes((Number.ACK_TIMED,)) + varint.encode(int(ack.arrived_at / TICK_S) % TICKS)
    parts = [head, varint.encode(units), varint.encode(runs[0][1] - 1), varint.encode(len(runs) - 1)]
    below = runs[0][1]
    for start, end in runs:
        if end != below:
            parts.append(varint.encode(below - end - 1))
        parts.append(varint.encode(end - start - 1))
        below = start
    return b"".join(parts)


def decode(payload: bytes) -> list[Record]:
    """Return the records of one frame. Raises PeerError."""
    records: list[Record] = []
    at = 0
    while at < len(payload):
        number, at = payload[at], at + 1
        if number == Number.PADDING:
            continue
        reader = _READERS.get(number)
        if reader is None:
            raise PeerError(f"a record of kind {number} at byte {at - 1} of a frame")
        record, at = reader(payload, at)
        records.append(record)
    return records


def _read_ping(_: bytes, at: int) -> tuple[Record, int]:
    return Ping(), at


def _read_floor(payload: bytes, at: int) -> tuple[Record, int]:
    counter, at = varint.decode(payload, at)
    return Floor(counter), at


def _read_ack(payload: bytes, at: int) -> tuple[Ack, int]:
    units, at = varint.decode(payload, at)
    highest, at = varint.decode(payload, at)
    more, at = varint.decode(payload, at)
    if more >= ACK_RUNS_MAX or units >= 1 << 14:
        raise PeerError(f"an ACK with {more + 1} runs and a delay of {units} units")
    runs, below = [], highest + 1
    for number in range(more + 1):
        gap = 0
        if number:
            gap, at = varint.decode(payload, at)
            gap += 1
        width, at = varint.decode(payload, at)
        end, start = below - gap, below - gap - width - 1
        if start < 0:
            raise PeerError(f"run {number + 1} of an ACK of {highest} goes below zero")
        runs.append((start, end))
        below = start
    return Ack(RangeSet(reversed(runs)), units * DELAY_UNIT_S), at


def _read_timed_ack(payload: bytes, at: int) -> tuple[Record, int]:
    ticks, at = varint.decode(payload, at)
    if ticks >= TICKS:
        raise PeerError(f"an ACK of tick {ticks}; at most {TICKS - 1}")
    ack, at = _read_ack(payload, at)
    return replace(ack, arrived_at=ticks * TICK_S), at


def _take(payload: bytes, at: int, last: bool) -> tuple[bytes, int]:
    size, at = (len(payload) - at, at) if last else varint.decode(payload, at)
    if size > len(payload) - at:
        raise PeerError(f"a record of {size} bytes where {len(payload) - at} are left")
    return payload[at : at + size], at + size


def _read_control(payload: bytes, at: int) -> tuple[Record, int]:
    last = payload[at - 1] == Number.CONTROL_LAST
    offset, at = varint.decode(payload, at)
    data, at = _take(payload, at, last)
    if offset + len(data) > CONTROL_END_MAX:
        raise PeerError(f"command bytes at {offset}; at most {CONTROL_END_MAX}")
    return Control(offset, data), at


def _read_segment(payload: bytes, at: int) -> tuple[Record, int]:
    last = payload[at - 1] == Number.SEGMENT_LAST
    channel, at = varint.decode(payload, at)
    offset, at = varint.decode(payload, at)
    data, at = _take(payload, at, last)
    if not data or offset + len(data) > OFFSET_MAX:
        raise PeerError(f"a segment of {len(data)} bytes at {offset} of channel {channel}")
    return Segment(channel, offset, data), at


_READERS: Final[dict[int, Callable[[bytes, int], tuple[Record, int]]]] = {
    Number.PING: _read_ping,
    Number.ACK: _read_ack,
    Number.FLOOR: _read_floor,
    Number.CONTROL: _read_control,
    Number.CONTROL_LAST: _read_control,
    Number.SEGMENT: _read_segment,
    Number.SEGMENT_LAST: _read_segment,
    Number.ACK_TIMED: _read_timed_ack,
}
