"""Data over 1 MiB: split, carried, joined; and everything that can be wrong with the pieces."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import kinds, split
from wire.errors import FormatError, Misuse
from wire.split import PIECE_DATA_SIZE_MAX, Joiner, join
from wire.stream import StreamWriter
from wire.tag import CONTINUED, SIZE_MAX, TAGS, Tag, encode

PICTURE = Tag(
    kinds.IMAGE, kinds.PICTURE, b"abc", source=1, target=2, time_ms=3, sequence=4, state=TAGS, extension=bytes(255)
)


@pytest.mark.parametrize(
    ("size", "pieces"),
    [(0, 1), (1, 1), (PIECE_DATA_SIZE_MAX, 1), (PIECE_DATA_SIZE_MAX + 1, 2), (3 * PIECE_DATA_SIZE_MAX, 3)],
)
def test_split_and_joined_is_the_same(size, pieces):
    whole = replace(PICTURE, data=(b"0123456789" * (size // 10 + 1))[:size])
    parts = list(split.split(whole))
    assert len(parts) == pieces
    assert all(len(encode(part)) <= SIZE_MAX for part in parts)
    assert [bool(part.state & CONTINUED) for part in parts] == [True] * (pieces - 1) + [False]
    assert list(join(parts)) == [whole]


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_pieces_of_any_size_are_one_datum(pieces):
    assert [tag.data for tag in join(split.split(PICTURE, iter(pieces)))] == [b"".join(pieces)]


def test_checks_may_stand_between_pieces():
    writer = StreamWriter(bytes(range(16)), 1, 0)
    writer.start()
    check = Tag(kinds.SERVICE, kinds.CHECK, writer.check())
    first, last = replace(PICTURE, state=CONTINUED), Tag(kinds.IMAGE, kinds.PICTURE, b"def")
    (whole,) = join([first, check, last])
    assert (whole.data, whole.state, whole.source) == (b"abcdef", 0, 1)


def test_another_tag_between_pieces_is_told():
    with pytest.raises(FormatError, match="0101:0001 goes on, but a tag 0009:0003 follows"):
        list(join([replace(PICTURE, state=CONTINUED), Tag(kinds.DATABASE, kinds.NOTE)]))


def test_a_datum_without_its_end_is_told():
    with pytest.raises(FormatError, match="has no end: 3 bytes"):
        list(join([replace(PICTURE, state=CONTINUED)]))


def test_a_datum_at_the_limit_is_joined_and_one_byte_more_is_not():
    pieces = [replace(PICTURE, state=CONTINUED), replace(PICTURE, data=b"de")]
    assert [tag.data for tag in join(pieces, size_max=5)] == [b"abcde"]
    with pytest.raises(FormatError, match="over 4 bytes"):
        list(join(pieces, size_max=4))


def test_what_could_not_be_joined_is_not_split(monkeypatch):
    monkeypatch.setattr(split, "JOINED_SIZE_MAX", 10)
    assert len(list(split.split(PICTURE, [bytes(10)]))) == 1
    with pytest.raises(Misuse, match="over 10 bytes"):
        list(split.split(PICTURE, [bytes(10), b"x"]))


def test_a_piece_is_not_split_again():
    with pytest.raises(Misuse):
        list(split.split(replace(PICTURE, state=CONTINUED)))


def test_the_joiner_holds_no_data():
    joiner = Joiner()
    head, data, last = joiner.feed(replace(PICTURE, state=CONTINUED))
    assert (head.data, data, last, joiner.is_open) == (b"", b"abc", False, True)
    assert joiner.feed(Tag(kinds.IMAGE, kinds.PICTURE, b"d"))[1:] == (b"d", True)
    assert not joiner.is_open


def test_the_limit_counts_for_each_datum():
    joiner = Joiner(size_max=3)
    for _ in range(5):
        assert joiner.feed(PICTURE)[2]
