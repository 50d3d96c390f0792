"""An SCP-ECG record of an invented patient: twelve leads, ten seconds, 500 Hz, drawn from a seed.

Written from EN 1064:2005+A1:2007: clause 5.2 (record), 5.3 (section header), 5.4 (pointers), 5.5 (patient), 5.6 (no
Huffman table: the data are not compressed), 5.7 (leads), 5.10 (rhythm). The same seed gives the same record.

`FAULTS` are those of real devices that call their files SCP-ECG.
"""

import struct
from collections.abc import Iterable, Mapping
from math import exp
from random import Random
from typing import Final

SAMPLES: Final = 5_000
RATE_HZ: Final = 500
LEADS: Final = (1, 2, 3, 4, 5, 6, 7, 8)
"""I, II, V1 to V6; the others follow from I and II."""
PROTOCOL: Final = 20
FAULTS: Final[Mapping[str, str]] = {
    "record-crc": "the CRC of the record is wrong",
    "section-crc": "the CRC of section 1 is wrong",
    "length": "the record says that it is longer than it is",
}


def crc(data: bytes) -> int:
    """Return the CRC-CCITT of EN 1064, 5.2.4: polynomial 1021, from FFFF."""
    value = 0xFFFF
    for byte in data:
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1 ^ 0x1021 if value & 0x8000 else value << 1) & 0xFFFF
    return value


def record(
    seed: int, patient: str, at: int = 0, *, name: str = "Kovalchuk", samples: int = SAMPLES, faults: Iterable[str] = ()
) -> bytes:
    """Return the record of the `at`-th patient of an invented day."""
    faults = set(faults)
    bodies = {1: _patient(patient, name, at), 3: _leads(samples), 6: _rhythm(Random(f"ecg/{seed}/{at}"), samples)}  # noqa: S311  invented values
    sections = {number: _section(number, body) for number, body in bodies.items()}
    if "section-crc" in faults:
        sections[1] = bytes((sections[1][0] ^ 0xFF,)) + sections[1][1:]
    pointers = _section(0, _pointers(sections), b"SCPECG")
    body = pointers + b"".join(sections.values())
    size = 6 + len(body) + (512 if "length" in faults else 0)
    rest = struct.pack("<I", size) + body
    return struct.pack("<H", crc(rest) ^ (0x5A if "record-crc" in faults else 0)) + rest


def _section(number: int, body: bytes, reserved: bytes = b"\0" * 6) -> bytes:
    body += b"\0" * (len(body) % 2)
    rest = struct.pack("<HIBB", number, 16 + len(body), PROTOCOL, PROTOCOL) + reserved + body
    return struct.pack("<H", crc(rest)) + rest


def _pointers(sections: Mapping[int, bytes]) -> bytes:
    """Section 0: id, length and place of each section 0 to 11; places are counted from 1."""
    sizes = {0: 16 + 12 * 10} | {number: len(section) for number, section in sections.items()}
    out, place = b"", 7
    for number in range(12):
        size = sizes.get(number, 0)
        out += struct.pack("<HII", number, size, place if size else 0)
        place += size
    return out


def _patient(patient: str, name: str, at: int) -> bytes:
    device = struct.pack("<HHHBB", 0, 0, 1, 0, 255) + b"SIM12\0" + bytes((PROTOCOL, 0, 0, 0)) + b"\0" * 18
    tags = (
        (0, name.encode("latin-1", errors="replace") + b"\0"),
        (2, patient.encode("ascii", errors="replace") + b"\0"),
        (5, struct.pack("<HBB", 1957, 4, 12)),
        (8, b"\x02"),
        (14, device),
        (25, struct.pack("<HBB", 2026, 8, 1 + at // 900 % 28)),
        (26, bytes((8 + at // 60 % 10, at % 60, 0))),
        (255, b""),
    )
    return b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags)


def _leads(samples: int) -> bytes:
    head = bytes((len(LEADS), 0x04 | len(LEADS) << 3))
    return head + b"".join(struct.pack("<IIB", 1, samples, lead) for lead in LEADS)


def _rhythm(chance: Random, samples: int) -> bytes:
    """Section 6: 1 microvolt a step, 2 ms a sample, neither differences nor bimodal compression; 16 bits each."""
    beat_s = 60 / chance.uniform(55, 90)
    heights = [chance.uniform(300, 1500) for _ in LEADS]
    leads = [
        struct.pack(f"<{samples}h", *(round(height * _wave(at / RATE_HZ % beat_s)) for at in range(samples)))
        for height in heights
    ]
    head = struct.pack("<HHBB", 1000, 2000, 0, 0) + b"".join(struct.pack("<H", len(lead)) for lead in leads)
    return head + b"".join(leads)


def _wave(second: float) -> float:
    """Return P, Q, R, S and T, as five bells."""
    bells = ((0.12, 0.025, 0.15), (0.235, 0.01, -0.1), (0.26, 0.011, 1.0), (0.285, 0.01, -0.2), (0.5, 0.05, 0.3))
    return sum(height * exp(-(((second - middle) / width) ** 2)) for middle, width, height in bells)
