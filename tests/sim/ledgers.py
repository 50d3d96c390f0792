"""What the operators' bills and the van's battery say, counted where it happens and not where our code believes it.

A `Ledger` belongs to one way. Bytes and money are counted at the network's end of the modem, or in the 9602's own meter
of credits; joules while the road is open. It knows the day by the kit's clock, prices and budget by the configuration,
and nothing of `edge/budget.py`: a budget that this count exceeds is a finding, whatever the kit counted.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

ROUNDING = 1e-6


@dataclass
class Bill:
    """One day of one way."""

    sent: int = 0
    """Bytes, with the headers of IP."""
    received: int = 0
    money: float = 0.0
    joules: float = 0.0


class Ledger:
    """The bills of one way. `way`: its configuration (`edge.config.Way`), whose prices hold."""

    def __init__(self, world, clock, way):
        self._world, self._clock, self.way = world, clock, way
        self.days = defaultdict(Bill)
        self.starts = 0
        self._open_since = None
        self.is_bounded = True
        """False when the budgets have been taken away."""

    @property
    def today(self):
        """The bill of the day that the kit's clock shows."""
        return self.days[datetime.fromtimestamp(max(self._clock.time_ms(), 0) / 1000, UTC).date()]

    @property
    def is_open(self):
        return self._open_since is not None

    def sent(self, size):
        """A frame has left the van, its headers included."""
        self.today.sent += size
        self.today.money += size * self.way.cost.per_mb / 1e6

    def received(self, size):
        """A frame has come, which nobody could refuse."""
        self.today.received += size

    def billed(self, messages):
        """The operator of messages has written so many on the bill."""
        self.today.money += messages * self.way.cost.per_message

    def opened(self):
        self.closed()
        self.starts += 1
        self._open_since = self._world.now
        self.today.joules += self.way.energy.joules_per_start

    def closed(self):
        self.settle()
        self._open_since = None

    def settle(self):
        """Count the energy up to now."""
        if self._open_since is not None:
            self.today.joules += (self._world.now - self._open_since) * self.way.energy.watts
            self._open_since = self._world.now

    def faults(self):
        """Yield what was more than the budget of a day."""
        self.settle()
        budget = self.way.budget
        for day, bill in self.days.items() if self.is_bounded else ():
            for what, spent, limit in (
                ("bytes", bill.sent, budget.bytes),
                ("money", bill.money, budget.money),
                ("joules", bill.joules, budget.joules),
            ):
                if limit is not None and spent > limit * (1 + ROUNDING):
                    yield f"{self.way.name}: {spent:g} {what} on {day}, more than {limit:g}"
