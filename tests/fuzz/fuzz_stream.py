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


ID, ATTACHED_ID = bytes(range(16)), bytes(range(50, 66))
ATTACHED = Written(small_stream(ATTACHED_ID))
WRITTEN = Written(small_stream(ID, ATTACHED.whole))
EDITS_MAX, EDIT_SIZE = 8, 6
SEEDS = [bytes(1 + EDIT_SIZE * EDITS_MAX), b"\x00" + bytes(range(48)), b"\x01" + WRITTEN.whole[:2000]]


def check(data: bytes) -> None:
    """Hold the invariant for the stream that `data` describes, with and without its id known."""
    if not data:
        return
    of_ours = not data[0] & 1
    stream = edited(data[1:]) if of_ours else data[1:]
    for stream_id in (ID, None):
        whole = read(stream, len(stream) + 1, stream_id)
        assert whole == read(stream, 1, stream_id), "whole and byte by byte differ"
        check_tiles(whole, stream)
        if of_ours:
            # Who does not know the id may take the attached stream for the stream, where the file begins with it or
            # several damages left only its CHECKs (tag.md, 4.2); never some tags of the one and some of the other.
            single = len(data) <= 2 * EDIT_SIZE and not stream.startswith(ATTACHED.raws[0])
            lawful = [WRITTEN] if stream_id or single else [WRITTEN, ATTACHED]
            assert any(was_written(whole, written) for written in lawful), "sound, and not written"
    assemble(stream)


def check_tiles(whole: list[Found], stream: bytes) -> None:
    """Every byte is reported once, in order."""
    at = 0
    for found in whole:
        assert found.offset == at
        assert not found.raw or (found.raw == stream[at : at + found.size] and found.tag)
        at += found.size
    assert at == len(stream)


def was_written(whole: list[Found], written: Written) -> bool:
    """Whether each sound tag is one of `written`, once, in order."""
    sound = [(found.ordinal, found.raw) for found in whole if found.verdict is Verdict.SOUND]
    known = dict(enumerate(written.raws))
    ordinals = [ordinal for ordinal, _ in sound]
    return ordinals == sorted(set(ordinals)) and all(known.get(ordinal) == raw for ordinal, raw in sound)


def edited(recipe: bytes) -> bytes:
    """Apply edits of EDIT_SIZE bytes each: what, place u16, other place u16, size."""
    data = bytearray(WRITTEN.whole)
    for at in range(0, min(len(recipe) - EDIT_SIZE + 1, EDIT_SIZE * EDITS_MAX), EDIT_SIZE):
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
                data[place:place] = recipe[at + EDIT_SIZE : at + EDIT_SIZE + size]
    return bytes(data)


def read(stream: bytes, chunk: int, stream_id: bytes | None) -> list[Found]:
    """Return the answer to `stream` fed in chunks."""
    reader, found = StreamReader(stream_id), []
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
