"""What is said about objects: read back, bounded, and refused when it makes no sense."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import kinds, objects, varint
from wire.errors import Misuse, PeerError
from wire.objects import Custody, Have, Offer, Receipt, Refusal, decode_message, encode_message
from wire.ranges import RangeSet
from wire.tag import Tag, decode, encode

offers = st.builds(
    Offer,
    st.binary(min_size=16, max_size=16),
    st.integers(1, 15),
    st.integers(0, objects.SIZE_MAX),
    st.binary(min_size=16, max_size=16),
    st.integers(1, 9),
    st.binary(max_size=objects.NOTE_SIZE_MAX),
)
haves = st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 9999)), max_size=60).map(
    lambda runs: Have(RangeSet((a, a + n) for a, n in runs))
)
answers = st.one_of(
    offers,
    haves,
    st.builds(Custody, st.integers(0, 1000)),
    st.builds(Receipt, st.binary(max_size=512), st.integers(0, 1000)),
    st.builds(Refusal, st.integers(0, 255), st.text(max_size=40)),
)


@given(st.integers(0, 1 << 29), answers)
def test_messages_are_read_back_from_their_tags(channel, message):
    tag = decode(encode(encode_message(channel, message)))
    assert decode_message(tag) == (channel, message)


@given(st.integers(0, 8), st.binary(max_size=120))
def test_any_tag_of_the_network_group_is_a_message_or_a_peers_fault(number, data):
    with contextlib.suppress(PeerError):
        decode_message(Tag(kinds.NETWORK, number, data))


def test_a_tag_that_we_do_not_know_is_no_message():
    assert decode_message(Tag(kinds.NETWORK, 0x7F, b"")) is None
    assert decode_message(Tag(kinds.DATABASE, kinds.OFFER, b"")) is None


def test_an_offer_takes_42_bytes():
    offer = Offer(bytes(16), objects.FILE, 300000, bytes(16))
    assert len(encode(encode_message(3, offer))) == 6 + 1 + 1 + 16 + 16 + 4


@pytest.mark.parametrize(
    "field",
    [
        {"object_id": bytes(15)},
        {"kind": 0},
        {"kind": 16},
        {"size": -1},
        {"size": objects.SIZE_MAX + 1},
        {"digest": bytes(32)},
        {"priority": 0},
        {"priority": 10},
        {"note": bytes(objects.NOTE_SIZE_MAX + 1)},
    ],
)
def test_an_offer_out_of_bounds_is_refused(field):
    good = {"object_id": bytes(16), "kind": 6, "size": 1, "digest": bytes(16)}
    with pytest.raises(Misuse, match=next(iter(field))):
        Offer(**(good | field))


def test_a_gap_list_tells_no_more_runs_than_are_allowed_and_refuses_more():
    many = RangeSet((2 * n, 2 * n + 1) for n in range(objects.HAVE_RUNS_MAX + 9))
    told = decode_message(encode_message(0, Have(many)))
    assert told is not None
    assert len(told[1].ranges) == objects.HAVE_RUNS_MAX
    body = varint.encode(0) + (varint.encode(1) + varint.encode(1)) * (objects.HAVE_RUNS_MAX + 1)
    with pytest.raises(PeerError, match="out of bounds"):
        decode_message(Tag(kinds.NETWORK, kinds.HAVE, body))


def test_a_receipt_over_512_bytes_is_refused_on_both_sides():
    with pytest.raises(Misuse):
        encode_message(0, Receipt(bytes(513)))
    with pytest.raises(PeerError):
        decode_message(Tag(kinds.NETWORK, kinds.RECEIPT, b"\0\0" + bytes(513)))


def test_a_long_reason_is_cut_and_says_what_it_stands_for():
    told = decode_message(encode_message(1, Refusal(objects.DISK_FULL, "ä" * 300)))
    assert told is not None
    refusal = told[1]
    assert len(refusal.text.encode()) <= objects.TEXT_SIZE_MAX
    assert refusal.temporary
    assert str(Refusal(objects.BAD_NAME, "../x")) == "a name that cannot be used: ../x"
    assert not Refusal(objects.BAD_NAME).temporary
