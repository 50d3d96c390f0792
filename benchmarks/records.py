"""Records as the analysers of a screening van send them, made up: to train the dictionary, and to measure with it.

What is fixed here is what makers' manuals and the LIS01/LIS02 standards fix: delimiters, field places, names of tests,
units, usual ranges, how a maker pads and frames. What is random is what is random in life: people, values, serial
numbers, times. A record is what a kit's entry holds: DEVICE, RAW and RESULT tags (`docs/formats/study.md`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

from wire import kinds
from wire.record import Device, Observation, Patient, Result, Summary
from wire.tag import Tag, encode


@dataclass(frozen=True)
class Analyte:
    """One test: its code, unit, usual range, decimals, and its LOINC and UCUM where the kit's table knows them."""

    code: str
    unit: str
    low: float
    high: float
    decimals: int
    loinc: str = ""
    ucum: str = ""


def _table(text: str) -> tuple[Analyte, ...]:
    rows = [line.split() for line in text.strip().splitlines()]
    return tuple(Analyte(row[0], row[1], float(row[2]), float(row[3]), int(row[4]), *row[5:7]) for row in rows)


SYSMEX = _table("""
WBC    10*3/uL 4.0  9.0   1 6690-2 10*3/uL
RBC    10*6/uL 3.8  5.5   2 789-8 10*6/uL
HGB    g/dL    11.7 17.3  1 718-7 g/dL
HCT    %       34.5 51.0  1 4544-3 %
MCV    fL      80.0 99.0  1 787-2 fL
MCH    pg      26.5 33.5  1 785-6 pg
MCHC   g/dL    31.5 36.0  1 786-4 g/dL
PLT    10*3/uL 150  400   0 777-3 10*3/uL
LYM%   %       19.0 45.0  1 736-9 %
MXD%   %       3.0  15.0  1
NEUT%  %       40.0 75.0  1 770-8 %
LYM#   10*3/uL 1.2  3.2   1 731-0 10*3/uL
MXD#   10*3/uL 0.2  1.1   1
NEUT#  10*3/uL 2.0  7.0   1 751-8 10*3/uL
RDW-SD fL      37.0 54.0  1 21000-5 fL
RDW-CV %       11.5 14.5  1 788-0 %
PDW    fL      9.0  17.0  1
MPV    fL      9.0  13.0  1 32623-1 fL
P-LCR  %       13.0 43.0  1
PCT    %       0.17 0.35  2
""")
SYSMEX_DIFFERENTIAL = SYSMEX[:8] + _table("""
NEUT%  %       40.0 75.0  1 770-8 %
LYMPH% %       19.0 45.0  1 736-9 %
MONO%  %       3.0  12.0  1 5905-5 %
EO%    %       0.5  6.0   1 713-8 %
BASO%  %       0.1  1.0   1 706-2 %
NEUT#  10*3/uL 2.0  7.0   2 751-8 10*3/uL
LYMPH# 10*3/uL 1.2  3.2   2 731-0 10*3/uL
MONO#  10*3/uL 0.2  0.9   2 742-7 10*3/uL
EO#    10*3/uL 0.02 0.5   2 711-2 10*3/uL
BASO#  10*3/uL 0.01 0.1   2 704-7 10*3/uL
IG%    %       0.0  0.6   1
IG#    10*3/uL 0.0  0.06  2
""")
MINDRAY = _table("""
WBC   10*9/L  4.0  10.0  2 6690-2 10*9/L
NEU#  10*9/L  2.0  7.0   2 751-8 10*9/L
LYM#  10*9/L  0.8  4.0   2 731-0 10*9/L
MON#  10*9/L  0.12 1.2   2 742-7 10*9/L
EOS#  10*9/L  0.02 0.5   2 711-2 10*9/L
BAS#  10*9/L  0.0  0.1   2 704-7 10*9/L
NEU%  %       50.0 70.0  1 770-8 %
LYM%  %       20.0 40.0  1 736-9 %
MON%  %       3.0  12.0  1 5905-5 %
EOS%  %       0.5  5.0   1 713-8 %
BAS%  %       0.0  1.0   1 706-2 %
RBC   10*12/L 3.5  5.5   2 789-8 10*12/L
HGB   g/L     110  160   0 718-7 g/L
HCT   %       37.0 54.0  1 4544-3 %
MCV   fL      80.0 100.0 1 787-2 fL
MCH   pg      27.0 34.0  1 785-6 pg
MCHC  g/L     320  360   0 786-4 g/L
RDW-CV %      11.0 16.0  1 788-0 %
RDW-SD fL     35.0 56.0  1 21000-5 fL
PLT   10*9/L  100  300   0 777-3 10*9/L
MPV   fL      6.5  12.0  1 32623-1 fL
PDW   fL      9.0  17.0  1
PCT   %       0.1  0.28  3
""")
HORIBA = _table("""
WBC^6690-2   10E3/uL 4.0  10.0 1 6690-2 10*3/uL
RBC^789-8    10E6/uL 3.8  5.8  2 789-8 10*6/uL
HGB^717-9    g/dL    11.5 16.5 1 718-7 g/dL
HCT^4544-3   %       37.0 50.0 1 4544-3 %
MCV^787-2    um3     80   100  0 787-2 fL
MCH^785-6    pg      27.0 34.0 1 785-6 pg
MCHC^786-4   g/dL    32.0 36.0 1 786-4 g/dL
RDW-CV^788-0 %       11.0 16.0 1 788-0 %
RDW-SD^21000-5 um3   37   49   0 21000-5 fL
PLT^777-3    10E3/uL 150  400  0 777-3 10*3/uL
PCT^51637-7  %       0.15 0.4  2
MPV^776-5    um3     6.0  11.0 1 32623-1 fL
PDW^32207-3  %       11.0 18.0 1
LYM#^731-0   10E3/uL 1.0  5.0  2 731-0 10*3/uL
LYM%^736-9   %       25.0 50.0 1 736-9 %
MON#^742-7   10E3/uL 0.1  1.0  2 742-7 10*3/uL
MON%^5905-5  %       2.0  10.0 1 5905-5 %
NEU#^751-8   10E3/uL 2.0  8.0  2 751-8 10*3/uL
NEU%^770-8   %       50.0 80.0 1 770-8 %
EOS#^711-2   10E3/uL 0.0  0.4  2 711-2 10*3/uL
EOS%^713-8   %       0.0  5.0  1 713-8 %
BAS#^704-7   10E3/uL 0.0  0.2  2 704-7 10*3/uL
BAS%^706-2   %       0.0  2.0  1 706-2 %
""")
CHEMISTRY = _table("""
GLU   mmol/L 3.9  6.1  2
UREA  mmol/L 2.5  8.3  2
CREA  umol/L 44   106  1
TBIL  umol/L 3.4  20.5 1
DBIL  umol/L 0.0  5.1  1
ALT   U/L    5    40   1
AST   U/L    5    40   1
GGT   U/L    8    61   1
ALP   U/L    40   150  1
TP    g/L    64   83   1
ALB   g/L    35   52   2
CHOL  mmol/L 2.9  5.2  2
TG    mmol/L 0.4  1.7  2
HDL-C mmol/L 0.9  1.9  2
LDL-C mmol/L 1.5  3.4  2
UA    umol/L 155  428  1
CK    U/L    24   190  0
LDH   U/L    120  250  0
AMY   U/L    28   100  0
CRP   mg/L   0.0  5.0  1
Ca    mmol/L 2.1  2.6  2
P     mmol/L 0.8  1.5  2
Mg    mmol/L 0.7  1.05 2
Fe    umol/L 9    30   1
K     mmol/L 3.5  5.1  2
Na    mmol/L 136  145  1
Cl    mmol/L 98   107  1
""")
HORMONES = _table("""
TSH     uIU/mL 0.3  4.5   3
FT4     pmol/L 12.0 22.0  2
FT3     pmol/L 3.1  6.8   2
T4      nmol/L 66   181   1
T3      nmol/L 1.3  3.1   2
Tg      ng/mL  1.4  78    2
Anti-TPO IU/mL 0    34    1
Anti-TG IU/mL  0    115   1
CT      pg/mL  0    9.5   2
PTH     pg/mL  15   65    1
Cortisol nmol/L 171 536   0
PRL     mIU/L  102  496   0
LH      mIU/mL 2.4  12.6  2
FSH     mIU/mL 3.5  12.5  2
E2      pg/mL  12.5 166   1
PSA     ng/mL  0    4     3
Ferritin ng/mL 13   150   1
Insulin uU/mL  2.6  24.9  2
25-OH-D ng/mL  30   100   1
""")
GLYCATED = _table("""
HbA1c % 4.0 6.5 1
HbF   % 0.0 1.0 1
L-A1c % 0.5 2.5 1
SA1c  % 4.0 6.5 1
A0    % 85  92  1
eAG   mmol/L 4.0 9.0 1
""")
URINE_ALBUMIN = _table("""
Alb   mg/L  5    300 1
Crt   mg/dL 15   500 1
Ratio mg/g  1    300 1
""")
PRESSURE = _table("""
SYS  mmHg 100 160 0 8480-6 mm[Hg]
MAP  mmHg 70  120 0 8478-0 mm[Hg]
DIA  mmHg 55  100 0 8462-4 mm[Hg]
PULSE /min 50 110 0 8867-4 /min
""")
OXIMETRY = _table("""
SpO2  %    90 100 0 59408-5 %
PULSE /min 50 110 0 8867-4 /min
PI    %    0.5 15 1
""")

