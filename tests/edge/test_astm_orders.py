"""Host queries: an analyser asks for its orders, the kit sends them by LIS01-A2, and never while it receives."""

import pytest

from edge.driver import Fault
from edge.drivers import astm_sender
from edge.drivers.astm_orders import matching, read_question
from edge.drivers.astm_sender import Sender, framed
from hardware.simulated.asking_analyser import FAULTS, AskingAnalyser
from tests.edge.bench import Bench
from tests.edge.test_astm import frame, transfer
from tests.edge.virtual import BenchHost, Wire
from wire.errors import ConfigError, Misuse
from wire.worklist import Order

ENQ, ACK, NAK, EOT = b"\x05", b"\x06", b"\x15", b"\x04"
HEADER = b"H|\\^&|||SIM^1|||||LIS||P|1394-97\r"
QUESTION = b"Q|1|^S1||ALL||||||||O\r"
END = b"L|1|N\r"
ORDERS = [
    Order("24310077", "Petrenko", "19700101", "F", "S1", ("WBC", "HGB")),
    Order("24310085", sample="S2", tests=("GLU",)),
]
ANSWER = [
    frame(1, b"H|\\^&|||feldsher|||||SIM^1||P|1394-97\r"),
    frame(2, b"P|1|24310077|||Petrenko||19700101|F\r"),
    frame(3, b"O|1|S1||^^^WBC\\^^^HGB|R||||||N||||||||||||||Q\r"),
    frame(4, b"L|1|F\r"),
]


def asked(*texts, orders=ORDERS, refuse=lambda number: False, **options):
    """Return the bench behind a question, and what it said at once after the EOT."""
    bench = Bench("astm", {"orders": True, **options}, refuse)
    bench.worklist = orders
    said = bench.feed(transfer(*(texts or (HEADER, QUESTION, END))))
    return bench, said + bench.wait(0)


def taken(bench, count=4):
    """Take `count` frames; return them."""
    frames = []
    said = bench.feed(ACK)
    while said != EOT and len(frames) < 20:
        frames.append(said)
        said = bench.feed(ACK)
    assert len(frames) == count
    return frames


# What is asked, and what is answered


def test_a_question_is_answered_with_the_orders_of_its_sample():
    bench, said = asked()
    assert said == ACK * 4 + ENQ
    assert taken(bench) == ANSWER
    assert bench.studies == []
    assert bench.open is None


@pytest.mark.parametrize(
    "pieces", [[HEADER + QUESTION + END], [HEADER, QUESTION + END], [HEADER + b"C|1|I|x|G\r", QUESTION, END]]
)
def test_however_a_question_is_divided_it_is_one(pieces):
    bench, said = asked(*pieces)
    assert said.endswith(ENQ)
    assert taken(bench) == ANSWER


def test_a_sample_without_orders_is_answered_with_no_information():
    bench, _ = asked(HEADER, b"Q|1|^S9||ALL\r", END)
    assert taken(bench, 2)[1] == frame(2, b"L|1|I\r")


@pytest.mark.parametrize(
    ("question", "end"),
    [
        (b"Q|1|^S1|^S9|ALL\r", b"Q"),  # a range
        (b"Q|1|||ALL\r", b"Q"),  # nothing
        (b"Q|1|24310085^S1||ALL\r", b"I"),  # the sample is another patient's
        (b"Q|1|24310077^S1||ALL\r", b"F"),
        (b"Q|1|24310077||ALL\r", b"F"),
        (b"Q|1|S1||ALL\r", b"F"),
        (b"Q|1|^S1||^^^HGB\r", b"F"),
        (b"Q|1|^S1||^^^TSH\r", b"I"),
    ],
)
def test_what_is_not_certain_is_answered_without_orders(question, end):
    bench, _ = asked(HEADER, question, END)
    frames = taken(bench, 4 if end == b"F" else 2)
    assert frames[-1] == frame(len(frames), b"L|1|" + end + b"\r")
    if b"HGB" in question:
        assert b"|^^^HGB|" in frames[2]


def test_all_is_all_that_is_ordered():
    bench, _ = asked(HEADER, b"Q|1|ALL\r", END)
    frames = taken(bench, 6)
    assert [one[2:4] for one in frames] == [b"H|", b"P|", b"O|", b"P|", b"O|", b"L|"]


def test_several_specimens_are_asked_for_at_once():
    bench, _ = asked(HEADER, b"Q|1|^S1\\^S2||ALL\r", END)
    taken(bench, 6)


