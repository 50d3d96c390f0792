"""Whose stream is this? Asked only where START is damaged and nobody has told the reader the stream's id. R8.

Every intact CHECK names a seed. Besides the stream's own there may be seeds of whole streams that lie within its
tags (an older study as an attachment). Those must never win, so: a seed whose CHECK lies within a tag that another
seed lists is foreign; of those left one must be alone or surround all others; and a seed whose START stands further
back is foreign, unless what is before that START can only have been inserted. In doubt nobody is elected, and the
reader reports every tag as unproven: its caller may know the id.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from wire.checks import CHECK_SIZE_MIN, SEED_SIZE, Check, parse_start
from wire.errors import FormatError
from wire.searching import believable, candidates
from wire.tag import Tag, decode

SEEDS_MAX: Final = 64
"""Seeds that may stand for election; with more nobody is elected."""
CHECKS_MAX: Final = 1 << 14
"""CHECKs that are weighed; with more nobody is elected."""
INSERTED_SIZE_MAX: Final = 1 << 16
"""Bytes before START that may have been inserted; a START further back is foreign."""

Candidates = Mapping[int, Sequence[tuple[int, Check]]]


def start_at(buffer: bytearray, offset: int) -> tuple[Tag, int] | None:
    """Return the START at `offset` with the seed it gives, or None when there is none."""
    header = believable(buffer, offset)
    if header is None or offset + header.total > len(buffer):
        return None
    try:
        tag = decode(buffer[offset : offset + header.total])
    except FormatError:
        return None
    start = parse_start(tag)
    return (tag, int.from_bytes(start.stream_id[:SEED_SIZE], "big")) if start else None


def elect(buffer: bytearray, found: Candidates) -> int | None:
    """Return the seed of the stream that `buffer` begins, given its intact CHECKs by seed, or None in doubt."""
    if len(found) > SEEDS_MAX or sum(len(checks) for checks in found.values()) > CHECKS_MAX:
        return None
    extents = {seed: _extents(checks) for seed, checks in found.items()}
    own = [seed for seed in found if not any(_within(found[seed], extents[rival]) for rival in found if rival != seed)]
    winner = next((seed for seed in own if all(_surrounds(found[seed], found[rival]) for rival in own)), None)
    if winner is None or _is_foreign(buffer, winner, found[winner][-1][0]):
        return None
    return winner


def _extents(checks: Sequence[tuple[int, Check]]) -> list[tuple[int, int]]:
    """Where the listed tags stand, told from the CHECK that lists them and from the CHECK before it."""
    extents: set[tuple[int, int]] = set()
    previous: tuple[int, Check] | None = None
    for at, check in checks:
        end = at
        for entry in reversed(check.entries):
            extents.add((end - entry.size, end))
            end -= entry.size
        if previous and check.first <= previous[1].ordinal < check.ordinal:
            begin = previous[0] + previous[1].size
            for entry in check.entries[previous[1].ordinal + 1 - check.first :]:
                extents.add((begin, begin + entry.size))
                begin += entry.size
        previous = (at, check)
    return _outermost(extents)


def _outermost(extents: set[tuple[int, int]]) -> list[tuple[int, int]]:
    outer: list[tuple[int, int]] = []
    for begin, end in sorted(extents):
        if end - begin > CHECK_SIZE_MIN and (not outer or end > outer[-1][1]):
            outer.append((begin, end))
    return outer


def _within(checks: Sequence[tuple[int, Check]], extents: Sequence[tuple[int, int]]) -> bool:
    for at, check in checks:
        place = bisect_right(extents, (at, -1)) - 1
        if place >= 0 and extents[place][0] < at and at + check.size <= extents[place][1]:
            return True
    return False


def _surrounds(checks: Sequence[tuple[int, Check]], rivals: Sequence[tuple[int, Check]]) -> bool:
    return checks is rivals or (checks[0][0] < rivals[0][0] and rivals[-1][0] < checks[-1][0])


def _is_foreign(buffer: bytearray, seed: int, last_check_at: int) -> bool:
    """Whether the START with this seed stands where only a stream within another can have it."""
    pattern = re.compile(b"\\xFF\\x01\\x01[\\x00-\\xff]" + re.escape(seed.to_bytes(SEED_SIZE, "big")))
    starts = [at for match in pattern.finditer(buffer) for at in (match.start() - 10, match.start() - 4) if at >= 0]
    at = next((at for at in starts if start_at(buffer, at)), 0)
    if at == 0:
        return False
    if at > INSERTED_SIZE_MAX or start_at(buffer, 0):
        return True
    headers = ((place, believable(buffer, place)) for place in candidates(buffer, 0, at))
    return any(header is not None and place + header.total > last_check_at for place, header in headers)
