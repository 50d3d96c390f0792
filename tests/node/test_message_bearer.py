"""The link over messages in virtual time: what goes, how little it costs, and that one session spans sky and air."""

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.host import HINT_MESSAGES_MAX, WELCOME_MESSAGES_MAX
from node.link import CallerState
from node.post import CHECKS_S, DOUBT_POST_S, HELLO_POST_S_MAX, hello_pause_s
from tests.node.sky import MO_SIZE_MAX, SkyShape, SkyWorld
from tests.wire.air import Profile
from wire.objects import Custody, Receipt, Refusal
from wire.session import FrameKind, peek

HOUR_S = 3600.0
ROADS = {"stream": True, "datagrams": False}


def payload(size, seed=1):
    return random.Random(seed).randbytes(size)


def kinds(frames):
    return [peek(frame)[0] for frame in frames]


def sky_only(*sizes, shape=None, seed=1):
    world = SkyWorld(shape, seed=seed)
    for number, size in enumerate(sizes):
        world.add_summary(payload(size, number))
    world.start_in_sky()
    return world


def resumed(shape=None, seed=1):
    """A world whose session was made in the air and goes on in the sky."""
    world = SkyWorld(shape, seed=seed)
    world.up.add(payload(2000, 99))
    world.start_caller()
    world.run(60, world.all_received)
    world.to_sky()
    world.run(world.now + 60)
    return world


def test_a_small_summary_goes_with_the_hello_and_its_receipt_with_the_welcome():
    world = sky_only(150)
    world.run(HOUR_S, world.all_received)
    assert world.all_received()
    assert kinds(world.sky.sent) == [FrameKind.HELLO]
    assert kinds(world.sky.fetched) == [FrameKind.WELCOME]
    world.run(world.now + 48 * HOUR_S)
    assert len(world.sky.sent) + len(world.sky.fetched) + world.sky.empty_checks == 2, "nothing else is ever said"


class Forger:
    """A modem whose messages anybody can have made."""

    name, mtu, overhead, is_stream, is_message = "sbd:forged", 270, 0, False, True

    def __init__(self, *, is_message=True):
        self.is_message = is_message
        self.answers = []

    def room(self):
        return self.mtu

    def send(self, frame):
        self.answers.append(frame)


def test_forged_messages_do_not_empty_the_account_by_their_hints():
    host = SkyWorld().host
    modem, air = Forger(), Forger(is_message=False)
    for number in range(5000):
        host.receive(
            modem, b"\3" + number.to_bytes(2, "big") + b"no session has this index", 3 * HOUR_S * number / 5000
        )
    assert HINT_MESSAGES_MAX <= len(modem.answers) <= HINT_MESSAGES_MAX + 3 * 12
    host.receive(air, b"\3\1\1no session has this index", 3 * HOUR_S)
    assert len(air.answers) == 1, "elsewhere a hint costs nothing, and none is spared"


@pytest.mark.parametrize("is_welcomed_before", [False, True])
def test_a_hello_that_is_played_again_does_not_empty_the_account_by_its_welcomes(is_welcomed_before):
    world = sky_only(150)
    world.run(HOUR_S, lambda: bool(world.sky.sent))
    hello = world.sky.sent[0]
    if is_welcomed_before:
        world.run(HOUR_S, world.all_received)
        world.start_host()  # a gateway that was started anew knows no more that it has answered it
    modems, start = [Forger() for _ in range(10)], world.now
    for number in range(2000):
        world.host.receive(modems[number % 10], hello, start + 3 * HOUR_S * number / 2000)
    answers = sum(len(modem.answers) for modem in modems)
    assert WELCOME_MESSAGES_MAX <= answers <= WELCOME_MESSAGES_MAX + 3 * 4
    air = Forger(is_message=False)
    world.host.receive(air, hello, start + 3 * HOUR_S)
    assert len(air.answers) == 1, "elsewhere a WELCOME costs nothing"


def test_a_larger_one_begins_in_the_hello():
    world = sky_only(500)
    world.run(HOUR_S, world.all_received)
    assert world.all_received()
    assert kinds(world.sky.sent) == [FrameKind.HELLO, FrameKind.SHORT]
    assert len(world.sky.sent[0]) == MO_SIZE_MAX


def test_a_resumed_session_costs_nothing_before_data():
    world = resumed()
    assert world.sky.sent == [], "a change of bearer is no reason to say anything"
    world.add_summary(payload(260))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, world.all_received)
    assert world.all_received()
    assert kinds(world.sky.sent) == kinds(world.sky.fetched) == [FrameKind.SHORT]
    assert world.caller.tally.counters.handshakes == 1


