"""A Sysmex KX-21 haematology analyser in its own format of fixed columns, class B (waits for ACK) or class A.

Written from appendix B of its manual and the columns of github vactorwu/xhn-tianjian-pacs, KX21.cpp.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated import lab_sender
from hardware.simulated.lab_sender import Sender
from hardware.simulated.scanner import patient_label

FAULTS: Final[Mapping[str, str]] = lab_sender.FAULTS | {
    "unreliable": "stars stand in place of the platelets",
    "control": "the first text is a control",
    "class-a": "a habit: it waits for no answer",
}
RANGES: Final = (
    *((40, 100), (380, 560), (120, 170), (360, 500), (800, 980), (270, 330), (320, 360), (150, 380)),
    *((200, 450), (30, 100), (450, 750), (10, 40), (2, 10), (20, 70), (380, 500)),
)


def text(seed: int, at: int, *, is_control: bool = False, is_unreliable: bool = False) -> bytes:
    """Return the text of the `at`-th invented sample: D1U, a date, the specimen's id, the values, each with a mark."""
    chance = Random(f"kx21/{seed}/{at}")  # noqa: S311  invented values
    values = [f"{chance.randint(*one):04d} " for one in RANGES]
    if is_unreliable:
        values[7] = "****4"
    head = f"D1{'C' if is_control else 'U'}0261122" + patient_label(seed, at).rjust(12) + "0000000"
    return b"\x02" + (head + "".join(values) + "S").encode() + b"\x03"


class Kx21(Sender):
    """Sends `count` samples."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 5.0, faults: Iterable[str] = ()) -> None:
        faults = set(faults)
        texts = [
            text(seed, at, is_control=at == 0 and "control" in faults, is_unreliable="unreliable" in faults)
            for at in range(count)
        ]
        super().__init__([[one] for one in texts], every_s, faults, 15.0, 3, waits="class-a" not in faults)
