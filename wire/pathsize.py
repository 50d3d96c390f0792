"""How large a datagram the path takes: found by trying, never assumed (in the spirit of RFC 8899, DPLPMTUD).

Sizes are bytes with all headers. It begins with SAFE_SIZE, which nearly every path takes. Then single frames of data
are made larger, the largest that the own interface takes first, then down the ladder of sizes that paths have. One that
arrives confirms its size; TRIES_MAX in a row that are lost, while others arrive, rule theirs out. When many frames in a
row are lost that are larger than one that arrived of late, the path has become narrower (a black hole): it begins anew.
Routers are not asked: their messages are lost as often as not, and anybody could send them.

    state       confirmed      ruled out               black hole
    SEARCHING   FOUND / next   next smaller / FOUND    SEARCHING, from below
    FOUND       -              -                       SEARCHING, from below
"""

import enum
from typing import Final

SAFE_SIZE: Final = 1200
LEAST_SIZE: Final = 576
LADDER: Final = (1500, 1492, 1480, 1464, 1436, 1400, 1358, 1320, 1280, 1240)
"""Ethernet, PPPoE, tunnels in tunnels, mobile networks, the least of IPv6."""
TRIES_MAX: Final = 3
BLACK_HOLE_FRAMES: Final = 6
SILENCES_MAX: Final = 2
"""So many silences with nothing large between them may be chance."""
SILENCES_FIRST: Final = 1
"""The same before anything large has arrived: not even SAFE_SIZE is known to pass."""
SLACK: Final = 16
"""A full frame may be this much smaller than it was meant to be; a rung beyond which nothing is left to try."""


class State(enum.Enum):
    """Whether a larger size is still looked for."""

    SEARCHING = "searching"
    FOUND = "found"


class PathSize:
    """The size that the path of one bearer takes."""

    def __init__(self, largest: int) -> None:
        self.begin(largest)

    def begin(self, largest: int, below: int | None = None) -> None:
        """Another bearer or address, whose own interface takes `largest`; or the path took less than `below`."""
        self._largest = largest
        self.size = min(largest, SAFE_SIZE if below is None or below > SAFE_SIZE else LEAST_SIZE)
        bound = largest + 1 if below is None else min(below, largest + 1)
        self._ladder = [size for size in (largest, *LADDER) if self.size < size < bound]
        self._ladder = sorted(set(self._ladder), reverse=True)
        self._tries, self._is_out = 0, False
        self._lost_in_a_row = self._silences = 0
        self._is_proved = False

    @property
    def state(self) -> State:
        return State.SEARCHING if self._ladder else State.FOUND

    @property
    def next_size(self) -> int:
        """How large the next frame may be: now and then one that tries more than is confirmed."""
        return self._ladder[0] if self._ladder and not self._is_out else self.size

    def on_sent(self, size: int) -> None:
        """A frame of `size` went out."""
        self._is_out = self._is_out or size > self.size

    def on_arrived(self, size: int) -> None:
        """A frame of `size` arrived."""
        if size > LEAST_SIZE:
            self._lost_in_a_row = self._silences = 0
            self._is_proved = True
        if size > self.size:
            self._tries, self._is_out = 0, False
            is_rung = bool(self._ladder) and size >= self._ladder[0] - SLACK
            self.size = self._ladder[0] if is_rung else size
            self._ladder = [] if is_rung else [rung for rung in self._ladder if rung > size]

    def on_silence(self) -> None:
        """A silence is over. An outage is followed by large frames that arrive; a black hole by the next silence."""
        self._silences += 1
        if self._silences > (SILENCES_MAX if self._is_proved else SILENCES_FIRST):
            self.begin(self._largest, below=self.size)

    def on_lost(self, size: int) -> None:
        """A frame of `size` is lost, while a later one arrived."""
        if size > self.size and self._ladder:
            self._is_out, self._tries = False, self._tries + 1
            if self._tries >= TRIES_MAX:
                self._ladder, self._tries = self._ladder[1:], 0
            return
        if size <= LEAST_SIZE:
            return
        self._lost_in_a_row += 1
        if self._lost_in_a_row >= BLACK_HOLE_FRAMES:
            self.begin(self._largest, below=size)
