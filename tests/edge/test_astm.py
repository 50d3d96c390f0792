"""The ASTM driver: its table, its timers, which frames make one study, and the quirks of the field."""

import pytest

from edge.driver import Commit, Reserve
from edge.drivers import astm
from edge.drivers.astm_frames import FRAME_SIZE_MAX, Lexer, checksum
from hardware.simulated.analyser import FAULTS, Analyser
from hardware.simulated.results import STYLES, message
from tests.edge.bench import Bench
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError, Misuse
from wire.record import Partial

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
SHORT_STYLES = [one for one in STYLES if one != "curves"]
HEADER = b"H|\\^&|||SIM\r"


def frame(number, text, *, end=b"\x03", line_end=b"\r\n"):
    body = b"%d" % number + text + end
    return b"\x02" + body + checksum(body) + line_end


def transfer(*texts, first=1):
    return ENQ + b"".join(frame((first + at) % 8, text) for at, text in enumerate(texts)) + EOT


def heard(*texts, options=None):
    bench = Bench("astm", options)
    bench.feed(transfer(*texts))
    bench.wait(400)
    return bench


# The conversation


EVENTS = {event for _, event in astm.MOVES}
STATES = {state for state, _ in astm.MOVES}


def test_every_cell_of_the_table_names_a_state_and_an_action():
    for next_state, action in astm.MOVES.values():
        assert next_state in STATES
        assert callable(getattr(astm._Astm, f"_{action}"))


@pytest.mark.parametrize(("state", "event"), sorted((s, e) for s in STATES for e in EVENTS if (s, e) not in astm.MOVES))
def test_a_cell_that_is_not_in_the_table_is_a_defect(state, event):
    driver = Bench("astm").driver
    driver._state = state
    with pytest.raises(Misuse, match=f"{event} in state {state}"):
        driver._move(event)


def test_enq_is_answered_when_there_is_room_and_refused_when_there_is_none():
    assert Bench("astm").feed(ENQ) == ACK
    assert Bench("astm", refuse=lambda number: True).feed(ENQ) == NAK


def test_the_ack_waits_for_the_commit():
    driver = Bench("astm").driver
    (reserve,) = driver.feed(ENQ, 0.0)
    assert isinstance(reserve, Reserve)
    driver.committed(reserve.token, 0.0)
    *_, commit = driver.feed(frame(1, HEADER), 1.0)
    assert isinstance(commit, Commit)
    assert commit.raw == ENQ + frame(1, HEADER)
    assert driver.feed(b"", 2.0) == driver.tick(9.0) == []
    (send,) = driver.committed(commit.token, 10.0)
    assert send.data == ACK


def test_a_refused_frame_comes_again_and_is_taken_once():
    bench = Bench("astm", refuse=lambda number: number == 1)
    bench.feed(ENQ)
    assert bench.feed(frame(1, HEADER)) == NAK
    assert bench.feed(frame(1, HEADER)) == ACK
    bench.feed(frame(2, b"L|1|N\r") + EOT)
    assert bench.studies[0].raw.count(HEADER) == 1


def test_thirty_seconds_of_silence_keep_what_came_as_partial():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + frame(2, b"P|1|7\r") + b"\x023R|1")
    bench.wait(29.9)
    assert bench.open is not None
    bench.wait(300)
    (study,) = bench.studies
    assert study.ends.partial == "the analyser fell silent"
    assert study.raw.endswith(b"\x023R|1")
    assert [Partial.from_tag(tag).reason for tag in study.tags if tag.kind == Partial.KIND] == [study.ends.partial]
    assert study.ends.patient_ids == ("7",)


def test_a_frame_that_was_cut_before_any_was_whole_is_kept():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER)[:9])
    bench.wait(400)
    (study,) = bench.studies
    assert study.raw == ENQ + frame(1, HEADER)[:9]
    assert study.ends.partial


def test_a_sign_of_life_is_no_study():
    bench = Bench("astm")
    for _ in range(5):
        assert bench.feed(ENQ) == ACK
        bench.feed(EOT)
        bench.wait(10)
    assert bench.studies == []


def test_enquiries_that_were_given_up_while_nobody_listened_are_not_answered():
    """Two ACKs at once: the second would be taken for that of the first frame, which nobody has."""
    assert Bench("astm").feed(ENQ + EOT + ENQ + EOT + ENQ) == ACK
    assert Bench("astm").feed(ENQ + ENQ) == ACK


