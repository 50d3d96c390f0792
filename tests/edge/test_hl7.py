"""The HL7 driver: MLLP's edges, who is answered what and when, repetitions, several people, character sets, bounds."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.driver import Fault
from edge.drivers import hl7, hl7_message
from edge.drivers.hl7_frames import BEGIN, MESSAGE_SIZE_MAX, Lexer
from hardware.simulated import hl7_sender
from hardware.simulated.hl7_results import STYLES, message
from hardware.simulated.hl7_sender import Hl7Sender
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire
from wire import kinds
from wire.record import Picture, Result

MSH = "MSH|^~\\&|Maker|Model|||20260801080000||ORU^R01|7|P|2.3.1||||||{}\r"
PID = "PID|1||113^^^^MR||Doe^Jane||19570412|F\r"
OBR = "OBR|1||S9|CBC\r"


def oru(*segments, charset="", encoding="utf-8", head=MSH):
    return BEGIN + (head.format(charset) + "".join(segments)).encode(encoding) + b"\x1c\r"


def obx(value="5.5", **at):
    fields = {1: "1", 2: "NM", 3: "WBC", 5: value, 6: "10*9/L", 11: "F"} | {
        int(key[1:]): text for key, text in at.items()
    }
    return "|".join(["OBX", *(fields.get(number, "") for number in range(1, 15))]) + "\r"


def said(answer):
    """Return the MSA fields of every answer."""
    lines = answer.decode("latin-1").replace("\x1c", "\r").split("\r")
    return [line.split("|")[1:] for line in lines if line.startswith("MSA")]


def heard(*messages, options=None, **how):
    bench = Bench("hl7", options, **how)
    for one in messages:
        bench.feed(one)
    bench.wait(400)
    return bench


def exchanged(faults=(), style="bc5380", count=2, options=None, piece=4096, **how):
    device = Hl7Sender([message(style, 3, f"1000{at}", at=at, **how) for at in range(count)], faults, 5.0)
    bench = Bench("hl7", options)
    wire = Wire(device, BenchHost(bench), piece=piece)
    wire.run(until=5_000)
    bench.wait(400)
    return device, bench


# The manual's own message


def test_the_es480_message_of_its_manual():
    bench = heard(sample("hl7/es480-oru-serial.mllp.bin"))
    (study,) = bench.studies
    assert [(one.name, one.value, one.unit, one.flags) for one in study.observations] == [
        ("TBil", "100", "umol/L", "H"),
        ("ALT", "98.2", "umol/L", ""),
        ("AST", "26.4", "umol/L", ""),
    ]
    assert study.ends.patient_ids == ("12345678",)
    assert study.begins.model == "E-LAB ES-480"
    assert study.raw == sample("hl7/es480-oru-serial.mllp.bin")
    assert said(bench.sent) == [["AA", "1", "message accepted", "", "", "0"]]


def test_the_es480_message_cut_at_every_byte_gives_the_same():
    whole = sample("hl7/es480-oru-serial.mllp.bin")
    for at in range(1, len(whole)):
        bench = heard(whole[:at], whole[at:])
        assert [study.raw for study in bench.studies] == [whole]
        assert not bench.studies[0].ends.partial


# Every fault of the simulator


@pytest.mark.parametrize("fault", sorted(set(hl7_sender.FAULTS) - {"no-end"}))
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("piece", [1, 4096])
def test_whatever_goes_wrong_every_message_is_kept_once_and_whole(style, fault, piece):
    device, bench = exchanged([fault], style, piece=piece)
    assert device.report.is_good
    assert [study.ends.partial for study in bench.studies] == ["", ""]
    numbers = [study.results[0].device_time for study in bench.studies]
    assert len(set(numbers)) == 2


def test_a_device_that_never_ends_a_message_is_heard_when_it_is_configured():
    device, bench = exchanged(["no-end"], options={"end": "silence"})
    assert device.report.is_good
    assert len(bench.studies) == 2
    assert not any(study.ends.partial for study in bench.studies)


def test_a_message_that_is_not_ended_is_kept_as_partial_and_never_acknowledged():
    device, bench = exchanged(["no-end"], count=1)
    assert device.report.failed == 1
    assert not bench.sent
    assert all(study.ends.partial for study in bench.studies)
    assert bench.studies[0].observations


# The answer comes after the commit


def test_what_the_disk_refuses_is_rejected_and_accepted_when_it_comes_again():
    bench = Bench("hl7", refuse=lambda number: number == 0)
    assert said(bench.feed(oru(PID, OBR, obx()))) == [["AR", "7", "not stored, send again", "", "", "207"]]
    assert bench.studies == []
    assert said(bench.feed(oru(PID, OBR, obx())))[0][:2] == ["AA", "7"]
    assert len(bench.studies) == 1


def test_nothing_is_answered_before_the_disk_has_answered():
    driver = hl7.create({})
    events = driver.feed(oru(PID, obx()) * 2, 0.0)
    token = events[-1].token
    assert [type(event).__name__ for event in events] == ["ClockRead", "StudyBegins", "Commit"]
    assert driver.feed(b"more", 1.0) == []
    kinds_said = [type(event).__name__ for event in driver.committed(token, 2.0)]
    assert kinds_said == ["StudyEnds", "Send", "Note", "Send"]


def test_a_long_message_is_committed_in_parts_and_refused_whole_when_one_of_them_is():
    text = "NTE|1||" + "x" * 300_000 + "\r"
    bench = Bench("hl7", refuse=lambda number: number == 1)
    assert said(bench.feed(oru(PID, obx(), text)))[0][0] == "AR"
    assert bench.studies[0].ends.partial == "the disk refused the rest"
    assert said(bench.feed(oru(PID, obx(), text)))[0][0] == "AA"
    assert bench.studies[1].raw == oru(PID, obx(), text)


# Repetitions


def test_the_same_message_again_is_answered_again_and_kept_once():
    bench = heard(oru(PID, obx()), oru(PID, obx()))
    assert [one[0] for one in said(bench.sent)] == ["AA", "AA"]
    assert len(bench.studies) == 1
    assert bench.notes == ["a message came again and is kept once: an answer was lost"]


def test_a_message_sent_again_with_a_new_time_is_kept_once():
    again = oru(PID, obx()).replace(b"20260801080000", b"20260801080011")
    assert len(heard(oru(PID, obx()), again).studies) == 1


def test_minutes_later_only_the_very_same_bytes_are_a_repetition():
    bench = Bench("hl7")
    bench.feed(oru(PID, obx()))
    bench.wait(hl7.AGAIN_S_MAX + 1)
    bench.feed(oru(PID, obx()).replace(b"20260801080000", b"20260801090000"))
    bench.feed(oru(PID, obx()).replace(b"20260801080000", b"20260801090000"))
    assert len(bench.studies) == 2


def test_one_control_id_for_two_patients_is_two_studies():
    bench = heard(oru(PID, obx()), oru(PID.replace("113", "114"), obx()))
    assert [study.ends.patient_ids for study in bench.studies] == [("113",), ("114",)]


def test_what_is_remembered_is_bounded():
    driver = Bench("hl7")
    for number in range(hl7.KEPT_COUNT_MAX + 20):
        driver.feed(oru(PID, obx(str(number))))
    assert len(driver.studies) == hl7.KEPT_COUNT_MAX + 20
    driver.feed(oru(PID, obx("19")))
    assert len(driver.studies) == hl7.KEPT_COUNT_MAX + 21


# What breaks off


def test_a_message_that_breaks_off_goes_on_in_its_study_when_it_comes_again():
    whole = oru(PID, OBR, obx(), obx("6.6"))
    bench = Bench("hl7")
    bench.feed(whole[:-30])
    bench.wait(20)
    bench.feed(whole)
    (study,) = bench.studies
    assert study.raw == whole[:-30] + whole
    assert not study.ends.partial
    assert [one.value for one in study.observations] == ["5.5", "6.6"]
    assert "sent again after: the message was not ended" in study.notes


def test_a_message_that_does_not_come_again_ends_as_partial_with_what_was_whole():
    bench = heard(oru(PID, OBR, obx(), obx("6.6"))[:-12])
    (study,) = bench.studies
    assert study.ends.partial == "the message was not ended"
    assert [one.value for one in study.observations] == ["5.5"]
    assert study.ends.patient_ids == ("113", "S9")


def test_another_message_ends_the_one_that_broke_off():
    other = oru(PID.replace("113", "114"), obx()).replace(b"|7|P", b"|8|P")
    bench = heard(oru(PID, obx())[:-9] + other)
    assert [study.ends.partial for study in bench.studies] == ["the message was not ended", ""]


def test_the_port_vanishes_in_the_middle():
    bench = Bench("hl7")
    bench.feed(oru(PID, OBR, obx(), obx("6.6"))[:-12])
    bench.lose()
    bench.wait(200)
    assert bench.studies[0].ends.partial == "the port vanished"
    bench.feed(oru(PID, obx()))
    assert said(bench.sent)[0][0] == "AA"


def test_bytes_dropped_while_the_disk_is_slow_are_never_joined_over():
    driver = hl7.create({})
    token = driver.feed(oru(PID, obx()), 0.0)[-1].token
    half = oru(PID, obx("7.7"), "NTE|1||" + "y" * hl7.INPUT_SIZE_MAX + "\r")
    assert driver.feed(half, 1.0) == []
    assert driver.feed(b"tail" + oru(PID, obx("8.8")), 1.0) == []
    events = driver.committed(token, 2.0)
    assert "the message was not ended" in repr(events)
    assert "8.8" not in repr(events)


# Who is answered what


@pytest.mark.parametrize(
    ("head", "code", "error"),
    [
        (MSH.replace("ORU^R01", "QRY^Q02"), "AR", "200"),
        (MSH.replace("ORU^R01", "ORU^R40"), "AR", "201"),
        (MSH.replace("ORU^R01", "ADT^A01"), "AR", "200"),
        (MSH.replace("ORU^R01", "ORU"), "AA", "0"),
        (MSH.replace("ORU^R01", "ORU^R01^ORU_R01"), "AA", "0"),
        ("GARBAGE {}\r", "AE", "100"),
    ],
)
def test_answer_by_type(head, code, error):
    bench = heard(oru(PID, obx(), head=head))
    (answer,) = said(bench.sent)
    assert (answer[0], answer[-1]) == (code, error)


def test_what_is_no_hl7_is_kept_once_and_marked():
    bench = heard(*[oru(head="GARBAGE {}\r")] * 3)
    (study,) = bench.studies
    assert study.ends.partial == "it is no HL7: it does not begin with MSH"
    assert study.tags[0].kind == (kinds.CAPTURE, kinds.PARTIAL)
    assert [one[0] for one in said(bench.sent)] == ["AE"] * 3


@pytest.mark.parametrize(
    ("accept", "application", "stored", "refused"),
    [
        ("", "", ["AA"], ["AR"]),
        ("0", "0", ["AA"], ["AR"]),
        ("AL", "NE", ["CA"], ["CR"]),
        ("AL", "AL", ["CA", "AA"], ["CR", "AR"]),
        ("NE", "AL", ["AA"], ["AR"]),
        ("ER", "SU", ["AA"], ["CR"]),
        ("NE", "NE", [], []),
    ],
)
def test_the_enhanced_mode(accept, application, stored, refused):
    head = MSH.replace("2.3.1||||||", f"2.6|||{accept}|{application}||")
    bench = Bench("hl7", refuse=lambda number: number == 1)
    assert [one[0] for one in said(bench.feed(oru(PID, obx(), head=head)))] == stored
    assert [one[0] for one in said(bench.feed(oru(PID, obx("9.9"), head=head)))] == refused


def test_an_answer_is_in_the_senders_own_delimiters_and_version():
    strange = b"\x0bMSH#*~!$#A#B#C#D#2026##ORU*R01*ORU_R01#x!1#P#2.6\rOBX#1#NM#K*Kalium##4,1#mmol/L\r\x1c\r"
    bench = heard(strange)
    assert bench.sent == b"\x0bMSH#*~!$#C#D#A#B#2026##ACK*R01*ACK#x!1#P#2.6\rMSA#AA#x!1#message accepted###0\r\x1c\r"
    (one,) = bench.studies[0].observations
    assert (one.name, one.value, one.ucum) == ("Kalium", "4,1", "mmol/L")


def test_noise_is_said_once_and_padding_is_none():
    bench = Bench("hl7")
    bench.feed(b"\x00\r\n" * 5_000)
    assert bench.faults == []
    bench.feed(b"?" * 3_000)
    bench.feed(b"?" * 3_000)
    assert bench.faults == [Fault("noise", "3000 bytes that are in no message: wrong line settings, or no MLLP?")]


# Whose it is


def test_two_people_in_one_message_are_two_studies_with_one_answer():
    one, two = PID, PID.replace("113", "114").replace("Jane", "John")
    raw = oru(one, OBR, obx(), two, OBR, obx("6.6"))
    bench = heard(raw)
    assert [study.ends.patient_ids for study in bench.studies] == [("113", "S9"), ("114", "S9")]
    assert b"".join(study.raw for study in bench.studies) == raw
    assert [one[0] for one in said(bench.sent)] == ["AA"]


def test_the_second_person_is_refused_and_the_first_is_not_kept_twice():
    raw = oru(PID, OBR, obx(), PID.replace("113", "114"), OBR, obx("6.6"))
    bench = Bench("hl7", refuse=lambda number: number == 1)
    assert said(bench.feed(raw))[0][0] == "AR"
    assert said(bench.feed(raw))[0][0] == "AA"
    assert [study.ends.patient_ids[0] for study in bench.studies] == ["113", "114"]


def test_the_same_person_named_twice_is_one_study():
    bench = heard(oru(PID, OBR, obx(), PID.replace("PID|1", "PID|2"), OBR, obx("6.6")))
    assert len(bench.studies) == 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (oru(PID, obx(), head=MSH.replace("|P|", "|Q|")), "control"),
        (oru(PID, obx(), head=MSH.replace("|P|", "|T|")), "training"),
        (oru(PID, obx(), head=MSH.replace("2.3.1|||||", "2.3.1||||2|")), "control"),
        (oru(PID, obx(), head=MSH.replace("2.3.1|||||", "2.3.1||||1|")), "calibration"),
        (oru(PID, "OBR|1||qc\r", obx()), "control"),
    ],
)
def test_a_control_is_nobodys(raw, why):
    (study,) = heard(raw).studies
    assert study.ends.qc
    assert study.results[0].qc
    assert f"a {why}: no patient's result" in study.notes


# What it says


def test_a_blood_count_with_codes_a_hole_an_edit_and_a_picture():
    _, bench = exchanged(count=1)
    (study,) = bench.studies
    by_name = {one.name: one for one in study.observations}
    assert by_name["WBC"].loinc == "6690-2"
    assert by_name["MCHC"].value == "**.*"
    assert by_name["MCHC"].ucum_value == ""
    assert by_name["HGB"].comments == ("OBX-13: E",)
    assert by_name["WBC Histogram. BMP"].value == "Image BMP Base64"
    (picture,) = [Picture.from_tag(tag) for tag in study.tags if tag.kind == Picture.KIND]
    assert picture.media_type == "image/bmp"
    assert picture.image[:2] == b"BM"
    assert base64.b64encode(picture.image) in study.raw


def test_a_monitors_numbers_keep_their_codes_units_and_places():
    _, bench = exchanged(style="pcd01", count=1)
    one = bench.studies[0].observations[1]
    assert one.code == "150033^MDC_PRESS_BLD_NONINV_SYS^MDC"
    assert one.unit == "266016^MDC_DIM_MMHG^MDC"
    assert one.comments == ("OBX-4: 1.11.1.1",)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("line\\.br\\line", "line\nline"),
        ("\\X0D0A\\", "\r\n"),
        ("\\H\\bold\\N\\", "\\H\\bold\\N\\"),
        ("lone \\ here", "lone \\ here"),
        ("\\X0\\", "\\X0\\"),
        ('""', ""),
    ],
)
def test_escapes(sent, read):
    (study,) = heard(oru(PID, obx(sent))).studies
    assert study.observations[0].value == read


@pytest.mark.parametrize(
    ("charset", "encoding", "note"),
    [
        ("UNICODE", "utf-8", ""),
        ("UNICODE UTF-8", "utf-8", ""),
        ("8859/5", "iso8859-5", ""),
        ("CP1251", "cp1251", ""),
        ("GB 18030-2000", "gb18030", ""),
        ("", "cp1251", "cp1251 was guessed from the text"),
        ("ASCII", "koi8-u", "koi8-u was guessed from the text"),
        ("UNICODE", "cp1251", "the text is not utf-8, as MSH-18 has it"),
        ("MARTIAN", "cp866", "MSH-18 is 'MARTIAN', which is not known"),
    ],
)
def test_character_sets(charset, encoding, note):
    name = "Коваленко^Олександр Петрович"
    (study,) = heard(oru(PID.replace("Doe^Jane", name), OBR, obx(), charset=charset, encoding=encoding)).studies
    assert dict(study.results[0].patient_ids)["PID.5"] == name
    assert study.results[0].encoding == encoding
    assert not note or any(note in one for one in study.notes)


def test_a_clinic_that_knows_its_device_overrules_it():
    raw = oru(PID.replace("Doe^Jane", "Ёлка"), obx(), charset="UNICODE", encoding="cp866")
    (study,) = heard(raw, options={"encoding": "cp866"}).studies
    assert dict(study.results[0].patient_ids)["PID.5"] == "Ёлка"


def test_comments_stand_with_what_they_are_about():
    raw = oru(PID, "NTE|1||about the patient\r", OBR, obx(), "NTE|1||lysed\r", "NTE|2||repeat\r")
    (study,) = heard(raw).studies
    assert study.observations[0].comments == ("lysed", "repeat")
    assert "NTE: about the patient" in study.notes


def test_a_damaged_segment_is_noted():
    (study,) = heard(oru(PID, OBR, obx(), "O\x82X|2|NM|HGB||13\r")).studies
    assert any("no HL7" in note for note in study.notes)


# Bounds


def test_a_message_of_exactly_the_bound_is_cut_and_one_byte_less_is_whole():
    room = MESSAGE_SIZE_MAX - len(oru(PID, obx())) - len("NTE|1||\r")
    most = oru(PID, obx(), "NTE|1||" + "z" * room + "\r")
    for raw, code in ((most, "AA"), (most.replace(b"zz", b"zzzz", 1), "AR")):
        bench = heard(raw)
        assert [one[0] for one in said(bench.sent)] == [code]
        assert bool(bench.studies[0].ends.partial) == (code == "AR")


def test_thousands_of_observations_make_several_results_of_one_entry():
    raw = oru(PID, OBR, *(obx(str(number)) for number in range(hl7_message.OBSERVATIONS_COUNT_MAX + 1)))
    (study,) = heard(raw).studies
    assert len(study.results) == hl7_message.OBSERVATIONS_COUNT_MAX // hl7_message.OBSERVATIONS_PER_RESULT_MAX
    assert any("too many observations" in note for note in study.notes)


def test_the_longest_fields_still_fit_a_tag():
    wide = "Щ" * hl7_message.TEXT_SIZE_MAX
    at = {f"f{number}": wide for number in (3, 6, 7, 8, 11, 13, 14)}
    raw = oru(PID.replace("Doe^Jane", wide), *[obx(wide, **at) + f"NTE|1||{wide}\r" * 2] * 5, charset="UNICODE")
    (study,) = heard(raw).studies
    assert len(study.observations) == 5
    assert all(len(tag.data) < 1 << 19 for tag in study.tags if tag.kind == Result.KIND)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([b"\x0b", b"\x1c", b"\r", b"MSH|", b"x", b"\x00"]), max_size=30), st.integers(1, 7))
def test_the_lexer_gives_every_byte_back_once_however_it_is_cut(parts, size):
    data = b"".join(parts)

    def pieces(step):
        lexer, found = Lexer(), []
        for at in range(0, len(data), step):
            chunk, place = data[at : at + step], 0
            while place < len(chunk):
                piece, place = lexer.feed(chunk, place)
                found += [piece] if piece is not None else []
        return found, lexer.rest(), lexer.dropped_bytes

    whole = pieces(len(data) or 1)
    assert pieces(size) == whole
    kept = b"".join(piece.raw for piece in whole[0]) + whole[1]
    assert len(kept) <= len(data)
    assert len(kept) + whole[2] >= len(data.translate(None, b"\x00\r"))


def test_a_repetition_that_broke_off_ends_when_the_message_that_is_kept_comes_once_more():
    """Our answer was lost, the device sent the message again, the cable was touched, and it sent it once more."""
    raw = oru(PID, OBR, obx())
    bench = heard(raw, raw[:-30], raw, oru("PID|1||8\r", OBR, obx("6.6")))
    assert [study.ends.partial for study in bench.studies] == ["", "the message was not ended", ""]
    assert [study.ends.patient_ids for study in bench.studies][::2] == [("113", "S9"), ("8", "S9")]
    assert [one[0] for one in said(bench.sent)] == ["AA"] * 3
