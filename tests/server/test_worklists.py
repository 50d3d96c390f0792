"""The worklist on its road: from the centre's tables over a gateway that cannot read it to the kit, newest first."""

import contextlib

import pytest
from sqlalchemy import select

from edge.config import KitConfig
from edge.kit import Kit
from edge.panel import DarkLamps
from edge.worklist import FILE, Worklist
from feldsher.server_worklist import read_csv
from gateway.lists import FOLDER, Lists
from gateway.station import Station, Upstream
from node.enrolment import Contact, KitEnrolment
from node.entropy import seeded
from server import tables as t
from server.centre import Centre
from server.database import Database, UnavailableError
from server.kernel import Kernel
from server.keys import make
from tests.server.conftest import QUICK, TestClock
from tests.sim.disk import Crash, SimDisk
from tests.sim.roads import Roads
from wire.errors import AuthError, DiskError, DiskFull, FormatError, UsageError
from wire.noise import KeyPair
from wire.seal import sign_pair
from wire.worklist import DAYS_MAX, ORDERS_MAX, Order, verify_worklist

GROUND, KIT, OTHER = (KeyPair.from_secret(one * 32) for one in (b"g", b"k", b"o"))
PSK, UP_PSK = b"p" * 32, b"u" * 32
KIT_SIGN = sign_pair(b"e" * 32)
OLHA = Order("24310077", "Petrenko", "19700101", "F", "S1", ("WBC", "HGB"))
IVAN = Order("24310085", "Bondar", "19600101", "M", "S2", ("GLU",))
DAY, NEXT_DAY = "2026-11-22", "2026-11-23"
HOUR_MS = 3_600_000
SETTLE_S = 60.0


class Road:
    """A centre, a gateway and a kit on roads that lose nothing, on one clock."""

    def __init__(self):
        self.clock = TestClock()
        self.keys = make(seeded(b"keys"))
        self.centre = Centre.build(SimDisk(), Database("sqlite://"), self.keys, self.clock, seeded(b"centre"), QUICK)
        self.centre.peers.add_kit("van-1", KIT.public, PSK, KIT_SIGN[1])
        self.centre.peers.add_kit("van-2", OTHER.public, b"q" * 32, sign_pair(b"f" * 32)[1])
        self.centre.peers.add_gateway("ground", GROUND.public, UP_PSK, ["udp://sim:1"])
        self.ground_disk, self.kit_disk, self.log = SimDisk(), SimDisk(), []
        contact = Contact("ground", GROUND.public, ("udp://sim:1",))
        self.enrolment = KitEnrolment(
            "van-1", b"k" * 32, PSK, KIT_SIGN[0], self.keys.seal_public, self.keys.sign_public, (contact,)
        )
        self.start()

    def start(self):
        """Begin the life of all three, anew."""
        link = KeyPair.from_secret(self.keys.link_secret)
        self.kernel = Kernel(self.centre, reserve_bytes=0)
        upstream = Upstream(link.public, UP_PSK, self.keys.sign_public)
        self.station = Station(GROUND, upstream, self.ground_disk, seeded(b"ground"), reserve_bytes=0)
        self.kit = Kit(KitConfig(), self.enrolment, self.kit_disk, self.clock, seeded(b"van"), DarkLamps(), self.note)
        self.roads = Roads(self.kernel, self.station, self.kit.link)

    def note(self, kind, text):
        self.log.append((kind, text))

    def call(self, *, kit=True):
        self.roads.join(self.station.server, self.kernel)
        if kit:
            self.roads.join(self.kit.link, self.station.kits)

    def put(self, *orders, day=DAY, hours=24):
        return self.centre.worklists.put("van-1", day, orders, self.clock.ms + hours * HOUR_MS, "olena")

    def run(self, done, seconds=SETTLE_S):
        return self.roads.run(seconds, done)

    def has(self, *orders):
        return [one for day in self.kit.worklist.days() for one in day.orders] == list(orders)

    def state(self, at=0):
        return self.centre.worklists.lists("van-1")[at].state


@pytest.fixture
def road():
    return Road()


