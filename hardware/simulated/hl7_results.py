"""What simulated HL7 devices have to say: ORU and OUL messages in the manner of real ones, drawn from a seed.

The shapes (fields, codes, where the id stands) are those of the makers' and IHE's documents; names, ids and values are
invented. The same seed gives the same message.

    es480    biochemistry on a serial line: the name of the test in OBX-4, OBX-13, MSH-16 = 0
    bc5380   blood count over TCP: LOINC and 99MRC codes, a histogram as a picture in base64
    pcd01    a vital signs monitor, IHE PCD-01: version 2.6, MDC codes, the enhanced mode
    law      chemistry, OUL^R22 (HL7 v2.5.1, 7.3.7; IHE LAW, LAB-29): the tube in SPM-2 and SAC-3, controls by SPM-11
"""

import base64
import struct
from random import Random
from typing import Final

from hardware.simulated.results import BLOOD_COUNT, NAMES, stamp

STYLES: Final = ("es480", "bc5380", "pcd01", "law")
LOINC: Final = {"WBC": "6690-2", "RBC": "789-8", "HGB": "718-7", "HCT": "4544-3", "PLT": "777-3", "MPV": "32623-1"}
UNITS: Final = {"10*3/uL": "10*9/L", "10*6/uL": "10*12/L", "g/dL": "g/L"}
CHEMISTRY: Final = (
    ("2", "TBil", "umol/L", 11.0, "3.4-20.5"),
    ("5", "ALT", "U/L", 24.0, "5-40"),
    ("6", "AST", "U/L", 26.0, "5-40"),
    ("17", "CREA", "umol/L", 78.0, "53-106"),
)
VITAL_SIGNS: Final = (
    ("150033^MDC_PRESS_BLD_NONINV_SYS^MDC", 128.0, "266016^MDC_DIM_MMHG^MDC", "1.11.1.1"),
    ("150034^MDC_PRESS_BLD_NONINV_DIA^MDC", 79.0, "266016^MDC_DIM_MMHG^MDC", "1.11.1.2"),
    ("149546^MDC_PULS_RATE_NON_INV^MDC", 72.0, "264864^MDC_DIM_BEAT_PER_MIN^MDC", "1.11.1.4"),
    ("150456^MDC_PULS_OXIM_SAT_O2^MDC", 97.0, "262688^MDC_DIM_PERCENT^MDC", "1.13.1.1"),
)


def message(
    style: str, seed: int, patient: str, *, at: int = 0, encoding: str = "utf-8", is_control: bool = False
) -> bytes:
    """Return one message about a patient, or a control: segments, each ended by CR. Raises LookupError."""
    chance = Random(f"hl7/{style}/{seed}/{at}")  # noqa: S311  invented values
    segments = _SEGMENTS[style](chance, patient, stamp(at), at + 1, is_control)
    charset = "ASCII" if all(one.isascii() for one in segments) else {"utf-8": "UNICODE"}.get(encoding, "")
    return "".join(one.replace("{charset}", charset) + "\r" for one in segments).encode(encoding, errors="replace")