def test_a_full_message_carries_all_but_24_bytes():
    world = resumed()
    world.add_summary(payload(2000))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, world.all_received)
    full = [frame for frame in world.sky.sent if len(frame) == MO_SIZE_MAX]
    assert len(full) == len(world.sky.sent) - 1 == 6
    offer_size = 4 + 1 + 1 + 32 + 2 + 3 + 2
    assert sum(map(len, world.sky.sent)) - 2000 - offer_size <= 24 * len(world.sky.sent)


def test_bulk_waits_for_a_bearer_that_admits_it():
    world = sky_only(150)
    bulk = payload(5000)
    object_id = world.up.add(bulk)
    world.run(24 * HOUR_S)
    assert set(world.up.objects) == {object_id}
    world.to_air()
    world.run(world.now + 60, world.all_received)
    assert world.at_host.done[object_id] == bulk


def test_studies_that_are_closed_together_share_messages():
    world = resumed()
    for number in range(4):
        world.add_summary(payload(20, number))
        world.caller.nudge(world.now)
        world.run(world.now + 0.5)
    world.run(world.now + HOUR_S, world.all_received)
    assert len(world.sky.sent) == 1
    assert len(world.sky.fetched) == 1


def test_a_receipt_takes_the_place_of_the_custody_before_it():
    world = resumed()
    world.at_host.verdict = lambda offer: Custody()
    object_id = world.add_summary(payload(250))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, lambda: object_id in world.at_host.done)
    world.run(world.now + 5)
    world.host.answer(
        world.caller.progress(0) and next(iter(world.host.tallies)), object_id, Receipt(b"signed"), world.now
    )
    world.run(world.now + HOUR_S, world.all_received)
    assert world.up.receipts[object_id] == b"signed"
    assert world.up.custody == set()
    assert len(world.sky.fetched) == 1


def test_the_mailbox_is_looked_into_ever_less_often_and_then_not_at_all():
    world = resumed()
    world.at_host.verdict = lambda offer: Custody()
    looks = []
    world.sky.kitside.fetch = lambda: looks.append(world.now)
    sent = world.sky.kitside.send

    def send(frame):
        looks.append(world.now)
        sent(frame)

    world.sky.kitside.send = send
    world.sky.shape.loses_down = 1.0
    world.add_summary(payload(100))
    world.caller.nudge(world.now)
    world.run(world.now + DOUBT_POST_S - 60)
    waits = [late - early for early, late in pairwise(looks)]
    assert waits == pytest.approx(CHECKS_S, abs=120)
    assert len(looks) == 1 + len(CHECKS_S)


def test_a_hello_that_is_not_answered_goes_again_with_growing_pauses():
    world = sky_only(100, shape=SkyShape(loses_up=1.0))
    world.run(48 * HOUR_S)
    assert 5 <= len(world.sky.sent) <= 14
    assert len(set(world.sky.sent)) == 1, "byte for byte"
    assert world.sky.credits <= 120, "two days of silence are bounded"
    assert hello_pause_s(1 << 20) == HELLO_POST_S_MAX


def test_nothing_is_said_when_there_is_nothing_to_say():
    world = SkyWorld()
    world.start_in_sky()
    world.run(48 * HOUR_S)
    assert world.sky.credits == 0
    world.add_summary(payload(50))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, world.all_received)
    assert world.all_received()


def test_an_answer_that_rings_is_not_looked_for():
    world = sky_only(400, shape=SkyShape(rings=True))
    world.run(HOUR_S, world.all_received)
    world.run(world.now + 24 * HOUR_S)
    assert world.sky.empty_checks == 0


def test_a_gateway_that_was_started_anew_says_so_once_and_is_called_again():
    world = resumed()
    world.start_host()
    world.add_summary(payload(100))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, world.all_received)
    assert world.all_received()
    assert kinds(world.sky.fetched) == [FrameKind.HINT, FrameKind.WELCOME]


def owing(seed=1):
    """A session whose last words in the air were lost: the air is gone, and much more was said into it."""
    world = SkyWorld(profile=Profile(loss=0.0), seed=seed)
    world.up.add(payload(2000, 99))
    world.start_caller()
    world.run(60, world.all_received)
    world.air.profile.outages = [(world.now, 1e9)]
    return world


