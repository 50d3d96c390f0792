"""SCP-ECG, as far as the kit looks into it: is it one, is it whole, whose is it, when was it made.

Written from EN 1064:2005+A1:2007 / ISO 11073-91064, clauses 5.2 to 5.5. Little-endian throughout.

    record:  crc u16 | length u32 of the record | sections
    section: crc u16 | id u16 | length u32 | version u8 | protocol u8 | 6 reserved ("SCPECG" in section 0) | data
    crc:     CCITT (1021, FFFF) over everything after it
    section 0: of each section, itself first: id u16 | length u32 | place u32, counted from 1
    section 1: tag u8 | length u16 | value, until tag 255; 25 is the date (year u16, month, day), 26 the time

Devices are known that get CRCs, lengths or byte order wrong (Healforce writes year and samples big-endian), and some
leave "SCPECG" out. What does not hold is noted; the file is kept as it came, and nothing is read that does not stand
where the record says. Sections follow one another, or lie where section 0 says.
"""

import datetime as dt
import struct
from binascii import crc_hqx
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

HEAD_SIZE: Final = 6
SECTION_HEAD_SIZE: Final = 16
POINTER_SIZE: Final = 10
SECTIONS_COUNT_MAX: Final = 64
TAGS_COUNT_MAX: Final = 256
MARK: Final = b"SCPECG"
YEAR_MIN: Final = 1900
LAST_NAME, FIRST_NAME, PATIENT_ID, DEVICE, DATE, TIME, LAST_TAG = 0, 1, 2, 14, 25, 26, 255
BIRTH, SEX, SECOND_NAME = 5, 8, 3
TEXTS: Final = {PATIENT_ID: "1.2", LAST_NAME: "1.0", FIRST_NAME: "1.1", SECOND_NAME: "1.3"}
"""What names the patient, and how a RESULT calls it: section and tag."""
MODEL_PLACE: Final = slice(8, 14)
"""In tag 14: institution, department, device, type (u16 each, u8 and u8), then five characters and NUL of the model."""
LANGUAGE_AT: Final = 16
WIDE: Final = b"\x07"
"""The language support code in tag 14 of texts in ISO 10646, two bytes a character."""


@dataclass(frozen=True, slots=True)
class Record:
    """What was read. `size`: of the record, as it says itself; `faults`: what does not hold."""

    size: int
    faults: tuple[str, ...] = ()
    texts: tuple[tuple[str, bytes], ...] = ()
    time: str = ""
    model: bytes = b""
    sections: Mapping[int, bytes] = field(default_factory=dict)
    """The data of each section whose CRC holds."""
    is_wide: bool = False
    """Its texts were UTF-16, and are UTF-8 here."""


def is_record(head: bytes) -> bool:
    """Tell whether a file begins as an SCP-ECG record does: by its mark, or by a section 0 that points to itself."""
    if len(head) < HEAD_SIZE + SECTION_HEAD_SIZE + POINTER_SIZE:
        return head[16:22] == MARK and len(head) >= HEAD_SIZE + SECTION_HEAD_SIZE
    number, size = struct.unpack_from("<HI", head, HEAD_SIZE + 2)
    points = struct.unpack_from("<HII", head, HEAD_SIZE + SECTION_HEAD_SIZE)
    return head[16:22] == MARK or (number == 0 < size and points == (0, size, HEAD_SIZE + 1))


