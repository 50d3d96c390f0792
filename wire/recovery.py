"""The one-pass reader that recovers: what of a damaged stream is sound, unproven or lost. R8.

It keeps at most three tags of maximum size of bytes that are not decided, and never goes back behind them. What the
bytes are is decided by the intact CHECKs among them (`wire.placing`), whose order is told from copies by
`wire.lineage`; only where no CHECK helps are headers believed (`wire.searching`). Which stream it is, START says, or
`wire.election`. Every decision depends on the bytes alone, never on how they were cut into calls of `feed`.
"""

from collections import deque
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from wire.checks import CHECK_HEADER_SIZE, ENTRIES_MAX, Check, CheckFinder, claimed_size, entry_of, parse_check, seed_of
from wire.election import elect, start_at
from wire.found import Found, ResumePoint, Verdict
from wire.lineage import Mark, best_line, extended, reaches
from wire.placing import Placed, Stretch
from wire.searching import walk
from wire.tag import SIZE_MAX

WINDOW_SIZE_MAX: Final = 3 * SIZE_MAX
"""Bytes not yet decided that a reader keeps (R8: three tags)."""
SLICE_SIZE: Final = 1 << 18
"""Bytes taken into the window at a time."""
SETTLE_SIZE: Final = WINDOW_SIZE_MAX // 2
"""Bytes of a full window within which damage is settled at once; what lies behind tells originals from copies."""
SETTLE_SIZE_MAX: Final = WINDOW_SIZE_MAX - SIZE_MAX // 2
"""The same for the first CHECK of a window, which may stand behind two spans of tags that are damaged."""
GIVE_UP_SIZE: Final = SIZE_MAX // 4
"""Bytes given up at a time where a full window has no CHECK that helps."""


class Phase(Enum):
    """What a reader knows: IDENTIFYING → READING, or NAMELESS, when nobody was elected: then nothing is ever sound."""

    IDENTIFYING = auto()
    READING = auto()
    NAMELESS = auto()


