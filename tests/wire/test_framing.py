"""Frames on a line of bytes: what goes in comes out, and what a line does to it costs only what it touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import fuzz_framing
from tests.fuzz.driver import rounds
from wire.framing import Deframer, disclose, enclose, overhead_max, stuff, unstuff
from wire.session import FRAME_SIZE_MAX

ZEROS_AND_OTHERS = st.lists(st.sampled_from([b"\0", b"a", b"b" * 253, b"c" * 254, b"d" * 255]), max_size=9).map(
    b"".join
)
FRAMES = st.one_of(st.binary(max_size=600), ZEROS_AND_OTHERS)
WORDS = [b"\r\nCONNECT 9600\r\n", b"\r\nNO CARRIER\r\n", b"\r\nRING\r\n", b"+++", b"OK\r\n", b"\xff\x7f\x80", b"ATE1\r"]


@given(FRAMES)
def test_what_is_stuffed_holds_no_zero_and_comes_back(data):
    assert 0 not in stuff(data)
    assert unstuff(stuff(data)) == data


@given(FRAMES.filter(len))
def test_a_frame_comes_back_and_holds_no_zero_but_its_last_byte(frame):
    raw = enclose(frame)
    assert raw.index(0) == len(raw) - 1
    assert disclose(raw[:-1]) == frame
    assert len(raw) <= len(frame) + overhead_max(len(frame))


@pytest.mark.parametrize(("size", "extra"), [(0, 1), (1, 1), (253, 1), (254, 1), (255, 2), (508, 2), (509, 3)])
def test_bytes_without_zeros_cost_one_and_one_more_for_each_254(size, extra):
    assert len(stuff(b"x" * size)) == size + extra


@pytest.mark.parametrize(("size", "extra"), [(1, 4), (1000, 7), (FRAME_SIZE_MAX, 68)])
def test_a_frame_costs_four_bytes_and_one_more_for_each_254(size, extra):
    assert len(enclose(b"x" * size)) <= size + extra == size + overhead_max(size)


def test_the_crc_is_the_one_of_the_catalogues():
    assert unstuff(enclose(b"123456789")[:-1]) == b"123456789\x29\xb1"


def test_the_longer_form_of_other_encoders_is_read_too():
    assert unstuff(b"\xff" + b"x" * 254 + b"\x01") == b"x" * 254


@given(st.binary(min_size=1, max_size=80), st.integers(0), st.integers(1, 255))
def test_what_noise_made_of_a_frame_is_no_frame(frame, at, flip):
    raw = bytearray(enclose(frame))
    raw[at % (len(raw) - 1)] ^= flip
    assert frame not in Deframer().feed(bytes(raw))


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.integers(1, 90))
def test_frames_are_cut_from_a_line_however_they_arrive(frames, size):
    raw = b"".join(map(enclose, frames))
    deframer = Deframer()
    found = [frame for at in range(0, len(raw), size) for frame in deframer.feed(raw[at : at + size])]
    assert found == frames
    assert deframer.lost_bytes == deframer.pending_size == 0


@given(st.lists(st.binary(min_size=21, max_size=60), min_size=1, max_size=6), st.data())
def test_words_of_a_modem_between_bursts_cost_no_frame(frames, data):
    line = b"".join(data.draw(st.sampled_from(WORDS)) + b"\0" + enclose(frame) for frame in frames)
    assert [frame for frame in Deframer().feed(line) if frame in frames] == frames


@given(st.lists(st.binary(min_size=21, max_size=60), min_size=4, max_size=9), st.data())
def test_a_byte_that_is_lost_changed_or_added_costs_two_frames_at_most(frames, data):
    line = bytearray(b"".join(map(enclose, frames)))
    at = data.draw(st.integers(0, len(line) - 1))
    how = data.draw(st.sampled_from(["lost", "changed", "added"]))
    if how == "lost":
        del line[at]
    elif how == "changed":
        line[at] ^= data.draw(st.integers(1, 255))
    else:
        line[at:at] = data.draw(st.binary(min_size=1, max_size=1))
    found = Deframer().feed(bytes(line))
    assert sum(frame in found for frame in frames) >= len(frames) - 2


def test_a_line_that_never_marks_costs_no_more_memory_than_one_frame():
    enclosed_size_max = FRAME_SIZE_MAX + overhead_max(FRAME_SIZE_MAX)
    deframer = Deframer()
    for _ in range(100):
        assert deframer.feed(b"U" * 1000) == []
        assert deframer.pending_size < enclosed_size_max
    assert deframer.lost_bytes > 100_000 - enclosed_size_max
    assert deframer.feed(b"\0" + enclose(b"after it")) == [b"after it"]


def test_the_largest_frame_passes_and_a_larger_one_does_not():
    deframer = Deframer(300)
    assert deframer.feed(enclose(b"x" * 300)) == [b"x" * 300]
    assert deframer.feed(enclose(b"x" * 301)) == []
    assert deframer.feed(enclose(b"\0" * 301)) == []
    assert deframer.feed(enclose(b"y")) == [b"y"]
    whole = bytes(range(256)) * (FRAME_SIZE_MAX // 256)
    assert Deframer().feed(enclose(whole)) == [whole]


def test_marks_in_a_row_are_nothing():
    deframer = Deframer()
    assert deframer.feed(b"\0\0\0") == []
    assert deframer.lost_bytes == 0


def test_the_half_of_a_frame_from_an_earlier_call_is_forgotten():
    deframer = Deframer()
    deframer.feed(enclose(b"first")[:3])
    deframer.reset()
    assert deframer.feed(enclose(b"second")) == [b"second"]
    assert deframer.lost_bytes == 3


def test_framing_of_whatever_holds_its_invariant():
    rounds(fuzz_framing.check, fuzz_framing.SEEDS, 400, 1)
