"""A line on a bearer of messages: when it sends, and when it looks into its mailbox (R15, R31).

Each frame over such a bearer (Iridium SBD) is billed by its size, takes seconds to minutes, and its answer waits at the
network until somebody fetches it. So there are no probes, no keep-alive and no acknowledgement for its own sake.
What is to be said is gathered for a while, so that it shares a message, and is said once; then a caller looks into the
mailbox a few times, ever less often, and from the third time on asks. Whatever is heard begins the row anew.

All that is timed differently over messages stands here. Owned by `node/line.py`; nothing survives the process.
"""

from collections.abc import Callable
from typing import Final

from node.exchange import Exchange
from node.seams import Bearer, Mailbox
from wire.flow import Composed, Manner

GATHER_CALLER_S: Final = 3.0
"""Studies that are closed together share messages."""
GATHER_HOST_S: Final = 20.0
"""A receipt that follows its custody takes the place of it, and a second message the place of two answers."""
CHECKS_S: Final = (60.0, 180.0, 600.0, 1800.0, 7200.0)
"""How long a caller that waits lets pass before each look into the mailbox; then it doubts the session."""
ASKING_FROM: Final = 2
"""From this look on it sends a PING: what it said, or the answer, may be lost."""
DOUBT_POST_S: Final = 4 * 3600.0
HELLO_POST_S: Final = 900.0
"""A HELLO that is not answered goes again after so long, then after twice that, and so on to the maximum."""
HELLO_POST_S_MAX: Final = 6 * 3600.0
HALF_OPEN_POST_S: Final = 24 * 3600.0
OWED_MAX: Final = 540
"""Command bytes that a session may owe and still go on over messages; with more, a new one is cheaper: two messages."""
BLOCKED_S: Final = 10.0
BURST_MAX: Final = 64


def hello_pause_s(number: int) -> float:
    """Return how long the answer to the `number`th HELLO is waited for, counted from 1."""
    return min(HELLO_POST_S * 2.0 ** min(number - 1, 16), HELLO_POST_S_MAX)


def look_into_mailbox(bearer: Bearer) -> None:
    """Fetch what waits, where one must ask for it."""
    if isinstance(bearer, Mailbox):
        bearer.fetch()


class Post:
    """See the module's text. `limit` and `send` are the line's: how many bytes a frame takes, and sending one."""

    def __init__(
        self,
        exchange: Exchange,
        bearer: Bearer,
        limit: Callable[[], int],
        send: Callable[[Composed, float], object],
        *,
        is_caller: bool,
        now: float,
    ) -> None:
        self._exchange, self._bearer, self._limit, self._send = exchange, bearer, limit, send
        self._is_caller = is_caller
        self._gather_s = GATHER_CALLER_S if is_caller else GATHER_HOST_S
        self._wanted_since: float | None = None
        self._is_blocked = False
        self._checks = 0
        self._quiet_since = now
        self.waiting_since = now
        """Since when a verdict has been waited for, if one is."""

    @property
    def manner(self) -> Manner:
        """When the peer is told what arrived: only a caller's PING is worth a message of its own."""
        return Manner.RIDING if self._is_caller else Manner.WHEN_ASKED

    @property
    def is_waiting(self) -> bool:
        """An object waits for its verdict; nothing else is worth a look into the mailbox."""
        return self._is_caller and self._exchange.sender.is_waiting

    def heard(self, now: float) -> None:
        """Something came: what is still missing may come soon."""
        self._checks, self._quiet_since, self.waiting_since = 0, now, now

    def pump(self, now: float) -> None:
        """Send what has been gathered for long enough; look into the mailbox when it is time."""
        if not self.is_waiting:
            self.heard(now)
        self._exchange.offer(now)
        self._is_blocked = self._bearer.room() < self._bearer.mtu
        wants = self._exchange.has_message
        self._wanted_since = None if not wants else now if self._wanted_since is None else self._wanted_since
        send_at, check_at = self._send_at(), self._check_at()
        if send_at is not None and send_at <= now:
            self._send_all(now)
        elif check_at is not None and check_at <= now:
            self._check(now)

    def deadline(self) -> float | None:
        """When `pump` wants to be called again; a bearer without room says itself when it has some."""
        times = (self._send_at(), self._check_at(), self._exchange.refresh_at())
        return min((at for at in times if at is not None), default=None)

    def _send_at(self) -> float | None:
        return None if self._wanted_since is None or self._is_blocked else self._wanted_since + self._gather_s

    def _check_at(self) -> float | None:
        is_sending = self._is_blocked or self._wanted_since is not None  # that looks into the mailbox too
        if is_sending or not self.is_waiting or self._checks >= len(CHECKS_S):
            return None
        return self._quiet_since + CHECKS_S[self._checks]

    def _send_all(self, now: float) -> None:
        for _ in range(BURST_MAX):
            self._is_blocked = self._bearer.room() < self._bearer.mtu
            if self._is_blocked or not self._exchange.has_message:
                break
            ping = not self._exchange.flow.letters.is_empty  # its answer tells what became of those before it
            composed = self._exchange.compose(self._limit(), now, segments=True, ping=ping)
            if not composed.payload:
                break
            self._send(composed, now)
        self._checks, self._quiet_since = 0, now
        if not self._exchange.has_message:
            self._wanted_since = None

    def _check(self, now: float) -> None:
        """Look into the mailbox; a message of ours that is due anyway does it too."""
        asks = self._checks >= ASKING_FROM
        self._checks += 1
        self._quiet_since = now
        if asks or self._exchange.flow.seen.rides:
            self._send(self._exchange.compose(self._limit(), now, segments=True, ping=asks), now)
        else:
            look_into_mailbox(self._bearer)
