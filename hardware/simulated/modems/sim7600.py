"""A SIMCom SIM7600 (and A76xx): the network is opened, then ten links; results come after their OK.

SIM7500_SIM7600 Series TCPIP Application Note V3 and AT Command Manual, chapter TCPIP. UDP links are opened without a
far end, which every `AT+CIPSEND` then names (SIM7600), or with one (A76xx). `STEPS` is the life of the network; a pair
that is not there is answered as the manual says, with ERROR.

    CLOSED ── NETOPEN ──► OPENING ──► OPEN ── the network ──► BROKEN
       ▲                                │ NETCLOSE              │ NETCLOSE
       └────────────────────────────────┴───────────────────────┘
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from hardware.simulated.modems.answers import ERROR, Answer, Ask, Online, Outcome, Pending
from hardware.simulated.modems.commands import Kind, Request
from hardware.simulated.modems.inet import Inet, Link, port_of
from hardware.simulated.modems.machine import Mode
from hardware.simulated.modems.network import UDP

LINKS: Final = 10
SEND_SIZE: Final = 1_500
OPENING_S: Final = 1.2
CLOSING_S: Final = 0.5
SEND_S: Final = 0.1
CLOSED, OPENING, OPEN, BROKEN = "closed", "opening", "open", "broken"
STEPS: Final[Mapping[tuple[str, str], str]] = {
    (CLOSED, "+NETOPEN"): OPENING,
    (OPENING, "opened"): OPEN,
    (OPENING, "failed"): CLOSED,
    (OPEN, "+NETCLOSE"): CLOSED,
    (BROKEN, "+NETCLOSE"): CLOSED,
    (OPEN, "lost"): BROKEN,
    (BROKEN, "lost"): BROKEN,
    (OPENING, "lost"): OPENING,
    (CLOSED, "lost"): CLOSED,
}
OK_, NETWORK_FAILED, NOT_OPENED, WRONG, NOT_PERMITTED, TIMEOUT, NO_NAME = 0, 1, 2, 3, 4, 10, 11
"""The numbers of `+CIPOPEN: <link>,<err>`."""
LOCAL, REMOTE, SEND_TIMEOUT = 0, 1, 2
"""The reasons of `+IPCLOSE: <link>,<reason>`."""
NETWORK_SETTINGS: Final[Mapping[str, str]] = {
    "+CIPSENDMODE": "0",
    "+CIPCCFG": "10,0,0,0,1,0,75000",
    "+CIPTIMEOUT": "120000,120000,120000",
    "+CIPHEAD": "1",
    "+CIPSRIP": "1",
    "+CGSOCKCONT": "",
    "+CSOCKSETPN": "1",
}


class Sim7600(Inet):
    """A SIM7600E-H."""

    MAKER: ClassVar[str] = "SIMCOM INCORPORATED"
    MODEL: ClassVar[str] = "SIMCOM_SIM7600E-H"
    FIRMWARE: ClassVar[str] = "LE20B04SIM7600M22"
    IMEI: ClassVar[str] = "861477040000019"
    BOOT_S: ClassVar[float] = 11.0
    BANNER: ClassVar[tuple[tuple[float, bytes], ...]] = ((0.0, b"RDY"), (4.0, b"SMS DONE"), (5.0, b"PB DONE"))

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self.state = CLOSED

    def _add_cellular(self) -> None:
        super()._add_cellular()
        self.commands |= {
            **dict.fromkeys(NETWORK_SETTINGS, self._network_setting),
            "+CIPMODE": self._cipmode,
            "+NETOPEN": self._netopen,
            "+NETCLOSE": self._netclose,
            "+IPADDR": self._ipaddr,
            "+CIPOPEN": self._cipopen,
            "+CIPSEND": self._cipsend,
            "+CIPRXGET": self._ciprxget,
            "+CIPACK": self._cipack,
            "+CIPCLOSE": self._cipclose,
            "+CRESET": lambda _r, _n: Answer(then=self._reset),
            "+CPOF": lambda _r, _n: Answer(then=self._off),
            "+CICCID": lambda _r, _n: Answer((b"+ICCID: " + self.card.iccid.encode(),)),
            "+SPIC": lambda _r, _n: Answer((b"+SPIC: %d,10,%d,10" % (self.card.tries, self.card.puk_tries),)),
        }

    def _i(self, request: Request, now: float) -> Outcome:
        lines = (
            f"Manufacturer: {self.MAKER}",
            f"Model: {self.MODEL}",
            f"Revision: {self.FIRMWARE}",
            f"IMEI: {self.IMEI}",
        )
        return Answer(tuple(line.encode() for line in lines))

    def _step(self, event: str) -> bool:
        after = STEPS.get((self.state, event))
        if after is not None:
            self.state = after
        return after is not None

    @property
    def is_transparent(self) -> bool:
        return self.settings.get("+CIPMODE", "0") == "1"

    # Facts

    def link_has_data(self, link: Link, now: float) -> None:
        if self.is_transparent:
            if self.mode is Mode.ONLINE:
                self.say(link.take(link.waiting), now)
            link.is_told = False
        elif self.settings.get("+CIPRXGET", "0") == "1":
            self.urc(b"+CIPRXGET: 1,%d" % link.number, now)
        else:
            self._push(link, now)

    def _push(self, link: Link, now: float) -> None:
        host, port = link.socket.peer
        while link.waiting:
            data = link.take(SEND_SIZE)
            head = f"\r\nRECV FROM:{host}:{port}\r\n+IPD{len(data)}\r\n".encode("latin-1")
            self.say(head + data, now)
        link.is_told = False

    def link_closed(self, link: Link, now: float) -> None:
        if self.is_transparent:
            self.offline(now, b"CLOSED")
        else:
            self.urc(b"+IPCLOSE: %d,%d" % (link.number, REMOTE), now)

    def pdp_lost(self, now: float) -> None:
        was_open = self.state == OPEN
        self._step("lost")
        self.offline(now, b"CLOSED")
        if was_open:
            self.urc(b"+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY", now)

    def has_call(self) -> bool:
        return self.is_transparent and 0 in self.links and self.links[0].state == "up"

    def connect_text(self) -> bytes:
        return b"CONNECT %d" % self.BAUD

    def online_room(self, now: float) -> int:
        return self.room_of(self.links.get(0))

    def send_online(self, data: bytes, now: float) -> None:
        if self.has_call():
            self.transmit(self.links[0], data, now)

    # The network

    def _network_setting(self, request: Request, now: float) -> Outcome:
        return self.remember(request, self.settings, NETWORK_SETTINGS[request.name])

    def _cipmode(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.SET and (request.text not in {"0", "1"} or self.state != CLOSED):
            return Answer(final=ERROR)
        return self.remember(request, self.settings)

    def _netopen(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+NETOPEN: 1,0" if self.state in {OPEN, BROKEN} else b"+NETOPEN: 0",))
        if not self._step("+NETOPEN"):
            return Answer((b"+IP ERROR: Network is already opened",), final=ERROR)
        return Answer(then=self._later_opened)

    def _later_opened(self, now: float) -> None:
        self.later(OPENING_S, self._net_opened, now)

    def _net_opened(self, now: float) -> None:
        good = self.is_attached
        self._step("opened" if good else "failed")
        self.urc(b"+NETOPEN: %d" % (0 if good else NETWORK_FAILED), now)

    def _netclose(self, request: Request, now: float) -> Outcome:
        if not self._step("+NETCLOSE"):
            return Answer((b"+NETCLOSE: 2",), final=ERROR)
        for link in self.links.values():
            link.socket.close(now)
        self.links.clear()
        return Answer(then=lambda at: self._say_later(CLOSING_S, b"+NETCLOSE: 0", at))

    def _say_later(self, delay_s: float, line: bytes, now: float) -> None:
        self.later(delay_s, lambda at: self.urc(line, at), now)

    def _ipaddr(self, request: Request, now: float) -> Outcome:
        if self.state != OPEN:
            return Answer((b"+IP ERROR: Network not opened",), final=ERROR)
        return Answer((b"+IPADDR: " + self.address,))

    # Connections

    def _cipopen(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer(tuple(self._row(number) for number in range(LINKS)))
        number, kind, host = request.number(0), request.argument(1).upper(), request.argument(2)
        port = port_of(request.argument(3))
        code = self._reason_against(number, kind, host, port)
        if code:
            return Answer((b"+CIPOPEN: %d,%d" % (max(number, 0), code),), final=ERROR)
        link = self.open_link(number, kind, host, port, now)
        if self.is_transparent:
            self.when_open(link, self._opened_transparent, now)
            return Pending()
        return Answer(then=lambda at: self.when_open(link, self._opened, at))

    def _reason_against(self, number: int, kind: str, host: str, port: int) -> int:
        has_far = bool(host) and bool(port)
        if not 0 <= number < LINKS or kind not in {"TCP", "UDP"} or not (has_far or kind == UDP):
            return WRONG
        if self.state != OPEN:
            return NETWORK_FAILED if self.state == BROKEN else NOT_OPENED
        return NOT_PERMITTED if self._is_in_use(number) or (self.is_transparent and number != 0) else OK_

    def _is_in_use(self, number: int) -> bool:
        """A link that the far end closed can be opened again, and what it left unread can still be read."""
        return number in self.links and self.links[number].state != "closed"

    def _row(self, number: int) -> bytes:
        link = self.links.get(number)
        if link is None:
            return b"+CIPOPEN: %d" % number
        host, port = link.socket.peer
        return f'+CIPOPEN: {number},"{link.kind}","{host}",{port},-1'.encode("latin-1")

    def _opened(self, link: Link, is_open: bool, now: float) -> None:
        code = OK_ if is_open else NO_NAME if "host" in link.socket.error else TIMEOUT
        if not is_open:
            self.links.pop(link.number, None)
        self.urc(b"+CIPOPEN: %d,%d" % (link.number, code), now)

    def _opened_transparent(self, link: Link, is_open: bool, now: float) -> None:
        if not is_open:
            self.links.pop(link.number, None)
        failed = Answer((b"+CIPOPEN: %d,%d" % (link.number, TIMEOUT),), final=ERROR)
        self.complete(Online(self.connect_text()) if is_open else failed, now)

    def _cipsend(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+CIPSEND: %d" % SEND_SIZE,))
        link, size = self.links.get(request.number(0)), request.number(1)
        if link is None or link.state != "up" or self.is_transparent:
            return Answer((b"+CIPERROR: %d" % (NOT_OPENED if self.state != OPEN else NOT_PERMITTED),), final=ERROR)
        host, port = request.argument(2), port_of(request.argument(3))
        if link.kind == UDP and host and port and link.socket.peer != (host, port):
            link.socket.close(now)
            link.socket = self.network.open(UDP, host, port, now)
        if not request.argument(1):
            return Ask(self.prompt(), lambda data, at: self._send(link, data, at), ends=b"\x1a", escapes=True)
        if not 0 < size <= SEND_SIZE:
            return Answer(final=ERROR)
        return Ask(self.prompt(), lambda data, at: self._send(link, data, at), size=size)

    def _send(self, link: Link, data: bytes, now: float) -> Outcome:
        accepted = self.acceptable(link, len(data)) if link.state == "up" else -1
        if accepted > 0:
            outcome = self.transmit(link, data[:accepted], now)
            accepted = {"ok": accepted, "fail": 0, "gone": -1}[outcome]
        line = b"+CIPSEND: %d,%d,%d" % (link.number, len(data), accepted)
        return Answer(then=lambda at: self._say_later(SEND_S, line, at))

    def _ciprxget(self, request: Request, now: float) -> Outcome:
        what = request.number(0)
        if request.kind is Kind.READ:
            return self.remember(request, self.settings)
        if what in {0, 1}:
            self.settings["+CIPRXGET"] = str(what)
            return Answer()
        link = self.links.get(request.number(1))
        if what not in {2, 3, 4} or link is None or self.settings.get("+CIPRXGET", "0") != "1":
            return Answer((b"+IP ERROR: Connection not established",), final=ERROR)
        if what == 4:
            return Answer((b"+CIPRXGET: 4,%d,%d" % (link.number, link.waiting),))
        size = request.number(2, SEND_SIZE)
        if not link.waiting:
            return Answer((b"+IP ERROR: No data",), final=ERROR)
        data = link.take(min(max(size, 1), SEND_SIZE) if what == 2 else min(max(size, 1), SEND_SIZE // 2))
        link.is_told = bool(link.waiting)
        head = b"+CIPRXGET: %d,%d,%d,%d" % (what, link.number, len(data), link.waiting)
        return Answer((head,), raw=data if what == 2 else data.hex().upper().encode())

    def _cipack(self, request: Request, now: float) -> Outcome:
        link = self.links.get(request.number(0))
        if link is None:
            return Answer(final=ERROR)
        return Answer((b"+CIPACK: %d,%d,%d" % (link.sent, link.sent - link.unacknowledged, link.unacknowledged),))

    def _cipclose(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+CIPCLOSE: " + b",".join(b"%d" % self._is_in_use(number) for number in range(LINKS)),))
        number = request.number(0)
        is_in_use = self._is_in_use(number)
        link = self.links.pop(number, None)
        if link is None or not is_in_use:
            return Answer((b"+CIPCLOSE: %d,%d" % (max(number, 0), NOT_PERMITTED),), final=ERROR)
        link.socket.close(now)
        return Answer(then=lambda at: self._say_later(CLOSING_S, b"+CIPCLOSE: %d,0" % number, at))

    # Power

    def _reset(self, now: float) -> None:
        self.later(max(0.0, self.line_is_free_at() - now), self.restart, now)

    def _off(self, now: float) -> None:
        self.later(max(1.0, self.line_is_free_at() - now), self.switch_off, now)
