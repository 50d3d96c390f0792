"""Whether a queue ran over in a round, or the line lost what it loses by itself.

A modem line loses frames one by one, and slower would lose as many. A queue that runs over drops most of what comes.
So what a round lost is held against what rounds usually lose: beyond LOSS_DEVIATIONS standard deviations it is
*unusual*, and how long anything waited then is how long the queue is, its `room_s`. A round that lost nearly half, in
many frames, is a *flood*: we send too fast. Rounds of few frames say little, and so does jitter: both are told from a
queue here. Pure; owned by `wire/rate.py`.
"""

import math
from dataclasses import dataclass
from typing import Final

USUAL_LOSS_MIN: Final = 0.15
USUAL_LOSS_MAX: Final = 0.5
"""What counts as usual at least, before much is known, and at most: more is a flood."""
LOSS_DEVIATIONS: Final = 3.0
FLOOD_DEVIATIONS: Final = 4.0
FLOOD_FRAMES_MIN: Final = 6
FLOOD_LOSS: Final = 0.4
FLOOD_LOSS_MAX: Final = 0.9
"""A queue that runs over lets pass what the hop takes; when hardly anything arrives, frames are too large."""
MEMORY_ROUNDS: Final = 8
ROOM_S_MIN: Final = 0.02
ROOM_PART: Final = 0.1
ROOM_DEVIATIONS: Final = 3.0
"""A queue shorter than this part of the round trip, or than so many deviations of the way, is not told from jitter."""
ROOM_GROWTH: Final = 1.02
"""By round: a queue that ran over may have been shared with somebody else."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round sent and lost, in bytes, the size of its frames, and how long any of them waited at most."""

    sent: int
    lost: int
    frame_size: int
    wait_max_s: float


class Overflow:
    """What one session knows of losses on its way."""

    def __init__(self) -> None:
        self.part_lost = self.usual_loss = 0.0
        """The part of what was sent that was lost in the last round, and usually is."""
        self.is_unusual = self.is_flood = False
        """The last round lost more than the line does by itself; and so much that we are too fast."""
        self.room_s = float("inf")
        """How long the longest queue is that the hop takes, as far as is known."""
        self._rounds = 0

    def judge(self, seen: Round, rtt_s: float, deviation_s: float, *, is_loaded: bool) -> None:
        """Take in a round. `is_loaded`: it sent more than usual at once, so that something should have waited."""
        self.part_lost = part = min(seen.lost / max(seen.sent, 1), 1.0)
        frames = seen.sent / max(seen.frame_size, 1)
        usual = min(max(self.usual_loss, USUAL_LOSS_MIN), USUAL_LOSS_MAX)
        spread = math.sqrt(usual * (1 - usual) / frames) if frames > 0 else math.inf
        deviations = (part - usual) / spread
        self.is_unusual = deviations > LOSS_DEVIATIONS
        is_large = FLOOD_LOSS < part < FLOOD_LOSS_MAX and seen.lost > FLOOD_FRAMES_MIN * seen.frame_size
        self.is_flood = is_large and deviations > FLOOD_DEVIATIONS and seen.wait_max_s > ROOM_S_MIN
        if not self.is_flood:
            self._rounds = min(self._rounds + 1, MEMORY_ROUNDS)
            self.usual_loss += (part - self.usual_loss) / self._rounds
        if self.is_unusual and is_loaded and seen.wait_max_s > max(ROOM_DEVIATIONS * deviation_s, ROOM_PART * rtt_s):
            self.room_s = max(seen.wait_max_s, ROOM_S_MIN)
        else:
            self.room_s *= ROOM_GROWTH

    def on_bearer(self) -> None:
        """Another bearer: its queues are not known."""
        self.room_s = float("inf")
