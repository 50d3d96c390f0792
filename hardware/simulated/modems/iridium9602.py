"""An Iridium 9602: one message up and one down in its memory, sessions of 6 to 22 seconds, rings, a bill, a battery.

Iridium ISU AT Command Reference (SBD commands), 9602 SBD Transceiver Developers Guide. What is true of it and bites:

* The MO message stays after a session, and goes up again with the next one, until AT+SBDD0 or another message.
* MOMSN advances only with a session that the modem knows to have succeeded; the ground may have the message anyway.
* A message that comes down overwrites the one that was not read. Neither outlives the supply.
* The supply must rest for two seconds, or it may come up dead. AT*F first.
* SBDRING may stand anywhere, also inside a reply.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from hardware.simulated.modems.answers import ERROR, Answer, Ask, Outcome, Pending
from hardware.simulated.modems.commands import Kind, Request
from hardware.simulated.modems.directip import Place
from hardware.simulated.modems.faults import Knob
from hardware.simulated.modems.ground import Fetched, Ground
from hardware.simulated.modems.interpreter import AtModem
from hardware.simulated.modems.machine import COMMON, DEAF
from hardware.simulated.modems.timing import earliest

MO_SIZE_MAX: Final = 340
MT_SIZE_MAX: Final = 270
TEXT_SIZE_MAX: Final = 120
WRITE_S_MAX: Final = 60.0
SESSION_S: Final = 6.0, 22.0
EXCHANGED_AFTER: Final = 0.8
"""The part of a session after which the ground has the message; the rest is telling the modem so."""
REFUSED_S: Final = 1.0, 3.0
NO_NETWORK_S: Final = 5.0, 15.0
SIGNAL_S: Final = 2.0, 4.0
"""AT+CSQ: 2 s in the 9602 guide; Rock7 says up to 20."""
REST_S: Final = 2.0
"""How long the supply must be away."""
CREDIT_BYTES: Final = 50
"""A credit for each started 50 bytes, and one for a mailbox check (RockBLOCK's price list)."""
IDLE_W, SESSION_W, RADIO_OFF_W = 0.2, 0.55, 0.1
"""40 mA and 110 mA at 5 V."""
TICK_S: Final = 0.09
EPOCH_S: Final = 1_399_818_235
"""Iridium's system time begins 2014-05-11 14:23:55 UTC."""
SENT, RF_DROP, NO_NETWORK, RADIO_OFF, TRAFFIC = 0, 18, 32, 34, 38
REFUSED_AT_ONCE: Final = frozenset({15, 16, 33, 34, 35, 36, 37, 38, 64, 65})
SUCCESSES: Final = range(5)
MT_NONE, MT_RECEIVED, MT_FAILED = 0, 1, 2

IRIDIUM: Final[Mapping[str, Knob]] = {
    **COMMON,
    "delivered-but": Knob("the message goes up, but the modem reports this status", "18", is_number=True),
    "mo-status": Knob("the session fails with this status", "18", is_number=True),
    "traffic-management": Knob("the session is refused with this status", "38", is_number=True),
    "no-view": Knob("UP:DOWN, the sky is seen for UP seconds, then not for DOWN", "300:60", "*", is_pair=True),
    "mt-checksum": Knob("the checksum of a message read with AT+SBDRB is wrong"),
    "mt-repeated": Knob("the ground keeps a message that came down, and sends it again"),
    "mt-lost": Knob("the ground gives a message away in a session that fails"),
    "ring-in-ready": Knob("SBDRING right after READY; every write is an opportunity"),
    "slow-session": Knob("sessions take so many seconds", "55", "*", is_number=True),
    "dead-start": Knob("comes up dead when the supply returns; every return is an opportunity"),
}
"""Every session is an opportunity, or what the knob speaks of."""


@dataclass(slots=True)
class Meter:
    """What it has cost."""

    credits: int = 0
    joules: float = 0.0
    sessions: int = 0
    failed_sessions: int = 0
    _watts: float = 0.0
    _since: float = 0.0

    def draw(self, watts: float, now: float) -> None:
        """Count the energy so far; from here on it draws so much."""
        self.joules += self._watts * max(0.0, now - self._since)
        self._watts, self._since = watts, now

    def bill(self, up: int, down: int | None) -> None:
        """Count a session that brought so many bytes up and down."""
        pieces = -(-up // CREDIT_BYTES) + -(-(down or 0) // CREDIT_BYTES)
        self.credits += max(1, pieces)


class Iridium9602(AtModem):
    """`signal` is 0 (no satellite) to 5, and may be changed at any time."""

    KNOBS: ClassVar[Mapping[str, Knob]] = IRIDIUM
    BAUD: ClassVar[int] = 19_200
    BOOT_S: ClassVar[float] = 2.0
    WHOLE_LINES: ClassVar[frozenset[str]] = frozenset({"+SBDWT"})
    SOME_URC: ClassVar[bytes] = b"SBDRING"
    PROFILE: ClassVar[Mapping[str, str]] = {**AtModem.PROFILE, "&K": "3", "+SBDMTA": "1", "+CMEE": "0"}

    def __init__(
        self,
        ground: Ground,
        faults: Iterable[str] = (),
        seed: int = 1,
        *,
        imei: str = "300234063904190",
        signal: int = 4,
        is_powered: bool = True,
        log: Callable[[str, bytes], None] = lambda _direction, _text: None,
    ) -> None:
        self.ground, self.imei, self.meter = ground, imei, Meter()
        self._signal = signal
        self.momsn = 0
        super().__init__(faults, seed, is_powered=is_powered, log=log)
        self._add_facts()
        self._add_short_bursts()
        self.ground.subscribe(imei)

    def _add_facts(self) -> None:
        self.commands |= {
            "+CGSN": lambda _r, _n: Answer((self.imei.encode(),)),
            "+GSN": lambda _r, _n: Answer((self.imei.encode(),)),
            "+CGMI": lambda _r, _n: Answer((b"Iridium",)),
            "+CGMM": lambda _r, _n: Answer((b"IRIDIUM 9600 Family SBD Transceiver",)),
            "+CGMR": lambda _r, _n: Answer((b"Call Processor Version: TA16005", b"Modem DSP Version: 1.7 svn: 2358")),
            "+CSQ": self._csq,
            "+CSQF": lambda _r, _n: Answer((b"+CSQF:%d" % self._signal,)),
            "+CIER": self._cier,
            "+CREG": lambda _r, _n: Answer((b"+CREG:002,00%d" % (1 if self._signal else 2),)),
            "-MSSTM": self._msstm,
        }

    def _add_short_bursts(self) -> None:
        self.commands |= {
            "+SBDWB": self._sbdwb,
            "+SBDWT": self._sbdwt,
            "+SBDRB": self._sbdrb,
            "+SBDRT": lambda _r, _n: Answer(raw=b"\r\n+SBDRT:\r\n" + self._mt),
            "+SBDIX": self._sbdix,
            "+SBDIXA": self._sbdix,
            "+SBDI": self._sbdix,
            "+SBDSX": self._sbdsx,
            "+SBDS": self._sbds,
            "+SBDD0": lambda _r, _n: self._clear(mo=True),
            "+SBDD1": lambda _r, _n: self._clear(mt=True),
            "+SBDD2": lambda _r, _n: self._clear(mo=True, mt=True),
            "+SBDTC": self._sbdtc,
            "+SBDC": self._sbdc,
            "+SBDMTA": self._kept,
            "+SBDREG": self._sbdreg,
            "+SBDAREG": self._kept,
            "+SBDLOE": lambda _r, _n: Answer((b"+SBDLOE:0,0",)),
            "*F": self._flush,
            "*R": self._unknown,
            "*R0": lambda _r, n: self._radio(is_on=False, now=n),
            "*R1": lambda _r, n: self._radio(is_on=True, now=n),
        }

    def identity(self) -> bytes:
        return b"2400"

    def fall_silent(self, now: float) -> None:
        super().fall_silent(now)
        self._mo, self._mt = b"", b""
        self._has_mo = self._has_mt = self._is_rung = False
        self._mtmsn, self._left = -1, 0
        self._is_radio_on = True
        self._fetched: Fetched | int | None = None
        """What the session under way has brought, or the status that it is going to be told to have failed with."""
        self.meter.draw(0.0, now)

    def remember(self, request: Request, where: dict[str, str], default: str = "0") -> Answer:
        """Iridium puts no space after the colon."""
        answer = super().remember(request, where, default)
        return Answer(tuple(line.replace(b": ", b":") for line in answer.lines))

    # Supply, sky, rings

    def powered(self, rested_s: float, now: float) -> None:
        may_be_dead = rested_s < REST_S and self.rng.random() < 0.5
        self.boot(now)
        if self.faults.strikes("dead-start") or may_be_dead:
            self.hang(now)

    def boot(self, now: float) -> None:
        super().boot(now)
        self.meter.draw(IDLE_W, now)

    def started(self, now: float) -> None:
        self.ground.subscribe(self.imei).has_rings = True
        if (periods := self.faults.pair("no-view")) is not None:
            self._see(*periods, self._signal or 4, now)

    def _see(self, up_s: float, down_s: float, signal: int, now: float) -> None:
        def away(at: float) -> None:
            self.set_signal(0, at)
            self.later(down_s, back, at)

        def back(at: float) -> None:
            self.set_signal(signal, at)
            self.later(up_s, away, at)

        back(now)

    @property
    def signal(self) -> int:
        return self._signal

    def set_signal(self, bars: int, now: float) -> None:
        """The sky has changed."""
        before, self._signal = self._signal, bars
        mode, wants_bars, wants_service = self.settings.get("+CIER", "0,0,0").split(",")
        if mode != "1" or self.mode in DEAF:
            return
        if wants_bars == "1" and before != bars:
            self.urc(b"+CIEV:0,%d" % bars, now)
        if wants_service == "1" and (before > 0) != (bars > 0):
            self.urc(b"+CIEV:1,%d" % (bars > 0), now)

    def poll(self, now: float) -> None:
        self.ground.tick(now)
        if not self.ground.take_ring(self.imei, now) or not self._is_radio_on or not self._signal:
            return
        if self.profile["+SBDMTA"] == "1":
            self._is_rung = self.is_ringing = True
            self.urc(b"SBDRING", now)
            self.later(5.0, self._stop_ringing, now)

    def _stop_ringing(self, now: float) -> None:
        self.is_ringing = False

    def next_poll(self) -> float | None:
        return earliest(self.ground.deadline(), self.ground.ring_at(self.imei))

    def _radio(self, *, is_on: bool, now: float) -> Answer:
        self._is_radio_on = is_on
        self.meter.draw(IDLE_W if is_on else RADIO_OFF_W, now)
        return Answer(after_s=0.5)

    def _flush(self, request: Request, now: float) -> Outcome:
        """Everything is put away; nothing is answered any more."""
        return Answer(after_s=0.5, then=self._flushed)

    def _flushed(self, now: float) -> None:
        self.later(max(0.0, self.line_is_free_at() - now), self.switch_off, now)

    # Facts

    def _csq(self, request: Request, now: float) -> Outcome:
        return Answer((b"+CSQ:%d" % (self._signal if self._is_radio_on else 0),), after_s=self.rng.uniform(*SIGNAL_S))

    def _cier(self, request: Request, now: float) -> Outcome:
        if request.kind is not Kind.SET:
            return Answer((b"+CIER:" + self.settings.get("+CIER", "0,0,0").encode(),))
        if any(one not in {"0", "1", ""} for one in request.arguments):
            return Answer(final=ERROR)
        self.settings["+CIER"] = ",".join(one or "0" for one in (*request.arguments, "0", "0")[:3])
        _, bars, service = self.settings["+CIER"].split(",")
        lines = [b"+CIEV:0,%d" % self._signal] * (bars == "1") + [b"+CIEV:1,%d" % (self._signal > 0)] * (service == "1")

        def tell(at: float) -> None:
            for line in lines:
                self.urc(line, at)

        return Answer(then=tell)

    def _msstm(self, request: Request, now: float) -> Outcome:
        if not self._signal or not self._is_radio_on:
            return Answer((b"-MSSTM: no network service",))
        ticks = int((self.ground.clock_s(now) - EPOCH_S) / TICK_S)
        return Answer((b"-MSSTM: %08x" % (ticks & 0xFFFFFFFF),))

    # The two messages

    def _sbdwb(self, request: Request, now: float) -> Outcome:
        size = request.number(0)
        if request.kind is not Kind.SET or not 1 <= size <= MO_SIZE_MAX:
            return Answer((b"3",))
        return Ask(self._ready(), self._written, size=size + 2, wait_s=WRITE_S_MAX, late=Answer((b"1",)))

    def _ready(self) -> bytes:
        return b"\r\nREADY\r\n" + (b"\r\nSBDRING\r\n" if self.faults.strikes("ring-in-ready") else b"")

    def _written(self, data: bytes, now: float) -> Outcome:
        data, given = data[:-2], int.from_bytes(data[-2:], "big")
        if sum(data) & 0xFFFF != given:
            return Answer((b"2",))
        self._mo, self._has_mo = data, True
        return Answer((b"0",))

    def _sbdwt(self, request: Request, now: float) -> Outcome:
        if request.kind is Kind.SET:
            if len(request.text) > TEXT_SIZE_MAX:
                return Answer(final=ERROR)
            self._mo, self._has_mo = request.text.encode("latin-1"), bool(request.text)
            return Answer()
        return Ask(self._ready(), self._texted, ends=b"\r", wait_s=WRITE_S_MAX, late=Answer((b"1",)))

    def _texted(self, text: bytes, now: float) -> Outcome:
        self._mo, self._has_mo = text[:MO_SIZE_MAX], bool(text)
        return Answer((b"0",))

    def _sbdrb(self, request: Request, now: float) -> Outcome:
        check = sum(self._mt) & 0xFFFF
        if self.faults.strikes("mt-checksum"):
            check ^= 0x0100
        return Answer(raw=len(self._mt).to_bytes(2, "big") + self._mt + check.to_bytes(2, "big"))

    def _clear(self, *, mo: bool = False, mt: bool = False) -> Answer:
        if mo:
            self._mo, self._has_mo = b"", False
        if mt:
            self._mt, self._has_mt = b"", False
        return Answer((b"0",))

    def _sbdtc(self, request: Request, now: float) -> Outcome:
        self._mt, self._has_mt = self._mo, self._has_mo
        return Answer((b"SBDTC: Outbound SBD Copied to Inbound SBD: size = %d" % len(self._mo),))

    def _sbdc(self, request: Request, now: float) -> Outcome:
        self.momsn = 0
        return Answer((b"0",))

    def _sbdsx(self, request: Request, now: float) -> Outcome:
        numbers = self._has_mo, self.momsn, self._has_mt, self._mtmsn, self._is_rung, self._left
        return Answer((b"+SBDSX: %d, %d, %d, %d, %d, %d" % numbers,))

    def _sbds(self, request: Request, now: float) -> Outcome:
        return Answer((b"+SBDS: %d, %d, %d, %d" % (self._has_mo, self.momsn, self._has_mt, self._mtmsn),))

    # Sessions

    def _sbdix(self, request: Request, now: float) -> Outcome:
        place = None
        if request.kind is Kind.SET:
            place = place_of(request.text)
            if place is None:
                return Answer(final=ERROR)
        status, seconds = self._prospect()
        self.meter.draw(SESSION_W, now)
        self.meter.sessions += 1
        self._fetched = None
        if status in SUCCESSES:
            self.later(EXCHANGED_AFTER * seconds, lambda at: self._exchange(place, at), now)
        self.later(seconds, lambda at: self._session_over(status, at), now)
        return Pending()

    def _prospect(self) -> tuple[int, float]:
        """Return how the session is going to end as far as that is known, and how long it takes."""
        refused, failed = self.faults.pick("traffic-management"), self.faults.pick("mo-status")
        if not self._is_radio_on:
            return RADIO_OFF, self.rng.uniform(*REFUSED_S)
        if not self._signal:
            return NO_NETWORK, self.rng.uniform(*NO_NETWORK_S)
        status = int(float(refused or failed or 0))
        if refused or status in REFUSED_AT_ONCE:
            return status, self.rng.uniform(*REFUSED_S)
        return status, self.faults.number("slow-session") or self.rng.uniform(*SESSION_S)

    def _exchange(self, place: Place | None, now: float) -> None:
        """The message is up, and another may be down; what can still be lost is the modem's knowledge of it."""
        mo = self._mo if self._has_mo else b""
        self.ground.take_up(self.imei, self.momsn, mo, now, place)
        false_status = self.faults.pick("delivered-but")
        if false_status is not None or not self._signal:
            self.meter.bill(len(mo), None)
            self._fetched = int(float(false_status or RF_DROP))
            return
        self._fetched = self.ground.fetch(self.imei, keeps=self.faults.strikes("mt-repeated"))
        self.meter.bill(len(mo), len(self._fetched.payload or b""))

    def _session_over(self, status: int, now: float) -> None:
        self.meter.draw(IDLE_W if self._is_radio_on else RADIO_OFF_W, now)
        fetched, self._fetched = self._fetched, None
        if isinstance(fetched, int):
            status = fetched
        elif not self._signal and status in SUCCESSES:
            status = RF_DROP
        if status not in SUCCESSES or not isinstance(fetched, Fetched):
            self._session_failed(status, now)
            return
        serial, self.momsn = self.momsn, (self.momsn + 1) % 65_536
        self._is_rung, self._left = False, fetched.waiting
        if fetched.payload is None:
            self._tell_session(status, serial, MT_NONE, 0, now)
            return
        self._mt, self._has_mt, self._mtmsn = fetched.payload, True, fetched.mtmsn
        self._tell_session(status, serial, MT_RECEIVED, len(fetched.payload), now)

    def _session_failed(self, status: int, now: float) -> None:
        self.meter.failed_sessions += 1
        if self.faults.strikes("mt-lost"):
            self.ground.fetch(self.imei)
        self._tell_session(status, self.momsn, MT_FAILED, 0, now)

    def _tell_session(self, status: int, serial: int, mt: int, size: int, now: float) -> None:
        mtmsn = max(self._mtmsn, 0) if mt == MT_RECEIVED else 0
        numbers = status, serial, mt, mtmsn, size, self._left if mt != MT_FAILED else 0
        self.complete(Answer((b"+SBDIX: %d, %d, %d, %d, %d, %d" % numbers,)), now)

    def _sbdreg(self, request: Request, now: float) -> Outcome:
        account = self.ground.subscribe(self.imei)
        if request.kind is Kind.READ:
            return Answer((b"+SBDREG:%d" % (2 if account.is_attached else 0),))
        good = self._is_radio_on and self._signal > 0
        account.is_attached = account.is_attached or good
        return Answer((b"+SBDREG:2,0" if good else b"+SBDREG:1,%d" % NO_NETWORK,), after_s=self.rng.uniform(*SESSION_S))


def place_of(text: str) -> Place | None:
    """Read `[+-]DDMM.MMM,[+-]dddmm.mmm`; None when it is not that."""
    north, comma, east = text.partition(",")
    try:
        if not comma or len(north.lstrip("+-")) < 4 or len(east.lstrip("+-")) < 5:
            return None
        return Place(_degrees(north, 2), _degrees(east, 3))
    except ValueError:
        return None


def _degrees(text: str, digits: int) -> float:
    sign, text = (-1 if text.startswith("-") else 1), text.lstrip("+-")
    whole, minutes = int(text[:digits]), float(text[digits:])
    if not 0 <= whole <= 90 * (digits - 1) or not 0 <= minutes < 60:
        raise ValueError(f"{text} is no place")
    return sign * (whole + minutes / 60)
