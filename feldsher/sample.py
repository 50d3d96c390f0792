"""A study-like tag file made from a seed, for everyone who wants to try a reader of tags.

It holds what readers stumble over: empty data, sizes on both sides of 64 KiB, containers, a picture whose bytes are a
whole tag stream of their own, runs of zeros, bytes full of the magic number. The same seed gives the same bytes on
every machine and every Python.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from cbor2 import dumps

from wire import kinds
from wire.checks import STREAM_ID_SIZE, STUDY
from wire.errors import UsageError
from wire.stream import StreamWriter
from wire.tag import MAGIC, TAGS, Tag, encode

TAGS_MIN: Final = 4
"""START, END and the two CHECKs that close the file."""
TAGS_MAX: Final = 100_000
OPENED_MS: Final = 1_760_000_000_000
CHECK_EVERY: Final = 5
LARGE_SIZE: Final = 70_000
LARGE_EVERY: Final = 97


class Dice:
    """Bytes and numbers that depend on the seed and on what was drawn before, and on nothing else."""

    def __init__(self, seed: int) -> None:
        self._seed, self._drawn = seed, 0

    def bytes(self, size: int) -> bytes:
        self._drawn += 1
        return hashlib.shake_128(f"{self._seed} {self._drawn}".encode()).digest(size)

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return low + int.from_bytes(self.bytes(8), "big") % (high - low + 1)


def sample(tags: int, seed: int, *, large: bool = True) -> Iterator[bytes]:
    """Yield, piece by piece, a sound file of exactly `tags` top-level tags; `large`: some over 64 KiB."""
    if not TAGS_MIN <= tags <= TAGS_MAX:
        raise UsageError(f"a sample of {tags} tags is not possible; from {TAGS_MIN} to {TAGS_MAX}")
    dice = Dice(seed)
    writer = StreamWriter(dice.bytes(STREAM_ID_SIZE), STUDY, OPENED_MS)
    yield writer.start()
    shapes = _shapes(dice, large=large)
    while writer.next_ordinal < tags - 3:
        due = writer.next_ordinal % CHECK_EVERY == 0
        yield writer.check() if due else _fitting(writer, next(shapes), tags - 3)
    entries = {"entries": tags - TAGS_MIN, "closed_ms": OPENED_MS + tags, "recovered": False}
    yield writer.put(Tag(kinds.SERVICE, kinds.END, dumps(entries, canonical=True)))
    yield writer.finish()


def _fitting(writer: StreamWriter, tag: Tag, until: int) -> bytes:
    """Return the tag's bytes, with a CHECK before it where one is due and there is still room for both."""
    raw = encode(tag)
    due = writer.before(len(raw))
    return due + (writer.put_raw(raw) if writer.next_ordinal < until else b"")


def _shapes(dice: Dice, *, large: bool) -> Iterator[Tag]:
    makers = (_result, _raw, _empty, _container, _magic, _note, _zeros, _picture, _raw, _waveform)
    number = 0
    while True:
        number += 1
        if large and number % LARGE_EVERY == LARGE_EVERY // 2:
            yield Tag(kinds.IMAGE, kinds.PICTURE, dice.bytes(LARGE_SIZE + dice.number(0, 9_999)))
        else:
            yield makers[dice.number(0, len(makers) - 1)](dice, number)


def _result(dice: Dice, number: int) -> Tag:
    values = [{"code": "WBC", "value": str(dice.number(10, 999) / 10), "unit": "10*9/L"} for _ in range(5)]
    data = dumps({"qc": False, "specimen_id": f"S{number}", "observations": values}, canonical=True)
    return Tag(kinds.CAPTURE, kinds.RESULT, data, time_ms=OPENED_MS + number, sequence=number)


def _raw(dice: Dice, number: int) -> Tag:
    return Tag(kinds.CAPTURE, kinds.RAW, dice.bytes(dice.number(1, 900)), time_ms=OPENED_MS + number)


def _empty(dice: Dice, number: int) -> Tag:
    return Tag(kinds.CONTOUR, dice.number(1, 9), target=number if number % 2 else None)


def _container(dice: Dice, number: int) -> Tag:
    inner = b"".join(encode(make(dice, number)) for make in (_empty, _raw, _note))
    return Tag(kinds.SERVICE, kinds.SEALED, inner, state=TAGS, source=number)


def _magic(dice: Dice, number: int) -> Tag:
    return Tag(kinds.GRAPHIC, 1, bytes((MAGIC,)) * dice.number(1, 700), target=number)


def _note(dice: Dice, number: int) -> Tag:
    extension = dice.bytes(dice.number(0, 20)) if number % 2 else None
    return Tag(kinds.DATABASE, kinds.NOTE, dumps({"text": "as received " * dice.number(0, 9)}), extension=extension)


def _zeros(dice: Dice, number: int) -> Tag:
    return Tag(kinds.USER_INTERFACE, 0x0203, bytes(dice.number(1, 1500)), sequence=number)


def _waveform(dice: Dice, number: int) -> Tag:
    samples = b"".join((2048 + dice.number(0, 63)).to_bytes(2, "little") for _ in range(dice.number(10, 60)))
    return Tag(kinds.CAPTURE, kinds.WAVEFORM, samples, time_ms=OPENED_MS + number)


def _picture(dice: Dice, number: int) -> Tag:
    """A picture that is itself a whole stream of tags: another study, attached."""
    other = StreamWriter(dice.bytes(STREAM_ID_SIZE), STUDY, OPENED_MS)
    first = other.start() + other.put(_raw(dice, number)) + other.check()
    return Tag(kinds.IMAGE, kinds.PICTURE, first + other.put(_note(dice, number)) + other.finish())
