"""The supervisor of ways, in virtual time: what is opened when, where the session goes, and what it costs."""

from datetime import UTC, datetime

import pytest

from edge import ways as ways_module
from edge.config import Cost, DayBudget, Energy, KitConfig, Policy, Way
from edge.kit import Kit
from edge.links import describe
from edge.panel import DarkLamps, rhythms
from edge.policy import Kept, Want
from edge.tariff import Amount
from edge.unanswered import SILENT_RATE_MIN
from edge.way import WAY_TRANSITIONS, RoadStatus, WayEvent, WayState
from edge.way import Way as WayAtWork
from edge.ways import LONE_DEAR_REST_S, LONE_SILENCE_S, MESSAGE_ANSWER_S, POLL_S, SILENCE_S, Ways
from hardware.leds import DOUBLE, SLOW
from node.caller import DOUBT_S
from node.entropy import seeded
from node.idle import NothingToSend
from node.link import Grant, Host
from node.seams import Custody, Receipt
from node.spool import State
from tests.edge.test_kit import ENROLMENT, GATEWAY, PSK, SECOND, SERVER_SIGN
from tests.sim.disk import SimDisk
from tests.sim.roads import Roads
from tests.wire.air import MemoryInbox
from wire.errors import DiskError, Misuse
from wire.objects import STUDY, SUMMARY, Offer
from wire.receipt import sign_receipt

NOON_MS = int(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp() * 1000)
STEP_S = 0.5


class Clock:
    def __init__(self):
        self.roads, self.ms = None, NOON_MS

    def now(self):
        return self.roads.now if self.roads else 0.0

    def time_ms(self):
        return self.ms + int(self.now() * 1000)


class TestRoad:
    """A road of tests: `covered` says whether it gives a bearer, `deaf` whether what is sent over it arrives."""

    __test__ = False

    def __init__(self, ears):
        self.ears, self.is_open, self.end = ears, False, None
        self.covered, self.opened, self.said = True, 0, RoadStatus()
        self.addresses, self.deaf = 1, False

    def open(self):
        self.is_open, self.opened = True, self.opened + 1

    def close(self):
        self.is_open = False
        if self.end is not None:
            self.end.is_open = self.end.far.is_open = False
            self.end = None

    def turn(self):
        self.addresses -= 1
        return self.addresses > 0

    def status(self):
        return self.said


class Scene:
    """A kit with ways, a gateway that gives receipts, and roads between them."""

    def __init__(self, *ways, policy=None, disk=None):
        self.disk, self.clock, self.log = disk or SimDisk(), Clock(), []
        self.config = KitConfig(way=list(ways), policy=policy or Policy(patience_min=10.0))
        self.entropy = seeded(b"ways")
        self.kit = Kit(self.config, ENROLMENT, self.disk, self.clock, self.entropy, DarkLamps(), self.note)
        self.road = {}
        self.answer = lambda given: Receipt(sign_receipt(given.object_id, given.digest + bytes(16), 0, SERVER_SIGN[0]))
        inbox = MemoryInbox(self._answer)
        grant = Grant(PSK, "van-1")
        self.host = Host(GATEWAY, lambda _: grant, lambda _: NothingToSend(), inbox, self.entropy)
        self.second = Host(SECOND, lambda _: grant, lambda _: NothingToSend(), inbox, self.entropy)
        self.roads = self.clock.roads = Roads(self.host, self.second)
        self.ways = Ways(self.kit, self._make, self.disk, self.clock)
        self.roads.nodes.append(self.ways)
        self.used = []

    def _answer(self, given):
        return self.answer(given)

    def note(self, kind, text):
        self.log.append(f"{kind}: {text}")

    def _make(self, terms, ears):
        self.road[terms.name] = TestRoad(ears)
        return self.road[terms.name]

    def put(self, kind=STUDY, size=3000, priority=5, number=None):
        number = len(self.kit.spool.objects()) if number is None else number
        one = self.kit.spool.put(bytes([kind]) * 15 + bytes([number]), kind, bytes(size), priority=priority)
        self.kit.outbox.changed = True
        return one.object_id

    def run(self, seconds, done=lambda: False):
        until = self.roads.now + seconds
        while self.roads.now < until and not done():
            for name, road in self.road.items():
                if road.is_open and road.covered and road.end is None and name != "stick":
                    far = self.second if self.ways.ways[name].terms.gateway == "second" else self.host
                    road.end = self.roads.join(road.ears, far, is_message=name == "sbd")
                    road.end.far.is_open = not road.deaf
                elif road.end is not None and not road.covered:
                    end, road.end = road.end, None
                    self.roads.cut(end)
            self.roads.run(min(STEP_S, until - self.roads.now))
            if self.ways.using is not None and self.used[-1:] != [self.ways.using.name]:
                self.used.append(self.ways.using.name)
        return self

    def deafen(self, name):
        """What is sent over the road does not arrive any more, and nobody says so."""
        self.road[name].end.far.is_open = False

    def state(self, name):
        return self.ways.ways[name].state

    def has(self, object_id):
        return self.kit.spool.get(object_id).state

    def route(self, object_id):
        return next(one["says"] for one in self.told()["waiting"] if one["object_id"] == object_id.hex())

    def told(self):
        return describe(self.ways, self.kit, self.roads.now)


