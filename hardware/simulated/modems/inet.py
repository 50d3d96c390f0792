"""The sockets inside a cellular modem, as far as SIM800, SIM7600 and Quectel agree: links, their buffers, their faults.

A `Link` is one connection as the modem sees it: what has come and was not read yet waits in it, bounded; beyond that
the modem takes no more from the network. What the makers' commands make of it is in their own modules.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from hardware.simulated.modems.cellular import CELLULAR, Cellular
from hardware.simulated.modems.faults import Knob
from hardware.simulated.modems.network import UDP, Socket
from hardware.simulated.modems.timing import earliest

RECEIVE_SIZE_MAX: Final = 11_680
SEND_SIZE_MAX: Final = 5_840
"""Bytes sent and not acknowledged that a modem holds; then it accepts less than it was offered."""
SEND_S: Final = 0.05
OPEN_S_MAX: Final = 75.0
ACKNOWLEDGED_S_MAX: Final = 60.0
PDP_DROP_LEAST_S: Final = 0.5
PACE_S: Final = 0.05
"""How often a modem that waits for the network's word looks again."""

INET: Final[Mapping[str, Knob]] = {
    **CELLULAR,
    "pdp-deact": Knob(
        "the network takes the connections away in the middle of a send; half of a stream's bytes arrive"
    ),
    "pdp-drops": Knob("it does so every so many seconds", "3600", "*", is_number=True),
    "short-accept": Knob("of what is to be sent it accepts so many bytes at most", "100", "*", is_number=True),
    "data-lost": Knob("says that the send went well, and loses the bytes"),
    "send-fail": Knob("refuses a send"),
    "prompt-lost": Knob("the prompt for the bytes of a send never comes, but they are awaited"),
    "connect-fails": Knob("opening a connection fails"),
    "far-close": Knob("the far end closes after a send"),
    "silent-data": Knob("does not tell that data have come; every time that it would have is an opportunity"),
    "told-each": Knob("tells of every arrival; otherwise only of the first since all was read", when="*"),
    "udp-merged": Knob("datagrams that wait are read as one", when="*"),
}
"""Every send is an opportunity, or every opening where openings are spoken of."""


class Link:
    """One connection of the modem. `number` is the one in its commands."""

    def __init__(self, number: int, kind: str, socket: Socket, *, merges: bool = False) -> None:
        self.number, self.kind, self.socket = number, kind, socket
        self.state = "opening"
        self.is_told = False
        """The host knows that data wait."""
        self.sent = self.received = self.read = self.lost = 0
        self._merges = merges or kind != UDP
        self._pieces: deque[bytes] = deque()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._pieces))

    @property
    def unacknowledged(self) -> int:
        return self.socket.unacknowledged + self.lost

    def poll(self, now: float) -> bool:
        """Take what has come; return whether there was anything."""
        before = self.received
        while self.waiting < RECEIVE_SIZE_MAX and (data := self.socket.receive(now)) is not None:
            self._pieces.append(data)
            self.received += len(data)
        return self.received != before

    def take(self, size: int) -> bytes:
        """Return up to `size` of what waits: a datagram at a time, unless they are merged."""
        out = bytearray()
        while self._pieces and len(out) < size and (self._merges or not out):
            piece = self._pieces.popleft()
            room = size - len(out)
            out += piece[:room]
            if piece[room:]:
                self._pieces.appendleft(piece[room:])
        self.read += len(out)
        return bytes(out)

    def send(self, data: bytes, now: float) -> None:
        self.sent += len(data)
        self.socket.send(data, now)

    def deadline(self) -> float | None:
        """Return when to poll; at once when the far end has closed and nobody has noticed."""
        if self.state == "up" and self.socket.error:
            return 0.0
        return self.socket.deadline() if self.waiting < RECEIVE_SIZE_MAX and self.state != "closed" else None


