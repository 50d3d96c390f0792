"""The hex examples of the format pages that are read by what the pages describe."""

import hashlib
import re
from pathlib import Path

import pytest

from wire import objects
from wire.blocks import About, Packer, read_block, read_slip
from wire.checks import STUDY
from wire.codec import ZSTD, ZSTD_DICTIONARY, unpack
from wire.dictionary import PACKING, dictionary
from wire.entry import Entry
from wire.noise import KeyPair
from wire.parcel import OPENING_SIZE, ParcelName, mailbox, open_parcel, open_slip, read_opening, seal
from wire.ranges import RangeSet
from wire.receipt import Receipt, verify_receipt
from wire.record import Note
from wire.seal import key_id, sign_pair
from wire.study import End, StudyWriter, open_study

FORMATS = Path(__file__).parents[2] / "docs/formats"
SEAL_SECRET = bytes(range(32))
SIGN_SECRET, SIGN_PUBLIC = sign_pair(bytes(range(32, 64)))


def examples(page):
    """Return the bytes of each hex block of a page; what follows a semicolon is a remark."""
    blocks = re.findall(r"```hex\n(.*?)```", (FORMATS / page).read_text(), re.DOTALL)
    return [bytes.fromhex("".join(line.split(";")[0] for line in block.splitlines())) for block in blocks]


def test_the_study_of_the_study_page():
    (raw,) = examples("study.md")
    study = open_study(raw, SEAL_SECRET, {key_id(SIGN_PUBLIC): SIGN_PUBLIC})
    assert study.study_id == bytes(range(0xA0, 0xB0))
    assert (study.kind, study.opened_ms) == (STUDY, 1_700_000_000_000)
    assert study.entries == (Entry(0, (Note("hello").to_tag(1_700_000_000_001),)),)
    assert study.end == End(1, 1_700_000_000_002)
    assert study.signature_ok
    assert not study.damaged


def test_the_study_of_the_study_page_is_what_a_writer_writes():
    from wire.seal import x25519_public

    writer = StudyWriter(bytes(range(0xA0, 0xB0)), 1_700_000_000_000, x25519_public(SEAL_SECRET))
    raw = writer.start()
    raw += writer.entry([Note("hello").to_tag(1_700_000_000_001)], lambda size: bytes(range(64, 64 + size)))
    raw += writer.end(1_700_000_000_002) + writer.signature(SIGN_SECRET)
    assert [raw] == examples("study.md")


def test_the_receipt_of_the_receipt_page():
    (raw,) = examples("receipt.md")
    object_id, digest = bytes(range(16)), bytes(range(32, 64))
    assert verify_receipt(raw, SIGN_PUBLIC, object_id, digest) == Receipt(object_id, digest, 1_700_000_000_000)


@pytest.mark.parametrize(("number", "codec"), [(0, ZSTD), (1, ZSTD_DICTIONARY)])
def test_the_packed_text_of_the_codec_page(number, codec):
    assert unpack(examples("codec.md")[number], codec, 100) == b" ".join([b"hello"] * 6)


def test_the_codec_page_names_the_dictionary():
    assert hashlib.blake2b(dictionary(PACKING), digest_size=8).hexdigest() in (FORMATS / "codec.md").read_text()


PARCEL_KIT, PARCEL_GATEWAY = KeyPair.from_secret(bytes(range(32))), KeyPair.from_secret(bytes(range(32, 64)))
PARCEL_PSK, PARCEL_ID = bytes(range(64, 96)), bytes(range(0xB0, 0xC0))


def parcel_of_the_page():
    block, _, opening, body, slip = examples("parcel.md")
    opening = opening.ljust(OPENING_SIZE, b"\0")
    return block, opening + body + slip + opening


def test_the_parcel_of_the_parcel_page():
    block, raw = parcel_of_the_page()
    found = open_parcel(PARCEL_GATEWAY, raw, lambda public: PARCEL_PSK if public == PARCEL_KIT.public else None)
    assert (found.peer, found.parcel_id, found.blocks) == (PARCEL_KIT.public, PARCEL_ID, [block])
    (offer,) = read_block(block).offers.values()
    assert read_block(block).segments == [(offer, 0, b"hello")]
    assert (offer.object_id, offer.kind, offer.priority) == (bytes(range(0xA0, 0xB0)), objects.STUDY, 5)
    opening = read_opening(raw)
    note = open_slip(PARCEL_KIT, opening, raw[opening.slip_at : -OPENING_SIZE]).note
    assert note[:1] == b"\1"
    assert read_slip(note[1:]) == {offer.object_id: (offer, RangeSet([(0, 5)]))}
    name = ParcelName(mailbox(PARCEL_GATEWAY.public), mailbox(PARCEL_KIT.public), PARCEL_ID)
    assert f"`{name}`" in (FORMATS / "parcel.md").read_text()


def test_the_parcel_of_the_parcel_page_is_what_a_packer_packs():
    block, raw = parcel_of_the_page()
    packer = Packer()
    (offer,) = read_block(block).offers.values()
    packer.segment(offer, 0, b"hello")
    note = b"\1" + packer.slip()
    sealed = seal(
        PARCEL_KIT, PARCEL_GATEWAY.public, PARCEL_PSK, bytes(range(96, 128)), PARCEL_ID, packer.finish(), note
    )
    assert sealed == raw


def test_the_answers_of_the_parcel_page():
    block, raw = examples("parcel.md")[:2]
    (offer,) = read_block(block).offers.values()
    about = About(offer.object_id, offer.digest)
    found = read_block(raw)
    assert found.answers == [(about, objects.Have(RangeSet([(0, 3)])))]
    assert found.taken == [PARCEL_ID]
    packer = Packer()
    packer.answer(*found.answers[0])
    packer.taken(found.taken)
    assert packer.finish() == [raw]
