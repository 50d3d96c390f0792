"""The hex examples of `docs/formats/tag.md`, run."""

import re
from pathlib import Path

import pytest
from crc32c import crc32c

from wire import assembler, checks, election, kinds, lineage, placing, recovery, searching, split, stream, tag
from wire.checks import STUDY, build_start, parse_check
from wire.errors import FormatError
from wire.stream import StreamReader, StreamWriter, Verdict
from wire.tag import CONTINUED, Tag, decode, encode, parse_header

PAGE = (Path(__file__).parents[2] / "docs" / "formats" / "tag.md").read_text()
ID = bytes.fromhex("00112233445566778899aabbccddeeff")
TIME_MS = 1_760_000_000_000
NOTE = Tag(kinds.DATABASE, kinds.NOTE, b"hello")


def blocks(name):
    found = re.findall(rf"^```hex {name}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [bytes.fromhex("".join(line.partition(";")[0] for line in block.splitlines())) for block in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("smallest", Tag(kinds.CONTOUR, 1)),
        ("note", NOTE),
        (
            "full",
            Tag(
                kinds.IMAGE,
                kinds.PICTURE,
                source=1,
                target=2,
                time_ms=3,
                sequence=4,
                state=CONTINUED,
                extension=b"\xee",
            ),
        ),
        ("start", build_start(ID, STUDY, TIME_MS)),
    ],
)
def test_an_example_is_the_tag_that_it_says(name, expected):
    (raw,) = blocks(name)
    assert decode(raw) == expected
    assert encode(expected) == raw


def test_the_example_of_a_long_header():
    (raw,) = blocks("long-header")
    header = parse_header(raw)
    assert (header.total, header.total - header.size) == (65_543, 65_536)
    assert encode(Tag(kinds.CAPTURE, kinds.RAW, bytes(65_536)))[: len(raw)] == raw


@pytest.mark.parametrize("raw", blocks("refused"))
def test_an_example_that_is_not_lawful_is_refused(raw):
    with pytest.raises(FormatError):
        parse_header(raw)


def test_there_is_an_example_for_each_refusal():
    assert len(blocks("refused")) == 6


def test_the_example_of_a_stream_is_what_a_writer_writes_and_a_reader_finds_sound():
    (raw,) = blocks("stream")
    writer = StreamWriter(ID, STUDY, TIME_MS)
    assert writer.start() + writer.put(NOTE) + writer.check() + writer.check() == raw
    reader = StreamReader()
    found = reader.feed(raw) + reader.finish()
    assert [(one.ordinal, one.verdict) for one in found] == [(number, Verdict.SOUND) for number in range(4)]


def test_the_last_check_of_the_example_by_the_words_of_the_page():
    (raw,) = blocks("stream")
    seed = int.from_bytes(ID[:4], "big")
    check = raw[-39:]
    assert crc32c(check[:-4], seed) == int.from_bytes(check[-4:], "big")
    pieces = [raw[:30], raw[30:41], raw[41:73]]
    listed = [check[14 + 7 * n : 21 + 7 * n] for n in range(3)]
    assert listed == [len(one).to_bytes(3, "big") + crc32c(one, seed).to_bytes(4, "big") for one in pieces]
    assert parse_check(check, 0).ordinal == 3


def test_the_crc_is_the_one_that_the_page_names():
    assert crc32c(b"123456789", 0) == 0xE3069283
    assert crc32c(b"", 77) == 77
    assert crc32c(b"6789", crc32c(b"12345", 5)) == crc32c(b"123456789", 5)


def test_the_limits_of_the_page_are_those_of_the_code():
    assert tag.SIZE_MAX == stream.SPAN_SIZE_MAX == assembler.BUFFER_SIZE_MAX == 1 << 20
    assert tag.HEADER_SIZE_MAX == 284
    assert (stream.SPAN_TAGS_MAX, stream.FAR_SIZE, checks.ENTRIES_MAX, checks.CHECK_SIZE_MAX) == (128, 4096, 1024, 7186)
    assert recovery.WINDOW_SIZE_MAX == 3 << 20
    assert (recovery.SETTLE_SIZE_MAX, recovery.SETTLE_SIZE, recovery.GIVE_UP_SIZE) == (5 << 19, 3 << 19, 1 << 18)
    assert (searching.CHAIN, placing.SEARCH_FACTOR, split.JOINED_SIZE_MAX) == (3, 8, 256 << 20)
    assert (election.SEEDS_MAX, election.CHECKS_MAX, election.INSERTED_SIZE_MAX) == (64, 16_384, 65_536)
    assert lineage.best_line([], 0) == []
