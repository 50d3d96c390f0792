"""A SIMCom SIM800 (and SIM900): one link or six, pull or push, quick sending, transparent mode.

SIM800 Series AT Command Manual V1.09, chapter 8; SIM800 Series TCPIP Application Note. `STEPS` is the manual's state
diagram: which command is taken in which state of `AT+CIPSTATUS`, and where it leads; any other pair is answered ERROR.

    IP INITIAL ─CSTT► IP START ─CIICR► IP CONFIG ─► IP GPRSACT ─CIFSR► IP STATUS ─CIPSTART► CONNECTING ─► CONNECT OK
        ▲                                                                  ▲                     │             │
        └── CIPSHUT, from everywhere; the only way out of PDP DEACT        └── CIPSTART ── TCP CLOSED ◄────────┘
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from hardware.simulated.modems.answers import ERROR, OK, Answer, Ask, Online, Outcome, Pending
from hardware.simulated.modems.commands import Kind, Request
from hardware.simulated.modems.faults import Knob
from hardware.simulated.modems.inet import ACKNOWLEDGED_S_MAX, INET, PACE_S, SEND_S, Inet, Link, port_of
from hardware.simulated.modems.machine import CRLF, Mode

LINKS: Final = 6
SEND_SIZE: Final = 1_460
GPRS_S: Final = 1.5
INITIAL, START, CONFIG, GPRSACT, STATUS = "IP INITIAL", "IP START", "IP CONFIG", "IP GPRSACT", "IP STATUS"
CONNECTING, CONNECTED, CLOSED, DEACT = "TCP CONNECTING", "CONNECT OK", "TCP CLOSED", "PDP DEACT"
PROCESSING: Final = "IP PROCESSING"
"""With AT+CIPMUX=1: one link or more has been opened."""
STATES: Final = (INITIAL, START, CONFIG, GPRSACT, STATUS, CONNECTING, CONNECTED, CLOSED, DEACT, PROCESSING)

STEPS: Final[Mapping[tuple[str, str], str]] = {
    (INITIAL, "+CSTT"): START,
    (START, "+CIICR"): CONFIG,
    (GPRSACT, "+CIFSR"): STATUS,
    **{(state, "+CIFSR"): state for state in (STATUS, CONNECTING, CONNECTED, CLOSED, PROCESSING)},
    **{(state, "+CIPSTART"): CONNECTING for state in (STATUS, CLOSED)},
    (PROCESSING, "+CIPSTART"): PROCESSING,
    **{(state, "+CIPSEND"): state for state in (CONNECTED, PROCESSING)},
    (CONNECTED, "+CIPCLOSE"): CLOSED,
    (CONNECTING, "+CIPCLOSE"): CLOSED,
    (PROCESSING, "+CIPCLOSE"): PROCESSING,
    **{(state, "+CIPSHUT"): INITIAL for state in STATES},
    (INITIAL, "+CIPMUX"): INITIAL,
    (INITIAL, "+CIPMODE"): INITIAL,
    **{(state, "+CIPQSEND"): state for state in STATES},
    **{(state, "+CIPHEAD"): state for state in STATES},
}
LINK_STATES: Final[Mapping[str, str]] = {"opening": "CONNECTING", "up": "CONNECTED", "closed": "CLOSED"}


class Sim800(Inet):
    """A SIM800L."""

    MAKER: ClassVar[str] = "SIMCOM_Ltd"
    MODEL: ClassVar[str] = "SIMCOM_SIM800L"
    FIRMWARE: ClassVar[str] = "1418B05SIM800L24"
    BOOT_S: ClassVar[float] = 3.0
    BANNER: ClassVar[tuple[tuple[float, bytes], ...]] = (
        (0.0, b"RDY"),
        (0.2, b"+CFUN: 1"),
        (4.0, b"Call Ready"),
        (4.5, b"SMS Ready"),
    )

    KNOBS: ClassVar[Mapping[str, Knob]] = {
        **INET,
        "brown-out": Knob("warns of its supply in a send, and hangs half a second later until that is cut"),
    }

    state = INITIAL

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self.state = INITIAL
        self._apn = ""

    def _add_cellular(self) -> None:
        super()._add_cellular()
        self.commands |= {
            "+CSTT": self._cstt,
            "+CIICR": self._ciicr,
            "+CIFSR": self._cifsr,
            "+CIPSTART": self._cipstart,
            "+CIPSEND": self._cipsend,
            "+CIPRXGET": self._ciprxget,
            "+CIPACK": self._cipack,
            "+CIPCLOSE": self._cipclose,
            "+CIPSHUT": self._cipshut,
            "+CIPSTATUS": self._cipstatus,
            **dict.fromkeys(("+CIPMUX", "+CIPMODE", "+CIPQSEND", "+CIPHEAD"), self._switch),
            "+CPOWD": self._cpowd,
            "+CCID": lambda _r, _n: Answer((self.card.iccid.encode(),)) if self.card.is_there else Answer(final=ERROR),
            "+SPIC": self._spic,
            "+CBC": lambda _r, _n: Answer((b"+CBC: 0,88,4071",)),
        }

    def _is(self, name: str) -> bool:
        return self.settings.get(name, "0") == "1"

    @property
    def is_mux(self) -> bool:
        return self._is("+CIPMUX")

    def _step(self, name: str) -> bool:
        """Take the step of a command; return False where the state has none."""
        after = STEPS.get((self.state, name))
        if after is not None:
            self.state = after
        return after is not None

    def clock_came(self, now: float) -> None:
        """With AT+CLTS=1 it says so in three lines, the first of which no standard knows."""
        if self._is("+CLTS"):
            zone = self.coverage.zone_quarters
            told = self.coverage.utc(now)
            self.urc(f'*PSUTTZ: {told:%Y}, {told.month}, {told.day}, {told:%H, %M, %S}, "{zone:+d}", 0'.encode(), now)
            self.urc(b"DST: 0", now)
            self.urc(f"+CTZV: {zone:+d},0".encode(), now)

    def transmit(self, link: Link, data: bytes, now: float) -> str:
        """A supply that gives way while it sends kills it until it is cut (T-Call-SIM800#107)."""
        if self.faults.strikes("brown-out"):
            self.urc(b"UNDER-VOLTAGE WARNNING", now)
            self.later(0.5, self.hang, now)
        return super().transmit(link, data, now)

    # Facts

    def _named(self, link: Link, text: bytes) -> bytes:
        return b"%d, %b" % (link.number, text) if self.is_mux else text

    def link_has_data(self, link: Link, now: float) -> None:
        if self.mode is Mode.ONLINE and not self.is_mux:
            self.say(link.take(link.waiting), now)
            link.is_told = False
        elif self._is("+CIPRXGET"):
            self.urc(b"+CIPRXGET: 1" + (b",%d" % link.number if self.is_mux else b""), now)
        else:
            self._push(link, now)

    def _push(self, link: Link, now: float) -> None:
        while link.waiting:
            data = link.take(SEND_SIZE)
            if self.is_mux:
                self.say(b"\r\n+RECEIVE,%d,%d:\r\n%b" % (link.number, len(data), data), now)
            else:
                self.say((b"\r\n+IPD,%d:%b" % (len(data), data)) if self._is("+CIPHEAD") else data, now)
        link.is_told = False

    def link_closed(self, link: Link, now: float) -> None:
        if not self.is_mux:
            self.state = CLOSED
        if self.mode is Mode.ONLINE:
            self.offline(now, b"CLOSED")
        else:
            self.urc(self._named(link, b"CLOSED"), now)

    def pdp_lost(self, now: float) -> None:
        if self.state not in {INITIAL, START, DEACT}:
            self.state = DEACT
            self.offline(now, b"CLOSED")
            self.urc(b"+PDP: DEACT", now)

    def has_call(self) -> bool:
        return self._is("+CIPMODE") and self.state == CONNECTED

    def online_room(self, now: float) -> int:
        return self.room_of(self.links.get(0))

    def send_online(self, data: bytes, now: float) -> None:
        if 0 in self.links:
            self.transmit(self.links[0], data, now)

    # The context

    def _cstt(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((f'+CSTT: "{self._apn}","",""'.encode("latin-1"),))
        self.want_sim()
        if not self._step("+CSTT"):
            return Answer(final=ERROR)
        self._apn = request.argument(0, "CMNET")
        return Answer()

    def _ciicr(self, request: Request, now: float) -> Outcome:
        if not self._step("+CIICR"):
            return Answer(final=ERROR)
        self.later(GPRS_S, self._activated, now)
        return Pending()

    def _activated(self, now: float) -> None:
        good = self.is_attached and self.state == CONFIG
        self.state = GPRSACT if good else DEACT
        self.complete(Answer() if good else self.refusal(148), now)

    def _cifsr(self, request: Request, now: float) -> Outcome:
        return Answer((self.address,), final=b"") if self._step("+CIFSR") else Answer(final=ERROR)

    def _cipshut(self, request: Request, now: float) -> Outcome:
        self._step("+CIPSHUT")
        for link in self.links.values():
            link.socket.close(now)
        self.links.clear()
        return Answer(final=b"SHUT OK", after_s=0.3)

    def _switch(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.SET:
            both = {"+CIPMUX": "+CIPMODE", "+CIPMODE": "+CIPMUX"}.get(request.name, "")
            clash = request.text == "1" and bool(both) and self._is(both)
            if request.text not in {"0", "1"} or clash or not self._step(request.name):
                return Answer(final=ERROR)
        return self.remember(request, self.settings)

    # Connections

    def _numbered(self, request: Request) -> tuple[int, list[str]] | None:
        """Return the link's number and the other arguments."""
        if not self.is_mux:
            return 0, request.arguments
        number = request.number(0)
        return (number, request.arguments[1:]) if 0 <= number < LINKS else None

    def _cipstart(self, request: Request, now: float) -> Outcome:
        found = self._numbered(request)
        if found is None or len(found[1]) < 3 or found[1][0].upper() not in {"TCP", "UDP"}:
            return Answer(final=ERROR)
        number, (kind, host, port) = found[0], found[1][:3]
        if not port_of(port):
            return Answer(final=ERROR)
        there = self.links.get(number)
        if there is not None and there.state != "closed":
            return Answer(then=lambda at: self.urc(self._named(there, b"ALREADY CONNECT"), at))
        if self.is_mux and self.state == STATUS:
            self.state = PROCESSING
        if not self._step("+CIPSTART"):
            return Answer(final=ERROR)
        link = self.open_link(number, kind.upper(), host, int(port), now)
        return Answer(then=lambda at: self.when_open(link, self._opened, at))

    def _opened(self, link: Link, is_open: bool, now: float) -> None:
        if not self.is_mux:
            self.state = CONNECTED if is_open else CLOSED
        if is_open and self._is("+CIPMODE") and self.mode is Mode.COMMAND:
            self.connect(Online(), now)
        else:
            self.urc(self._named(link, b"CONNECT OK" if is_open else b"CONNECT FAIL"), now)

    def _cipsend(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+CIPSEND: %d" % SEND_SIZE,))
        found = self._numbered(request) if request.kind is Kind.SET or not self.is_mux else None
        link = self.links.get(found[0]) if found else None
        if found is None or link is None or link.state != "up" or not self._step("+CIPSEND"):
            return Answer(final=ERROR)
        size = found[1][0] if found[1] else ""
        if not size:
            return Ask(self.prompt(), lambda data, at: self._send(link, data, at), ends=b"\x1a", escapes=True)
        if not size.isascii() or not size.isdigit() or not 0 < int(size) <= SEND_SIZE:
            return Answer(final=ERROR)
        return Ask(self.prompt(), lambda data, at: self._send(link, data, at), size=int(size))

    def _send(self, link: Link, data: bytes, now: float) -> Outcome:
        if link.state != "up":
            return Answer(final=ERROR)
        quick = self._is("+CIPQSEND")
        accepted = self.acceptable(link, len(data)) if quick else len(data)
        outcome = self.transmit(link, data[:accepted], now) if accepted else "ok"
        if outcome != "ok":
            return Answer(final=self._named(link, b"SEND FAIL") if outcome == "fail" else ERROR)
        if quick:
            mux = b"%d," % link.number if self.is_mux else b""
            return Answer(final=b"DATA ACCEPT:%b%d" % (mux, accepted), after_s=SEND_S)
        self.later(SEND_S, lambda at: self._acknowledged(link, now + ACKNOWLEDGED_S_MAX, at), now)
        return Pending()

    def _acknowledged(self, link: Link, until: float, now: float) -> None:
        """Without quick sending the answer is the far end's word that it has the bytes."""
        if link.socket.unacknowledged and link.state == "up" and now < until:
            self.later(PACE_S, lambda at: self._acknowledged(link, until, at), now)
            return
        good = link.state == "up" and not link.socket.unacknowledged
        self.complete(Answer(final=self._named(link, b"SEND OK" if good else b"SEND FAIL")), now)

    def _cipack(self, request: Request, now: float) -> Outcome:
        found = self._numbered(request)
        link = self.links.get(found[0]) if found else None
        if link is None:
            return Answer(final=ERROR)
        acked = link.sent - link.unacknowledged
        return Answer((b"+CIPACK: %d,%d,%d" % (link.sent, acked, link.unacknowledged),))

    def _ciprxget(self, request: Request, now: float) -> Outcome:
        what = request.number(0)
        if request.kind is Kind.READ:
            return self.remember(request, self.settings)
        if what in {0, 1}:
            if any(link.state == "up" for link in self.links.values()):
                return Answer(final=ERROR)
            self.settings["+CIPRXGET"] = str(what)
            return Answer()
        link = self.links.get(request.number(1) if self.is_mux else 0)
        if what not in {2, 3, 4} or link is None or not self._is("+CIPRXGET"):
            return Answer(final=ERROR)
        mux = b"%d," % link.number if self.is_mux else b""
        if what == 4:
            return Answer((b"+CIPRXGET: 4,%b%d" % (mux, link.waiting),))
        size = request.number(2 if self.is_mux else 1)
        if not 0 < size <= SEND_SIZE:
            return Answer(final=ERROR)
        data = link.take(size if what == 2 else size // 2)
        link.is_told = bool(link.waiting)
        head = b"+CIPRXGET: %d,%b%d,%d" % (what, mux, len(data), link.waiting)
        return Answer((head,), raw=data if what == 2 else data.hex().upper().encode())

    def _cipclose(self, request: Request, now: float) -> Outcome:
        found = self._numbered(request)
        link = self.links.get(found[0]) if found else None
        if link is None or link.state == "closed" or not self._step("+CIPCLOSE"):
            return Answer(final=ERROR)
        link.socket.close(now)
        link.state = "closed"
        return Answer(final=self._named(link, b"CLOSE OK"), after_s=0.2)

    def _cipstatus(self, request: Request, now: float) -> Outcome:
        lines = [b"STATE: " + self.state.encode()]
        if self.is_mux:
            lines += [self._row(number) for number in range(LINKS)]
        return Answer(then=lambda at: self._say_all(lines, at))

    def _row(self, number: int) -> bytes:
        link = self.links.get(number)
        if link is None:
            return b'C: %d,,"","","","INITIAL"' % number
        host, port = link.socket.peer
        return f'C: {number},0,"{link.kind}","{host}","{port}","{LINK_STATES[link.state]}"'.encode("latin-1")

    def _say_all(self, lines: list[bytes], now: float) -> None:
        self.say(b"".join(CRLF + line + CRLF for line in lines), now)

    # Power

    def _cpowd(self, request: Request, now: float) -> Outcome:
        if request.text != "1":
            return Answer(final=OK, then=self.switch_off)
        return Answer(final=b"NORMAL POWER DOWN", after_s=1.0, then=self._power_down)

    def _power_down(self, now: float) -> None:
        self.later(max(0.0, self.line_is_free_at() - now), self.switch_off, now)

    def _spic(self, request: Request, now: float) -> Outcome:
        return Answer((b"+SPIC: %d,3,%d,10" % (self.card.tries, self.card.puk_tries),))
