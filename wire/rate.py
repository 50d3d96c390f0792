"""How fast frames go out and how much may be under way: enough to keep the slowest hop busy, no more.

The pace keeps a clock of the slowest hop: `free_at` is when it will have passed on all that was sent. A frame goes out
shortly before that (`lead_s`), so that the hop is never idle and hardly anything waits there; an urgent frame then
waits for the frame on the line and for little else. Every ACK corrects the clock. It tells when its frame arrived, by
the far side's clock, and so when it left the hop; what was sent after that frame must follow at the rate. So there is
no delay in the loop, nothing swings, and what waits on the way back disturbs nothing.

The rate is what leaves the hop between two ACKs, a round apart, while something waited there. Lost frames count as
passed on: on a modem line loss is no sign of congestion. A queue is; what ran over it was dropped before the hop, and
`wire/overflow.py` tells that from what the line loses by itself.

In STARTUP the window alone is the bound. It grows with what arrives, until a train of frames has waited: that left the
hop at its rate. In STEADY a *loaded* round now and then sends more at once, so that something waits; when nothing does,
the rate is too low, however much jitter there is, and a *search* goes faster until something waits. An outage changes
nothing: when the link is back, the pace is what it was. docs/decisions/0080 and 0081 have the figures, and what was
tried before.
"""

import enum
from collections.abc import Sequence
from typing import Final

from wire.loss import Echo, Sent
from wire.overflow import Overflow, Round

FRAME_SIZE_MIN: Final = 256
FRAME_TIME_S: Final = 1.4
"""A frame takes this much of the line's time and an empty round trip at most: an urgent one may have to wait for it."""
URGENT_FRAME_S: Final = 1.0
URGENT_PART: Final = 0.2
"""The same two while urgent objects come between: so long, and this part of the round trip."""
URGENT_LIFE_S: Final = 60.0
"""So long after the last of them frames are large again: at 2.4 kbit/s small ones cost a twentieth of the line."""
WINDOW_MAX: Final = 1 << 22
FIRST_WINDOW_S: Final = 40.0
"""The first window: what the rate of the handshake alone, a lower bound, brings away in this time."""
FIRST_WINDOW_SLOW: Final = 8000
FIRST_WINDOW_FAST: Final = 22000
FAST_RTT_S: Final = 0.5
FIRST_FRAME_S: Final = 7.5
FIRST_FRAME_MIN: Final = 512
LEAD_S_MIN: Final = 0.02
LEAD_S_MAX: Final = 0.4
LEAD_DEVIATIONS: Final = 3.0
"""The lead covers so many mean deviations of the way's time: jitter must not leave the line idle."""
DEVIATION_MAX: Final = 0.1
"""The jitter that is allowed for, as a part of the way."""
TRUST: Final = 0.25
"""How far one ACK moves the clock to where it says that it should be."""
ROUND_DEVIATIONS: Final = 30.0
"""A round lasts so many mean deviations at least: jitter at its two ends is then a few percent of the rate."""
SURPRISE: Final = 4.0
"""Beyond so many mean deviations it is no jitter: the clock is set to what the ACK says."""
GROWTH: Final = 1.25
STARTUP_ROUNDS_MAX: Final = 3
"""So many rounds in which the rate did not grow by GROWTH end STARTUP, though nothing ever waited."""
TRAIN_PART: Final = 0.5
"""A train that was so long on the line, as a part of the way, shows the rate."""
BURST_S: Final = 0.005
"""Frames sent within so short a time are one burst."""
WINDOW_MIN: Final = 2048.0
WINDOW_FACTOR: Final = 1.25
WINDOW_FRAMES: Final = 3.0
WINDOW_S: Final = 3.0
"""How much more may be under way than the line holds: ACKs come bunched, and some are lost."""
GROWING_WAIT: Final = 0.75
"""In STARTUP the window grows no more when something has waited for this part of the round trip."""
LOAD_STARTUP: Final = 0.5
LOAD: Final = 0.25
"""In a loaded round the lead is longer by this part of the way, so that the line is busy and shows its rate."""
LOAD_EVERY: Final = 20
"""Rounds from one that is loaded to the next."""
LOADS_FIRST: Final = 2
"""Rounds that are loaded at the beginning."""
GROWN: Final = 1.08
"""A loaded round that shows so much more is followed by another."""
EMPTY_MAX: Final = 2
"""So many rounds in a row without a queue are no chance: the next is loaded, to see whether the rate is too low."""
EMPTY_MEANT: Final = 2
"""So many rounds are without one because the way is measured anew."""
SEARCH: Final = 0.25
"""How much faster it goes while a higher rate is looked for, until something waits: the line may have become faster."""
EASED_LOSS: Final = 0.3
"""Beyond this usual loss it is tried, now and then, whether going slower loses less."""
EASED_ROUNDS: Final = 2
"""What is heard in the first of them was sent before."""
BASE_LIFE_S: Final = 60.0
"""After so long the way is measured anew: ways change."""
VAIN_ROUNDS_MAX: Final = 5
"""Rounds in which more waited than meant, though the pace held back for it: then it is no queue but a longer way."""
RATE_WEIGHT_MIN: Final = 0.25
"""What one round counts against those before it, once there are some."""
NEVER: Final = float("-inf")