def test_signs_of_life_do_not_keep_an_interrupted_study_open_for_ever():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + EOT)
    for _ in range(20):
        bench.wait(10)
        bench.feed(ENQ + EOT)
    assert len(bench.studies) == 1


def test_frames_without_enq_are_not_acknowledged_unless_they_begin_a_message():
    bench = Bench("astm")
    assert bench.feed(frame(3, b"R|1|^^^A|1\r")) == b""
    assert bench.feed(frame(1, HEADER)) == ACK


def test_the_port_vanishes_and_the_message_comes_again_on_another():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + frame(2, b"P|1|7\r"))
    bench.lose()
    bench.wait(20)
    bench.feed(transfer(HEADER, b"P|1|7\r", b"O|1|S\r", b"R|1|^^^A|1\r", b"L|1|N\r"))
    (study,) = bench.studies
    assert not study.ends.partial
    assert len(study.observations) == 1


def test_noise_of_a_wrong_baud_rate_is_shown_once():
    bench = Bench("astm")
    for _ in range(100):
        bench.feed(b"\xfe\x80\x00" * 40)
    assert [fault.code for fault in bench.faults] == ["noise"]
    assert bench.studies == []


# Damage on the line


@pytest.mark.parametrize("at", range(len(frame(2, b"P|1|133\r"))))
@pytest.mark.parametrize("wrong", [0x05, 0x04, 0x02, 0x03, 0x17, 0x0D, 0x0A, 0x00, 0xFF, 0x06])
def test_a_damaged_byte_never_gets_an_ack_that_is_not_the_frames(at, wrong):
    """The sender takes the first ACK after a frame for that frame's: none may come from a damaged byte within it."""
    good = frame(2, b"P|1|133\r")
    damaged = good[:at] + bytes((wrong,)) + good[at + 1 :]
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER))
    answer = bench.feed(damaged)
    if ACK in answer:
        assert good[1:-4] in bench.durable


def test_an_enq_in_a_cut_frame_is_believed_after_a_second():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + frame(2, b"P|1|133\r")[:5])
    assert bench.feed(ENQ) == b""
    assert bench.wait(1.0) == ACK


def test_a_frame_without_its_beginning_is_refused_at_once():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER))
    assert bench.feed(frame(2, b"P|1|133\r")[1:]) == NAK


@pytest.mark.parametrize("size", [FRAME_SIZE_MAX, FRAME_SIZE_MAX + 1])
def test_a_frame_of_64000_bytes_is_taken_and_a_longer_one_refused(size):
    bench = Bench("astm")
    bench.feed(ENQ)
    text = b"H|\\^&|||" + b"x" * (size - 7 - 9) + b"\r"
    whole = frame(1, text)
    assert len(whole) == size
    assert bench.feed(whole) == (ACK if size <= FRAME_SIZE_MAX else NAK)


def test_the_lexer_gives_back_every_byte_once():
    data = b"noise" + transfer(HEADER, b"L|1|N\r") + b"\x02broken" + ENQ + b"\x021x\x03zz" + frame(4, b"ok") + b"tail"
    lexer, given, at = Lexer(), b"", 0
    while at < len(data):
        piece, at = lexer.feed(data, at)
        given += piece.raw if piece is not None else b""
    assert given + lexer.rest() == data


# Quirks


def test_three_different_frames_numbered_one_are_three_frames():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + frame(1, b"P|1|7\r") + frame(1, b"O|1|S\r") + frame(4, b"L|1|N\r") + EOT)
    assert bench.sent == ACK * 5
    (study,) = bench.studies
    assert study.ends.patient_ids == ("7", "S")
    assert any("frame number 1 after 1" in note for note in study.notes)


def test_the_same_number_and_the_same_bytes_are_a_duplicate():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + frame(2, b"R|1|^^^A|1\r") * 2 + frame(3, b"L|1|N\r") + EOT)
    assert bench.sent == ACK * 5
    assert len(bench.studies[0].observations) == 1


def test_frames_that_end_with_cr_alone_are_answered():
    bench = Bench("astm")
    bench.feed(ENQ)
    assert bench.feed(frame(1, HEADER, line_end=b"\r")) == b""
    assert bench.wait(0.3) == ACK


def test_delimiters_are_the_ones_that_the_header_declares():
    (study,) = heard(b"H|@^\\|||SIM\r", b"P|1|\\S\\7\\F\\\r", b"R|1|^^^A@B|1|g/L\r", b"L|1|N\r").studies
    assert study.results[0].patient_ids == (("P.3", "^7|"),)
    assert study.observations[0].code == "^^^A@B"


