"""The whole link in virtual time: whatever the line does, objects arrive whole, once, within bounds."""

import random
from collections import Counter

import pytest

from node.caller import EARLY_FLIGHT
from node.host import HALF_OPEN_OF_ONE_MAX
from node.link import HALF_OPEN_MAX, CallerState, Grant
from node.sending import EAGER_SIZE, OFFERS_OF_ONE_MAX
from tests.wire.air import GATEWAY, KIT, PSK, MemoryInbox, Profile, Wire, World
from wire import objects
from wire.noise import KeyPair
from wire.objects import Custody, Damaged, Receipt, Refusal
from wire.session import Call, FrameKind, peek

SEEDS = range(40)


def any_profile(rng: random.Random) -> Profile:
    return Profile(
        rate=rng.choice((2400, 9600, 40000, 1e6)),
        delay=rng.uniform(0.02, 0.9),
        jitter=rng.uniform(0, 0.02),
        loss=rng.choice((0, 0.01, 0.05, 0.2)),
        copies=rng.choice((0, 0.05)),
        reorder=rng.choice((0, 0, 0.05)),
        flips=rng.choice((0, 0, 0.02)),
        queue=rng.choice((8192, 16384, 65536)),
        up_s=rng.choice((0, 30, 60)),
        down_s=rng.choice((5, 15, 40)),
        takes_air=rng.random() < 0.5,
    )


class NonceWatch:
    """No two different frames of one direction may share index and counter within one run of both programs."""

    def __init__(self) -> None:
        self.seen: dict[tuple[int, bytes], bytes] = {}

    def __call__(self, way: int, frame: bytes, now: float) -> None:
        if frame[0] == FrameKind.DATA:
            key = (way, frame[1:5])
            assert self.seen.setdefault(key, frame) == frame, f"a counter was used twice at {now}"


def fill(world: World, rng: random.Random) -> dict[bytes, bytes]:
    sent = {}
    for outbox, count in ((world.up, rng.randint(1, 6)), (world.down, rng.randint(0, 3))):
        for _ in range(count):
            size = rng.choice((0, 1, 200, 2000, EAGER_SIZE, EAGER_SIZE + 1, 30000))
            data = rng.randbytes(size)
            sent[outbox.add(data, rng.randint(1, 9), rng.randbytes(16))] = data
    return sent


@pytest.mark.parametrize("seed", SEEDS)
def test_everything_arrives_once_whatever_the_line_does(seed):
    rng = random.Random(seed)
    world = World(any_profile(rng), seed, call=False)
    world.air.tap = NonceWatch()
    sent = fill(world, rng)
    world.start_caller()
    world.run(4 * 3600, world.all_received)
    assert world.at_host.done | world.at_caller.done == sent
    assert world.at_host.finishes + world.at_caller.finishes == len(sent), "an object was taken over twice"
    assert not world.up.refusals


@pytest.mark.parametrize("seed", SEEDS)
def test_both_programs_are_killed_again_and_again(seed):
    rng = random.Random(seed)
    world = World(any_profile(rng), seed, call=False)
    sent = fill(world, rng)
    world.start_caller()
    for _ in range(6):
        world.run(world.now + rng.uniform(0.5, 40), world.all_received)
        rng.choice((world.start_caller, world.start_host))()
    world.run(world.now + 4 * 3600, world.all_received)
    assert world.at_host.done | world.at_caller.done == sent
    assert world.at_host.finishes + world.at_caller.finishes == len(sent)


