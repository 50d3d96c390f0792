"""A line on which only one end may speak at a time (half duplex): a radio modem on one frequency, two-wire RS-485.

The ends take turns. The one that calls leads: it has the first turn, and takes the turn back when nothing was heard for
a while, so that a turn that is lost in noise is no deadlock. A turn ends by the frame OVER, after TURN_S at most, or
when nothing more is said: then acknowledgements wait for the next turn, and the link finds no room in between (`room`).
When a round has carried nothing, the leader rests for POLL_S; it may speak at any time in it, the other end may not.

    MINE ── passed ──► THEIRS          THEIRS ── over ──► MINE
    MINE ── over ──► MINE              THEIRS ── silence (leader) ──► MINE
    MINE ── heard (follower) ──► THEIRS: the leader has lost patience, and speaks

Nothing survives. Two leaders, or two followers, on one line do not understand each other.
"""

import enum
from collections.abc import Callable
from typing import Final

from node.modems.bare import BareLine
from node.modems.framed import FramedBearer
from node.modems.script import Controls
from node.modems.seam import Ears
from wire.framing import enclose

OVER: Final = b"\x10"
"""One byte: no frame of a session is so short."""
TURN_S: Final = 4.0
"""An urgent object of the other end waits for so long, and a frame."""
LINGER_S: Final = 0.45
"""Longer than the longest delay of an acknowledgement, which must not wait for a whole round."""
SPOKEN_LINGER_S: Final = 0.15
WAIT_S: Final = 3.0
"""From our OVER, or what was heard last, until the leader takes the turn back: two ways of a second, and a linger."""
POLL_S: Final = 5.0


class Turn(enum.Enum):
    """Who may speak."""

    MINE = "mine"
    THEIRS = "theirs"


class Event(enum.Enum):
    """What changes it."""

    PASSED = "passed"
    OVER = "over"
    SILENCE = "silence"
    HEARD = "heard"


TURNS: Final = {
    (Turn.MINE, Event.PASSED): Turn.THEIRS,
    (Turn.MINE, Event.OVER): Turn.MINE,
    (Turn.MINE, Event.HEARD): Turn.THEIRS,
    (Turn.THEIRS, Event.OVER): Turn.MINE,
    (Turn.THEIRS, Event.SILENCE): Turn.MINE,
    (Turn.THEIRS, Event.HEARD): Turn.THEIRS,
}


class TurnBearer(FramedBearer):
    """Its clock is here (`node.seams.Clocked`): a frame that waits for its turn is no sign of a slow way."""

    @property
    def rate_bytes_s(self) -> float:
        return 1 / self._byte_s


class TurnLine(BareLine):
    """See the module's text. `leads`: this end calls."""

    bearer_class = TurnBearer

    def __init__(
        self,
        ears: Ears,
        controls: Controls,
        name: str,
        baud: int,
        wake: Callable[[], None] = lambda: None,
        *,
        leads: bool,
    ) -> None:
        super().__init__(ears, controls, name, baud, wake)
        self._leads = leads
        self.turn = Turn.THEIRS
        self._since = 0.0
        """When the turn became ours, or something of theirs was heard last."""
        self._out = b""
        self._has_heard = False
        """Whether the last turn of theirs carried anything."""

    def open(self, now: float) -> None:
        self.turn, self._since, self._out, self._has_heard = Turn.THEIRS, now, b"", True
        super().open(now)
        assert self._bearer is not None  # noqa: S101 - it was just made
        self._bearer.is_open = False
        if self._leads:
            self._change(Event.SILENCE, now)

    def tick(self, now: float) -> None:
        at = self._turn_at()
        if at is not None and at <= now:
            if self.turn is Turn.MINE:
                self._pass(now)
            else:
                self._change(Event.SILENCE, now)
        super().tick(now)

    def deadline(self) -> float | None:
        own = super().deadline() if self.turn is Turn.MINE else None
        return min((at for at in (own, self._turn_at()) if at is not None), default=None)

    def output(self) -> bytes:
        data, self._out = self._out, b""
        return data + (super().output() if self.turn is Turn.MINE else b"")

    def _hear(self, bearer: FramedBearer, frame: bytes, now: float) -> None:
        if frame == OVER:
            self._change(Event.OVER, now)
            return
        self._since, self._has_heard = now if self.turn is Turn.THEIRS else self._since, True
        if self.turn is Turn.THEIRS or not self._leads:
            self._change(Event.HEARD, now)
        super()._hear(bearer, frame, now)

    def _turn_at(self) -> float | None:
        """Return when this turn ends, or when the leader takes it back."""
        bearer = self._bearer
        if bearer is None:
            return None
        if self.turn is Turn.THEIRS:
            return max(self._since, bearer.dry_at) + WAIT_S if self._leads else None
        if bearer.unsent:
            return self._since + TURN_S
        if bearer.dry_at > self._since:
            return min(bearer.dry_at + SPOKEN_LINGER_S, self._since + TURN_S)
        return self._since + (LINGER_S if self._has_heard or not self._leads else POLL_S)

    def _pass(self, now: float) -> None:
        bearer = self._bearer
        assert bearer is not None  # noqa: S101 - `_turn_at` has looked
        bearer.is_open = False
        self._out += bearer.take(now) + enclose(OVER)
        self._has_heard = False
        self._change(Event.PASSED, now)

    def _change(self, event: Event, now: float) -> None:
        before, self.turn = self.turn, TURNS[self.turn, event]
        if self.turn is before or self._bearer is None:
            return
        self._since = now
        self._bearer.is_open = self.turn is Turn.MINE
        if self.turn is Turn.MINE:
            self._ears.tick(now)


__all__ = ["OVER", "POLL_S", "TURNS", "TURN_S", "WAIT_S", "Event", "Turn", "TurnLine"]
