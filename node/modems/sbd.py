"""Iridium SBD, 9602 and 9603: a bearer of messages, one in each direction at a time (R31).

    life:  ready the modem ──► work ──┐     work:  write ──► session ──► read what came ──► clear ──► write the next
             ▲                        │ fault                   │ failed
             └── rung of the ladder ◄─┘                         └──► wait, as the status says, longer each time

What shapes it (ISU AT Command Reference, 9602 Developers Guide):
* A session does not clear the message that it sent: the next one would send and bill it again. So AT+SBDD0.
* A session may fail after it has delivered, and its answer may be lost. Then the message goes again; the counters of
  the link make that harmless. The bill counts both, so such a session is paid for once more (`SbdBearer.pays`). The
  message number (MOMSN) proves nothing; it is shown.
* One message is kept each way: what came is read before the next session, which would overwrite it.
* Each session, also one that only sends, brings one waiting message and tells how many more there are.
* The signal is shown and does not decide: to try is the better measure. But a network that comes back ends a wait.

A frame stays here across restarts of the modem until it has gone, so the bearer stays up through them too; it goes down
when faults go on, or the network bars the modem. Nothing survives the process.
"""

import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from node.modems.at import Command, Idle, Pause, Script
from node.modems.faults import AtFault, CommandFailed, Garbled, Locked, ModemReset, NoAnswer
from node.modems.ladder import Failing, Ladder, Rung
from node.modems.quirks import GENERIC, quirk_of
from node.modems.sbd_words import (
    MO_SIZE_MAX,
    MT_SIZE_MAX,
    WAIT_S,
    Fate,
    Session,
    credits_of,
    has_unread,
    network_time_ms,
    parse_session,
    read_message,
    retry_wait_s,
    size_of_answer,
    with_checksum,
)
from node.modems.scripted import Hands, ScriptedModem
from node.modems.seam import Ears, ModemState, ModemStatus
from node.modems.sync import synchronise

BAUD: Final = 19_200
URCS: Final = ("SBDRING", "+CIEV:", "+AREG:", "+SBDREG:")
ANSWER: Final = r"(?!SBDRING$|\+CIEV:|OK$|ERROR$).+"
"""Whatever is not unsolicited or final: an answer that a ring has torn comes as two lines, and is put together."""
SESSION_S_MAX: Final = 120.0
WRITE_S_MAX: Final = 65.0
"""The modem itself gives up a message that does not come whole after 60 s."""
READS_MAX: Final = 3
WRITES_MAX: Final = 3
FAULTS_KEPT: Final = 6
"""Faults in a row through which the bearer stays up: about two minutes."""
BARRED_S: Final = 3600.0
LOCKED_S: Final = 300.0
"""Until a modem of another kind is asked again: it may have been exchanged."""
VAIN_RING_S: Final = 30.0
VAIN_RING_S_MAX: Final = 3600.0
"""A ring for nothing costs a session: after one, the next is heeded so much later, and after each more twice that."""
LOOK_S: Final = 3600.0
"""How often the clock and the signal are read while nothing else happens."""
RESET_S: Final = 3.0
REOPEN_S: Final = 5.0
UNPAID_S: Final = 10.0
"""The budget is asked again after so long: its next reserve is there within a few seconds, if it has anything left."""
HOUR_S: Final = 3600.0
SESSIONS_PER_HOUR_MAX: Final = 20
"""About 12 J each (22 s at 110 mA and 5 V): without a bound a roof over the antenna would empty the battery."""


@dataclass(frozen=True, slots=True)
class SbdPlan:
    """How the modem is run. `rings`: the receiver stays lit to be told of what waits; else it is only looked for."""

    baud: int = BAUD
    rings: bool = True
    rtscts: bool = False
    sessions_per_hour: int = SESSIONS_PER_HOUR_MAX


@dataclass(frozen=True)
class SbdStatus(ModemStatus):
    """What else `kit links` shows. `credits` counts what may have been billed, of failed sessions, too."""

    imei: str = ""
    bars: int | None = None
    momsn: int | None = None
    credits: int = 0
    sessions: int = 0
    failures: int = 0
    """Failed sessions in a row."""


