"""The pace on a hop with jitter, loss and a bounded queue: which rate it finds, and what it does when it was wrong."""

import heapq
import random

import pytest

from wire.loss import Echo, Sent
from wire.rate import URGENT_LIFE_S, Mode, Pace


class Hop:
    """A hop and its far end, which acknowledges each frame by itself; three later ones show that a frame is lost."""

    def __init__(self, seed: int, rate: float = 5000.0, way_s: float = 0.75, jitter_s: float = 0.1, **more) -> None:
        self.rate, self.way_s, self.jitter_s = rate, way_s, jitter_s
        self.loss, self.queue = more.get("loss", 0.0), more.get("queue", 16384)
        self.random, self.now, self.busy_until, self.last_s = random.Random(seed), 0.0, 0.0, 0.0
        self.pace, self.counter = Pace(1500), 0
        self.acks: list[tuple[float, int, Sent, float]] = []
        self.open: dict[int, Sent] = {}
        self.sent = self.dropped = self.arrived = 0
        self.pace.begin(600, 2 * way_s + 600 / rate, 0.0)

    def run(self, seconds: float) -> float:
        """Send whatever is let out, and return the part of the line that was busy."""
        until, before = self.now + seconds, self.arrived
        while self.now < until:
            flight = sum(frame.size for frame in self.open.values())
            is_open = flight + self.pace.frame_size / 2 <= self.pace.window
            if is_open and self.pace.next_at <= self.now:
                self._send()
                continue
            self.pace.note_limited()
            times = [self.acks[0][0]] if self.acks else [until]
            self.now = min([*times, until] + ([self.pace.next_at] if is_open else []))
            while self.acks and self.acks[0][0] <= self.now:
                self._hear()
        return (self.arrived - before) / (self.rate * seconds)

    def _send(self) -> None:
        frame = Sent(self.counter, self.pace.frame_size, self.now, ())
        self.counter, self.sent = self.counter + 1, self.sent + 1
        self.open[frame.counter] = frame
        self.pace.on_sent(frame, self.now)
        start = max(self.now, self.busy_until)
        if (start - self.now) * self.rate + frame.size > self.queue:
            self.dropped += 1
            return
        self.busy_until = start + frame.size / self.rate
        if self.random.random() < self.loss:
            return
        arrived_at = self.busy_until + self.way_s + self.random.uniform(-self.jitter_s, self.jitter_s)
        self.last_s = arrived_at = max(arrived_at, self.last_s)
        self.arrived += frame.size
        if self.random.random() >= self.loss:  # the way back loses as much
            heapq.heappush(self.acks, (arrived_at + self.way_s, frame.counter, frame, arrived_at + 1000))

    def _hear(self) -> None:
        _, _, newest, arrived_at = heapq.heappop(self.acks)
        echo = Echo(newest, self.now - newest.sent_at, arrived_at) if self.open.pop(newest.counter, None) else None
        lost = [frame for counter, frame in self.open.items() if counter <= newest.counter - 3]
        for frame in lost:
            del self.open[frame.counter]
        self.pace.on_resolved(lost, echo, self.counter - 1, self.now)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.2])
def test_the_rate_is_found_on_a_line_that_jitters_and_loses(loss, seed):
    hop = Hop(seed, loss=loss)
    hop.run(30)
    assert hop.pace.mode is Mode.STEADY
    assert hop.run(60) > 0.9 * (1 - loss)
    assert 0.85 < hop.pace.rate_bytes_s / hop.rate < 1.3


@pytest.mark.parametrize("seed", range(8))
def test_a_rate_that_is_far_too_low_finds_its_way_back_though_jitter_looks_like_a_queue(seed):
    hop = Hop(seed, loss=0.2)
    hop.run(20)
    hop.pace.rate_bytes_s /= 4
    hop.run(60)
    assert hop.pace.rate_bytes_s > 0.8 * hop.rate


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("queue", [4096, 16384])
def test_a_rate_that_is_far_too_high_does_not_run_over_the_queue_for_long(queue, seed):
    """What a queue drops looks like what the line loses; to go slower for a while shows the difference."""
    hop = Hop(seed, jitter_s=0.01, queue=queue)
    hop.run(20)
    hop.pace.rate_bytes_s *= 2
    hop.run(60)
    hop.sent = hop.dropped = 0
    assert hop.run(60) > 0.75
    assert hop.dropped < 0.25 * hop.sent


def test_the_first_flights_do_not_overrun_a_usual_queue():
    for seed in range(8):
        hop = Hop(seed)
        hop.run(30)
        assert hop.dropped == 0


def test_frames_are_small_while_urgent_ones_come_between_and_for_a_minute_after():
    hop = Hop(1, rate=300.0, way_s=0.9, jitter_s=0.05, queue=8192)
    hop.run(60)
    large = hop.pace.frame_size
    hop.pace.note_urgent(hop.now)
    assert hop.pace.frame_size < large / 2
    hop.run(URGENT_LIFE_S - 10)
    assert hop.pace.frame_size < large / 2
    hop.run(30)
    assert hop.pace.frame_size > large * 0.8