def test_a_list_reaches_the_kit_and_the_centre_knows(road):
    assert road.put(OLHA, IVAN).state == "waiting"
    road.call()
    assert road.run(lambda: road.has(OLHA, IVAN))
    assert road.run(lambda: road.state() == "on the kit")
    assert road.kit.worklist.about(("S1",)) == [OLHA]
    assert road.kit.worklist.about((IVAN.patient, "S2")) == [IVAN]
    assert road.kit.worklist.about(()) == [OLHA, IVAN]
    assert road.kit.capture.orders is road.kit.worklist


def test_a_list_that_is_entered_while_the_link_is_up_goes_at_once_and_the_newest_wins(road):
    road.call()
    road.run(lambda: False, 5)
    road.put(OLHA)
    assert road.run(lambda: road.has(OLHA))
    road.put(IVAN)
    assert road.run(lambda: road.has(IVAN))
    road.put(OLHA, day=NEXT_DAY)
    assert road.run(lambda: road.has(IVAN, OLHA))
    road.centre.worklists.withdraw("van-1", DAY, "olena")
    assert road.run(lambda: road.has(OLHA))
    road.centre.worklists.withdraw("van-1", NEXT_DAY)
    assert road.run(road.has)
    assert not road.kit.worklist.is_in_force


def test_the_gateway_keeps_it_for_a_kit_that_calls_later_over_restarts_of_all(road):
    road.put(OLHA)
    road.call(kit=False)
    assert road.run(lambda: road.state() == "with a gateway")
    road.ground_disk, road.kit_disk = road.ground_disk.crash(), road.kit_disk.crash()
    road.start()
    road.roads.join(road.kit.link, road.station.kits)  # the centre is away
    assert road.run(lambda: road.has(OLHA))
    assert road.state() == "with a gateway"
    road.roads.join(road.station.server, road.kernel)
    assert road.run(lambda: road.state() == "on the kit")
    road.kit_disk = road.kit_disk.crash()
    road.start()
    assert road.has(OLHA), "it is there before any link is"


def test_a_kit_whose_card_has_lost_it_gets_it_again(road):
    road.put(OLHA)
    road.call()
    assert road.run(lambda: road.state() == "on the kit")
    for damage in (lambda: road.kit_disk.remove(FILE), lambda: road.kit_disk.write_at(FILE, 30, b"damage")):
        damage()
        road.start()
        assert not road.kit.worklist.is_in_force
        road.call()
        assert road.run(lambda: road.has(OLHA))


def test_a_database_that_does_not_answer_for_a_while_stops_nothing(road, monkeypatch):
    def away(*_):
        raise UnavailableError("database: locked")

    road.put(OLHA)
    road.call()
    road.kernel.tick(road.roads.now)
    for name in ("changes", "pending", "in_custody", "taken"):
        monkeypatch.setattr(road.centre.worklists, name, away)
    assert road.run(lambda: road.has(OLHA))
    road.run(lambda: False, 30)
    monkeypatch.undo()
    assert road.state() == "waiting"
    road.start()
    road.call()
    assert road.run(lambda: road.state() == "on the kit")


def test_a_list_takes_no_room_from_studies_and_comes_when_there_is_room(road):
    road.put(OLHA)
    road.kit_disk.capacity = road.kit.config.limits.study_room_bytes
    road.call()
    assert not road.run(lambda: road.has(OLHA), 40)
    assert road.state() == "with a gateway"
    road.kit_disk.capacity = 1 << 30
    assert road.run(lambda: road.has(OLHA))


def test_nobody_but_the_kit_reads_it(road):
    road.put(OLHA, IVAN)
    road.call()
    assert road.run(lambda: road.has(OLHA, IVAN))
    for disk in (road.ground_disk, road.kit_disk):
        stored = b"".join(disk.tree().values())
        assert not any(text in stored for text in (b"Petrenko", b"24310077", b"S1"))
    assert not any("Petrenko" in text or "24310077" in text for _, text in road.log)


