"""A modem that makes and answers data calls: GSM CSD (Siemens TC35), Iridium dial-up and RUDICS (9522B), a landline.

V.250 for dialling and answering, 3GPP TS 27.007 clauses 6.7 and 6.9 (+CBST, +CR), TC35 AT Command Set V1.0, Iridium
ISU AT Command Reference. The calls go through an `exchange.Exchange`. When the far end hangs up, `NO CARRIER` comes
after the last data as if it were data too: nothing but DCD tells it apart.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from hardware.simulated.modems.answers import ERROR, Answer, Online, Outcome, Pending
from hardware.simulated.modems.commands import Kind, Request
from hardware.simulated.modems.exchange import Call, CallState, Exchange, digits_of
from hardware.simulated.modems.faults import Knob
from hardware.simulated.modems.interpreter import AtModem
from hardware.simulated.modems.machine import COMMON, DEAF, Mode
from hardware.simulated.modems.timing import earliest

RING_S: Final = 3.0
TRAIN_S: Final = 2.0
"""From lifting off to CONNECT."""
HANG_UP_S: Final = 0.6
POLL_S: Final = 0.05
SPEEDS: Final[Mapping[int, int]] = {4: 2400, 6: 4800, 7: 9600, 68: 2400, 70: 4800, 71: 9600, 75: 14400, 0: 9600}
"""+CBST <speed>: bit/s on the air."""

DIALUP: Final[Mapping[str, Knob]] = {
    **COMMON,
    "busy": Knob("the called number is busy; every dialling is an opportunity"),
    "no-carrier": Knob("the call does not come about"),
    "no-answer": Knob("nobody answers"),
    "no-dialtone": Knob("there is no network to dial in"),
    "drop": Knob("the call drops so many seconds after CONNECT", "30", is_number=True),
    "no-rings": Knob("it does not tell that it is rung; every ring is an opportunity", when="*"),
    "no-network": Knob("it is not registered", when="*"),
}
"""Every dialling is an opportunity, or what the knob speaks of."""


@dataclass(frozen=True, slots=True)
class Make:
    """Whose modem it is."""

    maker: str
    model: str
    baud: int
    connect: str
    """CONNECT and this; `{speed}` is the speed on the air, `{ce}` /RLP or nothing, `{baud}` that of the line."""
    setup_s: float
    is_mobile: bool = True


MAKES: Final[Mapping[str, Make]] = {
    "csd": Make("SIEMENS", "TC35i", 19_200, "{speed}{ce}", 4.0),
    "iridium": Make("Iridium", "9522B", 19_200, "{baud}", 12.0),
    "landline": Make("US Robotics", "Courier V.Everything", 115_200, "{speed}/ARQ", 8.0, is_mobile=False),
}


class DialModem(AtModem):
    """One modem at one number of the exchange."""

    KNOBS: ClassVar[Mapping[str, Knob]] = DIALUP
    SOME_URC: ClassVar[bytes] = b"RING"
    PROFILE: ClassVar[Mapping[str, str]] = {**AtModem.PROFILE, "+CBST": "0,0,1", "+CR": "0"}

    def __init__(
        self,
        exchange: Exchange,
        number: str = "",
        faults: Iterable[str] = (),
        seed: int = 1,
        *,
        make: str = "csd",
        is_powered: bool = True,
        log: Callable[[str, bytes], None] = lambda _direction, _text: None,
    ) -> None:
        self.exchange, self.number, self.make = exchange, digits_of(number), MAKES[make]
        self._call: Call | None = None
        self._end = 0
        self._dialling: int | None = None
        super().__init__(faults, seed, is_powered=is_powered, log=log)
        self.commands |= {
            "D": self._d,
            "A": self._a,
            "+CBST": self._cbst,
            "+CR": self._kept,
            **dict.fromkeys(("+CREG", "+CPIN", "+CSQ"), self._fact),
            **dict.fromkeys(("+CGMI", "+GMI"), lambda _r, _n: Answer((self.make.maker.encode(),))),
            **dict.fromkeys(("+CGMM", "+GMM"), lambda _r, _n: Answer((self.make.model.encode(),))),
            "+CHUP": self._h,
        }
        if self.number:
            exchange.join(self.number, self)

    def identity(self) -> bytes:
        return self.make.model.encode()

    def baud_kept(self) -> int:
        return int(self._stored[0].get("+IPR", "0")) or self.make.baud

    # The machine

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self._drop_call("hung up")

    def _drop_call(self, reason: str) -> None:
        if self._call is not None:
            self._call.end(reason)
        self._call = None
        self.is_ringing = False

    def poll(self, now: float) -> None:
        self.exchange.tick(now)
        call = self._call
        if call is None:
            return
        if call.state is CallState.UP and self.mode is Mode.ONLINE:
            self.say(call.receive(self._end, now), now)
        if call.state is CallState.OVER and not self._is_dialling:
            self._call = None
            self.is_ringing = False
            if self.mode is Mode.ONLINE:
                self.offline(now)
            elif call.answered_at is not None:
                self.urc(b"NO CARRIER", now)

    def next_poll(self) -> float | None:
        """A call that is over is noticed at once; bytes wait while the line takes commands."""
        call = self._call
        if call is None or self._is_dialling:
            return self.exchange.deadline()
        if call.state is CallState.OVER:
            return self.now
        arrival = call.deadline(self._end) if self.mode is Mode.ONLINE else None
        return earliest(self.exchange.deadline(), arrival)

    @property
    def _is_dialling(self) -> bool:
        return self.mode is Mode.RUNNING

    def has_call(self) -> bool:
        return self._call is not None and self._call.state is CallState.UP

    def hang_up(self, now: float) -> None:
        self._drop_call("hung up")

    def online_room(self, now: float) -> int:
        return self._call.room(self._end, now) if self._call is not None else 0

    def send_online(self, data: bytes, now: float) -> None:
        if self._call is not None:
            self._call.send(self._end, data, now)

    def connect_text(self) -> bytes:
        speed, _, service = self.profile["+CBST"].partition(",")
        air = SPEEDS.get(int(speed or 0), 9_600)
        ce = "/RLP" if service.endswith("1") else ""
        return ("CONNECT " + self.make.connect.format(speed=air, ce=ce, baud=self.baud)).encode()

    # Dialling

    def _d(self, request: Request, now: float) -> Outcome:
        if request.text.endswith(";") or not digits_of(request.text):
            return Answer(final=b"NO CARRIER")
        if self.faults.strikes("no-dialtone"):
            return Answer(final=b"NO DIALTONE", after_s=TRAIN_S)
        for name, final, wait_s in (("busy", b"BUSY", 3.0), ("no-carrier", b"NO CARRIER", 8.0)):
            if self.faults.strikes(name):
                return Answer(final=final, after_s=wait_s)
        if self.faults.is_set("no-network"):
            return Answer(final=b"NO CARRIER", after_s=1.0)
        if self.faults.strikes("no-answer"):
            nobody = Answer(final=b"NO ANSWER")
            self._dialling = self.later(self.registers[7], lambda at: self.complete(nobody, at), now)
            return Pending(self._break_off)
        self._dialling = self.later(self.make.setup_s, lambda at: self._dialled(request.text, at), now)
        return Pending(self._break_off)

    def _break_off(self, now: float) -> Answer:
        self.cross_out(self._dialling)
        self._dialling = None
        self._drop_call("hung up")
        return Answer(final=b"NO CARRIER")

    def _dialled(self, number: str, now: float) -> None:
        self._dialling = None
        if self._call is not None:
            self.complete(Answer(final=b"BUSY"), now)
            return
        self._call, self._end = self.exchange.dial(number, now), 0
        self._await_answer(self._call, now + self.registers[7], now)

    def _await_answer(self, call: Call, until: float, now: float) -> None:
        if self._call is not call:
            return
        if call.state is CallState.UP:
            self._connected(now)
        elif call.state is CallState.OVER or now >= until:
            final = {"busy": b"BUSY", "no answer": b"NO ANSWER"}.get(call.reason, b"NO CARRIER")
            self._drop_call("no answer")
            self.complete(Answer(final=final), now)
        else:
            self.later(POLL_S, lambda at: self._await_answer(call, until, at), now)

    def _connected(self, now: float) -> None:
        reliability = (b"+CR: REL ASYNC",) if self.profile["+CR"] == "1" else ()
        self.complete(Online(self.connect_text(), reliability, TRAIN_S), now)
        if (after_s := self.faults.pick("drop")) is not None and self._call is not None:
            self._call.dropped_at = now + TRAIN_S + float(after_s)

    # Answering

    def rung(self, call: Call, now: float) -> bool:
        if self._call is not None or self.mode in DEAF:
            return False
        self._call, self._end = call, 1
        self.registers[1] = 0
        self.is_ringing = True
        self.later(0.5, lambda at: self._ring(call, at), now)
        return True

    def _ring(self, call: Call, now: float) -> None:
        if self._call is not call or call.state is not CallState.RINGING:
            return
        self.registers[1] = min(255, self.registers[1] + 1)
        if not self.faults.strikes("no-rings"):
            self.urc(b"RING", now)
        self.later(RING_S, lambda at: self._ring(call, at), now)
        if 0 < self.registers[0] <= self.registers[1] and self.mode is Mode.COMMAND:
            self._lift(call, now)

    def _lift(self, call: Call, now: float) -> None:
        self.is_ringing = False
        call.answer(now)
        self.start(Pending(self._break_off), now)
        self.later(0.0, self._connected, now)

    def _a(self, request: Request, now: float) -> Outcome:
        call = self._call
        if call is None or call.state is not CallState.RINGING:
            return Answer(final=b"NO CARRIER")
        self.is_ringing = False
        call.answer(now)
        self.later(0.0, self._connected, now)
        return Pending(self._break_off)

    # Commands

    def _h(self, request: Request, now: float) -> Outcome:
        self.hang_up(now)
        return Answer(after_s=HANG_UP_S)

    def _cbst(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.SET and request.number(0) not in SPEEDS:
            return Answer(final=ERROR)
        return self.remember(request, self.profile)

    def _fact(self, request: Request, now: float) -> Outcome:
        if not self.make.is_mobile:
            return Answer(final=ERROR)
        registered = 2 if self.faults.is_set("no-network") else 1
        facts = {"+CREG": b"+CREG: 0,%d" % registered, "+CPIN": b"+CPIN: READY", "+CSQ": b"+CSQ: 20,99"}
        return Answer((facts[request.name],) if request.kind is Kind.READ or request.name == "+CSQ" else ())