def read(data: bytes) -> Record | None:
    """Return what an SCP-ECG record says; None when it is none. Never raises."""
    if not is_record(data):
        return None
    crc, size = struct.unpack_from("<HI", data)
    faults = []
    if size > len(data):
        faults.append(f"the record says {size} bytes, and {len(data)} are there")
    elif crc_hqx(data[2:size], 0xFFFF) != crc:
        faults.append("the CRC of the record does not hold")
    sections, lost = _all_sections(data[: min(size, len(data))])
    faults += [f"the CRC of section {number} does not hold" for number, _, is_good in sections if not is_good]
    faults += [f"section {number} is not where the record says" for number in lost]
    patient = next((body for number, body, _ in sections if number == 1), b"")
    tags = dict(reversed(list(_tags(patient))))
    is_wide = tags.get(DEVICE, b"")[LANGUAGE_AT : LANGUAGE_AT + 1] == WIDE
    texts = tuple((name, text) for tag, name in TEXTS.items() if (text := _text(tags.get(tag, b""), is_wide=is_wide)))
    good = {number: body for number, body, is_good in reversed(sections) if is_good}
    model = _text(tags.get(DEVICE, b"")[MODEL_PLACE])
    time = _time(tags)
    if not time and tags.get(DATE):
        faults.append(f"its date is none: {tags[DATE][:4].hex(' ')}")
    return Record(size, tuple(faults), texts, time, model, good, is_wide)


def _all_sections(record: bytes) -> tuple[list[tuple[int, bytes, bool]], list[int]]:
    """Return the sections, and the numbers of those that section 0 names and that are not there."""
    found = list(_sections(record))
    lost = []
    room = len(record)  # sections may lie within one another in a record that means ill, and each is a copy
    pointers = next((body for number, body, is_good in found if number == 0 and is_good), b"")
    for at in range(0, min(len(pointers), SECTIONS_COUNT_MAX * POINTER_SIZE) - POINTER_SIZE + 1, POINTER_SIZE):
        number, size, place = struct.unpack_from("<HII", pointers, at)
        if not size or any(number == known for known, _, _ in found):
            continue
        there = _section(record, place - 1) if place and size <= room else None
        if there is not None and (there[0], len(there[1])) == (number, size - SECTION_HEAD_SIZE):
            found.append(there)
            room -= size
        else:
            lost.append(number)
    return found, lost


def _section(record: bytes, at: int) -> tuple[int, bytes, bool] | None:
    """Return (id, data, CRC holds) of the section that begins there; None where none does."""
    if at + SECTION_HEAD_SIZE > len(record):
        return None
    crc, number, size = struct.unpack_from("<HHI", record, at)
    if size < SECTION_HEAD_SIZE or at + size > len(record):
        return None
    return number, record[at + SECTION_HEAD_SIZE : at + size], crc_hqx(record[at + 2 : at + size], 0xFFFF) == crc


def _sections(record: bytes) -> Iterator[tuple[int, bytes, bool]]:
    """Yield (id, data, CRC holds), as they follow one another."""
    at = HEAD_SIZE
    for _ in range(SECTIONS_COUNT_MAX):
        found = _section(record, at)
        if found is None:
            return
        yield found
        at += SECTION_HEAD_SIZE + len(found[1])


def _tags(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    for _ in range(TAGS_COUNT_MAX):
        if at + 3 > len(body) or body[at] == LAST_TAG:
            return
        (size,) = struct.unpack_from("<H", body, at + 1)
        if at + 3 + size > len(body):
            return
        yield body[at], body[at + 3 : at + 3 + size]
        at += 3 + size


def _text(value: bytes, *, is_wide: bool = False) -> bytes:
    if not is_wide:
        return value.partition(b"\0")[0].strip()
    encoding = "utf-16" if value[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-16-le"
    return value.decode(encoding, "replace").partition("\0")[0].strip().encode()


def _time(tags: dict[int, bytes]) -> str:
    """Return date and time of acquisition as digits; "" when there is no date, or it is none."""
    date, time = tags.get(DATE, b""), tags.get(TIME, b"")
    if len(date) != 4:
        return ""
    try:
        day = dt.date(*struct.unpack("<HBB", date))
    except ValueError:
        return ""
    if day.year < YEAR_MIN:
        return ""
    clock = tuple(time) if len(time) == 3 else ()
    is_time = len(clock) == 3 and clock[0] < 24 and clock[1] < 60 and clock[2] < 60
    return f"{day:%Y%m%d}" + ("".join(f"{part:02d}" for part in clock) if is_time else "")
