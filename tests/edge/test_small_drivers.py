"""Barcode scanners, generic capture, character sets, codes, and the queue for what the disk refused."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import charset, codes
from edge.driver import Commit, Fault, Note, PatientReleased, PatientScanned, Send, StudyBegins, StudyEnds
from edge.drivers import barcode, lines
from edge.entries import HELD_COUNT_MAX, HELD_SIZE_MAX, URGENT_COUNT_MAX, EntryQueue
from hardware.simulated.scanner import Scanner, luhn, patient_label
from hardware.simulated.suntech import cuff_answer, result_answer
from hardware.simulated.tm2655 import framed
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError

# Labels


@given(st.integers(1, 10**12))
def test_luhn_finds_every_single_wrong_digit(number):
    label = luhn(str(number))
    assert barcode.is_mod10(label)
    for at, digit in enumerate(label):
        wrong = label[:at] + str((int(digit) + 1) % 10) + label[at + 1 :]
        assert not barcode.is_mod10(wrong)


@pytest.mark.parametrize(
    ("scheme", "good", "bad"),
    [
        ("mod10", "79927398713", "79927398710"),
        ("ean13", "4006381333931", "4006381333932"),
        ("mod97", "GB82WEST12345698765432"[4:] + "GB82", "GB83"),
        ("code39", "CODE39" + "W", "CODE39" + "X"),
    ],
)
def test_check_digits(scheme, good, bad):
    assert barcode.SCHEMES[scheme](good)
    assert not barcode.SCHEMES[scheme](bad)
    assert not barcode.SCHEMES[scheme]("")


def scanned(data, wait=0.0, **options):
    bench = Bench("barcode", options)
    bench.feed(data)
    bench.wait(wait)
    return bench


@pytest.mark.parametrize("end", [b"\r", b"\r\n", b"\t", b"\x03", b"\n"])
def test_a_label_with_any_suffix(end):
    assert scanned(b"\x02" * (end == b"\x03") + b"]C0ABC-1" + end).scans == [PatientScanned("ABC-1", False, "]C0")]


def test_a_label_without_suffix_ends_with_silence():
    assert scanned(b"12345", wait=0.4).scans == []
    assert scanned(b"12345", wait=0.6).scans == [PatientScanned("12345", False)]


def test_prefix_is_required_and_cut_off_and_release_is_no_patient():
    bench = scanned(b"P17\rX17\rEND\r", prefix="P", release="END")
    assert bench.scans == [PatientScanned("17", False), PatientReleased()]
    assert "does not begin with 'P'" in bench.faults[0].text


@pytest.mark.parametrize("size", [barcode.LABEL_SIZE_MAX, barcode.LABEL_SIZE_MAX + 1])
def test_a_label_of_64_characters_is_the_longest(size):
    assert len(scanned(b"1" * size + b"\r").scans) == (size <= barcode.LABEL_SIZE_MAX)


def test_a_keyboard_under_a_cyrillic_layout_is_named_as_the_cause():
    bench = Bench("barcode")
    Wire(Scanner(["PAT-1"], faults=["cyrillic"]), BenchHost(bench)).run()
    assert bench.scans == []
    assert "Cyrillic" in bench.faults[0].text


def test_a_misread_label_beeps_and_is_scanned_again():
    device = Scanner([patient_label(1, 0)], faults=["bad-digit"], waits=True)
    bench = Bench("barcode", {"scheme": "mod10", "answer": "ack"})
    Wire(device, BenchHost(bench)).run()
    assert device.report.is_good
    assert device.report.refused == 1
    assert bench.scans == [PatientScanned(patient_label(1, 0), True)]


# Generic capture


def captured(*steps, **options):
    bench = Bench("lines", options)
    for data, wait in steps:
        bench.feed(data)
        bench.wait(wait)
    bench.wait(20)
    return bench


def test_lines_until_silence_are_one_study_and_the_rest_without_newline_is_kept():
    bench = captured((b"ST,GS,+ 71.4kg\r\nST,GS,", 1.0), (b"+ 71.5kg", 5.0), (b"next\n", 0.0))
    assert [study.raw for study in bench.studies] == [b"ST,GS,+ 71.4kg\r\nST,GS,+ 71.5kg", b"next\n"]
    assert [one.value for one in bench.studies[0].observations] == ["ST,GS,+ 71.4kg", "ST,GS,+ 71.5kg"]


def test_a_check_byte_that_looks_like_the_end_belongs_to_the_block():
    bench = captured((b"\x02R1\x03\x03\x02R2\x03\x02", 0.0), mode="blocks", trailer=1, answer="ack")
    assert bench.sent == b"\x06\x06"
    assert bench.studies[0].raw == b"\x02R1\x03\x03\x02R2\x03\x02"


def test_a_block_that_the_disk_refuses_gets_nak_and_is_not_kept():
    bench = Bench("lines", {"mode": "blocks", "answer": "ack"}, refuse=lambda number: number == 0)
    assert bench.feed(b"\x02R1\x03") == b"\x15"
    assert bench.feed(b"\x02R1\x03") == b"\x06"
    bench.wait(20)
    assert bench.durable == b"\x02R1\x03"


def test_what_the_disk_refuses_is_held_and_comes_in_order():
    bench = Bench("lines", refuse=lambda number: number < 3)
    bench.feed(b"one\ntwo\n")
    bench.wait(1.0)
    bench.feed(b"three\n")
    bench.wait(20)
    assert bench.durable == b"one\ntwo\nthree\n"


def test_bytes_that_are_no_text_are_kept_and_not_shown():
    bench = captured((bytes(range(128, 256)) + bytes(32), 0.0), mode="bursts")
    assert bench.studies[0].raw == bytes(range(128, 256)) + bytes(32)
    assert bench.studies[0].results == []


def test_a_document_of_a_megabyte_goes_on_in_the_next_study():
    bench = Bench("lines")
    for _ in range(lines.STUDY_SIZE_MAX // 1000 + 2):
        bench.feed(b"x" * 999 + b"\n")
    bench.wait(20)
    assert len(bench.studies) == 2
    assert all(len(study.raw) <= lines.STUDY_SIZE_MAX for study in bench.studies)
    assert len(bench.durable) == (lines.STUDY_SIZE_MAX // 1000 + 2) * 1000


@pytest.mark.parametrize("name", ["serial-lines/ves_matic_cube_esr.bin", "scales/tanita_sc240.txt"])
def test_devices_that_nobody_wrote_a_driver_for_lose_nothing(name):
    raw = sample(name)
    assert captured((raw, 0.0)).durable == raw


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"trailer": 99}, "'trailer' is 99"),
        ({"quiet_s": 0.0}, "'quiet_s' is 0.0"),
        ({"begin": "xx"}, "two hex digits"),
        ({"answer": "ack"}, "only mode 'blocks'"),
    ],
)
def test_options_that_cannot_be(options, reason):
    with pytest.raises(ConfigError, match=reason):
        Bench("lines", options)


# The queue


def test_the_queue_gives_up_the_newest_when_it_is_full_and_says_so():
    queue = EntryQueue()
    for number in range(9):
        queue.put(Commit(bytes((number,)) * (HELD_SIZE_MAX // 8)))
    queue.put(StudyEnds())
    (first,) = queue.release()
    assert queue.refused(first.token, 0.0) == []
    assert queue.deadline() == 1.0
    (again,) = queue.tick(1.0)
    assert again.raw == first.raw
    events = queue.committed(again.token)
    assert [type(one) for one in events[:2]] == [Fault, Note]
    assert "1 entries were lost" in events[1].text


def test_an_answered_entry_is_given_up_when_refused():
    queue = EntryQueue()
    queue.put_answered(Commit(b"x"), Send(b"yes"), Send(b"no"))
    (asked,) = queue.release()
    assert queue.refused(asked.token, 0.0) == [Send(b"no")]
    assert queue.deadline() is None


def test_a_question_waits_for_no_disk():
    queue = EntryQueue()
    queue.put(Commit(b"x"))
    queue.release()
    queue.put_now(Send(b"?"))
    assert queue.release() == [Send(b"?")]


def test_of_questions_that_nobody_fetches_the_last_64_are_kept():
    queue = EntryQueue()
    for number in range(URGENT_COUNT_MAX + 9):
        queue.put_now(Send(bytes((number,))))
    assert len(queue.release()) == URGENT_COUNT_MAX


def test_a_study_of_which_nothing_was_kept_is_not_begun():
    queue = EntryQueue()
    for number in range(HELD_COUNT_MAX + 500):
        for event in (StudyBegins("document"), Commit(bytes((number & 0xFF,))), Note("so"), StudyEnds()):
            queue.put(event)
    events = [*queue.release()]
    while isinstance(events[-1], Commit):
        events += queue.committed(events[-1].token)
    kinds = [type(one) for one in events]
    assert kinds.count(StudyBegins) == kinds.count(StudyEnds) == kinds.count(Commit) < HELD_COUNT_MAX
    assert kinds.count(Fault) == 1


@pytest.mark.parametrize(
    ("name", "options"),
    [("contec", {}), ("mtsics", {}), ("suntech", {}), ("tm2655", {"ask": "always"})],
)
def test_when_the_disk_has_room_again_no_hour_of_questions_goes_out_at_once(name, options):
    bench = Bench(name, options, refuse=lambda number: number < 600)
    bench.wait(1.0)
    for data in (b"\x16\x16\x0100\x15", bytes.fromhex("01e0849392bce3ffff") * 700, b"\r\nS S     100.00 kg\r\n"):
        bench.feed(data)
    for data in (cuff_answer(140), cuff_answer(0) * 2, result_answer(121, 79, 93, 66), framed("T\x1e1\x1eRB\x1eE43")):
        bench.feed(data)
    rates = [len(bench.wait(1.0)) for _ in range(700)]
    assert bench.studies
    assert max(rates) <= 3 * 9


VIDAS = {"mode": "blocks", "answer": "ack", "enquiry": True}
"""bioMérieux' VIDAS and its like: ENQ, STX, records, sum, ETX, EOT; ENQ and each block want an ACK."""


