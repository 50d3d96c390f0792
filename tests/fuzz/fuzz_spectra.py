"""Invariant: whatever stands in a file of spectra (.Spe, .Spc, .Chn, .mca, .ats, XML), its reader raises nothing, keeps
to its bounds, and what it says can be written as a RESULT; a file that declares a document type or an entity says
nothing.

`sh tests/fuzz/run.sh 60 fuzz_spectra`, or `python -m tests.fuzz.fuzz_spectra`.
"""

from edge.spectra import read_spectra
from edge.spectra_n42 import SPECTRA_MAX
from edge.spectra_words import CHANNELS_MAX, TEXT_MAX
from tests.edge.spectra_files import ATS, MCA, N42_2006, N42_2012, RADIACODE, chn, spc
from tests.fuzz.driver import drive
from wire.record import Result

NAMES = ("a.spe", "a.spc", "a.n42", "a.chn", "a.mca", "a.ats")
SPE = b"$SPEC_ID:\nphantom\n$DATE_MEA:\n11/22/2026 08:30:00\n$MEAS_TIM:\n60.00 61.25\n$DATA:\n0 3\n1\n20\n0\n300\n"
SEEDS = [
    b"\0" + SPE,
    b"\1" + spc(),
    b"\1" + spc(kind=5),
    b"\2" + N42_2012,
    b"\2" + N42_2006,
    b"\3" + chn(),
    b"\4" + MCA,
    b"\5" + ATS.encode(),
    b"\2" + RADIACODE,
]


def check(data: bytes) -> None:
    """Hold the invariant for one file; the first byte says of which form."""
    if not data:
        return
    name, raw = NAMES[data[0] % len(NAMES)], data[1:]
    results = read_spectra(name, raw)
    assert len(results) <= SPECTRA_MAX
    assert name != "a.n42" or not results or b"<!ENTITY" not in raw
    for result in results:
        assert Result.from_tag(result.to_tag()) == result
        found = {one.code: one.value for one in result.observations}
        if "counts" in found:
            assert 0 < int(found["channels"]) <= CHANNELS_MAX
            assert float(found["counts"]) >= 0
        else:
            assert any("counts were not read" in note for note in result.notes)
        assert all(len(note) <= TEXT_MAX and note.isprintable() for note in result.notes)


if __name__ == "__main__":
    drive(check, SEEDS)
