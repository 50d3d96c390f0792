"""Iridium's ground: MO messages reach the owner's server once each, MT messages are judged by DirectIP's table."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.simulated.modems.directip import Place, mo_message, mt_confirmation
from hardware.simulated.modems.ground import CLIENT_S_MAX, CLIENTS_MAX, OUTGOING_MAX, QUEUE_MAX, Ground
from hardware.simulated.modems.iridium9602 import place_of
from hardware.simulated.modems.network import TCP, VirtualNetwork
from tests.hardware.modem_bench import Bench, FarEnd, GroundEnd

OWNER = ("192.0.2.10", 10800)
MT = ("192.0.2.20", 10800)
IMEI = "300234063904190"


class Nobody:
    """A modem's place on the bench, for a ground that stands alone."""

    def feed(self, data, now): ...
    def tick(self, now): ...
    def output(self):
        return b""

    def deadline(self):
        return None


class Owner(FarEnd):
    """Takes MO messages: one a connection."""

    def __init__(self, network, answer=b""):
        super().__init__(network, TCP, OWNER)
        self.answer, self.messages = answer, {}

    def poll(self, now):
        for number, socket in enumerate(self.sockets):
            while (data := socket.receive(now)) is not None:
                self.messages[number] = self.messages.get(number, b"") + data
                if self.answer:
                    socket.send(self.answer, now)

    @property
    def whole(self):
        return [raw for raw in self.messages.values() if len(raw) == 3 + int.from_bytes(raw[1:3], "big")]


def ground_of(*faults, answer=b"", **more):
    network = VirtualNetwork()
    owner = Owner(network, answer)
    ground = Ground(network, OWNER, faults, **more)
    ground.subscribe(IMEI)
    ground.listen(*MT)
    return Bench(Nobody(), GroundEnd(ground, IMEI), owner), ground, owner


def mt(payload, imei=IMEI, flags=0, client=b"abcd"):
    head = struct.pack(">BH4s15sH", 0x41, 21, client, imei.encode(), flags)
    body = head + (struct.pack(">BH", 0x42, len(payload)) + payload if payload is not None else b"")
    return struct.pack(">BH", 1, len(body)) + body