class Inet(Cellular):
    """A cellular modem with sockets. A maker's class says what to do when something happens to one."""

    KNOBS: ClassVar[Mapping[str, Knob]] = INET

    links: dict[int, Link]

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self.links = {}
        self._watches: list[tuple[Link, float, Callable[[Link, bool, float], None]]] = []

    def stopped(self, now: float) -> None:
        for link in getattr(self, "links", {}).values():
            link.socket.close(now)

    # What a maker brings

    def link_has_data(self, link: Link, now: float) -> None:
        """Something waits in a link of which the host was not told."""

    def link_closed(self, link: Link, now: float) -> None:
        """The far end has closed."""

    def pdp_lost(self, now: float) -> None:
        """The network has taken the context away; every link is closed already."""

    # What a maker's class calls

    def open_link(self, number: int, kind: str, host: str, port: int, now: float) -> Link:
        """Begin to open a connection."""
        merges = self.faults.is_set("udp-merged")
        link = Link(number, kind, self.network.open(kind, host, port, now), merges=merges)
        self.links[number] = link
        return link

    def when_open(self, link: Link, tell: Callable[[Link, bool, float], None], now: float) -> None:
        """Call `tell(link, is open, now)` when it is known whether the link could be opened."""
        self._watches.append((link, now + OPEN_S_MAX, tell))
        if self.faults.strikes("connect-fails"):
            link.socket.close(now)
        self.later(PACE_S, self._watch, now)

    def _watch(self, now: float) -> None:
        watches, self._watches = self._watches, []
        for link, until, tell in watches:
            if link.socket.is_open:
                link.state = "up"
                tell(link, True, now)
            elif link.socket.error or now >= until:
                link.state = "closed"
                tell(link, False, now)
            else:
                self._watches.append((link, until, tell))
        if self._watches:
            self.later(PACE_S, self._watch, now)

    def transmit(self, link: Link, data: bytes, now: float) -> str:
        """Send; return "ok", "fail" or "gone", with the faults that a send may meet."""
        if self.faults.strikes("pdp-deact"):
            if link.kind != UDP:
                link.send(data[: len(data) // 2], now)
            self.later(0.0, self.drop_pdp, now)
            return "gone"
        if self.faults.strikes("send-fail"):
            return "fail"
        if not self.faults.strikes("data-lost"):
            link.send(data, now)
        else:
            link.sent += len(data)
            link.lost += len(data)
        if self.faults.strikes("far-close"):
            self.later(1.0, link.socket.close, now)
        return "ok"

    def acceptable(self, link: Link, size: int) -> int:
        """Return how many of `size` bytes the modem takes now."""
        limit = self.faults.number("short-accept")
        room = size if link.kind == UDP else max(0, SEND_SIZE_MAX - link.socket.unacknowledged)
        return min(size, room, size if limit is None else int(limit))

    def room_of(self, link: Link | None) -> int:
        """Return how much a link in transparent mode takes now."""
        if link is None or link.kind == UDP:
            return SEND_SIZE_MAX
        return SEND_SIZE_MAX - link.socket.unacknowledged

    def prompt(self) -> bytes:
        return b"" if self.faults.strikes("prompt-lost") else b"\r\n> "

    def drop_pdp(self, now: float) -> None:
        """The network takes the context away."""
        for link in self.links.values():
            link.socket.close(now)
            link.state = "closed"
        self._watches.clear()
        self.pdp_lost(now)

    def started(self, now: float) -> None:
        super().started(now)
        period_s = self.faults.number("pdp-drops")
        if period_s is not None:
            self.later(max(PDP_DROP_LEAST_S, period_s), self._drop_again, now)

    def _drop_again(self, now: float) -> None:
        self.drop_pdp(now)
        self.later(max(PDP_DROP_LEAST_S, self.faults.number("pdp-drops") or 0.0), self._drop_again, now)

    def detached(self, now: float) -> None:
        self.drop_pdp(now)

    def poll(self, now: float) -> None:
        self.network.tick(now)
        for link in list(self.links.values()):
            if link.poll(now) and self.faults.is_set("told-each"):
                link.is_told = False
            if link.state != "up":
                continue
            if link.waiting and not link.is_told:
                link.is_told = True
                if not self.faults.strikes("silent-data"):
                    self.link_has_data(link, now)
            if link.socket.error:
                link.state = "closed"
                self.link_closed(link, now)

    def next_poll(self) -> float | None:
        return earliest(self.network.deadline(), *(link.deadline() for link in self.links.values()))


def port_of(text: str) -> int:
    """Return the port that is written there, or 0."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) < 65_536 else 0
