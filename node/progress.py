"""What a link can tell of itself: counters, rates, and how far each object is. For people and for programs."""

import math
from collections import deque
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Final

METER_S: Final = 15.0
METER_STEPS_MAX: Final = 64
METER_STEPS_MIN: Final = 8
"""Where the last METER_S brought fewer steps, the meter looks further back, for so many."""
METER_S_MAX: Final = 900.0
METER_SPAN_S_MIN: Final = 0.2
"""A rate over less time than this would be a guess."""
METER_QUIET_GAPS: Final = 3
"""A link that is silent for METER_S and so many times its longest gap has stopped."""
ETA_S_MAX: Final = 7 * 86_400.0
"""What takes longer is not foretold."""


@dataclass
class Counters:
    """What went over one link, over all its sessions. Wire bytes are frames with their bearer's overhead."""

    wire_sent: int = 0
    wire_received: int = 0
    frames_sent: int = 0
    frames_received: int = 0
    frames_lost: int = 0
    frames_refused: int = 0
    handshakes: int = 0
    probes: int = 0


@dataclass(frozen=True)
class ObjectProgress:
    """How far one object is; `eta_s` is None while the rate is not known."""

    object_id: str
    kind: str
    priority: int
    state: str
    size: int
    done: int
    eta_s: float | None


@dataclass(frozen=True)
class Progress:
    """One link, now."""

    connected: bool
    bearer: str
    silence_s: float
    rtt_s: float | None
    rate_bps: float
    sending: list[ObjectProgress]
    receiving: list[ObjectProgress]
    payload_sent: int
    payload_received: int
    segments_sent: int
    segments_resent: int
    segments_twice: int
    counters: Counters = field(default_factory=Counters)

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, the counters beside the rest."""
        plain = asdict(self)
        counters: dict[str, Any] = plain.pop("counters")
        return plain | counters


class Meter:
    """Bytes per second over the last METER_S seconds, or over METER_STEPS_MIN steps where those take longer.

    A step is what arrived at one time. On a slow link and on one that answers in bursts they lie seconds apart, over
    messages minutes: a short look back would see one, or none, while bytes move.
    """

    def __init__(self) -> None:
        self._steps: deque[tuple[float, int]] = deque(maxlen=METER_STEPS_MAX)
        """The first only tells since when the second was under way, and may be of no bytes."""

    def note(self, size: int, now: float) -> None:
        """Something was heard at `now`, and with it `size` bytes arrived."""
        last_at, last_size = self._steps[-1] if self._steps else (now, 0)
        if not (last_size or size) or (now - last_at > METER_S and last_size and not self._rhythm(now)):
            self._steps.clear()
        if last_size and self._steps and now - last_at < METER_S / METER_STEPS_MAX:
            self._steps[-1] = last_at, last_size + size
        elif size or not self._steps:
            self._steps.append((now, size))

    def rate(self, now: float) -> float:
        """Return bytes per second; 0.0 while it is not known, and when nothing comes any more."""
        steps = self._rhythm(now)
        span_s = now - steps[0][0] if steps else 0.0
        return sum(size for _, size in steps[1:]) / span_s if span_s >= METER_SPAN_S_MIN else 0.0

    def _rhythm(self, now: float) -> list[tuple[float, int]]:
        """Return the steps that tell how it goes now; none when the link has been silent for longer than its habit."""
        late = [step for step in self._steps if now - step[0] <= METER_S]
        steps = late if len(late) >= METER_STEPS_MIN else list(self._steps)[-METER_STEPS_MIN:]
        steps = [step for step in steps if now - step[0] <= METER_S_MAX]
        gap_s = max((after[0] - before[0] for before, after in pairwise(steps)), default=0.0)
        is_silent = not steps or now - steps[-1][0] > METER_S + METER_QUIET_GAPS * gap_s
        return [] if is_silent else steps


def eta_s(left: int, rate: float) -> float | None:
    """Return the seconds that `left` bytes take at `rate` bytes per second; None when nobody can tell."""
    if left <= 0:
        return 0.0
    seconds = left / rate if rate >= left / ETA_S_MAX else math.inf
    return max(seconds, 1.0) if seconds <= ETA_S_MAX else None
