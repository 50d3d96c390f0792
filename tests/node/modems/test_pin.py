"""The guard of a SIM's PIN, against a SIM that counts: no history of settings and cuts makes a third wrong try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.simulated.modems.sim import SimCard
from node.modems.faults import Locked
from node.modems.pin import NoNotes, PinGuard


class Notes:
    def __init__(self, text=""):
        self.text, self.is_broken = text, False

    def read(self):
        if self.is_broken:
            raise OSError("disk")
        return self.text

    def write(self, text):
        if self.is_broken:
            raise OSError("disk")
        self.text = text


def attempt(card, pin, notes, left):
    """One start of the kit with this PIN set; return whether a PIN was tried. `left` None: the SIM does not tell."""
    guard = PinGuard(pin, notes)
    if not card.trouble:
        guard.accepted()
        return False
    try:
        given_pin = guard.permit("8938001", card.tries if left else None)
    except Locked:
        return False
    if card.enter(given_pin) == 0:
        guard.accepted()
    return True


def test_the_right_pin_opens_and_leaves_no_note():
    card, notes = SimCard("4321"), Notes()
    assert attempt(card, "4321", notes, left=None)
    assert card.trouble == 0
    assert notes.text == ""


@pytest.mark.parametrize("left", [True, False], ids=["the SIM tells its tries", "it does not"])
def test_a_wrong_pin_is_tried_once_however_often_the_kit_starts(left):
    card, notes = SimCard("4321"), Notes()
    assert [attempt(card, "1111", notes, left) for _ in range(20)].count(True) == 1
    assert card.tries == 2
    assert "1111" not in notes.text


def test_a_corrected_pin_is_tried_and_makes_all_good():
    card, notes = SimCard("4321"), Notes()
    attempt(card, "1111", notes, left=False)
    assert attempt(card, "4321", notes, left=False)
    card.insert()
    assert attempt(card, "4321", notes, left=False)


def test_a_cut_between_the_note_and_the_try_locks_nobody_out_where_the_sim_tells():
    card, notes = SimCard("4321"), Notes()
    PinGuard("4321", notes).permit("8938001", card.tries)
    assert attempt(card, "4321", notes, left=True)
    assert card.trouble == 0


def test_where_the_sim_does_not_tell_a_cut_wants_a_person():
    notes = Notes()
    PinGuard("4321", notes).permit("8938001", None)
    with pytest.raises(Locked, match="tried and not accepted"):
        PinGuard("4321", notes).permit("8938001", None)
    assert PinGuard("4321", notes).permit("another SIM", None) == "4321"


def test_a_sim_with_one_try_left_is_left_alone():
    with pytest.raises(Locked, match="one more wrong PIN"):
        PinGuard("4321", Notes()).permit("8938001", 1)


@pytest.mark.parametrize("pin", ["", "123", "123456789", "12a4", "١٢٣٤", '1"\r2'])
def test_what_is_no_pin_is_never_sent(pin):
    with pytest.raises(Locked, match="asks for its PIN"):
        PinGuard(pin, Notes()).permit("8938001", 3)


def test_without_a_note_no_pin_is_tried():
    with pytest.raises(Locked, match="cannot be noted"):
        PinGuard("4321", NoNotes()).permit("8938001", 3)
    broken = Notes()
    broken.is_broken = True
    PinGuard("4321", broken).accepted()


def test_a_damaged_note_allows_nothing_that_it_might_have_forbidden():
    with pytest.raises(Locked):
        PinGuard("4321", Notes("garbage")).permit("8938001", None)
    with pytest.raises(Locked):
        PinGuard("4321", Notes("a b c")).permit("8938001", None)


@given(
    pins=st.lists(st.sampled_from(["1111", "2222", "3333", "4321"]), max_size=12),
    left=st.booleans(),
    cuts=st.sets(st.integers(0, 11)),
)
def test_no_history_makes_a_third_wrong_try(pins, left, cuts):
    card, notes = SimCard("4321"), Notes()
    for number, pin in enumerate(pins):
        card.insert()
        if number in cuts and card.trouble:
            try:  # the power goes between the note and the answer: the try may or may not have been made
                tried = PinGuard(pin, notes).permit("8938001", card.tries if left else None)
                card.enter(tried) if number % 2 else None
            except Locked:
                continue
        else:
            attempt(card, pin, notes, left)
        assert card.tries >= 1, "the kit has locked a SIM"
