"""What the kit's four LEDs say: the one table behind the panel, the crew's card and the demo.

A crew has no screen. Each code says one thing, can be told apart without seeing colours (by place and by rhythm), and
has an answer to "what do I do now?".
"""

from dataclasses import dataclass
from typing import Final

OFF: Final = "off"
ON: Final = "on"
SLOW: Final = "slow"
FAST: Final = "fast"
DOUBLE: Final = "double"

PERIOD_S: Final = {SLOW: 2.0, FAST: 0.4, DOUBLE: 2.0}
_LIT: Final = {SLOW: ((0.0, 0.5),), FAST: ((0.0, 0.5),), DOUBLE: ((0.0, 0.08), (0.16, 0.24))}
"""Parts of the period in which the LED is lit."""


@dataclass(frozen=True, slots=True)
class Code:
    """One LED in one rhythm: what it means and what the crew does."""

    led: str
    rhythm: str
    means: str
    do: str


CODES: Final = (
    Code("power", OFF, "no power, or the kit is not running", "check the cable; wait one minute"),
    Code("power", SLOW, "starting, or recovering after a power cut", "wait"),
    Code("power", ON, "running", "work on"),
    Code("power", FAST, "a stick is being read or written", "leave it in"),
    Code("power", DOUBLE, "a stick is in, and done with", "pull it out when you like"),
    Code("device", OFF, "no device has spoken yet", "switch the device on"),
    Code("device", ON, "devices are there", "work on"),
    Code("device", FAST, "a study is being captured", "let the device finish"),
    Code("device", SLOW, "a configured device is gone", "check its cable and power"),
    Code(
        "device",
        DOUBLE,
        "another device than its own speaks on a port: cables are in each other's sockets",
        "put the cables back as they were; what came is kept and flagged",
    ),
    Code("link", OFF, "no link; studies wait safely in the kit", "work on"),
    Code("link", SLOW, "sent; the centre has not confirmed yet", "work on"),
    Code("link", FAST, "sending", "work on"),
    Code(
        "link",
        DOUBLE,
        "studies wait for a cheaper link or tomorrow's budget, or only the satellite is there; what is urgent goes",
        "work on; drive where there is coverage if you can",
    ),
    Code("link", ON, "all that was captured has arrived", "the kit may be switched off"),
    Code("alarm", OFF, "nothing is wrong", "work on"),
    Code(
        "alarm",
        SLOW,
        "look when there is time: a label did not verify, two patient ids disagree, a device or a modem wants somebody",
        "note the patient and go on; `kit status` says what a device did, `kit links` what a modem wants",
    ),
    Code("alarm", DOUBLE, "the centre refuses this kit: key wrong or revoked", "call the centre; studies are kept"),
    Code(
        "alarm",
        FAST,
        "the card is full or failing: no new study is taken",
        "bring the kit to a technician; do not erase",
    ),
    Code("alarm", ON, "the kit stopped itself", "switch off and on once; then call"),
)


def lit(rhythm: str, now: float) -> bool:
    """Say whether an LED with this rhythm is lit at `now` (seconds, any origin)."""
    if rhythm in (OFF, ON):
        return rhythm == ON
    phase = now % PERIOD_S[rhythm] / PERIOD_S[rhythm]
    return any(begin <= phase < end for begin, end in _LIT[rhythm])


def meaning(led: str, rhythm: str) -> str:
    """Return what this LED in this rhythm means. Raises KeyError for a pair that the table does not hold."""
    return {(code.led, code.rhythm): code.means for code in CODES}[led, rhythm]
