"""A worklist goes to a kit that no link reaches: onto a stick, into the kit, and the kit's word back to the server."""

import pytest

from edge.worklist import FromCentre, Worklist
from gateway.lists import PRIORITY
from node.carrying import Far
from node.enrolment import Contact, KitEnrolment
from node.host import Grant
from node.seams import NotOpen
from tests.edge.test_kit import Clock
from tests.gateway.ground import GROUND, KIT, OTHER, PSK, SIGN_PUBLIC, SIGN_SECRET, kit_entry, offer, roster
from tests.gateway.test_slots import Base
from tests.node.sticks import End, Slot, marked, parcels
from tests.sim.disk import Crash, SimDisk
from tests.wire.air import MemoryOutbox
from wire import objects
from wire.errors import AuthError, DiskError
from wire.seal import sign_pair
from wire.worklist import Day, Order, require_taken, seal_day, sign_worklist, worklist_id

KIT_SIGN = sign_pair(b"e" * 32)
FAR_MS = 4_083_912_000_000
ORDERS = (Order("113", "Koval", sample="S1", tests=("WBC",)), Order("114"))


def listed(version, orders=ORDERS, pair=KIT, secret=SIGN_SECRET):
    sealed = seal_day(Day("2099-06-01", tuple(orders)), FAR_MS, pair.public, bytes([version]) * 32)
    return sign_worklist(version, pair.public, [sealed], secret)


class ListedVan(End):
    """A kit with a worklist and a card of its own, and the stick in hand."""

    def __init__(self, disk=None, pair=KIT):
        self.disk, self.log = disk or SimDisk(), []
        secret = b"k" * 32 if pair is KIT else b"o" * 32
        ground = Contact("ground", GROUND.public, ("udp://sim:1",))
        enrolment = KitEnrolment("van-1", secret, PSK, KIT_SIGN[0], bytes(32), SIGN_PUBLIC, (ground,))
        self.worklist = Worklist(self.disk, Clock(), enrolment, self.log.append)
        grant = Grant(PSK, "ground")
        self.inbox = FromCentre(self.disk, self.worklist)
        super().__init__(
            pair,
            Slot(),
            self.inbox,
            lambda public: grant if public == GROUND.public else None,
        )

    @property
    def patients(self):
        return [one.patient for day in self.worklist.days() for one in day.orders]


@pytest.fixture
def base():
    return Base(None, kit_entry())


def give(base, data):
    base.station.lists.take(data)
    base.roads.run(1)


def test_by_stick_to_a_kit_without_a_link_and_its_word_back_to_the_server(base):
    stick, van, data = marked(), ListedVan(), listed(1)
    base.to_ground.objects[worklist_id(data)] = offer(data, objects.WORKLIST, worklist_id(data), PRIORITY), data
    base.call_server()
    assert base.roads.run(20, lambda: base.station.lists.kits)
    assert base.take(stick).text() == "carried: 1 worklist, 0.0 MB; safe to pull"
    assert len(parcels(stick)) == 1
    assert van.visit(stick).text() == "nothing to carry; safe to pull"
    assert van.patients == ["113", "114"]
    assert "received" in van.kinds()
    base.take(stick)
    assert base.roads.run(20, lambda: base.to_ground.receipts)
    require_taken(base.to_ground.receipts[worklist_id(data)], worklist_id(data), KIT_SIGN[1])
    van.visit(stick)
    assert parcels(stick) == [], "nothing is left on the stick"
    assert base.take(marked()).text() == "nothing to carry; safe to pull", "who has it needs no other stick"


def test_the_newest_wins_on_the_stick_and_in_the_kit(base):
    stick, old_stick, van = marked(), marked(), ListedVan()
    give(base, listed(1))
    base.take(stick)
    base.take(old_stick)
    give(base, listed(2, ORDERS[:1]))
    base.take(stick)
    assert len(parcels(stick)) == 1, "the older one is taken off"
    van.visit(stick)
    assert van.patients == ["113"]
    told = len(van.log)
    van.visit(old_stick)
    van.visit(old_stick)
    assert van.patients == ["113"]
    assert van.worklist.version == 2
    assert len(van.log) == told, "an old list changes nothing"
    for _ in range(2):
        base.take(old_stick)
        van.visit(old_stick)
    assert parcels(old_stick) == []


def test_a_new_list_is_written_onto_the_stick_that_is_in(base):
    base.slot.disk = stick = marked()
    base.roads.run(5)
    assert not parcels(stick)
    give(base, listed(1))
    base.roads.run(5)
    assert len(parcels(stick)) == 1


