"""Codecs: exact, chosen to be smaller, bounded against bombs; and what the dictionary is worth on records unseen."""

import contextlib
import os
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import train_dictionary
from benchmarks.records import container, entries
from wire import codec, kinds
from wire.codec import NONE, ZSTD, ZSTD_DICTIONARY, pack, pack_best, unpack
from wire.dictionary import NUMBERS, PACKING, dictionary
from wire.errors import FormatError, Misuse
from wire.record import Result

SAMPLES = Path(os.environ.get("FELDSHER_SAMPLES", Path(__file__).parents[3] / "shared/device-samples"))
RAW = (kinds.CAPTURE, kinds.RAW)
PLAIN_CODECS = (NONE, ZSTD, ZSTD_DICTIONARY)
UNSEEN = entries(seed=20261122, count=160)

texts = st.lists(st.sampled_from([b"R|1|^^^^WBC^1|", b"10*3/uL", b"||N||||", b"\r", b"5.6"]), max_size=60).map(b"".join)


@settings(max_examples=150)
@given(st.binary(max_size=3000) | texts, st.sampled_from(PLAIN_CODECS))
def test_what_is_packed_is_unpacked(data, number):
    assert unpack(pack(data, number), number, len(data)) == data


@settings(max_examples=150)
@given(st.binary(max_size=3000) | texts, st.sampled_from([RAW, (kinds.CAPTURE, kinds.WAVEFORM), (0x101, 1), (7, 7)]))
def test_the_chosen_codec_never_makes_data_larger(data, kind):
    number, packed = pack_best(kind, data)
    assert len(packed) <= len(data)
    assert unpack(packed, number, len(data)) == data


@pytest.mark.parametrize("size", [codec.BULK_SIZE, codec.BULK_SIZE + 1, codec.DICTIONARY_GAIN_SIZE_MAX + 1, 1 << 20])
def test_large_data(size):
    data = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    number, packed = pack_best(RAW, data)
    assert number == ZSTD
    assert unpack(packed, number, size) == data


@settings(max_examples=300)
@given(st.sampled_from([ZSTD, ZSTD_DICTIONARY]), st.data())
def test_damage_is_a_format_error_or_stays_within_bounds(number, data):
    packed = bytearray(pack(b"R|1|^^^^WBC^1|  5.5|10*3/uL||N" * 20, number))
    at = data.draw(st.integers(0, len(packed) - 1))
    packed[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(FormatError):
        assert len(unpack(bytes(packed), number, 1000)) <= 1000


@given(st.binary(max_size=100), st.integers(0, 15))
def test_any_bytes_under_any_codec(data, number):
    with contextlib.suppress(FormatError):
        assert len(unpack(data, number, 1000)) <= 1000


@pytest.mark.parametrize("number", [ZSTD, ZSTD_DICTIONARY])
def test_a_bomb_is_refused_at_the_limit(number):
    packed = pack(bytes(1 << 20), number)
    assert len(packed) < 200
    assert unpack(packed, number, 1 << 20) == bytes(1 << 20)
    with pytest.raises(FormatError, match="at most"):
        unpack(packed, number, (1 << 20) - 1)


def test_unpacked_data_over_the_limit_are_refused_without_a_codec_too():
    assert unpack(bytes(10), NONE, 10) == bytes(10)
    with pytest.raises(FormatError, match="11 bytes; at most 10"):
        unpack(bytes(11), NONE, 10)


def test_a_frame_that_does_not_say_its_size_is_refused():
    parameters = zstandard.ZstdCompressionParameters.from_level(3, write_content_size=False)
    frame = zstandard.ZstdCompressor(compression_params=parameters).compress(bytes(100))
    with pytest.raises(FormatError, match="declares"):
        unpack(frame, ZSTD, 1000)


@pytest.mark.parametrize("number", [ZSTD, ZSTD_DICTIONARY])
def test_bytes_after_the_frame_and_a_frame_cut_short_are_refused(number):
    packed = pack(b"some text that is packed, some text", number)
    for wrong in (packed + b"\x00", packed + packed, packed[:-1], packed[:4], b""):
        with pytest.raises(FormatError):
            unpack(wrong, number, 1000)


@pytest.mark.parametrize("number", [5, 9, 15, -1, 16])
def test_a_codec_that_is_not_known(number):
    with pytest.raises(FormatError, match=f"codec {number}"):
        unpack(b"data", number, 100)
    with pytest.raises(Misuse, match=f"codec {number}"):
        pack(b"data", number)


def test_a_dictionary_that_is_not_known():
    for packed in (b"", b"\x00", b"\xff" + pack(b"text", ZSTD_DICTIONARY)[1:]):
        with pytest.raises(FormatError, match="zstd dictionary"):
            unpack(packed, ZSTD_DICTIONARY, 100)


def test_the_dictionary_is_the_one_that_was_released():
    """A change here would make all that kits in the field have packed unreadable: add a number instead."""
    import hashlib

    assert {1} == NUMBERS
    assert PACKING in NUMBERS
    assert hashlib.blake2b(dictionary(1), digest_size=8).hexdigest() == "c13b5eee2898abf4"


@pytest.mark.slow
def test_training_again_gives_the_dictionary_that_is_shipped():
    if zstandard.ZSTD_VERSION != (1, 5, 7):
        pytest.skip(f"TRAINED WITH zstd 1.5.7, this is {zstandard.ZSTD_VERSION}")
    assert train_dictionary.train() == dictionary(train_dictionary.NUMBER)


def ratio(blocks):
    """Return how many times smaller codec 2 makes the blocks than `zstd -19` does."""
    return sum(len(zstandard.compress(one, 19)) for one in blocks) / sum(
        len(pack(one, ZSTD_DICTIONARY)) for one in blocks
    )


def test_a_2_kb_result_unseen_in_training_is_twice_as_small_as_zstd_19_makes_it():
    results = [tag.data for tags in UNSEEN for tag in tags if tag.kind == Result.KIND]
    about_2_kb = [data for data in results if 1500 <= len(data) <= 2500]
    assert len(about_2_kb) > 20
    assert ratio(about_2_kb) > 2


def test_a_whole_entry_unseen_in_training_is_twice_as_small_as_zstd_19_makes_it():
    assert ratio([container(tags) for tags in UNSEEN]) > 2


def test_a_real_session_of_a_blood_count_is_twice_as_small_as_zstd_19_makes_it():
    session = SAMPLES / "astm/sysmex_xp100.session.bin"
    if not session.exists():
        pytest.skip(f"DEVICE SAMPLES ARE ABSENT: no {session}; set FELDSHER_SAMPLES")
    assert ratio([session.read_bytes()]) > 2


@pytest.mark.parametrize("name", ["cobas_c111", "dca_vantage", "genexpert", "sysmex_xp100"])
def test_no_real_session_grows_by_the_dictionary(name):
    session = SAMPLES / f"astm/{name}.session.bin"
    if not session.exists():
        pytest.skip(f"DEVICE SAMPLES ARE ABSENT: no {session}; set FELDSHER_SAMPLES")
    assert ratio([session.read_bytes()]) > 1.1
