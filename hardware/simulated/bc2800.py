"""A Mindray BC-3000 Plus haematology analyser in its own format, with handshake or without.

Written from appendix D.3 of its manual: ENQ, four seconds, once more; then text, EOT and ETX, four seconds, ETX once
more.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated import lab_sender
from hardware.simulated.lab_sender import Sender
from hardware.simulated.scanner import patient_label

FAULTS: Final[Mapping[str, str]] = lab_sender.FAULTS | {
    "stars": "some values are stars",
    "other-form": "a habit: texts in a form that is not documented, with EOT in the middle",
    "no-handshake": "a habit: it waits for no answer",
    "ends-1a": "a habit: a text ends with 1A and not with EOT",
}
FORMS: Final = (
    *((40, 100, "5.1"), (12, 40, "5.1"), (2, 8, "5.1"), (20, 70, "5.1"), (200, 450, "4.1"), (30, 100, "4.1")),
    *((450, 750, "4.1"), (38, 56, "4.1"), (120, 170, "3"), (320, 360, "4"), (800, 980, "5.1"), (270, 330, "5.1")),
    *((120, 150, "4.1"), (360, 500, "4.1"), (150, 380, "4"), (70, 110, "4.1"), (150, 170, "4.1"), (150, 350, ".3")),
)


def text(seed: int, at: int, *, has_stars: bool = False) -> bytes:
    """Return text A of the `at`-th invented sample."""
    chance = Random(f"bc2800/{seed}/{at}")  # noqa: S311  invented values
    values = [_value(chance.randint(low, high), form) for low, high, form in FORMS]
    if has_stars:
        values[1:4] = ["*" * len(one) for one in values[1:4]]
    head = f"A01010{len(FORMS):03d}00{patient_label(seed, at):0>10}0"
    return (head + f"1122202609{at % 60:02d}00" + "".join(values)).encode()


def _value(number: int, form: str) -> str:
    if form == ".3":
        return f".{number:03d}"
    width, _, digits = form.partition(".")
    return f"{number / 10:0{width}.1f}" if digits else f"{number:0{width}d}"


class Bc2800(Sender):
    """Sends `count` samples."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 5.0, faults: Iterable[str] = ()) -> None:
        faults = set(faults)
        end = b"\x1a" if "ends-1a" in faults else b"\x04"
        waits = "no-handshake" not in faults
        steps = []
        for at in range(count):
            body = text(seed, at, has_stars="stars" in faults) + end
            if "other-form" in faults:
                body = b"CTR\x0cSampleID\x1677\x08\x04MD\x0cWBC\x166.6\x08\x04"
            steps.append([b"\x05", body + b"\x03"] if waits else [b"\x02" + body])
        super().__init__(steps, every_s, faults, 4.0, 2, waits=waits)
