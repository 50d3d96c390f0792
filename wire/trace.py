"""A trace of a link: what each frame was, and nothing of what it carried. A stream of tags of kind 8.

    FRAME_SEEN 07:30   CBOR array: direction (0 sent, 1 received), bearer, kind, index, counter, size, records
    EVENT_SEEN 07:31   CBOR array: kind, text

`docs/formats/trace.md` is normative. `kind` and `index` are those of the frame (`docs/protocol.md`), `size` is that of
the frame with its bearer's overhead, bytes. A record is an array: its number and the integers of its head (ACK: delay
in ms, then the runs newest first as start and end; CONTROL: offset, size; SEGMENT: channel, offset, size). Bytes that
are carried are replaced by their count before anything is kept, so a trace can be handed to a stranger. The tag's time
is when it happened. What cannot be read as a frame of ours is kept as kind 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cbor2

from wire import kinds, records
from wire.errors import FormatError, PeerError
from wire.records import Ack, Control, Floor, Number, Ping, Record, Segment
from wire.session import FrameKind
from wire.tag import Tag

SENT, RECEIVED = 0, 1
BEARER_SIZE_MAX: Final = 80
TEXT_SIZE_MAX: Final = 400
NUMBER_MAX: Final = (1 << 64) - 1
RECORDS_MAX: Final = 512
"""Records of one frame that are kept; a frame of 16 KiB may hold thousands."""

Shape = tuple[int, ...]
"""One record without what it carries."""


@dataclass(frozen=True)
class FrameSeen:
    """One frame. `counter` is 0 for a handshake; kind and index are 0 for what is no lawful frame."""

    time_ms: int
    direction: int
    bearer: str
    kind: int
    index: int
    counter: int
    size: int
    records: tuple[Shape, ...] = ()


@dataclass(frozen=True)
class EventSeen:
    """One event of the link's log."""

    time_ms: int
    kind: str
    text: str


def shapes(payload: bytes) -> tuple[Shape, ...]:
    """Return the records of an opened payload without what they carry; () when it is no lawful payload."""
    try:
        found = records.decode(payload)
    except PeerError:
        return ()
    return tuple(map(_shape, found[:RECORDS_MAX]))


def _shape(record: Record) -> Shape:
    match record:
        case Ack(frames, delay_s):
            runs = [edge for start, end in reversed(list(frames)) for edge in (start, end)]
            return (Number.ACK, round(delay_s * 1000), *runs)
        case Control(offset, data):
            return (Number.CONTROL, offset, len(data))
        case Segment(channel, offset, data):
            return (Number.SEGMENT, channel, offset, len(data))
        case Floor(counter):
            return (Number.FLOOR, counter)
        case Ping():
            return (Number.PING,)


def encode(seen: FrameSeen | EventSeen) -> Tag:
    """Return the tag."""
    if isinstance(seen, EventSeen):
        words = [seen.kind, _sayable(seen.text[:TEXT_SIZE_MAX])]
        return Tag(kinds.NETWORK, kinds.EVENT_SEEN, cbor2.dumps(words), time_ms=seen.time_ms)
    bearer = _sayable(seen.bearer[:BEARER_SIZE_MAX])
    parts = [seen.direction, bearer, seen.kind, seen.index, seen.counter, seen.size, [list(r) for r in seen.records]]
    return Tag(kinds.NETWORK, kinds.FRAME_SEEN, cbor2.dumps(parts), time_ms=seen.time_ms)


def _sayable(words: str) -> str:
    """Return it without what UTF-8 cannot say: half a character of a path that is in another encoding."""
    return words.encode(errors="replace").decode()


def decode(tag: Tag) -> FrameSeen | EventSeen | None:
    """Return what the tag says, None for a tag that is not of a trace. Raises FormatError."""
    if tag.group != kinds.NETWORK or tag.number not in (kinds.FRAME_SEEN, kinds.EVENT_SEEN):
        return None
    try:
        parts = cbor2.loads(tag.data)
    except (cbor2.CBORError, ValueError, EOFError) as error:
        raise FormatError(f"an entry of a trace is not CBOR: {error}") from error
    read = _read_event if tag.number == kinds.EVENT_SEEN else _read_frame
    return read(parts, tag.time_ms or 0)


def _read_event(parts: object, time_ms: int) -> EventSeen:
    match parts:
        case [str(kind), str(text)]:
            return EventSeen(time_ms, kind, text)
    raise FormatError("an event of a trace is not of its form")


def _read_frame(parts: object, time_ms: int) -> FrameSeen:
    match parts:
        case [int(direction), str(bearer), int(kind), int(index), int(counter), int(size), list(found)]:
            if not all(map(_is_number, (direction, kind, index, counter, size))):
                raise FormatError("a frame of a trace has a number out of bounds")
            shaped = tuple(tuple(record) for record in found[:RECORDS_MAX] if _is_shape(record))
            return FrameSeen(time_ms, direction, bearer, kind, index, counter, size, shaped)
    raise FormatError("a frame of a trace is not of its form")


def _is_shape(record: object) -> bool:
    return isinstance(record, list) and bool(record) and all(map(_is_number, record))


def _is_number(part: object) -> bool:
    return isinstance(part, int) and 0 <= part <= NUMBER_MAX


def text(seen: FrameSeen | EventSeen) -> str:
    """Return one line for people, without the time. A file may hold anything: nothing in it commands a terminal."""
    return "".join(one if one.isprintable() else "?" for one in _text(seen))


def _text(seen: FrameSeen | EventSeen) -> str:
    if isinstance(seen, EventSeen):
        return f"--- {seen.kind}: {seen.text}"
    arrow = ">" if seen.direction == SENT else "<"
    head = f"{arrow} {seen.bearer} {kind_name(seen.kind)} {seen.index:04x}"
    if seen.counter:
        head += f" #{seen.counter}"
    return f"{head} {seen.size} B" + "".join(f", {shape_text(record)}" for record in seen.records)


def kind_name(kind: int) -> str:
    """Return what a kind of frame is called."""
    return FrameKind(kind).name if kind in set(FrameKind) else f"kind {kind}"


def shape_text(shape: Sequence[int]) -> str:
    """Return one record for people."""
    match shape:
        case [Number.PING]:
            return "PING"
        case [Number.ACK, delay_ms, *runs] if len(runs) % 2 == 0:
            spans = [f"{s}" if e - s == 1 else f"{s}-{e - 1}" for s, e in zip(runs[::2], runs[1::2], strict=True)]
            return f"ACK {' '.join(spans)} ({delay_ms} ms)"
        case [Number.FLOOR, counter]:
            return f"FLOOR {counter}"
        case [Number.CONTROL, offset, size]:
            return f"CONTROL {offset}+{size}"
        case [Number.SEGMENT, channel, offset, size]:
            return f"SEGMENT {channel}: {offset}+{size}"
    return f"record {' '.join(map(str, shape))}"
