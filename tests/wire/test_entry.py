"""Entries: sealed and opened again, cut into pieces, changed, renumbered, moved, with a part missing."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import entry as module
from wire import kinds
from wire.entry import DATA_SIZE_MAX, ENTRY_SIZE_MAX, PIECE_SIZE_MAX, TAG_COUNT_MAX, Entry, open_entry, seal_entry
from wire.errors import AuthError, FormatError, Misuse
from wire.seal import seal_pair
from wire.tag import CONTINUED, HEADER_SIZE_MAX, SEALED, TAGS, Tag, encode

SECRET, PUBLIC = seal_pair(bytes(range(32)))
SEED = b"seed"


def counting():
    """Return an entropy that never gives the same bytes twice."""
    count = 0

    def entropy(size):
        nonlocal count
        count += 1
        return count.to_bytes(size, "big")

    return entropy


def noise(size, seed=1):
    """Return bytes that no codec can pack."""
    import random

    return random.Random(seed).randbytes(size)


inner = st.builds(
    Tag,
    group=st.sampled_from([0x01, 0x09, 0x0B, 0xFF, 0x101, 0x7777]),
    number=st.integers(1, 300),
    data=st.binary(max_size=400),
    time_ms=st.none() | st.integers(0, 2**48 - 1),
    sequence=st.none() | st.integers(0, 2**32 - 1),
    extension=st.none() | st.binary(max_size=20),
)


@settings(max_examples=60)
@given(st.lists(inner, min_size=1, max_size=8), st.integers(0, 2**32 - 1))
def test_what_is_sealed_is_opened(tags, ordinal):
    pieces = seal_entry(ordinal, tags, SEED, PUBLIC, counting())
    assert open_entry(pieces, SEED, SECRET) == Entry(ordinal, tuple(tags))
    assert len(pieces) == 1
    assert pieces[0].sequence == ordinal
    assert pieces[0].target is None
    assert pieces[0].state & (SEALED | TAGS | CONTINUED) == SEALED | TAGS


RAW = Tag(kinds.CAPTURE, kinds.RAW, b"H|\\^&|||XP-100\r" * 20, time_ms=1_700_000_000_000)


def test_the_wrong_key_opens_nothing():
    pieces = seal_entry(0, [RAW], SEED, PUBLIC, counting())
    with pytest.raises(AuthError):
        open_entry(pieces, SEED, seal_pair(bytes(32))[0])


def test_an_entry_of_another_study_does_not_open():
    pieces = seal_entry(0, [RAW], SEED, PUBLIC, counting())
    with pytest.raises(AuthError):
        open_entry(pieces, b"tree", SECRET)


@pytest.mark.parametrize(
    "change",
    [{"sequence": 4}, {"target": 0}, {"time_ms": 0}, {"state": SEALED | 1}, {"extension": b""}, {"source": 1}],
)
def test_a_tampered_header_breaks_the_seal(change):
    (piece,) = seal_entry(3, [RAW], SEED, PUBLIC, counting())
    with pytest.raises(AuthError):
        open_entry([replace(piece, **change)], SEED, SECRET)


def test_an_entry_over_one_mebibyte_is_cut_and_joined():
    tags = [RAW, Tag(kinds.IMAGE, kinds.PICTURE, noise(3 * DATA_SIZE_MAX + 17)), Tag(kinds.DATABASE, kinds.NOTE)]
    pieces = seal_entry(7, tags, SEED, PUBLIC, counting())
    assert len(pieces) == 4
    assert [piece.target for piece in pieces] == [None, 1, 2, 3]
    assert [bool(piece.state & CONTINUED) for piece in pieces] == [True, True, True, False]
    for piece in pieces:
        encode(piece)
    assert open_entry(pieces, SEED, SECRET).tags == tuple(tags)


@pytest.mark.parametrize("size", [PIECE_SIZE_MAX - 6, PIECE_SIZE_MAX - 7, DATA_SIZE_MAX, DATA_SIZE_MAX + 1])
def test_sizes_around_the_piece(size):
    tag = Tag(kinds.CAPTURE, kinds.RAW, noise(size))
    pieces = seal_entry(0, [tag], SEED, PUBLIC, counting())
    assert sum(len(encode(piece)) for piece in pieces) >= size
    assert open_entry(pieces, SEED, SECRET).tags == (tag,)


@pytest.fixture(scope="module")
def pieces():
    return seal_entry(7, [Tag(kinds.CAPTURE, kinds.RAW, noise(2 * PIECE_SIZE_MAX))], SEED, PUBLIC, counting())


@pytest.mark.parametrize("order", [[0], [0, 1], [1, 2], [0, 2], [0, 2, 1], [0, 0, 1, 2], [2], []])
def test_a_piece_missing_or_out_of_order_is_no_entry(pieces, order):
    with pytest.raises(FormatError):
        open_entry([pieces[number] for number in order], SEED, SECRET)


def test_a_piece_of_another_entry_does_not_fit_in(pieces):
    other = seal_entry(8, [Tag(kinds.CAPTURE, kinds.RAW, noise(2 * PIECE_SIZE_MAX))], SEED, PUBLIC, counting())
    with pytest.raises(FormatError, match="belongs"):
        open_entry([pieces[0], other[1], pieces[2]], SEED, SECRET)


def test_an_entry_without_its_ordinal_is_refused():
    with pytest.raises(FormatError, match="ordinal"):
        module.Assembly().add(Tag(kinds.SERVICE, kinds.SEALED, state=SEALED | TAGS), b"")


def test_what_an_entry_may_hold_is_bounded():
    for tags in ([], [Tag(1, 1)] * (TAG_COUNT_MAX + 1), [Tag(1, 1, bytes(ENTRY_SIZE_MAX - HEADER_SIZE_MAX + 1))]):
        with pytest.raises(Misuse, match="an entry of"):
            seal_entry(0, tags, SEED, PUBLIC, counting())
    with pytest.raises(Misuse, match="whole"):
        seal_entry(0, [Tag(1, 1, state=CONTINUED)], SEED, PUBLIC, counting())


def test_the_most_tags_that_an_entry_may_hold():
    tags = tuple(Tag(1, 1, sequence=number) for number in range(TAG_COUNT_MAX))
    assert open_entry(seal_entry(0, tags, SEED, PUBLIC, counting()), SEED, SECRET).tags == tags


def test_the_largest_entry_of_one_tag():
    tag = Tag(1, 1, bytes(ENTRY_SIZE_MAX - HEADER_SIZE_MAX))
    assert open_entry(seal_entry(0, [tag], SEED, PUBLIC, counting()), SEED, SECRET).tags == (tag,)


def test_an_unknown_codec_inside_leaves_the_tag_as_it_is():
    tags = (RAW, Tag(kinds.CAPTURE, kinds.WAVEFORM, b"from a later version", state=9), RAW)
    entry = open_entry(seal_entry(0, tags, SEED, PUBLIC, counting()), SEED, SECRET)
    assert entry.tags == tags
    assert "codec 9" in entry.faults[0]


def test_an_unknown_codec_outside_loses_the_entry_with_a_reason(monkeypatch):
    monkeypatch.setattr(module.codecs, "pack_best", lambda _kind, data: (9, data))
    sealed = seal_entry(0, [RAW], SEED, PUBLIC, counting())
    with pytest.raises(FormatError, match="codec 9"):
        open_entry(sealed, SEED, SECRET)


def test_a_bomb_in_an_inner_tag_stays_packed():
    from wire.codec import ZSTD, pack

    bombs = [Tag(1, 1, pack(bytes(ENTRY_SIZE_MAX // 2 + 1), ZSTD), state=ZSTD)] * 2
    entry = open_entry(seal_entry(0, bombs, SEED, PUBLIC, counting()), SEED, SECRET)
    assert entry.tags[0].state == 0
    assert entry.tags[1] == bombs[1]
    assert "at most" in entry.faults[0]


@given(st.binary(max_size=200))
def test_any_container_is_an_entry_or_a_format_error(container):
    try:
        entry = module.parse_entry(0, container)
    except FormatError:
        return
    assert b"".join(encode(tag) for tag in entry.tags) == container or entry.faults or entry.tags
