"""The ledger of frames that are under way: which arrived, which are lost, how long the way takes.

A frame is lost when a later one has arrived and either three later ones have or it is overdue by an eighth of the
round trip. There is no timer that declares loss by silence, and so none that grows across an outage: in silence
the link probes (`node/line.py`), and the first answer tells at once what of all that was under way is lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from wire.records import TICK_S, TICKS, Ack

REORDER_MAX: Final = 3
OVERDUE: Final = 1.125
FRAMES_MAX: Final = 4096
"""Frames under way; beyond, nothing but probes is sent."""
RTT_UNKNOWN_S: Final = 1.0
GRANULARITY_S: Final = 0.005


@dataclass(frozen=True, slots=True)
class Piece:
    """What a frame carried, without the bytes: they are read again if it is lost. Channel None: command bytes."""

    channel: int | None
    offset: int
    size: int


@dataclass(slots=True)
class Sent:
    """One frame under way. `size` is what it takes on the wire, `through` what was sent with it and before it."""

    counter: int
    size: int
    sent_at: float
    pieces: tuple[Piece, ...]
    through: int = 0
    run: int = 0
    """Frames of one run were sent while the line was still busy with the one before."""


@dataclass(frozen=True, slots=True)
class Echo:
    """What an ACK tells of one frame: its round trip, and when it arrived, by a clock that differs by a constant."""

    frame: Sent
    rtt_s: float
    arrived_at: float


class FarClock:
    """Reads the far side's clock, which goes round, by what our own says meanwhile."""

    def __init__(self) -> None:
        self._offset_s: float | None = None

    def read(self, far: float | None, ours: float) -> float:
        """Return the far time without its going round; without one, ours, on the same scale."""
        if far is None:
            return ours + (self._offset_s or 0.0)
        span_s = TICKS * TICK_S
        expected = far if self._offset_s is None else ours + self._offset_s
        read = far + span_s * round((expected - far) / span_s)
        self._offset_s = read - ours
        return read


@dataclass(slots=True)
class Outcome:
    """What one ACK told."""

    arrived: list[Sent] = field(default_factory=list)
    lost: list[Sent] = field(default_factory=list)
    echo: Echo | None = None
    """Of the newest frame, when this ACK is the first to tell of it."""


class Ledger:
    """Frames under way, oldest first. Only frames that ask for an ACK are noted."""

    def __init__(self) -> None:
        self._frames: dict[int, Sent] = {}
        self.in_flight = 0
        self._far_clock = FarClock()
        self.srtt_s: float | None = None
        self._is_guess = False
        self.latest_rtt_s = 0.0
        self.largest = -1
        self.overdue_at: float | None = None
        self.frames_lost = 0

    @property
    def rtt_s(self) -> float:
        """The smoothed round trip, or a guess before the first."""
        return RTT_UNKNOWN_S if self.srtt_s is None else self.srtt_s

    @property
    def is_full(self) -> bool:
        return len(self._frames) >= FRAMES_MAX

    @property
    def is_empty(self) -> bool:
        return not self._frames

    @property
    def floor(self) -> int | None:
        """The oldest counter under way, None when nothing is."""
        return next(iter(self._frames), None)

    def pieces(self) -> Iterator[Piece]:
        """Give what is under way."""
        return (piece for frame in self._frames.values() for piece in frame.pieces)

    def note(self, frame: Sent) -> None:
        """A frame was sent."""
        self._frames[frame.counter] = frame
        self.in_flight += frame.size

    def forget_probes(self, keep: int) -> None:
        """Drop all but the newest `keep` frames that carry nothing: in a long outage they would pile up."""
        probes = [frame for frame in self._frames.values() if not frame.pieces]
        for frame in probes[: max(len(probes) - keep, 0)]:
            self._take(frame.counter)

    def forgive(self) -> None:
        """What is under way no longer counts as in flight: its bearer is gone."""
        self.in_flight = 0
        for frame in self._frames.values():
            frame.size = 0

    def drain(self) -> list[Sent]:
        """Return and forget what is under way: it is waited for elsewhere, and nothing is measured by it."""
        frames, self._frames = list(self._frames.values()), {}
        self.in_flight, self.overdue_at = 0, None
        return frames

    def acknowledge(self, ack: Ack, now: float) -> Outcome:
        """Take in an ACK."""
        outcome = Outcome()
        for counter in [c for c in self._frames if ack.frames.covers(c, c + 1)]:
            outcome.arrived.append(self._take(counter))
        if outcome.arrived:
            newest = outcome.arrived[-1]
            if newest.counter == ack.frames.end - 1:
                rtt_s = self.learn_rtt(now - newest.sent_at, ack.delay_s)
                outcome.echo = Echo(newest, rtt_s, self._far_clock.read(ack.arrived_at, newest.sent_at + rtt_s))
        self.largest = max(self.largest, ack.frames.end - 1)  # also a frame that asked for no ACK shows what is lost
        outcome.lost = self.overdue(now)
        return outcome

    def settle(self, counter: int) -> Sent | None:
        """Take out one frame that is known to have arrived."""
        return self._take(counter) if counter in self._frames else None

    def overdue(self, now: float) -> list[Sent]:
        """Return and forget the frames that are lost by now; `overdue_at` says when to ask again."""
        patience = OVERDUE * max(self.rtt_s, self.latest_rtt_s, GRANULARITY_S)
        self.overdue_at, lost = None, []
        for counter, frame in list(self._frames.items()):
            if counter > self.largest:
                break
            if counter <= self.largest - REORDER_MAX or frame.sent_at + patience <= now:
                lost.append(self._take(counter))
            elif self.overdue_at is None or frame.sent_at + patience < self.overdue_at:
                self.overdue_at = frame.sent_at + patience
        self.frames_lost += sum(1 for frame in lost if frame.pieces)
        return lost

    def guess_rtt(self, elapsed: float) -> None:
        """The handshake took so long: an upper bound, for its answer may be to a HELLO that was sent again."""
        self.srtt_s = self.latest_rtt_s = elapsed
        self._is_guess = True

    def learn_rtt(self, elapsed: float, delay_s: float = 0.0) -> float:
        """Take in how long an answer took, and return the round trip in it."""
        rtt_s = max(elapsed - delay_s, 0.0) if elapsed > delay_s else elapsed
        self.latest_rtt_s = rtt_s
        is_first = self.srtt_s is None or (self._is_guess and rtt_s < self.srtt_s)
        self.srtt_s = rtt_s if is_first or self.srtt_s is None else 0.875 * self.srtt_s + 0.125 * rtt_s
        self._is_guess = False
        return rtt_s

    def _take(self, counter: int) -> Sent:
        frame = self._frames.pop(counter)
        self.in_flight -= frame.size
        return frame
