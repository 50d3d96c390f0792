"""Every condition has a code, every code of the table can occur, and the rhythms can be told apart."""

import itertools

import pytest

from edge.panel import Condition, Panel, rhythms
from hardware.leds import CODES, DOUBLE, FAST, OFF, ON, PERIOD_S, SLOW, lit, meaning
from hardware.pins import LEDS

FLAGS = (
    "recovering",
    "devices_present",
    "devices_missing",
    "devices_wrong",
    "capturing",
    "link_up",
    "waiting",
    "unconfirmed",
    "held_back",
)
STICK = ("stick_busy", "stick_ready")
ALARMS = ("attention", "refused", "disk_failed", "stopped")


def all_conditions():
    for values in itertools.product((0, 1), repeat=len(FLAGS)):
        yield Condition(**dict(zip(FLAGS, values, strict=True)))
    for flags in (ALARMS, STICK):
        for values in itertools.product((False, True), repeat=len(flags)):
            yield Condition(**dict(zip(flags, values, strict=True)))


def test_every_condition_has_a_code_in_the_table():
    for condition in all_conditions():
        for led, rhythm in rhythms(condition).items():
            assert meaning(led, rhythm)


def test_every_code_but_no_power_occurs():
    seen = {pair for condition in all_conditions() for pair in rhythms(condition).items()}
    assert {(code.led, code.rhythm) for code in CODES} - seen == {("power", OFF)}


@pytest.mark.parametrize(
    ("condition", "led", "rhythm"),
    [
        (Condition(capturing=1, devices_missing=1), "device", FAST),
        (Condition(capturing=1, devices_wrong=1), "device", DOUBLE),
        (Condition(link_up=False, waiting=3), "link", OFF),
        (Condition(link_up=True, waiting=3), "link", FAST),
        (Condition(link_up=True, waiting=3, held_back=True), "link", DOUBLE),
        (Condition(link_up=False, waiting=3, held_back=True), "link", DOUBLE),
        (Condition(link_up=True, held_back=True), "link", ON),
        (Condition(link_up=True, unconfirmed=1), "link", SLOW),
        (Condition(link_up=True), "link", ON),
        (Condition(link_up=False), "link", ON),
        (Condition(link_up=False, unconfirmed=1), "link", OFF),
        (Condition(stick_busy=True), "power", FAST),
        (Condition(stick_ready=True), "power", DOUBLE),
        (Condition(recovering=True, stick_ready=True), "power", SLOW),
        (Condition(attention=True, disk_failed=True), "alarm", FAST),
        (Condition(refused=True, attention=True), "alarm", DOUBLE),
    ],
)
def test_the_worst_wins(condition, led, rhythm):
    assert rhythms(condition)[led] == rhythm


@pytest.mark.parametrize("rhythm", [SLOW, FAST, DOUBLE])
def test_a_blinking_led_is_lit_and_dark_within_a_period(rhythm):
    states = {lit(rhythm, n * PERIOD_S[rhythm] / 100) for n in range(100)}
    assert states == {True, False}


def test_the_panel_writes_only_what_changed():
    writes = []

    class Recorder:
        def set(self, led, lit):
            writes.append((led, lit))

    panel = Panel(Recorder())
    panel.refresh(0.0)
    assert sorted(writes) == [("alarm", False), ("device", False), ("link", True), ("power", True)]
    panel.refresh(0.1)
    assert len(writes) == len(LEDS)
    panel.condition = Condition(stopped=True)
    panel.refresh(0.2)
    assert writes[-1] == ("alarm", True)
    assert lit(ON, 0)
