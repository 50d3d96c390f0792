"""Parcels: what is packed comes out, damage costs its block, only the reader opens one and only the writer its slip.

What strangers and liars write is refused by one class of error.
"""

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from noise.connection import Keypair, NoiseConnection

from wire import blocks, objects, parcel, records
from wire.blocks import BLOCK_ROOM, BLOCK_SIZE, BLOCKS_MAX, OFFERS_MAX, TAKEN_MAX, About, Packer, read_block, read_slip
from wire.errors import AuthError, FormatError, Misuse, PeerError
from wire.noise import ONE_WAY_NAME, KeyPair
from wire.objects import Custody, Have, Offer, Receipt, Refusal, encode_message
from wire.parcel import OPENING_SIZE, ParcelName, mailbox, open_parcel, open_slip, parse_name, read_opening, seal
from wire.ranges import RangeSet
from wire.records import Ack, Control, Ping, Segment
from wire.tag import encode

KIT, GATEWAY, OTHER = (KeyPair.from_secret(bytes((n,)) * 32) for n in (1, 2, 3))
PSK, PARCEL_ID = b"p" * 32, bytes(range(16))
ABOUT = About(b"o" * 16, b"d" * 16)


def offer(number, size=100, **fields):
    return Offer(number.to_bytes(16, "big"), objects.STUDY, size, bytes(16), **fields)


def sealed(payloads, slip=b"", psk=PSK, far=GATEWAY.public):
    return seal(KIT, far, psk, b"e" * 32, PARCEL_ID, payloads, slip)


def opened(raw, psk=PSK):
    return open_parcel(GATEWAY, raw, lambda public: psk if public == KIT.public else None)


def full(number):
    return bytes((number,)) * BLOCK_ROOM


THREE = [full(1), full(2), b"the end"]


def pack(things, blocks_max=BLOCKS_MAX):
    """Pack objects (offer, data) whole, as far as they fit; return the packer."""
    packer = Packer(blocks_max)
    for given_offer, data in things:
        if not packer.offer(given_offer):
            break
        at = 0
        while at < len(data) and (room := packer.segment_room(given_offer)):
            packer.segment(given_offer, at, data[at : at + room])
            at += room
    return packer


def unpack(payloads):
    """Return what the blocks bring, by object id."""
    found = {}
    for payload in payloads:
        for one, start, data in read_block(payload).segments:
            found.setdefault(one.object_id, bytearray(one.size))[start : start + len(data)] = data
    return {object_id: bytes(data) for object_id, data in found.items()}


# Blocks


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 60_000), max_size=30), st.integers(0, 2**32))
def test_objects_of_any_size_come_out_as_they_went_in(sizes, seed):
    rng = random.Random(seed)
    things = [(offer(n, size), rng.randbytes(size)) for n, size in enumerate(sizes)]
    packer = pack(things)
    payloads = packer.finish()
    assert unpack(payloads) == {one.object_id: data for one, data in things if data}
    assert all(len(payload) == BLOCK_ROOM for payload in payloads[:-1])
    named = {one.object_id for payload in payloads for one in read_block(payload).offers.values()}
    assert named == {one.object_id for one, _ in things}
    slip = read_slip(packer.slip())
    assert {object_id: list(ranges) for object_id, (_, ranges) in slip.items()} == {
        one.object_id: [(0, one.size)] if one.size else [] for one, _ in things
    }


def test_each_block_names_the_objects_of_which_it_holds_bytes():
    data = bytes(range(256)) * 300
    for payload in pack([(offer(1, len(data)), data)]).finish():
        block = read_block(payload)
        assert [one.object_id for one in block.offers.values()] == [offer(1).object_id]
        assert block.segments


def test_small_objects_share_a_block_and_a_block_is_well_filled():
    things = [(offer(n, 700), bytes(700)) for n in range(2000)]
    payloads = pack(things).finish()
    assert len(payloads) * BLOCK_SIZE < 2000 * (700 + 80)


def test_a_parcel_takes_no_more_blocks_and_no_more_objects_than_it_may():
    large = offer(1, 10 * BLOCK_SIZE)
    packer = pack([(large, bytes(large.size))], blocks_max=2)
    assert packer.segment_room(large) == 0
    while packer.offer(offer(100 + len(packer.offers))):
        pass
    assert packer.segment_room(large) == 0
    assert len(packer.finish()) == 2
    packer = Packer()
    for n in range(OFFERS_MAX):
        assert packer.offer(offer(n))
    assert not packer.offer(offer(OFFERS_MAX))
    assert packer.segment_room(offer(OFFERS_MAX)) == 0
    assert packer.offer(offer(0))


