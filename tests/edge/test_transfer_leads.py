"""The leads of an SCP-ECG: sample by sample as libbiosig reads them, each form of storage, and what is not read."""

import shutil
import struct
import subprocess
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.drivers import transfer_leads, transfer_scp
from edge.drivers.transfer_leads import SAMPLES_COUNT_MAX, Unread, default_codes, read
from hardware.simulated.file_sender import FileSender
from hardware.simulated.scp_ecg import record
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire
from wire import kinds
from wire.waveform import Waveform

VALUES = [0, 5, -7, 100, 101, 99, -3000, 12_000, 12_000, 0]


def packed(values, codes):
    """Compress as a device does, by a table."""
    by_value = {value: prefix for prefix, (value, more) in codes.items() if not more}
    longer = sorted((more, prefix) for prefix, (_, more) in codes.items() if more)
    bits = ""
    for value in values:
        if value in by_value:
            bits += by_value[value]
        else:
            more, prefix = next(one for one in longer if -(1 << one[0] - 1) <= value < 1 << one[0] - 1)
            bits += prefix + format(value & (1 << more) - 1, f"0{more}b")
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def differences(values, order):
    for _ in range(order):
        values = [values[0], *(b - a for a, b in pairwise(values))]
    return values


def second_differences(values):
    return [*values[:2], *(c - 2 * b + a for a, b, c in zip(values, values[1:], values[2:], strict=False))]


def custom_table(codes):
    rows = b"".join(
        struct.pack("<BBBhI", len(prefix), len(prefix) + more, 1, value, int(prefix[::-1], 2))
        for prefix, (value, more) in codes.items()
    )
    return struct.pack("<HH", 1, len(codes)) + rows


def sections(datas, count, order=0, bimodal=0, flags=4, huffman=None):
    leads = bytes((len(datas), flags)) + b"".join(struct.pack("<IIB", 1, count, at + 1) for at in range(len(datas)))
    sizes = b"".join(struct.pack("<H", len(data)) for data in datas)
    rhythm = struct.pack("<HHBB", 2500, 2000, order, bimodal) + sizes + b"".join(datas)
    return {3: leads, 6: rhythm} | ({2: huffman} if huffman is not None else {})


def plain(values):
    return struct.pack(f"<{len(values)}h", *values)


def test_every_sample_of_the_example_is_what_libbiosig_reads(tmp_path):
    """All sixty thousand, in microvolts."""
    raw = sample("ecg/ecgtoolkit-example.scp")
    if shutil.which("save2gdf") is None:
        pytest.skip("BIOSIG ABSENT: no save2gdf here; Debian: apt install biosig-tools")
    (tmp_path / "ecg.scp").write_bytes(raw)
    words = ["save2gdf", "-f=ASCII", str(tmp_path / "ecg.scp"), str(tmp_path / "out.asc")]
    subprocess.run(words, check=True, capture_output=True)
    leads = read(transfer_scp.read(raw).sections)
    assert (len(leads.names), leads.rate_hz) == (12, 500.0)
    for number, samples in enumerate(leads.samples, 1):
        theirs = [float(word) for word in (tmp_path / f"out.a{number:02d}").read_text().split()]
        assert [one * leads.microvolts for one in samples] == theirs


def test_the_example_without_an_oracle():
    leads = read(transfer_scp.read(sample("ecg/ecgtoolkit-example.scp")).sections)
    assert leads.names == ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6", "III", "aVR", "aVL", "aVF")
    assert list(leads.samples[0][:6]) == [-2, -2, -2, -2, -3, -4]
    assert {len(lead) for lead in leads.samples} == {5_000}
    one, two, three = (leads.samples[leads.names.index(name)] for name in ("I", "II", "III"))
    assert all(abs(b - a - c) <= 1 for a, b, c in zip(one, two, three, strict=True)), "Einthoven: III = II - I"


