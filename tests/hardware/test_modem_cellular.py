"""SIM, radio, registration, clock and SMS of the simulated cellular modems, and their knobs."""

import pytest

from hardware.simulated.modems.cellular import TEXTS_MAX
from hardware.simulated.modems.coverage import STEPS, Coverage, Reach
from hardware.simulated.modems.quectel import Bg96, Quectel
from hardware.simulated.modems.sim import PUK_TRIES, TRIES, SimCard
from hardware.simulated.modems.sim800 import Sim800
from hardware.simulated.modems.sim7600 import Sim7600
from tests.hardware.modem_bench import virtual
from wire.errors import UsageError

OK = b"\r\nOK\r\n"
EVERY = (Sim800, Sim7600, Quectel, Bg96)


def asked(bench, command):
    """Return the line between the command and its OK."""
    said = bench.at(command, 3.0)
    assert said.endswith(OK), said
    return said[2 : -len(OK) - 2]


@pytest.mark.parametrize("cls", EVERY)
def test_what_every_one_says_of_itself(cls):
    bench, _ = virtual(cls)
    assert asked(bench, "AT+CGMM").decode() == cls.MODEL
    assert asked(bench, "AT+CGSN").decode() == cls.IMEI
    assert cls.FIRMWARE.encode() in asked(bench, "AT+CGMR")
    assert asked(bench, "AT+CIMI") == b"255019012345678"
    assert asked(bench, "AT+CPIN?") == b"+CPIN: READY"
    assert asked(bench, "AT+CREG?") == b"+CREG: 0,1"
    assert asked(bench, "AT+CSQ") == b"+CSQ: 17,0"
    assert asked(bench, "AT+CGATT?") == b"+CGATT: 1"
    assert asked(bench, "AT+COPS?") == b'+COPS: 0,0,"Feldsher Mobile"'
    bench.at("AT+COPS=3,2")
    assert asked(bench, "AT+COPS?") == b'+COPS: 0,2,"25501"'
    assert b"10." in asked(bench, "AT+CGPADDR=1")
    assert cls.MODEL.encode() in bench.at("ATI")


def test_the_clock_is_local_but_a_bg96_gives_utc():
    assert asked(virtual(Sim800)[0], "AT+CCLK?").startswith(b'+CCLK: "26/11/22,00:05:')
    assert asked(virtual(Sim800)[0], "AT+CCLK?").endswith(b'+08"')
    assert asked(virtual(Bg96)[0], "AT+CCLK?").startswith(b'+CCLK: "26/11/21,22:05:')
    assert asked(virtual(Sim800, "clock-wrong")[0], "AT+CCLK?") == b'+CCLK: "04/01/01,00:00:22+00"'


@pytest.mark.parametrize("zone", [-48, -1, 0, 56])
def test_zones_in_quarter_hours(zone):
    said = Coverage(zone_quarters=zone).clock(0.0, is_utc=False)
    assert said[-3:] == f"{zone:+03d}"


# SIM


def test_a_pin_opens_it():
    bench, _ = virtual(Sim800, card=SimCard("1234"))
    assert asked(bench, "AT+CPIN?") == b"+CPIN: SIM PIN"
    assert asked(bench, "AT+CREG?") == b"+CREG: 0,0"
    bench.at("AT+CMEE=1")
    assert bench.at("AT+CIMI") == b"\r\n+CME ERROR: 11\r\n"
    assert bench.at('AT+CPIN="1234"', 2.0) == OK + b"\r\n+CPIN: READY\r\n"
    bench.wait(5.0)
    assert asked(bench, "AT+CREG?") == b"+CREG: 0,1"


def test_three_wrong_pins_lock_it_and_the_puk_opens_it():
    card = SimCard("1234")
    bench, _ = virtual(Sim800, card=card)
    bench.at("AT+CMEE=1")
    assert [bench.at("AT+CPIN=0000") for _ in range(TRIES)] == [
        b"\r\n+CME ERROR: 16\r\n",
        b"\r\n+CME ERROR: 16\r\n",
        b"\r\n+CME ERROR: 12\r\n",
    ]
    assert asked(bench, "AT+CPIN?") == b"+CPIN: SIM PUK"
    assert bench.at("AT+CPIN=1234") == b"\r\n+CME ERROR: 12\r\n"
    assert asked(bench, "AT+SPIC") == b"+SPIC: 0,3,10,10"
    assert bench.at('AT+CPIN="12345678","4321"', 2.0).startswith(OK)
    assert card.tries == TRIES
    assert card.wrong_tries == TRIES