def test_what_has_expired_is_not_looked_at_and_is_erased(road):
    road.put(OLHA, hours=1)
    road.put(IVAN, day=NEXT_DAY, hours=30)
    road.call()
    assert road.run(lambda: road.has(OLHA, IVAN))
    before = road.kit_disk.size(FILE)
    road.clock.pass_s(3600)
    assert road.has(IVAN)
    assert road.kit.worklist.about(("S1",)) == []
    road.kit.expire_worklist(road.roads.now)
    assert road.kit_disk.size(FILE) < before
    assert road.state() == "expired"
    road.clock.pass_s(30 * 3600)
    assert not road.kit.worklist.is_in_force
    road.kit.expire_worklist(road.roads.now)
    assert road.kit_disk.size(FILE) < 96


def test_what_a_wrong_clock_has_erased_comes_again_when_the_clock_is_right(road):
    road.put(OLHA, hours=24)
    road.call()
    assert road.run(lambda: road.has(OLHA))
    road.clock.ms += 365 * 24 * HOUR_MS
    road.kit.expire_worklist(road.roads.now)
    road.start()
    road.call()
    assert not road.run(lambda: road.has(OLHA), 20)
    road.clock.ms -= 365 * 24 * HOUR_MS
    road.start()
    assert not road.kit.worklist.is_in_force
    road.call()
    assert road.run(lambda: road.has(OLHA))
    assert not road.kit.worklist.has_lost_days


def test_a_kit_that_is_revoked_gets_no_list(road):
    road.put(OLHA)
    road.call(kit=False)
    assert road.run(lambda: road.ground_disk.list(FOLDER))
    road.centre.peers.revoke_kit("van-1")
    assert road.run(lambda: not road.ground_disk.list(FOLDER))
    with pytest.raises(UsageError, match="revoked"):
        road.put(IVAN)


def test_a_kit_that_calls_the_centre_itself_gets_its_own_list(road):
    road.put(OLHA)
    road.centre.worklists.put("van-2", DAY, [IVAN], road.clock.ms + HOUR_MS)
    link = KeyPair.from_secret(road.keys.link_secret).public
    contact = Contact("centre", link, ("udp://sim:1",))
    road.enrolment = KitEnrolment(
        "van-1", b"k" * 32, PSK, KIT_SIGN[0], road.keys.seal_public, road.keys.sign_public, (contact,)
    )
    road.start()
    road.roads.join(road.kit.link, road.kernel)
    assert road.run(lambda: road.state() == "on the kit")
    assert road.has(OLHA)


# What is not taken


def data_of(road, name="van-1"):
    with road.centre.database.read() as connection:
        query = select(t.worklist_objects.c.object).join(t.kits).where(t.kits.c.name == name)
        return bytes(connection.execute(query).scalar_one())


def test_what_is_forged_foreign_or_older_changes_nothing(road):
    road.put(OLHA)
    old = data_of(road)
    road.put(IVAN)
    new = data_of(road)
    road.centre.worklists.put("van-2", DAY, [OLHA], road.clock.ms + HOUR_MS)
    foreign = data_of(road, "van-2")
    worklist = Worklist(SimDisk(), road.clock, road.enrolment)
    worklist.take(new)
    word = worklist.take(old)
    assert road.centre.worklists.taken(worklist.object_id, worklist.word_on(worklist.object_id).data)
    assert not road.centre.worklists.taken(worklist.object_id, word.data)
    for bad, error in ((new[:-1] + b"\0", AuthError), (foreign, AuthError), (b"", FormatError), (b"x" * 70, AuthError)):
        with pytest.raises(error):
            worklist.take(bad)
    assert worklist.about(()) == [IVAN]


def test_versions_grow_also_when_the_clock_goes_back(road):
    road.put(OLHA)
    first = verify_worklist(data_of(road), road.keys.sign_public).version
    road.clock.ms -= 10_000
    road.put(IVAN)
    assert verify_worklist(data_of(road), road.keys.sign_public).version == first + 1


def test_a_gateway_cannot_say_that_the_kit_has_it(road):
    road.put(OLHA)
    ((_, offer, _),) = road.centre.worklists.pending()
    for word in (b"", bytes(64), sign_pair(b"x" * 32)[1] * 2):
        assert not road.centre.worklists.taken(offer.object_id, word)
    assert road.state() == "waiting"