FAMILY = (
    *("Иванова", "Петренко", "Ковалёв", "Шевчук", "Сидоров", "Мельник", "Бондаренко", "Кравченко", "Новик", "Жук"),
    *("Козлова", "Романюк", "Ткаченко", "Савченко", "Лысенко", "Гончар", "Мороз", "Карпович", "Климова", "Сорока"),
    *("Ivanova", "Petrenko", "Kovalev", "Shevchuk", "Bondarenko", "Melnik", "Smith", "Novak", "Kozlova", "Moroz"),
)
GIVEN = (
    *("Анна", "Мария", "Елена", "Ольга", "Наталья", "Иван", "Сергей", "Николай", "Александр", "Виктор", "Галина"),
    *("Anna", "Maria", "Elena", "Olga", "Ivan", "Sergei", "Nikolai", "Viktor", "Tom", "Galina", "Petr", "Oleg"),
)
KITS = ("van-1", "van-2", "gomel-1", "bryansk-2", "zhytomyr-1", "kit-07", "mogilev-3")


class Session:
    """The random facts of one session: a person, a sample, a device, a day."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        day = datetime(2024, 1, 1, 8, tzinfo=UTC) + timedelta(seconds=chance.randrange(5 * 365 * 86400))
        self.time = day
        self.stamp = day.strftime("%Y%m%d%H%M%S")
        self.time_ms = int(day.timestamp() * 1000) + chance.randrange(1000)
        self.family, self.given = chance.choice(FAMILY), chance.choice(GIVEN)
        self.sex = chance.choice("MF")
        self.born = f"{chance.randint(1935, 2012)}{chance.randint(1, 12):02}{chance.randint(1, 28):02}"
        self.sample = self.code()
        self.patient = self.code()

    def code(self) -> str:
        """Return an identifier in one of the ways in which laboratories number."""
        number = self.chance.randrange(10 ** self.chance.choice((3, 4, 6, 8)))
        return self.chance.choice(("{}", "{:06}", "S{:07}", "PR{}A", "ID-{}", "LAB-{}", "26{:08}")).format(number)

    def serial(self) -> str:
        """Return a device's serial number."""
        return self.chance.choice("ABSM") + str(self.chance.randrange(1000, 999999))

    def value(self, analyte: Analyte) -> tuple[str, str]:
        """Return (value, flag), mostly within the usual range."""
        spread = (analyte.high - analyte.low) / 3
        number = max(0.0, self.chance.gauss((analyte.high + analyte.low) / 2, spread))
        flag = "L" if number < analyte.low else "H" if number > analyte.high else "N"
        return f"{number:.{analyte.decimals}f}", flag


