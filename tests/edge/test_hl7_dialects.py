"""How makers bend HL7: OUL messages with specimens, controls, whose a number is, several tubes. All invented."""

from time import process_time

import pytest

from edge.drivers.hl7 import raws_of
from edge.drivers.hl7_message import read_header
from edge.drivers.hl7_persons import parts_of
from tests.edge.test_hl7 import MSH, OBR, PID, exchanged, heard, obx, oru, said
from wire.record import Result

OUL = MSH.replace("ORU^R01", "OUL^{event}^OUL_{event}").replace("2.3.1", "2.5.1")


def oul(*segments, event="R22", charset=""):
    return oru(*segments, head=OUL.replace("{event}", event), charset=charset)


def spm(number="T7", role="P"):
    return f"SPM|1|{number}||SER|||||||{role}\r"


def ids_of(*messages):
    return [study.ends.patient_ids for study in heard(*messages).studies]


@pytest.mark.parametrize("event", ["R21", "R22", "R23", "R24"])
def test_results_about_specimens_are_kept_and_acknowledged(event):
    specimens = ["SAC|||T7\r"] if event == "R21" else [spm(), "SAC|||T7\r"]
    order = ["OBR|1|ORDER9||GLU^Glucose^L\r", "ORC|OK||||CM\r"]
    segments = [*order, *specimens] if event == "R24" else [*specimens, *order]
    bench = heard(oul("PID|||113||Doe^Jane\r", *segments, obx("6.1"), "TCD|GLU|1\r", event=event))
    (study,) = bench.studies
    assert [one[0] for one in said(bench.sent)] == ["AA"]
    assert study.observations[0].value == "6.1"
    assert study.ends.patient_ids == ("113", "T7")
    assert study.results[0].specimen_id == "T7"
    assert dict(study.results[0].patient_ids)["OBR.2"] == "ORDER9"


@pytest.mark.parametrize(("field", "number"), [("T7", "T7"), ("^T8", "T8"), ("T7&LIS^F1&LAB", "T7")])
def test_the_number_of_a_specimen_is_the_placers_or_the_fillers(field, number):
    assert ids_of(oul(spm(field), "OBR|1|||GLU\r", obx())) == [(number,)]


def test_a_specimen_that_follows_its_observations_belongs_to_their_order():
    (study,) = heard(oru(PID, "OBR|1|O1|F1|CBC\r", obx(), spm("T7"), "OBR|2|O2|F2|CRP\r", obx(), spm("T8"))).studies
    assert [one.specimen_id for one in study.results] == ["T7", "T8"]
    assert study.ends.patient_ids == ("113", "T7", "T8")


@pytest.mark.parametrize(
    ("role", "why"), [("Q", "control"), ("C", "calibration"), ("E", "control"), ("F", "proficiency test"), ("P", "")]
)
def test_a_specimen_says_that_it_is_no_patients(role, why):
    (study,) = heard(oul(spm(role=role), "OBR|1|||GLU\r", obx())).studies
    assert study.ends.qc == bool(why)
    assert any("no patient's result" in note for note in study.notes) == bool(why)


@pytest.mark.parametrize(("code", "qc"), [("LQC", True), ("PRF", True), ("CVR", True), ("OBS", False), ("CBC", False)])
def test_a_bedside_device_says_in_the_order_that_it_is_no_patients(code, qc):
    (study,) = heard(oru("PID||35\r", f"OBR||||{code}|||20231210111800\r", obx())).studies
    assert study.ends.qc == qc


def test_controls_and_patients_in_one_message_are_apart():
    raw = oul(spm("L1", "Q"), "OBR|1|||GLU\r", obx("5.0"), spm("T7"), "OBR|1|||GLU\r", obx("6.0"))
    bench = heard(raw)
    assert [(study.ends.qc, study.observations[0].value) for study in bench.studies] == [(True, "5.0"), (False, "6.0")]
    assert b"".join(study.raw for study in bench.studies) == raw
    assert [one[0] for one in said(bench.sent)] == ["AA"]


