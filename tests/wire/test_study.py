"""A study damaged, cut, forged, reordered and replayed: an entry is given as it was written, or not at all."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.test_entry import counting, noise
from wire import codec, kinds
from wire.checks import STUDY, SUMMARY
from wire.entry import PIECE_SIZE_MAX, TAG_COUNT_MAX, Entry
from wire.errors import AuthError, FormatError, Misuse
from wire.maps import encode_map
from wire.record import Note, Result
from wire.seal import key_id, seal_pair, sign_pair
from wire.stream import StreamReader, StreamWriter, Verdict
from wire.study import (
    LOSS_COUNT_MAX,
    MAP_BYTE_COST,
    SIGNATURE_TAG_SIZE,
    TAG_COST,
    End,
    StudyReader,
    StudyWriter,
    open_study,
    verify_signature,
)
from wire.tag import CONTINUED, Tag, decode

SEAL_SECRET, SEAL_PUBLIC = seal_pair(bytes(range(32)))
SIGN_SECRET, SIGN_PUBLIC = sign_pair(bytes(range(1, 33)))
KITS = {key_id(SIGN_PUBLIC): SIGN_PUBLIC}
STUDY_ID = bytes(range(100, 116))
OPENED_MS = 1_700_000_000_000


def event(number):
    """Return the tags of one event, different from those of any other."""
    raw = Tag(kinds.CAPTURE, kinds.RAW, noise(200 + number * 7, number), time_ms=OPENED_MS + number)
    return [raw, Result(specimen_id=f"S{number}").to_tag()]


def write(entries, study_id=STUDY_ID, kind=STUDY, *, end=True, entropy=None):
    """Return (bytes of a study, offsets at which an entry or what follows begins)."""
    writer = StudyWriter(study_id, OPENED_MS, SEAL_PUBLIC, kind)
    raw, offsets = writer.start(), []
    entropy = entropy or counting()
    for tags in entries:
        offsets.append(len(raw))
        raw += writer.entry(tags, entropy)
    offsets.append(len(raw))
    return raw + (writer.end(OPENED_MS + 999) + writer.signature(SIGN_SECRET) if end else b""), offsets


EVENTS = [event(number) for number in range(8)]
ENTRIES = tuple(Entry(number, tuple(tags)) for number, tags in enumerate(EVENTS))
RAW, OFFSETS = write(EVENTS)


def read(raw, **more):
    return open_study(raw, SEAL_SECRET, KITS, **more)


def test_what_is_written_is_read():
    study = read(RAW)
    assert study.study_id == STUDY_ID
    assert (study.kind, study.opened_ms) == (STUDY, OPENED_MS)
    assert study.entries == ENTRIES
    assert study.end == End(8, OPENED_MS + 999)
    assert study.signature_ok
    assert study.signer == key_id(SIGN_PUBLIC)
    assert (study.lost, study.missing, study.damaged) == ((), (), False)


def test_an_empty_study_and_a_summary_stream():
    assert read(write([])[0]).entries == ()
    assert read(write([EVENTS[0]], kind=SUMMARY)[0]).kind == SUMMARY


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 700))
def test_chunks_of_any_size_read_the_same(size):
    chunks = [RAW[at : at + size] for at in range(0, len(RAW), size)]
    assert open_study(chunks, SEAL_SECRET, KITS) == read(RAW)
    assert verify_signature(chunks, SIGN_PUBLIC)


def test_entries_are_given_out_as_they_come():
    reader = StudyReader(SEAL_SECRET, KITS)
    given_out = reader.feed(RAW[: OFFSETS[6]])
    assert len(given_out) >= 3
    rest, study = reader.finish()
    assert tuple(given_out + rest) == ENTRIES[:6]
    assert study.end is None
    assert study.damaged


def test_the_same_entropy_gives_the_same_bytes():
    assert write(EVENTS)[0] == RAW


def test_a_large_entry_of_many_pieces_among_small_ones():
    big = [Tag(kinds.IMAGE, kinds.PICTURE, noise(2 * PIECE_SIZE_MAX))]
    raw, _ = write([EVENTS[0], big, EVENTS[2]])
    study = read(raw)
    assert [entry.tags for entry in study.entries] == [tuple(EVENTS[0]), tuple(big), tuple(EVENTS[2])]
    assert not study.damaged


# Keys and signatures


def test_the_wrong_seal_key_opens_nothing():
    with pytest.raises(AuthError, match="seal"):
        open_study(RAW, seal_pair(bytes(32))[0], KITS)


def test_an_unknown_signer_is_told_and_not_trusted():
    study = open_study(RAW, SEAL_SECRET, {})
    assert study.signer == key_id(SIGN_PUBLIC)
    assert not study.signature_ok
    assert not study.damaged


def test_a_signature_of_another_kit_does_not_hold():
    other_secret, other_public = sign_pair(bytes(32))
    assert not verify_signature([RAW], other_public)
    writer = StudyWriter(STUDY_ID, OPENED_MS, SEAL_PUBLIC)
    forged = writer.start() + writer.end(0) + writer.signature(other_secret)
    swapped = forged[:-72] + key_id(SIGN_PUBLIC) + forged[-64:]
    assert not verify_signature([swapped], SIGN_PUBLIC)
    assert not read(swapped).signature_ok
    assert not open_study(RAW, SEAL_SECRET, {key_id(SIGN_PUBLIC): other_public}).signature_ok


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(RAW) - 1), st.integers(1, 255))
def test_any_changed_byte_breaks_the_signature(at, change):
    raw = bytearray(RAW)
    raw[at] ^= change
    assert not verify_signature([bytes(raw)], SIGN_PUBLIC)


@pytest.mark.parametrize("raw", [b"", RAW[:10], RAW[:-1], RAW + b"\x00", RAW[-SIGNATURE_TAG_SIZE:], RAW + RAW])
def test_what_is_cut_or_continued_is_not_signed(raw):
    assert not verify_signature([raw], SIGN_PUBLIC)


# Damage


@settings(max_examples=150, deadline=None)
@given(
    st.integers(OFFSETS[0], len(RAW) - 1),
    st.integers(0, 300),
    st.sampled_from(["zero", "noise", "cut", "insert"]),
    st.integers(0, 2**32),
)
def test_one_damage_costs_the_entries_it_touches_and_invents_none(at, size, how, seed):
    put = {"zero": bytes(size), "noise": noise(size, seed), "cut": b"", "insert": noise(size, seed)}[how]
    end = at if how == "insert" else at + size
    study = read(RAW[:at] + put + RAW[end:])
    bounds = list(zip(OFFSETS, [*OFFSETS[1:], OFFSETS[-1]], strict=True))[:8]
    touched = {n for n, (begin, until) in enumerate(bounds) if begin < end + 1 and at < until}
    assert set(study.entries) <= set(ENTRIES)
    assert set(range(8)) - {entry.ordinal for entry in study.entries} <= touched
    assert [entry.ordinal for entry in study.entries] == sorted({entry.ordinal for entry in study.entries})
    if len(study.entries) < 8:
        assert study.damaged


def test_damage_in_one_entry_costs_that_entry_and_is_reported():
    raw = bytearray(RAW)
    raw[OFFSETS[3] + 60] ^= 1
    study = read(bytes(raw))
    assert study.entries == ENTRIES[:3] + ENTRIES[4:]
    assert study.missing == (range(3, 4),)
    assert sum(loss.size for loss in study.lost) >= 200
    assert study.damaged
    assert not study.signature_ok
    assert study.end == End(8, OPENED_MS + 999)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(RAW) - 1))
def test_a_study_cut_off_keeps_every_whole_entry(cut):
    whole = sum(offset <= cut for offset in OFFSETS[1:])
    if cut < OFFSETS[0]:
        return
    study = read(RAW[:cut])
    assert len(study.entries) >= whole
    assert study.entries == ENTRIES[: len(study.entries)]
    assert study.damaged
    assert not study.signature_ok


def test_a_study_without_its_start_is_read_by_its_id():
    study = read(bytes(OFFSETS[0]) + RAW[OFFSETS[0] :], study_id=STUDY_ID)
    assert study.entries == ENTRIES
    assert study.study_id is None
    assert study.damaged


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_are_no_study(raw):
    with contextlib.suppress(FormatError):
        assert not read(raw).entries


def test_a_study_of_zeros_or_of_nothing_is_a_format_error():
    for raw in (b"", bytes(5000)):
        with pytest.raises(FormatError, match="not a study"):
            read(raw)


# Forgery by who can write the file, or even knows the public seal key


def rewritten(tags, study_id=STUDY_ID):
    """Return a stream of these tags with all its checks right, as a forger can make it."""
    writer = StreamWriter(study_id, STUDY, OPENED_MS)
    raw = writer.start() + writer.check()
    for tag in tags:
        raw += writer.put(tag) + writer.check()
    return raw


def sealed_tags(raw=RAW):
    reader = StreamReader()
    found = [decode(one.raw) for one in reader.feed(raw) + reader.finish() if one.verdict is Verdict.SOUND]
    return [tag for tag in found if tag.number == kinds.SEALED]


END = End(8, OPENED_MS + 999).to_tag()


def test_entries_in_another_order_are_noticed():
    tags = sealed_tags()
    study = read(rewritten([tags[1], tags[0], *tags[2:], END]))
    assert study.entries == ENTRIES
    assert study.damaged
    assert "stands after" in study.lost[0].reason


def test_an_entry_that_is_repeated_is_given_once_and_noticed():
    tags = sealed_tags()
    study = read(rewritten([*tags[:4], tags[2], *tags[4:], END]))
    assert study.entries == ENTRIES
    assert study.damaged
    assert "again" in study.lost[0].reason


def test_an_entry_of_another_study_is_not_taken():
    other = sealed_tags(write([[Note("other").to_tag()]] * 8, bytes(16))[0])
    tags = sealed_tags()
    study = read(rewritten([*tags[:5], other[5], *tags[6:], END]))
    assert study.entries == ENTRIES[:5] + ENTRIES[6:]
    assert study.missing == (range(5, 6),)


def test_an_entry_taken_out_without_a_trace_is_missed():
    tags = sealed_tags()
    assert read(rewritten([*tags[:5], *tags[6:], END])).missing == (range(5, 6),)
    assert read(rewritten([*tags[:7], END])).missing == (range(7, 8),)
    assert read(rewritten([*tags[:2]])).damaged


def test_a_renumbered_entry_does_not_open():
    tags = sealed_tags()
    study = read(rewritten([*tags[:5], replace(tags[5], sequence=6), *tags[7:], END]))
    assert study.entries == ENTRIES[:5] + ENTRIES[7:]


def test_a_tampered_header_of_the_only_entry_is_an_auth_error():
    (tag,) = sealed_tags(write([EVENTS[0]])[0])
    with pytest.raises(AuthError):
        read(rewritten([replace(tag, sequence=1), End(1, 0).to_tag()]))


def test_more_entries_than_end_counts_are_noticed():
    study = read(rewritten([*sealed_tags(), End(3, 0).to_tag()]))
    assert study.damaged
    assert "beyond" in study.lost[-1].reason


def test_a_missing_or_swapped_piece_costs_its_entry_only():
    big = [Tag(kinds.IMAGE, kinds.PICTURE, noise(2 * PIECE_SIZE_MAX + 100))]
    tags = sealed_tags(write([EVENTS[0], big, EVENTS[2]])[0])
    assert [bool(tag.state & CONTINUED) for tag in tags] == [False, True, True, False, False]
    end = End(3, 0).to_tag()
    for order in ([0, 1, 2, 4], [0, 2, 3, 4], [0, 1, 3, 4], [0, 1, 3, 2, 4], [0, 1, 4], [0, 3, 4]):
        study = read(rewritten([*(tags[n] for n in order), end]))
        assert [entry.ordinal for entry in study.entries] == [0, 2], order
        assert study.missing == (range(1, 2),)
    assert len(read(rewritten([*tags, end])).entries) == 3


def test_a_repeated_piece_costs_nothing_and_is_noticed():
    big = [Tag(kinds.IMAGE, kinds.PICTURE, noise(2 * PIECE_SIZE_MAX + 100))]
    tags = sealed_tags(write([EVENTS[0], big, EVENTS[2]])[0])
    for order in (
        [0, 1, 2, 1, 2, 3, 4],
        [0, 1, 1, 2, 3, 4],
        [0, 1, 2, 1, 3, 4],
        [0, 1, 0, 2, 3, 4],
        [0, 1, 2, 3, 2, 4],
    ):
        study = read(rewritten([*(tags[n] for n in order), End(3, 0).to_tag()]))
        assert len(study.entries) == 3, order
        assert study.damaged


def test_an_unreadable_end_is_no_end():
    for data in (b"", b"\xff", encode_map({"entries": -1, "closed_ms": 1, "recovered": False}), encode_map({})):
        study = read(rewritten([*sealed_tags(), Tag(kinds.SERVICE, kinds.END, data)]))
        assert study.end is None
        assert study.damaged
        assert study.entries == ENTRIES


def test_an_end_that_counts_without_limit_is_refused():
    with pytest.raises(FormatError, match="at most"):
        End.from_tag(End(2**33, 0).to_tag())


def test_losses_without_number_are_counted_in_the_last():
    reader = StudyReader(SEAL_SECRET)
    for number in range(LOSS_COUNT_MAX + 10):
        reader._lose(number, 2, "why")
    assert len(reader._lost) == LOSS_COUNT_MAX
    assert reader._lost[-1].size == 2 + 10 * 2


# The writer


def test_the_writer_refuses_what_is_out_of_order():
    for calls in ("entry", "end", "signature", "start start", "start signature", "start end entry", "start end end"):
        writer = StudyWriter(STUDY_ID, OPENED_MS, SEAL_PUBLIC)
        steps = {
            "start": writer.start,
            "entry": lambda writer=writer: writer.entry(EVENTS[0], counting()),
            "end": lambda writer=writer: writer.end(0),
            "signature": lambda writer=writer: writer.signature(SIGN_SECRET),
        }
        *before, last = calls.split()
        for name in before:
            steps[name]()
        with pytest.raises(Misuse, match=last):
            steps[last]()


def test_recovery_writes_what_is_sound_into_a_new_file():
    tags = sealed_tags()
    writer = StudyWriter(STUDY_ID, OPENED_MS, SEAL_PUBLIC)
    raw = writer.start() + b"".join(writer.adopt([tag]) for tag in tags[:3] + tags[5:])
    assert writer.entries == 8
    raw += writer.entry(event(8), counting()) + writer.end(5, recovered=True) + writer.signature(SIGN_SECRET)
    study = read(raw)
    assert study.entries == (*ENTRIES[:3], *ENTRIES[5:], Entry(8, tuple(event(8))))
    assert study.signature_ok
    assert study.end.recovered
    assert study.missing == (range(3, 5),)


def test_what_does_not_follow_is_not_adopted():
    tags = sealed_tags()
    writer = StudyWriter(STUDY_ID, OPENED_MS, SEAL_PUBLIC)
    writer.start()
    writer.adopt([tags[2]])
    for pieces in ([], [tags[2]], [tags[1]], [tags[3], tags[4]], [EVENTS[0][0]]):
        with pytest.raises(Misuse, match="cannot follow"):
            writer.adopt(pieces)


def test_a_writer_goes_on_where_a_file_was_cut_off():
    reader = StreamReader()
    reader.feed(RAW[: OFFSETS[5] + 30])
    reader.finish()
    point = reader.resume_point()
    assert point.offset == OFFSETS[5]
    writer = StudyWriter.resume(STUDY_ID, SEAL_PUBLIC, point, 5, [RAW[:100], RAW[100 : point.offset]])
    raw = RAW[: point.offset] + writer.entry(event(5), counting()) + writer.end(1) + writer.signature(SIGN_SECRET)
    study = read(raw)
    assert study.entries == ENTRIES[:6]
    assert study.signature_ok
    assert not study.damaged


def bomb(entries, tags):
    """Return the bytes of a study whose entries are small in the file and large when they are opened."""
    return write([tags] * entries)[0]


def read_within(raw, room):
    reader = StudyReader(SEAL_SECRET, KITS, room=room)
    entries = reader.feed(raw)
    rest, study = reader.finish()
    return entries + rest, study


def test_a_study_that_unpacks_to_more_than_a_reader_can_hold_is_opened_up_to_there():
    megabytes = 31 << 20
    tag = Tag(kinds.CAPTURE, kinds.RAW, codec.pack(bytes(megabytes), codec.ZSTD), state=codec.ZSTD)
    raw = bomb(24, [tag])
    assert len(raw) < 16384
    entries, study = read_within(raw, 64 << 20)
    assert sum(len(tag.data) for entry in entries for tag in entry.tags) <= (64 << 20) + megabytes
    assert study.damaged
    assert study.signature_ok
    assert "room" in study.lost[-1].reason


def test_a_study_of_countless_empty_tags_is_opened_up_to_there():
    entries, study = read_within(bomb(40, [Tag(kinds.CAPTURE, kinds.RAW, b"")] * TAG_COUNT_MAX), 64 << 20)
    assert sum(len(entry.tags) for entry in entries) <= (64 << 20) // TAG_COST + TAG_COUNT_MAX
    assert study.damaged


def test_maps_that_take_long_to_read_fill_the_room_sooner_than_raw_bytes():
    data, room = bytes(256 << 10), 32 << 20
    counts = []
    for number in (kinds.RAW, kinds.RESULT):
        tag = Tag(kinds.CAPTURE, number, codec.pack(data, codec.ZSTD), state=codec.ZSTD)
        counts.append(len(read_within(bomb(40, [tag]), room)[0]))
    assert counts[0] >= 30
    assert counts[1] <= room // (len(data) * MAP_BYTE_COST) + 1


def test_tags_that_cost_much_and_unpack_to_nothing_cost_less_each_time():
    packed = codec.pack(noise(1 << 16, 1) + bytes(30 << 20), codec.ZSTD)[:-3]
    tag = Tag(kinds.CAPTURE, kinds.RAW, packed, state=codec.ZSTD)
    study = read(bomb(1, [tag] * 8))
    (entry,) = study.entries
    assert entry.tags == (tag,) * 8
    assert "declares" not in entry.faults[0]
    assert "declares" in entry.faults[-1]
