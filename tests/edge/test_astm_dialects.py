"""How makers bend ASTM records: line ends, where the number of the tube stands, names. Each text is invented.

Where a form is a maker's own the parameter's comment says whose, and where it was read.
"""

import pytest

from tests.edge.bench import Bench
from tests.edge.test_astm import ACK, ENQ, EOT, frame, heard, transfer
from tests.edge.test_astm_orders import ORDERS
from wire.worklist import Order

RECORDS = ("H|\\^&|||SIM", "P|1|7", "O|1|S9||^^^WBC", "R|1|^^^WBC|5.5|10*3/uL||N||F", "C|1|I|lysed|G", "L|1|N")


def said(specimen, place="", *, patient="P|1"):
    """Return the study of a result whose order has this in O.3 and O.4."""
    return heard(
        b"H|\\^&|||SIM\r", f"{patient}\r".encode(), f"O|1|{specimen}|{place}|^^^WBC\r".encode(), *REST
    ).studies[0]


REST = (b"R|1|^^^WBC|5.5|10*3/uL||N||F\r", b"L|1|N\r")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\n\r", "\r\r\n"])
@pytest.mark.parametrize("size", [None, 40])
def test_records_that_end_otherwise_than_with_cr_are_read(end, size):
    text = "".join(one + end for one in RECORDS).encode()
    bench = Bench("astm")
    if size is None:
        bench.feed(transfer(text))
    else:
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        frames = (frame((1 + at) % 8, one, end=b"\x17") for at, one in enumerate(pieces[:-1]))
        bench.feed(ENQ + b"".join(frames) + frame(len(pieces) % 8, pieces[-1]) + EOT)
    bench.wait(400)
    (study,) = bench.studies
    (one,) = study.observations
    assert (one.value, one.unit, one.comments) == ("5.5", "10*3/uL", ("lysed",))
    assert study.ends.patient_ids == ("7", "S9")
    assert study.ends.partial == ""


def test_patients_are_divided_where_records_end_with_cr_lf():
    people = [*RECORDS[:4], "P|2|8", "O|1|S10||^^^WBC", "R|1|^^^WBC|6.6|10*3/uL||N||F", "L|1|N"]
    raw = transfer("".join(one + "\r\n" for one in people).encode())
    bench = Bench("astm")
    bench.feed(raw)
    bench.wait(400)
    assert [study.ends.patient_ids for study in bench.studies] == [("7", "S9"), ("8", "S10")]
    assert b"".join(study.raw for study in bench.studies) == raw


@pytest.mark.parametrize(
    ("specimen", "place", "number"),
    [
        ("", "^^             113^A", "113"),  # Sysmex XP, XN, KX: sampler, position, number, how it was given
        ("", "2^1^       S-777^B", "S-777"),
        ("", "2^1^            ^B", None),
        ("", "^^5411330421", "5411330421"),
        ("000123^01^     S-777^B", "", "S-777"),  # the same in O.3: Sysmex CA
        ("11625^CL-24-0370         ^1^^004", "R1", "CL-24-0370"),  # Roche c 311, Hitachi 7600: counters on both sides
        ("0^                     6^1^^006", "R1", "6"),
        ("000003       ", "3^5238^3^^S1^SC", "000003"),  # Roche cobas 6000, e 411: sequence, rack, place, kinds
        ("", "3^5238^3^^S1^SC", None),
        ("001", "1^^^^SAMPLE", "001"),  # Roche u 411: O.4 is the analyser's own number
        ("SID13", "SID3^A123^5", "SID13"),  # Abbott Architect
        ("25140008", "^1003^3", "25140008"),  # rack and position alone
        ("", "^1003^3", None),
        ("", "001^00036^C10", "001"),  # Roche Urisys
        ("B7650020^N^^0", "B7650020", "B7650020"),  # Phadia
        ("^S9", "", "S9"),
    ],
)
def test_the_number_of_the_tube_is_found_and_no_place_or_counter_is_taken_for_one(specimen, place, number):
    study = said(specimen, place)
    assert study.ends.patient_ids == ((number,) if number else ())
    assert study.results[0].specimen_id == specimen
    kept = {"O.3": specimen, "O.4": place}
    assert dict(study.results[0].patient_ids) == {name: text for name, text in kept.items() if text.strip("^ ")}


def test_the_patients_own_ids_come_first():
    assert said("", "2^1^ S-777^B", patient="P|1|7||8^X").ends.patient_ids == ("7", "8", "S-777")


