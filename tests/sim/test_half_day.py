"""Half a day of a van: 40 studies over GSM, Iridium and a stick; budgets hold, nothing is lost, the purse is told."""

import pytest

from tests.sim.half_day import HalfDay, percentile


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_forty_studies_over_two_modems_and_a_stick_within_their_budgets(seed):
    half_day = HalfDay(seed)
    report = half_day.run()  # the checks of budgets and of custody are within
    assert report.studies >= 40
    assert report.objects == 2 * report.studies
    assert percentile(report.summaries_s, 50) < 900, "with a way half of the time; it was 216 min (decisions/0127)"
    for row in (report.ways["gsm"], report.ways["sbd"]):
        assert 0 < row["EUR_real"] <= row["EUR"] <= row["EUR_max"]
        assert 0 < row["kJ_real"] <= row["kJ"] + 0.02 <= row["kJ_max"]
        assert row["kB_real"], "each way had its part"
    assert half_day.courier.trips >= 2
    meter = half_day.kit.lines["sbd"].sim.meter
    assert meter.credits <= half_day.kit.spent_on("sbd").micros // 40_000
    assert meter.joules <= half_day.kit.spent_on("sbd").millijoules / 1000, "what the 9602 itself drew"
    text = "\n".join(report.lines())
    assert "summaries: half within" in text
    assert f"{meter.credits} credits" in text