LAN = Way(name="lan", rank=1)
GSM = Way(name="gsm", cost=Cost(per_mb=1.0))
DEAR = Way(name="dear", cost=Cost(per_mb=10.0))


def test_each_cell_of_the_table_of_states():
    scene = Scene(GSM)
    for state in WayState:
        for event in WayEvent:
            way = WayAtWork(scene.ways.ways["gsm"].terms, scene.ways.ways["gsm"].purse, TestRoad(None), 0.0)
            way.state = state
            if (state, event) in WAY_TRANSITIONS:
                way.change(event, 1.0)
                assert way.state is WAY_TRANSITIONS[state, event]
            else:
                with pytest.raises(Misuse, match="cannot happen"):
                    way.change(event, 1.0)


def test_a_way_that_nobody_wants_is_not_opened_and_costs_nothing():
    scene = Scene(GSM).run(600)
    assert scene.road["gsm"].opened == 0
    assert scene.ways.budget.total_spent().micros == 0


def test_one_that_costs_nothing_is_kept_open_and_in_use():
    scene = Scene(LAN, GSM).run(600)
    assert scene.state("lan") is WayState.CARRYING
    assert scene.road["gsm"].opened == 0


def test_what_waits_goes_and_then_the_way_is_closed():
    scene = Scene(GSM)
    one = scene.put()
    scene.run(30)
    assert scene.has(one) is State.RECEIVED
    assert scene.state("gsm") is WayState.CARRYING
    scene.run(200)
    assert scene.state("gsm") is WayState.CLOSED
    assert scene.ways.budget.spent("gsm").size > 3000


def test_the_kit_counts_what_went_over_the_road():
    scene = Scene(GSM)
    scene.put(size=50_000)
    counted = []
    carry = scene.roads.carry
    scene.roads.carry = lambda end, frame: (counted.append(len(frame) + 28), carry(end, frame))
    scene.run(60)
    assert scene.ways.budget.spent("gsm").size == sum(counted)


def test_bulk_waits_for_the_cheap_way_and_what_is_urgent_does_not():
    scene = Scene(LAN, DEAR)
    scene.road["lan"].said = RoadStatus(is_there=False, text="wwan0 is down")
    bulk, urgent = scene.put(), scene.put(SUMMARY, 300, 2)
    scene.run(60)
    assert scene.has(urgent) is State.RECEIVED
    assert scene.has(bulk) is State.WAITING
    assert scene.route(bulk) == "waits for lan: wwan0 is down; dear takes it when lan stays away, until 12:10"
    assert rhythms(scene.kit.panel.condition)["link"] == DOUBLE
    scene.run(600)
    assert scene.has(bulk) is State.RECEIVED
    assert scene.used == ["dear"]


def test_the_session_moves_with_the_way_and_is_not_made_anew():
    scene = Scene(LAN, DEAR)
    scene.road["lan"].covered = False
    scene.put(SUMMARY, 300, 2)
    scene.run(120)
    assert scene.used == ["dear"]
    scene.road["lan"].covered = True
    scene.put(size=20_000)
    scene.run(400)
    assert scene.used == ["dear", "lan"]
    assert scene.kit.caller.tally.counters.handshakes == 1
    assert scene.state("dear") is WayState.CLOSED
    assert not scene.kit.outbox.pending()