def test_a_model_begins_with_its_name():
    assert heard(b"H|\\^&|||    XN-1^00-24\r", b"P|1\r", *REST).studies[0].ends.model == "XN-1^00-24"


@pytest.mark.parametrize("asked", ["2^1^      24310077^B", "^^S1^3^50002^002^^S1^SC", "S1^1^2"])
def test_a_question_in_a_makers_own_form_is_not_answered_with_orders(asked):
    bench = Bench("astm", {"orders": True})
    bench.worklist = [Order("2", "", "", "", "1", ("WBC",)), *ORDERS]
    bench.feed(transfer(b"H|\\^&|||SIM\r", f"Q|1|{asked}||ALL\r".encode(), b"L|1|N\r"))
    bench.wait(0)
    said = b"".join(bench.feed(ACK) for _ in range(5))
    assert b"O|1|" not in said
    assert b"L|1|Q" in said
    assert [one.code for one in bench.faults] == ["orders"]


SYSMEX = {
    "NEUT": "751-8 770-8",
    "LYMPH": "731-0 736-9",
    "MONO": "742-7 5905-5",
    "EO": "711-2 713-8",
    "BASO": "704-7 706-2",
}
CODED = {
    **{f"{name}{sign}": code for name, both in SYSMEX.items() for sign, code in zip("#%", both.split(), strict=True)},
    "RDW-SD": "21000-5",
    "RDWSD": "21000-5",
    "RDW-CV": "788-0",
}


@pytest.mark.parametrize(("name", "loinc"), CODED.items())
def test_the_parts_of_a_blood_count_are_coded_as_sysmex_and_horiba_name_them(name, loinc):
    unit = "fL" if loinc == "21000-5" else "10*3/uL" if name.endswith("#") else "%"
    record = f"R|1|^^^^{name}^1|4.67|{unit}||N||F\r".encode()
    (study,) = heard(b"H|\\^&|||SIM\r", b"P|1|7\r", record, b"L|1|N\r").studies
    assert study.observations[0].loinc == loinc
    assert (
        heard(b"H|\\^&|||SIM\r", record.replace(unit.encode(), b"g"), b"L|1|N\r").studies[0].observations[0].loinc == ""
    )


def of_mindray(mode, order, *results):
    """Return the study of a message in Mindray's form (BS and CL series): the kind of message stands in H.12.

    As the Host Interface Manual's form is restated by three readers of it, two of which show an analyser's own logs.
    """
    texts = (f"H|\\^&|||SIM^^|||||||{mode}|1394-97|20260704001222", "P|797", order, *results, "L|1|N")
    return heard(*(f"{one}\r".encode() for one in texts)).studies[0]


MINDRAY_RESULT = "R|1|WBC^white cells^^F|5.5^^^^|10*3/uL|4.0^9.0|N||F|5.5^^^^|0|20260704000931||SIM^"


@pytest.mark.parametrize(
    ("specimen", "place", "numbers"),
    [
        ("114^1^18", "S9", ("S9",)),  # the analyser's counter, rack and position; then the bar code
        ("8^^", "S9", ("S9",)),
        ("2^1^1", "", ()),
        ("S9^", "", ("S9",)),  # eCL8000 says PR, too, and has the tube in O.3
    ],
)
def test_mindrays_counter_is_no_tube(specimen, place, numbers):
    study = of_mindray("PR", f"O|797|{specimen}|{place}|X|R", MINDRAY_RESULT)
    assert study.ends.patient_ids == numbers
    assert study.results[0].specimen_id == specimen


def test_a_value_with_empty_components_behind_it_is_a_number():
    (one,) = of_mindray("PR", "O|1|1^1^1|S9|X|R", MINDRAY_RESULT).observations
    assert (one.value, one.ucum_value, one.loinc) == ("5.5^^^^", "5.5", "6690-2")
    assert (one.range, one.flags, one.status, one.time) == ("4.0^9.0", "N", "F", "20260704000931")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("14.5^|mg/dL||5.6^99.9|H||F|||20260704134300|20260704135300|SIM^123", ("5.6^99.9", "H", "F")),
        ("^Negative|||||Positive|F|||20260704134300|20260704135300|SIM^123", ("", "Positive", "F")),
        ("5.5|g/L|4^9|H||F|20260101", ("4^9", "H", "F")),  # as the standard has it
        ("5.5|g/L||H||P|F", ("", "H", "P")),
        ("5.5|g/L||H", ("", "H", "")),
        ("5.5|g/L|4-9|H|||F", ("4-9", "H", "F")),  # only the status is one later
        ("5.5|g/L||H|||F", ("", "H", "F")),
        ("5.5|g/L|||||F||||20260101", ("", "", "F")),
    ],
)
def test_range_flag_and_status_are_found_one_field_later_where_the_analyser_puts_them_there(result, expected):
    one = of_mindray("PR", "O|1|1^1^1|S9|X|R", f"R|1|1^GLU^1^F|{result}").observations[0]
    assert (one.range, one.flags, one.status) == expected
    assert one.time == ("20260704135300" if "SIM" in result else "20260101" if "||20260101" in result else "")