def test_a_kit_that_offered_a_day_of_studies_into_nothing_begins_anew_over_messages():
    world = owing()
    for number in range(60):
        world.up.add(payload(20_000, number))
    world.caller.nudge(world.now)
    world.run(world.now + 20)
    world.to_sky()
    world.add_summary(payload(150, 500))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, lambda: len(world.up.objects) == 60)
    assert len(world.up.objects) == 60
    assert kinds(world.sky.sent) == [FrameKind.HELLO]
    world.air.profile.outages = []
    world.to_air()
    world.run(world.now + HOUR_S, world.all_received)
    assert world.all_received()
    assert world.caller.tally.counters.handshakes == 2


def test_a_gateway_that_owes_receipts_of_bulk_does_not_bring_them_by_satellite():
    world = SkyWorld(profile=Profile(loss=0.0))
    world.at_host.verdict = lambda offer: Custody()
    bulk = [world.up.add(payload(2000, number)) for number in range(40)]
    world.start_caller()
    world.run(120, lambda: world.up.custody == set(bulk))
    world.air.profile.outages = [(world.now, 1e9)]
    (peer,) = world.host.tallies
    for object_id in bulk:
        world.host.answer(peer, object_id, Receipt(bytes(119)), world.now)
        world.run(world.now + 5)
    world.to_sky()
    summary = world.add_summary(payload(250, 500))
    world.at_host.verdict = lambda offer: Receipt(b"r") if offer.object_id == summary else Custody()
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, lambda: summary not in world.up.objects)
    assert summary not in world.up.objects
    assert world.sky.credits < 40, "40 receipts are 120 credits"
    world.at_host.verdict = lambda offer: Receipt(bytes(119))
    world.air.profile.outages = []
    world.to_air()
    world.run(world.now + 2 * HOUR_S, world.all_received)
    assert world.all_received()


def test_a_receipt_of_bulk_that_comes_while_messages_carry_waits_for_another_bearer():
    world = SkyWorld(profile=Profile(loss=0.0))
    world.at_host.verdict = lambda offer: Custody()
    bulk = world.up.add(payload(2000, 7))
    world.start_caller()
    world.run(60, lambda: world.up.custody == {bulk})
    world.run(world.now + 30)
    world.to_sky()
    summary = world.add_summary(payload(100, 500))
    world.caller.nudge(world.now)
    world.run(world.now + 100)
    (peer,) = world.host.tallies
    before = world.sky.credits
    world.host.answer(peer, bulk, Receipt(bytes(119)), world.now)
    world.run(world.now + HOUR_S / 2)
    assert world.sky.credits == before
    world.host.answer(peer, summary, Receipt(b"word"), world.now)
    world.to_air()
    world.run(world.now + 120, world.all_received)
    assert world.all_received()
    assert world.caller.tally.counters.handshakes == 1


def test_nothing_is_spent_on_a_session_that_is_known_to_be_gone():
    world = resumed()
    world.start_host()
    world.add_summary(payload(100))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, lambda: world.caller.state is CallerState.TOLD)
    before = len(world.sky.sent)
    for number in range(3):
        world.add_summary(payload(100, number + 10))
        world.caller.nudge(world.now)
    world.run(world.now + HOUR_S, world.all_received)
    assert world.all_received()
    assert FrameKind.HINT not in kinds(world.sky.fetched[1:])
    assert kinds(world.sky.sent[before:])[0] is FrameKind.HELLO


def test_a_kit_that_was_started_anew_brings_its_summary_with_the_hello():
    world = resumed()
    world.add_summary(payload(150))
    world.start_in_sky()
    world.run(world.now + HOUR_S, world.all_received)
    assert world.all_received()
    assert kinds(world.sky.sent) == [FrameKind.HELLO]


@pytest.mark.parametrize("lost_s", [3.2, 3.5, 4.0, 6.0])
def test_a_summary_cut_off_in_the_air_goes_on_in_the_sky_and_back(lost_s):
    world = SkyWorld(profile=Profile(rate=2400, delay=0.9, outages=[(lost_s, 1e9)]))
    world.add_summary(payload(900))
    bulk = world.up.add(payload(30_000))
    world.start_caller()
    world.run(lost_s + 2)
    world.to_sky()
    world.run(world.now + 4 * HOUR_S, lambda: len(world.up.objects) == 1)
    assert set(world.up.objects) == {bulk}
    assert sum(map(len, world.sky.sent)) < 900 + 4 * MO_SIZE_MAX
    world.air.profile.outages = []
    world.to_air()
    world.run(world.now + 600, world.all_received)
    assert world.all_received()
    assert world.caller.tally.counters.handshakes == 1


def seconds_for(world, size):
    world.up.add(payload(size))
    world.caller.nudge(world.now)
    began = world.now
    world.run(began + HOUR_S, world.all_received)
    assert world.all_received()
    return world.now - began


