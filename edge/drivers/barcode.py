"""Barcode scanners on a serial line or USB serial ("USB-COM"): a label, then CR. It says whose the next study is.

Written from the Honeywell 3310g user guide (serial defaults, p. 2-22) and the Zebra LS2208 product reference (p. 6-19):
data and a suffix, 9600 8N1, an AIM prefix (`]C0`) when switched on, ACK/NAK off by default.

A wrong patient is worse than none. So a clinic's labels should carry a check digit (`scheme`), and a label that does
not verify is refused and shown, never used. With `answer = "ack"` the scanner is told, and beeps.

A scanner that pretends to be a keyboard is not for this driver: it types into whatever has the focus, and under a
Cyrillic keyboard layout turns Latin letters into Cyrillic ones. Labels with such letters are refused with a word on
the cause: switch the scanner to serial or USB-COM by the bar code in its guide.

Which studies a label counts for is `edge.capture`'s rule. Nothing is written to the disk before a study begins.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from edge.driver import (
    Driver,
    Event,
    Facts,
    Fault,
    Line,
    OperatorScanned,
    Option,
    PatientReleased,
    PatientScanned,
    Send,
)
from edge.registry import read_options
from edge.signs import Signs
from wire.errors import ConfigError

LABEL_SIZE_MAX: Final = 64
"""A label, bytes. Longer ones are no patient's."""
ENDS: Final = frozenset(b"\r\n\t\x03\x00")
STX: Final = 0x02
QUIET_S: Final = 0.5
"""A label that has no suffix ends here."""
ACK, NAK = b"\x06", b"\x15"

FACTS: Final = Facts(
    name="barcode",
    version="1",
    title="Barcode scanner on a serial line",
    manual="Honeywell 3310g user guide p. 2-22; Zebra LS2208 product reference p. 6-19",
    form="unknown",
    lines=(Line(9600), Line(115200)),
    options=(
        Option("scheme", "none", "check digit of the clinic's labels", ("none", "mod10", "ean13", "mod97", "code39")),
        Option("prefix", "", "what every patient label begins with; it is cut off"),
        Option("release", "", "the label that ends a patient's visit"),
        Option("badge", "", "what every operator's badge begins with; it is cut off (none: badges are not known)"),
        Option("badge_scheme", "none", "check digit of the badges", ("none", "mod10", "ean13", "mod97", "code39")),
        Option("answer", "none", "answer every label with ACK or NAK", ("none", "ack")),
    ),
)

_AIM: Final = re.compile(r"\][A-Za-z][0-9A-Za-z]")
_CODE39: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"