Row = tuple[Analyte, str, str, str, str]
"""Analyte, code as sent, value as sent, range as sent, flag."""


@dataclass(frozen=True)
class Style:
    """How one make of device talks: `message` turns a session and its rows into ASTM records."""

    driver: str
    model: str
    table: Sequence[Analyte]
    message: Callable[[Session, Sequence[Row], str], list[str]]
    code: str = "^^^{}"
    value: str = "{}"
    limits: str = ""
    one_frame: bool = True
    always_all: bool = True


def _sysmex(session: Session, rows: Sequence[Row], model: str) -> list[str]:
    serial = f"{session.chance.randint(10, 24)}^^^^{session.serial()}^BS{session.chance.randrange(10**6)}"
    head = f"H|\\^&|||{model}^00-{serial}"
    tests = "\\".join(f"^^^^{row[0].code}" for row in rows)
    records = [head + "||||||||E1394-97", "P|1"]
    if session.chance.random() < 0.4:
        records[1] = f"P|1|||{session.patient}|^{session.given}^{session.family}||{session.born}|{session.sex}|||||^"
    records.append(f"O|1||^^{session.sample:>15}^{session.chance.choice('AMB')}|{tests}|||||||N||||||||||||||F")
    results = [
        f"R|{n}|{code}|{value}|{row.unit}||{flag}||||               ||{session.stamp}"
        for n, (row, code, value, _, flag) in enumerate(rows, 1)
    ]
    return [*records, *results, "L|1|N"]


