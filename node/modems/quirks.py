"""What differs between GSM modems beside their sockets, by the model that `AT+CGMM` says. Data, from makers' manuals.

SIMCom: SIM800 Series AT Command Manual V1.10; SIM7500/SIM7600 Series V1.08. Quectel: EC2x AT Commands Manual V1.3 and
BG95/BG96. What no manual tells (how BG96 gives the time) was seen in the field and is marked so.
"""

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Quirk:
    """One family. `kind` names the code of its sockets; "" where none is known."""

    models: str
    kind: str
    registrations: tuple[str, ...]
    """Where packet service shows itself, best first."""
    iccid: str
    pin_tries: str
    """The command that says how many wrong PINs are left, and ..."""
    pin_tries_answer: str
    """... its answer, with the number as the only group."""
    clock: str
    """Makes the modem keep the network's time."""
    is_clock_utc: bool = False
    """`AT+CCLK?` gives UTC with the zone beside it, not local time."""


_SPIC: Final = r"\+SPIC: ?(\d+)"
_CPINR: Final = r"\+CPINR: ?SIM PIN, ?(\d+)"

QUIRKS: Final = (
    Quirk(r"SIM(?:COM_)?(?:SIM)?(?:8\d\d|900)", "sim800", ("CGREG",), "AT+CCID", "AT+SPIC", _SPIC, "AT+CLTS=1"),
    Quirk(
        r"(?:SIM(?:COM_)?(?:SIM)?7[56]|A76)",
        "simcom",
        ("CEREG", "CGREG"),
        "AT+CICCID",
        "AT+SPIC",
        _SPIC,
        "AT+CTZU=1",
    ),
    Quirk(
        r"(?:BG9|BG77)",
        "quectel",
        ("CEREG", "CGREG"),
        "AT+QCCID",
        'AT+QPINC="SC"',
        r'\+QPINC: ?"SC", ?(\d+)',
        "AT+CTZU=1",
        is_clock_utc=True,  # seen on BG96, not documented
    ),
    Quirk(
        r"(?:E[CGM]\d|UC\d|M\d\d|Quectel)",
        "quectel",
        ("CEREG", "CGREG"),
        "AT+QCCID",
        'AT+QPINC="SC"',
        r'\+QPINC: ?"SC", ?(\d+)',
        "AT+CTZU=1",
    ),
)
GENERIC: Final = Quirk(
    "", "", ("CEREG", "CGREG"), "AT+CCID", 'AT+CPINR="SIM PIN"', _CPINR, "AT+CTZU=1"
)  # 3GPP TS 27.007 and nothing else
KINDS: Final = ("sim800", "simcom", "quectel")


def quirk_of(model: str) -> Quirk:
    """Return the row of a model, the generic one when it is not known."""
    return next((quirk for quirk in QUIRKS if re.match(quirk.models, model, re.IGNORECASE)), GENERIC)


__all__ = ["GENERIC", "KINDS", "QUIRKS", "Quirk", "quirk_of"]
