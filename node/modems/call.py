"""Data calls: a modem that dials, or that answers, and the session straight on the call, without PPP.

For GSM circuit-switched data (3GPP TS 27.007: AT+CBST, AT+CR), Iridium dial-up and RUDICS (a call whose far end is a
TCP server of ours), and a telephone line (ITU-T V.250). Between CONNECT and the end of the call the line carries frames
(`wire/framing.py`). The end of a call comes as `NO CARRIER` and a silence in the band, or as the fall of DCD where it
is wired, or not at all: a call on which nothing of ours is answered for SILENCE_S is given up as well.

That calls drop every few minutes is normal: the session stays, and the next call goes on where the last one ended.
After a call on which something was heard it redials at once; after failures the pauses grow, with chance in them, up to
REDIAL_S_MAX. To end a call: `+++` between silences, ATH; where the modem is deaf to that, DTR falls.

A life on the AT engine (`scripted.py`, `care.py`); nothing survives the process.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from node.modems import gsm
from node.modems.at import Command, Idle, Mode, Pause, Reply, Script
from node.modems.care import GsmModem
from node.modems.faults import AtFault, CallFailed, NetworkLost, NotAllowed
from node.modems.framed import BITS_OF_BYTE, FramedBearer
from node.modems.gsm import Plan
from node.modems.ladder import Ladder
from node.modems.scripted import Hands
from node.modems.seam import Ears, ModemState
from node.modems.sync import escape, synchronise

REDIAL_S_MAX: Final = 120.0
SILENCE_S: Final = 45.0
"""Longer than a fade or a handover of a satellite (10 to 30 s); a redial takes 15 to 40 s."""
CALLER_SILENCE_S: Final = 100.0
"""At the answering end: four keep-alives of a caller. Others want the modem then."""
WATCH_S: Final = 1.0
HEALTH_S: Final = 30.0
REGISTER_S_MAX: Final = 120.0
REGISTER_POLL_S: Final = 2.0
DTR_S: Final = 1.0
LAST_WORDS_S_MAX: Final = 4.0
"""What waits when we are to hang up goes first, unless that takes longer."""
HANG_UP_S: Final = 5.0
CLEARINGS: Final = 3
HOME, DENIED, ROAMING = 1, 3, 5


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of network. `bytes_s_max`: a call is never faster; 0: not known. `service`: for AT+CBST; 0: has none."""

    dial: str
    baud: int
    service: int
    bytes_s_max: float
    connect_s: float
    is_gsm: bool
    """Has operators, a rule of roaming, and a radio that is switched off in the end."""
    setup: tuple[str, ...]


