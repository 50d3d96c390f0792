"""Where the tags that a CHECK lists stand in a stretch of damaged bytes. R8.

The stretch lies between what is proven already and an intact CHECK. The list is walked forward from the one end and
backward from the other: a single damage lies between the two walks, whatever it is. Between two damages, tags are
searched for by size and CRC. Headers are never trusted to tell where the next tag begins.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from crc32c import crc32c

from wire.checks import Check, Entry
from wire.errors import FormatError
from wire.searching import candidates
from wire.tag import MAGIC, MAGIC_OFFSET, tag_size

SEARCH_FACTOR: Final = 8
"""Bytes under CRC in a search between two damages, as a multiple of the bytes searched: never quadratic."""


class Placed(NamedTuple):
    """A tag whose bytes are the ones listed at `ordinal`; `at` counts from the beginning of the buffer."""

    ordinal: int
    at: int
    size: int

    @property
    def end(self) -> int:
        return self.at + self.size


class Stretch:
    """Bytes of `buffer` from `start` to `end`, under the list of the CHECK that stands at `end`."""

    def __init__(self, buffer: bytearray, start: int, end: int, check: Check) -> None:
        self._buffer = buffer
        self._start, self._end = start, end
        self._check = check

    def entry(self, ordinal: int) -> Entry | None:
        """Return what the CHECK says of the tag with this ordinal, or None where it says nothing."""
        index = ordinal - self._check.first
        return self._check.entries[index] if 0 <= index < len(self._check.entries) else None

    def forward(self, ordinal: int) -> Iterator[Placed]:
        """Yield the tags from `start` on, as long as each is as listed; the first has this ordinal."""
        at = self._start
        while (entry := self.entry(ordinal)) and at + entry.size <= self._end and self._holds(at, entry):
            yield Placed(ordinal, at, entry.size)
            at, ordinal = at + entry.size, ordinal + 1

    def backward(self, ordinal_min: int, floor: int) -> Iterator[Placed]:
        """Yield the tags from `end` back, as long as each is as listed and none begins before `floor`."""
        at, ordinal = self._end, self._check.ordinal - 1
        while ordinal >= ordinal_min and (entry := self.entry(ordinal)):
            at -= entry.size
            if at < floor or not self._holds(at, entry):
                return
            yield Placed(ordinal, at, entry.size)
            ordinal -= 1

    def tiles(self, ordinal: int) -> list[Placed] | None:
        """Return the tags from this ordinal on if they fill the whole stretch without a gap, else None."""
        first = ordinal - self._check.first
        if first < 0 or sum(entry.size for entry in self._check.entries[first:]) != self._end - self._start:
            return None
        placed = list(self.forward(ordinal))
        return placed if len(placed) == self._check.ordinal - ordinal else None

    def place(self, ordinal: int, *, trust_end: bool = False) -> list[Placed]:
        """Return every tag from this ordinal on that can be proven to stand in the stretch, in order.

        Where both walks prove the same tag at two places, the one that begins at the CHECK is right if `trust_end`.
        """
        before = list(self.forward(ordinal))
        known = (before[-1].ordinal, before[-1].at + 1) if before and not trust_end else (ordinal - 1, self._start)
        after = list(self.backward(known[0] + 1, known[1]))[::-1]
        until, end = (after[0].ordinal, after[0].at) if after else (self._check.ordinal, self._end)
        # Two tags that both hold and overlap: bytes were cut out, and most cuts of that effect are in the first.
        before = [one for one in before if one.ordinal < until and one.end <= end]
        at, following = (before[-1].end, before[-1].ordinal + 1) if before else (self._start, ordinal)
        return [*before, *self._between(following, until, at, end), *after]

    def _between(self, ordinal: int, until: int, start: int, end: int) -> Iterator[Placed]:
        ordinals = range(max(ordinal, self._check.first), until)
        if len(ordinals) < 1 or end <= start:
            return
        sizes: dict[int, list[int]] = {}
        for number in ordinals:
            sizes.setdefault(self._check.entries[number - self._check.first].size, []).append(number)
        budget, lowest, free = SEARCH_FACTOR * (end - start), ordinals.start, start
        for at in candidates(self._buffer, start, end):
            size = _size(self._buffer, at)
            numbers = [number for number in sizes.get(size, ()) if number >= lowest]
            if at < free or at + size > end or not numbers:
                continue
            budget -= size
            if budget < 0:
                return
            crc = self._crc(at, size)
            match = next(
                (number for number in numbers if self._check.entries[number - self._check.first].crc == crc), None
            )
            if match is not None:
                yield Placed(match, at, size)
                lowest, free = match + 1, at + size

    def _holds(self, at: int, entry: Entry) -> bool:
        if self._buffer[at + MAGIC_OFFSET] != MAGIC or self._crc(at, entry.size) != entry.crc:
            return False
        return _size(self._buffer, at) == entry.size

    def _crc(self, at: int, size: int) -> int:
        with memoryview(self._buffer) as view, view[at : at + size] as piece:
            return crc32c(piece, self._check.seed)


def _size(buffer: bytearray, at: int) -> int:
    try:
        return tag_size(buffer, at) or 0
    except FormatError:
        return 0
