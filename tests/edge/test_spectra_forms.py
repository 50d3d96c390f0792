"""Gamma spectra as ORTEC's binary .Spc and as ANSI N42.42: what is read, what is none, and what other programs read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.file_contents import contents_of
from edge.imports import FOLDER
from edge.spectra import read_spectra
from edge.spectra_ats import read_ats
from edge.spectra_chn import read_chn
from edge.spectra_mca import read_mca
from edge.spectra_n42 import ATTRIBUTES_MAX, DEPTH_MAX, SPECTRA_MAX, read_n42
from edge.spectra_radiacode import read_radiacode
from edge.spectra_spc import read_spc
from edge.spectra_words import CHANNELS_MAX
from node.spool import Spool
from tests.edge.samples import sample
from tests.edge.spectra_files import ATS, COUNTS, MCA, N42_2006, N42_2012, RADIACODE, chn, spc
from tests.edge.test_imports import imported, opened, tags_of
from tests.sim.disk import SimDisk
from wire.record import Result, Summary


def values(result):
    return {one.code: (one.value, one.unit) for one in result.observations}


READ = {"live time": ("60.50", "s"), "real time": ("61.25", "s"), "counts": ("51", ""), "channels": ("8", "")}


# The binary form


def test_an_integer_spc_says_its_times_as_they_were_written():
    result = read_spc(spc())
    assert values(result) == READ
    assert (result.device_time, result.notes) == ("22-NOV-261 08:30:00", ("thyroid, phantom",))


def test_a_real_spc_says_the_same():
    assert values(read_spc(spc(kind=5))) == READ
    halves = values(read_spc(spc([0.5, 1.25], kind=5)))
    assert halves["counts"] == ("1.75", "")


def test_where_the_texts_are_none_the_floats_tell_the_times():
    found = values(read_spc(spc(texts=(b"", b"n/a"))))
    assert (found["live time"], found["real time"]) == (("60.5", "s"), ("61.25", "s"))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        spc()[:127],
        b"\0" + spc()[1:],
        spc(kind=2),
        spc(first=1),
        spc(first=22)[: 21 * 128 + 31],
        spc([-1, 5]),
        spc([float("nan")], kind=5),
        spc(real=float("inf")),
        spc(live=-1.0),
        spc([]),
    ],
)
def test_what_does_not_fit_is_no_spc(raw):
    assert read_spc(raw) is None


def test_channels_that_reach_beyond_their_records_are_not_read():
    raw = bytearray(spc())
    raw[64:66] = (33).to_bytes(2, "little")
    assert read_spc(bytes(raw)) is None


# ORTEC's .Chn and Amptek's .mca


def test_a_chn_says_its_times_in_seconds_and_its_date_with_the_century():
    result = read_chn(chn())
    assert values(result) == READ | {"real time": ("61.26", "s")}
    assert (result.device_time, result.notes) == ("22-NOV-2026 08:30:05", ("thyroid, phantom",))
    assert read_chn(chn(date=b"22NOV990")).device_time == "22-NOV-1999 08:30:05"
    assert read_chn(chn(date=b"22NOV26\0")).device_time == "22-NOV-26 08:30:05"
    assert read_chn(chn(date=b"??NOV261")).device_time == ""


@pytest.mark.parametrize("raw", [b"", chn()[:31], b"\0" + chn()[1:], chn([]), chn()[: 32 + 4 * len(COUNTS) - 1]])
def test_what_does_not_fit_is_no_chn(raw):
    assert read_chn(raw) is None


def test_an_mca_says_what_stands_in_it():
    result = read_mca(MCA)
    assert values(result) == READ
    assert (result.device_time, result.notes) == ("11/22/2026 08:30:00", ("live_data thyroid, phantom",))
    assert "live time" not in values(read_mca(MCA.replace(b"LIVE_TIME", b"L")))


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[: raw.index(b"<<END>>")],
        lambda raw: raw.replace(b"PMCA", b"P"),
        lambda raw: raw.replace(b"\n41", b"\n-41"),
        lambda raw: raw.replace(b"\n41", b"\n4 one"),
        lambda raw: raw.replace(b"\n41", b"\n41" * (CHANNELS_MAX + 1)),
    ],
)
def test_what_does_not_fit_is_no_mca(damage):
    assert read_mca(damage(MCA)) is None


# N42


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_xml_of_radiacode_tells_spectrum_and_background(encoding):
    found = read_radiacode(RADIACODE.decode().encode(encoding))
    spectrum, background = found
    assert values(spectrum) == {**READ, "real time": ("61", "s")}
    assert spectrum.device_time == "2026-11-22T08:30:00"
    assert spectrum.notes == ("thyroid, phantom", "detector RadiaCode-102 RC-102-000001")
    assert values(background) == {"real time": ("3600", "s"), "counts": ("11", ""), "channels": ("8", "")}
    assert background.device_time == ""  # when it was taken stands nowhere
    assert background.notes == ("Background", "empty van", "detector RadiaCode-102")
    assert contents_of("a.xml", RADIACODE).results == found


def test_a_background_has_its_own_time_where_one_stands_before_it():
    (_, background) = read_radiacode(RADIACODE.replace(b"<Back", b"<StartTime>2026-11-21T08:00:00</StartTime><Back"))
    assert background.device_time == "2026-11-21T08:00:00"


def test_what_is_missing_of_a_radiacode_spectrum_is_said():
    (first, _) = read_radiacode(RADIACODE.replace(b"<DataPoint>41</DataPoint>", b"", 1))
    assert first.notes[-1] == "it says 8 channels, and 7 are there"
    (first, _) = read_radiacode(RADIACODE.replace(b">41<", b">abc<", 1))
    assert first.notes[-1] == "its counts were not read: they are none"
    assert "counts" not in values(first)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-30],
        lambda raw: raw.replace(b"?>", b"?><!DOCTYPE a [<!ENTITY b 'c'>]>", 1),
        lambda raw: raw.replace(b"</ResultData>", b"<a>" * 40 + b"</a>" * 40 + b"</ResultData>"),
        lambda raw: raw.replace(b"</ResultData>", b"<EnergySpectrum/>" * 70 + b"</ResultData>"),
        lambda raw: raw.replace(b"</ResultData>", b"<a/>" * 600_000 + b"</ResultData>"),
    ],
)
def test_a_radiacode_file_that_is_cut_or_beyond_the_bounds_is_a_spectrum_that_was_not_read(damage):
    contents = contents_of("a.xml", damage(RADIACODE))
    assert contents.kind == "spectrum"
    assert "was not read" in contents.results[0].notes[0]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16", "cp1251"])
def test_an_ats_says_what_stands_in_it(encoding):
    result = read_ats(ATS.replace("REMARK = ", "REMARK = щитоподібна").encode(encoding))
    assert {code: value for code, (value, _) in values(result).items()} == {
        "live time": "60",
        "real time": "61",
        "counts": "51",
        "channels": "8",
    }
    assert (result.device_time, result.notes) == ("22.11.2026 08:30:00", ("щитоподібна",))


def test_an_ats_says_that_the_background_was_subtracted():
    assert read_ats(ATS.replace("TED = 0", "TED = 1").replace("ENCRYPTED = 1", "ENCRYPTED = 0").encode()).notes == (
        "the background was subtracted",
    )


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.replace("SPECTR = 8", "SPECTR = 9"),
        lambda text: text.replace("SPECTR = 8", "SPECTR = 0"),
        lambda text: text.replace("SPECTR = 8", "SPECTR = \N{SUPERSCRIPT TWO}"),
        lambda text: text.replace("41", "-41"),
        lambda text: text.replace("41", "4" * 16),
        lambda text: text.replace("TIME = 60", "TIME = ", 1),
        lambda text: text.replace("REALTIME = 61", "REALTIME = soon"),
        lambda text: text.replace("ENCRYPTED = 0", "ENCRYPTED = 1"),
    ],
)
def test_what_does_not_fit_is_no_ats(damage):
    assert read_ats(damage(ATS).encode("utf-16-le")) is None


@pytest.mark.parametrize("raw", [N42_2012, N42_2006])
def test_both_editions_of_n42(raw):
    result = read_n42(raw)[0]
    assert values(result) == READ
    assert result.device_time.startswith("2026-11-22T08:30:00")
    assert result.notes in {("Foreground",), ("Item",)}


def test_each_spectrum_of_a_file_is_told():
    _, background = read_n42(N42_2012)
    assert values(background) == {
        "live time": ("300", "s"),
        "real time": ("300", "s"),
        "counts": ("5", ""),
        "channels": ("8", ""),
    }
    assert background.notes == ("Background",)


@pytest.mark.parametrize(
    ("duration", "told"),
    [
        ("PT60.50S", ("60.50", "s")),
        ("PT1M0.50S", ("60.50", "s")),
        ("PT10M40S", ("640", "s")),
        ("PT1H", ("3600", "s")),
        ("P0DT0H5M0.250S", ("300.250", "s")),
        ("P1DT1S", ("86401", "s")),
        ("P1M", ("P1M", "")),
        ("PT", ("PT", "")),
        ("-PT5S", ("-PT5S", "")),
        ("PT60,5S", ("PT60,5S", "")),
        ("PT\N{ARABIC-INDIC DIGIT FIVE}S", ("PT\N{ARABIC-INDIC DIGIT FIVE}S", "")),
    ],
)
def test_a_duration_is_told_in_seconds(duration, told):
    (result, *_) = read_n42(N42_2012.replace(b"PT60.50S", duration.encode()))
    assert values(result)["live time"] == told


def test_of_many_spectra_the_first_are_told():
    head, rest = N42_2006.split(b"  <Measurement>")
    measurement, tail = rest.split(b"</N42")
    many = head + (b"  <Measurement>" + measurement) * (SPECTRA_MAX + 1) + b"</N42" + tail
    assert len(read_n42(many)) == SPECTRA_MAX


BOMB = b"""<!DOCTYPE RadInstrumentData [<!ENTITY a "0 1 "><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>\n"""


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.replace(b"<n:RadInstrumentData", BOMB + b"<n:RadInstrumentData", 1),
        lambda raw: raw.replace(b"<n:RadInstrumentData", b"<!DOCTYPE n><n:RadInstrumentData", 1),
        lambda raw: raw.replace(b'encoding="UTF-8"', b'encoding="nonsense"'),
        lambda raw: raw.replace(b"RadInstrumentData", b"RadInstrument"),
        lambda raw: raw[:-30],
        lambda raw: raw + b"<more/>",
        lambda raw: raw.replace(b"</n:RadMeas", b"<x>" * DEPTH_MAX + b"</x>" * DEPTH_MAX + b"</n:RadMeas"),
        lambda raw: raw.replace(
            b"<n:Spectrum ", b"<n:Spectrum " + b" ".join(b"a%d=''" % n for n in range(ATTRIBUTES_MAX)) + b" "
        ),
        lambda raw: raw.replace(b"<n:RadMeasurement", b"<a>" * 200_001 + b"<n:RadMeasurement"),
    ],
)
def test_what_declares_entities_grows_or_is_not_whole_is_none(damage):
    assert read_n42(damage(N42_2012)) == ()


TIMES = {name: READ[name] for name in ("live time", "real time")}


@pytest.mark.parametrize("words", [b"-1 2", b"1 two", b"nan 1", b"", b"1" * 16, b"0", b"0 99999999"])
def test_channels_that_are_no_counts_are_not_told_but_that_they_were_not_read(words):
    (result,) = read_n42(N42_2006.replace(b"0 1 3 0 3 41 7 0 1", words))
    assert values(result) == TIMES
    assert result.notes == ("Item", "its counts were not read: they are none")


def test_a_compression_that_is_not_known_is_not_read():
    (result,) = read_n42(N42_2006.replace(b"CountedZeroes", b"zip"))
    assert values(result) == TIMES
    assert result.notes == ("Item", "its counts were not read: compression 'zip'")


def test_as_many_channels_as_the_limit():
    def counted(zeros):
        return N42_2006.replace(b"0 1 3 0 3 41 7 0 1", b"5 0 %d" % zeros)

    assert values(read_n42(counted(CHANNELS_MAX - 1))[0])["channels"] == (str(CHANNELS_MAX), "")
    assert "channels" not in values(read_n42(counted(CHANNELS_MAX))[0])


def n42(inside, root=b"RadInstrumentData"):
    return b"<?xml version='1.0'?>\n<%s>%s</%s>" % (root, inside, root)


ONE = b"<Spectrum><LiveTimeDuration>PT1S</LiveTimeDuration><ChannelData>1 2</ChannelData></Spectrum>"


def test_a_derived_spectrum_has_its_own_time_and_not_that_of_the_measurement_before_it():
    measured = b"<RadMeasurement><StartDateTime>2026-11-22T08:30:00Z</StartDateTime>" + ONE + b"</RadMeasurement>"
    dated = b"<DerivedData>" + ONE + b"<StartDateTime>2026-11-22T09:00:00Z</StartDateTime></DerivedData>"
    found = read_n42(n42(measured + dated + b"<DerivedData>" + ONE + b"</DerivedData>" + ONE))
    assert [one.device_time for one in found] == ["2026-11-22T08:30:00Z", "2026-11-22T09:00:00Z", "", ""]
    assert [one.notes for one in found] == [(), ("derived, not measured",), ("derived, not measured",), ()]


def test_a_portals_times_stand_around_its_spectra_and_each_says_its_detector():
    spectrum = ONE.replace(b"<Spectrum>", b"<Spectrum Detector='%s'>").replace(b"LiveTimeDuration", b"LiveTime")
    inside = b"".join(b"<SpectrumMeasurement>" + spectrum % name + b"</SpectrumMeasurement>" for name in (b"A1", b"A2"))
    times = b"<StartTime>2026-11-22T08:30:00Z</StartTime><SampleRealTime>PT0.25S</SampleRealTime>"
    data = b"<DetectorData>" + times + b"%s</DetectorData>"
    dose = b"<CountDoseData><StartTime>2000-01-01T00:00:00Z</StartTime></CountDoseData>"
    raw = n42(b"<Measurement>" + dose + data % inside + data % inside + b"</Measurement>", b"N42InstrumentData")
    found = read_n42(raw)
    assert [one.notes for one in found] == [("detector A1",), ("detector A2",)] * 2
    assert {one.device_time for one in found} == {"2026-11-22T08:30:00Z"}
    assert values(found[0])["real time"] == ("0.25", "s")


def test_what_is_not_told_of_many_spectra_is_said():
    found = read_n42(n42(ONE * (SPECTRA_MAX + 3)))
    assert len(found) == SPECTRA_MAX
    assert found[0].notes == (f"{SPECTRA_MAX + 3} spectra are in the file; the first {SPECTRA_MAX} are told",)
    assert found[1].notes == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"<N42InstrumentData", b"<Event><N42InstrumentData").strip() + b"</Event>",
        lambda raw: b"\r\n" + raw + b"\0\0\n",
        lambda raw: b"\xef\xbb\xbf" + raw,
        lambda raw: raw.replace(b"UTF-8", b"UTF-16"),
        lambda raw: raw.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        lambda raw: raw.decode().replace("UTF-8", "UTF-16").encode("utf-16-be"),
    ],
)
def test_what_programs_make_of_a_file_is_borne(change):
    (result,) = read_n42(change(N42_2006))
    assert (values(result), result.device_time) == (READ, "2026-11-22T08:30:00")


def test_a_spectrum_outside_of_an_instruments_data_is_none():
    assert read_n42(b"<a><!-- RadInstrumentData -->" + ONE + b"</a>") == ()


@pytest.mark.parametrize("name", ["a.n42", "a.xml", "a.dat"])
def test_a_file_that_was_cut_is_a_spectrum_that_was_not_read(name):
    contents = contents_of(name, N42_2012[:-30])
    assert contents.kind == "spectrum"
    assert "was not read" in contents.results[0].notes[0]


@given(
    st.binary(max_size=60), st.integers(0, 1200), st.sampled_from([N42_2012, N42_2006, spc(), chn(), MCA, ATS.encode()])
)
def test_any_bytes_are_spectra_or_none(noise, at, raw):
    for damaged in (raw[:at] + noise + raw[at:], raw[:at] + noise + raw[at + len(noise) :]):
        for name in ("a.n42", "a.spc", "a.spe", "a.chn", "a.mca", "a.ats"):
            for result in read_spectra(name, damaged):
                assert Result.from_tag(result.to_tag()) == result


# What an import makes of them


@pytest.mark.parametrize(
    ("name", "raw"), [("a.N42", N42_2012), ("a.xml", N42_2006), ("a.dat", N42_2006), ("a.Spc", spc())]
)
def test_a_spectrum_in_any_form_becomes_a_study_as_a_spe_does(name, raw, tmp_path):
    path = tmp_path / name
    path.write_bytes(raw)
    disk = SimDisk()
    imported(disk, [path])
    spool = Spool(disk, FOLDER)
    (study,) = opened(spool, "study")
    results = [Result.from_tag(tag) for tag in tags_of(study) if tag.kind == Result.KIND]
    assert values(results[0]) == READ
    (summary,) = opened(spool, "summary")
    (said,) = [Summary.from_tag(tag) for tag in tags_of(summary) if tag.kind == Summary.KIND]
    assert ("live time", "60.50", "s") in said.headline


def test_xml_that_is_no_spectrum_is_a_document():
    assert read_spectra("a.xml", b"<?xml version='1.0'?><letter/>") == ()


# Beside other programs; they are not among the project's requirements


def test_becquerel_reads_the_same_of_a_spc_and_a_spe(tmp_path):
    becquerel = pytest.importorskip("becquerel")
    path = tmp_path / "a.spc"
    path.write_bytes(spc(COUNTS * 1024, first=21))
    theirs = becquerel.Spectrum.from_file(path)
    ours = values(read_spc(path.read_bytes()))
    assert ours["counts"][0] == str(int(theirs.counts_vals.sum()))
    assert (float(ours["live time"][0]), float(ours["real time"][0])) == (theirs.livetime, theirs.realtime)
    theirs = becquerel.Spectrum.from_file(_written(tmp_path / "a.spe", sample("spectra/SGM102432.spe")))
    (ours,) = read_spectra("a.spe", sample("spectra/SGM102432.spe"))
    assert values(ours)["counts"][0] == str(int(theirs.counts_vals.sum()))


PLAIN = N42_2012.replace(b"xmlns:n=", b"xmlns=").replace(b"n:", b"")
"""SpecUtils takes no file whose names have this prefix."""


@pytest.mark.parametrize(("name", "raw"), [("a.n42", PLAIN), ("b.n42", N42_2006), ("c.spc", spc()), ("d.mca", MCA)])
def test_specutils_reads_the_same(name, raw, tmp_path):
    theirs = pytest.importorskip("SpecUtils").SpecFile()
    theirs.loadFile(str(_written(tmp_path / name, raw)), pytest.importorskip("SpecUtils").ParserType.Auto)
    one, ours = theirs.measurements()[0], values(read_spectra(name, raw)[0])
    assert ours["counts"][0] == str(int(sum(one.gammaCounts())))
    assert (float(ours["live time"][0]), float(ours["real time"][0])) == (one.liveTime(), one.realTime())


def test_specutils_reads_the_same_of_radiacodes_xml(tmp_path):
    # It wants more than a file this small, and for a RadiaCode it estimates the live time.
    raw = RADIACODE.replace(b"<DataPoint>7<", b"<DataPoint>7</DataPoint>" * 250 + b"<DataPoint>7<")
    raw = raw.replace(b"RadiaCode", b"AtomSpectra").replace(b">8<", b">258<")
    theirs = pytest.importorskip("SpecUtils").SpecFile()
    theirs.loadFile(str(_written(tmp_path / "a.xml", raw)), pytest.importorskip("SpecUtils").ParserType.Auto)
    for one, ours in zip(theirs.measurements(), map(values, read_spectra("a.xml", raw)), strict=True):
        assert ours["counts"][0] == str(int(sum(one.gammaCounts())))
        assert float(ours["real time"][0]) == one.realTime()


def _written(path, raw):
    path.write_bytes(raw)
    return path
