"""The gateway's side of Iridium without sockets: what is queued, tried again, given up; what counts as heard before."""

from dataclasses import replace

import pytest

from gateway import iridium
from gateway.iridium import (
    BEARERS_MAX,
    DELIVERIES_MAX,
    MT_SIZE_MAX,
    QUEUE_OF_ONE_MAX,
    RETRY_S_MAX,
    RETRY_S_MIN,
    SEEN_MAX,
    TRIES_MAX,
    GroundBearer,
    Inlet,
    Iridium,
    Outbound,
    Outlet,
)
from wire.directip import MO_DONE, MoConfirmation, MoMessage, MtConfirmation, MtFlag, MtMessage, encode
from wire.errors import FormatError, UsageError

IMEI, OTHER = "300234063904190", "300234063904191"


def judged(outbound, status, now=0.0, client_id=None):
    message = outbound.next(now)
    outbound.confirmed(message, MtConfirmation(client_id or message.client_id, message.imei, 1, status), now)
    return message


@pytest.fixture
def outbound():
    return Outbound()


def test_messages_for_one_modem_go_in_order_and_do_not_hold_up_those_for_others(outbound):
    outbound.send(IMEI, b"first")
    outbound.send(IMEI, b"second")
    outbound.send(OTHER, b"third")
    outbound.failed(outbound.next(0.0), "no route", 0.0)
    assert judged(outbound, 1).payload == b"third"
    assert outbound.next(0.0) is None, "the second waits for the first"
    assert outbound.deadline() == RETRY_S_MIN
    assert judged(outbound, 1, RETRY_S_MIN).payload == b"first"
    assert judged(outbound, 50, RETRY_S_MIN).payload == b"second"
    assert outbound.deadline() is None
    assert outbound.sent == 3


def test_a_queue_is_bounded_and_says_when_it_has_room():
    rooms, wakes = [], []
    outbound = Outbound(lambda: wakes.append(1), lambda: rooms.append(1))
    bearer = GroundBearer(IMEI, outbound)
    for number in range(QUEUE_OF_ONE_MAX + 5):
        bearer.send(bytes([number]))
    bearer.send(bytes(MT_SIZE_MAX + 1))
    assert (bearer.room(), outbound.waiting_for(IMEI), len(wakes)) == (0, QUEUE_OF_ONE_MAX, QUEUE_OF_ONE_MAX)
    assert GroundBearer(OTHER, outbound).room() == MT_SIZE_MAX
    judged(outbound, 1)
    assert (bearer.room(), rooms) == (MT_SIZE_MAX, [1])
    judged(outbound, 1)
    assert rooms == [1]


def test_all_queues_together_are_bounded_whoever_says_to_be_how_many_modems():
    rooms = []
    outbound = Outbound(room=lambda: rooms.append(1))
    for number in range(DELIVERIES_MAX + 100):
        outbound.send(f"{number:015}", b"frame")
    assert outbound.waiting_for(f"{DELIVERIES_MAX - 1:015}") == 1
    assert outbound.waiting_for(f"{DELIVERIES_MAX:015}") == 0
    late = GroundBearer(IMEI, outbound)
    assert late.room() == 0
    judged(outbound, 1)
    assert (late.room(), rooms) == (MT_SIZE_MAX, [1])


def test_waits_grow_and_the_message_is_given_up_in_the_end(outbound):
    outbound.send(IMEI, b"frame")
    now, waits = 0.0, []
    while (at := outbound.deadline()) is not None:
        waits.append(max(at, 0.0) - now)
        now = max(at, 0.0)
        outbound.failed(outbound.next(now), "no route", now)
    assert len(waits) == TRIES_MAX
    assert waits[1:4] == [RETRY_S_MIN, 2 * RETRY_S_MIN, 4 * RETRY_S_MIN]
    assert max(waits) <= RETRY_S_MAX
    assert (outbound.refused, outbound.waiting_for(IMEI), outbound.trouble) == (1, 0, f"{IMEI}: no route")


def test_a_full_queue_is_flushed_once_and_then_waited_for(outbound):
    outbound.send(IMEI, b"frame")
    assert judged(outbound, -5).flags == 0
    assert judged(outbound, -5).flags == MtFlag.FLUSH_QUEUE
    assert outbound.next(0.0) is None
    assert judged(outbound, 1, RETRY_S_MAX).flags == MtFlag.FLUSH_QUEUE
    assert outbound.sent == 1


