"""Radex One and Rad Pro, and the dialogue and the study that all drivers of radiation meters share."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.drivers import radpro
from edge.drivers.radex import VALUES, answer_size, check_sum, request, serial_number
from edge.drivers.radiation_poll import (
    ANSWER_S,
    ASKING,
    DRAIN_S,
    LISTEN_S,
    NEXT,
    PROBE_S,
    TRIES_MAX,
    WAITS_S,
    Poller,
    Question,
    exactly,
)
from edge.drivers.radiation_study import CHUNK_COUNT, GAP_COUNT_MAX, NONE, READINGS_COUNT_MAX, Lead, Survey
from edge.entries import EntryQueue
from hardware.simulated.radex import Radex, answer
from hardware.simulated.radpro import RadPro
from tests.edge.bench import Bench
from tests.edge.samples import sample
from tests.edge.virtual import BenchHost, Wire


def measured(driver, device, options=None, until=400.0, piece=4096):
    bench = Bench(driver, options)
    Wire(device, BenchHost(bench), piece=piece).run(until=until)
    return bench


def values(study):
    return {one.code: one.value for one in study.observations}


# The dialogue


class Asks:
    """Asks the same for ever, and writes down what happens."""

    def __init__(self, size=None, is_needed=True):
        self.asked = Question("q", b"?", size or exactly(2), is_needed)
        self.happened = []

    def question(self, now):
        return self.asked

    def answered(self, question, answer, at):
        self.happened.append((answer, at))

    def silent(self, now):
        self.happened.append(("silent", now))

    def disturbed(self, now):
        self.happened.append(("disturbed", now))


def run(poller, until):
    sent = []
    while poller.deadline() <= until:
        at = poller.deadline()
        data = poller.tick(at)
        sent += [(at, data)] if data else []
    return sent


def test_every_state_is_reached_and_left_and_waits_for_something():
    states = {state for state, _ in NEXT}
    assert set(NEXT.values()) == states - {"new"}
    assert states - {"new", ASKING} == set(WAITS_S)


def test_nothing_is_asked_before_the_line_was_quiet():
    poller = Poller(Asks(), b"hush")
    assert run(poller, 1.0) == []
    assert poller.feed(b"x", 1.0) == b"hush"
    assert poller.feed(b"x", 2.0) == b"", "hushed once in a while, not at each byte"
    assert run(poller, 2.0 + DRAIN_S) == [(2.0 + DRAIN_S, b"?")]


def test_an_answer_is_believed_when_nothing_follows_it():
    asks = Asks()
    poller = Poller(asks)
    run(poller, LISTEN_S)
    poller.feed(b"ab", LISTEN_S)
    run(poller, LISTEN_S + 0.2)
    assert asks.happened == [(b"ab", LISTEN_S)]


@pytest.mark.parametrize("pieces", [[b"abc"], [b"ab", b"c"], [b"a", b"b", b"c"]])
def test_an_answer_with_more_behind_it_is_void_and_asked_again(pieces):
    asks = Asks()
    poller = Poller(asks)
    run(poller, LISTEN_S)
    for piece in pieces:
        poller.feed(piece, LISTEN_S)
    assert asks.happened == [("disturbed", LISTEN_S)]
    assert run(poller, 10.0)[0] == (LISTEN_S + DRAIN_S, b"?")


def test_a_meter_that_answers_nothing_is_silent_after_three_questions_and_probed_seldom():
    asks = Asks()
    poller = Poller(asks)
    sent = run(poller, 60.0)
    silent = [at for what, at in asks.happened if what == "silent"]
    assert len([at for at, _ in sent if at <= silent[0]]) == TRIES_MAX
    assert sent[TRIES_MAX][0] == silent[0] + PROBE_S


def test_a_question_that_may_stay_open_gets_an_empty_answer():
    asks = Asks(is_needed=False)
    run(Poller(asks), LISTEN_S + 3 * (ANSWER_S + DRAIN_S))
    assert asks.happened == [(b"", LISTEN_S + 3 * ANSWER_S + 2 * DRAIN_S)]


def test_a_slow_answer_is_waited_for_as_long_as_it_goes_on():
    asks = Asks(exactly(6))
    poller = Poller(asks)
    run(poller, LISTEN_S)
    for at in range(6):
        run(poller, LISTEN_S + at)
        poller.feed(b"x", LISTEN_S + at)
    run(poller, LISTEN_S + 5.2)
    assert asks.happened == [(b"xxxxxx", LISTEN_S + 5)]


@given(st.lists(st.one_of(st.binary(max_size=5), st.floats(0, 5)), max_size=40))
def test_the_machine_knows_every_event_in_every_state(steps):
    poller, now = Poller(Asks(), b"hush"), 0.0
    for step in steps:
        if isinstance(step, bytes):
            poller.feed(step, now)
        else:
            run(poller, now + step)
            now += step
    assert poller.deadline() <= now + PROBE_S


# The study


class Holds:
    """As much of a driver as a queue needs to be told what is durable."""

    def __init__(self, queue):
        self.queue = queue

    def committed(self, token, now):
        return self.queue.committed(token)


def survey(lead, every_s=1.0):
    queue = EntryQueue()
    return queue, Survey.begin(queue, (lead,), every_s, 100.0, ("model", "serial"))


def written(queue):
    bench = Bench("radex")
    bench.driver = Holds(queue)
    bench._carry_out(queue.release())
    return bench.studies[0]


def test_missed_readings_are_marked_and_a_long_gap_cuts_the_wave():
    queue, study = survey(Lead("cpm", "CPM"))
    for at in (100.0, 101.1, 104.0, 106.0 + GAP_COUNT_MAX):
        study.add((7,), at)
    study.end()
    seen = written(queue)
    assert [list(wave.samples[0]) for wave in seen.waveforms] == [[7, 7, NONE, NONE, 7], [7]]
    assert seen.notes == [f"{3 + GAP_COUNT_MAX} readings were missed"]


def test_a_reading_that_is_missed_between_two_entries_is_counted():
    queue, study = survey(Lead("cpm", "CPM"))
    for at in [*range(CHUNK_COUNT), CHUNK_COUNT + 1]:
        study.add((7,), 100.0 + at)
    study.end()
    seen = written(queue)
    assert [wave.count for wave in seen.waveforms] == [CHUNK_COUNT, 1]
    assert seen.notes == ["1 readings were missed"]


def test_a_study_is_full_at_its_bound():
    _, study = survey(Lead("cpm", "CPM"))
    for at in range(READINGS_COUNT_MAX):
        assert not study.is_full
        study.add((1,), 100.0 + at)
    assert study.is_full


@given(st.integers(0, 10**9), st.integers(0, 6))
def test_a_value_is_written_without_a_float_in_between(value, decimals):
    lead = Lead("dose", "µSv", decimals)
    assert round(float(lead.text(value)) * 10**decimals) == value
    assert lead.scale == pytest.approx(10**-decimals)


# Radex One

READ_VALUES = bytes.fromhex("7bff20000600180000004600 00080c00f3f7")
VALUES_READ = bytes.fromhex("7aff20801600180000003680 0008 00000c00 0000 12000000 12000000 15000000 baf7")
READ_SERIAL = bytes.fromhex("7bff200006009b0d0000c2f2 01000c00f2ff")
SERIAL_READ = bytes.fromhex("7aff20801e009b0d0000ab72 0100000014000000 11a4000098200000 1400061201084803 08000000 d61d")


def test_questions_are_those_that_the_makers_program_was_seen_to_send():
    assert request(VALUES, 0x18) == READ_VALUES
    assert request(1, 0xD9B) == READ_SERIAL


def test_answers_that_were_seen_are_whole_and_say_what_was_shown():
    assert answer_size(0x18, 22)(bytearray(VALUES_READ), False) == len(VALUES_READ)
    assert answer_size(0xD9B, 30)(bytearray(SERIAL_READ), False) == len(SERIAL_READ)
    assert serial_number(SERIAL_READ) == ("1.8", "180620-0840-008344")


@given(st.integers(0, len(VALUES_READ) * 8 - 1))
def test_one_flipped_bit_makes_it_no_answer(at):
    damaged = bytearray(VALUES_READ)
    damaged[at // 8] ^= 1 << at % 8
    assert answer_size(0x18, 22)(damaged, False) == 0


def test_the_simulators_answer_is_the_one_that_was_seen():
    assert answer(0x18, (0x0800, 0, 12, 0, 18, 0, 18, 0, 21, 0)) == VALUES_READ
    assert check_sum(VALUES_READ[:10]) == VALUES_READ[10:12]


@pytest.mark.parametrize("faults", [[], ["bad-sum"], ["cut"], ["late-answer"], ["old-number"], ["pause"]], ids="-".join)
@pytest.mark.parametrize("piece", [1, 4096])
def test_a_radex_is_read_rightly_under_every_fault(faults, piece):
    device = Radex(3, 20, faults=faults)
    bench = measured("radex", device, {"every_s": 2.0}, piece=piece)
    assert bench.studies
    for study in bench.studies:
        found = values(study)
        assert (study.begins.model, study.begins.serial) == ("Radex One 1.8", "180620-0840-008344")
        assert 15 <= int(found["cpm lowest"]) <= int(found["cpm highest"]) <= 27
        assert float(found["dose rate lowest"]) >= 0.09
        assert [wave.unit for wave in study.waveforms[:3]] == ["µSv/h", "µSv", "CPM"]
    assert device.forbidden == []


# Rad Pro


@pytest.mark.parametrize(
    ("text", "value"),
    [("142.857", 142_857), ("0.000", 0), ("7", 7_000), ("1.5", 1_500), ("", None), ("-1", None), ("9999999", None)],
)
def test_a_rate_in_thousandths(text, value):
    assert radpro.thousandths(text) == value


class Printed:
    """A counter that answers as the document's examples do."""

    def __init__(self):
        lines = sample("serial-lines/radpro.txt").decode().splitlines()
        self.said = dict(zip((one[2:] for one in lines[::2]), (one[2:] for one in lines[1::2]), strict=True))
        self.is_new = True

    def feed(self, data, now):
        return (self.said.get(data.decode().strip(), "ERROR") + "\r\n").encode()

    def tick(self, now):
        self.is_new = False
        return b""

    def deadline(self):
        return 0.0 if self.is_new else None