def test_a_silent_way_gives_way_to_another_and_rests_longer_each_time():
    scene = Scene(LAN, GSM, policy=Policy(patience_min=0))
    scene.run(10)
    rests = []
    for _ in range(4):
        scene.run(2000, lambda: scene.state("lan") is WayState.CARRYING)
        scene.deafen("lan")
        scene.put(priority=2)
        scene.run(SILENCE_S + 60, lambda: scene.state("lan") is WayState.RESTING)
        rests.append(round(scene.ways.ways["lan"].rest_until - scene.roads.now, -1))
        scene.run(60, lambda: not scene.kit.outbox.pending())
    assert not scene.kit.outbox.pending()
    assert rests[0] < rests[-1] <= 900
    assert "gsm" in scene.used
    assert "nothing heard for" in "\n".join(scene.log)


def test_the_one_before_takes_over_again_when_the_new_one_stays_silent():
    scene = Scene(LAN, DEAR, policy=Policy(patience_min=0))
    scene.road["lan"].covered = False
    scene.put(size=100_000)
    scene.run(90, lambda: scene.used == ["dear"])
    scene.road["lan"].covered = True
    scene.run(30, lambda: scene.road["lan"].end is not None)
    scene.deafen("lan")
    scene.put(size=50_000)
    scene.run(200)
    assert scene.used[:3] == ["dear", "lan", "dear"]
    assert "links: lan: nothing heard" in "\n".join(scene.log)
    assert not scene.kit.outbox.pending()


def satellite_asks():
    """A summary was asked for by satellite, nobody has answered yet, and GSM has just come back."""
    scene = Scene(GSM, Way(name="sbd", url="sbd:///dev/sat", cost=Cost(per_message=0.04)))
    scene.road["gsm"].covered, scene.road["sbd"].deaf = False, True
    scene.put(SUMMARY, 300, 2)
    scene.run(100, lambda: scene.ways.ways["sbd"].purse.traffic.frames_sent > 0)
    scene.road["gsm"].covered = True
    return scene


def test_an_answer_that_is_paid_for_by_the_message_is_waited_for():
    scene = satellite_asks()
    scene.run(MESSAGE_ANSWER_S - 20)
    assert scene.used == ["sbd"]
    assert scene.state("gsm") is WayState.STANDBY
    scene.run(30)
    assert scene.used == ["sbd", "gsm"]


def test_bulk_alone_waits_for_no_answer_of_a_satellite():
    scene = satellite_asks()
    bulk = scene.put()
    scene.run(5)
    assert scene.ways._is_asking(scene.roads.now)
    scene.ways.wants = [want for want in scene.ways.wants if want.offer.object_id == bulk]
    assert not scene.ways._is_asking(scene.roads.now)


def test_the_only_way_is_kept_in_a_silence_and_opened_anew_only_after_long():
    scene = Scene(LAN)
    scene.put()
    scene.road["lan"].deaf = True
    scene.run(LONE_SILENCE_S - 10)
    assert scene.road["lan"].opened == 1
    scene.road["lan"].deaf = False
    scene.run(60)
    assert scene.road["lan"].opened == 2
    assert not scene.kit.outbox.pending()


def test_a_session_is_not_doubted_for_a_way_that_was_never_heard():
    assert SILENCE_S < DOUBT_S


def test_a_day_out_of_coverage_does_not_empty_the_budget_of_the_only_way():
    """It was 190 kB in an hour: 53 bytes a second of HELLOs and probes, and a modem that was always on."""
    gsm = Way(
        name="gsm",
        cost=Cost(per_mb=0.5),
        energy=Energy(watts=1.5, joules_per_start=40),
        budget=DayBudget(money=0.16, joules=30_000),
    )
    scene = Scene(gsm)
    first = scene.put(SUMMARY, 500, 2)
    scene.run(60)
    assert scene.has(first) is State.RECEIVED
    scene.road["gsm"].deaf = True
    second, before = scene.put(SUMMARY, 500, 2), scene.ways.budget.spent("gsm")
    scene.run(3 * 3600)
    spent = scene.ways.budget.spent("gsm") - before
    assert spent.size < 3 * 3600 * SILENT_RATE_MIN + 20_000
    assert spent.millijoules < 0.25 * 30_000_000
    scene.road["gsm"].deaf = False
    scene.run(LONE_DEAR_REST_S + 60)
    assert scene.has(second) is State.RECEIVED


