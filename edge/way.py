"""One way while the kit runs: whether it is open, what it carries, what it costs, and when it rests.

    state      open     up       take    heard     leave    down     fail     close    rested
    CLOSED     OPENING
    OPENING             STANDBY                             OPENING  RESTING  CLOSED
    STANDBY             STANDBY  TRYING  STANDBY   STANDBY  OPENING  RESTING  CLOSED
    TRYING              TRYING           CARRYING  STANDBY  OPENING  RESTING  CLOSED
    CARRYING            CARRYING         CARRYING  STANDBY  OPENING  RESTING  CLOSED
    RESTING                                                                            CLOSED

OPENING: the road is open, and there is no bearer yet. STANDBY: there is one, and the session is elsewhere. TRYING: the
session goes over it, and nothing was heard yet. The road (`Road`) is open in all states but CLOSED and RESTING.

Owned by `edge/ways.py`, which decides; nothing here is durable but what the budget keeps.
"""

import enum
from dataclasses import dataclass
from typing import Final, Protocol

from edge.metered import Metered, Purse, metered
from edge.tariff import NOTHING, Amount, Tariff
from edge.terms import Terms
from node.seams import Bearer
from wire.errors import Misuse

FRAME_SIZE: Final = 1228
MESSAGE_SIZE: Final = 340
"""The largest frame of a way that has no bearer yet, for estimates of what opening it needs."""
AHEAD_FRAMES: Final = 16
AHEAD_MESSAGES: Final = 2
"""Full frames that are reserved at a time."""
AHEAD_PART: Final = 8
"""No more is reserved than one part in so many of what is left: near the end the steps are small."""
AHEAD_FACTOR_MAX: Final = 64
HURRY_S: Final = 5.0
"""Reserved again within this time: twice as much at a time, so that a fast way does not wait for fsyncs."""
AHEAD_ENERGY_S: Final = 120.0
ENERGY_MARGIN_S: Final = 10.0
MINUTE_S: Final = 60.0
MINUTE_MARGIN_S: Final = 2.0
"""A minute that cannot be paid is not begun: the call ends so long before."""
REST_S_MIN: Final = 15.0
REST_S_MAX: Final = 900.0
STEADY_S: Final = 300.0
"""A way that has carried for so long has all its quick tries again."""
RATE_WEIGHT: Final = 0.1


class WayState(enum.Enum):
    """How a way stands; the value is for people."""

    CLOSED = "closed"
    OPENING = "opening"
    STANDBY = "open, beside the one in use"
    TRYING = "being tried"
    CARRYING = "in use"
    RESTING = "resting after a failure"


class WayEvent(enum.Enum):
    """What changes that."""

    OPEN = "open"
    UP = "bearer up"
    TAKE = "take the session"
    HEARD = "heard"
    LEAVE = "leave the session"
    DOWN = "bearer down"
    FAIL = "fail"
    CLOSE = "close"
    RESTED = "rested"


_S, _E = WayState, WayEvent
WAY_TRANSITIONS: Final = {
    (_S.CLOSED, _E.OPEN): _S.OPENING,
    (_S.OPENING, _E.UP): _S.STANDBY,
    (_S.OPENING, _E.DOWN): _S.OPENING,
    (_S.OPENING, _E.FAIL): _S.RESTING,
    (_S.OPENING, _E.CLOSE): _S.CLOSED,
    (_S.STANDBY, _E.UP): _S.STANDBY,
    (_S.STANDBY, _E.TAKE): _S.TRYING,
    (_S.STANDBY, _E.HEARD): _S.STANDBY,
    (_S.STANDBY, _E.LEAVE): _S.STANDBY,
    (_S.STANDBY, _E.DOWN): _S.OPENING,
    (_S.STANDBY, _E.FAIL): _S.RESTING,
    (_S.STANDBY, _E.CLOSE): _S.CLOSED,
    (_S.TRYING, _E.UP): _S.TRYING,
    (_S.TRYING, _E.HEARD): _S.CARRYING,
    (_S.TRYING, _E.LEAVE): _S.STANDBY,
    (_S.TRYING, _E.DOWN): _S.OPENING,
    (_S.TRYING, _E.FAIL): _S.RESTING,
    (_S.TRYING, _E.CLOSE): _S.CLOSED,
    (_S.CARRYING, _E.UP): _S.CARRYING,
    (_S.CARRYING, _E.HEARD): _S.CARRYING,
    (_S.CARRYING, _E.LEAVE): _S.STANDBY,
    (_S.CARRYING, _E.DOWN): _S.OPENING,
    (_S.CARRYING, _E.FAIL): _S.RESTING,
    (_S.CARRYING, _E.CLOSE): _S.CLOSED,
    (_S.RESTING, _E.RESTED): _S.CLOSED,
}
OPEN_STATES: Final = frozenset({_S.OPENING, _S.STANDBY, _S.TRYING, _S.CARRYING})
UP_STATES: Final = frozenset({_S.STANDBY, _S.TRYING, _S.CARRYING})
SESSION_STATES: Final = frozenset({_S.TRYING, _S.CARRYING})