def _mindray(session: Session, rows: Sequence[Row], model: str) -> list[str]:
    person = f"{session.family}^{session.given}^"
    head = f"H|\\^&|||{model}^01.0{session.chance.randint(1, 9)}^{session.serial()}|||||||PR|1394-97|{session.stamp}"
    tests = "\\".join(f"{n}^{row[0].code}^^" for n, row in enumerate(rows, 1))
    return [
        head,
        f"P|1||{session.patient}||{person}||{session.born}|{session.sex}|||A||||||||||||01|||||A1|002||||||||",
        f"O|1|{session.sample}^1^1|{session.sample}|{tests}|R|{session.stamp}|{session.stamp}||||||||serum|||||||||F|||||",
        *(
            f"R|{n}|{code}|{value}|{row.unit}|{limits}|{flag}||F||{session.stamp}|{session.stamp}|{model}^"
            for n, (row, code, value, limits, flag) in enumerate(rows, 1)
        ),
        "L|1|N",
    ]


def _horiba(session: Session, rows: Sequence[Row], model: str) -> list[str]:
    return [
        f"H|\\^&|||{model}^{session.serial()}^2.1.0.{session.chance.randrange(100)}|||||||P|LIS2-A2|{session.stamp}",
        f"P|1||{session.patient}||{session.family}^{session.given}||{session.born}|{session.sex}|||||||||||||||||WARD",
        f"O|1|{session.sample}||^^^DIF|R|{session.stamp}|{session.stamp}|||||||||||||||||||F",
        *(
            f"R|{n}|{code}|{value}|{row.unit}|{limits}^REFERENCE_RANGE|{flag}||F|||{session.stamp}||{model}"
            for n, (row, code, value, limits, flag) in enumerate(rows, 1)
        ),
        "L|1|N",
    ]