class Mode(enum.Enum):
    """How the rate is found."""

    STARTUP = "startup"
    STEADY = "steady"


class Event(enum.Enum):
    """What makes the mode change."""

    RATE_FOUND = "rate found"
    NEW_BEARER = "new bearer"


TRANSITIONS: Final = {
    (Mode.STARTUP, Event.RATE_FOUND): Mode.STEADY,
    (Mode.STARTUP, Event.NEW_BEARER): Mode.STARTUP,
    (Mode.STEADY, Event.NEW_BEARER): Mode.STEADY,
}


class Shortest:
    """The shortest time that some way took, the frame's own time aside: what it takes when nothing waits.

    It is learned anew every BASE_LIFE_S, for ways change; the one before still counts for as long again.
    """

    def __init__(self) -> None:
        self._least: tuple[float, int] | None = None
        self._before: tuple[float, int] | None = None
        self._since = NEVER

    def note(self, taken: tuple[float, int], rate: float, now: float) -> bool:
        """Take in a time and the frame's size; tell whether a new life begins."""
        is_over = now - self._since > BASE_LIFE_S
        if is_over:
            self._before, self._least, self._since = self._least, None, now
        if self._least is None or without_own(taken, rate) < without_own(self._least, rate):
            self._least = taken
        return is_over and self._before is not None

    def value(self, rate: float) -> float | None:
        """Return the shortest of both lives."""
        known = [without_own(taken, rate) for taken in (self._least, self._before) if taken is not None]
        return min(known, default=None)


def without_own(taken: tuple[float, int], rate: float) -> float:
    """Return what is left of a time without the frame's own time on the line."""
    return taken[0] - (taken[1] / rate if rate else 0.0)


