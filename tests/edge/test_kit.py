"""The kit as one object: devices in, objects out, receipts proved, and what it does when card or centre fail it."""

import pytest

from edge.config import KitConfig, Port
from edge.kit import ATTENTION_S, Kit
from edge.panel import DarkLamps, rhythms
from hardware.leds import DOUBLE, FAST, OFF, ON, SLOW
from hardware.simulated.analyser import Analyser
from hardware.simulated.results import message
from hardware.simulated.scanner import patient_label
from node.enrolment import Contact, KitEnrolment
from node.entropy import seeded
from node.idle import NothingToSend
from node.link import Grant, Host
from node.seams import Custody, Receipt, Refusal
from node.spool import State
from tests.edge.virtual import Wire
from tests.sim.disk import Crash, SimDisk
from tests.sim.roads import Roads
from tests.wire.air import MemoryInbox
from wire import objects
from wire.errors import ConfigError, DiskError
from wire.noise import KeyPair
from wire.receipt import sign_receipt
from wire.seal import seal_pair, sign_pair

GATEWAY, SECOND = KeyPair.from_secret(b"g" * 32), KeyPair.from_secret(b"h" * 32)
LINK_SECRET, PSK = b"k" * 32, b"p" * 32
SERVER_SEAL, SERVER_SIGN, KIT_SIGN = seal_pair(b"c" * 32), sign_pair(b"d" * 32), sign_pair(b"e" * 32)
LABEL = patient_label(1, 0)
PORTS = [Port(name="lab", path="/dev/a", driver="astm"), Port(name="labels", path="/dev/b", driver="barcode")]
ENROLMENT = KitEnrolment(
    "van-1",
    LINK_SECRET,
    PSK,
    KIT_SIGN[0],
    SERVER_SEAL[1],
    SERVER_SIGN[1],
    (Contact("ground", GATEWAY.public, ("udp://sim:1",)), Contact("second", SECOND.public, ("udp://sim:2",))),
)


class Clock:
    """Follows the roads; the wall clock is wrong by whatever the test wants."""

    def __init__(self):
        self.roads, self.ms = None, 1_780_000_000_000

    def now(self):
        return self.roads.now if self.roads else 0.0

    def time_ms(self):
        return self.ms


class Van:
    """One life of a kit, with a gateway within reach that gives receipts like the centre's."""

    def __init__(self, disk=None):
        self.disk = disk or SimDisk()
        self.clock, self.log = Clock(), []
        self.entropy = seeded(b"van")
        self.kit = self.build()
        self.sign = lambda given: sign_receipt(given.object_id, given.digest + bytes(16), 0, SERVER_SIGN[0])
        self.inbox = MemoryInbox(lambda given: Receipt(self.sign(given)))
        self.is_known = True
        self.host = Host(GATEWAY, self.let_in, lambda _: NothingToSend(), self.inbox, self.entropy, tell_strangers=True)
        self.roads = self.clock.roads = Roads(self.kit.link, self.host)

    def build(self):
        kit = Kit(KitConfig(port=PORTS), ENROLMENT, self.disk, self.clock, self.entropy, DarkLamps(), self.note)
        for port in PORTS:
            kit.present(port.name)
        return kit

    def note(self, kind, text):
        self.log.append((kind, text))

    def let_in(self, public):
        known = self.is_known and public == KeyPair.from_secret(LINK_SECRET).public
        return Grant(PSK, "van-1") if known else None

    def told(self, kind):
        return [text for one, text in self.log if one == kind]

    def call(self):
        return self.roads.join(self.kit.link, self.host)

    def measure(self, at=0):
        """An analyser sends one message; returns its report."""
        device = Analyser([message("xp100", 1, LABEL, at=at)], [], every_s=1.0)
        Wire(device, self).run()
        self.kit.settle(self.roads.now)
        return device.report

    def hear(self, data, now):
        return self.kit.heard("lab", data, now)

    def tick(self, now):
        return self.kit.tick(now).get("lab", b"")

    def deadline(self):
        return None if self.kit.disk_failed else self.kit.deadline()

    def leds(self):
        self.kit.settle(self.roads.now)
        return rhythms(self.kit.panel.condition)

    def spool(self, *states):
        return self.kit.spool.objects(*states)

    def has_nothing_to_send(self):
        return not self.kit.spool.pending()

    def is_drained(self):
        return bool(self.spool(State.RECEIVED)) and not self.kit.spool.pending()


@pytest.fixture
def van():
    return Van()


