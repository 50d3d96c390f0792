"""Tanita body composition scales (SC-240, WB-3000, BD-815U and their kin): one long line for each person, sent once.

Written from the data output of the SC-240's manual, tried on the line printed there and on those of an SC-330, an
MC-780 and three BC-601 as others print them; on no unit of our own. 9600 8N1, older ones 4800; CR LF:

    {0,16,~0,1,~1,1,~2,1,MO,"SC-240",SN,"00000002",Bt,0,GE,1,AG,30,Hm,170,..,Wk,82.7,..,CS,FD

Keys and values in turn; CS is the sum of all bytes from `{` to the comma before CS, modulo 256, in hex; an SC-330
puts `}` behind it. The line is sent unasked and never repeated: the port must be open when somebody steps on. A
WB-3000 sends a stray pulse afterwards.

`KEYS` has names and units for what the printed lines themselves prove (82.7 kg at 170 cm is its index 28.6; fat 15.4 kg
is its 18.6 %; 8255 kJ are its 1973 kcal; muscle and bone are what is free of fat); every other key is shown as it came,
with no unit. Larger scales send the id that was entered, and their date and time, in an order that is theirs: told as
they stand. An id of zeros is none.
"""

from collections.abc import Mapping
from typing import Final

from edge.driver import Driver, Facts, Line, Option
from edge.readings import LineDriver, Lines, Reading, damaged, observation
from edge.registry import read_options
from edge.signs import CHECK, Signs
from wire.record import Observation

LINE_SIZE_MAX: Final = 2_048
"""A line of an SC-240 has 219 bytes; scales that measure limb by limb send several times that."""
COMMAS_MIN: Final = 5
"""With so many commas it was meant to be a record."""
PAIRS_MAX: Final = 256

FACTS: Final = Facts(
    name="tanita",
    version="1",
    title="Tanita body composition scales",
    manual="Tanita SC-240 manual, data output",
    form="body-measures",
    lines=(Line(9600), Line(4800)),
    options=(
        Option("show", "all", "which keys become values", ("all", "named")),
        Option("id", "patient", "what the id on the scale names", ("patient", "nobody")),
    ),
)

KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "Wk": ("body weight", "kg"),
    "Hm": ("body height", "cm"),
    "MI": ("BMI", "kg/m2"),
    "FW": ("body fat", "%"),
    "fW": ("fat mass", "kg"),
    "MW": ("fat free mass", "kg"),
    "mW": ("muscle mass", "kg"),
    "bW": ("bone mass", "kg"),
    "wW": ("body water", "kg"),
    "ww": ("body water share", "%"),
    "rb": ("basal metabolic rate", "kJ"),
    "rB": ("basal metabolic rate", "kcal"),
    "GE": ("sex as entered", ""),
    "AG": ("age as entered", ""),
}
"""In this order they are shown; the others follow in the order of the line."""
ID: Final = "ID"
DATES: Final = ("Da", "DA", "DT")
TIMES: Final = ("TI", "Ti")
HEAD: Final = frozenset({"MO", "SN", "CS", ID, *DATES, *TIMES})


def read(line: bytes, *, only_named: bool = False, names_patient: bool = True) -> Reading | None:
    """Return what a line says; None when it was never meant to be a record."""
    begins = line.find(b"{")
    if begins < 0:
        return damaged("the line has lost its beginning") if line.count(b",") >= COMMAS_MIN else None
    body = line[begins:].rstrip(b"\r\n\x00 ")
    at = body.rfind(b",CS,")
    if at < 0:
        return damaged("the line has no checksum") if body.count(b",") >= COMMAS_MIN else None
    want, have = f"{sum(body[: at + 1]) & 0xFF:02X}", body[at + 4 :].decode("latin-1").upper()
    if have not in {want, want + "}"}:
        return damaged(f"its checksum is {have[:8]}, want {want}")
    return _read(body[1:at].decode("latin-1"), only_named=only_named, names_patient=names_patient)


def _read(text: str, *, only_named: bool, names_patient: bool) -> Reading:
    fields = text.split(",")[: 2 * PAIRS_MAX]
    pairs = dict(zip(fields[0::2], (one.strip().strip('"') for one in fields[1::2]), strict=False))
    named = [_named(key, pairs[key]) for key in KEYS if key in pairs]
    others = [] if only_named else [observation(key, value) for key, value in pairs.items() if _is_other(key)]
    time = " ".join(filter(None, (_first(pairs, DATES), _first(pairs, TIMES))))
    identity = pairs.get(ID, "").strip()
    ids = (identity,) if names_patient and identity.strip("0") else ()
    return Reading((*named, *others), pairs.get("MO", ""), pairs.get("SN", ""), time=time, patient_ids=ids)


def _first(pairs: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((pairs[key] for key in keys if key in pairs), "")


def _named(key: str, value: str) -> Observation:
    name, unit = KEYS[key]
    return observation(name, value, unit, code=key)


def _is_other(key: str) -> bool:
    return key not in KEYS and key not in HEAD and not key.startswith("~") and not key.isdigit()


def create(options: Mapping[str, object]) -> Driver:
    """Return a driver for one scale. Raises ConfigError."""
    chosen = read_options(FACTS, options)
    only_named, names_patient = chosen["show"] == "named", chosen["id"] == "patient"
    lines = Lines((0x0A,), LINE_SIZE_MAX)
    return LineDriver(
        FACTS.form, FACTS.name, lines, lambda line: read(line, only_named=only_named, names_patient=names_patient)
    )


def _whole(data: bytes) -> int:
    found = (read(line) for line in data.split(b"\n"))
    return sum(one is not None and not one.partial for one in found)


SIGNS: Final = Signs(CHECK, _whole)