def test_a_card_counts_across_power_cuts():
    card = SimCard("1234")
    bench, _ = virtual(Sim800, card=card)
    for _ in range(2):
        bench.at("AT+CPIN=0000")
        bench.modem.restart(bench.now)
        bench.wait(10.0)
    assert card.tries == 1
    bench.at("AT+CPIN=1234")
    assert card.tries == TRIES
    bench.modem.restart(bench.now)
    bench.wait(10.0)
    assert b"SIM PIN" in bench.at("AT+CPIN?")


def test_ten_wrong_puks_are_the_end():
    card = SimCard("1234", tries=0)
    assert [card.unblock("0", "1") for _ in range(PUK_TRIES)] == [16] * PUK_TRIES
    assert card.trouble == 13
    assert card.unblock("12345678", "1") == 13
    assert not card.state


@pytest.mark.parametrize(
    ("knob", "command", "said"),
    [
        ("sim-absent", "AT+CPIN?", b"\r\n+CME ERROR: 10\r\n"),
        ("sim-absent", "AT+CIMI", b"\r\n+CME ERROR: 10\r\n"),
        ("sim-puk", "AT+CPIN?", b"\r\n+CPIN: SIM PUK\r\n" + OK),
        ("sim-busy=300", "AT+CPIN?", b"\r\n+CME ERROR: 14\r\n"),
        ("denied", "AT+CREG?", b"\r\n+CREG: 0,3\r\n" + OK),
        ("denied", "AT+CSQ", b"\r\n+CSQ: 99,99\r\n" + OK),
        ("denied", "AT+CGATT=1", b"\r\n+CME ERROR: 30\r\n"),
        ("denied", "AT+COPS?", b"\r\n+COPS: 0\r\n" + OK),
        ("roaming", "AT+CREG?", b"\r\n+CREG: 0,5\r\n" + OK),
        ("roaming", "AT+CGATT?", b"\r\n+CGATT: 1\r\n" + OK),
        ("no-network", "AT+CREG?", b"\r\n+CREG: 0,2\r\n" + OK),
        ("slow-search=45", "AT+CREG?", b"\r\n+CREG: 0,2\r\n" + OK),
        ("no-signal", "AT+CSQ", b"\r\n+CSQ: 99,99\r\n" + OK),
        ("attach-fails", "AT+CGATT=1", b"\r\n+CME ERROR: 30\r\n"),
    ],
)
def test_a_knob_of_the_network(knob, command, said):
    bench, _ = virtual(Sim800, knob)
    bench.at("AT+CMEE=1")
    assert bench.at(command, 3.0) == said


def test_sim_busy_is_over_one_day():
    bench, _ = virtual(Sim800, "sim-busy=30")
    assert bench.at("AT+CPIN?") == b"\r\nERROR\r\n"
    assert b"+CPIN: READY" in bench.wait(20.0)


# Registration


@pytest.mark.parametrize("reach", Reach)
@pytest.mark.parametrize("event", ["begin", "found", "lost", "end"])
def test_every_step_of_the_search(reach, event):
    coverage = Coverage(reach=reach)
    assert coverage.step(event) == (STEPS[reach, event] is not reach)


def test_registration_is_told_when_wanted():
    bench, _ = virtual(Sim800)
    for level, tail in (("1", b""), ("2", b',"1A2B","00C3"')):
        bench.at(f"AT+CREG={level}")
        bench.modem.lose_network(bench.now)
        assert bench.wait(0.5) == b"\r\n+CREG: 2\r\n"
        bench.modem.find_network(bench.now)
        assert bench.wait(5.0) == b"\r\n+CREG: 1" + tail + b"\r\n"
    assert asked(bench, "AT+CREG?") == b'+CREG: 2,1,"1A2B","00C3"'
    assert bench.at("AT+CREG=9") == b"\r\nERROR\r\n"


def test_it_flaps():
    bench, _ = virtual(Sim800, "flaps=30:15")
    bench.at("AT+CREG=1")
    said = bench.wait(200.0)
    assert said.count(b"+CREG: 2\r\n") == 5
    assert said.count(b"+CREG: 1\r\n") == 4