def test_an_id_that_is_ones_patient_and_anothers_sample_gets_no_orders():
    orders = [Order("A", sample="S1", tests=("X",)), Order("B", sample="A", tests=("Y",))]
    question = read_question([HEADER, b"Q|1|A||ALL"], "ascii")
    assert matching(question, orders) == ([], ["what is asked for is one patient's id and another's sample"])


def test_delimiters_of_the_device_are_used_and_escaped():
    header = b"H|@^\\|1||GX|||||LIS||P|1394-97\r"
    bench, _ = asked(header, QUESTION, END, orders=[Order("7", "A^B|C", sample="S1", tests=("X", "Y"))])
    frames = taken(bench)
    assert frames[0][2:7] == b"H|@^\\"
    assert b"A\\S\\B\\F\\C" in frames[1]
    assert b"|^^^X@^^^Y|" in frames[2]


def test_a_name_that_the_line_does_not_carry_is_left_out_and_an_id_is_never_changed():
    orders = [Order("24310077", "Ковальчук", sample="S1", tests=("X",)), Order("Я7", sample="S2", tests=("X",))]
    bench, _ = asked(HEADER, b"Q|1|^S1\\^S2||ALL\r", END, orders=orders)
    frames = taken(bench)
    assert frames[1] == frame(2, b"P|1|24310077\r")
    assert "letters" in bench.faults[0].text
    bench, _ = asked(HEADER, QUESTION, END, orders=orders, encoding="cp1251")
    assert "Ковальчук".encode("cp1251") in taken(bench)[1]


def test_a_question_is_answered_when_the_next_transfer_comes_in_the_same_reading():
    bench = Bench("astm", {"orders": True})
    bench.worklist = ORDERS
    bench.feed(transfer(HEADER, QUESTION, END) + transfer(*RESULTS))
    assert bench.wait(0) == ENQ
    assert taken(bench) == ANSWER
    assert len(bench.studies) == 1


def test_a_question_that_is_taken_back_is_not_answered():
    bench = Bench("astm", {"orders": True})
    bench.worklist = ORDERS
    bench.feed(transfer(HEADER, QUESTION, END))
    assert bench.wait(0) == ENQ
    bench.feed(ENQ)  # contention: the answer waits
    said = bench.feed(transfer(HEADER, b"Q|1|^S1||||||||||A\r", END))
    assert said == ACK * 4
    assert bench.wait(100) == b""


def test_a_long_record_goes_in_frames_of_240_characters():
    orders = [Order("1", sample="S1", tests=tuple(f"TEST{at:02d}" for at in range(40)))]
    for size in (240, 64, 63_993):
        bench, _ = asked(orders=orders, frame_size=size)
        record = b"^^^" + b"\\^^^".join(f"TEST{at:02d}".encode() for at in range(40))
        frames = taken(bench, {240: 5, 64: 10}.get(size, 4))
        assert all(len(one) <= size + 7 for one in frames)
        assert record in b"".join(one[2:-5] for one in frames)


@pytest.mark.parametrize("size", [63, 63_994])
def test_a_frame_size_that_the_standard_does_not_know_is_refused(size):
    with pytest.raises(ConfigError, match="64 to 63993"):
        Bench("astm", {"frame_size": size})


# What is no question is kept as ever


def test_without_the_option_nothing_is_ever_sent_but_answers():
    bench = Bench("astm")
    bench.worklist = ORDERS
    assert bench.feed(transfer(HEADER, QUESTION, END)) == ACK * 4
    assert bench.wait(200) == b""
    assert len(bench.studies) == 1


RESULTS = (HEADER, b"P|1|24310077\r", b"O|1|S1||^^^WBC\r", b"R|1|^^^WBC|5.5|10*3/uL\r", END)


@pytest.mark.parametrize("divided", [RESULTS, (b"".join(RESULTS),), (HEADER + RESULTS[1], b"".join(RESULTS[2:]))])
def test_results_are_kept_byte_by_byte_with_the_option(divided):
    plain, asking = Bench("astm"), Bench("astm", {"orders": True})
    for bench in (plain, asking):
        bench.feed(transfer(*divided))
    (expected,), (seen,) = plain.studies, asking.studies
    assert seen.raw == expected.raw == transfer(*divided)
    assert seen.results == expected.results
    assert seen.ends == expected.ends


def test_results_behind_a_question_in_one_message_are_kept():
    bench, _ = asked(HEADER, QUESTION, *RESULTS[1:])
    (study,) = bench.studies
    assert study.raw == transfer(HEADER, QUESTION, *RESULTS[1:])
    assert [one.value for one in study.observations] == ["5.5"]
    assert bench.wait(60) == b""


