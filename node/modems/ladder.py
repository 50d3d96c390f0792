"""The ladder of recovery: what is tried next after a fault, and after how long. Pure; the scripts are in `care.py`.

Which rungs make sense depends on what fails: a modem that does not answer has no ear for `AT+CFUN=0`, and a gateway
that is down is no reason to switch a modem off. Each fault climbs one rung; on the last it stays. Waits double up to
`WAIT_S_MAX`, each drawn within a quarter of its length, so that a car park of vans does not call in step. A success
starts at the bottom again. The order follows Quectel's own flow chart (reset the context, then the radio, then power).
"""

import enum
from collections.abc import Callable
from typing import Final

WAIT_S_MIN: Final = 1.0
WAIT_S_MAX: Final = 900.0
FAILURES_MAX: Final = 64
"""Counted no further: the wait has long been the longest."""


class Rung(enum.Enum):
    """What is done about it."""

    SYNC = "asked again"
    RADIO = "radio off and on"
    RESTART = "told to restart"
    REOPEN = "line closed and opened"
    POWER = "switched off and on"


class Failing(enum.Enum):
    """What fails."""

    MODEM = "the modem does not answer"
    NETWORK = "the network gives no connection"
    FAR = "the far end does not answer"
    PERSON = "a person is needed"


RUNGS: Final[dict[Failing, tuple[Rung, ...]]] = {
    Failing.MODEM: (Rung.SYNC, Rung.REOPEN, Rung.POWER),
    Failing.NETWORK: (Rung.SYNC, Rung.SYNC, Rung.RADIO, Rung.RESTART, Rung.REOPEN, Rung.POWER),
    Failing.FAR: (Rung.SYNC, Rung.SYNC, Rung.SYNC, Rung.RADIO),
    Failing.PERSON: (Rung.SYNC,),
}


class Ladder:
    """See the module's text. `entropy` draws the jitter."""

    def __init__(self, entropy: Callable[[int], bytes], wait_s_max: float = WAIT_S_MAX) -> None:
        self._entropy, self._wait_s_max = entropy, wait_s_max
        self._failures = 0
        self._heights = dict.fromkeys(Failing, 0)

    @property
    def failures(self) -> int:
        """Return how many faults there were since the last success."""
        return self._failures

    def fault(self, failing: Failing) -> tuple[Rung, float]:
        """Climb: return what to do, and after how many seconds."""
        rungs, height = RUNGS[failing], self._heights[failing]
        self._heights[failing] = min(height + 1, len(rungs) - 1)
        wait_s = min(WAIT_S_MIN * 2.0**self._failures, self._wait_s_max)
        self._failures = min(self._failures + 1, FAILURES_MAX)
        return rungs[height], wait_s * (0.75 + self._entropy(1)[0] / 510)

    def success(self) -> None:
        """Start at the bottom again."""
        self._failures = 0
        self._heights = dict.fromkeys(Failing, 0)


__all__ = ["RUNGS", "WAIT_S_MAX", "WAIT_S_MIN", "Failing", "Ladder", "Rung"]