def test_each_kit_has_its_own_and_reads_no_other(base):
    base.station.roster.take(roster(2, kit_entry(), kit_entry(OTHER, "van-2")))
    stick, mine, other = marked(), ListedVan(), ListedVan(pair=OTHER)
    give(base, listed(1))
    give(base, listed(1, [Order("999")], OTHER))
    assert base.take(stick).text().startswith("carried: 2 worklists")
    mine.visit(stick)
    other.visit(stick)
    assert (mine.patients, other.patients) == (["113", "114"], ["999"])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (listed(1, pair=OTHER), "the worklist is another kit's"),
        (listed(1, secret=b"x" * 32), "the worklist"),
        (b"no list at all" * 10, "the worklist"),
        (bytes(10), "a worklist of 10 bytes"),
    ],
    ids=["of another kit", "of another centre", "of nobody", "too short"],
)
def test_what_is_not_for_this_kit_is_refused_with_a_word_on_both_sides(data, why):
    """A gateway that is broken, or was taken over, cannot make it read anything else."""
    given = offer(data, objects.WORKLIST, worklist_id(data), PRIORITY)
    outbox, stick, van = MemoryOutbox(), marked(), ListedVan()
    outbox.objects[given.object_id] = given, data
    ground = End(
        GROUND, Slot(), FromCentre(SimDisk(), van.worklist), lambda _: Grant(PSK, "van-1"), [Far(KIT.public, outbox)]
    )
    ground.visit(stick)
    van.visit(stick)
    assert van.worklist.version == -1
    assert why in next(one.text for one in van.told if one.kind == "refused")
    ground.visit(stick)
    assert [(one, refusal.reason) for one, refusal in outbox.refusals] == [(given.object_id, objects.NOT_ALLOWED)]
    assert why in next(one.text for one in ground.told if one.kind == "refused")


def test_by_link_and_by_stick_at_once_it_is_taken_once(base):
    """The session has brought half of it when the stick is put in."""
    stick, van, data = marked(), ListedVan(), listed(1)
    give(base, data)
    base.take(stick)
    given = base.station.lists.offer(KIT.public)
    assert van.inbox.offered(GROUND.public, given).total == 0
    assert van.inbox.write(GROUND.public, given.object_id, 0, data[:50]) is None
    van.visit(stick)
    assert van.patients == ["113", "114"]
    assert isinstance(van.inbox.write(GROUND.public, given.object_id, 50, data[50:]), NotOpen)
    assert isinstance(van.inbox.offered(GROUND.public, given), objects.Receipt)
    assert sum("was taken" in text for text in van.log) == 1


def test_a_parcel_of_a_stranger_is_not_opened():
    stick, van, data = marked(), ListedVan(), listed(1)
    outbox = MemoryOutbox()
    outbox.objects[worklist_id(data)] = offer(data, objects.WORKLIST, worklist_id(data), PRIORITY), data
    stranger = End(
        OTHER, Slot(), FromCentre(SimDisk(), van.worklist), lambda _: Grant(PSK, "van-1"), [Far(KIT.public, outbox)]
    )
    stranger.visit(stick)
    van.visit(stick)
    assert van.worklist.version == -1
    assert "stranger" in van.kinds()


def test_the_list_of_a_kit_that_is_revoked_is_taken_off_the_stick(base):
    stick = marked()
    give(base, listed(1))
    base.take(stick)
    base.station.roster.take(roster(2, kit_entry(revoked=True)))
    base.roads.run(1)
    assert base.station.lists.kits == []
    base.take(stick)
    assert parcels(stick) == []


def test_a_kit_that_said_so_over_a_link_needs_no_stick(base):
    give(base, listed(1))
    given = base.station.lists.offer(KIT.public)
    base.station.lists.heard(KIT.public, given.object_id, b"its word")
    assert base.take(marked()).text() == "nothing to carry; safe to pull"


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_every_call_to_the_kits_own_disk_leaves_the_old_list_or_the_new(base, fault):
    give(base, listed(2, ORDERS[:1]))
    met = 0
    for at in range(1, 60):
        stick, disk = marked(at), SimDisk(at)
        ListedVan(disk).worklist.take(listed(1))
        base.take(stick)
        try:
            disk.fail(fault, at)
            ListedVan(disk).visit(stick)
        except (Crash, DiskError, AuthError):
            met += 1
        disk.fail_at = None
        van = ListedVan(disk.crash() if fault == "crash" else disk)
        assert van.patients in (["113", "114"], ["113"])
        van.visit(stick)
        assert van.patients == ["113"]
    assert met > 5 or fault == "ENOSPC"
