"""The AT engine against transcripts: what modems say, however it is cut, broken and mixed."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.modems import at
from node.modems.at import Change, Command, Engine, Idle, Mode, Pause, Say
from node.modems.faults import CallFailed, CmeError, CommandFailed, Garbled, ModemReset, NoAnswer, Policy, policy_of
from wire.errors import Misuse

CSQ = Command("AT+CSQ", claims=r"\+CSQ:")
READ = Command("AT+CIPRXGET=2,9", claims=r"\+CIPRXGET: ?2,", raw=lambda line: int(line.split(",")[1]))
SEND = Command("AT+CIPSEND=3", payload=b"abc", finals=r"DATA ACCEPT: ?\d+$|SEND OK$", failures="SEND FAIL$")


class Desk:
    """Runs scripts; keeps what they got and what went on the line."""

    def __init__(self, *steps, engine=None):
        self.got, self.sent, self.heard = [], b"", b""
        self.engine = engine or Engine(urcs=("CLOSED", "+CIPRXGET: 1"), sink=self._hear)
        self.engine.start(self._script(steps), 0.0)
        self._take()

    def _hear(self, data):
        self.heard += data

    def _script(self, steps):
        for step in steps:
            try:
                self.got.append((yield step))
            except at.AtFault as fault:
                self.got.append(fault)

    def _take(self):
        self.sent += self.engine.output()

    def feed(self, data, now=0.0, size=None):
        for piece in [data] if size is None else [data[i : i + size] for i in range(0, len(data), size)]:
            self.engine.feed(piece, now)
            self._take()
        return self

    def tick(self, now):
        self.engine.tick(now)
        self._take()
        return self


def test_an_answer_is_lines_and_a_final_result():
    desk = Desk(CSQ).feed(b"AT+CSQ\r\r\n+CSQ: 15,99\r\n\r\nOK\r\n")
    assert desk.sent == b"AT+CSQ\r"
    (reply,) = desk.got
    assert (reply.lines, reply.final) == (("+CSQ: 15,99",), "OK")
    assert desk.engine.is_idle


def test_an_sms_that_splits_reply_and_ok_is_no_part_of_the_reply():
    desk = Desk(CSQ, Pause(1)).feed(b'\r\n+CSQ: 15,99\r\n\r\n+CMTI: "SM",3\r\n\r\nOK\r\n')
    assert desk.got[0].lines == ("+CSQ: 15,99",)
    assert desk.engine.take_urcs() == ['+CMTI: "SM",3']


def test_the_same_prefix_is_an_answer_or_unsolicited_by_its_form():
    ask = Command("AT+CREG?", claims=r"\+CREG: ?\d, ?\d")
    desk = Desk(ask, Pause(1)).feed(b'\r\n+CREG: 1,"1A2B","00C3"\r\n\r\n+CREG: 2,5\r\n\r\nOK\r\n')
    assert desk.got[0].lines == ("+CREG: 2,5",)
    assert desk.engine.take_urcs() == ['+CREG: 1,"1A2B","00C3"']


def test_a_fact_after_ok_in_the_same_breath_is_not_missed():
    connect = Command("", finals="CONNECT OK$|ALREADY CONNECT$", failures="CONNECT FAIL$", timeout_s=75)
    desk = Desk(Command("AT+CIPSTART=1"), connect).feed(b"\r\nOK\r\n\r\nCONNECT OK\r\n")
    assert desk.got[1].final == "CONNECT OK"
    desk = Desk(Command("AT+CIPSTART=1"), connect).feed(b"\r\nOK\r\n").feed(b"\r\nCONNECT FAIL\r\n", 60.0)
    assert isinstance(desk.got[1], CommandFailed)


def test_an_address_alone_is_a_final_result():
    desk = Desk(Command("AT+CIFSR", finals=r"\d+\.\d+\.\d+\.\d+$")).feed(b"\r\n10.1.2.3\r\n")
    assert desk.got[0].final == "10.1.2.3"


@pytest.mark.parametrize("size", [None, 1, 2, 3])
def test_raw_bytes_that_look_like_anything_are_raw_bytes(size):
    raw = b"\r\nOK\r\nERROR\r\n> +CME ERROR: 3\r\nCLOSED\r\n\x00\xff\r\r\n\n"
    answer = b"\r\n+CIPRXGET: 2,%d,0\r\n%b\r\nOK\r\n" % (len(raw), raw)
    desk = Desk(READ).feed(answer, size=size)
    assert desk.got[0].raw == raw


def test_raw_bytes_that_begin_with_a_line_feed_keep_it():
    desk = Desk(READ).feed(b"\r\n+CIPRXGET: 2,3,0\r\n\n\n\n\r\nOK\r\n", size=1)
    assert desk.got[0].raw == b"\n\n\n"


def test_nothing_waits_and_no_raw_bytes_follow():
    desk = Desk(READ).feed(b"\r\n+CIPRXGET: 2,0,0\r\n\r\nOK\r\n")
    assert desk.got[0].raw == b""


@pytest.mark.parametrize("lost", [1, 2, 3, 5, 6, 7, 20])
def test_bytes_lost_from_a_binary_answer_never_give_a_wrong_one(lost):
    raw = bytes(range(65, 95))
    desk = Desk(READ).feed(b"\r\n+CIPRXGET: 2,30,0\r\n" + raw[lost:] + b"\r\nOK\r\n").tick(10.0)
    assert isinstance(desk.got[0], Garbled | NoAnswer)
    assert desk.engine.mode is Mode.LINE


@pytest.mark.parametrize("size", [None, 1])
def test_the_payload_goes_out_when_the_prompt_comes_and_not_before(size):
    desk = Desk(SEND)
    assert desk.sent == b"AT+CIPSEND=3\r"
    desk.feed(b"AT+CIPSEND=3\r\r\n\r\nCLOSED\r\n\r\n", size=size)
    assert not desk.sent.endswith(b"abc")
    desk.feed(b"> ", size=size)
    assert desk.sent == b"AT+CIPSEND=3\rabc"
    desk.feed(b"\r\nDATA ACCEPT:2\r\n", size=size)
    assert desk.got[0].final == "DATA ACCEPT:2"
    assert desk.engine.mode is Mode.LINE


@pytest.mark.parametrize("at_byte", range(len(b"\r\nSHUT OK\r\n")))
def test_an_answer_that_an_unsolicited_line_has_torn_anywhere_is_whole(at_byte):
    answer, urc = b"\r\nSHUT OK\r\n", b'\r\n+CMTI: "SM",3\r\n'
    desk = Desk(Command("AT+CIPSHUT", finals="SHUT OK$", timeout_s=65), Pause(1))
    desk.feed(answer[:at_byte] + urc + answer[at_byte:])
    assert desk.got[0].final == "SHUT OK"
    assert desk.engine.take_urcs() == ['+CMTI: "SM",3']


def test_a_prompt_may_be_a_line():
    write = Command("AT+SBDWB=2", payload=b"hi\x00\xd1", prompt="READY", claims=r"\d$", failures=r"[123]$")
    desk = Desk(write).feed(b"\r\nREADY\r\n")
    assert desk.sent.endswith(b"hi\x00\xd1")
    desk.feed(b"\r\n0\r\n\r\nOK\r\n")
    assert desk.got[0].lines == ("0",)


def size_of_message(data):
    if data[:1] and data[0] > 7:
        return 0
    return None if len(data) < 2 else 2 + int.from_bytes(data[:2], "big") + 2


@pytest.mark.parametrize("before", [b"", b"AT+SBDRB\r", b"\r\nSBDRING\r\n", b"AT+SBDRB\r\r\nSBDRING\r\n"])
@pytest.mark.parametrize("size", [None, 1])
def test_a_binary_answer_may_come_without_a_line(before, size):
    message = b"\x00\x05\r\nOK\r\x00\xbd"
    engine = Engine(urcs=("SBDRING",))
    desk = Desk(Command("AT+SBDRB", binary=size_of_message), Pause(1), engine=engine)
    desk.feed(before + message + b"\r\nOK\r\n", size=size)
    assert desk.got[0].raw == message
    assert engine.take_urcs() == ["SBDRING"] * before.count(b"SBDRING")


def test_a_prompt_that_is_refused_and_one_that_never_comes():
    assert isinstance(Desk(SEND).feed(b"\r\nERROR\r\n").got[0], CommandFailed)
    assert isinstance(Desk(SEND).feed(b"\r\n+CME ERROR: 3\r\n").got[0], CmeError)
    desk = Desk(SEND).tick(4.9)
    assert desk.got == []
    assert isinstance(desk.tick(5.0).got[0], NoAnswer)
    assert desk.engine.mode is Mode.LINE
    assert isinstance(Desk(SEND).feed(b"\r\nSEND OK\r\n").got[0], Garbled), "an answer to what was not sent yet"


def test_a_late_ok_of_the_last_command_is_not_the_answer_of_this_one():
    assert isinstance(Desk(CSQ).feed(b"\r\nOK\r\n").got[0], Garbled)
    assert Desk(Command("AT", claims="x", is_optional=True)).feed(b"\r\nOK\r\n").got[0].final == "OK"


@pytest.mark.parametrize(
    ("final", "kind", "policy"),
    [
        (b"ERROR", CommandFailed, Policy.GIVE_UP),
        (b"+CME ERROR: 14", CmeError, Policy.WAIT),
        (b"+CME ERROR: SIM busy", CmeError, Policy.WAIT),
        (b"+CME ERROR: 16", CmeError, Policy.PERSON),
        (b"+CME ERROR: 9999", CmeError, Policy.GIVE_UP),
        (b"+CME ERROR: \xb2", CommandFailed, Policy.GIVE_UP),
        (b"+CMS ERROR: 500", CommandFailed, Policy.GIVE_UP),
        (b"NO CARRIER", CallFailed, Policy.WAIT),
        (b"BUSY", CallFailed, Policy.WAIT),
    ],
)
def test_what_means_no_and_what_to_do_about_it(final, kind, policy):
    fault = Desk(Command("AT+X")).feed(b"\r\n" + final + b"\r\n").got[0]
    assert type(fault) is kind
    assert policy_of(fault) is policy
    assert "AT+X" in str(fault)


def test_an_error_number_has_a_name():
    fault = Desk(Command("AT+CPIN=1")).feed(b"\r\n+CME ERROR: 16\r\n").got[0]
    assert "wrong PIN" in str(fault)
    assert "configuration" in fault.advice


def test_a_free_answer_is_any_line_but_echo_and_unsolicited():
    model = Command("AT+CGMM", is_free=True)
    desk = Desk(model).feed(b"T+CGMM\r\r\nAT+CGM\r\n\r\n*PSUTTZ: 26,11\r\n\r\nSIMCOM_SIM800L\r\n\r\nOK\r\n")
    assert desk.got[0].lines[-1] == "SIMCOM_SIM800L"
    assert "*PSUTTZ: 26,11" not in desk.got[0].lines


def test_a_restart_ends_the_command_when_all_was_set_up():
    desk = Desk(CSQ)
    desk.engine.is_settled = True
    desk.feed(b"\xff\x00\xf0\r\nRDY\r\n")
    assert isinstance(desk.got[0], ModemReset)
    assert not desk.engine.is_settled


def test_a_banner_while_it_starts_is_no_surprise():
    desk = Desk(CSQ).feed(b"\r\nRDY\r\n\r\n+CFUN: 1\r\n\r\n+CSQ: 1,0\r\n\r\nOK\r\n")
    assert desk.got[0].lines == ("+CSQ: 1,0",)


def test_the_last_words_of_booting_are_a_restart_only_a_minute_later():
    for late, kind in ((at.BOOT_S - 1, at.Reply), (at.BOOT_S + 1, ModemReset)):
        desk = Desk(CSQ)
        desk.engine.is_settled = True
        desk.feed(b"\r\nSMS Ready\r\n", late).feed(b"\r\n+CSQ: 1,0\r\n\r\nOK\r\n", late)
        assert isinstance(desk.got[0], kind)


def test_a_call_is_transparent_until_it_ends():
    dial = Command("ATD123", finals="CONNECT(?! FAIL)", connects=True, timeout_s=60)
    desk = Desk(dial, Say(b"hello"), Idle(100)).feed(b"\r\nCONNECT 9600\r\n\n\x00data\r\nNO CARRIER\r\nmore", 5.0)
    assert (desk.sent, desk.heard) == (b"ATD123\rhello", b"\n\x00data\r\nNO CARRIER\r\nmore")
    desk.tick(6.0)
    assert desk.engine.mode is Mode.TRANSPARENT, "it was the far end's data"
    desk.feed(b"x\r\nNO CARR", 7.0).feed(b"IER\r\n", 7.1)
    assert desk.engine.deadline() == pytest.approx(7.1 + at.END_SILENCE_S)
    desk.tick(7.7)
    assert isinstance(desk.got[-1], CallFailed)
    assert desk.engine.mode is Mode.LINE


def test_carrier_detect_ends_a_call():
    desk = Desk(Command("ATD1", finals="CONNECT", connects=True), Idle(100)).feed(b"\r\nCONNECT\r\n")
    desk.engine.carrier_lost(1.0)
    assert isinstance(desk.got[-1], CallFailed)
    desk.engine.carrier_lost(2.0)


def test_a_call_is_left_by_plus_plus_plus():
    steps = Command("ATD1", finals="CONNECT", connects=True), Pause(1.1), Command("+++", ending=b""), Command("ATH")
    desk = Desk(*steps).feed(b"\r\nCONNECT\r\n", 0.0).tick(1.1)
    assert desk.sent == b"ATD1\r+++"
    desk.feed(b"tail of data\r\nOK\r\n", 2.2).feed(b"\r\nOK\r\n", 2.3)
    assert desk.engine.is_idle
    assert desk.sent.endswith(b"ATH\r")


def test_idle_ends_by_a_poke_an_unsolicited_line_or_time():
    desk = Desk(Idle(9), Idle(9), Idle(9), Idle(9))
    desk.engine.poke()
    assert desk.engine.deadline() == 0.0
    assert len(desk.tick(0.0).got) == 1
    desk.feed(b"\r\nCLOSED\r\n", 1.0)
    assert len(desk.got) >= 2
    assert desk.engine.take_urcs() == ["CLOSED"]
    desk.tick(20.0).tick(40.0)
    assert desk.engine.is_idle


def test_a_poke_during_a_command_is_remembered():
    desk = Desk(CSQ, Idle(99))
    desk.engine.poke()
    desk.feed(b"\r\n+CSQ: 1,0\r\n\r\nOK\r\n")
    assert len(desk.got) == 2


def test_every_buffer_is_bounded():
    desk = Desk(Command("AT+CGMM", is_free=True, timeout_s=99), Pause(99))
    desk.feed(b"A" * (at.LINE_SIZE_MAX + 1))
    assert desk.engine.strays == 1
    desk.feed(b"line\r\n" * (at.LINES_MAX + 5) + b"OK\r\n")
    assert len(desk.got[0].lines) == at.LINES_MAX
    desk.feed(b"RING\r\n" * (at.URCS_MAX + 3))
    assert (len(desk.engine.take_urcs()), desk.engine.urcs_lost) == (at.URCS_MAX, 3)
    desk = Desk(READ).feed(b"\r\n+CIPRXGET: 2,%d,0\r\n" % (at.RAW_SIZE_MAX + 1))
    assert isinstance(desk.got[0], Garbled)


def test_what_a_script_left_half_read_is_nothing_to_the_next():
    desk = Desk(READ).feed(b"\r\n+CIPRXGET: 2,3,0\r\nabc")
    desk = Desk(Pause(1.0), engine=desk.engine).feed(b"x").tick(1.0)
    assert desk.got == [at.Reply()]


def test_a_script_that_spins_is_our_defect():
    with pytest.raises(Misuse, match="without waiting"):
        Desk(*itertools.repeat(Say(b""), at.STEPS_MAX + 1))


@pytest.mark.parametrize("cell", sorted(itertools.product(Mode, Change), key=str))
def test_every_cell_of_the_table_of_modes(cell):
    engine = Engine()
    engine.mode = cell[0]
    if cell in at.MODES:
        engine._change(cell[1])
        assert engine.mode is at.MODES[cell]
    else:
        with pytest.raises(Misuse):
            engine._change(cell[1])


TRANSCRIPT = b"\r\n+CSQ: 15,99\r\n\r\nOK\r\n\r\n+CIPRXGET: 2,9,0\r\n\r\nOK\r\n> 9\r\nOK\r\n\r\n> \r\nDATA ACCEPT:3\r\n"


@given(cuts=st.lists(st.integers(0, len(TRANSCRIPT)), max_size=20))
def test_it_is_the_same_however_it_is_cut(cuts):
    desk = Desk(CSQ, READ, SEND)
    edges = [0, *sorted(cuts), len(TRANSCRIPT)]
    for start, end in itertools.pairwise(edges):
        desk.feed(TRANSCRIPT[start:end])
    csq, read, send = desk.got
    assert csq.lines == ("+CSQ: 15,99",)
    assert read.raw == b"\r\nOK\r\n> 9"
    assert send.final == "DATA ACCEPT:3"


LINES = (
    b"\r\n+CSQ: 15,99\r\n",
    b"\r\nOK\r\n",
    b"\r\n+CIPRXGET: 2,4,0\r\n>OK\r",
    b"\r\nOK\r\n",
    b"\r\n> ",
    b"\r\nSEND OK\r\n",
)
URCS = (
    b"\r\nCLOSED\r\n",
    b"\r\nRING\r\n",
    b'\r\n+CMTI: "SM",3\r\n',
    b"\r\n+CREG: 2\r\n",
    b"\r\nUNDER-VOLTAGE WARNNING\r\n",
)


@given(st.lists(st.tuples(st.integers(0, len(LINES)), st.sampled_from(URCS)), max_size=8), st.integers(1, 40))
def test_unsolicited_lines_anywhere_between_lines_change_nothing(urcs, size):
    pieces = [b"".join(urc for at_line, urc in urcs if at_line == number) + line for number, line in enumerate(LINES)]
    desk = Desk(CSQ, READ, SEND, Pause(9)).feed(b"".join(pieces), size=size)
    assert [reply.raw for reply in desk.got[:3]] == [b"", b">OK\r", b""]
    assert desk.got[2].final == "SEND OK"
    assert len(desk.engine.take_urcs()) == sum(at_line < len(LINES) for at_line, _ in urcs)


@given(
    st.lists(
        st.one_of(st.binary(max_size=60), st.sampled_from([*LINES, *URCS, b"RDY\r\n", b"NO CARRIER\r"])), max_size=30
    )
)
def test_no_bytes_raise_anything_and_every_step_ends_by_its_deadline(pieces):
    steps = [
        CSQ,
        READ,
        SEND,
        Command("ATD1", finals="CONNECT", connects=True),
        Idle(5),
        Command("AT+CGMM", is_free=True),
    ]
    desk = Desk(*steps)
    for number, piece in enumerate(pieces):
        desk.feed(piece, number * 0.1)
    for _ in range(len(steps) + 3):
        at_s = desk.engine.deadline()
        if at_s is not None:
            desk.tick(max(at_s, desk.engine.now))
    assert desk.engine.is_idle


def test_a_line_of_an_unknown_kind_tears_no_answer():
    desk = Desk(Command("AT+X"), Command("AT+CGMM", is_free=True), Pause(1))
    desk.feed(b'\r\nO\r\n+XNEW: "unheard of"\r\nK\r\n')
    assert desk.got[0].final == "OK"
    desk.feed(b'\r\nEC25\r\n\r\n+XNEW: "unheard of"\r\n\r\nOK\r\n')
    assert desk.got[1].lines == ("EC25",)
    desk = Desk(Command("AT+CGMM", is_free=True)).feed(b'\r\n+CGMM: "M95"\r\n\r\nOK\r\n')
    assert desk.got[0].lines == ('+CGMM: "M95"',)