def test_the_minute_of_a_silent_call_is_used_up():
    scene = Scene(Way(name="call", cost=Cost(per_minute=1.0, per_call=0.5), budget=DayBudget(money=3.9)))
    scene.road["call"].deaf = True
    scene.put(priority=1)
    scene.run(50)
    assert scene.state("call") is WayState.TRYING
    scene.run(1200)
    assert scene.ways.budget.spent("call").micros == 3_000_000, "two calls of a minute each"


def test_another_address_of_the_same_way_is_tried_before_another_way():
    scene = Scene(LAN, GSM)
    scene.run(5)
    scene.road["lan"].addresses = 2
    scene.deafen("lan")
    scene.put(priority=1)
    scene.run(SILENCE_S + 5)
    assert scene.road["lan"].addresses == 1
    assert scene.state("lan") is WayState.CARRYING


def test_a_way_without_a_bearer_gives_up_and_says_why():
    scene = Scene(GSM)
    scene.road["gsm"].covered = False
    scene.road["gsm"].said = RoadStatus(text="searching for a network")
    one = scene.put(priority=1)
    scene.run(ways_module.OPENING_S_MAX + 5)
    assert scene.state("gsm") is WayState.RESTING
    assert "no connection within 240 s: searching for a network" in scene.route(one)


# Budgets


def test_a_spent_budget_closes_the_way_until_midnight():
    scene = Scene(Way(name="gsm", cost=Cost(per_mb=1.0), budget=DayBudget(bytes=30_000)))
    one = scene.put(size=100_000, priority=2)
    scene.run(600)
    spent = scene.ways.budget.spent("gsm").size
    assert 20_000 < spent <= 30_000
    assert scene.state("gsm") is WayState.CLOSED
    assert scene.route(one) == "waits for gsm: budget of today spent, until 00:00"
    assert rhythms(scene.kit.panel.condition)["link"] == DOUBLE
    for _ in range(3):
        scene.clock.ms += 86_400_000
        scene.run(300)
    scene.clock.ms += 86_400_000 // 2
    scene.run(300)
    assert scene.ways.budget.spent("gsm").size <= 30_000


def test_the_last_fifth_of_a_budget_is_kept_for_summaries_and_the_end_of_it_for_alarms():
    scene = Scene(Way(name="gsm", cost=Cost(per_mb=1.0), budget=DayBudget(bytes=500_000)))
    bulk = scene.put(size=1_000_000)
    scene.run(300)
    assert 370_000 < scene.ways.ways["gsm"].purse.traffic.bytes_sent < 410_000
    assert "the rest of today's budget is kept for summaries and what is urgent, until 00:00" in scene.route(bulk)
    urgent, routine = scene.put(SUMMARY, 300, 2), scene.put(SUMMARY, 300, 7)
    scene.run(60)
    assert scene.has(urgent) is scene.has(routine) is State.RECEIVED
    assert scene.has(bulk) is State.WAITING
    many = scene.put(SUMMARY, 100_000, 2)
    scene.run(300)
    assert "the rest of today's budget is kept for alarms, until 00:00" in scene.route(many)
    alarm = scene.put(SUMMARY, 300, 1)
    scene.run(60)
    assert scene.has(alarm) is State.RECEIVED


def test_bulk_leaves_what_the_summaries_that_wait_will_cost():
    """They wait for a cheaper way; what they would cost on this one, should it stay away, is theirs beforehand."""
    patient = Policy(patience_min=0, urgent=1)
    scene = Scene(Way(name="gsm", cost=Cost(per_mb=1.0), budget=DayBudget(bytes=500_000)), policy=patient)
    waiting = [Want(Offer(bytes([n]) * 16, SUMMARY, 20_000, bytes(16), 4)) for n in range(3)]
    scene.ways.wants = waiting
    alone = scene.ways._cost_of_first_looks(scene.ways.ways["gsm"])
    assert 60_000 < alone.size < 65_000
    scene.ways.budget.note("gsm", Amount(size=350_000))
    assert scene.ways.view_of(scene.ways.ways["gsm"], 0.0).kept is Kept.FOR_ALL
    scene.ways._first_looks["gsm"] = alone
    assert scene.ways.view_of(scene.ways.ways["gsm"], 0.0).kept is Kept.FROM_BULK


