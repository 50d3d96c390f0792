"""The road of `modem://`: a bearer through the sockets inside a modem.

    modem:///dev/ttyUSB2?apn=internet&to=udp://gw.example.org:7700
    modem:///dev/serial/by-id/…?kind=sim800&apn=iot&user=u&password=p&pin=1234&roaming=yes&baud=57600&rtscts=yes&to=tcp://…

Reads the options, and gives the line's shell (`node/serial_line.py`) the modem to drive. A shell that is more than a
caller's (`Keeper`: the kit's) brings the modem's supply, a place for the guard of its PIN, and hears how it stands.
Owns nothing but that note, which must be on the disk before a PIN is tried (`pin.py`).
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from node.entropy import system
from node.modems.gsm import BAUD, Plan
from node.modems.pin import PIN_PATTERN, Notes
from node.modems.script import Controls
from node.modems.scripted import Hands, NoPower
from node.modems.seam import Ears, Modem, ModemStatus, Power
from node.modems.sockets import SocketModem
from node.modems.stacks import stack_of
from node.roads import Shell, check_calling
from node.serial_line import ModemShell
from node.url import Url, parse_url
from wire.errors import UsageError

OPTIONS: Final = frozenset({"kind", "apn", "user", "password", "pin", "to", "baud", "rtscts", "roaming", "power"})
BAUD_MAX: Final = 4_000_000
WORD_SIZE_MAX: Final = 64
NOTE_SIZE_MAX: Final = 256
POWERS: Final = ("rail", "key")


@runtime_checkable
class Keeper(Protocol):
    """What a shell may have beside the calls of every shell (`node.roads.Shell`)."""

    def note_modem(self, status: ModemStatus) -> None:
        """Keep how the modem stands, whenever that has changed."""

    def modem_power(self, how: str) -> Power:
        """Return the supply (`rail`) or the power key (`key`). Raises UsageError when there is none."""

    def pin_notes(self, device: str) -> Notes:
        """Return where the PIN's guard notes for the modem at `device`."""


async def call_modem(shell: Shell, url: Url) -> None:
    """Keep the modem going until cancelled; then let it hang up. Raises UsageError for what the address says wrong."""
    check_modem(url)
    plan, to, stack = plan_of(url), target_of(url), stack_of(url.options.get("kind", "auto"))
    keeper = shell if isinstance(shell, Keeper) else None
    power = power_of(url, keeper)
    notes = keeper.pin_notes(url.path) if keeper else FileNotes.beside_state(url.path)

    def make(ears: Ears, controls: Controls, wake: Callable[[], None]) -> Modem:
        hands = Hands(system, controls, power, notes, wake)
        return SocketModem(ears, plan, hands, to, stack, f"modem://{url.path} to {to}")

    note = keeper.note_modem if keeper else None
    await ModemShell(shell, make, url.path, plan.baud, rtscts=plan.rtscts, note=note).run()


def check_modem(url: Url) -> None:
    """Raise UsageError that says what is wrong with the options of `url`; nothing is opened, no supply is asked for."""
    unknown = set(url.options) - OPTIONS
    if unknown:
        raise UsageError(f"modem://{url.path}: no option {min(unknown)!r}; known: {', '.join(sorted(OPTIONS))}")
    plan_of(url)
    target_of(url)
    stack_of(url.options.get("kind", "auto"))


def plan_of(url: Url) -> Plan:
    """Return what the owner of the SIM says. Raises UsageError; never shows a PIN or a password."""
    words = {name: url.options.get(name, "") for name in ("apn", "user", "password")}
    for name, word in words.items():
        if len(word) > WORD_SIZE_MAX or not word.isascii() or not word.isprintable() or '"' in word:
            raise UsageError(f"modem://{url.path}: {name}= wants up to {WORD_SIZE_MAX} plain characters, no quotes")
    pin = url.options.get("pin", "")
    if pin and not PIN_PATTERN.fullmatch(pin):
        raise UsageError(f"modem://{url.path}: pin= wants 4 to 8 digits")
    return Plan(**words, roaming=flag(url, "roaming"), pin=pin, baud=_baud(url), rtscts=flag(url, "rtscts"))


def target_of(url: Url) -> Url:
    """Return where the modem connects to. Raises UsageError."""
    text = url.options.get("to", "")
    if not text:
        raise UsageError(f"modem://{url.path}: to= is missing: where to, for example to=udp://gw.example.org:7700")
    to = parse_url(text)
    if to.scheme not in ("udp", "tcp"):
        raise UsageError(f"modem://{url.path}: to={text}: a modem's sockets reach udp:// and tcp:// only")
    check_calling(to)
    if not to.host.isascii() or not to.host.isprintable() or '"' in to.host:
        raise UsageError(f"modem://{url.path}: to={text}: a modem takes plain names and addresses only")
    return to


def flag(url: Url, name: str) -> bool:
    """Return an option that is yes or no, and no when it is missing. Raises UsageError."""
    text = url.options.get(name, "no")
    if text not in ("yes", "no"):
        raise UsageError(f"{url.scheme}://{url.path}: {name}={text}; want yes or no")
    return text == "yes"


def _baud(url: Url) -> int:
    text = url.options.get("baud", str(BAUD))
    if not (text.isascii() and text.isdecimal() and 300 <= int(text) <= BAUD_MAX):
        raise UsageError(f"modem://{url.path}: baud={text} is no speed")
    return int(text)


def power_of(url: Url, keeper: Keeper | None) -> Power:
    """Return what `power=` names; nothing to be done where it is missing. Raises UsageError."""
    how = url.options.get("power", "")
    if not how:
        return NoPower()
    if how not in POWERS or keeper is None:
        why = "is for a kit's ways" if keeper is None else f"want {' or '.join(POWERS)}"
        raise UsageError(f"{url.scheme}://{url.path}: power={how}: {why}")
    return keeper.modem_power(how)


class FileNotes:
    """The guard's note in one small file, written whole and synced before a PIN is tried."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def beside_state(cls, device: str) -> "FileNotes":
        """Return the note of the modem at `device` in the user's folder for state (XDG base directories)."""
        root = os.environ.get("XDG_STATE_HOME") or str(Path("~").expanduser() / ".local/state")
        name = hashlib.blake2b(device.encode(), digest_size=8).hexdigest()
        return cls(Path(root) / "feldsher" / f"sim-{name}.note")

    def read(self) -> str:
        try:
            with self._path.open(encoding="ascii", errors="replace") as file:
                return file.read(NOTE_SIZE_MAX)
        except FileNotFoundError:
            return ""

    def write(self, text: str) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


__all__ = ["BAUD_MAX", "FileNotes", "Keeper", "call_modem", "check_modem", "flag", "plan_of", "power_of", "target_of"]
