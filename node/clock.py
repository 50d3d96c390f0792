"""The only module that reads a clock. Everybody else is handed a `Clock`, so that a simulated world can own time.

Two clocks that are never mixed: `now` measures spans (timers, rates, waits), `time_ms` dates what is stored. The second
may jump either way by years, because a kit starts without a battery-backed clock; nothing may depend on its order.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, in the two senses a node needs."""

    def now(self) -> float:
        """Return monotonic seconds since some moment; only differences mean anything."""
        ...

    def time_ms(self) -> int:
        """Return Unix milliseconds. May jump forwards and backwards."""
        ...


class SystemClock:
    """The machine's own clocks. `now` is the time base of an asyncio loop, too."""

    def now(self) -> float:
        return time.monotonic()

    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000
