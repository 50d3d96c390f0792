"""DirectIP, byte by byte: a recorded message, what goes out, and that no bytes whatever do harm."""

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import directip
from wire.directip import (
    DEGREE,
    ELEMENTS_SIZE_MAX,
    MO_PAYLOAD_MAX,
    MT_PAYLOAD_MAX,
    MT_STATUSES,
    MT_TEMPORARY,
    MoConfirmation,
    MoMessage,
    MtConfirmation,
    MtFlag,
    MtMessage,
    Place,
    Reader,
    decode,
    encode,
)
from wire.errors import FormatError, Misuse

IMEI = "300234063904190"
RECORDED = bytes.fromhex(
    "01 0038 01 001c 70ec0769 333030323334303633393034313930 00 004b 0000 559eba2c"
    " 02 0016 74657374206d6573736167652066726f6d2070657465"
)
"""A message that a real ground station delivered in 2015."""

EXAMPLES = [
    (RECORDED.hex(" "), MoMessage(0x70EC0769, IMEI, 0, 75, 0, 1436465708, b"test message from pete")),
    ("01 0004 05 0001 01", MoConfirmation(is_taken=True)),
    ("01 0004 05 0001 00", MoConfirmation(is_taken=False)),
    (
        "01 001d 41 0015 00000007 333030323334303633393034313930 0000 42 0002 6869",
        MtMessage(b"\0\0\0\7", IMEI, b"hi"),
    ),
    (
        "01 001d 41 0015 00000008 333030323334303633393034313930 0012 46 0002 0001",
        MtMessage(b"\0\0\0\x08", IMEI, None, MtFlag.RING_ONLY | MtFlag.HIGH_PRIORITY, 1),
    ),
    (
        "01 001c 44 0019 00000007 333030323334303633393034313930 0000002a fffb",
        MtConfirmation(b"\0\0\0\7", IMEI, 42, -5),
    ),
    (
        f"01 002d 01 001c 00000001 {IMEI.encode().hex()} 00 0001 0002 00000003 03 000b 03 22 1388 12 0001 00000002",
        MoMessage(1, IMEI, 0, 1, 2, 3, None, Place(-(34 * DEGREE + 5000), -(18 * DEGREE + 1)), 2),
    ),
    (
        "01 0022 41 0015 00000009 333030323334303633393034313930 0008 43 0007 00 5a 0000 b4 0000",
        MtMessage(b"\0\0\0\x09", IMEI, None, MtFlag.UPDATE_LOCATION, None, Place(90 * DEGREE, 180 * DEGREE)),
    ),
]


@pytest.mark.parametrize(("text", "message"), EXAMPLES)
def test_the_examples(text, message):
    assert encode(message).hex() == text.replace(" ", "")
    assert decode(bytes.fromhex(text)) == message


def imeis():
    return st.text("0123456789", min_size=15, max_size=15)


def places():
    return st.none() | st.builds(
        Place,
        st.integers(-90 * DEGREE, 90 * DEGREE),
        st.integers(-180 * DEGREE, 180 * DEGREE),
    )


def u(bits):
    return st.integers(0, (1 << bits) - 1)


def four():
    return st.binary(min_size=4, max_size=4)


def mo_messages():
    payload = st.none() | st.binary(min_size=1, max_size=400)
    return st.builds(MoMessage, u(32), imeis(), u(8), u(16), u(16), u(32), payload, places()).flatmap(
        lambda m: st.just(m) if m.place is None else u(32).map(lambda km: replace(m, radius_km=km))
    )


def messages():
    payload = st.none() | st.binary(min_size=1, max_size=400)
    flags = u(16).map(MtFlag)
    priority = st.none() | st.integers(1, 5)
    return st.one_of(
        mo_messages(),
        st.builds(MoConfirmation, st.booleans()),
        st.builds(MtMessage, four(), imeis(), payload, flags, priority, places()),
        st.builds(MtConfirmation, four(), imeis(), u(32), st.integers(-(1 << 15), (1 << 15) - 1)),
    )


@given(st.lists(messages(), max_size=4), st.data())
def test_whatever_is_written_is_read_however_the_stream_is_cut(sent, data):
    raw = b"".join(map(encode, sent))
    reader, found, at = Reader(), [], 0
    while at < len(raw):
        step = data.draw(st.integers(1, len(raw) - at))
        found += reader.feed(raw[at : at + step])
        at += step
    assert found == sent
    assert reader.is_between


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda b: b"\1" + len(b).to_bytes(2, "big") + b))
def test_any_bytes_are_a_message_or_a_format_error(raw):
    """Whole and byte by byte the same comes out, and what is read can be written again."""
    whole, single = Reader(), Reader()
    first, second = [], []
    with contextlib.suppress(FormatError):
        first += whole.feed(raw)
    with contextlib.suppress(FormatError):
        for at in range(len(raw)):
            second += single.feed(raw[at : at + 1])
    assert len(second) >= len(first)
    for message in first:
        assert decode(encode(message)) == message


