"""The worklist: the page's example is what is written and read, and nothing else is believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.test_format_examples import examples
from wire import codec
from wire.errors import AuthError, FormatError, Misuse
from wire.maps import encode_map
from wire.seal import seal, sign, sign_pair, x25519_public
from wire.worklist import (
    CONTEXT,
    DAYS_MAX,
    Day,
    Order,
    SealedDay,
    faults_of,
    require_taken,
    seal_day,
    sign_taken,
    sign_worklist,
    unseal_day,
    verify_worklist,
    worklist_id,
)

KIT_SECRET, EPHEMERAL = bytes(range(32)), bytes(range(0x40, 0x60))
KIT = x25519_public(KIT_SECRET)
SIGN_SECRET, SIGN_PUBLIC = sign_pair(bytes(range(0x20, 0x40)))
DAY, UNTIL_MS, VERSION = (
    Day("2026-11-22", (Order("7", sample="S1", tests=("WBC",)),)),
    1_795_430_400_000,
    1_795_340_535_231,
)
SEALED = seal_day(DAY, UNTIL_MS, KIT, EPHEMERAL)


def test_the_worklist_of_the_page_is_what_is_written_and_read():
    (raw,) = examples("worklist.md")
    assert sign_worklist(VERSION, KIT, [SEALED], SIGN_SECRET) == raw
    assert worklist_id(raw).hex() == "6ae5b29be11010034c84fa59a64d3490"
    worklist = verify_worklist(raw, SIGN_PUBLIC)
    assert (worklist.version, worklist.kit) == (VERSION, KIT)
    assert [unseal_day(one, KIT_SECRET) for one in worklist.days] == [DAY]


def test_another_time_another_kit_and_changed_bytes_do_not_open():
    with pytest.raises(AuthError):
        unseal_day(SealedDay(UNTIL_MS + 1, SEALED.sealed), KIT_SECRET)
    with pytest.raises(AuthError):
        unseal_day(SEALED, bytes(32))
    raw = sign_worklist(VERSION, KIT, [SEALED], SIGN_SECRET)
    for at in range(len(raw)):
        with pytest.raises(AuthError):
            verify_worklist(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :], SIGN_PUBLIC)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"version": -1, "kit": KIT, "days": []},
        {"version": True, "kit": KIT, "days": []},
        {"version": 1, "kit": b"short", "days": []},
        {"version": 1, "kit": KIT, "days": {}},
        {"version": 1, "kit": KIT, "days": [[1, b""]] * (DAYS_MAX + 1)},
        {"version": 1, "kit": KIT, "days": [[-1, b""]]},
        {"version": 1, "kit": KIT, "days": [[1]]},
        {"version": 1, "kit": KIT, "days": [[1, "text"]]},
    ],
)
def test_what_is_signed_and_no_worklist_is_a_format_error(values):
    body = encode_map(values)
    with pytest.raises(FormatError):
        verify_worklist(sign(CONTEXT + body, SIGN_SECRET) + body, SIGN_PUBLIC)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"day": "2026-11-31", "orders": []},
        {"day": "2026-11-22", "orders": [["7"]]},
        {"day": "2026-11-22", "orders": [["7", "", "", "", "", "WBC"]]},
        {"day": "2026-11-22", "orders": [["7", "", "", "", 1, []]]},
        {"day": "2026-11-22", "orders": [["", "", "", "", "", []]]},
    ],
)
def test_what_is_sealed_and_no_day_is_a_format_error(values):
    packed = codec.pack(encode_map(values), codec.ZSTD)
    sealed = seal(packed, KIT, CONTEXT, UNTIL_MS.to_bytes(6, "big"), EPHEMERAL)
    with pytest.raises(FormatError):
        unseal_day(SealedDay(UNTIL_MS, sealed), KIT_SECRET)


def test_an_error_of_a_sealed_list_names_nobody():
    rows = [["24310077", "Petrenko", "", "", "", []], ["24310077", "Bondar", "", "", "", []]]
    packed = codec.pack(encode_map({"day": "2026-11-22", "orders": rows}), codec.ZSTD)
    sealed = seal(packed, KIT, CONTEXT, UNTIL_MS.to_bytes(6, "big"), EPHEMERAL)
    with pytest.raises(FormatError, match="line 2") as caught:
        unseal_day(SealedDay(UNTIL_MS, sealed), KIT_SECRET)
    assert "24310077" not in str(caught.value)


def test_what_would_not_be_read_back_is_not_written():
    with pytest.raises(Misuse):
        sign_worklist(-1, KIT, [], SIGN_SECRET)
    with pytest.raises(FormatError, match="line 1"):
        seal_day(Day("2026-11-22", (Order(""),)), UNTIL_MS, KIT, EPHEMERAL)


def test_a_receipt_is_the_kits_word_on_this_object():
    word = sign_taken(bytes(16), SIGN_SECRET)
    require_taken(word, bytes(16), SIGN_PUBLIC)
    for receipt, object_id in ((word, b"x" * 16), (b"", bytes(16)), (bytes(64), bytes(16))):
        with pytest.raises(AuthError):
            require_taken(receipt, object_id, SIGN_PUBLIC)


TEXT = st.text(max_size=12)


@given(
    st.lists(
        st.builds(
            Order, TEXT, TEXT, TEXT, st.sampled_from(["", "F", "W"]), TEXT, st.lists(TEXT, max_size=3).map(tuple)
        ),
        max_size=5,
    )
)
def test_a_list_is_either_told_to_be_wrong_or_comes_back_as_it_was(orders):
    day = Day("2026-11-22", tuple(orders))
    if list(faults_of(orders)):
        with pytest.raises(FormatError):
            seal_day(day, UNTIL_MS, KIT, EPHEMERAL)
    else:
        assert unseal_day(seal_day(day, UNTIL_MS, KIT, EPHEMERAL), KIT_SECRET) == day


@given(st.binary(max_size=200))
def test_any_bytes_are_a_worklist_or_an_error(data):
    with pytest.raises((AuthError, FormatError)):
        verify_worklist(data, SIGN_PUBLIC)