def _plain(session: Session, rows: Sequence[Row], model: str) -> list[str]:
    person = session.chance.choice(("", f"|||{session.family}^{session.given}||{session.born}|{session.sex}"))
    tests = "\\".join(row[1] for row in rows)
    version = f"{session.chance.randint(1, 9)}.{session.chance.randrange(100):02}.00.00"
    records = [
        f"H|\\^&|||{model}^{version}^S{session.chance.randrange(10**6):06}|||||||P|1394-97|{session.stamp}",
        f"P|1|{session.chance.choice((session.patient, ''))}{person}",
        f"O|1|{session.sample}||{tests}|R||{session.stamp}||||N||||||||||||||F",
    ]
    for n, (row, code, value, limits, flag) in enumerate(rows, 1):
        records.append(
            f"R|{n}|{code}|{value}|{row.unit}|{limits}|{flag}||F||$SYS$|{session.stamp}|{session.stamp}|{model}"
        )
        if session.chance.random() < 0.1:
            records.append(
                f"C|1|I|{session.chance.choice(('1.000^0.0 ' + row.unit, 'Hemolysis', 'Diluted 1:5', 'I'))}|G"
            )
    return [*records, "L|1|N"]


_PROBES = {
    "MTB-RIF Ultra": ("SPC", "IS1081-IS6110", "rpoB1", "rpoB2", "rpoB3", "rpoB4"),
    "SARS-CoV-2": ("E", "N2", "SPC"),
    "HIV-1 Viral Load": ("HIV-1", "IQS-H", "IQS-L"),
    "HCV Viral Load": ("HCV", "IQS-H", "IQS-L"),
}
_MEASURES = (
    "Ct",
    "EndPt",
    "Delta Ct",
    "Conc/LOG",
    "Melt Temp",
    "Melt Peak Height",
    "2nd Derivative Peak Height",
    "Curve Fit",
)


_FOUND = ("NOT DETECTED", "DETECTED", "DETECTED LOW", "INVALID", "ERROR", "NO RESULT", "NEGATIVE", "POSITIVE")
_PROBE_FOUND = ("NEG", "POS", "PASS", "NA", "INVALID", "NO RESULT")


def _genexpert(session: Session, _rows: Sequence[Row], model: str) -> list[str]:
    chance = session.chance
    assay = chance.choice(tuple(_PROBES))
    code = assay.split(" ", maxsplit=1)[0]
    device = f"Cepheid-{chance.randrange(10**5):05}S0^" + "^".join(str(chance.randrange(10**n)) for n in (6, 6, 9))
    found = chance.choice(_FOUND)
    version = chance.choice(("4.8", "5.3", "6.2"))
    records = [
        f"H|@^\\|URM-{chance.getrandbits(48):x}||Laboratory^{model}^{version}|||||LIS||P|1394-97|{session.stamp}",
        f"P|1|||{chance.choice(('', session.patient))}|^^^^|||||||||||||||||||||||||||||",
        f"O|1|{session.sample}||^^^{code}|R|{session.stamp}|||||||||ORH||||||||||F",
        (
            f"R|1|^{code}^^Xpert^Xpert {assay}^{chance.randint(1, 4)}^{code}^|{found}^|||||F||OPERATOR"
            f"|{session.stamp}|{session.stamp}|{device}^{session.stamp[:8]}"
        ),
        f"C|1|I|Notes^^{session.family}|I",
    ]
    for probe in _PROBES[assay]:
        records.append(f"R|{len(records)}|^{code}^^Xpert^^^{probe}^|{chance.choice(_PROBE_FOUND)}^|||")
        for measure in _MEASURES:
            value = f"{chance.choice((0.0, chance.uniform(-5, 40), chance.uniform(10, 900))):.1f}"
            records.append(f"R|{len(records)}|^{code}^^Xpert^^^{probe}^{measure}|^{value}|||")
    return [*records, "L|1|N"]


