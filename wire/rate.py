"""How fast frames go out and how much may be under way: enough to keep the slowest hop busy, no more.

The pace follows the rate at which frames are resolved (arrived, or known to be lost), measured over each round trip:
lost frames are no sign of congestion on a modem link. A growing queue is. A round trip is the empty way (`base`),
the time that the frame itself takes at the measured rate, and what waits before it at the slowest hop; that last part
is steered to a target of about half a frame on a slow line by going a little faster or slower than the rate (the
measures of BBR, the aim of Vegas). The window is only a bound behind that. In STARTUP the first frames go out in one
burst, and the spacing of their acknowledgements is the rate; it is believed when the next round does not find it a
quarter higher. An outage changes nothing: when the link is back, the pace is what it was.
docs/decisions/0041 has the figures, and what was tried before.
"""

import enum
from typing import Final

FRAME_SIZE_MIN: Final = 256
WINDOW_MAX: Final = 1 << 22
FIRST_WINDOW_S: Final = 16.0
"""The first window: what the rate of the handshake alone, a lower bound, brings away in this time."""
FIRST_WINDOW_SLOW: Final = 6000
FIRST_WINDOW_FAST: Final = 15000
FAST_RTT_S: Final = 0.5
FIRST_FRAME_S: Final = 4.0
FIRST_FRAME_MIN: Final = 512
QUEUE_FRAMES_MIN: Final = 0.5
QUEUE_FRAMES_MAX: Final = 6.0
QUEUE_S: Final = 0.25
DEVIATION_MAX: Final = 0.1
"""The jitter that is allowed for, as a part of the way."""
GROWTH: Final = 1.25
TRAIN_MIN: Final = 3
GAIN: Final = 0.1
"""How much faster or slower than the measured rate, when there is no queue, or twice the queue that is meant."""
GAIN_SEARCH: Final = 0.25
"""How much faster, when there was no queue in the round before either: the line may have become faster."""
DRAIN_GAIN_MIN: Final = 0.4
"""How slow it may become for one round, when the queue is more than twice what is meant."""
NO_QUEUE: Final = 0.25
"""Below this part of the meant queue there is none, and the measured rate a lower bound only."""
OWN_TIME_MAX: Final = 0.75
"""A frame's own time is at most this part of its round trip: a rate that is far too low must not hide the way."""
WINDOW_MIN: Final = 2048.0
WINDOW_FACTOR: Final = 1.25
WINDOW_FRAMES: Final = 3.0
WINDOW_S: Final = 1.5
STARTUP_PACE: Final = 1.5
BURST_S: Final = 0.01
BASE_LIFE_S: Final = 120.0
"""After so long the way is measured anew, behind a queue that is drained for it: ways change."""
VAIN_DRAINS_MAX: Final = 5
"""Drains after which the queue is as long as before: then it is no queue but a longer way."""
VAIN: Final = 0.9
FRAME_TIME_S: Final = 0.9
RATE_WEIGHT: Final = 0.5


class Mode(enum.Enum):
    """How the window grows."""

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


