"""The machine and the interpreter that all simulated modems share: V.250, supply, boot, baud, and the common knobs."""

import pytest

from hardware.simulated.modems.commands import COMMANDS_MAX, Kind, NoCommand, Request, parse
from hardware.simulated.modems.faults import KNOBS_MAX, Faults
from hardware.simulated.modems.interpreter import FLOW, LINE_SIZE_MAX, AtModem
from hardware.simulated.modems.machine import CTS_SIZE, HELD_URCS_MAX, INPUT_SIZE_MAX, NOISE_SIZE_MAX, Machine, Mode
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.timing import EVENTS_MAX, Agenda, Outlet
from tests.hardware.modem_bench import Bench, dialled, orbital, virtual
from wire.errors import Misuse, UsageError

OK = b"\r\nOK\r\n"
URC = b'\r\n+CMTI: "SM",3\r\n'


def plain(*faults, boots=True, **more):
    bench = Bench(AtModem(faults, **more))
    if boots:
        bench.wait(3.0)
        bench.at("ATE0")
    return bench


# Command lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("E0", [("E", Kind.RUN, "0")]),
        ("e0v1 Q0&c1", [("E", Kind.RUN, "0"), ("V", Kind.RUN, "1"), ("Q", Kind.RUN, "0"), ("&C", Kind.RUN, "1")]),
        ("S0=2&D2S7?", [("S0", Kind.SET, "2"), ("&D", Kind.RUN, "2"), ("S7", Kind.READ, "")]),
        ("+CIFSR;E0", [("+CIFSR", Kind.RUN, ""), ("E", Kind.RUN, "0")]),
        ("+cpin?", [("+CPIN", Kind.READ, "")]),
        ("+CREG=?", [("+CREG", Kind.TEST, "")]),
        ('+CSTT="a;b",""', [("+CSTT", Kind.SET, '"a;b",""')]),
        ("-MSSTM", [("-MSSTM", Kind.RUN, "")]),
        ("*F", [("*F", Kind.RUN, "")]),
        ("DT0088 16;", [("D", Kind.RUN, "T0088 16;")]),
        ("Z;;H", [("Z", Kind.RUN, ""), ("H", Kind.RUN, "")]),
    ],
)
def test_a_line_taken_apart(line, expected):
    assert [(one.name, one.kind, one.text) for one in parse(line)] == expected


@pytest.mark.parametrize("line", ["?", "+", "+CSQ x", "=1", "\xff", "E0" * (COMMANDS_MAX + 1)])
def test_a_line_that_is_none(line):
    with pytest.raises(NoCommand):
        parse(line)


def test_forty_commands_are_taken():
    assert len(parse("E0" * COMMANDS_MAX)) == COMMANDS_MAX


def test_a_text_command_takes_its_semicolons():
    assert parse("+SBDWT=a;b", {"+SBDWT"}) == [Request("+SBDWT", Kind.SET, "a;b")]


def test_arguments():
    request = Request("+X", Kind.SET, '0, "a,b" ,,-7')
    assert request.arguments == ["0", "a,b", "", "-7"]
    assert (request.number(0), request.number(3), request.number(1), request.number(9, 5)) == (0, -7, -1, 5)
    assert request.argument(2, "default") == "default"


# V.250


def test_echo_profile_and_result_codes():
    bench = plain(boots=False)
    bench.wait(3.0)
    assert bench.at("AT") == b"AT\r" + OK
    assert bench.at("ATE0") == b"ATE0\r" + OK
    assert bench.at("ATV0") == b"0\r"
    assert bench.at("AT+NONSENSE") == b"4\r"
    assert bench.at("ATV1") == OK
    assert bench.at("ATQ1") == b""
    assert bench.at("AT") == b""
    assert bench.at("ATZ") == OK
    assert bench.at("AT") == b"AT\r" + OK


def test_at_w_keeps_what_the_supply_takes_otherwise():
    bench = plain()
    assert bench.at("ATS0=3&W") == OK
    bench.at("ATS0=5")
    for kept in ("ATZ", None):
        if kept is None:
            bench.modem.restart(bench.now)
            bench.wait(3.0)
        else:
            bench.at(kept)
        assert bench.at("ATS0?") == b"\r\n003\r\n" + OK
    bench.at("AT&F")
    assert bench.at("ATE0S0?").endswith(b"\r\n000\r\n" + OK)


@pytest.mark.parametrize("command", ["ATS0=256", "ATS99=1", "ATE12", "AT+IPR=12345", "AT" + "E0" * 300])
def test_what_is_refused(command):
    assert plain().at(command) == b"\r\nERROR\r\n"


