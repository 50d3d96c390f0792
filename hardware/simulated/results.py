"""What simulated analysers have to say: ASTM E1394 messages in the manner of four real ones, drawn from a seed.

The shapes (delimiters, which field holds the id, which tests, how numbers are padded) are those of the makers'
interface documents; names, ids and values are invented. The same seed gives the same message.
"""

from collections.abc import Sequence
from random import Random
from typing import Final

from hardware.simulated.analyser import in_blocks, in_one_frame, in_records

Message = Sequence[tuple[bytes, bool]]

# name, unit, mean, spread, digits after the point
BLOOD_COUNT: Final = (
    ("WBC", "10*3/uL", 6.5, 1.8, 1),
    ("RBC", "10*6/uL", 4.6, 0.5, 2),
    ("HGB", "g/dL", 13.6, 1.4, 1),
    ("HCT", "%", 41.0, 4.0, 1),
    ("MCV", "fL", 89.0, 5.0, 1),
    ("MCH", "pg", 29.6, 2.0, 1),
    ("MCHC", "g/dL", 33.2, 1.0, 1),
    ("PLT", "10*3/uL", 248.0, 60.0, 0),
    ("LYM%", "%", 32.0, 7.0, 1),
    ("NEUT%", "%", 58.0, 8.0, 1),
    ("RDW-CV", "%", 13.1, 0.9, 1),
    ("MPV", "fL", 10.2, 0.8, 1),
)
NAMES: Final = ("Ковальчук^Олена", "Іваненко^Петро", "Шевчук^Ганна", "Бондар^Юрій", "Мельник^Ірина")
STYLES: Final = ("xp100", "c111", "genexpert", "blocks", "curves")
CURVES: Final = ("WBC", "RBC", "PLT", "BASO", "LMNE matrix", "RET")
CURVE_POINTS: Final = 1_050
"""Of each curve: 26 kB in all, in one frame, as haematology analysers send that draw their histograms."""


def stamp(at: int) -> str:
    """Return an invented date and time, the `at`-th of a day of measurements."""
    return f"202608{1 + at // 900 % 28:02d}{8 + at // 60 % 10:02d}{at % 60:02d}00"


def message(
    style: str, seed: int, patient: str, *, at: int = 0, encoding: str = "utf-8", is_control: bool = False
) -> Message:
    """Return one message of a patient's specimen, or of a control."""
    chance = Random(f"{style}/{seed}/{at}")  # noqa: S311  invented values
    records = _RECORDS[style](chance, patient, stamp(at), encoding, is_control)
    return _DIVISIONS[style](records)


def _value(chance: Random, row: tuple[str, str, float, float, int]) -> str:
    _, _, mean, spread, digits = row
    return f"{max(0.0, chance.gauss(mean, spread / 2)):.{digits}f}"


def _xp100(
    chance: Random,
    patient: str,
    time: str,
    encoding: str,  # noqa: ARG001  all have one signature
    is_control: bool,
) -> list[bytes]:
    order = f"O|1||^^{patient:>15}^A||||||||{'Q' if is_control else 'N'}||||||||||||||F"
    results = [
        f"R|{n}|^^^^{row[0]}^1|{_value(chance, row):>5}|{row[1]}||N||||               ||{time}"
        for n, row in enumerate(BLOOD_COUNT, 1)
    ]
    lines = ["H|\\^&|||XP-100^00-13^^^^SIM01^BS000001||||||||E1394-97", "P|1", order, *results, "L|1|N"]
    return [line.encode("ascii") for line in lines]


def _c111(
    chance: Random,
    patient: str,
    time: str,
    encoding: str,  # noqa: ARG001  all have one signature
    is_control: bool,
) -> list[bytes]:
    value = f"{chance.gauss(40.0, 4.0):.2f}"
    lines = [
        f"H|\\^&|||SIM^Roche^c111^4.2.2.1730^1^00001|||||host|RSUPL^REAL|{'Q' if is_control else 'P'}|1|{time}",
        "P|1||",
        f"O|1||{patient}^^6||S||||||N|||||||||||{time}|||F",
        f"R|1|^^^413|{value}|g/L||N||F||$SYS$||{time}",
        "C|1|I|haemolytic|I",
        f"M|1|RR^BM^c111^1|{chance.randint(-40, -20)}|{chance.random():.6f}",
        "L|1|N",
    ]
    return [line.encode("ascii") for line in lines]


def _genexpert(
    chance: Random,
    patient: str,
    time: str,
    encoding: str,  # noqa: ARG001  all have one signature
    is_control: bool,
) -> list[bytes]:
    operator = f"OPERATOR|{time}|{time}|Cepheid-SIM0001"
    results = ["R|1|^MTB-RIF^^Xpert^Xpert MTB-RIF Ultra^4^MTB^|NOT DETECTED^|||||F||" + operator, "C|1|I|Notes^^none|I"]
    parts = [(probe, part) for probe in ("rpoB1", "rpoB2", "rpoB3", "rpoB4", "SPC") for part in ("", "Ct", "EndPt")]
    for n, (probe, part) in enumerate(parts, 2):
        value = f"^{chance.uniform(0, 40):.1f}" if part else ("PASS^" if probe == "SPC" else "INVALID^")
        results.append(f"R|{n}|^MTB-RIF^^Xpert^^^{probe}^{part}|{value}|||")
    lines = [
        f"H|@^\\|URM-{chance.getrandbits(32):08x}||.000001 Simulated^GeneXpert^4.8|||||LIS||P|1394-97|{time}",
        "P|1||||^^^^|||||||||||||||||||||",
        f"O|1|{patient}||^^^MTB-RIF|R|{time}|||||{'Q' if is_control else ''}||||ORH||||||||||F",
        *results,
        "L|1|N",
    ]
    return [line.encode("ascii") for line in lines]


def _blocks(chance: Random, patient: str, time: str, encoding: str, is_control: bool) -> list[bytes]:
    name = chance.choice(NAMES)
    curve = "\\".join(str(chance.randint(0, 255)) for _ in range(200))
    lines = [
        f"H|\\^&|||SIM-BLOCKS^1.0|||||LIS||{'Q' if is_control else 'P'}|1394-97|{time}",
        f"P|1|{patient}|||{name}||19570412|F",
        f"O|1|S{chance.randint(1000, 9999)}||^^^CBC|R|{time}",
        *(
            f"R|{n}|^^^{row[0]}|{_value(chance, row)}|{row[1]}||N||F||||{time}"
            for n, row in enumerate(BLOOD_COUNT[:8], 1)
        ),
        f"M|1|HIST^WBC|{curve}",
        "C|1|I|гемоліз|G",
        "L|1|N",
    ]
    return [line.encode(encoding, errors="replace") for line in lines]


def _curves(chance: Random, patient: str, time: str, encoding: str, is_control: bool) -> list[bytes]:
    *head, end = _xp100(chance, patient, time, encoding, is_control)
    points = ("\\".join(f"{chance.randrange(1000):03d}" for _ in range(CURVE_POINTS)) for _ in CURVES)
    curves = [f"M|{n}|HISTOGRAM^{name}|{curve}" for n, (name, curve) in enumerate(zip(CURVES, points, strict=True), 1)]
    return [*head, *(curve.encode("ascii") for curve in curves), end]


_RECORDS: Final = {
    "xp100": _xp100,
    "c111": _c111,
    "genexpert": _genexpert,
    "blocks": _blocks,
    "curves": _curves,
}
_DIVISIONS: Final = {
    "xp100": in_one_frame,
    "c111": in_records,
    "genexpert": in_one_frame,
    "blocks": in_blocks,
    "curves": in_one_frame,
}