class Pace:
    """The clock and the window of one session's sending side. Sizes are bytes on the wire."""

    def __init__(self, mtu: int) -> None:
        self.mtu = mtu
        self.mode = Mode.STARTUP
        self.window = 2.0 * mtu
        self.rate_bytes_s = 0.0
        self.next_at = float("-inf")
        self._gain = 1.0
        self._base: tuple[float, int] | None = None
        self._base_before: tuple[float, int] | None = None
        self._base_since = float("-inf")
        self._wait_s = float("inf")
        self._deviation_s = 0.0
        self._round_since, self._round_bytes, self._round_end = float("-inf"), 0, -1
        self._train: list[tuple[float, int]] = []
        self._first_frame = mtu
        self._heard_at = float("-inf")
        self._was_limited = False
        self._was_empty = False
        self._is_draining = False
        self._is_measuring = False
        self._vain_drains, self._drained_wait_s = 0, 0.0
        self._is_filling = False

    @property
    def base_rtt_s(self) -> float:
        """The round trip of a frame of no size through an empty queue, as far as is known."""
        known = [self._empty(*base) for base in (self._base, self._base_before) if base is not None]
        return max(min(known, default=0.0), 0.0)

    @property
    def frame_size(self) -> int:
        """The largest frame that keeps an urgent one waiting for no more than about a second and a round trip.

        At 2.4 kbit/s and 1.8 s this is about 800 bytes: smaller ones would spend more of the line on headers.
        """
        if not self.rate_bytes_s:
            return min(self._first_frame, self.mtu)
        return int(min(self.mtu, max(FRAME_SIZE_MIN, self.rate_bytes_s * (FRAME_TIME_S + self.base_rtt_s))))

    @property
    def _jitter_s(self) -> float:
        return min(self._deviation_s, DEVIATION_MAX * self.base_rtt_s)

    @property
    def queue_size(self) -> float:
        """How many bytes are meant to wait at the slowest hop: half a frame, or what rides out the jitter."""
        frame = self.frame_size
        wanted = self.rate_bytes_s * QUEUE_S
        return min(max(wanted, QUEUE_FRAMES_MIN * frame), max(QUEUE_FRAMES_MAX * frame, 1.0))

    def begin(self, size: int, rtt_s: float, now: float) -> None:
        """The handshake's message of `size` bytes took `rtt_s` for its way and back: the first thing known."""
        least = size / max(rtt_s, 0.001)
        bound = FIRST_WINDOW_FAST if rtt_s < FAST_RTT_S else FIRST_WINDOW_SLOW
        self.window = min(max(FIRST_WINDOW_S * least, 2.0 * FIRST_FRAME_MIN), float(bound))
        self._first_frame = max(int(FIRST_FRAME_S * least), FIRST_FRAME_MIN)
        self._note_rtt(rtt_s, size, now)
        self._wait_s = float("inf")

    def on_sent(self, size: int, now: float, last_counter: int) -> None:
        """Charge one frame to the clock. Before a rate is known, the window alone is the bound."""
        if self._round_since == float("-inf"):
            self._round_since = now
        if not self.rate_bytes_s and not self._train:
            self._round_end = last_counter  # the first burst is one round
        if self.rate_bytes_s:
            pace = self.rate_bytes_s * (STARTUP_PACE if self.mode is Mode.STARTUP else self._gain)
            self.next_at = max(self.next_at, now - BURST_S) + size / pace

    def note_limited(self) -> None:
        """There was more to send than was let out."""
        self._was_limited = True

    def on_resolved(self, size: int, rtt: tuple[float, int] | None, newest: int, last_sent: int, now: float) -> None:
        """Take in an ACK: `size` bytes arrived or were lost, `newest` is the newest counter that arrived.

        `rtt` is the round trip of that frame and its size, when it is known.
        """
        silence = now - max(self._heard_at, self._round_since)
        if silence > 3 * (self.base_rtt_s + 1.0) and self.rate_bytes_s:  # an outage is no measure of the rate
            self._restart_round(last_sent, now)
            self._is_filling, size = True, 0
        self._heard_at = now
        self._round_bytes += size
        if self.mode is Mode.STARTUP:
            self._train.append((now, size))
        if rtt is not None:
            self._note_rtt(*rtt, now)
        if newest >= self._round_end:
            self._end_round(last_sent, now)

    def on_bearer(self, mtu: int) -> None:
        """Another bearer: its round trip is not known."""
        self.mtu = mtu
        self.mode = TRANSITIONS[self.mode, Event.NEW_BEARER]
        self._base = self._base_before = None
        self.next_at = float("-inf")

    def _empty(self, rtt_s: float, size: int) -> float:
        """Return what is left of a round trip without the frame's own time."""
        own_s = size / self.rate_bytes_s if self.rate_bytes_s else 0.0
        return rtt_s - min(own_s, OWN_TIME_MAX * rtt_s)

    def _note_rtt(self, rtt_s: float, size: int, now: float) -> None:
        if now - self._base_since > BASE_LIFE_S:
            self._is_measuring = self._base is not None
            self._base_before, self._base, self._base_since = self._base, None, now
        empty = self._empty(rtt_s, size)
        if self._base is None or empty < self._empty(*self._base):
            self._base = (rtt_s, size)
        wait = empty - self.base_rtt_s
        if self._wait_s != float("inf"):
            self._deviation_s += (abs(wait - self._wait_s) - self._deviation_s) / 8
        self._wait_s = min(self._wait_s, wait)

    def _train_rate(self) -> float | None:
        """Return the rate that the spacing of this round's ACKs shows, None when there are too few."""
        if len(self._train) < TRAIN_MIN:
            return None
        span = self._train[-1][0] - self._train[0][0]
        return sum(size for _, size in self._train[1:]) / max(span, BURST_S)

    def _start(self) -> None:
        """End a round of STARTUP: a rate that no longer grows has been found."""
        rate, before = self._train_rate(), self.rate_bytes_s
        self._train = self._train[-1:]
        if rate is None:
            self.window = min(2 * self.window, float(FIRST_WINDOW_FAST)) if self._was_limited else self.window
            return
        self.rate_bytes_s = max(rate, before)
        if before and rate < GROWTH * before:
            self.mode = TRANSITIONS[self.mode, Event.RATE_FOUND]
        self._bound()

    def _end_round(self, last_sent: int, now: float) -> None:
        elapsed = now - self._round_since
        if self.mode is Mode.STARTUP:
            self._start()
        elif elapsed > 0 and self._wait_s != float("inf"):
            queue = max(self._wait_s - self._jitter_s, 0.0) * self.rate_bytes_s
            self._measure(self._round_bytes / elapsed, queue)
            self._gain = self._choose_gain(queue, elapsed)
            self._bound()
        self._restart_round(last_sent, now)

    def _choose_gain(self, queue: float, elapsed: float) -> float:
        """Return by how much to go faster or slower than the rate, so that the queue becomes what is meant."""
        excess = queue - self.queue_size
        was_empty, self._was_empty = self._was_empty, queue < NO_QUEUE * self.queue_size
        was_draining, self._is_draining = self._is_draining, excess > self.queue_size and not self._is_draining
        if self._is_measuring:
            self._is_measuring, self._is_draining, excess = False, True, queue
        elif self._is_draining:
            self._note_drain()
        if self._is_draining:
            return max(1.0 - excess / max(elapsed * self.rate_bytes_s, 1.0), DRAIN_GAIN_MIN)
        if was_draining:
            return 1.0  # what was measured in this round is from before
        if self._was_empty and was_empty:
            return 1.0 + GAIN_SEARCH
        return 1.0 - GAIN * min(excess / self.queue_size, 1.0)

    def _note_drain(self) -> None:
        """Count the drains that changed nothing; after some of them, learn the way anew."""
        self._vain_drains = self._vain_drains + 1 if self._wait_s > VAIN * self._drained_wait_s > 0 else 0
        self._drained_wait_s = self._wait_s
        if self._vain_drains >= VAIN_DRAINS_MAX:
            self._base = self._base_before = None
            self._vain_drains = 0

    def _measure(self, rate: float, queue: float) -> None:
        """Take in the rate of one round. With no more queue than meant, the line can do at least that."""
        if self._is_filling:
            self._is_filling = False  # the line was empty when this round began
        elif self._was_limited and queue > self.queue_size:
            self.rate_bytes_s += RATE_WEIGHT * (rate - self.rate_bytes_s)
        else:
            self.rate_bytes_s = max(rate, self.rate_bytes_s)

    def _restart_round(self, last_sent: int, now: float) -> None:
        self._round_since, self._round_bytes, self._round_end = now, 0, last_sent + 1
        self._wait_s = float("inf")
        self._was_limited = False

    def _bound(self) -> None:
        flight = self.rate_bytes_s * self.base_rtt_s + self.frame_size + self.queue_size
        slack = min(WINDOW_FRAMES * self.frame_size, WINDOW_S * self.rate_bytes_s)
        self.window = min(max(WINDOW_FACTOR * flight + slack, WINDOW_MIN), WINDOW_MAX)
