"""What every GSM modem is asked before it can carry data: who it is, its SIM, its network, signal and clock. Scripts.

3GPP TS 27.007 (chapter and command beside each) and what differs by model (`quirks.py`). Every wait here has a named
bound; each script ends by one of the faults of `faults.py`: `Locked` and `NotAllowed` name what a person can do.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from node.modems.at import Command, Engine, Idle, Pause, Reply, Script
from node.modems.faults import (
    AtFault,
    CmeError,
    CommandFailed,
    Garbled,
    Locked,
    NetworkLost,
    NoAnswer,
    NotAllowed,
    Policy,
    policy_of,
)
from node.modems.pin import PinGuard
from node.modems.quirks import GENERIC, Quirk, quirk_of

BAUD: Final = 115_200
SIM_S_MAX: Final = 20.0
"""A SIM may be busy so long after a start."""
CIRCUIT_S_MAX: Final = 90.0
PACKET_S_MAX: Final = 60.0
"""Time to find a network, and then its packet service: Quectel's own flow chart."""
IDENTIFY_TRIES: Final = 3
DENIED_S: Final = 20.0
"""So long denied is no passing state."""
ATTACH_AFTER_S: Final = 6.0
POLL_S: Final = 2.0
HOME, DENIED, ROAMING = 1, 3, 5
REGISTERED: Final = frozenset({HOME, ROAMING})
HEARD_BY: Final = REGISTERED | {6, 7, 9, 10}
"""States of +CREG in which there is a network: 6 and 7 carry SMS only, 9 and 10 prefer to fall back for calls."""
AGAIN_S_MAX: Final = 10.0
"""A command that was waited for longer is not given again at once."""
YEAR_MIN, YEAR_MAX = 2025, 2079
"""A clock outside of these years is a modem's own, never set (SIM800: 2004; others: 1970, 1980, 2080)."""


_AGAIN: Final = frozenset({Policy.RETRY, Policy.WAIT})


@dataclass(frozen=True, slots=True)
class Plan:
    """What the owner of the SIM has to say. `roaming`: foreign networks may be used, and paid for."""

    apn: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    roaming: bool = False
    pin: str = field(default="", repr=False)
    baud: int = BAUD
    rtscts: bool = False
    """The line has RTS and CTS, so nothing that is sent is lost while the other side is busy."""


def tried(command: Command, tries: int = 3) -> Script[Reply]:
    """Give the command again where that may help: by its fault's policy, or because a character of it may be lost.

    Only for commands that may be given twice. Raises the last fault.
    """
    while True:
        tries -= 1
        try:
            return (yield command)
        except AtFault as fault:
            is_short = isinstance(fault, CommandFailed) or command.timeout_s <= AGAIN_S_MAX
            is_again = policy_of(fault) in _AGAIN or (isinstance(fault, CommandFailed | NoAnswer) and is_short)
            if tries <= 0 or not is_again:
                raise
            pause_s = 0.2 if isinstance(fault, CommandFailed | NoAnswer) else 1.0
        yield Pause(pause_s)


def attempted(command: Command) -> Script[Reply | None]:
    """Give the command; None when the modem has no such thing. Raises what is worse than a refusal."""
    try:
        return (yield from tried(command, 2))
    except (CommandFailed, CmeError, Garbled):
        return None


def identify() -> Script[tuple[str, Quirk]]:
    """Return the model and what is special about it (5.1). An unknown name is asked for again: it may be torn."""
    model = ""
    for _ in range(IDENTIFY_TRIES):
        reply = yield from attempted(Command("AT+CGMM", is_free=True))
        names = [] if reply is None else [_name_of(line) for line in (*reply.lines[-1:], "".join(reply.lines))]
        for name in names:
            if quirk_of(name) is not GENERIC:
                return name, quirk_of(name)
        model = names[0] if names else model
    return model, GENERIC


def _name_of(line: str) -> str:
    return re.sub(r"^\+CGMM: ?", "", line).strip('" ')[:40]


def radio_on() -> Script[None]:
    """Full function, where it has not (8.2)."""
    reply = yield from tried(Command("AT+CFUN?", claims=r"\+CFUN: ?\d"))
    if not reply.line.endswith("1"):
        yield from tried(Command("AT+CFUN=1", timeout_s=10.0))


# The SIM


def open_sim(engine: Engine, quirk: Quirk, guard: PinGuard) -> Script[None]:
    """Return when the SIM is ready (8.3). Raises Locked."""
    until = engine.now + SIM_S_MAX
    while True:
        state = yield from _sim_state()
        if state == "READY":
            guard.accepted()
            return
        if state == "SIM PIN":
            yield from _enter_pin(quirk, guard)
        elif "PUK" in state:
            raise Locked(f"the SIM asks for its {state.removeprefix('SIM ')}", "unlock it in a telephone with its PUK")
        if engine.now >= until:
            raise Locked(f"no SIM that can be used ({state})", "put a working SIM into the modem")
        yield Pause(1.0)


def _sim_state() -> Script[str]:
    try:
        reply = yield Command("AT+CPIN?", claims=r"\+CPIN:")
    except CmeError as fault:
        if fault.number == 12:
            return "SIM PUK"
        if fault.wants is Policy.PERSON:
            raise Locked(str(fault), fault.advice) from fault
        return fault.meaning.name
    except CommandFailed:
        return "it answers ERROR"
    return reply.line.partition(":")[2].strip()