def test_a_device_that_asks_first_is_answered_and_its_block_is_kept():
    bench = Bench("lines", VIDAS)
    assert bench.feed(b"\x05") == b"\x06"
    assert bench.feed(b"\x02\x1emtrsl|pi7|rtTSH|qn0.80|\x1d3f\x03") == b"\x06"
    assert bench.feed(b"\x04") == b""
    bench.wait(10)
    (study,) = bench.studies
    assert study.raw == b"\x05\x02\x1emtrsl|pi7|rtTSH|qn0.80|\x1d3f\x03\x04"
    assert "rtTSH|qn0.80" in study.observations[0].value


def test_an_enquiry_within_a_block_is_data_and_one_that_cannot_be_kept_is_refused():
    bench = Bench("lines", VIDAS)
    assert bench.feed(b"\x02a\x05b") == b""
    assert bench.feed(b"\x03") == b"\x06"
    refused = Bench("lines", VIDAS, lambda number: number == 0)
    assert refused.feed(b"\x05") == b"\x15"
    assert refused.feed(b"\x05") == b"\x06"
    assert Bench("lines", VIDAS | {"enquiry": False}).feed(b"\x05") == b""


def test_an_enquiry_is_answered_only_where_blocks_are():
    with pytest.raises(ConfigError, match="enquiry"):
        Bench("lines", {"mode": "blocks", "enquiry": True})


