"""The road of `sbd://` on a kit: a bearer of messages through an Iridium 9602 or 9603 on a serial line.

    sbd:///dev/ttyUSB0?baud=19200&rings=no&rtscts=yes&hourly=12&power=rail

`rings=no` lets the receiver sleep between sessions, `hourly` bounds the sessions in an hour and with them the energy.
Reads the options, and gives the line's shell (`node/serial_line.py`) the modem to drive. Owns nothing.
"""

from collections.abc import Callable
from typing import Final

from node.entropy import system
from node.modems.modem_road import BAUD_MAX, Keeper, flag, power_of
from node.modems.sbd import BAUD, SESSIONS_PER_HOUR_MAX, SbdModem, SbdPlan
from node.modems.script import Controls
from node.modems.scripted import Hands
from node.modems.seam import Ears, Modem
from node.roads import Shell
from node.serial_line import ModemShell
from node.url import Url
from wire.errors import UsageError

OPTIONS: Final = frozenset({"baud", "rings", "rtscts", "hourly", "power"})
HOURLY_MAX: Final = 240


async def call_sbd(shell: Shell, url: Url) -> None:
    """Keep the modem going until cancelled; then let it put everything away. Raises UsageError."""
    plan = plan_of(url)
    keeper = shell if isinstance(shell, Keeper) else None
    power = power_of(url, keeper)

    def make(ears: Ears, controls: Controls, wake: Callable[[], None]) -> Modem:
        return SbdModem(ears, plan, Hands(system, controls, power, wake=wake), f"sbd://{url.path}")

    note = keeper.note_modem if keeper else None
    await ModemShell(shell, make, url.path, plan.baud, rtscts=plan.rtscts, note=note).run()


def plan_of(url: Url) -> SbdPlan:
    """Return how the modem is run. Raises UsageError."""
    unknown = set(url.options) - OPTIONS
    if not url.path or unknown:
        known = ", ".join(sorted(OPTIONS))
        raise UsageError(f"{url}: want sbd:///dev/… on a kit, with options of {known}")
    rings = url.options.get("rings", "yes")
    if rings not in ("yes", "no"):
        raise UsageError(f"{url}: rings={rings}; want yes or no")
    return SbdPlan(
        baud=_number(url, "baud", BAUD, BAUD_MAX),
        rings=rings == "yes",
        rtscts=flag(url, "rtscts"),
        sessions_per_hour=_number(url, "hourly", SESSIONS_PER_HOUR_MAX, HOURLY_MAX),
    )


def _number(url: Url, name: str, usual: int, high: int) -> int:
    text = url.options.get(name, str(usual))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= high):
        raise UsageError(f"{url}: {name}={text}; want a number from 1 to {high}")
    return int(text)


__all__ = ["call_sbd", "plan_of"]
