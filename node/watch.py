"""When to ask whether the far side still hears us. Times only; what is asked is the affair of `node/line.py`.

    the line is    because                                        asked
    heard          something came of late                         nothing
    at its tail    all is sent, nothing later will show a loss    after a quarter of a round trip, TAIL_PINGS_MAX times
    stalled        nothing of ours was resolved for long          each interval
    silent         nothing came for long                          each interval, for as long as `patience_s`

The interval is half a round trip at first, and later a fixed part of the silence, PROBE_S_MAX at most: an outage is
found to be over after that part of its length, and an hour of it costs little. No timer grows beyond that.
"""

from typing import Final

PROBE_S_MIN: Final = 0.25
PROBE_S_MAX: Final = 2.5
PROBE_PART: Final = 1 / 30
FIRST_PROBE_S_MAX: Final = 8.0
SILENT_ROUND_TRIPS: Final = 1.5
"""One for the way and half for an ACK that the far side holds back."""
SILENT_GAPS: Final = 2.0
"""A line that brings a frame now and then is not silent in between."""
VAIN_ASKS: Final = 2
"""So many questions without an answer make a silence: on a line that loses a fifth, one alone is often lost."""
TAIL_PINGS_MAX: Final = 2
TAIL_PART: Final = 0.25
TAIL_S_MIN: Final = 0.05


class Watch:
    """What one line heard and when, and when it must ask."""

    def __init__(self, now: float) -> None:
        self.heard_at = now
        """When the far side was heard last; a first question after a pause starts it anew."""
        self.stalled_since = now
        """Since when nothing of what is under way was resolved, whatever else was heard."""
        self.probed_at: float | None = None
        self.is_silent = False
        """Nothing came for long. Then small probes go out and nothing else: bytes would be lost, or pile up."""
        self._gap_s = 0.0
        self._asked_at = now
        self._tail_pings = 0
        self._asked_in_vain = 0

    def on_heard(self, now: float) -> bool:
        """Something came; tell whether the line was silent before."""
        was_silent, self.is_silent = self.is_silent, False
        if was_silent:
            self.on_resolved(now)
        else:
            self._gap_s += (now - self.heard_at - self._gap_s) / 4
        self.heard_at = now
        return was_silent

    def on_resolved(self, now: float) -> None:
        """Something of ours is known to have arrived, or not."""
        self.stalled_since, self.probed_at = now, None

    def on_asked(self, now: float, *, is_first: bool, is_tail: bool) -> None:
        """A frame that wants an ACK went out. `is_first`: nothing else is under way."""
        if is_first:
            self.heard_at = self.stalled_since = now
            self.probed_at, self.is_silent = None, False
        self._asked_at = now
        self._tail_pings = self._tail_pings + 1 if is_tail else 0

    def on_probed(self, now: float) -> None:
        self._asked_in_vain = 1 if self.probed_at is None else self._asked_in_vain + 1
        is_unheard = self._asked_in_vain == VAIN_ASKS and self.heard_at <= self.stalled_since
        self.is_silent = self.is_silent or is_unheard
        self.probed_at = now

    def at_once(self, now: float) -> None:
        """Another bearer: ask as soon as may be."""
        self.heard_at = self.stalled_since = now - FIRST_PROBE_S_MAX
        self.probed_at, self.is_silent = None, False

    def probe_at(self, rtt_s: float, ping_s: float) -> float:
        """When to ask next, while an answer is waited for. `ping_s` is what a question costs of the line's time."""
        if self.probed_at is None:
            wait_s = max(SILENT_ROUND_TRIPS * rtt_s, SILENT_GAPS * self._gap_s) + PROBE_S_MIN
            return self.stalled_since + min(wait_s, FIRST_PROBE_S_MAX)
        part_s = PROBE_PART * (self.probed_at - min(self.heard_at, self.stalled_since))
        return self.probed_at + min(max(part_s, min(rtt_s / 2, 1.0), PROBE_S_MIN, 4 * ping_s), PROBE_S_MAX)

    def tail_at(self, rtt_s: float) -> float | None:
        """When to send a PING behind the last bytes, so that an ACK shows what of them is lost."""
        if self._tail_pings >= TAIL_PINGS_MAX:
            return None
        return self._asked_at + max(TAIL_PART * rtt_s, TAIL_S_MIN)
