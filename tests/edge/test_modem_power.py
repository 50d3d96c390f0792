"""The supply and the power key of the modem, against the simulated key of a SIM800."""

import builtins

import pytest

from edge.modem_power import PRESS_S, REST_S, KeyPower, RailPower, gpio_pin, modem_power
from hardware.pins import MODEM_POWER
from hardware.simulated.modems.machine import Mode
from hardware.simulated.modems.network import VirtualNetwork
from hardware.simulated.modems.sim800 import Sim800
from wire.errors import UsageError


class Clock:
    """Calls what is due; ticks the modem."""

    def __init__(self, sim):
        self.now, self.due, self.sim = 0.0, [], sim

    def later(self, seconds, call):
        self.due.append((self.now + seconds, call))

    def run(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.now += 0.1
            for at, call in [one for one in self.due if one[0] <= self.now]:
                self.due.remove((at, call))
                call()
            self.sim.tick(self.now)


@pytest.mark.parametrize("was_on", [True, False])
def test_after_two_cycles_of_the_key_the_modem_is_on_whatever_it_was(was_on):
    sim = Sim800(VirtualNetwork())
    clock = Clock(sim)
    clock.run(5)
    if not was_on:
        sim.switch_off(clock.now)
    power = KeyPower(sim.key.set, clock.later)
    power.set(True)
    clock.run(5)
    assert (sim.mode is not Mode.OFF) is was_on, "it was pressed although nothing was to change"
    seen = []
    for _ in range(2):
        power.set(False)
        clock.run(5)
        power.set(True)
        clock.run(8)
        seen.append(sim.mode is Mode.COMMAND)
        if seen[-1]:
            break
    assert seen[-1], "still off after two cycles"
    power.set(False)
    clock.run(0.5)


def test_a_modem_that_answers_begins_the_count_anew():
    presses = []
    power = KeyPower(presses.append, lambda seconds, call: None)
    for _ in range(3):
        power.set(False)
        power.set(True)
        power.set(True)
    assert len(presses) == 6


def test_a_press_lasts_long_enough_and_no_longer():
    levels, calls = [], []
    power = KeyPower(levels.append, lambda seconds, call: calls.append((seconds, call)))
    power.set(False)
    assert levels == [True]
    ((seconds, release),) = calls
    assert seconds == PRESS_S > 1.0
    release()
    assert levels == [True, False]


def test_a_rail_that_was_off_stays_off_long_enough_for_the_modem_to_come_up_again():
    levels, calls = [], []
    power = RailPower(levels.append, lambda seconds, call: calls.append((seconds, call)))
    power.set(True)
    assert levels == [], "the pin was low until now, whatever it was before"
    calls.pop()[1]()
    power.set(True)
    assert levels == [True, True]
    power.set(False)
    power.set(True)
    assert levels == [True, True, False]
    power.set(False)
    power.set(True)
    (first, second), calls[:] = list(calls), []
    assert first[0] == REST_S > 2.0
    first[1]()
    assert levels[-1] is False, "it was switched off once more meanwhile"
    second[1]()
    assert levels[-1] is True
    power.set(False)
    calls.pop()[1]()
    assert levels[-1] is False


def test_the_boards_pin_is_used():
    pins, later = [], lambda seconds, call: None
    assert isinstance(modem_power("rail", later, lambda number: pins.append(number) or print), RailPower)
    assert isinstance(modem_power("key", later, lambda number: pins.append(number) or print), KeyPower)
    assert pins == [MODEM_POWER] * 2
    with pytest.raises(UsageError, match="rail or key"):
        modem_power("magic", print)


def test_a_machine_without_pins_says_so(monkeypatch):
    real = builtins.__import__

    def no_gpio(name, *more, **named):
        if name == "RPi":
            raise ImportError("No module named 'RPi'")
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", no_gpio)
    with pytest.raises(UsageError, match="no pins"):
        gpio_pin(24)
