"""What a file is that somebody brings, and what a study says of it beside keeping it untouched.

Of an SCP-ECG its leads and whose it is (`edge.scp_ecg`), of DICOM what identifies patient and study
(`edge.dicom_files`), of a spectrum its times and counts (`edge.spectra`); of every other file only what kind it is.
Owns and raises nothing.
"""

import mimetypes
from dataclasses import dataclass
from typing import Final

from edge import charset, dicom_files, scp_ecg
from edge.drivers import transfer_scp
from edge.spectra import ENDINGS, is_spectra, read_spectra
from wire.record import Result
from wire.tag import Tag

OCTETS: Final = "application/octet-stream"
USUAL: Final = ("dicom", "ecg", "spectrum", "pdf", "picture", "csv")
KINDS: Final = (*USUAL, "other")
UNREAD_SPECTRUM: Final = Result(notes=("its spectrum was not read: it is damaged, or of a form that is not known",))
UNREAD_ECG: Final = Result(notes=("its ECG was not read: it does not begin as an SCP-ECG record does",))
_BEGINNINGS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is known of one file. `form`: "" where the file does not say it. `ids`: by which it means a patient."""

    kind: str
    media_type: str
    form: str = ""
    results: tuple[Result, ...] = ()
    waves: tuple[Tag, ...] = ()
    ids: tuple[str, ...] = ()
    model: str = ""
    partial: str = ""
    study_uid: str = ""
    order: tuple[int, int] = (0, 0)
    is_index: bool = False


def media_type_of(name: str, data: bytes) -> str:
    """Return what a file is: by how it begins, else by its name."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    known = next((media for beginning, media in _BEGINNINGS if data.startswith(beginning)), None)
    guessed = mimetypes.guess_type(name)[0] or OCTETS
    # A name that says picture over bytes that are none: a browser must not be told so.
    return known or (OCTETS if guessed.startswith("image/") else guessed)


def contents_of(name: str, data: bytes) -> Contents:
    """Return what the file is and says."""
    if dicom_files.is_dicom(data):
        return _of_dicom(dicom_files.read(data))
    record = transfer_scp.read(data)
    if record is not None:
        return _of_ecg(record)
    if spectra := read_spectra(name, data):
        return Contents("spectrum", media_type_of(name, data), results=spectra)
    media_type = media_type_of(name, data)
    kind = "spectrum" if is_spectra(data) else _kind_of(media_type, name.lower())
    if kind == "dicom":
        return _of_dicom(dicom_files.read(data))
    if kind == "ecg":
        return Contents(kind, scp_ecg.MEDIA_TYPE, "ecg", (UNREAD_ECG,))
    return Contents(kind, media_type, results=(UNREAD_SPECTRUM,) if kind == "spectrum" else ())


def kind_of_head(name: str, head: bytes) -> str:
    """Return of which kind a file is by its name and first bytes; of XML it may turn out to be none."""
    if dicom_files.is_dicom(head):
        return "dicom"
    if transfer_scp.is_record(head):
        return "ecg"
    is_maybe = name.lower().endswith(".xml") or is_spectra(head)
    return "spectrum" if is_maybe else _kind_of(media_type_of(name, head), name.lower())


def _kind_of(media_type: str, name: str) -> str:
    if media_type == "application/pdf":
        return "pdf"
    if media_type.startswith("image/"):
        return "picture"
    if dicom_files.is_named(name) and media_type in {dicom_files.MEDIA_TYPE, OCTETS}:
        return "dicom"
    if name.endswith(".scp"):
        return "ecg"
    if name.endswith(ENDINGS):
        return "spectrum"
    return "csv" if name.endswith((".csv", ".tsv")) else "other"


def _of_dicom(found: dicom_files.Dicom) -> Contents:
    ids = (found.patient_id,) if found.patient_id else ()
    return Contents(
        "dicom",
        dicom_files.MEDIA_TYPE,
        results=(found.result,),
        ids=ids,
        model=found.model,
        partial=found.partial,
        study_uid=found.study_uid,
        order=found.order,
        is_index=found.is_index,
    )


def _of_ecg(record: transfer_scp.Record) -> Contents:
    encodings: list[str] = []

    def decode(raw: bytes) -> tuple[str, str]:
        text, encoding = charset.decode(raw, charset.detect(raw))
        encodings.append(encoding)
        return text, encoding

    ecg = scp_ecg.read(record, decode)
    encoding = next((one for one in encodings if one != "ascii"), "ascii")
    result = Result(device_time=ecg.time, patient_ids=ecg.patient_ids, encoding=encoding, notes=ecg.notes)
    return Contents("ecg", scp_ecg.MEDIA_TYPE, "ecg", (result,), ecg.waves, ecg.ids, ecg.model, partial=ecg.partial)
