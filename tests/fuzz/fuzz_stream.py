"""Invariant: whatever bytes a stream's reader is given, its answer tiles them, holds no tag that was not written, keeps
within three tags of memory, and is the same whole and byte by byte.

The input is a recipe: edits of a sound stream, so that the fuzzer need not guess CRCs; with the lowest bit of its first
byte set, the rest is the stream itself. `sh tests/fuzz/run.sh`, or `python -m tests.fuzz.fuzz_stream`.
"""

import contextlib

from tests.fuzz.driver import drive
from tests.wire.damage import Written
from wire import kinds
from wire.checks import STUDY
from wire.errors import FormatError
from wire.recovery import WINDOW_SIZE_MAX
from wire.stream import Found, StreamReader, StreamWriter, TagAssembler, Verdict
from wire.tag import TAGS, Tag, encode


def small_stream(stream_id: bytes, attached: bytes = b"") -> bytes:
    """Return a stream of small tags, with what is `attached` as a picture and as a container."""
    writer = StreamWriter(stream_id, STUDY, 7)
    tags = [Tag(kinds.CAPTURE, kinds.RAW, bytes((number,)) * number * 3) for number in range(12)]
    tags += [Tag(kinds.IMAGE, kinds.PICTURE, attached), Tag(kinds.SERVICE, kinds.SEALED, encode(tags[3]), state=TAGS)]
    data = writer.start()
    for number, tag in enumerate(tags[::2] + tags[1::2]):
        data += writer.put(tag) + (writer.check() if number % 3 == 0 else b"")
    return data + writer.finish()


WRITTEN = Written(small_stream(bytes(range(16)), small_stream(bytes(range(50, 66)))))
EDITS_MAX = 8
SEEDS = [bytes(1 + 6 * EDITS_MAX), b"\x00" + bytes(range(6 * EDITS_MAX)), b"\x01" + WRITTEN.whole[:2000]]


def check(data: bytes) -> None:
    """Hold the invariant for the stream that `data` describes."""
    if not data:
        return
    of_ours = not data[0] & 1
    stream = edited(data[1:]) if of_ours else data[1:]
    whole = read(stream, len(stream) + 1)
    assert whole == read(stream, 1)
    assert sum(found.size for found in whole) == len(stream)
    at = 0
    for found in whole:
        assert found.offset == at
        assert not found.raw or (found.raw == stream[at : at + found.size] and found.tag)
        at += found.size
    if of_ours:
        sound = [found for found in whole if found.verdict is Verdict.SOUND]
        assert [found.raw for found in sound] == [WRITTEN.raws[found.ordinal] for found in sound]
        assert len({found.ordinal for found in sound}) == len(sound)
    assemble(stream)


def edited(recipe: bytes) -> bytes:
    """Apply edits of six bytes each: what, place u16, other place u16, size."""
    data = bytearray(WRITTEN.whole)
    for at in range(0, min(len(recipe) - 5, 6 * EDITS_MAX), 6):
        what, size = recipe[at], recipe[at + 5] * (1 + recipe[at] // 8)
        place, other = (int.from_bytes(recipe[n : n + 2], "big") % (len(data) + 1) for n in (at + 1, at + 3))
        match what % 5:
            case 0:
                data[place : place + 1] = bytes(byte ^ size & 0xFF for byte in data[place : place + 1])
            case 1:
                data[place : place + size] = bytes(len(data[place : place + size]))
            case 2:
                del data[place : place + size]
            case 3:
                data[place:place] = data[other : other + size]
            case _:
                data[place:place] = recipe[at + 6 : at + 6 + size]
    return bytes(data)


def read(stream: bytes, chunk: int) -> list[Found]:
    """Return the answer to `stream` fed in chunks."""
    reader, found = StreamReader(), []
    for at in range(0, len(stream), chunk):
        found += reader.feed(stream[at : at + chunk])
        assert reader.pending_size <= WINDOW_SIZE_MAX
    return found + reader.finish()


def assemble(stream: bytes) -> None:
    """An assembler refuses or takes; nothing else."""
    assembler = TagAssembler()
    with contextlib.suppress(FormatError):
        assembler.feed(stream)
        assert assembler.pending_size <= len(stream)


if __name__ == "__main__":
    drive(check, SEEDS)