@dataclass(frozen=True)
class RoadStatus:
    """What a road tells of what is under it: an interface, a modem, a folder."""

    is_there: bool = True
    needs_person: bool = False
    text: str = ""
    """What is wrong and what to do about it; what it is busy with."""
    model: str = ""
    operator: str = ""
    signal_dbm: int | None = None
    is_roaming: bool = False
    network_time_ms: int | None = None
    is_drawing: bool = True
    """While it is open, it takes from the battery; False while there is no modem to take anything."""


class Road(Protocol):
    """How bearers of one way are had. While it is open, it gives one whenever it can, to the ears of its way."""

    def open(self) -> None:
        """Begin. Never raises: what goes wrong is in `status`."""

    def close(self) -> None:
        """Give up the bearer, and spare energy. The bearer is down when this returns, whether or not that was told."""

    def turn(self) -> bool:
        """The address is silent: try the next one. False when there is no other."""

    def status(self) -> RoadStatus:
        """Return how it stands. Must be cheap: asked every second, also while the road is closed."""


class Way:
    """See the module's text. `now` is monotonic seconds."""

    def __init__(self, terms: Terms, purse: Purse, road: Road, now: float) -> None:
        self.terms, self.purse, self.road = terms, purse, road
        self.state = WayState.CLOSED
        self.since = self.served_at = self.quiet_since = self.worked_at = now
        """When the state was entered; the session was last here; it was opened or heard; an object wanted it last."""
        self.work_since: float | None = None
        """Since when there has been work for it without a break."""
        self.bearer: Metered | None = None
        self.rest_until = float("-inf")
        self.failures = 0
        self.trouble = ""
        """Why it failed last; "" since it was heard."""
        self.needs_person = False
        self.rate_bps = 0.0
        self.starts = 0
        self._accrued_at = now
        self._is_drawing = self._is_started = False
        self._minute_at: float | None = None
        self._ahead, self._reserved_at = 1, float("-inf")

    @property
    def name(self) -> str:
        return self.terms.name

    @property
    def tariff(self) -> Tariff:
        return self.terms.tariff

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_STATES

    @property
    def is_up(self) -> bool:
        return self.state in UP_STATES

    def change(self, event: WayEvent, now: float) -> None:
        """Take in an event. Raises Misuse for one that cannot happen in this state."""
        try:
            after = WAY_TRANSITIONS[self.state, event]
        except KeyError:
            raise Misuse(f"way {self.name} is {self.state.value}: {event.value} cannot happen") from None
        if after is not self.state:
            self.state, self.since = after, now

    # Opening and closing

    def open(self, now: float) -> bool:
        """Open the road if its start can be paid; tell whether it is open now."""
        if not self.purse.budget.reserve(self.name, self.tariff.least(self._frame_size())):
            return False
        self._is_drawing = self._is_started = False
        self._accrued_at = self.worked_at = self.quiet_since = now
        self.starts += 1
        self.needs_person = False
        self.purse.unanswered.begin_try()
        self.change(WayEvent.OPEN, now)
        self.road.open()
        self.accrue(now)  # what draws at once is counted at once
        return True

    def close(self, now: float) -> None:
        """Close the road; nothing is reserved any more."""
        self._end(WayEvent.CLOSE, now)

    def fail(self, why: str, now: float, rest_s_max: float = REST_S_MAX) -> None:
        """Close the road and rest, longer each time."""
        self.trouble = why
        self.rest_until = now + min(REST_S_MIN * 2 ** min(self.failures, 16), rest_s_max)
        self.failures += 1
        self._end(WayEvent.FAIL, now)

    def _end(self, event: WayEvent, now: float) -> None:
        self.accrue(now)
        self.bearer = self._minute_at = None
        self.change(event, now)
        self.road.close()
        self.purse.budget.settle(self.name)

    # Bearers

    def up(self, inner: Bearer, now: float) -> Metered:
        """Take a new bearer; a connection is paid for from now on."""
        self.bearer = metered(inner, self.purse)
        self.change(WayEvent.UP, now)
        if self.tariff.micros_per_call or self.tariff.micros_per_minute:
            self.purse.budget.note(self.name, self.tariff.call() + self.tariff.minute())
            self._minute_at = now + MINUTE_S
        return self.bearer

    def down(self, now: float) -> None:
        """The bearer is gone; the road makes another."""
        self.bearer = self._minute_at = None
        self.change(WayEvent.DOWN, now)

    def heard(self, now: float) -> None:
        """A good frame came over it."""
        self.quiet_since, self.trouble = now, ""
        self.change(WayEvent.HEARD, now)

    # Costs

    def accrue(self, now: float) -> None:
        """Count the seconds in which it drew from the battery, its start, and the minutes of its call."""
        if not self.is_open:
            return
        self._accrue_energy(now - self._accrued_at, is_drawing=self.road.status().is_drawing)
        self._accrued_at = now
        while self._minute_at is not None and self._minute_at <= now:
            self.purse.budget.note(self.name, self.tariff.minute())
            self._minute_at += MINUTE_S
        if self.state is WayState.CARRYING and now - self.since > STEADY_S:
            self.failures = 0

    def _accrue_energy(self, elapsed_s: float, *, is_drawing: bool) -> None:
        """Between two looks it drew when it does at either: never too little."""
        if is_drawing and not self._is_started:
            self._is_started = True
            self.purse.budget.note(self.name, self.tariff.start())  # it was reserved when the way was opened
        if self.tariff.power_mw and elapsed_s > 0 and (is_drawing or self._is_drawing):
            self.purse.budget.note(self.name, self.tariff.open_for(elapsed_s))
        self._is_drawing = is_drawing

    def top_up(self, now: float) -> bool:
        """Reserve ahead what it may spend next; False when there is too little left to go on."""
        low = self._needed(now)
        if not low.fits(self.purse.budget.left(self.name)):
            return False
        if not self.purse.want_more and low.fits(self.purse.budget.available(self.name)):
            return True
        full = self.tariff.frame(self._frame_size())
        hurried = now - self._reserved_at < HURRY_S
        self._ahead = min(2 * self._ahead, AHEAD_FACTOR_MAX) if hurried and self.purse.want_more else 1
        self._reserved_at, self.purse.want_more = now, False
        frames = (AHEAD_MESSAGES if self.terms.is_message else AHEAD_FRAMES) * self._ahead
        many = Amount(frames * full.size, frames * full.micros) + self.tariff.open_for(AHEAD_ENERGY_S)
        part = Amount(*(left // AHEAD_PART for left in self.purse.budget.left(self.name).parts()))
        return self.purse.budget.reserve(self.name, many.least(part).most(low))

    def _needed(self, now: float) -> Amount:
        """Return the cost of going on: one more full frame, its answer, some seconds; the next minute or connection."""
        size = self._frame_size()
        need = self.tariff.frame(size) + self.purse.answer(size) + self.tariff.open_for(ENERGY_MARGIN_S)
        if self._minute_at is None:
            return need + (NOTHING if self.is_up else self.tariff.call() + self.tariff.minute())
        return need + (self.tariff.minute() if self._minute_at - now <= MINUTE_MARGIN_S else NOTHING)

    def can_start(self) -> bool:
        """Tell whether the budget has enough left to make opening it worth while."""
        return self.tariff.least(self._frame_size()).fits(self.purse.budget.left(self.name))

    def room_for_object(self) -> int | None:
        """Return the largest object that still fits in whole; None where a part of one is of use, too."""
        if not self.terms.is_message:
            return None
        left = self.purse.budget.left(self.name)
        full = self._frame_size()
        messages = [left.size // full if self.tariff.frame(full).size else 1 << 30]
        if self.tariff.frame(full).micros:
            messages.append(left.micros // self.tariff.frame(full).micros)
        return max(min(messages) - 1, 0) * full

    def _frame_size(self) -> int:
        if self.bearer is not None:
            return self.bearer.mtu + self.bearer.overhead
        return MESSAGE_SIZE if self.terms.is_message else FRAME_SIZE

    def note_rate(self, rate_bps: float) -> None:
        """Take in a measure of the rate at which objects arrive over it."""
        if rate_bps > 0:
            self.rate_bps += (rate_bps - self.rate_bps) * (RATE_WEIGHT if self.rate_bps else 1.0)
