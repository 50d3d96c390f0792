"""What every modem owes its seam: a bearer that carries whole frames, an end that is told, a way back from anything.

Virtual time, real drivers, simulated modems with the faults of the field. A failing case replays from knobs and seed.
"""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.modems.seam import ModemState
from tests.node.modems.conformance.entries import ENTRIES
from tests.node.modems.conformance.rig import Rig

BACK_S_MAX = 900.0
"""From any one fault, a bearer is back by then."""
BY_NAME = {entry.name: entry for entry in ENTRIES}
every_modem = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)


def rig_of(entry, *faults, seed=1, **more):
    return Rig(entry.make_sim, entry.make_driver, faults, seed, **more)


def frames_of(seed, count=12):
    """Frames of every size, some of which look like what modems say."""
    chance = random.Random(seed)
    shaped = [
        b"\r\nOK\r\n",
        b"> ",
        b"\r\nCLOSED\r\n",
        b"+++",
        b"\x1a",
        b"\x1b",
        b"\r\nNO CARRIER\r\n",
        b"\n",
        b"\x00" * 9,
    ]
    return [*shaped, *(chance.randbytes(chance.choice((1, 40, 512, 1400))) for _ in range(count))]


def exchange(rig, frames, seconds=5.0):
    """Send frames both ways, each when there is room; return what was sent up."""
    for frame in frames:
        assert rig.run(seconds, lambda: rig.ears.bearer is not None and rig.ears.bearer.room() > 0), rig.tail()
        rig.send(frame)
    rig.run(seconds)


@every_modem
def test_frames_go_both_ways_whole(entry):
    rig = rig_of(entry).open().until_up(60)
    rig.far.is_echoing = True
    frames = frames_of(1)
    exchange(rig, frames)
    assert rig.far.frames == frames
    assert rig.ears.frames == frames
    assert (rig.ears.ups, rig.ears.downs, rig.ears.wrong) == (1, 0, [])
    assert rig.ears.ticks > 0, "nobody was told that there is room again"
    status = rig.driver.status()
    assert (status.state, status.trouble) == (ModemState.UP, "")


@every_modem
def test_a_bearer_that_takes_nothing_has_no_room_and_no_endless_queue(entry):
    rig = rig_of(entry).open().until_up(60)
    bearer = rig.ears.bearer
    assert bearer.room() > 0
    for number in range(500):
        bearer.send(bytes([number % 251]) * 200)
    assert bearer.room() == 0
    rig.run(120.0)
    assert bearer.room() > 0
    assert 0 < len(rig.far.frames) < 500
    assert set(map(len, rig.far.frames)) == {200}
    bearer.send(b"")
    bearer.send(bytes(bearer.mtu + 1))
    rig.run(5.0)
    assert set(map(len, rig.far.frames)) == {200}


@every_modem
def test_an_ear_may_send_from_within(entry):
    """A caller answers in the middle of `receive` and of `bearer_up`."""
    rig = rig_of(entry)
    up, receive = rig.ears.bearer_up, rig.ears.receive

    def bearer_up(bearer, now):
        up(bearer, now)
        bearer.send(b"hello")

    def answer(bearer, frame, now):
        receive(bearer, frame, now)
        if len(rig.ears.frames) < 10:
            bearer.send(frame + b"!")

    rig.ears.bearer_up, rig.ears.receive = bearer_up, answer
    rig.far.is_echoing = True
    rig.open().until_up(60).run(30)
    assert rig.ears.frames == [b"hello" + b"!" * number for number in range(10)]


@every_modem
def test_an_ear_may_hang_up_or_close_from_within(entry):
    rig = rig_of(entry)
    rig.far.is_echoing = True
    rig.open().until_up(60)
    rig.ears.receive = lambda bearer, frame, now: rig.hang_up()
    rig.send(b"x")
    assert rig.run(30, lambda: rig.driver.status().state is ModemState.OFF), rig.tail()
    rig = rig_of(entry)
    rig.far.is_echoing = True
    rig.open().until_up(60)
    rig.ears.receive = lambda bearer, frame, now: bearer.close()
    rig.send(b"x")
    assert rig.run(120, lambda: rig.ears.ups == 2), "a connection that was given up is not made anew"
    assert rig.ears.downs == 1