PLAIN: Final = ("AT&C1", "AT&D2", "ATS0=0", "ATX4")
"""DCD follows the carrier, DTR hangs up, nothing is answered by itself, all results are told. A modem may lack any."""
CELLULAR: Final = (*PLAIN, "AT+CFUN=1", "AT+CR=1")
PROFILES: Final = {
    "csd": Profile("ATD", 9600, 71, 960, 60, True, CELLULAR),
    "iridium": Profile("ATDT", 19200, 71, 300, 90, False, CELLULAR),
    "rudics": Profile("ATDT", 19200, 71, 300, 90, False, CELLULAR),
    "pstn": Profile("ATDT", 115200, 0, 0, 90, False, PLAIN),
}
"""V.110 (71) connects in 3 to 5 s and wants a digital far end; `cbst=7` is V.32 for an analogue one. Iridium carries
2,400 bit/s, without start and stop bits: 300 bytes a second."""


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What to do with one modem: dial `number`, or answer when it is "". `service` goes to AT+CBST."""

    profile: Profile
    number: str = ""
    service: int = 0
    plan: Plan = field(default_factory=Plan)


class DataCall(GsmModem):
    """See the module's text. `name` is what to call the line in messages."""

    def __init__(self, ears: Ears, call: CallPlan, hands: Hands, name: str) -> None:
        super().__init__(ears, call.plan, hands)
        self.ladder = Ladder(hands.entropy, REDIAL_S_MAX)
        self.engine.sink = self._heard
        self._call, self._name = call, name
        self._bearer: FramedBearer | None = None
        self._is_given_up = False
        self._is_on_call = False
        """The call was left by nobody but us: what is sent is for the far end until the escape has been heard."""
        self._asked_at: float | None = None
        """Since when something of ours is on its way that nothing has answered."""
        self._heard_at = 0.0
        """When the call began, or something was heard of one who has been answered."""
        self._last_words, self._dry_at = b"", 0.0

    # The seam, where a call differs

    def tick(self, now: float) -> None:
        if self._bearer is not None and self._bearer.tick(now):
            self.post_room()
        super().tick(now)

    def deadline(self) -> float | None:
        own = None if self._bearer is None or self.engine.is_ending else self._bearer.deadline()
        return min((at for at in (super().deadline(), own) if at is not None), default=None)

    def output(self) -> bytes:
        data, self._last_words = self._last_words + super().output(), b""
        bearer = None if self.engine.is_ending else self._bearer
        frames = b"" if bearer is None else bearer.take(self.engine.now)
        if frames and self._asked_at is None:
            self._asked_at = self.engine.now
        return data + frames

    def let_go(self) -> None:
        bearer, self._bearer = self._bearer, None
        if bearer is not None:
            self._is_on_call = self.engine.mode is Mode.TRANSPARENT
            if self.is_leaving and self._is_on_call:
                self._last_words = bearer.take(self.engine.now)
            self._dry_at = bearer.dry_at
            self.post_down(bearer)

    # Getting ready

    def ready(self) -> Script[None]:
        self.state, self._is_on_call = ModemState.STARTING, False
        yield from synchronise(self.engine, self.controls, self.plan.baud)
        self.model, self.quirk = yield from gsm.identify()
        for text in (*self._call.profile.setup, self._flow()):
            yield from gsm.attempted(Command(text))
        if self._call.service:
            yield from gsm.open_sim(self.engine, self.quirk, self._guard)
            yield Command(f"AT+CBST={self._call.service},0,1")
            self.state = ModemState.SEARCHING
            yield from self.packet_ready()
        if self._call.profile.is_gsm:
            self.operator = yield from gsm.operator()
            self.signal_dbm = yield from gsm.signal_dbm()
        self.state = ModemState.READY
        self.engine.is_settled = True
        self.power_holds()

    def _flow(self) -> str:
        """Return what tells the modem whether RTS/CTS holds up the line."""
        if self._call.profile.is_gsm:
            return "AT+IFC=2,2" if self.plan.rtscts else "AT+IFC=0,0"
        return "AT&K3" if self.plan.rtscts else "AT&K0"

    def packet_ready(self) -> Script[None]:
        """Find a network that lets us in; calls want no packet service. Iridium is at home everywhere."""
        state = yield from self._register()
        self.is_roaming = self._call.profile.is_gsm and state == ROAMING
        if self.is_roaming and not self.plan.roaming:
            raise NotAllowed("only foreign networks are in reach", "wait, or allow their price with roaming=yes")

    def _register(self) -> Script[int]:
        pattern = r"\+CREG: ?[0-5], ?(\d\d?)"
        until, state = self.engine.now + REGISTER_S_MAX, 0
        while self.engine.now < until:
            reply = yield Command("AT+CREG?", claims=pattern)
            state = int(match[1]) if (match := re.match(pattern, reply.line)) else 0
            if state in (HOME, ROAMING):
                return state
            self.engine.take_urcs()
            yield Idle(REGISTER_POLL_S)
        why = "the network refuses this SIM" if state == DENIED else f"no network in {REGISTER_S_MAX:.0f} s"
        raise NetworkLost(f"{why}; is the antenna free, and are data calls in its plan?")

    # Calls

    def work(self) -> Script[None]:
        if self._call.number:
            self.state = ModemState.CALLING
            reply = yield self._connecting(f"{self._call.profile.dial}{self._call.number}")
            yield from self._talk(reply)
            raise CallFailed("nothing came back on the call" if self._is_silent() else "the call was given up")
        self.succeeded()
        while not self.is_leaving:
            self.state = ModemState.READY
            yield Idle(HEALTH_S)
            urcs = self.engine.take_urcs()
            if any(urc.startswith(("RING", "+CRING")) for urc in urcs):
                yield from self._answer()
            elif not urcs:
                yield Command("AT")

    def _connecting(self, text: str) -> Command:
        return Command(
            text,
            timeout_s=self._call.profile.connect_s,
            claims=r"\+CR:",
            is_optional=True,
            finals=r"CONNECT(?! FAIL)",
            connects=True,
        )

    def _answer(self) -> Script[None]:
        """Take one call; whatever ends it, the next may come."""
        self.state = ModemState.CALLING
        try:
            reply = yield self._connecting("ATA")
            yield from self._talk(reply)
        except CallFailed as fault:
            self.trouble = str(fault)
            self.let_go()
            yield from self._clear_line()

    def _clear_line(self) -> Script[None]:
        """What was under way to the call when it ended stands in the modem's command line now, before the next."""
        for _ in range(CLEARINGS):
            try:
                yield Command("AT", timeout_s=0.5)
            except AtFault:
                continue
            return

    def _talk(self, connected: Reply) -> Script[None]:
        """Carry frames until we are to end the call, and end it. Raises CallFailed when somebody else did."""
        self._asked_at, self._heard_at, self._is_given_up = None, self.engine.now, False
        name = f"{self._name} ({connected.final.lower()})"
        bytes_s = self._bytes_s(connected.final)
        self._bearer = FramedBearer(name, bytes_s, self.controls.unsent, self._give_up, self.poke)
        self.state = ModemState.UP
        self.post_up(self._bearer)
        has_carrier = False
        while not (self.is_leaving or self._is_given_up or self._is_silent()):
            carrier = self.controls.has_carrier()
            if has_carrier and carrier is False:
                self.engine.call_ended()
                raise CallFailed("the carrier has gone")
            has_carrier = has_carrier or carrier is True
            yield Idle(WATCH_S)
            self.engine.take_urcs()
        self.let_go()
        if not self.is_leaving:
            yield from self.part()

    def part(self) -> Script[None]:
        """End the call; a modem that is deaf to that loses DTR."""
        try:
            if self._is_on_call:
                self._is_on_call = False
                yield Pause(min(max(self._dry_at - self.engine.now, 0.0), LAST_WORDS_S_MAX))
                yield from escape()
            yield Command("ATH", timeout_s=HANG_UP_S)
        except CallFailed:
            return
        except AtFault:
            self.controls.set_dtr(False)
            yield Pause(DTR_S)
            self.controls.set_dtr(True)
            yield Command("ATH", timeout_s=HANG_UP_S)

    def farewell(self) -> Script[None]:
        if self._call.profile.is_gsm:
            yield from super().farewell()
            return
        try:
            yield from self.part()
        except AtFault:
            return  # DTR has fallen; there is nothing else to be done

    # Frames

    def _heard(self, data: bytes) -> None:
        bearer = self._bearer
        if bearer is None:
            return
        for frame in bearer.feed(data):
            self._asked_at = None
            if bearer.has_answered:
                self._heard_at = self.engine.now
            self.succeeded()
            self.post_frame(bearer, frame)

    def _give_up(self) -> None:
        self._is_given_up = True
        self.poke()

    def _is_silent(self) -> bool:
        now = self.engine.now
        if self._asked_at is not None and now - self._asked_at > SILENCE_S:
            return True
        return not self._call.number and now - self._heard_at > CALLER_SILENCE_S

    def _bytes_s(self, connect: str) -> float:
        """Return the highest rate that the call can have: the line's, the network's, and what the modem says."""
        number = re.search(r"CONNECT (\d{3,7})", connect)
        said = int(number[1]) / 8 if number else 0.0
        limits = self.plan.baud / BITS_OF_BYTE, self._call.profile.bytes_s_max, said
        return min(limit for limit in limits if limit)


__all__ = ["PROFILES", "CallPlan", "DataCall", "Profile"]