STYLES = (
    Style("astm", "XP-100", SYSMEX, _sysmex, "^^^^{}^1", "{:>5}"),
    Style("astm", "XP-300", SYSMEX, _sysmex, "^^^^{}^1", "{:>5}"),
    Style("astm", "KX-21N", SYSMEX, _sysmex, "^^^^{}^1", "{:>5}"),
    Style("astm", "XN-550", SYSMEX_DIFFERENTIAL, _sysmex, "^^^^{}^1", "{:>5}", one_frame=False),
    Style("astm", "XS-1000i", SYSMEX_DIFFERENTIAL, _sysmex, "^^^^{}^1", "{:>6}"),
    Style("astm", "BC-5380", MINDRAY, _mindray, "^^^{}", "{}", "{}-{}"),
    Style("astm", "BC-3600", MINDRAY, _mindray, "{}^{}^1^F", "{}", "{}^{}", one_frame=False),
    Style("astm", "BS-240", CHEMISTRY, _mindray, "{}^{}^1^F", "{}", "{}^{}", always_all=False),
    Style("astm", "CL-1000i", HORMONES, _mindray, "{}^{}^1^F", "{}", "{}^{}", always_all=False),
    Style("astm", "H500", HORIBA, _horiba, "^^^{}", "{}", "{} - {}"),
    Style("astm", "Pentra60", HORIBA, _horiba, "^^^{}", "{}", "{} - {}", one_frame=False),
    Style("astm", "c111", CHEMISTRY, _plain, one_frame=False, always_all=False),
    Style("astm", "MAGLUMI 800", HORMONES, _plain, "^^^{}", "{}", "{} to {}", one_frame=False, always_all=False),
    Style("astm", "AIA-360", HORMONES, _plain, "^^^{}", "{}", "{} - {}", always_all=False),
    Style("astm", "e411", HORMONES, _plain, "^^^{}^^0", "{}", "{}^TECH", one_frame=False, always_all=False),
    Style("astm", "HLC-723G8", GLYCATED, _plain, "^^^{}", "{:>5}", always_all=False),
    Style("astm", "DCA VANTAGE", URINE_ALBUMIN, _plain),
    Style("astm", "GeneXpert", (), _genexpert),
    Style("astm", "GeneXpert", (), _genexpert, one_frame=False),
)


def _frames(records: list[str], encoding: str, one_frame: bool) -> bytes:
    """Return the ASTM session: ENQ, frames with their sums, EOT."""
    texts = ["\r".join(records) + "\r"] if one_frame else [record + "\r" for record in records]
    session = b"\x05"
    for number, text in enumerate(texts, 1):
        body = str(number % 8).encode() + text.encode(encoding, "replace") + b"\x03"
        session += b"\x02" + body + f"{sum(body) % 256:02X}\r\n".encode()
    return session + b"\x04"


def _rows(session: Session, style: Style) -> list[Row]:
    table = list(style.table)
    if not style.always_all:
        table = sorted(session.chance.sample(table, session.chance.randint(1, len(table))), key=table.index)
    rows = []
    for number, analyte in enumerate(table, 1):
        value, flag = session.value(analyte)
        code = (
            style.code.format(number, analyte.code) if style.code.count("{}") == 2 else style.code.format(analyte.code)
        )
        limits = style.limits.format(f"{analyte.low:g}", f"{analyte.high:g}")
        rows.append((analyte, code, style.value.format(value), limits, flag))
    return rows


def _name(code: str) -> str:
    parts = code.split("^")
    local = [part for part in parts[3:] if part] or [part for part in parts if part]
    while len(local) > 1 and local[-1].isdigit():
        local.pop()
    return " ".join(local)


def _observations(records: list[str], known: dict[str, Analyte]) -> tuple[Observation, ...]:
    found = []
    for record in records:
        fields = record.split("|") + [""] * 12
        if fields[0] == "C" and found:
            found[-1] = Observation(**{**_fields(found[-1]), "comments": (fields[3],)})
        if fields[0] != "R":
            continue
        _, _, code, value, unit, limits, flags, _, status, _, _, begun, *rest = fields
        analyte = known.get(code)
        coded = (analyte.loinc, analyte.ucum, value.strip()) if analyte and analyte.loinc else ("", "", "")
        found.append(Observation(code, _name(code), value, unit, limits, flags, status, rest[0] or begun, (), *coded))
    return tuple(found)


def _fields(one: Observation) -> dict[str, object]:
    return {name: getattr(one, name) for name in Observation.CHECKS}