# Character sets and codes

TEXTS = ("Ковальчук Олена", "Іванов Іван Петрович", "ПОЛОЖИТЕЛЬНЫЙ", "гемоліз", "Щербакова Юлия", "Їжакевич Єва")


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-u", "cp866", "utf-8"])
@pytest.mark.parametrize("text", TEXTS)
def test_cyrillic_text_is_told_apart(text, encoding):
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        pytest.skip(f"{encoding} has not all letters of {text}")
    assert data.decode(charset.detect(data)) == text


@pytest.mark.parametrize("text", ["Élodie NON DÉTECTÉ", "Müller 5 µL", "37°C", "François", "Ñandú"])
def test_western_text_is_latin_1(text):
    assert charset.detect(text.encode("latin-1")) == "latin-1"


@pytest.mark.parametrize("text", ["\uff1c1", "\uff1e500 ↑", "3 \u03bcg/L", "37.1 ℃", "\uff08\uff0d\uff09", "\uff0b ±"])
def test_signs_of_double_width_alone_are_gb18030(text):
    assert charset.detect(f"CRP {text}".encode("gb18030")) == "gb18030"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("ёж", "koi8-r"), ("\u0433/\u043b", "cp866"), ("5 \u0433\u0440", "cp866"), ("£5", "latin-1"), ("Ўлад", "cp1251")],
)
def test_other_short_words_are_not_taken_for_signs_of_double_width(text, encoding):
    assert charset.detect(text.encode(encoding)) != "gb18030"


def test_a_megabyte_of_signs_costs_little_memory():
    data = "≥".encode("gb18030") * (1 << 19)
    tracemalloc.start()
    assert charset.detect(data) == "gb18030"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@given(st.binary(max_size=300))
def test_any_bytes_have_an_encoding_and_a_text(data):
    text, used = charset.decode(data, charset.detect(data))
    assert text.encode(used) == data or used == "cp1251"


def test_a_count_is_never_labelled_as_a_share():
    table = codes.built_in()
    assert table.coding(["NEU"], "3.4", "10*9/L").loinc == "751-8"
    assert table.coding(["NEU"], "63.4", "%").loinc == "770-8"
    assert table.coding(["WBC"], "5.5", "%").loinc == ""
    assert table.coding(["WBC"], "5.5", "wagons") == codes.Coding()


@pytest.mark.parametrize("value", ["<0.1", "*5.5", "", "--", "1e5", "NEG"])
def test_what_is_no_plain_number_gets_no_ucum_value(value):
    assert codes.built_in().coding(["WBC"], value, "10*3/uL").value == ""