@pytest.mark.parametrize("fault", ["crash", "EIO", "ENOSPC"])
def test_a_fault_at_any_call_leaves_the_old_list_or_the_new(road, fault):
    road.put(OLHA)
    old = data_of(road)
    road.put(IVAN)
    new = data_of(road)
    for at in range(1, 40):
        disk = SimDisk(at)
        Worklist(disk, road.clock, road.enrolment).take(old)
        Lists(disk, road.keys.sign_public).take(old)
        disk.fail(fault, at)
        kit, ground = 0, 0
        with contextlib.suppress(Crash, DiskError, DiskFull):
            worklist, lists = Worklist(disk, road.clock, road.enrolment), Lists(disk, road.keys.sign_public)
            worklist.take(new)
            kit = 1
            lists.take(new)
            ground = 1
        met = disk.calls >= disk.fail_at
        disk = disk.crash()
        held = Worklist(disk, road.clock, road.enrolment).about(())
        assert held == [IVAN] if kit else held in ([OLHA], [IVAN])
        offer = Lists(disk, road.keys.sign_public).offer(KIT.public)
        assert offer.size == len(new) if ground else offer.size in {len(old), len(new)}
        if not met:
            return
    raise AssertionError("the last call was never reached")


# What staff enter


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([], "empty"),
        ([Order("")], "patient"),
        ([Order(" 7")], "blanks"),
        ([Order("7", sex="W")], "M, F, U"),
        ([Order("7", birth="1970-01-01")], "YYYYMMDD"),
        ([Order("7", birth="19700231")], "YYYYMMDD"),
        ([Order("7", tests=("WBC",))], "sample"),
        ([Order("7", sample="S1", tests=("A B",))], "blanks"),
        ([Order("7", sample="S1"), Order("8", sample="S1")], "already"),
        ([Order("7", "A"), Order("7", "B")], "another name"),
        ([Order("7", sample="8"), Order("8")], "another patient"),
        ([Order("7\n")], "printable"),
        ([Order(str(at)) for at in range(ORDERS_MAX + 1)], "at most 2000"),
    ],
)
def test_a_list_that_no_kit_would_take_is_refused_and_changes_nothing(road, orders, reason):
    road.put(OLHA)
    before = data_of(road)
    with pytest.raises(UsageError, match=reason):
        road.put(*orders)
    assert data_of(road) == before


def test_a_list_for_too_many_days_or_a_day_that_is_over_is_refused(road):
    for day in range(1, DAYS_MAX + 1):
        road.put(OLHA, day=f"2026-12-{day:02d}")
    with pytest.raises(UsageError, match="9 days"):
        road.put(OLHA, day="2026-12-09")
    with pytest.raises(UsageError, match="expired"):
        road.put(OLHA, day="2026-12-01", hours=0)
    with pytest.raises(UsageError, match="no list"):
        road.centre.worklists.withdraw("van-1", "2026-12-09")
    with pytest.raises(UsageError, match="no kit"):
        road.centre.worklists.lists("nobody")


def test_the_largest_list_goes_through(road):
    orders = [Order(f"{at:08d}", f"Name {at}", sample=f"S{at}", tests=("WBC", "HGB")) for at in range(ORDERS_MAX)]
    road.put(*orders)
    road.call()
    assert road.run(lambda: road.has(*orders))


def test_a_csv_file_is_read_with_comma_or_semicolon():
    rows = "patient;name;sample;tests\n24310077;Petrenko;S1;WBC HGB\n\n24310085;;;\n"
    expected = [Order("24310077", "Petrenko", sample="S1", tests=("WBC", "HGB")), Order("24310085")]
    assert read_csv(rows, "list.csv") == expected
    assert read_csv(rows.replace(";", ",").replace("\n", "\r\n"), "list.csv") == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "patient is needed"),
        ("name,sample\n", "patient is needed"),
        ("patient,colour\n", "patient is needed"),
        ("patient,name\n1,A\n2\n", "line 3: 1 cells"),
        ("patient,sex\n1,F\n2,W\n3,W\n", "line 3: sex.*line 4: sex"),
        ('patient,name\n1,"A\n', "line 2"),
        ("patient,sample\n1,S\n2,S\n", "line 3: sample S"),
    ],
)
def test_a_csv_file_with_a_mistake_names_its_line(text, told):
    with pytest.raises(UsageError, match=told):
        read_csv(text, "list.csv")