def _enter_pin(quirk: Quirk, guard: PinGuard) -> Script[None]:
    """One try, noted before it is made."""
    reply = yield from attempted(Command(quirk.pin_tries, claims=quirk.pin_tries_answer, timeout_s=3.0))
    match = None if reply is None else re.match(quirk.pin_tries_answer, reply.line)
    reply = yield from attempted(Command(quirk.iccid, is_free=True, timeout_s=3.0))
    digits = re.search(r"\d{18,20}", " ".join(reply.lines)) if reply is not None else None
    pin = guard.permit(digits[0] if digits else "", int(match[1]) if match else None)
    try:
        yield Command(f'AT+CPIN="{pin}"', timeout_s=10.0, is_secret=True)
    except (CmeError, CommandFailed) as fault:
        raise Locked(f"the SIM does not accept its PIN ({fault})", "set the right pin=… for this modem") from fault


# The network


def register(engine: Engine, quirk: Quirk, plan: Plan) -> Script[bool]:
    """Return whether it is roaming, once packet service is there (7.2, 10.1.20, 10.1.22).

    Raises NetworkLost when no network is found in time, NotAllowed when it refuses us or we refuse it.
    """
    for name in ("CREG", *quirk.registrations):
        yield from attempted(Command(f"AT+{name}=2"))
    search = _Search(engine.now)
    while True:
        circuit = yield from _registration("CREG")
        packet: list[int | None] = []
        for name in quirk.registrations:
            packet += [(yield from _registration(name))]
        found = search.judge(packet, circuit, engine.now)
        if found is not None:
            if found == ROAMING and not plan.roaming:
                raise NotAllowed("only foreign networks are in reach", "wait, or allow their price with roaming=yes")
            return found == ROAMING
        if search.wants_attach(engine.now):
            yield from attempted(Command("AT+CGATT=1", timeout_s=75.0))
        engine.take_urcs()
        yield Idle(POLL_S)


class _Search:
    """The two deadlines of a search, and what a row of states means."""

    def __init__(self, now: float) -> None:
        self._until = now + CIRCUIT_S_MAX
        self._denied_since: float | None = None
        self._circuit_at: float | None = None
        self._is_attaching = False

    def judge(self, packet: list[int | None], circuit: int | None, now: float) -> int | None:
        """Return HOME or ROAMING when packet service is there, None while it is not."""
        for state in packet:
            if state in REGISTERED:
                return state
        if DENIED in (*packet, circuit) and circuit not in REGISTERED:
            self._denied_since = now if self._denied_since is None else self._denied_since
            if now - self._denied_since >= DENIED_S:
                advice = "ask the operator whether the SIM is active and its plan has data"
                raise NotAllowed("the network refuses this SIM", advice)
        else:
            self._denied_since = None
        if circuit in HEARD_BY and self._circuit_at is None:
            self._circuit_at, self._until = now, now + PACKET_S_MAX
        if now >= self._until:
            what = "network" if self._circuit_at is None else "packet service"
            raise NetworkLost(f"no {what} found in {PACKET_S_MAX if self._circuit_at else CIRCUIT_S_MAX:.0f} s")
        return None

    def wants_attach(self, now: float) -> bool:
        """Tell, once, that the modem waits to be told to attach."""
        if self._is_attaching or self._circuit_at is None or now - self._circuit_at < ATTACH_AFTER_S:
            return False
        self._is_attaching = True
        return True


def _registration(name: str) -> Script[int | None]:
    """Return the state; the unsolicited form has no `<n>` before it, and is not claimed."""
    pattern = rf"\+{name}: ?[0-5], ?(\d\d?)(?:,|$)"
    reply = yield from attempted(Command(f"AT+{name}?", claims=pattern))
    match = None if reply is None else re.match(pattern, reply.line)
    return int(match[1]) if match else None


def operator() -> Script[str]:
    """Return the operator's name (7.3)."""
    yield from attempted(Command("AT+COPS=3,0"))
    reply = yield from attempted(Command("AT+COPS?", claims=r"\+COPS:"))
    match = None if reply is None else re.search(r'"([^"]{0,40})"', reply.line)
    return match[1] if match else ""


def signal_dbm() -> Script[int | None]:
    """Return the strength of the signal (8.5); None when unknown, which is no reason not to try."""
    reply = yield from attempted(Command("AT+CSQ", claims=r"\+CSQ:"))
    match = None if reply is None else re.match(r"\+CSQ: ?(\d{1,3})", reply.line)
    return None if match is None or int(match[1]) > 31 else -113 + 2 * int(match[1])


def clock(quirk: Quirk) -> Script[int | None]:
    """Return the network's time, Unix ms (8.15); None while it is not plausible."""
    reply = yield from attempted(Command("AT+CCLK?", claims=r"\+CCLK:"))
    return None if reply is None else time_ms_of(reply.line, is_utc=quirk.is_clock_utc)


_CCLK: Final = re.compile(r'\+CCLK: ?"?(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-]\d\d)?', re.ASCII)


def time_ms_of(line: str, *, is_utc: bool) -> int | None:
    """Return Unix ms of `+CCLK: "26/11/21,22:05:07+04"`: local time, and its zone in quarter hours east."""
    match = _CCLK.match(line)
    if match is None or match[7] is None:
        return None
    year, month, day, hour, minute, second = (int(match[at]) for at in range(1, 7))
    quarters = 0 if is_utc else int(match[7])
    try:
        local = datetime(2000 + year, month, day, hour, minute, second, tzinfo=UTC)
        moment = local - timedelta(minutes=15 * quarters)
    except ValueError:
        return None
    if not YEAR_MIN <= moment.year <= YEAR_MAX or abs(quarters) > 56:
        return None
    return int(moment.timestamp()) * 1000


__all__ = [
    "BAUD",
    "Plan",
    "attempted",
    "clock",
    "identify",
    "open_sim",
    "operator",
    "radio_on",
    "register",
    "signal_dbm",
    "time_ms_of",
    "tried",
]
