"""The roster: everybody by name, signed; forged, cut, doubled and oversized ones refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.errors import AuthError, FormatError, Misuse
from wire.maps import encode_map
from wire.roster import (
    CONTEXT,
    KIT_COUNT_MAX,
    NAME_SIZE_MAX,
    VERSION_MAX,
    Roster,
    RosterEntry,
    sign_roster,
    verify_roster,
)
from wire.seal import sign, sign_pair

SECRET, PUBLIC = sign_pair(bytes(range(32)))


def kit(number, **change):
    keys = (bytes([n]) * 28 + number.to_bytes(4, "big") for n in (1, 2, 3))
    return replace(RosterEntry(f"kit-{number:05}", *keys), **change)


KITS = (kit(1), kit(2, revoked=True), kit(3))
DATA = sign_roster(7, reversed(KITS), SECRET)


def forged(values):
    """Return a roster whose signature holds, whatever it says."""
    body = encode_map(values)
    return sign(CONTEXT + body, SECRET) + body


def test_what_is_signed_is_verified_and_stands_by_name():
    assert verify_roster(DATA, PUBLIC) == Roster(7, KITS)
    assert verify_roster(sign_roster(0, [], SECRET), PUBLIC) == Roster(0, ())


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(at, change):
    raw = bytearray(DATA)
    raw[at] ^= change
    with pytest.raises(AuthError, match="roster"):
        verify_roster(bytes(raw), PUBLIC)


def test_another_server_has_not_signed_it():
    with pytest.raises(AuthError):
        verify_roster(DATA, sign_pair(bytes(32))[1])


@given(st.binary(max_size=100))
def test_any_bytes_are_refused(data):
    with pytest.raises((AuthError, FormatError)):
        verify_roster(data, PUBLIC)


ROW = ["kit", bytes(32), bytes(32), bytes(32), False]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "version"),
        ({"version": -1, "kits": []}, "version"),
        ({"version": VERSION_MAX + 1, "kits": []}, "version"),
        ({"version": True, "kits": []}, "version"),
        ({"version": 1}, "list"),
        ({"version": 1, "kits": {}}, "list"),
        ({"version": 1, "kits": [[]]}, "a kit is a list"),
        ({"version": 1, "kits": [["", *ROW[1:]]]}, "name"),
        ({"version": 1, "kits": [["k" * (NAME_SIZE_MAX + 1), *ROW[1:]]]}, "name"),
        ({"version": 1, "kits": [[*ROW[:4], 1]]}, "true or false"),
        ({"version": 1, "kits": [["kit", bytes(31), *ROW[2:]]]}, "32 bytes"),
        ({"version": 1, "kits": [["kit", "x" * 32, *ROW[2:]]]}, "32 bytes"),
        ({"version": 1, "kits": [ROW, ["other", *ROW[1:]]]}, "same link_public"),
        ({"version": 1, "kits": [ROW, ["kit", b"\x01" * 32, *ROW[2:]]]}, "same name"),
    ],
)
def test_a_roster_that_is_not_lawful_is_refused_even_when_signed(values, why):
    with pytest.raises(FormatError, match=why):
        verify_roster(forged(values), PUBLIC)


def test_what_nobody_would_take_is_not_signed():
    for entries in ([kit(1), kit(1)], [kit(1, name="")], [kit(1, psk=b"short")]):
        with pytest.raises(Misuse, match="nobody would take"):
            sign_roster(1, entries, SECRET)


def test_the_largest_roster():
    entries = tuple(kit(number) for number in range(KIT_COUNT_MAX))
    assert verify_roster(sign_roster(VERSION_MAX, entries, SECRET), PUBLIC).entries == entries
    with pytest.raises(Misuse, match=f"at most {KIT_COUNT_MAX}"):
        sign_roster(1, (*entries, kit(KIT_COUNT_MAX)), SECRET)
