"""Modem care against the simulated SIM800: SIM, network, clock, speed, and what it tells people."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.simulated.modems.sim import SimCard
from hardware.simulated.modems.sim800 import Sim800
from node.modems import care, gsm, scripted
from node.modems.faults import CallFailed, CmeError, Locked, NetworkLost, NoAnswer, NotAllowed
from node.modems.gsm import Plan
from node.modems.ladder import Failing
from node.modems.quirks import GENERIC, QUIRKS, quirk_of
from node.modems.scripted import POWER_OFF_S, Hands
from node.modems.seam import ModemState
from tests.node.modems.conformance.entries import socket_driver
from tests.node.modems.conformance.rig import Ears, Rig


def rig_of(*faults, plan=None, card=None, seed=1):
    def make_sim(network, knobs, number):
        return Sim800(network, knobs, number, card=card)

    return Rig(make_sim, socket_driver("auto", "udp", plan or Plan(apn="internet")), faults, seed)


def sent(rig):
    return b"".join(data for _, way, data in rig.talk if way == ">")


def test_the_status_says_all_that_people_want_to_know():
    status = rig_of().open().until_up(60).driver.status()
    assert (status.state, status.model, status.operator) == (ModemState.UP, "SIMCOM_SIM800L", "Feldsher Mobile")
    assert (status.signal_dbm, status.is_roaming, status.trouble) == (-79, False, "")


def test_the_network_time_is_right_and_goes_on():
    rig = rig_of().open().until_up(60)
    for _ in range(3):
        right_ms = (rig.sim.coverage.time_at_zero_s + rig.now) * 1000
        rig.driver.tick(rig.now)
        assert abs(rig.driver.status().network_time_ms - right_ms) < 2000
        rig.run(100)


def test_a_clock_that_was_never_set_is_no_network_time():
    assert rig_of("clock-wrong").open().until_up(60).driver.status().network_time_ms is None


@pytest.mark.parametrize(
    ("line", "is_utc", "time_ms"),
    [
        ('+CCLK: "26/11/21,22:05:07+04"', False, 1795295107000),
        ('+CCLK: "26/11/21,22:05:07+04"', True, 1795298707000),
        ('+CCLK: "26/11/21,22:05:07-32"', False, 1795327507000),
        ('+CCLK: "04/01/01,00:00:22+00"', False, None),
        ('+CCLK: "80/01/06,00:00:22+00"', False, None),
        ('+CCLK: "70/01/01,00:00:22"', False, None),
        ('+CCLK: "26/13/21,22:05:07+04"', False, None),
        ('+CCLK: "26/11/21,22:05:07+99"', False, None),
        ("+CCLK: nonsense", False, None),
    ],
)
def test_a_clock_line_is_read_with_its_quarter_hours(line, is_utc, time_ms):
    assert gsm.time_ms_of(line, is_utc=is_utc) == time_ms


@given(st.text(max_size=60))
def test_no_clock_line_raises(text):
    gsm.time_ms_of("+CCLK: " + text, is_utc=False)


# SIM


def test_a_pin_opens_the_sim_and_is_said_once():
    rig = rig_of(plan=Plan(apn="internet", pin="4321"), card=SimCard("4321")).open().until_up(60)
    assert sent(rig).count(b"4321") == 1
    assert rig.notes.text == ""


def test_a_wrong_pin_is_tried_once_in_the_life_of_the_sim():
    card = SimCard("4321")
    rig = rig_of(plan=Plan(apn="internet", pin="1111"), card=card).open()
    for _ in range(6):
        rig.run(1000)
        rig.unplug().run(5)
    status = rig.driver.status()
    assert card.wrong_tries == 1
    assert rig.ears.ups == 0
    rig.open().run(60)
    status = rig.driver.status()
    assert status.state is ModemState.LOCKED
    assert "pin" in status.trouble.lower()
    assert "1111" not in status.trouble


@pytest.mark.parametrize(
    ("knob", "card", "words"),
    [
        ("sim-absent", None, "no SIM"),
        ("sim-puk", None, "telephone with its PUK"),
        ("no-echo", SimCard("4321"), "set pin="),
    ],
)
def test_what_a_person_must_do_about_the_sim_is_said(knob, card, words):
    rig = rig_of(knob, card=card).open()
    rig.run(200)
    status = rig.driver.status()
    assert status.state is ModemState.LOCKED
    assert words in status.trouble
    assert rig.sim.rail.cuts == 0, "the supply is cut for what only a person can mend"


def test_a_sim_that_is_put_in_later_is_found():
    card = SimCard()
    rig = rig_of("sim-absent", card=card).open()
    rig.run(100)
    assert rig.driver.status().state is ModemState.LOCKED
    card.is_there = True
    rig.until_up(2 * care.LOCKED_S)


def test_a_busy_sim_is_waited_for():
    rig = rig_of("sim-busy=15").open().until_up(60)
    assert rig.sim.rail.cuts == 0


# Network


def test_a_foreign_network_is_used_only_where_its_price_is_allowed():
    rig = rig_of("roaming").open()
    rig.run(300)
    status = rig.driver.status()
    assert rig.ears.ups == 0
    assert "roaming=yes" in status.trouble
    assert rig.sim.rail.cuts == 0
    assert b"CSTT" not in sent(rig), "a foreign network was asked for an address"
    rig = rig_of("roaming", plan=Plan(apn="internet", roaming=True)).open().until_up(60)
    assert rig.driver.status().is_roaming


def test_a_network_that_refuses_us_is_not_besieged():
    rig = rig_of("denied").open()
    rig.run(3600)
    assert "refuses this SIM" in rig.driver.status().trouble
    assert rig.sim.rail.cuts == 0
    assert sent(rig).count(b"AT+CPIN?") < 30


def test_no_network_climbs_the_ladder_and_rests_longer_each_time():
    rig = rig_of("no-network").open()
    rig.run(7200)
    assert "no network found" in rig.driver.status().trouble
    assert 1 <= rig.sim.rail.cuts < 20
    assert b"AT+CFUN=0" in sent(rig)


def test_a_late_network_is_waited_for():
    rig = rig_of("slow-search=80").open().until_up(120)
    assert b"AT+CFUN=0" not in sent(rig)


def test_a_network_that_is_lost_and_found_again():
    rig = rig_of().open().until_up(60)
    rig.sim.lose_network(rig.now)
    assert rig.run(120, lambda: rig.ears.downs == 1)
    rig.run(100)
    rig.sim.find_network(rig.now)
    rig.until_up(300)


# Speed, restart


@pytest.mark.parametrize("baud", [9600, 19200, 57600])
def test_a_modem_at_another_speed_is_found_and_brought_to_ours_for_good(baud):
    rig = rig_of(f"baud={baud}").open().until_up(90)
    assert rig.sim.baud == rig.sim.host_baud == 115_200
    assert b"AT+IPR=115200" in sent(rig)
    assert b"AT&W" in sent(rig)


def test_a_modem_that_restarts_is_set_up_anew_at_once():
    rig = rig_of().open().until_up(60)
    rig.run(100)
    rig.sim.restart(rig.now)
    assert rig.run(20, lambda: rig.ears.downs == 1)
    assert "restarted" in rig.driver.status().trouble
    rig.until_up(60)
    assert rig.sim.rail.cuts == 0


def test_a_success_starts_the_ladder_anew():
    rig = rig_of("connect-fails").open().until_up(120)
    rig.far.is_echoing = True
    rig.send(b"x")
    rig.run(5)
    assert rig.driver.ladder.failures == 0


def test_a_gateway_that_is_down_for_a_day_costs_no_power_cycle():
    rig = Rig(Sim800, socket_driver("auto", "tcp"))
    rig.network._listeners.clear()
    rig.open().run(86_400)
    assert rig.ears.ups == 0
    assert rig.sim.rail.cuts == 0
    assert "CONNECT FAIL" in rig.driver.status().trouble
    assert sent(rig).count(b"CIPSTART") < 1000


# Facts


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (NoAnswer("x"), Failing.MODEM),
        (CallFailed("x"), Failing.FAR),
        (NetworkLost("x"), Failing.NETWORK),
        (CmeError("x", 30), Failing.NETWORK),
        (CmeError("x", 133), Failing.PERSON),
        (NotAllowed("x", "y"), Failing.PERSON),
        (Locked("x", "y"), Failing.PERSON),
    ],
)
def test_each_fault_has_its_ladder(fault, failing):
    assert care.failing_of(fault) is failing


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("SIMCOM_SIM800L", "sim800"),
        ("SIMCOM_SIM900", "sim800"),
        ("SIM808 R14.18", "sim800"),
        ("SIMCOM_SIM7600E-H", "simcom"),
        ("A7670E-LASE", "simcom"),
        ("EC25", "quectel"),
        ("BG96", "quectel"),
        ("EG91", "quectel"),
        ("M95", "quectel"),
        ("HUAWEI MU709", ""),
        ("SIMCOM_SIM7000E", ""),  # its sockets are those of the SIM800, and of the SIM7080 others again: neither tried
        ("SIM7080", ""),
        ("", ""),
    ],
)
def test_a_model_is_known_by_its_name(model, kind):
    assert quirk_of(model).kind == kind


def test_a_model_that_nobody_knows_gets_what_the_standard_says():
    assert quirk_of("none such") is GENERIC
    assert GENERIC not in QUIRKS


def test_a_password_is_in_no_message():
    plan = Plan(apn="internet", user="u", password="hush", pin="4321")  # noqa: S106 - it is the test's own
    assert "hush" not in repr(plan)
    assert "4321" not in repr(plan)
    rig = rig_of("cme-error=CSTT:3@*", plan=plan).open()
    rig.run(300)
    assert "AT+CSTT" in rig.driver.status().trouble
    assert "hush" not in rig.driver.status().trouble


# Supply


class Switched:
    """A supply that notes when it was switched, and how."""

    def __init__(self):
        self.now, self.said = 0.0, []

    def set(self, on):
        if not self.said or self.said[-1][1] is not on:
            self.said.append((self.now, on))


def missing_for(driver, power, seconds):
    """Say every five seconds that the line is not there, as the shell of a line does."""
    for _ in range(round(seconds / 5)):
        driver.missing(power.now)
        while (at := driver.deadline()) is not None and at <= power.now + 5:
            power.now = at
            driver.tick(at)
        power.now = (power.now // 5 + 1) * 5


def driver_with(power):
    hands = Hands(bytes, power=power)
    return socket_driver("auto", "udp", Plan(apn="internet"))(Ears(), hands)


def test_a_line_that_is_not_there_has_its_modem_switched_on_then_off_and_on_ever_less_often():
    power = Switched()
    driver = driver_with(power)
    missing_for(driver, power, 24 * 3600)
    assert power.said[0] == (0.0, True)
    cuts = [at for at, on in power.said if not on]
    assert cuts[0] == scripted.MISSING_S
    gaps = [after - before for before, after in pairwise(cuts)]
    assert gaps == sorted(gaps)
    assert gaps[-1] <= scripted.MISSING_S_MAX + 10
    assert all(after[0] - before[0] == POWER_OFF_S for before, after in pairwise(power.said) if after[1])
    driver.hang_up(power.now)
    assert power.said[-1] == (power.now, False), "nobody wants it any more"


def test_a_modem_that_does_not_come_to_its_farewell_is_switched_off_all_the_same():
    power = Switched()
    driver = driver_with(power)
    driver.open(0.0)
    driver.hang_up(3.0)
    driver.lost(4.0)
    assert [on for _, on in power.said] == [True, False]


def test_a_line_that_comes_back_is_used_at_once_where_no_supply_is_in_our_hands():
    driver = socket_driver("auto", "udp", Plan(apn="internet"))(Ears(), Hands(bytes))
    missing_for(driver, Switched(), 300)
    assert driver.deadline() is None
    driver.open(300.0)
    assert driver.output() == b"AT\r"
