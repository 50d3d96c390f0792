"""How much may be under way, and how fast it goes out: enough to keep the slowest hop busy, no more.

The window follows the round trip, not the loss: lost frames are no sign of congestion on a modem link, a growing
queue is. With `base` the shortest round trip seen and `rtt` the present one, `window * (1 - base / rtt)` bytes wait
at the slowest hop (with the frame that is just being sent); the window is steered so that this is about QUEUE_FRAMES
frames (the law of FAST TCP, Wei et al. 2006). In STARTUP it doubles with each round trip until that queue appears.
An outage changes nothing here: when the link is back, the window is what it was.
"""

import enum
from typing import Final

FRAME_SIZE_MIN: Final = 256
WINDOW_MAX: Final = 1 << 22
FIRST_FRAMES: Final = 4
QUEUE_FRAMES: Final = 2.0
GAIN: Final = 0.5
HEADROOM: Final = 1.25
"""The pace beyond window / rtt, so that the pace never becomes the limit."""
BURST_S: Final = 0.01
BASE_LIFE_S: Final = 120.0
FRAME_TIME_S: Final = 1.0


class Mode(enum.Enum):
    """How the window grows."""

    STARTUP = "startup"
    STEADY = "steady"


class Event(enum.Enum):
    """What makes the mode change."""

    QUEUE_SEEN = "queue seen"
    NEW_BEARER = "new bearer"


TRANSITIONS: Final = {
    (Mode.STARTUP, Event.QUEUE_SEEN): Mode.STEADY,
    (Mode.STARTUP, Event.NEW_BEARER): Mode.STARTUP,
    (Mode.STEADY, Event.QUEUE_SEEN): Mode.STEADY,
    (Mode.STEADY, Event.NEW_BEARER): Mode.STEADY,
}


class Pace:
    """The window and the clock of one session's sending side. Sizes are bytes on the wire."""

    def __init__(self, mtu: int) -> None:
        self.mtu = mtu
        self.mode = Mode.STARTUP
        self.window = float(FIRST_FRAMES * mtu)
        self.base_rtt_s = float("inf")
        self.rate_bytes_s = 0.0
        self.next_at = float("-inf")
        self._base_before, self._base_since = float("inf"), float("-inf")
        self._round_rtt_s = float("inf")
        self._round_since, self._round_bytes, self._round_end = float("-inf"), 0, -1
        self._was_limited = False

    @property
    def frame_size(self) -> int:
        """The largest frame that keeps an urgent one waiting for no more than about a second and a round trip.

        At 2.4 kbit/s and 1.8 s this is about 800 bytes: smaller ones would spend more of the line on headers
        (docs/decisions/0041).
        """
        if not self.rate_bytes_s:
            return self.mtu
        base = 0.0 if self.base_rtt_s == float("inf") else self.base_rtt_s
        return int(min(self.mtu, max(FRAME_SIZE_MIN, self.rate_bytes_s * (FRAME_TIME_S + base))))

    def on_sent(self, size: int, now: float, rtt_s: float, last_counter: int) -> None:
        """Charge one frame to the clock."""
        if self._round_since == float("-inf"):
            self._round_since, self._round_end = now, last_counter
        speed = self.window / max(rtt_s, 0.001) * (2.0 if self.mode is Mode.STARTUP else HEADROOM)
        self.next_at = max(self.next_at, now - BURST_S) + size / speed

    def note_limited(self) -> None:
        """There was more to send than the window let out."""
        self._was_limited = True

    def on_resolved(self, size: int, rtt_s: float | None, newest: int, last_sent: int, now: float) -> None:
        """Take in an ACK: `size` bytes arrived or were lost, `newest` is the newest counter that arrived."""
        self._round_bytes += size
        if rtt_s is not None:
            self._note_rtt(rtt_s, now)
        if self.mode is Mode.STARTUP and self._was_limited:
            self.window = min(self.window + size, WINDOW_MAX)
        if self._queue() > QUEUE_FRAMES * self.frame_size:
            self.mode = TRANSITIONS[self.mode, Event.QUEUE_SEEN]
        if newest >= self._round_end:
            self._end_round(last_sent, now)

    def on_bearer(self, mtu: int) -> None:
        """Another bearer: its round trip is not known."""
        self.mtu = mtu
        self.mode = TRANSITIONS[self.mode, Event.NEW_BEARER]
        self.base_rtt_s = self._base_before = float("inf")
        self.next_at = float("-inf")

    def _queue(self) -> float:
        """Return how many bytes seem to wait at the slowest hop."""
        if self._round_rtt_s == float("inf") or self.base_rtt_s == float("inf"):
            return 0.0
        return self.window * (1 - self.base_rtt_s / max(self._round_rtt_s, self.base_rtt_s))

    def _note_rtt(self, rtt_s: float, now: float) -> None:
        if now - self._base_since > BASE_LIFE_S:
            self._base_before, self._base_since = self.base_rtt_s, now
            self.base_rtt_s = rtt_s
        self.base_rtt_s = max(min(self.base_rtt_s, self._base_before, rtt_s), 0.001)
        self._round_rtt_s = min(self._round_rtt_s, rtt_s)

    def _end_round(self, last_sent: int, now: float) -> None:
        elapsed = now - self._round_since
        if elapsed > 0 and self._round_bytes:
            rate = self._round_bytes / elapsed
            if self._was_limited:
                self.rate_bytes_s = max(rate, 0.9 * self.rate_bytes_s)
            elif self.rate_bytes_s:  # there was not enough to send: a lower bound, no measure
                self.rate_bytes_s = max(rate, self.rate_bytes_s)
        if self.mode is Mode.STEADY and self._round_rtt_s != float("inf"):
            self._steer()
        self._round_since, self._round_bytes, self._round_end = now, 0, last_sent + 1
        self._round_rtt_s = float("inf")
        self._was_limited = False

    def _steer(self) -> None:
        wanted = self.window * self.base_rtt_s / max(self._round_rtt_s, self.base_rtt_s)
        wanted += QUEUE_FRAMES * self.frame_size
        if wanted > self.window and not self._was_limited:
            return
        window = (1 - GAIN) * self.window + GAIN * wanted
        self.window = min(max(window, 2.0 * self.frame_size), WINDOW_MAX)