class StreamReader:
    """Bytes of a stream in, in any chunks; Founds out, in order, tiling every byte. Never raises on any input.

    `stream_id`: give it where it is known (the file's name tells it): nothing of another stream can then be taken
    for this one's, however it is damaged. Without it the reader learns it from START or, with START damaged, from
    the CHECKs of the first three MiB, and says so in `seed`.
    """

    def __init__(self, stream_id: bytes | None = None) -> None:
        self._window = bytearray()
        self._base = self._scanned = 0
        self._next_ordinal = 0
        self._in_step = self._solid = True
        self._marks: deque[Mark] = deque()
        self._places: set[int] = set()
        self._gone: Found | None = None
        self._out: list[Found] = []
        self._resume: ResumePoint | None = None
        self._candidates: dict[int, list[tuple[int, Check]]] = {}
        self.seed: int | None = None
        """The seed of the stream, or None while (or if) it is not known."""
        self._phase = Phase.IDENTIFYING
        self._finder = CheckFinder(None)
        if stream_id is not None:
            self._adopt(seed_of(stream_id))

    @property
    def pending_size(self) -> int:
        """Bytes that are not yet decided; at most WINDOW_SIZE_MAX."""
        return len(self._window)

    def feed(self, data: bytes) -> list[Found]:
        """Return what is decided by now."""
        with memoryview(data) as view:
            at = 0
            while at < len(view):
                size = min(SLICE_SIZE, WINDOW_SIZE_MAX - len(self._window))
                self._window += view[at : at + size]
                at += size
                self._advance(final=False)
        return self._take()

    def finish(self) -> list[Found]:
        """Return the rest: the stream has ended."""
        self._advance(final=True)
        self._emit_gone()
        return self._take()

    def resume_point(self) -> ResumePoint | None:
        """Return where writing may go on: after the last sound CHECK; None when there was none."""
        return self._resume

    def _take(self) -> list[Found]:
        out, self._out = self._out, []
        return out

    # Which stream

    def _adopt(self, seed: int) -> None:
        self.seed, self._phase = seed, Phase.READING
        self._finder, self._scanned = CheckFinder(seed), self._base
        self._candidates.clear()

    def _identify(self, *, final: bool) -> None:
        start = start_at(self._window, 0)
        while found := self._next_check(final=final):
            at, check = found
            if start and check.seed == start[1]:
                return self._adopt(check.seed)
            self._candidates.setdefault(check.seed, []).append((at, check))
        if not final and len(self._window) < WINDOW_SIZE_MAX:
            return None
        seed = elect(self._window, self._candidates)
        if not self._candidates and start:
            seed = start[1]
        if seed is not None:
            return self._adopt(seed)
        self._phase = Phase.NAMELESS
        self._candidates.clear()
        return None

    # CHECKs as they come

    def _advance(self, *, final: bool) -> None:
        if self._phase is Phase.IDENTIFYING:
            self._identify(final=final)
        if self._phase is Phase.READING:
            while found := self._next_check(final=final):
                self._meet(*found)
        if self._phase is not Phase.IDENTIFYING and final:
            while self._settle_line(len(self._window), len(self._window)):
                pass
            self._walk(len(self._window), ended=True)
        elif len(self._window) == WINDOW_SIZE_MAX and not self._settle_line(SETTLE_SIZE_MAX, SETTLE_SIZE):
            self._walk(GIVE_UP_SIZE, ended=False)

    def _next_check(self, *, final: bool) -> tuple[int, Check] | None:
        while (at := self._finder.find(self._window, self._scanned - self._base)) >= 0:
            size = claimed_size(self._window, at)
            if at + size > len(self._window) and not final:
                self._scanned = self._base + at
                return None
            check = parse_check(self._window, at)
            self._scanned = self._base + at + (check.size if check else 1)
            if check:
                return self._base + at, check
        self._scanned = max(self._scanned, self._base + len(self._window) - CHECK_HEADER_SIZE + 1)
        return None

    def _meet(self, at: int, check: Check) -> None:
        if check.ordinal < self._next_ordinal:
            return
        if not self._marks and self._join(at, check):
            return
        support, joined_at = 1, -1
        for placed in Stretch(self._window, 0, at - self._base, check).backward(self._next_ordinal, 0):
            if self._base + placed.at in self._places:
                joined_at = self._base + placed.at
                break
            support += 1
        self._marks.append(Mark(at, check, support, joined_at))
        self._places.add(at)

    def _join(self, at: int, check: Check) -> bool:
        """Settle a CHECK that joins what is proven without a gap: that needs no second opinion."""
        placed = Stretch(self._window, 0, at - self._base, check).tiles(self._next_ordinal)
        if placed is not None:
            self._settle(at, check, placed)
            self._solid = True
        return placed is not None

    # Settling

    def _settle_line(self, first_size_max: int, size_max: int) -> bool:
        """Settle the best line of the waiting CHECKs as far as these sizes; return whether any was settled."""
        base = self._base
        line = [self._marks[index] for index in best_line(self._marks, self._next_ordinal)]
        for number, (mark, reach) in enumerate(zip(line, reaches([mark.check for mark in line]), strict=True)):
            if mark.at - base >= (size_max if number else first_size_max):
                break
            check = extended(mark.check, reach)
            stretch = Stretch(self._window, 0, mark.at - self._base, check)
            placed = stretch.place(self._next_ordinal, trust_end=not self._solid)
            self._settle(mark.at, check, placed)
            self._solid = False
        self._drop_stale()
        while self._marks and self._join(self._marks[0].at, self._marks[0].check):
            self._drop_stale()
        return self._base > base

    def _drop_stale(self) -> None:
        marks = self._marks
        while marks and (marks[0].at < self._base or marks[0].check.ordinal < self._next_ordinal):
            self._places.discard(marks.popleft().at)

    def _settle(self, at: int, check: Check, placed: Sequence[Placed]) -> None:
        position, ordinal = 0, self._next_ordinal
        for one in placed:
            self._gap(position, one.at, ordinal, one.ordinal, check)
            self._emit_tag(one.at, one.size, Verdict.SOUND, one.ordinal)
            position, ordinal = one.end, one.ordinal + 1
        self._gap(position, at - self._base, ordinal, check.ordinal, check)
        self._emit_tag(at - self._base, check.size, Verdict.SOUND, check.ordinal)
        end = at + check.size
        own = entry_of(self._window[at - self._base : end - self._base], check.seed)
        self._resume = ResumePoint(end, check.ordinal + 1, (*check.entries, own)[-ENTRIES_MAX:])
        self._next_ordinal = check.ordinal + 1
        self._forget(end - self._base, in_step=True)

    def _gap(self, start: int, end: int, ordinal: int, until: int, check: Check) -> None:
        """Report the bytes from `start` to `end`, where the tags from `ordinal` up to `until` should have stood."""
        if start == end and ordinal == until:
            return
        if start < end and ordinal < check.first:
            self._walk_between(start, end, end, in_step=start > 0 or self._in_step, ended=True)
            return
        sizes = [entry.size for entry in check.entries[max(0, ordinal - check.first) : until - check.first]]
        if sizes and start < end and sum(sizes) == end - start:
            for lost, size in enumerate(sizes, ordinal):
                self._emit_lost(start, size, "damaged", lost)
                start += size
            return
        number = ordinal if until - ordinal == 1 else None
        self._emit_lost(start, end - start, _missing(ordinal, until, sum(sizes)), number)

    # Where no CHECK helps

    def _walk(self, limit: int, *, ended: bool) -> None:
        end, in_step = self._walk_between(0, limit, len(self._window), in_step=self._in_step, ended=ended)
        self._forget(end, in_step=in_step)

    def _walk_between(self, start: int, limit: int, end: int, *, in_step: bool, ended: bool) -> tuple[int, bool]:
        done = start
        for at, done, is_tag, note in walk(self._window, start, limit, end, in_step=in_step, ended=ended):
            in_step = is_tag
            if is_tag:
                self._emit_tag(at, done - at, Verdict.UNPROVEN, None)
            else:
                self._emit_lost(at, done - at, note, None)
        return done, in_step

    # Reports

    def _forget(self, size: int, *, in_step: bool) -> None:
        del self._window[:size]
        self._base += size
        self._scanned = max(self._scanned, self._base)
        self._in_step = in_step

    def _emit_tag(self, at: int, size: int, verdict: Verdict, ordinal: int | None) -> None:
        self._emit_gone()
        self._out.append(Found(self._base + at, size, verdict, bytes(self._window[at : at + size]), ordinal))

    def _emit_lost(self, at: int, size: int, note: str, ordinal: int | None) -> None:
        gone = self._gone
        if gone and ordinal is None and gone.ordinal is None and gone.note == note == "":
            self._gone = Found(gone.offset, gone.size + size, Verdict.LOST)
            return
        self._emit_gone()
        self._gone = Found(self._base + at, size, Verdict.LOST, b"", ordinal, note)

    def _emit_gone(self) -> None:
        if self._gone:
            self._out.append(self._gone)
            self._gone = None


def _missing(ordinal: int, until: int, size: int) -> str:
    if ordinal == until:
        return "inserted"
    if until - ordinal == 1:
        return f"tag {ordinal} of {size} bytes is not whole"
    return f"tags {ordinal} to {until - 1} are not whole"