def test_while_nobody_is_named_another_tube_is_another_study():
    order = "OBR|1|||GLU\r"
    assert ids_of(oul(spm("T1"), order, obx(), spm("T2"), "ORC|OK\r", order, obx())) == [("T1",), ("T2",)]
    assert ids_of(oul("SAC|||T1\r", order, obx(), "SAC|||T2\r", order, obx(), event="R21")) == [("T1",), ("T2",)]
    blank = ["PID|1\r", "OBR|1||S1|CBC\r", obx(), "PID|2\r", "OBR|1||S2|CBC\r", obx("6.6")]
    assert ids_of(oru(*blank)) == [("S1",), ("S2",)]
    raw = oru(*blank)
    assert b"".join(study.raw for study in heard(raw).studies) == raw


def test_the_same_tube_and_a_named_patients_tubes_are_one_study():
    order = "OBR|1|||GLU\r"
    assert len(ids_of(oul(spm("T1"), order, obx(), spm("T1"), order, obx()))) == 1
    assert ids_of(oul(PID, spm("T1"), order, obx(), spm("T2"), order, obx())) == [("113", "T1", "T2")]
    assert ids_of(oru(PID, "OBR|1|A|1|X\r", obx(), "OBR|2|B|2|Y\r", obx())) == [("113", "A", "B", "1", "2")]


@pytest.mark.parametrize(("barcode", "ids"), [("0000000002", ("854", "0000000002")), ("", ("854", "2"))])
def test_a_bed_and_a_place_name_nobody_where_the_order_names_maker_and_model(barcode, ids):
    """Mindray BS-200, E-LAB ES-480: PID-4 is the bed, OBR-2 the bar code, OBR-3 the analyser's own number."""
    (study,) = heard(oru("PID|1|854||12|Tommy\r", f"OBR|1|{barcode}|2|Maker^Model|Y\r", obx())).studies
    assert study.ends.patient_ids == ids
    assert study.results[0].specimen_id == (barcode or "2")
    assert dict(study.results[0].patient_ids)["PID.4"] == "12"


def test_what_has_neither_letter_nor_digit_is_nobodys_id():
    assert ids_of(oru("PID|1|?||-\r", OBR, obx())) == [("S9",)]


def test_the_time_of_the_analysis_stands_where_no_other_time_does():
    late = obx().removesuffix("\r") + "|||||20260801091500\r"
    assert heard(oru(PID, OBR, late)).studies[0].observations[0].time == "20260801091500"
    both = late.replace("|F|||", "|F|||20260801080000")
    assert heard(oru(PID, OBR, both)).studies[0].observations[0].time == "20260801080000"


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("~ISO IR87", "iso2022_jp"),
        ("ASCII~ISO IR87", "iso2022_jp"),
        ("8859/1~UNICODE UTF-8", "utf-8"),
        ("GBK", "gb18030"),
    ],
)
def test_the_last_character_set_that_is_known_counts(charset, encoding):
    name = "患者^太郎"
    raw = oru(PID.replace("Doe^Jane", name), OBR, obx(), charset=charset, encoding=encoding)
    (study,) = heard(raw).studies
    assert dict(study.results[0].patient_ids)["PID.5"] == name
    assert study.results[0].encoding == encoding


def test_the_simulated_analyser_that_names_specimens_is_heard():
    device, bench = exchanged(style="law", count=2)
    assert device.report.acknowledged == 2
    assert [study.ends.patient_ids for study in bench.studies] == [("10000", "T10000"), ("10001", "T10001")]
    assert all(one.time for study in bench.studies for one in study.observations)
    assert all(isinstance(one, Result) and one.encoding for study in bench.studies for one in study.results)


