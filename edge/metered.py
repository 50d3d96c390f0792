"""A bearer that counts: every frame is charged to its way's budget, and what does not fit is not sent.

It stands between the one `Caller` and a real bearer and touches no disk: it spends only what `edge/budget.py` has
reserved. A frame goes while it and an answer to it both fit; the rest is lost, as a bearer may lose frames, and `room`
says beforehand that there is none. What arrives cannot be asked for and is counted.
"""

from dataclasses import dataclass
from typing import Final

from edge.budget import Budget
from edge.tariff import Amount, Tariff
from edge.unanswered import Unanswered
from node.seams import Bearer, Mailbox, Repeating

ANSWER_SIZE_MAX: Final = 340
"""What an answer to one frame takes at most: an ACK, or the one message that a satellite session brings."""
ROOM_MAX: Final = 1 << 20


@dataclass
class Traffic:
    """What went over one way since the process began."""

    frames_sent: int = 0
    frames_received: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    frames_held: int = 0
    """Not sent, for what was reserved had been spent."""
    frames_spared: int = 0
    """Not sent, for nobody answers."""


class Purse:
    """One way's hand in the budget. `budget` is exchanged when the stores are opened anew."""

    def __init__(self, way: str, tariff: Tariff, budget: Budget, unanswered: Unanswered | None = None) -> None:
        self.way, self.tariff, self.budget = way, tariff, budget
        self.unanswered = unanswered or Unanswered(None, lambda: 0.0)
        self.traffic = Traffic()
        self.want_more = False
        """A frame found too little reserved: the way asks for more at its next tick."""

    def pay(self, size: int) -> bool:
        """Charge one frame that is about to be sent; tell whether it may go."""
        cost = self.tariff.frame(size)
        if not (cost + self.answer(size)).fits(self.budget.available(self.way)):
            self.traffic.frames_held += 1
            self.want_more = True
            return False
        if not self.unanswered.lets_through(size):
            self.traffic.frames_spared += 1
            return False
        self.traffic.frames_sent += 1
        self.traffic.bytes_sent += size
        return self.budget.charge(self.way, cost)

    def pay_again(self, up: int, down: int) -> bool:
        """Charge what the bearer begins by itself; tell whether it may. What comes is counted."""
        cost = self.tariff.frame(max(up, 1))
        if not (cost + self.tariff.frame(down)).fits(self.budget.available(self.way)):
            self.want_more = True
            return False
        return self.budget.charge(self.way, cost)

    def count(self, size: int) -> None:
        """Count one frame that has arrived."""
        self.unanswered.heard()
        self.traffic.frames_received += 1
        self.traffic.bytes_received += size
        self.budget.note(self.way, self.tariff.frame(size))

    def answer(self, size: int) -> Amount:
        """Return what is kept back for the answer to a frame: no longer than that, but where messages are billed."""
        return self.tariff.frame(ANSWER_SIZE_MAX if self.tariff.micros_per_message else min(size, ANSWER_SIZE_MAX))

    def room(self) -> int:
        """Return the size of the largest frame, with its overhead, that may be sent out of what is reserved."""
        available = self.budget.available(self.way)
        if self._goes(ROOM_MAX, available):
            return ROOM_MAX
        low, high = 0, ROOM_MAX
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._goes(middle, available) else (low, middle)
        return low

    def _goes(self, size: int, available: Amount) -> bool:
        return (self.tariff.frame(size) + self.answer(size)).fits(available)


class Metered:
    """The bearer `inner` of one way, counted; the seam `node.seams.Bearer`."""

    def __init__(self, inner: Bearer, purse: Purse) -> None:
        self.inner, self.purse = inner, purse
        if isinstance(inner, Repeating):
            inner.pays = purse.pay_again

    @property
    def way(self) -> str:
        """The way that gave it."""
        return self.purse.way

    @property
    def name(self) -> str:
        return f"{self.purse.way} ({self.inner.name})"

    @property
    def mtu(self) -> int:
        return self.inner.mtu

    @property
    def overhead(self) -> int:
        return self.inner.overhead

    @property
    def is_stream(self) -> bool:
        return self.inner.is_stream

    @property
    def is_message(self) -> bool:
        return self.inner.is_message

    def room(self) -> int:
        paid = self.purse.room()
        if paid < self.inner.mtu + self.inner.overhead:
            self.purse.want_more = True
        return min(self.inner.room(), paid)

    def send(self, frame: bytes) -> None:
        if self.purse.pay(len(frame) + self.inner.overhead):
            self.inner.send(frame)

    def close(self) -> None:
        self.inner.close()


class MeteredMailbox(Metered):
    """One whose far end keeps messages until they are fetched, at the price of one."""

    def fetch(self) -> None:
        if isinstance(self.inner, Mailbox) and self.purse.pay(1):
            self.inner.fetch()


def metered(inner: Bearer, purse: Purse) -> Metered:
    """Return `inner`, counted, with all that it can do."""
    return MeteredMailbox(inner, purse) if isinstance(inner, Mailbox) else Metered(inner, purse)
