"""What SIM800, SIM7600 and Quectel have in common: SIM, radio, registration, signal, operator, clock, SMS, attachment.

3GPP TS 27.007 (and 27.005 for SMS). The sockets, in which the makers differ, are in `sim800.py`, `sim7600.py` and
`quectel.py`. Texts sent by SMS are kept in `texts`.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final

from hardware.simulated.modems import sim
from hardware.simulated.modems.answers import Answer, Ask, Outcome, Refuse
from hardware.simulated.modems.commands import Kind, Request
from hardware.simulated.modems.coverage import DENIED, ROAMING, Coverage
from hardware.simulated.modems.faults import Knob
from hardware.simulated.modems.interpreter import AtModem
from hardware.simulated.modems.machine import COMMON
from hardware.simulated.modems.network import Network
from hardware.simulated.modems.sim import SimCard

TEXTS_MAX: Final = 64
REGISTRATIONS: Final = ("+CREG", "+CGREG", "+CEREG")
SETTINGS: Final[Mapping[str, str]] = {
    "+CSCS": '"IRA"',
    "+CMGF": "0",
    "+CNMI": "0,0,0,0,0",
    "+CTZU": "0",
    "+CTZR": "0",
    "+CLTS": "0",
    "+CSCLK": "0",
    "+CGAUTH": "0",
    "+CNMP": "2",
    "+CSMS": "0",
    "+CSDH": "0",
}
"""Commands that only remember what they were told."""
NO_SERVICE: Final = 30

CELLULAR: Final[Mapping[str, Knob]] = {
    **COMMON,
    "sim-absent": Knob("no SIM is in it", when="*"),
    "sim-puk": Knob("three wrong tries were made already", when="*"),
    "sim-busy": Knob("the SIM is busy for so many seconds after the start", "12", "*", is_number=True),
    "denied": Knob("the network does not take this SIM", when="*"),
    "roaming": Knob("it is registered abroad", when="*"),
    "no-network": Knob("it searches for ever", when="*"),
    "slow-search": Knob("so many seconds pass until it is registered", "45", "*", is_number=True),
    "flaps": Knob("UP:DOWN, it is registered for UP seconds, then not for DOWN", "30:15", "*", is_pair=True),
    "no-signal": Knob("the signal is 99", when="*"),
    "clock-wrong": Knob("the network's clock stands at its epoch, 2004", when="*"),
    "attach-fails": Knob("attaching is refused; every AT+CGATT=1 is an opportunity"),
}


class Cellular(AtModem):
    """A modem with a SIM."""

    KNOBS: ClassVar[Mapping[str, Knob]] = CELLULAR
    MAKER: ClassVar[str] = ""
    MODEL: ClassVar[str] = ""
    FIRMWARE: ClassVar[str] = ""
    IMEI: ClassVar[str] = "867962040000019"
    CLOCK_IS_UTC: ClassVar[bool] = False
    SIM_READY_S: ClassVar[float] = 1.5
    """After it answers."""

    def __init__(
        self,
        network: Network,
        faults: Iterable[str] = (),
        seed: int = 1,
        *,
        card: SimCard | None = None,
        coverage: Coverage | None = None,
        is_powered: bool = True,
        log: Callable[[str, bytes], None] = lambda _direction, _text: None,
    ) -> None:
        self.network = network
        self.card = card or SimCard()
        self.coverage = coverage or Coverage()
        self.texts: list[tuple[str, str]] = []
        self.contexts: dict[int, tuple[str, str]] = {}
        self.is_attached = False
        self._attachments = 0
        self._is_sim_ready = False
        self._radio = 1
        super().__init__(faults, seed, is_powered=is_powered, log=log)
        self._take_faults()
        self._add_cellular()

    def _take_faults(self) -> None:
        if self.faults.is_set("sim-absent"):
            self.card.is_there = False
        if self.faults.is_set("sim-puk"):
            self.card.tries = 0
        if self.faults.is_set("roaming"):
            self.coverage.stat = ROAMING
        if self.faults.is_set("denied"):
            self.coverage.stat = DENIED
        if self.faults.is_set("no-signal"):
            self.coverage.signal = 99

    def _add_cellular(self) -> None:
        self.commands |= {
            **dict.fromkeys(SETTINGS, self._setting),
            **dict.fromkeys(REGISTRATIONS, self._registration),
            **dict.fromkeys(("+GMI", "+CGMI"), lambda _r, _n: Answer((self.MAKER.encode(),))),
            **dict.fromkeys(("+GMM", "+CGMM"), lambda _r, _n: Answer((self.MODEL.encode(),))),
            **dict.fromkeys(("+GMR", "+CGMR"), lambda _r, _n: Answer((self._firmware(),))),
            **dict.fromkeys(("+GSN", "+CGSN"), lambda _r, _n: Answer((self.IMEI.encode(),))),
            "+CPIN": self._cpin,
            "+CIMI": self._cimi,
            "+CFUN": self._cfun,
            "+CPAS": lambda _r, _n: Answer((b"+CPAS: 0",)),
            "+CSQ": self._csq,
            "+COPS": self._cops,
            "+CCLK": self._cclk,
            "+CGDCONT": self._cgdcont,
            "+CGATT": self._cgatt,
            "+CGACT": self._cgact,
            "+CGPADDR": self._cgpaddr,
            "+CMGS": self._cmgs,
        }

    def identity(self) -> bytes:
        return f"{self.MODEL} {self.FIRMWARE}".encode()

    def _firmware(self) -> bytes:
        return f"Revision:{self.FIRMWARE}".encode()

    # What the makers' sockets bring

    def detached(self, now: float) -> None:
        """The network has gone: connections with it."""

    def clock_came(self, now: float) -> None:
        """The network has told the time."""

    @property
    def address(self) -> bytes:
        """The address that the network gives; another one after each attachment."""
        return b"10.%d.%d.%d" % (64 + self.boots % 64, self._attachments % 250, 7)

    # Start, SIM, registration

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self._is_sim_ready = self.is_attached = False
        self._radio = 1
        self.coverage.step("end")
        self.contexts.clear()

    def started(self, now: float) -> None:
        self.card.insert()
        busy_s = self.faults.number("sim-busy") or 0.0
        self.later(max(self.SIM_READY_S, busy_s), self._sim_is_ready, now)
        if (periods := self.faults.pair("flaps")) is not None:
            self._flap(*periods, now)

    def _sim_is_ready(self, now: float) -> None:
        self._is_sim_ready = True
        if self.baud:
            self.urc(b"+CPIN: " + (self.card.state or "NOT INSERTED").encode(), now)
        self._search(now)

    def _search(self, now: float) -> None:
        if self._is_sim_ready and self._radio == 1 and not self.card.trouble:
            if self.coverage.step("begin"):
                self._tell_registration(now)
            if not self.faults.is_set("no-network"):
                self.later(self.faults.number("slow-search") or self.coverage.search_s, self._found, now)

    def _found(self, now: float) -> None:
        if self.coverage.step("found"):
            self._tell_registration(now)
            self.clock_came(now)
            if self.coverage.is_usable:
                self.attach(now)

    def lose_network(self, now: float) -> None:
        """The network is out of reach."""
        if self.coverage.step("lost"):
            self._tell_registration(now)
            self._detach(now)

    def find_network(self, now: float) -> None:
        """The network is in reach again."""
        self._search(now)

    def _flap(self, up_s: float, down_s: float, now: float) -> None:
        def away(at: float) -> None:
            self.lose_network(at)
            self.later(down_s, back, at)

        def back(at: float) -> None:
            self.find_network(at)
            self.later(up_s, away, at)

        self.later(up_s, away, now)

    def attach(self, now: float) -> None:
        """GPRS attach: a new address."""
        if not self.is_attached:
            self._attachments += 1
            self.is_attached = True

    def _detach(self, now: float) -> None:
        if self.is_attached:
            self.is_attached = False
            self.detached(now)

    def _tell_registration(self, now: float) -> None:
        for name in REGISTRATIONS:
            level = self.settings.get(name, "0")
            if level != "0":
                self.urc(f"{name}: {self.coverage.registration}{self._cell(level)}".encode(), now)

    def _cell(self, level: str) -> str:
        return ',"1A2B","00C3"' if level == "2" and self.coverage.is_usable else ""

    def want_sim(self) -> None:
        """Raise Refuse when the SIM does not let anything be done."""
        if self.card.trouble or not self._is_sim_ready:
            raise Refuse(self.card.trouble or sim.BUSY)

    def want_network(self) -> None:
        """Raise Refuse when there is no network."""
        self.want_sim()
        if not self.coverage.is_usable or self._radio != 1:
            raise Refuse(NO_SERVICE)

    # Commands

    def _setting(self, request: Request, now: float) -> Outcome:
        return self.remember(request, self.settings, SETTINGS[request.name])

    def _registration(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.SET and request.text not in {"0", "1", "2"}:
            raise Refuse
        if request.kind is not Kind.READ:
            return self.remember(request, self.settings)
        level = self.settings.get(request.name, "0")
        return Answer((f"{request.name}: {level},{self.coverage.registration}{self._cell(level)}".encode(),))

    def _cpin(self, request: Request, now: float) -> Outcome:
        if self.card.is_there and not self._is_sim_ready:
            raise Refuse(sim.BUSY)
        if request.kind is Kind.READ:
            if not self.card.state:
                raise Refuse(self.card.trouble)
            return Answer((b"+CPIN: " + self.card.state.encode(),))
        pin, new = request.argument(0), request.argument(1)
        code = self.card.unblock(pin, new) if new else self.card.enter(pin)
        if code:
            raise Refuse(code)
        return Answer(then=self._unlocked, after_s=0.4)

    def _unlocked(self, now: float) -> None:
        self.urc(b"+CPIN: READY", now)
        self._search(now)

    def _cimi(self, request: Request, now: float) -> Outcome:
        self.want_sim()
        return Answer((self.card.imsi.encode(),))

    def _cfun(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+CFUN: %d" % self._radio,))
        level = request.number(0)
        if level not in {0, 1, 4}:
            raise Refuse
        if request.number(1) == 1:
            return Answer(then=self.restart)
        self._radio = level
        return Answer(after_s=1.0, then=self._radio_set)

    def _radio_set(self, now: float) -> None:
        if self._radio == 1:
            self._search(now)
        elif self.coverage.step("end"):
            self._tell_registration(now)
            self._detach(now)

    def _csq(self, request: Request, now: float) -> Outcome:
        signal = self.coverage.signal if self.coverage.is_usable else 99
        return Answer((b"+CSQ: %d,%d" % (signal, 99 if signal == 99 else 0),))

    def _cops(self, request: Request, now: float) -> Outcome:
        if request.kind is not Kind.READ:
            self.settings["+COPS"] = request.argument(1, self.settings.get("+COPS", "0"))
            return Answer()
        if not self.coverage.is_usable:
            return Answer((b"+COPS: 0",))
        form = self.settings.get("+COPS", "0")
        name = self.coverage.number if form == "2" else self.coverage.operator
        return Answer((f'+COPS: 0,{form},"{name}"'.encode(),))

    def _cclk(self, request: Request, now: float) -> Outcome:
        if request.kind is not Kind.READ:
            return Answer()
        if self.faults.is_set("clock-wrong") or not self.coverage.is_usable:
            return Answer((b'+CCLK: "04/01/01,00:00:22+00"',))
        return Answer((f'+CCLK: "{self.coverage.clock(now, is_utc=self.CLOCK_IS_UTC)}"'.encode(),))

    def _cgdcont(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            rows = (f'+CGDCONT: {n},"{kind}","{apn}","",0,0' for n, (kind, apn) in sorted(self.contexts.items()))
            return Answer(tuple(row.encode("latin-1") for row in rows))
        number, kind = request.number(0), request.argument(1, "IP").upper()
        if not 1 <= number <= 16 or kind not in {"IP", "IPV6", "IPV4V6", "PPP"}:
            raise Refuse
        self.contexts[number] = (kind, request.argument(2))
        return Answer()

    def _cgatt(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+CGATT: %d" % self.is_attached,))
        if request.text == "1":
            self.want_network()
            if self.faults.strikes("attach-fails"):
                raise Refuse(NO_SERVICE)
            return Answer(after_s=1.2, then=self.attach)
        return Answer(after_s=1.0, then=self._detach)

    def _cgact(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.READ:
            return Answer((b"+CGACT: 1,%d" % self.is_attached,))
        if request.number(0) == 1:
            self.want_network()
        return Answer(after_s=0.5)

    def _cgpaddr(self, request: Request, now: float) -> Outcome:
        number = request.number(0, 1)
        return Answer((b'+CGPADDR: %d,"%b"' % (number, self.address if self.is_attached else b""),))

    def _cmgs(self, request: Request, now: float) -> Outcome:
        self.want_network()
        if self.settings.get("+CMGF") != "1":
            return Answer(final=b"+CMS ERROR: 304")
        number = request.argument(0)
        return Ask(b"\r\n> ", lambda text, at: self._text(number, text), ends=b"\x1a", escapes=True)

    def _text(self, number: str, text: bytes) -> Answer:
        self.texts = [*self.texts, (number, text.decode("latin-1"))][-TEXTS_MAX:]
        return Answer((b"+CMGS: %d" % len(self.texts),), after_s=2.5)