@pytest.mark.parametrize(
    ("unit", "shown", "ucum"),
    [
        ("10^3/uL", "10^3/uL", "10*3/uL"),  # Zybio, and others that do not escape it
        ("10^12/L", "10^12/L", "10*12/L"),
        ("10\\S\\9/L", "10^9/L", "10*9/L"),
        ("um^3", "um^3", "fL"),
        ("10^3/\u03bcL", "10^3/\u03bcL", "10*3/uL"),  # the Greek letter, not the sign for micro
        ("10\u00b3/\u00b5L", "10\u00b3/\u00b5L", "10*3/uL"),
        ("ng/mL^nanogram per milliliter^UCUM", "nanogram per milliliter", "ng/mL"),
        ("{spores}/L^spores^UCUM", "spores", "{spores}/L"),
        ("8^spores^L", "spores", ""),
        ("µg/L^micro^UCUM", "micro", "ug/L"),
        ("мл^millilitre^UCUM", "millilitre", ""),  # UCUM is ASCII
        (f"{'x' * 300}^long^UCUM", "long", ""),
    ],
)
def test_a_unit_is_shown_whole_and_known_by_its_ucum_name(unit, shown, ucum):
    (study,) = heard(oru(PID, OBR, obx(_6=unit), charset="UNICODE UTF-8")).studies
    (one,) = study.observations
    assert study.ends.headline == (("WBC", "5.5", shown),)
    assert (one.unit, one.ucum, one.ucum_value) == (unit.replace("\\S\\", "^"), ucum, "5.5" if ucum else "")


def test_a_name_in_the_place_of_astms_is_a_name():
    (one,) = heard(oru(PID, OBR, obx(_3="^^^WBC"))).studies[0].observations
    assert (one.name, one.code, one.loinc) == ("WBC", "^^^WBC", "6690-2")


def test_who_sends_is_shown_in_its_own_letters():
    head = MSH.replace("Model", "飞测Plus^S1")
    assert heard(oru(PID, OBR, obx(), head=head, charset="UTF8")).studies[0].ends.model == "Maker 飞测Plus S1"


def test_a_message_without_results_says_so():
    """Mindray's BS-200 tells of a control in OBR alone."""
    (study,) = heard(
        oru("OBR|1|1|GLU|Maker^Model||20260220||||||CTRL|LOT||||100.0|3.5|98.2|mg/dL\r", charset="||2")
    ).studies
    assert any("no OBX" in note for note in study.notes)
    assert study.observations == []


def test_signs_of_double_width_beside_ascii_are_read_as_gb18030():
    head = MSH.format("ASCII")
    (study,) = heard(oru(PID, OBR, obx("\uff1c1"), obx("5", _6="\u03bcg/L"), head=head, encoding="gb18030")).studies
    assert [one.value for one in study.observations] == ["\uff1c1", "5"]
    assert [one.unit for one in study.observations] == ["10*9/L", "\u03bcg/L"]
    assert any("gb18030" in note for note in study.notes)


@pytest.mark.parametrize(
    ("value", "shown", "number"),
    [
        ("^182", "182", "182"),
        ("^-1.5", "-1.5", "-1.5"),
        (">^100", ">100", ""),
        ("^1^:^128", "1:128", ""),
        ("^3^-^5", "3-5", ""),
        ("2^+", "2^+", ""),
        ("5981666^390.946", "5981666^390.946", ""),  # Autobio's: light, then the concentration
        ("^POS", "^POS", ""),
        ("POS^Positive^99LIS", "Positive", ""),  # cobas 6800: code, text, system
        ("112283007^Escherichia coli^SCT", "Escherichia coli", ""),
        ("1^2^3", "1^2^3", ""),
        ("POS^Positive", "POS^Positive", ""),
    ],
)
def test_a_structured_number_is_shown_as_people_write_it(value, shown, number):
    (study,) = heard(oru(PID, OBR, obx(value, _2="SN"))).studies
    (one,) = study.observations
    assert (one.value, one.ucum_value) == (value, number)
    assert study.ends.headline == (("WBC", shown, "10*9/L"),)


@pytest.mark.parametrize("between", ["", "ORC|OK||||CM\r", "NTE|1||x\r"])
def test_orders_without_results_are_divided_where_each_begins(between):
    """Two orders in a row were cut at one place: a part without a byte stopped the driver."""
    orders = [f"OBR|{at}||{tube}|GLU\r" + between for at, tube in enumerate("ABC")]
    message = oul(*orders, obx("6.1"))
    bench = heard(message)
    assert [study.ends.patient_ids for study in bench.studies] == [("A",), ("B",), ("C",)]
    assert [len(study.observations) for study in bench.studies] == [0, 0, 1]
    assert bench.durable == message
    assert [one[0] for one in said(bench.sent)] == ["AA"]