@pytest.mark.parametrize("huffman", ["none", "default", "custom"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_each_form_of_storage(huffman, order):
    steps = [VALUES, differences(VALUES, 1), second_differences(VALUES)][order]
    custom = {"0": (0, 0), "10": (5, 0), "110": (0, 7), "111": (0, 20)}
    codes = {"default": default_codes(), "custom": custom}.get(huffman)
    data = plain(steps) if codes is None else packed(steps, codes)
    table = {"default": struct.pack("<H", 19_999), "custom": custom_table(custom)}.get(huffman)
    leads = read(sections([data, data], len(VALUES), order, huffman=table))
    assert [list(lead) for lead in leads.samples] == [VALUES, VALUES]
    assert (leads.names, leads.rate_hz, leads.microvolts) == (("I", "II"), 500.0, 2.5)


@pytest.mark.parametrize("order", [1, 2])
def test_a_step_too_large_for_a_difference_of_sixteen_bits_comes_back(order):
    values = [-400, 32_000, -32_000, 20_000, -477, 0, 31_000, -31_000]
    steps = [differences(values, 1), second_differences(values)][order - 1]
    data = plain([(step + 0x8000 & 0xFFFF) - 0x8000 for step in steps])
    assert list(read(sections([data], len(values), order)).samples[0]) == values


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(-8_000, 8_000), min_size=2, max_size=60))
def test_whatever_was_compressed_comes_back(values):
    data = packed(second_differences(values), default_codes())
    assert list(read(sections([data], len(values), 2, huffman=struct.pack("<H", 19_999))).samples[0]) == values


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({}, "no rhythm data"),
        (sections([plain(VALUES)], 10, flags=5), "a reference beat was subtracted"),
        (sections([plain(VALUES)], 10, bimodal=1), "bimodal"),
        (sections([plain(VALUES)], 10, order=3), "not told"),
        (sections([plain(VALUES)], 11), "shorter than it should be"),
        (sections([plain(VALUES)], 0), "not of one length, or too long"),
        (sections([plain(VALUES)], SAMPLES_COUNT_MAX + 1), "not of one length, or too long"),
        (sections([plain(VALUES)], 10, huffman=struct.pack("<H", 2)), "2 Huffman tables"),
        (sections([b"\xff" * 4], 10, huffman=custom_table({"0": (0, 0)})), "do not fit"),
        (sections([b"\xff\xff"], 10, huffman=struct.pack("<H", 19_999)), "cut short"),
        (sections([plain(VALUES)], 10, huffman=struct.pack("<HHBBBhI", 1, 1, 1, 1, 0, 0, 0)), "switched"),
        ({3: b"\x00\x00", 6: b"\0" * 20}, "0 leads"),
        ({3: b"", 6: b""}, "shorter"),
    ],
)
def test_what_is_not_read_says_why(broken, reason):
    with pytest.raises(Unread, match=reason):
        read(broken)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from([2, 3, 6]), st.binary(max_size=80), max_size=3))
def test_noise_raises_nothing_but_its_reason(noise):
    with suppress(Unread):
        assert read(noise).samples


def waves(raw, options=None):
    bench = Bench("transfer", options)
    Wire(FileSender([("1.scp", raw)]), BenchHost(bench)).run(until=600)
    (study,) = bench.studies
    return [Waveform.from_tag(tag) for tag in study.tags if tag.kind == (kinds.CAPTURE, kinds.WAVEFORM)], study


def test_the_leads_stand_beside_the_file_with_the_devices_own_time():
    (wave,), study = waves(record(1, "113", samples=300))
    assert (wave.names[:3], wave.count, wave.unit, wave.scale) == (("I", "II", "V1"), 300, "uV", 1.0)
    assert wave.start_ms == 1_785_571_200_000
    assert study.results[0].device_time == "20260801080000"


def test_the_leads_are_left_out_when_they_are_not_wanted():
    assert waves(record(1, "113", samples=300), {"leads": False})[0] == []


def test_leads_that_cannot_be_read_are_noted():
    raw = bytearray(record(1, "113", samples=300))
    at = bytes(raw).index(struct.pack("<HHBB", 1000, 2000, 0, 0))
    raw[at + 5] = 1
    found, study = waves(bytes(raw))
    assert found == []
    assert any(note.startswith("its leads were not read: it has no rhythm data") for note in study.results[0].notes)
    assert transfer_leads.LEAD_NAMES[64] == "aVF"
