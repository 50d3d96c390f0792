"""Virtual time for the simulated world: one heap of events, one seed, no thread, no real clock.

A failing seed replays exactly: everything random is drawn from `World.rng`, and events at the same instant run in
the order in which they were asked for.
"""

import heapq
from collections.abc import Callable
from random import Random

EVENTS_MAX = 5_000_000
"""A run with more events has lost its way: a timer that asks to be called at once for ever."""
STEP_S_MIN = 0.001
"""No real loop calls anybody more often."""


class World:
    """The clock and the agenda of one run. `now` is virtual seconds since its start."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._asked = 0

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Run `action` at virtual time `when` (at once when that has passed)."""
        self._asked += 1
        heapq.heappush(self._agenda, (max(when, self.now), self._asked, action))

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run `action` in `delay_s` seconds."""
        self.at(self.now + delay_s, action)

    def run(self, until: float, done: Callable[[], bool] = lambda: False) -> None:
        """Run events up to virtual time `until`, or until `done` says so after an event."""
        for _ in range(EVENTS_MAX):
            if not self._agenda or self._agenda[0][0] > until or done():
                break
            self.now, _, action = heapq.heappop(self._agenda)
            action()
        else:
            raise AssertionError(f"seed {self.seed}: {EVENTS_MAX} events and still not at {until} s, but at {self.now}")
        if not done():
            self.now = until

    def entropy(self, size: int) -> bytes:
        """Seeded bytes in place of the operating system's."""
        return self.rng.randbytes(size)


class Alarm:
    """Has `ring` called at the time that `deadline()` tells. What may have changed that time calls `look`."""

    def __init__(
        self,
        world: World,
        deadline: Callable[[], float | None],
        ring: Callable[[], None],
        step_s: float = STEP_S_MIN,
    ) -> None:
        self._world, self._deadline, self._ring, self._step_s = world, deadline, ring, step_s
        self._at: float | None = None
        self._rang = float("-inf")

    def look(self) -> None:
        """Ask the world for the next call, never twice within `step_s`."""
        at = self._deadline()
        if at is None:
            return
        at = max(at, self._world.now, self._rang + self._step_s)
        if self._at is None or at < self._at:
            self._at = at
            self._world.at(at, lambda: self._ring_at(at))

    def _ring_at(self, at: float) -> None:
        if at == self._at:
            self._at, self._rang = None, at
            self._ring()
            self.look()


class SimClock:
    """A node's clock: exact seconds, and a wall clock that may be wrong and may jump."""

    def __init__(self, world: World, offset_ms: int = 0) -> None:
        self._world = world
        self.offset_ms = offset_ms

    def now(self) -> float:
        return self._world.now

    def time_ms(self) -> int:
        return 1_780_000_000_000 + int(self._world.now * 1000) + self.offset_ms