def answered(bench, ground, raw, pieces=1):
    socket = ground.network.open(TCP, *MT, bench.now)
    for at in range(0, len(raw), max(1, len(raw) // pieces)):
        socket.send(raw[at : at + max(1, len(raw) // pieces)], bench.now)
        bench.wait(0.5)
    return socket.receive(bench.now)


def status_of(answer):
    assert answer[:6] == b"\x01\x00\x1c\x44\x00\x19"
    return struct.unpack(">h", answer[-2:])[0]


def test_the_message_of_the_guide_to_the_byte():
    """A real message of 59 bytes, found in the field."""
    raw = mo_message(0x70EC0769, "300234063904190", 0, (75, 0), 0x559EBA2C, b"test message from pete", None)
    assert (
        raw
        == bytes.fromhex("01003801001c70ec0769")
        + b"300234063904190"
        + bytes.fromhex("00004b0000559eba2c020016")
        + b"test message from pete"
    )


def test_a_place_in_the_south_and_west():
    raw = mo_message(1, IMEI, 0, (1, 0), 0, b"", Place(-33.5, -70.75, 5))
    assert raw.endswith(bytes.fromhex("03000b0321753046afc800000005"))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("5027.006,+03031.404", Place(50.4501, 30.5234)),
        ("-3330.000,-07045.000", Place(-33.5, -70.75)),
        ("5027.006", None),
        ("x,y", None),
        ("9527.006,03031.404", None),
        ("5067.006,03031.404", None),
    ],
)
def test_a_place_as_a_session_is_told_it(text, place):
    found = place_of(text)
    if place is None:
        assert found is None
    else:
        assert (round(found.north, 4), round(found.east, 4)) == (place.north, place.east)


def test_messages_reach_the_owner_in_order():
    bench, ground, owner = ground_of()
    for number in range(5):
        ground.take_up(IMEI, number, b"message %d" % number, bench.now)
    bench.wait(10.0)
    assert [raw[-9:] for raw in owner.whole] == [b"message %d" % number for number in range(5)]
    assert list(ground.delivered) == [b"message %d" % number for number in range(5)]
    assert ground.undelivered == 0


def test_an_owner_who_is_away_gets_it_when_he_is_back():
    network = VirtualNetwork()
    ground = Ground(network, OWNER)
    bench = Bench(Nobody(), GroundEnd(ground, IMEI))
    ground.take_up(IMEI, 1, b"patience", bench.now)
    bench.wait(100.0)
    assert ground.refused_deliveries > 3
    owner = Owner(network)
    bench.others = (*bench.others, owner)
    bench.wait(61.0)
    assert [raw[-8:] for raw in owner.whole] == [b"patience"]


def test_without_the_confirmation_that_is_agreed_on_it_comes_again():
    bench, ground, owner = ground_of(wants_confirmation=True)
    ground.take_up(IMEI, 1, b"hello", bench.now)
    bench.wait(40.0)
    assert len(owner.whole) == 2
    assert not ground.delivered
    owner.answer = bytes.fromhex("01000405000101")
    bench.wait(120.0)
    assert list(ground.delivered) == [b"hello"]


def test_twice_broken_and_late():
    bench, ground, owner = ground_of("mo-twice@1", "mo-broken@1", "mo-late=30")
    ground.take_up(IMEI, 1, b"hello", bench.now)
    bench.wait(29.0)
    assert not owner.messages
    bench.wait(10.0)
    assert len(owner.messages) == 3
    assert len(owner.whole) == 2


def test_byte_by_byte():
    bench, ground, owner = ground_of("mo-in-pieces")
    ground.take_up(IMEI, 1, b"hello", bench.now)
    bench.wait(1.0)
    assert [raw[-5:] for raw in owner.whole] == [b"hello"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (mt(b"hello"), 1),
        (mt(b"x" * 270), 1),
        (mt(b"x" * 271), -3),
        (mt(b"hello", imei="30023406390419x"), -1),
        (mt(b"hello", imei="300234063904191"), -2),
        (mt(None), -4),
        (mt(b""), -4),
        (mt(None, flags=1), 0),
        (mt(None, flags=2), -9),
        (b"\x01\x00\x03\x42\x00\x00", -7),
        (b"\x02\x00\x03\x42\x00\x00", -7),
        (b"\x01\xff\xff\x42\x00\x00", -7),
        (mt(b"hello")[:-1], None),
    ],
)
def test_what_an_mt_message_is_answered(raw, status):
    bench, ground, _ = ground_of()
    answer = answered(bench, ground, raw)
    assert answer is None if status is None else status_of(answer) == status


def test_an_mt_message_in_pieces_is_one():
    bench, ground, _ = ground_of()
    answer = answered(bench, ground, mt(b"hello"), pieces=7)
    assert answer == mt_confirmation(b"abcd", IMEI.encode(), 1_894_516_586, 1)


@given(st.binary(max_size=80), st.booleans())
def test_any_bytes_are_answered_or_awaited(data, is_begun):
    bench, ground, _ = ground_of()
    answer = answered(bench, ground, (b"\x01\x00" if is_begun else b"") + data)
    assert answer is None or -10 <= status_of(answer) <= 50


def test_clients_are_bounded():
    bench, ground, _ = ground_of()
    sockets = [ground.network.open(TCP, *MT, 0.0) for _ in range(CLIENTS_MAX + 1)]
    assert [one.is_open for one in sockets] == [True] * CLIENTS_MAX + [False]
    bench.wait(CLIENT_S_MAX + 1.0)
    assert not any(one.is_open for one in sockets)
    assert status_of(answered(bench, ground, mt(b"hello"))) == 1


def test_a_message_that_is_being_delivered_is_not_the_one_that_a_full_queue_loses(monkeypatch):
    monkeypatch.setattr("hardware.simulated.modems.ground.OUTGOING_MAX", 2)
    bench, ground, owner = ground_of()
    ground.take_up(IMEI, 1, b"one", bench.now)
    ground.tick(bench.now)
    ground.take_up(IMEI, 2, b"two", bench.now)
    ground.take_up(IMEI, 3, b"three", bench.now)
    bench.wait(30)
    assert list(ground.delivered) == [b"one", b"three"]
    assert [raw.rpartition(b"\2")[2][2:] for raw in owner.whole] == [b"one", b"three"]


def test_undelivered_messages_are_bounded():
    _, ground, _ = ground_of()
    for number in range(OUTGOING_MAX + 1):
        ground.take_up(IMEI, number, b"x", 0.0)
    assert ground.undelivered == OUTGOING_MAX


def test_fifty_wait_and_no_more():
    bench, ground, _ = ground_of()
    for place in range(1, QUEUE_MAX + 1):
        assert ground.queue(IMEI, b"x", bench.now) == place
    assert status_of(answered(bench, ground, mt(b"hello"))) == -5
    assert status_of(answered(bench, ground, mt(b"hello", flags=1))) == 1


def test_statuses_that_depend_on_the_account():
    bench, ground, _ = ground_of("mt-status=-6@1")
    assert status_of(answered(bench, ground, mt(b"hello"))) == -6
    ground.subscribe(IMEI).has_rings = False
    assert status_of(answered(bench, ground, mt(None, flags=2))) == -8
    bench, ground, _ = ground_of(allowed=frozenset({"192.0.2.99"}))
    assert status_of(answered(bench, ground, mt(b"hello"))) == -10
    bench, ground, _ = ground_of("mt-silent")
    assert answered(bench, ground, mt(b"hello")) is None
    assert list(ground.subscribe(IMEI).waiting) == [b"hello"]
