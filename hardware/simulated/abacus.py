"""A Diatron Abacus haematology analyser: INIT, then a DATA package for each sample.

Written from "Abacus/Arcus Serial Communication Protocol", release 1.7. It waits a second for `ACK next MID`, sends
three times, and is then silent until it hears ENQ, which it answers with ACK.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Final

from hardware.simulated import lab_sender
from hardware.simulated.lab_sender import Sender
from hardware.simulated.scanner import patient_label

ENQ, ACK = 0x05, b"\x06"
START_S: Final = 1.0
"""After it was switched on."""
FAULTS: Final[Mapping[str, str]] = lab_sender.FAULTS | {
    "asleep": "it had given up before the kit was switched on, and waits for ENQ",
    "cyrillic": "a habit: names are in cp1251",
    "binary": "a habit: protocol 3.0, whose records are binary",
}
VALUES: Final = (
    *(
        (4.0, 10.0, 1),
        (3.8, 5.6, 2),
        (120, 170, 0),
        (36, 50, 1),
        (80, 98, 0),
        (27, 33, 1),
        (320, 360, 0),
        (150, 380, 0),
    ),
    *((0.15, 0.35, 2), (7, 11, 1), (12, 18, 1), (30, 45, 1), (38, 50, 1), (12, 15, 1), (1, 4, 1), (0.2, 1, 1)),
    *((2, 7, 1), (20, 45, 1), (3, 10, 1), (45, 75, 1), (8.0, 9.0, 1), (5.0, 6.0, 1)),
)


def package(mid: str, cmd: str, text: bytes) -> bytes:
    """Return a package with its checksum."""
    body = f"\x01{mid}{cmd}\x02".encode() + text + b"\x03"
    return body + f"{sum(body) % 256:02X}".encode() + b"\x04"


def data_text(seed: int, at: int, encoding: str = "ascii") -> bytes:
    """Return the text of DATA of the `at`-th invented sample."""
    chance = Random(f"abacus/{seed}/{at}")  # noqa: S311  invented values
    name = "Іван Шевченко" if encoding == "cp1251" else "JOE SMITH"
    head = {"SNO": str(152 + at), "DATE": "20261122", "TIME": f"09{at % 60:02d}00", "SID": str(at + 1)}
    head |= {"PID": patient_label(seed, at), "NAME": name, "MODE": "0", "WRN": "0", "PM1": "12", "PM2": "204"}
    head |= {"RM1": "51", "WM1": "23", "WM2": "57", "WM3": "92", "PARN": str(len(VALUES))}
    rows = [f"{name}\t{value}\n" for name, value in head.items()]
    for number, (low, high, digits) in enumerate(VALUES, 1):
        flag = 1 if chance.randrange(12) == 0 else 0
        rows.append(f"P{number:02d}\t{chance.uniform(low, high):5.{digits}f}\t{flag}\n")
    return "".join(rows).encode(encoding)


class Abacus(Sender):
    """Sends `count` samples; a give-up is the end of talking, until ENQ."""

    def __init__(self, seed: int, count: int = 1, every_s: float = 5.0, faults: Iterable[str] = ()) -> None:
        faults = set(faults)
        encoding = "cp1251" if "cyrillic" in faults else "ascii"
        init = package("A", "I", b"Abacus Junior\t2.66\t20261122\t085900")
        packages = []
        for at in range(count):
            mid = chr(ord("B") + at % 25)
            text = data_text(seed, at, encoding)
            if "binary" in faults:
                packages.append(package(mid, "F", len(text).to_bytes(2, "big") + text[::-1]))
            else:
                packages.append(package(mid, "D", text))
        super().__init__([[init, packages[0]], *([one] for one in packages[1:])], every_s, faults, 1.0, 3)
        self._at = None if "asleep" in faults else START_S

    def feed(self, data: bytes, now: float) -> bytes:
        if ENQ in data and self._at is None and not self.is_done:
            self._at = now + 0.5
            return ACK
        return super().feed(data, now)

    def _give_up(self, now: float) -> None:
        self._attempts, self._is_waiting, self._at = 0, False, None