def test_hours_in_the_sky_change_neither_pace_nor_round_trip_of_the_air():
    profile = Profile(loss=0.0)
    plain, mixed = SkyWorld(profile=profile), SkyWorld(profile=profile)
    for world in (plain, mixed):
        world.start_caller()
        seconds_for(world, 100_000)
    mixed.to_sky()
    for number in range(5):
        mixed.add_summary(payload(300, number))
        mixed.caller.nudge(mixed.now)
        mixed.run(mixed.now + HOUR_S)
    assert len(mixed.sky.sent) >= 5
    line = mixed.caller.progress(mixed.now)
    assert line.rtt_s == pytest.approx(plain.caller.progress(plain.now).rtt_s)
    mixed.to_air()
    assert seconds_for(mixed, 100_000) <= 1.15 * seconds_for(plain, 100_000)
    assert mixed.caller.tally.counters.handshakes == 1


def test_a_session_that_was_made_in_the_sky_finds_its_pace_in_the_air():
    profile = Profile(loss=0.0)
    plain, mixed = SkyWorld(profile=profile), SkyWorld(profile=profile)
    plain.start_caller()
    mixed.add_summary(payload(300))
    mixed.start_in_sky()
    mixed.run(HOUR_S, mixed.all_received)
    mixed.to_air()
    assert seconds_for(mixed, 100_000) <= 1.3 * seconds_for(plain, 100_000)
    assert mixed.caller.tally.counters.handshakes == 1


def test_a_refusal_for_now_is_not_met_with_a_message_every_half_minute():
    world = resumed()
    world.at_host.refuse = Refusal(1, "full")
    world.add_summary(payload(200))
    world.caller.nudge(world.now)
    world.run(world.now + 12 * HOUR_S)
    assert len(world.sky.sent) <= 13
    world.at_host.refuse = None
    world.run(world.now + 2 * HOUR_S, world.all_received)
    assert world.all_received()


def test_a_summary_for_the_kit_comes_the_same_way():
    world = resumed()
    object_id = world.add_summary(b"")
    offer, _ = world.up.objects.pop(object_id)
    world.down.objects[object_id] = (offer, b"")
    world.host.nudge(None, world.now)
    world.add_summary(payload(100))
    world.caller.nudge(world.now)
    world.run(world.now + HOUR_S)
    assert object_id in world.at_caller.done


def test_silence_for_hours_ends_in_doubt_and_a_new_call():
    world = resumed(SkyShape(loses_up=1.0))
    world.add_summary(payload(150))
    world.caller.nudge(world.now)
    world.run(world.now + DOUBT_POST_S + HOUR_S)
    assert world.caller.state is CallerState.DOUBTING
    assert FrameKind.HELLO in kinds(world.sky.sent)
    world.sky.shape.loses_up = 0.0
    world.run(world.now + 24 * HOUR_S, world.all_received)
    assert world.all_received()


chances = st.sampled_from([0.0, 0.0, 0.1, 0.3])
shapes = st.builds(
    SkyShape, fails=chances, fails_delivered=chances, loses_up=chances, loses_down=chances, rings=st.booleans()
)
steps = st.lists(st.sampled_from(["summary", "summary", "sky", "air", "kit", "gateway", "wait"]), max_size=12)


@settings(max_examples=60, deadline=None)
@given(shapes, steps, st.integers(0, 1 << 16))
def test_whatever_fails_each_summary_is_there_once_and_the_cost_is_bounded(shape, happens, seed):
    """Over any sky, with restarts of either end and changes of bearer in between."""
    world = SkyWorld(shape, seed=seed)
    rng = random.Random(seed)
    sent = {}

    def add():
        data = rng.randbytes(rng.choice((0, 40, 180, 300, 900)))
        sent[world.add_summary(data + bytes([len(sent)]))] = data + bytes([len(sent)])

    add()
    world.start_in_sky()
    for step in happens:
        if step == "summary":
            add()
            world.caller.nudge(world.now)
        elif step == "kit":
            world.start_in_sky()
        else:
            {"sky": world.to_sky, "air": world.to_air, "gateway": world.start_host, "wait": lambda: None}[step]()
        world.run(world.now + rng.choice((1, 20, 200, 2000)))
    world.to_sky()
    world.run(world.now + 14 * 24 * HOUR_S, world.all_received)
    assert world.at_host.done == sent
    assert world.all_received()
    assert world.at_host.finishes == len(sent)
    full = -(-(sum(map(len, sent.values())) + 200 * len(sent)) // 50)
    assert world.sky.credits <= 40 * (len(happens) + 2) + 12 * full
