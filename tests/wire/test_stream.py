"""What a writer of streams promises: where CHECKs stand, what they list, and how it goes on after a recovery."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import kinds, stream
from wire.checks import (
    CHECK_SIZE_MAX,
    ENTRIES_MAX,
    STUDY,
    Entry,
    build_check,
    claimed_size,
    entry_of,
    parse_check,
    parse_start,
    seed_of,
)
from wire.errors import FormatError, Misuse
from wire.stream import ResumePoint, StreamReader, StreamWriter, TagAssembler, Verdict
from wire.tag import SIZE_MAX, Tag, decode, encode, parse_header

ID = bytes(range(1, 17))
NOTE = Tag(kinds.DATABASE, kinds.NOTE, b"x" * 50)


def tags_of(data):
    at, raws = 0, []
    while at < len(data):
        size = parse_header(data, at).total
        raws.append(data[at : at + size])
        at += size
    return raws


def verdicts(data, stream_id=None):
    reader = StreamReader(stream_id)
    return [found.verdict for found in reader.feed(data) + reader.finish()]


def test_a_stream_begins_with_its_id():
    start = parse_start(decode(StreamWriter(ID, STUDY, 5).start()))
    assert (start.kind, start.stream_id) == (STUDY, ID)


def test_the_first_check_lists_everything_from_start_on():
    writer = StreamWriter(ID, STUDY, 5)
    raws = [writer.start(), writer.put(NOTE)]
    check = parse_check(writer.check(), 0)
    assert (check.ordinal, check.first) == (2, 0)
    assert check.entries == tuple(entry_of(raw, seed_of(ID)) for raw in raws)


def test_every_tag_but_checks_is_listed_twice():
    writer = StreamWriter(ID, STUDY, 5)
    data = writer.start() + b"".join(writer.put(NOTE) + writer.check() for _ in range(40)) + writer.finish()
    listed = [0] * writer.next_ordinal
    for raw in tags_of(data):
        if check := parse_check(raw, 0):
            for ordinal in range(check.first, check.ordinal):
                listed[ordinal] += 1
    raws = tags_of(data)
    assert min(count for count, raw in zip(listed, raws, strict=True) if not parse_check(raw, 0)) >= 2


def test_a_far_check_reaches_over_one_damage_of_four_kib():
    writer = StreamWriter(ID, STUDY, 5)
    data = writer.start() + writer.check() + b"".join(writer.put(NOTE) + writer.check() for _ in range(300))
    covering, at = {}, 0
    for raw in tags_of(data):
        if check := parse_check(raw, 0):
            for ordinal in range(check.first, check.ordinal):
                covering.setdefault(ordinal, []).append((at, at + len(raw)))
        at += len(raw)
    for ordinal in range(0, writer.next_ordinal - 250, 2):
        first, last = covering[ordinal][0], covering[ordinal][-1]
        assert last[0] - first[1] >= stream.FAR_SIZE - 1


def test_a_check_stands_before_a_span_would_exceed_a_tag_of_maximum_size():
    writer = StreamWriter(ID, STUDY, 5)
    largest = Tag(kinds.IMAGE, kinds.PICTURE, bytes(SIZE_MAX - 9))
    data = writer.start() + writer.put(largest) + writer.put(largest) + writer.put(NOTE)
    names = [decode(raw).kind for raw in tags_of(data)]
    check = (kinds.SERVICE, kinds.CHECK)
    assert [kind == check for kind in names] == [False, True, False, True, False, True, False]


def test_a_check_stands_after_128_tags_at_the_latest():
    writer = StreamWriter(ID, STUDY, 5)
    data = writer.start() + b"".join(writer.put(NOTE) for _ in range(300))
    spans, span = [], 0
    for raw in tags_of(data):
        span = 0 if parse_check(raw, 0) else span + 1
        spans.append(span)
    assert max(spans) == stream.SPAN_TAGS_MAX


def test_before_tells_the_ordinal_that_a_tag_will_have():
    writer = StreamWriter(ID, STUDY, 5)
    writer.start()
    assert writer.before(SIZE_MAX)
    ordinal = writer.next_ordinal
    assert writer.before(SIZE_MAX) == b""
    writer.put(Tag(kinds.IMAGE, kinds.PICTURE, bytes(1000)))
    assert writer.next_ordinal == ordinal + 1


def test_a_check_never_lists_more_than_its_maximum():
    writer = StreamWriter(ID, STUDY, 5)
    data = writer.start() + b"".join(writer.put(Tag(9, 1)) for _ in range(5000))
    sizes = [len(raw) for raw in tags_of(data) if parse_check(raw, 0)]
    assert max(sizes) <= CHECK_SIZE_MAX
    assert set(verdicts(data + writer.finish())) == {Verdict.SOUND}


def test_a_check_at_the_limit_of_its_list_is_read():
    raw = build_check(7, ENTRIES_MAX, [Entry(6, number) for number in range(ENTRIES_MAX)])
    assert len(raw) == CHECK_SIZE_MAX == claimed_size(raw, 0)
    assert len(parse_check(raw, 0).entries) == ENTRIES_MAX
    with pytest.raises(Misuse):
        build_check(7, ENTRIES_MAX + 1, [Entry(6, 0)] * (ENTRIES_MAX + 1))


@given(st.data())
def test_a_check_with_a_flipped_bit_is_no_check(data):
    raw = bytearray(build_check(99, 3, [Entry(6, 1), Entry(7, 2)]))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    assert parse_check(raw, 0) is None


@pytest.mark.parametrize("size", [0, 17, 18, 24, 25, 31])
def test_a_check_cut_short_is_no_check(size):
    assert parse_check(build_check(99, 3, [Entry(6, 1), Entry(7, 2)])[:size], 0) is None


def test_the_last_ordinal_is_the_last():
    writer = StreamWriter.resume(ID, ResumePoint(0, 2**32 - 1, ()))
    writer.put(NOTE)
    with pytest.raises(Misuse, match="at most 4294967296 tags"):
        writer.put(NOTE)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda: StreamWriter(b"short", STUDY, 0),
        lambda: StreamWriter(ID, STUDY, 0).put(NOTE),
        lambda: StreamWriter(ID, STUDY, 0).check(),
        lambda: [writer.start() for writer in [StreamWriter(ID, STUDY, 0)] * 2],
        lambda: StreamWriter.resume(ID, ResumePoint(0, 3, ())).start(),
    ],
)
def test_misuse_of_a_writer_is_told(misuse):
    with pytest.raises(Misuse):
        misuse()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.booleans()), min_size=1, max_size=40),
    st.integers(0, 10_000),
)
def test_writing_goes_on_after_any_cut(shapes, cut):
    """Crash at any byte: the reader says where to go on, and the whole is sound again, ordinals and all."""
    writer = StreamWriter(ID, STUDY, 5)
    parts = [writer.start() + writer.check()]
    parts += [writer.put(Tag(11, 2, bytes(size))) + (writer.check() if check else b"") for size, check in shapes]
    whole = b"".join(parts)
    reader = StreamReader(ID)
    reader.feed(whole[: len(parts[0]) + cut % (len(whole) - len(parts[0]) + 1)])
    reader.finish()
    point = reader.resume_point()
    again = StreamWriter.resume(ID, point)
    going_on = b"".join(again.put(NOTE) + again.check() for _ in range(5)) + again.finish()
    second = StreamReader()
    found = second.feed(whole[: point.offset] + going_on) + second.finish()
    assert {one.verdict for one in found} == {Verdict.SOUND}
    assert [one.ordinal for one in found] == list(range(again.next_ordinal))


def test_after_a_resume_the_old_tags_are_still_listed_twice():
    writer = StreamWriter(ID, STUDY, 5)
    data = writer.start() + writer.put(NOTE) + writer.check()
    reader = StreamReader()
    reader.feed(data)
    again = StreamWriter.resume(ID, reader.resume_point())
    again.put(NOTE)
    assert parse_check(again.check(), 0).first == 0


def test_a_stream_without_a_check_cannot_be_resumed():
    reader = StreamReader(ID)
    reader.feed(StreamWriter(ID, STUDY, 5).start())
    reader.finish()
    assert reader.resume_point() is None


@given(st.lists(st.binary(max_size=300), max_size=8), st.integers(1, 50))
def test_an_assembler_gives_whole_tags_however_the_bytes_are_cut(datas, chunk):
    tags = [Tag(7, 1, data, sequence=number) for number, data in enumerate(datas)]
    whole = b"".join(encode(tag) for tag in tags)
    assembler = TagAssembler()
    got = [tag for at in range(0, len(whole), chunk) for tag in assembler.feed(whole[at : at + chunk])]
    assert got == tags
    assert assembler.pending_size == 0


def test_an_assembler_takes_the_largest_tag_and_keeps_no_more_than_it():
    raw = encode(Tag(7, 1, bytes(SIZE_MAX - 7)))
    assert len(raw) == SIZE_MAX
    assembler = TagAssembler()
    assert assembler.feed(raw[:-1]) == []
    assert assembler.pending_size == SIZE_MAX - 1
    assert len(assembler.feed(raw[-1:])) == 1


@pytest.mark.parametrize("wrong", [bytes(6), b"\x00\x00\x05\xa7\x01\x01", b"\x80\x00\x06\xa7\x00\x01\x01"])
def test_an_assembler_refuses_what_is_not_lawful(wrong):
    with pytest.raises(FormatError):
        TagAssembler().feed(encode(NOTE) + wrong)
