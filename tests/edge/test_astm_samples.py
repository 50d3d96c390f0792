# ruff: noqa: RUF001 - analysers send Cyrillic letters
"""Every ASTM session of the samples becomes the study that the samples' manifest describes, however it arrives."""

import json
import re

import pytest

from hardware.simulated.analyser import Analyser
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire

REAL = ("cobas_c111", "dca_vantage", "genexpert", "sysmex_xp100")
CONSTRUCTED = ("cp1251", "koi8u", "latin1", "utf8", "etb-split")
SESSIONS = (*REAL, *(f"constructed-{name}" for name in CONSTRUCTED))
ALL = (*(f"{name}.session" for name in SESSIONS), "constructed-badsum-then-resend-then-dup.dev")


def session(name):
    return sample(f"astm/{name}.bin")


def described(name):
    return json.loads(sample("astm/manifest.json"))[f"astm/{name}"]


def frames_of(raw):
    """Return (text, is last) of each frame, found without our lexer: the samples hold no damaged one."""
    frames, at = [], 0
    while (start := raw.find(b"\x02", at)) >= 0:
        end = min(place for mark in (b"\x03", b"\x17") if (place := raw.find(mark, start)) >= 0)
        frames.append((raw[start + 2 : end], raw[end : end + 1] == b"\x03"))
        at = end + 5
    return frames


def heard(data, divide=lambda data: [data]):
    bench = Bench("astm")
    for piece in divide(data):
        bench.feed(piece)
    bench.wait(400)
    return bench


def facts(study):
    """Return what was read, without what tells how it arrived."""
    observations = [one.to_map() for one in study.observations]
    ids = [result.patient_ids for result in study.results]
    specimens = [result.specimen_id for result in study.results]
    return study.ends.model, observations, ids, specimens, study.ends.patient_ids, study.ends.qc


def assert_as_described(study, name):
    manifest = described(name)
    raw = study.raw
    fields = manifest["patient_fields"]
    assert study.begins.model == study.ends.model == manifest["sender"]
    assert len(study.observations) == manifest["results"]
    firsts = [[one.code, one.value, one.unit] for one in study.observations[: len(manifest["first_results"])]]
    assert firsts == manifest["first_results"]
    assert study.results[0].specimen_id == manifest["specimen_id"]
    told = dict(pair for pair in study.results[0].patient_ids if pair[0].startswith("P."))
    assert told == {f"P.{at}": text for at, text in enumerate(fields, 3) if text.strip("^ ")}
    records = b"".join(text for text, _ in frames_of(raw)).rstrip(b"\r").split(b"\r")
    assert "".join(record[:1].decode() for record in records) == manifest["record_types"]


@pytest.mark.parametrize("name", REAL)
def test_a_session_becomes_the_study_that_the_manifest_describes(name):
    raw = session(f"{name}.session")
    bench = heard(raw)
    (study,) = bench.studies
    assert_as_described(study, name)
    assert study.raw == raw
    assert bench.sent == b"\x06" * (1 + described(name)["frames"])
    assert not study.ends.partial
    assert not study.ends.qc


@pytest.mark.parametrize("name", ALL)
def test_byte_by_byte_is_the_same_study(name):
    raw = session(name)
    whole, single = heard(raw), heard(raw, lambda data: [data[at : at + 1] for at in range(len(data))])
    assert single.sent == whole.sent
    assert [facts(study) for study in single.studies] == [facts(study) for study in whole.studies]
    assert single.durable == whole.durable == raw


def assert_cut_anywhere_is_the_same(name, step=1):
    raw = session(name)
    whole = heard(raw)
    for at in range(0, len(raw), step):
        parts = heard(raw, lambda data, at=at: [data[:at], data[at:]])
        assert parts.sent == whole.sent, at
        assert parts.durable == raw, at
        assert [facts(one) for one in parts.studies] == [facts(one) for one in whole.studies], at