@pytest.mark.parametrize("status", [-1, -2, -3, -4, -7, -8, -10, -11, -12, -99])
def test_a_refusal_that_time_does_not_mend_ends_it(outbound, status):
    outbound.send(IMEI, b"frame")
    judged(outbound, status)
    assert outbound.deadline() is None
    assert (outbound.refused, outbound.sent) == (1, 0)
    assert IMEI in outbound.trouble


@pytest.mark.parametrize("status", [-6, -9])
def test_a_refusal_that_time_mends_is_waited_for(outbound, status):
    outbound.send(IMEI, b"frame")
    judged(outbound, status)
    assert outbound.deadline() == RETRY_S_MIN


def test_a_confirmation_for_another_message_confirms_nothing(outbound):
    outbound.send(IMEI, b"frame")
    judged(outbound, 1, client_id=b"zzzz")
    assert (outbound.sent, outbound.waiting_for(IMEI)) == (0, 1)
    outbound.confirmed(MtMessage(b"gone", IMEI, b"x"), MtConfirmation(b"gone", IMEI, 1, 1), 0.0)
    assert outbound.sent == 0


def mo(number=1, imei=IMEI, **more):
    return replace(MoMessage(number, imei, 0, number % 65536, 0, 1, b"frame"), **more)


class Heard:
    def __init__(self):
        self.frames, self.works = [], True

    def __call__(self, bearer, frame):
        self.frames.append((bearer, frame))
        return self.works


def test_a_repeated_delivery_is_confirmed_and_not_heard_twice():
    heard = Heard()
    ground = Iridium(heard, Outbound())
    assert ground.take(mo())
    assert ground.take(mo())
    assert ground.take(mo(2))
    assert (len(heard.frames), ground.received, ground.repeated) == (2, 2, 1)
    assert heard.frames[0][0] is heard.frames[1][0], "one bearer for one modem"
    assert heard.frames[0][0].name == f"sbd:{IMEI}"


def test_what_could_not_be_taken_is_not_confirmed_and_comes_again():
    heard = Heard()
    heard.works = False
    inlet = Inlet(Iridium(heard, Outbound()))
    assert inlet.feed(encode(mo())) == encode(MoConfirmation(is_taken=False))
    heard.works = True
    assert inlet.feed(encode(mo())) == encode(MoConfirmation(is_taken=True))
    assert len(heard.frames) == 2


def test_a_session_that_brought_nothing_whole_is_confirmed_only():
    heard = Heard()
    ground = Iridium(heard, Outbound())
    assert ground.take(mo(payload=None))
    assert ground.take(mo(2, status=13))
    assert heard.frames == []
    assert all(ground.take(mo(10 + status, status=status)) for status in MO_DONE)
    assert len(heard.frames) == len(MO_DONE)


def test_modems_and_deliveries_that_are_remembered_are_bounded():
    heard = Heard()
    ground = Iridium(heard, Outbound())
    for number in range(BEARERS_MAX + 1):
        ground.take(mo(number, f"{number:015}"))
    first = heard.frames[0][0]
    ground.take(mo(1, "0" * 15, time_s=2))
    assert heard.frames[-1][0] is not first
    for number in range(SEEN_MAX + 1):
        ground.take(mo(number, OTHER))
    before = len(heard.frames)
    ground.take(mo(0, OTHER))
    assert len(heard.frames) == before + 1, "the oldest was forgotten"


@pytest.mark.parametrize(
    ("address", "is_in"),
    [("192.0.2.7", True), ("192.0.2.8", False), ("::ffff:192.0.2.7", True), ("2001:db8::1%eth0", True), ("", False)],
)
def test_addresses_that_may_connect(address, is_in):
    assert Iridium(Heard(), Outbound(), ["192.0.2.7", "2001:db8::/32"]).lets_in(address) is is_in
    assert Iridium(Heard(), Outbound()).lets_in(address)


def test_a_list_that_is_none():
    with pytest.raises(UsageError, match="want addresses"):
        iridium.networks(["192.0.2.1/24"])


def test_a_confirmation_where_a_message_is_expected_ends_the_connection():
    with pytest.raises(FormatError, match="MoConfirmation"):
        Inlet(Iridium(Heard(), Outbound())).feed(encode(MoConfirmation(is_taken=True)))


def test_a_message_where_a_confirmation_is_expected_is_no_confirmation(outbound):
    outbound.send(IMEI, b"frame")
    outlet = Outlet(outbound, outbound.next(0.0))
    assert outlet.hello == encode(outbound.next(0.0))
    outlet.feed(encode(mo()), 0.0)
    assert outlet.is_over
    assert "MoMessage" in outbound.trouble
    outlet.ended("late", 0.0)
    assert outbound.deadline() == RETRY_S_MIN
