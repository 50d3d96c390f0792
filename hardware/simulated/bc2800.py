"""A Mindray BC-3000 Plus haematology analyser in its own format, with handshake or without.

Written from appendix D.3 of its manual: ENQ, four seconds, once more; then text, EOT and ETX, four seconds, ETX once
more. The text with an id of eight digits and no points is written from appendix D.3 of the BC-2800Vet's manual: after
PCT eleven places are reserved, then kind, regions and the histograms of 256 channels of three digits.
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
    "eight-digits": "a habit: texts of a BC-2800, with an id of eight digits and no points",
    "control": "the first text is a run of control material",
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


def old_text(seed: int, at: int, *, has_stars: bool = False) -> bytes:
    """Return text A of the `at`-th invented sample as a BC-2800 has it: digits without points."""
    chance = Random(f"bc2800/eight/{seed}/{at}")  # noqa: S311  invented values
    parts = [chance.randint(low, high) for low, high in ((12, 40), (2, 8), (20, 70))]
    shares = [part * 1000 // sum(parts) for part in parts]
    rbc, mcv, hgb = chance.randint(380, 560), chance.randint(800, 980), chance.randint(120, 170)
    hct, mch = rbc * mcv // 1000, hgb * 1000 // rbc
    mchc, rdw, plt, mpv, pdw = hgb * 1000 // hct, chance.randint(120, 150), chance.randint(150, 380), 85, 158
    numbers = [sum(parts), *parts, *shares, rbc, hgb, mchc, mcv, mch, rdw, hct, plt, mpv, pdw, plt * mpv // 100]
    widths = (4, 4, 4, 4, 3, 3, 3, 4, 3, 4, 4, 4, 3, 3, 4, 3, 3, 3)
    values = [f"{number:0{width}d}" for number, width in zip(numbers, widths, strict=True)]
    if has_stars:
        values[1:7] = ["*" * len(one) for one in values[1:7]]
    head = f"A{patient_label(seed, at):0>8}0" + f"1122202609{at % 60:02d}"
    histograms = "".join(f"{chance.randint(0, 255):03d}" for _ in range(3 * 256))
    return (head + "".join(values) + "****" + "0" * 62 + histograms).encode()


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
            made = old_text if "eight-digits" in faults else text
            body = made(seed, at, has_stars="stars" in faults) + end
            if "control" in faults and at == 0:
                body = b"C112220260900  6.6 4.66140 220" + b"0" * 14 + b"41.0 88.0 30.0 341" + end
            if "other-form" in faults:
                body = b"CTR\x0cSampleID\x1677\x08\x04MD\x0cWBC\x166.6\x08\x04"
            steps.append([b"\x05", body + b"\x03"] if waits else [b"\x02" + body])
        super().__init__(steps, every_s, faults, 4.0, 2, waits=waits)