class SbdBearer:
    """The seams `Bearer` and `Mailbox`: one frame in the modem at a time."""

    mtu, overhead = MO_SIZE_MAX, 0
    is_stream, is_message = False, True

    def __init__(self, name: str, poke: Callable[[], None]) -> None:
        self.name = name
        self._poke = poke
        self.frame: bytes | None = None
        """What is to go; it stays until the network has it."""
        self.wants_mail = False
        self.is_up = True
        self.pays: Callable[[int, int], bool] = lambda up, down: True
        """Asked before a session that no call of ours has paid (`node.seams.Repeating`)."""
        self.is_paid = self.is_look_paid = False
        """The next session with the frame, or without one, has been paid for."""

    def room(self) -> int:
        return self.mtu if self.frame is None and self.is_up else 0

    def send(self, frame: bytes) -> None:
        if self.room() and 0 < len(frame) <= self.mtu:
            self.frame, self.is_paid = frame, True
            self._poke()

    def fetch(self) -> None:
        self.wants_mail = self.is_look_paid = True
        self._poke()

    def pay(self) -> bool:
        """Use up what was paid for the next session, or pay it now; tell whether it may begin."""
        frame = self.frame
        if not (self.is_look_paid if frame is None else self.is_paid):
            return self.pays(len(frame or b""), MT_SIZE_MAX)
        self.note_paid(is_paid=False)
        return True

    def note_paid(self, *, is_paid: bool) -> None:
        """Say whether the next session is paid for: one that reached no network has cost nothing."""
        if self.frame is None:
            self.is_look_paid = is_paid
        else:
            self.is_paid = is_paid

    def close(self) -> None:
        """Nothing more goes; what is in the modem may still. Another bearer follows."""
        self.is_up = False
        self._poke()


class Allowance:
    """How often a session may begin: so many in any hour."""

    def __init__(self, per_hour: int) -> None:
        self._began: deque[float] = deque(maxlen=max(per_hour, 1))

    def free_at(self) -> float:
        """When the next may begin."""
        return self._began[0] + HOUR_S if len(self._began) == self._began.maxlen else float("-inf")

    def note(self, now: float) -> None:
        self._began.append(now)


