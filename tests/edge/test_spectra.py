"""Gamma spectra as files: a real one, what is no spectrum, and the study that an import makes of one."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.imports import FOLDER
from edge.spectra import CHANNELS_MAX, read_spe, read_spectra
from node.spool import Spool
from tests.edge.samples import sample
from tests.edge.test_imports import imported, opened, tags_of
from tests.sim.disk import SimDisk
from wire.record import Result, Summary

SPE = b"$SPEC_ID:\r\nthyroid, phantom\r\n$DATE_MEA:\r\n11/22/2026 08:30:00\r\n$MEAS_TIM:\r\n60.00 61.25\r\n"
SPE += b"$DATA:\r\n0 3\r\n       1\r\n      20\r\n       0\r\n     300\r\n$ROI:\r\n0\r\n"


def values(result):
    return {one.code: one.value for one in result.observations}


def test_a_real_spectrum_of_4094_channels():
    result = read_spe(sample("spectra/SGM102432.spe"))
    assert values(result) == {"live time": "300", "real time": "300", "counts": "166239", "channels": "4094"}
    assert result.device_time == "07/11/2018 00:00:00"
    assert result.notes == ("Spectrum from a D3S CsI detector with Ba-133 and Cs-137 sources.",)


def test_times_stand_as_they_were_written():
    result = read_spe(SPE)
    assert values(result) == {"live time": "60.00", "real time": "61.25", "counts": "321", "channels": "4"}


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: raw.decode().encode("utf-16-le"),
        lambda raw: raw.replace(b"$DATA:", b"$Data: ").replace(b"0 3\r\n", b"\r\n0\t3\r\n"),
        lambda raw: raw.replace(b"300\r", b"300.0\r"),
    ],
)
def test_what_editors_and_programs_make_of_it_is_borne(change):
    result = read_spe(change(SPE))
    assert values(result) == {"live time": "60.00", "real time": "61.25", "counts": "321", "channels": "4"}
    assert result.notes == ("thyroid, phantom",)


def test_a_file_that_ends_within_a_number_says_so():
    whole = SPE[: SPE.index(b"$ROI")]
    assert read_spe(whole).notes == ("thyroid, phantom",)
    assert read_spe(whole[:-3]).notes == ("thyroid, phantom", "the file ends within a line: its last number may be cut")


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-u", "utf-8", "utf-8-sig", "utf-16"])
def test_what_it_is_of_is_read_in_its_own_alphabet(encoding):
    raw = SPE.decode().replace("thyroid, phantom", "Щитоподібна залоза, фантом").encode(encoding)
    assert read_spe(raw).notes == ("Щитоподібна залоза, фантом",)


def test_what_atomtex_says_was_done_to_the_counts_is_told_and_an_encrypted_spectrum_is_not_read():
    done = b"$SPECTRUMPROCESSED:\r\n1\r\n$BGNDSUBTRACTED:\r\n1\r\n$ENCRYPTED:\r\n0\r\n"
    raw = SPE.replace(b"SPEC_ID", b"SPEC_REM") + done
    expected = ("thyroid, phantom", "the spectrum was processed", "the background was subtracted")
    assert read_spe(raw).notes == expected
    assert read_spe(raw.replace(b"ENCRYPTED:\r\n0", b"ENCRYPTED:\r\n1")) is None
    assert read_spe(raw.replace(b"\r\n1\r\n", b"\r\n0.000000\r\n")).notes == ("thyroid, phantom",)


def test_a_time_with_all_the_digits_of_a_float_is_seconds():
    result = read_spe(SPE.replace(b"60.00", b"299.98000000000002"))
    assert (result.observations[0].value, result.observations[0].unit) == ("299.98000000000002", "s")


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[1:],
        lambda raw: raw.replace(b"0 3", b"0 4"),
        lambda raw: raw.replace(b"0 3", b"3 0"),
        lambda raw: raw.replace(b"20", b"-20"),
        lambda raw: raw.replace(b"60.00 61.25", b"60.00"),
        lambda raw: raw.replace(b"60.00", b"sixty"),
        lambda raw: raw.replace(b"60.00", b"6" * 40),
        lambda raw: raw.replace(b"$DATA:", b"$DATUM:"),
        lambda raw: raw.replace(b"300", b"\xb2\xb3"),
        lambda raw: raw[: raw.index(b"300")],
    ],
)
def test_what_does_not_fit_is_no_spectrum(damage):
    assert read_spe(damage(SPE)) is None


def test_as_many_channels_as_the_limit():
    def spectrum(channels):
        return b"$MEAS_TIM:\n1 1\n$DATA:\n0 %d\n" % (channels - 1) + b"0\n" * channels

    assert values(read_spe(spectrum(CHANNELS_MAX)))["channels"] == str(CHANNELS_MAX)
    assert read_spe(spectrum(CHANNELS_MAX + 1)) is None


def test_a_file_of_many_times_the_channels_is_not_taken_apart():
    raw = SPE + b"1\n" * (6 << 20)
    tracemalloc.start()
    assert read_spectra("a.spe", raw) == ()
    assert tracemalloc.get_traced_memory()[1] < len(raw)
    tracemalloc.stop()
    assert read_spectra("a.spe", SPE)


@given(st.binary(max_size=300), st.integers(0, len(SPE)))
def test_any_bytes_are_a_spectrum_or_none(noise, at):
    read_spe(noise)
    result = read_spe(SPE[:at] + noise + SPE[at:])
    assert result is None or Result.from_tag(result.to_tag()) == result


def test_an_imported_spectrum_is_kept_whole_and_its_times_stand_in_the_summary(tmp_path):
    path = tmp_path / "thyroid.spe"
    path.write_bytes(SPE)
    disk = SimDisk()
    imported(disk, [path])
    spool = Spool(disk, FOLDER)
    (study,) = opened(spool, "study")
    (result,) = [Result.from_tag(tag) for tag in tags_of(study) if tag.kind == Result.KIND]
    assert values(result)["live time"] == "60.00"
    (summary,) = opened(spool, "summary")
    (said,) = [Summary.from_tag(tag) for tag in tags_of(summary) if tag.kind == Summary.KIND]
    assert ("live time", "60.00", "s") in said.headline
    assert ("Documents", "1", "") in said.headline