def test_escapes_stand_for_delimiters_and_hexadecimal_bytes():
    (study,) = heard(HEADER, b"P|1|a&F&b&S&c&R&d&E&e&X41&f&Q&g\r", b"L|1|N\r").studies
    assert dict(study.results[0].patient_ids)["P.3"] == "a|b^c\\d&eAf&Q&g"


def test_comments_belong_to_the_record_before():
    (study,) = heard(HEADER, b"R|1|^^^A|1\rC|1|I|first|G\rC|2|I|second|G\rR|2|^^^B|2\r", b"L|1|N\r").studies
    assert [one.comments for one in study.observations] == [("first", "second"), ()]


def test_values_stay_as_received_and_codes_stand_beside():
    (study,) = heard(
        HEADER, b"R|1|^^^^WBC^1|  5.5|10E3/uL\rR|2|^^^MCV|89,1|um3\rR|3|^^^HCT|0.405|L/L\r", b"L\r"
    ).studies
    wbc, mcv, hct = study.observations
    assert (wbc.value, wbc.unit, wbc.loinc, wbc.ucum, wbc.ucum_value) == (
        "  5.5",
        "10E3/uL",
        "6690-2",
        "10*3/uL",
        "5.5",
    )
    assert (mcv.value, mcv.loinc, mcv.ucum, mcv.ucum_value) == ("89,1", "787-2", "fL", "89.1")
    assert (hct.loinc, hct.ucum) == ("", "")


# Which frames make one study


def test_several_patients_in_one_message_are_several_studies():
    bench = heard(
        HEADER, b"P|1|7\r", b"O|1|S1\r", b"R|1|^^^A|1\r", b"P|2|8\r", b"O|1|S2\r", b"R|1|^^^A|2\r", b"L|1|N\r"
    )
    first, second = bench.studies
    assert (first.ends.patient_ids, second.ends.patient_ids) == (("7", "S1"), ("8", "S2"))
    assert not first.ends.partial
    assert b"P|2|8" not in first.raw
    assert b"P|1|7" not in second.raw
    assert second.results[0].observations[0].value == "2"
    assert bench.durable == transfer(
        HEADER, b"P|1|7\r", b"O|1|S1\r", b"R|1|^^^A|1\r", b"P|2|8\r", b"O|1|S2\r", b"R|1|^^^A|2\r", b"L|1|N\r"
    )


SEVERAL = HEADER + b"P|1|7\rO|1|S1\rR|1|^^^A|1\rP|2|8\rO|1|S2\rR|1|^^^A|2\rL|1|N\r"


@pytest.mark.parametrize("refused", [(), (1,), (2,), (1, 3), (2, 3)])
def test_several_patients_in_one_frame_are_divided_at_the_record_also_when_the_disk_refuses_a_part(refused):
    bench = Bench("astm", refuse=set(refused).__contains__)
    bench.feed(ENQ)
    for _ in range(4):
        if bench.feed(frame(1, SEVERAL)).endswith(ACK):
            break
    bench.feed(EOT)
    first, second = bench.studies
    assert (first.ends.patient_ids, second.ends.patient_ids) == (("7", "S1"), ("8", "S2"))
    assert [len(study.observations) for study in bench.studies] == [1, 1]
    assert b"P|2|8" not in first.raw
    assert b"P|1|7" not in second.raw
    assert b"".join(study.raw for study in bench.studies).count(b"R|1|^^^A|2") == 1


def test_under_a_patient_without_a_name_each_specimen_is_a_study():
    orders = b"P|1\rO|1||^^  113^A\rR|1|^^^A|1\rO|2||^^  114^A\rR|1|^^^A|2\r"
    first, second = heard(HEADER, orders, b"L|1|N\r").studies
    assert (first.ends.patient_ids, second.ends.patient_ids) == (("113",), ("114",))


def test_two_specimens_of_a_named_patient_are_one_study_with_two_results():
    (study,) = heard(HEADER, b"P|1|7\rO|1|S1\rR|1|^^^A|1\rO|2|S2\rR|1|^^^A|2\r", b"L|1|N\r").studies
    assert [result.specimen_id for result in study.results] == ["S1", "S2"]