def test_the_longest_line():
    bench = plain()
    fits = "AT" + " " * (LINE_SIZE_MAX - 3)
    assert bench.at(fits) == OK
    assert bench.at(fits + " ") == b"\r\nERROR\r\n"


def test_backspace_strikes_out_and_what_is_no_command_is_no_command():
    bench = plain()
    assert bench.say(b"ATX\x08\x08T\r") == OK
    assert bench.say(b"hello\r") == b""
    assert bench.say(b"\r\n\r") == b""
    assert bench.say(b"\nAT\r") == OK


def test_an_error_in_a_line_ends_the_line():
    bench = plain()
    assert bench.at("ATE1;+NONSENSE;Q1") == b"\r\nERROR\r\n"
    assert bench.at("AT") == b"AT\r" + OK


def test_what_comes_while_a_command_runs_waits():
    bench, _ = orbital()
    bench.at("ATE0")
    assert bench.say(b"AT+SBDIX\rAT\r", 1.0) == b""
    assert bench.wait(25.0).endswith(b"OK\r\n" + OK)


def test_a_call_being_dialled_is_broken_off_by_any_byte():
    bench, far = dialled()
    assert bench.at("ATD+380441112233", 2.0) == b""
    assert bench.say(b"\r") == b"\r\nNO CARRIER\r\n"
    assert bench.wait(20.0) == b""
    assert b"RING" not in far.heard


def test_escape_wants_silence_before_and_after():
    bench, far = virtual(Sim800)
    online(bench)
    bench.wait(1.1)
    assert bench.say("+++", 0.5) == b""
    assert bench.say("x", 2.0) == b""
    far.poll(bench.now)
    assert far.heard == b"+++x"
    bench.say("y", 0.5)
    assert bench.say("+++", 2.0) == b""
    far.poll(bench.now)
    assert far.heard == b"+++xy+++"


def online(bench):
    for command in ("AT+CIPMODE=1", 'AT+CSTT="x"', "AT+CIICR", "AT+CIFSR"):
        bench.at(command, 2.0)
    assert bench.at('AT+CIPSTART="TCP","203.0.113.5",7000') == OK + b"\r\nCONNECT\r\n"


@pytest.mark.parametrize("pieces", [[b"+++"], [b"+", b"++"], [b"+", b"+", b"+"]])
def test_escape_in_pieces(pieces):
    bench, far = virtual(Sim800)
    online(bench)
    bench.wait(1.1)
    for piece in pieces:
        assert bench.say(piece, 0.1) == b""
    assert bench.wait(1.1) == OK
    assert bench.at("ATO") == b"\r\nCONNECT\r\n"
    bench.say("+x")
    far.poll(bench.now)
    assert far.heard == b"+x"


@pytest.mark.parametrize(("setting", "said", "is_left"), [("0", b"", False), ("1", OK, False), ("2", OK, True)])
def test_dtr_falls(setting, said, is_left):
    bench, far = dialled()
    bench.at(f"AT&D{setting}")
    assert bench.at("ATD+380441112233", 20.0).endswith(b"CONNECT 9600/RLP\r\n")
    assert bench.modem.is_carrier
    bench.modem.set_dtr(False, bench.now)
    assert bench.wait(1.0) == said
    assert bench.modem.has_call() is not is_left
    assert (b"NO CARRIER" in far.heard) is is_left


def test_every_step_that_is_no_step_is_a_defect():
    modem = AtModem()
    modem.tick(0.0)
    for before in Mode:
        for after in Mode:
            modem.mode = before
            if after in FLOW.get(before, ()):
                modem.go(after)
            else:
                with pytest.raises(Misuse):
                    modem.go(after)


# Supply, boot, speed


def test_nothing_is_heard_before_it_has_booted():
    bench = Bench(AtModem())
    assert bench.at("AT", 1.0) == b""
    bench.wait(1.1)
    assert bench.at("AT") == b"AT\r" + OK


def test_without_supply_it_is_silent_and_wants_nothing():
    bench = Bench(AtModem(is_powered=False))
    assert bench.at("AT", 5.0) == b""
    assert bench.modem.deadline() is None
    bench.modem.rail.set(True)
    assert bench.modem.deadline() == bench.now
    bench.wait(2.1)
    assert bench.at("AT") == b"AT\r" + OK
    bench.modem.rail.set(False)
    assert bench.at("AT", 5.0) == b""
    assert bench.modem.boots == 1
    assert bench.modem.rail.cuts == 1


