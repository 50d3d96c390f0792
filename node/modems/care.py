"""The care of a GSM modem: from an open line to a network with packet service, and back up after every fault.

    life:  ready the modem ──► work (a subclass: sockets, a call) ──┐
             ▲                                                      │ fault
             └── rung of the ladder ◄── wait, longer each time ◄────┘

What is wrong, and what a person can do about it, is in `status().trouble` as long as it holds. A SIM that wants a
person (`LOCKED`) is looked at now and then, in case one has come; the guard of its PIN (`pin.py`) holds all the while.
"""

import abc
import contextlib
from typing import Final

from node.modems import gsm
from node.modems.at import Command, Pause, Script
from node.modems.faults import (
    AtFault,
    CallFailed,
    CmeError,
    CommandFailed,
    Locked,
    ModemReset,
    NoAnswer,
    Policy,
    policy_of,
)
from node.modems.ladder import Failing, Ladder, Rung
from node.modems.pin import PinGuard
from node.modems.quirks import GENERIC, Quirk
from node.modems.scripted import BOOT_S, Hands, ScriptedModem
from node.modems.seam import Ears, ModemState, ModemStatus
from node.modems.sync import synchronise, unstick

LOCKED_S: Final = 300.0
REOPEN_S: Final = 5.0
RESET_S: Final = 5.0
"""After a restart of its own accord, until it listens again."""
FAREWELL_COMMAND_S: Final = 3.0


class GsmModem(ScriptedModem, abc.ABC):
    """See the module's text."""

    def __init__(self, ears: Ears, plan: gsm.Plan, hands: Hands) -> None:
        super().__init__(ears, hands)
        self.plan = plan
        self._guard = PinGuard(plan.pin, hands.pin_notes)
        self.ladder = Ladder(hands.entropy)
        self.quirk: Quirk = GENERIC
        self.model = self.operator = self.trouble = ""
        self.signal_dbm: int | None = None
        self.is_roaming = False
        self._network_time: tuple[int, float] | None = None
        """Unix ms, and the `now` at which it was said."""

    # What a subclass writes

    @abc.abstractmethod
    def work(self) -> Script[None]:
        """Carry frames while the network is there. Returns when the modem is leaving; else ends by a fault."""

    @abc.abstractmethod
    def part(self) -> Script[None]:
        """End the connections, in words the modem understands. It may raise."""

    def packet_ready(self) -> Script[None]:
        """Prepare packet service; a modem that makes calls needs none."""
        self.is_roaming = yield from gsm.register(self.engine, self.quirk, self.plan)

    # The life

    def life(self) -> Script[None]:
        yield from self.power_returned(RESET_S)
        while not self.is_leaving:
            try:
                yield from self.ready()
                yield from self.work()
            except AtFault as fault:
                self.let_go()
                self.engine.is_settled = False
                if not self.is_leaving:
                    yield from self._recover(fault)

    def ready(self) -> Script[None]:
        """Come from an open line to a network; a modem that is prepared otherwise writes its own."""
        self.state = ModemState.STARTING
        yield from synchronise(self.engine, self.controls, self.plan.baud)
        flow = "2,2" if self.plan.rtscts else "0,0"
        yield from gsm.attempted(Command(f"AT+IFC={flow}"))
        self.model, self.quirk = yield from gsm.identify()
        if self.model.upper().startswith("IRIDIUM"):
            raise Locked(f"{self.model} is a modem for satellite messages", "write sbd:// in place of modem://")
        yield from gsm.radio_on()
        yield from gsm.open_sim(self.engine, self.quirk, self._guard)
        yield from gsm.attempted(Command(self.quirk.clock))
        self.state = ModemState.SEARCHING
        yield from self.packet_ready()
        self.operator = yield from gsm.operator()
        yield from self.look_around()
        self.state = ModemState.READY
        self.trouble = ""
        self.engine.is_settled = True
        self.power_holds()

    def look_around(self) -> Script[None]:
        """Read what people want to know: signal and clock."""
        self.signal_dbm = yield from gsm.signal_dbm()
        time_ms = yield from gsm.clock(self.quirk)
        if time_ms is not None:
            self._network_time = time_ms, self.engine.now

    def succeeded(self) -> None:
        """Something came from the far end: the ladder begins at its foot again."""
        self.ladder.success()
        self.trouble = ""

    # Recovery

    def _recover(self, fault: AtFault) -> Script[None]:
        advice = f"; {fault.advice}" if fault.advice else ""
        self.trouble = f"{fault}{advice}"
        if isinstance(fault, Locked):
            self.state = ModemState.LOCKED
            yield Pause(LOCKED_S)
            return
        self.state = ModemState.RESTING
        if isinstance(fault, ModemReset):
            yield Pause(RESET_S)
        failing = failing_of(fault)
        rung, wait_s = self.ladder.fault(failing)
        yield Pause(wait_s)
        try:
            if failing is Failing.MODEM and rung is Rung.POWER:
                with contextlib.suppress(NoAnswer):
                    yield from synchronise(self.engine, self.controls, self.plan.baud)
                    return  # it was slow to start; switched off now it would never come to its end
            yield from self._climb(rung)
        except AtFault:
            return  # the modem is asked anew all the same, and what fails then climbs on

    def _climb(self, rung: Rung) -> Script[None]:
        if rung is Rung.RADIO:
            yield Command("AT+CFUN=0", timeout_s=10.0)
            yield Pause(2.0)
            yield Command("AT+CFUN=1", timeout_s=10.0)
        elif rung is Rung.RESTART:
            yield Command("AT+CFUN=1,1", timeout_s=10.0)
            self.engine.booted_at = self.engine.now
            yield Pause(BOOT_S)
        elif rung is Rung.REOPEN:
            self.controls.reopen()
            yield Pause(REOPEN_S)
        elif rung is Rung.POWER:
            yield Pause(self.cycle_power(self.engine.now))

    # The end

    def farewell(self) -> Script[None]:
        try:
            if self.state is not ModemState.OFF:
                yield Pause(0.2)  # what is still answered belongs to the life
            yield from self.part()
            yield from self._radio_off()
        except AtFault:
            if self.model:
                yield from unstick(self.engine)
                yield from self._last_try()

    def _radio_off(self) -> Script[None]:
        """Spare energy; a modem that refuses hears all the same. Raises NoAnswer."""
        with contextlib.suppress(CommandFailed, CmeError):
            yield Command("AT+CFUN=4", timeout_s=FAREWELL_COMMAND_S)

    def _last_try(self) -> Script[None]:
        try:
            yield from self._radio_off()
        except AtFault:
            return  # it hears nothing: switching it off is all that is left

    def status(self) -> ModemStatus:
        network_time_ms = None
        if self._network_time is not None:
            time_ms, at = self._network_time
            network_time_ms = time_ms + int((self.engine.now - at) * 1000)
        return ModemStatus(
            self.state,
            self.model,
            self.operator,
            self.signal_dbm,
            self.is_roaming,
            self.trouble,
            network_time_ms,
        )


def failing_of(fault: AtFault) -> Failing:
    """Return which ladder a fault climbs."""
    if isinstance(fault, NoAnswer):
        return Failing.MODEM
    if policy_of(fault) is Policy.PERSON:
        return Failing.PERSON
    if isinstance(fault, CallFailed):
        return Failing.FAR
    return Failing.NETWORK


__all__ = ["GsmModem", "failing_of"]
