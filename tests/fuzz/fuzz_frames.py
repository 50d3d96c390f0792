"""What a stranger sends to a host or a caller, and what a peer that is let in seals, raises nothing and costs little.

Invariant: `receive` raises no exception, answers a stranger with no more than a few small frames, and a true session
goes on afterwards. The first byte of the input chooses who gets it and how: 0 to 3 the raw frames of a stranger (to the
host or the caller, the index of a live session put in or not), 4 and more the payload of a frame sealed by a peer.
"""

import contextlib
import random

from node.link import HALF_OPEN_MAX
from tests.fuzz.driver import drive
from tests.wire.air import GATEWAY, KIT, PSK, Profile, Wire, World
from wire import objects, records
from wire.errors import AuthError, PeerError
from wire.objects import Custody, Have, Offer, Receipt, Refusal, encode_message
from wire.ranges import RangeSet
from wire.records import Ack, Control, Floor, Ping, Segment
from wire.session import Call, Session, peek
from wire.tag import encode

OFFER = encode(encode_message(0, Offer(b"o" * 16, objects.FILE, 1000, b"d" * 16)))
ANSWERS = (Have(RangeSet([(0, 5), (9, 20)])), Custody(1), Receipt(b"r"), Refusal(objects.BUSY, "x"))
PAYLOADS = [
    records.encode([Control(0, OFFER), Segment(0, 0, b"x" * 100)]),
    records.encode([Ack(RangeSet([(0, 1)])), Floor(1), Ping()]),
    *(records.encode([Control(0, encode(encode_message(0, answer)))]) for answer in ANSWERS),
]
HELLO = Call(KIT, GATEWAY.public, PSK, 3, b"e" * 32, b"").hello
SEEDS = [
    *(bytes((4 + n % 2,)) + payload for n, payload in enumerate(PAYLOADS)),
    b"\0" + HELLO,
    b"\1" + b"\x02\0\0" + bytes(60),
    b"\2" + b"\x03\0\0\0\1" + bytes(40),
    b"\3" + b"\x04\0\0\1" + bytes(8),
]


def world_with_session() -> tuple[World, Wire, Session]:
    """Return a world with a live pair, and a second caller of the same key whose session we hold."""
    world = World(Profile(delay=0.01, rate=1e7), 1)
    world.run(1)
    wire, welcome = Wire(world.air, 1, "stranger"), []
    wire.send = welcome.append
    call = Call(KIT, GATEWAY.public, PSK, 77, random.Random(1).randbytes(32), b"")
    world.host.receive(wire, call.hello, world.now)
    session, _ = call.complete(welcome[0])
    welcome.clear()
    return world, wire, session


def check(data: bytes) -> None:
    """Raise AssertionError when the invariant does not hold."""
    if not data:
        return
    world, wire, session = world_with_session()
    how, body = data[0], data[1:]
    live = world.caller._line.session
    if how < 4:
        index = live.index if how & 1 else live.far_index
        frame = body[:1] + index.to_bytes(2, "big") + body[3:] if how & 2 else body
        (world.caller if how & 1 else world.host).receive(world.wire if how & 1 else wire, frame[:16384], world.now)
    else:
        world.host.receive(wire, session.seal(body[:1400])[1], world.now)
        world.host.tick(world.now + 1)
    assert len(world.host._half_open) <= HALF_OPEN_MAX
    assert world.at_host.finishes == 0
    with contextlib.suppress(PeerError):
        records.decode(body)
    with contextlib.suppress(AuthError):
        peek(body)
    if how < 4:
        assert world.caller._line is not None, "a stranger's frame ended the session"
        object_id = world.up.add(b"still works")
        world.caller.nudge(world.now)
        world.run(40, world.all_received)
        assert object_id in world.at_host.done


if __name__ == "__main__":
    drive(check, SEEDS)