@pytest.mark.parametrize("name", [name for name in ALL if "genexpert" not in name and "xp100" not in name])
def test_two_reads_cut_at_every_position_are_the_same_study(name):
    assert_cut_anywhere_is_the_same(name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "step"), [("sysmex_xp100.session", 1), ("genexpert.session", 7)])
def test_two_reads_cut_at_every_position_are_the_same_study_long_ones(name, step):
    assert_cut_anywhere_is_the_same(name, step)


def assert_line_cut_then_resent_is_one_whole_study(name, step=1):
    """The line goes dead after every byte; half a minute later the analyser sends all of it again."""
    raw = session(name)
    whole = heard(raw)
    for at in range(0, len(raw), step):
        bench = Bench("astm")
        bench.feed(raw[:at])
        bench.wait(45)
        bench.feed(raw)
        bench.wait(400)
        assert [facts(one) for one in bench.studies] == [facts(one) for one in whole.studies], at
        assert not bench.studies[-1].ends.partial, at


@pytest.mark.parametrize(
    "name", [name for name in ALL if not {"genexpert", "xp100", "etb-split"} & set(re.split("[_.]|ed-", name))]
)
def test_line_cut_at_every_position_then_resent_is_one_whole_study(name):
    assert_line_cut_then_resent_is_one_whole_study(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["genexpert.session", "sysmex_xp100.session", "constructed-etb-split.session"])
def test_line_cut_then_resent_is_one_whole_study_long_ones(name):
    assert_line_cut_then_resent_is_one_whole_study(name, step=7)


@pytest.mark.parametrize("name", [name for name in ALL if "genexpert" not in name])
def test_line_cut_and_resent_at_once_without_a_pause_is_one_whole_study(name):
    raw = session(name)
    whole = heard(raw)
    for at in range(0, len(raw), 7):
        bench = heard(raw[:at] + raw)
        assert [facts(one) for one in bench.studies] == [facts(one) for one in whole.studies], at


@pytest.mark.parametrize(
    "fault", ["lost-ack", "lost-last-ack", "bad-checksum", "cut", "noise", "cr-only", "keep-alive"]
)
@pytest.mark.parametrize("name", SESSIONS)
def test_a_real_senders_faults_leave_one_study_with_each_result_once(name, fault):
    raw = session(f"{name}.session")
    whole = heard(raw)
    device = Analyser([frames_of(raw)], [fault])
    bench = Bench("astm")
    Wire(device, BenchHost(bench)).run()
    assert device.report.is_good
    assert [facts(study) for study in bench.studies] == [facts(study) for study in whole.studies]


def test_a_bad_checksum_gets_nak_and_a_duplicate_gets_ack():
    bench = heard(session("constructed-badsum-then-resend-then-dup.dev"))
    assert bench.sent == bytes.fromhex("060615060606")
    (study,) = bench.studies
    assert study.ends.patient_ids == ("123",)
    assert any("came twice" in note for note in study.notes)


@pytest.mark.parametrize(
    ("name", "encoding", "person", "value"),
    [
        ("cp1251", "cp1251", "Ковальчук^Олена", "НЕ ВИЯВЛЕНО"),
        ("koi8u", "koi8-u", "Ковальчук^Олена", "НЕ ВИЯВЛЕНО"),
        ("utf8", "utf-8", "Ковальчук^Олена", "НЕ ВИЯВЛЕНО"),
        ("latin1", "latin-1", "Élodie", "NON DÉTECTÉ"),
    ],
)
def test_a_name_in_any_character_set_is_acknowledged_and_read(name, encoding, person, value):
    bench = heard(session(f"constructed-{name}.session"))
    assert b"\x15" not in bench.sent
    (study,) = bench.studies
    (result,) = study.results
    assert result.encoding == encoding
    assert dict(result.patient_ids)["P.6"] == person
    assert result.observations[0].value == value


def test_a_frame_split_by_etb_is_joined():
    (study,) = heard(session("constructed-etb-split.session")).studies
    assert study.observations[0].value == "0123456789ABCDEF" * 40
