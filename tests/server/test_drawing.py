"""Waveforms drawn: no peak is lost, any range is put in bounds, every scale has its numbers."""

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.web.drawing import LABEL_HEIGHT, LEAD_HEIGHT, LEADS_MAX, MARGIN_LEFT, SPAN_S_MIN, WIDTH, draw
from tests.server import samples
from wire.waveform import Waveform


def wave(*leads, rate=100.0, scale=1.0, offset=0.0):
    return Waveform(tuple(f"L{n}" for n in range(len(leads))), rate, "mV", scale, offset, 0, leads)


def points(lead):
    return [tuple(map(float, pair.split(","))) for pair in re.findall(r"[-0-9.]+,[-0-9.]+", lead.path)]


def test_a_peak_of_one_sample_in_ten_hours_is_drawn():
    lead = [0] * 360_000
    lead[123_456] = 1000
    drawing = draw(wave(lead, rate=10.0))
    drawn = points(drawing.leads[0])
    assert len(drawn) <= 2 * WIDTH
    top = min(drawn, key=lambda point: point[1])
    assert top[0] == pytest.approx(MARGIN_LEFT + WIDTH * 123_456 / 360_000, abs=1)
    assert top[1] < LABEL_HEIGHT + 20


def test_a_short_waveform_is_drawn_sample_by_sample():
    drawing = draw(wave([1, 2, 3]))
    assert len(points(drawing.leads[0])) == 3
    assert (drawing.leads[0].low, drawing.leads[0].high) == ("1", "3")


def test_scale_and_offset_are_in_the_numbers():
    drawing = draw(wave([0, 100], scale=0.5, offset=10.0))
    assert (drawing.leads[0].low, drawing.leads[0].high) == ("10", "60")
    assert {tick.label for tick in drawing.leads[0].ticks} == {"20", "40", "60"}


def test_a_negative_scale_stands_the_right_way():
    drawing = draw(wave([0, 100], scale=-1.0))
    labels = [(tick.at, float(tick.label)) for tick in drawing.leads[0].ticks]
    assert labels
    assert drawing.leads[0].path


@pytest.mark.parametrize("samples_", [[], [5], [7] * 5000])
def test_nothing_one_sample_or_a_flat_line(samples_):
    drawing = draw(wave(samples_))
    assert "nan" not in drawing.leads[0].path
    assert bool(drawing.leads[0].path) == bool(samples_)


def test_leads_at_the_limit_and_one_over():
    drawing = draw(wave(*([[1, 2]] * (LEADS_MAX + 1))))
    assert (len(drawing.leads), drawing.left_out) == (LEADS_MAX, 1)


def test_the_grid_has_round_times():
    drawing = draw(samples.ecg(), 1.0, 3.0)
    assert [tick.label for tick in drawing.times] == ["1.0", "1.5", "2.0", "2.5", "3.0"]


@settings(max_examples=150, deadline=None)
@given(
    lead=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=60),
    rate=st.floats(0.001, 1e5),
    scale=st.sampled_from([1.0, -1.0, 0.0, 1e-300, 1e300, 0.0048828125]),
    begin=st.floats(),
    end=st.floats(),
)
def test_any_waveform_in_any_range_is_drawn_within_its_box(lead, rate, scale, begin, end):
    drawing = draw(wave(lead, rate=rate, scale=scale), begin, end)
    assert 0 <= drawing.begin_s <= drawing.end_s <= drawing.length_s + 1e-9
    assert drawing.span_s >= min(SPAN_S_MIN, drawing.length_s) - 1e-9
    for x, y in points(drawing.leads[0]):
        assert MARGIN_LEFT <= x <= MARGIN_LEFT + WIDTH
        assert LABEL_HEIGHT <= y <= LEAD_HEIGHT
    assert len(drawing.times) <= 12
    assert len(drawing.leads[0].ticks) <= 6
    assert all(math.isfinite(tick.at) for tick in (*drawing.times, *drawing.leads[0].ticks))


def test_over_a_missing_sample_no_line_is_drawn_and_its_number_is_no_value():
    one = Waveform(("SpO2 %",), 1.0, "", 1.0, 0.0, 0, ((98, 97, -1, -1, 96, 95),), missing=-1)
    lead = draw(one).leads[0]
    assert lead.path.count("M") == 2
    assert len(points(lead)) == 4
    assert lead.low == "95"


def test_a_lead_without_a_single_sample_is_named_and_empty():
    lead = draw(Waveform(("SpO2 %",), 1.0, "", 1.0, 0.0, 0, ((-1, -1),), missing=-1)).leads[0]
    assert (lead.name, lead.path) == ("SpO2 %", "")