def test_a_message_becomes_a_study_and_a_summary_that_arrive_and_are_received(van):
    assert van.measure().is_good
    assert [one.kind for one in van.spool()] == [objects.SUMMARY, objects.STUDY]
    captured = {one.object_id: van.kit.spool.read(one.object_id, 0, one.size) for one in van.spool()}
    van.call()
    assert van.roads.run(20, van.is_drained)
    assert van.inbox.done == captured
    assert {one.state for one in van.spool()} == {State.RECEIVED}


def test_a_study_that_is_closed_while_the_link_is_up_goes_at_once(van):
    van.call()
    van.roads.run(5)
    van.measure()
    assert van.kit.crossed(), "the link's deadline is new"
    assert not van.kit.crossed()
    assert van.roads.run(5, van.is_drained)


@pytest.mark.parametrize(
    "forge",
    [
        lambda given: sign_receipt(given.object_id, given.digest + bytes(16), 0, sign_pair(b"x" * 32)[0]),
        lambda given: sign_receipt(bytes(16), given.digest + bytes(16), 0, SERVER_SIGN[0]),
        lambda given: sign_receipt(given.object_id, bytes(32), 0, SERVER_SIGN[0]),
        lambda given: b"",
        lambda given: b"ok",
    ],
    ids=["another signature", "another object", "another digest", "nothing", "no receipt"],
)
def test_a_false_receipt_changes_nothing_and_raises_the_alarm(van, forge):
    true, van.sign = van.sign, forge
    van.measure()
    van.call()
    assert van.roads.run(20, lambda: len(van.told("alarm")) == 2)
    assert "is not the centre's" in van.told("alarm")[0]
    assert len(van.kit.spool.pending()) == 2, "the objects are kept"
    assert van.leds()["alarm"] == SLOW
    van.sign = true
    van.roads.run(ATTENTION_S + 1)
    assert van.leds()["alarm"] == OFF


def test_after_a_false_receipt_the_true_one_is_taken_in_the_next_session(van):
    true, van.sign = van.sign, lambda given: b"false"
    van.measure()
    van.call()
    van.roads.run(20, lambda: len(van.told("alarm")) == 2)
    van.sign = true
    after = Van(van.disk.crash())
    after.inbox.done = van.inbox.done
    after.call()
    assert after.roads.run(20, after.is_drained)


def test_a_receipt_for_an_object_that_was_never_here_is_dropped(van):
    van.kit.outbox.receipt(bytes(16), b"whatever")
    assert van.told("alarm") == []


def test_a_receipt_survives_a_power_cut_right_behind_it(van):
    van.measure()
    van.call()
    van.roads.run(20, van.is_drained)
    after = Van(van.disk.crash())
    assert {one.state for one in after.spool()} == {State.RECEIVED}
    assert len(after.kit.spool.receipt_of(after.spool()[0].object_id)) == 120


def test_what_the_gateway_holds_is_kept_until_the_receipt_comes(van):
    van.inbox.verdict = lambda given: Custody()
    van.measure()
    van.call()
    assert van.roads.run(20, lambda: len(van.spool(State.CUSTODY)) == 2)
    assert van.leds()["link"] == SLOW
    for one in van.spool():
        van.host.answer(van.kit.caller._identity.public, one.object_id, Receipt(van.sign(one.offer)), van.roads.now)
    assert van.roads.run(20, van.is_drained)
    assert van.leds()["link"] == ON


def half_a_message(van):
    """Let the analyser say all but its last frames; what was acknowledged is committed."""
    frames = [piece for piece, _ in message("blocks", 1, LABEL)]
    assert van.hear(b"\x05", 0.0) == b"\x06"
    device = Analyser([message("blocks", 1, LABEL)], [], every_s=1.0)
    device.tick(0.0)  # it is switched on
    assert device.tick(0.0) == b"\x05"
    said = device.feed(b"\x06", 0.0)
    for _ in frames[:-1]:
        assert van.hear(said, 1.0) == b"\x06"
        said = device.feed(b"\x06", 1.0)


def test_a_study_that_was_open_at_the_power_cut_is_closed_and_spooled_at_the_next_start(van):
    half_a_message(van)
    assert van.kit.capture.capturing == 1
    after = Van(van.disk.crash())
    assert len(after.kit.recovered.studies) == 1
    assert [one.kind for one in after.spool()] == [objects.SUMMARY, objects.STUDY]
    assert after.disk.list("open") == []


