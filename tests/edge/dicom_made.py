"""DICOM files for tests, written by pydicom."""

import io

from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

DIRECTORY = "1.2.840.10008.1.3.10"


def dicom(study="1.2.3", number=1, patient="113", series=1, pixels=b"\1" * 64, **more):
    """Return one image of a study."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = more.pop("sop_class", SecondaryCaptureImageStorage)
    meta.MediaStorageSOPInstanceUID = f"{study}.{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=bytes(128))
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.Modality, data.StudyDate, data.StudyTime = "US", "20261122", "083000"
    data.Manufacturer, data.ManufacturerModelName = "Made for tests", "none"
    data.PatientID, data.PatientName = patient, "Koval^Olena"
    data.StudyInstanceUID, data.SeriesInstanceUID = study, f"{study}.{series}"
    data.SeriesNumber, data.InstanceNumber = series, number
    data.Rows = data.Columns = 8
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 7, 0, 1
    data.PhotometricInterpretation, data.PixelData = "MONOCHROME2", pixels
    for name, value in more.items():
        setattr(data, name, value)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()
