"""Iridium end to end in virtual time: whatever modem, sky and ground do, each summary is at the gateway once."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.simulated.modems.iridium9602 import SESSION_W
from node.modems.sbd import SESSION_S_MAX, SESSIONS_PER_HOUR_MAX, SbdPlan
from node.modems.seam import ModemState
from tests.gateway.orbit import Orbit

HOUR_S = 3600.0
ALONE = [
    "delivered-but",
    "delivered-but=18@3",
    "delivered-but=18@40%",
    "mo-status=18",
    "mo-status=32@1",
    "mo-status=36",
    "mo-status=12",
    "mo-status=14@2",
    "mo-status=13@50%",
    "traffic-management",
    "ring-in-ready",
    "ring-in-ready@*",
    "mt-checksum",
    "mt-checksum@2",
    "mt-checksum=@50%",
    "mt-repeated",
    "mt-lost",
    "slow-session",
    "no-view=60:120",
    "one-byte",
    "echo",
    "urc-inside=1@50%",
    "urc-inside=9@50%",
    "urc-between@*",
    "urc-in-data=1@40%",
    "lost-final=SBDIX",
    "lost-final=SBDWB",
    "lost-final=SBDRB",
    "late-final=SBDIX:8",
    "late-final=SBDD0:3",
    "hang=SBDIX",
    "restart=SBDIX",
    "restart=SBDWB",
    "restart=SBDRB",
    "vanish=SBDIX:20",
    "boot-garbage=40",
    "slow-boot",
    "baud=9600",
    "lost-bytes=1",
    "cme-error=SBDMTA",
    "cme-error=SBDD0",
    "dead-start",
]
GROUND = ["mo-twice@*", "mo-late=600", "mo-broken", "mo-in-pieces", "mt-status=-5", "mt-status=-6", "mt-silent"]


def payload(size, seed=1):
    return random.Random(seed).randbytes(size)


def sent(orbit, sizes=(400, 60)):
    """Bring summaries through, one after the other; return what must be at the gateway."""
    orbit.open()
    there = {}
    for number, size in enumerate(sizes):
        data = payload(size, number)
        there[orbit.summary(data)] = data
        orbit.run(12 * HOUR_S, lambda: orbit.is_done)
    return there


def check(orbit, there):
    assert orbit.at_host.done == there, orbit.tail()
    assert orbit.is_done, orbit.tail()
    assert orbit.at_host.finishes == len(there)
    assert orbit.ears.wrong == []


def test_a_summary_and_its_receipt_cold_and_resumed():
    """The figures of docs/decisions/0100: credits of 50 bytes, sessions, minutes."""
    orbit = Orbit()
    there = sent(orbit, (330,))
    cold = orbit.sim.meter.credits
    took = orbit.now
    data = payload(330, 9)
    there[orbit.summary(data)] = data
    began = orbit.now
    orbit.run(HOUR_S, lambda: orbit.is_done)
    check(orbit, there)
    resumed = orbit.sim.meter.credits - cold
    assert (cold, resumed) == (14, 10)
    assert took < 180
    assert orbit.now - began < 120
    status = orbit.driver.status()
    assert status.credits == orbit.sim.meter.credits
    assert status.sessions == orbit.sim.meter.sessions
    assert status.imei == orbit.sim.imei
    assert abs(status.network_time_ms / 1000 - orbit.ground.clock_s(orbit.now)) < 1
    orbit.run(24 * HOUR_S)
    assert orbit.sim.meter.sessions == status.sessions, "what has its receipt is not spoken of again"


@pytest.mark.parametrize("knob", ALONE)
def test_one_fault_of_the_modem(knob):
    orbit = Orbit(knob)
    check(orbit, sent(orbit))


@pytest.mark.parametrize("knob", GROUND)
def test_one_fault_of_the_ground(knob):
    orbit = Orbit(ground=(knob,))
    check(orbit, sent(orbit))


def test_without_rings_the_answers_are_looked_for():
    orbit = Orbit(rings=False)
    check(orbit, sent(orbit))
    assert not any(b"SBDIXA" in data for _, _, data in orbit.talk)


@pytest.mark.parametrize("seconds", [6, 12, 30, 45])
def test_a_kit_that_restarts_between_write_and_receipt(seconds):
    orbit = Orbit()
    data = payload(500)
    there = {orbit.summary(data): data}
    orbit.open()
    orbit.run(seconds)
    orbit.start_kit()
    orbit.run(12 * HOUR_S, lambda: orbit.is_done)
    check(orbit, there)


@pytest.mark.parametrize("seed", range(4))
def test_a_line_that_loses_a_byte_in_a_hundred_and_a_modem_that_boots_slowly(seed):
    """A power cycle that waits too little before it asks would be followed by the next, for ever."""
    orbit = Orbit("slow-boot", "lost-bytes=1", seed=seed)
    orbit.open()
    data = payload(150)
    there = {orbit.summary(data): data}
    orbit.run(7 * 24 * HOUR_S, lambda: orbit.is_done)
    check(orbit, there)


def test_a_gateway_that_restarts_in_between():
    orbit = Orbit()
    there = sent(orbit, (100,))
    orbit.start_gateway()
    data = payload(300, 5)
    there[orbit.summary(data)] = data
    orbit.run(12 * HOUR_S, lambda: orbit.is_done)
    assert orbit.at_host.done == there


def test_a_gateway_that_is_down_is_delivered_to_later():
    orbit = Orbit()
    orbit.end.is_open = False
    data = payload(150)
    there = {orbit.summary(data): data}
    orbit.open()
    orbit.run(900)
    assert orbit.ground.undelivered == 1
    orbit.end.is_open = True
    orbit.run(12 * HOUR_S, lambda: orbit.is_done)
    check(orbit, there)


def test_a_message_that_is_barred_locks_the_modem_and_tells_why():
    orbit = Orbit("mo-status=15@*")
    orbit.summary(payload(100))
    orbit.open()
    orbit.run(600)
    status = orbit.driver.status()
    assert status.state is ModemState.LOCKED
    assert "registered with a provider" in status.trouble
    assert orbit.ears.bearer is None
    orbit.sim.faults.turn_back("mo-status")
    orbit.run(12 * HOUR_S, lambda: orbit.is_done)
    assert orbit.is_done


def test_a_line_that_rings_all_the_time_does_not_empty_the_account():
    orbit = Orbit("urc-between@*")
    there = sent(orbit, (150,))
    before = orbit.sim.meter.credits
    orbit.run(24 * HOUR_S)
    check(orbit, there)
    assert orbit.sim.meter.credits - before <= 24 + 10


def test_under_a_roof_energy_is_bounded_and_the_sky_ends_the_wait():
    orbit = Orbit(rings=False)
    orbit.plan = SbdPlan(rings=False)
    orbit.driver = orbit._make_driver(orbit.ears, orbit)
    orbit.sim.set_signal(0, 0.0)
    there = {orbit.summary(payload(150)): payload(150)}
    orbit.open()
    orbit.run(12 * HOUR_S)
    assert 12 <= orbit.sim.meter.sessions <= 12 * SESSIONS_PER_HOUR_MAX
    assert orbit.sim.meter.sessions * 15 * SESSION_W < 2000, "joules"
    assert "antenna must see the sky" in orbit.driver.status().trouble
    orbit.sim.set_signal(4, orbit.now)
    began = orbit.now
    orbit.run(HOUR_S, lambda: orbit.is_done)
    assert orbit.now - began < 300, "the network is back, and the wait goes on"
    check(orbit, there)


def test_the_modem_is_put_away_before_its_supply_goes():
    orbit = Orbit()
    sent(orbit)
    orbit.hang_up()
    assert orbit.run(15, lambda: orbit.driver.status().state is ModemState.OFF)
    said = [data for _, way, data in orbit.talk if way == ">"]
    assert said[-1] == b"AT*F\r"
    assert not orbit.sim.rail.is_on


def test_a_hang_up_in_the_middle_of_a_session_ends_soon():
    orbit = Orbit("slow-session=55")
    orbit.summary(payload(100))
    orbit.open()
    orbit.run(20)
    orbit.hang_up()
    assert orbit.run(12, lambda: orbit.driver.status().state is ModemState.OFF)


def test_a_bearer_that_is_given_up_is_followed_by_another():
    orbit = Orbit().open()
    orbit.until_up(60)
    orbit.ears.bearer.close()
    assert orbit.run(60, lambda: orbit.ears.ups == 2)
    assert orbit.ears.downs == 1
    data = payload(60)
    there = {orbit.summary(data): data}
    orbit.run(HOUR_S, lambda: orbit.is_done)
    check(orbit, there)


@pytest.mark.parametrize("after_s", [0, 1, 3.5, 4.7, 8, 16, 25])
def test_hanging_up_at_any_time_ends_soon_and_it_can_be_opened_again(after_s):
    orbit = Orbit()
    data = payload(300)
    there = {orbit.summary(data): data}
    orbit.open()
    orbit.run(after_s)
    orbit.hang_up()
    assert orbit.run(15, lambda: orbit.driver.status().state is ModemState.OFF), orbit.tail()
    orbit.run(10)
    orbit.open()
    orbit.run(12 * HOUR_S, lambda: orbit.is_done)
    check(orbit, there)


def test_frames_that_look_like_what_modems_say_go_as_they_are():
    orbit = Orbit(has_power=False).open()
    orbit.until_up(60)
    words = [b"\xff" * 340, b"\r\nOK\r\n", b"SBDRING\r\n" * 30, b"\0" * 9, b"READY", b"AT+SBDRB\r", b"0", b"\r"]
    for word in words:
        orbit.ears.bearer.send(word)
        assert orbit.run(300, lambda: orbit.ears.bearer.room() > 0)
    assert [bytes(one) for one in orbit.ground.delivered][: len(words)] == words
    for word in (*words[1:], b"\xff" * 270):
        orbit.end.outbound.send(orbit.sim.imei, word)
    orbit.run(1800)
    heard = orbit.ears.frames
    assert heard[-len(words) :] == [*words[1:], b"\xff" * 270]


knobs = st.lists(st.sampled_from(ALONE), max_size=3, unique_by=lambda knob: knob.partition("=")[0].partition("@")[0])
ground_knobs = st.lists(st.sampled_from(GROUND), max_size=2, unique=True)
steps = st.lists(st.sampled_from(["summary", "summary", "kit", "gateway", "roof", "sky", "wait"]), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(knobs, ground_knobs, steps, st.integers(0, 1 << 16))
def test_whatever_fails_each_summary_is_there_once_and_nothing_blocks(faults, ground, happens, seed):
    """Any knobs, restarts of both ends, a roof: the gateway holds each summary exactly once, and the driver goes on."""
    orbit = Orbit(*faults, ground=ground, seed=seed, rings=bool(seed % 2))
    chance = random.Random(seed)
    there = {}

    def add():
        data = chance.randbytes(chance.choice((30, 170, 330, 800))) + bytes([len(there)])
        there[orbit.summary(data)] = data

    orbit.open()
    add()
    for step in happens:
        if step in ("roof", "sky"):
            orbit.sim.set_signal(0 if step == "roof" else 4, orbit.now)
        else:
            {"summary": add, "kit": orbit.start_kit, "gateway": orbit.start_gateway, "wait": lambda: None}[step]()
        orbit.run(chance.choice((2, 15, 60, 900)))
    orbit.sim.set_signal(4, orbit.now)
    for _ in range(14 * 24):
        at = orbit.driver.deadline()
        assert orbit.is_done or at is None or at <= orbit.now + max(HOUR_S, SESSION_S_MAX) + 1
        if orbit.run(HOUR_S, lambda: orbit.is_done):
            break
    assert orbit.at_host.done == there, orbit.tail()
    assert orbit.is_done, orbit.tail()
    assert orbit.at_host.finishes == len(there)
    assert orbit.ears.wrong == []
    full = sum(-(-(len(data) + 120) // 50) for data in there.values())
    assert orbit.sim.meter.credits <= 40 * (len(happens) + len(faults) + len(ground) + 2) + 12 * full