def test_the_budget_of_all_ways_together_binds_too():
    policy = Policy(patience_min=0, budget=DayBudget(bytes=30_000))
    scene = Scene(GSM, DEAR, policy=policy)
    scene.put(size=100_000)
    scene.run(600)
    assert scene.ways.budget.total_spent().size <= 30_000
    assert scene.state("gsm") is scene.state("dear") is WayState.CLOSED


def test_energy_is_counted_by_the_second_and_bounds_how_long_a_way_is_open():
    scene = Scene(Way(name="gsm", energy=Energy(watts=2.0, joules_per_start=50), budget=DayBudget(joules=400)))
    scene.road["gsm"].covered = False
    scene.put()
    scene.run(2000)
    spent = scene.ways.budget.spent("gsm").millijoules / 1000
    assert 300 < spent <= 400
    assert scene.state("gsm") is WayState.CLOSED


def test_energy_is_counted_from_when_something_draws_it():
    scene = Scene(Way(name="gsm", energy=Energy(watts=2.0, joules_per_start=50), budget=DayBudget(joules=400)))
    scene.road["gsm"].covered = False
    scene.road["gsm"].said = RoadStatus(is_drawing=False, text="there is no such line")
    scene.put()
    scene.run(60)
    assert scene.road["gsm"].is_open
    assert scene.ways.budget.spent("gsm").millijoules == 0
    scene.road["gsm"].said = RoadStatus()
    scene.run(10)
    assert 50_000 + 18_000 <= scene.ways.budget.spent("gsm").millijoules <= 50_000 + 22_000
    scene.road["gsm"].said = RoadStatus(is_drawing=False)
    scene.run(2)
    spent = scene.ways.budget.spent("gsm")
    scene.run(60)
    assert scene.ways.budget.spent("gsm") == spent
    scene.road["gsm"].said = RoadStatus()
    scene.run(2)
    assert scene.ways.budget.spent("gsm").millijoules - spent.millijoules < 10_000, "a start is counted once"


def test_a_minute_that_cannot_be_paid_is_not_begun(monkeypatch):
    monkeypatch.setattr("edge.ways.LONE_CALL_SILENCE_S", 1000.0)
    way = Way(name="call", cost=Cost(per_minute=1.0, per_call=0.5), budget=DayBudget(money=3.9))
    scene = Scene(way)
    scene.answer = lambda given: Custody()
    scene.roads.carry = lambda end, frame: None
    scene.put(size=10_000_000, priority=1)
    scene.run(1200)
    assert scene.ways.budget.spent("call").micros == 3_500_000
    assert "budget of today is spent" in "\n".join(scene.log)


def test_quiet_hours_hold_back_everything_but_an_alarm():
    scene = Scene(Way(name="gsm", quiet=["11:00-13:00"], cost=Cost(per_mb=1.0)))
    bulk = scene.put()
    scene.run(300)
    assert scene.road["gsm"].opened == 0
    assert "quiet hours, until 13:00" in scene.route(bulk)
    alarm = scene.put(SUMMARY, 300, 1)
    scene.run(60)
    assert scene.has(alarm) is State.RECEIVED
    assert scene.has(bulk) is State.WAITING
    scene.clock.ms += 3_600_000
    scene.run(60)
    assert scene.has(bulk) is State.RECEIVED


def test_a_power_cut_forgets_nothing_of_what_was_spent():
    scene = Scene(GSM)
    scene.put(size=200_000)
    scene.run(3)
    spent = scene.ways.budget.spent("gsm")
    assert spent.size > 0
    again = Scene(GSM, disk=scene.disk.crash())
    assert spent.fits(again.ways.budget.spent("gsm"))


def test_a_card_that_fails_in_the_budget_stops_the_kit_until_it_is_opened_anew():
    scene = Scene(GSM)
    scene.run(5)
    one = scene.put()
    scene.disk.fail("EIO")
    scene.run(10)
    assert scene.kit.disk_failed
    scene.kit.reopen()
    scene.ways.reopen(scene.roads.now)
    scene.run(400)
    assert scene.has(one) is State.RECEIVED


