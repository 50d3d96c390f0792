"""A trace shows what each frame was and nothing of what it carried; reading any trace file is safe."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import kinds, records, trace
from wire.errors import FormatError
from wire.ranges import RangeSet
from wire.records import Ack, Control, Floor, Ping, Segment
from wire.tag import Tag, decode, encode
from wire.trace import RECEIVED, SENT, EventSeen, FrameSeen

SECRET = b"a patient's name"
PAYLOAD = records.encode(
    [Ack(RangeSet([(0, 4), (5, 9)]), 0.02), Floor(3), Ping(), Control(12, SECRET), Segment(3, 70000, SECRET)]
)


def seen(payload=PAYLOAD, **changes):
    parts = {"time_ms": 1_700_000_000_123, "direction": SENT, "bearer": "udp://10.77.0.2:7000", "kind": 3}
    parts |= {"index": 0x2F, "counter": 70001, "size": 1428, "records": trace.shapes(payload)}
    return FrameSeen(**parts | changes)


def test_a_trace_holds_no_byte_of_what_was_carried():
    assert SECRET in PAYLOAD
    assert SECRET not in encode(trace.encode(seen()))


def test_a_frame_is_told_in_one_line():
    assert trace.text(seen()) == (
        "> udp://10.77.0.2:7000 DATA 002f #70001 1428 B, ACK 5-8 0-3 (20 ms), FLOOR 3, PING, CONTROL 12+16,"
        " SEGMENT 3: 70000+16"
    )
    assert trace.text(seen(b"", direction=RECEIVED, kind=1, counter=0)) == "< udp://10.77.0.2:7000 HELLO 002f 1428 B"
    assert trace.text(seen(b"", kind=0, index=0, counter=0)).startswith("> udp://10.77.0.2:7000 kind 0 0000")
    assert trace.text(EventSeen(0, "silence", "nothing heard")) == "--- silence: nothing heard"


@pytest.mark.parametrize("entry", [seen(), seen(b""), EventSeen(5, "bearer", "udp is up")])
def test_what_is_written_is_read(entry):
    assert trace.decode(decode(encode(trace.encode(entry)))) == entry


def test_what_is_no_payload_of_ours_has_no_records():
    assert trace.shapes(b"\xff\xff") == ()


def test_a_frame_of_thousands_of_records_is_cut():
    assert len(trace.shapes(b"\x01" * 4000)) == trace.RECORDS_MAX


def test_long_names_and_texts_are_cut():
    assert len(trace.decode(trace.encode(seen(bearer="x" * 999))).bearer) == trace.BEARER_SIZE_MAX
    assert len(trace.decode(trace.encode(EventSeen(0, "k", "x" * 9999))).text) == trace.TEXT_SIZE_MAX


def test_nothing_in_a_file_commands_a_terminal():
    assert trace.text(EventSeen(0, "k", "\x1b[2J\n")) == "--- k: ?[2J?"
    assert "\x1b" not in trace.text(seen(bearer="\x1b]0;title\x07"))


@pytest.mark.parametrize("counter", [-1, trace.NUMBER_MAX + 1, 1 << 20_000], ids=["-1", "2^64", "2^20000"])
def test_a_number_out_of_bounds_is_a_format_error(counter):
    assert trace.decode(trace.encode(seen(counter=trace.NUMBER_MAX))).counter == trace.NUMBER_MAX
    with pytest.raises(FormatError):
        trace.decode(trace.encode(seen(counter=counter)))


def test_other_tags_are_no_entries():
    assert trace.decode(Tag(kinds.SERVICE, kinds.START, b"")) is None


anything = st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=8))


@given(st.sampled_from([kinds.FRAME_SEEN, kinds.EVENT_SEEN]), st.binary(max_size=60) | anything.map(cbor2.dumps))
def test_any_bytes_are_an_entry_or_a_format_error(number, data):
    try:
        entry = trace.decode(Tag(kinds.NETWORK, number, data))
    except FormatError:
        return
    assert trace.text(entry)


def test_a_path_in_another_encoding_ends_no_trace():
    """What Python makes of it (half a surrogate pair) cannot be said in UTF-8, and a trace never raises."""
    bearer, words = "serial:///dev/m\udcf6dem", "dir:///media/\udcf6: the stick is gone"
    assert trace.decode(trace.encode(seen(bearer=bearer))).bearer == "serial:///dev/m?dem"
    assert trace.decode(trace.encode(EventSeen(0, "bearer", words))).text == "dir:///media/?: the stick is gone"