def test_the_documents_examples_are_understood():
    bench = measured("radpro", Printed(), {"study_s": 20.0}, until=60.0)
    study = bench.studies[0]
    assert (study.begins.model, study.begins.serial) == (
        "FS2011 (STM32F051C8);Rad Pro 2.0/en",
        "b5706d937087f975b5812810",
    )
    assert values(study) | {"rate": "142.857", "pulse count, last": "1500"} == values(study)


@pytest.mark.parametrize(
    ("said", "model", "serial"),
    [
        (
            "FNIRSI GC-01 (CH32F103C8);Rad Pro 3.1.1/en;0123456789abcdef01234567",
            "Rad Pro 3.1.1/en",
            "0123456789abcdef01234567",
        ),
        ("FNIRSI GC-01 (CH32F103C8);Rad Pro 2.0rc2;88eb5698;", "Rad Pro 2.0rc2", "88eb5698"),
    ],
)
def test_other_firmware_says_who_it_is_in_its_own_way(said, model, serial):
    device = Printed()
    device.said["GET deviceId"] = "OK " + said
    study = measured("radpro", device, {"study_s": 20.0}, until=60.0).studies[0]
    assert (study.begins.model, study.begins.serial) == (f"FNIRSI GC-01 (CH32F103C8);{model}", serial)
    assert radpro.SIGNS.count(f"OK {said}\r\n".encode()) == 1