def test_a_card_that_is_full_or_damaged_is_told_and_stops_nothing():
    disk = SimDisk()
    scene = Scene(GSM, disk=disk)
    disk.write_at("budget", 0, b"x" * 8192)
    again = Scene(GSM, disk=disk)
    assert "cannot be read" in "\n".join(again.log)
    one = again.put()
    assert again.run(60).has(one) is State.RECEIVED
    assert "cannot be read" not in "\n".join(scene.log)


# Persons, sticks, receipts, gateways


def test_a_modem_that_wants_its_pin_is_told_and_tried_again():
    scene = Scene(GSM)
    scene.road["gsm"].covered = False
    scene.road["gsm"].said = RoadStatus(needs_person=True, text="the SIM wants another PIN: put it into secrets.toml")
    one = scene.put(priority=1)
    scene.run(10)
    assert "the SIM wants another PIN" in scene.route(one)
    assert rhythms(scene.kit.panel.condition)["alarm"] == SLOW
    scene.road["gsm"].said, scene.road["gsm"].covered = RoadStatus(), True
    scene.run(120)
    assert scene.has(one) is State.RECEIVED
    assert rhythms(scene.kit.panel.condition)["alarm"] != SLOW


def test_what_lies_on_a_stick_waits_for_it_and_saves_money():
    scene = Scene(GSM, Way(name="stick", url="dir:///media/stick", delay_min=60))
    one, urgent = scene.put(), scene.put(SUMMARY, 300, 2)
    scene.ways.carried([one, urgent], "stick", scene.roads.now)
    scene.run(300)
    assert scene.road["stick"].opened == 1
    assert scene.has(urgent) is State.RECEIVED
    assert "a copy is being carried, until 13:00" in scene.route(one)
    scene.run(3600)
    assert scene.has(one) is State.RECEIVED


def test_receipts_are_asked_for_now_and_then_on_the_cheapest_way_only():
    scene = Scene(GSM)
    scene.answer = lambda given: Custody()
    one = scene.put()
    scene.run(400)
    assert scene.has(one) is State.CUSTODY
    assert scene.state("gsm") is WayState.CLOSED
    signed = sign_receipt(one, scene.kit.spool.get(one).digest + bytes(16), 0, SERVER_SIGN[0])
    scene.answer = lambda given: Receipt(signed)
    opened = scene.road["gsm"].opened
    scene.run(POLL_S - 600)
    assert scene.road["gsm"].opened == opened
    scene.run(1200)
    assert scene.road["gsm"].opened == opened + 1


def test_a_receipt_comes_over_the_dear_way_when_the_cheap_one_is_dead():
    scene = Scene(LAN, Way(name="link", rank=9))
    scene.road["lan"].covered = False
    scene.answer = lambda given: Custody()
    one = scene.put()
    scene.run(1200, lambda: scene.has(one) is State.CUSTODY)
    scene.road["link"].covered = False
    scene.run(60)
    signed = sign_receipt(one, scene.kit.spool.get(one).digest + bytes(16), 0, SERVER_SIGN[0])
    scene.answer = lambda given: Receipt(signed)
    scene.road["link"].covered = True
    scene.run(4 * 600 - 1200)
    assert scene.has(one) is State.CUSTODY
    scene.run(3000)  # one session asks once an hour
    assert scene.has(one) is State.RECEIVED


def test_a_way_may_lead_to_another_gateway():
    scene = Scene(LAN, Way(name="far", gateway="second", cost=Cost(per_mb=1.0)), policy=Policy(patience_min=0))
    scene.run(5)
    assert scene.kit.gateway.name == "ground"
    scene.road["lan"].covered = False
    one = scene.put(priority=1)
    scene.run(120)
    assert scene.has(one) is State.RECEIVED
    assert scene.kit.gateway.name == "second"