def test_a_study_with_a_hole_asks_for_a_look_and_the_rest_of_it_goes(van):
    half_a_message(van)
    (name,) = van.disk.list("open")
    left = van.disk.crash()
    left.damage(f"open/{name}", left.size(f"open/{name}") // 2, bytes(60))
    after = Van(left)
    (told,) = after.told("alarm")
    assert name.split("-")[1].removesuffix(".study") in told
    assert after.leds()["alarm"] == SLOW
    assert left.list("broken") == [name]
    assert [one.kind for one in after.spool()] == [objects.SUMMARY, objects.STUDY]


def test_a_stop_closes_what_is_open(van):
    half_a_message(van)
    van.kit.stop(van.roads.now)
    assert van.disk.list("open") == []
    assert len(van.spool(State.WAITING)) == 2


# Card


def test_a_card_that_fails_under_a_device_refuses_it_and_goes_on_after_reopen(van):
    van.disk.fail("EIO", 1)
    van.measure()
    assert van.kit.disk_failed
    assert van.leds()["alarm"] == FAST
    assert van.kit.heard("lab", b"\x05", 100.0) == b"\x15", "the device is told to wait"
    van.kit.reopen()
    assert not van.kit.disk_failed
    assert van.leds()["alarm"] != FAST
    assert van.measure(1).is_good
    assert van.spool()


def test_a_card_that_fails_under_the_link_stops_it_until_reopen_and_then_goes_on_over_the_same_bearer(van):
    """The new caller had no bearer: after a reopen the kit was mute until its process was started again."""
    van.measure()
    van.call()
    van.disk.fail("EIO", 4)
    van.roads.run(10)
    assert van.told("disk-failed")
    assert van.kit.disk_failed
    assert van.kit.link.deadline() is None
    assert van.leds()["alarm"] == FAST
    van.kit.reopen()
    assert van.kit.crossed(), "the shell must ask for the new deadline"
    assert van.roads.run(30, van.is_drained)
    assert len(van.inbox.done) == 2


def test_a_reopen_that_fails_leaves_the_kit_refusing(van):
    van.disk.fail("EIO", 1)
    van.measure()
    van.disk.fail("EIO", 1)
    with pytest.raises(DiskError):
        van.kit.reopen()
    assert van.kit.disk_failed
    van.kit.reopen()
    assert not van.kit.disk_failed


def test_a_card_that_fails_when_a_fresh_study_is_read_does_not_escape_to_the_port(van):
    """`heard` raised, and the kit's process ended, because the link read what had just been captured."""
    van.call()
    van.roads.run(5)
    real = van.disk.read

    def broken(path, offset=0, size=None):
        if path.startswith(("spool", "custody")):
            raise DiskError("bad sector")
        return real(path, offset, size)

    van.disk.read = broken
    van.kit.spool._disk.read = broken
    assert van.measure().is_good
    van.roads.run(5)
    assert not van.kit.disk_failed


def test_one_object_that_cannot_be_read_is_set_aside_and_the_others_arrive(van):
    """One bad sector stopped all intake, and every restart of the kit met it again."""
    for at in range(3):
        van.measure(at)
    bad = next(one for one in van.spool() if one.kind == objects.STUDY)
    van.disk.spoil(van.kit.spool.path(bad.object_id), 100, 10)
    van.call()
    assert van.roads.run(60, lambda: not van.kit.spool.pending())
    assert [one.object_id for one in van.spool(State.REFUSED)] == [bad.object_id]
    assert "bad sector" in van.kit.spool.reason_of(bad.object_id)
    assert len(van.spool(State.RECEIVED)) == 5
    assert not van.kit.disk_failed
    assert any(bad.object_id.hex() in text for text in van.told("alarm"))
    assert van.leds()["alarm"] == DOUBLE


def test_all_objects_on_bad_sectors_are_set_aside_one_by_one(van):
    for at in range(3):
        van.measure(at)
    for one in van.spool():
        van.disk.spoil(van.kit.spool.path(one.object_id), 0, 10)
    van.call()
    assert van.roads.run(60, lambda: len(van.spool(State.REFUSED)) == 6)
    assert not van.kit.disk_failed


def test_no_room_to_note_a_receipt_is_an_alarm_and_the_receipt_comes_again(van, monkeypatch):
    from wire.errors import DiskFull

    van.measure()
    full = [True]
    real = van.disk.rename

    def rename(old, new):
        if full[0] and new.startswith("received"):
            raise DiskFull(f"no room to rename {old}")
        real(old, new)

    monkeypatch.setattr(van.kit.spool._disk, "rename", rename)
    end = van.call()
    van.roads.run(10)
    assert any("no room" in text for text in van.told("alarm"))
    assert not van.kit.disk_failed
    full[0] = False
    van.roads.cut(end)
    after = Van(van.disk)
    after.inbox.done = van.inbox.done
    after.call()
    assert after.roads.run(20, after.is_drained)


def test_a_full_card_is_shown_as_one_until_a_study_finds_room_again(van):
    van.disk.append("full", bytes(van.disk.free() - 4096))
    assert van.hear(b"\x05", 0.0) == b"\x15", "the device is told to wait"
    assert van.leds()["alarm"] == FAST
    assert not van.kit.disk_failed, "nothing is to be opened anew"
    van.disk.remove("full")
    assert van.measure().is_good
    assert van.leds()["alarm"] == SLOW, "somebody should know that it was full"


@pytest.mark.parametrize("fault", ["crash", "EIO"])
def test_a_fault_at_any_call_of_the_way_to_the_receipt_loses_nothing(fault):
    for at in range(1, 400, 7):
        van = Van(SimDisk(at))
        van.disk.fail(fault, at)
        good = False
        try:
            good = van.measure().is_good
            van.call()
            van.roads.run(20, van.is_drained)
        except Crash:
            pass
        met = van.disk.calls >= van.disk.fail_at
        after = Van(van.disk.crash())
        after.inbox.done = van.inbox.done
        after.call()
        assert after.roads.run(60, after.has_nothing_to_send), at
        if good:
            assert len({one.object_id for one in after.spool(State.RECEIVED)}) == 2, at
        if not met:
            return
    raise AssertionError("the last call was never reached")


# Panel and gateways


def test_the_leds_tell_of_devices_labels_and_the_link(van):
    assert van.leds() == {"power": ON, "device": ON, "link": ON, "alarm": OFF}
    van.kit.lost("lab", 1.0)
    assert van.leds()["device"] == SLOW
    van.kit.present("lab")
    assert van.leds()["device"] == ON
    van.measure()
    assert van.leds()["link"] == OFF
    van.call()
    van.roads.run(20, van.is_drained)
    assert van.leds()["link"] == ON


def test_a_label_is_the_patient_of_what_comes_next(van):
    van.kit.heard("labels", LABEL.encode() + b"\r\n", 1.0)
    assert len(van.told("patient")) == 1
    assert not any(LABEL in text for _, text in van.log), "a patient's id is not for the log"
    assert van.kit.capture.patient(2.0).id == LABEL


def test_a_gateway_that_does_not_know_the_key_is_shown_until_a_session_is_made(van):
    van.is_known = False
    van.call()
    van.roads.run(30)
    assert van.kit.denied
    assert van.leds()["alarm"] == DOUBLE
    assert len(van.told("denied")) == 1, "said once, not with every call"
    van.is_known = True
    assert van.roads.run(30, lambda: not van.kit.denied)
    assert van.leds()["alarm"] == OFF


def test_a_study_that_the_centre_refuses_is_kept_with_its_reason_and_shown(van):
    van.inbox.refuse = Refusal(objects.NOT_ALLOWED, "kit van-1 is revoked")
    van.measure()
    van.call()
    assert van.roads.run(20, lambda: len(van.spool(State.REFUSED)) == 2)
    assert "revoked" in van.kit.spool.reason_of(van.spool()[0].object_id)
    assert van.leds()["alarm"] == DOUBLE
    assert van.kit.counts().refused == 2


def test_a_refusal_for_now_changes_nothing(van):
    van.inbox.refuse = Refusal(objects.DISK_FULL, "later")
    van.measure()
    van.call()
    van.roads.run(10)
    assert van.kit.counts().waiting == 2
    van.inbox.refuse = None
    assert van.roads.run(60, van.is_drained)


def test_the_gateways_of_the_enrolment_are_called_in_turn(van):
    assert [van.kit.gateway.name, van.kit.next_gateway().name, van.kit.next_gateway().name] == [
        "ground",
        "second",
        "ground",
    ]


def test_a_kit_without_a_gateway_says_so():
    from dataclasses import replace

    lonely = replace(ENROLMENT, gateways=())
    with pytest.raises(ConfigError, match="kit van-1: its enrolment names no gateway"):
        Kit(KitConfig(), lonely, SimDisk(), Clock(), seeded(b"x"), DarkLamps())


def test_a_wall_clock_that_jumps_a_decade_back_disturbs_nothing(van):
    van.measure()
    van.clock.ms -= 86_400_000 * 3650
    van.measure(1)
    van.call()
    assert van.roads.run(30, van.is_drained)
    assert len(van.inbox.done) == 4


@pytest.mark.parametrize("ms", [0, 4_102_444_800_000], ids=["1970", "2100"])
def test_a_wall_clock_that_knows_nothing_disturbs_nothing(van, ms):
    van.clock.ms = ms
    assert van.measure().is_good
    van.call()
    assert van.roads.run(30, van.is_drained)


def test_nobody_gives_the_kit_an_object(van):
    van.call()
    answer = van.kit.caller._inbox.offered(GATEWAY.public, objects.Offer(bytes(16), objects.FILE, 1, bytes(16)))
    assert isinstance(answer, Refusal)
    assert answer.reason == objects.NOT_WANTED