class SbdModem(ScriptedModem):
    """See the module's text. `name` is what to call its bearer in messages."""

    def __init__(self, ears: Ears, plan: SbdPlan, hands: Hands, name: str) -> None:
        super().__init__(ears, hands, URCS)
        self.plan, self._name, self._entropy = plan, name, hands.entropy
        self.ladder = Ladder(hands.entropy)
        self.allowance = Allowance(plan.sessions_per_hour)
        self.bearer: SbdBearer | None = None
        self.model = self.imei = self.trouble = ""
        self.bars: int | None = None
        self.momsn: int | None = None
        self.credits = self.sessions = self.failures = 0
        self._is_rung = self._more_waits = False
        self._written: bytes | None = None
        """What is known to lie in the modem, to go with the next session."""
        self._not_before = self._ring_not_before = float("-inf")
        self._vain_rings = 0
        self._unpaid_until = float("-inf")
        self._looked_at = float("-inf")
        self._network_time: tuple[int, float] | None = None

    # The life

    def life(self) -> Script[None]:
        yield from self.power_returned(RESET_S)
        while not self.is_leaving:
            try:
                yield from self._ready()
                yield from self._work()
            except AtFault as fault:
                self.engine.is_settled = False
                yield from self._recover(fault)

    def _ready(self) -> Script[None]:
        self.state = ModemState.UP if self.bearer is not None else ModemState.STARTING
        with contextlib.suppress(CommandFailed):  # found at another speed, it knows no AT+IPR in our words: so be it
            yield from synchronise(self.engine, self.controls, self.plan.baud)
        flow = "AT&K3" if self.plan.rtscts else "AT&K0"
        for text in (flow, "AT&D0", "AT*R1", f"AT+SBDMTA={int(self.plan.rings)}", "AT+CIER=1,1,1"):
            yield from in_any_case(Command(text))
        self.model = (yield from asked(Command("AT+CGMM", claims=ANSWER))) or self.model
        if quirk_of(self.model) is not GENERIC:
            raise Locked(f"{self.model} is a cellular modem", "write modem:// in place of sbd://, and to=udp://…")
        self.imei = (yield from asked(Command("AT+CGSN", claims=ANSWER))) or self.imei
        yield from self._read_left_over()
        yield from self._clear()
        yield from self._look_around()
        self.engine.is_settled = True
        self.trouble = ""
        yield from self._give_bearer()
        self.state = ModemState.UP

    def _give_bearer(self) -> Script[None]:
        if self.bearer is not None and not self.bearer.is_up:
            self.let_go()
        if self.bearer is None:
            self.bearer = SbdBearer(self._name, self.poke)
            self.post_up(self.bearer)
            yield Pause(0.0)  # until the ears have it, and the purse with it: a ring may already want a session

    def _read_left_over(self) -> Script[None]:
        """A message may lie in the modem since before it, or we, were started anew."""
        reply = yield Command("AT+SBDSX", claims=ANSWER)
        if has_unread("".join(reply.lines)) and self.bearer is not None:
            yield from self._read(MT_SIZE_MAX)

    def _work(self) -> Script[None]:
        while not self.is_leaving:
            self._hear_urcs()
            yield from self._give_bearer()
            begin_at = self._begin_at()
            if begin_at is None:
                yield from self._rest(LOOK_S)
            elif begin_at > self.engine.now:
                yield from self._rest(begin_at - self.engine.now)
            else:
                yield from self._session()

    def _begin_at(self) -> float | None:
        """When the next session begins, None while nobody wants one."""
        bearer = self.bearer
        if bearer is None or not (bearer.frame is not None or bearer.wants_mail or self._is_rung or self._more_waits):
            return None
        times = [self._not_before, self.allowance.free_at()]
        if bearer.frame is None and not (bearer.wants_mail or self._more_waits):
            times.append(self._ring_not_before)
        if not (bearer.is_look_paid if bearer.frame is None else bearer.is_paid):
            times.append(self._unpaid_until)
        return max(times)

    def _rest(self, seconds: float) -> Script[None]:
        if self._looked_at + LOOK_S <= self.engine.now:
            yield from self._look_around()
        yield Idle(min(seconds, LOOK_S))

    def _hear_urcs(self) -> None:
        for line in self.engine.take_urcs():
            if line == "SBDRING":
                self._is_rung = True
            elif line.startswith("+CIEV:"):
                self._hear_indicator(line.removeprefix("+CIEV:").strip())

    def _hear_indicator(self, text: str) -> None:
        if text == "1,1" and self.failures:
            self._not_before = min(self._not_before, self.engine.now + retry_wait_s(1, self._entropy))
        elif text[:2] == "0," and text[2:] in set("012345"):
            self.bars = int(text[2:])

    # One session

    def _session(self) -> Script[None]:
        assert self.bearer is not None  # noqa: S101 - nobody wants a session without one
        bearer, frame = self.bearer, self.bearer.frame
        if frame is not None and frame is not self._written and not (yield from self._write(frame)):
            self._pause()
            self.trouble = f"AT+SBDWB: the modem did not get a message of {len(frame)} bytes whole; is its line sound?"
            return
        if not bearer.pay():
            self._unpaid_until = self.engine.now + UNPAID_S
            self.trouble = "the budget has nothing left for another session"
            return
        command = "AT+SBDIXA" if self._is_rung and frame is None else "AT+SBDIX"
        price = 1 if frame is None else credits_of(len(frame))
        self.credits += price  # an answer that is lost may have cost as much as one that came
        self.sessions += 1
        self.allowance.note(self.engine.now)
        self._pause()  # until the answer says better
        try:
            reply = yield Command(command, SESSION_S_MAX, claims=ANSWER)
            session = parse_session("".join(reply.lines))
        except AtFault:
            self._note_lost(MT_SIZE_MAX)  # it may have come, and a restart of the modem forgets it
            raise
        self.momsn = session.momsn
        if session.is_free:
            self.credits -= price
            bearer.note_paid(is_paid=True)
        if session.has_message:
            self.credits -= frame is None  # what it brings is the price of a look
            yield from self._read(session.mt_size)
        if session.fate is Fate.GONE:
            yield from self._note_success(bearer, frame, session)
        else:
            yield from self._note_failure(bearer, session)

    def _pause(self) -> None:
        """One more that failed: the next waits longer."""
        self.failures += 1
        self._not_before = self.engine.now + retry_wait_s(self.failures, self._entropy)

    def _write(self, frame: bytes) -> Script[bool]:
        """Put it into the modem; False when that was tried in vain."""
        self._written = None
        for _ in range(WRITES_MAX):
            reply = yield Command(
                f"AT+SBDWB={len(frame)}",
                WRITE_S_MAX,
                claims=ANSWER,
                payload=with_checksum(frame),
                prompt="READY",
            )
            if reply.line == "0":
                self._written = frame
                return True
        return False

    def _read(self, size: int) -> Script[None]:
        """Fetch the message that came. Its checksum may be wrong because the line lost a byte: then once more."""
        for number in range(READS_MAX):
            try:
                reply = yield Command("AT+SBDRB", timeout_s=10.0, binary=size_of_answer)
                message = read_message(reply.raw)
            except Garbled:
                if number == READS_MAX - 1:
                    self._note_lost(size)
                    return  # the link will miss it, and ask
                continue
            except AtFault:
                self._note_lost(size)
                raise
            if message and self.bearer is not None:
                self.credits += credits_of(len(message))
                self.post_frame(self.bearer, message)
                yield from in_any_case(Command("AT+SBDD1", claims=ANSWER))
            return

    def _note_lost(self, size: int) -> None:
        """What came and cannot be read is billed all the same."""
        self.credits += credits_of(size)
        if self.bearer is not None and size:
            self.bearer.pays(size, 0)

    def _note_success(self, bearer: SbdBearer, frame: bytes | None, session: Session) -> Script[None]:
        self.failures, self._not_before, self.trouble = 0, float("-inf"), ""
        self._judge_ring(session)
        self._is_rung = bearer.wants_mail = bearer.is_look_paid = False
        self._more_waits = session.queued > 0
        self.ladder.success()
        if frame is not None:
            bearer.frame = None
            self.post_room()
            yield from self._clear()

    def _judge_ring(self, session: Session) -> None:
        """Noise on the line, or a ground that rings on and on, must not empty the account."""
        if session.has_message:
            self._vain_rings, self._ring_not_before = 0, float("-inf")
        elif self._is_rung:
            self._vain_rings += 1
            wait_s = min(VAIN_RING_S * 2.0 ** min(self._vain_rings - 1, 16), VAIN_RING_S_MAX)
            self._ring_not_before = self.engine.now + wait_s

    def _note_failure(self, bearer: SbdBearer, session: Session) -> Script[None]:
        self.trouble = session.trouble
        wait_s = retry_wait_s(self.failures, self._entropy)
        if session.fate is Fate.BAD:
            bearer.frame = None
            self.post_room()
            yield from self._clear()
        elif session.fate is Fate.BARRED:
            self.let_go()
            self.state = ModemState.LOCKED
            yield Pause(BARRED_S)
            raise CommandFailed(f"AT+SBDIX: {session.trouble}")
        elif session.fate is Fate.WAIT:
            wait_s = max(wait_s, WAIT_S)
        self._not_before = self.engine.now + wait_s

    def _clear(self) -> Script[None]:
        """Empty the modem's slot for what we send; if that fails, the same message goes once more."""
        self._written = None
        yield from in_any_case(Command("AT+SBDD0", claims=ANSWER))

    def _look_around(self) -> Script[None]:
        self._looked_at = self.engine.now
        line = yield from asked(Command("AT-MSSTM", claims=ANSWER))
        time_ms = network_time_ms(line)
        if time_ms is not None:
            self._network_time = time_ms, self.engine.now

    # Recovery and end

    def _recover(self, fault: AtFault) -> Script[None]:
        self.trouble = f"{fault}{'; ' if fault.advice else ''}{fault.advice}"
        if isinstance(fault, Locked):
            self.let_go()
            self.state = ModemState.LOCKED
            yield Pause(LOCKED_S)
            return
        if self.ladder.failures >= FAULTS_KEPT:
            self.let_go()
            self.state = ModemState.RESTING
        if isinstance(fault, ModemReset):
            yield Pause(RESET_S)
        rung, wait_s = self.ladder.fault(Failing.MODEM)
        if rung is Rung.POWER:  # the wait comes after it: one that boots slowly would never be heard else
            yield Pause(max(self.cycle_power(self.engine.now), wait_s))
            return
        yield Pause(wait_s)
        if rung is Rung.REOPEN:
            self.controls.reopen()
            yield Pause(REOPEN_S)

    def let_go(self) -> None:
        bearer, self.bearer = self.bearer, None
        if bearer is not None:
            bearer.is_up = False
            self.post_down(bearer)
        self._is_rung = self._more_waits = False

    def farewell(self) -> Script[None]:
        """Put everything away; the supply must not go before that (9602 Developers Guide, power down)."""
        with contextlib.suppress(ModemReset):
            yield from in_any_case(Command("", finals="OK$", timeout_s=0.5))
            yield from in_any_case(Command("AT*F", timeout_s=5.0))

    def status(self) -> SbdStatus:
        time_ms = None
        if self._network_time is not None:
            at_ms, at = self._network_time
            time_ms = at_ms + int((self.engine.now - at) * 1000)
        return SbdStatus(
            self.state,
            self.model,
            "Iridium",
            trouble=self.trouble,
            network_time_ms=time_ms,
            imei=self.imei,
            bars=self.bars,
            momsn=self.momsn,
            credits=self.credits,
            sessions=self.sessions,
            failures=self.failures,
        )


def in_any_case(command: Command) -> Script[None]:
    """Say it; a modem that refuses goes on as it is. One that does not answer is a fault for later commands to find."""
    try:
        yield command
    except ModemReset:
        raise
    except AtFault:
        return


def asked(command: Command) -> Script[str]:
    """Return the answer, put together when it was torn; "" when it is refused."""
    try:
        reply = yield command
    except (ModemReset, NoAnswer):
        raise
    except AtFault:
        return ""
    return "".join(reply.lines)


__all__ = ["BAUD", "SbdBearer", "SbdModem", "SbdPlan", "SbdStatus"]