@every_modem
def test_the_far_end_closes_and_it_comes_back(entry):
    if not entry.is_stream:
        pytest.skip("there is no connection that could be closed")
    rig = rig_of(entry).open().until_up(60)
    rig.far.close(rig.now)
    assert rig.run(60, lambda: rig.ears.downs == 1), rig.tail()
    rig.until_up(60)
    exchange(rig, [b"again"])
    assert rig.far.frames[-1] == b"again"
    assert rig.ears.wrong == []


@every_modem
def test_a_pulled_plug_takes_the_bearer_down_and_comes_back(entry):
    rig = rig_of(entry).open().until_up(60)
    rig.sim.vanish(20.0, rig.now)
    rig.run(1.0)
    assert (rig.ears.bearer, rig.ears.downs) == (None, 1)
    assert rig.driver.status().state is ModemState.OFF
    rig.until_up(120)
    exchange(rig, [b"again"])
    assert b"again" in rig.far.frames


@every_modem
@pytest.mark.parametrize("has_power", [True, False], ids=["with a supply in hand", "without"])
def test_a_hung_modem_is_power_cycled_where_that_can_be(entry, has_power):
    rig = rig_of(entry, has_power=has_power).open().until_up(60)
    rig.sim.hang(rig.now)
    rig.send(b"into the void")
    assert rig.run(60, lambda: rig.ears.downs == 1), "a hang is never seen"
    if has_power:
        rig.until_up(300)
        assert rig.sim.rail.cuts == 1
    else:
        assert not rig.run(1800, lambda: rig.ears.bearer is not None)
        assert "no answer" in rig.driver.status().trouble or "does not answer" in rig.driver.status().trouble
        assert len([1 for _, way, data in rig.talk if way == ">" and b"AT" in data]) < 1800, "it never rests"


@every_modem
def test_who_is_opened_again_at_once_has_had_the_rest_without_supply(entry):
    rig = rig_of(entry).open().until_up(60)
    rig.hang_up()
    rail = rig.sim.rail
    assert rig.run(30, lambda: not rail.is_on), rig.tail()
    off_at = rig.now
    rig.open()
    assert rig.run(30, lambda: rail.is_on), rig.tail()
    assert rig.now - off_at >= 2.0, "a 9602 that was off for less may stay dead"
    rig.until_up(120)
    assert rail.cuts == 1, "it took the ladder to wake it"


@every_modem
def test_who_hangs_up_while_the_supply_is_cut_leaves_it_cut(entry):
    rig = rig_of(entry).open().until_up(60)
    rig.sim.hang(rig.now)
    rig.send(b"into the void")
    assert rig.run(360, lambda: not rig.sim.rail.is_on), rig.tail()
    rig.hang_up()
    rig.run(60)
    assert rig.driver.status().state is ModemState.OFF
    assert not rig.sim.rail.is_on, "it draws its current for nobody"
    assert rig.driver.deadline() is None


@every_modem
def test_hanging_up_ends_the_call_and_spares_energy(entry):
    rig = rig_of(entry).open().until_up(60)
    rig.send(b"last words")
    rig.hang_up()
    assert rig.run(30, lambda: rig.driver.status().state is ModemState.OFF), rig.tail()
    assert rig.far.frames == [b"last words"]
    assert (rig.ears.bearer, rig.ears.downs) == (None, 1)
    assert not rig.sim.rail.is_on, "it still draws its current"
    assert rig.driver.deadline() is None
    rig.run(10)
    rig.far.frames.clear()
    rig.open().until_up(120)
    exchange(rig, [b"again"])
    assert rig.far.frames == [b"again"]


@every_modem
@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.5, 1.0, 3.0, 4.5, 6.0, 8.0, 10.0])
def test_hanging_up_at_any_time_ends_soon(entry, after_s):
    rig = rig_of(entry).open()
    rig.run(after_s)
    rig.hang_up()
    assert rig.run(45, lambda: rig.driver.status().state is ModemState.OFF), rig.tail()
    assert rig.ears.bearer is None
    assert rig.driver.deadline() is None
    rig.hang_up()


