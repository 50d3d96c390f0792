"""What is read of a DICOM file: whose it is, what made it, and to which study and series it belongs. Owns nothing.

Written from DICOM PS3.10 (the file: preamble, DICM, meta information) and PS3.6 (the elements); pydicom reads them,
in the file's own character set. Elements up to group 0020 in the first HEAD_SIZE_MAX bytes are looked at, never
pixels. The file may be a stranger's: whatever pydicom says to it, it is a file that was not read, and it travels
untouched. Of one that is deflated no more than that head is inflated; one of more than HEAD_ELEMENTS_MAX elements, or
whose elements cannot be followed beyond UNFOLLOWED_MAX bytes, would take pydicom minutes, and is not read so far.
"""

import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from edge.dicom_whole import TooMany, head_size, plain
from wire.record import Observation, Result

MEDIA_TYPE: Final = "application/dicom"
MARK: Final = b"DICM"
MARK_AT: Final = 128
BARE: Final = (b"\x08\0", b"\0\x08")
UNMARKED: Final = "it does not begin with the mark DICM"
ENDINGS: Final = (".dcm", ".dicom")
HEAD_SIZE_MAX: Final = 4 << 20
TEXT_MAX: Final = 120
LAST_GROUP: Final = 0x0020
HEAD_ELEMENTS_MAX: Final = 50_000
UNFOLLOWED_MAX: Final = 1 << 18
DIRECTORY: Final = "1.2.840.10008.1.3.10"
"""SOP class of a DICOMDIR: the index of a medium."""
NAMED: Final = (("0010,0020", "PatientID"), ("0010,0010", "PatientName"), ("0010,0030", "PatientBirthDate"))
"""What names the patient, and how a RESULT calls it."""
TOLD: Final = (
    ("0008,0060", "Modality"),
    ("0008,1030", "StudyDescription"),
    ("0008,103E", "SeriesDescription"),
    ("0018,0015", "BodyPartExamined"),
    ("0018,5101", "ViewPosition"),
    ("0020,0060", "Laterality"),
    ("0020,0062", "ImageLaterality"),
    ("0020,000D", "StudyInstanceUID"),
    ("0020,000E", "SeriesInstanceUID"),
    ("0008,0018", "SOPInstanceUID"),
    ("0020,0011", "SeriesNumber"),
    ("0020,0013", "InstanceNumber"),
)


@dataclass(frozen=True, slots=True)
class Dicom:
    """What was read; all of it empty where the file could not be. `is_index`: a DICOMDIR, which is nobody's study."""

    result: Result
    patient_id: str = ""
    model: str = ""
    study_uid: str = ""
    order: tuple[int, int] = (0, 0)
    """Series and instance number."""
    is_index: bool = False
    partial: str = ""
    """How it ends too soon (`edge.dicom_whole`)."""


def is_dicom(data: bytes) -> bool:
    """Tell whether a file begins as DICOM's does."""
    return data[MARK_AT : MARK_AT + len(MARK)] == MARK


def is_named(name: str) -> bool:
    """Tell whether a file is called as DICOM's are: old scanners write them without what they should begin with."""
    return name.lower().endswith(ENDINGS)


def read(data: bytes) -> Dicom:
    """Return what a DICOM file says. Never raises; what could not be read stands in the notes."""
    if not is_dicom(data):
        return _read_bare(data)
    try:
        made = plain(data, HEAD_SIZE_MAX)
    except ValueError as error:
        return _unread(str(error))
    found = _read_safely(made.data)
    if not made.cut:
        return found
    partial = f"the file is cut short: {made.cut}"
    return replace(found, partial=partial, result=replace(found.result, notes=(*found.result.notes, partial)))


def _read_bare(data: bytes) -> Dicom:
    """Return what a file without preamble and meta information says: one that begins with an element of group 0008."""
    if not data.startswith(BARE):
        return _unread(UNMARKED)
    found = _read_safely(data)
    notes = (*found.result.notes, UNMARKED)
    return replace(found, result=replace(found.result, notes=notes))


def _read_safely(data: bytes) -> Dicom:
    try:
        size = head_size(data, LAST_GROUP, HEAD_ELEMENTS_MAX)
        head = data[: UNFOLLOWED_MAX if size is None else min(size, HEAD_SIZE_MAX)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they hold values, and values are a patient's
            return _read(head)
    except TooMany:
        return _unread(f"they are more than {HEAD_ELEMENTS_MAX}")
    except ImportError:
        return _unread("pydicom is not installed")
    except Exception as error:  # noqa: BLE001  whatever a damaged file makes it raise
        return _unread(type(error).__name__)


def _unread(why: str, *, is_index: bool = False) -> Dicom:
    return Dicom(Result(notes=(f"its DICOM elements were not read: {why}",)), is_index=is_index)


def _read(head: bytes) -> Dicom:
    from pydicom.filereader import read_partial

    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)  # as above
    found = read_partial(io.BytesIO(head), stop_when=lambda tag, vr, length: tag.group > LAST_GROUP, force=True)
    texts = {name: _text(found, name) for _, name in (*NAMED, *TOLD)}
    date = " ".join(filter(None, (_text(found, "StudyDate"), _text(found, "StudyTime"))))
    result = Result(
        device_time=date,
        patient_ids=tuple((place, texts[name]) for place, name in NAMED if texts[name]),
        encoding=_text(found, "SpecificCharacterSet"),
        observations=tuple(Observation(place, name, texts[name]) for place, name in TOLD if texts[name]),
    )
    is_index = str(found.file_meta.get("MediaStorageSOPClassUID", "")) == DIRECTORY
    if not result.patient_ids and not result.observations:
        return _unread("none of those looked for is there", is_index=is_index)
    model = " ".join(filter(None, (_text(found, "Manufacturer"), _text(found, "ManufacturerModelName"))))[:TEXT_MAX]
    order = _number(texts["SeriesNumber"]), _number(texts["InstanceNumber"])
    return Dicom(result, texts["PatientID"], model, texts["StudyInstanceUID"], order, is_index)


def _text(found: Any, name: str) -> str:  # noqa: ANN401  pydicom's data set, and pydicom is loaded late
    value = found.get(name)
    # Several values stand in the file with a backslash between them, and so they are told.
    is_many = isinstance(value, Sequence) and not isinstance(value, str)
    text = "" if value is None else ("\\".join(map(str, value)) if is_many else str(value)).strip()
    return "".join(char if char.isprintable() else "?" for char in text)[:TEXT_MAX]


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0
