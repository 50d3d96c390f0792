"""Data calls through a simulated exchange, in virtual time: how full they are, how they end, and what a cut costs."""

import itertools
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardware.simulated.modems.exchange import Manner
from node.modems.bare import BareLine
from node.modems.call import CALLER_SILENCE_S, REDIAL_S_MAX, SILENCE_S
from node.modems.script import NoControls
from node.modems.seam import ModemState
from tests.node.modems.calls import Telephones
from wire.framing import enclose

IRIDIUM = Manner(rate_bps=2400, delay_s=0.8)


def data(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize(
    ("profile", "manner", "size", "utilisation"),
    [
        ("csd", Manner(), 32_000, 0.93),
        ("pstn", Manner(), 32_000, 0.9),
        ("iridium", IRIDIUM, 32_000, 0.9),
        ("rudics", IRIDIUM, 8_000, 0.8),
    ],
)
def test_a_file_fills_the_call(profile, manner, size, utilisation):
    world = Telephones(profile=profile, manner=manner).open()
    object_id = world.up.add(data(size))
    seconds = world.run(600, world.all_received) - world.kit.ears.ups[0]
    assert world.at_host.done[object_id] == data(size)
    assert size * 10 / manner.rate_bps / seconds > utilisation
    assert world.exchange.calls_made == 1
    assert world.kit.driver.status().state is ModemState.UP


@pytest.mark.parametrize("seed", range(4))
def test_calls_that_drop_every_minute_cost_neither_handshake_nor_segment(seed):
    manner = Manner(rate_bps=2400, delay_s=0.8, drop_s=60)
    world = Telephones(profile="iridium", manner=manner, seed=seed).open()
    world.up.add(data(32_000))
    world.down.add(data(2_000, 2))
    world.run(3000, world.all_received)
    assert world.all_received()
    cuts = world.exchange.calls_dropped
    assert cuts >= 1
    assert world.caller.tally.counters.handshakes == 1
    assert world.caller.tally.sent.twice <= cuts
    assert [*world.kit.ears.wrong, *world.bank[0].ears.wrong] == []


def test_no_frame_is_taken_for_a_command_when_a_call_has_ended():
    """It stood in the modem's command line, and the ATA of the next call behind it was no command."""
    world = Telephones(profile="iridium", manner=Manner(rate_bps=2400, delay_s=0.8, drop_s=60)).open()
    world.up.add(data(32_000))
    world.run(3000, world.all_received)
    for desk in world.desks:
        ends = [at for at, way, text in desk.talk if way == "<" and text.endswith(b"NO CARRIER\r\n")]
        assert ends
        for end in ends:
            after = [text for at, way, text in desk.talk if way == ">" and end <= at < end + 2]
            assert all(text.startswith(b"AT") for text in after), after
    assert world.now < 24 * world.exchange.calls_made + 160


def test_a_frame_that_comes_too_late_for_a_call_makes_nobody_spin():
    world = Telephones().open()
    world.run(60, lambda: world.kit.ears.bearer is not None)
    world.run(world.now + 5)
    driver = world.kit.driver
    driver.feed(b"\r\nNO CARRIER\r\n", world.now)
    world.kit.ears.bearer.send(b"late")
    driver.tick(world.now + 0.1)
    assert driver.output() == b""
    assert driver.deadline() > world.now + 0.1


def test_the_end_of_a_call_is_seen_in_a_second_and_redialled_at_once():
    world = Telephones(manner=Manner(setup_s=1.0)).open()
    world.up.add(data(60_000))
    world.run(25)
    world.exchange.cut()
    cut_at = world.now
    world.exchange.mend()
    world.run(60, lambda: world.kit.ears.bearer is None)
    assert world.now - cut_at < 1.5
    world.run(90, lambda: world.kit.ears.bearer is not None)
    assert world.now - cut_at < 14, "4 s to dial, 2 s to train, the rest is ours"
    world.run(300, world.all_received)
    assert world.all_received()


def test_the_fall_of_the_carrier_ends_a_call_whose_end_is_not_said():
    world = Telephones(far_faults=["lost-final=A@2"]).open()
    world.kit.has_dcd = True
    world.up.add(data(60_000))
    world.run(25)
    world.kit.sim.say = lambda text, now: None  # NO CARRIER is lost on the line
    world.exchange.cut()
    cut_at = world.now
    world.run(60, lambda: world.kit.ears.bearer is None)
    assert world.now - cut_at < 3


@pytest.mark.parametrize("after_s", [3.0, 3.4, 3.6, 3.9])
def test_a_carrier_that_falls_and_says_so_a_moment_later_ends_one_call(after_s):
    world = Telephones()
    world.kit.has_dcd = True
    world.open().up.add(data(60_000))
    world.run(90, lambda: world.kit.ears.bearer is not None)
    world.run(world.now + after_s)
    world.exchange.cut()
    world.exchange.mend()
    world.run(900, world.all_received)
    assert world.all_received()


def test_a_call_on_which_nothing_comes_back_is_given_up_and_made_anew():
    world = Telephones().open()
    world.up.add(data(60_000))
    world.run(25)
    assert world.kit.ears.bearer is not None
    world.bank[0].driver.feed = lambda text, now: None
    silent_at = world.now
    world.run(300, lambda: world.kit.ears.bearer is None)
    assert SILENCE_S - 1 < world.now - silent_at < SILENCE_S + 15
    assert "+++" in world.kit.said().decode("latin-1")
    del world.bank[0].driver.feed
    world.run(900, world.all_received)
    assert world.all_received()
    assert world.caller.tally.counters.handshakes == 1


def test_redialling_pauses_grow_and_end_at_their_bound():
    world = Telephones(faults=["busy@*"]).open()
    world.run(3600)
    dials = [at for at, way, text in world.kit.talk if way == ">" and b"ATD101" in text]
    gaps = [after - before for before, after in itertools.pairwise(dials)]
    assert gaps[1] < 15
    assert max(gaps) < REDIAL_S_MAX * 1.25 + 30
    assert len(dials) < 60
    assert "BUSY" in world.kit.driver.status().trouble


def test_a_session_goes_on_over_another_modem_of_the_bank():
    world = Telephones(bank=2).open()
    world.up.add(data(40_000))
    world.run(30)
    first, second = world.bank
    assert first.ears.bearer is not None
    world.exchange.join("101", second.sim)
    world.exchange.cut()
    world.exchange.mend()
    world.run(300, world.all_received)
    assert world.all_received()
    assert len(second.ears.ups) >= 1
    assert world.caller.tally.counters.handshakes == 1


class Server:
    """Where RUDICS brings a call: a socket whose bytes are the kit's line."""

    def __init__(self, host):
        self._host, self._lines = host, []

    def accepted(self, socket, now):
        line = BareLine(self._host, NoControls(), "tcp://rudics", 1_000_000)
        line.open(now)
        self._lines.append((socket, line))

    def tick(self, now):
        for socket, line in list(self._lines):
            while (text := socket.receive(now)) is not None:
                line.feed(text, now)
            line.tick(now)
            socket.send(line.output(), now)
            if socket.error:
                line.lost(now)
                self._lines.remove((socket, line))


def test_rudics_brings_calls_to_a_server_and_the_session_knows_no_difference():
    world = Telephones(profile="rudics", dial="200", manner=Manner(rate_bps=2400, delay_s=0.8, drop_s=45))
    server = Server(world.host)
    world.route_to(server)
    carry = world._carry
    world._carry = lambda: (carry(), server.tick(world.now))
    world.open()
    world.up.add(data(16_000))
    world.run(3000, world.all_received)
    assert world.all_received()
    assert world.exchange.calls_made > 1
    assert world.caller.tally.counters.handshakes == 1


@pytest.mark.parametrize("profile", ["csd", "iridium", "pstn"])
def test_hanging_up_leaves_the_call_before_it_says_so(profile):
    world = Telephones(profile=profile).open()
    world.run(90, lambda: world.kit.ears.bearer is not None)
    world.run(world.now + 5)
    for desk in (world.kit, world.bank[0]):
        desk.talk.clear()
    world.kit.driver.hang_up(world.now)
    world.run(world.now + 5, lambda: world.kit.driver.status().state is ModemState.OFF)
    assert world.kit.driver.status().state is ModemState.OFF
    assert world.kit.said().index(b"+++") < world.kit.said().index(b"ATH\r")
    assert b"ATH" not in world.bank[0].said("<")


def test_hanging_up_says_so_and_leaves_the_modem_to_the_next():
    world = Telephones().open()
    world.run(60, lambda: world.kit.ears.bearer is not None)
    world.run(world.now + 5)
    world.kit.driver.hang_up(world.now)
    world.run(world.now + 12, lambda: world.kit.driver.status().state is ModemState.OFF)
    assert world.kit.driver.status().state is ModemState.OFF
    assert world.kit.driver.deadline() is None
    assert world.kit.ears.bearer is None
    world.run(world.now + 10)
    assert world.bank[0].driver.status().state is ModemState.READY
    world.kit.driver.open(world.now)
    world.up.add(data(500))
    world.caller.nudge(world.now)
    world.run(world.now + 90, world.all_received)
    assert world.all_received()


def test_a_modem_that_is_deaf_to_the_escape_loses_dtr():
    world = Telephones().open()
    world.run(60, lambda: world.kit.ears.bearer is not None)
    world.kit.sim.registers[12] = 0  # a guard time of nothing: no silence is long enough
    feed = world.kit.sim.feed
    world.kit.sim.feed = lambda text, now: feed(text.replace(b"+++", b"---"), now)
    world.kit.driver.hang_up(world.now)
    world.run(world.now + 30, lambda: world.kit.driver.status().state is ModemState.OFF)
    assert world.kit.driver.status().state is ModemState.OFF
    world.run(world.now + 5)
    assert not world.kit.sim.has_call()


@pytest.mark.parametrize(
    "said", [b"hello? \r\n", enclose(b"\x01" * 200), enclose(b"\x03" * 40)], ids=["words", "hello", "data"]
)
def test_a_stranger_does_not_keep_a_modem_of_the_bank(said):
    world = Telephones()
    world.bank[0].driver.open(0.0)
    world.run(10)
    call = world.exchange.dial("101", world.now)
    world.run(60, lambda: world.bank[0].ears.bearer is not None)
    began = world.now
    for _ in range(40):
        call.send(0, said, world.now)
        world.run(world.now + 5)
    assert world.bank[0].ears.bearer is None
    assert call.reason == "hung up"
    assert world.bank[0].driver.status().state is ModemState.READY
    assert world.now > began + CALLER_SILENCE_S
    world.kit.driver.open(world.now)
    world.up.add(data(500))
    world.run(world.now + 120, world.all_received)
    assert world.all_received()


def test_a_modem_of_the_bank_that_restarts_answers_again():
    world = Telephones()
    world.bank[0].driver.open(0.0)
    world.run(20)
    world.bank[0].sim.restart(world.now)
    world.run(100)
    world.kit.driver.open(world.now)
    world.up.add(data(500))
    world.run(300, world.all_received)
    assert world.all_received()


def test_an_urgent_object_passes_a_file_on_a_slow_call():
    world = Telephones(profile="iridium", manner=IRIDIUM).open()
    world.up.add(data(30_000), priority=8)
    world.run(90)
    world.up.add(b"alarm" * 20, priority=1)
    world.caller.nudge(world.now)
    world.run(200, lambda: any(len(done) == 100 for done in world.at_host.done.values()))
    assert world.now - 90 < 12, "three frames' time beyond what the way and the frame itself take"


@pytest.mark.parametrize(("profile", "bytes_s"), [("csd", 960), ("iridium", 300), ("pstn", 1200)])
def test_the_rate_of_a_call_is_what_its_narrowest_part_carries(profile, bytes_s):
    world = Telephones(profile=profile).open()
    world.run(60, lambda: world.kit.ears.bearer is not None)
    assert 1 / world.kit.ears.bearer._byte_s == pytest.approx(bytes_s)


KNOBS = (
    "echo", "no-echo", "one-byte", "urc-inside=3@20%", "urc-between@*", "lost-final@5", "lost-final@4%",
    "late-final=2@20%", "cme-error=100@5", "hang=D@1", "restart@9", "restart=D@1", "vanish=5@6", "boot-garbage",
    "slow-boot", "baud=9600", "lost-bytes=0.1", "busy@1", "no-carrier@1", "no-answer@1", "no-dialtone@1", "drop=20@*",
)  # fmt: skip
NEEDS_POWER = ("hang",)


@pytest.mark.parametrize("knob", [knob for knob in KNOBS if not knob.startswith(NEEDS_POWER)])
def test_a_call_survives_each_fault_of_the_field(knob):
    world = Telephones(faults=[knob], manner=Manner(setup_s=1.0)).open()
    world.up.add(data(12_000))
    world.run(1800, world.all_received)
    assert world.all_received(), f"{world.kit.driver.status()}\n{world.kit.tail()}"
    assert world.kit.ears.wrong == []


@pytest.mark.parametrize("knob", ["one-byte", "lost-final=A@1", "urc-between@20%", "drop=20@*", "lost-bytes=0.1"])
def test_the_answering_end_survives_them_too(knob):
    world = Telephones(far_faults=[knob], manner=Manner(setup_s=1.0)).open()
    world.up.add(data(12_000))
    world.run(1800, world.all_received)
    assert world.all_received(), f"{world.bank[0].driver.status()}\n{world.bank[0].tail()}"


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(KNOBS), min_size=1, max_size=4), st.integers(0, 1 << 16))
def test_for_any_faults_at_once_it_never_blocks_and_always_leaves(knobs, seed):
    manner = Manner(setup_s=1.0, drop_s=40, garble=1e-4)
    world = Telephones(faults=knobs, manner=manner, seed=seed).open()
    world.up.add(data(4_000))
    world.run(400)
    assert world.kit.ears.wrong == world.bank[0].ears.wrong == []
    assert all(done == data(4_000) for done in world.at_host.done.values())
    world.kit.driver.hang_up(world.now)
    world.run(world.now + 60, lambda: world.kit.driver.status().state is ModemState.OFF)
    assert world.kit.driver.status().state is ModemState.OFF


@pytest.mark.parametrize(("profile", "told"), [("csd", b"AT+IFC=0,0\r"), ("iridium", b"AT&K0\r"), ("pstn", b"AT&K0\r")])
def test_the_modem_is_told_whether_the_line_can_be_held_up(profile, told):
    world = Telephones(profile=profile).open()
    world.run(30, lambda: world.kit.ears.bearer is not None)
    assert told in world.kit.said()