def test_the_key_is_held_for_a_second():
    modem = AtModem(is_powered=False)
    modem.key.is_needed = True
    bench = Bench(modem)
    modem.rail.set(True)
    bench.wait(5.0)
    assert modem.mode is Mode.OFF
    for held_s, boots in ((0.5, 0), (1.1, 1)):
        modem.key.set(True)
        bench.wait(held_s)
        modem.key.set(False)
        bench.wait(3.0)
        assert modem.boots == boots
    modem.key.set(True)
    bench.wait(1.1)
    assert modem.mode is Mode.OFF


def test_bytes_leave_at_the_pace_of_the_line():
    bench = Bench(AtModem(["baud=1200"]))
    bench.wait(3.0)
    bench.modem.feed(b"AT\r", bench.now)
    assert bench.wait(0.024) == b""
    assert bench.wait(0.002) == b"AT\r"


def test_at_the_wrong_speed_nothing_is_right():
    bench = plain("baud=9600")
    bench.modem.host_baud = 115_200
    assert b"OK" not in bench.at("AT")
    bench.modem.host_baud = 9_600
    bench.say("\r")
    assert bench.at("AT") == OK


def test_a_new_speed_holds_after_its_ok():
    bench = plain()
    bench.modem.host_baud = 115_200
    assert bench.at("AT+IPR=9600") == OK
    assert bench.at("AT") != OK
    bench.modem.host_baud = 9_600
    bench.say("\r")
    assert bench.at("AT&W") == OK
    bench.modem.restart(bench.now)
    assert bench.modem.baud == 9_600


def test_autobaud_misses_the_first_at_and_says_no_banner():
    bench, _ = virtual(Sim800, "autobaud", boots=False)
    bench.modem.host_baud = 57_600
    assert bench.wait(20.0) == b""
    assert bench.at("AT") == b"\r"
    assert bench.at("AT") == b"AT\r" + OK
    assert bench.modem.baud == 57_600


def test_what_it_cannot_hold_is_lost_and_cts_says_so():
    bench, _ = orbital()
    bench.at("ATE0")
    assert bench.modem.room() == CTS_SIZE
    bench.say(b"AT+SBDIX\r", 0.5)
    bench.say(b"x" * (INPUT_SIZE_MAX + 100), 0.1)
    assert bench.modem.room() == 0
    assert b"+SBDIX" in bench.wait(30.0)


def test_a_modem_without_work_is_none():
    machine = Machine()
    machine.tick(0.0)
    machine.tick(5.0)
    with pytest.raises(NotImplementedError):
        machine.feed(b"x", 6.0)


# Knobs


@pytest.mark.parametrize(
    "spec", ["nonsense", "cme-error@", "cme-error@x", "lost-final=A@1@2", "one-byte=x", "baud=-1", "", "hang@200%x"]
)
def test_a_knob_that_is_not_well_written(spec):
    with pytest.raises(UsageError):
        AtModem([spec])


def test_so_many_knobs_and_no_more():
    AtModem(["hang=X"] * KNOBS_MAX)
    with pytest.raises(UsageError):
        AtModem(["hang=X"] * (KNOBS_MAX + 1))


@pytest.mark.parametrize(
    ("when", "struck"),
    [("", {1}), ("@1", {1}), ("@3", {3}), ("@3+", {3, 4, 5, 6}), ("@*", {1, 2, 3, 4, 5, 6}), ("@0%", set())],
)
def test_when_a_knob_strikes(when, struck):
    bench = plain(f"cme-error=+CMEE:14{when}")
    got = {number for number in range(1, 7) if bench.at("AT+CMEE=1") != OK}
    assert got == struck


def test_chances_are_drawn_from_the_seed():
    def course(seed):
        bench = plain("cme-error=+CMEE@50%", seed=seed)
        return [bench.at("AT+CMEE=0") for _ in range(20)]

    assert course(1) == course(1)
    assert course(1) != course(2)


def test_a_knob_can_be_turned_and_turned_back_later():
    bench = plain()
    bench.modem.faults.turn("echo")
    assert bench.at("AT") == b"AT\r" + OK
    bench.modem.faults.turn_back("echo")
    assert bench.at("AT") == OK
    assert isinstance(bench.modem.faults, Faults)


def test_no_echo_and_echo():
    bench = Bench(AtModem(["no-echo"]))
    bench.wait(3.0)
    assert bench.at("ATE1") == OK
    assert bench.at("AT") == OK
    assert plain("echo").at("ATE0") == b"ATE0\r" + OK


def test_one_byte_at_a_time():
    bench = plain("one-byte=0.1")
    bench.wait(3.0)
    bench.modem.feed(b"AT\r", bench.now)
    pieces = [bench.wait(0.1) for _ in range(20)]
    assert max(map(len, pieces)) == 1
    assert b"".join(pieces) == OK