@pytest.mark.parametrize(
    ("mode", "order"),
    [
        ("QR", "O|23|||P^P||20260606114816|||||2^level 2^0594^20270201^8.77^M^0.43^5.56||||||||||||||F"),
        ("CR", "O|1|||||20260910121532||||||1^Cal1^1111^20260910^10^L^11|5^^1.25||||||||||||F"),
    ],
)
def test_mindrays_controls_and_calibrations_are_no_patients(mode, order):
    study = of_mindray(mode, order)
    assert study.ends.qc
    assert study.ends.patient_ids == ()
    (note,) = study.results[0].notes
    assert ("2^level 2^0594^20270201^8.77^M^0.43^5.56" if mode == "QR" else "1^Cal1^1111^20260910^10^L^11") in note


def test_a_question_that_wants_mindrays_answer_is_not_answered_with_orders_of_another_form():
    bench = Bench("astm", {"orders": True})
    bench.worklist = [Order("2", "", "", "", "S9", ("WBC",)), *ORDERS]
    bench.feed(transfer(b"H|\\^&|||SIM^^|||||||RQ|1394-97|20260704000642\r", b"Q|221|^S9||||||||||O\r", b"L|87|N\r"))
    bench.wait(0)
    answered = b"".join(bench.feed(ACK) for _ in range(5))
    assert b"O|1|" not in answered
    assert b"L|1|Q" in answered
    assert [one.code for one in bench.faults] == ["orders"]


@pytest.mark.parametrize("comment", ["C|1|I|lysed|G", "C|1|lysed", "C|1|lysed||G"])
def test_a_comment_is_kept_where_a_maker_writes_it_into_the_place_of_its_source(comment):
    """Bio-Rad's IH writes its reagents into C.3."""
    lines = (b"H|\\^&|||SIM\r", b"P|1|7\r", b"R|1|^^^WBC|5.5|10*3/uL||N||F\r", comment.encode() + b"\r", b"L|1|N\r")
    assert heard(*lines).studies[0].observations[0].comments == ("lysed",)


@pytest.mark.parametrize("comment", ["C|1|I", "C|1||  |G"])
def test_a_comment_without_text_is_none(comment):
    lines = (b"H|\\^&|||SIM\r", b"P|1|7\r", b"R|1|^^^WBC|5.5|10*3/uL||N||F\r", comment.encode() + b"\r", b"L|1|N\r")
    assert heard(*lines).studies[0].observations[0].comments == ()


@pytest.mark.parametrize(
    ("unit", "ucum"), [("1E03/mm3", "10*3/uL"), ("10^3/mm^3", "10*3/uL"), ("10\u00b3/mm\u00b3", "10*3/uL")]
)
def test_a_cubic_millimetre_is_a_microlitre(unit, ucum):
    """Horiba's Yumizen H550 counts so."""
    (one,) = heard(b"H|\\^&|||SIM\r", f"R|1|^^^WBC|2.15|{unit}||N||F\r".encode(), b"L|1|N\r").studies[0].observations
    assert (one.loinc, one.ucum, one.ucum_value) == ("6690-2", ucum, "2.15")


@pytest.mark.parametrize(
    ("specimen", "place", "number"),
    [
        ("S9^Serum^1^A", "", "S9"),  # a kind, a container and a letter are no Sysmex's sampler and position
        ("12345^^^B", "", "12345"),
        ("", "S9^Serum^1^A", "S9"),
        ("000001^05^     S-777^B", "", "S-777"),
    ],
)
def test_a_letter_in_the_fourth_place_alone_makes_no_sysmex(specimen, place, number):
    assert said(specimen, place).ends.patient_ids == (number,)


@pytest.mark.parametrize(("last", "time"), [("20260704135300", "20260704135300"), ("100234", "20260704134300")])
def test_the_number_of_the_unit_is_no_time(last, time):
    one = of_mindray(
        "PR", "O|1|1^1^1|S9|X|R", f"R|1|1^GLU^1^F|14.5^|mg/dL||5.6^99.9|H||F|||20260704134300|{last}"
    ).observations[0]
    assert one.time == time