@every_modem
def test_calls_in_the_wrong_order_do_no_harm(entry):
    rig = rig_of(entry)
    driver = rig.driver
    driver.hang_up(0.0)
    driver.lost(0.0)
    driver.feed(b"\r\nRDY\r\n", 0.0)
    driver.tick(0.0)
    assert (driver.deadline(), driver.output()) == (None, b"")
    rig.open().open().until_up(60)
    rig.driver.open(rig.now)
    rig.run(2)
    assert rig.ears.ups == 1
    bearer = rig.ears.bearer
    rig.unplug().unplug()
    bearer.send(b"too late")
    bearer.close()
    assert bearer.room() == 0
    assert (rig.ears.ups, rig.ears.downs) == (1, 1)


KNOBS = (
    "echo", "no-echo", "one-byte", "urc-inside=0@*", *(f"urc-inside={at}@30%" for at in range(1, 12)),
    "urc-between@*", "urc-in-data@2",
    "lost-final@5", "lost-final@25", "lost-final@4%", "late-final=8@4", "late-final=2@30%", "cme-error=100@5",
    "cme-error=14@7", "cme-error={connect}:3@1", "cme-error={send}:3@1", "hang@3", "hang={send}@2",
    "restart@9", "restart={send}@2", "vanish=5@6", "vanish={send}:30@2", "boot-garbage", "slow-boot",
    "baud=9600", "baud=19200", "autobaud", "lost-bytes=1", "sim-busy", "slow-search", "flaps=60:20",
    "no-signal", "clock-wrong", "attach-fails", "pdp-deact@2", "pdp-drops=120", "short-accept=100",
    "data-lost@2", "send-fail@2", "prompt-lost@2", "connect-fails", "far-close@2", "silent-data@2",
)  # fmt: skip


def knobs_of(entry):
    known = rig_of(entry).sim.KNOBS
    for knob in KNOBS:
        text = knob.format(send=entry.send, connect=entry.connect)
        if text.partition("=")[0].partition("@")[0] in known:
            yield text


def harms(entry, knob):
    """Tell whether the fault is to send something else than it was given, which no driver can see or mend."""
    harmful = ("lost-bytes", "data-lost") if entry.is_stream else ("lost-bytes", "short-accept", "pdp-deact")
    return knob.startswith(harmful)


def survives(rig, sent, seconds, *, is_harmed):
    """After the fault, what is sent arrives; what arrived before was whole."""
    rig.far.is_echoing = True
    rig.open()
    for number in range(6):
        rig.until_up(BACK_S_MAX)
        rig.send(sent[number])
        rig.run(seconds)
    rig.until_up(BACK_S_MAX)
    for _ in range(200):
        if rig.ears.bearer is not None:
            rig.send(b"the last")
        if rig.run(10.0, lambda: b"the last" in rig.ears.frames):
            break
    assert b"the last" in rig.ears.frames, f"{rig.driver.status()}\n{rig.tail()}"
    assert is_harmed or {*rig.far.frames, *rig.ears.frames} <= {*sent, b"the last"}, "a frame was not whole"
    assert rig.ears.wrong == []


@pytest.mark.parametrize(
    ("name", "knob"), [(entry.name, knob) for entry in ENTRIES for knob in knobs_of(entry)], ids=lambda one: one
)
def test_it_survives_each_fault_of_the_field(name, knob):
    entry = BY_NAME[name]
    rig = rig_of(entry, knob)
    sent = [b"%d " % number + random.Random(number).randbytes(700) for number in range(6)]
    survives(rig, sent, 4.0, is_harmed=harms(entry, knob))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
@pytest.mark.parametrize("name", BY_NAME)
def test_for_any_faults_at_once_frames_are_whole_and_it_never_blocks(name, data):
    entry = BY_NAME[name]
    turned = data.draw(st.lists(st.sampled_from(list(knobs_of(entry))), min_size=1, max_size=4))
    rig = rig_of(entry, *turned, seed=data.draw(st.integers(0, 1 << 16)))
    rig.far.is_echoing = True
    rig.open()
    sent, chance = {b""}, random.Random(len(turned))
    for number in range(10):
        rig.run(chance.uniform(1, 60))
        if rig.ears.bearer is not None:
            frame = b"%d " % number + chance.randbytes(chance.randrange(1, 1300))
            sent.add(frame)
            rig.send(frame)
    if not any(harms(entry, knob) for knob in turned):
        assert {*rig.far.frames, *rig.ears.frames} <= sent
    assert rig.ears.wrong == []
    rig.hang_up()
    assert rig.run(60, lambda: rig.driver.status().state is ModemState.OFF), rig.tail()