def test_the_largest_slip_fits_its_bound():
    packer = Packer()
    for n in range(OFFERS_MAX):
        one = offer(n, objects.SIZE_MAX, note=b"n" * objects.NOTE_SIZE_MAX)
        assert packer.offer(one)
        for run in range(2 * blocks.SLIP_RUNS_MAX):
            packer.offers[one.object_id][1].add(run << 31, (run << 31) + (1 << 30))
    slip = packer.slip()
    assert len(slip) < parcel.SLIP_SIZE_MAX
    assert all(len(ranges) == blocks.SLIP_RUNS_MAX for _, ranges in read_slip(slip).values())


ANSWERS = [Have(RangeSet([(0, 5), (9, 20)])), Custody(), Receipt(b"r" * 120), Refusal(objects.BUSY, "later")]


def test_answers_come_out_with_what_they_are_about():
    packer, said = Packer(), []
    for n in range(1000):
        about = About(n.to_bytes(16, "big"), bytes(16))
        assert packer.answer(about, ANSWERS[n % 4])
        said.append((about, ANSWERS[n % 4]))
    assert packer.taken([PARCEL_ID, bytes(16)])
    found = [read_block(payload) for payload in packer.finish()]
    assert [answer for block in found for answer in block.answers] == said
    assert [one for block in found for one in block.taken] == [PARCEL_ID, bytes(16)]


def test_answers_stop_when_the_parcel_is_full():
    packer = Packer(1)
    while packer.answer(ABOUT, Receipt(b"r" * 512)):
        pass
    while packer.taken([PARCEL_ID] * TAKEN_MAX):
        pass
    assert len(packer.finish()) == 1
    with pytest.raises(Misuse):
        packer.taken([PARCEL_ID] * (TAKEN_MAX + 1))


def said(*messages):
    return Control(0, b"".join(encode(encode_message(0, message)) for message in messages))


@pytest.mark.parametrize(
    "unlawful",
    [
        [Ping()],
        [Ack(RangeSet([(0, 1)]))],
        [Control(1, b"")],
        [Segment(0, 0, b"of nothing")],
        [said(offer(1, 5)), Segment(0, 0, b"too long")],
        [said(offer(1)), Control(0, b"a second time")],
        [said(Custody())],
        [Control(0, encode(encode_message(0, Custody()))[:-1])],
        [Control(0, b"not a tag at all")],
        [Control(0, encode(blocks.Tag(7, 7, bytes(17))))],
        [Control(0, encode(blocks.Tag(7, 7, bytes(16 * (TAKEN_MAX + 1)))))],
        [Control(0, encode(blocks.Tag(7, 6, bytes(32))))],
    ],
)
def test_what_has_no_place_in_a_block_costs_the_block(unlawful):
    with pytest.raises(PeerError):
        read_block(records.encode(unlawful))


