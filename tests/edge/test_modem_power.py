"""The supply and the power key of the modem, against the simulated key of a SIM800."""

import builtins
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.modem_power import PRESS_S, REST_S, KeyPower, RailPower, gpio_pin, modem_power
from hardware.pins import MODEM_POWER
from hardware.simulated.modems.machine import Mode
from hardware.simulated.modems.network import VirtualNetwork
from hardware.simulated.modems.sim800 import Sim800
from wire.errors import UsageError


class Still:
    """A modem that minds no time."""

    def tick(self, now):
        pass


class Board:
    """Stands where `RPi` is on a Pi, whose packages exist for it alone: pins at the levels of the last process."""

    BCM, OUT, LOW, HIGH = 11, 0, 0, 1

    def __init__(self, levels):
        self.GPIO, self.levels, self.changes = self, levels, []

    def setmode(self, mode):
        assert mode == self.BCM

    def setup(self, number, direction, initial=-1):
        if initial != -1:
            self.output(number, initial)

    def input(self, number):
        return self.levels[number]

    def output(self, number, level):
        self.levels[number] = level
        self.changes.append((number, level))


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
    sim = Sim800(VirtualNetwork())
    clock, presses = Clock(sim), []
    power = KeyPower(lambda high: presses.append(high) if high else None, clock.later)
    for _ in range(3):
        power.set(False)
        clock.run(5)
        power.set(True)
        clock.run(5)
        power.set(True)
    assert len(presses) == 6


def test_a_press_lasts_long_enough_and_no_longer():
    levels, calls = [], []
    power = KeyPower(levels.append, lambda seconds, call: calls.append((seconds, call)))
    power.set(False)
    assert levels == [False, True]
    ((seconds, release),) = calls
    assert seconds == PRESS_S > 1.0
    release()
    assert levels == [False, True, False]


def test_the_key_is_let_go_that_a_process_held_when_it_died():
    levels = [True]
    KeyPower(levels.append, lambda seconds, call: None)
    assert levels == [True, False]


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.3, 1.4, 1.6, 3.0, 6.0])), max_size=12))
@settings(max_examples=60, deadline=None)
def test_changes_that_come_too_soon_for_the_key_are_made_up_for(changes):
    sim = Sim800(VirtualNetwork())
    clock = Clock(sim)
    clock.run(5)
    power, is_on = KeyPower(sim.key.set, clock.later), True
    for on, pause_s in changes:
        if on is is_on:
            power.set(on)  # begins the count anew, so that no press is left out
        power.set(on)
        is_on = on
        power.set(on)
        clock.run(pause_s)
    clock.run(12)
    assert (sim.mode is not Mode.OFF) is is_on


@given(st.booleans(), st.lists(st.tuples(st.booleans(), st.floats(0, 6)), max_size=12))
def test_a_rail_is_off_for_its_least_time_or_not_at_all(was_on, changes):
    clock, ups, downs = Clock(None), [], [] if was_on else [0.0]
    clock.sim, level = Still(), [was_on]

    def pin(high):
        if high is not level[0]:
            (ups if high else downs).append(clock.now)
        level[0] = high

    power = RailPower(pin, clock.later, is_on=was_on)
    for on, pause_s in changes:
        power.set(on)
        clock.run(pause_s)
    clock.run(REST_S + 1)
    assert level[0] is (changes[-1][0] if changes else was_on)
    assert all(up - down >= REST_S - 1e-6 for down, up in zip(downs, ups, strict=False))


def test_a_new_process_does_not_cut_the_supply_of_a_modem_that_lives():
    levels, calls = [], []
    power = modem_power("rail", lambda *call: calls.append(call), lambda number: (levels.append, True))
    power.set(True)
    assert False not in levels, "it was cut in the middle of whatever it did"
    assert calls == []


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

    def take(number):
        pins.append(number)
        return lambda high: None, False

    assert isinstance(modem_power("rail", later, take), RailPower)
    assert isinstance(modem_power("key", later, take), KeyPower)
    assert pins == [MODEM_POWER] * 2
    with pytest.raises(UsageError, match="rail or key"):
        modem_power("magic", print, take)


def test_a_pin_is_taken_over_at_the_level_that_it_has(monkeypatch):
    board = Board({24: 1})
    monkeypatch.setitem(sys.modules, "RPi", board)
    pin, is_high = gpio_pin(24)
    assert is_high
    assert board.changes == [], "the modem's supply was cut"
    pin(False)
    assert board.changes == [(24, 0)]


def test_a_machine_without_pins_says_so(monkeypatch):
    real = builtins.__import__

    def no_gpio(name, *more, **named):
        if name == "RPi":
            raise ImportError("No module named 'RPi'")
        return real(name, *more, **named)

    monkeypatch.setattr(builtins, "__import__", no_gpio)
    with pytest.raises(UsageError, match="no pins"):
        gpio_pin(24)