def test_flight_mode_and_a_restart():
    bench, _ = virtual(Sim800)
    bench.at("AT+CREG=1")
    assert bench.at("AT+CFUN=4", 2.0) == OK + b"\r\n+CREG: 0\r\n"
    assert asked(bench, "AT+CFUN?") == b"+CFUN: 4"
    assert bench.at("AT+CGATT=1") == b"\r\nERROR\r\n"
    assert b"+CREG: 1" in bench.at("AT+CFUN=1", 10.0)
    assert bench.at("AT+CFUN=7") == b"\r\nERROR\r\n"
    assert b"RDY" in bench.at("AT+CFUN=1,1", 10.0)
    assert bench.modem.boots == 2


def test_contexts_and_what_is_only_remembered():
    bench, _ = virtual(Sim7600)
    assert bench.at('AT+CGDCONT=1,"IP","internet"') == OK
    assert asked(bench, "AT+CGDCONT?") == b'+CGDCONT: 1,"IP","internet","",0,0'
    assert bench.at('AT+CGDCONT=99,"IP","x"') == b"\r\nERROR\r\n"
    assert bench.at("AT+CTZU=1") == OK
    assert asked(bench, "AT+CTZU?") == b"+CTZU: 1"


def test_detached_and_attached_again_it_has_another_address():
    bench, _ = virtual(Sim800)
    before = asked(bench, "AT+CGPADDR=1")
    bench.at("AT+CGATT=0", 2.0)
    assert asked(bench, "AT+CGPADDR=1") == b'+CGPADDR: 1,""'
    bench.at("AT+CGATT=1", 2.0)
    assert asked(bench, "AT+CGPADDR=1") not in {before, b'+CGPADDR: 1,""'}


def test_a_text_is_sent_and_one_is_given_up():
    bench, _ = virtual(Sim800)
    assert bench.at('AT+CMGS="+380501112233"') == b"\r\n+CMS ERROR: 304\r\n"
    bench.at("AT+CMGF=1")
    assert bench.at('AT+CMGS="+380501112233"') == b"\r\n> "
    assert bench.say(b"never sent\x1b") == OK
    assert bench.at('AT+CMGS="+380501112233"') == b"\r\n> "
    assert bench.say(b"help\x1a", 5.0) == b"\r\n+CMGS: 1\r\n" + OK
    assert bench.modem.texts == [("+380501112233", "help")]


def test_texts_are_bounded():
    bench, _ = virtual(Sim800)
    bench.at("AT+CMGF=1")
    for number in range(TEXTS_MAX + 2):
        bench.at("AT+CMGS=1")
        bench.say(b"%d\x1a" % number, 3.0)
    assert len(bench.modem.texts) == TEXTS_MAX
    assert bench.modem.texts[0] == ("1", "2")


def test_a_sim800_that_is_asked_to_tells_the_time():
    bench, _ = virtual(Sim800)
    bench.at("AT+CLTS=1")
    bench.modem.lose_network(bench.now)
    bench.modem.find_network(bench.now)
    said = bench.wait(6.0).split(b"\r\n")
    assert said[1].startswith(b"*PSUTTZ: 2026, 11, 21, 22, 05, ")
    assert said[1].endswith(b', "+8", 0')
    assert said[3::2] == [b"DST: 0", b"+CTZV: +8,0"]


def test_cgact_does_no_harm_elsewhere():
    bench, _ = virtual(Quectel)
    assert bench.at("AT+CGACT=1,1") == OK
    assert bench.at("AT+CGACT?") == b"\r\n+CGACT: 1,1\r\n" + OK


def test_a_bg96_hangs_on_cgact():
    bench, _ = virtual(Bg96)
    assert bench.at("AT+CGACT=1,1", 100.0) == b""
    assert bench.at("AT") == b""


@pytest.mark.parametrize(
    ("cls", "command", "said"),
    [
        (Sim800, "AT+CPOWD=1", b"NORMAL POWER DOWN"),
        (Quectel, "AT+QPOWD=1", b"POWERED DOWN"),
        (Sim7600, "AT+CPOF", b"OK"),
    ],
)
def test_switched_off_it_says_so_and_stays_off(cls, command, said):
    bench, _ = virtual(cls)
    assert said in bench.at(command, 10.0)
    assert bench.at("AT", 30.0) == b""
    bench.modem.rail.set(False)
    bench.wait(1.0)
    bench.modem.rail.set(True)
    assert b"RDY" in bench.wait(20.0)


@pytest.mark.parametrize("spec", ["flaps=0:0", "flaps=30", "flaps=x:y", "flaps=1:-1", "slow-search=nan"])
def test_a_habit_whose_numbers_will_not_do(spec):
    with pytest.raises(UsageError):
        virtual(Sim800, spec)