@pytest.mark.parametrize(
    "order",
    [b"O|1|Q7|||||||||Q", b"O|1|CTRL^3", b"O|1||CTRLHIGH^1", b"O|1|S|||||||||||||CONTROL", b"O|1|QC"],
)
def test_a_control_is_marked_and_apart_from_the_patient_before_it(order):
    first, second = heard(HEADER, b"P|1|7\rO|1|S\rR|1|^^^A|1\r", order + b"\rR|1|^^^A|9\r", b"L|1|N\r").studies
    assert not first.ends.qc
    assert not first.results[0].qc
    assert second.ends.qc
    assert second.results[0].qc


@pytest.mark.parametrize("mode", [b"Q", b"T", b"D"])
def test_a_message_of_controls_training_or_debugging_is_no_patients(mode):
    (study,) = heard(b"H|\\^&|||SIM|||||||" + mode + b"\r", b"P|1|7\rR|1|^^^A|1\r", b"L|1|N\r").studies
    assert study.ends.qc
    assert study.results[0].qc


def test_after_a_failure_the_last_record_comes_with_its_parents_and_results_are_taken_once():
    bench = Bench("astm")
    bench.feed(ENQ + b"".join(frame(n, text) for n, text in enumerate((HEADER, b"P|1|7\r", b"O|1|S\r"), 1)))
    bench.feed(frame(4, b"R|1|^^^A|1\r") + frame(5, b"R|2|^^^B|2\r") + EOT)
    bench.wait(15)
    bench.feed(transfer(HEADER, b"P|1|7\r", b"O|1|S\r", b"R|1|^^^B|2\r", b"R|2|^^^C|3\r", b"L|1|N\r"))
    (study,) = bench.studies
    assert [one.code for one in study.observations] == ["^^^A", "^^^B", "^^^C"]
    assert not study.ends.partial


def test_after_a_failure_another_patient_leaves_the_first_as_partial():
    bench = Bench("astm")
    bench.feed(ENQ + frame(1, HEADER) + frame(2, b"P|1|7\rO|1|S\rR|1|^^^A|1\r") + EOT)
    bench.wait(15)
    bench.feed(transfer(HEADER, b"P|1|8\rO|1|T\rR|1|^^^A|2\r", b"L|1|N\r"))
    first, second = bench.studies
    assert first.ends.partial
    assert [one.value for one in first.observations] == ["1"]
    assert [one.value for one in second.observations] == ["2"]
    assert not second.ends.partial


def test_two_messages_in_one_transfer_are_two_studies():
    texts = [HEADER, b"P|1|7\r", b"R|1|^^^A|1\r", b"L|1|N\r"]
    bench = heard(*texts, *texts)
    assert [len(study.observations) for study in bench.studies] == [1, 1]


@pytest.mark.parametrize("fault", ["", "bad-checksum", "lost-ack", "lost-last-ack", "cut"])
def test_a_frame_of_26_kb_arrives_once_whatever_happens(fault):
    said = message("curves", 5, "900")
    device, bench = Analyser([said], [fault] if fault else []), Bench("astm")
    Wire(device, BenchHost(bench), piece=4096).run()
    (study,) = bench.studies
    assert len(said[0][0]) > 25_000
    assert device.report.is_good
    assert said[0][0] in study.raw
    assert len(study.observations) == 12


@pytest.mark.parametrize("style", SHORT_STYLES)
@pytest.mark.parametrize("fault", ["", *FAULTS])
@pytest.mark.parametrize("piece", [1, 4096])
def test_every_fault_of_a_simulated_analyser_leaves_each_message_as_one_study(style, fault, piece):
    device = Analyser([message(style, 5, f"90{at}", at=at) for at in range(2)], [fault] if fault else [], 5.0)
    bench = Bench("astm")
    Wire(device, BenchHost(bench), piece=piece).run()
    assert device.report.is_good
    assert [study.ends.patient_ids[0] for study in bench.studies] == ["900", "901"]
    assert not any(study.ends.partial for study in bench.studies)
    assert all(len(study.results) == 1 for study in bench.studies)


def test_a_clinics_own_codes_come_first(tmp_path):
    table = tmp_path / "codes.toml"
    table.write_text(
        '[unit]\n"Einheit" = "U/L"\n[[code]]\nnames = ["A"]\nloinc = "0-0"\ntitle = "ours"\nucum = ["U/L"]\n'
    )
    bench = heard(HEADER, b"R|1|^^^A|1|Einheit\r", b"L|1|N\r", options={"codes": str(table)})
    assert bench.studies[0].observations[0].loinc == "0-0"
    table.write_text("[unit]\n'x' = 3\n")
    with pytest.raises(ConfigError, match=r"codes\.toml.*unit"):
        Bench("astm", {"codes": str(table)})