def test_a_question_within_the_transfer_of_results_is_answered_too():
    bench, said = asked(*RESULTS, HEADER, QUESTION, END)
    assert said.endswith(ENQ)
    assert len(bench.studies) == 1
    taken(bench)


def test_a_question_does_not_end_a_message_that_broke_off():
    bench = Bench("astm", {"orders": True})
    bench.feed(ENQ + frame(1, HEADER) + frame(2, b"P|1|24310077\r") + frame(3, b"O|1|S1||^^^WBC\r") + EOT)
    bench.feed(transfer(HEADER, QUESTION, END))
    assert bench.open is not None
    assert bench.wait(0) == ENQ
    taken(bench, 2)
    bench.feed(transfer(*RESULTS))
    (study,) = bench.studies
    assert study.ends.partial == ""
    assert [one.value for one in study.observations] == ["5.5"]


def test_a_header_that_nothing_follows_is_kept_as_partial():
    for end in (EOT, b""):
        bench = Bench("astm", {"orders": True})
        bench.feed(ENQ + frame(1, HEADER) + end)
        bench.wait(200)
        (study,) = bench.studies
        assert study.ends.partial
        assert HEADER in study.raw


def test_a_question_that_broke_off_makes_no_study():
    for end in (EOT, b"", ENQ + EOT):
        bench = Bench("astm", {"orders": True})
        bench.feed(ENQ + frame(1, HEADER) + frame(2, QUESTION) + end)
        bench.wait(200)
        assert bench.studies == []
        assert bench.sent.count(ENQ) == 0


def test_a_refused_frame_behind_a_held_header_loses_nothing():
    bench = Bench("astm", {"orders": True}, refuse=lambda number: number == 1)
    bench.feed(ENQ + frame(1, HEADER))
    assert bench.feed(frame(2, RESULTS[1])) == NAK
    assert bench.feed(frame(2, RESULTS[1])) == ACK
    bench.feed(b"".join(frame(at, text) for at, text in enumerate(RESULTS[2:], 3)) + EOT)
    (study,) = bench.studies
    assert HEADER in study.raw
    assert [one.value for one in study.observations] == ["5.5"]


def test_a_held_frame_that_comes_twice_is_taken_once():
    bench = Bench("astm", {"orders": True})
    bench.worklist = ORDERS
    said = bench.feed(ENQ + frame(1, HEADER) + frame(1, HEADER) + frame(2, QUESTION) * 2 + frame(3, END) + EOT)
    said += bench.wait(0)
    assert said == ACK * 6 + ENQ
    assert taken(bench) == ANSWER


# The line


def test_the_instrument_has_priority_and_is_waited_for():
    """LIS01-A2 6.5.2.7.2: the host yields and waits 20 s; the ENQ that collided is not answered."""
    bench, _ = asked()
    assert bench.feed(ENQ) == b""
    assert bench.wait(1.0) == b""
    assert bench.feed(transfer(*RESULTS)) + bench.wait(0) == ACK * 6 + ENQ  # after its EOT it is our turn
    assert len(bench.studies) == 1
    assert taken(bench) == ANSWER


def test_after_contention_an_instrument_that_stays_silent_is_called_after_20_seconds():
    bench, _ = asked()
    bench.feed(ENQ)
    assert bench.wait(19.9) == b""
    assert bench.wait(0.2) == ENQ


def test_a_busy_instrument_is_not_called_again_for_ten_seconds():
    bench, _ = asked()
    assert bench.feed(NAK) == b""
    assert bench.wait(9.9) == b""
    assert bench.wait(0.2) == ENQ


def test_an_enq_without_an_answer_ends_with_eot_after_15_seconds_and_comes_again():
    bench, _ = asked()
    assert bench.wait(14.9) == b""
    assert bench.wait(0.2) == EOT
    assert bench.wait(10.1) == ENQ


def test_a_frame_is_sent_six_times_at_most():
    bench, _ = asked()
    said = bench.feed(ACK)
    for _ in range(5):
        assert bench.feed(NAK) == said
    assert bench.feed(b"\x86") == EOT
    assert bench.wait(10.1) == ENQ
    assert taken(bench) == ANSWER


def test_silence_in_the_middle_ends_the_transfer_and_all_goes_again():
    bench, _ = asked()
    bench.feed(ACK + ACK)
    assert bench.wait(15.1) == EOT
    assert bench.wait(10.1) == ENQ
    assert taken(bench) == ANSWER


