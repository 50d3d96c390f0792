"""The POCT1-A driver: a result is acknowledged when it is durable, once, and nobody's study holds another's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.drivers import poct1a
from edge.drivers.poct1a_documents import BEFORE_SIZE_MAX, DOCUMENT_SIZE_MAX, Splitter, Unread, read
from hardware.simulated.poct1a import STYLES, Poct1aDevice, service
from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire

HDR = '<HDR><HDR.control_id V="{}"/><HDR.version_id V="POCT1"/><HDR.creation_dttm V="2026-08-01T09:00:00+03:00"/></HDR>'


def message(kind, body="", number=1):
    return f"<{kind}>{HDR.format(number)}{body}</{kind}>".encode()


def observed(*services, kind="OBS.R01", number=7):
    return message(kind, "".join(services), number)


def one(patient="P1", code="2341-6", value="145", more="", role="OBS", dttm="2026-08-01T08:59:00+03:00"):
    return (
        f'<SVC><SVC.role_cd V="{role}"/><SVC.observation_dttm V="{dttm}"/><PT><PT.patient_id V="{patient}"/>'
        f'<OBS><OBS.observation_id V="{code}" DN="Glu" SN="LN"/><OBS.value V="{value}" U="mg/dL"/>{more}</OBS>'
        "</PT></SVC>"
    )


def heard(*messages, refuse=lambda number: False, wait=30.0, **options):
    bench = Bench("poct1a", options, refuse)
    for data in messages:
        bench.feed(data)
    bench.wait(wait)
    return bench


def said(bench):
    """The kinds of our messages, in order, with AA or AE."""
    found = re.findall(rb"<([A-Z]{3}\.R\d\d)>.*?</\1>", bench.sent)
    codes = iter(re.findall(rb'ACK.type_cd V="(..)"', bench.sent))
    return [f"ACK {next(codes).decode()}" if kind == b"ACK.R01" else kind.decode() for kind in found]


def simulated(style, count=3, faults=(), refuse=lambda number: False, piece=4096, **options):
    device = Poct1aDevice(style, 7, [f"{24310077 + at}" for at in range(count)], 5.0, faults)
    bench = Bench("poct1a", options, refuse)
    Wire(device, BenchHost(bench), piece=piece).run(until=2000.0)
    bench.wait(60)
    return device, bench


def patients(bench):
    return [study.ends.patient_ids for study in bench.studies]


EVERYBODY = [(f"{24310077 + at}",) for at in range(3)]


# Conversations


@pytest.mark.parametrize("piece", [4096, 7])
@pytest.mark.parametrize("style", STYLES)
def test_every_result_is_a_study_and_is_acknowledged(style, piece):
    device, bench = simulated(style, piece=piece, continuous=style == "sofia")
    assert device.report.is_good
    assert patients(bench) == EVERYBODY
    assert {study.begins.model for study in bench.studies} == {style}
    assert {study.begins.serial for study in bench.studies} == {"0600100736"}
    assert all(not study.ends.partial for study in bench.studies)


def test_what_lay_in_the_device_was_measured_earlier_and_what_comes_when_it_is_made_was_not():
    _, bench = simulated("statstrip")
    assert all(study.begins.is_earlier for study in bench.studies)
    _, bench = simulated("sofia", continuous=True)
    assert not any(study.begins.is_earlier for study in bench.studies)


def test_the_conversation_is_ended_in_good_order():
    _, bench = simulated("statstrip", 1)
    assert said(bench) == ["ACK AA", "ACK AA", "REQ.R01", "ACK AA", "ACK AA", "END.R01"]
    _, bench = simulated("statstrip", 1, continuous=True)
    assert said(bench)[-1] == "DTV.R01"


def test_a_device_with_nothing_new_is_let_go():
    bench = heard(message("HEL.R01"), message("DST.R01", '<DST><DST.new_observations_qty V="0"/></DST>'))
    assert said(bench) == ["ACK AA", "ACK AA", "END.R01"]
    bench = heard(message("HEL.R01"), message("DST.R01", "<DST/>"))
    assert said(bench) == ["ACK AA", "ACK AA", "REQ.R01"]


def test_we_speak_in_the_manner_of_the_device():
    _, framed = simulated("hemoscreen", 1)
    assert framed.sent.startswith(b"\x0b<ACK.R01>")
    assert framed.sent.endswith(b"\x1c\r")
    assert b"HDR.message_type" not in framed.sent
    _, bare = simulated("statstrip", 1)
    assert bare.sent.startswith(b'<ACK.R01><HDR><HDR.message_type V="ACK.R01"/><HDR.control_id V="1"/>')
    assert b"\x0b" not in bare.sent
    assert b'<ACK.control_id V="1"/>' in heard(message("HEL.R01"), ack="control_id").sent


@pytest.mark.parametrize("fault", ["keep-alive", "declaration", "wants-patients"])
@pytest.mark.parametrize("style", ["statstrip", "hemoscreen"])
def test_habits_of_devices_harm_nothing(style, fault):
    device, bench = simulated(style, faults=[fault])
    assert device.report.is_good
    assert patients(bench) == EVERYBODY
    assert ("ACK AE" in said(bench)) == (fault == "wants-patients")


# Durable first


def test_a_result_that_the_disk_refuses_is_not_answered_and_comes_again():
    device, bench = simulated("statstrip", refuse=lambda number: number == 1)
    assert device.report.is_good
    assert device.report.refused == 1
    assert patients(bench) == EVERYBODY


def test_nothing_is_acknowledged_while_the_disk_refuses():
    bench = heard(observed(one()), refuse=lambda number: True)
    assert bench.sent == b""
    assert bench.studies == []


@pytest.mark.parametrize("style", ["statstrip", "hemoscreen"])
def test_an_acknowledgement_that_was_lost_doubles_nothing(style):
    device, bench = simulated(style, faults=["lost-ack"])
    assert device.report.is_good
    assert patients(bench) == EVERYBODY
    assert bench.notes == ["a result came again and is kept once: an answer was lost"]


def test_a_result_that_breaks_off_is_kept_as_partial_and_comes_again():
    device, bench = simulated("hemoscreen", faults=["cut"])
    assert device.report.is_good
    assert [study.ends.partial for study in bench.studies] == ["the message was not ended", "", "", ""]
    assert patients(bench)[1:] == EVERYBODY


def test_another_value_is_another_result_though_all_else_is_the_same():
    bench = heard(observed(one(value="145")), observed(one(value="146")), observed(one(value="145")))
    assert [study.observations[0].value for study in bench.studies] == ["145", "146"]
    assert said(bench) == ["ACK AA"] * 3


# What a result says


def test_values_are_as_received_with_codes_where_they_are_known():
    more = (
        '<OBS.status_cd V="A"/><OBS.interpretation_cd V="HH"/><OBS.normal_lo-hi_limit V="[80;120]" U="mg/dL"/>'
        '<NTE><NTE.text V=" to be &lt;repeated&gt; "/></NTE>'
    )
    (study,) = heard(observed(one(more=more))).studies
    (seen,) = study.observations
    assert (seen.code, seen.name, seen.value, seen.unit, seen.loinc) == ("2341-6", "Glu", "145", "mg/dL", "2341-6")
    assert (seen.range, seen.flags, seen.status) == ("[80;120]", "HH", "A")
    assert seen.comments == ("to be <repeated>",)
    assert study.results[0].device_time == "2026-08-01T08:59:00+03:00"
    assert study.ends.headline == (("Glu", "145", "mg/dL"),)


def test_a_value_or_an_id_is_never_cut():
    (study,) = heard(observed(one(patient="1" * 500, value="9" * 500))).studies
    (seen,) = study.observations
    assert (seen.value, seen.ucum_value) == ("", "")
    assert seen.comments == ("its value has 500 characters; it stands in RAW",)
    assert study.ends.patient_ids == ()
    assert b"9" * 500 in study.raw


def test_a_qualitative_value_is_a_value():
    _, bench = simulated("sofia", 1, continuous=True)
    (seen,) = bench.studies[0].observations
    assert (seen.name, seen.value, seen.unit) == ("Flu A", "positive", "")


@pytest.mark.parametrize("style", ["statstrip", "hemoscreen"])
def test_a_control_is_nobodys(style):
    _, bench = simulated(style, faults=["control"])
    control, *others = bench.studies
    assert control.ends.qc
    assert control.ends.patient_ids == ()
    assert control.results[0].specimen_id == "L0007"
    assert control.results[0].notes[0] == "control QC level 1, L0007, N"
    assert not any(study.ends.qc for study in others)


def test_a_test_that_is_called_a_control_in_a_patients_message_is_one():
    (study,) = heard(observed(one(role="LQC"))).studies
    assert study.ends.qc


def test_results_of_two_people_are_two_studies_and_neither_holds_the_others_bytes():
    device, bench = simulated("statstrip", faults=["two-patients"])
    assert device.report.is_good
    assert patients(bench) == EVERYBODY
    first, second, _ = bench.studies
    assert b"24310077" in first.raw
    assert b"24310078" not in first.raw
    assert b"24310077" not in second.raw
    bench = heard(b"\n" + observed(one("P1"), one("P1", value="7"), one("P2")))
    assert [len(study.observations) for study in bench.studies] == [2, 1]
    assert b"".join(study.raw for study in bench.studies) == b"\n" + observed(
        one("P1"), one("P1", value="7"), one("P2")
    )


def control(lot, value):
    return (
        f'<SVC><SVC.role_cd V="LQC"/><CTC><CTC.name V="QC"/><CTC.lot_number V="{lot}"/><OBS>'
        f'<OBS.observation_id V="GLU"/><OBS.value V="{value}" U="mg/dL"/></OBS></CTC></SVC>'
    )


def test_test_events_that_name_nobody_are_studies_of_their_own():
    raw = observed(one(""), one("", value="7"), one("P1"), one("P1", value="8"))
    bench = heard(raw)
    assert [[seen.value for seen in study.observations] for study in bench.studies] == [["145"], ["7"], ["145", "8"]]
    assert b"".join(study.raw for study in bench.studies) == raw


def test_a_control_beside_a_patient_and_each_lot_are_apart():
    bench = heard(observed(one("P1"), one("P1", role="LQC"), control("L1", "60"), control("L2", "300"), one("P1")))
    assert [study.ends.qc for study in bench.studies] == [False, True, True, True, False]
    assert [study.results[0].specimen_id for study in bench.studies[2:4]] == ["L1", "L2"]


def test_a_declared_character_set_is_heeded():
    text = observed(one("Ковальчук")).decode()
    data = b'<?xml version="1.0" encoding="windows-1251"?>\r\n' + text.encode("cp1251")
    bench = heard(data + data.replace("Ковальчук".encode("cp1251"), "Іваненко".encode("cp1251")))
    assert patients(bench) == [("Ковальчук",), ("Іваненко",)]
    (study,) = heard(observed(one("Ковальчук"))).studies
    assert study.ends.patient_ids == ("Ковальчук",)


def test_events_of_the_device_are_kept_before_they_are_acknowledged():
    event = message("EVS.R01", '<EVT><EVT.description V="battery changed"/></EVT>')
    bench = heard(event, event)
    (study,) = bench.studies
    assert study.begins.form == "document"
    assert study.raw == event
    assert said(bench) == ["ACK AA", "ACK AA"]
    assert said(heard(event, refuse=lambda number: True)) == []


# What is no message, or ill


def test_entities_are_not_resolved_and_a_document_type_is_refused():
    _, bench = simulated("statstrip", faults=["entity"])
    bad, *_ = bench.studies
    assert bad.ends.partial
    assert b"ENTITY" in bad.raw
    assert "aaaaaaaaaa" not in str(bad.tags)
    assert said(bench)[3] == "ACK AE"


def test_an_unclosed_element_is_kept_whole_and_answered_as_an_error():
    _, bench = simulated("hemoscreen", faults=["unclosed"])
    bad, *others = bench.studies
    assert bad.ends.partial.startswith("it is no XML: mismatched tag")
    assert b"24310077" in bad.raw
    assert bad.observations == []
    assert [study.ends.patient_ids for study in others] == EVERYBODY[1:]


@pytest.mark.parametrize(
    "body",
    ["<a>" * 40 + "</a>" * 40, "<a/>" * 30_000, "<a " + " ".join(f'b{at}="1"' for at in range(40)) + "/>"],
    ids=["deep", "many", "attributes"],
)
def test_more_xml_than_any_message_has_is_not_read(body):
    (study,) = heard(observed(body)).studies
    assert "than any message" in study.ends.partial
    assert study.raw == observed(body)


def test_a_document_type_before_the_root_is_seen():
    for declared in (b'<?xml version="1.0"?>', b""):
        for within in (b' [<!ENTITY a "b">]', b""):
            splitter = Splitter()
            splitter.push(declared + b"<!DOCTYPE OBS.R01" + within + b">" + observed(one()))
            with pytest.raises(Unread, match="document type"):
                read(splitter.next())


def test_a_message_without_an_end_is_given_up():
    bench = Bench("poct1a")
    for _ in range(DOCUMENT_SIZE_MAX // 10_000 + 2):
        bench.feed(b"<OBS.R01>" + b"x" * 10_000)
    bench.wait(30)
    assert bench.studies[0].ends.partial.startswith("the message is longer than 26")
    assert bench.sent == b""


def test_what_is_no_message_is_said_once():
    bench = Bench("poct1a")
    for _ in range(20):
        bench.feed(b"H|\\^&|||analyser\r" * 100)
    assert [fault.code for fault in bench.faults] == ["noise"]


def test_a_refusal_of_the_device_is_shown():
    no = '<ACK><ACK.type_cd V="AE"/><ACK.ack_control_id V="3"/><ACK.note_txt V="busy"/></ACK>'
    bench = heard(message("ACK.R01", no), message("ESC.R01", '<ESC><ESC.detail_cd V="OTH"/></ESC>'))
    assert [fault.text for fault in bench.faults] == [
        "the device does not do what it was asked (AE): busy",
        "the device refused a message: OTH",
    ]
    assert bench.sent == b""


def test_the_port_vanishes_within_a_result():
    bench = Bench("poct1a")
    bench.feed(observed(one())[:120])
    bench.lose()
    (study,) = bench.studies
    assert study.ends.partial == "the port vanished within a message"
    bench.feed(observed(one()))
    assert len(bench.studies) == 2


WORDS = st.sampled_from(
    [
        "<OBS.R01>",
        "</OBS.R01>",
        "<SVC>",
        "</SVC>",
        one(),
        one("P2"),
        HDR.format(3),
        "<!DOCTYPE a>",
        "&b;",
        "\x0b",
        "\x1c\r",
        "<PT>",
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=9)), max_size=12).map("".join))
def test_pieces_make_no_difference(text):
    data = text.encode()
    whole, single = heard(data), Bench("poct1a")
    single.feed_in_pieces(data)
    single.wait(30)
    assert [(study.raw, study.tags) for study in single.studies] == [(study.raw, study.tags) for study in whole.studies]
    assert single.sent == whole.sent


def test_a_stranger_is_not_taken_for_one():
    _, bench = simulated("statstrip")
    assert poct1a.SIGNS.are_in(b"".join(study.raw for study in bench.studies))
    assert not poct1a.SIGNS.are_in(b"<OBS.R01>" + service("statstrip", 1, "7", 0).encode() + b"</OBS.R01>")


@pytest.mark.parametrize("noise", [0, 1_000, 1_024, 1_100, 5_000])
def test_a_message_behind_much_noise_is_found_by_its_own_name(noise):
    """The name was read from the buffer after the noise had been taken out of it, and was another."""
    for size in (1 << 20, 5):
        bench = Bench("poct1a")
        bench.feed_in_pieces(b"x" * noise + message("HEL.R01") + b"<", size)
        assert bench.studies == []
        assert bench.sent.startswith(b"<ACK.R01>")


def test_as_much_noise_is_kept_however_it_comes():
    data = b"x" * 3_000 + observed(one())
    kept = []
    for size in (1, 5, 1_000, len(data)):
        bench = Bench("poct1a")
        bench.feed_in_pieces(data, size)
        kept.append(len(bench.studies[0].raw) - len(observed(one())))
    assert kept == [BEFORE_SIZE_MAX] * 4


@pytest.mark.parametrize("role", ['<SVC.role_cd V="OBS"/>', ""])
def test_control_material_is_no_patient_whatever_the_role_says(role):
    control = (
        f'<SVC>{role}<CTC><CTC.name V="Level 1"/><CTC.lot_number V="L9"/>'
        '<OBS><OBS.observation_id V="2341-6"/><OBS.value V="60" U="mg/dL"/></OBS></CTC></SVC>'
    )
    studies = heard(observed(one(), control)).studies
    assert [(study.ends.qc, study.ends.patient_ids) for study in studies] == [(False, ("P1",)), (True, ())]


def test_critical_limits_are_told():
    (study,) = heard(observed(one(more='<OBS.critical_lo-hi_limit V="[60;140]" U="mg/dL"/>'))).studies
    assert study.observations[0].comments == ("critical [60;140]",)
