"""What lies on a stick, from strangers, from damage and from a peer that lies, raises nothing and takes nothing away.

Invariant: a visit ends in order whatever the files hold; no object arrives that was not offered whole by a peer that
is let in; files of others are as they were; and a true parcel beside them is taken. The first byte of the input says
what is made of it: 0 a file called as a parcel, 1 a true parcel damaged by it, 2 the block of a true parcel, 3 a file
of another name, 4 the slip of a parcel of our own.
"""

from node.stick import FOLDER
from tests.fuzz.driver import drive
from tests.node.sticks import Ground, Kit, marked
from tests.wire.air import GATEWAY, KIT, PSK
from wire import objects, records
from wire.blocks import BLOCK_ROOM, About, Packer
from wire.objects import Custody, Have, Offer, Receipt, Refusal, encode_message
from wire.parcel import ParcelName, mailbox, seal
from wire.ranges import RangeSet
from wire.records import Control, Segment
from wire.tag import encode

OFFER = Offer(b"o" * 16, objects.FILE, 1000, b"d" * 16)
ABOUT = About(OFFER.object_id, OFFER.digest)
NAME = str(ParcelName(mailbox(GATEWAY.public), mailbox(KIT.public), b"f" * 16))
OWN = str(ParcelName(mailbox(KIT.public), mailbox(GATEWAY.public), b"f" * 16))


def parcel(payloads: list[bytes], slip: bytes = b"") -> bytes:
    """Return a parcel of the kit's."""
    return seal(KIT, GATEWAY.public, PSK, b"e" * 32, b"f" * 16, payloads, slip)


def block_of_answers() -> bytes:
    packer = Packer()
    for answer in (Have(RangeSet([(0, 5), (9, 20)])), Custody(), Receipt(b"r"), Refusal(objects.BUSY, "x")):
        packer.answer(ABOUT, answer)
    packer.taken([b"f" * 16])
    return packer.finish()[0]


def block_of_bytes() -> bytes:
    return records.encode([Control(0, encode(encode_message(0, OFFER))), Segment(0, 0, b"x" * 1000)])


SEEDS = [
    b"\0" + parcel([block_of_bytes()]),
    b"\1\0\0\0\0",
    b"\1\0\x02\x10\xff\xff",
    b"\2" + block_of_bytes(),
    b"\2" + block_of_answers(),
    b"\3holiday",
    b"\4\1" + encode(encode_message(0, OFFER)) + encode(encode_message(0, Have(RangeSet([(0, 5)])))),
]


def put(how: int, body: bytes) -> tuple[str, bytes]:
    """Return (name, content) of the file that an input stands for."""
    if how == 1:
        raw = bytearray(parcel([block_of_bytes().rjust(BLOCK_ROOM, b"\0"), block_of_answers()]))
        at = int.from_bytes(body[:3], "big") % len(raw)
        for n, byte in enumerate(body[3:]):
            raw[(at + n) % len(raw)] ^= byte
        return NAME, bytes(raw)
    if how == 2:
        return NAME, parcel([body[:BLOCK_ROOM]])
    if how == 3:
        return "x" + body[:20].hex() + ".parcel", body
    if how == 4:
        return OWN, seal(GATEWAY, KIT.public, PSK, b"e" * 32, b"f" * 16, [block_of_answers()], body)
    return NAME, body


def check(data: bytes) -> None:
    """Raise AssertionError when the invariant does not hold."""
    if not data:
        return
    stick, kit, ground = marked(), Kit(), Ground()
    true = kit.outbox.add(b"a true study")
    kit.visit(stick)
    name, content = put(data[0] % 5, data[1:])
    stick.append(f"{FOLDER}/{name}", content)
    ground.visit(stick)
    assert set(ground.inbox.done) == {true}, "its digest is not that of what came"
    assert name == OWN or stick.read(f"{FOLDER}/{name}") == content
    kit.visit(stick)
    assert set(kit.outbox.receipts) == {true}


if __name__ == "__main__":
    drive(check, SEEDS)
