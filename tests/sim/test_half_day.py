"""Half a day of a van: 40 studies, three ways that come and go; budgets hold, nothing is lost, the purse is told."""

import pytest

from tests.sim.half_day import HalfDay


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0])
def test_forty_studies_over_three_ways_within_their_budgets(seed):
    report = HalfDay(seed).run()  # the checks of budgets and of custody are within
    assert report.studies >= 40
    assert report.objects == 2 * report.studies
    assert all(row["money"] <= row["money_max"] and row["kJ"] <= row["kJ_max"] for row in report.ways.values())
    assert all(row["frames"] for row in report.ways.values()), "each way had its part"
    assert "summaries: half within" in "\n".join(report.lines())