def astm_entry(chance: Random, style: Style) -> list[Tag]:
    """Return the tags of one session with an analyser of this style."""
    session = Session(chance)
    rows = _rows(session, style)
    encoding = chance.choice(("ascii", "utf-8", "cp1251", "cp1251", "latin-1"))
    if encoding in {"ascii", "latin-1"}:
        session.family, session.given = chance.choice(FAMILY[20:]), chance.choice(GIVEN[11:])
    records = style.message(session, rows, style.model)
    ids = ((f"{chance.choice('PO')}.{chance.choice('34')}", session.patient),)
    result = Result(
        chance.random() < 0.03,
        chance.choice(("", session.stamp)),
        session.sample,
        ids,
        encoding,
        _observations(records, {row[1]: row[0] for row in rows}),
    )
    head = records[0].split("|")[4]
    device = Device(
        style.driver, "1", chance.choice(("lab", "haematology", "serial-1")), head.split("^")[0], session.serial()
    )
    raw = Tag(kinds.CAPTURE, kinds.RAW, _frames(records, encoding, style.one_frame), time_ms=session.time_ms)
    return [device.to_tag(), raw, result.to_tag(), *_label(session)]


def _label(session: Session) -> list[Tag]:
    if session.chance.random() < 0.5:
        return []
    return [Patient(session.patient, "barcode", True, session.time_ms).to_tag()]


def vital_entry(chance: Random) -> list[Tag]:
    """Return the tags of one blood pressure or one oximetry."""
    session = Session(chance)
    pressure = chance.random() < 0.5
    rows = [(one, *session.value(one)) for one in (PRESSURE if pressure else OXIMETRY)]
    observations = tuple(
        Observation(
            one.code, one.code, value, one.unit, loinc=one.loinc, ucum=one.ucum, ucum_value=value if one.loinc else ""
        )
        for one, value, _ in rows
    )
    text = "SPO2={1:0>3} HR={0:0>3}\r\n".format(*(value for _, value, _ in rows))
    if pressure:
        systolic, mean, diastolic, pulse = (value for _, value, _ in rows)
        stamp = session.time.strftime("%y%m%d%H%M")
        values = f"S{systolic:>3}\x1eM{mean:>3}\x1eD{diastolic:>3}\x1eP{pulse:>3}"
        text = f"\x16\x16\x0100\x02TM2655\x1e{stamp}\x1eRB\x1eM\x1eE00\x1e{values}\x1eI17\x1eL139\x1e\x03"
    result = Result(device_time=session.stamp, encoding="ascii", observations=observations)
    driver, model = ("tm2655", "TM2655") if pressure else (chance.choice(("nonin", "contec")), "CMS50D+")
    device = Device(driver, "1", chance.choice(("pressure", "oximeter")), model)
    raw = Tag(kinds.CAPTURE, kinds.RAW, text.encode(), time_ms=session.time_ms)
    return [device.to_tag(), raw, result.to_tag(), *_label(session)]


def summary_entry(chance: Random) -> list[Tag]:
    """Return the one tag of a summary stream."""
    session = Session(chance)
    style = chance.choice(STYLES[:17])
    table = chance.choice((style.table, PRESSURE, OXIMETRY))
    form = "blood-pressure" if table is PRESSURE else "oximetry" if table is OXIMETRY else "laboratory"
    headline = tuple((one.code, session.value(one)[0], one.unit) for one in table[:8])
    return [
        Summary(
            chance.randbytes(16),
            chance.choice(KITS),
            form,
            session.time_ms,
            session.time_ms + chance.randrange(600_000),
            style.model,
            session.patient,
            entries=chance.randint(1, 5),
            partial=chance.random() < 0.1,
            headline=headline,
        ).to_tag()
    ]


def entries(seed: int, count: int) -> list[list[Tag]]:
    """Return `count` entries, the kinds as often as a van sees them."""
    chance = Random(seed)
    found = []
    for number in range(count):
        if number % 8 == 6:
            found.append(vital_entry(chance))
        elif number % 8 == 7:
            found.append(summary_entry(chance))
        else:
            found.append(astm_entry(chance, chance.choice(STYLES)))
    return found


def container(tags: Sequence[Tag]) -> bytes:
    """Return what is packed of an entry: its tags one after another."""
    return b"".join(encode(tag) for tag in tags)
