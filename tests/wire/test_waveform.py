"""Waveforms: the plain form and its packing, exact for any samples, narrow for any damage."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import kinds, leads
from wire.codec import WAVEFORM, pack, pack_best, unpack
from wire.errors import FormatError, Misuse, UsageError
from wire.leads import CEILING, FLOOR, TOWARDS_ZERO, Foretelling, pack_plain, unpack_plain
from wire.tag import Tag
from wire.waveform import LEAD_COUNT_MAX, NAME_SIZE_MAX, PLAIN_SIZE_MAX, Waveform

DOC = Path(__file__).parents[2] / "docs/formats/waveform.md"
LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")
PLENTY = 64 << 20


def waveform(*samples, names=None, rate_hz=500.0):
    names = names or tuple(f"lead {n}" for n in range(len(samples)))
    return Waveform(names, rate_hz, "uV", 2.5, 0.0, 1_700_000_000_000, samples)


def beats(count=3000, seed=1, noise=3.0):
    """Return leads I and II of something like an ECG, as integers."""
    chance = np.random.default_rng(seed)
    phase = np.arange(count) % 500
    peak = 800 * np.exp(-(((phase - 250) / 12.0) ** 2)) + 120 * np.exp(-(((phase - 380) / 40.0) ** 2))
    return [np.round(peak * share + chance.normal(0, noise, count)).astype(np.int64) for share in (0.7, 1.0)]


def limb_leads(one, two, rounded=np.floor):
    """Return the six limb leads as a device makes them out of two, with its own rounding."""
    half = [rounded(x / 2).astype(np.int64) for x in (-(one + two), 2 * one - two, 2 * two - one)]
    return [one, two, two - one, *half]


def round_trip(one):
    plain = one.to_plain()
    packed = pack_plain(plain)
    assert unpack_plain(packed, len(plain)) == plain
    assert Waveform.from_plain(plain) == one
    return len(plain), len(packed)


int16 = st.integers(-(2**15), 2**15 - 1)
int32 = st.integers(-(2**31), 2**31 - 1)
edges = st.sampled_from([-(2**31), 2**31 - 1, -(2**15), 2**15 - 1, 2**15, 0, -1])


@st.composite
def waveforms(draw):
    count = draw(st.integers(0, 40))
    value = draw(st.sampled_from([int16, int32, edges, st.integers(-3, 3)]))
    lead = st.lists(value, min_size=count, max_size=count)
    samples = draw(st.lists(lead, min_size=0 if not count else 1, max_size=7))
    text = st.text(max_size=12).filter(str.isprintable)
    number = st.floats(allow_nan=False, allow_infinity=False)
    return Waveform(
        tuple(draw(st.lists(text, min_size=len(samples), max_size=len(samples)))),
        draw(st.floats(min_value=1e-6, max_value=1e9)),
        draw(text),
        draw(number),
        draw(number),
        draw(st.integers(0, 2**48 - 1)),
        tuple(samples),
        draw(st.none() | int32),
    )


def test_a_head_that_breaks_off_in_the_missing_value_is_a_format_error():
    one = Waveform(("SpO2",), 1.0, "%", 1.0, 0.0, 0, ((98, -1, 97),), missing=-1)
    plain = one.to_plain()
    assert Waveform.from_plain(plain) == one
    with pytest.raises(FormatError, match="breaks off"):
        Waveform.from_plain(plain[:39])


@settings(max_examples=200)
@given(waveforms())
def test_any_waveform_comes_back_exactly(one):
    round_trip(one)
    assert Waveform.from_tag(one.to_tag()) == one


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 2000), st.sampled_from([1, 50, 2**15 - 1, 2**31 - 1]))
def test_leads_that_follow_from_others_come_back_exactly_at_any_height(seed, count, height):
    chance = np.random.default_rng(seed)
    one, two = (chance.integers(-height, height, count, endpoint=True) for _ in range(2))
    made = [((x + 2**31) % 2**32) - 2**31 for x in limb_leads(one, two)]
    round_trip(waveform(*made))


@pytest.mark.parametrize("rounded", [np.floor, np.ceil, np.trunc, np.round])
def test_limb_leads_cost_next_to_nothing_however_the_device_rounds(rounded):
    one, two = beats()
    two_only = round_trip(waveform(one, two))[1]
    all_six = round_trip(waveform(*limb_leads(one, two, rounded), names=LIMB))[1]
    assert all_six < two_only * 1.35


def test_leads_are_found_by_trying_not_by_name_or_place():
    one, two = beats()
    made = limb_leads(one, two)
    straight = round_trip(waveform(*made, names=LIMB))[1]
    mixed = round_trip(waveform(*(made[n] for n in (3, 5, 0, 4, 1, 2)), names=("a", "b", "c", "d", "e", "f")))[1]
    assert mixed < straight * 1.25


def test_a_foretelling_that_would_not_help_is_not_used():
    chance = np.random.default_rng(3)
    plain = waveform(*chance.integers(-100, 100, (5, 400))).to_plain()
    packed = pack_plain(plain)
    _, at = leads.Head.decode(packed)
    assert [lead.foretelling for lead in leads._parse_leads(packed[at + 4 :], 5)] == [None] * 5


@pytest.mark.parametrize(
    ("rounding", "told"),
    [(FLOOR, [-2, -1, 0, 0, 1]), (CEILING, [-1, -1, 0, 1, 1]), (TOWARDS_ZERO, [-1, -1, 0, 0, 1])],
)
def test_the_three_roundings(rounding, told):
    lead = np.array([-3, -2, 0, 1, 2], np.int32)
    assert Foretelling(0, 1, 1, 0, rounding).apply(lead, lead).tolist() == told


def test_the_real_ecg_of_pydicom_is_twice_as_small_as_xz_makes_it():
    import lzma

    pydicom = pytest.importorskip("pydicom")
    from pydicom.data import get_testdata_file

    group = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm")).WaveformSequence[0]
    samples = np.frombuffer(group.WaveformData, "<i2").reshape(-1, group.NumberOfWaveformChannels)
    one = Waveform(tuple(f"lead {n}" for n in range(12)), 1000.0, "uV", 1.25, 0.0, 0, tuple(samples.T))
    _, packed = round_trip(one)
    assert packed * 2 < len(lzma.compress(group.WaveformData, preset=9))
    assert packed < 32_000


def test_codec_3_is_chosen_for_a_waveform_and_nothing_else():
    plain = waveform(*limb_leads(*beats())).to_plain()
    assert pack_best((kinds.CAPTURE, kinds.WAVEFORM), plain)[0] == WAVEFORM
    assert pack_best((kinds.CAPTURE, kinds.RAW), plain)[0] != WAVEFORM


def test_a_tag_that_only_says_it_is_a_waveform_falls_back():
    data = b"no waveform at all " * 20
    assert pack_best((kinds.CAPTURE, kinds.WAVEFORM), data)[0] != WAVEFORM
    with pytest.raises(FormatError):
        pack(data, WAVEFORM)


PLAIN = waveform([1, 2, 3, -4], [5, 6, 7, 8], [9, 10, 11, 12]).to_plain()
PACKED_PLAIN = waveform(*limb_leads(*beats(600))).to_plain()
PACKED = pack_plain(PACKED_PLAIN)


@settings(max_examples=400)
@given(st.data())
def test_damaged_packed_data_never_give_other_samples(data):
    raw = bytearray(PACKED)
    at = data.draw(st.integers(0, len(raw) - 1))
    run = data.draw(st.binary(min_size=1, max_size=8))
    raw[at : at + len(run)] = run
    # A few bits say nothing: a rounding that is never needed, padding in pcodec.
    with contextlib.suppress(FormatError):
        assert unpack(bytes(raw), WAVEFORM, PLENTY) == PACKED_PLAIN


@settings(max_examples=100)
@given(st.integers(0, len(PACKED) - 1))
def test_packed_data_cut_short_are_a_format_error(cut):
    with pytest.raises(FormatError):
        unpack(PACKED[:cut], WAVEFORM, PLENTY)


def test_packed_data_with_more_behind_are_a_format_error():
    with pytest.raises(FormatError, match="want"):
        unpack(PACKED + b"\x00", WAVEFORM, PLENTY)
    empty = pack_plain(waveform([], []).to_plain())
    with pytest.raises(FormatError, match="there are none"):
        unpack(empty + b"\x00", WAVEFORM, PLENTY)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_waveform_or_a_format_error(data):
    for read in (lambda: unpack(data, WAVEFORM, PLENTY), lambda: Waveform.from_plain(data)):
        try:
            read()
        except FormatError:
            continue


def test_a_bomb_is_refused_before_anything_is_allocated():
    bomb = bytearray(PACKED)
    bomb[33:37] = b"\xff\xff\xff\xff"
    with pytest.raises(FormatError, match="51539607"):
        unpack(bytes(bomb), WAVEFORM, PLENTY)
    assert unpack(PACKED, WAVEFORM, len(PACKED_PLAIN)) == PACKED_PLAIN
    with pytest.raises(FormatError, match="at most"):
        unpack(PACKED, WAVEFORM, len(PACKED_PLAIN) - 1)


def test_a_foretelling_from_a_foretold_or_missing_lead_is_refused():
    packed = [leads._PackedLead(Foretelling(1, 2, 1, 1), False, b"")] * 2 + [leads._PackedLead(None, False, b"")]
    for base in packed[0].foretelling, Foretelling(2, 9, 1, 1):
        one = [leads._PackedLead(base, False, b""), *packed[1:]]
        with pytest.raises(FormatError, match="foretold by"):
            leads._restored(0, one, [np.zeros(1, np.int32)] * 3)


@pytest.mark.parametrize("flags", [0x08, 0x04, 0x0D, 0x10, 0x80])
def test_unknown_lead_flags_are_refused(flags):
    with pytest.raises(FormatError, match="flags"):
        leads._parse_leads(bytes((flags,)) + bytes(20), 1)


@pytest.mark.parametrize(
    "change",
    [
        {"names": ("one",)},
        {"samples": ([1, 2], [3])},
        {"rate_hz": 0.0},
        {"rate_hz": float("nan")},
        {"scale": float("inf")},
        {"start_ms": -1},
        {"start_ms": 1 << 48},
        {"unit": "u" * (NAME_SIZE_MAX + 1)},
        {"unit": "u\n"},
        {"names": (), "samples": ()},
    ],
)
def test_what_does_not_fit_is_refused_when_written(change):
    fields = {"names": ("a", "b"), "rate_hz": 1.0, "unit": "", "scale": 1.0, "offset": 0.0, "start_ms": 0}
    if change == {"names": (), "samples": ()}:
        Waveform(**(fields | change)).to_plain()  # no leads and no samples is lawful
        return
    with pytest.raises(Misuse):
        Waveform(**(fields | {"samples": ([1, 2], [3, 4])} | change)).to_plain()


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 1.5, "1"])
def test_samples_that_are_no_int32_are_refused(value):
    with pytest.raises(Misuse, match="32 bits"):
        waveform([value])


def test_the_most_leads_and_the_largest_plain_form():
    round_trip(waveform(*[[n] for n in range(LEAD_COUNT_MAX)]))
    with pytest.raises(Misuse, match="leads"):
        waveform(*[[n] for n in range(LEAD_COUNT_MAX + 1)]).to_plain()
    with pytest.raises(Misuse, match="cut it in time"):
        waveform(np.zeros(PLAIN_SIZE_MAX // 2, np.int32).tolist()).to_plain()


@pytest.mark.parametrize(
    ("at", "byte", "why"),
    [(0, 2, "version"), (1, 3, "bytes a sample"), (2, 0, "of no lead"), (37, 250, "breaks off"), (38, 0xFF, "UTF-8")],
)
def test_a_head_that_is_not_lawful_is_refused(at, byte, why):
    raw = bytearray(PLAIN)
    raw[at] = byte
    with pytest.raises(FormatError, match=why):
        Waveform.from_plain(bytes(raw))


def test_another_type_of_tag_or_a_packed_one_is_no_waveform():
    for tag in (Tag(kinds.CAPTURE, kinds.RAW, PLAIN), Tag(kinds.CAPTURE, kinds.WAVEFORM, PLAIN, state=WAVEFORM)):
        with pytest.raises(FormatError, match="0b:"):
            Waveform.from_tag(tag)


def test_the_worked_example_of_the_format_page():
    text = DOC.read_text()
    blocks = re.findall(r"```hex\n(.*?)```", text, re.DOTALL)
    plain, packed = (bytes.fromhex("".join(line.split(";")[0] for line in block.splitlines())) for block in blocks)
    one = Waveform(("I", "II"), 500.0, "uV", 2.5, 0.0, 1_700_000_000_000, ([1, -2, 300], [0, 5, -32768]))
    assert one.to_plain() == plain
    assert Waveform.from_plain(plain) == one
    assert unpack_plain(packed, len(plain)) == plain


def test_without_pcodec_the_error_names_what_to_install(monkeypatch):
    leads._tools.cache_clear()
    monkeypatch.setitem(sys.modules, "pcodec", None)
    monkeypatch.setitem(sys.modules, "pcodec.standalone", None)
    with pytest.raises(UsageError, match=r"feldsher\[edge\]"):
        unpack(PACKED, WAVEFORM, PLENTY)
    leads._tools.cache_clear()


def test_importing_the_wire_imports_neither_numpy_nor_pcodec():
    code = "import sys, wire.study, wire.waveform, wire.codec; print({'numpy', 'pcodec'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