@pytest.mark.parametrize("seed", range(8))
def test_an_outage_costs_no_handshake_and_sends_at_most_one_segment_twice(seed):
    profile = Profile(delay=0.75, jitter=0.1, loss=0.01, up_s=30, down_s=15)
    world = World(profile, seed, call=False)
    data = random.Random(seed).randbytes(300000)
    object_id = world.up.add(data)
    world.start_caller()
    world.run(1000, world.all_received)
    progress = world.caller.progress(world.now)
    assert world.at_host.done[object_id] == data
    assert progress.counters.handshakes == 1
    cuts = int(world.now // 45) + 1
    assert progress.segments_twice <= cuts
    assert 300000 * 8 / profile.up_seconds(world.now) / profile.rate > 0.65, "the rate did not come back"


@pytest.mark.parametrize("seed", range(8))
def test_a_killed_sender_goes_on_where_it_was(seed):
    """The early end of the object aside, nothing that arrived is sent again."""
    rng = random.Random(seed)
    world = World(Profile(delay=0.3), seed, call=False)
    data = rng.randbytes(100000)
    world.up.add(data)
    world.start_caller()
    world.run(rng.uniform(5, 15))
    world.air.flying.clear()
    had = next(iter(world.at_host.partial.values()))[2].total
    assert had > 10000
    world.start_caller()
    world.run(1000, world.all_received)
    sent = world.caller.progress(world.now)
    assert sent.payload_sent <= len(data) - had + EARLY_FLIGHT
    assert sent.segments_twice <= 6


def test_a_new_address_is_no_new_session():
    world = World(Profile(delay=0.2, loss=0.01), 3, call=False)
    data = random.Random(3).randbytes(80000)
    world.up.add(data)
    world.down.add(data[:20000])
    world.start_caller()
    for address in range(1, 5):
        world.run(4.0 * address)
        world.address = address
    world.run(600, world.all_received)
    assert world.all_received()
    assert world.caller.progress(world.now).counters.handshakes == 1


def test_a_restarted_host_is_found_at_once():
    """It tells by a hint that it does not know the session; nothing waits for a silence to be long enough."""
    world = World(Profile(delay=0.1), 1, call=False)
    world.up.add(random.Random(1).randbytes(60000))
    world.start_caller()
    world.run(4)
    world.start_host()
    world.run(9)
    assert world.caller.tally.counters.handshakes == 2
    assert world.caller.state is CallerState.UP
    world.run(60, world.all_received)
    assert world.all_received()


def test_a_hint_that_is_about_no_frame_of_ours_is_ignored():
    world = World(Profile(delay=0.1), 1)
    world.run(1)
    world.caller.receive(world.wire, b"\x04\0\0\x01" + bytes(8), world.now)
    assert world.caller.state is CallerState.UP


def test_a_replayed_first_message_does_not_disturb_the_session():
    world = World(Profile(delay=0.1), 2, call=False)
    hellos = []
    world.air.tap = lambda way, frame, now: hellos.append(frame) if frame[0] == FrameKind.HELLO else None
    data = random.Random(2).randbytes(50000)
    world.up.add(data)
    world.start_caller()
    for at in range(1, 20):
        world.run(0.5 * at)
        for _ in range(5):
            world.host.receive(Wire(world.air, 1, "attacker"), hellos[0], world.now)
    world.run(600, world.all_received)
    assert world.at_host.done[next(iter(world.at_host.done))] == data
    assert world.caller.tally.counters.handshakes == 1
    assert world.host.tallies[KIT.public].counters.handshakes == 1


def test_replayed_first_messages_of_yesterday_take_over_nothing_and_are_bounded():
    world = World(Profile(delay=0.1), 2, call=False)
    grant = Grant(PSK, "any")
    world.start_host(lambda _: grant)
    world.start_caller()
    world.run(1)
    rng = random.Random(5)
    others = [KeyPair.from_secret(rng.randbytes(32)) for _ in range(2 * HALF_OPEN_MAX // HALF_OPEN_OF_ONE_MAX)]
    for n in range(3 * HALF_OPEN_MAX):
        call = Call(others[n % len(others)], GATEWAY.public, PSK, n, rng.randbytes(32), b"")
        world.host.receive(Wire(world.air, 1, "attacker"), call.hello, world.now)
    assert len(world.host._half_open) == HALF_OPEN_MAX
    assert len(world.host._lines) == HALF_OPEN_MAX + 1
    world.up.add(b"still works")
    world.caller.nudge(world.now)
    world.run(30, world.all_received)
    assert world.caller.tally.counters.handshakes == 1
    world.run(200)
    assert not world.host._half_open, "sessions that never proved themselves stay"


class Elsewhere(Wire):
    """A wire whose far end is not in this world."""

    def send(self, frame):
        pass


def test_one_caller_that_begins_session_after_session_keeps_nobody_out():
    world = World(Profile(delay=0.1), 2, call=False)
    grant = Grant(PSK, "any")
    world.start_host(lambda _: grant)
    world.start_caller()
    hostile, rng = KeyPair.from_secret(b"h" * 32), random.Random(5)
    for n in range(20):
        world.run(0.01 * n)
        for k in range(HALF_OPEN_MAX):
            call = Call(hostile, GATEWAY.public, PSK, k, rng.randbytes(32), b"")
            world.host.receive(Elsewhere(world.air, 1, "attacker"), call.hello, world.now)
        assert len(world.host._half_open) <= HALF_OPEN_OF_ONE_MAX + 1
    world.run(1)
    assert world.caller.state is CallerState.UP
    assert world.caller.tally.counters.handshakes == 1
    assert world.host.tallies[KIT.public].counters.handshakes == 1


def test_an_urgent_object_overtakes_a_file():
    world = World(Profile(rate=9600, delay=0.25), 1, call=False)
    world.up.add(random.Random(1).randbytes(100000), priority=8)
    world.start_caller()
    world.run(20)
    urgent = world.up.add(b"alarm", priority=1)
    world.caller.nudge(world.now)
    since = world.now
    world.run(60, lambda: urgent in world.at_host.done)
    assert world.now - since < 4.0
    assert world.up.objects, "the file should still be on its way"


def test_custody_first_and_the_receipt_later():
    world = World(Profile(delay=0.1), 1, call=False)
    world.at_host.verdict = lambda offer: Custody()
    object_id = world.up.add(b"x" * 5000)
    world.start_caller()
    world.run(20)
    assert world.up.custody == {object_id}
    assert not world.up.receipts
    world.host.answer(KIT.public, object_id, Receipt(b"signed"), world.now)
    world.run(25)
    assert world.up.receipts == {object_id: b"signed"}


def test_a_receipt_that_was_missed_is_given_again_in_the_next_session():
    world = World(Profile(delay=0.1), 1, call=False)
    world.at_host.verdict = lambda offer: Custody()
    object_id = world.up.add(b"x" * 5000)
    world.start_caller()
    world.run(20)
    world.at_host.verdict = lambda offer: Receipt(b"signed")
    world.start_caller()
    world.run(40)
    assert world.up.receipts == {object_id: b"signed"}
    assert world.at_host.finishes == 1


def test_a_refused_object_is_given_up_and_a_full_disk_is_waited_for():
    world = World(Profile(delay=0.1), 1, call=False)
    world.at_host.refuse = Refusal(objects.DISK_FULL, "3 bytes are free")
    object_id = world.up.add(b"x" * 5000)
    world.start_caller()
    world.run(5)
    assert world.up.refusals == [(object_id, Refusal(objects.DISK_FULL, "3 bytes are free"))]
    world.at_host.refuse = None
    world.run(100, world.all_received)
    assert world.at_host.done == {object_id: b"x" * 5000}
    world.at_host.refuse = Refusal(objects.NOT_ALLOWED)
    world.up.add(b"y")
    world.caller.nudge(world.now)
    world.run(200)
    assert len(world.up.refusals) == 2
    assert not world.up.objects


def test_a_copy_that_arrives_damaged_is_sent_anew_a_bounded_number_of_times():
    world = World(Profile(delay=0.1), 1, call=False)
    world.at_host.finish = lambda peer, object_id: world.at_host.partial.pop((peer, object_id)) and Damaged()
    object_id = world.up.add(b"x" * 5000)
    world.start_caller()
    world.run(120, world.all_received)
    assert [refused for refused, _ in world.up.refusals] == [object_id]
    assert world.up.refusals[0][1].reason == objects.BROKEN
    assert world.at_host.writes <= OFFERS_OF_ONE_MAX * 5


@pytest.mark.parametrize(
    "keys",
    [
        {"identity": KeyPair.from_secret(b"s" * 32)},
        {"psk": b"q" * 32},
        {"far_public": KeyPair.from_secret(b"s" * 32).public},
    ],
    ids=["unknown key", "wrong psk", "wrong host key"],
)
def test_a_wrong_key_is_met_with_a_hint_and_an_event(keys):
    world = World(Profile(delay=0.1), 1, call=False)
    world.start_caller(**keys)
    world.run(15)
    assert world.caller.denials >= 2
    assert world.caller.state is CallerState.CALLING
    assert {event.kind for event in world.host.events()} == {"stranger"}
    assert "denied" in {event.kind for event in world.caller.events()}


def test_a_revoked_kit_is_dropped_and_not_let_in_again():
    world = World(Profile(delay=0.1), 1, call=False)
    allowed = {KIT.public}
    world.start_host(lambda public: Grant(PSK, "kit") if public in allowed else None)
    world.start_caller()
    world.run(2)
    allowed.clear()
    world.host.drop(KIT.public)
    world.up.add(b"too late")
    world.caller.nudge(world.now)
    world.run(60)
    assert not world.at_host.done
    assert world.up.objects


def test_many_small_objects_share_frames():
    world = World(Profile(delay=0.75), 1, call=False)
    for n in range(50):
        world.up.add(random.Random(n).randbytes(150), object_id=bytes((n,)) * 16)
    world.start_caller()
    world.run(60, world.all_received)
    assert len(world.at_host.done) == 50
    assert world.air.packets[0] < 40


def test_an_idle_link_says_something_now_and_then_and_no_more():
    world = World(Profile(delay=0.1), 1)
    world.run(5)
    before = world.air.packets[0]
    world.run(305)
    assert 8 <= world.air.packets[0] - before <= 30


def test_a_host_does_not_probe_for_ever_for_one_who_has_gone():
    world = World(Profile(delay=0.1), 1, call=False)
    world.down.add(bytes(100_000))
    world.start_caller()
    world.run(5)
    world.caller.bearer_down(world.wire, world.now)
    world.run(200)
    before = world.air.packets[1]
    world.run(3600)
    assert world.air.packets[1] == before
    world.caller.bearer_up(world.wire, world.now)
    world.run(3700, world.all_received)
    assert world.all_received(), "the host did not go on when it was called again"
    assert world.caller.tally.counters.handshakes == 1


def test_a_caller_that_ends_leaves_no_question_open():
    world = World(Profile(delay=0.1), 1, call=False)
    world.up.add(bytes(150_000))
    world.start_caller()
    world.run(200, world.all_received)
    world.caller.close(world.now)
    world.caller.bearer_down(world.wire, world.now)
    world.run(world.now + 1)
    before = world.air.packets[1]
    world.run(world.now + 100)
    assert world.air.packets[1] == before


@pytest.mark.parametrize("kind", [FrameKind.HELLO, FrameKind.WELCOME])
@pytest.mark.parametrize("has_more", [False, True], ids=["no more", "early frames"])
def test_a_hello_that_went_twice_tells_no_round_trip_that_is_seconds_too_long(kind, has_more):
    world, left = World(Profile(rate=1e6, delay=0.1), 1, call=False), [kind]
    offer = world.air.offer

    def lose(way: int, frame: bytes, *more: int) -> None:
        if frame[0] in left:
            left.remove(kind)
        else:
            offer(way, frame, *more)

    world.air.offer = lose
    world.up.add(random.Random(1).randbytes(200_000 if has_more else 100))
    world.start_caller()
    seconds = world.run(60, world.all_received)
    assert seconds < (200_000 * 8 / 1e6 + 1.8 if has_more else 4.5)
    world.up.add(bytes(100), object_id=bytes(16))
    world.caller.nudge(world.now)
    world.run(world.now + 2, world.all_received)
    assert world.caller.progress(world.now).rtt_s < 0.3


def test_a_long_outage_keeps_memory_and_air_within_bounds():
    world = World(Profile(delay=0.5, outages=[(10, 4000)]), 1, call=False)
    world.up.add(random.Random(1).randbytes(100000))
    world.start_caller()
    world.run(4000)
    ledger = world.caller._line.exchange.flow.ledger
    assert len(ledger._frames) < 100
    world.run(4100, world.all_received)
    assert world.all_received()
    assert world.now < 4040, "it did not go on at once"


# hostile peers


def flood(world: World, frames) -> None:
    wire = Wire(world.air, 1, "attacker")
    for frame in frames:
        world.host.receive(wire, frame, world.now)
        world.caller.receive(world.wire, frame, world.now)


@pytest.mark.parametrize("seed", range(5))
def test_garbage_is_counted_and_dropped(seed):
    rng = random.Random(seed)
    world = World(Profile(delay=0.1), seed)
    world.run(1)
    index = world.caller._line.session.index
    garbage = [rng.randbytes(rng.randint(0, 1500)) for _ in range(200)]
    shaped = [
        bytes((rng.randint(0, 5),)) + index.to_bytes(2, "big") + rng.randbytes(rng.randint(0, 200)) for _ in range(200)
    ]
    flood(world, garbage + shaped)
    world.up.add(b"still works")
    world.caller.nudge(world.now)
    world.run(60, world.all_received)
    assert world.all_received()
    assert world.host.frames_refused > 100


def test_frames_recorded_from_the_line_do_nothing_when_played_again():
    world = World(Profile(delay=0.1), 1, call=False)
    recorded = []
    world.air.tap = lambda way, frame, now: recorded.append(frame)
    world.up.add(random.Random(1).randbytes(20000))
    world.start_caller()
    world.run(60, world.all_received)
    writes = world.at_host.writes
    flood(world, recorded * 3)
    world.run(world.now + 60)
    assert world.at_host.writes == writes
    assert world.at_host.finishes == 1


class LyingPeer:
    """A caller that is let in and then breaks the protocol, frame by frame."""

    def __init__(self, world: World) -> None:
        self.world, self.wire = world, Wire(world.air, 1, "liar")
        self.call = Call(KIT, GATEWAY.public, PSK, 99, b"e" * 32, b"")
        welcome = []
        self.wire.send = welcome.append
        world.host.receive(self.wire, self.call.hello, world.now)
        self.session, _ = self.call.complete(welcome[0])
        assert peek(welcome[0]) == (FrameKind.WELCOME, 99)

    def say(self, payload: bytes) -> None:
        self.world.host.receive(self.wire, self.session.seal(payload)[1], self.world.now)

    @property
    def is_heard(self) -> bool:
        return KIT.public in self.world.host._peers


def lies():
    from wire.objects import Have, Offer, encode_message
    from wire.ranges import RangeSet
    from wire.records import Ack, Control, Floor, Segment, encode
    from wire.tag import Tag
    from wire.tag import encode as encode_tag

    offer = encode_tag(encode_message(0, Offer(b"o" * 16, objects.FILE, 1000, b"d" * 16)))
    return {
        "an ack of frames never sent": encode([Ack(RangeSet([(0, 500)]))]),
        "commands far ahead": encode([Control(1 << 30, b"x")]),
        "commands that are no tags": encode([Control(0, b"nonsense is not a tag")]),
        "a command too large": encode([Control(0, encode_tag(Tag(7, 1, bytes(5000)))[:200])]),
        "a segment beyond the offered size": encode([Control(0, offer), Segment(0, 990, b"x" * 20)]),
        "a channel offered twice": encode([Control(0, offer + offer)]),
        "an offer of a kind that cannot be": encode([Control(0, encode_tag(Tag(7, 1, b"\0\0" + bytes(40))))]),
        "unlawful records": b"\x3f",
        "a custody in the wrong place": encode([Control(0, encode_tag(Tag(7, 3, b"\0\0more")))]),
    } | {
        "harmless: a gap list for nothing": encode([Control(0, encode_tag(encode_message(5, Have(RangeSet()))))]),
        "harmless: a segment of an unknown channel": encode([Segment(77, 0, b"x")]),
        "harmless: a floor beyond everything": encode([Floor(1 << 50)]),
    }


@pytest.mark.parametrize("name", list(lies()))
def test_a_lying_peer_is_put_off_and_nothing_is_written(name):
    world = World(Profile(delay=0.1), 1, call=False)
    liar = LyingPeer(world)
    liar.say(b"\x01")
    assert liar.is_heard
    liar.say(lies()[name])
    assert liar.is_heard == name.startswith("harmless")
    assert world.at_host.writes == 0


def test_a_peer_that_offers_without_end_is_refused_as_busy():
    from wire.objects import Offer, encode_message
    from wire.records import Control, encode
    from wire.tag import encode as encode_tag

    world = World(Profile(delay=0.1), 1, call=False)
    liar = LyingPeer(world)
    at = 0
    for n in range(1000):
        tag = encode_tag(encode_message(n, Offer(n.to_bytes(16, "big"), objects.FILE, 1000, b"d" * 16)))
        liar.say(encode([Control(at, tag)]))
        at += len(tag)
    line = world.host._peers[KIT.public]
    assert len(line.exchange.receiver.receivings) <= 128
    assert line.exchange.flow.command.room > 0


def test_the_same_seed_is_the_same_run():
    def trace():
        world = World(Profile(loss=0.05, jitter=0.1), 7, call=False)
        frames = Counter()
        world.air.tap = lambda way, frame, now: frames.update({(way, round(now, 6), frame): 1})
        world.up.add(random.Random(7).randbytes(30000))
        world.start_caller()
        world.run(200, world.all_received)
        return frames

    assert trace() == trace()


def test_an_inbox_is_shared_by_sessions_and_an_object_is_written_within_its_size():
    inbox = MemoryInbox()
    world = World(Profile(delay=0.05), 1, call=False)
    world.at_host = inbox
    world.start_host()
    world.up.add(bytes(10))
    world.start_caller()
    world.run(10, world.all_received)
    assert inbox.finishes == 1


def test_what_a_bearer_can_is_not_asked_again_with_each_frame():
    class Asked(Wire):
        """Counts questions for what only some bearers have."""

        questions = 0

        def __getattr__(self, name):
            Asked.questions += name == "rate_bytes_s"
            raise AttributeError(name)

    world = World(Profile(rate=1_000_000, delay=0.05), 1, call=False)
    world.up.add(random.Random(1).randbytes(100_000))
    world.start_caller()
    world.caller.bearer_down(world.wire, world.now)
    world.wire = Asked(world.air, 0)
    world.caller.bearer_up(world.wire, world.now)
    world.run(60, world.all_received)
    assert world.all_received()
    assert Asked.questions < 10, "on a small processor the answer takes longer than sealing a frame"
