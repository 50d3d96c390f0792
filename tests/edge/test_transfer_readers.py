"""SCP-ECG as two independent readers see it, libbiosig and ecgdatakit: the same patient, time and samples as ours.

Of a real record (Mortara ELI 250) and of our simulator's, so that the simulator is held to the standard by others, too.
"""

import re
import shutil
import subprocess

import pytest

from edge.drivers import transfer_leads, transfer_scp
from hardware.simulated.scp_ecg import record
from tests.edge.samples import sample

NAMES = ["ELI 250", "simulator"]


def record_of(name):
    return sample("ecg/ecgtoolkit-example.scp") if name == "ELI 250" else record(7, "24310077", 3, samples=400)


def ours(raw):
    """Patient, time, and each lead in microvolts, as our reader has it."""
    seen = transfer_scp.read(raw)
    leads = transfer_leads.read(seen.sections)
    microvolts = {
        name: [one * leads.microvolts for one in samples]
        for name, samples in zip(leads.names, leads.samples, strict=True)
    }
    return dict(seen.texts)["1.2"].decode(), seen.time, leads.rate_hz, microvolts


@pytest.mark.parametrize("name", NAMES)
def test_ecgdatakit_reads_the_same(name, tmp_path):
    ecgdatakit = pytest.importorskip("ecgdatakit", reason="ECGDATAKIT ABSENT: pip install ecgdatakit")
    path = tmp_path / "ecg.scp"
    path.write_bytes(record_of(name))
    theirs = ecgdatakit.FileParser().parse(str(path))
    patient, time, rate_hz, microvolts = ours(path.read_bytes())
    assert theirs.patient.patient_id == patient
    assert theirs.recording.date.strftime("%Y%m%d%H%M%S") == time
    assert [lead.label for lead in theirs.leads] == list(microvolts)
    for lead in theirs.leads:
        assert lead.sampling_rate == rate_hz
        assert lead.units == "mV"
        assert [1000 * float(one) for one in lead.samples] == pytest.approx(microvolts[lead.label], abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_libbiosig_reads_the_same(name, tmp_path):
    if shutil.which("save2gdf") is None:
        pytest.skip("BIOSIG ABSENT: no save2gdf here; Debian: apt install biosig-tools")
    path = tmp_path / "ecg.scp"
    path.write_bytes(record_of(name))
    subprocess.run(["save2gdf", "-f=ASCII", path, tmp_path / "out.asc"], check=True, capture_output=True)
    head = (tmp_path / "out.asc").read_text("latin-1")
    patient, time, _, microvolts = ours(path.read_bytes())
    assert re.search(r"^Patient.Id\s+= (\S+)", head, re.MULTILINE)[1] == patient
    at = re.search(r"^Recording.Time\s+= (\d+)-(\d+)-(\d+) (\d+):(\d+):([\d.]+)", head, re.MULTILINE).groups()
    # libbiosig keeps days as a fraction, so a whole second may come out a few microseconds short.
    theirs, want = (
        ((int(hour) * 60 + int(minute)) * 60 + float(second))
        for hour, minute, second in [at[3:], (time[8:10], time[10:12], time[12:])]
    )
    assert "".join(at[:3]) == time[:8]
    assert theirs == pytest.approx(want, abs=1e-3)
    found = [[float(word) for word in (tmp_path / f"out.a{at:02d}").read_text().split()] for at in _numbers(microvolts)]
    assert found == list(microvolts.values())


def _numbers(leads):
    return range(1, len(leads) + 1)