@given(messages(), st.data())
def test_a_flipped_byte_is_read_as_something_lawful_or_refused(message, data):
    raw = bytearray(encode(message))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FormatError):
        decode(bytes(raw))


def test_elements_of_other_ids_are_skipped():
    extended = RECORDED[:3] + b"\x09\0\2xx" + RECORDED[3:]
    raw = b"\1" + (len(extended) - 3).to_bytes(2, "big") + extended[3:]
    assert decode(raw) == decode(RECORDED)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("31 0004 05 0001 01", "revision 49"),  # what PyPI's iridiumSBD 0.0.8 answers
        ("01 0000", "0 bytes of elements"),
        (f"01 {ELEMENTS_SIZE_MAX + 1:04x}", f"{ELEMENTS_SIZE_MAX + 1} bytes of elements"),
        ("01 0004 05 0002 01", "ends at 8 of 7"),
        ("01 0004 05 0001 02", "its status is 2"),
        ("01 0008 05 0001 01 05 0001 01", "comes twice"),
        ("01 0004 09 0001 01", "0 heads; its elements are 09"),
        ("01 0008 05 0001 01 44 0001 01", "2 heads"),
        ("01 0004 01 0001 01", "element 01 of 1 bytes; want 28"),
        (RECORDED.hex().replace("3330303233", "3330303241"), "the IMEI"),
        ("01 0021 41 0015 00000009 333030323334303633393034313930 0008 43 0006 005a0000b400", "of 6 bytes; want 7"),
        (EXAMPLES[7][0].replace("00 5a 0000", "04 5a 0000"), "its flags is 4"),
        (EXAMPLES[7][0].replace("5a 0000", "59 ea60"), "its minutes"),
        (EXAMPLES[7][0].replace("5a 0000", "5b 0000"), "the place"),
        (EXAMPLES[4][0].replace("0002 0001", "0002 0006"), "the priority is 6"),
        (RECORDED.hex() + "00", "60 bytes; its head says 59"),
    ],
)
def test_what_is_not_lawful_is_refused_with_its_reason(raw, reason):
    with pytest.raises(FormatError, match=reason):
        decode(bytes.fromhex(raw))


@pytest.mark.parametrize(
    "place",
    ["04 22 1388 12 0001", "03 22 ea60 12 0001", "03 5b 0000 12 0001", "03 22 1388 b4 0001", "ff ff ffff ff ffff"],
)
def test_a_message_from_a_place_that_cannot_be_is_read_without_it(place):
    there = replace(EXAMPLES[6][1], payload=b"hello")
    raw = encode(there).hex().replace("03221388120001", place.replace(" ", ""))
    assert decode(bytes.fromhex(raw)) == replace(there, place=None, radius_km=0)


def test_a_place_in_another_form_is_skipped():
    raw = EXAMPLES[6][0].replace("01 002d", "01 002e").replace("03 000b", "03 000c") + " 00"
    assert decode(bytes.fromhex(raw)) == replace(EXAMPLES[6][1], place=None, radius_km=0)


def test_payloads_up_to_the_limit():
    message = MoMessage(1, IMEI, 0, 1, 0, 0, bytes(MO_PAYLOAD_MAX))
    assert decode(encode(message)) == message
    assert decode(encode(MtMessage(bytes(4), IMEI, bytes(MT_PAYLOAD_MAX)))).payload == bytes(MT_PAYLOAD_MAX)
    with pytest.raises(Misuse, match="1961 bytes"):
        encode(replace(message, payload=bytes(MO_PAYLOAD_MAX + 1)))


@pytest.mark.parametrize(
    "message",
    [
        MoMessage(1, "1", 0, 1, 0, 0),
        MoMessage(1, "30023406390419٣", 0, 1, 0, 0),
        MoMessage(1 << 32, IMEI, 0, 1, 0, 0),
        MtMessage(b"123", IMEI),
        MtMessage(b"1234", IMEI, b""),
        MtMessage(b"1234", IMEI, b"x", priority=6),
        MtConfirmation(b"1234", IMEI, 0, 1 << 15),
    ],
)
def test_what_the_format_cannot_say_is_our_own_error(message):
    with pytest.raises(Misuse):
        encode(message)


def test_there_is_no_place_beyond_the_pole():
    with pytest.raises(Misuse, match="no such place"):
        Place(90 * DEGREE + 1, 0)


def test_every_temporary_refusal_has_its_words():
    assert set(MT_STATUSES) >= MT_TEMPORARY


def test_the_head_of_the_module_names_every_element():
    for element in directip.Element:
        assert f" {element:02x} " in directip.__doc__
