"""The recovering reader: each way to damage a stream that someone thought of, by name, and properties for the rest."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feldsher.sample import sample
from tests.wire.damage import Damage, Written, draw, judge, read
from wire import kinds
from wire.checks import STUDY, build_check, entry_of, seed_of
from wire.recovery import WINDOW_SIZE_MAX
from wire.stream import StreamReader, StreamWriter, Verdict
from wire.tag import MAGIC, SIZE_MAX, TAGS, Tag, encode

ID, OTHER = bytes(range(1, 17)), bytes(range(101, 117))
SOUND, UNPROVEN, LOST = Verdict.SOUND, Verdict.UNPROVEN, Verdict.LOST


def raw_tag(number, size=60):
    return Tag(kinds.CAPTURE, kinds.RAW, bytes((number,)) * size)


def stream(*tags, stream_id=ID, every=3):
    writer = StreamWriter(stream_id, STUDY, 7)
    data = writer.start()
    for number, tag in enumerate(tags, 1):
        data += writer.put(tag) + (writer.check() if number % every == 0 else b"")
    return data + writer.finish()


def small(count=12):
    return Written(stream(*map(raw_tag, range(count))))


def sound_raws(found):
    return [one.raw for one in found if one.verdict is SOUND]


def as_was(written, *damages):
    """The file after damages, given from the last to the first."""
    data = written.whole
    for damage in damages:
        data = damage.apply(data)
    return data


@pytest.fixture(scope="module")
def written():
    return Written(b"".join(sample(300, 1)))


def test_an_undamaged_sample_is_sound_from_end_to_end(written):
    found = read(written.whole)
    assert sound_raws(found) == written.raws
    assert [one.ordinal for one in found] == list(range(300))


def test_nothing_in_nothing_out():
    assert read(b"") == []


@pytest.mark.parametrize("bit", range(16))
def test_a_flipped_bit_in_a_length_costs_that_tag_only(bit):
    written = small()
    at = written.extents[5][0] + 1 + bit // 8
    damage = Damage("flip", at, 1, bytes((written.whole[at] ^ 1 << bit % 8,)))
    assert judge(written, damage) == ([], 0)


@pytest.mark.parametrize("ordinal", range(12))
def test_each_tag_may_be_cut_out(ordinal):
    written = small()
    start, end = written.extents[ordinal]
    assert judge(written, Damage("cut", start, end - start, b"")) == ([], 0)


@pytest.mark.parametrize("garbage", [b"\x00" * 50, b"\xa7" * 50, b"\x00\x06\xa7\xff", bytes(range(200))])
def test_garbage_between_two_tags_costs_neither(garbage):
    written = small()
    for start, _ in written.extents:
        assert judge(written, Damage("random", start, 0, garbage)) == ([], 0)
    assert judge(written, Damage("random", len(written.whole), 0, garbage)) == ([], 0)


def test_a_tag_between_two_damaged_neighbours_is_found_by_its_size_and_crc():
    written = small()
    first, last = (written.extents[ordinal][0] + 20 for ordinal in (5, 7))
    data = as_was(written, Damage("cut", last, 3, b""), Damage("cut", first, 5, b""))
    found = read(data)
    assert [one.ordinal for one in found if one.verdict is SOUND] == [
        n for n in range(len(written.raws)) if n not in {5, 7}
    ]


def test_a_tag_that_an_intact_check_contradicts_is_lost_not_unproven():
    written = small()
    at = written.extents[5][0] + 20
    (lost,) = (one for one in read(as_was(written, Damage("flip", at, 1, b"\xee"))) if one.verdict is not SOUND)
    assert (lost.verdict, lost.ordinal, lost.offset, lost.size) == (LOST, 5, written.extents[5][0], 66)


def test_a_cut_that_leaves_no_byte_is_still_reported():
    written = small()
    start, end = written.extents[5]
    (lost,) = (one for one in read(as_was(written, Damage("cut", start, end - start, b""))) if one.verdict is LOST)
    assert (lost.size, lost.ordinal, lost.note) == (0, 5, "tag 5 of 66 bytes is not whole")


def test_a_torn_tail_costs_the_torn_tag_only():
    written = small()
    start, end = written.extents[-5]
    found = read(written.whole[: end - 1])
    assert found[-1].verdict is LOST
    assert found[-1].size == end - 1 - start
    assert "torn" in found[-1].note
    assert all(one.verdict is not LOST for one in found[:-1])


def test_tags_that_no_check_lists_are_unproven():
    writer = StreamWriter(ID, STUDY, 7)
    data = writer.start() + writer.check() + writer.put(raw_tag(1)) + writer.put(raw_tag(2))
    assert [one.verdict for one in read(data)] == [SOUND, SOUND, UNPROVEN, UNPROVEN]


def test_the_copy_of_a_later_piece_is_not_taken_for_the_original():
    written = small(60)
    start, end = written.extents[40][0], written.extents[50][1]
    for ordinal in range(3, 35):
        at = written.extents[ordinal][0] + 3
        assert judge(written, Damage("copy", at, 0, written.whole[start:end]))[0] == []


def test_the_copy_of_an_earlier_piece_is_lost():
    written = small(60)
    start, end = written.extents[3][0], written.extents[20][1]
    for ordinal in range(30, 70):
        assert judge(written, Damage("copy", written.extents[ordinal][0], 0, written.whole[start:end]))[0] == []


def test_a_start_that_is_damaged_costs_itself_only(written):
    for at in range(30):
        assert judge(written, Damage("flip", at, 1, bytes((written.whole[at] ^ 0x10,))))[0] == []


@pytest.mark.parametrize("size", [1, 10, 29, 30, 31, 500, 4096])
def test_a_beginning_that_is_gone_costs_itself_only(written, size):
    assert judge(written, Damage("zero", 0, size, bytes(size)))[0] == []
    assert judge(written, Damage("cut", 0, size, b""))[0] == []


@pytest.mark.parametrize("inserted", [b"\x00", bytes(4096), b"\xa7" * 4096])
def test_what_is_inserted_before_start_is_all_that_is_lost(written, inserted):
    assert judge(written, Damage("random", 0, 0, inserted))[0] == []


def foreign():
    return stream(*map(raw_tag, range(100, 120)), stream_id=OTHER)


def host(picture):
    return Written(stream(raw_tag(1), Tag(kinds.IMAGE, kinds.PICTURE, picture), *map(raw_tag, range(2, 9))))


@pytest.mark.parametrize("outer", ["sound", "header", "header and START", "START"])
def test_a_whole_stream_within_a_picture_is_never_promoted(outer):
    written = host(foreign())
    data = bytearray(written.whole)
    if "header" in outer:
        data[written.extents[2][0] : written.extents[2][0] + 7] = bytes(7)
    if "START" in outer:
        data[:30] = bytes(30)
    raws = sound_raws(read(bytes(data)))
    assert set(raws) <= set(written.raws)
    touched = ("header" in outer) + ("START" in outer)
    assert len(raws) == len(written.raws) - touched


def test_a_whole_stream_within_a_picture_of_a_torn_file_is_never_promoted():
    """START damaged, the file ends within the picture: the only CHECKs are those of the stream in the picture."""
    written = host(foreign() + bytes(500))
    data = bytearray(written.whole[: written.extents[2][1] - 300])
    data[20] ^= 1
    assert sound_raws(read(bytes(data))) == []


def test_a_stream_that_lies_in_two_pictures_is_never_promoted():
    whole = foreign()
    half = len(whole) // 2
    pictures = [Tag(kinds.IMAGE, kinds.PICTURE, part) for part in (whole[:half], whole[half:])]
    written = Written(stream(pictures[0], raw_tag(1), raw_tag(2), pictures[1], raw_tag(3)))
    for size in (0, 10, 30, 34):
        data = bytes(size) + written.whole[size:]
        assert set(sound_raws(read(data))) <= set(written.raws)


def test_who_knows_the_id_is_never_mistaken_even_where_the_file_begins_with_another_stream():
    written = host(foreign())
    begins = written.extents[2][0] + 7
    data = written.whole[begins:]
    assert set(sound_raws(read(data, ID))) <= set(written.raws)
    assert len(sound_raws(read(data, ID))) == len(written.raws) - 3


def test_tags_within_a_damaged_container_are_lost_with_it():
    inner = b"".join(encode(raw_tag(number)) for number in range(5))
    written = Written(
        stream(raw_tag(1), Tag(kinds.SERVICE, kinds.SEALED, inner, state=TAGS), *map(raw_tag, range(2, 9)))
    )
    start, end = written.extents[2]
    for at in range(start, end):
        data = as_was(written, Damage("flip", at, 1, bytes((written.whole[at] ^ 0x40,))))
        found = read(data)
        assert [(one.verdict, one.ordinal) for one in found if one.verdict is not SOUND] == [(LOST, 2)]


def test_a_run_of_zeros_is_never_a_tag():
    assert {one.verdict for one in read(bytes(100_000))} == {LOST}
    zero_seed = Written(stream(*map(raw_tag, range(9)), stream_id=bytes(16)))
    assert judge(zero_seed, Damage("zero", 100, 300, bytes(300)))[0] == []


def test_a_check_of_another_stream_proves_nothing():
    raw = encode(raw_tag(1))
    start = StreamWriter(ID, STUDY, 7).start()
    other = seed_of(OTHER)
    data = start + raw + build_check(other, 2, [entry_of(start, other), entry_of(raw, other)])
    assert sound_raws(read(data, ID)) == []


def test_a_check_that_lists_bytes_that_are_no_tag_proves_nothing_and_raises_nothing():
    seed, junk = seed_of(ID), bytes((0, 0, 41, MAGIC)) + bytes(36)
    for wrong in (junk, b"\xff" * 40, encode(raw_tag(1)) * 2):
        start = StreamWriter(ID, STUDY, 7).start()
        data = start + wrong + build_check(seed, 2, [entry_of(start, seed), entry_of(wrong, seed)])
        assert wrong not in sound_raws(read(data))


def test_tags_of_maximum_size_are_recovered_within_three_of_them():
    writer = StreamWriter(ID, STUDY, 7)
    largest = [Tag(kinds.IMAGE, kinds.PICTURE, bytes((number,)) * (SIZE_MAX - 9)) for number in range(6)]
    whole = bytearray(writer.start() + b"".join(writer.put(tag) for tag in largest) + writer.finish())
    whole[SIZE_MAX + 500_000] ^= 1
    found = read(bytes(whole))
    assert [one.ordinal for one in found if one.verdict is LOST] == [4]
    assert sum(one.verdict is SOUND for one in found) == writer.next_ordinal - 1


def test_a_lost_check_between_tags_of_maximum_size_costs_itself_only():
    writer = StreamWriter(ID, STUDY, 7)
    data = writer.start()
    for number in range(5):
        data += writer.put(Tag(kinds.IMAGE, kinds.PICTURE, bytes((number,)) * (SIZE_MAX - 9)))
    written = Written(data + writer.finish())
    for ordinal in written.checks:
        at = written.extents[ordinal][0] + 12
        assert judge(written, Damage("flip", at, 1, bytes((written.whole[at] ^ 1,)))) == ([], 0)


@pytest.mark.parametrize("garbage", [bytes((MAGIC,)), b"\x00", b"\x00\x10\x06\xa7\x0b\x0b"])
def test_megabytes_of_garbage_cost_nothing_else_and_no_more_memory(garbage):
    written = Written(stream(*map(raw_tag, range(60))))
    at = next(written.extents[ordinal][1] for ordinal in written.checks if ordinal > 40)
    data = written.whole[:at] + garbage * (5_000_000 // len(garbage)) + written.whole[at:]
    reader, found, pending = StreamReader(), [], 0
    for start in range(0, len(data), 100_000):
        found += reader.feed(data[start : start + 100_000])
        pending = max(pending, reader.pending_size)
    found += reader.finish()
    assert pending <= WINDOW_SIZE_MAX
    assert sound_raws(found) == written.raws


def test_garbage_larger_than_the_window_leaves_the_tags_since_the_last_check_unproven():
    written = Written(stream(*map(raw_tag, range(60))))
    ordinal = next(iter(ordinal for ordinal in written.checks if ordinal > 40)) + 2
    at = written.extents[ordinal][1]
    found = read(written.whole[:at] + bytes(WINDOW_SIZE_MAX + 1) + written.whole[at:])
    raws = sound_raws(found)
    assert raws == written.raws[: ordinal - 1] + written.raws[ordinal + 1 :]


def test_memory_stays_within_three_tags_and_what_is_returned():
    data = StreamWriter(ID, STUDY, 7).start() + bytes((MAGIC,)) * 8_000_000
    reader = StreamReader()
    tracemalloc.start()
    for start in range(0, len(data), 1 << 16):
        reader.feed(data[start : start + (1 << 16)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A bytearray that grows keeps an eighth in reserve, and moves to grow: the old and the new one for a moment.
    assert peak < 2.3 * WINDOW_SIZE_MAX


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 400))
def test_the_answer_does_not_depend_on_how_the_bytes_are_cut(dice, chunk):
    whole = b"".join(sample(40, dice.randint(0, 99), large=False))
    data = draw(dice, draw(dice, whole).apply(whole)).apply(whole)
    assert read(data, chunk=chunk) == read(data, chunk=len(data) + 1) == read(data, chunk=1)


def test_the_answer_does_not_depend_on_cuts_where_the_window_is_full():
    whole = Written(stream(*(raw_tag(number % 250, 40_000) for number in range(200))))
    data = bytearray(whole.whole)
    for at in range(50_000, len(data), 700_000):
        data[at] ^= 1
        data[at + 300_000 : at + 300_000] = data[1_000_000:1_100_000]
    answers = [read(bytes(data), chunk=chunk) for chunk in (7_001, 65_536, 3_000_000, len(data))]
    assert all(answer == answers[0] for answer in answers)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_at_all_are_answered(data):
    found = read(data, chunk=97)
    assert sum(one.size for one in found) == len(data)
    assert all(one.verdict is not SOUND for one in found)
    assert all(one.tag is not None for one in found if one.raw)