class Pace:
    """The clock and the window of one session's sending side. Sizes are bytes on the wire."""

    def __init__(self, mtu: int) -> None:
        self.mtu = mtu
        self.mode = Mode.STARTUP
        self.window = 2.0 * mtu
        self.rate_bytes_s = 0.0
        self.free_at = NEVER
        self._sent_bytes = 0
        self._run = 0
        self._sent_at = self._urgent_at = NEVER
        self._round_trip, self._way = Shortest(), Shortest()
        self._deviation_s = 0.0
        self.overflow = Overflow()
        self._first_frame, self._first_window, self._arrived_bytes, self._lost_bytes = mtu, self.window, 0, 0
        self._left_at, self._rtt_s = NEVER, 1.0
        self._train: tuple[float, Sent] | None = None
        """In STARTUP: when the first frame arrived that had waited, and that frame; all since then have waited too."""
        self._wait_s = 0.0
        self._round_end = -1
        self._mark: tuple[float, Sent] | None = None
        """When the round's first frame arrived, and that frame."""
        self._round_wait_s = float("inf")
        self._round_wait_max_s, self._round_lost = 0.0, 0
        self._round_rate = 0.0
        self._was_limited = False
        self._rounds, self._unloaded = 0, 0
        self._load = LOAD_STARTUP
        self._empty_rounds, self._search, self._was_searching = 0, 0.0, False
        self._vain_rounds, self._eased_rounds = 0, 0
        self._is_settling = False
        """The round still holds what was sent before the rate was found; what overran a queue then tells nothing."""

    @property
    def base_rtt_s(self) -> float:
        """The round trip of a frame of no size through an empty queue, as far as is known."""
        return max(self._round_trip.value(self.rate_bytes_s) or 0.0, 0.0)

    @property
    def frame_size(self) -> int:
        """The largest frame that keeps an urgent one waiting for no more than about a second and a round trip.

        At 2.4 kbit/s and 1.8 s this is about 950 bytes: smaller ones would spend more of the line on headers.
        """
        if not self.rate_bytes_s:
            return min(self._first_frame, self.mtu)
        return self.frame_size_at(self.rate_bytes_s)

    def frame_size_at(self, rate_bytes_s: float) -> int:
        """Return the same for a rate that is known otherwise."""
        usual_s, urgent_s = FRAME_TIME_S + self.base_rtt_s, URGENT_FRAME_S + URGENT_PART * self.base_rtt_s
        frame_s = urgent_s if self._sent_at < self._urgent_at + URGENT_LIFE_S else usual_s
        return int(min(self.mtu, max(FRAME_SIZE_MIN, rate_bytes_s * frame_s)))

    @property
    def lead_s(self) -> float:
        """How long before the line is free the next frame goes out."""
        own_s = self.frame_size / self.rate_bytes_s if self.rate_bytes_s else 0.0
        load_s = self._load * (self.base_rtt_s + own_s)
        return min(self._usual_lead_s + load_s, self.overflow.room_s / 2)

    @property
    def _usual_lead_s(self) -> float:
        """The same in a round that is not loaded."""
        wanted = LEAD_DEVIATIONS * min(self._deviation_s, DEVIATION_MAX * self.base_rtt_s)
        return min(max(wanted, LEAD_S_MIN), LEAD_S_MAX, self.overflow.room_s / 2)

    @property
    def _queue_s(self) -> float:
        """What waits longer than this waits in a queue, and not by jitter alone."""
        return min(self._usual_lead_s + LOAD / 2 * self.base_rtt_s, self.overflow.room_s / 2)

    @property
    def _pace_bytes_s(self) -> float:
        """How fast the clock runs: faster than the rate while a line is searched for that takes more."""
        return self.rate_bytes_s * (1 + self._search)

    @property
    def next_at(self) -> float:
        """When the next segment may go out. Before a rate is known the window alone is the bound."""
        return self.free_at - self.lead_s if self.mode is Mode.STEADY else NEVER

    def begin(self, size: int, rtt_s: float, now: float) -> None:
        """The handshake's message of `size` bytes took `rtt_s` for its way and back: the first thing known."""
        least = size / max(rtt_s, 0.001)
        bound = FIRST_WINDOW_FAST if rtt_s < FAST_RTT_S else FIRST_WINDOW_SLOW
        self.window = min(max(FIRST_WINDOW_S * least, 2.0 * FIRST_FRAME_MIN), float(bound))
        self._first_window = self.window
        self._first_frame = max(int(FIRST_FRAME_S * least), FIRST_FRAME_MIN)
        self._round_trip.note((rtt_s, size), 0.0, now)

    def on_sent(self, frame: Sent, now: float) -> None:
        """Charge one frame to the clock."""
        is_behind = now < self.free_at if self.rate_bytes_s else now < self._sent_at + BURST_S
        self._run += not is_behind
        self._sent_at = now
        self._sent_bytes += frame.size
        frame.through, frame.run = self._sent_bytes, self._run
        self.free_at = max(self.free_at, now) + (frame.size / self._pace_bytes_s if self.rate_bytes_s else 0.0)
        if self._round_end < 0:
            self._round_end = frame.counter

    def note_urgent(self, now: float) -> None:
        """Something small goes before a file: there may be more of it."""
        self._urgent_at = now

    def note_limited(self) -> None:
        """There was more to send than was let out."""
        self._was_limited = True

    def on_resolved(self, lost: Sequence[Sent], echo: Echo | None, last_sent: int, now: float) -> None:
        """Take in an ACK: what is known to be lost by now, and when the newest frame arrived, if it tells."""
        if echo is None or not echo.frame.size:
            self._note_lost(lost)
            return
        newest, arrived_at = echo.frame, echo.arrived_at
        self._rtt_s = max(echo.rtt_s, BURST_S)
        if self.rate_bytes_s:  # the frame passed within its round trip, so the hop is at least so fast
            self.rate_bytes_s = max(self.rate_bytes_s, newest.size / self._rtt_s)
        self._left_at = self._note_way(echo, now)
        self._correct(self._left_at, newest)
        self._note_lost(lost)
        if self._mark is None:
            self._mark = arrived_at, newest
        elif self.mode is Mode.STARTUP:
            self._start(arrived_at, newest, last_sent)
        elif newest.counter >= self._round_end and arrived_at > self._mark[0] + ROUND_DEVIATIONS * self._deviation_s:
            self._end_round(arrived_at, newest, last_sent)

    def on_silence(self, now: float) -> None:
        """The line was silent for long enough to be empty: what was under way tells nothing about it."""
        self.free_at = now
        self._run += 1
        self._train = None
        self._mark, self._round_end = None, -1

    def on_bearer(self, mtu: int) -> None:
        """Another bearer: its round trip is not known."""
        self.mtu = mtu
        self.mode = TRANSITIONS[self.mode, Event.NEW_BEARER]
        self._round_trip, self._way = Shortest(), Shortest()
        self.overflow.on_bearer()
        self.free_at = NEVER
        self._train = None
        self._mark, self._round_end = None, -1

    def _note_way(self, echo: Echo, now: float) -> float:
        """Learn what the way takes when it is empty, and return when the frame left the slowest hop."""
        frame, rate = echo.frame, self.rate_bytes_s
        self._round_trip.note((echo.rtt_s, frame.size), rate, now)
        taken = echo.arrived_at - frame.sent_at, frame.size
        if self._way.note(taken, rate, now):
            self.free_at += self.lead_s  # the next frame shall find an empty line
            self._empty_rounds = -EMPTY_MEANT
        empty_s = self._way.value(rate)
        assert empty_s is not None  # noqa: S101 - there is at least this one
        self._wait_s = without_own(taken, rate) - empty_s
        if self._wait_s > self._queue_s:
            self._search = min(self._search, 0.0)
        self._round_wait_s = min(self._round_wait_s, self._wait_s)
        self._round_wait_max_s = max(self._round_wait_max_s, self._wait_s)
        return frame.sent_at + taken[0] - empty_s

    def _correct(self, left_at: float, newest: Sent) -> None:
        """Move the clock towards what the ACK says; what was sent after an idle moment can only be later."""
        if not self.rate_bytes_s:
            return
        free_at = left_at + (self._sent_bytes - newest.through) / self._pace_bytes_s
        if free_at < self.free_at and newest.run < self._run:
            return
        error = free_at - self.free_at
        if abs(error) > SURPRISE * self._deviation_s + LEAD_S_MIN:
            self.free_at = free_at
        else:
            self.free_at += TRUST * error
        self._deviation_s += (min(abs(error), DEVIATION_MAX * self.base_rtt_s) - self._deviation_s) / 8

    def _note_lost(self, lost: Sequence[Sent]) -> None:
        size = sum(frame.size for frame in lost)
        self._round_lost += size
        self._lost_bytes += size

    def _judge_losses(self, newest: Sent) -> None:
        assert self._mark is not None  # noqa: S101 - the caller looked
        sent = newest.through - self._mark[1].through
        seen = Round(sent, self._round_lost, self.frame_size, self._round_wait_max_s)
        self.overflow.judge(seen, self.base_rtt_s, self._deviation_s, is_loaded=self._load > 0)

    def _rate_since_mark(self, arrived_at: float, newest: Sent) -> float:
        """Return the rate from the round's first frame to this one.

        What is lost counts as passed on, unless much is: then it may have been dropped before the hop, and the rate is
        somewhere between the two. What is believed already stands, when it is there too.
        """
        assert self._mark is not None  # noqa: S101 - the caller looked
        since, first = self._mark
        passed, taken = newest.through - first.through, max(arrived_at - since, BURST_S)
        least = max(passed - self._round_lost, 0) if self.overflow.is_unusual else passed
        if self.overflow.is_flood:
            return least / taken
        return min(max(self.rate_bytes_s, least / taken), passed / taken)

    def _start(self, arrived_at: float, newest: Sent, last_sent: int) -> None:
        """The window grows with what arrives, until a train of frames has waited: it left the hop at its rate."""
        if self._was_limited and self._wait_s < GROWING_WAIT * self.base_rtt_s:
            self._first_window += max(newest.through - self._lost_bytes - self._arrived_bytes, 0)
        self._arrived_bytes = newest.through - self._lost_bytes
        self.rate_bytes_s = max(self.rate_bytes_s, self._rate_since_mark(arrived_at, newest))
        self._bound()
        if self._wait_s < self._queue_s:
            self._train = None
        elif self._train is None:
            self._train = arrived_at, newest
        elif arrived_at > self._train[0] + TRAIN_PART * self.base_rtt_s:
            since, first = self._train
            self._found((newest.through - first.through) / (arrived_at - since), arrived_at, newest, last_sent)
            return
        if newest.counter >= self._round_end:
            self._end_first_round(arrived_at, newest, last_sent)

    def _end_first_round(self, arrived_at: float, newest: Sent, last_sent: int) -> None:
        """Nothing waited in this round, or not for long. A flood, or a rate that does not grow, ends STARTUP too."""
        self._judge_losses(newest)
        grows = self.rate_bytes_s > GROWTH * self._round_rate or not self._was_limited
        self._vain_rounds = 0 if grows else self._vain_rounds + 1
        if self.overflow.is_flood or self._vain_rounds >= STARTUP_ROUNDS_MAX:
            self._found(self._rate_since_mark(arrived_at, newest), arrived_at, newest, last_sent)
        else:
            self._begin_round(arrived_at, newest, last_sent)

    def _found(self, rate: float, arrived_at: float, newest: Sent, last_sent: int) -> None:
        """This is the rate: from now on the clock counts."""
        self.rate_bytes_s = max(rate, newest.size / self._rtt_s)
        self.mode = TRANSITIONS[self.mode, Event.RATE_FOUND]
        self._load, self._vain_rounds, self._is_settling = LOAD, 0, True
        self.free_at = self._left_at + (self._sent_bytes - newest.through) / self.rate_bytes_s
        self._begin_round(arrived_at, newest, last_sent)
        self._bound()

    def _begin_round(self, arrived_at: float, newest: Sent, last_sent: int) -> None:
        self._mark, self._round_end = (arrived_at, newest), last_sent + 1
        self._round_wait_s, self._round_wait_max_s, self._round_lost = float("inf"), 0.0, 0
        self._round_rate = self.rate_bytes_s
        self._was_limited = False

    def _end_round(self, arrived_at: float, newest: Sent, last_sent: int) -> None:
        assert self._mark is not None  # noqa: S101 - the caller looked
        self._judge_losses(newest)
        if not (self._is_settling and self.overflow.is_unusual):
            self._measure(self._rate_since_mark(arrived_at, newest), is_exact=newest.run == self._mark[1].run)
        self._is_settling = False
        self._begin_round(arrived_at, newest, last_sent)
        self._bound()

    def _measure(self, rate: float, *, is_exact: bool) -> None:
        """Take in the rate of one round.

        Only while something waited at the hop is it more than a lower bound; `is_exact`: the line was never idle.
        """
        if self.overflow.is_flood:
            self.rate_bytes_s = max(min(rate, self.rate_bytes_s), self.rate_bytes_s / 2)
            self._load = self._search = 0.0
            return
        if self._search < 0:
            self._end_eased()
            return
        grows = self._take_rate(rate, is_exact=is_exact)
        self._doubt()
        self._plan(grows=grows)

    def _take_rate(self, rate: float, *, is_exact: bool) -> bool:
        """Believe the rate of a round as far as it deserves; tell whether it is so much higher that more may follow."""
        wait, lead = self._round_wait_s, self.lead_s
        was_loaded = (self._load > 0 or self._was_searching) and self._was_limited
        was_busy = is_exact and self._was_limited and wait > (lead / 2 if self._load else lead + self._deviation_s)
        grows = was_loaded and not self.overflow.is_unusual and rate > GROWN * self.rate_bytes_s
        if rate > self.rate_bytes_s or (was_busy and (wait > lead or not self.overflow.is_unusual)):
            self._rounds += was_loaded
            weight = 1.0 if grows else max(RATE_WEIGHT_MIN, 1 / max(self._rounds, 1))
            self.rate_bytes_s += weight * (rate - self.rate_bytes_s)
        return grows

    def _doubt(self) -> None:
        """A loaded round in which nothing waited: the rate is too low. Many in which much waits: the way is longer."""
        wait, lead = self._round_wait_s, self.lead_s
        is_empty = self._was_limited and wait < self._usual_lead_s / 2
        self._empty_rounds = self._empty_rounds + 1 if is_empty or self._empty_rounds < 0 else 0
        is_too_low = self._was_limited and (wait < lead / 2 if self._load else self._search > 0)
        self._search = SEARCH if is_too_low else 0.0
        self._was_searching = is_too_low
        self._vain_rounds = self._vain_rounds + 1 if wait > 2 * lead + self._deviation_s else 0
        if self._vain_rounds >= VAIN_ROUNDS_MAX:
            self._round_trip, self._way = Shortest(), Shortest()
            self._vain_rounds = 0

    def _plan(self, *, grows: bool) -> None:
        """Decide how the next round is sent: loaded, slower for a trial, or as usual."""
        self._unloaded = 0 if self._load else self._unloaded + 1
        is_due = self._unloaded >= LOAD_EVERY or self._rounds < LOADS_FIRST or self._empty_rounds >= EMPTY_MAX
        self._load = LOAD if grows or (is_due and not self._search) else 0.0
        if self.overflow.usual_loss > EASED_LOSS and self._unloaded == LOAD_EVERY // 2:
            self._search, self._eased_rounds = -self.overflow.usual_loss, 0

    def _end_eased(self) -> None:
        """A round was sent at what arrives: a line that loses by itself loses as much then, a queue little."""
        self._eased_rounds += 1
        if self._eased_rounds < EASED_ROUNDS:
            return
        if self.overflow.part_lost < self.overflow.usual_loss / 2:
            self.rate_bytes_s *= 1 + self._search
        self._search = 0.0

    def _bound(self) -> None:
        flight = self.rate_bytes_s * (self.base_rtt_s + self.lead_s) + self.frame_size
        slack = max(WINDOW_FRAMES * self.frame_size, WINDOW_S * self.rate_bytes_s)
        self.window = min(max(WINDOW_FACTOR * flight + slack, WINDOW_MIN), WINDOW_MAX)
        if self.mode is Mode.STARTUP:
            self.window = min(self.window, self._first_window)