def test_what_a_bearer_gives_after_its_road_was_closed_is_not_taken():
    scene = Scene(GSM).run(5)
    closed = []

    class Late:
        """A bearer that comes too late."""

        name, mtu, overhead, is_stream, is_message = "late", 1200, 28, False, False

        def close(self):
            closed.append(self)

    late = Late()
    scene.ways.bearer_up("gsm", late, scene.roads.now)
    scene.ways.receive("gsm", late, b"x" * 30, scene.roads.now)
    scene.ways.bearer_down("gsm", late, scene.roads.now)
    assert closed == [late]
    assert scene.state("gsm") is WayState.CLOSED


def test_when_it_will_be_through_follows_from_the_rate():
    scene = Scene(GSM)
    scene.put(size=3_000)
    scene.run(30)
    scene.roads.carry = lambda end, frame: None  # nothing moves, so that the sums stay simple
    first, second = scene.put(size=10_000), scene.put(size=20_000)
    scene.run(3)
    scene.ways.ways["gsm"].rate_bps = 8000.0
    rows = {row["object_id"]: row["eta_s"] for row in scene.told()["waiting"]}
    assert (rows[first.hex()], rows[second.hex()]) == (10.0, 30.0)
    assert scene.told()["eta_s"] == 30.0


def test_an_orderly_end_closes_every_road_and_makes_the_sums_exact():
    scene = Scene(GSM)
    scene.put(size=100_000)
    scene.run(3)
    scene.ways.stop(scene.roads.now)
    assert not scene.road["gsm"].is_open
    spent = scene.ways.budget.spent("gsm")
    assert Scene(GSM, disk=scene.disk.crash()).ways.budget.spent("gsm") == spent


def test_a_failed_card_is_no_error_of_the_ways():
    scene = Scene(GSM)
    scene.kit.fail(DiskError("as the test wants"))
    scene.put()
    scene.ways.tick(1.0)
    assert scene.ways.deadline() is None


def test_a_way_that_is_only_being_opened_promises_no_time():
    """It said "all through in 0 s" while the modem was dead: the rate was that of an hour ago."""
    scene = Scene(GSM)
    scene.put()
    scene.run(30)
    assert scene.ways.ways["gsm"].rate_bps
    scene.road["gsm"].covered = False
    scene.put(size=100)
    scene.run(30)
    assert scene.state("gsm") is WayState.OPENING
    told = scene.told()
    assert (told["eta_s"], told["in_use"], told["being_tried"]) == (None, [], [])
    assert [row["eta_s"] for row in told["waiting"]] == [None]
    assert scene.route(bytes.fromhex(told["waiting"][0]["object_id"])).startswith("goes as soon as it is open")


@pytest.mark.parametrize(("model", "state"), [("stick", "there"), ("", "no stick")])
def test_a_stick_is_said_to_be_there_when_it_is_in(model, state):
    scene = Scene(Way(name="stick", url="dir:///media/stick"))
    scene.road["stick"].said = RoadStatus(model=model)
    scene.run(5)
    assert scene.told()["ways"][0]["state"] == state


def test_a_gateway_does_not_ask_again_and_again_for_what_the_policy_holds_back():
    """54 kB of a day's 320: each time a summary had gone, the gateway showed itself every 0.8 s, for bulk."""
    scene = Scene(Way(name="gsm", cost=Cost(per_mb=1.0), budget=DayBudget(bytes=200_000)))
    bulk = scene.put(size=1_000_000)
    scene.run(60)
    assert scene.has(bulk) is State.WAITING
    summary = scene.put(SUMMARY, 300, 2)
    scene.run(20, lambda: scene.has(summary) is State.RECEIVED)
    traffic = scene.ways.ways["gsm"].purse.traffic
    scene.run(2)
    before = traffic.frames_received
    scene.run(15)
    assert scene.state("gsm") is WayState.CARRYING
    assert traffic.frames_received - before <= 2


def test_a_summary_goes_twice_into_a_silence_and_not_twenty_times():
    """On a line that had lost much it went each half second until the silence was noticed: 8 kB for 0.6."""
    scene = Scene(GSM)
    scene.put(size=3000)
    scene.run(30)
    scene.kit.caller._line.exchange.flow.pace.overflow.usual_loss = 0.2
    scene.deafen("gsm")
    sent = scene.ways.ways["gsm"].purse.traffic
    before = sent.bytes_sent
    scene.put(SUMMARY, 600, 2)
    scene.run(5)
    assert sent.bytes_sent - before < 3 * 800
