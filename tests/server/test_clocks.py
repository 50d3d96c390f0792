"""What the centre says of clocks: the kit's, the device's, and when it was while the kit did not know the time."""

import json
import re
from datetime import datetime

import pytest
from sqlalchemy import select

from server import clocks
from server import tables as t
from tests.server import samples
from wire.record import ClockMark

BOOT, NEXT_BOOT = bytes(range(8)), bytes(8)
TRUE_MS = samples.OPENED_MS
"""When the true time was that of the samples, the boots of these tests were 100 s old."""
UP_MS = 100_000


def mark(source, kit_ms=TRUE_MS, uptime_ms=UP_MS, boot=BOOT, **more):
    return ClockMark(source, kit_ms, uptime_ms, boot, **more)


def page_of(doctor, take, kit, *marks, sign=True):
    study_id, raw = kit.study([[samples.device(), one.to_tag()] for one in marks], sign=sign)
    take((study_id, raw))
    return lambda: doctor.get(f"/studies/{study_id.hex()}").text


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (mark("network", error_ms=30), "right, known within 0.0 s by the network"),
        (mark("gps", offset_ms=700, error_ms=1_000), "right, known within 1.0 s by GPS"),
        (
            mark("gps", offset_ms=-90_000, error_ms=1_360),
            '<span class="flag warn">1 min 30 s behind, known within 1.4 s by GPS',
        ),
        (mark("rtc"), "from a battery, never compared"),
        (mark("none"), "<dd>nobody tells it the time"),
        (mark("none", kit_ms=5_000), '<span class="flag warn">was never set: no time holds'),
        (mark("none", device_time="2011", device_offset_ms=-3_600_000), "1 h behind the kit\u2019s"),
        (mark("none", device_time="2611", device_offset_ms=400), "as the kit\u2019s"),
        (
            mark("none", device_time="12:05", device_offset_ms=-42_000, device_step_ms=60_000),
            "as the kit\u2019s, to the minute",
        ),
        (
            mark("none", device_time="12:05", device_offset_ms=-61_000, device_step_ms=60_000),
            "1 min 1 s behind the kit\u2019s, to",
        ),
        (
            mark("none", device_time="12:05", device_offset_ms=1_000, device_step_ms=60_000),
            "1.0 s ahead of the kit\u2019s, to",
        ),
        (mark("none", stepped_ms=-86_461_000), "set back by 1 d while the study was open"),
    ],
)
def test_the_page_says_how_good_the_clocks_were(doctor, van, take, said, wanted):
    assert wanted in page_of(doctor, take, van, said)()


def test_what_was_made_before_the_time_was_known_is_dated_by_what_came_after(doctor, van, take):
    early = page_of(doctor, take, van, mark("none", kit_ms=5_000, uptime_ms=UP_MS - 60_000))
    assert "was never set" in early()
    page_of(doctor, take, van, mark("gps", offset_ms=0, error_ms=1_000))
    text = early()
    assert "behind, known within 1.0 s by what it learnt later in the same run" in text
    (shown,) = re.findall(r'<dt>Truly begun</dt><dd><time datetime="([^"]+)"', text)
    assert datetime.fromisoformat(shown).timestamp() * 1000 == TRUE_MS - 60_000


def test_a_kit_that_was_started_anew_is_dated_by_what_it_had_learnt_before_and_nothing_else_is_said(doctor, van, take):
    """The page said "by a later study", which had not been made."""
    page_of(doctor, take, van, mark("gps", uptime_ms=UP_MS - 60_000, kit_ms=TRUE_MS - 60_000, error_ms=1_000))
    again = page_of(doctor, take, van, mark("none", kit_ms=5_000))
    assert "known within 1.0 s by what it learnt earlier in the same run" in again()


def test_a_study_in_which_the_time_became_known_is_dated_by_itself(doctor, van, take):
    marks = mark("none", kit_ms=5_000, uptime_ms=UP_MS - 60_000), mark("network", error_ms=20, stepped_ms=TRUE_MS)
    assert "by what it learnt later in the same run" in page_of(doctor, take, van, *marks)()


def test_another_boot_another_kit_and_an_unsigned_file_date_nothing(doctor, van, take):
    early = page_of(doctor, take, van, mark("none", kit_ms=5_000))
    page_of(doctor, take, van, mark("gps", boot=NEXT_BOOT))
    page_of(doctor, take, van, mark("gps", boot=b""))
    page_of(doctor, take, van, mark("gps"), sign=False)
    assert "was never set" in early()


def test_of_a_boot_the_best_mark_is_kept(centre, doctor, van, take):
    page_of(doctor, take, van, mark("gps", error_ms=1_500))
    page_of(doctor, take, van, mark("network", offset_ms=10_000, error_ms=20))
    page_of(doctor, take, van, mark("gps", offset_ms=99, error_ms=1_000))
    with centre.database.read() as connection:
        (row,) = connection.execute(select(t.boots)).all()
    assert (row.base_ms, row.error_ms, row.boot) == (TRUE_MS - 10_000 - UP_MS, 20, BOOT.hex())


def test_far_from_the_best_mark_less_is_known(doctor, van, take):
    early = page_of(doctor, take, van, mark("rtc", kit_ms=5_000, uptime_ms=0))
    page_of(doctor, take, van, mark("network", uptime_ms=36_000_000, error_ms=100))
    assert "known within 3.7 s by what it learnt later" in early()


def test_programs_are_told_the_marks(doctor, van, take):
    study_id, raw = van.study([[mark("gps", offset_ms=-5).to_tag()]])
    take((study_id, raw))
    tree = json.loads(doctor.get(f"/studies/{study_id.hex()}/results.json").content)
    assert tree["clocks"] == [
        {"source": "gps", "kit_ms": TRUE_MS, "uptime_ms": UP_MS, "boot": BOOT.hex(), "offset_ms": -5}
    ]


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0.0 s"),
        (59_999, "60.0 s"),
        (60_000, "1 min"),
        (3_601_000, "1 h"),
        (90_061_000, "1 d 1 h"),
        (1_800_000_000_000, "57 y 14 d"),
    ],
)
def test_spans(ms, text):
    assert clocks.span(ms) == text


@pytest.mark.parametrize(
    ("said", "is_wrong"),
    [
        (mark("none", kit_ms=5_000), True),
        (mark("rtc", kit_ms=5_000), True),
        (mark("none"), False),
        (mark("gps", offset_ms=3_000, error_ms=1_000), False),
        (mark("gps", offset_ms=-3_001, error_ms=1_000), True),
    ],
)
def test_the_list_marks_a_study_whose_times_are_wrong(doctor, van, take, said, is_wrong):
    page_of(doctor, take, van, said)
    assert ("clock wrong" in doctor.get("/").text) == is_wrong
