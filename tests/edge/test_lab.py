"""Laboratory instruments that speak neither ASTM nor HL7: Abacus, KX-21, BC-2800, VES-MATIC."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.driver import RAW_SIZE_MAX, Fault
from edge.drivers import abacus, bc2800, kx21, vesmatic
from edge.drivers.lab_answering import REPEAT_S, SILENCE_S
from hardware.simulated import abacus as simulated_abacus
from hardware.simulated import bc2800 as simulated_bc2800
from hardware.simulated import kx21 as simulated_kx21
from hardware.simulated import vesmatic as simulated_vesmatic
from hardware.simulated.scanner import patient_label
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire

DEVICES = {
    "abacus": simulated_abacus.Abacus,
    "kx21": simulated_kx21.Kx21,
    "bc2800": simulated_bc2800.Bc2800,
    "vesmatic": simulated_vesmatic.VesMatic,
}
FAULTS = {
    "abacus": simulated_abacus.FAULTS,
    "kx21": simulated_kx21.FAULTS,
    "bc2800": simulated_bc2800.FAULTS,
    "vesmatic": simulated_vesmatic.FAULTS,
}
OPTIONS = {("kx21", "class-a"): {"answer": "none"}}
READ = {"abacus": 22, "kx21": 15, "bc2800": 18, "vesmatic": 1}
UNREAD = {"binary", "other-form", "unknown-form"}


def heard(driver, *pieces, refuse=lambda number: False, **options):
    bench = Bench(driver, options, refuse=refuse)
    for piece in pieces:
        bench.feed(piece)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


# All of them


@pytest.mark.parametrize(("driver", "fault"), [(name, one) for name in FAULTS for one in (None, *FAULTS[name])])
@pytest.mark.parametrize("piece", [1, 4096])
def test_every_sample_arrives_once_whatever_happens_on_the_way(driver, fault, piece):
    device = DEVICES[driver](3, 3, 5.0, [fault] if fault else [])
    bench = Bench(driver, OPTIONS.get((driver, fault)))
    Wire(device, BenchHost(bench), piece=piece).run(until=200.0)
    assert device.report.is_good
    whole = [study for study in bench.studies if not study.ends.partial and not study.ends.qc]
    if fault in UNREAD:
        assert all("not read" in study.notes[0] for study in whole)
        return
    tubes = 9 if driver == "vesmatic" else 3
    ids = [study.ends.patient_ids[0].lstrip("0") for study in whole]
    assert ids == [patient_label(3, at) for at in range(fault == "control" and driver != "vesmatic", tubes)]
    assert all(len(study.observations) == READ[driver] - 3 * (fault == "stars") for study in whole)


@pytest.mark.parametrize("driver", DEVICES)
def test_what_the_disk_refuses_is_not_acknowledged_and_comes_again(driver):
    device = DEVICES[driver](3, 2)
    bench = Bench(driver, refuse={0, 1}.__contains__)
    Wire(device, BenchHost(bench)).run(until=200.0)
    assert device.report.is_good
    ids = [study.ends.patient_ids[0].lstrip("0") for study in bench.studies]
    assert sorted(ids) == sorted(patient_label(3, at) for at in range(6 if driver == "vesmatic" else 2))


MESSAGES = {
    "abacus": simulated_abacus.package("B", "D", simulated_abacus.data_text(3, 0)),
    "kx21": simulated_kx21.text(3, 0),
    "bc2800": simulated_bc2800.text(3, 0) + b"\x04\x03",
    "vesmatic": simulated_vesmatic.frame("51", simulated_vesmatic.results(3, 0, 1)),
}


@pytest.mark.parametrize("driver", MESSAGES)
def test_the_same_message_again_is_answered_and_dropped_until_it_may_be_another(driver):
    bench = heard(driver, MESSAGES[driver])
    bench.wait(3.0)
    first = bench.sent.strip(b"\x05")
    assert b"\x06" in first
    bench.feed(MESSAGES[driver])
    bench.wait(3.0)
    assert len(bench.studies) == 1
    assert bench.sent.strip(b"\x05") == first * 2
    bench.wait(REPEAT_S)
    bench.feed(MESSAGES[driver])
    bench.wait(3.0)
    assert len(bench.studies) == 2


@pytest.mark.parametrize("driver", MESSAGES)
@pytest.mark.parametrize("how", ["silence", "port"])
def test_a_message_that_breaks_off_is_kept_without_values(driver, how):
    part = MESSAGES[driver][:-4]
    bench = heard(driver, part)
    if how == "port":
        bench.lose()
    else:
        bench.wait(SILENCE_S + 0.1)
    (study,) = bench.studies
    assert study.ends.partial
    assert study.raw == part
    assert study.observations == []
    assert [fault.code for fault in bench.faults] == ["message"]


@pytest.mark.parametrize("driver", MESSAGES)
def test_a_message_without_end_is_bounded(driver):
    bench = heard(driver, MESSAGES[driver][:40], b"7" * (RAW_SIZE_MAX + 100))
    bench.wait(10.0)
    assert all(len(study.raw) <= 1 << 16 for study in bench.studies)


@given(st.sampled_from(sorted(MESSAGES)), st.binary(max_size=60), st.binary(max_size=60))
def test_noise_before_and_after_a_message_loses_nothing_and_raises_nothing(driver, before, after):
    bench = Bench(driver)
    bench.feed(before)
    bench.wait(10.0)
    bench.feed(MESSAGES[driver])
    bench.wait(10.0)
    bench.feed(after)
    bench.wait(10.0)
    assert sum(len(study.observations) == READ[driver] for study in bench.studies) >= 1


# Abacus


def test_the_manuals_rows_are_read():
    text = "SNO\t152\nDATE\t19980715\nTIME\t114500\nSID\t2\nPID\t26\nNAME\tJOE SMITH\nWRN\t0\nPARN\t22\n"
    text += "P01\t 6.6\t0\nP02\t4.29\t0\nP03\t 167\t1\nP21\t 8.2\t0\nP22\t 5.3\t0\nAGE\t24\n"
    study = heard("abacus", simulated_abacus.package("B", "D", text.encode())).studies[0]
    assert [(one.name, one.value, one.flags) for one in study.observations] == [
        ("WBC", "6.6", ""),
        ("RBC", "4.29", ""),
        ("HGB", "167", "1"),
        ("RBC time", "8.2", ""),
        ("WBC time", "5.3", ""),
    ]
    assert study.results[0].device_time == "19980715114500"
    assert study.results[0].patient_ids == (("PID", "26"), ("SID", "2"))
    assert study.results[0].specimen_id == "2"
    assert study.ends.patient_ids == ("26", "2")


def test_an_id_of_zeros_names_nobody():
    study = heard("abacus", simulated_abacus.package("B", "D", b"SID\t7\nPID\t0\nP01\t6.6\t0\n")).studies[0]
    assert study.ends.patient_ids == ("7",)


@given(st.integers(0, len(MESSAGES["abacus"]) - 1), st.integers(1, 255))
def test_one_damaged_byte_of_an_abacus_is_never_read(at, flip):
    damaged = bytearray(MESSAGES["abacus"])
    damaged[at] ^= flip
    bench = heard("abacus", bytes(damaged))
    bench.wait(SILENCE_S + 1)
    assert not any(values(study) for study in bench.studies) or bytes(damaged).upper() == MESSAGES["abacus"].upper()


def test_an_abacus_that_gave_up_is_woken_every_half_minute():
    bench = Bench("abacus")
    bench.wait(95.0)
    assert bench.sent == b"\x05" * 4


def test_the_answer_to_init_can_be_chosen():
    init = simulated_abacus.package("A", "I", b"Abacus Junior\t2.66\t20261122\t085900")
    assert heard("abacus", init).sent == b"\x06 A"
    assert heard("abacus", init, after_init="D").sent == b"\x06DA"
    study = heard("abacus", init, MESSAGES["abacus"]).studies[0]
    assert study.begins.model == "Abacus Junior 2.66"


def test_a_binary_record_may_hold_every_byte():
    body = bytes(range(256))
    record = simulated_abacus.package("B", "F", len(body).to_bytes(2, "big") + body)
    (study,) = heard("abacus", record).studies
    assert study.raw == record


def test_a_name_outside_the_table_stays_as_it_is():
    assert (abacus.named("P01"), abacus.named("P23"), abacus.named("P24"), abacus.named("P00")) == (
        "WBC",
        "WBC time 2",
        "P24",
        "P00",
    )


# KX-21


def test_the_columns_of_a_sample():
    row = "".join(f"{number:04d}{mark}" for number, mark in zip(range(15), " +-*   1       ", strict=True))
    text = b"\x02D1U0261122" + b"     1234567" + b"0000000" + row.encode() + b"S\x03"
    study = heard("kx21", text).studies[0]
    assert [one.value for one in study.observations] == [f"{number:04d}" for number in range(15)]
    assert [one.flags for one in study.observations][:8] == ["", "+", "-", "*", "", "", "", "1"]
    assert study.ends.patient_ids == ("1234567",)
    assert study.observations[0].comments == (kx21.AS_SENT,)


def test_stars_are_no_value_and_say_so():
    study = heard("kx21", simulated_kx21.text(3, 0, is_unreliable=True)).studies[0]
    (platelets,) = [one for one in study.observations if one.name == "PLT"]
    assert (platelets.value, platelets.flags) == ("****", "*4")


def test_a_control_is_nobodys():
    study = heard("kx21", simulated_kx21.text(3, 0, is_control=True)).studies[0]
    assert study.ends.qc
    assert study.ends.patient_ids == ()


def test_a_short_text_has_no_values():
    study = heard("kx21", b"\x02D1U0261122     12345670000000012\x03").studies[0]
    assert "too short" in study.ends.partial


def test_class_a_is_answered_nothing():
    assert heard("kx21", simulated_kx21.text(3, 0), answer="none").sent == b""


# BC-2800, BC-3000 Plus


@pytest.mark.parametrize(
    ("value", "form", "is_it"),
    [
        ("006.6", "###.#", True),
        ("  6.6", "###.#", True),
        ("66.60", "###.#", False),
        ("6 6.6", "###.#", False),
        ("006.", "###.#", False),
        (".235", ".###", True),
        ("0.23", ".###", False),
        (" 167", "####", True),
        ("    ", "####", False),
        ("167 ", "####", False),
        ("٣٣٣", "###", False),
    ],
)
def test_a_value_has_its_form_or_nothing_is_read(value, form, is_it):
    assert bc2800.fits(value, form) is is_it


def test_one_value_out_of_form_and_none_is_read():
    text = simulated_bc2800.text(3, 0)
    good, bad = bc2800.read(text), bc2800.read(text[:40] + b"x" + text[41:])
    assert len(good.observations) == 18
    assert bad.observations == ()
    assert "not read" in bad.notes[0]


def old(**instead):
    """Text A of a BC-2800: each value's digits, in the manual's order."""
    names = [name for name, _, _ in bc2800.OLD_VALUES]
    digits = ("0066", "0020", "0006", "0040", "303", "091", "606", "0466", "139", "0339", "0880", "0298", "134")
    values = dict(zip(names, (*digits, "410", "0220", "085", "158", "187"), strict=True)) | instead
    return ("A1234567801122202609" + "05" + "".join(values.values()) + "****" + "0" * 2366).encode()


def test_a_text_with_an_id_of_eight_digits_has_its_points_where_the_manual_has_them():
    report = bc2800.read(old())
    read = {one.name: one.value for one in report.observations}
    assert report.patient_ids == ("12345678",)
    assert report.time == "202611220905"
    assert report.notes == (bc2800.DEDUCED,)
    assert (read["WBC"], read["Lymph%"], read["RBC"], read["HGB"]) == ("6.6", "30.3", "4.66", "139")
    assert (read["MCHC"], read["MCV"], read["HCT"], read["PLT"], read["PCT"]) == ("339", "88.0", "41.0", "220", "0.187")
    assert next(one for one in report.observations if one.name == "RBC").loinc == "789-8"


@pytest.mark.parametrize(
    ("wrong", "read"),
    [
        ({}, 18),
        ({"Lymph#": "****", "Mid#": "****", "Gran#": "****"}, 15),
        ({"HCT": "310"}, 0),  # 4.66 by 88.0 is 41.0
        ({"MCH": "0398"}, 0),
        ({"WBC": "0076"}, 0),
        ({"RBC": "****", "WBC": "****"}, 0),  # nothing is left that could contradict
        ({"RBC": "466"}, 0),  # a column less
        ({"PLT": "02 0"}, 0),
    ],
)
def test_digits_without_points_are_read_only_where_the_values_agree(wrong, read):
    report = bc2800.read(old(**wrong))
    assert len(report.observations) == read
    assert read or "not read" in report.notes[0]


def test_texts_of_the_simulated_bc2800_agree_with_themselves():
    for at in range(40):
        assert len(bc2800.read(simulated_bc2800.old_text(3, at)).observations) == 18
        assert len(bc2800.read(simulated_bc2800.old_text(3, at, has_stars=True)).observations) == 12


@pytest.mark.parametrize("text", [b"C112220260900  6.6 4.66140 220", b"B1LOT00111222026  6.6 4.66140 220"])
def test_control_texts_of_a_bc2800_are_nobodys(text):
    report = bc2800.read(text)
    assert report.qc
    assert report.observations == ()
    assert report.patient_ids == ()


def test_an_etx_that_is_not_known_is_answered_nak_so_that_the_text_comes_again():
    assert heard("bc2800", b"\x03").sent == b"\x15"
    bench = heard("bc2800", b"\x05", MESSAGES["bc2800"], b"\x03")
    assert bench.sent == b"\x06\x06\x06"
    bench.wait(60.0)
    bench.feed(b"\x03")
    assert bench.sent == b"\x06\x06\x06\x15"


def test_a_port_that_vanishes_behind_the_end_of_a_text_without_handshake_loses_no_value():
    text = simulated_bc2800.text(3, 0)
    bench = heard("bc2800", b"\x02" + text + b"\x04", answer="none")
    bench.lose()
    (study,) = bench.studies
    assert not study.ends.partial
    assert len(study.observations) == READ["bc2800"]


@pytest.mark.parametrize("first", [b"A", b"C"], ids=["a sample", "a control"])
def test_a_port_that_vanishes_in_the_middle_of_any_text_leaves_a_partial_study(first):
    """A control's text is of another form, which ends with silence; a cable that is pulled is no silence."""
    bench = heard("bc2800", b"\x05", first + b"0010105543350803202608")
    bench.lose()
    (study,) = bench.studies
    assert study.ends.partial == "the port vanished in the middle of the message"