@pytest.mark.parametrize(
    ("asked", "qc"), [("CAL^Calcium^L", False), ("PRF^Profile", False), ("CAL", True), ("LQC^^", True)]
)
def test_a_test_that_is_called_as_a_bedside_devices_control_is_a_patients(asked, qc):
    (study,) = heard(oru(PID, f"OBR|1||S9|{asked}\r", obx())).studies
    assert study.ends.qc == qc


def test_the_first_of_two_character_sets_of_one_byte_is_the_messages_own():
    """HL7 v2.5.1, 2.15.9.18: the first is the default; another of one byte would read every letter as another."""
    raw = oru(PID.replace("Doe", "Müller"), OBR, obx(), charset="8859/1~8859/5", encoding="latin-1")
    (study,) = heard(raw).studies
    assert dict(study.results[0].patient_ids)["PID.5"] == "Müller^Jane"


def test_an_order_that_only_its_sender_is_called_like_keeps_its_numbers():
    head = MSH.replace("Maker|Model", "GLU|")
    assert head != MSH
    (study,) = heard(oru(PID, "OBR|1|O1|S9|GLU\r", obx(), head=head)).studies
    assert study.results[0].specimen_id == "S9"


def test_a_hostile_number_of_specimens_of_one_order_is_bounded_and_kept():
    tubes = "".join(f"SAC|1||T{at}\r" for at in range(5_000))
    bench = heard(oru("OBR|1||S9|GLU\r", obx(), tubes))
    (study,) = bench.studies
    assert [one[0] for one in said(bench.sent)] == ["AA"]
    assert tubes.encode() in study.raw
    assert len(study.results[0].patient_ids) < 100
    assert any("specimens" in note for note in study.notes)


def test_many_people_in_one_message_cost_time_in_proportion():
    people = "".join(f"PID|1|{at}\r" for at in range(30_000))
    begun = process_time()
    parts = parts_of(people.encode(), read_header(MSH.encode()))
    assert b"".join(raws_of(b"\x0b" + people.encode() + b"\x1c\r", parts)) == b"\x0b" + people.encode() + b"\x1c\r"
    assert process_time() - begun < 2


def test_what_is_observed_of_a_specimen_belongs_to_it_and_not_to_the_tube_before():
    """OUL^R22 of HL7 v2.5.1, 7.3.9: OBX behind SPM is of the specimen; its SAC and OBR come after it."""
    index = "OBX|1|NM|HEM^Haemolysis||{}|||||F\r"
    order = "OBR|1|||GLU\r"
    first = [spm("T1"), index.format(1), "SAC|||T1\r", order, "ORC|OK\r", obx("5.0")]
    second = [spm("T2"), index.format(2), "NTE|1||clots\r", "SAC|||T2\r", order, "ORC|OK\r", obx("6.0")]
    raw = oul(*first, *second)
    bench = heard(raw)
    assert [study.ends.patient_ids for study in bench.studies] == [("T1",), ("T2",)]
    assert [[one.value for one in study.observations] for study in bench.studies] == [["1", "5.0"], ["2", "6.0"]]
    assert b"".join(study.raw for study in bench.studies) == raw
    (study,) = heard(oul(PID, *first, *second)).studies
    assert [(one.specimen_id, [each.value for each in one.observations]) for one in study.results] == [
        ("T1", ["1"]),
        ("T1", ["5.0"]),
        ("T2", ["2"]),
        ("T2", ["6.0"]),
    ]


@pytest.mark.parametrize(("first", "second"), [("Q", "P"), ("P", "Q")])
def test_a_control_without_a_number_takes_no_patient_with_it(first, second):
    order = "OBR|1|||GLU\r"
    bench = heard(oul(spm("", first), order, obx("5.0"), spm("T7", second), order, obx("6.0")))
    assert [study.ends.qc for study in bench.studies] == [first == "Q", second == "Q"]
