"""Which recordings say what the device's clock shows, and when: a dead clock is said, a measured time is not."""

from datetime import timedelta

import pytest

from edge.recording import replay
from tests.recordings.replay import load

SAID = {
    "astm-genexpert": ("20260801080000", "2026-08-01T08:00:00", 0.0),
    "hl7-bc5380": ("20260801080000", "2026-08-01T08:00:00", 0.0),
    "hl7-pcd01": ("20260801080000+0300", "2026-08-01T08:00:00+03:00", 0.0),
    "gmc-live": ("20231110121507", "2023-11-10T12:15:07", 2.125),
    "hbp9030-results": ("2026,08,01,09,00", "2026-08-01T09:00:00", 30.0),
    "tm2655-results": ("2608010900", "2026-08-01T09:00:00", 35.0),
    "poct1a-statstrip": ("2026-08-01T09:41:00+03:00", "2026-08-01T09:41:00+03:00", 0.0),
}
SILENT = ["tm2655-asked", "tm2655-damaged", "transfer-zmodem", "nonin-format-13", "contec-v7-stored", "abacus-asleep"]


@pytest.mark.parametrize("name", SAID)
def test_a_device_that_says_its_time_is_understood(name):
    first = replay(load(name)).clock_readings[0]
    text, said, at = SAID[name]
    assert (first.text, first.reading.isoformat()) == (text, said)
    assert first.at == pytest.approx(at)


@pytest.mark.parametrize("name", SILENT)
def test_when_something_was_measured_is_no_reading_of_the_clock(name):
    assert replay(load(name)).clock_readings == []


def test_the_reading_is_of_the_moment_in_which_it_came():
    readings = replay(load("hbp9030-results")).clock_readings
    assert [one.at for one in readings] == sorted({one.at for one in readings})
    assert readings[1].reading - readings[0].reading == timedelta(minutes=1)
