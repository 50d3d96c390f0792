"""A clinic's own table of codes: for every driver, before the kit's, and never over what was received."""

from dataclasses import replace

import pytest

from edge import coding, config
from tests.edge.test_config import PORT, write
from tests.edge.van import Van, studies_in
from tests.sim.disk import SimDisk
from wire.errors import ConfigError
from wire.record import Note, Observation, Result
from wire.tag import Tag

TABLE = """
[unit]
"g%" = "g/dL"
"mmHg" = "mm[Hg]"
[[code]]
names = ["HGB", "systolic"]
loinc = "1-1"
title = "the clinic's own"
ucum = ["g/dL", "mm[Hg]"]
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "clinic.toml"
    path.write_text(TABLE, encoding="utf-8")
    return str(path)


def coded(path, *observations):
    tag = Result(observations=observations, notes=("kept",)).to_tag(77)
    made = coding.coder(path)(tag)
    assert made.time_ms == 77
    assert replace(Result.from_tag(made), observations=()) == Result(notes=("kept",))
    return Result.from_tag(made).observations


def test_the_clinics_table_goes_before_the_kits(table):
    (one,) = coded(table, Observation("x", "HGB", "14,2", "g%", loinc="718-7", ucum="g/dL", ucum_value="9"))
    assert (one.loinc, one.ucum, one.ucum_value) == ("1-1", "g/dL", "14.2")
    assert (one.code, one.name, one.value, one.unit) == ("x", "HGB", "14,2", "g%")


def test_what_it_does_not_know_stays_as_the_driver_read_it(table):
    known = Observation("WBC", "WBC", "7", "10*9/L", loinc="6690-2", ucum="10*9/L", ucum_value="7")
    strange = Observation("foo", "bar", "7", "furlong")
    assert coded(table, known, strange) == (known, strange)


def test_a_unit_alone_is_told_too(table):
    (one,) = coded(table, Observation("foo", "bar", "7", "g%"))
    assert (one.loinc, one.ucum, one.ucum_value) == ("", "g/dL", "7")


def test_a_result_that_cannot_be_read_stays_as_it_is(table):
    for data in (b"", b"\xff", b"\xa1\x01\x02"):
        odd = Tag(*Result.KIND, data)
        assert coding.coder(table)(odd) is odd


def test_other_tags_and_no_table_change_nothing(table):
    note = Note("HGB").to_tag()
    assert coding.coder(table)(note) is note
    result = Result(observations=(Observation("HGB", "HGB", "14", "g%"),)).to_tag()
    assert coding.coder("")(result) is result


def test_a_result_that_codes_would_make_too_large_stays_as_it_was(table):
    many = tuple(Observation("HGB", "HGB", "14", "g%", comments=("x" * 70,)) for _ in range(4_096))
    result = Result(observations=many).to_tag()
    assert coding.coder(table)(result) is result


def test_a_study_of_a_monitor_has_the_clinics_codes(table):
    van = Van(SimDisk(), ports={"bp": ("hbp9030", {}, "scan")})
    van.capture._coded = coding.coder(table)
    van.hear("bp", b"2026,08,01,09,00,24310077            ,0,131,082,071,0\r")
    (study,) = studies_in(van.stores)
    assert [one.loinc for one in study.observations if one.name == "systolic"] == ["1-1"]


def test_the_file_lies_beside_kit_toml(tmp_path, table):
    assert config.load(write(tmp_path, 'codes = "clinic.toml"\n' + PORT)).codes == table


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[unit]\nx = 1\n", "clinic.toml"),
        ("[[code]]\nnames = []\n", "loinc"),
        ("[what]\n", "what"),
        ("=", "clinic.toml"),
    ],
)
def test_what_is_no_table_stops_the_kit_before_it_drives_off(tmp_path, text, says):
    (tmp_path / "clinic.toml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        config.load(write(tmp_path, 'codes = "clinic.toml"\n' + PORT))


def test_a_table_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        config.load(write(tmp_path, 'codes = "nowhere.toml"\n' + PORT))
