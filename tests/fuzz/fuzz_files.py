"""Invariant: whatever a file holds that somebody brings, telling what it is raises nothing and prints nothing, what is
read of it can be written as tags, and a patient is named only as the file's own elements do.

`sh tests/fuzz/run.sh 60 fuzz_files`, or `python -m tests.fuzz.fuzz_files`.
"""

from edge.dicom_files import TEXT_MAX
from edge.file_contents import KINDS, contents_of
from hardware.simulated.scp_ecg import record
from tests.edge.dicom_made import dicom
from tests.fuzz.driver import drive
from wire.record import FORMS, Result
from wire.waveform import Waveform

SEEDS = [
    dicom(),
    dicom(study="1.2.4", patient="", PatientComments="x" * 300),
    record(1, "12345674", samples=20),
]


def check(data: bytes) -> None:
    """Hold the invariant for one file."""
    contents = contents_of("IM1", data)
    assert contents.kind in KINDS
    assert contents.form in {"", *FORMS}
    for result in contents.results:
        assert Result.from_tag(result.to_tag()) == result
        assert all(len(value) <= TEXT_MAX for _, value in result.patient_ids)
    for wave in contents.waves:
        Waveform.from_tag(wave)
    named = {value for result in contents.results for _, value in result.patient_ids}
    assert set(contents.ids) <= named


if __name__ == "__main__":
    drive(check, SEEDS)