@pytest.mark.parametrize("offset", range(20))
def test_an_unsolicited_line_at_every_byte_of_a_reply(offset):
    bench = plain(f"urc-inside={offset}@3")
    reply = b"\r\n003\r\n" + OK
    bench.at("ATS0=3")
    cut = offset % (len(reply) + 1)
    assert bench.at("ATS0?") == reply[:cut] + URC + reply[cut:]


def test_an_unsolicited_line_between_the_lines():
    bench = plain("urc-between@3")
    bench.at("ATS0=3")
    assert bench.at("ATS0?") == b"\r\n003\r\n" + URC + OK


def test_a_result_code_that_is_lost_or_late():
    bench = plain("lost-final=S0@2", "late-final=S7:5")
    bench.at("ATS0=3")
    assert bench.at("ATS0?", 60.0) == b"\r\n003\r\n"
    assert bench.at("AT") == OK
    assert bench.at("ATS7?", 4.9) == b"\r\n060\r\n"
    assert bench.wait(0.2) == OK


def test_a_reply_that_is_lost_was_obeyed():
    bench = plain("lost-reply=S0@1")
    assert bench.at("ATS0=3", 60.0) == b""
    assert bench.at("ATS0?") == b"\r\n003\r\n" + OK


def test_noise_at_the_start_is_bounded():
    bench = Bench(AtModem(["boot-garbage=1000000"]))
    assert len(bench.wait(5.0)) == NOISE_SIZE_MAX


def test_lines_that_waited_for_the_end_of_a_call_are_bounded():
    bench, _ = virtual(Sim800)
    online(bench)
    for number in range(HELD_URCS_MAX + 10):
        bench.modem.urc(b"URC %d" % number, bench.now)
    bench.wait(1.1)
    said = bench.say("+++", 2.0)
    assert said.startswith(OK + b"\r\nURC 10\r\n")
    assert said.count(b"URC") == HELD_URCS_MAX


@pytest.mark.parametrize(("level", "said"), [("0", b"ERROR"), ("1", b"+CME ERROR: 14"), ("2", b"+CME ERROR: SIM busy")])
def test_a_refused_command(level, said):
    bench = plain("cme-error=S0:14@2")
    bench.at(f"AT+CMEE={level}")
    assert bench.at("ATS0=1") == OK
    assert bench.at("ATS0=1") == b"\r\n" + said + b"\r\n"
    assert bench.at("ATS0=1") == OK


def test_it_hangs_until_its_supply_is_cut():
    bench = plain("hang=S0@2")
    bench.at("ATS0=1")
    assert bench.at("ATS0=1", 600.0) == b""
    assert bench.at("AT", 60.0) == b""
    assert bench.modem.mode is Mode.HUNG
    bench.modem.rail.set(False)
    bench.wait(1.0)
    bench.modem.rail.set(True)
    bench.wait(3.0)
    assert bench.at("AT") == b"AT\r" + OK


def test_it_restarts_in_the_middle_of_a_command():
    bench, _ = virtual(Sim800, "restart=CSQ")
    assert b"RDY" in bench.at("AT+CSQ", 10.0)
    assert bench.at("AT") == b"AT\r" + OK


def test_it_vanishes_and_comes_back():
    bench = plain("vanish=S0:7")
    assert bench.at("ATS0=1", 6.9) == b""
    assert not bench.modem.is_present
    assert not bench.modem.is_carrier
    assert bench.at("AT", 0.2) == b""
    assert bench.modem.is_present
    bench.wait(3.0)
    assert bench.at("AT") == b"AT\r" + OK


def test_noise_before_the_banner_and_a_slow_start():
    bench, _ = virtual(Sim800, "boot-garbage=9", "slow-boot=20", boots=False)
    assert bench.wait(22.9) == b""
    said = bench.wait(1.0)
    assert len(said) == 9 + len(b"\r\nRDY\r\n\r\n+CFUN: 1\r\n")
    assert said.endswith(b"\r\nRDY\r\n\r\n+CFUN: 1\r\n")


def test_it_misses_bytes():
    bench = plain("lost-bytes=10")
    said = [bench.at("AT") for _ in range(200)]
    assert 40 < said.count(OK) < 180


def test_events_are_bounded():
    agenda = Agenda()
    for _ in range(EVENTS_MAX):
        agenda.put(1.0, lambda now: None)
    with pytest.raises(Misuse):
        agenda.put(1.0, lambda now: None)


def test_what_has_left_before_the_cut_has_left():
    outlet = Outlet()
    outlet.put(b"a" * 256 + b"b" * 256, 0.0, 9600)
    outlet.cut(0.3)
    assert outlet.take(10.0) == b"a" * 256