def is_mod10(label: str) -> bool:
    """Return whether the last digit is right by Luhn's rule (ISO/IEC 7812)."""
    if not _is_digits(label):
        return False
    doubled = [int(digit) * (2 if at % 2 else 1) for at, digit in enumerate(reversed(label))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_ean13(label: str) -> bool:
    """Return whether these are 13 digits with the last one right (GS1)."""
    return (
        _is_digits(label) and len(label) == 13 and sum(int(d) * (1, 3)[at % 2] for at, d in enumerate(label)) % 10 == 0
    )


def is_mod97(label: str) -> bool:
    """Return whether the last two digits are right by ISO/IEC 7064 MOD 97-10; letters count as 10 to 35."""
    if len(label) < 3 or not label.isascii() or not label.isalnum() or not _is_digits(label[-2:]):
        return False
    return int("".join(str(int(char, 36)) for char in label)) % 97 == 1


def is_code39(label: str) -> bool:
    """Return whether the last character is right by Code 39's modulo 43."""
    if len(label) < 2 or any(char not in _CODE39 for char in label):
        return False
    return sum(_CODE39.index(char) for char in label[:-1]) % 43 == _CODE39.index(label[-1])


def _is_digits(label: str) -> bool:
    return len(label) > 1 and label.isascii() and label.isdigit()


SCHEMES: Final[Mapping[str, Callable[[str], bool]]] = {
    "mod10": is_mod10,
    "ean13": is_ean13,
    "mod97": is_mod97,
    "code39": is_code39,
}


class _Barcode:
    """See the module's text. Holds at most one label."""

    def __init__(self, scheme: str, prefix: str, release: str, badge: str, badge_scheme: str, *, answers: bool) -> None:
        self._verify = SCHEMES.get(scheme)
        self._scheme, self._prefix, self._release, self._answers = scheme, prefix, release, answers
        self._badge, self._badge_scheme = badge, badge_scheme
        self._label = bytearray()
        self._too_long = False
        self._heard_at = 0.0

    def feed(self, data: bytes, now: float) -> list[Event]:
        self._heard_at = now
        events: list[Event] = []
        for byte in data:
            if byte in ENDS:
                events += self._whole()
            elif byte != STX:
                self._add(byte)
        return events

    def tick(self, now: float) -> list[Event]:
        due = self.deadline()
        return self._whole() if due is not None and now >= due else []

    def committed(self, token: int, now: float) -> list[Event]:
        return []

    def refused(self, token: int, now: float) -> list[Event]:
        return []

    def lost(self, now: float) -> list[Event]:
        self._label.clear()
        self._too_long = False
        return []

    def deadline(self) -> float | None:
        return self._heard_at + QUIET_S if self._label or self._too_long else None

    def _add(self, byte: int) -> None:
        if len(self._label) < LABEL_SIZE_MAX:
            self._label.append(byte)
        else:
            self._too_long = True

    def _whole(self) -> list[Event]:
        raw, too_long = bytes(self._label), self._too_long
        self._label.clear()
        self._too_long = False
        if not raw:
            return []
        event = self._refusal(f"longer than {LABEL_SIZE_MAX} characters") if too_long else self._read(raw)
        answer = [Send(NAK if isinstance(event, Fault) else ACK)] if self._answers else []
        return [event, *answer]

    def _read(self, raw: bytes) -> Event:
        if not raw.isascii():
            return self._refusal("not Latin: a scanner that acts as a keyboard under a Cyrillic layout?")
        text = raw.decode("ascii").strip()
        aim = _AIM.match(text)
        symbology, text = (aim.group(), text[aim.end() :]) if aim is not None else ("", text)
        if self._release and text == self._release:
            return PatientReleased()
        if self._badge and text.startswith(self._badge):
            return self._read_badge(text[len(self._badge) :], symbology)
        if not text.startswith(self._prefix):
            return self._refusal(f"does not begin with {self._prefix!r}")
        label = text[len(self._prefix) :]
        if not label or not label.isprintable():
            return self._refusal("empty, or with control characters")
        if self._verify is not None and not self._verify(label):
            return self._refusal(f"its check digit ({self._scheme}) does not hold: scan again")
        return PatientScanned(label, self._verify is not None, symbology)

    def _read_badge(self, badge: str, symbology: str) -> Event:
        verify = SCHEMES.get(self._badge_scheme)
        if not badge or not badge.isprintable():
            return self._refusal("a badge that is empty, or with control characters")
        if verify is not None and not verify(badge):
            return self._refusal(f"the check digit of a badge ({self._badge_scheme}) does not hold: scan again")
        return OperatorScanned(badge, verify is not None, symbology)

    @staticmethod
    def _refusal(reason: str) -> Fault:
        return Fault("label", f"the label was not taken: {reason}")


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one scanner. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    scheme, prefix, release = (str(chosen[name]) for name in ("scheme", "prefix", "release"))
    badge, badge_scheme = str(chosen["badge"]), str(chosen["badge_scheme"])
    if badge and prefix and (badge.startswith(prefix) or prefix.startswith(badge)):
        raise ConfigError(
            f"driver {FACTS.name!r}: options 'prefix' {prefix!r} and 'badge' {badge!r} cannot be told apart"
        )
    return _Barcode(scheme, prefix, release, badge, badge_scheme, answers=chosen["answer"] == "ack")


SIGNS: Final = Signs()
"""Any text may be a label."""