def test_a_port_that_vanishes_before_the_question_behind_a_text_leaves_it_to_be_sent_again():
    bench = heard("bc2800", b"\x05", simulated_bc2800.text(3, 0) + b"\x04")
    bench.lose()
    bench.feed(b"\x05")
    bench.feed(MESSAGES["bc2800"])
    assert [bool(study.ends.partial) for study in bench.studies] == [True, False]


def test_units_are_those_that_the_manual_prints():
    study = heard("bc2800", MESSAGES["bc2800"]).studies[0]
    found = {one.name: (one.unit, one.loinc) for one in study.observations}
    assert found["WBC"] == ("10^9/L", "6690-2")
    assert found["HGB"] == ("g/L", "718-7")


# VES-MATIC


def test_the_manuals_query_is_sound_and_answered_by_nobody():
    query = sample("serial-lines/ves_matic_cube_esr.bin")
    assert vesmatic.is_sound(query)
    bench = heard("vesmatic", query, query)
    bench.wait(10.0)
    assert bench.sent == b""
    assert [fault.code for fault in bench.faults] == ["query"]
    assert bench.studies == []


def test_the_manuals_host_acknowledges_as_we_do():
    reply = sample("serial-lines/ves_matic_cube_host_reply.bin")
    assert reply.startswith(vesmatic.ANSWER)
    assert vesmatic.is_sound(reply[len(vesmatic.ANSWER) :])


