"""The roads of `serial://`: a bare line, a call that is dialled, a modem that answers calls.

    serial:///dev/ttyS0?baud=19200&rtscts=yes                        both ends alike
    serial:///dev/ttyS0?baud=1200&duplex=half                        a radio modem: the ends take turns
    serial:///dev/ttyUSB1?dial=00881600005123&profile=rudics         the kit calls
    serial:///dev/ttyS1?answer=yes                                   the gateway answers; one of these for each modem

Reads the options, and gives the line's shell (`node/serial_line.py`) the object that drives it. Owns nothing itself.
"""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from node.entropy import system
from node.modems.bare import BareLine
from node.modems.call import PROFILES, CallPlan, DataCall
from node.modems.gsm import Plan
from node.modems.modem_road import BAUD_MAX, FileNotes, Keeper, flag, power_of
from node.modems.pin import PIN_PATTERN
from node.modems.script import Controls
from node.modems.scripted import Hands
from node.modems.seam import Ears, Modem, ModemState
from node.modems.turns import TurnLine
from node.roads import Shell
from node.serial_line import ModemShell
from node.url import Url
from wire.errors import UsageError

BAUD_BARE: Final = 9600
DEFECT_S: Final = 60.0
"""After a defect of ours, until the line of a bank is served again."""
LINE_OPTIONS: Final = frozenset({"baud", "rtscts", "duplex"})
CALL_OPTIONS: Final = frozenset({"dial", "answer", "profile", "cbst", "roaming", "pin", "power"})
NUMBER: Final = re.compile(r"\+?[0-9*#,WwTtPp]{1,40}", re.ASCII)
"""What `ATD` may be given: digits, and a comma for a pause; never a semicolon, which would make it a voice call."""

STATES: Final = frozenset(state.value for state in ModemState)
log = logging.getLogger("feldsher")


async def call_serial(shell: Shell, url: Url) -> None:
    """Keep the line open, and the call up, until cancelled."""
    check_calling_serial(url)
    await _shell(shell, url, leads=True).run()


async def listen_serial(shell: Shell, url: Url) -> tuple[Url, Callable[[], None]]:
    """Serve the line until closed. A line that is not there yet is waited for."""
    if "dial" in url.options:
        raise UsageError(f"{url}: dial= is for the end that calls")
    logged = _LoggedShell(shell, url.path)
    running = asyncio.ensure_future(_serve(_shell(logged, url, leads=False), logged, url))

    def close() -> None:
        running.cancel()

    return url, close


class _LoggedShell:
    """The shell of a listening end, which also logs how its modem does: nobody looks at one of a bank."""

    def __init__(self, shell: Shell, path: str) -> None:
        self._shell, self._path = shell, path
        self.now, self.tick = shell.now, shell.tick
        self.up, self.down, self.receive = shell.up, shell.down, shell.receive

    @property
    def works(self) -> bool:
        return self._shell.works

    def note_error(self, error: Exception | str) -> None:
        """Log it, as a warning where it is more than a state on the way to the next call."""
        text = str(error) or ModemState.UP.value
        log.log(logging.INFO if text in STATES else logging.WARNING, "%s: %s", self._path, text)
        self._shell.note_error(error)


async def _serve(served: ModemShell, shell: _LoggedShell, url: Url) -> None:
    """Run until cancelled. What a caller says that our code never met must not cost the bank a modem."""
    while True:
        try:
            await served.run()
        except Exception:
            log.exception("%s", url)
        await asyncio.sleep(DEFECT_S)
        served = _shell(shell, url, leads=False)


def _shell(shell: Shell, url: Url, *, leads: bool) -> ModemShell:
    check_serial(url)
    call, is_half = call_of(url), is_half_duplex(url)
    keeper = shell if isinstance(shell, Keeper) else None
    power = power_of(url, keeper)
    notes = keeper.pin_notes(url.path) if keeper else FileNotes.beside_state(url.path)
    baud = baud_of(url) if call is None else call.plan.baud

    def make(ears: Ears, controls: Controls, wake: Callable[[], None]) -> Modem:
        name = f"serial://{url.path}"
        if call is None:
            if is_half:
                return TurnLine(ears, controls, name, baud, wake, leads=leads)
            return BareLine(ears, controls, name, baud, wake)
        return DataCall(ears, call, Hands(system, controls, power, notes, wake), name)

    note = keeper.note_modem if keeper else None
    return ModemShell(shell, make, url.path, baud, rtscts=flag(url, "rtscts"), note=note)


def check_calling_serial(url: Url) -> None:
    """As `check_serial`, for the end that calls."""
    if "answer" in url.options:
        raise UsageError(f"{url}: answer= is for the end that listens")
    check_serial(url)


def check_serial(url: Url) -> None:
    """Raise UsageError that says what is wrong with the options of `url`; nothing is opened."""
    unknown = set(url.options) - LINE_OPTIONS - CALL_OPTIONS
    if unknown:
        known = ", ".join(sorted(LINE_OPTIONS | CALL_OPTIONS))
        raise UsageError(f"{url}: there is no option {min(unknown)!r}; known: {known}")
    call_of(url)
    is_half_duplex(url)
    baud_of(url)
    flag(url, "rtscts")


def call_of(url: Url) -> CallPlan | None:
    """Return what call the options ask for, None for a bare line. Raises UsageError."""
    number = url.options.get("dial", "").replace(" ", "+")  # what a query makes of +49…
    answers = flag(url, "answer")
    if not number and not answers:
        stray = [name for name in sorted(CALL_OPTIONS) if name in url.options]
        if stray:
            raise UsageError(f"{url}: {stray[0]}= without a number to dial, or answer=yes")
        return None
    if number and not NUMBER.fullmatch(number):
        raise UsageError(f"{url}: {number!r} is no number to dial for a data call")
    name = url.options.get("profile", "pstn")
    if name not in PROFILES:
        raise UsageError(f"{url}: there is no profile {name!r}; known: {', '.join(sorted(PROFILES))}")
    profile = PROFILES[name]
    cbst = url.options.get("cbst", "")
    if cbst and not (cbst.isascii() and cbst.isdecimal() and profile.service and int(cbst) < 256):
        raise UsageError(f"{url}: cbst={cbst} is no bearer service of the profile {name}")
    pin = url.options.get("pin", "")
    if pin and not PIN_PATTERN.fullmatch(pin):
        raise UsageError(f"serial://{url.path}: pin= wants 4 to 8 digits")
    plan = Plan(roaming=flag(url, "roaming"), pin=pin, baud=baud_of(url, profile.baud), rtscts=flag(url, "rtscts"))
    return CallPlan(profile, number, int(cbst) if cbst else profile.service, plan)


def is_half_duplex(url: Url) -> bool:
    """Return whether the ends take turns, which a call never needs. Raises UsageError."""
    duplex = url.options.get("duplex", "full")
    if duplex not in ("full", "half"):
        raise UsageError(f"{url}: duplex={duplex}; want full or half")
    if "duplex" in url.options and call_of(url) is not None:
        raise UsageError(f"{url}: duplex= is for a bare line; a call carries both directions")
    return duplex == "half"


def baud_of(url: Url, usual: int = BAUD_BARE) -> int:
    """Return the speed of the line. Raises UsageError."""
    text = url.options.get("baud", str(usual))
    if not (text.isascii() and text.isdecimal() and 50 <= int(text) <= BAUD_MAX):
        raise UsageError(f"{url}: baud={text} is no speed")
    return int(text)


__all__ = [
    "baud_of",
    "call_of",
    "call_serial",
    "check_calling_serial",
    "check_serial",
    "is_half_duplex",
    "listen_serial",
]