@pytest.mark.parametrize(
    "faults", [[], ["old-firmware"], ["overflow"], ["half-line"], ["echo"], ["pause"]], ids="-".join
)
@pytest.mark.parametrize("piece", [1, 4096])
def test_a_rad_pro_is_read_rightly_under_every_fault(faults, piece):
    device = RadPro(3, 20, faults=faults)
    bench = measured("radpro", device, {"every_s": 2.0}, piece=piece)
    assert bench.studies
    for study in bench.studies:
        assert 110 <= float(values(study)["rate lowest"]) <= float(values(study)["rate highest"]) <= 180
        assert ("sensitivity" in values(study)) == ("old-firmware" not in faults)
    assert device.forbidden == []
    assert all(line.startswith(b"GET ") for line in bench.sent.split(b"\r\n") if line)


def test_a_counter_that_knows_no_device_id_is_a_stranger():
    class Deaf(Printed):
        def feed(self, data, now):
            return b"ERROR\r\n"

    bench = measured("radpro", Deaf(), until=100.0)
    assert [fault.code for fault in bench.faults] == ["stranger"]
    assert bench.studies == []


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["gmc", "radex", "radpro"]), st.lists(st.binary(max_size=60), max_size=30))
def test_whatever_answers_only_reading_commands_are_sent(driver, said):
    bench = Bench(driver, {"history": "once"} if driver == "gmc" else None)
    for data in said:
        bench.wait(1.5)
        bench.feed(data)
    bench.wait(100.0)
    if driver == "radex":
        asked = {bench.sent[at + 12 : at + 16] for at in range(0, len(bench.sent), 18)}
        assert asked <= {b"\x01\x00\x0c\x00", b"\x00\x08\x0c\x00"}
    elif driver == "radpro":
        assert all(line.startswith(b"GET ") for line in bench.sent.split(b"\r\n") if line)
    else:
        names = {word.rpartition(b"<")[2][:4] for word in bench.sent.split(b">>") if word}
        assert names <= {b"GETV", b"GETS", b"GETC", b"GETD", b"SPIR", b"HEAR"}