def picture(chance: Random, width: int = 32, height: int = 16) -> bytes:
    """Return a histogram as a BMP of one bit for each dot."""
    rows = b"".join(chance.randbytes(width // 8) for _ in range(height))
    size = 62 + len(rows)
    head = struct.pack("<2sIHHI", b"BM", size, 0, 0, 62)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 1, 0, len(rows), 0, 0, 2, 2)
    return head + info + b"\0\0\0\0\xff\xff\xff\0" + rows


def _es480(chance: Random, patient: str, time: str, number: int, is_control: bool) -> list[str]:
    kind = "2" if is_control else "0"
    lines = [
        f"MSH|^~\\&|E-LAB|ES-480|||{time}||ORU^R01|{number}|P|2.3.1||||{kind}||{{charset}}||",
        'PID|1||""||' + chance.choice(("Mike", "Anna", "Petro")) + "||19851001000000|M|",
        f"OBR|1|{patient}|{number}|E-LAB^ES-480|Y|{time}|{time}||||||Serum||||||||",
    ]
    for place, (code, name, unit, mean, limits) in enumerate(CHEMISTRY, 1):
        value = f"{chance.gauss(mean, mean / 5):.1f}"
        lines.append(f"OBX|{place}|NM|{code}|{name}|{value}|{unit}|{limits}|N|||F||{value}|{time}|||")
    return lines


def _bc5380(chance: Random, patient: str, time: str, number: int, is_control: bool) -> list[str]:
    name = chance.choice(NAMES)
    lines = [
        f"MSH|^~\\&|Mindray|BC-5380|||{time}||ORU^R01|{number}|{'Q' if is_control else 'P'}|2.3.1||||||{{charset}}",
        f"PID|1||{patient}^^^^MR||{name}||19570412000000|F",
        "PV1|1|Outpatient|Van^^2|||||||||||||||||Own",
        f"OBR|1||{number:08d}|00001^Automated Count^99MRC||{time}|{time}|||||A \\T\\ B|||||||||||HM||||||||Operator",
        "OBX|1|IS|08001^Take Mode^99MRC||O||||||F",
        "OBX|2|NM|30525-0^Age^LN||69|yr|||||F",
    ]
    for place, (test, unit, mean, spread, digits) in enumerate(BLOOD_COUNT[:8], 3):
        scale = 10.0 if unit == "g/dL" else 1.0
        value = f"{chance.gauss(mean, spread / 2) * scale:.{digits}f}" if test != "MCHC" else "**.*"
        code = f"{LOINC[test]}^{test}^LN" if test in LOINC else f"1{place:04d}^{test}^99MRC"
        edited = "E" if test == "HGB" else ""
        lines.append(f"OBX|{place}|NM|{code}||{value}|{UNITS.get(unit, unit)}|1.0-99.9|N|||F||{edited}")
    image = base64.b64encode(picture(chance)).decode("ascii")
    lines.append(f"OBX|11|ED|15056^WBC Histogram. BMP^99MRC||^Image^BMP^Base64^{image}||||||F")
    lines.append("NTE|1||lysed? repeat \\F\\ compare\\.br\\гемоліз")
    return lines


def _pcd01(chance: Random, patient: str, time: str, number: int, is_control: bool) -> list[str]:
    zone = f"{time}+0300"
    mode = "D" if is_control else "P"
    profile = "IHE_PCD_001^IHE PCD^1.3.6.1.4.1.19376.1.6.1.1.1^ISO"
    lines = [
        f"MSH|^~\\&|SIM_GATEWAY^0012210000000001^EUI-64|SIM|||{zone}||ORU^R01^ORU_R01|MON{number:06d}|{mode}|2.6|||AL|NE||",
        f"PID|||{patient}^^^VAN^PI||{chance.choice(NAMES)}^^^^^L||19570412|F",
        "PV1||E|VAN^^3",
        f"OBR|1|{number}^SIM|{number}^SIM|182777000^monitoring of patient^SCT|||{zone}",
        "OBX|1||69965^MDC_DEV_MON_PHYSIO_MULTI_PARAM_MDS^MDC|1.0.0.0|||||||X|||||||0012210000000001^SIM^EUI-64",
    ]
    lines[0] += f"UNICODE UTF-8|||{profile}"
    for place, (code, mean, unit, where) in enumerate(VITAL_SIGNS, 2):
        value = f"{min(100.0 if '97' in str(mean) else 250.0, chance.gauss(mean, 3)):.0f}"
        lines.append(f"OBX|{place}|NM|{code}|{where}|{value}|{unit}|||||R|||{zone}")
    return lines


def _law(chance: Random, patient: str, time: str, number: int, is_control: bool) -> list[str]:
    tube, role = (f"LOT{number:04d}", "Q") if is_control else (f"T{patient}", "P")
    lines = [
        f"MSH|^~\\&|SIM_CHEM|LAB|HOST|LAB|{time}||OUL^R22^OUL_R22|LAW{number:06d}|P|2.5.1|||NE|AL||{{charset}}|||LAB-29^IHE",
        *([] if is_control else [f"PID|||{patient}||{chance.choice(NAMES)}||19570412|F"]),
        f"SPM|1|{tube}&HOST||SER^Serum^HL70487|||||||{role}",
        f"SAC|||{tube}",
    ]
    for code, name, unit, mean, limits in CHEMISTRY:
        value = f"{chance.gauss(mean, mean / 5):.1f}"
        lines += [
            f"OBR||{time}{number:04d}{code}||{code}^{name}^99SIM",
            f"ORC|OK||||CM||||{time}",
            f"OBX|1|NM|{code}^{name}^99SIM||{value}|{unit}^{unit}^99SIM|{limits}|N|||F|||||OPERATOR||SIM^LAB|{time}",
            f"TCD|{code}^{name}^99SIM|1",
        ]
    return lines


_SEGMENTS: Final = {"es480": _es480, "bc5380": _bc5380, "pcd01": _pcd01, "law": _law}
