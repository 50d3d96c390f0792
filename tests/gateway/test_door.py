"""Places at the DirectIP port: silent strangers keep nobody out, and one warning a minute tells of them."""

import logging

import pytest

from gateway.door import ADDRESS_MAX, COMPLAINT_S, CONNECTIONS_MAX, GRACE_S, Complaints, Door, group_of


class Guests:
    """Connections that have been ended."""

    def __init__(self):
        self.ended = []

    def enter(self, door, address, now):
        return door.enter(address, now, lambda: self.ended.append(address))


def address(number):
    return f"192.0.{number // 256}.{number % 256}"


@pytest.mark.parametrize(("is_guarded", "places"), [(False, ADDRESS_MAX), (True, CONNECTIONS_MAX)])
def test_one_address_has_so_many_places(is_guarded, places):
    door, guests = Door(is_guarded=is_guarded), Guests()
    for _ in range(places):
        assert guests.enter(door, "192.0.2.1", 0.0)
    assert guests.enter(door, "192.0.2.1", GRACE_S / 2) is None
    assert guests.ended == []
    assert guests.enter(door, "192.0.2.1", GRACE_S)
    assert len(door) == places
    assert guests.ended == ["192.0.2.1"]


def test_the_oldest_silent_one_gives_its_place_and_whoever_speaks_keeps_it():
    door, guests = Door(is_guarded=False), Guests()
    for number in range(CONNECTIONS_MAX):
        guest = guests.enter(door, address(number), number / 100)
        guest.is_silent = number < 2
    for number in range(2):
        assert guests.enter(door, address(100 + number), 50.0).is_silent
    assert guests.ended == [address(0), address(1)]
    assert guests.enter(door, "198.51.100.1", 50.5) is None, "the new ones have their second, the others speak"
    assert len(door) == CONNECTIONS_MAX


def test_a_place_is_free_when_its_guest_has_left():
    door, guests = Door(is_guarded=False), Guests()
    inside = [guests.enter(door, "192.0.2.1", 0.0) for _ in range(ADDRESS_MAX)]
    for _ in range(2):
        door.left(inside[0])
    assert guests.enter(door, "192.0.2.1", 0.0)
    door.close()
    assert len(door) == 0
    assert len(guests.ended) == ADDRESS_MAX


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "not an address", False),
    ],
)
def test_what_counts_as_one_address(one, other, are_alike):
    assert (group_of(one) == group_of(other)) is are_alike


def test_complaints_are_told_once_a_minute_with_how_many_there_were(caplog):
    complaints = Complaints("DirectIP")
    with caplog.at_level(logging.WARNING):
        for second in range(int(COMPLAINT_S) + 1):
            complaints.note(f"192.0.2.{second}", "nonsense", float(second))
    assert [one.getMessage() for one in caplog.records] == [
        "DirectIP from 192.0.2.0: nonsense",
        f"DirectIP from 192.0.2.60: nonsense ({int(COMPLAINT_S) - 1} more since the last warning)",
    ]
