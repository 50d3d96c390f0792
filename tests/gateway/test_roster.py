"""Whom the station lets in: the newest signed roster and no other, over restarts and power cuts."""

import contextlib

import pytest

from gateway.lists import Lists
from gateway.roster import SIZE_MAX, FromServer, Roster
from node.link import Grant
from node.seams import Custody, Damaged, Offer, Receipt, Refusal
from tests.gateway.ground import KIT, OTHER, PSK, SERVER, SIGN_PUBLIC, hand_over, kit_entry, offer, roster, roster_offer
from tests.sim.disk import Crash, SimDisk
from wire import objects
from wire.errors import AuthError, DiskError, FormatError
from wire.seal import sign_pair

FIRST, SECOND = roster(1, kit_entry()), roster(2, kit_entry(revoked=True), kit_entry(OTHER, "van-2"))
FORGED = roster(3, kit_entry(), secret=sign_pair(b"z" * 32)[0])


def opened(disk):
    held = Roster(disk, SIGN_PUBLIC)
    return held, FromServer(disk, held, Lists(disk, SIGN_PUBLIC))


def give(inbox, data):
    return hand_over(inbox, data, roster_offer(data), SERVER.public)


@pytest.fixture
def disk():
    return SimDisk()


def test_nobody_is_let_in_before_the_first_roster(disk):
    held, _ = opened(disk)
    assert held.grant(KIT.public) is None
    assert held.version == -1
    assert held.kits == []


def test_who_is_on_the_roster_is_let_in_with_its_psk_also_after_a_power_cut(disk):
    held, inbox = opened(disk)
    assert give(inbox, FIRST) == Receipt()
    assert held.grant(KIT.public) == Grant(PSK, "van-1")
    assert held.grant(OTHER.public) is None
    after, _ = opened(disk.crash())
    assert (after.version, after.grant(KIT.public)) == (1, Grant(PSK, "van-1"))


def test_who_is_revoked_is_named_once_and_let_in_no_more(disk):
    held, inbox = opened(disk)
    give(inbox, FIRST)
    assert held.drain_revoked() == []
    give(inbox, SECOND)
    assert held.drain_revoked() == [KIT.public]
    assert held.drain_revoked() == []
    assert held.grant(KIT.public) is None
    assert held.grant(OTHER.public) == Grant(PSK, "van-2")
    assert [(kit.name, kit.revoked) for kit in held.kits] == [("van-1", True), ("van-2", False)]


def test_who_is_no_longer_on_the_roster_counts_as_revoked(disk):
    held, inbox = opened(disk)
    give(inbox, FIRST)
    give(inbox, roster(2))
    assert held.drain_revoked() == [KIT.public]


def test_an_older_roster_does_not_bring_a_revoked_kit_back(disk):
    held, inbox = opened(disk)
    give(inbox, SECOND)
    assert give(inbox, FIRST) == Receipt(), "the server need not offer it again"
    assert held.grant(KIT.public) is None
    assert held.version == 2
    after, _ = opened(disk.crash())
    assert after.version == 2


def test_a_roster_with_another_signature_is_refused_for_good(disk):
    held, inbox = opened(disk)
    give(inbox, FIRST)
    answer = give(inbox, FORGED)
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.NOT_ALLOWED
    assert held.version == 1


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-1] + b"\x00"])
def test_a_roster_that_is_none_is_refused(disk, spoil):
    held, inbox = opened(disk)
    assert isinstance(give(inbox, spoil(FIRST)), Refusal)
    assert held.version == -1


def test_a_file_that_the_disk_has_damaged_counts_as_none_and_the_next_roster_is_taken(disk):
    _, inbox = opened(disk)
    give(inbox, SECOND)
    disk.damage("roster", 70, b"\xff")
    held, inbox = opened(disk)
    assert (held.version, held.grant(OTHER.public)) == (-1, None)
    assert give(inbox, SECOND) == Receipt()
    assert held.grant(OTHER.public) == Grant(PSK, "van-2")


def test_a_file_on_a_bad_sector_counts_as_none_and_the_next_roster_is_taken(disk):
    _, inbox = opened(disk)
    give(inbox, SECOND)
    disk.spoil("roster", 0, 10)
    held, inbox = opened(disk)
    assert held.version == -1
    assert give(inbox, SECOND) == Receipt()
    assert held.version == 2


def test_the_roster_in_force_is_known_by_its_digest_and_not_transferred_again(disk):
    held, inbox = opened(disk)
    give(inbox, FIRST)
    assert held.holds(roster_offer(FIRST).digest)
    assert inbox.offered(SERVER.public, roster_offer(FIRST)) == Receipt()
    assert not held.holds(roster_offer(SECOND).digest)


@pytest.mark.parametrize("kind", [objects.STUDY, objects.SUMMARY, objects.COMMAND, objects.FILE, objects.RECEIPT])
def test_a_server_gives_rosters_only(disk, kind):
    _, inbox = opened(disk)
    answer = inbox.offered(SERVER.public, offer(b"data", kind))
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.NOT_WANTED
    assert objects.KINDS[kind] in answer.text


def test_a_roster_over_the_limit_is_refused_when_it_is_offered(disk):
    _, inbox = opened(disk)
    at_the_limit = Offer(bytes(16), objects.ROSTER, SIZE_MAX, bytes(16))
    beyond = Offer(bytes(16), objects.ROSTER, SIZE_MAX + 1, bytes(16))
    assert not isinstance(inbox.offered(SERVER.public, at_the_limit), Refusal)
    answer = inbox.offered(SERVER.public, beyond)
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.TOO_LARGE


def test_a_damaged_transfer_starts_again(disk):
    _, inbox = opened(disk)
    assert hand_over(inbox, FIRST[:-1] + b"?", roster_offer(FIRST), SERVER.public) == Damaged()
    assert give(inbox, FIRST) == Receipt()


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_any_call_leaves_the_old_roster_or_the_new(fault):
    for at in range(1, 200):
        disk = SimDisk(at)
        _, inbox = opened(disk)
        give(inbox, FIRST)
        disk.fail(fault, at)
        answer = None
        with contextlib.suppress(Crash, DiskError):
            answer = give(inbox, SECOND)
        if fault == "ENOSPC" and isinstance(answer, Refusal):
            assert answer.temporary, answer
            assert give(inbox, SECOND) == Receipt()
            answer = Receipt()
        met = disk.calls >= disk.fail_at
        after, inbox = opened(disk.crash())
        assert after.version == 2 if answer == Receipt() else after.version in {1, 2}
        assert disk.crashed
        if not met:
            return
        assert give(inbox, SECOND) in {Receipt(), Custody()}
        assert after.version == 2
    raise AssertionError("the last call was never reached")


def test_a_stranger_is_named_by_its_key_and_a_kit_by_its_name(disk):
    held, inbox = opened(disk)
    give(inbox, FIRST)
    assert held.name_of(KIT.public) == "van-1"
    assert held.name_of(OTHER.public) == OTHER.public.hex()[:16]


def test_take_says_what_is_wrong_with_a_roster(disk):
    held, _ = opened(disk)
    with pytest.raises(AuthError, match="the roster"):
        held.take(FORGED)
    with pytest.raises(FormatError, match="roster of 3 bytes"):
        held.take(b"abc")