def test_each_tube_is_a_study_and_their_bytes_are_the_message():
    message = simulated_vesmatic.frame("51", simulated_vesmatic.results(3, 0, 3, is_over=True))
    bench = heard("vesmatic", message)
    assert b"".join(study.raw for study in bench.studies) == message
    assert [study.ends.patient_ids for study in bench.studies] == [(patient_label(3, at),) for at in range(3)]
    assert values(bench.studies[0]) == {"ESR": ">140"}
    assert bench.studies[0].results[0].device_time == "202611220900"
    assert bench.sent == b""
    bench.wait(1.1)
    assert bench.sent == vesmatic.ANSWER


def test_a_tube_that_the_disk_refused_holds_the_answer_back():
    message = simulated_vesmatic.frame("51", simulated_vesmatic.results(3, 0, 3))
    bench = heard("vesmatic", message, refuse={1}.__contains__)
    bench.wait(5.0)
    assert bench.sent == b""
    assert Fault("disk-full", vesmatic.REFUSED) in bench.faults
    bench.feed(message)
    bench.wait(5.0)
    assert bench.sent == vesmatic.ANSWER
    assert len(bench.studies) == 3


def test_zero_stands_for_an_error():
    record = b"01" + b"77\x11" + b"2211260900" + b"   0" + b"04"
    (study,) = heard("vesmatic", simulated_vesmatic.frame("51", record)).studies
    assert (study.observations[0].value, study.observations[0].flags) == ("0", "04")
    assert study.notes == ["the host does not know this code"]


@given(st.integers(0, len(MESSAGES["vesmatic"]) - 1), st.integers(1, 255))
def test_one_damaged_byte_of_a_ves_matic_is_never_read(at, flip):
    damaged = bytearray(MESSAGES["vesmatic"])
    damaged[at] ^= flip
    bench = heard("vesmatic", bytes(damaged))
    bench.wait(SILENCE_S + 1)
    assert not any(values(study) for study in bench.studies) or bytes(damaged).upper() == MESSAGES["vesmatic"].upper()