def test_an_interrupt_request_gives_the_line_away_for_15_seconds():
    bench, _ = asked()
    bench.feed(ACK)
    assert bench.feed(EOT) == EOT
    assert bench.wait(14.9) == b""
    assert bench.wait(0.2) == ENQ
    assert taken(bench) == ANSWER


def test_an_interrupt_request_behind_the_last_frame_has_taken_it():
    bench, _ = asked()
    bench.feed(ACK * 4)
    assert bench.feed(EOT) == EOT
    assert bench.wait(100) == b""


def test_what_cannot_be_told_is_given_up_and_people_are_told():
    bench, _ = asked()
    bench.wait(300)
    assert bench.sent.count(ENQ) == astm_sender.TRIES_MAX
    assert [fault.code for fault in bench.faults] == ["orders"]
    assert "S1" not in bench.faults[0].text
    assert "24310077" not in bench.faults[0].text


def test_nothing_is_sent_between_an_enq_of_the_analyser_and_its_eot():
    bench, _ = asked()
    bench.feed(NAK)
    assert bench.feed(ENQ) == ACK
    for at, text in enumerate(RESULTS, 1):
        assert bench.wait(12) == b""
        assert bench.feed(frame(at, text)) == ACK
    assert bench.feed(EOT) == b""
    assert bench.wait(0.1) == ENQ


def test_noise_that_looks_like_a_frame_holds_an_answer_up_for_five_seconds_only():
    bench, _ = asked()
    bench.feed(NAK)
    bench.wait(9)
    bench.feed(b"\x02noise")
    assert bench.wait(4.9) == b""
    assert bench.wait(0.2) == ENQ
    bench.feed(ENQ)  # contention
    assert bench.feed(ENQ) == ACK


def test_a_port_that_vanishes_begins_the_answer_anew():
    bench, _ = asked()
    bench.feed(ACK)
    bench.lose()
    assert bench.wait(10.1) == ENQ
    assert taken(bench) == ANSWER


def test_the_newer_answer_to_the_same_question_counts():
    bench, _ = asked()
    bench.feed(NAK)
    bench.worklist = [Order("24310077", "Petrenko", "19700101", "F", "S1", ("TSH",))]
    bench.feed(transfer(HEADER, QUESTION, END))
    bench.wait(10.1)
    assert b"^^^TSH" in taken(bench)[2]
    assert bench.wait(100) == b""


def test_answers_that_wait_are_bounded():
    sender = Sender()
    events = [event for at in range(100) for event in sender.put(at, [b"L|1|I"])]
    assert len(events) == 100 - astm_sender.WAITING_MAX
    assert all(isinstance(event, Fault) for event in events)


def test_every_cell_of_the_senders_table_names_a_state_and_an_action():
    states = {state for state, _ in astm_sender.MOVES}
    for next_state, action in astm_sender.MOVES.values():
        assert next_state in states
        assert callable(getattr(Sender, f"_{action}"))
    with pytest.raises(Misuse, match="TIMEOUT while resting"):
        Sender()._move("TIMEOUT", 0.0)


def test_frames_are_numbered_modulo_eight_from_one():
    assert [one[1:2] for one in framed([b"C|1"] * 9, 240)] == [b"%d" % (at % 8) for at in range(1, 10)]


# Against an analyser that was written apart from the driver


@pytest.mark.parametrize("fault", [None, *FAULTS])
def test_a_simulated_analyser_gets_its_orders_whatever_goes_wrong(fault):
    bench = Bench("astm", {"orders": True})
    bench.worklist = ORDERS
    device = AskingAnalyser(["S1", "S9", "S2"], [fault] if fault else [])
    Wire(device, BenchHost(bench)).run()
    assert device.report.is_good
    assert device.told == {"S1": ["WBC", "HGB"], "S9": [], "S2": ["GLU"]}
    assert device.patients["S1"] == "24310077"
    assert [study.ends.patient_ids for study in bench.studies] == [("S1",), ("S2",)]
    assert [len(study.observations) for study in bench.studies] == [2, 1]
    assert not bench.faults


def test_a_line_that_damages_every_tenth_byte_gives_no_wrong_orders():
    count = 0

    def spoil(direction, data):
        nonlocal count
        out = bytearray(data)
        for at in range(len(out)):
            count += 1
            if count % 97 == 0:
                out[at] ^= 0x40
        return bytes(out)

    bench = Bench("astm", {"orders": True})
    bench.worklist = ORDERS
    device = AskingAnalyser(["S1", "S2"] * 5)
    Wire(device, BenchHost(bench), spoil).run()
    assert device.told == {"S1": ["WBC", "HGB"], "S2": ["GLU"]}