def test_what_a_later_version_says_is_passed_over():
    block = read_block(records.encode([Control(0, encode(blocks.Tag(7, 99, b"new")) + said(offer(1)).data)]))
    assert list(block.offers.values()) == [offer(1)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_block_raises_anything_else(payload):
    with contextlib.suppress(PeerError):
        read_block(payload)
    with contextlib.suppress(PeerError):
        read_slip(payload)


# The file


def test_a_parcel_opens_for_its_reader_and_says_who_wrote_it():
    found = opened(sealed(THREE))
    assert (found.peer, found.parcel_id, found.blocks) == (KIT.public, PARCEL_ID, THREE)


def test_a_parcel_opens_in_another_implementation():
    raw = sealed(THREE)
    opening = read_opening(raw)
    theirs = NoiseConnection.from_name(ONE_WAY_NAME)
    theirs.set_as_responder()
    theirs.set_prologue(b"feldsher parcel 1" + raw[:32])
    theirs.set_psks(PSK)
    theirs.set_keypair_from_private_bytes(Keypair.STATIC, GATEWAY.secret)
    theirs.start_handshake()
    assert theirs.read_message(raw[32:128]) == b""
    assert theirs.decrypt(raw[512 : 512 + BLOCK_SIZE]) == THREE[0]
    assert theirs.decrypt(raw[512 + BLOCK_SIZE : 512 + 2 * BLOCK_SIZE]) == THREE[1]
    assert theirs.decrypt(raw[512 + 2 * BLOCK_SIZE : opening.slip_at]) == THREE[2]


def test_the_slip_opens_for_its_writer_alone():
    raw = sealed(THREE, b"what is in it")
    opening = read_opening(raw)
    slip = raw[opening.slip_at : opening.slip_at + opening.slip_size]
    found = open_slip(KIT, opening, slip)
    assert found.note == b"what is in it"
    assert found.is_opening(raw[:512])
    assert found.is_opening(raw[-512:])
    assert not found.is_opening(raw[1:513])
    assert found.is_body(raw[512 : opening.slip_at])
    assert not found.is_body(raw[512 : opening.slip_at - 1])
    with pytest.raises(AuthError):
        open_slip(GATEWAY, opening, slip)
    with pytest.raises(AuthError):
        open_slip(KIT, opening, slip[:-1])
    assert opening.slip_at + opening.slip_size + OPENING_SIZE == len(raw)


def test_who_is_not_let_in_is_named_and_who_is_meant_is_not_told_to_others():
    with pytest.raises(AuthError, match=KIT.public.hex()):
        open_parcel(GATEWAY, sealed(THREE), lambda _: None)
    for raw in (sealed(THREE, psk=b"q" * 32), sealed(THREE, far=OTHER.public)):
        with pytest.raises(AuthError, match="does not open"):
            opened(raw)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damage_costs_the_blocks_that_it_touches(data):
    raw = bytearray(sealed(THREE))
    at = data.draw(st.integers(0, len(raw) - OPENING_SIZE - 1))
    size = data.draw(st.integers(1, 3000))
    for here in range(at, min(at + size, len(raw) - OPENING_SIZE)):
        raw[here] ^= data.draw(st.integers(1, 255)) if here == at else 0xFF
    body_end = read_opening(sealed(THREE)).slip_at
    touched = {(here - OPENING_SIZE) // BLOCK_SIZE for here in range(at, min(at + size, body_end))}
    found = opened(bytes(raw))
    assert found.blocks == [None if n in touched else block for n, block in enumerate(THREE)]


@settings(max_examples=60, deadline=None)
@given(st.integers(OPENING_SIZE, OPENING_SIZE + 2 * BLOCK_SIZE + 600))
def test_a_parcel_that_was_cut_gives_the_blocks_before_the_cut(size):
    raw = sealed(THREE)
    whole = (min(size, OPENING_SIZE + 2 * BLOCK_SIZE) - OPENING_SIZE) // BLOCK_SIZE
    found = opened(raw[:size])
    assert found.blocks[:whole] == THREE[:whole]
    assert all(block is None or block == THREE[n] for n, block in enumerate(found.blocks))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1200), st.booleans())
def test_a_file_that_is_no_parcel_raises_nothing_else(raw, marked):
    raw = sealed([])[: len(raw) // 3] + raw if marked else raw
    with contextlib.suppress(FormatError, AuthError):
        opened(raw)


@pytest.mark.parametrize(("at", "value"), [(24, 0xFF), (28, 0xFF), (28, 0)])
def test_sizes_out_of_bounds_are_refused_before_anything_is_opened(at, value):
    raw = bytearray(sealed(THREE))
    raw[at : at + 4] = bytes((value,)) * 4
    with pytest.raises(FormatError, match="not a parcel"):
        read_opening(bytes(raw))


def test_misuse_is_refused():
    with pytest.raises(Misuse):
        sealed([b"short", b"last"])
    with pytest.raises(Misuse):
        sealed([full(0)] * (BLOCKS_MAX + 1))


def test_the_largest_parcel_opens():
    raw = sealed([full(7)] * BLOCKS_MAX)
    assert len(raw) <= parcel.PARCEL_SIZE_MAX
    assert opened(raw).blocks == [full(7)] * BLOCKS_MAX


def test_names_are_fat_names_and_mean_what_they_say():
    name = ParcelName(mailbox(GATEWAY.public), mailbox(KIT.public), PARCEL_ID)
    assert parse_name(str(name)) == parse_name(str(name).upper()) == name
    assert not set(str(name)) & set('<>:"/\\|?*+,;=[] ')
    assert parse_name(str(name) + ".new") is None
    assert parse_name("holiday.jpg") is None
