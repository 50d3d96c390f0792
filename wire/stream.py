"""A stream of tags as written: ordinals, CHECKs and where they must stand. R1, R7.

The reading side is `wire.recovery` (bytes that may be damaged) and `wire.assembler` (bytes of an authenticated
session); both are named here too, so that users of streams need only this module. Owns no bytes but the lists of
sizes and CRCs that the next CHECK will name; what survives a crash is what the caller has put on the disk, and
`StreamWriter.resume` goes on from there. `docs/formats/tag.md` is normative.
"""

from collections.abc import Callable
from typing import Final, Self

from wire.assembler import TagAssembler
from wire.checks import (
    ENTRIES_MAX,
    ORDINAL_MAX,
    Entry,
    build_check,
    build_start,
    entry_of,
    seed_of,
)
from wire.errors import Misuse
from wire.found import Found, ResumePoint, Verdict
from wire.recovery import StreamReader
from wire.tag import SIZE_MAX, Tag, encode

__all__ = ["Found", "ResumePoint", "StreamReader", "StreamWriter", "TagAssembler", "Verdict"]

SPAN_SIZE_MAX: Final = SIZE_MAX
"""Bytes of tags between two CHECKs: any two spans and their CHECKs fit in a reader's window of three tags."""
SPAN_TAGS_MAX: Final = 128
"""Tags between two CHECKs."""
FAR_SIZE: Final = 4096
"""Bytes between two *far* CHECKs: no single damage up to this size touches two of them."""


class StreamWriter:
    """Turns tags into the bytes of one stream and adds the CHECKs that prove them.

    Every CHECK lists all tags since the CHECK before the last, so each tag is listed twice. A CHECK that begins
    FAR_SIZE bytes or more after the end of the last far one is itself a far one and lists all tags since the far one
    before the last, so that one damage of up to FAR_SIZE bytes never takes all the CHECKs that prove a tag outside it.
    """

    def __init__(self, stream_id: bytes, kind: int, time_ms: int) -> None:
        self.stream_id = stream_id
        self.seed = seed_of(stream_id)
        self.next_ordinal = 0
        self._entries: list[Entry] = []
        self._check_last = self._check_before = -1
        self._far_last = self._far_before = -1
        self._since_check = self._since_far = 0
        self._start: Callable[[], Tag] | None = lambda: build_start(stream_id, kind, time_ms)

    @classmethod
    def resume(cls, stream_id: bytes, point: ResumePoint) -> Self:
        """Return a writer that goes on right after `point`; the caller cuts the file there first. No START again."""
        writer = cls(stream_id, 0, 0)
        writer._start = None
        writer.next_ordinal = point.next_ordinal
        writer._entries = list(point.entries)
        writer._check_last = writer._far_last = point.next_ordinal - 1
        writer._check_before = writer._far_before = point.next_ordinal - len(point.entries) - 1
        return writer

    def start(self) -> bytes:
        """Return the bytes of START. Once, and first."""
        if self._start is None:
            raise Misuse("START is written once, and not after resume")
        tag, self._start = self._start(), None
        return self._note(encode(tag))

    def before(self, size: int) -> bytes:
        """Return the CHECK that must stand before a tag of `size` bytes, or b"". `next_ordinal` is then that tag's."""
        tags = self.next_ordinal - 1 - self._check_last
        if not tags or (tags < SPAN_TAGS_MAX and self._since_check + size <= SPAN_SIZE_MAX):
            return b""
        return self.check()

    def put(self, tag: Tag) -> bytes:
        """Return the bytes of `tag`, with a CHECK before it where one is due."""
        return self.put_raw(encode(tag))

    def put_raw(self, raw: bytes) -> bytes:
        """As `put`, for a tag that is encoded already."""
        if self._start is not None:
            raise Misuse("the first tag of a stream is START")
        due = self.before(len(raw))
        return due + self._note(raw)

    def check(self) -> bytes:
        """Return the bytes of a CHECK over the tags before it."""
        if not self.next_ordinal:
            raise Misuse("a CHECK needs a tag before it")
        far = self._since_far >= FAR_SIZE
        floor = min(self._check_before, self._far_before) if far else self._check_before
        count = min(self.next_ordinal - 1 - floor, ENTRIES_MAX, len(self._entries))
        raw = build_check(self.seed, self.next_ordinal, self._entries[len(self._entries) - count :])
        self._check_before, self._check_last = self._check_last, self.next_ordinal
        self._note(raw)
        self._since_check = 0
        if far:
            self._far_before, self._far_last, self._since_far = self._far_last, self._check_last, 0
        self._forget()
        return raw

    def finish(self) -> bytes:
        """Return two CHECKs: the last tags too are then listed twice. Nothing need follow."""
        return self.check() + self.check()

    def _note(self, raw: bytes) -> bytes:
        if self.next_ordinal > ORDINAL_MAX:
            raise Misuse(f"a stream has at most {ORDINAL_MAX + 1} tags")
        self._entries.append(entry_of(raw, self.seed))
        self.next_ordinal += 1
        self._since_check += len(raw)
        self._since_far += len(raw)
        return raw

    def _forget(self) -> None:
        floor = min(self._check_before, self._far_before)
        keep = min(self.next_ordinal - 1 - floor, ENTRIES_MAX)
        del self._entries[: max(0, len(self._entries) - keep)]
